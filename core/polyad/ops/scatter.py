"""Reading and adding at index arrays along one axis: take, gather, scatter.

All are made of reading and writing at keys (see `polyad.ops.indexing`): an index along one axis is turned into a place
in the flattened array. PyTorch's functions take the dimension before the index, and so do those of its names here.
"""

from __future__ import annotations

import math
from typing import Any

from ..careful import SCALARS
from ..dispatch import facade, function
from ..errors import ArgumentError, DTypeError, IndexOutOfRangeError, OperandError, ShapeError
from ..function import FUNCTIONS, XP, Fails, Sample
from ..keys import ARRAY, Key, Slice
from ..tensor import Tensor
from .arguments import Shape, normalize_axis
from .conversion import value_for
from .indexing import check_range

__all__ = [
    "argwhere",
    "flatnonzero",
    "gather",
    "index_add",
    "index_copy",
    "index_fill",
    "index_select",
    "masked_scatter",
    "masked_select",
    "put_along_axis",
    "scatter",
    "scatter_add",
    "take",
    "take_along_axis",
]


def _key(shape: Shape, axis: int) -> Key:
    """The key of an index array along one axis, and of everything along those before it."""
    return (*(Slice(0, n, 1) for n in shape[:axis]), ARRAY)


def _indices(name: str, x: Tensor, index: Any, axis: int) -> Tensor:
    """An index array, of integers within the axis: checked where its values can be read without waiting."""
    if not isinstance(index, Tensor):
        raise OperandError(
            f"{name}: the index is a {type(index).__name__}, {index!r:.40}; expected a tensor of integers: write "
            f"polyad.tensor(...) around it"
        )
    if "integer" not in index.dtype.kind:
        raise DTypeError(f"{name}: an index is of integers; got {index.dtype.name}; write index.astype(polyad.int64)")
    check_range(name, index, x.shape, axis)
    return index


# Along one axis, for all that is beside it ---------------------------------------------------------------------


def _taking(x: Shape, indices: Shape, *, axis: Any = None) -> dict[str, Any]:
    if axis is None:
        if len(x) != 1:
            raise ShapeError(
                f"take: axis may be left out for a tensor of one dimension only; got shape {x}; write axis=..., or "
                f"x.reshape(-1) first"
            )
        axis = 0
    return {"axis": normalize_axis("take", axis, len(x))}


@function(
    name="take",
    promotes=(0,),
    standard=True,
    check=_taking,
    x=lambda g, xp, indices, axis, x_shape: xp.index_scatter(g, indices, key=_key(x_shape, axis), shape=x_shape),
    samples=[
        Sample((4,), [0, 2, 0]),
        Sample((3, 4), [1, 1], axis=0),
        Sample((2, 3, 2), [2, 0], axis=1),
        Fails((2, 3), [0], error=ShapeError, match="take: axis may be left out for a tensor of one dimension only"),
        Fails((2, 3), [3], axis=1, error=IndexOutOfRangeError, match="take: an index array has 3, out of range"),
        Fails((2, 3), [0.5], axis=1, error=DTypeError, match="take: an index is of integers; got float32"),
    ],
)
def _take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """Elements at indices along an axis; see `take`."""


@facade(_take)
def take(x: Tensor, indices: Tensor, /, *, axis: int | None = None) -> Tensor:
    """Elements at indices along an axis: ``x[:, indices]`` for axis 1.

    Parameters
    ----------
    x : Tensor
        Of any shape and type.
    indices : Tensor
        Of integers; negative ones count from the end. Repeated ones add up in the gradient.
    axis : int, optional
        Which dimension; may be left out where there is one only.

    Returns
    -------
    Tensor
        Of the shape of ``x``, with that of ``indices`` in place of the axis.

    Raises
    ------
    IndexOutOfRangeError
        If an index, or the axis, is out of range.
    DTypeError
        If indices are no integers.
    ShapeError
        If the axis is missing.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.take(ad.tensor([1.0, 2.0, 3.0]), ad.tensor([2, 0]))
    tensor([3., 1.])
    """
    if isinstance(x, Tensor):
        axis = _taking(x.shape, (), axis=axis)["axis"]
        indices = _indices("take", x, indices, axis)
    return _take(x, indices, axis=axis)  # type: ignore[no-any-return]


def index_select(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """Elements at indices along a dimension: PyTorch's order of the arguments of `take`.

    Parameters
    ----------
    x : Tensor
    dim : int
    index : Tensor
        Of integers.

    Returns
    -------
    Tensor

    Raises
    ------
    IndexOutOfRangeError
        If an index, or the dimension, is out of range.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.index_select(ad.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, ad.tensor([1]))
    tensor([[2.],
            [4.]])
    """
    return take(x, index, axis=dim)


# Along one axis, each its own ---------------------------------------------------------------------------------


def places(xp: Any, indices: Any, axis: int, shape: Shape) -> Any:
    """Where elements that ``indices`` name along one axis stand in the flattened array of ``shape``."""
    n, ndim = shape[axis], len(shape)
    found = xp.where(indices < 0, indices + n, indices) * math.prod(shape[axis + 1 :])
    for d in range(ndim):
        if d != axis:
            counted = xp.arange(indices.shape[d], dtype=indices.dtype) * math.prod(shape[d + 1 :])
            found = found + xp.reshape(counted, tuple(indices.shape[d] if i == d else 1 for i in range(ndim)))
    return xp.reshape(found, (-1,))


def _along(name: str) -> Any:
    def check(x: Shape, indices: Shape, *others: Shape, axis: Any = -1, **more: Any) -> dict[str, Any]:
        axis = normalize_axis(name, axis, len(x))
        if len(indices) != len(x):
            raise ShapeError(f"{name}: the index has as many dimensions as x; got shapes {indices} and {x}")
        for d, (n, m) in enumerate(zip(indices, x, strict=True)):
            if d != axis and n > m:
                raise ShapeError(
                    f"{name}: the index, of shape {indices}, reaches beyond x, of shape {x}, in dimension {d}"
                )
        return {"axis": axis, **more}

    return check


@function(
    name="_add_along_axis",
    takes="numeric",
    promotes=(0,),
    g=lambda g, xp, indices, axis: xp.take_along_axis(g, indices, axis=axis),
    samples=[
        Sample((2, 2), [[0, 0], [1, 2]], axis=1, shape=(2, 3), name="twice in one place"),
        Sample((1, 2), [[0, -1]], axis=0, shape=(3, 2)),
    ],
)
def _add_along_axis(xp: XP, g: Tensor, indices: Tensor, /, *, axis: int, shape: Shape) -> Tensor:
    """Zeros of ``shape`` with ``g`` added at indices along an axis: the transpose of `take_along_axis`."""
    flat = xp.index_scatter(
        xp.reshape(g, (-1,)), places(xp, indices, axis, shape), key=(ARRAY,), shape=(math.prod(shape),)
    )
    return xp.reshape(flat, shape)  # type: ignore[no-any-return]


@function(
    name="take_along_axis",
    promotes=(0,),
    standard=True,
    check=_along("take_along_axis"),
    x=lambda g, xp, indices, axis, x_shape: xp._add_along_axis(g, indices, axis=axis, shape=x_shape),
    samples=[
        Sample((2, 3), [[0, 0], [2, 1]]),
        Sample((3, 2), [[0, -1]], axis=0),
        Sample((4,), [3, 3, 0]),
        Fails((2, 3), [0], error=ShapeError, match="take_along_axis: the index has as many dimensions as x; got"),
        Fails((2, 3), [[3], [0]], error=IndexOutOfRangeError, match="take_along_axis: an index array has 3, out of"),
    ],
)
def _take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """Elements at indices along an axis, others for each place beside it; see `take_along_axis`."""


@facade(_take_along_axis)
def take_along_axis(x: Tensor, indices: Tensor, /, *, axis: int = -1) -> Tensor:
    """Elements at indices along an axis, others for each place beside it: what `argsort` gives puts in order.

    Parameters
    ----------
    x : Tensor
        Of any shape and type.
    indices : Tensor
        Of integers, of as many dimensions as ``x``; beside the axis, lengths are those of ``x`` or broadcast with them.
    axis : int
        Which dimension.

    Returns
    -------
    Tensor
        Of the shape that ``indices`` and, beside the axis, ``x`` broadcast to.

    Raises
    ------
    IndexOutOfRangeError
        If an index, or the axis, is out of range.
    ShapeError
        If shapes do not fit.
    DTypeError
        If indices are no integers.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor([[3.0, 1.0], [2.0, 4.0]])
    >>> ad.take_along_axis(x, ad.argsort(x, axis=1), axis=1)
    tensor([[1., 3.],
            [2., 4.]])
    """
    if isinstance(x, Tensor):
        axis = normalize_axis("take_along_axis", axis, x.ndim)
        indices = _indices("take_along_axis", x, indices, axis)
        if indices.ndim == x.ndim:
            x, indices = _beside(x, indices, axis)
    return _take_along_axis(x, indices, axis=axis)  # type: ignore[no-any-return]


def _beside(x: Tensor, indices: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Broadcast against each other in all dimensions but one."""
    if all(n == m for d, (n, m) in enumerate(zip(x.shape, indices.shape, strict=True)) if d != axis):
        return x, indices
    expand = FUNCTIONS["broadcast_to"].call
    lengths = [max(n, m) if 0 not in (n, m) else 0 for n, m in zip(x.shape, indices.shape, strict=True)]
    wide = [tuple(t.shape[d] if d == axis else n for d, n in enumerate(lengths)) for t in (x, indices)]
    return expand(x, wide[0]), expand(indices, wide[1])


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """Elements at indices along a dimension, others for each place beside it: PyTorch's `take_along_axis`.

    Parameters
    ----------
    x : Tensor
    dim : int
    index : Tensor
        Of integers; may be shorter than ``x`` in other dimensions, which are then read from their start.

    Returns
    -------
    Tensor
        Of the shape of ``index``.

    Raises
    ------
    ShapeError
        If ``index`` has another number of dimensions, or reaches beyond ``x``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.gather(ad.tensor([[1.0, 2.0], [3.0, 4.0]]), 1, ad.tensor([[0, 0], [1, 0]]))
    tensor([[1., 1.],
            [4., 3.]])
    """
    axis = normalize_axis("gather", dim, x.ndim)
    index = _indices("gather", x, index, axis)
    _along("gather")(x.shape, index.shape, axis=axis)
    within = tuple(slice(None) if d == axis else slice(0, n) for d, n in enumerate(index.shape))
    return _take_along_axis(x[within], index, axis=axis)  # type: ignore[no-any-return]


# Writing, out of place ------------------------------------------------------------------------------------------


@function(
    name="_put_along_axis",
    promotes=(0, 1),
    samples=[
        Sample((2, 3), (2, 1), [[2], [0]], axis=1),
        Sample((3, 2), (1, 2), [[0, -1]], axis=0),
    ],
)
def _put_along(xp: XP, x: Tensor, values: Tensor, indices: Tensor, /, *, axis: int) -> Tensor:
    """``x`` with values written at indices along an axis; see `scatter`."""
    at, values = places(xp, indices, axis, x.shape), xp.broadcast_to(values, indices.shape)
    flat = xp.setitem(xp.reshape(x, (-1,)), xp.reshape(values, (-1,)), at, key=(ARRAY,))
    return xp.reshape(flat, x.shape)  # type: ignore[no-any-return]


def _scattered(name: str, x: Tensor, dim: int, index: Tensor, source: Any) -> tuple[int, Tensor, Tensor]:
    """Axis, index and values of a scattering, checked; of a longer source the part that the index covers."""
    axis = normalize_axis(name, dim, x.ndim)
    index = _indices(name, x, index, axis)
    _along(name)(x.shape, index.shape, axis=axis)
    if type(source) in SCALARS or not source.shape:
        return axis, index, FUNCTIONS["broadcast_to"].call(value_for(x, source, name), index.shape)
    if len(source.shape) != index.ndim or any(n < m for n, m in zip(source.shape, index.shape, strict=True)):
        raise ShapeError(
            f"{name}: the source, of shape {source.shape}, is shorter than the index, of shape {index.shape}"
        )
    if source.dtype is not x.dtype:
        raise DTypeError(
            f"{name}: the source is {source.dtype.name}, x {x.dtype.name}; write source.astype(polyad.{x.dtype.name})"
        )
    return axis, index, source[tuple(slice(0, n) for n in index.shape)]


def scatter(x: Tensor, dim: int, index: Tensor, src: Tensor | float) -> Tensor:
    """``x`` with elements of ``src`` written at indices along a dimension: the inverse of `gather`.

    Parameters
    ----------
    x : Tensor
    dim : int
    index : Tensor
        Of integers; of as many dimensions as ``x``. Where one repeats, which element is written is not said.
    src : Tensor or number
        Of the type of ``x``, at least as long as ``index`` in each dimension.

    Returns
    -------
    Tensor
        Of the shape of ``x``.

    Raises
    ------
    ShapeError
        If shapes do not fit.
    DTypeError
        If ``src`` is of another type.
    IndexOutOfRangeError
        If an index is out of range.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.scatter(ad.zeros(2, 3), 1, ad.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    axis, index, src = _scattered("scatter", x, dim, index, src)
    return _put_along(x, src, index, axis=axis)  # type: ignore[no-any-return]


def put_along_axis(x: Tensor, indices: Tensor, values: Tensor | float, axis: int) -> Tensor:
    """``x`` with values written at indices along an axis, out of place; NumPy's function writes into its array.

    Parameters
    ----------
    x : Tensor
    indices : Tensor
        Of integers.
    values : Tensor or number
    axis : int

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If shapes do not fit.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.put_along_axis(ad.zeros(2, 2), ad.tensor([[1], [0]]), 5.0, axis=1)
    tensor([[0., 5.],
            [5., 0.]])
    """
    return scatter(x, axis, indices, values)


def scatter_add(x: Tensor, dim: int, index: Tensor, src: Tensor | float) -> Tensor:
    """``x`` with elements of ``src`` added at indices along a dimension; where an index repeats, all are.

    Parameters
    ----------
    x, dim, index, src
        As for `scatter`.

    Returns
    -------
    Tensor
        Of the shape of ``x``.

    Raises
    ------
    ShapeError
        If shapes do not fit.
    DTypeError
        If ``src`` is of another type.
    IndexOutOfRangeError
        If an index is out of range.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.scatter_add(ad.zeros(3), 0, ad.tensor([0, 0, 2]), ad.tensor([1.0, 2.0, 3.0]))
    tensor([3., 0., 3.])
    """
    axis, index, src = _scattered("scatter_add", x, dim, index, src)
    return x + _add_along_axis(src, index, axis=axis, shape=x.shape)  # type: ignore[no-any-return]


def _selected(name: str, x: Tensor, dim: int, index: Tensor) -> tuple[int, Tensor]:
    axis = normalize_axis(name, dim, x.ndim)
    index = _indices(name, x, index, axis)
    if index.ndim != 1:
        raise ShapeError(f"{name}: the index has one dimension; got shape {index.shape}")
    return axis, index


def _fitting(name: str, x: Tensor, axis: int, index: Tensor, source: Any) -> Tensor:
    """A source that has the shape of what the index selects, and the type of ``x``."""
    wanted = (*x.shape[:axis], len(index), *x.shape[axis + 1 :])
    if not isinstance(source, Tensor) or source.shape != wanted:
        got = source.shape if isinstance(source, Tensor) else repr(source)
        raise ShapeError(f"{name}: the source has shape {got}; expected {wanted}, that of what the index selects")
    if source.dtype is not x.dtype:
        raise DTypeError(
            f"{name}: the source is {source.dtype.name}, x {x.dtype.name}; write source.astype(polyad.{x.dtype.name})"
        )
    return source


def index_add(x: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """``x`` with slices of ``source`` added at indices along a dimension; where an index repeats, all are.

    Parameters
    ----------
    x : Tensor
    dim : int
    index : Tensor
        Of integers and one dimension.
    source : Tensor
        Of the type of ``x``, and its shape but for ``dim``, which is as long as ``index``.
    alpha : number
        What the source is multiplied by.

    Returns
    -------
    Tensor
        Of the shape of ``x``.

    Raises
    ------
    ShapeError
        If shapes do not fit.
    DTypeError
        If ``source`` is of another type.
    IndexOutOfRangeError
        If an index is out of range.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.index_add(ad.zeros(3), 0, ad.tensor([0, 0]), ad.tensor([1.0, 2.0]))
    tensor([3., 0., 0.])
    """
    axis, index = _selected("index_add", x, dim, index)
    source = _fitting("index_add", x, axis, index, source)
    added = FUNCTIONS["index_scatter"].call(source, index, key=_key(x.shape, axis), shape=x.shape)
    return x + (added if alpha == 1 else added * alpha)


def index_copy(x: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """``x`` with slices of ``source`` in place of those at indices along a dimension.

    Parameters
    ----------
    x, dim, index, source
        As for `index_add`.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If shapes do not fit.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.index_copy(ad.zeros(3), 0, ad.tensor([2, 0]), ad.tensor([1.0, 2.0]))
    tensor([2., 0., 1.])
    """
    axis, index = _selected("index_copy", x, dim, index)
    source = _fitting("index_copy", x, axis, index, source)
    return FUNCTIONS["setitem"].call(x, source, index, key=_key(x.shape, axis))  # type: ignore[no-any-return]


def index_fill(x: Tensor, dim: int, index: Tensor, value: Tensor | float) -> Tensor:
    """``x`` with one number in the slices at indices along a dimension.

    Parameters
    ----------
    x : Tensor
    dim : int
    index : Tensor
        Of integers and one dimension.
    value : number or Tensor of no dimensions

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If the index has several dimensions.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.index_fill(ad.zeros(3), 0, ad.tensor([2, 0]), 7)
    tensor([7., 0., 7.])
    """
    axis, index = _selected("index_fill", x, dim, index)
    filled = value_for(x, value, "index_fill")
    return FUNCTIONS["setitem"].call(x, filled, index, key=_key(x.shape, axis))  # type: ignore[no-any-return]


# By masks -------------------------------------------------------------------------------------------------------


def _mask(name: str, x: Tensor, mask: Any) -> Tensor:
    if not isinstance(mask, Tensor) or mask.dtype.name != "bool":
        got = mask.dtype.name if isinstance(mask, Tensor) else type(mask).__name__
        raise DTypeError(f"{name}: a mask is a tensor of bools; got {got}; write for example x > 0")
    return FUNCTIONS["broadcast_to"].call(mask, x.shape)  # type: ignore[no-any-return]


def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """Elements where a mask holds, in row-major order: ``x[mask]``, with a mask that broadcasts.

    Parameters
    ----------
    x : Tensor
    mask : Tensor
        Of bools.

    Returns
    -------
    Tensor
        Of one dimension.

    Raises
    ------
    DTypeError
        If the mask is not of bools.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor([1.0, -2.0, 3.0])
    >>> ad.masked_select(x, x > 0)
    tensor([1., 3.])
    """
    return x[_mask("masked_select", x, mask)]


def masked_scatter(x: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """``x`` with the first elements of ``source`` in place of those where a mask holds, in row-major order.

    Parameters
    ----------
    x : Tensor
    mask : Tensor
        Of bools; broadcasts.
    source : Tensor
        With at least as many elements as the mask selects.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If there are too few.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.zeros(3)
    >>> ad.masked_scatter(x, ad.tensor([True, False, True]), ad.tensor([1.0, 2.0]))
    tensor([1., 0., 2.])
    """
    out = FUNCTIONS["clone"].call(x)
    mask = _mask("masked_scatter", x, mask)
    count = int(FUNCTIONS["sum"].call(mask))
    flat = FUNCTIONS["reshape"].call(source, (-1,))
    if len(flat) < count:
        raise ShapeError(f"masked_scatter: the mask selects {count} elements, and the source has {len(flat)}")
    out[mask] = flat[:count]
    return out  # type: ignore[no-any-return]


def argwhere(x: Tensor) -> Tensor:
    """Indices of the elements other than 0, one row for each.

    Parameters
    ----------
    x : Tensor
        Of one dimension or more.

    Returns
    -------
    Tensor
        Of shape ``(number of elements, x.ndim)`` and type int64.

    Raises
    ------
    ArgumentError
        If ``x`` has no dimensions.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.argwhere(ad.tensor([[0.0, 1.0], [2.0, 0.0]]))
    tensor([[0, 1],
            [1, 0]])
    """
    if not x.ndim:
        raise ArgumentError("argwhere: a tensor of no dimensions has no indices; write bool(x)")
    return FUNCTIONS["stack"].call(list(FUNCTIONS["nonzero"].call(x)), axis=1)  # type: ignore[no-any-return]


def flatnonzero(x: Tensor) -> Tensor:
    """Indices, in the flattened array, of the elements other than 0.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    Tensor
        Of one dimension and type int64.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.flatnonzero(ad.tensor([[0.0, 1.0], [2.0, 0.0]]))
    tensor([1, 2])
    """
    return FUNCTIONS["nonzero"].call(FUNCTIONS["reshape"].call(x, (-1,)))[0]  # type: ignore[no-any-return]
