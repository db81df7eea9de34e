"""What notes events while a profile is on: in place of kernels, and of what computes the gradients of nodes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any, ClassVar, Final

from ...backend import Device
from ...function import Function
from ...graph import Node
from ...kernels import Kernel, KernelWatch, devices_in_use
from ..watches import Compute
from .events import NODE, OPERATION, RANGE, Event, Frame, Memory, shapes_in

__all__ = ["Recorder"]

ENGINE: Final = ("polyad.engine", "polyad.accumulation")
_ours: dict[str, bool] = {}  # by the names of modules


class _Thread(threading.local):
    """The events of one thread that have not ended, and the operation that ended last."""

    def __init__(self) -> None:
        self.open: list[Event] = []
        self.last: Event | None = None


class Recorder(KernelWatch):
    """The notes of one profile.

    Parameters
    ----------
    shapes, stacks : bool
        Whether to note operands' shapes, and whole stacks in place of one line.
    memory : bool
        Whether to follow what is allocated.
    """

    sees_bodies: ClassVar[bool] = True

    def __init__(self, shapes: bool, stacks: bool, memory: bool) -> None:
        self.events: list[Event] = []
        self.memory = Memory() if memory else None
        self._shapes, self._stacks = shapes, stacks
        self._thread = _Thread()
        self._recorded: dict[int, tuple[tuple[Frame, ...], Event | None]] = {}  # by the nodes' numbers
        self._ready: set[Device] = set()
        self._is_finished = False
        self.origin = 0

    def start(self) -> None:
        """Have all devices finish what they were told before, and begin to count time."""
        for device in devices_in_use():
            self._wait(device)
        self.origin = perf_counter_ns()

    # In place of what computes --------------------------------------------------------------------------

    def kernel(self, function: Function, device: Device, kernel: Kernel) -> Kernel:
        """Give a kernel that is timed."""
        return self._timed(function.name, device, kernel)

    def call(self, name: str, device: Device, call: Kernel) -> Kernel:
        """Give what is no function's kernel, timed."""
        return self._timed(name, device, call)

    def pull(self, device: Device, pull: Callable[..., Any]) -> Callable[..., Any]:
        """Give the compiled rules of nodes, timed where `computing` does not see the nodes: in other threads."""

        def timed(node: Node, g: Any, args: Sequence[Any]) -> Any:
            running = self._innermost()
            if running is not None and running.node == node.seq:
                return pull(node, g, args)
            return self._of_node(pull, node, g, args)

        return timed

    def computing(self, compute: Compute) -> Compute:
        """Give what computes the gradients of a node, timed."""

        def timed(node: Node, g: Any, args: Sequence[Any], *rest: Any) -> Sequence[Any]:
            return self._of_node(compute, node, g, args, *rest)  # type: ignore[no-any-return]

        return timed

    def _timed(self, name: str, device: Device, kernel: Kernel) -> Kernel:
        begin, end, failed = self._begin, self._end, self._failed

        def timed(*args: Any, **params: Any) -> Any:
            entered = perf_counter_ns()
            event = begin(name, OPERATION, device, args)
            try:
                result = kernel(*args, **params)
            except BaseException:
                failed(event)
                raise
            end(event, result, args, entered)
            return result

        return timed

    def _of_node(self, compute: Callable[..., Any], node: Node, g: Any, args: Sequence[Any], *rest: Any) -> Any:
        entered = perf_counter_ns()
        event = self._begin(node.name(), NODE, node.device, g if isinstance(g, (tuple, list)) else (g,), node)
        try:
            gradients = compute(node, g, args, *rest)
        except BaseException:
            self._failed(event)
            raise
        if gradients is None:  # a backend that declines to run the rules
            self._failed(event)
        else:
            self._end(event, gradients, (g, args), entered)
        return gradients

    # Nodes and ranges -----------------------------------------------------------------------------------

    def recorded(self, node: Node, operands: Any) -> None:
        """Note where a node comes from."""
        last = self._thread.last
        if last is not None and last.name == node.function.name and last.node is None:
            last.node = node.seq
            self._recorded[node.seq] = last.stack, last
        else:
            self._recorded[node.seq] = self._lines()[0], None

    def begin_range(self, name: str) -> Event:
        """Begin a part of the program that has a name."""
        return self._begin(name, RANGE, None, ())

    def end_range(self, event: Event) -> None:
        """End it."""
        self._end(event, (), (), None)

    # Events ---------------------------------------------------------------------------------------------

    def _innermost(self) -> Event | None:
        open_ = self._thread.open
        return open_[-1].within if open_ else None

    def _begin(
        self, name: str, kind: str, device: Device | None, operands: Sequence[Any], node: Node | None = None
    ) -> Event:
        open_ = self._thread.open
        event = Event(name, kind, device, open_[-1] if open_ else None)
        event.thread = threading.get_ident()
        if node is not None:
            event.is_backward, event.node, event.is_joint = True, node.seq, node.function.joint is not None
            event.within = event
            event.stack = self._recorded[node.seq][0] if node.seq in self._recorded else self._lines()[0]
        else:
            self._place(event)
        if self._shapes:
            event.shapes = shapes_in(operands)
        open_.append(event)
        if device is None:
            event.start = perf_counter_ns()
        else:
            if device not in self._ready:
                self._wait(device)
            event.clock = device.backend.stopwatch(device)
        return event

    def _wait(self, device: Device) -> None:
        """Have a device finish what it was told before: no part of what is noted."""
        self._ready.add(device)
        device.backend.synchronize(device)

    def _place(self, event: Event) -> None:
        """Say which line an event comes from: inside a node the one that recorded it, unless it runs a program's."""
        within = event.within
        if within is None:
            event.stack, event.is_backward = self._lines()
            return
        event.is_backward, event.stack = True, within.stack
        if within.is_joint:
            own, from_engine = self._lines()
            if not from_engine:
                event.stack = own

    def _lines(self) -> tuple[tuple[Frame, ...], bool]:
        """The line of the program that is running, and whether the backward pass runs between it and here."""
        frame: Any = sys._getframe(1)
        from_engine = False
        while frame is not None:
            module = frame.f_globals.get("__name__", "")
            ours = _ours.get(module)
            if ours is None:
                top = module.partition(".")[0]
                ours = _ours[module] = top == "polyad" or top.startswith("polyad_")
            if not ours:
                break
            from_engine = from_engine or module in ENGINE
            frame = frame.f_back
        lines = []
        while frame is not None:
            code = frame.f_code
            lines.append(Frame(code.co_filename, frame.f_lineno, code.co_qualname))
            frame = frame.f_back if self._stacks else None
        return tuple(lines), from_engine

    def _end(self, event: Event, results: Any, operands: Any, entered: int | None) -> None:
        """End an event. ``entered`` is when its noting began: what that took counts in no event's time."""
        clock = event.clock
        if clock is None:
            event.end = perf_counter_ns()
        else:
            clock.stop(results)
            event.start, event.end = clock.started, clock.ended
        self._close(event)
        event.time += event.end - event.start  # less the noting inside, which is there as a negative number
        if self.memory is not None and event.device is not None:
            event.self_allocated = self.memory.made(results, operands, event.device)
        if self._is_finished:  # it ends after the profile
            return
        self.events.append(event)
        if event.kind == OPERATION:
            self._thread.last = event
        if event.parent is not None:
            taken = event.end - event.start if entered is None else perf_counter_ns() - entered
            event.parent.time += event.time - taken

    def _failed(self, event: Event) -> None:
        """Forget an event that raised: the call may be made over again."""
        self._close(event)

    def _close(self, event: Event) -> None:
        open_ = self._thread.open
        if event in open_:  # tasks of one thread may end ranges in another order
            open_.remove(event)

    def memory_log(self) -> list[tuple[int, Device, int]]:
        """When memory came and went, counted from the start of the profile."""
        if self.memory is None:
            return []
        return sorted(((at - self.origin, device, size) for at, device, size in self.memory.log), key=lambda e: e[0])

    def finish(self) -> list[Event]:
        """Ask the clocks, and sum up what is in other events. Gives the events in the order of their starts."""
        self._is_finished = True
        if self.memory is not None:
            self.memory.close()
        events = list(self.events)
        for event in events:
            event.self_time = event.time
            clock = event.clock
            event.device_time = clock.elapsed() if clock is not None and clock.queues else event.time
            while event.parent is not None and not event.parent.end:  # it raised, or outlives the profile
                event.parent = event.parent.parent
        for event in events:  # in the order of their ends: inner ones before those that they are in
            _add_up(event)
        self._begin_at_zero(events)
        self.events = sorted(events, key=lambda e: (e.start, -e.end))
        return self.events

    def _begin_at_zero(self, events: Sequence[Event]) -> None:
        """Count times from the start of the profile, those of devices too, and let go of the clocks."""
        first: dict[Device, tuple[int, Any]] = {}
        for event in sorted(events, key=lambda e: e.start):
            event.start -= self.origin
            event.end -= self.origin
            event.device_start = event.start
            clock, event.clock, event.within = event.clock, None, None
            if clock is not None and clock.queues and event.device is not None:
                at, earliest = first.setdefault(event.device, (event.start, clock))
                event.device_start, event.has_own_time = at + clock.since(earliest), True


def _add_up(event: Event) -> None:
    """Take an event's time, and what it allocated, from its parent's own. All inside it are done."""
    event.allocated += event.self_allocated
    if event.kind == RANGE:
        event.device_time, event.self_device_time = event.self_device_time, 0
    else:
        event.self_device_time = max(0, event.device_time + event.self_device_time)
    parent = event.parent
    if parent is None:
        return
    parent.self_time -= event.time
    parent.allocated += event.allocated
    parent.self_device_time += event.device_time if parent.kind == RANGE else -event.device_time
