"""Leaves: asking for gradients, freezing, sharing memory by ``data``, and their nodes; beside PyTorch."""

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad import errors, leaves

pytestmark = pytest.mark.usefixtures("backend")


def leaf(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, requires_grad=True, **kwargs)


def beside_torch(program: Callable[[Any], Any]) -> None:
    """Run a program with polyad, and with PyTorch, and compare the numbers that it gives."""
    torch = pytest.importorskip("torch")
    assert program(ad) == program(torch)


def numbers(*tensors: Any) -> list[Any]:
    return [None if t is None else t.tolist() for t in tensors]


# Asking for a gradient ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["no", 1, 0, 1.5, None])
def test_requires_grad_is_a_bool(value: Any) -> None:
    x, y = leaf(1.0), ad.ones(2)
    for write in (x.requires_grad_, y.requires_grad_, lambda v: setattr(y, "requires_grad", v)):
        with pytest.raises(errors.OperandError, match=f"requires_grad: expected True or False; got {value!r}"):
            write(value)
    assert x.requires_grad
    assert not y.requires_grad


def test_requires_grad_of_new_tensors_is_a_bool() -> None:
    for make in (lambda v: ad.tensor([1.0], requires_grad=v), lambda v: ad.ones(2, requires_grad=v)):
        with pytest.raises(errors.OperandError, match="requires_grad: expected True or False; got 'no'"):
            make("no")
    assert ad.ones(2, requires_grad=np.bool_(True)).requires_grad
    assert not leaf(1.0).requires_grad_(np.bool_(False)).requires_grad
    with pytest.raises(errors.OperandError, match=r"requires_grad: expected True or False; got tensor\(True\)"):
        ad.ones(2).requires_grad_(ad.tensor(True))  # type: ignore[arg-type]


def test_own_gradient() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(
        errors.AutogradError, match=r"grad: a tensor cannot be its own gradient; .*detach\(\).clone\(\)"
    ):
        x.grad = x
    assert x.grad is None
    x.grad = x.detach()
    assert numbers(x.grad) == [[1, 2]]
    del x.grad
    assert x.grad is None


def test_retains_grad() -> None:
    def program(lib: Any) -> Any:
        x = lib.tensor(3.0, requires_grad=True)
        y = x * 2
        found = [y.retains_grad, lib.ones(2).retains_grad]
        for t in (x, y, y):
            t.retain_grad()
        (y * y).backward()
        return [*found, x.retains_grad, y.retains_grad, y.grad.item()]

    assert program(ad) == [False, False, False, True, 12]
    beside_torch(program)


def test_is_inference() -> None:
    with ad.inference_mode():
        assert not ad.ones(2).is_inference()


def test_views_are_not_detached_in_place() -> None:
    x = leaf([1.0, 2.0]) * 3
    for view in (x[:1], x.reshape(2, 1), ad.ones(2)[1:]):
        with pytest.raises(errors.AutogradError, match=r"detach_: a view shares the history .* write x.detach\(\)"):
            view.detach_()
    assert x[:1].requires_grad
    assert not x.detach_().requires_grad
    assert not x.detach().detach_().requires_grad


# Freezing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["requires_grad_", "detach_"])
def test_frozen_after_the_forward_pass(how: str) -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        x.register_hook(lambda g: seen.append(g.tolist()))
        y = (x * x).sum()
        x.detach_() if how == "detach_" else x.requires_grad_(False)
        y.backward(retain_graph=True)
        found = numbers(x.grad)
        x.requires_grad_(True)
        found += numbers(*lib.autograd.grad(y, x, retain_graph=True))
        y.backward()
        (x * 3).sum().backward()
        return [found, seen, numbers(x.grad)]

    assert program(ad) == [[None, [2, 4]], [[2, 4], [2, 4], [2, 4], [3, 3]], [[5, 7]]]
    beside_torch(program)


def test_what_is_frozen_is_forgotten_with_its_tensor() -> None:
    gc.collect()
    before = len(leaves._frozen)
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: g)
    x.requires_grad_(False)
    assert len(leaves._frozen) == before + 1
    del x
    gc.collect()
    assert len(leaves._frozen) == before


def test_frozen_is_refused_as_an_input() -> None:
    x = leaf([1.0, 2.0])
    y = (x * 2).sum()
    x.requires_grad_(False)
    with pytest.raises(errors.AutogradError, match=r"inputs\[0\], of shape \(2,\), does not require a gradient"):
        ad.autograd.grad(y, x)


# Other elements -------------------------------------------------------------------------------------------------


def test_data_shares_memory() -> None:
    def program(lib: Any) -> Any:
        flat = lib.tensor([0.0, 1.0, 2.0, 3.0])
        x = lib.tensor([5.0, 6.0], requires_grad=True)
        old, view = x.detach(), x.view(2, 1)
        x.grad = lib.ones(2)
        x.data = flat[2:4]
        flat.mul_(10)
        found = numbers(flat, x, old, view, x.grad)
        with lib.no_grad():
            x.sub_(1)
        (x * x).sum().backward()
        return [found, numbers(flat, x, old, x.grad), x.is_leaf, x.requires_grad]

    assert program(ad)[0] == [[0, 10, 20, 30], [20, 30], [5, 6], [[5], [6]], [1, 1]]
    beside_torch(program)


def test_flat_parameters() -> None:
    def program(lib: Any) -> Any:
        parameters = [lib.tensor([1.0, 2.0], requires_grad=True), lib.tensor([[3.0], [4.0]], requires_grad=True)]
        flat = lib.cat([p.detach().reshape(-1) for p in parameters])
        for i, p in enumerate(parameters):
            p.data = flat[2 * i : 2 * i + 2].view(*p.shape)
        for _ in range(2):
            sum((p * p).sum() for p in parameters).backward()
            with lib.no_grad():
                flat.sub_(lib.cat([p.grad.reshape(-1) for p in parameters]), alpha=0.25)
            for p in parameters:
                p.grad = None
        return numbers(flat, *parameters)

    beside_torch(program)
    assert program(ad)[0] == [0.25, 0.5, 0.75, 1]


def test_data_keeps_the_place_in_the_graph() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        x.register_hook(lambda g: seen.append(g.tolist()))
        y = (x * 3).sum()
        z = x * 2
        x.data = lib.tensor([5.0, 6.0])
        z.data = lib.tensor([7.0, 8.0])
        y.backward()
        (z * 10).sum().backward()
        return [seen, numbers(x, x.grad, z), z.is_leaf]

    assert program(ad) == [[[3, 3], [20, 20]], [[5, 6], [23, 23], [7, 8]], False]
    beside_torch(program)


def test_what_was_kept_is_what_it_was() -> None:
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    x.data = ad.tensor([50.0, 60.0])
    y.backward()
    assert numbers(x.grad) == [[2, 4]]  # PyTorch: the new values', of a function that was never computed


def test_data_of_other_forms() -> None:
    def program(lib: Any) -> Any:
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        seen: list[Any] = []
        x.register_hook(lambda g: seen.append(g.tolist()))
        x.data = lib.tensor([1.0, 2.0, 3.0], dtype=lib.float64)
        (x * x).sum().backward()
        plain = lib.ones(2)
        plain.data = lib.tensor([1, 2, 3])
        return [seen, numbers(x, x.grad, plain), plain.dtype is lib.int64]

    assert program(ad)[0] == [[2, 4, 6]]
    beside_torch(program)


def test_data_is_checked() -> None:
    x = leaf([1.0, 2.0])
    y = x * 2
    with pytest.raises(errors.OperandError, match=r"data: the value is list \[1.0\]; expected a tensor"):
        x.data = [1.0]  # type: ignore[assignment]
    with pytest.raises(errors.DTypeError, match="data: the tensor requires a gradient, which int64 cannot have"):
        x.data = ad.tensor([1, 2])
    with pytest.raises(
        errors.ShapeError, match=r"result of MultiplyBackward, whose gradient fits shape \(2,\).*\(3,\)"
    ):
        y.data = ad.ones(3)
    assert numbers(x, y) == [[1, 2], [2, 4]]
    node = ad.autograd.graph.get_gradient_edge(x).node
    assert node.variable is x
    x.data = ad.ones(3)
    assert node.variable is None
    with pytest.raises(errors.AutogradError, match=r"a leaf had shape \(2,\).* elements of shape \(3,\).* compute the"):
        y.sum().backward()
    assert x.grad is None


def test_data_of_another_form_while_frozen() -> None:
    x = leaf([1.0, 2.0])
    seen: list[Any] = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    y = (x * 2).sum()
    x.requires_grad_(False).data = ad.ones(3)
    x.requires_grad_()
    (x * 3).sum().backward()
    assert seen == [[3, 3, 3]]
    with pytest.raises(errors.AutogradError, match=r"a leaf had shape \(2,\).* elements of shape \(3,\)"):
        y.backward()
    assert numbers(x.grad) == [[3, 3, 3]]


# Nodes of leaves ------------------------------------------------------------------------------------------------


def test_hooks_of_the_node_of_a_leaf() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        node = x.expand_as(x).grad_fn.next_functions[0][0] if lib is not ad else (x * 1).grad_fn.next_functions[0][0]
        handle = node.register_hook(lambda inputs, outputs: seen.append((inputs, *numbers(*outputs), *numbers(x.grad))))
        x.register_post_accumulate_grad_hook(lambda t: seen.append("accumulated"))
        lib.autograd.grad((x * 3).sum(), x)
        (x * 3).sum().backward()
        (x * 2).sum().backward()
        handle.remove()
        (x * 2).sum().backward()
        return seen

    assert program(ad) == ["accumulated", ((), [3, 3], [3, 3]), "accumulated", ((), [2, 2], [5, 5]), "accumulated"]
    beside_torch(program)


def test_hook_of_the_node_of_a_leaf_returns_nothing() -> None:
    x = leaf([1.0, 2.0])
    node = ad.autograd.graph.get_gradient_edge(x).node
    handle = node.register_hook(lambda inputs, outputs: outputs[0])
    with pytest.raises(
        errors.OperandError, match=r"a hook of AccumulateGrad must return None.*x.register_hook\(hook\)"
    ):
        (x * 2).sum().backward()
    handle.remove()
    node.register_hook(lambda inputs, outputs: ())
    (x * 2).sum().backward()


def test_every_node_is_a_node() -> None:
    x = leaf([1.0, 2.0])
    square = type("Square", (ad.autograd.Function,), {"forward": lambda c, x: x * x, "backward": lambda c, g: g})
    for node in ((x * 2).grad_fn, square.apply(x).grad_fn, ad.autograd.graph.get_gradient_edge(x).node):
        assert isinstance(node, ad.autograd.graph.Node)
    assert not isinstance(x, ad.autograd.graph.Node)


def test_gradcheck_of_an_expanded_input() -> None:
    x = ad.ones(1, dtype=ad.float64).expand(3).requires_grad_()
    with pytest.raises(errors.ShapeError, match=r"gradcheck: input 0, of shape \(3,\), is an expanded .* x.clone\(\)"):
        ad.autograd.gradcheck(lambda x: x * 2, x)
    assert ad.autograd.gradcheck(lambda x: x * 2, x.detach().clone().requires_grad_())
