"""Shapes, axes, types and indices drawn at random: values against NumPy, gradients against what undoes the function.

Random, but the same in every run. Elements are small integers, so that sums are exact in every type and order.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from hypothesis.extra import numpy as hnp

import polyad as ad
from polyad.backend import Backend
from polyad.rules import sum_to

ANY = st.sampled_from([np.float64, np.float32, np.complex128, np.complex64, np.int64, np.int8, np.uint8])
FLOATING = st.sampled_from([np.float64, np.complex128])
SEED = st.integers(0, 1000)


def drawn(**strategies: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a test on every backend of a property of drawn arguments: fewer where each new shape is compiled."""

    def decorate(check: Callable[..., None]) -> Callable[..., None]:
        def test(backend: Backend) -> None:
            chosen = settings(
                max_examples=10 if backend.name == "jax" else 100,
                derandomize=True,
                database=None,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            )
            chosen(given(**strategies)(check))()

        test.__name__ = check.__name__
        return test

    return decorate


def shapes(min_dims: int = 0, max_dims: int = 4, min_side: int = 0) -> st.SearchStrategy[tuple[int, ...]]:
    return hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=4)


def numbers(shape: Any, dtype: Any, seed: int, low: int = -3) -> np.ndarray:
    draw = np.random.default_rng(seed)
    low = max(low, 0) if np.dtype(dtype).kind in "bu" else low
    values = draw.integers(low, 4, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * draw.integers(low, 4, shape)
    return np.asarray(values).astype(dtype)


def tensor(array: np.ndarray, requires_grad: bool = False) -> ad.Tensor:
    return ad.tensor(array, requires_grad=requires_grad)


def same(ours: ad.Tensor, expected: Any) -> None:
    expected = np.asarray(expected)
    assert (ours.shape, ours.dtype.name) == (expected.shape, expected.dtype.name)
    np.testing.assert_array_equal(ours.detach().numpy(), expected)


def adjoint(linear: Callable[[Any], Any], x: np.ndarray, gradient: ad.Tensor, g: np.ndarray, seed: int) -> None:
    """A gradient is the adjoint: its product with any ``dx`` is that of ``g`` with ``linear(dx)``."""
    dx = numbers(x.shape, x.dtype, seed + 7)
    assert gradient.shape == x.shape
    assert np.vdot(gradient.numpy(), dx).real == pytest.approx(np.vdot(g, linear(dx)).real, rel=1e-12, abs=1e-12)


def check_linear(ours: Callable[..., ad.Tensor], theirs: Callable[..., Any], x: np.ndarray, seed: int) -> None:
    """Value and gradient of a function that is linear in its one array."""
    leaf = tensor(x, requires_grad=True)
    y = ours(leaf)
    same(y, theirs(x))
    g = numbers(y.shape, x.dtype, seed + 1)
    (gradient,) = ad.autograd.grad(y, leaf, tensor(g), materialize_grads=True)
    adjoint(theirs, x, gradient, g, seed)


# Broadcasting -----------------------------------------------------------------------------------------------------

TWO_SHAPES = hnp.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_side=4, max_dims=4)


@drawn(both=TWO_SHAPES, dtype=ANY, name=st.sampled_from(["add", "subtract", "multiply", "equal", "where"]), seed=SEED)
def test_elementwise_functions_broadcast(both: Any, dtype: Any, name: str, seed: int) -> None:
    a, b = (numbers(s, dtype, seed + i) for i, s in enumerate(both.input_shapes))
    if name == "where":
        same(ad.where(tensor(a) == 0, tensor(a), tensor(b)), np.where(a == 0, a, b))
    else:
        same(getattr(ad, name)(tensor(a), tensor(b)), getattr(np, name)(a, b))


@drawn(both=TWO_SHAPES, dtype=FLOATING, seed=SEED)
def test_gradients_of_what_was_broadcast(both: Any, dtype: Any, seed: int) -> None:
    a, b = (numbers(s, dtype, seed + i) for i, s in enumerate(both.input_shapes))
    x, y = tensor(a, requires_grad=True), tensor(b, requires_grad=True)
    out = x * y - y
    g = numbers(out.shape, dtype, seed + 2)
    gx, gy = ad.autograd.grad(out, [x, y], tensor(g))
    adjoint(lambda d: d * b, a, gx, g, seed)
    adjoint(lambda d: (a * d) - d, b, gy, g, seed)


@drawn(both=TWO_SHAPES, seed=SEED)
def test_sum_to(both: Any, seed: int) -> None:
    shape, target = both.result_shape, both.input_shapes[0]
    g = numbers(shape, np.float64, seed)
    front = g.ndim - len(target)
    expected = g.sum(axis=tuple(range(front)))
    stretched = tuple(i for i, n in enumerate(target) if n == 1)
    expected = expected.sum(axis=stretched, keepdims=True)
    backend = ad.default_device()
    found = sum_to(backend.xp, tensor(g).array, target)
    same(ad.asarray(backend.asarray(found), device=backend), expected)


# Reductions -------------------------------------------------------------------------------------------------------


@st.composite
def reduced(draw: Any, min_side: int = 0) -> tuple[tuple[int, ...], Any, bool]:
    shape = draw(shapes(min_side=min_side))
    axes = draw(st.sets(st.integers(0, len(shape) - 1))) if shape else set()
    negative = [i - len(shape) if draw(st.booleans()) else i for i in axes]
    axis = draw(st.sampled_from([None, tuple(negative), *negative[:1]]))
    return shape, axis, draw(st.booleans())


@drawn(how=reduced(), dtype=ANY, name=st.sampled_from(["sum", "prod", "any", "all"]), seed=SEED)
def test_reductions(how: Any, dtype: Any, name: str, seed: int) -> None:
    shape, axis, keepdims = how
    x = numbers(shape, dtype, seed, low=0 if name == "prod" else -3)
    assume(name != "prod" or x.size < 20)
    wide = {"i": np.int64, "u": np.uint64}.get(np.dtype(dtype).kind) if name in ("sum", "prod") else None
    expected = getattr(np, name)(x if wide is None else x.astype(wide), axis=axis, keepdims=keepdims)
    same(getattr(ad, name)(tensor(x), axis=axis, keepdims=keepdims), expected)


@drawn(how=reduced(), dtype=FLOATING, seed=SEED)
def test_sums_and_their_gradients(how: Any, dtype: Any, seed: int) -> None:
    shape, axis, keepdims = how
    check_linear(
        lambda x: ad.sum(x, axis=axis, keepdims=keepdims),
        lambda x: np.sum(x, axis=axis, keepdims=keepdims),
        numbers(shape, dtype, seed),
        seed,
    )


@drawn(how=reduced(min_side=1), name=st.sampled_from(["max", "min"]), seed=SEED)
def test_extremes_share_their_gradient(how: Any, name: str, seed: int) -> None:
    shape, axis, keepdims = how
    x = numbers(shape, np.float64, seed)
    leaf = tensor(x, requires_grad=True)
    y = getattr(ad, name)(leaf, axis=axis, keepdims=keepdims)
    same(y, getattr(np, name)(x, axis=axis, keepdims=keepdims))
    (gradient,) = ad.autograd.grad(y.sum(), leaf)
    here = x == getattr(np, name)(x, axis=axis, keepdims=True)
    np.testing.assert_allclose(gradient.numpy(), here / here.sum(axis=axis, keepdims=True))


# Indices ----------------------------------------------------------------------------------------------------------


@st.composite
def basic(draw: Any) -> tuple[tuple[int, ...], Any]:
    shape = draw(shapes())
    return shape, draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=6))


@st.composite
def advanced(draw: Any) -> tuple[tuple[int, ...], Any]:
    """Integer arrays beside numbers, slices and new dimensions, in any order; or a mask."""
    shape = draw(shapes(min_dims=1, min_side=1))
    if draw(st.integers(0, 4)) == 0:
        covered = draw(st.integers(1, len(shape)))
        mask = np.random.default_rng(draw(SEED)).random(shape[:covered]) < 0.5
        return shape, mask
    common = draw(hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=3))
    parts: list[Any] = []
    for n in shape:
        kind = draw(st.sampled_from(["array", "array", "one", "slice", "int"]))
        if kind in ("array", "one"):
            length = common if kind == "array" else (1,) * len(common)
            parts.append(np.random.default_rng(draw(SEED)).integers(-n, n, length))
        else:
            parts.append(draw(st.slices(n)) if kind == "slice" else draw(st.integers(-n, n - 1)))
    assume(any(isinstance(p, np.ndarray) for p in parts))
    del parts[draw(st.integers(1, len(parts))) :]
    assume(any(isinstance(p, np.ndarray) for p in parts))
    short = len(parts) < len(shape)
    for extra in draw(st.sampled_from([[], [None], [...], [None, ...]])):
        # Before what is for the first dimensions, an ellipsis would make it be for the last ones. Between arrays that
        # are for all, it sets them apart in NumPy, though it stands for nothing; in PyTorch and here it does not.
        ends = [len(parts)] if short else [0, len(parts)]
        parts.insert(draw(st.sampled_from(ends) if extra is ... else st.integers(0, len(parts))), extra)
    return shape, tuple(parts)


def ours(index: Any) -> Any:
    """An index with polyad's arrays for NumPy's."""
    if isinstance(index, tuple):
        return tuple(ours(i) for i in index)
    return tensor(index) if isinstance(index, np.ndarray) else index


def check_reading(shape: tuple[int, ...], index: Any, dtype: Any, seed: int) -> None:
    check_linear(lambda x: x[ours(index)], lambda x: np.asarray(x[index]), numbers(shape, dtype, seed), seed)


def check_scattering(shape: tuple[int, ...], index: Any, seed: int) -> None:
    """Where indices repeat, what is read there adds up."""
    leaf = tensor(np.zeros(shape), requires_grad=True)
    leaf[ours(index)].sum().backward()
    expected = np.zeros(shape)
    np.add.at(expected, index, 1.0)
    same(leaf.grad, expected)


def check_writing(shape: tuple[int, ...], index: Any, dtype: Any, seed: int) -> None:
    before = numbers(shape, dtype, seed)
    places = np.arange(math.prod(shape)).reshape(shape)[index]
    repeats = np.unique(places).size < places.size
    value = numbers(() if repeats else places.shape, dtype, seed + 3)  # which of several is kept, libraries may choose
    after = before.copy()
    after[index] = value
    x, v = tensor(before, requires_grad=True), tensor(value, requires_grad=True)
    y = x.clone()
    y[ours(index)] = v
    same(y, after)
    g = numbers(shape, dtype, seed + 4)
    gx, gv = ad.autograd.grad(y, [x, v], tensor(g), materialize_grads=True)
    expected = g.copy()
    expected[index] = 0
    same(gx, expected)
    if not repeats:
        same(gv, g[index])
    plain = tensor(before)  # without history the write goes another way
    plain[ours(index)] = tensor(value)
    same(plain, after)


@drawn(where=basic(), dtype=FLOATING, seed=SEED)
def test_reading_at_numbers_and_slices(where: Any, dtype: Any, seed: int) -> None:
    check_reading(*where, dtype, seed)


@drawn(where=basic(), dtype=FLOATING, seed=SEED)
def test_writing_at_numbers_and_slices(where: Any, dtype: Any, seed: int) -> None:
    check_writing(*where, dtype, seed)


@drawn(where=advanced(), dtype=FLOATING, seed=SEED)
def test_reading_at_arrays_and_masks(where: Any, dtype: Any, seed: int) -> None:
    check_reading(*where, dtype, seed)
    check_scattering(*where, seed)


@drawn(where=advanced(), dtype=FLOATING, seed=SEED)
def test_writing_at_arrays_and_masks(where: Any, dtype: Any, seed: int) -> None:
    check_writing(*where, dtype, seed)


# Shapes -----------------------------------------------------------------------------------------------------------


@st.composite
def reshaped(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    factors = draw(st.lists(st.integers(1, 3), max_size=4))
    wanted = draw(st.permutations(factors))
    cut = draw(st.integers(0, len(wanted)))
    joined = [math.prod(wanted[:cut]), *wanted[cut:]]
    if draw(st.booleans()):
        joined[draw(st.integers(0, len(joined) - 1))] = -1
    return tuple(factors), tuple(joined)


@drawn(how=reshaped(), dtype=FLOATING, seed=SEED)
def test_reshape(how: Any, dtype: Any, seed: int) -> None:
    shape, wanted = how
    x = numbers(shape, dtype, seed)
    check_linear(lambda t: ad.reshape(t, wanted), lambda a: a.reshape(wanted), x, seed)
    same(ad.reshape(ad.reshape(tensor(x), wanted), shape), x)


@st.composite
def permuted(draw: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    shape = draw(shapes())
    return shape, tuple(draw(st.permutations(range(len(shape)))))


@drawn(how=permuted(), dtype=FLOATING, seed=SEED)
def test_permute_dims(how: Any, dtype: Any, seed: int) -> None:
    shape, axes = how
    x = numbers(shape, dtype, seed)
    check_linear(lambda t: ad.permute_dims(t, axes), lambda a: a.transpose(axes), x, seed)
    same(ad.permute_dims(ad.permute_dims(tensor(x), axes), tuple(np.argsort(axes).tolist())), x)
    # a view of a view: what shares memory may not be read in another order
    check_linear(
        lambda t: ad.reshape(ad.permute_dims(t, axes), (-1,)), lambda a: a.transpose(axes).reshape(-1), x, seed
    )


@st.composite
def parted(draw: Any) -> tuple[tuple[int, ...], int, list[int]]:
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    cuts = sorted(draw(st.lists(st.integers(0, shape[axis]), max_size=3)))
    return shape, axis, cuts


@drawn(how=parted(), dtype=FLOATING, seed=SEED)
def test_concat_puts_together_what_was_cut(how: Any, dtype: Any, seed: int) -> None:
    shape, axis, cuts = how

    def there_and_back(x: ad.Tensor) -> ad.Tensor:
        places = [0, *cuts, shape[axis]]
        front = (slice(None),) * (axis % len(shape))
        pieces = [x[(*front, slice(a, b))] for a, b in pairwise(places)]
        return ad.concat(pieces, axis=axis)

    check_linear(there_and_back, lambda a: a, numbers(shape, dtype, seed), seed)


@drawn(how=parted(), dtype=FLOATING, seed=SEED)
def test_stack_and_unstack(how: Any, dtype: Any, seed: int) -> None:
    shape, axis, _ = how
    assume(shape[axis])
    x = numbers(shape, dtype, seed)
    check_linear(lambda t: ad.stack(ad.unstack(t, axis=axis), axis=axis), lambda a: a, x, seed)
    check_linear(lambda t: ad.stack([t, t], axis=axis), lambda a: np.stack([a, a], axis=axis), x, seed)


# Products ---------------------------------------------------------------------------------------------------------

PRODUCTS = hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, min_side=0, max_side=3, max_dims=2)


@drawn(both=PRODUCTS, dtype=FLOATING, seed=SEED)
def test_matmul(both: Any, dtype: Any, seed: int) -> None:
    a, b = (numbers(s, dtype, seed + i) for i, s in enumerate(both.input_shapes))
    check_linear(lambda t: ad.matmul(t, tensor(b)), lambda d: np.matmul(d, b), a, seed)
    check_linear(lambda t: ad.matmul(tensor(a), t), lambda d: np.matmul(a, d), b, seed)
