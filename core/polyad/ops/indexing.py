"""Reading and writing by index: ``x[...]`` and ``x[...] = y``.

What a user writes between the brackets is brought to one form, the key of `polyad.keys`, once, here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from .. import views
from ..backend import Device
from ..batching import data_dependent
from ..calls import aliasing
from ..careful import SCALARS, broadcast_shapes
from ..dispatch import function
from ..dtypes import int64
from ..errors import ArgumentError, DeviceError, DTypeError, IndexOutOfRangeError, MaskError, OperandError, ShapeError
from ..function import FUNCTIONS, XP, Fails, Sample
from ..grad_mode import recording
from ..graph import Node, Sealed, Version, guard, next_sequence
from ..kernels import Step
from ..keys import ARRAY, Key, Slice
from ..layouts import Layout
from ..levels import lift, meet, refuse_write, together, values_of
from ..plugins import plugins
from ..rules import sum_to
from ..tensor import Tensor, wrap
from ..views import View, node_of, raw
from . import brackets
from .arguments import Shape
from .conversion import asarray, value_for
from .keyed import adding, reading, result_shape, writing

__all__ = [
    "nonzero",
]


# From brackets to keys --------------------------------------------------------------------------------------


@lru_cache(maxsize=4096, typed=True)
def _slice(n: int, start: int | None, stop: int | None, step: int | None) -> Slice:
    """A slice of a dimension. It is remembered, so bounds that only equal integers are refused."""
    if not {type(start), type(stop), type(step)} <= _BOUNDS:
        raise TypeError
    start, stop, step = slice(start, stop, step).indices(n)
    return Slice(start, len(range(start, stop, step)), step)


_BOUNDS: Final = frozenset([int, type(None)])


@lru_cache(maxsize=4096)
def _part(shape: Shape, start: int | None, stop: int | None) -> Step:
    """The step to a part of the first dimension."""
    return _at_key(shape, (_slice(shape[0], start, stop, None),))


@lru_cache(maxsize=4096)
def _row(shape: Shape, index: int) -> Step:
    """The step to one place of the first dimension."""
    n = shape[0]
    if not -n <= index < n:
        raise IndexError
    return Step((slice_view.function, {"key": (index % n,)}))


@lru_cache(maxsize=4096)
def _at_key(shape: Shape, key: Key) -> Step:
    """The step to a key of numbers and slices."""
    return Step((slice_view.function, {"key": key}))


def _plain(data: Any, device: Device, index: Any) -> tuple[Key, Sequence[Tensor]] | None:
    """Key and index arrays of valid numbers, slices, ``...``, None and tensors of integers.

    None for all else, which `parse` takes or refuses.
    """
    key: list[Any] = []
    arrays: Sequence[Any] = ()
    shape = data.shape
    dim, open_ = 0, True
    try:
        for e in index if type(index) is tuple else (index,):
            kind = type(e)
            if kind is slice:
                key.append(_slice(shape[dim], e.start, e.stop, e.step))
                dim += 1
            elif kind is int:
                n = shape[dim]
                if not -n <= e < n:
                    return None
                key.append(e if e >= 0 else e + n)
                dim += 1
            elif e is None:
                key.append(None)
            elif e is Ellipsis:
                stop = dim + len(shape) + 1 - len(index) + index.count(None) if index is not e else len(shape)
                if stop < dim or not open_:
                    return None
                key += [_slice(n, None, None, None) for n in shape[dim:stop]]
                dim, open_ = stop, False
            elif kind is Tensor and e._data.dtype in device.accepted["integer"] and e._device is device:
                key.append(ARRAY)
                arrays = (*arrays, e)
                dim += 1
            else:
                return None
    except (AttributeError, IndexError, TypeError, ValueError):
        return None
    if arrays and (dim > len(shape) or 0 in shape or not device.backend.refuses_indices):
        return None
    return tuple(key), arrays


def parse(name: str, x: Tensor, index: Any) -> tuple[Tensor, Key, Sequence[Tensor]]:
    """Bring what stands between brackets to a key and its index arrays.

    The key is for the tensor given back: ``x``, with a new dimension for each single bool.

    Raises
    ------
    IndexOutOfRangeError
        If a number, or an index array whose values are known here, is out of range; or there are too many.
    DTypeError
        If an index array is neither of integers nor a mask.
    MaskError
        If a mask does not fit the dimensions that it covers.
    """
    entries = [
        e if type(e) is int or e is None or e is Ellipsis or type(e) is slice else _entry(name, x, e)
        for e in (index if type(index) is tuple else (index,))
    ]
    x = together(x, *entries)
    entries = [lift(e, x._device) if isinstance(e, Tensor) else e for e in entries]
    if any(isinstance(e, Tensor) and not e.ndim and e.dtype.name == "bool" for e in entries):
        x = _with_single_bools(name, x, entries)
    shape = x.shape
    used = sum(map(_covered, entries))
    if used > len(shape):
        raise IndexOutOfRangeError(
            f"{name}: {used} indices for a tensor of shape {shape}, which has {len(shape)} dimensions"
        )
    ellipses = sum(e is Ellipsis for e in entries)
    if ellipses > 1:
        raise IndexOutOfRangeError(f"{name}: an index has at most one ellipsis; got {ellipses}")
    key: list[Any] = []
    arrays: list[Tensor] = []
    dim = 0
    for e in entries:
        if e is None:
            key.append(None)
        elif e is Ellipsis:
            key += [Slice(0, n, 1) for n in shape[dim : dim + len(shape) - used]]
            dim += len(shape) - used
        elif isinstance(e, Tensor):
            found = _mask(name, e, shape, dim) if e.dtype.name == "bool" else [e]
            key += [ARRAY] * len(found)
            arrays += found
            dim += len(found)
        elif type(e) is slice:
            try:
                start, stop, step = e.indices(shape[dim])
            except (TypeError, ValueError) as error:
                raise IndexOutOfRangeError(f"{name}: {e} is no slice of integers ({error})") from None
            key.append(Slice(start, len(range(start, stop, step)), step))
            dim += 1
        else:
            n = shape[dim]
            if not -n <= e < n:
                valid = f"valid are -{n} to {n - 1}" if n else "it has no elements"
                raise IndexOutOfRangeError(
                    f"{name}: index {e} is out of range for dimension {dim} of length {n}, shape {shape}; {valid}"
                )
            key.append(e % n)
            dim += 1
    masks_only = all(e.dtype.name == "bool" for e in entries if isinstance(e, Tensor))
    if not masks_only and (0 in shape or not x._device.backend.refuses_indices):
        _refuse(name, tuple(key), arrays, shape)
    return x, tuple(key), arrays


def _entry(name: str, x: Tensor, e: Any) -> Any:
    """One unusual entry: a number of another type, or an index array."""
    device = x._device
    if isinstance(e, Tensor):
        if meet(e._device, device) is None:
            raise DeviceError(
                f"{name}: the index is on {e._device.where}, the tensor on {device.where}; "
                f"write index.to(device=x.device)"
            )
        found = e
    elif isinstance(e, (bool, list)) or plugins.owner(e) is not None:
        found = asarray(e, device=device)
    elif str(getattr(e, "dtype", None)) == "bool":  # a library's scalar
        found = asarray(bool(e), device=device)
    elif hasattr(e, "__index__"):
        return e.__index__()
    else:
        raise OperandError(
            f"{name}: {e!r:.60} of type {type(e).__name__} is no index; use ints, slices, ..., None, integer arrays "
            f"or boolean masks"
        )
    if found.dtype.name != "bool" and "integer" not in found.dtype.kind:
        if found.numel() == 0 and isinstance(e, list):
            return FUNCTIONS["astype"].call(found, int64)
        raise DTypeError(f"{name}: index arrays are of integers or bools; got {found.dtype.name}")
    return found


def _covered(e: Any) -> int:
    """How many dimensions an entry of an index is for; of a single bool the new one."""
    if e is None or e is Ellipsis:
        return 0
    return e.ndim or 1 if isinstance(e, Tensor) and e.dtype.name == "bool" else 1


def _with_single_bools(name: str, x: Tensor, entries: list[Any]) -> Tensor:
    """Give ``x`` a new dimension of length 1 for each single bool, which becomes an index array of one 0, or none."""
    device, new = x._device, []
    front = entries.index(Ellipsis) if any(e is Ellipsis for e in entries) else len(entries)
    for i, e in enumerate(entries):
        if isinstance(e, Tensor) and not e.ndim and e.dtype.name == "bool":
            _refuse_traced(name, e)
            beside = entries[:i] if i < front else entries[i + 1 :]
            dim = sum(map(_covered, beside))
            new.append(dim if i < front else -1 - dim)
            zeros = [0] if e else []
            entries[i] = wrap(device.backend.from_flat(zeros, (len(zeros),), device.dtype(int64), device), device)
    rank = x.ndim + len(new)
    return FUNCTIONS["expand_dims"].call(x, tuple(d % rank for d in new))  # type: ignore[no-any-return]


def _refuse_traced(name: str, mask: Tensor) -> None:
    if mask._device.backend.is_traced(raw(mask)):
        raise OperandError(
            f"{name}: the number of elements a mask selects is not known, because {mask.backend.traced_by}; "
            f"use where(mask, x, y) instead"
        )


def _mask(name: str, mask: Tensor, shape: tuple[int, ...], dim: int) -> list[Tensor]:
    """A mask as the integer arrays of where it is true."""
    covered = shape[dim : dim + mask.ndim]
    if len(covered) < mask.ndim or any(m not in (n, 0) for m, n in zip(mask.shape, covered, strict=True)):
        raise MaskError(
            f"{name}: a mask of shape {mask.shape} does not fit dimensions {dim} to {dim + mask.ndim - 1} of shape "
            f"{shape}; it must have shape {covered}"
        )
    _refuse_traced(name, mask)
    device = mask._device
    return [wrap(device.asarray(a), device) for a in device.kernels[nonzero.function](raw(mask))]


def _flattened(x: Tensor, index: Any) -> tuple[Tensor, Any]:
    """Tensor and mask with the dimensions that a single mask covers as one, so that one array of indices will do."""
    if not isinstance(index, Tensor) or index.ndim < 2 or index.dtype.name != "bool":
        return x, index
    k, shape = index.ndim, x.shape
    if index.shape != shape[:k] or 0 in shape:
        return x, index
    if x._device.backend.is_traced(raw(x)):  # reshaped here, a mask that is known would be known no more
        return x, index
    reshape = FUNCTIONS["reshape"].call
    return reshape(x, (-1, *shape[k:])), reshape(index, (-1,))


def _refuse(name: str, key: Key, arrays: Sequence[Tensor], shape: tuple[int, ...]) -> None:
    """Raise if index arrays do not broadcast, or one is out of range."""
    broadcast_shapes(f"{name}: index arrays", [a.shape for a in arrays])
    rest = iter(arrays)
    for dim, e in enumerate(e for e in key if e is not None):
        if e is ARRAY:
            check_range(name, next(rest), shape, dim)


def check_range(name: str, a: Tensor, shape: tuple[int, ...], dim: int) -> None:
    """Check an index array where its values can be read without waiting: libraries wrap or clamp silently."""
    a = values_of(a)
    device, data = a._device, raw(a)
    if device.type != "cpu" or device.backend.is_traced(data) or not a.numel():
        return
    host, n = device.backend.to_host(data), shape[dim]
    if host.dtype.kind == "i" and host.view(f"u{host.itemsize}").max() < n:
        return  # negative numbers are large ones then: one pass, where it is the usual case
    low, high = int(host.min()), int(host.max())
    if low < -n or high >= n:
        wrong = high if high >= n else low
        raise IndexOutOfRangeError(
            f"{name}: an index array has {wrong}, out of range for dimension {dim} of length {n}, shape {shape}; "
            f"valid are -{n} to {n - 1}"
        )


# Reading ----------------------------------------------------------------------------------------------------


def _layout(x: Layout, *, key: Key) -> Layout:
    shape, strides, offset = x
    lengths: list[int] = []
    found: list[int] = []
    dim = 0
    for e in key:
        if e is None:
            lengths.append(1)
            found.append(1)
            continue
        if type(e) is Slice:
            lengths.append(e.length)
            found.append(strides[dim] * e.step)
            offset += e.start * strides[dim]
        else:
            offset += e * strides[dim]
        dim += 1
    return Layout((*lengths, *shape[dim:]), (*found, *strides[dim:]), offset)


@function(
    name="getitem",
    prepare=False,  # keys hold numbers that change from call to call: kernels compile by their structure
    promotes=(0,),
    jvp="linear",
    batching=reading,
    x=lambda g, xp, indices, key, x_shape: xp.index_scatter(g, *indices, key=key, shape=x_shape),
    samples=[
        Sample((3, 4), key=(1,), name="x[1]"),
        Sample((3, 4), key=(Slice(0, 2, 2), Slice(3, 3, -1)), name="x[::2, 3:0:-1]"),
        Sample((3, 4), [0, 2, 0], key=(ARRAY,), name="x[[0, 2, 0]]"),
        Sample((3, 4), [0, 2], [1, 1], key=(ARRAY, ARRAY), name="x[[0, 2], [1, 1]]"),
        Sample((2, 3, 4), [[0], [2]], key=(Slice(0, 2, 1), None, ARRAY), name="x[:, None, [[0], [2]]]"),
    ],
)
def _gather(xp: XP, x: Tensor, /, *indices: Tensor, key: Key) -> Tensor:
    """Elements at a key with index arrays: what ``x[...]`` does. A copy.

    Repeated indices add up in the gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([1.0, 2.0, 3.0])[[0, 2, 2]]
    tensor([1., 3., 3.])
    """
    return brackets.read(xp, x, indices, key)  # type: ignore[no-any-return]


@function(
    name="slice_view",
    prepare=False,
    check=lambda shape, *, key: {"key": key},
    view=View(lambda xp, base, new, *, key: xp.setitem(base, new, key=key), _layout),
    jvp="linear",
    batching=reading,
    x=lambda g, xp, key, x_shape: xp.index_scatter(g, key=key, shape=x_shape),
    samples=[
        Sample((3, 4), key=(1,), name="x[1]"),
        Sample((3, 4), key=(Slice(0, 2, 2), None, Slice(3, 3, -1)), name="x[::2, None, 3:0:-1]"),
        Sample((3, 4), key=(2, 3), name="x[2, 3]"),
        Sample((3, 4), key=(), name="x[()]"),
        Sample((3, 0), key=(Slice(1, 2, 1),), name="x[1:] of nothing"),
    ],
)
def slice_view(xp: XP, x: Tensor, /, *, key: Key) -> Tensor:
    """Elements at a key of numbers and slices: what ``x[1, ::2]`` does. A view.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([[1.0, 2.0], [3.0, 4.0]])[1]
    tensor([3., 4.])
    """
    return brackets.read(xp, x, (), key)  # type: ignore[no-any-return]


@function(
    takes="numeric",
    prepare=False,
    promotes=(0,),
    jvp="linear",
    batching=adding,
    g=lambda g, xp, indices, key: xp.getitem(g, *indices, key=key),
    samples=[
        Sample((2, 4), [0, 0], key=(ARRAY,), shape=(3, 4), name="twice into one row"),
        Sample((4,), key=(1,), shape=(3, 4), name="into a row"),
    ],
)
def index_scatter(xp: XP, g: Tensor, /, *indices: Tensor, key: Key, shape: tuple[int, ...]) -> Tensor:
    """Zeros of ``shape`` with ``g`` added at a key: the transpose of reading there.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.zeros(3, requires_grad=True)
    >>> x[[0, 2, 2]].sum().backward()
    >>> x.grad
    tensor([1., 0., 2.])
    """
    return brackets.add(xp, g, indices, key, shape)  # type: ignore[no-any-return]


def _has_indices(shape: tuple[int, ...]) -> dict[str, Any]:
    if not shape:
        raise ArgumentError("nonzero: a tensor of no dimensions has no indices; write bool(x), or x.reshape(1)")
    return {}


@function(
    differentiable=False,
    prepare=False,
    batching=data_dependent,
    outputs=0,
    gives="int64",
    standard=True,
    check=_has_indices,
    samples=[
        Sample([[0.0, 1.0], [2.0, 0.0]]),
        Sample((2, 3), domain="bools"),
        Fails((), error=ArgumentError, match="nonzero: a tensor of no dimensions has no indices"),
    ],
)
def nonzero(x: Tensor, /) -> tuple[Tensor, ...]:
    """Indices of the elements other than 0: for each dimension an int64 tensor, in row-major order.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nonzero(ad.tensor([0.0, 2.0, 3.0]))
    (tensor([1, 2]),)
    """


_alias = aliasing(slice_view.function)


def getitem(x: Tensor, index: Any) -> Tensor:
    """``x[index]``: a view for ints, slices, ``...`` and None; a copy for integer arrays and masks."""
    kind, step = type(index), None
    try:  # one slice or number, as most indices are
        if kind is slice:
            start, stop = index.start, index.stop
            # what is remembered is found by equality, so bounds that only equal integers are left to others
            if index.step is None and (type(start) is int or start is None) and (type(stop) is int or stop is None):
                step = _part(x._data.shape, start, stop)
        elif kind is int:
            step = _row(x._data.shape, index)
    except (AttributeError, IndexError, TypeError, ValueError):
        pass  # an alias emptied by a write, or what `parse` refuses
    if step is not None:
        return _alias(x, step)  # type: ignore[no-any-return]
    parsed = _plain(raw(x), x._device, index)
    if parsed is None:
        x, key, arrays = parse("x[...]", *_flattened(x, index))
    else:
        key, arrays = parsed
    if not arrays:
        return _alias(x, _at_key(raw(x).shape, key))  # type: ignore[no-any-return]
    try:
        return _at(x, arrays, key)
    except IndexError:
        _refuse("x[...]", key, arrays, x.shape)  # which says it better
        raise


def _at(x: Tensor, arrays: Sequence[Tensor], key: Key) -> Tensor:
    """Elements at a key with index arrays: the call of `_gather`, whose operands were checked when it was parsed."""
    made, device = _gather.function, x._device
    values = [raw(x), *map(raw, arrays)]
    result = device.asarray(device.kernels[made](*values, key=key))
    out = wrap(result, device)
    edge = node_of(x)
    if edge is not None and (mode := recording()):
        node: Any = Node()
        node.function, node.device = made, device
        node.edges, node.seq = (edge,), next_sequence()
        node.hooks = node.shapes = None
        node.args = (made.specs[0].keep(device, values, {"key": key}, result, 0),)  # type: ignore[union-attr]
        node.guards = tuple(part for a in arrays for part in guard(a))
        if mode is not True:
            mode.watch(node, (x, *arrays), None)
        out._node = node
    return out


# Writing ----------------------------------------------------------------------------------------------------


def _value_rule(g: Any, xp: Any, indices: Any, key: Key, value_shape: tuple[int, ...]) -> Any:
    return sum_to(xp, xp.getitem(g, *indices, key=key), value_shape)


@function(
    name="setitem",
    prepare=False,
    x=lambda g, xp, indices, key: xp.setitem(g, 0, *indices, key=key),
    value=_value_rule,
    promotes=(0, 1),
    jvp="linear",
    batching=writing,
    samples=[
        Sample((3, 4), (4,), key=(1,), name="x[1] = v"),
        Sample((3, 4), (), key=(Slice(0, 2, 2),), name="x[::2] = v"),
        Sample((3, 4), (2, 4), [0, 2], key=(ARRAY,), name="x[[0, 2]] = v"),
        Sample((3, 4), (2, 1), [[0], [2]], [1, 3], key=(ARRAY, ARRAY), name="x[[[0], [2]], [1, 3]] = v"),
    ],
)
def _put(xp: XP, x: Tensor, value: Tensor, /, *indices: Tensor, key: Key) -> Tensor:
    """``x`` with the elements at a key replaced by ``value``: what ``x[...] = value`` writes.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.zeros(3)
    >>> x[1:] = 5
    >>> x
    tensor([0., 5., 5.])
    """
    return brackets.put(xp, x, value, indices, key)  # type: ignore[no-any-return]


def setitem(x: Tensor, index: Any, value: Any) -> None:
    """``x[index] = value``: written in place, into every alias, differentiably."""
    if _written(x, index, value):
        return
    whole_mask = isinstance(index, Tensor) and index.dtype.name == "bool" and index.shape == x.shape
    if whole_mask and _is_number(value):
        views.check_write(x, _WRITE)
        # no need to know how many are selected: works under tracing, and without waiting
        chosen = FUNCTIONS["where"].call(index, value_for(x, value, _WRITE), x)
        if chosen._device is not x._device:
            refuse_write(_WRITE, x, chosen._device)
        views.write(x, raw(chosen), node_of(chosen), "x[mask] = y")
        return
    if x._storage is None:  # otherwise it might be a copy that is flattened
        x, index = _flattened(x, index)
    parsed, key, arrays = parse(_WRITE, x, index)
    if parsed._device is not x._device:
        refuse_write(_WRITE, x, parsed._device)
    x = parsed
    if not arrays and views.repeats(x):
        x, key = _alias(x, _at_key(raw(x).shape, key)), ()  # what is written may show nothing twice
    views.check_write(x, _WRITE)
    value = _fitted(x, value, result_shape(x.shape, key, arrays))
    values, edge = (raw(value), node_of(value)) if isinstance(value, Tensor) else (value, None)
    history = recording() and (node_of(x) is not None or edge is not None)
    kernel: Callable[..., Any] | None = x._device.inplace.get("setitem")
    try:
        if kernel is None or history:
            with views.exclusive:
                result = _put(x, value, *arrays, key=key)
                views.write(x, raw(result), node_of(result), _WRITE)
        else:
            kernel(raw(x), values, *map(raw, arrays), key=key)
            views.write(x, raw(x), None, _WRITE, written=True)
    except IndexError:
        _refuse(_WRITE, key, arrays, x.shape)
        raise


def _fitted(x: Tensor, value: Any, target: tuple[int, ...]) -> Any:
    """A value of the tensor's type, in a shape that broadcasts to what is indexed."""
    if type(value) in SCALARS and raw(x).dtype in x._device.weak[type(value)]:
        return value
    value = value_for(x, value, _WRITE)
    shape: tuple[int, ...] = value.shape
    while len(shape) > len(target) and shape[0] == 1:  # NumPy lets leading 1s go
        shape = shape[1:]
    if len(shape) > len(target) or any(
        n not in (1, m) for n, m in zip(reversed(shape), reversed(target), strict=False)
    ):
        raise ShapeError(f"{_WRITE}: a value of shape {value.shape} does not fit the indexed shape {target}")
    return value if shape == value.shape else FUNCTIONS["reshape"].call(value, shape)


_WRITE: Final = "x[...] = y"


def _written(x: Tensor, index: Any, value: Any) -> bool:
    """Write where nothing is unusual: memory that can be written, no history, one type.

    Gives whether it did. Whatever is wrong, such as a value that does not fit, is left to the full path to say.
    """
    try:
        data, device = x._data, x._device
        kernel = device.inplace.get("setitem")
        if kernel is None or x._node is not None or type(x._writes) is Sealed:
            return False
        if x._storage is not None and (x._path is not None or x._root.refusal is not None):
            return False
        if type(value) in SCALARS:
            if data.dtype not in device.weak[type(value)]:
                return False
        else:
            if (value._node is not None and recording()) or value._device is not device:
                return False
            value = value._data
            if value.dtype is not data.dtype:
                return False
        parsed: tuple[Key, Sequence[Tensor]] | None
        if type(index) is Tensor and index._data.dtype in device.accepted["bool"]:
            if index._data.shape != data.shape or index._device is not device:
                return False
            parsed = (ARRAY,), (index,)  # the library may take a mask as it is
        else:
            parsed = _plain(data, device, index)
        if parsed is None:
            return False
        key, arrays = parsed
        kernel(data, value, *[a._data for a in arrays], key=key)
    except (AttributeError, ValueError, IndexError):  # an alias emptied by a write, no tensor, or what does not fit
        return False
    version = x._writes
    if version is None:
        version = x._writes = Version()
    version.count += 1
    version.by = _WRITE
    return True


def _is_number(value: Any) -> bool:
    return type(value) in SCALARS or (isinstance(value, Tensor) and not value.ndim)
