"""JAX's counter-based generator as a source of random numbers: a key, and how many draws were made from it."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from polyad.backend import Device


@partial(jax.jit, static_argnames=("shape", "dtype"))
def _uniform(key: Any, count: Any, *, shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.random.uniform(jax.random.fold_in(key, count), shape, dtype)


@partial(jax.jit, static_argnames=("shape", "dtype"))
def _normal(key: Any, count: Any, *, shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.random.normal(jax.random.fold_in(key, count), shape, dtype)


@partial(jax.jit, static_argnames=("shape", "dtype"))
def _integers(key: Any, count: Any, low: Any, high: Any, *, shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.random.randint(jax.random.fold_in(key, count), shape, low, high, dtype)


@partial(jax.jit, static_argnames="n")
def _permutation(key: Any, count: Any, *, n: int) -> Any:
    return jax.random.permutation(jax.random.fold_in(key, count), n).astype(jnp.int64)


@partial(jax.jit, static_argnames="dtype")
def _gamma(key: Any, count: Any, alpha: Any, *, dtype: Any) -> Any:
    return jax.random.gamma(jax.random.fold_in(key, count), alpha, dtype=dtype)


@jax.jit
def _poisson(key: Any, count: Any, rate: Any) -> Any:
    return jax.random.poisson(jax.random.fold_in(key, count), rate, dtype=jnp.int64)


@jax.jit
def _binomial(key: Any, count: Any, n: Any, p: Any) -> Any:
    drawn = jax.random.binomial(jax.random.fold_in(key, count), n.astype(p.dtype), p, dtype=p.dtype)
    return drawn.astype(jnp.int64)


class JAXSource:
    """Draws from `jax.random`, each draw with a key of its own.

    Inside ``jax.jit`` a draw is made once, when the function is traced: pass random tensors as arguments.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self.seed(0)

    def seed(self, seed: int) -> None:
        """Start the sequence of a seed."""
        self._seed = seed
        signed = seed - 2**64 if seed >= 2**63 else seed  # JAX takes signed numbers of 64 bits
        with jax.ensure_compile_time_eval():  # a key that jax.jit traces would outlive the traced function
            self._key = jax.device_put(jax.random.key(signed), self._device.handle)
        self._count = 0

    def _next(self) -> tuple[Any, int]:
        self._count += 1
        return self._key, self._count

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers in [0, 1)."""
        return _uniform(*self._next(), shape=shape, dtype=dtype)

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers of the standard normal distribution."""
        return _normal(*self._next(), shape=shape, dtype=dtype)

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Integers in [low, high)."""
        return _integers(*self._next(), low, high, shape=shape, dtype=dtype)

    def permutation(self, n: int) -> Any:
        """A random order."""
        return _permutation(*self._next(), n=n)

    def gamma(self, alpha: Any, dtype: Any) -> Any:
        """Numbers of gamma distributions."""
        return _gamma(*self._next(), alpha, dtype=dtype)

    def poisson(self, rate: Any) -> Any:
        """Numbers of Poisson distributions."""
        return _poisson(*self._next(), rate)

    def binomial(self, n: Any, p: Any) -> Any:
        """Numbers of successes."""
        return _binomial(*self._next(), n, p)

    def get_state(self) -> Any:
        """Give seed and number of draws, which determine all that follows."""
        return self._seed, self._count

    def set_state(self, state: Any) -> None:
        """Continue from a state."""
        seed, count = state
        if seed != self._seed:
            self.seed(seed)
        self._count = count
