"""Factors of matrices: triangular and orthogonal ones, eigenvalues and singular values.

Where a factor is determined up to a sign or a phase only, so is its gradient: it is right for a function whose value
does not depend on that choice, as in PyTorch. Where values coincide, vectors that belong to them are not determined
either: what goes through the vectors has NaN there. Functions of the values alone have gradients, but no second ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from ..batching import stacked
from ..dispatch import function
from ..errors import ArgumentError, LinAlgError, ShapeError
from ..function import XP, Fails, Sample
from ..rules import is_complex
from ..tensor import Tensor
from .arguments import Shape
from .factor_tangents import cholesky_jvp, eig_jvp, eigh_jvp, lu_jvp, tall_qr_jvp, thin_svd_jvp
from .matrices import (
    adjoint,
    conj_of,
    couplings,
    defective,
    diagonal_of,
    on_diagonal,
    reciprocal,
    singular_couplings,
    skew,
    substitution_batched,
)
from .solvers import matrices_of, square_of

__all__ = ["cholesky_solve"]


def _square(name: str) -> Callable[..., dict[str, Any]]:
    def check(shape: Shape) -> dict[str, Any]:
        square_of(name, shape)
        return {}

    return check


_NOT_SQUARE: Final = Fails((2, 3), error=ShapeError, match=r"expected a square matrix.* of 2 rows and 3 columns")

# Of Hermitian matrices ------------------------------------------------------------------------------------------


def _choleskied(shape: Shape, *, upper: Any = False) -> dict[str, Any]:
    square_of("linalg.cholesky", shape)
    return {"upper": bool(upper)}


def _cholesky_rule(g: Any, xp: Any, out: Any, upper: bool) -> Any:
    # Murray (2016), "Differentiation of the Cholesky decomposition", section 3.1; Hermitian, as in PyTorch
    if upper:
        g, out = adjoint(xp, g), adjoint(xp, out)
    inner = out.mT @ g
    half = (xp.tril(inner, k=0) + xp.tril(inner, k=-1)) / 2
    solve = xp.linalg.solve_triangular
    found = solve(out.mT, half, upper=True, left=True, unitriangular=False)
    found = solve(conj_of(xp, out), found, upper=False, left=False, unitriangular=False)
    return (found + adjoint(xp, found)) / 2


@function(
    name="linalg.cholesky",
    takes="floating",
    wide=True,
    standard=True,
    check=_choleskied,
    batching=stacked(2),
    jvp=cholesky_jvp,
    x=_cholesky_rule,
    samples=[
        Sample((3, 3), domain="positive"),
        Sample((2, 2, 2), domain="positive", upper=True),
        Sample((1, 1), domain="positive"),
        Sample((0, 0), domain="positive"),
        _NOT_SQUARE,
        Fails(
            [[[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]],
            error=LinAlgError,
            match=r"linalg.cholesky: matrix \(1,\) of the stack of shape \(2,\) is not positive definite",
        ),
    ],
)
def cholesky(x: Tensor, /, *, upper: bool = False) -> Tensor:
    """Triangular factor of positive definite matrices: ``L`` with ``x = L @ L.mH``, or ``U`` with ``x = U.mH @ U``.

    Reads one triangle; the gradient is Hermitian, for a function of the whole matrix. Raises `LinAlgError`, which names
    the matrix of a stack, for one that is not positive definite; on a GPU and under ``jax.jit``, where that would wait
    for the device, the result has NaN.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.cholesky(ad.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """


def _solving(b: Shape, factor: Shape, *, upper: Any = False) -> dict[str, Any]:
    square_of("cholesky_solve", factor)
    matrices_of("cholesky_solve", b)
    if b[-2] != factor[-1]:
        raise ShapeError(f"cholesky_solve: the factor has {factor[-1]} rows, the right sides {b[-2]}")
    return {"upper": bool(upper)}


@function(
    takes="floating",
    wide=True,
    check=_solving,
    batching=substitution_batched(1),
    samples=[
        Sample((3, 2), (3, 3), domain="invertible"),
        Sample((2, 3, 1), (2, 3, 3), domain="invertible", upper=True),
        Fails((2, 1), (3, 3), error=ShapeError, match="cholesky_solve: the factor has 3 rows, the right sides 2"),
    ],
)
def cholesky_solve(xp: XP, b: Tensor, factor: Tensor, /, *, upper: bool = False) -> Tensor:
    """Solution of a linear system of which the Cholesky factor is known: PyTorch's function.

    Examples
    --------
    >>> import polyad as ad
    >>> a = ad.tensor([[4.0, 2.0], [2.0, 5.0]])
    >>> ad.cholesky_solve(ad.tensor([[6.0], [7.0]]), ad.linalg.cholesky(a))
    tensor([[1.],
            [1.]])
    """
    solve, other = xp.linalg.solve_triangular, adjoint(xp, factor)
    low, high = (other, factor) if upper else (factor, other)
    found = solve(low, b, upper=False, left=True, unitriangular=False)
    return solve(high, found, upper=True, left=True, unitriangular=False)  # type: ignore[no-any-return]


def _eigh_rule(g: Any, xp: Any, out: Any) -> Any:
    # Giles (2008), "Collected matrix derivative results", section 3.1
    values, vectors = out
    g_values, g_vectors = g
    conjugate, result = conj_of(xp, vectors), 0
    if g_values is not None:
        result = (conjugate * g_values[..., None, :]) @ vectors.mT
    if g_vectors is not None:
        # the skew part alone turns unitary vectors: with it the gradient is Hermitian, as that of the values is
        turned = couplings(xp, values[..., None, :] - values[..., :, None]) * skew(xp, vectors.mT @ g_vectors)
        result = result + conjugate @ turned @ vectors.mT
    return result


_HERMITIAN: Final = [
    Sample([[2.0, 1.0], [1.0, 3.0]], domain="symmetric"),
    Sample([[[2.0, 1.0], [1.0, 3.0]], [[5.0, 0.5], [0.5, 1.0]]], domain="symmetric", name="a stack"),
    Sample([[3.0]], domain="symmetric", name="1 by 1"),
    _NOT_SQUARE,
]


@function(
    name="linalg.eigh",
    takes="floating",
    outputs=("eigenvalues", "eigenvectors"),
    gives=("real", "same"),
    wide=True,
    standard=True,
    check=_square("linalg.eigh"),
    batching=stacked(2),
    jvp=eigh_jvp,
    x=_eigh_rule,
    samples=[*(Sample(*s.arrays, domain=s.domain, name=s.name, grad=False) for s in _HERMITIAN[:-1]), _NOT_SQUARE],
)
def eigh(x: Tensor, /) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors, as columns, of symmetric or Hermitian matrices.

    Reads the lower triangle; the gradient is Hermitian, for a function of the whole matrix. It is that of Giles (2008),
    "Collected matrix derivative results", section 3.1, and right for functions that do not depend on the signs, or
    phases, of the vectors.

    Eigenvectors of equal eigenvalues are not determined, and what goes through the vectors of such a matrix has a
    gradient of NaN, as in PyTorch; of eigenvalues that are nearly equal it is inexact. A function of the eigenvalues
    alone has its gradient there too; its second derivatives are NaN, since they take the vectors'.

    Examples
    --------
    >>> import polyad as ad
    >>> values, vectors = ad.linalg.eigh(ad.tensor([[2.0, 0.0], [0.0, 1.0]]))
    >>> values
    tensor([1., 2.])
    """


@function(
    name="linalg.eigvalsh",
    takes="floating",
    gives="real",
    wide=True,
    standard=True,
    check=_square("linalg.eigvalsh"),
    batching=stacked(2),
    samples=[*_HERMITIAN, Sample((3, 3), domain="symmetric"), Sample((0, 0), domain="symmetric")],
)
def eigvalsh(xp: XP, x: Tensor, /) -> Tensor:
    """Eigenvalues of symmetric or Hermitian matrices, ascending. Reads the lower triangle.

    Second derivatives are NaN for a matrix with equal eigenvalues; see `polyad.linalg.eigh`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.eigvalsh(ad.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([1., 2.])
    """
    return xp.linalg.eigh(x)[0]  # type: ignore[no-any-return]


# Of any square matrices -----------------------------------------------------------------------------------------


def _eig_rule(g: Any, xp: Any, out: Any, x_dtype: Any) -> Any:
    # Boeddeker et al. (2017), "On the computation of complex-valued gradients", section 4.11
    values, vectors = out
    g_values, g_vectors = g
    inner: Any = 0
    if g_vectors is not None:
        inner = vectors.mT @ g_vectors
        lengths = xp.real(diagonal_of(xp, inner))  # eigenvectors keep their length
        inner = inner - vectors.mT @ (xp.conj(vectors) * lengths[..., None, :])
        inner = inner * couplings(xp, values[..., None, :] - values[..., :, None])
    if g_values is not None:
        inner = inner + on_diagonal(xp, xp.where(defective(xp, values, vectors), math.nan, g_values))
    found = xp.linalg.solve(vectors.mT, inner @ vectors.mT)
    return found if is_complex(x_dtype) else xp.real(found)


_ANY: Final = [
    Sample([[2.0, 1.0], [0.5, 3.0]], grad=False),
    Sample([[0.0, 1.0], [-1.0, 0.0]], name="complex eigenvalues", grad=False),
    _NOT_SQUARE,
]


@function(
    name="linalg.eig",
    takes="floating",
    outputs=("eigenvalues", "eigenvectors"),
    gives=("complex", "complex"),
    wide=True,
    standard=True,
    check=_square("linalg.eig"),
    batching=stacked(2),
    jvp=eig_jvp,
    x=_eig_rule,
    samples=_ANY,
)
def eig(x: Tensor, /) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors, as columns of length 1, of square matrices; both complex, in no given order.

    The derivative is that of Boeddeker et al. (2017), "On the computation of complex-valued gradients", section 4.11,
    and right for functions that do not depend on the phases of the vectors. Where eigenvalues are equal, what goes
    through the vectors has a gradient of NaN, and if such eigenvalues share a vector, so have the eigenvalues.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.eig(ad.tensor([[2.0, 0.0], [0.0, 3.0]])).eigenvalues
    tensor([2.+0.j, 3.+0.j])
    """


@function(
    name="linalg.eigvals",
    takes="floating",
    gives="complex",
    wide=True,
    standard=True,
    check=_square("linalg.eigvals"),
    batching=stacked(2),
    samples=[
        Sample([[2.0, 1.0], [0.5, 3.0]]),
        Sample([[0.0, 1.0], [-1.0, 0.5]], name="complex ones", grad=False),
        _NOT_SQUARE,
    ],
)
def eigvals(xp: XP, x: Tensor, /) -> Tensor:
    """Eigenvalues of square matrices; complex, in no given order.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.eigvals(ad.tensor([[2.0, 0.0], [0.0, 3.0]]))
    tensor([2.+0.j, 3.+0.j])
    """
    return xp.linalg.eig(x)[0]  # type: ignore[no-any-return]


# Orthogonal and triangular --------------------------------------------------------------------------------------


def _tall_rule(g: Any, xp: Any, out: Any) -> Any:
    # Walter, Lehmann and Lamour (2012), "On evaluating higher-order derivatives of the QR decomposition"
    q, r = out
    g_q, g_r = g
    inner = 0 if g_r is None else g_r @ r.mT
    inner = inner if g_q is None else inner - q.mT @ g_q
    high = xp.triu(inner, k=0)
    both = high + adjoint(xp, high)
    both = both - xp.tril(xp.triu(both, k=0), k=0) / 2  # the diagonal is there twice
    found = conj_of(xp, q) @ both
    found = found if g_q is None else g_q + found
    return xp.linalg.solve_triangular(r.mT, found, upper=False, left=False, unitriangular=False)


def _tall(shape: Shape) -> dict[str, Any]:
    matrices_of("linalg.qr", shape)
    return {}


@function(
    name="linalg._tall_qr",
    takes="floating",
    outputs=2,
    check=_tall,
    batching=stacked(2),
    jvp=tall_qr_jvp,
    x=_tall_rule,
    samples=[Sample((3, 2), grad=False)],
)
def _tall_qr(xp: XP, x: Tensor, /) -> tuple[Tensor, Tensor]:
    """`qr` of matrices with at least as many rows as columns, of which it has a derivative.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.qr(ad.eye(2)).R.shape
    (2, 2)
    """
    q, r = xp.linalg.qr(x, mode="reduced")
    return q, r


def _qr_checked(shape: Shape, *, mode: Any = "reduced") -> dict[str, Any]:
    matrices_of("linalg.qr", shape)
    if mode not in ("reduced", "complete"):
        raise ArgumentError(f"linalg.qr: mode is 'reduced' or 'complete'; got {mode!r}")
    return {"mode": mode}


@function(
    name="linalg.qr",
    takes="floating",
    outputs=("Q", "R"),
    wide=True,
    standard=True,
    check=_qr_checked,
    batching=stacked(2),
    samples=[
        Sample((3, 2), grad=False),
        Sample((2, 3, 3), grad=False),
        Sample((2, 4), mode="complete", grad=False),
        Sample((4, 2), mode="complete", name="complete, tall", grad=False),
        Fails((3,), error=ShapeError, match=r"linalg.qr: expected a matrix or a stack of them; got shape \(3,\)"),
        Fails((3, 2), mode="raw", error=ArgumentError, match="mode is 'reduced' or 'complete'; got 'raw'"),
    ],
)
def qr(xp: XP, x: Tensor, /, *, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Orthogonal or unitary ``Q`` and upper triangular ``R`` with ``x = Q @ R``.

    ``mode`` says whether ``Q`` has as many columns as ``x`` has, at most (``"reduced"``), or is square (``"complete"``;
    of more rows than columns that has no gradient). The derivative is that of Walter, Lehmann and Lamour (2012), "On
    evaluating higher-order derivatives of the QR decomposition of tall matrices"; of more columns than rows the first
    ones determine ``Q``. The leading columns have to be independent.

    Examples
    --------
    >>> import polyad as ad
    >>> q, r = ad.linalg.qr(ad.tensor([[3.0, 1.0], [4.0, 2.0]]))
    >>> ad.allclose(q @ r, ad.tensor([[3.0, 1.0], [4.0, 2.0]]))
    True
    """
    rows, columns = x.shape[-2:]
    if mode == "complete" and rows > columns:
        raise ArgumentError(
            f"linalg.qr: mode='complete' has no gradient for more rows than columns; got shape {tuple(x.shape)}; "
            f"write mode='reduced'"
        )
    if columns <= rows:
        return xp.linalg._tall_qr(x)  # type: ignore[no-any-return]
    q, r = xp.linalg._tall_qr(x[..., :rows])
    return q, xp.concat([r, adjoint(xp, q) @ x[..., rows:]], axis=-1)


# Singular values ------------------------------------------------------------------------------------------------


def _thin_rule(g: Any, xp: Any, out: Any) -> Any:
    # Townsend (2016), "Differentiating the singular value decomposition"; Wan and Zhang (2019), arXiv:1909.02659
    u, s, vh = out
    g_u, g_s, g_vh = g
    left, right = conj_of(xp, u), conj_of(xp, vh)
    inner: Any = 0
    beside: Any = 0
    if g_u is not None or g_vh is not None:
        coupling = 2 * singular_couplings(xp, s)
        each = reciprocal(xp, s)
    if g_u is not None:
        turned = skew(xp, u.mT @ g_u)
        inner = turned * coupling
        if is_complex(u.dtype):
            phases = diagonal_of(xp, turned) * each
            inner = inner + on_diagonal(xp, phases)
        if u.shape[-2] > u.shape[-1]:
            beside = ((g_u - left @ (u.mT @ g_u)) * each[..., None, :]) @ right
    if g_vh is not None:
        inner = inner - skew(xp, conj_of(xp, vh @ g_vh.mT)) * coupling.mT
        if vh.shape[-1] > vh.shape[-2]:
            beside = beside + left @ (each[..., :, None] * (g_vh - (g_vh @ vh.mT) @ right))
    if g_s is not None:
        inner = inner + xp.astype(on_diagonal(xp, g_s), u.dtype)
    return left @ inner @ right + beside


def _matrices(name: str) -> Callable[..., dict[str, Any]]:
    def check(shape: Shape) -> dict[str, Any]:
        matrices_of(name, shape)
        return {}

    return check


@function(
    name="linalg._thin_svd",
    takes="floating",
    outputs=3,
    gives=("same", "real", "same"),
    check=_matrices("linalg.svd"),
    batching=stacked(2),
    jvp=thin_svd_jvp,
    x=_thin_rule,
    samples=[Sample((3, 2), grad=False)],
)
def _thin_svd(xp: XP, x: Tensor, /) -> tuple[Tensor, Tensor, Tensor]:
    """`svd` without the vectors that belong to no singular value, of which it has a derivative.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.svd(ad.eye(2)).S
    tensor([1., 1.])
    """
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    return u, s, vh


def _svd_checked(shape: Shape, *, full_matrices: Any = True) -> dict[str, Any]:
    matrices_of("linalg.svd", shape)
    return {"full_matrices": bool(full_matrices)}


@function(
    name="linalg.svd",
    takes="floating",
    outputs=("U", "S", "Vh"),
    gives=("same", "real", "same"),
    wide=True,
    standard=True,
    check=_svd_checked,
    batching=stacked(2),
    samples=[
        Sample((3, 2), grad=False),
        Sample((2, 2, 3), full_matrices=False, grad=False),
        Sample((2, 2), grad=False),
        Fails((3,), error=ShapeError, match=r"linalg.svd: expected a matrix or a stack of them; got shape \(3,\)"),
    ],
)
def svd(xp: XP, x: Tensor, /, *, full_matrices: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Singular value decomposition ``x = U @ diag(S) @ Vh``, with ``S`` descending.

    ``U`` and ``Vh`` are square with ``full_matrices``; the vectors that belong to no singular value have no gradient.
    The gradient is right for functions that do not depend on the signs, or phases, of the vectors. It is that of
    Townsend (2016), "Differentiating the singular value decomposition", and for complex matrices of Wan and Zhang
    (2019), arXiv:1909.02659.

    Vectors of equal singular values are not determined, and what goes through the vectors of such a matrix has a
    gradient of NaN, as in PyTorch; of values that are nearly equal it is inexact. So it is for a singular value of 0
    if the matrix is complex or not square. A function of the singular values alone has its gradient there too; its
    second derivatives are NaN, since they take the vectors'.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.svd(ad.tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    u, s, vh = xp.linalg._thin_svd(x)
    if full_matrices and x.shape[-2] != x.shape[-1]:
        k = s.shape[-1]
        whole = xp.linalg.svd(xp.detach(x), full_matrices=True)
        u = xp.concat([u, whole[0][..., k:]], axis=-1)
        vh = xp.concat([vh, whole[2][..., k:, :]], axis=-2)
    return u, s, vh


@function(
    name="linalg.svdvals",
    takes="floating",
    gives="real",
    wide=True,
    standard=True,
    check=_matrices("linalg.svdvals"),
    batching=stacked(2),
    samples=[
        Sample((3, 2)),
        Sample((2, 2, 3)),
        Sample((0, 2)),
        Sample([[1.0, 0.0], [0.0, 1.0]], name="equal ones", grad=False),
        Fails((3,), error=ShapeError, match=r"linalg.svdvals: expected a matrix or a stack of them; got shape \(3,\)"),
    ],
)
def svdvals(xp: XP, x: Tensor, /) -> Tensor:
    """Singular values of matrices, descending.

    Second derivatives are NaN for a matrix with equal singular values; see `polyad.linalg.svd`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.svdvals(ad.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor([4., 3.])
    """
    return xp.linalg._thin_svd(x)[1]  # type: ignore[no-any-return]


# Triangular, with rows exchanged --------------------------------------------------------------------------------


def _lu_rule(g: Any, xp: Any, out: Any) -> Any:
    p, low, high = out
    _, g_low, g_high = g
    if g_low is None and g_high is None:
        return xp.zeros_like(low)  # the permutation does not change
    inner: Any = 0
    if g_low is not None:
        inner = xp.tril(low.mT @ g_low, k=-1)
    if g_high is not None:
        inner = inner + xp.triu(g_high @ high.mT, k=0)
    solve = xp.linalg.solve_triangular
    found = solve(low.mT, inner, upper=True, left=True, unitriangular=True)
    return p @ solve(high.mT, found, upper=False, left=False, unitriangular=False)


@function(
    name="linalg.lu",
    takes="floating",
    outputs=("P", "L", "U"),
    wide=True,
    check=_square("linalg.lu"),
    batching=stacked(2),
    jvp=lu_jvp,
    x=_lu_rule,
    samples=[Sample((3, 3), domain="invertible", grad=False), Sample((2, 2, 2), domain="invertible"), _NOT_SQUARE],
)
def lu(x: Tensor, /) -> tuple[Tensor, Tensor, Tensor]:
    """Permutation ``P``, unit lower triangular ``L`` and upper triangular ``U`` of square matrices: ``x = P @ L @ U``.

    On NumPy this needs SciPy, since NumPy does not reach LAPACK's function. There is no gradient to ``P``.

    Examples
    --------
    >>> import polyad as ad
    >>> p, l, u = ad.linalg.lu(ad.tensor([[4.0, 2.0], [2.0, 3.0]]))
    >>> u
    tensor([[4., 2.],
            [0., 2.]])
    """
