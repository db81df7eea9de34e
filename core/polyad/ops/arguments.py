"""What shapes and axes may be given as, brought to one form for all functions."""

from __future__ import annotations

from typing import Any

from ..errors import IndexOutOfRangeError, OperandError, ShapeError

__all__ = ["Axis", "Shape", "as_integer", "as_shape", "normalize_axes", "normalize_axis"]

Shape = tuple[int, ...]
Axis = int | tuple[int, ...] | None


def as_integer(name: str, argument: str, value: Any) -> int:
    """A parameter that counts: an integer of any library.

    Raises
    ------
    OperandError
        If it is none.
    """
    try:
        return int(value.__index__())
    except (AttributeError, TypeError):
        raise OperandError(f"{name}: {argument} must be an integer; got {value!r:.60}") from None


def as_shape(name: str, shape: Any) -> Shape:
    """A shape given as an integer, a sequence, or the arguments themselves: ``(2, 3)``, ``((2, 3),)``.

    Raises
    ------
    OperandError
        If it is no sequence of integers.
    """
    if isinstance(shape, (tuple, list)) and len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    if not isinstance(shape, (tuple, list)):
        shape = (shape,)
    try:
        return tuple(n if type(n) is int else n.__index__() for n in shape)
    except (AttributeError, TypeError):
        raise OperandError(f"{name}: a shape is a tuple of integers; got {shape!r}") from None


def normalize_axis(name: str, axis: Any, ndim: int) -> int:
    """An axis counted from the front.

    Raises
    ------
    IndexOutOfRangeError
        With the valid range.
    """
    try:
        axis = axis.__index__()
    except (AttributeError, TypeError):
        raise OperandError(f"{name}: axis must be an integer; got {axis!r}") from None
    if not -ndim <= axis < ndim:
        valid = f"-{ndim} to {ndim - 1}" if ndim else "none, since the tensor is 0-d"
        raise IndexOutOfRangeError(f"{name}: axis {axis} is out of range for {ndim} dimensions; valid: {valid}")
    return int(axis % ndim)


def normalize_axes(name: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes counted from the front, in order; all of them for None."""
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, (tuple, list)):
        axes = [normalize_axis(name, a, ndim) for a in axis]
        if len(set(axes)) != len(axes):
            raise ShapeError(f"{name}: axis {tuple(axis)} names a dimension twice")
        return tuple(sorted(axes))
    return (normalize_axis(name, axis, ndim),)
