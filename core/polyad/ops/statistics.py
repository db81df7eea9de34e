"""Reductions beyond the standard: of exponentials, without NaN, weighted; ranges and covariances."""

from __future__ import annotations

import math
from typing import Any

from ..batching import along
from ..dispatch import function
from ..errors import DTypeError, ShapeError
from ..function import XP, Fails, Sample
from ..rules import count, is_complex, unreduce
from ..tensor import Tensor, not_a_tensor
from .arguments import Axis, normalize_axes
from .complex_parts import conj, real
from .diagonals import diagonal
from .joining import concat
from .manipulation import atleast_2d
from .products import matmul
from .reduction import along_axes, mean, prod_jvp, prod_rule, reducing, sum_
from .selection import clip, where

__all__ = [
    "aminmax",
    "average",
    "corrcoef",
    "cov",
    "logsumexp",
    "nanmax",
    "nanmean",
    "nanmin",
    "nanprod",
    "nanstd",
    "nansum",
    "nanvar",
    "ptp",
]

_INF = math.inf


# Exponentials ---------------------------------------------------------------------------------------------------


def _shares(xp: Any, x: Any, out: Any, axis: Any, keepdims: Any) -> Any:
    """Which part of the sum each exponential is."""
    size = xp.real(out) if is_complex(out.dtype) else out
    finite = xp.where(size == -_INF, 0, out)  # where all are -inf, none has a gradient
    return xp.exp(x - unreduce(xp, finite, x.shape, axis, keepdims))


def _logsumexp_rule(g: Any, xp: Any, x: Any, out: Any, axis: Any, keepdims: Any) -> Any:
    return unreduce(xp, g, x.shape, axis, keepdims) * _shares(xp, x, out, axis, keepdims)


def _logsumexp_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: Any, keepdims: Any) -> Any:
    return xp.sum(tangents[0] * _shares(xp, x, out, axis, keepdims), axis=axis, keepdims=keepdims)


@function(
    takes="floating",
    wide=True,
    check=reducing("logsumexp"),
    batching=along("axis"),
    jvp=_logsumexp_jvp,
    x=_logsumexp_rule,
    samples=[
        *along_axes(),
        Sample((0, 3), axis=0, name="of nothing", grad=False),
        Sample([[-_INF, 1000.0, 999.0], [-_INF, -_INF, -_INF], [1.0, _INF, 0.0]], axis=1, name="far out", grad=False),
    ],
)
def logsumexp(xp: XP, x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Logarithm of the sum of exponentials along axes, without overflow; -inf of no elements.

    Elements of -inf have no part in it, and a gradient of 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.logsumexp(ad.tensor([1000.0, 0.0])), ad.logsumexp(ad.zeros(2))
    (tensor(1000.), tensor(0.6931))
    """
    if not count(x.shape, axis):  # type: ignore[arg-type]
        return xp.log(xp.sum(x, axis=axis, keepdims=keepdims))  # type: ignore[no-any-return]
    top = xp.max(xp.real(x) if is_complex(x.dtype) else x, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, 0)  # infinity minus infinity is NaN
    found = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    return found if keepdims else xp.squeeze(found, axis=axis)  # type: ignore[no-any-return]


# Without NaN ----------------------------------------------------------------------------------------------------

_NAN = math.nan
_SOME = Sample([[1.0, _NAN, -3.0], [_NAN, 0.5, 2.0]], axis=1, name="some NaN", grad=False)
_ALL = Sample([[_NAN, _NAN], [1.0, 2.0]], axis=1, name="all NaN", grad=False)


def _nansum_rule(g: Any, xp: Any, x: Any, axis: Any, keepdims: Any) -> Any:
    return xp.where(x == x, unreduce(xp, g, x.shape, axis, keepdims), 0)


def _nansum_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: Any, keepdims: Any) -> Any:
    return xp.sum(xp.where(x == x, tangents[0], 0), axis=axis, keepdims=keepdims)


@function(
    takes="any",
    accumulates=True,
    wide=True,
    check=reducing("nansum"),
    batching=along("axis"),
    jvp=_nansum_jvp,
    x=_nansum_rule,
    samples=[*along_axes(), _SOME, _ALL],
)
def nansum(xp: XP, x: Tensor, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Sum along axes of the elements other than NaN; 0 of none.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nansum(ad.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    return xp.sum(xp.where(x == x, x, 0), axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]


def _nanprod_rule(g: Any, xp: Any, x: Any, axis: Any, keepdims: Any) -> Any:
    return xp.where(x == x, prod_rule(g, xp, xp.where(x == x, x, 1), axis, keepdims), 0)


def _nanprod_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: Any, keepdims: Any) -> Any:
    moved, clean = xp.where(x == x, tangents[0], 0), xp.where(x == x, x, 1)
    return prod_jvp(xp, (moved,), out, clean, axis=axis, keepdims=keepdims)


@function(
    takes="any",
    accumulates=True,
    wide=True,
    check=reducing("nanprod"),
    batching=along("axis"),
    jvp=_nanprod_jvp,
    x=_nanprod_rule,
    samples=[*along_axes(), _SOME, _ALL],
)
def nanprod(xp: XP, x: Tensor, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Product along axes of the elements other than NaN; 1 of none.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nanprod(ad.tensor([3.0, float("nan"), 2.0]))
    tensor(6.)
    """
    return xp.prod(xp.where(x == x, x, 1), axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]


def _counted(xp: Any, x: Any, axis: Any, keepdims: Any) -> Any:
    """How many elements are not NaN, as real numbers of the type of ``x``."""
    present = xp.astype(x == x, x.dtype)
    return xp.sum(xp.real(present) if is_complex(x.dtype) else present, axis=axis, keepdims=keepdims)


def _nanmean_rule(g: Any, xp: Any, x: Any, axis: Any, keepdims: Any) -> Any:
    n = xp.maximum(_counted(xp, x, axis, True), 1)
    return xp.where(x == x, unreduce(xp, g, x.shape, axis, keepdims) / n, 0)


def _nanmean_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: Any, keepdims: Any) -> Any:
    total = xp.sum(xp.where(x == x, tangents[0], 0), axis=axis, keepdims=keepdims)
    return total / xp.maximum(_counted(xp, x, axis, keepdims), 1)


@function(
    takes="floating",
    wide=True,
    check=reducing("nanmean"),
    batching=along("axis"),
    jvp=_nanmean_jvp,
    x=_nanmean_rule,
    samples=[*along_axes(), _SOME, _ALL],
)
def nanmean(xp: XP, x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean along axes of the elements other than NaN; NaN of none.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nanmean(ad.tensor([1.0, float("nan"), 2.0]))
    tensor(1.5000)
    """
    total = xp.sum(xp.where(x == x, x, 0), axis=axis, keepdims=keepdims)
    return total / _counted(xp, x, axis, keepdims)  # type: ignore[no-any-return]


def _nanvar_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: Any, correction: Any, keepdims: Any) -> Any:
    here, n = x == x, _counted(xp, x, axis, True)
    mean_ = xp.sum(xp.where(here, x, 0), axis=axis, keepdims=True) / xp.maximum(n, 1)
    products = xp.where(here, xp.conj(x - mean_) if is_complex(x.dtype) else x - mean_, 0) * tangents[0]
    left = n - correction
    total = xp.sum(xp.real(products) if is_complex(x.dtype) else products, axis=axis, keepdims=True)
    moved = xp.where(left > 0, 2 * total / xp.where(left > 0, left, 1), _NAN)
    return moved if keepdims else xp.squeeze(moved, axis=axis)


@function(
    takes="floating",
    gives="real",
    wide=True,
    check=reducing("nanvar", correction=0.0),
    batching=along("axis"),
    jvp=_nanvar_jvp,
    samples=[*along_axes(), Sample((3, 4), axis=0, correction=1), _SOME, _ALL],
)
def nanvar(xp: XP, x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Variance along axes of the elements other than NaN: see `var`. NaN of too few.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nanvar(ad.tensor([1.0, float("nan"), 3.0]))
    tensor(1.)
    """
    n = _counted(xp, x, axis, True)
    clean = xp.where(x == x, x, 0)
    off = xp.where(x == x, clean - xp.sum(clean, axis=axis, keepdims=True) / xp.maximum(n, 1), 0)
    squares = off * off if not is_complex(x.dtype) else xp.real(off) ** 2 + xp.imag(off) ** 2
    left = n - correction
    found = xp.sum(squares, axis=axis, keepdims=True) / xp.where(left > 0, left, 1)
    found = xp.where(left > 0, found, _NAN)
    return found if keepdims else xp.squeeze(found, axis=axis)  # type: ignore[no-any-return]


@function(
    takes="floating",
    gives="real",
    wide=True,
    check=reducing("nanstd", correction=0.0),
    batching=along("axis"),
    samples=[
        *[s for s in along_axes() if isinstance(s, Fails) or (s.arrays != ((),) and s.params.get("axis") != ())],
        Sample((3, 4), axis=0, correction=1),
        Sample([[1.0, 1.0], [1.0, _NAN]], axis=1, name="without spread", grad=False),
        _SOME,
        _ALL,
    ],
)
def nanstd(xp: XP, x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Standard deviation along axes of the elements other than NaN: see `std`. NaN of too few.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nanstd(ad.tensor([1.0, float("nan"), 3.0]))
    tensor(1.)
    """
    found = xp.nanvar(x, axis=axis, correction=correction, keepdims=keepdims)
    return xp.where(found == 0, 0, xp.sqrt(xp.where(found == 0, 1, found)))  # type: ignore[no-any-return]


def _nanextreme(name: str, words: str, other: str, result: str) -> Any:
    worst = -_INF if other == "max" else _INF

    def definition(xp: XP, x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        extreme = getattr(xp, other)
        if "float" not in str(x.dtype):
            return extreme(x, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]
        found = extreme(xp.where(x == x, x, worst), axis=axis, keepdims=keepdims)
        return xp.where(xp.any(x == x, axis=axis, keepdims=keepdims), found, _NAN)  # type: ignore[no-any-return]

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words} of the elements other than NaN along axes; NaN of none.

    Equal ones share the gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([1.0, float("nan"), 2.0]))
    {result}
    """
    return function(
        takes="real or bool",
        check=reducing(name, empty=False),
        batching=along("axis"),
        samples=[
            *along_axes(),
            _SOME,
            _ALL,
            Sample([[-_INF, _NAN], [_INF, _NAN]], axis=1, name="infinities", grad=False),
            Fails((0, 3), axis=0, error=ShapeError, match=f"{name}: no elements to choose from"),
            Fails([1 + 2j], error=DTypeError, match=f"{name} takes real or bool arrays; got complex"),
        ],
    )(definition)


nanmax = _nanextreme("nanmax", "Largest", "max", "tensor(2.)")
nanmin = _nanextreme("nanmin", "Smallest", "min", "tensor(1.)")


# Ranges ---------------------------------------------------------------------------------------------------------


@function(
    takes="real",
    check=reducing("ptp", empty=False),
    batching=along("axis"),
    samples=[*along_axes(), Fails((0, 3), axis=0, error=ShapeError, match="ptp: no elements to choose from")],
)
def ptp(xp: XP, x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Range of the elements along axes, from peak to peak: the largest less the smallest.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.ptp(ad.tensor([3.0, 1.0, 2.0]))
    tensor(2.)
    """
    return xp.max(x, axis=axis, keepdims=keepdims) - xp.min(x, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]


@function(
    takes="real or bool",
    outputs=("min", "max"),
    check=reducing("aminmax", empty=False),
    batching=along("axis"),
    samples=[*along_axes(), Fails((0, 3), axis=0, error=ShapeError, match="aminmax: no elements to choose from")],
)
def aminmax(xp: XP, x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """The smallest and the largest element along axes: ``min`` and ``max``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.aminmax(ad.tensor([3.0, 1.0, 2.0]))
    AminmaxResult(min=tensor(1.), max=tensor(3.))
    """
    return xp.min(x, axis=axis, keepdims=keepdims), xp.max(x, axis=axis, keepdims=keepdims)


# Weighted, and of several variables -----------------------------------------------------------------------------


def average(
    x: Tensor,
    /,
    axis: Axis = None,
    weights: Tensor | None = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    """Mean along axes, weighted.

    Parameters
    ----------
    x : Tensor
        Of any shape and floating-point type; others become float32.
    axis : int or tuple of int, optional
        The dimensions; by default all.
    weights : Tensor, optional
        Of the shape of ``x``, or of one dimension and the length of the one axis. By default all are 1.
    returned : bool
        Whether the sum of the weights is returned too.
    keepdims : bool
        Whether the axes stay, with length 1.

    Returns
    -------
    Tensor, or two of them
        The mean is infinite or NaN where the weights add up to 0.

    Raises
    ------
    ShapeError
        If the weights have another shape.
    IndexOutOfRangeError
        If there is no such dimension.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.average(ad.tensor([1.0, 2.0, 3.0]), weights=ad.tensor([1.0, 1.0, 2.0]))
    tensor(2.2500)
    """
    if not isinstance(x, Tensor):
        not_a_tensor("average", "x", x)
    axes = normalize_axes("average", axis, x.ndim)
    if weights is None:
        found = mean(x, axis=axes, keepdims=keepdims)
        return (found, found * 0 + count(x.shape, axes)) if returned else found
    if weights.shape != x.shape:
        if len(axes) != 1 or weights.shape != (x.shape[axes[0]],):
            raise ShapeError(
                f"average: the weights have shape {weights.shape}; expected that of x, {x.shape}, or the length of the "
                f"one axis"
            )
        weights = weights.reshape(tuple(-1 if i == axes[0] else 1 for i in range(x.ndim)))
    total = sum_(weights.expand(x.shape), axis=axes, keepdims=keepdims)
    found = sum_(x * weights, axis=axes, keepdims=keepdims) / total
    return (found, total) if returned else found


def _observed(name: str, x: Tensor, y: Tensor | None, rowvar: bool) -> Tensor:
    """A matrix with a row for each variable."""
    for argument, value in {"x": x, "y": y}.items():
        if value is None and argument == "y":
            continue
        if not isinstance(value, Tensor):
            not_a_tensor(name, argument, value)
        if value.ndim > 2:
            raise ShapeError(
                f"{name}: {argument} has shape {value.shape}; expected at most two dimensions, of variables and of "
                f"observations"
            )

    def rows(value: Tensor) -> Tensor:
        one = value.ndim < 2
        value = atleast_2d(value)
        return value if rowvar or one else value.mT

    return rows(x) if y is None else concat([rows(x), rows(y)], axis=0)


def cov(
    x: Tensor,
    /,
    y: Tensor | None = None,
    *,
    rowvar: bool = True,
    bias: bool = False,
    correction: float | None = None,
    ddof: float | None = None,
    fweights: Tensor | None = None,
    aweights: Tensor | None = None,
) -> Tensor:
    """Covariances of variables, of each pair.

    Parameters
    ----------
    x : Tensor
        Of at most two dimensions: a row for each variable, a column for each observation.
    y : Tensor, optional
        Further variables.
    rowvar : bool
        False where variables stand in columns.
    bias : bool
        Whether to divide by the number of observations, instead of one less.
    correction, ddof : float, optional
        What is subtracted from the number of observations instead: PyTorch's name of it, and NumPy's.
    fweights, aweights : Tensor, optional
        How often each observation was made, and how much it counts; of one dimension.

    Returns
    -------
    Tensor
        A matrix; without dimensions for one variable. NaN of too few observations.

    Raises
    ------
    ShapeError
        If there are more dimensions, or weights of another length.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.cov(ad.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    rows = _observed("cov", x, y, rowvar)
    correction = ddof if correction is None else correction
    correction = (0 if bias else 1) if correction is None else correction
    n = rows.shape[1]
    for name, weights in (("fweights", fweights), ("aweights", aweights)):
        if weights is not None and weights.shape != (n,):
            raise ShapeError(f"cov: {name} has shape {weights.shape}; expected {(n,)}, one for each observation")
    if fweights is None and aweights is None:
        off = rows - mean(rows, axis=1, keepdims=True)
        left = n - correction
        found = matmul(off, conj(off).mT) / (left if left > 0 else math.nan)
    else:
        weights = aweights if fweights is None else fweights if aweights is None else fweights * aweights
        assert weights is not None
        total = sum_(weights)
        off = rows - sum_(rows * weights, axis=1, keepdims=True) / total
        spread = total - correction * (1 if aweights is None else sum_(weights * aweights) / total)
        found = matmul(off * weights, conj(off).mT) / where(spread > 0, spread, math.nan)
    return found.squeeze()


def corrcoef(x: Tensor, /, y: Tensor | None = None, *, rowvar: bool = True) -> Tensor:
    """Correlation coefficients of variables, of each pair: covariances divided by standard deviations.

    Parameters
    ----------
    x : Tensor
        Of at most two dimensions: a row for each variable, a column for each observation.
    y : Tensor, optional
        Further variables.
    rowvar : bool
        False where variables stand in columns.

    Returns
    -------
    Tensor
        A matrix of numbers from -1 to 1; without dimensions for one variable.

    Raises
    ------
    ShapeError
        If there are more dimensions.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.corrcoef(ad.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]]))
    tensor([[ 1.0000, -1.0000],
            [-1.0000,  1.0000]])
    """
    found = cov(_observed("corrcoef", x, y, rowvar), correction=0)
    if not found.ndim:
        return found / found
    spread = real(diagonal(found)).sqrt()
    found = found / spread[:, None] / spread[None, :]
    return found if found.dtype.is_complex else clip(found, -1, 1)
