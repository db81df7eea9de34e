"""Sorting and sets on NumPy: descending order, which it does not have, and NaN that are distinct in sets."""

from __future__ import annotations

from typing import Any

import numpy as np


def _sort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    found = np.sort(_wide(x), axis).astype(x.dtype, copy=False)  # of equal ones it is all the same which comes first
    return np.flip(found, axis) if descending else found


def _wide(x: Any) -> Any:
    """bfloat16 as float32: NumPy does not know its NaN, and would leave the others out of order."""
    return x.astype(np.float32) if getattr(x, "dtype", _BOOL).kind == "V" else x


_BOOL = np.dtype(bool)


_FEW = 2048
"""Up to so many elements, keys cost more than they save."""


def _keys(x: Any, axis: int, descending: bool) -> Any:
    """Numbers of 64 bits that are in the order wanted: an element's rank above, its index below. None for wide types.

    All are distinct, so that any sort of them is stable, and NumPy sorts them by vector instructions: a stable argsort
    takes ten times as long.
    """
    kind = x.dtype.kind
    if x.itemsize > 4 or kind not in "biufV" or x.size <= _FEW:  # V is bfloat16's
        return None
    if kind in "fV":
        bits = (x + x.dtype.type(0)).astype(np.float32).view(np.int32)  # 0.0 for -0.0
        rank = (bits ^ ((bits >> 31) | np.int32(-(2**31)))).view(np.uint32)
        nan = x != x
        if nan.any():
            rank[nan] = 2**32 - 1
    elif kind == "i":
        rank = x.astype(np.int32).view(np.uint32) ^ np.uint32(2**31)
    else:
        rank = x.astype(np.uint32)
    keys = (~rank if descending else rank).astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(x.shape[axis], dtype=np.uint64).reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    return keys


def _index(keys: Any) -> Any:
    return (keys & np.uint64(2**32 - 1)).view(np.int64)


def _first(x: Any, axis: int, descending: bool, start: int, stop: int) -> tuple[Any, Any]:
    """The elements from place ``start`` to ``stop`` of the order, and where they stand."""
    keys = _keys(x, axis, descending)
    before, within = (*(slice(None),) * axis, slice(stop)), (*(slice(None),) * axis, slice(start, stop))
    if keys is None:
        order = _argsort(x, axis, descending)[within]
    else:
        if 0 < stop < x.shape[axis]:
            keys.partition(stop - 1, axis)
        order = _index(np.sort(keys[before], axis)[within])
    return np.take_along_axis(x, order, axis), order


def _topk(x: Any, k: int, axis: int, largest: bool, sorted: bool = True) -> tuple[Any, Any]:
    return _first(x, axis, largest, 0, k)


def _kthvalue(x: Any, k: int, axis: int, keepdims: bool) -> tuple[Any, Any]:
    found = _first(x, axis, False, k - 1, k)
    return found if keepdims else (found[0].squeeze(axis), found[1].squeeze(axis))


def _argsort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    keys = _keys(x, axis, descending)
    if keys is not None:
        keys.sort(axis)
        return _index(keys)
    x = _wide(x)
    if not descending:
        return np.argsort(x, axis, stable=stable or None)
    if not stable:
        return np.flip(np.argsort(x, axis), axis)
    # ascending from the end, then turned round: equal elements keep their order
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, stable=True), axis)


def _unique(x: Any) -> tuple[Any, Any, Any, Any]:
    values, first, inverse, counts = np.unique(_wide(x), True, True, True, equal_nan=False)
    return values.astype(x.dtype, copy=False), first, inverse.reshape(x.shape), counts


KERNELS = {
    "topk": _topk,
    "kthvalue": _kthvalue,
    "sort": _sort,
    "argsort": _argsort,
    "searchsorted": lambda x1, x2, side="left": np.searchsorted(_wide(x1), _wide(x2), side),
    "unique_all": _unique,
    "unique_values": lambda x: np.unique(_wide(x), equal_nan=False).astype(x.dtype, copy=False),
    "unique_counts": lambda x: _unique(x)[::3],
    "unique_inverse": lambda x: _unique(x)[::2],
}
