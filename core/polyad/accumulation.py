"""Where paths end: gradients are added to ``grad`` of the leaves, whose hooks are called then.

Leaves without such hooks wait for the end of a pass, so that a pass that fails leaves them as they were. Those with
hooks have their turn as soon as nothing more can come to them, so that a hook may use and drop each gradient before
the next is computed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Container, Iterable
from operator import attrgetter
from typing import Any, Final

from . import views
from .backend import Device
from .backward_hooks import after_accumulating, before, leave, seen_last
from .errors import AutogradError
from .function import FUNCTIONS
from .graph import HOOKED, AccumulateGrad
from .levels import unrecorded
from .tensor import wrap

__all__ = ["ALONE", "HookedLeaves", "accumulate", "as_type", "owned"]


ALONE: Final = 2 if sys.version_info < (3, 14) else 1
"""What `sys.getrefcount` says of a local name's value that nobody else has. Since Python 3.14 it may leave out the
name; with the lower count a value may be taken for shared, and copied for nothing, but never the other way."""

_accumulating: Final = threading.RLock()


def accumulate(gradients: dict[Any, Any], create_graph: bool = False) -> None:
    """Add gradients to the leaves they belong to, and call the hooks of those that have such.

    Gradients of leaves with hooks are taken out of the dictionary, so that a hook can drop the last reference.

    Raises
    ------
    AutogradError
        If a gradient has no value yet, and the leaf, which is from outside the traced function, would outlive it.
    """
    if not HOOKED:
        _add(gradients, create_graph)
        return
    hooked = {e: gradients.pop(e) for e in list(gradients) if _has_hooks(e)}
    _add(gradients, create_graph)
    for edge in list(hooked):
        leaf = edge.leaf()
        with edge.hooks.lock:
            seen = seen_last(edge, hooked[edge])
            _add({edge: hooked.pop(edge)}, create_graph)
            if leaf is not None:
                after_accumulating(edge, leaf, seen)


def _has_hooks(edge: AccumulateGrad) -> bool:
    return edge.hooks is not None and edge.hooks.follow


def _add(gradients: dict[Any, Any], create_graph: bool) -> None:
    """Add gradients to the leaves they belong to."""
    with _accumulating:  # several threads may come to the same leaves at once
        for edge in gradients:
            leaf = edge.leaf()
            if leaf is None:
                continue
            g = gradients[edge]
            device = edge.device
            if device.pull is not None:  # a backend that compiles
                _refuse_traced(views.raw(g) if create_graph else g, leaf)
            if create_graph:
                g = leave(g, device)
                leaf._grad = g.clone() if leaf._grad is None else leaf._grad + g
                continue
            if type(g) is not device.array:
                g = device.asarray(g)
            try:
                native = leaf._data.dtype
            except AttributeError:  # an alias emptied by a write
                native = views.raw(leaf).dtype
            if g.dtype is not native:
                g = as_type(g, leaf, device)
            if leaf._grad is not None:
                with unrecorded(device):
                    leaf._grad.add_(leave(g, device))
            elif device.dtypes[g.dtype].is_complex:
                leaf._grad = leave(g, device)
            else:
                shared = sys.getrefcount(g) > ALONE + 1  # the dictionary's
                leaf._grad = wrap(device.backend.owned(g, shared), device)


def as_type(g: Any, tensor: Any, device: Device) -> Any:
    """Bring a raw gradient to its tensor's type, where a rule's numbers made it a wider one (see `Backend.strong`)."""
    native = views.raw(tensor).dtype
    if g.dtype is native or device.dtypes[native] not in device.backend.strong:
        return g
    return device.kernels[FUNCTIONS["astype"]](g, dtype=native)


def owned(g: Any, device: Device, shared: bool) -> Any:
    """Give a raw gradient in memory of its own: copied, if anybody else has the array (``shared``)."""
    return device.backend.owned(device.asarray(g), shared or type(g) is not device.array)


def _refuse_traced(g: Any, leaf: Any) -> None:
    backend = leaf._device.backend
    if backend.is_traced(g) and not backend.is_traced(views.raw(leaf)):
        raise AutogradError(
            f"backward: a leaf of shape {leaf.shape} is from outside a function that is being traced, such as by "
            f"jax.jit, and its grad would be left without a value; pass it in as an argument, or return "
            f"autograd.grad(y, x)"
        )


class HookedLeaves:
    """The leaves of a pass that have hooks for after accumulating, until they have been accumulated.

    Nodes are visited from the last recorded to the first. So nothing more comes to a leaf once the pass is beyond the
    first recorded of the nodes that lead to it: however many there are, whatever each delivered, and whether it was
    visited at all.

    Parameters
    ----------
    nodes : iterable of nodes
        Those that the pass may visit.
    accumulate : callable
        ``accumulate({leaf: gradient})`` is called for each leaf.
    roots, needed
        What hooks may ask of the pass (see `polyad.backward_hooks.PassHook`). Leaves that are not ``needed`` are left
        out.
    """

    __slots__ = ("accumulate", "needed", "roots", "waiting")

    def __init__(
        self,
        nodes: Iterable[Any],
        accumulate: Callable[[dict[Any, Any]], None],
        roots: Any,
        needed: Container[Any] | None,
    ) -> None:
        self.accumulate, self.roots, self.needed = accumulate, roots, needed
        first: dict[AccumulateGrad, int] = {}  # of the nodes that lead to each
        for node in sorted(nodes, key=attrgetter("seq")):
            for edge in reversed(() if type(node) is AccumulateGrad else node.edges):
                if type(edge) is AccumulateGrad and _has_hooks(edge) and (needed is None or edge in needed):
                    first.setdefault(edge, node.seq)
        self.waiting = list(first.items())  # the next one last; those of one node in the order of its inputs

    def visited(self, seq: int, gradients: dict[Any, Any]) -> None:
        """Accumulate the leaves that nothing more comes to, once the node of a sequence number has run."""
        waiting = self.waiting
        while waiting and waiting[-1][1] >= seq:
            edge, _ = waiting.pop()
            if edge in gradients and _has_hooks(edge):  # which may have been removed meanwhile
                gradients[edge] = before(edge, gradients[edge], self.roots, self.needed)
                self.accumulate({edge: gradients.pop(edge)})
