"""Tools for programs that differentiate, as in ``torch.utils``: `checkpoint`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import checkpoint as checkpoint

__all__ = ["checkpoint"]


def __getattr__(name: str) -> Any:
    """Load a module when it is first asked for."""
    if name in __all__:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
