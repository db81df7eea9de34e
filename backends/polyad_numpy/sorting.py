"""Sorting and sets on NumPy: descending order, which it does not have, and NaN that are distinct in sets."""

from __future__ import annotations

from typing import Any

import numpy as np


def _sort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    found = np.sort(x, axis)  # of equal elements it is all the same which comes first
    return np.flip(found, axis) if descending else found


def _argsort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    if not descending:
        return np.argsort(x, axis, stable=stable or None)
    if not stable:
        return np.flip(np.argsort(x, axis), axis)
    # ascending from the end, then turned round: equal elements keep their order
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, stable=True), axis)


def _unique(x: Any) -> tuple[Any, Any, Any, Any]:
    values, first, inverse, counts = np.unique(x, True, True, True, equal_nan=False)
    return values, first, inverse.reshape(x.shape), counts


KERNELS = {
    "sort": _sort,
    "argsort": _argsort,
    "searchsorted": lambda x1, x2, side="left": np.searchsorted(x1, x2, side),
    "unique_all": _unique,
    "unique_values": lambda x: np.unique(x, equal_nan=False),
    "unique_counts": lambda x: _unique(x)[::3],
    "unique_inverse": lambda x: _unique(x)[::2],
}
