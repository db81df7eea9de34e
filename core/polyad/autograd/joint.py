"""Nodes whose gradients are computed together, by one function in place of rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from .. import views
from ..function import FUNCTIONS, Function
from ..graph import Node, new, next_sequence
from ..tensor import Tensor, wrap

__all__ = ["constant_in", "form_of", "is_constant", "joint_record", "zeros"]


def joint_record(name: str, joint: Callable[..., Any], outputs: int = 1) -> Function:
    """A record of any number of arrays with ``joint(node, g, args, tensors, history)`` in place of rules."""

    def definition(*args: Any) -> Any:
        pass

    record = Function(definition, name=name, rules={}, outputs=outputs, prepare=False)
    record.joint = joint
    return record


def form_of(x: Any) -> Any:
    """Give a tensor's shape, native type and device; None of anything else."""
    return (x.shape, views.raw(x).dtype, x._device) if isinstance(x, Tensor) else None


def zeros(shape: tuple[int, ...], dtype: Any, device: Any) -> Tensor:
    """Make a tensor of zeros of a native type."""
    return wrap(device.asarray(device.kernels[FUNCTIONS["zeros"]](shape=shape, dtype=dtype)), device)


# Derivatives that are zero --------------------------------------------------------------------------------------


def constant_in(g: Tensor, edges: Sequence[Any], forms: Sequence[Any]) -> Tensor:
    """Give a gradient without history one in which it does not depend on some tensors: its derivative is zero.

    So the second derivative of a linear function is zeros, and no error. The tensors are given by where their gradients
    go, and by what `form_of` says of them.
    """
    if views.node_of(g) is not None or not g.dtype.is_differentiable:
        return g
    node: Node = new(Node)
    node.function, node.device, node.seq = _CONSTANT, g._device, next_sequence()
    node.edges = tuple(edges)
    node.args = tuple(None if e is None else (form,) for e, form in zip(edges, forms, strict=True))
    node.hooks = node.shapes = None
    node.guards = ()
    return wrap(views.raw(g), g._device, node)


def is_constant(node: Any) -> bool:
    """Whether a tensor's node is one of `constant_in`: nothing led to the tensor."""
    return type(node) is Node and node.function is _CONSTANT


def _no_dependence(node: Node, g: Any, args: Sequence[Any], tensors: bool, history: bool) -> list[Any]:
    made = [None if a is None else zeros(*a[0]) for a in args]
    return [z if z is None or tensors else views.raw(z) for z in made]


_CONSTANT: Final = joint_record("constant", _no_dependence)
