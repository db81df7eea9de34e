"""Writes docs/functions.md: every public function, by chapter, with what it computes and where its derivative is.

Run ``python tests/function_list.py`` after a function was added or its summary changed; a test compares the page.
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import polyad as ad
from polyad.methods import ALIASES
from polyad.ops import CHAPTERS, distributions, generators, random, sampling

FILE = Path(__file__).parent.parent / "docs" / "functions.md"

HEADER = """\
# Functions

All functions of tensors, by chapter: a file of `core/polyad/ops`, or of a plugin. This page is written by
`tests/function_list.py` from the functions themselves; `help(polyad.sort)` says more about each.

Under *derivative* stands where it comes from: *rules* of the function's own, its *body*, which is made of other
functions, or *none*, where it is zero or undefined everywhere. Where nothing stands, the function makes tensors from
none, or calls others, whose derivatives count. Most undotted functions whose first argument is a tensor are methods
too.
"""

_NAMESPACES = ("linalg", "fft", "random", "nn", "special")
_PLUGINS = {"polyad_nn": "nn", "polyad_special": "special"}


def _public(owner: ModuleType, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The functions that users reach in a namespace; names that only keep clear of Python's end in an underscore."""
    for name in sorted(dir(owner)):
        value = getattr(owner, name)
        defined = str(getattr(value, "__module__", ""))
        if inspect.isclass(value) or not callable(value) or not defined.startswith("polyad"):
            continue
        if name[0] != "_" and name[-1] != "_" and not name.startswith("polyad_"):  # which are a plugin's hooks
            yield prefix + name, value


def _named() -> dict[str, tuple[Any, list[str]]]:
    """``name -> function and its other names``: each function once, under the name of its record if it has one."""
    found: dict[int, tuple[Any, list[str]]] = {}
    for prefix in ("", *_NAMESPACES):
        owner = getattr(ad, prefix) if prefix else ad
        for name, value in _public(owner, prefix and f"{prefix}."):
            found.setdefault(id(value), (value, []))[1].append(name)
    named = {}
    for value, names in found.values():
        wanted = getattr(getattr(value, "function", None), "name", None)
        main = wanted if wanted in names else min(names, key=lambda n: (n in ALIASES, names.index(n)))
        named[main] = value, [n for n in names if n != main]
    return named


def _summary(function: Callable[..., Any]) -> str:
    lines = inspect.cleandoc(function.__doc__ or "").partition("\n\n")[0].split("\n")
    return " ".join(line.strip() for line in lines).replace("|", "\\|")


def _derivative(function: Any) -> str:
    record = getattr(function, "function", None)
    if record is None or not record.inputs:
        return ""
    if not record.differentiable:
        return "none"
    return "rules" if record.has_rules else "body"


def _table(functions: dict[str, tuple[Any, list[str]]]) -> str:
    lines = ["| function | computes | derivative |", "|---|---|---|"]
    for name, (function, others) in sorted(functions.items()):
        shown = ", ".join(f"`{n}`" for n in (name, *sorted(others)))
        lines.append(f"| {shown} | {_summary(function)} | {_derivative(function)} |")
    return "\n".join(lines) + "\n"


def page() -> str:
    """The text of the file."""
    ad.plugins.load_all()
    named = _named()
    parts = [HEADER]
    for chapter in (*CHAPTERS, random, generators, distributions, sampling, *_plugin_chapters()):
        own = {name: found for name, found in named.items() if found[0].__module__ == chapter.__name__}
        if own:
            package, _, last = chapter.__name__.rpartition(".")
            title = f"Plugin `polyad.{_PLUGINS[package]}`: {last}" if package in _PLUGINS else last.replace("_", " ")
            about = inspect.cleandoc(chapter.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
            parts.append(f"## {title[0].upper()}{title[1:]}\n\n{about}\n\n{_table(own)}")
    return "\n".join(parts)


def _plugin_chapters() -> list[ModuleType]:
    return [m for name, m in sorted(sys.modules.items()) if name.rpartition(".")[0] in _PLUGINS]


if __name__ == "__main__":
    FILE.write_text(page())
