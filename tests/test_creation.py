"""Functions that make tensors of a shape or by counting: signatures, types, numbers that do not fit."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.errors import ArgumentError, DTypeError, OperandError
from polyad.testing import assert_close


@pytest.mark.parametrize("make", [ad.zeros, ad.ones, ad.empty])
def test_shape_by_name_and_position(backend: Backend, make: Callable[..., ad.Tensor]) -> None:
    assert make(shape=(2, 3)).shape == make((2, 3)).shape == make(2, 3).shape == make([2, 3]).shape == (2, 3)
    assert make(shape=2).shape == make(2).shape == (2,)
    assert list(inspect.signature(make).parameters)[:3] == ["shape", "dtype", "device"]
    with pytest.raises(OperandError, match="the shape was given twice, by position and by name"):
        make(2, shape=(2,))


def test_types_of_numbers(backend: Backend) -> None:
    for value, dtype in ((True, ad.bool), (1, ad.int64), (1.0, ad.float32), (1j, ad.complex64)):
        assert ad.full((), value).dtype is dtype
        assert ad.full(2, value).tolist() == [value, value]
    assert ad.full(2, 3.0, dtype=ad.uint8).tolist() == [3, 3]  # the same number
    assert ad.full(2, 1, dtype=ad.bool).tolist() == [True, True]
    assert ad.full(2, np.int8(3)).dtype is ad.int64
    assert ad.full(2, ad.tensor(2.5), dtype=ad.float64).tolist() == [2.5, 2.5]
    assert math.isnan(ad.full((), math.nan, dtype=ad.float32).item())
    assert ad.full((), -math.inf, dtype=ad.complex64).item().real == -math.inf
    if ad.float16 in ad.zeros(()).device.native:
        assert ad.full((), 65519.0, dtype=ad.float16).item() == 65504
    assert ad.full((), 2**63, dtype=ad.uint64).item() == 2**63


@pytest.mark.parametrize(
    ("value", "dtype", "match"),
    [
        (1.5, "int64", r"fill_value: 1.5 does not fit into int64; write int\(1.5\), or ask for a floating-point type"),
        (math.nan, "int8", "fill_value: nan does not fit into int8; ask for a floating-point type"),
        (math.inf, "bool", "fill_value: inf does not fit into bool"),
        (300, "uint8", "fill_value: 300 is outside uint8's range 0 to 255; ask for a wider type"),
        (-1, "uint64", "fill_value: -1 is outside uint64's range"),
        (2**63, None, "fill_value: 9223372036854775808 is outside int64's range"),
        (2, "bool", "fill_value: 2 is outside bool's range 0 to 1"),
        (1j, "float32", "fill_value: 1j does not fit into float32; ask for polyad.complex64"),
        (1j, "int32", "fill_value: 1j does not fit into int32"),
        (1e39, "float32", r"fill_value: 1e\+39 overflows float32, whose largest number is 3.40282e\+38"),
        (65520.0, "float16", "fill_value: 65520 overflows float16"),
        (complex(0, 1e39), "complex64", "overflows complex64"),
        (10**400, "float64", "the number overflows float64"),
    ],
)
def test_number_that_does_not_fit(backend: Backend, value: Any, dtype: Any, match: str) -> None:
    with pytest.raises(DTypeError, match=match):
        ad.full((2,), value, dtype=dtype)
    if dtype not in (None, "float16"):
        with pytest.raises(DTypeError, match=match):
            ad.full_like(ad.zeros(2, dtype=dtype), value)


@pytest.mark.parametrize(
    "args",
    [
        (5,), (2, 5), (5, 0, -2), (0, 0), (3, 1), (1, 10, 4), (-3, 3), (5, 0, -1),
        (2.5,), (0.0, 1.0, 0.1), (1, 0, -0.25), (0, 1e-3, 1e-4), (1000.0, 1001.0, 0.125), (1, 5, 1.5), (5, 1, 1.5),
    ],
)  # fmt: skip
def test_arange(backend: Backend, args: Any) -> None:
    whole = all(isinstance(a, int) for a in args)
    expected = np.arange(*args, dtype=np.int64 if whole else np.float64)
    assert ad.arange(*args).dtype is (ad.int64 if whole else ad.float32)
    for dtype in (ad.float64, ad.float32, ad.complex64) + ((ad.int64, ad.int32, ad.int8) if whole else ()):
        made = ad.arange(*args, dtype=dtype)
        assert made.dtype is dtype
        assert_close(made, expected.astype(dtype.name), rtol=1e-6 if dtype is not ad.float64 else 1e-14)


def test_arange_does_not_drift(backend: Backend) -> None:
    made = ad.arange(1000.0, 1001.0, 1e-4)  # NumPy's float32 takes 1.2e-4 for the step
    assert_close(made, np.arange(1000.0, 1001.0, 1e-4).astype(np.float32))


def test_arange_of_all_integers(backend: Backend) -> None:
    assert ad.arange(256, dtype=ad.uint8).tolist() == list(range(256))
    assert ad.arange(3, -1, -1, dtype=ad.uint8).tolist() == [3, 2, 1, 0]
    assert ad.arange(2**63, 2**63 + 3, dtype=ad.uint64).tolist() == [2**63, 2**63 + 1, 2**63 + 2]
    assert ad.arange(2, dtype=ad.bool).tolist() == [False, True]
    assert ad.arange(0, 2.5, dtype=ad.int64).tolist() == [0, 1, 2]
    assert ad.arange(np.int64(3)).tolist() == [0, 1, 2]
    assert ad.arange(3.0, requires_grad=True).is_leaf


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: ad.arange("a"), OperandError, "arange: stop must be a real number; got 'a'"),
        (lambda: ad.arange(0, 1j), OperandError, "arange: stop must be a real number; got 1j"),
        (lambda: ad.arange(0, math.inf), ArgumentError, "arange: from 0 to inf in steps of 1 there is no"),
        (lambda: ad.arange(0, 300, dtype=ad.uint8), DTypeError, "arange: the last element: 299 is outside uint8's"),
        (lambda: ad.arange(-1, 3, dtype=ad.uint8), DTypeError, "arange: start: -1 is outside uint8's range"),
        (lambda: ad.arange(0, 2, 0.5, dtype=ad.int64), DTypeError, "arange: step: 0.5 does not fit into int64"),
        (lambda: ad.linspace(0, 1, 2.5), OperandError, "linspace: num must be an integer; got 2.5"),
        (lambda: ad.linspace("a", 1, 2), OperandError, "linspace: start must be a number; got 'a'"),
        (lambda: ad.linspace(0, 1j, 2, dtype=ad.float32), DTypeError, "linspace: stop: 1j does not fit into float32"),
        (lambda: ad.linspace(0, 1e39, 2), DTypeError, "linspace: stop: 1e[+]39 overflows float32"),
        (lambda: ad.logspace(0, 1, -1), ArgumentError, "logspace: num must not be negative; got -1"),
        (lambda: ad.logspace(0, 1, 2, base=-2.0), ArgumentError, "logspace: base must be positive; got -2.0"),
        (lambda: ad.geomspace(0, 1, 2), ArgumentError, "geomspace: start and stop must not be 0; got 0.0 and 1.0"),
        (lambda: ad.geomspace(-1, 1, 2), ArgumentError, r"geomspace: real .* one sign; .* complex\(-1.0\)"),
        (lambda: ad.eye(2.5), OperandError, "eye: a shape is a tuple of integers"),
        (lambda: ad.eye(2, k=0.5), OperandError, "eye: k must be an integer; got 0.5"),
        (lambda: ad.full((2,), [1.0]), OperandError, r"full: fill_value must be a number; got \[1.0\]"),
        (lambda: ad.full((2,), ad.ones(2)), Exception, "item|fill_value"),
        (lambda: ad.full_like([1.0], 2), OperandError, "full_like: expected a tensor; got list"),
    ],
)  # fmt: skip
def test_errors(backend: Backend, call: Callable[[], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize(
    ("args", "params"),
    [((0, 1, 5), {}), ((1, -1, 4), {"endpoint": False}), ((2, 3, 1), {}), ((2, 3, 0), {}), ((0, 1 + 2j, 3), {})],
)
def test_linspace(backend: Backend, args: Any, params: Any) -> None:
    expected = np.linspace(*args, **params)
    is_complex = np.iscomplexobj(expected)
    assert ad.linspace(*args, **params).dtype is (ad.complex64 if is_complex else ad.float32)
    half = [ad.float16] if ad.float16 in ad.zeros(()).device.native else []
    for dtype in (ad.complex64, ad.complex128) if is_complex else (*half, ad.float32, ad.float64, ad.complex64):
        made = ad.linspace(*args, dtype=dtype, **params)
        assert made.dtype is dtype
        assert_close(made, expected.astype(dtype.name), rtol=1e-15 if dtype is ad.float64 else 1e-3)
    assert ad.linspace(0, 10, 5, dtype=ad.int32).tolist() == [0, 2, 5, 7, 10]


@pytest.mark.parametrize(
    ("args", "params"),
    [((0, 2, 5), {}), ((0, 3, 4), {"endpoint": False}), ((0, 3, 4), {"base": 2.0}), ((1, 1j, 3), {}), ((0, 1, 0), {})],
)
def test_logspace(backend: Backend, args: Any, params: Any) -> None:
    expected = np.logspace(*args, **params)
    dtype = ad.complex128 if np.iscomplexobj(expected) else ad.float64
    assert_close(ad.logspace(*args, dtype=dtype, **params), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("args", "params"),
    [
        *(((1, 1000, 4), {}), ((-8, -1, 4), {}), ((8, 1, 3), {"endpoint": False}), ((1, 2, 1), {}), ((1, 2, 0), {})),
        *(((1j, 16j, 5), {}), ((-1, 1j, 4), {})),
    ],
)
def test_geomspace(backend: Backend, args: Any, params: Any) -> None:
    expected = np.geomspace(*args, **params)
    dtype = ad.complex128 if np.iscomplexobj(expected) else ad.float64
    made = ad.geomspace(*args, dtype=dtype, **params)
    assert_close(made, expected, rtol=1e-12, atol=1e-12)
    if made.numel() > 1:
        assert made[0].item() == args[0]
        assert made[-1].item() == args[1] or not params.get("endpoint", True)


def test_eye_of_any_diagonal(backend: Backend) -> None:
    for rows, columns, k in ((3, 3, 0), (2, 4, 3), (4, 2, -3), (2, 3, 9), (2, 3, -9), (0, 3, 0), (3, 0, 1)):
        assert_close(ad.eye(rows, columns, k=k), np.eye(rows, columns, k, np.float32))
