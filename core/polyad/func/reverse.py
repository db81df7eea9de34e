"""Reverse mode on functions: `grad`, `value_and_grad`, `vjp`.

The function runs on tensors that are varied, recorded as usual, and the engine goes back once. What comes out has a
history only if something from outside has: an argument, or a tensor that the function closes over. So derivatives
nest, and cost no more than they must.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from ..accumulation import as_type
from ..autograd.joint import constant_in, form_of
from ..backward_hooks import enter, leave
from ..containers import flatten, unflatten
from ..engine import propagate
from ..errors import OperandError, ShapeError
from ..function import FUNCTIONS
from ..grad_mode import enable_grad, is_grad_enabled
from ..graph import AccumulateGrad, Output, next_sequence
from ..tensor import Tensor, wrap
from ..views import node_of, raw
from .arguments import Chosen, check_callable, check_like, check_tensors, split_aux, variable, without_history

__all__ = ["Run", "check_scalar", "grad", "grad_and_value", "pulled", "value_and_grad", "vjp"]


def pulled(
    ys: Sequence[Tensor], gs: Sequence[Tensor], xs: Sequence[Tensor], *, history: bool, keep: bool
) -> list[Tensor]:
    """Carry gradients back: for each of ``xs`` the sum of what comes from all ``ys``; zeros where nothing does.

    Parameters
    ----------
    ys, gs : sequence of Tensor
        Results, and for each its gradient, on its device or one of a deeper level.
    xs : sequence of Tensor
        Made by `variable`.
    history : bool
        Whether what comes out is to be differentiated in turn.
    keep : bool
        Whether this is not the last time.
    """
    edges = [node_of(x) for x in xs]
    pairs = [(y, g) for y, g in zip(ys, gs, strict=True) if node_of(y) is not None]
    tensors = history or any(g._device is not y._device for y, g in pairs)
    roots = [(node_of(y), enter(g, y, tensors)) for y, g in pairs]
    found = propagate(roots, keep=keep, create_graph=history, tensors=tensors, wanted=edges) if roots else {}
    constants = edges, [form_of(x) for x in xs]
    results = []
    for x, edge in zip(xs, edges, strict=True):
        g = found.get(edge)
        if g is None:
            g = FUNCTIONS["zeros_like"].call(x)
            results.append(constant_in(g, *constants) if history else g)
        elif tensors:
            g = leave(g, x._device)
            results.append(constant_in(g, *constants) if history else g)
        else:
            device = x._device
            g = as_type(device.backend.owned(device.asarray(g), True), x, device)
            results.append(leave(wrap(g, device), device))
    return results


def reaches_outside(ys: Sequence[Tensor], started: int) -> bool:
    """Whether results depend on something that was recorded before: its gradients may be asked for later."""
    stack = [e.node if type(e) is Output else e for e in map(node_of, ys) if e is not None]
    seen = set(stack)
    while stack:
        node = stack.pop()
        if node.seq < started:
            return True
        if type(node) is not AccumulateGrad:
            for edge in node.edges:
                if edge is not None:
                    following = edge.node if type(edge) is Output else edge
                    if following not in seen:
                        seen.add(following)
                        stack.append(following)
    return False


class Run:
    """A function that was run on varied tensors.

    Attributes
    ----------
    xs, ys : list of Tensor
        What is varied, and the results.
    structure : Structure
        How the results are nested.
    aux : Any
        What the function returned beside them.
    history : bool
        Whether what comes out is to be differentiated in turn.
    """

    def __init__(
        self, name: str, func: Callable[..., Any], chosen: Chosen, kwargs: dict[str, Any], has_aux: bool
    ) -> None:
        recorded, started = is_grad_enabled(), next_sequence()
        with enable_grad():
            self.xs = list(map(variable, chosen.leaves))
            result = func(*chosen.replaced(self.xs), **kwargs)
        result, self.aux = split_aux(name, result, has_aux)
        self.ys, self.structure = flatten(result)
        check_tensors(name, "what the function returned", self.ys, differentiable=False)
        self.history = recorded and reaches_outside(self.ys, started)

    def out(self, value: Any) -> Any:
        """What the function returned, without the history that was recorded for this run alone."""
        if self.history:
            return value
        leaves, structure = flatten(value)
        return unflatten(structure, list(map(without_history, leaves)))

    def nested(self) -> Any:
        """Give the results as the function returned them."""
        return self.out(unflatten(self.structure, self.ys))


def check_scalar(name: str, y: Any) -> None:
    """Raise unless a function returned one real number, as it must if its gradient is taken."""
    if not isinstance(y, Tensor):
        raise OperandError(
            f"{name}: the function returned {flatten(y)[1]}; expected one tensor of no dimensions. With has_aux=True "
            f"it may return a pair, (result, anything else)"
        )
    if y.shape != ():
        raise ShapeError(
            f"{name}: the function returned a tensor of shape {y.shape}; expected one of no dimensions. Write "
            f"y.sum(), or polyad.func.jacrev for the derivative of each element"
        )
    if y.dtype.is_complex or not y.dtype.is_differentiable:
        raise OperandError(
            f"{name}: the function returned a tensor of {y.dtype.name}; expected a real floating-point number. "
            f"Write y.real, abs(y) or y.float()"
        )


def _gradient(
    name: str, func: Callable[..., Any], argnums: Any, has_aux: bool, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Any, Any, Any]:
    """Gradient, value and what else the function returned."""
    chosen = Chosen(name, argnums, args)
    run = Run(name, func, chosen, kwargs, has_aux)
    check_scalar(name, unflatten(run.structure, run.ys))
    y = run.ys[0]
    one = wrap(y._device.one((), raw(y).dtype), y._device)
    gradients = pulled([y], [one], run.xs, history=run.history, keep=run.history)
    return chosen.nested(gradients), run.nested(), run.out(run.aux)


def grad(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Make a function that gives the gradient of another.

    Parameters
    ----------
    func : callable
        Of tensors, or nested containers of them; returns a real tensor of no dimensions.
    argnums : int or tuple of int
        Which arguments to take the gradient by.
    has_aux : bool
        Whether ``func`` returns a pair, of which only the first is differentiated.

    Returns
    -------
    callable
        Takes the arguments of ``func``, and returns the gradient, nested as the argument; a tuple of several. With
        ``has_aux`` a pair of it and what ``func`` returned beside.

    Raises
    ------
    ShapeError, OperandError
        If ``func`` returns anything but one real number.
    ArgumentError
        If there are no arguments ``argnums``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.func.grad(lambda x: (x**3).sum())(ad.tensor([1.0, 2.0]))
    tensor([ 3., 12.])
    >>> ad.func.grad(ad.func.grad(ad.sin))(ad.tensor(0.5))
    tensor(-0.4794)
    """
    check_callable("grad", func)

    @wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        gradient, _, aux = _gradient("grad", func, argnums, has_aux, args, kwargs)
        return (gradient, aux) if has_aux else gradient

    return differentiated


def value_and_grad(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Make a function that gives value and gradient of another, in JAX's order.

    Parameters
    ----------
    func, argnums, has_aux
        As for `grad`.

    Returns
    -------
    callable
        Returns ``(value, gradient)``; with ``has_aux`` ``((value, aux), gradient)``.

    Raises
    ------
    ShapeError, OperandError, ArgumentError
        As `grad`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.func.value_and_grad(lambda x: x**2)(ad.tensor(3.0))
    (tensor(9.), tensor(6.))
    """
    check_callable("value_and_grad", func)

    @wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        gradient, value, aux = _gradient("value_and_grad", func, argnums, has_aux, args, kwargs)
        return ((value, aux) if has_aux else value), gradient

    return differentiated


def grad_and_value(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Make a function that gives gradient and value of another, in PyTorch's order.

    Parameters
    ----------
    func, argnums, has_aux
        As for `grad`.

    Returns
    -------
    callable
        Returns ``(gradient, value)``; with ``has_aux`` ``(gradient, (value, aux))``.

    Raises
    ------
    ShapeError, OperandError, ArgumentError
        As `grad`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.func.grad_and_value(lambda x: x**2)(ad.tensor(3.0))
    (tensor(6.), tensor(9.))
    """
    both = value_and_grad(func, argnums, has_aux)

    @wraps(func)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return gradient, value

    return differentiated


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """Run a function, and give what multiplies vectors with its Jacobian from the left.

    Parameters
    ----------
    func : callable
        Of tensors, or nested containers of them; returns such.
    *primals
        Its arguments.
    has_aux : bool
        Whether ``func`` returns a pair, of which only the first is differentiated.

    Returns
    -------
    result
        What ``func`` returned.
    vjp_fn : callable
        Takes cotangents nested and shaped as the result, and returns a tuple of one gradient for each argument. It
        may be called any number of times, inside `vmap` too.
    aux
        With ``has_aux``.

    Raises
    ------
    OperandError, DTypeError
        If an argument or a result is no tensor, or of a type without derivatives; see `grad`.
    ArgumentError, ShapeError
        By ``vjp_fn``, if cotangents do not fit.

    Examples
    --------
    >>> import polyad as ad
    >>> y, vjp_fn = ad.func.vjp(ad.sin, ad.tensor([0.0, 1.0]))
    >>> vjp_fn(ad.ones(2))
    (tensor([1.0000, 0.5403]),)
    """
    check_callable("vjp", func)
    chosen = Chosen("vjp", tuple(range(len(primals))), primals)
    run = Run("vjp", func, chosen, {}, has_aux)
    results: list[Any] = [run.nested(), _Pullback(run, chosen)]
    return (*results, run.out(run.aux)) if has_aux else tuple(results)


class _Pullback:
    """What `vjp` gives: a linear function of cotangents."""

    def __init__(self, run: Run, chosen: Chosen) -> None:
        self._run, self._chosen = run, chosen
        self._forms = [without_history(y) for y in run.ys]

    def __call__(self, *cotangents: Any) -> Any:
        """Give the gradients, one for each argument of the function."""
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        run = self._run
        gs = check_like("vjp_fn", "the cotangent", given, run.structure, self._forms, "what the function returned")
        history = is_grad_enabled() and (run.history or any(node_of(g) is not None for g in gs))
        found = pulled(run.ys, gs, run.xs, history=history, keep=True)
        return self._chosen.nested(found)
