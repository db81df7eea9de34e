"""Time larger functions and their gradients on NumPy and on JAX against PyTorch, side by side in one process.

Run: ``pip install -e '.[bench,jax]' && python tests/benchmarks/functions.py``. The target is at most PyTorch's time on
the better of the two backends. Measured as in `compare.py`; each contender has ``--threads`` threads, one by default.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from compare import Program, measure

import polyad as ad

Run = Callable[[], Any]
Maker = Callable[[Any, Callable[..., Any]], Run]


def gradient_of(function: Callable[..., Any], *tensors: Any) -> Run:
    """The value of a function and the gradients of its sum with respect to tensors; JAX's work is waited for."""

    def run() -> Any:
        for t in tensors:
            t.grad = None
        out = function(*tensors)
        loss = out.real.sum() if out.is_complex() else out.sum()
        loss.backward()
        return finished(tensors[0].grad)

    return run


def finished(x: Any) -> Any:
    """Wait for a result that the library computes behind the program's back."""
    wait = getattr(getattr(x, "array", None), "block_until_ready", None)
    return wait() if wait is not None else x


def index_read(lib: Any, make: Callable[..., Any]) -> Run:
    x, i = make(10_000, 128), make.integers(10_000, 10_000)  # type: ignore[attr-defined]
    return lambda: finished(x[i])


def index_write(lib: Any, make: Callable[..., Any]) -> Run:
    x, value = make(1000, 128), make(500, 128)

    def run() -> Any:
        x[100:600] = value
        return finished(x)

    return run


def small_read(lib: Any, make: Callable[..., Any]) -> Run:
    x = make(8, 8)
    return lambda: finished(x[1:3])


def small_write(lib: Any, make: Callable[..., Any]) -> Run:
    x, value = make(8, 8), make(2, 8)

    def run() -> Any:
        x[1:3] = value
        return finished(x)

    return run


def gather_rows(lib: Any, make: Callable[..., Any]) -> Run:
    x, i = make(10_000, 128, grad=True), make.integers(10_000, 10_000)  # type: ignore[attr-defined]
    return gradient_of(lambda t: t[i], x)


def scatter_add(lib: Any, make: Callable[..., Any]) -> Run:
    x, i = make(10_000, 128), make.integers(1000, 10_000)  # type: ignore[attr-defined]
    zeros = make(1000, 128) * 0
    return lambda: finished(zeros.index_add(0, i, x))


def attention(lib: Any, make: Callable[..., Any]) -> Run:
    q, k, v = (make(4, 8, 64, 32, grad=True) for _ in range(3))

    def function(q: Any, k: Any, v: Any) -> Any:
        scores = lib.einsum("bhqd,bhkd->bhqk", q, k) / 32**0.5
        top = scores.detach().amax(axis=-1, keepdims=True) if lib is ad else scores.detach().amax(-1, keepdim=True)
        weights = lib.exp(scores - top)
        weights = weights / weights.sum(-1)[..., None]
        return lib.einsum("bhqk,bhkd->bhqd", weights, v)

    return gradient_of(function, q, k, v)


def cholesky_solve(lib: Any, make: Callable[..., Any]) -> Run:
    a, b = make(100, 100, grad=True), make(100, 10, grad=True)
    eye = 100 * lib.eye(100)

    def function(a: Any, b: Any) -> Any:
        factor = lib.linalg.cholesky(a @ a.mT + eye)
        y = lib.linalg.solve_triangular(factor, b, upper=False)
        return lib.linalg.solve_triangular(factor.mT, y, upper=True)

    return gradient_of(function, a, b)


def softmax(lib: Any, make: Callable[..., Any]) -> Run:
    x = make(4096, 1024, grad=True)
    weight = make(1024)
    of = lib.nn.functional.softmax
    return gradient_of(lambda t: of(t, -1) * weight, x)


def sort(lib: Any, make: Callable[..., Any]) -> Run:
    x = make(256, 4096, grad=True)
    return gradient_of((lambda t: ad.sort(t) ** 2) if lib is ad else (lambda t: t.sort(-1).values ** 2), x)


def cumsum(lib: Any, make: Callable[..., Any]) -> Run:
    x = make(1024, 1024, grad=True)
    return gradient_of((lambda t: ad.cumulative_sum(t, axis=1)) if lib is ad else (lambda t: t.cumsum(1)), x)


def fft(lib: Any, make: Callable[..., Any]) -> Run:
    x = make(256, 1024, grad=True)
    return gradient_of(lambda t: lib.fft.irfft(lib.fft.rfft(t) * 2), x)


ROWS: dict[str, Maker] = {
    "x[1:3], 8x8": small_read,
    "x[1:3] = y, 8x8": small_write,
    "x[i], 10,000 rows of 128": index_read,
    "x[100:600] = y, rows of 128": index_write,
    "x[i] with gradient, 10,000 rows of 128": gather_rows,
    "index_add of 10,000 rows of 128": scatter_add,
    "attention by einsum, gradient": attention,
    "cholesky and two solves, gradient": cholesky_solve,
    "softmax 4096x1024, gradient": softmax,
    "sort 256x4096, gradient": sort,
    "cumulative sum 1024x1024, gradient": cumsum,
    "rfft and irfft 256x1024, gradient": fft,
}


WHY = {
    "x[1:3], 8x8": "a view is a handle, a path and an entry among its memory's aliases, made in Python",
    "x[1:3] = y, 8x8": "the index, both shapes and the memory's version are looked at in Python",
    "x[100:600] = y, rows of 128": "the same; the copy itself is as fast",
    "index_add of 10,000 rows of 128": "NumPy adds up repeated rows by sorting them; JAX's scatter copies",
    "attention by einsum, gradient": "more passes over memory for the softmax than one fused kernel takes",
    "cholesky and two solves, gradient": "each rule solves anew, and NumPy copies into LAPACK's order",
    "softmax 4096x1024, gradient": "NumPy takes five steps over rows where PyTorch has one kernel, in new memory",
    "cumulative sum 1024x1024, gradient": "the gradient is turned round twice, in copies",
    "sort 256x4096, gradient": "NumPy sorts twice as fast, but indices and values are fetched separately",
    "rfft and irfft 256x1024, gradient": "NumPy's transforms are scalar code, PyTorch's are MKL's",
}
"""Where the time goes, for rows that take longer than PyTorch."""


def makers(backends: list[str]) -> dict[str, Any]:
    """For each contender what makes its arrays; the same numbers for all."""
    import numpy as np
    import torch

    def maker(wrap: Callable[[Any], Any]) -> Any:
        rng = np.random.default_rng(0)

        def make(*shape: int, grad: bool = False) -> Any:
            x = wrap(rng.standard_normal(shape).astype(np.float32))
            return x.requires_grad_() if grad else x

        make.integers = lambda high, n: wrap(rng.integers(0, high, n))  # type: ignore[attr-defined]
        return make

    made = {name: maker(lambda a, name=name: ad.tensor(a, backend=name)) for name in backends}
    return {**made, "torch": maker(torch.tensor)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", default="numpy,jax")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-k", default="", help="only rows with this text")
    options = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # read when the libraries are imported, which is not yet
    if options.threads == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    import torch

    torch.set_num_threads(options.threads)
    backends = options.backends.split(",")
    print(f"{'program':40}" + "".join(f"{b + ' µs':>12}" for b in backends) + f"{'torch µs':>12}{'better':>8}  target")
    for name, row in ROWS.items():
        if options.k not in name:
            continue
        times: dict[str, float] = {}
        ratios = []
        theirs = row(torch, makers([])["torch"])
        for backend in backends:
            with ad.use_backend(backend):
                ours = row(ad, makers([backend])[backend])
                times[backend], times["torch"], ratio = measure(Program(name, ours, theirs, 1.0), options.rounds)
            ratios.append(ratio)
        shown = "".join(f"{times[b]:12.1f}" for b in [*backends, "torch"])
        verdict = "ok" if min(ratios) <= 1 else f"MISSED: {WHY.get(name, 'not looked into')}"
        print(f"{name:40}{shown}{min(ratios):8.2f}  <= 1.0  {verdict}", flush=True)


if __name__ == "__main__":
    main()
