"""Reductions that NumPy warns of where there are too few elements."""

from typing import Any

import numpy as np


def mean(x: np.ndarray, axis: Any = None, keepdims: bool = False) -> Any:
    with np.errstate(invalid="ignore"):
        return np.sum(x, axis=axis, keepdims=keepdims) / np.sum(np.ones(x.shape), axis=axis, keepdims=keepdims)


def var(x: np.ndarray, axis: Any = None, correction: float = 0, keepdims: bool = False) -> Any:
    n = np.sum(np.ones(x.shape), axis=axis, keepdims=keepdims) - correction
    if np.all(n > 0):
        return np.var(x, axis=axis, ddof=correction, keepdims=keepdims)  # type: ignore[call-overload]
    return np.where(n > 0, n, np.nan)


REFERENCES = {"mean": mean, "var": var, "std": lambda x, **params: np.sqrt(var(x, **params))}
