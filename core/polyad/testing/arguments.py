"""Programs' arguments and results: the tensors in them, copies on another device, and what is wrong with them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from .. import views
from ..backend import Backend, Device
from ..dtypes import DType
from ..errors import ArgumentError, OperandError
from ..plugins import plugins
from ..tensor import Tensor, wrap
from .operations import host_of

__all__ = ["as_arguments", "check_callable", "check_fit", "copied", "device_named", "results_in", "tensors_in"]

T = TypeVar("T")


def tensors_in(tree: Any, path: str = "args") -> Iterator[tuple[str, Tensor]]:
    """List the tensors in nested lists, tuples, dicts and modules, with where each is."""
    if isinstance(tree, Tensor):
        yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from tensors_in(value, f"{path}[{key!r}]")
    elif isinstance(tree, (list, tuple)):
        for i, value in enumerate(tree):
            yield from tensors_in(value, f"{path}[{i}]")
    elif _is_module(tree):
        for name, value in [*tree.named_parameters(), *tree.named_buffers()]:
            yield f"{path}.{name}", value


def _is_module(x: Any) -> bool:
    return all(hasattr(x, name) for name in ("named_parameters", "named_buffers", "to"))


def check_callable(caller: str, f: Any) -> None:
    """Raise if what is to be run is no function.

    Raises
    ------
    OperandError
        With what was passed, and what to write.
    """
    if not callable(f):
        raise OperandError(
            f"{caller}: the first argument is the function itself, not what it gives; got {type(f).__name__} "
            f"{f!r:.60}. Write {caller}(f, (x,)), without calling f"
        )


def check_fit(caller: str, f: Any, args: tuple[Any, ...]) -> None:
    """Raise if a function does not take so many arguments.

    Raises
    ------
    OperandError
        With the function's signature.
    """
    if hasattr(f, "function"):  # polyad's own take parameters by position, too, and say themselves what is wrong
        return
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):  # some built-in functions have none
        return
    try:
        signature.bind(*args)
    except TypeError as error:
        name = getattr(f, "__name__", type(f).__name__)
        raise OperandError(
            f"{caller}: {name}{signature} does not take the {len(args)} arguments in args: {error}"
        ) from None


def as_arguments(caller: str, args: Any) -> tuple[Any, ...]:
    """Give a function's arguments as a tuple, or raise if they cannot be brought to other backends.

    Raises
    ------
    OperandError
        If an argument is an array in place of a tensor, or there are arguments and none has a tensor.
    """
    found = tuple(args) if isinstance(args, (list, tuple)) else (args,)
    for path, array in _arrays_in(found, "args"):
        raise OperandError(
            f"{caller}: {path} is a {type(array).__module__}.{type(array).__name__}, which cannot be brought to "
            f"another backend; write polyad.tensor({path})"
        )
    if found and not any(True for _ in tensors_in(found)):
        raise OperandError(
            f"{caller}: args has no tensor; got {found!r:.80}. Give the function's arguments as a tuple: tensors, "
            f"alone or in lists, tuples, dicts and modules, and whatever else it takes beside them"
        )
    return found


def _arrays_in(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _arrays_in(value, f"{path}[{key!r}]")
    elif isinstance(tree, (list, tuple)):
        for i, value in enumerate(tree):
            yield from _arrays_in(value, f"{path}[{i}]")
    elif not isinstance(tree, Tensor) and hasattr(tree, "shape") and hasattr(tree, "dtype") and tree.shape != ():
        yield path, tree


def results_in(caller: str, result: Any) -> list[tuple[str, Tensor]]:
    """List the tensors that a function returned, with where each is.

    Raises
    ------
    OperandError
        If it returned anything else.
    """
    found: list[tuple[str, Tensor]] = []

    def look(value: Any, path: str) -> None:
        if isinstance(value, Tensor):
            found.append((path, value))
        elif isinstance(value, Mapping):
            for key, part in value.items():
                look(part, f"{path}[{key!r}]")
        elif isinstance(value, (list, tuple)):
            for i, part in enumerate(value):
                look(part, f"{path}[{i}]")
        else:
            raise OperandError(
                f"{caller}: the function must return tensors, alone or in lists, tuples and dicts; {path} is a "
                f"{type(value).__name__}, {value!r:.60}: return the tensor itself, without item() or numpy()"
            )

    look(result, "result")
    if not found:
        raise OperandError(f"{caller}: the function returned no tensor, {result!r:.60}; return what is to be compared")
    return found


def copied(tree: T, device: Device | None = None, change: Callable[[DType], DType] | None = None) -> T:
    """Give a copy of arguments whose tensors are leaves of their own, on another device, of another type.

    Tensors that were one stay one. Tensors require gradients as before.
    """
    made: dict[int, Any] = {}

    def one(x: Tensor) -> Tensor:
        if id(x) not in made:
            target = device or x._device
            host = host_of(views.raw(x), x._device)
            dtype = x.dtype if change is None else change(x.dtype)
            target.dtype(dtype)
            new = wrap(target.asarray(target.backend.from_host(host, target, copy=True)), target)
            if dtype is not x.dtype:
                new = new.astype(dtype)
            made[id(x)] = new.requires_grad_() if x.requires_grad and dtype.is_differentiable else new
        return made[id(x)]  # type: ignore[no-any-return]

    def look(value: Any) -> Any:
        if isinstance(value, Tensor):
            return one(value)
        if isinstance(value, Mapping):
            return type(value)({key: look(part) for key, part in value.items()})  # type: ignore[call-arg]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*map(look, value))
        if isinstance(value, (list, tuple)):
            return type(value)(map(look, value))
        if _is_module(value):
            if id(value) not in made:
                made[id(value)] = new = copy.deepcopy(value)
                for (_, old), (_, parameter) in zip(tensors_in(value), tensors_in(new), strict=True):
                    parameter.set_(one(old).detach())
            return made[id(value)]
        return value

    return look(tree)  # type: ignore[no-any-return]


def device_named(caller: str, which: str | Backend | Device) -> Device:
    """Give the device that a user means: one, or the first of a backend.

    Raises
    ------
    BackendError
        If there is no such backend, or it cannot be used here.
    """
    if isinstance(which, Device):
        return which
    if isinstance(which, Backend):
        return which.devices[0]
    if not isinstance(which, str):
        raise ArgumentError(
            f"{caller}: a backend is given by its name, such as 'numpy', or as a device, x.device; got {which!r:.60}"
        )
    name, _, place = which.partition("/")
    backend = plugins.backend(name)
    return backend.device_for(place) if place else backend.devices[0]
