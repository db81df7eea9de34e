"""Random numbers of distributions: ``polyad.random``, under NumPy's names.

Parameters are tensors or numbers that broadcast; ``size`` is the shape of the result. Continuous distributions are
differentiable in their parameters, with the noise held fixed: the reparameterised gradient. Evenly and normally
distributed tensors of a shape are `polyad.rand` and `polyad.randn`, integers `polyad.randint`.

Examples
--------
>>> import polyad as ad
>>> _ = ad.manual_seed(0)
>>> loc = ad.zeros(3, requires_grad=True)
>>> ad.random.normal(loc, 2.0, size=(100, 3)).sum().backward()
>>> loc.grad
tensor([100., 100., 100.])
"""

from .ops.distributions import (
    beta,
    cauchy,
    dirichlet,
    exponential,
    gamma,
    gumbel,
    laplace,
    logistic,
    lognormal,
    normal,
    uniform,
)
from .ops.generators import Generator, initial_seed, manual_seed, seed
from .ops.sampling import bernoulli, binomial, categorical, choice, multinomial, permutation, poisson, shuffle

__all__ = [
    "Generator",
    "bernoulli",
    "beta",
    "binomial",
    "categorical",
    "cauchy",
    "choice",
    "dirichlet",
    "exponential",
    "gamma",
    "gumbel",
    "initial_seed",
    "laplace",
    "logistic",
    "lognormal",
    "manual_seed",
    "multinomial",
    "normal",
    "permutation",
    "poisson",
    "seed",
    "shuffle",
    "uniform",
]
