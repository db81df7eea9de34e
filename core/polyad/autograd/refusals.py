"""What has no derivative that can be known, and says so when one is asked for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any, Final, TypeVar

from .. import views
from ..backend import Device
from ..containers import flatten
from ..errors import AutogradError
from ..function import Function as Record
from ..grad_mode import no_grad, recording
from ..graph import Node, new, next_sequence
from ..levels import lift, meet
from ..tensor import Tensor, wrap
from .joint import joint_record, zeros

__all__ = [
    "INTERMEDIATE",
    "LOST",
    "ONCE",
    "SharedResult",
    "has_no_history",
    "once_differentiable",
    "refuse_attributes",
    "refusing",
]

F = TypeVar("F", bound=Callable[..., Any])

INTERMEDIATE: Final = (
    "{what}, of shape {shape}, was computed in forward and is neither an input nor an output, so its derivative is not "
    "known and a second derivative would be wrong. Return it from forward as one more output, compute it again in "
    "backward, or mark backward with @once_differentiable"
)
LOST: Final = (
    "backward returned a gradient that was not computed from its arguments in recorded operations, so there is no "
    "second derivative; compute it with polyad's functions, return None for zero, or mark backward with "
    "@once_differentiable"
)
ONCE: Final = (
    "its backward is marked once_differentiable, so there is no second derivative; write backward in polyad's "
    "operations without the mark to have one"
)


_SHARED: Final = (
    "it shares memory with another tensor, such as the argument that forward returned as it is or as a view, and its "
    "backward would know nothing of the write. Return a clone() from forward; or, where forward itself writes to an "
    "argument, name that in ctx.mark_dirty(...) and return it"
)


def has_no_history(x: Any) -> bool:
    """Whether a tensor that could have one has no history."""
    return isinstance(x, Tensor) and x.dtype.is_differentiable and views.node_of(x) is None


def refuse_attributes(ctx: Any, name: str) -> None:
    """Raise for tensors that are attributes of a context: how they depend on the arguments is not known."""
    for key, value in vars(ctx).items():
        if key[0] == "_":
            continue
        found = _with_tensor(value)
        if found is not None:
            raise AutogradError(
                f"{name}: ctx.{key}{found} a tensor, and gradients are to be recorded: how it depends on the inputs is "
                f"not known, so a second derivative would be wrong. Keep inputs and outputs by "
                f"ctx.save_for_backward(...), pass constants as arguments, or mark backward with @once_differentiable"
            )


def _with_tensor(value: Any) -> str | None:
    """Say how a value has a tensor, in words that follow its name; None if it has none that could be seen."""
    if isinstance(value, Tensor):
        return " is" if value.dtype.is_differentiable else None
    for leaf in flatten(value)[0]:
        if isinstance(leaf, Tensor):
            if leaf.dtype.is_differentiable:
                return " has"
            continue
        for key, part in _attributes(leaf):
            if any(map(has_no_history, flatten(part)[0])):
                return f" has, as attribute {key!r} of {type(leaf).__name__},"
    return None


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    """The attributes of an object, in its dictionary or in slots."""
    if isinstance(value, (type, ModuleType)):  # hold what is anybody's
        return
    yield from list(getattr(value, "__dict__", {}).items())
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        for key in (slots,) if isinstance(slots, str) else slots:
            if key not in ("__dict__", "__weakref__") and hasattr(value, key):
                yield key, getattr(value, key)


def once_differentiable(backward: F) -> F:
    """Mark a `Function.backward` that must not be differentiated in turn: a decorator, below ``@staticmethod``.

    Its results have a history that raises when a second derivative comes to it.

    Examples
    --------
    >>> import polyad as ad
    >>> class Double(ad.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...
    ...     @staticmethod
    ...     @ad.autograd.function.once_differentiable
    ...     def backward(ctx, g):
    ...         return g * 2
    >>> x = ad.tensor(1.0, requires_grad=True)
    >>> ad.autograd.grad(Double.apply(x), x)
    (tensor(2.),)
    """

    @functools.wraps(backward)
    def once(ctx: Any, *grads: Any) -> Any:
        state = ctx._pass
        ctx._pass = None if state is None else (state[0], False)
        try:
            with no_grad():
                found = backward(ctx, *grads)
            if any(isinstance(t, Tensor) and t._device.depth for t in grads):
                found = _refused_below(ctx, found, [*grads, *_standing_for(state, ctx)])
        finally:
            ctx._pass = state
        return found if state is None or not state[1] else _each(found, lambda g: _refused_at(state[0], ctx._name, g))

    once.once_differentiable = True  # type: ignore[attr-defined]
    return once  # type: ignore[return-value]


def _each(found: Any, make: Callable[[Any], Any]) -> Any:
    """Make something of each gradient that a backward returned."""
    return tuple(map(make, found)) if isinstance(found, (tuple, list)) else make(found)


def _refused_at(node: Node, name: str, g: Any) -> Any:
    return refusing(name, g, node.edges, ONCE) if isinstance(g, Tensor) and g._device is node.device else g


def _standing_for(state: Any, ctx: Any) -> list[Tensor]:
    """Tensors with the history of a node's arguments, if it is to be gone on with."""
    if state is None or not state[1]:
        return []
    blank = zeros((), *ctx._results[0][1:])
    return [wrap(views.raw(blank), blank._device, edge) for edge in state[0].edges if edge is not None]


def _refused_below(ctx: Any, found: Any, grads: Sequence[Any]) -> Any:
    """What a backward returned on tensors of a level, with what they hold refusing, too."""
    sources = [t for t in (*grads, *ctx.saved_tensors, *flatten(vars(ctx))[0]) if isinstance(t, Tensor)]
    return _each(found, lambda g: _holding_refusing(ctx._name, g, sources))


def _holding_refusing(name: str, g: Any, sources: Sequence[Tensor]) -> Any:
    """A tensor of a level, holding one whose own gradient is refused, if what it was computed from has a history there.

    Raises at once if that has a tangent.
    """
    if not isinstance(g, Tensor) or not g._device.depth or not g.dtype.is_differentiable:
        return g
    found = [views.raw(lift(s, g._device)) for s in sources if meet(s._device, g._device) is g._device]
    if any(array.moves for array in found):
        raise AutogradError(f"{name}: {ONCE}")
    array = views.raw(g)
    backend: Any = g._device.backend
    values = list(map(backend.values, found))
    value = _holding_refusing(name, backend.values(array), values)
    edges = [views.node_of(v) for v in values]
    if recording() is not False and any(e is not None for e in edges):
        value = refusing(name, value, edges, ONCE)
    return wrap(array.holding(value), g._device, views.node_of(g))


def refusing(name: str, g: Any, edges: Sequence[Any], why: str) -> Any:
    """Give a tensor with a history that raises when a gradient comes to it; ``edges`` are where it would go on to."""
    if not isinstance(g, Tensor) or not g.dtype.is_differentiable:
        return g
    return wrap(views.raw(g), g._device, _refusing_node(name, g._device, edges, why))


def _refusing_node(name: str, device: Device, edges: Sequence[Any], why: str) -> Node:
    node: Any = new(Node)
    node.function, node.device = _refusal(name, why), device
    node.edges, node.args = tuple(edges), tuple(None if e is None else () for e in edges)
    node.seq, node.hooks, node.guards, node.shapes = next_sequence(), None, (), None
    return node  # type: ignore[no-any-return]


class SharedResult:
    """Why a result of an `autograd.Function` cannot be written to: it shares memory with an argument, say.

    A write with history, to either, would change both, and the function's backward would know nothing of it.
    """

    __slots__ = ("_name", "_device", "_edge")

    def __init__(self, name: str, device: Device, edge: Any) -> None:
        self._name, self._device, self._edge = name, device, edge

    def refuse(self, by: str) -> None:
        """Raise where the result itself, or a view of it, is about to be written."""
        raise AutogradError(f"{by}: a result of {self._name} cannot be written in place: {_SHARED}")

    def node(self) -> Node:
        """The history of the result once the other was written: one that raises when a gradient comes to it."""
        why = f"there is no derivative by a result that was written through another tensor since: {_SHARED}"
        return _refusing_node(self._name, self._device, [self._edge], why)


def _refusal(name: str, why: str) -> Record:
    def refuse(*_: Any) -> Any:
        raise AutogradError(f"{name}: {why}")

    return joint_record(f"{name}_refused", refuse)
