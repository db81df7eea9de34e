"""Whether operations are recorded: `no_grad`, `enable_grad`, `set_grad_enabled`.

The mode is a context variable, so threads and asyncio tasks each have their own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, TypeVar

from .scoped import scoped

__all__ = ["enable_grad", "is_grad_enabled", "no_grad", "set_grad_enabled"]

F = TypeVar("F", bound=Callable[..., Any])

_recording: ContextVar[bool] = ContextVar("polyad_recording", default=True)
recording = _recording.get  # read by every operation that has an operand with history


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require gradients are recorded now.

    Examples
    --------
    >>> import polyad as ad
    >>> with ad.no_grad():
    ...     ad.is_grad_enabled()
    False
    """
    return recording()


class _GradMode:
    """A context manager and decorator that sets the mode and puts back what was."""

    __slots__ = ("_tokens",)
    mode: bool

    def __init__(self) -> None:
        self._tokens: list[Token[bool]] = []  # a stack: the same object may be entered twice

    def __enter__(self) -> None:
        self._tokens.append(_recording.set(self.mode))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _recording.reset(self._tokens.pop())

    def __call__(self, function: F) -> F:
        """Have ``function`` run in this mode."""
        return scoped(function, _recording, self.mode)


class _Plain(_GradMode):
    """A mode that may be written without parentheses as a decorator: ``@no_grad``."""

    __slots__ = ()

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        self = super().__new__(cls)
        if function is None:
            return self
        _GradMode.__init__(self)
        return _GradMode.__call__(self, function)


class no_grad(_Plain):  # noqa: N801 - the name is PyTorch's
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

    __slots__ = ()
    mode = False


class enable_grad(_Plain):  # noqa: N801 - the name is PyTorch's
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

    __slots__ = ()
    mode = True


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
        super().__init__()
        self.mode = bool(mode)
        super().__enter__()  # takes effect as a plain call, too
        self._fresh = True

    def __enter__(self) -> None:
        if not self._fresh:
            super().__enter__()
        self._fresh = False

    def __call__(self, function: F) -> F:
        """Have ``function`` run in this mode, and take back the switch made now."""
        _recording.reset(self._tokens.pop())  # as a decorator it acts inside the function alone
        return super().__call__(function)
