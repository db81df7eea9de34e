"""One operation run again: on any backend, from the same numbers, with its gradients of first and second order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .. import autograd
from ..backend import Device
from ..careful import SCALARS, constant, finish
from ..dtypes import BY_NAME, DType, as_dtype, complex128, float64
from ..errors import OperandError
from ..function import FUNCTIONS, TENSORS, Function
from ..grad_mode import enable_grad, no_grad
from ..plugins import DEFAULT_BACKEND, plugins
from ..tensor import Tensor, wrap
from ..views import node_of, raw
from .operations import Operation, Program, host_of, traced
from .phases import with_one_choice

__all__ = ["Replayed", "cotangents", "parts_of", "replay", "run_again", "widened"]

ORDERS: Final = ("value", "gradient", "second gradient")
"""What is compared of an operation, by order."""


@dataclass
class Replayed:
    """What an operation gave: tensors by what they are, such as ``"the gradient of x1"``; or the error it raised."""

    found: list[tuple[str, Tensor | None]]
    error: Exception | None = None


# Running --------------------------------------------------------------------------------------------------------


def run_again(operation: Operation, device: Device, order: int) -> Replayed:
    """Run an operation on a device from the inputs that were noted, and give its value or a gradient of some order."""
    try:
        return Replayed(_run(operation, device, order, create_graph=False))
    except Exception as error:  # whatever it is, it is what the operation does there
        return Replayed([], error)


def parts_of(operation: Operation, device: Device, order: int) -> list[Operation]:
    """List the operations that a value (of a function with a body) or a gradient consists of, on a device."""
    if order == 0 and operation.function.body is None:
        return []

    def run(program: Program) -> None:
        if order:
            inputs, outputs = _differentiable(operation, device)
            program.operations.clear()
            program.begin([x for x in inputs if isinstance(x, Tensor)])
            _gradients(operation, inputs, outputs, order, create_graph=True)
            return
        with no_grad():
            _body(operation, _brought(operation, device), _params(operation, device))

    found = traced(run)[1].operations
    # a body that indexes arrays with brackets is, on tensors, the function itself
    return found if order else [o for o in found if o.function is not operation.function]


def _run(operation: Operation, device: Device, order: int, create_graph: bool) -> list[tuple[str, Tensor | None]]:
    if order == 0:
        with no_grad():
            outputs = _outputs(operation, _brought(operation, device), device)
        return list(zip(_names(operation.function, len(outputs)), outputs, strict=True))
    inputs, results = _differentiable(operation, device)
    return _gradients(operation, inputs, results, order, create_graph)


def _differentiable(operation: Operation, device: Device) -> tuple[list[Any], tuple[Tensor, ...]]:
    """Run an operation recorded, its inputs leaves."""
    inputs = _brought(operation, device)
    for x, needed in zip(inputs, operation.needs or (), strict=False):
        if needed:
            x.requires_grad_()
    with enable_grad():
        return inputs, _outputs(operation, inputs, device)


def _gradients(
    operation: Operation, inputs: Sequence[Any], results: Sequence[Tensor], order: int, create_graph: bool
) -> list[tuple[str, Tensor | None]]:
    """Pull fixed random numbers back through an operation, and others through that in turn."""
    named = [(n, x) for n, x in zip(_input_names(operation.function, len(inputs)), inputs, strict=True)]
    leaves = [(n, x) for n, x in named if isinstance(x, Tensor) and x.requires_grad]
    ends = [y for y in results if y.requires_grad]
    if not ends:
        return []
    seeds = cotangents(ends, 1)
    if order == 2:
        for g in seeds:
            g.requires_grad_()
    with enable_grad():
        first = _grad(ends, [x for _, x in leaves], seeds, create_graph or order == 2)
    if order == 1:
        return [(f"the gradient of {n}", g) for (n, _), g in zip(leaves, first, strict=True)]
    ends = [g for g in first if g is not None and g.requires_grad]
    if not ends:
        return []
    wanted = [*leaves, *[("the result's gradient", g) for g in seeds]]
    with enable_grad():
        second = _grad(ends, [x for _, x in wanted], cotangents(ends, 2), create_graph)
    return [(f"the second gradient of {n}", g) for (n, _), g in zip(wanted, second, strict=True)]


def _grad(ends: Any, leaves: Sequence[Any], seeds: Any, create_graph: bool) -> tuple[Any, ...]:
    return autograd.grad(ends, leaves, seeds, create_graph=create_graph, allow_unused=True)


def _outputs(operation: Operation, inputs: Sequence[Any], device: Device) -> tuple[Tensor, ...]:
    """Do what the call did, from the arrays and parameters that its kernel was given."""
    function, params = operation.function, _params(operation, device)
    if operation.in_place:
        written = _written(operation, inputs, params, device)
        if written is not None:
            return (written,)
    edges = tuple(node_of(x) if isinstance(x, Tensor) else None for x in inputs)
    recorded = any(e is not None for e in edges)
    if recorded and not function.has_rules and function.body is not None:
        return _as_tuple(_body(operation, inputs, params))
    values = [raw(x) if isinstance(x, Tensor) else x for x in inputs]
    result = device.kernels[function](*((values,) if function.sequence else values), **params)
    found = _as_tuple(finish(function, device, inputs, values, edges if recorded else None, params, result))
    return with_one_choice(function.name, found)


def _written(operation: Operation, inputs: Sequence[Any], params: dict[str, Any], device: Device) -> Tensor | None:
    """The first input after the kernel wrote into it; None where the backend has no such kernel."""
    kernel = device.inplace.get(operation.function.name)
    if kernel is None:
        return None
    values = [raw(x) if isinstance(x, Tensor) else x for x in inputs]
    kernel(*values, **params)
    return wrap(values[0], device)


def _body(operation: Operation, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
    function = operation.function
    assert function.body is not None
    given = [
        wrap(x._device.asarray(raw(x)), x._device, node_of(x)) if isinstance(x, Tensor) else x for x in inputs
    ]  # handles of their own
    return function.body(TENSORS, *((given,) if function.sequence else given), **params)


def _as_tuple(result: Any) -> tuple[Tensor, ...]:
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


# What it is given -----------------------------------------------------------------------------------------------


def _brought(operation: Operation, device: Device) -> list[Any]:
    """The inputs as tensors on a device; numbers as a call there would pass them on."""
    function, bring = operation.function, device.backend.from_host
    found = [
        wrap(device.asarray(bring(x, device, copy=True)), device) if hasattr(x, "shape") else x
        for x in operation.inputs
    ]
    if device is operation.device:
        return found
    joined = [i for i in range(len(found)) if min(i, len(function.inputs) - 1) in function.promotes]
    common = next((found[i].dtype for i in joined if isinstance(found[i], Tensor)), None)
    if common is not None and (function.body is not None or common in device.backend.strong):
        for i in joined:
            if type(found[i]) in SCALARS:
                found[i] = constant(found[i], common, device)
    return found


def _params(operation: Operation, device: Device) -> dict[str, Any]:
    """The parameters, with types as another library has them."""
    if device.backend is operation.device.backend:
        return operation.params
    native, types = device.dtype, operation.device.dtypes

    def translated(value: Any) -> Any:
        try:
            return native(types[value]) if value in types else value
        except TypeError:  # it cannot be hashed, so it is no type
            return value

    return {name: translated(value) for name, value in operation.params.items()}


def cotangents(results: Sequence[Tensor], seed: int) -> list[Tensor]:
    """Make normal random numbers of the shapes of tensors, the same on every backend."""
    host = plugins.backend(DEFAULT_BACKEND)
    place = host.devices[0]
    source = host.generator(place)

    def draw(y: Tensor) -> Any:
        return place.asarray(source.normal(y.shape, place.dtype(float64)))

    made = []
    for i, y in enumerate(results):
        source.seed(1000 * seed + i)
        numbers = draw(y) + 1j * draw(y) if y.dtype.is_complex else draw(y)
        device = y._device
        array = device.backend.from_host(numbers.astype(place.dtype(y.dtype)), device, copy=True)
        made.append(wrap(device.asarray(array), device))
    return made


def widened(operation: Operation) -> Operation | None:
    """Give the operation on the same numbers in double precision; None if it is in that already."""
    types = operation.device.dtypes

    def wide(dtype: DType) -> DType:
        return complex128 if dtype.is_complex else float64 if dtype.is_floating_point else dtype

    inputs = tuple(x.astype(wide(as_dtype(x.dtype)).name) if hasattr(x, "shape") else x for x in operation.inputs)
    if all(a is b or a.dtype == b.dtype for a, b in zip(inputs, operation.inputs, strict=True)):
        return None
    params = {
        name: operation.device.dtype(wide(types[value])) if name == "dtype" and value in types else value
        for name, value in operation.params.items()
    }
    return Operation(
        operation.function, operation.device, inputs, params, (), operation.line, operation.in_place,
        needs=operation.needs,
    )  # fmt: skip


# Names ----------------------------------------------------------------------------------------------------------


def _names(function: Function, count: int) -> list[str]:
    if len(function.fields) == count:
        return [f"the result {n}" for n in function.fields]
    return ["the result"] if count == 1 else [f"result {i}" for i in range(count)]


def _input_names(function: Function, count: int) -> list[str]:
    last = len(function.inputs) - 1
    return [
        f"{function.inputs[min(i, last)]}[{i - last}]" if function.variadic and i >= last else function.inputs[i]
        for i in range(count)
    ]


# For users ------------------------------------------------------------------------------------------------------


def replay(
    name: str,
    *inputs: Any,
    backend: str | None = None,
    order: int = 0,
    needs: Sequence[bool] | None = None,
    in_place: bool = False,
    **params: Any,
) -> Any:
    """Run one operation as a program ran it: the kernel of a function, with parameters in their one form.

    What `crosscheck` prints of a difference calls it, so that the difference can be looked into by itself.

    Parameters
    ----------
    name : str
        The function's name in ``polyad.FUNCTIONS``.
    *inputs : Tensor, number or None
        Tensors may be of any backend.
    backend : str, optional
        Where; by default where the first tensor is.
    order : int
        0 for the value, 1 for the gradients at fixed random gradients of the result, 2 for the gradients of those.
    needs : sequence of bool, optional
        Of which inputs the gradients; by default all that can have one.
    in_place : bool
        Whether it is to write its result into the first input, where the backend can.
    **params
        The function's parameters, as kernels get them.

    Returns
    -------
    Tensor, or tuple of Tensor
        Several results, and all gradients, as a tuple.

    Raises
    ------
    OperandError
        If there is no function of the name, or ``order`` is another number.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.testing.replay("sum", ad.tensor([1.0, 2.0]), axis=(0,), keepdims=False)
    tensor(3.)
    """
    from .arguments import device_named

    if name not in FUNCTIONS or order not in (0, 1, 2):
        raise OperandError(
            f"replay: expected the name of a function and an order of 0, 1 or 2; got {name!r}, {order!r}"
        )
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    where = tensors[0]._device if tensors and backend is None else device_named("replay", backend or DEFAULT_BACKEND)
    hosts = tuple(host_of(raw(x), x._device) if isinstance(x, Tensor) else x for x in inputs)
    able = tuple(isinstance(x, Tensor) and x.dtype.is_differentiable for x in inputs)
    native: Mapping[str, Any] = {
        k: where.dtype(v) if isinstance(v, DType) and v in BY_NAME.values() else v for k, v in params.items()
    }
    operation = Operation(
        FUNCTIONS[name], where, hosts, dict(native), (), "", in_place, needs=tuple(needs) if needs else able
    )
    found = [x.detach() if x is not None else None for _, x in _run(operation, where, order, create_graph=False)]
    return found[0] if order == 0 and len(found) == 1 else tuple(found)
