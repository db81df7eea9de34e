"""From a sample to the arguments of a call: numbers of Python's generator, the same for every backend."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..dtypes import DType, DTypeLike, as_dtype, bool as bool_, complex64, complex128, float64, int64
from ..function import Sample
from ..ops.conversion import flatten_nested, tensor
from ..ops.creation import eye
from ..ops.placement import DeviceLike, place
from ..tensor import Tensor, wrap

__all__ = ["from_numbers", "matrices", "sample_arguments"]

_DOMAIN: Final = (-2.0, 2.0)


def sample_arguments(
    sample: Sample,
    dtype: DTypeLike = float64,
    *,
    device: DeviceLike = None,
    backend: str | None = None,
    requires_grad: bool = False,
    seed: int = 0,
) -> list[Any]:
    """Make the arguments of a sample's call.

    The numbers depend on the sample, the type and the seed alone, so they are the same on every backend.

    Parameters
    ----------
    sample : Sample
    dtype : DType
        The type of the arrays given as shapes or as lists of floats. Lists of ints are int64, lists of bools bool;
        the domain ``"bools"`` makes bools, and ``"integers"`` makes int64 unless ``dtype`` is an integer type.
    device : Device or str, optional
    backend : str, optional
        Where; by default see `polyad.default_device`.
    requires_grad : bool
        Whether floating-point tensors require gradients.
    seed : int
        Another seed gives other numbers.

    Returns
    -------
    list of (Tensor, number or None)
        Numbers and None stand in the sample as they are.

    Examples
    --------
    >>> from polyad.testing import Sample, sample_arguments
    >>> x, y, n = sample_arguments(Sample((2, 3), [1.0, 2.0], 5), "float32")
    >>> x.shape, y, n
    ((2, 3), tensor([1., 2.]), 5)
    """
    where, wanted = place(device, backend), as_dtype(dtype)
    made = []
    for position, array in enumerate(sample.arrays):
        if isinstance(array, tuple):
            found = _drawn(array, sample.domain, wanted, random.Random(f"{seed}/{position}/{array}/{sample!r}"))
            made.append(from_numbers(*found, array, where))
        elif isinstance(array, list):
            made.append(tensor(array, dtype=_literal_dtype(array, wanted), device=where))
        else:
            made.append(array)
    for x in made:
        if requires_grad and isinstance(x, Tensor) and x.dtype.is_differentiable:
            x.requires_grad_()
    return made


def from_numbers(values: list[Any], dtype: DType, shape: tuple[int, ...], device: Any) -> Tensor:
    """Make a tensor of numbers in row-major order."""
    return wrap(device.backend.from_flat(values, shape, device.dtype(dtype), device), device)


def _drawn(shape: tuple[int, ...], domain: Any, dtype: DType, draw: random.Random) -> tuple[list[Any], DType]:
    """Random numbers from a domain, and the type they are for."""
    low, high = _DOMAIN if domain is None or isinstance(domain, str) else domain
    if domain == "bools" or dtype is bool_:
        domain, dtype = "bools", bool_
    elif "integer" in dtype.kind:
        domain = "integers"
    elif domain == "integers":
        dtype = int64

    def number() -> Any:
        if domain == "bools":
            return low > 0 or draw.random() < 0.5  # a domain without 0 has no False
        if domain == "integers":
            return draw.randint(1, 5)
        x = draw.uniform(low, high)
        return complex(x, draw.uniform(low, high)) if dtype.is_complex else x

    return [number() for _ in range(math.prod(shape))], dtype


def _literal_dtype(array: list[Any], dtype: DType) -> DType:
    """The type of a literal list: a list of floats takes the type asked for."""
    kinds = {type(v) for v in flatten_nested(array, "Sample")[1]}
    if complex in kinds:
        return dtype if dtype.is_complex else complex64 if dtype.itemsize <= 4 else complex128
    if float in kinds or not kinds:
        return dtype
    return int64 if int in kinds else bool_


def _positive(x: Tensor) -> Tensor:
    if x.dtype is bool_:
        return _identity(x)
    return x @ x.mT.conj() + _identity(x)


def _identity(x: Tensor) -> Tensor:
    return eye(x.shape[-1], dtype=x.dtype, device=x.device)


_MATRICES: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "symmetric": lambda x: (x + x.mT.conj()) / 2,
    "positive": _positive,
    "invertible": lambda x: x + 2 * x.shape[-1] * _identity(x),
}
"""Domains of square matrices: how one is made of independent entries, by which it is differentiated."""


def matrices(sample: Sample, arguments: Sequence[Any]) -> list[Any]:
    """Make matrices of a sample's domain out of its arguments, differentiably: what its function is called with."""
    make = _MATRICES.get(sample.domain) if isinstance(sample.domain, str) else None
    if make is None:
        return list(arguments)
    return [make(x) if isinstance(x, Tensor) and x.ndim >= 2 and x.shape[-1] == x.shape[-2] else x for x in arguments]
