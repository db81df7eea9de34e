"""Docstrings in NumPy's style, shown in a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

__all__ = ["render_docstring"]

LISTS = ("Parameters", "Returns", "Yields", "Raises", "Warns", "Attributes")
CODE = re.compile(r"``(?P<literal>[^`]+)``|`(?P<name>[^`]+)`")


def render_docstring(text: str) -> RenderableType:
    """Show a docstring: headings bold, code in colour, paragraphs filled to the width there is."""
    return Group(*(render_block(*block) for block in blocks(text)))


def blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Cut a docstring into what is shown as one, with its kind: "heading", "example", "blank" or "words".

    A paragraph's lines belong together. In a section such as Parameters each line without indentation is an item.
    """
    lines = text.splitlines()
    words: list[str] = []
    in_example = in_list = False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if is_underline(line):
            continue
        heading = is_underline(following)
        in_example = bool(line.strip()) and (in_example or line.lstrip().startswith(">>>"))
        plain = bool(line.strip()) and not heading and not in_example
        continues = plain and words and indent(line) == indent(words[0]) and not (in_list and not indent(line))
        if words and not continues:
            yield "words", words
            words = []
        if plain:
            words.append(line)
        else:
            yield "heading" if heading else "example" if in_example else "blank", [line]
        if heading:
            in_list = line.strip() in LISTS
    if words:
        yield "words", words


def is_underline(line: str) -> bool:
    """Whether a line underlines a heading."""
    return len(line.strip()) > 2 and not line.strip().strip("-")


def indent(line: str) -> int:
    """How many spaces a line begins with."""
    return len(line) - len(line.lstrip())


def render_block(kind: str, lines: list[str]) -> RenderableType:
    """Show one block."""
    if kind == "heading":
        return Text(lines[0].strip(), style="bold")
    if kind == "blank":
        return Text()
    if kind == "example":
        is_code = lines[0].lstrip().startswith((">>>", "..."))
        return Text("  " + lines[0], style="cyan" if is_code else "", no_wrap=True, overflow="ignore")
    return Padding(inline(" ".join(line.strip() for line in lines)), (0, 0, 0, indent(lines[0])), expand=False)


def inline(text: str) -> Text:
    """Show marked code in colour, without its marks."""
    shown, end = Text(), 0
    for match in CODE.finditer(text):
        shown.append(text[end : match.start()])
        shown.append(match["literal"] or match["name"], style="cyan")
        end = match.end()
    return shown.append(text[end:])
