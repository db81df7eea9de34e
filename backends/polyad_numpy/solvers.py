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
def _lapack() -> Any:
    """SciPy's LAPACK, where SciPy is installed."""
    if importlib.util.find_spec("scipy") is None:
        return None
    from scipy.linalg import lapack

    return lapack


_TRTRS = {"f": "strtrs", "d": "dtrtrs", "F": "ctrtrs", "D": "ztrtrs"}
_FEW = 32
"""Up to this many rows a call of LAPACK for each matrix costs more than NumPy's one loop over a stack."""


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
    if not unitriangular:
        zero = (np.diagonal(a, 0, -2, -1) == 0).any(-1)
        if zero.any():
            raise LinAlgError.of("linalg.solve_triangular", int(zero.argmax()), a.shape[:-2], SINGULAR)
    lapack = _lapack()
    if lapack is None or (a.ndim > 2 and a.shape[-1] <= _FEW) or not a.size or not b.size:
        return _substituted(a, b, upper, unitriangular)
    solve = getattr(lapack, _TRTRS[a.dtype.char])
    if a.ndim == b.ndim == 2:
        return _by_lapack(solve, a, b, upper, unitriangular)
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, (*stack, *a.shape[-2:])), np.broadcast_to(b, (*stack, *b.shape[-2:]))
    out = np.empty(b.shape, b.dtype)
    for index in np.ndindex(*stack):
        out[index] = _by_lapack(solve, a[index], b[index], upper, unitriangular)
    return out


def _by_lapack(solve: Any, a: Any, b: Any, upper: bool, unitriangular: bool) -> Any:
    # LAPACK reads columns: rows in memory are the transposed matrix, which it solves as such, so nothing is copied
    if a.flags.c_contiguous and not a.flags.f_contiguous:
        return solve(a.T, b, lower=upper, trans=1, unitdiag=unitriangular)[0]
    return solve(a, b, lower=not upper, trans=0, unitdiag=unitriangular)[0]


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
