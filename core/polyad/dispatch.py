"""Defining a function: from a signature, a docstring and rules to a record and a call specialised for its form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from .calls import specialise
from .docstrings import complete
from .function import Call, Function, Rule, Sample
from .views import View

__all__ = ["function"]

R = TypeVar("R")


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
        call: Any = specialise(made)
        call.__name__ = definition.__name__
        call.__qualname__ = made.name
        call.__module__ = definition.__module__
        call.__doc__ = complete(made)
        call.__signature__ = made.signature
        call.function = made
        made.call = call
        return cast("Call[R]", call)

    return define
