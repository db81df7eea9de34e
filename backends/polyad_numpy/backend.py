"""NumPy as a backend: its own namespace, and the kernels where a method or a ufunc is faster than the function."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

import ml_dtypes
import numpy as np

from polyad import dtypes
from polyad.backend import Backend, Device, Kernel
from polyad.function import Function
from polyad.keys import plain_key

from . import cumulative, decompositions, diagonals, elementwise, indexing, products, reduction, solvers, sorting
from .quiet import quiet, setting
from .random import NumPySource

QUIET = elementwise.QUIET | reduction.QUIET

NATIVE = {d: np.dtype(ml_dtypes.bfloat16 if d is dtypes.bfloat16 else d.name) for d in dtypes.ALL}
for _dtype, _native in NATIVE.items():
    _dtype.dtype = _native


def _broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    if type(x) is np.ndarray and not x.ndim:  # a reduction's gradient: a tenth of the time of np.broadcast_to
        return np.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
    found = np.broadcast_to(x, shape)
    if type(x) is np.ndarray:
        found.flags.writeable = x.flags.writeable  # polyad knows which parts of it may be written
    return found


def _clip(x: Any, low: Any = None, high: Any = None) -> Any:
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


_BITS = {np.dtype(f"f{n}"): np.dtype(f"i{n}") for n in (2, 4, 8)}


def _where(condition: Any, x1: Any, x2: Any) -> Any:
    # An element or 0 is a product of its bits: of a mask without pattern, a branch each takes ten times as long
    if type(x2) is int and x2 == 0 and type(x1) is np.ndarray and condition.dtype == bool:
        bits = _BITS.get(x1.dtype)
        if bits is not None:
            return np.multiply(x1.view(bits), condition).view(x1.dtype)
    return np.where(condition, x1, x2)


def _add_into(there: Any, gradient: Any) -> Any:
    own = type(there) is np.ndarray and there.base is None and there.flags.writeable
    if own and there.shape == gradient.shape and there.dtype is gradient.dtype:
        return np.add(there, gradient, there)
    return np.add(there, gradient)


def _unfold(x: Any, axis: int, size: int, step: int) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(x, size, axis, writeable=x.flags.writeable)
    return windows[(slice(None),) * axis + (slice(None, None, step),)]


class NumPyBackend(Backend):
    """Arrays of `numpy.ndarray`, on the host."""

    name: ClassVar[str] = "numpy"
    writable: ClassVar[bool] = True
    is_host: ClassVar[bool] = True
    refuses_indices: ClassVar[bool] = True
    xp = np
    array = np.ndarray
    array_types = (np.ndarray,)
    strong: ClassVar[frozenset[Any]] = frozenset([dtypes.bfloat16])
    dtypes = NATIVE

    kernels = {  # noqa: RUF012 - never written
        "broadcast_to": _broadcast_to,
        "clip": _clip,
        **{f"logical_{n}": getattr(np, f"logical_{n}") for n in ("and", "or", "xor", "not")},  # of numbers too
        "where": _where,
        "real": lambda x: x.real,
        "conj": operator.methodcaller("conj"),
        "clone": lambda x: np.array(x, order="C"),
        "astype": lambda x, dtype: x.astype(dtype),
        "detach": lambda x: x,
        "reshape": lambda x, shape: x.reshape(shape),
        "permute_dims": lambda x, axes: x.transpose(axes),
        "expand_dims": lambda x, axis: x.reshape(_inserted(x.shape, axis)),
        "squeeze": lambda x, axis: x.reshape(_left(x.shape, axis)),
        "unfold": _unfold,
        **cumulative.KERNELS,
        **diagonals.KERNELS,
        **elementwise.KERNELS,
        **indexing.KERNELS,
        **products.KERNELS,
        **reduction.KERNELS,
        **solvers.KERNELS,
        **sorting.KERNELS,
        **decompositions.KERNELS,
    }
    bound = {  # noqa: RUF012 - never written
        "slice_view": lambda shape, key: operator.itemgetter(plain_key.__wrapped__(key)),
        "permute_dims": lambda shape, axes: operator.methodcaller("transpose", axes),
        "reshape": lambda old, shape: operator.methodcaller("reshape", shape),
        "expand_dims": lambda shape, axis: operator.methodcaller("reshape", _inserted(shape, axis)),
        "squeeze": lambda shape, axis: operator.methodcaller("reshape", _left(shape, axis)),
    }
    inplace = {  # noqa: RUF012 - never written
        "add": lambda x, y: np.add(x, y, x),
        "subtract": lambda x, y: np.subtract(x, y, x),
        "multiply": lambda x, y: np.multiply(x, y, x),
        "divide": quiet(lambda x, y: np.divide(x, y, x), 2),
        "copy": lambda x, y: operator.setitem(x, ..., y),
        "setitem": indexing.setitem_into,
    }

    add_into = staticmethod(_add_into)

    calm = setting()

    def __init__(self) -> None:
        self.devices = (Device(self, "cpu"),)

    def prepare(self, kernel: Kernel, function: Function) -> Kernel:
        """Have no warnings of what some functions give at ordinary arguments."""
        if function.name not in QUIET:
            return kernel
        fixed = not function.params and not function.variadic
        return quiet(kernel, len(function.inputs) if fixed else None)

    def normalize(self, array: Any) -> Any:
        """Make an array of one of NumPy's scalars, which ufuncs return for 0-d results."""
        return np.asarray(array)

    def from_flat(self, values: Sequence[Any], shape: tuple[int, ...], dtype: Any, device: Device) -> Any:
        """Make an array from numbers."""
        return np.array(values, dtype).reshape(shape)

    def from_host(self, array: Any, device: Device, *, copy: bool) -> Any:
        """Give the array itself, or a copy."""
        native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
        return np.array(native, order="C") if copy or not native.flags.writeable else native

    def from_dlpack(self, array: Any, copy: bool | None) -> Any:
        """Share the memory, unless it may only be read: then a copy, which can be written."""
        # NumPy before 2.2 takes all that comes this way to be read-only, its own arrays too
        found = array if type(array) is np.ndarray and not copy else np.from_dlpack(array, copy=copy)
        if found.flags.writeable:
            return found
        if copy is False:
            raise BufferError("its memory is read-only")
        return found.copy()

    def to_host(self, array: Any) -> Any:
        """Give the array itself."""
        return array

    def copy(self, array: Any) -> Any:
        """Copy, into row-major order."""
        return np.array(array, order="C")

    def owned(self, array: Any, shared: bool) -> Any:
        """Copy views and shared arrays."""
        return array.copy() if shared or array.base is not None or not array.flags.c_contiguous else array

    def sealed(self, array: Any) -> Any:
        """Make the array's memory one that is only read."""
        array.flags.writeable = False
        return array

    def contiguous(self, array: Any) -> Any:
        """Copy what is not in row-major order, or cannot be written."""
        flags = array.flags
        return array if flags.c_contiguous and flags.writeable else np.array(array, order="C")

    def strides(self, array: Any) -> tuple[int, ...] | None:
        """Strides in elements."""
        return tuple(s // array.itemsize for s in array.strides)

    def address(self, array: Any) -> int:
        """Where the first element is."""
        found: int = array.__array_interface__["data"][0]
        return found

    def memory_of(self, array: Any) -> Any:
        """What the array is a view of, in the end."""
        while isinstance(array.base, np.ndarray):
            array = array.base
        return array

    def write(self, target: Any, value: Any) -> None:
        """Write in place; overlapping memory is handled by NumPy."""
        np.copyto(target, value)

    def generator(self, device: Device) -> NumPySource:
        """Give a new generator."""
        return NumPySource()

    def describe(self) -> dict[str, str]:
        """Versions, for ``polyad info``."""
        return {"numpy": np.__version__}


@lru_cache
def _inserted(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...]:
    rest = iter(shape)
    return tuple(1 if i in axis else next(rest) for i in range(len(shape) + len(axis)))


def _left(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for i, n in enumerate(shape) if i not in axis)
