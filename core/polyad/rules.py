"""What several rules have in common. Written against ``xp``, so on raw arrays and on tensors alike."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["count", "is_complex", "sum_to", "unreduce"]


def sum_to(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the dimensions along which its input was broadcast."""
    have = g.shape
    extra = len(have) - len(shape)
    axes = tuple(range(extra)) + tuple(i + extra for i, n in enumerate(shape) if n == 1 and have[i + extra] != 1)
    if axes:
        g = xp.sum(g, axis=axes, keepdims=True)
    return xp.reshape(g, shape) if extra else g


def unreduce(xp: Any, g: Any, shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> Any:
    """Spread the gradient of a reduction over the shape that was reduced."""
    if not keepdims and len(axis) != len(shape):
        g = xp.reshape(g, tuple(1 if i in axis else n for i, n in enumerate(shape)))
    return xp.broadcast_to(g, shape)


def count(shape: tuple[int, ...], axis: tuple[int, ...]) -> int:
    """How many elements a reduction takes together."""
    return math.prod(shape[i] for i in axis)


def is_complex(dtype: Any) -> bool:
    """Whether a library's dtype or a DType is complex."""
    return bool(dtype.name.startswith("complex"))
