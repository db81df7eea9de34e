"""From a call to a kernel and a node: the one way every operation takes.

`function` turns a definition into a `Function` record and a call specialised for its form. A fast call handles the
usual case with attribute reads and one table look-up; whatever is unusual (numbers of another kind, mixed types,
an alias emptied by a write, any failure of a kernel) goes to `careful`, which is the full definition: it checks,
promotes, explains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar, cast

from . import views
from .backend import Device
from .docstrings import complete
from .dtypes import CATEGORIES, DEFAULTS, DType, as_dtype, float32, int64, join_scalar, promote_types, uint64
from .errors import DeviceError, DTypeError, OperandError, PolyadError, ShapeError
from .function import ARRAY, OUT, Call, Function, Rule, Sample
from .grad_mode import recording
from .graph import Node, Output, Version, guard, new, next_sequence, record
from .plugins import plugins
from .tensor import Tensor, wrap
from .views import View, node_of, raw

__all__ = ["SCALARS", "apply", "careful", "function", "in_place", "reflected"]

R = TypeVar("R")

SCALARS: Final = frozenset([float, int, bool, complex])


def function(
    *,
    name: str | None = None,
    check: Callable[..., dict[str, Any]] | None = None,
    outputs: int = 1,
    takes: str = "any",
    gives: str = "same",
    promotes: Sequence[int] | None = None,
    broadcasts: bool = False,
    differentiable: bool = True,
    standard: bool = False,
    prepare: bool = True,
    sequence: bool = False,
    accumulates: bool = False,
    view: View | None = None,
    samples: Iterable[Sample] = (),
    rules: Mapping[str, Rule] | None = None,
    **more_rules: Rule,
) -> Callable[[Callable[..., R]], Call[R]]:
    """Define a differentiable function: a decorator for its signature, docstring and, where it has one, body.

    Arrays are the positional-only parameters, before ``/``; the others are parameters. A definition whose first
    parameter is ``xp`` has a body, written in terms of other functions: it runs on raw arrays where a backend has no
    kernel of its own, and on tensors, differentiably, where there are no rules. Without ``xp`` the definition is
    only a signature and a docstring, and the backends have the kernel.

    Parameters
    ----------
    name : str, optional
        Another name than the definition's.
    check : callable, optional
        ``check(*shapes, **params) -> params`` brings parameters to one form, or raises.
    outputs : int
        How many arrays are returned; 0 for a tuple of any length.
    takes : str
        Data types taken: ``"any"``, ``"numeric"``, ``"real"``, ``"floating"``, ``"real floating"``, ``"integer"``,
        ``"integer or bool"``, ``"bool"``. For floating ones, integers and bools become float32.
    gives : str
        The result's type: ``"same"`` as the arrays', ``"bool"``, ``"int64"``, ``"real"`` (the real type of a
        complex one).
    promotes : sequence of int, optional
        The arrays brought to one type; all of them by default.
    broadcasts : bool
        Whether arrays are broadcast against each other; their gradients are then summed back.
    differentiable : bool
        False if there is no derivative.
    standard : bool
        Whether a backend's namespace has it under this name, as the array API standard says.
    prepare : bool
        Whether a compiler may take its kernel and rules as a whole.
    sequence : bool
        Whether the one input is a sequence of arrays, passed as such.
    accumulates : bool
        Whether there is a parameter ``dtype`` to compute in; integers by default in 64 bits.
    view : View, optional
        For functions whose result shares its operand's memory.
    samples : iterable of Sample
        Calls for the tests.
    rules : mapping, optional
    **more_rules
        For each differentiable array its rule: see `polyad.function`.

    Returns
    -------
    callable
        The function of tensors; its record is the attribute ``function``.

    Raises
    ------
    PluginError
        If a rule asks for something that is neither an input nor a parameter.

    Examples
    --------
    >>> import polyad as ad
    >>> @ad.function(x=lambda g, x: 3 * g * x**2)
    ... def cube(xp, x, /):
    ...     return x * x * x
    >>> x = ad.tensor(2.0, requires_grad=True)
    >>> cube(x).backward()
    >>> x.grad
    tensor(12.)
    """

    def define(definition: Callable[..., R]) -> Call[R]:
        made = Function(
            definition,
            name=name,
            rules={**(rules or {}), **more_rules},
            check=check,
            outputs=outputs,
            takes=takes,
            gives=gives,
            promotes=promotes,
            broadcasts=broadcasts,
            differentiable=differentiable,
            standard=standard,
            prepare=prepare,
            sequence=sequence,
            accumulates=accumulates,
            samples=samples,
        )
        made.view = view
        call: Any = _specialise(made)
        call.__name__ = definition.__name__
        call.__qualname__ = made.name
        call.__module__ = definition.__module__
        call.__doc__ = complete(made)
        call.__signature__ = made.signature
        call.function = made
        made.call = call
        return cast("Call[R]", call)

    return define


def _specialise(made: Function) -> Callable[..., Any]:
    """Choose the call that fits a function's form."""
    simple = (
        made.outputs == 1 and not made.sequence and not made.variadic and (made.has_rules or not made.differentiable)
    )
    if made.view is not None:
        return _view(made)
    if simple and not made.params and made.required == len(made.inputs):
        if len(made.inputs) == 1:
            return _unary(made)
        if len(made.inputs) == 2 and len(made.promotes) == 2:
            return _binary(made)
    if simple and made.params and len(made.inputs) == 1:
        return _parametrised(made)
    return _general(made)


# What a rule keeps, reduced to a code where it is one array or none: the usual case, recorded inline.
NOTHING, FIRST, SECOND, RESULT, OTHER = range(5)


def _code(made: Function, position: int) -> int:
    spec = made.specs[position]
    if spec is None or not spec.items:
        return NOTHING
    codes = {(ARRAY, 0): FIRST, (ARRAY, 1): SECOND, (OUT, None): RESULT}
    return codes.get(spec.items[0], OTHER) if len(spec.items) == 1 else OTHER


def _unary(made: Function) -> Callable[..., Any]:
    same, differentiable = made.gives == "same", made.differentiable
    keeps = _code(made, 0) if differentiable else NOTHING
    strict = made.takes in ("real", "bool", "integer")

    def call(x: Any) -> Any:
        try:
            data, device, edge = x._data, x._device, x._node
            if strict:
                raise OperandError
            result = device.kernels[made](data)
            if same and result.dtype is not data.dtype:
                raise DTypeError  # the library promotes otherwise
        except Exception:
            return careful(made, (x,), {})
        if type(result) is not device.array:
            result = device.asarray(result)
        out: Any = new(Tensor)
        out._data, out._device = result, device
        out._version = out._storage = out.grad = None
        if edge is None or not differentiable or not recording():
            out._node = None
            return out
        if keeps == OTHER:
            out._node = record(made, device, (x,), (data,), (edge,), {}, result, out)
            return out
        node: Any = new(Node)
        node.function, node.device, node.edges = made, device, (edge,)
        node.hooks = node.shapes = None
        node.seq = next_sequence()
        if keeps == RESULT:
            version = out._version = Version()
            node.args, node.guards = ((result,),), (version, 0)
        elif keeps == FIRST:
            version = x._version
            if version is None:
                version = x._version = Version()
            node.args, node.guards = ((data,),), (version, version.count)
        else:
            node.args, node.guards = ((),), ()
        out._node = node
        return out

    return call


def _binary(made: Function) -> Callable[..., Any]:
    same, differentiable = made.gives == "same", made.differentiable
    a_keeps = _code(made, 0) if differentiable else NOTHING
    b_keeps = _code(made, 1) if differentiable else NOTHING
    plain = OTHER not in (a_keeps, b_keeps)
    strict = made.takes.startswith("real")
    broadcasts = made.broadcasts

    def call(a: Any, b: Any) -> Any:
        try:
            device, x, a_edge = a._device, a._data, a._node
            kind = type(b)
            if kind in SCALARS:
                if x.dtype not in device.weak[kind]:
                    raise DTypeError  # the number decides the type, or has to fit it
                y, b_edge = b, None
            else:
                y, b_edge = b._data, b._node
                if b._device is not device or y.dtype is not x.dtype:
                    raise DTypeError
            if strict and device.dtypes[x.dtype].is_complex:
                raise DTypeError
            result = device.kernels[made](x, y)
            if same and result.dtype is not x.dtype:
                raise DTypeError  # the library promotes otherwise
        except Exception:
            return careful(made, (a, b), {})
        if type(result) is not device.array:
            result = device.asarray(result)
        out: Any = new(Tensor)
        out._data, out._device = result, device
        out._version = out._storage = out.grad = None
        if (a_edge is None and b_edge is None) or not differentiable or not recording():
            out._node = None
            return out
        if not plain:
            out._node = record(made, device, (a, b), (x, y), (a_edge, b_edge), {}, result, out)
            return out
        node: Any = new(Node)
        node.function, node.device, node.edges = made, device, (a_edge, b_edge)
        node.hooks = None
        node.seq = next_sequence()
        guards: tuple[Any, ...] = ()
        a_args: Any = None
        b_args: Any = None
        if a_edge is not None:
            if a_keeps == NOTHING:
                a_args = ()
            elif a_keeps == SECOND:
                a_args = (y,)
                if kind not in SCALARS:
                    version = b._version
                    if version is None:
                        version = b._version = Version()
                    guards = (version, version.count)
            else:
                a_args, guards = _keep_rarer(a_keeps, x, result, a, out)
        if b_edge is not None:
            if b_keeps == NOTHING:
                b_args = ()
            elif b_keeps == FIRST:
                b_args = (x,)
                version = a._version
                if version is None:
                    version = a._version = Version()
                guards = (*guards, version, version.count)
            else:
                b_args, more = _keep_rarer(b_keeps, y, result, b, out)
                guards = (*guards, *more)
        node.args, node.guards = (a_args, b_args), guards
        node.shapes = (x.shape, () if kind in SCALARS else y.shape) if broadcasts else None
        out._node = node
        return out

    return call


def _keep_rarer(code: int, own: Any, result: Any, operand: Any, out: Any) -> tuple[tuple[Any], tuple[Any, ...]]:
    """What a binary rule keeps when it is its own operand or the result."""
    if code == RESULT:
        return (result,), guard(out)
    return (own,), guard(operand)


def _parametrised(made: Function) -> Callable[..., Any]:
    """One array and parameters."""
    names = tuple(made.params)
    same, differentiable, check = made.gives == "same", made.differentiable, made.check
    anything = made.takes == "any"
    accumulates = made.accumulates

    def call(x: Any, *args: Any, **params: Any) -> Any:
        if args or params:
            params = _named(made, names, args, params)
            if accumulates and "dtype" in params:
                dtype = params.pop("dtype")
                if dtype is not None and isinstance(x, Tensor):
                    x = _astype(x, as_dtype(dtype))
        try:
            data, device, edge = x._data, x._device, x._node
        except AttributeError:
            return careful(made, (x,), params)
        params = check(data.shape, **params) if check is not None else _defaults(made, params)
        try:
            if not anything and device.dtypes[data.dtype] not in CATEGORIES[made.takes]:
                raise DTypeError
            result = device.kernels[made](data, **params)
            if same and result.dtype is not data.dtype:
                raise DTypeError
        except Exception:
            return careful(made, (x,), params)
        if type(result) is not device.array:
            result = device.asarray(result)
        out: Any = new(Tensor)
        out._data, out._device = result, device
        out._version = out._storage = out.grad = None
        if edge is None or not differentiable or not recording():
            out._node = None
        else:
            out._node = record(made, device, (x,), (data,), (edge,), params, result, out)
        return out

    return call


def _general(made: Function) -> Callable[..., Any]:
    """Any number of arrays, with or without parameters, rules and several outputs."""
    names = tuple(made.params)
    count = len(made.inputs)
    variadic, sequence = made.variadic, made.sequence

    def call(*args: Any, **params: Any) -> Any:
        if sequence:
            if not args or not isinstance(args[0], (list, tuple)):
                raise OperandError(
                    f"{made.name}{made.signature}: expected a list or tuple of tensors; got {args[:1]!r:.80}"
                )
            params = _named(made, names, args[1:], params)
            args = tuple(args[0])
            if not args:
                raise ShapeError(f"{made.name}: got an empty sequence; expected at least one tensor")
        elif variadic:
            params = _named(made, names, (), params)
        else:
            params = _named(made, names, args[count:], params)
            args = args[:count]
        return careful(made, args, params)

    return call


def _view(made: Function) -> Callable[..., Any]:
    """One array and parameters; the result is an alias."""
    names = tuple(made.params)
    check = made.check
    assert check is not None

    def call(x: Any, *args: Any, **params: Any) -> Any:
        if args or params:
            params = _named(made, names, args, params)
        if not isinstance(x, Tensor):
            raise OperandError(_no_operand(made, 0, x))
        params = check(raw(x).shape, **params)
        if x._storage is None:
            views.share(x)
        device, data, edge = x._device, raw(x), node_of(x)
        result = device.kernels[made](data, **params)
        if type(result) is not device.array:
            result = device.asarray(result)
        cut = None
        if edge is not None:
            if not made.has_rules:
                cut, edge = views.DETACH, None
            elif not recording():
                cut, edge = views.NO_GRAD, None
            else:
                edge = record(made, device, (x,), (data,), (edge,), params, result, None)
        elif not made.has_rules:
            cut = views.DETACH
        out = wrap(result, device, edge)
        views.alias(x, out, made, params, cut)
        return out

    return call


_PYTORCH_NAMES: Final = {"dim": "axis", "keepdim": "keepdims"}


def _named(made: Function, names: Sequence[str], args: Sequence[Any], params: dict[str, Any]) -> dict[str, Any]:
    """Parameters by polyad's names: from positions, and from PyTorch's ``dim`` and ``keepdim``."""
    if "dim" in params or "keepdim" in params:
        renamed = {_PYTORCH_NAMES.get(key, key): value for key, value in params.items()}
        if len(renamed) < len(params):
            raise OperandError(f"{made.name}: give axis or dim, keepdims or keepdim, not both")
        params = renamed
    if not args:
        return params
    if len(args) > len(names):
        raise OperandError(
            f"{made.name}{made.signature}: takes {len(made.inputs)} arrays and {len(names)} parameters; "
            f"got {len(made.inputs) + len(args)} positional arguments"
        )
    named = dict(zip(names, args, strict=False))
    for key in named:
        if key in params:
            raise OperandError(f"{made.name}: {key} was given twice, by position and by name")
    return {**named, **params}


def _defaults(made: Function, params: Mapping[str, Any]) -> dict[str, Any]:
    """Complete parameters by their defaults."""
    merged = {**made.params, **params}
    if len(merged) != len(made.params):
        unknown = sorted(set(params) - set(made.params))
        raise OperandError(f"{made.name}{made.signature}: there is no parameter {', '.join(unknown)}")
    for key, value in merged.items():
        if value is _EMPTY:
            raise OperandError(f"{made.name}{made.signature}: the parameter {key} is missing")
    return merged


_EMPTY: Final[Any] = __import__("inspect").Parameter.empty


# The careful path ------------------------------------------------------------------------------------------


def _no_operand(made: Function, position: int, value: Any) -> str:
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
        raise OperandError(f"{made.name}{made.signature}: got {len(args)} arrays")
    device: Device | None = None
    first: Any = None
    for arg in args:
        if isinstance(arg, Tensor):
            if device is None:
                device, first = arg._device, arg
            elif arg._device is not device:
                raise DeviceError(_mixed(made, first, arg))
    if device is None:
        for position, arg in enumerate(args):
            if type(arg) not in SCALARS:
                raise OperandError(_no_operand(made, position, arg))
        raise OperandError(f"{made.name}: at least one operand must be a tensor; got {', '.join(map(repr, args))}")
    found: list[Any] = []
    for position, arg in enumerate(args):
        if isinstance(arg, Tensor) or type(arg) in SCALARS or (arg is None and position >= made.required):
            found.append(arg)
            continue
        owner = plugins.owner(arg)
        if owner is device:
            found.append(wrap(arg, device))
        elif owner is not None:
            raise DeviceError(
                f"{made.name}: the array of type {type(arg).__module__}.{type(arg).__name__} is on {owner.where}, the "
                f"tensor on {device.where}; write polyad.tensor(array, device=x.device) to bring it there"
            )
        elif hasattr(arg, "item") and getattr(arg, "shape", None) == () and hasattr(arg, "dtype"):
            found.append(arg.item())  # a library's scalar counts as a number
        else:
            raise OperandError(_no_operand(made, position, arg))
    found += [None] * (count - len(found) if not made.variadic else 0)
    return found, device


def _mixed(made: Function, a: Tensor, b: Tensor) -> str:
    if a.backend is not b.backend:
        move = f"write y.to(backend={a.backend.name!r}) or y.to(device=x.device)"
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
    for i in joined:
        arg = args[i]
        if isinstance(arg, Tensor):
            if arg.dtype is not common:
                args[i] = _astype(arg, common)
        elif len(tensors) == 0 or type(arg) in (bool, complex) or common not in CATEGORIES["floating"]:
            args[i] = constant(arg, common, device)
    return args


def _astype(x: Tensor, dtype: DType) -> Tensor:
    from .function import FUNCTIONS

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
    merged = made.check(*shapes, **params) if made.check is not None else _defaults(made, params)
    edges = tuple(node_of(a) if isinstance(a, Tensor) else None for a in found)
    needs_grad = made.differentiable and any(e is not None for e in edges) and recording()
    if needs_grad and not made.has_rules and made.body is not None:
        from .engine import TENSORS

        return made.body(TENSORS, *found, **merged)
    try:
        result = device.kernels[made](*((values,) if made.sequence else values), **merged)
    except PolyadError:
        raise
    except Exception as error:
        described = ", ".join(f"{a.dtype.name}{list(a.shape)}" if isinstance(a, Tensor) else repr(a) for a in found)
        error.add_note(f"in polyad.{made.name}({described}) of {made.provider}, on {device.where}")
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
            if made.keeps_out:
                node.guards += tuple(g for out in outs for g in guard(out))
            for i, out in enumerate(outs):
                if out.dtype.is_differentiable:
                    out._node = Output(node, i)
        return outs
    result = device.asarray(result)
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
    from .function import FUNCTIONS

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


# Operators ------------------------------------------------------------------------------------------------


def operator(made: Function) -> Callable[..., Any]:
    """The function as a binary operator: an operand it cannot take is left to the operand's own class."""
    call = made.call

    def op(a: Any, b: Any) -> Any:
        kind = type(b)
        if kind in SCALARS or hasattr(b, "_device") or hasattr(b, "dtype"):
            return call(a, b)
        return NotImplemented

    return op


def reflected(made: Function) -> Callable[..., Any]:
    """The function with its operands exchanged: ``__rsub__`` of ``__sub__``."""
    call = made.call

    def op(b: Any, a: Any) -> Any:
        if type(a) in SCALARS or hasattr(a, "dtype"):
            return call(a, b)
        return NotImplemented

    return op


def in_place(made: Function, name: str) -> Callable[..., Any]:
    """The function as a method that writes its result into its first operand: ``add_``."""
    inplace_name = made.name

    def call(x: Any, *args: Any, **params: Any) -> Any:
        views.check_write(x, name)
        device = x._device
        kernel = device.backend.inplace.get(inplace_name)
        if kernel is not None and len(args) == 1 and not params:
            other = args[0]
            data = raw(x)
            value = raw(other) if isinstance(other, Tensor) else other
            if (
                ((node_of(x) is None and edge_of(other) is None) or not recording())
                and (
                    (isinstance(other, Tensor) and other._device is device and value.dtype is data.dtype)
                    or (type(other) in SCALARS and data.dtype in device.weak[type(other)])
                )
                and _fits(getattr(value, "shape", ()), data.shape)
            ):
                kernel(data, value)
                views.write(x, data, None, name, written=True)
                return x
        result = made.call(x, *args, **params)
        require_like(name, x, result)
        views.write(x, raw(result), node_of(result), name)
        return x

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Write the result of `polyad.{made.name}` into the tensor, in place; returns the tensor."
    return call


def _fits(shape: tuple[int, ...], into: tuple[int, ...]) -> bool:
    """Whether a shape broadcasts into another without growing it."""
    if shape == into:
        return True
    return len(shape) <= len(into) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(into), strict=False))


def require_like(name: str, x: Tensor, result: Tensor) -> None:
    """Raise if ``result`` cannot be written into ``x``."""
    if result.shape != x.shape:
        raise ShapeError(
            f"{name}: the result has shape {result.shape}, which does not fit into the tensor's shape {x.shape}; "
            f"use the out-of-place form"
        )
    if result.dtype is not x.dtype:
        raise DTypeError(
            f"{name}: the result is {result.dtype.name}, which a tensor of {x.dtype.name} cannot hold; "
            f"write x = x.astype(polyad.{result.dtype.name}) first, or use the out-of-place form"
        )


def edge_of(x: Any) -> Any:
    """Where a tensor's gradient goes, or None."""
    return node_of(x) if isinstance(x, Tensor) else None
