"""What `backward` and `grad` may be given, and what they refuse, on every backend and beside PyTorch."""

from collections.abc import Callable
from typing import Any

import pytest

import polyad as ad
from polyad import errors

pytestmark = pytest.mark.usefixtures("backend")

get_gradient_edge = ad.autograd.graph.get_gradient_edge


def leaf(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, requires_grad=True, **kwargs)


def beside_torch(program: Callable[[Any], Any]) -> None:
    """Run a program with polyad, and with PyTorch, and compare the numbers that it gives."""
    torch = pytest.importorskip("torch")
    assert program(ad) == program(torch)


def numbers(found: Any) -> Any:
    if isinstance(found, dict):
        return {name: numbers(g) for name, g in found.items()}
    if isinstance(found, tuple):
        return [numbers(g) for g in found]
    return None if found is None else found.tolist()


# Iterables ------------------------------------------------------------------------------------------------------

CONTAINERS: dict[str, Callable[[Any, Any], Any]] = {
    "list": lambda x, w: [x, w],
    "generator": lambda x, w: (t for t in (x, w)),
    "values": lambda x, w: {"x": x, "w": w}.values(),
    "iterator": lambda x, w: iter((x, w)),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_inputs_are_any_iterable(kind: str) -> None:
    def program(lib: Any) -> Any:
        x, w, other = (lib.tensor(v, requires_grad=True) for v in (2.0, 3.0, 5.0))
        found = numbers(lib.autograd.grad(x * w * other, CONTAINERS[kind](x, w)))
        (x * w * other).backward(inputs=CONTAINERS[kind](x, w))
        return [found, x.grad.item(), w.grad.item(), other.grad]

    assert program(ad)[0] == [15, 10]
    beside_torch(program)


def test_inputs_are_a_set() -> None:
    x, w = leaf(2.0), leaf(3.0)
    (x * w).backward(inputs={x, w})
    assert x.grad is not None
    assert x.grad.item() == 3


def test_inputs_are_a_dictionary() -> None:
    def program(lib: Any) -> Any:
        x, w = (lib.tensor(v, requires_grad=True) for v in (2.0, 3.0))
        found = lib.autograd.grad(x * 2, {"x": x, "w": w}, allow_unused=True)
        many = lib.autograd.grad(x * w, {"x": x, 1: w}, lib.tensor([1.0, 10.0]), is_grads_batched=True)
        (x * w).backward(inputs={"w": w})
        return [numbers(found), numbers(many), x.grad, w.grad.item()]

    assert program(ad)[0] == {"x": 2, "w": None}
    beside_torch(program)


def test_outputs_and_their_gradients_are_any_iterable() -> None:
    def program(lib: Any) -> Any:
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        ys = [x * 2, x * x]
        gs = [lib.tensor([1.0, 10.0]), lib.tensor([3.0, 4.0])]
        found = numbers(lib.autograd.grad(iter(ys), x, iter(gs), retain_graph=True))
        lib.autograd.backward((y for y in ys), dict(enumerate(gs)).values())
        return [found, x.grad.tolist()]

    assert program(ad)[1] == [2 + 6, 20 + 16]
    beside_torch(program)


def test_what_is_no_tensor_is_named() -> None:
    x = leaf(2.0)
    with pytest.raises(errors.OperandError, match=r"grad: outputs must be a tensor, .* got \{'y': tensor\(4"):
        ad.autograd.grad({"y": x * 2}, x)  # type: ignore[call-overload]
    with pytest.raises(errors.OperandError, match="backward: inputs must be a tensor, .* iterable of them; got 'x'"):
        (x * 2).backward(inputs="x")
    with pytest.raises(errors.OperandError, match=r"grad: inputs must be a tensor, .* got \[tensor"):
        ad.autograd.grad(x * 2, [[x]])  # type: ignore[list-item]
    assert x.grad is None


def test_no_inputs() -> None:
    x = leaf(2.0)
    with pytest.raises(errors.ArgumentError, match="^backward: inputs is empty, so there is nothing to compute"):
        (x * 2).backward(inputs=[])
    with pytest.raises(errors.ArgumentError, match="^backward: inputs is empty"):
        (x * 2).backward(inputs=(t for t in ()))
    with pytest.raises(errors.ArgumentError, match="^grad: inputs is empty"):
        ad.autograd.grad(x * 2, {})
    assert x.grad is None


# Edges ----------------------------------------------------------------------------------------------------------


def test_unused_edge() -> None:
    def program(lib: Any) -> Any:
        x, w = (lib.tensor(v, requires_grad=True) for v in (2.0, 3.0))
        edges = [lib.autograd.graph.get_gradient_edge(t) for t in (x * 2, w)]
        return numbers(lib.autograd.grad(w * 3, edges, allow_unused=True))

    assert program(ad) == [None, 3]
    beside_torch(program)
    x, w = leaf(2.0), leaf(3.0)
    with pytest.raises(errors.AutogradError, match=r"inputs\[0\], the edge to MultiplyBackward, was not used"):
        ad.autograd.grad(w * 3, get_gradient_edge(x * 2))
    with pytest.raises(errors.AutogradError, match="materialize_grads=True takes tensors alone"):
        ad.autograd.grad(w * 3, get_gradient_edge(x * 2), materialize_grads=True)


def test_a_pass_starts_at_edges() -> None:
    def program(lib: Any) -> Any:
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        y = x * 3
        loss, edge = y.sum(), lib.autograd.graph.get_gradient_edge(y)
        total = lib.autograd.graph.get_gradient_edge(loss)
        g = lib.tensor([1.0, 10.0])
        found = [lib.autograd.grad(edge, x, g, retain_graph=True), lib.autograd.grad(total, x, retain_graph=True)]
        lib.autograd.backward(total, retain_graph=True)
        lib.autograd.backward([edge, loss], [g, None])
        return [[t.tolist() for (t,) in found], x.grad.tolist()]

    assert program(ad) == [[[3, 30], [3, 3]], [9, 36]]
    beside_torch(program)


def test_edges_of_one_output_of_several_and_of_a_leaf() -> None:
    x = leaf([3.0, 1.0, 2.0])
    values, _ = ad.topk(x, 2)
    edge = get_gradient_edge(values)
    del values
    (found,) = ad.autograd.grad(edge, x, ad.tensor([1.0, 10.0]))
    assert found.tolist() == [1, 0, 10]
    (itself,) = ad.autograd.grad(get_gradient_edge(x), x, ad.tensor([1.0, 2.0, 3.0]))
    assert itself.tolist() == [1, 2, 3]


def test_gradients_of_edges_are_checked() -> None:
    x = leaf([1.0, 2.0])
    edge = get_gradient_edge(x * 2)
    with pytest.raises(errors.ShapeError, match=r"grad: the gradient has shape \(3,\); expected \(2,\)"):
        ad.autograd.grad(edge, x, ad.ones(3))
    with pytest.raises(errors.ShapeError, match=r"a gradient is implied only for a tensor of one element; .* \(2,\)"):
        ad.autograd.backward(edge)
    with pytest.raises(errors.DTypeError, match="the gradient is complex64; expected float32"):
        ad.autograd.grad(edge, x, ad.tensor([1j, 1j]))
    (g,) = ad.autograd.grad(edge, x, ad.ones(2, dtype=ad.float64))
    assert g.dtype is ad.float32
    by_hand = ad.autograd.graph.GradientEdge((x * 2).grad_fn, 0)
    with pytest.raises(errors.AutogradError, match=r"does not say which gradients fit; write .*get_gradient_edge\(ten"):
        ad.autograd.grad(by_hand, x, ad.ones(2))


def test_edges_to_accumulate_into() -> None:
    def program(lib: Any) -> Any:
        x, w = (lib.tensor(v, requires_grad=True) for v in (2.0, 3.0))
        (x * w).backward(inputs=lib.autograd.graph.get_gradient_edge(x))
        return [x.grad.item(), w.grad]

    assert program(ad) == [3, None]
    beside_torch(program)
    x = leaf(2.0)
    y = x * 2
    with pytest.raises(errors.AutogradError, match="the edge to MultiplyBackward, which has no grad to accumulate"):
        (y * 3).backward(inputs=[get_gradient_edge(y)])  # which PyTorch takes, and does nothing


# Implied gradients, and PyTorch's older names ---------------------------------------------------------------------


@pytest.mark.parametrize("call", ["backward", "grad"])
def test_no_gradient_is_implied_for_complex_numbers(call: str) -> None:
    x = leaf([1.0, 2.0])
    y = (x * (1 + 2j)).sum()
    argument = "gradient" if call == "backward" else "grad_outputs"
    with pytest.raises(
        errors.DTypeError, match=rf"{call}: a gradient is implied .* real .* complex64. Pass {argument}"
    ):
        y.backward() if call == "backward" else ad.autograd.grad(y, x)
    assert x.grad is None
    y.backward(ad.tensor(1 + 0j))
    assert numbers(x.grad) == [1, 1]


def test_gradients_under_an_older_name() -> None:
    x = leaf([1.0, 2.0])
    g = ad.tensor([1.0, 10.0])
    with pytest.warns(FutureWarning, match="grad_variables is deprecated; write grad_tensors="):
        ad.autograd.backward([x * 2], grad_variables=[g])
    assert numbers(x.grad) == [2, 20]
    with pytest.raises(errors.ArgumentError, match="the old name of grad_tensors; pass grad_tensors alone"):
        ad.autograd.backward([x * 2], [g], grad_variables=[g])


def test_only_inputs() -> None:
    x = leaf(2.0)
    assert numbers(ad.autograd.grad(x * 3, x, None, None, False, True, True)) == [3]  # in PyTorch's order
    with pytest.warns(FutureWarning, match="only_inputs=False is without effect"):
        ad.autograd.grad(x * 3, x, only_inputs=False)
