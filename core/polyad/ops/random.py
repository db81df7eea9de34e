"""Random tensors of a shape: uniform and normal numbers, integers, orders. Distributions: `polyad.random`."""

from __future__ import annotations

from typing import Any

from ..backend import Backend, Device
from ..dtypes import INTEGER_RANGE, DType, DTypeLike, as_dtype, float32, int64
from ..errors import ArgumentError, DTypeError
from ..tensor import Tensor, not_a_tensor
from .generators import Generator, Source as Source, drawing, initial_seed, manual_seed, seed
from .placement import DeviceLike, finished

__all__ = [
    "Generator",
    "initial_seed",
    "manual_seed",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "seed",
]


def _floating(name: str, dtype: DTypeLike | None, where: Device) -> Any:
    wanted = float32 if dtype is None else as_dtype(dtype)
    if not wanted.is_floating_point:
        raise DTypeError(f"{name} draws real floating-point numbers; got dtype {wanted.name}; use randint for integers")
    return where.dtype(wanted)


def rand(
    *shape: Any,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw numbers evenly distributed in [0, 1).

    Parameters
    ----------
    *shape : int, or one tuple of int
    generator : Generator, optional
        The device's default one without it.
    dtype : DType, optional
        A real floating-point type; float32 by default.
    device, requires_grad, backend
        As for `polyad.tensor`.

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        If ``dtype`` is no real floating-point type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.rand(2, 3).shape
    (2, 3)
    """
    lengths, where, source = drawing("rand", shape, generator, device, backend)
    return finished(source.uniform(lengths, _floating("rand", dtype, where)), where, requires_grad)


def randn(
    *shape: Any,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw numbers of the standard normal distribution.

    Parameters
    ----------
    *shape : int, or one tuple of int
    generator, dtype, device, requires_grad, backend
        As for `rand`.

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        If ``dtype`` is no real floating-point type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.randn(2, 3).shape
    (2, 3)
    """
    lengths, where, source = drawing("randn", shape, generator, device, backend)
    return finished(source.normal(lengths, _floating("randn", dtype, where)), where, requires_grad)


def randint(
    low: int,
    high: int | tuple[int, ...] | None = None,
    size: int | tuple[int, ...] | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw integers evenly distributed in [low, high).

    Parameters
    ----------
    low : int
        The smallest; with ``randint(high, size)`` it is 0.
    high : int
        One more than the largest.
    size : int or tuple of int
        The shape.
    generator : Generator, optional
    dtype : DType, optional
        An integer type, or a floating one to hold the integers; int64 by default.
    device, backend
        As for `polyad.tensor`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there is no integer between ``low`` and ``high``, or the type does not hold them all.

    Examples
    --------
    >>> import polyad as ad
    >>> bool((ad.randint(0, 10, (100,)) < 10).all())
    True
    """
    if size is None:
        if high is None:
            raise ArgumentError("randint: give randint(high, size) or randint(low, high, size)")
        low, high, size = 0, low, high
    if not isinstance(low, int) or not isinstance(high, int) or low >= high:
        raise ArgumentError(f"randint: there is no integer in [{low}, {high}); low must be less than high")
    if low < -(2**63) or high > 2**63:
        raise ArgumentError(f"randint: [{low}, {high}) is outside the range of int64")
    lengths, where, source = drawing("randint", size, generator, device, backend)
    wanted = int64 if dtype is None else as_dtype(dtype)
    check_range("randint", low, high, wanted)
    drawn = finished(source.integers(low, high, lengths, where.dtype(int64)), where, False)
    return drawn if wanted is int64 else drawn.to(wanted)


def check_range(name: str, low: int, high: int, dtype: DType) -> None:
    """Raise if a type does not hold the integers of [low, high)."""
    smallest, largest = INTEGER_RANGE.get(dtype, (low, high))
    if low < smallest or high - 1 > largest:
        wider = next((d for d, (a, b) in INTEGER_RANGE.items() if a <= low and high - 1 <= b), int64)
        raise ArgumentError(
            f"{name}: {dtype.name} holds {smallest} to {largest}, and integers in [{low}, {high}) were asked for; "
            f"write dtype=polyad.{wider.name}, or bounds inside that range"
        )


def rand_like(
    x: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Draw numbers evenly distributed in [0, 1), of a tensor's shape, type and device.

    Parameters
    ----------
    x : Tensor
    generator : Generator, optional
    dtype : DType, optional
        Another type than ``x``'s.
    device : Device or str, optional
        Another device than ``x``'s.
    requires_grad : bool

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        If the type is no real floating-point type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.rand_like(ad.zeros(2, 3)).shape
    (2, 3)
    """
    shape, dtype, device = _like("rand_like", x, dtype, device)
    return rand(shape, generator=generator, dtype=dtype, device=device, requires_grad=requires_grad)


def randn_like(
    x: Tensor,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Draw numbers of the standard normal distribution, of a tensor's shape, type and device.

    Parameters
    ----------
    x : Tensor
    generator, dtype, device, requires_grad
        As for `rand_like`.

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        If the type is no real floating-point type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.randn_like(ad.zeros(2, dtype=ad.float64)).dtype
    polyad.float64
    """
    shape, dtype, device = _like("randn_like", x, dtype, device)
    return randn(shape, generator=generator, dtype=dtype, device=device, requires_grad=requires_grad)


def randint_like(
    x: Tensor,
    low: int,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
) -> Tensor:
    """Draw integers evenly distributed in [low, high), of a tensor's shape, type and device.

    Parameters
    ----------
    x : Tensor
    low, high : int
        As for `randint`; with ``randint_like(x, high)`` the smallest is 0.
    generator, dtype, device
        As for `rand_like`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If there is no integer between ``low`` and ``high``, or the type does not hold them all.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.randint_like(ad.zeros(2), 10).dtype
    polyad.float32
    """
    shape, dtype, device = _like("randint_like", x, dtype, device)
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, shape, generator=generator, dtype=dtype, device=device)


def _like(name: str, x: Any, dtype: Any, device: Any) -> tuple[tuple[int, ...], Any, Any]:
    """Shape, type and device of a tensor, unless others are given."""
    if not isinstance(x, Tensor):
        not_a_tensor(name, "x", x)
    return x.shape, x.dtype if dtype is None else dtype, x.device if device is None else device


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw a random order of the integers 0 to ``n - 1``.

    Parameters
    ----------
    n : int
        Not negative.
    generator : Generator, optional
    dtype : DType, optional
        int64 by default.
    device, backend
        As for `polyad.tensor`.

    Returns
    -------
    Tensor
        Of shape ``(n,)``.

    Raises
    ------
    ArgumentError
        If ``n`` is negative.

    Examples
    --------
    >>> import polyad as ad
    >>> sorted(ad.randperm(4).tolist())
    [0, 1, 2, 3]
    """
    if n < 0:
        raise ArgumentError(f"randperm: n must not be negative; got {n}")
    _, where, source = drawing("randperm", (), generator, device, backend)
    drawn = finished(source.permutation(int(n)), where, False)
    return drawn if dtype is None else drawn.to(as_dtype(dtype))
