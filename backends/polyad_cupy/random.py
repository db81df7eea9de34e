"""Random numbers from a counter: the n-th number of a seed is a function of both, and the state is that pair.

CuPy's own generators keep their state on the device, megabytes that no public call reads or restores, and take seeds
of 32 bits. SplitMix64 (Steele, Lea and Flood, 2014) is five operations an element, takes seeds of 64 bits, and passes
BigCrush. The code is written against a namespace, so that the tests run it on NumPy.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

__all__ = ["KERNEL", "CounterSource", "splitmix64"]

_STEP: Final = 0x9E3779B97F4A7C15
_FACTORS: Final = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)

KERNEL: Final = f"""
unsigned long long s = start + (static_cast<unsigned long long>(i) + 1) * {_STEP:#x}ULL;
s = (s ^ (s >> 30)) * {_FACTORS[0]:#x}ULL;
s = (s ^ (s >> 27)) * {_FACTORS[1]:#x}ULL;
z = s ^ (s >> 31);
"""
"""`splitmix64` as the body of one CUDA kernel: ``z`` is element ``i`` of the numbers that follow ``start``."""


def splitmix64(start: int, n: int) -> Any:
    """Give ``n`` numbers of 64 random bits that follow the state ``start``, as a NumPy array."""
    s = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(_STEP) + np.uint64(start)
    s = (s ^ (s >> 30)) * np.uint64(_FACTORS[0])
    s = (s ^ (s >> 27)) * np.uint64(_FACTORS[1])
    return s ^ (s >> 31)


class CounterSource:
    """Draws numbers that a seed and a count determine.

    Parameters
    ----------
    xp : namespace
    bits : callable
        ``bits(start, n)``: `splitmix64`, on the device.
    library : callable
        ``library(seed)``: the library's generator of a seed, for what takes more than a few operations.
    on : context manager
        Makes the device current.
    """

    def __init__(self, xp: Any, bits: Callable[[int, int], Any], library: Callable[[int], Any], on: Any = None) -> None:
        self._xp, self._bits, self._library = xp, bits, library
        self._on = contextlib.nullcontext() if on is None else on
        self._seed = self._count = 0

    def _next(self, n: int) -> Any:
        start = (self._seed + self._count * _STEP) % 2**64
        self._count += n
        return self._bits(start, n)

    def seed(self, seed: int) -> None:
        """Start the sequence of a seed."""
        self._seed, self._count = seed, 0

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers in [0, 1): as many leading bits as the type holds, so that none is rounded to 1."""
        digits = int(np.finfo(dtype).nmant) + 1
        with self._on:
            bits = self._next(math.prod(shape)) >> (64 - digits)
            return (bits.astype(dtype) * 2.0**-digits).reshape(shape)

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers of the standard normal distribution, two from each pair of uniform ones (Box and Muller, 1958)."""
        xp, n = self._xp, math.prod(shape)
        pairs = (n + 1) // 2
        with self._on:
            if dtype == np.float64:
                first, second, digits = self._next(pairs) >> 11, self._next(pairs) >> 11, 53
            else:
                both, digits = self._next(pairs), 32
                first, second = both >> 32, both & 0xFFFFFFFF
            real = np.float64 if dtype == np.float64 else np.float32
            uniform = (first + 1).astype(real) * 2.0**-digits  # in (0, 1], for the logarithm
            angle = second.astype(real) * (math.tau * 2.0**-digits)
            radius = xp.sqrt(-2.0 * xp.log(uniform))
            drawn = xp.concatenate([radius * xp.cos(angle), radius * xp.sin(angle)])
            return drawn[:n].reshape(shape).astype(dtype)

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Integers in [low, high). Probabilities differ by at most one part in ``2**64 / (high - low)``."""
        with self._on:
            bits = self._next(math.prod(shape))
            if high - low < 2**64:
                bits = bits % np.uint64(high - low)
            return (bits.astype(np.int64) + low).astype(dtype, copy=False).reshape(shape)

    def permutation(self, n: int) -> Any:
        """A random order: that of random bits, no two of which are equal within a sequence."""
        with self._on:
            return self._xp.argsort(self._next(n))

    def _fresh(self) -> Any:
        """The library's generator, with a seed that counts as one number drawn."""
        seed = splitmix64((self._seed + self._count * _STEP) % 2**64, 1)
        self._count += 1
        return self._library(int(seed[0]))

    def gamma(self, alpha: Any, dtype: Any) -> Any:
        """Numbers of gamma distributions."""
        with self._on:
            return self._fresh().standard_gamma(alpha, alpha.shape, dtype)

    def poisson(self, rate: Any) -> Any:
        """Numbers of Poisson distributions."""
        with self._on:
            return self._fresh().poisson(rate, rate.shape).astype(np.int64)

    def binomial(self, n: Any, p: Any) -> Any:
        """Numbers of successes."""
        with self._on:
            return self._fresh().binomial(n, p, p.shape).astype(np.int64)

    def get_state(self) -> Any:
        """Give seed and number of draws, which determine all that follows."""
        return self._seed, self._count

    def set_state(self, state: Any) -> None:
        """Continue from a state."""
        self._seed, self._count = state
