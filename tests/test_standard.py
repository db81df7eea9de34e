"""polyad has every name of the array API standard, and each can be called in every way that the standard allows.

What the functions compute is for the official suite: `tests/conformance/array_api_suite.sh`.
"""

import importlib
import inspect
import math
import re
from pathlib import Path
from typing import Any

import array_api_2025_12 as standard
import pytest

import polyad as ad


def signatures(lines: str) -> dict[str, inspect.Signature]:
    """Signatures by name, of lines such as ``sum(x, /, *, axis=None)``."""
    found = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        name, _, parameters = line.partition("(")
        scope: dict[str, Any] = {}
        exec(f"def function({parameters}: pass", scope)
        found[name] = inspect.signature(scope["function"])
    return found


FUNCTIONS = signatures(standard.FUNCTIONS)


def public(name: str) -> Any:
    found: Any = ad
    for part in name.split("."):
        found = getattr(found, part)
    return found


def incompatible(ours: inspect.Signature, theirs: inspect.Signature) -> list[str]:
    """Calls that the standard allows and a signature does not."""
    parameters = list(theirs.parameters.values())
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = [p for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    calls = {
        "with what is required": (
            [p for p in by_position if p in required],
            [p for p in required if p.kind is p.KEYWORD_ONLY],
        ),
        "with all, by position": (by_position, [p for p in named if p.kind is p.KEYWORD_ONLY]),
        "with all, by name": ([p for p in by_position if p.kind is p.POSITIONAL_ONLY], named),
    }
    wrong = []
    for words, (positions, names) in calls.items():
        try:
            bound = ours.bind(*positions, *([None, None] if variadic else []), **{p.name: p for p in names})
        except TypeError as error:
            wrong.append(f"{words}: {error}")
            continue
        wrong += [f"{p.name} by name means something else" for p in names if bound.arguments.get(p.name, p) is not p]
    for p in named:
        have = ours.parameters.get(p.name)
        if have is not None and p.default is not p.empty and have.default != p.default:
            wrong.append(f"{p.name} is {have.default!r} by default; in the standard {p.default!r}")
    return wrong


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    function = public(name)
    assert callable(function)
    assert not incompatible(inspect.signature(function), FUNCTIONS[name]), inspect.signature(function)


@pytest.mark.parametrize("name", METHODS := signatures(standard.METHODS))
def test_method(name: str) -> None:
    method = inspect.signature(getattr(ad.Tensor, name))
    bound = method.replace(parameters=list(method.parameters.values())[1:])
    assert not incompatible(bound, METHODS[name]), method


@pytest.mark.parametrize("name", standard.OPERATORS)
def test_operator(name: str) -> None:
    for prefix in ("", "r", "i"):
        assert callable(getattr(ad.Tensor, f"__{prefix}{name}__"))


def test_comparisons_and_attributes() -> None:
    for name in standard.COMPARISONS:
        assert callable(getattr(ad.Tensor, f"__{name}__"))
    x = ad.ones(2, 3)
    for name in standard.ATTRIBUTES:
        assert hasattr(x, name)


def test_constants_and_types() -> None:
    for name, value in standard.CONSTANTS.items():
        found = getattr(ad, name)
        assert found == value or (math.isnan(found) and math.isnan(value))
    for name in standard.DTYPES.split():
        assert getattr(ad, name).name == name
    assert ad.__array_api_version__ == "2025.12"


@pytest.mark.parametrize("name", standard.RESULTS)
def test_results_have_names(name: str) -> None:
    assert public(name)(ad.eye(2))._fields == standard.RESULTS[name]


def test_the_list_is_that_of_array_api_strict() -> None:
    strict = pytest.importorskip("array_api_strict")
    if strict.__array_api_version__ != "2025.12":
        pytest.skip("another version of the standard")
    for prefix, module in (("", strict), ("linalg.", strict.linalg), ("fft.", strict.fft)):
        theirs = {prefix + n for n in module.__all__ if inspect.isfunction(getattr(module, n))}
        theirs = {n for n in theirs if "strict" not in n}
        ours = {n for n in FUNCTIONS if n.rpartition(".")[0] == prefix.rstrip(".") and not n.startswith("__")}
        theirs -= {"__array_namespace_info__"}
        assert theirs <= ours
        for name in ours:
            parameters = inspect.signature(getattr(module, name.removeprefix(prefix))).parameters.values()
            assert [(p.name, p.kind) for p in parameters] == [
                (p.name, p.kind) for p in FUNCTIONS[name].parameters.values()
            ]


def test_the_standard_is_enough() -> None:
    """What is beyond the standard is written in functions of the standard: see `polyad.backend.Backend`."""
    pytest.importorskip("array_api_strict")
    from strict_backend import StrictBackend

    backend = StrictBackend()
    lacking = set()
    for name, record in ad.FUNCTIONS.items():
        try:
            backend.resolve(record, backend.devices[0])
        except ad.errors.BackendError:
            lacking.add(name)
    # SciPy's functions, and LAPACK's exchange of rows, which the standard has not
    assert {n for n in lacking if not n.startswith("special.")} == {"linalg.lu"}


CORE = Path(ad.__file__).parent
EXPORTED = [
    (home, chapter)
    for home in ("__init__", "linalg", "fft", "random")
    if (CORE / f"{home}.py").exists()
    for chapter in re.findall(r"^from \.(ops\.\w+) import \*$", (CORE / f"{home}.py").read_text(), re.MULTILINE)
]


@pytest.mark.parametrize(("home", "chapter"), EXPORTED)
def test_no_chapter_hides_a_name_of_another(home: str, chapter: str) -> None:
    module = importlib.import_module(f"polyad.{chapter}")
    there = ad if home == "__init__" else getattr(ad, home)
    for name in module.__all__:
        assert getattr(there, name) is getattr(module, name), name


def test_functions_are_where_their_names_say() -> None:
    missing = []
    for name, record in ad.FUNCTIONS.items():
        try:
            found = public(name)
        except AttributeError:
            missing.append(name)
            continue
        assert getattr(found, "function", record) is record, name
    assert set(missing) <= INTERNAL


INTERNAL = {"random.gamma_slope", "random.log_gamma", "linalg._tall_qr", "linalg._thin_svd", "nn._where_positive"}
"""Steps of others' derivatives."""
