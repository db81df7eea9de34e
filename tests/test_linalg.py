"""Products, solvers and norms where a sample does not reach: forms of calls, precision, and what is not looked at."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.testing import assert_close, gradcheck, gradgradcheck

RNG = np.random.default_rng(0)


def normal(*shape: int, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(RNG.normal(size=shape), **{"dtype": ad.float64, **kwargs})


# Einstein summation -------------------------------------------------------------------------------------------


def test_einsum_spelled_in_each_way(backend: Backend) -> None:
    x, y = normal(2, 3), normal(3, 4)
    expected = x.numpy() @ y.numpy()
    for made in (
        ad.einsum("ij,jk->ik", x, y),
        ad.einsum(" i j, j k -> i k", x, y),
        ad.einsum("ij,jk", x, y),
        ad.einsum(x, y, subscripts="ij,jk"),
        ad.einsum(x, [0, 1], y, [1, 2], [0, 2]),
        ad.einsum(x, [0, 1], y, [1, 30]),
        ad.einsum(x, [..., 0], y, [0, 1], [..., 1]),
    ):
        assert_close(made, expected)


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ij,jk,kl,lm->im", [(2, 9), (9, 3), (3, 8), (8, 2)]),
        ("ij,ij,ij->j", [(2, 3), (2, 3), (2, 3)]),
        ("bi,bj,ijk,bk->b", [(2, 3), (2, 4), (3, 4, 5), (2, 5)]),
        ("i,i,i->", [(3,), (1,), (3,)]),
        ("...i,...j,k->...k", [(4, 1, 2), (5, 3), (2,)]),
    ],
)
@pytest.mark.parametrize("optimize", [True, False, "greedy", "optimal"])
def test_einsum_of_many(backend: Backend, subscripts: str, shapes: Any, optimize: Any) -> None:
    xs = [normal(*shape, requires_grad=True) for shape in shapes]
    made = ad.einsum(subscripts, *xs, optimize=optimize)
    assert_close(made, np.einsum(subscripts, *[x.detach().numpy() for x in xs]))
    ad.einsum(subscripts, *xs, optimize=optimize).sum().backward()
    grads = [x.grad for x in xs]
    for position, x in enumerate(xs):  # an einsum is linear in each operand
        others = [x.detach().numpy() for x in xs]
        others[position] = RNG.normal(size=x.shape)
        expected = np.einsum(subscripts, *others).sum()
        assert math.isclose((grads[position].numpy() * others[position]).sum(), expected, rel_tol=1e-9)


def test_einsum_takes_a_path(backend: Backend) -> None:
    xs = [normal(2, 3), normal(3, 4), normal(4, 2)]
    expected = xs[0].numpy() @ xs[1].numpy() @ xs[2].numpy()
    for path in ([(1, 2), (0, 1)], ["einsum_path", (0, 1), (0, 1)]):
        assert_close(ad.einsum("ij,jk,kl->il", *xs, optimize=path), expected)
    with pytest.raises(ad.errors.ArgumentError, match=r"one or two operands at a time; got \(0, 1, 2\)"):
        ad.einsum("ij,jk,kl->il", *xs, optimize=[(0, 1, 2)])


def test_einsum_gives_no_view(backend: Backend) -> None:
    x = normal(3, 3)
    for subscripts in ("ij->ij", "ij->ji", "ii->i"):
        before = x.numpy().copy()
        ad.einsum(subscripts, x).fill_(7)
        assert_close(x, before)


def test_einsum_errors_have_its_name(backend: Backend) -> None:
    with pytest.raises(ad.errors.OperandError, match=r"einsum: expected subscripts and tensors, einsum\('ij,jk->ik'"):
        ad.einsum(normal(2), normal(2))
    with pytest.raises(ad.errors.OperandError, match=r"einsum: operands is a list"):
        ad.einsum("i,i", normal(2), [1.0, 2.0])
    with pytest.raises(ad.errors.DTypeError, match="einsum takes numeric arrays; got bool"):
        ad.einsum("i,i", ad.tensor([True]), ad.tensor([True]))
    with pytest.raises(ad.errors.ArgumentError, match=r"expected letters.* got 'i\.j\.'"):
        ad.einsum("i.j.", normal(2, 2))


def test_opt_einsum_is_imported_for_three_operands() -> None:
    code = (
        "import sys, polyad as ad; x = ad.ones((2, 2)); ad.einsum('ij,jk', x, x); a = 'opt_einsum' in sys.modules; "
        "ad.einsum('ij,jk,kl', x, x, x); sys.exit(a or 'opt_einsum' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Precision ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [ad.float16, ad.bfloat16])
def test_products_of_half_precision_add_up_in_float32(backend: Backend, dtype: ad.DType) -> None:
    x = ad.full((1, 4096), 0.125, dtype=dtype)
    y = ad.full((4096, 1), 1.0, dtype=dtype)
    ones = ad.ones(4096, dtype=dtype)
    for made in (
        x @ y,
        ad.einsum("ij,jk", x, y),
        ad.tensordot(x, y, axes=1),
        ad.vecdot(x[0], ones),
        ad.inner(x[0], ones),
    ):
        assert made.dtype is dtype
        assert made.sum().item() == 512.0
    assert ad.linalg.vector_norm(ad.full(4096, 8.0, dtype=dtype)).item() == 512.0  # whose squares are out of range
    assert ad.linalg.inv(ad.eye(2, dtype=dtype) * 2).dtype is dtype


def test_integer_products_stay_integer(backend: Backend) -> None:
    for dtype in (ad.int8, ad.uint16, ad.int32, ad.int64):
        x = ad.tensor([[1, 2], [3, 4]], dtype=dtype)
        for made in (
            *(x @ x, ad.einsum("ij,jk", x, x), ad.einsum("ij,kj->k", x, x), ad.tensordot(x, x, axes=1), ad.kron(x, x)),
            *(ad.vecdot(x, x), ad.inner(x, x), ad.outer(x[0], x[0]), ad.linalg.multi_dot([x, x, x]), ad.addmm(x, x, x)),
        ):
            assert made.dtype is dtype
    with pytest.raises(ad.errors.DTypeError, match="addmm: factors of integer tensors are integers; got 0.5"):
        ad.addmm(x, x, x, alpha=0.5)


def test_trace_of_integers_is_in_64_bits(backend: Backend) -> None:
    x = ad.tensor([[100, 0], [0, 100]], dtype=ad.int8)
    assert (ad.trace(x).dtype, ad.trace(x).item()) == (ad.int64, 200)
    assert ad.trace(x, dtype=ad.float32).dtype is ad.float32
    assert ad.trace(x.astype(ad.uint8)).dtype is ad.uint64


# Singular and ill-conditioned matrices ------------------------------------------------------------------------


def test_determinants_of_singular_matrices_have_derivatives(backend: Backend) -> None:
    x = ad.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=ad.float64, requires_grad=True)
    (g,) = ad.autograd.grad(ad.linalg.det(x), x, create_graph=True)
    assert_close(g, np.array([[4.0, -2.0], [-2.0, 1.0]]), atol=1e-12)
    weight = ad.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=ad.float64)
    (h,) = ad.autograd.grad((g * weight).sum(), x)
    assert_close(h, np.array([[4.0, -3.0], [-2.0, 1.0]]), atol=1e-12)


def test_which_matrix_is_singular(backend: Backend) -> None:
    stack = ad.tensor(np.tile(np.eye(2), (3, 2, 1, 1)))
    stack[2, 1] = 0
    with pytest.raises(
        ad.linalg.LinAlgError, match=r"linalg.inv: matrix \(2, 1\) of the stack of shape \(3, 2\) is sing"
    ):
        ad.linalg.inv(stack)
    with pytest.raises(ValueError, match="linalg.pinv and linalg.lstsq take such matrices"):
        ad.linalg.solve(stack, ad.ones(2))
    with pytest.raises(ad.linalg.LinAlgError, match="the matrix is singular"):
        ad.linalg.matrix_power(ad.zeros((2, 2)), -1)


def test_a_jax_transformation_is_not_looked_into() -> None:
    jax = pytest.importorskip("jax")
    x = ad.tensor([[0.0]], backend="jax")
    made = jax.jit(lambda x: ad.linalg.inv(x) + ad.linalg.solve(x, x))(x)
    assert not np.isfinite(made.numpy()).all()


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("unitriangular", [True, False])
@pytest.mark.parametrize("shape", [(40, 40), (3, 40, 40), (2, 1, 5, 5)])
def test_triangular_systems_of_each_size(backend: Backend, upper: bool, unitriangular: bool, shape: Any) -> None:
    a = RNG.normal(size=shape) / 8 + 4 * np.eye(shape[-1])
    b = RNG.normal(size=(*shape[:-1], 2))
    triangle = np.triu(a, int(unitriangular)) if upper else np.tril(a, -int(unitriangular))
    triangle += np.eye(shape[-1]) if unitriangular else 0
    for x in (ad.tensor(a), ad.tensor(np.ascontiguousarray(a.mT)).mT):
        made = ad.linalg.solve_triangular(x, ad.tensor(b), upper=upper, unitriangular=unitriangular)
        assert_close(made, np.linalg.solve(triangle, b), rtol=1e-9)
        made = ad.linalg.solve_triangular(
            x, ad.tensor(b.mT.copy()), upper=upper, left=False, unitriangular=unitriangular
        )
        assert_close(made, np.linalg.solve(triangle.mT, b).mT, rtol=1e-9)


def test_triangular_systems_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    from polyad_numpy import solvers

    monkeypatch.setattr(solvers, "_blas", lambda: None)
    for upper in (True, False):
        for unitriangular in (True, False):
            a, b = RNG.normal(size=(40, 40)) / 8 + 4 * np.eye(40), RNG.normal(size=(40, 2))
            kernel = solvers.KERNELS["linalg.solve_triangular"]
            triangle = np.triu(a, int(unitriangular)) if upper else np.tril(a, -int(unitriangular))
            triangle += np.eye(40) if unitriangular else 0
            np.testing.assert_allclose(
                kernel(a, b, upper, True, unitriangular), np.linalg.solve(triangle, b), rtol=1e-9
            )


# Functions of matrices ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [ad.float32, ad.float64])
@pytest.mark.parametrize("size", [1e-3, 0.1, 0.5, 1.5, 3.0, 5.0, 50.0, 500.0])
def test_exponentials_of_rotations_of_any_size(backend: Backend, dtype: ad.DType, size: float) -> None:
    x = ad.tensor([[0.0, -size], [size, 0.0]], dtype=dtype)
    expected = np.array([[math.cos(size), -math.sin(size)], [math.sin(size), math.cos(size)]])
    eps = 1e-7 if dtype is ad.float32 else 1e-16
    assert_close(ad.linalg.matrix_exp(x), expected, atol=100 * eps * max(size, 1), rtol=0, check_dtype=False)


def test_a_matrix_of_a_stack_is_scaled_by_itself(backend: Backend) -> None:
    small, large = np.array([[-1e-3, 1.0], [0.0, -2e-3]]), np.array([[-900.0, 0.0], [0.0, -800.0]])
    made = ad.linalg.matrix_exp(ad.tensor(np.stack([small, large, np.full((2, 2), np.inf)])))
    assert_close(made[0], ad.linalg.matrix_exp(ad.tensor(small)), rtol=1e-14)
    assert_close(made[1], np.zeros((2, 2)), atol=1e-300)


def test_gradient_of_an_exponential_for_a_large_weight(backend: Backend) -> None:
    x = normal(3, 3, requires_grad=True)
    (small,) = ad.autograd.grad(ad.linalg.matrix_exp(x).sum(), x)
    (large,) = ad.autograd.grad(ad.linalg.matrix_exp(x).sum() * 1e12, x)
    assert_close(large, small * 1e12, rtol=1e-12)


# Compositions -------------------------------------------------------------------------------------------------


def test_tensor_systems(backend: Backend) -> None:
    a = RNG.normal(size=(2, 3, 6)) + np.eye(6).reshape(2, 3, 6) * 4
    b = RNG.normal(size=(2, 3))
    assert_close(ad.linalg.tensorsolve(ad.tensor(a), ad.tensor(b)), np.linalg.tensorsolve(a, b))
    turned = np.moveaxis(a, -1, 0).copy()
    assert_close(
        ad.linalg.tensorsolve(ad.tensor(turned), ad.tensor(b), axes=(0,)), np.linalg.tensorsolve(turned, b, axes=(0,))
    )
    assert_close(ad.linalg.tensorinv(ad.tensor(a), 2), np.linalg.tensorinv(a, 2))
    x, y = ad.tensor(a, requires_grad=True), ad.tensor(b, requires_grad=True)
    assert gradcheck(ad.linalg.tensorsolve, (x, y), fast_mode=True)
    assert gradgradcheck(lambda x: ad.linalg.tensorinv(x, 2), x, fast_mode=True)


def test_tensor_systems_that_do_not_fit(backend: Backend) -> None:
    x = ad.ones((2, 3, 5))
    with pytest.raises(
        ad.errors.ShapeError, match=r"first 2 dimensions of shape \(2, 3, 5\) have 6 elements, the others 5"
    ):
        ad.linalg.tensorinv(x)
    with pytest.raises(
        ad.errors.ArgumentError, match="ind, the number of dimensions in front, must be positive; got 0"
    ):
        ad.linalg.tensorinv(x, 0)
    with pytest.raises(ad.errors.ShapeError, match=r"expected x1 of shape \(2, 3\), .* got \(2, 3, 5\)"):
        ad.linalg.tensorsolve(x, ad.ones((2, 3)))
    for call in (ad.linalg.tensorinv, ad.linalg.cond, lambda x: ad.linalg.tensorsolve(x, x)):
        with pytest.raises(ad.errors.OperandError, match="expected a tensor"):
            call([[1.0]])  # type: ignore[arg-type]


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, math.inf, -math.inf, "fro", "nuc"])
def test_condition_numbers(backend: Backend, p: Any) -> None:
    x = RNG.normal(size=(2, 3, 3))
    assert_close(ad.linalg.cond(ad.tensor(x), p), np.linalg.cond(x, p), rtol=1e-9)
    assert gradcheck(lambda x: ad.linalg.cond(x, p), ad.tensor(x, requires_grad=True), fast_mode=True)


def test_condition_numbers_at_the_edge(backend: Backend) -> None:
    assert ad.linalg.cond(ad.ones((3, 2))).item() > 1e6
    assert ad.linalg.cond(ad.zeros((2, 2))).item() == math.inf
    with pytest.raises(ad.errors.ShapeError, match=r"linalg.cond: expected a square matrix.* 3 rows and 2 columns"):
        ad.linalg.cond(ad.ones((3, 2)), 1)
    with pytest.raises(ad.errors.ShapeError, match="matrices without elements have no condition number"):
        ad.linalg.cond(ad.ones((0, 0)))


def test_tolerances_are_given_by_name_too(backend: Backend) -> None:
    x = ad.tensor([[1.0, 0.0], [0.0, 1e-3]])
    assert [ad.linalg.matrix_rank(x, rtol=t).item() for t in (None, 1e-2, 1e-4)] == [2, 1, 2]
    assert_close(ad.linalg.pinv(x, rtol=1e-2), np.array([[1.0, 0.0], [0.0, 0.0]], "f4"))
    assert ad.linalg.lstsq(x, ad.ones(2), rcond=1e-2).rank.item() == 1
    with pytest.raises(ad.errors.OperandError, match=r"linalg.lstsq: rcond is a number; got a tensor of shape \(2,\)"):
        ad.linalg.lstsq(x, ad.ones(2), ad.ones(2))  # type: ignore[arg-type]


def test_least_squares_give_a_named_result(backend: Backend) -> None:
    found = ad.linalg.lstsq(normal(4, 2), normal(4))
    assert found._fields == ("solution", "residuals", "rank", "singular_values")
    assert ad.linalg.slogdet(ad.eye(2))._fields == ("sign", "logabsdet")


def test_zeros_have_norms_with_derivatives(backend: Backend) -> None:
    for order in (0, 0.5, 1, 2, 3, math.inf, -1):
        x = ad.zeros(3, requires_grad=True)
        ad.linalg.vector_norm(x, ord=order).backward()
        assert x.grad is not None
        assert x.grad.tolist() == [0.0] * 3
    x = ad.tensor([3.0, -3.0, 1.0], requires_grad=True)
    ad.linalg.vector_norm(x, ord=math.inf).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.5, -0.5, 0.0]


def test_the_power_of_no_factor_depends_on_nothing(backend: Backend) -> None:
    for values in ([[2.0, 1.0], [1.0, 3.0]], [[float("inf"), float("nan")], [0.0, 1.0]]):
        x = ad.tensor(values, requires_grad=True)
        y = ad.linalg.matrix_power(x, 0)
        assert_close(y, np.eye(2, dtype=np.float32))
        y.sum().backward()
        assert_close(x.grad, np.zeros((2, 2), dtype=np.float32))
