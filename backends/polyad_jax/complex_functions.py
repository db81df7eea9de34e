"""Functions of complex numbers with the values of C99 (annex G), which the array API standard asks for.

XLA loses the sign of a zero part, which is the side of a branch cut, and gives NaN where one part of an infinite number
is NaN. Here a function is XLA's where both parts are positive; symmetry gives the rest, and a table what is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

__all__ = ["KERNELS"]

Parts = tuple[Any, Any]
Fix = Callable[[Any, Any, Any, Any], Parts]
"""``fix(x, y, real, imag)``: the parts of the value, put right where the parts of the argument ask for it."""


def _complex_only(kernel: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: kernel(x) if x.dtype.kind == "c" else plain(x)


def _signed(size: Any, like: Any) -> Any:
    """``size`` negated where ``like`` has its sign bit set."""
    return jnp.where(jnp.signbit(like), -size, size)


def _odd(f: Callable[[Any], Any], fix: Fix) -> Callable[[Any], Any]:
    """A function with ``f(-z) == -f(z)`` and ``f(conj(z)) == conj(f(z))``."""

    def kernel(z: Any) -> Any:
        a, b = jnp.abs(z.real), jnp.abs(z.imag)
        w = f(jax.lax.complex(a, b))
        real, imag = fix(a, b, w.real, w.imag)
        return jax.lax.complex(_signed(real, z.real), _signed(imag, z.imag))

    return kernel


def _even(f: Callable[[Any], Any], fix: Fix) -> Callable[[Any], Any]:
    """A function with ``f(-z) == f(z)`` and ``f(conj(z)) == conj(f(z))``."""

    def kernel(z: Any) -> Any:
        a, b = jnp.abs(z.real), jnp.abs(z.imag)
        w = f(jax.lax.complex(a, b))
        real, imag = fix(a, b, w.real, w.imag)
        return jax.lax.complex(real, _signed(_signed(imag, z.real), z.imag))

    return kernel


def _mirrored(f: Callable[[Any], Any], fix: Fix) -> Callable[[Any], Any]:
    """A function with ``f(conj(z)) == conj(f(z))``."""

    def kernel(z: Any) -> Any:
        x, b = z.real, jnp.abs(z.imag)
        w = f(jax.lax.complex(x, b))
        real, imag = fix(x, b, w.real, w.imag)
        return jax.lax.complex(real, _signed(imag, z.imag))

    return kernel


def _rotated(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``-i * f(i * z)``: ``sin`` of ``sinh``, ``tan`` of ``tanh``, and their inverses."""

    def kernel(z: Any) -> Any:
        w = f(jax.lax.complex(-z.imag, z.real))
        return jax.lax.complex(w.imag, -w.real)

    return kernel


# Exponentials and hyperbolic functions -----------------------------------------------------------------------


def _exp_fix(x: Any, y: Any, real: Any, imag: Any) -> Parts:
    endless = ~jnp.isfinite(y)
    real = jnp.where(endless & (x == -jnp.inf), 0, jnp.where(endless & (x == jnp.inf), jnp.inf, real))
    imag = jnp.where((y == 0) | (endless & (x == -jnp.inf)), 0, jnp.where(endless & (x == jnp.inf), jnp.nan, imag))
    return real, imag


def _sinh_fix(a: Any, b: Any, real: Any, imag: Any) -> Parts:
    endless = ~jnp.isfinite(b)
    none = jnp.where(endless, a, jnp.copysign(a, jnp.cos(b)))
    real = jnp.where(a == 0, none, jnp.where(endless & jnp.isinf(a), jnp.inf, real))
    imag = jnp.where(b == 0, b, jnp.where(endless, jnp.nan, imag))
    return real, imag


def _cosh_fix(a: Any, b: Any, real: Any, imag: Any) -> Parts:
    endless = ~jnp.isfinite(b)
    real = jnp.where(endless & jnp.isinf(a), jnp.inf, real)
    imag = jnp.where((a == 0) | (b == 0), 0, jnp.where(endless, jnp.nan, imag))
    return real, imag


def _tanh_fix(a: Any, b: Any, real: Any, imag: Any) -> Parts:
    real = jnp.where(jnp.isinf(a), 1, jnp.where(a == 0, a, real))
    imag = jnp.where(jnp.isinf(a), 0, jnp.where(b == 0, b, imag))
    return real, imag


_exp = _mirrored(jnp.exp, _exp_fix)
_sinh, _cosh = _odd(jnp.sinh, _sinh_fix), _even(jnp.cosh, _cosh_fix)
_tanh = _odd(jnp.tanh, _tanh_fix)


def _expm1(z: Any) -> Any:
    near = _mirrored(jnp.expm1, lambda x, y, real, imag: (real, jnp.where(y == 0, y, imag)))
    return jnp.where(jnp.isfinite(z), near(z), _exp(z) - 1)


def _cos(z: Any) -> Any:
    return _cosh(jax.lax.complex(-z.imag, z.real))


# Roots and logarithms ----------------------------------------------------------------------------------------


def _abs(z: Any) -> Any:
    return jnp.where(jnp.isinf(z.real) | jnp.isinf(z.imag), jnp.inf, jnp.abs(z))


def _sign(z: Any) -> Any:
    along, across = jnp.isinf(z.real), jnp.isinf(z.imag)
    none = jnp.zeros_like(z.real)
    limit = jax.lax.complex(
        jnp.where(along, jnp.copysign(none + 1, z.real), none), jnp.where(across, jnp.copysign(none + 1, z.imag), none)
    )
    found = jnp.sign(jnp.where(along != across, limit, z))
    return jnp.where(z == 0, 0, found)


def _sqrt_fix(x: Any, y: Any, real: Any, imag: Any) -> Parts:
    high, lost = jnp.isinf(y), jnp.isnan(y)
    real = jnp.where(high | (x == jnp.inf), jnp.inf, jnp.where(lost & (x == -jnp.inf), jnp.nan, real))
    imag = jnp.where(high | (lost & (x == -jnp.inf)), jnp.inf, jnp.where(lost & (x == jnp.inf), jnp.nan, imag))
    return real, imag


def _log(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def kernel(z: Any) -> Any:
        w = f(z)
        return jax.lax.complex(jnp.where(jnp.isinf(z.real) | jnp.isinf(z.imag), jnp.inf, w.real), w.imag)

    return kernel


# Inverse functions -------------------------------------------------------------------------------------------


def _asinh_fix(a: Any, b: Any, real: Any, imag: Any) -> Parts:
    nan, endless = jnp.isnan(a) | jnp.isnan(b), jnp.isinf(a) | jnp.isinf(b)
    real = jnp.where(nan, jnp.where(endless, jnp.inf, jnp.nan), real)
    imag = jnp.where(b == 0, b, jnp.where(nan, jnp.nan, imag))
    return real, imag


def _acos_fix(x: Any, y: Any, real: Any, imag: Any) -> Parts:
    nan, endless = jnp.isnan(x) | jnp.isnan(y), jnp.isinf(x) | jnp.isinf(y)
    real = jnp.where(nan, jnp.where(x == 0, math.pi / 2, jnp.nan), real)
    imag = jnp.where(nan, jnp.where(endless, -jnp.inf, jnp.nan), imag)
    return real, imag


def _atanh_fix(a: Any, b: Any, real: Any, imag: Any) -> Parts:
    nan = jnp.isnan(a) | jnp.isnan(b)
    known = (a == 0) | jnp.isinf(a) | jnp.isinf(b)
    real = jnp.where(nan, jnp.where(known, 0, jnp.nan), real)
    imag = jnp.where(nan, jnp.where(jnp.isinf(b), math.pi / 2, jnp.nan), jnp.where((b == 0) & (a < 1), b, imag))
    return real, imag


_asinh, _atanh = _odd(jnp.asinh, _asinh_fix), _odd(jnp.atanh, _atanh_fix)
_acos = _mirrored(jnp.acos, _acos_fix)


def _acosh(z: Any) -> Any:
    w = _acos(jax.lax.complex(z.real, jnp.abs(z.imag)))
    return jax.lax.complex(-w.imag, _signed(w.real, z.imag))


KERNELS = {
    "abs": _complex_only(_abs, jnp.abs),
    "acos": _complex_only(_acos, jnp.acos),
    "acosh": _complex_only(_acosh, jnp.acosh),
    "asin": _complex_only(_rotated(_asinh), jnp.asin),
    "asinh": _complex_only(_asinh, jnp.asinh),
    "atan": _complex_only(_rotated(_atanh), jnp.atan),
    "atanh": _complex_only(_atanh, jnp.atanh),
    "cos": _complex_only(_cos, jnp.cos),
    "cosh": _complex_only(_cosh, jnp.cosh),
    "exp": _complex_only(_exp, jnp.exp),
    "expm1": _complex_only(_expm1, jnp.expm1),
    "log": _complex_only(_log(jnp.log), jnp.log),
    "log10": _complex_only(_log(jnp.log10), jnp.log10),
    "log1p": _complex_only(_log(jnp.log1p), jnp.log1p),
    "log2": _complex_only(_log(jnp.log2), jnp.log2),
    "sign": _complex_only(_sign, lambda x: jnp.where(x == 0, jnp.zeros_like(x), jnp.sign(x))),
    "sin": _complex_only(_rotated(_sinh), jnp.sin),
    "sinh": _complex_only(_sinh, jnp.sinh),
    "sqrt": _complex_only(_mirrored(jnp.sqrt, _sqrt_fix), jnp.sqrt),
    "tan": _complex_only(_rotated(_tanh), jnp.tan),
    "tanh": _complex_only(_tanh, jnp.tanh),
}
