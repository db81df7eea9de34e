"""Functions that make tensors of data: numbers, nested lists, arrays of any library."""

from __future__ import annotations

import math
from typing import Any

from .. import views
from ..backend import Backend, Device
from ..careful import SCALARS, constant
from ..dtypes import BY_NAME, DEFAULTS, DType, DTypeLike, as_dtype, float32, join_scalar, promote_types
from ..errors import ArgumentError, DeviceError, DTypeError, OperandError, ShapeError
from ..function import FUNCTIONS
from ..layouts import row_major
from ..levels import lift, meet, refuse_write
from ..plugins import default_device, plugins
from ..tensor import Tensor, wrap
from .placement import DeviceLike, finished, place

__all__ = [
    "asarray",
    "from_numpy",
    "tensor",
]

NUMBERS = (bool, int, float, complex)


def flatten_nested(data: Any, name: str) -> tuple[tuple[int, ...], list[Any]]:
    """Shape and elements, in order, of nested sequences.

    Raises
    ------
    ShapeError
        If the nesting is ragged; it says where.
    """
    shape: list[int] = []
    level = [data]
    while level and isinstance(level[0], (list, tuple)):
        n = len(level[0])
        for position, item in enumerate(level):
            if not isinstance(item, (list, tuple)) or len(item) != n:
                got = f"length {len(item)}" if isinstance(item, (list, tuple)) else f"the number {item!r}"
                raise ShapeError(
                    f"{name}: the nested list is ragged: at depth {len(shape)}, item 0 has length {n}, and item "
                    f"{position} {got.replace('the number', 'is the number') if got[0] == 't' else 'has ' + got}"
                )
        shape.append(n)
        level = [x for item in level for x in item]
    for position, item in enumerate(level):
        if isinstance(item, (list, tuple)):
            raise ShapeError(
                f"{name}: the nested list is ragged: at depth {len(shape)}, item 0 is the number {level[0]!r}, and "
                f"item {position} has length {len(item)}"
            )
    return tuple(shape), level


def _from_nested(data: Any, name: str, dtype: DTypeLike | None, where: Device) -> Any:
    shape, values = flatten_nested(data, name)
    found: DType | None = None
    numbers: list[Any] = []
    kinds = {type(v) for v in values}
    if not kinds <= set(NUMBERS):
        for v in values:
            if isinstance(v, Tensor) and v.numel() == 1:
                found = v.dtype if found is None else promote_types(found, v.dtype)
                numbers.append(v.item())
            elif hasattr(v, "item") and getattr(v, "shape", None) == () and hasattr(v, "dtype"):
                numbers.append(v.item())  # a library's scalar
            elif type(v) in NUMBERS:
                numbers.append(v)
            else:
                raise OperandError(
                    f"{name}: cannot make a tensor of {type(v).__name__} {v!r:.40}; expected numbers, nested lists "
                    f"of them, arrays or tensors" + ("; use stack([...])" if isinstance(v, Tensor) else "")
                )
        values = numbers
        kinds = {type(v) for v in values}
    if dtype is not None:
        wanted = as_dtype(dtype)
    elif found is not None and kinds <= {bool, int, float}:
        wanted = found
    elif not values:
        wanted = float32
    else:
        wanted = DEFAULTS[max(kinds, key=NUMBERS.index)]
    fit_numbers(name, values, wanted)
    return where.backend.from_flat(values, shape, where.dtype(wanted), where)


def fit_numbers(name: str, values: list[Any], wanted: DType) -> None:
    """Make numbers fit a type, in place: floats become integers where those are wanted.

    Raises
    ------
    DTypeError
        If one is out of the type's range, or complex for a real type.
    """
    if "integer" in wanted.kind and values:
        if any(type(v) in (float, complex) for v in values):
            for v in values:
                if type(v) is complex or (type(v) is float and not math.isfinite(v)):
                    raise DTypeError(f"{name}: {v!r} has no {wanted.name} value")
            values[:] = [int(v) for v in values]
        for v in (min(values), max(values)):
            join_scalar(wanted, int(v))
    elif not wanted.is_complex and wanted.kind != "bool" and any(type(v) is complex for v in values):
        raise DTypeError(f"{name}: complex numbers do not fit into {wanted.name}; ask for polyad.complex64")


def _copied(array: Any, where: Device, dtype: DTypeLike | None, copy: bool) -> Any:
    """A library's array on ``where``, through its own backend if that is loaded, or else through NumPy's protocol."""
    owner = plugins.owner(array)
    if getattr(getattr(array, "dtype", None), "name", "float32") not in BY_NAME:
        raise DTypeError(
            f"an array of type {array.dtype} has no polyad type; convert it to one of "
            f"{', '.join(d.name for d in where.native)}"
        )
    if owner is None:
        host = array.__array__() if hasattr(array, "__array__") else None
        if host is None:
            raise OperandError(
                f"cannot make a tensor of {type(array).__name__}; expected numbers, nested lists of them, arrays or "
                f"tensors"
            )
        data = where.backend.from_host(host, where, copy=copy)
    elif owner is where:
        data = where.backend.copy(array) if copy else array
    elif owner.backend is where.backend:
        data = where.backend.move(array, owner, where)
    else:
        data = where.backend.from_host(owner.backend.to_host(array), where, copy=copy)
    have = where.dtypes.get(data.dtype)
    if have is None:
        raise DTypeError(
            f"an array of type {data.dtype} has no polyad type; convert it to one of "
            f"{', '.join(d.name for d in where.native)}"
        )
    if dtype is not None and have is not as_dtype(dtype):
        data = where.kernels[FUNCTIONS["astype"]](data, dtype=where.dtype(as_dtype(dtype)))
    return data


def tensor(
    data: Any,
    *,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    backend: str | Backend | None = None,
) -> Tensor:
    """Make a leaf tensor of data, always copying it.

    Parameters
    ----------
    data : number, nested list or tuple of numbers, array, or Tensor
        Floats become float32, integers int64, complex numbers complex64; arrays keep their type.
    dtype : DType, optional
        The type asked for; nothing is given in another.
    device : Device or str, optional
        Where; by default see `polyad.default_device`.
    requires_grad : bool
    backend : str, optional
        A backend other than the default.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If lists are ragged.
    DTypeError
        If numbers do not fit the type, the backend lacks it, or it cannot require a gradient.
    OperandError
        If there is something other than numbers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    >>> ad.tensor([1.0, 2.0], dtype=ad.float64)
    tensor([1., 2.], dtype=polyad.float64)
    """
    where = place(device, backend)
    if isinstance(data, Tensor):
        out = data.detach().to(device=where, dtype=dtype, copy=True)
        out = out.clone() if out._storage is not None else out
        return out.requires_grad_(requires_grad) if requires_grad else out
    if type(data) in NUMBERS or isinstance(data, (list, tuple)):
        data = _stacked_items(data)
        if isinstance(data, (list, tuple)) or type(data) in NUMBERS:
            return finished(_from_nested(data, "tensor", dtype, where), where, requires_grad)
    if isinstance(data, (range, set)):
        return tensor(list(data), dtype=dtype, device=where, requires_grad=requires_grad)
    return finished(_copied(data, where, dtype, True), where, requires_grad)


def _stacked_items(data: Any) -> Any:
    """A list of arrays of more than one element, as one array: through NumPy's protocol."""
    if (
        isinstance(data, (list, tuple))
        and data
        and all(not isinstance(x, (Tensor, *NUMBERS, list, tuple)) and getattr(x, "shape", ()) for x in data)
    ):
        return [x.tolist() for x in data]
    return data


def asarray(
    obj: Any,
    /,
    *,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    copy: bool | None = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Give a tensor of an object, copying only if that is needed. Of a tensor, keeps the graph.

    Arrays of another library stay with that library's backend, if it is loaded, unless a device is given; NumPy
    arrays go to the default device.

    Parameters
    ----------
    obj : Tensor, array, number or nested list
    dtype : DType, optional
    device : Device or str, optional
    copy : bool, optional
        True to copy always; False to raise where a copy would be needed.
    backend : str, optional

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If a copy is needed and ``copy`` is False.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(2, requires_grad=True)
    >>> ad.asarray(x) is x
    True
    """
    if isinstance(obj, Tensor):
        where = place(device, backend) if device is not None or backend is not None else obj._device
        changes = where is not obj._device or (dtype is not None and as_dtype(dtype) is not obj.dtype)
        if changes and copy is False:
            raise ArgumentError("asarray: another type or device needs a copy, and copy=False forbids it")
        return obj.to(device=where, dtype=dtype, copy=bool(copy))
    if type(obj) in NUMBERS or isinstance(obj, (list, tuple, range)):
        if copy is False:
            raise ArgumentError("asarray: numbers and lists have to be copied, and copy=False forbids it")
        return tensor(obj, dtype=dtype, device=device, backend=backend)
    owner = plugins.owner(obj)
    if owner is not None and not owner.backend.is_host and device is None and backend is None:
        where = owner
    else:
        where = place(device, backend)
    data = _copied(obj, where, dtype, bool(copy))
    if copy is False and data is not obj:
        raise ArgumentError(f"asarray: this array needs a copy to be on {where.where}, and copy=False forbids it")
    return finished(data, where, False) if copy else adopted(data, where)


def adopted(data: Any, where: Device) -> Tensor:
    """Wrap an array whose memory others have too: it keeps its order, so that it stays shared."""
    out = wrap(where.asarray(data), where)
    strides = where.backend.strides(out._data)
    if strides is not None and strides != row_major(out.shape):
        views.share(out, strides)
    return out


def from_numpy(array: Any, /) -> Tensor:
    """Make a tensor of a NumPy array on the default device, sharing its memory where the backend can.

    Parameters
    ----------
    array : numpy.ndarray

    Returns
    -------
    Tensor

    Raises
    ------
    OperandError
        If it is no NumPy array.

    Examples
    --------
    >>> import numpy as np, polyad as ad
    >>> ad.from_numpy(np.array([1, 2, 3]))
    tensor([1, 2, 3])
    """
    if not hasattr(array, "__array_interface__") or not hasattr(array, "dtype"):
        raise OperandError(f"from_numpy: expected a NumPy array; got {type(array).__name__}; write polyad.tensor(...)")
    return asarray(array, device=default_device())


def value_for(x: Tensor, value: Any, name: str) -> Tensor:
    """A value to be written, as a tensor of ``x``'s type and device."""
    device, dtype = x._device, x.dtype
    if type(value) in SCALARS:
        if isinstance(value, complex) and not dtype.is_complex:
            raise DTypeError(f"{name}: a tensor of {dtype.name} cannot hold the complex number {value}")
        if "integer" in dtype.kind:
            if isinstance(value, float) and not math.isfinite(value):
                raise DTypeError(f"{name}: {value} has no {dtype.name} value")
            value = int(value)
            join_scalar(dtype, value)
        return constant(value, dtype, device)
    if not isinstance(value, Tensor):
        value = asarray(value, device=device)
    if value._device is not device:
        found = meet(value._device, device)
        if found is None:
            raise DeviceError(
                f"{name}: x is on {device.where}, y on {value._device.where}; write y.to(device=x.device)"
            )
        if found is not device:
            refuse_write(name, x, found)
        value = lift(value, device)
    if value.dtype is not dtype:
        if value.dtype.is_complex and not dtype.is_complex:
            raise DTypeError(f"{name}: a tensor of {dtype.name} cannot hold {value.dtype.name}; write y.real")
        value = FUNCTIONS["astype"].call(value, dtype)
    return value  # type: ignore[no-any-return]
