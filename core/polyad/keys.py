"""Keys: the one form that indices are brought to before kernels see them.

A key is a tuple with for each dimension an int, a `Slice` or `ARRAY`, and None for new dimensions. Keys can be hashed;
index arrays travel beside them, in order, for the places marked `ARRAY`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

__all__ = ["ARRAY", "Key", "Slice", "along", "cut", "plain_key", "python_key"]


class Slice(NamedTuple):
    """A slice with its bounds made explicit: ``length`` elements from ``start``, ``step`` apart."""

    start: int
    length: int
    step: int

    def python(self) -> slice:
        """Give the slice in Python's own form."""
        if not self.length:
            return slice(0, 0, 1)
        # the standard leaves open what a slice does that stops further than one place behind its last element
        stop = self.start + (self.length - 1) * self.step + (1 if self.step > 0 else -1)
        return slice(self.start, stop if stop >= 0 else None, self.step)


class _Array:
    """Marks the place of an index array in a key."""

    def __repr__(self) -> str:
        return "ARRAY"


ARRAY: Final = _Array()
Key = tuple[Any, ...]


def python_key(key: Key, arrays: Sequence[Any] = ()) -> tuple[Any, ...]:
    """A key in the form that array libraries take between brackets.

    It ends in an ellipsis, so that even one element comes out as an array.
    """
    if not arrays:
        return plain_key(key)
    rest = iter(arrays)
    return (
        *[e.python() if type(e) is Slice else next(rest) if e is ARRAY else e for e in key],
        Ellipsis,
    )


@lru_cache(maxsize=4096)
def plain_key(key: Key) -> tuple[Any, ...]:
    """The same of a key without arrays; remembered."""
    return (*[e.python() if type(e) is Slice else e for e in key], Ellipsis)


def along(shape: Sequence[int], axis: int, start: int, stop: int | None = None) -> Key:
    """The key of ``start:stop`` along one axis, or of ``start`` alone, and of everything along the others."""
    full = tuple(Slice(0, n, 1) for n in shape[:axis])
    return (*full, start if stop is None else Slice(start, stop - start, 1))


def cut(x: Any, axis: int, start: int | None = None, stop: int | None = None, step: int | None = None) -> Any:
    """``x[start:stop:step]`` along one axis, of raw arrays and of tensors."""
    if stop is not None:
        stop = min(stop, x.shape[axis])  # the standard leaves open what is beyond
    return x[(*(slice(None),) * axis, slice(start, stop, step), ...)]
