"""`autograd.Function` under `vmap`, in forward mode and both: at every level the derivative is the user's."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.autograd.function import once_differentiable
from polyad.backend import Backend
from polyad.errors import AutogradError, DeviceError, OperandError, ShapeError, TransformError
from polyad.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap
from polyad.testing import assert_close

pytestmark = pytest.mark.usefixtures("backend")

Fn = ad.autograd.Function


def tensor(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, dtype=ad.float64, **kwargs)


X = [[0.3, -1.2, 2.0], [1.1, 0.4, -0.7]]
T = [[1.0, 0.5, -2.0], [0.3, -1.0, 2.0]]


class Cube(Fn):
    """A derivative that is right."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


class CubeByResult(Fn):
    """Keeps the result, in a context of its own, and has a tangent of its own."""

    calls: list[str] = []

    @staticmethod
    def forward(x: Any) -> Any:
        return x**3

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs, output)
        ctx.save_for_forward(*inputs)
        ctx.three = 3

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        CubeByResult.calls.append("backward")
        x, y = ctx.saved_tensors
        return g * ctx.three * y / x

    @staticmethod
    def jvp(ctx: Any, t: Any) -> Any:
        CubeByResult.calls.append("jvp")
        (x,) = ctx.saved_tensors
        return t * ctx.three * x * x


class Straight(Fn):
    """Straight through: its backward is not its derivative, which is zero."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.round()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * 2


class Scaled(Fn):
    """Its backward gives ten times the derivative, so nobody can differentiate forward unnoticed."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, n: int) -> Any:
        ctx.save_for_backward(x, w)
        ctx.n = n
        return x * w * n, x.sin()

    @staticmethod
    def backward(ctx: Any, g: Any, h: Any) -> Any:
        x, w = ctx.saved_tensors
        return 10 * (g * w * ctx.n + h * x.cos()), 10 * g * x * ctx.n, None


def scaled(x: Any, w: Any) -> Any:
    """What `Scaled` computes, with its derivative to all orders: the value of one, the derivative of ten times it."""
    y, z = x * w * 2.0, x.sin()
    return 10 * y - 9 * y.detach(), 10 * z - 9 * z.detach()


def mixed(x: Any, w: Any) -> Any:
    y, z = Scaled.apply(x, w, 2)
    return (y * z * x).sum()


# Right derivatives: every composition equals the same of plain operations --------------------------------------------


def plain(x: Any) -> Any:
    return (x * x * x * x.sin()).sum()


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda f: grad(f),
    "jvp": lambda f: lambda x: jvp(f, (x,), (tensor([1.0, 0.5, -2.0]),))[1],
    "grad of grad": lambda f: grad(lambda x: (grad(f)(x) * x).sum()),
    "jvp of grad": lambda f: lambda x: jvp(grad(f), (x,), (tensor([1.0, 0.5, -2.0]),))[1],
    "grad of jvp": lambda f: grad(lambda x: jvp(f, (x,), (tensor([1.0, 0.5, -2.0]),))[1]),
    "jvp of jvp": lambda f: lambda x: jvp(lambda x: jvp(f, (x,), (x * 2,))[1], (x,), (tensor([1.0, 0.5, -2.0]),))[1],
    "hessian": lambda f: hessian(f),
    "jacfwd of jacfwd": lambda f: jacfwd(jacfwd(f)),
    "jacrev of jacrev": lambda f: jacrev(jacrev(f)),
    "jacrev of jacfwd": lambda f: jacrev(jacfwd(f)),
    "grad three times": lambda f: grad(lambda x: grad(lambda x: (grad(f)(x) * x).sum())(x).sum()),
}


@pytest.mark.parametrize("cls", [Cube, CubeByResult])
@pytest.mark.parametrize("name", PROGRAMS)
def test_compositions(cls: Any, name: str) -> None:
    program = PROGRAMS[name]

    def own(x: Any) -> Any:
        return (cls.apply(x) * x.sin()).sum()

    x = tensor(X)
    loop = ad.stack([program(plain)(row) for row in x])
    assert_close(program(own)(x[0]), loop[0])
    assert_close(vmap(program(own))(x), loop)
    assert_close(vmap(vmap(program(own)))(ad.stack([x, x])), ad.stack([loop, loop]))
    if name in ("grad", "jvp", "jvp of grad"):
        outer = grad(lambda x: vmap(program(own))(x).sum())(x)
        assert_close(outer, ad.stack([grad(lambda r: program(plain)(r).sum())(row) for row in x]))
        _, moved = jvp(vmap(program(own)), (x,), (tensor(T),))
        assert_close(moved, jvp(vmap(program(plain)), (x,), (tensor(T),))[1])


def test_the_rules_that_run() -> None:
    x = tensor(X)
    for program, expected in [
        (lambda: jvp(CubeByResult.apply, (x,), (x,)), ["jvp"]),
        (lambda: vmap(lambda r: jvp(CubeByResult.apply, (r,), (r,))[1])(x), ["jvp"]),
        (lambda: vmap(grad(lambda r: CubeByResult.apply(r).sum()))(x), ["backward"]),
        (lambda: jvp(vmap(CubeByResult.apply), (x,), (x,)), ["jvp"]),
        (lambda: grad(lambda x: vmap(CubeByResult.apply)(x).sum())(x), ["backward"]),
        (lambda: vmap(vmap(CubeByResult.apply))(ad.stack([x, x])), []),
    ]:
        CubeByResult.calls.clear()
        program()
        assert CubeByResult.calls == expected


# Derivatives that are not forward's ----------------------------------------------------------------------------------


def test_straight_through() -> None:
    x = tensor(X)
    two = [2.0] * 3
    assert_close(grad(lambda r: Straight.apply(r).sum())(x[0]), tensor(two))
    assert_close(jvp(Straight.apply, (x,), (tensor(T),))[1], 2 * tensor(T))
    assert_close(vmap(grad(lambda r: Straight.apply(r).sum()))(x), tensor([two, two]))
    assert_close(grad(lambda x: vmap(Straight.apply)(x).sum())(x), tensor([two, two]))
    assert_close(jvp(vmap(Straight.apply), (x,), (tensor(T),))[1], 2 * tensor(T))
    assert_close(vmap(lambda x, t: jvp(Straight.apply, (x,), (t,))[1])(x, tensor(T)), 2 * tensor(T))
    assert_close(vmap(jacfwd(Straight.apply))(x), ad.stack([2 * ad.eye(3, dtype=ad.float64)] * 2))
    assert_close(hessian(lambda r: (Straight.apply(r) * r).sum())(x[0]), 4 * ad.eye(3, dtype=ad.float64))


LEVELS = ["", *"vjg", *map("".join, itertools.product("vjg", repeat=2)), "vgj", "gvj", "jvg", "jgv", "gjv"]


def looped(f: Callable[..., Any], dims: Any) -> Callable[..., Any]:
    return lambda xs, w: ad.stack([f(x, w) for x in xs])


def transformed(f: Callable[..., Any], levels: str, vmap: Any = vmap) -> Callable[..., Any]:
    """A number of x and w, under transforms; the last letter is the innermost."""
    for level in reversed(levels):
        f = {
            "v": lambda x, w, f=f: vmap(f, (0, None))(ad.stack([x, x * 0.7, x - 0.2]), w).sum(),
            "j": lambda x, w, f=f: jvp(f, (x, w), (w.cos(), x * w))[1],
            "g": lambda x, w, f=f: sum((d * (x + 0.3)).sum() for d in grad(f, (0, 1))(x, w)),
        }[level]
    return f


@pytest.mark.parametrize("levels", LEVELS)
def test_the_users_derivative_at_every_level(levels: str) -> None:
    """With arguments that are the same for all examples, several results, and numbers beside tensors."""

    def reference(x: Any, w: Any) -> Any:
        y, z = scaled(x, w)
        return (y * z * x).sum()

    x, w = tensor(X[0]), tensor(X[1])
    if levels.count("g") + levels.count("j") <= 1:  # of the second order on, a detached part is no model of it
        assert_close(transformed(mixed, levels)(x, w), transformed(reference, levels, looped)(x, w))


class Tenfold(Fn):
    """``10 * x * w``, computed as ``x * w``, and a derivative to all orders that is that of the tenfold."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any) -> Any:
        ctx.save_for_backward(x, w)
        return x.detach() * 10 * w.detach()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        x, w = ctx.saved_tensors
        return 10 * g * w, 10 * g * x


@pytest.mark.parametrize("levels", LEVELS)
def test_two_and_three_levels(levels: str) -> None:
    x, w = tensor(X[0]), tensor(X[1])
    own = transformed(lambda x, w: (Tenfold.apply(x, w) * x.sin()).sum(), levels)
    plain = transformed(lambda x, w: (10 * x * w * x.sin()).sum(), levels, looped)
    assert_close(own(x, w), plain(x, w))
    for tensors in ((x, w), (x, w.requires_grad_()), (x.requires_grad_(), w)):
        outside = [t for t in tensors if t.requires_grad]
        for a, b in zip(
            ad.autograd.grad(own(*tensors), outside), ad.autograd.grad(plain(*tensors), outside), strict=True
        ):
            assert_close(a, b)


def test_an_argument_of_each_level() -> None:
    """From outside, of `vmap`, of forward mode inside it; and one that is the same for all in the wrong order."""
    a, b, c = tensor(X[0]), tensor(X), tensor(X[1])

    def program(own: Any) -> Any:
        def inside(row: Any) -> Any:
            return jvp(lambda z: own(z, row) + own(a, z) + own(row, row), (c,), (a,))[1]

        return grad(lambda b: vmap(inside)(b).sum())(b)

    assert_close(program(Tenfold.apply), program(lambda x, w: 10 * x * w))


def test_complex_numbers() -> None:
    class Product(Fn):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            ctx.save_for_backward(x, y)
            return x * y.conj()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, y = ctx.saved_tensors
            return g * y, g.conj() * x

    x = ad.tensor([1 + 2j, 0.5 - 1j], dtype=ad.complex128)
    y = ad.tensor([0.3 - 1j, 2 + 0.5j], dtype=ad.complex128)

    def plain(x: Any, y: Any) -> Any:
        return x * y.conj()

    for f, of in ((Product.apply, plain), (vmap(Product.apply), plain)):
        for mine, other in zip(jvp(f, (x, y), (y, x * 1j)), jvp(of, (x, y), (y, x * 1j)), strict=True):
            assert_close(mine, other)
    by = vmap(grad(lambda x, y: abs(Product.apply(x, y)), (0, 1)))(x, y)
    for mine, other in zip(by, vmap(grad(lambda x, y: abs(plain(x, y)), (0, 1)))(x, y), strict=True):
        assert_close(mine, other)
    real = tensor([1.0, 2.0])
    _, moved = jvp(lambda r: Product.apply(r, x), (real,), (real,))
    assert_close(moved, real * x.conj())


# What forward keeps and returns --------------------------------------------------------------------------------------


def test_results_of_all_kinds() -> None:
    class Mixed(Fn):
        @staticmethod
        def forward(ctx: Any, x: Any, scale: float) -> Any:
            counts, whole = (x > 0.5).sum(), ad.ones(3, dtype=x.dtype)
            sign = x.sign()
            ctx.mark_non_differentiable(sign)
            ctx.scale, ctx.seen = scale, {"none": None}
            return x * scale, counts, sign, "text", whole

        @staticmethod
        def backward(ctx: Any, g: Any, *others: Any) -> Any:
            assert [o.shape for o in others] == [(), (3,), (3,)]
            return g * ctx.scale + others[-1], None

    x = tensor(X)

    def program(x: Any) -> Any:
        y, counts, sign, text, whole = Mixed.apply(x, 3.0)
        assert text == "text"
        return y * 2 + whole, counts, sign

    for outs in (vmap(program)(x), vmap(lambda r: jvp(program, (r,), (r,))[0])(x)):
        assert_close(outs[0], 6 * x + 1)
        assert outs[1].tolist() == [1, 1]
        assert outs[2].tolist() == x.sign().tolist()
    gradient = [7.0] * 3
    assert_close(vmap(grad(lambda r: program(r)[0].sum()))(x), tensor([gradient, gradient]))
    assert_close(grad(lambda x: vmap(program)(x)[0].sum())(x), tensor([gradient, gradient]))
    _, (moved, counts, sign) = jvp(vmap(program), (x,), (tensor(T),))
    assert_close(moved, 7 * tensor(T))
    assert counts.tolist() == [0, 0]
    assert not sign.any()


def test_what_is_the_same_for_all() -> None:
    """A gradient that no example changes counts once for each; results that none changes come back as they are."""

    class Same(Fn):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any) -> Any:
            return x + w, w * 2

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            return g, g * 3 + h * 2 + ad.ones(3, dtype=ad.float64)

    x, w = tensor(X), tensor(T[0])

    def total(x: Any, w: Any) -> Any:
        y, z = Same.apply(x, w)
        return (y * z).sum()

    by_w = grad(lambda w: vmap(total, (0, None))(x, w).sum())(w)
    assert_close(by_w, grad(lambda w: sum(total(row, w) for row in x))(w))
    assert_close(by_w, (6 * w + 2 * (x + w) + 1).sum(axis=0))
    both = vmap(lambda x, w: Same.apply(w, w), (0, None), None)(x, w)
    assert_close(both[0], 2 * w)
    assert_close(
        grad(lambda w: vmap(lambda x, w: Cube.apply(w) * x, (0, None))(x, w).sum())(w), 3 * w**2 * x.sum(axis=0)
    )


@pytest.mark.parametrize("materialize", [True, False])
def test_results_that_are_not_used(materialize: bool) -> None:
    seen: list[bool] = []

    class Two(Fn):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.set_materialize_grads(materialize)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            seen.append(g is None)
            return h * 3

    x = tensor(X)
    for gradient in (
        vmap(grad(lambda r: Two.apply(r)[1].sum()))(x),
        grad(lambda x: vmap(Two.apply)(x)[1].sum())(x),
    ):
        assert_close(gradient, 3 * ad.ones_like(x))
    assert seen == [not materialize] * 2
    assert_close(jvp(lambda x: Two.apply(x)[1], (x,), (x,))[1], 3 * x)


def test_needs_input_grad() -> None:
    seen: list[Any] = []

    class Asked(Fn):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any, n: Any) -> Any:
            seen.append(ctx.needs_input_grad)
            return x * w

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            seen.append(ctx.needs_input_grad)
            return g, g, None

    x, w = tensor(X), tensor(X[0])
    for run, expected in [
        (lambda: vmap(lambda x: Asked.apply(x, w, 1))(x), [(False, False, False)]),
        (lambda: vmap(grad(lambda x: Asked.apply(x, w, 1).sum()))(x), [(True, False, False)] * 2),
        (lambda: grad(lambda w: vmap(lambda x: Asked.apply(x, w, 1))(x).sum())(w), [(False, True, False)] * 2),
        (lambda: jvp(lambda w: Asked.apply(x, w, 1), (w,), (w,)), [(False, True, False)] * 2),
    ]:
        seen.clear()
        run()
        assert seen == expected


class Stashed(Fn):
    """Keeps what it computed on the way: saved, as an attribute, or inside one."""

    @classmethod
    def kind(cls, saved: Any, once: bool = False) -> Any:
        backward = staticmethod(once_differentiable(cls.backward) if once else cls.backward)
        return type("Stashed", (cls,), {"backward": backward, "forward": cls.forwards(saved)})

    @staticmethod
    def forwards(saved: Any) -> Any:
        def forward(ctx: Any, x: Any) -> Any:
            inner = x * x
            if saved:
                ctx.save_for_backward(inner)
            else:
                ctx.kept = {"inner": [inner]} if saved is None else inner
            return inner * x

        return staticmethod(forward)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        kept = ctx.kept if hasattr(ctx, "kept") else ctx.saved_tensors[0]
        return g * 3 * (kept["inner"][0] if isinstance(kept, dict) else kept)


@pytest.mark.parametrize("saved", [True, False, None], ids=["saved", "attribute", "container"])
def test_intermediates(saved: Any) -> None:
    """Their first derivative is right at every level; the second is refused at every level."""
    own, x, t = Stashed.kind(saved).apply, tensor(X), tensor(T)
    assert_close(vmap(grad(lambda r: own(r).sum()))(x), 3 * x**2)
    assert_close(grad(lambda x: vmap(own)(x).sum())(x), 3 * x**2)
    assert_close(jvp(own, (x,), (t,))[1], 3 * x**2 * t)
    assert_close(jvp(vmap(own), (x,), (t,))[1], 3 * x**2 * t)
    assert_close(vmap(lambda x, t: jvp(own, (x,), (t,))[1])(x, t), 3 * x**2 * t)
    w = tensor(X, requires_grad=True)
    found = vmap(grad(lambda r: own(r).sum()))(w)  # w has a history outside, but nobody goes back
    assert_close(found.detach(), 3 * x**2)
    for second in (
        lambda: jvp(grad(lambda r: own(r).sum()), (x,), (t,)),
        lambda: grad(lambda r: jvp(own, (r,), (t,))[1].sum())(x),
        lambda: jvp(lambda r: jvp(own, (r,), (t,))[1], (x,), (t,)),
        lambda: grad(lambda x: vmap(grad(lambda r: own(r).sum()))(x).sum())(x),
        lambda: jvp(vmap(grad(lambda r: own(r).sum())), (x,), (t,)),
        lambda: vmap(hessian(lambda r: own(r).sum()))(x),
        lambda: ad.autograd.grad(found.sum(), w),
    ):
        with pytest.raises(AutogradError, match=r"Stashed: .*(was computed in forward|s a tensor, and gradients)"):
            second()


def test_once_differentiable() -> None:
    own, x, t = Stashed.kind(True, once=True).apply, tensor(X), tensor(T)
    assert_close(vmap(grad(lambda r: own(r).sum()))(x), 3 * x**2)
    assert_close(grad(lambda x: vmap(own)(x).sum())(x), 3 * x**2)
    w = tensor(X, requires_grad=True)
    found = vmap(grad(lambda r: own(r).sum()))(w)
    with pytest.raises(AutogradError, match="forward mode cannot make tangents of it; give the class .*jvp"):
        jvp(own, (x,), (t,))
    for second in (
        lambda: ad.autograd.grad(found.sum(), w),
        lambda: vmap(hessian(lambda r: own(r).sum()))(x),
        lambda: vmap(jacrev(jacrev(lambda r: own(r).sum())))(x),
        lambda: grad(lambda x: vmap(grad(lambda r: own(r).sum()))(x).sum())(x),
        lambda: jvp(grad(lambda r: own(r).sum()), (x,), (t,)),
        lambda: jvp(vmap(grad(lambda r: own(r).sum())), (x,), (t,)),
    ):
        with pytest.raises(AutogradError, match="Stashed: .*once_differentiable|Stashed: .*was computed in forward"):
            second()


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


def test_tensors_of_a_transform_that_is_over() -> None:
    kept: list[Any] = []
    x = tensor(X)
    vmap(lambda r: kept.append(r) or r)(x)
    with pytest.raises(TransformError, match="vmap of .* is used outside the function that was transformed"):
        Cube.apply(kept[0])
    with pytest.raises(TransformError, match="vmap of .* is used outside the function that was transformed"):
        vmap(lambda r: Tenfold.apply(r, kept[0]))(x)


def test_arguments_on_different_backends(backend: Backend) -> None:
    other = "jax" if backend.name == "numpy" else "numpy"
    if other not in ad.plugins.backend_names():
        pytest.skip("there is no other backend")
    y = ad.tensor(X, dtype=ad.float64, backend=other)
    with pytest.raises(DeviceError, match="Tenfold: arguments are of different"):
        vmap(lambda r: Tenfold.apply(r, y))(tensor(X))


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


# Gradients at other levels -------------------------------------------------------------------------------------------


def test_gradients_of_a_graph_from_outside() -> None:
    """A pullback inside `vmap`: gradients of many examples come to nodes that were recorded for one."""
    x, w = tensor(X[0]), tensor(X[1])
    _, pull = vjp(lambda x, w: Scaled.apply(x, w, 2)[0], x, w)
    cotangents = tensor(T)
    by_x, by_w = vmap(pull)(cotangents)
    assert_close(by_x, 20 * cotangents * w)
    assert_close(by_w, 20 * cotangents * x)
    assert_close(
        jacrev(Cube.apply)(x), ad.linalg.diagonal(ad.eye(3, dtype=ad.float64)) * 3 * x**2 * ad.eye(3, dtype=ad.float64)
    )
    stashed = jacrev(Stashed.kind(True).apply)(x)
    assert_close(stashed, ad.eye(3, dtype=ad.float64) * 3 * x**2)
