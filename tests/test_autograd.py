"""Tests of Tensor and autograd as users of PyTorch know them, on every backend."""

import asyncio
import copy
import gc
import pickle
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad import errors
from polyad.backend import Backend
from polyad.graph import AccumulateGrad, Node

pytestmark = pytest.mark.usefixtures("backend")


def leaf(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, requires_grad=True, **kwargs)


def nowhere(backend: Backend) -> Backend:
    """Another backend than the test's, or a skip."""
    for name in ("numpy", "jax"):
        if name != backend.name:
            try:
                return ad.plugins.backend(name)
            except errors.BackendError as error:
                pytest.skip(str(error))
    raise AssertionError


# What requires a gradient -----------------------------------------------------------------------------------


def test_leaves_and_results() -> None:
    x, c = leaf([1.0, 2.0]), ad.tensor([3.0, 4.0])
    y = x * c
    assert (x.requires_grad, x.is_leaf, x.grad_fn, x.grad) == (True, True, None, None)
    assert (c.requires_grad, c.is_leaf, c.grad_fn) == (False, True, None)
    assert (y.requires_grad, y.is_leaf, y.grad) == (True, False, None)
    assert not (c + 1).requires_grad
    assert (c + 1).is_leaf


def test_requires_grad_can_be_asked_for_later() -> None:
    x = ad.ones(2)
    assert x.requires_grad_() is x
    assert x.requires_grad
    x.requires_grad = False
    assert not x.requires_grad
    y = leaf(1.0) * 2
    assert y.requires_grad_() is y  # nothing to do
    with pytest.raises(errors.AutogradError, match=r"\(MultiplyBackward\) always requires .* write x.detach\(\)"):
        y.requires_grad_(False)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_only_floating_types_can_require_gradients(dtype: str) -> None:
    x = ad.ones(2).to(getattr(ad, dtype))
    with pytest.raises(errors.DTypeError, match=rf"only tensors of real or complex.*; got {dtype}. Write x.float\(\)"):
        x.requires_grad_()
    with pytest.raises(errors.DTypeError, match=f"floating-point types can require gradients; got {dtype}"):
        ad.ones(2, dtype=getattr(ad, dtype), requires_grad=True)
    assert not x.requires_grad


def test_results_without_a_derivative_require_none() -> None:
    x = leaf([1.0, 2.0])
    for y in (x > 1, x.argmax(), x.long()):
        assert not y.requires_grad
        assert y.is_leaf


def test_grad_fn_shows_the_graph() -> None:
    x, w = leaf([1.0]), leaf([2.0])
    y = (x * w).exp()
    assert repr(y.grad_fn) == "<ExpBackward>"
    assert y.grad_fn.name() == "ExpBackward"
    ((product, number),) = y.grad_fn.next_functions
    assert (repr(product), number) == ("<MultiplyBackward>", 0)
    assert [repr(f) for f, _ in product.next_functions] == ["<AccumulateGrad>", "<AccumulateGrad>"]
    assert product.next_functions[0][0].leaf() is x
    assert (x * 2).grad_fn.next_functions[1] == (None, 0)


# backward ---------------------------------------------------------------------------------------------------


def test_gradients_accumulate_into_one_object() -> None:
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    g = x.grad
    assert g is not None
    assert g.tolist() == [2.0, 4.0]
    (x * x).sum().backward()
    assert x.grad is g
    assert g.tolist() == [4.0, 8.0]
    assert (g.requires_grad, g.is_leaf, g.dtype, g.device) == (False, True, x.dtype, x.device)


def test_the_gradient_is_nobody_elses_memory() -> None:
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    seed = ad.tensor([1.0, 1.0])
    (x + w).backward(seed)
    x.grad.zero_()
    assert w.grad.tolist() == [1.0, 1.0]
    assert seed.tolist() == [1.0, 1.0]
    x.grad.add_(5)
    assert (x.grad.tolist(), w.grad.tolist(), seed.tolist()) == ([5.0, 5.0], [1.0, 1.0], [1.0, 1.0])


def test_no_gradient_shares_memory_with_the_implied_one() -> None:
    """The 1 where a pass starts is kept from pass to pass; nobody may get it into his hands."""

    def given() -> Iterator[ad.Tensor]:
        x, w = leaf(3.0), leaf(5.0)
        y = x + w
        y.retain_grad()
        y.backward(create_graph=True)
        yield from (x.grad, w.grad, y.grad)
        assert x.grad is not w.grad
        y = x + w
        y.register_hook(lambda g: hooked.append(g))
        y.backward(inputs=[y, x])
        yield from (x.grad, y.grad)
        yield from ad.autograd.grad(x + w, [x, w])
        yield from ad.autograd.grad(x + w, [x], create_graph=True)

    hooked: list[ad.Tensor] = []
    for g in [*given(), *hooked]:
        with ad.no_grad():
            g.zero_()
    x = leaf(3.0)
    (x + 0).backward()
    assert x.grad.item() == 1.0


def test_one_operand_twice() -> None:
    x = leaf(3.0)
    y = x * x
    z = y + y * x  # x^2 + x^3
    z.backward()
    assert x.grad.item() == 2 * 3 + 3 * 9


def test_gradient_argument() -> None:
    x = leaf([1.0, 2.0])
    (x * x).backward(ad.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 40.0]
    leaf([[2.0]]).exp().backward()  # implied for one element of any shape
    y = x * 2
    y.backward(gradient=ad.tensor([1.0, 1.0], dtype=ad.float64))  # brought to y's type
    assert (x.grad.tolist(), x.grad.dtype) == ([4.0, 42.0], ad.float32)


def test_wrong_gradients_are_refused_and_change_nothing(backend: Backend) -> None:
    x = leaf([1.0, 2.0])
    y = x * x
    with pytest.raises(
        errors.ShapeError, match=r"^backward: a gradient is implied only for .* this one has shape \(2,\)"
    ):
        y.backward()
    with pytest.raises(errors.ShapeError, match=r"^backward: the gradient has shape \(3,\); expected \(2,\)"):
        y.backward(ad.ones(3))
    with pytest.raises(errors.DTypeError, match="^backward: the gradient is complex64; expected float32"):
        y.backward(ad.ones(2, dtype=ad.complex64))
    with pytest.raises(errors.OperandError, match="^backward: a gradient must be a tensor; got list"):
        y.backward([1.0, 1.0])
    with pytest.raises(errors.ShapeError, match="^backward: 1 outputs need as many gradients; got 2"):
        ad.autograd.backward(y, [ad.ones(2), ad.ones(2)])
    assert x.grad is None
    y.backward(ad.ones(2))
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_gradient_of_another_backend_is_refused(backend: Backend) -> None:
    other = nowhere(backend)
    x = leaf([1.0, 2.0])
    message = f"the gradient is on backend '{other.name}', .*; expected backend '{backend.name}'"
    with pytest.raises(errors.AutogradError, match=message):
        (x * x).backward(ad.ones(2).to(backend=other.name))
    assert x.grad is None


def test_backward_without_a_graph() -> None:
    x = ad.ones(1)
    with pytest.raises(
        errors.AutogradError, match=r"^backward: the tensor of shape \(1,\) does not require a gradient and"
    ):
        x.backward()
    with ad.no_grad():
        y = leaf(1.0) * 2
    with pytest.raises(errors.AutogradError, match=r"compute outside no_grad\(\)"):
        y.backward()


def test_backward_frees_the_graph_unless_retained() -> None:
    x = leaf(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0
    with pytest.raises(errors.AutogradError, match=r"freed at MultiplyBackward, .* backward\(retain_graph=True\)"):
        y.backward()
    assert x.grad.item() == 12.0


def test_a_freed_part_stops_all_of_a_backward() -> None:
    x, w = leaf(3.0), leaf(5.0)
    shared = x * x
    shared.backward()
    x.grad = None
    with pytest.raises(errors.AutogradError, match="freed at MultiplyBackward"):
        (shared * w).backward()
    assert (x.grad, w.grad) == (None, None)


def test_nothing_kept_means_nothing_freed_of_use() -> None:
    """A sum keeps nothing, but a second pass through it is an error on every path, as it is in the product's."""
    x = leaf(3.0)
    y = x + x
    y.backward()
    with pytest.raises(errors.AutogradError, match="freed at AddBackward"):
        y.backward()


def test_backward_into_chosen_inputs() -> None:
    x, w = leaf(3.0), leaf(5.0)
    y = x * w
    z = y * y
    z.backward(inputs=[w], retain_graph=True)
    assert (x.grad, w.grad.item()) == (None, 2 * 15 * 3)
    z.backward(inputs=[x, y])
    assert (x.grad.item(), y.grad.item(), w.grad.item()) == (2 * 15 * 5, 2 * 15, 2 * 15 * 3)
    with pytest.raises(
        errors.AutogradError, match=r"inputs has a tensor of shape \(\) that does not require a gradient"
    ):
        (x * w).backward(inputs=[ad.tensor(1.0)])


def test_autograd_backward_of_several() -> None:
    x = leaf([1.0, 2.0])
    ad.autograd.backward([x.sum(), x * x], [None, ad.tensor([1.0, 10.0])])
    assert x.grad.tolist() == [1.0 + 2.0, 1.0 + 40.0]
    with pytest.raises(
        errors.OperandError, match="^backward: tensors must be a tensor, a GradientEdge or an iterable of them; got 1.0"
    ):
        ad.autograd.backward([1.0])


def test_retain_grad() -> None:
    x = leaf(3.0)
    y = x * 2
    y.retain_grad()
    y.retain_grad()  # once is enough
    (y * y).backward()
    assert (y.grad.item(), x.grad.item()) == (12.0, 24.0)
    z = x + 1
    z.retain_grad()
    z.sum().backward()
    z.grad.zero_()
    assert (z.grad.item(), x.grad.item()) == (0.0, 25.0)
    x.grad = None
    x.retain_grad()  # a leaf keeps its gradient anyway
    (x * x).backward()
    assert x.grad.item() == 6.0
    with pytest.raises(errors.AutogradError, match="^retain_grad: the tensor does not require a gradient"):
        ad.ones(1).retain_grad()


def test_without_retain_grad_results_have_none() -> None:
    x = leaf(3.0)
    y = x * 2
    (y * y).backward()
    assert y.grad is None


# grad -------------------------------------------------------------------------------------------------------


def test_grad_returns_and_accumulates_nothing() -> None:
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = x * w
    dx, dw, dy = ad.autograd.grad(y.sum(), [x, w, y])
    assert [g.tolist() for g in (dx, dw, dy)] == [[3.0, 4.0], [1.0, 2.0], [1.0, 1.0]]
    assert (x.grad, w.grad, y.grad) == (None, None, None)


def test_grad_with_given_gradients() -> None:
    x = leaf([1.0, 2.0])
    (g,) = ad.autograd.grad([x * x, x.sum()], x, grad_outputs=[ad.tensor([1.0, 0.0]), None])
    assert g.tolist() == [3.0, 1.0]
    with pytest.raises(errors.ShapeError, match="^grad: a gradient is implied only for a tensor of one element"):
        ad.autograd.grad(x * x, x)


def test_grad_of_unused_inputs() -> None:
    x, w = leaf([1.0, 2.0]), leaf([3.0])
    y = (x * x).sum()
    message = r"grad: inputs\[1\], of shape \(1,\), was not used .* allow_unused=True .* materialize_grads=True"
    with pytest.raises(errors.AutogradError, match=message):
        ad.autograd.grad(y, [x, w], retain_graph=True)
    assert ad.autograd.grad(y, [x, w], allow_unused=True, retain_graph=True)[1] is None
    zero = ad.autograd.grad(y, [x, w], materialize_grads=True)[1]
    assert (zero.tolist(), zero.requires_grad) == ([0.0], False)
    with pytest.raises(errors.AutogradError, match="materialize_grads=True gives zeros .* leave allow_unused out"):
        ad.autograd.grad((x * x).sum(), [x], allow_unused=False, materialize_grads=True)
    with pytest.raises(errors.AutogradError, match=r"inputs\[0\], of shape \(2,\), does not require a gradient"):
        ad.autograd.grad((x * x).sum(), [ad.ones(2)])


def test_grad_frees_the_graph_unless_retained() -> None:
    x = leaf(3.0)
    y = x * x
    assert ad.autograd.grad(y, x, retain_graph=True)[0].item() == 6.0
    assert ad.autograd.grad(y, x)[0].item() == 6.0
    with pytest.raises(errors.AutogradError, match="freed at MultiplyBackward"):
        ad.autograd.grad(y, x)


# Higher orders ----------------------------------------------------------------------------------------------


def test_derivatives_of_any_order() -> None:
    x = leaf(0.7, dtype=ad.float64)
    y = x.sin()
    for expected in (np.cos(0.7), -np.sin(0.7), -np.cos(0.7), np.sin(0.7)):
        (y,) = ad.autograd.grad(y, x, create_graph=True)
        assert y.item() == pytest.approx(expected, rel=1e-12)
    assert y.requires_grad


def test_backward_with_create_graph() -> None:
    x = leaf(3.0)
    (x**3).backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    x.grad = None
    first.backward()
    assert x.grad.item() == 18.0


def test_a_gradient_penalty() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 2))
    x, w = leaf(a), leaf(rng.normal(size=(2, 1)))
    w0 = w.detach().numpy()
    (g,) = ad.autograd.grad((x @ w).tanh().sum(), x, create_graph=True)
    penalty = (g * g).sum()
    penalty.backward()

    def value(w: Any) -> float:
        return float((((1 - np.tanh(a @ w) ** 2) @ w.T) ** 2).sum())

    for i in range(2):
        step = np.zeros((2, 1))
        step[i] = 1e-6
        difference = (value(w0 + step) - value(w0 - step)) / 2e-6
        assert w.grad[i, 0].item() == pytest.approx(difference, rel=1e-6)


def test_gradients_without_create_graph_are_constants() -> None:
    x = leaf(3.0)
    (g,) = ad.autograd.grad(x * x, x)
    assert (g.requires_grad, g.is_leaf) == (False, True)


# Grad modes -------------------------------------------------------------------------------------------------


def recorded() -> bool:
    """Whether an operation is recorded, as the graph has it and as `is_grad_enabled` says."""
    found = (leaf(1.0) * 2).requires_grad
    assert found is ad.is_grad_enabled()
    return found


def test_modes_as_contexts() -> None:
    assert recorded()
    with ad.no_grad():
        assert not recorded()
        with ad.enable_grad():
            assert recorded()
            with ad.no_grad():
                assert not recorded()
            assert recorded()
        assert not recorded()
        with ad.set_grad_enabled(True):
            assert recorded()
        assert not recorded()
    assert recorded()
    with pytest.raises(ZeroDivisionError), ad.no_grad():
        raise ZeroDivisionError
    assert recorded()


def test_a_mode_object_may_be_entered_again_and_inside_itself() -> None:
    for make in (ad.no_grad, lambda: ad.set_grad_enabled(False)):
        off = make()
        with off:
            assert not recorded()
            with off:
                assert not recorded()
            assert not recorded()
        assert recorded()
        with off:
            assert not recorded()
        assert recorded()


def test_set_grad_enabled_as_a_call() -> None:
    try:
        ad.set_grad_enabled(False)
        assert not recorded()
        ad.set_grad_enabled(True)
        assert recorded()
    finally:
        ad.set_grad_enabled(True)


@pytest.mark.parametrize(
    ("decorate", "inside"),
    [
        (ad.no_grad, False),
        (ad.no_grad(), False),
        (lambda f: ad.no_grad()(f), False),
        (lambda f: ad.set_grad_enabled(False)(f), False),
        (lambda f: ad.no_grad()(ad.enable_grad(f)), True),
        (lambda f: ad.enable_grad()(ad.no_grad()(f)), False),
    ],
)
def test_modes_as_decorators(decorate: Callable[..., Any], inside: bool) -> None:
    @decorate
    def function(x: int, *, y: int = 2) -> tuple[int, int]:
        """Docstring."""
        assert recorded() is inside
        return x, y

    @decorate
    def fails() -> None:
        raise ZeroDivisionError

    assert function(1, y=3) == (1, 3)
    assert (function.__name__, function.__doc__) == ("function", "Docstring.")
    assert recorded()
    with pytest.raises(ZeroDivisionError):
        fails()
    assert recorded()


def test_modes_as_decorators_of_generators_and_coroutines() -> None:
    @ad.no_grad()
    def steps() -> Iterator[bool]:
        try:
            got = yield recorded()
            assert got == "sent"
            yield recorded()
        except KeyError:
            yield recorded()

    @ad.no_grad
    async def later() -> bool:
        await asyncio.sleep(0)
        return recorded()

    generator: Any = steps()
    assert next(generator) is False
    assert recorded()
    assert generator.send("sent") is False
    assert generator.throw(KeyError()) is False
    generator.close()
    assert recorded()

    async def both() -> tuple[bool, bool]:
        task = asyncio.create_task(later())
        return recorded(), await task

    assert asyncio.run(both()) == (True, False)


def test_modes_are_each_threads_own() -> None:
    seen: list[bool] = []
    with ad.no_grad():
        thread = threading.Thread(target=lambda: seen.append(recorded()))
        thread.start()
        thread.join()
        assert not recorded()
    assert seen == [True]


def test_modes_are_each_tasks_own() -> None:
    async def work(mode: Any) -> bool:
        with mode():
            await asyncio.sleep(0)
            return recorded()

    async def both() -> list[bool]:
        return await asyncio.gather(work(ad.no_grad), work(ad.enable_grad), work(ad.no_grad))

    assert asyncio.run(both()) == [False, True, False]


def test_backward_runs_in_no_grad() -> None:
    x = leaf(3.0)
    y = x * x
    with ad.no_grad():
        y.backward()
    assert x.grad.item() == 6.0


# Cutting the graph ------------------------------------------------------------------------------------------


def test_detach_shares_memory_and_no_history() -> None:
    x = leaf([1.0, 2.0])
    y = x * 2
    d = y.detach()
    assert (d.requires_grad, d.is_leaf, d.grad_fn) == (False, True, None)
    d[0] = 10.0
    assert y.tolist() == [10.0, 4.0]
    (x * x.detach()).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0]


def test_what_keeps_the_graph() -> None:
    for keep in (
        ad.clone,
        ad.asarray,
        lambda x: x.double(),
        lambda x: x.to(x.device),
        lambda x: x.astype(ad.float64),
        lambda x: x.cpu(),
    ):
        x = leaf([1.0, 2.0])
        keep(x).sum().backward()
        assert x.grad.tolist() == [1.0, 1.0]
        assert x.grad.dtype == ad.float32


def test_leaves_cannot_be_written_while_recording() -> None:
    x = leaf([1.0, 2.0])
    writes: dict[str, Callable[[], Any]] = {
        "add_": lambda: x.add_(1),
        "zero_": lambda: x.zero_(),
        r"x\[\.\.\.\] = y": lambda: x.__setitem__(0, 5.0),
        "copy_": lambda: x.copy_(ad.zeros(2)),
    }
    for name, write in writes.items():
        with pytest.raises(errors.AutogradError, match=rf"^{name}: a leaf tensor that requires .* polyad.no_grad\(\):"):
            write()
    with pytest.raises(
        errors.AutogradError, match="a view of a leaf tensor that requires a gradient cannot be written"
    ):
        x[0:1].add_(1)
    assert x.tolist() == [1.0, 2.0]
    with ad.no_grad():
        x += 1
        x[0] = 5.0
    assert (x.tolist(), x.requires_grad, x.is_leaf) == ([5.0, 3.0], True, True)


def test_an_overwritten_value_is_noticed() -> None:
    x = leaf([1.0, 2.0])
    y = x * 2
    z = y * y
    y.add_(1)
    message = "MultiplyBackward kept for its gradient was overwritten .*add_.* Use the out-of-place form, or x.clone"
    with pytest.raises(errors.AutogradError, match=message):
        z.sum().backward()
    assert x.grad is None


# Several backends -------------------------------------------------------------------------------------------


def test_one_graph_over_two_backends(backend: Backend) -> None:
    other = nowhere(backend)
    x, w = leaf([1.0, 2.0]), ad.tensor([3.0, 4.0], requires_grad=True).to(backend=other.name).detach().requires_grad_()
    there = (x * x).to(backend=other.name)
    assert (there.backend, w.backend) == (other, other)
    back = (there * w).to(backend=backend.name)
    assert back.backend is backend
    (back * x).sum().backward()
    assert (x.grad.backend, w.grad.backend) == (backend, other)
    assert x.grad.tolist() == [3 * 1 * 3.0, 3 * 4 * 4.0]
    assert w.grad.tolist() == [1.0, 8.0]
    (second,) = ad.autograd.grad((x * x * x).to(backend=other.name).sum(), x, create_graph=True)
    (second,) = ad.autograd.grad(second.sum(), x)
    assert (second.tolist(), second.backend) == ([6.0, 12.0], backend)


def test_backends_never_mix(backend: Backend) -> None:
    other = nowhere(backend)
    x, y = ad.ones(2), ad.ones(2).to(backend=other.name)
    with pytest.raises(errors.DeviceError, match=f"(?s)add.*'{backend.name}'.*'{other.name}'.*to"):
        x + y


# Depth and memory -------------------------------------------------------------------------------------------


def chain(x: ad.Tensor, length: int) -> ad.Tensor:
    for _ in range(length):
        x = -x
    return x


def test_a_chain_of_200_000_operations() -> None:
    x = leaf(1.5)
    y = chain(x, 200_000)
    assert (y.item(), y.grad_fn.seq - chain(x, 1).grad_fn.seq) == (1.5, -1)  # one node an operation
    y.backward()
    assert x.grad.item() == 1.0
    del y  # freed without recursion, or the interpreter would die
    y = chain(x, 200_000)
    del y


def test_a_chain_is_passed_in_linear_work(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every node runs its rule once, and diamonds do not multiply the paths."""
    calls: list[int] = []

    @ad.function(name="counted", x=lambda g: calls.append(1) or g)  # type: ignore[func-returns-value]
    def counted(xp: Any, x: Any, /) -> Any:
        """x."""
        return xp.positive(x)

    monkeypatch.setattr(counted.function, "prepare", False)  # a compiled rule would count when it is compiled
    for length in (10, 40):
        calls.clear()
        x = leaf(1.0)
        y = x
        for _ in range(length):
            y = counted(y)
            y = (y + y) * 0.5
        y.backward()
        assert x.grad.item() == 1.0
        assert len(calls) == length


def test_a_graph_of_every_kind_of_node_is_freed_without_recursion() -> None:
    x = leaf([1.0, 2.0])
    y = x
    for _ in range(3_000):
        y = ad.stack([y, y])[0].reshape(2, 1).T.sum(axis=0).clip(-9.0, 9.0)
    del y
    z = x * 2
    for _ in range(20_000):
        z += 1.0
        z[0] = 1.0
    z.sum().backward()
    assert x.grad.tolist() == [0.0, 2.0]
    del z


def live(*kinds: type) -> int:
    return sum(issubclass(type(o), kinds) for o in gc.get_objects())  # isinstance would ask what others feign to be


def train(step: int, w: ad.Tensor, b: ad.Tensor, x: ad.Tensor) -> None:
    h = (x @ w + b).tanh().clone()
    h[0] = 0.0
    loss = (h.reshape(-1)[1:].exp() * ad.stack([h, h]).mean()).sum().log1p()
    if step % 2:
        loss.backward()
    else:
        for p, g in zip((w, b), ad.autograd.grad(loss, [w, b], create_graph=True), strict=True):
            p.grad = g.detach() if p.grad is None else p.grad + g.detach()
    with ad.no_grad():
        for p in (w, b):
            p -= 0.01 * p.grad
            p.grad.zero_()


def test_no_tensor_waits_for_the_garbage_collector() -> None:
    w, b, x = leaf([[0.1, 0.2], [0.3, 0.4]]), leaf([0.0, 0.1]), ad.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    ours = (ad.Tensor, Node, AccumulateGrad)
    for step in range(4):  # kernels are found and compiled, grads made
        train(step, w, b, x)
    gc.collect()
    gc.disable()
    try:
        before = live(*ours)
        for step in range(20):
            train(step, w, b, x)
        assert live(*ours) == before
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        assert [o for o in gc.garbage if issubclass(type(o), ours)] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_a_failed_backward_leaves_no_cycle() -> None:
    x = leaf([1.0, 2.0])
    ours = (ad.Tensor, Node, AccumulateGrad)
    gc.collect()
    gc.disable()
    try:
        before = live(*ours)
        for _ in range(3):
            y = x * x
            y.sum().backward()
            try:
                y.sum().backward()
            except errors.AutogradError:
                pass
            del y
        x.grad = None
        assert live(*ours) == before
    finally:
        gc.enable()


def test_a_leaf_that_nobody_holds_needs_no_gradient() -> None:
    y = leaf(2.0) * 3
    y.backward()
    assert y.grad_fn.next_functions[0][0].leaf() is None


# Copies and values out --------------------------------------------------------------------------------------


def test_pickling_and_deepcopy_of_leaves(backend: Backend) -> None:
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    for made in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x), copy.copy(x)):
        assert (made.tolist(), made.requires_grad, made.is_leaf) == ([1.0, 2.0], True, True)
        assert (made.dtype, made.backend, made.device) == (x.dtype, backend, x.device)
        with ad.no_grad():
            made.add_(1)
        assert x.tolist() == [1.0, 2.0]
    assert copy.deepcopy(x).grad.tolist() == [2.0, 4.0]
    assert copy.deepcopy(x).grad is not x.grad
    both = copy.deepcopy([x, x])
    assert both[0] is both[1]


def test_results_cannot_be_pickled_or_copied_deeply() -> None:
    y = leaf([1.0]) * 2
    with pytest.raises(errors.AutogradError, match=r"^deepcopy: only leaf tensors .* x.detach\(\).clone\(\)"):
        copy.deepcopy(y)
    with pytest.raises(errors.AutogradError, match=r"^pickle: only leaf tensors can be pickled; write x.detach\(\)"):
        pickle.dumps(y)


def test_size_is_a_number_and_a_call() -> None:
    x = ad.zeros(2, 3)
    assert (x.size, x.numel(), x.ndim, x.dim(), len(x)) == (6, 6, 2, 2, 2)
    assert (x.size(), x.size(0), x.size(-1), x.shape) == ((2, 3), 2, 3, (2, 3))
    assert isinstance(x.size, int)
    assert ad.tensor(1.0).size() == ()


def test_values_out() -> None:
    x = ad.tensor([[1.5, 2.0]])
    assert x.tolist() == [[1.5, 2.0]]
    assert ad.tensor(3).tolist() == 3
    assert [row.tolist() for row in x] == [[1.5, 2.0]]
    assert (ad.tensor([2.5]).item(), float(ad.tensor(2.5)), int(ad.tensor([3])), complex(ad.tensor(1.0))) == (
        2.5,
        2.5,
        3,
        1,
    )
    assert type(ad.tensor(3).item()) is int
    assert type(ad.tensor(True).item()) is bool
    assert [10, 20, 30][ad.tensor(1)] == 20
    assert (bool(ad.tensor(0.0)), bool(ad.tensor([True]))) == (False, True)
    assert 2.0 in x
    assert 9.0 not in x
    out = x.numpy()
    assert (type(out), out.dtype, out.tolist()) == (np.ndarray, np.float32, [[1.5, 2.0]])
    assert f"{ad.tensor(3.14159):.2f}" == "3.14"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x.item(), errors.ShapeError, r"^item: the tensor of shape \(2,\) has 2 elements, .* x.tolist\(\)"),
        (lambda x: bool(x), errors.ShapeError, r"^bool: a tensor of shape \(2,\) is not one number; write x.any\(\)"),
        (lambda x: float(x), errors.ShapeError, r"^float: a tensor of shape \(2,\) is not one number; index one"),
        (lambda x: int(x), errors.ShapeError, r"^int: a tensor of shape \(2,\)"),
        (lambda x: bool(x[:0]), errors.ShapeError, r"^bool: a tensor of shape \(0,\) is not one number"),
        (lambda x: len(x[0]), errors.OperandError, "^len: a 0-d tensor has no length"),
        (lambda x: list(x[0]), errors.OperandError, r"0-d tensor cannot be iterated over; write x.item\(\)"),
        (lambda x: [1, 2][x[0]], errors.OperandError, "only integer tensors can be an index or a length; got float32"),
        (lambda x: ad.Tensor([1.0]), errors.OperandError, r"write polyad.tensor\(data\) for a new tensor"),
    ],
)
def test_values_that_do_not_come_out(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(ad.tensor([1.0, 2.0]))


def test_numpy_of_a_tensor_that_requires_a_gradient() -> None:
    x = leaf([1.0, 2.0])
    for tensor in (x, x * 2):
        with pytest.raises(errors.AutogradError, match=r"^numpy: .* write x.detach\(\).numpy\(\)"):
            tensor.numpy()
    assert x.detach().numpy().tolist() == [1.0, 2.0]


def test_hooks_see_and_replace_gradients() -> None:
    x = leaf(3.0)
    seen: list[float] = []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.item()))
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    (y * y).backward()
    assert (seen, x.grad.item()) == ([12.0], 12.0 * 10 * 2 + 1)


# PyTorch as the oracle --------------------------------------------------------------------------------------


def program(lib: Any, x: Any, w: Any) -> Any:
    """A program that both libraries can run: branches, views, writes, one value used often."""
    h = x @ w
    h = h * h.exp() if h.detach().sum().item() > 0 else h.sin()
    v = h.reshape(-1)
    v = v + v[1] * 2
    u = v.clone()
    u[0:2] *= v[2]
    u[-1] = 0.5
    return (u.tanh() * v).mean() + (w.T @ w).abs().sum()


def test_a_program_agrees_with_pytorch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    for _ in range(3):
        a, b = rng.normal(size=(2, 3)), rng.normal(size=(3, 2))
        results = []
        for lib in (ad, torch):
            x, w = lib.tensor(a.tolist(), dtype=lib.float64), lib.tensor(b.tolist(), dtype=lib.float64)
            x.requires_grad_()
            w.requires_grad_()
            y = program(lib, x, w)
            first = lib.autograd.grad(y, [x, w], create_graph=True)
            second = lib.autograd.grad((first[0] * first[0]).sum() + first[1].sum(), [x, w])
            results.append([t.detach().tolist() for t in (y, *first, *second)])
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_numpy_takes_tensors_that_require_no_gradient(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0])
    assert np.asarray(x).tolist() == [1, 2]
    assert np.asarray(x, dtype=np.int64).dtype == np.int64
    assert np.allclose(np.asarray(x), [1, 2])
    assert np.array(x).flags.owndata
    with pytest.raises(errors.AutogradError, match="numpy: the tensor requires a gradient"):
        np.asarray(x.requires_grad_())


# Hooks ------------------------------------------------------------------------------------------------------


def test_a_hook_sees_the_whole_gradient_and_may_replace_it(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    seen: list[Any] = []
    handle = y.register_hook(lambda g: seen.append(g.tolist()) or g * 10)
    (y.sum() + (y * 2).sum()).backward(retain_graph=True)
    assert seen == [[3, 3]]
    assert x.grad.tolist() == [90, 90]
    handle.remove()
    x.grad = None
    (y * 1).sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_a_hook_on_one_of_several_outputs(backend: Backend) -> None:
    x = ad.tensor([[2.0, 0.0], [0.0, 1.0]], requires_grad=True)
    values, vectors = ad.linalg.eigh(x)
    assert (values.output_nr, vectors.output_nr) == (0, 1)
    with values.register_hook(lambda g: g * 2):
        values.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [[2, 0], [0, 2]]
    x.grad = None
    values.sum().backward()
    assert x.grad.tolist() == [[1, 0], [0, 1]]


def test_a_hook_needs_a_gradient(backend: Backend) -> None:
    with pytest.raises(errors.AutogradError, match="register_hook: the tensor does not require a gradient"):
        ad.ones(2).register_hook(lambda g: None)


@pytest.mark.parametrize(
    ("result", "error", "match"),
    [
        (
            lambda: ad.ones(7),
            errors.ShapeError,
            r"the hook '.*' returned: the gradient has shape \(7,\); expected \(3,\)",
        ),
        (
            lambda: ad.ones(3).long(),
            errors.DTypeError,
            "the hook '.*' returned: the gradient is int64; expected float32",
        ),
        (lambda: 3, errors.OperandError, "a hook must return a tensor or None; .* returned a int"),
    ],
)
def test_what_a_hook_returns_is_checked(backend: Backend, result: Any, error: Any, match: str) -> None:
    x = ad.ones(3, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: result())
    with pytest.raises(error, match=match):
        y.sum().backward()
    assert x.grad is None


def test_a_hook_must_be_callable(backend: Backend) -> None:
    with pytest.raises(errors.OperandError, match="a hook must be callable; got 3"):
        ad.ones(3, requires_grad=True).register_hook(3)


def test_retain_grad_keeps_what_hooks_made_of_the_gradient(backend: Backend) -> None:
    x = ad.tensor(1.0, requires_grad=True)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g + 1)
    (y * 1).backward()
    assert (y.grad.item(), x.grad.item()) == (2, 4)  # as in PyTorch


@pytest.mark.parametrize(
    ("value", "error", "match"),
    [
        (lambda: 3, errors.OperandError, "grad: expected a tensor or None; got a int"),
        (lambda: ad.ones(7), errors.ShapeError, r"grad: the gradient has shape \(7,\); expected \(3,\)"),
        (lambda: ad.ones(3).double(), errors.DTypeError, "grad: the gradient is float64; expected float32"),
    ],
)
def test_grad_takes_only_what_can_be_the_gradient(backend: Backend, value: Any, error: Any, match: str) -> None:
    x = ad.ones(3, requires_grad=True)
    x.grad = ad.zeros(3)
    with pytest.raises(error, match=match):
        x.grad = value()
    assert x.grad.tolist() == [0, 0, 0]


def test_grad_of_another_backend_is_refused(backend: Backend) -> None:
    other = "numpy" if backend.name != "numpy" else "jax"
    try:
        value = ad.ones(3, backend=other)
    except errors.BackendError as error:
        pytest.skip(str(error))
    with pytest.raises(errors.DeviceError, match="grad: the gradient is on backend .*; expected backend"):
        ad.ones(3, requires_grad=True).grad = value


def test_format_of_one_number_is_the_numbers(backend: Backend) -> None:
    assert f"{ad.tensor(2.5)} {ad.tensor(2.5):.3f} {ad.tensor([1.0])}" == "2.5 2.500 tensor([1.])"
