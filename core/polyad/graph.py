"""The recorded graph: one `Node` an operation, with what its rules keep. Knows no Tensor.

Nodes point from results to operands only, so a graph has no cycles and dies by reference count.
"""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from .backend import Device
from .errors import AutogradError, OperandError
from .function import Function, Rule, Spec
from .grad_mode import recording, watched

__all__ = ["AccumulateGrad", "Handle", "Hooks", "Node", "Output", "Packed", "Version", "record"]

new: Final = object.__new__
next_sequence: Final = itertools.count().__next__


class Version:
    """How often a piece of memory was written in place, and by what last. Made when a value is first kept."""

    __slots__ = ("count", "by")
    count: int
    by: str | None

    def __init__(self) -> None:
        self.count, self.by = 0, None


class Sealed(Version):
    """The version of a tensor that has the memory of a kept array, and must not be written.

    Attributes
    ----------
    of : Version
        That of the array, so that what is kept of this tensor in turn is guarded.
    why : str
        What a write is answered with.
    """

    __slots__ = ("of", "why")

    def __init__(self, of: Version, why: str) -> None:
        self.of, self.why, self.by = of, why, None

    @property
    def count(self) -> int:
        """How often the array was written."""
        return self.of.count

    @count.setter
    def count(self, value: int) -> None:
        self.refuse("in-place write")

    def refuse(self, by: str) -> None:
        """Raise, for a write by an operation."""
        raise AutogradError(f"{by}: {self.why}")


class Handle:
    """What a registration of a hook gives: ``handle.remove()`` undoes it. Also a context manager."""

    __slots__ = ("registered",)

    def __init__(self, *registered: dict[Handle, Any]) -> None:
        self.registered = registered

    def remove(self) -> None:
        """Take the hook away, if it is still there."""
        for hooks in self.registered:
            hooks.pop(self, None)

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hooks:
    """What is called when backward reaches a node, in this order, each kind in the order of registration.

    Attributes
    ----------
    grad : dict
        With the gradient of one result: hooks of tensors.
    keep : dict
        The same, after all others: `Tensor.retain_grad`.
    pre : dict
        With the gradients of all results, before the node's rules run.
    post : dict
        With the gradients of all inputs and results, after they ran; of a leaf, with it, once it has its gradient.
    last : dict
        Of a leaf, after all others: with no gradient of inputs, and the gradient that was accumulated.
    outputs : dict
        Of a node with several results ``index -> Hooks``, those of one result.
    """

    __slots__ = ("grad", "keep", "pre", "post", "last", "outputs")

    def __init__(self) -> None:
        self.outputs: dict[int, Hooks] = {}
        self.grad: dict[Handle, Any] = {}
        self.keep: dict[Handle, Any] = {}
        self.pre: dict[Handle, Any] = {}
        self.post: dict[Handle, Any] = {}
        self.last: dict[Handle, Any] = {}

    def __bool__(self) -> bool:
        return bool(self.grad or self.keep or self.pre or self.post or self.last)


class LeafHooks(Hooks):
    """The hooks of a leaf.

    Attributes
    ----------
    lock : RLock
        Held while a gradient is added to the leaf and the hooks that follow are called: so each call finds what was
        added for it, and what it takes away has been seen.
    """

    __slots__ = ("lock", "__weakref__")

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()

    @property
    def follow(self) -> bool:
        """Whether any are called once the leaf has its gradient."""
        return bool(self.post or self.last)


HOOKED: Final[set[weakref.ref[LeafHooks]]] = set()
"""Leaves' hooks among which there are, or were, some that follow. While it is empty no pass looks for such."""


def any_hooked() -> bool:
    """Whether a leaf has a hook that is called once it has its gradient. Those that have none left are forgotten."""
    for reference in HOOKED.copy():
        hooks = reference()
        if hooks is None or not hooks.follow:
            HOOKED.discard(reference)
            if hooks is not None and hooks.follow:  # registered just now, by another thread
                HOOKED.add(reference)
    return bool(HOOKED)


class _Edge:
    """What the graph's nodes have in common, as users see them through ``grad_fn``."""

    __slots__ = ()
    kind_of_hooks: ClassVar[type[Hooks]] = Hooks
    seq: int
    hooks: Any

    def name(self) -> str:
        """Name of the kind of node."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{self.name()}>"

    def add_hook(self, hook: Callable[..., Any], kind: str = "grad") -> Handle:
        """Have a hook called: of the ``kind`` that is an attribute of `Hooks`."""
        if not callable(hook):
            raise OperandError(f"a hook must be callable; got {hook!r:.60}")
        if self.hooks is None:
            self.hooks = self.kind_of_hooks()
        watch: Any = watched()
        if watch is not None and self.seq < watch.since:
            return Handle()
        registered = getattr(self.hooks, kind)
        handle = Handle(registered)
        registered[handle] = hook
        return handle

    def register_prehook(self, hook: Callable[..., Any]) -> Handle:
        """Have ``hook(grad_outputs)`` called by backward before this node runs.

        Parameters
        ----------
        hook : callable
            Gets a tuple of the gradients of the node's results, None for those that have none. It may return a
            tuple that takes its place, or None.

        Returns
        -------
        Handle
            ``handle.remove()`` takes the hook away.

        Examples
        --------
        >>> import polyad as ad
        >>> x = ad.tensor(3.0, requires_grad=True)
        >>> y = x * x
        >>> handle = y.grad_fn.register_prehook(lambda grads: (grads[0] * 10,))
        >>> ad.autograd.grad(y, x)
        (tensor(60.),)
        """
        return self.add_hook(hook, "pre")


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

    # _metadata is empty until somebody asks for it
    __slots__ = ("function", "edges", "args", "guards", "shapes", "seq", "device", "hooks", "_metadata")
    _metadata: dict[str, Any]
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
        return tuple((shown(edge), edge.index if type(edge) is Output else 0) for edge in self.edges)

    @property
    def metadata(self) -> dict[str, Any]:
        """What anybody cares to note with this node. `autograd.detect_anomaly` notes ``"traceback"``."""
        try:
            return self._metadata
        except AttributeError:
            self._metadata = {}
            return self._metadata

    def register_hook(self, hook: Callable[..., Any]) -> Handle:
        """Have ``hook(grad_inputs, grad_outputs)`` called by backward after this node ran.

        Parameters
        ----------
        hook : callable
            Gets the gradients that the node computed for its inputs and those of its results, both as tuples, with
            None where there is none. It may return a tuple that takes the place of ``grad_inputs``, or None.

        Returns
        -------
        Handle
            ``handle.remove()`` takes the hook away.

        Examples
        --------
        >>> import polyad as ad
        >>> x = ad.tensor(3.0, requires_grad=True)
        >>> y = x * 2
        >>> handle = y.grad_fn.register_hook(lambda inputs, outputs: print(inputs, outputs))
        >>> y.backward()
        (tensor(2.), None) (tensor(1.),)
        """
        return self.add_hook(hook, "post")


class ShownNode(Node):
    """A node that somebody looks at, with what it keeps as attributes (bound in `polyad.autograd.graph`).

    Not `Node` itself: a class with ``__getattr__`` is slow to read, and the engine reads nodes all the time.
    """

    __slots__ = ()


def shown(edge: Any) -> Any:
    """Give the node of an edge, for users."""
    node = edge.node if type(edge) is Output else edge
    if type(node) is Node:
        node.__class__ = ShownNode
    return node


class Packed:
    """A kept array as a pack hook made it over (see `polyad.autograd.graph.saved_tensors_hooks`)."""

    __slots__ = ("value", "unpack")

    def __init__(self, value: Any, unpack: Callable[[Any], Any]) -> None:
        self.value, self.unpack = value, unpack


def opened_value(value: Any) -> Any:
    """Give what a rule is to get for one value that was kept."""
    return value.unpack(value.value) if type(value) is Packed else value


def origin(node: Node, g: Any) -> str:
    """Say what a node is: its operation, whose it is, and where it ran; and the line of the program, if noted."""
    arrays = [a for a in (g if isinstance(g, (tuple, list)) else (g,)) if hasattr(a, "shape")]
    types = node.device.dtypes
    form = ", ".join(f"{getattr(types.get(a.dtype, a.dtype), 'name', a.dtype)}{list(a.shape)}" for a in arrays)
    text = f"in {node.name()} of {node.function.origin}, at a gradient {form} on {node.device.where}"
    traceback = getattr(node, "_metadata", {}).get("traceback")
    return text if traceback is None else f"{text}; recorded at\n{traceback}"


PACKED: Final = Version()
"""In the guards of a node, with a count that it never has: what the node keeps is to be unpacked."""


class Output(_Edge):
    """One output of a function that has several: routes its gradient to the node.

    There may be several of one output, as of one that the node itself keeps. So its hooks are with the node.
    """

    __slots__ = ("node", "index")

    def __init__(self, node: Node, index: int) -> None:
        self.node, self.index = node, index

    @property
    def hooks(self) -> Any:
        """What is called with this output's gradient; None if nothing is."""
        hooks = self.node.hooks
        return None if hooks is None else hooks.outputs.get(self.index)

    @hooks.setter
    def hooks(self, hooks: Hooks) -> None:
        node = self.node
        if node.hooks is None:
            node.hooks = Hooks()
        node.hooks.outputs[self.index] = hooks

    @property
    def seq(self) -> int:  # type: ignore[override]  # the node's
        """The node's place in the order."""
        return self.node.seq

    @property
    def device(self) -> Device:
        """Where its gradient lives."""
        return self.node.device

    def name(self) -> str:
        """Name of the node."""
        return self.node.name()


class AccumulateGrad(_Edge):
    """The end of a path: adds what arrives to a leaf's ``grad``.

    It knows its leaf weakly. A leaf that nobody holds has no use for a gradient.
    """

    __slots__ = ("leaf", "seq", "hooks", "device", "_metadata")
    kind_of_hooks = LeafHooks
    next_functions = ()
    leaf: Callable[[], Any]

    def __init__(self, leaf: Any) -> None:
        self.leaf, self.seq, self.hooks, self.device = weakref.ref(leaf), next_sequence(), None, leaf._device

    def name(self) -> str:
        """Name of the kind of node."""
        return "AccumulateGrad"

    metadata = Node.metadata

    def add_hook(self, hook: Callable[..., Any], kind: str = "grad") -> Handle:
        """Have a hook called: of the ``kind`` that is an attribute of `Hooks`."""
        handle = super().add_hook(hook, kind)
        if kind in ("post", "last"):
            HOOKED.add(weakref.ref(self.hooks))
        return handle

    @property
    def variable(self) -> Any:
        """The leaf; None if nobody holds it any more, or it requires no gradient now."""
        return self.leaf() if type(self.leaf) is weakref.ref else None

    def register_hook(self, hook: Callable[..., Any]) -> Handle:
        """Have ``hook(grad_inputs, grad_outputs)`` called by backward after the leaf's ``grad`` was added to.

        Parameters
        ----------
        hook : callable
            Gets an empty tuple, since a leaf has no inputs, and a tuple of the gradient that was added. It returns
            None. `Tensor.register_post_accumulate_grad_hook` takes one that gets the leaf.

        Returns
        -------
        Handle
            ``handle.remove()`` takes the hook away.

        Examples
        --------
        >>> import polyad as ad
        >>> x = ad.tensor(3.0, requires_grad=True)
        >>> node = ad.autograd.graph.get_gradient_edge(x).node
        >>> handle = node.register_hook(lambda inputs, outputs: print(outputs, x.grad))
        >>> (x * 2).backward()
        (tensor(2.),) tensor(2.)
        """
        return self.add_hook(hook, "last")


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
    node.shapes = None
    if function.broadcasts and len({v.shape for v in (*values, out) if hasattr(v, "shape")}) != 1:
        node.shapes = tuple(getattr(v, "shape", ()) for v in values)
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
    mode = recording()
    if mode is not True and mode is not False:
        mode.watch(node, operands, result)
    return node


def observed(*operation: Any) -> Node | None:
    """Record an operation where recording is no plain matter: not, or under a watch."""
    return None if recording() is False else record(*operation)


def guard(tensor: Any) -> tuple[Version, int]:
    """Give a tensor's version and its count, for a check that it was not written since."""
    version: Version | None = tensor._writes
    if version is None:
        fresh = Version()
        version = tensor._writes  # another thread may come in the call, but not before the store
        if version is None:
            version = tensor._writes = fresh
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


def opened(node: Node) -> tuple[Any, ...]:
    """Give what a node keeps, unpacked where hooks packed it; raise if an array was overwritten.

    Raises
    ------
    AutogradError
        Naming the operation that kept it and the write.
    """
    args, guards = node.args, node.guards
    assert args is not None
    check_kept(node)
    return _unpacked(args) if guards and guards[0] is PACKED else args


def check_kept(node: Node) -> None:
    """Raise if an array that a node keeps was overwritten."""
    guards = node.guards
    for i in range(0, len(guards), 2):
        version, count = guards[i], guards[i + 1]
        if version.count != count and version is not PACKED:
            refuse_stale(node.name(), version, count)


def refuse_stale(keeper: str, version: Version, count: int) -> None:
    """Raise for an array that was kept at one count of its version, and is at another."""
    raise AutogradError(
        f"a tensor that {keeper} kept for its gradient was overwritten by an in-place operation "
        f"({version.by or 'a write'}): it is at version {version.count}, and version {count} was kept. "
        f"Use the out-of-place form, or x.clone() before the write"
    )


def _unpacked(args: Sequence[Any]) -> tuple[Any, ...]:
    """What a node keeps with everything unpacked, each thing once."""
    found: dict[int, Any] = {}
    return tuple(None if kept is None else tuple(_unpacked_value(v, found) for v in kept) for kept in args)


def _unpacked_value(value: Any, found: dict[int, Any]) -> Any:
    if type(value) is tuple:
        return tuple(_unpacked_value(v, found) for v in value)
    if type(value) is not Packed:
        return value
    if id(value) not in found:
        found[id(value)] = opened_value(value)
    return found[id(value)]


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
