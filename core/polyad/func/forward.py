"""Forward mode on functions: `jvp`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..containers import flatten, unflatten
from ..errors import OperandError
from ..function import FUNCTIONS
from ..levels import entered, lifted
from ..tensor import Tensor, wrap
from ..transforms.dual import DualLevel, parts
from .arguments import check_callable, check_like, check_tensors, primals_of

__all__ = ["jvp"]


def jvp(
    func: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> tuple[Any, ...]:
    """Run a function on its arguments, and along a direction: its Jacobian times a vector, in one pass.

    Parameters
    ----------
    func : callable
        Of tensors, or nested containers of them; returns such.
    primals : tuple
        Its arguments.
    tangents : tuple
        For each the direction, nested, shaped and typed as it.
    strict : bool
        Raise if a result does not depend on the arguments, instead of giving zeros.
    has_aux : bool
        Whether ``func`` returns a pair, of which only the first is differentiated.

    Returns
    -------
    result
        What ``func`` returned.
    tangent
        How it changes, nested as the result.
    aux
        With ``has_aux``.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        If tangents do not fit the primals.
    OperandError
        If an argument or a result is no tensor.

    Examples
    --------
    >>> import polyad as ad
    >>> x, t = ad.tensor([0.0, 1.0]), ad.tensor([1.0, 1.0])
    >>> ad.func.jvp(ad.sin, (x,), (t,))
    (tensor([0.0000, 0.8415]), tensor([1.0000, 0.5403]))
    """
    check_callable("jvp", func)
    leaves, structure = flatten(tuple(primals_of("jvp", primals)))
    check_tensors("jvp", "primals", leaves)
    moves = check_like("jvp", "tangents", tuple(primals_of("jvp", tangents)), structure, leaves, "primals")
    level = DualLevel()
    pairs = [(lifted(x), lifted(t)) for x, t in zip(leaves, moves, strict=True)]
    with entered(level):
        inside = []
        for x, t in pairs:
            array = level.dual(x, t)
            inside.append(wrap(array, array.device))
        result = func(*unflatten(structure, inside))
        aux: Any = None
        if has_aux:
            if not isinstance(result, (tuple, list)) or len(result) != 2:
                raise OperandError(
                    f"jvp: with has_aux=True the function returns a pair, (result, anything else); it returned "
                    f"{result!r:.60}"
                )
            result, aux = result
        ys, nested = flatten(result)
        check_tensors("jvp", "what the function returned", ys, differentiable=False)
        found = [parts(lifted(y), level) for y in ys]
        besides, around = flatten(aux)
        besides = [parts(lifted(b), level)[0] if isinstance(b, Tensor) else b for b in besides]
    moved = []
    for i, (y, t) in enumerate(found):
        if t is None and strict:
            raise OperandError(
                f"jvp: result {i}, of shape {y.shape}, does not depend on the arguments; strict=False gives zeros"
            )
        moved.append(FUNCTIONS["zeros_like"].call(y) if t is None else t)
    results = unflatten(nested, [y for y, _ in found]), unflatten(nested, moved)
    return (*results, unflatten(around, besides)) if has_aux else results
