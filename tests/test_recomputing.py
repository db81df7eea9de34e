"""What is computed again under `checkpoint`: when and how often, with which numbers, and in how much memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_checkpoint import Counted, leaf, plain, same
from test_memory import peak, traced

import polyad as ad
from polyad.backend import Backend
from polyad.errors import AutogradError
from polyad.utils.checkpoint import checkpoint, checkpoint_sequential

# How often it runs ------------------------------------------------------------------------------------------------


def test_the_second_run_ends_when_all_that_is_needed_is_there(backend: Backend) -> None:
    x, w = leaf(3, 4), leaf(4, 4, seed=1)
    block = Counted(lambda x: ((x @ w).tanh() @ w) + 1)  # of what comes behind tanh, only w is kept
    y = checkpoint(block, x).sum()
    y.backward(retain_graph=True)
    assert (block.calls, block.ends) == (2, 1)
    y.backward()
    assert (block.calls, block.ends) == (3, 1)
    block = Counted(block.function)
    checkpoint(block, x, early_stop=False).sum().backward()
    assert (block.calls, block.ends) == (2, 2)


def test_what_a_node_keeps_twice_is_computed_once(backend: Backend) -> None:
    x = leaf(3)

    def squared(x: ad.Tensor) -> ad.Tensor:
        h = x.exp()
        return h * h

    block = Counted(squared)
    checkpoint(block, x).sum().backward()
    assert block.calls == 2


def test_what_needs_arguments_and_parameters_alone_runs_once(backend: Backend) -> None:
    x, w = leaf(3, 4), leaf(4, 4, seed=1)
    data = x.detach()
    block = Counted(lambda x, data: (x @ w) * data.sum() + data @ w)  # the sum is of the function's making
    checkpoint(block, x, data).sum().backward()
    assert block.calls == 2
    block = Counted(lambda x, data: (x @ w) + data @ w)
    checkpoint(block, x, data).sum().backward()
    assert block.calls == 1


def test_each_level_runs_once_more() -> None:
    """Of nested calls each runs in the first pass, in its own second run, and in the second runs around it."""
    x = leaf(3)
    inner = Counted(lambda x: x.exp().exp())
    outer = Counted(lambda x: checkpoint(inner, x.sin()).tanh())
    checkpoint(outer, x).sum().backward()
    assert (outer.calls, inner.calls) == (2, 3)


def test_nothing_is_held_beside_the_arguments(backend: Backend) -> None:
    x = leaf(3)
    held: list[Any] = []

    def block(x: ad.Tensor) -> ad.Tensor:
        h = x.exp()
        held.append(weakref.ref(h._data))
        return h.tanh().sin()

    y = checkpoint(block, x).sum()
    assert [r() for r in held] == [None]
    y.backward(retain_graph=True)
    assert [r() for r in held] == [None, None]
    function = weakref.ref(block)
    y.backward()
    del y, block
    assert function() is None, "the graph is gone, and nothing is to be collected"


def test_a_graph_that_is_dropped_needs_no_collector(backend: Backend) -> None:
    """Also where an argument is overwritten by what was computed from it."""
    x = leaf(3)
    h = x * 1
    y = checkpoint(lambda h: h.exp().tanh(), h)
    h.mul_(y)
    gone = weakref.ref(y)
    gc.disable()
    try:
        del y, h
        assert gone() is None
    finally:
        gc.enable()


# Random numbers ---------------------------------------------------------------------------------------------------


def test_random_numbers_are_drawn_again(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        ad.manual_seed(5)
        own = ad.Generator().manual_seed(7)
        x = leaf(4)

        def block(x: ad.Tensor) -> ad.Tensor:
            noise = ad.rand(4, dtype=ad.float64) + ad.randn(4, dtype=ad.float64, generator=own)
            h = ad.nn.functional.dropout((x * noise).exp(), 0.5)
            return (h * ad.random.gamma(h.detach() + 1, size=(4,))).tanh()

        y = call(block, x) + ad.rand(4, dtype=ad.float64)
        between = ad.rand(2, generator=own)
        y.sum().backward(retain_graph=True)
        y.sum().backward()
        return [y.detach(), between, x.grad, ad.rand(3), ad.rand(3, generator=own)]

    same(program)


def test_random_numbers_of_nested_calls(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        ad.manual_seed(5)
        x = leaf(4)

        def noisy(x: ad.Tensor) -> ad.Tensor:
            return (x * ad.rand(4, dtype=ad.float64)).exp().sin()

        def outer(x: ad.Tensor) -> ad.Tensor:
            return call(noisy, noisy(x)) * ad.rand(4, dtype=ad.float64) + call(noisy, x)

        call(outer, x).sum().backward()
        return [x.grad, ad.rand(3)]

    same(program)


def test_seeding_inside(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        ad.manual_seed(5)
        x = leaf(4)

        def block(x: ad.Tensor) -> ad.Tensor:
            ad.manual_seed(11)
            return (x * ad.rand(4, dtype=ad.float64)).exp().sin()

        y = call(block, x).sum()
        ad.manual_seed(6)
        first = ad.rand(2)
        y.backward()
        assert ad.initial_seed() == 6
        return [first, x.grad, ad.rand(3)]

    same(program)


def test_generators_of_several_devices() -> None:
    pytest.importorskip("jax")

    def program(call: Any) -> list[Any]:
        ad.manual_seed(5)
        x = leaf(4)

        def block(x: ad.Tensor) -> ad.Tensor:
            there = ad.rand(4, dtype=ad.float64, backend="jax").to(device=x.device)
            return (x * there * ad.rand(4, dtype=ad.float64)).exp().sin()

        call(block, x).sum().backward()
        return [x.grad, ad.rand(3), ad.rand(3, backend="jax").to(backend="numpy")]

    with ad.use_backend("numpy"):
        same(program)


def test_the_default_device_is_that_of_the_call() -> None:
    pytest.importorskip("jax")
    with ad.use_backend("jax"):
        x = leaf(3)
        y = checkpoint(lambda x: (x * ad.ones(3, dtype=ad.float64)).exp().sin(), x).sum()
    with ad.use_backend("numpy"):
        y.backward()
    assert x.grad.backend.name == "jax"


def test_draws_without_their_state_are_refused(backend: Backend) -> None:
    x = leaf(4)

    def noisy(x: ad.Tensor) -> ad.Tensor:
        return (x * ad.rand(4, dtype=ad.float64)).exp().sin()

    with pytest.raises(AutogradError, match=r"noisy draws random numbers.*Leave preserve_rng_state=False out"):
        checkpoint(noisy, x, preserve_rng_state=False)
    with pytest.raises(AutogradError, match=r"noisy draws random numbers"):
        checkpoint_sequential([noisy, ad.exp], 2, x, preserve_rng_state=False)
    y = checkpoint(noisy, x, preserve_rng_state=False, determinism_check="none")
    y.sum().backward()
    ad.rand(2)  # outside, all is as before
    checkpoint(ad.exp, x, preserve_rng_state=False).sum().backward()


# In-place writes --------------------------------------------------------------------------------------------------


def test_writes_to_the_functions_own_tensors(backend: Backend) -> None:
    def block(x: ad.Tensor) -> ad.Tensor:
        h = x * 2
        h.add_(1).mul_(x)
        h[0] = x[1]
        part = h[1:]
        part *= x[1:].sin()
        return h.exp().tanh()

    def program(call: Any) -> list[Any]:
        x = leaf(4)
        call(block, x * 1).sum().backward()
        return [x.grad]

    same(program)


def test_writes_to_an_argument_after_the_call(backend: Backend) -> None:
    def block(given: list[ad.Tensor]) -> ad.Tensor:
        return (given[0] + 1).exp().sin()  # keeps nothing of h itself

    x = leaf(4)
    h = x * 1
    y = checkpoint(block, [h])
    h.add_(1)
    with pytest.raises(
        AutogradError, match=r"argument args\[0\]\[0\] of .*block was overwritten .*\(add_\).*version 1"
    ):
        y.sum().backward()
    assert x.grad is None


def test_writes_to_an_argument_by_the_function(backend: Backend) -> None:
    x = leaf(4)

    def block(h: ad.Tensor, *, scale: ad.Tensor) -> ad.Tensor:
        scale.mul_(2)
        return (h * scale).exp().sin()

    with pytest.raises(
        AutogradError, match=r"block wrote to its argument scale= in place \((multiply|mul)_\).*x\.clone\(\)"
    ):
        checkpoint(block, x, scale=ad.ones(4, dtype=ad.float64))


def test_stale_values_are_noticed_as_without_checkpoint(backend: Backend) -> None:
    def stale(x: ad.Tensor) -> ad.Tensor:
        h = x.exp()
        y = h * 2
        h.add_(1)
        return y.sin()

    for call in (plain, checkpoint):
        y = call(stale, leaf(3))
        with pytest.raises(AutogradError, match=r"ExpBackward kept .* overwritten by an in-place operation \(add_\)"):
            y.sum().backward()
    for call in (plain, checkpoint):
        y = call(lambda x: x.sin().exp(), leaf(3))
        y.add_(1)
        with pytest.raises(AutogradError, match=r"ExpBackward kept .* overwritten by an in-place operation \(add_\)"):
            y.sum().backward()


def test_an_array_that_is_written_between_two_operations_is_kept_twice(backend: Backend) -> None:
    """On NumPy it is one array, with other elements the second time."""

    def program(call: Any) -> list[Any]:
        x = leaf(3)
        inside: list[Any] = []

        def block(x: ad.Tensor) -> ad.Tensor:
            h = x.exp()
            h.add_(x)
            inside.append(h)
            return h * h

        y = call(block, x).sum()
        return list(ad.autograd.grad(y, inside[0]))

    same(program)


def test_writes_to_tensors_from_outside_are_noticed_where_they_matter(backend: Backend) -> None:
    x, count = leaf(3), ad.zeros(3, dtype=ad.float64)

    def block(x: ad.Tensor) -> ad.Tensor:
        count.add_(1)
        return (x * count).exp().sin()

    y = checkpoint(block, x)
    with pytest.raises(AutogradError, match=r"MultiplyBackward kept .* overwritten by an in-place operation \(add_\)"):
        y.sum().backward()


def test_saved_tensors_may_be_overwritten_where_that_is_allowed(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        x, given = leaf(3), leaf(3, seed=1)
        with ad.autograd.graph.allow_mutation_on_saved_tensors():
            h = x * 1

            def block(h: ad.Tensor, given: ad.Tensor) -> ad.Tensor:
                y = h.exp()
                z = y * h * given
                y.zero_()
                return z.sin()

            y = call(block, h, given)
            h.zero_()
            with ad.no_grad():
                given.zero_()
        y.sum().backward()
        return [x.grad, given.grad]

    same(program)


# What is not the same again ---------------------------------------------------------------------------------------


class Changing:
    """Another function each time."""

    def __init__(self, *functions: Callable[[ad.Tensor], ad.Tensor]) -> None:
        self.functions = list(functions)

    def __call__(self, x: ad.Tensor) -> ad.Tensor:
        return self.functions.pop(0)(x)


DIFFERENT: dict[str, tuple[Any, Any, str]] = {
    "shape": (
        lambda x: x.sin().exp(),
        lambda x: x[:2].sin().exp(),
        (
            r"Changing, run again by backward, kept another tensor 0 than before: float64 of shape \(2,\) .*Sin.*; "
            r"the first time .* float64 of shape \(3,\) on .*SinBackward\. The function must do the same both times"
        ),
    ),
    "type": (
        lambda x: x.sin().exp(),
        lambda x: x.astype(ad.float32).sin().exp(),
        r"another tensor 0 than before: float32 of shape \(3,\) .* the first time it was float64 of shape \(3,\)",
    ),
    "operation": (
        lambda x: x.sin().exp(),
        lambda x: x.sin().tanh(),
        r"another tensor 1 than before: float64 of shape \(3,\) on .*, by TanhBackward; .* by ExpBackward",
    ),
    "fewer": (
        lambda x: x.sin().exp().tanh(),
        lambda x: x.sin().exp(),
        r"kept 2 tensors, and 3 the first time: tensor 2 is missing, float64 of shape \(3,\) on .*, by TanhBackward",
    ),
}


@pytest.mark.parametrize("kind", DIFFERENT)
def test_another_second_run_is_noticed(backend: Backend, kind: str) -> None:
    first, second, message = DIFFERENT[kind]
    x = leaf(3)
    y = checkpoint(Changing(first, second, first), x)
    with pytest.raises(AutogradError, match=message):
        y.sum().backward(retain_graph=True)
    assert x.grad is None
    y.sum().backward()  # the third time it is the same
    np.testing.assert_array_equal(x.grad.numpy(), ad.autograd.grad(first(x).sum(), x)[0].numpy())


def test_more_is_noticed_without_early_stop() -> None:
    def changing() -> Changing:
        return Changing(lambda x: x.sin().exp(), lambda x: x.sin().exp().tanh())

    y = checkpoint(changing(), leaf(3), early_stop=False)
    with pytest.raises(AutogradError, match=r"kept 3 tensors, and 2 the first time"):
        y.sum().backward()
    checkpoint(changing(), leaf(3)).sum().backward()


def test_a_difference_is_not_swallowed_by_the_function() -> None:
    def hiding(x: ad.Tensor) -> ad.Tensor:
        try:
            return changing(x)
        except Exception:
            return x.sin().exp()

    changing = Changing(lambda x: x.sin().exp(), lambda x: x[:2].sin().exp())
    y = checkpoint(hiding, leaf(3))
    with pytest.raises(AutogradError, match="kept another tensor 0 than before"):
        y.sum().backward()


def test_the_function_does_not_see_the_end_of_its_second_run() -> None:
    def careful(x: ad.Tensor) -> ad.Tensor:
        try:
            return x.sin().exp()
        except Exception:
            pytest.fail("the end of the second run is no exception")

    checkpoint(careful, leaf(3)).sum().backward()


def test_no_check() -> None:
    x = leaf(3)
    y = checkpoint(Changing(lambda x: x.sin().exp(), lambda x: x.cos().tanh()), x, determinism_check="none")
    y.sum().backward()
    y = checkpoint(Changing(lambda x: x.sin().exp(), lambda x: x + 1), x, determinism_check="none")
    with pytest.raises(AutogradError, match="kept 0 tensors, and 2 the first time"):
        y.sum().backward()


def test_the_lines_that_differ() -> None:
    first, second = (lambda x: x.sin().exp()), (lambda x: x[:2].sin().exp())
    y = checkpoint(Changing(first, second), leaf(3), debug=True)
    line = rf"line {first.__code__.co_firstlineno}, in <lambda>"
    with pytest.raises(AutogradError, match=rf"(?s)First it was at\n.*{line}.*and now at\n.*{line}"):
        y.sum().backward()


def test_an_exception_of_the_second_run_says_where_it_came() -> None:
    def failing(x: ad.Tensor) -> ad.Tensor:
        raise LookupError("gone")

    y = checkpoint(Changing(lambda x: x.sin().exp(), failing), leaf(3))
    with pytest.raises(LookupError, match="gone") as caught:
        y.sum().backward()
    assert any("while Changing was run again by backward" in note for note in caught.value.__notes__)


# Sequences and memory ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_sequences(backend: Backend, segments: int) -> None:
    x = leaf(3)
    steps = [Counted(f) for f in (ad.exp, ad.sin, ad.tanh, ad.cos, ad.exp)]
    checkpoint_sequential(steps, segments, x).sum().backward()
    again = leaf(3)
    again.exp().sin().tanh().cos().exp().sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), again.grad.numpy())
    kept = [5, 2, 1, 0, 1][segments - 1]
    assert [s.calls for s in steps[len(steps) - kept :]] == [1] * kept


LAYERS, SIZE = 64, 1 << 16


def chain_peak(segments: int) -> float:
    """The most memory of a step of a chain of layers that keep one array each, in arrays."""

    def layer(h: ad.Tensor) -> ad.Tensor:
        return h.tanh()

    def step() -> None:
        x = ad.zeros(SIZE, requires_grad=True)
        checkpoint_sequential([layer] * LAYERS, segments, x).sum().backward()

    step()
    return peak(step) / (4 * SIZE)


@traced()
def test_memory_of_a_chain() -> None:
    """The segments' inputs, what the layers of one segment keep, and a few arrays under way."""
    plain, *peaks = (chain_peak(segments) for segments in (1, 2, 4, 8, 16, 32))
    assert LAYERS <= plain <= LAYERS + 4
    for segments, found in zip((2, 4, 8, 16, 32), peaks, strict=True):
        expected = segments + LAYERS / segments
        assert expected - 2 <= found <= expected + 4, (segments, found)
    assert min(peaks) == peaks[2]


@traced()
def test_memory_of_nested_calls() -> None:
    """Halved again and again, a chain needs as many arrays as it has levels, not as it has layers."""

    def halves(h: ad.Tensor, layers: int) -> ad.Tensor:
        if layers == 1:
            return h.tanh()
        return checkpoint(halves, checkpoint(halves, h, layers // 2), layers // 2)

    def step() -> None:
        x = ad.zeros(SIZE, requires_grad=True)
        halves(x, LAYERS).sum().backward()

    step()
    assert peak(step) / (4 * SIZE) <= 2 * np.log2(LAYERS) + 4


@traced()
def test_memory_of_a_graph_that_is_kept() -> None:
    """A pass that keeps the graph leaves no more behind than the forward pass did: inputs, and the last segment's."""

    def step() -> None:
        x = ad.zeros(SIZE, requires_grad=True)
        y = checkpoint_sequential([ad.tanh] * LAYERS, 8, x).sum()
        y.backward(retain_graph=True)
        y.backward()

    step()
    assert peak(step) / (4 * SIZE) <= 8 + 8 + 8 + 4
