"""Calls that keep their arguments in place of what their operations keep, and run again when backward needs that.

What `polyad.utils.checkpoint` stands on. While the call runs first, each array that a node is to keep is noted, and a
`_Use` stands for it in the node. The first use that backward opens runs the call again; what the nodes of that run
keep is, in the same order, what the uses stand for. Neither run is known to the engine.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from contextvars import copy_context
from typing import Any, Final, NamedTuple

from .. import views
from ..backend import Device
from ..errors import AutogradError
from ..grad_mode import watched
from ..graph import AccumulateGrad, Packed, Version, guard, next_sequence, opened_value
from ..levels import active, inside
from ..ops.generators import Generator, States, watching_draws
from ..plugins import plugins
from ..tensor import Tensor, wrap
from .watches import here, refuse_if_disabled, switched

__all__ = ["Options", "run"]


class Options(NamedTuple):
    """How a call is run again; see `polyad.utils.checkpoint.checkpoint`."""

    first: AbstractContextManager[Any]
    again: AbstractContextManager[Any]
    preserves_random_state: bool = True
    checks: bool = True
    debug: bool = False
    stops_early: bool = True


def run(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], options: Options) -> Any:
    """Call a function, and keep its arguments in place of what its operations keep."""
    refuse_if_disabled()
    call = _Call(function, args, kwargs, options)
    first = _First(call)
    with switched(pack=first), watching_draws(call.note_draw), options.first:
        result = function(*args, **kwargs)
    call.complete = True
    if any(kept.uses for kept in call.kept):
        call.arguments.refuse_writes(call.name)
    return result


# Arguments --------------------------------------------------------------------------------------------------------


class _Argument:
    """A tensor among the arguments, as it was: its array, place in the graph and layout, but not the tensor.

    A tensor that is written later may come to depend on the results, and would then keep itself alive.
    """

    __slots__ = ("path", "kept", "device", "edge", "strides", "guards")

    def __init__(self, path: str, tensor: Tensor) -> None:
        watch: Any = watched()
        self.path, self.device, self.edge = path, tensor._device, views.node_of(tensor)
        self.strides = None if tensor._storage is None else views.layout_of(tensor).strides
        is_kept_anyway = type(self.edge) is AccumulateGrad or type(tensor) is not Tensor
        kept: tuple[Any, bool] = (tensor if is_kept_anyway else views.raw(tensor), True)
        if watch is not None and (watch.preserves or not is_kept_anyway):
            kept = watch.kept(tensor, "checkpoint")
        self.kept, guarded = kept
        self.guards = [guard(t) for t in (tensor, *inside(tensor))] if guarded else []

    @property
    def write(self) -> tuple[Version, int] | None:
        """The version that was written to since, and its count before; None if there is none."""
        return next((kept for kept in self.guards if kept[0].count != kept[1]), None)

    def tensor(self) -> Tensor:
        """Give the argument again."""
        backend = self.device.backend
        if isinstance(self.kept, Tensor) and not backend.is_traced(views.raw(self.kept)):
            return self.kept
        array = views.raw(self.kept) if isinstance(self.kept, Tensor) else opened_value(self.kept)
        found = wrap(backend.distinct(array), self.device, self.edge)
        if self.strides is not None:
            views.share(found, self.strides)
        return found


class _Arguments:
    """The arguments of a call: containers are copied, and tensors in them are held as `_Argument`."""

    __slots__ = ("args", "kwargs", "tensors")

    def __init__(self, args: Sequence[Any], kwargs: dict[str, Any]) -> None:
        self.tensors: dict[int, _Argument] = {}  # by the tensor's identity, which holds while the call first runs
        self.args = [self._held(f"args[{i}]", value) for i, value in enumerate(args)]
        self.kwargs = {name: self._held(f"{name}=", value) for name, value in kwargs.items()}

    def _held(self, path: str, value: Any) -> Any:
        if isinstance(value, Tensor):
            if id(value) not in self.tensors:
                self.tensors[id(value)] = _Argument(path, value)
            return self.tensors[id(value)]
        return _mapped(value, lambda key, part: self._held(f"{path}[{key!r}]", part))

    def again(self) -> tuple[list[Any], dict[str, Any]]:
        """Give the arguments as they were."""
        made = {id(held): held.tensor() for held in self.tensors.values()}
        return _given(self.args, made), _given(self.kwargs, made)

    def overwritten(self) -> tuple[str, Version, int] | None:
        """An argument that was written in place since: where it stands, its version and the count that was kept."""
        return next(((held.path, *held.write) for held in self.tensors.values() if held.write), None)

    def refuse_writes(self, name: str) -> None:
        """Raise if the call wrote to an argument."""
        found = self.overwritten()
        if found is not None:
            path, version, _ = found
            raise AutogradError(
                f"checkpoint: {name} wrote to its argument {path} in place ({_by(version)}), so it cannot be run "
                f"again by backward; write to x.clone() inside the function, or use the out-of-place form"
            )

    def refuse_overwritten(self, name: str) -> None:
        """Raise if an argument was written to after the call."""
        found = self.overwritten()
        if found is not None:
            path, version, count = found
            raise AutogradError(
                f"checkpoint: argument {path} of {name} was overwritten by an in-place operation ({_by(version)}) "
                f"before backward could run {name} again: it is at version {version.count}, and version "
                f"{count} was kept. Use the out-of-place form, or x.clone() before the write"
            )


def _given(value: Any, made: dict[int, Tensor]) -> Any:
    """A container with tensors in place of what held them."""
    return made[id(value)] if type(value) is _Argument else _mapped(value, lambda _, part: _given(part, made))


def _by(version: Version) -> str:
    return getattr(version, "by", None) or "a write"


def _mapped(value: Any, change: Callable[[Any, Any], Any]) -> Any:
    """A container with ``change(key, part)`` in place of its parts; anything else as it is."""
    kind = type(value)
    if kind is dict:
        return {key: change(key, part) for key, part in value.items()}
    if kind is list or kind is tuple:
        return kind(change(i, part) for i, part in enumerate(value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        made = [change(i, part) for i, part in enumerate(value)]
        return kind._make(made) if hasattr(kind, "_make") else kind(*made)
    return value


# The call ---------------------------------------------------------------------------------------------------------


class _Kept(NamedTuple):
    """An array that a node of the first run kept: by whom, and what it was like."""

    keeper: str
    shape: tuple[int, ...]
    dtype: Any
    device: Device
    line: str
    uses: list[weakref.ref[_Use]]

    def __str__(self) -> str:
        kind = self.device.dtypes.get(self.dtype, self.dtype)
        return f"{getattr(kind, 'name', kind)} of shape {tuple(self.shape)} on {self.device.where}, by {self.keeper}"


class _Use:
    """What stands for an array in one node: filled when the call ran again, and empty once opened.

    So a graph that is gone through several times holds the arrays only while it is.
    """

    __slots__ = ("call", "array", "__weakref__")

    def __init__(self, call: _Call) -> None:
        self.call, self.array = call, None


def _open(use: _Use) -> Any:
    """Give the array of a use."""
    with use.call.lock:
        if use.array is None:
            use.call.run_again()
        array, use.array = use.array, None
    return array


class _Call:
    """One call that can be run again.

    Attributes
    ----------
    kept : list of _Kept
        What its nodes kept, in order.
    depth : int
        How many transforms were in progress. Those that the function begins are over when it returns, and so are the
        graphs in them: these keep what they keep, and nothing is to be made again for them.
    complete : bool
        Whether the first run has ended: what it computes may use `autograd.grad` itself.
    states : States
        The generators that it used, as they were before.
    """

    __slots__ = (
        *("function", "name", "arguments", "options", "context", "kept", "complete", "states", "lock"),
        *("packs", "depth"),
    )

    def __init__(
        self, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], options: Options
    ) -> None:
        watch: Any = watched()
        self.function, self.options = function, options
        self.name = getattr(function, "__qualname__", None) or type(function).__qualname__
        self.packs = watch is not None and watch.pack is not None
        self.arguments = _Arguments(args, kwargs)
        self.context = copy_context()  # such as the default device
        self.kept: list[_Kept] = []
        self.depth = len(active())
        self.complete = False
        self.states = States()
        self.lock = threading.RLock()

    def note_draw(self, generator: Generator) -> None:
        """Note a generator that the first run is about to use."""
        if self.options.preserves_random_state:
            self.states.note(generator)
        elif self.options.checks:
            raise AutogradError(
                f"checkpoint: {self.name} draws random numbers, and with preserve_rng_state=False backward would run "
                f"it again with others, so that the gradient is of another function. Leave preserve_rng_state=False "
                f"out; with determinism_check='none' the other numbers are accepted"
            )

    def run_again(self) -> None:
        """Fill the uses that are empty."""
        self.arguments.refuse_overwritten(self.name)
        args, kwargs = self.arguments.again()
        second = _Second(self)
        try:
            self.context.copy().run(self._run, second, args, kwargs)
        except AutogradError:
            raise
        except Exception as error:
            error.add_note(f"while {self.name} was run again by backward, for polyad.utils.checkpoint")
            raise
        second.finish()

    def _run(self, second: _Second, args: list[Any], kwargs: dict[str, Any]) -> None:
        for variable, value in plugins.calm:
            variable.set(value)
        with self.states.replayed(), switched(pack=second, since=next_sequence()), self.options.again:
            try:
                self.function(*args, **kwargs)
            except _Enough:
                pass


class _First:
    """What stands in the nodes of the first run for the arrays they keep."""

    __slots__ = ("call", "start", "given", "known")
    guarded = True

    def __init__(self, call: _Call) -> None:
        self.call, self.start = call, next_sequence()
        self.given = {id(held.kept) for held in call.arguments.tensors.values()}
        self.known: dict[Any, tuple[weakref.ref[Any], _Kept]] = {}

    def __call__(self, array: Any, device: Device, keeper: str, tensor: Any) -> Any:
        """Note an array."""
        call = self.call
        if device.depth > call.depth:
            return array
        kept = _Kept(keeper, array.shape, array.dtype, device, here() if call.options.debug else "", [])
        call.kept.append(kept)
        if self._is_outside(array, tensor):
            return array
        use = _Use(call)
        self._earlier(array, tensor, kept).uses.append(weakref.ref(use))
        return Packed(use, _open)

    def _is_outside(self, array: Any, tensor: Any) -> bool:
        """Whether an array is not of the call's own making, so that it is kept as without checkpoint.

        Where somebody packs what is kept outside, only parameters are: they are alive anyway.
        """
        edge = getattr(tensor, "_node", None)
        if edge is not None and edge.seq < self.start and (type(edge) is AccumulateGrad or not self.call.packs):
            return True
        return id(array) in self.given

    def _earlier(self, array: Any, tensor: Any, kept: _Kept) -> _Kept:
        """Give what was noted of the same array before, if it was not written to since: the earlier the better."""
        version = getattr(tensor, "_writes", None)
        if version is None:
            return kept
        key = id(array), version, version.count
        known = self.known.get(key)
        if known is not None and known[0]() is array:
            return known[1]
        with suppress(TypeError):  # of a library whose arrays take no such references
            self.known[key] = weakref.ref(array), kept
        return kept


class _Enough(BaseException):
    """Ends a run; not an Exception, so that the function's own handlers let it through."""


class _Second:
    """What looks at the arrays that the nodes of the second run keep, and takes those that are waited for."""

    __slots__ = ("call", "waiting", "last", "count", "failure")
    guarded = True

    def __init__(self, call: _Call) -> None:
        self.call, self.count = call, 0
        self.failure: AutogradError | None = None
        self.waiting: dict[int, list[_Use]] = {}
        for i, kept in enumerate(call.kept):
            uses = [use for reference in kept.uses if (use := reference()) is not None and use.array is None]
            if uses:
                self.waiting[i] = uses
        self.last = max(self.waiting)

    def __call__(self, array: Any, device: Device, keeper: str, tensor: Any) -> Any:
        """Take an array. What fails here fails again if it is caught."""
        if self.failure is not None:
            raise self.failure
        i, call = self.count, self.call
        if device.depth > call.depth:
            return array
        self.count += 1
        if i < len(call.kept):
            if call.options.checks:
                self._compare(i, _Kept(keeper, array.shape, array.dtype, device, self._line(), []))
            for use in self.waiting.pop(i, ()):
                use.array = array
        if i >= self.last and call.options.stops_early:
            raise _Enough
        return array

    def _line(self) -> str:
        return here() if self.call.options.debug else ""

    def _compare(self, i: int, found: _Kept) -> None:
        kept = self.call.kept[i]
        if found[:4] != kept[:4]:
            lines = f"\nFirst it was at\n{kept.line}and now at\n{found.line}" if found.line else ""
            self._fail(f"kept another tensor {i} than before: {found}; the first time it was {kept}", lines)

    def finish(self) -> None:
        """Raise if something is missing."""
        call, first = self.call, len(self.call.kept)
        if self.failure is not None:
            raise self.failure
        if self.waiting:
            i = min(self.waiting)
            self._fail(f"kept {self.count} tensors, and {first} the first time: tensor {i} is missing, {call.kept[i]}")
        if call.options.checks and not call.options.stops_early and call.complete and self.count != first:
            self._fail(f"kept {self.count} tensors, and {first} the first time")

    def _fail(self, what: str, lines: str = "") -> None:
        self.failure = AutogradError(f"checkpoint: {self.call.name}, run again by backward, {what}. {_SAME}{lines}")
        raise self.failure


_SAME: Final = (
    "The function must do the same both times: have it depend on its arguments, and on nothing that changes in between "
    "(flags, counters, random numbers that are not polyad's); debug=True shows the lines"
)
