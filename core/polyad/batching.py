"""How functions are computed for many examples at once: what a record's ``batching`` may be.

A batching rule is a function ``rule(made, size, arrays, batched, params)``. It gets the record, the number of examples,
the arrays as tensors, of which those that are ``batched`` have the examples along a first axis more than the function
means, and the function's parameters. It gives the result, or a tuple of results, with such an axis in front, or
``NotImplemented`` to have the body run instead. Each array may also be a number, or None.

Elementwise functions need none. Neither does a function with a body in terms of others, but one is often faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .errors import TransformError
from .function import FUNCTIONS, Function

__all__ = [
    "BatchingRule",
    "aligned",
    "along",
    "data_dependent",
    "elementwise",
    "in_front",
    "looped",
    "materialized",
    "stacked",
    "to_front",
]

BatchingRule = Callable[[Function, int, Sequence[Any], Sequence[bool], dict[str, Any]], Any]


def in_front(x: Any, size: int, batched: bool) -> Any:
    """Give an array with the examples along its first axis: the same for each, if it has none."""
    if batched or not hasattr(x, "shape"):
        return x
    return FUNCTIONS["broadcast_to"].call(x, (size, *x.shape))


def to_front(x: Any, axis: int) -> Any:
    """Bring the axis of the examples to the front."""
    if not axis:
        return x
    return FUNCTIONS["permute_dims"].call(x, (axis, *range(axis), *range(axis + 1, len(x.shape))))


def materialized(size: int, arrays: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Give all arrays with the examples along their first axes."""
    return [in_front(x, size, b) for x, b in zip(arrays, batched, strict=True)]


def aligned(arrays: Sequence[Any], batched: Sequence[bool], kept: Sequence[int]) -> list[Any]:
    """Insert axes behind that of the examples, so that what is in front of the last ``kept`` axes broadcasts."""
    ranks = [len(x.shape) - b - k if hasattr(x, "shape") else 0 for x, b, k in zip(arrays, batched, kept, strict=True)]
    most = max(ranks)
    return [
        FUNCTIONS["reshape"].call(x, (x.shape[0], *(1,) * (most - rank), *x.shape[1:])) if b and rank < most else x
        for x, b, rank in zip(arrays, batched, ranks, strict=True)
    ]


def elementwise(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    """Compute each element for itself: the examples are one axis more that broadcasts."""
    if len(arrays) > 1 and not (len(arrays) == 2 and all(batched) and arrays[0].ndim == arrays[1].ndim):
        arrays = aligned(arrays, batched, (0,) * len(arrays))
    return made.call(*arrays, **params)


def stacked(*ranks: int) -> BatchingRule:
    """Make the rule of a function that takes stacks, as those of ``linalg``: the examples are one axis more of them.

    Parameters
    ----------
    *ranks : int
        For each array how many of its last dimensions are not the stack's.
    """

    def rule(made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        if len(arrays) > 1:
            arrays = aligned(arrays, batched, ranks)
        return made.call(*arrays, **params)

    return rule


def along(*names: str) -> BatchingRule:
    """Make the rule of a function that works along axes: these are one further back.

    Parameters
    ----------
    *names : str
        The parameters that are axes: each an int or a tuple of them, from 0 on, or None.
    """

    def rule(made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        params = dict(params)
        for name in names:
            axis = params[name]
            if axis is not None:
                params[name] = tuple(i + 1 for i in axis) if isinstance(axis, (tuple, list)) else axis + 1
        arrays = materialized(size, arrays, batched)
        return made.call(arrays, **params) if made.sequence else made.call(*arrays, **params)

    return rule


def data_dependent(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    """Refuse: the shape of the result depends on the values, so it may differ from example to example."""
    raise TransformError(
        f"vmap: the shape that {made.name} gives depends on the values, so that it may differ from example to example; "
        f"write where(mask, x, y) for a choice among elements, or call {made.name} outside vmap"
    )


def looped(made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
    """Call the function once for each example."""
    results = []
    for i in range(size):
        example = [x[i] if b else x for x, b in zip(arrays, batched, strict=True)]
        results.append(made.call(example, **params) if made.sequence else made.call(*example, **params))
    stack = FUNCTIONS["stack"].call
    if made.outputs == 1:
        return stack(results)
    return tuple(stack(found) for found in zip(*results, strict=True))
