"""Diagonals and triangles of matrices.

A diagonal of a matrix is a slice of its elements in row-major order, with one more than a row for a step. So reading
one, writing one and embedding one are the functions on keys, the same on every backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..batching import along as along_axes, stacked
from ..dispatch import facade, function
from ..errors import IndexOutOfRangeError, OperandError, ShapeError
from ..function import XP, Fails, Sample
from ..keys import Key, Slice, along
from ..layouts import Layout
from ..tensor import Tensor
from ..views import View
from .arguments import Shape, as_integer, normalize_axis
from .conversion import value_for
from .creation import arange, ones
from .indexing import nonzero
from .manipulation import inverse
from .placement import DeviceLike

__all__ = [
    "block_diag",
    "diag",
    "diag_embed",
    "diagflat",
    "diagonal",
    "tril",
    "tril_indices",
    "triu",
    "triu_indices",
    "vander",
]


# Reading and writing a diagonal -------------------------------------------------------------------------------


def _key(shape: Shape, offset: int) -> Key:
    """The key of a diagonal in matrices, the last two dimensions of ``shape``, of which each is taken as one row."""
    *batch, rows, columns = shape
    length = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    start = offset if offset >= 0 else -offset * columns
    place = Slice(start, length, columns + 1) if length else Slice(0, 0, 1)
    return (*(Slice(0, n, 1) for n in batch), place)


def _order(ndim: int, axis1: int, axis2: int) -> Shape:
    """The order of dimensions that puts two of them last."""
    return (*(i for i in range(ndim) if i not in (axis1, axis2)), axis1, axis2)


def _permuted(shape: Shape, order: Shape) -> Shape:
    return tuple(shape[i] for i in order)


def _rows(xp: Any, x: Any, order: Shape) -> Any:
    """Matrices along the last two dimensions of an order, each as one row."""
    *batch, rows, columns = _permuted(x.shape, order)
    return xp.reshape(xp.permute_dims(x, axes=order), (*batch, rows * columns))


def _matrices(xp: Any, rows: Any, shape: Shape, order: Shape) -> Any:
    """Undo `_rows`: rows as matrices of a tensor of ``shape``."""
    return xp.permute_dims(xp.reshape(rows, _permuted(shape, order)), axes=inverse(order))


def _read(xp: Any, x: Any, offset: int, axis1: int, axis2: int) -> Any:
    """A diagonal, as a new array."""
    order = _order(len(x.shape), axis1, axis2)
    return xp.getitem(_rows(xp, x, order), key=_key(_permuted(x.shape, order), offset))


def embed(xp: Any, x: Any, shape: Shape, offset: int, axis1: int, axis2: int) -> Any:
    """Zeros of ``shape`` with ``x`` on a diagonal: the transpose of reading it."""
    order = _order(len(shape), axis1, axis2)
    *batch, rows, columns = turned = _permuted(shape, order)
    made = xp.index_scatter(x, key=_key(turned, offset), shape=(*batch, rows * columns))
    return _matrices(xp, made, shape, order)


def _put(xp: Any, base: Any, new: Any, *, offset: int, axis1: int, axis2: int) -> Any:
    """``base`` with a diagonal replaced."""
    shape = tuple(base.shape)
    order = _order(len(shape), axis1, axis2)
    made = xp.setitem(_rows(xp, base, order), new, key=_key(_permuted(shape, order), offset))
    return _matrices(xp, made, shape, order)


def _layout(x: Layout, *, offset: int, axis1: int, axis2: int) -> Layout:
    shape, strides, start = x
    order = _order(len(shape), axis1, axis2)[:-2]
    rows, columns = shape[axis1] - max(-offset, 0), shape[axis2] - max(offset, 0)
    first = max(-offset, 0) * strides[axis1] + max(offset, 0) * strides[axis2]
    length = max(0, min(rows, columns))
    return Layout(
        (*_permuted(shape, order), length),
        (*_permuted(strides, order), strides[axis1] + strides[axis2]),
        start + first if length else start,
    )


def _plane(name: str, ndim: int, axis1: Any, axis2: Any, words: str = "axis1 and axis2") -> tuple[int, int]:
    """Two different dimensions."""
    first, second = normalize_axis(name, axis1, ndim), normalize_axis(name, axis2, ndim)
    if first == second:
        raise ShapeError(f"{name}: {words} must be two different dimensions; got {axis1} and {axis2} of {ndim}")
    return first, second


def _diagonal_of(name: str, shape: Shape) -> None:
    if len(shape) < 2:
        raise ShapeError(f"{name}: expected at least 2 dimensions, those of matrices; got shape {shape}")


def _checked(shape: Shape, *, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> dict[str, Any]:
    _diagonal_of("diagonal", shape)
    first, second = _plane("diagonal", len(shape), axis1, axis2)
    return {"offset": as_integer("diagonal", "offset", offset), "axis1": first, "axis2": second}


@function(
    name="diagonal",
    check=_checked,
    jvp="linear",
    batching=along_axes("axis1", "axis2"),
    standard=True,
    view=View(_put, _layout),
    x=lambda g, xp, x_shape, offset, axis1, axis2: embed(xp, g, x_shape, offset, axis1, axis2),
    samples=[
        Sample((3, 3)),
        Sample((3, 4), offset=1),
        Sample((4, 2), offset=-2),
        Sample((2, 3, 4), offset=1, axis1=2, axis2=0),
        Sample((2, 3, 3), axis1=-2, axis2=-1),
        Sample((3, 4), offset=5),
        Sample((0, 3)),
        Fails((3,), error=ShapeError, match=r"diagonal: expected at least 2 dimensions.* got shape \(3,\)"),
        Fails((3, 3), axis1=1, error=ShapeError, match="diagonal: axis1 and axis2 must be two different dimensions"),
        Fails((3, 3), axis2=2, error=IndexOutOfRangeError, match="diagonal: axis 2 is out of range"),
        Fails((3, 3), offset=0.5, error=OperandError, match="diagonal: offset must be an integer; got 0.5"),
    ],
)
def _diagonal(xp: XP, x: Tensor, /, *, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The elements of a diagonal; see `diagonal`."""
    return _read(xp, x, offset, axis1, axis2)  # type: ignore[no-any-return]


@facade(_diagonal)
def diagonal(
    x: Tensor, /, offset: int = 0, axis1: int = 0, axis2: int = 1, *, dim1: int | None = None, dim2: int | None = None
) -> Tensor:
    """The elements of a diagonal, as the last dimension of the result. A view.

    As in NumPy and PyTorch, of the first two dimensions; the standard's ``linalg.diagonal`` is that of the last two.

    Parameters
    ----------
    x : Tensor
        Of at least 2 dimensions.
    offset : int
        Which diagonal: above the main one if positive, below it if negative.
    axis1, axis2 : int
        Rows and columns of the matrices; ``dim1`` and ``dim2`` in PyTorch.

    Returns
    -------
    Tensor
        The shape of ``x`` without the two dimensions, then the length of the diagonal. Shares the memory of ``x``.

    Raises
    ------
    ShapeError
        If there are fewer than 2 dimensions, or ``axis1`` is ``axis2``.
    IndexOutOfRangeError
        If there is no such dimension.

    Notes
    -----
    Differentiable in ``x`` (keeps no array).

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.zeros((2, 3))
    >>> _ = x.diagonal(1).fill_(5)
    >>> x
    tensor([[0., 5., 0.],
            [0., 0., 5.]])
    """
    axis1, axis2 = axis1 if dim1 is None else dim1, axis2 if dim2 is None else dim2
    return _diagonal(x, offset=offset, axis1=axis1, axis2=axis2)


def linalg_diagonal(x: Tensor, /, *, offset: int = 0) -> Tensor:
    """The elements of a diagonal of matrices, the last two dimensions. A view.

    Parameters
    ----------
    x : Tensor
        Of shape ``(..., M, N)``.
    offset : int
        Which diagonal: above the main one if positive, below it if negative.

    Returns
    -------
    Tensor
        Of shape ``(..., length)``. Shares the memory of ``x``.

    Raises
    ------
    ShapeError
        If there are fewer than 2 dimensions.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.diagonal(ad.ones((5, 2, 3))).shape
    (5, 2)
    """
    return _diagonal(x, offset=offset, axis1=-2, axis2=-1)


linalg_diagonal.__name__ = linalg_diagonal.__qualname__ = "diagonal"


def fill_diagonal_(x: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Write a number on the main diagonal, in place: PyTorch's method, and NumPy's ``fill_diagonal``.

    Parameters
    ----------
    x : Tensor
        Of at least 2 dimensions; of more than 2 they have one length, and elements ``x[i, i, ..., i]`` are written.
    fill_value : number or 0-d Tensor
    wrap : bool
        Whether in a matrix with more rows than columns the diagonal begins again below the last column.

    Returns
    -------
    Tensor
        Itself.

    Raises
    ------
    ShapeError
        If there are fewer than 2 dimensions, or more of different lengths.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.zeros((2, 3)).fill_diagonal_(7)
    tensor([[7., 0., 0.],
            [0., 7., 0.]])
    """
    shape = x.shape
    _diagonal_of("fill_diagonal_", shape)
    if len(shape) > 2 and len(set(shape)) > 1:
        raise ShapeError(f"fill_diagonal_: of more than 2 dimensions all must have one length; got shape {shape}")
    value = value_for(x, fill_value, "fill_diagonal_")
    if len(shape) > 2:
        index = arange(shape[0], device=x.device)
        x[(index,) * len(shape)] = value
    elif wrap and shape[0] > shape[1] + 1:
        rows = arange(shape[0], device=x.device)
        columns = rows % (shape[1] + 1)
        inside = columns < shape[1]
        x[rows[inside], columns[inside]] = value
    else:
        diagonal(x).copy_(value)
    return x


# Matrices from diagonals --------------------------------------------------------------------------------------


def _embedded(shape: Shape, *, offset: Any = 0, dim1: Any = -2, dim2: Any = -1) -> dict[str, Any]:
    if not shape:
        raise ShapeError("diag_embed: expected at least 1 dimension, that of the diagonal; got a 0-d tensor")
    first, second = _plane("diag_embed", len(shape) + 1, dim1, dim2, "dim1 and dim2")
    return {"offset": as_integer("diag_embed", "offset", offset), "dim1": first, "dim2": second}


@function(
    check=_embedded,
    jvp="linear",
    batching=along_axes("dim1", "dim2"),
    x=lambda g, xp, offset, dim1, dim2: _read(xp, g, offset, dim1, dim2),
    samples=[
        Sample((3,)),
        Sample((2, 3), offset=1),
        Sample((2, 3), offset=-2, dim1=0, dim2=2),
        Sample((2, 3), offset=1, dim1=2, dim2=0),
        Sample((2, 0)),
        Fails((), error=ShapeError, match="diag_embed: expected at least 1 dimension"),
        Fails((3,), dim1=1, dim2=1, error=ShapeError, match="diag_embed: dim1 and dim2 must be two different dim"),
        Fails((3,), dim2=2, error=IndexOutOfRangeError, match="diag_embed: axis 2 is out of range"),
    ],
)
def diag_embed(xp: XP, x: Tensor, /, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Square matrices with the last dimension of ``x`` on a diagonal and zeros elsewhere, as in PyTorch.

    ``dim1`` and ``dim2`` are where rows and columns stand in the result.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.diag_embed(ad.tensor([1, 2]), offset=1)
    tensor([[0, 1, 0],
            [0, 0, 2],
            [0, 0, 0]])
    """
    side = x.shape[-1] + abs(offset)
    rest = iter(x.shape[:-1])
    shape = tuple(side if i in (dim1, dim2) else next(rest) for i in range(len(x.shape) + 1))
    return embed(xp, x, shape, offset, dim1, dim2)  # type: ignore[no-any-return]


def _diag_checked(shape: Shape, *, k: Any = 0) -> dict[str, Any]:
    if len(shape) not in (1, 2):
        raise ShapeError(
            f"diag: expected a vector or a matrix; got shape {shape}; write diag_embed(x) or diagonal(x) for stacks"
        )
    return {"k": as_integer("diag", "k", k)}


@function(
    check=_diag_checked,
    jvp="linear",
    x=lambda g, xp, x_shape, k: _read(xp, g, k, 0, 1) if len(x_shape) == 1 else embed(xp, g, x_shape, k, 0, 1),
    samples=[
        Sample((3,)),
        Sample((3,), k=1),
        Sample((0,), k=-1),
        Sample((3, 4)),
        Sample((3, 4), k=-1),
        Sample((2, 2), k=4),
        Fails((2, 2, 2), error=ShapeError, match=r"diag: expected a vector or a matrix; got shape \(2, 2, 2\)"),
        Fails((3,), k=1.5, error=OperandError, match="diag: k must be an integer; got 1.5"),
    ],
)
def diag(xp: XP, x: Tensor, /, k: int = 0) -> Tensor:
    """Of a vector the matrix that has it on diagonal ``k``; of a matrix the vector on its diagonal ``k``. A copy.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.diag(ad.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    >>> ad.diag(ad.tensor([[1, 2], [3, 4]]), 1)
    tensor([2])
    """
    if len(x.shape) == 2:
        return _read(xp, x, k, 0, 1)  # type: ignore[no-any-return]
    side = x.shape[0] + abs(k)
    return embed(xp, x, (side, side), k, 0, 1)  # type: ignore[no-any-return]


@function(
    check=lambda shape, *, k=0: {"k": as_integer("diagflat", "k", k)},
    samples=[
        Sample((2, 2)),
        Sample((3,), k=-1),
        Sample(()),
        Fails((3,), k=None, error=OperandError, match="diagflat: k must be an integer; got None"),
    ],
)
def diagflat(xp: XP, x: Tensor, /, k: int = 0) -> Tensor:
    """The matrix that has the elements of ``x``, in row-major order, on diagonal ``k``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.diagflat(ad.tensor([[1], [2]]))
    tensor([[1, 0],
            [0, 2]])
    """
    return xp.diag(xp.reshape(x, (-1,)), k=k)  # type: ignore[no-any-return]


def _blocks(shapes: Any) -> list[tuple[int, int]]:
    """Shapes as those of matrices: a vector is one row."""
    return [(1,) * (2 - len(s)) + tuple(s) for s in shapes]


def _block_checked(*shapes: Shape) -> dict[str, Any]:
    for s in shapes:
        if len(s) > 2:
            raise ShapeError(f"block_diag: expected matrices, vectors or numbers; got shape {s}")
    return {}


def _block_key(shapes: Any, position: int) -> tuple[Slice, Slice]:
    sizes = _blocks(shapes)
    row, column = (sum(s[i] for s in sizes[:position]) for i in (0, 1))
    rows, columns = sizes[position]
    return Slice(row, rows, 1), Slice(column, columns, 1)


def _block_rule(g: Any, xp: Any, position: int, arrays_shapes: Any) -> Any:
    return xp.reshape(xp.getitem(g, key=_block_key(arrays_shapes, position)), arrays_shapes[position])


@function(
    check=_block_checked,
    jvp="linear",
    arrays=_block_rule,
    samples=[
        Sample((2, 3), (1, 2)),
        Sample((2, 2), (3,), ()),
        Sample((2, 0), (1, 2)),
        Sample((2, 2)),
        Fails((2, 2), (1, 1, 1), error=ShapeError, match=r"block_diag: expected matrices.*; got shape \(1, 1, 1\)"),
    ],
)
def block_diag(xp: XP, /, *arrays: Tensor) -> Tensor:
    """The matrix with matrices one after another along its diagonal, and zeros elsewhere, as in PyTorch and SciPy.

    A vector counts as one row.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.block_diag(ad.tensor([[1, 2], [3, 4]]), ad.tensor([5]))
    tensor([[1, 2, 0],
            [3, 4, 0],
            [0, 0, 5]])
    """
    sizes = _blocks([x.shape for x in arrays])
    width = sum(columns for _, columns in sizes)
    bands = []
    for position, (x, (rows, columns)) in enumerate(zip(arrays, sizes, strict=True)):
        key = (Slice(0, rows, 1), _block_key(sizes, position)[1])
        bands.append(xp.index_scatter(xp.reshape(x, (rows, columns)), key=key, shape=(rows, width)))
    return xp.concat(bands, axis=0)  # type: ignore[no-any-return]


# Triangles ----------------------------------------------------------------------------------------------------


def _triangle(name: str, words: str, others: str, example: str) -> Any:
    def check(shape: Shape, *, k: Any = 0) -> dict[str, Any]:
        _diagonal_of(name, shape)
        return {"k": as_integer(name, "k", k)}

    def definition(x: Tensor, /, *, k: int = 0) -> Tensor:
        pass

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words} triangle of matrices, the last two dimensions: elements {others} are 0.

    ``k`` is the last diagonal that stays; positive ones are above the main diagonal, which is 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.ones((3, 3), dtype=ad.int64))
    {example}
    """

    def rule(g: Any, xp: Any, k: int) -> Any:
        return getattr(xp, name)(g, k=k)

    samples = [
        Sample((3, 3)),
        Sample((2, 3, 4), k=1),
        Sample((4, 3), k=-2),
        Sample((2, 3), k=7),
        Sample((0, 3)),
        Fails((3,), error=ShapeError, match=rf"{name}: expected at least 2 dimensions.* got shape \(3,\)"),
        Fails((3, 3), k=0.5, error=OperandError, match=f"{name}: k must be an integer; got 0.5"),
    ]
    return function(check=check, standard=True, jvp="linear", batching=stacked(2), x=rule, samples=samples)(definition)


tril = _triangle(
    "tril", "Lower", "above diagonal ``k``", "tensor([[1, 0, 0],\n            [1, 1, 0],\n            [1, 1, 1]])"
)
triu = _triangle(
    "triu", "Upper", "below diagonal ``k``", "tensor([[1, 1, 1],\n            [0, 1, 1],\n            [0, 0, 1]])"
)


def _indices(name: str, triangle: Any, words: str, example: str) -> Callable[..., tuple[Tensor, Tensor]]:
    def indices(n: int, /, *more: Any, k: int = 0, m: int | None = None, device: DeviceLike = None) -> Any:
        if more:
            raise OperandError(
                f"{name}: only the number of rows goes by position, since NumPy has k second and PyTorch the number "
                f"of columns; write {name}({n}, m={more[0]}) for the columns, {name}({n}, k={more[0]}) for the diagonal"
            )
        rows, columns = as_integer(name, "n", n), as_integer(name, "m", n if m is None else m)
        return nonzero(triangle(ones((rows, columns), dtype="bool", device=device), k=k))

    indices.__name__ = indices.__qualname__ = name
    indices.__doc__ = f"""Rows and columns of the elements of a matrix's {words} triangle, in row-major order.

    Parameters
    ----------
    n : int
        Number of rows.
    k : int
        The last diagonal that belongs to it.
    m : int, optional
        Number of columns; as many as rows by default.
    device : Device or str, optional

    Returns
    -------
    tuple of Tensor
        Two vectors of int64, with which a matrix can be indexed.

    Raises
    ------
    OperandError
        If more than ``n`` is given by position.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(2)
    {example}
    """
    return indices


tril_indices = _indices("tril_indices", tril, "lower", "(tensor([0, 1, 1]), tensor([0, 0, 1]))")
triu_indices = _indices("triu_indices", triu, "upper", "(tensor([0, 0, 1]), tensor([0, 1, 1]))")


def _vander_checked(shape: Shape, *, N: Any = None, increasing: Any = False) -> dict[str, Any]:
    if len(shape) != 1:
        raise ShapeError(f"vander: expected a vector; got shape {shape}; write linalg.vander(x) for stacks of them")
    columns = shape[0] if N is None else as_integer("vander", "N", N)
    if columns < 0:
        raise ShapeError(f"vander: N, the number of columns, must not be negative; got {columns}")
    return {"N": columns, "increasing": bool(increasing)}


@function(
    takes="numeric",
    check=_vander_checked,
    samples=[
        Sample((3,)),
        Sample((3,), N=4, increasing=True),
        Sample([0.0, 2.0, -1.0], N=3),
        Sample((2,), N=1),
        Sample((2,), N=0),
        Sample((0,), N=2),
        Fails((2, 2), error=ShapeError, match=r"vander: expected a vector; got shape \(2, 2\)"),
        Fails((2,), N=-1, error=ShapeError, match="vander: N, the number of columns, must not be negative; got -1"),
    ],
)
def vander(xp: XP, x: Tensor, /, N: int | None = None, increasing: bool = False) -> Tensor:
    """The Vandermonde matrix of a vector: its powers as columns, from the highest down, or ``increasing``.

    ``N`` is the number of columns, that of elements by default.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.vander(ad.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [4, 2, 1],
            [9, 3, 1]])
    """
    columns: int = N  # type: ignore[assignment]
    power = xp.reshape(x, (-1, 1))
    made = xp.ones_like(power)
    while (have := made.shape[1]) < columns:  # twice as many powers in each round; `power` is x**have
        first = xp.getitem(made, key=along(made.shape, 1, 0, min(have, columns - have)))
        made = xp.concat([made, first * power], axis=1)
        power = power * power if 2 * have < columns else power
    if not columns:
        made = xp.getitem(made, key=along(made.shape, 1, 0, 0))
    return made if increasing else xp.flip(made, axis=(1,))  # type: ignore[no-any-return]
