"""The fast calls are fast: ordinary operations are done without the careful path, and what is unusual goes there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import polyad as ad
from polyad import calls, operators
from polyad.backend import Backend
from polyad.errors import OperandError

ORDINARY: dict[str, Callable[[Any, Any], Any]] = {
    "x + y": lambda x, y: x + y,
    "x - y": lambda x, y: x - y,
    "x * y": lambda x, y: x * y,
    "x / y": lambda x, y: x / y,
    "x ** 2": lambda x, y: x**2,
    "x * 2.0": lambda x, y: x * 2.0,
    "x + 1": lambda x, y: x + 1,
    "2.0 * x": lambda x, y: 2.0 * x,
    "1 - x": lambda x, y: 1 - x,
    "x @ y": lambda x, y: x @ y,
    "x > y": lambda x, y: x > y,
    "x > 0.0": lambda x, y: x > 0.0,
    "-x": lambda x, y: -x,
    "exp": lambda x, y: ad.exp(x),
    "tanh": lambda x, y: x.tanh(),
    "maximum": lambda x, y: ad.maximum(x, y),
    "maximum of a number": lambda x, y: ad.maximum(x, 0.0),
    "where": lambda x, y: ad.where(x > y, x, y),
    "where of a number": lambda x, y: ad.where(x > y, x, 0.0),
    "clip": lambda x, y: x.clip(-1.0, 1.0),
    "sum": lambda x, y: x.sum(),
    "sum along an axis": lambda x, y: x.sum(axis=0),
    "mean": lambda x, y: x.mean(),
    "max": lambda x, y: x.max(axis=1),
    "var": lambda x, y: x.var(),
    "argmax": lambda x, y: x.argmax(axis=1),
    "reshape": lambda x, y: x.reshape(-1),
    "x.T": lambda x, y: x.T,
    "x[1:]": lambda x, y: x[1:],
    "x[0]": lambda x, y: x[0],
    "detach": lambda x, y: x.detach(),
    "a program": lambda x, y: ((ad.tanh(x @ y + 1.0) * x) ** 2).sum().backward(),
}


@pytest.mark.parametrize("requires_grad", [False, True], ids=["plain", "recorded"])
@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_calls_stay_off_the_careful_path(
    backend: Backend, name: str, requires_grad: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "a program" and not requires_grad:
        pytest.skip("needs a gradient")
    if backend.name == "strict":
        pytest.skip("its types are equal, but not the same objects, by which the fast calls go")
    x = ad.randn(3, 3, requires_grad=requires_grad)
    y = ad.randn(3, 3, requires_grad=requires_grad)
    seen: list[str] = []

    def careful(made: Any, *args: Any) -> Any:
        seen.append(made.name)
        return original(made, *args)

    original = calls.careful
    monkeypatch.setattr(calls, "careful", careful)
    monkeypatch.setattr(operators, "careful", careful)
    ORDINARY[name](x, y)
    assert seen == []


UNUSUAL: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "mixed types": (lambda x, y: x + y.double(), "add"),
    "a number that decides the type": (lambda x, y: x.long() * 0.5, "multiply"),
    "integers where floats are needed": (lambda x, y: ad.exp(x.long()), "exp"),
    "shapes that do not broadcast": (lambda x, y: x + y[:2], "add"),
    "a type that the function does not take": (lambda x, y: x & y, "bitwise_and"),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_calls_take_the_careful_path(backend: Backend, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = ad.randn(3, 3), ad.randn(3, 3)
    seen: list[str] = []

    def careful(made: Any, *args: Any) -> Any:
        seen.append(made.name)
        return original(made, *args)

    original = calls.careful
    monkeypatch.setattr(calls, "careful", careful)
    call, function = UNUSUAL[name]
    try:
        call(x, y)
    except (ad.errors.ShapeError, ad.errors.DTypeError):
        pass
    assert function in seen


def test_an_alias_emptied_by_a_write_is_filled_on_the_careful_path(backend: Backend) -> None:
    x = ad.ones(3, requires_grad=True) * 1
    v = x[:2]
    x.mul_(2)
    with pytest.raises(AttributeError):  # the write emptied the slot, so that the next read makes the node anew
        v._node
    assert (v + 1).tolist() == [3, 3]
    assert v.grad_fn.name() == "SliceViewBackward"


def test_numbers_left_of_an_operator_keep_the_sign_of_zero(backend: Backend) -> None:
    x = ad.tensor([2.0])
    assert str((0.0 * x).item()) == "0.0"
    assert str((-0.0 * x).item()) == "-0.0"


@pytest.mark.parametrize("call", [ad.conj, ad.positive, ad.clip, ad.clone], ids=lambda f: f.__name__)
def test_a_function_with_nothing_to_do_gives_memory_of_its_own(backend: Backend, call: Callable[[Any], Any]) -> None:
    x = ad.ones(2)
    call(x).add_(1)
    assert x.tolist() == [1, 1]


def test_an_operand_without_a_rule_gets_no_gradient(backend: Backend) -> None:
    @ad.function(name="shifted", x=lambda g: g * 2)
    def shifted(xp: Any, x: Any, y: Any, /) -> Any:
        """Twice ``x``, and ``y``, which counts as a constant."""
        return 2 * x + y

    x, y = ad.ones(2, requires_grad=True), ad.ones(2, requires_grad=True)
    shifted(x, y).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    assert y.grad is None


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda x: ad.linalg.eigh(x, UPLO="U"), r"linalg.eigh\(x, /\): there is no parameter UPLO"),
        (lambda x: ad.sum(x, where=True), r"sum\(x, /, \*, axis=None, .*\): there is no parameter where; choose with"),
        (lambda x: ad.sort(x, kind="stable"), "there is no parameter kind; there is stable=True or False"),
        (lambda x: ad.where(x > 0, x, x, out=x), r"there is no parameter out; write y\[...\] = result"),
        (lambda x: ad.max(x, x), r"max: axis is a tensor; .* the max of two arrays is maximum\(x1, x2\)"),
        (lambda x: ad.sum(x, x), "sum: axis is a tensor; expected an integer or a tuple of them$"),
    ],
)
def test_parameters_that_a_function_does_not_have(backend: Backend, call: Callable[[Any], Any], match: str) -> None:
    with pytest.raises(OperandError, match=match):
        call(ad.ones((2, 2)))
