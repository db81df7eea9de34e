"""What several chapters share: samples of functions of one form, and numbers as arrays."""

from __future__ import annotations

import math
from typing import Any, Final

import polyad as ad
from polyad.errors import DTypeError, ShapeError

__all__ = ["EDGES", "as_array", "one", "two"]

EDGES: Final = [-math.inf, -2.5, -1.0, -0.0, 0.0, 1.0, 2.0, math.inf, math.nan]


def one(name: str, low: float, high: float, *edges: float) -> list[ad.Sample]:
    """Samples of a function of one array, with numbers from an interval; values alone are compared at ``edges``."""
    return [
        ad.Sample((3, 4), domain=(low, high)),
        ad.Sample((), domain=(low, high)),
        ad.Sample((2, 0), domain=(low, high)),
        ad.Sample(list(edges or EDGES), name="edges", grad=False),
        ad.Fails([1j], error=DTypeError, match=rf"special\.{name} takes real floating arrays; got complex"),
    ]


def two(low: float, high: float, *more: ad.Sample, **kwargs: Any) -> list[ad.Sample]:
    """Samples of a function of two arrays that broadcast, with numbers from an interval."""
    return [
        ad.Sample((3, 4), (3, 4), domain=(low, high), **kwargs),
        ad.Sample((3, 1), (4,), domain=(low, high), **kwargs),
        ad.Sample((2, 0), (1,), domain=(low, high), **kwargs),
        ad.Sample((2, 3), low, domain=(low, high), **kwargs),
        ad.Sample(high, (3,), domain=(low, high), **kwargs),
        *more,
        ad.Fails((2, 3), (4,), error=ShapeError, match=r"\(2, 3\) and \(4,\) do not broadcast"),
    ]


def as_array(xp: Any, value: Any, like: Any) -> Any:
    """An operand as an array: a number takes the shape and type of the array beside it."""
    return value if hasattr(value, "shape") else xp.zeros_like(like) + value
