"""What an `autograd.Function` says of transforms itself: ``vmap``, ``jvp``; beside PyTorch; and its mistakes there."""

from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.errors import AutogradError, OperandError, ShapeError, TransformError
from polyad.func import grad, jvp, vmap
from polyad.testing import assert_close

pytestmark = pytest.mark.usefixtures("backend")

Fn = ad.autograd.Function


def tensor(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, dtype=ad.float64, **kwargs)


X = [[0.3, -1.2, 2.0], [1.1, 0.4, -0.7]]
T = [[1.0, 0.5, -2.0], [0.3, -1.0, 2.0]]


# A rule of the class's own -------------------------------------------------------------------------------------------


class Opaque(Fn):
    """Computed by another library, which knows nothing of examples but has a first dimension more."""

    infos: list[Any] = []

    @staticmethod
    def forward(x: Any, w: Any) -> Any:
        return x * w, x + w

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs, output[0])

    @staticmethod
    def backward(ctx: Any, g: Any, h: Any) -> Any:
        x, w, y = ctx.saved_tensors
        return 10 * g * y / x + h, 10 * g * y / w + h

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Any, w: Any) -> Any:
        Opaque.infos.append((info.batch_size, info.randomness, in_dims, x.shape, w.shape))
        if in_dims[0] is None:
            x = ad.stack([x] * info.batch_size)
        if in_dims[1] is None:
            w = ad.stack([w] * info.batch_size)
        y, z = Opaque.apply(x, w)
        return (ad.moveaxis(y, 0, -1), z), (-1, 0)


def test_a_rule_of_ones_own() -> None:
    x, w = tensor(X), tensor(T[0])
    Opaque.infos.clear()
    y, z = vmap(Opaque.apply, (0, None), randomness="same")(x, w)
    assert Opaque.infos == [(2, "same", (0, None), (2, 3), (3,))]
    assert_close(y, x * w)
    assert_close(z, x + w)

    def total(x: Any, w: Any) -> Any:
        y, z = Opaque.apply(x, w)
        return (y + z).sum()

    by_x, by_w = vmap(grad(total, (0, 1)), (0, None))(x, w)
    assert_close(by_x, 10 * ad.stack([w, w]) + 1)
    assert_close(by_w, 10 * x + 1)
    assert_close(grad(lambda w: vmap(total, (0, None))(x, w).sum())(w), 10 * x.sum(axis=0) + 2)
    _, moved = jvp(vmap(total, (0, None)), (x, w), (x, w))
    assert_close(moved, (20 * x * w + x + w).sum(axis=1))
    _, moved = vmap(lambda x: jvp(total, (x, w), (x, w)))(x)
    assert_close(moved, (20 * x * w + x + w).sum(axis=1))
    twice = vmap(vmap(lambda x: Opaque.apply(x, x)[0]))(ad.stack([x, 2 * x]))
    assert_close(twice, ad.stack([x * x, 4 * x * x]))


def with_rule(rule: Any, **methods: Any) -> Any:
    body = {"forward": lambda ctx, x: x * 2, "backward": lambda ctx, g: g * 2, "vmap": rule, **methods}
    return type("Mine", (Fn,), {name: staticmethod(method) for name, method in body.items()})


@pytest.mark.parametrize(
    ("rule", "error", "match"),
    [
        (lambda info, dims, x: x * 2, OperandError, "Mine: vmap must return a pair, output and out_dims; it returned"),
        (lambda info, dims, x: (x * 2, (0, 0)), AutogradError, "Mine: vmap returned 2 out_dims for 1 results"),
        (lambda info, dims, x: (x * 2, "0"), AutogradError, "Mine: vmap returned '0' in out_dims; expected an int"),
        (lambda info, dims, x: (x * 2, 5), IndexError, "Mine.vmap: out_dims: axis 5"),
        (lambda info, dims, x: (x * 2, 1), ShapeError, r"result of shape \(2, 3\) with out_dims 1; expected 2, the"),
    ],
)
def test_bad_rules(rule: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        vmap(with_rule(rule).apply)(tensor(X))


def test_a_rule_without_a_context_to_go_back_by() -> None:
    own = with_rule(lambda info, dims, x: (x * 2, 0))
    assert_close(vmap(own.apply)(tensor(X)), 2 * tensor(X))
    assert_close(grad(lambda x: vmap(own.apply)(x).sum())(tensor(X)), 2 * ad.ones_like(tensor(X)))
    with pytest.raises(TransformError, match=r"Mine: gradients inside vmap need .*setup_context\(ctx, inp"):
        vmap(grad(lambda r: own.apply(r).sum()))(tensor(X))


# Mistakes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [
        lambda f: lambda x: vmap(f)(x),
        lambda f: lambda x: jvp(f, (x,), (x,)),
        lambda f: lambda x: jvp(vmap(f), (x,), (x,)),
        lambda f: lambda x: vmap(lambda r: jvp(f, (r,), (r,)))(x),
    ],
)
def test_in_place(program: Any) -> None:
    class Double(Fn):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    x = tensor(X)
    with pytest.raises(TransformError, match="Double: forward marks an argument dirty, .* has to return a new tensor"):
        program(Double.apply)(x)
    assert x.tolist() == X


def with_jvp(rule: Any) -> Any:
    return with_rule(Fn.vmap, jvp=rule)


@pytest.mark.parametrize(
    ("rule", "error", "match"),
    [
        (lambda ctx, t: (t, t), AutogradError, "Mine: jvp returned 2 tangents; expected 1, one for each result"),
        (lambda ctx, t: 3.0, OperandError, "Mine: jvp returned a float as tangent 0; expected a tensor or None"),
        (
            lambda ctx, t: t[0],
            ShapeError,
            r"Mine: jvp returned tangent 0 of shape \(.*\); expected \(.*\), the result's",
        ),
    ],
)
def test_bad_tangents(rule: Any, error: Any, match: str) -> None:
    x = tensor(X)
    with pytest.raises(error, match=match):
        jvp(with_jvp(rule).apply, (x,), (x,))
    with pytest.raises(error, match=match):
        jvp(vmap(with_jvp(rule).apply), (x,), (x,))


def test_tangents_of_other_types_and_none() -> None:
    x = tensor(X)
    assert jvp(with_jvp(lambda ctx, t: t.float() * 5).apply, (x,), (x,))[1].dtype is ad.float64
    assert not jvp(with_jvp(lambda ctx, t: None).apply, (x,), (x,))[1].any()
    assert not jvp(with_rule(Fn.vmap, backward=lambda ctx, g: None).apply, (x,), (x,))[1].any()


def test_arguments_without_tangents_are_none() -> None:
    seen: list[Any] = []

    class Own(Fn):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any, n: int) -> Any:
            return x * w * n

        @staticmethod
        def jvp(ctx: Any, *tangents: Any) -> Any:
            seen.append([t is None for t in tangents])
            return next(t for t in tangents if t is not None)

    x = tensor(X)
    jvp(lambda x: Own.apply(x, x.detach(), 2), (x,), (x,))
    jvp(lambda w: Own.apply(x, w, 2), (x,), (x,))
    assert seen == [[False, True, True], [True, False, True]]


def test_gradients_out_of_sight_are_no_tangents() -> None:
    x = tensor(X)
    own = with_rule(Fn.vmap, backward=lambda ctx, g: ad.ones((2, 3), dtype=ad.float64))
    with pytest.raises(AutogradError, match="backward returned gradient 0 without using .*return None for zero"):
        jvp(own.apply, (x,), (x,))


# Beside PyTorch ------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_beside_pytorch() -> None:
    torch = pytest.importorskip("torch")

    def program(lib: Any, func: Any) -> list[Any]:
        class Rule(lib.autograd.Function):  # type: ignore[name-defined, misc]
            generate_vmap_rule = True

            @staticmethod
            def forward(x: Any, w: Any) -> Any:
                # of a result that is the same for all examples, PyTorch's gradient is not the loop's
                return x.round() * w, w * x.sign()

            @staticmethod
            def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
                ctx.save_for_backward(*inputs)
                ctx.save_for_forward(*inputs)

            @staticmethod
            def backward(ctx: Any, g: Any, h: Any) -> Any:
                x, w = ctx.saved_tensors
                return 3 * g * w * x, 5 * g * x + h * w

            @staticmethod
            def jvp(ctx: Any, t: Any, s: Any) -> Any:
                x, w = ctx.saved_tensors
                return 7 * t * w * x + 9 * s * x, s * 11 * w

        def f(x: Any, w: Any) -> Any:
            y, z = Rule.apply(x, w)
            return (y * z * x).sum()

        x, w = (lib.tensor(v, dtype=lib.float64) for v in (X, T[0]))
        t = lib.tensor(T, dtype=lib.float64)
        results = [
            *func.vmap(func.grad(f, (0, 1)), (0, None))(x, w),
            *func.grad(lambda x, w: func.vmap(f, (0, None))(x, w).sum(), (0, 1))(x, w),
            *func.jvp(func.vmap(f, (0, None)), (x, w), (t, w)),
            *func.vmap(lambda x, t: func.jvp(f, (x, w), (t, w)))(x, t),
            *func.jvp(func.grad(f, (0, 1)), (x[0], w), (t[0], w))[1],
            *func.grad(lambda x, w: func.jvp(f, (x, w), (t[0], w))[1], (0, 1))(x[0], w),
            *func.vmap(func.jacrev(func.grad(f, (0, 1))), (0, None))(x, w),
            *func.vmap(func.vmap(func.grad(f, (0, 1)), (0, None)), (0, None))(lib.stack([x, t]), w),
        ]
        return [r.detach().numpy() if hasattr(r, "detach") else r[0].detach().numpy() for r in results]

    for i, (mine, other) in enumerate(zip(program(ad, ad.func), program(torch, torch.func), strict=True)):
        np.testing.assert_allclose(mine, other, rtol=1e-10, err_msg=str(i))
