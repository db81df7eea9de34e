"""`polyad.autograd.Function` under `vmap`.

For all examples it is a function of the level below, which runs its methods on single ones. So that has the user's
backward, and gradients at each level are the user's. Arguments that are the same for all examples get the sum of the
examples' gradients.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..autograd.function import Function, fitted, forwarded, returned
from ..autograd.refusals import once_differentiable
from ..backend import Device
from ..batching import in_front
from ..dtypes import DType
from ..errors import AutogradError, OperandError, ShapeError
from ..function import FUNCTIONS
from ..grad_mode import no_grad
from ..levels import below, entered, lift
from ..ops.arguments import normalize_axis
from ..tensor import Tensor, wrap
from ..views import raw
from .batched import Batched, BatchLevel
from .custom import ARGUMENT, OTHER, RESULT, Call, Kept, OfExamples, Place, called, device_of, kept_by
from .custom_dual import moved_by, tangent_of

__all__ = ["Examples", "VmapInfo", "batched_call"]


class VmapInfo(NamedTuple):
    """What a class's own ``vmap`` is told of the transform.

    Attributes
    ----------
    batch_size : int
        The number of examples.
    randomness : str
        What random functions are to do.
    """

    batch_size: int
    randomness: str


class Examples(NamedTuple):
    """What a call for many examples has besides its arguments.

    Attributes
    ----------
    info : VmapInfo
    batched : tuple of bool
        For each argument whether it has the examples along a first axis.
    """

    info: VmapInfo
    batched: tuple[bool, ...]

    def level(self) -> BatchLevel:
        """Make a level to run single examples at: that of the transform may have ended."""
        return BatchLevel(*self.info)


class State(NamedTuple):
    """What the context of all examples knows of that of single ones; it keeps the tensors itself.

    Attributes
    ----------
    examples : Examples
    kept : Kept
    several : bool
    used : tuple of Place
        The arguments and results that are kept; after them come the others.
    results, others : tuple of bool
        Which have the examples along a first axis.
    arguments, forms : tuple
        Shape and type of an example's arguments and results, None of what is no tensor.
    """

    examples: Examples
    kept: Kept
    several: bool
    used: tuple[Place, ...]
    results: tuple[bool, ...]
    others: tuple[bool, ...]
    arguments: tuple[Any, ...]
    forms: tuple[Any, ...]

    def batched(self, place: Place) -> bool:
        """Whether an argument or result has the examples along a first axis."""
        return (self.examples.batched if place.kind == ARGUMENT else self.results)[place.number]


def batched_call(cls: type[Function], args: Sequence[Any], needed: Sequence[bool], device: Any) -> Call:
    """Call a function at a level of `vmap`, on arguments of that level."""
    level = device.level
    arrays = [raw(a) if isinstance(a, Tensor) else a for a in args]
    flags = tuple(type(a) is Batched and a.batched for a in arrays)
    inside = [a.tensor if type(a) is Batched else a for a in arrays]
    examples = Examples(VmapInfo(level.size, level.randomness), flags)
    if any(flags) and cls.vmap is not Function.vmap:
        return _by_own_rule(cls, examples, inside, args, needed, device)
    with below(level, device):
        if not any(flags):
            inner = called(cls, inside, needed)
        else:
            inner = called(_together(cls), [examples, *inside], [False, *needed])
    kept, several, others = inner.kept, inner.several, [lift(o, device) for o in inner.others]
    outs = (False,) * len(inner.outputs)
    if any(flags):
        assert inner.kept is not None
        state: State = inner.kept.attributes["state"][0][0]
        kept, several, outs = state.kept, state.several, state.results
        tensors = map(inner.at, inner.kept.backward[len(state.used) :])
        others = [_inside(t, flag, device) for t, flag in zip(tensors, state.others, strict=True)]
    outputs = [_inside(y, flag, device) for y, flag in zip(inner.outputs, outs, strict=True)]
    return Call(cls, kept, args, outputs, others, needed, several=several, varied=inner.varied)


def _inside(x: Any, flag: bool, device: Any) -> Any:
    """A tensor of all examples as one of a single example, on a device of the level."""
    return wrap(Batched(device, x, flag), device) if isinstance(x, Tensor) else x


def _entering(x: Any, flag: bool, level: BatchLevel) -> Any:
    return _inside(x, flag, level.device(x._device)) if isinstance(x, Tensor) else x


def _form(x: Any) -> tuple[tuple[int, ...], DType] | None:
    return (x.shape, x.dtype) if isinstance(x, Tensor) else None


# The function of all examples ------------------------------------------------------------------------------------


def _together(cls: type[Function]) -> type[Function]:
    """Give the function of all examples of a function."""
    made: type[Function] | None = cls.__dict__.get("_together")
    if made is None:
        backward: Any = functools.partial(_backward, cls)
        if hasattr(cls.backward, "once_differentiable"):
            backward = once_differentiable(backward)
        body = {"forward": functools.partial(_forward, cls), "backward": backward}
        if cls.jvp is not Function.jvp:
            body["jvp"] = functools.partial(_jvp, cls)
        methods: dict[str, Any] = {name: staticmethod(method) for name, method in body.items()}
        made = type(cls.__name__, (OfExamples,), {**methods, "__module__": cls.__module__})
        setattr(cls, "_together", made)  # noqa: B010 - of this class alone
    return made


def _forward(cls: type[Function], ctx: Any, examples: Examples, *args: Any) -> tuple[Any, ...]:
    level = examples.level()
    with entered(level):
        inside = [_entering(a, flag, level) for a, flag in zip(args, examples.batched, strict=True)]
        own: Any = cls._context()
        own.needs_input_grad = needed = ctx.needs_input_grad[1:]
        call = kept_by(cls, own, inside, forwarded(cls, own, inside), needed)
        device = device_of(cls, [*inside, *call.outputs])
        arrays = [raw(lift(y, device)) if isinstance(y, Tensor) else y for y in call.outputs]
        outputs = [_whole(a, level.size) if type(a) is Batched else a for a in arrays]
        others = [raw(lift(o, device)) for o in call.others]
    kept = call.kept
    assert kept is not None
    used = tuple(sorted({p for p in _places(kept) if p.kind != OTHER}))
    both = {ARGUMENT: args, RESULT: outputs}
    ctx.state = State(
        examples,
        kept,
        call.several,
        used,
        tuple(type(a) is Batched for a in arrays),
        tuple(o.batched for o in others),
        tuple(map(_form, inside)),
        tuple(map(_form, call.outputs)),
    )
    ctx.save_for_backward(*(both[p.kind][p.number] for p in used), *(o.tensor for o in others))
    ctx.set_materialize_grads(kept.materialize)
    ctx.mark_non_differentiable(*(outputs[i] for i in kept.constant))
    return tuple(outputs)


def _whole(array: Batched, size: int) -> Tensor:
    """The tensor of all examples, with their axis: so the gradient of each example's result is its own."""
    return in_front(array.tensor, size, array.batched)  # type: ignore[no-any-return]


def _places(kept: Kept) -> list[Place]:
    leaves = [leaf for leaves, _ in kept.attributes.values() for leaf in leaves]
    return [p for p in (*kept.backward, *kept.forward, *leaves) if type(p) is Place]


def _single(cls: type[Function], ctx: Any, level: BatchLevel) -> Call:
    """The call of single examples, with what it kept."""
    state: State = ctx.state
    args: list[Any] = [None] * len(state.arguments)
    outputs: list[Any] = [None] * len(state.forms)
    tensors = list(ctx.saved_tensors)
    for place in state.used:
        (args if place.kind == ARGUMENT else outputs)[place.number] = _entering(
            tensors.pop(0), state.batched(place), level
        )
    others = [_entering(t, flag, level) for t, flag in zip(tensors, state.others, strict=True)]
    return Call(cls, state.kept, args, outputs, others, ctx.needs_input_grad[1:], several=state.several)


def _backward(cls: type[Function], ctx: Any, *grads: Any) -> list[Any]:
    state: State = ctx.state
    size, batched = state.examples.info.batch_size, state.examples.batched
    level, needed = state.examples.level(), ctx.needs_input_grad[1:]
    with entered(level):
        call = _single(cls, ctx, level)
        inside = [_entering(g, True, level) for g in grads]
        found = returned(cls, call.context(), inside, needed)
        device = _deepest(cls, call, [*inside, *found])
        results: list[Any] = [None]
        for i, (x, n, form) in enumerate(zip(found, needed, state.arguments, strict=True)):
            g = fitted(cls.__name__, i, x, (*form, device), True) if n else None
            results.append(None if g is None else _summed(raw(g), batched[i], size))
    return results


def _deepest(cls: type, call: Call, more: Sequence[Any]) -> Device:
    return device_of(cls, [*call.args, *call.outputs, *call.others, *more])


def _summed(array: Batched, batched: bool, size: int) -> Tensor:
    """Gradients of all examples: of what is the same for all, their sum."""
    if batched:
        return _whole(array, size)
    if not array.batched:
        return array.tensor * size
    return FUNCTIONS["sum"].call(array.tensor, axis=0)  # type: ignore[no-any-return]


def _jvp(cls: type[Function], ctx: Any, _: Any, *tangents: Any) -> list[Any]:
    state: State = ctx.state
    level = state.examples.level()
    with entered(level):
        call = _single(cls, ctx, level)
        inside = [_entering(t, flag, level) for t, flag in zip(tangents, state.examples.batched, strict=True)]
        found = moved_by(cls, call.context(forward=True), inside, len(state.forms))
        device = _deepest(cls, call, inside)
        moved = [
            None if form is None else tangent_of(cls.__name__, i, t, form[0], form[1], device)
            for i, (t, form) in enumerate(zip(found, state.forms, strict=True))
        ]
        return [None if t is None else _whole(raw(t), level.size) for t in moved]


# A rule of the class's own ---------------------------------------------------------------------------------------


def _by_own_rule(
    cls: type[Function], examples: Examples, inside: Sequence[Any], args: Sequence[Any], needed: Any, device: Any
) -> Call:
    """Call the class's own ``vmap``, and then `setup_context`, where there is one."""
    with below(device.level, device):
        found = cls.vmap(examples.info, tuple(0 if flag else None for flag in examples.batched), *inside)
        if not isinstance(found, tuple) or len(found) != 2:
            raise OperandError(
                f"{cls.__name__}: vmap must return a pair, output and out_dims; it returned {found!r:.80}"
            )
        output, dims = found
        several = isinstance(output, tuple)
        outputs = list(output) if several else [output]
        if not isinstance(dims, tuple):
            dims = (dims,) * len(outputs)
        if len(dims) != len(outputs):
            raise AutogradError(
                f"{cls.__name__}: vmap returned {len(dims)} out_dims for {len(outputs)} results; expected one for each"
            )
        pairs = [_to_front(cls, y, d, examples.info) for y, d in zip(outputs, dims, strict=True)]
    outputs = [_inside(lift(y, device.inner), f, device) if isinstance(y, Tensor) else y for y, f in pairs]
    if cls.setup_context is Function.setup_context:
        return Call(cls, None, args, outputs, [], needed, several=several)
    ctx: Any = cls._context()
    ctx.needs_input_grad = tuple(needed)
    output = tuple(outputs) if several else outputs[0]
    with no_grad():
        cls.setup_context(ctx, tuple(args), output)
    return kept_by(cls, ctx, args, output, needed)


def _to_front(cls: type, y: Any, dim: Any, info: VmapInfo) -> tuple[Any, bool]:
    """Bring the examples of a result to its first axis."""
    if not isinstance(y, Tensor) or dim is None:
        return y, False
    if type(dim) is not int:
        raise AutogradError(f"{cls.__name__}: vmap returned {dim!r:.60} in out_dims; expected an int or None")
    dim = normalize_axis(f"{cls.__name__}.vmap: out_dims", dim, y.ndim)
    if y.shape[dim] != info.batch_size:
        raise ShapeError(
            f"{cls.__name__}: vmap returned a result of shape {y.shape} with out_dims {dim}; expected "
            f"{info.batch_size}, the number of examples, along that dimension"
        )
    order = (dim, *(i for i in range(y.ndim) if i != dim))
    return FUNCTIONS["permute_dims"].call(y, order) if dim else y, True
