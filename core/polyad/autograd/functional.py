"""Derivatives of functions with the signatures of ``torch.autograd.functional``; see `polyad.func` for more.

Inputs are a tensor, or a tuple of them, and results are nested accordingly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..containers import Structure
from ..engine import reachable
from ..errors import ArgumentError, AutogradError, OperandError, ShapeError
from ..func.arguments import Chosen, check_like, check_tensors, without_history
from ..func.forward import pushed
from ..func.jacobians import basis, last
from ..func.reverse import Run, pulled
from ..func.vmap import vmap
from ..function import FUNCTIONS
from ..tensor import Tensor
from ..views import node_of
from .joint import is_constant

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = Tensor | tuple[Tensor, ...]


class _Call:
    """A function that was run on its inputs for derivatives.

    Attributes
    ----------
    run : Run
    single, single_out : bool
        Whether there is one input, or result, that is no tuple.
    """

    def __init__(self, name: str, func: Callable[..., Any], inputs: Any, create_graph: bool, strict: bool) -> None:
        self.name, self.create_graph = name, create_graph
        self.single = not isinstance(inputs, (tuple, list))
        xs = (inputs,) if self.single else tuple(inputs)
        if not xs:
            raise ArgumentError(f"{name}: got no inputs; expected a tensor or a tuple of them")
        check_tensors(name, "inputs", xs)
        xs = xs if create_graph else tuple(map(without_history, xs))
        self.chosen = Chosen(name, tuple(range(len(xs))), xs)
        self.run = Run(name, func, self.chosen, {}, has_aux=False)
        self.run.history = self.run.history and create_graph
        structure = self.run.structure
        self.single_out = structure.kind is None
        if not self.single_out and any(p.kind is not None for p in structure.parts):
            raise OperandError(
                f"{name}: the function returned {structure}; expected a tensor or a tuple of them. polyad.func takes "
                f"nested containers"
            )
        check_tensors(name, "what the function returned", self.run.ys)
        self.strict = strict
        if strict:
            self._check_dependence("output {} of the function", self.run.ys)

    def gradient(self) -> list[Tensor]:
        """Give the gradient of the one number that the function returned, recorded."""
        y = self.scalar()
        found = pulled([y], [y.new_full(y.shape, 1)], self.run.xs, history=True, keep=True)
        if self.strict:
            self._check_dependence("the gradient by input {}", found)
        return found

    def _check_dependence(self, which: str, ys: Sequence[Tensor]) -> None:
        for i, y in enumerate(ys):
            node = node_of(y)
            found = set() if node is None or is_constant(node) else reachable([node])
            for j, x in enumerate(self.run.xs):
                if node_of(x) not in found:
                    raise AutogradError(
                        f"{self.name}: {which.format(i)} does not depend on input {j}, which strict=True refuses; "
                        f"write strict=False for zeros"
                    )

    def scalar(self) -> Tensor:
        """Give the one number that a function must return that has a Hessian."""
        y: Tensor = self.run.ys[0]
        if not self.single_out or y.numel() != 1:
            shapes = ", ".join(str(y.shape) for y in self.run.ys)
            raise ShapeError(f"{self.name}: the function returned shapes {shapes}; expected one tensor of one element")
        return y

    def out(self) -> Any:
        """Give what the function returned."""
        return self.nested_out([y if self.create_graph else without_history(y) for y in self.run.ys])

    def nested_out(self, values: Sequence[Any]) -> Any:
        """One value for each result, nested as these."""
        return values[0] if self.single_out else tuple(values)

    def nested_in(self, values: Sequence[Any]) -> Any:
        """One value for each input, nested as these."""
        return values[0] if self.single else tuple(values)

    def vectors(self, v: Any, like: Sequence[Tensor], single: bool, of: str) -> list[Tensor]:
        """Give the vectors that a product is with; 1 where it may be left out."""
        if v is None:
            if len(like) == 1 and like[0].numel() == 1:
                return [like[0].new_full(like[0].shape, 1)]
            raise ShapeError(f"{self.name}: v may be left out for {of} of one element only; pass v, shaped as {of}")
        given = (v,) if not isinstance(v, (tuple, list)) else tuple(v)
        structure = Structure(tuple, (), (Structure(),) * len(like))
        return check_like(self.name, "v", given, structure, [without_history(x) for x in like], of)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """Compute the Jacobian of a function.

    Parameters
    ----------
    func : callable
        Takes tensors, and returns a tensor or a tuple of them.
    inputs : Tensor or tuple of Tensor
    create_graph : bool
        Whether the Jacobian is recorded, so that it can be differentiated in turn.
    strict : bool
        Raise if an output does not depend on an input, instead of giving zeros.
    vectorize : bool
        Compute all rows, or columns, at once: faster, for more memory.
    strategy : str
        ``"reverse-mode"``, row by row, or ``"forward-mode"``, column by column, which is always vectorized.

    Returns
    -------
    Tensor, or tuple of them
        Of shape ``(*output.shape, *input.shape)``; for several outputs a tuple, and in it for several inputs another.

    Raises
    ------
    OperandError, DTypeError
        If an input or output is no tensor, or of a type without derivatives.
    AutogradError
        With ``strict``, if an output does not depend on an input.
    ArgumentError
        If ``strategy`` is none of those, or forward mode is to be strict.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.autograd.functional.jacobian(ad.exp, ad.tensor([0.0, 1.0]))
    tensor([[1.0000, 0.0000],
            [0.0000, 2.7183]])
    """
    if strategy == "forward-mode":
        if strict:
            raise ArgumentError("jacobian: strict=True goes with strategy='reverse-mode' only")
        return _forward(func, inputs, create_graph)
    if strategy != "reverse-mode":
        raise ArgumentError(f"jacobian: strategy is {strategy!r}; expected 'reverse-mode' or 'forward-mode'")
    call = _Call("jacobian", func, inputs, create_graph, strict)
    run = call.run
    rows = []
    for y in run.ys:

        def back(g: Tensor, y: Tensor = y) -> Any:
            return tuple(pulled([y], [g], run.xs, history=run.history, keep=True))

        if not y.numel():
            rows.append(call.nested_in([x.new_full((*y.shape, *x.shape), 0) for x in run.xs]))
            continue
        units = basis(without_history(y))
        if vectorize:
            found = vmap(back)(units)
        else:
            found = tuple(FUNCTIONS["stack"].call(list(g)) for g in zip(*map(back, units), strict=True))
        rows.append(call.nested_in([f.reshape((*y.shape, *x.shape)) for f, x in zip(found, run.xs, strict=True)]))
    return call.nested_out(rows)


def _forward(func: Callable[..., Any], inputs: Any, create_graph: bool) -> Any:
    """The Jacobian column by column."""
    single = not isinstance(inputs, (tuple, list))
    xs = (inputs,) if single else tuple(inputs)
    check_tensors("jacobian", "inputs", xs)
    xs = xs if create_graph else tuple(map(without_history, xs))
    structure = Structure(tuple, (), (Structure(),) * len(xs))
    single_out = [True]
    columns = []
    for i, x in enumerate(xs):

        def push(t: Tensor, i: int = i) -> Any:
            moves = [t if i == j else None for j in range(len(xs))]
            found, nested, _ = pushed("jacobian", func, xs, moves, structure)
            single_out[0] = nested.kind is None
            return tuple(FUNCTIONS["zeros_like"].call(y) if d is None else d for y, d in found)

        units = basis(without_history(x)) if x.numel() else x.new_full((1, *x.shape), 0)
        columns.append([last(m, x) for m in vmap(push)(units)])
    kept = [[c if create_graph else without_history(c) for c in found] for found in zip(*columns, strict=True)]
    rows = [found[0] if single else tuple(found) for found in kept]
    return rows[0] if single_out[0] else tuple(rows)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """Compute the Hessian of a function of one result.

    Parameters
    ----------
    func : callable
        Takes tensors, and returns a tensor of one element.
    inputs : Tensor or tuple of Tensor
    create_graph, strict, vectorize : bool
        As for `jacobian`.
    outer_jacobian_strategy : str
        How the gradient is differentiated: ``"reverse-mode"`` or ``"forward-mode"``.

    Returns
    -------
    Tensor, or tuple of tuples of them
        Of shape ``(*input.shape, *input.shape)``; for several inputs, entry ``[i][j]`` is by inputs ``i`` and ``j``.

    Raises
    ------
    ShapeError
        If the function returns more than one element.
    OperandError, DTypeError, AutogradError, ArgumentError
        As `jacobian`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.autograd.functional.hessian(lambda x: (x**3).sum(), ad.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    single = not isinstance(inputs, (tuple, list))

    def gradient(*xs: Tensor) -> Any:
        call = _Call("hessian", func, xs, True, strict)
        found = call.gradient()
        return found[0] if single else tuple(found)

    return jacobian(gradient, inputs, create_graph, False, vectorize, outer_jacobian_strategy)


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Multiply a vector with the Jacobian of a function from the left.

    Parameters
    ----------
    func : callable
        Takes tensors, and returns a tensor or a tuple of them.
    inputs : Tensor or tuple of Tensor
    v : Tensor or tuple of Tensor, optional
        Shaped as the outputs; may be left out for an output of one element.
    create_graph, strict : bool
        As for `jacobian`.

    Returns
    -------
    outputs
        What the function returned.
    product
        Nested and shaped as ``inputs``.

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        If ``v`` does not fit the outputs.
    OperandError, AutogradError
        As `jacobian`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.autograd.functional.vjp(ad.exp, ad.tensor([0.0, 1.0]), ad.tensor([1.0, 0.0]))
    (tensor([1.0000, 2.7183]), tensor([1., 0.]))
    """
    call = _Call("vjp", func, inputs, create_graph, strict)
    run = call.run
    gs = call.vectors(v, run.ys, call.single_out, "the outputs")
    found = pulled(run.ys, gs, run.xs, history=create_graph, keep=True)
    return call.out(), call.nested_in(found)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Multiply the Jacobian of a function with a vector: forward mode.

    Parameters
    ----------
    func : callable
        Takes tensors, and returns a tensor or a tuple of them.
    inputs : Tensor or tuple of Tensor
    v : Tensor or tuple of Tensor, optional
        Shaped as the inputs; may be left out for an input of one element.
    create_graph, strict : bool
        As for `jacobian`.

    Returns
    -------
    outputs
        What the function returned.
    product
        Nested and shaped as the outputs.

    Raises
    ------
    ShapeError, ArgumentError, DTypeError
        If ``v`` does not fit the inputs.
    OperandError, AutogradError
        As `jacobian`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.autograd.functional.jvp(ad.exp, ad.tensor([0.0, 1.0]), ad.tensor([1.0, 1.0]))
    (tensor([1.0000, 2.7183]), tensor([1.0000, 2.7183]))
    """
    if strict:
        _Call("jvp", func, inputs, create_graph, strict)
    single = not isinstance(inputs, (tuple, list))
    xs = (inputs,) if single else tuple(inputs)
    check_tensors("jvp", "inputs", xs)
    if v is None:
        if len(xs) != 1 or xs[0].numel() != 1:
            raise ShapeError("jvp: v may be left out for an input of one element only; pass v, shaped as the inputs")
        v = xs[0].new_full(xs[0].shape, 1)
    structure = Structure(tuple, (), (Structure(),) * len(xs))
    given = tuple(v) if isinstance(v, (tuple, list)) else (v,)
    moves = check_like("jvp", "v", given, structure, xs, "the inputs")
    if not create_graph:
        xs, moves = tuple(map(without_history, xs)), list(map(without_history, moves))
    found, nested, _ = pushed("jvp", func, xs, moves, structure)
    values = [y for y, _ in found]
    moved = [FUNCTIONS["zeros_like"].call(y) if t is None else t for y, t in found]
    if not create_graph:
        values, moved = list(map(without_history, values)), list(map(without_history, moved))
    return (values[0], moved[0]) if nested.kind is None else (tuple(values), tuple(moved))


def _second(
    name: str, func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool
) -> tuple[Any, Any]:
    """Output of a function, and its Hessian times a vector: the gradient of ``<gradient, v>``."""
    call = _Call(name, func, inputs, create_graph, strict)
    run = call.run
    call.scalar()
    vs = call.vectors(v, run.xs, call.single, "the inputs")
    found = pulled(call.gradient(), vs, run.xs, history=create_graph, keep=True)
    return call.out(), call.nested_in(found)


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Multiply a vector with the Hessian of a function of one result, without forming it.

    Parameters
    ----------
    func : callable
        Takes tensors, and returns a tensor of one element.
    inputs : Tensor or tuple of Tensor
    v : Tensor or tuple of Tensor, optional
        Shaped as the inputs; may be left out for an input of one element.
    create_graph, strict : bool
        As for `jacobian`.

    Returns
    -------
    output : Tensor
    product
        Nested and shaped as ``inputs``.

    Raises
    ------
    ShapeError
        If the function returns more than one element.
    ArgumentError, DTypeError, OperandError, AutogradError
        As `vjp`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.autograd.functional.vhp(lambda x: (x**3).sum(), ad.tensor([1.0, 2.0]), ad.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return _second("vhp", func, inputs, v, create_graph, strict)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """Multiply the Hessian of a function of one result with a vector, without forming it.

    As `vhp`, since Hessians are symmetric. `polyad.func.hvp` goes by forward mode, which takes less memory.

    Parameters
    ----------
    func, inputs, v, create_graph, strict
        As for `vhp`.

    Returns
    -------
    output : Tensor
    product
        Nested and shaped as ``inputs``.

    Raises
    ------
    ShapeError, ArgumentError, DTypeError, OperandError, AutogradError
        As `vhp`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.autograd.functional.hvp(lambda x: (x**3).sum(), ad.tensor([1.0, 2.0]), ad.ones(2))
    (tensor(9.), tensor([ 6., 12.]))
    """
    return _second("hvp", func, inputs, v, create_graph, strict)
