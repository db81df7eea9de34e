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
    inference_mode as inference_mode,
    is_anomaly_check_nan_enabled as is_anomaly_check_nan_enabled,
    is_anomaly_enabled as is_anomaly_enabled,
    is_grad_enabled as is_grad_enabled,
    is_inference_mode_enabled as is_inference_mode_enabled,
    no_grad as no_grad,
    set_anomaly_enabled as set_anomaly_enabled,
    set_grad_enabled as set_grad_enabled,
)
from .backend import (
    Backend as Backend,
    Device as Device,
)
from .dispatch import (
    function as function,
)
from .dtypes import *
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
from .namespace import (
    API_VERSION as API_VERSION,
    NamespaceInfo as NamespaceInfo,
)
from .ops.arithmetic import *
from .ops.arithmetic import abs_
from .ops.bits import *
from .ops.calculus import *
from .ops.comparison import *
from .ops.complex_parts import *
from .ops.complex_parts import complex_
from .ops.conversion import *
from .ops.creation import *
from .ops.cumulative import *
from .ops.data_types import *
from .ops.decompositions import *
from .ops.diagonals import *
from .ops.exponential import *
from .ops.indexing import *
from .ops.interchange import *
from .ops.joining import *
from .ops.manipulation import *
from .ops.norms import *
from .ops.placement import *
from .ops.products import *
from .ops.quantiles import *
from .ops.random import *
from .ops.reduction import *
from .ops.reduction import all_, any_, max_, min_, sum_
from .ops.repetition import *
from .ops.rounding import *
from .ops.rounding import round_
from .ops.scatter import *
from .ops.selection import *
from .ops.sets import *
from .ops.solvers import *
from .ops.sorting import *
from .ops.statistics import *
from .ops.transfer import *
from .ops.trigonometry import *
from .ops.windows import *
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
    from . import (
        autograd as autograd,
        fft as fft,
        linalg as linalg,
        random as random,
        testing as testing,
        utils as utils,
    )

__version__ = "0.1.0"
__array_api_version__ = API_VERSION
__array_namespace_info__ = NamespaceInfo

abs, all, any, complex, max, min, round, sum = abs_, all_, any_, complex_, max_, min_, round_, sum_
del abs_, all_, any_, complex_, max_, min_, round_, sum_  # their names where they would hide Python's

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


_LATE = {"crosscheck": "testing", "explain": "testing", "vmap": "func"}
_SUBMODULES = ("autograd", "fft", "func", "hookspecs", "linalg", "random", "testing", "utils")


def __getattr__(name: str) -> Any:
    """Load what is not needed at once: submodules, and what plugins add under their names."""
    if name.startswith("__"):
        raise AttributeError(f"module 'polyad' has no attribute {name!r}")
    if name in _SUBMODULES or name in _LATE:
        from importlib import import_module

        found = import_module(f"polyad.{_LATE.get(name, name)}")
        return getattr(found, name) if name in _LATE else found
    return plugins.attribute(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_LATE, *plugins.plugin_names()})
