"""Arrays from several, and several from one: concatenating, stacking, splitting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..dispatch import function
from ..errors import OperandError, ShapeError
from ..function import Fails, Sample
from ..keys import along
from ..tensor import Tensor
from .arguments import Shape, normalize_axis

__all__ = [
    "concat",
    "stack",
]


def _joined(*shapes: Shape, axis: Any = 0) -> dict[str, Any]:
    first = shapes[0]
    if axis is None:
        raise OperandError("concat: axis=None flattens, which concat does not; write concat([x.reshape(-1), ...])")
    axis = normalize_axis("concat", axis, len(first))
    for s in shapes[1:]:
        if len(s) != len(first) or any(a != b for i, (a, b) in enumerate(zip(s, first, strict=True)) if i != axis):
            raise ShapeError(f"concat: shapes must agree except along axis {axis}; got {first} and {s}")
    return {"axis": axis}


def _part(g: Any, xp: Any, position: int, arrays_shapes: Sequence[Shape], axis: int) -> Any:
    start = sum(s[axis] for s in arrays_shapes[:position])
    return xp.getitem(g, key=along(g.shape, axis, start, start + arrays_shapes[position][axis]))


@function(
    sequence=True,
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
def concat(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """Join tensors along an existing axis.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.concat([ad.zeros(2), ad.ones(1)])
    tensor([0., 0., 1.])
    """


def _stacked(*shapes: Shape, axis: Any = 0) -> dict[str, Any]:
    for s in shapes[1:]:
        if s != shapes[0]:
            raise ShapeError(f"stack: all tensors must have one shape; got {shapes[0]} and {s}")
    return {"axis": normalize_axis("stack", axis, len(shapes[0]) + 1)}


@function(
    sequence=True,
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
