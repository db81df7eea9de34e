"""The CuPy backend as far as it can be tested without a GPU; with one, the tests of every backend run on it too.

The backend's code is run on NumPy arrays, in a namespace that has only what CuPy has: a function that CuPy lacks, an
argument that it does not take and a type that it has no loop for are errors there.
"""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.errors import BackendError, BackendNotInstalledError, DTypeError, IndexOutOfRangeError, LinAlgError
from polyad.function import FUNCTIONS, Fails
from polyad.kernels import BY_POSITION
from polyad.keys import ARRAY, Slice
from polyad.plugins import Plugins, plugins
from polyad.tensor import wrap
from polyad.testing import Sample, check_function

cupy = pytest.importorskip("cupy", reason="CuPy is not installed")

from scipy.linalg import lu as scipy_lu  # noqa: E402

from polyad_cupy import decompositions, solvers, sorting  # noqa: E402
from polyad_cupy.backend import CuPyBackend, version  # noqa: E402
from polyad_cupy.kernels import inplace, kernels  # noqa: E402
from polyad_cupy.random import KERNEL, CounterSource, splitmix64  # noqa: E402
from polyad_numpy.backend import NumPyBackend  # noqa: E402
from polyad_special.kernels import cupy_kernels  # noqa: E402

ADDABLE = ("int32", "int64", "uint32", "uint64", "float16", "float32", "float64")  # cupy._core, _scatter_op_single


# CuPy's namespace over NumPy arrays ----------------------------------------------------------------------------


class StrictUfunc:
    """A NumPy ufunc that takes what CuPy's of that name takes."""

    def __init__(self, ours: Any, theirs: Any) -> None:
        self.ours, self.theirs = ours, theirs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        theirs = self.theirs
        assert theirs.nin <= len(args) <= theirs.nin + theirs.nout
        assert set(kwargs) <= {"out", "dtype", "casting", "where"}
        dtypes = [a.dtype for a in args[: theirs.nin] if hasattr(a, "dtype")]
        loops = [loop.split("->")[0] for loop in theirs.types if "E" not in loop and "V" not in loop]
        common = np.result_type(*dtypes)
        if not any(all(np.can_cast(common, char) for char in loop) for loop in loops):
            raise TypeError(f"CuPy's {theirs.name} has no loop for {common}")
        with np.errstate(all="ignore"):
            return self.ours(*args, **kwargs)

    def at(self, array: Any, where: Any, values: Any) -> None:
        if array.dtype.name not in ADDABLE:
            raise TypeError(f"CuPy's add.at does not take {array.dtype}")
        self.ours.at(array, where, values)


class StrictNamespace:
    """The functions of NumPy that CuPy has too, with CuPy's signatures."""

    def __init__(self, ours: Any, theirs: Any) -> None:
        self.__ours, self.__theirs = ours, theirs

    def __getattr__(self, name: str) -> Any:
        theirs = getattr(self.__theirs, name)  # what CuPy lacks raises
        if name == "asnumpy":
            return np.array
        ours = getattr(self.__ours, name)
        if isinstance(ours, types.ModuleType):
            return StrictNamespace(ours, theirs)
        if isinstance(theirs, cupy.ufunc):
            return StrictUfunc(ours, theirs)
        if not callable(theirs) or isinstance(theirs, type):
            return ours

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                inspect.signature(theirs).bind(*args, **kwargs)
            except TypeError as error:
                raise AssertionError(f"cupy.{name} cannot be called so: {error}") from error
            assert name != "where" or hasattr(args[0], "astype"), "CuPy takes no number for a condition"
            return ours(*args, **kwargs)

        return call


def solve_triangular(a: Any, b: Any, lower: bool, unit_diagonal: bool) -> Any:
    """What CuPy's function of the name does, which cannot be imported without cuBLAS."""
    assert a.shape[:-2] == b.shape[:-2]
    a = np.tril(a, -int(unit_diagonal)) if lower else np.triu(a, int(unit_diagonal))
    return np.linalg.solve(a + np.eye(a.shape[-1]) if unit_diagonal else a, b)


def numpys_generator(seed: int) -> Any:
    return np.random.Generator(np.random.Philox(seed))


class StandIn(CuPyBackend):
    """The CuPy backend on NumPy arrays."""

    name = "cupy-stand-in"
    xp = StrictNamespace(np, cupy)
    array = np.ndarray
    array_types = ()  # NumPy's arrays stay NumPy's
    kernels = {
        **kernels(xp),
        **solvers.kernels(xp, solve_triangular),
        **sorting.kernels(xp),
        **decompositions.kernels(xp, scipy_lu),
    }
    inplace = inplace(xp)

    def device_of(self, array: Any) -> Any:
        return self.devices[0]

    def synchronize(self, device: Any) -> None:
        pass

    def random_generator(self, seed: int) -> Any:
        return numpys_generator(seed)

    def random_bits(self, start: int, n: int) -> Any:
        return splitmix64(start, n)


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    backend = StandIn([None])
    plugins.add_backend(backend)
    special = StrictNamespace(importlib.import_module("scipy.special"), importlib.import_module("cupyx.scipy.special"))
    backend.provided |= cupy_kernels(lambda: special)
    yield backend
    plugins._backends.pop(backend.name)


@pytest.fixture
def on_stand_in(stand_in: StandIn) -> Iterator[StandIn]:
    with ad.use_backend(stand_in.name):
        yield stand_in


plugins.load_all()  # their functions too run where CuPy has no kernel of its own
OWN = dict(FUNCTIONS)
SAMPLES = [pytest.param(f, s, id=f"{name}-{s!r}") for name, f in OWN.items() for s in f.samples]


# Kernels -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OWN)
def test_every_function_has_a_kernel(name: str) -> None:
    backend = CuPyBackend([cupy.cuda.Device(0)])  # naming a device does not need one
    plugins._introduce(backend)
    assert callable(backend.resolve(FUNCTIONS[name], backend.devices[0]))


@pytest.mark.parametrize("name", [n for n, f in OWN.items() if f.standard and n not in CuPyBackend.kernels])
def test_cupy_takes_the_arguments_of_standard_functions(name: str) -> None:
    function = OWN[name]
    theirs: Any = cupy
    for part in name.split("."):
        theirs = getattr(theirs, part, None)
    if theirs is None:
        assert function.body is not None, f"CuPy has no {name}"
        return
    if isinstance(theirs, cupy.ufunc):
        assert (theirs.nin, list(function.params)) == (len(function.inputs), [])
        return
    alone = function.sequence or name in ("zeros_like", "ones_like")  # rules alone call the records
    by_position = BY_POSITION.get(name, ())
    arrays = [object()] * ((1 if alone else len(function.inputs)) + len(by_position))
    omitted = {*by_position, *(["dtype"] if function.accumulates else [])}
    params = {p: None for p in function.params if p not in omitted}
    inspect.signature(theirs).bind(*arrays, **params)


@pytest.mark.parametrize(("function", "sample"), SAMPLES)
def test_functions_on_numpy_arrays(on_stand_in: StandIn, function: Any, sample: Any) -> None:
    if (
        isinstance(sample, Fails)
        and sample.error in (IndexOutOfRangeError, LinAlgError)
        and any(type(a) is list for a in sample.arrays)
    ):
        pytest.skip("values on a GPU are not looked at: that would wait for them")
    with np.errstate(all="ignore"):  # CuPy warns of nothing
        check_function(function, sample, fast=True)


def test_the_stand_in_is_strict() -> None:
    xp = StandIn.xp
    with pytest.raises(AttributeError, match="vecdot"):
        _ = xp.vecdot
    with pytest.raises(AssertionError, match=r"cupy\.var cannot be called so.*correction"):
        xp.var(np.ones(3), correction=1)
    with pytest.raises(TypeError, match=r"logical_not has no loop for complex64"):
        xp.logical_not(np.ones(3, np.complex64))
    with pytest.raises(TypeError, match=r"add\.at does not take complex64"):
        xp.add.at(np.ones(3, np.complex64), [0], 1)


FLOATS = np.array([-7.5, -5.0, -1.0, -0.3, -0.0, 0.0, 0.3, 1.0, 5.0, 7.5, np.inf, -np.inf, np.nan])


@pytest.mark.parametrize("name", ["remainder", "floor_divide"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float_division_is_numpys(name: str, dtype: str) -> None:
    a, b = (x.astype(dtype) for x in np.meshgrid(FLOATS, FLOATS))
    kernel, numpys = kernels(np)[name], NumPyBackend.kernels.get(name) or getattr(np, name)
    with np.errstate(all="ignore"):
        got, expected = kernel(a, b), numpys(a, b)
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == dtype
        if name == "remainder":
            np.testing.assert_array_equal(np.signbit(got), np.signbit(expected) | (np.isnan(got) & np.signbit(got)))
        np.testing.assert_array_equal(kernel(a, 0.1), numpys(a, 0.1))
        np.testing.assert_array_equal(kernel(1.0, b), numpys(1.0, b))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64"])
def test_shifts_and_remainders_of_integers_are_numpys(dtype: str) -> None:
    lowest = np.iinfo(dtype).min
    numbers = np.array([0, 1, 3, 7, 8, 63, 64, 100, lowest, lowest + 1, np.iinfo(dtype).max]).astype(dtype)
    x, n = np.meshgrid(numbers, numbers)
    for name in ("bitwise_left_shift", "bitwise_right_shift", "fmod"):
        with np.errstate(all="ignore"):
            got = kernels(StandIn.xp)[name](x, n)
            np.testing.assert_array_equal(got, getattr(np, name)(x, n))
        assert got.dtype == dtype


def test_cupys_own_remainder_would_not_do() -> None:
    assert 1.0 - np.floor(1.0 / 0.1) * 0.1 != 1.0 % 0.1  # the reason for a kernel


@pytest.mark.parametrize("name", ["remainder", "floor_divide"])
def test_integers_are_left_to_cupy_which_gives_0_for_division_by_0(name: str) -> None:
    calls: list[str] = []
    xp = types.SimpleNamespace(**{name: lambda a, b: calls.append(name), "argmax": None, "argmin": None})
    kernels(xp)[name](np.array([1, 2]), np.array([0, 1]))
    assert calls == [name]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", "complex64", "complex128"])
def test_repeated_indices_add_up_in_every_type(dtype: str) -> None:
    g = (np.arange(6).reshape(3, 2) + (1j if "complex" in dtype else 0)).astype(dtype)
    where = np.array([1, 0, 1])
    expected = np.zeros((3, 2), dtype)
    np.add.at(expected, where, g)
    got = kernels(StandIn.xp)["index_scatter"](g, where, key=(ARRAY,), shape=(3, 2))
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    "read", [lambda x: x, lambda x: x[1, 1:, 1], lambda x: x[:, ::-2].T], ids=["x", "row", "turned"]
)
def test_parts_of_complex_numbers_share_their_memory(read: Any) -> None:
    base = (np.arange(24) + 1j).reshape(2, 3, 4).astype("complex64")
    x, table = read(base), kernels(StandIn.xp)
    for part in (table["real"](x), table["imag"](x), table["view_as_real"](x)):
        assert np.shares_memory(part, base)
    pairs = table["view_as_real"](x)
    np.testing.assert_array_equal(pairs, np.stack((x.real, x.imag), -1))
    again = table["view_as_complex"](pairs)
    assert np.shares_memory(again, base)
    np.testing.assert_array_equal(again, x)
    np.testing.assert_array_equal(table["view_as_complex"](np.asfortranarray(pairs)), x)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions_are_of_the_one_int64(name: str) -> None:
    longlong = types.SimpleNamespace(argmax=None, argmin=None)
    setattr(longlong, name, lambda x, axis, keepdims: np.array([1, 0], np.longlong))
    assert kernels(longlong)[name](np.ones((2, 2)), axis=1).dtype is np.dtype("int64")


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
def test_logic_of_complex_numbers(on_stand_in: StandIn, name: str) -> None:
    x, y = [0j, 1j, 1 + 0j], [1j, 1j, 0j]
    got = getattr(ad, name)(ad.tensor(x), ad.tensor(y))
    assert got.tolist() == getattr(np, name)(x, y).tolist()
    assert ad.logical_not(ad.tensor(x)).tolist() == [True, False, False]


def test_where_takes_pythons_bools(stand_in: StandIn) -> None:
    assert stand_in.kernels["where"](True, np.array([1.0]), 2.0).tolist() == [1.0]


def test_getitem_is_a_copy_without_index_arrays_too(stand_in: StandIn) -> None:
    x = np.arange(4.0)
    assert not np.may_share_memory(stand_in.kernels["getitem"](x, key=(Slice(0, 2, 1),)), x)


def test_a_write_that_overlaps_reads_first(on_stand_in: StandIn) -> None:
    class Shares(StrictNamespace):
        asked = 0

        def may_share_memory(self, a: Any, b: Any) -> bool:
            type(self).asked += 1
            return np.may_share_memory(a, b)

    x = np.arange(5.0)
    written: list[Any] = []

    class Target(np.ndarray):
        def __setitem__(self, key: Any, value: Any) -> None:
            written.append(value)

    inplace(Shares(np, cupy))["setitem"](x.view(Target), x[:-1], key=(Slice(1, 4, 1),))
    on_stand_in.write(x.view(Target), x[::-1])
    assert Shares.asked == 1
    assert not any(np.may_share_memory(x, value) for value in written)
    on_stand_in.write(x.view(Target), other := np.ones(5))
    assert written[-1] is other  # what does not overlap is not copied


def test_training_on_the_stand_in(on_stand_in: StandIn) -> None:
    """Views, in-place writes, reductions, matmul and backward together, against NumPy."""

    def program(x: Any, w: Any) -> Any:
        h = ad.tanh(x @ w)
        h = h * (h > 0)
        y = h[[0, 0, 2]].sum(axis=1) + h.mT[0, :3]
        return (y**2).mean() + h.max() + h.var(correction=1)

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(4, 3)), rng.normal(size=(3, 5))
    results = []
    for name in ("numpy", on_stand_in.name):
        x, w = (ad.tensor(v, backend=name, requires_grad=True) for v in (a, b))
        loss = program(x, w)
        loss.backward()
        with ad.no_grad():
            w -= 0.1 * w.grad
        results.append((loss.item(), x.grad.numpy(), w.detach().numpy()))
    for got, expected in zip(results[1], results[0], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


# Transfers -----------------------------------------------------------------------------------------------------


def test_from_host_copies_into_row_major_native_order(stand_in: StandIn) -> None:
    device = stand_in.devices[0]
    for source in (np.arange(6.0).reshape(2, 3).T, np.arange(3, dtype=">f4"), np.array(1.5)):
        got = stand_in.from_host(source, device, copy=False)
        assert got.flags.c_contiguous
        assert got.dtype.isnative
        assert not np.may_share_memory(got, source)
        np.testing.assert_array_equal(got, source)


@pytest.mark.parametrize("source", [np.array(["a"]), np.array([None]), np.zeros(2, "datetime64[s]")])
def test_from_host_of_a_strange_type(stand_in: StandIn, source: Any) -> None:
    with pytest.raises(DTypeError, match=r"has no polyad type on backend 'cupy-stand-in'.*convert it to one of bool"):
        stand_in.from_host(source, stand_in.devices[0], copy=True)


def test_owned_copies_views_and_shared_arrays(stand_in: StandIn) -> None:
    x = np.arange(6.0).reshape(2, 3).copy()
    assert stand_in.owned(x, shared=False) is x
    assert stand_in.contiguous(x) is x
    for array, shared in ((x, True), (x[0], False), (np.asfortranarray(x), False)):
        got = stand_in.owned(array, shared)
        assert got is not array
        assert got.flags.c_contiguous
        assert got.base is None
    assert stand_in.contiguous(x.T).flags.c_contiguous
    assert stand_in.strides(x[:, ::2]) == (3, 2)


def test_one_number_is_filled_in_on_the_device(stand_in: StandIn) -> None:
    got = stand_in.from_flat([2**64 - 1], (), np.dtype("uint64"), stand_in.devices[0])
    assert (got.shape, got.dtype, int(got)) == ((), np.uint64, 2**64 - 1)


def test_tensors_move_between_backends(on_stand_in: StandIn) -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    y = x.to(backend="numpy") * 3
    y.to(device=x.device).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert x.grad.device is x.device


def test_dtypes_leave_out_bfloat16(on_stand_in: StandIn) -> None:
    with pytest.raises(DTypeError, match="backend 'cupy-stand-in' has no bfloat16"):
        ad.zeros(2, dtype=ad.bfloat16)


# Several GPUs --------------------------------------------------------------------------------------------------


class FakeDevice:
    """Stands for `cupy.cuda.Device`: entering makes it the current one."""

    current = 0
    log: list[str]

    def __init__(self, id: int, log: list[str]) -> None:
        self.id, self.log, self.before = id, log, [0]

    def __enter__(self) -> None:
        self.before.append(FakeDevice.current)
        self.log.append(f"enter {self.id}")
        FakeDevice.current = self.id

    def __exit__(self, *args: Any) -> None:
        FakeDevice.current = self.before.pop()

    def synchronize(self) -> None:
        self.log.append(f"wait {self.id}")


class TwoGPUs(StandIn):
    name = "two-gpus"
    xp: Any = types.SimpleNamespace(
        cuda=types.SimpleNamespace(get_device_id=lambda: FakeDevice.current),
        **{name: getattr(np, name) for name in ("array", "full", "multiply", "sum")},
    )


@pytest.fixture
def two_gpus() -> Iterator[TwoGPUs]:
    log: list[str] = []
    FakeDevice.current = 0
    yield TwoGPUs([FakeDevice(0, log), FakeDevice(1, log)])
    assert FakeDevice.current == 0


def test_devices_are_named_by_index(two_gpus: TwoGPUs) -> None:
    assert [str(d) for d in two_gpus.devices] == ["cuda:0", "cuda:1"]
    assert two_gpus.device_for("cuda:1") is two_gpus.devices[1]
    assert two_gpus.device_for("cuda") is two_gpus.devices[0]
    with pytest.raises(ad.errors.DeviceError, match="no device 'cuda:2'; it has 'cuda:0', 'cuda:1'"):
        two_gpus.device_for("cuda:2")


def test_kernels_run_on_their_device(two_gpus: TwoGPUs) -> None:
    here, there = two_gpus.devices
    log = here.handle.log

    def kernel(x: int, *, y: int) -> tuple[int, int]:
        return FakeDevice.current, x + y

    assert two_gpus.place(kernel, here)(1, y=2) == (0, 3)
    assert log == []  # current already
    assert two_gpus.place(kernel, there)(1, y=2) == (1, 3)
    assert log == ["enter 1"]


def test_with_one_gpu_kernels_run_as_they_are(stand_in: StandIn) -> None:
    def kernel() -> None:
        pass

    assert stand_in.place(kernel, stand_in.devices[0]) is kernel


def test_rules_run_on_their_device(two_gpus: TwoGPUs) -> None:
    seen = []

    class Watched(np.ndarray):
        def __mul__(self, other: Any) -> Any:
            seen.append(FakeDevice.current)
            return np.ndarray.__mul__(self, other)

    there = two_gpus.devices[1]
    x, y = (wrap(np.arange(3.0).view(Watched), there) for _ in range(2))
    x.requires_grad_()
    z = x * y[0]
    seen.clear()
    assert there.pull is not None
    gradients = there.pull(z.grad_fn, np.ones(3).view(Watched), z.grad_fn.args)
    assert seen == [1]
    assert gradients[1] is None
    np.testing.assert_array_equal(gradients[0], 0.0)


def test_creation_and_random_numbers_are_made_on_their_device(two_gpus: TwoGPUs) -> None:
    log = two_gpus.devices[1].handle.log
    two_gpus.from_flat([1.0, 2.0], (2,), np.dtype("float32"), two_gpus.devices[1])
    two_gpus.from_host(np.ones(2), two_gpus.devices[1], copy=True)
    two_gpus.generator(two_gpus.devices[1]).uniform((2,), np.dtype("float32"))
    assert log == ["enter 1"] * 3


def test_a_move_between_gpus_waits_for_both(two_gpus: TwoGPUs) -> None:
    here, there = two_gpus.devices
    got = two_gpus.move(np.arange(6.0).reshape(2, 3).T, here, there)
    assert here.handle.log == ["wait 0", "enter 1", "wait 1"]
    assert got.flags.c_contiguous


# Time ----------------------------------------------------------------------------------------------------------


class FakeCUDA:
    """Events that a device passes a millisecond after each other."""

    def __init__(self) -> None:
        self.now, self.waited = 0.0, 0

    def Event(cuda) -> Any:
        class Event:
            def record(self) -> None:
                cuda.now += 1.0
                self.passed = cuda.now

            def synchronize(self) -> None:
                cuda.waited += 1

        return Event()

    def get_elapsed_time(self, first: Any, last: Any) -> float:
        return last.passed - first.passed


def test_a_profile_has_the_time_between_events(
    on_stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cuda = FakeCUDA()
    monkeypatch.setattr(on_stand_in, "cuda", cuda, raising=False)
    x = ad.ones(3, requires_grad=True)
    with ad.autograd.profiler.profile() as prof:
        with ad.autograd.profiler.record_function("forward"):
            y = x.exp().sum()
        y.backward()
        assert cuda.waited == 0  # nothing waits for the device before the end
    rows = {row.key: row for row in prof.key_averages()}
    assert rows["exp"].device_time_total == 1000.0
    assert rows["forward"].device_time_total == 2000.0
    assert rows["forward"].self_device_time_total == 0.0
    node = rows["SumBackward"]
    assert node.device_time_total == 3000.0  # with broadcast_to inside
    assert node.self_device_time_total == 2000.0
    assert rows["broadcast_to"].device_time_total == 1000.0
    assert rows["exp"].cpu_time_total != 1000.0
    header = prof.key_averages().table(sort_by="device_time_total", row_limit=1).splitlines()
    assert "Self device" in header[0]
    assert header[2].startswith("SumBackward")
    prof.export_chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    (row,) = [e["tid"] for e in trace if e["ph"] == "M" and e["args"]["name"] == "cupy-stand-in cuda:0"]
    on_device = [e for e in trace if e["ph"] == "X" and e["tid"] == row]
    assert len(on_device) == sum(e.device is not None for e in prof.events)
    starts = {e["name"]: e["ts"] for e in on_device}
    assert starts["sum"] - starts["exp"] == pytest.approx(2000.0)  # a millisecond for exp, and one between them
    assert next(e["dur"] for e in on_device if e["name"] == "SumBackward") == 3000.0


def test_views_have_no_memory_of_their_own(on_stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_stand_in, "cuda", FakeCUDA(), raising=False)
    x = ad.ones(6)
    with ad.autograd.profiler.profile() as prof:
        y = x.reshape(2, 3).mT
        y + 1.0
    assert [e.allocated for e in prof.events] == [0, 0, 24]


def test_events_are_recorded_on_their_device(two_gpus: TwoGPUs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_gpus, "cuda", FakeCUDA(), raising=False)
    there = two_gpus.devices[1]
    clock = two_gpus.stopwatch(there)
    clock.stop(None)
    assert there.handle.log == ["enter 1", "enter 1"]
    assert clock.queues
    assert clock.elapsed() == 1_000_000
    assert two_gpus.stopwatch(there).since(clock) == 2_000_000


def test_cupy_has_the_events_that_stopwatches_use() -> None:
    assert callable(cupy.cuda.get_elapsed_time)
    assert all(callable(getattr(cupy.cuda.Event, name)) for name in ("record", "synchronize"))


# Random numbers ------------------------------------------------------------------------------------------------


def test_splitmix64_gives_the_published_numbers() -> None:
    # of the reference implementation, seed 1234567: rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
    expected = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert splitmix64(1234567, 5).tolist() == expected


def test_the_cuda_kernel_is_the_same_function() -> None:
    """Its body has one meaning in C and, with 64 bits kept, in Python."""
    start = 2**63 + 12345
    body = KERNEL.replace("static_cast<unsigned long long>(i)", "i").replace("unsigned long long s", "s")
    body = body.replace("ULL", "").replace(";", "")
    lines = [f"{left} = ({right}) % 2**64" for left, right in (s.split(" = ") for s in body.strip().splitlines())]
    got = []
    for i in range(4):
        names = {"start": start, "i": i}
        exec("\n".join(lines), names)
        got.append(names["z"])
    assert got == splitmix64(start, 4).tolist()


@pytest.fixture
def source() -> CounterSource:
    made = CounterSource(np, splitmix64, numpys_generator)
    made.seed(42)
    return made


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uniform_numbers(source: CounterSource, dtype: str) -> None:
    x = source.uniform((100, 1000), np.dtype(dtype))
    assert (x.shape, x.dtype) == ((100, 1000), np.dtype(dtype))
    assert x.min() >= 0
    assert x.max() < 1
    counts = np.histogram(x.astype(float), bins=64, range=(0, 1))[0]
    chi2 = ((counts - x.size / 64) ** 2 / (x.size / 64)).sum()
    assert 30 < chi2 < 110  # 63 degrees of freedom: beyond this once in ten thousand
    assert abs(np.corrcoef(x.ravel()[:-1].astype(float), x.ravel()[1:].astype(float))[0, 1]) < 0.015


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_normal_numbers(source: CounterSource, dtype: str) -> None:
    x = source.normal((333, 301), np.dtype(dtype))  # an odd number of them
    assert (x.shape, x.dtype) == ((333, 301), np.dtype(dtype))
    x = x.astype(float).ravel()
    moments = [(x**k).mean() for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.08)
    inside = [(abs(x) < k).mean() for k in (1, 2, 3)]
    np.testing.assert_allclose(inside, [0.682689, 0.954500, 0.997300], atol=0.005)
    assert abs(np.corrcoef(x[: len(x) // 2], x[len(x) // 2 : 2 * (len(x) // 2)])[0, 1]) < 0.02


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("bits", [0, 2**64 - 1])
def test_extreme_bits_give_finite_numbers(bits: int, dtype: str) -> None:
    source = CounterSource(np, lambda start, n: np.full(n, bits, np.uint64), numpys_generator)
    assert 0 <= source.uniform((1,), np.dtype(dtype))[0] < 1
    assert np.isfinite(source.normal((2,), np.dtype(dtype))).all()


@pytest.mark.parametrize(
    ("low", "high"), [(0, 7), (-3, 4), (-(2**63), 2**63), (2**62, 2**62 + 7), (-(2**63), -(2**63) + 7)]
)
def test_integers(source: CounterSource, low: int, high: int) -> None:
    x = source.integers(low, high, (7000,), np.dtype("int64"))
    assert x.dtype == np.int64
    assert low <= int(x.min())
    assert int(x.max()) < high
    if high - low == 7:
        counts = np.bincount([v - low for v in x.tolist()], minlength=7)
        assert ((counts - 1000) ** 2 / 1000).sum() < 27.9  # 6 degrees of freedom: beyond this once in ten thousand
    else:
        assert 0.4 < (x < 0).mean() < 0.6


def test_permutations(source: CounterSource) -> None:
    seen = {tuple(source.permutation(3).tolist()) for _ in range(200)}
    assert len(seen) == 6
    assert sorted(source.permutation(1000).tolist()) == list(range(1000))


def test_empty_and_single_draws(source: CounterSource) -> None:
    for shape in ((), (0,), (2, 0)):
        assert source.uniform(shape, np.dtype("float32")).shape == shape
        assert source.normal(shape, np.dtype("float64")).shape == shape
        assert source.integers(0, 2, shape, np.dtype("int64")).shape == shape


def test_a_state_restores_what_follows(source: CounterSource) -> None:
    source.normal((5,), np.dtype("float32"))
    state = source.get_state()

    def draws() -> list[Any]:
        f = np.dtype("float32")
        return [source.normal((3,), f).tolist(), source.uniform((3,), f).tolist(), source.permutation(9).tolist()]

    first = draws()
    second = draws()
    source.set_state(state)
    assert draws() == first != second


DISTRIBUTIONS = {
    "gamma": (np.array([[1.5, 20.0]] * 4000), np.dtype("float64")),
    "poisson": (np.array([[0.5, 20.0]] * 4000),),
    "binomial": (np.array([[3, 50]] * 4000), np.array([[0.5, 0.4]] * 4000)),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions_of_the_library(source: CounterSource, name: str) -> None:
    args, state = DISTRIBUTIONS[name], source.get_state()
    draw = getattr(source, name)
    first = draw(*args)
    assert (first.shape, first.dtype) == ((4000, 2), np.float64 if name == "gamma" else np.int64)
    mean = {"gamma": [1.5, 20.0], "poisson": [0.5, 20.0], "binomial": [1.5, 20.0]}[name]
    np.testing.assert_allclose(first.mean(axis=0), mean, rtol=0.05)
    assert (draw(*args) != first).any()
    source.set_state(state)
    np.testing.assert_array_equal(draw(*args), first)


def test_cupys_generator_draws_them() -> None:
    for name in ("standard_gamma", "poisson", "binomial"):
        assert callable(getattr(cupy.random.Generator, name))
    assert callable(cupy.random.Philox4x3210)


def test_random_tensors_on_the_stand_in(on_stand_in: StandIn) -> None:
    g = ad.Generator().manual_seed(7)
    a, state, b = ad.randn(3, generator=g), g.get_state(), ad.randint(0, 9, (4,), generator=g)
    g.set_state(state)
    assert ad.randint(0, 9, (4,), generator=g).tolist() == b.tolist()
    assert ad.randn(3, generator=g.manual_seed(7)).tolist() == a.tolist()


# Where there is no GPU -----------------------------------------------------------------------------------------

no_gpu = pytest.mark.skipif(cupy.is_available(), reason="this machine has a GPU")
gpu = pytest.mark.skipif(not cupy.is_available(), reason="needs a GPU that CuPy can use")


@no_gpu
def test_without_a_gpu_the_error_says_why_each_time() -> None:
    for _ in range(2):
        with pytest.raises(BackendError, match=r"backend 'cupy' .*CuPy 1\d\.\S+ finds no GPU that it can use: .*cuda"):
            ad.use_backend("cupy")
    assert "cupy" in plugins.backend_names()
    assert ad.ones(2).backend.name == "numpy"


@no_gpu
@pytest.mark.parametrize(
    ("driver", "words"), [(0, r": there is no NVIDIA driver \(cuda"), (12040, r"can use: cuda\w+: ")]
)
def test_a_missing_driver_is_told_from_others(monkeypatch: pytest.MonkeyPatch, driver: int, words: str) -> None:
    monkeypatch.setattr(cupy.cuda.runtime, "driverGetVersion", lambda: driver)
    with pytest.raises(BackendError, match=words):
        CuPyBackend()


def test_without_cupy_the_error_has_the_pip_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(
        BackendNotInstalledError, match=r"pip install 'polyad\[cuda13\]'.*pip install 'polyad\[cuda12\]'"
    ):
        Plugins().backend("cupy")


def test_a_broken_cupy_is_not_taken_for_a_missing_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "cupy.py").write_text("raise ImportError('libcudart.so.13: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "cupy")
    with pytest.raises(BackendError, match=r"CuPy is installed, but cannot be imported: libcudart\.so\.13"):
        Plugins().backend("cupy")


def test_importing_polyad_does_not_import_cupy() -> None:
    code = "import sys, polyad, polyad_cupy; polyad.ones(2); sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_versions_in_words() -> None:
    assert (version(13020), version(12090), version(0)) == ("13.2", "12.9", "0.0")


# Where there is one --------------------------------------------------------------------------------------------


@gpu
@pytest.mark.parametrize("start", [0, 2**63, 2**64 - 1])
def test_random_bits_on_the_gpu_are_those_of_numpy(start: int) -> None:
    got = plugins.backend("cupy").random_bits(start, 100_003)
    np.testing.assert_array_equal(cupy.asnumpy(got), splitmix64(start, 100_003))


@gpu
@pytest.mark.parametrize(("function", "sample"), [p for p in SAMPLES if not isinstance(p.values[1], Fails)])
def test_functions_on_the_gpu_agree_with_the_stand_in(stand_in: StandIn, function: Any, sample: Sample) -> None:
    from polyad.testing import assert_close, call_sample, sample_arguments

    for dtype in (ad.float32, ad.float64):
        results = []
        for name in (stand_in.name, "cupy"):
            with ad.use_backend(name) as device:
                results.append(call_sample(function, sample, sample_arguments(sample, dtype, device=device)))
        pairs = zip(*(r if isinstance(r, tuple) else (r,) for r in results), strict=True)
        for expected, got in pairs:
            assert_close(got, expected, equal_nan=True, rtol=1e-5, atol=1e-5)


@gpu
def test_what_overlaps_on_the_gpu() -> None:
    with ad.use_backend("cupy"):
        x = ad.arange(100_000)
        x[1:] = x[:-1]
        assert x[:4].tolist() == [0, 0, 1, 2]
        assert x[-1].item() == 99_998
        x[1:].add_(x[:-1])
        assert x[:5].tolist() == [0, 0, 1, 3, 5]


@gpu
def test_describe_names_the_gpus() -> None:
    words = plugins.backend("cupy").describe()
    assert words["cupy"] == cupy.__version__
    assert "GiB" in words["cuda:0"]
