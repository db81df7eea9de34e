"""``polyad crosscheck``: run a function on several backends, and name the first operation that differs."""

from __future__ import annotations

import click

from ..errors import PolyadError
from .console import console
from .programs import HOW_INPUTS_ARE_GIVEN, arguments_of, load, parse_shapes, plainly, random_tensors

__all__ = ["command"]


@click.command("crosscheck", epilog=HOW_INPUTS_ARE_GIVEN)
@click.argument("program")
@click.option("--backends", default="numpy,jax", show_default=True, help="Two or more; the first is the reference.")
@click.option("--args", metavar="NAME", help="A tuple of arguments, or a function that returns it.")
@click.option("--shapes", metavar="SHAPES", help='Random tensors of these shapes: "3,4 5 ()".')
@click.option("--dtype", default="float32", show_default=True, help="Their type.")
@click.option("--seed", default=0, show_default=True, help="What they are drawn with.")
@click.option("--order", type=click.IntRange(0, 2), default=2, show_default=True, help="Up to which derivative.")
@click.option("--rtol", type=float, help="How far elements may be apart, relatively; by default as the type allows.")
@click.option("--atol", type=float, help="The same, absolutely.")
@click.option("--float64", is_flag=True, help="Leave out what is rounding: gone when repeated in float64.")
def command(
    program: str,
    backends: str,
    args: str | None,
    shapes: str | None,
    dtype: str,
    seed: int,
    order: int,
    rtol: float | None,
    atol: float | None,
    float64: bool,
) -> None:
    """Run a function on several backends, operation by operation, and name the first that differs.

    Compared are values, types, shapes, devices, gradients and second gradients. The exit status is 1 if anything
    differs.
    """
    from ..testing import crosscheck

    module, name, function = load(program)
    try:
        if shapes is not None and args is None:
            given = random_tensors(parse_shapes(shapes), dtype, seed)
        else:
            given = arguments_of(module, name, function, args)
        names = [n.strip() for n in backends.split(",") if n.strip()]
        found = crosscheck(function, given, names, order=order, rtol=rtol, atol=atol, float64=float64)
    except PolyadError as error:
        plainly(error, "crosscheck")
        return
    out = console()
    out.print(found)
    if found.first is not None:
        if found.first.found_in is not None:
            out.print("\nTo see it again:", style="bold")
            out.print(found.first.code(), soft_wrap=True)
        click.get_current_context().exit(1)
