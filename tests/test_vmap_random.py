"""Random numbers inside `vmap`: other ones for each example, the same for all, or an error."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.errors import ArgumentError, DeviceError, TransformError
from polyad.func import grad, jvp, vmap
from polyad.testing import assert_close

SIZE = 4
DRAWS: dict[str, Callable[[Any], Any]] = {  # by the functions that the message names; of a row of numbers from 1 to 4
    "rand": lambda row: ad.rand(5),
    "rand ": lambda row: ad.rand_like(row),
    "randn": lambda row: ad.randn(5, dtype="float64"),
    "randn ": lambda row: row + ad.randn_like(row),
    "randint": lambda row: ad.randint(0, 1000, (5,)),
    "randint ": lambda row: ad.randint_like(row, 1000),
    "randperm": lambda row: ad.randperm(20),
    "randperm ": lambda row: ad.random.permutation(ad.arange(20)),
    "randperm  ": lambda row: ad.random.choice(20, 10, replace=False),
    "normal": lambda row: ad.random.normal(row, 2.0),
    "normal ": lambda row: row.clone().normal_(),
    "uniform": lambda row: ad.random.uniform(0.0, row),
    "uniform ": lambda row: ad.empty_like(row).uniform_(-1.0, 1.0),
    "exponential": lambda row: ad.random.exponential(row),
    "laplace": lambda row: ad.random.laplace(row),
    "gumbel": lambda row: ad.random.gumbel(row),
    "cauchy": lambda row: ad.random.cauchy(size=5),
    "gamma": lambda row: ad.random.gamma(2.0, row, size=(6,)),
    "beta": lambda row: ad.random.beta(2.0, 3.0, size=6),
    "dirichlet": lambda row: ad.random.dirichlet(ad.tensor([1.0, 2.0, 3.0])),
    "bernoulli": lambda row: ad.random.bernoulli(0.5, size=64),
    "bernoulli ": lambda row: ad.random.bernoulli(row[0] / 8, size=64),
    "poisson": lambda row: ad.random.poisson(1000.0, size=3),
    "binomial": lambda row: ad.random.binomial(1000, 0.5, size=5),
    "multinomial": lambda row: ad.random.multinomial(1000, [0.2, 0.3, 0.5]),
    "categorical": lambda row: ad.random.categorical(row[:2], size=64),
    "choice": lambda row: ad.random.choice(ad.arange(100.0), 5, p=[0.01] * 100),
    "rand  ": lambda row: ad.nn.functional.dropout(ad.ones(64), 0.5),
}
DIFFER = {"normal", "uniform", "exponential", "laplace", "gumbel", "randn ", "gamma", "categorical", "bernoulli "}
"""Those whose parameters are the rows, so that the same random numbers give others for each."""


def rows() -> Any:
    return ad.tensor(np.random.default_rng(0).uniform(1, 4, (SIZE, 6)))


@pytest.mark.parametrize("name", DRAWS)
def test_different_numbers_for_each_example(backend: Backend, name: str) -> None:
    found = vmap(DRAWS[name], randomness="different")(rows())
    one = DRAWS[name](rows()[0])
    assert (found.shape, found.dtype, found.device) == ((SIZE, *one.shape), one.dtype, one.device)
    assert len({tuple(np.ravel(y.tolist())) for y in found}) == SIZE


@pytest.mark.parametrize("name", DRAWS)
def test_the_same_numbers_for_all_examples(backend: Backend, name: str) -> None:
    x = rows()[:1].expand(SIZE, 6) if name in DIFFER else rows()
    found = vmap(DRAWS[name], randomness="same")(x)
    for y in found[1:]:
        assert_close(y, found[0], rtol=0, atol=0)
    ad.manual_seed(3)
    found = vmap(DRAWS[name], randomness="same")(x)
    ad.manual_seed(3)
    assert_close(found[0], DRAWS[name](x[0]), check_dtype=False)  # what is drawn is what is drawn without vmap


@pytest.mark.parametrize("name", DRAWS)
def test_no_numbers_unless_asked_for(backend: Backend, name: str) -> None:
    message = rf"vmap: {name.strip()} draws random numbers; write .*randomness='different'.* or randomness='same'"
    ad.manual_seed(2)
    with pytest.raises(TransformError, match=message):
        vmap(DRAWS[name])(rows())
    undisturbed = ad.rand(3)
    ad.manual_seed(2)
    assert_close(undisturbed, ad.rand(3), rtol=0, atol=0)


@pytest.mark.parametrize("randomness", ["different", "same"])
@pytest.mark.parametrize("name", DRAWS)
def test_seeds_give_the_same_numbers_again(backend: Backend, name: str, randomness: str) -> None:
    mapped = vmap(DRAWS[name], randomness=randomness)
    ad.manual_seed(7)
    first, second = mapped(rows()), mapped(rows())
    ad.manual_seed(7)
    assert_close(mapped(rows()), first, rtol=0, atol=0)
    assert_close(mapped(rows()), second, rtol=0, atol=0)


def test_an_own_generator(backend: Backend) -> None:
    g = ad.Generator().manual_seed(5)
    found = vmap(lambda row: row + ad.rand(6, generator=g, dtype="float64"), randomness="different")(rows())
    g.manual_seed(5)
    assert_close(found, rows() + ad.rand(SIZE, 6, generator=g, dtype="float64"))
    found = vmap(lambda row: ad.rand_like(row, generator=g.manual_seed(5)), randomness="same")(rows())
    assert_close(found[2], ad.rand(6, generator=g.manual_seed(5), dtype="float64"))


# Distributions --------------------------------------------------------------------------------------------------

MANY = 20000


@pytest.mark.parametrize(
    ("draw", "mean", "std"),
    [
        (lambda p: ad.random.normal(p, 2 * p), lambda p: p, lambda p: 2 * p),
        (lambda p: ad.random.uniform(0.0, p), lambda p: p / 2, lambda p: p / 12**0.5),
        (lambda p: ad.random.gamma(p), lambda p: p, lambda p: p**0.5),
        (lambda p: ad.random.poisson(p, dtype="float64"), lambda p: p, lambda p: p**0.5),
        (
            lambda p: ad.random.binomial(10, p / 5, dtype="float64"),
            lambda p: 2 * p,
            lambda p: (2 * p * (1 - p / 5)) ** 0.5,
        ),
        (lambda p: ad.random.bernoulli(p / 5), lambda p: p / 5, lambda p: (p / 5 * (1 - p / 5)) ** 0.5),
    ],
    ids=["normal", "uniform", "gamma", "poisson", "binomial", "bernoulli"],
)
def test_each_example_has_the_distribution_of_its_parameters(
    backend: Backend, draw: Callable[[Any], Any], mean: Callable[[Any], Any], std: Callable[[Any], Any]
) -> None:
    ad.manual_seed(11)
    p = np.array([0.5, 1.0, 3.0, 4.0])
    many = np.random.default_rng(1).permutation(np.repeat(p, MANY))
    found = np.asarray(vmap(draw, randomness="different")(ad.tensor(many)).tolist())
    for value in p:
        own = found[many == value]
        assert abs(own.mean() - mean(value)) < 5 * std(value) / MANY**0.5
        assert abs(own.std() / std(value) - 1) < 0.05


def test_examples_are_independent(backend: Backend) -> None:
    ad.manual_seed(12)
    found = np.asarray(vmap(lambda row: ad.randn(MANY), randomness="different")(rows()).tolist())
    assert np.abs(np.corrcoef(found) - np.eye(SIZE)).max() < 5 / MANY**0.5


def test_every_order_is_as_likely(backend: Backend) -> None:
    ad.manual_seed(13)
    found = vmap(lambda x: ad.randperm(3), randomness="different")(ad.zeros(6000))
    assert_close(ad.sort(found, axis=1), ad.arange(3).expand(6000, 3))
    orders, counts = np.unique(np.asarray(found.tolist()), axis=0, return_counts=True)
    assert len(orders) == 6
    assert np.abs(counts - 1000).max() < 150


# Nested ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outer", ["different", "same"])
@pytest.mark.parametrize("inner", ["different", "same"])
def test_two_levels(backend: Backend, outer: str, inner: str) -> None:
    def column(row: Any) -> Any:
        return vmap(lambda x: ad.rand((), dtype="float64") + 0 * x, randomness=inner)(row)

    found = vmap(column, randomness=outer)(rows())
    assert found.shape == (SIZE, 6)
    values = np.asarray(found.tolist())
    assert len(np.unique(values[:, 0])) == (SIZE if outer == "different" else 1)
    assert len(np.unique(values[0])) == (6 if inner == "different" else 1)


def test_an_outer_level_that_was_not_told_refuses(backend: Backend) -> None:
    with pytest.raises(TransformError, match="vmap: rand draws random numbers"):
        vmap(vmap(lambda x: x + ad.rand(()), randomness="different"))(rows())
    with pytest.raises(TransformError, match="vmap: rand draws random numbers"):
        vmap(vmap(lambda x: x + ad.rand(())), randomness="different")(rows())


def test_outside_random_functions_are_as_ever(backend: Backend) -> None:
    with pytest.raises(TransformError, match="vmap: randn draws"):
        vmap(lambda row: row + ad.randn(6))(rows())
    assert ad.randn(6).shape == (6,)


# Derivatives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draw",
    [
        lambda a, b: ad.random.normal(a, b),
        lambda a, b: ad.random.gamma(a, b),
        lambda a, b: ad.random.beta(a, b),
        lambda a, b: ad.random.laplace(a, b) * ad.random.bernoulli(0.5),
    ],
    ids=["normal", "gamma", "beta", "laplace"],
)
def test_forward_mode_has_reparametrised_gradients(backend: Backend, draw: Callable[..., Any]) -> None:
    a, b = ad.tensor([1.5, 2.0, 0.7], dtype="float64"), ad.tensor([0.5, 3.0, 1.0], dtype="float64")
    tangents = ad.tensor([1.0, 0.0, 2.0], dtype="float64"), ad.tensor([0.5, 1.0, 0.0], dtype="float64")
    ad.manual_seed(21)
    out, moved = jvp(draw, (a, b), tangents)
    ad.manual_seed(21)
    x, y = a.clone().requires_grad_(), b.clone().requires_grad_()
    drawn = draw(x, y)
    assert_close(out, drawn.detach())
    drawn.backward(ad.ones_like(drawn))  # each depends on its own parameters alone
    assert x.grad is not None
    assert y.grad is not None
    assert_close(moved, x.grad * tangents[0] + y.grad * tangents[1])


def test_gradients_for_each_example(backend: Backend) -> None:
    ad.manual_seed(22)
    scale = ad.tensor([1.0, 2.0, 3.0], dtype="float64")
    slopes = vmap(grad(lambda s: ad.random.normal(0.0, s) ** 2), randomness="different")(scale)
    ad.manual_seed(22)
    noise = ad.randn(3, dtype="float64")
    assert_close(slopes, 2 * scale * noise**2)


# Bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gamma", "poisson", "binomial", "dirichlet"])
def test_the_same_numbers_need_the_same_parameters(backend: Backend, name: str) -> None:
    draw: Any = {
        "gamma": ad.random.gamma,
        "poisson": ad.random.poisson,
        "binomial": lambda row: ad.random.binomial(5, row / 4),
        "dirichlet": ad.random.dirichlet,
    }[name]
    with pytest.raises(TransformError, match=rf"vmap: {name} cannot draw the same numbers .* randomness='different'"):
        vmap(draw, randomness="same")(rows())


def test_bad_parameters_are_found_among_all_examples(backend: Backend) -> None:
    with pytest.raises(ArgumentError, match=r"bernoulli: p must lie between 0 and 1 .* got 1.5"):
        vmap(ad.random.bernoulli, randomness="different")(ad.tensor([0.5, 1.5]))


def test_generators_are_made_outside(backend: Backend) -> None:
    with pytest.raises(TransformError, match="Generator: there is none on vmap of .*; make it outside the function"):
        vmap(lambda row: ad.rand(2, generator=ad.Generator(row.device)))(rows())
    g = ad.Generator("cpu", backend="numpy")
    if backend.name != "numpy":
        with pytest.raises(ArgumentError, match="rand: the generator is on backend 'numpy'.* on vmap of"):
            vmap(lambda row: ad.rand_like(row, generator=g), randomness="same")(rows())


def test_different_numbers_do_not_fit_a_tensor_from_outside(backend: Backend) -> None:
    outside = ad.zeros(6)
    with pytest.raises(TransformError, match=r"normal_: the tensor of shape \(6,\) is on .* polyad.zeros_like\(x\)"):
        vmap(lambda row: outside.normal_(), randomness="different")(rows())
    assert outside.tolist() == [0.0] * 6


def test_parameters_on_other_backends_are_refused() -> None:
    jax = pytest.importorskip("jax")
    assert jax
    other = ad.ones(6, backend="jax")
    with pytest.raises(DeviceError, match=r"normal: loc is on vmap of numpy.*, scale on backend 'jax'"):
        vmap(lambda row: ad.random.normal(row, other), randomness="different")(ad.tensor(np.ones((2, 6))))
