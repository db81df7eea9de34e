"""Time the same programs on polyad and on PyTorch, side by side in one process, and print ratios.

Run: ``pip install -e '.[bench]' && python tests/benchmarks/compare.py`` (``--backend jax`` for JAX).

Every round times each contender once, in turn, so that a machine whose speed drifts slows all alike; the ratio is
the median of the rounds' ratios. Both use as many threads as ``--threads`` says, one by default: pools of more
threads in one process wait for each other's cores, and what is measured then is that.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import polyad as ad


class Program(NamedTuple):
    """One row: the same program for both, and the most that polyad may take of the other's time."""

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    target: float | None


def seconds(run: Callable[[], Any], repeat: int) -> float:
    """Time ``repeat`` calls."""
    start = time.perf_counter()
    for _ in range(repeat):
        run()
    return time.perf_counter() - start


def calibrated(run: Callable[[], Any], budget: float = 0.02) -> int:
    """How many calls take about ``budget`` seconds."""
    run()
    repeat = 1
    while seconds(run, repeat) < budget / 4:
        repeat *= 4
    return max(1, repeat * 2)


def measure(program: Program, rounds: int) -> tuple[float, float, float]:
    """Median microseconds of ours and of theirs, and the median ratio."""
    repeat = min(calibrated(program.ours), calibrated(program.theirs))
    ours, theirs = [], []
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            ours.append(seconds(program.ours, repeat) / repeat * 1e6)
            theirs.append(seconds(program.theirs, repeat) / repeat * 1e6)
            gc.collect()
    finally:
        gc.enable()
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return statistics.median(ours), statistics.median(theirs), ratio


def five_operations(lib: Any, x: Any, w: Any, b: Any) -> Callable[[], Any]:
    """``(tanh(x @ w + b) * x).sum()`` and its backward."""

    def run() -> Any:
        w.grad = b.grad = None
        y = (lib.tanh(x @ w + b) * x).sum()
        y.backward()
        return w.grad

    return run


def digits_step(lib: Any, nn: Any, optim: Any, x: Any, y: Any) -> Callable[[], Any]:
    """One training step of a classifier of 8x8 images: 64-128-10, a batch of 64, Adam."""
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    loss_of = nn.cross_entropy if hasattr(nn, "cross_entropy") else nn.functional.cross_entropy

    def run() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return run


def against_torch(threads: int) -> list[Program]:
    """The rows that compare with PyTorch."""
    import numpy as np
    import torch

    torch.set_num_threads(threads)
    rng = np.random.default_rng(0)

    def both(*shape: int, grad: bool = True) -> tuple[Any, Any]:
        data = rng.standard_normal(shape).astype(np.float32)
        return ad.tensor(data, requires_grad=grad), torch.tensor(data, requires_grad=grad)

    (a, ta), (b, tb) = both(8, 8), both(8, 8)
    (w, tw), (x, tx), (v, tv), (c, tc) = both(8, 8), both(8, 8, grad=False), both(8), both(8, 8)
    images, timages = both(64, 64, grad=False)
    labels = rng.integers(0, 10, 64)
    return [
        Program("x + y, recorded, 8x8", lambda: a + b, lambda: ta + tb, 0.6),
        Program("x * y, recorded, 8x8", lambda: a * b, lambda: ta * tb, None),
        Program("x * 2.0, recorded, 8x8", lambda: a * 2.0, lambda: ta * 2.0, None),
        Program("x.sum(), recorded, 8x8", lambda: a.sum(), lambda: ta.sum(), None),
        Program("x @ y, recorded, 8x8", lambda: a @ b, lambda: ta @ tb, None),
        Program("x[1:3], recorded, 8x8", lambda: a[1:3], lambda: ta[1:3], None),
        Program("x.T, recorded, 8x8", lambda: a.T, lambda: ta.T, None),
        Program("five operations and backward", five_operations(ad, x, w, c), five_operations(torch, tx, tw, tc), 0.5),
        Program(
            "the same with a bias that broadcasts",
            five_operations(ad, x, w, v),
            five_operations(torch, tx, tw, tv),
            None,
        ),
        Program(
            "digits training step, 64-128-10",
            digits_step(ad, ad.nn, ad.nn.optim, images, ad.tensor(labels)),
            digits_step(torch, torch.nn, torch.optim, timages, torch.tensor(labels)),
            0.8,
        ),
    ]


def against_bare_jax() -> list[Program]:
    """What a recorded operation costs on JAX, against the compiled kernel alone."""
    import jax
    import jax.numpy as jnp

    a, b = ad.ones(8, 8, requires_grad=True), ad.ones(8, 8, requires_grad=True)
    p, q = a.detach().array, b.detach().array
    add, tanh, matmul = jax.jit(jnp.add), jax.jit(jnp.tanh), jax.jit(jnp.matmul)
    return [
        Program("x + y, recorded, 8x8", lambda: a + b, lambda: add(p, q), 1.5),
        Program("tanh(x), recorded, 8x8", lambda: ad.tanh(a), lambda: tanh(p), 1.5),
        Program("x @ y, recorded, 8x8", lambda: a @ b, lambda: matmul(p, q), 1.5),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch and of NumPy's BLAS")
    options = parser.parse_args()
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(options.threads)  # read when NumPy is imported, which is not yet
    with ad.use_backend(options.backend):
        sections = [("PyTorch", against_torch(options.threads))]
        if options.backend == "jax":
            sections.append(("the bare compiled kernel", against_bare_jax()))
        for other, programs in sections:
            print(
                f"\npolyad on {options.backend} against {other}; {options.rounds} rounds, {options.threads} threads\n"
            )
            print(f"{'program':38} {'polyad µs':>10} {'other µs':>10} {'ratio':>6}  target")
            for program in programs:
                ours, theirs, ratio = measure(program, options.rounds)
                wanted = (
                    ""
                    if program.target is None
                    else f"<= {program.target}  {'ok' if ratio <= program.target else 'MISSED'}"
                )
                print(f"{program.name:38} {ours:10.2f} {theirs:10.2f} {ratio:6.2f}  {wanted}")


if __name__ == "__main__":
    main()
