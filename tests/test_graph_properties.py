"""Properties of gradients on graphs of any form: linearity, agreement with differences, independence of order.

A random program is a list of steps that each compute a value of those before it. So the same graph can be built in
another order, with its handles kept or dropped, and its gradients compared.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Sequence
from itertools import chain, combinations
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.function import FUNCTIONS, Function
from polyad.testing import Fails, call_sample, sample_arguments

ad.plugins.load_all()

# Linearity ------------------------------------------------------------------------------------------------------


def working_sample(record: Function) -> Any:
    return next((s for s in record.samples if not isinstance(s, Fails) and s.grad), None)


DIFFERENTIABLE: Final = [
    f
    for f in FUNCTIONS.values()
    if f.provider.partition(" ")[0] == "polyad" and f.differentiable and working_sample(f) is not None
]


def results_of(record: Function) -> tuple[list[ad.Tensor], list[ad.Tensor]]:
    """The leaves of a function's first sample, and those results that depend on them."""
    sample = working_sample(record)
    arguments = sample_arguments(sample, ad.float64, requires_grad=True)
    result = call_sample(record, sample, arguments)
    results = list(result) if isinstance(result, (tuple, list)) else [result]
    leaves = [a for a in arguments if isinstance(a, ad.Tensor) and a.requires_grad]
    return leaves, [y for y in results if y.requires_grad]


def pull(results: Sequence[ad.Tensor], leaves: Sequence[ad.Tensor], vectors: Sequence[Any]) -> list[Any]:
    """The product of vectors with the Jacobian, as NumPy arrays."""
    seeds = [ad.asarray(v, dtype=y.dtype) for v, y in zip(vectors, results, strict=True)]
    found = ad.autograd.grad(results, leaves, seeds, retain_graph=True, materialize_grads=True)
    return [g.numpy() for g in found]


def drawn_like(results: Sequence[ad.Tensor], seed: int) -> list[Any]:
    """A random vector for each result."""
    rng = np.random.default_rng(seed)
    parts = [(rng.standard_normal(y.shape), rng.standard_normal(y.shape)) for y in results]
    return [a + 1j * b if y.dtype.is_complex else a for y, (a, b) in zip(results, parts, strict=True)]


def assert_near(actual: Sequence[Any], expected: Sequence[Any], rtol: float = 1e-10) -> None:
    """Compare arrays, relative to the largest number of each pair."""
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(1.0, float(np.max(np.abs(b), initial=0))))


@pytest.mark.parametrize("record", DIFFERENTIABLE, ids=lambda f: f.name)
def test_the_product_with_the_jacobian_is_linear(record: Function, backend: Backend) -> None:
    leaves, results = results_of(record)
    if not results:
        pytest.skip("at this sample the result is an integer or a constant")
    u, v = drawn_like(results, 1), drawn_like(results, 2)
    combined = pull(results, leaves, [2.5 * a - 0.75 * b for a, b in zip(u, v, strict=True)])
    of_u, of_v = pull(results, leaves, u), pull(results, leaves, v)
    assert_near(combined, [2.5 * a - 0.75 * b for a, b in zip(of_u, of_v, strict=True)])
    assert all(not g.any() for g in pull(results, leaves, [0 * a for a in u]))


SEVERAL: Final = [f for f in DIFFERENTIABLE if f.outputs > 1]


@pytest.mark.parametrize("record", SEVERAL, ids=lambda f: f.name)
def test_any_subset_of_several_results_may_be_used(record: Function, backend: Backend) -> None:
    leaves, results = results_of(record)
    vectors = drawn_like(results, 3)
    alone = [pull([y], leaves, [v]) for y, v in zip(results, vectors, strict=True)]
    every = range(len(results))
    for chosen in chain.from_iterable(combinations(every, n) for n in range(2, len(results) + 1)):
        together = pull([results[i] for i in chosen], leaves, [vectors[i] for i in chosen])
        assert_near(together, [sum(gs) for gs in zip(*(alone[i] for i in chosen), strict=True)])


# Random graphs --------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """One operation of a program: what to call, on which values, and the numbers of those that it gives."""

    call: Callable[..., Any]
    operands: tuple[int, ...]
    gives: range


N: Final = 4
SQUARE, ROW, COLUMN, NUMBER = (N, N), (1, N), (N, 1), ()

# Each with the shapes that it takes and those that it gives. Values stay of the order of one, and slopes bounded.
SMOOTH: Final[list[tuple[Callable[..., Any], tuple[Any, ...], tuple[Any, ...]]]] = [
    (lambda x, y: (x + y) * 0.5, (SQUARE, SQUARE), (SQUARE,)),
    (lambda x, y: 0.6 * x - 0.4 * y, (SQUARE, ROW), (SQUARE,)),
    (lambda x, y: ad.tanh(x * y), (SQUARE, SQUARE), (SQUARE,)),
    (lambda x, y: ad.tanh(x * y), (ROW, COLUMN), (SQUARE,)),
    (lambda x, y: ad.sin(x) * y, (COLUMN, NUMBER), (COLUMN,)),
    (lambda x, y: x / (2 + y * y), (SQUARE, COLUMN), (SQUARE,)),
    (lambda x, y: ad.tanh(x @ y), (SQUARE, SQUARE), (SQUARE,)),
    (lambda x, y: x @ y * 0.25, (SQUARE, COLUMN), (COLUMN,)),
    (ad.cos, (SQUARE,), (SQUARE,)),
    (lambda x: ad.exp(-x * x), (ROW,), (ROW,)),
    (lambda x: 1 / (1 + ad.exp(-x)), (ROW,), (ROW,)),
    (lambda x: ad.mean(x, axis=0, keepdims=True), (SQUARE,), (ROW,)),
    (lambda x: ad.mean(x, axis=1, keepdims=True), (SQUARE,), (COLUMN,)),
    (lambda x: ad.mean(x), (SQUARE,), (NUMBER,)),
    (lambda x: ad.nn.functional.softmax(x), (SQUARE,), (SQUARE,)),
    (lambda x: ad.topk(x, N).values, (SQUARE,), (SQUARE,)),
    (lambda x: x.T, (SQUARE,), (SQUARE,)),
    (lambda x: x.T, (ROW,), (COLUMN,)),
    (lambda x: x[1:2], (SQUARE,), (ROW,)),
    (lambda x: x[:, ::-1][:, 2:3], (SQUARE,), (COLUMN,)),
    (lambda x: x.reshape(N).expand(N, N), (COLUMN,), (SQUARE,)),
    (lambda x: ad.concat([x[2:], x[:2]]), (SQUARE,), (SQUARE,)),
    (lambda x: ad.unstack(x[:, None, :]), (SQUARE,), (ROW,) * N),
    (lambda x: [part.T for part in x.split(1)], (SQUARE,), (COLUMN,) * N),
    (lambda x: ad.aminmax(x), (SQUARE,), (NUMBER, NUMBER)),
]
"""The steps of programs whose derivatives exist nearly everywhere."""

INTEGER: Final[list[tuple[Callable[..., Any], tuple[Any, ...], tuple[Any, ...]]]] = [
    (lambda x, y: x + y, (SQUARE, SQUARE), (SQUARE,)),
    (lambda x, y: x - y, (SQUARE, ROW), (SQUARE,)),
    (lambda x, y: x + y, (ROW, COLUMN), (SQUARE,)),
    (lambda x, y: x - y, (COLUMN, NUMBER), (COLUMN,)),
    (lambda x: x[0, 1], (SQUARE,), (NUMBER,)),
    (lambda x: 2 * x, (ROW,), (ROW,)),
    (lambda x: x.T, (SQUARE,), (SQUARE,)),
    (lambda x: x[1:2], (SQUARE,), (ROW,)),
    (lambda x: x[:, ::-1][:, 2:3], (SQUARE,), (COLUMN,)),
    (lambda x: ad.concat([x[2:], x[:2]]), (SQUARE,), (SQUARE,)),
    (lambda x: ad.unstack(x[:, None, :]), (SQUARE,), (ROW,) * N),
    (lambda x: ad.topk(x, N).values, (SQUARE,), (SQUARE,)),
]
"""The steps of programs whose derivatives are integers, so that their sums are exact in any order."""


class Program:
    """A random program: on leaves of every shape, so many steps, each on values among the last of their shape."""

    leaves = (SQUARE, SQUARE, ROW, COLUMN, NUMBER)

    def __init__(self, seed: int, length: int, kinds: Sequence[Any] = SMOOTH, reach: int = 60) -> None:
        choose = random.Random(seed)
        shapes: list[Any] = list(self.leaves)
        self.steps: list[Step] = []
        for _ in range(length):
            call, takes, gives = choose.choice(kinds)
            near = [[i for i, shape in enumerate(shapes) if shape == wanted][-reach:] for wanted in takes]
            operands = tuple(choose.choice(numbers) for numbers in near)
            self.steps.append(Step(call, operands, range(len(shapes), len(shapes) + len(gives))))
            shapes.extend(gives)
        self.shapes = shapes

    def drawn(self, seed: int) -> list[Any]:
        """Random numbers for the leaves."""
        rng = np.random.default_rng(seed)
        return [rng.standard_normal(shape) for shape in self.leaves]

    def reordered(self, seed: int) -> list[Step]:
        """The steps in another order in which operands still come first."""
        choose = random.Random(seed)
        known, waiting, found = set(range(len(self.leaves))), list(self.steps), []
        while waiting:
            step = choose.choice([s for s in waiting[:40] if known.issuperset(s.operands)])
            waiting.remove(step)
            known.update(step.gives)
            found.append(step)
        return found

    def run(self, leaves: Sequence[Any], steps: Sequence[Step] | None = None, drop: bool = False) -> Any:
        """Run the steps and sum all values. With ``drop``, handles go as soon as no step needs them."""
        steps = self.steps if steps is None else steps
        last = {i: position for position, step in enumerate(steps) for i in step.operands}
        values: dict[int, Any] = dict(enumerate(leaves))
        sums: dict[int, Any] = {}
        for position, step in enumerate(steps):
            found = step.call(*(values[i] for i in step.operands))
            values.update(zip(step.gives, found if isinstance(found, (tuple, list)) else [found], strict=True))
            sums.update((i, values[i].sum()) for i in step.gives)
            del found
            if drop:
                values = {i: v for i, v in values.items() if last.get(i, 0) > position}
                if position % 100 == 0:
                    gc.collect()
        return ad.stack([sums[i] for i in sorted(sums)]).sum()

    def gradients(self, leaves: Sequence[Any], steps: Sequence[Step] | None = None, drop: bool = False) -> list[Any]:
        """The gradients of a run for its leaves, as NumPy arrays."""
        tensors = [ad.tensor(a, requires_grad=True) for a in leaves]
        self.run(tensors, steps, drop).backward()
        return [x.grad.numpy() if x.grad is not None else np.zeros(x.shape) for x in tensors]


def differs(a: Sequence[Any], b: Sequence[Any]) -> float:
    """The largest difference of arrays, relative to the largest number."""
    return max(float(np.max(np.abs(x - y)) / max(1.0, np.max(np.abs(y)))) for x, y in zip(a, b, strict=True))


LENGTH: Final = 1000


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_a_random_graph_is_the_slope(seed: int, backend: Backend) -> None:
    program = Program(seed, LENGTH)
    x, v, h = program.drawn(seed), program.drawn(seed + 100), 1e-5

    def value(t: float) -> float:
        with ad.no_grad():
            return float(program.run([ad.tensor(a + t * b) for a, b in zip(x, v, strict=True)]))

    slope = (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)
    along = sum(float(np.sum(g * b)) for g, b in zip(program.gradients(x), v, strict=True))
    assert np.isfinite(along)
    assert along == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_dropped_handles_change_no_bit(seed: int, backend: Backend) -> None:
    program = Program(seed, LENGTH)
    x = program.drawn(seed)
    kept, dropped = program.gradients(x), program.gradients(x, drop=True)
    assert all((a == b).all() for a, b in zip(kept, dropped, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_another_order_changes_sums_by_their_rounding_alone(seed: int, backend: Backend) -> None:
    # What flows together at a value is added in the order in which it arrives, which is that of the recording. 1,000
    # additions and 1,000 roundings of 1e-16 stay below this bound
    program = Program(seed, LENGTH)
    x = program.drawn(seed)
    expected = program.gradients(x)
    for order in range(2):
        assert differs(program.gradients(x, program.reordered(order), drop=bool(order)), expected) < 1e-12


@pytest.mark.parametrize("seed", range(3))
def test_another_order_changes_no_bit_of_exact_sums(seed: int, backend: Backend) -> None:
    program = Program(seed, LENGTH, INTEGER, reach=400)
    x = [np.round(8 * a) for a in program.drawn(seed)]
    expected = program.gradients(x)
    assert max(np.max(np.abs(g)) for g in expected) < 2.0**53
    for order in range(3):
        again = program.gradients(x, program.reordered(order), drop=bool(order % 2))
        assert all((a == b).all() for a, b in zip(again, expected, strict=True))


def test_paths_add_up(backend: Backend) -> None:
    x = ad.tensor([[1.0, -2.0], [3.0, 4.0]], dtype=ad.float64, requires_grad=True)
    y = x
    for _ in range(20):
        y = y + y  # a value as both operands: twice as many paths each time
    assert (ad.autograd.grad(y.sum(), x)[0].numpy() == 2.0**20).all()
    views = [x, x.T.T, x.reshape(4).reshape(2, 2), x[:, ::-1][:, ::-1], ad.stack(ad.unstack(x))]
    assert (ad.autograd.grad(sum(v * (i + 1) for i, v in enumerate(views)).sum(), x)[0].numpy() == 15).all()
    (x * x * x).sum().backward()
    (x * x).sum().backward()
    values = x.detach().numpy()
    assert (x.grad.numpy() == 3 * values**2 + 2 * values).all()


def test_the_order_of_leaves_changes_no_bit(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((3, 3)) for _ in range(6)]
    gradients = []
    for order in (range(6), reversed(range(6))):
        leaves = {i: ad.tensor(arrays[i], requires_grad=True) for i in order}
        gc.collect()
        y = leaves[0]
        for i in range(1, 6):
            y = ad.tanh(y @ leaves[i]) * leaves[i - 1]
        y.sum().backward()
        gradients.append([leaves[i].grad.numpy() for i in range(6)])
    assert all((a == b).all() for a, b in zip(*gradients, strict=True))
