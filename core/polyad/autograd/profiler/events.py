"""What a profile notes: events, and when memory came and went."""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Sequence
from time import perf_counter_ns
from typing import Any, Final, NamedTuple

from ... import views
from ...backend import Device, Stopwatch
from ...plugins import plugins
from ...tensor import Tensor

__all__ = ["NODE", "OPERATION", "RANGE", "Event", "Frame", "Memory", "arrays_in", "shapes_in"]

OPERATION: Final = "operation"
NODE: Final = "node"
RANGE: Final = "range"


class Frame(NamedTuple):
    """A line of a program: ``file(line): function``."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}({self.line}): {self.function}"


class Event:
    """One call of an operation, one node that backward ran, or one range that the program named.

    Attributes
    ----------
    name : str
        The operation's, the node's (``"MultiplyBackward"``), or that of the range.
    kind : str
        ``"operation"``, ``"node"`` or ``"range"``.
    is_backward : bool
        Whether it is part of a backward pass.
    thread : int
        The thread that it ran in.
    device : Device or None
        Where it ran; None of a range.
    start, end : int
        When, in nanoseconds from the start of the profile.
    time, self_time : int
        Nanoseconds that it took, and those of them that were spent in no other event. What the profile itself took in
        between is left out.
    device_time, self_device_time : int
        The same on the device's clock, where the device works by itself; otherwise the same.
    allocated, self_allocated : int
        Bytes of the arrays that it made, and those of them that were made in no other event.
    shapes : tuple or None
        The shapes of the arrays that it got, ``()`` for numbers; of a node, those of the gradients of its results.
    stack : tuple of Frame
        The line of the program that it comes from, and with ``with_stack`` those that led there, innermost first. Of
        what happens in backward, the line that recorded the node.
    device_start : int
        When it started on the device's clock, counted as ``start``.
    has_own_time : bool
        Whether the device's clock is another than the host's.
    parent : Event or None
        The event inside which it happened.
    node : int or None
        The number of the node in its graph: of a node, and of the operation that recorded it.

    Examples
    --------
    >>> import polyad as ad
    >>> with ad.autograd.profiler.profile() as prof:
    ...     y = ad.exp(ad.ones(2))
    >>> [(e.name, e.shapes, e.allocated) for e in prof.events]
    [('ones', (), 8), ('exp', ((2,),), 8)]
    """

    __slots__ = (
        *("name", "kind", "is_backward", "thread", "device", "start", "end", "time", "self_time", "device_time"),
        *("self_device_time", "allocated", "self_allocated", "shapes", "stack", "parent", "node"),
        *("device_start", "has_own_time", "clock", "within", "is_joint"),
    )

    def __init__(self, name: str, kind: str, device: Device | None, parent: Event | None) -> None:
        self.name, self.kind, self.device, self.parent = name, kind, device, parent
        self.is_backward = False
        self.thread = self.start = self.end = self.device_start = self.time = self.self_time = 0
        self.device_time = self.self_device_time = self.allocated = self.self_allocated = 0
        self.shapes: tuple[Any, ...] | None = None
        self.stack: tuple[Frame, ...] = ()
        self.node: int | None = None
        self.clock: Stopwatch | None = None  # until the profile has ended
        self.within: Event | None = None if parent is None else parent.within  # the innermost node
        self.is_joint = self.has_own_time = False

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name!r}, {self.time / 1000:.3f} us>"


# Arrays ---------------------------------------------------------------------------------------------------------


def arrays_in(value: Any, device: Device) -> Iterator[Any]:
    """The raw arrays of a device's library in what a kernel or a rule got or gave."""
    if isinstance(value, (tuple, list)):
        for v in value:
            yield from arrays_in(v, device)
    elif isinstance(value, Tensor):
        yield views.raw(value)
    elif isinstance(value, (device.array, *device.backend.array_types)):
        yield value


def shapes_in(values: Sequence[Any]) -> tuple[Any, ...]:
    """The shapes of operands: ``()`` of numbers, None of what was left out, a tuple of those in a sequence."""
    return tuple(
        None if v is None else shapes_in(v) if isinstance(v, (tuple, list)) else tuple(getattr(v, "shape", ()))
        for v in values
    )


class Memory:
    """The arrays that operations made and that are still there, and a log of how their bytes came and went.

    Attributes
    ----------
    log : list of (int, Device, int)
        When, in nanoseconds of the host's clock, where, and how many bytes more or less.
    """

    # Arrays die in any thread and at any moment, also while this code runs. So there is no lock: appending to a list
    # and popping from a dictionary are single steps.

    def __init__(self) -> None:
        self.log: list[tuple[int, Device, int]] = []
        self._alive: dict[int, weakref.ref[Any]] = {}

    def made(self, results: Any, operands: Any, device: Device) -> int:
        """Note the arrays among results that have memory of their own, and give their bytes.

        Views of operands have none, nor has what was noted before.
        """
        total = 0
        theirs: set[int] | None = None
        for array in _results_in(results):
            where = device if isinstance(array, device.array) else plugins.owner(array) or device  # or it was moved
            backend = where.backend
            owner = backend.memory_of(array)
            key = id(owner)
            if key in self._alive or backend.is_traced(array):
                continue
            if theirs is None:
                theirs = {id(backend.memory_of(a)) for a in arrays_in(operands, where)}
            if key in theirs:
                continue
            found = _bytes_of(owner, where)
            total += found
            self._follow(owner, key, found, where)
        return total

    def _follow(self, owner: Any, key: int, size: int, device: Device) -> None:
        log, alive = self.log, self._alive

        def gone(_: Any) -> None:
            alive.pop(key, None)
            log.append((perf_counter_ns(), device, -size))

        try:
            alive[key] = weakref.ref(owner, gone)
        except TypeError:  # a library's scalar
            return
        log.append((perf_counter_ns(), device, size))

    def close(self) -> None:
        """Follow arrays no further."""
        self._alive.clear()


def _results_in(results: Any) -> Iterator[Any]:
    """Arrays, and a library's scalars, which stand for arrays without dimensions."""
    if isinstance(results, (tuple, list)):
        for r in results:
            yield from _results_in(r)
    elif isinstance(results, Tensor):
        yield views.raw(results)
    elif hasattr(results, "shape") and hasattr(results, "dtype"):
        yield results


def _bytes_of(array: Any, device: Device) -> int:
    dtype: Any = device.dtypes.get(array.dtype, array.dtype)
    size: int = math.prod(array.shape) * dtype.itemsize
    return size
