"""What a key gives, and how reading, writing and adding at keys is computed for many examples at once.

The examples are one dimension more. Where index arrays are the same for all examples, it is a slice of everything;
where they differ, an index array of its own that counts the examples. Either way the result may have it elsewhere than
in front, by the rule of where what index arrays give stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..batching import aligned, in_front
from ..careful import broadcast_shapes
from ..function import FUNCTIONS, Function
from ..keys import ARRAY, Key, Slice
from .arguments import Shape

__all__ = ["adding", "reading", "result_shape", "writing"]


def _arrays_at(key: Key) -> int | None:
    """At which dimension of the result that of the index arrays begins; None if they are apart: then in front.

    Beside index arrays, a number is one too.
    """
    places = [i for i, e in enumerate(key) if e is ARRAY or type(e) is int]
    return places[0] if places[-1] - places[0] == len(places) - 1 else None


def result_shape(shape: Shape, key: Key, arrays: Sequence[Any]) -> Shape:
    """Shape of ``x[key]``: index arrays stand together, at the first's place or, if apart, in front."""
    result = [e.length if type(e) is Slice else 1 for e in key if type(e) is Slice or e is None]
    result += shape[sum(e is not None for e in key) :]
    if arrays:
        at = _arrays_at(key) or 0
        result[at:at] = broadcast_shapes("index", [a.shape for a in arrays])
    return tuple(result)


class _Keyed:
    """A key and its index arrays for many examples.

    Attributes
    ----------
    key : Key
    indices : list of Tensor
    order : tuple of int
        Which dimensions of what the key gives are the examples', and then those of one example's result.
    """

    def __init__(
        self, size: int, like: Any, key: Key, indices: Sequence[Any], batched: Sequence[bool], ndim: int
    ) -> None:
        """Begin with what is indexed, or ``None`` if it is the same for all examples, and the rank of one result."""
        count = max((len(a.shape) - b for a, b in zip(indices, batched, strict=True)), default=0)
        at = _arrays_at(key) if indices else 0
        self.indices = aligned(indices, batched, [0] * len(indices)) if True in batched else list(indices)
        if True not in batched:
            self.key: Key = (Slice(0, size, 1), *key)
            self.order = _first(count if at is None else 0, ndim)
        elif like is None:
            self.key = key
            self.order = _first(at or 0, ndim)
        else:
            self.key = (ARRAY, *key)
            examples = FUNCTIONS["arange"].call(size, device=like.device)
            self.indices.insert(0, FUNCTIONS["reshape"].call(examples, (size, *(1,) * count)))
            # there is a slice between the examples and the other index arrays, unless these are in front or apart
            at = at or 0
            self.order = (0, *range(count + 1, count + at + 1), *range(1, count + 1), *range(count + at + 1, ndim + 1))

    def read(self, x: Any) -> Any:
        """Put the examples of what the key gave in front."""
        return x if self.order == tuple(range(len(self.order))) else FUNCTIONS["permute_dims"].call(x, self.order)

    def written(self, value: Any, batched: bool) -> Any:
        """Bring a value, of a shape that broadcasts to one example's result, to what the key gives."""
        if not hasattr(value, "shape"):
            return value
        own = value.shape[batched:]
        ones = (1,) * (len(self.order) - 1 - len(own))
        value = FUNCTIONS["reshape"].call(value, (value.shape[0] if batched else 1, *ones, *own))
        if self.order == tuple(range(len(self.order))):
            return value
        inverse = sorted(range(len(self.order)), key=self.order.__getitem__)
        return FUNCTIONS["permute_dims"].call(value, tuple(inverse))


def _first(axis: int, ndim: int) -> tuple[int, ...]:
    """The order of ``ndim`` dimensions and one more that brings one of them to the front."""
    return (axis, *range(axis), *range(axis + 1, ndim + 1))


def _result_rank(shape: Shape, key: Key, indices: Sequence[Any], batched: Sequence[bool]) -> int:
    """The number of dimensions of what a key gives for one example."""
    count = max((len(a.shape) - b for a, b in zip(indices, batched, strict=True)), default=0)
    kept = sum(type(e) is Slice or e is None for e in key)
    return count + kept + len(shape) - sum(e is not None for e in key)


def reading(made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    """Read at a key: the batching rule of ``getitem`` and ``slice_view``."""
    x, *indices = arrays
    key, varies = params["key"], batched[0]
    ndim = _result_rank(x.shape[varies:], key, indices, batched[1:])
    keyed = _Keyed(size, x if varies else None, key, indices, batched[1:], ndim)
    return keyed.read(made.call(x, *keyed.indices, key=keyed.key))


def writing(made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    """Write at a key: the batching rule of ``setitem``."""
    x, value, *indices = arrays
    x, key = in_front(x, size, batched[0]), params["key"]
    ndim = _result_rank(x.shape[1:], key, indices, batched[2:])
    keyed = _Keyed(size, x, key, indices, batched[2:], ndim)
    return made.call(x, keyed.written(value, batched[1]), *keyed.indices, key=keyed.key)


def adding(made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    """Add at a key to zeros: the batching rule of ``index_scatter``."""
    g, *indices = arrays
    g, key, shape = in_front(g, size, batched[0]), params["key"], params["shape"]
    ndim = _result_rank(shape, key, indices, batched[1:])
    keyed = _Keyed(size, g, key, indices, batched[1:], ndim)
    return made.call(keyed.written(g, True), *keyed.indices, key=keyed.key, shape=(size, *shape))
