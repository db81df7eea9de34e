"""Products for many examples at once: as few and as large products of matrices as there can be.

A stack of products of a matrix with a vector is one product of two matrices where the examples share one of them. So no
array that they share is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from ..batching import aligned, looped, to_front
from ..function import TENSORS, Function

__all__ = ["contraction_batched", "convolution_batched", "matmul_batched"]


def matmul_batched(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    """Products of matrices, of which one or the other may be a vector, or the same for all examples."""
    (a, b), call = arrays, made.call
    first, second = a.ndim - batched[0], b.ndim - batched[1]  # of one example
    if all(batched):
        return _both(call, a, b, first, second)
    if batched[0]:
        if second <= 2:
            return call(a, b)  # vectors are the rows of one matrix
        return to_front(call(a, b), b.ndim - 2) if first == 1 else call(*aligned(arrays, batched, (2, 2)))
    if second == 1:
        if first <= 2:
            return call(b, a if first == 1 else a.mT)
        return to_front(call(a, b.mT), a.ndim - 1)
    return call(a, b) if first == 1 else call(*aligned(arrays, batched, (2, 2)))


def _both(call: Any, a: Any, b: Any, first: int, second: int) -> Any:
    """Where both differ from example to example, vectors are matrices of one row or one column."""
    size, shape, other = a.shape[0], a.shape, b.shape
    if first == 1:
        a = TENSORS.reshape(a, (size, *(1,) * max(second - 1, 1), shape[1]))
    if second == 1:
        b = TENSORS.reshape(b, (size, *(1,) * max(first - 2, 0), other[1], 1))
    if first > 1 and second > 1:
        a, b = aligned((a, b), (True, True), (2, 2))
    found = call(a, b)
    gone = ((found.ndim - 2,) if first == 1 else ()) + ((found.ndim - 1,) if second == 1 else ())
    return TENSORS.reshape(found, tuple(n for i, n in enumerate(found.shape) if i not in gone)) if gone else found


_SPARE: Final = [chr(c) for c in range(0x400, 0x460)]
"""Letters that nobody else writes: one for each level of examples in an example."""


@lru_cache(maxsize=1024)
def _of_examples(subscripts: str, first: bool, second: bool) -> str:
    """Subscripts with a letter for the examples."""
    inputs, out = subscripts.split("->")
    a, b = inputs.split(",")
    c = next(c for c in _SPARE if c not in subscripts)
    return f"{c * first}{a},{c * second}{b}->{c}{out}"


def contraction_batched(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    """Contractions of pairs: the examples are a letter more."""
    return made.call(*arrays, subscripts=_of_examples(params["subscripts"], *batched))


_SHORT: Final = 32
"""Up to this length of the shorter sequence, sums of shifted sequences are faster than a call for each example."""


def convolution_batched(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    """Convolutions of pairs of sequences, which libraries have for one pair only."""
    long, short = arrays if arrays[0].shape[-1] >= arrays[1].shape[-1] else reversed(arrays)
    n, m = long.shape[-1], short.shape[-1]
    if m > _SHORT:
        return looped(made, size, arrays, batched, params)  # each is work enough for a call
    xp = TENSORS
    start, length = {"full": (0, n + m - 1), "same": ((m - 1) // 2, n), "valid": (m - 1, n - m + 1)}[params["mode"]]
    padded = xp.pad(long, ((0, 0),) * (long.ndim - 1) + ((m - 1, m - 1),))
    total: Any = None
    for i in range(m):
        at = m - 1 - i + start
        part = padded[..., at : at + length] * short[..., i : i + 1]
        total = part if total is None else total + part
    return total
