"""Whether two tensors of different backends agree: shape, type, place and, within a tolerance, every element."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any, Final

from ..dtypes import DType, as_dtype, bfloat16, complex64, complex128, float16, float32, float64
from ..tensor import Tensor
from ..views import raw
from .comparison import unravel
from .operations import host_of

__all__ = ["Disagreement", "Tolerance", "alike", "disagreement", "scale_of"]

_TOLERANCES: Final[dict[DType, tuple[float, float]]] = {
    float16: (2e-3, 1e-3),  # two roundings of 2**-11; subtracted numbers of size 1 leave 2**-10
    bfloat16: (1.6e-2, 8e-3),  # the same with 2**-8
    float32: (4e-6, 1e-6),  # libraries' functions are right to some 4 units of 2**-23, of which each may have erred
    complex64: (4e-6, 1e-6),
    float64: (1e-11, 1e-12),  # 2**-52 is 2e-16: what is beyond elementary functions is right to 11 digits or so
    complex128: (1e-11, 1e-12),
}
"""``dtype -> (rtol, atol)`` of one elementwise operation; integers and bools must be equal."""


@dataclass(frozen=True)
class Tolerance:
    """How far two libraries may be apart: ``grows * (atol * scale + rtol * abs(expected))``.

    Attributes
    ----------
    rtol, atol : float or None
        As the user wants them: then nothing grows. None for those of the type.
    grows : float
        Rounding errors of n numbers that are added grow as the root of n, and each further step adds its own.
    scale : float
        The size of the numbers that were added: a sum near 0 of large ones is as far off as a large one.
    """

    rtol: float | None = None
    atol: float | None = None
    grows: float = 1.0
    scale: float = 1.0

    def of(self, dtype: DType) -> tuple[float, float]:
        """Give ``rtol`` and the absolute part for a type."""
        rtol, atol = _TOLERANCES.get(dtype, (0.0, 0.0))
        rtol, atol = rtol * self.grows, atol * self.grows * self.scale
        return rtol if self.rtol is None else self.rtol, atol if self.atol is None else self.atol


@dataclass(frozen=True)
class Disagreement:
    """What differs, ``"device"``, ``"dtype"``, ``"shape"`` or ``"value"``; and how.

    Of values: the worst place, both numbers there, how many are too far apart, and what was allowed.
    """

    what: str
    expected: Any
    actual: Any
    index: tuple[int, ...] = ()
    count: int = 0
    size: int = 0
    allowed: float = 0.0


def disagreement(
    actual: Tensor | None, expected: Tensor | None, tolerance: Tolerance, values: bool = True
) -> Disagreement | None:
    """Compare a tensor with another backend's; None if they agree. NaN agrees with NaN."""
    if actual is None or expected is None:
        if actual is expected:
            return None
        there, here = ("nothing" if x is None else "a tensor" for x in (expected, actual))
        return Disagreement("value", there, here)
    device = actual._device
    array: Any = raw(actual)
    backend = device.backend
    kinds: Any = (backend.array, *backend.array_types)
    if not isinstance(array, kinds):
        return Disagreement(
            "device", f"an array of {backend.name}", f"a {type(array).__module__}.{type(array).__name__}"
        )
    place = backend.device_of(array)
    if place is not device:
        return Disagreement("device", device.where, place.where)
    if array.dtype not in device.dtypes or actual.dtype is not expected.dtype:
        return Disagreement("dtype", expected.dtype, device.dtypes.get(array.dtype, array.dtype))
    if actual.shape != expected.shape:
        return Disagreement("shape", expected.shape, actual.shape)
    if not values or not expected.numel():
        return None
    rtol, atol = tolerance.of(expected.dtype)
    return _compare(host_of(array, device), host_of(raw(expected), expected._device), rtol, atol, expected.dtype)


def _compare(a: Any, b: Any, rtol: float, atol: float, dtype: DType) -> Disagreement | None:
    """Compare NumPy arrays of one type and shape."""
    shape, a, b = a.shape, a.reshape(-1), b.reshape(-1)
    exact = not dtype.is_differentiable
    if not exact and dtype.itemsize < 4:
        a, b = a.astype("float32"), b.astype("float32")
    with warnings.catch_warnings(action="ignore"):  # of infinities that are subtracted
        wrong = a != b
        if not exact:
            wrong &= (a == a) | (b == b)  # where not both are NaN
        if not wrong.any():
            return None
        if exact:
            distance, allowed = wrong.astype("float64"), 0 * wrong
        else:
            distance, allowed = abs(a - b), atol + rtol * abs(b)
            near = distance <= allowed
            near &= abs(b) < math.inf
            wrong &= ~near
            if not wrong.any():
                return None
            distance = distance / (allowed + 1e-300)
            distance[distance != distance] = math.inf
            distance[~wrong] = -1
    worst = int(distance.argmax())
    index = unravel(worst, shape)
    return Disagreement(
        "value", b[worst].item(), a[worst].item(), index, int(wrong.sum()), a.size, float(allowed[worst])
    )


def alike(a: Any, b: Any) -> bool:
    """Whether two NumPy arrays are equal but for what rounding has made of them on the way."""
    return a.shape == b.shape and a.dtype == b.dtype and _compare(a, b, 1e-3, 1e-3, as_dtype(a.dtype)) is None


def scale_of(tensors: Any) -> float:
    """Give the size of the largest finite number in tensors; 0 if there is none."""
    largest = 0.0
    for x in tensors:
        if isinstance(x, Tensor) and x.dtype.is_differentiable and x.numel():
            host = host_of(raw(x), x._device)
            with warnings.catch_warnings(action="ignore"):
                size = abs(host.astype("complex128" if x.dtype.is_complex else "float64"))
                size = size[size < math.inf]
            largest = max(largest, float(size.max()) if size.size else 0.0)
    return largest
