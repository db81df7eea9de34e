"""Reading and writing by index inside `vmap`, against NumPy in a loop over the examples.

What is indexed, what is written and each index array may differ from example to example, or be the same.
"""

import random
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.errors import DeviceError, IndexOutOfRangeError, OperandError, TransformError
from polyad.func import grad, jvp, vjp, vmap
from polyad.testing import assert_close

SIZE = 3
SHAPE = (4, 3, 5)
KEYS: dict[str, Callable[..., Any]] = {  # of index arrays of shapes (2,), (2, 2) and ()
    "x[i]": lambda i, j, k: i,
    "x[k]": lambda i, j, k: k,
    "x[:, i]": lambda i, j, k: (slice(None), i),
    "x[..., j]": lambda i, j, k: (..., j),
    "x[i, i]": lambda i, j, k: (i, i),
    "x[i, j, k]": lambda i, j, k: (i, j, k),
    "x[:, i, j]": lambda i, j, k: (slice(None), i, j),
    "x[i, :, j]": lambda i, j, k: (i, slice(None), j),
    "x[j, ::2, k]": lambda i, j, k: (j, slice(None, None, 2), k),
    "x[1, :, i]": lambda i, j, k: (1, slice(None), i),
    "x[1, i]": lambda i, j, k: (1, i),
    "x[i, 1]": lambda i, j, k: (i, 1),
    "x[:, 1, j]": lambda i, j, k: (slice(None), 1, j),
    "x[None, i]": lambda i, j, k: (None, i),
    "x[:, None, i]": lambda i, j, k: (slice(None), None, i),
    "x[i, None, j]": lambda i, j, k: (i, None, j),
    "x[k, None, 1:, i]": lambda i, j, k: (k, None, slice(1, None), i),
    "x[::-1, -1, k]": lambda i, j, k: (slice(None, None, -1), -1, k),
    "x[1]": lambda i, j, k: 1,
    "x[::2, None, 0]": lambda i, j, k: (slice(None, None, 2), None, 0),
}
VARIED = [  # of x and the three index arrays, which differ from example to example
    (True, False, False, False),
    (False, True, True, True),
    (True, True, True, True),
    (False, False, True, False),
    (True, True, False, False),
    (True, False, False, True),
]


def numbers(seed: int, *shape: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def drawn(seed: int, varied: tuple[bool, ...]) -> tuple[list[Any], tuple[Any, ...]]:
    """``x`` and three index arrays, with the examples in front where they differ; and the ``in_dims`` for them."""
    rng = np.random.default_rng(seed)
    shapes = (SHAPE, (2,), (2, 2), ())
    made = []
    for i, (shape, differs) in enumerate(zip(shapes, varied, strict=True)):
        full = (SIZE, *shape) if differs else shape
        made.append(rng.normal(size=full) if i == 0 else rng.integers(-3, 3, size=full))
    return made, tuple(0 if differs else None for differs in varied)


def example(array: Any, at: Any, n: int) -> Any:
    return array if at is None else array[n]


def tensors(arrays: list[Any]) -> list[Any]:
    return [ad.tensor(a) for a in arrays]


@pytest.mark.parametrize("varied", VARIED, ids=str)
@pytest.mark.parametrize("name", KEYS)
def test_reading(backend: Backend, name: str, varied: tuple[bool, ...]) -> None:
    key = KEYS[name]
    arrays, dims = drawn(1, varied)
    found = vmap(lambda x, *indices: x[key(*indices)], dims)(*tensors(arrays))
    rows = [[example(a, d, n) for a, d in zip(arrays, dims, strict=True)] for n in range(SIZE)]
    assert_close(found, ad.tensor(np.stack([x[key(*indices)] for x, *indices in rows])))


@pytest.mark.parametrize("varied", VARIED, ids=str)
@pytest.mark.parametrize("name", KEYS)
def test_gradients_of_reading(backend: Backend, name: str, varied: tuple[bool, ...]) -> None:
    key = KEYS[name]
    arrays, dims = drawn(2, varied)
    first = [example(a, d, 0) for a, d in zip(arrays, dims, strict=True)]
    cotangent = numbers(3, SIZE, *first[0][key(*first[1:])].shape)

    def pulled(c: Any, x: Any, *indices: Any) -> Any:
        return vjp(lambda x: x[key(*indices)], x)[1](c)[0]

    found = vmap(pulled, (0, *dims))(ad.tensor(cotangent), *tensors(arrays))
    expected = np.zeros((SIZE, *SHAPE))
    for n in range(SIZE):
        _, *indices = (example(a, d, n) for a, d in zip(arrays, dims, strict=True))
        np.add.at(expected[n], key(*indices), cotangent[n])
    assert_close(found, ad.tensor(expected))


@pytest.mark.parametrize("value", ["number", "same", "same of fewer dimensions", "different", "different numbers"])
@pytest.mark.parametrize("varied", [v for v in VARIED if v[0]], ids=str)
@pytest.mark.parametrize("name", KEYS)
def test_writing(backend: Backend, name: str, varied: tuple[bool, ...], value: str) -> None:
    if backend.name != "numpy" and value not in ("same", "different"):
        pytest.skip("it compiles each form anew")
    key = KEYS[name]
    arrays, dims = drawn(4, varied)
    for a in arrays[1:]:  # where an index repeats, libraries differ in which element is written
        a[...] = np.resize([0, 1] if a.ndim and a.shape[-1] == 2 and a.size < 7 else [0, 1, 2, -3], a.shape)
    arrays[2] = np.broadcast_to([[0, 1], [2, -3 if name != "x[..., j]" else 3]], arrays[2].shape)
    first = [example(a, d, 0) for a, d in zip(arrays, dims, strict=True)]
    shape = first[0][key(*first[1:])].shape
    new: Any = {
        "number": 7.0,
        "same": numbers(5, *shape),
        "same of fewer dimensions": numbers(5, *shape[1:]),
        "different": numbers(5, SIZE, *shape),
        "different numbers": numbers(5, SIZE),
    }[value]
    differs = value.startswith("different")

    def written(x: Any, new: Any, *indices: Any) -> Any:
        y = x.clone()
        y[key(*indices)] = new
        return y

    given = new if value == "number" else ad.tensor(new)
    found = vmap(written, (dims[0], 0 if differs else None, *dims[1:]))(tensors(arrays)[0], given, *tensors(arrays)[1:])
    expected = []
    for n in range(SIZE):
        x, *indices = (example(a, d, n) for a, d in zip(arrays, dims, strict=True))
        y = x.copy()
        y[key(*indices)] = new[n] if differs else new
        expected.append(y)
    assert_close(found, ad.tensor(np.stack(expected)))


def test_what_is_written_and_what_is_left_have_their_gradients(backend: Backend) -> None:
    xs, vs = ad.tensor(numbers(6, SIZE, 4, 3)), ad.tensor(numbers(7, SIZE, 2))
    at = ad.tensor([[0, 2], [1, 3], [3, 0]])
    cs = ad.tensor(numbers(8, SIZE, 4, 3))

    def written(x: Any, v: Any, i: Any) -> Any:
        y = x * 1.0
        y[i, 1] = v
        return y * y

    def pulled(x: Any, v: Any, i: Any, c: Any) -> Any:
        return vjp(lambda x, v: written(x, v, i), x, v)[1](c)

    found = vmap(pulled)(xs, vs, at, cs)
    expected = [pulled(*(t[n] for t in (xs, vs, at, cs))) for n in range(SIZE)]
    for position, gradient in enumerate(found):
        assert_close(gradient, ad.stack([e[position] for e in expected]))


# Random programs ------------------------------------------------------------------------------------------------


class Pooled(int):
    """In a key, the index array of this number."""


def random_key(rng: random.Random, ndim: int) -> list[Any]:
    """A key of numbers that fit every dimension of length 2 and more."""
    key: list[Any] = []
    left = ndim
    while left and rng.random() < 0.85:
        kind = rng.choice(["int", "slice", "array", "array", "none"])
        left -= kind != "none"
        if kind == "int":
            key.append(rng.randrange(-2, 2))
        elif kind == "slice":
            key.append(slice(rng.choice([None, 0, 1, -1]), None, rng.choice([None, 1, 2])))
        else:
            key.append(Pooled(rng.randrange(3)) if kind == "array" else None)
    if rng.random() < 0.3:
        key.insert(rng.randrange(len(key) + 1), ...)
    return key


def filled(key: list[Any], pool: Any) -> tuple[Any, ...]:
    return tuple(pool[e] if isinstance(e, Pooled) else e for e in key)


@pytest.mark.parametrize("seed", range(60))
def test_random_programs(backend: Backend, seed: int) -> None:
    """Reads, writes and additions one after another, with index arrays some of which differ."""
    if backend.name != "numpy" and seed >= 20:
        pytest.skip("it compiles each key anew")
    rng, values = random.Random(seed), np.random.default_rng(seed)
    shape = tuple(rng.choice([2, 3, 4]) for _ in range(rng.choice([2, 3])))
    differs = [rng.random() < 0.6 for _ in range(4)]
    differs[0] = differs[0] or not any(differs)
    x = values.normal(size=(SIZE, *shape) if differs[0] else shape)
    lengths = [(2,), (1, 2), ()]
    pool = [values.integers(-2, 2, size=(SIZE, *s) if d else s) for s, d in zip(lengths, differs[1:], strict=True)]
    read, write, again = (random_key(rng, len(shape)) for _ in range(3))
    dims = tuple(0 if d else None for d in differs)

    def program(x: Any, *pool: Any) -> Any:
        y = x * 1.0
        y[filled(write, pool)] = 0.5
        y[filled(again, pool)] *= 2.0
        return y[filled(read, pool)] + x[filled(read, pool)]

    rows = [[example(a, d, n) for a, d in zip([x, *pool], dims, strict=True)] for n in range(SIZE)]
    expected = np.stack([program(*row) for row in rows])
    assert_close(vmap(program, dims)(*tensors([x, *pool])), ad.tensor(expected))


# Where levels meet ----------------------------------------------------------------------------------------------


def test_a_tensor_from_outside_is_indexed_by_examples(backend: Backend) -> None:
    table = ad.tensor(numbers(9, 5, 2)).requires_grad_()
    at = ad.tensor([[0, 4], [1, 1], [3, 0]])
    found = vmap(lambda i: table[i])(at)
    assert_close(found, table[at])
    found.backward(ad.ones_like(found))
    expected = np.zeros((5, 2))
    np.add.at(expected, at.numpy(), 1.0)
    assert table.grad is not None
    assert_close(table.grad, ad.tensor(expected))


def test_examples_are_indexed_by_a_tensor_from_outside(backend: Backend) -> None:
    x, at, mask = ad.tensor(numbers(10, 3, 5)), ad.tensor([4, 0]), ad.tensor([True, False, True, False, False])
    assert_close(vmap(lambda row: row[at])(x), x[:, at])
    assert_close(vmap(lambda row: row[mask])(x), x[:, mask])

    def written(row: Any) -> Any:
        y = row.clone()
        y[at] = ad.tensor([1.0, 2.0], dtype="float64")
        y[mask] = 0.0
        return y

    assert_close(vmap(written)(x), ad.stack([written(row) for row in x]))


def test_two_levels(backend: Backend) -> None:
    x, at = ad.tensor(numbers(11, 2, 3, 4)), ad.tensor([[0, 3], [1, 1]])
    inner = vmap(lambda row, i: row[i] * row[at[0]], (0, None))
    found = vmap(inner)(x, at)
    expected = np.stack([numbers(11, 2, 3, 4)[n][:, i] * numbers(11, 2, 3, 4)[n][:, [0, 3]] for n, i in enumerate(at)])
    assert_close(found, ad.tensor(expected))


def test_forward_mode_through_writes(backend: Backend) -> None:
    x, t, at = (ad.tensor(v) for v in (numbers(12, 4), numbers(13, 4), np.array([2, 0])))

    def written(x: Any) -> Any:
        y = ad.zeros_like(x)
        y[at] = x[1:3]
        y[::2] *= x[:2]
        return y

    out, moved = jvp(written, (x,), (t,))
    _, pull = vjp(written, x)
    assert_close(out, written(x))
    assert_close(moved, ad.stack([pull(row)[0] @ t for row in ad.eye(4, dtype="float64")]))


def test_views_of_examples_are_written_through(backend: Backend) -> None:
    x = ad.tensor(numbers(14, 3, 4))

    def written(row: Any) -> Any:
        y = row * 1.0
        pair = y.reshape(2, 2)
        pair[0].mul_(row[2])
        pair.T[1].add_(1.0)
        return y * y

    expected = [written(row) for row in x]
    assert_close(vmap(written)(x), ad.stack(expected))
    gradient = grad(lambda row: written(row)[1])
    assert_close(vmap(gradient)(x), ad.stack([gradient(row) for row in x]))
    assert_close(x, ad.tensor(numbers(14, 3, 4)))  # what was passed is as it was


def test_searching_other_arrays_for_each_example(backend: Backend) -> None:
    nan = float("nan")
    sorted_ = np.sort(numbers(15, 3, 6).round(1), axis=1)
    sorted_[1, -2:], sorted_[2, 1:3] = nan, sorted_[2, 1]
    wanted = np.concatenate([sorted_[:, ::2], numbers(16, 3, 4), [[nan, np.inf]] * 3], axis=1)
    for side in ("left", "right"):
        found = vmap(lambda a, v, side=side: ad.searchsorted(a, v, side=side))(ad.tensor(sorted_), ad.tensor(wanted))
        expected = np.stack([np.searchsorted(a, v, side=side) for a, v in zip(sorted_, wanted, strict=True)])
        assert_close(found, ad.tensor(expected))
    empty = vmap(lambda a: ad.searchsorted(a, 0.5))(ad.zeros(3, 0))
    assert_close(empty, ad.tensor([0, 0, 0]))


# Bad input ------------------------------------------------------------------------------------------------------

WRITES: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("x[...] = y", lambda y, x: y.__setitem__(0, x[0])),
    ("x[...] = y", lambda y, x: y.__setitem__(x.long(), 1.0)),
    ("x[...] = y", lambda y, x: y.__setitem__(x > 0, 1.0)),
    ("copy_", lambda y, x: y.copy_(x)),
    ("add_", lambda y, x: y.add_(x)),
    ("fill_", lambda y, x: y.fill_(x[0])),
    ("index_fill_", lambda y, x: y.index_fill_(0, ad.tensor([1]), x[0])),
    ("scatter_", lambda y, x: y.scatter_(0, x.long(), 1.0)),
    ("masked_fill_", lambda y, x: y.masked_fill_(x > 0, 0.0)),
]


@pytest.mark.parametrize(("name", "write"), WRITES)
def test_writes_that_a_tensor_cannot_hold_are_refused(backend: Backend, name: str, write: Callable[..., Any]) -> None:
    x, outside = ad.tensor([[0.0, 1.0, 2.0]] * 2), ad.tensor([3.0, 4.0, 5.0])
    message = rf"{re.escape(name)}: the tensor of shape \(3,\) is on .* written on vmap of .* polyad.zeros_like\(x\)"
    for made in (lambda: outside, lambda: ad.zeros(3)):
        with pytest.raises(TransformError, match=message):
            vmap(lambda row, made=made: write(made(), row))(x)
    assert outside.tolist() == [3.0, 4.0, 5.0]
    assert outside.version == 0


def test_a_diagonal_of_a_tensor_from_outside_is_not_written(backend: Backend) -> None:
    with pytest.raises(TransformError, match=r"fill_diagonal_: the tensor of shape \(2, 2\) is on .* x.new_zeros"):
        vmap(lambda v: ad.zeros(2, 2).fill_diagonal_(v))(ad.tensor([1.0, 2.0]))


def test_forward_mode_writes_are_refused_too(backend: Backend) -> None:
    with pytest.raises(TransformError, match=r"x\[...\] = y: .* written on forward mode of .* x.new_zeros\(shape\)"):
        jvp(lambda x: ad.zeros(3).__setitem__(0, x[0]), (ad.ones(3),), (ad.ones(3),))


def test_what_to_write_instead_works(backend: Backend) -> None:
    x = ad.tensor(numbers(17, 2, 3))

    def written(row: Any) -> Any:
        y, z = ad.zeros_like(row), row.new_zeros(2)
        y[0], z[1] = row[1], row[2]
        return y, z.copy_(z + row[:2])

    found = vmap(written)(x)
    expected = [written(row) for row in x]
    for i, y in enumerate(found):
        assert_close(y, ad.stack([e[i] for e in expected]))


def test_masks_of_examples_are_refused(backend: Backend) -> None:
    x = ad.tensor([[0.0, 1.0], [2.0, 3.0]])
    with pytest.raises(OperandError, match=r"elements a mask selects is not known, because vmap .* use where\(mask"):
        vmap(lambda row: row[row > 1])(x)
    with pytest.raises(OperandError, match=r"x\[...\] = y: the number of elements a mask selects is not known"):
        vmap(lambda row: row.clone().__setitem__(row > 1, row[:1] * ad.ones(2)))(x)

    def chosen(row: Any) -> Any:
        y = row.clone()
        y[row > 1] = 7.0  # the whole of it, and one number: no need to know how many there are
        return y

    assert vmap(chosen)(x).tolist() == [[0.0, 1.0], [7.0, 7.0]]


def test_numbers_out_of_range_are_found_among_all_examples(backend: Backend) -> None:
    x, at = ad.zeros(3, 4), ad.tensor([[0], [3], [4]])
    with pytest.raises(IndexOutOfRangeError, match=r"an index array has 4, out of range for dimension 0 of length 4"):
        vmap(lambda row, i: row[i])(x, at)
    with pytest.raises(IndexOutOfRangeError, match=r"take: an index array has 4, out of range"):
        vmap(lambda row, i: ad.take(row, i))(x, at)
    with pytest.raises(IndexOutOfRangeError, match=r"an index array has 4, out of range"):
        vmap(lambda row, i: row.clone().__setitem__(i, 1.0))(x, at)


def test_repetitions_of_examples_are_refused(backend: Backend) -> None:
    with pytest.raises(OperandError, match="repeat: the tensor has no values yet, because vmap runs the function"):
        vmap(lambda row, n: ad.repeat(row, n))(ad.zeros(2, 3), ad.ones((2, 3), dtype="int64"))


# Other devices --------------------------------------------------------------------------------------------------


def test_examples_move_to_another_backend_and_back() -> None:
    pytest.importorskip("jax")
    x, scale = ad.tensor(numbers(18, 3, 4)), ad.tensor(numbers(19, 4))

    def moved(row: Any) -> Any:
        there = row.to(backend="jax") ** 2
        return there.to(backend="numpy") * scale.to(row.device)

    expected = x**2 * scale
    assert_close(vmap(moved)(x), expected)
    assert vmap(lambda row: row.to(backend="jax"))(x).backend.name == "jax"
    gradient = grad(lambda row: moved(row)[2])
    assert_close(vmap(gradient)(x)[:, 2], 2 * x[:, 2] * scale[2])
    out, tangent = jvp(moved, (x[0],), (x[1],))
    assert_close(out, expected[0])
    assert_close(tangent, 2 * x[0] * x[1] * scale)
    with pytest.raises(DeviceError, match=r"on vmap of jax.*on backend 'numpy'.*different|different backends"):
        vmap(lambda row: row.to(backend="jax") * scale)(x)


def test_numpy_arrays_are_constants_inside() -> None:
    x, by = ad.tensor(numbers(20, 3, 4)), numbers(21, 4)
    assert_close(vmap(lambda row: row * by)(x), x * by)
