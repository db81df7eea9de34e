"""The NumPy backend of polyad."""

from __future__ import annotations

from polyad.backend import Backend
from polyad.hookspecs import hookimpl


@hookimpl
def polyad_backend() -> Backend:
    """Make the backend; NumPy is imported here, not before."""
    from .backend import NumPyBackend

    return NumPyBackend()
