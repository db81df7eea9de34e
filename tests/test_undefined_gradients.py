"""Gradients that are None on the way: what hooks see, and what they may put there; on every backend, beside PyTorch."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import polyad as ad
from polyad import errors

pytestmark = pytest.mark.usefixtures("backend")

graph = ad.autograd.graph


def first_only(lib: Any) -> Any:
    """The sum of two tensors, whose backward gives the second no gradient."""
    body = {
        "forward": staticmethod(lambda ctx, a, b: a + b),
        "backward": staticmethod(lambda ctx, g: (g, None)),
    }
    return type("FirstOnly", (lib.autograd.Function,), body).apply


def leaves(lib: Any) -> tuple[Any, Any]:
    return lib.tensor([1.0, 2.0], requires_grad=True), lib.tensor([3.0, 4.0], requires_grad=True)


def noted(seen: list[Any]) -> Callable[[Any], None]:
    def note(found: Any) -> None:
        found = found if isinstance(found, (list, tuple)) else [found]
        seen.append([None if g is None else g.tolist() for g in found])

    return note


def beside_torch(program: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    assert program(ad) == program(torch)


# Hooks of several tensors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["all", "any"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0), (0, 1, 0)])
def test_hook_of_tensors_that_get_none(mode: str, order: tuple[int, ...]) -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        both = leaves(lib)
        lib.autograd.graph.register_multi_grad_hook([both[i] for i in order], noted(seen), mode=mode)
        for _ in range(2):
            first_only(lib)(*both).sum().backward()
        return seen

    if mode == "all":
        assert program(ad) == [[[1, 1] if i == 0 else None for i in order]] * 2
    beside_torch(program)


def test_hook_of_tensors_reached_late() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        a, b = leaves(lib)
        c = b * 2
        lib.autograd.graph.register_multi_grad_hook([c, a], noted(seen))
        first_only(lib)(a, c).sum().backward()
        return seen

    assert program(ad) == [[None, [1, 1]]]
    beside_torch(program)


def test_hook_of_tensors_with_create_graph() -> None:
    a, b = leaves(ad)
    seen: list[Any] = []
    graph.register_multi_grad_hook([a, b], lambda found: seen.append(found[0] * 2))
    first_only(ad)(a * a, b).sum().backward(create_graph=True)
    assert seen[0].requires_grad
    seen.clear()
    first_only(ad)(a * a, b).sum().backward()
    assert not seen[0].requires_grad


def test_nothing_is_held_after_a_failed_pass() -> None:
    a, b = leaves(ad)
    seen: list[Any] = []
    gradients: list[Any] = []

    def fail(g: Any) -> None:
        raise ValueError("on purpose")

    failing = b.register_hook(fail)
    graph.register_multi_grad_hook([a, b], noted(seen))
    a.register_hook(lambda g: gradients.append(weakref.ref(g)))
    for _ in range(3):
        with pytest.raises(ValueError, match="on purpose"):
            (a * b).sum().backward()
    gc.collect()
    assert [g() for g in gradients] == [None] * 3
    failing.remove()
    (a * b).sum().backward()
    assert seen == [[[3, 4], [1, 2]]]


# Hooks of nodes -------------------------------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "multiply": lambda lib, a: a * 2,
    "sum": lambda lib, a: a.sum(),
    "exp": lambda lib, a: a.exp(),
    "concat": lambda lib, a: lib.cat([a, a]),
    "matmul": lambda lib, a: a @ a,
    "function": lambda lib, a: first_only(lib)(a, a),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_prehook_that_returns_none(name: str) -> None:
    def program(lib: Any) -> Any:
        a, b = leaves(lib)
        y = OPERATIONS[name](lib, a)
        y.grad_fn.register_prehook(lambda grads: (None,))
        found = lib.autograd.grad(y.sum() + b.sum(), [a, b], allow_unused=True, retain_graph=True)
        (y.sum() + b.sum()).backward()
        return [None if g is None else g.tolist() for g in (*found, a.grad, b.grad)]

    assert program(ad)[0] == ([0, 0] if name == "function" else None)  # whose gradients are materialized
    beside_torch(program)


def test_prehook_of_several_outputs_and_of_a_leaf_that_returns_none() -> None:
    a, b = leaves(ad)
    values, _ = ad.topk(a, 1)
    values.grad_fn.register_prehook(lambda grads: (None, None))
    (values.sum() + b.sum()).backward()
    assert a.grad is None
    ((node, _), *_) = (a * 2).grad_fn.next_functions
    node.register_prehook(lambda grads: (None,))
    (a * b).sum().backward(inputs=[a, b])
    assert a.grad is None
    assert b.grad is not None
    assert b.grad.tolist() == [1 + 1, 1 + 2]


@pytest.mark.parametrize("kind", ["pre", "post"])
def test_hook_that_fills_a_place_without_gradient(kind: str) -> None:
    a, b = leaves(ad)
    if kind == "post":
        y = first_only(ad)(a, b)
        y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0], ad.ones(2)))
    else:
        y, _ = ad.topk(a, 1)
        y.grad_fn.register_prehook(lambda grads: (grads[0], ad.ones(1)))
    with pytest.raises(
        errors.OperandError, match="got None as gradient 1 and returned a Tensor in its place; .* return None there"
    ):
        y.sum().backward()
    assert a.grad is None
    assert b.grad is None


def test_hook_that_drops_gradients() -> None:
    def program(lib: Any) -> Any:
        a, b = leaves(lib)
        y = a * b
        y.grad_fn.register_hook(lambda inputs, outputs: (None, inputs[1] * 2))
        y.sum().backward()
        return [a.grad, b.grad.tolist()]

    assert program(ad) == [None, [2, 4]]
    beside_torch(program)
