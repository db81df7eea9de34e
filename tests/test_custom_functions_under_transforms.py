"""`autograd.Function` under `vmap`, in forward mode and both: at every level the derivative is the user's."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

import polyad as ad
from polyad.autograd.function import once_differentiable
from polyad.backend import Backend
from polyad.errors import AutogradError, DeviceError, TransformError
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
            assert [None if o is None else o.shape for o in others] == [(), (3,), None, (3,)]
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


def test_a_gradient_that_no_example_changes() -> None:
    class Fixed(Fn):
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any) -> Any:
            ctx.save_for_backward(x)
            return x + w

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            assert not ctx.saved_tensors[0].requires_grad  # nobody goes on from here
            return g, ad.ones(3, dtype=ad.float64)

    x, w = tensor(X), tensor(T[0])
    assert grad(lambda w: vmap(Fixed.apply, (0, None))(x, w).sum())(w).tolist() == [2, 2, 2]
    by_w = vmap(grad(lambda x, w: Fixed.apply(x, w).sum(), (0, 1)), (0, None))(x, w)[1]
    assert by_w.tolist() == [[1, 1, 1]] * 2


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
    if other == "jax":
        pytest.importorskip("jax", reason="there is no other backend")
    y = ad.tensor(X, dtype=ad.float64, backend=other)
    with pytest.raises(DeviceError, match="Tenfold: arguments are of different"):
        vmap(lambda r: Tenfold.apply(r, y))(tensor(X))
