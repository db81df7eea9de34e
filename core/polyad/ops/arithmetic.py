"""Arithmetic: sums, products, powers and roots, sizes and signs."""

from __future__ import annotations

from typing import Any, Final

from ..dispatch import facade, function
from ..dtypes import complex128, float64
from ..errors import DTypeError
from ..function import XP, Fails, Sample
from ..operators import checked_power
from ..rules import is_complex
from ..tensor import Tensor
from .elementwise import Operand, one, two
from .transfer import astype

__all__ = [
    "add",
    "addcdiv",
    "addcmul",
    "cbrt",
    "copysign",
    "divide",
    "float_power",
    "floor_divide",
    "fmod",
    "gcd",
    "heaviside",
    "hypot",
    "lcm",
    "lerp",
    "multiply",
    "negative",
    "nextafter",
    "positive",
    "power",
    "reciprocal",
    "remainder",
    "rsqrt",
    "sign",
    "signbit",
    "sqrt",
    "square",
    "subtract",
]


ONE: Final = 1
"""The default of a factor; that it was left out is told by identity, since factors may be tensors."""
_ALPHA: Final = """\
alpha : Tensor or number
    A factor for ``x2``."""

# Sums and products -------------------------------------------------------------------------------------------


def _with_alpha(made: Any) -> Any:
    """What users call in a function's place, with PyTorch's ``alpha``. Operators call the function itself."""

    def call(x1: Operand, x2: Operand, /, *, alpha: Operand = ONE) -> Tensor:
        return made(x1, x2 if alpha is ONE else multiply(x2, alpha))  # type: ignore[no-any-return]

    call.__name__ = call.__qualname__ = made.function.name
    call.__module__ = __name__
    call.__doc__ = made.__doc__.replace("\n\nReturns\n", f"\n{_ALPHA}\n\nReturns\n", 1)
    call.function = made.function  # type: ignore[attr-defined]
    return call


@function(name="add", takes="any", elementwise=True, standard=True, x1=lambda g: g, x2=lambda g: g, samples=two())
def _add(x1: Operand, x2: Operand, /) -> Tensor:
    """Sum ``x1 + x2``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.add(ad.tensor([1.0, 2.0]), 1.0)
    tensor([2., 3.])
    """


def _subtract_jvp(xp: Any, tangents: Any, out: Any, x1: Any, x2: Any) -> Any:
    t1, t2 = tangents
    return t1 if t2 is None else -t2 if t1 is None else t1 - t2


@function(
    name="subtract",
    takes="numeric",
    elementwise=True,
    standard=True,
    jvp=_subtract_jvp,
    x1=lambda g: g,
    x2=lambda g: -g,
    samples=two(),
)
def _subtract(x1: Operand, x2: Operand, /) -> Tensor:
    """Difference ``x1 - x2``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.subtract(ad.tensor([1.0, 2.0]), 1.0)
    tensor([0., 1.])
    """


add, subtract = _with_alpha(_add), _with_alpha(_subtract)


@function(
    takes="any",
    elementwise=True,
    standard=True,
    x1=lambda g, x2: g * x2,
    x2=lambda g, x1: g * x1,
    samples=two(),
)
def multiply(x1: Operand, x2: Operand, /) -> Tensor:
    """Product ``x1 * x2``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.multiply(ad.tensor([1.0, 2.0]), 3)
    tensor([3., 6.])
    """


@function(
    takes="floating",
    elementwise=True,
    standard=True,
    x1=lambda g, x2: g / x2,
    x2=lambda g, x1, x2: -g * (x1 / x2 / x2),
    samples=two(0.5, 2.0),
)
def divide(x1: Operand, x2: Operand, /) -> Tensor:
    """Quotient ``x1 / x2``; integers are divided as float32.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.divide(ad.tensor([1, 2]), 2)
    tensor([0.5000, 1.0000])
    """


@function(takes="real", elementwise=True, standard=True, differentiable=False, samples=two(0.5, 2.0))
def floor_divide(x1: Operand, x2: Operand, /) -> Tensor:
    """Quotient rounded down, ``x1 // x2``. Its derivative is zero wherever it exists; none is recorded.

    An integer divided by 0 gives 0; floating-point numbers give what `divide` does.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([7, -7]) // 2
    tensor([ 3, -4])
    """


@function(
    takes="real",
    elementwise=True,
    standard=True,
    x1=lambda g: g,
    x2=lambda g, xp, x1, x2: -g * xp.floor_divide(x1, x2),
    samples=two(2.1, 2.9),
)
def remainder(x1: Operand, x2: Operand, /) -> Tensor:
    """Remainder of the quotient rounded down, with the sign of ``x2``: ``x1 % x2``.

    Of an integer divided by 0 it is 0; of floating-point numbers NaN.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([7, -7]) % 3
    tensor([1, 2])
    """


@function(
    takes="real",
    elementwise=True,
    standard=True,
    x1=lambda g: g,
    x2=lambda g, xp, x1, x2: -g * xp.trunc(x1 / x2),
    samples=[*two(2.1, 2.9), Sample([-7.5, 7.5, -6.5], 2.0, name="of both signs")],
)
def fmod(xp: XP, x1: Operand, x2: Operand, /) -> Tensor:
    """Remainder of the quotient rounded towards zero, with the sign of ``x1``, as C's ``fmod``.

    Of an integer divided by 0 it is 0; of floating-point numbers NaN.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.fmod(ad.tensor([7, -7]), 3)
    tensor([ 1, -1])
    """
    size = xp.remainder(abs(x1), abs(x2))
    return xp.where(x1 < 0, -size, size)  # type: ignore[no-any-return, operator]


def _power_base(g: Any, xp: Any, x1: Any, x2: Any) -> Any:
    if not hasattr(x2, "shape"):  # a number: no array of exponents is needed
        if x2 == 2:
            return g * (2 * x1)
        return g * (x2 * x1 ** (x2 - 1)) if x2 != 0 else xp.zeros_like(g)
    # 0 ** 0 is 1 whatever the base: its derivative is 0, not 0 * inf
    return g * xp.where(x2 == 0, 0, x2 * x1 ** xp.where(x2 == 0, 1, x2 - 1))


def _power_exponent(g: Any, xp: Any, x1: Any, out: Any) -> Any:
    if not hasattr(x1, "shape"):
        x1 = xp.zeros_like(g) + x1
    return g * xp.where(x1 == 0, 0, out * xp.log(xp.where(x1 == 0, 1, x1)))


@function(
    name="power",
    takes="numeric",
    elementwise=True,
    standard=True,
    x1=_power_base,
    x2=_power_exponent,
    samples=[
        *two(0.5, 2.0),
        Sample((3,), 2, name="squared"),
        Sample((3,), 0, name="to the 0"),
        Sample((3,), 3, name="cubed"),
        Sample((3,), -1.5, domain=(0.5, 2.0)),
        Sample(2.0, (3,), name="2 ** x"),
        Sample([0.0, 2.0], [0.0, 0.0], name="0 ** 0", grad=False),
    ],
)
def _power(x1: Operand, x2: Operand, /) -> Tensor:
    """Power ``x1 ** x2``.

    For integers to negative powers, which have no integer values, a number as exponent is an error; by an array of
    exponents 1 and -1 have their powers, and all others give 0, as in PyTorch.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([1.0, 2.0]) ** 3
    tensor([1., 8.])
    """


power = checked_power(_power)


def float_power(x1: Operand, x2: Operand, /) -> Tensor:
    """Power ``x1 ** x2`` in double precision, whatever the operands' type: float64, or complex128.

    Parameters
    ----------
    x1, x2 : Tensor or number
        Of shapes that broadcast. At least one operand is a tensor.

    Returns
    -------
    Tensor
        Of float64, or complex128 if an operand is complex.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.float_power(ad.tensor([2, 3]), -1)
    tensor([0.5000, 0.3333], dtype=polyad.float64)
    """
    return power(_double(x1), _double(x2))  # type: ignore[no-any-return]


def _double(x: Operand) -> Operand:
    if not isinstance(x, Tensor):
        return complex(x) if type(x) is complex else float(x)  # type: ignore[arg-type]
    return astype(x, complex128 if x.dtype.is_complex else float64, copy=False)


@function(elementwise=True, takes="numeric", standard=True, x=lambda g: -g, samples=one())
def negative(x: Tensor, /) -> Tensor:
    """Each element with its sign changed, ``-x``.

    Examples
    --------
    >>> import polyad as ad
    >>> -ad.tensor([1.0, -2.0])
    tensor([-1.,  2.])
    """


@function(elementwise=True, takes="numeric", standard=True, x=lambda g: g, samples=one())
def positive(x: Tensor, /) -> Tensor:
    """Each element as it is, ``+x``.

    Examples
    --------
    >>> import polyad as ad
    >>> +ad.tensor([1.0, -2.0])
    tensor([ 1., -2.])
    """


# Sizes and signs ---------------------------------------------------------------------------------------------


@function(
    name="abs",
    elementwise=True,
    jvp=lambda xp, tangents, out, x: xp.real(xp.conj(xp.sign(x)) * tangents[0]),
    takes="numeric",
    gives="real",
    standard=True,
    x=lambda g, xp, x: g * xp.conj(xp.sign(x)),
    samples=one(0.5, 2.0),
)
def abs_(x: Tensor, /) -> Tensor:
    """Absolute value; its derivative at 0 is taken as 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.abs(ad.tensor([-1.5, 2.0]))
    tensor([1.5000, 2.0000])
    """


def _sign_rule(g: Any, xp: Any, x: Any) -> Any:
    if not is_complex(x.dtype):
        return xp.zeros_like(g)
    # x / abs(x) turns with x, but keeps its length: what points along it has no effect
    size, sign = xp.abs(x), xp.sign(x)
    return xp.where(size == 0, 0, (g - xp.conj(sign) * xp.real(g * sign)) / xp.where(size == 0, 1, size))


@function(elementwise=True, jvp="transposed", takes="numeric", standard=True, x=_sign_rule, samples=one(0.5, 2.0))
def sign(x: Tensor, /) -> Tensor:
    """Sign: -1, 0 or 1; for complex numbers ``x / abs(x)``. Its derivative for real numbers is 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.sign(ad.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """


@function(elementwise=True, takes="real floating", gives="bool", standard=True, differentiable=False, samples=one())
def signbit(x: Tensor, /) -> Tensor:
    """Whether the sign bit is set: of negative numbers, ``-0.0`` and ``-nan``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.signbit(ad.tensor([-0.0, 0.0]))
    tensor([ True, False])
    """


@function(
    takes="real floating",
    elementwise=True,
    standard=True,
    x1=lambda g, xp, x1, out: g * (xp.sign(x1) * xp.sign(out)),
    x2=lambda g, xp: xp.zeros_like(g),
    samples=two(),
)
def copysign(x1: Operand, x2: Operand, /) -> Tensor:
    """Size of ``x1`` with the sign of ``x2``. Its derivative where ``x1`` is 0 is taken as 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.copysign(ad.tensor([1.0, -2.0]), -0.0)
    tensor([-1., -2.])
    """


@function(takes="real floating", elementwise=True, standard=True, differentiable=False, samples=two())
def heaviside(xp: XP, x1: Operand, x2: Operand, /) -> Tensor:
    """Unit step: 0 where ``x1`` is negative, 1 where it is positive, ``x2`` where it is 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.heaviside(ad.tensor([-1.0, 0.0, 2.0]), 0.5)
    tensor([0.0000, 0.5000, 1.0000])
    """
    zero = xp.zeros_like(x1 + x2)
    step = xp.where(x1 > 0, zero + 1, zero)  # type: ignore[operator]
    return xp.where(x1 == 0, zero + x2, xp.where(x1 == x1, step, zero + x1))  # type: ignore[no-any-return]


@function(takes="real floating", elementwise=True, standard=True, differentiable=False, samples=two())
def nextafter(x1: Operand, x2: Operand, /) -> Tensor:
    """Next representable number after ``x1`` in the direction of ``x2``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nextafter(ad.tensor(1.0), 2.0) - 1.0
    tensor(1.1921e-07)
    """


# Squares and roots -------------------------------------------------------------------------------------------


@function(elementwise=True, takes="numeric", standard=True, x=lambda g, x: g * (2 * x), samples=one())
def square(x: Tensor, /) -> Tensor:
    """Square ``x * x``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.square(ad.tensor([1.0, -3.0]))
    tensor([1., 9.])
    """


@function(elementwise=True, takes="floating", standard=True, x=lambda g, out: g / (2 * out), samples=one(0.2, 3.0))
def sqrt(x: Tensor, /) -> Tensor:
    """Square root.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.sqrt(ad.tensor([1.0, 4.0]))
    tensor([1., 2.])
    """


@function(elementwise=True, takes="floating", x=lambda g, out: g * (out * out * out * -0.5), samples=one(0.2, 3.0))
def rsqrt(xp: XP, x: Tensor, /) -> Tensor:
    """One over the square root.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.rsqrt(ad.tensor([1.0, 4.0]))
    tensor([1.0000, 0.5000])
    """
    return 1 / xp.sqrt(x)  # type: ignore[no-any-return]


@function(
    elementwise=True,
    takes="real floating",
    standard=True,
    x=lambda g, out: g / (3 * (out * out)),
    samples=one(0.2, 3.0),
)
def cbrt(xp: XP, x: Tensor, /) -> Tensor:
    """Cube root, of negative numbers too.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.cbrt(ad.tensor([8.0, -27.0]))
    tensor([ 2.0000, -3.0000])
    """
    return xp.sign(x) * xp.abs(x) ** (1 / 3)  # type: ignore[no-any-return]


@function(elementwise=True, takes="floating", x=lambda g, out: -g * (out * out), samples=one(0.2, 3.0))
def reciprocal(xp: XP, x: Tensor, /) -> Tensor:
    """One over each element, ``1 / x``; of integers in float32.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.reciprocal(ad.tensor([1.0, 4.0]))
    tensor([1.0000, 0.2500])
    """
    return 1 / x  # not the library's: of integers NumPy's is an integer


def _leg(g: Any, x: Any, out: Any, xp: Any) -> Any:
    """Gradient of a hypotenuse for a leg: 0 in the origin, as for `abs`."""
    return xp.where(out == 0, 0, g * x / xp.where(out == 0, 1, out))


@function(
    takes="real floating",
    elementwise=True,
    standard=True,
    x1=lambda g, xp, x1, out: _leg(g, x1, out, xp),
    x2=lambda g, xp, x2, out: _leg(g, x2, out, xp),
    samples=two(0.5, 2.0),
)
def hypot(x1: Operand, x2: Operand, /) -> Tensor:
    """Hypotenuse ``sqrt(x1 ** 2 + x2 ** 2)``, without overflow on the way. Its derivative at 0 is taken as 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.hypot(ad.tensor([3.0, 5.0]), ad.tensor([4.0, 12.0]))
    tensor([ 5., 13.])
    """


# Several steps in one ----------------------------------------------------------------------------------------


@function(
    takes="floating",
    elementwise=True,
    start=lambda g, weight: g * (1 - weight),
    end=lambda g, weight: g * weight,
    weight=lambda g, start, end: g * (end - start),
    samples=[
        Sample((3, 4), (3, 4), 0.25),
        Sample((3, 1), (4,), (3, 4)),
        Sample((3,), (3,), [0.0, 0.5, 1.0], name="at both ends"),
        Sample((2, 0), (1,), ()),
    ],
)
def lerp(xp: XP, start: Tensor, end: Operand, weight: Operand, /) -> Tensor:
    """Linear interpolation ``start + weight * (end - start)``; exactly ``end`` at weight 1.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.lerp(ad.tensor([0.0, 10.0]), ad.tensor([1.0, 20.0]), 0.25)
    tensor([ 0.2500, 12.5000])
    """
    step = end - start
    if not hasattr(weight, "shape"):  # a number
        return start + weight * step if abs(weight) < 0.5 else end - step * (1 - weight)
    return xp.where(xp.abs(weight) < 0.5, start + weight * step, end - step * (1 - weight))  # type: ignore[no-any-return]


def _times(value: Any, x: Any) -> Any:
    """A factor that may be left out, times an array."""
    return x if value is None else value * x


@function(
    name="addcmul",
    takes="numeric",
    elementwise=True,
    x=lambda g: g,
    x1=lambda g, x2, value: g * _times(value, x2),
    x2=lambda g, x1, value: g * _times(value, x1),
    value=lambda g, x1, x2: g * (x1 * x2),
    samples=[
        Sample((3, 4), (3, 1), (4,)),
        Sample((3, 4), (3, 4), (3, 4), -0.5),
        Sample((2, 0), (1,), ()),
        Sample((2,), (2,), (2,), (), name="by a tensor"),
    ],
)
def _addcmul(xp: XP, x: Tensor, x1: Operand, x2: Operand, value: Operand | None = None, /) -> Tensor:
    """``x + value * x1 * x2``; see `polyad.addcmul`."""
    return x + _times(value, x1 * x2)  # type: ignore[no-any-return]


@facade(_addcmul)
def addcmul(x: Tensor, x1: Tensor, x2: Tensor, /, *, value: Operand = ONE) -> Tensor:
    """Product added to a tensor: ``x + value * x1 * x2``.

    Parameters
    ----------
    x, x1, x2 : Tensor
        Of shapes that broadcast.
    value : Tensor or number
        A factor.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If shapes do not broadcast.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.addcmul(ad.tensor([1.0, 1.0]), ad.tensor([2.0, 3.0]), ad.tensor([4.0, 5.0]), value=0.5)
    tensor([5.0000, 8.5000])
    """
    return _addcmul(x, x1, x2, None if value is ONE else value)


@function(
    name="addcdiv",
    takes="floating",
    elementwise=True,
    x=lambda g: g,
    x1=lambda g, x2, value: g * _times(value, 1 / x2),
    x2=lambda g, x1, x2, value: -g * _times(value, x1 / (x2 * x2)),
    value=lambda g, x1, x2: g * (x1 / x2),
    samples=[
        Sample((3, 4), (3, 1), (4,), domain=(0.5, 2.0)),
        Sample((3, 4), (3, 4), (3, 4), -0.5, domain=(0.5, 2.0)),
        Sample((2, 0), (1,), (), domain=(0.5, 2.0)),
        Sample((2,), (2,), (2,), (), name="by a tensor", domain=(0.5, 2.0)),
    ],
)
def _addcdiv(xp: XP, x: Tensor, x1: Operand, x2: Operand, value: Operand | None = None, /) -> Tensor:
    """``x + value * x1 / x2``; see `polyad.addcdiv`."""
    return x + _times(value, x1 / x2)  # type: ignore[no-any-return]


@facade(_addcdiv)
def addcdiv(x: Tensor, x1: Tensor, x2: Tensor, /, *, value: Operand = ONE) -> Tensor:
    """Quotient added to a tensor: ``x + value * x1 / x2``.

    Parameters
    ----------
    x, x1, x2 : Tensor
        Of shapes that broadcast.
    value : Tensor or number
        A factor.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If shapes do not broadcast.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.addcdiv(ad.tensor([1.0, 1.0]), ad.tensor([2.0, 3.0]), ad.tensor([4.0, 5.0]), value=2)
    tensor([2.0000, 2.2000])
    """
    return _addcdiv(x, x1, x2, None if value is ONE else value)


# Integers ----------------------------------------------------------------------------------------------------


_LONGEST: Final = 92
"""The most divisions that Euclid's algorithm takes for numbers of 64 bits: neighbours in Fibonacci's sequence."""


@function(
    takes="integer",
    elementwise=True,
    standard=True,
    differentiable=False,
    samples=[
        Sample((3, 1), (4,), domain="integers"),
        Sample((2, 3), 4, domain="integers"),
        Sample([4, -6, 0, 0], [6, 4, 5, 0], name="signs and zeros"),
        Fails((2,), (2,), error=DTypeError, match="gcd takes integer arrays; got float"),
    ],
)
def gcd(xp: XP, x1: Operand, x2: Operand, /) -> Tensor:
    """Greatest common divisor, never negative.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.gcd(ad.tensor([4, -6, 0]), 6)
    tensor([2, 6, 6])
    """
    a, b = xp.abs(x1 + 0 * x2), xp.abs(x2 + 0 * x1)
    for _ in range(_LONGEST):
        a, b = xp.where(b == 0, a, b), xp.where(b == 0, 0, xp.remainder(a, xp.where(b == 0, 1, b)))
    return a  # type: ignore[no-any-return]


@function(
    takes="integer",
    elementwise=True,
    standard=True,
    differentiable=False,
    samples=[
        Sample((3, 1), (4,), domain="integers"),
        Sample((2, 3), 4, domain="integers"),
        Sample([4, -6, 0, 0], [6, 4, 5, 0], name="signs and zeros"),
        Fails((2,), (2,), error=DTypeError, match="lcm takes integer arrays; got float"),
    ],
)
def lcm(xp: XP, x1: Operand, x2: Operand, /) -> Tensor:
    """Least common multiple, never negative.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.lcm(ad.tensor([4, -6, 0]), 6)
    tensor([12,  6,  0])
    """
    common = xp.gcd(x1, x2)
    return xp.where(common == 0, 0, abs(x1) // xp.where(common == 0, 1, common) * abs(x2))  # type: ignore[no-any-return]
