"""Every registered function is complete: samples, a call that fails, documentation, a derivative or its absence."""

import doctest
import inspect
from typing import Any

import pytest

import polyad as ad
from polyad.dtypes import CATEGORIES
from polyad.errors import PluginError
from polyad.function import FUNCTIONS, Function
from polyad.testing import Fails, Sample

ad.plugins.load_all()
RECORDS = [f for f in FUNCTIONS.values() if f.provider.partition(" ")[0] == "polyad"]
every_function = pytest.mark.parametrize("record", RECORDS, ids=lambda f: f.name)

NO_ARRAYS = "makes an array of parameters alone; tested in test_functions.test_creation"
WITHOUT_SAMPLES = {
    **dict.fromkeys(
        ("zeros", "ones", "empty", "full", "arange", "linspace", "eye", "zeros_like", "ones_like"), NO_ARRAYS
    ),
    "to_device": "its parameters are devices, which exist once a backend is loaded; test_functions.test_to_device",
}
ANY_ARRAY = "one array of any shape and type: there is nothing to refuse"
BY_KEY = "its key was checked when the brackets were parsed; tests of indexing"
WITHOUT_FAILURE = {
    **WITHOUT_SAMPLES,
    **dict.fromkeys(("clone", "conj", "detach", "logical_not", "nonzero", "isin", "isreal"), ANY_ARRAY),
    **dict.fromkeys(("unique_values", "unique_counts", "unique_inverse", "unique_all"), ANY_ARRAY),
    "_put_along_axis": "scatter and put_along_axis check their arguments; test_functions of scatter",
    "_masked_scatter": "masked_scatter checks its arguments; test_scatter",
    "_fold": "the transpose of unfold, which checks its arguments",
    **dict.fromkeys(("getitem", "slice_view", "setitem", "index_scatter"), BY_KEY),
}


def refuses(record: Function) -> bool:
    """Whether the kinds of types that a function takes leave some out, so that `test_result_type` sees it fail."""
    taken = CATEGORIES[record.takes]
    if "floating" in record.takes:
        taken |= CATEGORIES["integer or bool"]  # which become float32
    return taken != CATEGORIES["any"]


def broadcasts_two(record: Function) -> bool:
    """Whether the shared path refuses shapes that do not broadcast: see `test_shapes_that_do_not_broadcast`.

    A function with a check of its own has a sample of that.
    """
    return record.broadcasts and len(record.inputs) > 1 and record.check is None


@every_function
def test_has_samples(record: Function) -> None:
    working = [s for s in record.samples if not isinstance(s, Fails)]
    assert bool(working) != (record.name in WITHOUT_SAMPLES), WITHOUT_SAMPLES.get(record.name)


@every_function
def test_has_a_failure(record: Function) -> None:
    failing = [s for s in record.samples if isinstance(s, Fails)]
    known = bool(failing) or refuses(record) or broadcasts_two(record) or record.takes == "floating"
    assert known or record.name in WITHOUT_FAILURE
    assert all(s.match and issubclass(s.error, Exception) for s in failing)


@pytest.mark.parametrize("record", [f for f in RECORDS if broadcasts_two(f)], ids=lambda f: f.name)
def test_shapes_that_do_not_broadcast(record: Function) -> None:
    dtype = next(d for d in (ad.float32, ad.int64) if d in CATEGORIES[record.takes])
    operands = [ad.ones(2, 3, dtype=dtype), ad.ones(4, dtype=dtype), ad.ones(4, dtype=dtype)]
    with pytest.raises(ad.errors.ShapeError, match=record.name + r".* do not broadcast"):
        record.call(*operands[: len(record.inputs)])


def public(record: Function) -> Any:
    """What users call: polyad's attribute of the name, or of a method's or operator's."""
    found: Any = ad
    for part in record.name.split("."):
        found = getattr(found, part, None)
    return found or record.call


@every_function
def test_is_documented_with_an_example(record: Function) -> None:
    doc = inspect.getdoc(public(record)) or ""
    summary = doc.split("\n\n")[0]
    assert summary
    assert len(summary) < 240
    for section in ("Parameters", "Returns", "Raises"):
        needed = section != "Parameters" or bool(record.inputs or record.params)
        assert not needed or f"\n{section}\n{len(section) * '-'}\n" in doc, f"{section} are not said"
    assert doctest.DocTestParser().get_examples(doc) or record.name in EXAMPLE_ELSEWHERE


EXAMPLE_ELSEWHERE = {
    "copy": "what copy_ writes, which has the example",
    **dict.fromkeys(("_add_along_axis", "_put_along_axis"), "polyad.scatter_add and scatter have them"),
    **dict.fromkeys(("_extreme_along_axis", "_multiply_along_axis"), "polyad.scatter_reduce has it"),
    "_masked_scatter": "polyad.masked_scatter has it",
    "_index_add": "polyad.index_add has it",
    "_logistic": "polyad.nn.functional.sigmoid has it",
    "_places": "what polyad.scatter, which has the example, writes to",
    "_ranked": "what quantile, which has the example, chooses from",
    "_sum_from_end": "what cumulative_sum, which has the example, has for a gradient",
    "to_device": "polyad.to has the example",
}


@every_function
def test_derivative_is_settled(record: Function) -> None:
    settled = record.has_rules or record.body is not None or not record.differentiable
    assert settled, f"{record.name}: write a rule for each array, a body, or differentiable=False"
    assert not (record.has_rules and not record.differentiable), "rules that never run"
    if record.has_rules:
        without = [i for i, rule in zip(record.inputs, record.rules, strict=True) if rule is None]
        constants = {
            "where": ["condition"],
            "masked_fill": ["mask"],
            "getitem": ["indices"],
            "setitem": ["indices"],
            **{n: ["indices"] for n in ("index_scatter", "take", "take_along_axis", "_index_add")},
            **{f"_{n}_along_axis": ["indices"] for n in ("add", "put", "extreme", "multiply")},
            "linalg.pinv": ["rtol"],
            "random.log_gamma": ["drawn"],
        }
        assert without == constants.get(record.name, []), "arrays without a rule"


@every_function
def test_categories_exist(record: Function) -> None:
    assert record.takes in CATEGORIES
    gives = {record.gives} if isinstance(record.gives, str) else set(record.gives)
    assert gives <= {"same", "bool", "int64", "real", "complex", "given"}
    assert all(0 <= i < max(len(record.inputs), 1) for i in record.promotes)


@every_function
def test_call_knows_its_record(record: Function) -> None:
    assert getattr(record.call, "function", record) is record
    assert repr(record) == f"<polyad function {record.name!r} of {record.provider}>"


# What a definition may say ----------------------------------------------------------------------------------------


def test_rule_for_something_that_is_no_input() -> None:
    with pytest.raises(PluginError, match=r"f: rules for \['y'\], which are no inputs; its inputs are \['x'\]"):

        @ad.function(y=lambda g: g)
        def f(xp: Any, x: Any, /) -> Any:
            return x


def test_rule_that_asks_for_something_unknown() -> None:
    with pytest.raises(PluginError, match=r"f: a rule asks for 'z'; a rule may ask for its inputs \['x'\], .* \['n'\]"):

        @ad.function(x=lambda g, z: g)
        def f(xp: Any, x: Any, /, *, n: int = 1) -> Any:
            return x


def test_two_providers_of_one_name() -> None:
    @ad.function(name="tanh")
    def other(xp: Any, x: Any, /) -> Any:
        return x

    before = dict(FUNCTIONS)
    with pytest.raises(
        PluginError, match="two providers claim the function 'tanh': polyad has it, and rival 1.0 brings"
    ):
        FUNCTIONS.add([Function(lambda xp, x, /: x, name="new", rules={}), other.function], "rival 1.0")
    assert dict(FUNCTIONS) == before


def test_samples_are_shown_by_name_or_arguments() -> None:
    assert repr(Sample((2, 3), 1.5, axis=0)) == "Sample((2, 3), 1.5, axis=0)"
    assert repr(Sample((2,), name="a case")) == "a case"
    assert repr(Fails((2,), error=ValueError, match="x")) == "Fails((2,))"
