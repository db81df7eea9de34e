"""The command line ``polyad``: one file a command, imported when that command is called."""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

import click

from .. import __version__

__all__ = ["main"]

COMMANDS: Final = ("crosscheck", "demo", "explain", "info", "ops")
INTERRUPTED: Final = 130  # what shells give a program that Ctrl-C ended


class Commands(click.Group):
    """The commands, each the object ``command`` of the module of its name, so that ``--version`` loads none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of a name; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(f".{cmd_name}", __name__).command
        return found

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; end quietly when the user interrupts it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("\npolyad: interrupted", err=True)
            ctx.exit(INTERRUPTED)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="polyad")
def main() -> None:
    """PyTorch-style autograd on NumPy, JAX and CuPy."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign shows another, not a traceback
