"""Sorting, searching and places along an axis, written with NumPy's sorts and index arrays."""

from typing import Any

import numpy as np


def argsort(x: np.ndarray, axis: int = -1, descending: bool = False, stable: bool = True) -> np.ndarray:
    return np.argsort(-x if descending and x.dtype != bool else x, axis=axis, kind="stable")


def sort(x: np.ndarray, **params: Any) -> np.ndarray:
    return np.take_along_axis(x, argsort(x, **params), params.get("axis", -1))


def topk(x: np.ndarray, k: int, axis: int = -1, largest: bool = True) -> tuple[np.ndarray, np.ndarray]:
    order = np.take(argsort(x, axis, largest), range(k), axis)
    return np.take_along_axis(x, order, axis), order


def kthvalue(x: np.ndarray, k: int, axis: int = -1, keepdims: bool = False) -> tuple[np.ndarray, np.ndarray]:
    order = np.take(argsort(x, axis), [k - 1], axis)
    found = np.take_along_axis(x, order, axis), order
    return found if keepdims else (found[0].squeeze(axis), order.squeeze(axis))


def add_along_axis(g: np.ndarray, indices: np.ndarray, axis: int, shape: Any) -> np.ndarray:
    out = np.zeros(shape, g.dtype)
    places: list[Any] = list(np.indices(indices.shape))
    places[axis] = indices
    np.add.at(out, tuple(places), g)
    return out


def unique_all(x: np.ndarray) -> Any:
    values, first, inverse, counts = np.unique(x, True, True, True, equal_nan=False)
    return values, first, inverse.reshape(x.shape), counts


REFERENCES = {
    "take_along_axis": lambda x, indices, axis=-1: np.take_along_axis(x, indices, axis),  # NumPy 2.1 has no default
    # without an axis NumPy 2.1 gives a number of Python
    "count_nonzero": lambda x, **params: np.asarray(np.count_nonzero(x, **params)),
    "_add_along_axis": add_along_axis,
    "argsort": argsort,
    "kthvalue": kthvalue,
    "msort": lambda x: np.sort(x, axis=0),
    "sort": sort,
    "topk": topk,
    "unique_all": unique_all,
    "unique_counts": lambda x: unique_all(x)[::3],
    "unique_inverse": lambda x: unique_all(x)[::2],
    "unique_values": lambda x: unique_all(x)[0],
}
