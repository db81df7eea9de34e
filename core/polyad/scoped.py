"""Functions that run with a context variable set: how `no_grad` and `use_backend` serve as decorators."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Generator
from contextvars import ContextVar, Token
from typing import Any, TypeVar, cast

__all__ = ["scoped"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


def scoped(
    function: F,
    variable: ContextVar[T],
    value: Callable[[], T],
    reset: Callable[[Token[T]], None] | None = None,
) -> F:
    """Give ``function`` such that ``variable`` has what ``value()`` gives while it runs, and its old value outside.

    Coroutine functions are covered until they return, generator functions while they run between two yields.
    ``reset(token)`` puts the old value back, if it is to be done otherwise than by the variable itself.
    """
    wrapper: Any
    back = variable.reset if reset is None else reset
    if inspect.iscoroutinefunction(function):

        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            token = variable.set(value())
            try:
                return await function(*args, **kwargs)
            finally:
                back(token)

    elif inspect.isgeneratorfunction(function):

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return (yield from _Steps(function(*args, **kwargs), variable, value, back))

    else:

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            token = variable.set(value())
            try:
                return function(*args, **kwargs)
            finally:
                back(token)

    return cast("F", functools.wraps(function)(wrapper))


class _Steps(Generator[Any, Any, Any]):
    """A generator each step of which runs with a context variable set."""

    def __init__(
        self,
        inner: Generator[Any, Any, Any],
        variable: ContextVar[Any],
        value: Callable[[], Any],
        back: Callable[[Any], None],
    ) -> None:
        self._inner, self._variable, self._value, self._back = inner, variable, value, back

    def _step(self, advance: Callable[..., Any], *args: Any) -> Any:
        token = self._variable.set(self._value())
        try:
            return advance(*args)
        finally:
            self._back(token)

    def send(self, value: Any) -> Any:
        """Run to the next yield."""
        return self._step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        """Run to the next yield from an exception."""
        return self._step(self._inner.throw, *error)

    def close(self) -> None:
        """Run what the generator does at its end."""
        self._step(self._inner.close)
