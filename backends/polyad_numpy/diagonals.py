"""Diagonals, which NumPy's own function gives read-only; and triangles, of which it makes a mask each time."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

__all__ = ["KERNELS"]


def _diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    found = np.diagonal(x, offset, axis1, axis2)
    if x.flags.writeable:
        found.flags.writeable = True
    return found


_BITS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}
_LARGEST = 1 << 19
"""Masks of more elements are not kept."""


@lru_cache(maxsize=4)
def _mask(upper: bool, rows: int, columns: int, k: int, itemsize: int) -> Any:
    """All bits set inside of a triangle, and none outside."""
    inside = ~np.tri(rows, columns, k - 1, bool) if upper else np.tri(rows, columns, k, bool)
    return -inside.astype(_BITS[itemsize])


def _triangle(upper: bool) -> Callable[..., Any]:
    library = np.triu if upper else np.tril

    def kernel(x: Any, k: int = 0) -> Any:
        rows, columns = x.shape[-2:]
        bits = _BITS.get(x.itemsize)
        if bits is None or rows * columns > _LARGEST:
            return library(x, k)
        return (x.view(bits) & _mask(upper, rows, columns, k, x.itemsize)).view(x.dtype)

    return kernel


KERNELS = {"diagonal": _diagonal, "tril": _triangle(False), "triu": _triangle(True)}
