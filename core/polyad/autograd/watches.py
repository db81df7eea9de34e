"""What may be switched on for every node that is recorded: packing what it keeps, and noting where the program was.

One object holds all that is on. It stands in the context variable of the mode (see `polyad.grad_mode`), so that
operations look at one variable, and at nothing more while all is off.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from .. import views
from ..backend import Device
from ..containers import flatten
from ..errors import AutogradError, OperandError
from ..function import ARRAY, ARRAYS, ONE_OF, OUT
from ..grad_mode import no_grad, watched, watching
from ..graph import PACKED, Node, Packed, Sealed, Version, guard, refuse_stale, specs_of
from ..tensor import Tensor, wrap

__all__ = ["Compute", "PackHooks", "Packing", "Watch", "here", "refuse_if_disabled", "switched"]

Compute = Callable[..., Sequence[Any]]
"""``compute(node, g, args, rules, tensors, history)``: the gradients of a node's inputs."""


class Packing(Protocol):
    """What stands in a node for an array that it keeps.

    Attributes
    ----------
    guarded : bool
        Whether backward still raises where the array was overwritten.
    """

    guarded: bool

    def __call__(self, array: Any, device: Device, keeper: str, tensor: Any) -> Any:
        """Give what is kept, `Packed` or the array; ``tensor`` is the operand or result whose array it is, if known."""


class Watch:
    """What is on.

    Attributes
    ----------
    pack : Packing or None
        What stands in nodes for the arrays they keep.
    since : int
        Hooks of nodes older than this are registered already: their registration is being repeated.
    refusal : str or None
        Why hooks that pack are not allowed here.
    preserves : bool
        Whether arrays that are kept and could be overwritten are copied.
    traces : bool
        Whether nodes note the lines of the program they come from.
    check : callable or None
        ``check(node, gradients)`` looks at what a node's rules gave.
    recorded : callable or None
        ``recorded(node, operands)`` is told of every node, before what it keeps is packed.
    computing : callable or None
        ``computing(compute)`` gives what backward calls in place of ``compute``, which gives the gradients of a node's
        inputs (see `Compute`).
    """

    __slots__ = ("pack", "refusal", "preserves", "traces", "check", "since", "recorded", "computing")

    def __init__(
        self,
        pack: Packing | None = None,
        refusal: str | None = None,
        preserves: bool = False,
        traces: bool = False,
        check: Callable[[Node, Sequence[Any]], None] | None = None,
        since: int = 0,
        recorded: Callable[[Node, Sequence[Any]], None] | None = None,
        computing: Callable[[Compute], Compute] | None = None,
    ) -> None:
        self.pack, self.refusal, self.preserves = pack, refusal, preserves
        self.traces, self.check, self.since = traces, check, since
        self.recorded, self.computing = recorded, computing

    def watch(self, node: Node, operands: Sequence[Any], result: Any) -> None:
        """Do with a new node what is on."""
        self.note(node, operands)
        if self.pack is not None:
            tensors = {id(t._data): t for t in (*operands, result) if hasattr(t, "_data")}
            name = node.name()
            made = _exchange(node, lambda array: self._packed(array, node.device, name, tensors.get(id(array))))
            if not self._guards():
                node.guards = ()
            if any(type(kept) is Packed for kept in made):
                node.guards = (PACKED, -1, *node.guards)
        elif self.preserves:
            _exchange(node, lambda array: _apart(array, node.device))
            node.guards = ()

    def note(self, node: Node, operands: Sequence[Any]) -> None:
        """Note the line of the program that a node comes from, and tell of it."""
        if self.recorded is not None:
            self.recorded(node, operands)
        if self.traces:
            node.metadata["traceback"] = here()

    def kept(self, tensor: Tensor, keeper: str) -> tuple[Any, bool]:
        """Give what is to be kept of one tensor, and whether it is to be guarded against writes."""
        array = views.raw(tensor)
        if self.pack is not None:
            return self._packed(array, tensor._device, keeper, tensor), self._guards()
        return (_apart(array, tensor._device), False) if self.preserves else (array, True)

    def _packed(self, array: Any, device: Device, keeper: str, tensor: Any) -> Any:
        assert self.pack is not None
        if self.preserves:
            array = _apart(array, device)
            tensor = tensor if self.pack.guarded else None
        with no_grad():
            return self.pack(array, device, keeper, tensor)

    def _guards(self) -> bool:
        """Whether what is packed must not be overwritten."""
        return self.pack is not None and self.pack.guarded and not self.preserves


def switched(**on: Any) -> watching:
    """A block in which more is on."""
    current, names = watched(), tuple(on)
    if current is not None:
        on = {name: getattr(current, name) for name in Watch.__slots__} | on
    return watching(_made(on), functools.partial(_put_back, names))


def _made(on: dict[str, Any]) -> Watch | None:
    return Watch(**on) if any(on.values()) else None


def _put_back(names: Iterable[str], current: Any, before: Any) -> Watch | None:
    """What is on after a block that switched what is named, where more was switched inside and is to stay."""
    on = {name: getattr(current or _OFF, name) for name in Watch.__slots__}
    return _made(on | {name: getattr(before or _OFF, name) for name in names})


_OFF = Watch()


class PackHooks:
    """A user's pair of hooks: from a Tensor that is kept to anything, and back."""

    __slots__ = ("pack", "unpack")
    guarded = False

    def __init__(self, pack: Callable[[Tensor], Any], unpack: Callable[[Any], Tensor]) -> None:
        self.pack, self.unpack = pack, unpack

    def __call__(self, array: Any, device: Device, keeper: str, tensor: Any) -> Packed:
        """Pack one array."""
        version, count = (Version(), 0) if tensor is None else guard(tensor)
        given = wrap(array, device)
        given._writes = seal = Sealed(
            version,
            f"the tensor is what {keeper} keeps for its gradient, and the pack hook {_name(self.pack)} got it, which "
            f"must not write to it; write to a clone()",
        )
        value = self.pack(given)
        shares = any(_shares_memory(part, array, device, seal) for part in flatten(value)[0])
        return Packed(
            _Kept(value, array.shape, array.dtype, device, keeper, seal, count, shares), _Unpacking(self.unpack)
        )


class _Kept(NamedTuple):
    """What a pack hook made of an array, and what is known of the array."""

    value: Any
    shape: tuple[int, ...]
    dtype: Any
    device: Device
    keeper: str
    seal: Sealed
    at: int
    shares: bool


def _shares_memory(part: Any, array: Any, device: Device, seal: Sealed) -> bool:
    """Whether a part of what a hook made is the array that it got, or a view of it."""
    if isinstance(part, Tensor):
        if part._writes is seal:
            return True
        part = views.raw(part)
    backend = device.backend
    return backend.writable and isinstance(part, device.array) and backend.memory_of(part) is backend.memory_of(array)


class _Unpacking:
    """Give the array of what a pack hook made."""

    __slots__ = ("hook",)

    def __init__(self, hook: Callable[[Any], Tensor]) -> None:
        self.hook = hook

    def __call__(self, kept: _Kept) -> Any:
        with no_grad():
            found = self.hook(kept.value)
        name, device = _name(self.hook), kept.device
        if not isinstance(found, Tensor):
            raise OperandError(f"the unpack hook {name} must return a tensor; it returned a {type(found).__name__}")
        if kept.seal.count != kept.at and (kept.shares or found._writes is kept.seal):
            refuse_stale(kept.keeper, kept.seal.of, kept.at)
        array = views.raw(found)
        if array.shape != kept.shape or found._device is not device or array.dtype != kept.dtype:
            raise OperandError(
                f"the unpack hook {name} returned a tensor of shape {tuple(array.shape)}, {found.dtype.name}, on "
                f"{found.device.where}; expected shape {tuple(kept.shape)}, {device.dtypes[kept.dtype].name}, on "
                f"{device.where}, as it was packed"
            )
        return array


def _name(hook: Any) -> str:
    return repr(getattr(hook, "__qualname__", None) or repr(hook))


def _apart(array: Any, device: Device) -> Any:
    return device.backend.copy(array) if device.backend.writable else array


def _exchange(node: Node, make: Callable[[Any], Any]) -> Iterable[Any]:
    """Put something else in place of every array that a node keeps, made once of each array. Gives all of it."""
    made: dict[int, Any] = {}

    def exchanged(array: Any) -> Any:
        if not hasattr(array, "shape"):  # a number, or an operand that was left out
            return array
        if id(array) not in made:
            made[id(array)] = make(array)
        return made[id(array)]

    assert node.args is not None
    args = list(node.args)
    for position, spec, _ in specs_of(node.function, args):
        values = list(args[position])
        for i, ((kind, _), value) in enumerate(zip(spec.items, values, strict=True)):
            if kind == ARRAYS or (kind == OUT and type(value) is tuple):
                values[i] = tuple(map(exchanged, value))
            elif kind in (ARRAY, ONE_OF, OUT):
                values[i] = exchanged(value)
        args[position] = tuple(values)
    node.args = tuple(args)
    return made.values()


def here() -> str:
    """The lines of the program that lead to polyad, innermost last."""
    import traceback  # not loaded before it is needed

    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "polyad":
        frame = frame.f_back
    return "".join(traceback.format_list(traceback.extract_stack(frame))) if frame is not None else ""


def refuse_if_disabled() -> None:
    """Raise where `disable_saved_tensors_hooks` forbids hooks that pack."""
    current: Any = watched()
    if current is not None and current.refusal is not None:
        raise AutogradError(current.refusal)
