"""`crosscheck`: one function on several backends, operation by operation.

The first backend is the reference. There the function runs once, and what went into each operation is noted; each is
then repeated on the other backends from the same numbers. So errors do not add up, and what differs is at fault itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .. import autograd
from ..backend import Backend, Device
from ..dtypes import DType, complex64, complex128, float32, float64
from ..errors import ArgumentError, AutogradError, DeviceError
from ..grad_mode import enable_grad
from ..ops.generators import generator_of
from ..plugins import use_backend
from ..tensor import Tensor
from .arguments import as_arguments, check_callable, check_fit, copied, device_named, results_in, tensors_in
from .closeness import Disagreement, Tolerance, alike, disagreement, scale_of
from .costs import terms
from .differences import CrossCheck, Difference
from .kernel_sources import kernel_source
from .operations import Operation, Program, always, traced
from .replay import ORDERS, Replayed, cotangents, parts_of, run_again, widened

__all__ = ["crosscheck"]

_EMPTY: Final = frozenset(["empty"])
"""Functions whose values mean nothing."""


def crosscheck(
    f: Callable[..., Any],
    args: Any = (),
    backends: Sequence[str | Backend | Device] = ("numpy", "jax"),
    *,
    order: int = 2,
    rtol: float | None = None,
    atol: float | None = None,
    float64: bool = False,
) -> CrossCheck:
    """Run a function on several backends, and find the first operation that differs.

    The first backend is the reference. The function runs there, and each of its operations is repeated on the others
    from the same inputs: its value, type, shape and device are compared, then its gradient at fixed random numbers,
    then its second gradient. Where an operation consists of others, or a gradient does, the one at fault is looked for
    among those. At the end the whole program runs on each backend; its results, its gradients and what it wrote into
    its arguments are compared too.

    Eigenvectors, singular vectors and QR factors are compared up to their signs or phases, which libraries choose.
    Random numbers differ between backends: operations on them are compared on the reference's numbers, and a program
    that draws some is compared as a whole by shape and type alone. The operations of other threads are not seen.

    Parameters
    ----------
    f : callable
        Takes tensors and returns tensors, alone or in lists, tuples and dicts. It must give the same each time.
    args : tuple
        Its arguments: tensors of any backend, alone or in lists, tuples, dicts and modules, and whatever else it takes.
        Where tensors require gradients, derivatives are taken with respect to these; otherwise with respect to all of
        floating-point types. A function without arguments makes its tensors on the default device.
    backends : sequence of (str, Backend or Device)
        Two or more, the reference first; ``"jax/cuda:1"`` names a device of one.
    order : int
        Up to which order derivatives are compared: 0 for values alone, 1 for gradients too.
    rtol, atol : float, optional
        Elements may differ by ``atol + rtol * abs(expected)``. By default as rounding in the type allows: more where
        more numbers are added up, and relative to the size of these.
    float64 : bool
        Whether a difference in lower precision counts only if it stays when the operation is repeated in float64.

    Returns
    -------
    CrossCheck
        ``ok``; ``first``, the first `Difference`; ``differences``, all of them; and ``raise_if_different()``.

    Raises
    ------
    ArgumentError
        If there are fewer than two backends, a tolerance is no number from 0, or ``f`` gives another result when it
        runs again.
    BackendError
        If there is no such backend, or it cannot be used here.
    OperandError
        If ``f`` is no function, arguments are arrays and no tensors, or ``f`` returns anything else than tensors.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor([[2.0, 1.0], [1.0, 3.0]])
    >>> found = ad.testing.crosscheck(lambda x: ad.linalg.cholesky(x).sum(), (x,), backends=["numpy", "jax"])
    >>> found.ok, found.operations
    (True, 2)
    """
    if order not in range(len(ORDERS)):
        raise ArgumentError(f"crosscheck: order is 0, 1 or 2; got {order!r}")
    devices = _devices(backends)
    for name, bound in (("rtol", rtol), ("atol", atol)):
        if bound is not None and not (isinstance(bound, (int, float)) and bound >= 0):
            raise ArgumentError(f"crosscheck: {name} is a number, 0 or more, or None; got {bound!r:.60}")
    check_callable("crosscheck", f)
    given = as_arguments("crosscheck", args)
    check_fit("crosscheck", f, given)
    return _Comparison(f, given, devices, order, rtol, atol, float64).run()


def _devices(backends: Any) -> list[Device]:
    if isinstance(backends, (str, Backend, Device)) or len(backends) < 2:
        raise ArgumentError(
            f"crosscheck: expected two backends or more, the reference first; got {backends!r:.60}. "
            f'Write backends=["numpy", "jax"]'
        )
    devices = [device_named("crosscheck", b) for b in backends]
    if len(set(devices)) < len(devices):
        raise ArgumentError(f"crosscheck: backends names one twice: {backends!r:.80}")
    return devices


@dataclass
class _Run:
    """What a program gave: its results, gradients and arguments afterwards, by name; and what numbers it brought."""

    found: list[tuple[str, Tensor | None]]
    program: Program
    error: Exception | None = None


class _Comparison:
    """One crosscheck: what is compared, and how closely."""

    def __init__(
        self,
        f: Callable[..., Any],
        args: tuple[Any, ...],
        devices: Sequence[Device],
        order: int,
        rtol: float | None,
        atol: float | None,
        in_float64: bool,
    ) -> None:
        self.f, self.order, self.rtol, self.atol, self.in_float64 = f, order, rtol, atol, in_float64
        self.reference, *self.others = devices
        self.args = copied(args)
        tensors = [x for _, x in tensors_in(self.args)]
        self.chosen = [] if any(x.requires_grad for x in tensors) else [x for x in tensors if x.dtype.is_differentiable]
        for x in self.chosen:
            x.requires_grad_()
        self.differences: list[Difference] = []
        self.notes: dict[str, None] = {}

    def run(self) -> CrossCheck:
        """Compare everything."""
        reference = self._reference()
        operations = reference.program.operations
        for operation in operations:
            for device in self.others:
                self.differences += self._operation(operation, device)
        whole = [d for device in self.others for d in self._whole(reference, device)]
        count = sum(not o.backward for o in operations)
        places = tuple(d.where for d in (self.reference, *self.others))
        return CrossCheck((*self.differences, *whole), count, places, tuple(self.notes))

    # The program ----------------------------------------------------------------------------------------

    def _reference(self) -> _Run:
        """Run the program on the reference, twice, to see that it gives the same."""
        first = self._program(self.reference)
        if first.error is not None and self.chosen:  # the user did not ask for gradients, and there may be none
            for x in self.chosen:
                x.requires_grad_(False)
            self.notes[f"gradients were not compared: {first.error}"] = None
            first = self._program(self.reference)
        again = self._program(self.reference)
        for run in (first, again):
            if run.error is not None:
                raise run.error
        for (name, a), (_, b) in zip(first.found, again.found, strict=False):
            wrong = disagreement(b, a, Tolerance(0.0, 0.0))
            if wrong is not None or len(first.found) != len(again.found):
                told = "" if wrong is None else f": {name} has {wrong.expected!r} and then {wrong.actual!r}"
                raise ArgumentError(
                    f"crosscheck: the function is not deterministic: two runs on {self.reference.where} differ{told}. "
                    f"Pass what it changes as arguments, and seed generators of its own inside it"
                )
        return first

    def _program(self, device: Device, change: Callable[[DType], DType] | None = None) -> _Run:
        """Run the program on a device, with a backward pass, and list its operations."""
        args = copied(self.args, device, change)
        given = list(tensors_in(args))
        source = generator_of(device).source
        state = source.get_state()

        def run(program: Program) -> list[tuple[str, Tensor | None]]:
            with enable_grad():
                results = results_in("crosscheck", self.f(*args))
            ends = [y for _, y in results if y.requires_grad]
            leaves = [(n, x) for n, x in given if x.requires_grad and x.is_leaf]
            program.backward = True
            found: list[tuple[str, Tensor | None]] = [*results, *((f"{n} after the call", x) for n, x in given)]
            if not (self.order and ends and leaves):
                return found
            try:
                gradients = autograd.grad(ends, [x for _, x in leaves], cotangents(ends, 0), allow_unused=True)
            except AutogradError as error:  # what the program itself makes impossible, such as by writes
                self.notes[f"the program's gradient was not compared: {error}"] = None
                return found
            return found + [(f"the gradient of {n}", g) for (n, _), g in zip(leaves, gradients, strict=True)]

        made = Program(always, ())
        try:
            with use_backend(device):
                found, made = traced(run, [x for _, x in given])
        except Exception as error:
            return _Run([], made, error)
        finally:
            source.set_state(state)
        return _Run([(n, None if x is None else x.detach()) for n, x in found], made)

    def _whole(self, reference: _Run, device: Device) -> Iterator[Difference]:
        """Compare the program as a whole, where no operation is at fault already."""
        run = self._program(device)
        if run.error is not None:
            if isinstance(run.error, DeviceError):
                self.notes[
                    f"the whole program does not run on {device.where}, so only its operations were compared: it uses "
                    f"tensors that are not among its arguments ({run.error})"
                ] = None
            elif not self.differences:
                yield self._difference(None, device, 0, "error", Disagreement("error", "no error", run.error))
            return
        values = not self._brings_others(reference.program, run.program, device)
        growth = 4.0 * max(1, len(reference.program.operations))
        tolerance = Tolerance(self.rtol, self.atol, growth, scale_of(x for _, x in reference.found if x is not None))
        found = [
            (name, wrong)
            for (name, expected), (_, actual) in zip(reference.found, run.found, strict=False)
            if (wrong := disagreement(actual, expected, tolerance, values)) is not None
        ]
        if not found or self.differences:
            return
        rounding = self._is_rounding_as_a_whole(device) if found[0][1].what == "value" else None
        if rounding:
            self.notes[
                f"{found[0][0]} on {device.where} is {found[0][1].actual!r}, expected {found[0][1].expected!r}; in "
                f"float64 the programs agree, and so does each operation: it is rounding that adds up"
            ] = None
            return
        for name, wrong in found:
            yield self._difference(None, device, 0, name, wrong)

    def _brings_others(self, ours: Program, theirs: Program, device: Device) -> bool:
        """Whether a program brings other numbers on another backend, such as random ones."""
        forms = [[(a.shape, a.dtype) for a in program.sources] for program in (ours, theirs)]
        if forms[0] != forms[1] or all(map(alike, ours.sources, theirs.sources)):
            return False
        self.notes[
            f"the program brings other numbers on {device.where}, random ones it seems: as a whole it was compared by "
            f"shape and type alone"
        ] = None
        return True

    def _is_rounding_as_a_whole(self, device: Device) -> bool:
        """Whether the program agrees when its arguments are in double precision."""
        a, b = self._program(self.reference, _wide), self._program(device, _wide)
        if a.error is not None or b.error is not None or len(a.found) != len(b.found):
            return False
        scale = scale_of(x for _, x in a.found if x is not None)
        tolerance = Tolerance(grows=1e3 * max(1, len(a.program.operations)), scale=scale)
        return all(disagreement(y, x, tolerance) is None for (_, x), (_, y) in zip(a.found, b.found, strict=True))

    # An operation ---------------------------------------------------------------------------------------

    def _operation(self, operation: Operation, device: Device) -> list[Difference]:
        """Compare one operation's value, and its gradients where there are any: what differs first."""
        orders = 1 + (self.order if operation.needs is not None and not operation.backward else 0)
        for order in range(orders):
            found = self._compare(operation, device, order)
            if found is not None:
                return [] if self.in_float64 and found.rounding else [found]
        return []

    def _compare(
        self, operation: Operation, device: Device, order: int, within: tuple[str, ...] = ()
    ) -> Difference | None:
        """Compare an operation's value or gradient of some order, and find the part that is at fault."""
        if operation.function.name == "to_device":
            return None  # it has its places in its parameters
        expected = run_again(operation, operation.device, order)
        if expected.error is not None:
            self.notes[f"{operation.function.name}: {ORDERS[order]} not compared, {expected.error}"] = None
            return None
        wrong = self._disagreement(operation, run_again(operation, device, order), expected, order)
        if wrong is None:
            return None
        name, what = wrong
        here = (*within, f"{ORDERS[order]} of {operation.function.name}" if order else operation.function.name)
        for part in [] if here[-1] in within else self._parts(operation, device, order):
            # of a value and of a gradient the parts' values, of a second gradient their gradients, too
            for lower in range(max(order, 1) if part.needs is not None else 1):
                inner = self._compare(part, device, lower, here)
                if inner is not None:
                    return inner
        found = self._difference(operation, device, order, name, what, within)
        found.rounding = self._is_rounding(operation, device, order)
        return found

    def _parts(self, operation: Operation, device: Device, order: int) -> list[Operation]:
        """List what an operation consists of on a device; nothing where the device has a kernel for the whole."""
        if order == 0 and kernel_source(device.backend, operation.function) != "body":
            return []
        try:
            parts = parts_of(operation, operation.device, order)
        except Exception:  # what cannot be taken apart is compared as one
            return []
        for part in parts:
            part.line = operation.line
        return parts

    def _disagreement(
        self, operation: Operation, actual: Replayed, expected: Replayed, order: int
    ) -> tuple[str, Disagreement] | None:
        if actual.error is not None:
            return "the error", Disagreement("error", "no error", actual.error)
        if len(actual.found) != len(expected.found):
            return "results", Disagreement("value", len(expected.found), len(actual.found))
        tolerance = self._tolerance(operation, expected, order)
        values = operation.function.name not in _EMPTY
        for (name, x), (_, y) in zip(expected.found, actual.found, strict=True):
            wrong = disagreement(y, x, tolerance, values)
            if wrong is not None:
                return name, wrong
        return None

    def _tolerance(self, operation: Operation, expected: Replayed, order: int) -> Tolerance:
        added = terms(operation)
        numbers = [x for _, x in expected.found if x is not None]
        size = max(scale_of(numbers), max((_size(x) for x in operation.inputs if hasattr(x, "shape")), default=0.0))
        scale = size if added > 1 or order else min(1.0, size)
        return Tolerance(self.rtol, self.atol, math.sqrt(added) * 4.0**order, scale)

    def _is_rounding(self, operation: Operation, device: Device, order: int) -> bool | None:
        """Whether a difference is gone in double precision; None where that says nothing."""
        wide = widened(operation)
        if wide is None:
            return None
        expected = run_again(wide, wide.device, order)
        actual = run_again(wide, device, order)
        if expected.error is not None or actual.error is not None:
            return None
        wide.outputs = operation.outputs
        return self._disagreement(wide, actual, expected, order) is None

    def _difference(
        self,
        operation: Operation | None,
        device: Device,
        order: int,
        name: str,
        wrong: Disagreement,
        within: tuple[str, ...] = (),
    ) -> Difference:
        return Difference(operation, device, self.reference, order, name, wrong, within)


_WIDE: Final = {float32: float64, complex64: complex128}


def _wide(dtype: DType) -> DType:
    return _WIDE.get(dtype, dtype)


def _size(host: Any) -> float:
    if host.dtype.kind not in "fc" and host.dtype.name != "bfloat16":
        return 0.0
    size = abs(host.astype("complex128"))
    size = size[size < math.inf]
    return float(size.max()) if size.size else 0.0
