"""Where creation functions put what they make: from ``device=`` and ``backend=`` arguments, or the default."""

from __future__ import annotations

from typing import Any, TypeAlias

from ..backend import Backend, Device
from ..errors import DeviceError
from ..plugins import default_device, plugins
from ..tensor import Tensor, wrap

__all__ = [
    "device",
]

DeviceLike: TypeAlias = "Device | str | None"


def place(device: DeviceLike = None, backend: str | Backend | None = None) -> Device:
    """Find the device that creation arguments mean: given, or the default.

    Raises
    ------
    BackendError, DeviceError
        If there is none of the name.
    """
    if isinstance(device, Device):
        return device
    if backend is None:
        default = default_device()
        return default if device is None else default.backend.device_for(_text(device))
    made = backend if isinstance(backend, Backend) else plugins.backend(backend)
    return made.devices[0] if device is None else made.device_for(_text(device))


def _text(device: Any) -> str:
    if not isinstance(device, str):
        raise DeviceError(f"a device is given as x.device or a name such as 'cpu' or 'cuda:0'; got {device!r}")
    return device


def device(spec: str | Device, index: int | None = None) -> Device:
    """Find a device of the default backend by name: PyTorch's ``torch.device``.

    Parameters
    ----------
    spec : str
        ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.
    index : int, optional
        As in ``device("cuda", 1)``.

    Returns
    -------
    Device

    Raises
    ------
    DeviceError
        If the default backend has no such device.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.device("cpu")
    device(type='cpu')
    """
    return place(spec if index is None else f"{spec}:{index}")


def finished(data: Any, where: Device, requires_grad: bool) -> Tensor:
    """Wrap a new array."""
    out = wrap(where.asarray(data), where)
    return out.requires_grad_(requires_grad) if requires_grad else out
