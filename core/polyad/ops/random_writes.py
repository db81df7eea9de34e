"""Methods that fill a tensor with random numbers, in place: ``x.normal_()`` and its like."""

from __future__ import annotations

from typing import Any

from ..dtypes import INTEGER_RANGE, float32, float64
from ..errors import ArgumentError, DTypeError
from ..grad_mode import no_grad
from ..tensor import Tensor
from . import distributions, sampling
from .generators import Generator
from .random import check_range, randint
from .transfer import write

__all__ = ["bernoulli_", "exponential_", "normal_", "random_", "uniform_"]


def _drawing(x: Tensor, name: str, generator: Generator | None) -> dict[str, Any]:
    """The keywords to draw numbers that fit a tensor."""
    if not x.dtype.is_floating_point:
        raise DTypeError(
            f"{name}: real floating-point numbers do not fit a tensor of {x.dtype.name}; write x.float().{name}(...), "
            f"or x.random_(low, high) for integers"
        )
    dtype = x.dtype if x.dtype in (float32, float64) else float32
    return {"size": x.shape, "generator": generator, "dtype": dtype, "device": x.device}


def normal_(x: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill the tensor with normally distributed numbers, in place. Returns it.

    Parameters
    ----------
    mean, std : float
    generator : Generator, optional

    Raises
    ------
    ArgumentError
        If ``std`` is negative.
    DTypeError
        If the tensor is of no real floating-point type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.empty(2, 3).normal_(0.0, 0.02).shape
    (2, 3)
    """
    return write(x, distributions.normal(mean, std, **_drawing(x, "normal_", generator)), "normal_")


def uniform_(x: Tensor, low: float = 0.0, high: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill the tensor with numbers evenly distributed in [low, high), in place. Returns it.

    Parameters
    ----------
    low, high : float
    generator : Generator, optional

    Raises
    ------
    ArgumentError
        If ``high`` is less than ``low``.
    DTypeError
        If the tensor is of no real floating-point type.

    Examples
    --------
    >>> import polyad as ad
    >>> bool((ad.empty(100).uniform_(-1, 1) >= -1).all())
    True
    """
    return write(x, distributions.uniform(low, high, **_drawing(x, "uniform_", generator)), "uniform_")


def exponential_(x: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill the tensor with exponentially distributed numbers, in place. Returns it.

    Parameters
    ----------
    lambd : float
        The rate, as in PyTorch: one over the scale of `polyad.random.exponential`.
    generator : Generator, optional

    Raises
    ------
    ArgumentError
        If the rate is not positive.
    DTypeError
        If the tensor is of no real floating-point type.

    Examples
    --------
    >>> import polyad as ad
    >>> bool((ad.empty(100).exponential_(2.0) >= 0).all())
    True
    """
    if not lambd > 0:
        raise ArgumentError(f"exponential_: lambd, the rate, must be positive; got {lambd!r}")
    return write(x, distributions.exponential(1 / lambd, **_drawing(x, "exponential_", generator)), "exponential_")


def bernoulli_(x: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Fill the tensor with 1, each with probability ``p``, and 0, in place. Returns it.

    Parameters
    ----------
    p : float or Tensor
        Between 0 and 1; a tensor broadcasts to this one.
    generator : Generator, optional

    Raises
    ------
    ArgumentError
        If ``p`` is no probability.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.empty(3).bernoulli_(1.0)
    tensor([1., 1., 1.])
    """
    place = {} if isinstance(p, Tensor) else {"device": x.device}
    drawn = sampling.bernoulli(p, x.shape, generator=generator, dtype=x.dtype, **place)  # type: ignore[arg-type]
    return write(x, drawn, "bernoulli_")


_EXACT = {"float16": 2**11, "bfloat16": 2**8, "float32": 2**24, "float64": 2**53}


def random_(
    x: Tensor, low: int | None = None, high: int | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Fill the tensor with integers evenly distributed in [low, high), in place. Returns it.

    With ``random_(high)`` the smallest is 0; with ``random_()`` also the largest is one less than what the type holds
    without rounding.

    Parameters
    ----------
    low, high : int
    generator : Generator, optional

    Raises
    ------
    ArgumentError
        If there is no integer between them, or the type does not hold them all.

    Examples
    --------
    >>> import polyad as ad
    >>> bool((ad.empty(100).random_(10) < 10).all())
    True
    """
    if high is None:
        low, high = 0, _limit(x) if low is None else low
    low = 0 if low is None else low
    check_range("random_", low, high, x.dtype)
    with no_grad():
        return write(x, randint(low, high, x.shape, generator=generator, device=x.device), "random_")


def _limit(x: Tensor) -> int:
    """One more than the largest integer up to which a type holds all."""
    if x.dtype in INTEGER_RANGE:
        return int(min(INTEGER_RANGE[x.dtype][1] + 1, 2**63))
    return int(_EXACT.get(x.dtype.name, 2))
