"""Sliding windows: `unfold`, a view in which elements may stand several times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..batching import along
from ..dispatch import function
from ..errors import ArgumentError, IndexOutOfRangeError, OperandError, ShapeError
from ..function import XP, Fails, Function, Sample
from ..keys import ARRAY, Slice
from ..layouts import Layout
from ..tensor import Tensor
from ..views import View
from .arguments import Shape, as_integer, normalize_axis

__all__ = [
    "unfold",
]


def _count(n: int, size: int, step: int) -> int:
    """How many windows fit into a length."""
    return (n - size) // step + 1


def _checked(shape: Shape, *, axis: Any, size: Any, step: Any) -> dict[str, Any]:
    axis = normalize_axis("unfold", axis, len(shape))
    size, step = as_integer("unfold", "size", size), as_integer("unfold", "step", step)
    if not 0 <= size <= shape[axis]:
        raise ShapeError(
            f"unfold: windows of size {size} do not fit into dimension {axis} of shape {shape}; expected 0 to "
            f"{shape[axis]}"
        )
    if step <= 0:
        raise ArgumentError(f"unfold: step must be 1 or more; got {step}")
    return {"axis": axis, "size": size, "step": step}


def _windows(shape: Shape, axis: int, size: int, step: int) -> Shape:
    """The shape of all windows."""
    return (*shape[:axis], _count(shape[axis], size, step), *shape[axis + 1 :], size)


def _layout(x: Layout, *, axis: int, size: int, step: int) -> Layout:
    strides = (*x.strides[:axis], x.strides[axis] * step, *x.strides[axis + 1 :], x.strides[axis])
    return Layout(_windows(x.shape, axis, size, step), strides, x.offset)


def _places(xp: Any, count: int, size: int, step: int) -> Any:
    """Where each element of each window is along the axis, window after window."""
    first = xp.reshape(xp.arange(count, dtype=xp.int64) * step, (count, 1))
    return xp.reshape(first + xp.arange(size, dtype=xp.int64), (count * size,))


def _key(shape: Shape, axis: int) -> tuple[Any, ...]:
    return (*(Slice(0, n, 1) for n in shape[:axis]), ARRAY)


def _folded_examples(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    return made.call(arrays[0], **{**params, "shape": (size, *params["shape"]), "axis": params["axis"] + 1})


@function(
    name="_fold",
    takes="numeric",
    check=lambda windows, *, shape, axis, size, step: {"shape": shape, "axis": axis, "size": size, "step": step},
    jvp="linear",
    batching=_folded_examples,
    x=lambda g, xp, axis, size, step: xp.unfold(g, axis=axis, size=size, step=step),
    samples=[
        Sample((3, 2, 3), shape=(5, 2), axis=0, size=3, step=1),
        Sample((2, 2, 2), shape=(2, 4), axis=1, size=2, step=2),
    ],
)
def _fold(xp: XP, x: Tensor, /, shape: Shape, axis: int, size: int, step: int) -> Tensor:
    """Windows added up where they overlap, in a tensor of ``shape``: the transpose of `unfold`.

    Examples
    --------
    >>> from polyad.function import FUNCTIONS
    >>> import polyad as ad
    >>> FUNCTIONS["_fold"].call(ad.ones(3, 2), shape=(4,), axis=0, size=2, step=1)
    tensor([1., 2., 2., 1.])
    """
    last, count = len(shape), x.shape[axis]
    x = xp.permute_dims(x, axes=(*range(axis + 1), last, *range(axis + 1, last)))
    x = xp.reshape(x, (*shape[:axis], count * size, *shape[axis + 1 :]))
    return xp.index_scatter(x, _places(xp, count, size, step), key=_key(shape, axis), shape=shape)  # type: ignore[no-any-return]


@function(
    check=_checked,
    jvp="linear",
    batching=along("axis"),
    view=View(None, _layout),
    x=lambda g, xp, x_shape, axis, size, step: xp._fold(g, shape=x_shape, axis=axis, size=size, step=step),
    samples=[
        Sample((7,), axis=0, size=3, step=2),
        Sample((2, 5, 2), axis=1, size=2, step=1),
        Sample((2, 6), axis=-1, size=3, step=3),
        Sample((3, 2), axis=0, size=3, step=5),
        Sample((3, 0), axis=0, size=2, step=1),
        Fails(
            (2, 3), axis=1, size=4, step=1, error=ShapeError, match=r"size 4 do not fit into dimension 1 of .*0 to 3"
        ),
        Fails((2, 3), axis=1, size=2, step=0, error=ArgumentError, match="unfold: step must be 1 or more; got 0"),
        Fails(
            (3,), axis=1, size=2, step=1, error=IndexOutOfRangeError, match="unfold: axis 1 is out of range for 1 dim"
        ),
        Fails((3,), axis=0, size=1.5, step=1, error=OperandError, match="unfold: size must be an integer; got 1.5"),
    ],
)
def unfold(xp: XP, x: Tensor, /, axis: int, size: int, step: int) -> Tensor:
    """All windows of ``size`` elements along a dimension, ``step`` apart, along a new last dimension. A view.

    Where windows overlap it cannot be written. NumPy's ``sliding_window_view`` is that with a step of 1.

    Parameters
    ----------
    x : Tensor
        Of any type, with at least one dimension.
    axis : int
        Which dimension; negative ones count from the last.
    size : int
        Length of a window.
    step : int
        How far apart windows begin.

    Returns
    -------
    Tensor
        Of shape ``(*x.shape, size)``, in which dimension ``axis`` has ``(x.shape[axis] - size) // step + 1`` windows.

    Raises
    ------
    ShapeError
        If windows are longer than the dimension.
    ArgumentError
        If ``step`` is not positive.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.unfold(ad.arange(5), 0, size=3, step=1)
    tensor([[0, 1, 2],
            [1, 2, 3],
            [2, 3, 4]])
    >>> ad.arange(6).unfold(0, 2, 2).sum(-1)
    tensor([1, 5, 9])
    """
    shape = tuple(x.shape)
    count = _count(shape[axis], size, step)
    found = xp.getitem(x, _places(xp, count, size, step), key=_key(shape, axis))
    found = xp.reshape(found, (*shape[:axis], count, size, *shape[axis + 1 :]))
    order = [i for i in range(len(shape) + 1) if i != axis + 1]
    return xp.permute_dims(found, axes=(*order, axis + 1))  # type: ignore[no-any-return]
