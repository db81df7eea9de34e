"""How a gamma-distributed number moves with the shape of its distribution: its reparameterised gradient.

A number ``x`` of the gamma distribution of shape ``alpha`` is the quantile of some probability. With that probability
held fixed, ``dx / dalpha = -(dP / dalpha) / p``, where P is the regularised incomplete gamma function and p the
density: implicit reparameterisation (Figurnov, Mohamed and Mnih, 2018). Everything is done for ``log(x)``, since for
small shapes ``x`` itself leaves the range of its type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from ..batching import elementwise, in_front
from ..dispatch import function
from ..errors import DTypeError
from ..function import XP, Fails, Function, Sample
from ..tensor import Tensor

__all__: list[str] = []  # what they are for is public: polyad.random.gamma, beta and dirichlet

_STEPS: Final = 8  # by which a shape is raised, so that series in its inverse have all digits
_NODES: Final = {True: 24, False: 14}  # in float64, and in types of fewer digits
_DEPTH: Final = 40.0  # the integrand is followed down to exp(-40)
_DIGAMMA: Final = (1 / 12, 1 / 120, 1 / 252, 1 / 240, 1 / 132, 691 / 32760, 1 / 12)


@lru_cache(maxsize=2)
def _quadrature(count: int) -> list[tuple[float, float]]:
    """Gauss and Legendre's ``count`` nodes and weights on the interval from 0 to 1, by Newton's method."""
    found = []
    for i in range(count):
        x = math.cos(math.pi * (i + 0.75) / (count + 0.5))
        for _ in range(8):
            before, value = 1.0, x
            for k in range(2, count + 1):
                before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
            slope = count * (x * value - before) / (x * x - 1)
            x -= value / slope
        found.append(((1 + x) / 2, 1 / ((1 - x * x) * slope * slope)))
    return found


def _digammas(xp: Any, alpha: Any) -> list[Any]:
    """Digamma of ``alpha``, ``alpha + 1`` and so on: the asymptotic series of the last, recurrence for the others."""
    top = alpha + _STEPS
    square = 1 / (top * top)
    series: Any = 0.0
    for c in reversed(_DIGAMMA):
        series = square * (c - series)
    found = [xp.log(top) - 0.5 / top - series]
    for k in range(_STEPS - 1, -1, -1):
        found.append(found[-1] - 1 / (alpha + k))
    return found[::-1]


def _reach(xp: Any, alpha: Any, x: Any, low: Any) -> Any:
    """How far the integral in ``v`` goes from 0, to the left or right: where ``alpha * v - x * expm1(v)`` is -40.

    Solutions of quadratic bounds of the exponent: of ``-s - expm1(-s) <= -s**2 / (2 + s)`` on the left, of
    ``s - expm1(s) <= -s**2 / 2`` on the right, where for small x the exponential alone is better.
    """
    distance = xp.abs(alpha - x)
    b = 2 * distance - _DEPTH
    left = 4 * _DEPTH / (b + xp.sqrt(b * b + 8 * _DEPTH * alpha))
    x = xp.where(low, 1.0, x)
    right = 2 * _DEPTH / (distance + xp.sqrt(distance * distance + 2 * _DEPTH * x))
    return xp.where(low, -left, xp.where(x < 20, xp.log1p(2 * _DEPTH / x), right))


@function(
    name="random.gamma_slope",
    batching=elementwise,
    takes="real floating",
    wide=True,
    samples=[
        Sample((3, 4), (3, 4), domain=(0.3, 3.0)),
        Sample((), (), domain=(0.5, 2.0)),
        Sample((2, 0), (2, 0)),
        Sample([0.01, 0.5, 30.0, 1000.0], [-2.0, 1.0, 3.2, 6.9], name="small and large"),
        Fails([1j], [1.0], error=DTypeError, match=r"random\.gamma_slope takes real floating arrays; got complex"),
    ],
)
def gamma_slope(xp: XP, alpha: Tensor, log_x: Tensor, /) -> Tensor:
    r"""Derivative of a gamma variable's logarithm by the shape ``alpha``, its probability held fixed.

    With :math:`x = e^{\log x}` it is the integral over the positive v of
    :math:`e^{\alpha v - x (e^v - 1)} (v - \psi(\alpha) + \log x)`, or of its negative over the negative v. On one side
    of ``x = alpha + 1/2`` each has an integrand without change of sign. It is integrated by Gauss and Legendre; on the
    left for the shape ``alpha + 8``, from which a recurrence of positive terms leads down. Computed in float64, where
    it is accurate to 13 digits for shapes up to 1e4, and to 12 up to 1e6.

    Examples
    --------
    >>> import polyad as ad
    >>> one = ad.tensor(1.0)  # -log(1 - p) is a variable of shape 1
    >>> ad.FUNCTIONS["random.gamma_slope"].call(one, ad.tensor(0.0))
    tensor(1.1736)
    """
    a, ln = xp.astype(alpha, xp.float64), xp.astype(log_x, xp.float64)
    x = xp.exp(ln)
    low = x <= a + 0.5
    raised = xp.where(low, a + _STEPS, a)
    psi = _digammas(xp, a)
    level = xp.where(low, psi[-1], psi[0]) - ln
    reach = _reach(xp, raised, x, low)
    total: Any = 0.0
    for node, weight in _quadrature(_NODES[alpha.dtype == xp.float64]):
        v = reach * node
        exponent = (raised - x) * v - x * (xp.expm1(v) - v)
        total = total + weight * (xp.exp(exponent) * (level - v))
    slope = above = -reach * total
    for k in range(_STEPS - 1, -1, -1):
        slope = (x * slope + (psi[k + 1] - ln)) / (a + k)
    return xp.astype(xp.where(low, slope, above), alpha.dtype)  # type: ignore[no-any-return]


def _drawn_examples(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    """The result is what was drawn, so that has the examples, whether it differs there or not."""
    arrays = arrays[0], in_front(arrays[1], size, batched[1])
    return elementwise(made, size, arrays, (batched[0], True), params)


@function(
    name="random.log_gamma",
    batching=_drawn_examples,
    takes="real floating",
    alpha=lambda g, xp, alpha, out: g * xp.random.gamma_slope(alpha, out),
    samples=[
        Sample((3, 4), (3, 4), domain=(0.5, 2.0), grad=False),  # the values stay what was drawn
        Fails([1j], [1.0], error=DTypeError, match=r"random\.log_gamma takes real floating arrays; got complex"),
    ],
)
def log_gamma(xp: XP, alpha: Tensor, drawn: Tensor, /) -> Tensor:
    """Logarithms of gamma variables that were drawn, as a function of their distributions' shapes.

    The values are ``drawn``; the derivative by ``alpha`` is `gamma_slope`. Since that is a function of both, higher
    derivatives are those of the quantile too.

    Examples
    --------
    >>> import polyad as ad
    >>> alpha = ad.tensor(1.0, requires_grad=True)
    >>> x = ad.FUNCTIONS["random.log_gamma"].call(alpha, ad.tensor(0.0))
    >>> x.backward()
    >>> x, alpha.grad
    (tensor(0., grad_fn=<LogGammaBackward>), tensor(1.1736))
    """
    return drawn
