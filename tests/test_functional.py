"""`autograd.functional`: PyTorch's signatures and options, against finite differences and PyTorch's own results."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.autograd import functional
from polyad.backend import Backend
from polyad.errors import ArgumentError, AutogradError, DTypeError, OperandError, ShapeError
from polyad.testing import assert_close


def tensor(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, dtype=ad.float64, **kwargs)


A, B = [[0.5, -1.0], [2.0, 1.5]], [0.3, 0.7]


def one(m: Any, a: Any, b: Any) -> Any:
    """A number, with second derivatives in and between both inputs."""
    return (m.exp(a * b) * a).sum() + (b * b * b).sum()


def two(m: Any, a: Any, b: Any) -> Any:
    return m.sin(a) * b, (a * a).sum() * b


def nested(value: Any) -> Any:
    """Results as NumPy arrays."""
    return tuple(map(nested, value)) if isinstance(value, (tuple, list)) else value.detach().numpy()


def same(actual: Any, expected: Any) -> None:
    actual, expected = nested(actual), nested(expected)
    if isinstance(expected, tuple):
        assert isinstance(actual, tuple)
        assert len(actual) == len(expected)
        for x, y in zip(actual, expected, strict=True):
            same_arrays(x, y)
    else:
        same_arrays(actual, expected)


def same_arrays(x: Any, y: Any) -> None:
    if isinstance(y, tuple):
        for p, q in zip(x, y, strict=True):
            same_arrays(p, q)
    else:
        assert x.shape == y.shape
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


OPTIONS: list[dict[str, Any]] = [{}, {"vectorize": True}, {"vectorize": True, "strategy": "forward-mode"}]


# PyTorch's forward mode warns of its own use of TorchScript
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_jacobian_as_in_pytorch(backend: Backend, options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    a, b = torch.tensor(A, dtype=torch.float64), torch.tensor(B, dtype=torch.float64)
    x, y = tensor(A), tensor(B)
    for call in (one, two):
        ours = functional.jacobian(lambda p, q, call=call: call(ad, p, q), (x, y), **options)
        same(ours, torch.autograd.functional.jacobian(lambda p, q, call=call: call(torch, p, q), (a, b), **options))
    ours = functional.jacobian(lambda p: p.sin(), x, **options)
    same(ours, torch.autograd.functional.jacobian(lambda p: p.sin(), a, **options))


@pytest.mark.parametrize("vectorize", [False, True])
@pytest.mark.parametrize("outer", ["reverse-mode", "forward-mode"])
def test_hessian_as_in_pytorch(backend: Backend, vectorize: bool, outer: str) -> None:
    torch = pytest.importorskip("torch")
    a, b = torch.tensor(A, dtype=torch.float64), torch.tensor(B, dtype=torch.float64)
    x, y = tensor(A), tensor(B)
    expected = torch.autograd.functional.hessian(lambda p, q: one(torch, p, q), (a, b))
    options: dict[str, Any] = {"vectorize": vectorize, "outer_jacobian_strategy": outer}
    same(functional.hessian(lambda p, q: one(ad, p, q), (x, y), **options), expected)
    single = torch.autograd.functional.hessian(lambda p: (p**3).sum(), b)
    same(functional.hessian(lambda p: (p**3).sum(), y, **options), single)


@pytest.mark.parametrize("name", ["vjp", "jvp", "vhp", "hvp"])
def test_products_as_in_pytorch(backend: Backend, name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs, ours = getattr(torch.autograd.functional, name), getattr(functional, name)
    a, b = torch.tensor(A, dtype=torch.float64), torch.tensor(B, dtype=torch.float64)
    x, y = tensor(A), tensor(B)
    call = two if name in ("vjp", "jvp") else one
    v = [A, A] if name == "vjp" else [A, B]
    if name == "vjp":
        v = [A, B]
    given, like = tuple(map(tensor, v)), tuple(torch.tensor(t, dtype=torch.float64) for t in v)
    found = ours(lambda p, q: call(ad, p, q), (x, y), given)
    same(found, theirs(lambda p, q: call(torch, p, q), (a, b), like))
    assert not any(t.requires_grad for t in found[1])
    found = ours(lambda p: (p**3).sum(), tensor([2.0]))
    w = torch.tensor([2.0], dtype=torch.float64)
    same(found, theirs(lambda p: (p**3).sum(), w, None if name == "vjp" else torch.ones_like(w)))


def test_finite_differences(backend: Backend) -> None:
    def numbers(p: np.ndarray) -> Any:
        return (np.exp(p * np.array(B)) * p).sum() + (np.array(B) ** 3).sum()

    found = functional.jacobian(lambda p: one(ad, p, tensor(B)), tensor(A))
    for i in np.ndindex(2, 2):
        d = np.zeros((2, 2))
        d[i] = 1e-6
        slope = (numbers(np.array(A) + d) - numbers(np.array(A) - d)) / 2e-6
        assert abs(found[i].item() - slope) < 1e-7


def test_graphs_are_made_where_asked_for(backend: Backend) -> None:
    x = tensor(B, requires_grad=True)
    assert not functional.jacobian(lambda p: p**3, x).requires_grad
    for options in OPTIONS:
        j = functional.jacobian(lambda p: p**3, x, create_graph=True, **options)
        (second,) = ad.autograd.grad(j.sum(), x)
        assert_close(second, 6 * np.array(B))
    h = functional.hessian(lambda p: (p**4).sum(), x, create_graph=True)
    (third,) = ad.autograd.grad(h.sum(), x)
    assert_close(third, 24 * np.array(B))
    v = ad.ones(2, dtype=ad.float64)
    for product_with in (functional.vhp, functional.hvp):
        _, product = product_with(lambda p: (p**4).sum(), x, v, create_graph=True)
        (third,) = ad.autograd.grad(product.sum(), x)
        assert_close(third, 24 * np.array(B))
    out, product = functional.vjp(lambda p: p**3, x, ad.ones(2, dtype=ad.float64), create_graph=True)
    assert out.requires_grad
    (second,) = ad.autograd.grad(product.sum(), x)
    assert_close(second, 6 * np.array(B))
    out, product = functional.jvp(lambda p: p**3, x, ad.ones(2, dtype=ad.float64), create_graph=True)
    assert out.requires_grad
    (second,) = ad.autograd.grad(product.sum(), x)
    assert_close(second, 6 * np.array(B))
    assert x.grad is None


BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "strict": (
        lambda: functional.jacobian(lambda p, q: p * 2, (tensor(B), tensor(B)), strict=True),
        AutogradError,
        "jacobian: output 0 of the function does not depend on input 1, which strict=True refuses; write strict=False",
    ),
    "strict forward": (
        lambda: functional.jacobian(lambda p: p, tensor(B), strict=True, strategy="forward-mode"),
        ArgumentError,
        "jacobian: strict=True goes with strategy='reverse-mode' only",
    ),
    "strict jvp": (
        lambda: functional.jvp(lambda p: tensor(B), tensor(B), tensor(B), strict=True),
        AutogradError,
        "jvp: output 0 of the function does not depend on input 0",
    ),
    "unknown strategy": (
        lambda: functional.jacobian(lambda p: p, tensor(B), strategy="sideways"),
        ArgumentError,
        "jacobian: strategy is 'sideways'; expected 'reverse-mode' or 'forward-mode'",
    ),
    "no inputs": (lambda: functional.jacobian(lambda: 1, ()), ArgumentError, "jacobian: got no inputs"),
    "input that is no tensor": (
        lambda: functional.vjp(lambda p: p, 2.0),
        OperandError,
        "vjp: inputs has 2.0, a float; expected tensors",
    ),
    "output that is no tensor": (
        lambda: functional.vjp(lambda p: 3.0, tensor(B)),
        OperandError,
        "vjp: what the function returned has 3.0, a float; expected tensors",
    ),
    "output in a container": (
        lambda: functional.vjp(lambda p: (p, [p]), tensor(B)),
        OperandError,
        r"vjp: the function returned \(\*, \[\*\]\); expected a tensor or a tuple of them",
    ),
    "Hessian of a vector": (
        lambda: functional.hessian(lambda p: p * p, tensor(B)),
        ShapeError,
        r"hessian: the function returned shapes \(2,\); expected one tensor of one element",
    ),
    "v left out": (
        lambda: functional.vjp(lambda p: p * p, tensor(B)),
        ShapeError,
        "vjp: v may be left out for the outputs of one element only; pass v, shaped as the outputs",
    ),
    "v of another shape": (
        lambda: functional.hvp(lambda p: (p * p).sum(), tensor(B), tensor([1.0])),
        ShapeError,
        r"hvp: v has a tensor of shape \(1,\); expected \(2,\), as the inputs",
    ),
    "v of another type": (
        lambda: functional.jvp(lambda p: p, tensor(B), ad.ones(2)),
        DTypeError,
        "jvp: v has a tensor of float32; expected float64",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(backend: Backend, name: str) -> None:
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
