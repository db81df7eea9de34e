"""Linear systems on NumPy: which matrix is singular, and triangular systems, which NumPy itself does not have."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from polyad.errors import LinAlgError

SINGULAR = "is singular; linalg.pinv and linalg.lstsq take such matrices"


def _refusing(name: str, solve: Callable[..., Any]) -> Callable[..., Any]:
    """Say which matrix of a stack is singular."""

    def kernel(x: Any, *others: Any) -> Any:
        try:
            return solve(x, *others)
        except np.linalg.LinAlgError:
            which = int(np.flatnonzero(np.linalg.slogdet(x)[0] == 0)[0])
            raise LinAlgError.of(name, which, x.shape[:-2], SINGULAR) from None

    return kernel


@cache
def _blas() -> Any:
    """SciPy's BLAS, where SciPy is installed."""
    if importlib.util.find_spec("scipy") is None:
        return None
    from scipy.linalg import blas

    return blas


_TRSM = {"f": "strsm", "d": "dtrsm", "F": "ctrsm", "D": "ztrsm"}  # LAPACK's trtrs starts threads for small systems too
_FEW = 32
"""Up to this many rows a call of BLAS for each matrix costs more than NumPy's one loop over a stack."""


def _substituted(a: Any, b: Any, upper: bool, unitriangular: bool) -> Any:
    """Solve by NumPy's general solver. Of an upper triangle the factors are itself and the identity, without pivots."""
    a = np.triu(a, int(unitriangular)) if upper else np.tril(a, -int(unitriangular))
    if unitriangular:
        a += np.eye(a.shape[-1], dtype=a.dtype)
    if upper:
        return np.linalg.solve(a, b)
    return np.linalg.solve(a[..., ::-1, ::-1], b[..., ::-1, :])[..., ::-1, :]


def _solve_triangular(a: Any, b: Any, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    if not left:
        return _solve_triangular(a.mT, b.mT, not upper, True, unitriangular).mT
    diagonal = np.diagonal(a, 0, -2, -1)
    if not unitriangular and not diagonal.all():
        which = int((diagonal == 0).any(-1).argmax())
        raise LinAlgError.of("linalg.solve_triangular", which, a.shape[:-2], SINGULAR)
    blas = _blas()
    if blas is None or not b.size or (b.ndim > 2 and a.shape[-1] <= _FEW):
        return _substituted(a, b, upper, unitriangular)
    trsm = getattr(blas, _TRSM[a.dtype.char])
    if a.ndim == b.ndim == 2:
        return _by_blas(trsm, a, b, upper, unitriangular)
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, (*stack, *a.shape[-2:])), np.broadcast_to(b, (*stack, *b.shape[-2:]))
    out = np.empty(b.shape, b.dtype)
    for index in np.ndindex(*stack):
        out[index] = _by_blas(trsm, a[index], b[index], upper, unitriangular)
    return out


def _by_blas(trsm: Any, a: Any, b: Any, upper: bool, unitriangular: bool) -> Any:
    # BLAS reads columns, so rows in memory are the transposed matrix to it: as such it solves the transposed system
    if a.flags.c_contiguous and not a.flags.f_contiguous:
        return trsm(1, a.T, b.T, side=1, lower=upper, trans_a=0, diag=unitriangular).T
    return trsm(1, a, b.T, side=1, lower=not upper, trans_a=1, diag=unitriangular).T


def _adjugate(x: Any) -> Any:
    """``det(x) * inv(x)``, whose rounding errors are those of one factorization; by singular values if need be."""
    try:
        return np.linalg.det(x)[..., None, None] * np.linalg.inv(x)
    except np.linalg.LinAlgError:
        return _singular_adjugate(x)


def _singular_adjugate(x: Any) -> Any:
    u, s, vh = np.linalg.svd(x)
    n = s.shape[-1]
    others = np.where(np.eye(n, dtype=bool), 1, s[..., None, :]).prod(-1)
    sign = np.linalg.det(u @ vh)[..., None, None]
    return (sign * vh.mT.conj() * others[..., None, :]) @ u.mT.conj()


KERNELS = {
    "linalg.inv": _refusing("linalg.inv", np.linalg.inv),
    "linalg.solve": _refusing("linalg.solve", np.linalg.solve),
    "linalg.solve_triangular": _solve_triangular,
    "linalg.adjugate": _adjugate,
}
