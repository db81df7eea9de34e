"""Copies, other types, other places: `astype`, `to`, `clone`, `detach`. All but `detach` keep the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import leaves, views
from ..backend import Backend, Device
from ..batching import elementwise, in_front
from ..careful import careful
from ..dispatch import function
from ..dtypes import DTypeLike, as_dtype
from ..errors import AutogradError, DeviceError, DTypeError, OperandError, ShapeError
from ..function import XP, Fails, Function, Sample
from ..grad_mode import recording
from ..graph import record
from ..layouts import row_major
from ..levels import chain, lift, meet, placed
from ..operators import into_memory
from ..plugins import plugins
from ..rules import is_complex
from ..tensor import Tensor, not_a_tensor, wrap
from ..views import View, node_of, raw
from .conversion import value_for

__all__ = [
    "astype",
    "clone",
    "detach",
    "to",
    "to_device",
]


def _cast_back(g: Any, xp: Any, x_dtype: Any) -> Any:
    """A gradient in the type of the input; of a real input that became complex, the real part."""
    if is_complex(g.dtype) and not is_complex(x_dtype):
        g = xp.real(g)
    return xp.astype(g, x_dtype)


@function(
    name="astype",
    elementwise=True,
    gives="given",
    standard=True,
    x=_cast_back,
    samples=[
        Sample((2, 3), dtype="complex128", name="to complex128"),
        Fails([[1j]], dtype="float64", error=DTypeError, match="astype: .* would drop the imaginary part"),
    ],
)
def _astype(x: Tensor, /, *, dtype: DTypeLike) -> Tensor:
    """Elements as another type; see `astype`."""


def astype(x: Tensor, /, dtype: DTypeLike, *, copy: bool = True, device: Device | str | None = None) -> Tensor:
    """Elements as another type. Keeps the graph.

    Parameters
    ----------
    x : Tensor
        Any shape and type.
    dtype : DType or what names one
    copy : bool
        False to give ``x`` itself if it has the type.
    device : Device or str, optional
        Where to bring it as well.

    Returns
    -------
    Tensor
        Of ``x``'s shape. Requires no gradient if ``dtype`` is no floating-point type.

    Raises
    ------
    DTypeError
        If the backend lacks the type, or a complex tensor would lose its imaginary part.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.astype(ad.tensor([1.7, -1.7]), ad.int64)
    tensor([ 1, -1])
    """
    if not isinstance(x, Tensor):
        not_a_tensor("astype", "x", x)
    wanted = as_dtype(dtype)
    if device is not None:
        moved = to_device(x, device)
        x, copy = moved, copy and moved is x
    if wanted is x.dtype and not copy:
        return x
    if x.dtype.is_complex and not wanted.is_complex and wanted.name != "bool":
        raise DTypeError(
            f"astype: {x.dtype.name} to {wanted.name} would drop the imaginary part; write polyad.real(x) first"
        )
    if not wanted.is_differentiable:
        x = x.detach()
    return careful(_astype.function, (x,), {"dtype": x._device.dtype(wanted)})  # type: ignore[no-any-return]


_astype.function.call = astype


@function(elementwise=True, name="clone", x=lambda g: g, samples=[Sample((2, 3)), Sample(())])
def clone(xp: XP, x: Tensor, /) -> Tensor:
    """Copy with memory of its own. Keeps the graph.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.zeros(2)
    >>> y = x.clone().add_(1)
    >>> x
    tensor([0., 0.])
    """
    return xp.asarray(x, copy=True)  # type: ignore[no-any-return]


@function(
    name="detach",
    batching=elementwise,
    differentiable=False,
    check=lambda shape: {},
    view=View(lambda xp, base, new: new, lambda x: x),
    samples=[Sample((2, 3))],
)
def detach(xp: XP, x: Tensor, /) -> Tensor:
    """The same elements, sharing memory, without history: gradients do not flow through it.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.ones(2, requires_grad=True).detach().requires_grad
    False
    """
    return x


def detach_(x: Tensor) -> Tensor:
    """Drop the tensor's own history; it becomes a leaf that requires no gradient. Returns it.

    Raises
    ------
    AutogradError
        If it is a view, whose history is its base's.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(2, requires_grad=True) * 3
    >>> x.detach_()
    tensor([3., 3.])
    """
    if views.base_of(x) is not None:
        raise AutogradError(
            "detach_: a view shares the history of the tensor that it is a view of; write x.detach() for one without"
        )
    leaves.freeze(x)
    return x


@function(
    name="to_device",
    prepare=False,
    x=lambda g, xp, source, device: xp.to_device(g, source=device, device=source),
    samples=[],
)
def _to_device(xp: XP, x: Tensor, /, *, source: Device, device: Device) -> Tensor:
    """Elements on another device, of the same or another backend; see `to`."""
    return source.backend.move(x, source, device)  # type: ignore[no-any-return]


def to_device(x: Tensor, /, device: Device | str, *, stream: Any = None, source: Any = None) -> Tensor:
    """Bring a tensor to another device, of its own or another backend. Keeps the graph.

    Parameters
    ----------
    x : Tensor
    device : Device or str
        A device, as ``y.device`` gives it, or the name of one of ``x``'s backend.
    stream : None
        Of the standard's signature: libraries' streams are theirs to order.

    Returns
    -------
    Tensor
        ``x`` itself if it is there already.

    Raises
    ------
    DeviceError
        If the backend has no such device.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(2)
    >>> ad.to_device(x, "cpu") is x
    True
    """
    made: Any = _to_device.function
    origin = x._device
    target = placed(device if isinstance(device, Device) else origin.backend.device_for(device), origin)
    if meet(origin, target) is target:
        return lift(x, target)
    if target.depth > origin.depth:
        return to_device(lift(x, placed(origin, target)), target)
    dtype = target.dtype(x.dtype)  # raises if the other backend lacks the type
    edge, data = node_of(x), raw(x)
    params = {"source": origin, "device": target}
    moved = target.asarray(origin.kernels[made](data, **params))
    if moved.dtype != dtype:
        raise DTypeError(f"to: {x.dtype.name} became {moved.dtype} on {target.where}")
    out = wrap(moved, target)
    if edge is not None and recording():
        out._node = record(made, target, (x,), (data,), (edge,), params, moved, out)
    return out


_to_device.function.call = to_device


def to(
    x: Tensor,
    *args: Any,
    dtype: DTypeLike | None = None,
    device: Device | str | None = None,
    backend: str | Backend | None = None,
    copy: bool = False,
) -> Tensor:
    """Give the tensor another type, device or backend: PyTorch's ``to``. Keeps the graph.

    Parameters
    ----------
    x : Tensor
    *args
        Any of: a dtype, a device, or a tensor whose dtype and device are wanted.
    dtype : DType, optional
    device : Device or str, optional
        A name means a device of ``backend``, or else of ``x``'s own.
    backend : str, optional
        The backend to move to; its first device if ``device`` is not given.
    copy : bool
        Copy even if nothing changes.

    Returns
    -------
    Tensor
        ``x`` itself if nothing changes.

    Raises
    ------
    BackendError
        If the backend is unknown or cannot be loaded.
    DeviceError
        If it has no such device.
    DTypeError
        If it lacks the type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.ones(2).to(ad.float64)
    tensor([1., 1.], dtype=polyad.float64)
    >>> ad.ones(2).to(backend="numpy").backend.name
    'numpy'
    """
    for arg in args:
        if isinstance(arg, Tensor):
            dtype, device = arg.dtype, arg._device
        elif isinstance(arg, Device) or (isinstance(arg, str) and arg.split(":")[0] in ("cpu", "cuda", "gpu", "tpu")):
            device = arg
        elif isinstance(arg, str) and arg in plugins.backend_names():
            raise DeviceError(f"to: {arg!r} is a backend, not a device; write x.to(backend={arg!r})")
        elif isinstance(arg, str) and ":" in arg:
            raise DeviceError(f"to: {arg!r} is no device; write x.to('cuda:0') or x.to(backend=..., device=...)")
        else:
            dtype = as_dtype(arg)
    target = x._device
    if backend is not None:
        made = backend if isinstance(backend, Backend) else plugins.backend(backend)
        if isinstance(device, Device):
            if device.backend is not made:
                raise DeviceError(f"to: device {device.where} is none of backend {made.name!r}")
            target = device
        else:
            target = made.device_for(device) if device is not None else made.devices[0]
            if device is None and made is chain(x._device)[1].backend:
                target = x._device
    elif device is not None:
        target = device if isinstance(device, Device) else x.backend.device_for(device)
    out = x
    # narrow before a transfer, widen after it: fewer bytes travel
    if dtype is not None and as_dtype(dtype).itemsize <= x.dtype.itemsize:
        out = astype(out, dtype, copy=False)
    out = to_device(out, target)
    if dtype is not None:
        out = astype(out, dtype, copy=False)
    return clone(out) if copy and out is x else out


def cpu(x: Tensor) -> Tensor:
    """Bring the tensor to host memory: its backend's CPU device, or NumPy if that has none."""
    if x._device.type == "cpu":
        return x
    for device in x.backend.devices:
        if device.type == "cpu":
            return to_device(x, device)
    from ..plugins import DEFAULT_BACKEND

    return to(x, backend=DEFAULT_BACKEND)


# In place ---------------------------------------------------------------------------------------------------


def _overwritten_examples(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    """The result has the shape of the first array, so that has the examples, whether they differ there or not."""
    arrays = in_front(arrays[0], size, batched[0]), arrays[1]
    return elementwise(made, size, arrays, (True, batched[1]), params)


@function(
    name="copy",
    batching=_overwritten_examples,
    elementwise=True,
    promotes=(0, 1),
    x1=lambda g, xp: xp.zeros_like(g),
    x2=lambda g: g,
    samples=[
        Sample((2, 3), (2, 3)),
        Sample((2, 3), (3,)),
        Sample((2, 3), (), name="one number"),
        Fails((2, 3), (2,), error=ShapeError, match=r"copy: shapes \(2, 3\) and \(2,\) do not broadcast"),
    ],
)
def _overwrite(xp: XP, x1: Tensor, x2: Tensor, /) -> Tensor:
    """``x2`` in the shape of ``x1``: what ``copy_`` writes.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.zeros(2).copy_(ad.tensor(7.0))
    tensor([7., 7.])
    """
    return xp.broadcast_to(x2, x1.shape)  # type: ignore[no-any-return]


def copy_(x: Tensor, source: Any) -> Tensor:
    """Write another tensor's elements into this one, in place; it is broadcast and converted. Returns it.

    Parameters
    ----------
    x : Tensor
    source : Tensor or number

    Raises
    ------
    ShapeError
        If ``source`` does not broadcast to ``x``'s shape.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.zeros(2).copy_(ad.tensor([1, 2]))
    tensor([1., 2.])
    """
    return write(x, source, "copy_")


def write(x: Tensor, source: Any, name: str) -> Tensor:
    """Write ``source`` into ``x``, for the method called ``name``."""
    made: Any = _overwrite.function
    if into_memory(made, name, x, source):
        return x
    views.check_write(x, name)
    if isinstance(source, Tensor) and meet(source._device, x._device) is None:
        source = to_device(source, x._device)
    value = value_for(x, source, name)
    if len(value.shape) > x.ndim or any(
        n not in (1, m) for n, m in zip(reversed(value.shape), reversed(x.shape), strict=False)
    ):
        raise ShapeError(f"{name}: a source of shape {value.shape} does not broadcast to the tensor's {x.shape}")
    result = made.call(x, value)
    views.write(x, raw(result), node_of(result), name)
    return x


def fill_(x: Tensor, value: Any) -> Tensor:
    """Write one number into every element, in place. Returns the tensor.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.zeros(2).fill_(7)
    tensor([7., 7.])
    """
    if isinstance(value, Tensor) and value.ndim:
        raise ShapeError(f"fill_: expected one number; got a tensor of shape {value.shape}; write copy_")
    return write(x, value, "fill_")


def zero_(x: Tensor) -> Tensor:
    """Write 0 into every element, in place. Returns the tensor.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.ones(2).zero_()
    tensor([0., 0.])
    """
    return write(x, False if x.dtype.name == "bool" else 0, "zero_")


def contiguous(x: Tensor) -> Tensor:
    """Give the tensor itself if its elements stand in row-major order, otherwise a copy."""
    if not isinstance(x, Tensor):
        raise OperandError(f"contiguous: expected a tensor; got {type(x).__name__}")
    return x if is_contiguous(x) else clone(x)


def is_contiguous(x: Tensor) -> bool:
    """Whether the elements stand in row-major order; the same answer on every backend."""
    if x._storage is None:
        return True
    shape, strides, _ = views.layout_of(x)
    return 0 in shape or all(n == 1 or s == r for n, s, r in zip(shape, strides, row_major(shape), strict=True))
