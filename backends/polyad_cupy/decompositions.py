"""Factors of matrices on CuPy: the standard's arguments, and types that do not depend on values."""

from __future__ import annotations

from typing import Any

import numpy as np

from polyad.backend import Kernel

__all__ = ["kernels"]


def kernels(xp: Any, lu: Any = None) -> dict[str, Kernel]:
    """Make the kernels over a namespace: ``cupy``, or in the tests NumPy.

    ``lu`` stands for `cupyx.scipy.linalg.lu`.
    """

    def cholesky(x: Any, upper: bool = False) -> Any:
        return xp.linalg.cholesky(x.mT.conj()).mT.conj() if upper else xp.linalg.cholesky(x)

    def complex_of(x: Any) -> Any:
        return x if x.dtype.kind == "c" else x.astype(np.result_type(x.dtype, np.complex64))

    def eig(x: Any) -> Any:
        values, vectors = xp.linalg.eig(x)
        return complex_of(values), complex_of(vectors)

    def factors(x: Any) -> Any:
        of_matrix = lu
        if of_matrix is None:
            from cupyx.scipy.linalg import lu as of_matrix
        stack = [of_matrix(matrix) for matrix in x.reshape(-1, *x.shape[-2:])]
        return tuple(xp.stack([f[i] for f in stack]).astype(x.dtype).reshape(x.shape) for i in range(3))

    return {
        "linalg.cholesky": cholesky,
        "linalg.eig": eig,
        "linalg.eigvals": lambda x: complex_of(xp.linalg.eigvals(x)),
        "linalg.lu": factors,
        "linalg.svdvals": lambda x: xp.linalg.svd(x, compute_uv=False),
    }
