"""The recorded graph: one `Node` an operation, with what its rules keep. Knows no Tensor.

Nodes point from results to operands only, so a graph has no cycles and dies by reference count.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

from .backend import Device
from .errors import AutogradError, OperandError
from .function import Function, Rule, Spec

__all__ = ["AccumulateGrad", "Handle", "Node", "Output", "Version", "record"]

new: Final = object.__new__
next_sequence: Final = itertools.count().__next__


class Version:
    """How often a piece of memory was written in place, and by what last. Made when a value is first kept."""

    count = 0  # class attributes, so that making one costs nothing but the object
    by: str | None = None


class Handle:
    """What a registration of a hook gives: ``handle.remove()`` undoes it. Also a context manager."""

    __slots__ = ("edge", "hook")

    def __init__(self, edge: _Edge, hook: Callable[[Any], Any]) -> None:
        self.edge, self.hook = edge, hook

    def remove(self) -> None:
        """Take the hook away, if it is still there."""
        self.edge.hooks = [h for h in self.edge.hooks or () if h is not self.hook]

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class _Edge:
    """What the graph's nodes have in common, as users see them through ``grad_fn``."""

    __slots__ = ()
    seq: int
    hooks: Any

    def name(self) -> str:
        """Name of the kind of node."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{self.name()}>"

    def add_hook(self, hook: Callable[[Any], Any]) -> Handle:
        """Have ``hook(gradient)`` called with the whole gradient that arrives here, as a Tensor."""
        if not callable(hook):
            raise OperandError(f"a hook must be callable; got {hook!r:.60}")
        self.hooks = sorted([*(self.hooks or ()), hook], key=lambda h: getattr(h, "runs_last", False))
        return Handle(self, hook)


class Node(_Edge):
    """A recorded operation.

    Attributes
    ----------
    function : Function
    edges : tuple
        For each input where its gradient goes: a Node, an Output, an AccumulateGrad, or None.
    args : tuple or None
        For each input that needs a gradient what its rule gets after ``g``. None once freed.
    guards : tuple
        ``(version, count, version, count, ...)`` of the kept arrays, as they were.
    shapes : tuple or None
        The inputs' shapes, where gradients are to be summed back to them.
    seq : int
        Increases with every node: operands come before results.
    device : Device
        Where the output's gradient lives.
    hooks : list or None
    """

    __slots__ = ("function", "edges", "args", "guards", "shapes", "seq", "device", "hooks")
    function: Function
    edges: tuple[Any, ...]
    args: tuple[Any, ...] | None
    guards: tuple[Any, ...]
    shapes: tuple[Any, ...] | None
    device: Device

    def name(self) -> str:
        """Name of the operation, ``"MultiplyBackward"``."""
        return self.function.node_name

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """For each input the node its gradient goes to and which of that node's outputs it was."""
        return tuple((edge.node, edge.index) if type(edge) is Output else (edge, 0) for edge in self.edges)


class Output(_Edge):
    """One output of a function that has several: routes its gradient to the node."""

    __slots__ = ("node", "index", "hooks")

    def __init__(self, node: Node, index: int) -> None:
        self.node, self.index, self.hooks = node, index, None

    @property
    def seq(self) -> int:  # type: ignore[override]  # the node's
        """The node's place in the order."""
        return self.node.seq

    def name(self) -> str:
        """Name of the node."""
        return self.node.name()


class AccumulateGrad(_Edge):
    """The end of a path: adds what arrives to a leaf's ``grad``.

    It knows its leaf weakly. A leaf that nobody holds has no use for a gradient.
    """

    __slots__ = ("leaf", "seq", "hooks", "device")
    next_functions = ()

    def __init__(self, leaf: Any) -> None:
        self.leaf, self.seq, self.hooks, self.device = weakref.ref(leaf), next_sequence(), None, leaf._device

    def name(self) -> str:
        """Name of the kind of node."""
        return "AccumulateGrad"


def record(
    function: Function,
    device: Device,
    operands: Sequence[Any],
    values: Sequence[Any],
    edges: tuple[Any, ...],
    params: dict[str, Any],
    out: Any,
    result: Any,
) -> Node:
    """Make the node of one operation.

    Parameters
    ----------
    function, device, params
        What ran, and where.
    operands : sequence
        Tensors or numbers; where Tensors, kept arrays are guarded by their versions.
    values : sequence
        The operands' raw arrays.
    edges : tuple
        For each operand where its gradient goes, or None.
    out : array or tuple of arrays
        The raw result.
    result : Tensor or None
        The handle of the result, for its version.
    """
    node: Node = new(Node)
    node.function, node.device, node.edges, node.hooks = function, device, edges, None
    node.seq = next_sequence()
    node.shapes = tuple(getattr(v, "shape", ()) for v in values) if function.broadcasts else None
    args: list[tuple[Any, ...] | None] = []
    guards: tuple[Any, ...] = ()
    last = len(function.specs) - 1
    for position, edge in enumerate(edges):
        spec = function.specs[min(position, last)]
        if edge is None or spec is None:
            args.append(None)
        else:
            args.append(spec.keep(device, values, params, out, position))
            guards += guards_of(spec, operands, result)
    node.args, node.guards = tuple(args), guards
    return node


def guard(tensor: Any) -> tuple[Version, int]:
    """Give a tensor's version and its count, for a check that it was not written since."""
    version = tensor._writes
    if version is None:
        version = tensor._writes = Version()
    return version, version.count


def guards_of(spec: Any, operands: Sequence[Any], result: Any) -> tuple[Any, ...]:
    """Guard the arrays that a rule keeps. Operands that are no tensors cannot be written to."""
    guards: tuple[Any, ...] = ()
    for i in spec.arrays if spec.rest is None else (*spec.arrays, *range(spec.rest, len(operands))):
        if hasattr(operands[i], "_writes"):
            guards += guard(operands[i])
    if spec.out and result is not None:
        guards += guard(result)
    return guards


def check_guards(node: Node) -> None:
    """Raise if an array that a node keeps was overwritten.

    Raises
    ------
    AutogradError
        Naming the operation that kept it and the write.
    """
    guards = node.guards
    for i in range(0, len(guards), 2):
        version, count = guards[i], guards[i + 1]
        if version.count != count:
            raise AutogradError(
                f"a tensor that {node.name()} kept for its gradient was overwritten by an in-place operation "
                f"({version.by or 'a write'}): it is at version {version.count}, and version {count} was kept. "
                f"Use the out-of-place form, or x.clone() before the write"
            )


def specs_of(function: Function, args: Sequence[Any]) -> list[tuple[int, Spec, Rule]]:
    """List what runs in a node's backward: position, what was kept, and the rule, for inputs that need it."""
    last = len(function.rules) - 1
    found = []
    for position, arg in enumerate(args):
        if arg is not None:
            spec, rule = function.specs[min(position, last)], function.rules[min(position, last)]
            assert spec is not None
            assert rule is not None
            found.append((position, spec, rule))
    return found
