"""Hooks after accumulation: when in a pass they are called, with what, and what they may do to their leaf."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

import polyad as ad
from polyad import engine, errors, graph

pytestmark = pytest.mark.usefixtures("backend")


def leaf(*values: float) -> ad.Tensor:
    return ad.tensor(values, requires_grad=True)


def leaves(lib: Any, *values: list[float]) -> list[Any]:
    return [lib.tensor(v, requires_grad=True) for v in values]


def beside_torch(program: Callable[[Any], Any]) -> Any:
    """Run a program with polyad and with PyTorch, compare what it gives, and give it."""
    torch = pytest.importorskip("torch")
    mine, theirs = program(ad), program(torch)
    assert mine == theirs
    return mine


def noting(seen: list[Any], name: str, also: Callable[[Any], object] = lambda t: None) -> Callable[[Any], None]:
    """A hook that notes a name and the gradient, and does something besides.

    PyTorch calls hooks also where a rule gave no gradient.
    """

    def hook(t: Any) -> None:
        if t.grad is not None:
            seen.append((name, t.grad.tolist()))
            also(t)

    return hook


def drop(t: Any) -> None:
    t.grad = None


def stepping(lib: Any, rate: float = 0.5) -> Callable[[Any], None]:
    """A hook that takes a step of gradient descent in place, and drops the gradient."""

    def step(t: Any) -> None:
        with lib.no_grad():
            t -= rate * t.grad
        t.grad = None

    return step


# When -----------------------------------------------------------------------------------------------------------


def test_leaves_have_their_turn_as_the_pass_goes() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        x, *ws = leaves(lib, [1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0])
        for i, w in enumerate(ws):
            w.register_post_accumulate_grad_hook(noting(seen, f"w{i}"))
        h = x
        for i, w in enumerate(ws):
            h = h * w
            h.register_hook(lambda g, i=i: seen.append((f"h{i}", g.tolist())))
        h.sum().backward()
        return [*seen, x.grad.tolist()]

    assert [name for name, _ in beside_torch(program)[:-1]] == ["h2", "w2", "h1", "w1", "h0", "w0"]


def test_a_leaf_that_is_used_several_times_waits_for_the_last() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        x, w, v = leaves(lib, [1.0, 2.0], [3.0, 4.0], [5.0, 6.0])
        w.register_post_accumulate_grad_hook(noting(seen, "w", drop))
        v.register_post_accumulate_grad_hook(noting(seen, "v"))
        y = x * w
        z = (w * w * v + y * w).sum() + (w * 2).sum()
        y.register_hook(lambda g: seen.append(("y", g.tolist())))
        z.backward()
        return [*seen, w.grad, x.grad.tolist()]

    assert [name for name, _ in beside_torch(program)[:-2]] == ["v", "y", "w"]


def test_operands_of_one_node_have_their_turn_in_order() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        a, b = leaves(lib, [1.0, 2.0], [3.0, 4.0])
        b.register_post_accumulate_grad_hook(noting(seen, "b"))
        a.register_post_accumulate_grad_hook(noting(seen, "a"))
        (a * b).sum().backward()
        return seen

    assert beside_torch(program) == [("a", [3, 4]), ("b", [1, 2])]


def test_a_leaf_that_is_where_the_pass_starts() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        (x,) = leaves(lib, 3.0)
        x.register_post_accumulate_grad_hook(noting(seen, "x"))
        x.backward()
        lib.autograd.backward([x, x * 2, x * x])
        return seen

    assert beside_torch(program) == [("x", 1), ("x", 10)]


def test_hooks_before_accumulation_get_the_sum_once() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        x, w = leaves(lib, [1.0, 2.0], [3.0, 4.0])
        w.register_hook(lambda g: seen.append(("before", g.tolist())) or g * 10)
        for name, t in (("w", w), ("x", x)):
            t.register_post_accumulate_grad_hook(noting(seen, name))
        lib.autograd.graph.register_multi_grad_hook(
            [x, w], lambda found: seen.append(("both", [g.tolist() for g in found]))
        )
        (x * w + w * w).sum().backward()
        return seen

    assert beside_torch(program) == [
        ("x", [3, 4]),
        ("before", [7, 10]),
        ("both", [[3, 4], [70, 100]]),
        ("w", [70, 100]),
    ]


def test_a_leaf_that_no_gradient_comes_to_is_not_called() -> None:
    """Nor is it waited for: rules may give no gradient, and the nodes behind them are never visited."""

    def program(lib: Any) -> Any:
        class Stopped(lib.autograd.Function):
            @staticmethod
            def forward(ctx: Any, a: Any, b: Any) -> Any:
                return a * b

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return g, None

        seen: list[Any] = []
        u, v, w = leaves(lib, [1.0, 2.0], [3.0, 4.0], [5.0, 6.0])
        for name, x in (("u", u), ("v", v), ("w", w)):
            x.register_post_accumulate_grad_hook(noting(seen, name))
        hidden = v * w  # whose gradient does not come
        last = u * 1
        last.register_hook(lambda g: seen.append("last"))
        (Stopped.apply(last, hidden) + Stopped.apply(w, v)).sum().backward()
        return [seen, v.grad]

    assert beside_torch(program)[0] == ["last", ("u", [1, 1]), ("w", [1, 1])]


@pytest.mark.parametrize("chosen", ["w", "wx", "h", "hv"])
def test_a_pass_that_is_confined_to_some_inputs(chosen: str) -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        w, x, v = leaves(lib, [1.0, 2.0], [3.0, 4.0], [5.0, 6.0])
        for name, t in (("w", w), ("x", x), ("v", v)):
            t.register_post_accumulate_grad_hook(noting(seen, name))
        h = w * x
        named = {"w": w, "x": x, "v": v, "h": h}
        (h * v * v).sum().backward(inputs=[named[c] for c in chosen])
        return [seen, *(None if t.grad is None else t.grad.tolist() for t in (w, x, v))]

    beside_torch(program)


def test_gradients_beside_those_of_the_inputs_are_refused() -> None:
    """Where a pass is confined, a hook of a node cannot give what nobody asked for, as in PyTorch."""
    seen: list[Any] = []
    w, x = leaf(1.0, 2.0), leaf(3.0, 4.0)
    for name, t in (("w", w), ("x", x)):
        t.register_post_accumulate_grad_hook(noting(seen, name))
    y = w * x
    y.grad_fn.register_hook(lambda inputs, outputs: (outputs[0] * 7, inputs[1]))
    with pytest.raises(
        errors.OperandError, match="got None as gradient 0 and returned a Tensor in its place; .* return None"
    ):
        y.sum().backward(inputs=[x])
    assert (seen, w.grad, x.grad) == ([], None, None)


def test_grad_calls_none() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        w, x = leaves(lib, [1.0, 2.0], [3.0, 4.0])
        w.register_post_accumulate_grad_hook(noting(seen, "w"))
        found = lib.autograd.grad((w * x).sum(), [w, x])
        return [seen, w.grad, *(g.tolist() for g in found)]

    assert beside_torch(program)[:2] == [[], None]


def test_gradients_that_node_hooks_put_in_are_waited_for() -> None:
    """Where a rule gives no gradient, a hook of the node may: the node counts whatever its rules do."""
    seen: list[Any] = []
    sizes, signs = leaf(1.0, 2.0), leaf(-3.0, 4.0)
    signs.register_post_accumulate_grad_hook(noting(seen, "signs"))
    y = ad.copysign(sizes, signs)  # has no gradient of the signs
    y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0], ad.ones(2)))
    (y + signs * 2).sum().backward()
    assert seen == [("signs", [3, 3])]


# What hooks may do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
def test_a_step_comes_after_all_rules_of_the_node(first: bool) -> None:
    """The node that delivers the last gradient keeps the leaf for the other operand's rule."""

    def program(lib: Any) -> Any:
        x, w, v = leaves(lib, [1.0, 2.0], [3.0, 4.0], [5.0, 6.0])
        w.register_post_accumulate_grad_hook(stepping(lib))
        h = x * v
        (w * h if first else h * w).sum().backward()
        return [x.grad.tolist(), v.grad.tolist(), w.tolist(), w.grad]

    assert beside_torch(program) == [[15, 24], [3, 8], [0.5, -2], None]


def test_a_step_under_a_value_that_is_still_needed_raises() -> None:
    """What shares memory with the leaf, and leads nowhere to it, is not waited for."""
    errors_of = {ad: errors.AutogradError}

    def program(lib: Any) -> Any:
        w, x = leaves(lib, [1.0, 2.0], [3.0, 4.0])
        w.register_post_accumulate_grad_hook(stepping(lib))
        y = w.detach() * x
        z = w * 2
        with pytest.raises(errors_of.get(lib, RuntimeError)) as error:
            (y + z).sum().backward()
        assert lib is not ad or "MultiplyBackward kept for its gradient was overwritten" in str(error.value)
        return [w.tolist(), w.grad, x.grad]

    assert beside_torch(program) == [[0, 1], None, None]


def test_a_value_that_was_used_before_the_step_does_no_harm() -> None:
    w, x = leaf(1.0, 2.0), leaf(3.0, 4.0)
    w.register_post_accumulate_grad_hook(stepping(ad))
    z = w * 2
    y = w.detach() * x  # whose turn is first
    (y + z).sum().backward()
    assert (w.tolist(), x.grad.tolist()) == ([0, 1], [1, 2])


def test_a_graph_that_is_retained_is_stale_after_a_step() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        w, x = leaves(lib, [1.0, 2.0], [3.0, 4.0])
        handle = w.register_post_accumulate_grad_hook(noting(seen, "w"))
        y = (w * x).sum()
        y.backward(retain_graph=True)
        y.backward(retain_graph=True)
        handle.remove()
        w.register_post_accumulate_grad_hook(stepping(lib))
        y.backward(retain_graph=True)
        with pytest.raises(RuntimeError):
            y.backward()
        return [seen, w.tolist(), x.grad.tolist()]

    beside_torch(program)


def test_hooks_own_the_gradient_that_they_get() -> None:
    """It is nobody else's memory, though the same array may go on along other paths."""
    w, x, v = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(5.0, 6.0)
    w.register_post_accumulate_grad_hook(noting([], "w", lambda t: t.grad.mul_(100)))
    ((x * v) + w).sum().backward()
    assert (w.grad.tolist(), x.grad.tolist(), v.grad.tolist()) == ([100, 100], [5, 6], [3, 4])


def test_a_hook_that_raises() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []

        def fail(t: Any) -> None:
            raise KeyError("mine")

        plain, first, second, third = leaves(lib, [1.0], [2.0], [3.0], [4.0])
        first.register_post_accumulate_grad_hook(noting(seen, "first"))
        handle = second.register_post_accumulate_grad_hook(fail)
        third.register_post_accumulate_grad_hook(noting(seen, "third"))
        h = plain * 1
        for w in (first, second, third):
            h = h * w
        with pytest.raises(KeyError, match="mine") as error:
            h.backward()
        assert not hasattr(error.value, "__notes__")  # no operation is to blame
        handle.remove()
        state = [None if t.grad is None else t.grad.tolist() for t in (plain, first, second, third)]
        (plain * second).backward()
        return [seen, state, second.grad.tolist()]

    assert beside_torch(program) == [[("third", [6])], [None, None, [8], [6]], [9]]


def test_a_pass_that_fails_leaves_what_was_accumulated() -> None:
    seen: list[Any] = []
    x, w, plain = leaf(0.0), leaf(2.0), leaf(3.0)
    w.register_post_accumulate_grad_hook(noting(seen, "w"))
    y = x.sqrt() * 0.0
    with (
        pytest.raises(errors.AutogradError, match="SqrtBackward gave NaN"),
        ad.autograd.detect_anomaly(),
    ):
        ((y + plain) * w).backward()
    assert seen == [("w", [3])]
    assert (x.grad, plain.grad) == (None, None)


def test_hooks_that_change_what_hooks_there_are() -> None:
    seen: list[Any] = []
    x, w, v, u = leaf(1.0), leaf(2.0), leaf(3.0), leaf(4.0)
    handles: dict[str, Any] = {}

    def once(t: Any) -> None:
        seen.append("once")
        handles["once"].remove()
        handles["w"].remove()
        v.register_post_accumulate_grad_hook(noting(seen, "v"))

    handles["once"] = u.register_post_accumulate_grad_hook(once)
    handles["w"] = w.register_post_accumulate_grad_hook(noting(seen, "w"))
    for _ in range(2):
        y = x * v
        z = y * w
        y.register_hook(lambda g: seen.append("y") if w.grad is None else None)  # w waits for the end now
        (z * u).backward()
        w.grad = v.grad = None
    assert seen == ["once", "y", ("v", [8]), "y", ("v", [8])]


def test_a_hook_that_runs_another_pass() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        a, b, other = leaves(lib, [1.0], [2.0], [3.0])

        def again(t: Any) -> None:
            seen.append(("b", t.grad.tolist()))
            with lib.enable_grad():
                (other * other * a).backward()
            seen.append("b is done")

        a.register_post_accumulate_grad_hook(noting(seen, "a"))
        b.register_post_accumulate_grad_hook(again)
        other.register_post_accumulate_grad_hook(noting(seen, "other"))
        (a * 5 * b).backward()
        return [*seen, a.grad.tolist()]

    assert beside_torch(program)[0] == ("b", [5])


def test_a_hook_may_go_through_its_own_leaf_again() -> None:
    w = leaf(3.0)
    seen: list[float] = []

    def again(t: Any) -> None:
        seen.append(t.grad.item())
        if len(seen) < 3:
            with ad.enable_grad():
                (w * 10).backward()

    w.register_post_accumulate_grad_hook(again)
    (w * w).backward()
    assert seen == [6, 16, 26]


def test_leaves_that_are_set_keep_their_hooks() -> None:
    seen: list[Any] = []
    x, w = leaf(1.0), leaf(2.0)
    w.register_post_accumulate_grad_hook(noting(seen, "w"))
    w.set_(ad.tensor([5.0]))
    y = x * 1
    y.register_hook(lambda g: seen.append("y"))
    (y * w).backward()
    assert seen == [("w", [1]), "y"]


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph=True:UserWarning")  # PyTorch's
def test_gradients_that_are_recorded() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        w, x = leaves(lib, [1.0, 2.0], [3.0, 4.0])
        w.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.requires_grad))
        h = x * x
        h.register_hook(lambda g: seen.append(g.tolist()))
        (h * w * w).sum().backward(create_graph=True)
        return [*seen, *(g.tolist() for g in lib.autograd.grad(w.grad.sum(), [w, x]))]

    assert beside_torch(program)[:2] == [True, [1, 4]]


def test_recorded_gradients_that_are_dropped() -> None:
    w, x, v = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(5.0, 6.0)
    w.register_post_accumulate_grad_hook(drop)
    (w * 2 + x * 3 + v * v).sum().backward(create_graph=True)
    assert w.grad is None
    (second,) = ad.autograd.grad(x.grad.sum(), w, retain_graph=True)
    assert second.tolist() == [0, 0]  # though the pass was through with w before x


def test_leaves_outside_of_a_trace_are_refused() -> None:
    jax = pytest.importorskip("jax")
    with ad.use_backend("jax"):
        outer = ad.ones(2, requires_grad=True)
        outer.register_post_accumulate_grad_hook(drop)

        def traced(x: ad.Tensor) -> None:
            (x * outer).sum().backward()

        with pytest.raises(errors.AutogradError, match="from outside a function that is being traced"):
            jax.jit(traced)(ad.ones(2))
        assert outer.grad is None


# What it costs --------------------------------------------------------------------------------------------------


def test_a_graph_is_looked_through_only_while_there_are_such_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    assert not graph.any_hooked()
    traversals: list[int] = []
    reached = engine._reached
    monkeypatch.setattr(engine, "_reached", lambda roots: traversals.append(1) or reached(roots))
    w, other = leaf(1.0), leaf(2.0)

    def traversals_of_a_pass() -> int:
        traversals.clear()
        (w * 2).backward()
        return len(traversals)

    w.register_hook(lambda g: None)
    assert traversals_of_a_pass() == 0
    first, second = (t.register_post_accumulate_grad_hook(drop) for t in (other, other))
    assert traversals_of_a_pass() == 1
    first.remove()
    assert traversals_of_a_pass() == 1
    second.remove()
    assert traversals_of_a_pass() == 0
    other.register_post_accumulate_grad_hook(lambda t, own=other: None)  # no reference to its leaf holds it
    assert traversals_of_a_pass() == 1
    del other, first, second
    gc.collect()
    assert traversals_of_a_pass() == 0


def test_a_hook_that_is_registered_while_another_thread_looks_for_hooks() -> None:
    class Hooks(dict[Any, Any]):
        """Hooks of which there is one just after somebody saw that there is none."""

        looked = 0

        def __len__(self) -> int:
            self.looked += 1
            count = super().__len__()
            if self.looked == 1:
                w.register_post_accumulate_grad_hook(noting(seen, "w"))
            return count

    seen: list[Any] = []
    w = leaf(2.0)
    w.register_post_accumulate_grad_hook(drop).remove()
    (w * 3).grad_fn.next_functions[0][0].hooks.post = Hooks()
    (w * 3).backward()
    assert seen == [("w", [3])]
