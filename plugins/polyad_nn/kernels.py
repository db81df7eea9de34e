"""Kernels on NumPy arrays: of what would take several passes over memory, one, block by block."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

__all__ = ["numpy_kernels"]

_BLOCK: Final = 1 << 16
"""How many elements are taken together: they stay in a core's cache between the passes."""


def numpy_kernels() -> dict[str, Callable[..., Any]]:
    """Kernels on NumPy arrays."""
    return {"nn.softmax": _by_rows(_softmax), "nn.log_softmax": _by_rows(_log_softmax)}


def _softmax(np: Any, x: Any, out: Any, axis: int) -> None:
    np.subtract(x, np.maximum.reduce(x, axis, keepdims=True), out)
    np.exp(out, out)
    np.divide(out, np.add.reduce(out, axis, keepdims=True), out)


def _log_softmax(np: Any, x: Any, out: Any, axis: int) -> None:
    np.subtract(x, np.maximum.reduce(x, axis, keepdims=True), out)
    np.subtract(out, np.log(np.add.reduce(np.exp(out), axis, keepdims=True)), out)


def _by_rows(fill: Callable[[Any, Any, Any, int], None]) -> Callable[..., Any]:
    """Make a kernel of what fills ``out`` along an axis: ``fill(np, x, out, axis)``."""

    def kernel(x: Any, *, axis: int) -> Any:
        np, dtype = x.__array_namespace__(), x.dtype
        if dtype.itemsize < 4:  # half precision is rounded once
            return kernel(x.astype("float32"), axis=axis).astype(dtype)
        out, length = np.empty(x.shape, dtype), x.shape[axis]
        if not x.size:
            return out
        if x.size <= _BLOCK or axis != x.ndim - 1 or not x.flags.c_contiguous:
            fill(np, x, out, axis)
            return out
        rows, filled = x.reshape(-1, length), out.reshape(-1, length)
        step = math.ceil(_BLOCK / length)
        for i in range(0, len(rows), step):
            fill(np, rows[i : i + step], filled[i : i + step], 1)
        return out

    return kernel
