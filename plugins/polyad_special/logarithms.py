"""Entropies, products with logarithms, the logistic function and its relatives."""

from __future__ import annotations

import math
from typing import Any, Final

import polyad as ad
from polyad.batching import along
from polyad.errors import IndexOutOfRangeError, OperandError

from .common import EDGES, as_array, one, two

__all__ = [
    "entr",
    "expit",
    "kl_div",
    "log_expit",
    "log_softmax",
    "logit",
    "rel_entr",
    "softmax",
    "xlog1py",
]

Shape = tuple[int, ...]
inf, nan = math.inf, math.nan

_GRID: Final = [-1.0, 0.0, 0.5, 1.0, inf, nan]
_PAIRS: Final = ad.Sample(
    [a for a in _GRID for _ in _GRID], [b for _ in _GRID for b in _GRID], name="edges", grad=False
)


def _where(xp: Any, condition: Any, a: float, b: float, like: Any) -> Any:
    """One of two numbers, in an array's type: the standard chooses among arrays only."""
    return xp.where(condition, a, xp.zeros_like(like) + b)


def _log(xp: Any, x: Any) -> Any:
    """Logarithm; NaN below 0 and -inf at 0, where libraries warn."""
    return xp.where(x > 0, xp.log(xp.where(x > 0, x, 1.0)), _where(xp, x == 0, -inf, nan, x))


# Entropy ----------------------------------------------------------------------------------------------------


@ad.function(
    name="special.entr",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, x: g * (-1 - _log(xp, x)),
    samples=one("entr", 0.2, 3.0),
)
def entr(xp: ad.XP, x: ad.Tensor, /) -> ad.Tensor:
    """Entropy of one probability, ``-x * log(x)``: 0 at 0, -inf below.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.entr(ad.tensor([0.0, 0.5, 0.25]))
    tensor([0.0000, 0.3466, 0.3466])
    """
    return xp.where(x < 0, -inf, -xp.xlogy(x, xp.abs(x)))  # type: ignore[no-any-return]


def _inside(xp: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """Where a relative entropy is differentiable in both, with numbers instead of others elsewhere."""
    inside = (x > 0) & (y > 0)
    return inside, xp.where(inside, x, 1.0), xp.where(inside, y, 1.0)


def _log_ratio(xp: Any, x: Any, y: Any, beyond: float) -> Any:
    """``log(x / y)`` plus ``beyond``: -inf at ``x = 0``, NaN where either is negative."""
    inside, x1, y1 = _inside(xp, x, y)
    return xp.where(inside, xp.log(x1 / y1) + beyond, _where(xp, (x == 0) & (y > 0), -inf, nan, x))


def _quotient(xp: Any, x: Any, y: Any) -> Any:
    """``x / y``: 0 at ``x = 0``, NaN where either is negative."""
    inside, x1, y1 = _inside(xp, x, y)
    return xp.where(inside, x1 / y1, _where(xp, (x == 0) & (y > 0), 0.0, nan, x))


def _relative(xp: Any, x: Any, y: Any, more: Any) -> Any:
    """``x * log(x / y) + more``: ``more`` alone at ``x = 0``, inf outside."""
    inside, x1, y1 = _inside(xp, x, y)
    outside = xp.where((x == 0) & (y >= 0), more, _where(xp, (x != x) | (y != y), nan, inf, x))
    return xp.where(inside, x1 * xp.log(x1 / y1) + more, outside)


@ad.function(
    name="special.rel_entr",
    takes="real floating",
    elementwise=True,
    wide=True,
    x=lambda g, xp, x, y: g * _log_ratio(xp, x, y, 1.0),
    y=lambda g, xp, x, y: g * -_quotient(xp, x, y),
    samples=two(0.2, 3.0, _PAIRS),
)
def rel_entr(xp: ad.XP, x: ad.Tensor, y: ad.Tensor, /) -> ad.Tensor:
    """Relative entropy of probabilities, ``x * log(x / y)``: 0 at ``x = 0``, inf outside.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.rel_entr(ad.tensor([0.0, 0.5]), ad.tensor([0.5, 0.25]))
    tensor([0.0000, 0.3466])
    """
    return _relative(xp, x, y, 0.0)  # type: ignore[no-any-return]


@ad.function(
    name="special.kl_div",
    takes="real floating",
    elementwise=True,
    wide=True,
    x=lambda g, xp, x, y: g * _log_ratio(xp, x, y, 0.0),
    y=lambda g, xp, x, y: g * (1 - _quotient(xp, x, y)),
    samples=two(0.2, 3.0, _PAIRS),
)
def kl_div(xp: ad.XP, x: ad.Tensor, y: ad.Tensor, /) -> ad.Tensor:
    """Kullback-Leibler divergence, ``x * log(x / y) - x + y``: ``y`` at ``x = 0``, inf outside.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.kl_div(ad.tensor([0.0, 0.5]), ad.tensor([0.5, 0.25]))
    tensor([0.5000, 0.0966])
    """
    return _relative(xp, x, y, y - x)  # type: ignore[no-any-return]


# Products with logarithms -----------------------------------------------------------------------------------


def _xlog1py_rule(g: Any, xp: Any, x: Any, y: Any) -> Any:
    y = as_array(xp, y, x)
    inside = y > -1
    outside = xp.where(x == 0, 0.0, xp.where(y == -1, -inf, xp.zeros_like(y) + nan))
    return g * xp.where(inside, xp.log1p(xp.where(inside, y, 0.0)), outside)


def _over(xp: Any, x: Any, y: Any) -> Any:
    """``x / y``; 0 of 0 and 0."""
    return x / xp.where((x == 0) & (y == 0), 1.0, y)


@ad.function(
    name="special.xlog1py",
    takes="real floating",
    elementwise=True,
    wide=True,
    x=_xlog1py_rule,
    y=lambda g, xp, x, y: g * _over(xp, x, 1 + y),
    samples=two(0.2, 3.0, _PAIRS, ad.Sample([0.0], [2.0], name="nothing of it")),
)
def xlog1py(xp: ad.XP, x: ad.Tensor, y: ad.Tensor, /) -> ad.Tensor:
    """``x * log1p(y)``, and 0 at ``x = 0`` whatever ``y`` is, unless NaN.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.xlog1py(ad.tensor([0.0, 2.0]), ad.tensor([-1.0, 1e-10]))
    tensor([0.0000e+00, 2.0000e-10])
    """
    nothing = (x == 0) & (y == y)
    return xp.where(nothing, 0.0, x * xp.log1p(xp.where(nothing, 0.0, y)))  # type: ignore[no-any-return]


# The logistic function --------------------------------------------------------------------------------------


@ad.function(
    name="special.expit",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, out: g * (out * (1 - out)),
    samples=one("expit", -3.0, 3.0, *EDGES, -1e4, 1e4),
)
def expit(xp: ad.XP, x: ad.Tensor, /) -> ad.Tensor:
    """Logistic function ``1 / (1 + exp(-x))``, accurate at both ends.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.expit(ad.tensor([-1e4, 0.0, 1e4]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    z = xp.exp(-xp.abs(x))  # at most 1, so neither side overflows
    return xp.where(x >= 0, 1.0, z) / (1 + z)  # type: ignore[no-any-return]


@ad.function(
    name="special.log_expit",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, xp, x: g * xp.special.expit(-x),
    samples=one("log_expit", -3.0, 3.0, *EDGES, -1e4, 1e4),
)
def log_expit(xp: ad.XP, x: ad.Tensor, /) -> ad.Tensor:
    """Logarithm of the logistic function, accurate at both ends.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.log_expit(ad.tensor([-1e4, 0.0]))
    tensor([-1.0000e+04, -6.9315e-01])
    """
    return xp.minimum(x, 0.0) - xp.log1p(xp.exp(-xp.abs(x)))  # type: ignore[no-any-return]


@ad.function(
    name="special.logit",
    elementwise=True,
    takes="real floating",
    wide=True,
    x=lambda g, x: g / (x * (1 - x)),
    samples=one("logit", 0.1, 0.9, -0.5, 0.0, 1e-30, 0.5, 1.0, 1.5, nan),
)
def logit(x: ad.Tensor, /) -> ad.Tensor:
    """Inverse of `expit`, ``log(x / (1 - x))``: infinite at 0 and 1, NaN outside.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.logit(ad.tensor([0.0, 0.5, 0.9]))
    tensor([  -inf, 0.0000, 2.1972])
    """


def _axes(name: str) -> Any:
    """Make the check of a function along some axes, or all."""

    def check(shape: Shape, *, axis: Any = None) -> dict[str, Any]:
        ndim = len(shape)
        axes = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        for a in axes:
            if type(a) is not int:
                raise OperandError(f"special.{name}: axis must be an integer or a tuple of them; got {axis!r}")
            if not -ndim <= a < ndim:
                valid = f"-{ndim} to {ndim - 1}" if ndim else "none, since the tensor is 0-d"
                raise IndexOutOfRangeError(
                    f"special.{name}: axis {a} is out of range for shape {shape}; valid: {valid}"
                )
        return {"axis": tuple(sorted({a % ndim for a in axes}))}

    return check


def _softmax_samples(name: str) -> list[ad.Sample]:
    return [
        ad.Sample((3, 4), axis=-1),
        ad.Sample((2, 3, 4), axis=(0, 2)),
        ad.Sample((2, 3), name="of all"),
        ad.Sample((), name="of one"),
        ad.Sample([[1e4, 0.0], [-inf, -1e4]], axis=1, name="far apart", grad=False),
        ad.Fails((2, 3), axis=2, error=IndexOutOfRangeError, match=r"axis 2 is out of range.*-2 to 1"),
        ad.Fails((2, 3), axis="0", error=OperandError, match=rf"special\.{name}: axis must be an integer"),
    ]


@ad.function(
    name="special.softmax",
    takes="real floating",
    wide=True,
    check=_axes("softmax"),
    batching=along("axis"),
    jvp=lambda xp, tangents, out, x, axis: out * (tangents[0] - xp.sum(tangents[0] * out, axis=axis, keepdims=True)),
    x=lambda g, xp, out, axis: out * (g - xp.sum(g * out, axis=axis, keepdims=True)),
    samples=_softmax_samples("softmax"),
)
def softmax(xp: ad.XP, x: ad.Tensor, /, *, axis: int | tuple[int, ...] | None = None) -> ad.Tensor:
    """Exponentials divided by their sum, over all elements unless ``axis`` says along which dimensions.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.softmax(ad.tensor([[1.0, 1.0], [0.0, 1e4]]), axis=1)
    tensor([[0.5000, 0.5000],
            [0.0000, 1.0000]])
    """
    z = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return z / xp.sum(z, axis=axis, keepdims=True)  # type: ignore[no-any-return]


@ad.function(
    name="special.log_softmax",
    takes="real floating",
    wide=True,
    check=_axes("log_softmax"),
    batching=along("axis"),
    jvp=lambda xp, tangents, out, x, axis: tangents[0] - xp.sum(tangents[0] * xp.exp(out), axis=axis, keepdims=True),
    x=lambda g, xp, out, axis: g - xp.exp(out) * xp.sum(g, axis=axis, keepdims=True),
    samples=_softmax_samples("log_softmax"),
)
def log_softmax(xp: ad.XP, x: ad.Tensor, /, *, axis: int | tuple[int, ...] | None = None) -> ad.Tensor:
    """Logarithm of `softmax`, computed without leaving the range of the type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.special.log_softmax(ad.tensor([0.0, 1e4]))
    tensor([-10000.,      0.])
    """
    return x - xp.logsumexp(x, axis=axis, keepdims=True)  # type: ignore[no-any-return]
