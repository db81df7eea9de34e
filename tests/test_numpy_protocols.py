"""NumPy's functions on tensors run polyad's, recorded."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.testing import assert_close

X = np.array([[0.5, 1.5], [2.5, 0.25]])
Y = np.array([[1.0, 2.0], [0.5, 4.0]])

CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "sin": lambda x, y: np.sin(x),
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "multiply by a list": lambda x, y: np.multiply(x, [1.0, 2.0]),
    "divide": np.divide,
    "power": np.power,
    "maximum": np.maximum,
    "absolute": lambda x, y: np.absolute(x),
    "arctan": lambda x, y: np.arctan(x),
    "matmul": np.matmul,
    "x @ y": lambda x, y: x @ y,
    "exp in another type": lambda x, y: np.exp(x, dtype=np.float32),
    "add.reduce": lambda x, y: np.add.reduce(x),
    "maximum.reduce": lambda x, y: np.maximum.reduce(x, axis=1, keepdims=True),
    "multiply.accumulate": lambda x, y: np.multiply.accumulate(x, axis=1),
    "multiply.outer": np.multiply.outer,
    "sum": lambda x, y: np.sum(x),
    "sum along an axis": lambda x, y: np.sum(x, axis=1, keepdims=True),
    "mean": lambda x, y: np.mean(x, 0),
    "std": lambda x, y: np.std(x, axis=0, ddof=1),
    "concatenate": lambda x, y: np.concatenate([x, y], axis=1),
    "stack": lambda x, y: np.stack([x, y]),
    "where": lambda x, y: np.where(x > y, x, y),
    "reshape": lambda x, y: np.reshape(x, (4,)),
    "transpose": lambda x, y: np.transpose(x),
    "transpose of axes": lambda x, y: np.transpose(x, (1, 0)),
    "dot": np.dot,
    "dot with a matrix": lambda x, y: np.dot(x[0], y),
    "clip": lambda x, y: np.clip(x, 0.4, 2.0),
    "expand_dims": lambda x, y: np.expand_dims(x, 1),
    "broadcast_to": lambda x, y: np.broadcast_to(x, (3, 2, 2)),
    "copy": lambda x, y: np.copy(x),
    "eigvalsh": lambda x, y: np.linalg.eigvalsh(x @ x.T),
    "solve": lambda x, y: np.linalg.solve(x, y),
    "einsum": lambda x, y: np.einsum("ij,jk->ik", x, y),
    "fft": lambda x, y: np.fft.fft(x).real,
}


@pytest.mark.parametrize("name", CALLS)
def test_numpys_function_is_recorded(backend: Backend, name: str) -> None:
    x, y = (ad.tensor(a, requires_grad=True) for a in (X, Y))
    result = CALLS[name](x, y)
    assert isinstance(result, ad.Tensor)
    assert result.backend is backend
    assert result.requires_grad
    assert_close(result, CALLS[name](X, Y), rtol=1e-6)
    result.sum().backward()
    step = 1e-6
    for i, (t, a) in enumerate(((x, X), (y, Y))):
        numeric = np.zeros((2, 2))
        for place in np.ndindex(2, 2):
            moved = [X.copy(), Y.copy()]
            moved[i][place] += step
            high = CALLS[name](*moved).sum(dtype=np.float64)
            moved[i][place] -= 2 * step
            numeric[place] = (high - CALLS[name](*moved).sum(dtype=np.float64)) / (2 * step)
        if name == "exp in another type":  # finite differences of single precision say nothing
            numeric = np.exp(X) if i == 0 else numeric * 0
        assert_close(t.grad if t.grad is not None else ad.zeros_like(t), numeric, rtol=1e-5, atol=1e-6)
        assert a.shape == t.shape


VALUES: dict[str, Callable[[Any], Any]] = {
    "shape": np.shape,
    "ndim": np.ndim,
    "size": np.size,
    "size along an axis": lambda x: np.size(x, 1),
    "iscomplexobj": np.iscomplexobj,
    "isrealobj": np.isrealobj,
}


@pytest.mark.parametrize("name", VALUES)
def test_questions(backend: Backend, name: str) -> None:
    assert VALUES[name](ad.tensor(X)) == VALUES[name](X)


def test_operators_with_arrays_on_the_left() -> None:
    with ad.use_backend("numpy"):
        x = ad.tensor(X, requires_grad=True)
        for f in (lambda a, b: a * b, lambda a, b: a - b, lambda a, b: a @ b, lambda a, b: a**b, lambda a, b: a / b):
            z = f(Y, x)
            assert isinstance(z, ad.Tensor)
            assert z.requires_grad
            assert_close(z, f(Y, X))
        assert_close(x < Y, Y > X)
        assert_close(np.float64(2) * x, 2 * X)


def test_an_array_of_another_backend_is_refused(backend: Backend) -> None:
    if backend.name == "numpy":
        pytest.skip("NumPy's arrays are this backend's own")
    with pytest.raises(ad.errors.DeviceError, match=r"multiply: the array of type numpy.ndarray is on backend 'numpy'"):
        Y * ad.tensor(X)


def test_out(backend: Backend) -> None:
    x, y = ad.tensor(X), ad.tensor(Y)
    z = ad.zeros(2, 2, dtype=ad.float64)
    assert np.add(x, y, out=z) is z
    assert_close(z, X + Y)
    array = Y.copy()
    if backend.name == "numpy":
        array += x
        assert isinstance(array, np.ndarray)
        assert_close(array, X + Y)
        with pytest.raises(ad.errors.AutogradError, match=r"numpy.add: the result requires a gradient, .* a = a \+ x"):
            array += x.requires_grad_()
    np.copyto(z, y)
    assert_close(z, Y)


def test_what_polyad_has_not(backend: Backend) -> None:
    x = ad.tensor(X)
    with pytest.raises(ad.errors.OperandError, match=r"numpy.spacing: polyad has no function of this name for tensors"):
        np.spacing(x)
    with pytest.raises(ad.errors.OperandError, match=r"numpy.add.reduceat: polyad has no function .*detach\(\)"):
        np.add.reduceat(x, [0])
    with pytest.raises(ad.errors.OperandError, match=r"numpy.fill_diagonal: polyad has no function of this name"):
        np.fill_diagonal(x, 1)
    with pytest.raises(ad.errors.ArgumentError, match=r"(?s)numpy.sin: where=.* is not supported for tensors"):
        np.sin(x, where=X > 1)
    with pytest.raises(ad.errors.ArgumentError, match=r"numpy.sum: out= is not supported for tensors; use the result"):
        np.sum(x, out=np.zeros(()))
    with pytest.raises(ad.errors.AutogradError, match=r"numpy.copyto: an array cannot carry a gradient"):
        np.copyto(X.copy(), x)


def test_another_class_with_a_protocol_is_asked() -> None:
    class Other:
        def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> str:
            return f"{ufunc.__name__} of other"

    assert np.add(ad.ones(2), Other()) == "add of other"
