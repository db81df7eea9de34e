"""What `crosscheck` found, as an object, as text, as a table, and as code that shows a difference again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..backend import Device
from ..dtypes import BY_NAME, as_dtype
from .closeness import Disagreement
from .kernel_sources import kernel_source
from .operations import Operation
from .replay import ORDERS

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["CrossCheck", "Difference"]

_SHOWN = 64
"""Arrays of more elements are not written out."""


@dataclass(eq=False)
class Difference:
    """One operation that differs on a backend from the reference.

    Attributes
    ----------
    found_in : Operation or None
        None where the program differs as a whole, and no operation of it does.
    device, reference : Device
        Where it differs, and from where.
    order : int
        0 for the value, 1 for the gradient, 2 for the second gradient.
    name : str
        What was compared, such as ``"the gradient of x1"``.
    wrong : Disagreement
        What differs, and both numbers at the worst place.
    within : tuple of str
        What the operation is part of, the outermost first.
    rounding : bool or None
        Whether the difference is gone in double precision; None where that says nothing.
    """

    found_in: Operation | None
    device: Device
    reference: Device
    order: int
    name: str
    wrong: Disagreement
    within: tuple[str, ...] = ()
    rounding: bool | None = None

    @property
    def operation(self) -> str:
        """Name of the operation; empty where the program differs as a whole."""
        return self.found_in.function.name if self.found_in is not None else ""

    @property
    def kind(self) -> str:
        """``"value"``, ``"gradient"``, ``"second gradient"``, ``"dtype"``, ``"shape"``, ``"device"``, ``"error"``."""
        return ORDERS[self.order] if self.wrong.what == "value" else self.wrong.what

    @property
    def backend(self) -> str:
        """Name of the backend on which it differs."""
        return self.device.backend.name

    @property
    def line(self) -> str:
        """The line of the program that led to the operation."""
        return self.found_in.line if self.found_in is not None else ""

    @property
    def provider(self) -> str:
        """Whose the operation is: a distribution and its version."""
        return self.found_in.function.origin if self.found_in is not None else ""

    @property
    def kernel(self) -> str:
        """Where the backend's kernel of it comes from; a key of `polyad.testing.kernel_sources.KERNELS`."""
        return kernel_source(self.device.backend, self.found_in.function) if self.found_in is not None else ""

    @property
    def inputs(self) -> tuple[Any, ...]:
        """What the operation was given: NumPy arrays, numbers and None."""
        return self.found_in.inputs if self.found_in is not None else ()

    @property
    def params(self) -> dict[str, Any]:
        """The operation's parameters."""
        return dict(self.found_in.params) if self.found_in is not None else {}

    @property
    def expected(self) -> Any:
        """The reference's number at the worst place; or its type, shape or device."""
        return self.wrong.expected

    @property
    def actual(self) -> Any:
        """The other number at the worst place; or the type, shape, device or error."""
        return self.wrong.actual

    def __str__(self) -> str:
        subject = self.operation or "the program as a whole"
        lines = [f"{subject} on {self.device.where}: {self.kind} differs from {self.reference.where}"]
        lines += [f"  {name:<12}{value}" for name, value in self.facts()]
        return "\n".join(lines)

    def facts(self) -> list[tuple[str, str]]:
        """List what there is to say, as names and texts."""
        wrong = self.wrong
        facts = [("what", self.name)]
        if wrong.size:
            facts += [
                (
                    "worst",
                    f"at {wrong.index}: {wrong.actual!r}, expected {wrong.expected!r} within {wrong.allowed:.2g}",
                ),
                ("elements", f"{wrong.count} of {wrong.size} differ"),
            ]
        else:
            facts += [("is", _described(wrong.actual)), ("expected", _described(wrong.expected))]
        if self.rounding is not None:
            told = "they agree: it is rounding" if self.rounding else "they differ as well: it is no rounding"
            facts.append(("in float64", told))
        if self.within:
            facts.append(("part of", ", ".join(self.within)))
        if self.found_in is not None:
            facts += [
                ("inputs", ", ".join(map(str, self.found_in.forms)) or "none"),
                ("function", f"of {self.provider}; kernel: {self.kernel}"),
                ("line", self.line),
            ]
        return facts

    def code(self) -> str:
        """Give lines of Python that run the operation once more, to be pasted.

        Large arrays stand there as ``difference.inputs[0]``.
        """
        if self.found_in is None:
            return "# no operation by itself differs"
        parts = [repr(self.operation)]
        for i, x in enumerate(self.inputs):
            if not hasattr(x, "shape"):
                parts.append(repr(x))
                continue
            values = repr(x.tolist()) if x.size <= _SHOWN else f"difference.inputs[{i}]"
            parts.append(f"ad.tensor({_evaluable(values)}, dtype=ad.{as_dtype(x.dtype).name})")
        types = self.found_in.device.dtypes
        parts += [f"{k}={_parameter(v, types)}" for k, v in self.params.items()]
        if self.order:
            needs = [i for i, needed in enumerate(self.found_in.needs or ()) if needed]
            parts += [f"order={self.order}", f"needs={tuple(i in needs for i in range(len(self.inputs)))}"]
        if self.found_in.in_place:
            parts.append("in_place=True")
        call = ", ".join([*parts, "backend=name"])
        head = "import polyad as ad\nfrom polyad.keys import ARRAY, Slice\n"
        names = [self.reference.backend.name, self.backend]
        return f"{head}for name in {names}:\n    print(name, ad.testing.replay({call}))"

    def __rich__(self) -> RenderableType:
        """Show it in a terminal."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        for name, value in self.facts():
            table.add_row(name, Text(value))
        title = Text(self.operation or "the program as a whole", style="bold red")
        title.append(f": {self.kind} differs on {self.device.where}", style="not bold default")
        return Group(title, table)


def _evaluable(text: str) -> str:
    """Numbers' text as Python reads it."""
    return text.replace("nan", "ad.nan").replace("inf", "ad.inf")


def _parameter(value: Any, types: Any) -> str:
    try:
        if value in types:
            return f"ad.{types[value].name}"
    except TypeError:  # it cannot be hashed, so it is no type
        pass
    return repr(value)


def _described(value: Any) -> str:
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return value.name if value in BY_NAME.values() else str(value)


@dataclass(eq=False)
class CrossCheck:
    """What a crosscheck found.

    Attributes
    ----------
    differences : tuple of Difference
        In the order of the program; those of the program as a whole last.
    operations : int
        How many operations of the program were compared.
    devices : tuple of str
        Where, the reference first.
    notes : tuple of str
        What was not compared, and why.
    """

    differences: tuple[Difference, ...]
    operations: int
    devices: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    @property
    def first(self) -> Difference | None:
        """The first operation that differs; None if there is none."""
        return self.differences[0] if self.differences else None

    def raise_if_different(self) -> None:
        """Raise if anything differs.

        Raises
        ------
        AssertionError
            With the first operation that differs, and the code that shows it.
        """
        if self.first is not None:
            raise AssertionError(f"{self.first}\n{self.first.code()}")

    def __str__(self) -> str:
        reference, *others = self.devices
        start = f"{self.operations} operations on {', '.join(others)}, against {reference}: "
        text = "no difference" if self.first is None else f"{len(self.differences)} differ, the first is\n{self.first}"
        return "\n".join([start + text, *(f"note: {n}" for n in self.notes)])

    __repr__ = __str__

    def __rich__(self) -> RenderableType:
        """Show it in a terminal."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        reference, *others = self.devices
        state = Text("no difference", style="bold green") if self.ok else Text("different", style="bold red")
        head = state.append(
            f"  {self.operations} operations on {', '.join(others)}, against {reference}", style="not bold default"
        )
        notes = [Text(f"note: {n}", style="yellow") for n in self.notes]
        if self.first is None:
            return Group(head, *notes)
        table = Table(title="Operations that differ", title_justify="left", expand=False)
        for name in ("operation", "what", "backend", "expected", "is", "line"):
            table.add_column(name, overflow="fold")
        for d in self.differences[:20]:
            where = d.line.rpartition("/")[2]
            table.add_row(d.operation or "(whole)", d.kind, d.backend, _short(d.expected), _short(d.actual), where)
        more = [Text(f"and {len(self.differences) - 20} more")] if len(self.differences) > 20 else []
        return Group(head, Text(), self.first, Text(), table, *more, *notes)


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, (float, complex)) else _described(value)[:60]
