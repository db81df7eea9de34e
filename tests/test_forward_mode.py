"""Forward mode of every function at every sample of the table.

A Jacobian times a vector is held against the same Jacobian by reverse mode, which `tests/test_functions.py` holds
against finite differences: ``<c, J t> == <J^T c, t>`` for random ``c`` and ``t``. And both orders of mixing with
reverse mode are held against reverse mode twice.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.function import FUNCTIONS, Fails, Function, Sample
from polyad.testing import assert_close, call_sample, sample_arguments

PLUGINS = ad.nn, ad.special  # loaded when first asked for
OWN = [f for f in FUNCTIONS.values() if f.provider.startswith("polyad")]
RECORDS = [f for f in OWN if f.samples and f.inputs and f.differentiable]
CASES = [
    pytest.param(f, s, id=f"{f.name}-{i}-{s!r}")
    for f in RECORDS
    for i, s in enumerate(f.samples)
    if not isinstance(s, Fails) and s.grad
]
DTYPES = ["float64", "complex128"]


def varied_by(record: Function, sample: Sample, dtype: str) -> tuple[Callable[..., Any], list[Any], list[Any]]:
    """A function of the floating-point arguments of a sample alone, those, and directions like them."""
    arguments = sample_arguments(sample, dtype)
    at = [i for i, x in enumerate(arguments) if isinstance(x, ad.Tensor) and x.dtype.is_differentiable]

    def call(*xs: Any) -> Any:
        given = list(arguments)
        for i, x in zip(at, xs, strict=True):
            given[i] = x
        result = call_sample(record, sample, given)
        outs = result if isinstance(result, tuple) else (result,)
        return tuple(y for y in outs if y.dtype.is_differentiable)

    return call, [arguments[i] for i in at], [randn_like(arguments[i], i) for i in at]


def randn_like(x: ad.Tensor, seed: int) -> ad.Tensor:
    numbers = sample_arguments(Sample(x.shape), x.dtype, seed=100 + seed)[0]
    return numbers.to(device=x.device)  # type: ignore[no-any-return]


def paired(xs: Sequence[ad.Tensor], ys: Sequence[ad.Tensor]) -> ad.Tensor:
    """The real inner product of two lists of tensors."""
    return sum((ad.real(x.conj() * y).sum() for x, y in zip(xs, ys, strict=True)), start=ad.zeros((), dtype="float64"))


def compiled_once(backend: Backend, record: Function, dtype: str) -> None:
    if backend.compiles and (dtype == "complex128") != (record.takes in ("any", "numeric", "floating")):
        pytest.skip("each type is compiled there: complex numbers, where the function takes them")


def skipped(record: Function, xs: Sequence[Any], dtype: str) -> None:
    if dtype == "complex128" and record.takes not in ("any", "numeric", "floating"):
        pytest.skip("it takes no complex numbers")
    if not xs:
        pytest.skip("a sample without floating-point numbers")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("record", "sample"), CASES)
def test_forward_is_the_transpose_of_reverse(backend: Backend, record: Function, sample: Sample, dtype: str) -> None:
    if backend.compiles and not any(f is record and s is sample for f, s in FIRST):
        pytest.skip("each shape is compiled there: a function's first sample will do, since rules are one text on all")
    compiled_once(backend, record, dtype)
    call, xs, ts = varied_by(record, sample, dtype)
    skipped(record, xs, dtype)
    out, moved = ad.func.jvp(call, tuple(xs), tuple(ts))
    value, pull = ad.func.vjp(call, *xs)
    cs = [randn_like(y, 50 + i) for i, y in enumerate(value)]
    for y, v, m in zip(out, value, moved, strict=True):
        assert_close(y, v)
        assert (m.shape, m.dtype, m.device) == (y.shape, y.dtype, y.device)
    assert_close(paired(cs, moved), paired(pull(tuple(cs)), ts))


FIRST = [(f, s) for f in RECORDS for s in [s for s in f.samples if not isinstance(s, Fails) and s.grad][:1]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("record", "sample"), FIRST, ids=lambda x: getattr(x, "name", ""))
def test_second_derivatives_by_mixed_modes(backend: Backend, record: Function, sample: Sample, dtype: str) -> None:
    compiled_once(backend, record, dtype)
    call, xs, ts = varied_by(record, sample, dtype)
    skipped(record, xs, dtype)
    every = tuple(range(len(xs)))

    def number(*xs: Any) -> Any:
        return sum((abs(y) ** 2).sum() + ad.real(y * y).sum() for y in call(*xs))

    gradient = ad.func.grad(number, every)
    _, forward_over_reverse = ad.func.jvp(gradient, tuple(xs), tuple(ts))
    reverse_over_forward = ad.func.grad(lambda *xs: ad.func.jvp(number, xs, tuple(ts))[1], every)(*xs)
    reverse_twice = ad.func.grad(lambda *xs: paired(gradient(*xs), ts), every)(*xs)
    for a, b, c in zip(forward_over_reverse, reverse_over_forward, reverse_twice, strict=True):
        assert_close(a, c)
        assert_close(b, c)
