"""Parts of complex numbers: conjugate, real and imaginary part, angle."""

from __future__ import annotations

from typing import Any

from ..dispatch import function
from ..function import XP
from ..rules import is_complex
from ..tensor import Tensor
from .elementwise import one

__all__ = [
    "angle",
    "conj",
    "imag",
    "isreal",
    "real",
]


@function(elementwise=True, jvp="linear", takes="any", standard=True, x=lambda g, xp: xp.conj(g), samples=one())
def conj(x: Tensor, /) -> Tensor:
    """Complex conjugate; real numbers as they are.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.conj(ad.tensor([1 + 2j]))
    tensor([1.-2.j])
    """


@function(
    elementwise=True,
    jvp="linear",
    takes="numeric",
    gives="real",
    standard=True,
    x=lambda g, xp, x_dtype: xp.astype(g, x_dtype),
    samples=one(),
)
def real(x: Tensor, /) -> Tensor:
    """Real part.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.real(ad.tensor([1 + 2j]))
    tensor([1.])
    """


def _imag_rule(g: Any, xp: Any, x_dtype: Any) -> Any:
    return g * -1j if is_complex(x_dtype) else xp.zeros_like(g)


@function(elementwise=True, jvp="linear", takes="numeric", gives="real", standard=True, x=_imag_rule, samples=one())
def imag(x: Tensor, /) -> Tensor:
    """Imaginary part; of real numbers 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.imag(ad.tensor([1 + 2j]))
    tensor([2.])
    """


def _angle_rule(g: Any, xp: Any, x: Any) -> Any:
    if not is_complex(x.dtype):
        return xp.zeros_like(g)
    # the imaginary part of dx / x
    return xp.where(x == 0, 0, g * -1j / xp.where(x == 0, 1, x))


@function(elementwise=True, jvp="transposed", takes="floating", gives="real", x=_angle_rule, samples=one(0.5, 2.0))
def angle(xp: XP, x: Tensor, /) -> Tensor:
    """Angle of a complex number in radians, from the positive real axis; its derivative at 0 is taken as 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.angle(ad.tensor([1j, -1 + 0j]))
    tensor([1.5708, 3.1416])
    """
    return xp.atan2(xp.imag(x), xp.real(x))  # type: ignore[no-any-return]


@function(elementwise=True, takes="any", gives="bool", standard=True, differentiable=False, samples=one())
def isreal(xp: XP, x: Tensor, /) -> Tensor:
    """Whether the imaginary part is 0, as that of a real number is.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.isreal(ad.tensor([1 + 0j, 1j]))
    tensor([ True, False])
    """
    if is_complex(x.dtype):
        return xp.imag(x) == 0  # type: ignore[no-any-return]
    return (x == x) | (x != x)  # every one, NaN too
