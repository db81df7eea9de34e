"""What a custom function returns and keeps: results that share memory, marks, what is read from outside backward."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import polyad as ad
from polyad import errors
from polyad.backend import Backend

pytestmark = pytest.mark.usefixtures("backend")


def leaf(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, requires_grad=True, **kwargs)


def made(forward: Callable[..., Any], backward: Callable[..., Any], lib: Any = ad) -> Any:
    """A Function of two functions, of polyad or of PyTorch."""
    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Mine", (lib.autograd.Function,), members)


# Results that share memory ---------------------------------------------------------------------------------------

SHARING: dict[str, Callable[[Any], Any]] = {
    "view": lambda lib: made(lambda ctx, x: x.view(-1), lambda ctx, g: g.view(2, 2), lib),
    "itself": lambda lib: made(lambda ctx, x: x, lambda ctx, g: g, lib),
}


@pytest.mark.parametrize("kind", SHARING)
@pytest.mark.parametrize("part", [False, True])
def test_a_result_that_shares_memory_is_not_written(kind: str, part: bool) -> None:
    def program(lib: Any, leaf: bool) -> Any:
        x = lib.ones(2, 2, requires_grad=True)
        y = x if leaf else x * 1
        z = SHARING[kind](lib).apply(y)
        with pytest.raises(RuntimeError, match=match):
            (z[0:1] if part else z).mul_(2)
        return y.tolist(), lib.autograd.grad(z.sum(), x)[0].tolist()

    match = r"multiply.*a result of Mine cannot be written.*Return a clone\(\) from forward.*mark_dirty"
    for of_leaf in (False, True):
        assert program(ad, of_leaf) == ([[1, 1], [1, 1]], [[1, 1], [1, 1]])  # nothing was written
    torch = pytest.importorskip("torch")
    match = "created inside a custom Function"
    program(torch, False)


@pytest.mark.parametrize("kind", SHARING)
@pytest.mark.parametrize("part", [False, True])
def test_an_argument_that_shares_memory_with_a_result_is_written(kind: str, part: bool) -> None:
    def program(lib: Any) -> Any:
        x = lib.ones(2, 2, requires_grad=True)
        y = x * 1
        z = SHARING[kind](lib).apply(y)
        (y[0] if part else y).mul_(2)
        with pytest.raises(RuntimeError, match=match):
            lib.autograd.grad(z.sum(), x)
        return lib.autograd.grad(y.sum(), x)[0].tolist()

    match = r"Mine: there is no derivative by a result that was written through another tensor.*Return a clone\(\)"
    expected = [[2, 2], [1, 1]] if part else [[2, 2], [2, 2]]
    assert program(ad) == expected
    torch = pytest.importorskip("torch")
    match = "created inside a custom Function"
    assert program(torch) == expected


def test_what_shares_memory_reads_right() -> None:
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    y = x * 1
    z = SHARING["view"](ad).apply(y)
    first = z[0]
    y.mul_(2)
    assert (z.tolist(), first.item()) == ([2, 4, 6, 8], 2)
    assert z.requires_grad
    assert "requires_grad" in repr(z) or "grad_fn" in repr(z)
    with pytest.raises(errors.AutogradError, match="Mine: there is no derivative"):
        first.backward()
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    y = x * 1
    z = SHARING["view"](ad).apply(y)
    with ad.no_grad():  # as PyTorch has it: without a history
        z.mul_(2)
    assert y.tolist() == [[2, 4], [6, 8]]
    assert ad.autograd.grad(z.sum(), x)[0].tolist() == [[1, 1], [1, 1]]


def test_what_shares_memory_with_nobody_is_written() -> None:
    flat = made(lambda ctx, x: (x * 2).view(-1), lambda ctx, g: 2 * g.view(2, 2))
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    z = flat.apply(x)
    z[0] = 0.0
    z.mul_(3)
    assert ad.autograd.grad(z.sum(), x)[0].tolist() == [[0, 6], [6, 6]]


def test_several_views_and_results_without_gradient() -> None:
    parts = made(lambda ctx, x: (x[0], x[1], x * 1), lambda ctx, g, h, k: ad.stack([g, h]) + k)
    y = leaf([[1.0, 2.0], [3.0, 4.0]]) * 1
    first, second, new = parts.apply(y)
    new.mul_(2)
    for result in (first, second):
        with pytest.raises(errors.AutogradError, match="a result of Mine cannot be written"):
            result.zero_()

    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_non_differentiable(x)
        return x, x * 2

    same, _ = made(forward, lambda ctx, _, g: g * 2).apply(y)
    assert not same.requires_grad
    with pytest.raises(errors.AutogradError, match="a result of Mine cannot be written"):
        same.zero_()
    with pytest.raises(errors.AutogradError, match="a result of Mine cannot be written"):
        same[0] = 0
    assert y.tolist() == [[1, 2], [3, 4]]


# Marks -----------------------------------------------------------------------------------------------------------


def test_what_is_marked_is_known_by_itself() -> None:
    """And not by an address, which a result may get that is made once the marked tensor is gone."""

    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_non_differentiable(x > 0)
        return x * 2

    def of_float(ctx: Any, x: Any) -> Any:
        ctx.mark_non_differentiable(x.abs())
        doubled = x * 2
        return doubled + 1, doubled

    for _ in range(5):
        assert made(forward, lambda ctx, g: g * 2).apply(leaf([1.0, 2.0])).requires_grad
        results = made(of_float, lambda ctx, g, h: g * 2 + h * 2).apply(leaf([1.0, 2.0]))
        assert all(y.requires_grad for y in results)


def test_marks_make_no_cycles() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        x.mul_(2)
        ctx.mark_dirty(x)
        sign = x.sign()
        ctx.mark_non_differentiable(sign)
        ctx.save_for_forward(x, sign)
        return x, sign

    freed: list[str] = []

    class Noticed:
        def __del__(self) -> None:
            freed.append("context")

    def keeping(ctx: Any, x: Any) -> Any:
        ctx.noticed = Noticed()
        return forward(ctx, x)

    gc.collect()
    gc.disable()
    try:
        results = made(keeping, lambda ctx, g, h: g * 2).apply(leaf([1.0, 2.0]) * 1)
        assert not freed
        del results
        assert freed
    finally:
        gc.enable()


# What backward gets, and what is read from outside ----------------------------------------------------------------


def test_results_that_are_no_tensors_have_a_place() -> None:
    def program(lib: Any) -> Any:
        seen = []

        def backward(ctx: Any, *grads: Any) -> Any:
            seen.append([None if g is None else g.tolist() for g in grads])
            return grads[1] * 2

        x = lib.ones(2, requires_grad=True)
        results = made(lambda ctx, x: ("a", x * 2, 5, x > 0), backward, lib).apply(x)
        results[1].sum().backward()
        return results[0], results[2], seen, x.grad.tolist()

    mine = program(ad)
    assert mine == ("a", 5, [[None, [1, 1], None, [False, False]]], [2, 2])
    torch = pytest.importorskip("torch")
    theirs = program(torch)
    assert theirs[2][0][:3] == mine[2][0][:3]
    assert (theirs[:2], theirs[3]) == (mine[:2], mine[3])


class Scaled(ad.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, scale: float) -> Any:
        ctx.save_for_backward(x, None)
        ctx.scale = scale
        return x * scale

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.scale, None


def test_the_context_is_read_from_the_node() -> None:
    x = leaf([1.0, 2.0])
    y = Scaled.apply(x, 3.0)
    node = y.grad_fn
    assert (node.scale, node.needs_input_grad) == (3.0, (True, False))
    saved, nothing = node.saved_tensors
    assert (saved.tolist(), saved.requires_grad, nothing) == ([1, 2], True, None)
    assert {"scale", "saved_tensors", "needs_input_grad", "next_functions"} <= set(dir(node))
    assert repr(node) == "<ScaledBackward>"
    with pytest.raises(AttributeError, match="ScaledBackward has no attribute 'size', and its context neither"):
        _ = node.size
    y.sum().backward()
    with pytest.raises(errors.AutogradError, match=r"ScaledBackward: what was saved is gone.*retain_graph=True"):
        _ = node.saved_tensors
    with pytest.raises(AttributeError, match=r"no attribute 'scale'.*a backward\(\) went through it"):
        _ = node.scale


def test_what_was_saved_is_gone_with_the_graph() -> None:
    contexts: list[Any] = []

    def forward(ctx: Any, x: Any) -> Any:
        contexts.append(ctx)
        y = x * 2
        ctx.save_for_backward(x, y)
        return y

    x = leaf([1.0, 2.0])
    y = made(forward, lambda ctx, g: g * 2).apply(x)
    assert [t.tolist() for t in contexts[0].saved_tensors] == [[1, 2], [2, 4]]
    y.sum().backward()
    with pytest.raises(errors.AutogradError, match=r"Mine: what was saved is gone, since the graph was freed"):
        _ = contexts[0].saved_tensors
    made(forward, lambda ctx, g: g * 2).apply(x)
    with pytest.raises(errors.AutogradError, match=r"Mine: what was saved is gone"):
        _ = contexts[1].saved_tensors


def test_what_was_saved_and_overwritten_is_not_read() -> None:
    a = leaf([1.0, 2.0]) * 1
    y = Scaled.apply(a, 2.0)
    a.add_(1)
    with pytest.raises(errors.AutogradError, match=r"ScaledBackward kept .* overwritten"):
        _ = y.grad_fn.saved_tensors


# Writes to what was saved ----------------------------------------------------------------------------------------


def test_writes_to_saved_tensors_count(backend: Backend) -> None:
    def program(lib: Any) -> Any:
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * 1

        def backward(ctx: Any, g: Any) -> Any:
            (s,) = ctx.saved_tensors
            return s.mul_(5) * g

        x = lib.ones(2, requires_grad=True)
        a = x * 2
        other = a * a
        y = made(forward, backward, lib).apply(a)
        with pytest.raises(RuntimeError, match=match):  # backward of `y` runs first
            (y.sum() + other.sum()).backward()
        y = made(forward, backward, lib).apply(x * 1).sum()
        y.backward(retain_graph=True)
        with pytest.raises(RuntimeError, match=match):
            y.backward()
        a = x * 2
        y = made(forward, backward, lib).apply(a).sum()  # nobody else needs it: the memory is used again
        return lib.autograd.grad(y, x)[0].tolist()

    match = r"overwritten by an in-place operation \(mul"
    assert program(ad) == [20, 20]
    torch = pytest.importorskip("torch")
    match = "modified by an inplace operation"
    assert program(torch) == [20, 20]


# Intermediates that hide -----------------------------------------------------------------------------------------


class Plain:
    pass


class Slotted:
    __slots__ = ("empty", "square")


@dataclass
class Record:
    square: Any
    count: int = 3


def plain(x: Any) -> Any:
    made = Plain()
    made.square = x * x  # type: ignore[attr-defined]
    return made


def slotted(x: Any) -> Any:
    made = Slotted()
    made.square = x * x
    return made


HIDING: dict[str, Callable[[Any], Any]] = {
    "dictionary": plain,
    "slots": slotted,
    "dataclass": lambda x: Record({"of": [x * x]}),
    "inside a list": lambda x: [1, plain(x)],
}


@pytest.mark.parametrize("kind", HIDING)
def test_intermediates_in_objects_are_refused(kind: str) -> None:
    """As attributes of the context are: PyTorch raises too, where they had a history."""

    def forward(ctx: Any, x: Any) -> Any:
        ctx.helper = HIDING[kind](x)
        ctx.save_for_backward(x)
        return x**3

    def backward(ctx: Any, g: Any) -> Any:
        held = ctx.helper[1] if isinstance(ctx.helper, list) else ctx.helper
        square = held.square["of"][0] if isinstance(held, Record) else held.square
        return g * 3 * square

    x = leaf([2.0])
    y = made(forward, backward).apply(x)
    match = r"Mine: ctx\.helper has, as attribute 'square' of (Plain|Slotted|Record), a tensor, and gradients are to be"
    with pytest.raises(errors.AutogradError, match=match):
        ad.autograd.grad(y.sum(), x, create_graph=True)
    assert ad.autograd.grad(y.sum(), x)[0].tolist() == [12]


def test_objects_whose_tensors_have_a_history_are_fine() -> None:
    factor = leaf([3.0])

    def forward(ctx: Any, x: Any) -> Any:
        ctx.helper = Record(factor)
        ctx.device, ctx.kind, ctx.library = x.device, Plain, ad
        return x * factor

    x = leaf([2.0])
    y = made(forward, lambda ctx, g: g * ctx.helper.square).apply(x)
    (g,) = ad.autograd.grad(y.sum(), x, create_graph=True)
    assert ad.autograd.grad(g.sum(), factor)[0].tolist() == [1]
