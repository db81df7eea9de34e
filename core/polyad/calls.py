"""The fast calls: from a function's record to a call specialised for its form.

Each handles the usual case with attribute reads and one table look-up, and records it inline. Whatever is unusual,
numbers of another kind, mixed types, an alias emptied by a write, a failing kernel, ends in an exception or a
mismatch here, and `careful` does the call over again with everything checked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final
from weakref import ref as reference

from . import views
from .careful import SCALARS, astype, careful, check_of, finish, named, no_operand
from .dtypes import CATEGORIES, as_dtype
from .errors import OperandError, ShapeError
from .function import ARRAY, FUNCTIONS, NAMESPACE, OUT, TENSORS, Function
from .grad_mode import recording
from .graph import Node, Version, guards_of, new, next_sequence, observed, record
from .kernels import Step, bind
from .tensor import Tensor
from .views import Root, node_of, raw

__all__ = ["aliasing", "binary_operator", "specialise"]

# What a rule keeps, where it is nothing or one array: the usual cases, recorded inline.
NOTHING, FIRST, SECOND, RESULT, OTHER = range(5)
NO_PARAMS: Final[dict[str, Any]] = {}
_SMALL: Final = frozenset(d for d in CATEGORIES["integer or bool"] if d.itemsize < 8)


class Unusual(Exception):  # noqa: N818 - no error: it sends a call on to the careful path
    """Something that a fast call does not handle."""


def specialise(made: Function) -> Callable[..., Any]:
    """Choose the call that fits a function's form."""
    simple = made.outputs == 1 and not made.variadic and (made.has_rules or not made.differentiable)
    if made.view is not None:
        return _view(made)
    if simple and not made.params and made.required == len(made.inputs):
        if len(made.inputs) == 1 and made.check is None:
            return _unary(made)
        complete = all(made.rules) or not made.differentiable  # an input without a rule is for `record` to leave out
        if len(made.inputs) == 2 and len(made.promotes) == 2 and complete:
            return _binary(made, lambda a, b: careful(made, (a, b), NO_PARAMS))
    if simple and len(made.inputs) == made.required == 1:
        return _parametrised(made)
    return _several(made)


def binary_operator(made: Function) -> Callable[..., Any]:
    """The call of a function of two arrays as an operator: a foreign operand is left to its own class."""

    def fallback(a: Any, b: Any) -> Any:
        if type(b) in SCALARS or hasattr(b, "_device") or hasattr(b, "dtype"):
            return careful(made, (a, b), NO_PARAMS)
        return NotImplemented

    return _binary(made, fallback)


def _code(made: Function, position: int) -> tuple[int, bool]:
    """Which of the usual cases a rule is, and whether it asks for ``xp`` before what it keeps."""
    spec = made.specs[position] if made.differentiable else None
    if spec is None or not spec.items:
        return NOTHING, False
    with_xp = spec.items[0][0] == NAMESPACE
    rest = spec.items[1:] if with_xp else spec.items
    codes = {(ARRAY, 0): FIRST, (ARRAY, 1): SECOND, (OUT, None): RESULT}
    return codes.get(rest[0], OTHER) if len(rest) == 1 else OTHER, with_xp


def _looks_at_type(made: Function) -> bool:
    """Whether a call has to look at its operands' type: kernels take more than some functions do.

    Not for a floating-point function that gives its operand's type: of other types the library gives another.
    """
    return made.takes != "any" and not (made.takes == "floating" and made.gives == "same")


def _unary(made: Function) -> Callable[..., Any]:
    """One array, no parameters."""
    same, differentiable = made.gives == "same", made.differentiable
    (code, with_xp), spec = _code(made, 0), made.specs[0]
    takes, checked = made.takes, _looks_at_type(made)

    def call(x: Any) -> Any:
        try:
            data, device, edge = x._data, x._device, x._node
            if checked and data.dtype not in device.accepted[takes]:
                raise Unusual
            result = device.kernels[made](data)
            if same and result.dtype is not data.dtype:
                raise Unusual  # the library promotes otherwise
        except Exception:
            return careful(made, (x,), NO_PARAMS)
        if type(result) is not device.array:
            result = device.asarray(result)
        elif result is data:  # a kernel with nothing to do: two tensors must not share memory unawares
            result = device.backend.copy(data)
        out: Any = new(Tensor)
        out._data, out._device = result, device
        out._writes = out._storage = out._grad = None
        if edge is None or not differentiable or recording() is not True:
            out._node = None
            if edge is not None and differentiable:
                out._node = observed(made, device, (x,), (data,), (edge,), NO_PARAMS, result, out)
            return out
        node: Any = Node()
        node.function, node.device = made, device
        node.edges, node.seq = (edge,), next_sequence()
        node.hooks = node.shapes = None
        if code == NOTHING:
            node.args, node.guards = ((),), ()
        elif code == RESULT:
            version = out._writes = Version()
            node.args, node.guards = ((device.xp, result) if with_xp else (result,),), (version, 0)
        elif code == FIRST:
            version = x._writes
            if version is None:
                fresh = Version()
                version = x._writes  # another thread may come in the call, but not before the store
                if version is None:
                    version = x._writes = fresh
            node.args = ((device.xp, data) if with_xp else (data,),)
            node.guards = (version, version.count)
        else:
            node.args = (spec.keep(device, (data,), NO_PARAMS, result, 0),)  # type: ignore[union-attr]
            node.guards = guards_of(spec, (x,), out)
        out._node = node
        return out

    return call


def _binary(made: Function, fallback: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Two arrays, or an array and a number; no parameters."""
    differentiable, broadcasts = made.differentiable, made.broadcasts
    promotes = made.gives == "same" and "floating" in made.takes  # libraries turn integers into floats of their own
    (a_code, a_xp), (b_code, b_xp) = _code(made, 0), _code(made, 1)
    a_spec, b_spec = made.specs
    keeps_nothing = a_code == b_code == NOTHING
    takes, checked = made.takes, _looks_at_type(made)

    def call(a: Any, b: Any) -> Any:
        try:
            device, x, a_edge = a._device, a._data, a._node
            dtype = x.dtype
            kind = type(b)
            if kind is Tensor or kind not in SCALARS:
                y, b_edge, y_is_array = b._data, b._node, True
                if y.dtype is not dtype or b._device is not device:
                    return fallback(a, b)
            elif dtype in device.weak[kind]:
                y, b_edge, y_is_array = b, None, False
            else:
                return fallback(a, b)  # the number decides the type, or has to fit it
            if checked and dtype not in device.accepted[takes]:
                return fallback(a, b)
            result = device.kernels[made](x, y)
            if promotes and result.dtype is not dtype:
                raise Unusual
        except Exception:
            return fallback(a, b)
        if type(result) is not device.array:
            result = device.asarray(result)
        out: Any = new(Tensor)
        out._data, out._device = result, device
        out._writes = out._storage = out._grad = None
        if (a_edge is None and b_edge is None) or not differentiable or recording() is not True:
            out._node = None
            if differentiable and (a_edge is not None or b_edge is not None):
                out._node = observed(made, device, (a, b), (x, y), (a_edge, b_edge), NO_PARAMS, result, out)
            return out
        node: Any = Node()
        node.function, node.device = made, device
        node.edges, node.seq = (a_edge, b_edge), next_sequence()
        node.hooks = node.shapes = None
        if broadcasts and y_is_array:
            shape, other = x.shape, y.shape
            if shape != other:
                node.shapes = shape, other
        if keeps_nothing:
            node.args, node.guards = (
                ((), ())
                if a_edge is not None and b_edge is not None
                else (
                    None if a_edge is None else (),
                    None if b_edge is None else (),
                ),
                (),
            )
            out._node = node
            return out
        a_args: Any = None
        b_args: Any = None
        guards: tuple[Any, ...] = ()
        if a_edge is not None:
            if a_code == NOTHING:
                a_args = ()
            elif a_code == SECOND:
                a_args = (device.xp, y) if a_xp else (y,)
                if y_is_array:
                    version = b._writes
                    if version is None:
                        fresh = Version()
                        version = b._writes  # another thread may come in the call, but not before the store
                        if version is None:
                            version = b._writes = fresh
                    guards = (version, version.count)
            else:
                a_args = a_spec.keep(device, (x, y), NO_PARAMS, result, 0)  # type: ignore[union-attr]
                guards = guards_of(a_spec, (a, b), out)
        if b_edge is not None:
            if b_code == NOTHING:
                b_args = ()
            elif b_code == FIRST:
                b_args = (device.xp, x) if b_xp else (x,)
                version = a._writes
                if version is None:
                    fresh = Version()
                    version = a._writes  # another thread may come in the call, but not before the store
                    if version is None:
                        version = a._writes = fresh
                guards += (version, version.count)
            else:
                b_args = b_spec.keep(device, (x, y), NO_PARAMS, result, 1)  # type: ignore[union-attr]
                guards += guards_of(b_spec, (a, b), out)
        node.args, node.guards = (a_args, b_args), guards
        out._node = node
        return out

    return call


def _remembering(check: Callable[..., Any]) -> Callable[..., Any]:
    """Remember what a check made of shapes and parameters. Raises TypeError for what cannot be hashed."""
    return lru_cache(maxsize=512, typed=True)(check)


def _parametrised(made: Function) -> Callable[..., Any]:
    """One array and parameters."""
    names = tuple(made.params)
    same, differentiable, accumulates = made.gives == "same", made.differentiable, made.accumulates
    check = check_of(made)
    remembered = _remembering(check)
    spec = made.specs[0]
    keeps = differentiable and spec is not None
    guarded = spec is not None and bool(spec.arrays or spec.out)
    takes, checked = made.takes, _looks_at_type(made)

    def call(x: Any, *args: Any, **params: Any) -> Any:
        if args or params:
            params = named(made, names, args, params)
            if accumulates and "dtype" in params:
                dtype = params.pop("dtype")
                if dtype is not None and isinstance(x, Tensor):
                    x = astype(x, as_dtype(dtype))
                    if x.dtype in _SMALL:  # computed in 64 bits, and wrapped round once
                        return astype(call(x, **params), x.dtype)
        try:
            data, device, edge = x._data, x._device, x._node
        except AttributeError:
            return careful(made, (x,), params)
        try:
            params = remembered(data.shape, **params) if params else remembered(data.shape)
        except TypeError:
            params = check(data.shape, **params)
        try:
            if checked and data.dtype not in device.accepted[takes]:
                raise Unusual
            result = device.kernels[made](data, **params)
            if same and result.dtype is not data.dtype:
                raise Unusual
        except Exception:
            return careful(made, (x,), params)
        if type(result) is not device.array:
            result = device.asarray(result)
        out: Any = new(Tensor)
        out._data, out._device = result, device
        out._writes = out._storage = out._grad = None
        if edge is None or not keeps or recording() is not True:
            out._node = None
            if edge is not None and keeps:
                out._node = observed(made, device, (x,), (data,), (edge,), params, result, out)
            return out
        node: Any = Node()
        node.function, node.device = made, device
        node.edges, node.seq = (edge,), next_sequence()
        node.hooks = node.shapes = None
        node.args = (spec.keep(device, (data,), params, result, 0),)  # type: ignore[union-attr]
        node.guards = guards_of(spec, (x,), out) if guarded else ()
        out._node = node
        return out

    return call


def _several(made: Function) -> Callable[..., Any]:
    """Any number of arrays or numbers, given one by one or as one sequence, with or without parameters.

    Functions of several outputs, and those whose derivative follows from their body, are among these.
    """
    names, count, required = tuple(made.params), len(made.inputs), made.required
    variadic, sequence, last = made.variadic, made.sequence, len(made.inputs) - 1
    promotes, leading = frozenset(made.promotes), made.promotes[0] if made.promotes else 0
    same, differentiable, takes = made.gives == "same", made.differentiable, made.takes
    check = check_of(made)
    remembered, several = _remembering(check), made.outputs != 1
    body = made.body if differentiable and not made.has_rules else None

    def call(*args: Any, **params: Any) -> Any:
        if sequence:
            if not args or not isinstance(args[0], (list, tuple)):
                raise OperandError(f"{made.usage}: expected a list or tuple of tensors; got {args[:1]!r:.80}")
            params = named(made, names, args[1:], params)
            args = tuple(args[0])
            if not args:
                raise ShapeError(f"{made.name}: got an empty sequence; expected at least one tensor")
        elif params or (len(args) > count and not variadic):
            params = named(made, names, () if variadic else args[count:], params)
            args = args if variadic else args[:count]
        try:
            device, dtype = args[leading]._device, args[leading]._data.dtype
            if len(args) < required or dtype not in device.accepted[takes]:
                raise Unusual
            values: list[Any] = []
            edges: list[Any] = []
            shapes: list[Any] = []
            recorded = False
            for i, x in enumerate(args):
                kind = type(x)
                joins = i in promotes if i < last else last in promotes
                if kind is float or kind is int:
                    if not joins or dtype not in device.weak[kind]:
                        raise Unusual
                    data, edge, shape = x, None, ()
                elif x is None and i >= required:
                    data = edge = shape = None
                else:
                    data, edge = x._data, x._node
                    if x._device is not device or (joins and data.dtype is not dtype):
                        raise Unusual
                    shape = data.shape
                    if edge is not None:
                        recorded = True
                values.append(data)
                edges.append(edge)
                shapes.append(shape)
            if len(args) < count and not variadic:
                missing = count - len(args)
                args += (None,) * missing
                values += [None] * missing
                edges += [None] * missing
                shapes += [None] * missing
            try:
                merged = remembered(*shapes, **params)
            except TypeError:
                merged = check(*shapes, **params)
            recorded = recorded and differentiable and recording() is not False
            if recorded and body is not None:
                outs = body(TENSORS, *((list(args),) if sequence else args), **merged)
                return made.results(*outs) if several else outs
            result = device.kernels[made](*((values,) if sequence else values), **merged)
            if several:
                return finish(made, device, args, values, tuple(edges) if recorded else None, merged, result)
            if same and result.dtype is not dtype:
                raise Unusual
        except Exception:
            return careful(made, args, params)
        if type(result) is not device.array:
            result = device.asarray(result)
        else:
            for data in values:
                if result is data:  # a kernel with nothing to do: two tensors must not share memory unawares
                    result = device.backend.copy(result)
                    break
        out: Any = new(Tensor)
        out._data, out._device = result, device
        out._writes = out._storage = out._grad = out._node = None
        if recorded:
            out._node = record(made, device, args, values, tuple(edges), merged, result, out)
        return out

    return call


def _view(made: Function) -> Callable[..., Any]:
    """One array and parameters; the result is an alias."""
    names = tuple(made.params)
    check = check_of(made)
    remembered = _remembering(lambda shape, **params: Step((made, check(shape, **params))))
    reshapes = made.name == "reshape"
    takes, checked = made.takes, made.takes != "any"
    alias = aliasing(made)

    def call(x: Any, *args: Any, **params: Any) -> Any:
        if args or params:
            params = named(made, names, args, params)
        try:
            storage = x._storage
        except AttributeError:
            raise OperandError(no_operand(made, 0, x)) from None
        data = raw(x)
        shape = data.shape
        if checked and data.dtype not in x._device.accepted[takes]:
            return careful(made, (x,), params)  # which says so
        step: Step
        try:
            step = remembered(shape, **params)
        except TypeError:
            step = Step((made, check(shape, **params)))
        if reshapes and storage is not None and not views.fits(x, step[1]["shape"]):
            return _copied(made, x, step[1])  # the elements are not evenly spaced
        return alias(x, step)

    return call


def aliasing(made: Function) -> Callable[[Any, Step], Any]:
    """Make what gives a view function's result once its parameters are checked: ``alias(x, step)``."""
    spec, has_rules, broadcasts = made.specs[0], made.has_rules, made.broadcasts

    def alias(x: Any, step: Step) -> Any:
        storage = x._storage
        if storage is None:
            storage = views.share(x)
        try:
            data, edge = x._data, x._node
        except AttributeError:
            data, edge = raw(x), node_of(x)
        device, root, path = x._device, x._root, (x._path, step)
        try:
            kernel, args = device.views[step]
        except KeyError:
            kernel, args = bind(device, step, data)
        result = kernel(data)
        if type(result) is not device.array:
            result = device.asarray(result)
        out: Any = new(Tensor)
        out._data, out._device = result, device
        out._storage, out._writes, out._grad = storage, x._writes, None
        node: Any = None
        if edge is not None and has_rules and (mode := recording()):
            node = Node()
            node.function, node.device = made, device
            node.edges, node.seq = (edge,), next_sequence()
            node.hooks, node.guards = None, ()
            node.shapes = (data.shape,) if broadcasts else None
            node.args = args or (spec.keep(device, (data,), step[1], result, 0),)  # type: ignore[union-attr]
            if mode is not True:
                mode.watch(node, (x,), None)
        elif not has_rules:
            root = Root(None, path, views.DETACH)
        elif edge is not None:
            root = Root(None, path, views.NO_GRAD, root)
        out._node, out._path, out._root = node, path, root
        aliases = storage.aliases
        if len(aliases) >= storage.limit:
            storage.prune()
            aliases = storage.aliases
        aliases.append(reference(out))
        return out

    return alias


def _copied(made: Function, x: Tensor, params: dict[str, Any]) -> Any:
    """The result of a view function where it cannot be a view: of a copy of the operand, which nobody else has."""
    return careful(made, (FUNCTIONS["clone"].call(x),), params)
