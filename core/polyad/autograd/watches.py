"""What may be switched on for every node that is recorded: packing what it keeps, and noting where the program was.

One object holds all that is on. It stands in the context variable of the mode (see `polyad.grad_mode`), so that
operations look at one variable, and at nothing more while all is off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from .. import views
from ..backend import Device
from ..errors import AutogradError, OperandError
from ..function import ARRAY, ARRAYS, ONE_OF, OUT
from ..grad_mode import no_grad, watched, watching
from ..graph import PACKED, Node, Packed, specs_of
from ..tensor import Tensor, wrap

__all__ = ["Watch", "refuse_if_disabled", "switched"]


class Watch:
    """What is on.

    Attributes
    ----------
    pack, unpack : callable or None
        From a Tensor that is kept to anything, and back.
    refusal : str or None
        Why hooks that pack are not allowed here.
    preserves : bool
        Whether arrays that are kept and could be overwritten are copied.
    traces : bool
        Whether nodes note the lines of the program they come from.
    check : callable or None
        ``check(node, gradients)`` looks at what a node's rules gave.
    sees : callable or None
        ``sees(node, operands)`` looks at a node that was just made, before what it keeps is packed.
    """

    __slots__ = ("pack", "unpack", "refusal", "preserves", "traces", "check", "sees")

    def __init__(
        self,
        pack: Callable[[Tensor], Any] | None = None,
        unpack: Callable[[Any], Tensor] | None = None,
        refusal: str | None = None,
        preserves: bool = False,
        traces: bool = False,
        check: Callable[[Node, Sequence[Any]], None] | None = None,
        sees: Callable[[Node, Sequence[Any]], None] | None = None,
    ) -> None:
        self.pack, self.unpack, self.refusal = pack, unpack, refusal
        self.preserves, self.traces, self.check, self.sees = preserves, traces, check, sees

    def watch(self, node: Node, operands: Sequence[Any], result: Any) -> None:
        """Do with a new node what is on."""
        self.note(node)
        if self.sees is not None:
            self.sees(node, operands)
        if self.pack is not None:
            with no_grad():
                if _exchange(node, lambda array: self.packed(array, node.device)):
                    node.guards = (PACKED, -1)
        elif self.preserves:
            _exchange(node, lambda array: _apart(array, node.device))
            node.guards = ()

    def note(self, node: Node) -> None:
        """Note the line of the program that a node comes from."""
        if self.traces:
            node.metadata["traceback"] = _here()

    def kept(self, tensor: Tensor) -> tuple[Any, bool]:
        """Give what is to be kept of one tensor, and whether it is to be guarded against writes."""
        array = views.raw(tensor)
        if self.pack is not None:
            with no_grad():
                return self.packed(array, tensor._device), False
        return (_apart(array, tensor._device), False) if self.preserves else (array, True)

    def packed(self, array: Any, device: Device) -> Packed:
        """Pack one array."""
        assert self.pack is not None
        assert self.unpack is not None
        return Packed((self.pack(wrap(array, device)), array.shape, array.dtype, device), _Unpacking(self.unpack))


def switched(**on: Any) -> watching:
    """A block in which more is on."""
    current = watched()
    if current is not None:
        on = {name: getattr(current, name) for name in Watch.__slots__} | on
    return watching(Watch(**on) if any(on.values()) else None)


class _Unpacking:
    """Give the array of what a pack hook made."""

    __slots__ = ("hook",)

    def __init__(self, hook: Callable[[Any], Tensor]) -> None:
        self.hook = hook

    def __call__(self, kept: tuple[Any, ...]) -> Any:
        value, shape, dtype, device = kept
        with no_grad():
            found = self.hook(value)
        name = getattr(self.hook, "__qualname__", repr(self.hook))
        if not isinstance(found, Tensor):
            raise OperandError(f"the unpack hook {name!r} must return a tensor; it returned a {type(found).__name__}")
        array = views.raw(found)
        if array.shape != shape or found._device is not device or array.dtype != dtype:
            raise OperandError(
                f"the unpack hook {name!r} returned a tensor of shape {tuple(array.shape)}, {found.dtype.name}, on "
                f"{found.device.where}; expected shape {tuple(shape)}, {device.dtypes[dtype].name}, on {device.where}, "
                f"as it was packed"
            )
        return array


def _apart(array: Any, device: Device) -> Any:
    return device.backend.copy(array) if device.backend.writable else array


def _exchange(node: Node, make: Callable[[Any], Any]) -> bool:
    """Put something else in place of every array that a node keeps, of each array once. Whether there are any."""
    made: dict[int, Any] = {}

    def exchanged(array: Any) -> Any:
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
            elif kind in (ARRAY, ONE_OF, OUT) and hasattr(value, "shape"):
                values[i] = exchanged(value)
        args[position] = tuple(values)
    node.args = tuple(args)
    return bool(made)


def _here() -> str:
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
