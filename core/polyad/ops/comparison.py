"""Comparison, logic, and tests of each element."""

from __future__ import annotations

import math
from typing import Any, Final

from ..dispatch import facade, function
from ..dtypes import float64
from ..function import XP, Sample
from ..tensor import Tensor
from .elementwise import Operand, one, two
from .reduction import all_
from .transfer import astype

__all__ = [
    "allclose",
    "array_equal",
    "equal",
    "greater",
    "greater_equal",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "not_equal",
]


# Comparison -------------------------------------------------------------------------------------------------


def _comparison(name: str, sign: str, takes: str, words: str) -> Any:
    def definition(x1: Operand, x2: Operand, /) -> Tensor:
        pass

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""Whether elements of ``x1`` are {words} those of ``x2``: ``x1 {sign} x2``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([1, 2, 3]), 2).tolist()
    {[eval(f"{a} {sign} 2") for a in (1, 2, 3)]}
    """
    samples = [
        *two(),
        Sample([1.0, 2.0], [1.0, 3.0], name="equal and not"),
        Sample([1, 2], 1.5, name="integers and a number between"),
    ]
    return function(takes=takes, gives="bool", elementwise=True, standard=True, differentiable=False, samples=samples)(
        definition
    )


equal = _comparison("equal", "==", "any", "equal to")
not_equal = _comparison("not_equal", "!=", "any", "different from")
less = _comparison("less", "<", "real or bool", "less than")
less_equal = _comparison("less_equal", "<=", "real or bool", "at most")
greater = _comparison("greater", ">", "real or bool", "greater than")
greater_equal = _comparison("greater_equal", ">=", "real or bool", "at least")


# Logic -------------------------------------------------------------------------------------------------------


def _logical(name: str, words: str, result: str) -> Any:
    def definition(x1: Operand, x2: Operand, /) -> Tensor:
        pass

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words}; numbers other than 0 count as true.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([True, False]), True)
    {result}
    """
    samples = [Sample((3, 1), (4,), domain="bools"), Sample((2,), (2,), domain="integers")]
    return function(takes="any", gives="bool", elementwise=True, standard=True, differentiable=False, samples=samples)(
        definition
    )


logical_and = _logical("logical_and", "Whether both are true", "tensor([ True, False])")
logical_or = _logical("logical_or", "Whether either is true", "tensor([True, True])")
logical_xor = _logical("logical_xor", "Whether one only is true", "tensor([False,  True])")


# Tests -------------------------------------------------------------------------------------------------------


_INF: Final = math.inf
_NAN: Final = math.nan
_NOT_FINITE: Final = Sample([0.0, _INF, -_INF, _NAN], name="not finite")


def _test(name: str, words: str, result: str) -> Any:
    def definition(x: Tensor, /) -> Tensor:
        pass

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words}

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([0.0, 1.0, float("inf"), float("nan")]))
    {result}
    """
    samples = [*one(), _NOT_FINITE]
    takes = "any" if name == "logical_not" else "numeric"
    return function(elementwise=True, takes=takes, gives="bool", standard=True, differentiable=False, samples=samples)(
        definition
    )


logical_not = _test("logical_not", "Whether elements are 0.", "tensor([ True, False, False, False])")
isfinite = _test("isfinite", "Whether elements are finite.", "tensor([ True,  True, False, False])")
isinf = _test("isinf", "Whether elements are infinite.", "tensor([False, False,  True, False])")
isnan = _test("isnan", "Whether elements are not a number.", "tensor([False, False, False,  True])")


@function(elementwise=True, takes="real floating", gives="bool", differentiable=False, samples=[*one(), _NOT_FINITE])
def isposinf(xp: XP, x: Tensor, /) -> Tensor:
    """Whether elements are positive infinity.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.isposinf(ad.tensor([float("inf"), -float("inf")]))
    tensor([ True, False])
    """
    return x == _INF


@function(elementwise=True, takes="real floating", gives="bool", differentiable=False, samples=[*one(), _NOT_FINITE])
def isneginf(xp: XP, x: Tensor, /) -> Tensor:
    """Whether elements are negative infinity.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.isneginf(ad.tensor([float("inf"), -float("inf")]))
    tensor([False,  True])
    """
    return x == -_INF


# Nearly equal ------------------------------------------------------------------------------------------------


@function(
    name="isclose",
    takes="floating",
    gives="bool",
    elementwise=True,
    differentiable=False,
    samples=[
        *two(),
        Sample([1.0, 1.0, 1.0], [1.0, 1.00001, 1.1], name="near and far"),
        Sample([_INF, -_INF, 1.0, _NAN], [_INF, _INF, _INF, _NAN], name="not finite"),
        Sample([1.0, _NAN], [1.0, _NAN], equal_nan=True),
        Sample([1.0, 1.0], [1.05, 1.5], rtol=0.0, atol=0.1),
    ],
)
def _isclose(
    xp: XP, x1: Operand, x2: Operand, /, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether elements differ by at most a tolerance; see `polyad.isclose`."""
    distance = x1 - x2
    close = (x1 == x2) | (xp.isfinite(distance) & (xp.abs(distance) <= atol + rtol * abs(x2)))  # type: ignore[operator]
    return close | ((x1 != x1) & (x2 != x2)) if equal_nan else close  # type: ignore[no-any-return]


@facade(_isclose)
def isclose(x1: Tensor, x2: Operand, /, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether elements differ by at most ``atol + rtol * abs(x2)``; equal infinities do.

    Parameters
    ----------
    x1, x2 : Tensor or number
        Of shapes that broadcast. Integers are compared in float64.
    rtol, atol : float
        Tolerances relative to ``x2``, and absolute.
    equal_nan : bool
        Whether NaN counts as close to NaN.

    Returns
    -------
    Tensor
        Of bool.

    Raises
    ------
    ShapeError
        If shapes do not broadcast.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.isclose(ad.tensor([1.0, 2.0]), ad.tensor([1.000001, 2.1]))
    tensor([ True, False])
    """
    return _isclose(_inexact(x1), _inexact(x2), rtol=float(rtol), atol=float(atol), equal_nan=bool(equal_nan))


def _inexact(x: Any) -> Any:
    return astype(x, float64) if isinstance(x, Tensor) and not x.dtype.is_differentiable else x


def allclose(x1: Tensor, x2: Operand, /, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements differ by at most ``atol + rtol * abs(x2)``: see `isclose`.

    Parameters
    ----------
    x1, x2 : Tensor or number
    rtol, atol, equal_nan
        As for `isclose`.

    Returns
    -------
    bool

    Raises
    ------
    ShapeError
        If shapes do not broadcast.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.allclose(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 2.000001]))
    True
    """
    return bool(all_(isclose(x1, x2, rtol, atol, equal_nan)))


def array_equal(x1: Tensor, x2: Tensor, /, equal_nan: bool = False) -> bool:
    """Whether two tensors have the same shape and elements: what PyTorch calls ``equal``.

    Parameters
    ----------
    x1, x2 : Tensor
    equal_nan : bool
        Whether NaN counts as equal to NaN.

    Returns
    -------
    bool

    Examples
    --------
    >>> import polyad as ad
    >>> ad.array_equal(ad.tensor([1, 2]), ad.tensor([1.0, 2.0])), ad.array_equal(ad.ones(2), ad.ones(1, 2))
    (True, False)
    """
    if tuple(x1.shape) != tuple(x2.shape):
        return False
    same = equal(x1, x2)
    if equal_nan:
        same = same | (not_equal(x1, x1) & not_equal(x2, x2))
    return bool(all_(same))
