"""Products and norms on NumPy: where its functions have an overhead, or compute in half precision."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from polyad.ops.norms import vector_norm

NARROW = frozenset([np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)])


def _matmul(a: Any, b: Any) -> Any:
    if a.itemsize == 2 and a.dtype in NARROW:
        return np.matmul(a.astype(np.float32), b.astype(np.float32)).astype(a.dtype)
    if 0 < a.ndim <= 2 and 0 < b.ndim <= 2:
        return a.dot(b)  # half the overhead of the ufunc
    if a.ndim > 1 and b.ndim > 1 and a.shape[-1] == 1 == b.shape[-2]:
        return a * b  # columns times rows: BLAS would be called for each pair, and has little to do
    if b.ndim <= 2 and b.ndim and a.flags.c_contiguous and a.size:  # all rows as those of one matrix
        return a.reshape(-1, a.shape[-1]).dot(b).reshape(a.shape[:-1] + b.shape[1:])
    return np.matmul(a, b)


_matmul.is_wide = True  # type: ignore[attr-defined]


def _vector_norm(x: Any, axis: tuple[int, ...], keepdims: bool = False, ord: float = 2) -> Any:
    if ord == 2 and len(axis) == x.ndim:  # the root of a dot product, without an array of squares
        flat = x.ravel("K")
        found = math.sqrt(np.vdot(flat, flat).real)
        return np.full((1,) * x.ndim if keepdims else (), found, x.real.dtype)
    if ord == 2 and len(axis) == 1:
        found = np.sqrt(np.vecdot(x, x, axis=axis[0]).real)
        return np.expand_dims(found, axis) if keepdims else found
    with np.errstate(divide="ignore"):  # of negative orders 0 has an infinite power, and the norm is 0
        return vector_norm.function.body(np, x, axis=axis, keepdims=keepdims, ord=ord)  # type: ignore[misc]


KERNELS = {"matmul": _matmul, "linalg.vector_norm": _vector_norm}
