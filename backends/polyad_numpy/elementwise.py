"""Elementwise functions that NumPy has otherwise than the array API standard, or that give infinities or NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["KERNELS", "QUIET"]


def _power(x1: Any, x2: Any) -> Any:
    try:
        return x1**x2  # the operator squares where the ufunc takes logarithms
    except ValueError:  # an integer to a negative power: 1 and -1 have one
        one = np.where(x1 == -1, 1 - 2 * (x2 & 1), x1 == 1)
        return np.where(x2 < 0, one, np.power(x1, np.maximum(x2, 0))).astype(np.result_type(x1, x2))


def _floor_divide(x1: Any, x2: Any) -> Any:
    q = np.floor_divide(x1, x2)
    if q.dtype.kind in "iu":
        return q
    # where the quotient is infinite, or that by an infinite number, the standard does not round it
    return np.where(np.isfinite(x1) & np.isfinite(x2), q, x1 / x2)


def _expm1(x: Any) -> Any:
    if x.dtype.kind != "c":
        return np.expm1(x)
    found = np.where(np.isfinite(x), np.expm1(x), np.exp(x) - 1)
    found.real += 0.0  # the standard has no -0.0 there
    return found


def _tanh(x: Any, tanh: Any = np.tanh) -> Any:
    if x.dtype.kind != "c":
        return tanh(x)
    with np.errstate(all="ignore"):
        found = np.asarray(np.tanh(x))
    far = np.isinf(x.real)  # where C99 gives the zero the sign of a sine, and the standard that of the imaginary part
    if far.any():
        found.imag[far] = np.copysign(0.0, x.imag[far])
    return found


def _acosh(x: Any) -> Any:
    found = np.arccosh(x)
    if x.dtype.kind != "c":
        return found
    sideways = (x.real == 0) & np.isnan(x.imag)  # NumPy before 2.2 has NaN for this angle, too
    return np.where(sideways, np.array(complex(np.nan, np.pi / 2), found.dtype), found)


def _nextafter(x1: Any, x2: Any) -> Any:
    found = np.nextafter(x1, x2)
    return np.where(x1 == x2, x2, found) if found.dtype == np.float16 else found  # of zeros that differ in sign


def _round(x: Any) -> Any:
    return x if x.dtype.kind in "iu" else np.rint(x)


def _exp2(x: Any) -> Any:
    return 2.0**x if x.dtype.kind == "c" else np.exp2(x)


def _complex(real: Any, imag: Any) -> Any:
    shape = np.broadcast_shapes(np.shape(real), np.shape(imag))
    found = np.empty(shape, np.result_type(real, imag, np.complex64))
    found.real, found.imag = real, imag
    return found


def _view_as_complex(x: Any) -> Any:
    pairs = x if x.strides[-1] == x.itemsize else np.ascontiguousarray(x)  # a gradient may have any strides
    return pairs.view(np.result_type(x, np.complex64))[..., 0]


KERNELS = {
    "acosh": _acosh,
    "power": _power,
    "round": _round,
    "exp2": _exp2,
    "expm1": _expm1,
    "floor_divide": _floor_divide,
    "nextafter": _nextafter,
    "tanh": _tanh,
    "complex": _complex,
    "imag": lambda x: x.imag if x.dtype.kind == "c" else np.zeros_like(x),  # NumPy's zeros cannot be written
    "view_as_real": lambda x: x[..., None].view(x.real.dtype),
    "view_as_complex": _view_as_complex,
}

QUIET = frozenset(
    [
        *("divide", "floor_divide", "remainder", "fmod", "power", "reciprocal", "sqrt", "rsqrt", "square", "hypot"),
        *("exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "xlogy"),
        *("sin", "cos", "tan", "asin", "acos", "atan", "sinc", "sinh", "cosh", "acosh", "atanh"),
        *("isclose", "addcdiv", "lerp", "frac", "astype"),
    ]
)
"""Functions that NumPy warns of at ordinary arguments. Sums and products, which only warn at infinities and near the
end of the type's range, are left as fast as they are."""
