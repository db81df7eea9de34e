"""Reading and adding at index arrays along one axis: take, gather, scatter.

All are made of reading and writing at keys (see `polyad.ops.indexing`): an index along one axis is turned into a place
in the flattened array. PyTorch's functions take the dimension before the index, and so do those of its names here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from .. import views
from ..batching import along, materialized, to_front
from ..careful import SCALARS
from ..dispatch import facade, function
from ..errors import ArgumentError, DTypeError, IndexOutOfRangeError, OperandError, ShapeError
from ..function import FUNCTIONS, TENSORS, XP, Fails, Function, Sample
from ..grad_mode import recording
from ..keys import ARRAY, Key, Slice
from ..levels import together
from ..operators import require_like
from ..tensor import Tensor
from ..views import node_of, raw
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
    "put",
    "put_along_axis",
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "take",
    "take_along_axis",
]


def _key(shape: Shape, axis: int) -> Key:
    """The key of an index array along one axis, and of everything along those before it."""
    return (*(Slice(0, n, 1) for n in shape[:axis]), ARRAY)


def _integers(name: str, index: Any) -> Tensor:
    """An index array, of integers."""
    if not isinstance(index, Tensor):
        raise OperandError(
            f"{name}: the index is a {type(index).__name__}, {index!r:.40}; expected a tensor of integers: write "
            f"polyad.tensor(...) around it"
        )
    if "integer" not in index.dtype.kind:
        raise DTypeError(f"{name}: an index is of integers; got {index.dtype.name}; write index.astype(polyad.int64)")
    return index


def _indices(name: str, x: Tensor, index: Any, axis: int) -> Tensor:
    """An index array, of integers within the axis: checked where its values can be read without waiting."""
    index = _integers(name, index)
    check_range(name, index, x.shape, axis)
    return index  # type: ignore[no-any-return]


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


def _taken_examples(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    (x, indices), axis = arrays, params["axis"]
    if not batched[1]:
        return made.call(x, indices, axis=axis + 1)
    if not batched[0]:
        reshape = FUNCTIONS["reshape"].call  # the standard takes at one dimension of indices
        found = made.call(x, reshape(indices, (-1,)), axis=axis)
        found = reshape(found, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
        return to_front(found, axis)
    key = _key(x.shape[1:], axis)
    return FUNCTIONS["getitem"].batching(FUNCTIONS["getitem"], size, arrays, batched, {"key": key})  # type: ignore[misc]


@function(
    name="take",
    jvp="linear",
    batching=_taken_examples,
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
    if not isinstance(x, Tensor):
        return _take(x, indices, axis=axis)
    axis = _taking(x.shape, (), axis=axis)["axis"]
    refuses = x._device.backend.refuses_indices and x.numel()
    indices = _integers("take", indices) if refuses else _indices("take", x, indices, axis)
    try:
        return _take(x, indices, axis=axis)
    except IndexError:
        check_range("take", indices, x.shape, axis)  # which says it better
        raise


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


@function(
    name="_places",
    takes="integer",
    gives="int64",
    differentiable=False,
    samples=[Sample([[0, -1], [1, 2]], axis=1, shape=(2, 3)), Sample([[[1], [0]]], axis=1, shape=(3, 2, 4))],
)
def places(xp: XP, indices: Tensor, /, *, axis: int, shape: Shape) -> Tensor:
    """Where elements that indices name along one axis stand in the flattened array of ``shape``; of one dimension."""
    n, indices = shape[axis], xp.astype(indices, xp.int64)
    found = xp.where(indices < 0, indices + n, indices) * math.prod(shape[axis + 1 :])
    for d, length in enumerate(indices.shape):
        if d != axis:
            counted = xp.arange(length, dtype=xp.int64) * math.prod(shape[d + 1 :])
            found = found + xp.reshape(counted, tuple(length if i == d else 1 for i in range(len(shape))))
    return xp.reshape(found, (-1,))  # type: ignore[no-any-return]


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


def picked(xp: Any, x: Any, indices: Any, axis: int) -> Any:
    """Elements at indices along an axis, which in other dimensions may be shorter than ``x``: read from the start."""
    if any(d != axis and n != m for d, (n, m) in enumerate(zip(indices.shape, x.shape, strict=True))):
        x = x[tuple(slice(0, x.shape[d] if d == axis else n) for d, n in enumerate(indices.shape))]
    return xp.take_along_axis(x, indices, axis=axis)


def _along_in(made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    """Of a function with a shape to add into, besides an axis: one dimension more of both is in front."""
    g, indices = materialized(size, arrays, batched)
    return made.call(g, indices, axis=params["axis"] + 1, shape=(size, *params["shape"]))


@function(
    name="_add_along_axis",
    jvp="linear",
    batching=_along_in,
    takes="numeric",
    wide=True,
    promotes=(0,),
    g=lambda g, xp, indices, axis: picked(xp, g, indices, axis),
    samples=[
        Sample((2, 2), [[0, 0], [1, 2]], axis=1, shape=(2, 3), name="twice in one place"),
        Sample((1, 2), [[0, 0]], axis=1, shape=(2, 3), name="fewer rows"),
        Sample((1, 2), [[0, -1]], axis=0, shape=(3, 2)),
    ],
)
def _add_along_axis(xp: XP, g: Tensor, indices: Tensor, /, *, axis: int, shape: Shape) -> Tensor:
    """Zeros of ``shape`` with ``g`` added at indices along an axis: the transpose of `take_along_axis`."""
    flat = xp.index_scatter(
        xp.reshape(g, (-1,)), xp._places(indices, axis=axis, shape=shape), key=(ARRAY,), shape=(math.prod(shape),)
    )
    return xp.reshape(flat, shape)  # type: ignore[no-any-return]


@function(
    name="take_along_axis",
    jvp="linear",
    batching=along("axis"),
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
    return _take_along_axis(x, indices, axis=axis)


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
    return picked(TENSORS, x, index, axis)  # type: ignore[no-any-return]


# Writing, out of place ------------------------------------------------------------------------------------------


def _written(xp: Any, x: Any, values: Any, indices: Any, axis: int) -> Any:
    """``x`` with values, or one number, at indices along an axis."""
    if hasattr(values, "shape"):
        values = xp.reshape(values, (-1,))
    flat = xp.setitem(xp.reshape(x, (-1,)), values, xp._places(indices, axis=axis, shape=x.shape), key=(ARRAY,))
    return xp.reshape(flat, x.shape)


def _kept(g: Any, xp: Any, indices: Any, axis: int) -> Any:
    """The gradient of what was not written over."""
    return xp._put_along_axis(g, xp.zeros_like(indices, dtype=g.dtype), indices, axis=axis)


@function(
    name="_put_along_axis",
    jvp="linear",
    batching=along("axis"),
    promotes=(0, 1),
    x=_kept,
    values=lambda g, xp, indices, axis: picked(xp, g, indices, axis),
    samples=[
        Sample((2, 3), (2, 1), [[2], [0]], axis=1),
        Sample((3, 2), (1, 2), [[0, -1]], axis=0),
        Sample((2, 3), (1, 2), [[2, 0]], axis=1, name="fewer rows"),
    ],
)
def _put_along(xp: XP, x: Tensor, values: Tensor, indices: Tensor, /, *, axis: int) -> Tensor:
    """``x`` with values written at indices along an axis; see `scatter`."""
    return _written(xp, x, values, indices, axis)  # type: ignore[no-any-return]


def _scattered(name: str, x: Tensor, dim: int, index: Tensor, source: Any) -> tuple[int, Tensor, Tensor]:
    """Axis, index and values of a scattering, checked; of a longer source the part that the index covers."""
    axis = normalize_axis(name, dim, x.ndim)
    index = _indices(name, x, index, axis)
    _along(name)(x.shape, index.shape, axis=axis)
    x = together(x, source)
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
    return axis, index, source if source.shape == index.shape else source[tuple(slice(0, n) for n in index.shape)]


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
    return _put_along(x, src, index, axis=axis)


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
    return x + _add_along_axis(src, index, axis=axis, shape=x.shape)


# Reducing -------------------------------------------------------------------------------------------------------


def _by_place(xp: Any, values: Any, at: Any, flat: Any, combine: Any) -> tuple[Any, Any]:
    """For each place in a flat array the values there combined, and whether there are any.

    Sorted by place, the values of one place are a run. In each run prefixes are combined by doubling (Hillis and
    Steele, 1986), so that the result, at the run's end, has derivatives of any order.
    """
    order = xp.argsort(at)
    ranked, values = xp.take(at, order, axis=0), xp.take(values, order, axis=0)
    step, n = 1, values.shape[0]
    while step < n:
        together = xp.where(ranked[step:] == ranked[:-step], combine(values[:-step], values[step:]), values[step:])
        values = xp.concat([values[:step], together], axis=0)
        step *= 2
    every = xp.cumulative_sum(xp.ones_like(flat, dtype=at.dtype), axis=0) - 1
    end = xp.searchsorted(ranked, every, side="right")
    end = xp.where(end > 0, end - 1, 0)
    return xp.take(values, end, axis=0), xp.take(ranked, end, axis=0) == every


def _hits(xp: Any, x: Any, source: Any, indices: Any, out: Any, axis: int, include_self: bool) -> tuple[Any, Any, Any]:
    """Which elements of ``x`` and of the source an extreme is equal to, and among how many it is shared."""
    mine, theirs = x == out, source == picked(xp, out, indices, axis)
    add = {"axis": axis, "shape": x.shape}
    if not include_self:
        mine = mine & (xp._add_along_axis(xp.ones_like(indices), indices, **add) == 0)
    count = xp.astype(mine, indices.dtype) + xp._add_along_axis(xp.astype(theirs, indices.dtype), indices, **add)
    return mine, theirs, xp.where(count == 0, 1, count)


def _of_x(g: Any, xp: Any, x: Any, source: Any, indices: Any, out: Any, axis: int, include_self: bool) -> Any:
    mine, _, count = _hits(xp, x, source, indices, out, axis, include_self)
    return xp.where(mine, g / xp.astype(count, g.dtype), 0)


def _of_source(g: Any, xp: Any, x: Any, source: Any, indices: Any, out: Any, axis: int, include_self: bool) -> Any:
    _, theirs, count = _hits(xp, x, source, indices, out, axis, include_self)
    return xp.where(theirs, picked(xp, g / xp.astype(count, g.dtype), indices, axis), 0)


_REDUCED: Final = [
    Sample((2, 3), (2, 4), [[0, 0, 2, 0], [1, 1, 1, 1]], axis=1, include_self=True),
    Sample((3, 2), (2, 2), [[0, -1], [0, 0]], axis=0, include_self=False),
    Sample((2, 3), (1, 2), [[2, 2]], axis=1, include_self=False, name="fewer rows"),
]


@function(
    name="_extreme_along_axis",
    batching=along("axis"),
    takes="real",
    promotes=(0, 1),
    x=_of_x,
    source=_of_source,
    samples=[Sample(*s.arrays, largest=n % 2 == 0, name=s.name, **s.params) for n, s in enumerate(_REDUCED)],
)
def _extreme_along_axis(
    xp: XP, x: Tensor, source: Tensor, indices: Tensor, /, *, axis: int, largest: bool, include_self: bool
) -> Tensor:
    """The largest or smallest of what is at indices along an axis; see `scatter_reduce`."""
    if not math.prod(indices.shape):
        return xp.positive(x)  # type: ignore[no-any-return]
    choose = xp.maximum if largest else xp.minimum
    flat = xp.reshape(x, (-1,))
    found, there = _by_place(xp, xp.reshape(source, (-1,)), xp._places(indices, axis=axis, shape=x.shape), flat, choose)
    found = xp.where(there, choose(flat, found) if include_self else found, flat)
    return xp.reshape(found, x.shape)  # type: ignore[no-any-return]


@function(
    name="_multiply_along_axis",
    batching=along("axis"),
    takes="numeric",
    wide=True,
    promotes=(0, 1),
    samples=[
        *_REDUCED,
        Sample([2.0, 3.0], [0.0, 5.0, 0.0, 7.0], [0, 0, 1, 1], axis=0, include_self=True, name="0"),
    ],
)
def _multiply_along_axis(
    xp: XP, x: Tensor, source: Tensor, indices: Tensor, /, *, axis: int, include_self: bool
) -> Tensor:
    """The product of what is at indices along an axis; see `scatter_reduce`."""
    if not math.prod(indices.shape):
        return xp.positive(x)  # type: ignore[no-any-return]
    flat = xp.reshape(x, (-1,))
    at = xp._places(indices, axis=axis, shape=x.shape)
    found, there = _by_place(xp, xp.reshape(source, (-1,)), at, flat, lambda a, b: a * b)
    found = xp.where(there, flat * found if include_self else found, flat)
    return xp.reshape(found, x.shape)  # type: ignore[no-any-return]


_REDUCTIONS: Final = ("sum", "prod", "mean", "amax", "amin")


def scatter_reduce(
    x: Tensor, dim: int, index: Tensor, src: Tensor | float, reduce: str, *, include_self: bool = True
) -> Tensor:
    """``x`` with elements of ``src`` at indices along a dimension, and those at the same place, reduced to one.

    Parameters
    ----------
    x, dim, index, src
        As for `scatter`.
    reduce : {"sum", "prod", "mean", "amax", "amin"}
        Of equal ones that are largest or smallest each has the same part of the gradient.
    include_self : bool
        Whether the element of ``x`` itself takes part, where there are others.

    Returns
    -------
    Tensor
        Of the shape of ``x``.

    Raises
    ------
    ArgumentError
        If there is no such reduction.
    ShapeError
        If shapes do not fit.
    DTypeError
        If ``src`` is of another type.
    IndexOutOfRangeError
        If an index is out of range.

    Examples
    --------
    >>> import polyad as ad
    >>> x, i = ad.ones(3), ad.tensor([0, 0, 2])
    >>> ad.scatter_reduce(x, 0, i, ad.tensor([2.0, 3.0, 4.0]), "prod")
    tensor([6., 1., 4.])
    """
    if reduce not in _REDUCTIONS:
        raise ArgumentError(f"scatter_reduce: reduce is one of {', '.join(_REDUCTIONS)}; got {reduce!r}")
    axis, index, src = _scattered("scatter_reduce", x, dim, index, src)
    if reduce == "prod":
        return _multiply_along_axis(x, src, index, axis=axis, include_self=bool(include_self))
    if reduce in ("amax", "amin"):
        largest = reduce == "amax"
        return _extreme_along_axis(x, src, index, axis=axis, largest=largest, include_self=bool(include_self))
    where = FUNCTIONS["where"].call
    count = _add_along_axis(FUNCTIONS["ones_like"].call(index), index, axis=axis, shape=x.shape)
    base = x if include_self else where(count > 0, 0, x)
    total = base + _add_along_axis(src, index, axis=axis, shape=x.shape)
    if reduce == "sum":
        return total
    count = count + 1 if include_self else where(count > 0, count, 1)
    divide = FUNCTIONS["divide" if x.dtype.is_differentiable else "floor_divide"].call
    return divide(total, FUNCTIONS["astype"].call(count, x.dtype))  # type: ignore[no-any-return]


# Along one axis, the same beside it ---------------------------------------------------------------------------


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


@function(
    name="_index_add",
    jvp="linear",
    takes="numeric",
    wide=True,
    prepare=False,
    promotes=(0, 1),
    x=lambda g: g,
    source=lambda g, xp, indices, key: xp.getitem(g, *indices, key=key),
    samples=[
        Sample((3, 4), (2, 4), [0, 0], key=(ARRAY,), name="twice into one row"),
        Sample((2, 3), (2, 1), [-1], key=(Slice(0, 2, 1), ARRAY), name="into a column"),
    ],
)
def _index_add(xp: XP, x: Tensor, source: Tensor, /, *indices: Tensor, key: Key) -> Tensor:
    """``x`` with a source added at a key; see `index_add`."""
    return x + xp.index_scatter(source, *indices, key=key, shape=x.shape)  # type: ignore[no-any-return]


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
    return _index_add(x, source if alpha == 1 else source * alpha, index, key=_key(x.shape, axis))


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
    x = together(x, value)
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
    mask = _mask("masked_scatter", x, mask)
    if not isinstance(source, Tensor) or source.dtype is not x.dtype:
        got = source.dtype.name if isinstance(source, Tensor) else type(source).__name__
        raise DTypeError(f"masked_scatter: expected a source of {x.dtype.name}; got {got}")
    if source.numel() < mask.numel():  # otherwise there are enough, whatever the mask
        count = int(FUNCTIONS["sum"].call(mask))
        if source.numel() < count:
            raise ShapeError(f"masked_scatter: the mask selects {count} elements, and the source has {source.numel()}")
    return _masked_scatter(x, mask, source)


@function(
    name="_masked_scatter",
    promotes=(0, 2),
    samples=[
        Sample((3,), [True, False, True], (2,)),
        Sample((2, 2), [[True, False], [True, True]], (5,)),
        Sample((3,), [False, False, False], (0,), name="nothing"),
    ],
)
def _masked_scatter(xp: XP, x: Tensor, mask: Tensor, source: Tensor, /) -> Tensor:
    """``x`` with elements of ``source`` where a mask holds; see `masked_scatter`."""
    if not math.prod(source.shape):
        return xp.positive(x)  # type: ignore[no-any-return]
    chosen = xp.reshape(mask, (-1,))
    number = xp.cumulative_sum(xp.astype(chosen, xp.int64), axis=0) - 1
    found = xp.take(xp.reshape(source, (-1,)), xp.where(chosen, number, 0), axis=0)
    return xp.where(mask, xp.reshape(found, x.shape), x)  # type: ignore[no-any-return]


def put(x: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """``x`` with elements of ``source`` at indices into the flattened array, or added there.

    NumPy's function of this name writes into its array, as the method ``put_`` does.

    Parameters
    ----------
    x : Tensor
    index : Tensor
        Of integers.
    source : Tensor
        Of the type of ``x``, with as many elements as ``index``.
    accumulate : bool
        Whether to add, rather than to replace.

    Returns
    -------
    Tensor
        Of the shape of ``x``.

    Raises
    ------
    ShapeError
        If there are more indices than elements, or fewer.
    IndexOutOfRangeError
        If an index is out of range.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.put(ad.zeros(2, 2), ad.tensor([1, 2]), ad.tensor([5.0, 6.0]))
    tensor([[0., 5.],
            [6., 0.]])
    """
    reshape = FUNCTIONS["reshape"].call
    flat, index, source = (reshape(t, (-1,)) for t in (x, index, source))
    write = index_add if accumulate else index_copy
    return reshape(write(flat, 0, index, source), x.shape)  # type: ignore[no-any-return]


# In place -------------------------------------------------------------------------------------------------------


def _writing(compute: Any) -> Any:
    """Make the method that writes a function's result into its first operand."""
    name = f"{compute.__name__}_"

    def method(self: Tensor, *args: Any, **params: Any) -> Tensor:
        views.check_write(self, name)
        # what rules keep of the operand outlives the write
        before = FUNCTIONS["clone"].call(self) if recording() and node_of(self) is not None else self
        result = compute(before, *args, **params)
        require_like(name, self, result)
        views.write(self, raw(result), node_of(result), name)
        return self

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"Write the result of `polyad.{compute.__name__}` into the tensor, in place; returns the tensor."
    return method


def _in_place() -> dict[str, Any]:
    written = (scatter, scatter_add, scatter_reduce, index_add, index_copy, index_fill, masked_scatter, put)
    return {f"{f.__name__}_": _writing(f) for f in written}


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
        raise ArgumentError("argwhere: a tensor of no dimensions has no indices; write bool(x), or x.reshape(1)")
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


METHODS: Final = {**{name: globals()[name] for name in __all__}, **_in_place()}
"""What tensors have of these functions."""
