"""Docstrings in NumPy's style, shown in a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

__all__ = ["render_docstring"]

CODE = re.compile(r"``(?P<literal>[^`]+)``|`(?P<name>[^`]+)`")


def render_docstring(text: str) -> RenderableType:
    """Show a docstring: headings bold, code in colour, paragraphs filled to the width there is."""
    return Group(*(render_block(block) for block in blocks(text)))


def blocks(text: str) -> Iterator[list[str]]:
    """Cut a docstring into what is shown as one: an empty line, a heading, an example, an item, a paragraph."""
    lines = text.splitlines()
    block: list[str] = []
    in_example = in_list = False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if is_rule(line):
            continue
        heading = is_rule(following) and bool(line.strip())
        in_example = (in_example or line.lstrip().startswith(">>>")) and bool(line.strip())
        if heading:
            in_list = line.strip() not in ("Notes", "References", "Examples", "See Also")
        joins = (
            block
            and line.strip()
            and not heading
            and not in_example
            and indent(line) == indent(block[-1])
            and not (in_list and indent(line) == 0)
        )
        if not joins and block:
            yield block
            block = []
        block.append(line)
        if heading:
            yield [line, ""]
            block = []
    if block:
        yield block


def is_rule(line: str) -> bool:
    """Whether a line underlines a heading."""
    return len(line.strip()) > 2 and not line.strip().strip("-")


def indent(line: str) -> int:
    """How many spaces a line begins with."""
    return len(line) - len(line.lstrip())


def render_block(block: list[str]) -> RenderableType:
    """Show one block: a heading comes as itself and an empty line."""
    if len(block) == 2 and not block[1]:
        return Text(block[0], style="bold")
    first = block[0]
    if first.lstrip().startswith((">>>", "...")):
        return Padding(Text(first.strip(), style="cyan"), (0, 0, 0, indent(first) + 2))
    return Padding(inline(" ".join(line.strip() for line in block)), (0, 0, 0, indent(first)))


def inline(text: str) -> Text:
    """Show marked code in colour, without its marks."""
    shown, end = Text(), 0
    for match in CODE.finditer(text):
        shown.append(text[end : match.start()])
        shown.append(match["literal"] or match["name"], style="cyan")
        end = match.end()
    return shown.append(text[end:])
