"""PyTorch-style eager autograd for every array library.

One `Tensor`, one registry of differentiable functions and one backward engine; NumPy, CuPy and JAX are plugins that
supply kernels and devices. Importing polyad loads no array library: a backend is loaded when the first tensor is
made on it, by default the one that the environment variable ``POLYAD_BACKEND`` names.

Examples
--------
>>> import polyad as ad
>>> x = ad.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> y = (x**2).sum()
>>> y.backward()
>>> x.grad
tensor([2., 4., 6.])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import errors, methods
from .autograd import enable_grad, grad, is_grad_enabled, no_grad, set_grad_enabled
from .backend import Backend, Device
from .dispatch import function
from .dtypes import *  # noqa: F403 - the dtypes, can_cast and promote_types
from .dtypes import DType, bool, complex64, complex128, float16, float32, float64, int16, int32, int64, uint8
from .function import FUNCTIONS, XP, Fails, Function, Sample
from .ops.creation import (
    arange,
    asarray,
    device,
    empty,
    empty_like,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from .ops.elementwise import (
    add,
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    clip,
    conj,
    cos,
    divide,
    equal,
    exp,
    floor_divide,
    greater,
    greater_equal,
    isfinite,
    isinf,
    isnan,
    less,
    less_equal,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    positive,
    power,
    real,
    remainder,
    sign,
    sin,
    sqrt,
    subtract,
    tanh,
    where,
)
from .ops.elementwise import abs_ as abs
from .ops.indexing import nonzero
from .ops.linalg import matmul
from .ops.manipulation import (
    broadcast_to,
    concat,
    expand,
    expand_dims,
    flatten,
    matrix_transpose,
    permute,
    permute_dims,
    reshape,
    squeeze,
    stack,
    transpose,
    view,
)
from .ops.random import (
    Generator,
    initial_seed,
    manual_seed,
    rand,
    randint,
    randn,
    randperm,
    seed,
)
from .ops.reduction import all_ as all
from .ops.reduction import any_ as any
from .ops.reduction import argmax, argmin, mean, std, var
from .ops.reduction import max_ as max
from .ops.reduction import min_ as min
from .ops.reduction import sum_ as sum
from .ops.transfer import astype, clone, detach, to, to_device
from .plugins import default_device, plugins, use_backend
from .printing import set_printoptions
from .tensor import Tensor

if TYPE_CHECKING:
    from . import autograd, linalg, testing

__version__ = "0.1.0"

double, half, long, int, float, cfloat, cdouble = float64, float16, int64, int32, float32, complex64, complex128
pi, e, inf, nan, newaxis = 3.141592653589793, 2.718281828459045, 1e400, 1e400 - 1e400, None

for _alias, _name in methods.ALIASES.items():
    if _name in globals():
        globals()[_alias] = globals()[_name]


def is_tensor(obj: Any) -> Any:
    """Whether an object is a `Tensor`."""
    return isinstance(obj, Tensor)


def __getattr__(name: str) -> Any:
    """Load what is not needed at once: submodules, and what plugins add under their names."""
    if name.startswith("__"):
        raise AttributeError(f"module 'polyad' has no attribute {name!r}")
    if name in ("autograd", "linalg", "testing", "hookspecs"):
        import importlib

        return importlib.import_module(f"polyad.{name}")
    return plugins.attribute(name)


def __dir__() -> list[str]:
    return sorted({*globals(), "autograd", "linalg", "testing", *plugins.plugin_names()})
