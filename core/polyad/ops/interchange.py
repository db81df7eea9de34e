"""Exchanging arrays with other libraries without copying: DLPack, the standard's protocol."""

from __future__ import annotations

from typing import Any, Final

from .. import views
from ..backend import Device
from ..errors import ArgumentError, AutogradError, DeviceError, OperandError, TransformError
from ..graph import guard
from ..plugins import default_device, plugins
from ..tensor import Tensor, wrap
from .conversion import adopted, asarray
from .placement import DeviceLike, place

__all__ = ["from_dlpack"]

# DLPack's numbers of device types
_CPU: Final = 1
_TYPES: Final = {_CPU: "cpu", 2: "cuda", 3: "cuda", 13: "cuda"}


def from_dlpack(x: Any, /, *, device: DeviceLike = None, copy: bool | None = None) -> Tensor:
    """Make a tensor of another library's array, through DLPack: without a copy where both libraries allow.

    The array's device decides the backend: the default one if it has such a device, otherwise one that does.

    Parameters
    ----------
    x : array
        With the methods ``__dlpack__`` and ``__dlpack_device__``; of PyTorch, for example. Of a tensor, the same
        memory without history.
    device : Device or str, optional
        Where to bring it. By default it stays where it is.
    copy : bool, optional
        True to copy always; False to raise where a copy would be needed; None to copy if needed.

    Returns
    -------
    Tensor
        It shares memory with ``x``, unless that takes a copy.

    Raises
    ------
    OperandError
        If ``x`` does not speak DLPack.
    DeviceError
        If no backend has a device of its kind.
    ArgumentError
        If a copy is needed and ``copy`` is False.

    Examples
    --------
    >>> import numpy as np, polyad as ad
    >>> shared = np.zeros(2, np.float32)
    >>> x = ad.from_dlpack(shared)
    >>> x.add_(1), shared
    (tensor([1., 1.]), array([1., 1.], dtype=float32))
    """
    if isinstance(x, Tensor):
        return asarray(x.detach(), device=device, copy=copy)
    if not (hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__")):
        raise OperandError(
            f"from_dlpack: {type(x).__name__} has no method __dlpack__; write polyad.asarray(...) for lists and numbers"
        )
    source = _device_of(x)
    where = source if device is None else place(device)
    if where is source:
        return adopted(_taken(where, x, copy), where)
    if copy is False:
        raise ArgumentError(
            f"from_dlpack: the array is on {source.where}; to bring it to {where.where} needs a copy, and copy=False "
            f"forbids one"
        )
    return wrap(where.asarray(source.backend.move(_taken(source, x, None), source, where)), where)


def _taken(where: Device, x: Any, copy: bool | None) -> Any:
    """The array of ``where``'s library on ``x``'s memory, or of a copy."""
    backend = where.backend
    try:
        return backend.from_dlpack(x, copy)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        if copy is False or not hasattr(x, "__array__"):
            raise ArgumentError(
                f"from_dlpack: backend {backend.name!r} cannot share the memory of this {type(x).__name__} ({error})"
                + (", and copy=False forbids a copy" if copy is False else "")
            ) from error
    return backend.from_host(x.__array__(), where, copy=True)


def _device_of(x: Any) -> Device:
    """The device of a backend on which another library's array lies."""
    owner = plugins.owner(x)
    if owner is not None:
        return owner
    kind, index = x.__dlpack_device__()
    wanted = _TYPES.get(int(kind))
    default = default_device()
    if wanted == default.type and (wanted == "cpu" or default.index in (None, index)):
        return default
    for device in plugins.loaded_devices():
        if device.type == wanted and (wanted == "cpu" or device.index in (None, index)):
            return device
    raise DeviceError(
        f"from_dlpack: the array is on a device of DLPack's kind {int(kind)}, number {index}, which no loaded backend "
        f"has; bring the array to the host first"
    )


def dlpack(
    self: Tensor,
    *,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """Export the tensor's memory as a DLPack capsule: what other libraries' ``from_dlpack`` call.

    Parameters
    ----------
    stream : int, optional
        On a GPU, the consumer's stream.
    max_version : tuple of int, optional
        The newest version of the protocol that the consumer knows.
    dl_device : tuple of int, optional
        The device that the consumer wants it on.
    copy : bool, optional
        True to export a copy; False to raise where one would be needed.

    Raises
    ------
    AutogradError
        If the tensor requires a gradient, which would be lost.
    TransformError
        If it is one inside a function that is transformed.
    """
    if self.requires_grad:
        raise AutogradError(
            "__dlpack__: the tensor requires a gradient, which another library would lose; write x.detach()"
        )
    _check_memory(self)
    guard(self)
    data = views.raw(self)
    wanted = {"stream": stream, "dl_device": dl_device, "copy": copy}
    given = {key: value for key, value in wanted.items() if value is not None}
    if max_version is not None:
        try:
            return data.__dlpack__(max_version=max_version, **given)
        except BufferError:
            pass  # the library knows no version as old: consumers check the one that they get
    return data.__dlpack__(**given)


def _check_memory(x: Tensor) -> None:
    if x._device.depth:
        raise TransformError(
            f"__dlpack__: the tensor is of {x._device.where}, and has no memory of its own; return it from the "
            f"function that is transformed, and export what the transform gives back"
        )


def dlpack_device(self: Tensor) -> tuple[int, int]:
    """Say on which device the tensor's memory is, in DLPack's numbers."""
    _check_memory(self)
    kind, index = views.raw(self).__dlpack_device__()
    return kind, index
