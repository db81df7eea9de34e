"""`crosscheck` names exactly the operation that differs: planted faults of each kind, on NumPy and JAX underneath."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

import polyad as ad
from polyad.backend import Backend, Device
from polyad.errors import ArgumentError, BackendError, OperandError
from polyad.function import Function
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
                found = super().pull(node, g, args) if base.pull is not None else None
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
        getattr(self.backend, "_pulls", {}).clear()

    def clear(self) -> None:
        self.faults.clear()
        self.pulls.clear()
        self.backend.strayed.clear()
        self.forget()


_made: Final[dict[str, Faulty]] = {}


@pytest.fixture(scope="module", autouse=True)
def _backends_of_other_tests_only() -> Iterator[None]:
    """Leave no backend of this module's behind."""
    yield
    for name in set(plugins._backends) - {"numpy", "jax", "cupy", "strict"}:
        del plugins._backends[name]


@pytest.fixture
def faulty(loaded_backend: Backend) -> Iterator[Faulty]:
    """A backend beside each backend to plant faults in."""
    if loaded_backend.name not in ("numpy", "jax"):
        pytest.skip("faults are planted over NumPy and JAX")
    found = faulty_of(loaded_backend)
    yield found
    found.clear()


def faulty_of(backend: Backend) -> Faulty:
    if backend.name not in _made:
        found = _made[backend.name] = Faulty(backend)
        plugins.add_backend(found.backend)
    _made[backend.name].clear()
    return _made[backend.name]


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


def test_without_a_fault_nothing_differs(faulty: Faulty) -> None:
    with ad.use_backend("numpy"):
        found = crosscheck(program, (numbers(4, 5), numbers(5, 3, seed=1)), ["numpy", faulty.backend.name])
    assert found.ok
    assert found.operations == 16
    assert found.notes == ()
    assert "no difference" in str(found)


PARTS: Final = [
    "matmul",
    "tanh",
    "max",
    "min",
    "subtract",
    "getitem",
    "negative",
    "exp",
    "sin",
    "mean",
    "concat",
    "abs",
]


@pytest.mark.parametrize("name", PARTS)
def test_a_wrong_value_is_named(faulty: Faulty, name: str) -> None:
    if faulty.backend.name == "faulty-jax" and name not in ("tanh", "max", "getitem"):
        pytest.skip("a few are compiled")
    faulty.plant(name, lambda result: result * 1.001)
    found = first(program, (numbers(4, 5), numbers(5, 3, seed=1)), faulty, order=0)
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
    if faulty.backend.name == "faulty-jax" and name not in ("tanh", "abs"):
        pytest.skip("a few are compiled")
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
    assert found.line.endswith("in <lambda>")
    with ad.use_backend("numpy"):
        assert crosscheck(lambda x: ad.sin(x).sum(), (x,), ["numpy", faulty.backend.name], order=1).ok


def test_a_kernel_that_a_gradient_calls_by_name_is_named(faulty: Faulty) -> None:
    faulty.plant("sin", lambda result: result * 1.01)
    found = first(lambda x: ad.cos(x), (numbers(4),), faulty)
    assert (found.operation, found.kind, found.within) == ("sin", "value", ("gradient of cos",))


# Programs that agree ----------------------------------------------------------------------------------------------


def agree(f: Callable[..., Any], args: Any, backend: Backend, **options: Any) -> Any:
    """Compare a backend with NumPy; NumPy with a copy of itself, which costs no compilation."""
    other = faulty_of(backend).backend.name if backend.name == "numpy" else backend.name
    found = crosscheck(f, args, ["numpy", other], **options)
    assert found.ok, str(found)
    found.raise_if_different()
    return found


def test_a_training_step_agrees(backend: Backend) -> None:
    model = ad.nn.Sequential(ad.nn.Linear(20, 16), ad.nn.Tanh(), ad.nn.Linear(16, 5))

    def step(model: Any, x: ad.Tensor, target: ad.Tensor) -> Any:
        loss = ad.nn.functional.cross_entropy(model(x), target)
        gradients = ad.autograd.grad(loss, list(model.parameters()))
        with ad.no_grad():
            for p, g in zip(model.parameters(), gradients, strict=True):
                p.sub_(0.1 * g)
        return loss.detach(), gradients

    found = agree(step, (model, ad.randn(32, 20), ad.arange(32) % 5), backend)
    assert found.operations >= 19
    assert found.notes == ()


def test_attention_agrees(backend: Backend) -> None:
    def attention(q: ad.Tensor, k: ad.Tensor, v: ad.Tensor) -> ad.Tensor:
        scores = q @ k.mT / 4.0
        hidden = ad.tril(ad.ones(scores.shape[-2:], device=q.device)) == 0
        return ad.nn.functional.softmax(scores.masked_fill(hidden, -ad.inf), -1) @ v

    agree(attention, [ad.randn(2, 6, 16) for _ in range(3)], backend)


def test_a_solution_by_cholesky_agrees(backend: Backend) -> None:
    def solve(a: ad.Tensor, b: ad.Tensor) -> ad.Tensor:
        return ad.cholesky_solve(b, ad.linalg.cholesky(a @ a.mT + 6 * ad.eye(6, dtype=a.dtype, device=a.device)))

    agree(solve, (ad.randn(6, 6, dtype=ad.float64), ad.randn(6, 2, dtype=ad.float64)), backend)


def test_a_filter_of_frequencies_agrees(backend: Backend) -> None:
    def low_pass(x: ad.Tensor, gain: ad.Tensor) -> ad.Tensor:
        return ad.fft.irfft(ad.fft.rfft(x) * gain, n=32)

    agree(low_pass, (ad.randn(3, 32), ad.rand(17)), backend)


def test_complex_numbers_and_nan_agree(backend: Backend) -> None:
    z = ad.tensor([1 + 2j, complex("nan"), 3j])
    agree(lambda z: (ad.exp(z) * z, ad.log(ad.abs(z) - 2.0)), (z,), backend)


def test_views_and_writes_agree(backend: Backend) -> None:
    def write(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        z = y.clone()
        z[1:] += x[:-1]
        z[0] = 5.0
        row = z[2]
        row.mul_(2.0)
        with ad.no_grad():
            counts = ad.zeros(4, device=x.device)
            counts.add_(1.0)
            counts[ad.tensor([True, False, True, False], device=x.device)] = 7.0
        return z.reshape(-1) * counts.sum()

    agree(write, (ad.randn(3, 4), ad.randn(3, 4)), backend)


def test_masks_orders_and_counts_agree(backend: Backend) -> None:
    def pick(x: ad.Tensor) -> Any:
        values, places = ad.topk(x, 2)
        return values, places, x > 0, ad.argsort(x), x[x > 0].sum(), ad.unique_counts(ad.round(x)).counts

    agree(pick, (ad.randn(8),), backend)


def test_half_precision_agrees(backend: Backend) -> None:
    x = ad.randn(64, 8).astype(ad.float16)
    agree(lambda x: ad.nn.functional.softmax(x.mT @ x, -1), (x,), backend)


def test_random_numbers_are_taken_from_the_reference(backend: Backend) -> None:
    before = ad.Generator(backend="numpy").manual_seed(3)
    state = before.get_state()

    def drop(x: ad.Tensor) -> ad.Tensor:
        return ad.exp(x) * (ad.rand_like(x) > 0.5)

    found = agree(drop, (ad.randn(20),), backend)
    assert "random" in " ".join(found.notes)
    assert before.get_state() == state


def test_a_program_without_arguments(backend: Backend) -> None:
    agree(lambda: ad.cumulative_sum(ad.linspace(0, 1, 7), axis=0).mean(), (), backend)


def test_a_program_that_moves_between_backends(faulty: Faulty) -> None:
    def f(x: ad.Tensor) -> ad.Tensor:
        return ad.exp(ad.tanh(x).to(backend="numpy") * 2).to(device=x.device)

    x = numbers(3)
    with ad.use_backend("numpy"):
        assert crosscheck(f, (x,), ["numpy", faulty.backend.name]).ok
    faulty.plant("exp", lambda result: result * 1.01)
    assert first(f, (x,), faulty).operation == "exp"


def test_nested_arguments_and_results(backend: Backend) -> None:
    x, y = ad.randn(3, requires_grad=True), ad.randn(3)

    def f(pair: Any, options: Any) -> Any:
        return {"out": [pair["x"] * options["scale"] + pair["y"]]}

    found = agree(f, ({"x": x, "y": y}, {"scale": 2.0}), backend)
    assert found.operations == 2
    assert x.grad is None


@pytest.mark.parametrize(("name", "turn", "f"), [
    ("linalg.eigh", lambda r: (r[0], -r[1]), lambda x: ad.linalg.eigh(x @ x.mT)),
    ("linalg.eig", lambda r: (r[0], r[1] * 1j), lambda x: ad.linalg.eig(x)),
    ("linalg._tall_qr", lambda r: (-r[0], -r[1]), lambda x: ad.linalg.qr(x)),
    ("linalg._thin_svd", lambda r: (-r[0], r[1], -r[2]), lambda x: ad.linalg.svd(x, full_matrices=False)),
])  # fmt: skip
@pytest.mark.parametrize("dtype", [ad.float64, ad.complex128], ids=str)
def test_signs_and_phases_are_the_librarys(faulty: Faulty, name: str, turn: Any, f: Any, dtype: Any) -> None:
    if faulty.backend.name == "faulty-jax":
        pytest.skip("decompositions take long to compile")
    x = numbers(4, 4).astype(dtype) + (1j * numbers(4, 4, seed=2) if dtype.is_complex else 0)
    faulty.plant(name, turn)

    def program(x: ad.Tensor) -> Any:
        return [abs(y) for y in f(x.mT.conj() if name == "linalg.eigh" and dtype.is_complex else x)]

    with ad.use_backend("numpy"):
        found = crosscheck(program, (x,), ["numpy", faulty.backend.name], order=1)
    assert found.ok, str(found)
    faulty.plant(name, lambda result: tuple(y * 1.001 for y in turn(result)))
    assert first(program, (x,), faulty, order=0).operation == name


# Beyond single operations -----------------------------------------------------------------------------------------


def test_a_program_that_differs_as_a_whole(faulty: Faulty) -> None:
    def f(x: ad.Tensor) -> ad.Tensor:
        return x * 2 if x.backend.name == "numpy" else x * 3

    found = first(f, (numbers(3),), faulty)
    assert (found.operation, found.kind, found.name) == ("", "value", "result")
    assert "the program as a whole" in str(found)


def test_a_write_into_an_argument_is_compared(faulty: Faulty) -> None:
    def f(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        with ad.no_grad():
            y.copy_(x if x.backend.name == "numpy" else -x)
        return x * 1

    x = numbers(3).requires_grad_()
    found = first(f, (x, numbers(3, seed=1)), faulty)
    assert found.name == "args[1] after the call"


def test_a_kernel_that_writes_in_place_is_named(faulty: Faulty) -> None:
    if not faulty.backend.writable:
        pytest.skip("nothing is written in place")

    def wrong(x: Any, y: Any) -> Any:
        x += y * 1.01
        return x

    device = faulty.backend.devices[0]
    kept = device.inplace
    faulty.backend.inplace = device.inplace = {**kept, "add": wrong}
    try:
        found = first(lambda x: x.detach().clone().add_(x.detach()), (numbers(3),), faulty)
    finally:
        del faulty.backend.inplace
        device.inplace = kept
    assert (found.operation, found.kind) == ("add", "value")
    assert "in_place=True" in found.code()


def test_a_program_that_holds_tensors_is_compared_by_its_operations(faulty: Faulty) -> None:
    w = numbers(3)
    with ad.use_backend("numpy"):
        found = crosscheck(lambda x: x * w, (numbers(3, seed=1),), ["numpy", faulty.backend.name])
    assert found.ok
    assert "tensors that are not among its arguments" in found.notes[0]
    faulty.plant("multiply", lambda result: result * 1.01)
    assert first(lambda x: x * w, (numbers(3, seed=1),), faulty).operation == "multiply"


# Rounding ---------------------------------------------------------------------------------------------------------


def test_rounding_is_told_from_error(faulty: Faulty) -> None:
    def rough(result: Any) -> Any:
        return (result * 1.001).astype(result.dtype) if result.dtype.name == "float32" else result

    faulty.plant("exp", rough)
    x = numbers(5)
    found = first(ad.exp, (x,), faulty)
    assert found.rounding is True
    assert "it is rounding" in str(found)
    with ad.use_backend("numpy"):
        backends = ["numpy", faulty.backend.name]
        assert crosscheck(lambda x: ad.exp(x).detach(), (x,), backends, float64=True).ok
    faulty.plant("exp", lambda result: result * 1.001)
    found = first(ad.exp, (x,), faulty, float64=True)
    assert found.rounding is False
    assert "no rounding" in str(found)


def test_tolerances_are_the_users(faulty: Faulty) -> None:
    faulty.plant("exp", lambda result: result * 1.001)
    with ad.use_backend("numpy"):
        assert crosscheck(ad.exp, (numbers(3),), ["numpy", faulty.backend.name], rtol=0.01).ok
    found = first(ad.exp, (numbers(3),), faulty, rtol=1e-5, atol=0.0)
    assert found.wrong.allowed == pytest.approx(1e-5 * abs(found.expected))


@pytest.mark.parametrize(("a", "b", "close"), [
    ([1.0, ad.nan, ad.inf], [1.0, ad.nan, ad.inf], True),
    ([1.0, ad.nan], [ad.nan, 1.0], False),
    ([ad.inf], [-ad.inf], False),
    ([ad.inf], [1e30], False),
    ([1.0], [1.0 + 3e-7], True),
    ([1.0], [1.0 + 3e-5], False),
    ([complex(1, ad.nan)], [complex(1, ad.nan)], True),
    ([3], [4], False),
    ([True, False], [True, False], True),
    ([True, False], [True, True], False),
])  # fmt: skip
def test_what_agrees(a: list[Any], b: list[Any], close: bool, backend: Backend) -> None:
    assert (disagreement(ad.tensor(a), ad.tensor(b), Tolerance()) is None) is close


# What is shown ----------------------------------------------------------------------------------------------------


def test_the_code_shows_the_difference_again(faulty: Faulty, capsys: pytest.CaptureFixture[str]) -> None:
    faulty.plant("take_along_axis", lambda result: result * 2)
    places = ad.tensor([[1, 0]], backend="numpy")

    def f(x: ad.Tensor, places: ad.Tensor) -> ad.Tensor:
        return ad.take_along_axis(x, places, axis=0)

    found = first(f, (numbers(2, 2), places), faulty)
    exec(found.code(), {"difference": found})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["numpy", faulty.backend.name]
    ours, theirs = (line.partition("tensor")[2] for line in lines)
    assert ours != theirs
    assert found.inputs[0].tolist() == numbers(2, 2).tolist()


def test_the_code_of_a_gradient(faulty: Faulty, capsys: pytest.CaptureFixture[str]) -> None:
    faulty.plant_rule("tanh", lambda g: g * 2)
    found = first(ad.tanh, (numbers(200),), faulty)
    assert "difference.inputs[0]" in found.code()
    exec(found.code(), {"difference": found})
    assert capsys.readouterr().out.count("tensor(") == 2


def test_errors_carry_the_difference(faulty: Faulty) -> None:
    faulty.plant("tanh", lambda result: result * 2)
    with ad.use_backend("numpy"):
        found = crosscheck(lambda x: ad.tanh(ad.tanh(x)), (numbers(3),), ["numpy", faulty.backend.name])
    assert len(found.differences) == 2
    with pytest.raises(AssertionError, match=r"tanh on backend 'faulty-\w+', device 'cpu': value differs") as caught:
        found.raise_if_different()
    assert "ad.testing.replay('tanh'" in str(caught.value)


def test_the_table(faulty: Faulty) -> None:
    from rich.console import Console

    faulty.plant("tanh", lambda result: result * 2)
    with ad.use_backend("numpy"):
        found = crosscheck(lambda x: ad.tanh(x), (numbers(3),), ["numpy", faulty.backend.name])
    console = Console(width=120, file=io.StringIO(), color_system=None)
    console.print(found)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "different  1 operations" in text
    assert "tanh: value differs on" in text
    assert "3 of 3 differ" in text


# Mistakes ---------------------------------------------------------------------------------------------------------


def test_mistakes() -> None:
    x = ad.ones(2, backend="numpy")
    with pytest.raises(ArgumentError, match=r"two backends or more, the reference first; got \['numpy'\]"):
        crosscheck(ad.exp, (x,), ["numpy"])
    with pytest.raises(ArgumentError, match="two backends or more"):
        crosscheck(ad.exp, (x,), "numpy")
    with pytest.raises(ArgumentError, match="names one twice"):
        crosscheck(ad.exp, (x,), ["numpy", "numpy"])
    with pytest.raises(BackendError, match="unknown backend 'nonesuch'"):
        crosscheck(ad.exp, (x,), ["numpy", "nonesuch"])
    with pytest.raises(ArgumentError, match="a backend is given by its name"):
        crosscheck(ad.exp, (x,), ["numpy", 3])
    with pytest.raises(ArgumentError, match="order is 0, 1 or 2; got 3"):
        crosscheck(ad.exp, (x,), ["numpy", "jax"], order=3)


def test_mistakes_in_arguments_and_results(faulty: Faulty) -> None:
    backends = ["numpy", faulty.backend.name]
    x = ad.ones(2, backend="numpy")
    with pytest.raises(OperandError, match=r"args\[0\]\['a'\] is a numpy.ndarray, .*write polyad.tensor\(args"):
        crosscheck(lambda d: d, ({"a": x.numpy()},), backends)
    with pytest.raises(OperandError, match="args has no tensor; got"):
        crosscheck(lambda n: n, (3,), backends)
    with pytest.raises(OperandError, match=r"must return tensors.*result\[1\] is a float"):
        crosscheck(lambda x: (x, x.sum().item()), (x,), backends)
    with pytest.raises(OperandError, match=r"returned no tensor, \[\]"):
        crosscheck(lambda x: [], (x,), backends)
    with pytest.raises(OperandError, match=r"crosscheck: the first argument is the function itself.*got Tensor"):
        crosscheck(ad.exp(x), (x,), backends)
    with pytest.raises(OperandError, match=r"crosscheck: <lambda>\(x\) does not take the 2 arguments .*too many"):
        crosscheck(lambda x: x, (x, x), backends)
    for bad in (-1e-3, float("nan"), "1e-3"):
        for name in ("rtol", "atol"):
            with pytest.raises(ArgumentError, match=f"{name} is a number, 0 or more, or None; got"):
                crosscheck(ad.exp, (x,), backends, **{name: bad})


def test_a_function_that_changes_from_run_to_run(faulty: Faulty) -> None:
    count = iter(range(9))
    with pytest.raises(ArgumentError, match="not deterministic: two runs on backend 'numpy'.*differ: result"):
        crosscheck(lambda x: x + next(count), (numbers(2),), ["numpy", faulty.backend.name])


def test_a_function_whose_gradient_fails_is_compared_by_value(faulty: Faulty) -> None:
    with ad.use_backend("numpy"):
        found = crosscheck(
            lambda x: ad.linalg.qr(x, mode="complete").Q, (numbers(4, 2),), ["numpy", faulty.backend.name]
        )
    assert found.ok
    assert "gradients were not compared" in found.notes[0]


def test_a_gradient_that_the_program_makes_impossible_is_left_out(faulty: Faulty) -> None:
    def f(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        product = x * y
        with ad.no_grad():
            y.zero_()
        return product

    x = numbers(3).requires_grad_()
    with ad.use_backend("numpy"):
        found = crosscheck(f, (x, numbers(3, seed=1)), ["numpy", faulty.backend.name])
    assert found.ok
    assert "the program's gradient was not compared" in found.notes[0]


def test_the_arguments_stay_as_they_are(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0])

    def f(x: ad.Tensor) -> ad.Tensor:
        with ad.no_grad():
            x.zero_()
        return x * 1

    agree(f, (x,), backend)
    assert x.tolist() == [1.0, 2.0]
    assert not x.requires_grad


def test_both_are_reached_at_the_top() -> None:
    assert ad.crosscheck is crosscheck
    assert ad.explain is ad.testing.explain
    assert {"crosscheck", "explain"} <= set(dir(ad))
