"""Gradients, as in ``torch.autograd``: `backward`, `grad`, and the modes of recording."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from .. import views
from ..accumulation import ALONE, accumulate, as_type
from ..backend import Device
from ..backward_hooks import enter, leave
from ..engine import propagate
from ..errors import ArgumentError, AutogradError, DTypeError, OperandError, ShapeError, TransformError
from ..function import FUNCTIONS
from ..grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from ..graph import AccumulateGrad, Output
from ..levels import lift, meet
from ..tensor import Tensor, wrap
from . import function as function, graph as graph
from .anomaly import detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from .function import Function
from .joint import constant_in, form_of

__all__ = [
    "Function",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "function",
    "graph",
    "inference_mode",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "no_grad",
    "profiler",
    "set_detect_anomaly",
    "set_grad_enabled",
]


_LATE = ("forward_ad", "functional", "profiler")
"""Modules that build on what stands below this package, and are loaded when first asked for."""


def __getattr__(name: str) -> Any:
    """Give what is loaded when first asked for: modules, and the checks of `polyad.testing` under PyTorch's names."""
    if name in _LATE:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    if name in ("gradcheck", "gradgradcheck"):
        from .. import testing

        return getattr(testing, name)
    raise AttributeError(f"module 'polyad.autograd' has no attribute {name!r}")


def _tensors(value: Any, caller: str, argument: str) -> Sequence[Tensor]:
    found: Sequence[Any] = value if isinstance(value, (list, tuple)) else [value]
    for t in found:
        if not isinstance(t, Tensor):
            raise OperandError(f"{caller}: {argument} must be a tensor or a sequence of tensors; got {t!r:.80}")
    return found


def _deep(outputs: Sequence[Tensor], gradients: Sequence[Any]) -> bool:
    """Whether a pass is among tensors of transforms: the gradients may be of a deeper level than the graph."""
    for y in outputs:
        if y._device.depth:
            return True
    for g in gradients:  # noqa: SIM110 - loops, since every pass comes here
        if isinstance(g, Tensor) and g._device.depth:
            return True
    return False


def _roots(outputs: Sequence[Tensor], gradients: Sequence[Any], caller: str, tensors: bool) -> list[tuple[Any, Any]]:
    """Where a pass starts: for each output its edge and the gradient that enters there, as a Tensor or raw."""
    if len(gradients) != len(outputs):
        raise ShapeError(f"{caller}: {len(outputs)} outputs need as many gradients; got {len(gradients)}")
    roots = []
    for y, given in zip(outputs, gradients):  # noqa: B905 - of one length, as was checked
        node = views.node_of(y)
        if node is None:
            raise AutogradError(
                f"{caller}: the tensor of shape {y.shape} does not require a gradient and has no grad_fn, so there is "
                f"nothing to go back through; set requires_grad=True on an input, and compute outside no_grad()"
                + _below(y)
            )
        if given is None:
            g = _implied(y, caller)
            roots.append((node, wrap(y._device.backend.copy(g), y._device) if tensors else g))
        else:
            roots.append((node, enter(_checked(given, y, caller), y, tensors)))
    return roots


def _below(y: Tensor) -> str:
    """What to say of a tensor of a transform, which may hold one that has a history."""
    if not y._device.depth:
        return ""
    return (
        f". It is of {y._device.where}: a history that the tensors have which it holds is gone back through from those "
        f"that the transform gives back"
    )


def _implied(y: Tensor, caller: str) -> Any:
    """Give the 1 that is meant where no gradient is passed, as a raw array."""
    data = views.raw(y)
    shape = data.shape
    if shape != () and math.prod(shape) != 1:
        raise ShapeError(
            f"{caller}: a gradient is implied only for a tensor of one element; this one has shape {shape}. "
            f"Pass {'gradient' if caller == 'backward' else 'grad_outputs'}= of that shape, or start at y.sum()"
        )
    return y._device.one(shape, data.dtype)


def _checked(g: Any, y: Tensor, caller: str) -> Tensor:
    """Give a user's gradient of ``y`` in its type; a wrong shape or place is an error."""
    if not isinstance(g, Tensor):
        raise OperandError(f"{caller}: a gradient must be a tensor; got {type(g).__name__}")
    if g.shape != y.shape:
        raise ShapeError(f"{caller}: the gradient has shape {g.shape}; expected {y.shape}, the tensor's own")
    if g._device is not y._device:
        at = meet(g._device, y._device)
        if at is None:
            raise AutogradError(
                f"{caller}: the gradient is on {g._device.where}; expected {y._device.where}. "
                f"Write gradient.to(device=y.device)"
            )
        g = lift(g, at)
    if g.dtype.is_complex and not y.dtype.is_complex:
        raise DTypeError(f"{caller}: the gradient is {g.dtype.name}; expected {y.dtype.name}")
    return g if g.dtype == y.dtype else FUNCTIONS["astype"].call(g, y.dtype)  # type: ignore[no-any-return]


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Compute gradients of tensors with respect to the leaves they came from, and add them to ``leaf.grad``.

    Parameters
    ----------
    tensors : Tensor or sequence of Tensor
        Where to start.
    grad_tensors : Tensor or sequence of (Tensor or None), optional
        For each a gradient of its shape and device. May be left out for tensors of one element.
    retain_graph : bool, optional
        Whether the graph can be gone through again; by default only with ``create_graph``.
    create_graph : bool
        Whether the gradients are recorded, so that they can be differentiated in turn.
    inputs : Tensor or sequence of Tensor, optional
        Accumulate into these alone.

    Raises
    ------
    AutogradError
        If a tensor has no graph, the graph was freed, or a kept value was overwritten.
    ShapeError
        If a gradient is missing or has another shape.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor([1.0, 2.0], requires_grad=True)
    >>> ad.autograd.backward([(x * 3).sum()])
    >>> x.grad
    tensor([3., 3.])
    """
    outputs = _tensors(tensors, "backward", "tensors")
    if grad_tensors is None:
        given: Sequence[Any] = [None] * len(outputs)
    else:
        given = grad_tensors if isinstance(grad_tensors, (list, tuple)) else [grad_tensors]
    keep = create_graph if retain_graph is None else retain_graph
    wanted = targets = None
    if inputs is not None:
        targets = _tensors(inputs, "backward", "inputs")
        wanted = [views.node_of(t) for t in targets]
        for t, edge in zip(targets, wanted, strict=True):
            if edge is None:
                raise AutogradError(
                    f"backward: inputs has a tensor of shape {t.shape} that does not require a gradient"
                )
    deep = _deep(outputs, given)
    if not create_graph and not deep:
        roots = _roots(outputs, given, "backward", False)
        found = propagate(roots, keep=keep, create_graph=False, wanted=wanted, accumulate=accumulate)
        if targets is None:
            accumulate(found)
        else:
            _accumulate_into(targets, found, False)
        return
    with enable_grad() if create_graph else nullcontext():
        roots = _roots(outputs, given, "backward", True)
        _backward_of_tensors(roots, targets, wanted, keep, create_graph, deep)


def _backward_of_tensors(
    roots: Sequence[tuple[Any, Any]],
    targets: Sequence[Tensor] | None,
    wanted: Sequence[Any] | None,
    keep: bool,
    create_graph: bool,
    deep: bool,
) -> None:
    """Do what `backward` does where gradients are tensors: they are recorded, or meet those of transforms."""
    early: list[AccumulateGrad] = []

    def accumulate_early(gradients: dict[Any, Any]) -> None:
        early.extend(gradients)
        accumulate(_landed(gradients, create_graph) if deep else gradients, create_graph)

    found = propagate(
        roots, keep=keep, create_graph=create_graph, tensors=True, wanted=wanted, accumulate=accumulate_early
    )
    leaves = [leaf for edge in (*early, *found) if type(edge) is AccumulateGrad and (leaf := edge.leaf()) is not None]
    if deep:
        found = _landed(found, create_graph)
    if targets is not None:
        _accumulate_into(targets, found, create_graph)
        return
    accumulate(found, create_graph)
    if create_graph:
        for leaf in leaves:
            if leaf._grad is not None:  # no hook dropped it
                leaf._grad = constant_in(leaf._grad, *_constants(leaves))


def _landed(found: dict[Any, Any], create_graph: bool) -> dict[Any, Any]:
    """Gradients of a pass among tensors of transforms, as leaves take them."""
    return {edge: _landing(g, edge.device, create_graph) for edge, g in found.items()}


def _landing(g: Tensor, device: Device, create_graph: bool) -> Any:
    """A gradient of a pass among tensors of transforms, as a leaf takes it: it has to be of the leaf's own level."""
    if meet(g._device, device) is not device:
        raise TransformError(
            f"backward: a leaf on {device.where} would be left with a gradient of {g._device.where}; write "
            f"autograd.grad(y, x), and return what it gives from the transformed function"
        )
    g = lift(g, device)
    return g if create_graph else views.raw(g)


def _accumulate_into(targets: Sequence[Tensor], found: dict[Any, Any], create_graph: bool) -> None:
    """Add the gradients that were found to the tensors that were named, leaves or not."""
    accumulate({e: g for e, g in found.items() if type(e) is AccumulateGrad}, create_graph)
    for t in targets:
        edge = views.node_of(t)
        if type(edge) is not AccumulateGrad and edge in found:
            g = leave(found[edge], t._device)
            if not create_graph:
                g._data = t._device.backend.owned(g._data, True)
            t.grad = g if t.grad is None else t.grad + g


def _constants(tensors: Sequence[Tensor]) -> tuple[list[Any], list[Any]]:
    """What `constant_in` is to know of tensors."""
    return [views.node_of(t) for t in tensors], [form_of(t) for t in tensors]


def _inputs(value: Any) -> Sequence[Any]:
    """What `grad` is asked for: tensors, and edges of the graph."""
    found = [value] if isinstance(value, graph.GradientEdge) or not isinstance(value, (list, tuple)) else value
    for x in found:
        if not isinstance(x, (Tensor, graph.GradientEdge)):
            raise OperandError(f"grad: inputs must be a tensor or a sequence of tensors; got {x!r:.80}")
    return found


def _edge_of(x: Any) -> Any:
    """The edge of a tensor; of a place in the graph."""
    if isinstance(x, Tensor):
        return views.node_of(x)
    return Output(x.node, x.output_nr) if type(x.node) is not AccumulateGrad and x.node.function.outputs > 1 else x.node


def _own(g: Any, x: Any, device: Device, shared: bool) -> Tensor:
    """Give a raw gradient as a tensor in memory of its own: copied, if anybody else has the array (``shared``)."""
    g = device.backend.owned(device.asarray(g), shared or type(g) is not device.array)
    return leave(as_type(g, x, device) if isinstance(x, Tensor) else g, device)


def _free(g: Any, x: Any) -> Tensor:
    """A gradient of a pass among tensors of transforms, which nobody differentiates at its own level."""
    if isinstance(x, Tensor) and g.dtype is not x.dtype:
        g = FUNCTIONS["astype"].call(g, x.dtype)
    data = views.raw(g)
    return wrap(data if g._device.depth else g._device.backend.owned(data, True), g._device)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | graph.GradientEdge | Sequence[Tensor | graph.GradientEdge],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Compute and return gradients of outputs with respect to inputs; ``grad`` of no tensor changes.

    Parameters
    ----------
    outputs : Tensor or sequence of Tensor
    inputs : Tensor or sequence of Tensor
        Leaves or intermediate results; or their places in the graph (`autograd.graph.get_gradient_edge`).
    grad_outputs : Tensor or sequence of (Tensor or None), optional
        For each output a gradient of its shape. May be left out for outputs of one element.
    retain_graph, create_graph : bool
        As for `backward`.
    allow_unused : bool, optional
        Give None for inputs that no output depends on, instead of raising.
    is_grads_batched : bool
        Whether each of ``grad_outputs`` is many gradients, along a first dimension more. They go back together, by
        `polyad.func.vmap`, and the results have that dimension in front.
    materialize_grads : bool
        Give zeros for them.

    Returns
    -------
    tuple of Tensor
        One gradient for each input, of its shape.

    Raises
    ------
    AutogradError
        If an input requires no gradient, or no output depends on it.
    ArgumentError
        If ``is_grads_batched`` has no ``grad_outputs`` to go with it.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor(2.0, requires_grad=True)
    >>> (dy,) = ad.autograd.grad(x**3, x, create_graph=True)
    >>> ad.autograd.grad(dy, x)
    (tensor(12.),)
    >>> x = ad.tensor([1.0, 2.0], requires_grad=True)
    >>> ad.autograd.grad(x**3, x, ad.eye(2), is_grads_batched=True)
    (tensor([[ 3.,  0.],
            [ 0., 12.]]),)
    """
    if is_grads_batched:
        return _grads_of_many(
            outputs,
            inputs,
            grad_outputs,
            retain_graph=retain_graph,
            create_graph=create_graph,
            allow_unused=allow_unused,
            materialize_grads=materialize_grads,
        )
    ys, xs = _tensors(outputs, "grad", "outputs"), _inputs(inputs)
    if materialize_grads and allow_unused is False:
        raise AutogradError("grad: materialize_grads=True gives zeros for unused inputs; leave allow_unused out")
    if grad_outputs is None:
        given: Sequence[Any] = [None] * len(ys)
    else:
        given = list(grad_outputs) if isinstance(grad_outputs, (list, tuple)) else [grad_outputs]
    edges = [_edge_of(x) for x in xs]
    constants = _constants([x for x in xs if isinstance(x, Tensor)])
    for i, edge in enumerate(edges):
        if edge is None:
            raise AutogradError(
                f"grad: inputs[{i}], of shape {xs[i].shape}, does not require a gradient; "
                f"call requires_grad_() on it before computing the outputs"
            )
    keep = create_graph if retain_graph is None else retain_graph
    deep = _deep(ys, given)
    with enable_grad() if create_graph else nullcontext() if deep else no_grad():
        roots = _roots(ys, given, "grad", create_graph or deep)
        found = propagate(roots, keep=keep, create_graph=create_graph, tensors=deep, wanted=edges)
        repeated = len(set(map(id, edges))) < len(edges)
        results: list[Any] = []
        for i, (x, edge) in enumerate(zip(xs, edges, strict=True)):
            g = found.get(edge) if repeated else found.pop(edge, None)
            if g is not None and create_graph:
                results.append(constant_in(leave(g, edge.device), *constants))
            elif g is not None and deep:
                results.append(_free(leave(g, edge.device), x))
            elif g is not None:
                results.append(_own(g, x, edge.device, sys.getrefcount(g) > ALONE))
            elif not isinstance(x, Tensor):
                raise AutogradError(
                    f"grad: inputs[{i}], the edge to {x.node.name()}, was not used in computing the outputs"
                )
            elif materialize_grads:
                results.append(FUNCTIONS["zeros_like"].call(x))
            elif allow_unused:
                results.append(None)
            else:
                raise AutogradError(
                    f"grad: inputs[{i}], of shape {x.shape}, was not used in computing the outputs; "
                    f"pass allow_unused=True for None in its place, or materialize_grads=True for zeros"
                )
    return tuple(results)


def _grads_of_many(outputs: Any, inputs: Any, grad_outputs: Any, **options: Any) -> tuple[Any, ...]:
    """Carry many gradients back at once."""
    given = tuple(grad_outputs) if isinstance(grad_outputs, (list, tuple)) else (grad_outputs,)
    if all(g is None for g in given):
        raise ArgumentError(
            "grad: is_grads_batched=True takes many gradients of each output; pass them as grad_outputs=, with one "
            "dimension more in front"
        )
    from ..func import vmap

    return vmap(lambda gs: grad(outputs, inputs, gs, **options))(given)  # type: ignore[no-any-return]
