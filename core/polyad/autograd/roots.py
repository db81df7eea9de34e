"""What `backward` and `grad` are given: where a pass starts and with which gradients, and what it is to reach."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .. import views
from ..backend import Device
from ..backward_hooks import Roots, enter
from ..dtypes import DType
from ..errors import ArgumentError, AutogradError, DTypeError, OperandError, ShapeError
from ..function import FUNCTIONS
from ..graph import AccumulateGrad, Output
from ..levels import lift, meet
from ..tensor import Tensor, wrap
from .graph import GradientEdge
from .joint import form_of

__all__ = ["Place", "deep", "edge_of", "gradients_of", "inputs_of", "outputs_of", "roots_of", "usual_root"]

_ENDS = "a tensor, a GradientEdge or an iterable of them"
_GIVEN = {"backward": "gradient", "grad": "grad_outputs"}


class Place:
    """An output of a node that a pass starts at in place of a tensor, with what is known of the tensor."""

    __slots__ = ("node", "shape", "native", "_device")

    def __init__(self, node: Any, form: tuple[tuple[int, ...], Any, Device]) -> None:
        self.node = node
        self.shape, self.native, self._device = form

    @property
    def dtype(self) -> DType:
        """The type of its elements."""
        return self._device.dtypes[self.native]


# Arguments ------------------------------------------------------------------------------------------------------


def _listed(value: Any) -> Sequence[Any]:
    """One thing, or all that an iterable has: a list of them."""
    kind = type(value)
    if kind is tuple or kind is list:  # the usual ones first, since every pass comes here
        return value  # type: ignore[no-any-return]
    if isinstance(value, (Tensor, GradientEdge, Mapping)) or not isinstance(value, Iterable):
        return (value,)
    return tuple(value)


def outputs_of(value: Any, caller: str, argument: str) -> Sequence[Any]:
    """What a pass starts at: tensors, and a `Place` for each edge."""
    found = _listed(value)
    for y in found:
        if type(y) is not Tensor:
            return [_output(y, caller, argument) for y in found]
    return found


def _output(y: Any, caller: str, argument: str) -> Any:
    if isinstance(y, Tensor):
        return y
    if not isinstance(y, GradientEdge):
        raise OperandError(f"{caller}: {argument} must be {_ENDS}; got {y!r:.80}")
    form = form_of(y.node.variable) if type(y.node) is AccumulateGrad else y.form
    if form is None:
        raise AutogradError(
            f"{caller}: {argument} has an edge to {y.node.name()} that does not say which gradients fit; "
            f"write autograd.graph.get_gradient_edge(tensor) for one that does"
        )
    return Place(edge_of(y), form)


def inputs_of(value: Any, caller: str) -> Sequence[Any]:
    """What a pass is to reach: tensors, and edges of the graph. At least one."""
    found = _listed(value.values() if isinstance(value, Mapping) else value)
    for x in found:
        if not isinstance(x, (Tensor, GradientEdge)):
            raise OperandError(f"{caller}: inputs must be {_ENDS}; got {x!r:.80}")
    if not found:
        raise ArgumentError(f"{caller}: inputs is empty, so there is nothing to compute; expected {_ENDS}")
    return found


def gradients_of(value: Any, count: int) -> Sequence[Any]:
    """The gradients that were passed for ``count`` outputs, None for those that are implied."""
    return (None,) * count if value is None else _listed(value)


def edge_of(x: Any) -> Any:
    """The edge of a tensor; of a place in the graph."""
    if isinstance(x, Tensor):
        return views.node_of(x)
    if type(x.node) is not AccumulateGrad and x.node.function.outputs > 1:
        return Output(x.node, x.output_nr)
    return x.node


# Where a pass starts --------------------------------------------------------------------------------------------


def deep(outputs: Sequence[Any], gradients: Sequence[Any]) -> bool:
    """Whether a pass is among tensors of transforms: the gradients may be of a deeper level than the graph."""
    for y in outputs:
        if y._device.depth:
            return True
    for g in gradients:  # noqa: SIM110 - loops, since every pass comes here
        if isinstance(g, Tensor) and g._device.depth:
            return True
    return False


def usual_root(y: Tensor) -> Roots | None:
    """Where the usual pass starts, in few steps: at one real number of a library's device. None for any other."""
    node, data, device = views.node_of(y), views.raw(y), y._device
    native = data.dtype
    if node is None or data.shape != () or device.depth or native in device.accepted["complex"]:
        return None
    roots = Roots()
    roots.append((node, device.one((), native)))
    return roots


def roots_of(outputs: Sequence[Any], gradients: Sequence[Any], caller: str, tensors: bool) -> Roots:
    """Where a pass starts: for each output its edge and the gradient that enters there, as a Tensor or raw."""
    if len(gradients) != len(outputs):
        raise ShapeError(f"{caller}: {len(outputs)} outputs need as many gradients; got {len(gradients)}")
    roots = Roots()
    for y, given in zip(outputs, gradients):  # noqa: B905 - of one length, as was checked
        node = y.node if type(y) is Place else views.node_of(y)
        if node is None:
            raise AutogradError(
                f"{caller}: the tensor of shape {y.shape} does not require a gradient and has no grad_fn, so there is "
                f"nothing to go back through; set requires_grad=True on an input, and compute outside no_grad()"
                + _below(y)
            )
        if given is None:
            g = _implied(y, caller)
            roots.append((node, wrap(y._device.backend.copy(g), y._device) if tensors else g))
        else:
            roots.append((node, enter(_checked(given, y, caller), y, tensors)))
    return roots


def _below(y: Tensor) -> str:
    """What to say of a tensor of a transform, which may hold one that has a history."""
    if not y._device.depth:
        return ""
    return (
        f". It is of {y._device.where}: a history that the tensors have which it holds is gone back through from those "
        f"that the transform gives back"
    )


def _implied(y: Any, caller: str) -> Any:
    """Give the 1 that is meant where no gradient is passed, as a raw array."""
    if type(y) is Place:
        shape, native = y.shape, y.native
    else:
        data = views.raw(y)
        shape, native = data.shape, data.dtype
    device: Device = y._device
    if shape != () and math.prod(shape) != 1:
        raise ShapeError(
            f"{caller}: a gradient is implied only for a tensor of one element; this one has shape {shape}. "
            f"Pass {_GIVEN[caller]}= of that shape, or start at y.sum()"
        )
    if device.dtypes[native].is_complex:
        raise DTypeError(
            f"{caller}: a gradient is implied only for a real number; this one is {device.dtypes[native].name}. "
            f"Pass {_GIVEN[caller]}=, or start at y.real, y.imag or abs(y)"
        )
    return device.one(shape, native)


def _checked(g: Any, y: Any, caller: str) -> Tensor:
    """Give a user's gradient of ``y`` in its type; a wrong shape or place is an error."""
    if not isinstance(g, Tensor):
        raise OperandError(f"{caller}: a gradient must be a tensor; got {type(g).__name__}")
    if g.shape != y.shape:
        raise ShapeError(f"{caller}: the gradient has shape {g.shape}; expected {y.shape}, the tensor's own")
    if g._device is not y._device:
        at = meet(g._device, y._device)
        if at is None:
            raise AutogradError(
                f"{caller}: the gradient is on {g._device.where}; expected {y._device.where}. "
                f"Write gradient.to(device=y.device)"
            )
        g = lift(g, at)
    if g.dtype.is_complex and not y.dtype.is_complex:
        raise DTypeError(f"{caller}: the gradient is {g.dtype.name}; expected {y.dtype.name}")
    return g if g.dtype == y.dtype else FUNCTIONS["astype"].call(g, y.dtype)  # type: ignore[no-any-return]
