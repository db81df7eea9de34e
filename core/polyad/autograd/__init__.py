"""Gradients, as in ``torch.autograd``: `backward`, `grad`, and the modes of recording."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeAlias, overload

from .. import grad_mode as grad_mode, views
from ..accumulation import ALONE, accumulate, as_type, owned
from ..backend import Device
from ..backward_hooks import leave
from ..engine import propagate
from ..errors import ArgumentError, AutogradError, TransformError
from ..function import FUNCTIONS
from ..grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled as is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)
from ..graph import AccumulateGrad
from ..levels import lift, meet
from ..tensor import Tensor, wrap
from . import function as function, graph as graph
from .anomaly import (
    detect_anomaly,
    is_anomaly_check_nan_enabled as is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_anomaly_enabled as set_anomaly_enabled,
    set_detect_anomaly,
)
from .function import Function
from .joint import constant_in, form_of
from .roots import deep, edge_of, gradients_of, inputs_of, outputs_of, roots_of, usual_root
from .variable import Variable

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "function",
    "grad_mode",
    "graph",
    "inference_mode",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "no_grad",
    "profiler",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


Ends: TypeAlias = Tensor | graph.GradientEdge | Iterable[Tensor | graph.GradientEdge]
"""Where a pass starts, or what it is to reach."""

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


def backward(
    tensors: Ends,
    grad_tensors: Tensor | Iterable[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Tensor | Iterable[Tensor | None] | None = None,
    inputs: Ends | Mapping[Any, Tensor] | None = None,
) -> None:
    """Compute gradients of tensors with respect to the leaves they came from, and add them to ``leaf.grad``.

    Parameters
    ----------
    tensors : Tensor, GradientEdge or iterable of them
        Where to start.
    grad_tensors : Tensor or iterable of (Tensor or None), optional
        For each a gradient of its shape and device. May be left out for real tensors of one element.
    retain_graph : bool, optional
        Whether the graph can be gone through again; by default only with ``create_graph``.
    create_graph : bool
        Whether the gradients are recorded, so that they can be differentiated in turn.
    grad_variables : optional
        PyTorch's old name of ``grad_tensors``.
    inputs : Tensor or iterable of Tensor, optional
        Accumulate into these alone: tensors, edges of leaves (`autograd.graph.get_gradient_edge`), or the values of a
        dictionary.

    Raises
    ------
    ArgumentError
        If ``inputs`` is empty, or ``grad_variables`` comes beside ``grad_tensors``.
    AutogradError
        If a tensor has no graph, the graph was freed, or a kept value was overwritten.
    DTypeError
        If the gradient of a complex number is left out.
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
    if grad_variables is not None:
        grad_tensors = _renamed(grad_tensors, grad_variables)
    if type(tensors) is Tensor and grad_tensors is None and inputs is None and not create_graph:
        usual = usual_root(tensors)
        if usual is not None:
            accumulate(propagate(usual, keep=bool(retain_graph), create_graph=False, accumulate=accumulate))
            return
    outputs = outputs_of(tensors, "backward", "tensors")
    given = gradients_of(grad_tensors, len(outputs))
    keep = create_graph if retain_graph is None else retain_graph
    wanted = targets = None
    if inputs is not None:
        targets = inputs_of(inputs, "backward")
        wanted = [_taking(t) for t in targets]
    is_deep = deep(outputs, given)
    if not create_graph and not is_deep:
        roots = roots_of(outputs, given, "backward", False)
        found = propagate(roots, keep=keep, create_graph=False, wanted=wanted, accumulate=accumulate)
        if targets is None:
            accumulate(found)
        else:
            _accumulate_into(targets, found, False)
        return
    with enable_grad() if create_graph else nullcontext():
        roots = roots_of(outputs, given, "backward", True)
        _backward_of_tensors(roots, targets, wanted, keep, create_graph, is_deep)


def _backward_of_tensors(
    roots: Sequence[tuple[Any, Any]],
    targets: Sequence[Any] | None,
    wanted: Sequence[Any] | None,
    keep: bool,
    create_graph: bool,
    is_deep: bool,
) -> None:
    """Do what `backward` does where gradients are tensors: they are recorded, or meet those of transforms."""
    early: list[AccumulateGrad] = []

    def accumulate_early(gradients: dict[Any, Any]) -> None:
        early.extend(gradients)
        accumulate(_landed(gradients, create_graph) if is_deep else gradients, create_graph)

    found = propagate(
        roots, keep=keep, create_graph=create_graph, tensors=True, wanted=wanted, accumulate=accumulate_early
    )
    leaves = [leaf for edge in (*early, *found) if type(edge) is AccumulateGrad and (leaf := edge.leaf()) is not None]
    if is_deep:
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


def _renamed(grad_tensors: Any, grad_variables: Any) -> Any:
    """What was passed under PyTorch's old name of ``grad_tensors``."""
    if grad_tensors is not None:
        raise ArgumentError("backward: grad_variables is the old name of grad_tensors; pass grad_tensors alone")
    warnings.warn("backward: grad_variables is deprecated; write grad_tensors=", FutureWarning, stacklevel=3)
    return grad_variables


def _taking(target: Any) -> Any:
    """The edge of what `backward` is to accumulate into: a tensor, or the edge of a leaf."""
    edge = edge_of(target)
    if edge is None:
        raise AutogradError(
            f"backward: inputs has a tensor of shape {target.shape} that does not require a gradient; "
            f"call requires_grad_() on it before computing the outputs"
        )
    if not isinstance(target, Tensor) and type(edge) is not AccumulateGrad:
        raise AutogradError(
            f"backward: inputs has the edge to {edge.name()}, which has no grad to accumulate into; "
            f"pass the tensor itself, or write autograd.grad(y, edge)"
        )
    return edge


def _landing(g: Tensor, device: Device, create_graph: bool) -> Any:
    """A gradient of a pass among tensors of transforms, as a leaf takes it: it has to be of the leaf's own level."""
    if meet(g._device, device) is not device:
        raise TransformError(
            f"backward: a leaf on {device.where} would be left with a gradient of {g._device.where}; write "
            f"autograd.grad(y, x), and return what it gives from the transformed function"
        )
    g = lift(g, device)
    return g if create_graph else views.raw(g)


def _accumulate_into(targets: Sequence[Any], found: dict[Any, Any], create_graph: bool) -> None:
    """Add the gradients that were found to the tensors that were named, leaves or not."""
    accumulate({e: g for e, g in found.items() if type(e) is AccumulateGrad}, create_graph)
    for t in targets:
        edge = edge_of(t)
        if type(edge) is not AccumulateGrad and edge in found and not t.retains_grad:  # which has its own by now
            g = leave(found[edge], t._device)
            if not create_graph:
                g._data = t._device.backend.owned(g._data, True)
            t.grad = g if t.grad is None else t.grad + g


def _constants(tensors: Sequence[Tensor]) -> tuple[list[Any], list[Any]]:
    """What `constant_in` is to know of tensors."""
    return [views.node_of(t) for t in tensors], [form_of(t) for t in tensors]


def _own(g: Any, x: Any, device: Device, shared: bool) -> Tensor:
    """Give a raw gradient as a tensor in memory of its own (see `owned`), and of the type of ``x``."""
    g = owned(g, device, shared)
    return leave(as_type(g, x, device) if isinstance(x, Tensor) else g, device)


def _free(g: Any, x: Any) -> Tensor:
    """A gradient of a pass among tensors of transforms, which nobody differentiates at its own level."""
    if isinstance(x, Tensor) and g.dtype is not x.dtype:
        g = FUNCTIONS["astype"].call(g, x.dtype)
    data = views.raw(g)
    return wrap(data if g._device.depth else g._device.backend.owned(data, True), g._device)


@overload
def grad(
    outputs: Ends,
    inputs: Mapping[Any, Tensor],
    grad_outputs: Tensor | Iterable[Tensor | None] | None = ...,
    retain_graph: bool | None = ...,
    create_graph: bool = ...,
    only_inputs: bool = ...,
    allow_unused: bool | None = ...,
    is_grads_batched: bool = ...,
    materialize_grads: bool = ...,
) -> dict[Any, Any]: ...
@overload
def grad(
    outputs: Ends,
    inputs: Ends,
    grad_outputs: Tensor | Iterable[Tensor | None] | None = ...,
    retain_graph: bool | None = ...,
    create_graph: bool = ...,
    only_inputs: bool = ...,
    allow_unused: bool | None = ...,
    is_grads_batched: bool = ...,
    materialize_grads: bool = ...,
) -> tuple[Any, ...]: ...
def grad(
    outputs: Ends,
    inputs: Ends | Mapping[Any, Tensor],
    grad_outputs: Tensor | Iterable[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> Any:
    """Compute and return gradients of outputs with respect to inputs; ``grad`` of no tensor changes.

    Parameters
    ----------
    outputs : Tensor, GradientEdge or iterable of them
    inputs : Tensor, GradientEdge, iterable of them, or dict of Tensor
        Leaves or intermediate results; or their places in the graph (`autograd.graph.get_gradient_edge`).
    grad_outputs : Tensor or iterable of (Tensor or None), optional
        For each output a gradient of its shape. May be left out for real outputs of one element.
    retain_graph, create_graph : bool
        As for `backward`.
    only_inputs : bool
        Taken for PyTorch's sake: no other tensors get gradients.
    allow_unused : bool, optional
        Give None for inputs that no output depends on, instead of raising.
    is_grads_batched : bool
        Whether each of ``grad_outputs`` is many gradients, along a first dimension more. They go back together, by
        `polyad.func.vmap`, and the results have that dimension in front.
    materialize_grads : bool
        Give zeros for them.

    Returns
    -------
    tuple of Tensor, or dict
        One gradient for each input, of its shape; under the keys of ``inputs``, if it is a dictionary.

    Raises
    ------
    AutogradError
        If an input requires no gradient, or no output depends on it.
    ArgumentError
        If ``inputs`` is empty, or ``is_grads_batched`` has no ``grad_outputs`` to go with it.
    DTypeError
        If the gradient of a complex number is left out.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor(2.0, requires_grad=True)
    >>> (dy,) = ad.autograd.grad(x**3, x, create_graph=True)
    >>> ad.autograd.grad(dy, x)
    (tensor(12.),)
    >>> ad.autograd.grad(x * x, {"x": x})
    {'x': tensor(4.)}
    >>> x = ad.tensor([1.0, 2.0], requires_grad=True)
    >>> ad.autograd.grad(x**3, x, ad.eye(2), is_grads_batched=True)
    (tensor([[ 3.,  0.],
            [ 0., 12.]]),)
    """
    if not only_inputs:
        warnings.warn(
            "grad: only_inputs=False is without effect; write backward() to accumulate gradients of other tensors",
            FutureWarning,
            stacklevel=2,
        )
    ys, xs = outputs_of(outputs, "grad", "outputs"), inputs_of(inputs, "grad")
    if materialize_grads and allow_unused is False:
        raise AutogradError("grad: materialize_grads=True gives zeros for unused inputs; leave allow_unused out")
    given = gradients_of(grad_outputs, len(ys))
    unused = "zeros" if materialize_grads else "none" if allow_unused else None
    keep = create_graph if retain_graph is None else retain_graph
    compute = _grads_of_many if is_grads_batched else _grads
    results = compute(ys, xs, given, keep, create_graph, unused)
    return dict(zip(inputs, results, strict=True)) if isinstance(inputs, Mapping) else results


def _grads(
    ys: Sequence[Any], xs: Sequence[Any], given: Sequence[Any], keep: bool, create_graph: bool, unused: str | None
) -> tuple[Any, ...]:
    """The gradients of some inputs; ``unused`` says what is given for those that no output depends on."""
    edges = [edge_of(x) for x in xs]
    constants = _constants([x for x in xs if isinstance(x, Tensor)])
    for i, edge in enumerate(edges):
        if edge is None:
            raise AutogradError(
                f"grad: inputs[{i}], of shape {xs[i].shape}, does not require a gradient; "
                f"call requires_grad_() on it before computing the outputs"
            )
    is_deep = deep(ys, given)
    with enable_grad() if create_graph else nullcontext() if is_deep else no_grad():
        roots = roots_of(ys, given, "grad", create_graph or is_deep)
        found = propagate(roots, keep=keep, create_graph=create_graph, tensors=is_deep, wanted=edges)
        repeated = len(set(map(id, edges))) < len(edges)
        results: list[Any] = []
        for i, (x, edge) in enumerate(zip(xs, edges, strict=True)):
            g = found.get(edge) if repeated else found.pop(edge, None)
            if g is None:
                results.append(_unused(x, i, unused))
            elif create_graph:
                results.append(constant_in(leave(g, edge.device), *constants))
            elif is_deep:
                results.append(_free(leave(g, edge.device), x))
            else:
                results.append(_own(g, x, edge.device, sys.getrefcount(g) > ALONE))
    return tuple(results)


def _unused(x: Any, i: int, instead: str | None) -> Tensor | None:
    """What `grad` gives for an input that no output depends on."""
    if instead == "zeros" and isinstance(x, Tensor):
        return FUNCTIONS["zeros_like"].call(x)  # type: ignore[no-any-return]
    if instead == "none":
        return None
    if isinstance(x, Tensor):
        what, besides = f"of shape {x.shape}", ", or materialize_grads=True for zeros"
    else:
        what, besides = f"the edge to {x.node.name()}", "; materialize_grads=True takes tensors alone"
    raise AutogradError(
        f"grad: inputs[{i}], {what}, was not used in computing the outputs; "
        f"pass allow_unused=True for None in its place{besides}"
    )


def _grads_of_many(ys: Any, xs: Any, given: Sequence[Any], *options: Any) -> tuple[Any, ...]:
    """Carry many gradients back at once."""
    if all(g is None for g in given):
        raise ArgumentError(
            "grad: is_grads_batched=True takes many gradients of each output; pass them as grad_outputs=, with one "
            "dimension more in front"
        )
    from ..func import vmap

    return vmap(lambda gs: _grads(ys, xs, gs, *options))(tuple(given))  # type: ignore[no-any-return]
