"""Kernels without NumPy's floating-point warnings: polyad's functions give infinities and NaN silently.

NumPy keeps what it does about a division by zero, an overflow or an invalid operation in a context variable. A kernel
that meets them at ordinary arguments, such as ``log`` at 0, runs in a context of its own, in which that is nothing.
Nobody else's arithmetic changes, and it costs a tenth of what ``with np.errstate(...)`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any

import numpy as np

__all__ = ["quiet", "setting"]


def _context() -> Context:
    """An empty context but for NumPy's variable: ``seterr`` sets it in the context it is called in."""
    context = Context()
    context.run(np.seterr, all="ignore")
    return context


def setting() -> tuple[ContextVar[Any], Any]:
    """NumPy's context variable, and its value under which nothing is warned of."""
    ((variable, value),) = _context().items()
    return variable, value


def quiet(kernel: Callable[..., Any], arrays: int | None = None) -> Callable[..., Any]:
    """Make a kernel run without floating-point warnings. ``arrays`` is how many it takes, if it takes nothing else."""
    run = _context().run

    # A context can be entered once at a time: a RuntimeError says that another thread is in it.

    def unary(x: Any) -> Any:
        try:
            return run(kernel, x)
        except RuntimeError:
            with np.errstate(all="ignore"):
                return kernel(x)

    def binary(x1: Any, x2: Any) -> Any:
        try:
            return run(kernel, x1, x2)
        except RuntimeError:
            with np.errstate(all="ignore"):
                return kernel(x1, x2)

    def call(*arrays: Any, **params: Any) -> Any:
        try:
            return run(kernel, *arrays, **params)
        except RuntimeError:
            with np.errstate(all="ignore"):
                return kernel(*arrays, **params)

    return unary if arrays == 1 else binary if arrays == 2 else call
