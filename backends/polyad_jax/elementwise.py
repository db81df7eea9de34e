"""Elementwise functions that JAX has otherwise than the array API standard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from . import complex_functions

__all__ = ["KERNELS"]


def _is_integer(*arrays: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(*arrays), jnp.integer)


# Division ----------------------------------------------------------------------------------------------------


def _divides(floating: Callable[..., Any], integer: Callable[..., Any]) -> Callable[..., Any]:
    """A division of two kinds, where that of integers by zero gives 0, as on every backend."""

    def kernel(x1: Any, x2: Any) -> Any:
        if _is_integer(x1, x2):
            return jnp.where(x2 == 0, 0, integer(x1, jnp.where(x2 == 0, 1, x2)))
        return floating(x1, x2)

    return kernel


def _remainder(x1: Any, x2: Any) -> Any:
    """The remainder, where JAX's has the wrong sign if it is zero."""
    r = jnp.fmod(x1, x2)
    r = jnp.where((r != 0) & ((r < 0) != (x2 < 0)), r + x2, r)
    return jnp.where(r == 0, jnp.copysign(r, x2), r)


def _floor_divide(x1: Any, x2: Any) -> Any:
    """The quotient rounded down, where JAX's has the wrong sign if it is zero."""
    r = jnp.fmod(x1, x2)
    q = jnp.rint((x1 - r) / x2)  # an integer, but for rounding
    q = jnp.where((r != 0) & ((r < 0) != (x2 < 0)), q - 1, q)
    ratio = x1 / x2
    # where the quotient is infinite, or that by an infinite number, the standard does not round it
    ordinary = jnp.isfinite(x1) & jnp.isfinite(x2) & (x2 != 0)
    return jnp.where(ordinary, jnp.where(q == 0, jnp.copysign(q, ratio), q), ratio)


# Powers ------------------------------------------------------------------------------------------------------

_fixed_power = jax.jit(jnp.power, static_argnums=1)


def _integer_power(x1: Any, x2: Any) -> Any:
    """Powers by squaring, over all bits of the exponent, of which JAX looks at six. 1 and -1 have negative ones."""
    dtype = jnp.result_type(x1, x2)
    base, exponent = jnp.broadcast_arrays(jnp.asarray(x1, dtype), jnp.asarray(x2, dtype))

    def step(state: Any) -> Any:
        base, left, out = state
        return base * base, left >> 1, jnp.where(left & 1, out * base, out)

    start = base, jnp.maximum(exponent, 0), jnp.ones_like(base)
    _, _, found = jax.lax.while_loop(lambda state: jnp.any(state[1] > 0), step, start)
    one = jnp.where(base == -1, 1 - 2 * (exponent & 1), base == 1).astype(dtype)
    return jnp.where(exponent < 0, one, found)


@jax.jit
def _power(x1: Any, x2: Any) -> Any:
    if _is_integer(x1, x2):
        return _integer_power(x1, x2)
    found = jnp.power(x1, x2)
    if found.dtype.kind != "c":
        return found
    # XLA's power of a complex 0 is NaN
    at_zero = jnp.where(jnp.real(x2) > 0, 0, jnp.where(x2 == 0, 1, complex(jnp.nan, jnp.nan)))
    return jnp.where(x1 == 0, at_zero, found)


def power(x1: Any, x2: Any) -> Any:
    """Compile an integer exponent in: products instead of logarithms."""
    return _fixed_power(x1, x2) if type(x2) is int and -16 < x2 < 16 else _power(x1, x2)


power.is_prepared = True  # type: ignore[attr-defined]


# Integers ----------------------------------------------------------------------------------------------------


def _size(x: Any) -> Any:
    """The absolute value, of the unsigned type: that of the smallest integer has no signed one."""
    size = jnp.abs(x)
    return size.astype(f"u{size.dtype.name}") if size.dtype.kind == "i" else size


def _gcd(x1: Any, x2: Any) -> Any:
    return jnp.gcd(_size(x1), _size(x2)).astype(jnp.result_type(x1, x2))  # JAX's never ends at the smallest integer


def _lcm(x1: Any, x2: Any) -> Any:
    a, b = _size(x1), _size(x2)
    common = jnp.gcd(a, b)
    return jnp.where(common == 0, 0, a // jnp.maximum(common, 1) * b).astype(jnp.result_type(x1, x2))


def _truth(x: Any) -> Any:
    """Which numbers are not 0: JAX's reductions look at a complex number's real part alone."""
    return x != 0 if x.dtype.kind == "c" else x


def _complex(real: Any, imag: Any) -> Any:
    dtype = jnp.result_type(real, imag, jnp.float32)  # half precision has no complex type
    return jax.lax.complex(*jnp.broadcast_arrays(jnp.asarray(real, dtype), jnp.asarray(imag, dtype)))


KERNELS = {
    **complex_functions.KERNELS,
    "floor_divide": _divides(_floor_divide, jnp.floor_divide),
    "remainder": _divides(_remainder, jnp.remainder),
    "fmod": _divides(jnp.fmod, jnp.fmod),
    "power": power,
    "rsqrt": lambda x: 1 / complex_functions.KERNELS["sqrt"](x) if x.dtype.kind == "c" else jax.lax.rsqrt(x),
    "heaviside": None,  # of NaN JAX before 0.10 has the number for 0
    "all": lambda x, axis=None, keepdims=False: jnp.all(_truth(x), axis=axis, keepdims=keepdims),
    "any": lambda x, axis=None, keepdims=False: jnp.any(_truth(x), axis=axis, keepdims=keepdims),
    "complex": _complex,
    "gcd": _gcd,
    "lcm": _lcm,
}
