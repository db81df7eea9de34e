"""Functions of each element: arithmetic, comparison, exponentials, selection."""

from __future__ import annotations

from typing import Any, TypeAlias

from ..dispatch import facade, function
from ..errors import DTypeError, ShapeError
from ..function import XP, Fails, Sample
from ..rules import is_complex
from ..tensor import Tensor

__all__ = [
    "add",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "clip",
    "conj",
    "cos",
    "divide",
    "equal",
    "exp",
    "floor_divide",
    "greater",
    "greater_equal",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "log",
    "log1p",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "not_equal",
    "positive",
    "power",
    "real",
    "remainder",
    "sign",
    "sin",
    "sqrt",
    "subtract",
    "tanh",
    "where",
]

Operand: TypeAlias = "Tensor | complex"
"""A tensor or a Python number."""


def one(*domain: float, **kwargs: Any) -> list[Sample]:
    """Samples of a function of one array, with numbers from ``domain``."""
    d: Any = domain or (-2.0, 2.0)
    return [
        Sample((3, 4), domain=d, **kwargs),
        Sample((), domain=d, **kwargs),
        Sample((2, 0), domain=d, **kwargs),
    ]


def two(*domain: float, **kwargs: Any) -> list[Sample]:
    """Samples of a function of two arrays that broadcast, and shapes that do not."""
    d: Any = domain or (-2.0, 2.0)
    return [
        Sample((3, 4), (3, 4), domain=d, **kwargs),
        Sample((3, 1), (4,), domain=d, **kwargs),
        Sample((), (2, 3), domain=d, **kwargs),
        Sample((2, 0), (1,), domain=d, **kwargs),
        Sample((2, 3), 1.5, domain=d, **kwargs),
        Fails((2, 3), (4,), error=ShapeError, match=r"\(2, 3\) and \(4,\) do not broadcast"),
    ]


# Arithmetic -------------------------------------------------------------------------------------------------


@function(takes="any", broadcasts=True, standard=True, x1=lambda g: g, x2=lambda g: g, samples=two())
def add(x1: Operand, x2: Operand, /) -> Tensor:
    """Sum ``x1 + x2``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.add(ad.tensor([1.0, 2.0]), 1.0)
    tensor([2., 3.])
    """


@function(takes="numeric", broadcasts=True, standard=True, x1=lambda g: g, x2=lambda g: -g, samples=two())
def subtract(x1: Operand, x2: Operand, /) -> Tensor:
    """Difference ``x1 - x2``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.subtract(ad.tensor([1.0, 2.0]), 1.0)
    tensor([0., 1.])
    """


@function(
    takes="any",
    broadcasts=True,
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
    broadcasts=True,
    standard=True,
    x1=lambda g, x2: g / x2,
    x2=lambda g, x2, out: -g * out / x2,
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


@function(takes="real", broadcasts=True, standard=True, differentiable=False, samples=two(0.5, 2.0))
def floor_divide(x1: Operand, x2: Operand, /) -> Tensor:
    """Quotient rounded down, ``x1 // x2``. Its derivative is zero wherever it exists; none is recorded.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([7, -7]) // 2
    tensor([ 3, -4])
    """


@function(
    takes="real",
    broadcasts=True,
    standard=True,
    x1=lambda g: g,
    x2=lambda g, xp, x1, x2: -g * xp.floor_divide(x1, x2),
    samples=two(2.1, 2.9),
)
def remainder(x1: Operand, x2: Operand, /) -> Tensor:
    """Remainder of the quotient rounded down, with the sign of ``x2``: ``x1 % x2``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([7, -7]) % 3
    tensor([1, 2])
    """


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
    takes="numeric",
    broadcasts=True,
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
def power(x1: Operand, x2: Operand, /) -> Tensor:
    """Power ``x1 ** x2``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([1.0, 2.0]) ** 3
    tensor([1., 8.])
    """


@function(takes="numeric", standard=True, x=lambda g: -g, samples=one())
def negative(x: Tensor, /) -> Tensor:
    """Each element with its sign changed, ``-x``.

    Examples
    --------
    >>> import polyad as ad
    >>> -ad.tensor([1.0, -2.0])
    tensor([-1.,  2.])
    """


@function(takes="numeric", standard=True, x=lambda g: g, samples=one())
def positive(x: Tensor, /) -> Tensor:
    """Each element as it is, ``+x``.

    Examples
    --------
    >>> import polyad as ad
    >>> +ad.tensor([1.0, -2.0])
    tensor([ 1., -2.])
    """


# Size and sign ----------------------------------------------------------------------------------------------


@function(
    name="abs",
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


def _sign_rule(g: Any, xp: Any, x: Any, out: Any) -> Any:
    if not is_complex(x.dtype):
        return xp.zeros_like(g)
    # x / abs(x) turns with x, but keeps its length: what points along it has no effect
    size = xp.abs(x)
    return xp.where(size == 0, 0, (g - xp.conj(out) * xp.real(g * out)) / xp.where(size == 0, 1, size))


@function(takes="numeric", standard=True, x=_sign_rule, samples=one(0.5, 2.0))
def sign(x: Tensor, /) -> Tensor:
    """Sign: -1, 0 or 1; for complex numbers ``x / abs(x)``. Its derivative for real numbers is 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.sign(ad.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """


@function(takes="any", standard=True, x=lambda g, xp: xp.conj(g), samples=one())
def conj(x: Tensor, /) -> Tensor:
    """Complex conjugate; real numbers as they are.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.conj(ad.tensor([1 + 2j]))
    tensor([1.-2.j])
    """


@function(takes="numeric", gives="real", standard=True, x=lambda g, xp, x_dtype: xp.astype(g, x_dtype), samples=one())
def real(x: Tensor, /) -> Tensor:
    """Real part.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.real(ad.tensor([1 + 2j]))
    tensor([1.])
    """


def _differs(g: Any, x1: Any, x2: Any, xp: Any, larger: bool) -> Any:
    """Gradient of the one that was chosen; among equals each has half, as in PyTorch."""
    chosen = x1 > x2 if larger else x1 < x2
    return xp.where(x1 == x2, g / 2, xp.where(chosen, g, 0))


@function(
    takes="real",
    broadcasts=True,
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
    broadcasts=True,
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
    broadcasts=True,
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


# Exponentials and trigonometry ------------------------------------------------------------------------------


@function(takes="floating", standard=True, x=lambda g, out: g * out, samples=one())
def exp(x: Tensor, /) -> Tensor:
    """Exponential ``e ** x``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.exp(ad.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """


@function(takes="floating", standard=True, x=lambda g, x: g / x, samples=one(0.2, 3.0))
def log(x: Tensor, /) -> Tensor:
    """Natural logarithm.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.log(ad.tensor([1.0, 2.0]))
    tensor([0.0000, 0.6931])
    """


@function(takes="floating", standard=True, x=lambda g, x: g / (1 + x), samples=one(-0.5, 3.0))
def log1p(x: Tensor, /) -> Tensor:
    """Natural logarithm of ``1 + x``, accurate near 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.log1p(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.6931])
    """


@function(takes="floating", standard=True, x=lambda g, out: g / (2 * out), samples=one(0.2, 3.0))
def sqrt(x: Tensor, /) -> Tensor:
    """Square root.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.sqrt(ad.tensor([1.0, 4.0]))
    tensor([1., 2.])
    """


@function(takes="floating", standard=True, x=lambda g, out: g - g * (out * out), samples=one())
def tanh(x: Tensor, /) -> Tensor:
    """Hyperbolic tangent.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tanh(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """


@function(takes="floating", standard=True, x=lambda g, xp, x: g * xp.cos(x), samples=one())
def sin(x: Tensor, /) -> Tensor:
    """Sine of an angle in radians.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.sin(ad.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8415])
    """


@function(takes="floating", standard=True, x=lambda g, xp, x: -g * xp.sin(x), samples=one())
def cos(x: Tensor, /) -> Tensor:
    """Cosine of an angle in radians.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.cos(ad.tensor([0.0, 1.0]))
    tensor([1.0000, 0.5403])
    """


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
    return function(takes=takes, gives="bool", broadcasts=True, standard=True, differentiable=False, samples=samples)(
        definition
    )


equal = _comparison("equal", "==", "any", "equal to")
not_equal = _comparison("not_equal", "!=", "any", "different from")
less = _comparison("less", "<", "real or bool", "less than")
less_equal = _comparison("less_equal", "<=", "real or bool", "at most")
greater = _comparison("greater", ">", "real or bool", "greater than")
greater_equal = _comparison("greater_equal", ">=", "real or bool", "at least")


# Logic and bits ---------------------------------------------------------------------------------------------


def _bits(name: str, words: str, takes: str = "integer or bool", result: str = "") -> Any:
    def definition(x1: Operand, x2: Operand, /) -> Tensor:
        pass

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words}

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([6, 3]), 2)
    {result}
    """
    samples = [
        Sample((3, 1), (4,), domain="integers"),
        Sample((2, 3), 2, domain="integers"),
        Fails((2,), (2,), error=DTypeError, match=f"{name} takes {takes} arrays; got float"),
    ]
    return function(takes=takes, broadcasts=True, standard=True, differentiable=False, samples=samples)(definition)


bitwise_and = _bits("bitwise_and", "Bits set in both, ``x1 & x2``; for bools, and.", result="tensor([2, 2])")
bitwise_or = _bits("bitwise_or", "Bits set in either, ``x1 | x2``; for bools, or.", result="tensor([6, 3])")
bitwise_xor = _bits("bitwise_xor", "Bits set in one only, ``x1 ^ x2``.", result="tensor([4, 1])")
bitwise_left_shift = _bits(
    "bitwise_left_shift", "Bits moved up by ``x2`` places, ``x1 << x2``.", "integer", "tensor([24, 12])"
)
bitwise_right_shift = _bits(
    "bitwise_right_shift", "Bits moved down by ``x2`` places, ``x1 >> x2``.", "integer", "tensor([1, 0])"
)


@function(
    takes="integer or bool",
    standard=True,
    differentiable=False,
    samples=[
        Sample((3, 4), domain="integers"),
        Sample((3, 4), domain="bools"),
        Fails((2,), error=DTypeError, match="bitwise_invert takes integer or bool arrays; got float"),
    ],
)
def bitwise_invert(x: Tensor, /) -> Tensor:
    """Every bit inverted, ``~x``; for bools, not.

    Examples
    --------
    >>> import polyad as ad
    >>> ~ad.tensor([True, False])
    tensor([False,  True])
    """


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
    return function(takes="any", gives="bool", broadcasts=True, standard=True, differentiable=False, samples=samples)(
        definition
    )


logical_and = _logical("logical_and", "Whether both are true", "tensor([ True, False])")
logical_or = _logical("logical_or", "Whether either is true", "tensor([True, True])")
logical_xor = _logical("logical_xor", "Whether one only is true", "tensor([False,  True])")


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
    samples = [*one(), Sample([0.0, float("inf"), -float("inf"), float("nan")], name="not finite")]
    takes = "any" if name == "logical_not" else "numeric"
    return function(takes=takes, gives="bool", standard=True, differentiable=False, samples=samples)(definition)


logical_not = _test("logical_not", "Whether elements are 0.", "tensor([ True, False, False, False])")
isfinite = _test("isfinite", "Whether elements are finite.", "tensor([ True,  True, False, False])")
isinf = _test("isinf", "Whether elements are infinite.", "tensor([False, False,  True, False])")
isnan = _test("isnan", "Whether elements are not a number.", "tensor([False, False, False,  True])")


# Selection --------------------------------------------------------------------------------------------------


@function(
    takes="any",
    promotes=(1, 2),
    broadcasts=True,
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
