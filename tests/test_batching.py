"""`vmap` of every function at every sample of the table, against the loop over the examples.

That a kernel runs once for each example is a warning, and warnings are errors here: so every function of polyad's own
computes all examples at once, and every one of its plugins.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.batching import data_dependent
from polyad.errors import TransformError
from polyad.function import FUNCTIONS, Fails, Function, Sample
from polyad.testing import assert_close, call_sample, sample_arguments
from polyad.testing.samples import matrices

PLUGINS = ad.nn, ad.special  # loaded when first asked for
OWN = [f for f in FUNCTIONS.values() if f.provider.startswith("polyad") and f.samples and f.inputs]
RECORDS = [f for f in OWN if f.batching is not data_dependent]
REFUSED = [f for f in OWN if f.batching is data_dependent]
CASES = [
    pytest.param(f, s, id=f"{f.name}-{i}-{s!r}")
    for f in RECORDS
    for i, s in enumerate(f.samples)
    if not isinstance(s, Fails)
]


def examples(sample: Sample, count: int, dtype: Any = "float64", first: int = 0) -> list[list[Any]]:
    """Arguments of several calls, of one shape and with other numbers."""
    return [matrices(sample, sample_arguments(sample, dtype, seed=first + i)) for i in range(count)]


def stacked(calls: Sequence[Sequence[Any]]) -> list[Any]:
    return [ad.stack(list(xs)) if isinstance(xs[0], ad.Tensor) else xs[0] for xs in zip(*calls, strict=True)]


def typical(record: Function) -> Sample:
    """The first sample that works."""
    return next(s for s in record.samples if not isinstance(s, Fails))


def as_tuple(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, tuple) else (result,)


def check(calling: Callable[..., Any], calls: list[list[Any]], batched: Sequence[bool]) -> None:
    """Compare with the loop; arguments that are not batched are the first call's."""
    calls = [[x if b else first for x, b, first in zip(c, batched, calls[0], strict=True)] for c in calls]
    together = [s if b else x for s, b, x in zip(stacked(calls), batched, calls[0], strict=True)]
    found = as_tuple(
        ad.func.vmap(lambda *xs: as_tuple(calling(*xs)), tuple(0 if b else None for b in batched))(*together)
    )
    expected = [as_tuple(calling(*c)) for c in calls]
    assert len(found) == len(expected[0])
    for i, y in enumerate(found):
        loop = ad.stack([e[i] for e in expected])
        assert (y.shape, y.dtype) == (loop.shape, loop.dtype)
        assert_close(y, loop, equal_nan=True)


def calling(record: Function, sample: Sample) -> Callable[..., Any]:
    plain = Sample(*sample.arrays, **sample.params)  # matrices of a domain are made already
    return lambda *xs: call_sample(record, plain, xs)


@pytest.mark.parametrize(("record", "sample"), CASES)
def test_vmap_is_the_loop(backend: Backend, record: Function, sample: Sample) -> None:
    if backend.compiles and sample is not typical(record):
        pytest.skip("each shape is compiled there: a function's first sample will do, since rules are one text on all")
    calls = examples(sample, 3)
    tensors = [isinstance(x, ad.Tensor) for x in calls[0]]
    if not any(tensors):
        pytest.skip("a sample of numbers alone")
    call = calling(record, sample)
    check(call, calls, tensors)
    if sum(tensors) > 1:
        for i, is_tensor in enumerate(tensors):
            if is_tensor:
                check(call, calls, [i == j for j in range(len(tensors))])


@pytest.mark.parametrize("record", REFUSED, ids=lambda x: x.name)
def test_shapes_of_values_are_refused(backend: Backend, record: Function) -> None:
    x = ad.tensor([[0.0, 1.0], [2.0, 0.0]])
    with pytest.raises(TransformError, match=rf"vmap: the shape that {record.name} gives depends .* write where\("):
        ad.func.vmap(record.call)(x)
    same = ad.func.vmap(lambda row, x: (row, *as_tuple(record.call(x))), (0, None))(x, x)[1:]
    for y, expected in zip(same, as_tuple(record.call(x)), strict=True):
        assert_close(y, ad.stack([expected] * 2))


FIRST = [(f, next(s for s in f.samples if not isinstance(s, Fails))) for f in RECORDS]


@pytest.mark.parametrize(("record", "sample"), FIRST, ids=lambda x: getattr(x, "name", ""))
def test_two_levels_are_two_loops(backend: Backend, record: Function, sample: Sample) -> None:
    call = calling(record, sample)
    rows = [examples(sample, 2, first=2 * i) for i in range(3)]
    dims = tuple(0 if isinstance(x, ad.Tensor) else None for x in rows[0][0])
    if not any(d == 0 for d in dims):
        pytest.skip("a sample of numbers alone")
    together = stacked([stacked(calls) for calls in rows])
    inner = ad.func.vmap(lambda *xs: as_tuple(call(*xs)), dims)
    found = as_tuple(ad.func.vmap(lambda *xs: as_tuple(inner(*xs)), dims)(*together))
    expected = [[as_tuple(call(*c)) for c in calls] for calls in rows]
    for i, y in enumerate(found):
        assert_close(y, ad.stack([ad.stack([e[i] for e in row]) for row in expected]))


def total(call: Callable[..., Any], like: Sequence[Any]) -> Callable[..., Any]:
    """A number that depends on every element of what a function gives, and its derivatives are not constant."""

    def number(*xs: Any) -> Any:
        outs = [y for y in as_tuple(call(*xs)) if y.dtype.is_differentiable]
        return sum((abs(y) ** 2).sum() + ad.real(y).sum() for y in outs)

    return number


@pytest.mark.parametrize(("record", "sample"), FIRST, ids=lambda x: getattr(x, "name", ""))
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_gradients_of_examples(backend: Backend, record: Function, sample: Sample, dtype: str) -> None:
    if backend.compiles and (dtype == "complex128") != (record.takes in ("any", "numeric", "floating")):
        pytest.skip("each type is compiled there: complex numbers, where the function takes them")
    if not record.differentiable or (dtype == "complex128" and record.takes not in ("any", "numeric", "floating")):
        pytest.skip("it has no such derivative")
    calls = examples(sample, 3, dtype)
    varied = tuple(i for i, x in enumerate(calls[0]) if isinstance(x, ad.Tensor) and x.dtype.is_differentiable)
    if not varied:
        pytest.skip("a sample of integers")
    gradient = ad.func.grad(total(calling(record, sample), calls[0]), varied)
    check(gradient, calls, [isinstance(x, ad.Tensor) for x in calls[0]])
