"""Running reductions on NumPy, whose ``accumulate`` waits for each result before the next."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from polyad.backend import Kernel

from .products import NARROW

__all__ = ["KERNELS"]

_BLOCK: Final = 32
_TRIANGLES: Final = {d: np.triu(np.ones((_BLOCK, _BLOCK), d)) for d in (np.dtype("f4"), np.dtype("f8"))}


def _by_rows(ufunc: Any, x: Any, axis: int, out: Any) -> None:
    """Take the slices along an axis one after the other, each as a whole."""
    x, out = np.moveaxis(x, axis, 0), np.moveaxis(out, axis, 0)
    out[0] = x[0]
    for before, new, after in zip(out, x[1:], out[1:], strict=False):
        ufunc(before, new, after)


def _by_blocks(x: Any, out: Any) -> bool:
    """Sum along the last axis: blocks by a product with a triangle of ones, then what went before each.

    False where infinities or NaN, which a product takes to all of their block, make that wrong.
    """
    n = x.shape[-1]
    whole = n - n % _BLOCK
    shape = (-1, _BLOCK) if whole == n and x.flags.c_contiguous else (*x.shape[:-1], -1, _BLOCK)
    np.matmul(x[..., :whole].reshape(shape), _TRIANGLES[x.dtype], out[..., :whole].reshape(shape))
    blocks = out[..., :whole].reshape(*x.shape[:-1], -1, _BLOCK)
    sums = np.add.accumulate(blocks[..., -1], -1)
    blocks[..., 1:, :] += sums[..., :-1, None]
    if whole < n:
        rest = out[..., whole:]
        np.add.accumulate(x[..., whole:], -1, None, rest)
        rest += sums[..., -1:]
    return bool(np.isfinite(out[..., -1]).all())


def _accumulate(ufunc: Any, x: Any, axis: int, out: Any) -> None:
    beside = x.size // (x.shape[axis] or 1)
    inner = math.prod(x.shape[axis + 1 :])
    if inner >= 256 or (inner > 1 and beside >= 1024):
        return _by_rows(ufunc, x, axis, out)
    if ufunc is np.add and inner == 1 and x.dtype in _TRIANGLES and x.size >= 1 << 14 and x.shape[axis] >= 4 * _BLOCK:
        with np.errstate(invalid="ignore"):
            if _by_blocks(np.ascontiguousarray(x).reshape(x.shape[: axis + 1]), out.reshape(x.shape[: axis + 1])):
                return None
    ufunc.accumulate(x, axis, None, out)
    return None


def _accumulation(ufunc: Any) -> Kernel:
    def kernel(x: Any, axis: int, include_initial: bool = False) -> Any:
        if x.itemsize == 2 and x.dtype in NARROW:
            return kernel(x.astype(np.float32), axis, include_initial).astype(x.dtype)
        if not include_initial and x.size < 1 << 14:
            return ufunc.accumulate(x, axis)
        if x.dtype.kind in "biu":
            x = x.astype(np.uint64 if x.dtype.kind == "u" else np.int64)
        n = x.shape[axis]
        out = np.empty((*x.shape[:axis], n + include_initial, *x.shape[axis + 1 :]), x.dtype)
        before = (slice(None),) * axis
        if include_initial:
            out[(*before, 0)] = ufunc.identity
        if n:
            _accumulate(ufunc, x, axis, out[(*before, slice(1, None))] if include_initial else out)
        return out

    kernel.is_wide = True  # type: ignore[attr-defined]
    return kernel


def _running(ufunc: Any) -> Kernel:
    """Running extremes, and the last place of each: a place is that of a new one, or of NaN, from where all is NaN."""

    def kernel(x: Any, axis: int) -> Any:
        values = ufunc.accumulate(x, axis)
        here = x == values
        if x.dtype.kind not in "iu":
            here |= x != x
        places = np.arange(x.shape[axis]).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        return values, np.maximum.accumulate(np.where(here, places, 0), axis)

    return kernel


KERNELS = {
    "cumulative_sum": _accumulation(np.add),
    "cumulative_prod": _accumulation(np.multiply),
    "cummax": _running(np.maximum),
    "cummin": _running(np.minimum),
    "logcumsumexp": np.logaddexp.accumulate,
}
