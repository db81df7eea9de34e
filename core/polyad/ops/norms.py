"""Norms of vectors and matrices, and what follows from singular values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..batching import along, in_front, stacked
from ..careful import broadcast_shapes
from ..dispatch import facade, function
from ..errors import ArgumentError, IndexOutOfRangeError, OperandError, ShapeError
from ..function import TENSORS, XP, Fails, Function, Sample
from ..rules import count, is_complex, unreduce
from ..tensor import Tensor, not_a_tensor
from .arguments import Axis, Shape, normalize_axes, normalize_axis
from .matrices import conj_of, is_double, real_of
from .solvers import inv, matrices_of, square_of

__all__ = ["norm"]

INFINITE = (math.inf, -math.inf)


# Vectors ------------------------------------------------------------------------------------------------------


def _order(name: str, order: Any) -> Any:
    if isinstance(order, (int, float)) and order == order:
        return order
    raise ArgumentError(f"{name}: the order of a vector's norm is a number, or inf or -inf; got {order!r:.60}")


def _vector_checked(
    shape: Shape,
    *,
    axis: Any = None,
    keepdims: Any = False,
    ord: Any = 2,
    name: str = "linalg.vector_norm",
) -> dict[str, Any]:
    axes = normalize_axes(name, axis, len(shape))
    order = _order(name, ord)
    if order == -math.inf and not count(shape, axes):
        raise ShapeError(f"{name}: no elements to choose from: the shape is {shape}, reduced over axis {axes}")
    return {"axis": axes, "keepdims": bool(keepdims), "ord": order}


def _products(xp: Any, x: Any, y: Any, axis: Shape, keepdims: bool) -> Any:
    """Real inner products along axes; along one, or all, by what libraries have for that."""
    ndim = len(x.shape)
    if len(axis) not in (1, ndim) or not ndim:
        found = xp.sum(real_of(xp, conj_of(xp, x) * y), axis=axis, keepdims=True)
    elif len(axis) == 1:
        found = xp.expand_dims(real_of(xp, xp.vecdot(x, y, axis=axis[0] - ndim)), axis=axis[0])
    else:
        flat = (math.prod(x.shape),)
        found = real_of(xp, xp.vecdot(xp.reshape(x, shape=flat), xp.reshape(y, shape=flat), axis=-1))
        found = xp.reshape(found, shape=(1,) * ndim)
    return found if keepdims else xp.squeeze(found, axis=axis)


def _vector_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: Shape, keepdims: bool, ord: Any) -> Any:
    """The sum of each element's part: the rule gives what it weighs, and is linear in the gradient, here 1."""
    if ord == 2:
        zero = out == 0
        return xp.where(zero, 0, _products(xp, x, tangents[0], axis, keepdims) / xp.where(zero, 1, out))
    weights = _vector_rule(xp.ones_like(out), xp, x, out, axis, keepdims, ord)
    return xp.sum(
        xp.real(weights * tangents[0]) if is_complex(x.dtype) else weights * tangents[0], axis=axis, keepdims=keepdims
    )


def _vector_rule(g: Any, xp: Any, x: Any, out: Any, axis: Shape, keepdims: bool, ord: Any) -> Any:
    """The derivative; 0 at zeros where there is none, and shared among elements of equal size for inf and -inf."""
    if ord == 0:
        return xp.zeros_like(x)
    if ord == 1:
        return unreduce(xp, g, x.shape, axis, keepdims) * xp.conj(xp.sign(x))
    zero = out == 0
    length = xp.where(zero, 1, out)
    if ord == 2:
        return unreduce(xp, xp.where(zero, 0, g / length), x.shape, axis, keepdims) * xp.conj(x)
    size = xp.abs(x)
    if ord in INFINITE:
        here = xp.astype(size == unreduce(xp, out, x.shape, axis, keepdims), g.dtype)
        ties = xp.sum(here, axis=axis, keepdims=keepdims)
        shared = unreduce(xp, g / xp.where(ties == 0, 1, ties), x.shape, axis, keepdims)  # 0 ties: the norm is NaN
        return here * shared * xp.conj(xp.sign(x))
    nothing = x == 0
    scale = unreduce(xp, xp.where(zero, 0, g), x.shape, axis, keepdims)
    ratio = xp.where(nothing, 1, size) / unreduce(xp, length, x.shape, axis, keepdims)
    return xp.where(nothing, 0, scale * ratio ** (ord - 1)) * xp.conj(xp.sign(x))


@function(
    name="linalg.vector_norm",
    takes="floating",
    gives="real",
    wide=True,
    check=_vector_checked,
    batching=along("axis"),
    jvp=_vector_jvp,
    x=_vector_rule,
    samples=[
        Sample((3, 4)),
        Sample((3, 4), axis=0),
        Sample((2, 3, 4), axis=(0, -1), keepdims=True),
        Sample(()),
        Sample((0,)),
        *(Sample((3, 4), axis=1, ord=n) for n in (0, 1, 3, 0.5, 2.5, -1, -2, -0.5, math.inf, -math.inf)),
        Sample((0, 2), axis=0, ord=math.inf),
        *(Sample([[0.0, 0.0], [0.0, 3.0]], axis=1, ord=n, name=f"zeros, {n}", grad=False) for n in (2, 1, 3, 0.5, 0)),
        Sample([1.0, -3.0, 3.0], ord=math.inf, name="a tie", grad=False),
        Fails((2, 3), axis=2, error=IndexOutOfRangeError, match="linalg.vector_norm: axis 2 is out of range"),
        Fails((2, 0), axis=1, ord=-math.inf, error=ShapeError, match="no elements to choose from"),
        Fails((2, 3), ord="fro", error=ArgumentError, match="order of a vector's norm is a number.* got 'fro'"),
    ],
)
def vector_norm(
    xp: XP,
    x: Tensor,
    /,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    ord: float = 2,
) -> Tensor:
    """Norms of vectors along axes, of order ``ord``: ``sum(abs(x) ** ord) ** (1 / ord)``.

    Of order ``inf`` the largest absolute value, of ``-inf`` the smallest, of 0 the number of elements other than 0. The
    derivative at 0 is taken as 0, and elements of equal size share that of ``inf`` and ``-inf``, as in PyTorch.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.vector_norm(ad.tensor([[3.0, 4.0], [6.0, 8.0]]), axis=1)
    tensor([ 5., 10.])
    """
    if ord == 0:
        return xp.sum(xp.abs(xp.sign(x)), axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]
    if ord == 2:
        squares = xp.real(x * xp.conj(x)) if is_complex(x.dtype) else x * x
        return xp.sqrt(xp.sum(squares, axis=axis, keepdims=keepdims))  # type: ignore[no-any-return]
    size = xp.abs(x)
    if ord == -math.inf:
        return xp.min(size, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]
    if ord == math.inf and count(x.shape, axis):  # type: ignore[arg-type]
        return xp.max(size, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]
    if ord in (1, math.inf):
        return xp.sum(size, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]
    return xp.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)  # type: ignore[no-any-return]


# Matrices -----------------------------------------------------------------------------------------------------

_ORDERS = ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)


def _matrix_checked(
    shape: Shape,
    *,
    keepdims: Any = False,
    ord: Any = "fro",
    name: str = "linalg.matrix_norm",
) -> dict[str, Any]:
    matrices_of(name, shape)
    order = "fro" if ord is None else ord
    if order not in _ORDERS:
        raise ArgumentError(
            f"{name}: the order of a matrix's norm is one of 'fro', 'nuc', 1, -1, 2, -2, inf and -inf; got {ord!r:.60}"
        )
    *_, rows, columns = shape
    smallest_of: dict[Any, int] = {-1: columns, -math.inf: rows, -2: min(rows, columns)}
    if smallest_of.get(order) == 0:
        raise ShapeError(f"{name}: order {order} takes the smallest of some elements; shape {shape} has none")
    return {"keepdims": bool(keepdims), "ord": order}


def _largest(xp: Any, x: Any) -> Any:
    """The maximum along the last axis, 0 if there is none."""
    axis = (len(x.shape) - 1,)
    return xp.max(x, axis=axis) if x.shape[-1] else xp.sum(x, axis=axis)


@function(
    name="linalg.matrix_norm",
    takes="floating",
    gives="real",
    wide=True,
    check=_matrix_checked,
    batching=stacked(2),
    samples=[
        *(Sample((3, 4), ord=n) for n in _ORDERS),
        Sample((2, 3, 2), keepdims=True),
        Sample((2, 3, 2), keepdims=True, ord=1),
        Sample((2, 3, 2), keepdims=True, ord="nuc"),
        Sample((0, 3)),
        Sample((0, 3), ord=2),
        Sample((3, 0), ord=1),
        Fails((3,), error=ShapeError, match=r"linalg.matrix_norm: expected a matrix .* got shape \(3,\)"),
        Fails((2, 2), ord=3, error=ArgumentError, match="is one of 'fro', 'nuc', 1, .* got 3"),
        Fails((2, 0), ord=-1, error=ShapeError, match=r"order -1 takes the smallest.* shape \(2, 0\) has none"),
    ],
)
def matrix_norm(
    xp: XP,
    x: Tensor,
    /,
    *,
    keepdims: bool = False,
    ord: float | str | None = "fro",
) -> Tensor:
    """Norms of matrices: the root of the sum of squares by default, ``"fro"``.

    ``"nuc"`` is the sum of the singular values, 2 the largest and -2 the smallest; 1 and -1 are the largest and least
    sum of absolute values of a column, ``inf`` and ``-inf`` those of a row.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor([[1.0, -2.0], [3.0, 4.0]])
    >>> ad.linalg.matrix_norm(x, ord=1), ad.linalg.matrix_norm(x, ord=ad.inf)
    (tensor(6.), tensor(7.))
    """
    ndim = len(x.shape)
    plane = (ndim - 2, ndim - 1)
    if ord == "fro":
        return xp.linalg.vector_norm(x, axis=plane, keepdims=keepdims, ord=2)  # type: ignore[no-any-return]
    if ord in ("nuc", 2, -2):
        s = xp.linalg.svdvals(x)
        found = xp.sum(s, axis=(ndim - 2,)) if ord == "nuc" else _largest(xp, s) if ord == 2 else s[..., -1]
    else:
        sums = xp.sum(xp.abs(x), axis=(ndim - 2 if ord in (1, -1) else ndim - 1,))
        found = _largest(xp, sums) if ord in (1, math.inf) else xp.min(sums, axis=(ndim - 2,))
    return xp.reshape(found, shape=(*x.shape[:-2], 1, 1)) if keepdims else found  # type: ignore[no-any-return]


# Either -------------------------------------------------------------------------------------------------------


def _norm_checked(
    shape: Shape,
    *,
    ord: Any = None,
    axis: Any = None,
    keepdims: Any = False,
) -> dict[str, Any]:
    name = "linalg.norm"
    if axis is None and (ord is None or len(shape) == 1):
        axes: Any = None
    elif axis is None:
        if len(shape) != 2:
            raise ShapeError(
                f"{name}: with an order and without an axis, expected a vector or a matrix; got shape {shape}; write "
                f"axis=..., or linalg.vector_norm, which takes all elements"
            )
        axes = (0, 1)
    elif isinstance(axis, (tuple, list)):
        axes = tuple(normalize_axis(name, a, len(shape)) for a in axis)
        if len(axes) not in (1, 2) or len(set(axes)) != len(axes):
            raise ShapeError(f"{name}: axis names one dimension, or two different ones; got {tuple(axis)}")
    else:
        axes = (normalize_axis(name, axis, len(shape)),)
    if axes is not None and len(axes) == 2:
        plane = tuple(shape[i] for i in axes)
        order = _matrix_checked(plane, ord=ord, name=name)["ord"]
    else:
        order = _vector_checked(shape, axis=axes, ord=2 if ord is None else ord, name=name)["ord"]
    return {"ord": order, "axis": axes, "keepdims": bool(keepdims)}


@function(
    name="linalg.norm",
    takes="floating",
    gives="real",
    check=_norm_checked,
    samples=[
        Sample((3, 4)),
        Sample((2, 3, 2), keepdims=True),
        Sample((4,), ord=3),
        Sample((3, 4), ord=1),
        Sample((3, 4), ord="nuc", keepdims=True),
        Sample((3, 4), ord=1, axis=0),
        Sample((2, 3, 4), ord=1, axis=(0, 2)),
        Sample((2, 3, 4), ord="fro", axis=(2, 0), keepdims=True),
        Sample((2, 3, 4), ord=-math.inf, axis=(-1, 0), keepdims=True),
        Sample((2, 3, 4), axis=1),
        Fails((2, 2, 2), ord=1, error=ShapeError, match=r"expected a vector or a matrix; got shape \(2, 2, 2\)"),
        Fails((2, 2, 2), axis=(0, 1, 2), error=ShapeError, match="axis names one dimension, or two different ones"),
        Fails((2, 2), axis=3, error=IndexOutOfRangeError, match="linalg.norm: axis 3 is out of range"),
        Fails((2, 2), ord=7, error=ArgumentError, match="linalg.norm: the order of a matrix's norm is one of"),
    ],
)
def linalg_norm(
    xp: XP,
    x: Tensor,
    /,
    ord: float | str | None = None,
    axis: Axis = None,
    keepdims: bool = False,
) -> Tensor:
    """Norms of vectors along one axis or of matrices in two, as in NumPy and PyTorch.

    Without ``ord`` the root of the sum of squares. Without ``axis`` that of all elements, or, with ``ord``, the norm of
    a vector or of a matrix. See `polyad.linalg.vector_norm` and `polyad.linalg.matrix_norm` for what ``ord`` may be.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.norm(ad.tensor([3.0, 4.0])), ad.linalg.norm(ad.eye(4), ord="nuc")
    (tensor(5.), tensor(4.))
    """
    ndim = len(x.shape)
    if axis is None or len(axis) == 1:  # type: ignore[arg-type]
        axes = tuple(range(ndim)) if axis is None else axis
        return xp.linalg.vector_norm(x, axis=axes, keepdims=keepdims, ord=ord)  # type: ignore[no-any-return]
    rest = tuple(i for i in range(ndim) if i not in axis)  # type: ignore[operator]
    moved = xp.permute_dims(x, axes=(*rest, *axis))  # type: ignore[misc]
    found = xp.linalg.matrix_norm(moved, keepdims=False, ord=ord)
    if not keepdims:
        return found  # type: ignore[no-any-return]
    return xp.reshape(found, shape=tuple(n if i in rest else 1 for i, n in enumerate(x.shape)))  # type: ignore[no-any-return]


def _torch_norm_checked(shape: Shape, *, p: Any = "fro", axis: Any = None, keepdims: Any = False) -> dict[str, Any]:
    if p == "nuc":
        plane = axis if axis is not None or len(shape) != 2 else (0, 1)
        if not isinstance(plane, (tuple, list)) or len(plane) != 2:
            raise ShapeError(f"norm: p='nuc' is a norm of matrices: axis names two dimensions of shape {shape}")
        checked = _norm_checked(shape, ord="nuc", axis=plane)
        return {"p": "nuc", "axis": checked["axis"], "keepdims": bool(keepdims)}
    order = 2 if p in ("fro", None) else p
    checked = _vector_checked(shape, axis=axis, ord=order, name="norm")
    return {"p": checked["ord"], "axis": checked["axis"], "keepdims": bool(keepdims)}


@function(
    takes="floating",
    gives="real",
    check=_torch_norm_checked,
    samples=[
        Sample((3, 4)),
        Sample((2, 3, 4), p=1, axis=(0, 2)),
        Sample((2, 3), p=3, axis=1, keepdims=True),
        Sample((3, 4), p="nuc"),
        Sample((2, 3, 4), p="nuc", axis=(0, 2), keepdims=True),
        Fails((2, 2, 2), p="nuc", error=ShapeError, match=r"p='nuc' .* axis names two dimensions of shape \(2, 2, 2\)"),
        Fails((2, 2), p="spectral", error=ArgumentError, match="norm: the order of .* got 'spectral'"),
        Fails((2, 2), axis=2, error=IndexOutOfRangeError, match="norm: axis 2 is out of range"),
    ],
)
def norm(xp: XP, x: Tensor, /, p: float | str = "fro", axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Norms of the elements along axes, PyTorch's ``norm``: over several axes too it is that of vectors.

    ``p`` is the order; ``"fro"`` is 2, and ``"nuc"`` the sum of the singular values of matrices.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([[1.0, -2.0], [3.0, 4.0]]).norm(p=1)
    tensor(10.)
    """
    if p == "nuc":
        return xp.linalg.norm(x, ord="nuc", axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]
    return xp.linalg.vector_norm(x, axis=axis, keepdims=keepdims, ord=p)  # type: ignore[no-any-return]


# By singular values -------------------------------------------------------------------------------------------


def _tolerance(xp: Any, x: Any, s: Any, rtol: Any) -> Any:
    """Below which size singular values count as 0."""
    if rtol is None:
        rtol = max(x.shape[-2:]) * (2.0**-52 if is_double(x.dtype) else 2.0**-23)
    elif hasattr(rtol, "shape"):
        rtol = xp.real(rtol)[..., None]  # it was brought to the type of a complex x
    return rtol * s[..., : min(1, s.shape[-1])]


def _rank_checked(name: str) -> Any:
    def check(shape: Shape, rtol: Shape | None = None) -> dict[str, Any]:
        matrices_of(name, shape)
        if (
            rtol is not None
            and broadcast_shapes(f"{name}: the stack of matrices and rtol", [shape[:-2], rtol]) != shape[:-2]
        ):
            raise ShapeError(f"{name}: rtol of shape {rtol} does not broadcast to the stack's shape {shape[:-2]}")
        return {}

    return check


def _with_tolerance(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    """As a stack of matrices, each with its tolerance."""
    x, rtol = arrays
    return stacked(2, 0)(made, size, (in_front(x, size, batched[0]), rtol), (True, batched[1]), params)


_LOW_RANK = [[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]]


@function(
    name="linalg.matrix_rank",
    takes="floating",
    gives="int64",
    wide=True,
    differentiable=False,
    promotes=(0,),
    check=_rank_checked("linalg.matrix_rank"),
    batching=_with_tolerance,
    samples=[
        Sample((3, 4)),
        Sample((2, 3, 2)),
        Sample(_LOW_RANK, name="low rank"),
        Sample([[1.0, 0.0], [0.0, 1e-3]], 1e-2, name="rough"),
        Sample([[[1.0, 0.0], [0.0, 1e-3]]] * 2, [1e-2, 1e-4], name="a tolerance each"),
        Sample((0, 3)),
        Fails((3,), error=ShapeError, match=r"linalg.matrix_rank: expected a matrix .* got shape \(3,\)"),
        Fails(
            (2, 2, 2), (3,), error=ShapeError, match="linalg.matrix_rank: the stack of matrices and rtol.* broadcast"
        ),
    ],
)
def _matrix_rank(xp: XP, x: Tensor, rtol: Any = None, /) -> Tensor:
    """Ranks of matrices; see `polyad.linalg.matrix_rank`."""
    s = xp.linalg.svdvals(x)
    return xp.count_nonzero(s > _tolerance(xp, x, s, rtol), axis=(len(s.shape) - 1,))  # type: ignore[no-any-return]


@facade(_matrix_rank)
def matrix_rank(x: Tensor, /, rtol: Any = None) -> Tensor:
    """Ranks of matrices: how many singular values are above ``rtol`` times the largest.

    Parameters
    ----------
    x : Tensor
        Of shape ``(..., M, N)``.
    rtol : float or Tensor, optional
        One for all, or one for each matrix; by default ``max(M, N)`` times the type's rounding error.

    Returns
    -------
    Tensor
        int64, of the stack's shape.

    Raises
    ------
    ShapeError
        If there are no matrices, or ``rtol`` does not broadcast to the stack.

    Notes
    -----
    Not differentiable: nothing is recorded.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.matrix_rank(ad.tensor([[1.0, 2.0], [2.0, 4.0]]))
    tensor(1)
    """
    return _matrix_rank(x, rtol)


def _pinv_rule(g: Any, xp: Any, x: Any, out: Any) -> Any:
    """Golub and Pereyra (1973), "The differentiation of pseudo-inverses", for the conjugate of the gradient.

    The three parts of the derivative of P: ``-P dx P``, and what it adds outside of the row and the column space.
    """
    p, h = out, g.mT  # h is the adjoint of the gradient that users see
    ph = xp.conj(p.mT)
    if x.shape[-2] <= x.shape[-1]:
        k = h @ p
        found = -xp.conj((p @ k).mT) + (k - (x @ p) @ k) @ ph + (ph @ p) @ (h - k @ x)
    else:
        k = p @ h
        found = -xp.conj((k @ p).mT) + (h - x @ k) @ (p @ ph) + ph @ (k - (k @ p) @ x)
    return xp.conj(found)


def _pinv_jvp(xp: Any, tangents: Any, out: Any, x: Any, rtol: Any) -> Any:
    t, p = tangents[0], out
    th, ph = xp.conj(t.mT), xp.conj(p.mT)
    if x.shape[-2] <= x.shape[-1]:
        moved = (th - p @ (x @ th)) @ (ph @ p) + p @ (ph @ (th - th @ (x @ p)))
        return moved - p @ (t @ p)
    moved = (p @ ph) @ (th - (th @ x) @ p) + ((th - (p @ x) @ th) @ ph) @ p
    return moved - (p @ t) @ p


@function(
    name="linalg.pinv",
    takes="floating",
    wide=True,
    promotes=(0,),
    check=_rank_checked("linalg.pinv"),
    batching=_with_tolerance,
    jvp=_pinv_jvp,
    x=_pinv_rule,
    samples=[
        Sample((3, 3)),
        Sample((4, 2)),
        Sample((2, 2, 3)),
        Sample(_LOW_RANK, name="low rank", grad=False),
        Sample([[1.0, 0.0], [0.0, 1e-3]], 1e-2, name="rough", grad=False),
        Sample([[[1.0, 0.0], [0.0, 1e-3]]] * 2, [1e-2, 1e-4], name="a tolerance each", grad=False),
        Sample((0, 3)),
        Fails((3,), error=ShapeError, match=r"linalg.pinv: expected a matrix .* got shape \(3,\)"),
        Fails(
            (2, 2, 2), (3,), error=ShapeError, match="linalg.pinv: the stack of matrices and rtol.* do not broadcast"
        ),
    ],
)
def _pinv(xp: XP, x: Tensor, rtol: Any = None, /) -> Tensor:
    """Pseudo-inverses; see `polyad.linalg.pinv`."""
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    kept = s > _tolerance(xp, x, s, rtol)
    inverse = xp.where(kept, 1 / xp.where(kept, s, 1), 0)
    return (xp.conj(vh.mT) * inverse[..., None, :]) @ xp.conj(u.mT)  # type: ignore[no-any-return]


@facade(_pinv)
def pinv(x: Tensor, /, rtol: Any = None) -> Tensor:
    """Pseudo-inverses of matrices (Moore and Penrose), with ``pinv(x) @ b`` the shortest solution of least squares.

    Parameters
    ----------
    x : Tensor
        Of shape ``(..., M, N)`` and a floating type; integers and bools become float32.
    rtol : float or Tensor, optional
        Singular values up to ``rtol`` times the largest count as 0. One for all, or one for each matrix; by default
        ``max(M, N)`` times the type's rounding error.

    Returns
    -------
    Tensor
        Of shape ``(..., N, M)`` and the type of ``x``.

    Raises
    ------
    ShapeError
        If there are no matrices, or ``rtol`` does not broadcast to the stack.

    Notes
    -----
    Differentiable in ``x`` (keeps ``x`` and the result) where the rank does not change: Golub and Pereyra (1973), "The
    differentiation of pseudo-inverses and nonlinear least squares problems".

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.pinv(ad.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    return _pinv(x, rtol)


def cond(x: Tensor, p: float | str | None = None) -> Tensor:
    """Condition numbers of matrices: ``norm(x, p) * norm(inv(x), p)``, by default from singular values.

    Parameters
    ----------
    x : Tensor
        Of shape ``(..., M, N)``; square for ``p`` other than None, 2 and -2.
    p : None, 2, -2, "fro", "nuc", 1, -1, inf or -inf
        The norm's order, as for `polyad.linalg.matrix_norm`. None is 2: the largest by the smallest singular value.

    Returns
    -------
    Tensor
        Of the stack's shape; ``inf`` where the smallest singular value is 0.

    Raises
    ------
    ShapeError
        If the matrices are not square, or have no elements.
    LinAlgError
        If a matrix is singular, for ``p`` other than None, 2 and -2; not on GPUs.

    Notes
    -----
    Differentiable through the functions that it is made of.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.cond(ad.tensor([[4.0, 0.0], [0.0, 2.0]]))
    tensor(2.)
    """
    if not isinstance(x, Tensor):
        not_a_tensor("linalg.cond", "x", x)
    matrices_of("linalg.cond", x.shape)
    if 0 in x.shape[-2:]:
        raise ShapeError(f"linalg.cond: matrices without elements have no condition number; got shape {x.shape}")
    if p not in (None, 2, -2):
        square_of("linalg.cond", x.shape)
        return matrix_norm(x, ord=p) * matrix_norm(inv(x), ord=p)
    s = TENSORS.linalg.svdvals(x)
    above, below = (s[..., -1], s[..., 0]) if p == -2 else (s[..., 0], s[..., -1])
    none = below == 0
    return TENSORS.where(none, math.inf, above / TENSORS.where(none, 1, below))  # type: ignore[no-any-return]


def _least_squares_fits(a: Shape, b: Shape, rcond: Shape | None = None) -> dict[str, Any]:
    name = "linalg.lstsq"
    matrices_of(name, a)
    if not b:
        raise ShapeError(f"{name}: the right side has at least 1 dimension; got shapes {a} and {b}")
    rows = b[0] if len(b) == 1 else b[-2]
    if rows != a[-2]:
        raise ShapeError(
            f"{name}: shapes {a} and {b} do not fit: the matrices have {a[-2]} rows, the right sides {rows}"
        )
    if len(b) > 1:
        broadcast_shapes(f"{name}: stacks", [a[:-2], b[:-2]])
    if rcond:
        raise OperandError(f"{name}: rcond is a number; got a tensor of shape {rcond}")
    return {}


@function(
    name="linalg.lstsq",
    takes="floating",
    gives=("same", "real", "int64", "real"),
    outputs=("solution", "residuals", "rank", "singular_values"),
    promotes=(0, 1),
    wide=True,
    check=_least_squares_fits,
    samples=[
        Sample((4, 2), (4,)),
        Sample((4, 2), (4, 3)),
        Sample((2, 4), (2, 1)),
        Sample((3, 3), (3,)),
        Sample((2, 4, 2), (4, 3)),
        Fails(
            (4, 2), (3,), error=ShapeError, match="linalg.lstsq: shapes .* the matrices have 4 rows, the right sides 3"
        ),
        Fails((4,), (4,), error=ShapeError, match="linalg.lstsq: expected a matrix"),
        Fails((4, 2), (), error=ShapeError, match="the right side has at least 1 dimension"),
    ],
)
def _lstsq(xp: XP, x1: Tensor, x2: Tensor, rcond: Any = None, /) -> tuple[Tensor, ...]:
    """Solutions of least squares; see `polyad.linalg.lstsq`."""
    s = xp.linalg.svdvals(x1)
    rank = xp.count_nonzero(s > _tolerance(xp, x1, s, rcond), axis=(len(s.shape) - 1,))
    solution = xp.matmul(xp.linalg.pinv(x1, rcond), x2)
    if x1.shape[-2] > x1.shape[-1]:
        missing = x2 - xp.matmul(x1, solution)
        squares = xp.real(missing * xp.conj(missing)) if is_complex(missing.dtype) else missing * missing
        residuals = xp.sum(squares, axis=(0 if len(x2.shape) == 1 else len(squares.shape) - 2,))
    else:
        residuals = xp.zeros_like(s[..., :0])
    return solution, residuals, rank, s


@facade(_lstsq)
def lstsq(x1: Tensor, x2: Tensor, /, rcond: float | None = None) -> Any:
    """Solutions of least squares: the shortest ``x`` for which ``x1 @ x - x2`` is shortest.

    Parameters
    ----------
    x1 : Tensor
        Of shape ``(..., M, N)`` and a floating type; integers and bools become float32.
    x2 : Tensor
        A vector of M elements, or ``(..., M, K)``: right sides as columns. Stacks broadcast.
    rcond : float, optional
        Singular values up to ``rcond`` times the largest count as 0; by default ``max(M, N)`` times the type's rounding
        error.

    Returns
    -------
    tuple of Tensor
        ``solution``; ``residuals``, the sums of squares of ``x1 @ x - x2`` for each right side if there are more rows
        than columns, otherwise without elements; ``rank``; and ``singular_values`` of ``x1``.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    DTypeError
        If the types have no common one.

    Notes
    -----
    Differentiable in both: through `polyad.linalg.pinv` and the singular values.

    Examples
    --------
    >>> import polyad as ad
    >>> a = ad.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    >>> ad.linalg.lstsq(a, ad.tensor([1.0, 3.0, 5.0])).solution
    tensor([1.0000, 2.0000])
    """
    return _lstsq(x1, x2, rcond)


# Chains of matrices -------------------------------------------------------------------------------------------


def _chain_checked(*shapes: Shape) -> dict[str, Any]:
    name = "linalg.multi_dot"
    if len(shapes) < 2:
        raise ShapeError(f"{name}: expected at least 2 matrices; got {len(shapes)}")
    for i, shape in enumerate(shapes):
        if len(shape) != 2 and not (len(shape) == 1 and i in (0, len(shapes) - 1)):
            raise ShapeError(f"{name}: expected matrices, and vectors at the ends; number {i} has shape {shape}")
    for i in range(len(shapes) - 1):
        if shapes[i][-1] != shapes[i + 1][0]:
            raise ShapeError(
                f"{name}: number {i} has {shapes[i][-1]} columns, number {i + 1} has {shapes[i + 1][0]} rows; shapes "
                f"{shapes[i]} and {shapes[i + 1]}"
            )
    return {}


def _splits(lengths: list[int]) -> dict[tuple[int, int], int]:
    """Where to split each part of a chain: the cheapest order, by Cormen et al., "Introduction to Algorithms", 15.2."""
    count = len(lengths) - 1
    cost = {(i, i): 0 for i in range(count)}
    best = {}
    for span in range(1, count):
        for i in range(count - span):
            j = i + span
            cost[i, j], best[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + lengths[i] * lengths[k + 1] * lengths[j + 1], k) for k in range(i, j)
            )
    return best


@function(
    name="linalg.multi_dot",
    takes="numeric",
    sequence=True,
    check=_chain_checked,
    samples=[
        Sample((2, 3), (3, 4)),
        Sample((2, 3), (3, 4), (4, 2)),
        Sample((3,), (3, 4), (4, 2), (2,)),
        Sample((2, 1), (1, 3), (3, 1), (1, 2)),
        Fails((2, 3), error=ShapeError, match="linalg.multi_dot: expected at least 2 matrices; got 1"),
        Fails((2, 3), (4, 2), error=ShapeError, match="number 0 has 3 columns, number 1 has 4 rows"),
        Fails((2, 3), (3,), (3, 2), error=ShapeError, match=r"vectors at the ends; number 1 has shape \(3,\)"),
    ],
)
def multi_dot(xp: XP, arrays: list[Tensor], /) -> Tensor:
    """Product of several matrices, in the order that takes the fewest multiplications. The ends may be vectors.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.multi_dot([ad.ones((9, 1)), ad.ones((1, 9)), ad.ones((9, 2))]).shape
    (9, 2)
    """
    shapes = [x.shape for x in arrays]
    rows = 1 if len(shapes[0]) == 1 else shapes[0][0]
    columns = 1 if len(shapes[-1]) == 1 else shapes[-1][1]
    lengths = [rows, *(shape[0] for shape in shapes[1:]), columns]
    best = _splits(lengths)

    def product(i: int, j: int) -> Any:
        if i == j:
            return arrays[i]
        k = best[i, j]
        return xp.matmul(product(i, k), product(k + 1, j))

    return product(0, len(arrays) - 1)  # type: ignore[no-any-return]
