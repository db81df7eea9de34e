"""Special functions for polyad, under SciPy's names: reached as ``polyad.special``.

The values are SciPy's own on NumPy (``pip install 'polyad[special]'``), ``cupyx.scipy.special``'s on CuPy and
``jax.scipy.special``'s on JAX; the derivatives, of any order, are written here. A plugin: it uses public polyad alone.

Examples
--------
>>> import polyad as ad
>>> x = ad.tensor([0.0, 0.5], requires_grad=True)
>>> y = ad.special.erf(x)
>>> y
tensor([0.0000, 0.5205], grad_fn=<ErfBackward>)
>>> y.sum().backward()
>>> x.grad
tensor([1.1284, 0.8788])
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

import polyad as ad
from polyad import Function
from polyad.hookspecs import hookimpl

from . import bessel, gammas, kernels, logarithms, normal
from .bessel import (
    i0 as i0,
    i0e as i0e,
    i1 as i1,
    i1e as i1e,
)
from .gammas import (
    beta as beta,
    betainc as betainc,
    betaln as betaln,
    digamma as digamma,
    gamma as gamma,
    gammainc as gammainc,
    gammaincc as gammaincc,
    gammaln as gammaln,
    multigammaln as multigammaln,
    polygamma as polygamma,
    zeta as zeta,
)
from .logarithms import (
    entr as entr,
    expit as expit,
    kl_div as kl_div,
    log_expit as log_expit,
    log_softmax as log_softmax,
    logit as logit,
    rel_entr as rel_entr,
    softmax as softmax,
    xlog1py as xlog1py,
)
from .normal import (
    erf as erf,
    erfc as erfc,
    erfcinv as erfcinv,
    erfcx as erfcx,
    erfinv as erfinv,
    log_ndtr as log_ndtr,
    ndtr as ndtr,
    ndtri as ndtri,
)

logsumexp, sinc, xlogy = ad.logsumexp, ad.sinc, ad.xlogy
"""polyad's own, which are here too since they are in SciPy."""

psi, lgamma, sigmoid, log_sigmoid = digamma, gammaln, expit, log_expit
"""The same functions by their other names: SciPy's ``psi``, and PyTorch's."""


@hookimpl
def polyad_functions() -> Iterable[Any]:
    """Give the functions of all chapters."""
    chapters = (normal, gammas, bessel, logarithms)
    found = (getattr(value, "function", None) for chapter in chapters for value in vars(chapter).values())
    return [record for record in found if isinstance(record, Function)]


@hookimpl
def polyad_kernels() -> Mapping[str, Mapping[str, Any]]:
    """Give the libraries' own functions."""
    return {
        "numpy": kernels.numpy_kernels(),
        "cupy": kernels.cupy_kernels(),
        "jax": kernels.jax_kernels(),
    }


@hookimpl
def polyad_namespaces() -> Mapping[str, ModuleType]:
    """Give ``polyad.special``."""
    import sys

    return {"special": sys.modules[__name__]}
