"""Elementwise functions at their special cases, the same on every backend; and their forms beyond the standard."""

import cmath
import itertools
import math
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.errors import DTypeError, OperandError, ShapeError
from polyad.testing import assert_close, gradcheck, gradgradcheck

INF, NAN = math.inf, math.nan


@pytest.fixture
def corrected(backend: Backend) -> Backend:
    """Each backend that puts its library right where it differs from the standard."""
    if backend.name == "strict":
        pytest.skip("a backend without kernels of its own has its library's special cases")
    return backend


def is_same(got: Any, expected: Any) -> bool:
    """Whether two numbers are equal, the sign of zeros and NaN included."""
    if isinstance(expected, complex):
        return is_same(got.real, expected.real) and is_same(got.imag, expected.imag)
    if math.isnan(expected):
        return math.isnan(got)
    return bool(got == expected) and math.copysign(1, got) == math.copysign(1, expected)


def check(call: Callable[..., ad.Tensor], *columns: list[Any], dtype: Any = ad.float64) -> None:
    """Check a function where it is given columns of arguments, of which the last one is the results."""
    *arguments, expected = (list(c) for c in zip(*columns, strict=True))
    results = call(*[ad.tensor(a, dtype=dtype) for a in arguments]).tolist()
    for case, got in zip(columns, results, strict=True):
        assert is_same(got, case[-1]), (case, got)
    assert expected is not None


# Special cases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [ad.float32, ad.float64])
def test_floor_divide_at_the_edges(corrected: Backend, dtype: Any) -> None:
    check(
        ad.floor_divide,
        [7.0, 2.0, 3.0],
        [-7.0, 2.0, -4.0],
        [-0.0, 1.0, -0.0],
        [0.0, -1.0, -0.0],
        [1.0, 0.0, INF],
        [-1.0, 0.0, -INF],
        [0.0, 0.0, NAN],
        [INF, 2.0, INF],
        [-INF, 2.0, -INF],
        [INF, INF, NAN],
        [1.0, INF, 0.0],
        [1.0, -INF, -0.0],
        [NAN, 1.0, NAN],
        dtype=dtype,
    )


@pytest.mark.parametrize("dtype", [ad.float32, ad.float64])
def test_remainder_has_the_sign_of_the_divisor(corrected: Backend, dtype: Any) -> None:
    check(
        ad.remainder,
        [5.0, 3.0, 2.0],
        [-5.0, 3.0, 1.0],
        [5.0, -3.0, -1.0],
        [-0.0, 1.0, 0.0],
        [0.0, -1.0, -0.0],
        [6.0, -3.0, -0.0],
        [1.0, INF, 1.0],
        [1.0, -INF, -INF],
        [-1.0, INF, INF],
        [1.0, 0.0, NAN],
        [INF, 1.0, NAN],
        dtype=dtype,
    )
    check(ad.fmod, [5.0, -3.0, 2.0], [-5.0, 3.0, -2.0], [-0.0, 1.0, -0.0], [1.0, INF, 1.0], [1.0, 0.0, NAN])


@pytest.mark.parametrize("dtype", [ad.int8, ad.int32, ad.int64, ad.uint8])
@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod"])
def test_integers_divided_by_zero_give_zero(backend: Backend, name: str, dtype: Any) -> None:
    x = ad.tensor([7, 0, 100], dtype=dtype)
    assert getattr(ad, name)(x, ad.zeros_like(x)).tolist() == [0, 0, 0]
    assert getattr(ad, name)(x, 0).tolist() == [0, 0, 0]


def test_fmod_of_large_integers_is_exact(backend: Backend) -> None:
    big = 2**62 + 3
    assert ad.fmod(ad.tensor([big, -big]), 2**61).tolist() == [3, -3]


def test_integers_to_negative_powers(corrected: Backend) -> None:
    base, exponent = ad.tensor([1, -1, -1, 2, -3, 0]), ad.tensor([-5, -3, -4, -1, -2, -1])
    assert (base**exponent).tolist() == [1, -1, 1, 0, 0, 0]
    for call in (lambda: base**-1, lambda: ad.power(base, -1), lambda: base.pow(-1)):
        with pytest.raises(DTypeError, match="a tensor of int64 to the power -1 has no integer values"):
            call()


@pytest.mark.parametrize("dtype", [ad.int8, ad.uint8, ad.int64])
def test_integer_powers_wrap_around(backend: Backend, dtype: Any) -> None:
    bits = 8 * dtype.itemsize
    base, exponent = [2, 3, 7], [100, 65, 127]
    expected = [pow(b, e, 1 << bits) for b, e in zip(base, exponent, strict=True)]
    if dtype is not ad.uint8:
        expected = [e - (1 << bits) if e >> (bits - 1) else e for e in expected]
    assert (ad.tensor(base, dtype=dtype) ** ad.tensor(exponent, dtype=dtype)).tolist() == expected


def test_power_at_the_edges(backend: Backend) -> None:
    check(ad.power, [NAN, 0.0, 1.0], [1.0, NAN, 1.0], [-1.0, INF, 1.0], [0.0, -1.0, INF], [-2.0, 0.5, NAN])
    check(ad.power, [-0.0, -1.0, -INF], [-0.0, 3.0, -0.0], [-INF, 3.0, -INF], [0.5, INF, 0.0])
    assert ad.power(ad.tensor([0j, 0j]), ad.tensor([1 + 1j, 0j])).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [ad.int8, ad.int64, ad.uint8])
def test_shifts_beyond_the_width(corrected: Backend, dtype: Any) -> None:
    bits = 8 * dtype.itemsize
    x = ad.tensor([1, 100, 3], dtype=dtype)
    assert ad.bitwise_left_shift(x, bits).tolist() == [0, 0, 0]
    assert ad.bitwise_right_shift(x, bits).tolist() == [0, 0, 0]
    if dtype is not ad.uint8:
        assert ad.bitwise_right_shift(-x, ad.tensor([bits, bits + 1, 100], dtype=dtype)).tolist() == [-1, -1, -1]
        assert ad.bitwise_left_shift(x, -x).tolist() == [0, 0, 0]
    assert ad.bitwise_left_shift(x, bits - 1).tolist()[0] in (1 << (bits - 1), -(1 << (bits - 1)))


def test_smallest_integer_has_no_positive(backend: Backend) -> None:
    x = ad.tensor([-128, 127], dtype=ad.int8)
    assert ad.abs(x).tolist() == [-128, 127]
    assert ad.negative(x).tolist() == [-128, -127]
    assert ad.gcd(x, ad.tensor(6, dtype=ad.int8)).tolist() == [2, 1]
    assert ad.lcm(ad.tensor([4, 0], dtype=ad.int8), ad.tensor([-6, 5], dtype=ad.int8)).tolist() == [12, 0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("round", [-2.0, -0.0, -0.0, 0.0, 2.0, 2.0, INF, NAN]),
        ("floor", [-2.0, -1.0, -0.0, 0.0, 1.0, 2.0, INF, NAN]),
        ("ceil", [-1.0, -0.0, -0.0, 1.0, 2.0, 3.0, INF, NAN]),
        ("trunc", [-1.0, -0.0, -0.0, 0.0, 1.0, 2.0, INF, NAN]),
        ("frac", [-0.5, -0.5, 0.0, 0.5, 0.5, 0.5, NAN, NAN]),
        ("sign", [-1.0, -1.0, 0.0, 1.0, 1.0, 1.0, 1.0, NAN]),
    ],
)
def test_rounding(backend: Backend, name: str, expected: list[float]) -> None:
    x = [-1.5, -0.5, -0.0, 0.5, 1.5, 2.5, INF, NAN]
    for dtype in (ad.float16, ad.float32, ad.float64):
        check(getattr(ad, name), *([a, b] for a, b in zip(x, expected, strict=True)), dtype=dtype)


@pytest.mark.parametrize("name", ["round", "floor", "ceil", "trunc"])
def test_rounding_of_integers_leaves_them(backend: Backend, name: str) -> None:
    x = ad.tensor([2**62 + 1, -3])
    y = getattr(ad, name)(x)
    assert (y.dtype, y.tolist()) == (ad.int64, [2**62 + 1, -3])
    y += 1
    assert x.tolist() == [2**62 + 1, -3]


def test_round_to_decimals(backend: Backend) -> None:
    assert_close(
        ad.round(ad.tensor([1.256, -2.5, 1234.5]), decimals=1), np.array([1.3, -2.5, 1234.5]), check_dtype=False
    )
    assert ad.round(ad.tensor([1250.0, 1350.0, -49.0]), decimals=-2).tolist() == [1200.0, 1400.0, -0.0]
    assert ad.round(ad.tensor([1250, 1350, 7]), decimals=-2).tolist() == [1200, 1400, 0]
    assert ad.round(ad.tensor([7, 8]), decimals=3).tolist() == [7, 8]
    assert ad.tensor([1.25, 1.75]).round(decimals=1).tolist() == pytest.approx([1.2, 1.8])
    with pytest.raises(OperandError, match=r"round: decimals must be an integer; got 0\.5"):
        ad.round(ad.tensor([1.0]), decimals=0.5)  # type: ignore[arg-type]


def test_numbers_beside_nan(backend: Backend) -> None:
    check(ad.maximum, [1.0, NAN, NAN], [NAN, 1.0, NAN], [1.0, 2.0, 2.0])
    check(ad.minimum, [1.0, NAN, NAN], [NAN, 1.0, NAN], [1.0, 2.0, 1.0])
    check(ad.fmax, [1.0, NAN, 1.0], [NAN, 1.0, 1.0], [NAN, NAN, NAN])
    check(ad.fmin, [1.0, NAN, 1.0], [NAN, 1.0, 1.0], [NAN, NAN, NAN])
    check(ad.hypot, [INF, NAN, INF], [NAN, -INF, INF], [1e200, 1e200, math.hypot(1e200, 1e200)], [NAN, 1.0, NAN])
    check(ad.logaddexp, [-INF, -INF, -INF], [INF, 1.0, INF], [NAN, 1.0, NAN], [1e4, 0.0, 1e4])
    check(ad.copysign, [1.0, -0.0, -1.0], [-1.0, 0.0, 1.0], [INF, -NAN, math.copysign(INF, -NAN)])
    check(ad.heaviside, [NAN, 0.5, NAN], [0.0, 0.5, 0.5], [-0.0, 0.5, 0.5], [-INF, 0.5, 0.0])
    check(ad.atan2, [0.0, -0.0, math.pi], [-0.0, -0.0, -math.pi], [-0.0, 0.0, -0.0], [INF, -INF, 3 * math.pi / 4])
    check(ad.xlogy, [0.0, 0.0, 0.0], [0.0, INF, 0.0], [0.0, NAN, NAN], [1.0, 0.0, -INF])


def test_nextafter(backend: Backend) -> None:
    check(ad.nextafter, [1.0, 2.0, 1 + 2.0**-52], [1.0, 1.0, 1.0], [-0.0, 0.0, 0.0], [NAN, 1.0, NAN])
    assert ad.nextafter(ad.tensor(1.0), 2.0).item() == 1 + 2.0**-23
    check(ad.nextafter, [-0.0, 0.0, 0.0], [0.0, -0.0, -0.0], dtype=ad.float16)


def test_replaced_infinities(backend: Backend) -> None:
    for dtype in (ad.float16, ad.bfloat16, ad.float32, ad.float64):
        if dtype in backend.dtypes:
            largest = ad.finfo(dtype).max
            x = ad.nan_to_num(ad.tensor([NAN, INF, -INF, 1.5], dtype=dtype))
            assert x.tolist() == [0.0, largest, -largest, 1.5], dtype
    assert ad.nan_to_num(ad.tensor([1, 2])).tolist() == [1, 2]
    z = ad.nan_to_num(ad.tensor([complex(NAN, 1), complex(2, INF)]), nan=5.0, posinf=7.0)
    assert z.tolist() == [5 + 1j, 2 + 7j]


# Complex numbers: what C's functions of Python's cmath give ---------------------------------------------------

PARTS = [0.0, -0.0, 1.0, -0.5, 3.0, INF, -INF, NAN]
NUMBERS = [complex(a, b) for a, b in itertools.product(PARTS, PARTS)]


HOLOMORPHIC = ["exp", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh"]
HOLOMORPHIC += ["asin", "acos", "atan", "asinh", "acosh", "atanh"]


def expected_of(function: Callable[[complex], complex], z: complex) -> complex | None:
    """The value in C, or None where Python raises an error instead."""
    try:
        return complex(function(z))
    except (ValueError, OverflowError):
        return None


def is_close(got: float, expected: float) -> bool:
    if expected == 0 or not math.isfinite(expected):
        return is_same(got, expected)
    return math.isclose(got, expected, rel_tol=1e-12)


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_complex_numbers_as_in_c(backend: Backend, name: str) -> None:
    results = getattr(ad, name)(ad.tensor(NUMBERS, dtype=ad.complex128)).tolist()
    for z, got in zip(NUMBERS, results, strict=True):
        expected = expected_of(getattr(cmath, name), z)
        if expected is None or cmath.isnan(expected):
            continue  # Python is not C here
        if name in ("tan", "tanh") and cmath.isinf(z):
            continue  # the standard gives the zero another sign than C
        free = cmath.isnan(z) or (math.isinf(z.real) and math.isinf(z.imag))  # the sign of zeros is
        for a, b in ((got.real, expected.real), (got.imag, expected.imag)):
            assert is_close(abs(a), abs(b)) if free else is_close(a, b), (z, got, expected)


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp", complex(NAN, 0.0), complex(NAN, 0.0)),
        ("exp", complex(INF, INF), complex(INF, NAN)),
        ("exp", complex(-INF, NAN), complex(0.0, 0.0)),
        ("sinh", complex(0.0, INF), complex(0.0, NAN)),
        ("sinh", complex(NAN, 0.0), complex(NAN, 0.0)),
        ("cosh", complex(INF, INF), complex(INF, NAN)),
        ("cosh", complex(NAN, NAN), complex(NAN, NAN)),
        ("tanh", complex(INF, NAN), complex(1.0, 0.0)),
        ("tanh", complex(INF, 2.0), complex(1.0, 0.0)),
        ("tanh", complex(NAN, 0.0), complex(NAN, 0.0)),
        ("sqrt", complex(INF, NAN), complex(INF, NAN)),
        ("sqrt", complex(NAN, INF), complex(INF, INF)),
        ("acos", complex(0.0, NAN), complex(math.pi / 2, NAN)),
        ("acosh", complex(0.0, NAN), complex(NAN, math.pi / 2)),
        ("acosh", complex(1e100, NAN), complex(NAN, NAN)),
        ("asinh", complex(INF, NAN), complex(INF, NAN)),
        ("asinh", complex(NAN, 0.0), complex(NAN, 0.0)),
        ("atanh", complex(0.0, NAN), complex(0.0, NAN)),
        ("atanh", complex(NAN, INF), complex(0.0, math.pi / 2)),
        ("log", complex(INF, NAN), complex(INF, NAN)),
    ],
)
def test_complex_numbers_with_nan(corrected: Backend, name: str, x: complex, expected: complex) -> None:
    got = getattr(ad, name)(ad.tensor([x], dtype=ad.complex128)).tolist()[0]
    for a, b in ((got.real, expected.real), (got.imag, expected.imag)):
        assert math.isnan(a) if math.isnan(b) else is_close(a, b), got


@pytest.mark.parametrize("name", ["log", "log2", "log10", "log1p"])
def test_complex_logarithm_of_infinity(backend: Backend, name: str) -> None:
    for z in NUMBERS:
        if cmath.isinf(z):
            assert getattr(ad, name)(ad.tensor(z, dtype=ad.complex128)).item().real == INF, z


def test_complex_sizes(corrected: Backend) -> None:
    assert ad.abs(ad.tensor([complex(INF, NAN), complex(NAN, -INF), 3 + 4j])).tolist() == [INF, INF, 5.0]
    assert ad.sign(ad.tensor([complex(INF, 1), complex(0, -INF), 0j, 2j])).tolist() == [1, -1j, 0, 1j]
    check(ad.angle, [-1.0, math.pi], [-0.0, math.pi], [0.0, 0.0], [NAN, NAN])


def test_expm1_of_complex_infinity(corrected: Backend) -> None:
    x = [complex(INF, 0.0), complex(-INF, INF), complex(-INF, NAN), complex(-0.0, 0.0), complex(NAN, 0.0)]
    expected = [complex(INF, 0.0), complex(-1, 0.0), complex(-1, 0.0), 0j, complex(NAN, 0.0)]
    for got, wanted in zip(ad.expm1(ad.tensor(x, dtype=ad.complex128)).tolist(), expected, strict=True):
        assert is_same(got, wanted), (got, wanted)


def test_derivative_of_acosh_in_the_left_half_plane(backend: Backend) -> None:
    x = ad.tensor([-1.5 + 0.5j, -0.3 - 2j, 2 + 1j], dtype=ad.complex128, requires_grad=True)
    assert gradcheck(ad.acosh, x)
    assert gradgradcheck(ad.acosh, x)


# Derivatives at edges -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("hypot", [[0.0], [0.0]], [[0.0], [0.0]]),
        ("atan2", [[0.0], [0.0]], [[0.0], [0.0]]),
        ("xlogy", [[0.0], [0.0]], [[0.0], [0.0]]),
        ("logaddexp", [[-INF, INF, -INF], [-INF, INF, 1.0]], [[0.5, 0.5, 0.0], [0.5, 0.5, 1.0]]),
        ("logaddexp2", [[-INF, INF, -INF], [-INF, INF, 1.0]], [[0.5, 0.5, 0.0], [0.5, 0.5, 1.0]]),
        ("copysign", [[0.0, 2.0, -2.0], [1.0, -1.0, -1.0]], [[0.0, -1.0, 1.0], [0.0, 0.0, 0.0]]),
        ("maximum", [[1.0, 2.0, 1.0], [1.0, 3.0, NAN]], [[0.5, 0.0, 1.0], [0.5, 1.0, 1.0]]),
        ("fmax", [[1.0, NAN, 1.0], [1.0, 3.0, NAN]], [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
        ("fmin", [[1.0, NAN, 1.0], [1.0, 3.0, NAN]], [[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
        ("nan_to_num", [[NAN, INF, 2.0]], [[0.0, 0.0, 1.0]]),
        ("round", [[0.5, 1.7]], [[0.0, 0.0]]),
        ("sqrt", [[0.0, 4.0]], [[INF, 0.25]]),
        ("log", [[0.0, 4.0]], [[INF, 0.25]]),
        ("reciprocal", [[2.0]], [[-0.25]]),
    ],
)
def test_derivative_at_an_edge(backend: Backend, name: str, arguments: Any, expected: Any) -> None:
    xs = [ad.tensor(a, requires_grad=True) for a in arguments]
    y = getattr(ad, name)(*xs)
    y.backward(ad.ones_like(y))
    assert [x.grad.tolist() for x in xs if x.grad is not None] == expected


def test_second_derivatives_at_edges(backend: Backend) -> None:
    x = ad.tensor([0.0, 1e-6, 0.3], dtype=ad.float64, requires_grad=True)
    (first,) = ad.autograd.grad(ad.sinc(x).sum(), x, create_graph=True)
    (second,) = ad.autograd.grad(first[:2].sum(), x)
    assert_close(second, np.array([-(math.pi**2) / 3, -(math.pi**2) / 3, 0.0]), check_dtype=False, rtol=1e-9)
    y = ad.tensor([2.0], dtype=ad.float64, requires_grad=True)
    (first,) = ad.autograd.grad(ad.logaddexp(y, y.detach()).sum(), y, create_graph=True)
    assert_close(ad.autograd.grad(first.sum(), y)[0], np.array([0.25]), check_dtype=False)
    big = ad.tensor([1000.0], requires_grad=True)
    (first,) = ad.autograd.grad(ad.logaddexp(big, 0.0).sum(), big, create_graph=True)
    assert (first.item(), ad.autograd.grad(first.sum(), big)[0].item()) == (1.0, 0.0)


# Beyond the standard ------------------------------------------------------------------------------------------


def test_alpha(backend: Backend) -> None:
    x, y = ad.tensor([1.0, 2.0], requires_grad=True), ad.tensor([10.0, 20.0], requires_grad=True)
    assert ad.add(x, y, alpha=2).tolist() == [21.0, 42.0]
    assert x.sub(y, alpha=0.5).tolist() == [-4.0, -8.0]
    x.add(y, alpha=3).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert (x.grad.tolist(), y.grad.tolist()) == ([1.0, 1.0], [3.0, 3.0])
    z = ad.tensor([1.0, 2.0])
    z.add_(ad.tensor([10.0, 20.0]), alpha=-0.1).sub_(ad.tensor([1.0, 1.0]), alpha=2)
    assert z.tolist() == [-2.0, -2.0]


def test_interpolation_meets_both_ends(backend: Backend) -> None:
    start, end = ad.tensor([0.1, 1e8]), ad.tensor([0.7, 1.0])
    assert ad.lerp(start, end, 1.0).tolist() == end.tolist()
    assert ad.lerp(start, end, ad.tensor([0.0, 1.0])).tolist() == [start.tolist()[0], 1.0]


def test_factors_of_fused_products(backend: Backend) -> None:
    x, a, b = ad.tensor([1, 2]), ad.tensor([3, 4]), ad.tensor([5, 6])
    assert ad.addcmul(x, a, b).tolist() == [16, 26]
    assert x.addcmul(a, b, value=2).tolist() == [31, 50]
    factor = ad.tensor(0.5, requires_grad=True)
    y = ad.addcdiv(x, a, b, value=factor)
    assert_close(y, np.array([1.3, 2 + 1 / 3]), check_dtype=False)
    y.sum().backward()
    assert factor.grad is not None
    assert factor.grad.item() == pytest.approx(3 / 5 + 4 / 6)


def test_nearly_equal(backend: Backend) -> None:
    big = 2**53
    assert ad.isclose(ad.tensor([big + 2]), ad.tensor([big]), rtol=0.0, atol=1.0).tolist() == [False]
    assert ad.isclose(ad.tensor([5], dtype=ad.uint8), ad.tensor([7], dtype=ad.uint8), 0.0, 2.0).tolist() == [True]
    assert ad.isclose(ad.tensor([INF, INF]), ad.tensor([INF, 1.0])).tolist() == [True, False]
    assert ad.allclose(ad.tensor([1.0, NAN]), ad.tensor([1.0, NAN]), equal_nan=True) is True
    assert ad.tensor([1.0]).allclose(ad.tensor([1.1])) is False
    assert ad.allclose(ad.tensor([1.0]), 1.0) is True
    with pytest.raises(ShapeError, match="do not broadcast"):
        ad.allclose(ad.ones(2), ad.ones(3))


def test_array_equal(backend: Backend) -> None:
    assert ad.array_equal(ad.tensor([1, 2]), ad.tensor([1.0, 2.0])) is True
    assert ad.array_equal(ad.ones(2), ad.ones(1, 2)) is False
    assert ad.array_equal(ad.tensor([NAN]), ad.tensor([NAN])) is False
    assert ad.array_equal(ad.tensor([NAN]), ad.tensor([NAN]), equal_nan=True) is True
    assert ad.array_equal(ad.ones(0), ad.ones(0)) is True


def test_float_power_is_double(backend: Backend) -> None:
    assert ad.float_power(ad.tensor([2, 3]), -1).dtype is ad.float64
    assert ad.float_power(2, ad.tensor([0.5])).item() == 2**0.5
    assert ad.tensor([1j]).float_power(2).dtype is ad.complex128


def test_real_numbers_as_complex_ones(backend: Backend) -> None:
    x = ad.tensor([1.0, -2.0], requires_grad=True)
    assert (x.imag.tolist(), ad.isreal(x).tolist()) == ([0.0, 0.0], [True, True])
    assert ad.isreal(ad.tensor([True])).tolist() == [True]
    z = ad.tensor([3 + 4j], requires_grad=True)
    z.imag.sum().backward()
    assert z.grad is not None
    assert z.grad.tolist() == [1j]


def test_other_spellings() -> None:
    pairs = {"arccos": "acos", "arctan2": "atan2", "bitwise_not": "bitwise_invert", "fix": "trunc", "mod": "remainder"}
    for spelling, name in {**pairs, "degrees": "rad2deg", "conjugate": "conj", "around": "round"}.items():
        assert getattr(ad, spelling) is getattr(ad, name)
        assert getattr(ad.Tensor, spelling) is getattr(ad.Tensor, name)


IN_PLACE = "floor ceil round trunc frac square sqrt rsqrt reciprocal exp2 expm1 log2 log10 tan asin acos atan sinh cosh"


@pytest.mark.parametrize("name", [*IN_PLACE.split(), "asinh", "atanh", "sinc", "deg2rad", "rad2deg", "nan_to_num"])
def test_in_place(backend: Backend, name: str) -> None:
    values = [0.25, 0.75]
    x = ad.tensor(values, dtype=ad.float64)
    view = x[:1]
    assert getattr(x, f"{name}_")() is x
    assert_close(x, getattr(ad, name)(ad.tensor(values, dtype=ad.float64)))
    assert_close(view, x[:1])


def test_in_place_of_several(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0, 3.0])
    assert x.masked_fill_(x > 1.5, -1.0).tolist() == [1.0, -1.0, -1.0]
    assert x.fmod_(2).lerp_(ad.zeros(3), 0.5).tolist() == [0.5, -0.5, -0.5]
    assert x.addcmul_(ad.ones(3), ad.ones(3), value=2).atan2_(ad.ones(3)).tolist() == pytest.approx(
        [math.atan2(v, 1) for v in (2.5, 1.5, 1.5)]
    )
    b = ad.tensor([True, False])
    assert b.logical_not_().tolist() == [False, True]
    with pytest.raises(DTypeError, match="masked_fill_: the result is float32, which a tensor of int64 cannot hold"):
        ad.tensor([1, 2]).masked_fill_(ad.tensor([True, False]), 0.5)


def test_masked_fill_keeps_what_is_not_filled(backend: Backend) -> None:
    x = ad.tensor([NAN, 2.0], requires_grad=True)
    value = ad.tensor(5.0, requires_grad=True)
    y = ad.masked_fill(x, ad.tensor([True, False]), value)
    (y * y).sum().backward()
    assert x.grad is not None
    assert value.grad is not None
    assert (x.grad.tolist(), value.grad.item()) == ([0.0, 4.0], 10.0)


# No warnings --------------------------------------------------------------------------------------------------


def test_infinities_and_nan_come_silently(corrected: Backend) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = ad.tensor([0.0, -1.0, INF, 1e30], requires_grad=True)
        for name in ("log", "log10", "log1p", "sqrt", "rsqrt", "reciprocal", "exp", "sinh", "acos", "atanh", "sin"):
            y = getattr(ad, name)(x)
            y.backward(ad.ones_like(y))
            x.grad = None
        for call in (ad.divide, ad.floor_divide, ad.remainder, ad.power, ad.hypot, ad.logaddexp, ad.xlogy):
            y = call(x, ad.tensor([0.0, 0.5, INF, 1e30]))
            if y.requires_grad:
                y.backward(ad.ones_like(y))
                x.grad = None
        x.detach().long()
        z = ad.tensor([1.0])
        z /= 0
        assert z.item() == INF


def test_numpys_settings_are_the_users(corrected: Backend) -> None:
    before = np.geterr()
    x = ad.tensor([0.0], requires_grad=True)
    seen = []

    ad.log(x).sum().backward()
    x.register_hook(lambda g: seen.append(g))
    assert np.geterr() == before
    with np.errstate(all="raise"):
        ad.log(x).sum().backward()
        assert np.geterr()["divide"] == "raise"
    assert seen[0].item() == INF


def test_quiet_kernels_in_many_threads(corrected: Backend) -> None:
    # arrays so large that NumPy lets other threads run meanwhile, in the same function
    x = ad.linspace(-1.0, 1.0, 50_000)
    expected = ad.log(x).tolist()[-1]
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(30):
                assert ad.log(x).tolist()[-1] == expected
                assert ad.divide(x, x).tolist()[0] == 1.0
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]
