"""Linear systems and functions of matrices, by NumPy and SciPy."""

import numpy as np
import scipy.linalg


def solve_triangular(a: np.ndarray, b: np.ndarray, *, upper: bool, left: bool = True, unitriangular: bool = False):
    a = np.triu(a, int(unitriangular)) if upper else np.tril(a, -int(unitriangular))
    if unitriangular:
        a = a + np.eye(a.shape[-1])
    return np.linalg.solve(a, b) if left else np.linalg.solve(a.mT, b.mT).mT


def logdet(x: np.ndarray) -> np.ndarray:
    sign, size = np.linalg.slogdet(x)
    return size + np.log(sign) if np.iscomplexobj(x) else np.where(sign < 0, np.nan, size)


def adjugate(x: np.ndarray) -> np.ndarray:
    """By cofactors."""
    n = x.shape[-1]
    out = np.empty_like(x)
    for i in range(n):
        for j in range(n):
            minor = np.delete(np.delete(x, i, -2), j, -1)
            out[..., j, i] = (-1) ** (i + j) * np.linalg.det(minor)
    return out


REFERENCES = {
    "linalg.adjugate": adjugate,
    "linalg.matrix_exp": scipy.linalg.expm,
    "linalg.solve_triangular": solve_triangular,
    "logdet": logdet,
    "trace": lambda x, offset=0: np.trace(x, offset, -2, -1),
}
