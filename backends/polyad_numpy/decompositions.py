"""Factors of matrices on NumPy: which matrix is not positive definite, and types that do not depend on values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from polyad.errors import BackendError, LinAlgError


def _cholesky(x: Any, upper: bool = False) -> Any:
    try:
        return np.linalg.cholesky(x, upper=upper)
    except np.linalg.LinAlgError:
        for i, matrix in enumerate(x.reshape(-1, *x.shape[-2:])):
            try:
                np.linalg.cholesky(matrix, upper=upper)
            except np.linalg.LinAlgError:
                raise LinAlgError.of("linalg.cholesky", i, x.shape[:-2], "is not positive definite") from None
        raise


def _undefined(factors: Callable[..., Any]) -> Callable[..., Any]:
    """Have NaN for the factors of matrices that have none, since they hold NaN or infinity, in place of an error."""

    def kernel(x: Any, **params: Any) -> Any:
        try:
            return factors(x, **params)
        except np.linalg.LinAlgError:
            finite = np.isfinite(x).all((-2, -1))
            if finite.all():
                raise
            found = factors(np.where(finite[..., None, None], x, np.zeros_like(x)), **params)
            for array in found if isinstance(found, tuple) else (found,):
                array[~finite] = complex(np.nan, np.nan) if array.dtype.kind == "c" else np.nan
            return found

    return kernel


def _slogdet(x: Any) -> Any:
    with np.errstate(invalid="ignore"):
        sign, logarithm = np.linalg.slogdet(x)
    return np.where(np.isnan(logarithm), logarithm.astype(sign.dtype), sign), logarithm


def _complex(x: Any) -> Any:
    return x if x.dtype.kind == "c" else x.astype(np.result_type(x, np.complex64))


def _eig(x: Any) -> Any:
    values, vectors = np.linalg.eig(x)  # real where all of them are
    return _complex(values), _complex(vectors)


def _lu(x: Any) -> Any:
    try:
        from scipy.linalg import lu
    except ImportError as error:
        raise BackendError(f"linalg.lu needs SciPy on NumPy ({error}); write: pip install scipy") from error
    stack = [lu(matrix, check_finite=False) for matrix in x.reshape(-1, *x.shape[-2:])]
    return tuple(np.array([factors[i] for factors in stack], x.dtype).reshape(x.shape) for i in range(3))


KERNELS = {
    "linalg.cholesky": _cholesky,
    "linalg.eig": _undefined(_eig),
    "linalg.eigvals": _undefined(lambda x: _complex(np.linalg.eigvals(x))),
    "linalg.lu": _lu,
    "linalg.slogdet": _slogdet,
    "linalg.svd": _undefined(lambda x, full_matrices=True: tuple(np.linalg.svd(x, full_matrices=full_matrices))),
    "linalg.svdvals": _undefined(lambda x: np.linalg.svd(x, compute_uv=False)),
}
