"""`polyad.autograd.Function` on tensors of a level (see `polyad.levels`): under `vmap` and in forward mode.

A call at a level is a call at the level below, and what the level makes of its results. Forward itself runs at the
lowest, once. What its context keeps is known by places: which argument it is, which result, or neither. So there is a
context for each level above, of that level's arguments and results, and at each the gradient is the user's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..autograd.function import Function, FunctionCtx, forwarded, results
from ..autograd.refusals import INTERMEDIATE, refusing
from ..backend import Device
from ..containers import Structure, flatten, unflatten
from ..errors import DeviceError, TransformError
from ..grad_mode import recording
from ..levels import lift, meet
from ..tensor import Tensor, wrap
from ..views import node_of, raw

__all__ = [
    "ARGUMENT",
    "OTHER",
    "RESULT",
    "Call",
    "Kept",
    "OfExamples",
    "Place",
    "applied",
    "called",
    "device_of",
    "kept_by",
    "unknown",
]

ARGUMENT, RESULT, OTHER = "argument", "result", "other"


class Place(NamedTuple):
    """What a tensor is that forward kept: the argument or result of a number, or an `OTHER` one."""

    kind: str
    number: int


class Kept(NamedTuple):
    """What forward left in its context, without the tensors.

    Attributes
    ----------
    backward, forward : tuple of (Place or None)
        What was saved for `Function.backward` and for `Function.jvp`.
    attributes : dict
        The attributes that the user set: ``name -> (leaves, structure)``, with a Place for each tensor.
    constant : frozenset of int
        The results that have no gradient.
    materialize : bool
    """

    backward: tuple[Place | None, ...]
    forward: tuple[Place | None, ...]
    attributes: dict[str, tuple[list[Any], Structure]]
    constant: frozenset[int]
    materialize: bool


class Call:
    """One call of a `Function`, as it is at one level.

    Attributes
    ----------
    cls : type
    kept : Kept or None
        None if forward did not run, but the class's own ``vmap``.
    args, outputs, others : list
        Of this level. Outputs have their history, once they are recorded.
    needed : tuple of bool
        Of which arguments a gradient or a tangent may be wanted.
    several : bool
        Whether it returns a tuple.
    varied : bool
        Whether a level below has tangents of arguments, so that the ``others`` lack theirs.
    """

    def __init__(
        self,
        cls: type[Function],
        kept: Kept | None,
        args: Sequence[Any],
        outputs: Sequence[Any],
        others: Sequence[Tensor],
        needed: Sequence[bool],
        *,
        several: bool,
        varied: bool = False,
    ) -> None:
        self.cls, self.kept, self.several, self.varied = cls, kept, several, varied
        self.args, self.outputs, self.others, self.needed = list(args), list(outputs), list(others), tuple(needed)

    def at(self, place: Any) -> Any:
        """Give what is at a place; anything else as it is."""
        if type(place) is not Place:
            return place
        return {ARGUMENT: self.args, RESULT: self.outputs, OTHER: self.others}[place.kind][place.number]

    def context(self, *, forward: bool = False) -> Any:
        """Make the context of this level: for `Function.backward`, or for `Function.jvp`."""
        cls, kept = self.cls, self.kept
        if kept is None:
            raise TransformError(
                f"{cls.__name__}: gradients inside vmap need what its vmap(...) leaves no context for; give it "
                f"forward(*args) and setup_context(ctx, inputs, output) in place of forward(ctx, *args)"
            )
        ctx: Any = cls._context()
        for name, (leaves, structure) in kept.attributes.items():
            setattr(ctx, name, unflatten(structure, list(map(self.at, leaves))))
        ctx._to_save = tuple(map(self.at, kept.forward if forward else kept.backward))
        ctx._materialize, ctx._varied, ctx.needs_input_grad = kept.materialize, self.varied, self.needed
        ctx._constant = tuple(self.outputs[i] for i in kept.constant)
        return ctx

    def record(self) -> None:
        """Record the call at this level, if an argument has a history there."""
        edges = tuple(node_of(a) if isinstance(a, Tensor) else None for a in self.args)
        if recording() is False or all(e is None for e in edges):
            return
        self.outputs = results(self.cls, self.context(), self.args, edges, self.outputs)
        # from here on, what is neither argument nor result has a history that is not known
        tensors = [t for t in (*self.args, *self.outputs) if isinstance(t, Tensor)]
        if any(node_of(t) is not None for t in self.outputs if isinstance(t, Tensor)):
            self.others = [refusing(self.cls.__name__, o, list(map(node_of, tensors)), unknown(o)) for o in self.others]

    def differentiable(self, i: int) -> bool:
        """Whether a result has a gradient."""
        y = self.outputs[i]
        return (
            isinstance(y, Tensor) and y.dtype.is_differentiable and (self.kept is None or i not in self.kept.constant)
        )


def unknown(tensor: Tensor) -> str:
    """Say why a derivative by a tensor that forward computed on the way is not known."""
    return INTERMEDIATE.format(what="a tensor that was kept", shape=tensor.shape)


def device_of(cls: type, tensors: Sequence[Any]) -> Device:
    """Give the device at which tensors meet: the deepest.

    Raises
    ------
    DeviceError
        If there is none.
    """
    found: Device | None = None
    for t in tensors:
        if isinstance(t, Tensor) and t._device is not found:
            at = t._device if found is None else meet(found, t._device)
            if at is None:
                raise DeviceError(
                    f"{cls.__name__}: arguments are of different transforms: {found and found.where}, and "
                    f"{t._device.where}"
                )
            found = at
    assert found is not None
    return found


class OfExamples(Function):
    """A function of all examples together, made of one of single examples (see `custom_batched`)."""


# Calls -----------------------------------------------------------------------------------------------------------


def applied(cls: type[Function], args: Sequence[Any]) -> Any:
    """Do what `Function.apply` does, where an argument is of a level."""
    call = called(cls, args, [False] * len(args))
    return tuple(call.outputs) if call.several else call.outputs[0]


def called(cls: type[Function], args: Sequence[Any], needed: Sequence[bool]) -> Call:
    """Call a function at the level of its deepest argument, and record it there.

    ``needed`` says of which arguments a level above wants a gradient or a tangent.
    """
    tensors = [a for a in args if isinstance(a, Tensor)]
    device: Any = device_of(cls, tensors) if tensors else None
    if device is not None:
        args = [lift(a, device) if isinstance(a, Tensor) else a for a in args]
        needed = [n or node_of(a) is not None if isinstance(a, Tensor) else False for n, a in zip(needed, args)]  # noqa: B905
    if device is None or not device.depth:
        call = _at_the_bottom(cls, args, needed)
    else:
        call = device.level.custom(cls, args, needed, device)
    call.record()
    return call


def _at_the_bottom(cls: type[Function], args: Sequence[Any], needed: Sequence[bool]) -> Call:
    """Run forward, on arguments of the lowest level."""
    if not issubclass(cls, OfExamples):
        args = list(map(_apart, args))
    ctx: Any = cls._context()
    ctx.needs_input_grad = tuple(needed)
    return kept_by(cls, ctx, args, forwarded(cls, ctx, args), needed)


def _apart(x: Any) -> Any:
    """An argument in memory of its own: forward may write to it, and transforms cannot undo that."""
    if not isinstance(x, Tensor):
        return x
    backend = x._device.backend
    return wrap(backend.copy(raw(x)) if backend.writable else raw(x), x._device, node_of(x))


def kept_by(cls: type[Function], ctx: Any, args: Sequence[Any], output: Any, needed: Sequence[bool]) -> Call:
    """Take a context apart that forward has filled.

    Raises
    ------
    TransformError
        If forward wrote to an argument in place.
    """
    if ctx._dirty:
        raise TransformError(
            f"{cls.__name__}: forward marks an argument dirty, which it writes to in place; inside a transform it has "
            f"to return a new tensor"
        )
    outputs = list(output) if isinstance(output, tuple) else [output]
    others: list[Tensor] = []

    def place(t: Any) -> Any:
        if not isinstance(t, Tensor):
            return t
        for kind, tensors in ((ARGUMENT, args), (RESULT, outputs), (OTHER, others)):
            for i, known in enumerate(tensors):
                if known is t:
                    return Place(kind, i)
        others.append(t)
        return Place(OTHER, len(others) - 1)

    attributes = {}
    for name, value in vars(ctx).items():
        if not hasattr(FunctionCtx, name):
            leaves, structure = flatten(value)
            if not any(isinstance(x, Tensor) for x in leaves):
                leaves, structure = [value], Structure()
            attributes[name] = list(map(place, leaves)), structure
    saved = ctx._to_save or ()
    constant = frozenset(i for i, y in enumerate(outputs) if any(y is c for c in ctx._constant))
    kept = Kept(
        tuple(map(place, saved)),
        tuple(map(place, saved if ctx._for_forward is None else ctx._for_forward)),
        attributes,
        constant,
        ctx._materialize,
    )
    return Call(cls, kept, args, outputs, others, needed, several=isinstance(output, tuple))
