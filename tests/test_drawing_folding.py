"""Large graphs in drawings: what is drawn once, or as one box."""

import random
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from drawings import Deep, edges, everything, find, layered, leaf, titles, wild

import polyad as ad
from polyad.autograd.graph import Drawing, draw
from polyad.backend import Backend

# Folding ----------------------------------------------------------------------------------------------------------


def test_a_chain_of_layers_is_drawn_once(backend: Backend) -> None:
    parameters: dict[str, Any] = {}
    y = layered(leaf(3, 4), 64, 4, parameters).sum()
    drawing = draw(y, params=parameters)
    assert titles(drawing) == [
        *("leaf", "×64, one after the other, saves 10.0 KiB"),
        *("layers.[0…63].weight", "matmul", "layers.[0…63].bias", "add", "tanh", "sum", "result"),
    ]
    assert drawing.vertices[1].saved == 64 * (48 + 64 + 48)  # matmul keeps both operands, tanh its result
    assert len(draw(y, limit=None).vertices) == 64 * 5 + 3
    assert drawing.saved_bytes == draw(y, limit=None).saved_bytes


def test_parts_beside_each_other_and_in_each_other() -> None:
    def heads(x: Any) -> Any:
        return ad.concat([ad.tanh(x @ leaf(6, 2)) * 2 for _ in range(3)], axis=1)

    x = leaf(5, 6)
    for _ in range(7):
        x = heads(x) + x
    drawing = draw(x, limit=20)
    outer, inner = [v for v in everything(drawing.vertices) if v.kind == "frame"]
    assert (outer.count, inner.count) == (7, 3)
    assert "one after the other" in outer.title
    assert "side by side" in inner.title
    assert outer.inner.index(inner) >= 0
    assert len(draw(x, limit=150).vertices) == 7 * (3 * 4 + 2) + 2  # few enough


def test_steps_that_share_their_weights() -> None:
    w, h = leaf(4, 4), ad.ones(2, 4)
    for _ in range(90):
        h = ad.tanh(h @ w)
    drawing = draw(h.sum(), names={"w": w}, limit=50)
    assert titles(drawing)[:4] == ["w", "matmul", "tanh", "×89, one after the other, saves 11.1 KiB"]
    assert ("w", "×89, one after the other, saves 11.1 KiB") in edges(drawing)


def test_equal_operations_with_other_edges_are_no_repeat() -> None:
    def chain(skips: bool) -> Drawing:
        steps = [leaf(3)]
        for i in range(40):
            far = (i * i) % 7 if skips else 0
            steps.append(ad.sin(steps[-1]) * steps[max(len(steps) - 1 - far, 0)])
        return draw(steps[-1], limit=30)

    counts = [[v.count for v in everything(chain(skips).vertices) if v.kind == "frame"] for skips in (False, True)]
    assert counts[0] == [40]
    assert max(counts[1], default=0) < 40


def test_two_parts_that_are_wired_otherwise_are_no_repeat() -> None:
    def part(x: Any, deep: bool) -> Any:
        found = [x]
        for function in (ad.sin, ad.cos, ad.tanh, ad.atan, ad.sinh, ad.asinh):
            found.append(function(found[-1] if deep else x))
        return ad.concat(found[1:]).sum() * leaf(3)

    def frames(second: bool) -> list[int]:
        drawing = draw(part(part(leaf(3), True), second), limit=16)
        return [v.count for v in everything(drawing.vertices) if v.kind == "frame"]

    assert frames(True) == [2]
    assert frames(False) == []


def test_modules_become_boxes_where_that_takes_it(backend: Backend) -> None:
    model, x = Deep(4, 6), ad.randn(3, 2)
    whole = draw(model, x)
    assert len(whole.vertices) == 6 * 8 + 8
    layers = draw(model, x, limit=20)
    assert "blocks.[0…5].up.weight" in titles(layers)
    boxes = draw(model, x, limit=14)
    box = find(boxes, "blocks.[0…5].up")
    assert box.lines == ["blocks.[0…5].up", "float32[3, 8]", "nn.linear", "2 leaves, 40 elements", "saves 176 B"]
    coarse = draw(model, x, limit=5)
    assert titles(coarse) == ["x", "embed", "blocks", "head", "result"]
    assert find(coarse, "blocks").lines[2:6] == ["nn.linear ×12", "nn.relu ×6", "add ×6", "24 leaves, 456 elements"]
    assert {d.saved_bytes for d in (whole, layers, boxes, coarse)} == {whole.saved_bytes}


def test_calls_of_one_module_are_told_apart() -> None:
    class Twice(ad.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = ad.nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            return self.inner(self.inner(x))

    drawing = draw(Twice(), leaf(2, 3), limit=7)
    assert Counter(titles(drawing))["nn.linear"] == 2
    drawing = draw(Twice(), leaf(2, 3), limit=5)
    assert Counter(titles(drawing))["inner"] == 1  # weights come in with the first call; the second is one operation
    assert Counter(titles(drawing))["nn.linear"] == 1


def test_modules_by_the_names_of_parameters() -> None:
    model = ad.nn.Sequential(*[m for n in range(1, 6) for m in (ad.nn.Linear(n, n + 1), ad.nn.Tanh())])
    y = model(ad.ones(2, 1)).sum()
    drawing = draw(y, params=dict(model.named_parameters()), limit=10)
    assert titles(drawing) == ["0", "2", "4", "6", "8", "result"]
    assert find(drawing, "2").lines[2:4] == ["nn.linear", "tanh"]


def test_many_leaves_become_one() -> None:
    assert titles(draw(ad.concat([leaf(2) for _ in range(500)]))) == ["leaf ×500", "concat", "result"]
    draws = random.Random(0)
    mixed = {f"part.{i}": leaf(draws.choice([1, 2, 3])) for i in range(300)}
    drawing = draw(ad.concat(list(mixed.values())), names=mixed)
    assert titles(drawing)[-2:] == ["concat", "result"]
    assert [v.kind for v in drawing.vertices[:-2]] == ["leaf"] * 3
    assert sum(v.count for v in drawing.vertices[:-2]) == 300


@pytest.mark.parametrize("limit", [1, 2, 30, 200])
def test_a_graph_without_a_pattern_is_cut(limit: int) -> None:
    drawing = draw(wild(400, limit), limit=limit)
    assert len(everything(drawing.vertices)) <= limit + 1
    assert_forward(drawing.vertices)
    boxes = [v for v in drawing.vertices if v.kind == "box"]
    operations = sum(int(v.title.split()[0]) for v in boxes) + sum(v.kind == "operation" for v in drawing.vertices)
    assert operations == sum(v.kind == "operation" for v in draw(wild(400, limit), limit=None).vertices)


def assert_forward(vertices: Sequence[Any]) -> None:
    """No cycle: each vertex stands behind its operands, inside frames too."""
    place = {v: i for i, v in enumerate(vertices)}
    for vertex in vertices:
        assert all(place[o] < place[vertex] for o in vertex.operands)
        assert_forward(vertex.inner)


@pytest.mark.parametrize("limit", [5, 40])
@pytest.mark.parametrize("seed", range(6))
def test_folding_makes_no_cycle(seed: int, limit: int) -> None:
    x = wild(30, seed)
    for _ in range(seed):
        x = ad.cos(x * leaf(3)) - x
    y = layered(x[None, :], 8, 3, {}).sum() + wild(20, seed + 1).sum()
    drawing = draw(y, limit=limit)
    assert_forward(drawing.vertices)
    assert drawing.mermaid
    plain = Drawing.__new__(Drawing)
    vars(plain).update(vars(drawing), _layout="plain")
    ET.fromstring(plain.svg)


def test_ten_thousand_operations() -> None:
    x = leaf(2)
    y = x
    for _ in range(10_000):
        y = y * 0.999
    drawing = draw(y, layout="plain")
    assert titles(drawing) == ["leaf", "×10000, one after the other", "multiply", "result"]
    whole = draw(y, layout="plain", limit=None)
    assert len(whole.vertices) == 10_002
    assert whole.mermaid.count("-->") == 10_001
    assert len(ET.fromstring(whole.svg).findall(".//{*}g")) == 10_002
    branches = draw(wild(10_000, 0), layout="plain")
    assert len(branches.vertices) <= 200
    assert branches.svg
