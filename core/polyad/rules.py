"""What several rules have in common. Written against ``xp``, so on raw arrays and on tensors alike."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

__all__ = ["count", "is_complex", "sum_to", "unreduce"]


@lru_cache(maxsize=4096)
def _summed(have: tuple[int, ...], shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which axes were broadcast: those in front, and those of length 1."""
    extra = len(have) - len(shape)
    stretched = (i for i, n in enumerate(shape, start=extra) if n == 1 and have[i] != 1)
    return tuple(range(extra)), tuple(stretched)


def sum_to(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the dimensions along which its input was broadcast."""
    front, stretched = _summed(tuple(g.shape), shape)
    if stretched:
        g = xp.sum(g, axis=stretched, keepdims=True)
    return xp.sum(g, axis=front) if front else g


def unreduce(xp: Any, g: Any, shape: tuple[int, ...], axis: tuple[int, ...], keepdims: bool) -> Any:
    """Spread the gradient of a reduction over the shape that was reduced."""
    if not keepdims and len(axis) != len(shape):
        g = xp.reshape(g, tuple(1 if i in axis else n for i, n in enumerate(shape)))
    return xp.broadcast_to(g, shape)


def count(shape: tuple[int, ...], axis: tuple[int, ...]) -> int:
    """How many elements a reduction takes together."""
    return math.prod(shape[i] for i in axis)


@lru_cache(maxsize=256, typed=True)  # types of two libraries may have one hash, and are not to be compared
def is_complex(dtype: Any) -> bool:
    """Whether a library's dtype or a DType is complex; all have it in their names, and only there in one way."""
    return "complex" in str(dtype)
