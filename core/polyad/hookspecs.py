"""The hooks by which packages extend polyad. Called when a plugin loads, never by an operation.

A backend is an entry point of the group ``polyad.backends``, an op plugin one of ``polyad.plugins``; each names a
module (or object) with functions marked `hookimpl`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pluggy

from .backend import Backend, Kernel
from .function import Function

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("polyad")
hookimpl = pluggy.HookimplMarker("polyad")
"""Marks a function of a plugin as the implementation of the hook of the same name."""


class Hooks:
    """The hooks a plugin may implement."""

    @hookspec
    def polyad_backend(self) -> Backend:
        """Make the backend. Called once, when the backend is first needed.

        Returns
        -------
        Backend
            Its ``name`` equals that of the entry point.

        Raises
        ------
        BackendNotInstalledError
            If its array library is not installed; the message gives the line that installs it.
        BackendError
            If it cannot work here, with the reason.
        """

    @hookspec
    def polyad_functions(self) -> Iterable[Function]:
        """Give the functions that the plugin adds to polyad's registry, made with `polyad.function`."""

    @hookspec
    def polyad_kernels(self) -> Mapping[str, Mapping[str, Kernel]]:
        """Give kernels for particular backends: ``{backend name: {function name: kernel}}``.

        A kernel takes that backend's raw arrays positionally and the function's parameters by keyword, and has
        no side effects.
        """

    @hookspec
    def polyad_namespaces(self) -> Mapping[str, Any]:
        """Give modules to be reached as attributes of polyad: ``{"nn": module}``."""

    @hookspec
    def polyad_backend_without_device(self) -> Backend:
        """Make the backend where it cannot compute, to look into: which kernels and types it has.

        Called by ``polyad explain`` where `polyad_backend` raises because there is no device, such as no GPU. A backend
        that always has one need not implement it.
        """
