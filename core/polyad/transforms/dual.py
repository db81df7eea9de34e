"""Dual numbers: the backend that forward mode wraps round others.

A `Dual` array holds two tensors of the device below, a value and its tangent: how the value changes along the
direction that the transform asks for. Each kernel computes both. The tangent follows from the function's record: by its
``jvp``; by its rules as factors, if it is elementwise; by its rules transposed, since a rule is linear in the gradient
and the transpose of the transpose of a derivative is the derivative; or by its body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Final

from ..engine import propagate
from ..function import FUNCTIONS, TENSORS, Function
from ..grad_mode import enable_grad, is_grad_enabled
from ..graph import AccumulateGrad
from ..kernels import Kernel, numbers_as_arrays
from ..levels import Level, WrappedArray, WrappedBackend, WrappedDevice
from ..rules import sum_to
from ..tensor import Tensor
from ..views import node_of

__all__ = ["Dual", "DualLevel", "parts"]


class Dual(WrappedArray):
    """An array of values and their tangents.

    Attributes
    ----------
    primal : Tensor
    tangent : Tensor or None
        Of the primal's shape and type; None where it is 0.
    """

    __slots__ = ("primal", "tangent")

    def __init__(self, device: WrappedDevice, primal: Tensor, tangent: Tensor | None) -> None:
        self.device, self.primal, self.tangent = device, primal, tangent
        self.shape, self.dtype = primal.shape, primal.dtype

    @property
    def moves(self) -> bool:
        """Whether it has a tangent."""
        return self.tangent is not None

    def beside(self) -> list[str]:
        """Say the tangent, as PyTorch does."""
        return [] if self.tangent is None else [f"tangent={self.tangent!r}"]

    def holding(self, value: Tensor) -> Dual:
        """Give an array that does not change."""
        return Dual(self.device, value, None)


class DualBackend(WrappedBackend):
    """Arrays of dual numbers, round another backend."""

    transform: ClassVar[str] = "forward mode"
    array = Dual

    def is_traced(self, array: Any) -> bool:
        """Whether the value is not known below."""
        return array.primal.backend.is_traced(array.primal._data)  # type: ignore[no-any-return]

    def to_host(self, array: Any) -> Any:
        """Give the values."""
        return array.primal.backend.to_host(array.primal._data)

    def example(self, array: Any) -> Tensor:
        """Give the value."""
        return array.primal  # type: ignore[no-any-return]

    def values(self, array: Any) -> Tensor:
        """Give the value."""
        return array.primal  # type: ignore[no-any-return]

    def inside(self, array: Any) -> tuple[Tensor, ...]:
        """Give the value, and the tangent if there is one."""
        return (array.primal,) if array.tangent is None else (array.primal, array.tangent)

    def converted(self, array: Any, convert: Callable[[Tensor], Tensor], device: WrappedDevice) -> Dual:
        """Convert value and tangent."""
        return Dual(device, convert(array.primal), None if array.tangent is None else convert(array.tangent))

    def kernel(self, function: Function, device: WrappedDevice) -> Kernel:
        """Make the kernel that computes a function's value and tangent."""
        tangent_of = _tangent_of(function)

        def run(*arrays: Any, **params: Any) -> Any:
            found: Sequence[Any] = arrays[0] if function.sequence else arrays
            tangents = [a.tangent if type(a) is Dual else None for a in found]
            primals = [a.primal if type(a) is Dual else a for a in found]
            moving = function.differentiable and any(t is not None for t in tangents)
            if moving and tangent_of is None:
                assert function.body is not None
                if not function.sequence and None not in arrays:
                    arrays = numbers_as_arrays(device.xp, function, arrays)
                return function.body(device.xp, *arrays, **params)
            out = function.call(*((primals,) if function.sequence else primals), **params)
            moved: Any = None
            if moving:
                assert tangent_of is not None
                moved = tangent_of(function, tangents, out, primals, params)
            if function.outputs != 1:
                moved = (None,) * len(out) if moved is None else moved
                return tuple(Dual(device, o, _fitting(o, t)) for o, t in zip(out, moved, strict=True))
            return Dual(device, out, _fitting(out, moved))

        return run


def _fitting(out: Tensor, tangent: Any) -> Tensor | None:
    """A tangent in its value's shape and type."""
    if tangent is None or not out.dtype.is_differentiable:
        return None
    if tangent.shape != out.shape:
        tangent = FUNCTIONS["broadcast_to"].call(tangent, out.shape)
    if tangent.dtype is not out.dtype:
        if tangent.dtype.is_complex and not out.dtype.is_complex:
            tangent = FUNCTIONS["real"].call(tangent)
        tangent = FUNCTIONS["astype"].call(tangent, out.dtype)
    return tangent  # type: ignore[no-any-return]


TangentRule = Callable[[Function, Sequence[Any], Any, Sequence[Any], dict[str, Any]], Any]
"""``rule(function, tangents, out, primals, params)`` gives the tangent of the result, or of each."""


def _tangent_of(function: Function) -> TangentRule | None:
    """Choose how a function's tangent is computed; None for by its body."""
    jvp = function.jvp
    if callable(jvp):
        own = jvp
        return lambda function, tangents, out, primals, params: own(TENSORS, tangents, out, *primals, **params)
    if jvp == "body":
        return None
    if jvp is not None:
        return {"linear": _linear, "multilinear": _multilinear, "transposed": _transposed}[jvp]
    if function.has_rules:
        return _by_factor if function.elementwise else _transposed
    return None


def _called(function: Function, arrays: Sequence[Any], params: dict[str, Any]) -> Any:
    return function.call(*((list(arrays),) if function.sequence else arrays), **params)


def _rule_at(function: Function, position: int) -> tuple[Any, Any]:
    """Spec and rule of one array."""
    i = min(position, len(function.specs) - 1)
    return function.specs[i], function.rules[i]


def _linear(function: Function, tangents: Any, out: Any, primals: Any, params: dict[str, Any]) -> Any:
    """Apply the function to the tangents: it is linear in the arrays that have rules together."""
    arrays = list(tangents)
    for i, (t, p) in enumerate(zip(tangents, primals, strict=True)):
        if t is None:
            varied = _rule_at(function, i)[1] is not None and p is not None
            arrays[i] = p if not varied else FUNCTIONS["zeros_like"].call(p) if isinstance(p, Tensor) else 0.0
    return _called(function, arrays, params)


def _multilinear(function: Function, tangents: Any, out: Any, primals: Any, params: dict[str, Any]) -> Any:
    """Apply the function with each tangent in its value's place, and add up."""
    total: Any = None
    for i, t in enumerate(tangents):
        if t is not None:
            part = _called(function, [*primals[:i], t, *primals[i + 1 :]], params)
            total = part if total is None else total + part
    return total


_TENSORS: Final = SimpleNamespace(xp=TENSORS)
"""In a device's place, where rules that keep ``xp`` run on tensors."""


def _by_factor(function: Function, tangents: Any, out: Any, primals: Any, params: dict[str, Any]) -> Any:
    """Multiply by a rule's factor, which is the same in both directions."""
    total: Any = None
    for i, t in enumerate(tangents):
        spec, rule = _rule_at(function, i)
        if t is not None and rule is not None:
            part = rule(t, *spec.keep(_TENSORS, primals, params, out, i))
            total = part if total is None else total + part
    return total


def _transposed(function: Function, tangents: Any, out: Any, primals: Any, params: dict[str, Any]) -> Any:
    """Transpose the rules: differentiate them by the gradient that they are linear in."""
    several = function.outputs != 1
    outs = tuple(out) if several else (out,)
    recorded = is_grad_enabled()
    with enable_grad():
        gradients = [_variable(o) if o.dtype.is_differentiable else None for o in outs]
        g = tuple(gradients) if several else gradients[0]
        roots = []
        for i, t in enumerate(tangents):
            spec, rule = _rule_at(function, i)
            if t is None or rule is None:
                continue
            pulled = rule(g, *spec.keep(_TENSORS, primals, params, out, i))
            if function.broadcasts and pulled.shape != primals[i].shape:
                pulled = sum_to(TENSORS, pulled, primals[i].shape)
            edge = node_of(pulled)
            if edge is not None:
                roots.append((edge, _fitting(pulled, t)))
        edges = [None if v is None else node_of(v) for v in gradients]
        wanted = [e for e in edges if e is not None]
        # what comes out may depend on what the rules computed on the way: those nodes are gone through again
        found = propagate(roots, keep=True, create_graph=True, wanted=wanted) if roots else {}
    moved = [found.get(e) for e in edges]
    if not recorded:
        moved = [None if t is None else t.detach() for t in moved]
    return tuple(moved) if several else moved[0]


def _variable(like: Tensor) -> Tensor:
    """Make the gradient that rules are differentiated by. Its values do not matter: rules are linear in it."""
    out: Tensor = FUNCTIONS["zeros_like"].call(like)
    out._node = AccumulateGrad(out)
    return out


class DualLevel(Level):
    """One pass of forward mode."""

    backend = DualBackend

    def constant(self, tensor: Tensor, device: WrappedDevice) -> Dual:
        """Give an array that does not change."""
        return Dual(device, tensor, None)

    def custom(self, cls: Any, args: Sequence[Any], needed: Sequence[bool], device: WrappedDevice) -> Any:
        """Call a function with a derivative of the user's own."""
        from .custom_dual import dual_call  # which begins where this ends

        return dual_call(cls, args, needed, device)

    def dual(self, primal: Tensor, tangent: Tensor | None) -> Dual:
        """Give an array of a value and its tangent."""
        return Dual(self.device(primal._device), primal, tangent)


def parts(tensor: Tensor, level: DualLevel) -> tuple[Tensor, Tensor | None]:
    """Give value and tangent of a tensor of a level; of one below, no tangent."""
    array: Any = tensor._data
    device: Any = tensor._device
    if device.depth and device.level is level:
        return array.primal, array.tangent
    return tensor, None
