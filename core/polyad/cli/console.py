"""What the commands share: where they print, what a missing extra says, and how a user's mistake is told."""

from __future__ import annotations

import importlib
from typing import Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table

from ..errors import BackendError, DeviceError, PluginError
from ..plugins import DEFAULT_BACKEND, plugins, use_backend

__all__ = ["choose_backend", "console", "grid", "import_extra", "mistake", "state_style"]


def console() -> Console:
    """Make a console on standard output. It heeds ``NO_COLOR``, and prints plain text into a pipe or file."""
    return Console(highlight=False, emoji=False, markup=False)


def grid(*styles: str) -> Table:
    """Make an indented table without lines: a column for each style. The last takes what room is left."""
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=True)
    table.add_column(width=0)  # the indentation, by its padding
    for style in styles[:-1]:
        table.add_column(style=style, overflow="fold")
    table.add_column(style=styles[-1], overflow="fold", ratio=1)
    return table


def state_style(state: str) -> str:
    """Colour of a state, "ready", "broken" or another."""
    return {"ready": "green", "broken": "red"}.get(state, "yellow")


def import_extra(module: str, *, package: str, extra: str) -> Any:
    """Import a module of an optional dependency.

    Parameters
    ----------
    module : str
        Such as ``"sklearn.datasets"``.
    package : str
        What it is installed as, ``"scikit-learn"``.
    extra : str
        The extra of polyad that installs it.

    Raises
    ------
    click.ClickException
        If it is not installed; the message gives the line that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise  # it is installed, and lacks something of its own
        command = click.get_current_context().command_path
        message = f"{command} needs {package}, which is not installed; write: pip install 'polyad[{extra}]'"
        raise click.ClickException(message) from error


def mistake(option: str, message: str) -> click.BadParameter:
    """Make the error that blames an option of the running command, or the environment variable it came from."""
    context = click.get_current_context()
    param = next(p for p in context.command.params if p.name == option)
    from_environment = context.get_parameter_source(option) is ParameterSource.ENVIRONMENT
    hint = str(param.envvar) if from_environment else param.get_error_hint(context).partition(" (env")[0]
    return click.BadParameter(message, ctx=context, param_hint=hint)


def choose_backend(backend: str | None, device: str | None) -> use_backend:
    """Make the context in which tensors are made on the backend and device that the user named.

    Raises
    ------
    click.BadParameter
        If there is no such backend or device.
    click.ClickException
        If the backend cannot be used here; the message says why.
    """
    name = backend or DEFAULT_BACKEND
    known = plugins.backend_names()
    if name not in known:
        raise mistake("backend", f"unknown backend {name!r}; there are {', '.join(known)}.")
    try:
        return use_backend(name, device or None)
    except DeviceError as error:
        have = ", ".join(str(d) for d in plugins.backend(name).devices)
        raise mistake("device", f"backend {name!r} has no device {device!r}; it has {have}.") from error
    except (BackendError, PluginError) as error:
        raise click.ClickException(str(error)) from error
