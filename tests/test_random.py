"""Random numbers: generators, distributions and their gradients, choices, and methods that fill tensors.

Moments are those of a fixed seed, and compared in standard errors: 5 of them are exceeded once in two million times.
"""

import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad import random
from polyad.backend import Backend
from polyad.errors import ArgumentError, AutogradError, DeviceError, DTypeError, OperandError, ShapeError
from polyad.testing import assert_close, gradcheck

N = 40_000
ERRORS = 5.0  # standard errors


@pytest.fixture(autouse=True)
def seeded(backend: Backend) -> None:
    ad.manual_seed(0)


def near(sample: Any, expected: Any) -> None:
    """The mean of a sample, over its first dimension, is a number up to a few standard errors."""
    values = np.asarray(sample, dtype=np.float64)
    error = values.std(axis=0, ddof=1) / math.sqrt(len(values)) + 1e-7
    off = np.abs(values.mean(axis=0) - expected) / error
    assert np.all(off < ERRORS), f"{values.mean(axis=0)} is {off} standard errors from {expected}"


# Continuous distributions ---------------------------------------------------------------------------------------

EULER = 0.5772156649015329
Draw = Callable[..., ad.Tensor]

# name: (draw, parameters, mean, variance)
CONTINUOUS: dict[str, tuple[Draw, tuple[float, ...], Callable[..., Any], Callable[..., Any]]] = {
    "normal": (random.normal, (1.5, 2.0), lambda m, s: m, lambda m, s: s**2),
    "lognormal": (
        random.lognormal,
        (0.2, 0.4),
        lambda m, s: np.exp(m + s**2 / 2),
        lambda m, s: (np.exp(s**2) - 1) * np.exp(2 * m + s**2),
    ),
    "uniform": (random.uniform, (-1.0, 3.0), lambda a, b: (a + b) / 2, lambda a, b: (b - a) ** 2 / 12),
    "exponential": (random.exponential, (2.5,), lambda s: s, lambda s: s**2),
    "laplace": (random.laplace, (-1.0, 0.7), lambda m, s: m, lambda m, s: 2 * s**2),
    "gumbel": (random.gumbel, (1.0, 2.0), lambda m, s: m + EULER * s, lambda m, s: (math.pi * s) ** 2 / 6),
    "logistic": (random.logistic, (1.0, 0.5), lambda m, s: m, lambda m, s: (math.pi * s) ** 2 / 3),
    "gamma": (random.gamma, (2.5, 1.5), lambda k, s: k * s, lambda k, s: k * s**2),
    "gamma of small shape": (random.gamma, (0.1, 1.0), lambda k, s: k * s, lambda k, s: k * s**2),
    "gamma of large shape": (random.gamma, (300.0, 1.0), lambda k, s: k * s, lambda k, s: k * s**2),
    "beta": (random.beta, (0.7, 2.0), lambda a, b: a / (a + b), lambda a, b: a * b / ((a + b) ** 2 * (a + b + 1))),
}
continuous = pytest.mark.parametrize("name", CONTINUOUS)


@continuous
def test_moments(backend: Backend, name: str) -> None:
    draw, params, mean, variance = CONTINUOUS[name]
    x = draw(*params, size=N)
    assert (x.shape, x.dtype, x.backend) == ((N,), ad.float32, backend)
    values = x.numpy().astype(np.float64)
    near(values, mean(*params))
    near((values - mean(*params)) ** 2, variance(*params))


@continuous
def test_mean_gradient_is_the_gradient_of_the_mean(backend: Backend, name: str) -> None:
    draw, params, mean, _ = CONTINUOUS[name]
    leaves = [ad.full((N,), p, dtype=ad.float64, requires_grad=True) for p in params]
    draw(*leaves).sum().backward()
    for i, leaf in enumerate(leaves):
        assert leaf.grad is not None
        up, down = ([p + (h if i == j else 0) for j, p in enumerate(params)] for h in (1e-6, -1e-6))
        near(leaf.grad.numpy(), (mean(*up) - mean(*down)) / 2e-6)


@pytest.mark.parametrize("name", [n for n in CONTINUOUS if not n.startswith(("gamma", "beta"))])
def test_gradients_with_the_noise_held_fixed(backend: Backend, name: str) -> None:
    draw, params, _, _ = CONTINUOUS[name]
    g = ad.Generator()
    leaves = [ad.full((3,), p, dtype=ad.float64, requires_grad=True) for p in params]
    gradcheck(lambda *p: draw(*p, size=(2, 3), generator=g.manual_seed(1)), leaves)


def test_cauchy_has_its_quartiles(backend: Backend) -> None:
    x = random.cauchy(2.0, 3.0, size=N).numpy()
    for quantile, expected in ((0.25, -1.0), (0.5, 2.0), (0.75, 5.0)):
        near(x < expected, quantile)
    loc, scale = (ad.tensor(v, requires_grad=True) for v in (2.0, 3.0))
    y = random.cauchy(loc, scale)
    y.backward()
    assert loc.grad is not None
    assert scale.grad is not None
    assert loc.grad.item() == 1.0
    assert_close(scale.grad, (y.detach() - 2) / 3, rtol=1e-5)


def test_distribution_functions(backend: Backend) -> None:
    """Kolmogorov and Smirnov's test: a distance of more than 2.5 / sqrt(n) comes once in 100,000 times."""
    stats = pytest.importorskip("scipy.stats")
    for x, law in (
        (random.normal(size=N), stats.norm),
        (random.exponential(size=N), stats.expon),
        (random.laplace(size=N), stats.laplace),
        (random.gumbel(size=N), stats.gumbel_r),
        (random.logistic(size=N), stats.logistic),
        (random.cauchy(size=N), stats.cauchy),
        (random.gamma(0.3, size=N), stats.gamma(0.3)),
        (random.gamma(4.0, size=N), stats.gamma(4.0)),
        (random.beta(0.5, 0.5, size=N, dtype=ad.float64), stats.beta(0.5, 0.5)),
    ):
        values = np.sort(x.numpy().astype(np.float64))
        distance = np.abs(law.cdf(values) - (np.arange(N) + 0.5) / N).max()
        assert distance < 2.5 / math.sqrt(N), law


@continuous
@pytest.mark.parametrize("dtype", [ad.float16, ad.bfloat16, ad.float32, ad.float64])
def test_type_of_the_parameters(backend: Backend, name: str, dtype: ad.DType) -> None:
    if dtype not in ad.default_device().native:
        pytest.skip(f"backend {backend.name!r} has no {dtype.name}")
    draw, params, *_ = CONTINUOUS[name]
    first = ad.tensor([params[0]] * 2, dtype=dtype, requires_grad=True)
    x = draw(first, *params[1:], size=(3, 2))
    assert (x.dtype, x.shape) == (dtype, (3, 2))
    x.sum().backward()
    assert first.grad is not None
    assert (first.grad.dtype, first.grad.shape) == (dtype, (2,))
    assert draw(*params, size=2, dtype=dtype).dtype is dtype


def test_numbers_with_nothing_to_change_are_noise(backend: Backend) -> None:
    g = ad.Generator()
    assert (
        random.normal(size=5, generator=g.manual_seed(3)).tolist() == ad.randn(5, generator=g.manual_seed(3)).tolist()
    )
    assert (
        random.uniform(size=5, generator=g.manual_seed(3)).tolist() == ad.rand(5, generator=g.manual_seed(3)).tolist()
    )
    assert random.normal().shape == ()


@pytest.mark.parametrize("dtype", [ad.float32, ad.float64])
@pytest.mark.parametrize("draw", [random.gumbel, random.logistic, random.exponential, random.laplace, random.cauchy])
def test_a_uniform_number_of_0_gives_no_infinity(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, draw: Draw, dtype: ad.DType
) -> None:
    g = ad.Generator()
    zeros = ad.zeros(3, dtype=dtype)
    monkeypatch.setattr(g.source, "uniform", lambda shape, dtype: zeros.array)
    assert bool(ad.isfinite(draw(size=3, dtype=dtype, generator=g)).all())


def test_half_precision_never_gives_infinity(backend: Backend) -> None:
    if ad.float16 not in ad.default_device().native:
        pytest.skip(f"backend {backend.name!r} has no float16")
    for draw in (random.gumbel, random.logistic, random.exponential, random.laplace):
        assert bool(ad.isfinite(draw(size=N, dtype=ad.float16)).all())


# Gamma variables ------------------------------------------------------------------------------------------------


def test_gamma_gradient_is_that_of_the_quantile(backend: Backend) -> None:
    """Against finite differences of the quantile, at the probabilities of the numbers that were drawn."""
    special = pytest.importorskip("scipy.special")
    shapes = np.repeat([0.05, 0.5, 1.0, 3.0, 20.0, 500.0], 50)
    alpha = ad.tensor(shapes, dtype=ad.float64, requires_grad=True)
    x = random.gamma(alpha)
    x.sum().backward()
    assert alpha.grad is not None
    values, grad = x.detach().numpy(), alpha.grad.numpy()
    low, high = special.gammainc(shapes, values), special.gammaincc(shapes, values)
    h = 1e-4 * shapes

    def quantile(a: Any) -> Any:
        return np.where(low < 0.5, special.gammaincinv(a, low), special.gammainccinv(a, high))

    # of fourth order; what is left is rounding in SciPy's inverse
    slopes = (
        8 * (quantile(shapes + h) - quantile(shapes - h)) - quantile(shapes + 2 * h) + quantile(shapes - 2 * h)
    ) / (12 * h)
    seen = values > 1e-100
    np.testing.assert_allclose(grad[seen], slopes[seen], rtol=1e-6)


def test_gamma_gradient_is_pytorchs(backend: Backend) -> None:
    torch = pytest.importorskip("torch")
    alpha = ad.tensor(np.repeat([0.3, 2.0, 40.0], 100), dtype=ad.float64, requires_grad=True)
    x = random.gamma(alpha)
    x.sum().backward()
    theirs = torch._standard_gamma_grad(torch.tensor(alpha.detach().numpy()), torch.tensor(x.detach().numpy()))
    assert_close(alpha.grad, theirs.numpy(), rtol=2e-3)  # PyTorch's own accuracy


# alpha, log(x), d log(x) / d alpha: by mpmath, from Kummer's series of the incomplete gamma function
SLOPES = [
    (0.001, -50.0, 49424.4280681897),
    (0.001, -600.0, 599424.4280681897),
    (0.5, -3.0, 6.324313578782194),
    (0.5, 0.0, 1.8782472817325202),
    (0.5, 1.5, 0.74159829183174657),
    (0.5, 3.0, 0.24363917330195653),
    (1.0, 0.0, 1.1735630272247269),
    (3.0, 1.0, 0.36995801788074843),
    (3.0, 2.5, 0.16094634367413246),
    (30.0, 3.2, 0.037003751893436743),
    (30.0, 4.0, 0.024477603217653569),
    (1000.0, 6.8, 0.0010550208083970932),
    (1000.0, 6.9, 0.0010040499816119936),
    (1000.0, 7.0, 0.00095474569894022209),
]


def test_slopes_of_gamma_variables(backend: Backend) -> None:
    alpha, log_x, expected = np.array(SLOPES).T
    slope = ad.FUNCTIONS["random.gamma_slope"].call
    assert_close(slope(ad.tensor(alpha), ad.tensor(log_x)), expected, rtol=1e-12, atol=0)
    single = slope(ad.tensor(alpha, dtype=ad.float32), ad.tensor(log_x, dtype=ad.float32))
    assert_close(single, expected, rtol=1e-5, atol=0, check_dtype=False)


def test_second_derivative_of_gamma(backend: Backend) -> None:
    """The derivative of the quantile's derivative, against finite differences along the quantile."""
    slope = ad.FUNCTIONS["random.gamma_slope"].call
    alpha = ad.tensor([0.4, 3.0, 30.0], dtype=ad.float64, requires_grad=True)
    x = random.gamma(alpha)
    (first,) = ad.autograd.grad(x.sum(), alpha, create_graph=True)
    (second,) = ad.autograd.grad(first.sum(), alpha)
    h = 1e-4
    ends = []
    for sign in (1, -1):
        # follow the quantile by a Runge-Kutta step: its logarithm's derivative is known at every point
        a, y, step = alpha.detach(), x.detach().log(), sign * h
        k1 = slope(a, y)
        k2 = slope(a + step / 2, y + step / 2 * k1)
        k3 = slope(a + step / 2, y + step / 2 * k2)
        k4 = slope(a + step, y + step * k3)
        end = y + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        ends.append(slope(a + step, end) * end.exp())
    assert_close(second, (ends[0] - ends[1]) / (2 * h), rtol=1e-6)


def test_tiny_shapes_keep_finite_gradients(backend: Backend) -> None:
    alpha = ad.full((100,), 1e-3, requires_grad=True)
    x = random.gamma(alpha)
    x.sum().backward()
    assert alpha.grad is not None
    assert bool(ad.isfinite(alpha.grad).all())
    p = random.dirichlet(ad.full((50, 4), 1e-3))
    assert bool(ad.isfinite(p).all())
    assert_close(p.sum(axis=-1), np.ones(50), rtol=1e-5, check_dtype=False)


def test_dirichlet(backend: Backend) -> None:
    alpha = ad.tensor([0.5, 1.0, 3.0], dtype=ad.float64)
    leaf = alpha.expand((N, 3)).clone().requires_grad_()
    p = random.dirichlet(leaf)
    near(p.detach().numpy(), np.array([0.5, 1.0, 3.0]) / 4.5)
    assert_close(p.sum(axis=1), np.ones(N))
    p[:, 0].sum().backward()
    assert leaf.grad is not None
    near(leaf.grad.numpy(), np.array([4.0, -0.5, -0.5]) / 4.5**2)
    assert random.dirichlet([1, 1], size=(2, 5)).shape == (2, 5, 2)
    assert random.dirichlet(ad.ones(4, 3), size=(2, 4)).shape == (2, 4, 3)


# Discrete distributions -----------------------------------------------------------------------------------------


def test_bernoulli(backend: Backend) -> None:
    p = ad.tensor([0.0, 0.2, 1.0], requires_grad=True)
    x = random.bernoulli(p, size=(N, 3))
    assert (x.dtype, x.requires_grad) == (ad.float32, False)
    near(x.numpy(), [0.0, 0.2, 1.0])
    assert random.bernoulli(0.5, size=2, dtype=ad.bool).dtype is ad.bool


@pytest.mark.parametrize("lam", [0.0, 0.3, 4.0, 500.0])
def test_poisson(backend: Backend, lam: float) -> None:
    x = random.poisson(lam, size=N)
    assert x.dtype is ad.int64
    near(x.numpy(), lam)
    near((x.numpy() - lam) ** 2, lam)


@pytest.mark.parametrize(("n", "p"), [(0, 0.5), (1, 0.3), (20, 0.25), (1000, 0.9), (5, 0.0), (5, 1.0)])
def test_binomial(backend: Backend, n: int, p: float) -> None:
    x = random.binomial(n, p, size=N)
    assert x.dtype is ad.int64
    near(x.numpy(), n * p)
    near((x.numpy() - n * p) ** 2, n * p * (1 - p))


def test_parameters_of_discrete_distributions_broadcast(backend: Backend) -> None:
    assert random.poisson(ad.ones(3), size=(2, 3), dtype=ad.float32).dtype is ad.float32
    x = random.binomial(ad.tensor([[0], [7]]), ad.tensor([0.0, 1.0]))
    assert x.tolist() == [[0, 0], [0, 7]]


def test_multinomial(backend: Backend) -> None:
    p = np.array([0.1, 0.0, 0.6, 0.3])
    counts = random.multinomial(1000, p.tolist(), size=5000)
    assert (counts.shape, counts.dtype) == ((5000, 4), ad.int64)
    assert bool((counts.sum(axis=1) == 1000).all())
    near(counts.numpy(), 1000 * p)
    near((counts.numpy() - 1000 * p) ** 2, 1000 * p * (1 - p))


def test_categorical(backend: Backend) -> None:
    p = np.array([0.1, 0.0, 0.6, 0.3])
    with np.errstate(divide="ignore"):
        logits = ad.tensor(np.log(p) + 5, dtype=ad.float32)
    x = random.categorical(logits, size=N).numpy()
    near(x[:, None] == np.arange(4), p)
    assert random.categorical(ad.zeros(2, 3)).shape == (2,)
    assert random.categorical(ad.zeros(2, 3), size=(5, 2)).shape == (5, 2)


def test_choice(backend: Backend) -> None:
    p = [0.1, 0.2, 0.0, 0.7]
    near(random.choice(4, N, p=p).numpy()[:, None] == np.arange(4), p)
    near(random.choice(4, N).numpy()[:, None] == np.arange(4), 0.25)
    assert sorted(random.choice(5, 5, replace=False).tolist()) == list(range(5))
    assert sorted(random.choice(4, 3, replace=False, p=p).tolist()) == [0, 1, 3]
    rows = ad.arange(12.0).reshape(4, 3).requires_grad_()
    picked = random.choice(rows, (2, 5))
    assert picked.shape == (2, 5, 3)
    picked.sum().backward()
    assert rows.grad is not None
    assert rows.grad.sum().item() == 30.0
    assert random.choice(rows, 2, axis=1).shape == (4, 2)
    assert random.choice(rows).shape == (3,)


def test_without_replacement_the_first_choice_has_the_probabilities(backend: Backend) -> None:
    p = [0.1, 0.2, 0.7]
    first = [random.choice(3, 2, replace=False, p=p).tolist()[0] for _ in range(300)]
    near(np.array(first)[:, None] == np.arange(3), p)


def test_permutation_and_shuffle(backend: Backend) -> None:
    x = ad.arange(12).reshape(4, 3)
    for axis in (0, 1, -1):
        moved = random.permutation(x, axis)
        assert sorted(moved.reshape(-1).tolist()) == list(range(12))
        assert moved.shape == (4, 3)
    assert sorted(random.permutation(5).tolist()) == list(range(5))
    row = x[0]
    random.shuffle(x)
    assert sorted(x[:, 0].tolist()) == [0, 3, 6, 9]
    assert row.tolist() == x[0].tolist()  # aliases see it
    leaf = ad.arange(4.0).requires_grad_()
    random.permutation(leaf).sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.tolist() == [1.0] * 4
    with pytest.raises(AutogradError):
        random.shuffle(leaf)


# Generators -----------------------------------------------------------------------------------------------------

DRAWS: dict[str, Callable[..., Any]] = {
    "rand": lambda **k: ad.rand(4, **k),
    "randn": lambda **k: ad.randn(4, **k),
    "randint": lambda **k: ad.randint(0, 1000, (4,), **k),
    "randperm": lambda **k: ad.randperm(20, **k),
    "rand_like": lambda **k: ad.rand_like(ad.ones(4), **k),
    "randn_like": lambda **k: ad.randn_like(ad.ones(4), **k),
    "randint_like": lambda **k: ad.randint_like(ad.ones(4), 1000, **k),
    **{name: lambda d=d, p=p, **k: d(*p, size=4, **k) for name, (d, p, _, _) in CONTINUOUS.items()},
    "cauchy": lambda **k: random.cauchy(size=4, **k),
    "dirichlet": lambda **k: random.dirichlet([1.0, 2.0], **k),
    "bernoulli": lambda **k: random.bernoulli(0.5, 40, **k),
    "poisson": lambda **k: random.poisson(100.0, 4, **k),
    "binomial": lambda **k: random.binomial(1000, 0.5, 4, **k),
    "multinomial": lambda **k: random.multinomial(1000, [0.5, 0.5], 4, **k),
    "categorical": lambda **k: random.categorical(ad.zeros(50), 8, **k),
    "choice": lambda **k: random.choice(1000, 4, **k),
    "permutation": lambda **k: random.permutation(20, **k),
    "normal_": lambda **k: ad.empty(4).normal_(**k),
    "uniform_": lambda **k: ad.empty(4).uniform_(**k),
    "exponential_": lambda **k: ad.empty(4).exponential_(**k),
    "bernoulli_": lambda **k: ad.empty(40).bernoulli_(**k),
    "random_": lambda **k: ad.empty(4).random_(**k),
}
every_draw = pytest.mark.parametrize("name", DRAWS)


@every_draw
def test_same_seed_same_numbers(backend: Backend, name: str) -> None:
    draw = DRAWS[name]
    first, second = draw().tolist(), draw().tolist()
    assert first != second
    ad.manual_seed(0)
    assert [draw().tolist(), draw().tolist()] == [first, second]


@every_draw
def test_a_generator_has_a_state_of_its_own(backend: Backend, name: str) -> None:
    draw, g = DRAWS[name], ad.Generator().manual_seed(5)
    draw(generator=g)
    state = pickle.loads(pickle.dumps(g.get_state()))
    expected = draw(generator=g).tolist()
    draw()  # of the default generator, which is another
    g.set_state(state)
    assert draw(generator=g).tolist() == expected


def test_a_generator_says_where(backend: Backend) -> None:
    g = ad.Generator()
    assert random.normal(size=2, generator=g).device is g.device
    with pytest.raises(ArgumentError, match=r"normal: generator must be a polyad\.Generator; got 5"):
        random.normal(size=2, generator=5)  # type: ignore[arg-type]


def test_tensors_made_like_others(backend: Backend) -> None:
    x = ad.zeros(2, 3, dtype=ad.float64)
    for made in (ad.rand_like(x), ad.randn_like(x), ad.randint_like(x, 5, 9), ad.randint_like(x, 4)):
        assert (made.shape, made.dtype, made.device) == ((2, 3), ad.float64, x.device)
    assert ad.rand_like(x, dtype=ad.float32, requires_grad=True).requires_grad
    assert ad.randint_like(ad.zeros(100, dtype=ad.int8), 5, 9).unique_values().tolist() == [5, 6, 7, 8]
    with pytest.raises(DTypeError, match="rand draws real floating-point numbers; got dtype int64"):
        ad.rand_like(ad.arange(3))
    with pytest.raises(OperandError, match="randn_like: x is list"):
        ad.randn_like([1.0])  # type: ignore[arg-type]


# In place -------------------------------------------------------------------------------------------------------


def test_methods_that_fill(backend: Backend) -> None:
    x = ad.empty(N)
    near(x.normal_(1.0, 2.0).numpy(), 1.0)
    near((x.numpy() - 1.0) ** 2, 4.0)
    near(x.uniform_(2.0, 4.0).numpy(), 3.0)
    near(x.exponential_(4.0).numpy(), 0.25)
    near(x.bernoulli_(0.3).numpy(), 0.3)
    near(x.random_(10).numpy(), 4.5)
    near(x.random_(3, 6).numpy(), 4.0)
    assert x.random_().max().item() < 2**24
    row = ad.zeros(3, 4)
    row[1].normal_()
    assert (row[0].tolist(), row[2].tolist()) == ([0.0] * 4, [0.0] * 4)
    assert bool((row[1] != 0).all())
    if ad.float16 in x.device.native:
        assert ad.empty(3, dtype=ad.float16).normal_().dtype is ad.float16
    assert ad.empty(3, dtype=ad.bool).bernoulli_(1.0).tolist() == [True] * 3
    assert ad.empty(1000, dtype=ad.uint8).random_().max().item() > 200
    assert ad.empty(2).bernoulli_(ad.tensor([0.0, 1.0])).tolist() == [0.0, 1.0]


def test_filling_cuts_the_gradient(backend: Backend) -> None:
    leaf = ad.ones(3, requires_grad=True)
    with pytest.raises(AutogradError):
        leaf.normal_()
    y = leaf * 2
    y.normal_()
    y.sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.tolist() == [0.0] * 3
    with ad.no_grad():
        leaf.uniform_(5.0, 6.0)
    assert leaf.min().item() >= 5.0


# Errors ---------------------------------------------------------------------------------------------------------

negative_scale = r"scale must not be negative .*write scale=log_scale\.exp\(\).*; got -1\.0"


@pytest.mark.parametrize(
    ("draw", "error", "message"),
    [
        (lambda: random.normal(0.0, -1.0), ArgumentError, "normal: " + negative_scale),
        (lambda: random.normal(0.0, ad.tensor([1.0, -1.0])), ArgumentError, "normal: " + negative_scale),
        (lambda: random.exponential(-1.0), ArgumentError, "exponential: " + negative_scale),
        (lambda: random.laplace(0.0, -1.0), ArgumentError, "laplace: " + negative_scale),
        (lambda: random.gumbel(0.0, -1.0), ArgumentError, "gumbel: " + negative_scale),
        (lambda: random.logistic(0.0, -1.0), ArgumentError, "logistic: " + negative_scale),
        (lambda: random.cauchy(0.0, -1.0), ArgumentError, "cauchy: " + negative_scale),
        (lambda: random.lognormal(0.0, -1.0), ArgumentError, r"lognormal: sigma must not be negative .*; got -1\.0"),
        (lambda: random.uniform(2.0, 1.0), ArgumentError, r"uniform: high - low must not be negative .* got -1\.0"),
        (lambda: random.gamma(0.0), ArgumentError, r"gamma: shape must be positive .*; got 0\.0"),
        (lambda: random.gamma(1.0, -1.0), ArgumentError, "gamma: " + negative_scale),
        (lambda: random.beta(1.0, ad.tensor([-2.0])), ArgumentError, r"beta: b must be positive .*; got -2\.0"),
        (lambda: random.dirichlet([1.0, 0.0]), ArgumentError, r"dirichlet: alpha must be positive .*; got 0\.0"),
        (lambda: random.dirichlet(2.0), ShapeError, r"dirichlet: alpha has one number for each probability; .*2\.0"),
        (lambda: random.bernoulli(1.5), ArgumentError, r"bernoulli: p must lie between 0 and 1 .*sigmoid.*; got 1\.5"),
        (lambda: random.bernoulli(ad.tensor([0.5, -0.5])), ArgumentError, r"p must lie .*; got -0\.5"),
        (lambda: random.poisson(-1.0), ArgumentError, r"poisson: lam must not be negative; got -1\.0"),
        (lambda: random.binomial(-1, 0.5), ArgumentError, r"binomial: n must not be negative; got -1"),
        (lambda: random.binomial(3, 2.0), ArgumentError, r"binomial: p must lie between 0 and 1 .*; got 2\.0"),
        (lambda: random.multinomial(1.5, [1.0]), ArgumentError, r"multinomial: n must be an integer .*; got 1\.5"),
        (
            lambda: random.multinomial(2, [0.5, 0.4]),
            ArgumentError,
            r"pvals must sum to 1 .*pvals / pvals\.sum.*; got 0\.9",
        ),
        (lambda: random.multinomial(2, 0.5), ShapeError, "multinomial: pvals has one number for each outcome"),
        (lambda: random.categorical([1.0]), OperandError, "categorical: logits is list"),
        (lambda: random.categorical(ad.zeros(2, 0)), ShapeError, r"one number for each outcome; got shape \(2, 0\)"),
        (lambda: random.choice(0, 3), ArgumentError, "choice: there is nothing to choose from"),
        (lambda: random.choice(3, 4, replace=False), ArgumentError, "4 of 3 cannot be drawn .*replace=True"),
        (lambda: random.choice(3, 2, replace=False, p=[0, 0, 1]), ArgumentError, "2 cannot be drawn .*only 1"),
        (lambda: random.choice(3, 2, p=[0.5, 0.5]), ShapeError, r"p has shape \(2,\); expected \(3,\)"),
        (lambda: random.choice([1, 2], 2), OperandError, r"choice: a is a list; .*write polyad\.tensor\(a\)"),
        (lambda: random.permutation([1, 2]), OperandError, r"permutation: x is a list; .*write polyad\.tensor\(x\)"),
        (lambda: random.normal("0"), OperandError, "normal: loc is a str, '0'; expected a tensor or a number"),
        (
            lambda: random.normal(ad.zeros(2), size=3),
            ShapeError,
            r"loc has shape \(2,\), .* size \(3,\).*size=\(3, 2\)",
        ),
        (lambda: random.normal(ad.zeros(2), ad.ones(3)), ShapeError, r"normal: shapes \(2,\) and \(3,\) do not broad"),
        (lambda: random.normal(size=-1), ShapeError, "normal: lengths cannot be negative"),
        (
            lambda: random.normal(dtype=ad.int64),
            DTypeError,
            "normal draws real floating-point numbers; got dtype int64",
        ),
        (lambda: random.normal(ad.tensor(1j)), DTypeError, "normal: parameters must be real; got complex64"),
        (lambda: ad.empty(2, dtype=ad.int64).normal_(), DTypeError, r"normal_: .*int64; write x\.float\(\)\.normal_"),
        (lambda: ad.empty(2).normal_(0.0, -1.0), ArgumentError, "scale must not be negative"),
        (
            lambda: ad.empty(2).exponential_(0.0),
            ArgumentError,
            r"exponential_: lambd, the rate, must be positive; got 0",
        ),
        (lambda: ad.empty(2, dtype=ad.uint8).random_(300), ArgumentError, r"random_: uint8 holds 0 to 255"),
        (
            lambda: ad.randint(0, 300, (2,), dtype=ad.uint8),
            ArgumentError,
            r"randint: uint8 holds 0 to 255, and integers in \[0, 300\) were asked for; write dtype=polyad\.int16",
        ),
        (lambda: ad.randint(-1, 3, (2,), dtype=ad.uint8), ArgumentError, r"\[-1, 3\) .*dtype=polyad\.int8"),
    ],
)
def test_errors(backend: Backend, draw: Callable[[], Any], error: type[Exception], message: str) -> None:
    if ad.default_device().type != "cpu" and error is ArgumentError:
        pytest.skip("values on a GPU are not looked at: that would wait for them")
    with pytest.raises(error, match=message):
        draw()


def test_another_device_than_the_parameters(backend: Backend) -> None:
    class Second(type(ad.plugins.backend("numpy"))):  # type: ignore[misc]
        name = "second"

    ad.plugins.add_backend(Second())
    try:
        there = ad.ones(2, backend="second")
        with pytest.raises(DeviceError, match=r"normal: loc is on backend .*scale on .*write scale\.to\(device=loc"):
            random.normal(ad.zeros(2), there)
        with pytest.raises(DeviceError, match=r"normal: loc is on .*'second'.* asked for; write loc\.to"):
            random.normal(there, device=ad.default_device())
        with pytest.raises(ArgumentError, match="normal: the generator is on"):
            random.normal(there, generator=ad.Generator())
        assert random.normal(there).backend.name == "second"
    finally:
        del ad.plugins._backends["second"]
        ad.ops.generators._generators.pop(there.device)


# Under transformations ------------------------------------------------------------------------------------------


def test_parameters_may_be_traced() -> None:
    jax = pytest.importorskip("jax")
    with ad.use_backend("jax"):
        alpha = ad.tensor([0.5, 3.0])
        ad.manual_seed(0)

        @jax.jit
        def program(alpha: ad.Tensor) -> tuple[ad.Tensor, ...]:
            leaf = alpha.detach().requires_grad_()
            x = random.gamma(leaf, size=(5, 2))
            x.sum().backward()
            return x, leaf.grad, random.normal(0.0, alpha), random.poisson(alpha), random.bernoulli(alpha / 4)

        x, grad, *others = program(alpha)
        assert bool((x > 0).all())
        assert bool((grad > 0).all())
        assert [y.shape for y in others] == [(2,)] * 3
