"""Exponentials and logarithms."""

from __future__ import annotations

import math
from typing import Any, Final

from ..dispatch import function
from ..function import XP, Sample
from ..tensor import Tensor
from .elementwise import Operand, one, two

__all__ = [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logaddexp2",
    "xlogy",
]


LN2: Final = math.log(2)
LN10: Final = math.log(10)
INF: Final = math.inf

# Exponentials ------------------------------------------------------------------------------------------------


@function(elementwise=True, takes="floating", standard=True, x=lambda g, out: g * out, samples=one())
def exp(x: Tensor, /) -> Tensor:
    """Exponential ``e ** x``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.exp(ad.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """


@function(elementwise=True, takes="floating", standard=True, x=lambda g, out: g * (out * LN2), samples=one())
def exp2(xp: XP, x: Tensor, /) -> Tensor:
    """Power of two, ``2 ** x``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.exp2(ad.tensor([0.0, 3.0]))
    tensor([1., 8.])
    """
    return 2.0**x


@function(elementwise=True, takes="floating", standard=True, x=lambda g, out: g * (out + 1), samples=one())
def expm1(x: Tensor, /) -> Tensor:
    """Exponential minus one, ``e ** x - 1``, accurate near 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.expm1(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 1.7183])
    """


# Logarithms --------------------------------------------------------------------------------------------------


@function(elementwise=True, takes="floating", standard=True, x=lambda g, x: g / x, samples=one(0.2, 3.0))
def log(x: Tensor, /) -> Tensor:
    """Natural logarithm.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.log(ad.tensor([1.0, 2.0]))
    tensor([0.0000, 0.6931])
    """


@function(elementwise=True, takes="floating", standard=True, x=lambda g, x: g / (1 + x), samples=one(-0.5, 3.0))
def log1p(x: Tensor, /) -> Tensor:
    """Natural logarithm of ``1 + x``, accurate near 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.log1p(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.6931])
    """


@function(elementwise=True, takes="floating", standard=True, x=lambda g, x: g / (x * LN2), samples=one(0.2, 3.0))
def log2(x: Tensor, /) -> Tensor:
    """Logarithm to base 2.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.log2(ad.tensor([1.0, 8.0]))
    tensor([0., 3.])
    """


@function(elementwise=True, takes="floating", standard=True, x=lambda g, x: g / (x * LN10), samples=one(0.2, 3.0))
def log10(x: Tensor, /) -> Tensor:
    """Logarithm to base 10.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.log10(ad.tensor([1.0, 50.0]))
    tensor([0.0000, 1.6990])
    """


@function(
    elementwise=True, name="_logistic", takes="real floating", x=lambda g, out: g * (out * (1 - out)), samples=one()
)
def _logistic(xp: XP, x: Tensor, /) -> Tensor:
    """Logistic function ``1 / (1 + exp(-x))``: how much of a sum of exponentials is the one that is ``exp(x)`` times
    the other.
    """
    return 1 / (1 + xp.exp(-x))  # type: ignore[no-any-return]


def _lead(xp: Any, x1: Any, x2: Any) -> Any:
    """By how much the first of two logarithms is the larger; equal infinities are as large as each other."""
    return xp.where((x1 == x2) & xp.isinf(x1), 0, x1 - x2)


def _logaddexp_rule(g: Any, xp: Any, x1: Any, x2: Any) -> Any:
    return g * xp._logistic(_lead(xp, x1, x2))


def _logaddexp2_rule(g: Any, xp: Any, x1: Any, x2: Any) -> Any:
    return g * xp._logistic(_lead(xp, x1, x2) * LN2)


_LIMITS: Final = Sample([INF, -INF, -INF, 0.0], [1.0, 1.0, -INF, -INF], name="infinities", grad=False)


@function(
    takes="real floating",
    elementwise=True,
    standard=True,
    x1=_logaddexp_rule,
    x2=lambda g, xp, x1, x2: _logaddexp_rule(g, xp, x2, x1),
    samples=[*two(), _LIMITS],
)
def logaddexp(x1: Operand, x2: Operand, /) -> Tensor:
    """Logarithm of a sum of exponentials, ``log(exp(x1) + exp(x2))``, without overflow on the way.

    Two equal infinities share the gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.logaddexp(ad.tensor([0.0, 1000.0]), ad.tensor([0.0, 1000.0]))
    tensor([6.9315e-01, 1.0007e+03])
    """


@function(
    takes="real floating",
    elementwise=True,
    standard=True,
    x1=_logaddexp2_rule,
    x2=lambda g, xp, x1, x2: _logaddexp2_rule(g, xp, x2, x1),
    samples=[*two(), _LIMITS],
)
def logaddexp2(xp: XP, x1: Operand, x2: Operand, /) -> Tensor:
    """Logarithm of a sum of powers of two, ``log2(2 ** x1 + 2 ** x2)``, without overflow on the way.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.logaddexp2(ad.tensor([0.0, 1000.0]), ad.tensor([0.0, 1000.0]))
    tensor([1.0000e+00, 1.0010e+03])
    """
    return xp.logaddexp(x1 * LN2, x2 * LN2) / LN2  # type: ignore[no-any-return]


def _array(xp: Any, x: Any, other: Any) -> Any:
    """An operand as an array of the other's type, if it is a number."""
    return x if hasattr(x, "shape") else xp.zeros_like(other) + x


def _xlogy_factor(g: Any, xp: Any, x1: Any, x2: Any) -> Any:
    x2 = _array(xp, x2, x1)
    none = (x1 == 0) & (x2 == 0)
    return xp.where(none, 0, g * xp.log(xp.where(none, 1, x2)))


def _xlogy_argument(g: Any, xp: Any, x1: Any, x2: Any) -> Any:
    x1 = _array(xp, x1, x2)
    none = (x1 == 0) & (x2 == 0)
    return xp.where(none, 0, g * x1 / xp.where(none, 1, x2))


@function(
    takes="real floating",
    elementwise=True,
    x1=_xlogy_factor,
    x2=_xlogy_argument,
    samples=[*two(0.5, 2.0), Sample([0.0, 0.0, 0.0], [0.0, 2.0, math.nan], name="nothing times", grad=False)],
)
def xlogy(xp: XP, x1: Operand, x2: Operand, /) -> Tensor:
    """Product ``x1 * log(x2)``, with 0 where ``x1`` is 0 (unless ``x2`` is NaN).

    The derivative in the origin is taken as 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.xlogy(ad.tensor([0.0, 2.0]), ad.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """
    x2 = _array(xp, x2, x1)
    return xp.where((x1 == 0) & (x2 == x2), 0, x1 * xp.log(x2))  # type: ignore[no-any-return]
