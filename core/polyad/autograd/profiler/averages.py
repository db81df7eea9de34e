"""Events summed up in rows, and the table of them."""

from __future__ import annotations

import linecache
import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ...errors import ArgumentError
from .events import RANGE, Event, Frame

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Average", "Averages", "averages_of", "shown_bytes", "shown_time", "sum_of"]


class Average:
    """A row: the events of one operation, one line or one form of operands, forward or backward, summed up.

    The names are PyTorch's, and so are the units: microseconds and bytes. ``cpu`` is the host, also where the device is
    a CPU.

    Attributes
    ----------
    key : str
        What the events have in common: a name; by line, the line.
    kind : str or None
        ``"operation"``, ``"node"`` or ``"range"``; by line, that of the first.
    is_backward : bool
        Whether they are of backward passes.
    count : int
        How many there are; by line, those that are in no other of the row.
    cpu_time_total, self_cpu_time_total : float
        The time that they took, and the part of it that was spent in no other event.
    cpu_time : float
        ``cpu_time_total`` of one.
    device_time_total, self_device_time_total, device_time : float
        The same on the devices' clocks.
    cpu_memory_usage, self_cpu_memory_usage : int
        Bytes that they allocated, wherever their device is.
    input_shapes : tuple or None
        The operands' shapes, if the rows are by shape.
    stack : tuple of Frame
        Where the first of them comes from.

    Examples
    --------
    >>> import polyad as ad
    >>> with ad.autograd.profiler.profile() as prof:
    ...     y = ad.exp(ad.ones(2)) + ad.exp(ad.zeros(2))
    >>> [(row.key, row.count, row.cpu_memory_usage) for row in prof.key_averages()]
    [('ones', 1, 8), ('exp', 2, 16), ('zeros', 1, 8), ('add', 1, 8)]
    """

    __slots__ = (
        *("key", "kind", "is_backward", "count", "input_shapes", "stack", "queues"),
        *("_time", "_self_time", "_device_time", "_self_device_time", "cpu_memory_usage", "self_cpu_memory_usage"),
    )

    def __init__(self, key: str, first: Event | None, shapes: tuple[Any, ...] | None = None) -> None:
        self.key, self.input_shapes = key, shapes
        self.kind = None if first is None else first.kind
        self.is_backward = first is not None and first.is_backward
        self.stack: tuple[Frame, ...] = () if first is None else first.stack
        self.count = self._time = self._self_time = self._device_time = self._self_device_time = 0
        self.cpu_memory_usage = self.self_cpu_memory_usage = 0

    def add(self, event: Event, is_inside: bool, is_counted: bool) -> None:
        """Count an event, which may be inside another of the row."""
        self.count += is_counted
        self._self_time += event.self_time
        self._self_device_time += event.self_device_time
        self.self_cpu_memory_usage += event.self_allocated
        if not is_inside:
            self._time += event.time
            self._device_time += event.device_time
            self.cpu_memory_usage += event.allocated

    @property
    def cpu_time_total(self) -> float:
        """Microseconds that the events took."""
        return self._time / 1000

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of them that were spent in no other event."""
        return self._self_time / 1000

    @property
    def cpu_time(self) -> float:
        """Microseconds that one took, on average."""
        return self.cpu_time_total / max(1, self.count)

    @property
    def device_time_total(self) -> float:
        """Microseconds of the devices' time that the events took."""
        return self._device_time / 1000

    @property
    def self_device_time_total(self) -> float:
        """Microseconds of them that were spent in no other event."""
        return self._self_device_time / 1000

    @property
    def device_time(self) -> float:
        """Microseconds of the device's time that one took, on average."""
        return self.device_time_total / max(1, self.count)

    def __repr__(self) -> str:
        way = "backward" if self.is_backward else "forward"
        return f"<{self.key!r}, {way}, {self.count} calls, {shown_time(self.self_cpu_time_total)}>"


SORTS: Final = (
    *("self_cpu_time_total", "cpu_time_total", "cpu_time", "self_device_time_total", "device_time_total"),
    *("device_time", "self_cpu_memory_usage", "cpu_memory_usage", "count", "key"),
)


class Averages(list[Average]):
    """Rows of a profile, in the order of their first events; printed as a table.

    Examples
    --------
    >>> import polyad as ad
    >>> with ad.autograd.profiler.profile() as prof:
    ...     y = ad.exp(ad.ones(2))
    >>> rows = prof.key_averages()
    >>> print(rows.table(sort_by="count", row_limit=1))  # doctest: +ELLIPSIS
    Name ...
    """

    def __init__(self, rows: Iterable[Average], by: str, *, has_memory: bool, has_device_time: bool) -> None:
        super().__init__(rows)
        self.by, self.has_memory, self.has_device_time = by, has_memory, has_device_time

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all rows together."""
        return sum(row.self_cpu_time_total for row in self)

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
    ) -> str:
        """Give the rows as text, as PyTorch's ``table``.

        Parameters
        ----------
        sort_by : str, optional
            An attribute of `Average`, the largest first: such as ``"self_cpu_time_total"``, ``"cpu_time_total"``,
            ``"self_device_time_total"``, ``"self_cpu_memory_usage"`` or ``"count"``.
        row_limit : int
            How many rows at most; -1 for all.
        max_src_column_width, max_name_column_width, max_shapes_column_width : int
            Characters that a column may take; -1 for as many as there are.
        header : str, optional
            A line above the table.

        Returns
        -------
        str

        Raises
        ------
        ArgumentError
            If there is nothing to sort by of that name, or ``row_limit`` is no number of rows.
        """
        from rich.console import Console

        rows = self._chosen(sort_by, row_limit)
        widths = (max_name_column_width, max_shapes_column_width, max_src_column_width)
        console = Console(width=10_000, color_system=None, highlight=False, emoji=False, markup=False)
        with console.capture() as captured:
            if header:
                console.print(header)
            console.print(self._grid(rows, *widths))
            if len(rows) < len(self):
                console.print(f"and {len(self) - len(rows)} more rows")
            console.print(f"Self time total: {shown_time(self.self_cpu_time_total)}")
        return "\n".join(line.rstrip() for line in captured.get().splitlines())

    def _chosen(self, sort_by: str | None, row_limit: int) -> list[Average]:
        rows = list(self)
        if sort_by is not None:
            _check_sort(sort_by)
            rows.sort(key=lambda row: getattr(row, sort_by), reverse=sort_by != "key")
        if not isinstance(row_limit, int) or isinstance(row_limit, bool) or row_limit < -1:
            raise ArgumentError(f"table: row_limit is a number of rows, or -1 for all; got {row_limit!r:.60}")
        return rows if row_limit == -1 else rows[:row_limit]

    def _grid(self, rows: Sequence[Average], name_width: int, shapes_width: int, source_width: int) -> Table:
        from rich import box
        from rich.table import Table

        columns = self._columns(name_width, shapes_width, source_width)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=True, padding=(0, 1, 0, 0), show_edge=False)
        for title, is_number, _ in columns:
            table.add_column(title, justify="right" if is_number else "left", no_wrap=True)
        for row in rows:
            table.add_row(*[show(row) for _, _, show in columns])
        return table

    def _columns(
        self, name_width: int, shapes_width: int, source_width: int
    ) -> list[tuple[str, bool, Callable[[Average], str]]]:
        """Each column: its title, whether it has numbers, and what it shows of a row."""
        whole = self.self_cpu_time_total or 1.0
        found: list[tuple[str, bool, Callable[[Average], str]]] = [
            ("Line" if self.by == "line" else "Name", False, lambda row: _end_of(_short(row.key), name_width)),
            ("Pass", False, _shown_pass),
            ("Self %", True, lambda row: f"{row.self_cpu_time_total / whole:.1%}"),
            ("Self", True, lambda row: shown_time(row.self_cpu_time_total)),
            ("Total %", True, lambda row: f"{row.cpu_time_total / whole:.1%}"),
            ("Total", True, lambda row: shown_time(row.cpu_time_total)),
            ("Average", True, lambda row: shown_time(row.cpu_time)),
        ]
        if self.has_device_time:
            found += [
                ("Self device", True, lambda row: shown_time(row.self_device_time_total)),
                ("Device", True, lambda row: shown_time(row.device_time_total)),
            ]
        if self.has_memory:
            found += [
                ("Self memory", True, lambda row: shown_bytes(row.self_cpu_memory_usage)),
                ("Memory", True, lambda row: shown_bytes(row.cpu_memory_usage)),
            ]
        found.append(("Calls", True, lambda row: str(row.count)))
        if self.by == "shape":
            found.append(("Shapes", False, lambda row: _start_of(_shown_shapes(row.input_shapes), shapes_width)))
        if self.by == "line":
            found.append(("Source", False, lambda row: _start_of(_text_of(row.stack), source_width)))
        elif self.by == "stack":
            found.append(("Stack", False, lambda row: _end_of(_shown_stack(row.stack), source_width)))
        return found

    def __str__(self) -> str:
        return self.table()


def averages_of(
    events: Sequence[Event], by: str, depth: int = 0, *, has_memory: bool, has_device_time: bool
) -> Averages:
    """Sum events up in rows: by operation, by source line, by shapes or by the ``depth`` innermost lines."""
    keys: dict[Event, Any] = {}
    rows: dict[Any, Average] = {}
    for event in events:
        if by == "line" and event.kind == RANGE:  # lines have their own operations alone
            continue
        key = keys[event] = _key_of(event, by, depth)
        row = rows.get(key)
        if row is None:
            shapes = event.shapes if by == "shape" else None
            row = rows[key] = Average(key[0], event, shapes)
            row.stack = event.stack[:depth] if by == "stack" else event.stack
        is_inside = _is_inside(event, key, keys)
        row.add(event, is_inside, by != "line" or not is_inside)
    return Averages(rows.values(), by, has_memory=has_memory, has_device_time=has_device_time)


def _key_of(event: Event, by: str, depth: int) -> tuple[Any, ...]:
    if by == "line":
        return (str(event.stack[0]) if event.stack else "(no line)"), event.is_backward
    if by == "shape":
        return event.name, event.is_backward, event.kind, event.shapes
    if by == "stack":
        return event.name, event.is_backward, event.kind, event.stack[:depth]
    return event.name, event.is_backward, event.kind


def _is_inside(event: Event, key: Any, keys: dict[Event, Any]) -> bool:
    """Whether an event is inside another of its row, whose time has its own in it."""
    parent = event.parent
    while parent is not None:
        if keys.get(parent) == key:
            return True
        parent = parent.parent
    return False


def sum_of(events: Sequence[Event]) -> Average:
    """One row of all events."""
    row = Average("Total", None)
    for event in events:
        row.add(event, event.parent is not None, event.kind != RANGE)
    return row


def _check_sort(sort_by: str) -> None:
    if sort_by in SORTS:
        return
    meant = sort_by.replace("cuda", "device") if isinstance(sort_by, str) else ""
    advice = f"; write {meant!r}" if meant in SORTS else ""
    raise ArgumentError(f"table: sort_by is one of {', '.join(SORTS)}; got {sort_by!r:.60}{advice}")


# Words ----------------------------------------------------------------------------------------------------------


def _shown_pass(row: Average) -> str:
    return "" if row.kind == RANGE else "backward" if row.is_backward else "forward"


def shown_time(microseconds: float) -> str:
    """A time with its unit, as PyTorch shows it."""
    if microseconds >= 1e6:
        return f"{microseconds / 1e6:.3f}s"
    return f"{microseconds / 1e3:.3f}ms" if microseconds >= 1e3 else f"{microseconds:.3f}us"


def shown_bytes(count: float) -> str:
    """A number of bytes with its unit."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.2f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"


def _short(text: str) -> str:
    """A line's file as seen from the current directory, if it is below that."""
    here = os.getcwd() + os.sep
    return text.removeprefix(here)


def _start_of(text: str, width: int) -> str:
    return text if width < 4 or len(text) <= width else f"{text[: width - 3]}..."


def _end_of(text: str, width: int) -> str:
    return text if width < 4 or len(text) <= width else f"...{text[len(text) - width + 3 :]}"


def _shown_shapes(shapes: Any) -> str:
    return "" if shapes is None else ", ".join("-" if s is None else str(list(s)) for s in shapes)


def _shown_stack(stack: Sequence[Frame]) -> str:
    return " < ".join(_short(str(frame)) for frame in stack)


def _text_of(stack: Sequence[Frame]) -> str:
    return linecache.getline(stack[0].file, stack[0].line).strip() if stack else ""
