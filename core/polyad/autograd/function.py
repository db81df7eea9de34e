"""Operations of the user's own, with a derivative of the user's own: `Function`, as ``torch.autograd.Function``."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Sequence
from typing import Any

from .. import views
from ..backward_hooks import enter, leave, own
from ..errors import AutogradError, DeviceError, OperandError, ShapeError
from ..function import FUNCTIONS, TENSORS, Function as Record
from ..grad_mode import enable_grad, no_grad, recording, watched
from ..graph import Node, guard, new, next_sequence
from ..levels import lift, meet, unrecorded
from ..rules import sum_to
from ..tensor import Tensor
from .context import FunctionCtx, FunctionNode, context_of, edge_of_result
from .joint import constant_in, form_of, joint_record, zeros
from .refusals import LOST, SharedResult, has_no_history, once_differentiable, refuse_attributes, refusing

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class Function:
    """Base class of operations whose derivative is written by hand.

    A subclass has static methods ``forward(ctx, *args)``, or ``forward(*args)`` with ``setup_context(ctx, inputs,
    output)``, and ``backward(ctx, *grad_outputs)``, which returns one gradient for each argument of forward, None for
    those that have none. It is called by ``apply``. For functions that run on all backends see `polyad.function`.

    Forward is not recorded. Where gradients of gradients are asked for, what ``backward`` does is recorded.

    In forward mode ``jvp(ctx, *tangents)`` gives the tangents of the results. A class without it needs none: its
    ``backward`` is linear in the gradients, so it is transposed. Under `vmap`, forward and backward run on tensors of
    one example's shape, whose operations compute all examples together; a static method ``vmap(info, in_dims, *args)``
    takes forward's place there.

    Examples
    --------
    >>> import polyad as ad
    >>> class Cube(ad.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x**3
    ...
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return g * 3 * x**2
    >>> x = ad.tensor(2.0, requires_grad=True)
    >>> ad.autograd.grad(Cube.apply(x), x)
    (tensor(12.),)
    """

    _context: Any
    _records: dict[Any, Record]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._context = type(f"{cls.__name__}Context", (FunctionCtx,), {"_name": cls.__name__})
        cls._records = {}

    def __init__(self) -> None:
        raise AutogradError(
            f"{type(self).__name__}: a Function is not made, but called by its class: write "
            f"{type(self).__name__}.apply(...)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the results: of the context and the arguments, or of the arguments alone with `setup_context`."""
        raise NotImplementedError("a Function needs a static method forward(ctx, *args)")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Keep what backward needs, after forward ran without a context."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Compute a gradient for each argument from the gradients of the results."""
        raise NotImplementedError("a Function whose results are differentiated needs a static method backward(ctx, g)")

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Compute the tangents of the results from those of the arguments, which are None where there is none.

        Without it forward mode transposes `backward`.
        """
        raise NotImplementedError

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *args: Any) -> Any:
        """Compute the results for many examples at once: ``(output, out_dims)``, as in PyTorch.

        ``info`` has ``batch_size`` and ``randomness``. ``in_dims`` says for each argument along which dimension it has
        the examples, None for what is the same for all. Gradients inside `vmap` need `setup_context`, then. Without
        this method forward runs on tensors of the shape of one example.
        """
        raise NotImplementedError

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run `forward`, and record it as one operation.

        Parameters
        ----------
        *args
            What forward takes. Tensors among them, but not inside lists and the like, get gradients.

        Returns
        -------
        Tensor or tuple
            What forward returns.

        Raises
        ------
        AutogradError
            If a tensor was marked dirty that was not written to, not returned, or is a leaf that requires a gradient.
        OperandError
            If forward returns no tensor.
        """
        if any(isinstance(a, Tensor) and a._device.depth for a in args):
            from ..transforms.custom import applied

            return applied(cls, args)
        ctx: Any = cls._context()
        edges = tuple(views.node_of(a) if isinstance(a, Tensor) else None for a in args)
        recorded = recording() is not False and any(e is not None for e in edges)
        ctx.needs_input_grad = tuple(e is not None for e in edges)
        counts = [a.version if isinstance(a, Tensor) else 0 for a in args]
        output = forwarded(cls, ctx, args)
        outputs = output if isinstance(output, tuple) else (output,)
        _check_dirty(cls, ctx, args, counts, outputs, recorded)
        if not recorded:
            return output
        made = results(cls, ctx, args, edges, outputs)
        return tuple(made) if isinstance(output, tuple) else made[0]


def forwarded(cls: type[Function], ctx: Any, args: Sequence[Any]) -> Any:
    """Run the user's forward, and check that it returns tensors."""
    with no_grad():
        if cls.setup_context is Function.setup_context:
            output = cls.forward(ctx, *args)
        else:
            output = cls.forward(*args)
            cls.setup_context(ctx, tuple(args), output)
    if not any(isinstance(t, Tensor) for t in (output if isinstance(output, tuple) else (output,))):
        raise OperandError(f"{cls.__name__}: forward must return a tensor or a tuple of them; got {output!r:.80}")
    return output


def _check_dirty(
    cls: type, ctx: Any, args: Sequence[Any], counts: Sequence[int], outputs: Sequence[Any], recorded: bool
) -> None:
    for t in ctx._dirty:
        at = next((i for i, a in enumerate(args) if a is t), None)
        if at is None:
            raise AutogradError(f"{cls.__name__}: mark_dirty got a tensor that is no argument of forward")
        if t.version == counts[at]:
            raise AutogradError(
                f"{cls.__name__}: mark_dirty got argument {at}, which forward did not write to in place; leave it out"
            )
        if not any(t is o for o in outputs):
            raise AutogradError(f"{cls.__name__}: argument {at} is marked dirty, so forward has to return it")
        if recorded:
            views.check_write(t, cls.__name__)


def results(cls: type[Function], ctx: Any, args: Any, edges: tuple[Any, ...], outputs: Sequence[Any]) -> list[Any]:
    """Record the call: give its results with their history."""
    tensors = [t for t in outputs if isinstance(t, Tensor)]
    constant = ctx._constant
    differentiable = [t.dtype.is_differentiable and not (constant and any(t is c for c in constant)) for t in tensors]
    node: Any = new(FunctionNode)
    node.function = _record(cls, len(tensors))
    node.device, node.edges, node.seq = tensors[0]._device, edges, next_sequence()
    node.hooks = node.shapes = None
    node.guards = ()
    node.args = tuple(None if e is None else (ctx,) for e in edges)
    ctx._arguments, ctx._results = tuple(map(form_of, args)), tuple(map(form_of, tensors))
    made: list[Any] = []
    index = 0
    for output in outputs:
        if not isinstance(output, Tensor):
            ctx._outputs += (None,)
            made.append(output)
            continue
        ctx._outputs += (index,)
        edge = edge_of_result(node, index) if differentiable[index] else None
        made.append(_connected(cls, ctx, output, edge, args))
        index += 1
    if any(differentiable):
        _save(ctx, node, args, edges, tensors, made)
    ctx._dirty = ctx._constant = ()  # tensors whose history has the context would be a cycle
    ctx._for_forward = None
    watch: Any = watched()
    if watch is not None:
        watch.note(node, args)
    return made


def _connected(cls: type, ctx: Any, output: Tensor, edge: Any, args: Any) -> Tensor:
    """A result with its place in the graph: an argument that was written to, a new name for one, or the result."""
    if any(output is t for t in ctx._dirty):
        views.write(output, views.raw(output), edge, cls.__name__, written=True)
        return output
    if views.node_of(output) is not None or any(output is a for a in args):  # it is somebody else's
        other: Tensor = new(type(output))
        other._grad = None
        views.adopt(other, output)
        output = other
    if views.is_shared(output) and output.dtype.is_differentiable:
        views.keep_apart(output, edge, SharedResult(cls.__name__, output._device, edge))
    elif edge is not None:
        views.cut(output, edge)
    return output


def _save(ctx: Any, node: Any, args: Any, edges: Any, tensors: Sequence[Tensor], made: Sequence[Any]) -> None:
    """Keep what `save_for_backward` named, as arrays: kept results must not keep their own history alive."""
    results = [t for t in made if isinstance(t, Tensor)]
    watch: Any = watched()
    saved: list[Any] = []
    guards: tuple[Any, ...] = ()
    for t in ctx._to_save or ():
        if t is None:
            saved.append(None)
            continue
        index = next((i for i, (a, b) in enumerate(zip(tensors, results, strict=True)) if t is a or t is b), None)
        position = next((i for i, a in enumerate(args) if a is t), None)
        dirty = any(t is d for d in ctx._dirty)
        if position is not None and not dirty:
            index = None  # returned as it is: the argument is the shorter way
        known = index is not None or position is not None or not t.dtype.is_differentiable
        array, guarded = (views.raw(t), True) if watch is None else watch.kept(t, node.name())
        version = None
        if guarded:
            version, count = guard(results[index] if index is not None else t)
            guards += version, count
        edge = edges[position] if position is not None and not dirty else None
        saved.append((array, edge, index, t._device, known, version))
    ctx._saved, ctx._to_save, node.guards = tuple(saved), None, guards
    ctx._node = weakref.ref(node)


# Backward -------------------------------------------------------------------------------------------------------


def _record(cls: type[Function], outputs: int) -> Record:
    """The record of a class's nodes, for the engine."""
    record = cls._records.get(outputs)
    if record is None:
        record = cls._records[outputs] = joint_record(cls.__name__, functools.partial(_backward, cls), outputs)
        record.provider, record.owns = cls.__module__, True
    return record


def _backward(cls: type[Function], node: Node, g: Any, args: Sequence[Any], tensors: bool, history: bool) -> list[Any]:
    """Run the user's backward, and give the gradients of all arguments as the engine carries them."""
    name = cls.__name__
    ctx: Any = context_of(node)
    incoming = g if node.function.outputs > 1 else (g,)
    deeper = [x._device for x in incoming if isinstance(x, Tensor)]
    with enable_grad() if history else unrecorded(node.device, *deeper):
        grads = tuple(
            (own if isinstance(x, Tensor) else leave)(x, device)  # raw ones are owned, see `Record.owns`
            if x is not None
            else (zeros(shape, dtype, device) if ctx._materialize else None)
            for x, (shape, dtype, device) in zip(incoming, ctx._results, strict=True)
        )
        recorded = history and not hasattr(cls.backward, "once_differentiable")
        if recorded or ctx._varied:
            refuse_attributes(ctx, name)
        if recorded:
            # with a history, so that a result without one was not computed from them in recorded operations
            grads = tuple(
                g if g is None or g._device is not node.device else constant_in(g, node.edges, ctx._arguments)
                for g in grads
            )
        ctx._pass = node, history
        try:
            every = [None if i is None else grads[i] for i in ctx._outputs]
            found = returned(cls, ctx, every, [a is not None for a in args])
        finally:
            ctx._pass = ctx._opened = None
        if recorded:
            found = [
                refusing(name, x, node.edges, LOST) if has_no_history(x) and x._device is node.device else x
                for x in found
            ]
        given = [
            None if a is None else fitted(name, i, x, form, tensors)
            for i, (x, a, form) in enumerate(zip(found, args, ctx._arguments, strict=True))
        ]
        return [None if x is None else enter(x, x, tensors) for x in given]


def returned(cls: type[Function], ctx: Any, grads: Sequence[Any], needed: Sequence[bool]) -> list[Any]:
    """Run the user's backward, and give what it returns: one gradient for each argument."""
    before, ctx.needs_input_grad = ctx.needs_input_grad, tuple(needed)
    try:
        found = cls.backward(ctx, *grads)
    finally:
        ctx.needs_input_grad = before
    found = list(found) if isinstance(found, (tuple, list)) else [found]
    while len(found) > len(needed) and found[-1] is None:
        found.pop()
    if len(found) != len(needed):
        raise AutogradError(
            f"{cls.__name__}: backward returned {len(found)} gradients; expected {len(needed)}, one for each argument "
            f"of forward, None for those without"
        )
    return found


def fitted(name: str, i: int, g: Any, form: Any, deeper: bool) -> Any:
    """A gradient that the user's backward returned, in the argument's shape and type.

    As in PyTorch, one that an argument's shape broadcasts to is summed, and one of another type is converted. Where
    gradients are Tensors, they may be of a ``deeper`` level than the argument.
    """
    if g is None:
        return None
    if not isinstance(g, Tensor):
        raise OperandError(f"{name}: backward returned a {type(g).__name__} as gradient {i}; expected a tensor or None")
    shape, dtype, device = form
    if g._device is not device:
        at: Any = meet(g._device, device)
        if at is None or (at is not device and not deeper):
            raise DeviceError(
                f"{name}: backward returned gradient {i} on {g._device.where}; expected {device.where}, where the "
                f"argument is; write g.to(device=x.device)"
            )
        g = lift(g, at)
    if g.shape != shape:
        if not _broadcasts(shape, g.shape):
            raise ShapeError(f"{name}: backward returned gradient {i} of shape {g.shape}; expected {shape}")
        g = sum_to(TENSORS, g, shape)
    wanted = device.dtypes[dtype]
    if g.dtype is not wanted:
        if g.dtype.is_complex and not wanted.is_complex:
            g = FUNCTIONS["real"].call(g)
        g = FUNCTIONS["astype"].call(g, wanted)
    return g


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(to), strict=False))
