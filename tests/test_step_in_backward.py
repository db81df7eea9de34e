"""The optimizer's step in hooks, each as soon as its gradient is there: the same numbers, in less memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from test_accumulation_hooks import beside_torch, leaf, leaves, noting, stepping
from test_memory import SMALL, peak, peak_in_pytorch, traced

import polyad as ad
from polyad.func import vmap
from polyad.testing import assert_close
from polyad.utils.checkpoint import checkpoint
from polyad.views import raw

DEPTH = 30


def network(width: int) -> Any:
    ad.random.manual_seed(0)
    layers = [part for _ in range(DEPTH) for part in (ad.nn.Linear(width, width), ad.nn.Tanh())]
    return ad.nn.Sequential(*layers, ad.nn.Linear(width, 1))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_steps_in_backward_are_those_after_it(optimizer: str) -> None:
    make = getattr(ad.optim, optimizer)
    x = ad.random.normal(0.0, 1.0, (8, 5))
    after, inside = network(5), network(5)
    whole = make(after.parameters(), lr=0.05)
    each = {p: make([p], lr=0.05) for p in inside.parameters()}

    def step(p: ad.Tensor) -> None:
        each[p].step()
        p.grad = None

    for p in inside.parameters():
        p.register_post_accumulate_grad_hook(step)
    for _ in range(4):
        (after(x) ** 2).mean().backward()
        whole.step()
        whole.zero_grad()
        (inside(x) ** 2).mean().backward()
    for p, q in zip(after.parameters(), inside.parameters(), strict=True):
        assert p.tolist() == q.tolist()
        assert q.grad is None


@pytest.mark.usefixtures("backend")
def test_no_more_than_one_layers_gradients_are_alive() -> None:
    net = network(5)
    gradients: list[weakref.ref[Any]] = []
    alive: list[int] = []
    left: list[bool] = []

    def look(p: ad.Tensor) -> None:
        gradients.append(weakref.ref(raw(p.grad)))
        alive.append(sum(r() is not None for r in gradients))
        p.grad = None
        left.append(gradients[-1]() is not None)

    for p in net.parameters():
        p.register_post_accumulate_grad_hook(look)
    gc.collect()
    net(ad.ones(3, 5)).sum().backward()
    assert len(alive) == 2 * (DEPTH + 1)
    assert set(alive) == {1}
    assert not any(left)  # a hook drops the last reference


@pytest.mark.usefixtures("backend")
def test_weights_that_layers_share() -> None:
    def program(lib: Any) -> Any:
        (x,) = leaves(lib, [[1.0, -1.0]])
        w, v = leaves(lib, [[1.0, 0.5], [0.5, 2.0]], [[2.0, 1.0], [1.0, 3.0]])
        seen: list[Any] = []
        for name, t in (("w", w), ("v", v)):
            t.register_post_accumulate_grad_hook(noting(seen, name, stepping(lib)))
        for _ in range(2):
            h = x @ w @ v @ w
            h.register_hook(lambda g: seen.append("h"))
            (h @ w).sum().backward()
        return [seen, w.tolist(), v.tolist(), x.grad.tolist()]

    assert [s[0] for s in beside_torch(program)[0]] == ["h", "v", "w"] * 2


@pytest.mark.usefixtures("backend")
def test_steps_inside_checkpoints() -> None:
    def gradients(block: Callable[..., Any]) -> list[Any]:
        seen: list[Any] = []
        x, w, b, v = leaf(0.1, 0.2), leaf(0.3, 0.4), leaf(0.5, 0.6), leaf(0.7, 0.8)
        for name, t in (("w", w), ("b", b), ("v", v)):
            t.register_post_accumulate_grad_hook(noting(seen, name, stepping(ad)))
        h = block(lambda x: ((x * w).exp() + b).tanh() * v, x)
        block(lambda x: (x * v).exp(), h).sum().backward()
        return [seen, *(t.tolist() for t in (w, b, v, x.grad))]

    assert gradients(lambda f, x: checkpoint(f, x)) == gradients(lambda f, x: f(x))


@pytest.mark.usefixtures("backend")
def test_steps_under_vmap() -> None:
    seen: list[str] = []

    def stepped(x: Any, w: Any) -> Any:
        v, u = (x * 1).requires_grad_(), (w * 1).requires_grad_()

        def step(t: Any) -> None:
            seen.append("v" if t is v else "u")
            stepping(ad, 1.0)(t)

        for t in (v, u):
            t.register_post_accumulate_grad_hook(step)
        h = v * v
        h.register_hook(lambda g: seen.append("h"))
        (h * u).sum().backward()
        return v.detach(), u.detach()

    x, w = ad.tensor([[1.0, 2.0], [3.0, 4.0]]), ad.tensor([5.0, 6.0])
    v, u = vmap(stepped, (0, None))(x, w)
    assert_close(v, x - 2 * x * w)
    assert_close(u, w - x * x)
    assert seen == ["u", "h", "v"]


def test_steps_inside_a_trace() -> None:
    jax = pytest.importorskip("jax")

    def steps(x: Any, w: Any, v: Any) -> Any:
        w, v = w.detach().clone().requires_grad_(), v.detach().clone().requires_grad_()
        for t in (w, v):
            t.register_post_accumulate_grad_hook(stepping(ad))
        for _ in range(2):
            ((x * w).tanh() * v).sum().backward()
        return w.detach(), v.detach()

    with ad.use_backend("jax"):
        given = ad.tensor([0.1, 0.2]), ad.tensor([0.3, 0.4]), ad.tensor([0.5, 0.6])
        for traced, plain in zip(jax.jit(steps)(*given), steps(*given), strict=True):
            assert_close(traced, plain)


# Memory ---------------------------------------------------------------------------------------------------------


class StepInBackward:
    """A training step of a deep network of linear layers: hooks step each parameter, and drop its gradient."""

    def __init__(self, lib: Any, width: int, depth: int) -> None:
        self.layers = lib.nn.Sequential(*(lib.nn.Linear(width, width) for _ in range(depth)))
        self.parameters = list(self.layers.parameters())
        for p in self.parameters:
            p.register_post_accumulate_grad_hook(self.step)
        self.x = lib.ones(1, width)
        self.run()

    def step(self, p: Any) -> None:
        p.sub_(p.grad.mul_(0.1))
        p.grad = None

    def run(self) -> None:
        self.layers(self.x).sum().backward()


def test_the_peak_of_steps_in_backward_is_at_most_pytorchs() -> None:
    torch, width, depth = pytest.importorskip("torch"), 256, 30
    step = StepInBackward(torch, width, depth)
    theirs = peak_in_pytorch(step.run, [*step.parameters, step.x])
    assert peak_of_step_in_backward(width, depth) <= theirs + SMALL


def test_the_peak_of_steps_in_backward_is_one_layers_gradients() -> None:
    width, depth = 256, 30
    activations, layer = 4 * width * depth, 4 * width * (width + 1)
    assert peak_of_step_in_backward(width, depth) <= activations + layer + SMALL


@traced()
def peak_of_step_in_backward(width: int, depth: int) -> int:
    """The peak of polyad's in arrays."""
    objects = peak(StepInBackward(ad, 1, depth).run)
    return peak(StepInBackward(ad, width, depth).run) - objects
