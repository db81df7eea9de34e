"""array-api-strict as a backend: a library that has the array API standard, and refuses everything beyond it.

All that it has to say is where polyad's functions take more than the standard's: bools, which count as numbers.
"""

from collections.abc import Callable
from typing import Any

import array_api_strict as xp

from polyad.backend import Backend
from polyad.hookspecs import hookimpl


def of_bools_too(name: str) -> Callable[[Any, Any], Any]:
    function = getattr(xp, name)

    def kernel(a: Any, b: Any) -> Any:
        if all(x.dtype != xp.bool for x in (a, b) if hasattr(x, "dtype")):
            return function(a, b)
        return xp.astype(function(xp.astype(a, xp.uint8), xp.astype(b, xp.uint8)), xp.bool)

    return kernel


class StrictBackend(Backend):
    name = "strict"
    xp = xp
    kernels = {n: of_bools_too(n) for n in ("add", "multiply", "less", "less_equal", "greater", "greater_equal")}


@hookimpl
def polyad_backend() -> Backend:
    return StrictBackend()
