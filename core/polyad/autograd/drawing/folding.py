"""Making a large graph small enough to be read: equal parts drawn once, modules and stretches drawn as one box.

Everything works on vertices in an order in which each stands behind its operands. What is put together is always a
stretch of that order: edges into it come from before it and edges out of it lead behind it, so folding makes no cycle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, groupby
from typing import Final

from .repeats import fold_repeats, uses
from .vertices import Vertex, common_name, replaced, total, unique

__all__ = ["fold"]

_LISTED: Final = 6
"""Of what is in a box, so many kinds of operations are listed."""

_MANY: Final = 4
"""Leaves that become one."""

_SHARE: Final = 8
"""Where nothing else helps, a graph becomes one box for every so many vertices that would be allowed."""


def fold(vertices: list[Vertex], limit: int | None) -> list[Vertex]:
    """Put vertices together until there are no more than ``limit``, in the mildest way that does.

    Parts that repeat are drawn once, and leaves of one form and use as one. Then modules become boxes too, the
    innermost first. If that does not do, the operations are cut into stretches.
    """
    if limit is None or len(vertices) <= limit:
        return vertices
    folded = _fold_leaves(fold_repeats(vertices))
    for depth in range(max(len(v.calls) for v in vertices), 0, -1):
        if total(folded) <= limit:
            break
        folded = _fold_leaves(fold_repeats(_fold_modules(vertices, depth)))
    return folded if total(folded) <= limit else _fold_stretches(vertices, limit)


# Boxes ----------------------------------------------------------------------------------------------------------


def _fold_modules(vertices: Sequence[Vertex], depth: int) -> list[Vertex]:
    """Make a box of each call of a module that is so deep inside others."""
    stretches = []
    start = 0
    for call, members in groupby(vertices, key=lambda v: v.calls[:depth] if len(v.calls) >= depth else None):
        found = list(members)
        if call is not None and len(found) > 1:
            stretches.append((start, start + len(found), _box(found, call[-1][0])))
        start += len(found)
    return replaced(vertices, stretches)


def _fold_stretches(vertices: Sequence[Vertex], limit: int) -> list[Vertex]:
    """Cut the order into stretches, where few edges cross, and make a box of each."""
    inside = [v for v in vertices if v.kind != "result"]
    results = [v for v in vertices if v.kind == "result"]
    ordered = inside + results
    count = max(limit // _SHARE, 1)
    step = max(-(-len(inside) // count), 1)
    crossing = _crossing(ordered)
    cuts = [0]
    for wanted in range(step, len(inside), step):
        near = range(max(wanted - step // 4, cuts[-1] + 1), min(wanted + step // 4 + 1, len(inside)))
        cuts.append(min(near, key=lambda c: (crossing[c], abs(c - wanted))))
    ends = [*cuts[1:], len(inside)]
    if len(results) > limit - count:  # too many to be drawn one by one
        ends[-1] = len(ordered)
    return replaced(ordered, [(a, b, _box(ordered[a:b], "")) for a, b in zip(cuts, ends, strict=True) if b - a > 1])


def _crossing(vertices: Sequence[Vertex]) -> list[int]:
    """For each place between two vertices how many that come before it are used behind it."""
    steps = [0] * (len(vertices) + 1)
    for i, last in enumerate(uses(vertices)):
        steps[i + 1] += 1
        steps[last + 1] -= 1
    return list(accumulate(steps))


def _box(members: Sequence[Vertex], name: str) -> Vertex:
    """One vertex for several, which says what is in it."""
    operations = Counter(v.title for v in members if not v.is_source and v.kind not in ("part", "result"))
    words = [title if n == 1 else f"{title} ×{n}" for title, n in operations.most_common(_LISTED)]
    if len(operations) > _LISTED:
        words.append(f"and {len(operations) - _LISTED} others")
    leaves = [v for v in members if v.kind == "leaf"]
    if leaves:
        size = sum(v.size for v in leaves)  # 0 of leaves that nobody holds any more
        elements = f", {_several(size, 'element')}" if size else ""
        words.append(_several(sum(v.count for v in leaves), "leaf", "leaves") + elements)
    vertex = Vertex("box", _several(sum(operations.values()), "operation"), name=name, lines=tuple(words))
    vertex.place = ", ".join(dict.fromkeys(v.place for v in members))
    vertex.saved, vertex.form = sum(v.saved for v in members), members[-1].form
    vertex.note = f"{name}: {vertex.title}" if name else vertex.title
    return vertex


def _several(n: int, one: str, more: str = "") -> str:
    return f"{n} {one if n == 1 else more or f'{one}s'}"


# Leaves ---------------------------------------------------------------------------------------------------------


def _fold_leaves(vertices: Sequence[Vertex]) -> list[Vertex]:
    """Draw leaves of one form that the same vertices use as one, where they are many."""
    users: dict[Vertex, list[Vertex]] = {}
    for vertex in vertices:
        for operand in unique(vertex.operands):
            users.setdefault(operand, []).append(vertex)
    groups: dict[object, list[Vertex]] = {}
    for vertex in vertices:
        if vertex.is_source:
            key = vertex.kind, vertex.form, vertex.place, vertex.lines, tuple(map(id, users.get(vertex, ())))
            groups.setdefault(key, []).append(vertex)
    new: dict[Vertex, Vertex] = {}
    first = {}
    for found in groups.values():
        if len(found) < _MANY:
            continue
        names = [v.name for v in found]
        size = sum(v.size for v in found)
        first[found[0]] = replace(found[0], name=common_name(names), count=sum(v.count for v in found), size=size)
        new.update(dict.fromkeys(found, first[found[0]]))
    result = []
    for vertex in vertices:
        if vertex in new:
            result += [first[vertex]] if vertex in first else []
            continue
        new[vertex] = replace(vertex, operands=unique(new[v] for v in vertex.operands))
        result.append(new[vertex])
    return result
