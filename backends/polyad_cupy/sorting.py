"""Sorting and sets on CuPy, whose sorts are stable, and along the last axis only where they give places."""

from __future__ import annotations

from typing import Any

from polyad.backend import Kernel

__all__ = ["kernels"]


def kernels(xp: Any) -> dict[str, Kernel]:
    """Make the kernels over a namespace: ``cupy``, or in the tests NumPy."""

    def sort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
        found = xp.sort(x, axis)
        return xp.flip(found, axis) if descending else found

    def argsort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
        if not descending:
            return xp.argsort(x, axis, kind="stable")
        return x.shape[axis] - 1 - xp.flip(xp.argsort(xp.flip(x, axis), axis, kind="stable"), axis)

    def unique(x: Any) -> tuple[Any, Any, Any, Any]:
        values, first, inverse, counts = xp.unique(x, True, True, True, equal_nan=False)
        return values, first, inverse.reshape(x.shape), counts

    return {
        "count_nonzero": lambda x, axis, keepdims=False: xp.sum(x != 0, axis=axis, keepdims=keepdims),
        "sort": sort,
        "argsort": argsort,
        "searchsorted": lambda x1, x2, side="left": xp.searchsorted(x1, x2, side),
        "unique_all": unique,
        "unique_values": lambda x: xp.unique(x, equal_nan=False),
        "unique_counts": lambda x: unique(x)[::3],
        "unique_inverse": lambda x: unique(x)[::2],
    }
