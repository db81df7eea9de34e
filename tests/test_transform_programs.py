"""Programs that mix transforms with writes, views, indices and other levels: the same text run by PyTorch and here."""

import itertools
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad import func
from polyad.backend import Backend
from polyad.errors import AutogradError, DeviceError, OperandError, TransformError
from polyad.levels import active

# PyTorch's own, the first time that its forward mode runs
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

X = [0.5, -1.0, 2.0]


def here() -> SimpleNamespace:
    """What a program is written with, of polyad."""
    return SimpleNamespace(lib=ad, func=func, tensor=lambda v, **kw: ad.tensor(v, dtype=ad.float64, **kw))


def there() -> SimpleNamespace:
    """The same of PyTorch; the test is skipped where it is not installed."""
    torch = pytest.importorskip("torch")
    return SimpleNamespace(
        lib=torch, func=torch.func, tensor=lambda v, **kw: torch.tensor(v, dtype=torch.float64, **kw)
    )


def arrays(found: Any) -> list[np.ndarray]:
    """All tensors of nested results as NumPy arrays."""
    if isinstance(found, (list, tuple)):
        return [a for part in found for a in arrays(part)]
    return [np.asarray(found.detach().numpy())]


def agree(program: Callable[[Any], Any]) -> None:
    actual, expected = arrays(program(here())), arrays(program(there()))
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape
        np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-11)
    assert not active()


# Levels in every order ----------------------------------------------------------------------------------------

ORDERS: dict[str, Callable[[Any, Callable[..., Any]], Callable[..., Any]]] = {
    "grad": lambda m, f: m.func.grad(lambda x: f(x).sum()),
    "vjp": lambda m, f: lambda x: m.func.vjp(f, x)[1](m.lib.cos(f(x)))[0],
    "jvp": lambda m, f: lambda x: m.func.jvp(f, (x,), (m.lib.cos(x),))[1],
    "vmap": lambda m, f: lambda x: m.func.vmap(lambda s: f(x * s).sum() * s)(x),
    "jacrev": lambda m, f: lambda x: m.func.jacrev(f)(x).sum(1),
    "jacfwd": lambda m, f: lambda x: m.func.jacfwd(f)(x).sum(0),
    "hessian": lambda m, f: lambda x: m.func.hessian(lambda y: f(y).sum())(x)[0],
}


@pytest.mark.parametrize("order", list(itertools.product(ORDERS, repeat=2)), ids="-".join)
def test_levels_in_every_order(order: tuple[str, ...]) -> None:
    """With ``backward`` behind them, to the argument and to a leaf that the function closes over."""

    def program(m: Any) -> Any:
        c = m.tensor(1.3, requires_grad=True)
        x = m.tensor(X, requires_grad=True)

        def f(x: Any) -> Any:
            return m.lib.sin(x) * x * x[0] + m.lib.exp(x[1] * x[2]) * c + m.lib.where(x > 0, x**3, -x)

        for name in order:
            f = ORDERS[name](m, f)
        y = f(x)
        y.sum().backward()
        return y, x.grad, m.lib.zeros_like(c) if c.grad is None else c.grad

    agree(program)


# Programs -----------------------------------------------------------------------------------------------------


def write_and_view(x: Any, weights: Any) -> Any:
    y = (x * x).reshape(2, 2)
    row, other = y[0], y.T
    row.mul_(3.0)
    other[1].add_(x.sum())
    y[1, 0] = x[1] * x[2]
    return (y * weights).sum()


def written(m: Any) -> Any:
    """Writes through views of something computed."""
    x, many = m.tensor([1.0, 2.0, 3.0, 4.0]), m.tensor([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, -8.0]])

    def f(x: Any) -> Any:
        return write_and_view(x, m.tensor([[1.0, 2.0], [3.0, 4.0]]))

    return (
        *(m.func.grad(f)(x), m.func.hessian(f)(x), m.func.jvp(f, (x,), (x * x,))),
        *(m.func.vmap(f)(many), m.func.vmap(m.func.hessian(f))(many)),
    )


def indexed(m: Any) -> Any:
    """Indices that differ from example to example, read and written."""
    i, x = m.lib.tensor([[0, 1], [1, 0]]), m.tensor(np.arange(24.0).reshape(2, 3, 4))

    def write(i: Any, v: Any) -> Any:
        y = v.new_zeros(4)
        y[i] = v
        return y

    return (
        m.func.vmap(lambda i: x[i, :, i + 1])(i),
        m.func.vmap(lambda i: x[..., i])(i),
        m.func.vmap(lambda x, i: x[:, None][i, 0], (1, 0))(x[0, :, :2], i),
        m.func.vmap(m.func.grad(lambda x, i: (x[i] ** 2).sum()), (None, 0))(x, i),
        m.func.vmap(write)(i, m.tensor([[1.0, 2.0], [3.0, 4.0]])),
    )


def not_a_number(m: Any) -> Any:
    """What is hidden by ``where`` has no derivative, and a NaN where it is computed nevertheless."""
    x = m.tensor([0.0, 1.0, -4.0])

    def safe(x: Any) -> Any:
        return m.lib.where(x > 0, m.lib.sqrt(m.lib.where(x > 0, x, 1.0)), 0.0).sum()

    def unsafe(x: Any) -> Any:
        return m.lib.where(x > 0, m.lib.sqrt(x), 0.0).sum()

    found = m.func.grad(unsafe)(x)
    return found, m.func.grad(safe)(x), m.func.hessian(safe)(x), m.func.vmap(m.func.grad(safe))(m.lib.stack([x, x * 2]))


def confusable(m: Any) -> Any:
    """Derivatives by different arguments, one inside another."""
    x, one = m.tensor(3.0), m.tensor(1.0)
    grad, jvp = m.func.grad, m.func.jvp
    return (
        grad(lambda x: x * grad(lambda y: x + y)(one))(x),
        jvp(lambda x: x * jvp(lambda y: x + y, (one,), (one,))[1], (x,), (one,)),
        jvp(lambda x: x * grad(lambda y: x * y)(one), (x,), (one,)),
        grad(lambda x: x * jvp(lambda y: x * y, (one,), (one,))[1])(x),
        grad(lambda x: grad(lambda y: y * y * x.detach())(x) * x)(x),
        jvp(lambda x: grad(lambda y: y.detach() * y * x)(x), (x,), (one,)),
    )


def blocked(m: Any) -> Any:
    """``no_grad`` and ``detach`` inside, between and outside."""
    x = m.tensor(X)

    def inside(x: Any) -> Any:
        with m.lib.no_grad():
            y = x * x
        return (y * x * x.detach()).sum()

    def between(x: Any) -> Any:
        with m.lib.no_grad():
            g = m.func.grad(lambda y: (y**3).sum())(x)
        return (g * x).sum()

    with m.lib.no_grad():
        outside = m.func.hessian(lambda x: (x**3).sum())(x)
    return (
        *(m.func.grad(inside)(x), m.func.jvp(inside, (x,), (x,)), m.func.hessian(inside)(x)),
        *(m.func.grad(between)(x), m.func.jvp(between, (x,), (x,)), outside),
    )


def hooked(m: Any) -> Any:
    """A hook on something computed inside."""
    x = m.tensor(X)

    def f(x: Any) -> Any:
        y = x * x
        y.register_hook(lambda g: g * 10)
        return y

    def total(x: Any) -> Any:
        return f(x).sum()

    return (
        *(m.func.grad(total)(x), m.func.jacrev(f)(x), m.func.hessian(total)(x)),
        m.func.vmap(m.func.grad(total))(m.lib.stack([x, x * x])),
        m.func.vmap(m.func.jacrev(f))(m.lib.stack([x, x * x])),
    )


def looped(m: Any) -> Any:
    """A recurrent loop."""

    def f(w: Any) -> Any:
        h = m.tensor([0.1, 0.2, 0.3])
        for t in range(4):
            h = m.lib.tanh(w @ h + m.tensor(X) * t)
        return (h * h).sum()

    w = m.tensor(np.arange(9.0).reshape(3, 3) / 10)
    return m.func.hessian(f)(w), m.func.vmap(m.func.grad(f))(m.lib.stack([w, w * 2])), m.func.jvp(f, (w,), (w,))


PROGRAMS = (written, indexed, not_a_number, confusable, blocked, hooked, looped)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_a_program_as_in_pytorch(program: Callable[[Any], Any]) -> None:
    agree(program)


# What PyTorch has not -----------------------------------------------------------------------------------------

TRANSFORMS: dict[str, Callable[[Callable[..., Any], Any], Any]] = {
    "grad": lambda f, x: func.grad(f)(x),
    "vmap": lambda f, x: func.vmap(f)(ad.stack([x, x * x])),
    "vmap of what does not vary": lambda f, x: func.vmap(lambda s, x: f(x) * s, (0, None))(x, x),
    "jvp": lambda f, x: func.jvp(f, (x,), (x * x,))[1],
    "jacrev": lambda f, x: func.jacrev(f)(x),
    "jacfwd": lambda f, x: func.jacfwd(f)(x),
    "hessian": lambda f, x: func.hessian(f)(x),
    "hessians": lambda f, x: func.vmap(func.hessian(f))(ad.stack([x, x * x])),
    "hvp": lambda f, x: func.hvp(f, x, x),
    "jvp of vmap": lambda f, x: func.jvp(func.vmap(f), (ad.stack([x, x]),), (ad.stack([x, x * x]),))[1],
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_through_another_backend(name: str) -> None:
    pytest.importorskip("jax")

    def f(x: Any) -> Any:
        return (ad.sin(x) * x * x).sum()

    def through(x: Any) -> Any:
        y = x.to(backend="jax")
        return ((ad.sin(y) * y).to(backend="numpy") * x).sum()

    x = ad.tensor(X, dtype=ad.float64, device=ad.ones(1).to(backend="numpy").device)
    np.testing.assert_allclose(TRANSFORMS[name](through, x).numpy(), TRANSFORMS[name](f, x).numpy())


def test_other_backends_are_named_as_they_can_be_written() -> None:
    pytest.importorskip("jax")
    x = ad.ones(3).to(backend="numpy")
    y = x.to(backend="jax")
    with pytest.raises(DeviceError, match=r"on vmap of numpy.*write y.to\(backend='numpy'\)"):
        func.vmap(lambda a, b: a * b)(x, y)
    _, back = func.vjp(ad.sin, x)
    with pytest.raises(DeviceError, match="vjp_fn: the cotangent has a tensor on backend 'jax'.*expected .*'numpy'"):
        back(y)
    with pytest.raises(DeviceError, match="jvp: tangents has a tensor on backend 'jax'.*expected .*'numpy'"):
        func.jvp(ad.sin, (x,), (y,))


def test_a_hook_may_return_what_does_not_vary(backend: Backend) -> None:
    def f(x: Any) -> Any:
        y = x * x
        y.register_hook(lambda g: ad.full((3,), 10.0))
        return y

    np.testing.assert_allclose(func.jacrev(f)(ad.tensor(X)).numpy(), [[20 * v for v in X]] * 3)


def test_a_missing_return_is_named(backend: Backend) -> None:
    x = ad.tensor(X)
    calls: dict[str, Callable[[Any], Any]] = {
        "grad": lambda f: func.grad(f)(x),
        "vjp": lambda f: func.vjp(f, x),
        "jvp": lambda f: func.jvp(f, (x,), (x,)),
        "jacrev": lambda f: func.jacrev(f)(x),
        "jacfwd": lambda f: func.jacfwd(f)(x),
        "vmap": lambda f: func.vmap(f)(x),
        "linearize": lambda f: func.linearize(f, x),
    }
    for name, call in calls.items():
        with pytest.raises(OperandError, match=f"{name}: the function returned None; expected tensors"):
            call(lambda x: None)
        assert not active()


def test_nothing_leaves_a_transform_by_the_back_door(backend: Backend) -> None:
    x = ad.ones(2, 3)
    for call, name in ((pickle.dumps, "pickle"), (np.from_dlpack, "__dlpack__")):

        def leave(x: Any, call: Callable[[Any], Any] = call) -> Any:
            call(x)
            return x

        with pytest.raises(TransformError, match=f"{name}: the tensor is of vmap of {backend.name}.*return it"):
            func.vmap(leave)(x)
        with pytest.raises(TransformError, match=f"{name}: the tensor is of forward mode of {backend.name}.*return it"):
            func.jvp(leave, (x,), (x,))


@pytest.mark.parametrize("strategy", ["reverse-mode", "forward-mode"])
def test_a_strict_hessian_is_of_what_is_not_linear(backend: Backend, strategy: str) -> None:
    def hessian(f: Callable[..., Any], *xs: Any) -> Any:
        return ad.autograd.functional.hessian(
            f, xs, strict=True, vectorize=strategy == "forward-mode", outer_jacobian_strategy=strategy
        )

    x = ad.tensor(X)
    with pytest.raises(AutogradError, match="hessian: the gradient by input 0 does not depend on input 0, which"):
        hessian(lambda x: x.sum(), x)
    with pytest.raises(AutogradError, match="hessian: the gradient by input 0 does not depend on input 1, which"):
        hessian(lambda x, y: (x**2).sum() + (y**2).sum(), x, x)
    with pytest.raises(AutogradError, match="hvp: the gradient by input 0 does not depend on input 0, which"):
        ad.autograd.functional.hvp(lambda x: x.sum(), x, x, strict=True)
    found = hessian(lambda x, y: (x**2 * y**2).sum(), x, x)
    np.testing.assert_allclose(found[0][1].numpy(), np.diag(4 * np.square(X)))
