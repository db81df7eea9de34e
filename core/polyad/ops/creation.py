"""Functions that make tensors of a shape: of one value, or by counting."""

from __future__ import annotations

import cmath
import inspect
import math
from collections.abc import Callable
from functools import cache
from typing import Any

from ..backend import Backend, Device
from ..dispatch import facade, function
from ..dtypes import DEFAULTS, INTEGER_RANGE, DType, DTypeLike, as_dtype, complex128, float32, float64, int64
from ..errors import ArgumentError, DTypeError, OperandError, ShapeError
from ..function import FUNCTIONS, XP, Fails, Sample
from ..tensor import Tensor, not_a_tensor
from ..views import raw
from .arguments import as_integer, as_shape
from .conversion import NUMBERS, tensor
from .data_types import finfo
from .placement import DeviceLike, finished, place

__all__ = [
    "arange",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "geomspace",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]


def _maker(name: str, words: str, parameters: tuple[str, ...]) -> Any:
    """The record of a function without arrays; its kernel gets a shape or numbers, and the library's dtype."""

    def definition(*, shape: Any = None, dtype: Any = None) -> Tensor:
        pass

    definition.__name__ = name
    definition.__doc__ = words
    made = function(differentiable=False, prepare=False, standard=True)(definition).function
    made.params = dict.fromkeys(parameters)
    return made


_zeros = _maker("zeros", "Zeros; see `polyad.zeros`.", ("shape", "dtype"))
_ones = _maker("ones", "Ones; see `polyad.ones`.", ("shape", "dtype"))
_empty = _maker("empty", "Anything; see `polyad.empty`.", ("shape", "dtype"))
_full = _maker("full", "One number; see `polyad.full`.", ("shape", "fill_value", "dtype"))
_arange = _maker("arange", "Steps; see `polyad.arange`.", ("start", "stop", "step", "dtype"))
_linspace = _maker("linspace", "Even steps; see `polyad.linspace`.", ("start", "stop", "num", "dtype", "endpoint"))
_eye = _maker("eye", "Identity; see `polyad.eye`.", ("n_rows", "n_cols", "k", "dtype"))
_zeros_like = _maker("zeros_like", "Zeros; see `polyad.zeros_like`.", ("dtype",))
_ones_like = _maker("ones_like", "Ones; see `polyad.ones_like`.", ("dtype",))
RECORDS = (_zeros, _ones, _empty, _full, _arange, _linspace, _eye, _zeros_like, _ones_like)


def _lengths(name: str, shape: Any) -> tuple[int, ...]:
    found = as_shape(name, shape)
    if any(n < 0 for n in found):
        raise ShapeError(f"{name}: lengths cannot be negative; got {found}")
    return found


_DOC = """Make a tensor {words}.

    Parameters
    ----------
    shape : int or tuple of int
        ``{name}((2, 3))``; lengths may be given as arguments too, as in PyTorch: ``{name}(2, 3)``.
    dtype : DType, optional
        float32 by default.
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
        If a length is negative.
    DTypeError
        If the backend lacks the type, or it cannot require a gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(2, 3){example}
    """


def _constant(made: Any, words: str, example: str) -> Callable[..., Tensor]:
    name = made.name

    def create(
        *lengths: Any,
        shape: Any = None,
        dtype: DTypeLike | None = None,
        device: DeviceLike = None,
        requires_grad: bool = False,
        backend: str | Backend | None = None,
    ) -> Tensor:
        where = place(device, backend)
        native = where.dtype(float32 if dtype is None else as_dtype(dtype))
        if shape is not None:
            if lengths:
                raise OperandError(f"{name}: the shape was given twice, by position and by name")
            lengths = shape
        return finished(where.kernels[made](shape=_lengths(name, lengths), dtype=native), where, requires_grad)

    found = inspect.signature(create)
    kept = [p for key, p in found.parameters.items() if key not in ("lengths", "shape")]
    first = inspect.Parameter("shape", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="int | tuple[int, ...]")
    create.__signature__ = found.replace(parameters=[first, *kept])  # type: ignore[attr-defined]
    create.__name__ = create.__qualname__ = name
    create.__doc__ = _DOC.format(words=words, name=name, example=example)
    create.function = made  # type: ignore[attr-defined]
    made.call = create
    return create


zeros = _constant(_zeros, "of zeros", "\n    tensor([[0., 0., 0.],\n            [0., 0., 0.]])")
ones = _constant(_ones, "of ones", "\n    tensor([[1., 1., 1.],\n            [1., 1., 1.]])")
empty = _constant(_empty, "whose elements are not set", ".shape\n    (2, 3)")


def fitted(name: str, value: Any, dtype: DType) -> Any:
    """A number as a type holds it. NaN and infinities fit into all floating types.

    Raises
    ------
    OperandError
        If it is no number.
    DTypeError
        If the type does not hold it.
    """
    if type(value) not in NUMBERS:
        if not hasattr(value, "item") or getattr(value, "shape", None):
            raise OperandError(f"{name} must be a number; got {value!r:.60}")
        value = value.item()  # a library's scalar, or a 0-d tensor
        if type(value) not in NUMBERS:
            raise OperandError(f"{name} must be a number; got {value!r:.60}")
    if type(value) is complex and not dtype.is_complex:
        raise DTypeError(
            f"{name}: {value} does not fit into {dtype.name}; ask for polyad.complex64, or write its .real"
        )
    if dtype.is_differentiable:
        for part in (value.real, value.imag):
            if abs(part) >= _overflow(dtype) and part not in (math.inf, -math.inf):
                shown = f"{part:.6g}" if abs(part) < 1 << 1023 else "the number"
                raise DTypeError(
                    f"{name}: {shown} overflows {dtype.name}, whose largest number is {finfo(dtype).max:.6g}; ask "
                    f"for a wider type, such as polyad.float64"
                )
        return value if type(value) in (float, complex) else float(value)
    if not math.isfinite(value):
        raise DTypeError(f"{name}: {value} does not fit into {dtype.name}; ask for a floating-point type")
    if value != int(value):
        raise DTypeError(
            f"{name}: {value} does not fit into {dtype.name}; write int({value}), or ask for a floating-point type"
        )
    low, high = INTEGER_RANGE.get(dtype, (0, 1))
    if not low <= value <= high:
        raise DTypeError(f"{name}: {value} is outside {dtype.name}'s range {low} to {high}; ask for a wider type")
    return bool(value) if dtype.kind == "bool" else int(value)


@cache
def _overflow(dtype: DType) -> Any:
    """The smallest number that is too large for a floating-point type: half a step above its largest."""
    limits = finfo(dtype)
    largest = int(limits.max)
    return largest + int(largest / (2 - limits.eps) * limits.eps / 2)


def full(
    shape: int | tuple[int, ...],
    fill_value: complex,
    *,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    backend: str | Backend | None = None,
) -> Tensor:
    """Make a tensor of one number.

    Parameters
    ----------
    shape : int or tuple of int
    fill_value : number
    dtype : DType, optional
        By default the one that `tensor` would give the number.
    device, requires_grad, backend
        As for `tensor`.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If a length is negative.
    DTypeError
        If the number does not fit the type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.full((2,), 7.5)
    tensor([7.5000, 7.5000])
    """
    where = place(device, backend)
    lengths = _lengths("full", shape)
    if type(fill_value) not in NUMBERS and hasattr(fill_value, "item"):
        fill_value = fill_value.item()
    wanted = DEFAULTS.get(type(fill_value), float32) if dtype is None else as_dtype(dtype)
    value = fitted("full: fill_value", fill_value, wanted)
    return finished(
        where.kernels[_full](shape=lengths, fill_value=value, dtype=where.dtype(wanted)), where, requires_grad
    )


def _like(name: str, make: Callable[..., Tensor], words: str, result: str) -> Callable[..., Tensor]:
    def create(
        x: Tensor,
        /,
        *,
        dtype: DTypeLike | None = None,
        device: DeviceLike = None,
        requires_grad: bool = False,
    ) -> Tensor:
        if not isinstance(x, Tensor):
            raise OperandError(f"{name}: expected a tensor; got {type(x).__name__}; write polyad.{name[:-5]}(shape)")
        wanted = x.dtype if dtype is None else dtype
        return make(x.shape, dtype=wanted, device=_beside(x, device), requires_grad=requires_grad)

    create.__name__ = create.__qualname__ = name
    create.__doc__ = f"""Make a tensor {words}, of another's shape, type and device.

    Parameters
    ----------
    x : Tensor
    dtype : DType, optional
        A type other than ``x``'s.
    device : Device or str, optional
        A device other than ``x``'s.
    requires_grad : bool

    Returns
    -------
    Tensor

    Raises
    ------
    OperandError
        If ``x`` is no tensor.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([1, 2])){result}
    """
    return create


zeros_like = _like("zeros_like", zeros, "of zeros", "\n    tensor([0, 0])")
ones_like = _like("ones_like", ones, "of ones", "\n    tensor([1, 1])")
empty_like = _like("empty_like", empty, "whose elements are not set", ".shape\n    (2,)")


def full_like(
    x: Tensor,
    /,
    fill_value: complex,
    *,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Make a tensor of one number, of another's shape, type and device.

    Parameters
    ----------
    x : Tensor
    fill_value : number
    dtype, device, requires_grad
        As for `zeros_like`.

    Returns
    -------
    Tensor

    Raises
    ------
    DTypeError
        If the number does not fit the type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.full_like(ad.tensor([1.0, 2.0]), 3)
    tensor([3., 3.])
    """
    if not isinstance(x, Tensor):
        raise OperandError(
            f"full_like: expected a tensor; got {type(x).__name__}; write polyad.full(shape, fill_value)"
        )
    return full(x.shape, fill_value, dtype=dtype or x.dtype, device=_beside(x, device), requires_grad=requires_grad)


def _beside(x: Tensor, device: DeviceLike) -> Device:
    """A device given for something made after ``x``; that of ``x`` by default."""
    return x._device if device is None else device if isinstance(device, Device) else x.backend.device_for(device)


# Of another's type and place, as methods ------------------------------------------------------------------------


@function(
    name="new_full",
    differentiable=False,
    prepare=False,
    check=lambda x, *, shape, fill_value: {"shape": _lengths("new_full", shape), "fill_value": fill_value},
    samples=[
        Sample((2,), shape=(2, 3), fill_value=1),
        Fails((2,), shape=(2, -3), fill_value=2, error=ShapeError, match="new_full: lengths cannot be negative"),
    ],
)
def _new_full(xp: XP, x: Tensor, /, *, shape: Any, fill_value: Any) -> Tensor:
    """One number, of another array's type and place; see `new_full`."""
    return xp.full(shape=shape, fill_value=fill_value, dtype=x.dtype)  # type: ignore[no-any-return]


@facade(_new_full)
def new_full(
    x: Tensor,
    shape: Any,
    fill_value: complex,
    *,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """Make a tensor of one number, of another's type and device, as in PyTorch.

    Parameters
    ----------
    x : Tensor
    shape : int or tuple of int
    fill_value : number
    dtype, device, requires_grad
        As for `zeros_like`.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If a length is negative.
    DTypeError
        If the number does not fit the type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([1, 2]).new_full((3,), 7)
    tensor([7, 7, 7])
    """
    if not isinstance(x, Tensor):
        not_a_tensor("new_full", "x", x)
    lengths = _lengths("new_full", shape)
    return full(lengths, fill_value, dtype=dtype or x.dtype, device=_beside(x, device), requires_grad=requires_grad)


def _new(name: str, make: Callable[..., Tensor], words: str, example: str) -> Callable[..., Tensor]:
    def create(
        x: Tensor,
        *lengths: Any,
        dtype: DTypeLike | None = None,
        device: DeviceLike = None,
        requires_grad: bool = False,
    ) -> Tensor:
        wanted = x.dtype if dtype is None else dtype
        return make(*lengths, dtype=wanted, device=_beside(x, device), requires_grad=requires_grad)

    create.__name__ = create.__qualname__ = name
    create.__doc__ = f"""Make a tensor {words}, of this one's type and device, as in PyTorch.

    Parameters
    ----------
    *lengths : int, or one tuple of int
    dtype, device, requires_grad
        As for `zeros_like`.

    Raises
    ------
    ShapeError
        If a length is negative.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([1, 2]).{name}(3){example}
    """
    return create


new_zeros = _new("new_zeros", zeros, "of zeros", "\n    tensor([0, 0, 0])")
new_ones = _new("new_ones", ones, "of ones", "\n    tensor([1, 1, 1])")
new_empty = _new("new_empty", empty, "whose elements are not set", ".shape\n    (3,)")


def new_tensor(
    x: Tensor, data: Any, *, dtype: DTypeLike | None = None, device: DeviceLike = None, requires_grad: bool = False
) -> Tensor:
    """Make a tensor of data, of this one's type and device, as in PyTorch. See `tensor`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([1.0]).new_tensor([1, 2])
    tensor([1., 2.])
    """
    return tensor(data, dtype=dtype or x.dtype, device=_beside(x, device), requires_grad=requires_grad)


# By counting ------------------------------------------------------------------------------------------------


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    backend: str | Backend | None = None,
) -> Tensor:
    """Make evenly spaced numbers from ``start`` up to, not including, ``stop``.

    Parameters
    ----------
    start : number
        With one argument alone it is ``stop``, and counting starts at 0.
    stop : number, optional
    step : number
        Not 0.
    dtype : DType, optional
        int64 if all three are integers, otherwise float32.
    device, requires_grad, backend
        As for `tensor`.

    Returns
    -------
    Tensor
        Of shape ``(ceil((stop - start) / step),)``.

    Raises
    ------
    ArgumentError
        If ``step`` is 0, or an interval has no end.
    OperandError
        If one is no real number.
    DTypeError
        If an element does not fit the type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.arange(0, 6, 2)
    tensor([0, 2, 4])
    """
    if stop is None:
        start, stop = 0, start
    start, stop, step = (_real("arange", n, v) for n, v in (("start", start), ("stop", stop), ("step", step)))
    if step == 0:
        raise ArgumentError("arange: step is 0, so stop is never reached; give a step other than 0")
    where = place(device, backend)
    whole = type(start) is type(stop) is type(step) is int
    wanted = as_dtype(dtype) if dtype is not None else int64 if whole else float32
    count = max(-((start - stop) // step), 0) if whole else _count(start, stop, step)
    if "integer" in wanted.kind or wanted.kind == "bool":
        start, step = _whole("start", start, wanted), _whole("step", step, int64)
        if count:
            _whole("the last element", start + (count - 1) * step, wanted)
        offset = start if start + count * step >= 1 << 63 else 0  # beyond int64, of which there is only uint64
        first, native = start - offset, where.dtype(int64)
        data = where.kernels[_arange](start=first, stop=first + count * step, step=step, dtype=native)
        if wanted is int64:
            return finished(data, where, requires_grad)
        made = _finished_as(finished(data, where, False), wanted, requires_grad)
        return made + offset if offset else made
    # counted in float64: sums of steps in a smaller type, as libraries form them, drift away
    data = where.kernels[_arange](start=0, stop=count, step=1, dtype=where.dtype(float64))
    made = finished(data, where, False)
    made = made if step == 1 else made * float(step)
    return _finished_as(made if start == 0 else made + float(start), wanted, requires_grad)


def _real(name: str, argument: str, value: Any) -> Any:
    """A Python number that is not complex."""
    if type(value) not in (int, float):
        found = value.item() if hasattr(value, "item") and not getattr(value, "shape", None) else value
        if isinstance(found, complex) or not isinstance(found, (bool, int, float)):
            raise OperandError(f"{name}: {argument} must be a real number; got {value!r:.60}")
        value = int(found) if isinstance(found, int) else float(found)
    return value


def _whole(argument: str, value: Any, dtype: DType) -> int:
    """A number of `arange` as an integer that a type holds."""
    low, high = INTEGER_RANGE.get(dtype, (0, 1))
    if type(value) is int and low <= value <= high:
        return value
    return int(fitted(f"arange: {argument}", value, dtype))


def _count(start: float, stop: float, step: float) -> int:
    """How many steps there are from ``start`` to before ``stop``."""
    length = (stop - start) / step
    if not math.isfinite(length):
        raise ArgumentError(f"arange: from {start} to {stop} in steps of {step} there is no finite number of elements")
    return max(math.ceil(length), 0)


def _finished_as(x: Tensor, dtype: DType, requires_grad: bool) -> Tensor:
    """A tensor that was computed in double precision, in the type asked for."""
    device, data = x._device, raw(x)
    if x.dtype is not dtype:
        data = device.kernels[FUNCTIONS["astype"]](data, dtype=device.dtype(dtype))
    return finished(data, device, requires_grad)


def linspace(
    start: complex,
    stop: complex,
    /,
    num: int,
    *,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    endpoint: bool = True,
    requires_grad: bool = False,
    backend: str | Backend | None = None,
) -> Tensor:
    """Make ``num`` evenly spaced numbers from ``start`` to ``stop``.

    Parameters
    ----------
    start, stop : number
    num : int
        How many; not negative.
    dtype : DType, optional
        float32 by default, complex64 if a bound is complex.
    device, requires_grad, backend
        As for `tensor`.
    endpoint : bool
        Whether ``stop`` is the last of them.

    Returns
    -------
    Tensor
        Of shape ``(num,)``.

    Raises
    ------
    ArgumentError
        If ``num`` is negative.
    OperandError
        If ``num`` is no integer, or a bound no number.
    DTypeError
        If a bound does not fit the type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    made, wanted = _spaced("linspace", start, stop, num, dtype, endpoint, place(device, backend))
    return _finished_as(made, wanted, requires_grad)


def _spaced(
    name: str, start: Any, stop: Any, num: Any, dtype: DTypeLike | None, endpoint: bool, where: Device
) -> tuple[Tensor, DType]:
    """Evenly spaced numbers in double precision, and the type that they are asked for in."""
    count = as_integer(name, "num", num)
    if count < 0:
        raise ArgumentError(f"{name}: num must not be negative; got {num}")
    start, stop = (fitted(f"{name}: {n}", v, complex128) for n, v in (("start", start), ("stop", stop)))
    is_complex = isinstance(start, complex) or isinstance(stop, complex)
    wanted = as_dtype(dtype) if dtype is not None else DEFAULTS[complex] if is_complex else float32
    if name == "linspace" and (is_complex or wanted.is_differentiable):
        for argument, bound in (("start", start), ("stop", stop)):
            fitted(f"{name}: {argument}", bound, wanted)
    double = where.dtype(complex128 if is_complex else float64)
    data = where.kernels[_linspace](start=start, stop=stop, num=count, dtype=double, endpoint=bool(endpoint))
    made = finished(data, where, False)
    if "integer" in wanted.kind:
        made = made // 1  # as NumPy, also of negative numbers
    return made, wanted


def logspace(
    start: complex,
    stop: complex,
    /,
    num: int = 50,
    endpoint: bool = True,
    base: float = 10.0,
    *,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    backend: str | Backend | None = None,
) -> Tensor:
    """Make numbers from ``base**start`` to ``base**stop`` whose logarithms are evenly spaced.

    Parameters
    ----------
    start, stop : number
        The logarithms.
    num : int
        How many; not negative.
    endpoint : bool
        Whether ``base**stop`` is the last of them.
    base : float
    dtype : DType, optional
        float32 by default, complex64 if a bound is complex.
    device, requires_grad, backend
        As for `tensor`.

    Returns
    -------
    Tensor
        Of shape ``(num,)``.

    Raises
    ------
    ArgumentError
        If ``num`` is negative, or ``base`` is not positive.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    if isinstance(base, complex) or not base > 0:
        raise ArgumentError(f"logspace: base must be positive; got {base!r:.60}")
    made, wanted = _spaced("logspace", start, stop, num, dtype, endpoint, place(device, backend))
    powers = FUNCTIONS["power"].call(float(base), made)
    return _finished_as(powers, wanted, requires_grad)


def geomspace(
    start: complex,
    stop: complex,
    /,
    num: int = 50,
    endpoint: bool = True,
    *,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    backend: str | Backend | None = None,
) -> Tensor:
    """Make numbers from ``start`` to ``stop`` of which each is a constant multiple of the one before.

    Parameters
    ----------
    start, stop : number
        Not 0, and of one sign. Complex ones are joined by the shorter spiral.
    num : int
        How many; not negative.
    endpoint : bool
        Whether ``stop`` is the last of them.
    dtype : DType, optional
        float32 by default, complex64 if a bound is complex.
    device, requires_grad, backend
        As for `tensor`.

    Returns
    -------
    Tensor
        Of shape ``(num,)``; the first and last are ``start`` and ``stop`` exactly.

    Raises
    ------
    ArgumentError
        If ``num`` is negative, or a bound is 0, or real ones differ in sign.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.geomspace(1, 1000, 4)
    tensor([   1.,   10.,  100., 1000.])
    """
    where = place(device, backend)
    start, stop = (fitted(f"geomspace: {n}", v, complex128) for n, v in (("start", start), ("stop", stop)))
    if start == 0 or stop == 0:
        raise ArgumentError(f"geomspace: start and stop must not be 0; got {start} and {stop}")
    if isinstance(start, complex) or isinstance(stop, complex):
        ratio = cmath.log(complex(stop) / complex(start))
        default: DType = DEFAULTS[complex]
    elif (start > 0) is not (stop > 0):
        raise ArgumentError(
            f"geomspace: real numbers must have one sign; got {start} and {stop}; write complex({start})"
        )
    else:
        ratio, default = math.log(stop / start), float32
    made, _ = _spaced("geomspace", 0.0, ratio, num, None, endpoint, where)
    made = FUNCTIONS["exp"].call(made) * start
    if made.numel():
        made[0] = start
    if endpoint and made.numel() > 1:
        made[-1] = stop
    return _finished_as(made, default if dtype is None else as_dtype(dtype), requires_grad)


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    backend: str | Backend | None = None,
) -> Tensor:
    """Make a matrix with ones on one diagonal and zeros elsewhere.

    Parameters
    ----------
    n_rows : int
    n_cols : int, optional
        As many as rows by default.
    k : int
        Which diagonal: above the main one if positive.
    dtype : DType, optional
        float32 by default.
    device, requires_grad, backend
        As for `tensor`.

    Returns
    -------
    Tensor
        Of shape ``(n_rows, n_cols)``.

    Raises
    ------
    ShapeError
        If a length is negative.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.eye(2, 3)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """
    rows, cols = _lengths("eye", (n_rows, n_rows if n_cols is None else n_cols))
    k = max(-rows, min(as_integer("eye", "k", k), cols))  # beyond that all are zeros, for which libraries differ
    where = place(device, backend)
    native = where.dtype(float32 if dtype is None else as_dtype(dtype))
    return finished(where.kernels[_eye](n_rows=rows, n_cols=cols, k=k, dtype=native), where, requires_grad)


for _record, _call in zip(
    RECORDS, (zeros, ones, empty, full, arange, linspace, eye, zeros_like, ones_like), strict=True
):
    _record.call = _call
    _call.function = _record  # type: ignore[attr-defined]
