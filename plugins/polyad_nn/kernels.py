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
    return {
        "nn._where_positive": _where_positive,
        "nn.adam_step": _adam_step,
        "nn.sigmoid": _sigmoid,
        "nn.softmax": _by_rows(_softmax),
        "nn.log_softmax": _by_rows(_log_softmax),
    }


_FEW: Final = 1 << 12
"""Below so many elements an array of memory is sooner had than saved."""


def _where_positive(x: Any, gate: Any) -> Any:
    """An element or 0, as the product of its bits with 0 or 1. The mask needs no memory beside the result."""
    np, integer = x.__array_namespace__(), f"i{x.dtype.itemsize}"
    if x.size < _FEW or x.shape != gate.shape:
        return np.multiply(x.view(integer), gate > 0).view(x.dtype)
    found = np.empty(x.shape, integer)
    np.greater(gate, 0, found)
    np.multiply(found, x.view(integer), found)
    return found.view(x.dtype)


def _sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))`` in the memory of the result. Where the exponential overflows it is 0, as it should be."""
    np, dtype = x.__array_namespace__(), x.dtype
    if dtype.itemsize < 4:  # exponentials of half precision overflow where the result is no zero
        return _sigmoid(x.astype("float32")).astype(dtype)
    out = np.empty(x.shape, dtype)
    with np.errstate(over="ignore"):
        np.exp(np.negative(x, out), out)
    out += 1
    return np.divide(1, out, out)


def _adam_step(
    g: Any, mean: Any, square: Any, rate: Any, spread: Any, *, beta1: float, beta2: float, eps: float
) -> tuple[Any, Any, Any]:
    """One step of Adam, with the running means written in place and one array for all that comes between."""
    np = g.__array_namespace__()
    change = np.multiply(g, 1 - beta1, np.empty_like(mean))
    mean *= beta1
    mean += change
    np.multiply(g, g, change)
    change *= 1 - beta2
    square *= beta2
    square += change
    np.sqrt(square, change)
    change /= spread
    change += eps
    np.divide(mean, change, change)
    change *= rate
    return change, mean, square


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
