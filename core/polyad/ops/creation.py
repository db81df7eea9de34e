"""Functions that make tensors: from data, or of one value, or by counting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from .. import views
from ..backend import Backend, Device
from ..dispatch import function
from ..dtypes import DEFAULTS, DType, DTypeLike, as_dtype, float32, int64, join_scalar, promote_types
from ..errors import ArgumentError, DeviceError, DTypeError, OperandError, ShapeError
from ..function import FUNCTIONS
from ..plugins import default_device, plugins
from ..tensor import Tensor, wrap
from .manipulation import as_shape

DeviceLike: TypeAlias = "Device | str | None"
_NUMBERS = (bool, int, float, complex)


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
    return out.requires_grad_() if requires_grad else out


# From data --------------------------------------------------------------------------------------------------


def flatten_nested(data: Any, name: str) -> tuple[tuple[int, ...], list[Any]]:
    """Shape and elements, in order, of nested sequences.

    Raises
    ------
    ShapeError
        If the nesting is ragged; it says where.
    """
    shape: list[int] = []
    level = [data]
    while level and isinstance(level[0], (list, tuple)):
        n = len(level[0])
        for position, item in enumerate(level):
            if not isinstance(item, (list, tuple)) or len(item) != n:
                got = f"length {len(item)}" if isinstance(item, (list, tuple)) else f"the number {item!r}"
                raise ShapeError(
                    f"{name}: the nested list is ragged: at depth {len(shape)}, item 0 has length {n}, and item "
                    f"{position} {got.replace('the number', 'is the number') if got[0] == 't' else 'has ' + got}"
                )
        shape.append(n)
        level = [x for item in level for x in item]
    for position, item in enumerate(level):
        if isinstance(item, (list, tuple)):
            raise ShapeError(
                f"{name}: the nested list is ragged: at depth {len(shape)}, item 0 is the number {level[0]!r}, and "
                f"item {position} has length {len(item)}"
            )
    return tuple(shape), level


def _from_nested(data: Any, name: str, dtype: DTypeLike | None, where: Device) -> Any:
    shape, values = flatten_nested(data, name)
    found: DType | None = None
    numbers: list[Any] = []
    kinds = {type(v) for v in values}
    if not kinds <= set(_NUMBERS):
        for v in values:
            if isinstance(v, Tensor) and v.numel() == 1:
                found = v.dtype if found is None else promote_types(found, v.dtype)
                numbers.append(v.item())
            elif hasattr(v, "item") and getattr(v, "shape", None) == () and hasattr(v, "dtype"):
                numbers.append(v.item())  # a library's scalar
            elif type(v) in _NUMBERS:
                numbers.append(v)
            else:
                raise OperandError(
                    f"{name}: cannot make a tensor of {type(v).__name__} {v!r:.40}; expected numbers, nested lists "
                    f"of them, arrays or tensors" + ("; use stack([...])" if isinstance(v, Tensor) else "")
                )
        values = numbers
        kinds = {type(v) for v in values}
    if dtype is not None:
        wanted = as_dtype(dtype)
    elif found is not None and kinds <= {bool, int, float}:
        wanted = found
    elif not values:
        wanted = float32
    else:
        wanted = DEFAULTS[max(kinds, key=_NUMBERS.index)]
    _fits_dtype(name, values, wanted)
    return where.backend.from_flat(values, shape, where.dtype(wanted), where)


def _fits_dtype(name: str, values: list[Any], wanted: DType) -> None:
    if "integer" in wanted.kind and values:
        if any(type(v) in (float, complex) for v in values):
            for v in values:
                if type(v) is complex or (type(v) is float and not math.isfinite(v)):
                    raise DTypeError(f"{name}: {v!r} has no {wanted.name} value")
            values[:] = [int(v) for v in values]
        for v in (min(values), max(values)):
            join_scalar(wanted, int(v))
    elif not wanted.is_complex and wanted.kind != "bool" and any(type(v) is complex for v in values):
        raise DTypeError(f"{name}: complex numbers do not fit into {wanted.name}; ask for polyad.complex64")


def _copied(array: Any, where: Device, dtype: DTypeLike | None, copy: bool) -> Any:
    """A library's array on ``where``, through its own backend if that is loaded, or else through NumPy's protocol."""
    owner = plugins.owner(array)
    if owner is None:
        host = array.__array__() if hasattr(array, "__array__") else None
        if host is None:
            raise OperandError(
                f"cannot make a tensor of {type(array).__name__}; expected numbers, nested lists of them, arrays or "
                f"tensors"
            )
        data = where.backend.from_host(host, where, copy=copy)
    elif owner is where:
        data = where.backend.copy(array) if copy else array
    elif owner.backend is where.backend:
        data = where.backend.move(array, owner, where)
    else:
        data = where.backend.from_host(owner.backend.to_host(array), where, copy=copy)
    have = where.dtypes.get(data.dtype)
    if have is None:
        raise DTypeError(
            f"an array of type {data.dtype} has no polyad type; convert it to one of "
            f"{', '.join(d.name for d in where.native)}"
        )
    if dtype is not None and have is not as_dtype(dtype):
        data = where.kernels[FUNCTIONS["astype"]](data, dtype=where.dtype(as_dtype(dtype)))
    return data


def tensor(
    data: Any,
    *,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    requires_grad: bool = False,
    backend: str | Backend | None = None,
) -> Tensor:
    """Make a leaf tensor of data, always copying it.

    Parameters
    ----------
    data : number, nested list or tuple of numbers, array, or Tensor
        Floats become float32, integers int64, complex numbers complex64; arrays keep their type.
    dtype : DType, optional
        The type asked for; nothing is given in another.
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
        If lists are ragged.
    DTypeError
        If numbers do not fit the type, the backend lacks it, or it cannot require a gradient.
    OperandError
        If there is something other than numbers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    >>> ad.tensor([1.0, 2.0], dtype=ad.float64)
    tensor([1., 2.], dtype=polyad.float64)
    """
    where = place(device, backend)
    if isinstance(data, Tensor):
        out = data.detach().to(device=where, dtype=dtype, copy=True)
        out = out.clone() if out._storage is not None else out
        return out.requires_grad_() if requires_grad else out
    if type(data) in _NUMBERS or isinstance(data, (list, tuple)):
        data = _stacked_items(data)
        if isinstance(data, (list, tuple)) or type(data) in _NUMBERS:
            return finished(_from_nested(data, "tensor", dtype, where), where, requires_grad)
    if isinstance(data, (range, set)):
        return tensor(list(data), dtype=dtype, device=where, requires_grad=requires_grad)
    return finished(_copied(data, where, dtype, True), where, requires_grad)


def _stacked_items(data: Any) -> Any:
    """A list of arrays of more than one element, as one array: through NumPy's protocol."""
    if (
        isinstance(data, (list, tuple))
        and data
        and all(not isinstance(x, (Tensor, *_NUMBERS, list, tuple)) and getattr(x, "shape", ()) for x in data)
    ):
        return [x.tolist() for x in data]
    return data


def asarray(
    obj: Any,
    /,
    *,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    copy: bool | None = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Give a tensor of an object, copying only if that is needed. Of a tensor, keeps the graph.

    Arrays of another library stay with that library's backend, if it is loaded, unless a device is given; NumPy
    arrays go to the default device.

    Parameters
    ----------
    obj : Tensor, array, number or nested list
    dtype : DType, optional
    device : Device or str, optional
    copy : bool, optional
        True to copy always; False to raise where a copy would be needed.
    backend : str, optional

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If a copy is needed and ``copy`` is False.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(2, requires_grad=True)
    >>> ad.asarray(x) is x
    True
    """
    if isinstance(obj, Tensor):
        where = place(device, backend) if device is not None or backend is not None else obj._device
        changes = where is not obj._device or (dtype is not None and as_dtype(dtype) is not obj.dtype)
        if changes and copy is False:
            raise ArgumentError("asarray: another type or device needs a copy, and copy=False forbids it")
        return obj.to(device=where, dtype=dtype, copy=bool(copy))
    if type(obj) in _NUMBERS or isinstance(obj, (list, tuple, range)):
        if copy is False:
            raise ArgumentError("asarray: numbers and lists have to be copied, and copy=False forbids it")
        return tensor(obj, dtype=dtype, device=device, backend=backend)
    owner = plugins.owner(obj)
    if owner is not None and not owner.backend.is_host and device is None and backend is None:
        where = owner
    else:
        where = place(device, backend)
    data = _copied(obj, where, dtype, bool(copy))
    if copy is False and data is not obj:
        raise ArgumentError(f"asarray: this array needs a copy to be on {where.where}, and copy=False forbids it")
    out = wrap(where.asarray(data), where)
    strides = where.backend.strides(out._data) if not copy else None
    if strides is not None and strides != views.row_major(out.shape):
        views.share(out, strides)  # memory from outside keeps its order: it stays shared
    return out


def from_numpy(array: Any, /) -> Tensor:
    """Make a tensor of a NumPy array on the default device, sharing its memory where the backend can.

    Parameters
    ----------
    array : numpy.ndarray

    Returns
    -------
    Tensor

    Raises
    ------
    OperandError
        If it is no NumPy array.

    Examples
    --------
    >>> import numpy as np, polyad as ad
    >>> ad.from_numpy(np.array([1, 2, 3]))
    tensor([1, 2, 3])
    """
    if not hasattr(array, "__array_interface__") or not hasattr(array, "dtype"):
        raise OperandError(f"from_numpy: expected a NumPy array; got {type(array).__name__}; write polyad.tensor(...)")
    return asarray(array, device=default_device())


# Of a shape -------------------------------------------------------------------------------------------------


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
    if isinstance(fill_value, Tensor) or type(fill_value) not in _NUMBERS:
        fill_value = fill_value.item() if hasattr(fill_value, "item") else fill_value
    if type(fill_value) not in _NUMBERS:
        raise OperandError(f"full: fill_value must be a number; got {fill_value!r:.60}")
    wanted = DEFAULTS[type(fill_value)] if dtype is None else as_dtype(dtype)
    values = [fill_value]
    _fits_dtype("full", values, wanted)
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
