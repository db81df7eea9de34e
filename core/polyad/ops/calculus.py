"""Calculus on sampled functions: integrals, slopes, interpolation, convolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from ..batching import in_front
from ..dispatch import facade, function
from ..errors import ArgumentError, DTypeError, IndexOutOfRangeError, OperandError, ShapeError
from ..function import TENSORS, XP, Fails, Function, Sample
from ..keys import Slice, cut
from ..tensor import Tensor, not_a_tensor
from .arguments import Axis, Shape, normalize_axes, normalize_axis
from .arithmetic import remainder
from .batched_products import convolution_batched
from .complex_parts import conj
from .joining import concat
from .manipulation import flip
from .scatter import take
from .sorting import argsort

__all__ = [
    "convolve",
    "correlate",
    "cumulative_trapezoid",
    "gradient",
    "interp",
    "trapezoid",
]


def _at(value: Any, axis: int, ndim: int) -> Any:
    """An array of one dimension, to be broadcast along an axis."""
    return value[(*(None,) * axis, slice(None), *(None,) * (ndim - 1 - axis))] if len(value.shape) == 1 else value


# Integrals ------------------------------------------------------------------------------------------------------


def _integrating(name: str) -> Any:
    def check(y: Shape, x: Shape | None = None, *, dx: Any = 1.0, axis: Any = -1, **more: Any) -> dict[str, Any]:
        axis = normalize_axis(name, axis, len(y))
        if x is not None and x not in ((y[axis],), y):
            raise ShapeError(f"{name}: x has shape {x}; expected that of y, {y}, or its length along axis {axis}")
        if not isinstance(dx, (int, float)):
            raise OperandError(f"{name}: dx is a number; got {dx!r:.60}; give places of their own as x")
        return {"dx": dx, "axis": axis, **more}

    return check


def _integrals(name: str) -> list[Sample]:
    return [
        Sample((4,)),
        Sample((3, 4), axis=0, dx=0.5),
        Sample((2, 4), (4,)),
        Sample((2, 3), (2, 3), axis=0),
        Sample((2, 1)),
        Sample((2, 0)),
        Fails((3,), (2,), error=ShapeError, match=rf"{name}: x has shape \(2,\); expected that of y, \(3,\), or"),
        Fails((3,), axis=1, error=IndexOutOfRangeError, match="axis 1 is out of range"),
        Fails((3,), dx="wide", error=OperandError, match=f"{name}: dx is a number; got 'wide'"),
    ]


def _trapezoids(y: Any, x: Any, dx: Any, axis: int) -> Any:
    """The area between each place and the next."""
    n = y.shape[axis]
    if not n:
        return y
    heights = cut(y, axis, 1) + cut(y, axis, 0, n - 1)
    if x is None:
        return heights * (dx / 2)
    along = 0 if len(x.shape) == 1 else axis
    steps = cut(x, along, 1) - cut(x, along, 0, n - 1)
    return _at(steps, axis, len(y.shape)) * heights * 0.5


def _integrating_batched(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    """Along the axis one further back; places are those of each example, or one line for all."""
    y, x = arrays
    y, axis = in_front(y, size, batched[0]), params["axis"] + 1
    if batched[1] and x.ndim < y.ndim:
        x = TENSORS.reshape(x, tuple(n if i in (0, axis) else 1 for i, n in enumerate(y.shape)))
        x = TENSORS.broadcast_to(x, y.shape)
    elif not batched[1] and x is not None and x.ndim > 1:
        x = in_front(x, size, False)
    return made.call(y, x, **{**params, "axis": axis})


@function(
    takes="floating",
    wide=True,
    check=_integrating("trapezoid"),
    batching=_integrating_batched,
    samples=_integrals("trapezoid"),
)
def trapezoid(xp: XP, y: Tensor, x: Tensor | None = None, /, *, dx: float = 1.0, axis: int = -1) -> Tensor:
    """Integral along an axis by the trapezoidal rule, of values ``y`` at places ``x``, or ``dx`` apart.

    ``x`` has the shape of ``y``, or one dimension of the axis's length.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.trapezoid(ad.tensor([0.0, 1.0, 4.0]), dx=0.5)
    tensor(1.5000)
    """
    return xp.sum(_trapezoids(y, x, dx, axis), axis=(axis,), keepdims=False)  # type: ignore[no-any-return]


@function(
    takes="floating",
    wide=True,
    check=_integrating("cumulative_trapezoid"),
    batching=_integrating_batched,
    samples=_integrals("cumulative_trapezoid"),
)
def cumulative_trapezoid(xp: XP, y: Tensor, x: Tensor | None = None, /, *, dx: float = 1.0, axis: int = -1) -> Tensor:
    """Integral from the first place up to each other one along an axis: see `trapezoid`. Shorter than ``y`` by one.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.cumulative_trapezoid(ad.tensor([0.0, 1.0, 4.0]))
    tensor([0.5000, 3.0000])
    """
    return xp.cumulative_sum(_trapezoids(y, x, dx, axis), axis=axis, include_initial=False)  # type: ignore[no-any-return]


# Slopes ---------------------------------------------------------------------------------------------------------


def gradient(
    x: Tensor,
    /,
    *spacing: Any,
    axis: Axis = None,
    edge_order: int = 1,
) -> Any:
    """Slopes of a sampled function along axes, by central differences, and one-sided ones at the ends.

    Second-order accurate inside, also for places that are not evenly spaced: Fornberg (1988), "Generation of finite
    difference formulas on arbitrarily spaced grids".

    Parameters
    ----------
    x : Tensor
        The values; of floating-point type, others become float32.
    *spacing : number or Tensor
        How far apart places are, or the places themselves as a tensor of one dimension: one for all axes, or one for
        each. By default 1.
    axis : int or tuple of int, optional
        The dimensions; by default all.
    edge_order : {1, 2}
        The order of accuracy at the ends.

    Returns
    -------
    Tensor, or list of Tensor
        Of the shape of ``x``: one for each axis, in a list where there are several, as in NumPy.

    Raises
    ------
    ArgumentError
        If there are as many spacings as there are not axes, or ``edge_order`` is another number.
    ShapeError
        If an axis is too short, or places are of another length.
    IndexOutOfRangeError
        If there is no such dimension.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.gradient(ad.tensor([0.0, 1.0, 4.0, 9.0]))
    tensor([1., 2., 4., 5.])
    """
    if not isinstance(x, Tensor):
        not_a_tensor("gradient", "x", x)
    if not x.dtype.is_differentiable:
        x = x * 1.0
    axes = axis if isinstance(axis, tuple) else normalize_axes("gradient", axis, x.ndim)
    axes = tuple(normalize_axis("gradient", a, x.ndim) for a in axes)
    if len(spacing) not in (0, 1, len(axes)):
        raise ArgumentError(f"gradient: got {len(spacing)} spacings for {len(axes)} axes; give one for all or for each")
    if edge_order not in (1, 2):
        raise ArgumentError(f"gradient: edge_order is 1 or 2; got {edge_order!r}")
    steps = [1.0] * len(axes) if not spacing else list(spacing) * len(axes) if len(spacing) == 1 else list(spacing)
    found = [_slopes(x, a, step, edge_order) for a, step in zip(axes, steps, strict=True)]
    return found[0] if len(found) == 1 else found


def _slopes(x: Tensor, axis: int, step: Any, edge_order: int) -> Tensor:
    n = x.shape[axis]
    if n <= edge_order:
        raise ShapeError(f"gradient: axis {axis} has {n} elements; edge_order {edge_order} needs {edge_order + 1}")

    def at(start: int, stop: int) -> Tensor:
        return cut(x, axis, start, stop)  # type: ignore[no-any-return]

    if not isinstance(step, Tensor) or not step.ndim:
        inside = [(at(2, n) - at(0, n - 2)) / (2 * step)]
        if edge_order == 1:
            first, last = (at(1, 2) - at(0, 1)) / step, (at(n - 1, n) - at(n - 2, n - 1)) / step
        else:
            first = (-1.5 * at(0, 1) + 2.0 * at(1, 2) - 0.5 * at(2, 3)) / step
            last = (1.5 * at(n - 1, n) - 2.0 * at(n - 2, n - 1) + 0.5 * at(n - 3, n - 2)) / step
        return concat([first, *inside, last], axis=axis)
    if step.shape != (n,):
        raise ShapeError(f"gradient: places have shape {step.shape}; expected {(n,)}, the length of axis {axis}")
    widths = _at(step[1:] - step[:-1], axis, x.ndim)
    slopes = (at(1, n) - at(0, n - 1)) / widths
    before, after = cut(slopes, axis, 0, n - 2), cut(slopes, axis, 1, n - 1)
    left, right = cut(widths, axis, 0, n - 2), cut(widths, axis, 1, n - 1)
    inside = [(before * right + after * left) / (left + right)]
    first, last = cut(slopes, axis, 0, 1), cut(slopes, axis, n - 2, n - 1)
    if edge_order == 2:
        (h0, h1), (s0, s1) = ([cut(v, axis, i, i + 1) for i in (0, 1)] for v in (widths, slopes))
        first = s0 + (s0 - s1) * h0 / (h0 + h1)
        (h0, h1), (s0, s1) = ([cut(v, axis, i, i + 1) for i in (n - 2, n - 3)] for v in (widths, slopes))
        last = s0 + (s0 - s1) * h0 / (h0 + h1)
    return concat([first, *inside, last], axis=axis)


# Interpolation --------------------------------------------------------------------------------------------------


def _interpolating(x: Shape, points: Shape, values: Shape, *, left: Any = None, right: Any = None) -> dict[str, Any]:
    if len(points) != 1 or points != values or not points[0]:
        raise ShapeError(
            f"interp: points and values have one dimension and one length, and are not empty; got shapes {points} and "
            f"{values}"
        )
    return {"left": left, "right": right}


@function(
    name="interp",
    takes="real floating",
    check=_interpolating,
    samples=[
        Sample([0.5, 1.25, 2.5], [0.0, 1.0, 2.0, 4.0], (4,)),
        Sample([[-1.0, 0.5], [5.0, 3.5]], [0.0, 1.0, 2.0, 4.0], (4,), name="outside"),
        Sample([-1.0, 0.5, 5.0], [0.0, 1.0], (2,), left=-3.0, right=7.0),
        Sample(1.5, [1.0, 2.0], (2,), name="a number"),
        Sample([0.5, 2.0], [1.0], (1,), name="one point"),
        Fails((3,), (2,), (3,), error=ShapeError, match=r"interp: points and values .* got shapes \(2,\) and \(3,\)"),
        Fails((3,), (0,), (0,), error=ShapeError, match="interp: points and values .* not empty"),
        Fails([1j], [1.0], [1.0], error=DTypeError, match="interp takes real floating arrays; got complex"),
    ],
)
def _interp(xp: XP, x: Any, points: Any, values: Any, /, *, left: Any = None, right: Any = None) -> Any:
    """Piecewise linear interpolation; see `interp`."""
    n = points.shape[0]
    shape = tuple(x.shape)
    x = xp.reshape(x, shape=(math.prod(shape),))
    place = xp.searchsorted(points, x, side="right") - 1
    low = xp.minimum(xp.maximum(place, 0), max(n - 2, 0))
    high = xp.minimum(low + 1, n - 1)
    x0, x1, y0, y1 = (xp.take(v, i, axis=0) for v, i in ((points, low), (points, high), (values, low), (values, high)))
    width = xp.where(x1 == x0, 1, x1 - x0)
    found = y0 + (y1 - y0) * ((x - x0) / width)
    found = xp.where(x < points[0], values[0] if left is None else left, found)
    found = xp.where(x > points[n - 1], values[n - 1] if right is None else right, found)
    return xp.reshape(found, shape=shape)


@facade(_interp)
def interp(
    x: Tensor,
    /,
    xp: Tensor,
    fp: Tensor,
    *,
    left: float | None = None,
    right: float | None = None,
    period: float | None = None,
) -> Tensor:
    """Piecewise linear function through given points, at places ``x``; constant beyond the points.

    Parameters
    ----------
    x : Tensor
        The places; of any shape and a real type.
    xp, fp : Tensor
        The points and the function's values there, of one dimension; ``xp`` in ascending order unless there is a
        period. Gradients go to both, and to ``x``.
    left, right : float, optional
        The value before the first point and after the last; by default those of these points.
    period : float, optional
        With which the function repeats; ``left`` and ``right`` are not used then.

    Returns
    -------
    Tensor
        Of the shape of ``x``.

    Raises
    ------
    ShapeError
        If ``xp`` and ``fp`` are not of one dimension and one length.
    ArgumentError
        If the period is 0.
    DTypeError
        For complex numbers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.interp(ad.tensor([0.5, 3.0]), ad.tensor([0.0, 1.0, 2.0]), ad.tensor([0.0, 10.0, 0.0]))
    tensor([5., 0.])
    """
    if period is not None:
        if period == 0:
            raise ArgumentError("interp: the period must not be 0")
        period = abs(period)
        x, xp = remainder(x, period), remainder(xp, period)
        order = argsort(xp)
        xp, fp = take(xp, order), take(fp, order)
        xp = concat([xp[-1:] - period, xp, xp[:1] + period], axis=0)
        fp = concat([fp[-1:], fp, fp[:1]], axis=0)
    return _interp(x, xp, fp, left=left, right=right)  # type: ignore[no-any-return]


# Convolution ----------------------------------------------------------------------------------------------------

_MODES: Final = ("full", "same", "valid")


def _convolving(a: Shape, v: Shape, *, mode: Any = "full") -> dict[str, Any]:
    if len(a) != 1 or len(v) != 1 or not a[0] or not v[0]:
        raise ShapeError(f"convolve: expected two tensors of one dimension, not empty; got shapes {a} and {v}")
    if mode not in _MODES:
        raise ArgumentError(f"convolve: mode is 'full', 'same' or 'valid'; got {mode!r}")
    return {"mode": mode}


def _of_full(n: int, m: int, mode: str) -> tuple[int, int]:
    """Which part of the full convolution of two lengths a mode gives: start and length."""
    longer, shorter = max(n, m), min(n, m)
    if mode == "full":
        return 0, n + m - 1
    return ((shorter - 1) // 2, longer) if mode == "same" else (shorter - 1, longer - shorter + 1)


def _convolved_back(xp: Any, g: Any, other: Any, shape: Shape, mode: str) -> Any:
    """Gradient of the operand of a convolution that is not ``other``."""
    n, m = shape[0], other.shape[0]
    start, length = _of_full(n, m, mode)
    if mode != "full":
        g = xp.index_scatter(g, key=(Slice(start, length, 1),), shape=(n + m - 1,))
    return xp.convolve(g, cut(other, 0, step=-1), mode="valid")


@function(
    takes="numeric",
    wide=True,
    standard=True,
    check=_convolving,
    batching=convolution_batched,
    jvp="multilinear",
    a=lambda g, xp, v, a_shape, mode: _convolved_back(xp, g, v, a_shape, mode),
    v=lambda g, xp, a, v_shape, mode: _convolved_back(xp, g, a, v_shape, mode),
    samples=[
        *[Sample((5,), (3,), mode=mode) for mode in _MODES],
        *[Sample((2,), (4,), mode=mode) for mode in _MODES],
        Sample((1,), (1,)),
        Fails((2, 3), (2,), error=ShapeError, match=r"convolve: expected two tensors of one dim.*got shapes \(2, 3\)"),
        Fails((2,), (0,), error=ShapeError, match="convolve: expected two tensors of one dimension, not empty"),
        Fails((2,), (2,), mode="circular", error=ArgumentError, match="mode is 'full', 'same' or 'valid'; got"),
    ],
)
def convolve(xp: XP, a: Tensor, v: Tensor, /, *, mode: str = "full") -> Tensor:
    """Convolution of two sequences: at each shift the sum of products, one of them turned round.

    ``mode`` is ``"full"``, ``"same"`` (as long as the longer) or ``"valid"`` (where they overlap completely), as in
    NumPy. Neural networks have convolutions of images, which are correlations.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.convolve(ad.tensor([1.0, 2.0, 3.0]), ad.tensor([1.0, 1.0]))
    tensor([1., 3., 5., 3.])
    """
    n, m = a.shape[0], v.shape[0]
    start, length = _of_full(n, m, mode)
    parts = [xp.index_scatter(a * v[i : i + 1], key=(Slice(i, n, 1),), shape=(n + m - 1,)) for i in range(m)]
    return sum(parts)[start : start + length]  # type: ignore[no-any-return]


def correlate(a: Tensor, v: Tensor, /, mode: str = "valid") -> Tensor:
    """Correlation of two sequences: `convolve` with the second turned round, and conjugated.

    Parameters
    ----------
    a, v : Tensor
        Of one dimension and a numeric type.
    mode : {"valid", "same", "full"}
        As for `convolve`, with NumPy's default.

    Returns
    -------
    Tensor
        Of one dimension.

    Raises
    ------
    ShapeError
        If they are of other dimensions, or empty.
    ArgumentError
        If there is no such mode.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.correlate(ad.tensor([1.0, 2.0, 3.0]), ad.tensor([0.0, 1.0]))
    tensor([2., 3.])
    """
    if not isinstance(v, Tensor):
        not_a_tensor("correlate", "v", v)
    return convolve(a, conj(flip(v)), mode=mode)
