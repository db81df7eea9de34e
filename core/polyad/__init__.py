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

from . import (
    errors as errors,
    methods,
)
from .autograd import (
    enable_grad as enable_grad,
    grad as grad,
    is_grad_enabled as is_grad_enabled,
    no_grad as no_grad,
    set_grad_enabled as set_grad_enabled,
)
from .backend import (
    Backend as Backend,
    Device as Device,
)
from .dispatch import (
    function as function,
)
from .dtypes import *  # noqa: F403 - the dtypes, can_cast and promote_types
from .dtypes import (
    DType as DType,
    bool as bool,
    complex64 as complex64,
    complex128 as complex128,
    float16 as float16,
    float32 as float32,
    float64 as float64,
    int16 as int16,
    int32 as int32,
    int64 as int64,
    uint8 as uint8,
)
from .function import (
    FUNCTIONS as FUNCTIONS,
    XP as XP,
    Fails as Fails,
    Function as Function,
    Sample as Sample,
)
from .ops.conversion import (
    asarray as asarray,
    from_numpy as from_numpy,
    tensor as tensor,
)
from .ops.creation import (
    arange as arange,
    empty as empty,
    empty_like as empty_like,
    eye as eye,
    full as full,
    full_like as full_like,
    linspace as linspace,
    ones as ones,
    ones_like as ones_like,
    zeros as zeros,
    zeros_like as zeros_like,
)
from .ops.elementwise import (
    abs_,
    add as add,
    bitwise_and as bitwise_and,
    bitwise_invert as bitwise_invert,
    bitwise_left_shift as bitwise_left_shift,
    bitwise_or as bitwise_or,
    bitwise_right_shift as bitwise_right_shift,
    bitwise_xor as bitwise_xor,
    clip as clip,
    conj as conj,
    cos as cos,
    divide as divide,
    equal as equal,
    exp as exp,
    floor_divide as floor_divide,
    greater as greater,
    greater_equal as greater_equal,
    isfinite as isfinite,
    isinf as isinf,
    isnan as isnan,
    less as less,
    less_equal as less_equal,
    log as log,
    log1p as log1p,
    logical_and as logical_and,
    logical_not as logical_not,
    logical_or as logical_or,
    logical_xor as logical_xor,
    maximum as maximum,
    minimum as minimum,
    multiply as multiply,
    negative as negative,
    not_equal as not_equal,
    positive as positive,
    power as power,
    real as real,
    remainder as remainder,
    sign as sign,
    sin as sin,
    sqrt as sqrt,
    subtract as subtract,
    tanh as tanh,
    where as where,
)
from .ops.indexing import (
    nonzero as nonzero,
)
from .ops.linalg import (
    matmul as matmul,
)
from .ops.manipulation import (
    broadcast_to as broadcast_to,
    concat as concat,
    expand as expand,
    expand_dims as expand_dims,
    flatten as flatten,
    matrix_transpose as matrix_transpose,
    permute as permute,
    permute_dims as permute_dims,
    reshape as reshape,
    squeeze as squeeze,
    stack as stack,
    transpose as transpose,
    view as view,
)
from .ops.placement import (
    device as device,
)
from .ops.random import (
    Generator as Generator,
    initial_seed as initial_seed,
    manual_seed as manual_seed,
    rand as rand,
    randint as randint,
    randn as randn,
    randperm as randperm,
    seed as seed,
)
from .ops.reduction import (
    all_,
    any_,
    argmax as argmax,
    argmin as argmin,
    max_,
    mean as mean,
    min_,
    std as std,
    sum_,
    var as var,
)
from .ops.transfer import (
    astype as astype,
    clone as clone,
    detach as detach,
    to as to,
    to_device as to_device,
)
from .plugins import (
    default_device as default_device,
    plugins as plugins,
    use_backend as use_backend,
)
from .printing import (
    set_printoptions as set_printoptions,
)
from .tensor import (
    Tensor as Tensor,
)

if TYPE_CHECKING:
    from . import autograd as autograd, linalg as linalg, testing as testing

__version__ = "0.1.0"

abs, all, any, max, min, sum = abs_, all_, any_, max_, min_, sum_

double, half, long, int, float, cfloat, cdouble = float64, float16, int64, int32, float32, complex64, complex128
pi, e, inf, nan, newaxis = 3.141592653589793, 2.718281828459045, 1e400, 1e400 - 1e400, None

for _alias, _name in methods.ALIASES.items():
    if _name in globals():
        globals()[_alias] = globals()[_name]


def is_tensor(obj: Any) -> Any:
    """Whether an object is a `Tensor`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.is_tensor(ad.ones(2)), ad.is_tensor([1.0, 1.0])
    (True, False)
    """
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
