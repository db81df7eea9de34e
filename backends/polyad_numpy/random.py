"""NumPy's generator as a source of random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np


class NumPySource:
    """Draws from `numpy.random.Generator` with its default bit generator."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng()

    def seed(self, seed: int) -> None:
        """Start the sequence of a seed."""
        self._generator = np.random.default_rng(seed)

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers in [0, 1)."""
        if dtype in (np.float32, np.float64):
            return self._generator.random(shape, dtype)
        # rounding to fewer bits must not reach 1
        return np.minimum(self._generator.random(shape, np.float32), 0.999).astype(dtype)

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers of the standard normal distribution."""
        if dtype in (np.float32, np.float64):
            return self._generator.standard_normal(shape, dtype)
        return np.asarray(self._generator.standard_normal(shape, np.float32)).astype(dtype)

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Integers in [low, high)."""
        return self._generator.integers(low, high, shape, dtype)

    def permutation(self, n: int) -> Any:
        """A random order."""
        return self._generator.permutation(n)

    def gamma(self, alpha: Any, dtype: Any) -> Any:
        """Numbers of gamma distributions."""
        return self._generator.standard_gamma(alpha, dtype=dtype)

    def poisson(self, rate: Any) -> Any:
        """Numbers of Poisson distributions."""
        return self._generator.poisson(rate)

    def binomial(self, n: Any, p: Any) -> Any:
        """Numbers of successes."""
        return self._generator.binomial(n, p)

    def get_state(self) -> Any:
        """Give the bit generator's state."""
        return self._generator.bit_generator.state

    def set_state(self, state: Any) -> None:
        """Continue from a state."""
        self._generator.bit_generator.state = state
