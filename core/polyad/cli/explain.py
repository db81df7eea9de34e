"""``polyad explain``: list what a function would do on a backend."""

from __future__ import annotations

import click

from ..errors import PolyadError
from .console import console
from .programs import HOW_INPUTS_ARE_GIVEN, arguments_of, load, parse_shapes, plainly

__all__ = ["command"]


@click.command("explain", epilog=HOW_INPUTS_ARE_GIVEN)
@click.argument("program")
@click.option("--backend", help="By default that of the arguments. It need not have a device here.")
@click.option("--args", metavar="NAME", help="A tuple of arguments, or a function that returns it.")
@click.option("--shapes", metavar="SHAPES", help='Zeros of these shapes: "3,4 5 ()".')
def command(program: str, backend: str | None, args: str | None, shapes: str | None) -> None:
    """List what a function would do on a backend, before it runs there.

    Which operations have no kernel there, no gradient or no second gradient; what moves between devices; and what each
    costs: arithmetic operations, bytes read and written, and bytes kept for gradients.
    """
    from ..testing import explain

    module, name, function = load(program)
    try:
        if shapes is not None and args is None:
            found = explain(function, backend=backend, shapes=parse_shapes(shapes))
        else:
            found = explain(function, arguments_of(module, name, function, args), backend)
    except PolyadError as error:
        plainly(error, "explain")
        return
    console().print(found)
