"""Drawings of graphs: what they hold, how large graphs are folded, and that the texts are well formed."""

import gc
import itertools
import random
import subprocess
import sys
import weakref
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import polyad as ad
from polyad.autograd.graph import Drawing, draw, save_on_cpu, saved_tensors_hooks
from polyad.backend import Backend
from polyad.engine import reachable
from polyad.errors import ArgumentError, AutogradError, OperandError
from polyad.function import FUNCTIONS, Function
from polyad.testing import Fails, call_sample, sample_arguments


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


# What is drawn ----------------------------------------------------------------------------------------------------


def test_a_small_graph(backend: Backend) -> None:
    x, y = leaf(3, 4), leaf(4)
    drawing = draw((x * y).exp().sum(), names={"x": x, "y": y})
    assert titles(drawing) == ["x", "y", "multiply", "exp", "sum", "result"]
    assert edges(drawing) == {
        *(("x", "multiply"), ("y", "multiply"), ("multiply", "exp"), ("exp", "sum"), ("sum", "result"))
    }
    assert [v.kind for v in drawing.vertices] == ["leaf", "leaf", "operation", "operation", "operation", "result"]
    assert [v.form for v in drawing.vertices] == [
        *("float32[3, 4]", "float32[4]", "float32[3, 4]", "float32[3, 4]", "float32[]", "float32[]")
    ]
    assert {v.place for v in drawing.vertices} == {f"{backend.name}, {x.device}"}
    assert find(drawing, "multiply").lines == ["multiply", "float32[3, 4]", "saves 64 B"]
    assert repr(drawing) == "<drawing of 6 vertices, 112 B saved>"


def test_saved_bytes_are_those_of_the_arrays_kept(backend: Backend) -> None:
    x, y, w = leaf(8, 4), leaf(8, 4), leaf(4, 5)
    h = x * y  # keeps both, 128 bytes each
    z = (h.exp() @ w).sum()  # keeps the result, 128; exp's result and w, 128 + 80; a shape
    drawing = draw(z)
    assert {v.title: v.saved for v in drawing.vertices if v.saved} == {"multiply": 256, "exp": 128, "matmul": 208}
    assert drawing.saved_bytes == 256 + 128 + 80  # the result of exp once
    assert "saves x1: float32[8, 4], 128 B" in find(drawing, "multiply").note


def test_one_array_kept_twice_counts_once() -> None:
    x = leaf(8)
    drawing = draw(x * x, x * 3.0, x.sin())
    assert sorted(v.saved for v in drawing.vertices if v.saved) == [32, 32]
    assert drawing.saved_bytes == 32


def test_a_freed_graph_saves_nothing() -> None:
    x = leaf(3)
    y = (x.exp() * x).sum()
    y.backward()
    drawing = draw(y)
    assert drawing.saved_bytes == sum(v.saved for v in drawing.vertices) == 0
    assert titles(drawing) == ["leaf", "exp", "multiply", "sum", "result"]
    assert "freed" in find(drawing, "exp").note
    assert "saves" not in drawing.mermaid


def test_several_results() -> None:
    x = leaf(3)
    y, z = x * 2, x.sin()
    expected = ["leaf", "multiply", "sin", "result 0", "result 1"]
    assert titles(draw(y, z)) == titles(draw((y, z))) == titles(draw([y], {"a": (z,)})) == expected
    assert titles(draw(y, y)) == ["leaf", "multiply", "result 0", "result 1"]
    assert titles(draw(x)) == ["leaf", "result"]
    assert titles(draw(y, names={"y": y})) == ["leaf", "multiply", "y"]


def test_functions_of_several_results() -> None:
    x = leaf(4, 4)
    values, _ = ad.topk(x, 2)
    numbers, vectors = ad.linalg.eigh(x)
    drawing = draw(values.sum() + numbers.sum() + vectors.sum(), names={"best": values})
    pairs = {("linalg.eigh", "eigenvalues"), ("linalg.eigh", "eigenvectors"), ("eigenvectors", "sum")}
    assert {("topk", "values"), ("values", "sum"), *pairs} <= edges(drawing)
    assert find(drawing, "values").lines == ["values", "best: float32[4, 2]"]
    assert find(drawing, "eigenvalues").kind == "part"
    assert "indices" not in titles(drawing)


def test_a_result_of_several_as_the_root() -> None:
    values, _ = ad.topk(leaf(4), 2)
    assert edges(draw(values)) == {("leaf", "topk"), ("topk", "values"), ("values", "result")}


def test_names_of_parameters_inputs_and_between(backend: Backend) -> None:
    model, x = ad.nn.Sequential(ad.nn.Linear(3, 2), ad.nn.ReLU()), ad.randn(5, 3)
    h = model(x)
    y = h.sum()
    drawing = draw(y, params=dict(model.named_parameters()), names={"x": x, "h": h, "loss": y, "unused": ad.ones(2)})
    assert titles(drawing)[-1] == "loss"
    assert {"0.weight", "0.bias", "x"} <= set(titles(drawing))
    assert "unused" not in titles(drawing)
    assert find(drawing, "x").kind == "constant"
    assert ("x", "nn.linear") in edges(drawing)
    assert find(drawing, "nn.relu").lines[1] == "h: float32[5, 2]"


def test_hooks_are_shown() -> None:
    x = leaf(3)
    x.register_hook(lambda g: None)
    y = x.exp()
    y.retain_grad()
    y.grad_fn.register_prehook(lambda g: None)
    y.grad_fn.register_hook(lambda a, b: None)
    values, _ = ad.topk(y, 2)
    values.register_hook(lambda g: None)
    drawing = draw(values)
    assert find(drawing, "leaf").lines == ["leaf", "float32[3]", "1 hook"]
    assert find(drawing, "exp").lines[2:4] == ["2 hooks", "retains its gradient"]
    assert find(drawing, "values").lines[2:] == ["1 hook"]


class Pair(ad.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, scale: float, y: Any) -> Any:
        ctx.save_for_backward(x, None, y)
        ctx.extra = ad.zeros(100)
        return x * scale, y.sum()

    @staticmethod
    def backward(ctx: Any, g: Any, h: Any) -> Any:
        return g, None, h.expand(ctx.saved_tensors[2].shape)


def test_nodes_of_custom_functions() -> None:
    a, b = Pair.apply(leaf(3) * 1, 2.0, leaf(5, dtype=ad.float64))
    y = a.sum() + b
    drawing = draw(y)
    pair = find(drawing, "Pair")
    assert (pair.kind, pair.saved) == ("custom", 12 + 40 + 400)
    assert "saves ctx.extra: float32[100], 400 B" in pair.note
    assert find(drawing, "output 0").form == "float32[3]"
    assert find(drawing, "output 1").form == "float64[]"
    y.backward()
    assert (find(draw(y), "Pair").kind, find(draw(y), "Pair").saved) == ("custom", 0)


def test_views_and_writes(backend: Backend) -> None:
    x = leaf(2, 3)
    y = x * 2
    row = y[0]
    row.mul_(3)  # through a view: the base gets a new node, and the view one from there
    drawing = draw(row.sum() + y.sum())
    assert {("slice_view", "multiply"), ("multiply", "copy_slices"), ("copy_slices", "sum")} <= edges(drawing)
    assert Counter(titles(drawing))["slice_view"] == 2
    assert find(drawing, "copy_slices").form == "float32[2, 3]"


def test_packed_values_are_said_to_be() -> None:
    x = leaf(4)
    with saved_tensors_hooks(lambda t: t.tolist(), ad.tensor):
        y = x.exp()
    assert find(draw(y), "exp").lines == ["exp", "float32[4]", "what it saves is packed"]
    with save_on_cpu():
        y = x.exp()
    assert find(draw(y), "exp").lines == ["exp", "float32[4]", "what it saves is packed", "saves 16 B"]


def test_lines_of_the_program_are_in_the_notes() -> None:
    with ad.autograd.detect_anomaly():
        y = leaf(2).exp()
    assert Path(__file__).name in find(draw(y), "exp").note


# Forms that nodes do not know -------------------------------------------------------------------------------------

RECORDS = [f for f in FUNCTIONS.values() if f.provider.startswith("polyad") and f.samples and f.differentiable]


@pytest.mark.parametrize("record", RECORDS, ids=lambda f: f.name)
def test_forms_that_are_found_are_true(record: Function) -> None:
    """Of operands and results of every function, where nothing but their nodes tells."""
    from polyad.autograd.drawing.forms import Forms, value_of

    for sample in record.samples:
        if isinstance(sample, Fails):
            continue
        given = [
            x * 1 if isinstance(x, ad.Tensor) and x.requires_grad else x
            for x in sample_arguments(sample, requires_grad=True, backend="numpy")
        ]
        try:
            found = call_sample(record, sample, given)
        except ArgumentError:  # for gradients of some forms
            continue
        tensors = [t for t in (*given, *(found if isinstance(found, tuple) else (found,))) if isinstance(t, ad.Tensor)]
        tensors = [t for t in tensors if t.requires_grad]
        edges = [ad.views.node_of(t) for t in tensors]
        nodes = [n for n in reachable(edges) if hasattr(n, "function")]
        forms = Forms()
        forms.read(sorted(nodes, key=lambda n: n.seq))
        for edge, tensor in zip(edges, tensors, strict=True):
            form = f"{tensor.dtype.name}{list(tensor.shape)}"
            assert forms.text(value_of(edge)) in ("", form, tensor.dtype.name, str(list(tensor.shape)))


def test_forms_of_a_program_are_all_found(backend: Backend) -> None:
    x, w, b = leaf(4, 3), leaf(3, 5), leaf(5)
    h = ad.tanh(x @ w + b)
    y = ((h - h.mean(axis=0)) ** 2).sum(axis=1, keepdims=True).sqrt() / h
    forms = [v.form for v in draw(y.sum()).vertices]
    assert all("float32[" in form for form in forms), forms


def test_a_program_that_is_run_shows_all_forms() -> None:
    def program(x: Any) -> Any:
        return (-x).permute_dims((1, 0)).negative().negative()

    x = leaf(2, 3)
    assert [v.form for v in draw(program, x).vertices] == [
        *("float32[2, 3]", "float32[2, 3]", "float32[3, 2]", "float32[3, 2]", "float32[3, 2]", "float32[3, 2]")
    ]


# Programs that are run --------------------------------------------------------------------------------------------


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


def test_a_module_is_run_once_and_left_alone(backend: Backend) -> None:
    model, x = Deep(4, 2), ad.randn(3, 2)
    before = set(vars(model)), set(vars(model.embed))
    drawing = draw(model, x)
    assert model.runs == 1
    assert (set(vars(model)), set(vars(model.embed))) == before
    assert all(p.grad is None for p in model.parameters())
    assert {"x", "embed.weight", "blocks.0.up.bias", "head.weight", "result"} <= set(titles(drawing))
    assert "in blocks.0.up" in [v for v in drawing.vertices if v.title == "nn.linear"][1].note


def test_inputs_of_a_function_have_its_names() -> None:
    def program(a: Any, pair: Any, *rest: Any) -> Any:
        return {"y": [(a * pair[0]).sum() + pair[1].sum() * rest[0]], "more": None}

    drawing = draw(program, leaf(3), (ad.ones(3), leaf(2)), ad.tensor(3.0))
    assert {"a", "pair[0]", "pair[1]", "rest[0]"} <= set(titles(drawing))
    assert find(drawing, "pair[0]").kind == "constant"


def test_a_drawing_holds_nothing_of_the_program() -> None:
    held = []

    class Keeping(ad.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Block(3)

        def forward(self, x: Any) -> Any:
            y = self.inner(x)
            held.append(weakref.ref(y))
            return y.sum()

    gc.disable()
    try:
        drawing = draw(Keeping(), ad.randn(2, 3))
        assert held[0]() is None
    finally:
        gc.enable()
    assert drawing.mermaid


# Folding ----------------------------------------------------------------------------------------------------------


def layered(x: Any, layers: int, width: int, parameters: dict[str, Any]) -> Any:
    for i in range(layers):
        w, b = leaf(width, width), leaf(width)
        parameters |= {f"layers.{i}.weight": w, f"layers.{i}.bias": b}
        x = ad.tanh(x @ w + b)
    return x


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


def wild(steps: int, seed: int) -> Any:
    """A program without a pattern."""
    draws = random.Random(seed)
    made = [leaf(3) for _ in range(9)]
    functions = [ad.sin, ad.tanh, lambda x: x * 0.5, lambda x: x + 1]
    for _ in range(steps):
        made.append(draws.choice(functions)((draws.choice(made[-9:]) + draws.choice(made)) * 0.5))
    return sum(made[-9:])


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


# Layout -----------------------------------------------------------------------------------------------------------

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies


@st.composite
def graphs(draws: Any) -> Any:
    from polyad.autograd.drawing.layout import Box

    count = draws(st.integers(1, 25))
    lanes = draws(st.integers(1, 3))
    sizes = st.floats(5, 200)
    boxes = [Box(draws(sizes), draws(sizes), draws(st.integers(0, lanes - 1))) for _ in range(count)]
    ends = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1))
    edges = sorted({(min(e), max(e)) for e in draws(st.lists(ends, max_size=40)) if e[0] != e[1]})
    return boxes, edges, [draws(st.floats(0, 300)) for _ in range(lanes)]


@hypothesis.settings(deadline=None, max_examples=150)
@hypothesis.given(graphs())
def test_layout(graph: Any) -> None:
    from polyad.autograd.drawing.layout import arrange

    boxes, edges, lanes = graph
    found = arrange(boxes, edges, lanes)
    rectangles = [(b.x, b.y, b.x + b.width, b.y + b.height) for b in boxes]
    for i, a in enumerate(rectangles):
        assert not any(overlap(a, b) for b in rectangles[:i])
        left, right = found.lanes[boxes[i].lane]
        assert left - 0.01 <= a[0] and a[2] <= right + 0.01  # noqa: PT018
        assert a[1] >= -0.01 and a[3] <= found.height + 0.01  # noqa: PT018
    assert all(a[1] < b[0] for a, b in zip(found.lanes, found.lanes[1:], strict=False))
    assert found.lanes[-1][1] == pytest.approx(found.width)
    assert len(found.routes) == len(edges)
    for (a, b), route in zip(edges, found.routes, strict=True):
        (x, y, _), (last_x, _, last_y) = route[0], route[-1]
        assert y == pytest.approx(rectangles[a][3])
        assert rectangles[a][0] <= x <= rectangles[a][2]
        assert last_y == pytest.approx(rectangles[b][1])
        assert rectangles[b][0] <= last_x <= rectangles[b][2]
        assert all(low[2] <= high[1] + 0.01 for low, high in itertools.pairwise(route))
        for x, top, bottom in route:  # beside boxes an edge is straight; between layers there are none
            line = (x - 0.01, top + 0.01, x + 0.01, bottom - 0.01)
            assert not any(overlap(line, r) for i, r in enumerate(rectangles) if i not in (a, b))
        for (_, _, low), (_, high, _) in itertools.pairwise(route):
            assert not any(overlap((-1e6, low + 0.01, 1e6, high - 0.01), r) for r in rectangles)


def overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] - 0.01 and b[0] < a[2] - 0.01 and a[1] < b[3] - 0.01 and b[1] < a[3] - 0.01


def test_a_line_of_operations_is_straight() -> None:
    from polyad.autograd.drawing.svg import scene

    x = leaf(3)
    drawing = draw((x.sin() * leaf(3)).exp().sum())
    boxes = {v.title: b for v, b in zip(drawing.vertices, scene(drawing.vertices).boxes, strict=True)}
    middles = [boxes[t].x + boxes[t].width / 2 for t in ("multiply", "exp", "sum", "result")]
    assert middles == pytest.approx([middles[0]] * 4)


def test_edges_cross_where_they_must_only() -> None:
    from polyad.autograd.drawing.layout import Box, arrange

    boxes = [Box(20, 10) for _ in range(8)]
    found = arrange(boxes, [(i, 7 - i) for i in range(4)])
    order = sorted(range(4), key=lambda i: boxes[i].x)
    assert [7 - i for i in order] == sorted(range(4, 8), key=lambda i: boxes[i].x)
    assert len(found.routes) == 4


# Pictures ---------------------------------------------------------------------------------------------------------

MODELS: dict[str, Any] = {
    "small": lambda: draw((leaf(3) * leaf(3)).sum(), layout="plain"),
    "repeated": lambda: draw(layered(leaf(3, 4), 64, 4, {}), layout="plain"),
    "modules": lambda: draw(Deep(4, 30), ad.randn(3, 2), limit=16, layout="plain"),
    "wild": lambda: draw(wild(100, 3), layout="plain", limit=None),
}


def rectangles_of(element: ET.Element) -> list[tuple[float, ...]]:
    return [
        (x, y, x + float(r.attrib["width"]), y + float(r.attrib["height"]))
        for r in element.iter("{http://www.w3.org/2000/svg}rect")
        if (x := float(r.attrib["x"])) >= 0 and (y := float(r.attrib["y"])) >= 0
    ]


@pytest.mark.parametrize("name", MODELS)
def test_boxes_of_a_picture_do_not_overlap(name: str) -> None:
    picture = ET.fromstring(MODELS[name]().svg)
    found = rectangles_of(picture)
    assert found
    for i, a in enumerate(found):
        for b in found[:i]:
            inside = b[0] < a[0] and b[1] < a[1] and a[2] < b[2] and a[3] < b[3]  # a frame's
            assert inside or not overlap(a, b)
    width, height = map(float, picture.attrib["viewBox"].split()[2:])
    assert all(r[2] < width and r[3] < height for r in found)


@pytest.mark.parametrize("name", MODELS)
def test_text_fits_its_box(name: str) -> None:
    """By the widths of a monospaced font's letters, as Matplotlib has them."""
    fonts = pytest.importorskip("matplotlib.font_manager")
    paths = pytest.importorskip("matplotlib.textpath")
    font = fonts.FontProperties(family="DejaVu Sans Mono", weight="bold")
    picture = ET.fromstring(MODELS[name]().svg)
    size = float(picture.attrib["font-size"])
    for group in picture.iter("{http://www.w3.org/2000/svg}g"):
        rectangle, texts = group.find("{*}rect"), group.findall("{*}text")
        assert rectangle is not None
        for text in texts:
            width = paths.TextPath((0, 0), text.text, size=size, prop=font).get_extents().width
            assert width < float(rectangle.attrib["width"]) - 6
            up = float(text.attrib["y"]) - float(rectangle.attrib["y"])
            assert 0.75 * size < up < float(rectangle.attrib["height"]) - 0.25 * size
        lines = [float(t.attrib["y"]) for t in texts if t in list(group)]
        assert all(b - a >= 1.2 * size for a, b in itertools.pairwise(lines))


def test_wide_letters_count_twice() -> None:
    from polyad.autograd.drawing.svg import text_width

    assert text_width("層層") == text_width("abcd")


def test_long_names_are_cut_in_the_middle() -> None:
    name = "a" * 60 + "." + "z" * 60
    x = leaf(2)
    drawing = draw(x * 2, names={name: x}, layout="plain")
    assert len(titles(drawing)[0]) == 46
    assert titles(drawing)[0].startswith("aaa")
    assert titles(drawing)[0].endswith("zzz")
    assert name in drawing.svg  # where the mouse rests


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    dark, light = sorted([luminance(a), luminance(b)])
    return (light + 0.05) / (dark + 0.05)


def test_colours_are_readable_on_light_and_dark() -> None:
    """By the ratios of the Web Content Accessibility Guidelines: 4.5 for text."""
    from polyad.autograd.drawing.texts import COLOURS, GREY, INK

    assert min(contrast(GREY, "#ffffff"), contrast(GREY, "#000000")) > 4.5
    assert min(contrast(INK, fill) for kind, (fill, _) in COLOURS.items() if kind != "port") > 7
    assert min(contrast(*COLOURS[kind]) for kind in COLOURS if kind != "port") > 3


# Backends ---------------------------------------------------------------------------------------------------------


def two_backends() -> tuple[Any, Any, Any]:
    pytest.importorskip("jax")
    a = ad.ones(2, 2, requires_grad=True, device=ad.plugins.backend("numpy").devices[0])
    b = (a * 2).to(backend="jax")
    return a, b, (b @ b).to(backend="numpy") + a


def test_borders_of_backends() -> None:
    a, _, y = two_backends()
    drawing = draw(y, names={"a": a}, layout="plain")
    assert {v.title: v.place for v in drawing.vertices} == {
        **dict.fromkeys(["leaf", "multiply", "add", "result"], "numpy, cpu"),
        "matmul": "jax, cpu",
        "to_device": "numpy, cpu",
    }
    assert Counter(v.place for v in drawing.vertices if v.title == "to_device") == {"numpy, cpu": 1, "jax, cpu": 1}
    assert drawing.mermaid.count("subgraph") == 2
    assert 'subgraph g0 ["numpy, cpu"]' in drawing.mermaid
    assert drawing.dot.count("subgraph cluster_") == 2
    picture = ET.fromstring(drawing.svg)
    lanes = [r for r in picture.iter("{http://www.w3.org/2000/svg}rect") if r.attrib.get("class") == "lane"]
    assert len(lanes) == 2
    (ax, aw), (bx, bw) = ((float(r.attrib["x"]), float(r.attrib["width"])) for r in lanes)
    assert ax + aw < bx
    inside = {"numpy": (ax, ax + aw), "jax": (bx, bx + bw)}
    for group, vertex in zip(picture.iter("{http://www.w3.org/2000/svg}g"), drawing.vertices, strict=True):
        rectangle = group.find("{*}rect")
        assert rectangle is not None
        left, right = inside[vertex.place.partition(",")[0]]
        x = float(rectangle.attrib["x"])
        assert left < x < x + float(rectangle.attrib["width"]) < right


def test_a_graph_on_one_backend_has_no_border(backend: Backend) -> None:
    drawing = draw(leaf(3).sum(), layout="plain")
    assert "subgraph" not in drawing.mermaid
    assert "lane" not in drawing.svg


# Texts ------------------------------------------------------------------------------------------------------------

NAMES = [
    *('say "hello"', "a<b>&c", "#35; #quot;", "`code`", "**bold** _it_ __init__", "1. first", "- item", "end"),
    *("a|b{c}[d](e)", "back\\slash\\n", "new\nline\ttab", "%%{init}%%", "层 é ×", "bell\x07\x00", "$x$ ~y~ !z"),
]


def unescaped(label: str) -> list[str]:
    import re

    return [re.sub(r"#(\d+);", lambda m: chr(int(m[1])), line) for line in label.split("<br>")]


def check_mermaid(text: str) -> dict[str, list[str]]:
    """Check a flowchart by its grammar, as far as drawings use it. Gives the labels by the names of nodes."""
    import re

    lines = text.splitlines()
    assert lines[0] == "flowchart TD"
    label = r'"(?P<label>[^"`<]*(?:<br>[^"`<]*)*)"'
    node = re.compile(rf"(?P<name>n\d+)(?:\[{label}\]|\(\[{label.replace('label', 'round')}\]\)|\(\(\" \"\)\)):::(\w+)")
    labels: dict[str, list[str]] = {}
    groups, classes, used, linked = 0, set(), set(), set()
    names = set()
    for line in map(str.strip, lines[1:]):
        if found := node.fullmatch(line):
            assert found["name"] not in labels
            labels[found["name"]] = unescaped(found["label"] or found["round"] or "")
            used.add(line.rpartition(":::")[2])
        elif found := re.fullmatch(r"(n\d+) --> (n\d+)", line):
            linked.update(found.groups())
        elif found := re.fullmatch(r'subgraph (g\d+) \["([^"`<]+)"\]', line):
            assert found[1] not in names
            names.add(found[1])
            groups += 1
        elif line == "end":
            groups -= 1
            assert groups >= 0
        elif found := re.fullmatch(r"classDef (\w+) [\w:#,-]+(?: \d)?[\w:#,-]*", line):
            classes.add(found[1])
        else:
            found = re.fullmatch(r"class ([\w,]+) group", line)
            assert found, line
            assert set(found[1].split(",")) == names
    assert groups == 0
    assert linked <= set(labels)
    assert used <= classes
    return labels


@pytest.mark.parametrize("name", MODELS)
def test_mermaid_is_well_formed(name: str) -> None:
    drawing = MODELS[name]()
    labels = check_mermaid(drawing.mermaid)
    assert list(labels.values()) == [
        v.text if v.kind != "port" else [""] for v in everything(drawing.vertices) if v.kind != "frame"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_escaped(name: str) -> None:
    x = leaf(2)
    drawing = draw(x * 2, names={name: x}, layout="plain")
    shown = " ".join(name.split())
    assert check_mermaid(drawing.mermaid)["n0"][0] == shown
    for mark in ("1. ", "- "):
        assert f'"{mark}' not in drawing.mermaid  # Markdown's lists
    text = ET.fromstring(drawing.svg).find(".//{*}text")
    assert text is not None
    assert text.text == "".join(c if c >= " " else "\ufffd" for c in shown)
    quoted = shown.replace("\\", "\\\\").replace('"', '\\"')
    assert f'label="{quoted}\\nfloat32[2]"' in drawing.dot.replace("\x00", "\ufffd") or "\x00" in name


def test_frames_are_groups_that_edges_enter_by_a_port() -> None:
    drawing = MODELS["repeated"]()
    text = drawing.mermaid
    assert text.count("subgraph") == text.count("\n    end") == 1
    assert text.count('((" ")):::port') == 2
    assert drawing.dot.count("{") == drawing.dot.count("}")


def test_mermaid_by_its_own_program(tmp_path: Path) -> None:
    import shutil

    program = shutil.which("mmdc")
    if program is None:
        pytest.skip("Mermaid's program mmdc is not installed")
    for name, make in MODELS.items():
        make().save(tmp_path / f"{name}.mmd")
        subprocess.run([program, "-i", tmp_path / f"{name}.mmd", "-o", tmp_path / f"{name}.svg"], check=True)


# Graphviz ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["small", "repeated"])
def test_graphviz_takes_the_text(name: str) -> None:
    import shutil

    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    drawing = MODELS[name]()
    drawing._layout = "dot"
    picture = ET.fromstring(drawing.svg)
    shown = {t.text for t in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {line for v in everything(drawing.vertices) if v.kind != "port" for line in v.text} <= shown


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Have a program ``dot`` that does what is said here."""
    file = folder / "dot"
    file.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    file.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


needs_scripts = pytest.mark.skipif(sys.platform == "win32", reason="scripts are programs on POSIX alone")


@needs_scripts
def test_graphviz_is_used_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "assert sys.argv[1] == '-Tsvg'; text = sys.stdin.read(); assert text.startswith('digraph {')"
    program(tmp_path, monkeypatch, f"{body}\nprint('<?xml?><!DOCTYPE svg><svg>PICTURE</svg>')")
    y = leaf(3).sum()
    assert draw(y).svg == draw(y, layout="dot").svg == "<svg>PICTURE</svg>\n"
    assert "PICTURE" not in draw(y, layout="plain").svg


@needs_scripts
def test_graphviz_that_fails_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, "sys.exit(1)")
    y = leaf(3).sum()
    assert draw(y).svg == draw(y, layout="plain").svg
    with pytest.raises(ArgumentError, match="the program 'dot' made no picture of this graph; write layout='plain'"):
        _ = draw(y, layout="dot").svg


def test_without_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    y = leaf(3).sum()
    assert draw(y).svg == draw(y, layout="plain").svg
    with pytest.raises(ArgumentError, match="layout='dot' needs the program 'dot'; install Graphviz"):
        draw(y, layout="dot")


# Showing and saving -----------------------------------------------------------------------------------------------


def test_how_a_drawing_is_shown() -> None:
    drawing = draw(leaf(3).sum(), layout="plain")
    assert str(drawing) == drawing.mermaid
    assert drawing._repr_svg_() == drawing.svg
    assert drawing._repr_mimebundle_() == {"image/svg+xml": drawing.svg, "text/plain": repr(drawing)}


def test_saving(tmp_path: Path) -> None:
    drawing = draw(leaf(3).sum(), layout="plain")
    texts = {
        **dict.fromkeys([".svg", ".SVG"], drawing.svg),
        **dict.fromkeys([".dot", ".gv"], drawing.dot),
        ".mmd": drawing.mermaid,
        ".md": f"```mermaid\n{drawing.mermaid}```\n",
    }
    for suffix, text in texts.items():
        drawing.save(tmp_path / f"graph{suffix}")
        drawing.save(str(tmp_path / f"graph{suffix}"))
        assert (tmp_path / f"graph{suffix}").read_text(encoding="utf-8") == text
    with pytest.raises(ArgumentError, match=r"'graph.png' says no form .* \.svg, \.mmd, \.md, \.dot or \.gv"):
        drawing.save("graph.png")


# Mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: draw(), OperandError, "expected tensors, or a function and what to call it with; got nothing"),
        (lambda: draw([]), OperandError, r"expected tensors, .*; got \(\[\],\)"),
        (lambda: draw(3.0), OperandError, "expected tensors, or a function .*; got float 3.0"),
        (lambda: draw(leaf(2), [None]), OperandError, "got NoneType None"),
        (
            lambda: draw(ad.ones(2)),
            AutogradError,
            r"output 0, of shape \(2,\), has no recorded graph; set requires_grad",
        ),
        (lambda: draw(leaf(2) * 2, leaf(3).detach()), AutogradError, r"output 1, of shape \(3,\), has no"),
        (lambda: draw(ad.exp, ad.ones(2)), AutogradError, r"output 0, of shape \(2,\), has no recorded graph"),
        (lambda: draw(lambda: 3), OperandError, "the function returned no tensor, but a int: 3"),
        (lambda: draw(leaf(2), limit=0), ArgumentError, "limit must be a positive number of vertices, or None"),
        (lambda: draw(leaf(2), limit="all"), ArgumentError, "limit must be .* got 'all'"),
        (
            lambda: draw(leaf(2), layout="neato"),
            ArgumentError,
            "layout must be one of 'auto', 'dot', 'plain'; got 'neato'",
        ),
        (lambda: draw(leaf(2), names=["x"]), OperandError, "names must be a dict of names and tensors; got list"),
        (
            lambda: draw(leaf(2), params={"w": 1}),
            OperandError,
            "params must have a tensor for each name; got 'w': 1, a int",
        ),
        (lambda: draw(leaf(2), names={1: leaf(2)}), OperandError, "names must have a tensor for each name; got 1: "),
    ],
)
def test_mistakes(call: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_a_failing_program_raises_its_own_error() -> None:
    with pytest.raises(ZeroDivisionError):
        draw(lambda x: x * (1 // 0), leaf(2))
    assert titles(draw(leaf(2) * 2)) == ["leaf", "multiply", "result"]


def test_nothing_is_loaded_before_it_is_asked_for() -> None:
    code = (
        "import sys, polyad.autograd.graph as graph; before = set(sys.modules); graph.draw; "
        "print([m for m in before if 'drawing' in m], 'polyad.autograd.drawing' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"
    with pytest.raises(AttributeError, match="no attribute 'paint'"):
        _ = ad.autograd.graph.paint
