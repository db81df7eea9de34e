"""The same elements several times: broadcasting tensors together, grids, repeating, tiling, padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import careful
from ..batching import along as along_axes
from ..dispatch import facade, function
from ..errors import ArgumentError, DeviceError, DTypeError, IndexOutOfRangeError, OperandError, ShapeError
from ..function import FUNCTIONS, XP, Fails, Function, Sample
from ..keys import ARRAY, Slice, along
from ..levels import meet
from ..tensor import Tensor, not_a_tensor, wrap
from .arguments import Shape, as_integer, as_shape, normalize_axis
from .conversion import asarray
from .creation import fitted
from .manipulation import broadcast_to, reshape

__all__ = [
    "broadcast_arrays",
    "broadcast_shapes",
    "meshgrid",
    "pad",
    "repeat",
    "tile",
]


# By broadcasting: views ---------------------------------------------------------------------------------------


def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """Give the shape that shapes broadcast to.

    Parameters
    ----------
    *shapes : int or tuple of int

    Returns
    -------
    tuple of int
        Of no shapes ``()``.

    Raises
    ------
    ShapeError
        If they do not broadcast.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.broadcast_shapes((3, 1), (4,))
    (3, 4)
    """
    return careful.broadcast_shapes("broadcast_shapes", [as_shape("broadcast_shapes", s) for s in shapes])


def broadcast_arrays(*arrays: Tensor) -> tuple[Tensor, ...]:
    """Broadcast tensors against each other: PyTorch's ``broadcast_tensors``. Views that cannot be written.

    Parameters
    ----------
    *arrays : Tensor

    Returns
    -------
    tuple of Tensor
        Of one shape; each keeps its type.

    Raises
    ------
    ShapeError
        If the shapes do not broadcast.
    OperandError
        If one is no tensor.

    Examples
    --------
    >>> import polyad as ad
    >>> [x.shape for x in ad.broadcast_arrays(ad.ones((3, 1)), ad.ones(4))]
    [(3, 4), (3, 4)]
    """
    for x in arrays:
        if not isinstance(x, Tensor):
            not_a_tensor("broadcast_arrays", "x", x)
    shape = careful.broadcast_shapes("broadcast_arrays", [x.shape for x in arrays])
    return tuple(broadcast_to(x, shape) for x in arrays)


def meshgrid(*arrays: Tensor, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Coordinates of a grid's points, from those along each of its axes. Views that cannot be written.

    Parameters
    ----------
    *arrays : Tensor
        Vectors, or numbers, which count as vectors of length 1. They may come in one list.
    indexing : {"xy", "ij"}
        With "ij", PyTorch's default, dimension ``i`` of each result belongs to array ``i``. With "xy", that of the
        standard and NumPy, the first two dimensions are exchanged.

    Returns
    -------
    tuple of Tensor
        As many as there are arrays, each with as many dimensions, and of its array's type.

    Raises
    ------
    ShapeError
        If an array has more than one dimension.
    ArgumentError
        If ``indexing`` is neither.

    Examples
    --------
    >>> import polyad as ad
    >>> x, y = ad.meshgrid(ad.arange(3), ad.arange(2))
    >>> y
    tensor([[0, 0, 0],
            [1, 1, 1]])
    """
    if len(arrays) == 1 and isinstance(arrays[0], (list, tuple)):
        arrays = tuple(arrays[0])
    if indexing not in ("xy", "ij"):
        raise ArgumentError(f"meshgrid: indexing is 'xy' or 'ij'; got {indexing!r}")
    for x in arrays:
        if not isinstance(x, Tensor):
            not_a_tensor("meshgrid", "x", x)
        if x.ndim > 1:
            raise ShapeError(f"meshgrid: expected vectors; got shape {x.shape}; write x.reshape(-1)")
    places = list(range(len(arrays)))
    if indexing == "xy" and len(arrays) > 1:
        places[:2] = 1, 0
    shape = [0] * len(arrays)
    for x, place in zip(arrays, places, strict=True):
        shape[place] = x.numel()
    grid = tuple(shape)
    return tuple(
        broadcast_to(reshape(x, tuple(n if i == place else 1 for i, n in enumerate(grid))), grid)
        for x, place in zip(arrays, places, strict=True)
    )


# Copies -------------------------------------------------------------------------------------------------------


def _repeated(shape: Shape, *, repeats: Any, axis: Any) -> dict[str, Any]:
    times = as_integer("repeat", "repeats", repeats)
    if times < 0:
        raise ArgumentError(f"repeat: repeats must not be negative; got {times}")
    return {"repeats": times, "axis": normalize_axis("repeat", axis, len(shape))}


def _unrepeat(g: Any, xp: Any, x_shape: Shape, repeats: int, axis: int) -> Any:
    apart = xp.reshape(g, (*x_shape[: axis + 1], repeats, *x_shape[axis + 1 :]))
    return xp.sum(apart, axis=(axis + 1,))


@function(
    name="repeat",
    jvp="linear",
    batching=along_axes("axis"),
    check=_repeated,
    standard=True,
    x=_unrepeat,
    samples=[
        Sample((2, 3), repeats=2, axis=0),
        Sample((2, 3), repeats=3, axis=-1),
        Sample((2, 3), repeats=0, axis=1),
        Sample((0, 3), repeats=2, axis=1),
        Fails((2, 3), repeats=-1, axis=0, error=ArgumentError, match="repeat: repeats must not be negative; got -1"),
        Fails((2, 3), repeats=2, axis=2, error=IndexOutOfRangeError, match="repeat: axis 2 is out of range"),
        Fails((2, 3), repeats=1.5, axis=0, error=OperandError, match="repeat: repeats must be an integer; got 1.5"),
    ],
)
def _repeat(x: Tensor, /, *, repeats: int, axis: int) -> Tensor:
    """Each element equally often, along an axis; see `repeat`."""


@facade(_repeat)
def repeat(x: Tensor, /, repeats: Any, *, axis: int | None = None) -> Tensor:
    """Each element several times in a row: PyTorch's ``repeat_interleave``.

    To repeat the whole, as PyTorch's ``x.repeat(2, 3)`` does, write ``tile(x, (2, 3))``.

    Parameters
    ----------
    x : Tensor
        Of any shape and type.
    repeats : int, or Tensor or list of int
        How often. A tensor or list of as many as there are elements along ``axis`` has one number for each; its values
        are read, which waits for the device.
    axis : int, optional
        Along which dimension. Without it ``x`` is flattened first.

    Returns
    -------
    Tensor
        Of ``x``'s type.

    Raises
    ------
    ShapeError
        If ``repeats`` are neither one number nor one for each element along ``axis``.
    DTypeError
        If they are no integers.
    ArgumentError
        If one is negative.

    Notes
    -----
    Differentiable in ``x``: the gradients of an element's repetitions add up.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.repeat(ad.tensor([1, 2, 3]), 2)
    tensor([1, 1, 2, 2, 3, 3])
    >>> ad.repeat(ad.tensor([[1, 2], [3, 4]]), ad.tensor([1, 2]), axis=0)
    tensor([[1, 2],
            [3, 4],
            [3, 4]])
    """
    if not isinstance(x, Tensor):
        not_a_tensor("repeat", "x", x)
    if axis is None:
        x, axis = reshape(x, (x.numel(),)), 0
    if isinstance(repeats, (list, tuple)):
        repeats = asarray(list(repeats), device=x._device)
    if not isinstance(repeats, Tensor):
        return _repeat(x, repeats=repeats, axis=axis)
    axis = normalize_axis("repeat", axis, x.ndim)
    if repeats.numel() == 1 and repeats.ndim <= 1:
        return _repeat(x, repeats=repeats.item(), axis=axis)
    return _repeat_each(x, repeats, axis)


def _repeat_each(x: Tensor, repeats: Tensor, axis: int) -> Tensor:
    """Elements along an axis, each as often as its own number says."""
    shape, device = x.shape, x._device
    if meet(repeats._device, device) is None:
        raise DeviceError(
            f"repeat: x is on {device.where}, repeats on {repeats._device.where}; write repeats.to(device=x.device)"
        )
    if repeats.shape != (shape[axis],):
        raise ShapeError(
            f"repeat: repeats of shape {repeats.shape} do not fit {shape[axis]} elements along axis {axis} of shape "
            f"{shape}; expected one number or shape ({shape[axis]},)"
        )
    if not repeats.numel():
        return x.clone()
    if "integer" not in repeats.dtype.kind:
        raise DTypeError(f"repeat: repeats must be integers; got {repeats.dtype.name}")
    times = repeats._host("repeat").astype("int64")  # the shape of the result depends on them
    if times.min() < 0:
        raise ArgumentError(f"repeat: repeats must not be negative; got {times.min()}")
    positions = ((times * 0 + 1).cumsum() - 1).repeat(times)  # 0, 1, 2, ..., each repeated
    index = wrap(device.backend.from_host(positions, device, copy=False), device)
    key = (*along(shape, axis, 0)[:-1], ARRAY)
    return FUNCTIONS["getitem"].call(x, index, key=key)  # type: ignore[no-any-return]


def _tiled(shape: Shape, *, repetitions: Any) -> dict[str, Any]:
    times = as_shape("tile", repetitions)
    if any(n < 0 for n in times):
        raise ArgumentError(f"tile: repetitions must not be negative; got {times}")
    return {"repetitions": (1,) * (len(shape) - len(times)) + times}


def _untile(g: Any, xp: Any, x_shape: Shape, repetitions: Shape) -> Any:
    lengths = (1,) * (len(repetitions) - len(x_shape)) + x_shape
    apart = xp.reshape(g, tuple(n for pair in zip(repetitions, lengths, strict=True) for n in pair))
    return xp.reshape(xp.sum(apart, axis=tuple(range(0, 2 * len(repetitions), 2))), x_shape)


def _tiled_examples(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    (x,), times = arrays, params["repetitions"]
    x = reshape(x, (size, *(1,) * (len(times) + 1 - len(x.shape)), *x.shape[1:]))
    return made.call(x, (1, *times))


@function(
    check=_tiled,
    jvp="linear",
    batching=_tiled_examples,
    standard=True,
    x=_untile,
    samples=[
        Sample((2, 3), repetitions=(2, 3)),
        Sample((2, 3), repetitions=(2,)),
        Sample((2, 3), repetitions=(2, 1, 2)),
        Sample((2, 3), repetitions=(1, 1)),
        Sample((2, 3), repetitions=(2, 0)),
        Sample((0, 3), repetitions=(2, 2)),
        Sample((), repetitions=()),
        Sample((3,), repetitions=2),
        Fails((2, 3), repetitions=(2, -1), error=ArgumentError, match=r"tile: repetitions must not be .* \(2, -1\)"),
        Fails((2, 3), repetitions=(1.5,), error=OperandError, match="tile: a shape is a tuple of integers"),
    ],
)
def tile(xp: XP, x: Tensor, /, repetitions: Shape) -> Tensor:
    """The whole repeated along each dimension, as PyTorch's ``x.repeat(2, 3)``.

    Of tensor and repetitions the one with fewer dimensions gets ones in front.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tile(ad.tensor([[1, 2]]), (2, 2))
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    lengths = [1] * (len(repetitions) - len(x.shape)) + list(x.shape)
    last = len(repetitions) - 1
    copied = False
    for axis, times in enumerate(repetitions):
        if times == 1 and (copied or axis < last):
            continue
        before = math.prod(lengths[:axis])
        after = math.prod(lengths[axis:])
        x, copied = xp.repeat(xp.reshape(x, (before, 1, after)), repeats=times, axis=1), True
        lengths[axis] *= times
    return xp.reshape(x if copied else xp.clone(x), tuple(lengths))  # type: ignore[no-any-return]


def tile_method(x: Tensor, *times: Any, repetitions: Any = None) -> Tensor:
    """As `polyad.tile`; repetitions may be given as arguments: ``x.tile(2, 3)``."""
    return tile(x, as_shape("tile", times if repetitions is None else repetitions))


_MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


def _pairs(argument: str, value: Any, ndim: int) -> tuple[tuple[Any, Any], ...]:
    """For each dimension what is before and after it: from a number, a pair, or a pair for each."""
    if not isinstance(value, (tuple, list)):
        value = (value, value)
    if not any(isinstance(v, (tuple, list)) for v in value):
        value = (tuple(value) * 2 if len(value) == 1 else tuple(value),)
    if len(value) == 1:
        value = tuple(value) * ndim
    if len(value) != ndim or any(not isinstance(v, (tuple, list)) or len(v) != 2 for v in value):
        raise ShapeError(
            f"pad: {argument} is a number, a pair (before, after), or a pair for each of {ndim} dimensions; got {value}"
        )
    return tuple(tuple(v) for v in value)


def _padded(shape: Shape, *, pad_width: Any, mode: Any = "constant", constant_values: Any = 0) -> dict[str, Any]:
    widths = tuple(
        (as_integer("pad", "pad_width", a), as_integer("pad", "pad_width", b))
        for a, b in _pairs("pad_width", pad_width, len(shape))
    )
    if any(n < 0 for pair in widths for n in pair):
        raise ArgumentError(f"pad: pad_width must not be negative; got {widths}; write x[1:-1] to cut off")
    if mode not in _MODES:
        raise ArgumentError(f"pad: mode is one of {', '.join(map(repr, _MODES))}; got {mode!r}")
    if mode != "constant" and any(n == 0 and sum(w) for n, w in zip(shape, widths, strict=True)):
        raise ShapeError(f"pad: mode {mode!r} has no elements to take in shape {shape}; write mode='constant'")
    return {
        "pad_width": widths,
        "mode": mode,
        "constant_values": _pairs("constant_values", constant_values, len(shape)),
    }


def _sources(mode: str, n: int, before: int, after: int) -> list[Slice]:
    """Where the elements of a padded axis come from: runs of ascending and descending ones.

    ``reflect`` and ``symmetric`` go up and down in turn, over and over; ``wrap`` begins again.
    """
    turn = 0 if mode == "wrap" or n == 1 else n - 2 if mode == "reflect" else n  # how many on the way down
    if n == 1 and mode == "symmetric":
        turn = 0
    period, runs, i = n + turn, [], -before
    while i < n + after:
        at = i % period
        length = min((n if at < n else period) - at, n + after - i)
        start = at if at < n else (n - 2 if mode == "reflect" else n - 1) - (at - n)
        runs.append(Slice(start, length, 1 if at < n else -1))
        i += length
    return runs


def _padded_examples(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    values = params["constant_values"]
    return made.call(
        *arrays,
        pad_width=((0, 0), *params["pad_width"]),
        mode=params["mode"],
        constant_values=(values[0] if values else (0, 0), *values),
    )


@function(
    name="pad",
    batching=_padded_examples,
    check=_padded,
    samples=[
        Sample((2, 3), pad_width=1),
        Sample((2, 3), pad_width=((1, 0), (0, 2)), constant_values=1.5),
        Sample((2, 3), pad_width=(1, 2), constant_values=((1, 2), (3, 4))),
        Sample((2, 3), pad_width=((2, 1), (3, 4)), mode="edge"),
        Sample((2, 3), pad_width=((2, 3), (7, 8)), mode="reflect"),
        Sample((2, 3), pad_width=((0, 3), (4, 8)), mode="symmetric"),
        Sample((2, 3), pad_width=((5, 0), (2, 8)), mode="wrap"),
        Sample((1, 0), pad_width=((2, 2), (0, 0)), mode="reflect"),
        Sample((2, 3), pad_width=0),
        Sample((), pad_width=()),
        Fails((2, 3), pad_width=(1, 2, 3), error=ShapeError, match=r"pad: pad_width is a number, a pair.*2 dimensions"),
        Fails((2, 3), pad_width=-1, error=ArgumentError, match="pad: pad_width must not be negative"),
        Fails((2, 3), pad_width=1, mode="mean", error=ArgumentError, match="pad: mode is one of .*'wrap'; got 'mean'"),
        Fails((2, 0), pad_width=1, mode="edge", error=ShapeError, match=r"'edge' has no elements .* shape \(2, 0\)"),
        Fails((2, 3), pad_width=1, constant_values="0", error=OperandError, match="pad: constant_values must be a num"),
        Fails([1], pad_width=1, constant_values=0.5, error=DTypeError, match="constant_values: 0.5 does not fit"),
    ],
)
def _pad(xp: XP, x: Tensor, /, *, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Tensor:
    """Elements added before and after; see `pad`."""
    if mode == "constant" and len({v for pair in constant_values for v in pair}) <= 1:
        return _surrounded(xp, x, pad_width, constant_values[0][0] if constant_values else 0)  # type: ignore[no-any-return]
    for axis, (before, after) in enumerate(pad_width):
        if not before and not after:
            continue
        shape = tuple(x.shape)
        if mode == "constant":
            ends = [(*shape[:axis], n, *shape[axis + 1 :]) for n in (before, after)]
            first, last = (
                xp.new_full(x, shape=s, fill_value=v) for s, v in zip(ends, constant_values[axis], strict=True)
            )
            x = xp.concat([first, x, last], axis=axis)
        elif mode == "edge":
            ends = [xp.getitem(x, key=along(shape, axis, i, i + 1)) for i in (0, shape[axis] - 1)]
            first, last = (xp.repeat(end, repeats=n, axis=axis) for end, n in zip(ends, (before, after), strict=True))
            x = xp.concat([first, x, last], axis=axis)
        else:
            full = along(shape, axis, 0)[:-1]
            runs = _sources(mode, shape[axis], before, after)
            x = xp.concat([xp.getitem(x, key=(*full, run)) for run in runs], axis=axis)
    return x if any(map(any, pad_width)) else xp.clone(x)


@facade(_pad)
def pad(x: Tensor, /, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Tensor:
    """Add elements before and after, along each dimension, as NumPy's ``pad``.

    In PyTorch's spelling, from the last dimension on, see ``nn.functional.pad``.

    Parameters
    ----------
    x : Tensor
        Of any shape and type.
    pad_width : int, or pairs of int
        How many elements: a number, a pair (before, after), or a pair for each dimension.
    mode : str
        ``"constant"``; ``"edge"`` for the outermost elements again; ``"reflect"`` and ``"symmetric"`` for a mirror on
        the outermost elements and behind them; ``"wrap"`` for the elements from the other end.
    constant_values : number, or pairs of numbers
        What is added in mode ``"constant"``: a number, a pair (before, after), or a pair for each dimension.

    Returns
    -------
    Tensor
        Of ``x``'s type. A copy.

    Raises
    ------
    ShapeError
        If there is not a pair for each dimension, or no element to repeat.
    ArgumentError
        If a width is negative, or there is no such mode.
    DTypeError
        If a number does not fit the type.

    Notes
    -----
    Differentiable in ``x`` through the functions that it is made of.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.pad(ad.tensor([1, 2, 3]), (2, 1))
    tensor([0, 0, 1, 2, 3, 0])
    >>> ad.pad(ad.tensor([1, 2, 3]), 2, mode="reflect")
    tensor([3, 2, 1, 2, 3, 2, 1])
    """
    if not isinstance(x, Tensor):
        not_a_tensor("pad", "x", x)
    if type(constant_values) is not int or constant_values:
        constant_values = tuple(
            tuple(fitted("pad: constant_values", v, x.dtype) for v in pair)
            for pair in _pairs("constant_values", constant_values, x.ndim)
        )
    return _pad(x, pad_width=pad_width, mode=mode, constant_values=constant_values)


def _surrounded(xp: Any, x: Any, widths: Sequence[tuple[int, int]], value: Any) -> Any:
    """``x`` in the middle of one number."""
    shape = tuple(n + sum(w) for n, w in zip(x.shape, widths, strict=True))
    key = tuple(Slice(before, n, 1) for n, (before, _) in zip(x.shape, widths, strict=True))
    if not value:
        return xp.index_scatter(x, key=key, shape=shape)
    return xp.setitem(xp.new_full(x, shape=shape, fill_value=value), x, key=key)
