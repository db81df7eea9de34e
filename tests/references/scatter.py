"""Scattering along an axis, one element at a time."""

from typing import Any

import numpy as np

from .indexing import brackets


def reduced(x: np.ndarray, source: np.ndarray, indices: np.ndarray, axis: int, include_self: bool, reduce: Any) -> Any:
    out, written = x.copy(), np.full(x.shape, include_self)
    for at in np.ndindex(indices.shape):
        to = (*at[:axis], int(indices[at]), *at[axis + 1 :])
        out[to] = reduce(out[to], source[at]) if written[to] else source[at]
        written[to] = True
    return out


def written(x: np.ndarray, values: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    x = x.copy()
    places: list[Any] = list(np.indices(indices.shape))
    places[axis] = indices
    x[tuple(places)] = values
    return x


def masked(x: np.ndarray, mask: np.ndarray, source: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[mask] = source.ravel()[: mask.sum()]
    return x


def added(x: np.ndarray, source: np.ndarray, *indices: np.ndarray, key: Any) -> np.ndarray:
    x = x.copy()
    np.add.at(x, brackets(key, indices), source)
    return x


def places(indices: np.ndarray, axis: int, shape: Any) -> np.ndarray:
    where: list[Any] = list(np.indices(indices.shape))
    where[axis] = indices % shape[axis]
    return np.ravel_multi_index(tuple(where), shape).ravel()


REFERENCES = {
    "_places": places,
    "_index_add": added,
    "_extreme_along_axis": lambda *arrays, largest, **params: reduced(
        *arrays, **params, reduce=np.maximum if largest else np.minimum
    ),
    "_masked_scatter": masked,
    "_multiply_along_axis": lambda *arrays, **params: reduced(*arrays, **params, reduce=np.multiply),
    "_put_along_axis": written,
}
