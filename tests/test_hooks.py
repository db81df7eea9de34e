"""Hooks of tensors and nodes, what nodes save, and anomaly detection, on every backend and beside PyTorch."""

import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad import errors
from polyad.backend import Backend
from polyad.testing import assert_close

pytestmark = pytest.mark.usefixtures("backend")

graph = ad.autograd.graph


def leaf(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, requires_grad=True, **kwargs)


def beside_torch(program: Callable[[Any], Any]) -> None:
    """Run a program with polyad, and with PyTorch, and compare the lists of numbers that it gives."""
    torch = pytest.importorskip("torch")
    mine, theirs = program(ad), program(torch)
    assert mine == theirs


# Nodes ----------------------------------------------------------------------------------------------------------


def test_order_of_hooks() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        y = x * 3
        y.grad_fn.register_hook(lambda inputs, outputs: seen.append(("post", inputs[0].tolist(), outputs[0].tolist())))
        y.grad_fn.register_prehook(lambda outputs: seen.append(("pre", outputs[0].tolist())))
        y.retain_grad()
        y.register_hook(lambda g: g * 2)
        x.register_hook(lambda g: seen.append(("leaf", g.tolist())))
        x.register_post_accumulate_grad_hook(lambda t: seen.append(("accumulated", t.grad.tolist())))
        y.sum().backward()
        return [*seen, y.grad.tolist(), x.grad.tolist()]

    beside_torch(program)


def test_hooks_replace_gradients() -> None:
    x = leaf([1.0, 2.0])
    y = x * 3
    with y.grad_fn.register_prehook(lambda grads: (grads[0] + 1,)):
        assert ad.autograd.grad(y.sum(), x, retain_graph=True)[0].tolist() == [6, 6]
    handle = y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] * 10, None))
    assert ad.autograd.grad(y.sum(), x, retain_graph=True)[0].tolist() == [30, 30]
    handle.remove()
    handle.remove()
    assert ad.autograd.grad(y.sum(), x)[0].tolist() == [3, 3]


def test_prehooks_of_several_outputs() -> None:
    seen = []
    x = leaf([[2.0, 1.0], [1.0, 3.0]])
    values, _ = ad.linalg.eigh(x)
    values.grad_fn.register_prehook(lambda grads: seen.append([None if g is None else g.tolist() for g in grads]))
    values.sum().backward()
    assert seen == [[[1, 1], None]]
    assert_close(x.grad, np.eye(2), check_dtype=False, atol=1e-5)


def test_hooks_are_differentiated() -> None:
    x = leaf(2.0)
    y = x * x
    y.register_hook(lambda g: g * g * 5)
    y.grad_fn.register_hook(lambda inputs, outputs: tuple(i if i is None else i * x for i in inputs))
    (g,) = ad.autograd.grad(y, x, create_graph=True)  # 5 * 2 x * x
    assert g.item() == 40
    assert ad.autograd.grad(g, x)[0].item() == 40


@pytest.mark.parametrize(
    ("hook", "error", "match"),
    [
        (lambda inputs, outputs: 3, errors.OperandError, "a hook must return a tuple of tensors or None; .* a int"),
        (lambda inputs, outputs: (inputs[0],), errors.ShapeError, "got 2 gradients and returned 1"),
        (lambda inputs, outputs: (ad.ones(5), None), errors.ShapeError, r"has shape \(5,\); expected \(2,\)"),
    ],
)
def test_what_node_hooks_return_is_checked(hook: Any, error: Any, match: str) -> None:
    x = leaf([1.0, 2.0])
    y = x * 3
    y.grad_fn.register_hook(hook)
    with pytest.raises(error, match=match):
        y.sum().backward()
    assert x.grad is None


def test_accumulation_hooks() -> None:
    x = leaf([1.0])
    x.register_post_accumulate_grad_hook(lambda t: setattr(t, "grad", None))  # as an optimizer in backward does
    (x * 2).backward()
    assert x.grad is None
    with pytest.raises(
        errors.AutogradError, match="only leaf tensors that .* accumulate .* result of MultiplyBackward"
    ):
        (x * 2).register_post_accumulate_grad_hook(print)
    with pytest.raises(errors.AutogradError, match=r"call requires_grad_\(\) first"):
        ad.ones(2).register_post_accumulate_grad_hook(print)
    y = leaf([1.0])
    y.register_post_accumulate_grad_hook(lambda t: t)
    with pytest.raises(errors.OperandError, match="a hook after accumulation must return None"):
        (y * 2).backward()


@pytest.mark.parametrize("mode", ["all", "any"])
def test_hooks_of_several_tensors(mode: str) -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []
        x, y, z = (lib.tensor(v, requires_grad=True) for v in (2.0, 3.0, 4.0))

        def note(found: Any) -> None:
            found = found if isinstance(found, (list, tuple)) else [found]
            seen.append([None if g is None else g.tolist() for g in found])

        handle = lib.autograd.graph.register_multi_grad_hook([x, y, z], note, mode=mode)
        (x * y).backward()
        (x * y * z).sum().backward() if mode == "all" else (z * 5).backward()
        handle.remove()
        (x * y).backward()
        return seen

    beside_torch(program)


def test_hook_of_several_tensors_in_grad() -> None:
    seen: list[Any] = []
    x, y = leaf(2.0), leaf(3.0)
    graph.register_multi_grad_hook([x, y], seen.append)
    ad.autograd.grad(x * y, [y])  # which reaches y alone; PyTorch refuses it
    assert [[None if g is None else g.item() for g in found] for found in seen] == [[None, 2]]


def test_multi_grad_hook_is_checked() -> None:
    x = leaf(1.0)
    with pytest.raises(errors.ArgumentError, match="mode must be 'all' or 'any'; got 'some'"):
        graph.register_multi_grad_hook([x], print, mode="some")
    with pytest.raises(errors.AutogradError, match=r"tensors\[1\] does not require a gradient"):
        graph.register_multi_grad_hook([x, ad.ones(1)], print)


def test_nodes_of_leaves_have_prehooks() -> None:
    x = leaf([1.0])
    ((node, _), *_) = (x * 2).grad_fn.next_functions
    assert node.variable is x
    node.register_prehook(lambda grads: (grads[0] * 7,))
    (x * 2).backward()
    assert x.grad.tolist() == [14]


def test_metadata() -> None:
    y = leaf(1.0) * 2
    y.grad_fn.metadata["layer"] = "first"
    assert y.grad_fn.metadata == {"layer": "first"}


# What nodes save ------------------------------------------------------------------------------------------------


def test_saved_values_by_name() -> None:
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    node = (x * y).grad_fn
    assert node._saved_x2.tolist() == [3, 4]
    assert not node._saved_x2.requires_grad
    assert x.exp().grad_fn._saved_out.tolist() == x.exp().tolist()
    summed = ad.ones((2, 3), requires_grad=True).sum(axis=1).grad_fn
    assert summed._saved_axis == (1,)
    assert {"_saved_x1", "_saved_x2"} <= set(dir(node))
    with pytest.raises(AttributeError, match="MultiplyBackward saved no 'result'; it saved _saved_x2, _saved_x1"):
        node._saved_result
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        node.other


def test_saved_values_are_gone_after_backward() -> None:
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    node = y.grad_fn.next_functions[0][0]
    y.backward()
    with pytest.raises(errors.AutogradError, match=r"what it saved is gone.*retain_graph=True"):
        node._saved_x1


def test_pack_hooks_see_what_is_kept() -> None:
    packed: list[Any] = []
    unpacked: list[Any] = []
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])

    def pack(t: ad.Tensor) -> Any:
        assert not t.requires_grad
        packed.append(t.tolist())
        return t.tolist()

    def unpack(values: Any) -> ad.Tensor:
        unpacked.append(values)
        return ad.tensor(values)

    with graph.saved_tensors_hooks(pack, unpack):
        z = (x * y).exp()
    w = z + z  # keeps nothing, and is outside
    w.sum().backward()
    assert packed == [[3, 4], [1, 2], z.tolist()]
    assert unpacked == [z.tolist(), [3, 4], [1, 2]]
    assert_close(x.grad, 2 * z.detach() * y.detach())
    assert_close(y.grad, 2 * z.detach() * x.detach())


def test_pack_hooks_to_second_order_and_inside_no_grad() -> None:
    x = leaf(2.0)
    with graph.saved_tensors_hooks(lambda t: t.item(), ad.tensor):
        with ad.no_grad():
            assert not (x * 2).requires_grad
            with ad.enable_grad():
                y = x**3
        (g,) = ad.autograd.grad(y, x, create_graph=True)
    assert g.item() == 12
    assert ad.autograd.grad(g, x)[0].item() == 12


def test_pack_hooks_of_several_outputs_and_sequences() -> None:
    x = leaf([[2.0, 1.0], [1.0, 3.0]])
    with graph.save_on_cpu():
        values, vectors = ad.linalg.eigh(x)
        y = ad.concat([values * 2, vectors[0] * vectors[0]])
    (y * y).sum().backward()
    again = leaf(x.tolist())
    values, vectors = ad.linalg.eigh(again)
    y = ad.concat([values * 2, vectors[0] * vectors[0]])
    (y * y).sum().backward()
    assert_close(x.grad, again.grad)


def test_pack_hooks_of_operands_that_are_left_out(backend: Backend) -> None:
    x, value = leaf([1.0, 2.0]), leaf(3.0)
    with graph.save_on_cpu():
        y = x * 2
        y[0] = value  # keeps index arrays, of which there are none
        z = (y * y).sum()
    z.backward()
    assert (x.grad.tolist(), value.grad.item()) == ([0, 16], 6)


def test_what_hooks_packed_is_named_where_it_has_no_second_derivative() -> None:
    class Moved(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: ad.Tensor) -> ad.Tensor:
            ctx.save_for_backward(x + 1)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: ad.Tensor) -> ad.Tensor:
            return g * 2 * (ctx.saved_tensors[0] - 1)

    x = leaf([1.0, 2.0])
    with graph.save_on_cpu():
        y = Moved.apply(x).sum()
    with pytest.raises(errors.AutogradError, match=r"saved_tensors\[0\], of shape \(2,\), was computed in forward"):
        ad.autograd.grad(y, x, create_graph=True)


def test_kept_on_the_host(backend: Backend) -> None:
    x = leaf([1.0, 2.0])
    with graph.save_on_cpu():
        y = x.exp()
    kept = y.grad_fn.args[0][0].value[0][0]
    assert isinstance(kept, ad.Tensor if backend.writable and backend.devices[0].type == "cpu" else np.ndarray)
    y.sum().backward()
    assert_close(x.grad, y.detach())


def test_bad_pack_hooks() -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(errors.OperandError, match="saved_tensors_hooks: unpack_hook must be callable; got 3"):
        graph.saved_tensors_hooks(lambda t: t, 3)
    with graph.saved_tensors_hooks(lambda t: t, lambda t: 3):
        y = (x * x).sum()
    with pytest.raises(errors.OperandError, match="the unpack hook .* must return a tensor; it returned a int"):
        y.backward()
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t[:1]):
        y = (x * x).sum()
    with pytest.raises(errors.OperandError, match=r"returned a tensor of shape \(1,\), .*; expected shape \(2,\)"):
        y.backward()
    assert x.grad is None
    with (
        graph.disable_saved_tensors_hooks("no hooks in here"),
        pytest.raises(errors.AutogradError, match="no hooks in here"),
        graph.save_on_cpu(),
    ):
        pass
    with (
        graph.save_on_cpu(),
        pytest.raises(errors.AutogradError, match="not with hooks"),
        graph.disable_saved_tensors_hooks("not with hooks"),
    ):
        pass


def test_saved_tensors_may_be_overwritten() -> None:
    def program(lib: Any) -> Any:
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        with lib.autograd.graph.allow_mutation_on_saved_tensors():
            a = x * 3
            y = a * a
            z = a.exp()
            a.zero_()
            z.add_(1)
            (y.sum() + z.sum()).backward()
        return x.grad.tolist()

    assert np.allclose(program(ad), [18 + 3 * np.exp(3), 36 + 3 * np.exp(6)])
    x = leaf([1.0, 2.0])
    a = x * 3
    y = a * a
    a.zero_()
    with pytest.raises(errors.AutogradError, match=r"MultiplyBackward kept .* overwritten .*\(zero_\)"):
        y.sum().backward()


def test_versions_can_be_raised() -> None:
    x = leaf([1.0])
    a = x * 2
    y = a * a
    graph.increment_version(a)
    with pytest.raises(errors.AutogradError, match="increment_version"):
        y.backward()
    with pytest.raises(errors.OperandError, match="increment_version: expected tensors; got a int"):
        graph.increment_version([3])


# Finding mistakes -----------------------------------------------------------------------------------------------


def test_anomalies_name_the_line() -> None:
    x = leaf([0.0, 1.0])
    with (
        pytest.raises(
            errors.AutogradError, match="SqrtBackward gave NaN in the gradient of x, float32 .*at 1 of 2"
        ) as e,
        ad.autograd.detect_anomaly(),
    ):
        (x.sqrt() * 0.0).sum().backward()  # the line that is named
    assert "the line that is named" in str(e.value)
    assert "polyad/ops" not in str(e.value)
    assert x.grad is None


def test_anomalies_that_are_looked_for() -> None:
    x = leaf([0.0])
    with ad.autograd.detect_anomaly():
        x.sqrt().backward()  # infinite, which is no NaN
    with (
        pytest.raises(errors.AutogradError, match="SqrtBackward gave infinity"),
        ad.autograd.detect_anomaly(check_inf=True),
    ):
        x.sqrt().backward()
    with ad.autograd.detect_anomaly(check_nan=False):
        (x.sqrt() * 0.0).backward()
    y = x.sqrt() * 0.0
    with (
        pytest.raises(errors.AutogradError, match="run the forward pass inside detect_anomaly"),
        ad.autograd.detect_anomaly(),
    ):
        y.backward()


def test_anomaly_mode_switched_at_once() -> None:
    with ad.autograd.set_detect_anomaly(True):
        assert ad.autograd.is_anomaly_enabled()
        with ad.autograd.set_detect_anomaly(False):
            assert not ad.autograd.is_anomaly_enabled()
        assert ad.autograd.is_anomaly_enabled()
    assert not ad.autograd.is_anomaly_enabled()


def test_errors_of_rules_say_where() -> None:
    class Faulty(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            raise ValueError("mine")

    x = leaf(1.0)
    with pytest.raises(ValueError, match="mine") as e:
        Faulty.apply(x).backward()
    assert any("in FaultyBackward of" in note and "float32[] on backend" in note for note in e.value.__notes__)
    with ad.autograd.detect_anomaly():
        y = Faulty.apply(x)  # where it was
    with pytest.raises(ValueError, match="mine") as e:
        y.backward()
    assert any("where it was" in note for note in e.value.__notes__)


# Modes ----------------------------------------------------------------------------------------------------------


def test_inference_mode() -> None:
    x = leaf(2.0)
    with ad.inference_mode():
        y = x * 2
        with ad.inference_mode(False):
            assert (x * 2).requires_grad
            assert not ad.is_inference_mode_enabled()
        assert not (x * 2).requires_grad
        assert ad.is_inference_mode_enabled()
    assert not y.requires_grad
    with ad.no_grad(), ad.inference_mode(False):
        assert (x * 2).requires_grad

    @ad.inference_mode
    def plain(t: ad.Tensor) -> bool:
        return (t * 2).requires_grad

    @ad.inference_mode()
    def called(t: ad.Tensor) -> bool:
        return (t * 2).requires_grad

    assert not plain(x)
    assert not called(x)
    assert (x * 2).requires_grad


# Zeros, threads, traces -----------------------------------------------------------------------------------------


def test_second_derivative_of_a_linear_function_is_zero() -> None:
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    (g,) = ad.autograd.grad((x * 2).sum(), x, create_graph=True)
    assert ad.autograd.grad(g.sum(), x, create_graph=True)[0].tolist() == [0, 0]
    gx, gw = ad.autograd.grad((x + w).sum(), [x, w], create_graph=True)
    assert [t.tolist() for t in ad.autograd.grad((gx * gw).sum(), [x, w])] == [[0, 0], [0, 0]]
    (x * 2 + w).sum().backward(create_graph=True)
    assert ad.autograd.grad(x.grad.sum(), w)[0].tolist() == [0, 0]
    z = leaf([1 + 2j])
    (g,) = ad.autograd.grad((z * 2).real.sum(), z, create_graph=True)
    assert ad.autograd.grad(g.real.sum(), z)[0].tolist() == [0]


def test_gradients_have_memory_of_their_own() -> None:
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    given = ad.ones(2)
    y = x + w
    a, b, c = ad.autograd.grad(y, [x, w, y], given)
    for t in (a, b, c):
        t.add_(1)
    assert [t.tolist() for t in (a, b, c, given)] == [[2, 2], [2, 2], [2, 2], [1, 1]]
    a, b = ad.autograd.grad((x * 1).sum(), [x, x])
    a.add_(1)
    assert b.tolist() == [1, 1]


def test_shared_leaves_of_many_threads() -> None:
    x = leaf([0.0, 0.0])
    seen = []
    x.register_post_accumulate_grad_hook(lambda t: seen.append(1))

    def work() -> None:
        for _ in range(50):
            (x * 3).sum().backward()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert x.grad.tolist() == [1200, 1200]
    assert len(seen) == 400


def test_leaves_outside_of_a_trace_are_refused() -> None:
    jax = pytest.importorskip("jax")
    with ad.use_backend("jax"):
        outer = ad.ones(2, requires_grad=True)

        def traced(x: ad.Tensor) -> ad.Tensor:
            y = (x * outer).sum()
            y.backward()
            return y

        with pytest.raises(errors.AutogradError, match="from outside a function that is being traced"):
            jax.jit(traced)(ad.ones(2))
        assert outer.grad is None


def test_hooks_make_no_cycles() -> None:
    import weakref

    gc.collect()
    gc.disable()
    try:
        x = leaf([1.0])
        y = x * 2
        y.retain_grad()
        y.register_hook(lambda g: g)
        gone = weakref.ref(y)
        y.backward()
        del y
        assert gone() is None
    finally:
        gc.enable()


def test_gradients_of_edges() -> None:
    x = leaf([[2.0, 1.0], [1.0, 3.0]])
    y = x * 2
    values, vectors = ad.linalg.eigh(y)
    edges = [graph.get_gradient_edge(t) for t in (x, y, values, vectors)]
    assert [e.output_nr for e in edges] == [0, 0, 0, 1]
    loss = (values * values).sum() + (vectors[0] ** 2).sum()
    by_edge = ad.autograd.grad(loss, edges, retain_graph=True)
    by_tensor = ad.autograd.grad(loss, [x, y, values, vectors], create_graph=True)
    for a, b in zip(by_edge, by_tensor, strict=True):
        assert_close(a, b.detach())
    again = ad.autograd.grad(loss, graph.get_gradient_edge(values), create_graph=True)
    assert_close(again[0].detach(), by_edge[2])
    with pytest.raises(errors.AutogradError, match="the edge to MultiplyBackward, was not used"):
        ad.autograd.grad(loss, graph.get_gradient_edge(x * 3))
    with pytest.raises(errors.AutogradError, match="get_gradient_edge: the tensor does not require a gradient"):
        graph.get_gradient_edge(ad.ones(1))


def test_views_and_reads_are_watched() -> None:
    x = leaf([0.0, 1.0, 2.0])
    packed = []

    def pack(t: ad.Tensor) -> ad.Tensor:
        packed.append(t.tolist())
        return t

    with graph.saved_tensors_hooks(pack, lambda t: t):
        y = x[ad.tensor([2, 0])]
    assert packed == [[2, 0]]
    y.sum().backward()
    assert x.grad.tolist() == [1, 0, 1]
    with ad.autograd.detect_anomaly():
        parts = (x[1:], x[ad.tensor([0])], x.reshape(3, 1), x.T, *x.split(2), x.sum(), x * 2, x.clone())
    for part in parts:
        assert "test_views_and_reads_are_watched" in part.grad_fn.metadata["traceback"], part


def test_retained_gradients_are_those_of_what_was_written() -> None:
    def program(lib: Any) -> Any:
        x = lib.tensor([1.0, 2.0], requires_grad=True)
        y = x * 2
        y.retain_grad()
        z = y * 3
        y.mul_(5)
        (y.sum() + z.sum()).backward()
        w = x * 1
        w.retain_grad()
        part = w[:1]
        part.retain_grad()
        part.mul_(7)
        (w * lib.tensor([1.0, 3.0])).sum().backward()
        return [t.grad.tolist() for t in (x, y, w)]

    beside_torch(program)


def test_a_hook_of_one_of_several_results_sees_what_comes_through_the_kept_one(backend: Backend) -> None:
    class ExpAndTwice(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: ad.Tensor) -> Any:
            y = x.exp()
            ctx.save_for_backward(y)
            return y, x * 2

        @staticmethod
        def backward(ctx: Any, g: ad.Tensor, h: ad.Tensor) -> Any:
            (y,) = ctx.saved_tensors
            return g * y + 2 * h

    x = ad.tensor(0.0, requires_grad=True)
    y, _ = ExpAndTwice.apply(x)
    y.register_hook(lambda g: g * 10)
    (g,) = ad.autograd.grad(y, x, create_graph=True)
    assert (g.item(), ad.autograd.grad(g, x)[0].item()) == (10, 100)  # as PyTorch's: the hook is on both paths


def test_a_hook_of_a_factor_sees_what_comes_through_the_kept_one(backend: Backend) -> None:
    x = ad.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=ad.float64, requires_grad=True)
    q, r = ad.linalg.qr(x)
    seen: list[Any] = []
    q.register_hook(seen.append)
    (g,) = ad.autograd.grad((q * r).sum(), x, create_graph=True)
    assert len(seen) == 1
    ad.autograd.grad(g.sum(), x)
    assert len(seen) == 2


def test_a_retained_gradient_is_counted_once_where_it_is_asked_for(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    h = x * 3
    h.retain_grad()
    loss = (h * h).sum()
    loss.backward(inputs=[h], retain_graph=True)
    assert (h.grad.tolist(), x.grad) == ([6, 12], None)
    loss.backward(inputs=[h, x])
    assert (h.grad.tolist(), x.grad.tolist()) == ([12, 24], [18, 36])
