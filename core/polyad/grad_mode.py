"""Whether operations are recorded: `no_grad`, `enable_grad`, `set_grad_enabled`, `inference_mode`.

The mode is a context variable, so threads and asyncio tasks each have their own. It is True, False, or the `Watch`
that is switched on: what is done with a node once it is made. So whoever reads it finds all in one look-up.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Protocol, TypeVar, overload

from .scoped import scoped

__all__ = [
    "Watch",
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
    "watching",
]

F = TypeVar("F", bound=Callable[..., Any])


class Watch(Protocol):
    """What is done with every node that is recorded, beyond recording it (see `polyad.autograd.watches`)."""

    def watch(self, node: Any, operands: Any, result: Any) -> None:
        """Look at a node that was just made of operands and a result, or change what it keeps."""


_recording: ContextVar[bool | Watch] = ContextVar("polyad_recording", default=True)
_watch: ContextVar[Watch | None] = ContextVar("polyad_watch", default=None)
_inferring: ContextVar[bool] = ContextVar("polyad_inferring", default=False)
_set, _reset = _recording.set, _recording.reset
recording = _recording.get  # read by every operation that has an operand with history
watched = _watch.get

_ever_watched = False
"""Whether any watch was switched on in this process. Until then the mode that a block found is the one to put back."""


def mode_of(enabled: bool) -> bool | Watch:
    """The mode for recording or not, beside the watch that is switched on."""
    return enabled and (_watch.get() or True)


def _settle() -> None:
    """Have the mode name the watch that is on now: a block may have put back one that was on when it began."""
    mode = _recording.get()
    if mode is not False and mode is not (right := _watch.get() or True):
        _recording.set(right)


def _put_back(token: Token[bool | Watch]) -> None:
    """Take back a mode, and leave what is watched as it is."""
    _reset(token)
    if _ever_watched:
        _settle()


class watching:  # noqa: N801 - used as a statement, as the others here
    """A block in which a watch sees every node that is recorded. The mode that is set inside stays after it.

    Parameters
    ----------
    watch : Watch or None
    back : callable
        ``back(current, before)`` gives the watch for after the block, where another than ``watch`` was switched on
        inside and is to stay.
    """

    __slots__ = ("back", "before", "watch")

    def __init__(self, watch: Watch | None, back: Callable[[Watch | None, Watch | None], Watch | None]) -> None:
        self.watch, self.back = watch, back

    def __enter__(self) -> None:
        global _ever_watched
        _ever_watched = True
        self.before = _watch.get()
        _watch.set(self.watch)
        _settle()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current = _watch.get()
        _watch.set(self.before if current is self.watch else self.back(current, self.before))
        _settle()


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require gradients are recorded now.

    Examples
    --------
    >>> import polyad as ad
    >>> with ad.no_grad():
    ...     ad.is_grad_enabled()
    False
    """
    return recording() is not False


class _GradMode:
    """A context manager and decorator that sets the mode and puts back what was."""

    __slots__ = ("_entered",)
    mode: bool
    _entered: tuple[Token[bool | Watch], Any] | None  # linked: the same object may be entered twice

    def __enter__(self) -> None:
        self._entered = _set(mode_of(self.mode)), self._entered

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        token, self._entered = self._entered  # type: ignore[misc]
        try:
            _reset(token)
        except ValueError:
            pass  # left in another context, as generators may be: the mode there was not changed
        if _ever_watched:
            _settle()

    def __call__(self, function: F) -> F:
        """Have ``function`` run in this mode."""
        return scoped(function, _recording, lambda: mode_of(self.mode), _put_back)


class _Off(_GradMode):
    """What `no_grad` gives."""

    __slots__ = ()
    mode = False

    def __enter__(self) -> None:  # the usual one, in fewer steps
        self._entered = _set(False), self._entered


class _On(_GradMode):
    """What `enable_grad` gives."""

    __slots__ = ()
    mode = True


# Functions, not classes: an object of a class that takes no arguments is made in less time.


@overload
def no_grad() -> _GradMode: ...
@overload
def no_grad(function: F) -> F: ...
def no_grad(function: Any = None) -> Any:
    """Do not record operations: a context manager and a decorator.

    Results made inside do not require gradients, and leaves may be written in place.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(2, requires_grad=True)
    >>> with ad.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """
    block = _Off()
    block._entered = None
    return block if function is None else block(function)


@overload
def enable_grad() -> _GradMode: ...
@overload
def enable_grad(function: F) -> F: ...
def enable_grad(function: Any = None) -> Any:
    """Record operations again inside `no_grad`: a context manager and a decorator.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(2, requires_grad=True)
    >>> with ad.no_grad(), ad.enable_grad():
    ...     y = x * 2
    >>> y.requires_grad
    True
    """
    block = _On()
    block._entered = None
    return block if function is None else block(function)


class inference_mode(_GradMode):  # noqa: N801 - the name is PyTorch's
    """Do not record operations: `no_grad` under the name that programs for inference use.

    In PyTorch, tensors made inside are of a kind of their own, which cannot be used in recorded operations later.
    Here they are ordinary tensors that require no gradient, and may be.

    Parameters
    ----------
    mode : bool
        False for a block that is no such block, and in which operations are recorded, wherever it is.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(2, requires_grad=True)
    >>> with ad.inference_mode():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    __slots__ = ("_outer", "inferring")
    _outer: list[Token[bool]]
    inferring: bool

    def __new__(cls, mode: Any = True) -> Any:
        """Take a function, too: as a decorator without parentheses."""
        self = super().__new__(cls)
        self._entered = None
        self.inferring, self._outer = callable(mode) or bool(mode), []
        return self(mode) if callable(mode) else self

    @property
    def mode(self) -> bool:  # type: ignore[override]  # follows from the other
        """Whether operations are recorded."""
        return not self.inferring

    def __enter__(self) -> None:
        super().__enter__()
        self._outer.append(_inferring.set(self.inferring))

    def __exit__(self, *error: Any) -> None:
        _inferring.reset(self._outer.pop())
        super().__exit__(*error)

    def __call__(self, function: F) -> F:
        """Have ``function`` run in this mode."""
        return scoped(super().__call__(function), _inferring, lambda: self.inferring)


def is_inference_mode_enabled() -> bool:
    """Whether the program is inside `inference_mode`.

    Examples
    --------
    >>> import polyad as ad
    >>> with ad.inference_mode():
    ...     ad.is_inference_mode_enabled()
    True
    """
    return _inferring.get()


class set_grad_enabled(_GradMode):  # noqa: N801 - the name is PyTorch's
    """Switch recording on or off, at once or for a block; also a decorator.

    Parameters
    ----------
    mode : bool
        True to record, False not to.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(2, requires_grad=True)
    >>> with ad.set_grad_enabled(False):
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    __slots__ = ("_fresh", "mode")

    def __init__(self, mode: bool) -> None:
        self.mode, self._entered = bool(mode), None
        super().__enter__()  # takes effect as a plain call, too
        self._fresh = True

    def __enter__(self) -> None:
        if not self._fresh:
            super().__enter__()
        self._fresh = False

    def __call__(self, function: F) -> F:
        """Have ``function`` run in this mode, and take back the switch made now."""
        self.__exit__(None, None, None)  # as a decorator it acts inside the function alone
        return super().__call__(function)


class set_multithreading_enabled:  # noqa: N801 - the name is PyTorch's
    """Taken for PyTorch's sake: backward runs in the thread that calls it, so there are no others to switch off.

    Parameters
    ----------
    mode : bool

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor(3.0, requires_grad=True)
    >>> with ad.autograd.set_multithreading_enabled(False):
    ...     (x * 2).backward()
    """

    __slots__ = ("mode",)

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, function: F) -> F:
        """Give the function as it is."""
        return function
