"""`explain`: what a program will do on a backend, listed before it runs there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..backend import Backend, Device
from ..errors import ArgumentError, PolyadError
from ..function import Function
from ..grad_mode import enable_grad
from ..graph import Node, Output
from ..ops.creation import zeros
from ..ops.generators import generator_of
from ..plugins import default_device, plugins, use_backend
from ..tensor import Tensor
from ..views import node_of
from .arguments import as_arguments, check_callable, check_fit, copied, device_named, results_in, tensors_in
from .costs import bytes_moved, flops
from .kernel_sources import kernel_source
from .operations import Form, Operation, Program, form_of, kept_by, traced
from .replay import parts_of

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Explanation", "Step", "explain"]


@dataclass(eq=False)
class Step:
    """What is known of one operation before it runs on a backend.

    Attributes
    ----------
    name : str
        The function.
    inputs, outputs : tuple of Form
    line : str
        The line of the program that leads to it.
    kernel : str
        Where the backend's kernel comes from: ``"own"``, ``"plugin"``, ``"library"``, ``"body"`` or ``"none"``.
    lacks : str
        Why the backend cannot run it; empty if it can.
    gradient, second_gradient : str
        ``"yes"``; ``""`` where none is asked for; or why there is none.
    flops, read, written, kept : int
        Arithmetic operations, estimated; bytes read and written; bytes that its gradient is the first to keep.
    transfer : (str, str) or None
        From where to where it moves its input.
    """

    name: str
    inputs: tuple[Form, ...]
    outputs: tuple[Form, ...]
    line: str
    kernel: str
    lacks: str
    gradient: str
    second_gradient: str
    flops: int
    read: int
    written: int
    kept: int
    transfer: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.inputs))})"


@dataclass(eq=False)
class Explanation:
    """What a program will do on a backend.

    Attributes
    ----------
    backend : str
    steps : tuple of Step
        The operations, in order.
    bytes_kept : int
        What the graph of the results keeps for their gradients, each array counted once. Of a program that goes
        backward itself, what it keeps over the whole run.
    """

    backend: str
    steps: tuple[Step, ...]
    bytes_kept: int
    notes: tuple[str, ...] = field(default=())

    @property
    def missing(self) -> tuple[Step, ...]:
        """Operations that the backend cannot run."""
        return tuple(s for s in self.steps if s.lacks)

    @property
    def without_gradient(self) -> tuple[Step, ...]:
        """Operations through which a gradient is asked for, and that have none."""
        return tuple(s for s in self.steps if s.gradient not in ("", "yes"))

    @property
    def without_second_gradient(self) -> tuple[Step, ...]:
        """Operations that have a gradient, and no second one."""
        return tuple(s for s in self.steps if s.second_gradient not in ("", "yes"))

    @property
    def transfers(self) -> tuple[Step, ...]:
        """Operations that move an array to another device."""
        return tuple(s for s in self.steps if s.transfer is not None)

    @property
    def flops(self) -> int:
        """Arithmetic operations, estimated."""
        return sum(s.flops for s in self.steps)

    @property
    def bytes_moved(self) -> int:
        """Bytes read and written."""
        return sum(s.read + s.written for s in self.steps)

    def __str__(self) -> str:
        start = f"{len(self.steps)} operations on {self.backend}: about {_amount(self.flops, '')}flop, "
        lines = [f"{start}{_bytes(self.bytes_moved)} moved, {_bytes(self.bytes_kept)} kept for gradients"]
        for title, steps, why in self._lists():
            lines += [f"{title}: {len(steps) or 'none'}"]
            lines += [f"  {s} at {s.line}: {why(s)}" for s in steps]
        return "\n".join([*lines, *(f"note: {n}" for n in self.notes)])

    __repr__ = __str__

    def _lists(self) -> list[tuple[str, tuple[Step, ...], Callable[[Step], str]]]:
        return [
            ("cannot run", self.missing, lambda s: s.lacks),
            ("without a gradient", self.without_gradient, lambda s: s.gradient),
            ("without a second gradient", self.without_second_gradient, lambda s: s.second_gradient),
            ("transfers", self.transfers, lambda s: f"{_bytes(s.read)} {' to '.join(s.transfer or ())}"),
        ]

    def __rich__(self) -> RenderableType:
        """Show it in a terminal."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title=f"{len(self.steps)} operations on {self.backend}", title_justify="left")
        table.add_column("operation", overflow="fold")
        for name in ("calls", "flop", "read", "written", "kept"):
            table.add_column(name, justify="right", no_wrap=True)
        for name in ("kernel", "gradients", "line"):
            table.add_column(name, overflow="fold")
        for same in _together(self.steps):
            one = same[0]
            amounts = [sum(getattr(s, n) for s in same) for n in ("flops", "read", "written", "kept")]
            kernel = Text(one.kernel, style="red" if one.lacks else "")
            row = [str(len(same)), _amount(amounts[0], ""), *map(_bytes, amounts[1:])]
            table.add_row(str(one), *row, kernel, _gradients(one), _short_line(one.line))
        amounts = [self.flops, sum(s.read for s in self.steps), sum(s.written for s in self.steps), self.bytes_kept]
        table.add_section()
        total = [str(len(self.steps)), _amount(amounts[0], ""), *map(_bytes, amounts[1:])]
        table.add_row("all", *total, "", "", "", style="bold")
        parts: list[Any] = [table]
        for title, steps, why in self._lists():
            style = "red" if title == "cannot run" and steps else "bold"
            parts.append(Text(f"{title}: {len(steps) or 'none'}", style=style))
            for same in _together(steps):
                times = f", {len(same)} times" if len(same) > 1 else ""
                parts.append(Text(f"  {same[0]} at {_short_line(same[0].line)}{times}: {why(same[0])}"))
        return Group(*parts, *(Text(f"note: {n}", style="yellow") for n in self.notes))


def _together(steps: Sequence[Step]) -> list[list[Step]]:
    """Put the calls of one function from one line, on arrays of one form, together."""
    found: dict[Any, list[Step]] = {}
    for s in steps:
        found.setdefault((s.name, s.inputs, s.line, s.gradient, s.second_gradient), []).append(s)
    return list(found.values())


def _gradients(step: Step) -> str:
    if not step.gradient:
        return "-"
    return "1st, 2nd" if step.second_gradient == "yes" else "1st" if step.gradient == "yes" else "none"


def _short_line(line: str) -> str:
    return re.split(r"[/\\]", line)[-1]


def _amount(n: float, unit: str) -> str:
    for prefix in ("", "k", "M", "G", "T"):
        if n < 1000 or prefix == "T":
            return f"{n:.3g} {prefix}{unit}" if prefix else f"{n:.0f} {unit}"
        n /= 1000
    raise AssertionError


def _bytes(n: float) -> str:
    return _amount(n, "B")


# Finding out ----------------------------------------------------------------------------------------------------


def explain(
    f: Callable[..., Any],
    args: Any = (),
    backend: str | Backend | Device | None = None,
    *,
    shapes: Sequence[Sequence[int]] | None = None,
) -> Explanation:
    """List what a function would do on a backend: what it lacks there, and what it costs.

    The function runs once, on the backend of its arguments: which operations a program runs may depend on the numbers
    in it, so there is no knowing without. Nothing runs on the other backend, which need not even have a device here:
    CuPy can be explained without a GPU where the package is installed.

    Flops are estimates from shapes (see `polyad.testing.costs`), bytes moved what operations read and write if nothing
    is fused. Reading single values on the host, as ``item()`` does, is not seen.

    Parameters
    ----------
    f : callable
        Takes tensors and returns tensors, alone or in lists, tuples and dicts.
    args : tuple
        Its arguments: tensors, alone or in lists, tuples, dicts and modules, and whatever else it takes. Where none
        requires a gradient, those of floating-point types count as if they did.
    backend : str, Backend or Device, optional
        By default that of the arguments.
    shapes : sequence of shapes, optional
        In place of arguments: zeros of these shapes.

    Returns
    -------
    Explanation
        ``missing``, ``without_gradient``, ``without_second_gradient``, ``transfers``: operations; ``flops``,
        ``bytes_moved``, ``bytes_kept``: numbers; ``steps``: all operations.

    Raises
    ------
    ArgumentError
        If both arguments and shapes are given.
    BackendError
        If the backend is unknown or not installed.
    OperandError
        If ``f`` is no function, arguments are arrays and no tensors, or ``f`` returns anything else than tensors.

    Examples
    --------
    >>> import polyad as ad
    >>> found = ad.testing.explain(lambda x, w: ad.tanh(x @ w), shapes=[(8, 4), (4, 2)])
    >>> found.flops, found.bytes_kept, found.missing
    (144, 224, ())
    """
    if shapes is not None:
        if args != ():
            raise ArgumentError("explain: give args or shapes, not both")
        args = tuple(zeros(tuple(shape)) for shape in shapes)
    check_callable("explain", f)
    given = copied(as_arguments("explain", args))
    check_fit("explain", f, given)
    tensors = [x for _, x in tensors_in(given)]
    if not any(x.requires_grad for x in tensors):
        for x in tensors:
            if x.dtype.is_differentiable:
                x.requires_grad_()
    target = _target(backend, tensors)
    home = tensors[0]._device if tensors else default_device()
    results, program = _run(f, given, tensors, home)
    known: dict[Any, str] = {}
    # what the program itself moves to a third backend stays there
    steps = [_step(o, target if o.device.backend is home.backend else o.device, known) for o in program.operations]
    steps += [_custom(node, line, kept) for node, line, kept in program.custom]
    kept = _kept(results) if any(y.requires_grad for y in results) else sum(s.kept for s in steps)
    where = target.where if isinstance(backend, Device) else f"backend {target.backend.name!r}"
    return Explanation(where, tuple(steps), kept)


def _target(backend: Any, tensors: Sequence[Tensor]) -> Device:
    if backend is None:
        return tensors[0]._device if tensors else default_device()
    if isinstance(backend, str):
        name, _, place = backend.partition("/")
        made = plugins.inspected(name)
        return made.device_for(place) if place else made.devices[0]
    return device_named("explain", backend)


def _run(
    f: Callable[..., Any], args: Sequence[Any], tensors: Sequence[Tensor], device: Device
) -> tuple[list[Tensor], Program]:
    """Run the program, and put random numbers' sources back."""
    seen: Counter[Any] = Counter()

    def first(function: Function, depends: tuple[bool, ...]) -> bool:
        seen[function, depends] += 1
        return seen[function, depends] <= 2  # a call that is unusual runs its kernel twice, and is recorded then

    source = generator_of(device).source
    state = source.get_state()
    try:
        with use_backend(device), enable_grad():
            results, program = traced(lambda program: results_in("explain", f(*args)), tensors, first)
    finally:
        source.set_state(state)
    return [y for _, y in results], program


def _step(operation: Operation, target: Device, known: dict[Any, str]) -> Step:
    function = operation.function
    read, written = bytes_moved(operation)
    moves = function.name == "to_device"
    transfer = (operation.params["source"].where, operation.params["device"].where) if moves else None
    gradient = _gradient(operation)
    return Step(
        function.name,
        operation.forms,
        operation.outputs,
        operation.line,
        kernel_source(target.backend, function),
        _lacks(operation, target, known),
        gradient,
        _second(operation, known) if gradient == "yes" else "",
        flops(operation),
        read,
        written,
        operation.kept,
        transfer,
    )


def _lacks(operation: Operation, target: Device, known: dict[Any, str]) -> str:
    """Say why a backend cannot run an operation; nothing if it can."""
    backend, function = target.backend, operation.function
    for form in (*operation.forms, *operation.outputs):
        if form.dtype not in backend.dtypes:
            return f"backend {backend.name!r} has no {form.dtype.name}"
    key = "kernel", function, target
    if key not in known:
        known[key] = ""  # while its parts are looked at
        known[key] = _resolved(operation, target, known)
    return known[key]


def _resolved(operation: Operation, target: Device, known: dict[Any, str]) -> str:
    function = operation.function
    try:
        target.backend.resolve(function, target)
    except PolyadError as error:
        return str(error)
    if kernel_source(target.backend, function) != "body" or not _has_values(operation):
        return ""
    for part in _parts(operation, 0):
        lacks = _lacks(part, target, known)
        if lacks:
            return f"it consists of other functions, and {lacks}"
    return ""


def _has_values(operation: Operation) -> bool:
    """Whether an operation can be taken apart: its inputs were kept, and it is no transfer."""
    return operation.function.name != "to_device" and not any(isinstance(x, Form) for x in operation.inputs)


def _parts(operation: Operation, order: int) -> list[Operation]:
    try:
        return parts_of(operation, operation.device, order)
    except PolyadError:
        return []


def _gradient(operation: Operation) -> str:
    """Say whether an operation has the gradient that is asked for."""
    if operation.needs is not None:
        return "yes" if any(operation.needs) else ""
    asked = any(operation.depends) and operation.recordable and not operation.in_place
    if not asked or operation.function.name in _CONSTANT or operation.function.differentiable:
        return ""
    if not any(f.dtype.is_differentiable for f in operation.outputs):
        return ""  # an order, a mask: what is no floating-point number has none anyway
    return f"{operation.function.name} has no derivative: its result counts as a constant"


_CONSTANT: Final = frozenset(["detach", "zeros_like", "ones_like", "new_full"])
"""Functions whose result is meant not to depend on its operand."""


def _second(operation: Operation, known: dict[Any, str]) -> str:
    """Say whether the gradient of an operation has one in turn: its gradient is taken twice, on the first call."""
    key = "second", operation.function, operation.needs
    if key in known:
        return known[key]
    if not _has_values(operation):
        return "yes"
    found = "yes"
    try:
        for part in parts_of(operation, operation.device, 2):
            if part.needs is None and _gradient(part):
                found = f"its gradient runs {part.function.name}, which has no derivative"
                break
    except PolyadError as error:
        found = str(error)
    known[key] = found
    return found


def _custom(node: Node, line: str, kept: int) -> Step:
    """Describe a node of the program's own: of `autograd.Function`, or of a write through a view."""
    backward = getattr(next(iter(getattr(node.function.joint, "args", ())), None), "backward", None)
    once = hasattr(backward, "once_differentiable")
    second = "its backward is marked once_differentiable" if once else "yes"
    return Step(node.function.name, (), (), line, "body", "", "yes", second, 0, 0, 0, kept)


def _kept(results: Sequence[Tensor]) -> int:
    """Count the bytes that the graph of some tensors keeps, each array once."""
    found: dict[int, int] = {}
    seen: set[int] = set()
    stack = [node_of(y) for y in results]
    while stack:
        edge = stack.pop()
        node = edge.node if type(edge) is Output else edge
        if not isinstance(node, Node) or id(node) in seen:
            continue
        seen.add(id(node))
        found.update({id(a): form_of(a, node.device).nbytes for a in kept_by(node)})
        stack.extend(node.edges)
    return sum(found.values())
