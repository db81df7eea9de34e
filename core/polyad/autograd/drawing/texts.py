"""Drawings as text: Mermaid's and Graphviz's languages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from .vertices import Vertex, every, unique

__all__ = ["COLOURS", "GREY", "dot", "edges_of", "mermaid", "places_of"]

COLOURS: Final = {
    "leaf": ("#d7ecd9", "#3d7a4a"),
    "constant": ("#ececec", "#767676"),
    "operation": ("#dde7f7", "#3f66a8"),
    "custom": ("#f0dff3", "#8a4a94"),
    "part": ("#eef3fb", "#3f66a8"),
    "result": ("#fbe3cf", "#b0662a"),
    "box": ("#f6eec9", "#8f7a20"),
    "port": ("#767676", "#767676"),
}
"""Fill and border of each kind. Boxes bring their own light ground for dark text, so that any page may be behind."""

INK: Final = "#1a1a1a"
GREY: Final = "#767676"
"""Of lines and of text without a box: as far from white as from black."""

_ROUND: Final = frozenset(["leaf", "constant", "result", "part"])


def edges_of(vertices: Sequence[Vertex]) -> list[tuple[Vertex, Vertex]]:
    """The edges between vertices that stand beside each other, each once."""
    return [(operand, vertex) for vertex in vertices for operand in unique(vertex.operands)]


def places_of(vertices: Sequence[Vertex]) -> list[str]:
    """Backends and devices that vertices are on, in the order in which they come."""
    return list(dict.fromkeys(v.place for v in vertices if v.place))


class _Writer:
    """What the two languages have in common: vertices inside groups, and edges between them by name."""

    closing = ""

    def __init__(self, vertices: Sequence[Vertex]) -> None:
        self.vertices = vertices
        self.names = {v: f"n{i}" for i, v in enumerate(every(vertices))}
        self.groups: list[str] = []

    def node(self, vertex: Vertex) -> str:
        """The line of one vertex."""
        raise NotImplementedError

    def opening(self, name: str, label: str) -> list[str]:
        """The first lines of a group."""
        raise NotImplementedError

    def edge(self, source: str, target: str) -> str:
        """The line of one edge."""
        raise NotImplementedError

    def lines(self, vertices: Sequence[Vertex]) -> list[str]:
        """The lines of vertices that stand beside each other, grouped by place if there are several."""
        places = places_of(vertices)
        if len(places) > 1:
            found = []
            for place in places:
                found += self._group(place, [line for v in vertices if v.place == place for line in self._vertex(v)])
            found += [line for v in vertices if not v.place for line in self._vertex(v)]
        else:
            found = [line for v in vertices for line in self._vertex(v)]
        return found + [self.edge(self._tied(a, -1), self._tied(b, 0)) for a, b in edges_of(vertices)]

    def _vertex(self, vertex: Vertex) -> list[str]:
        if vertex.kind == "frame":
            return self._group(vertex.text[0], self.lines(vertex.inner))
        return [self.node(vertex)]

    def _group(self, label: str, inside: Sequence[str]) -> list[str]:
        name = f"g{len(self.groups)}"
        self.groups.append(name)
        return [*self.opening(name, label), *(f"    {line}" for line in inside), self.closing]

    def _tied(self, vertex: Vertex, which: int) -> str:
        """The name that an edge goes to: of a frame, that of its port."""
        while vertex.kind == "frame":
            vertex = vertex.inner[which]
        return self.names[vertex]


# Mermaid --------------------------------------------------------------------------------------------------------

_SPECIAL: Final = re.compile(r"[^\w .,()\[\]:+/×…-]|(?<!\w)_|_(?!\w)|^[-+]|(?<=^\d)\.(?= )")


def _escaped(text: str) -> str:
    """A line of a label: what Mermaid takes for its own syntax, for HTML or for Markdown stands as a number."""
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};", text)


class _Mermaid(_Writer):
    closing = "end"

    def node(self, vertex: Vertex) -> str:
        name = self.names[vertex]
        if vertex.kind == "port":
            return f'{name}((" ")):::port'
        left, right = ("([", "])") if vertex.kind in _ROUND else ("[", "]")
        label = "<br>".join(map(_escaped, vertex.text))
        return f'{name}{left}"{label}"{right}:::{vertex.kind}'

    def opening(self, name: str, label: str) -> list[str]:
        return [f'subgraph {name} ["{_escaped(label)}"]']

    def edge(self, source: str, target: str) -> str:
        return f"{source} --> {target}"


def mermaid(vertices: Sequence[Vertex]) -> str:
    """Give a drawing as the text of a Mermaid flowchart."""
    writer = _Mermaid(vertices)
    lines = ["flowchart TD", *(f"    {line}" for line in writer.lines(vertices))]
    for kind in dict.fromkeys(v.kind for v in every(vertices) if v.kind in COLOURS):
        fill, border = COLOURS[kind]
        lines.append(f"    classDef {kind} fill:{fill},stroke:{border},color:{INK}")
    if writer.groups:
        lines.append(f"    classDef group fill:none,stroke:{GREY},stroke-dasharray:5 4,color:{GREY}")
        lines.append(f"    class {','.join(writer.groups)} group")
    return "\n".join(lines) + "\n"


# Graphviz -------------------------------------------------------------------------------------------------------

FONT: Final = "DejaVu Sans Mono,Menlo,Consolas,monospace"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


class _Dot(_Writer):
    closing = "}"

    def node(self, vertex: Vertex) -> str:
        fill, border = COLOURS[vertex.kind]
        looks = f'fillcolor="{fill}", color="{border}"'
        if vertex.kind == "port":
            size = "shape=circle, fixedsize=true, width=0.09, height=0.09"
            return f'{self.names[vertex]} [{size}, style=filled, label="", {looks}];'
        style = "rounded,filled,dashed" if vertex.kind == "constant" else "rounded,filled"
        said = "\n".join(filter(None, (vertex.name, vertex.note)))
        label = _quoted("\n".join(vertex.text))
        return f'{self.names[vertex]} [label={label}, tooltip={_quoted(said)}, style="{style}", {looks}];'

    def opening(self, name: str, label: str) -> list[str]:
        return [f"subgraph cluster_{name} {{", f"    label={_quoted(label)};"]

    def edge(self, source: str, target: str) -> str:
        return f"{source} -> {target};"


def dot(vertices: Sequence[Vertex]) -> str:
    """Give a drawing as a text for Graphviz."""
    lines = [
        "digraph {",
        "    graph [rankdir=TB, bgcolor=transparent, style=dashed, labeljust=l];",
        f'    graph [color="{GREY}", fontcolor="{GREY}", fontname="{FONT}", fontsize=10];',
        f'    node [shape=box, fontname="{FONT}", fontsize=10, fontcolor="{INK}", margin="0.1,0.06", height=0.3];',
        f'    edge [color="{GREY}", arrowsize=0.6];',
        *(f"    {line}" for line in _Dot(vertices).lines(vertices)),
        "}",
    ]
    return "\n".join(lines) + "\n"
