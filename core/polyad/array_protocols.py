"""NumPy's protocols: what NumPy's own functions do with a Tensor, which is to call polyad's of the same name.

``np.sin(x)``, ``np.concatenate([x, y])`` and ``array * x`` are recorded like any operation of polyad. The protocols
hand over the function that was called; only its name is looked at here, so that no array library is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .errors import ArgumentError, AutogradError, OperandError
from .function import FUNCTIONS
from .ops import manipulation, products
from .ops.conversion import asarray
from .plugins import plugins
from .tensor import Tensor

__all__ = ["array_function", "array_ufunc"]

UFUNC_NAMES: Final = {
    "absolute": "abs",
    "fabs": "abs",
    "conjugate": "conj",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "true_divide": "divide",
    "mod": "remainder",
    **{f"arc{f}": f"a{f}" for f in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    "arctan2": "atan2",
}
"""Names of NumPy's ufuncs that differ from the standard's."""

_REDUCTIONS: Final = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
    "logaddexp": "logsumexp",
}
_ACCUMULATIONS: Final = {"add": "cumulative_sum", "multiply": "cumulative_prod"}


def _found(path: str) -> Callable[..., Any] | None:
    """The function of polyad, or of a plugin, that a NumPy or SciPy function's name stands for."""
    made = FUNCTIONS.get(path)
    if made is not None:
        return made.call  # type: ignore[no-any-return]
    found: Any = sys.modules[__package__]
    for part in path.split("."):
        found = getattr(found, part, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    if "." not in path:  # SciPy's ufuncs are those of a plugin that brings them under a name of its own
        plugins.load_all()
        for name, function in FUNCTIONS.items():
            if name.rpartition(".")[2] == path:
                return function.call  # type: ignore[no-any-return]
    return None


def _missing(name: str) -> OperandError:
    return OperandError(
        f"{name}: polyad has no function of this name for tensors; write {name}(x.detach().numpy()) for its value "
        f"without a gradient"
    )


# Ufuncs -------------------------------------------------------------------------------------------------------


def array_ufunc(self: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Run polyad's function in place of a NumPy ufunc, or of its methods ``reduce``, ``accumulate`` and ``outer``.

    Raises
    ------
    OperandError
        If polyad has no function of the ufunc's name.
    ArgumentError
        For ``where=`` and other options that polyad's functions do not have.
    AutogradError
        If the result, which has a gradient, is to be written into an array.
    """
    name = UFUNC_NAMES.get(ufunc.__name__, ufunc.__name__)
    shown = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    out, dtype = kwargs.pop("out", None), kwargs.pop("dtype", None)
    options = {k: v for k, v in kwargs.items() if k in ("axis", "keepdims") and method in ("reduce", "accumulate")}
    for key, value in kwargs.items():
        if key not in options and not (type(value) in (bool, str) and _DEFAULTS.get(key) == value):
            raise ArgumentError(f"{shown}: {key}={value!r:.40} is not supported for tensors; use polyad's functions")
    if any(_has_own_protocol(x) for x in inputs):
        return NotImplemented
    operands = [asarray(x, device=self.device) if isinstance(x, (list, tuple)) else x for x in inputs]
    result = _called(name, shown, method, operands, options)
    if dtype is not None:
        result = FUNCTIONS["astype"].call(result, dtype)
    return result if out is None else _written(shown, result, out[0])


_DEFAULTS: Final = {"where": True, "casting": "same_kind", "order": "K", "subok": True}


def _has_own_protocol(x: Any) -> bool:
    """Whether an operand is of a class with a protocol of its own, which is to be asked next."""
    protocol = getattr(type(x), "__array_ufunc__", None)
    return protocol is not None and not isinstance(x, Tensor) and plugins.owner(x) is None and not hasattr(x, "item")


def _called(name: str, shown: str, method: str, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    tables: dict[str, Mapping[str, str]] = {"reduce": _REDUCTIONS, "accumulate": _ACCUMULATIONS}
    if method in tables:
        function = _found(tables[method].get(name, "?"))
        options.setdefault("axis", 0)
    else:
        function = _found(name) if method in ("__call__", "outer") else None
    if function is None:
        raise _missing(shown)
    if method == "outer":
        first, second = inputs
        inputs = (FUNCTIONS["reshape"].call(first, (*first.shape, *(1,) * len(second.shape))), second)
    return function(*inputs, **options)


def _written(shown: str, result: Any, out: Any) -> Any:
    """Write a result where ``out=`` says: in place into a tensor; into an array only what has no history."""
    if isinstance(out, Tensor):
        return out.copy_(result)
    if result.requires_grad:
        raise AutogradError(
            f"{shown}: the result requires a gradient, which an array cannot carry; for an array a write a = a + x "
            f"in place of a += x, or x.detach()"
        )
    out[...] = result.numpy()
    return out


# Functions ----------------------------------------------------------------------------------------------------


def _transpose(a: Tensor, axes: Any = None) -> Tensor:
    return manipulation.reversed_dims(a) if axes is None else manipulation.permute_dims(a, axes)


def _dot(a: Any, b: Any) -> Any:
    if not getattr(a, "shape", ()) or not getattr(b, "shape", ()):
        return a * b
    if len(b.shape) > 2:
        return products.tensordot(a, b, axes=((len(a.shape) - 1,), (len(b.shape) - 2,)))
    return products.matmul(a, b)


def _copyto(dst: Any, src: Any) -> None:
    if not isinstance(dst, Tensor):
        raise AutogradError("numpy.copyto: an array cannot carry a gradient; write polyad.tensor(array).copy_(x)")
    dst.copy_(src)


NUMPYS: Final[dict[str, Callable[..., Any]]] = {
    "transpose": _transpose,
    "dot": _dot,
    "copyto": _copyto,
    "copy": FUNCTIONS["clone"].call,
    "shape": lambda a: a.shape,
    "ndim": lambda a: a.ndim,
    "size": lambda a, axis=None: a.numel() if axis is None else a.shape[axis],
    "iscomplexobj": lambda x: x.dtype.is_complex,
    "isrealobj": lambda x: not x.dtype.is_complex,
    "array_repr": repr,
    "array_str": str,
}
"""What NumPy means otherwise than polyad's function of the name, or has for arrays alone."""

_RENAMED: Final = {"ddof": "correction"}


def array_function(self: Tensor, func: Any, types: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Run polyad's function in place of one of NumPy's: ``np.linalg.solve(a, b)`` is ``polyad.linalg.solve(a, b)``.

    Raises
    ------
    OperandError
        If polyad has no function of that name.
    ArgumentError
        If ``out=`` is given.
    """
    module = func.__module__.partition(".")[2]
    path = f"{module}.{func.__name__}" if module else func.__name__
    shown = f"{func.__module__}.{func.__name__}"
    function = NUMPYS.get(path) or _found(path)
    if function is None:
        raise _missing(shown)
    if kwargs.get("out") is not None:
        raise ArgumentError(f"{shown}: out= is not supported for tensors; use the result")
    params = {_RENAMED.get(key, key): value for key, value in kwargs.items() if key != "out"}
    return function(*args, **params)
