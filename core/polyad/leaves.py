"""Leaves: tensors that no recorded operation made, whether they require gradients, and whose elements they show."""

from __future__ import annotations

import weakref
from typing import Any

from . import views
from .errors import AutogradError, DTypeError, ShapeError
from .graph import AccumulateGrad

__all__ = ["freeze", "replace", "thaw"]

_frozen: dict[int, tuple[weakref.ref[Any], AccumulateGrad]] = {}
"""The nodes of leaves that required gradients before, and may again: by the tensor's identity, while it lives."""


def _nobody() -> None:
    """The leaf of a node whose tensor requires no gradient now."""


class _Changed:
    """In place of the leaf of a node that was recorded with elements of another form."""

    __slots__ = ("was", "now")

    def __init__(self, was: str, now: str) -> None:
        self.was, self.now = was, now

    def __call__(self) -> Any:
        raise AutogradError(
            f"backward: a leaf had {self.was} when this graph was recorded, and was given elements of {self.now} "
            f"since, which the gradient does not fit; compute the result again"
        )


def freeze(tensor: Any) -> None:
    """Cut a tensor off its history. The node of a leaf is kept for `thaw`, with its hooks, and accumulates nothing."""
    node = views.node_of(tensor)
    if type(node) is AccumulateGrad:
        key = id(tensor)
        node.leaf = _nobody
        _frozen[key] = weakref.ref(tensor, lambda _: _frozen.pop(key, None)), node
    views.cut(tensor, None)


def thaw(tensor: Any) -> None:
    """Have a tensor without history require a gradient: by the node that it had before, as graphs may lead there."""
    _, node = _frozen.pop(id(tensor), (None, None))
    if node is None:
        node = AccumulateGrad(tensor)
    node.leaf = weakref.ref(tensor)
    views.cut(tensor, node)


def replace(tensor: Any, source: Any, name: str) -> None:
    """Make a tensor a second name for another's elements. It keeps its place in the graph, and ``grad``.

    Parameters
    ----------
    tensor, source : Tensor
    name : str
        Of what the user called.

    Raises
    ------
    DTypeError
        If the tensor requires a gradient and ``source`` is of no floating-point type.
    ShapeError
        If the tensor is the result of a recorded operation, and ``source`` is of another shape, type or device.
    """
    node = views.node_of(tensor)
    if node is not None and not source.dtype.is_differentiable:
        raise DTypeError(f"{name}: the tensor requires a gradient, which {source.dtype.name} cannot have")
    was, now = _form(tensor), _form(source)
    if node is not None and was != now and type(node) is not AccumulateGrad:
        raise ShapeError(
            f"{name}: the tensor is the result of {node.name()}, whose gradient fits {was}; got {now}. "
            f"Give its name to the other tensor, or write x.detach() first"
        )
    if source is tensor:
        return
    views.adopt(tensor, source)
    if node is not None:
        views.cut(tensor, node if was == now else _after(node, tensor, was, now))
    elif was != now and id(tensor) in _frozen:
        reference, frozen = _frozen[id(tensor)]
        edge = _after(frozen, tensor, was, now)
        edge.leaf = _nobody
        _frozen[id(tensor)] = reference, edge


def _after(node: AccumulateGrad, tensor: Any, was: str, now: str) -> AccumulateGrad:
    """The node of a leaf whose elements are of another form now, with its hooks; to the one before no gradient fits."""
    edge = AccumulateGrad(tensor)
    edge.hooks = node.hooks
    node.leaf = _Changed(was, now)
    return edge


def _form(tensor: Any) -> str:
    return f"shape {tensor.shape}, {tensor.dtype.name}, on {tensor._device.where}"
