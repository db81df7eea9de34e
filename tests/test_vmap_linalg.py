"""`vmap` and forward mode of products, systems and factors of matrices, beyond the samples of the table.

Factors in forward mode are held against what defines them; what `vmap` runs is counted.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend, Device
from polyad.errors import IndexOutOfRangeError, OperandError
from polyad.function import Function
from polyad.kernels import Kernel, KernelWatch, watching_kernels
from polyad.testing import assert_close

L, F = ad.linalg, ad.nn.functional


def normal(*shape: int, seed: int = 0, dtype: str = "float64") -> ad.Tensor:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape)
    return ad.tensor(x + 1j * rng.standard_normal(shape) if dtype == "complex128" else x)


def adjoint(x: ad.Tensor) -> ad.Tensor:
    return x.mT.conj()


# Factors in forward mode ------------------------------------------------------------------------------------

DTYPES = pytest.mark.parametrize("dtype", ["float64", "complex128"])


@DTYPES
@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_along_a_direction(backend: Backend, dtype: str, upper: bool) -> None:
    x, t = normal(2, 4, 4, dtype=dtype), normal(2, 4, 4, seed=1, dtype=dtype)
    x, t = x @ adjoint(x) + 4 * ad.eye(4), t + adjoint(t)
    factor, moved = ad.func.jvp(lambda x: L.cholesky(x, upper=upper), (x,), (t,))
    if upper:
        factor, moved = adjoint(factor), adjoint(moved)
    assert_close(moved @ adjoint(factor) + factor @ adjoint(moved), t)
    assert_close(ad.triu(moved, k=1), ad.zeros_like(moved))


@DTYPES
def test_eigh_along_a_direction(backend: Backend, dtype: str) -> None:
    x, t = (a + adjoint(a) for a in (normal(2, 4, 4, dtype=dtype), normal(2, 4, 4, seed=1, dtype=dtype)))
    (values, vectors), (moved_values, moved) = ad.func.jvp(lambda x: tuple(L.eigh(x)), (x,), (t,))
    assert moved_values.dtype is ad.float64
    assert_close(x @ moved + t @ vectors, moved * values[:, None, :] + vectors * moved_values[:, None, :])
    assert_close(adjoint(vectors) @ moved + adjoint(moved) @ vectors, ad.zeros_like(moved))


@DTYPES
def test_eig_along_a_direction(backend: Backend, dtype: str) -> None:
    x, t = normal(4, 4, dtype=dtype), normal(4, 4, seed=1, dtype=dtype)
    (values, vectors), (moved_values, moved) = ad.func.jvp(lambda x: tuple(L.eig(x)), (x,), (t,))
    assert_close(x @ moved + t @ vectors, moved * values + vectors * moved_values)
    assert_close(ad.real(vectors.conj() * moved).sum(0), ad.zeros(4, dtype="float64"))


@DTYPES
@pytest.mark.parametrize("shape", [(5, 3), (3, 3), (2, 3, 5)])
def test_qr_along_a_direction(backend: Backend, dtype: str, shape: Any) -> None:
    x, t = normal(*shape, dtype=dtype), normal(*shape, seed=1, dtype=dtype)
    (q, r), (moved_q, moved_r) = ad.func.jvp(lambda x: tuple(L.qr(x)), (x,), (t,))
    assert_close(moved_q @ r + q @ moved_r, t)
    assert_close(adjoint(q) @ moved_q + adjoint(moved_q) @ q, ad.zeros_like(adjoint(q) @ q))
    assert_close(ad.tril(moved_r, k=-1), ad.zeros_like(moved_r))


@DTYPES
@pytest.mark.parametrize("shape", [(5, 3), (3, 3), (2, 3, 5)])
def test_svd_along_a_direction(backend: Backend, dtype: str, shape: Any) -> None:
    x, t = normal(*shape, dtype=dtype), normal(*shape, seed=1, dtype=dtype)
    thin = lambda x: tuple(L.svd(x, full_matrices=False))  # noqa: E731
    (u, s, vh), (moved_u, moved_s, moved_vh) = ad.func.jvp(thin, (x,), (t,))
    middle, row = s[..., None, :], moved_s[..., None, :]
    assert_close((moved_u * middle + u * row) @ vh + (u * middle) @ moved_vh, t)
    for left, moved in ((adjoint(u), moved_u), (vh, adjoint(moved_vh))):
        assert_close(left @ moved + adjoint(left @ moved), ad.zeros_like(left @ moved))


def test_lu_along_a_direction(backend: Backend) -> None:
    x, t = normal(2, 4, 4), normal(2, 4, 4, seed=1)
    (p, low, high), (still, moved_low, moved_high) = ad.func.jvp(lambda x: tuple(L.lu(x)), (x,), (t,))
    assert_close(p @ (moved_low @ high + low @ moved_high), t)
    assert_close(still, ad.zeros_like(p))
    assert_close(ad.triu(moved_low, k=0), ad.zeros_like(low))


@DTYPES
@pytest.mark.parametrize("name", ["cholesky", "eigh", "qr", "svd"])
def test_factors_forward_are_transposed_in_reverse(backend: Backend, dtype: str, name: str) -> None:
    """With the choices of sign and phase that both share: ``<c, J t> == <J^T c, t>``."""
    x, t = normal(4, 4, dtype=dtype), normal(4, 4, seed=1, dtype=dtype)
    if name in ("cholesky", "eigh"):
        x, t = x @ adjoint(x) + ad.eye(4), t + adjoint(t)

    def call(x: Any) -> Any:
        found = getattr(L, name)(x)
        return tuple(found) if isinstance(found, tuple) else (found,)

    outs, moved = ad.func.jvp(call, (x,), (t,))
    _, pull = ad.func.vjp(call, x)
    cs = tuple(normal(*y.shape, seed=7 + i, dtype=y.dtype.name) for i, y in enumerate(outs))
    forward = sum(ad.real(c.conj() * m).sum() for c, m in zip(cs, moved, strict=True))
    assert_close(forward, ad.real(pull(cs)[0].conj() * t).sum())


@pytest.mark.parametrize("axis", [None, 0, (0, 2)])
def test_products_of_elements_along_a_direction(backend: Backend, axis: Any) -> None:
    x, t = ad.tensor([[[2.0, 0.0, 3.0], [0.5, 1.0, 0.0]], [[1.0, 4.0, 2.0], [3.0, 0.0, 0.25]]]), normal(2, 2, 3)
    x, t = x.double(), t.double()
    _, moved = ad.func.jvp(lambda x: ad.prod(x, axis=axis), (x,), (t,))
    step = 1e-6
    there, back = (ad.prod(x + h * t, axis=axis) for h in (step, -step))
    assert_close(moved, (there - back) / (2 * step), rtol=1e-6, atol=1e-8)


def test_extremes_of_nan_and_of_equals_along_a_direction(backend: Backend) -> None:
    x = ad.tensor([[1.0, 3.0, 3.0], [1.0, float("nan"), 2.0]])
    _, moved = ad.func.jvp(lambda x: ad.max(x, axis=1), (x,), (ad.tensor([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]]),))
    assert_close(moved, ad.tensor([3.0, float("nan")]), equal_nan=True)


# What vmap runs ---------------------------------------------------------------------------------------------


NAMES = {"matmul", "einsum_pair", "linalg.solve", "linalg.solve_triangular", "nn.linear"}


class Calls(KernelWatch):
    """Notes the products and systems that run on a library's own devices, with their operands' shapes."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def kernel(self, function: Function, device: Device, kernel: Kernel) -> Kernel:
        def run(*arrays: Any, **params: Any) -> Any:
            if not device.depth and function.name in NAMES:
                self.seen.append((function.name, *(a.shape for a in arrays if a is not None)))
            return kernel(*arrays, **params)

        return run


W, ROWS, STACK = (5, 4), (7, 4), (7, 4, 3)
RUNS: dict[str, tuple[Callable[..., Any], Any, Any, list[Any]]] = {
    "a matrix, vectors": (ad.matmul, (None, 0), (W, ROWS), [("matmul", ROWS, (4, 5))]),
    "vectors, a matrix": (lambda w, x: x @ w.mT, (None, 0), (W, ROWS), [("matmul", ROWS, (4, 5))]),
    "vectors, a vector": (lambda v, x: v @ x, (None, 0), ((4,), ROWS), [("matmul", ROWS, (4,))]),
    "matrices, a vector": (ad.matmul, (0, None), ((7, 3, 4), (4,)), [("matmul", (7, 3, 4), (4,))]),
    "matrices, a matrix": (ad.matmul, (0, None), ((7, 3, 4), (4, 2)), [("matmul", (7, 3, 4), (4, 2))]),
    "a stack, vectors": (ad.matmul, (None, 0), ((2, 5, 4), ROWS), [("matmul", (2, 5, 4), (4, 7))]),
    "vectors, a stack": (ad.matmul, (0, None), (ROWS, (2, 4, 5)), [("matmul", ROWS, (2, 4, 5))]),
    "a contraction": (
        lambda w, x: ad.einsum("ij,jk->ik", w, x),
        (None, 0),
        (W, STACK),
        [("einsum_pair", W, STACK)],
    ),
    "a layer": (F.linear, (0, None), (ROWS, W), [("nn.linear", ROWS, W)]),
    "a matrix, right sides": (L.solve, (None, 0), ((4, 4), ROWS), [("linalg.solve", (4, 4), (4, 7))]),
    "a matrix, matrices of right sides": (L.solve, (None, 0), ((4, 4), STACK), [("linalg.solve", (4, 4), (4, 21))]),
    "a triangle, right sides": (
        lambda a, b: L.solve_triangular(a, b, upper=True),
        (None, 0),
        ((4, 4), STACK),
        [("linalg.solve_triangular", (4, 4), (4, 21))],
    ),
    "a triangle, rows": (
        lambda a, b: L.solve_triangular(a, b, upper=False, left=False),
        (None, 0),
        ((4, 4), (7, 3, 4)),
        [("linalg.solve_triangular", (4, 4), (21, 4))],
    ),
}


@pytest.mark.parametrize("case", RUNS)
def test_what_examples_share_is_used_once(case: str) -> None:
    function, dims, shapes, expected = RUNS[case]
    x, y = (normal(*s, seed=i) + (4 * ad.eye(4) if s == (4, 4) else 0) for i, s in enumerate(shapes))
    calls = Calls()
    with watching_kernels(calls):
        found = ad.func.vmap(function, dims)(x, y)
    assert calls.seen == expected
    loop = [function(x if dims[0] is None else x[i], y if dims[1] is None else y[i]) for i in range(7)]
    assert_close(found, ad.stack(loop))


@pytest.mark.parametrize(
    "shapes", [((3, 4, 1), (3, 1, 5)), ((4, 1), (3, 1, 5)), ((6, 4, 2), (2, 5)), ((6, 4, 2), (2,))]
)
def test_stacks_of_products_in_one_operation(backend: Backend, shapes: Any) -> None:
    a, b = (normal(*s, seed=i) for i, s in enumerate(shapes))
    assert_close(a @ b, np.matmul(a.numpy(), b.numpy()))
    turned = ad.permute_dims(normal(*shapes[0][::-1]), tuple(range(len(shapes[0])))[::-1])
    assert_close(turned @ b, np.matmul(turned.numpy(), b.numpy()))


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("lengths", [(50, 33), (33, 50), (40, 5), (5, 40), (6, 6)])
@pytest.mark.parametrize("dims", [(0, 0), (0, None), (None, 0)])
def test_convolutions_of_examples(backend: Backend, mode: str, lengths: Any, dims: Any) -> None:
    a, v = (normal(*((3,) if d == 0 else ()), n, seed=n) for d, n in zip(dims, lengths, strict=True))
    found = ad.func.vmap(lambda a, v: ad.convolve(a, v, mode=mode), dims)(a, v)
    for i in range(3):
        one = np.convolve(*(x.numpy()[i] if d == 0 else x.numpy() for x, d in ((a, dims[0]), (v, dims[1]))), mode)
        assert_close(found[i], one)


# Losses -----------------------------------------------------------------------------------------------------


def test_classes_of_examples_are_looked_at() -> None:
    logits = normal(4, 3)
    loss = ad.func.vmap(F.cross_entropy)
    with pytest.raises(IndexOutOfRangeError, match="target has class 3 among 3 classes; valid are 0 to 2"):
        loss(logits, ad.tensor([0, 1, 3, 2]))
    found = loss(logits, ad.tensor([0, -100, 1, 2]))  # the mean of no targets is NaN
    assert_close(
        found,
        F.cross_entropy(logits, ad.tensor([0, 0, 1, 2]), reduction="none") * ad.tensor([1, np.nan, 1, 1]),
        equal_nan=True,
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_losses_of_examples_with_ignored_targets(backend: Backend, reduction: str, weighted: bool) -> None:
    logits, target = normal(3, 4, 5), ad.tensor([[0, -100, 1, 4], [2, 2, -100, -100], [-100, 3, 3, 0]])
    weight = ad.tensor([0.5, 1.0, 2.0, 0.25, 1.5]).double() if weighted else None

    def loss(x: Any, y: Any) -> Any:
        return F.cross_entropy(x, y, weight, reduction=reduction, label_smoothing=0.1)

    found = ad.func.vmap(loss)(logits, target)
    assert_close(found, ad.stack([loss(logits[i], target[i]) for i in range(3)]))
    total = lambda x, y: loss(x, y).sum()  # noqa: E731
    gradients = ad.func.vmap(ad.func.grad(total))(logits, target)
    assert_close(gradients, ad.stack([ad.func.grad(total)(logits[i], target[i]) for i in range(3)]))


# Functions of others ----------------------------------------------------------------------------------------


def test_rule_may_leave_examples_to_the_body(backend: Backend) -> None:
    asked = []

    def rule(made: Any, size: int, arrays: Any, batched: Any, params: Any) -> Any:
        asked.append((size, tuple(batched)))
        return NotImplemented if batched[1] else made.call(*arrays)

    @ad.function(elementwise=True, batching=rule)
    def scaled(xp: ad.XP, x: Any, y: Any, /) -> Any:
        return x * xp.exp(y)

    x = normal(3)
    assert_close(ad.func.vmap(scaled)(x, x), x * ad.exp(x))
    assert_close(ad.func.vmap(scaled, (0, None))(x, ad.tensor(0.5).double()), x * np.exp(0.5))
    assert asked == [(3, (True, True)), (3, (True, False))]


def test_body_that_looks_at_values(backend: Backend) -> None:
    @ad.function()
    def halved(xp: ad.XP, x: Any, /) -> Any:
        return x / 2 if bool(xp.max(xp.abs(x)) > 1) and float(xp.sum(x)) > 0 else x

    x = ad.tensor([0.5, 2.0])
    assert_close(ad.func.jvp(halved, (x,), (ad.ones(2),))[1], ad.tensor([0.5, 0.5]))
    assert_close(ad.func.jvp(halved, (x / 4,), (ad.ones(2),))[1], ad.ones(2))
    with pytest.raises(OperandError, match="vmap runs the function on all examples at once.* write where"):
        ad.func.vmap(halved)(ad.stack([x, x]))
