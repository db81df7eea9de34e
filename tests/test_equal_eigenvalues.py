"""Matrices with equal eigenvalues or singular values: derivatives are right or NaN, never a wrong number.

The vectors are not determined there, yet many functions that are computed from them are smooth, and can be computed
without: those are the references.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.testing import assert_close, gradgradcheck

L = ad.linalg
ORDERS: dict[str, Callable[[Any], Any]] = {
    "reverse": ad.func.jacrev,
    "forward": ad.func.jacfwd,
    "reverse twice": lambda f: ad.func.jacrev(ad.func.jacrev(f)),
    "forward over reverse": lambda f: ad.func.jacfwd(ad.func.jacrev(f)),
    "reverse over forward": lambda f: ad.func.jacrev(ad.func.jacfwd(f)),
    "forward twice": lambda f: ad.func.jacfwd(ad.func.jacfwd(f)),
}
FIRST = ["reverse", "forward"]

IDENTITY = np.eye(3)
A_PAIR = np.diag([1.0, 1.0, 2.0])
TOO_FEW_VECTORS = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
TALL = np.eye(3, 2)
TALL_LOW_RANK = np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
LOW_RANK = np.diag([2.0, 1.0, 0.0])


def weighted(y: Any) -> Any:
    """A number that depends on every element."""
    return (ad.sin(1.0 + ad.arange(y.numel(), dtype=y.dtype)).reshape(y.shape) * y).sum()


def symmetric(x: Any) -> Any:
    return (x + x.mT) / 2


def phased(x: Any) -> Any:
    """A complex matrix, Hermitian where ``x`` is symmetric, and ``x`` itself where that is diagonal."""
    ones = ad.ones_like(x)
    return x + 1j * (ad.triu(ones, k=1) - ad.tril(ones, k=-1)) * x


def both_parts(y: Any) -> Any:
    return weighted(ad.real(y)) + weighted(ad.imag(y))


def by_eigh(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        values, vectors = L.eigh(x)
        return (vectors * function(values)) @ ad.conj(vectors.mT)

    return call


def by_eig(x: Any) -> Any:
    values, vectors = L.eig(x)
    return ad.real((vectors * ad.exp(values)) @ L.inv(vectors))


def cubed(x: Any) -> Any:
    u, s, vh = L.svd(x, full_matrices=False)
    return (u * s**3) @ vh


def polar(x: Any) -> Any:
    u, _, vh = L.svd(x)
    return u @ vh


def polar_near(x: Any) -> Any:
    """Newton and Schulz's iteration for the same factor: two steps are exact to third order at orthogonal matrices."""
    for _ in range(2):
        x = 1.5 * x - 0.5 * x @ x.mT @ x
    return x


def frobenius(x: Any) -> Any:
    return (x * x).sum()


Program = Callable[[Any], Any]

OF_VALUES: dict[str, tuple[Program, Program, list[np.ndarray]]] = {
    "eigvalsh": (
        lambda x: (L.eigvalsh(symmetric(x)) ** 2).sum(),
        lambda x: frobenius(symmetric(x)),
        [IDENTITY, A_PAIR],
    ),
    "eigvalsh, stationary": (
        lambda x: ((L.eigvalsh(symmetric(x)) - 1) ** 2).sum(),
        lambda x: frobenius(symmetric(x) - ad.eye(3, dtype=x.dtype)),
        [IDENTITY],
    ),
    "eigvalsh, complex": (
        lambda x: ad.exp(L.eigvalsh(phased(symmetric(x)))).sum(),
        lambda x: ad.real(L.trace(L.matrix_exp(phased(symmetric(x))))),
        [IDENTITY, A_PAIR],
    ),
    "eigvals": (
        lambda x: ad.real(L.eigvals(x) ** 2).sum(),
        lambda x: L.trace(x @ x),
        [IDENTITY, A_PAIR],
    ),
    "svdvals": (
        lambda x: (L.svdvals(x) ** 4).sum(),
        lambda x: frobenius(x.mT @ x),
        [IDENTITY, A_PAIR, TALL, TALL_LOW_RANK, LOW_RANK],
    ),
    "svdvals, logarithms": (lambda x: ad.log(L.svdvals(x)).sum(), lambda x: L.slogdet(x)[1], [IDENTITY, A_PAIR]),
    "nuclear norm": (
        lambda x: L.matrix_norm(x, ord="nuc"),
        lambda x: L.trace(x @ polar_near(x).mT),
        [IDENTITY],
    ),
}

OF_VECTORS: dict[str, tuple[Program, Program, list[np.ndarray]]] = {
    "exponential by eigh": (
        lambda x: weighted(by_eigh(ad.exp)(symmetric(x))),
        lambda x: weighted(L.matrix_exp(symmetric(x))),
        [IDENTITY, A_PAIR],
    ),
    "nothing to couple": (  # as of a logarithm at the identity, the gradient that reaches the vectors is exactly 0
        lambda x: weighted(by_eigh(lambda values: values - 1)(symmetric(x))),
        lambda x: weighted(symmetric(x) - ad.eye(3, dtype=x.dtype)),
        [IDENTITY, A_PAIR],
    ),
    "exponential by eigh, complex": (
        lambda x: both_parts(by_eigh(ad.exp)(phased(symmetric(x)))),
        lambda x: both_parts(L.matrix_exp(phased(symmetric(x)))),
        [IDENTITY, A_PAIR],
    ),
    "exponential by eig": (lambda x: weighted(by_eig(x)), lambda x: weighted(L.matrix_exp(x)), [IDENTITY, A_PAIR]),
    "cubes by svd": (
        lambda x: weighted(cubed(x)),
        lambda x: weighted(x @ x.mT @ x),
        [IDENTITY, A_PAIR, TALL, TALL_LOW_RANK, TALL_LOW_RANK.T],
    ),
    "cubes by svd, complex": (
        lambda x: both_parts(cubed(phased(x))),
        lambda x: both_parts(phased(x) @ ad.conj(phased(x).mT) @ phased(x)),
        [IDENTITY, A_PAIR, LOW_RANK],
    ),
    "eigvals of too few vectors": (
        lambda x: ad.real(L.eigvals(x) ** 2).sum(),
        lambda x: L.trace(x @ x),
        [TOO_FEW_VECTORS],
    ),
    "polar": (lambda x: weighted(polar(x)), lambda x: weighted(polar_near(x)), [IDENTITY]),
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", [*OF_VALUES, *OF_VECTORS])
def test_derivatives_are_right_or_nan(backend: Backend, name: str, order: str) -> None:
    if backend.name != "numpy" and order not in (*FIRST, "forward over reverse"):
        pytest.skip("rules are one text on all backends, and compiled for each shape there")
    found, reference, matrices = {**OF_VALUES, **OF_VECTORS}[name]
    for matrix in matrices if backend.name == "numpy" else matrices[:1]:
        x = ad.tensor(matrix)
        assert_close(found(x), reference(x), rtol=1e-9, atol=1e-9)
        ours, right = (ORDERS[order](f)(x).numpy() for f in (found, reference))
        unknown = np.isnan(ours)
        assert_close(np.where(unknown, right, ours), right, rtol=1e-8, atol=1e-8)
        if order in FIRST:
            assert unknown.all() if name in OF_VECTORS else not unknown.any()


@pytest.mark.parametrize("order", ORDERS)
def test_a_singular_matrix_of_distinct_values_has_all_derivatives(backend: Backend, order: str) -> None:
    x = ad.tensor(LOW_RANK)
    found, right = (ORDERS[order](f)(x) for f in (lambda x: weighted(cubed(x)), lambda x: weighted(x @ x.mT @ x)))
    assert_close(found, right, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["exponential by eigh", "exponential by eig", "cubes by svd"])
def test_the_other_matrices_of_a_stack_have_their_gradients(backend: Backend, name: str) -> None:
    found = OF_VECTORS[name][0]
    x = np.stack([np.diag([1.0, 2.0, 4.0]) + 0.1, IDENTITY])
    gradients = ad.func.vmap(ad.func.grad(found))(ad.tensor(x))
    assert_close(gradients[0], ad.func.grad(found)(ad.tensor(x[0])), rtol=1e-9, atol=1e-9)
    assert ad.isnan(gradients[1]).all()


def test_values_alone_compiled_and_of_many() -> None:
    jax = pytest.importorskip("jax")
    with ad.use_backend("jax"):
        x = ad.stack([ad.eye(3), 2 * ad.eye(3)])
    for function in (L.svdvals, L.eigvalsh):
        of_one = ad.func.grad(lambda x: (function(x) ** 3).sum())  # noqa: B023
        found = jax.jit(ad.func.vmap(of_one))(x)
        assert_close(found, np.stack([3 * np.eye(3), 12 * np.eye(3)]), check_dtype=False, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [ad.float32, ad.float64], ids=lambda d: d.name)
def test_singular_values_whose_squares_are_out_of_range(backend: Backend, dtype: ad.DType) -> None:
    """The polar factor is the same for any multiple of a matrix, so its gradient is that of one by the factor."""
    x = ad.tensor([[3.0, 1.0], [0.5, 2.0]], dtype=dtype)
    right = ad.func.grad(lambda x: weighted(polar(x)))(x)
    for factor in (2.0**-70, 2.0**70) if dtype is ad.float32 else (2.0**-540, 2.0**540):
        found = ad.func.grad(lambda x: weighted(polar(x)))(x * factor)
        moved = ad.func.jvp(polar, (x * factor,), (x.mT * factor,))[1]
        assert_close(found * factor, right, rtol=1e-4, atol=1e-5)
        assert_close(moved, ad.func.jvp(polar, (x,), (x.mT,))[1], rtol=1e-4, atol=1e-5)


# The gradient to a Hermitian matrix is Hermitian ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [ad.float64, ad.complex128], ids=lambda d: d.name)
def test_the_gradient_of_eigenvectors_is_hermitian(backend: Backend, dtype: ad.DType) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 3, 3)) + (1j * rng.standard_normal((2, 3, 3)) if dtype.is_complex else 0)
    x = ad.tensor(x + x.conj().swapaxes(-1, -2))

    def loss(x: Any) -> Any:
        return weighted(ad.abs(L.eigh(x)[1]) ** 2)

    gradient = ad.func.grad(loss)(x)
    assert_close(gradient, ad.conj(gradient.mT), rtol=1e-12, atol=1e-12)
    direction = ad.tensor(rng.standard_normal(x.shape)).to(dtype)
    slope = ad.func.jvp(loss, (x,), (direction,))[1]
    assert_close(slope, ad.real(ad.conj(gradient) * direction).sum(), rtol=1e-9, atol=1e-9)
    step = 1e-6 * (direction + ad.conj(direction.mT)) / 2
    assert_close(slope, (loss(x + step) - loss(x - step)) / 2e-6, rtol=1e-6, atol=1e-8)


def test_the_gradient_of_an_eigenvector(backend: Backend) -> None:
    x = ad.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=ad.float64, requires_grad=True)
    (L.eigh(x)[1][:, 0] ** 2 * ad.tensor([1.0, 3.0])).sum().backward()
    assert_close(x.grad, np.array([[0.5, 0.0], [0.0, -0.5]]), atol=1e-12)
    gradgradcheck(lambda x: L.eigh(symmetric(x))[1][:, 0] ** 2, [x], fast_mode=True)


# PyTorch's ------------------------------------------------------------------------------------------------------


def product(a: Any, b: Any) -> Any:
    return a @ b


PROGRAMS: dict[str, Callable[[Any, Any], Any]] = {
    "eigenvectors": lambda m, x: abs(m.linalg.eigh(x)[1]) ** 2,
    "eigenvalues": lambda m, x: m.linalg.eigvalsh(x) ** 3,
    "vectors of any": lambda m, x: abs(m.linalg.eig(x)[1][..., :1]) ** 2,
    "left": lambda m, x: abs(m.linalg.svd(x)[0][..., :2]) ** 2,
    "right": lambda m, x: abs(m.linalg.svd(x)[2][..., :2, :]) ** 2,
    "polar": lambda m, x: product(*m.linalg.svd(x, full_matrices=False)[::2]),
    "singular values": lambda m, x: m.linalg.svdvals(x) ** 3,
    "no factor": lambda m, x: m.linalg.matrix_power(x, 0),
}


@pytest.mark.parametrize("dtype", [ad.float64, ad.complex128], ids=lambda d: d.name)
@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 3), "equal"], ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_are_those_of_pytorch(backend: Backend, name: str, shape: Any, dtype: ad.DType) -> None:
    torch = pytest.importorskip("torch")
    if shape == "equal":
        x: Any = np.eye(3, dtype=dtype.name)
    elif shape[-2] != shape[-1] and name not in ("left", "right", "polar", "singular values"):
        pytest.skip("of square matrices alone")
    elif backend.name != "numpy" and shape != (3, 3):
        pytest.skip("each shape is compiled there")
    else:
        rng = np.random.default_rng(sum(shape))
        x = rng.standard_normal(shape) + (1j * rng.standard_normal(shape) if dtype.is_complex else 0)
        x = x + x.conj().swapaxes(-1, -2) if name.startswith("eigen") else x
    ours, theirs = ad.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, w = PROGRAMS[name](ad, ours), PROGRAMS[name](torch, theirs)
    seed = np.cos(np.arange(y.numel())).reshape(y.shape)
    ad.real(y * ad.tensor(seed)).sum().backward()
    (w * torch.tensor(seed)).real.sum().backward()
    assert_close(ours.grad, theirs.grad.resolve_conj().numpy(), rtol=1e-7, atol=1e-9, equal_nan=True)
