"""`crosscheck` names exactly the operation that differs: planted faults of each kind, on NumPy and JAX underneath."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final

import pytest

import polyad as ad
from polyad.backend import Backend, Device
from polyad.errors import ArgumentError, BackendError, OperandError
from polyad.function import FUNCTIONS, Function
from polyad.plugins import plugins
from polyad.testing import Difference, crosscheck
from polyad.testing.closeness import Tolerance, disagreement

Fault = Callable[[Any], Any]


class Faulty:
    """A copy of a backend in which one function is wrong: its kernel, or its rules."""

    def __init__(self, base: Backend) -> None:
        faults: dict[str, Fault] = {}
        pulls: dict[str, Fault] = {}
        base_class: Any = type(base)

        class Wrong(base_class):  # type: ignore[misc]
            name = f"faulty-{base.name}"
            array_types = base.array_types

            def resolve(self, function: Function, device: Device) -> Any:
                kernel = super().resolve(function, device)
                fault = faults.get(function.name)
                if fault is None:
                    return kernel

                def wrong(*arrays: Any, **params: Any) -> Any:
                    return fault(kernel(*arrays, **params))

                wrong.__dict__.update(getattr(kernel, "__dict__", {}))
                return wrong

            def pull(self, node: Any, g: Any, args: Any) -> Any:
                fault = pulls.get(node.function.name)
                found = base.pull(node, g, args) if base.pull is not None else None
                if found is None and fault is not None:
                    from polyad.engine import rules_for
                    from polyad.rules import sum_to

                    rules = rules_for(node.function, len(args))
                    found = [None if a is None else r(g, *a) for a, r in zip(args, rules, strict=True)]
                    if node.shapes is not None:
                        found = [
                            x if x is None or x.shape == shape else sum_to(node.device.xp, x, shape)
                            for x, shape in zip(found, node.shapes, strict=True)
                        ]
                return found if fault is None else [x if x is None else fault(x) for x in found]

            def generator(self, device: Device) -> Any:
                return base.generator(base.devices[0])

            def device_of(self, array: Any) -> Device:
                # an array that a fault marked lies elsewhere
                return self.elsewhere if id(array) in self.strayed else self.devices[0]

        self.faults, self.pulls = faults, pulls
        self.backend: Any = Wrong()
        self.backend.strayed = {}
        self.backend.elsewhere = Device(self.backend, "cpu", 1)

    def plant(self, name: str, fault: Fault) -> None:
        self.faults[name] = fault
        self.forget()

    def plant_rule(self, name: str, fault: Fault) -> None:
        self.pulls[name] = fault

    def stray(self, result: Any) -> Any:
        result = result + 0
        self.backend.strayed[id(result)] = result
        return result

    def forget(self) -> None:
        for device in self.backend.devices:
            device.kernels.clear()
            device.xp.forget()
            device.plain.forget()

    def clear(self) -> None:
        self.faults.clear()
        self.pulls.clear()
        self.backend.strayed.clear()
        self.forget()


_made: Final[dict[str, Faulty]] = {}


@pytest.fixture
def faulty(loaded_backend: Backend) -> Iterator[Faulty]:
    """A backend beside each backend to plant faults in."""
    if loaded_backend.name not in ("numpy", "jax"):
        pytest.skip("faults are planted over NumPy and JAX")
    if loaded_backend.name not in _made:
        found = _made[loaded_backend.name] = Faulty(loaded_backend)
        plugins.add_backend(found.backend)
    found = _made[loaded_backend.name]
    found.clear()
    yield found
    found.clear()


def first(f: Callable[..., Any], args: Any, faulty: Faulty, **options: Any) -> Difference:
    with ad.use_backend("numpy"):
        found = crosscheck(f, args, ["numpy", faulty.backend.name], **options)
    assert not found.ok
    assert found.first is not None
    return found.first


def numbers(*shape: int, seed: int = 0) -> ad.Tensor:
    g = ad.Generator(backend="numpy").manual_seed(seed)
    return ad.randn(*shape, generator=g)


def program(x: ad.Tensor, w: ad.Tensor) -> ad.Tensor:
    hidden = ad.tanh(x @ w)
    spread = ad.ptp(hidden, axis=0)
    picked = hidden[1:, ad.tensor([0, 2], device=x.device)]
    return ad.exp(-spread).sum() + ad.sin(picked).mean() + ad.concat([hidden, hidden]).abs().sum()


PARTS: Final = ["matmul", "tanh", "max", "min", "subtract", "getitem", "negative", "exp", "sin", "mean", "concat", "abs"]


@pytest.mark.parametrize("name", PARTS)
def test_a_wrong_value_is_named(faulty: Faulty, name: str) -> None:
    x, w = numbers(4, 5), numbers(5, 3, seed=1)
    with ad.use_backend("numpy"):
        assert crosscheck(program, (x, w), ["numpy", faulty.backend.name]).ok
    faulty.plant(name, lambda result: result * 1.001)
    found = first(program, (x, w), faulty)
    assert (found.operation, found.kind, found.backend) == (name, "value", faulty.backend.name)
    assert found.actual == pytest.approx(1.001 * found.expected, rel=1e-5)
    assert "test_crosscheck.py" in found.line
    assert found.line.endswith("in program")


@pytest.mark.parametrize("name", ["max", "min"])
def test_a_fault_inside_a_body_is_named(faulty: Faulty, name: str) -> None:
    faulty.plant(name, lambda result: result * 1.01)
    found = first(lambda x: ad.ptp(x.detach(), axis=0), (numbers(4, 3),), faulty)
    assert (found.operation, found.kind, found.within) == (name, "value", ("ptp",))


def test_of_a_function_with_a_kernel_for_the_whole_that_is_named(faulty: Faulty) -> None:
    faulty.plant("ptp", lambda result: result * 1.01)
    assert first(lambda x: ad.ptp(x.detach(), axis=0), (numbers(4, 3),), faulty).operation == "ptp"


def test_a_wrong_type_is_named(faulty: Faulty) -> None:
    # as a library's function that ends in double precision; of functions of several results, for which it is left
    faulty.plant("linalg.slogdet", lambda result: (result[0], result[1].astype("float64")))
    found = first(lambda x: ad.linalg.slogdet(x).logabsdet, (numbers(3, 3),), faulty)
    assert (found.operation, found.kind, found.order) == ("linalg.slogdet", "dtype", 0)
    assert (found.expected, found.actual) == (ad.float32, ad.float64)


def test_a_wrong_type_of_integers_is_named(faulty: Faulty) -> None:
    faulty.plant("argmax", lambda result: result.astype("int32"))
    found = first(lambda x: ad.exp(x)[ad.argmax(x, axis=0)], (numbers(5),), faulty)
    assert (found.operation, found.kind, found.actual) == ("argmax", "dtype", ad.int32)


def test_a_wrong_shape_is_named(faulty: Faulty) -> None:
    faulty.plant("exp", lambda result: result.reshape(-1))
    found = first(lambda x: ad.tanh(ad.exp(x)), (numbers(2, 3),), faulty)
    assert (found.operation, found.kind, found.expected, found.actual) == ("exp", "shape", (2, 3), (6,))


def test_a_wrong_device_is_named(faulty: Faulty) -> None:
    if faulty.backend.name == "faulty-jax":
        pytest.skip("what is compiled cannot mark arrays")
    faulty.plant("exp", faulty.stray)
    found = first(lambda x: ad.tanh(ad.exp(x)), (numbers(2, 3),), faulty)
    assert (found.operation, found.kind) == ("exp", "device")
    assert "cpu:1" in str(found.actual)


def test_a_kernel_that_is_missing_is_named(faulty: Faulty) -> None:
    def fail(result: Any) -> Any:
        raise BackendError("there is none")

    faulty.plant("tanh", fail)
    found = first(lambda x: ad.tanh(ad.exp(x)), (numbers(3),), faulty)
    assert (found.operation, found.kind) == ("tanh", "error")
    assert "there is none" in str(found)


@pytest.mark.parametrize("name", ["matmul", "tanh", "sin", "abs", "exp"])
def test_a_wrong_gradient_is_named(faulty: Faulty, name: str) -> None:
    faulty.plant_rule(name, lambda g: g * 1.01)
    found = first(program, (numbers(4, 5), numbers(5, 3, seed=1)), faulty)
    assert (found.operation, found.kind, found.within) == (name, "gradient", ())


@pytest.mark.parametrize(("name", "of", "f"), [
    ("index_scatter", "slice_view", lambda x: x[1:].sum()),
    ("broadcast_to", "sum", lambda x: x.sum(axis=0)),
    ("sign", "abs", lambda x: x.abs().sum()),
])  # fmt: skip
def test_a_kernel_that_only_a_gradient_calls_is_named(faulty: Faulty, name: str, of: str, f: Any) -> None:
    faulty.plant(name, lambda result: result * 1.01)
    found = first(f, (numbers(3, 4),), faulty)
    assert (found.operation, found.kind, found.within) == (name, "value", (f"gradient of {of}",))


def test_a_wrong_second_gradient_is_named(faulty: Faulty) -> None:
    # the gradient of sin runs cos, whose own gradient only a second derivative takes
    faulty.plant_rule("cos", lambda g: g * 1.01)
    x = numbers(4)
    found = first(lambda x: ad.sin(x).sum(), (x,), faulty)
    assert (found.operation, found.kind, found.within) == ("cos", "gradient", ("second gradient of sin",))
    with ad.use_backend("numpy"):
        assert crosscheck(lambda x: ad.sin(x).sum(), (x,), ["numpy", faulty.backend.name], order=1).ok


def test_a_kernel_that_a_gradient_calls_by_name_is_named(faulty: Faulty) -> None:
    faulty.plant("sin", lambda result: result * 1.01)
    found = first(lambda x: ad.cos(x), (numbers(4),), faulty)
    assert (found.operation, found.kind, found.within) == ("sin", "value", ("gradient of cos",))
