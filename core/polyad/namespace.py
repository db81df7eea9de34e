"""polyad as a namespace of the array API standard: what ``x.__array_namespace__()`` gives, and what it tells."""

from __future__ import annotations

import functools
import inspect
import sys
from types import ModuleType
from typing import Any, Final

from .backend import Device
from .dtypes import ALL, DType, bfloat16, complex64, float16, float32, int64
from .errors import ArgumentError
from .ops.data_types import isdtype
from .ops.placement import DeviceLike, place
from .plugins import default_device, plugins, use_backend
from .tensor import Tensor

__all__ = ["API_VERSION", "NamespaceInfo", "array_namespace"]

API_VERSION: Final = "2025.12"
"""The version of the array API standard that polyad follows."""
_OLDER: Final = ("2021.12", "2022.12", "2023.12", "2024.12")

_namespaces: dict[Device, ModuleType] = {}


class NamespaceInfo:
    """What a consumer of the array API can find out about polyad: ``polyad.__array_namespace_info__()``.

    Examples
    --------
    >>> import polyad as ad
    >>> info = ad.__array_namespace_info__()
    >>> info.default_dtypes()["real floating"], info.capabilities()["boolean indexing"]
    (polyad.float32, True)
    """

    def __init__(self, device: Device | None = None) -> None:
        self._device = device

    def capabilities(self) -> dict[str, Any]:
        """Say what of the standard's optional parts there is; dimensions are as many as NumPy allows."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Device:
        """Give the device that creation functions use."""
        return default_device() if self._device is None else self._device

    def default_dtypes(self, *, device: DeviceLike = None) -> dict[str, DType]:
        """Give the types of new arrays, by kind; the same on every device."""
        return {"real floating": float32, "complex floating": complex64, "integral": int64, "indexing": int64}

    def dtypes(self, *, device: DeviceLike = None, kind: Any = None) -> dict[str, DType]:
        """Give the types that a device has, by name, all or those of a kind (see `polyad.isdtype`).

        Of the types that the standard knows: float16 and bfloat16 are not among them.
        """
        native = (self.default_device() if device is None else place(device)).native
        known = [d for d in ALL if d in native and d not in (float16, bfloat16)]
        return {d.name: d for d in known if kind is None or isdtype(d, kind)}

    def devices(self) -> tuple[Device, ...]:
        """Give the devices of the loaded backends, the default one first."""
        first = self.default_device()
        return first, *(d for d in plugins.loaded_devices() if d is not first)


class DeviceNamespace(ModuleType):
    """polyad, whose creation functions make new tensors on one device without being told.

    A consumer that writes ``xp.zeros(3)`` beside an array it was given means: where that array is.
    """

    def __init__(self, module: ModuleType, device: Device) -> None:
        super().__init__(module.__name__, module.__doc__)
        self._module, self._device = module, device

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if isinstance(found, ModuleType):
            found = DeviceNamespace(found, self._device)
        elif name == "__array_namespace_info__":
            found = functools.partial(NamespaceInfo, self._device)
        elif callable(found) and not isinstance(found, type) and _creates(found):
            found = _placed(found, self._device)
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        return dir(self._module)

    def __reduce__(self) -> tuple[Any, ...]:
        return _namespace_of, (self._device,)

    def __repr__(self) -> str:
        return f"<polyad, new tensors on {self._device.where}>"


def _creates(function: Any) -> bool:
    """Whether a function makes tensors where its arguments say: it has parameters for the device."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return "device" in parameters and "backend" in parameters


def _placed(function: Any, device: Device) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with use_backend(device):
            return function(*args, **kwargs)

    return call


def _namespace_of(device: Device) -> ModuleType:
    found = _namespaces.get(device)
    if found is None:
        found = _namespaces[device] = DeviceNamespace(sys.modules[__package__], device)
    return found


def array_namespace(self: Tensor, /, *, api_version: str | None = None) -> ModuleType:
    """Give the namespace of functions for this tensor: polyad, with creation on the tensor's device.

    Parameters
    ----------
    api_version : str, optional
        A version of the array API standard.

    Returns
    -------
    module
        polyad itself where new tensors go to this tensor's device anyway.

    Raises
    ------
    ArgumentError
        If polyad does not follow that version.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(2, requires_grad=True)
    >>> xp = x.__array_namespace__()
    >>> xp.sum(xp.sin(x) + xp.zeros(2))
    tensor(1.6829, grad_fn=<SumBackward>)
    """
    if api_version is not None and api_version not in (API_VERSION, *_OLDER):
        raise ArgumentError(
            f"__array_namespace__: polyad follows version {API_VERSION} of the array API standard, and those before it "
            f"from {_OLDER[0]}; got {api_version!r}"
        )
    if self._device is default_device():
        return sys.modules[__package__]
    return _namespace_of(self._device)
