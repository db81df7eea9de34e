"""Reading and writing at keys in the standard's functions alone, for libraries that do not say how they do it.

The standard indexes with numbers and slices, and takes along one axis. So the dimensions that have index arrays are
brought to the front and joined to one, and rows of that are read, replaced or added to. Backends have kernels of their
own where the library can do more: rows that are added to here take a pass for each time the most frequent one repeats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..keys import ARRAY, Key, Slice, python_key

__all__ = ["add", "put", "read"]


def read(xp: Any, x: Any, indices: Sequence[Any], key: Key) -> Any:
    """Elements at a key."""
    if ARRAY not in key:
        return x[python_key(key)]
    rows = _Rows(xp, x.shape, indices, key)
    return rows.back(xp.take(rows.front(x), rows.numbers, axis=0))


def put(xp: Any, x: Any, value: Any, indices: Sequence[Any], key: Key) -> Any:
    """``x`` with the elements at a key replaced; where an index repeats, by the last."""
    if not hasattr(value, "shape"):
        value = xp.full((), value, dtype=x.dtype)
    if ARRAY not in key:
        x = xp.asarray(x, copy=True)
        if None in key:  # the standard writes to dimensions that are there only
            value = xp.broadcast_to(value, x[python_key(key)].shape)
            key = tuple(e for e in key if e is not None)
            value = xp.reshape(value, x[python_key(key)].shape)
        x[python_key(key)] = value
        return x
    rows = _Rows(xp, x.shape, indices, key)
    old, new = rows.front(x), rows.forth(xp.broadcast_to(value, rows.result))
    if not rows.numbers.shape[0]:
        return x
    order, first, end = rows.sorted(old.shape[0])
    last = xp.take(order, xp.where(end > first, end - 1, 0))
    old = xp.where(rows.each(end > first), xp.take(new, last, axis=0), old)
    return put(xp, x, rows.unfront(old), (), rows.plain)


def add(xp: Any, g: Any, indices: Sequence[Any], key: Key, shape: tuple[int, ...]) -> Any:
    """Zeros of ``shape`` with ``g`` added at a key; where an index repeats, all are added."""
    out = xp.zeros(shape, dtype=g.dtype)
    if ARRAY not in key:
        return put(xp, out, g, (), key)
    rows = _Rows(xp, shape, indices, key)
    new, total = rows.forth(xp.broadcast_to(g, rows.result)), rows.front(out)
    if not rows.numbers.shape[0]:
        return out
    order, first, end = rows.sorted(total.shape[0])
    for again in range(int(xp.max(end - first))):
        there = first + again < end
        found = xp.take(new, xp.take(order, xp.where(there, first + again, 0)), axis=0)
        total = total + xp.where(rows.each(there), found, xp.zeros_like(found))
    return put(xp, out, rows.unfront(total), (), rows.plain)


class _Rows:
    """The dimensions of an array that a key has index arrays for, as rows of a table in front of all others.

    Attributes
    ----------
    numbers : array
        Of one dimension: which rows the index arrays name.
    result : tuple of int
        The shape of what the key gives.
    plain : Key
        The key without its arrays: everything along those dimensions.
    """

    def __init__(self, xp: Any, shape: Sequence[int], indices: Sequence[Any], key: Key) -> None:
        self.xp = xp
        key = (*key, *(Slice(0, n, 1) for n in shape[sum(e is not None for e in key) :]))
        rest, lengths = iter(indices), iter(shape)
        self.plain: Key = ()
        self.lengths: tuple[int, ...] = ()  # of the array read at `plain`
        self.places: tuple[int, ...] = ()  # of the indexed dimensions among these
        arrays: list[Any] = []
        for place, e in enumerate(key):
            n = 1 if e is None else next(lengths)
            if e is ARRAY or type(e) is int:  # beside index arrays, a number is one too
                found = xp.astype(next(rest), xp.int64) if e is ARRAY else xp.full((), e, dtype=xp.int64)
                arrays.append(xp.where(found < 0, found + n, found))
                self.places += (place,)
                self.plain += (Slice(0, n, 1),)
            else:
                self.plain += (e,)
                n = e.length if type(e) is Slice else 1
            self.lengths += (n,)
        self.order = (*self.places, *(i for i in range(len(self.lengths)) if i not in self.places))
        numbers = arrays[0]
        for a, place in zip(arrays[1:], self.places[1:], strict=True):
            numbers = numbers * self.lengths[place] + a
        self.common: tuple[int, ...] = tuple(numbers.shape)
        self.numbers = xp.reshape(numbers, (-1,))
        self.others = tuple(self.lengths[i] for i in self.order[len(self.places) :])
        together = self.places[-1] - self.places[0] == len(self.places) - 1
        self.at = self.places[0] if together else 0
        self.result = (*self.others[: self.at], *self.common, *self.others[self.at :])

    def front(self, x: Any) -> Any:
        """The table of an array."""
        found = self.xp.permute_dims(x[python_key(self.plain)], self.order)
        return self.xp.reshape(found, (math.prod(self.lengths[i] for i in self.places), *self.others))

    def unfront(self, table: Any) -> Any:
        """What `front` began with, read at `plain`."""
        found = self.xp.reshape(table, tuple(self.lengths[i] for i in self.order))
        return self.xp.permute_dims(found, tuple(sorted(range(len(self.order)), key=self.order.__getitem__)))

    def back(self, rows: Any) -> Any:
        """Rows in the shape of the result."""
        found = self.xp.reshape(rows, (*self.common, *self.others))
        k, n = len(self.common), self.at
        return self.xp.permute_dims(found, (*range(k, k + n), *range(k), *range(k + n, len(found.shape))))

    def forth(self, value: Any) -> Any:
        """The result's elements as rows."""
        k, n = len(self.common), self.at
        found = self.xp.permute_dims(value, (*range(n, n + k), *range(n), *range(n + k, len(value.shape))))
        return self.xp.reshape(found, (math.prod(self.common), *self.others))

    def each(self, mask: Any) -> Any:
        """One truth value a row, in a shape that broadcasts against the table."""
        return self.xp.reshape(mask, (-1, *(1 for _ in self.others)))

    def sorted(self, count: int) -> tuple[Any, Any, Any]:
        """The order that sorts `numbers`, and for each row of the table where it begins and ends in that order."""
        order = self.xp.argsort(self.numbers)
        ranked, every = self.xp.take(self.numbers, order), self.xp.arange(count, dtype=self.xp.int64)
        first, end = (self.xp.searchsorted(ranked, every, side=side) for side in ("left", "right"))
        return order, first, end
