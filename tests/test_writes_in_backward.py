"""Users' code in a backward pass may write to what it gets, and keep it: nobody else notices, nothing goes wrong."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad import errors
from polyad.autograd import graph
from polyad.backend import Backend

pytestmark = pytest.mark.usefixtures("backend")


def leaf(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, requires_grad=True, **kwargs)


def made(forward: Callable[..., Any], backward: Callable[..., Any], base: Any = None) -> Any:
    """A Function of two functions, of polyad or of another library."""
    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Made", (base or ad.autograd.Function,), members)


# Gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_function_writes_to_its_gradient(create_graph: bool) -> None:
    times = made(lambda ctx, x: x * 5, lambda ctx, g: g.mul_(5))
    x, other = leaf(2.0), leaf(3.0)
    both = times.apply(x) + other  # the rule of a sum gives the same array to both
    assert [g.item() for g in ad.autograd.grad(both, [x, other], create_graph=create_graph)] == [5, 1]
    w = leaf(2.0)
    (w * 1).backward()
    assert w.grad.item() == 1  # the 1 that every pass starts with is what it was


def test_a_function_writes_where_pytorch_cannot() -> None:
    """What is left out without a word to the other path: a rectifier as many write it."""

    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        g[x < 0] = 0
        return g

    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x.clip(min=0)

    x, other = leaf([-1.0, 2.0]), leaf([0.0, 0.0])
    (made(forward, backward).apply(x) + other).sum().backward()
    assert (x.grad.tolist(), other.grad.tolist()) == ([0, 1], [1, 1])


def test_a_function_of_several_results_writes() -> None:
    def backward(ctx: Any, g: Any, h: Any) -> Any:
        return g.mul_(2) + h.mul_(3)

    two = made(lambda ctx, x: (x * 1, x + 0), backward)
    x, other = leaf([1.0, 1.0]), leaf([1.0, 1.0])
    y, z = two.apply(x)
    (y + z + other).sum().backward()  # one array for all three
    assert (x.grad.tolist(), other.grad.tolist()) == ([5, 5], [1, 1])


def test_complex_gradients_are_new() -> None:
    times = made(lambda ctx, x: x * 5, lambda ctx, g: g.mul_(5))
    x, other = leaf([1 + 1j]), leaf([1 + 1j])
    (times.apply(x) + other).real.sum().backward()
    assert (x.grad.tolist(), other.grad.tolist()) == ([5], [1])


def test_a_gradient_that_is_kept_stays_what_it_was() -> None:
    kept: list[Any] = []

    def backward(ctx: Any, g: Any) -> Any:
        kept.append(g)
        return g

    same = made(lambda ctx, x: x * 1, backward)
    x = leaf([1.0, 2.0])
    y = x * 1
    (same.apply(y) + y * 2 + y).sum().backward()  # gradients are added up where this one went
    x.grad.mul_(7)
    assert kept[0].tolist() == [1, 1]
    kept[0].zero_()
    assert x.grad.tolist() == [28, 28]
    again = leaf([1.0, 2.0])
    again.sum().backward()
    assert again.grad.tolist() == [1, 1]


def test_a_function_writes_to_its_gradient_inside_transforms() -> None:
    doubled = made(lambda ctx, x: x * 2, lambda ctx, g: g.mul_(2))

    def f(x: ad.Tensor) -> ad.Tensor:
        return (doubled.apply(x) + x).sum()

    x, ones = ad.ones(2, 3), ad.ones(2, 3)
    threes = (3 * ones).tolist()
    assert ad.func.grad(f)(x).tolist() == threes
    assert ad.func.vmap(ad.func.grad(f))(x).tolist() == threes
    assert ad.func.grad(lambda x: ad.func.vmap(f)(x).sum())(x).tolist() == threes
    assert ad.func.jvp(f, (x,), (ones,))[1].item() == 18
    assert ones.tolist() == ad.ones(2, 3).tolist()
    assert ad.func.hessian(lambda x: (doubled.apply(x) ** 2).sum())(ad.ones(2)).tolist() == [[8, 0], [0, 8]]


def test_a_function_writes_to_its_tangent() -> None:
    def double(ctx: Any, t: Any) -> Any:
        return t.mul_(2)

    doubled = made(lambda ctx, x: x * 2, lambda ctx, g: g * 2)
    doubled.jvp = staticmethod(double)
    tangent = ad.ones(2)
    assert ad.func.jvp(lambda x: doubled.apply(x) + x, (ad.ones(2),), (tangent,))[1].tolist() == [3, 3]
    assert tangent.tolist() == [1, 1]
    with ad.autograd.forward_ad.dual_level():
        x = ad.autograd.forward_ad.make_dual(ad.ones(2), tangent)
        y = doubled.apply(x) + x
        assert ad.autograd.forward_ad.unpack_dual(y).tangent.tolist() == [3, 3]
    assert tangent.tolist() == [1, 1]


def test_what_nobody_else_has_is_not_copied(backend: Backend) -> None:
    if not backend.writable:
        pytest.skip("its arrays are never written, so never copied for that")
    seen: list[Any] = []

    def backward(ctx: Any, g: Any) -> Any:
        given = g * 2
        seen.extend((g.data_ptr(), given.data_ptr()))
        return given

    step = made(lambda ctx, x: x * 2, backward)
    x = leaf([1.0, 2.0])
    (step.apply(step.apply(x)) * 3).sum().backward()
    assert seen[1] == seen[2]
    assert x.grad.tolist() == [12, 12]


def test_the_one_that_passes_start_with_cannot_be_written(backend: Backend) -> None:
    one = ad.ones(1).device.one((), ad.ones(1).array.dtype)
    if isinstance(one, np.ndarray):
        with pytest.raises(ValueError, match="read-only"):
            one[...] = 5
    x = leaf(2.0)
    x.backward()  # the one itself arrives
    x.grad.mul_(3)
    (g,) = ad.autograd.grad(x, x)
    assert (x.grad.item(), g.add_(1).item(), ad.autograd.grad(x, x)[0].item()) == (3, 2, 1)


HOOKS: dict[str, Callable[..., Any]] = {
    "tensor": lambda y: y.register_hook(lambda g: g.mul_(2)),
    "tensor, nothing returned": lambda y: y.register_hook(lambda g: (g.mul_(2), None)[1]),
    "before": lambda y: y.grad_fn.register_prehook(lambda gs: (gs[0].mul_(2), None)[1]),
    "after": lambda y: y.grad_fn.register_hook(lambda gs, _: (gs[0].mul_(2), None)[1]),
}


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("kind", HOOKS)
def test_a_hook_writes_to_its_gradient(kind: str, create_graph: bool) -> None:
    def program(lib: Any, apart: Callable[..., Any]) -> list[Any]:
        x, other = (lib.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
        y = x * 3
        HOOKS[kind](y)
        loss = apart(y, other).sum()
        return [g.tolist() for g in lib.autograd.grad(loss, [x, other], create_graph=create_graph)]

    assert program(ad, lambda y, other: y + other) == [[6, 6], [1, 1]]
    torch = pytest.importorskip("torch")  # which writes only where the memory is no other path's
    assert program(torch, lambda y, other: y * torch.ones(2) + other) == [[6, 6], [1, 1]]


def test_hooks_that_write_do_not_see_each_other() -> None:
    seen: list[Any] = []
    x = leaf([1.0, 2.0])
    y = x * 3
    y.grad_fn.register_hook(lambda _, outputs: (outputs[0].zero_(), None)[1])
    y.grad_fn.register_hook(lambda _, outputs: seen.append(outputs[0].tolist()))
    y.retain_grad()
    collected: list[Any] = []
    ad.autograd.graph.register_multi_grad_hook([x, y], lambda gs: collected.extend(g.zero_() for g in gs))
    y.sum().backward()
    assert len(collected) == 2
    assert (seen, y.grad.tolist(), x.grad.tolist()) == ([[1, 1]], [1, 1], [3, 3])


# What is kept ----------------------------------------------------------------------------------------------------


PACKS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "itself": (lambda t: t, lambda t: t),
    "view": (lambda t: t.view(-1), lambda t: t.view(2)),
    "detached": (lambda t: {"kept": [t.detach()]}, lambda kept: kept["kept"][0]),
    "of an object": (lambda t: lambda: t, lambda give: give()),
}


@pytest.mark.parametrize("kind", PACKS)
def test_what_hooks_packed_without_a_copy_is_guarded(kind: str) -> None:
    x = leaf([1.0, 2.0])
    for overwritten in (False, True):
        a = x * 2
        with graph.saved_tensors_hooks(*PACKS[kind]):
            y = a * a
            z = y.exp()
        if overwritten:
            y.detach().zero_()  # nobody needs it: the result of the second is kept, not its operand
            a.add_(1)
            with pytest.raises(errors.AutogradError, match=r"MultiplyBackward kept .* overwritten .*\(add_\)"):
                z.sum().backward()
        else:
            (g,) = ad.autograd.grad(y.sum(), x)
            assert g.tolist() == [8, 16]


def test_results_that_hooks_packed_without_a_copy_are_guarded() -> None:
    x = leaf([1.0, 2.0])
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        y = x.exp()
    with ad.no_grad():
        y.mul_(2)
    with pytest.raises(errors.AutogradError, match=r"ExpBackward kept .* overwritten .*\(multiply_\)"):
        y.sum().backward()


def test_what_hooks_copied_may_be_overwritten() -> None:
    x = leaf([1.0, 2.0])
    for pack, unpack in ((lambda t: t.clone(), lambda t: t), (lambda t: t.tolist(), ad.tensor)):
        a = x * 2
        with graph.saved_tensors_hooks(pack, unpack):
            y = a * a
        a.add_(1)
        assert ad.autograd.grad(y.sum(), x)[0].tolist() == [8, 16]


def test_arrays_of_the_library_are_guarded_where_they_share_memory(backend: Backend) -> None:
    x = leaf([1.0, 2.0])
    a = x * 2
    with graph.saved_tensors_hooks(lambda t: t.array, lambda array: ad.asarray(array).clone()):
        y = a * a
    a.add_(1)
    if backend.writable:
        with pytest.raises(errors.AutogradError, match="overwritten"):
            y.sum().backward()
    else:
        assert ad.autograd.grad(y.sum(), x)[0].tolist() == [8, 16]


def test_what_is_kept_on_the_host_is_guarded_where_it_is_there_already(backend: Backend) -> None:
    x = leaf([1.0, 2.0])
    a = x * 2
    with graph.save_on_cpu():
        y = a * a
    a.add_(1)
    if backend.is_host:
        with pytest.raises(errors.AutogradError, match=r"MultiplyBackward kept .* overwritten .*\(add_\)"):
            y.sum().backward()
    else:  # copied
        assert ad.autograd.grad(y.sum(), x)[0].tolist() == [8, 16]


def test_saved_tensors_that_are_packed_may_be_overwritten_where_that_is_allowed() -> None:
    x = leaf([1.0, 2.0])
    a = x * 2
    with graph.allow_mutation_on_saved_tensors(), graph.save_on_cpu():
        y = a * a
    a.add_(1)
    assert ad.autograd.grad(y.sum(), x)[0].tolist() == [8, 16]


def test_custom_functions_that_pack_are_guarded() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    square = made(forward, lambda ctx, g: g * 2 * ctx.saved_tensors[0])
    a = leaf([1.0, 2.0]) * 1
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        y = square.apply(a)
    a.add_(1)
    with pytest.raises(errors.AutogradError, match="MadeBackward kept .* overwritten"):
        y.sum().backward()


def set_part(t: Any) -> None:
    t[0] = 5.0


WRITES: dict[str, Callable[[Any], Any]] = {
    "mul_": lambda t: t.mul_(2),
    "zero_": lambda t: t.zero_(),
    "a view": lambda t: t[:1].add_(1),
    "detached": lambda t: t.detach().fill_(1),
    "index": set_part,
    "mask": lambda t: t.masked_fill_(t > 0, 1.0),
    "index_add_": lambda t: t.index_add_(0, ad.tensor([0]), ad.ones(1)),
}


@pytest.mark.parametrize("write", WRITES)
def test_pack_hooks_cannot_write(write: str) -> None:
    x = leaf([1.0, 2.0])
    given: list[Any] = []

    def pack(t: Any) -> Any:
        given.append(t)
        WRITES[write](t)
        return t

    with (
        graph.saved_tensors_hooks(pack, lambda t: t),
        pytest.raises(
            errors.AutogradError, match=r"MultiplyBackward keeps.*pack hook '.*pack' got.*must not write.*clone"
        ),
    ):
        _ = x * x
    assert x.tolist() == [1, 2]
    with pytest.raises(errors.AutogradError, match="must not write"):
        WRITES[write](given[0])  # nor later


@pytest.mark.parametrize("write", WRITES)
def test_what_a_node_shows_cannot_be_written(write: str) -> None:
    x = leaf([1.0, 2.0])
    a = x * 2
    y = a * a
    with ad.no_grad(), pytest.raises(errors.AutogradError, match="what MultiplyBackward keeps for its gradient, which"):
        WRITES[write](y.grad_fn._saved_x1)
    assert (y.grad_fn._saved_x1 + 1).tolist() == [3, 5]
    assert ad.autograd.grad(y.sum(), x)[0].tolist() == [8, 16]


def test_what_was_overwritten_is_not_shown() -> None:
    a = leaf([1.0, 2.0]) * 2
    y = a * a
    a.add_(1)
    with pytest.raises(errors.AutogradError, match="MultiplyBackward kept .* overwritten"):
        _ = y.grad_fn._saved_x1
