"""Arrays from several, and several from one: concatenating, stacking, splitting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import Any

from ..batching import along as along_axes
from ..dispatch import facade, function
from ..errors import ArgumentError, IndexOutOfRangeError, OperandError, ShapeError
from ..function import FUNCTIONS, Fails, Function, Sample
from ..grad_mode import recording
from ..graph import Output, record
from ..keys import along
from ..tensor import Tensor, not_a_tensor
from ..views import node_of, raw
from .arguments import Shape, as_integer, normalize_axis
from .conversion import asarray, value_for
from .creation import ones
from .indexing import slice_view
from .manipulation import atleast_1d, atleast_2d, atleast_3d, flatten, moveaxis, reshape

__all__ = [
    "append",
    "chunk",
    "column_stack",
    "concat",
    "delete",
    "dsplit",
    "dstack",
    "hsplit",
    "hstack",
    "insert",
    "narrow",
    "select",
    "split",
    "stack",
    "tensor_split",
    "unstack",
    "vsplit",
    "vstack",
]


# Joining ------------------------------------------------------------------------------------------------------


def _joined(*shapes: Shape, axis: Any = 0) -> dict[str, Any]:
    first = shapes[0]
    axis = normalize_axis("concat", axis, len(first))
    for s in shapes[1:]:
        if len(s) != len(first) or any(a != b for i, (a, b) in enumerate(zip(s, first, strict=True)) if i != axis):
            raise ShapeError(f"concat: shapes must agree except along axis {axis}; got {first} and {s}")
    return {"axis": axis}


def _part(g: Any, xp: Any, position: int, arrays_shapes: Sequence[Shape], axis: int) -> Any:
    start = sum(s[axis] for s in arrays_shapes[:position])
    return xp.getitem(g, key=along(g.shape, axis, start, start + arrays_shapes[position][axis]))


@function(
    name="concat",
    sequence=True,
    jvp="linear",
    batching=along_axes("axis"),
    check=_joined,
    standard=True,
    arrays=_part,
    samples=[
        Sample((2, 3), (1, 3)),
        Sample((2, 3), (2, 1), (2, 2), axis=-1),
        Sample((2, 0), (2, 2), axis=1),
        Fails((2, 3), (3, 2), error=ShapeError, match=r"concat: shapes must agree except along axis 0; got \(2, 3\)"),
    ],
)
def _concat(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """Join tensors along an existing axis; see `concat`."""


@facade(_concat)
def concat(arrays: Sequence[Tensor], /, *, axis: int | None = 0) -> Tensor:
    """Join tensors along an existing axis.

    Parameters
    ----------
    arrays : sequence of Tensor
        Of shapes that agree but for ``axis``. Their types are promoted to one.
    axis : int, optional
        Along which dimension. None joins the flattened tensors.

    Returns
    -------
    Tensor
        Of the common type.

    Raises
    ------
    ShapeError
        If the shapes do not fit, or there are no tensors.
    IndexOutOfRangeError
        If there is no such dimension.
    DTypeError
        If the types have no common one.
    DeviceError
        If tensors are on different devices or backends.

    Notes
    -----
    Differentiable in ``arrays`` (keeps no array).

    Examples
    --------
    >>> import polyad as ad
    >>> ad.concat([ad.zeros(2), ad.ones(1)])
    tensor([0., 0., 1.])
    """
    if axis is None and isinstance(arrays, (list, tuple)):
        arrays, axis = [flatten(x) if isinstance(x, Tensor) else x for x in arrays], 0
    return _concat(arrays, axis=axis)


def _stacked(*shapes: Shape, axis: Any = 0) -> dict[str, Any]:
    for s in shapes[1:]:
        if s != shapes[0]:
            raise ShapeError(f"stack: all tensors must have one shape; got {shapes[0]} and {s}")
    return {"axis": normalize_axis("stack", axis, len(shapes[0]) + 1)}


@function(
    sequence=True,
    jvp="linear",
    batching=along_axes("axis"),
    check=_stacked,
    standard=True,
    arrays=lambda g, xp, position, axis: xp.getitem(g, key=along(g.shape, axis, position)),
    samples=[
        Sample((2, 3), (2, 3)),
        Sample((2, 3), (2, 3), (2, 3), axis=-1),
        Sample((), (), axis=0),
        Fails((2, 3), (3,), error=ShapeError, match=r"stack: all tensors must have one shape; got \(2, 3\)"),
    ],
)
def stack(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.stack([ad.zeros(2), ad.ones(2)])
    tensor([[0., 0.],
            [1., 1.]])
    """


def _as_list(name: str, arrays: Any) -> list[Tensor]:
    if not isinstance(arrays, (list, tuple)) or not arrays:
        raise OperandError(f"{name}: expected a list or tuple of tensors; got {arrays!r:.80}")
    for x in arrays:
        if not isinstance(x, Tensor):
            not_a_tensor(name, "an element", x)
    return list(arrays)


def _stacking(name: str, words: str, prepare: Any, axis: Any, example: str) -> Any:
    """Make ``hstack`` and its like: what each tensor becomes first, and the axis of the first one's shape."""

    def call(arrays: Sequence[Tensor], /) -> Tensor:
        prepared = [prepare(x) for x in _as_list(name, arrays)]
        try:
            return _concat(prepared, axis=axis(prepared[0]))
        except ShapeError as error:
            shapes = " and ".join(str(x.shape) for x in arrays)
            raise ShapeError(f"{name}: {error} (of shapes {shapes})") from None

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"""Join tensors {words}, as in NumPy and PyTorch.

    Parameters
    ----------
    arrays : sequence of Tensor

    Returns
    -------
    Tensor
        Of the common type.

    Raises
    ------
    ShapeError
        If the shapes do not fit.
    OperandError
        If one is no tensor.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}([ad.tensor([1, 2]), ad.tensor([3, 4])]){example}
    """
    return call


hstack = _stacking(
    "hstack",
    "side by side: along axis 1, and vectors along their only one",
    atleast_1d,
    lambda x: min(x.ndim - 1, 1),
    "\n    tensor([1, 2, 3, 4])",
)
vstack = _stacking(
    "vstack",
    "on top of each other: along axis 0, where a vector is a row",
    atleast_2d,
    lambda x: 0,
    "\n    tensor([[1, 2],\n            [3, 4]])",
)
dstack = _stacking(
    "dstack",
    "one behind the other: along axis 2; see `atleast_3d`",
    atleast_3d,
    lambda x: 2,
    "\n    tensor([[[1, 3],\n             [2, 4]]])",
)
column_stack = _stacking(
    "column_stack",
    "side by side, where a vector is a column",
    lambda x: reshape(x, (x.numel(), 1)) if x.ndim < 2 else x,
    lambda x: 1,
    "\n    tensor([[1, 3],\n            [2, 4]])",
)


# Splitting: views ---------------------------------------------------------------------------------------------


@cache
def _splitting(name: str, count: int) -> Function:
    """The record of a split into ``count`` parts, for the graph alone: its views are made one by one."""

    def rule(g: Any, xp: Any, axis: int, lengths: Sequence[int], x_shape: Shape) -> Any:
        like = next(part for part in g if part is not None)  # parts that nothing depends on have none
        shapes = ((*x_shape[:axis], *((n,) if name == "split" else ()), *x_shape[axis + 1 :]) for n in lengths)
        parts = [
            xp.new_full(like, shape=shape, fill_value=0) if part is None else part
            for part, shape in zip(g, shapes, strict=True)
        ]
        return xp.concat(parts, axis=axis) if name == "split" else xp.stack(parts, axis=axis)

    def definition(x: Any, /, *, axis: int, lengths: Sequence[int]) -> Any:
        """Views of all parts of a tensor."""

    return Function(definition, name=name, rules={"x": rule}, outputs=count)


def _parts(name: str, x: Tensor, axis: int, lengths: Sequence[int]) -> tuple[Tensor, ...]:
    """Views of all elements, in parts of some lengths along an axis; of ``unstack`` without that axis.

    Each is the view that ``x[...]`` gives. Where there is history the parts have one node together, so that the
    gradient of ``x`` is put together once, and not added up from as many as there are parts.
    """
    shape, whole = x.shape, name == "split"
    starts = accumulate(lengths, initial=0)
    outs = tuple(
        slice_view(x, key=along(shape, axis, start, start + n if whole else None))
        for start, n in zip(starts, lengths, strict=False)
    )
    edge = node_of(x)
    if edge is not None and len(outs) > 1 and recording():
        made, params = _splitting(name, len(outs)), {"axis": axis, "lengths": tuple(lengths)}
        node = record(made, x._device, (x,), (raw(x),), (edge,), params, None, None)
        for i, out in enumerate(outs):
            out._node = Output(node, i)
    return outs


def unstack(x: Tensor, /, axis: int = 0, *, dim: int | None = None) -> tuple[Tensor, ...]:
    """The slices along an axis, without it: PyTorch's ``unbind``. Views.

    Parameters
    ----------
    x : Tensor
        Of at least 1 dimension.
    axis : int
        Along which dimension; ``dim`` in PyTorch.

    Returns
    -------
    tuple of Tensor
        As many as ``axis`` is long. They share the memory of ``x``.

    Raises
    ------
    IndexOutOfRangeError
        If there is no such dimension.

    Examples
    --------
    >>> import polyad as ad
    >>> first, second = ad.unstack(ad.tensor([[1, 2], [3, 4]]))
    >>> second
    tensor([3, 4])
    """
    at = _axis_of("unstack", x, axis if dim is None else dim)
    return _parts("unstack", x, at, (1,) * x.shape[at])


def _axis_of(name: str, x: Any, axis: Any) -> int:
    if not isinstance(x, Tensor):
        not_a_tensor(name, "x", x)
    return normalize_axis(name, axis, x.ndim)


def _divided(name: str, x: Tensor, where: Any, axis: int, *, evenly: bool) -> tuple[Tensor, ...]:
    """Split as NumPy does: into a number of parts, or before each of some indices."""
    n = x.shape[axis]
    where = where.tolist() if hasattr(where, "tolist") else where
    if not isinstance(where, (list, tuple)):
        count = as_integer(name, "indices_or_sections", where)
        if count < 1:
            raise ArgumentError(f"{name}: the number of parts must be positive; got {count}")
        if evenly and n % count:
            raise ShapeError(
                f"{name}: axis {axis} of shape {x.shape} does not divide into {count} equal parts; write "
                f"tensor_split(x, {count}) for parts that differ by one"
            )
        return _parts("split", x, axis, [n // count + (i < n % count) for i in range(count)])
    ends = [as_integer(name, "an index", i) for i in where]
    bounds = [slice(a, b).indices(n)[:2] for a, b in zip([0, *ends], [*ends, n], strict=True)]
    lengths = [max(b - a, 0) for a, b in bounds]
    if all(a == start for (a, _), start in zip(bounds, accumulate(lengths, initial=0), strict=False)):
        return _parts("split", x, axis, lengths)
    # indices that do not rise: parts overlap
    return tuple(narrow(x, axis, a, length) for (a, _), length in zip(bounds, lengths, strict=True))


def split(x: Tensor, indices_or_sections: Any, /, axis: int = 0) -> tuple[Tensor, ...]:
    """Split along an axis into equal parts, or before indices, as NumPy's ``split``. Views.

    PyTorch's function takes the *length* of the parts; that is the method ``x.split(length)``.

    Parameters
    ----------
    x : Tensor
    indices_or_sections : int or sequence of int
        How many parts; or where new ones begin.
    axis : int

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    ShapeError
        If the axis does not divide into so many equal parts.
    IndexOutOfRangeError
        If there is no such dimension.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.split(ad.arange(6), 3)
    (tensor([0, 1]), tensor([2, 3]), tensor([4, 5]))
    >>> ad.split(ad.arange(6), [1, 4])
    (tensor([0]), tensor([1, 2, 3]), tensor([4, 5]))
    """
    return _divided("split", x, indices_or_sections, _axis_of("split", x, axis), evenly=True)


def split_method(x: Tensor, split_size: Any, dim: int = 0, *, axis: int | None = None) -> tuple[Tensor, ...]:
    """Split into parts of a length, the last one perhaps shorter, or of several lengths, as in PyTorch. Views.

    Parameters
    ----------
    split_size : int or sequence of int
    dim : int

    Raises
    ------
    ShapeError
        If several lengths do not add up to that of the dimension.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.arange(5).split(2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    >>> ad.arange(5).split([1, 4])
    (tensor([0]), tensor([1, 2, 3, 4]))
    """
    at = _axis_of("split", x, dim if axis is None else axis)
    n = x.shape[at]
    if isinstance(split_size, (list, tuple)):
        lengths = [as_integer("split", "a length", length) for length in split_size]
        if sum(lengths) != n or min(lengths, default=0) < 0:
            raise ShapeError(f"split: lengths {lengths} do not add up to {n}, that of dimension {at} of {x.shape}")
        return _parts("split", x, at, lengths)
    length = as_integer("split", "split_size", split_size)
    if length < 1:
        raise ArgumentError(f"split: the length of the parts must be positive; got {length}")
    return _parts("split", x, at, [min(length, n - i) for i in range(0, n, length)] or [0])


def chunk(x: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Split into at most ``chunks`` parts of one length, the last one perhaps shorter, as in PyTorch. Views.

    Parameters
    ----------
    x : Tensor
    chunks : int
    dim : int

    Returns
    -------
    tuple of Tensor
        See `tensor_split` for exactly as many parts.

    Raises
    ------
    ArgumentError
        If ``chunks`` is not positive.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.chunk(ad.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    at, count = _axis_of("chunk", x, dim), as_integer("chunk", "chunks", chunks)
    if count < 1:
        raise ArgumentError(f"chunk: the number of parts must be positive; got {count}")
    n = x.shape[at]
    length = -(-n // count)
    return _parts("split", x, at, [min(length, n - i) for i in range(0, n, length)] if n else [0] * count)


def tensor_split(x: Tensor, indices_or_sections: Any, dim: int = 0, *, axis: int | None = None) -> tuple[Tensor, ...]:
    """Split into parts whose lengths differ by one at most, or before indices: NumPy's ``array_split``. Views.

    Parameters
    ----------
    x : Tensor
    indices_or_sections : int or sequence of int
        How many parts; or where new ones begin.
    dim : int
        Along which dimension; ``axis`` in NumPy.

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    ArgumentError
        If the number of parts is not positive.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor_split(ad.arange(5), 3)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    at = _axis_of("tensor_split", x, dim if axis is None else axis)
    return _divided("tensor_split", x, indices_or_sections, at, evenly=False)


def _splitter(name: str, axis: int, words: str, example: str) -> Any:
    def call(x: Tensor, indices_or_sections: Any, /) -> tuple[Tensor, ...]:
        if not isinstance(x, Tensor):
            not_a_tensor(name, "x", x)
        least = axis + 1 if axis != 1 else 1
        if x.ndim < least:
            raise ShapeError(f"{name}: expected at least {least} dimensions; got shape {x.shape}")
        return _divided(name, x, indices_or_sections, min(axis, x.ndim - 1), evenly=True)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"""Split {words}, as in NumPy and PyTorch: see `split`. Views.

    Parameters
    ----------
    x : Tensor
    indices_or_sections : int or sequence of int
        How many parts; or where new ones begin.

    Returns
    -------
    tuple of Tensor

    Raises
    ------
    ShapeError
        If there are too few dimensions, or no equal parts.

    Examples
    --------
    >>> import polyad as ad
    >>> {example}
    """
    return call


hsplit = _splitter(
    "hsplit",
    1,
    "into columns, along axis 1, or a vector",
    "[y.shape for y in ad.hsplit(ad.zeros((2, 4)), 2)]\n    [(2, 2), (2, 2)]",
)
vsplit = _splitter(
    "vsplit", 0, "into rows, along axis 0", "[y.shape for y in ad.vsplit(ad.zeros((2, 4)), 2)]\n    [(1, 4), (1, 4)]"
)
dsplit = _splitter(
    "dsplit", 2, "along axis 2", "[y.shape for y in ad.dsplit(ad.zeros((1, 2, 4)), [1])]\n    [(1, 2, 1), (1, 2, 3)]"
)


def narrow(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    """``length`` elements from ``start`` on along a dimension, as in PyTorch. A view.

    Parameters
    ----------
    x : Tensor
    dim : int
    start : int
        Counted from the end if negative.
    length : int

    Returns
    -------
    Tensor

    Raises
    ------
    IndexOutOfRangeError
        If the dimension has no such elements.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.narrow(ad.arange(5), 0, 1, 3)
    tensor([1, 2, 3])
    """
    at = _axis_of("narrow", x, dim)
    n = x.shape[at]
    first, count = as_integer("narrow", "start", start), as_integer("narrow", "length", length)
    first += n if first < 0 else 0
    if first < 0 or count < 0 or first + count > n:
        raise IndexOutOfRangeError(
            f"narrow: {length} elements from {start} on are out of range for dimension {at} of length {n}, shape "
            f"{x.shape}"
        )
    return slice_view(x, key=along(x.shape, at, first, first + count))


def select(x: Tensor, dim: int, index: int) -> Tensor:
    """The slice at one index of a dimension, without it, as in PyTorch. A view.

    Parameters
    ----------
    x : Tensor
    dim : int
    index : int
        Counted from the end if negative.

    Returns
    -------
    Tensor

    Raises
    ------
    IndexOutOfRangeError
        If there is no such dimension or index.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.select(ad.tensor([[1, 2], [3, 4]]), 1, 0)
    tensor([1, 3])
    """
    at = _axis_of("select", x, dim)
    n, i = x.shape[at], as_integer("select", "index", index)
    if not -n <= i < n:
        raise IndexOutOfRangeError(
            f"select: index {i} is out of range for dimension {at} of length {n}, shape {x.shape}"
        )
    return slice_view(x, key=along(x.shape, at, i % n))


# Putting in and taking out ------------------------------------------------------------------------------------


def append(x: Tensor, values: Any, /, axis: int | None = None) -> Tensor:
    """Join values to the end along an axis, as NumPy's ``append``. A new tensor.

    Parameters
    ----------
    x : Tensor
    values : Tensor, number or list
        Of a shape that agrees but for ``axis``.
    axis : int, optional
        Without it both are flattened.

    Returns
    -------
    Tensor
        Of the common type.

    Raises
    ------
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.append(ad.tensor([1, 2]), [3, 4])
    tensor([1, 2, 3, 4])
    """
    if not isinstance(x, Tensor):
        not_a_tensor("append", "x", x)
    values = values if isinstance(values, Tensor) else asarray(values, device=x._device)
    return concat([x, values], axis=axis)


def _removed(name: str, x: Tensor, where: Any, axis: int) -> Tensor:
    """A mask of the elements along an axis but those at some indices."""
    rest = ones((x.shape[axis],), dtype="bool", device=x._device)
    try:
        rest[where] = False
    except IndexOutOfRangeError as error:
        raise IndexOutOfRangeError(f"{name}: along axis {axis} of shape {x.shape}: {error}") from None
    return rest


def _flat_unless(name: str, x: Any, axis: int | None) -> tuple[Tensor, int]:
    """A tensor and the axis to work along: that of the flattened tensor without one."""
    if axis is not None:
        return x, _axis_of(name, x, axis)
    if not isinstance(x, Tensor):
        not_a_tensor(name, "x", x)
    return flatten(x), 0


def delete(x: Tensor, obj: Any, /, axis: int | None = None) -> Tensor:
    """Leave out elements along an axis, as NumPy's ``delete``. A new tensor.

    Parameters
    ----------
    x : Tensor
    obj : int, slice, list or Tensor of int, or mask
        Which elements.
    axis : int, optional
        Without it ``x`` is flattened.

    Returns
    -------
    Tensor

    Raises
    ------
    IndexOutOfRangeError
        If an index is out of range.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.delete(ad.tensor([1, 2, 3, 4]), [0, 2])
    tensor([2, 4])
    """
    x, at = _flat_unless("delete", x, axis)
    return x[(slice(None),) * at + (_removed("delete", x, obj, at),)]


def insert(x: Tensor, obj: Any, values: Any, /, axis: int | None = None) -> Tensor:
    """Put values before indices along an axis, as NumPy's ``insert``. A new tensor.

    Parameters
    ----------
    x : Tensor
    obj : int or sequence of int
        Before which elements. All values go before one index.
    values : Tensor, number or list
        What fits, or broadcasts, into the result at the new places; brought to the type of ``x``.
    axis : int, optional
        Without it ``x`` is flattened.

    Returns
    -------
    Tensor
        Of the type of ``x``.

    Raises
    ------
    IndexOutOfRangeError
        If an index is out of range.
    ShapeError
        If the values do not fit.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.insert(ad.tensor([1, 2, 3]), 1, 7)
    tensor([1, 7, 2, 3])
    >>> ad.insert(ad.tensor([[1, 2], [3, 4]]), [0, 2], 0, axis=1)
    tensor([[0, 1, 2, 0],
            [0, 3, 4, 0]])
    """
    x, at = _flat_unless("insert", x, axis)
    values = value_for(x, values, "insert")
    obj = obj.tolist() if hasattr(obj, "tolist") else obj
    n = x.shape[at]
    places = [as_integer("insert", "an index", i) for i in (obj if isinstance(obj, (list, tuple)) else (obj,))]
    for i in places:
        if not -n <= i <= n:
            raise IndexOutOfRangeError(
                f"insert: index {i} is out of range for axis {at} of length {n}; valid: -{n} to {n}"
            )
    places = [i + n if i < 0 else i for i in places]
    if len(places) == 1:
        values = reshape(values, (1,) * (x.ndim - values.ndim) + values.shape)
        if not isinstance(obj, (list, tuple)):  # the values' first axis is that of insertion
            values = moveaxis(values, 0, at)
        places *= values.shape[at]
    order = sorted(range(len(places)), key=places.__getitem__)
    new = [0] * len(places)
    for before, i in enumerate(order):
        new[i] = places[i] + before
    shape = (*x.shape[:at], n + len(new), *x.shape[at + 1 :])
    out: Tensor = FUNCTIONS["new_full"].call(x, shape, 0)
    front = (slice(None),) * at
    if new:
        out[(*front, new)] = values
    out[(*front, _removed("insert", out, new, at))] = x
    return out
