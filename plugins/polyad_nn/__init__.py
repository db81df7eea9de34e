"""Neural networks for polyad, as PyTorch users know them: reached as ``polyad.nn`` and ``polyad.optim``.

The first op plugin. It is written on polyad's public names alone, so it is also the example of how to write one.

Examples
--------
>>> import polyad as ad
>>> _ = ad.manual_seed(0)
>>> model = ad.nn.Sequential(ad.nn.Linear(2, 8), ad.nn.ReLU(), ad.nn.Linear(8, 1))
>>> optimizer = ad.optim.SGD(model.parameters(), lr=0.1)
>>> x = ad.randn(16, 2)
>>> loss = ad.nn.functional.mse_loss(model(x), x.sum(axis=1, keepdims=True))
>>> loss.backward()
>>> optimizer.step()
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

from polyad.hookspecs import hookimpl

from . import functional as functional, kernels, optim as optim
from .functional import (
    cross_entropy as cross_entropy,
    dropout as dropout,
    linear as linear,
    log_softmax as log_softmax,
    mse_loss as mse_loss,
    relu as relu,
    sigmoid as sigmoid,
    softmax as softmax,
)
from .layers import (
    CrossEntropyLoss as CrossEntropyLoss,
    Dropout as Dropout,
    Linear as Linear,
    MSELoss as MSELoss,
    ReLU as ReLU,
    Sequential as Sequential,
    Sigmoid as Sigmoid,
    Softmax as Softmax,
    Tanh as Tanh,
)
from .module import (
    Module as Module,
    Parameter as Parameter,
)


@hookimpl
def polyad_functions() -> Iterable[Any]:
    """Give the functions of `functional`."""
    return functional.FUNCTIONS


@hookimpl
def polyad_kernels() -> Mapping[str, Mapping[str, Any]]:
    """Give kernels for a backend whose library would go over memory more often."""
    return {"numpy": kernels.numpy_kernels()}


@hookimpl
def polyad_namespaces() -> Mapping[str, ModuleType]:
    """Give ``polyad.nn`` and ``polyad.optim``."""
    import sys

    return {"nn": sys.modules[__name__], "optim": optim}
