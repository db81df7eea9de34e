"""Gradients from many threads at once, and grad modes of threads and tasks.

All numbers are integers in float64, so that sums are exact in any order and a lost one shows.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any, Final

import pytest

import polyad as ad
from polyad import views
from polyad.backend import Backend

THREADS: Final = 8


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    """Let threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def repetitions(backend: Backend) -> int:
    """How often each thread does what it does."""
    return 500 if backend.name == "numpy" else 50


def at_once(work: Callable[[int], object], threads: int = THREADS) -> None:
    """Run ``work(number)`` in so many threads that start together; raise the first error of one."""
    start, errors = threading.Barrier(threads), []

    def run(number: int) -> None:
        try:
            start.wait()
            work(number)
        except BaseException as error:  # to be raised where the test can see it
            errors.append(error)

    started = [threading.Thread(target=copy_context().run, args=(run, i)) for i in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    if errors:
        raise errors[0]


def leaf(*values: float) -> ad.Tensor:
    return ad.tensor(values, dtype=ad.float64, requires_grad=True)


def test_disjoint_graphs(backend: Backend, repetitions: int) -> None:
    leaves = [leaf(1.0, 2.0) for _ in range(THREADS)]

    def work(number: int) -> None:
        for _ in range(repetitions):
            (leaves[number] * (number + 1) + leaves[number] ** 2).sum().backward()

    at_once(work)
    for number, x in enumerate(leaves):
        assert x.grad.tolist() == [repetitions * (number + 1 + 2 * v) for v in (1, 2)]


def test_shared_leaves_accumulate_exactly(backend: Backend, repetitions: int) -> None:
    x, y = leaf(1.0, 2.0, 3.0), leaf(4.0, 5.0, 6.0)

    def work(number: int) -> None:
        for _ in range(repetitions):
            (x * (number + 1) + x * y).sum().backward()

    at_once(work)
    total = sum(range(1, THREADS + 1))
    assert x.grad.tolist() == [repetitions * (total + THREADS * v) for v in (4, 5, 6)]
    assert y.grad.tolist() == [repetitions * THREADS * v for v in (1, 2, 3)]


def test_what_hooks_take_from_a_shared_leaf_is_all(backend: Backend, repetitions: int) -> None:
    """While a hook looks at ``grad`` and takes it away, no other thread adds to it."""
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    taken: list[list[float]] = []

    def take(t: ad.Tensor) -> None:
        taken.append(t.grad.tolist())
        t.grad = None

    x.register_post_accumulate_grad_hook(take)

    def work(number: int) -> None:
        for _ in range(repetitions):
            (x * (number + 1) + x * y).sum().backward()

    at_once(work)
    total = sum(range(1, THREADS + 1))
    assert len(taken) == THREADS * repetitions
    assert [sum(g) for g in zip(*taken, strict=True)] == [repetitions * (total + THREADS * v) for v in (3, 4)]
    assert y.grad.tolist() == [repetitions * THREADS * v for v in (1, 2)]


def test_the_first_gradient_of_a_shared_leaf(backend: Backend, repetitions: int) -> None:
    for _ in range(repetitions // 5):
        x = leaf(1.0)
        at_once(lambda number, x=x: (x * (number + 1)).sum().backward())
        assert x.grad.tolist() == [sum(range(1, THREADS + 1))]


def test_one_retained_graph(backend: Backend, repetitions: int) -> None:
    x = leaf(1.0, 2.0)
    y = (x * x * x).sum()

    def work(number: int) -> None:
        for _ in range(repetitions):
            y.backward(retain_graph=True)

    at_once(work)
    assert x.grad.tolist() == [THREADS * repetitions * 3 * v**2 for v in (1, 2)]


def test_grad_from_many_threads(backend: Backend, repetitions: int) -> None:
    x = leaf(3.0)
    shared = x * x  # each thread records its own operation on it

    def work(number: int) -> None:
        for _ in range(repetitions):
            (g,) = ad.autograd.grad((shared * (number + 1)).sum(), x, retain_graph=True)
            assert g.tolist() == [6 * (number + 1)]

    at_once(work)
    assert x.grad is None


def test_hooks_run_in_the_thread_of_their_backward(backend: Backend, repetitions: int) -> None:
    seen: dict[int, set[int]] = {}

    def work(number: int) -> None:
        x = leaf(1.0)
        x.register_hook(lambda g: seen.setdefault(number, set()).add(threading.get_ident()))
        for _ in range(repetitions // 10):
            (x * 2).sum().backward()
        assert seen[number] == {threading.get_ident()}
        assert x.grad.tolist() == [2 * (repetitions // 10)]

    at_once(work)


# Modes ----------------------------------------------------------------------------------------------------------


def test_a_mode_is_its_threads_own(backend: Backend, repetitions: int) -> None:
    x = leaf(1.0)

    def work(number: int) -> None:
        for _ in range(repetitions):
            if number % 2:
                with ad.no_grad():
                    assert not (x * 2).requires_grad
                    with ad.enable_grad():
                        assert (x * 2).requires_grad
                    assert not ad.is_grad_enabled()
            assert (x * 2).requires_grad
            assert ad.is_grad_enabled()

    at_once(work)


def test_a_backward_in_one_thread_changes_no_mode_in_another(backend: Backend, repetitions: int) -> None:
    def work(number: int) -> None:
        x = leaf(1.0)
        with ad.set_grad_enabled(number % 2 == 0):
            for _ in range(repetitions):
                with ad.enable_grad():
                    y = (x * x).sum()
                y.backward()
                assert ad.is_grad_enabled() == (number % 2 == 0)
                assert (x * 2).requires_grad == (number % 2 == 0)
        assert x.grad.tolist() == [2 * repetitions]

    at_once(work)


def test_a_mode_is_its_tasks_own(backend: Backend, repetitions: int) -> None:
    x = leaf(1.0)

    async def without() -> None:
        with ad.no_grad():
            for _ in range(repetitions):
                assert not (x * 2).requires_grad
                await asyncio.sleep(0)

    async def recorded() -> float:
        for _ in range(repetitions):
            y = x * 2
            await asyncio.sleep(0)
            assert ad.is_grad_enabled()
            y.sum().backward()
            await asyncio.sleep(0)
        return float(repetitions)

    async def both() -> Any:
        return await asyncio.gather(without(), recorded(), without(), recorded())

    results = asyncio.run(both())
    assert x.grad.tolist() == [2 * sum(r for r in results if r is not None)]
    assert ad.is_grad_enabled()


def test_a_task_starts_in_the_mode_of_its_maker(backend: Backend) -> None:
    x = leaf(1.0)

    async def requires() -> bool:
        await asyncio.sleep(0)
        return (x * 2).requires_grad

    async def make() -> list[bool]:
        outside = asyncio.create_task(requires())
        with ad.no_grad():
            inside = asyncio.create_task(requires())
            thread = asyncio.create_task(asyncio.to_thread(lambda: (x * 2).requires_grad))
        return [await outside, await inside, await thread]

    assert asyncio.run(make()) == [True, False, False]


def test_writes_to_different_places_are_all_kept(backend: Backend, repetitions: int) -> None:
    base = ad.zeros(THREADS)

    def by_index(i: int) -> None:
        for _ in range(repetitions):
            base[i] = base[i] + 1

    at_once(by_index)
    assert base.tolist() == [repetitions] * THREADS
    rows = [base[i] for i in range(THREADS)]

    def by_view(i: int) -> None:
        for _ in range(repetitions):
            rows[i].sub_(1)

    at_once(by_view)
    assert base.tolist() == [0] * THREADS == [row.item() for row in rows]


def test_a_tensor_first_seen_by_two_threads_has_one_memory(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    base, guard = ad.zeros(3), views.guard
    rows: list[ad.Tensor] = []

    def meanwhile(tensor: ad.Tensor) -> Any:
        """What a thread calls on its way to a first view; here another one has its view first."""
        monkeypatch.setattr(views, "guard", guard)
        rows.append(base[0])
        return guard(tensor)

    monkeypatch.setattr(views, "guard", meanwhile)
    rows.append(base[1])
    base.add_(1)
    assert [row.item() for row in rows] == [1, 1]
    assert rows[0]._storage is rows[1]._storage


def test_a_block_may_be_left_in_another_context() -> None:
    async def numbers() -> Any:
        with ad.no_grad():
            yield 1
            yield 2

    async def main() -> None:
        generator = numbers()
        assert await asyncio.create_task(anext(generator)) == 1
        await generator.aclose()  # which was entered in the task's context
        assert ad.is_grad_enabled()

    asyncio.run(main())
