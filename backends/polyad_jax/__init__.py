"""The JAX backend of polyad."""

from __future__ import annotations

from polyad.backend import Backend
from polyad.errors import BackendNotInstalledError
from polyad.hookspecs import hookimpl


@hookimpl
def polyad_backend() -> Backend:
    """Make the backend; JAX is imported here, not before."""
    try:
        import jax  # noqa: F401 - only to tell its absence from a fault of ours
    except ModuleNotFoundError as error:
        raise BackendNotInstalledError(
            f"backend 'jax' is not installed ({error}); write: pip install 'polyad[jax]'"
        ) from error
    from .backend import JAXBackend

    return JAXBackend()
