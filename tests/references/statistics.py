"""Reductions beyond the standard: NumPy's, without the warnings that it gives of too few elements."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special


def silent(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: np.ndarray, **params: Any) -> Any:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return function(x, **params)

    return call


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: np.ndarray, correction: float = 0, **params: Any) -> Any:
        return function(x, ddof=correction, **params)

    return silent(call)


REFERENCES = {
    "aminmax": lambda x, **params: (np.min(x, **params), np.max(x, **params)),
    "logsumexp": silent(scipy.special.logsumexp),
    "_ranked": lambda x, ranks: np.sort(x, axis=-1)[..., list(ranks)],
    "median": silent(np.median),
    "quantile": silent(np.quantile),
    "nanmax": silent(np.nanmax),
    "nanmin": silent(np.nanmin),
    "nanmean": silent(np.nanmean),
    "nanvar": spread(np.nanvar),
    "nanstd": spread(np.nanstd),
}
