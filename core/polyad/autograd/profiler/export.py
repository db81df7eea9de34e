"""A profile as a file: the trace that browsers show, and the curve of memory."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ...backend import Device
from ...errors import ArgumentError, LibraryNotInstalledError
from .averages import shown_bytes, shown_time
from .events import NODE, OPERATION, RANGE, Event

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["trace", "write_memory_curve", "write_trace"]

Path_ = str | os.PathLike[str]
Log = Sequence[tuple[int, Device, int]]

# The trace ------------------------------------------------------------------------------------------------------


def write_trace(path: Path_, events: Sequence[Event], log: Log) -> None:
    """Write what `trace` gives."""
    Path(path).write_text(json.dumps(trace(events, log)), encoding="utf-8")


def trace(events: Sequence[Event], log: Log) -> dict[str, Any]:
    """Give a profile in the Trace Event Format, which chrome://tracing and Perfetto show."""
    process = os.getpid()
    found: list[dict[str, Any]] = [_metadata(process, None, "process_name", "polyad")]
    threads = {e.thread for e in events}
    main = threading.main_thread().ident
    for thread in sorted(threads):
        name = "main thread" if thread == main else f"thread {thread}"
        found.append(_metadata(process, thread, "thread_name", name))
    devices = {e.device: i for i, e in enumerate(events) if e.device is not None and e.has_own_time}
    for device, i in devices.items():
        found.append(_metadata(process, i, "thread_name", _name_of(device)))
    for event in events:
        found.append(_span(event, process))
        if event.device in devices:
            found.append(_device_span(event, process, devices[event.device]))
    found += _arrows(events, process)
    found += _counters(log, process)
    return {"traceEvents": found, "displayTimeUnit": "ms"}


def _metadata(process: int, thread: int | None, kind: str, name: str) -> dict[str, Any]:
    where = {"pid": process} if thread is None else {"pid": process, "tid": thread}
    return {"ph": "M", "name": kind, **where, "args": {"name": name}}


def _span(event: Event, process: int) -> dict[str, Any]:
    """An event on the row of its thread."""
    return {
        "ph": "X",
        "name": event.name,
        "cat": "range" if event.kind == RANGE else "backward" if event.is_backward else "forward",
        "pid": process,
        "tid": event.thread,
        "ts": event.start / 1000,
        "dur": (event.end - event.start) / 1000,
        "args": dict(_details(event)),
    }


def _details(event: Event) -> Iterator[tuple[str, Any]]:
    if event.device is not None:
        yield "device", _name_of(event.device)
        yield "allocated bytes", event.allocated
    if event.shapes is not None and event.kind != RANGE:
        yield "shapes", event.shapes
    if event.stack:
        yield "stack", [str(frame) for frame in event.stack]
    if event.node is not None:
        yield "node", event.node


def _device_span(event: Event, process: int, row: int) -> dict[str, Any]:
    """An event on the row of its device, at the device's time."""
    span = _span(event, process)
    return span | {"tid": row, "ts": event.device_start / 1000, "dur": event.device_time / 1000}


def _arrows(events: Iterable[Event], process: int) -> Iterator[dict[str, Any]]:
    """Arrows from the operations of the forward pass to the nodes that they recorded."""
    recorded = {e.node: e for e in events if e.kind == OPERATION and e.node is not None}
    for event in events:
        if event.kind != NODE or event.node not in recorded:
            continue
        arrow = {"name": "recorded", "cat": "forward to backward", "id": event.node, "pid": process}
        origin = recorded[event.node]
        yield {"ph": "s", **arrow, "tid": origin.thread, "ts": origin.start / 1000}
        yield {"ph": "f", "bp": "e", **arrow, "tid": event.thread, "ts": event.start / 1000}  # to the event around it


def _counters(log: Log, process: int) -> Iterator[dict[str, Any]]:
    for device, curve in _curves(log).items():
        for at, size in curve:
            name = f"memory, {_name_of(device)}"
            yield {"ph": "C", "name": name, "pid": process, "ts": at / 1000, "args": {"bytes": size}}


def _name_of(device: Device) -> str:
    return f"{device.backend.name} {device}"


def _curves(log: Log) -> dict[Device, list[tuple[int, int]]]:
    """For each device when its arrays took how many bytes."""
    found: dict[Device, list[tuple[int, int]]] = {}
    for at, device, change in log:
        curve = found.setdefault(device, [(0, 0)])
        curve.append((at, curve[-1][1] + change))
    return found


# The curve of memory --------------------------------------------------------------------------------------------

COLORS: Final = ("#0b6bcb", "#d1242f", "#1a7f37", "#8250df")
COLUMNS: Final = 1400
SHADES: Final = ("#eef1f4", "#f8f3e9", "#edf4ee")
INK, FAINT = "#22272e", "#6e7781"


def write_memory_curve(path: Path_, events: Sequence[Event], log: Log) -> None:
    """Draw how the bytes of the arrays that operations made went, for each device, and write the picture."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".svg", ".pdf"):
        raise ArgumentError(f"export_memory_curve: the file's name ends in .png, .svg or .pdf; got {str(path)!r}")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise LibraryNotInstalledError(
            "export_memory_curve needs matplotlib, which is not installed; write: pip install matplotlib. "
            "export_chrome_trace(path) has the same curve without it"
        ) from error
    figure = Figure((11, 5), layout="constrained")  # not through pyplot: no window, and no setting changes
    _draw(figure, figure.add_subplot(), events, log)
    figure.savefig(path, dpi=130)


def _draw(figure: Figure, axes: Axes, events: Sequence[Event], log: Log) -> None:
    curves = _curves(log)
    end = max([e.end for e in events] + [at for curve in curves.values() for at, _ in curve] + [1])
    scale, unit = _unit(max([size for curve in curves.values() for _, size in curve] + [1]))
    for (device, curve), color in zip(curves.items(), COLORS * len(curves), strict=False):
        shown = [*_thinned(curve, end), (end, curve[-1][1])]
        times, sizes = [at / 1e6 for at, _ in shown], [size / scale for _, size in shown]
        axes.fill_between(times, sizes, step="post", color=color, alpha=0.12, lw=0)
        axes.step(times, sizes, where="post", color=color, lw=1.6, label=_name_of(device))
        at, peak = max(curve, key=_size)
        axes.plot([at / 1e6], [peak / scale], "o", color=color, ms=5)
        is_late = at > 0.6 * end
        axes.annotate(
            f"peak {shown_bytes(peak)}",
            (at / 1e6, peak / scale),
            (-8 if is_late else 8, 6),
            textcoords="offset points",
            ha="right" if is_late else "left",
            color=color,
        )
    _draw_ranges(axes, events)
    axes.set_xlim(0, end / 1e6)
    axes.set_ylim(0, axes.get_ylim()[1] * 1.12)
    axes.set_xlabel("milliseconds", color=FAINT)
    axes.set_ylabel(unit, color=FAINT)
    axes.set_title(
        f"memory of the arrays that operations made, in {shown_time(end / 1000)}", loc="left", color=INK, pad=24
    )
    axes.grid(axis="y", color="#e5e8eb", lw=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, length=0)
    axes.spines[:].set_visible(False)
    if len(curves) > 1:
        axes.legend(frameon=False, loc="upper right")


def _thinned(curve: Sequence[tuple[int, int]], end: int) -> list[tuple[int, int]]:
    """A curve as fine as a picture shows it: of each of its columns the lowest, the highest and the last point."""
    columns: dict[int, list[tuple[int, int]]] = {}
    for point in curve:
        columns.setdefault(point[0] * COLUMNS // end, []).append(point)
    return [
        point
        for points in columns.values()
        for point in sorted({min(points, key=_size), max(points, key=_size), points[-1]}, key=lambda p: p[0])
    ]


def _size(point: tuple[int, int]) -> int:
    return point[1]


def _draw_ranges(axes: Axes, events: Sequence[Event]) -> None:
    """Shade the outermost ranges that the program named, and write their names above."""
    outermost = [e for e in events if e.kind == RANGE and e.parent is None]
    total = max([e.end for e in outermost], default=1)
    names = list(dict.fromkeys(e.name for e in outermost))
    for event in outermost:
        shade = SHADES[names.index(event.name) % len(SHADES)]
        axes.axvspan(event.start / 1e6, event.end / 1e6, color=shade, lw=0, zorder=0)
        if len(event.name) < 90 * (event.end - event.start) / total:  # there is room for it
            middle = (event.start + event.end) / 2e6
            axes.annotate(
                event.name,
                (middle, 1.0),
                (0, 4),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                size=9,
                color=FAINT,
            )


def _unit(largest: int) -> tuple[int, str]:
    """What to divide bytes by, and what that is called."""
    for power, name in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if largest >= 1024**power:
            return 1024**power, name
    return 1, "bytes"
