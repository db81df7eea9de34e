"""The gamma and beta functions, their logarithms, derivatives and incomplete forms; zeta."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import polyad as ad
from polyad.errors import ArgumentError, AutogradError, OperandError, ShapeError

from .common import as_array, one, two

__all__ = [
    "beta",
    "betainc",
    "betaln",
    "digamma",
    "gamma",
    "gammainc",
    "gammaincc",
    "gammaln",
    "multigammaln",
    "polygamma",
    "zeta",
]

Shape = tuple[int, ...]
inf, nan = math.inf, math.nan

# Gamma ------------------------------------------------------------------------------------------------------


@ad.function(
    name="special.gammaln",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, x: g * xp.special.digamma(x),
    samples=[
        # at -inf SciPy has -inf, and others inf
        *one("gammaln", 0.5, 4.0, -2.5, -1.0, -0.0, 0.0, 1.0, 2.0, inf, nan),
        ad.Sample((3,), domain=(-0.8, -0.2), name="negative"),
        ad.Sample([1e-30, 1e30], name="far apart", grad=False),
    ],
)
def gammaln(x: ad.Tensor, /) -> ad.Tensor:
    """Logarithm of the absolute value of the gamma function: infinite at 0 and the negative integers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.gammaln(ad.tensor([1.0, 5.0, 100.0]))
    tensor([  0.0000,   3.1781, 359.1342])
    """


@ad.function(
    name="special.gamma",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, x, out: g * (out * xp.special.digamma(x)),
    samples=[*one("gamma", 0.5, 4.0), ad.Sample((3,), domain=(-0.8, -0.2), name="negative")],
)
def gamma(x: ad.Tensor, /) -> ad.Tensor:
    """Gamma function: factorials of ``x - 1``. Infinite at 0 with its sign, NaN at the negative integers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.gamma(ad.tensor([0.5, 1.0, 5.0]))
    tensor([ 1.7725,  1.0000, 24.0000])
    """


@ad.function(
    name="special.digamma",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, x: g * xp.special.polygamma(x, n=1),
    samples=[*one("digamma", 0.5, 4.0), ad.Sample((3,), domain=(-0.8, -0.2), name="negative")],
)
def digamma(x: ad.Tensor, /) -> ad.Tensor:
    """Derivative of `gammaln`. NaN at the negative integers, infinite at 0 with the other sign.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.digamma(ad.tensor([1.0, 2.0]))
    tensor([-0.5772,  0.4228])
    """


def _order(shape: Shape, *, n: Any = inf) -> dict[str, Any]:
    if not hasattr(n, "__index__") or n < 0:
        raise ArgumentError(f"special.polygamma: n must be an integer that is not negative; got {n!r}")
    return {"n": n.__index__()}


@ad.function(
    name="special.polygamma",
    elementwise=True,
    takes="real floating",
    wide=True,
    check=_order,
    x=lambda g, xp, x, n: g * xp.special.polygamma(x, n=n + 1),
    samples=[
        ad.Sample((3, 4), domain=(0.5, 4.0), n=1),
        ad.Sample((), domain=(0.5, 4.0), n=0),
        ad.Sample((2, 0), n=2),
        ad.Sample((3,), domain=(0.5, 4.0), n=3),
        ad.Sample((3,), domain=(-0.8, -0.2), n=1, name="negative"),
        ad.Sample([-5.5, -2.25, -0.3, 30.0], n=2, name="further out", grad=False),
        ad.Sample([-1.0, -0.0, 0.0, 1.0, inf, nan], n=1, name="edges", grad=False),
        ad.Sample([-1.0, -0.0, 0.0, 1.0, inf, nan], n=2, name="edges of the second", grad=False),
        ad.Fails((3,), n=-1, error=ArgumentError, match="n must be an integer that is not negative; got -1"),
        ad.Fails((3,), n=0.5, error=ArgumentError, match="n must be an integer that is not negative; got 0.5"),
    ],
)
def _polygamma(xp: ad.XP, x: ad.Tensor, /, *, n: int) -> ad.Tensor:
    """Derivatives of `digamma`; see `polygamma`."""
    if n == 0:
        return xp.special.digamma(x)  # type: ignore[no-any-return]
    factorial = float(math.factorial(n)) if n <= 170 else inf
    return (factorial if n % 2 else -factorial) * xp.special.zeta(n + 1.0, x)  # type: ignore[no-any-return]


def polygamma(n: int, x: ad.Tensor) -> ad.Tensor:
    """The n-th derivative of `digamma`: Abramowitz and Stegun, 6.4.10.

    Parameters
    ----------
    n : int
        Not negative; 1 for the trigamma function.
    x : Tensor
        Any shape; a real floating type.

    Returns
    -------
    Tensor
        Of the shape and type of ``x``.

    Raises
    ------
    ArgumentError
        If ``n`` is no such integer.
    DTypeError
        For complex numbers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.polygamma(1, ad.tensor([1.0, 2.0]))
    tensor([1.6449, 0.6449])
    """
    if isinstance(n, ad.Tensor) or not isinstance(x, ad.Tensor):
        raise OperandError(
            f"special.polygamma: expected an integer and a tensor, polygamma(n, x); got a {type(n).__name__} and a "
            f"{type(x).__name__}"
        )
    return _polygamma(x, n=n)


def _dimension(shape: Shape, *, d: Any = 0) -> dict[str, Any]:
    if not hasattr(d, "__index__") or d < 1:
        raise ArgumentError(f"special.multigammaln: d, the dimension, must be a positive integer; got {d!r}")
    return {"d": d.__index__()}


def _multigammaln_rule(g: Any, xp: Any, a: Any, d: int) -> Any:
    slope = xp.special.digamma(a)
    for j in range(1, d):
        slope = slope + xp.special.digamma(a - j / 2)
    return g * slope


@ad.function(
    name="special.multigammaln",
    elementwise=True,
    takes="real floating",
    wide=True,
    check=_dimension,
    a=_multigammaln_rule,
    samples=[
        ad.Sample((3, 4), domain=(2.0, 5.0), d=3),
        ad.Sample((), domain=(2.0, 5.0), d=1),
        ad.Sample((2, 0), d=2),
        ad.Fails((3,), d=0, error=ArgumentError, match="d, the dimension, must be a positive integer; got 0"),
    ],
)
def multigammaln(xp: ad.XP, a: ad.Tensor, /, *, d: int) -> ad.Tensor:
    """Logarithm of the gamma function of ``d`` dimensions. NaN unless ``a`` is above ``(d - 1) / 2``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.multigammaln(ad.tensor([2.0, 1.0, 0.5]), 2)
    tensor([0.4516, 1.1447,    nan])
    """
    total = xp.special.gammaln(a) + d * (d - 1) / 4 * math.log(math.pi)
    for j in range(1, d):
        total = total + xp.special.gammaln(a - j / 2)
    return xp.where(a > (d - 1) / 2, total, nan)  # type: ignore[no-any-return]


# Beta -------------------------------------------------------------------------------------------------------


def _betaln_slope(xp: Any, a: Any, b: Any) -> Any:
    return xp.special.digamma(a) - xp.special.digamma(a + b)


@ad.function(
    name="special.betaln",
    takes="real floating",
    elementwise=True,
    wide=True,
    a=lambda g, xp, a, b: g * _betaln_slope(xp, a, b),
    b=lambda g, xp, a, b: g * _betaln_slope(xp, b, a),
    samples=two(0.5, 4.0, ad.Sample([1e-8, 2.0, 0.0, nan], [1e6, 1e5, 2.0, 1.0], name="edges", grad=False)),
)
def betaln(a: ad.Tensor, b: ad.Tensor, /) -> ad.Tensor:
    """Logarithm of the absolute value of `beta`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.betaln(ad.tensor([1.0, 100.0]), 2.0)
    tensor([-0.6931, -9.2203])
    """


@ad.function(
    name="special.beta",
    takes="real floating",
    elementwise=True,
    wide=True,
    a=lambda g, xp, a, b, out: g * (out * _betaln_slope(xp, a, b)),
    b=lambda g, xp, a, b, out: g * (out * _betaln_slope(xp, b, a)),
    samples=two(0.5, 4.0, ad.Sample([1e-8, 2.0, 0.0, nan], [1e6, 1e5, 2.0, 1.0], name="edges", grad=False)),
)
def beta(a: ad.Tensor, b: ad.Tensor, /) -> ad.Tensor:
    """Beta function ``gamma(a) * gamma(b) / gamma(a + b)``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.beta(ad.tensor([1.0, 2.0]), 3.0)
    tensor([0.3333, 0.0833])
    """


# Incomplete -------------------------------------------------------------------------------------------------


def _none_in(name: str, argument: str, other: str) -> Callable[..., Any]:
    """The rule of an argument in which there is no derivative: says so."""

    def rule(g: Any) -> Any:
        raise AutogradError(
            f"special.{name} has a derivative in {other} only; {argument} requires a gradient: "
            f"pass {argument}.detach() for it to count as a constant"
        )

    return rule


def _gamma_density(xp: Any, a: Any, x: Any) -> Any:
    """Density at ``x`` of the gamma distribution of shape ``a``; without 0 * inf at 0."""
    return xp.exp(xp.xlogy(a - 1, x) - x - xp.special.gammaln(as_array(xp, a, x)))


def _gamma_shift(xp: Any, a: Any, x: Any) -> Any:
    """How much probability passes by ``x`` as ``a`` grows: the density, times how fast the quantile moves."""
    x = as_array(xp, x, a)
    usual = (x > 0) & (x < inf)
    x = xp.where(usual, x, 1.0)
    a, x = a + xp.zeros_like(x), x + xp.zeros_like(a)
    log = xp.log(x)
    density = xp.exp(a * log - x - xp.special.gammaln(a))  # of the logarithm
    return xp.where(usual, density * xp.random.gamma_slope(a, log), 0.0)


_SHAPES_OF_A: Final = [
    *two(0.5, 3.0)[:-1],
    ad.Sample([30.0, 0.1, 3.0], [25.0, 0.01, 20.0], name="far apart"),
    ad.Sample(2.5, (3, 4), domain=(0.2, 5.0)),
    ad.Sample(0.5, (), domain=(0.2, 5.0)),
    ad.Sample([0.0, 1.0, 2.0, 0.5, inf, 1.0, nan], [1.0, 0.0, inf, -1.0, 1.0, nan, 1.0], name="edges", grad=False),
    ad.Fails((2, 3), (4,), error=ShapeError, match=r"\(2, 3\) and \(4,\) do not broadcast"),
]


@ad.function(
    name="special.gammainc",
    takes="real floating",
    elementwise=True,
    wide=True,
    a=lambda g, xp, a, x: g * -_gamma_shift(xp, a, x),
    x=lambda g, xp, a, x: g * _gamma_density(xp, a, x),
    samples=_SHAPES_OF_A,
)
def gammainc(a: ad.Tensor, x: ad.Tensor, /) -> ad.Tensor:
    """Regularised lower incomplete gamma function: the distribution function of a gamma variable of shape ``a``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.gammainc(2.0, ad.tensor([0.0, 1.0, 10.0]))
    tensor([0.0000, 0.2642, 0.9995])
    """


@ad.function(
    name="special.gammaincc",
    takes="real floating",
    elementwise=True,
    wide=True,
    a=lambda g, xp, a, x: g * _gamma_shift(xp, a, x),
    x=lambda g, xp, a, x: g * -_gamma_density(xp, a, x),
    samples=_SHAPES_OF_A,
)
def gammaincc(a: ad.Tensor, x: ad.Tensor, /) -> ad.Tensor:
    """Regularised upper incomplete gamma function ``1 - gammainc(a, x)``, accurate where that is small.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.gammaincc(2.0, ad.tensor([0.0, 1.0, 10.0]))
    tensor([1.0000e+00, 7.3576e-01, 4.9940e-04])
    """


def _beta_density(g: Any, xp: Any, a: Any, b: Any, x: Any) -> Any:
    special = xp.special
    return g * xp.exp(xp.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(as_array(xp, a, x), b))


@ad.function(
    name="special.betainc",
    takes="real floating",
    elementwise=True,
    wide=True,
    a=_none_in("betainc", "a", "x"),
    b=_none_in("betainc", "b", "x"),
    x=_beta_density,
    samples=[
        ad.Sample(2.0, 3.5, (3, 4), domain=(0.1, 0.9)),
        ad.Sample(0.5, 0.5, (), domain=(0.1, 0.9)),
        ad.Sample(1.0, 1.0, (2, 0)),
        ad.Sample((3, 1), (4,), 0.3, domain=(0.5, 3.0), name="arrays", grad=False),
        ad.Sample(
            [1.0, 2.0, 2.0, 2.0, -1.0, nan],
            [1.0, 3.0, 3.0, 3.0, 1.0, 1.0],
            [0.0, 1.0, -0.5, 1.5, 0.5, 0.5],
            name="edges",
            grad=False,
        ),
        ad.Fails((2, 3), (4,), (1,), error=ShapeError, match=r"\(2, 3\) and \(4,\) and \(1,\) do not broadcast"),
    ],
)
def betainc(a: ad.Tensor, b: ad.Tensor, x: ad.Tensor, /) -> ad.Tensor:
    """Regularised incomplete beta function: the distribution function of a beta variable.

    There is a derivative in ``x`` only.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.betainc(2.0, 2.0, ad.tensor([0.0, 0.25, 0.5]))
    tensor([0.0000, 0.1562, 0.5000])
    """


@ad.function(
    name="special.zeta",
    takes="real floating",
    elementwise=True,
    wide=True,
    x=_none_in("zeta", "x", "q"),
    q=lambda g, xp, x, q: g * (-x * xp.special.zeta(x + 1, q)),
    samples=[
        ad.Sample(2.0, (3, 4), domain=(0.5, 4.0)),
        ad.Sample(3.5, (), domain=(0.5, 4.0)),
        ad.Sample(3.5, (2, 0)),
        ad.Sample((3, 1), (4,), domain=(1.5, 4.0), name="arrays", grad=False),
        ad.Sample([1.0, 0.5, 2.0, 2.0, nan, 3.0], [2.0, 2.0, 0.0, -1.0, 1.0, inf], name="edges", grad=False),
        ad.Fails((2, 3), (4,), error=ShapeError, match=r"\(2, 3\) and \(4,\) do not broadcast"),
    ],
)
def zeta(x: ad.Tensor, q: ad.Tensor, /) -> ad.Tensor:
    """Hurwitz's zeta function, the sum of ``(k + q) ** -x`` for k from 0; Riemann's for ``q = 1``.

    For ``x`` above 1; the derivative is in ``q`` only, as in PyTorch. On JAX it is NaN for negative ``q``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.zeta(ad.tensor([2.0, 4.0]), 1.0)
    tensor([1.6449, 1.0823])
    """
