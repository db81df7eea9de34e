"""The careful path: the full definition of what calling a function does.

It checks operands, brings them to one type and device, runs the kernel and records the call. The fast calls in
`polyad.calls` come here whenever something is out of the ordinary, and whenever something is wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .backend import Device
from .dtypes import CATEGORIES, DEFAULTS, DType, float32, int64, join_scalar, promote_types, uint64
from .errors import DeviceError, DTypeError, OperandError, PolyadError, ShapeError
from .function import FUNCTIONS, TENSORS, Function
from .grad_mode import recording
from .graph import Output, guard, record
from .levels import chain, lift, meet
from .plugins import plugins
from .tensor import Tensor, wrap
from .views import node_of, raw

__all__ = ["SCALARS", "broadcast_shapes", "careful", "check_of", "constant", "named", "no_operand", "with_defaults"]

SCALARS: Final = frozenset([float, int, bool, complex])

# Arguments ---------------------------------------------------------------------------------------------------

_PYTORCH_NAMES: Final = {
    "dim": ("axis", "axes"),
    "dimension": ("axis",),
    "keepdim": ("keepdims",),
    "dims": ("axis", "axes", "repetitions"),
    "diagonal": ("k",),
    "shifts": ("shift",),
    "unbiased": ("correction",),
    "ddof": ("correction",),
}
"""PyTorch's names of parameters, and NumPy's, with polyad's: the first that a function has."""

_ADVICE: Final = {
    "out": "write y[...] = result, or y.copy_(result)",
    "where": "choose with polyad.where before, or by a mask in brackets",
    "initial": "combine the result with it",
    "order": "elements are taken in row-major order; write x.mT or x.permute_dims(...) before",
    "kind": "there is stable=True or False",
    "casting": "write x.astype(dtype) before",
    "rounding_mode": "write floor_divide(x1, x2), or trunc(x1 / x2)",
}
"""What to write instead of parameters that NumPy or PyTorch have, and polyad does not."""


def named(made: Function, names: Sequence[str], args: Sequence[Any], params: dict[str, Any]) -> dict[str, Any]:
    """Parameters by polyad's names: from positions, and from PyTorch's, such as ``dim`` and ``keepdim``."""
    if not _PYTORCH_NAMES.keys().isdisjoint(params):
        params = _renamed(made, names, params)
    if not args:
        return params
    if len(args) > len(names):
        raise OperandError(
            f"{made.usage}: takes {len(made.inputs)} arrays and {len(names)} parameters; "
            f"got {len(made.inputs) + len(args)} positional arguments"
        )
    given = dict(zip(names, args, strict=False))
    if not params:
        return given
    for key in given:
        if key in params:
            raise OperandError(f"{made.name}: {key} was given twice, by position and by name")
    return {**given, **params}


def _renamed(made: Function, names: Sequence[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by polyad's names, of a function that has none of PyTorch's names itself."""
    renamed: dict[str, Any] = {}
    for given, value in params.items():
        known = () if given in names else _PYTORCH_NAMES.get(given, ())
        key = next((k for k in known if k in names or k in made.params), known[0] if known else given)
        if key != given and key in params:
            raise OperandError(f"{made.name}: give {key} or {given}, not both")
        renamed[key] = value
    return renamed


def with_defaults(made: Function, params: Mapping[str, Any]) -> dict[str, Any]:
    """Complete parameters by their defaults."""
    merged = {**made.params, **params}
    if len(merged) != len(made.params):
        unknown = sorted(set(params) - set(made.params))
        advice = "".join(f"; {_ADVICE[key]}" for key in unknown if key in _ADVICE)
        raise OperandError(f"{made.usage}: there is no parameter {', '.join(unknown)}{advice}")
    for key, value in merged.items():
        if value is inspect.Parameter.empty:
            raise OperandError(f"{made.usage}: the parameter {key} is missing")
    return merged


def check_of(made: Function) -> Callable[..., dict[str, Any]]:
    """Give a function's check, with a word on parameters that the function does not have: ``check(*shapes, **params)``.

    Of a function without one, what completes the parameters by their defaults.
    """
    check = made.check
    if check is None:
        return lambda *shapes, **params: with_defaults(made, params)

    def explained(*shapes: Any, **params: Any) -> dict[str, Any]:
        try:
            return check(*shapes, **params)
        except TypeError:
            with_defaults(made, params)
            raise

    return explained


# Operands ----------------------------------------------------------------------------------------------------


def no_operand(made: Function, position: int, value: Any) -> str:
    """What to say of an operand that is no tensor, number or array."""
    name = made.inputs[min(position, len(made.inputs) - 1)] if made.inputs else "argument"
    advice = "write polyad.tensor(...) around it"
    if value is None:
        advice = "it is missing or None"
    return f"{made.name}: {name} is a {type(value).__name__}, {value!r:.60}; expected a tensor or a number: {advice}"


def operands(made: Function, args: Sequence[Any]) -> tuple[list[Any], Device]:
    """Check what a function was called with: tensors of one device, numbers, or None where it may be left out.

    Arrays of the tensors' own library become constants. Raises what `careful` does.
    """
    count = len(made.inputs)
    if len(args) < made.required or (len(args) > count and not made.variadic):
        raise OperandError(f"{made.usage}: got {len(args)} arrays")
    device: Device | None = None
    first: Any = None
    for arg in args:
        if isinstance(arg, Tensor):
            if device is None:
                device, first = arg._device, arg
            elif arg._device is not device:
                deeper = meet(device, arg._device)
                if deeper is None:
                    raise DeviceError(_mixed(made, first, arg))
                device = deeper
    if device is None:
        for position, arg in enumerate(args):
            if type(arg) not in SCALARS:
                raise OperandError(no_operand(made, position, arg))
        raise OperandError(f"{made.name}: at least one operand must be a tensor; got {', '.join(map(repr, args))}")
    found: list[Any] = []
    for position, arg in enumerate(args):
        if isinstance(arg, Tensor):
            found.append(arg if arg._device is device else lift(arg, device))
            continue
        if type(arg) in SCALARS or (arg is None and position >= made.required):
            found.append(arg)
            continue
        owner = plugins.owner(arg)
        if owner is not None and meet(owner, device) is device:
            found.append(lift(wrap(arg, owner), device))
        elif owner is not None:
            raise DeviceError(
                f"{made.name}: the array of type {type(arg).__module__}.{type(arg).__name__} is on {owner.where}, the "
                f"tensor on {device.where}; write polyad.tensor(array, device=x.device) to bring it there"
            )
        elif hasattr(arg, "item") and getattr(arg, "shape", None) == () and hasattr(arg, "dtype"):
            found.append(arg.item())  # a library's scalar counts as a number
        else:
            raise OperandError(no_operand(made, position, arg))
    found += [None] * (count - len(found) if not made.variadic else 0)
    return found, device


def _mixed(made: Function, a: Tensor, b: Tensor) -> str:
    if a.backend is not b.backend:
        move = f"write y.to(backend={chain(a._device)[1].backend.name!r}) or y.to(device=x.device)"
        kind = "backends"
    else:
        move = "write y.to(device=x.device)"
        kind = "devices"
    return (
        f"{made.name}: operands are on different {kind}: x of shape {a.shape} on {a._device.where}, y of shape "
        f"{b.shape} on {b._device.where}; {move} to bring them together"
    )


def _promoted(made: Function, args: list[Any], device: Device) -> list[Any]:
    """Bring the operands that are to share a type to it, and turn numbers into what kernels take."""
    joined = [i for i in made.promotes if i < len(args) or made.variadic]
    if made.variadic and len(made.inputs) - 1 in made.promotes:
        joined = sorted({*joined, *range(len(made.inputs) - 1, len(args))})
    joined = [i for i in joined if i < len(args) and args[i] is not None]
    tensors = [args[i] for i in joined if isinstance(args[i], Tensor)]
    if not tensors:
        numbers = [args[i] for i in joined]
        if not numbers:
            return args
        common = DEFAULTS[type(numbers[0])]
        for n in numbers[1:]:
            common = join_scalar(common, n)
    else:
        common = tensors[0].dtype
        for t in tensors[1:]:
            common = promote_types(common, t.dtype)
        for i in joined:
            if type(args[i]) in SCALARS:
                common = join_scalar(common, args[i])
    accepted = CATEGORIES[made.takes]
    if made.accumulates and common in CATEGORIES["integer or bool"]:
        common = uint64 if common.kind == "unsigned integer" else int64
    if common not in accepted:
        if "floating" in made.takes and common in CATEGORIES["integer or bool"]:
            common = float32
        else:
            raise DTypeError(f"{made.name} takes {made.takes} arrays; got {common.name}")
    weak = CATEGORIES["floating"] - device.backend.strong
    for i in joined:
        arg = args[i]
        if isinstance(arg, Tensor):
            if arg.dtype is not common:
                args[i] = astype(arg, common)
        elif not tensors or type(arg) in (bool, complex) or common not in weak or made.body is not None:
            args[i] = constant(arg, common, device)
    return args


def astype(x: Tensor, dtype: DType) -> Tensor:
    return FUNCTIONS["astype"].call(x, dtype)  # type: ignore[no-any-return]


def constant(value: Any, dtype: DType, device: Device) -> Tensor:
    """Make a 0-d tensor of a number."""
    return wrap(device.backend.from_flat([value], (), device.dtype(dtype), device), device)


def careful(made: Function, args: Sequence[Any], params: Mapping[str, Any]) -> Any:
    """Call a function with everything checked: the definition of what a call does.

    Raises
    ------
    OperandError
        If an operand is no tensor, number or array of the tensors' library.
    DeviceError
        If operands live on different devices or backends.
    DTypeError
        If the function does not take the operands' type.
    ShapeError
        If shapes do not fit.
    """
    found, device = operands(made, args)
    found = _promoted(made, found, device)
    values = [raw(a) if isinstance(a, Tensor) else a for a in found]
    shapes = [tuple(v.shape) if hasattr(v, "shape") else None if v is None else () for v in values]
    if made.broadcasts and made.check is None:
        broadcast_shapes(made.name, [s for s in shapes if s is not None])
    merged = check_of(made)(*shapes, **params)
    edges = tuple(node_of(a) if isinstance(a, Tensor) else None for a in found)
    needs_grad = made.differentiable and any(e is not None for e in edges) and recording()
    if needs_grad and not made.has_rules and made.body is not None:
        outs = made.body(TENSORS, *((found,) if made.sequence else found), **merged)
        return made.results(*outs) if made.outputs != 1 else outs
    try:
        result = device.kernels[made](*((values,) if made.sequence else values), **merged)
    except PolyadError:
        raise
    except Exception as error:
        described = ", ".join(f"{a.dtype.name}{list(a.shape)}" if isinstance(a, Tensor) else repr(a) for a in found)
        error.add_note(f"in polyad.{made.name}({described}) of {made.origin}, on {device.where}")
        raise
    return finish(made, device, found, values, edges if needs_grad else None, merged, result)


def finish(
    made: Function,
    device: Device,
    args: Sequence[Any],
    values: Sequence[Any],
    edges: tuple[Any, ...] | None,
    params: dict[str, Any],
    result: Any,
) -> Any:
    """Wrap what a kernel returned, and record it if there are edges."""
    if made.outputs != 1:
        results = tuple(device.asarray(r) for r in result)
        outs = tuple(wrap(r, device) for r in results)
        if edges is not None:
            node = record(made, device, args, values, edges, params, results, None)
            for i in range(len(outs)) if made.keeps_out else made.keeps_outputs:
                node.guards += guard(outs[i])
            for i, out in enumerate(outs):
                if out.dtype.is_differentiable:
                    out._node = Output(node, i)
        return made.results(*outs)
    result = device.asarray(result)
    if any(result is v for v in values):  # a kernel with nothing to do: tensors must not share memory unawares
        result = device.backend.copy(result)
    out = wrap(result, device)
    wanted = result_dtype(made, values, device)
    if wanted is not None and device.dtypes[result.dtype] is not wanted:
        out._data = result = device.kernels[_astype_function()](result, dtype=device.dtype(wanted))
    if edges is not None:
        out._node = record(made, device, args, values, edges, params, result, out)
    return out


def result_dtype(made: Function, values: Sequence[Any], device: Device) -> DType | None:
    """The data type that a function's result has to have, where the library might give another."""
    if made.gives == "same":
        for i in made.promotes:
            if i < len(values) and hasattr(values[i], "dtype"):
                return device.dtypes[values[i].dtype]
    return None


def _astype_function() -> Function:
    return FUNCTIONS["astype"]


def apply(made: Function, *args: Any, **params: Any) -> Any:
    """Call a function by its record."""
    return made.call(*args, **params)


def broadcast_shapes(name: str, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The shape that shapes broadcast to.

    Raises
    ------
    ShapeError
        If they do not.
    """
    rank = max((len(s) for s in shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for i, n in enumerate(shape, start=rank - len(shape)):
            if result[i] == 1:
                result[i] = n
            elif n not in (1, result[i]):
                listed = " and ".join(str(s) for s in shapes)
                raise ShapeError(
                    f"{name}: shapes {listed} do not broadcast: counted from the right, lengths must be equal or 1, "
                    f"and dimension {i - rank} has {result[i]} and {n}"
                )
    return tuple(result)
