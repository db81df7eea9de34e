"""Types meet in one table: every pair of them, through every function of two arrays, gives the same on each backend.

What is right is said by the function's record alone (`polyad.testing.expected_dtype`), and that is the same on every
backend; so each backend is compared with it. A refusal is a `DTypeError`, everywhere.
"""

from collections.abc import Iterator
from typing import Any

import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.dtypes import ALL, DType
from polyad.errors import DTypeError
from polyad.function import FUNCTIONS, Function
from polyad.testing import Fails, Sample, call_sample, expected_dtype, sample_arguments

ad.plugins.load_all()

FEW = [ad.bool, ad.uint8, ad.int8, ad.bfloat16, ad.float32, ad.complex64]
ALONE = {"isclose": "takes integers as float64, in which all of them meet"}
NUMBERS = [True, 2, 1.5, 1j]


def takes_two(record: Function) -> bool:
    return len(record.promotes) >= 2 and len(record.inputs) >= 2 and not record.sequence


BINARY = [f for f in FUNCTIONS.values() if f.samples and takes_two(f) and f.name not in ALONE]
ELEMENTWISE = [
    f for f in BINARY if f.broadcasts and len(f.promotes) == len(f.inputs) and not f.variadic and f.check is None
]
MATRICES = ("symmetric", "positive", "invertible")


def smallest(record: Function) -> Sample:
    """A working call: of one element each where the function broadcasts, otherwise its first sample with two arrays."""
    if record in ELEMENTWISE:
        return Sample(*[(1,) for _ in record.inputs])
    working = [s for s in record.samples if not isinstance(s, Fails)]
    return next(
        (s for s in working if sum(isinstance(a, (tuple, list)) for a in s.arrays) >= len(record.promotes)), working[0]
    )


def regular(shape: tuple[int, ...], dtype: DType) -> ad.Tensor:
    """Identity matrices, of any type; of other shapes ones."""
    if len(shape) < 2 or shape[-1] != shape[-2]:
        return ad.ones(shape, dtype=dtype)
    return ad.broadcast_to(ad.eye(shape[-1], dtype=dtype), shape)


class Operands:
    """A sample's tensors in every type, made once for each type."""

    def __init__(self, record: Function, sample: Sample) -> None:
        self.record, self.sample, self.made = record, sample, {}
        last = len(record.inputs) - 1
        self.joined = [i for i in range(len(sample.arrays)) if min(i, last) in record.promotes]

    def of(self, dtype: DType) -> list[Any]:
        if dtype not in self.made:
            arguments = sample_arguments(self.sample, dtype)
            for i in self.joined:
                if self.record in ELEMENTWISE or isinstance(self.sample.arrays[i], list):
                    arguments[i] = ad.ones(arguments[i].shape, dtype=dtype)  # in the domain of all
                elif self.sample.domain in MATRICES:
                    arguments[i] = regular(arguments[i].shape, dtype)
            self.made[dtype] = arguments
        return list(self.made[dtype])

    def mixed(self, a: DType, b: DType) -> list[Any]:
        """The first operand in one type, the others in another."""
        first, *_ = self.joined
        return [x if i == first else y for i, (x, y) in enumerate(zip(self.of(a), self.of(b), strict=True))]


def outcome(record: Function, sample: Sample, arguments: list[Any]) -> list[str]:
    """The types of what a call gives, or that it is refused."""
    try:
        result = call_sample(record, Sample(*sample.arrays, **sample.params), arguments)
    except DTypeError:
        return ["refused"]
    return [y.dtype.name for y in (result if isinstance(result, tuple) else (result,))]


def expected(record: Function, sample: Sample, arguments: list[Any], count: int) -> list[str]:
    try:
        found = [expected_dtype(record, arguments, i, **sample.params) for i in range(count)]
    except DTypeError:
        return ["refused"]
    return ["refused"] if None in found else [d.name for d in found if d is not None]


def disagreements(record: Function, sample: Sample, calls: Iterator[list[Any]]) -> list[str]:
    wrong = []
    for arguments in calls:
        got = outcome(record, sample, arguments)
        wanted = expected(record, sample, arguments, 1 if got == ["refused"] else len(got))
        if got != wanted and not (got == ["refused"] and wanted[0] not in native(arguments)):
            types = ", ".join(a.dtype.name if isinstance(a, ad.Tensor) else repr(a) for a in arguments)
            wrong.append(f"{record.name} of {types}: {got}, expected {wanted}")
    return wrong


def native(arguments: list[Any]) -> set[str]:
    """The types that the operands' backend has."""
    device = next(a.device for a in arguments if isinstance(a, ad.Tensor))
    return {d.name for d in device.native}


@pytest.mark.parametrize("record", BINARY, ids=lambda f: f.name)
def test_every_pair_of_types(backend: Backend, record: Function) -> None:
    sample = smallest(record)
    operands = Operands(record, sample)
    # where each type of each shape is compiled, one type of a kind will do: it is one table that is asked
    wanted = FEW if backend.name == "jax" and record not in ELEMENTWISE else ALL
    dtypes = [d for d in wanted if d in backend.dtypes]
    wrong = disagreements(record, sample, (operands.mixed(a, b) for a in dtypes for b in dtypes))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "record", [f for f in ELEMENTWISE if len(f.inputs) == 2 and f.name != "copy"], ids=lambda f: f.name
)
def test_every_type_with_a_number(backend: Backend, record: Function) -> None:
    sample = smallest(record)
    operands = Operands(record, sample)
    calls = (
        arguments
        for dtype in (FEW if backend.name == "jax" else ALL)
        if dtype in backend.dtypes
        for number in NUMBERS
        for x in operands.of(dtype)[:1]
        for arguments in ([x, number], [number, x])
    )
    wrong = disagreements(record, sample, calls)
    assert not wrong, "\n".join(wrong)
