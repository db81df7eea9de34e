"""`polyad.utils.checkpoint`: the gradients, errors and random numbers of the plain program, in less memory."""

from __future__ import annotations

import functools
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest
from test_memory import RECORDS, peak, traced, working_samples

import polyad as ad
from polyad.backend import Backend
from polyad.errors import ArgumentError, AutogradError, OperandError
from polyad.function import Function
from polyad.testing import Sample, call_sample, gradcheck, gradgradcheck, sample_arguments
from polyad.testing.samples import matrices
from polyad.utils.checkpoint import checkpoint, checkpoint_sequential


def leaf(*shape: int, seed: int = 0, dtype: Any = ad.float64) -> ad.Tensor:
    values = np.random.default_rng(seed).normal(size=shape)
    return ad.tensor(values.tolist(), dtype=dtype, requires_grad=True)


def plain(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What `checkpoint` is compared with: the function, with the options left out."""
    options = ("use_reentrant", "preserve_rng_state", "context_fn", "determinism_check", "debug", "early_stop")
    return function(*args, **{k: v for k, v in kwargs.items() if k not in options})


class Counted:
    """A function, and how often it was called and how often it came to its end."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.calls, self.ends = function, 0, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        result = self.function(*args, **kwargs)
        self.ends += 1
        return result


def same(program: Callable[[Any], list[Any]]) -> None:
    """Check that a program gives the same numbers, to the last bit, with `checkpoint` as with plain calls."""
    expected, found = ([np.asarray(t.numpy()) for t in program(call)] for call in (plain, checkpoint))
    assert expected
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


# Gradients --------------------------------------------------------------------------------------------------------


def mlp(x: ad.Tensor, w: ad.Tensor) -> ad.Tensor:
    return ((x @ w).tanh() @ w).exp()


def test_gradients_are_those_of_the_plain_program(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        x, w = leaf(3, 4), leaf(4, 4, seed=1)
        y = call(mlp, x, w)
        y.sum().backward()
        return [y.detach(), x.grad, w.grad]

    same(program)


def test_both_spellings_and_modules() -> None:
    assert ad.utils.checkpoint.checkpoint is checkpoint
    assert ad.utils.__all__ == ["checkpoint"]
    with pytest.raises(AttributeError, match=r"module 'polyad.utils' has no attribute 'data'"):
        _ = ad.utils.data


@pytest.mark.parametrize("use_reentrant", [None, True, False])
def test_containers_keywords_and_results_that_are_no_tensors(backend: Backend, use_reentrant: bool | None) -> None:
    class Pair(NamedTuple):
        first: ad.Tensor
        second: ad.Tensor

    def block(state: dict[str, Any], pair: Pair, *, power: int, mask: ad.Tensor | None = None) -> Any:
        assert isinstance(pair, Pair)
        h = state["h"][0].sin() * pair.first.cos() + pair.second.exp()
        return {"h": [h**power, (h * h).tanh()], "name": "block", "count": 2, "mask": mask}

    def program(call: Any) -> list[Any]:
        a, b, c = leaf(3), leaf(3, seed=1), leaf(3, seed=2)
        found = call(block, {"h": [a, "unused"]}, Pair(b * 2, c * 3), power=3, use_reentrant=use_reentrant)
        assert (found["name"], found["count"], found["mask"]) == ("block", 2, None)
        (found["h"][0] + found["h"][1]).sum().backward()
        return [a.grad, b.grad, c.grad]

    same(program)


def test_a_container_that_is_changed_later_is_as_it_was() -> None:
    x = leaf(3)
    given = [x]
    y = checkpoint(lambda tensors: sum(t.exp().exp() for t in tensors), given)
    given.append(x * 2)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), (x.detach().exp() * x.detach().exp().exp()).numpy())


def test_modules_and_closures(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        ad.manual_seed(3)
        model = ad.nn.Sequential(ad.nn.Linear(4, 5), ad.nn.Tanh(), ad.nn.Linear(5, 2))
        model(ad.ones(1, 4))
        call(model, ad.ones(3, 4)).exp().sum().backward()
        return [p.grad for p in model.parameters()]

    same(program)


def test_autograd_grad_inside_and_outside(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        x, w = leaf(3, 4), leaf(4, 4, seed=1)
        inside: list[Any] = []

        def block(x: ad.Tensor) -> ad.Tensor:
            h = (x @ w).tanh()
            inside.append(h)
            return (h @ w).exp()

        y = call(block, x.exp()).sum()
        first = ad.autograd.grad(y, inside[0], retain_graph=True)
        second = ad.autograd.grad(y, [x, inside[0]], retain_graph=True)
        third = ad.autograd.grad(y, w)
        return [*first, *second, *third]

    same(program)


def test_gradients_taken_by_the_function_itself(backend: Backend) -> None:
    def force(x: ad.Tensor, w: ad.Tensor) -> ad.Tensor:
        with ad.enable_grad():
            inner = x * 1.0
            energy = (inner @ w).tanh().exp().sum()
            (g,) = ad.autograd.grad(energy, inner, create_graph=True)
        return (g * g).exp()

    def program(call: Any) -> list[Any]:
        x, w = leaf(2, 3), leaf(3, 3, seed=1)
        call(force, x, w).sum().backward()
        return [x.grad, w.grad]

    same(program)


def test_several_backward_passes(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        x, w = leaf(3, 4), leaf(4, 4, seed=1)
        y = call(mlp, x, w).sum()
        y.backward(retain_graph=True)
        y.backward(retain_graph=True)
        y.backward()
        with pytest.raises(AutogradError, match="graph was freed"):
            y.backward()
        return [x.grad, w.grad]

    same(program)


def test_second_order(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        x, w = leaf(3, 4), leaf(4, 4, seed=1)
        (g,) = ad.autograd.grad(call(mlp, x, w).sum(), x, create_graph=True)
        (h,) = ad.autograd.grad((g * g).sum(), x, create_graph=True)
        (h * h).sum().backward()
        return [g.detach(), h.detach(), x.grad, w.grad]

    same(program)


def test_first_and_second_derivatives_are_those_of_differences(backend: Backend) -> None:
    inputs = [leaf(2, 3), leaf(3, 3, seed=1)]
    call = functools.partial(checkpoint, mlp)
    assert gradcheck(call, inputs)
    assert gradgradcheck(call, inputs)


def test_complex_numbers(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        z = ad.tensor([1 + 2j, 0.5 - 1j], requires_grad=True)
        abs(call(lambda z: (z * z).exp().sin(), z)).sum().backward()
        return [z.grad]

    same(program)


def test_functions_of_several_outputs_and_indices(backend: Backend) -> None:
    def block(x: ad.Tensor) -> ad.Tensor:
        values, _ = ad.topk(x.sin(), 2)
        q, r = ad.linalg.qr(x.exp())
        return values.exp().sum() + (q @ r)[[0, 2]].tanh().sum() + ad.concat([x, x.cos()]).prod(axis=0).sum()

    def program(call: Any) -> list[Any]:
        x = leaf(3, 3)
        call(block, x).backward()
        return [x.grad]

    same(program)


class Scaled(ad.autograd.Function):
    """Keeps an input, an output and something of its own, and looks at them twice."""

    @staticmethod
    def forward(ctx: Any, x: ad.Tensor, factor: float) -> Any:
        y = (x * factor).exp()
        ctx.save_for_backward(x, y, x + 1)
        ctx.factor = factor
        return y

    @staticmethod
    def backward(ctx: Any, g: ad.Tensor) -> Any:
        _, y, _ = ctx.saved_tensors
        x, _, moved = ctx.saved_tensors
        return g * y * ctx.factor + 0 * (x - moved + 1), None


def test_functions_of_the_users_own(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        x = leaf(3)
        block = Counted(lambda x: Scaled.apply(x.sin(), 3.0).cos())
        y = call(block, x).sum()
        y.backward(retain_graph=True)
        y.backward()
        assert block.calls == (3 if call is checkpoint else 1)
        return [x.grad]

    same(program)


def test_what_a_function_of_the_users_own_computed_has_no_second_derivative_here_either() -> None:
    x = leaf(3)
    y = checkpoint(lambda x: Scaled.apply(x.sin(), 3.0), x).sum()
    with pytest.raises(AutogradError, match=r"saved_tensors\[2\], of shape \(3,\), was computed in forward"):
        ad.autograd.grad(y, x, create_graph=True)


def test_without_gradients_the_function_is_called_and_no_more() -> None:
    x = leaf(3)
    block = Counted(lambda x: x.exp())
    with ad.no_grad():
        y = checkpoint(block, x)
    assert not y.requires_grad
    assert not checkpoint(block, x.detach()).requires_grad
    assert block.calls == 2


def test_no_grad_inside(backend: Backend) -> None:
    def block(x: ad.Tensor) -> ad.Tensor:
        with ad.no_grad():
            scale = x.exp().sum()
        h = (x * scale).tanh()
        return (h.detach() * x).sin() + h.exp()

    def program(call: Any) -> list[Any]:
        x = leaf(4)
        call(block, x).sum().backward()
        return [x.grad]

    same(program)


def test_nested(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        x, w = leaf(3, 4), leaf(4, 4, seed=1)

        def inner(h: ad.Tensor) -> ad.Tensor:
            return call(mlp, h, w).tanh()

        def outer(h: ad.Tensor) -> ad.Tensor:
            return call(inner, h.sin()) * call(mlp, h, w).sin()

        y = call(outer, x)
        (g,) = ad.autograd.grad(y.sum(), x, create_graph=True)
        (g.sum() + y.sum()).backward()
        return [g.detach(), x.grad, w.grad]

    same(program)


def test_a_view_as_argument(backend: Backend) -> None:
    def block(x: ad.Tensor) -> ad.Tensor:
        flat = x.reshape(-1)  # of what is not evenly spaced a copy, which may be written
        with ad.no_grad():
            flat.add_(1.0)
        return (x.T * x.T).exp() + flat.sum()

    def program(call: Any) -> list[Any]:
        x = leaf(2, 3)
        with_views = lambda x: call(block, x.sin().T)  # noqa: E731
        call(with_views, x).sum().backward()
        return [x.grad]

    same(program)


def able(record: Function, position: int, argument: Any) -> bool:
    """Whether an argument may require a gradient, and the function has one for it."""
    specs = record.specs or (None,)
    has_rule = not record.has_rules or specs[min(position, len(specs) - 1)] is not None
    return isinstance(argument, ad.Tensor) and argument.dtype.is_differentiable and has_rule


@pytest.mark.parametrize("record", [r for r in RECORDS if working_samples(r)], ids=lambda f: f.name)
def test_every_function(record: Function, backend: Backend) -> None:
    """Whatever a function keeps of its inputs, outputs and parameters, computed inside."""
    sample = next(s for s in working_samples(record) if s.params.get("n") != 0)  # x**0 is constant
    plainly = Sample(*sample.arrays, name=repr(sample), **sample.params)  # matrices of a domain are made before
    given = matrices(sample, sample_arguments(sample))

    def block(*given: Any) -> list[ad.Tensor]:
        inside = [a * 1 if isinstance(a, ad.Tensor) and a.requires_grad else a for a in given]
        found = call_sample(record, plainly, inside)
        found = found if isinstance(found, (tuple, list)) else [found]
        return [abs(y * 1).sum() for y in found if y.requires_grad]

    def program(call: Any) -> list[Any]:
        fresh = [a.detach().requires_grad_() if able(record, i, a) else a for i, a in enumerate(given)]
        sum(call(block, *fresh)).backward()
        return [a.grad for a in fresh if isinstance(a, ad.Tensor) and a.grad is not None]

    same(program)


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


# Hooks ------------------------------------------------------------------------------------------------------------


def test_hooks_run_once(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        seen: list[Any] = []
        x, w = leaf(3), leaf(3, seed=1)

        def note(g: ad.Tensor) -> Any:
            seen.append(g)
            return g * 2

        def block(h: ad.Tensor) -> ad.Tensor:
            h.register_hook(note)
            w.register_hook(note)
            inside = (h * w).exp()
            inside.register_hook(note)
            inside.retain_grad()
            inside.grad_fn.register_prehook(lambda grads: seen.append(grads[0]))
            inside.grad_fn.register_hook(lambda grads, _: seen.append(grads[0]))
            return inside.sin()

        y = call(block, x * 1)
        y.register_hook(note)
        y.sum().backward()
        assert len(seen) == 6
        return [*seen, x.grad, w.grad]

    same(program)


def test_what_nodes_saved_can_be_looked_at(backend: Backend) -> None:
    x = leaf(3)
    block = Counted(lambda x: x.sin().exp())
    y = checkpoint(block, x)
    np.testing.assert_array_equal(y.grad_fn._saved_out.numpy(), y.detach().numpy())
    np.testing.assert_array_equal(y.grad_fn._saved_out.numpy(), y.detach().numpy())
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), (x.detach().cos() * y.detach()).numpy())


def test_among_hooks_of_saved_tensors(backend: Backend) -> None:
    def program(call: Any) -> list[Any]:
        x = leaf(3)

        def block(h: ad.Tensor) -> ad.Tensor:
            a = h.exp().sin()
            with ad.autograd.graph.save_on_cpu():
                b = (a * h).exp()
            return b.tanh()

        with ad.autograd.graph.save_on_cpu():
            y = call(block, x * 1).exp()
        y.sum().backward()
        return [x.grad]

    same(program)


def test_refused_where_hooks_are() -> None:
    with ad.autograd.graph.disable_saved_tensors_hooks("no hooks"), pytest.raises(AutogradError, match="no hooks"):
        checkpoint(ad.exp, leaf(3))


def test_with_anomaly_detection(backend: Backend) -> None:
    x = ad.tensor([0.0, 1.0], requires_grad=True)
    with ad.autograd.detect_anomaly(), pytest.raises(AutogradError, match=r"(?s)SqrtBackward gave NaN.*recorded at"):
        checkpoint(lambda x: (x.sqrt() * 0.0).exp(), x).sum().backward()


# Contexts, threads, other backends --------------------------------------------------------------------------------


def test_contexts() -> None:
    entered: list[str] = []

    @contextmanager
    def noting(name: str) -> Iterator[None]:
        entered.append(name)
        yield

    def contexts() -> Any:
        return noting("first"), noting("again")

    y = checkpoint(lambda x: x.exp().sin(), leaf(3), context_fn=contexts)
    assert entered == ["first"]
    y.sum().backward()
    assert entered == ["first", "again"]


def test_threads(backend: Backend) -> None:
    """Several passes through one graph at once, and graphs of several threads."""
    w = leaf(4, 4, seed=1)
    x = leaf(3, 4)
    shared = checkpoint(mlp, x, w).sum()
    expected = ad.autograd.grad(mlp(x, w).sum(), [x, w])
    found: list[Any] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(5):
            found.append(ad.autograd.grad(shared, [x, w], retain_graph=True))
            found.append(ad.autograd.grad(checkpoint(mlp, x, w).sum(), [x, w]))

    with_backend = ad.use_backend(backend.name)(work)
    workers = [threading.Thread(target=with_backend) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 40
    for gradients in found:
        for a, b in zip(gradients, expected, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_under_jit() -> None:
    jax = pytest.importorskip("jax")
    with ad.use_backend("jax"):
        x, w = leaf(3, 4).detach(), leaf(4, 4, seed=1).detach()

        def gradients(call: Any, x: Any, w: Any) -> Any:
            x, w = ad.asarray(x).requires_grad_(), ad.asarray(w).requires_grad_()
            y = call(lambda x: call(mlp, ad.nn.functional.dropout(x.sin(), 0.5), w).tanh(), x)
            g = ad.autograd.grad(y.sum(), [x, w])
            return [t.detach()._data for t in g]

        ad.manual_seed(0)
        expected = jax.jit(functools.partial(gradients, plain))(x._data, w._data)
        ad.manual_seed(0)
        found = jax.jit(functools.partial(gradients, checkpoint))(x._data, w._data)
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        ad.rand(2)  # no traced value is left in the generator


def test_a_compiler_does_not_take_the_second_run_for_the_first() -> None:
    """As with JAX's own checkpoint: the second run begins behind a barrier of XLA's."""
    jax = pytest.importorskip("jax")

    def barriers(call: Any) -> int:
        def gradient(x: Any) -> Any:
            t = ad.asarray(x).requires_grad_()
            y = call(lambda h, t: (h + t).sin().sin().sin().sum(), t * 1, t)
            return y.detach()._data, ad.autograd.grad(y, t)[0]._data

        text: str = jax.jit(gradient).lower(jax.numpy.ones(3)).as_text()
        return text.count("optimization_barrier")

    with ad.use_backend("jax"):
        assert (barriers(plain), barriers(checkpoint)) == (0, 2)


def test_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    utils = pytest.importorskip("torch.utils.checkpoint")

    def program(lib: Any, call: Any, sequential: Any) -> list[Any]:
        values = np.random.default_rng(0).normal(size=(4, 4)).tolist()
        x = lib.tensor(values, dtype=lib.float64, requires_grad=True)
        w = lib.tensor(values[::-1], dtype=lib.float64, requires_grad=True)

        def inner(h: Any, scale: Any = 1.0) -> Any:
            return {"out": lib.tanh(h @ w) * scale}

        def block(h: Any) -> Any:
            return lib.exp(call(inner, lib.sin(h), scale=0.5, use_reentrant=False)["out"]) @ w

        y = sequential([block, lib.tanh, block, lib.sin, block], 3, call(block, x, use_reentrant=False), False)
        (g,) = lib.autograd.grad(y.sum(), x, create_graph=True)
        (y.sum() + (g * g).sum()).backward()
        return [y.detach(), g.detach(), x.grad, w.grad]

    with ad.use_backend("numpy"):
        found = program(ad, checkpoint, checkpoint_sequential)
    for a, b in zip(found, program(torch, utils.checkpoint, utils.checkpoint_sequential), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10)


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


# Arguments --------------------------------------------------------------------------------------------------------


def test_bad_arguments() -> None:
    x = leaf(3)
    with pytest.raises(OperandError, match=r"checkpoint: function must be callable; got tensor"):
        checkpoint(x, x)
    with pytest.raises(OperandError, match=r"checkpoint: context_fn must be callable; got 3"):
        checkpoint(ad.exp, x, context_fn=3)  # type: ignore[arg-type]
    with pytest.raises(OperandError, match=r"context_fn must return two context managers, .* it returned 3"):
        checkpoint(ad.exp, x, context_fn=lambda: 3)  # type: ignore[arg-type,return-value]
    with pytest.raises(ArgumentError, match=r"determinism_check must be 'default' or 'none'; got 'strict'"):
        checkpoint(ad.exp, x, determinism_check="strict")
    with pytest.raises(ArgumentError, match=r"use_reentrant must be True or False; got 'no'"):
        checkpoint(ad.exp, x, use_reentrant="no")  # type: ignore[arg-type]
    with pytest.raises(OperandError, match=r"checkpoint_sequential: functions\[1\] must be callable; got None"):
        checkpoint_sequential([ad.exp, None], 1, x)  # type: ignore[list-item]
    for segments in (0, 3, 1.5):
        with pytest.raises(ArgumentError, match=rf"segments must be an integer from 1 to 2, .*; got {segments}"):
            checkpoint_sequential([ad.exp, ad.sin], segments, x)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="functions is empty"):
        checkpoint_sequential([], 1, x)


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
