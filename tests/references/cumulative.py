"""Running reductions, where NumPy has them otherwise or not at all."""

from typing import Any

import numpy as np


def running(extreme: Any, x: np.ndarray, axis: Any = None) -> tuple[Any, Any]:
    """Read off the values where each of them is met last."""
    axis = 0 if axis is None else axis
    values = extreme.accumulate(x, axis)
    lines, found = np.moveaxis(x, axis, -1), np.moveaxis(values, axis, -1)
    indices = np.zeros(lines.shape, np.int64)
    for place in np.ndindex(lines.shape):
        so_far, value = lines[place[:-1]][: place[-1] + 1], found[place]
        indices[place] = np.flatnonzero(np.isnan(so_far) if np.isnan(value) else so_far == value)[-1]
    return values, np.moveaxis(indices, -1, axis)


def logcumsumexp(x: np.ndarray, axis: Any = None) -> np.ndarray:
    """In a type whose range is wide enough."""
    wide = x.astype(np.longdouble)
    with np.errstate(divide="ignore"):
        return np.log(np.cumsum(np.exp(wide), 0 if axis is None else axis)).astype(x.dtype)


REFERENCES = {
    "_sum_from_end": lambda x, axis: np.flip(np.cumsum(np.flip(x, axis), axis), axis),
    "cummax": lambda x, axis=None: running(np.maximum, x, axis),
    "cummin": lambda x, axis=None: running(np.minimum, x, axis),
    "diff": lambda x, axis=-1, n=1: np.diff(x, n, axis),
    "logcumsumexp": logcumsumexp,
}
