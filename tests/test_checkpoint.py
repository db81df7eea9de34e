"""`polyad.utils.checkpoint` in programs of all kinds: gradients are those of the plain program, to the last bit."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest
from test_memory import RECORDS, working_samples

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


@pytest.mark.parametrize("early_stop", [True, False])
def test_gradients_taken_by_the_function_itself(backend: Backend, early_stop: bool) -> None:
    def force(x: ad.Tensor, w: ad.Tensor) -> ad.Tensor:
        with ad.enable_grad():
            inner = x * 1.0
            energy = (inner @ w).tanh().exp().sum()
            (g,) = ad.autograd.grad(energy, inner, create_graph=True)
        return (g * g).exp()

    def program(call: Any) -> list[Any]:
        x, w = leaf(2, 3), leaf(3, 3, seed=1)
        call(force, x, w, early_stop=early_stop).sum().backward()
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


def test_warnings_come_once() -> None:
    """NumPy's, of arithmetic: backward is silent, also where it computes again."""
    x = ad.tensor([1e30, 1.0], requires_grad=True)
    with ad.use_backend("numpy"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        y = checkpoint(lambda x: (x * x).tanh().sin(), x).sum()
        assert [str(w.message) for w in caught] == ["overflow encountered in multiply"]
        y.backward()
        assert len(caught) == 1


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
