"""Factors of matrices on NumPy: which matrix is not positive definite, and types that do not depend on values."""

from __future__ import annotations

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
    stack = [lu(matrix) for matrix in x.reshape(-1, *x.shape[-2:])]
    return tuple(np.array([factors[i] for factors in stack], x.dtype).reshape(x.shape) for i in range(3))


KERNELS = {
    "linalg.cholesky": _cholesky,
    "linalg.eig": _eig,
    "linalg.eigvals": lambda x: _complex(np.linalg.eigvals(x)),
    "linalg.lu": _lu,
}
