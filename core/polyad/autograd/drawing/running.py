"""Running a program to be drawn, so that the drawing knows more than the graph: modules, forms and inputs by name."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

from ... import views
from ...errors import OperandError
from ...graph import Node
from ...tensor import Tensor
from ..watches import switched
from .vertices import Call

__all__ = ["Run", "run", "tensors_in"]


class Run:
    """What was seen of a program while it ran.

    Attributes
    ----------
    outputs : list of Tensor
        What it returned.
    inputs : dict
        ``name -> tensor``: what it was called with, by the names of its parameters.
    parameters : dict
        ``name -> tensor``: those of the module, if it is one.
    calls : dict
        For the place of a node in the order, the modules in whose calls it was recorded.
    operands : dict
        For the place of a node in the order, ``(position, tensor's identity, shape, native type)`` of its operands.
    """

    def __init__(self, program: Any, args: Sequence[Any]) -> None:
        self.inputs = dict(_named_inputs(program, args))
        self.parameters: dict[str, Any] = dict(_listed(program, "named_parameters"))
        self.calls: dict[int, tuple[Call, ...]] = {}
        self.operands: dict[int, list[tuple[int, int, Any, Any]]] = {}
        self.outputs: list[Tensor] = []
        self._modules = {id(module): name for name, module in _listed(program, "named_modules") if name}
        self._frames: dict[FrameType, Call] = {}

    def __call__(self, program: Callable[..., Any], args: Sequence[Any]) -> None:
        """Run the program, once."""
        try:
            with switched(recorded=self._sees):
                found = program(*args)
        finally:
            self._frames.clear()  # they hold each other, and all that was computed
        self.outputs = list(tensors_in(found))
        if not self.outputs:
            raise OperandError(f"draw: the function returned no tensor, but a {type(found).__name__}: {found!r:.80}")

    def _sees(self, node: Node, operands: Sequence[Any]) -> None:
        self.operands[node.seq] = [
            (i, id(x), x.shape, views.raw(x).dtype) for i, x in enumerate(operands) if isinstance(x, Tensor)
        ]
        if self._modules:
            self.calls[node.seq] = self._running()

    def _running(self) -> tuple[Call, ...]:
        """The calls of modules that are under way: found on the stack, where a module is a function's first argument.

        So neither a module nor its class has to know of it. A frame is held until the program has ended: its identity
        is that of the call.
        """
        found: list[Call] = []
        inner: Any = None  # the frame and module one step further in
        frame: FrameType | None = sys._getframe(1)
        module: int = 0
        while frame is not None:
            names = frame.f_code.co_varnames
            here = id(frame.f_locals.get(names[0])) if names and frame.f_code.co_argcount else 0
            if module and here != module:
                found.append(self._call(inner, module))
            module, inner = (here, frame) if here in self._modules else (0, None)
            frame = frame.f_back
        return tuple(reversed(found))

    def _call(self, frame: FrameType, module: int) -> Call:
        call = self._frames.get(frame)
        if call is None:
            call = self._frames[frame] = self._modules[module], len(self._frames)
        return call


def run(program: Callable[..., Any], args: Sequence[Any]) -> Run:
    """Run a program, and give what was seen."""
    seen = Run(program, args)
    seen(program, args)
    return seen


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and dicts, in order."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, Tensor):
            yield found
        elif isinstance(found, Mapping):
            waiting.extend(reversed(list(found.values())))
        elif isinstance(found, (list, tuple)):
            waiting.extend(reversed(found))


def _named_inputs(program: Any, args: Sequence[Any]) -> Iterator[tuple[str, Tensor]]:
    """The tensors a program is called with, by its parameters' names; those of several tensors with a number."""
    try:
        bound = inspect.signature(getattr(program, "forward", program)).bind(*args).arguments
    except (TypeError, ValueError):  # a built-in without signature; a call that will say itself what is wrong with it
        bound = {f"argument {i}": arg for i, arg in enumerate(args)}
    for name, value in bound.items():
        if isinstance(value, Tensor):
            yield name, value
        else:
            yield from ((f"{name}[{i}]", tensor) for i, tensor in enumerate(tensors_in(value)))


def _listed(program: Any, method: str) -> Any:
    listing = getattr(program, method, None)
    return listing() if callable(listing) else ()
