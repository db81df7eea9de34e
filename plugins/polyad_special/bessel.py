"""Modified Bessel functions of the first kind.

``j0`` and ``j1`` are left out: JAX has no Bessel functions of the other kind.
"""

from __future__ import annotations

import math
from typing import Any

import polyad as ad

from .common import one

__all__ = ["i0", "i0e", "i1", "i1e"]

_EDGES = (-math.inf, -30.0, -2.5, -0.0, 0.0, 1.0, 30.0, math.inf, math.nan)


def _over(xp: Any, value: Any, x: Any) -> Any:
    """``value / x`` for a function that is near ``x / 2`` at 0: a half there."""
    return xp.where(x == 0, 0.5, value / xp.where(x == 0, 1.0, x))


@ad.function(
    name="special.i0",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, x: g * xp.special.i1(x),
    samples=one("i0", -3.0, 3.0, *_EDGES),
)
def i0(x: ad.Tensor, /) -> ad.Tensor:
    """Modified Bessel function of order 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.i0(ad.tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """


@ad.function(
    name="special.i1",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, x, out: g * (xp.special.i0(x) - _over(xp, out, x)),
    samples=[*one("i1", -3.0, 3.0, *_EDGES), ad.Sample([0.0], name="at 0")],
)
def i1(x: ad.Tensor, /) -> ad.Tensor:
    """Modified Bessel function of order 1.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.i1(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.5652])
    """


@ad.function(
    name="special.i0e",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, x, out: g * (xp.special.i1e(x) - xp.sign(x) * out),
    samples=[*one("i0e", 0.2, 3.0, *_EDGES), ad.Sample((3,), domain=(-3.0, -0.2), name="negative")],
)
def i0e(x: ad.Tensor, /) -> ad.Tensor:
    """Scaled modified Bessel function ``exp(-abs(x)) * i0(x)``. Its derivative at the kink at 0 is taken as 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.i0e(ad.tensor([0.0, 1.0, 1e4]))
    tensor([1.0000, 0.4658, 0.0040])
    """


@ad.function(
    name="special.i1e",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, x, out: g * (xp.special.i0e(x) - xp.sign(x) * out - _over(xp, out, x)),
    samples=[*one("i1e", 0.2, 3.0, *_EDGES), ad.Sample((3,), domain=(-3.0, -0.2), name="negative")],
)
def i1e(x: ad.Tensor, /) -> ad.Tensor:
    """Scaled modified Bessel function ``exp(-abs(x)) * i1(x)``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.i1e(ad.tensor([0.0, 1.0, 1e4]))
    tensor([0.0000, 0.2079, 0.0040])
    """
