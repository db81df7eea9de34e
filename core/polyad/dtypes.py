"""Data types: polyad's own values, and the one table by which they combine on every backend."""

from __future__ import annotations

import builtins
from typing import Any, Final, Literal, TypeAlias

from .errors import DTypeError

__all__ = [
    "DType",
    "DTypeLike",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bfloat16",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
    "can_cast",
    "promote_types",
]

Kind: TypeAlias = Literal["bool", "signed integer", "unsigned integer", "real floating", "complex floating"]


class DType:
    """A data type, the same value on every backend.

    Anything that names the type in NumPy's, JAX's or CuPy's way is accepted wherever a `DType` is, and
    compares equal to it; a `DType` is accepted wherever those libraries take a ``dtype``.

    Attributes
    ----------
    name : str
        ``"float32"``; the array API standard's name.
    kind : str
        ``"bool"``, ``"signed integer"``, ``"unsigned integer"``, ``"real floating"`` or
        ``"complex floating"``, as in ``isdtype`` of the standard.
    itemsize : int
        Bytes an element.
    is_floating_point, is_complex : bool
        Whether values are real floating-point numbers; whether they are complex.
    is_differentiable : bool
        Whether a tensor of this type may require a gradient: real and complex floating types.

    Examples
    --------
    >>> import numpy as np, polyad as ad
    >>> ad.float32 == np.dtype("float32"), ad.zeros(2, dtype=np.float64).dtype
    (True, polyad.float64)
    """

    __slots__ = ("name", "kind", "itemsize", "dtype", "is_floating_point", "is_complex", "is_differentiable")

    name: str
    kind: Kind
    itemsize: int
    dtype: Any  # the NumPy dtype, by which NumPy, JAX and CuPy recognise a DType; set by the backend that has it

    def __init__(self, name: str, kind: Kind, itemsize: int) -> None:
        self.name, self.kind, self.itemsize = name, kind, itemsize
        self.is_floating_point = kind == "real floating"
        self.is_complex = kind == "complex floating"
        self.is_differentiable = self.is_floating_point or self.is_complex

    def __repr__(self) -> str:
        return f"polyad.{self.name}"

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> Any:
        if self is other:
            return True
        if isinstance(other, (DType, str)) or other is None:
            return False
        return _lookup(other) is self or NotImplemented

    def __reduce__(self) -> tuple[Any, ...]:
        return as_dtype, (self.name,)


DTypeLike: TypeAlias = Any
"""A `DType`, its name, a library's own dtype, or one of the types bool, int, float, complex."""

bool: Final = DType("bool", "bool", 1)  # the standard's name
int8: Final = DType("int8", "signed integer", 1)
int16: Final = DType("int16", "signed integer", 2)
int32: Final = DType("int32", "signed integer", 4)
int64: Final = DType("int64", "signed integer", 8)
uint8: Final = DType("uint8", "unsigned integer", 1)
uint16: Final = DType("uint16", "unsigned integer", 2)
uint32: Final = DType("uint32", "unsigned integer", 4)
uint64: Final = DType("uint64", "unsigned integer", 8)
float16: Final = DType("float16", "real floating", 2)
bfloat16: Final = DType("bfloat16", "real floating", 2)
float32: Final = DType("float32", "real floating", 4)
float64: Final = DType("float64", "real floating", 8)
complex64: Final = DType("complex64", "complex floating", 8)
complex128: Final = DType("complex128", "complex floating", 16)

ALL: Final = (
    *(bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64),
    *(float16, bfloat16, float32, float64, complex64, complex128),
)
BY_NAME: Final = {d.name: d for d in ALL}
DEFAULTS: Final[dict[type, DType]] = {builtins.bool: bool, int: int64, float: float32, complex: complex64}
"""What a Python number becomes when no tensor is there to decide."""

_ALIASES: Final = {"float": float32, "int": int64, "double": float64, "half": float16, "long": int64}
_TYPES: Final = {**DEFAULTS, int: int64, float: float32}


def _lookup(value: Any) -> DType | None:
    if isinstance(value, type) and value in _TYPES:
        return _TYPES[value]
    name = value if isinstance(value, str) else getattr(value, "name", None) or getattr(value, "__name__", None)
    found = BY_NAME.get(name) if isinstance(name, str) else None  # numpy.dtype, ml_dtypes, numpy.float32
    if found is None and not isinstance(value, str):
        if hasattr(value, "dtype"):
            return BY_NAME.get(getattr(value.dtype, "name", ""))  # jax.numpy.float32
        if not isinstance(name, str) and not hasattr(value, "shape"):
            return BY_NAME.get(str(value).rpartition(".")[2])  # array_api_strict.float32
    return found


def as_dtype(value: DTypeLike) -> DType:
    """The `DType` that ``value`` names.

    Raises
    ------
    DTypeError
        If it names none.
    """
    if type(value) is DType:
        return value
    found = _lookup(value)
    if found is None and isinstance(value, str):
        found = _ALIASES.get(value)
    if found is None:
        raise DTypeError(f"{value!r} is no data type; expected one of {', '.join(BY_NAME)}, such as polyad.float32")
    return found


_LADDERS: Final[dict[str, tuple[DType, ...]]] = {
    "signed integer": (int8, int16, int32, int64),
    "unsigned integer": (uint8, uint16, uint32, uint64),
    "real floating": (float16, float32, float64),
    "complex floating": (complex64, complex128),
}
_ORDER: Final = {"bool": 0, "unsigned integer": 1, "signed integer": 2, "real floating": 3, "complex floating": 4}


def _promote(a: DType, b: DType) -> DType | None:
    """The standard's table, and beyond it: an integer type with a floating one gives the floating one."""
    if a is b:
        return a
    if _ORDER[a.kind] > _ORDER[b.kind]:
        a, b = b, a
    if a.kind == b.kind:
        if bfloat16 in (a, b):  # bfloat16 and float16 meet in the first type that holds both
            return float32 if a.itemsize == b.itemsize else max(a, b, key=lambda d: d.itemsize)
        return max(a, b, key=lambda d: d.itemsize)
    if a.kind == "bool":
        return b
    if b.kind == "signed integer":  # a is unsigned: the smallest signed type that holds both
        fits = [d for d in _LADDERS["signed integer"] if d.itemsize > a.itemsize and d.itemsize >= b.itemsize]
        return fits[0] if fits else None
    if b.kind == "complex floating" and a.kind == "real floating":
        return complex128 if a is float64 else b
    return b


PROMOTION: Final = {(a, b): _promote(a, b) for a in ALL for b in ALL}


def promote_types(a: DTypeLike, b: DTypeLike) -> DType:
    """The type in which values of two types meet.

    The array API standard's table; beyond it, an integer or bool type with a floating-point type gives the
    floating-point type, whatever its size, as in PyTorch and JAX.

    Parameters
    ----------
    a, b : DType or what names one

    Returns
    -------
    DType

    Raises
    ------
    DTypeError
        For uint64 with a signed integer type: no integer type holds both.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.promote_types(ad.int64, ad.float32), ad.promote_types(ad.uint8, ad.int8)
    (polyad.float32, polyad.int16)
    """
    a, b = as_dtype(a), as_dtype(b)
    found = PROMOTION[a, b]
    if found is None:
        raise DTypeError(
            f"{a.name} and {b.name} have no common integer type; convert one first, "
            f"for example x.astype(polyad.int64) or x.astype(polyad.float64)"
        )
    return found


def can_cast(from_: Any, to: DTypeLike) -> Any:
    """Whether a type, or a tensor's type, is promoted to another without loss of kind or range.

    Parameters
    ----------
    from_ : DType or Tensor
    to : DType

    Returns
    -------
    bool
        True when the two types meet in ``to`` (see `promote_types`).

    Examples
    --------
    >>> import polyad as ad
    >>> ad.can_cast(ad.int32, ad.float32), ad.can_cast(ad.float64, ad.float32)
    (True, False)
    """
    source = from_ if isinstance(from_, (DType, str, type)) else getattr(from_, "dtype", from_)
    return PROMOTION[as_dtype(source), as_dtype(to)] is as_dtype(to)


CATEGORIES: Final[dict[str, frozenset[DType]]] = {
    "any": frozenset(ALL),
    "bool": frozenset([bool]),
    "integer": frozenset(d for d in ALL if "integer" in d.kind),
    "integer or bool": frozenset(d for d in ALL if "integer" in d.kind or d is bool),
    "real floating": frozenset(d for d in ALL if d.kind == "real floating"),
    "float32 or float64": frozenset([float32, float64]),
    "complex": frozenset(d for d in ALL if d.is_complex),
    "floating": frozenset(d for d in ALL if d.is_differentiable),
    "real": frozenset(d for d in ALL if d is not bool and not d.is_complex),
    "real or bool": frozenset(d for d in ALL if not d.is_complex),
    "numeric": frozenset(d for d in ALL if d is not bool),
}
"""What a function may say that it takes: a name for messages, and the types it stands for."""

INTEGER_RANGE: Final = {
    d: (-(2 ** (8 * d.itemsize - 1)), 2 ** (8 * d.itemsize - 1) - 1)
    if d.kind == "signed integer"
    else (0, 2 ** (8 * d.itemsize) - 1)
    for d in ALL
    if "integer" in d.kind
}


def join_scalar(dtype: DType, scalar: Any) -> DType:
    """The type in which a tensor of ``dtype`` meets a Python number: the tensor's, unless its kind is lower.

    Raises
    ------
    DTypeError
        If the tensor's type is an integer type that does not hold the number.
    """
    default = DEFAULTS[type(scalar)]
    if _ORDER[default.kind] <= _ORDER[dtype.kind] or (default is int64 and dtype.kind == "unsigned integer"):
        if type(scalar) is int and dtype in INTEGER_RANGE:
            low, high = INTEGER_RANGE[dtype]
            if not low <= scalar <= high:
                raise DTypeError(
                    f"the number {scalar} is outside {dtype.name}'s range {low} to {high}; "
                    f"use a wider type, for example polyad.int64, or polyad.float64"
                )
        return dtype
    return complex128 if default is complex64 and dtype is float64 else default
