"""The backward engine: visits recorded nodes from results to operands, and runs their rules.

Inside, gradients are the complex conjugates of those users see, so that rules are plain formulas (see
`polyad.function`); `backward_hooks.enter` and `leave` convert. Everything is iterative: depth costs no stack.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush, heappushpop
from itertools import zip_longest
from typing import Any

from .accumulation import ALONE, HookedLeaves, owned
from .backend import Device
from .backward_hooks import Roots, after, before, call_hooks
from .errors import AutogradError
from .function import ARRAY, ARRAYS, FUNCTIONS, NAMESPACE, ONE_OF, OUT, TENSORS, Function, Rule
from .grad_mode import watched
from .graph import HOOKED, AccumulateGrad, Node, Output, any_hooked, opened, origin, specs_of
from .plugins import plugins
from .rules import sum_to
from .tensor import wrap

__all__ = ["propagate", "reachable"]


def as_tensors(node: Node, kept: Sequence[Any], history: bool) -> tuple[Any, ...]:
    """What rules get, as Tensors; with their history, so that rules run on them are recorded in turn."""
    device = node.device
    edges = node.edges if history else (None,) * len(node.edges)
    args: list[tuple[Any, ...] | None] = [None] * len(edges)

    def output(value: Any, i: int) -> Any:
        return wrap(value, device, Output(node, i) if history else None)

    for position, spec, _ in specs_of(node.function, kept):
        values: list[Any] = []
        for (kind, key), value in zip(spec.items, kept[position], strict=True):
            if kind == NAMESPACE:
                values.append(TENSORS)
            elif kind == OUT and node.function.outputs > 1:
                values.append(tuple(map(output, value, range(len(value)))))
            elif kind == OUT:
                values.append(wrap(value, device, node if history else None))
            elif kind == ONE_OF:
                values.append(output(value, key))
            elif kind == ARRAYS:
                # reading at index arrays, which have no gradient, records no edges for them
                values.append(tuple(wrap(v, device, e) for v, e in zip_longest(value, edges[key:])))
            elif kind == ARRAY and hasattr(value, "shape"):
                values.append(wrap(value, device, edges[key]))
            else:
                values.append(value)
        args[position] = tuple(values)
    return tuple(args)


def _reached(roots: Iterable[Any]) -> dict[int, Any]:
    """The nodes from which the roots were computed, by their place in the order."""
    found: dict[int, Any] = {}
    stack = [e.node if type(e) is Output else e for e in roots]
    while stack:
        node = stack.pop()
        if node.seq in found:
            continue
        found[node.seq] = node
        if type(node) is not AccumulateGrad:
            stack.extend(e.node if type(e) is Output else e for e in node.edges if e is not None)
    return found


def reachable(roots: Iterable[Any]) -> set[Any]:
    """The nodes that a pass from the roots comes to."""
    return set(_reached(roots).values())


def _needed(roots: Iterable[Any], wanted: set[Any]) -> set[Any]:
    """The nodes between the roots and the wanted edges."""
    found = _reached(roots)
    needed = {e.node if type(e) is Output else e for e in wanted}
    for seq in sorted(found):  # operands before results
        node = found[seq]
        if type(node) is not AccumulateGrad:
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
    tensors: bool = False,
    wanted: Sequence[Any] | None = None,
    accumulate: Callable[[dict[Any, Any]], None] | None = None,
) -> dict[Any, Any]:
    """Carry gradients from the roots to where paths end.

    Parameters
    ----------
    roots : sequence of (edge, gradient)
    keep : bool
        Whether nodes keep their values for another pass.
    create_graph : bool
        Whether gradients are Tensors, and what happens to them is recorded.
    tensors : bool
        Whether gradients are Tensors though nothing is recorded: where they are of a deeper level than the graph (see
        `polyad.levels`), as those of many examples at once.
    wanted : sequence of edges, optional
        Only the gradients that arrive at these are computed and returned.
    accumulate : callable, optional
        ``accumulate({leaf: gradient})`` is called for each leaf that has hooks which follow (`LeafHooks.follow`), as
        soon as all of its gradient is there.

    Returns
    -------
    dict
        ``edge -> gradient``: of all leaves, or of those wanted that were reached; without those that ``accumulate``
        got.

    Raises
    ------
    AutogradError
        If a node was freed by an earlier pass, or a kept value was overwritten. No leaf is changed then but those
        that ``accumulate`` got before.
    """
    tokens = []
    for variable, value in plugins.calm:
        tokens.append(variable.set(value))
    try:
        starts = roots if type(roots) is Roots else Roots(roots)
        found = _propagate(starts, keep, create_graph, tensors or create_graph, wanted, accumulate)
        if starts.noted:
            starts.end()
        return found
    finally:
        for token in tokens:
            token.var.reset(token)


def _propagate(
    roots: Roots,
    keep: bool,
    create_graph: bool,
    tensors: bool,
    wanted: Sequence[Any] | None,
    accumulate: Callable[[dict[Any, Any]], None] | None,
) -> dict[Any, Any]:
    grads: dict[Any, Any] = {}
    queue: list[tuple[int, Node]] = []
    hooked: dict[tuple[Node, int], Output] = {}  # outputs that have hooks, until their node's turn comes
    captured: dict[Any, Any] = {}
    asked = None if wanted is None else set(wanted)
    needed = None if asked is None else _needed([edge for edge, _ in roots], asked)
    leaves = None  # those that are accumulated before the pass is over
    if accumulate is not None and HOOKED and any_hooked():
        nodes = _reached([edge for edge, _ in roots]).values() if needed is None else needed
        leaves = HookedLeaves(nodes, accumulate, roots, needed)
    watch: Any = watched()
    check = None if watch is None else watch.check
    compute, tracked = _all_gradients, tensors or check is not None
    if watch is not None and watch.computing is not None:
        compute, tracked = watch.computing(_all_gradients), True
    node: Any = None
    g: Any = None
    following: Any = None  # the node to visit next, if it is not in the queue: chains need no queue
    arrived: Any = None  # its gradient, which is not among the others then
    if len(roots) == 1 and type(roots[0][0]) is Node:
        following, arrived = roots[0]
    else:
        for edge, g in roots:
            _arrive(edge, g, grads, queue, hooked)
    try:
        while queue or following is not None:
            if following is None:
                node = heappop(queue)[1]
                g = grads.pop(node)
            elif queue and -queue[0][0] > following.seq:
                grads[following] = arrived
                node = heappushpop(queue, (-following.seq, following))[1]
                g = grads.pop(node)
            else:
                node, g = following, arrived
            following = arrived = None
            if hooked and type(g) is list:
                for i in range(len(g)):
                    output = hooked.pop((node, i), None)
                    if output is not None:
                        g[i] = call_hooks(output.hooks, g[i], node.device, roots, needed)
            hooks = node.hooks
            if hooks is not None:
                g = before(node, g, roots, needed)
                if _is_undefined(g, node):
                    continue
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
                args = opened(node)
            function = node.function
            device = node.device
            gradients = None
            if needed is not None:
                args = tuple(a if _target(e) in needed else None for a, e in zip(args, node.edges, strict=True))
            rules = function.rules
            if not function.plain:
                if function.outputs != 1:
                    g = tuple(g)
                if function.variadic and function.joint is None:
                    rules = rules_for(function, len(args))
                elif function.owns and not tensors and g is not None:
                    gradient = None  # a second name
                    shared = sys.getrefcount(g) > ALONE
                    g = _own_all(g, device) if type(g) is tuple else owned(g, device, shared)
                if function.joint is not None and not tracked:
                    gradients = function.joint(node, g, args, tensors, create_graph)
            if tracked or hooks is not None:
                if gradients is None:
                    gradients = compute(node, g, args, rules, tensors, create_graph)
                if hooks is not None and hooks.post:
                    gradients = after(node, g, gradients)
                if check is not None:
                    check(node, gradients)
            elif device.pull is not None and gradients is None:
                gradients = device.pull(node, g, args)
            if not keep:
                node.args = None
                node.guards = ()
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
                    # the usual cases apart: a call with a tuple of arguments takes twice as long
                    gradient = rules[i](g, arg[0]) if len(arg) == 1 else rules[i](g, *arg) if arg else rules[i](g)
                    if shapes is not None and gradient.shape != shapes[i]:
                        gradient = sum_to(device.xp, gradient, shapes[i])
                if edge is following:
                    grads[edge], arrived = arrived, None  # no second name for what may be added to in place
                    arrived = _sum(grads.pop(edge), gradient, edge.device, tensors)
                    continue
                if edge in grads:
                    grads[edge] = _sum(grads.pop(edge), gradient, edge.device, tensors)
                    continue
                kind = type(edge)
                if kind is AccumulateGrad:
                    grads[edge] = gradient
                elif kind is Output:
                    _arrive(edge, gradient, grads, queue, hooked)
                elif following is None:
                    following, arrived = edge, gradient
                elif edge.seq > following.seq:
                    grads[following] = arrived
                    heappush(queue, (-following.seq, following))
                    following, arrived = edge, gradient
                else:
                    grads[edge] = gradient
                    heappush(queue, (-edge.seq, edge))
            if leaves is not None:
                seq = node.seq
                node = g = args = arg = gradient = gradients = None  # nobody else has what a leaf is to get
                leaves.visited(seq, grads)
    except Exception as error:
        if node is not None and not isinstance(error, AutogradError):
            error.add_note(origin(node, g))
        raise
    dropped = []
    for edge in grads:
        if edge.hooks is not None:
            grads[edge] = before(edge, grads[edge], roots, needed)
            if grads[edge] is None:
                dropped.append(edge)
    for edge in dropped:
        del grads[edge]
    if asked is None:
        return grads
    captured.update({e: g for e, g in grads.items() if e in asked})
    return captured


def _is_undefined(g: Any, node: Node) -> bool:
    """Whether hooks put None in place of all of a node's gradients, and its rules say nothing of that."""
    return node.function.joint is None and (g is None or (type(g) is list and not any(x is not None for x in g)))


def _sum(there: Any, gradient: Any, device: Device, tensors: bool) -> Any:
    """Add a gradient to what came along another path: in its memory, if nobody else has it."""
    if tensors:
        return there + gradient
    if device.add_into is not None and sys.getrefcount(there) <= ALONE:
        return device.add_into(there, gradient)
    return device.kernels[FUNCTIONS["add"]](there, gradient)


def _own_all(gradients: tuple[Any, ...], device: Device) -> tuple[Any, ...]:
    """The gradients of several results in memory of their own, None for none."""
    shared = [sys.getrefcount(g) > ALONE + 1 for g in gradients]  # one name is the tuple's
    return tuple(None if g is None else owned(g, device, s) for g, s in zip(gradients, shared, strict=True))


def _all_gradients(
    node: Node, g: Any, args: Sequence[Any], rules: Sequence[Rule | None], tensors: bool, history: bool
) -> Sequence[Any]:
    """The gradients of all of a node's inputs, before any is passed on."""
    joint = node.function.joint
    if joint is not None:
        return joint(node, g, args, tensors, history)  # type: ignore[no-any-return]
    device = node.device
    xp: Any = device.xp
    if tensors:
        xp, args = TENSORS, as_tensors(node, args, history)
    elif device.pull is not None:
        found: Sequence[Any] | None = device.pull(node, g, args)
        if found is not None:
            return found
    gradients: list[Any] = []
    for i, arg in enumerate(args):
        gradient = None if arg is None else rules[i](g, *arg)  # type: ignore[misc]
        if gradient is not None and node.shapes is not None and gradient.shape != node.shapes[i]:
            gradient = sum_to(xp, gradient, node.shapes[i])
        gradients.append(gradient)
    return gradients


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
        if kind is not AccumulateGrad:
            heappush(queue, (-edge.seq, edge))


def _capture(node: Node, g: Any, asked: set[Any], captured: dict[Any, Any]) -> None:
    """Note the gradient of a node, or of its outputs, that was asked for."""
    if node in asked and g is not None:
        captured[node] = g
    if type(g) is list:
        outputs = [e for e in asked if type(e) is Output and e.node is node]
        captured.update({e: g[e.index] for e in outputs if g[e.index] is not None})


def rules_for(function: Function, count: int) -> tuple[Rule | None, ...]:
    """The rules of a function of any number of arrays, one for each."""
    rules = function.rules
    return (rules + rules[-1:] * (count - len(rules)))[:count]


def _target(edge: Any) -> Any:
    return edge.node if type(edge) is Output else edge
