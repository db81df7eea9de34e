"""Products of vectors, matrices and tensors.

All of them but ``matmul`` and ``vecdot`` are contractions of two tensors, whose derivatives are contractions again:
the function ``einsum_pair``, in which letters name dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..batching import elementwise
from ..careful import broadcast_shapes
from ..dispatch import facade, function
from ..errors import ArgumentError, DTypeError, IndexOutOfRangeError, OperandError, PolyadError, ShapeError
from ..function import XP, Fails, Sample
from ..tensor import Tensor
from .arguments import Shape, normalize_axis
from .batched_products import contraction_batched, matmul_batched

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "baddbmm",
    "cross",
    "einsum",
    "inner",
    "kron",
    "matmul",
    "outer",
    "tensordot",
    "vecdot",
]


# Of matrices --------------------------------------------------------------------------------------------------


def _fit(a: Shape, b: Shape, name: str = "matmul") -> dict[str, Any]:
    if not a or not b:
        raise ShapeError(f"{name}: operands have at least 1 dimension; got shapes {a} and {b}; write x * y")
    n, m = a[-1], b[-2] if len(b) > 1 else b[0]
    if n != m:
        raise ShapeError(
            f"{name}: shapes {a} and {b} do not fit: the last dimension of the first has {n} elements, the "
            f"{'last but one' if len(b) > 1 else 'only'} of the second {m}"
        )
    broadcast_shapes(f"{name}: stacks", [a[:-2], b[:-2]])
    return {}


# Operands of one dimension are told by the rank of g: a product with a vector has one dimension less.


def _matmul_left(g: Any, xp: Any, x2: Any) -> Any:
    rank = x2.ndim
    if rank == 1:
        return g[..., None] * x2
    if g.ndim < rank:
        return xp.matmul(g[..., None, :], x2.mT)[..., 0, :]
    return xp.matmul(g, x2.mT)


def _matmul_right(g: Any, xp: Any, x1: Any) -> Any:
    rank = x1.ndim
    if rank == 1:
        return g * x1 if not g.ndim else x1[:, None] * g[..., None, :]
    if g.ndim < rank:
        return xp.matmul(x1.mT, g[..., None])[..., 0]
    return xp.matmul(x1.mT, g)


@function(
    takes="numeric",
    broadcasts=True,
    standard=True,
    wide=True,
    check=_fit,
    batching=matmul_batched,
    jvp="multilinear",
    x1=_matmul_left,
    x2=_matmul_right,
    samples=[
        Sample((2, 3), (3, 4)),
        Sample((3,), (3,)),
        Sample((3,), (3, 4)),
        Sample((2, 3), (3,)),
        Sample((5, 2, 3), (3, 4)),
        Sample((2, 3), (5, 3, 4)),
        Sample((5, 1, 2, 3), (4, 3, 2)),
        Sample((3,), (5, 3, 4)),
        Sample((5, 2, 3), (3,)),
        Sample((2, 0), (0, 3)),
        Fails((2, 3), (2, 3), error=ShapeError, match=r"matmul: shapes \(2, 3\) and \(2, 3\) do not fit.* 3 .* 2"),
        Fails((), (3,), error=ShapeError, match="matmul: operands have at least 1 dimension"),
        Fails((2, 2, 3), (3, 3, 4), error=ShapeError, match="do not broadcast"),
    ],
)
def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """Matrix product ``x1 @ x2``: of matrices, stacks of matrices that broadcast, and vectors.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.eye(2) @ ad.tensor([3.0, 4.0])
    tensor([3., 4.])
    """


# Contractions of two tensors ----------------------------------------------------------------------------------


class _Layout(NamedTuple):
    """How a contraction of two tensors becomes a product of (stacks of) matrices; None for what needs no change."""

    swap: bool  # whether the second operand stands on the left
    multiply: bool  # whether nothing is summed, so that the product is one of elements
    axes: tuple[Shape | None, Shape | None]  # the operands' dimensions in order, left one first
    shapes: tuple[Shape | None, Shape | None]  # then their shapes as matrices
    out_shape: Shape | None
    out_axes: Shape | None


def _order(have: Sequence[str], wanted: Sequence[str]) -> Shape | None:
    axes = tuple(have.index(c) for c in wanted)
    return None if axes == tuple(range(len(have))) else axes


@lru_cache(maxsize=1024)
def _layout(subscripts: str, shape1: Shape, shape2: Shape) -> _Layout:
    """Sort the letters of ``"ab,bc->ac"``: those of both operands that stay count matrices, the others shape them."""
    inputs, out = subscripts.split("->")
    a, b = inputs.split(",")
    size = {**dict(zip(a, shape1, strict=True)), **dict(zip(b, shape2, strict=True))}
    left, right = ([c for c in x if c in out and c not in y] for x, y in ((a, b), (b, a)))
    swap = bool(left and right) and out.index(right[0]) < out.index(left[0])
    if swap:
        a, b, left, right = b, a, right, left
    batch = [c for c in out if c in a and c in b]
    summed = [c for c in (a if len(a) >= len(b) else b) if c not in out]
    if not summed:
        orders = [[c for c in out if c in x] for x in (a, b)]
        shapes = [tuple(size[c] if c in x else 1 for c in out) for x in (a, b)]
        out_shape = out_axes = None
    else:
        orders = [[*batch, *left, *summed], [*batch, *summed, *right]]
        stack = [size[c] for c in batch]
        rows, inside, columns = (math.prod(size[c] for c in part) for part in (left, summed, right))
        shapes = [(*stack, rows, inside), (*stack, inside, columns)]
        found = [*batch, *left, *right]
        out_shape = tuple(size[c] for c in found)
        out_axes = _order(found, out)
        if out_shape == (*stack, rows, columns):
            out_shape = None
    plain = [tuple(size[c] for c in order) for order in orders]
    return _Layout(
        swap,
        not summed,
        (_order(a, orders[0]), _order(b, orders[1])),
        tuple(None if s == p else s for s, p in zip(shapes, plain, strict=True)),  # type: ignore[arg-type]
        out_shape,
        out_axes,
    )


@lru_cache(maxsize=1024)
def _turned(subscripts: str, position: int) -> str:
    """The contraction of the gradient with the other operand, of ``"ab,bc->ac"``: ``"ac,bc->ab"`` for the first."""
    inputs, out = subscripts.split("->")
    terms = inputs.split(",")
    return f"{out},{terms[1 - position]}->{terms[position]}"


def _as_matrices(xp: Any, x: Any, axes: Shape | None, shape: Shape | None) -> Any:
    if axes is not None:
        x = xp.permute_dims(x, axes=axes)
    return x if shape is None else xp.reshape(x, shape=shape)


def _left(g: Any, xp: Any, x2: Any, subscripts: str) -> Any:
    return xp.einsum_pair(g, x2, subscripts=_turned(subscripts, 0))


def _right(g: Any, xp: Any, x1: Any, subscripts: str) -> Any:
    return xp.einsum_pair(g, x1, subscripts=_turned(subscripts, 1))


@function(
    takes="numeric",
    batching=contraction_batched,
    jvp="multilinear",
    x1=_left,
    x2=_right,
    samples=[
        Sample((2, 3), (3, 4), subscripts="ij,jk->ik"),
        Sample((2, 3), (4, 3), subscripts="ij,kj->ki"),
        Sample((2, 3, 4), (2, 5, 4), subscripts="bij,bkj->bik"),
        Sample((3, 2, 4), (4, 5, 3), subscripts="bij,jkb->ikb"),
        Sample((2, 3, 4), (4, 3, 5), subscripts="ijk,kjl->li"),
        Sample((2, 3), (2, 3), subscripts="ij,ij->"),
        Sample((2,), (3,), subscripts="i,j->ji"),
        Sample((), (2, 3), subscripts=",ij->ji"),
        Sample((2, 0), (0, 3), subscripts="ij,jk->ik"),
    ],
)
def einsum_pair(xp: XP, x1: Tensor, x2: Tensor, /, *, subscripts: str) -> Tensor:
    """Contraction of two tensors: what `einsum`, `tensordot`, `inner` and their derivatives are made of.

    ``subscripts`` is explicit, without repeated letters in an operand, and each letter of an operand stands in the
    other one or in the result. It is not checked.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.FUNCTIONS["einsum_pair"].call(ad.tensor([1.0, 2.0]), ad.tensor([3.0, 4.0]), subscripts="i,i->")
    tensor(11.)
    """
    layout = _layout(subscripts, x1.shape, x2.shape)
    a, b = (x2, x1) if layout.swap else (x1, x2)
    a = _as_matrices(xp, a, layout.axes[0], layout.shapes[0])
    b = _as_matrices(xp, b, layout.axes[1], layout.shapes[1])
    out = a * b if layout.multiply else xp.matmul(a, b)
    if layout.out_shape is not None:
        out = xp.reshape(out, shape=layout.out_shape)
    return out if layout.out_axes is None else xp.permute_dims(out, axes=layout.out_axes)  # type: ignore[no-any-return]


def _letters(count: int, start: int = 0) -> str:
    """Names for dimensions; there are more of them than of any array's dimensions."""
    return "".join(chr(ord("a") + start + i) for i in range(count))


def _contraction_axes(shape1: Shape, shape2: Shape, *, axes: Any = 2) -> dict[str, Any]:
    """The contracted dimensions of both operands, each counted from the front."""
    if isinstance(axes, (tuple, list)):
        if len(axes) != 2:
            raise ArgumentError(f"tensordot: axes is a number or a pair of sequences; got {len(axes)} entries: {axes}")
        pair = [tuple(a) if isinstance(a, (tuple, list)) else (a,) for a in axes]
    else:
        try:
            count = axes.__index__()
        except (AttributeError, TypeError):
            raise OperandError(f"tensordot: axes is an integer or a pair of sequences; got {axes!r}") from None
        if not 0 <= count <= min(len(shape1), len(shape2)):
            raise ShapeError(
                f"tensordot: axes={count} takes the last {count} dimensions of the first operand and the first {count} "
                f"of the second; got shapes {shape1} and {shape2}"
            )
        pair = [tuple(range(len(shape1) - count, len(shape1))), tuple(range(count))]
    first, second = (
        tuple(normalize_axis("tensordot", i, len(shape)) for i in some)
        for some, shape in zip(pair, (shape1, shape2), strict=True)
    )
    if len(first) != len(second):
        raise ShapeError(f"tensordot: axes name {len(first)} dimensions of the first and {len(second)} of the second")
    for found, some in ((first, pair[0]), (second, pair[1])):
        if len(set(found)) != len(found):
            raise ShapeError(f"tensordot: axes {some} name a dimension twice")
    for i, j in zip(first, second, strict=True):
        if shape1[i] != shape2[j]:
            raise ShapeError(
                f"tensordot: dimension {i} of shape {shape1} has {shape1[i]} elements, dimension {j} of shape "
                f"{shape2}, with which it is contracted, {shape2[j]}"
            )
    return {"axes": (first, second)}


@lru_cache(maxsize=1024)
def _contraction(ndim1: int, ndim2: int, axes: tuple[Shape, Shape]) -> str:
    """The subscripts of a contraction over pairs of dimensions."""
    a = _letters(ndim1)
    b = list(_letters(ndim2, ndim1))
    for i, j in zip(*axes, strict=True):
        b[j] = a[i]
    out = [c for c in a if c not in b] + [c for c in b if c not in a]
    return f"{a},{''.join(b)}->{''.join(out)}"


@function(
    takes="numeric",
    check=_contraction_axes,
    jvp="multilinear",
    x1=lambda g, xp, x2, x1_shape, axes: _left(g, xp, x2, _contraction(len(x1_shape), len(x2.shape), axes)),
    x2=lambda g, xp, x1, x2_shape, axes: _right(g, xp, x1, _contraction(len(x1.shape), len(x2_shape), axes)),
    samples=[
        Sample((2, 3, 4), (3, 4, 5)),
        Sample((2, 3), (3, 4), axes=1),
        Sample((2, 3), (4,), axes=0),
        Sample((2, 3, 4), (4, 5, 2), axes=((0, 2), (2, 0))),
        Sample((2, 3), (3, 2), axes=((-1,), (0,))),
        Sample((), (2,), axes=0),
        Sample((2, 0), (0, 3), axes=1),
        Fails((2, 3), (4, 3), axes=1, error=ShapeError, match=r"dimension 1 of shape \(2, 3\) has 3 .* \(4, 3\).* 4"),
        Fails((2, 3), (3,), axes=2, error=ShapeError, match="axes=2 takes the last 2 dimensions"),
        Fails((2, 3), (3, 2), axes=((0, 1), (0,)), error=ShapeError, match="2 dimensions of the first and 1 of the"),
        Fails((2, 2), (2, 2), axes=((0, 0), (0, 1)), error=ShapeError, match="name a dimension twice"),
        Fails((2, 3), (3, 2), axes=((2,), (0,)), error=IndexOutOfRangeError, match="axis 2 is out of range"),
        Fails((2, 3), (3, 2), axes=1.5, error=OperandError, match="axes is an integer or a pair.* got 1.5"),
    ],
)
def tensordot(xp: XP, x1: Tensor, x2: Tensor, /, *, axes: Any = 2) -> Tensor:
    """Sum of products over pairs of dimensions, ``axes=((of x1), (of x2))``.

    ``axes=n`` pairs the last ``n`` dimensions of ``x1`` with the first ``n`` of ``x2``. The result has the other
    dimensions of ``x1``, then those of ``x2``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensordot(ad.ones((2, 3, 4)), ad.ones((4, 3, 5)), axes=((1, 2), (1, 0))).shape
    (2, 5)
    """
    return xp.einsum_pair(x1, x2, subscripts=_contraction(len(x1.shape), len(x2.shape), axes))  # type: ignore[no-any-return]


def _inner_fits(a: Shape, b: Shape) -> dict[str, Any]:
    if a and b and a[-1] != b[-1]:
        raise ShapeError(
            f"inner: the last dimensions of shapes {a} and {b} must be equal; they are {a[-1]} and {b[-1]}"
        )
    return {}


def _inner(ndim1: int, ndim2: int) -> str:
    last = ((ndim1 - 1,), (ndim2 - 1,)) if ndim1 and ndim2 else ((), ())
    return _contraction(ndim1, ndim2, last)


@function(
    takes="numeric",
    check=_inner_fits,
    jvp="multilinear",
    x1=lambda g, xp, x2, x1_shape: _left(g, xp, x2, _inner(len(x1_shape), len(x2.shape))),
    x2=lambda g, xp, x1, x2_shape: _right(g, xp, x1, _inner(len(x1.shape), len(x2_shape))),
    samples=[
        Sample((3,), (3,)),
        Sample((2, 3), (4, 3)),
        Sample((), (2, 3)),
        Sample((2, 0), (0,)),
        Fails((2, 3), (4,), error=ShapeError, match=r"inner: the last dimensions .* they are 3 and 4"),
    ],
)
def inner(xp: XP, x1: Tensor, x2: Tensor, /) -> Tensor:
    """Sum of products over the last dimensions: of vectors the dot product, without conjugation.

    The result has the other dimensions of ``x1``, then those of ``x2``. With a 0-d operand it is the product.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.inner(ad.tensor([1.0, 2.0]), ad.tensor([3.0, 4.0]))
    tensor(11.)
    """
    return xp.einsum_pair(x1, x2, subscripts=_inner(len(x1.shape), len(x2.shape)))  # type: ignore[no-any-return]


def _vectors(a: Shape, b: Shape) -> dict[str, Any]:
    if len(a) != 1 or len(b) != 1:
        raise ShapeError(
            f"outer: expected vectors; got shapes {a} and {b}; write x.reshape(-1), or tensordot(x, y, axes=0)"
        )
    return {}


@function(
    takes="numeric",
    check=_vectors,
    jvp="multilinear",
    x1=lambda g, xp, x2: xp.matmul(g, x2),
    x2=lambda g, xp, x1: xp.matmul(x1, g),
    samples=[
        Sample((2,), (3,)),
        Sample((0,), (3,)),
        Fails((2, 2), (3,), error=ShapeError, match=r"outer: expected vectors; got shapes \(2, 2\) and \(3,\)"),
    ],
)
def outer(xp: XP, x1: Tensor, x2: Tensor, /) -> Tensor:
    """Products of each element of one vector with each of another: a matrix.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.outer(ad.tensor([1.0, 2.0]), ad.tensor([3.0, 4.0]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    return x1[:, None] * x2


class _Blocks(NamedTuple):
    """A Kronecker product as a contraction of arrays of one rank, and the shape that joins its pairs of dimensions."""

    subscripts: str
    shape1: Shape
    shape2: Shape
    blocks: Shape  # the dimensions of both, in turn
    joined: Shape


@lru_cache(maxsize=256)
def _blocks(shape1: Shape, shape2: Shape) -> _Blocks:
    ndim = max(len(shape1), len(shape2))
    shape1, shape2 = ((1,) * (ndim - len(s)) + s for s in (shape1, shape2))
    a, b = _letters(ndim), _letters(ndim, ndim)
    out = "".join(c + d for c, d in zip(a, b, strict=True))
    pairs = list(zip(shape1, shape2, strict=True))
    return _Blocks(
        f"{a},{b}->{out}", shape1, shape2, tuple(n for pair in pairs for n in pair), tuple(n * m for n, m in pairs)
    )


def _kron_rule(position: int) -> Any:
    def rule(g: Any, xp: Any, other: Any, shape1: Shape, shape2: Shape) -> Any:
        made = _blocks(shape1, shape2)
        other = xp.reshape(other, shape=made.shape1 if position else made.shape2)
        g = xp.reshape(g, shape=made.blocks)
        g = xp.einsum_pair(g, other, subscripts=_turned(made.subscripts, position))
        return xp.reshape(g, shape=shape2 if position else shape1)

    return rule


_kron_left, _kron_right = _kron_rule(0), _kron_rule(1)


@function(
    takes="numeric",
    jvp="multilinear",
    x1=lambda g, xp, x2, x1_shape: _kron_left(g, xp, x2, x1_shape, x2.shape),
    x2=lambda g, xp, x1, x2_shape: _kron_right(g, xp, x1, x1.shape, x2_shape),
    samples=[
        Sample((2, 3), (2, 2)),
        Sample((2,), (2, 3)),
        Sample((2, 1, 3), (2, 2)),
        Sample((), (2, 3)),
        Sample((2, 0), (3, 2)),
    ],
)
def kron(xp: XP, x1: Tensor, x2: Tensor, /) -> Tensor:
    """Kronecker product: blocks ``x1[i, j] * x2``. Dimensions of length 1 are put before the shorter shape.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.kron(ad.tensor([1, 10]), ad.tensor([[1, 2], [3, 4]]))
    tensor([[ 1,  2, 10, 20],
            [ 3,  4, 30, 40]])
    """
    made = _blocks(x1.shape, x2.shape)
    a, b = xp.reshape(x1, shape=made.shape1), xp.reshape(x2, shape=made.shape2)
    return xp.reshape(xp.einsum_pair(a, b, subscripts=made.subscripts), shape=made.joined)  # type: ignore[no-any-return]


# Of vectors along an axis -------------------------------------------------------------------------------------


def _along(name: str, a: Shape, b: Shape, axis: Any) -> int:
    """The axis of vectors in two shapes, counted from the last; their lengths agree, and the rest broadcasts."""
    if not a or not b:
        raise ShapeError(f"{name}: operands have at least 1 dimension; got shapes {a} and {b}; write x * y")
    rank = min(len(a), len(b))
    if type(axis) is int and axis >= 0 and len(a) != len(b):
        raise IndexOutOfRangeError(
            f"{name}: axis {axis} of shapes {a} and {b} of different ranks; count it from the last, -{rank} to -1"
        )
    last: int = normalize_axis(name, axis, rank) - rank
    if a[last] != b[last]:
        raise ShapeError(
            f"{name}: the vectors of shapes {a} and {b} along axis {axis} have {a[last]} and {b[last]} elements; they "
            f"must have equally many"
        )
    broadcast_shapes(name, [a, b])
    return last


def _at(axis: int, entry: Any) -> Any:
    """Index with an entry at a negative axis."""
    return (..., entry, *[slice(None)] * (-1 - axis))


@function(
    takes="numeric",
    broadcasts=True,
    standard=True,
    wide=True,
    check=lambda a, b, *, axis=-1: {"axis": _along("vecdot", a, b, axis)},
    batching=elementwise,  # axes are counted from the last, and the others broadcast
    jvp="multilinear",
    x1=lambda g, xp, x2, axis: xp.conj(g[_at(axis, None)] * x2),
    x2=lambda g, xp, x1, axis: g[_at(axis, None)] * xp.conj(x1),
    samples=[
        Sample((3,), (3,)),
        Sample((2, 3), (2, 3)),
        Sample((3, 2), (3, 2), axis=0),
        Sample((4, 1, 3), (2, 3)),
        Sample((4, 3, 2), (3, 1), axis=-2),
        Sample((2, 0), (0,)),
        Fails((2, 3), (2, 4), error=ShapeError, match=r"vecdot: the vectors of .* axis -1 have 3 and 4 elements"),
        Fails((2, 3), (1,), error=ShapeError, match="have 3 and 1 elements; they must have equally many"),
        Fails((2, 3), (4, 3), error=ShapeError, match="vecdot: .* do not broadcast"),
        Fails((), (3,), error=ShapeError, match="vecdot: operands have at least 1 dimension"),
        Fails((2, 3), (3,), axis=0, error=IndexOutOfRangeError, match="count it from the last, -1 to -1"),
    ],
)
def vecdot(xp: XP, x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """Dot products of vectors along an axis, of which the first is conjugated: ``sum(conj(x1) * x2)``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.vecdot(ad.tensor([1j, 2j]), ad.tensor([1j, 1j]))
    tensor(3.+0.j)
    """
    return xp.sum(xp.conj(x1) * x2, axis=axis)  # type: ignore[no-any-return]


def _crossed(a: Shape, b: Shape, *, axis: Any = -1) -> dict[str, Any]:
    last = _along("cross", a, b, axis)
    if a[last] != 3:
        raise ShapeError(f"cross: vectors have 3 elements; along axis {axis} of shapes {a} and {b} they have {a[last]}")
    return {"axis": last}


@function(
    takes="numeric",
    broadcasts=True,
    check=_crossed,
    batching=elementwise,
    jvp="multilinear",
    x1=lambda g, xp, x2, axis: xp.cross(x2, g, axis=axis),
    x2=lambda g, xp, x1, axis: xp.cross(g, x1, axis=axis),
    samples=[
        Sample((3,), (3,)),
        Sample((2, 3), (2, 3)),
        Sample((3, 2), (3, 2), axis=0),
        Sample((4, 1, 3), (2, 3)),
        Sample((4, 3, 2), (3, 1), axis=-2),
        Sample((0, 3), (3,)),
        Fails((2, 2), (2, 2), error=ShapeError, match="cross: vectors have 3 elements; .* they have 2"),
        Fails((2, 3), (2, 1), error=ShapeError, match="cross: the vectors of .* have 3 and 1 elements"),
        Fails((3,), (3,), axis=1, error=IndexOutOfRangeError, match="cross: axis 1 is out of range"),
    ],
)
def cross(xp: XP, x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """Cross products of vectors of 3 elements along an axis.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.cross(ad.tensor([1.0, 0.0, 0.0]), ad.tensor([0.0, 1.0, 0.0]))
    tensor([0., 0., 1.])
    """
    a, b = ([x[_at(axis, slice(i, i + 1))] for i in range(3)] for x in (x1, x2))
    parts = [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]
    return xp.concat(parts, axis=axis)  # type: ignore[no-any-return]


# Products that are added to something -------------------------------------------------------------------------


def _scaled(name: str, x: Any, factor: Any) -> Any:
    """``factor * x``; a fraction is no factor of integers."""
    if factor == 1:
        return x
    if isinstance(factor, float) and "int" in str(x.dtype):
        raise DTypeError(
            f"{name}: factors of integer tensors are integers; got {factor}; write x.astype(polyad.float32)"
        )
    return factor * x


def _added(name: str, ranks: tuple[int, int], summed: bool) -> Any:
    """Make the check of ``beta * x + alpha * (x1 @ x2)``; with ``summed`` the product is summed over its stack."""

    def check(x: Shape, a: Shape, b: Shape, *, beta: Any = 1, alpha: Any = 1) -> dict[str, Any]:
        if (len(a), len(b)) != ranks:
            raise ShapeError(
                f"{name}: x1 and x2 have {ranks[0]} and {ranks[1]} dimensions; got shapes {a} and {b}; write "
                f"x + x1 @ x2 for others"
            )
        _fit(a, b, name)
        if ranks[0] == 3 and a[0] != b[0]:
            raise ShapeError(f"{name}: x1 of shape {a} and x2 of shape {b} are stacks of {a[0]} and of {b[0]} matrices")
        product = (*a[:-1], *b[-1:])[1 if summed else 0 :] if len(b) > 1 else a[:-1]
        if broadcast_shapes(name, [x, product]) != product:
            raise ShapeError(f"{name}: x of shape {x} does not broadcast to the product's shape {product}")
        factors = {"beta": beta, "alpha": alpha}
        for key, factor in factors.items():
            if not isinstance(factor, (int, float, complex)):
                raise OperandError(f"{name}: {key} is a number; got {factor!r:.60}")
            if isinstance(factor, float) and factor.is_integer():
                factors[key] = int(factor)
        return factors

    return check


def _adding(name: str, shapes: tuple[Shape, Shape, Shape], words: str, example: str) -> Any:
    """Define one of PyTorch's products that are added to something."""
    of_vector, summed = len(shapes[2]) == 1, name == "addbmm"

    def definition(xp: XP, x: Tensor, x1: Tensor, x2: Tensor, /, *, beta: complex = 1, alpha: complex = 1) -> Tensor:
        product = xp.tensordot(x1, x2, axes=((0, 2), (0, 1))) if summed else xp.matmul(x1, x2)
        product = _scaled(name, product, alpha)
        return product if beta == 0 else _scaled(name, x, beta) + product  # type: ignore[no-any-return]

    def left(g: Any, xp: Any, x2: Any, alpha: Any) -> Any:
        g = alpha * g
        return g[:, None] * x2 if of_vector else xp.matmul(g, x2.mT)

    def right(g: Any, xp: Any, x1: Any, alpha: Any) -> Any:
        return xp.matmul(x1.mT, alpha * g)

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words}, as in PyTorch; ``x`` broadcasts to the product.

    With ``beta=0`` the elements of ``x`` play no part, not even NaN.

    Examples
    --------
    >>> import polyad as ad
    >>> {example}
    """
    return function(
        takes="numeric",
        broadcasts=True,
        check=_added(name, (len(shapes[1]), len(shapes[2])), summed),
        x=lambda g, xp, beta: beta * g if beta else xp.zeros_like(g),
        x1=left,
        x2=right,
        samples=[
            Sample(*shapes),
            Sample(*shapes, beta=0.5, alpha=-2),
            Sample((), *shapes[1:], beta=2.0, name="added to one number"),
            Sample(*shapes, beta=0, name="alone"),
            Fails(
                (),
                shapes[1][:-1],
                shapes[2],
                error=ShapeError,
                match=f"{name}: x1 and x2 have .* dimensions; got shapes",
            ),
            Fails((7,), *shapes[1:], error=ShapeError, match=f"{name}: .* do not broadcast"),
            Fails((2, 2, 2, 2), *shapes[1:], error=ShapeError, match=f"{name}: .* do(es)? not broadcast"),
            Fails(*shapes, alpha="1", error=OperandError, match=f"{name}: alpha is a number; got '1'"),
        ],
    )(definition)


addmm = _adding(
    "addmm",
    ((2, 4), (2, 3), (3, 4)),
    "Matrix product added to ``x``: ``beta * x + alpha * (x1 @ x2)``",
    "ad.addmm(ad.ones(2), ad.eye(2), ad.eye(2), alpha=3)\n    tensor([[4., 1.],\n            [1., 4.]])",
)
addmv = _adding(
    "addmv",
    ((2,), (2, 3), (3,)),
    "Product of a matrix and a vector added to ``x``: ``beta * x + alpha * (x1 @ x2)``",
    "ad.addmv(ad.ones(2), ad.eye(2), ad.tensor([1.0, 2.0]))\n    tensor([2., 3.])",
)
baddbmm = _adding(
    "baddbmm",
    ((5, 2, 4), (5, 2, 3), (5, 3, 4)),
    "Products of stacks of matrices added to ``x``: ``beta * x + alpha * (x1 @ x2)``",
    "ad.baddbmm(ad.zeros(()), ad.ones((5, 2, 3)), ad.ones((5, 3, 4))).shape\n    (5, 2, 4)",
)
addbmm = _adding(
    "addbmm",
    ((2, 4), (5, 2, 3), (5, 3, 4)),
    "Products of stacks of matrices, summed and added to ``x``: ``beta * x + alpha * sum(x1 @ x2)``",
    "ad.addbmm(ad.zeros(()), ad.ones((5, 2, 3)), ad.ones((5, 3, 4)))[0]\n    tensor([15., 15., 15., 15.])",
)


# Einstein summation -------------------------------------------------------------------------------------------


class _Step(NamedTuple):
    """Contract the operands at these positions, which leave the list, and put the result last."""

    positions: tuple[int, ...]
    terms: tuple[str, ...]
    result: str


def _fail(subscripts: str, words: str) -> ShapeError:
    return ShapeError(f"einsum {subscripts!r}: {words}")


def _parsed(subscripts: str, shapes: tuple[Shape, ...]) -> tuple[list[str], str]:
    """Each operand's letters and the result's, with letters for what an ellipsis stands for."""
    text = "".join(subscripts.split())
    inputs, arrow, out = text.partition("->")
    terms = inputs.split(",")
    for term in (*terms, out):
        if not all(c.isascii() and c.isalpha() for c in term.replace("...", "", 1)):
            raise ArgumentError(
                f"einsum {subscripts!r}: expected letters, with commas between the operands' and at most one ellipsis "
                f"in each, such as '...ij,jk->...ik'; got {term!r}"
            )
    if len(terms) != len(shapes):
        raise ArgumentError(f"einsum {subscripts!r}: there are subscripts for {len(terms)} operands; got {len(shapes)}")
    used = set(text)
    spare = [c for c in map(chr, range(0x3B1, 0x3B1 + 64)) if c not in used]  # Greek letters and what follows
    hidden = 0
    for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        named = len(term.replace("...", ""))
        if len(shape) < named or (len(shape) > named and "..." not in term):
            raise _fail(
                subscripts, f"operand {i} has subscripts {term!r} and shape {shape}, of {len(shape)} dimensions"
            )
        if "..." in term:
            hidden = max(hidden, len(shape) - named)
            kept = len(shape) - named
            terms[i] = term.replace("...", "".join(reversed(spare[:kept])))
    ellipsis = "".join(reversed(spare[:hidden]))
    if arrow:
        out = out.replace("...", ellipsis)
    else:
        letters = sorted(c for c in used if c.isalpha())
        out = ellipsis + "".join(c for c in letters if sum(t.count(c) for t in terms) == 1)
    for c in out:
        if out.count(c) > 1:
            raise _fail(subscripts, f"{c!r} stands twice in the result")
        if not any(c in t for t in terms):
            raise _fail(subscripts, f"{c!r} stands in the result and in no operand")
    return terms, out


def _sizes(subscripts: str, terms: Sequence[str], shapes: Sequence[Shape]) -> dict[str, int]:
    """The length that each letter stands for. A dimension of length 1 is repeated, as in broadcasting."""
    found: dict[str, tuple[int, int]] = {}
    for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        own: dict[str, int] = {}
        for c, n in zip(term, shape, strict=True):
            if own.setdefault(c, n) != n:
                raise _fail(subscripts, f"{c!r} stands in operand {i} for lengths {own[c]} and {n}")
            other, m = found.get(c, (i, n))
            if 1 not in (n, m) and n != m:
                what = repr(c) if c.isascii() else "the ellipsis"
                raise _fail(
                    subscripts,
                    f"{what} stands for length {m} in operand {other} and for {n} in operand {i}; lengths must be "
                    f"equal, or 1",
                )
            if c not in found or m == 1:
                found[c] = (i, n)
    return {c: n for c, (_, n) in found.items()}


@lru_cache(maxsize=512)
def _pair_of(subscripts: Any, shape1: Shape, shape2: Shape) -> str | None:
    """The subscripts for `einsum_pair`, if the two operands need nothing else."""
    terms, out = _parsed(subscripts, (shape1, shape2))
    sizes = _sizes(subscripts, terms, (shape1, shape2))
    for position, shape in enumerate((shape1, shape2)):
        term, other = terms[position], terms[1 - position]
        if len(set(term)) != len(term) or any(c not in other and c not in out for c in term):
            return None
        if shape != tuple(sizes[c] for c in term):
            return None
    return f"{terms[0]},{terms[1]}->{out}"


@lru_cache(maxsize=512)
def _steps(subscripts: str, shapes: tuple[Shape, ...], optimize: Any) -> tuple[_Step, ...]:
    """In which order operands are contracted: one or two at a time; the last step gives the result."""
    inputs, _, out = subscripts.partition("->")
    terms = inputs.split(",")
    if len(terms) < 3 or optimize is False:
        path: Any = [(0,)] if len(terms) == 1 else [(0, 1), *[(0, n) for n in range(len(terms) - 2, 0, -1)]]
    else:
        import opt_einsum

        how = "auto" if optimize is True else optimize
        path = opt_einsum.contract_path(subscripts, *shapes, shapes=True, optimize=how)[0]
    steps = []
    for number, chosen in enumerate(path):
        positions = tuple(sorted(chosen, reverse=True))
        if len(positions) > 2:
            raise ArgumentError(f"einsum: a path contracts one or two operands at a time; got {tuple(chosen)}")
        taken = tuple(terms.pop(p) for p in positions)
        needed = set(out).union(*terms)
        result = out if number == len(path) - 1 else "".join(dict.fromkeys(c for t in taken for c in t if c in needed))
        steps.append(_Step(positions, taken, result))
        terms.append(result)
    return tuple(steps)


def _simplified(xp: Any, x: Any, term: str, kept: Any, sizes: dict[str, int]) -> tuple[Any, str]:
    """Take diagonals of repeated letters; sum over those that stand nowhere else, and those that are broadcast."""
    while len(set(term)) < len(term):
        c = next(c for c in term if term.count(c) > 1)
        i = term.index(c)
        j = term.index(c, i + 1)
        x = xp.diagonal(x, offset=0, axis1=i, axis2=j)
        term = term[:i] + term[i + 1 : j] + term[j + 1 :] + c
    gone = tuple(i for i, c in enumerate(term) if c not in kept or x.shape[i] != sizes[c])
    if gone:
        x = xp.sum(x, axis=gone)
    return x, "".join(c for i, c in enumerate(term) if i not in gone)


def _contracted(xp: Any, operands: Sequence[Any], terms: Sequence[str], out: str) -> Any:
    """Contract one or two operands."""
    sizes = _sizes("", terms, [x.shape for x in operands])
    if len(operands) == 1:
        x, term = _simplified(xp, operands[0], terms[0], out, sizes)
        axes = _order(term, out)
        x = x if axes is None else xp.permute_dims(x, axes=axes)
        return x if len(term) < len(set(terms[0])) else xp.clone(x)  # never a view of the operand
    a, first = _simplified(xp, operands[0], terms[0], out + terms[1], sizes)
    b, second = _simplified(xp, operands[1], terms[1], out + first, sizes)
    a, first = _simplified(xp, a, first, out + second, sizes)  # what the second lost by broadcasting
    return xp.einsum_pair(a, b, subscripts=f"{first},{second}->{out}")


def _einsum_checked(*shapes: Shape, subscripts: Any, optimize: Any = True) -> dict[str, Any]:
    terms, out = _parsed(subscripts, shapes)
    _sizes(subscripts, terms, shapes)
    if isinstance(optimize, (list, tuple)):  # a path, which NumPy's einsum_path begins with its own name
        optimize = tuple(tuple(step) for step in optimize if not isinstance(step, str))
    return {"subscripts": f"{','.join(terms)}->{out}", "optimize": optimize}


@function(
    name="einsum",
    takes="numeric",
    check=_einsum_checked,
    samples=[
        Sample((2, 3), (3, 4), subscripts="ij,jk->ik"),
        Sample((2, 3), (3, 4), subscripts="ij,jk"),
        Sample((2, 3), subscripts="ij->ji"),
        Sample((2, 3), subscripts="ij->"),
        Sample((2, 3), subscripts="ij->i"),
        Sample((3, 3), subscripts="ii"),
        Sample((3, 3), subscripts="ii->i"),
        Sample((2, 2, 2), subscripts="iii->i"),
        Sample((3, 2, 3), subscripts="iji->j"),
        Sample((2, 2, 4, 2), (2, 3), subscripts="iiji,ik->jk"),
        Sample((2, 3), (2, 3), subscripts="ij,ij->"),
        Sample((2, 3), (2, 3), subscripts="ij,ij->j"),
        Sample((2,), (3,), subscripts="i,j->ji"),
        Sample((2, 3, 4), (3, 4), subscripts="kij,ij->k"),
        Sample((2, 3, 4), (5,), subscripts="ijk,l->jl"),
        Sample((2, 2, 4, 3), (2, 2, 5, 3), subscripts="bhqd,bhkd->bhqk"),
        Sample((5, 2, 3), (3, 4), subscripts="...ij,jk->...ik"),
        Sample((5, 1, 2, 3), (4, 3, 2), subscripts="...ij,...jk->...ik"),
        Sample((4, 2), (1, 2), subscripts="...i,...i"),
        Sample((2, 3), subscripts="i...->...i"),
        Sample((2, 1), (1, 3), subscripts="ij,ij->ij"),
        Sample((1, 3), (2, 4), subscripts="ij,ik->ijk"),
        Sample((), (2,), subscripts=",i->i"),
        Sample((), subscripts="->"),
        Sample((2, 3), (3, 4), (4, 5), subscripts="ij,jk,kl->il"),
        Sample((2, 3), (3, 4), (4, 5), subscripts="ij,jk,kl->il", optimize=False),
        Sample((2, 3), (3,), (2, 2), (3,), subscripts="ij,j,ik,j->k", optimize="greedy"),
        Sample((2, 0), (0, 3), subscripts=" i j , j k -> i k "),
        Fails(
            (2, 3), (4, 5), subscripts="ij,jk", error=ShapeError, match="'j' .* length 3 in operand 0 and for 4 in op"
        ),
        Fails(
            (2, 3),
            (3, 3),
            subscripts="...,...",
            error=ShapeError,
            match="the ellipsis stands for length 2 .* and for 3",
        ),
        Fails((2, 3), subscripts="ii", error=ShapeError, match="'i' stands in operand 0 for lengths 2 and 3"),
        Fails((2, 3), subscripts="ijk", error=ShapeError, match=r"operand 0 has subscripts 'ijk' and shape \(2, 3\)"),
        Fails((2, 3), subscripts="i", error=ShapeError, match="operand 0 has subscripts 'i'.* of 2 dimensions"),
        Fails((2, 3), subscripts="ij->ik", error=ShapeError, match="'k' stands in the result and in no operand"),
        Fails((2, 3), subscripts="ij->ii", error=ShapeError, match="'i' stands twice in the result"),
        Fails((2, 3), subscripts="ij,jk->ik", error=ArgumentError, match="subscripts for 2 operands; got 1"),
        Fails((2, 3), subscripts="i1->i", error=ArgumentError, match="expected letters.* got 'i1'"),
    ],
)
def _einsum_call(xp: XP, /, *operands: Tensor, subscripts: str, optimize: Any = True) -> Tensor:
    """Sums of products over dimensions with the same letters; see `einsum`."""
    rest = list(operands)
    for step in _steps(subscripts, tuple(x.shape for x in operands), optimize):
        rest.append(_contracted(xp, [rest.pop(p) for p in step.positions], step.terms, step.result))
    return rest[0]


def _spelled(operands: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Subscripts and operands of ``("ij,jk", x, y)``, or of ``(x, [0, 1], y, [1, 2], [0, 2])``."""
    if operands and isinstance(operands[0], str):
        return operands[0], operands[1:]
    if len(operands) < 2 or not isinstance(operands[1], (list, tuple)):
        raise OperandError(
            "einsum: expected subscripts and tensors, einsum('ij,jk->ik', x, y), or tensors each with a list of "
            f"numbers, einsum(x, [0, 1], y, [1, 2]); got {operands[:1]!r:.60}"
        )

    def spell(numbers: Any) -> str:
        return "".join("..." if n is Ellipsis else chr(ord("A") + n if n < 26 else ord("a") + n - 26) for n in numbers)

    pairs = len(operands) // 2
    text = ",".join(spell(operands[2 * i + 1]) for i in range(pairs))
    if len(operands) % 2:
        text += f"->{spell(operands[-1])}"
    return text, operands[: 2 * pairs : 2]


@facade(_einsum_call)
def einsum(*operands: Any, subscripts: str | None = None, optimize: Any = True) -> Tensor:
    """Sums of products over dimensions that are named by letters: ``einsum("ij,jk->ik", x, y)``.

    A letter that does not stand in the result is summed over. One that an operand has twice takes the diagonal. An
    ellipsis stands for dimensions that broadcast, and so does any dimension of length 1. Without ``->`` the result has
    the letters that occur once, in alphabetical order, after the dimensions of an ellipsis.

    Two operands are a product of matrices, transposed where that is fastest. More are contracted two by two, in the
    order that `opt_einsum <https://optimized-einsum.readthedocs.io>`_ finds cheapest.

    Parameters
    ----------
    *operands : str, then Tensor
        The subscripts and a tensor for each; or tensors, each followed by a list of numbers in the place of letters,
        and at the end a list for the result. Of any type but bool.
    subscripts : str, optional
        Where they are not the first argument.
    optimize : bool, str or path
        The order for three operands and more, as `opt_einsum.contract_path` takes it; False from left to right.

    Returns
    -------
    Tensor
        A new one, of the common type.

    Raises
    ------
    ShapeError
        If a letter stands for two lengths, or subscripts do not fit a shape; it names letter, operands and lengths.
    ArgumentError
        If the subscripts cannot be read, or there are not as many operands.
    OperandError
        If an operand is no tensor.
    DTypeError
        For bools. If the types have no common one.

    Notes
    -----
    Differentiable in each operand; the derivative is an einsum of the gradient and the other operands (keeps those).

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> ad.einsum("ij,kj->ik", x, x)
    tensor([[ 5., 11.],
            [11., 25.]])
    >>> ad.einsum("ii", x), ad.einsum(x, [0, 1], [1])
    (tensor(5.), tensor([4., 6.]))
    """
    if subscripts is None:
        subscripts, operands = _spelled(operands)
    if len(operands) == 2 and isinstance(operands[0], Tensor) and isinstance(operands[1], Tensor):
        pair = _pair_of(subscripts, operands[0].shape, operands[1].shape)
        if pair is not None:
            try:
                return einsum_pair(*operands, subscripts=pair)
            except PolyadError:  # the same again below, in this function's name
                pass
    return _einsum_call(*operands, subscripts=subscripts, optimize=optimize)
