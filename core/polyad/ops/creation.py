"""Functions that make tensors of a shape: of one value, or by counting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import Backend, Device
from ..dispatch import function
from ..dtypes import DEFAULTS, DTypeLike, as_dtype, float32, int64
from ..errors import ArgumentError, OperandError, ShapeError
from ..tensor import Tensor
from .arguments import as_shape
from .conversion import NUMBERS, fit_numbers
from .placement import DeviceLike, finished, place

__all__ = [
    "arange",
    "empty",
    "empty_like",
    "eye",
    "full",
    "full_like",
    "linspace",
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
RECORDS = (_zeros, _ones, _empty, _full, _arange, _linspace, _eye, _zeros_like)


def _lengths(name: str, shape: Any) -> tuple[int, ...]:
    found = as_shape(name, shape)
    if any(n < 0 for n in found):
        raise ShapeError(f"{name}: lengths cannot be negative; got {found}")
    return found


_DOC = """Make a tensor {words}.

    Parameters
    ----------
    *shape : int, or one tuple of int
        Its shape: ``{name}(2, 3)`` or ``{name}((2, 3))``.
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
        *shape: Any,
        dtype: DTypeLike | None = None,
        device: DeviceLike = None,
        requires_grad: bool = False,
        backend: str | Backend | None = None,
    ) -> Tensor:
        where = place(device, backend)
        native = where.dtype(float32 if dtype is None else as_dtype(dtype))
        return finished(where.kernels[made](shape=_lengths(name, shape), dtype=native), where, requires_grad)

    create.__name__ = create.__qualname__ = name
    create.__doc__ = _DOC.format(words=words, name=name, example=example)
    create.function = made  # type: ignore[attr-defined]
    made.call = create
    return create


zeros = _constant(_zeros, "of zeros", "\n    tensor([[0., 0., 0.],\n            [0., 0., 0.]])")
ones = _constant(_ones, "of ones", "\n    tensor([[1., 1., 1.],\n            [1., 1., 1.]])")
empty = _constant(_empty, "whose elements are not set", ".shape\n    (2, 3)")


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
    if isinstance(fill_value, Tensor) or type(fill_value) not in NUMBERS:
        fill_value = fill_value.item() if hasattr(fill_value, "item") else fill_value
    if type(fill_value) not in NUMBERS:
        raise OperandError(f"full: fill_value must be a number; got {fill_value!r:.60}")
    wanted = DEFAULTS[type(fill_value)] if dtype is None else as_dtype(dtype)
    values = [fill_value]
    fit_numbers("full", values, wanted)
    data = where.kernels[_full](shape=_lengths("full", shape), fill_value=values[0], dtype=where.dtype(wanted))
    return finished(data, where, requires_grad)


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
        where = x._device if device is None else device if isinstance(device, Device) else x.backend.device_for(device)
        return make(x.shape, dtype=x.dtype if dtype is None else dtype, device=where, requires_grad=requires_grad)

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
    where = x._device if device is None else device if isinstance(device, Device) else x.backend.device_for(device)
    wanted = x.dtype if dtype is None else dtype
    return full(x.shape, fill_value, dtype=wanted, device=where, requires_grad=requires_grad)


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
        If ``step`` is 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.arange(0, 6, 2)
    tensor([0, 2, 4])
    """
    if stop is None:
        start, stop = 0, start
    if step == 0:
        raise ArgumentError("arange: step is 0, so stop is never reached; give a step other than 0")
    where = place(device, backend)
    if dtype is None:
        wanted = int64 if all(isinstance(v, int) for v in (start, stop, step)) else float32
    else:
        wanted = as_dtype(dtype)
    data = where.kernels[_arange](start=start, stop=stop, step=step, dtype=where.dtype(wanted))
    return finished(data, where, requires_grad)


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

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    if num < 0:
        raise ArgumentError(f"linspace: num must not be negative; got {num}")
    where = place(device, backend)
    default = DEFAULTS[complex] if isinstance(start, complex) or isinstance(stop, complex) else float32
    wanted = default if dtype is None else as_dtype(dtype)
    data = where.kernels[_linspace](
        start=start, stop=stop, num=int(num), dtype=where.dtype(wanted), endpoint=bool(endpoint)
    )
    return finished(data, where, requires_grad)


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
    where = place(device, backend)
    native = where.dtype(float32 if dtype is None else as_dtype(dtype))
    return finished(where.kernels[_eye](n_rows=rows, n_cols=cols, k=k, dtype=native), where, requires_grad)


for _record, _call in zip(RECORDS, (zeros, ones, empty, full, arange, linspace, eye, zeros_like), strict=True):
    _record.call = _call
    _call.function = _record  # type: ignore[attr-defined]
