"""What types are and how they meet: the data type functions of the standard."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ..careful import SCALARS
from ..dtypes import (
    ALL,
    DEFAULTS,
    INTEGER_RANGE,
    DType,
    DTypeLike,
    as_dtype,
    bfloat16,
    complex64,
    float16,
    float32,
    float64,
    join_scalar,
    promote_types,
)
from ..errors import ArgumentError, DTypeError, OperandError
from ..tensor import Tensor

__all__ = ["finfo", "iinfo", "isdtype", "result_type"]


class FloatInfo(NamedTuple):
    """Limits of a floating-point type: what `finfo` gives."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType

    @property
    def tiny(self) -> float:
        """The smallest normal number, by NumPy's and PyTorch's older name."""
        return self.smallest_normal


class IntegerInfo(NamedTuple):
    """Limits of an integer type: what `iinfo` gives."""

    bits: int
    max: int
    min: int
    dtype: DType


# Type -> bits of the fraction, and the largest exponent: IEEE 754, and the upper half of a float32 for bfloat16
_FORMATS: Final = {float16: (10, 15), bfloat16: (7, 127), float32: (23, 127), float64: (52, 1023)}


def _type_of(name: str, value: Any) -> DType:
    if isinstance(value, Tensor):
        return value.dtype
    if hasattr(value, "dtype") and hasattr(value, "shape") and not isinstance(value, type):  # a library's array
        return as_dtype(value.dtype)
    try:
        return as_dtype(value)
    except DTypeError:
        raise DTypeError(f"{name}: expected a tensor or a type such as polyad.float32; got {value!r:.60}") from None


def finfo(type: Any, /) -> FloatInfo:
    """Limits of a real floating-point type, or of the parts of a complex one.

    Parameters
    ----------
    type : DType or Tensor

    Returns
    -------
    FloatInfo
        ``bits``, ``eps`` (the distance from 1 to the next number), ``max``, ``min``, ``smallest_normal`` and ``dtype``.

    Raises
    ------
    DTypeError
        For other types.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.finfo(ad.float32).eps
    1.1920928955078125e-07
    """
    found = _type_of("finfo", type)
    if found.is_complex:
        found = float32 if found is complex64 else float64
    if found not in _FORMATS:
        raise DTypeError(f"finfo takes floating-point types; got {found.name}; write iinfo for integer types")
    fraction, exponent = _FORMATS[found]
    largest = (2.0 - 2.0**-fraction) * 2.0**exponent
    return FloatInfo(8 * found.itemsize, 2.0**-fraction, largest, -largest, 2.0 ** (1 - exponent), found)


def iinfo(type: Any, /) -> IntegerInfo:
    """Limits of an integer type.

    Parameters
    ----------
    type : DType or Tensor

    Returns
    -------
    IntegerInfo
        ``bits``, ``max``, ``min`` and ``dtype``.

    Raises
    ------
    DTypeError
        For other types.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.iinfo(ad.int8)
    IntegerInfo(bits=8, max=127, min=-128, dtype=polyad.int8)
    """
    found = _type_of("iinfo", type)
    if found not in INTEGER_RANGE:
        raise DTypeError(f"iinfo takes integer types; got {found.name}; write finfo for floating-point types")
    low, high = INTEGER_RANGE[found]
    return IntegerInfo(8 * found.itemsize, high, low, found)


_KINDS: Final[dict[str, frozenset[DType]]] = {
    "bool": frozenset(d for d in ALL if d.kind == "bool"),
    "signed integer": frozenset(d for d in ALL if d.kind == "signed integer"),
    "unsigned integer": frozenset(d for d in ALL if d.kind == "unsigned integer"),
    "integral": frozenset(d for d in ALL if "integer" in d.kind),
    "real floating": frozenset(d for d in ALL if d.is_floating_point),
    "complex floating": frozenset(d for d in ALL if d.is_complex),
    "numeric": frozenset(d for d in ALL if d.kind != "bool"),
}


def isdtype(dtype: DTypeLike, kind: Any) -> Any:
    """Whether a type is of a kind.

    Parameters
    ----------
    dtype : DType
    kind : str, DType, or tuple of those
        ``"bool"``, ``"signed integer"``, ``"unsigned integer"``, ``"integral"``, ``"real floating"``,
        ``"complex floating"`` or ``"numeric"``; a type stands for itself; a tuple for any of its members.

    Returns
    -------
    bool

    Raises
    ------
    ArgumentError
        If there is no such kind.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.isdtype(ad.float32, "real floating"), ad.isdtype(ad.int8, ("bool", ad.int8))
    (True, True)
    """
    found = as_dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(found, k) for k in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            raise ArgumentError(f"isdtype: there is no kind {kind!r}; the kinds are {', '.join(_KINDS)}")
        return found in _KINDS[kind]
    return found is as_dtype(kind)


def result_type(*arrays_and_dtypes: Any) -> DType:
    """The type in which arrays, types and Python numbers meet in an operation.

    Parameters
    ----------
    *arrays_and_dtypes : Tensor, DType or number
        At least one. A number joins the others weakly, as in ``x + 1``.

    Returns
    -------
    DType

    Raises
    ------
    DTypeError
        If types have no common one, or a number is outside an integer type's range.
    OperandError
        If nothing is given.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.result_type(ad.ones(2), ad.int8), ad.result_type(ad.int8, 1.5)
    (polyad.float32, polyad.float32)
    """
    if not arrays_and_dtypes:
        raise OperandError("result_type: expected at least one tensor, type or number; got none")
    numbers = [a for a in arrays_and_dtypes if type(a) in SCALARS]
    types = [_type_of("result_type", a) for a in arrays_and_dtypes if type(a) not in SCALARS]
    if not types:
        common = DEFAULTS[type(numbers[0])]
        numbers = numbers[1:]
    else:
        common = types[0]
        for t in types[1:]:
            common = promote_types(common, t)
    for n in numbers:
        common = join_scalar(common, n)
    return common
