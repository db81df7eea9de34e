"""Where a backend's kernels come from, found out without running or compiling any."""

from __future__ import annotations

from typing import Final

from ..backend import Backend
from ..function import Function
from ..kernels import standard

__all__ = ["KERNELS", "kernel_source"]

KERNELS: Final = {
    "own": "written for this backend",
    "plugin": "brought by an op plugin",
    "library": "the array library's function of that name",
    "body": "the function's body, in terms of other functions",
    "none": "the backend cannot run it",
}
"""Where the kernel of a function on a backend may come from."""


def kernel_source(backend: Backend, function: Function) -> str:
    """Say where the kernel of a function on a backend comes from: a key of `KERNELS`."""
    if backend.kernels.get(function.name) is not None:
        return "own"
    if function.name in backend.provided:
        return "plugin"
    refused = function.name in backend.kernels  # with None for a kernel
    if function.standard and not refused and standard(backend.xp, function.name) is not None:
        return "library"
    return "body" if function.body is not None else "none"
