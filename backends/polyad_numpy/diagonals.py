"""Diagonals: NumPy's own cannot be written."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["KERNELS"]


def _diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    found = np.diagonal(x, offset, axis1, axis2)
    if x.flags.writeable:
        found.flags.writeable = True
    return found


KERNELS = {"diagonal": _diagonal}
