"""Rounding to integers."""

from __future__ import annotations

from typing import Any

from ..dispatch import facade, function
from ..dtypes import float64
from ..function import XP
from ..tensor import Tensor
from .arguments import as_integer
from .elementwise import one
from .transfer import astype

__all__ = [
    "ceil",
    "floor",
    "frac",
    "trunc",
]


def _zero(g: Any, xp: Any) -> Any:
    """The derivative of a step, wherever there is one. PyTorch too records it: gradients arrive, as zeros."""
    return xp.zeros_like(g)


@function(elementwise=True, takes="real", standard=True, x=_zero, samples=one())
def ceil(x: Tensor, /) -> Tensor:
    """Smallest integer that is not less. Its derivative is 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.ceil(ad.tensor([-1.5, 0.5, 2.5]))
    tensor([-1.,  1.,  3.])
    """


@function(elementwise=True, takes="real", standard=True, x=_zero, samples=one())
def floor(x: Tensor, /) -> Tensor:
    """Largest integer that is not greater. Its derivative is 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.floor(ad.tensor([-1.5, 0.5, 2.5]))
    tensor([-2.,  0.,  2.])
    """


@function(elementwise=True, takes="real", standard=True, x=_zero, samples=one())
def trunc(x: Tensor, /) -> Tensor:
    """Nearest integer towards zero. Its derivative is 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.trunc(ad.tensor([-1.5, 0.5, 2.5]))
    tensor([-1.,  0.,  2.])
    """


@function(elementwise=True, name="round", takes="numeric", standard=True, x=_zero, samples=one())
def _rounded(x: Tensor, /) -> Tensor:
    """Nearest integer, of two the even one; see `polyad.round`."""


@facade(_rounded)
def round_(x: Tensor, /, *, decimals: int = 0) -> Tensor:
    """Nearest integer; of two that are equally near the even one. Its derivative is 0.

    Of complex numbers both parts are rounded.

    Parameters
    ----------
    x : Tensor
        Any shape; a numeric type.
    decimals : int
        How many decimals to keep; negative ones are places before the point.

    Returns
    -------
    Tensor
        Of the shape and type of ``x``.

    Raises
    ------
    DTypeError
        For bool.
    OperandError
        If ``decimals`` is no integer.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.round(ad.tensor([-1.5, 0.5, 2.5]))
    tensor([-2.,  0.,  2.])
    >>> ad.round(ad.tensor([1.26, 2.04]), decimals=1)
    tensor([1.3000, 2.0000])
    """
    if decimals == 0:
        return _rounded(x)
    places = as_integer("round", "decimals", decimals)
    if not x.dtype.is_differentiable:  # integers, which have nothing behind the point
        return _rounded(x) if places > 0 else astype(round_(astype(x, float64), decimals=places), x.dtype)
    scale = 10.0 ** abs(places)
    return _rounded(x * scale) / scale if places > 0 else _rounded(x / scale) * scale


@function(elementwise=True, takes="real floating", x=lambda g: g, samples=one())
def frac(xp: XP, x: Tensor, /) -> Tensor:
    """What is behind the point, with the sign of ``x``: ``x - trunc(x)``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.frac(ad.tensor([-1.5, 0.25, 2.5]))
    tensor([-0.5000,  0.2500,  0.5000])
    """
    return x - xp.trunc(x)  # type: ignore[no-any-return]
