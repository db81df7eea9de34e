"""Time functions of functions on NumPy: against loops and derivatives by hand, plain calls, and PyTorch.

Run: ``pip install -e '.[bench]' && python tests/benchmarks/transforms.py``. Each row is the ratio of two programs that
run in turn, as in `compare.py`. With ``--functions`` forward mode of single functions is held against their plain call.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import Any

from compare import Program, measure

import polyad as ad

func, nn = ad.func, ad.nn.functional
Run = Callable[[], Any]


def normal(*shape: int, scale: float = 1.0, seed: int = 0) -> ad.Tensor:
    """Random numbers of float32."""
    import numpy as np

    return ad.tensor((np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32))


# Gradients of examples ----------------------------------------------------------------------------------------

EXAMPLES, SIZES = 256, (784, 64, 10)


def loss_of(params: Any, x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
    """The loss of one image: a network of one hidden layer."""
    w1, b1, w2, b2 = params
    return nn.cross_entropy(nn.linear(nn.relu(nn.linear(x, w1, b1)), w2, b2), y)


def by_hand(params: Any, x: Any, y: Any) -> Run:
    """The same gradients on NumPy's arrays, derived on paper."""
    import numpy as np

    w1, b1, w2, b2 = params

    def run() -> Any:
        hidden = np.maximum(x @ w1.T + b1, 0)
        logits = hidden @ w2.T + b2
        e = np.exp(logits - logits.max(1, keepdims=True))
        g = e / e.sum(1, keepdims=True)
        g[np.arange(len(y)), y] -= 1
        g_hidden = (g @ w2) * (hidden > 0)
        return np.einsum("bi,bj->bij", g_hidden, x), g_hidden, np.einsum("bi,bj->bij", g, hidden), g

    return run


def examples() -> Iterator[Program]:
    """Gradients of each of 256 examples."""
    import numpy as np

    n, hidden, classes = SIZES
    params = normal(hidden, n, scale=0.03), normal(hidden), normal(classes, hidden, scale=0.1), normal(classes)
    x, y = normal(EXAMPLES, n, seed=1), ad.tensor(np.random.default_rng(2).integers(0, classes, EXAMPLES))
    gradient = func.grad(loss_of)
    mapped = func.vmap(gradient, (None, 0, 0))

    def loop() -> Any:
        found = [gradient(params, x[i], y[i]) for i in range(EXAMPLES)]
        return [ad.stack(list(g)) for g in zip(*found, strict=True)]

    hand = by_hand([p.numpy() for p in params], x.numpy(), y.numpy())
    for a, b, c in zip(mapped(params, x, y), loop(), hand(), strict=True):
        assert np.allclose(a.numpy(), b.numpy(), atol=1e-5)
        assert np.allclose(a.numpy(), c, atol=1e-5)
    yield Program("vmap(grad(mlp)) by einsum by hand", lambda: mapped(params, x, y), hand, 1.5)
    yield Program("vmap(grad(mlp)) by the loop", lambda: mapped(params, x, y), loop, 1 / 20)
    yield Program("  einsum by hand by the loop", hand, loop, None)


# Products with Hessians ---------------------------------------------------------------------------------------

N = 100_000


def of_many() -> dict[str, tuple[Callable[[ad.Tensor], ad.Tensor], ad.Tensor]]:
    """Functions of 100,000 parameters, and where."""
    rows, labels = normal(300, N, scale=1e-3), (normal(300, seed=1) > 0).float()
    images = normal(512, 300)

    def logistic(w: ad.Tensor) -> ad.Tensor:
        z = rows @ w
        return (nn_softplus(z) - labels * z).mean() + 1e-3 * (w * w).sum()

    def network(w: ad.Tensor) -> ad.Tensor:
        hidden = ad.tanh(images @ w[:90_000].reshape(300, 300))
        return ((hidden @ w[90_000:93_000].reshape(300, 10)) ** 2).mean()

    def rosenbrock(x: ad.Tensor) -> ad.Tensor:
        a, b = x[:-1], x[1:]
        return (100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2).sum()

    w = normal(N, scale=0.05, seed=2)
    return {"logistic regression": (logistic, w), "network": (network, w), "Rosenbrock": (rosenbrock, w)}


def nn_softplus(z: ad.Tensor) -> ad.Tensor:
    """``log(1 + exp(z))``."""
    return ad.logaddexp(z, 0.0 * z)


def hessians() -> Iterator[Program]:
    """Products of Hessians with vectors, by a forward pass."""
    v = normal(N, seed=3)
    for name, (f, w) in of_many().items():
        yield Program(f"hvp of {name}, 100,000", lambda f=f, w=w: func.hvp(f, w, v), lambda f=f, w=w: f(w), 4.0)
        yield Program(f"  grad of {name}", lambda f=f, w=w: func.grad(f)(w), lambda f=f, w=w: f(w), None)


# Jacobians ----------------------------------------------------------------------------------------------------


def jacobians(threads: int) -> Iterator[Program]:
    """The Jacobian of a function of 64 results, against PyTorch's."""
    import torch

    torch.set_num_threads(threads)
    w1, w2, x = normal(256, 256, scale=0.06), normal(64, 256, scale=0.06, seed=1), normal(256, seed=2)
    t1, t2, t = (torch.tensor(a.numpy()) for a in (w1, w2, x))

    def ours(x: Any) -> Any:
        return ad.tanh(w2 @ ad.tanh(w1 @ x))

    def theirs(x: Any) -> Any:
        return torch.tanh(t2 @ torch.tanh(t1 @ x))

    jacobian = torch.autograd.functional.jacobian
    yield Program(
        "jacrev, 64 of 256, by PyTorch's vectorize",
        lambda: func.jacrev(ours)(x),
        lambda: jacobian(theirs, t, vectorize=True),
        1.0,
    )
    jacrev = torch.func.jacrev(theirs)
    yield Program("  by torch.func.jacrev", lambda: func.jacrev(ours)(x), lambda: jacrev(t), None)


# Forward mode of single functions -----------------------------------------------------------------------------


def single() -> dict[str, tuple[Callable[..., Any], tuple[ad.Tensor, ...]]]:
    """Functions, and arguments of middle size."""
    x, y, square = normal(400, 400), normal(400, 400, seed=1), normal(128, 128) + 40 * ad.eye(128)
    symmetric, right = square @ square.mT, normal(128, 32, seed=2)
    line, kernel, positive = normal(100_000), normal(9), abs(normal(400, 400)) + 0.1
    labels = ad.arange(400) % 10
    L, S = ad.linalg, ad.special
    along = ("sum", "mean", "prod", "var", "std", "max", "min", "logsumexp", "nansum", "nanmean", "nanvar", "ptp")
    along += ("cumulative_sum", "cumulative_prod", "logcumsumexp", "cummax", "diff")
    return {
        **{f"{name}(axis=1)": (lambda x, name=name: getattr(ad, name)(x, axis=1), (x,)) for name in along},
        "sum": (ad.sum, (x,)),
        "median(axis=1)": (lambda x: ad.median(x, axis=1), (x,)),
        "sort(axis=1)": (lambda x: ad.sort(x, axis=1), (x,)),
        "exp": (ad.exp, (x,)),
        "tanh": (ad.tanh, (x,)),
        "multiply": (ad.multiply, (x, y)),
        "divide": (ad.divide, (x, positive)),
        "where(x > 0)": (lambda x, y: ad.where(x > 0, x, y), (x, y)),
        "x[i], rows": (lambda x: x[labels], (x,)),
        "concat": (lambda x, y: ad.concat([x, y]), (x, y)),
        "matmul": (ad.matmul, (x, y)),
        "einsum, ij,kj->ik": (lambda x, y: ad.einsum("ij,kj->ik", x, y), (x, y)),
        "tensordot": (lambda x, y: ad.tensordot(x, y, axes=1), (x, y)),
        "outer": (ad.outer, (x[0], y[0])),
        "kron": (ad.kron, (x[:20, :20], y[:20, :20])),
        "vecdot": (ad.vecdot, (x, y)),
        "convolve": (ad.convolve, (line, kernel)),
        "trapezoid": (ad.trapezoid, (x,)),
        "fft.rfft": (ad.fft.rfft, (x,)),
        "fft.fft2": (ad.fft.fft2, (x,)),
        "linalg.solve": (L.solve, (square, right)),
        "linalg.solve_triangular": (lambda a, b: L.solve_triangular(a, b, upper=True), (square, right)),
        "linalg.inv": (L.inv, (square,)),
        "linalg.det": (L.det, (square / 40,)),
        "linalg.slogdet": (L.slogdet, (square,)),
        "linalg.adjugate": (L.adjugate, (square / 40,)),
        "linalg.cholesky": (L.cholesky, (symmetric,)),
        "linalg.eigh": (L.eigh, (symmetric,)),
        "linalg.eig": (L.eig, (square,)),
        "linalg.qr": (L.qr, (square,)),
        "linalg.svd": (lambda x: L.svd(x, full_matrices=False), (square,)),
        "linalg.pinv": (L.pinv, (square,)),
        "linalg.matrix_exp": (L.matrix_exp, (square / 40,)),
        "linalg.matrix_power": (lambda x: L.matrix_power(x, 5), (square,)),
        "linalg.vector_norm": (L.vector_norm, (x,)),
        "linalg.vector_norm(ord=3)": (lambda x: L.vector_norm(x, ord=3), (x,)),
        "linalg.matrix_norm(ord=2)": (lambda x: L.matrix_norm(x, ord=2), (square,)),
        "trace": (ad.trace, (x,)),
        "nn.softmax": (nn.softmax, (x,)),
        "nn.log_softmax": (nn.log_softmax, (x,)),
        "nn.cross_entropy": (lambda x: nn.cross_entropy(x[:, :10], labels), (x,)),
        "nn.mse_loss": (nn.mse_loss, (x, y)),
        "nn.linear": (lambda x, w: nn.linear(x, w), (x, y)),
        "special.erf": (S.erf, (x,)),
        "special.gammaln": (ad.special.gammaln, (positive,)),
        "special.softmax": (lambda x: S.softmax(x, axis=1), (x,)),
    }


def functions() -> Iterator[Program]:
    """Forward mode of single functions, value and tangent, by their plain calls."""
    for name, (f, xs) in single().items():
        ts = tuple(normal(*x.shape, seed=9) for x in xs)
        yield Program(f"jvp of {name}", lambda f=f, xs=xs, ts=ts: func.jvp(f, xs, ts), lambda f=f, xs=xs: f(*xs), 4.0)


WHY = {
    "vmap(grad(mlp)) by the loop": "both write 51 MB of new memory, and by hand that takes no less: the row below",
    "hvp of Rosenbrock, 100,000": "the plain call's 9 operations stay in the cache; a graph keeps that of 40",
    "jvp of prod(axis=1)": "halves are multiplied with each other, in three products and a sum for each",
    "jvp of cumulative_prod(axis=1)": "a scan of pairs by doubling, since a division would be wrong at zeros",
    "jvp of linalg.det": "the adjugate takes an inverse, and the determinant alone no more than its factors",
    "jvp of linalg.slogdet": "the inverse takes three times as long as the factors alone",
    "jvp of linalg.adjugate": "by singular values, which is right at singular matrices too",
}
"""Where the time goes, for rows that miss their target."""

CHEAP = "25 µs for the level, and arrays that leave the cache where a plain call has one"


def _keep_memory() -> None:
    """Have the C library keep what arrays free, as it does once a program has freed something large (see mallopt(3)).

    Otherwise each array of some 100,000 numbers is new memory, and fetching that takes longer than filling it.
    """
    import numpy as np

    np.ones(7_500_000, "float32")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--functions", action="store_true", help="forward mode of single functions")
    parser.add_argument("-k", default="", help="only rows with this text")
    options = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # read when the libraries are imported, which is not yet
    _keep_memory()
    rows: list[Iterator[Program]] = (
        [functions()] if options.functions else [examples(), hessians(), jacobians(options.threads)]
    )
    print(f"{'program':46}{'µs':>12}{'against':>12}{'ratio':>9}  target")
    for program in (p for group in rows for p in group):
        if options.k not in program.name:
            continue
        ours, theirs, ratio = measure(program, options.rounds)
        target = program.target
        verdict = "" if target is None else f"<= {target:g}  ok"
        if target is not None and ratio > target:
            verdict = (
                f"<= {target:g}  MISSED: {WHY.get(program.name, CHEAP if options.functions else 'not looked into')}"
            )
        print(f"{program.name:46}{ours:12.1f}{theirs:12.1f}{ratio:9.2f}  {verdict}", flush=True)


if __name__ == "__main__":
    main()
