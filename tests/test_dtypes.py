"""Types: the promotion table against the standard's own, the same result types on every backend, weak numbers."""

import copy
import itertools
import pickle
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.dtypes import ALL, INTEGER_RANGE, DType, as_dtype
from polyad.errors import DTypeError
from polyad_numpy.backend import NumPyBackend

# The array API standard's tables (section "Type Promotion Rules"), as they stand there: rows meet columns ----------

SIGNED = """
    i1 i2 i4 i8
i1  i1 i2 i4 i8
i2  i2 i2 i4 i8
i4  i4 i4 i4 i8
i8  i8 i8 i8 i8
"""
UNSIGNED = """
    u1 u2 u4 u8
u1  u1 u2 u4 u8
u2  u2 u2 u4 u8
u4  u4 u4 u4 u8
u8  u8 u8 u8 u8
"""
MIXED = """
    u1 u2 u4
i1  i2 i4 i8
i2  i2 i4 i8
i4  i4 i4 i8
i8  i8 i8 i8
"""
FLOATING = """
    f4  f8  c8  c16
f4  f4  f8  c8  c16
f8  f8  f8  c16 c16
c8  c8  c16 c8  c16
c16 c16 c16 c16 c16
"""
# Beyond the standard: half precision, as a narrower rung of the ladder; the two halves meet above both.
HALF = """
    f2  bf  f4  f8  c8  c16
f2  f2  f4  f4  f8  c8  c16
bf  f4  bf  f4  f8  c8  c16
"""
SHORT = {
    **{f"{k}{n}": as_dtype(f"{name}{8 * n}") for k, name in (("i", "int"), ("u", "uint")) for n in (1, 2, 4, 8)},
    "f2": ad.float16,
    "bf": ad.bfloat16,
    "f4": ad.float32,
    "f8": ad.float64,
    "c8": ad.complex64,
    "c16": ad.complex128,
}


def read_table(text: str) -> dict[tuple[DType, DType], DType]:
    header, *rows = [line.split() for line in text.strip().splitlines()]
    table = {}
    for row, *cells in rows:
        for column, cell in zip(header, cells, strict=True):
            table[SHORT[row], SHORT[column]] = table[SHORT[column], SHORT[row]] = SHORT[cell]
    return table


def standard() -> dict[tuple[DType, DType], DType | None]:
    """The common type of every pair; None where there is none."""
    table: dict[tuple[DType, DType], DType | None] = {}
    for text in (SIGNED, UNSIGNED, MIXED, FLOATING, HALF):
        table.update(read_table(text))
    integers = [d for name, d in SHORT.items() if name[0] in "iu"]
    floating = [d for name, d in SHORT.items() if name[0] in "fbc"]
    for d in ALL:  # beyond the standard: a bool gives way to everything
        table[ad.bool, d] = table[d, ad.bool] = d
    for i, f in itertools.product(integers, floating):  # and an integer type to every floating type
        table[i, f] = table[f, i] = f
    for i in (ad.int8, ad.int16, ad.int32, ad.int64):
        table[i, ad.uint64] = table[ad.uint64, i] = None
    return table


STANDARD = standard()
PAIRS = list(itertools.product(ALL, ALL))


def test_the_table_is_complete() -> None:
    assert set(STANDARD) == set(PAIRS)


@pytest.mark.parametrize(("a", "b"), PAIRS, ids=lambda d: d.name)
def test_promote_types(a: DType, b: DType) -> None:
    wanted = STANDARD[a, b]
    if wanted is None:
        with pytest.raises(DTypeError, match=f"{a.name} and {b.name} have no common integer type; convert one first"):
            ad.promote_types(a, b)
    else:
        assert ad.promote_types(a, b) is wanted
    assert ad.can_cast(a, b) is (wanted is b)


def test_numpy_agrees_where_it_follows_the_standard() -> None:
    """NumPy, as a second witness: within a kind, and within the real and the complex floating types."""
    for a, b in PAIRS:
        both = {a.kind, b.kind}
        if len(both) == 1 and ad.bfloat16 not in (a, b):
            assert np.promote_types(a.name, b.name) == STANDARD[a, b]


# On tensors -----------------------------------------------------------------------------------------------------


def pairs_on(backend: Backend) -> list[tuple[DType, DType]]:
    return [(a, b) for a, b in PAIRS if a in backend.dtypes and b in backend.dtypes]


def test_two_tensors_meet_in_the_common_type(backend: Backend) -> None:
    made = {d: ad.ones(2, dtype=d) for d in backend.dtypes}
    here = ad.tensor([True, False])
    for a, b in pairs_on(backend):
        x, y, wanted = made[a], made[b], STANDARD[a, b]
        for call in (ad.add, ad.multiply, lambda x, y: ad.where(here, x, y), lambda x, y: ad.concat([x, y])):
            if wanted is None:
                with pytest.raises(DTypeError, match=f"{a.name} and {b.name} have no common integer type"):
                    call(x, y)
            else:
                assert call(x, y).dtype is wanted, (a, b)


NUMBERS: dict[type, Any] = {bool: True, int: 2, float: 1.5, complex: 1j}
RANKS = {"bool": 0, "unsigned integer": 1, "signed integer": 1, "real floating": 2, "complex floating": 3}


@pytest.mark.parametrize("kind", NUMBERS)
def test_python_numbers_are_weak(backend: Backend, kind: type) -> None:
    """A number takes the tensor's type; one of a higher kind gives that kind's default."""
    number, rank = NUMBERS[kind], list(NUMBERS).index(kind)
    for d in backend.dtypes:
        x = ad.ones(2, dtype=d)
        if rank <= RANKS[d.kind]:
            wanted = d
        elif kind is complex:
            wanted = ad.complex128 if d is ad.float64 else ad.complex64
        else:
            wanted = {int: ad.int64, float: ad.float32}[kind]
        for y in (x + number, number + x, x * number, ad.where(ad.tensor([True, False]), x, number)):
            assert y.dtype is wanted, (d, y.dtype)


def test_two_numbers(backend: Backend) -> None:
    condition = ad.tensor([True, False])
    assert ad.where(condition, 1, 0).dtype is ad.int64
    assert ad.where(condition, 1.0, 0).dtype is ad.float32
    assert ad.where(condition, 1, 0j).dtype is ad.complex64
    assert ad.where(condition, True, False).dtype is ad.bool


@pytest.mark.parametrize("dtype", list(INTEGER_RANGE), ids=lambda d: d.name)
def test_number_outside_an_integer_types_range(backend: Backend, dtype: DType) -> None:
    low, high = INTEGER_RANGE[dtype]
    x = ad.zeros(2, dtype=dtype)
    assert (x + high).tolist() == [high, high]
    assert (x + low).tolist() == [low, low]
    for number in (low - 1, high + 1):
        message = rf"{number} is outside {dtype.name}'s range {low} to {high}; (use|ask for) a wider type"
        for call in (ad.add, ad.multiply, ad.less, lambda x, n: x.__setitem__(0, n), lambda x, n: x.fill_(n)):
            with pytest.raises(DTypeError, match=message):
                call(x, number)
        with pytest.raises(DTypeError, match=message):
            ad.tensor([number], dtype=dtype)
        with pytest.raises(DTypeError, match=message):
            ad.full((2,), number, dtype=dtype)
    assert x.tolist() == [0, 0]


def test_int8_plus_1000(backend: Backend) -> None:
    with pytest.raises(DTypeError, match=r"the number 1000 is outside int8's range -128 to 127; use a wider type"):
        ad.tensor([1], dtype=ad.int8) + 1000


def test_integers_become_float32_where_floats_are_needed(backend: Backend) -> None:
    for d in (ad.bool, ad.uint8, ad.int64):
        x = ad.ones(2, dtype=d)
        for y in (ad.exp(x), ad.mean(x), ad.divide(x, x), x / 2, ad.std(x)):
            assert y.dtype is ad.float32


def test_sums_of_narrow_integers_are_wide(backend: Backend) -> None:
    assert ad.full((3,), 100, dtype=ad.int8).sum().item() == 300
    assert ad.full((3,), 200, dtype=ad.uint8).sum().dtype is ad.uint64
    assert ad.ones(3, dtype=ad.bool).sum().dtype is ad.int64
    assert ad.ones(3, dtype=ad.float16).sum().dtype is ad.float16
    assert ad.ones(3, dtype=ad.int8).sum(dtype=ad.float64).dtype is ad.float64


def test_type_asked_for_is_the_type_given(backend: Backend) -> None:
    for d in backend.dtypes:
        assert ad.tensor([1], dtype=d).dtype is d
        assert ad.zeros(2, dtype=d).dtype is d
        assert ad.tensor([True, False]).astype(d).dtype is d
        assert ad.tensor(np.ones(2, np.int32)).to(d).dtype is d
        x = ad.arange(3).astype(d)
        assert x.device.dtypes[x.array.dtype] is d


def test_type_that_the_backend_lacks() -> None:
    class Narrow(NumPyBackend):
        name = "narrow"
        dtypes = {d: n for d, n in NumPyBackend.dtypes.items() if d is not ad.bfloat16}

    (device,) = Narrow().devices
    with pytest.raises(DTypeError, match="backend 'narrow' has no bfloat16; it has bool, int8"):
        ad.zeros(2, dtype=ad.bfloat16, device=device)
    with pytest.raises(DTypeError, match="backend 'narrow' has no bfloat16"):
        ad.ones(2, device=device).to(ad.bfloat16)


@pytest.mark.parametrize("dtype", [ad.float16, ad.bfloat16], ids=lambda d: d.name)
def test_half_precision_stays_what_it_is(backend: Backend, dtype: DType) -> None:
    if dtype not in backend.dtypes:
        pytest.skip(f"the backend has no {dtype.name}, and refuses it: test_type_that_the_backend_lacks")
    x = ad.tensor([0.5, 1.0, 3.0], dtype=dtype, requires_grad=True)
    for y in (x + 1.5, 1.5 - x, x * 3, x**0.5, x / 2.0, ad.maximum(x, 0.1), ad.clip(x, 0.1), x.mean(), x.var(), x @ x):
        assert y.dtype is dtype
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.dtype is dtype
        (g,) = ad.autograd.grad((x * 1.5).tanh().mean(), x)
        assert g.dtype is dtype
    # a number is rounded to the type before it is compared
    tenth = ad.tensor([0.1], dtype=dtype)
    assert (tenth == 0.1).all()
    assert not (tenth > 0.1).any()
    with ad.no_grad():
        x.mul_(1.5).add_(x)
    assert x.dtype is dtype
    assert x.tolist() == [1.5, 3.0, 9.0]


def test_complex_does_not_lose_its_imaginary_part(backend: Backend) -> None:
    z = ad.tensor([1 + 2j])
    with pytest.raises(DTypeError, match=r"astype: complex64 to float32 would drop the imaginary part"):
        z.float()
    with pytest.raises(DTypeError, match="complex numbers do not fit into float32; ask for polyad.complex64"):
        ad.tensor([1j], dtype=ad.float32)
    x = ad.zeros(1)
    with pytest.raises(DTypeError, match=r"x\[...\] = y: a tensor of float32 cannot hold complex64; write y.real"):
        x[0] = z[0]
    with pytest.raises(DTypeError, match="fill_: a tensor of float32 cannot hold the complex number 1j"):
        x.fill_(1j)
    with pytest.raises(DTypeError, match="copy_: a tensor of float32 cannot hold complex64"):
        x.copy_(z)
    assert x.item() == 0


# Values ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [d for d in ALL if d is not ad.bfloat16], ids=lambda d: d.name)
def test_numpys_types_are_the_same(dtype: DType) -> None:
    native, scalar = np.dtype(dtype.name), np.dtype(dtype.name).type
    for other in (native, scalar):
        assert as_dtype(other) is dtype
        assert dtype == other
        assert (dtype != other) is False
        assert ad.zeros(1, dtype=other).dtype is dtype
        assert ad.zeros(1).astype(other).dtype is dtype
    assert native == dtype
    assert np.zeros(1, dtype).dtype == native
    assert dtype != np.dtype("datetime64[s]")
    assert dtype.itemsize == native.itemsize


def test_jaxs_types_are_the_same() -> None:
    jnp = pytest.importorskip("jax.numpy")
    ad.zeros(1, backend="jax")  # the backend lets JAX know polyad's types
    for d in ALL:
        assert as_dtype(getattr(jnp, d.name if d is not ad.bool else "bool_")) is d
        assert jnp.zeros(1, d).dtype == d


def test_names_and_python_types() -> None:
    for spec, wanted in {
        **{d.name: d for d in ALL},
        "float": ad.float32,
        "double": ad.float64,
        "half": ad.float16,
        "long": ad.int64,
        "int": ad.int64,
        bool: ad.bool,
        int: ad.int64,
        float: ad.float32,
        complex: ad.complex64,
    }.items():
        assert as_dtype(spec) is wanted
    for wrong in ("float31", None, 3, object, "datetime64[s]", np.dtype("U1")):
        with pytest.raises(DTypeError, match="is no data type; expected one of bool, int8, .*such as polyad.float32"):
            as_dtype(wrong)


def test_dtypes_as_values() -> None:
    assert repr(ad.float32) == "polyad.float32"
    assert {ad.float32: 1}[ad.float32] == 1
    assert ad.float32 != ad.float64
    assert ad.float32 != "float32"
    assert ad.float32 is not None
    assert pickle.loads(pickle.dumps(ad.float32)) is ad.float32
    assert copy.deepcopy(ad.float32) is ad.float32
    assert (ad.float64.is_floating_point, ad.complex64.is_complex, ad.int8.is_differentiable) == (True, True, False)


def test_methods_named_after_types(backend: Backend) -> None:
    x = ad.tensor([0.0, 2.0], dtype=ad.float64)
    for name, wanted in {
        "float": ad.float32,
        "double": ad.float64,
        "half": ad.float16,
        "long": ad.int64,
        "int": ad.int32,
        "bool": ad.bool,
        "cfloat": ad.complex64,
        "cdouble": ad.complex128,
    }.items():
        made = getattr(x, name)()
        assert made.dtype is wanted
        assert made.tolist() == [0, 2] or wanted is ad.bool
    assert x.double() is x
    assert x.type_as(ad.arange(2)).dtype is ad.int64
    assert x.bool().tolist() == [False, True]


def test_astype_keeps_the_graph(backend: Backend) -> None:
    x = ad.tensor([1.5, 2.5], requires_grad=True)
    (x.double() * 2).half().float().sum().backward()
    assert x.grad is not None
    assert (x.grad.dtype, x.grad.tolist()) == (ad.float32, [2, 2])
    assert not x.long().requires_grad


def test_integers_to_a_negative_power(backend: Backend) -> None:
    with pytest.raises(
        DTypeError, match=r"power: a tensor of int64 to the power -1 has no integer values; .*x\.float\(\)"
    ):
        ad.tensor([2]) ** -1
    assert (ad.tensor([2.0]) ** -1).tolist() == [0.5]


def test_mean_of_float16_is_in_range_where_the_sum_is_not(backend: Backend) -> None:
    assert ad.full((10,), 60000.0, dtype=ad.float16).mean().item() == 60000
    assert ad.ones(4, 3, dtype=ad.float16).mean(axis=0).dtype is ad.float16


def test_arrays_of_types_that_polyad_lacks(backend: Backend) -> None:
    with pytest.raises(DTypeError, match="an array of type <U1 has no polyad type"):
        ad.tensor(np.array(["a"]))


def test_nan_has_no_integer_value(backend: Backend) -> None:
    x = ad.zeros(1, dtype=ad.int64)
    with pytest.raises(DTypeError, match="nan has no int64 value"):
        x[0] = float("nan")
