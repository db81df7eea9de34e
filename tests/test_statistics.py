"""Reductions, statistics and calculus on samples: what samples do not show, and functions made of others."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import polyad as ad
from polyad.backend import Backend
from polyad.testing import assert_close, gradcheck, gradgradcheck

RNG = np.random.default_rng(0)
NAN, INF = math.nan, math.inf


def numbers(*shape: int, nan: float = 0.0, grad: bool = False) -> tuple[np.ndarray, ad.Tensor]:
    values = RNG.uniform(-2, 2, shape)
    values[RNG.random(shape) < nan] = NAN
    return values, ad.tensor(values, requires_grad=grad)


# Types ----------------------------------------------------------------------------------------------------------

ACCUMULATING = [ad.sum, ad.prod, ad.nansum, ad.nanprod, ad.cumulative_sum, ad.cumulative_prod]


@pytest.mark.parametrize("function", ACCUMULATING, ids=lambda f: f.function.name)
def test_types_that_are_added_up(backend: Backend, function: Any) -> None:
    for dtype in (ad.bool, ad.int8, ad.int32, ad.int64):
        assert function(ad.ones(3, dtype=dtype)).dtype is ad.int64
    for dtype in (ad.uint8, ad.uint32, ad.uint64):
        assert function(ad.ones(3, dtype=dtype)).dtype is ad.uint64
    for dtype in (ad.float32, ad.float64, ad.complex64):
        assert function(ad.ones(3, dtype=dtype)).dtype is dtype
    for dtype in (ad.uint8, ad.int16, ad.int32, ad.uint64, ad.float32, ad.float64, ad.complex128):
        assert function(ad.ones(3, dtype=ad.int32), dtype=dtype).dtype is dtype
    assert_close(function(ad.tensor([2, 3], dtype=ad.int8), dtype="float32")[..., None][..., -1].max() > 4, np.True_)


def test_sums_in_few_bits_wrap_round(backend: Backend) -> None:
    x = ad.tensor([200, 100], dtype=ad.uint8)
    assert x.sum().item() == 300
    assert x.sum(dtype=ad.uint8).item() == 44
    assert x.cumulative_sum(dtype=ad.int8).tolist() == [-56, 44]


@pytest.mark.parametrize("dtype", [ad.float16, ad.bfloat16])
def test_half_precision_is_added_up_in_single(backend: Backend, dtype: ad.DType) -> None:
    if dtype not in backend.dtypes:
        pytest.skip(f"no {dtype.name}")
    x = ad.ones(4000, dtype=dtype)
    assert x.sum().item() == 4000
    assert x.mean().item() == 1
    assert x.cumulative_sum()[-1].item() == 4000
    big = ad.full((8,), 60000.0, dtype=dtype)
    assert_close(big.mean().astype("float32"), big[0].astype("float32").detach())
    for function in (ad.sum, ad.mean, ad.prod, ad.var, ad.std, ad.logsumexp, ad.nanmean, ad.median):
        assert function(x).dtype is dtype


def test_other_names_of_the_correction(backend: Backend) -> None:
    _, x = numbers(5)
    assert_close(x.std(ddof=1), x.std(correction=1))
    assert_close(x.var(unbiased=True), x.var(correction=1))
    assert_close(x.nanvar(dim=0, ddof=1), x.var(correction=1))


# Gradients at edges ---------------------------------------------------------------------------------------------


def slope(function: Callable[[ad.Tensor], ad.Tensor], values: list[Any]) -> list[Any]:
    x = ad.tensor(values, dtype=ad.float64, requires_grad=True)
    function(x).sum().backward()
    assert x.grad is not None
    return x.grad.tolist()  # type: ignore[no-any-return]


def test_products_of_products_with_zeros(backend: Backend) -> None:
    for values in ([0.0, 2.0, 3.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0, 2.0]):
        x = ad.tensor(values, dtype=ad.float64, requires_grad=True)
        (first,) = ad.autograd.grad(ad.prod(x), x, create_graph=True)
        n = len(values)
        for i in range(n):
            (second,) = ad.autograd.grad(first[i], x, retain_graph=True)
            others = [[math.prod(v for k, v in enumerate(values) if k not in (i, j)) * (i != j)] for j in range(n)]
            assert_close(second, np.array(others)[:, 0])


def test_gradient_of_an_extreme_goes_to_nan(backend: Backend) -> None:
    assert slope(ad.max, [1.0, NAN, 3.0]) == [0, 1, 0]
    assert slope(ad.min, [1.0, NAN, NAN]) == [0, 0.5, 0.5]
    assert slope(ad.nanmax, [3.0, NAN, 3.0]) == [0.5, 0, 0.5]
    assert slope(ad.nanmax, [NAN, NAN]) == [0, 0]


def test_nothing_comes_of_minus_infinity(backend: Backend) -> None:
    assert slope(ad.logsumexp, [-INF, 0.0, 0.0]) == [0, 0.5, 0.5]
    assert slope(ad.logsumexp, [-INF, -INF]) == [0, 0]
    assert slope(ad.logcumsumexp, [-INF, 0.0, -INF]) == [0, 2, 0]


@pytest.mark.parametrize("function", [ad.nansum, ad.nanprod, ad.nanmean, ad.nanvar, ad.nanstd, ad.nanmax])
def test_no_gradient_goes_to_nan(backend: Backend, function: Any) -> None:
    with_nan = slope(function, [1.0, NAN, 2.0, 4.0])
    without = slope(function, [1.0, 2.0, 4.0])
    assert with_nan[1] == 0
    assert_close(np.array(with_nan)[[0, 2, 3]], np.array(without))
    assert slope(function, [NAN, NAN]) == [0, 0]


def test_infinities(backend: Backend) -> None:
    assert ad.logsumexp(ad.tensor([INF, 1e5])).item() == INF
    assert ad.median(ad.tensor([INF, INF])).item() == INF
    x = ad.tensor([INF, -INF, 1.0, INF])
    assert ad.quantile(x, (0.0, 1 / 3, 1.0)).tolist() == [-INF, 1.0, INF]
    assert ad.nanquantile(x, (0.0, 1 / 3, 1.0)).tolist() == [-INF, 1.0, INF]


# Running sums ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40_000,), (300, 129), (129, 300), (3, 200, 40), (40, 3, 200)])
def test_long_running_sums(backend: Backend, shape: tuple[int, ...]) -> None:
    values = RNG.standard_normal(shape)
    for axis in range(len(shape)):
        x = ad.tensor(values, requires_grad=True)
        found = ad.cumulative_sum(x, axis=axis)
        assert_close(found, np.cumsum(values, axis), rtol=1e-9, atol=1e-9)
        weights = RNG.standard_normal(shape)
        (found * ad.tensor(weights)).sum().backward()
        assert_close(x.grad, np.flip(np.cumsum(np.flip(weights, axis), axis), axis), rtol=1e-9, atol=1e-9)
        first = ad.cumulative_sum(x.detach(), axis=axis, include_initial=True)
        assert_close(first, np.cumulative_sum(values, axis=axis, include_initial=True), rtol=1e-9, atol=1e-9)
        products = ad.cumulative_prod(ad.tensor(1 + values / 100), axis=axis)
        assert_close(products, np.cumprod(1 + values / 100, axis), rtol=1e-9)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_long_running_sums_of_what_is_not_finite(backend: Backend, bad: float) -> None:
    values = RNG.standard_normal((200, 300))
    values[50, 145] = bad
    expected = np.cumsum(values, 1)
    assert_close(ad.cumulative_sum(ad.tensor(values), axis=1), expected, equal_nan=True, rtol=1e-9, atol=1e-9)


# Quantiles ------------------------------------------------------------------------------------------------------

METHODS = ["linear", "lower", "higher", "nearest", "midpoint", "hazen", "weibull", "median_unbiased", "normal_unbiased"]


@pytest.mark.parametrize("method", [*METHODS, "interpolated_inverted_cdf"])
def test_quantiles_without_nan(backend: Backend, method: str) -> None:
    values, x = numbers(6, 5, nan=0.3)
    for q in (0.0, 0.25, 0.5, 0.99, 1.0, (0.1, 0.6)):
        for axis in (0, 1, None):
            expected = np.nanquantile(values, q, axis=axis, method=method)  # type: ignore[call-overload]
            assert_close(ad.nanquantile(x, q, axis=axis, method=method), expected)
    missing = ad.isnan(x)
    _, y = numbers(6, 5, grad=True)
    assert gradcheck(lambda t: ad.nanquantile(ad.where(missing, NAN, t), 0.4, axis=1, method=method), y)


def test_quantiles_by_other_names(backend: Backend) -> None:
    values, x = numbers(4, 5)
    assert_close(ad.percentile(x, 30, axis=1), np.percentile(values, 30, axis=1))
    assert_close(x.quantile(ad.tensor([0.2, 0.7]), dim=1), np.quantile(values, [np.float32(0.2), np.float32(0.7)], 1))
    assert_close(
        x.quantile(0.3, 1, True, interpolation="higher"), np.quantile(values, 0.3, 1, method="higher", keepdims=True)
    )
    assert_close(ad.nanpercentile(x, [30, 50]), np.percentile(values, [30, 50]))
    assert_close(ad.nanmedian(x, axis=0), np.median(values, 0))
    assert_close(ad.nanquantile(ad.arange(5), 0.5), np.float32(2))
    assert ad.nanmedian(ad.tensor([NAN, NAN])).isnan().item()


def test_errors_of_quantiles(backend: Backend) -> None:
    x = ad.ones(3)
    with pytest.raises(ad.errors.OperandError, match="percentile: q is a number from 0 to 100, or several; got 'all'"):
        ad.percentile(x, "all")
    with pytest.raises(ad.errors.ArgumentError, match="nanquantile: method is one of 'interpolated.* got 'guess'"):
        ad.nanquantile(x, 0.5, method="guess")
    with pytest.raises(ad.errors.ShapeError, match="nanquantile: no elements to choose from"):
        ad.nanquantile(x[:0], 0.5)
    with pytest.raises(ad.errors.OperandError, match="nanquantile: x is list"):
        ad.nanquantile([1.0], 0.5)  # type: ignore[arg-type]


def test_mode(backend: Backend) -> None:
    x = ad.tensor([[2.0, 1.0, 2.0, 1.0, 3.0], [5.0, 4.0, 4.0, 4.0, 5.0]], requires_grad=True)
    found = ad.mode(x, axis=1)
    assert (found.values.tolist(), found.indices.tolist()) == ([1, 4], [3, 3])
    assert ad.mode(x, 1, True).values.shape == (2, 1)
    assert ad.mode(x, axis=0).values.tolist() == [2, 1, 2, 1, 3]
    found.values.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 0, 0, 1, 0], [0, 0, 0, 1, 0]]
    with pytest.raises(ad.errors.ShapeError, match=r"mode: no elements to choose from: the shape is \(0,\)"):
        ad.mode(ad.ones(0))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_mode_is_met_most_often(values: list[int]) -> None:
    value, index = (v.item() for v in ad.mode(ad.tensor(values, backend="numpy")))
    counts = {v: values.count(v) for v in values}
    assert value == min(v for v, n in counts.items() if n == max(counts.values()))
    assert index == len(values) - 1 - values[::-1].index(value)


# Averages and covariances ---------------------------------------------------------------------------------------


def test_average(backend: Backend) -> None:
    values, x = numbers(3, 4)
    weights, w = (abs(v) for v in numbers(3, 4))
    assert_close(ad.average(x), np.average(values))
    assert_close(ad.average(x, 0, w), np.average(values, 0, weights))
    assert_close(
        ad.average(x, axis=(0, 1), weights=w, keepdims=True), np.average(values, weights=weights, keepdims=True)
    )
    assert_close(ad.average(x, axis=1, weights=w[0]), np.average(values, 1, weights[0]))
    for found, expected in zip(
        ad.average(x, 0, w, returned=True), np.average(values, 0, weights, returned=True), strict=True
    ):
        assert_close(found, expected)
    assert ad.average(x, 0, returned=True)[1].tolist() == [3, 3, 3, 3]
    assert gradcheck(lambda a, b: ad.average(a, 1, b), [x.detach().requires_grad_(), w.detach().requires_grad_()])
    with pytest.raises(
        ad.errors.ShapeError, match=r"average: the weights have shape \(3,\); expected that of x, \(3, 4\)"
    ):
        ad.average(x, 1, w[:, 0])
    with pytest.raises(ad.errors.OperandError, match="average: x is list"):
        ad.average([1.0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"bias": True},
        {"ddof": 0},
        {"rowvar": False},
        {"fweights": 1},
        {"aweights": 1},
        {"fweights": 1, "aweights": 1},
    ],
)
def test_cov(backend: Backend, params: dict[str, Any]) -> None:
    values, x = numbers(4, 4)
    weights = {
        "fweights": np.array([1, 2, 3, 1]),
        "aweights": np.array([0.5, 1.0, 2.0, 0.1]),
    }
    theirs = {k: weights.get(k, v) for k, v in params.items()}
    ours = {k: ad.tensor(v) if isinstance(v, np.ndarray) else v for k, v in theirs.items()}
    assert_close(ad.cov(x, **ours), np.cov(values, **theirs))
    assert_close(
        ad.cov(x, x[:1] * 2, **ours) if params.get("rowvar", True) else ad.cov(x, **ours),
        (np.cov(values, values[:1] * 2, **theirs) if params.get("rowvar", True) else np.cov(values, **theirs)),
    )
    assert_close(
        ad.cov(x[0], **{k: v for k, v in ours.items() if k != "rowvar"}),
        (np.cov(values[0], **{k: v for k, v in theirs.items() if k != "rowvar"})),
    )
    z = ad.tensor(values + 1j * values.T, requires_grad=True)
    assert_close(ad.cov(z.detach(), **ours), np.cov(z.detach().numpy(), **theirs))
    assert gradcheck(lambda t: ad.cov(t, **ours), z)


def test_cov_of_too_few_and_errors(backend: Backend) -> None:
    assert ad.cov(ad.ones(2, 1)).isnan().all().item()
    with pytest.raises(ad.errors.ShapeError, match=r"cov: x has shape \(1, 1, 1\); expected at most two dimensions"):
        ad.cov(ad.ones(1, 1, 1))
    with pytest.raises(ad.errors.ShapeError, match=r"cov: aweights has shape \(3,\); expected \(2,\), one for each"):
        ad.cov(ad.ones(1, 2), aweights=ad.ones(3))
    with pytest.raises(ad.errors.OperandError, match="corrcoef: y is list"):
        ad.corrcoef(ad.ones(2), [1.0])  # type: ignore[arg-type]


def test_corrcoef(backend: Backend) -> None:
    values, x = numbers(3, 6, grad=True)
    assert_close(ad.corrcoef(x.detach()), np.corrcoef(values))
    assert_close(ad.corrcoef(x.detach()[0], x.detach()[1]), np.corrcoef(values[0], values[1]))
    assert ad.corrcoef(x.detach()[0]).item() == 1
    assert gradcheck(lambda t: ad.corrcoef(t[:2])[0, 1], x)
    z = values + 1j * values[::-1]
    assert_close(ad.corrcoef(ad.tensor(z)), np.corrcoef(z))


# Calculus -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient(backend: Backend, edge_order: int) -> None:
    values, x = numbers(4, 5)
    places = np.array([0.0, 1.0, 1.5, 4.0, 4.5])
    for axis in (0, -1):
        assert_close(
            ad.gradient(x, 0.5, axis=axis, edge_order=edge_order),
            np.gradient(values, 0.5, axis=axis, edge_order=edge_order),
        )
    both = ad.gradient(x, 2, ad.tensor(places), edge_order=edge_order)
    expected = np.gradient(values, 2, places, edge_order=edge_order)
    for found, wanted in zip(both, expected, strict=True):
        assert_close(found, wanted)
    leaves = [x.detach().requires_grad_(), ad.tensor(places, requires_grad=True)]
    assert gradcheck(lambda t, p: ad.gradient(t, p, axis=1, edge_order=edge_order), leaves)
    assert gradgradcheck(lambda t, p: ad.gradient(t, p, axis=1, edge_order=edge_order), leaves)
    assert_close(ad.gradient(ad.arange(3)), np.ones(3, np.float32))


def test_errors_of_gradient(backend: Backend) -> None:
    x = ad.ones(2, 3)
    with pytest.raises(ad.errors.ArgumentError, match="gradient: got 3 spacings for 2 axes; give one for all or for"):
        ad.gradient(x, 1, 2, 3)
    with pytest.raises(ad.errors.ArgumentError, match="gradient: edge_order is 1 or 2; got 3"):
        ad.gradient(x, edge_order=3)
    with pytest.raises(ad.errors.ShapeError, match="gradient: axis 0 has 2 elements; edge_order 2 needs 3"):
        ad.gradient(x, edge_order=2)
    with pytest.raises(ad.errors.ShapeError, match=r"gradient: places have shape \(2,\); expected \(3,\)"):
        ad.gradient(x, ad.ones(2), axis=1)
    with pytest.raises(ad.errors.IndexOutOfRangeError, match="axis 2 is out of range"):
        ad.gradient(x, axis=2)


def test_interp(backend: Backend) -> None:
    places, x = numbers(3, 5)
    points, values = np.array([-1.5, -1.0, 0.5, 1.5]), RNG.standard_normal(4)
    p, v = ad.tensor(points), ad.tensor(values)
    assert_close(ad.interp(x, p, v), np.interp(places, points, values))
    assert_close(ad.interp(x, xp=p, fp=v, left=7, right=-7), np.interp(places, points, values, left=7, right=-7))
    shuffled = [2, 0, 3, 1]
    found = ad.interp(x, p[shuffled], v[shuffled], period=2.75)
    assert_close(found, np.interp(places, points[shuffled], values[shuffled], period=2.75))
    leaves = [t.detach().requires_grad_() for t in (x, p, v)]
    assert gradcheck(lambda *t: ad.interp(*t, period=3.5), leaves)
    assert ad.interp(ad.tensor(NAN), p, v).isnan().item()
    assert ad.interp(ad.ones(2, 0), p, v).shape == (2, 0)
    with pytest.raises(ad.errors.ArgumentError, match="interp: the period must not be 0"):
        ad.interp(x, p, v, period=0)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_correlate(backend: Backend, mode: str) -> None:
    for n, m in ((5, 3), (3, 5), (4, 4), (1, 2)):
        a, v = (RNG.standard_normal(k) + 1j * RNG.standard_normal(k) for k in (n, m))
        x, y = ad.tensor(a, requires_grad=True), ad.tensor(v, requires_grad=True)
        assert_close(ad.correlate(x.detach(), y.detach(), mode), np.correlate(a, v, mode))
        assert gradcheck(lambda x, y: ad.correlate(x, y, mode), [x, y])


def test_differences_with_ends(backend: Backend) -> None:
    values, x = numbers(2, 4)
    assert_close(ad.diff(x, prepend=0), np.diff(values, prepend=0))
    assert_close(ad.diff(x, axis=0, append=x[:1], n=2), np.diff(values, 2, 0, append=values[:1]))
    assert ad.diff(ad.arange(3), prepend=ad.tensor([5])).tolist() == [-5, 1, 1]
    assert_close(ad.ediff1d(x, to_begin=x[0, :1], to_end=x), np.ediff1d(values, values, values[0, :1]))
    x.requires_grad_()
    y = ad.diff(x, n=0)
    assert y is not x
    assert gradcheck(lambda t: ad.diff(t, prepend=t[:, :1] * 2, append=1.0), x)
    with pytest.raises(ad.errors.OperandError, match="diff: n must be an integer; got 1.5"):
        ad.diff(x, n=1.5)  # type: ignore[arg-type]
