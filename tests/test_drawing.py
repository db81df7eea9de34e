"""Drawings of graphs: what they show, of which programs, and what is no drawing."""

import gc
import subprocess
import sys
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from drawings import Block, Deep, edges, find, leaf, titles

import polyad as ad
from polyad import views
from polyad.autograd.drawing.forms import Forms, value_of
from polyad.autograd.graph import draw, save_on_cpu, saved_tensors_hooks
from polyad.backend import Backend
from polyad.engine import reachable
from polyad.errors import ArgumentError, AutogradError, OperandError
from polyad.function import FUNCTIONS, Function
from polyad.testing import Fails, call_sample, sample_arguments

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
        edges = [views.node_of(t) for t in tensors]
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
