"""Shapes and types of a graph's values, found out from what its nodes keep.

A node knows the function that was called and what its rules need, and no more. But a kept array shows the form of an
input or of the result, a rule that undoes a broadcast knows the shapes, and an elementwise function passes on what it
gets. What nothing shows stays unknown: a drawing leaves it out rather than guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from ...careful import broadcast_shapes
from ...function import ARRAY, ARRAYS, DTYPE, FUNCTIONS, ONE_OF, OUT, SHAPE, SHAPES, Function
from ...graph import Node, Output, Packed, specs_of

__all__ = ["Forms", "Value", "value_of"]

Value = tuple[int, int]
"""A value in the graph: the place of its node in the order, and which of the node's results it is."""

_PASSES: Final = 8  # of looking for more; each takes what is known one stretch of the graph further


def value_of(edge: Any) -> Value:
    """The value that an edge stands for."""
    return (edge.node.seq, edge.index) if type(edge) is Output else (edge.seq, 0)


class _Form(NamedTuple):
    shape: tuple[int, ...] | None = None
    dtype: str | None = None


_UNKNOWN: Final = _Form()


class Forms:
    """What is known of the forms of values."""

    def __init__(self) -> None:
        self._known: dict[Value, _Form] = {}

    def _form(self, value: Value) -> _Form:
        return self._known.get(value, _UNKNOWN)

    def learn(self, value: Value, shape: Any = None, dtype: str | None = None) -> bool:
        """Note a shape or type, unless one is known. Whether that is news."""
        old = self._form(value)
        new = _Form(
            old.shape if old.shape is not None or shape is None else tuple(shape),
            old.dtype if old.dtype is not None else dtype,
        )
        if new == old:
            return False
        self._known[value] = new
        return True

    def text(self, value: Value) -> str:
        """What is known of a value: ``"float32[3, 4]"``, a part of it, or nothing."""
        shape, dtype = self._form(value)
        return (dtype or "") + ("" if shape is None else str(list(shape)))

    def read(self, nodes: Sequence[Node]) -> None:
        """Learn what there is to be learned from nodes, given in their order."""
        for node in nodes:
            for value, array in _arrays(node):
                self.learn(value, array.shape, dtype_name(node, array.dtype))
            for value, shape, dtype in _forms(node):
                self.learn(value, shape, None if dtype is None else dtype_name(node, dtype))
        for turn in range(_PASSES):
            news = [self._pass_on(node) for node in (nodes if turn % 2 == 0 else reversed(nodes))]
            if turn and not any(news):
                break

    def _pass_on(self, node: Node) -> bool:
        """Learn what follows for a node's inputs and result from each other. Whether that is anything new."""
        function, out = node.function, (node.seq, 0)
        news = []
        if _keeps_type(function):
            alike = [out, *_promoted(node)]
            dtype = next((d for v in alike if (d := self._form(v).dtype) is not None), None)
            news += [self.learn(v, None, dtype) for v in alike]
        if keeps_shape(function) or (_is_broadcast(function) and node.shapes is None):  # None: they are all the same
            alike = [out, *(value_of(e) for e in node.edges if e is not None)]
            shape = next((s for v in alike if (s := self._form(v).shape) is not None), None)
            news += [self.learn(v, shape) for v in alike]
        elif _is_broadcast(function) and node.shapes is not None:
            news.append(self.learn(out, broadcast_shapes("draw", node.shapes)))
        return any(news)


def dtype_name(node: Any, native: Any) -> str:
    """The name of a library's type."""
    return getattr(node.device.dtypes.get(native, native), "name", str(native))


def keeps_shape(function: Function) -> bool:
    """Whether a result has the shape of its one operand.

    All of polyad's own functions of one array do that have neither parameters nor a check of shapes; of functions from
    elsewhere nothing is known.
    """
    plain = not function.params and function.check is None and function.outputs == 1
    single = len(function.inputs) == 1 and not function.variadic and function.view is None
    ours = function.provider.partition(" ")[0] == "polyad"  # a plugin names its version as well
    return ours and plain and single and FUNCTIONS.get(function.name) is function


def _is_broadcast(function: Function) -> bool:
    """Whether the result has the shape that the operands broadcast to: `careful` takes that for granted of these."""
    return function.broadcasts and function.check is None and function.outputs == 1 and function.view is None


def _keeps_type(function: Function) -> bool:
    return function.gives == "same" and function.outputs == 1 and function.joint is None


def _promoted(node: Node) -> Iterator[Value]:
    """A node's inputs that are of one type with each other and the result."""
    function = node.function
    last = len(function.inputs) - 1
    for position, edge in enumerate(node.edges):
        if edge is not None and min(position, last) in function.promotes:
            yield value_of(edge)


def _arrays(node: Node) -> Iterator[tuple[Value, Any]]:
    """The arrays that a node keeps and that are its inputs or results."""
    if node.args is None or node.function.joint is not None:
        return
    for position, spec, _ in specs_of(node.function, node.args):
        for (kind, key), kept in zip(spec.items, node.args[position], strict=True):
            if kind == ARRAY:
                found = [(node.edges[key], kept)]
            elif kind == ARRAYS:
                found = list(zip(node.edges[key:], kept, strict=False))
            elif kind == OUT:
                outputs = kept if type(kept) is tuple else (kept,)
                found = [(Output(node, i), array) for i, array in enumerate(outputs)]
            elif kind == ONE_OF:
                found = [(Output(node, key), kept)]
            else:
                continue
            for edge, array in found:
                if edge is not None and type(array) is not Packed and hasattr(array, "shape"):
                    yield value_of(edge), array


def _forms(node: Node) -> Iterator[tuple[Value, Any, Any]]:
    """Shapes and native types that a node knows without keeping the array."""
    if node.function.joint is not None:
        yield from _forms_of_custom(node)
        return
    for edge, shape in zip(node.edges, node.shapes or (), strict=False):
        if edge is not None and shape is not None:
            yield value_of(edge), shape, None
    args = node.args or ()
    for position, spec, _ in specs_of(node.function, args):
        for (kind, key), kept in zip(spec.items, args[position], strict=True):
            if kind == SHAPE:
                if node.edges[key] is not None:
                    yield value_of(node.edges[key]), kept, None
            elif kind == DTYPE and node.edges[key] is not None:
                yield value_of(node.edges[key]), None, kept
            elif kind == SHAPES:
                for edge, shape in zip(node.edges[key:], kept, strict=False):
                    if edge is not None:
                        yield value_of(edge), shape, None


def _forms_of_custom(node: Node) -> Iterator[tuple[Value, Any, Any]]:
    """Of the node of an `autograd.Function`, whose context knows all forms; of others with a joint rule, nothing."""
    ctx = context_of(node)
    if ctx is None:
        return
    for edge, form in zip(node.edges, ctx._arguments, strict=True):
        if edge is not None and form is not None:
            yield value_of(edge), form[0], form[1]
    for i, (shape, dtype, _) in enumerate(ctx._results):
        yield (node.seq, i), shape, dtype


def context_of(node: Node) -> Any:
    """The context of an `autograd.Function`'s node, if it is one and was not freed."""
    kept = next((a for a in node.args or () if a), (None,))[0]
    return kept if hasattr(kept, "_arguments") else None
