"""Whole Jacobians and Hessians, and their products with vectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from ..containers import flatten, unflatten
from ..errors import DTypeError
from ..function import FUNCTIONS
from ..tensor import Tensor, wrap
from ..views import raw
from .arguments import Chosen, check_callable, check_like, check_tensors, without_history
from .forward import jvp, pushed
from .reverse import Run, check_scalar, grad, pulled, vjp
from .vmap import vmap

__all__ = ["basis", "hessian", "hvp", "jacfwd", "jacrev", "last", "vhp"]


def basis(x: Tensor) -> Tensor:
    """The unit vectors of a tensor's space: for each element a tensor of its shape with a 1 there."""
    device, n = x._device, math.prod(x.shape)
    eye = device.kernels[FUNCTIONS["eye"]](n_rows=n, n_cols=n, k=0, dtype=raw(x).dtype)
    return FUNCTIONS["reshape"].call(wrap(device.asarray(eye), device), (n, *x.shape))  # type: ignore[no-any-return]


def jacrev(
    func: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """Make a function that gives the Jacobian of another, by reverse mode: one pass back for all elements of a result.

    The cheaper way where results have fewer elements than arguments; otherwise see `jacfwd`.

    Parameters
    ----------
    func : callable
        Of tensors, or nested containers of them; returns such.
    argnums : int or tuple of int
        Which arguments to differentiate by.
    has_aux : bool
        Whether ``func`` returns a pair, of which only the first is differentiated.
    chunk_size : int, optional
        Go back for at most so many elements at once, for less memory.

    Returns
    -------
    callable
        Returns, nested as the result and inside as the argument (a tuple of several), tensors of shape
        ``(*result.shape, *argument.shape)``. With ``has_aux`` a pair of them and what ``func`` returned beside. Rows of
        complex results are what `vjp` gives for each unit vector.

    Raises
    ------
    OperandError, DTypeError
        If an argument or a result is no tensor, or of a type without derivatives.
    ArgumentError
        If there are no arguments ``argnums``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.func.jacrev(lambda x: x * x[0])(ad.tensor([2.0, 3.0]))
    tensor([[4., 0.],
            [3., 2.]])
    """
    check_callable("jacrev", func)

    @wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        chosen = Chosen("jacrev", argnums, args)
        run = Run("jacrev", func, chosen, kwargs, has_aux)
        check_tensors("jacrev", "what the function returned", run.ys)
        found = []
        for y in run.ys:

            def back(g: Tensor, y: Tensor = y) -> Any:
                return tuple(pulled([y], [g], run.xs, history=run.history, keep=True))

            rows = vmap(back, chunk_size=chunk_size)(basis(without_history(y))) if y.numel() else None
            shaped = [_shaped(None if rows is None else rows[i], y, x) for i, x in enumerate(chosen.leaves)]
            found.append(chosen.nested(shaped))
        nested = unflatten(run.structure, found)
        return (nested, run.out(run.aux)) if has_aux else nested

    return jacobian


def _shaped(rows: Tensor | None, y: Tensor, x: Tensor) -> Tensor:
    """Rows of a Jacobian, in the shape of the result."""
    shape = (*y.shape, *x.shape)
    if rows is None:
        return x.new_zeros(shape)
    return FUNCTIONS["reshape"].call(rows, shape)  # type: ignore[no-any-return]


def jacfwd(
    func: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """Make a function that gives the Jacobian of another, by forward mode: one pass for all elements of an argument.

    The cheaper way where arguments have fewer elements than results; otherwise see `jacrev`.

    Parameters
    ----------
    func, argnums, has_aux
        As for `jacrev`.
    randomness : str
        As for `vmap`.

    Returns
    -------
    callable
        As that of `jacrev`.

    Raises
    ------
    OperandError, DTypeError, ArgumentError
        As `jacrev`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.func.jacfwd(lambda x: x * x[0])(ad.tensor([2.0, 3.0]))
    tensor([[4., 0.],
            [3., 2.]])
    """
    check_callable("jacfwd", func)

    @wraps(func)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        chosen = Chosen("jacfwd", argnums, args)
        count = len(chosen.leaves)
        seen: dict[str, Any] = {}

        def call(*leaves: Any) -> Any:
            return func(*chosen.replaced(leaves), **kwargs)

        def push(position: int, t: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            moves = [t if i == position else None for i in range(count)]
            found, nested, aux = pushed("jacfwd", call, chosen.leaves, moves, chosen.flat, has_aux)
            check_tensors("jacfwd", "what the function returned", [y for y, _ in found])
            besides, around = flatten(aux)
            seen.update(nested=nested, besides=besides, around=around)
            moved = [FUNCTIONS["zeros_like"].call(y) if d is None else d for y, d in found]
            return moved, [b for b in besides if isinstance(b, Tensor)]

        columns: list[list[Tensor]] = []  # for each leaf, the derivatives of all results along its unit vectors
        for i, x in enumerate(chosen.leaves):
            units = basis(without_history(x)) if x.numel() else x.new_zeros((1, *x.shape))
            moved, tensors = vmap(partial(push, i), out_dims=(0, None), randomness=randomness)(units)
            columns.append([last(m, x) for m in moved])
        nested = seen["nested"]
        found = unflatten(nested, [chosen.nested([c[k] for c in columns]) for k in range(nested.leaves)])
        if not has_aux:
            return found
        rest = iter(tensors)
        besides = [next(rest) if isinstance(b, Tensor) else b for b in seen["besides"]]
        return found, unflatten(seen["around"], besides)

    return jacobian


def last(moved: Tensor, x: Tensor) -> Tensor:
    """Bring the axis of unit vectors behind all others, in the shape of the argument."""
    shape = moved.shape[1:]
    if not x.numel():
        return x.new_zeros((*shape, *x.shape))
    moved = FUNCTIONS["permute_dims"].call(moved, (*range(1, len(shape) + 1), 0))
    return FUNCTIONS["reshape"].call(moved, (*shape, *x.shape))  # type: ignore[no-any-return]


def hessian(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """Make a function that gives the second derivatives of another: the forward Jacobian of the reverse one.

    Parameters
    ----------
    func : callable
        As for `grad`; results of more than one element are differentiated each.
    argnums : int or tuple of int
        Which arguments to differentiate by.

    Returns
    -------
    callable
        Returns tensors of shape ``(*result.shape, *argument.shape, *argument.shape)``, nested as what `jacrev` gives,
        and inside once more.

    Raises
    ------
    OperandError, DTypeError, ArgumentError
        As `jacrev`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.func.hessian(lambda x: x[0] ** 2 * x[1])(ad.tensor([1.0, 2.0]))
    tensor([[4., 2.],
            [2., 0.]])
    """
    check_callable("hessian", func)
    return jacfwd(jacrev(func, argnums), argnums)


def _by_all(name: str, func: Callable[..., Any], primals: Any, vectors: Any) -> tuple[Any, Any, bool]:
    """Primals and vectors as tuples, and whether each was a single one."""
    check_callable(name, func)
    single = not isinstance(primals, tuple)
    xs, vs = ((primals,), (vectors,)) if single else (primals, vectors)
    leaves, structure = flatten(xs)
    check_tensors(name, "primals", leaves)
    check_like(name, "the vector", vs, structure, leaves, "primals")
    if any(x.dtype.is_complex for x in leaves):
        raise DTypeError(
            f"{name}: a Hessian is one by real numbers; got a tensor of complex ones. Use view of x.real and x.imag"
        )
    return xs, vs, single


def hvp(func: Callable[..., Any], primals: Any, vectors: Any) -> Any:
    """Multiply the Hessian of a function with a vector, without forming it: the gradient of the slope along it.

    Reverse mode over forward mode: what is needed for the gradient alone is not computed.

    Parameters
    ----------
    func : callable
        Of tensors, or nested containers of them; returns a real tensor of no dimensions.
    primals : tuple, or anything else for a function of one argument
        The arguments.
    vectors
        Nested, shaped and typed as ``primals``.

    Returns
    -------
    Tensor or container
        Nested as ``primals``.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        If vectors do not fit, or an argument is complex.
    OperandError
        If an argument is no tensor, or ``func`` returns anything but one real number.

    Examples
    --------
    >>> import polyad as ad
    >>> x, v = ad.tensor([1.0, 2.0]), ad.tensor([1.0, 0.0])
    >>> ad.func.hvp(lambda x: x[0] ** 2 * x[1], x, v)
    tensor([4., 2.])
    """
    xs, vs, single = _by_all("hvp", func, primals, vectors)

    def slope(*xs: Any) -> Any:
        y, t = jvp(func, xs, vs)
        check_scalar("hvp", y)
        return t

    found = grad(slope, tuple(range(len(xs))))(*xs)
    return found[0] if single else found


def vhp(func: Callable[..., Any], primals: Any, vectors: Any) -> Any:
    """Multiply a vector with the Hessian of a function, without forming it: reverse mode over reverse mode.

    As `hvp`, since Hessians are symmetric; for functions that forward mode cannot go through.

    Parameters
    ----------
    func, primals, vectors
        As for `hvp`.

    Returns
    -------
    Tensor or container
        Nested as ``primals``.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, OperandError
        As `hvp`.

    Examples
    --------
    >>> import polyad as ad
    >>> x, v = ad.tensor([1.0, 2.0]), ad.tensor([1.0, 0.0])
    >>> ad.func.vhp(lambda x: x[0] ** 2 * x[1], x, v)
    tensor([4., 2.])
    """
    xs, vs, single = _by_all("vhp", func, primals, vectors)
    _, back = vjp(grad(func, tuple(range(len(xs)))), *xs)
    found = back(vs)
    return found[0] if single else found
