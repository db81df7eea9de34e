"""Calling hooks while backward runs: the gradients that they see, and what they put in their place."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

from . import views
from .backend import Device
from .errors import OperandError, ShapeError
from .function import FUNCTIONS
from .graph import AccumulateGrad, Hooks, Output
from .levels import lift, meet, unrecorded
from .tensor import Tensor, require_gradient, wrap

__all__ = ["PassHook", "Roots", "after", "before", "call_hooks", "enter", "leave", "own", "seen_last"]


class Roots(list[tuple[Any, Any]]):
    """Where a pass starts: ``(edge, gradient)`` pairs; and what its hooks note of it, which ends with it."""

    noted: dict[Any, Any] | None = None

    def note_of(self, keeper: Any, make: Callable[[], Any]) -> Any:
        """What ``keeper`` has noted of this pass, made the first time. It is told of the pass's end: ``keeper.end``."""
        if self.noted is None:
            self.noted = {}
        if keeper not in self.noted:
            self.noted[keeper] = make()
        return self.noted[keeper]

    def end(self) -> None:
        """Tell those who noted something that the pass has gone through."""
        edge, g = self[0]
        with _mode([g], edge.device):
            for keeper, note in (self.noted or {}).items():
                keeper.end(note)


class PassHook:
    """A hook of a gradient that is to know the pass it is called in: ``hook(gradient, roots, needed)``.

    ``roots`` are the pass's `Roots`, and ``needed`` the nodes it is confined to, or None.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., None]) -> None:
        self._call = call

    def __call__(self, gradient: Any, roots: Any, needed: Any) -> None:
        """Tell of a gradient that is known."""
        self._call(gradient, roots, needed)


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


def own(g: Any, device: Device) -> Tensor:
    """A gradient as a user's code gets it that may write to it: the engine's own may go on along several paths."""
    if g.dtype.is_complex if isinstance(g, Tensor) else device.dtypes[g.dtype].is_complex:
        return leave(g, device)  # conjugated, so it is new
    if isinstance(g, Tensor):
        return FUNCTIONS["clone"].call(g)  # type: ignore[no-any-return]
    return leave(device.backend.owned(device.asarray(g), True), device)


def _seen(g: Any, device: Device) -> Any:
    """A gradient as a hook gets it."""
    return None if g is None else own(g, device)


def _written(seen: Any) -> bool:
    """Whether a hook wrote to the gradient that it got. As in PyTorch, that is as if it had returned it."""
    return seen is not None and seen.version > 0


def _mode(gradients: Sequence[Any], device: Device) -> Any:
    """What hooks run in: recorded where the gradients are."""
    return contextlib.nullcontext() if any(isinstance(g, Tensor) for g in gradients) else unrecorded(device)


def _of(hook: Any) -> str:
    return getattr(hook, "__qualname__", None) or repr(hook)


def _replaced(hook: Any, changed: Any, seen: Any, g: Any, device: Device) -> Any:
    """What a hook returned in place of a gradient, as the engine carries it."""
    if changed is None and not _written(seen):
        return g
    if changed is None or changed is seen:
        return enter(seen, seen, isinstance(g, Tensor))
    if not isinstance(changed, Tensor):
        raise OperandError(f"a hook must return a tensor or None; {_of(hook)!r} returned a {type(changed).__name__}")
    if seen is not None:
        meeting = meet(changed._device, seen._device)
        if meeting is not None and (meeting is seen._device or isinstance(g, Tensor)):
            # inside vmap: of many gradients at once, though the node may have been recorded for all
            device, changed = meeting, lift(changed, meeting)
        require_gradient(f"what the hook {_of(hook)!r} returned", changed, seen.shape, seen.dtype, device)
    return enter(changed, changed, isinstance(g, Tensor))


def call_hooks(hooks: Hooks, g: Any, device: Device, roots: Any = None, needed: Any = None) -> Any:
    """Call the hooks of one result's gradient, and give the gradient that goes on."""
    with _mode([g], device):
        for hook in (*hooks.grad.values(), *hooks.keep.values()):
            seen = _seen(g, device)
            if type(hook) is PassHook:
                hook(seen, roots, needed)
            else:
                g = _replaced(hook, hook(seen), seen, g, device)
    return g


def before(node: Any, g: Any, roots: Any = None, needed: Any = None) -> Any:
    """Call what comes before a node runs: hooks of its gradient, then its prehooks."""
    hooks, device = node.hooks, node.device
    several = type(g) is list
    if not several and (hooks.grad or hooks.keep):
        g = call_hooks(hooks, g, device, roots, needed)
    if hooks.pre:
        grads = g if several else [g]
        with _mode(grads, device):
            for hook in list(hooks.pre.values()):
                grads = _exchanged(hook, hook, grads, device)
        g = grads if several else grads[0]
    return g


def after(node: Any, g: Any, gradients: Sequence[Any]) -> Sequence[Any]:
    """Call the hooks of a node that ran, with the gradients of its inputs and of its results."""
    devices = [e.node.device if type(e) is Output else e.device if e is not None else None for e in node.edges]
    outputs = g if type(g) is tuple else (g,)

    def called(hook: Any, seen: Any) -> Any:
        return hook(seen, tuple(_seen(x, node.device) for x in outputs))

    with _mode([*gradients, *outputs], node.device):
        for hook in list(node.hooks.post.values()):
            gradients = _exchanged(hook, functools.partial(called, hook), gradients, devices)
    return gradients


def _exchanged(hook: Any, call: Callable[..., Any], grads: Sequence[Any], where: Any) -> list[Any]:
    """Gradients after a hook of several, which may return a tuple of as many."""
    devices = [where] * len(grads) if isinstance(where, Device) else where
    seen = tuple(_seen(g, device) for g, device in zip(grads, devices, strict=True))
    changed = call(seen)
    if changed is None:
        return [enter(s, s, isinstance(g, Tensor)) if _written(s) else g for s, g in zip(seen, grads, strict=True)]
    if isinstance(changed, Tensor):
        changed = (changed,)
    if not isinstance(changed, (tuple, list)):
        raise OperandError(
            f"a hook must return a tuple of tensors or None; {_of(hook)!r} returned a {type(changed).__name__}"
        )
    if len(changed) != len(seen):
        raise ShapeError(f"the hook {_of(hook)!r} got {len(seen)} gradients and returned {len(changed)}")
    for i, (new, old) in enumerate(zip(changed, seen, strict=True)):
        if new is not None and old is None:
            raise OperandError(
                f"the hook {_of(hook)!r} got None as gradient {i} and returned a {type(new).__name__} in its place; "
                f"there is nothing to replace: return None there"
            )
    return [
        None if new is None else _replaced(hook, new, old, g, device)
        for new, old, g, device in zip(changed, seen, grads, devices, strict=True)
    ]


def seen_last(edge: AccumulateGrad, g: Any) -> Any:
    """A leaf's gradient as the hooks of its node get it, before it is added to what there is; None without hooks."""
    return _seen(g, edge.device) if edge.hooks.last else None


def after_accumulating(edge: AccumulateGrad, leaf: Tensor, g: Any) -> None:
    """Call the hooks of a leaf that has its gradient, and of its node, which get ``g``."""
    with unrecorded(edge.device):
        for hook in list(edge.hooks.post.values()):
            if hook(leaf) is not None:
                raise OperandError(
                    f"a hook after accumulation must return None; {_of(hook)!r} returned a value. "
                    f"Write what you want to change into the tensor's grad"
                )
        for hook in list(edge.hooks.last.values()):
            found = hook((), (g,))
            if found is not None and not (isinstance(found, tuple) and not found):
                raise OperandError(
                    f"a hook of AccumulateGrad must return None, since a leaf has no inputs; {_of(hook)!r} returned a "
                    f"value. Write x.register_hook(hook) to change the gradient"
                )
