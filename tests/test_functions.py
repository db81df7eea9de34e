"""Every function at every one of its samples, on every backend.

What is checked is written once, in `polyad.testing`: value against NumPy in float64, types, unchanged inputs, first and
second derivatives against finite differences, and the errors of samples that must fail.
"""

from collections.abc import Callable
from inspect import Parameter
from typing import Any

import numpy as np
import pytest
from references import reference

import polyad as ad
from polyad.backend import Backend
from polyad.function import FUNCTIONS, Function
from polyad.testing import Fails, Sample, assert_close, call_sample, check_function, expected_dtype, sample_arguments

RECORDS = [f for f in FUNCTIONS.values() if f.provider == "polyad" and f.samples]
CASES = [pytest.param(f, s, id=f"{f.name}-{i}-{s!r}") for f in RECORDS for i, s in enumerate(f.samples)]


@pytest.mark.parametrize(("record", "sample"), CASES)
def test_sample(loaded_backend: Backend, record: Function, sample: Sample) -> None:
    # The whole Jacobian on NumPy; one direction of it where kernels are compiled for each shape, or far away. New
    # tensors are made on NumPy by default, so that nothing is created beside the default device unawares.
    name = loaded_backend.name
    # Rules are one text on all: that it compiles on JAX to second order shows at a function's first sample.
    second = name == "numpy" or sample is typical(record)
    check_function(record, sample, backend=name, reference=reference(record), fast=name != "numpy", second=second)


def test_eigenvectors(backend: Backend) -> None:
    for x in ([[2.0, 1.0], [1.0, 3.0]], [[[2.0, 1.0], [1.0, 3.0]], [[5.0, 0.5], [0.5, 1.0]]]):
        a = ad.tensor(x, dtype=ad.float64)
        values, vectors = ad.linalg.eigh(a)
        assert_close(values, np.linalg.eigh(np.array(x))[0])
        assert_close(a @ vectors, vectors * values[..., None, :])
        assert_close(vectors.mT @ vectors, np.broadcast_to(np.eye(2), a.shape))


# Types ----------------------------------------------------------------------------------------------------------

DTYPES = [
    *(ad.bool, ad.uint8, ad.int8, ad.int32, ad.int64),
    *(ad.float16, ad.float32, ad.float64, ad.complex64, ad.complex128),
]

FEW = [ad.bool, ad.int8, ad.float16, ad.complex64]


def typical(record: Function) -> Sample:
    """The first sample that works."""
    return next(s for s in record.samples if not isinstance(s, Fails))


@pytest.mark.parametrize("record", RECORDS, ids=lambda f: f.name)
def test_result_type(backend: Backend, record: Function) -> None:
    sample = typical(record)
    # the others are those of test_sample; where each is compiled, one of a kind will do
    for dtype in FEW if backend.name == "jax" else DTYPES:
        if record.name.startswith("linalg.eig") and dtype is ad.float16:
            continue  # LAPACK has no half precision
        if dtype not in backend.dtypes:
            continue
        arguments = sample_arguments(sample, dtype)
        wanted = expected_dtype(record, arguments, **sample.params)
        if wanted is None:
            with pytest.raises(ad.errors.DTypeError, match=f"{record.name} takes {record.takes} arrays; got"):
                call_sample(record, sample, arguments)
            continue
        result = call_sample(record, sample, arguments)
        for i, y in enumerate(result if isinstance(result, tuple) else (result,)):
            wanted = expected_dtype(record, arguments, i, **sample.params)
            assert y.dtype is wanted, (dtype, i, y.dtype)


# Parameters -----------------------------------------------------------------------------------------------------

WITH_AXIS = [  # functions of one tensor and first of all an axis
    f
    for f in RECORDS
    if [*f.params, None][0] == "axis" and f.required == 1 and Parameter.empty not in {**f.params, "axis": 0}.values()
]


@pytest.mark.parametrize("record", WITH_AXIS, ids=lambda f: f.name)
def test_dim_means_axis(backend: Backend, record: Function) -> None:
    x = ad.tensor([[[1.0, 5.0], [2.0, -3.0]]])
    args = ([x, x],) if record.sequence else (x,)
    assert_same(record.call(*args, dim=0), record.call(*args, axis=0))
    assert_same(record.call(*args, 0), record.call(*args, axis=0))
    with pytest.raises(ad.errors.OperandError, match=f"{record.name}: give axis or dim, not both"):
        record.call(*args, dim=0, axis=0)
    with pytest.raises(ad.errors.OperandError, match=f"{record.name}: axis was given twice, by position and by name"):
        record.call(*args, 0, axis=0)
    if "keepdims" in record.params:
        assert_same(record.call(*args, dim=1, keepdim=True), record.call(*args, axis=1, keepdims=True))


def assert_same(actual: Any, expected: Any) -> None:
    """Compare one tensor, or each of several."""
    pairs = zip(actual, expected, strict=True) if isinstance(actual, tuple) else [(actual, expected)]
    for a, b in pairs:
        assert_close(a, b)


@pytest.mark.parametrize(
    "record",
    [f for f in RECORDS if f.params and f.name not in ("astype", "getitem", "setitem", "index_scatter", "slice_view")],
    ids=lambda f: f.name,
)
def test_unknown_parameter(record: Function) -> None:
    x = ad.ones((1, 1))
    args = ([x],) if record.sequence else (x,) * max(record.required, 1)
    needed = {k: (0, 1) if k == "axes" else (1, 1) if k == "shape" else 0 for k in record.params if k != "dtype"}
    with pytest.raises(TypeError, match="flavour"):
        record.call(*args, **needed, flavour=1)


@pytest.mark.parametrize("record", [f for f in RECORDS if f.inputs], ids=lambda f: f.name)
def test_operand_of_another_kind(record: Function) -> None:
    sample = typical(record)
    arguments = ["text" if isinstance(a, ad.Tensor) else a for a in sample_arguments(sample)]
    with pytest.raises(ad.errors.OperandError, match=r"str.*(expected a tensor|tensor\()"):
        call_sample(record, Sample(*sample.arrays, **sample.params), arguments)


# Functions without arrays ---------------------------------------------------------------------------------------

CREATIONS: dict[str, tuple[Callable[[], ad.Tensor], Any]] = {
    "zeros": (lambda: ad.zeros(2, 3), np.zeros((2, 3), np.float32)),
    "zeros of a tuple": (lambda: ad.zeros((2, 3), dtype=ad.int8), np.zeros((2, 3), np.int8)),
    "zeros of nothing": (lambda: ad.zeros(()), np.zeros((), np.float32)),
    "ones": (lambda: ad.ones(2, 0, dtype="bool"), np.ones((2, 0), bool)),
    "ones of complex": (lambda: ad.ones(2, dtype=complex), np.ones(2, np.complex64)),
    "full of a float": (lambda: ad.full((2,), 7.5), np.full(2, 7.5, np.float32)),
    "full of an int": (lambda: ad.full(2, 7), np.full(2, 7, np.int64)),
    "full of a bool": (lambda: ad.full((), True), np.full((), True)),
    "arange": (lambda: ad.arange(5), np.arange(5, dtype=np.int64)),
    "arange down": (lambda: ad.arange(5, 0, -2), np.array([5, 3, 1], np.int64)),
    "arange of floats": (lambda: ad.arange(0.0, 1.0, 0.25), np.arange(0, 1, 0.25, np.float32)),
    "arange of nothing": (lambda: ad.arange(3, 1), np.zeros(0, np.int64)),
    "linspace": (lambda: ad.linspace(0, 1, 5), np.linspace(0, 1, 5, dtype=np.float32)),
    "linspace without end": (
        lambda: ad.linspace(0, 1, 4, endpoint=False, dtype=ad.float64),
        np.linspace(0, 1, 4, endpoint=False),
    ),
    "linspace of complex": (lambda: ad.linspace(0, 1j, 3), np.linspace(0, 1j, 3, dtype=np.complex64)),
    "eye": (lambda: ad.eye(2), np.eye(2, dtype=np.float32)),
    "eye above": (lambda: ad.eye(2, 3, k=1, dtype=ad.int32), np.eye(2, 3, 1, np.int32)),
    "zeros_like": (lambda: ad.zeros_like(ad.ones(2, 3, dtype=ad.int16)), np.zeros((2, 3), np.int16)),
    "ones_like": (lambda: ad.ones_like(ad.zeros(2), dtype=ad.float64), np.ones(2)),
    "full_like": (lambda: ad.full_like(ad.zeros(2), 3), np.full(2, 3, np.float32)),
}


@pytest.mark.parametrize("name", CREATIONS)
def test_creation(backend: Backend, name: str) -> None:
    make, expected = CREATIONS[name]
    made = make()
    assert made.backend is backend
    assert made.dtype == expected.dtype
    assert not made.requires_grad
    assert_close(made, expected)


def test_empty_has_shape_and_type(backend: Backend) -> None:
    for made in (ad.empty(2, 3, dtype=ad.int8), ad.empty_like(ad.zeros((2, 3), dtype=ad.int8))):
        assert (made.shape, made.dtype, made.backend) == ((2, 3), ad.int8, backend)


@pytest.mark.parametrize("make", [ad.zeros, ad.ones, ad.empty, lambda *s, **k: ad.full(s, 1.0, **k)])
def test_creation_of_leaves_and_its_errors(backend: Backend, make: Callable[..., ad.Tensor]) -> None:
    leaf = make(2, requires_grad=True)
    assert leaf.requires_grad
    assert leaf.is_leaf
    with pytest.raises(ad.errors.ShapeError, match=r"lengths cannot be negative; got \(2, -1\)"):
        make(2, -1)
    with pytest.raises(ad.errors.DTypeError, match=r"requires_grad: .* got int64"):
        make(2, dtype=ad.int64, requires_grad=True)
    with pytest.raises(ad.errors.OperandError, match="a shape is a tuple of integers"):
        make(1.5)


def test_step_and_number_errors(backend: Backend) -> None:
    with pytest.raises(ad.errors.ArgumentError, match="arange: step is 0"):
        ad.arange(0, 5, 0)
    with pytest.raises(ad.errors.ArgumentError, match="linspace: num must not be negative; got -1"):
        ad.linspace(0, 1, -1)
    with pytest.raises(ad.errors.OperandError, match="full: fill_value must be a number; got 'x'"):
        ad.full((2,), "x")  # type: ignore[arg-type]
    with pytest.raises(ad.errors.OperandError, match=r"zeros_like: expected a tensor; got list; write polyad.zeros\("):
        ad.zeros_like([1.0])  # type: ignore[arg-type]


# Another backend ------------------------------------------------------------------------------------------------


def test_to_device_is_differentiable(backend: Backend) -> None:
    here = ad.tensor([1.0, 2.0], backend="numpy", dtype=ad.float64, requires_grad=True)
    there = here.to(backend=backend.name)
    assert there.backend is backend
    assert_close(there, np.array([1.0, 2.0]))
    (there * there).to(backend="numpy").sum().backward()
    assert here.grad is not None
    assert here.grad.backend.name == "numpy"
    assert_close(here.grad, np.array([2.0, 4.0]))


def test_to_device_twice_differentiable(backend: Backend) -> None:
    x = ad.tensor(3.0, backend="numpy", requires_grad=True)
    y = x.to(backend=backend.name)
    (first,) = ad.autograd.grad(y * y * y, x, create_graph=True)
    (second,) = ad.autograd.grad(first, x)
    assert (first.item(), second.item()) == (27.0, 18.0)
