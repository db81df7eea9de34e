"""Finding parts of a graph that follow each other and are equal, as the layers of a model are, to draw them once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import eq
from typing import Any, Final, NamedTuple

from .vertices import Vertex, common_name, replaced, unique

__all__ = ["fold_repeats", "uses"]

_LONGEST: Final = 512  # of the parts that are looked for, in vertices
_SAVED: Final = 6  # vertices that drawing a part once has to save
_PASSES: Final = 8  # each finds what those before have left: repeats beside and around others


class _Repeat(NamedTuple):
    """``times`` equal parts of ``length`` vertices each, one behind the other from ``start`` on."""

    start: int
    length: int
    times: int

    @property
    def stop(self) -> int:
        return self.start + self.length * self.times

    @property
    def saves(self) -> int:
        return self.length * (self.times - 1)


def fold_repeats(vertices: Sequence[Vertex]) -> list[Vertex]:
    """Put a frame, in which one part is drawn, in place of parts that repeat."""
    folded = list(vertices)
    for _ in range(_PASSES):
        order = _Order(folded)
        found = sorted(order.repeats())
        if not found:
            break
        folded = replaced(folded, [(r.start, r.stop, order.frame(r)) for r in found])
    return folded


def uses(vertices: Sequence[Vertex]) -> list[int]:
    """For each vertex where it is used last; where it stands itself, if nowhere."""
    place = {v: i for i, v in enumerate(vertices)}
    last = list(range(len(vertices)))
    for i, vertex in enumerate(vertices):
        for operand in vertex.operands:
            last[place[operand]] = i
    return last


class _Order:
    """Vertices in their order, as numbers that are equal where the vertices look the same."""

    def __init__(self, vertices: Sequence[Vertex]) -> None:
        self.vertices = vertices
        self.place = {v: i for i, v in enumerate(vertices)}
        self.last = uses(vertices)
        numbers: dict[Any, int] = {}
        self.looks = [numbers.setdefault(_look(v), len(numbers)) for v in vertices]

    def repeats(self) -> list[_Repeat]:
        """Find repeats that do not overlap, those first that save most."""
        taken = bytearray(len(self.vertices))
        chosen = []
        for candidate in sorted(self._candidates(), key=lambda r: (-r.saves, r.length, r.start)):
            if any(taken[candidate.start : candidate.stop]):
                continue
            for repeat in self._connected_alike(self._in_phase(candidate)):
                if not any(taken[repeat.start : repeat.stop]):
                    taken[repeat.start : repeat.stop] = b"\1" * (repeat.stop - repeat.start)
                    chosen.append(repeat)
        return chosen

    def _candidates(self) -> Iterator[_Repeat]:
        """Stretches in which each vertex looks as the one so many places on."""
        looks = self.looks
        for length in range(1, min(len(looks) // 2, _LONGEST) + 1):
            same = bytes(map(eq, looks, looks[length:]))
            for match in re.finditer(b"\1{%d,}" % max(length, _SAVED), same):
                yield _Repeat(match.start(), length, (match.end() - match.start()) // length + 1)

    def _in_phase(self, candidate: _Repeat) -> _Repeat:
        """Have the parts begin where a layer does: at the border of a module, where few edges cross, at a large leaf.

        Where that does not decide it, a part that is left over stands in front: a first step often differs from others.
        """
        start, length, count = candidate
        end = start + length * count
        while end < len(self.looks) and self.looks[end] == self.looks[end - length]:
            end += 1

        def rank(cut: int) -> tuple[Any, ...]:
            here = self.vertices[cut]
            inside = 0
            if cut:
                pairs = zip(here.calls, self.vertices[cut - 1].calls, strict=False)
                inside = sum(a == b for a, b in pairs)
            window = range(max(cut - 2 * length, 0), cut)
            crossing = sum(self.last[i] >= cut for i in window)
            times = (end - cut) // length
            return inside, crossing, not here.is_source, -here.size, -times, -cut

        begin = min((cut for cut in range(start, start + length) if (end - cut) // length > 1), key=rank)
        return _Repeat(begin, length, (end - begin) // length)

    def _connected_alike(self, repeat: _Repeat) -> Iterator[_Repeat]:
        """The stretches of a repeat in which the parts' edges are alike, too."""
        start, length, _ = repeat
        begin, inner, entering = start, self._edges(start, length, False), None
        count = 1
        for part in range(start + length, repeat.stop + length, length):
            if part < repeat.stop and self._edges(part, length, False) == inner:
                edges = self._edges(part, length, True)
                if count == 1 or edges == entering:
                    entering = edges
                    count += 1
                    continue
            found = _Repeat(begin, length, count)
            if found.times > 1 and found.saves >= _SAVED:
                yield found
            if part < repeat.stop:
                begin, inner, entering, count = part, self._edges(part, length, False), None, 1

    def _edges(self, start: int, length: int, with_previous: bool) -> list[Any]:
        """Where the edges of one part come from: a place in it, in the part before (``-1`` and less), or elsewhere."""
        found: list[Any] = []
        lowest = start - length if with_previous else start
        for vertex in self.vertices[start : start + length]:
            places = (self.place[v] for v in vertex.operands)
            found.append([p - start if p >= lowest else None for p in places])
        return found

    def frame(self, repeat: _Repeat) -> Vertex:
        """What stands for a repeat: a frame, or one leaf for leaves."""
        start, length, count = repeat
        if length == 1 and self.vertices[start].is_source:
            return self._leaves(repeat)
        parts = [self.vertices[i : i + length] for i in range(start, repeat.stop, length)]
        members = self.vertices[start : repeat.stop]
        entry, leave = Vertex("port", "in"), Vertex("port", "out")
        new: dict[Vertex, Vertex] = {}
        entered = linked = False
        for position, vertex in enumerate(parts[0]):
            alike = [part[position] for part in parts]
            copied = new[vertex] = replace(vertex, name=common_name([v.name for v in alike]))
            copied.operands = unique(new.get(v, entry) for v in vertex.operands)
            later = [self.place[v] for v in parts[1][position].operands]
            linked = linked or any(start <= p < start + length for p in later)
            entered = entered or entry in copied.operands
            copied.note = f"the first of {count}:\n{vertex.note}"
            if any(self.last[start + i * length + position] >= start + (i + 1) * length for i in range(count)):
                leave.operands.append(copied)
        inner = [*([entry] if entered else []), *new.values(), *([leave] if leave.operands else [])]
        made = Vertex("frame", f"×{count}, {'one after the other' if linked else 'side by side'}", count=count)
        made.inner = fold_repeats(inner) if length > 2 * _SAVED else inner
        made.place = ", ".join(dict.fromkeys(v.place for v in members))
        made.saved, made.form = sum(v.saved for v in members), members[-1].form
        made.note = f"{count} parts of {length}"
        return made

    def _leaves(self, repeat: _Repeat) -> Vertex:
        """One leaf that stands for many."""
        found = self.vertices[repeat.start : repeat.stop]
        size, name = sum(v.size for v in found), common_name([v.name for v in found])
        return replace(found[0], name=name, size=size, count=sum(v.count for v in found))


def _look(vertex: Vertex) -> tuple[Any, ...]:
    """What makes two vertices look the same: all but their names, and where their edges come from."""
    title = "" if vertex.is_source or vertex.kind in ("result", "box") else vertex.title
    shown = vertex.kind, title, vertex.form, vertex.lines, vertex.place, vertex.saved, vertex.count
    return *shown, len(vertex.operands), tuple(map(_look, vertex.inner)) if vertex.inner else ()
