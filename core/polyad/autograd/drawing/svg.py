"""A drawing as SVG, laid out by `arrange`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from .layout import Arrangement, Box, arrange
from .texts import COLOURS, FONT, GREY, INK, edges_of, places_of
from .vertices import Vertex

__all__ = ["Scene", "scene", "svg"]

SIZE: Final = 11.0  # of letters
ADVANCE: Final = 0.64 * SIZE
"""What a letter is taken to be wide. In the fonts that `FONT` names it is 0.55 to 0.602 of its size, and rounded."""

LINE: Final = 1.3 * SIZE
PADDING: Final = 7.0
MARGIN: Final = 12.0
PORT: Final = 7.0
ARROW: Final = 5.0

_WEIGHTS: Final = {"leaf": 0.02, "constant": 0.02}  # leaves stand beside the line of operations, and do not bend it
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class Scene:
    """Vertices that stand beside each other, with their places.

    Attributes
    ----------
    vertices : sequence of Vertex
    boxes : list of Box
        One for each vertex.
    edges : list of (int, int)
    arrangement : Arrangement
    places : list of str
        What stands above the lanes; empty if there is one.
    inner : dict
        For the number of a frame, what is drawn in it.
    """

    vertices: Sequence[Vertex]
    boxes: list[Box]
    edges: list[tuple[int, int]]
    arrangement: Arrangement
    places: list[str]
    inner: dict[int, Scene]

    @property
    def top(self) -> float:
        """How far its boxes are below its upper border: what the lanes' titles need."""
        return 2 * PADDING + LINE if self.places else 0.0

    @property
    def side(self) -> float:
        """How far they are from its left and right border."""
        return PADDING if self.places else 0.0

    @property
    def width(self) -> float:
        """How wide it is."""
        return self.arrangement.width + 2 * self.side

    @property
    def height(self) -> float:
        """How high it is."""
        return self.arrangement.height + self.top + self.side


def text_width(text: str) -> float:
    """How wide a line is: letters of East Asian scripts, and pictures, take two places."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text) * ADVANCE


def scene(vertices: Sequence[Vertex]) -> Scene:
    """Lay vertices out; what is inside frames first, which then are boxes of its size."""
    places = places_of(vertices)
    inner = {i: scene(v.inner) for i, v in enumerate(vertices) if v.kind == "frame"}
    boxes = []
    for i, vertex in enumerate(vertices):
        box = _frame(vertex, inner[i]) if i in inner else _box(vertex)
        box.lane = places.index(vertex.place) if vertex.place else 0
        box.weight = _WEIGHTS.get(vertex.kind, 1.0)
        boxes.append(box)
    place = {v: i for i, v in enumerate(vertices)}
    edges = [(place[a], place[b]) for a, b in edges_of(vertices)]
    titles = places if len(places) > 1 else []
    found = arrange(boxes, edges, [text_width(p) for p in titles] or [0.0])
    return Scene(vertices, boxes, edges, found, titles, inner)


def _box(vertex: Vertex) -> Box:
    if vertex.kind == "port":
        return Box(PORT, PORT)
    text = vertex.text
    sides = 3 * PADDING if vertex.kind in ("leaf", "constant", "result", "part") else 2 * PADDING
    return Box(max(map(text_width, text)) + sides, len(text) * LINE + 1.2 * PADDING)


def _frame(vertex: Vertex, inner: Scene) -> Box:
    """A frame's box, whose edges are tied where its ports are."""
    width = max(inner.width, text_width(vertex.text[0])) + 2 * PADDING
    box = Box(width, inner.height + LINE + 3 * PADDING)
    left = (width - inner.width) / 2 + inner.side
    for port in (i for i, v in enumerate(inner.vertices) if v.kind == "port"):
        at = left + inner.boxes[port].x + PORT / 2
        if inner.vertices[port].operands:
            box.port_out = at
        else:
            box.port_in = at
    return box


# Text -----------------------------------------------------------------------------------------------------------


def svg(vertices: Sequence[Vertex]) -> str:
    """Give a drawing as the text of an SVG picture, on a ground that is left as it is."""
    drawn = scene(vertices)
    width, height = drawn.width + 2 * MARGIN, drawn.height + 2 * MARGIN
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="{FONT}" font-size="{SIZE:g}">'
    )
    return "\n".join([opening, *_scene_lines(drawn, MARGIN, MARGIN), "</svg>"]) + "\n"


def _scene_lines(drawn: Scene, left: float, top: float) -> Iterator[str]:
    """The elements of a scene: lanes, edges, and boxes over them."""
    for place, (a, b) in zip(drawn.places, drawn.arrangement.lanes, strict=bool(drawn.places)):
        yield _outline("lane", left + a, top, b - a + 2 * drawn.side, drawn.height)
        yield _words(place, left + a + PADDING, top + PADDING + SIZE, GREY)
    left, top = left + drawn.side, top + drawn.top
    for route in drawn.arrangement.routes:
        yield from _edge(route, left, top)
    for i, (vertex, box) in enumerate(zip(drawn.vertices, drawn.boxes, strict=True)):
        x, y = left + box.x, top + box.y
        if i in drawn.inner:
            inner = drawn.inner[i]
            yield f'<g class="frame">{_note(vertex)}'
            yield _outline("border", x, y, box.width, box.height)
            yield _words(vertex.text[0], x + PADDING, y + PADDING + SIZE, GREY)
            yield from _scene_lines(inner, x + (box.width - inner.width) / 2, y + LINE + 2 * PADDING)
            yield "</g>"
        else:
            yield from _vertex(vertex, box, x, y)


def _vertex(vertex: Vertex, box: Box, x: float, y: float) -> Iterator[str]:
    fill, border = COLOURS[vertex.kind]
    if vertex.kind == "port":
        yield f'<circle class="port" cx="{x + PORT / 2:.1f}" cy="{y + PORT / 2:.1f}" r="{PORT / 2}" fill="{fill}"/>'
        return
    radius = min(box.height / 2, 12) if vertex.kind in ("leaf", "constant", "result", "part") else 3
    dashes = ' stroke-dasharray="4 3"' if vertex.kind == "constant" else ""
    yield f'<g class="{vertex.kind}">{_note(vertex)}'
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{radius:g}" '
        f'fill="{fill}" stroke="{border}"{dashes}/>'
    )
    for i, line in enumerate(vertex.text):
        bold = ' font-weight="bold"' if i == 0 else ""
        yield (
            f'<text x="{x + box.width / 2:.1f}" y="{y + 0.6 * PADDING + i * LINE + SIZE:.1f}" text-anchor="middle" '
            f'fill="{INK}"{bold}>{_clean(line)}</text>'
        )
    yield "</g>"


def _edge(route: Sequence[tuple[float, float, float]], left: float, top: float) -> Iterator[str]:
    """A line that is straight beside boxes and bends between them, with a tip."""
    x, y, low = route[0]
    path = [f"M{left + x:.1f},{top + y:.1f}"]
    if low > y:
        path.append(f"V{top + low:.1f}")
    for i, (x, high, end) in enumerate(route[1:], start=1):
        before_x, _, before = route[i - 1]
        stop = end - ARROW if i == len(route) - 1 else end
        bent = min(high, stop)
        middle = top + (before + bent) / 2
        if abs(x - before_x) < 0.05:
            path.append(f"V{top + bent:.1f}")
        else:
            path.append(
                f"C{left + before_x:.1f},{middle:.1f} {left + x:.1f},{middle:.1f} {left + x:.1f},{top + bent:.1f}"
            )
        if stop > bent:
            path.append(f"V{top + stop:.1f}")
    x, y = left + route[-1][0], top + route[-1][2]
    yield f'<path class="edge" d="{" ".join(path)}" fill="none" stroke="{GREY}"/>'
    yield f'<path d="M{x:.1f},{y:.1f} l{-ARROW / 2:g},{-ARROW - 1:g} h{ARROW:g} z" fill="{GREY}"/>'


def _outline(kind: str, x: float, y: float, width: float, height: float) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="6" fill="none" '
        f'stroke="{GREY}" stroke-dasharray="5 4"/>'
    )


def _words(text: str, x: float, y: float, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}">{_clean(text)}</text>'


def _note(vertex: Vertex) -> str:
    said = "\n".join(filter(None, (vertex.name, vertex.note)))
    return f"<title>{_clean(said)}</title>" if said else ""


def _clean(text: str) -> str:
    """Text for XML, without the characters that it cannot have at all."""
    return escape(_FORBIDDEN.sub("\ufffd", text))
