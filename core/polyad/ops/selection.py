"""Choosing among elements: the larger, the smaller, by a condition; and replacing some."""

from __future__ import annotations

import math
from typing import Any, Final

from ..dispatch import facade, function
from ..errors import ShapeError
from ..function import XP, Fails, Sample
from ..rules import is_complex
from ..tensor import Tensor
from .elementwise import Operand, two

__all__ = [
    "clip",
    "fmax",
    "fmin",
    "masked_fill",
    "maximum",
    "minimum",
    "nan_to_num",
    "where",
]


def _differs(g: Any, x1: Any, x2: Any, xp: Any, larger: bool) -> Any:
    """Gradient of the one that was chosen; among equals each has half, beside NaN all of it, as in PyTorch."""
    lost = x1 < x2 if larger else x1 > x2
    return xp.where(x1 == x2, g / 2, xp.where(xp.logical_not(lost), g, 0))


@function(
    takes="real",
    elementwise=True,
    standard=True,
    x1=lambda g, x1, x2, xp: _differs(g, x1, x2, xp, True),
    x2=lambda g, x1, x2, xp: _differs(g, x2, x1, xp, True),
    samples=[*two(), Sample([1.0, 2.0], [1.0, 3.0], name="a tie", grad=False)],
)
def maximum(x1: Operand, x2: Operand, /) -> Tensor:
    """The larger of two elements; NaN if either is. Equal elements share the gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.maximum(ad.tensor([1.0, 5.0]), 3.0)
    tensor([3., 5.])
    """


@function(
    takes="real",
    elementwise=True,
    standard=True,
    x1=lambda g, x1, x2, xp: _differs(g, x1, x2, xp, False),
    x2=lambda g, x1, x2, xp: _differs(g, x2, x1, xp, False),
    samples=[*two(), Sample([1.0, 2.0], [1.0, 3.0], name="a tie", grad=False)],
)
def minimum(x1: Operand, x2: Operand, /) -> Tensor:
    """The smaller of two elements; NaN if either is. Equal elements share the gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.minimum(ad.tensor([1.0, 5.0]), 3.0)
    tensor([1., 3.])
    """


_NAN: Final = math.nan
_WITH_NAN: Final = Sample([1.0, _NAN, _NAN], [_NAN, 2.0, _NAN], name="NaN", grad=False)


@function(
    takes="real",
    elementwise=True,
    standard=True,
    x1=lambda g, xp, x1, x2: xp.where((x1 >= x2) | (x2 != x2), g, 0),
    x2=lambda g, xp, x1, x2: xp.where((x1 >= x2) | (x2 != x2), 0, g),
    samples=[*two(), _WITH_NAN],
)
def fmax(xp: XP, x1: Operand, x2: Operand, /) -> Tensor:
    """The larger of two elements; where one is NaN, the other. Of equal ones ``x1`` has the gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.fmax(ad.tensor([1.0, float("nan")]), 3.0)
    tensor([3., 3.])
    """
    return xp.where((x1 >= x2) | (x2 != x2), x1, x2)  # type: ignore[no-any-return, operator]


@function(
    takes="real",
    elementwise=True,
    standard=True,
    x1=lambda g, xp, x1, x2: xp.where((x1 <= x2) | (x2 != x2), g, 0),
    x2=lambda g, xp, x1, x2: xp.where((x1 <= x2) | (x2 != x2), 0, g),
    samples=[*two(), _WITH_NAN],
)
def fmin(xp: XP, x1: Operand, x2: Operand, /) -> Tensor:
    """The smaller of two elements; where one is NaN, the other. Of equal ones ``x1`` has the gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.fmin(ad.tensor([1.0, float("nan")]), 3.0)
    tensor([1., 3.])
    """
    return xp.where((x1 <= x2) | (x2 != x2), x1, x2)  # type: ignore[no-any-return, operator]


def _inside(g: Any, xp: Any, x: Any, min: Any, max: Any) -> Any:
    inside = True if min is None else x >= min
    if max is not None:
        inside = (x <= max) & inside
    return g if inside is True else xp.where(inside, g, 0)


def _clip(xp: XP, x: Any, min: Any = None, max: Any = None, /) -> Any:
    if min is not None:
        x = xp.maximum(x, min)
    return x if max is None else xp.minimum(x, max)


_clip_function = function(
    name="clip",
    takes="real",
    elementwise=True,
    x=_inside,
    min=lambda g, xp, x, min: xp.where(x < min, g, 0),
    max=lambda g, xp, x, max: xp.where(x > max, g, 0),
    samples=[
        Sample((3, 4), -1.0, 1.0),
        Sample((3, 4), None, 0.5, name="above"),
        Sample((3, 4), 0.5, name="below"),
        Sample((3, 4), [-1.0, -0.5, 0.0, 0.1], [[0.5], [0.7], [1.0]], name="by arrays"),
        Fails((2, 3), [0.0, 1.0], error=ShapeError, match=r"clip: .*\(2, 3\) and \(2,\) do not broadcast"),
    ],
)(_clip)


@facade(_clip_function)
def clip(x: Tensor, /, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """Each element, moved to the nearest number between ``min`` and ``max``.

    The gradient goes to ``x`` inside and at the bounds, to a bound outside of it, as in PyTorch.

    Parameters
    ----------
    x : Tensor
        Any shape; a real type.
    min, max : Tensor or number, optional
        Bounds that broadcast with ``x``. None for no bound.

    Returns
    -------
    Tensor
        The shape that ``x`` and the bounds broadcast to, and their common type.

    Raises
    ------
    ShapeError
        If shapes do not broadcast.
    DTypeError
        For bool and complex types.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.clip(ad.tensor([-2.0, 0.5, 3.0]), min=0.0, max=1.0)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return _clip_function(x, min, max)  # type: ignore[no-any-return]


@function(
    takes="any",
    promotes=(1, 2),
    elementwise=True,
    standard=True,
    x1=lambda g, xp, condition: xp.where(condition, g, 0),
    x2=lambda g, xp, condition: xp.where(condition, 0, g),
    samples=[
        Sample([[True], [False]], (2, 3), (3,)),
        Sample([True, False, True], (3,), 0.5),
        Sample([True, False, True], 1.0, 0.0, name="two numbers"),
        Fails([True, False], (3,), (3,), error=ShapeError, match=r"where: .* do not broadcast"),
    ],
)
def where(condition: Tensor, x1: Operand, x2: Operand, /) -> Tensor:
    """Elements of ``x1`` where ``condition`` holds, otherwise of ``x2``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.where(ad.tensor([True, False]), 1.0, ad.tensor([5.0, 6.0]))
    tensor([1., 6.])
    """


@function(
    takes="any",
    promotes=(0, 2),
    elementwise=True,
    x=lambda g, xp, mask: xp.where(mask, 0, g),
    value=lambda g, xp, mask: xp.where(mask, g, 0),
    samples=[
        Sample((2, 3), [[True], [False]], 1.5),
        Sample((3,), [True, False, True], (), name="by a tensor"),
        Sample((2, 0), [[True], [False]], 0.0),
        Fails((3,), [True, False], 0.0, error=ShapeError, match=r"masked_fill: .* do not broadcast"),
    ],
)
def masked_fill(xp: XP, x: Tensor, mask: Tensor, value: Operand, /) -> Tensor:
    """Elements of ``x``, and ``value`` where ``mask`` holds.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.masked_fill(ad.tensor([1.0, 2.0, 3.0]), ad.tensor([True, False, True]), -1.0)
    tensor([-1.,  2., -1.])
    """
    return xp.where(mask, value, x)  # type: ignore[no-any-return]


_INF: Final = math.inf


def _kept(g: Any, xp: Any, x: Any) -> Any:
    """The gradient of what stayed as it was; for complex numbers each part by itself."""
    if not is_complex(x.dtype):
        return xp.where(xp.isfinite(x), g, 0)
    real, imag = (xp.where(xp.isfinite(part(x)), part(g), 0) for part in (xp.real, xp.imag))
    return real + 1j * imag


@function(
    elementwise=True,
    takes="numeric",
    x=_kept,
    samples=[
        Sample((3, 4)),
        Sample([1.0, _NAN, _INF, -_INF], posinf=9.0, neginf=-9.0, name="replaced"),
        Sample([1.0, _NAN], nan=5.0),
    ],
)
def nan_to_num(
    xp: XP, x: Tensor, /, *, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Elements with NaN and infinities replaced by numbers; their gradient is 0.

    Without ``posinf`` and ``neginf`` infinities become the largest and smallest numbers of the type. The parts of
    complex numbers are replaced each by itself.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nan_to_num(ad.tensor([1.0, float("nan"), float("inf")]), posinf=9.0)
    tensor([1., 0., 9.])
    """
    if is_complex(x.dtype):
        parts = [xp.nan_to_num(part, nan=nan, posinf=posinf, neginf=neginf) for part in (xp.real(x), xp.imag(x))]
        return parts[0] + 1j * parts[1]  # type: ignore[no-any-return]
    if "int" in str(x.dtype):  # there is nothing to replace
        return x
    largest = xp.nextafter(xp.full_like(x, _INF), xp.zeros_like(x))
    x = xp.where(x == _INF, largest if posinf is None else posinf, x)
    x = xp.where(x == -_INF, -largest if neginf is None else neginf, x)
    return xp.where(x != x, nan, x)  # type: ignore[no-any-return]
