"""What is JAX's own: compiled kernels and rules, tensors as pytrees, arrays that cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.errors import OperandError

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")


@pytest.fixture(autouse=True)
def _on_jax() -> Iterator[None]:
    with ad.use_backend("jax"):
        yield


def test_jit_over_a_function_of_tensors() -> None:
    calls = []

    @jax.jit
    def f(x: ad.Tensor, y: ad.Tensor) -> ad.Tensor:
        calls.append(1)
        return ad.tanh(x @ y).sum(axis=0)

    x, y = ad.randn(2, 3), ad.randn(3, 4)
    expected = ad.tanh(x @ y).sum(axis=0)
    for _ in range(3):
        out = f(x, y)
    assert isinstance(out, ad.Tensor)
    assert out.backend.name == "jax"
    np.testing.assert_allclose(out.numpy(), expected.numpy(), rtol=1e-6)
    assert len(calls) == 1  # traced once


def test_jit_over_a_training_step() -> None:
    @jax.jit
    def step(w: ad.Tensor, x: ad.Tensor) -> tuple[ad.Tensor, ad.Tensor]:
        loss = ((x @ w) ** 2).mean()
        loss.backward()
        with ad.no_grad():
            w -= 0.1 * w.grad
        return w, loss

    w, x = ad.ones(3, requires_grad=True), ad.randn(5, 3)
    moved, _ = step(w, x)
    eager = w.detach().clone().requires_grad_()
    ((x @ eager) ** 2).mean().backward()
    np.testing.assert_allclose(moved.detach().numpy(), (w - 0.1 * eager.grad).detach().numpy(), rtol=1e-5)
    assert moved.requires_grad
    assert w.tolist() == [1, 1, 1]  # what jit gets it does not change


def test_generators_can_be_seeded_under_jit() -> None:
    """No traced key is left in them."""
    own = ad.Generator()

    def seeded(x: Any) -> Any:
        ad.manual_seed(0)
        state = own.manual_seed(1).get_state()
        found = x + (ad.rand(3) + ad.rand(3, generator=own))._data
        own.manual_seed(2).set_state(state)
        return found

    found = jax.jit(seeded)(jnp.zeros(3))
    assert ad.rand(3).shape == (3,)
    again = ad.rand(3, generator=own)
    ad.manual_seed(0)
    np.testing.assert_allclose(found, (ad.rand(3) + again).numpy(), rtol=1e-6)


def test_writes_and_views_under_jit_equal_those_outside() -> None:
    def program(x: Any) -> Any:
        y = x * 1
        y[0] = 5
        v = y[1:].reshape(2, -1)
        v += 10
        y[y > 12] = 0
        return y

    x = ad.arange(5).float()
    assert jax.jit(program)(x).tolist() == program(x).tolist()


def test_a_tensor_of_another_backend_becomes_one_of_jax_inside() -> None:
    x = ad.tensor([1.0, 2.0], backend="numpy")
    out = jax.jit(lambda t: t * 2)(x)
    assert (out.backend.name, out.tolist()) == ("jax", [2, 4])


def test_subclasses_are_pytrees_too() -> None:
    p = ad.nn.Parameter(ad.ones(2))
    out = jax.jit(lambda t: t)(p)
    assert isinstance(out, ad.nn.Parameter)
    assert out.requires_grad


@pytest.mark.parametrize(
    ("use", "match"),
    [
        (float, "float|item"),
        (lambda x: x.item(), "item"),
        (lambda x: x.tolist(), "tolist"),
        (lambda x: x.numpy(), "numpy"),
        (lambda x: 1 if x else 0, "item|bool"),
    ],
)
def test_a_traced_tensor_says_that_it_has_no_values(use: Any, match: str) -> None:
    with pytest.raises(OperandError, match=rf"({match}).*has no values yet.*jax\.jit"):
        jax.jit(lambda x: ad.tensor(0.0) if use(x) is None else x)(ad.tensor(1.0))


def test_a_mask_under_jit_names_where() -> None:
    with pytest.raises(OperandError, match=r"mask.*not known, because .*traces the function; use where"):
        jax.jit(lambda x: x[x > 0])(ad.ones(3))


def test_positions_and_starts_do_not_compile_anew() -> None:
    from polyad_jax import indexing

    x = ad.arange(40).reshape(8, 5).float().requires_grad_()
    for i in range(8):
        x[i].sum().backward()
        x[i // 2 : i // 2 + 3].sum().backward()
    before = indexing._read._cache_size(), indexing._overwrite._cache_size()
    for i in range(8):
        x[7 - i].sum().backward()
        x[(7 - i) // 2 : (7 - i) // 2 + 3].sum().backward()
    assert (indexing._read._cache_size(), indexing._overwrite._cache_size()) == before


def test_the_rules_of_a_node_are_one_compiled_call(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = ad.randn(3, 4, requires_grad=True), ad.randn(4, requires_grad=True)
    backend: Any = x.backend
    (x * y).sum().backward()  # compiles
    known = len(backend._pulls)
    seen = []

    def counted(compiled: Any) -> Any:
        return lambda *args: seen.append(1) or compiled(*args)

    monkeypatch.setattr(backend, "_pulls", {key: counted(f) for key, f in backend._pulls.items()})
    (x * y).sum().backward()
    assert len(seen) == 2  # multiply, with both gradients and the sum to y's shape, and sum
    assert len(backend._pulls) == known


def test_memory_from_outside_is_not_shared() -> None:
    host = np.zeros(1024, np.float32)  # large enough to be aligned, so that JAX could share it
    for make in (ad.tensor, ad.from_numpy, ad.asarray):
        x = make(host)
        host += 1
        assert x.max().item() == host[0] - 1


def test_numpy_gives_a_read_only_array() -> None:
    out = ad.zeros(3).numpy()
    with pytest.raises(ValueError, match="read-only"):
        out[0] = 1


def test_numbers_of_64_bits_stay_so() -> None:
    x = ad.tensor([2**40 + 1])
    assert (x + 1).tolist() == [2**40 + 2]
    assert ad.tensor([0.1], dtype=ad.float64).tolist() == [0.1]


def test_bfloat16() -> None:
    x = ad.ones(2, dtype=ad.bfloat16, requires_grad=True)
    (x * 3).sum().backward()
    assert x.grad.dtype is ad.bfloat16
    assert x.grad.float().tolist() == [3, 3]


def test_numpy_arrays_index_whether_or_not_the_numpy_backend_is_loaded() -> None:
    code = (
        "import numpy as np, polyad as ad\n"
        "x = ad.arange(4.0)\n"
        "print(x[np.array([0, 2])].tolist(), x[np.array([True, False, False, True])].tolist())\n"
        "try:\n    x * np.ones(4)\nexcept ad.errors.DeviceError as e:\n    print('polyad.tensor(array' in str(e))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "POLYAD_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["[0.0, 2.0] [0.0, 3.0]", "True"]
