"""Reading and writing by index on NumPy: the quickest form for each kind of key."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from polyad.keys import ARRAY, Key, Slice, plain_key, python_key

__all__ = ["KERNELS", "setitem_into"]

_ROWS: Key = (ARRAY,)
"""The key of rows: one index array, along the first dimension."""


def _slice_view(x: Any, key: Key) -> Any:
    return x[plain_key(key)]


def _getitem(x: Any, *indices: Any, key: Key) -> Any:
    if key == _ROWS and x.size:
        return x.take(indices[0], 0)  # half the time of brackets
    found = x[python_key(key, indices)]
    return found if indices else found.copy()


def _setitem(x: Any, value: Any, *indices: Any, key: Key) -> Any:
    x = np.array(x)  # not x.copy(): inside a rule a 0-d gradient may be a NumPy scalar
    x[python_key(key, indices)] = value
    return x


def setitem_into(x: Any, value: Any, *indices: Any, key: Key) -> None:
    """Write at a key; in place of an index array there may be a mask."""
    x[indices[0] if key == _ROWS else python_key(key, indices)] = value


# Adding -------------------------------------------------------------------------------------------------------

_FEW = 2048
"""Up to so many elements, what `_add_rows` saves is less than what it costs."""


def _index_scatter(g: Any, *indices: Any, key: Key, shape: tuple[int, ...]) -> Any:
    if ARRAY not in key:
        out = np.zeros(shape, g.dtype)
        out[plain_key(key)] = g
        return out
    if key == _ROWS and len(shape) == 1:
        out = np.zeros(shape, g.dtype)
        np.add.at(out, indices[0].reshape(-1), np.asarray(g).reshape(-1))
        return out
    count, axis = len(indices), len(key) - 1
    if g.size > _FEW and key == (ARRAY,) * count:
        lengths = shape[:count]
        rows = _place(indices, lengths)
        out = _add_rows(g.reshape(rows.size, -1), rows.reshape(-1), math.prod(lengths))
        return out.reshape(shape)
    if g.size > _FEW and indices[0].ndim == 1 and key == (*(Slice(0, n, 1) for n in shape[:axis]), ARRAY):
        g = np.moveaxis(g, axis, 0)
        out = _add_rows(g.reshape(len(g), -1), _place(indices, shape[axis : axis + 1]), shape[axis])
        return np.ascontiguousarray(np.moveaxis(out.reshape(shape[axis], *g.shape[1:]), 0, axis))
    out = np.zeros(shape, g.dtype)
    np.add.at(out, python_key(key, indices), g)  # repeated indices add up
    return out


def _place(indices: Any, lengths: tuple[int, ...]) -> Any:
    """Where index arrays point to in an array of the dimensions that they index, flattened."""
    place: Any = 0
    for i, n in zip(indices, lengths, strict=True):
        low = i.min()
        if low < -n or i.max() >= n:
            raise IndexError(f"an index array reaches from {low} to {i.max()}, in a dimension of length {n}")
        place = place * n + (i if low >= 0 else np.where(i < 0, i + n, i))
    return place


_PAIRS = {np.dtype("float32"): np.dtype("complex64"), np.dtype("float64"): np.dtype("complex128")}


def _add_rows(g: Any, rows: Any, n: int) -> Any:
    """Zeros of ``n`` rows with those of ``g`` added.

    In one dimension `np.add.at` takes an eighth of the time for each element that it takes in two, and adding two real
    numbers as one complex number halves that.
    """
    width = g.shape[1]
    out = np.zeros((n, width), g.dtype)
    total, terms = out.reshape(-1), np.ascontiguousarray(g).reshape(-1)
    pair = _PAIRS.get(g.dtype) if width % 2 == 0 else None
    if pair is not None:
        total, terms, width = total.view(pair), terms.view(pair), width // 2
    if width != 1:
        rows = (rows.astype(np.intp, copy=False)[:, None] * width + np.arange(width)).reshape(-1)
    np.add.at(total, rows, terms)
    return out


def _places(indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """What `polyad.ops.scatter.places` does, in half as many passes."""
    if indices.size and indices.min() < 0:
        indices = np.where(indices < 0, indices + shape[axis], indices)
    found = np.multiply(indices, math.prod(shape[axis + 1 :]), dtype=np.int64)
    for d, n in enumerate(indices.shape):
        if d != axis:
            counted = np.arange(n) * math.prod(shape[d + 1 :])
            found += counted.reshape([n if i == d else 1 for i in range(len(shape))])
    return found.reshape(-1)


def _take_along_axis(x: Any, indices: Any, axis: int = -1) -> Any:
    axis %= x.ndim
    if any(n != m for d, (n, m) in enumerate(zip(x.shape, indices.shape, strict=True)) if d != axis):
        return np.take_along_axis(x, indices, axis)
    return x.reshape(-1).take(_places(indices, axis, x.shape)).reshape(indices.shape)


def _extreme_along_axis(x: Any, source: Any, indices: Any, axis: int, largest: bool, include_self: bool) -> Any:
    return _reduced(
        np.maximum if largest else np.minimum, x, source, indices, axis, None if include_self else source.reshape(-1)
    )


def _multiply_along_axis(x: Any, source: Any, indices: Any, axis: int, include_self: bool) -> Any:
    return _reduced(np.multiply, x, source, indices, axis, None if include_self else 1)


def _reduced(ufunc: Any, x: Any, source: Any, indices: Any, axis: int, first: Any) -> Any:
    """``x`` with elements of a source joined to it at indices along an axis, after they were set to ``first``."""
    out, at = np.array(x, order="C"), _places(indices, axis, x.shape)
    flat, source = out.reshape(-1), source.reshape(-1)
    if first is not None:
        flat[at] = first
    ufunc.at(flat, at, source)
    return out


KERNELS = {
    "_places": _places,
    "_extreme_along_axis": _extreme_along_axis,
    "_multiply_along_axis": _multiply_along_axis,
    "slice_view": _slice_view,
    "take_along_axis": _take_along_axis,
    "take": lambda x, indices, axis: x.take(indices, axis),
    "getitem": _getitem,
    "setitem": _setitem,
    "index_scatter": _index_scatter,
    "nonzero": np.nonzero,
}
