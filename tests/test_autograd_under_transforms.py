"""`autograd.grad`, `backward` and hooks on tensors of `vmap` and forward mode: what the levels below record stays."""

from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.errors import ArgumentError, AutogradError, DeviceError, OperandError, ShapeError, TransformError
from polyad.func import grad, jvp, vmap
from polyad.testing import assert_close

pytestmark = pytest.mark.usefixtures("backend")


def tensor(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, dtype=ad.float64, **kwargs)


X = [[0.3, -1.2, 2.0], [1.1, 0.4, -0.7]]
T = [[1.0, 0.5, -2.0], [0.3, -1.0, 2.0]]


def by_autograd(f: Any, *, create_graph: bool = False, **options: Any) -> Any:
    """The gradient of a function, by a leaf and `autograd.grad`."""

    def gradient(x: Any) -> Any:
        leaf = (x * 1).requires_grad_() if not x.requires_grad else x
        return ad.autograd.grad(f(leaf), leaf, create_graph=create_graph, **options)[0]

    return gradient


def by_backward(f: Any, *, create_graph: bool = False) -> Any:
    """The gradient of a function, by a leaf and its ``grad``, half of it twice."""

    def gradient(x: Any) -> Any:
        leaf = (x * 1).requires_grad_()
        for _ in range(2):
            (f(leaf) / 2).backward(create_graph=create_graph)
        return leaf.grad

    return gradient


def cubes(x: Any) -> Any:
    return (x**3).sum()


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("by", [by_autograd, by_backward])
def test_gradients_inside(by: Any, create_graph: bool) -> None:
    """The history below is kept, though this pass is not recorded."""
    gradient, x, t = by(cubes, create_graph=create_graph), tensor(X), tensor(T)
    assert_close(vmap(gradient)(x), 3 * x**2)
    assert_close(vmap(vmap(gradient))(ad.stack([x, t])), ad.stack([3 * x**2, 3 * t**2]))
    value, moved = jvp(gradient, (x,), (t,))
    assert_close(value, 3 * x**2)
    assert_close(moved, 6 * x * t)
    assert_close(jvp(vmap(gradient), (x,), (t,))[1], 6 * x * t)
    assert_close(vmap(lambda x, t: jvp(gradient, (x,), (t,))[1])(x, t), 6 * x * t)
    assert_close(grad(lambda x: vmap(gradient)(x).sum())(x), 6 * x)
    assert_close(grad(lambda x: jvp(gradient, (x,), (t,))[1].sum())(x), 6 * t)
    w = tensor(X, requires_grad=True)
    y = vmap(gradient)(w)
    assert_close(ad.autograd.grad(y.sum(), w)[0], 6 * x)


def test_inputs_named_in_backward() -> None:
    def gradient(x: Any) -> Any:
        leaf = (x * 1).requires_grad_()
        inner = leaf * 2
        cubes(inner).backward(inputs=[leaf, inner])
        return leaf.grad, inner.grad

    x = tensor(X)
    by_leaf, by_inner = vmap(gradient)(x)
    assert_close(by_leaf, 24 * x**2)
    assert_close(by_inner, 12 * x**2)


# Gradients of a deeper level than the graph --------------------------------------------------------------------------


@pytest.mark.parametrize("create_graph", [False, True])
def test_deeper_gradients(create_graph: bool) -> None:
    x, cotangents = tensor(X[0], requires_grad=True), tensor(T)
    y = x**3
    options = {"retain_graph": True, "create_graph": create_graph}
    (found,) = vmap(lambda g: ad.autograd.grad(y, x, g, **options))(cotangents)
    assert_close(found.detach(), 3 * x.detach() ** 2 * cotangents)
    _, (moved,) = jvp(lambda g: ad.autograd.grad(y, x, g, **options), (cotangents[0],), (cotangents[1],))
    assert_close(moved.detach(), 3 * x.detach() ** 2 * cotangents[1])
    if create_graph:
        (second,) = ad.autograd.grad(found.sum(), x)
        assert_close(second, 6 * x.detach() * cotangents.sum(axis=0))
    g = cotangents.detach().requires_grad_()
    (found,) = vmap(lambda g: ad.autograd.grad(y, x, g, **options))(g)
    assert_close(ad.autograd.grad(found.sum(), g)[0], ad.stack([3 * x.detach() ** 2] * 2))


def test_a_leaf_takes_no_gradient_of_a_deeper_level() -> None:
    x = tensor(X[0], requires_grad=True)
    y = x**3
    with pytest.raises(TransformError, match=r"backward: a leaf on .* with a gradient of vmap of .*autograd.grad"):
        vmap(lambda g: y.backward(g, retain_graph=True) or g)(tensor(T))
    assert x.grad is None
    with pytest.raises(AutogradError, match=r"nothing to go back through.*It is of vmap of .*that the transform gives"):
        vmap(lambda r: cubes(r * x).backward() or r)(tensor(T))


def test_several_outputs_of_different_levels() -> None:
    x, cotangents = tensor(X[0], requires_grad=True), tensor(T)
    a, b = x**2, x**3
    one = ad.ones(3, dtype=ad.float64)
    (found,) = vmap(lambda g: ad.autograd.grad((a, b), x, (g, one), retain_graph=True))(cotangents)
    assert_close(found, 2 * x.detach() * cotangents + 3 * x.detach() ** 2)
    (found,) = vmap(lambda g: ad.autograd.grad(a, x, one, retain_graph=True))(cotangents)
    assert_close(found, ad.stack([2 * x.detach()] * 2))
    unused = tensor([1.0], requires_grad=True)
    found, zeros = vmap(lambda g: ad.autograd.grad(a, (x, unused), g, retain_graph=True, materialize_grads=True))(
        cotangents
    )
    assert zeros.tolist() == [[0], [0]]


def test_intermediate_results_and_types() -> None:
    x = ad.tensor([1.0, 2.0], dtype=ad.float32, requires_grad=True)
    middle = x * 2
    y = (middle**2).double()
    found = vmap(lambda g: ad.autograd.grad(y, (x, middle), g))(tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert [g.dtype for g in found] == [ad.float32] * 2
    assert [g.tolist() for g in found] == [[[8, 0], [0, 16]], [[4, 0], [0, 8]]]
    z = ad.tensor([1 + 2j, 3j], dtype=ad.complex128, requires_grad=True)
    y, seeds = z * z, ad.tensor([[1.0, 1j], [1j, 2.0]], dtype=ad.complex128)
    (found,) = vmap(lambda g: ad.autograd.grad(y, z, g, retain_graph=True))(seeds)
    assert_close(found, ad.stack([ad.autograd.grad(y, z, g, retain_graph=True)[0] for g in seeds]))


# Many gradients at once ----------------------------------------------------------------------------------------------


def test_many_gradients_at_once() -> None:
    def program(lib: Any, func: Any) -> list[Any]:
        x = lib.tensor(X, dtype=lib.float64, requires_grad=True)
        w = lib.tensor(T[0], dtype=lib.float64, requires_grad=True)
        unused = lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True)
        a, b = x * w * x, w.sin()
        ga = lib.stack([lib.ones_like(a), a.detach(), 2 * a.detach(), -a.detach()])
        gb = lib.stack([b.detach() * i for i in range(4)])
        options = {"is_grads_batched": True, "retain_graph": True}
        one = lib.autograd.grad(a, x, ga, **options)
        two = lib.autograd.grad((a, b), (x, w), (ga, gb), **options)
        lacks = lib.autograd.grad((a, b), (x, unused), (ga, gb), allow_unused=True, **options)
        by_w, zeros = lib.autograd.grad(b, (w, unused), gb, materialize_grads=True, **options)
        assert not zeros.any()
        assert zeros.shape[-1] == 2  # with a dimension in front here, as the others; in PyTorch without
        assert lacks[1] is None
        first = lib.autograd.grad(a, (x, w), ga, create_graph=True, is_grads_batched=True)
        second = lib.autograd.grad(first[0].sum() * first[1].sum(), (x, w))
        return [g.detach().numpy() for g in (*one, *two, lacks[0], by_w, *first, *second)]

    mine = program(ad, ad.func)
    np.testing.assert_allclose(mine[0][0], 2 * np.array(X) * np.array(T[0]))
    torch = pytest.importorskip("torch")
    for ours, theirs in zip(mine, program(torch, torch.func), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_many_gradients_inside_a_transform() -> None:
    def jacobian(x: Any) -> Any:
        leaf = (x * 1).requires_grad_()
        return ad.autograd.grad(leaf**3, leaf, ad.eye(3, dtype=ad.float64), is_grads_batched=True)[0]

    x, t = tensor(X), tensor(T)
    eye = ad.eye(3, dtype=ad.float64)
    assert_close(vmap(jacobian)(x), ad.stack([eye * 3 * row**2 for row in x]))
    assert_close(jvp(jacobian, (x[0],), (t[0],))[1], eye * 6 * x[0] * t[0])


def test_bad_gradients() -> None:
    x = tensor(X[0], requires_grad=True)
    y = x**2
    for given, error, match in [
        (
            None,
            ArgumentError,
            "is_grads_batched=True takes .* pass them as grad_outputs=",
        ),
        ((None,), ArgumentError, "is_grads_batched=True takes many gradients"),
        (3.0, OperandError, "expected a tensor"),
        (ad.ones(3, dtype=ad.float64), ShapeError, r"grad: the gradient has shape \(\); expected \(3,\)"),
        (ad.ones((2, 4), dtype=ad.float64), ShapeError, r"grad: the gradient has shape \(4,\); expected \(3,\)"),
    ]:
        with pytest.raises(error, match=match):
            ad.autograd.grad(y, x, given, is_grads_batched=True)
    with pytest.raises(ShapeError, match="different numbers of examples"):
        ad.autograd.grad((y, y * 2), x, (ad.ones((2, 3)), ad.ones((3, 3))), is_grads_batched=True)


# Hooks ---------------------------------------------------------------------------------------------------------------


def scaling(w: Any) -> Any:
    return lambda g: g * w


@pytest.mark.parametrize("kind", ["tensor", "prehook", "posthook", "leaf"])
def test_hooks_inside(kind: str) -> None:
    """What a hook computes is differentiated by the transforms outside; here a factor from there."""

    def gradient(x: Any, w: Any) -> Any:
        def f(x: Any) -> Any:
            y = x * x
            if kind == "leaf":
                x.register_hook(scaling(w))
            elif kind == "tensor":
                y.register_hook(scaling(w))
            elif kind == "prehook":
                y.grad_fn.register_prehook(lambda grads: (grads[0] * w,))
            else:
                y.grad_fn.register_hook(lambda inputs, outputs: tuple(g * w for g in inputs))
            return y.sum()

        return grad(f)(x)

    x, t, w = tensor(X), tensor(T), tensor(T[0])
    assert_close(vmap(gradient, (0, None))(x, w), 2 * x * w)
    assert_close(grad(lambda w: vmap(gradient, (0, None))(x, w).sum())(w), 2 * x.sum(axis=0))
    assert_close(grad(lambda x: vmap(gradient, (0, None))(x, w).sum())(x), ad.stack([2 * w, 2 * w]))
    assert_close(jvp(gradient, (x[0], w), (t[0], t[1]))[1], 2 * (t[0] * w + x[0] * t[1]))
    outside = tensor(T[0], requires_grad=True)
    y = vmap(lambda r: gradient(r, outside))(x)
    assert_close(ad.autograd.grad(y.sum(), outside)[0], 2 * x.sum(axis=0))


def test_hooks_after_accumulation_inside() -> None:
    def gradient(x: Any, w: Any) -> Any:
        leaf = (x * 1).requires_grad_()

        def scale(t: Any) -> None:
            t.grad = t.grad * w

        leaf.register_post_accumulate_grad_hook(scale)
        cubes(leaf).backward()
        return leaf.grad

    x, w = tensor(X), tensor(T[0])
    assert_close(vmap(gradient, (0, None))(x, w), 3 * x**2 * w)
    assert_close(grad(lambda w: vmap(gradient, (0, None))(x, w).sum())(w), 3 * (x**2).sum(axis=0))


def test_hooks_of_a_graph_from_outside() -> None:
    """Gradients of many examples come to hooks that were registered for one."""
    x, cotangents, seen = tensor(X[0], requires_grad=True), tensor(T), []
    y = x**3
    y.register_hook(lambda g: seen.append(g.shape) or g * 2)
    y.grad_fn.register_prehook(lambda grads: (grads[0] * 3,))
    x.register_hook(lambda g: g + 1)
    (found,) = vmap(lambda g: ad.autograd.grad(y, x, g, retain_graph=True))(cotangents)
    assert_close(found, 18 * x.detach() ** 2 * cotangents + 1)
    assert seen == [(3,)]
    y.register_hook(lambda g: ad.ones(3, dtype=ad.float64))
    (found,) = vmap(lambda g: ad.autograd.grad(y, x, g, retain_graph=True))(cotangents)
    assert_close(found, ad.stack([9 * x.detach() ** 2 + 1] * 2))


def test_a_hook_may_not_make_a_gradient_deeper() -> None:
    x, rows = tensor(X[0], requires_grad=True), tensor(T)

    def program(row: Any) -> Any:
        y = x**3
        y.register_hook(lambda g: g * row)
        return ad.autograd.grad(y.sum(), x)[0]

    with pytest.raises(DeviceError, match="what the hook .* returned: the gradient is on vmap of"):
        vmap(program)(rows)


def test_retain_grad_inside() -> None:
    def program(x: Any) -> Any:
        leaf = (x * 1).requires_grad_()
        y = leaf * 2
        y.retain_grad()
        cubes(y).backward()
        return y.grad

    x = tensor(X)
    assert_close(vmap(program)(x), 12 * x**2)
    assert_close(grad(lambda x: vmap(program)(x).sum())(x), 24 * x)


def test_anomalies_inside() -> None:
    x = tensor([[1.0, 4.0], [0.0, 1.0]])
    roots = x[1].detach() * 0.0
    roots.requires_grad_()
    y = roots.sqrt() * 0.0
    for program in (
        lambda: vmap(grad(lambda r: (r.sqrt() * 0.0).sum()))(x),
        lambda: grad(lambda x: vmap(lambda r: (r.sqrt() * 0.0).sum())(x).sum())(x),
        lambda: jvp(grad(lambda r: (r.sqrt() * 0.0).sum()), (x,), (x,)),
        lambda: vmap(lambda g: ad.autograd.grad(y, roots, g))(x),
    ):
        with ad.autograd.detect_anomaly(), pytest.raises(AutogradError, match="Backward gave NaN in the gradient"):
            program()
