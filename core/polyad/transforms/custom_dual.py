"""`polyad.autograd.Function` in forward mode: on values, with tangents by its own rule or by its backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autograd.function import Function, fitted, returned
from ..autograd.joint import form_of
from ..backend import Device
from ..backward_hooks import enter, leave
from ..dtypes import DType
from ..engine import propagate
from ..errors import AutogradError, DeviceError, OperandError, ShapeError
from ..function import FUNCTIONS
from ..grad_mode import enable_grad, is_grad_enabled
from ..graph import AccumulateGrad
from ..levels import below, lift, meet
from ..tensor import Tensor, wrap
from ..views import node_of, raw
from .custom import Call, called, unknown
from .dual import Dual

__all__ = ["dual_call", "moved_by", "tangent_of"]


def dual_call(cls: type[Function], args: Sequence[Any], needed: Sequence[bool], device: Any) -> Call:
    """Call a function at a level of forward mode: on values, and give the results their tangents."""
    arrays = [raw(a) if isinstance(a, Tensor) else a for a in args]
    primals = [a.primal if type(a) is Dual else a for a in arrays]
    tangents = [a.tangent if type(a) is Dual else None for a in arrays]
    moving = any(t is not None for t in tangents)
    with below(device.level, device):
        inner = called(cls, primals, [n or t is not None for n, t in zip(needed, tangents, strict=True)])
        moved = _tangents(inner, tangents) if moving else [None] * len(inner.outputs)
    outputs = [
        wrap(Dual(device, y, t), device) if isinstance(y, Tensor) else y
        for y, t in zip(inner.outputs, moved, strict=True)
    ]
    others = [lift(o, device) for o in inner.others]
    varied = inner.varied or moving
    return Call(cls, inner.kept, args, outputs, others, needed, several=inner.several, varied=varied)


def _tangents(call: Call, tangents: Sequence[Any]) -> list[Any]:
    """The tangents of a call's results: by the class's own rule, or by its backward."""
    if call.varied and call.others:
        raise AutogradError(f"{call.cls.__name__}: {unknown(call.others[0])}")
    own = call.cls.jvp is not Function.jvp
    return _by_jvp(call, tangents) if own else _by_transposing(call, tangents)


def _by_jvp(call: Call, tangents: Sequence[Any]) -> list[Any]:
    name = call.cls.__name__
    found = moved_by(call.cls, call.context(forward=True), tangents, len(call.outputs))
    return [
        tangent_of(name, i, t, y.shape, y.dtype, y._device) if call.differentiable(i) else None
        for i, (t, y) in enumerate(zip(found, call.outputs, strict=True))
    ]


def moved_by(cls: type[Function], ctx: Any, tangents: Sequence[Any], count: int) -> list[Any]:
    """Run the user's jvp, and give what it returns: one tangent for each result."""
    # which may write to them, and they are others' as well
    found = cls.jvp(ctx, *(None if t is None else FUNCTIONS["clone"].call(t) for t in tangents))
    found = list(found) if isinstance(found, (tuple, list)) else [found]
    if len(found) != count:
        raise AutogradError(
            f"{cls.__name__}: jvp returned {len(found)} tangents; expected {count}, one for each result of forward"
        )
    return found


def tangent_of(name: str, i: int, t: Any, shape: tuple[int, ...], dtype: DType, device: Device) -> Tensor | None:
    """A tangent that the user's jvp returned, on its result's device and in its type."""
    if t is None:
        return None
    if not isinstance(t, Tensor):
        raise OperandError(f"{name}: jvp returned a {type(t).__name__} as tangent {i}; expected a tensor or None")
    if t.shape != shape:
        raise ShapeError(f"{name}: jvp returned tangent {i} of shape {t.shape}; expected {shape}, the result's own")
    if meet(t._device, device) is not device:
        raise DeviceError(f"{name}: jvp returned tangent {i} on {t._device.where}; expected {device.where}")
    t = lift(t, device)
    if t.dtype is not dtype:
        t = FUNCTIONS["real"].call(t) if t.dtype.is_complex and not dtype.is_complex else t
        t = FUNCTIONS["astype"].call(t, dtype)
    return t  # type: ignore[no-any-return]


def _by_transposing(call: Call, tangents: Sequence[Any]) -> list[Any]:
    """Transpose the class's backward: differentiate it by the gradients that it is linear in."""
    cls, name = call.cls, call.cls.__name__
    if hasattr(cls.backward, "once_differentiable"):
        raise AutogradError(
            f"{name}: its backward is marked once_differentiable, so forward mode cannot make tangents of it; give the "
            f"class a static method jvp(ctx, *tangents), or write backward in polyad's operations without the mark"
        )
    recorded = is_grad_enabled()
    with enable_grad():
        variables = [_variable(y) if call.differentiable(i) else None for i, y in enumerate(call.outputs)]
        ctx = call.context()
        grads = [
            FUNCTIONS["clone"].call(v)  # backward may write to it
            if v is not None
            else (FUNCTIONS["zeros_like"].call(y) if ctx._materialize and isinstance(y, Tensor) else None)
            for v, y in zip(variables, call.outputs, strict=True)
        ]
        needed = [t is not None for t in tangents]
        roots = []
        for i, (g, t) in enumerate(zip(returned(cls, ctx, grads, needed), tangents, strict=True)):
            if t is None or g is None:
                continue
            edge: Any = node_of(fitted(name, i, g, form_of(call.args[i]), False))
            if edge is None:
                raise AutogradError(
                    f"{name}: backward returned gradient {i} without using its arguments in recorded operations, so "
                    f"forward mode cannot make tangents of it; return None for zero, or give the class a static method "
                    f"jvp(ctx, *tangents)"
                )
            roots.append((edge, enter(t, t, True)))
        edges: list[Any] = [None if v is None else node_of(v) for v in variables]
        wanted = [e for e in edges if e is not None]
        found = propagate(roots, keep=True, create_graph=True, wanted=wanted) if roots else {}
        moved = [leave(found[e], e.device) if e in found else None for e in edges]
    return moved if recorded else [None if t is None else wrap(raw(t), t._device) for t in moved]


def _variable(like: Tensor) -> Tensor:
    """Make the gradient that backward is differentiated by. Its values do not matter: backward is linear in it."""
    out: Tensor = FUNCTIONS["zeros_like"].call(like)
    out._node = AccumulateGrad(out)
    return out
