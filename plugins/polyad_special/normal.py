"""The error function and the normal distribution."""

from __future__ import annotations

import math
from typing import Any, Final

import polyad as ad

from .common import one

__all__ = ["erf", "erfc", "erfcinv", "erfcx", "erfinv", "log_ndtr", "ndtr", "ndtri"]

inf: Final = math.inf
_SLOPE: Final = 2 / math.sqrt(math.pi)  # of erf at 0
_DENSITY: Final = 1 / math.sqrt(2 * math.pi)  # of the normal distribution at 0
_ROOT_HALF: Final = math.sqrt(0.5)


@ad.function(
    name="special.erf",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, x: g * (_SLOPE * xp.exp(-(x * x))),
    samples=one("erf", -2.0, 2.0),
)
def erf(x: ad.Tensor, /) -> ad.Tensor:
    """Error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0 to ``x``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.erf(ad.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 0.5205, 0.8427])
    """


@ad.function(
    name="special.erfc",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, x: g * (-_SLOPE * xp.exp(-(x * x))),
    samples=one("erfc", -2.0, 2.0),
)
def erfc(x: ad.Tensor, /) -> ad.Tensor:
    """Complementary error function ``1 - erf(x)``, accurate where that is small.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.erfc(ad.tensor([0.0, 1.0]))
    tensor([1.0000, 0.1573])
    """


def _fraction(x: Any, terms: int) -> Any:
    """Laplace's continued fraction ``1/2 / (x + 1 / (x + 3/2 / (x + ...)))``, of which ``erfcx`` is made.

    ``erfcx(x) = 1 / (sqrt(pi) * (x + fraction))`` for positive ``x``: Abramowitz and Stegun, 7.1.14.
    """
    f = x
    for k in range(terms, 1, -1):
        f = x + (k / 2) / f
    return 0.5 / f


def _erfcx_rule(g: Any, xp: Any, x: Any, out: Any) -> Any:
    # 2 * x * out approaches the slope that is taken from it: far out, the fraction is their difference
    far = x > 20
    above = xp.where(far, x, 20.0)
    rest = _fraction(above, 7)
    return g * xp.where(far, -_SLOPE * rest / (above + rest), 2 * xp.where(far, 0.0, x) * out - _SLOPE)


@ad.function(
    name="special.erfcx",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=_erfcx_rule,
    samples=[
        *one("erfcx", -2.0, 6.0),
        ad.Sample([20.5, 25.0, 1000.0], name="far out"),
        ad.Sample([-3.0, 3.99, 4.0, 4.01, 26.6, 1e6], name="where formulas meet"),
    ],
)
def erfcx(xp: ad.XP, x: ad.Tensor, /) -> ad.Tensor:
    """Scaled complementary error function ``exp(x**2) * erfc(x)``, without overflow for positive ``x``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.erfcx(ad.tensor([0.0, 1.0, 1e4]))
    tensor([1.0000e+00, 4.2758e-01, 5.6419e-05])
    """
    far = x > 4
    above, below = xp.where(far, x, 4.0), xp.where(far, 4.0, x)
    # 24 terms give all digits of float64 from 4 on
    return xp.where(far, _SLOPE / 2 / (above + _fraction(above, 24)), xp.exp(below * below) * xp.special.erfc(below))  # type: ignore[no-any-return]


@ad.function(
    name="special.erfinv",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, out: g * (xp.exp(out * out) / _SLOPE),
    samples=one("erfinv", -0.9, 0.9, -inf, -1.5, -1.0, -0.0, 0.0, 1.0, 1.5, math.nan),
)
def erfinv(x: ad.Tensor, /) -> ad.Tensor:
    """Inverse of `erf`: infinite at -1 and 1, NaN outside.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.erfinv(ad.tensor([0.0, 0.5, 1.0]))
    tensor([0.0000, 0.4769,    inf])
    """


@ad.function(
    name="special.erfcinv",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, out: g * (xp.exp(out * out) / -_SLOPE),
    samples=one("erfcinv", 0.1, 1.9, -1.0, 0.0, 1e-30, 1.0, 2.0, 2.5, math.nan),
)
def erfcinv(xp: ad.XP, x: ad.Tensor, /) -> ad.Tensor:
    """Inverse of `erfc`: infinite at 0 and 2, NaN outside.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.erfcinv(ad.tensor([0.5, 1e-20]))
    tensor([0.4769, 6.6016])
    """
    return -_ROOT_HALF * xp.special.ndtri(x / 2)  # type: ignore[no-any-return]


@ad.function(
    name="special.ndtr",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, x: g * (_DENSITY * xp.exp(x * x * -0.5)),
    samples=one("ndtr", -2.0, 2.0),
)
def ndtr(xp: ad.XP, x: ad.Tensor, /) -> ad.Tensor:
    """Normal distribution function: the probability that a standard normal number is at most ``x``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.ndtr(ad.tensor([-1.0, 0.0, 1.0]))
    tensor([0.1587, 0.5000, 0.8413])
    """
    return 0.5 * xp.special.erfc(x * -_ROOT_HALF)  # type: ignore[no-any-return]


def _log_ndtr_rule(g: Any, xp: Any, x: Any, out: Any) -> Any:
    """Density over probability; far below, where both vanish, by `erfcx`."""
    low = x < 0
    below, above = xp.where(low, x, 0.0), xp.where(low, 0.0, x)
    return g * xp.where(
        low,
        2 * _DENSITY / xp.special.erfcx(below * -_ROOT_HALF),
        _DENSITY * xp.exp(above * above * -0.5 - xp.where(low, 0.0, out)),
    )


@ad.function(
    name="special.log_ndtr",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=_log_ndtr_rule,
    samples=[
        *one("log_ndtr", -3.0, 3.0),
        ad.Sample([-1000.0, -37.0, -5.0, 5.5, 7.7], name="both tails"),
    ],
)
def log_ndtr(xp: ad.XP, x: ad.Tensor, /) -> ad.Tensor:
    """Logarithm of `ndtr`, accurate in both tails.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.log_ndtr(ad.tensor([-100.0, 0.0]))
    tensor([-5.0055e+03, -6.9315e-01])
    """
    t = x * _ROOT_HALF
    low = t < -1
    below, above = xp.where(low, t, -1.0), xp.where(low, -1.0, t)
    return xp.where(  # type: ignore[no-any-return]
        low, xp.log(xp.special.erfcx(-below) / 2) - below * below, xp.log1p(xp.special.erfc(above) / -2)
    )


@ad.function(
    name="special.ndtri",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, out: g * (xp.exp(out * out / 2) / _DENSITY),
    samples=one("ndtri", 0.05, 0.95, -0.5, 0.0, 1e-30, 0.5, 1.0, 1.5, math.nan),
)
def ndtri(x: ad.Tensor, /) -> ad.Tensor:
    """Inverse of `ndtr`, the normal distribution's quantiles: infinite at 0 and 1, NaN outside.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.ndtri(ad.tensor([0.025, 0.5, 0.975]))
    tensor([-1.9600,  0.0000,  1.9600])
    """
