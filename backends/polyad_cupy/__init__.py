"""The CuPy backend of polyad."""

from __future__ import annotations

from polyad.backend import Backend
from polyad.errors import BackendError, BackendNotInstalledError
from polyad.hookspecs import hookimpl


@hookimpl
def polyad_backend() -> Backend:
    """Make the backend; CuPy is imported here, not before."""
    try:
        import cupy  # noqa: F401 - only to tell its absence from a fault of ours
    except ModuleNotFoundError as error:
        raise BackendNotInstalledError(
            f"backend 'cupy' is not installed ({error}); write: pip install 'polyad[cuda13]' for a driver of CUDA 13 "
            f"or later, pip install 'polyad[cuda12]' for one of CUDA 12 (nvidia-smi shows which)"
        ) from error
    except ImportError as error:
        raise BackendError(f"CuPy is installed, but cannot be imported: {str(error).strip()}") from error
    from .backend import CuPyBackend

    return CuPyBackend()


@hookimpl
def polyad_backend_without_device() -> Backend:
    """Make the backend without a GPU: what it has can be looked up, and nothing be run."""
    from .backend import CuPyBackend

    return CuPyBackend([None])
