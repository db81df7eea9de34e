"""What `explain` says beforehand is what then happens: operations, kernels, gradients, bytes."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from test_memory import graph, held

import polyad as ad
from polyad.backend import Backend, Device
from polyad.errors import ArgumentError, BackendError, OperandError
from polyad.function import FUNCTIONS, Function
from polyad.kernels import Kernel, KernelWatch, watching_kernels
from polyad.plugins import plugins
from polyad.testing import explain
from polyad.testing.costs import COUNTS


class Counting(KernelWatch):
    """Counts the kernels that a program calls itself."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.inside = False

    def kernel(self, function: Function, device: Device, kernel: Kernel) -> Kernel:
        def counted(*args: Any, **params: Any) -> Any:
            if self.inside:
                return kernel(*args, **params)
            self.names.append(function.name)
            self.inside = True
            try:
                return kernel(*args, **params)
            finally:
                self.inside = False

        return counted

    def inplace(self, name: str, device: Device, kernel: Kernel) -> Kernel:
        return self.kernel(FUNCTIONS[name], device, kernel)


def mlp(x: ad.Tensor, w1: ad.Tensor, b: ad.Tensor, w2: ad.Tensor, target: ad.Tensor) -> ad.Tensor:
    hidden = ad.tanh(x @ w1 + b)
    return ad.nn.functional.cross_entropy(hidden @ w2, target)


def residual(x: ad.Tensor, w: ad.Tensor) -> ad.Tensor:
    for _ in range(3):
        x = x + ad.nn.functional.relu(x @ w)
    return (x.reshape(-1)[::2] ** 2).mean()


def spectrum(a: ad.Tensor) -> ad.Tensor:
    values, vectors = ad.linalg.eigh(a @ a.mT)
    return ad.log(values + 1.0).sum() + ad.ptp(vectors)


def frequencies(x: ad.Tensor, gain: ad.Tensor) -> ad.Tensor:
    return ad.fft.irfft(ad.fft.rfft(x) * gain, n=16).square().sum()


def leaf(*shape: int) -> ad.Tensor:
    return ad.rand(*shape, requires_grad=True)


PROGRAMS: dict[str, tuple[Callable[..., ad.Tensor], Callable[[], tuple[Any, ...]]]] = {
    "mlp": (mlp, lambda: (ad.rand(6, 8), leaf(8, 5), leaf(5), leaf(5, 3), ad.arange(6) % 3)),
    "residual": (residual, lambda: (leaf(4, 6), leaf(6, 6))),
    "spectrum": (spectrum, lambda: (leaf(4, 4),)),
    "frequencies": (frequencies, lambda: (leaf(2, 16), leaf(9))),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_prediction_is_what_happens(backend: Backend, name: str) -> None:
    f, make = PROGRAMS[name]
    args = make()
    found = explain(f, args)
    watch = Counting()
    with watching_kernels(watch):
        y = f(*args)
    assert [s.name for s in found.steps] == watch.names
    arrays = {id(a): a for node in graph([y._node]) for a in held(node)}
    assert found.bytes_kept == sum(math.prod(a.shape) * y.device.dtypes[a.dtype].itemsize for a in arrays.values())
    assert sum(s.kept for s in found.steps) == found.bytes_kept
    assert found.missing == found.transfers == found.without_gradient == found.without_second_gradient == ()
    leaves = [x for x in args if x.requires_grad]
    gradients = ad.autograd.grad(y, leaves, create_graph=True)
    ad.autograd.grad([g.sum() for g in gradients], leaves, allow_unused=True)


# Counts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("f", "shapes", "count"), [
    (lambda a, b: a @ b, [(3, 4), (4, 5)], 2 * 3 * 4 * 5),
    (lambda a, b: a @ b, [(7, 3, 4), (4, 5)], 7 * 2 * 3 * 4 * 5),
    (lambda a, b: a @ b, [(4,), (4,)], 2 * 4),
    (lambda a, b: a + b, [(3, 4), (4,)], 12),
    (lambda a: a.sum(), [(3, 4)], 12),
    (lambda a: ad.exp(a), [(5,)], 5),
    (lambda a: a.reshape(4, 3), [(3, 4)], 0),
    (lambda a: ad.concat([a, a]), [(3, 4)], 0),
    (lambda a: ad.fft.fft(a + 0j), [(8,)], 2 * 8 + 5 * 8 * 3),
    (lambda a: ad.fft.rfft(a), [(4, 8)], 4 * 5 * 8 * 3 / 2),
    (lambda a: ad.linalg.cholesky(a + 4 * ad.eye(6)), [(6, 6)], 36 + 36 + 6**3 / 3),
    (lambda a, b: ad.linalg.solve(a + ad.eye(6), b), [(6, 6), (6, 2)], 36 + 2 / 3 * 6**3 + 2 * 36 * 2),
    (lambda a: ad.linalg.inv(a + ad.eye(6)), [(2, 6, 6)], 72 + 2 * 2 * 6**3),
    (lambda a, b: ad.einsum("bij,bjk->bik", a, b), [(2, 3, 4), (2, 4, 5)], 2 * 2 * 3 * 4 * 5),
    (lambda a, b: ad.tensordot(a, b, axes=1), [(3, 4), (4, 5)], 2 * 3 * 4 * 5),
    (lambda a, w, b: ad.nn.functional.linear(a, w, b), [(7, 4), (3, 4), (3,)], 7 * 3 * (2 * 4 + 1)),
])  # fmt: skip
def test_flops(f: Any, shapes: Any, count: float) -> None:
    with ad.use_backend("numpy"):
        assert explain(f, shapes=shapes).flops == pytest.approx(count, abs=1)


def test_bytes_read_and_written() -> None:
    with ad.use_backend("numpy"):
        found = explain(lambda a, b: (a @ b).mT + 1.0, shapes=[(3, 4), (4, 5)])
    product, view, total = found.steps
    assert (product.read, product.written) == (4 * (12 + 20), 4 * 15)
    assert (view.read, view.written) == (0, 0)
    assert found.bytes_moved == 4 * (12 + 20 + 15 + 15 + 15)
    assert total.outputs[0].shape == (5, 3)


def test_what_is_counted_are_functions() -> None:
    ad.plugins.load_all()
    assert set(COUNTS) <= set(FUNCTIONS)


def test_views_and_shared_arrays_are_kept_once(backend: Backend) -> None:
    x = leaf(10)
    assert explain(lambda x: x * x * x, (x,)).bytes_kept == 40 + 40  # x, and its square
    assert explain(lambda x: (x + x).sum(), (x,)).bytes_kept == 0


def test_a_program_that_goes_backward_itself(backend: Backend) -> None:
    def step(x: ad.Tensor) -> ad.Tensor:
        y = ad.tanh(x)
        y.sum().backward()
        with ad.no_grad():
            x.sub_(x.grad)
        return y.detach()

    x = leaf(10)
    found = explain(step, (x,))
    assert found.bytes_kept == 40
    assert x.grad is None


def test_the_programs_own_functions_keep_too(backend: Backend) -> None:
    class Cube(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: ad.Tensor) -> ad.Tensor:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        @ad.autograd.function.once_differentiable
        def backward(ctx: Any, g: ad.Tensor) -> ad.Tensor:
            return 3 * g * ctx.saved_tensors[0] ** 2

    found = explain(lambda x: Cube.apply(x).sum(), (leaf(10),))
    assert found.bytes_kept == 40
    assert [s.name for s in found.without_second_gradient] == ["Cube"]


# What a backend lacks ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", autouse=True)
def _backends_of_other_tests_only() -> Iterator[None]:
    """Leave no backend of this module's behind."""
    yield
    for name in set(plugins._backends) - {"numpy", "jax", "cupy", "strict"}:
        del plugins._backends[name]


@pytest.fixture(scope="module")
def poor() -> Backend:
    """NumPy without some kernels and types."""
    base = plugins.backend("numpy")

    class Poor(type(base)):  # type: ignore[misc]
        name = "poor"
        xp = type("Namespace", (), {n: getattr(np, n) for n in dir(np) if n not in ("tanh", "max", "fft", "float16")})
        kernels = {n: k for n, k in base.kernels.items() if n not in ("tanh", "max")}
        dtypes = {d: n for d, n in base.dtypes.items() if d is not ad.float16}

    backend = Poor()
    plugins.add_backend(backend)
    return backend


def program(x: ad.Tensor) -> ad.Tensor:
    return ad.tanh(ad.exp(x)).sum() + ad.fft.fft(x).abs().sum()


def test_kernels_that_a_backend_lacks(poor: Backend) -> None:
    x = ad.rand(8, backend="numpy")
    found = explain(program, (x,), "poor")
    assert [(s.name, s.kernel) for s in found.missing] == [("tanh", "none"), ("fft.fft", "none")]
    assert "has no kernel for 'tanh'" in found.missing[0].lacks
    there = x.to(backend=poor)
    with pytest.raises(BackendError, match="has no kernel for 'tanh'"):
        program(there)
    for name in ("exp", "sum", "abs", "add"):
        assert name not in [s.name for s in found.missing]
    assert explain(program, (x,)).missing == ()


def test_kernels_that_a_body_needs(poor: Backend) -> None:
    x = ad.rand(8, backend="numpy")

    def f(x: ad.Tensor) -> ad.Tensor:
        with ad.no_grad():
            return ad.ptp(x) + ad.min(x)

    found = explain(f, (x,), "poor")
    assert [s.name for s in found.missing] == ["ptp"]
    assert "it consists of other functions, and backend 'poor' has no kernel for 'max'" in found.missing[0].lacks
    with pytest.raises(BackendError, match="has no kernel for 'max'"):
        f(x.to(backend=poor))


def test_types_that_a_backend_lacks(poor: Backend) -> None:
    found = explain(lambda x: x.astype(ad.float16) * 2, (ad.rand(3, backend="numpy"),), poor)
    assert [s.lacks for s in found.missing] == ["backend 'poor' has no float16"] * 2


def test_nothing_runs_on_the_backend_that_is_asked_about(poor: Backend) -> None:
    def refuse(*args: Any) -> Any:
        raise AssertionError

    poor.prepare = refuse  # type: ignore[method-assign]
    try:
        explain(program, (ad.rand(8, backend="numpy"),), poor)
    finally:
        del poor.prepare


def test_operations_without_a_gradient(backend: Backend) -> None:
    def f(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        with ad.no_grad():
            shift = ad.floor_divide(x, 2.0)
        order = ad.argsort(x)
        return ad.floor_divide(x * 3, 2.0) + ad.floor_divide(y, 2.0) + shift + x[order] + (x > 0) * x.detach()

    found = explain(f, (leaf(4), ad.rand(4)))
    (step,) = found.without_gradient
    assert step.name == "floor_divide"
    assert "has no derivative" in step.gradient
    assert "test_explain.py" in step.line


def test_operations_without_a_second_gradient(backend: Backend) -> None:
    once = ad.function(name="once", takes="floating", x=lambda g, xp, x: g * xp.floor_divide(x, 0.5))(
        lambda xp, x, /: x * x
    )
    found = explain(lambda x: once(x) + ad.sin(x), (leaf(4),))
    (step,) = found.without_second_gradient
    assert step.name == "once"
    assert step.second_gradient == "its gradient runs floor_divide, which has no derivative"


def test_transfers() -> None:
    pytest.importorskip("jax", reason="nothing to move to")
    x = ad.rand(4, 2, backend="numpy")
    found = explain(lambda x: ad.exp(x.to(backend="jax")).to(backend="numpy") * 2, (x,))
    assert [s.transfer for s in found.transfers] == [
        ("backend 'numpy', device 'cpu'", "backend 'jax', device 'cpu'"),
        ("backend 'jax', device 'cpu'", "backend 'numpy', device 'cpu'"),
    ]
    assert [s.read for s in found.transfers] == [32, 32]
    assert "transfers: 2" in str(found)


def test_cupy_without_a_gpu() -> None:
    pytest.importorskip("cupy", reason="CuPy is not installed")

    def f(x: ad.Tensor) -> ad.Tensor:
        half = ad.special.erf(x).astype(ad.bfloat16)
        return ad.linalg.cholesky(x).sum() + half.float().sum()

    x = ad.rand(4, 4, backend="numpy")
    found = explain(f, (x @ x.mT + 4 * ad.eye(4, backend="numpy"),), "cupy")
    assert [s.lacks for s in found.missing] == ["backend 'cupy' has no bfloat16"] * 2
    assert {s.name: s.kernel for s in found.steps}["special.erf"] in ("plugin", "body")
    assert found.backend == "backend 'cupy'"


# How it is called and shown ---------------------------------------------------------------------------------------


def test_shapes_stand_for_zeros(backend: Backend) -> None:
    seen = []
    found = explain(lambda x, y: seen.append((x.tolist(), x.dtype)) or x @ y, shapes=[(2, 3), [3]])
    assert seen == [([[0, 0, 0], [0, 0, 0]], ad.float32)]
    assert found.steps[0].inputs[1].shape == (3,)
    assert found.backend == f"backend {backend.name!r}"


def test_arguments_and_random_numbers_stay_as_they_are(backend: Backend) -> None:
    x = ad.rand(3)

    def f(x: ad.Tensor) -> ad.Tensor:
        with ad.no_grad():
            x.zero_()
        return ad.rand(3) * x

    ad.manual_seed(0)
    first = ad.rand(2).tolist()
    ad.manual_seed(0)
    explain(f, (x,))
    assert ad.rand(2).tolist() == first
    assert bool((x != 0).any())
    assert not x.requires_grad


def test_the_table(backend: Backend) -> None:
    from rich.console import Console

    console = Console(width=150, file=io.StringIO(), color_system=None)
    console.print(explain(residual, (leaf(4, 6), leaf(6, 6))))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "matmul(float32[4, 6], float32[6, 6])" in text
    assert f"operations on backend '{backend.name}'" in text
    assert "cannot run: none" in text
    line = next(line for line in text.splitlines() if "matmul" in line)
    assert "3" in line.split()  # the three calls of one line are one row


def test_mistakes() -> None:
    x = ad.ones(2, backend="numpy")
    with pytest.raises(BackendError, match="unknown backend 'nonesuch'"):
        explain(ad.exp, (x,), "nonesuch")
    with pytest.raises(ArgumentError, match="args or shapes, not both"):
        explain(ad.exp, (x,), shapes=[(2,)])
    with pytest.raises(OperandError, match=r"explain: args\[0\] is a numpy.ndarray"):
        explain(ad.exp, (np.ones(2),))
    with pytest.raises(OperandError, match="explain: the function must return tensors"):
        explain(lambda x: 3.0, (x,))
    with pytest.raises(
        OperandError, match=r"explain: the first argument is the function itself.*got Tensor .*f, \(x,\)"
    ):
        explain(ad.exp(x), (x,))
    with pytest.raises(OperandError, match=r"explain: <lambda>\(x, y\) does not take the 1 arguments in args: missing"):
        explain(lambda x, y: x + y, (x,))
    with pytest.raises(ArgumentError, match="a backend is given by its name"):
        explain(ad.exp, (x,), 3)  # type: ignore[arg-type]


def test_importing_polyad_loads_none_of_it() -> None:
    code = "import sys, polyad; print(*(m for m in sys.modules if m.startswith('polyad.testing')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
