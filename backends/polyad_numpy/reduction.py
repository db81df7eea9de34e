"""Reductions on NumPy: its ufuncs' own, without what its functions do around them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from polyad.backend import Kernel

from .products import NARROW

__all__ = ["KERNELS", "QUIET"]


def _wide(kernel: Any) -> Any:
    """Mark a kernel that computes half precision in float32 itself: that costs other types one attribute read."""
    kernel.is_wide = True
    return kernel


def _reduction(ufunc: Any) -> Kernel:
    reduce = ufunc.reduce

    def kernel(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if x.itemsize == 2 and x.dtype in NARROW:
            return reduce(x, axis, np.float32, None, keepdims).astype(x.dtype)
        return reduce(x, axis, None, None, keepdims)

    return _wide(kernel)  # type: ignore[no-any-return]


def _count(x: Any, axis: tuple[int, ...] | None) -> int:
    return x.size if axis is None else math.prod([x.shape[i] for i in axis])


def _divided(total: Any, n: float) -> Any:
    return total / n if n > 0 else total * math.nan


@_wide
def _mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    n = _count(x, axis)
    if x.itemsize == 2 and x.dtype in NARROW:
        return _divided(np.add.reduce(x, axis, np.float32, None, keepdims), n).astype(x.dtype)
    return _divided(np.add.reduce(x, axis, None, None, keepdims), n)


@_wide
def _var(x: Any, axis: Any, correction: float = 0.0, keepdims: bool = False) -> Any:
    if x.itemsize == 2 and x.dtype in NARROW:
        return _var(x.astype(np.float32), axis, correction, keepdims).astype(x.dtype)
    n = _count(x, axis)
    off = x - np.add.reduce(x, axis, None, None, True) / (n or 1)
    if off.dtype.kind == "c":
        off = off.real**2 + off.imag**2
    else:
        off *= off  # in place, but for a scalar
    return _divided(np.add.reduce(off, axis, None, None, keepdims), n - correction)


@_wide
def _std(x: Any, axis: Any, correction: float = 0.0, keepdims: bool = False) -> Any:
    return np.sqrt(_var(x, axis, correction, keepdims))


def _extreme(ufunc: Any) -> Kernel:
    def kernel(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if axis in (1, (1,)) and x.ndim == 2 and 0 < x.shape[1] <= 32:
            # NumPy enters its loop once a row; along the few columns of a copy it does so once a column
            found = ufunc.reduce(np.array(x.T, order="C"), 0)
            return found[:, None] if keepdims else found
        return ufunc.reduce(x, axis, None, None, keepdims)

    return kernel


def _test(ufunc: Any) -> Kernel:
    return lambda x, axis=None, keepdims=False: ufunc.reduce(x, axis, np.bool_, None, keepdims)


KERNELS = {
    "sum": _reduction(np.add),
    "prod": _reduction(np.multiply),
    "mean": _mean,
    "var": _var,
    "std": _std,
    "max": _extreme(np.maximum),
    "min": _extreme(np.minimum),
    "argmax": lambda x, axis=None, keepdims=False: x.argmax(axis, keepdims=keepdims),
    "argmin": lambda x, axis=None, keepdims=False: x.argmin(axis, keepdims=keepdims),
    "_ranked": lambda x, ranks: np.partition(x, sorted(set(ranks)), -1)[..., list(ranks)],
    "all": _test(np.logical_and),
    "any": _test(np.logical_or),
}

QUIET = frozenset(["var", "std", "median", "quantile", "nanmean", "nanvar", "nanstd", "logsumexp", "logcumsumexp"])
"""Functions that NumPy warns of at ordinary arguments, such as infinities."""
