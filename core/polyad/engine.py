"""The backward engine: visits recorded nodes from results to operands, and runs their rules.

Inside, gradients are the complex conjugates of those users see, so that rules are plain formulas (see
`polyad.function`); `enter` and `leave` convert. Everything is iterative: depth costs no stack.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush, heappushpop
from itertools import zip_longest
from typing import Any

from . import views
from .backend import Device
from .errors import AutogradError, OperandError
from .function import ARRAY, ARRAYS, FUNCTIONS, NAMESPACE, OUT, TENSORS, Function, Rule
from .grad_mode import no_grad
from .graph import Node, Output, check_guards, specs_of
from .plugins import plugins
from .rules import sum_to
from .tensor import Tensor, require_gradient, wrap

__all__ = ["accumulate", "as_type", "enter", "leave", "propagate"]


def lifted(node: Node, kept: Sequence[Any]) -> tuple[Any, ...]:
    """What rules get, as Tensors with their history, so that rules run on them are recorded in turn."""
    device, edges = node.device, node.edges
    args: list[tuple[Any, ...] | None] = [None] * len(edges)
    for position, spec, _ in specs_of(node.function, kept):
        values: list[Any] = []
        for (kind, key), value in zip(spec.items, kept[position], strict=True):
            if kind == NAMESPACE:
                values.append(TENSORS)
            elif kind == OUT and node.function.outputs > 1:
                values.append(tuple(wrap(v, device, Output(node, i)) for i, v in enumerate(value)))
            elif kind == OUT:
                values.append(wrap(value, device, node))
            elif kind == ARRAYS:
                # reading at index arrays, which have no gradient, records no edges for them
                values.append(tuple(wrap(v, device, e) for v, e in zip_longest(value, edges[key:])))
            elif kind == ARRAY and hasattr(value, "shape"):
                values.append(wrap(value, device, edges[key]))
            else:
                values.append(value)
        args[position] = tuple(values)
    return tuple(args)


def enter(g: Any, tensor: Tensor, create_graph: bool) -> Any:
    """Turn a user's gradient into what the engine carries."""
    if tensor.dtype.is_complex:
        g = FUNCTIONS["conj"].call(g)
    return g if create_graph else views.raw(g)


def leave(g: Any, device: Device) -> Tensor:
    """Turn what the engine carries into the gradient a user sees."""
    if not isinstance(g, Tensor):
        g = wrap(device.asarray(g), device)
    return FUNCTIONS["conj"].call(g) if g.dtype.is_complex else g  # type: ignore[no-any-return]


def _needed(roots: Iterable[Any], wanted: set[Any]) -> set[Any]:
    """The nodes between the roots and the wanted edges."""
    found: dict[int, Any] = {}
    stack = [e.node if type(e) is Output else e for e in roots]
    while stack:
        node = stack.pop()
        if node.seq in found:
            continue
        found[node.seq] = node
        if type(node) is Node:
            stack.extend(e.node if type(e) is Output else e for e in node.edges if e is not None)
    needed = {e.node if type(e) is Output else e for e in wanted}
    for seq in sorted(found):  # operands before results
        node = found[seq]
        if type(node) is Node:
            for edge in node.edges:
                if edge is not None and (edge.node if type(edge) is Output else edge) in needed:
                    needed.add(node)
                    break
    return needed


def propagate(
    roots: Sequence[tuple[Any, Any]],
    *,
    keep: bool,
    create_graph: bool,
    wanted: Sequence[Any] | None = None,
) -> dict[Any, Any]:
    """Carry gradients from the roots to where paths end.

    Parameters
    ----------
    roots : sequence of (edge, gradient)
    keep : bool
        Whether nodes keep their values for another pass.
    create_graph : bool
        Whether gradients are Tensors, and what happens to them is recorded.
    wanted : sequence of edges, optional
        Only the gradients that arrive at these are computed and returned.

    Returns
    -------
    dict
        ``edge -> gradient``: of all leaves, or of those wanted that were reached.

    Raises
    ------
    AutogradError
        If a node was freed by an earlier pass, or a kept value was overwritten. No leaf is changed then.
    """
    set_before = [(variable, variable.set(value)) for variable, value in plugins.calm]
    try:
        return _propagate(roots, keep, create_graph, wanted)
    finally:
        for variable, token in set_before:
            variable.reset(token)


def _propagate(
    roots: Sequence[tuple[Any, Any]], keep: bool, create_graph: bool, wanted: Sequence[Any] | None
) -> dict[Any, Any]:
    grads: dict[Any, Any] = {}
    queue: list[tuple[int, Node]] = []
    hooked: dict[tuple[Node, int], Output] = {}  # outputs that have hooks, until their node's turn comes
    captured: dict[Any, Any] = {}
    asked = None if wanted is None else set(wanted)
    needed = None if asked is None else _needed([edge for edge, _ in roots], asked)
    add = FUNCTIONS["add"]
    following: Node | None = None  # the node to visit next, if it is not in the queue: chains need no queue
    if len(roots) == 1 and type(roots[0][0]) is Node:
        following, grads[following] = roots[0][0], roots[0][1]
    else:
        for edge, g in roots:
            _arrive(edge, g, grads, queue, hooked)
    while queue or following is not None:
        if following is None:
            node = heappop(queue)[1]
        elif queue and -queue[0][0] > following.seq:
            node = heappushpop(queue, (-following.seq, following))[1]
        else:
            node = following
        following = None
        g = grads.pop(node)
        if hooked and type(g) is list:
            for i in range(len(g)):
                output = hooked.pop((node, i), None)
                if output is not None:
                    g[i] = _call_hooks(output.hooks, g[i], node.device)
        elif node.hooks:
            g = _call_hooks(node.hooks, g, node.device)
        if asked is not None:
            _capture(node, g, asked, captured)
            if not any(_target(e) in needed for e in node.edges):  # type: ignore[operator]
                continue
        args = node.args
        if args is None:
            raise AutogradError(
                f"backward: the graph was freed at {node.name()}, which a first backward() went through; "
                f"write backward(retain_graph=True) the first time to go through it again"
            )
        guards = node.guards
        if guards and (guards[0].count != guards[1] or len(guards) > 2):
            check_guards(node)
        function = node.function
        device = node.device
        if function.outputs != 1:
            g = tuple(g)
        xp: Any = device.xp
        gradients = None
        if needed is not None:
            args = tuple(a if _target(e) in needed else None for a, e in zip(args, node.edges, strict=True))
        if create_graph:
            xp, args = TENSORS, lifted(node, args)
        elif device.pull is not None:
            gradients = device.pull(node, g, args)
        if not keep:
            node.args = None
            node.guards = ()
        rules = rules_for(function, len(args)) if function.variadic else function.rules
        shapes = node.shapes
        i = -1
        for edge in node.edges:
            i += 1
            if gradients is not None:
                gradient = gradients[i]
                if gradient is None:
                    continue
            else:
                arg = args[i]
                if arg is None:
                    continue
                gradient = rules[i](g, *arg)  # type: ignore[misc]
                if shapes is not None and gradient.shape != shapes[i]:
                    gradient = sum_to(xp, gradient, shapes[i])
            if edge in grads:
                there = grads[edge]
                grads[edge] = there + gradient if create_graph else edge.device.kernels[add](there, gradient)
                continue
            kind = type(edge)
            if kind is Output:
                _arrive(edge, gradient, grads, queue, hooked)
                continue
            grads[edge] = gradient
            if kind is Node:
                if following is None:
                    following = edge
                elif edge.seq > following.seq:
                    heappush(queue, (-following.seq, following))
                    following = edge
                else:
                    heappush(queue, (-edge.seq, edge))
    for edge in grads:
        if edge.hooks:
            grads[edge] = _call_hooks(edge.hooks, grads[edge], edge.device)
    if asked is None:
        return grads
    captured.update({e: g for e, g in grads.items() if e in asked})
    return captured


def _arrive(
    edge: Any, g: Any, grads: dict[Any, Any], queue: list[tuple[int, Node]], hooked: dict[tuple[Node, int], Output]
) -> None:
    """Add a gradient to what is already at an edge."""
    kind = type(edge)
    if kind is Output:
        node = edge.node
        slots = grads.get(node)
        if slots is None:
            slots = grads[node] = [None] * node.function.outputs
            heappush(queue, (-node.seq, node))
        slots[edge.index] = g if slots[edge.index] is None else slots[edge.index] + g
        if edge.hooks:
            hooked[node, edge.index] = edge
    elif edge in grads:
        grads[edge] = grads[edge] + g
    else:
        grads[edge] = g
        if kind is Node:
            heappush(queue, (-edge.seq, edge))


def _capture(node: Node, g: Any, asked: set[Any], captured: dict[Any, Any]) -> None:
    """Note the gradient of a node, or of its outputs, that was asked for."""
    if node in asked:
        captured[node] = g
    if type(g) is list:
        captured.update({e: g[e.index] for e in asked if type(e) is Output and e.node is node})


def rules_for(function: Function, count: int) -> tuple[Rule | None, ...]:
    """The rules of a function of any number of arrays, one for each."""
    rules = function.rules
    return (rules + rules[-1:] * (count - len(rules)))[:count]


def _target(edge: Any) -> Any:
    return edge.node if type(edge) is Output else edge


def _call_hooks(hooks: Sequence[Any], g: Any, device: Device) -> Any:
    recorded = isinstance(g, Tensor)
    with contextlib.nullcontext() if recorded else no_grad():
        for hook in hooks:
            # what a hook keeps or writes is its own: the same array may go on along several paths
            seen = leave(g if recorded else device.backend.owned(g, True), device)
            changed = hook(seen)
            if changed is not None:
                if not isinstance(changed, Tensor):
                    raise OperandError(
                        f"a hook must return a tensor or None; {getattr(hook, '__name__', hook)!r} returned a "
                        f"{type(changed).__name__}"
                    )
                require_gradient("a hook's result", changed, seen.shape, seen.dtype, device)
                g = enter(changed, changed, recorded)
    return g


def as_type(g: Any, tensor: Tensor, device: Device) -> Any:
    """Bring a raw gradient to its tensor's type, where a rule's numbers made it a wider one (see `Backend.strong`)."""
    native = views.raw(tensor).dtype
    if g.dtype is native or device.dtypes[native] not in device.backend.strong:
        return g
    return device.kernels[FUNCTIONS["astype"]](g, dtype=native)


def accumulate(gradients: dict[Any, Any], create_graph: bool) -> None:
    """Add gradients to the leaves they belong to."""
    for edge in gradients:
        leaf = edge.leaf()
        if leaf is None:
            continue
        g = gradients[edge]
        device = edge.device
        if create_graph:
            g = leave(g, device)
            leaf._grad = g.clone() if leaf._grad is None else leaf._grad + g
            continue
        if type(g) is not device.array:
            g = device.asarray(g)
        g = as_type(g, leaf, device)
        if leaf._grad is not None:
            with no_grad():
                leaf._grad.add_(leave(g, device))
        elif device.dtypes[g.dtype].is_complex:
            leaf._grad = leave(g, device)
        else:
            shared = sys.getrefcount(g) > 3  # the dictionary, the local name and the call
            leaf._grad = wrap(device.backend.owned(g, shared), device)
