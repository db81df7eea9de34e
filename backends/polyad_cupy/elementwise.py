"""Elementwise functions that CuPy has otherwise than the array API standard.

What is left as CuPy has it: numbers too small to be normal count as 0 (in `nextafter` too), and which zero `maximum`
and `minimum` give of two that differ in sign.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from polyad.backend import Kernel

__all__ = ["kernels"]


def kernels(xp: Any) -> dict[str, Kernel]:
    """Make the kernels over a namespace: ``cupy``, or in the tests NumPy."""

    def exact_remainder(a: Any, b: Any) -> Any:
        """Floating-point remainder: CuPy's ``a - floor(a / b) * b`` is inexact, and NaN for an infinite ``b``."""
        r = xp.fmod(a, b)
        return xp.where((r != 0) & ((r < 0) != (b < 0)), r + b, r)

    def remainder(a: Any, b: Any) -> Any:
        if _kind(a, b) != "f":
            return xp.remainder(a, b)  # gives 0 where b is 0, like every backend
        r = exact_remainder(a, b)
        return xp.where(r == 0, xp.copysign(r, b), r)

    def floor_divide(a: Any, b: Any) -> Any:
        if _kind(a, b) != "f":
            return xp.floor_divide(a, b)
        ratio = a / b
        q = xp.rint((a - exact_remainder(a, b)) / b)  # an integer, but for rounding
        # where the quotient is infinite, or that by an infinite number, the standard does not round it
        divisor = xp.asarray(b)
        ordinary = xp.isfinite(xp.asarray(a)) & xp.isfinite(divisor) & (divisor != 0)
        return xp.where(ordinary, xp.where(q == 0, xp.copysign(q, ratio), q), ratio)

    def fmod(a: Any, b: Any) -> Any:
        if _kind(a, b) == "f":
            return xp.fmod(a, b)
        r = xp.remainder(a, b)  # CuPy's fmod passes through float64, which does not hold all integers
        return xp.where((r != 0) & ((r < 0) != (a < 0)), r - b, r)

    # A shift by as many bits as there are, or by a negative number, is not defined in CUDA.

    def shift(move: Any, x: Any, n: Any, beyond: Any) -> Any:
        dtype = x.dtype if hasattr(x, "dtype") else n.dtype
        inside = (n >= 0) & (n < 8 * dtype.itemsize)
        return xp.where(inside, move(x, xp.where(inside, n, 0).astype(dtype)), beyond).astype(dtype)

    def left_shift(x: Any, n: Any) -> Any:
        return shift(xp.left_shift, x, n, 0)

    def right_shift(x: Any, n: Any) -> Any:
        return shift(xp.right_shift, x, n, xp.where(xp.asarray(x) < 0, -1, 0))

    def expm1(x: Any) -> Any:
        if x.dtype.kind != "c":
            return xp.expm1(x)
        w = xp.asarray(xp.where(xp.isfinite(x), xp.expm1(x), xp.exp(x) - 1))
        w.real[...] += 0.0  # the standard has no -0.0 there
        return w

    def tanh(x: Any) -> Any:
        w = xp.asarray(xp.tanh(x))
        if x.dtype.kind == "c":
            # C99 gives the zero the sign of a sine, the standard that of the imaginary part
            w.imag[...] = xp.where(xp.isinf(x.real), xp.copysign(xp.zeros_like(x.real), x.imag), w.imag)
        return w

    def make_complex(real: Any, imag: Any) -> Any:
        shape = np.broadcast_shapes(getattr(real, "shape", ()), getattr(imag, "shape", ()))
        found = xp.empty(shape, _complex_type(real, imag))
        found.real, found.imag = real, imag
        return found

    def view_as_real(x: Any) -> Any:
        x = xp.asarray(x)  # in the tests it may be one of NumPy's scalars
        return xp.lib.stride_tricks.as_strided(x.real, (*x.shape, 2), (*x.strides, x.itemsize // 2))

    def view_as_complex(x: Any) -> Any:
        if not x.size:
            return xp.empty(x.shape[:-1], _complex_type(x))
        pairs = x if x.strides[-1] == x.itemsize else xp.ascontiguousarray(x)  # a gradient may have any strides
        # only what is contiguous can be seen in a type of another size: the first number, and from there on the others
        first = pairs[(0,) * (x.ndim - 1)].view(_complex_type(x))
        return xp.lib.stride_tricks.as_strided(first, pairs.shape[:-1], pairs.strides[:-1])

    return {
        "remainder": remainder,
        "floor_divide": floor_divide,
        "fmod": fmod,
        "bitwise_left_shift": left_shift,
        "bitwise_right_shift": right_shift,
        "expm1": expm1,
        "tanh": tanh,
        "complex": make_complex,
        "imag": lambda x: x.imag if x.dtype.kind == "c" else xp.zeros_like(x),
        "view_as_real": view_as_real,
        "view_as_complex": view_as_complex,
    }


def _complex_type(*parts: Any) -> np.dtype[Any]:
    """The type of complex numbers of such parts, of which some may be Python numbers."""
    return np.result_type(*(p.dtype for p in parts if hasattr(p, "dtype")), np.complex64)


def _kind(a: Any, b: Any) -> str:
    """The kind of two operands' type, of which one may be a Python number."""
    dtype: np.dtype[Any] = a.dtype if hasattr(a, "dtype") else b.dtype
    return dtype.kind
