"""What the tests of drawings share: how drawings are read, and programs to be drawn."""

import random
from collections.abc import Sequence
from typing import Any

import polyad as ad
from polyad.autograd.graph import Drawing


class Vertex:
    """A vertex as a reader sees it."""

    def __init__(self, vertex: Any) -> None:
        self.lines = vertex.text
        self.title = self.lines[0] if self.lines else ""
        self.kind, self.saved, self.place, self.form = vertex.kind, vertex.saved, vertex.place, vertex.form
        self.note, self.count = vertex.note, vertex.count


def everything(vertices: Sequence[Any]) -> list[Any]:
    return [v for vertex in vertices for v in (vertex, *everything(vertex.inner))]


def titles(drawing: Drawing) -> list[str]:
    return [v.text[0] for v in everything(drawing.vertices) if v.kind != "port"]


def find(drawing: Drawing, title: str) -> Vertex:
    (found,) = [v for v in everything(drawing.vertices) if v.kind != "port" and v.text[0] == title]
    return Vertex(found)


def edges(drawing: Drawing) -> set[tuple[str, str]]:
    return {(a.text[0], b.text[0]) for b in drawing.vertices for a in b.operands}


def leaf(*shape: int, dtype: Any = ad.float32) -> Any:
    return ad.ones(*shape, dtype=dtype, requires_grad=True)


def layered(x: Any, layers: int, width: int, parameters: dict[str, Any]) -> Any:
    for i in range(layers):
        w, b = leaf(width, width), leaf(width)
        parameters |= {f"layers.{i}.weight": w, f"layers.{i}.bias": b}
        x = ad.tanh(x @ w + b)
    return x


class Block(ad.nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = ad.nn.Linear(width, 2 * width), ad.nn.Linear(2 * width, width)

    def forward(self, x: Any) -> Any:
        return x + self.down(ad.nn.functional.relu(self.up(x)))


class Deep(ad.nn.Module):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.embed, self.head = ad.nn.Linear(2, width), ad.nn.Linear(width, 1)
        self.blocks = ad.nn.Sequential(*[Block(width) for _ in range(depth)])
        self.runs = 0

    def forward(self, x: Any) -> Any:
        self.runs += 1
        return self.head(self.blocks(self.embed(x)))


def wild(steps: int, seed: int) -> Any:
    """A program without a pattern."""
    draws = random.Random(seed)
    made = [leaf(3) for _ in range(9)]
    functions = [ad.sin, ad.tanh, lambda x: x * 0.5, lambda x: x + 1]
    for _ in range(steps):
        made.append(draws.choice(functions)((draws.choice(made[-9:]) + draws.choice(made)) * 0.5))
    return sum(made[-9:])
