"""Indexing, written with NumPy's brackets."""

from typing import Any

import numpy as np

from polyad.keys import ARRAY, Slice


def brackets(key: tuple[Any, ...], indices: tuple[Any, ...]) -> tuple[Any, ...]:
    """What stands between NumPy's brackets for one of polyad's keys."""
    rest = iter(indices)

    def entry(e: Any) -> Any:
        if e is ARRAY:
            return next(rest)
        if isinstance(e, Slice):
            stop: int | None = e.start + e.length * e.step
            return slice(e.start, None if stop is not None and stop < 0 else stop, e.step)
        return e

    return tuple(entry(e) for e in key)


def write(x: np.ndarray, value: Any, *indices: Any, key: Any) -> np.ndarray:
    x = x.copy()
    x[brackets(key, indices)] = value
    return x


def scatter(g: np.ndarray, *indices: Any, key: Any, shape: Any) -> np.ndarray:
    out = np.zeros(shape, g.dtype)
    np.add.at(out, brackets(key, indices), g)
    return out


def read(x: np.ndarray, *indices: Any, key: Any) -> np.ndarray:
    return np.asarray(x[brackets(key, indices)])


REFERENCES = {
    "getitem": read,
    "index_scatter": scatter,
    "setitem": write,
    "slice_view": read,
}
