"""Where elements are in memory, logically: in elements, the same on every backend. Knows neither tensor nor array.

Whether a reshape is a view, and whether elements are repeated, is decided by these, never by a library's strides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Layout", "overlaps", "row_major", "viewable"]


class Layout(NamedTuple):
    """Where a tensor's elements are in its storage's memory, in elements: the same on every backend."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides in elements of a contiguous array."""
    strides: list[int] = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def viewable(shape: Sequence[int], strides: Sequence[int], wanted: Sequence[int]) -> tuple[int, ...] | None:
    """Strides of an array of ``shape`` and ``strides`` seen as ``wanted``; None if that takes a copy.

    Old dimensions that are evenly spaced merge into runs; each new dimension must fit inside one run.
    """
    if math.prod(shape) == 0:
        return row_major(wanted)
    runs: list[tuple[int, int]] = []  # (elements, stride), from the last dimension to the first
    for n, stride in reversed(list(zip(shape, strides, strict=True))):
        if n == 1:
            continue
        if runs and stride == runs[-1][0] * runs[-1][1]:
            runs[-1] = (runs[-1][0] * n, runs[-1][1])
        else:
            runs.append((n, stride))
    rest = iter(runs)
    left, step = next(rest, (1, 1))
    result: list[int] = []
    for n in reversed(list(wanted)):
        if left == 1 and n != 1:
            left, step = next(rest)
        if left % n:
            return None
        result.append(step)
        left, step = left // n, step * n
    return tuple(reversed(result))


def overlaps(layout: Layout) -> bool:
    """Whether several elements may be one place in memory, as those of dimensions of stride 0 are."""
    span = 0  # of what was looked at: dimensions whose steps are longer than all before them never meet
    for step, n in sorted((abs(step), n) for step, n in zip(layout.strides, layout.shape, strict=True) if n > 1):
        if step <= span:
            return 0 not in layout.shape
        span += step * (n - 1)
    return False
