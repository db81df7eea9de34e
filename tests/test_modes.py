"""The mode of recording and what watches it: switched in any order, each stays as it was set; beside PyTorch."""

import asyncio
import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import polyad as ad
from polyad import errors

pytestmark = pytest.mark.usefixtures("backend")


def leaf(values: Any) -> ad.Tensor:
    return ad.tensor(values, requires_grad=True)


def beside_torch(program: Callable[[Any], Any]) -> None:
    """Run a program with polyad, and with PyTorch, and compare what it gives."""
    torch = pytest.importorskip("torch")
    assert program(ad) == program(torch)


@pytest.fixture(autouse=True)
def _modes_are_left_as_they_were() -> Iterator[None]:
    yield
    ad.set_anomaly_enabled(False)
    ad.set_grad_enabled(True)


def notes_lines() -> bool:
    """Whether a node that is recorded now notes its line."""
    return "traceback" in (leaf(1.0) * 2).grad_fn.metadata


# Both, in any order ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize("block", ["no_grad", "enable_grad", "inference_mode", "set_grad_enabled", "nested"])
def test_anomaly_mode_that_is_set_in_a_block_stays(block: str, on: bool) -> None:
    ad.set_anomaly_enabled(not on)
    with ExitStack() as stack:
        if block == "set_grad_enabled":
            stack.enter_context(ad.set_grad_enabled(False))
        else:
            stack.enter_context(getattr(ad, "no_grad" if block == "nested" else block)())
        if block == "nested":
            stack.enter_context(ad.enable_grad())
        ad.autograd.set_detect_anomaly(on)
        if block in ("enable_grad", "nested"):
            assert notes_lines() is on
    assert ad.is_anomaly_enabled() is on
    assert notes_lines() is on


@pytest.mark.parametrize("kind", ["function", "generator", "coroutine"])
def test_anomaly_mode_that_is_set_in_a_decorated_function_stays(kind: str) -> None:
    @ad.no_grad()
    def plain() -> None:
        ad.autograd.set_detect_anomaly(True)

    @ad.no_grad()
    def steps() -> Iterator[int]:
        ad.autograd.set_detect_anomaly(True)
        yield 1

    @ad.no_grad()
    async def waits() -> None:
        ad.autograd.set_detect_anomaly(True)
        await asyncio.sleep(0)

    async def main() -> bool:
        await waits()
        return notes_lines()

    if kind == "coroutine":
        assert asyncio.run(main())  # in a context of its own
        assert not notes_lines()
        return
    plain() if kind == "function" else list(steps())
    assert notes_lines()


BLOCKS: dict[str, Callable[[Any], Any]] = {
    "saved_tensors_hooks": lambda lib: lib.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t),
    "save_on_cpu": lambda lib: lib.autograd.graph.save_on_cpu(),
    "detect_anomaly": lambda lib: lib.autograd.detect_anomaly(),
    "set_detect_anomaly": lambda lib: lib.autograd.set_detect_anomaly(True),
    "disable_saved_tensors_hooks": lambda lib: lib.autograd.graph.disable_saved_tensors_hooks("no"),
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("on", [True, False])
@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_recording_that_is_set_in_a_block_stays(name: str, on: bool) -> None:
    def program(lib: Any) -> Any:
        lib.set_grad_enabled(not on)
        with BLOCKS[name](lib):
            lib.set_grad_enabled(on)
        found = lib.is_grad_enabled(), (lib.ones(1, requires_grad=True) * 2).requires_grad
        lib.set_grad_enabled(True)
        return found, lib.is_anomaly_enabled()

    assert program(ad) == ((on, on), False)
    beside_torch(program)


def test_watches_are_put_back_one_by_one() -> None:
    packed: list[ad.Tensor] = []

    def pack(t: ad.Tensor) -> ad.Tensor:
        packed.append(t)
        return t

    with ad.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        ad.autograd.set_detect_anomaly(True)
        assert notes_lines()
        leaf(1.0).exp()
    assert len(packed) == 1
    assert notes_lines()
    leaf(1.0).exp()
    assert len(packed) == 1
    with ad.autograd.set_detect_anomaly(False):
        assert not notes_lines()
    assert notes_lines()
    hooks = ad.autograd.graph.saved_tensors_hooks(pack, lambda t: t)
    hooks.__enter__()  # and left in another order
    with ad.no_grad():
        hooks.__exit__(None, None, None)
        ad.set_anomaly_enabled(False)
    leaf(1.0).exp()
    assert len(packed) == 1
    assert not notes_lines()


# Inference ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("outer", ["no_grad", "enable_grad", "inference_mode"])
def test_inference_mode_in_other_modes(mode: bool, outer: str) -> None:
    def program(lib: Any) -> Any:
        x = lib.ones(2, requires_grad=True)

        def state() -> Any:
            return lib.is_grad_enabled(), lib.is_inference_mode_enabled(), (x * 2).requires_grad

        with getattr(lib, outer)():
            with lib.inference_mode(mode):
                found = state()
            return found, state(), lib.inference_mode(mode)(state)(), state()

    assert program(ad)[0] == (not mode, mode, not mode)
    beside_torch(program)
    assert not ad.is_inference_mode_enabled()


def test_a_block_of_inference_may_be_entered_twice() -> None:
    block = ad.inference_mode()
    with block:
        with block:
            assert ad.is_inference_mode_enabled()
        assert ad.is_inference_mode_enabled()
        assert not ad.is_grad_enabled()
    assert not ad.is_inference_mode_enabled()
    assert ad.is_grad_enabled()


# PyTorch's names ------------------------------------------------------------------------------------------------


def test_anomaly_by_its_names_at_the_top() -> None:
    def program(lib: Any) -> Any:
        found = []
        for mode, check_nan in ((True, True), (True, False), (False, True)):
            lib.set_anomaly_enabled(mode, check_nan)
            found.append((lib.is_anomaly_enabled(), lib.is_anomaly_enabled() and lib.is_anomaly_check_nan_enabled()))
        return found

    assert program(ad) == [(True, True), (True, False), (False, False)]
    beside_torch(program)


def test_multithreading() -> None:
    def program(lib: Any) -> Any:
        x = lib.tensor(3.0, requires_grad=True)
        with lib.autograd.set_multithreading_enabled(False):
            (x * x).backward()
        lib.autograd.grad_mode.set_multithreading_enabled(True)
        return x.grad.item()

    assert program(ad) == 6
    beside_torch(program)
    assert ad.autograd.set_multithreading_enabled(False)(len)([1]) == 1
    assert importlib.import_module("polyad.autograd").grad_mode.no_grad is ad.no_grad


def test_variable() -> None:
    def program(lib: Any) -> Any:
        x = lib.tensor([1.0, 2.0])
        v = lib.autograd.Variable(x, requires_grad=True)
        w = lib.autograd.Variable(v * 2)
        x.add_(1)
        kinds = [isinstance(t, lib.autograd.Variable) for t in (x, v, 1.0)]
        return kinds, v.tolist(), v.requires_grad, w.requires_grad, x.requires_grad, type(v) is lib.Tensor

    assert program(ad) == ([True, True, False], [2, 3], True, False, False, True)
    beside_torch(program)
    with pytest.raises(errors.OperandError, match=r"Variable: data is list \[1.0\]; expected a tensor"):
        ad.autograd.Variable([1.0])  # type: ignore[arg-type]
