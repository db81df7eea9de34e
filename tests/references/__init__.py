"""What the values of functions are compared with, where NumPy does not have a function of the same name.

One file for each chapter of `polyad.ops`: ``REFERENCES`` maps a function's name to a function of NumPy arrays, in
float64 or complex128, and the parameters; or to None where a test of its own compares; the reason stands beside it.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np

from polyad.function import Function

REFERENCES: dict[str, Callable[..., Any] | None] = {}
for _module in pkgutil.iter_modules(__path__):
    REFERENCES |= importlib.import_module(f"{__name__}.{_module.name}").REFERENCES


def reference(record: Function) -> Callable[..., Any] | None:
    """The reference of a function: from this package, or NumPy's own of the name."""
    if record.name in REFERENCES:
        return REFERENCES[record.name]
    found: Any = np
    for part in record.name.split("."):
        found = getattr(found, part)
    return found
