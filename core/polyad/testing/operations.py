"""The operations that a program runs, in order: each call of a kernel, with what went in and what came out.

`traced` runs a program and lists them; `crosscheck` repeats them elsewhere, `explain` counts them. Kernels that other
kernels call are part of these: only the outermost are operations. A function whose derivative follows from its body is
its parts where a gradient is recorded, as in the graph.
"""

from __future__ import annotations

import math
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from .. import views
from ..autograd.watches import switched
from ..backend import Device
from ..dtypes import DType, as_dtype
from ..function import ARRAY, ARRAYS, FUNCTIONS, ONE_OF, OUT, Function
from ..grad_mode import recording
from ..graph import Node, Packed, specs_of
from ..kernels import Kernel, KernelWatch, watching_kernels
from ..keys import ARRAY as KEY
from ..plugins import BACKENDS, PLUGINS, plugins
from ..tensor import Tensor

__all__ = ["Form", "Operation", "Program", "always", "form_of", "host_of", "kept_by", "traced"]


@dataclass(frozen=True)
class Form:
    """What is known of an array without its values."""

    shape: tuple[int, ...]
    dtype: DType

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"


def form_of(array: Any, device: Device) -> Form:
    """Give shape and type of a raw array."""
    return Form(tuple(array.shape), device.dtypes[array.dtype])


def host_of(array: Any, device: Device) -> Any:
    """Give a raw array's values as a NumPy array that nobody writes to."""
    backend = device.backend
    return backend.to_host(backend.copy(array) if backend.writable else array)


@dataclass(eq=False)
class Operation:
    """One call of a function's kernel.

    Attributes
    ----------
    function : Function
    device : Device
        Where it ran.
    inputs : tuple
        The arrays it was given, as NumPy arrays or, where values are not kept, as `Form`; numbers and None as they are.
    params : dict
    outputs : tuple of Form
        What it gave.
    line : str
        The line of the program that led to it.
    in_place : bool
        Whether it wrote its result into its first input.
    backward : bool
        Whether a backward pass ran it.
    depends : tuple of bool
        Of each input, whether it depends on what requires a gradient, as far as was seen.
    needs : tuple of bool or None
        Of each input, whether a gradient for it was recorded; None where nothing was.
    recordable : bool
        Whether operations were recorded then.
    kept : int
        Bytes of the arrays that its gradient keeps, and that no operation before kept.
    """

    function: Function
    device: Device
    inputs: tuple[Any, ...]
    params: dict[str, Any]
    outputs: tuple[Form, ...]
    line: str
    in_place: bool = False
    backward: bool = False
    depends: tuple[bool, ...] = ()
    needs: tuple[bool, ...] | None = None
    recordable: bool = True
    kept: int = 0

    @property
    def forms(self) -> tuple[Form, ...]:
        """Shapes and types of the arrays that it was given."""
        return tuple(x if isinstance(x, Form) else _form_of_host(x) for x in self.inputs if hasattr(x, "shape"))

    def __str__(self) -> str:
        return f"{self.function.name}({', '.join(map(str, self.forms))})"


def _form_of_host(host: Any) -> Form:
    return Form(tuple(host.shape), as_dtype(host.dtype))


class _Known:
    """A set of arrays by identity that keeps none of them alive."""

    def __init__(self) -> None:
        self._references: dict[int, Any] = {}

    def add(self, array: Any) -> None:
        self._references[id(array)] = weakref.ref(array)

    def __contains__(self, array: Any) -> bool:
        reference = self._references.get(id(array))
        return reference is not None and reference() is array


class Program(KernelWatch):
    """The operations of one run, filled while it goes on.

    Attributes
    ----------
    operations : list of Operation
    sources : list
        The arrays that neither were arguments nor came from an operation: random numbers,
        tensors made of data, what the program closes over.
    custom : list of (Node, str, int)
        The nodes of the program's own `autograd.Function`; of each the line, and what it keeps in bytes.
    """

    def __init__(self, values: Callable[[Function, tuple[bool, ...]], bool], given: Iterable[Tensor]) -> None:
        self.operations: list[Operation] = []
        self.sources: list[Any] = []
        self.custom: list[tuple[Node, str, int]] = []
        self.backward = False
        self._values = values
        self._thread = threading.get_ident()
        self._packages = _packages()
        self._inside = False
        self._known, self._dependent, self._kept = _Known(), _Known(), _Known()
        self.begin(given)

    def begin(self, given: Iterable[Tensor]) -> None:
        """Learn of tensors that the program is given."""
        for x in given:
            self._known.add(views.raw(x))
            if x.requires_grad:
                self._dependent.add(views.raw(x))

    # Kernels --------------------------------------------------------------------------------------------

    def kernel(self, function: Function, device: Device, kernel: Kernel) -> Kernel:
        """Note the calls of a kernel; of a backend wrapped round another, those of the other."""
        if device not in plugins.loaded_devices():
            return kernel
        several = function.outputs != 1

        def noted(*arrays: Any, **params: Any) -> Any:
            if self._is_hidden(function, device, arrays):
                return kernel(*arrays, **params)
            operation = self._begin(function, device, *_bound(function, arrays, params))
            self._inside = True
            try:
                result = kernel(*arrays, **params)
            finally:
                self._inside = False
            # what the call would make of it, so that the tensor has the very array that is known here
            place = params["device"] if function.name == "to_device" else device
            found = tuple(map(place.asarray, result)) if several else (place.asarray(result),)
            self._end(operation, found, place)
            return found if several else found[0]

        return noted

    def inplace(self, name: str, device: Device, kernel: Kernel) -> Kernel:
        """Note the calls of a kernel that writes into its first array."""
        function = FUNCTIONS[name]

        def noted(*arrays: Any, **params: Any) -> Any:
            if self._is_hidden(function, device, arrays):
                return kernel(*arrays, **params)
            operation = self._begin(function, device, arrays, params)
            operation.in_place = True
            _without_masks(operation)
            self._inside = True
            try:
                result = kernel(*arrays, **params)
            finally:
                self._inside = False
            self._end(operation, (arrays[0],), device)
            return result

        return noted

    def pull(self, device: Device, pull: Callable[..., Any]) -> Callable[..., Any] | None:
        """Have rules run one by one, so that their kernels are seen."""
        return None

    def _is_hidden(self, function: Function, device: Device, arrays: Any) -> bool:
        """Whether a call is part of another, of another thread, or of something that has no values yet."""
        if self._inside or threading.get_ident() != self._thread:
            return True
        given = arrays[0] if function.sequence else arrays
        return any(device.backend.is_traced(a) for a in given if hasattr(a, "shape"))

    def _begin(self, function: Function, device: Device, given: Sequence[Any], params: dict[str, Any]) -> Operation:
        depends = tuple(x in self._dependent for x in given)
        keep: Any = host_of if self._values(function, depends) else form_of
        inputs: list[Any] = []
        for x in given:
            if isinstance(x, (device.array, *device.backend.array_types)):
                inputs.append(keep(x, device))
                if x not in self._known:
                    self._known.add(x)
                    if not self.backward:  # rules apply operators to arrays, which are no operations
                        self.sources.append(inputs[-1])
            else:
                inputs.append(keep(device.asarray(x), device) if hasattr(x, "dtype") else x)  # a scalar
        return Operation(
            function,
            device,
            tuple(inputs),
            params,
            (),
            _line(self._packages),
            backward=self.backward,
            depends=depends,
            recordable=recording() is not False,
        )

    def _end(self, operation: Operation, found: tuple[Any, ...], device: Device) -> None:
        operation.outputs = tuple(form_of(a, device) for a in found)
        for array in found:
            self._known.add(array)
        if operation.recordable and any(operation.depends) and not operation.in_place:
            for array, form in zip(found, operation.outputs, strict=True):
                if form.dtype.is_differentiable and operation.function.differentiable:
                    self._dependent.add(array)
        self.operations.append(operation)

    # Nodes ----------------------------------------------------------------------------------------------

    def sees(self, node: Node, operands: Sequence[Any]) -> None:
        """Note which gradients the operation just run has, and what is kept for them."""
        if node.device not in plugins.loaded_devices():
            return
        kept = 0
        for array in kept_by(node):
            if array not in self._kept:
                self._kept.add(array)
                kept += form_of(array, node.device).nbytes
        last = self.operations[-1] if self.operations else None
        if last is None or last.function is not node.function or last.needs is not None:
            self.custom.append((node, _line(self._packages), kept))
            return
        last.needs = tuple(a is not None for a in node.args or ())
        last.kept = kept
        last.depends = tuple(e is not None for e in node.edges)
        for x, edge in zip(operands, node.edges, strict=False):
            if edge is not None and isinstance(x, Tensor):
                self._dependent.add(views.raw(x))


def kept_by(node: Node) -> list[Any]:
    """Give the arrays that a node keeps for its gradients, each once. Packed ones are somebody else's."""
    found: dict[int, Any] = {}

    def add(value: Any) -> None:
        if isinstance(value, tuple):
            for part in value:
                add(part)
        elif value is not None and not isinstance(value, Packed) and hasattr(value, "shape"):
            found[id(value)] = value

    args = node.args or ()
    if node.function.joint is not None:
        for context in {id(a[0]): a[0] for a in args if a}.values():
            for saved in getattr(context, "_saved", ()):
                add(saved[0] if saved is not None else None)
        return list(found.values())
    for position, spec, _ in specs_of(node.function, args):
        values = args[position] or ()
        for (kind, _), value in zip(spec.items, values, strict=True):
            if kind in (ARRAY, ARRAYS, ONE_OF, OUT):
                add(value)
    return list(found.values())


def always(function: Function, depends: tuple[bool, ...]) -> bool:
    """Have the inputs of all operations kept."""
    return True


def traced(
    run: Callable[[Program], Any],
    given: Iterable[Tensor] = (),
    values: Callable[[Function, tuple[bool, ...]], bool] = always,
) -> tuple[Any, Program]:
    """Run a program and list its operations.

    Parameters
    ----------
    run : callable
        Gets the list, to say when its backward pass begins.
    given : iterable of Tensor
        The program's arguments.
    values : callable
        ``values(function, depends)``: whether an operation's inputs are kept, or their shapes and types alone.

    Returns
    -------
    result, Program
    """
    program = Program(values, given)
    with watching_kernels(program), switched(recorded=program.sees):
        return run(program), program


def _bound(function: Function, given: tuple[Any, ...], params: dict[str, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
    """Tell the arrays of a call from the parameters, which rules and bodies may pass by position."""
    if function.sequence:
        (arrays, *others), names = given, tuple(function.params)
    elif function.variadic or not function.inputs:
        return given, params
    else:
        count = len(function.inputs)
        arrays, others, names = given[:count], list(given[count:]), tuple(function.params)
    return arrays, {**dict(zip(names, others, strict=False)), **params}


def _without_masks(operation: Operation) -> None:
    """Put the places where it is true in place of a mask, which only some kernels take."""
    *others, last = operation.inputs
    if operation.function.name == "setitem" and getattr(getattr(last, "dtype", None), "kind", "") == "b":
        places = last.nonzero()
        operation.inputs = (*others, *places)
        operation.params = {"key": (KEY,) * len(places)}


# Where the program was ------------------------------------------------------------------------------------------


def _line(packages: set[str]) -> str:
    """The innermost line that is of none of some packages."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in packages:
        frame = frame.f_back
    if frame is None:
        return "unknown"
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"


_OWN: Final = __name__.partition(".")[0]


def _packages() -> set[str]:
    """The packages whose lines are not the user's."""
    entries = chain.from_iterable(plugins.entries(group).values() for group in (BACKENDS, PLUGINS))
    return {_OWN, *(e.value.partition(":")[0].partition(".")[0] for claims in entries for e in claims)}
