"""What CuPy has otherwise than the array API standard, or not at all.

The kernels are written against a namespace, so that the tests can run the very same code on NumPy arrays. What they
leave as CuPy has it, since checking would mean to wait for the device:

- index arrays out of range wrap around;
- which value wins where ``x[i] = v`` has an index twice is not determined;
- sums over repeated indices add in no fixed order, so that their last digits may differ between runs;
- casts of NaN and infinity to integers, and of negative numbers to unsigned ones, give other numbers than on NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from polyad.backend import Kernel
from polyad.keys import ARRAY, python_key

from . import elementwise

__all__ = ["inplace", "kernels"]

_ADDABLE = frozenset(np.dtype(n) for n in ("int32", "int64", "uint32", "uint64", "float16", "float32", "float64"))
"""The types that CuPy's ``add.at`` takes."""


def kernels(xp: Any) -> dict[str, Kernel]:
    """Make the kernels over a namespace: ``cupy``, or in the tests NumPy."""

    def truth(x: Any) -> Any:
        """Elements as CuPy's logical functions take them: they have no complex ones."""
        return x != 0 if isinstance(x, complex) or _kind(x) == "c" else x

    def where(condition: Any, a: Any, b: Any) -> Any:
        return xp.where(xp.asarray(condition), a, b)  # a condition may be Python's True

    def unfold(x: Any, axis: int, size: int, step: int) -> Any:
        n, stride = (x.shape[axis] - size) // step + 1, x.strides[axis]
        shape = (*x.shape[:axis], n, *x.shape[axis + 1 :], size)
        strides = (*x.strides[:axis], stride * step, *x.strides[axis + 1 :], stride)
        return xp.lib.stride_tricks.as_strided(x, shape, strides)

    def index_of(choose: Any) -> Kernel:
        def kernel(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
            # CuPy gives C's long long: of 64 bits too, but not the dtype object that everything else has
            return choose(x, axis=axis, keepdims=keepdims).view(np.int64)

        return kernel

    def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if x.size:
            return xp.mean(x, axis=axis, keepdims=keepdims)
        return xp.sum(x, axis=axis, keepdims=keepdims) * np.nan  # NumPy, under the tests, would warn

    def getitem(x: Any, *indices: Any, key: Any) -> Any:
        found = x[python_key(key, indices)]
        return found if indices else found.copy()

    def setitem(x: Any, value: Any, *indices: Any, key: Any) -> Any:
        x = x.copy()
        x[python_key(key, indices)] = value
        return x

    def index_scatter(g: Any, *indices: Any, key: Any, shape: Any) -> Any:
        place = python_key(key, indices)
        if ARRAY not in key:
            out = xp.zeros(shape, g.dtype)
            out[place] = g
            return out
        if g.dtype.kind == "c":
            out = xp.zeros(shape, g.dtype)
            xp.add.at(out.real, place, g.real)
            xp.add.at(out.imag, place, g.imag)
            return out
        wide = g.dtype if g.dtype in _ADDABLE else np.dtype("int64")  # bools and integers of few bits
        out = xp.zeros(shape, wide)
        xp.add.at(out, place, g.astype(wide, copy=False))
        return out.astype(g.dtype, copy=False)

    return {
        **elementwise.kernels(xp),
        "logical_not": lambda x: xp.logical_not(truth(x)),
        "logical_and": lambda a, b: xp.logical_and(truth(a), truth(b)),
        "logical_or": lambda a, b: xp.logical_or(truth(a), truth(b)),
        "logical_xor": lambda a, b: xp.logical_xor(truth(a), truth(b)),
        "where": where,
        "real": lambda x: x.real,
        "clone": lambda x: x.copy("C"),
        "astype": lambda x, dtype: x.astype(dtype),  # the function takes it by position only
        "detach": lambda x: x,
        "reshape": lambda x, shape: x.reshape(shape),
        "unfold": unfold,
        "mean": mean,
        "argmax": index_of(xp.argmax),
        "argmin": index_of(xp.argmin),
        "slice_view": lambda x, key: x[python_key(key)],
        "getitem": getitem,
        "setitem": setitem,
        "index_scatter": index_scatter,
    }


def inplace(xp: Any) -> dict[str, Kernel]:
    """Make the kernels that write into their first operand."""

    def setitem(x: Any, value: Any, *indices: Any, key: Any) -> None:
        # CuPy does not look whether what it reads is what it writes
        if hasattr(value, "shape") and xp.may_share_memory(x, value):
            value = value.copy()
        x[python_key(key, indices)] = value

    return {
        "add": lambda x, y: xp.add(x, y, x),
        "subtract": lambda x, y: xp.subtract(x, y, x),
        "multiply": lambda x, y: xp.multiply(x, y, x),
        "divide": lambda x, y: xp.divide(x, y, x),
        "setitem": setitem,
    }


def _kind(x: Any) -> str | None:
    dtype = getattr(x, "dtype", None)
    return None if dtype is None else dtype.kind
