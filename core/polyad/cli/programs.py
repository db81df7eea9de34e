"""A user's function, and what it is called with, as the command line names them."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import click

from ..dtypes import as_dtype
from ..errors import BackendError, DTypeError, PolyadError
from ..ops.generators import Generator
from ..ops.random import randn
from .console import mistake

__all__ = ["HOW_INPUTS_ARE_GIVEN", "arguments_of", "load", "parse_shapes", "plainly", "random_tensors"]

HOW_INPUTS_ARE_GIVEN = """\b
PROGRAM is module:function or path/to/file.py:function. Its arguments are, the first of these that there is:
  --args NAME     an attribute of the same module, or module:name of another:
                  a tuple of arguments, or a function that returns it
  --shapes        tensors of these shapes, as in --shapes "3,4 5 ()"
  function_args   an attribute of the module named after the function,
  args            or one that is called so: a tuple, or a function
  nothing         if the function takes nothing
"""


def load(program: str) -> tuple[Any, str, Callable[..., Any]]:
    """Import what ``module:function`` names: the module, the function's name and the function.

    Raises
    ------
    click.BadParameter
        If there is none; the message says what was looked for.
    """
    where, colon, name = program.rpartition(":")
    if not colon or not where or not name:
        raise mistake("program", f"{program!r} is not module:function or path/to/file.py:function.")
    module = _module(where)
    return module, name, _attribute(module, name, "program", callable_=True)


def _module(where: str) -> ModuleType:
    if where.endswith(".py"):
        if not os.path.isfile(where):
            raise mistake("program", f"there is no file {where!r}.")
        spec = importlib.util.spec_from_file_location(os.path.basename(where)[:-3], where)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(spec.name, module)
        spec.loader.exec_module(module)
        return module
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` has it
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name is None or not where.startswith(error.name):
            raise  # the module is there, and lacks something itself
        raise mistake("program", f"there is no module {where!r} here; write a path for a file elsewhere.") from error


def _attribute(module: Any, name: str, option: str, callable_: bool = False) -> Any:
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise mistake(option, f"module {module.__name__!r} has no {name!r}.")
    if callable_ and not callable(found):
        raise mistake(option, f"{name!r} of module {module.__name__!r} is no function, but a {type(found).__name__}.")
    return found


def arguments_of(module: Any, name: str, function: Callable[..., Any], given: str | None) -> Any:
    """Find a function's arguments where they were not given as shapes: a tuple.

    Raises
    ------
    click.BadParameter, click.UsageError
        If there are none; the message says how they may be given.
    """
    if given is not None:
        where, colon, attribute = given.rpartition(":")
        found = _attribute(_module(where) if colon else module, attribute, "args")
        return _as_tuple(found)
    for attribute in (f"{name}_args", "args"):
        found = getattr(module, attribute, None)
        if found is not None:
            return _as_tuple(found)
    if _takes_nothing(function):
        return ()
    context = click.get_current_context()
    raise click.UsageError(
        f'{name}{inspect.signature(function)} needs arguments: write --shapes "3,4 5" for tensors of shapes, or '
        f"--args NAME for a tuple in the module, or name one {name}_args there.",
        context,
    )


def _as_tuple(found: Any) -> tuple[Any, ...]:
    made = found() if callable(found) else found
    return tuple(made) if isinstance(made, (list, tuple)) else (made,)


def _takes_nothing(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return True


def parse_shapes(text: str) -> list[tuple[int, ...]]:
    """Read shapes: ``"3,4 5 ()"`` is ``(3, 4)``, ``(5,)`` and ``()``.

    Raises
    ------
    click.BadParameter
        If it is nothing of the kind.
    """
    shapes = []
    for word in text.split():
        if not re.fullmatch(r"\(\)|\d+(,\d+)*", word):
            raise mistake(
                "shapes", f'{word!r} is no shape; write lengths with commas, as in "3,4 5", and () for a number.'
            )
        shapes.append(tuple(int(n) for n in re.findall(r"\d+", word)))
    return shapes


def random_tensors(shapes: list[tuple[int, ...]], dtype: str, seed: int) -> tuple[Any, ...]:
    """Make normally distributed tensors on the default device.

    Raises
    ------
    click.BadParameter
        If the type is no floating-point type.
    """
    try:
        wanted = as_dtype(dtype)
        if not wanted.is_differentiable:
            raise DTypeError(f"{wanted.name} is no floating-point type")
    except DTypeError as error:
        raise mistake("dtype", str(error)) from error
    generator = Generator().manual_seed(seed)
    made = [randn(*shape, generator=generator).astype(wanted) for shape in shapes]
    return tuple(x * (1 + 0.5j) if wanted.is_complex else x for x in made)


def plainly(error: PolyadError, command: str) -> None:
    """Say what is wrong with the command in one line, and leave what the user's program raises as it is.

    Raises
    ------
    click.ClickException
        In place of errors of the command itself.
    """
    if isinstance(error, BackendError) or str(error).startswith(f"{command}:"):
        raise click.ClickException(str(error)) from error
    raise error
