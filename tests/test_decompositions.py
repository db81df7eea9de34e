"""Factors of matrices whose signs and phases are free: what they make up, and gradients that do not depend on them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.testing import assert_close, gradcheck, gradgradcheck

SHAPES = [(2, 2), (3, 2), (2, 3), (2, 3, 3), (2, 3, 2)]
DTYPES = [ad.float64, ad.complex128]


def matrix(shape: tuple[int, ...], dtype: ad.DType) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    x = rng.standard_normal(shape)
    return x + 1j * rng.standard_normal(shape) if dtype.is_complex else x


def hermitian(x: Any) -> Any:
    return x + ad.conj(x.mT)


def unitary(q: Any) -> None:
    n = q.shape[-1]
    assert_close(ad.conj(q.mT) @ q, np.broadcast_to(np.eye(n), (*q.shape[:-2], n, n)), check_dtype=False, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_factors_make_up_the_matrix(backend: Backend, shape: tuple[int, ...], dtype: ad.DType) -> None:
    x = matrix(shape, dtype)
    t = ad.tensor(x)
    for full in (False, True):
        u, s, vh = ad.linalg.svd(t, full_matrices=full)
        k = s.shape[-1]
        assert_close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], x, rtol=1e-9, atol=1e-9)
        unitary(u)
        unitary(ad.conj(vh.mT))
        assert_close(s, np.linalg.svd(x, compute_uv=False))
        assert u.shape[-1] == (shape[-2] if full else k)
    for mode in ("reduced", "complete"):
        q, r = ad.linalg.qr(t, mode=mode)
        assert_close(q @ r, x, rtol=1e-9, atol=1e-9)
        unitary(q)
        assert_close(r, np.triu(r.numpy()))
    if shape[-1] == shape[-2]:
        values, vectors = ad.linalg.eig(t)
        assert_close(t.astype(ad.complex128) @ vectors, vectors * values[..., None, :], rtol=1e-9, atol=1e-9)
        real, vectors = ad.linalg.eigh(hermitian(t))
        assert_close(hermitian(t) @ vectors, vectors * real[..., None, :], rtol=1e-9, atol=1e-9)
        unitary(vectors)
        p, low, u = ad.linalg.lu(t)
        assert_close(p @ low @ u, x, rtol=1e-9, atol=1e-9)
        assert_close(low, np.tril(low.numpy()))


def projector(v: Any) -> Any:
    return v[..., :1] @ ad.conj(v[..., :1].mT)


def of_eig(x: Any) -> Any:
    values, vectors = ad.linalg.eig(x)
    return (vectors * ad.sin(values)[..., None, :]) @ ad.linalg.inv(vectors)


def of_svd(x: Any) -> Any:
    u, s, vh = ad.linalg.svd(x, full_matrices=False)
    return (u * (s**3)[..., None, :]) @ vh


def of_svd_sides(x: Any) -> Any:
    u, _, vh = ad.linalg.svd(x, full_matrices=False)
    return ad.abs(projector(u)).sum() + ad.real(projector(ad.conj(vh.mT))).sum()


def of_qr(x: Any) -> Any:
    q, r = ad.linalg.qr(x)
    return ad.real(projector(q)).sum() + (ad.abs(r) ** 2)[..., 0, :].sum()


def of_eigh(x: Any) -> Any:
    values, vectors = ad.linalg.eigh(hermitian(x))
    return (vectors * ad.sin(values)[..., None, :]) @ ad.conj(vectors.mT)


def of_lu(x: Any) -> Any:
    _, low, u = ad.linalg.lu(x)
    return ad.sin(low).sum() + ad.sin(u).sum()


GRADIENTS: dict[str, tuple[Callable[[Any], Any], list[tuple[int, ...]]]] = {
    "eig": (of_eig, [(2, 2), (2, 3, 3)]),
    "eigh": (of_eigh, [(2, 2), (2, 3, 3)]),
    "lu": (of_lu, [(2, 2), (2, 3, 3)]),
    "qr": (of_qr, SHAPES),
    "svd": (of_svd, SHAPES),
    "sides of svd": (of_svd_sides, SHAPES),
}


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_functions_that_do_not_depend_on_the_choice(backend: Backend, name: str, dtype: ad.DType) -> None:
    function, shapes = GRADIENTS[name]
    for shape in shapes if backend.name == "numpy" else shapes[:2]:  # each shape is compiled anew elsewhere
        x = ad.tensor(matrix(shape, dtype), requires_grad=True)
        gradcheck(function, [x], fast_mode=backend.name != "numpy")
        gradgradcheck(function, [x], fast_mode=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.name)
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_those_of_pytorch(name: str, dtype: ad.DType) -> None:
    torch = pytest.importorskip("torch")
    programs: dict[str, Callable[[Any], Any]] = {
        "eig": lambda x: torch.linalg.eigvals(x).abs().sum(),
        "eigh": lambda x: (torch.linalg.eigh(x + x.mH)[0] ** 3).sum(),
        "lu": lambda x: sum(torch.sin(f).abs().sum() for f in torch.linalg.lu(x)[1:]),
        "qr": lambda x: torch.linalg.qr(x)[1].abs().sum(),
        "svd": lambda x: (torch.linalg.svdvals(x) ** 3).sum(),
        "sides of svd": lambda x: (torch.linalg.svd(x, full_matrices=False)[0][..., :1].abs() ** 3).sum(),
    }
    ours: dict[str, Callable[[Any], Any]] = {
        "eig": lambda x: ad.linalg.eigvals(x).abs().sum(),
        "eigh": lambda x: (ad.linalg.eigh(hermitian(x))[0] ** 3).sum(),
        "lu": lambda x: ad.sin(ad.linalg.lu(x)[1]).abs().sum() + ad.sin(ad.linalg.lu(x)[2]).abs().sum(),
        "qr": lambda x: ad.linalg.qr(x)[1].abs().sum(),
        "svd": lambda x: (ad.linalg.svdvals(x) ** 3).sum(),
        "sides of svd": lambda x: (ad.linalg.svd(x, full_matrices=False)[0][..., :1].abs() ** 3).sum(),
    }
    for shape in GRADIENTS[name][1]:
        x = matrix(shape, dtype)
        t, w = ad.tensor(x, backend="numpy", requires_grad=True), torch.tensor(x, requires_grad=True)
        ours[name](t).backward()
        programs[name](w).backward()
        assert_close(t.grad, w.grad.resolve_conj().numpy(), rtol=1e-7, atol=1e-9)


def test_values_that_coincide_have_finite_gradients(backend: Backend) -> None:
    for function in (ad.linalg.svdvals, ad.linalg.eigvalsh):
        x = ad.eye(3, dtype=ad.float64, requires_grad=True)
        function(x).sum().backward()
        assert_close(x.grad, np.eye(3), atol=1e-12)


def test_what_has_no_gradient_or_no_factor(backend: Backend) -> None:
    x = ad.ones(3, 2, requires_grad=True)
    with pytest.raises(ad.errors.ArgumentError, match=r"mode='complete' has no gradient for more rows than columns"):
        ad.linalg.qr(x, mode="complete")
    with pytest.raises(ad.linalg.LinAlgError, match="linalg.cholesky: the matrix is not positive definite"):
        ad.linalg.cholesky(-ad.eye(2))


def test_of_nothing(backend: Backend) -> None:
    x = ad.zeros(0, 0)
    assert ad.linalg.cholesky(x).shape == (0, 0)
    assert ad.linalg.eigh(x).eigenvalues.shape == (0,)
    assert ad.linalg.svd(ad.zeros(2, 0)).U.shape == (2, 2)
    assert ad.linalg.qr(ad.zeros(2, 0)).R.shape == (0, 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["svd", "svdvals", "eig", "eigvals", "cond", "pinv", "lstsq"])
def test_matrices_without_factors_give_nan(backend: Backend, name: str, bad: float) -> None:
    x = ad.tensor([[[1.0, 2.0], [0.0, 3.0]], [[1.0, bad], [2.0, 3.0]]])
    args = [x, ad.ones((2, 2, 1))] if name == "lstsq" else [x]
    found = getattr(ad.linalg, name)(*args)
    first = found if isinstance(found, ad.Tensor) else found[0]
    assert ad.isnan(first[1]).all()
    assert ad.isfinite(first[0]).all()


def test_logarithm_of_an_undefined_determinant(backend: Backend) -> None:
    if backend.name == "strict":
        pytest.skip("a backend without kernels of its own has its library's special cases")
    assert ad.isnan(ad.stack(ad.linalg.slogdet(ad.tensor([[math.nan, 1.0], [1.0, 2.0]])))).all()
