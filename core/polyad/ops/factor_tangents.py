"""Factors of matrices in forward mode: how they change along a direction.

The formulas are those of the rules in `polyad.ops.decompositions`, before transposition; sources are named there.
"""

from __future__ import annotations

import math
from typing import Any

from ..rules import is_complex
from .matrices import (
    adjoint,
    conj_of,
    couplings,
    defective,
    diagonal_of,
    hermitian,
    on_diagonal,
    real_of,
    reciprocal,
    singular_couplings,
)

__all__ = ["cholesky_jvp", "eig_jvp", "eigh_jvp", "lu_jvp", "tall_qr_jvp", "thin_svd_jvp"]


def cholesky_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, upper: bool) -> Any:
    """Change of a triangular factor: of the Hermitian part alone."""
    # Murray (2016), "Differentiation of the Cholesky decomposition", equation (8)
    low, high = (adjoint(xp, out), out) if upper else (out, adjoint(xp, out))
    solve = xp.linalg.solve_triangular
    inner = solve(low, hermitian(xp, tangents[0]), upper=False, left=True, unitriangular=False)
    inner = solve(high, inner, upper=True, left=False, unitriangular=False)
    moved = low @ ((xp.tril(inner, k=0) + xp.tril(inner, k=-1)) / 2)
    return adjoint(xp, moved) if upper else moved


def eigh_jvp(xp: Any, tangents: Any, out: Any, x: Any) -> Any:
    """Change of eigenvalues and eigenvectors of Hermitian matrices: of the Hermitian part alone."""
    # Giles (2008), "Collected matrix derivative results", section 3.1
    values, vectors = out
    inner = adjoint(xp, vectors) @ hermitian(xp, tangents[0]) @ vectors
    turned = couplings(xp, values[..., None, :] - values[..., :, None]) * inner
    return real_of(xp, diagonal_of(xp, inner)), vectors @ turned


def eig_jvp(xp: Any, tangents: Any, out: Any, x: Any) -> Any:
    """Change of eigenvalues and eigenvectors of any square matrices."""
    # Boeddeker et al. (2017), "On the computation of complex-valued gradients", section 4.11
    values, vectors = out
    inner = xp.linalg.solve(vectors, tangents[0] @ vectors)
    moved = vectors @ (inner * couplings(xp, values[..., None, :] - values[..., :, None]))
    longer = xp.sum(xp.real(xp.conj(vectors) * moved), axis=len(vectors.shape) - 2, keepdims=True)
    moved_values = xp.where(defective(xp, values, vectors), math.nan, diagonal_of(xp, inner))
    return moved_values, moved - vectors * longer  # eigenvectors keep their length


def tall_qr_jvp(xp: Any, tangents: Any, out: Any, x: Any) -> Any:
    """Change of orthogonal and triangular factors."""
    # Walter, Lehmann and Lamour (2012), "On evaluating higher-order derivatives of the QR decomposition"
    q, r = out
    scaled = xp.linalg.solve_triangular(r, tangents[0], upper=True, left=False, unitriangular=False)
    inner = adjoint(xp, q) @ scaled
    below = xp.tril(inner, k=-1)
    triangle = xp.triu(inner, k=0) + adjoint(xp, below)
    if is_complex(q.dtype):  # the diagonal of R stays real
        phases = diagonal_of(xp, inner)
        triangle = triangle - on_diagonal(xp, (phases - xp.conj(phases)) / 2)
    return scaled - q @ triangle, triangle @ r


def thin_svd_jvp(xp: Any, tangents: Any, out: Any, x: Any) -> Any:
    """Change of singular values and vectors."""
    # Townsend (2016), "Differentiating the singular value decomposition"; Wan and Zhang (2019), arXiv:1909.02659
    (t,) = tangents
    u, s, vh = out
    v, coupling, each = adjoint(xp, vh), singular_couplings(xp, s), reciprocal(xp, s)
    left, right = adjoint(xp, u) @ t, t @ v
    inner = left @ v
    other = adjoint(xp, inner)
    values = diagonal_of(xp, inner)
    turned = coupling * inner - coupling.mT * other
    if is_complex(u.dtype):
        turned = turned + on_diagonal(xp, (values - xp.conj(values)) / 2 * each)
    moved_u = u @ turned
    if u.shape[-2] > u.shape[-1]:
        moved_u = moved_u + (right - u @ inner) * each[..., None, :]
    moved_vh = (coupling.mT * inner - coupling * other) @ vh
    if vh.shape[-1] > vh.shape[-2]:
        moved_vh = moved_vh + each[..., :, None] * (left - inner @ vh)
    return moved_u, real_of(xp, values), moved_vh


def lu_jvp(xp: Any, tangents: Any, out: Any, x: Any) -> Any:
    """Change of triangular factors; the permutation stays."""
    # de Hoog, Anderssen and Lukas (2011), "Differentiation of matrix functionals using triangular factorization"
    p, low, high = out
    solve = xp.linalg.solve_triangular
    inner = solve(low, conj_of(xp, adjoint(xp, p)) @ tangents[0], upper=False, left=True, unitriangular=True)
    inner = solve(high, inner, upper=True, left=False, unitriangular=False)
    return None, low @ xp.tril(inner, k=-1), xp.triu(inner, k=0) @ high
