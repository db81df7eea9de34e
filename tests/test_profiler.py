"""What a profile says, against what is known: how often each operation runs, what it allocates, where it comes from."""

import contextvars
import gc
import inspect
import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import polyad as ad
from polyad.autograd.profiler import Averages, profile, record_function
from polyad.autograd.profiler.export import _thinned
from polyad.backend import Backend
from polyad.errors import ArgumentError, AutogradError, LibraryNotInstalledError, OperandError
from polyad.kernels import _tables, _watches

BATCH, INPUTS, HIDDEN, OUTPUTS = 8, 5, 4, 3
FLOAT = 4


def here() -> int:
    """The line that calls this."""
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno


class MLP:
    """Two layers and their gradients. Weights are made before a profile begins."""

    def __init__(self) -> None:
        def weights(*shape: int) -> ad.Tensor:
            return ad.rand(*shape).requires_grad_()

        self.x = ad.rand(BATCH, INPUTS)
        self.params = weights(INPUTS, HIDDEN), weights(HIDDEN), weights(HIDDEN, OUTPUTS), weights(OUTPUTS)
        self.lines: dict[str, int] = {}

    def step(self) -> None:
        w1, b1, w2, b2 = self.params
        h = ad.tanh(self.x @ w1 + b1); self.lines["hidden"] = here()  # fmt: skip  # noqa: E702
        y = h @ w2 + b2; self.lines["output"] = here()  # fmt: skip  # noqa: E702
        loss = (y * y).sum(); self.lines["loss"] = here()  # fmt: skip  # noqa: E702
        loss.backward(); self.lines["backward"] = here()  # fmt: skip  # noqa: E702


FORWARD = {"matmul": 2, "add": 2, "tanh": 1, "multiply": 1, "sum": 1}
NODES = {"SumBackward": 1, "MultiplyBackward": 1, "AddBackward": 2, "MatmulBackward": 2, "TanhBackward": 1}


def counts(rows: Averages, *, backward: bool) -> dict[str, int]:
    return {row.key: row.count for row in rows if row.is_backward is backward}


def tables() -> list[Any]:
    devices = [t.device for t in list(_tables.values())]
    return [(dict(d.kernels), d.pull, d.inplace, d.add_into, d.watched_source) for d in devices]


@pytest.fixture(autouse=True)
def _where_kernels_run_once(request: pytest.FixtureRequest) -> None:
    if "backend" in request.fixturenames and request.getfixturevalue("backend").name == "strict":
        pytest.skip("the library makes new objects for its types: each call runs its kernel again on the careful path")


# Counts ---------------------------------------------------------------------------------------------------------


def test_a_training_step_has_the_calls_that_it_makes(backend: Backend) -> None:
    mlp = MLP()
    with profile() as prof:
        for _ in range(3):
            mlp.step()
    rows = prof.key_averages()
    ones = {"ones"} & set(counts(rows, backward=False))  # the gradient of a scalar, which the first backward makes
    assert counts(rows, backward=False) == {k: 3 * n for k, n in FORWARD.items()} | dict.fromkeys(ones, 1)
    backward = counts(rows, backward=True)
    assert {k: n for k, n in backward.items() if k.endswith("Backward")} == {k: 3 * n for k, n in NODES.items()}


def test_kernels_inside_nodes_are_counted_apart() -> None:
    with ad.use_backend("numpy"):
        mlp = MLP()
        mlp.step()
        with profile() as prof:
            mlp.step()
    inside = Counter(e.name for e in prof.events if e.parent is not None)
    # Each rule of matmul is a product, of x none; two biases are broadcast; y * y gives two gradients that meet
    assert inside == {"matmul": 3, "sum": 2, "broadcast_to": 1}
    assert {e.parent.name for e in prof.events if e.name == "matmul" and e.parent is not None} == {"MatmulBackward"}
    assert Counter(e.name for e in prof.events if e.is_backward and e.parent is None and e.kind == "operation") == {
        "add": 1,  # y * y: two gradients meet
        "add_": 4,  # onto the gradients of the first step
    }


def test_writes_in_place_are_operations(backend: Backend) -> None:
    x, y = ad.ones(3), ad.ones(3)
    with profile() as prof:
        x += y
        x.mul_(2.0)
        x[0] = 1.0
    names = [e.name for e in prof.events]
    expected = ["add_", "multiply_", "setitem_"] if backend.inplace else ["add", "multiply", "setitem"]
    assert [n for n in names if n in expected] == expected
    assert ad.allclose(x, ad.tensor([1.0, 4.0, 4.0]))
    if backend.inplace:
        assert prof.total_average().cpu_memory_usage == 0


def test_gradients_that_meet_are_added_once(backend: Backend) -> None:
    x = ad.ones(3, requires_grad=True)
    y = x * 2.0
    with profile() as prof:
        (y.exp() + y.sin()).sum().backward()
    assert counts(prof.key_averages(), backward=True)["add"] == 1


def test_second_derivatives_and_functions_of_ones_own_are_nodes(backend: Backend) -> None:
    class Cube(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            line.append(here() + 1)
            return g * 3 * x**2

    line: list[int] = []
    x = ad.tensor(2.0, requires_grad=True)
    with profile() as prof:
        y = Cube.apply(x); called = here()  # fmt: skip  # noqa: E702
        (first,) = ad.autograd.grad(y, x, create_graph=True)
        (second,) = ad.autograd.grad(first, x)
    assert second.item() == pytest.approx(12.0)
    nodes = [e for e in prof.events if e.kind == "node"]
    assert nodes[0].name == "CubeBackward"
    assert nodes[0].stack[0].line == called
    inside = [e for e in prof.events if e.parent is nodes[0]]
    assert {e.name for e in inside} >= {"multiply", "power"}
    assert all(e.is_backward for e in inside)
    assert {e.stack[0].line for e in inside if e.name == "multiply"} == {line[0]}  # the program's own backward
    assert "MultiplyBackward" in {e.name for e in nodes[1:]}


def test_transfers_are_operations() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    del jax
    with ad.use_backend("numpy"):
        x = ad.ones(10, requires_grad=True)
        with profile() as prof:
            x.to(backend="jax").sum().backward()
    found = [(e.name, e.is_backward, e.allocated) for e in prof.events if e.name == "to_device"]
    assert found == [("to_device", False, 40), ("to_device", True, 40)]


# Bytes ----------------------------------------------------------------------------------------------------------


def test_allocated_bytes_are_those_of_the_results(backend: Backend) -> None:
    mlp = MLP()
    mlp.step()
    with profile() as prof:
        mlp.step()
    rows = {row.key: row for row in prof.key_averages() if not row.is_backward}
    hidden, output = BATCH * HIDDEN * FLOAT, BATCH * OUTPUTS * FLOAT
    assert rows["matmul"].self_cpu_memory_usage == hidden + output
    assert rows["add"].self_cpu_memory_usage == hidden + output
    assert rows["tanh"].cpu_memory_usage == hidden
    assert rows["sum"].cpu_memory_usage == FLOAT
    backward = {row.key: row for row in prof.key_averages() if row.is_backward}
    weights = (INPUTS * HIDDEN + HIDDEN * OUTPUTS) * FLOAT
    assert backward["MatmulBackward"].cpu_memory_usage == weights + hidden  # and the gradient of h
    assert backward["TanhBackward"].cpu_memory_usage == hidden


def test_views_allocate_nothing() -> None:
    with ad.use_backend("numpy"):
        x = ad.rand(4, 6)
        with profile() as prof:
            y = x.reshape(24).reshape(6, 4).mT[1:3]
            z = y.expand(5, 2, 6)
            z.contiguous()
    assert {e.name: e.allocated for e in prof.events}["reshape"] == 0
    assert prof.total_average().cpu_memory_usage == 5 * 2 * 6 * FLOAT


def test_memory_comes_and_goes(backend: Backend, tmp_path: Path) -> None:
    x = ad.rand(1000)
    with profile() as prof:
        a = x + 1.0
        b = a * 2.0
        del a
        gc.collect()
        c = b.exp()
        del b, c
        gc.collect()
    prof.export_chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [e["args"]["bytes"] for e in trace if e["ph"] == "C"] == [0, 4000, 8000, 4000, 8000, 4000, 0]


def test_a_profile_keeps_no_array_alive(backend: Backend) -> None:
    import weakref

    x = ad.rand(10)
    with profile() as prof:
        y = x + 1.0
        reference = weakref.ref(y._data)
        del y
        gc.collect()
        assert reference() is None
    assert prof.events


# Lines and shapes -----------------------------------------------------------------------------------------------


def test_lines_are_those_of_the_program(backend: Backend) -> None:
    mlp = MLP()
    mlp.step()
    with profile() as prof:
        mlp.step()
    file, lines = __file__, mlp.lines
    for name in ("hidden", "output", "loss"):
        key = f"{file}({lines[name]}): MLP.step"
        rows = {row.is_backward: row for row in prof.key_averages(by="line") if row.key == key}
        assert set(rows) == {False, True}, name  # its nodes, and what runs in them, are at the line that recorded them
        assert rows[False].count == {"hidden": 3, "output": 2, "loss": 2}[name]
        assert rows[True].count == rows[False].count
    everything = sum(row.count for row in prof.key_averages(by="line"))
    top = [e for e in prof.events if e.parent is None]
    assert everything == len(top)
    others = {e.name for e in top if e.stack[0].line == lines["backward"]}
    assert others <= {"add", "add_", "ones"}  # gradients that meet and those that are added to what was there
    assert "y * y" in prof.key_averages(by="line").table()


def test_stacks_lead_from_the_operation_outwards(backend: Backend) -> None:
    def inner(x: Any) -> Any:
        return x.exp()

    def outer(x: Any) -> Any:
        return inner(x)

    x = ad.ones(2, requires_grad=True)
    with profile(with_stack=True) as prof:
        outer(x).sum().backward()
    by_name = {e.name: e for e in prof.events}
    for name in ("exp", "ExpBackward"):
        assert [f.function.rpartition(".")[2] for f in by_name[name].stack[:2]] == ["inner", "outer"]
    rows = prof.key_averages(group_by_stack_n=2)
    assert any(row.key == "exp" and [f.function.rpartition(".")[2] for f in row.stack] == ["inner", "outer"]
               for row in rows)  # fmt: skip


def test_rows_by_shape(backend: Backend) -> None:
    a, b = ad.ones(2, 3), ad.ones(3)
    with profile() as prof:
        a + b
        a + a
        b + b
        b + b
        b + 1.0
        ad.concat([a, a])
    rows = {(row.key, row.input_shapes): row.count for row in prof.key_averages(group_by_input_shape=True)}
    assert rows == {
        ("add", ((2, 3), (3,))): 1,
        ("add", ((2, 3), (2, 3))): 1,
        ("add", ((3,), (3,))): 2,
        ("add", ((3,), ())): 1,
        ("concat", (((2, 3), (2, 3)),)): 1,
    }
    assert "[2, 3], [3]" in prof.key_averages(by="shape").table()


# Times ----------------------------------------------------------------------------------------------------------


def test_total_is_self_and_what_is_inside(backend: Backend) -> None:
    mlp = MLP()
    with profile() as prof, record_function("all"), record_function("step"):
        mlp.step()
    for event in prof.events:
        inside = [e for e in prof.events if e.parent is event]
        assert event.time == event.self_time + sum(e.time for e in inside)
        assert event.allocated == event.self_allocated + sum(e.allocated for e in inside)
        noting = event.end - event.start - event.time  # what the profile did in between
        assert noting >= sum(e.end - e.start - e.time for e in inside)
        assert (noting > 0) == bool(inside)
        assert event.self_time >= 0
        assert all(event.start <= e.start <= e.end <= event.end for e in inside)
    (whole,) = [e for e in prof.events if e.parent is None]
    assert whole.name == "all"
    assert prof.total_average().cpu_time_total == whole.time / 1000
    assert prof.self_cpu_time_total == pytest.approx(whole.time / 1000)


def test_kernels_that_call_kernels_have_a_part_of_their_own(backend: Backend) -> None:
    x = ad.rand(5)
    with profile() as prof:
        ad.ptp(x)
    (outer,) = [e for e in prof.events if e.parent is None]
    inside = [e for e in prof.events if e.parent is outer]
    assert [e.name for e in inside] == ([] if backend.compiles else ["max", "min"])
    assert outer.self_time == outer.time - sum(e.time for e in inside)
    assert outer.allocated == (FLOAT if backend.compiles else 3 * FLOAT)
    assert {e.stack[0].line for e in prof.events} == {outer.stack[0].line}
    assert [row.count for row in prof.key_averages(by="line")] == [1]


def test_draws_are_operations(backend: Backend) -> None:
    with profile() as prof:
        ad.randn(4, 5)
        ad.rand(3, generator=ad.Generator())
        ad.randperm(6)
    found = [(e.name, e.allocated, e.stack[0].line) for e in prof.events if e.name in ("normal", "uniform")]
    line = inspect.getsourcelines(test_draws_are_operations)[1] + 2
    assert found == [("normal", 80, line), ("uniform", 12, line + 1)]
    assert "permutation" in {e.name for e in prof.events}


# Ranges ---------------------------------------------------------------------------------------------------------


def test_ranges_hold_what_runs_in_them(backend: Backend) -> None:
    x = ad.ones(3)

    @record_function("double")
    def doubled(x: Any) -> Any:
        return x * 2.0

    with profile() as prof, record_function("outer"):
        doubled(x)
        doubled(x)
        x.exp()
    assert [(e.name, e.parent.name if e.parent else None) for e in prof.events] == [
        ("outer", None),
        ("double", "outer"),
        ("multiply", "double"),
        ("double", "outer"),
        ("multiply", "double"),
        ("exp", "outer"),
    ]
    assert {row.key: row.count for row in prof.key_averages()} == {"outer": 1, "double": 2, "multiply": 2, "exp": 1}
    with record_function("nothing is on"):
        x.exp()


def test_ranges_of_coroutines_may_overlap() -> None:
    import asyncio

    async def work(name: str) -> None:
        with record_function(name):
            await asyncio.sleep(0)
            ad.ones(2)
            await asyncio.sleep(0)

    @record_function("decorated")
    async def both() -> None:
        await asyncio.gather(work("a"), work("b"))

    with ad.use_backend("numpy"), profile() as prof:
        asyncio.run(both())
        ad.ones(2)
    assert Counter(e.name for e in prof.events) == {"decorated": 1, "a": 1, "b": 1, "ones": 3}
    assert prof.events[-1].parent is None


# The trace ------------------------------------------------------------------------------------------------------


def test_the_trace_is_well_formed_and_nests(backend: Backend, tmp_path: Path) -> None:
    mlp = MLP()
    with profile() as prof, record_function("step"):
        mlp.step()
    prof.export_chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())
    events = trace["traceEvents"]
    assert trace["displayTimeUnit"] == "ms"
    assert {e["ph"] for e in events} == {"M", "X", "s", "f", "C"}
    for event in events:
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        if event["ph"] != "M":
            assert event["ts"] >= 0
    spans = [e for e in events if e["ph"] == "X"]
    assert len(spans) == len(prof.events)
    open_: list[Any] = []
    for span in sorted(spans, key=lambda e: (e["ts"], -e["dur"])):
        while open_ and open_[-1]["ts"] + open_[-1]["dur"] <= span["ts"] + 1e-6:
            open_.pop()
        if open_:  # begins inside: then it ends inside
            assert span["ts"] + span["dur"] <= open_[-1]["ts"] + open_[-1]["dur"] + 1e-6
        open_.append(span)
    assert {e["name"] for e in events if e["ph"] == "M"} == {"process_name", "thread_name"}
    starts = {e["id"]: e for e in events if e["ph"] == "s"}
    ends = {e["id"]: e for e in events if e["ph"] == "f"}
    assert len(ends) == sum(NODES.values())  # from each operation to the node that it recorded
    assert starts.keys() == ends.keys()
    assert all(starts[i]["ts"] < ends[i]["ts"] and ends[i]["bp"] == "e" for i in ends)


# Pictures and tables --------------------------------------------------------------------------------------------


# the lowest Matplotlib uses names that the newest pyparsing warns of
@pytest.mark.filterwarnings("ignore:.*deprecated - use:DeprecationWarning")
def test_the_curve_is_a_picture(backend: Backend, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    mlp = MLP()
    with profile() as prof, record_function("step"):
        mlp.step()
    prof.export_memory_curve(tmp_path / "memory.png")
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")
    prof.export_memory_curve(tmp_path / "memory.svg")
    with profile() as empty:
        pass
    empty.export_memory_curve(tmp_path / "empty.png")
    assert (tmp_path / "empty.png").exists()


def test_long_curves_are_drawn_as_fine_as_can_be_seen() -> None:
    curve = [(i, (i * 7919) % 1000) for i in range(100_000)]
    thinned = _thinned(curve, 100_000)
    assert len(thinned) <= 3 * 1400
    assert thinned == sorted(thinned)
    assert set(thinned) <= set(curve)
    assert max(thinned, key=lambda p: p[1])[1] == 999
    assert thinned[-1] == curve[-1]
    assert _thinned(curve[:50:10], 50) == curve[:50:10]


def test_without_matplotlib_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with profile() as prof:
        pass
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(LibraryNotInstalledError, match="needs matplotlib.*pip install matplotlib"):
        prof.export_memory_curve(tmp_path / "memory.png")
    assert not list(tmp_path.iterdir())


def test_tables_are_sorted_and_cut(backend: Backend) -> None:
    mlp = MLP()
    with profile() as prof:
        mlp.step()
    rows = prof.key_averages()
    lines = rows.table(sort_by="count", row_limit=2, header="a step").splitlines()
    assert lines[0] == "a step"
    assert lines[1].split()[:2] == ["Name", "Pass"]
    assert len(lines) == 1 + 2 + 2 + 2
    assert f"and {len(rows) - 2} more rows" in lines[-2]
    assert "Self time total:" in lines[-1]
    largest = [int(line.split()[-1]) for line in lines[3:5]]
    assert largest == sorted((row.count for row in rows), reverse=True)[:2]
    assert len(rows.table(row_limit=-1).splitlines()) == len(rows) + 3
    assert prof.table("key", 1).splitlines()[2].split()[0] == min(row.key for row in rows)
    narrow = rows.table(max_name_column_width=8)
    assert "...kward" in narrow
    assert "Device" not in narrow
    assert all(str(row.count) in repr(row) for row in rows)


def test_attributes_are_pytorchs(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with torch.autograd.profiler.profile(record_shapes=True, profile_memory=True) as theirs:
        torch.ones(3, requires_grad=True).exp().sum().backward()
    with ad.use_backend("numpy"), profile(record_shapes=True, profile_memory=True) as ours:
        ad.ones(3, requires_grad=True).exp().sum().backward()
    row, other = ours.key_averages()[0], theirs.key_averages()[0]
    names = (
        *("key", "count", "cpu_time", "cpu_time_total", "self_cpu_time_total", "cpu_memory_usage", "stack"),
        *("self_cpu_memory_usage", "device_time", "device_time_total", "self_device_time_total", "input_shapes"),
    )
    for name in names:
        assert hasattr(other, name)
        assert getattr(row, name) is not None or name == "input_shapes"
    called = {e.key.removeprefix("aten::"): e.count for e in theirs.key_averages()}
    for row in ours.key_averages():
        if not row.is_backward:
            assert called[row.key] >= row.count
    ours.key_averages().table(sort_by="self_cpu_time_total", row_limit=3)
    theirs.key_averages().table(sort_by="self_cpu_time_total", row_limit=3)


# What else is on ------------------------------------------------------------------------------------------------


def test_tables_of_kernels_are_as_they_were(backend: Backend) -> None:
    mlp = MLP()
    mlp.step()
    before = tables()

    def fails(prof: profile) -> None:
        with prof, record_function("range"):
            mlp.step()
            raise KeyError("mine")

    prof = profile()
    with pytest.raises(KeyError, match="mine"):
        fails(prof)
    assert tables() == before
    assert not _watches
    assert counts(prof.key_averages(), backward=False) == FORWARD | {"range": 1}
    mlp.step()
    assert counts(prof.key_averages(), backward=False)["tanh"] == 1


def test_operations_that_fail_leave_no_event(backend: Backend) -> None:
    a, b = ad.ones(2, 3), ad.ones(4)
    x = ad.ones(3, requires_grad=True)
    y = x.exp()
    y.register_hook(lambda g: 1 / 0)
    with profile() as prof:
        with pytest.raises(ValueError, match="broadcast"):
            a + b
        with pytest.raises(ZeroDivisionError):
            y.sum().backward()
        a + a
    assert [e.name for e in prof.events if not e.is_backward and e.name != "ones"] == ["sum", "add"]
    assert prof.events[-1].parent is None


def test_profiles_nest(backend: Backend) -> None:
    mlp = MLP()
    mlp.step()
    with profile() as outer:
        mlp.step()
        with profile() as inner:
            mlp.step()
        mlp.step()
    assert counts(inner.key_averages(), backward=False) == FORWARD
    assert counts(outer.key_averages(), backward=False) == {k: 3 * n for k, n in FORWARD.items()}
    for prof, times in ((inner, 1), (outer, 3)):
        nodes = {k: n for k, n in counts(prof.key_averages(), backward=True).items() if k.endswith("Backward")}
        assert nodes == {k: times * n for k, n in NODES.items()}


def test_it_composes_with_anomaly_detection_and_saved_tensor_hooks(backend: Backend) -> None:
    x = ad.tensor([0.0, 1.0], requires_grad=True)
    packed: list[Any] = []

    def pack(t: Any) -> Any:
        packed.append(t)
        return t

    with profile() as prof, ad.autograd.detect_anomaly():
        with pytest.raises(AutogradError, match=r"SqrtBackward gave NaN.*recorded at(.|\n)*test_profiler"):
            (x.sqrt() * 0.0).sum().backward()
        with ad.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            x.exp().sum().backward()
    y = (x.sqrt() * 0.0).sum()
    with ad.autograd.detect_anomaly(), profile() as second, pytest.raises(AutogradError, match="gave NaN"):
        y.backward()
    assert packed
    assert {"SqrtBackward", "ExpBackward"} <= set(counts(prof.key_averages(), backward=True))
    assert "SqrtBackward" in counts(second.key_averages(), backward=True)


def test_a_retained_graph_has_its_nodes_twice(backend: Backend) -> None:
    x = ad.ones(3, requires_grad=True)
    with profile() as prof:
        y = x.exp().sum()
        y.backward(retain_graph=True)
        y.backward()
    assert counts(prof.key_averages(), backward=True)["ExpBackward"] == 2


def test_graphs_from_before_the_block(backend: Backend) -> None:
    x = ad.ones(3, requires_grad=True)
    y = x.exp().sum()
    with profile() as prof:
        y.backward(); line = here()  # fmt: skip  # noqa: E702
    (node,) = [e for e in prof.events if e.name == "ExpBackward"]
    assert node.stack[0].line == line
    assert node.is_backward


def test_threads_have_their_own_nesting(backend: Backend, tmp_path: Path) -> None:
    mlps = [MLP() for _ in range(3)]
    for mlp in mlps:
        mlp.step()
    barrier = threading.Barrier(3)

    def work(mlp: MLP) -> None:
        barrier.wait()
        with record_function("work"):
            for _ in range(5):
                mlp.step()

    with profile() as prof:
        contexts = [contextvars.copy_context() for _ in mlps]
        threads = [threading.Thread(target=c.run, args=(work, m)) for c, m in zip(contexts, mlps, strict=True)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert counts(prof.key_averages(), backward=False) == {k: 15 * n for k, n in FORWARD.items()} | {"work": 3}
    nodes = {k: n for k, n in counts(prof.key_averages(), backward=True).items() if k.endswith("Backward")}
    assert nodes == {k: 15 * n for k, n in NODES.items()}
    for event in prof.events:
        assert event.parent is None or event.parent.thread == event.thread
    assert len({e.thread for e in prof.events}) == 3
    prof.export_chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert sum(e["name"] == "thread_name" for e in trace) == 3


def test_threads_without_the_blocks_context_have_operations(backend: Backend) -> None:
    mlp = MLP()
    mlp.step()
    with profile() as prof:
        thread = threading.Thread(target=mlp.step)
        thread.start()
        thread.join()
    assert counts(prof.key_averages(), backward=False) == FORWARD
    assert any(e.is_backward for e in prof.events)


def test_nothing_is_noted_when_it_is_not_enabled(backend: Backend) -> None:
    before = tables()
    with profile(enabled=False) as prof:
        assert tables() == before
        ad.ones(2) + 1.0
    assert prof.events == []
    assert prof.key_averages() == []
    assert "Self time total: 0.000us" in prof.table()


def test_traced_functions_allocate_nothing() -> None:
    jax = pytest.importorskip("jax", reason="jax is not installed")
    with ad.use_backend("jax"):
        x = ad.ones(1000)
        with profile() as prof:
            jax.jit(lambda x: (x * 2.0).exp())(x)
    found = [e for e in prof.events if e.name in ("multiply", "exp")]
    assert len(found) == 2
    assert all(e.allocated == 0 for e in found)


def test_rules_are_not_compiled_anew() -> None:
    pytest.importorskip("jax", reason="jax is not installed")
    with ad.use_backend("jax"):
        mlp = MLP()
        mlp.step()
        mlp.step()
        pulls = set(ad.ones(1).backend._pulls)  # type: ignore[attr-defined]
        with profile():
            mlp.step()
        assert set(ad.ones(1).backend._pulls) == pulls  # type: ignore[attr-defined]


def test_it_is_loaded_when_asked_for() -> None:
    code = (
        "import sys, polyad as ad; assert not any('profiler' in m for m in sys.modules); ad.autograd.profiler.profile; "
        "assert not {'rich', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Misuse ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        lambda p: p.key_averages(),
        lambda p: p.table(),
        lambda p: p.events,
        lambda p: p.total_average(),
        lambda p: p.export_chrome_trace("never.json"),
        lambda p: p.export_memory_curve("never.png"),
    ],
)
def test_results_are_there_after_the_block(read: Any) -> None:
    prof = profile()
    with pytest.raises(AutogradError, match="profile: .* was asked for, but the block has not begun; write it after"):
        read(prof)
    with prof:
        with pytest.raises(AutogradError, match="the block has not ended"):
            read(prof)
        assert "running" in repr(prof)
    assert "0 events" in repr(prof)
    assert not Path("never.json").exists()


def test_a_profile_is_entered_once(backend: Backend) -> None:
    prof = profile()
    with prof:
        with pytest.raises(AutogradError, match="entered already; make another"), prof:
            pass
        ad.ones(2) + 1.0
    with pytest.raises(AutogradError, match="entered already"), prof:
        pass
    assert [e.name for e in prof.events][-1] == "add"
    assert not _watches


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"use_cuda": True}, "no option use_cuda; leave it out: the time of every device is taken"),
        ({"use_device": "cuda"}, "no option use_device; leave it out"),
        ({"with_flops": True}, r"no option with_flops; .*polyad\.explain"),
        ({"with_modules": True}, r"no option with_modules; write 'with record_function\(name\):'"),
        ({"shapes": True}, "no option shapes; there are enabled, record_shapes, with_stack and profile_memory"),
    ],
)
def test_options_that_there_are_not(options: dict[str, Any], match: str) -> None:
    with pytest.raises(OperandError, match=match):
        profile(**options)


def test_averages_of_what_was_not_noted(tmp_path: Path) -> None:
    with ad.use_backend("numpy"), profile(record_shapes=False, profile_memory=False) as prof:
        ad.ones(2) + 1.0
    with pytest.raises(ArgumentError, match=r"shapes were not noted; write profile\(record_shapes=True\)"):
        prof.key_averages(group_by_input_shape=True)
    with pytest.raises(ArgumentError, match=r"shapes were not noted"):
        prof.key_averages(by="shape")
    with pytest.raises(ArgumentError, match=r"group_by_stack_n=3, but the innermost line .*with_stack=True"):
        prof.key_averages(group_by_stack_n=3)
    with pytest.raises(ArgumentError, match="group_by_stack_n is a number of lines; got -1"):
        prof.key_averages(group_by_stack_n=-1)
    with pytest.raises(ArgumentError, match=r"memory was not noted; write profile\(profile_memory=True\)"):
        prof.export_memory_curve(tmp_path / "memory.png")
    with pytest.raises(ArgumentError, match="by is one of 'operation', 'line', 'shape'; got 'file'"):
        prof.key_averages(by="file")
    assert "memory" not in prof.table()


def test_tables_refuse_what_they_cannot_do(tmp_path: Path) -> None:
    with profile() as prof:
        pass
    rows = prof.key_averages()
    with pytest.raises(ArgumentError, match="sort_by is one of self_cpu_time_total, .*; got 'time'$"):
        rows.table(sort_by="time")
    with pytest.raises(ArgumentError, match="got 'cuda_time_total'; write 'device_time_total'"):
        rows.table(sort_by="cuda_time_total")
    with pytest.raises(ArgumentError, match="row_limit is a number of rows, or -1 for all; got 'ten'"):
        rows.table(row_limit="ten")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="two of them; choose one"):
        prof.key_averages(True, 1)
    with pytest.raises(ArgumentError, match=r"ends in \.png, \.svg or \.pdf; got .*memory.gif"):
        prof.export_memory_curve(tmp_path / "memory.gif")
    with pytest.raises(OperandError, match=r"a name is a text; got 3. Write record_function\('name'\)"):
        record_function(3)  # type: ignore[arg-type]
