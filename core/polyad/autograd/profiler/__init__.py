"""Where the time and the memory of a program go: `profile`, as in ``torch.autograd.profiler``.

While a profile is on, every kernel is called through something that notes it (`polyad.kernels.watching_kernels`), and
so is what computes the gradients of a node. While it is off, nothing is there.

Examples
--------
>>> import polyad as ad
>>> from polyad.autograd.profiler import profile, record_function
>>> x, w = ad.ones(100, 20), ad.ones(20, 3, requires_grad=True)
>>> with profile() as prof:
...     with record_function("loss"):
...         loss = (x @ w).square().sum()
...     loss.backward()
>>> [(row.key, row.count) for row in prof.key_averages() if row.is_backward and row.key.endswith("Backward")]
[('SumBackward', 1), ('SquareBackward', 1), ('MatmulBackward', 1)]
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, TypeVar

from ...errors import ArgumentError, AutogradError, OperandError
from ...grad_mode import watched
from ...kernels import watching_kernels
from ..watches import switched
from .averages import Average as Average, Averages as Averages, averages_of, sum_of
from .events import Event as Event, Frame as Frame
from .export import write_memory_curve, write_trace
from .recorder import Recorder

__all__ = ["Average", "Averages", "Event", "Frame", "profile", "record_function"]

F = TypeVar("F", bound=Callable[..., Any])

_ELSEWHERE: Final = {
    **dict.fromkeys(
        ("use_cuda", "use_device", "use_cpu", "use_kineto"),
        "leave it out: the time of every device is taken, on a GPU by its own clock",
    ),
    "with_flops": "leave it out, and see polyad.explain(f, args) for estimated operations",
    "with_modules": "write 'with record_function(name):' in the module's forward",
    "acc_events": "make a profile for each part, and keep them",
    "experimental_config": "leave it out",
    "custom_trace_id_callback": "leave it out",
}
"""What to write in place of PyTorch's options that there are not."""

BY: Final = ("operation", "line", "shape")

_running: list[Recorder] = []


class profile:  # noqa: N801 - the name is PyTorch's
    """A block of which calls, times and allocated bytes are noted: each operation, and each node of a backward pass.

    Kernels are noted in every thread; nodes, with the lines that recorded them, in the thread of the block and wherever
    its context was copied (`contextvars.copy_context`). Blocks may be nested.

    A library that computes asynchronously is waited for after each operation, so that its time is its own. On a GPU the
    device's time is measured by events, without waiting, beside the host's.

    Parameters
    ----------
    enabled : bool
        False for a block that notes nothing.
    record_shapes : bool
        Whether to note operands' shapes, for averages by shape.
    with_stack : bool
        Whether to note all lines that led to an operation, in place of the innermost alone.
    profile_memory : bool
        Whether to note what operations allocate. Counted are the arrays that they return, views and writes in place
        apart, and not what a kernel needs for itself meanwhile.

    Raises
    ------
    OperandError
        For options of PyTorch's that there are not; the message says what to write.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(1000, requires_grad=True)
    >>> with ad.autograd.profiler.profile() as prof:
    ...     (x * x).sum().backward()
    >>> print(prof.key_averages().table(sort_by="self_cpu_memory_usage"))  # doctest: +ELLIPSIS
    Name ...
    >>> [(row.key, row.self_cpu_memory_usage) for row in prof.key_averages() if not row.is_backward]
    [('multiply', 4000), ('sum', 4)]
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        record_shapes: bool = True,
        with_stack: bool = False,
        profile_memory: bool = True,
        **others: Any,
    ) -> None:
        for name in others:
            advice = _ELSEWHERE.get(name, "there are enabled, record_shapes, with_stack and profile_memory")
            raise OperandError(f"profile: there is no option {name}; {advice}")
        self.enabled, self.record_shapes = enabled, record_shapes
        self.with_stack, self.profile_memory = with_stack, profile_memory
        self._recorder: Recorder | None = None
        self._block = ExitStack()
        self._events: list[Event] | None = None

    def __enter__(self) -> profile:
        if self._recorder is not None:
            raise AutogradError(
                "profile: this one was entered already; make another, profile(...), for each block, also inside "
                "another's"
            )
        recorder = self._recorder = Recorder(self.record_shapes, self.with_stack, self.profile_memory)
        if self.enabled:
            recorder.start()
            with ExitStack() as block:
                block.enter_context(_running_as(recorder))
                block.enter_context(watching_kernels(recorder))
                block.enter_context(_seeing_nodes(recorder))
                self._block = block.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._recorder is not None
        self._block.close()
        self._events = self._recorder.finish()

    # Results --------------------------------------------------------------------------------------------

    def _ended(self, wanted: str) -> Recorder:
        if self._events is None or self._recorder is None:
            state = "has not begun" if self._recorder is None else "has not ended"
            raise AutogradError(
                f"profile: {wanted} was asked for, but the block {state}; write it after 'with profile() as prof:', "
                f"outside the block"
            )
        return self._recorder

    @property
    def events(self) -> list[Event]:
        """All that was noted, in the order of beginning.

        Raises
        ------
        AutogradError
            If the block has not ended.
        """
        return list(self._ended("events").events)

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds that all operations, nodes and ranges took."""
        return self.total_average().self_cpu_time_total

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, *, by: str = "operation"
    ) -> Averages:
        """Sum up what was noted, in rows.

        Parameters
        ----------
        group_by_input_shape : bool
            The same as ``by="shape"``.
        group_by_stack_n : int
            A row for each operation and its ``n`` innermost lines.
        by : str
            ``"operation"``: a row for each operation and each kind of node; ``"line"``: for each line of the program;
            ``"shape"``: for each operation and the shapes of its operands. What was done in backward passes is in rows
            of its own; of a line, what its nodes took.

        Returns
        -------
        Averages
            A list of `Average`, with ``table()``.

        Raises
        ------
        AutogradError
            If the block has not ended.
        ArgumentError
            If rows are asked for by what was not noted, or by something unknown.

        Examples
        --------
        >>> import polyad as ad
        >>> with ad.autograd.profiler.profile() as prof:
        ...     y = ad.exp(ad.ones(2)) + ad.exp(ad.ones(3)).sum()
        >>> [(row.key, row.input_shapes, row.count) for row in prof.key_averages(by="shape")][1:3]
        [('exp', ((2,),), 1), ('exp', ((3,),), 1)]
        """
        recorder = self._ended("key_averages()")
        if by not in BY:
            raise ArgumentError(f"key_averages: by is one of {', '.join(map(repr, BY))}; got {by!r:.60}")
        depth = self._depth(group_by_stack_n)
        if group_by_input_shape:
            by = "shape"
        if by == "shape" and not self.record_shapes:
            raise ArgumentError("key_averages: shapes were not noted; write profile(record_shapes=True)")
        if depth and by != "operation":
            raise ArgumentError("key_averages: rows are by shape, by line or by stack, not by two of them; choose one")
        return averages_of(
            recorder.events,
            "stack" if depth else by,
            depth,
            has_memory=self.profile_memory,
            has_device_time=any(e.has_own_time for e in recorder.events),
        )

    def _depth(self, wanted: Any) -> int:
        if not isinstance(wanted, int) or wanted < 0:
            raise ArgumentError(f"key_averages: group_by_stack_n is a number of lines; got {wanted!r:.60}")
        if wanted > 1 and not self.with_stack:
            raise ArgumentError(
                f"key_averages: group_by_stack_n={wanted}, but the innermost line alone was noted; "
                f"write profile(with_stack=True)"
            )
        return wanted

    def total_average(self) -> Average:
        """Sum up everything in one row."""
        return sum_of(self._ended("total_average()").events)

    def table(self, sort_by: str | None = None, row_limit: int = 100, **options: Any) -> str:
        """Give the averages by operation as text: ``key_averages().table(...)``."""
        return self.key_averages().table(sort_by, row_limit, **options)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write what was noted for chrome://tracing and ui.perfetto.dev.

        Each thread has a row, and each GPU; arrows lead from operations to the nodes that they recorded, and there are
        the memory's curves.

        Parameters
        ----------
        path : str or path
            Such as ``"trace.json"``.

        Raises
        ------
        AutogradError
            If the block has not ended.
        """
        recorder = self._ended("export_chrome_trace()")
        write_trace(path, recorder.events, recorder.memory_log())

    def export_memory_curve(self, path: str | os.PathLike[str]) -> None:
        """Draw the memory of the arrays that operations made, over time. The block's ranges are shaded.

        Parameters
        ----------
        path : str or path
            Ends in ``.png``, ``.svg`` or ``.pdf``.

        Raises
        ------
        AutogradError
            If the block has not ended.
        ArgumentError
            If memory was not noted, or the file's name ends in something else.
        LibraryNotInstalledError
            If matplotlib is not installed.
        """
        recorder = self._ended("export_memory_curve()")
        if not self.profile_memory:
            raise ArgumentError("export_memory_curve: memory was not noted; write profile(profile_memory=True)")
        write_memory_curve(path, recorder.events, recorder.memory_log())

    def __repr__(self) -> str:
        if self._events is None:
            return f"<profile, {'not begun' if self._recorder is None else 'running'}>"
        return f"<profile of {len(self._events)} events>"


class _running_as:  # noqa: N801 - used as a statement
    """A block in which ranges are noted by a recorder."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __enter__(self) -> None:
        _running.append(self.recorder)

    def __exit__(self, *error: object) -> None:
        _running.remove(self.recorder)


def _seeing_nodes(recorder: Recorder) -> Any:
    """A block in which a recorder sees nodes, beside what sees them already."""
    current: Any = watched()
    outer = None if current is None else current.recorded
    outer_computing = None if current is None else current.computing
    if outer is None and outer_computing is None:
        return switched(recorded=recorder.recorded, computing=recorder.computing)

    def recorded(node: Any, operands: Any) -> None:
        if outer is not None:
            outer(node, operands)
        recorder.recorded(node, operands)

    def computing(compute: Any) -> Any:
        return recorder.computing(compute if outer_computing is None else outer_computing(compute))

    return switched(recorded=recorded, computing=computing)


class record_function:  # noqa: N801 - the name is PyTorch's
    """A part of a program that has a name in the profiles that are on: a context manager and a decorator.

    Parameters
    ----------
    name : str

    Raises
    ------
    OperandError
        If the name is no text.

    Examples
    --------
    >>> import polyad as ad
    >>> from polyad.autograd.profiler import profile, record_function
    >>> @record_function("scale")
    ... def scaled(x):
    ...     return x * 2
    >>> with profile() as prof:
    ...     y = scaled(ad.ones(2))
    >>> [(e.name, e.parent.name if e.parent else None) for e in prof.events]
    [('ones', None), ('scale', None), ('multiply', 'scale')]
    """

    __slots__ = ("_entered", "name")

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise OperandError(f"record_function: a name is a text; got {name!r:.60}. Write record_function('name')")
        self.name = name
        self._entered: list[list[tuple[Recorder, Event]]] = []

    def __enter__(self) -> record_function:
        self._entered.append([(recorder, recorder.begin_range(self.name)) for recorder in _running])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for recorder, event in reversed(self._entered.pop()):
            recorder.end_range(event)

    def __call__(self, function: F) -> F:
        """Have ``function`` noted under the name whenever it runs."""
        name = self.name
        wrapper: Any
        if inspect.iscoroutinefunction(function):

            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with record_function(name):
                    return await function(*args, **kwargs)

        else:

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with record_function(name):
                    return function(*args, **kwargs)

        return functools.wraps(function)(wrapper)  # type: ignore[return-value]
