"""Runs the examples in the docstrings of everything that polyad and its plugins bring.

Registered functions are made by a decorator, so doctest's own search, which looks at where a function's code is,
passes them by. Here they are taken from the registry and from what the modules and classes hold.
"""

import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import polyad as ad
from polyad.function import FUNCTIONS

PACKAGES = ("polyad", "polyad_numpy", "polyad_nn", "polyad_special")  # all that can be imported without JAX and CuPy


def modules() -> Iterator[ModuleType]:
    for name in PACKAGES:
        package = importlib.import_module(name)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def documented(owner: Any, name: str) -> Iterator[tuple[str, Any]]:
    """What is defined in a module or class, and in its classes in turn."""
    for key, value in vars(owner).items():
        called = getattr(value, "__func__", getattr(value, "fget", value))  # class methods and properties
        if not getattr(called, "__doc__", None) or not callable(called):
            continue
        if inspect.isclass(value):
            if value.__module__ == getattr(owner, "__name__", None):
                yield f"{name}.{key}", value
                yield from documented(value, f"{name}.{key}")
        elif inspect.isclass(owner) or getattr(called, "__module__", None) == owner.__name__:
            yield f"{name}.{key}", called


def examples() -> dict[str, str]:
    """``name -> docstring`` of all that has examples, each text once."""
    ad.plugins.load_all()
    found: dict[str, str] = {}
    for module in modules():
        found[module.__name__] = module.__doc__ or ""
        found |= {name: inspect.getdoc(value) or "" for name, value in documented(module, module.__name__)}
    found |= {f"polyad.{name}": inspect.getdoc(f.call) or "" for name, f in FUNCTIONS.items()}
    texts = {text: name for name, text in found.items() if ">>>" in text}
    return {name: text for text, name in texts.items()}


EXAMPLES = examples()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name: str) -> None:
    if '"jax"' in EXAMPLES[name]:
        pytest.importorskip("jax", reason="its example is of two backends")
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    report: list[str] = []
    with ad.use_backend("numpy"):
        runner.run(parser.get_doctest(EXAMPLES[name], {}, name, None, 0), out=report.append)
    assert not runner.failures, "".join(report)


def test_examples_are_found() -> None:
    assert {"polyad", "polyad.exp", "polyad.tensor.Tensor.item", "polyad.grad_mode.no_grad"} <= set(EXAMPLES)


def test_every_public_function_has_an_example() -> None:
    public = {name: call for name, call in vars(ad).items() if callable(call) and hasattr(call, "function")}
    assert {"exp", "matmul", "clip"} <= set(public)
    assert [name for name, call in public.items() if ">>>" not in (call.__doc__ or "")] == []
