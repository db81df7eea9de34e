"""What a node keeps for its gradient, and how many bytes that is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ...graph import Node, Packed
from ...tensor import Tensor
from .. import graph
from .forms import context_of

__all__ = ["array_bytes", "kept_arrays", "saved_bytes"]


def kept_arrays(node: Node) -> Iterator[tuple[str, Any]]:
    """The arrays that a node keeps, with names, each once; `Packed` where hooks packed them."""
    found: dict[int, tuple[str, Any]] = {}
    named = _of_custom(node) if node.function.joint is not None else _of_rules(node)
    for name, array in named:
        if type(array) is Packed or hasattr(array, "shape"):
            found.setdefault(id(array), (name, array))
    yield from found.values()


def _of_rules(node: Node) -> Iterator[tuple[str, Any]]:
    for name, (value, is_array) in graph.kept(node).items():
        if is_array:
            yield from ((name, array) for array in (value if type(value) is tuple else (value,)))


def _of_custom(node: Node) -> Iterator[tuple[str, Any]]:
    """Of an `autograd.Function`: what was given to ``save_for_backward``, and tensors that are set on the context."""
    ctx = context_of(node)
    if ctx is None:
        return
    for i, entry in enumerate(ctx._saved):
        if entry is not None:
            yield f"saved_tensors[{i}]", entry[0]
    for name, value in vars(ctx).items():
        if name[0] != "_" and isinstance(value, Tensor):
            yield f"ctx.{name}", value.array


def array_bytes(node: Node, array: Any) -> int:
    """Bytes of an array that a node keeps; of a packed one, those that can be seen in what the hook made of it."""
    if type(array) is Packed:
        return _seen_bytes(array.value)
    dtype = node.device.dtypes.get(array.dtype, array.dtype)
    return int(math.prod(array.shape) * dtype.itemsize)


def _seen_bytes(value: Any) -> int:
    found, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (tuple, list)):
            waiting.extend(part)
        elif hasattr(part, "shape") and isinstance(getattr(part, "nbytes", None), int):
            found += part.nbytes
    return found


def saved_bytes(node: Node) -> int:
    """Bytes of all arrays that a node keeps."""
    return sum(array_bytes(node, array) for _, array in kept_arrays(node))
