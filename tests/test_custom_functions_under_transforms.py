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


LEVELS = ["", "v", "vv", "j", "g", "vj", "jv", "gv", "vg", "gj", "jg", "jj", "gg", "vgj", "gvj", "jvg", "jgv", "vjg", "gjv"]


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
