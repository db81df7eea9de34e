"""Indexing beyond what samples reach: single bools, errors, gather and scatter as PyTorch has them, histograms."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.testing import assert_close, gradcheck, gradgradcheck

X = np.arange(12.0).reshape(3, 4)


def double(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(np.asarray(values, np.float64), **kwargs)


def same(actual: Any, expected: Any, **options: Any) -> None:
    assert_close(actual, np.asarray(expected) if isinstance(expected, list) else expected, **options)


# Brackets -------------------------------------------------------------------------------------------------------

SINGLE_BOOLS = [
    *(True, False, (True, 1), (1, True), (..., True), (True, ..., 0), (0, ..., True), (None, True, None)),
    *((True, slice(1), [0, 2]), ([0, 1], True), (True, True), (slice(None), True, slice(0, 2)), (slice(None), False)),
]


@pytest.mark.parametrize("index", SINGLE_BOOLS, ids=repr)
def test_a_single_bool_adds_a_dimension(backend: Backend, index: Any) -> None:
    same(double(X)[index], X[index])
    value = np.random.default_rng(0).standard_normal(X[index].shape)
    for written in (7.0, value):
        expected, x = X.copy(), double(X)
        expected[index] = written
        x[index] = written if isinstance(written, float) else double(written)
        same(x, expected)
    if backend.name != "strict":  # where a row repeats, NumPy writes the last
        leaf = double(X, requires_grad=True)
        leaf[index].sum().backward()
        gradient = np.zeros_like(X)
        np.add.at(gradient, index, 1.0)
        same(leaf.grad, gradient)


def test_a_mask_of_no_dimensions(backend: Backend) -> None:
    x = double(3.0)
    assert x[x > 2].shape == (1,)
    assert x[x > 5].shape == (0,)
    assert x[np.True_].shape == (1,)
    x[x > 2] = 5.0
    assert x.item() == 5.0
    x[x > 9] = double([1.0])[:0]
    assert x.item() == 5.0


def test_a_mask_of_no_elements_selects_none(backend: Backend) -> None:
    for shape in ((0,), (0, 4), (3, 0)):
        assert double(X)[ad.zeros(shape, dtype=ad.bool)].shape == (0, *X.shape[len(shape) :])


def test_reading_by_a_single_bool_copies(backend: Backend) -> None:
    x = double(X)
    x[True][0, 0, 0] = 50.0
    same(x, X)


def test_an_index_array_may_be_of_any_integer_type(backend: Backend) -> None:
    x = double(np.arange(300.0))
    for dtype in (ad.uint8, ad.int16, ad.int32, ad.uint64):
        i = ad.tensor([200, 3], dtype=dtype)
        same(x[i], [200.0, 3.0])
        same(ad.take_along_axis(x, i), [200.0, 3.0])
        same(ad.scatter_add(x, 0, i, 1.0)[i], [201.0, 4.0])


BAD: list[tuple[Callable[[ad.Tensor], Any], type[Exception], str]] = [
    (lambda x: x[5], IndexError, r"index 5 is out of range for dimension 0 of length 3, .* valid are -3 to 2"),
    (lambda x: x[0, 0, 0], IndexError, "3 indices for a tensor of shape"),
    (lambda x: x[..., ...], IndexError, "at most one ellipsis; got 2"),
    (lambda x: x[::0], IndexError, "no slice of integers"),
    (lambda x: x[1.0:], IndexError, "no slice of integers"),
    (lambda x: x[1.0], TypeError, "1.0 of type float is no index"),
    (lambda x: x[[0.5]], TypeError, "index arrays are of integers or bools; got float32"),
    (lambda x: x[ad.tensor([5])], IndexError, "an index array has 5, out of range for dimension 0"),
    (lambda x: x[:, [0, -5]], IndexError, "an index array has -5, out of range for dimension 1"),
    (lambda x: x[[0, 1], [0, 1, 2]], ValueError, "index arrays: shapes .* do not broadcast"),
    (lambda x: x[ad.tensor([True])], IndexError, r"a mask of shape \(1,\) does not fit .* shape \(3,\)"),
    (lambda x: x.__setitem__([7], 1.0), IndexError, r"x\[...\] = y: an index array has 7, out of range"),
    (lambda x: x.__setitem__(ad.tensor([7]), 1.0), IndexError, r"x\[...\] = y: an index array has 7, out of range"),
    (lambda x: x.__setitem__(slice(2), double([1, 2, 3])), ValueError, r"shape \(3,\) does not fit .* \(2, 4\)"),
    (lambda x: ad.take(x, ad.tensor([3]), axis=0), IndexError, "take: an index array has 3, out of range"),
    (lambda x: x.gather(0, ad.tensor([[3]])), IndexError, "gather: an index array has 3, out of range"),
    (lambda x: x.gather(1, ad.tensor([[0], [0], [0], [0]])), ValueError, "gather: the index, .* reaches beyond x"),
    (lambda x: x.gather(1, ad.tensor([0])), ValueError, "gather: the index has as many dimensions as x"),
    (lambda x: x.scatter(1, ad.tensor([[0, 1]]), double([[1.0]])), ValueError, "the source, .* is shorter than"),
    (lambda x: x.scatter(1, ad.tensor([[0]]), ad.ones(1, 1)), TypeError, "scatter: the source is float32, x float64"),
    (lambda x: x.scatter(1, [[0]], 1.0), TypeError, "scatter: the index is a list, .*write polyad.tensor"),
    (lambda x: x.scatter_reduce(1, ad.tensor([[0]]), 1.0, "max"), ValueError, "reduce is one of sum, .*; got 'max'"),
    (lambda x: x.index_add(0, ad.tensor([0]), double([1.0])), ValueError, r"the source has shape \(1,\); expected \(1"),
    (lambda x: x.index_add(0, ad.tensor([0]), ad.ones(1, 4)), TypeError, "index_add: the source is float32, x float64"),
    (lambda x: x.index_fill(0, ad.tensor([[0]]), 1.0), ValueError, "index_fill: the index has one dimension"),
    (lambda x: x.masked_select(x), TypeError, "masked_select: a mask is a tensor of bools; got float64"),
    (lambda x: x.masked_scatter(x > 3, double([1.0])), ValueError, "the mask selects 8 elements, and the source has 1"),
    (lambda x: x.masked_scatter(x > 3, ad.ones(12)), TypeError, "expected a source of float64; got float32"),
    (lambda x: ad.nonzero(x[0, 0]), ValueError, "nonzero: a tensor of no dimensions has no indices"),
    (lambda x: ad.argwhere(x[0, 0]), ValueError, "argwhere: a tensor of no dimensions has no indices"),
    (lambda x: ad.bincount(x[0]), TypeError, "bincount takes integer arrays; got float64"),
    (lambda x: ad.bincount(ad.tensor([1, -2])), ValueError, "bincount: elements are not negative; got -2"),
    (lambda x: ad.bincount(ad.tensor([[1]])), ValueError, "bincount: expected one dimension"),
    (lambda x: ad.bincount(ad.tensor([1]), x[0]), ValueError, r"the weights have shape \(4,\); expected \(1,\)"),
    (lambda x: ad.histogram(x, 0), ValueError, "histogram: bins is how many there are, 1 or more; got 0"),
    (lambda x: ad.histogram(x, 3, (2.0, 1.0)), ValueError, "range goes from the lower bound to the upper"),
    (lambda x: ad.lexsort([]), ValueError, "lexsort: expected one key or more of the same shape; got none"),
    (lambda x: ad.digitize(x, [1.0]), TypeError, "digitize: bins is a list"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD, ids=[m for _, _, m in BAD])
def test_what_bad_indices_get(backend: Backend, call: Any, error: type[Exception], message: str) -> None:
    x = double(X)
    with pytest.raises(error, match=message) as caught:
        call(x)
    assert isinstance(caught.value, ad.errors.PolyadError)
    same(x, X)


# Many rows: on NumPy another way than few -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128", "float16", "int64"])
@pytest.mark.parametrize("width", [(), (1,), (3,), (2, 4)])
def test_many_rows_add_up(backend: Backend, dtype: str, width: tuple[int, ...]) -> None:
    if getattr(ad, dtype) not in backend.dtypes:
        pytest.skip("the backend lacks the type")
    draw = np.random.default_rng(0)
    i = draw.integers(-7, 7, 5000)
    rows = draw.integers(-4, 5, (5000, *width)).astype(dtype)
    expected = np.zeros((7, *width), rows.dtype)
    np.add.at(expected, i, rows)
    same(ad.index_add(ad.tensor(expected * 0), 0, ad.tensor(i), ad.tensor(rows)), expected)
    if width:  # along the last dimension
        found = ad.index_add(ad.tensor(expected.T * 0), len(width), ad.tensor(i), ad.tensor(rows.T.copy()))
        same(found, expected.T)


def test_many_elements_at_two_index_arrays_add_up(backend: Backend) -> None:
    draw = np.random.default_rng(0)
    i, j = draw.integers(-3, 3, (50, 60)), draw.integers(0, 4, 60)
    leaf = double(X, requires_grad=True)
    leaf[ad.tensor(i), ad.tensor(j)].sum().backward()
    expected = np.zeros_like(X)
    np.add.at(expected, (i, j), 1.0)
    same(leaf.grad, expected)


# Along an axis ----------------------------------------------------------------------------------------------------

INDEX = np.array([[0, 3, 3], [1, 0, -1]])
SOURCE = np.random.default_rng(1).standard_normal((2, 3))


def reduced(reduce: str, include_self: bool) -> np.ndarray:
    """One place at a time."""
    groups: dict[tuple[int, int], list[float]] = {}
    for (row, column), to in np.ndenumerate(INDEX):
        groups.setdefault((row, int(to) % 4), []).append(float(SOURCE[row, column]))
    out = X.copy()
    combine = {"sum": np.sum, "prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min}[reduce]
    for place, values in groups.items():
        out[place] = combine([X[place], *values] if include_self else values)
    return out


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
def test_scatter_reduce(backend: Backend, reduce: str, include_self: bool) -> None:
    def function(x: ad.Tensor, source: ad.Tensor) -> ad.Tensor:
        return x.scatter_reduce(1, ad.tensor(INDEX), source, reduce, include_self=include_self)

    x, source = double(X, requires_grad=True), double(SOURCE, requires_grad=True)
    same(function(x, source), reduced(reduce, include_self))
    fast = backend.name != "numpy"
    gradcheck(function, (x, source), fast_mode=fast)
    gradgradcheck(function, (x, source), fast_mode=fast)
    nothing = ad.tensor(np.zeros((2, 0), np.int64))
    same(x.scatter_reduce(1, nothing, double(np.zeros((2, 0))), reduce, include_self=include_self), X)


def test_scatter_reduce_of_integers_and_ties(backend: Backend) -> None:
    i = ad.tensor([0, 0])
    assert ad.tensor([1, 5]).scatter_reduce(0, i, ad.tensor([3, 4]), "mean").tolist() == [2, 5]
    x, source = double([2.0, 1.0], requires_grad=True), double([2.0, 2.0], requires_grad=True)
    x.scatter_reduce(0, i, source, "amax").sum().backward()
    same(x.grad, [1 / 3, 1.0])
    same(source.grad, [1 / 3, 1 / 3])


def test_gather_reads_what_scatter_wrote(backend: Backend) -> None:
    index = np.array([[0, 3, 2], [1, 0, 3]])
    x = double(X).scatter(1, ad.tensor(index), double(SOURCE))
    same(x.gather(1, ad.tensor(index)), SOURCE)
    same(x[2], X[2])
    same(double(X).put_along_axis(ad.tensor([[1], [0], [2]]), -1.0, axis=1).min(axis=1), [-1.0] * 3)


@pytest.mark.parametrize("name", ["gather", "scatter", "scatter_add"])
def test_derivative_of_a_shorter_index(backend: Backend, name: str) -> None:
    i = ad.tensor([[0, 3, 2], [1, 0, 3]])
    arguments: tuple[Any, ...] = (double(X, requires_grad=True),)
    if name != "gather":
        arguments += (double(np.ones((2, 4)), requires_grad=True),)
    function = lambda x, *source: getattr(ad, name)(x, 1, i, *source)  # noqa: E731
    gradcheck(function, arguments, fast_mode=backend.name != "numpy")
    gradgradcheck(function, arguments, fast_mode=backend.name != "numpy")


ROWS = ad.tensor([2, 0], backend="numpy")
IN_PLACE: list[tuple[str, Callable[..., tuple[Any, ...]]]] = [
    ("scatter", lambda i, s: (0, i[:, None], s[:, :1])),
    ("scatter_add", lambda i, s: (0, i[:, None], s[:, :1])),
    ("scatter_reduce", lambda i, s: (0, i[:, None], s[:, :1], "prod")),
    ("index_add", lambda i, s: (0, i, s)),
    ("index_copy", lambda i, s: (0, i, s)),
    ("index_fill", lambda i, s: (0, i, s[0, 0])),
    ("masked_scatter", lambda i, s: (i[0] * double(X) > 12, s)),
    ("put", lambda i, s: (i, s[0, :2])),
]


@pytest.mark.parametrize(("name", "arguments"), IN_PLACE, ids=[n for n, _ in IN_PLACE])
def test_in_place(backend: Backend, name: str, arguments: Any) -> None:
    i, s = ROWS.to(backend=backend.name), double(SOURCE.reshape(2, 3)[:, [0, 1, 2, 0]], requires_grad=True)
    x = double(X, requires_grad=True)
    expected = getattr(x, name)(*arguments(i, s))
    y = x * 1
    view = y[1:]
    assert getattr(y, f"{name}_")(*arguments(i, s)) is y
    same(y, expected)
    same(view, expected[1:])
    same(ad.autograd.grad((y * y).sum(), [x, s])[1], ad.autograd.grad((expected * expected).sum(), [x, s])[1])
    with pytest.raises(ad.errors.AutogradError, match=f"{name}_: a leaf tensor"):
        getattr(x, f"{name}_")(*arguments(i, s))


def test_put_accumulates(backend: Backend) -> None:
    x = double([1.0, 2.0])
    same(x.put(ad.tensor([[1, 1]]), double([[3.0, 4.0]]), accumulate=True), [1.0, 9.0])


def test_masked_scatter_takes_source_in_order(backend: Backend) -> None:
    mask = X % 3 == 0
    expected = X.copy()
    expected[mask] = -np.arange(4.0)
    same(double(X).masked_scatter(ad.tensor(mask), -double(np.arange(6.0))), expected)


# Order ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint8", "bool"])
@pytest.mark.parametrize("descending", [False, True])
def test_sorts_are_stable(backend: Backend, dtype: str, descending: bool) -> None:
    x = np.random.default_rng(0).integers(0, 3, (2, 40)).astype(dtype)
    expected = [sorted(range(40), key=lambda i: int(row[i]), reverse=descending) for row in x]
    if descending:  # Python's reverse keeps the order of equal ones too
        assert sorted([0, 1], key=lambda _: 0, reverse=True) == [0, 1]
    order = ad.argsort(ad.tensor(x), descending=descending)
    assert order.tolist() == expected
    same(ad.sort(ad.tensor(x), descending=descending), np.take_along_axis(x, np.array(expected), 1))


@pytest.mark.parametrize(
    "dtype", ["float16", "bfloat16", "float32", "float64", "int8", "int32", "int64", "uint32", "bool"]
)
@pytest.mark.parametrize("descending", [False, True])
def test_sorts_of_many_elements(backend: Backend, dtype: str, descending: bool) -> None:
    if getattr(ad, dtype) not in backend.dtypes:
        pytest.skip("the backend lacks the type")
    draw = np.random.default_rng(0)
    host = draw.integers(-90, 90, (2, 1500)).astype(np.float64)
    if "float" in dtype:
        host[0, ::97], host[1, ::53], host[1, ::59] = np.nan, -np.nan, -0.0
        host[0, 5:7] = np.inf, -np.inf
    elif dtype in ("uint32", "bool"):
        host = np.abs(host) % (2 if dtype == "bool" else 90)
    x = double(host).astype(dtype)
    ranks = np.where(np.isnan(host), np.inf, np.clip(host, -1e9, 1e9))
    expected = np.argsort(-ranks if descending else ranks, kind="stable")
    assert (ad.argsort(x, descending=descending).numpy() == expected).all()
    ordered = np.take_along_axis(host, expected, 1)
    same(ad.sort(x, descending=descending).astype(ad.float64), ordered, equal_nan=True)
    values, indices = ad.topk(x, 40, largest=descending)
    assert (indices.numpy() == expected[:, :40]).all()
    same(values.astype(ad.float64), ordered[:, :40], equal_nan=True)
    if not descending:
        assert ad.kthvalue(x, 70).indices.tolist() == expected[:, 69].tolist()
        assert ad.kthvalue(x.T, 70, 0, keepdims=True).indices.shape == (1, 2)


def test_nan_is_the_largest(backend: Backend) -> None:
    nan = float("nan")
    x = double([nan, 1.0, nan, float("inf")])
    assert ad.argsort(x).tolist() == [1, 3, 0, 2]
    assert ad.argsort(x, descending=True).tolist() == [0, 2, 3, 1]
    same(ad.sort(x, descending=True), [nan, nan, float("inf"), 1.0], equal_nan=True)
    assert ad.topk(x, 1).indices.tolist() == [0]


@pytest.mark.parametrize("largest", [True, False])
def test_topk_of_zeros_and_integers(backend: Backend, largest: bool) -> None:
    assert ad.topk(double([-0.0, 0.0, -0.0]), 2, largest=largest).indices.tolist() == [0, 1]
    x = ad.tensor([[-128, 127, -128]], dtype=ad.int8)
    assert ad.topk(x, 2, largest=largest).indices.tolist() == [[1, 0] if largest else [0, 2]]
    assert ad.topk(x, 1, dim=0, largest=largest).values.tolist() == x.tolist()
    assert ad.topk(ad.tensor([False, True, True]), 1, largest=largest).indices.tolist() == [1 if largest else 0]


def test_lexsort(backend: Backend) -> None:
    draw = np.random.default_rng(0)
    keys = [draw.integers(0, 3, (2, 30)) for _ in range(3)]
    for axis in (-1, 0):
        assert ad.lexsort([ad.tensor(k) for k in keys], axis=axis).tolist() == np.lexsort(keys, axis).tolist()
    assert ad.lexsort(ad.tensor(np.stack(keys))).tolist() == np.lexsort(keys).tolist()


def test_searchsorted(backend: Backend) -> None:
    x = ad.tensor([3.0, 1.0, 2.0])
    assert ad.searchsorted(x, 2.0, sorter=ad.argsort(x)).item() == 1
    assert ad.searchsorted(ad.tensor([1, 2, 2, 3]), 2, side="right").item() == 3
    assert ad.searchsorted(ad.tensor([1, 2]), ad.tensor([1.5]), right=True).tolist() == [1]
    values, bounds = ad.tensor([0.0, 1.0, 1.5, 9.0]), ad.tensor([0.0, 1.0, 2.0])
    for right in (False, True):
        expected = np.digitize(values.numpy(), bounds.numpy(), right)
        assert ad.digitize(values, bounds, right).tolist() == expected.tolist()
        assert ad.bucketize(values, bounds, right=not right).tolist() == expected.tolist()


# Counting ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bins", [4, [0.0, 0.5, 3.0]])
@pytest.mark.parametrize("density", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_histogram(backend: Backend, bins: Any, density: bool, weighted: bool) -> None:
    x = np.random.default_rng(0).standard_normal((5, 6))
    weights = np.abs(x) if weighted else None
    expected = np.histogram(x, bins, weights=weights, density=density)
    ours = bins if isinstance(bins, int) else double(bins)
    found = ad.histogram(double(x), ours, weights=None if weights is None else double(weights), density=density)
    same(found[0], expected[0], check_dtype=False)
    same(found[1], expected[1])
    assert weighted or density or found[0].dtype is ad.int64


def test_histogram_at_edges(backend: Backend) -> None:
    x = ad.tensor([0.0, 0.5, 1.0, 1.9, -0.5])
    assert ad.histogram(x, ad.tensor([0, 1, 2]))[0].tolist() == [2, 2]  # integer bounds cut nothing off
    assert ad.histogram(ad.tensor([2, 2]), 2)[0].tolist() == [0, 2]
    assert ad.histogram(ad.tensor([1.0, 2.0, 5.0]), 2, (1.0, 2.0))[0].tolist() == [1, 1]
    assert ad.histc(ad.tensor([1.0, 2.0, 5.0]), 2, 1.0, 2.0).tolist() == [1.0, 1.0]
    assert ad.histc(ad.tensor([1.0, 2.0, 5.0]), 4).tolist() == [1.0, 1.0, 0.0, 1.0]


def test_weights_of_bincount_have_a_gradient(backend: Backend) -> None:
    weights = double([1.0, 2.0, 3.0], requires_grad=True)
    counts = ad.bincount(ad.tensor([1, 3, 1]), weights, minlength=6)
    same(counts, [0.0, 4.0, 0.0, 2.0, 0.0, 0.0])
    (counts * double(np.arange(6.0))).sum().backward()
    same(weights.grad, [1.0, 3.0, 1.0])


def test_unique(backend: Backend) -> None:
    x = ad.tensor([[3, 1], [3, 2]])
    assert [t.tolist() for t in ad.unique(x, True, True)] == [[1, 2, 3], [[2, 0], [2, 1]], [1, 1, 2]]
    assert ad.unique(x).tolist() == [1, 2, 3]
    found = ad.unique_all(double([0.0, -0.0, float("nan"), float("nan")]))
    assert (len(found.values), found.counts.tolist()) == (3, [2, 1, 1])


def test_membership(backend: Backend) -> None:
    x = ad.tensor([1.0, float("nan"), 3.0])
    assert ad.isin(x, ad.tensor([3.0, float("nan")])).tolist() == [False, False, True]
    assert ad.isin(x, 1.0, invert=True).tolist() == [False, True, True]
    assert ad.isin(3, ad.tensor([1, 3])).item() is True
