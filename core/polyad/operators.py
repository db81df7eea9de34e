"""Functions as Python's operators, and as methods that write into their tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import views
from .backend import Device
from .calls import binary_operator
from .careful import SCALARS, careful, constant
from .errors import DTypeError, ShapeError
from .function import Function
from .grad_mode import recording
from .graph import Sealed, Version
from .levels import refuse_write
from .tensor import Tensor, wrap
from .views import node_of, raw

__all__ = ["checked_power", "in_place", "into_memory", "operator", "reflected", "require_like"]


def operator(made: Function) -> Callable[..., Any]:
    """The function as a binary operator: an operand it cannot take is left to the operand's own class."""
    return binary_operator(made)


_numbers: dict[tuple[Any, Any, Device], Tensor] = {}


def _number(value: Any, dtype: Any, device: Device) -> Tensor:
    """A number that stood left of a tensor, as a tensor; kept, since programs use few of them over and over."""
    key = value, dtype, device
    found = _numbers.get(key)
    if found is None:
        found = constant(value, device.dtypes[dtype], device)
        if len(_numbers) >= 256:
            _numbers.clear()
        if not device.depth and not device.backend.is_traced(raw(found)):
            _numbers[key] = found
    return found


def power(made: Function) -> Callable[..., Any]:
    """The operator ``**``: integers to a negative power have no integer value, which libraries treat differently."""
    return _checked(binary_operator(made))


def checked_power(made: Any) -> Any:
    """The function ``power`` with the same check of its exponent as the operator."""
    op: Any = _checked(made)
    op.__name__ = op.__qualname__ = made.function.name
    op.__module__, op.__doc__, op.__signature__ = made.__module__, made.__doc__, made.__signature__
    op.function = made.function
    return op


def _checked(call: Any) -> Callable[..., Any]:
    def op(a: Any, b: Any) -> Any:
        if type(b) is int and b < 0 and isinstance(a, Tensor) and "integer" in a.dtype.kind:
            raise DTypeError(
                f"power: a tensor of {a.dtype.name} to the power {b} has no integer values; write x.float() ** {b}"
            )
        return call(a, b)

    return op


def reflected(made: Function) -> Callable[..., Any]:
    """The function with its operands exchanged: ``__rsub__`` of ``__sub__``."""
    call = made.call

    def op(b: Any, a: Any) -> Any:
        kind = type(a)
        if kind in SCALARS:
            try:
                device, dtype = b._device, b._data.dtype
                if a and dtype in device.weak[kind]:  # 0.0 and -0.0 are one key, so 0 is not kept
                    return call(_number(a, dtype, device), b)
            except AttributeError:
                pass  # an alias emptied by a write
            return careful(made, (a, b), {})
        return careful(made, (a, b), {}) if hasattr(a, "dtype") else NotImplemented

    return op


def in_place(made: Function, name: str, compute: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """The function as a method that writes its result into its first operand: ``add_``.

    ``compute`` is what users call for the out-of-place form, if that is another than the record's call.
    """
    compute = compute or made.call
    keeping = [i for i, spec in enumerate(made.specs) if spec is not None and spec.arrays]

    def call(x: Any, *args: Any, **params: Any) -> Any:
        if len(args) == 1 and not params and into_memory(made, name, x, args[0]):
            return x
        views.check_write(x, name)
        operands = (x, *args)
        if keeping and recording() and any(edge_of(a) is not None for a in operands):
            operands = tuple(_snapshot(a) if _is_alias(a, x) else a for a in operands)
        result = compute(*operands, **params)
        require_like(name, x, result)
        views.write(x, raw(result), node_of(result), name)
        return x

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Write the result of `polyad.{made.name}` into the tensor, in place; returns the tensor."
    return call


def into_memory(made: Function, name: str, x: Any, other: Any) -> bool:
    """Compute into the memory of ``x`` where nothing is unusual: no history, one type, no growth.

    Gives whether it did. Whatever is wrong is left to the full path to say.
    """
    try:
        data, device = x._data, x._device
        kernel = device.inplace.get(made.name)
        if kernel is None or data.dtype not in device.accepted[made.takes]:
            return False
        if x._node is not None and recording():
            return False
        kind = type(other)
        if kind in SCALARS:
            value = other
            if data.dtype not in device.weak[kind]:
                return False
        else:
            value = other._data
            if (
                (other._node is not None and recording())
                or other._device is not device
                or value.dtype is not data.dtype
                or (value.shape != data.shape and not _fits(value.shape, data.shape))
            ):
                return False
    except AttributeError:  # an alias emptied by a write, or no tensor
        return False
    if (x._storage is not None and (x._path is not None or x._root.refusal is not None)) or type(x._writes) is Sealed:
        views.check_write(x, name)
    kernel(data, value)
    version = x._writes
    if version is None:
        version = x._writes = Version()
    version.count += 1
    version.by = name
    return True


def _is_alias(a: Any, x: Tensor) -> bool:
    """Whether an operand shares the memory that is about to be written."""
    return a is x or (isinstance(a, Tensor) and a._storage is not None and a._storage is x._storage)


def _snapshot(x: Tensor) -> Tensor:
    """The tensor as it is, history included, in memory of its own: what a rule keeps of it outlives the write."""
    return wrap(x._device.backend.copy(raw(x)), x._device, node_of(x))


def _fits(shape: tuple[int, ...], into: tuple[int, ...]) -> bool:
    """Whether a shape broadcasts into another without growing it."""
    return len(shape) <= len(into) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(into), strict=False))


def require_like(name: str, x: Tensor, result: Tensor) -> None:
    """Raise if ``result`` cannot be written into ``x``."""
    if result._device is not x._device:
        refuse_write(name, x, result._device)
    if result.shape != x.shape:
        raise ShapeError(
            f"{name}: the result has shape {result.shape}, which does not fit into the tensor's shape {x.shape}; "
            f"use the out-of-place form"
        )
    if result.dtype is not x.dtype:
        raise DTypeError(
            f"{name}: the result is {result.dtype.name}, which a tensor of {x.dtype.name} cannot hold; "
            f"write x = x.astype(polyad.{result.dtype.name}) first, or use the out-of-place form"
        )


def edge_of(x: Any) -> Any:
    """Where a tensor's gradient goes, or None."""
    return node_of(x) if isinstance(x, Tensor) else None
