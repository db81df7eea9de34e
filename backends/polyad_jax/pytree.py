"""Tensors as pytrees, so that ``jax.jit`` and JAX's other transformations take functions of Tensors.

A tensor's array is the leaf; its device and whether it is a leaf that requires a gradient are part of the structure.
History does not cross the border: inside, a tensor is a leaf.
"""

from __future__ import annotations

from typing import Any

import jax

from polyad.backend import Backend
from polyad.graph import AccumulateGrad
from polyad.tensor import Tensor
from polyad.views import node_of, raw

_known: set[type] = set()


def register(cls: type, backend: Backend) -> None:
    """Register a class of tensors with JAX, once."""
    if cls in _known:
        return
    _known.add(cls)

    def flatten(tensor: Tensor) -> tuple[tuple[Any], Any]:
        return (raw(tensor),), (tensor.device, type(node_of(tensor)) is AccumulateGrad)

    def unflatten(structure: Any, leaves: Any) -> Any:
        device, requires_grad = structure
        (data,) = leaves
        if isinstance(data, jax.Array) and device.backend is not backend:
            device = backend.devices[0]  # a tensor of another backend becomes one of JAX's inside
        out: Any = object.__new__(cls)
        out._data, out._device, out._node = data, device, None
        out._writes = out._storage = out._grad = None
        if requires_grad:
            out._node = AccumulateGrad(out)
        return out

    jax.tree_util.register_pytree_node(cls, flatten, unflatten)
