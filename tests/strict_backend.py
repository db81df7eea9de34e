"""array-api-strict as a backend: a library that has the array API standard, and refuses everything beyond it.

Two lines, since `polyad.backend.Backend` needs nothing that the standard does not have.
"""

import array_api_strict

from polyad.backend import Backend
from polyad.hookspecs import hookimpl


class StrictBackend(Backend):
    name = "strict"
    xp = array_api_strict


@hookimpl
def polyad_backend() -> Backend:
    return StrictBackend()
