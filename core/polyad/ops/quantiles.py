"""Medians, quantiles and modes: what depends on the order of elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from ..batching import along, stacked
from ..dispatch import facade, function
from ..dtypes import float64, int64
from ..errors import ArgumentError, DTypeError, IndexOutOfRangeError, OperandError, ShapeError
from ..function import TENSORS, XP, Fails, Function, Sample, result_class
from ..keys import cut
from ..rules import count
from ..tensor import Tensor, not_a_tensor
from .arguments import Axis, Shape, normalize_axes, normalize_axis
from .arithmetic import abs_
from .cumulative import cummax, cumulative_sum
from .joining import concat, stack
from .manipulation import reshape
from .reduction import along_axes, argmax, reducing, sum_
from .rounding import floor, round_
from .scatter import take_along_axis
from .selection import maximum, minimum, where
from .sorting import argsort, sort
from .transfer import astype

__all__ = [
    "median",
    "mode",
    "nanmedian",
    "nanpercentile",
    "nanquantile",
    "percentile",
    "quantile",
]

_FRACTIONS: Final[dict[str, tuple[float, float]]] = {
    "interpolated_inverted_cdf": (0, 1),
    "hazen": (1 / 2, 1 / 2),
    "weibull": (0, 0),
    "linear": (1, 1),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}
"""The continuous methods 4 to 9 of Hyndman and Fan (1996), "Sample quantiles in statistical packages"."""

_PICKS: Final = ("lower", "higher", "nearest", "midpoint")
"""What is done between two elements otherwise, at the place of the method "linear"."""

_METHODS: Final = (*_FRACTIONS, *_PICKS)


def _lined(xp: Any, x: Any, axis: tuple[int, ...]) -> Any:
    """``x`` with the axes at the end, as one."""
    kept = tuple(i for i in range(len(x.shape)) if i not in axis)
    moved = x if axis == (len(x.shape) - 1,) else xp.permute_dims(x, axes=(*kept, *axis))
    return moved if len(axis) == 1 else xp.reshape(moved, shape=(*(x.shape[i] for i in kept), count(x.shape, axis)))


def _places(shape: Shape, axis: tuple[int, ...], keepdims: bool) -> Shape:
    """The shape of a reduction's result."""
    if keepdims:
        return tuple(1 if i in axis else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axis)


@function(
    name="_ranked",
    takes="real",
    batching=stacked(1),
    samples=[Sample((5,), ranks=(0, 2, 2, 4)), Sample((3, 4), ranks=(3,))],
)
def _ranked(xp: XP, x: Tensor, /, *, ranks: tuple[int, ...]) -> Tensor:
    """Elements of the given places in the order along the last axis; NaN is last."""
    order = xp.argsort(x, axis=-1)
    last = len(x.shape) - 1
    chosen = xp.concat([cut(order, last, r, r + 1) for r in ranks], axis=last)
    return xp.take_along_axis(x, chosen, axis=last)  # type: ignore[no-any-return]


# Quantiles ------------------------------------------------------------------------------------------------------


def _position(method: str, n: Any, q: float) -> Any:
    """Where among ``n`` ordered elements, counted from 0, the quantile is."""
    a, b = _FRACTIONS.get(method, (1, 1))
    return n * q + (a + q * (1 - a - b)) - 1


def _between(method: str, n: int, q: float) -> tuple[int, int, float]:
    """The two elements that a quantile is between, and how far it is from the first."""
    at = min(max(_position(method, n, q), 0.0), n - 1.0)
    low = math.floor(at)
    part = at - low
    if part < 1e-9 or part > 1 - 1e-9:  # what rounding leaves of a whole number
        low, part = round(at), 0.0
    if method == "nearest":
        low, part = round(at), 0.0  # of two equally near the even one, as in NumPy
    part = {"lower": 0.0, "higher": float(part > 0), "midpoint": 0.5 * (part > 0)}.get(method, part)
    return low, min(low + 1, n - 1), part


def _fraction(name: str, value: Any) -> float:
    try:
        q = float(value)
    except (TypeError, ValueError):
        raise OperandError(f"{name}: q is a number from 0 to 1, or several; got {value!r:.60}") from None
    if not 0 <= q <= 1:
        raise ArgumentError(f"{name}: q must be from 0 to 1; got {q:.6g}")
    return q


def _fractions(name: str, q: Any) -> float | tuple[float, ...]:
    """Fractions as Python numbers, of a tensor, an array, a list or a number."""
    q = q.tolist() if hasattr(q, "tolist") else q
    if isinstance(q, (list, tuple)):
        return tuple(_fraction(name, value) for value in q)
    return _fraction(name, q)


def _method(name: str, method: Any, interpolation: Any) -> str:
    method = method if interpolation is None else interpolation
    if method not in _METHODS:
        raise ArgumentError(f"{name}: method is one of {', '.join(map(repr, _METHODS))}; got {method!r}")
    return method  # type: ignore[no-any-return]


_reducing_quantile = reducing("quantile", empty=False, q=None, method="linear")


def _quantiles(shape: Shape, **params: Any) -> dict[str, Any]:
    if "q" not in params:
        raise OperandError("quantile: q is missing: the fraction below the quantile, from 0 to 1")
    return _reducing_quantile(shape, **params)  # type: ignore[no-any-return]


def _quantile_batched(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    found = along("axis")(made, size, arrays, batched, params)
    if not isinstance(params["q"], tuple):
        return found
    return TENSORS.permute_dims(found, (1, 0, *range(2, found.ndim)))  # several quantiles are in front


@function(
    name="quantile",
    takes="real floating",
    wide=True,
    check=_quantiles,
    batching=_quantile_batched,
    samples=[
        *[s for s in along_axes(q=0.3) if not isinstance(s, Fails)],
        Sample((7, 2), q=(0.0, 0.45, 1.0), axis=0),
        Sample((2, 5), q=(0.2, 0.9), axis=1, keepdims=True),
        *[Sample((6,), q=0.35, method=m) for m in _METHODS],
        Sample([[1.0, math.nan, 2.0], [3.0, 1.0, 2.0]], q=0.5, axis=1, name="NaN", grad=False),
        Fails((2, 3), q=0.5, axis=2, error=IndexOutOfRangeError, match="axis 2 is out of range"),
        Fails((3,), q=1.5, error=ArgumentError, match="quantile: q must be from 0 to 1; got 1.5"),
        Fails((3,), q="half", error=OperandError, match="quantile: q is a number from 0 to 1, or several; got 'half'"),
        Fails((3,), q=0.5, method="best", error=ArgumentError, match="quantile: method is one of .* got 'best'"),
        Fails((0,), q=0.5, error=ShapeError, match="quantile: no elements to choose from"),
        Fails([1j], q=0.5, error=DTypeError, match="quantile takes real floating arrays; got complex"),
    ],
)
def _quantile(xp: XP, x: Tensor, /, *, q: Any, axis: Any = None, keepdims: bool = False, method: str = "linear") -> Any:
    """Values below which a given part of the elements is; see `quantile`."""
    n = count(x.shape, axis)
    if not axis:
        x, axis, n = x[..., None], (len(x.shape),), 1
        shape = x.shape[:-1]
    else:
        shape = _places(x.shape, axis, keepdims)
    between = [_between(method, n, value) for value in (q if isinstance(q, tuple) else (q,))]
    found = xp._ranked(_lined(xp, x, axis), ranks=(*(r for low, high, _ in between for r in (low, high)), n - 1))
    missing = found[..., -1] != found[..., -1]
    values = []
    for i, (_, _, part) in enumerate(between):
        low, high = found[..., 2 * i], found[..., 2 * i + 1]
        if part:  # from the nearer one, so that between equal ones rounding does not matter
            low = low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)
        values.append(xp.reshape(xp.where(missing, math.nan, low), shape=shape))
    return xp.stack(values, axis=0) if isinstance(q, tuple) else values[0]


@facade(_quantile)
def quantile(
    x: Tensor,
    /,
    q: Any,
    *,
    axis: Axis = None,
    keepdims: bool = False,
    method: str = "linear",
    interpolation: str | None = None,
) -> Tensor:
    """Quantiles along axes: the values below which given parts of the elements are; NaN where there is NaN.

    Parameters
    ----------
    x : Tensor
        Of any shape and real floating-point type; integers become float32.
    q : float, sequence of float or Tensor
        The part of the elements, from 0 to 1. It has no gradient.
    axis : int or tuple of int, optional
        The dimensions; by default all.
    keepdims : bool
        Whether the axes stay, with length 1.
    method, interpolation : str
        What is done between two elements: ``"linear"``, ``"lower"``, ``"higher"``, ``"nearest"``, ``"midpoint"``, or
        one of NumPy's other continuous methods. NumPy's name of it, and PyTorch's.

    Returns
    -------
    Tensor
        Of several ``q``, those come first in the shape.

    Raises
    ------
    ArgumentError
        If ``q`` is out of range, or there is no such method.
    ShapeError
        If there are no elements.
    IndexOutOfRangeError
        If there is no such dimension.
    DTypeError
        For complex numbers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.quantile(ad.tensor([1.0, 2.0, 3.0, 4.0]), 0.25)
    tensor(1.7500)
    """
    method = _method("quantile", method, interpolation)
    return _quantile(x, q=_fractions("quantile", q), axis=axis, keepdims=keepdims, method=method)  # type: ignore[no-any-return]


def _hundredths(name: str, q: Any) -> Any:
    q = q.tolist() if hasattr(q, "tolist") else q
    try:
        return tuple(v / 100 for v in q) if isinstance(q, (list, tuple)) else q / 100
    except TypeError:
        raise OperandError(f"{name}: q is a number from 0 to 100, or several; got {q!r:.60}") from None


def percentile(
    x: Tensor,
    /,
    q: Any,
    axis: Axis = None,
    keepdims: bool = False,
    method: str = "linear",
    interpolation: str | None = None,
) -> Tensor:
    """Percentiles along axes: `quantile` of a part in hundredths.

    Parameters
    ----------
    x : Tensor
        Of any shape and real floating-point type; integers become float32.
    q : float, sequence of float or Tensor
        The part of the elements in hundredths, from 0 to 100.
    axis, keepdims, method, interpolation
        As for `quantile`.

    Returns
    -------
    Tensor
        Of several ``q``, those come first in the shape.

    Raises
    ------
    ArgumentError
        If ``q`` is out of range, or there is no such method.
    ShapeError
        If there are no elements.
    IndexOutOfRangeError
        If there is no such dimension.
    DTypeError
        For complex numbers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.percentile(ad.tensor([1.0, 2.0, 3.0, 4.0]), 25)
    tensor(1.7500)
    """
    method = _method("percentile", method, interpolation)
    return quantile(x, _hundredths("percentile", q), axis=axis, keepdims=keepdims, method=method)


@function(
    takes="real floating",
    wide=True,
    check=reducing("median"),
    batching=along("axis"),
    samples=[
        *along_axes(),
        Sample((2, 5), axis=1),
        Sample((0, 3), axis=0, name="of nothing", grad=False),
        Sample([[1.0, math.nan, 2.0], [3.0, 1.0, 2.0]], axis=1, name="NaN", grad=False),
        Sample([math.inf, math.inf], name="infinities", grad=False),
    ],
)
def median(xp: XP, x: Tensor, /, *, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Median along axes: the middle one of the elements in order, or the mean of the two in the middle; NaN of none.

    As in NumPy. PyTorch takes the lower of the two: ``quantile(x, 0.5, method="lower")``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.median(ad.tensor([4.0, 1.0, 3.0, 2.0]))
    tensor(2.5000)
    """
    n = count(x.shape, axis)
    if not axis or not n:
        return xp.mean(x, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]
    found = xp._ranked(_lined(xp, x, axis), ranks=((n - 1) // 2, n // 2, n - 1))
    middle = found[..., 0] if n % 2 else found[..., 0] * 0.5 + found[..., 1] * 0.5
    last = found[..., 2]
    return xp.reshape(xp.where(last != last, last, middle), shape=_places(x.shape, axis, keepdims))  # type: ignore[no-any-return]


# Without NaN ----------------------------------------------------------------------------------------------------


def nanquantile(
    x: Tensor,
    /,
    q: Any,
    axis: Axis = None,
    keepdims: bool = False,
    method: str = "linear",
    interpolation: str | None = None,
) -> Tensor:
    """Quantiles along axes of the elements other than NaN; NaN of none. See `quantile`.

    Parameters
    ----------
    x : Tensor
        Of any shape and real floating-point type; integers become float32.
    q : float, sequence of float or Tensor
        The part of the elements, from 0 to 1.
    axis, keepdims, method, interpolation
        As for `quantile`.

    Returns
    -------
    Tensor
        Of several ``q``, those come first in the shape.

    Raises
    ------
    ArgumentError
        If ``q`` is out of range, or there is no such method.
    ShapeError
        If there are no elements.
    IndexOutOfRangeError
        If there is no such dimension.
    DTypeError
        For complex numbers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nanquantile(ad.tensor([1.0, float("nan"), 3.0]), 0.25)
    tensor(1.5000)
    """
    if not isinstance(x, Tensor):
        not_a_tensor("nanquantile", "x", x)
    method = _method("nanquantile", method, interpolation)
    if not x.dtype.is_floating_point:
        return quantile(x, q, axis=axis, keepdims=keepdims, method=method)
    axes = normalize_axes("nanquantile", axis, x.ndim)
    if not count(x.shape, axes):
        raise ShapeError(f"nanquantile: no elements to choose from: the shape is {x.shape}, reduced over axis {axes}")
    shape = _places(x.shape, axes, keepdims)
    lined = _lined(TENSORS, x, axes) if axes else x[..., None]
    ordered = sort(lined, axis=-1)
    n = sum_(lined == lined, axis=-1, keepdims=True)
    fractions = _fractions("nanquantile", q)
    values = [
        reshape(_interpolated(ordered, n, value, method), shape)
        for value in (fractions if isinstance(fractions, tuple) else (fractions,))
    ]
    return stack(values, axis=0) if isinstance(fractions, tuple) else values[0]


def _interpolated(ordered: Tensor, n: Tensor, q: float, method: str) -> Tensor:
    """A quantile of the first ``n`` elements along the last axis, which are in order."""
    last = maximum(n - 1, 0)
    at = minimum(maximum(_position(method, astype(n, float64), q), 0), last)
    whole = round_(at)
    at = where(abs_(at - whole) < 1e-9, whole, at)  # what rounding leaves of a whole number
    low = whole if method == "nearest" else floor(at)
    above = at > low
    first = take_along_axis(ordered, astype(low, int64), axis=-1)
    if method in ("lower", "nearest"):
        return first
    second = take_along_axis(ordered, minimum(astype(low, int64) + 1, last), axis=-1)
    if method == "higher":
        return where(above, second, first)
    part = 0.5 if method == "midpoint" else astype(at - low, ordered.dtype)
    gap = where(above, second, 0) - where(above, first, 0)
    return first + gap * part


def nanpercentile(
    x: Tensor,
    /,
    q: Any,
    axis: Axis = None,
    keepdims: bool = False,
    method: str = "linear",
    interpolation: str | None = None,
) -> Tensor:
    """Percentiles along axes of the elements other than NaN: `nanquantile` of a part in hundredths.

    Parameters
    ----------
    x : Tensor
        Of any shape and real floating-point type; integers become float32.
    q : float, sequence of float or Tensor
        The part of the elements in hundredths, from 0 to 100.
    axis, keepdims, method, interpolation
        As for `quantile`.

    Returns
    -------
    Tensor
        Of several ``q``, those come first in the shape.

    Raises
    ------
    ArgumentError
        If ``q`` is out of range, or there is no such method.
    ShapeError
        If there are no elements.
    IndexOutOfRangeError
        If there is no such dimension.
    DTypeError
        For complex numbers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nanpercentile(ad.tensor([1.0, float("nan"), 3.0]), 25)
    tensor(1.5000)
    """
    return nanquantile(x, _hundredths("nanpercentile", q), axis, keepdims, method, interpolation)


def nanmedian(x: Tensor, /, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Median along axes of the elements other than NaN; NaN of none. See `median`.

    Parameters
    ----------
    x : Tensor
        Of any shape and real floating-point type; integers become float32.
    axis : int or tuple of int, optional
        The dimensions; by default all.
    keepdims : bool
        Whether the axes stay, with length 1.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If there are no elements.
    IndexOutOfRangeError
        If there is no such dimension.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nanmedian(ad.tensor([1.0, float("nan"), 2.0]))
    tensor(1.5000)
    """
    return nanquantile(x, 0.5, axis, keepdims)


# Modes ----------------------------------------------------------------------------------------------------------

ModeResult = result_class("ModeResult", ("values", "indices"))


def mode(x: Tensor, /, axis: int = -1, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """The value met most often along an axis, the smallest of several, and where it is met last.

    Parameters
    ----------
    x : Tensor
        Of a real type or bool.
    axis : int
        Which dimension.
    keepdims : bool
        Whether the axis stays, with length 1.

    Returns
    -------
    tuple of Tensor
        With the names ``values`` and ``indices``. The gradient goes to the element that the index names.

    Raises
    ------
    ShapeError
        If there are no elements.
    IndexOutOfRangeError
        If there is no such dimension.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.mode(ad.tensor([2.0, 1.0, 2.0]))
    ModeResult(values=tensor(2.), indices=tensor(2))
    """
    if not isinstance(x, Tensor):
        not_a_tensor("mode", "x", x)
    axis = normalize_axis("mode", axis, x.ndim)
    if not x.shape[axis]:
        raise ShapeError(f"mode: no elements to choose from: the shape is {x.shape}, along axis {axis}")
    order = argsort(x, axis=axis)
    ordered = take_along_axis(x.detach(), order, axis=axis)
    # where a run of equal ones begins; how far each is from there is greatest at the end of the longest
    counted = cumulative_sum(order * 0 + 1, axis=axis) - 1
    begins = cut(ordered, axis, 1) != cut(ordered, axis, 0, x.shape[axis] - 1)
    first = concat([cut(counted, axis, 0, 1), where(begins, cut(counted, axis, 1), 0)], axis=axis)
    at = argmax(counted - cummax(first, axis=axis).values, axis=axis, keepdims=True)
    indices = take_along_axis(order, at, axis=axis)
    values = take_along_axis(x, indices, axis=axis)
    found: tuple[Tensor, Tensor] = ModeResult(*(v if keepdims else v.squeeze(axis) for v in (values, indices)))
    return found
