"""What the chapters of elementwise functions share: their operands, and samples of one and of two arrays."""

from __future__ import annotations

from typing import Any, TypeAlias

from ..errors import ShapeError
from ..function import Fails, Sample
from ..tensor import Tensor

__all__ = ["Operand", "one", "two"]

Operand: TypeAlias = "Tensor | complex"
"""A tensor or a Python number."""


def one(*domain: float, **kwargs: Any) -> list[Sample]:
    """Samples of a function of one array, with numbers from ``domain``."""
    d: Any = domain or (-2.0, 2.0)
    return [
        Sample((3, 4), domain=d, **kwargs),
        Sample((), domain=d, **kwargs),
        Sample((2, 0), domain=d, **kwargs),
    ]


def two(*domain: float, **kwargs: Any) -> list[Sample]:
    """Samples of a function of two arrays that broadcast, and shapes that do not."""
    d: Any = domain or (-2.0, 2.0)
    return [
        Sample((3, 4), (3, 4), domain=d, **kwargs),
        Sample((3, 1), (4,), domain=d, **kwargs),
        Sample((), (2, 3), domain=d, **kwargs),
        Sample((2, 0), (1,), domain=d, **kwargs),
        Sample((2, 3), 1.5, domain=d, **kwargs),
        Fails((2, 3), (4,), error=ShapeError, match=r"\(2, 3\) and \(4,\) do not broadcast"),
    ]
