"""Trigonometric and hyperbolic functions and their inverses; angles."""

from __future__ import annotations

import math
from typing import Any, Final

from ..dispatch import function
from ..function import XP, Sample
from ..rules import is_complex
from ..tensor import Tensor
from .elementwise import Operand, one, two

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cos",
    "cosh",
    "deg2rad",
    "rad2deg",
    "sin",
    "sinc",
    "sinh",
    "tan",
    "tanh",
]


# Trigonometric -----------------------------------------------------------------------------------------------


@function(elementwise=True, takes="floating", standard=True, x=lambda g, xp, x: g * xp.cos(x), samples=one())
def sin(x: Tensor, /) -> Tensor:
    """Sine of an angle in radians.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.sin(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8415])
    """


@function(elementwise=True, takes="floating", standard=True, x=lambda g, xp, x: -g * xp.sin(x), samples=one())
def cos(x: Tensor, /) -> Tensor:
    """Cosine of an angle in radians.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.cos(ad.tensor([0.0, 1.0]))
    tensor([1.0000, 0.5403])
    """


@function(
    elementwise=True, takes="floating", standard=True, x=lambda g, out: g + g * (out * out), samples=one(-1.2, 1.2)
)
def tan(x: Tensor, /) -> Tensor:
    """Tangent of an angle in radians.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tan(ad.tensor([0.0, 0.5]))
    tensor([0.0000, 0.5463])
    """


@function(
    elementwise=True,
    takes="floating",
    standard=True,
    x=lambda g, xp, x: g / xp.sqrt((1 - x) * (1 + x)),
    samples=one(-0.9, 0.9),
)
def asin(x: Tensor, /) -> Tensor:
    """Inverse sine, in radians from -pi/2 to pi/2; NaN for real numbers outside of [-1, 1].

    Examples
    --------
    >>> import polyad as ad
    >>> ad.asin(ad.tensor([0.0, 0.5]))
    tensor([0.0000, 0.5236])
    """


@function(
    elementwise=True,
    takes="floating",
    standard=True,
    x=lambda g, xp, x: -g / xp.sqrt((1 - x) * (1 + x)),
    samples=one(-0.9, 0.9),
)
def acos(x: Tensor, /) -> Tensor:
    """Inverse cosine, in radians from 0 to pi; NaN for real numbers outside of [-1, 1].

    Examples
    --------
    >>> import polyad as ad
    >>> ad.acos(ad.tensor([0.0, 0.5]))
    tensor([1.5708, 1.0472])
    """


@function(elementwise=True, takes="floating", standard=True, x=lambda g, x: g / (1 + x * x), samples=one(-0.9, 0.9))
def atan(x: Tensor, /) -> Tensor:
    """Inverse tangent, in radians from -pi/2 to pi/2.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.atan(ad.tensor([0.0, 0.5]))
    tensor([0.0000, 0.4636])
    """


def _leg(g: Any, xp: Any, leg: Any, x1: Any, x2: Any) -> Any:
    """``g * leg / (x1**2 + x2**2)``, and 0 in the origin, as in PyTorch."""
    size = x1 * x1 + x2 * x2
    return xp.where(size == 0, 0, g * leg / xp.where(size == 0, 1, size))


@function(
    takes="real floating",
    elementwise=True,
    standard=True,
    x1=lambda g, xp, x1, x2: _leg(g, xp, x2, x1, x2),
    x2=lambda g, xp, x1, x2: _leg(-g, xp, x1, x1, x2),
    samples=[*two(0.5, 2.0), Sample([1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], name="all quarters")],
)
def atan2(x1: Operand, x2: Operand, /) -> Tensor:
    """Angle of the point with height ``x1`` and breadth ``x2``, in radians from -pi to pi.

    Its derivative in the origin is taken as 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.atan2(ad.tensor([1.0, -1.0]), ad.tensor([0.0, -1.0]))
    tensor([ 1.5708, -2.3562])
    """


def _sinc_rule(g: Any, xp: Any, x: Any) -> Any:
    # near 0 the terms of the quotient cancel: there the first terms of its series
    y = math.pi * x
    near = xp.abs(x) < 0.02
    square = y * y
    series = y * (-1 / 3 + square * (1 / 30 - square * (1 / 840 - square / 45360)))
    far = xp.where(near, 1, x)
    return g * xp.where(near, math.pi * series, (xp.cos(y) - xp.sin(y) / (math.pi * far)) / far)


@function(
    elementwise=True,
    takes="floating",
    standard=True,
    x=_sinc_rule,
    samples=[*one(), Sample([0.0, 1e-3, 0.019, 0.021, -1.0], name="at and near zero")],
)
def sinc(xp: XP, x: Tensor, /) -> Tensor:
    """Normalized sinc, ``sin(pi * x) / (pi * x)``, which is 1 at 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.sinc(ad.tensor([0.0, 0.5, 1.5]))
    tensor([ 1.0000,  0.6366, -0.2122])
    """
    y = math.pi * xp.where(x == 0, 1, x)
    return xp.where(x == 0, 1, xp.sin(y) / y)  # type: ignore[no-any-return]


# Hyperbolic --------------------------------------------------------------------------------------------------


@function(elementwise=True, takes="floating", standard=True, x=lambda g, xp, x: g * xp.cosh(x), samples=one())
def sinh(x: Tensor, /) -> Tensor:
    """Hyperbolic sine.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.sinh(ad.tensor([0.0, 0.5]))
    tensor([0.0000, 0.5211])
    """


@function(elementwise=True, takes="floating", standard=True, x=lambda g, xp, x: g * xp.sinh(x), samples=one())
def cosh(x: Tensor, /) -> Tensor:
    """Hyperbolic cosine.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.cosh(ad.tensor([0.0, 0.5]))
    tensor([1.0000, 1.1276])
    """


# The rule is g - g * out**2, in this order so that NumPy goes on in the memory of the product
@function(elementwise=True, takes="floating", standard=True, x=lambda g, out: -(g * (out * out)) + g, samples=one())
def tanh(x: Tensor, /) -> Tensor:
    """Hyperbolic tangent.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tanh(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """


@function(
    elementwise=True, takes="floating", standard=True, x=lambda g, xp, x: g / xp.sqrt(1 + x * x), samples=one(-0.9, 0.9)
)
def asinh(x: Tensor, /) -> Tensor:
    """Inverse hyperbolic sine.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.asinh(ad.tensor([0.0, 0.5]))
    tensor([0.0000, 0.4812])
    """


def _acosh_rule(g: Any, xp: Any, x: Any) -> Any:
    if is_complex(x.dtype):  # the root of the product would be the other one in the left half of the plane
        return g / (xp.sqrt(x - 1) * xp.sqrt(x + 1))
    return g / xp.sqrt((x - 1) * (x + 1))


@function(elementwise=True, takes="floating", standard=True, x=_acosh_rule, samples=one(1.2, 3.0))
def acosh(x: Tensor, /) -> Tensor:
    """Inverse hyperbolic cosine; NaN for real numbers below 1.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.acosh(ad.tensor([1.0, 2.0]))
    tensor([0.0000, 1.3170])
    """


@function(
    elementwise=True, takes="floating", standard=True, x=lambda g, x: g / ((1 - x) * (1 + x)), samples=one(-0.9, 0.9)
)
def atanh(x: Tensor, /) -> Tensor:
    """Inverse hyperbolic tangent; NaN for real numbers outside of [-1, 1].

    Examples
    --------
    >>> import polyad as ad
    >>> ad.atanh(ad.tensor([0.0, 0.5]))
    tensor([0.0000, 0.5493])
    """


# Angles ------------------------------------------------------------------------------------------------------

_DEGREE: Final = math.pi / 180


@function(elementwise=True, takes="real floating", standard=True, x=lambda g: g * _DEGREE, samples=one())
def deg2rad(xp: XP, x: Tensor, /) -> Tensor:
    """Degrees as radians.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.deg2rad(ad.tensor([180.0, 90.0]))
    tensor([3.1416, 1.5708])
    """
    return x * _DEGREE


@function(elementwise=True, takes="real floating", standard=True, x=lambda g: g / _DEGREE, samples=one())
def rad2deg(xp: XP, x: Tensor, /) -> Tensor:
    """Radians as degrees.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.rad2deg(ad.tensor([3.14159265, 1.0]))
    tensor([180.0000,  57.2958])
    """
    return x / _DEGREE
