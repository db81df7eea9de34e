"""``polyad ops``: the functions there are, their derivatives, and the kernels of each backend."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..backend import Backend
from ..dtypes import ALL, CATEGORIES
from ..errors import BackendError, PluginError, PluginNotInstalledError
from ..function import (
    ARRAY,
    ARRAYS,
    DTYPE,
    FUNCTIONS,
    ONE_OF,
    OUT,
    PARAMETER,
    SHAPE,
    SHAPES,
    Function,
    Spec,
)
from ..methods import ALIASES
from ..plugins import plugins
from ..testing.kernel_sources import KERNELS, kernel_source as kernel
from .console import console, grid, mistake
from .docstring import render_docstring

__all__ = ["chapters", "command", "derivative", "find", "kernel", "render_list", "render_page"]

STYLES = {"own": "green", "plugin": "green", "library": "green", "body": "cyan", "none": "red"}

GIVES = {
    "same": "of the operands' dtype",
    "real": "real, of the operand's precision",
    "complex": "complex, of the operand's precision",
    "given": "of the dtype asked for",
}


# Finding out ----------------------------------------------------------------------------------------------


def chapters() -> dict[str, list[Function]]:
    """Group the functions: polyad's own by chapter, the others by namespace and the distribution that brings them."""
    groups: dict[str, list[Function]] = {}
    for function in FUNCTIONS.values():
        chapter = function.call.__module__.rpartition(".")[2]
        namespace = function.name.rpartition(".")[0] or "polyad"
        group = chapter if function.provider == "polyad" else f"{namespace} ({function.provider})"
        groups.setdefault(group, []).append(function)
    return groups


def find(name: str) -> Function | None:
    """Find a function by its name, an alias, or the last part of a dotted name; also after ``polyad.``."""
    short = name.removeprefix("polyad.")
    short = ALIASES.get(short, short)
    if short in FUNCTIONS:
        return FUNCTIONS[short]
    dotted = [f for f in FUNCTIONS.values() if f.name.endswith(f".{short}")]
    return dotted[0] if len(dotted) == 1 else None


def close_matches(name: str) -> list[str]:
    """Give the names that a misspelt one may have meant, the likeliest first."""
    return difflib.get_close_matches(name.removeprefix("polyad."), [*FUNCTIONS, *ALIASES], n=4)


def derivative(function: Function) -> str:
    """Say what a function's derivative comes from: its ``"rules"``, its ``"body"``, or that it has ``"none"``."""
    if not function.differentiable:
        return "none"
    return "rules" if function.has_rules else "body"


def saved(function: Function, spec: Spec) -> list[str]:
    """Name what the forward call keeps for one rule: arrays, and what is known of them without keeping them."""
    words = {
        ARRAY: "{}",
        ARRAYS: "all of {}",
        OUT: "the result",
        ONE_OF: "{}",
        SHAPE: "the shape of {}",
        DTYPE: "the dtype of {}",
        SHAPES: "the shapes of {}",
        PARAMETER: "{}",
    }

    def name(kind: int, key: Any) -> Any:
        return function.fields[key] if kind == ONE_OF else function.inputs[key] if isinstance(key, int) else key

    return [
        words[kind].format(name(kind, key))
        for kind, key in spec.items
        if kind in words  # not the namespace, nor which of several inputs a gradient is for
    ]


def ready_backends() -> list[Backend]:
    """Load every backend that can be used here."""
    found = []
    for name in plugins.backend_names():
        try:
            found.append(plugins.backend(name))
        except BackendError:
            pass  # `polyad info` says why
    return found


# Showing --------------------------------------------------------------------------------------------------


def render_list(groups: dict[str, list[Function]], backends: Sequence[Backend]) -> RenderableType:
    """Show all functions, with a column for each backend."""
    heads = ("function", "inputs", "derivative", *(backend.name for backend in backends))
    rows = {group: [row(function, backends) for function in functions] for group, functions in groups.items()}
    everything = list(chain.from_iterable(rows.values()))
    # the same widths in every chapter, so that columns stand below each other
    widths = [max(map(len, column)) for column in zip(heads, *everything, strict=True)]
    parts: list[RenderableType] = []
    for group, members in rows.items():
        parts += [Text(group, style="bold"), table_of(heads, members, widths), Text()]
    return Group(*parts, legend(len(everything), {word for found in everything for word in found[3:]}))


def row(function: Function, backends: Sequence[Backend]) -> tuple[str, ...]:
    """Put what the list says of one function into words: name, inputs, derivative, and each backend's kernel."""
    return (function.name, inputs(function), derivative(function), *(kernel(b, function) for b in backends))


def table_of(heads: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> Table:
    """Show the functions of one chapter or provider."""
    table = grid("bold", *("" for _ in widths[1:]))
    for column, width in zip(table.columns[1:], widths, strict=True):
        column.min_width = width
    table.add_row("", *(Text(head, style="dim not bold") for head in heads))
    for name, arrays, origin, *kernels in rows:
        shown = (Text(word, style=STYLES[word]) for word in kernels)
        table.add_row("", name, arrays, Text(origin, style="dim" if origin == "none" else ""), *shown)
    return table


def inputs(function: Function) -> str:
    """Write a function's arrays as its signature does."""
    names = list(function.inputs)
    if function.variadic and not function.sequence:
        names[-1] = f"*{names[-1]}"
    return ", ".join(names)


def legend(count: int, used: set[str]) -> RenderableType:
    """Count the functions, and say what the words mean that stand for kernels."""
    table = grid("", "dim")
    for word, meaning in KERNELS.items():
        if word in used:
            table.add_row("", Text(word, style=STYLES[word]), meaning)
    return Group(Text(f"{count} functions; polyad ops NAME shows one. Their kernels:"), table)


def render_page(function: Function, backends: Sequence[Backend]) -> RenderableType:
    """Show everything about one function."""
    return Group(
        signature(function),
        Text(),
        Padding(render_docstring(inspect.getdoc(function.call) or function.doc), (0, 0, 0, 2), expand=False),
        Text(),
        facts(function),
        *render_derivative(function),
        *render_kernels(function, backends),
    )


def signature(function: Function) -> Text:
    """Write how a function is called, without annotations."""
    found = inspect.signature(function.call)
    plain = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    text = Text(function.name, style="bold")
    return text.append(str(inspect.Signature(plain)), style="not bold")


def facts(function: Function) -> Table:
    """Show what a function takes and gives, and where it comes from."""
    table = grid("dim", "")
    also = [alias for alias, name in ALIASES.items() if name == function.name]
    if also:
        table.add_row("", "also called", ", ".join(also))
    if function.inputs:
        table.add_row("", "dtypes", f"{function.takes}: {dtype_names(function.takes)}")
        gives = [function.gives] if isinstance(function.gives, str) else function.gives
        table.add_row("", "result", "; ".join(GIVES.get(g, g) for g in gives))
    if function.view is not None:
        table.add_row("", "memory", "a view: shows the elements of its operand")
    table.add_row("", "from", function.provider)
    return table


def dtype_names(category: str) -> str:
    """List the data types of a category."""
    return ", ".join(d.name for d in ALL if d in CATEGORIES[category])


def render_derivative(function: Function) -> list[RenderableType]:
    """Show what a function's derivative comes from, and what its rules keep."""
    kind = derivative(function)
    title = {
        "rules": f"Derivative: rules; {function.node_name} keeps",
        "body": "Derivative: follows from the body",
        "none": "Derivative: none, nothing is recorded",
    }[kind]
    parts: list[RenderableType] = [Text(f"\n{title}", style="bold")]
    if kind == "rules":
        table = grid("", "")
        for name, spec in zip(function.inputs, function.specs, strict=True):
            words = "no derivative" if spec is None else ", ".join(saved(function, spec)) or "nothing"
            table.add_row("", f"for {name}", words)
        parts.append(table)
    return parts


def render_kernels(function: Function, backends: Sequence[Backend]) -> list[RenderableType]:
    """Show where the kernels of a function come from."""
    if not backends:
        return []
    table = grid("", "", "dim")
    for backend in backends:
        word = kernel(backend, function)
        table.add_row("", backend.name, Text(word, style=STYLES[word]), KERNELS[word])
    return [Text("\nKernels", style="bold"), table]


@click.command("ops")
@click.argument("name", required=False)
@click.option("--backend", help="Show the kernels of this backend only.")
def command(name: str | None, backend: str | None) -> None:
    """List the functions, or explain the one called NAME.

    The list says where each derivative comes from, and each kernel on the backends that are ready. NAME may also be
    an alias, such as mul, or dotted, such as linalg.eigh.
    """
    load_plugins()
    backends = ready_backends() if backend is None else [named_backend(backend)]
    if name is None:
        console().print(render_list(chapters(), backends))
        return
    function = find(name)
    if function is None:
        raise click.BadParameter(unknown(name), param_hint="NAME")
    console().print(render_page(function, backends))


def load_plugins() -> None:
    """Load what brings further functions; tell of plugins that fail, and go on without them."""
    try:
        plugins.load_all()
    except PluginError as error:  # POLYAD_PLUGINS names one that is not there
        raise click.ClickException(str(error)) from error
    # one whose library is not installed is not broken: nobody asked for it
    failures = {
        name: error for name, error in plugins.failures.items() if not isinstance(error, PluginNotInstalledError)
    }
    broken = [name for name in plugins.plugin_names() if name in failures]
    if broken:
        click.echo(f"without plugin {', '.join(broken)}, which fails to load: polyad info says why", err=True)


def named_backend(name: str) -> Backend:
    """Load the backend that the user named."""
    if name not in plugins.backend_names():
        raise mistake("backend", f"unknown backend {name!r}; there are {', '.join(plugins.backend_names())}.")
    try:
        return plugins.backend(name)
    except BackendError as error:
        raise click.ClickException(str(error)) from error


def unknown(name: str) -> str:
    """Say that there is no function of a name, and what may have been meant."""
    close = close_matches(name)
    hint = f"did you mean {' or '.join(close)}?" if close else "polyad ops lists them."
    return f"there is no function {name!r}; {hint}"
