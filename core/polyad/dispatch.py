"""Defining a function: from a signature, a docstring and rules to a record and a call specialised for its form."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from .calls import specialise
from .careful import named
from .docstrings import complete
from .function import Call, Function, Rule, Sample
from .views import View

__all__ = ["facade", "function"]

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


def function(
    *,
    name: str | None = None,
    check: Callable[..., dict[str, Any]] | None = None,
    outputs: int | Sequence[str] = 1,
    takes: str = "any",
    gives: str | tuple[str, ...] = "same",
    promotes: Sequence[int] | None = None,
    broadcasts: bool = False,
    elementwise: bool = False,
    jvp: Callable[..., Any] | str | None = None,
    batching: Callable[..., Any] | None = None,
    differentiable: bool = True,
    standard: bool = False,
    prepare: bool = True,
    sequence: bool = False,
    accumulates: bool = False,
    wide: bool = False,
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
    outputs : int or sequence of str
        How many arrays are returned; 0 for a tuple of any length. Names make the result a tuple with those names.
    takes : str
        Data types taken: ``"any"``, ``"numeric"``, ``"real"``, ``"floating"``, ``"real floating"``, ``"complex"``,
        ``"float32 or float64"``, ``"integer"``, ``"integer or bool"``, ``"bool"``. For floating ones, integers and
        bools become float32.
    gives : str or tuple of str
        The result's type, or that of each: ``"same"`` as the arrays', ``"bool"``, ``"int64"``, ``"real"`` (the real
        type of a complex one), ``"complex"`` (the complex type of a real one), ``"given"`` (the parameter ``dtype``).
    promotes : sequence of int, optional
        The arrays brought to one type; all of them by default.
    broadcasts : bool
        Whether arrays are broadcast against each other; their gradients are then summed back.
    elementwise : bool
        Whether each element of the result depends on the elements at its place alone, after broadcasting. Forward mode
        and `vmap` then follow.
    jvp : callable or str, optional
        The derivative in forward mode, where it does not follow, or not fast enough, from rules or body: ``"linear"``,
        ``"multilinear"`` or a function; see `polyad.Function`.
    batching : callable, optional
        How `vmap` computes it for many examples at once, where that does not follow from the body; one of
        `polyad.batching`.
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
    wide : bool
        Whether float16 and bfloat16 are computed in float32 and rounded once at the end.
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
            elementwise=elementwise,
            jvp=jvp,
            batching=batching,
            differentiable=differentiable,
            standard=standard,
            prepare=prepare,
            sequence=sequence,
            accumulates=accumulates,
            wide=wide,
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


def facade(made: Call[Any]) -> Callable[[F], F]:
    """Make a definition what users call in a function's place: a decorator.

    For signatures that a record cannot have: arrays by keyword, arguments that decide which function is called,
    results that are views. It takes parameters by position too, and by PyTorch's names, as every function does.

    Parameters
    ----------
    made : callable
        The function, made by `function`; the definition calls it.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.clip.function, ad.clip is ad.clip.function.call
    (<polyad function 'clip' of polyad>, True)
    """
    record = made.function

    def attach(definition: F) -> F:
        parameters = inspect.signature(definition).parameters.values()
        keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            count = 1 << 30
        else:
            count = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)

        @wraps(definition)
        def call(*args: Any, **params: Any) -> Any:
            if params or len(args) > count:
                params = named(record, keywords, args[count:], params)
                args = args[:count]
            return definition(*args, **params)

        call.function = record  # type: ignore[attr-defined]
        record.call = call
        return cast("F", call)

    return attach
