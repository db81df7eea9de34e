"""Inverses, determinants, solutions of linear systems, and functions of whole matrices.

A singular matrix has no inverse, and a system with one no unique solution: on the host that is a `LinAlgError` which
names the matrix. On a GPU, and inside another library's compiled functions, the answer would have to be waited for, so
there the result has infinities or NaN instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..batching import stacked
from ..careful import broadcast_shapes
from ..dispatch import facade, function
from ..errors import ArgumentError, LinAlgError, OperandError, ShapeError
from ..function import XP, Fails, Sample
from ..rules import is_complex
from ..tensor import Tensor, not_a_tensor
from .arguments import Shape, as_integer, normalize_axis
from .diagonals import embed
from .manipulation import permute_dims, reshape
from .matrices import is_double, solve_batched, substitution_batched, trace_of_product

__all__ = ["logdet", "trace"]


def matrices_of(name: str, shape: Shape) -> None:
    """Check that a shape is one of matrices.

    Raises
    ------
    ShapeError
        If it has fewer than 2 dimensions.
    """
    if len(shape) < 2:
        raise ShapeError(f"{name}: expected a matrix or a stack of them; got shape {shape}")


def square_of(name: str, shape: Shape) -> None:
    """Check that a shape is one of square matrices.

    Raises
    ------
    ShapeError
        If it is not; with both lengths.
    """
    matrices_of(name, shape)
    if shape[-1] != shape[-2]:
        raise ShapeError(
            f"{name}: expected a square matrix or a stack of them; got shape {shape}, of {shape[-2]} rows and "
            f"{shape[-1]} columns"
        )


def _square(name: str) -> Any:
    def check(shape: Shape) -> dict[str, Any]:
        square_of(name, shape)
        return {}

    return check


def _of_square(name: str, *more: Sample, empty: bool = True) -> list[Sample]:
    """Samples of a function of invertible matrices."""
    return [
        Sample((3, 3), domain="invertible"),
        Sample((2, 1, 2, 2), domain="invertible", name="stacks"),
        Sample((1, 1), domain="invertible", name="1 by 1"),
        *([Sample((0, 0), domain="invertible", name="0 by 0")] if empty else []),
        *more,
        Fails((2, 3), error=ShapeError, match=rf"{name}: expected a square matrix.* of 2 rows and 3 columns"),
        Fails((3,), error=ShapeError, match=rf"{name}: expected a matrix .* got shape \(3,\)"),
    ]


def _identity(xp: Any, x: Any) -> Any:
    """The identity for each of a stack of square matrices."""
    ndim = len(x.shape)
    ones = xp.zeros_like(xp.diagonal(x, offset=0, axis1=ndim - 2, axis2=ndim - 1)) + 1
    return xp.diag_embed(ones, offset=0, dim1=ndim - 2, dim2=ndim - 1)


def _transposed_conj(xp: Any, x: Any) -> Any:
    return xp.conj(x.mT)


# Determinants and traces --------------------------------------------------------------------------------------


def _sign(xp: Any, u: Any, vh: Any) -> Any:
    """The determinant of the unitary factors, as a stack of matrices of one element."""
    return xp.linalg.det(u @ vh)[..., None, None]


def _others(xp: Any, s: Any) -> Any:
    """For each singular value the product of the others."""
    zero = s == 0
    nonzero = xp.where(zero, 1, s)
    total = xp.prod(nonzero, axis=(len(s.shape) - 1,), keepdims=True)
    zeros = xp.sum(xp.astype(zero, s.dtype), axis=(len(s.shape) - 1,), keepdims=True)
    return xp.where(zeros == xp.astype(zero, s.dtype), total / nonzero, 0)


def _turning(xp: Any, x: Any) -> Any:
    """What the derivative is made of, exact at any rank: unitary factors, and a linear function between them.

    With fixed U and V the adjugate of ``x + E`` is that of ``S + U^H E V``, turned. To first order in F the adjugate of
    ``S + F`` has ``sum_k F_kk P_ik`` on its diagonal and ``-F_ij P_ij`` elsewhere, where P_ij is the product of all
    singular values but the i-th and the j-th.
    """
    ndim = len(x.shape)
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    uh, v, sign = _transposed_conj(xp, u), _transposed_conj(xp, vh), _sign(xp, u, vh)
    zero = s == 0
    nonzero = xp.where(zero, 1, s)
    hidden = xp.astype(zero, s.dtype)
    total = xp.prod(nonzero, axis=(ndim - 2,), keepdims=True)[..., None]
    zeros = xp.sum(hidden, axis=(ndim - 2,), keepdims=True)[..., None]
    both = nonzero[..., :, None] * nonzero[..., None, :]
    rest = xp.where(zeros == hidden[..., :, None] + hidden[..., None, :], total / both, 0)
    rest = xp.astype(rest - rest * xp.astype(_identity(xp, rest), rest.dtype), x.dtype)

    def turned(f: Any) -> Any:
        diagonal = xp.diagonal(f, offset=0, axis1=ndim - 2, axis2=ndim - 1)
        on_diagonal = (rest @ diagonal[..., None])[..., 0]
        return xp.diag_embed(on_diagonal, offset=0, dim1=ndim - 2, dim2=ndim - 1) - rest * f

    return uh, v, sign, turned


def _adjugate_rule(g: Any, xp: Any, x: Any) -> Any:
    uh, v, sign, turned = _turning(xp, x)
    return uh.mT @ turned((v.mT * sign) @ g @ uh.mT) @ v.mT


def _adjugate_jvp(xp: Any, tangents: Any, out: Any, x: Any) -> Any:
    uh, v, sign, turned = _turning(xp, x)
    return (v * sign) @ turned(uh @ tangents[0] @ v) @ uh


@function(
    name="linalg.adjugate",
    takes="floating",
    check=_square("linalg.adjugate"),
    batching=stacked(2),
    wide=True,
    jvp=_adjugate_jvp,
    x=_adjugate_rule,
    samples=_of_square(
        "linalg.adjugate",
        # det checks the first derivative there; the second is right at invertible matrices only
        Sample([[1.0, 2.0], [2.0, 4.0]], name="singular", grad=False),
        Sample([[1.0, 2.0, 1.0], [2.0, 4.0, 0.5], [3.0, 6.0, 1.0]], name="singular, 3 by 3", grad=False),
    ),
)
def adjugate(xp: XP, x: Tensor, /) -> Tensor:
    """Adjugates of square matrices: transposed cofactors, ``det(x) * inv(x)`` where there is an inverse.

    It exists for singular matrices too, and its transpose is the derivative of the determinant. Computed from singular
    values: with ``x = U S Vh`` it is ``det(U) det(Vh) V adj(S) U^H``. At a singular matrix its first derivative is
    right, so that of the determinant is to second order; higher ones are right at invertible matrices only, and NaN
    where singular values are equal.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.adjugate(ad.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[4., 0.],
            [0., 2.]])
    """
    if not x.shape[-1]:
        return xp.clone(x)  # type: ignore[no-any-return]
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    left, right = _transposed_conj(xp, vh) * _sign(xp, u, vh), _transposed_conj(xp, u)
    return (left * _others(xp, s)[..., None, :]) @ right  # type: ignore[no-any-return]


@function(
    name="linalg.det",
    takes="floating",
    standard=True,
    wide=True,
    check=_square("linalg.det"),
    batching=stacked(2),
    jvp=lambda xp, tangents, out, x: trace_of_product(xp, xp.linalg.adjugate(x), tangents[0]),
    x=lambda g, xp, x: g[..., None, None] * xp.linalg.adjugate(x).mT,
    samples=_of_square(
        "linalg.det",
        Sample([[1.0, 2.0], [2.0, 4.0]], name="singular"),
        Sample([[0.0]], name="zero"),
    ),
)
def det(x: Tensor, /) -> Tensor:
    """Determinants of square matrices; 1 for matrices without elements.

    The derivative is the transposed adjugate (Jacobi's formula), which exists at singular matrices too.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.det(ad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(-2.)
    """


def _slogdet_rule(g: Any, xp: Any, x: Any, sign: Any) -> Any:
    g_sign, g_log = g
    factor = None if g_log is None else g_log
    if g_sign is not None and is_complex(x.dtype):  # a real sign does not change
        turning = g_sign * sign
        turning = (turning - xp.conj(turning)) / 2
        factor = turning if factor is None else factor + turning
    if factor is None:
        return xp.zeros_like(x)
    return factor[..., None, None] * xp.linalg.inv(x).mT


def _slogdet_jvp(xp: Any, tangents: Any, out: Any, x: Any) -> Any:
    moved = trace_of_product(xp, xp.linalg.inv(x), tangents[0])
    if not is_complex(x.dtype):  # a real sign does not change
        return None, moved
    return out[0] * (moved - xp.conj(moved)) / 2, xp.real(moved)


@function(
    name="linalg.slogdet",
    takes="floating",
    gives=("same", "real"),
    outputs=("sign", "logabsdet"),
    standard=True,
    wide=True,
    check=_square("linalg.slogdet"),
    batching=stacked(2),
    jvp=_slogdet_jvp,
    x=_slogdet_rule,
    samples=_of_square(
        "linalg.slogdet", Sample([[0.0, 1.0], [1.0, 0.0]]), Sample([[0.0]], name="singular", grad=False)
    ),
)
def slogdet(x: Tensor, /) -> tuple[Tensor, Tensor]:
    """Signs and logarithms of absolute values of determinants, which may themselves be out of range.

    The sign of a complex determinant is a number of absolute value 1. Singular matrices have sign 0 and logarithm
    ``-inf``; there is no derivative there.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.slogdet(ad.tensor([[1.0, 0.0], [0.0, -1.0]]))
    SlogdetResult(sign=tensor(-1.), logabsdet=tensor(0.))
    """


@function(
    takes="floating",
    wide=True,
    check=_square("logdet"),
    batching=stacked(2),
    samples=_of_square("logdet", Sample([[0.0, 1.0], [1.0, 0.0]], name="negative", grad=False)),
)
def logdet(xp: XP, x: Tensor, /) -> Tensor:
    """Logarithms of determinants, as in PyTorch: ``-inf`` where they are 0, NaN where they are negative.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.logdet(ad.eye(3))
    tensor(0.)
    """
    sign, size = xp.linalg.slogdet(x)
    if not is_complex(x.dtype):
        return xp.where(sign < 0, math.nan, size)  # type: ignore[no-any-return]
    return size + xp.log(xp.where(sign == 0, 1, sign))  # type: ignore[no-any-return]


def _trace_checked(shape: Shape, *, offset: Any = 0) -> dict[str, Any]:
    matrices_of("trace", shape)
    return {"offset": as_integer("trace", "offset", offset)}


def _trace_rule(g: Any, xp: Any, x_shape: Shape, offset: int) -> Any:
    *stack, rows, columns = x_shape
    length = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    g = xp.broadcast_to(g[..., None], shape=(*stack, length))
    return embed(xp, g, x_shape, offset, len(stack), len(stack) + 1)


@function(
    takes="numeric",
    accumulates=True,
    wide=True,
    check=_trace_checked,
    batching=stacked(2),
    jvp="linear",
    x=_trace_rule,
    samples=[
        Sample((3, 3)),
        Sample((2, 3, 4), offset=1),
        Sample((4, 2), offset=-2),
        Sample((2, 2), offset=5),
        Sample((0, 0)),
        Fails((3,), error=ShapeError, match=r"trace: expected a matrix .* got shape \(3,\)"),
        Fails((3, 3), offset=0.5, error=OperandError, match="trace: offset must be an integer; got 0.5"),
    ],
)
def trace(xp: XP, x: Tensor, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """Sums along a diagonal of matrices, the last two dimensions: above the main one for a positive ``offset``.

    Integers are summed in 64 bits, or as ``dtype``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.trace(ad.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor(5.)
    """
    ndim = len(x.shape)
    diagonal = xp.diagonal(x, offset=offset, axis1=ndim - 2, axis2=ndim - 1)
    return xp.sum(diagonal, axis=(ndim - 2,))  # type: ignore[no-any-return]


# Inverses and solutions ---------------------------------------------------------------------------------------

_SINGULAR = [[[2.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 4.0]]]
"""Of these the second has no inverse."""


@function(
    name="linalg.inv",
    takes="floating",
    standard=True,
    wide=True,
    check=_square("linalg.inv"),
    batching=stacked(2),
    jvp=lambda xp, tangents, out, x: -(out @ tangents[0] @ out),
    x=lambda g, xp, out: -(out.mT @ g @ out.mT),
    samples=_of_square(
        "linalg.inv",
        Fails(
            _SINGULAR, error=LinAlgError, match=r"linalg.inv: matrix \(1,\) of the stack of shape \(2,\) is singular"
        ),
        Fails([[0.0]], error=LinAlgError, match="linalg.inv: the matrix is singular"),
    ),
)
def inv(x: Tensor, /) -> Tensor:
    """Inverses of square matrices.

    To solve a system ``a @ x == b``, ``linalg.solve(a, b)`` is faster and more accurate.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.inv(ad.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """


def _solvable(a: Shape, b: Shape) -> dict[str, Any]:
    square_of("linalg.solve", a)
    if not b:
        raise ShapeError(f"linalg.solve: the right side has at least 1 dimension; got shapes {a} and {b}")
    rows = b[0] if len(b) == 1 else b[-2]
    if rows != a[-1]:
        advice = ""
        if len(b) > 1 and b[-1] == a[-1]:
            advice = "; for a stack of vectors write linalg.solve(a, b[..., None])[..., 0]"
        raise ShapeError(
            f"linalg.solve: shapes {a} and {b} do not fit: the matrices have {a[-1]} rows, the right sides "
            f"{rows}{advice}"
        )
    if len(b) > 1:
        broadcast_shapes("linalg.solve: stacks", [a[:-2], b[:-2]])
    return {}


def _solve_right(g: Any, xp: Any, x1: Any, x2_shape: Shape) -> Any:
    if len(x2_shape) == 1:
        return xp.linalg.solve(x1.mT, g[..., None])[..., 0]
    return xp.linalg.solve(x1.mT, g)


def _solve_left(g: Any, xp: Any, x1: Any, x2_shape: Shape, out: Any) -> Any:
    g = _solve_right(g, xp, x1, x2_shape)
    if len(x2_shape) == 1:
        return (-g)[..., :, None] * out[..., None, :]
    return xp.matmul(-g, out.mT)


def _solve_jvp(xp: Any, tangents: Any, out: Any, x1: Any, x2: Any) -> Any:
    """Solve for what the change of the matrix leaves of that of the right side."""
    moved, right = tangents
    if moved is None:
        return xp.linalg.solve(x1, right)
    if len(x2.shape) > 1:
        return xp.linalg.solve(x1, -(moved @ out) if right is None else right - moved @ out)
    found = moved @ out[..., None]
    return xp.linalg.solve(x1, -found if right is None else right[..., None] - found)[..., 0]


@function(
    name="linalg.solve",
    takes="floating",
    broadcasts=True,
    standard=True,
    wide=True,
    check=_solvable,
    batching=solve_batched,
    jvp=_solve_jvp,
    x1=_solve_left,
    x2=_solve_right,
    samples=[
        Sample((3, 3), (3,), domain="invertible"),
        Sample((3, 3), (3, 2), domain="invertible"),
        Sample((2, 3, 3), (3,), domain="invertible"),
        Sample((2, 3, 3), (3, 2), domain="invertible"),
        Sample((3, 3), (2, 3, 4), domain="invertible"),
        Sample((2, 1, 2, 2), (3, 2, 1), domain="invertible"),
        Sample((0, 0), (0, 2), domain="invertible"),
        Sample((2, 2), (2, 0), domain="invertible"),
        Fails((2, 3), (3,), error=ShapeError, match="linalg.solve: expected a square matrix.* of 2 rows and 3 columns"),
        Fails(
            (3, 3), (4,), error=ShapeError, match=r"shapes \(3, 3\) and \(4,\) do not fit: .* 3 rows, the right .* 4"
        ),
        Fails((2, 3, 3), (2, 3), error=ShapeError, match=r"for a stack of vectors write linalg.solve\(a, b"),
        Fails((2, 3, 3), (3, 3, 1), error=ShapeError, match="linalg.solve: stacks.* do not broadcast"),
        Fails((3, 3), (), error=ShapeError, match="the right side has at least 1 dimension"),
        Fails(_SINGULAR, (2,), error=LinAlgError, match=r"linalg.solve: matrix \(1,\) of the stack of .* is singular"),
    ],
)
def solve(x1: Tensor, x2: Tensor, /) -> Tensor:
    """Solutions of linear systems: the ``x`` for which ``x1 @ x == x2``.

    ``x2`` is a vector if it has one dimension, otherwise matrices of right sides as columns. Stacks broadcast.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.solve(ad.tensor([[2.0, 0.0], [0.0, 4.0]]), ad.tensor([1.0, 1.0]))
    tensor([0.5000, 0.2500])
    """


def _triangle_checked(
    a: Shape, b: Shape, *, upper: Any, left: Any = True, unitriangular: Any = False
) -> dict[str, Any]:
    name = "linalg.solve_triangular"
    square_of(name, a)
    matrices_of(name, b)
    rows = b[-2] if left else b[-1]
    if rows != a[-1]:
        raise ShapeError(
            f"{name}: shapes {a} and {b} do not fit: the triangles have {a[-1]} rows, the right sides {rows} "
            f"{'rows' if left else 'columns'}"
        )
    broadcast_shapes(f"{name}: stacks", [a[:-2], b[:-2]])
    return {"upper": bool(upper), "left": bool(left), "unitriangular": bool(unitriangular)}


def _triangle_right(g: Any, xp: Any, x1: Any, upper: bool, left: bool, unitriangular: bool) -> Any:
    return xp.linalg.solve_triangular(x1.mT, g, upper=not upper, left=left, unitriangular=unitriangular)


def _triangle_left(g: Any, xp: Any, x1: Any, out: Any, upper: bool, left: bool, unitriangular: bool) -> Any:
    g = _triangle_right(g, xp, x1, upper, left, unitriangular)
    full = xp.matmul(-g, out.mT) if left else xp.matmul(out.mT, -g)
    inside = 1 if unitriangular else 0  # a diagonal that is taken to be 1 is not read
    return xp.triu(full, k=inside) if upper else xp.tril(full, k=-inside)


def _triangle_jvp(
    xp: Any, tangents: Any, out: Any, x1: Any, x2: Any, *, upper: bool, left: bool, unitriangular: bool
) -> Any:
    moved, right = tangents
    if moved is not None:
        inside = 1 if unitriangular else 0
        read = xp.triu(moved, k=inside) if upper else xp.tril(moved, k=-inside)
        found = read @ out if left else out @ read
        right = -found if right is None else right - found
    return xp.linalg.solve_triangular(x1, right, upper=upper, left=left, unitriangular=unitriangular)


@function(
    name="linalg.solve_triangular",
    takes="floating",
    broadcasts=True,
    wide=True,
    check=_triangle_checked,
    batching=substitution_batched(0),
    jvp=_triangle_jvp,
    x1=_triangle_left,
    x2=_triangle_right,
    samples=[
        Sample((3, 3), (3, 2), domain="invertible", upper=True),
        Sample((3, 3), (3, 2), domain="invertible", upper=False),
        Sample((3, 3), (2, 3), domain="invertible", upper=True, left=False),
        Sample((2, 3, 3), (2, 3), domain="invertible", upper=False, left=False),
        Sample((3, 3), (2, 3, 1), domain="invertible", upper=False, unitriangular=True),
        Sample((2, 3, 3), (3, 2), domain="invertible", upper=True, unitriangular=True),
        Sample((0, 0), (0, 2), domain="invertible", upper=True),
        Sample((2, 2), (2, 0), domain="invertible", upper=True),
        Fails((2, 3), (3, 1), upper=True, error=ShapeError, match="linalg.solve_triangular: expected a square matrix"),
        Fails((3, 3), (3,), upper=True, error=ShapeError, match=r"expected a matrix or a stack .* got shape \(3,\)"),
        Fails((3, 3), (2, 1), upper=True, error=ShapeError, match="the triangles have 3 rows, the right sides 2 rows"),
        Fails((3, 3), (3, 2), upper=True, left=False, error=ShapeError, match="have 3 rows, the right sides 2 columns"),
        Fails(
            [_SINGULAR[0], [[0.0, 1.0], [0.0, 1.0]]],
            (2, 1),
            upper=True,
            error=LinAlgError,
            match=r"linalg.solve_triangular: matrix \(1,\) of the stack of shape \(2,\) is singular",
        ),
    ],
)
def solve_triangular(
    xp: XP, x1: Tensor, x2: Tensor, /, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """Solutions of triangular systems, as in PyTorch: ``x1 @ x == x2``, or ``x @ x1 == x2`` with ``left=False``.

    Only the upper or lower triangle of ``x1`` is read, and with ``unitriangular`` its diagonal is taken to be 1.

    Parameters
    ----------
    x1 : Tensor
        Of shape ``(..., N, N)``.
    x2 : Tensor
        Of shape ``(..., N, K)``, or ``(..., K, N)`` with ``left=False``. Stacks broadcast.
    upper : bool
        Which triangle.
    left : bool
        On which side ``x1`` stands.
    unitriangular : bool
        Whether the diagonal is taken to be 1.

    Returns
    -------
    Tensor
        Of the shape of ``x2``, with the stacks' shape that both broadcast to, and the common type.

    Raises
    ------
    ShapeError
        If shapes do not fit.
    LinAlgError
        If a diagonal has a 0; not on GPUs.

    Notes
    -----
    Differentiable in both (keeps ``x1`` and the result). The gradient of what is not read is 0.

    Examples
    --------
    >>> import polyad as ad
    >>> a = ad.tensor([[2.0, 9.0], [1.0, 1.0]])
    >>> ad.linalg.solve_triangular(a, ad.tensor([[2.0], [3.0]]), upper=False)
    tensor([[1.],
            [2.]])
    """
    x1 = xp.triu(x1, k=int(unitriangular)) if upper else xp.tril(x1, k=-int(unitriangular))
    if unitriangular:
        x1 = x1 + _identity(xp, x1)
    if left:
        return xp.linalg.solve(x1, x2)  # type: ignore[no-any-return]
    return xp.linalg.solve(x1.mT, x2.mT).mT  # type: ignore[no-any-return]


# Powers and the exponential -----------------------------------------------------------------------------------


def _power_checked(shape: Shape, *, n: Any) -> dict[str, Any]:
    square_of("linalg.matrix_power", shape)
    return {"n": as_integer("linalg.matrix_power", "n", n)}


@function(
    name="linalg.matrix_power",
    takes="floating",
    wide=True,
    check=_power_checked,
    batching=stacked(2),
    samples=[
        *(Sample((3, 3), domain="invertible", n=n) for n in (0, 1, 2, 5, -1, -3)),
        Sample((2, 2, 2), domain="invertible", n=3),
        Sample((0, 0), n=3),
        Fails((2, 3), n=2, error=ShapeError, match="linalg.matrix_power: expected a square matrix"),
        Fails((2, 2), n=0.5, error=OperandError, match="linalg.matrix_power: n must be an integer; got 0.5"),
        Fails(_SINGULAR, n=-2, error=LinAlgError, match=r"linalg.inv: matrix \(1,\) of the stack .* is singular"),
    ],
)
def _matrix_power(xp: XP, x: Tensor, /, n: int) -> Tensor:
    """Powers of square matrices; see `polyad.linalg.matrix_power`."""
    if n < 0:
        x, n = xp.linalg.inv(x), -n
    if n == 0:
        none_of_x = xp.tril(x, k=-x.shape[-1])  # zeros, with a gradient of zeros: 0 * x would be NaN for an infinite x
        return _identity(xp, x) + none_of_x  # type: ignore[no-any-return]
    result: Any = None
    square: Any = x
    while True:  # binary digits of n, the last one first
        if n & 1:
            result = square if result is None else xp.matmul(result, square)
        n >>= 1
        if not n:
            return xp.clone(result) if result is x else result  # type: ignore[no-any-return]
        square = xp.matmul(square, square)


@facade(_matrix_power)
def matrix_power(x: Tensor, /, n: int) -> Tensor:
    """Square matrices to the power of an integer; of the inverse if it is negative.

    Parameters
    ----------
    x : Tensor
        Of shape ``(..., N, N)`` and a floating type; integers and bools become float32.
    n : int

    Returns
    -------
    Tensor
        Of the shape and type of ``x``; identities for ``n=0``.

    Raises
    ------
    ShapeError
        If the matrices are not square.
    LinAlgError
        If ``n`` is negative and a matrix is singular; not on GPUs.

    Notes
    -----
    Differentiable through the products that it is made of, of which there are ``log2(n)`` to twice as many.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.matrix_power(ad.tensor([[1.0, 1.0], [0.0, 1.0]]), 5)
    tensor([[1., 5.],
            [0., 1.]])
    """
    if isinstance(x, Tensor) and type(n) is int and n < 0:  # as a call of its own, which looks for singular matrices
        _power_checked(x.shape, n=n)
        x, n = inv(x), -n
    return _matrix_power(x, n=n)


# For each degree m of the Padé approximant the largest norm for which it is exact to rounding, and its coefficients:
# Higham (2005), "The scaling and squaring method for the matrix exponential revisited", tables 2.3 and (2.2).
_PADE: dict[bool, tuple[tuple[int, float], ...]] = {
    True: ((3, 1.495585217958292e-2), (5, 2.539398330063230e-1), (7, 9.504178996162932e-1), (9, 2.097847961257068)),
    False: ((3, 4.258730016922831e-1), (5, 1.880152677804762)),
}
_LAST: dict[bool, tuple[int, float]] = {True: (13, 5.371920351148152), False: (7, 3.925724783138660)}


def _pade_coefficients(m: int) -> list[float]:
    """Coefficients of the numerator of the diagonal Padé approximant of degree ``m``, the last one 1."""
    f = math.factorial
    return [f(2 * m - k) * f(m) / (f(k) * f(m - k) * f(m)) for k in range(m + 1)]


def _pade(xp: Any, x: Any, m: int) -> Any:
    """The diagonal Padé approximant of degree ``m`` (odd) of the exponential."""
    c = _pade_coefficients(m)
    one = _identity(xp, x)
    square = xp.matmul(x, x)
    if m == 13:  # with 6 products instead of 8
        fourth = xp.matmul(square, square)
        sixth = xp.matmul(fourth, square)
        odd = xp.matmul(sixth, c[13] * sixth + c[11] * fourth + c[9] * square)
        odd = xp.matmul(x, odd + c[7] * sixth + c[5] * fourth + c[3] * square + c[1] * one)
        even = xp.matmul(sixth, c[12] * sixth + c[10] * fourth + c[8] * square)
        even = even + c[6] * sixth + c[4] * fourth + c[2] * square + c[0] * one
    else:
        odd, even, power = c[1] * one, c[0] * one, square
        for k in range(2, m, 2):
            odd, even = odd + c[k + 1] * power, even + c[k] * power
            power = xp.matmul(power, square) if k + 2 < m else power
        odd = xp.matmul(x, odd)
    return xp.linalg.solve(even - odd, even + odd)


def _matrix_exp_rule(g: Any, xp: Any, x: Any) -> Any:
    """The Fréchet derivative of the transpose: the upper right block of ``exp([[x^T, g], [0, x^T]])``.

    Higham (2008), "Functions of Matrices", equation (3.16). It is linear in ``g``, which is brought to the size of 1
    first, since a large block would be scaled down together with the matrix.
    """
    n = x.shape[-1]
    if not n:
        return xp.zeros_like(x)
    axes = (len(x.shape) - 2, len(x.shape) - 1)
    size = xp.detach(xp.max(xp.abs(g), axis=axes, keepdims=True))
    size = xp.where(size == 0, 1, size)
    t = x.mT
    upper = xp.concat([t, g / size], axis=axes[1])
    lower = xp.concat([xp.zeros_like(t), t], axis=axes[1])
    return xp.linalg.matrix_exp(xp.concat([upper, lower], axis=axes[0]))[..., :n, n:] * size


@function(
    name="linalg.matrix_exp",
    takes="floating",
    wide=True,
    check=_square("linalg.matrix_exp"),
    batching=stacked(2),
    jvp="body",  # Al-Mohy and Higham (2009), "Computing the Fréchet derivative of the matrix exponential"
    x=_matrix_exp_rule,
    samples=[
        Sample((3, 3)),
        Sample((2, 2, 2), domain=(-1.0, 1.0)),
        Sample((2, 2), domain=(-0.01, 0.01), name="small"),
        Sample((2, 2), domain=(-9.0, 3.0), name="large"),
        Sample([[0.0, 0.0], [0.0, 0.0]], name="zero"),
        Sample((1, 1)),
        Sample((0, 0)),
        Fails((2, 3), error=ShapeError, match="linalg.matrix_exp: expected a square matrix.* 2 rows and 3 columns"),
    ],
)
def matrix_exp(xp: XP, x: Tensor, /) -> Tensor:
    """Exponentials of square matrices: ``I + x + x @ x / 2 + ...``.

    By scaling and squaring of a Padé approximant: Higham (2005), "The scaling and squaring method for the matrix
    exponential revisited", algorithm 2.3. The derivative is that of a block matrix.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.matrix_exp(ad.tensor([[0.0, 1.0], [0.0, 0.0]]))
    tensor([[1., 1.],
            [0., 1.]])
    """
    if not math.prod(x.shape):
        return xp.clone(x)  # type: ignore[no-any-return]
    ndim = len(x.shape)
    norms = xp.max(xp.sum(xp.abs(xp.detach(x)), axis=(ndim - 2,)), axis=(ndim - 2,))
    finite = xp.isfinite(norms)
    if not bool(xp.all(finite)):
        finite = finite[..., None, None]
        return xp.where(finite, xp.linalg.matrix_exp(xp.where(finite, x, 0)), math.nan)  # type: ignore[no-any-return]
    largest = float(xp.max(norms, axis=tuple(range(ndim - 2))))
    double = is_double(x.dtype)
    for m, limit in _PADE[double]:
        if largest <= limit:
            return _pade(xp, x, m)  # type: ignore[no-any-return]
    m, limit = _LAST[double]
    squarings = max(0, math.ceil(math.log2(largest / limit)))
    # matrices of a smaller norm are squared less often: each squaring costs them accuracy
    needed = xp.where(norms > limit, norms, limit) / limit
    times = xp.ceil(xp.log2(needed))[..., None, None]
    result = _pade(xp, x * 0.5**times, m)
    for i in range(squarings):
        result = xp.where(times > i, xp.matmul(result, result), result)
    return result  # type: ignore[no-any-return]


# Systems of tensors -------------------------------------------------------------------------------------------


def tensorinv(x: Tensor, /, ind: int = 2) -> Tensor:
    """Inverse of a tensor as a linear map between shapes, as in NumPy: of its first ``ind`` dimensions and the others.

    Parameters
    ----------
    x : Tensor
        The first ``ind`` dimensions have as many elements as the others.
    ind : int
        How many dimensions are the rows.

    Returns
    -------
    Tensor
        Of shape ``x.shape[ind:] + x.shape[:ind]``; ``tensordot(tensorinv(x, ind), y, ind)`` solves for ``y``.

    Raises
    ------
    ShapeError
        If the map is not square.
    LinAlgError
        If it has no inverse; not on GPUs.

    Notes
    -----
    Differentiable through `linalg.inv`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.tensorinv(ad.reshape(ad.eye(6), (6, 2, 3)), ind=1).shape
    (2, 3, 6)
    """
    if not isinstance(x, Tensor):
        not_a_tensor("linalg.tensorinv", "x", x)
    ind = as_integer("linalg.tensorinv", "ind", ind)
    if ind <= 0:
        raise ArgumentError(f"linalg.tensorinv: ind, the number of dimensions in front, must be positive; got {ind}")
    rows, columns = math.prod(x.shape[:ind]), math.prod(x.shape[ind:])
    if rows != columns:
        raise ShapeError(
            f"linalg.tensorinv: the first {ind} dimensions of shape {x.shape} have {rows} elements, the others "
            f"{columns}; they must have equally many"
        )
    return reshape(inv(reshape(x, (rows, columns))), (*x.shape[ind:], *x.shape[:ind]))


def tensorsolve(x1: Tensor, x2: Tensor, /, axes: Sequence[int] | None = None) -> Tensor:
    """Solution of ``tensordot(x1, x, x.ndim) == x2``, as in NumPy.

    Parameters
    ----------
    x1 : Tensor
        Of shape ``x2.shape + x.shape``, where both have equally many elements.
    x2 : Tensor
    axes : sequence of int, optional
        Dimensions of ``x1`` to be moved to the end first.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    LinAlgError
        If there is no unique solution; not on GPUs.

    Notes
    -----
    Differentiable through `linalg.solve`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.tensorsolve(ad.reshape(ad.eye(6), (2, 3, 6)), ad.ones((2, 3))).shape
    (6,)
    """
    for key, x in (("x1", x1), ("x2", x2)):
        if not isinstance(x, Tensor):
            not_a_tensor("linalg.tensorsolve", key, x)
    if axes is not None:
        last = [normalize_axis("linalg.tensorsolve", i, x1.ndim) for i in axes]
        x1 = permute_dims(x1, (*(i for i in range(x1.ndim) if i not in last), *last))
    shape = x1.shape[x2.ndim :]
    if math.prod(shape) != math.prod(x2.shape) or x1.shape[: x2.ndim] != x2.shape:
        raise ShapeError(
            f"linalg.tensorsolve: expected x1 of shape {x2.shape}, that of x2, followed by one of as many elements; "
            f"got {x1.shape}"
        )
    size = math.prod(shape)
    return reshape(solve(reshape(x1, (size, size)), reshape(x2, (size,))), shape)
