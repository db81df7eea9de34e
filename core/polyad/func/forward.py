"""Forward mode on functions: `jvp`, and `linearize`, which remembers what `jvp` would compute anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..containers import Structure, flatten, unflatten
from ..errors import OperandError
from ..function import FUNCTIONS
from ..grad_mode import is_grad_enabled
from ..levels import entered, lifted
from ..tensor import Tensor, wrap
from ..transforms.dual import DualLevel, parts
from ..views import node_of
from .arguments import (
    Chosen,
    check_callable,
    check_like,
    check_tensors,
    primals_of,
    split_aux,
    variable,
    without_history,
)
from .reverse import Run, pulled

__all__ = ["jvp", "linearize", "pushed"]


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
        If an argument or a result is no tensor; with ``strict``, if a result does not depend on the arguments.

    Examples
    --------
    >>> import polyad as ad
    >>> x, t = ad.tensor([0.0, 1.0]), ad.tensor([1.0, 1.0])
    >>> ad.func.jvp(ad.sin, (x,), (t,))
    (tensor([0.0000, 0.8415]), tensor([1.0000, 0.5403]))
    """
    check_callable("jvp", func)
    leaves, structure = flatten(tuple(primals_of("jvp", "primals", primals)))
    check_tensors("jvp", "primals", leaves)
    given = tuple(primals_of("jvp", "tangents", tangents))
    moves = check_like("jvp", "tangents", given, structure, leaves, "primals")
    found, nested, aux = pushed("jvp", func, leaves, moves, structure, has_aux)
    moved = []
    for i, (y, t) in enumerate(found):
        if t is None and strict:
            raise OperandError(
                f"jvp: result {i}, of shape {y.shape}, does not depend on the arguments; strict=False gives zeros"
            )
        moved.append(FUNCTIONS["zeros_like"].call(y) if t is None else t)
    results = unflatten(nested, [y for y, _ in found]), unflatten(nested, moved)
    return (*results, aux) if has_aux else results


def pushed(
    name: str,
    func: Callable[..., Any],
    leaves: Sequence[Any],
    moves: Sequence[Tensor | None],
    structure: Structure,
    has_aux: bool = False,
) -> tuple[list[tuple[Tensor, Tensor | None]], Structure, Any]:
    """Run a function on arguments that move.

    Parameters
    ----------
    leaves, moves : sequence
        The arguments, taken apart, and for each its tangent, or None where it does not move.
    structure : Structure
        How the arguments are nested.

    Returns
    -------
    results : list of (Tensor, Tensor or None)
        Values and their tangents.
    structure : Structure
        How the results are nested.
    aux
        What the function returned beside, with ``has_aux``.
    """
    level = DualLevel()
    pairs = [
        (lifted(x) if isinstance(x, Tensor) else x, None if t is None else lifted(t))
        for x, t in zip(leaves, moves, strict=True)
    ]
    with entered(level):
        inside = []
        for x, t in pairs:
            array = None if t is None else level.dual(x, t)
            inside.append(x if array is None else wrap(array, array.device))
        result, aux = split_aux(name, func(*unflatten(structure, inside)), has_aux)
        ys, nested = flatten(result)
        check_tensors(name, "what the function returned", ys, differentiable=False)
        found = [parts(lifted(y), level) for y in ys]
        besides, around = flatten(aux)
        besides = [parts(lifted(b), level)[0] if isinstance(b, Tensor) else b for b in besides]
    return found, nested, unflatten(around, besides)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """Run a function once, and give what multiplies its Jacobian there with vectors, any number of times.

    As `jvp`, but ``func`` itself does not run again: what was computed on the way is kept. For many directions at once
    call ``jvp_fn`` inside `vmap`.

    Parameters
    ----------
    func : callable
        Of tensors, or nested containers of them; returns such.
    *primals
        Its arguments.

    Returns
    -------
    result
        What ``func`` returned.
    jvp_fn : callable
        Takes tangents, one for each argument, and returns the tangent of the result.

    Raises
    ------
    OperandError, DTypeError
        If an argument or a result is no tensor, or of a type without derivatives.
    ArgumentError, ShapeError
        By ``jvp_fn``, if tangents do not fit.

    Examples
    --------
    >>> import polyad as ad
    >>> y, push = ad.func.linearize(ad.sin, ad.tensor([0.0, 1.0]))
    >>> push(ad.ones(2))
    tensor([1.0000, 0.5403])
    """
    check_callable("linearize", func)
    chosen = Chosen("linearize", tuple(range(len(primals))), primals)
    run = Run("linearize", func, chosen, {}, has_aux=False)
    check_tensors("linearize", "what the function returned", run.ys)
    # the gradient is a linear function of the cotangent, and its transpose is the derivative
    gs = [variable(FUNCTIONS["zeros_like"].call(without_history(y))) for y in run.ys]
    vs = pulled(run.ys, gs, run.xs, history=True, keep=True)
    _, structure = flatten(tuple(primals))
    like = [without_history(x) for x in run.xs]

    def jvp_fn(*tangents: Any) -> Any:
        """Give the tangent of the result along tangents of the arguments."""
        moves = check_like("jvp_fn", "the tangents", tuple(tangents), structure, like, "the arguments of linearize")
        history = is_grad_enabled() and (run.history or any(node_of(t) is not None for t in moves))
        return unflatten(run.structure, pulled(vs, moves, gs, history=history, keep=True))

    return run.nested(), jvp_fn
