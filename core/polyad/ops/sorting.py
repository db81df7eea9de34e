"""Order: sorting, ranking, searching in sorted arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..batching import along, in_front
from ..dispatch import facade, function
from ..errors import ArgumentError, DTypeError, IndexOutOfRangeError, OperandError, ShapeError
from ..function import FUNCTIONS, XP, Fails, Function, Sample
from ..keys import cut
from ..tensor import Tensor
from .arguments import Shape, normalize_axis
from .scatter import take, take_along_axis

__all__ = [
    "argsort",
    "bucketize",
    "digitize",
    "kthvalue",
    "lexsort",
    "msort",
    "searchsorted",
    "sort",
    "topk",
]


def _sorting(name: str) -> Any:
    def check(shape: Shape, *, axis: Any = -1, descending: Any = False, stable: Any = True) -> dict[str, Any]:
        axis = normalize_axis(name, axis, len(shape))
        return {"axis": axis, "descending": bool(descending), "stable": bool(stable)}

    return check


def _samples(name: str) -> list[Sample]:
    return [
        Sample((5,)),
        Sample((3, 4), axis=0),
        Sample((3, 4), axis=-1, descending=True),
        Sample((2, 0), axis=1),
        Sample([2.0, 1.0, 2.0, 1.0], name="equal ones", grad=False),
        Sample([2.0, 1.0, 2.0, 1.0], descending=True, name="equal ones, descending", grad=False),
        Fails((2, 3), axis=2, error=IndexOutOfRangeError, match="axis 2 is out of range"),
        Fails([1j, 2.0], error=DTypeError, match=f"{name} takes real or bool arrays; got complex"),
    ]


def _sort_rule(g: Any, xp: Any, x: Any, axis: int, descending: bool) -> Any:
    order = xp.argsort(x, axis=axis, descending=descending, stable=True)
    return xp._add_along_axis(g, order, axis=axis, shape=x.shape)


def _sort_jvp(xp: Any, tangents: Any, out: Any, x: Any, axis: int, descending: bool, stable: bool) -> Any:
    return xp.take_along_axis(tangents[0], xp.argsort(x, axis=axis, descending=descending), axis=axis)


@function(
    takes="real or bool",
    check=_sorting("sort"),
    standard=True,
    jvp=_sort_jvp,
    batching=along("axis"),
    x=_sort_rule,
    samples=_samples("sort"),
)
def sort(xp: XP, x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Elements in order along an axis. NaN counts as larger than every number.

    The gradient goes to the elements' places. PyTorch's function gives the indices too: see `topk` and `argsort`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.sort(ad.tensor([3.0, 1.0, 2.0]), descending=True)
    tensor([3., 2., 1.])
    """
    order = xp.argsort(x, axis=axis, descending=descending, stable=stable)
    return xp.take_along_axis(x, order, axis=axis)  # type: ignore[no-any-return]


@function(
    takes="real or bool",
    gives="int64",
    check=_sorting("argsort"),
    batching=along("axis"),
    standard=True,
    differentiable=False,
    samples=_samples("argsort"),
)
def argsort(x: Tensor, /, *, axis: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Indices that put elements in order along an axis. Equal ones keep their order, also when descending.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.argsort(ad.tensor([3.0, 1.0, 2.0]))
    tensor([1, 2, 0])
    """


def lexsort(keys: Sequence[Tensor] | Tensor, axis: int = -1) -> Tensor:
    """Indices that put elements in order by several keys: by the last, equal ones by the one before it, and so on.

    Parameters
    ----------
    keys : sequence of Tensor, or Tensor
        Of one shape; along the first axis of a tensor.
    axis : int
        Along which dimension of each.

    Returns
    -------
    Tensor
        Of the keys' shape and type int64.

    Raises
    ------
    ShapeError
        If there is no key, or their shapes differ.
    DTypeError
        For complex numbers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.lexsort([ad.tensor([3, 1, 2]), ad.tensor([0, 1, 0])])
    tensor([2, 0, 1])
    """
    found = list(keys)
    if not found or len({k.shape for k in found}) > 1:
        got = ", ".join(str(k.shape) for k in found) or "none"
        raise ShapeError(f"lexsort: expected one key or more of the same shape; got {got}")
    order = argsort(found[0], axis=axis)
    for key in found[1:]:
        again = argsort(take_along_axis(key, order, axis=axis), axis=axis)
        order = take_along_axis(order, again, axis=axis)
    return order


def _largest(shape: Shape, *, k: Any, axis: Any = -1, largest: Any = True, sorted: Any = True) -> dict[str, Any]:
    axis = normalize_axis("topk", axis, len(shape))
    if not isinstance(k, int) or not 0 <= k <= shape[axis]:
        raise ArgumentError(f"topk: k is an integer from 0 to {shape[axis]}, the length of axis {axis}; got {k!r}")
    return {"k": k, "axis": axis, "largest": bool(largest), "sorted": True}


def _of_kth(g: Any, xp: Any, indices: Any, x_shape: Shape, axis: int, keepdims: bool) -> Any:
    """The gradient of a value goes to where it was taken from."""
    value, place = (a if keepdims else xp.expand_dims(a, axis=(axis,)) for a in (g[0], indices))
    return xp._add_along_axis(value, place, axis=axis, shape=x_shape)


@function(
    takes="real or bool",
    outputs=("values", "indices"),
    gives=("same", "int64"),
    check=_largest,
    jvp=lambda xp, tangents, out, x, axis, **others: (xp.take_along_axis(tangents[0], out[1], axis=axis), None),
    batching=along("axis"),
    x=lambda g, xp, indices, axis, x_shape: xp._add_along_axis(g[0], indices, axis=axis, shape=x_shape),
    samples=[
        Sample((5,), k=2),
        Sample((3, 4), k=3, axis=0, largest=False),
        Sample((2, 3), k=0),
        Fails((3,), k=4, error=ArgumentError, match="topk: k is an integer from 0 to 3, the length of axis 0; got 4"),
        Fails((3,), k=1, axis=1, error=IndexOutOfRangeError, match="axis 1 is out of range"),
    ],
)
def topk(
    xp: XP, x: Tensor, /, *, k: int, axis: int = -1, largest: bool = True, sorted: bool = True
) -> tuple[Tensor, Tensor]:
    """The ``k`` largest elements along an axis, or the smallest, in order, and where they stand.

    Of equal ones the first. They come in order whatever ``sorted`` says, which is PyTorch's.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.topk(ad.tensor([1.0, 3.0, 2.0]), 2).values
    tensor([3., 2.])
    """
    order = cut(xp.argsort(x, axis=axis, descending=largest, stable=True), axis, 0, k)
    return xp.take_along_axis(x, order, axis=axis), order


def _kth(shape: Shape, *, k: Any, axis: Any = -1, keepdims: Any = False) -> dict[str, Any]:
    axis = normalize_axis("kthvalue", axis, len(shape))
    if not isinstance(k, int) or not 1 <= k <= shape[axis]:
        raise ArgumentError(f"kthvalue: k is an integer from 1 to {shape[axis]}, the length of axis {axis}; got {k!r}")
    return {"k": k, "axis": axis, "keepdims": bool(keepdims)}


def _kth_jvp(xp: Any, tangents: Any, out: Any, x: Any, k: int, axis: int, keepdims: bool) -> Any:
    place = out[1] if keepdims else xp.expand_dims(out[1], axis=(axis,))
    value = xp.take_along_axis(tangents[0], place, axis=axis)
    return value if keepdims else xp.squeeze(value, axis=(axis,)), None


@function(
    takes="real or bool",
    outputs=("values", "indices"),
    gives=("same", "int64"),
    check=_kth,
    jvp=_kth_jvp,
    batching=along("axis"),
    x=_of_kth,
    samples=[
        Sample((5,), k=2),
        Sample((3, 4), k=1, axis=0, keepdims=True),
        Fails((3,), k=0, error=ArgumentError, match="kthvalue: k is an integer from 1 to 3, .* got 0"),
    ],
)
def kthvalue(xp: XP, x: Tensor, /, *, k: int, axis: int = -1, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """The ``k``-th smallest element along an axis, counted from 1, and where it stands.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.kthvalue(ad.tensor([3.0, 1.0, 2.0]), 2).values
    tensor(2.)
    """
    order = cut(xp.argsort(x, axis=axis, stable=True), axis, k - 1, k)
    values = xp.take_along_axis(x, order, axis=axis)
    if keepdims:
        return values, order
    return xp.squeeze(values, axis=(axis,)), xp.squeeze(order, axis=(axis,))


@function(takes="real or bool", samples=[Sample((5,)), Sample((3, 2))])
def msort(xp: XP, x: Tensor, /) -> Tensor:
    """Elements in ascending order along the first axis.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.msort(ad.tensor([[3.0], [1.0]]))
    tensor([[1.],
            [3.]])
    """
    return xp.sort(x, axis=0)  # type: ignore[no-any-return]


# Searching ------------------------------------------------------------------------------------------------------


def _searching(x1: Shape, x2: Shape, *, side: Any = "left") -> dict[str, Any]:
    if len(x1) != 1:
        raise ShapeError(f"searchsorted: x1, which is searched, has one dimension; got shape {x1}")
    if side not in ("left", "right"):
        raise ArgumentError(f"searchsorted: side is 'left' or 'right'; got {side!r}")
    return {"side": side}


def _searched_examples(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    """Search one array for all, or each example in its own, by bisection."""
    x1, x2 = arrays
    if not batched[0]:
        return made.call(x1, x2, **params)
    where, reshape = FUNCTIONS["where"].call, FUNCTIONS["reshape"].call
    n, right = x1.shape[1], params["side"] == "right"
    x2 = in_front(x2, size, batched[1]) if hasattr(x2, "shape") else x1.new_full((size,), x2)
    wanted = reshape(x2, (size, math.prod(x2.shape[1:])))
    low = FUNCTIONS["zeros_like"].call(wanted, dtype="int64")
    high = low + n
    for _ in range(n.bit_length()):
        middle = (low + high) // 2
        found = take_along_axis(x1, where(middle < n, middle, n - 1), axis=1)
        before = ~_less(wanted, found) if right else _less(found, wanted)
        before = before & (low < high)
        low, high = where(before, middle + 1, low), where(before, high, middle)
    return reshape(low, x2.shape)


def _less(a: Any, b: Any) -> Any:
    """Whether ``a`` comes before ``b``, where NaN come last."""
    return (a < b) | ((b != b) & (a == a))


@function(
    name="searchsorted",
    batching=_searched_examples,
    takes="real",
    gives="int64",
    standard=True,
    differentiable=False,
    check=_searching,
    samples=[
        Sample([1.0, 2.0, 3.0], (2, 3)),
        Sample([1.0, 2.0, 2.0, 3.0], [0.0, 2.0, 4.0], side="right"),
        Sample([1.0, 2.0], 1.5, name="a number"),
        Fails((2, 2), (2,), error=ShapeError, match=r"searchsorted: x1, which is searched, has one dimension; got"),
        Fails((2,), (2,), side="middle", error=ArgumentError, match="side is 'left' or 'right'; got 'middle'"),
    ],
)
def _searchsorted(x1: Tensor, x2: Tensor, /, *, side: str = "left") -> Tensor:
    """Where elements belong in a sorted array; see `searchsorted`."""


@facade(_searchsorted)
def searchsorted(
    x1: Tensor, x2: Tensor | float, /, *, side: str = "left", sorter: Tensor | None = None, right: bool = False
) -> Tensor:
    """Where elements of ``x2`` are to be inserted in ``x1``, which is in ascending order, for it to stay in order.

    Parameters
    ----------
    x1 : Tensor
        Of one dimension and a real type.
    x2 : Tensor or number
        Of any shape.
    side : {"left", "right"}
        Before equal elements, or after them.
    sorter : Tensor, optional
        Integer indices that put ``x1`` in order, if it is not.
    right : bool
        PyTorch's way to say ``side="right"``.

    Returns
    -------
    Tensor
        Of the shape of ``x2`` and type int64.

    Raises
    ------
    ShapeError
        If ``x1`` has another number of dimensions than one.
    ArgumentError
        If there is no such side.
    DTypeError
        For bools and complex numbers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.searchsorted(ad.tensor([1.0, 2.0, 3.0]), ad.tensor([0.5, 2.0]))
    tensor([0, 1])
    """
    if sorter is not None:
        x1 = take(x1, sorter)
    return _searchsorted(x1, x2, side="right" if right else side)


def digitize(x: Tensor, bins: Tensor, right: bool = False) -> Tensor:
    """Number of the bin that each element falls into, among bins between ascending bounds.

    Parameters
    ----------
    x : Tensor
        Of any shape and a real type.
    bins : Tensor
        The bounds, of one dimension.
    right : bool
        Whether a bound belongs to the bin below it, rather than to that above.

    Returns
    -------
    Tensor
        Of the shape of ``x`` and type int64; 0 below the first bound, ``len(bins)`` above the last.

    Raises
    ------
    OperandError
        If ``bins`` is no tensor.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.digitize(ad.tensor([0.5, 1.0, 9.0]), ad.tensor([0.0, 1.0, 2.0]))
    tensor([1, 2, 3])
    """
    if not isinstance(bins, Tensor):
        raise OperandError(f"digitize: bins is a {type(bins).__name__}; expected a tensor: write polyad.tensor(bins)")
    return _searchsorted(bins, x, side="left" if right else "right")


def bucketize(x: Tensor, boundaries: Tensor, *, right: bool = False) -> Tensor:
    """Number of the bin that each element falls into: PyTorch's `digitize`, whose ``right`` means the opposite.

    Parameters
    ----------
    x, boundaries : Tensor
        As for `digitize`.
    right : bool
        Whether a bound belongs to the bin above it, rather than to that below.

    Returns
    -------
    Tensor
        Of the shape of ``x`` and type int64.

    Raises
    ------
    OperandError
        If ``boundaries`` is no tensor.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.bucketize(ad.tensor([0.5, 1.0, 9.0]), ad.tensor([0.0, 1.0, 2.0]))
    tensor([1, 1, 3])
    """
    return digitize(x, boundaries, right=not right)
