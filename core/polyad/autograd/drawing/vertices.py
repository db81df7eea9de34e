"""What a drawing is made of: vertices with their texts, each pointing to those that it is computed from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

__all__ = ["KINDS", "Call", "Vertex", "byte_count", "common_name", "every", "replaced", "total", "unique"]

KINDS: Final = {
    "leaf": "a tensor that gradients end at",
    "constant": "a tensor that needs no gradient",
    "operation": "an operation of a registered function",
    "custom": "an operation of an autograd.Function",
    "part": "one of an operation's several results",
    "result": "a tensor that was drawn",
    "box": "several vertices as one, with a list of what is in it",
    "frame": "several equal parts of the graph, of which one is drawn inside",
    "port": "where edges enter or leave a frame",
}

_WIDEST: Final = 46  # characters in a line of a label

Call = tuple[str, int]
"""A module's call: its dotted name, and a number that no other call has."""


@dataclass(eq=False, slots=True)
class Vertex:
    """One box of a drawing.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    title : str
        What it is: an operation's name.
    operands : list of Vertex
        What it is computed from, in order.
    name : str
        What the program calls it, where that is known.
    form : str
        Type and shape, as ``"float32[3, 4]"``.
    lines : tuple of str
        More that is to be read.
    note : str
        What is shown where the mouse rests on it.
    place : str
        Backend and device.
    saved : int
        Bytes that it keeps for its gradient.
    size : int
        Elements of a leaf or constant.
    calls : tuple of (str, int)
        The modules in whose calls it was computed, outermost first.
    count : int
        Of a frame, how many equal parts it stands for; of a leaf, how many leaves.
    inner : list of Vertex
        What is drawn inside a frame.
    """

    kind: str
    title: str
    operands: list[Vertex] = field(default_factory=list)
    name: str = ""
    form: str = ""
    lines: tuple[str, ...] = ()
    note: str = ""
    place: str = ""
    saved: int = 0
    size: int = 0
    calls: tuple[Call, ...] = ()
    count: int = 1
    inner: list[Vertex] = field(default_factory=list)

    @property
    def is_source(self) -> bool:
        """Whether it is a tensor that the program began with."""
        return self.kind in ("leaf", "constant")

    @property
    def text(self) -> list[str]:
        """The lines of its label, the title first."""
        if self.is_source or self.kind in ("result", "box"):
            title, form = self.name or self.title, self.form
        else:
            title, form = self.title, ": ".join(filter(None, (self.name, self.form)))
        if self.count > 1 and self.kind != "frame":
            title = f"{title} ×{self.count}"
        saves = f"saves {byte_count(self.saved)}" if self.saved else ""
        if self.kind == "frame":
            return [", ".join(filter(None, (title, saves)))]
        return [_shortened(line) for line in (title, form, *self.lines, saves) if line]


def _shortened(line: str) -> str:
    """Leave out the middle of what would make a box too wide."""
    line = " ".join(line.split())
    half = _WIDEST // 2
    return line if len(line) <= _WIDEST else f"{line[:half]}…{line[1 - half :]}"


def every(vertices: Iterable[Vertex]) -> Iterator[Vertex]:
    """Give the vertices, and those inside frames behind their frames."""
    waiting = list(vertices)[::-1]
    while waiting:
        vertex = waiting.pop()
        yield vertex
        waiting.extend(reversed(vertex.inner))


def total(vertices: Iterable[Vertex]) -> int:
    """How many boxes a reader will see."""
    return sum(vertex.kind != "port" for vertex in every(vertices))


def unique(vertices: Iterable[Vertex]) -> list[Vertex]:
    """Each vertex once, where it first comes."""
    return list(dict.fromkeys(vertices))


def replaced(vertices: Sequence[Vertex], stretches: Iterable[tuple[int, int, Vertex]]) -> list[Vertex]:
    """Put one vertex in place of each ``(start, stop, vertex)``, stretches in their order that do not overlap.

    The vertices are copied, so that another way of folding can begin with those given.
    """
    new: dict[Vertex, Vertex] = {}
    result: list[Vertex] = []

    def copy(part: Sequence[Vertex]) -> None:
        for vertex in part:
            new[vertex] = replace(vertex, operands=[new[v] for v in vertex.operands])
            result.append(new[vertex])

    done = 0
    for start, stop, stand in stretches:
        copy(vertices[done:start])
        members = vertices[start:stop]
        new.update(dict.fromkeys(members, stand))
        stand.operands = unique(found for v in members for w in v.operands if (found := new[w]) is not stand)
        result.append(stand)
        done = stop
    copy(vertices[done:])
    return result


def common_name(names: Sequence[str]) -> str:
    """One name for several: ``"layers.0.weight"`` and ``"layers.1.weight"`` give ``"layers.[0…1].weight"``."""
    if not all(names):
        return ""
    first, last = names[0].split("."), names[-1].split(".")
    if len(first) != len(last):
        return f"{names[0]} … {names[-1]}"
    parts = [a if a == b else f"[{a}…{b}]" for a, b in zip(first, last, strict=True)]
    return ".".join(parts)


def byte_count(n: int) -> str:
    """Say a number of bytes in words: ``1536`` gives ``"1.5 KiB"``."""
    if n < 1024:
        return f"{n} B"
    size = float(n)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1023.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"
