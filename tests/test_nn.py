"""The plugin `polyad_nn`: functions, modules and optimizers, on every backend and against PyTorch."""

import ast
import copy
import gc
import itertools
import math
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.errors import (
    ArgumentError,
    AutogradError,
    DeviceError,
    DTypeError,
    IndexOutOfRangeError,
    OperandError,
    ShapeError,
)
from polyad.graph import Node
from polyad.testing import Fails, Sample, assert_close, check_function, gradcheck

nn, F, optim = ad.nn, ad.nn.functional, ad.optim
inf, nan = math.inf, math.nan


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def seeded() -> None:
    ad.manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def close(actual: Any, expected: Any, **tolerances: float) -> None:
    """Compare a tensor with what PyTorch or NumPy gives; NaN equals NaN."""
    expected = expected.detach().numpy() if hasattr(expected, "detach") else np.asarray(expected)
    assert_close(actual, expected, equal_nan=True, **tolerances)


def agree(torch: Any, ours: Callable[..., Any], theirs: Callable[..., Any], *arrays: Any) -> None:
    """Values, and gradients of a weighted sum with respect to all floating arrays, are PyTorch's."""
    xs = [ad.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    ts = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y, t = ours(*xs), theirs(*ts)
    close(y, t)
    weights = np.linspace(0.5, 1.5, y.numel()).reshape(y.shape)
    (y * ad.tensor(weights)).sum().backward()
    (t * torch.tensor(weights)).sum().backward()
    for x, other in zip(xs, ts, strict=True):
        if other.requires_grad and other.grad is not None:
            close(x.grad, other.grad)


# How it is reached ------------------------------------------------------------------------------------------


def test_namespaces_are_reached_without_an_import() -> None:
    code = (
        "import sys, polyad as ad\n"
        "assert 'polyad_nn' not in sys.modules\n"
        "assert ad.optim is ad.nn.optim\n"
        "print(ad.nn.Linear.__name__, ad.nn.functional.relu.__name__, ad.optim.SGD.__name__)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("Linear relu SGD\n", "")


def test_plugin_imports_public_polyad_alone() -> None:
    root = Path(sys.modules["polyad_nn"].__file__ or "").parent
    files = list(root.glob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            else:
                continue
            for module in modules:
                allowed = {"polyad", "polyad.batching", "polyad.errors", "polyad.hookspecs", "polyad.levels"}
                assert module in allowed or module.partition(".")[0] in sys.stdlib_module_names, (file.name, module)
            assert not any(alias.name.startswith("_") for alias in node.names if modules[0].startswith("polyad")), (
                file.name
            )


def test_functions_are_registered() -> None:
    names = {name for name in ad.FUNCTIONS if name.startswith("nn.")}
    assert {
        f"nn.{n}" for n in ("relu", "sigmoid", "softmax", "log_softmax", "cross_entropy", "mse_loss", "linear")
    } <= names
    for name in names:
        record = ad.FUNCTIONS[name]
        assert record.has_rules
        assert record.samples
        assert record.provider != "polyad"
        assert record.call is getattr(F, name.removeprefix("nn."))
        assert ">>>" in record.doc


# Functions --------------------------------------------------------------------------------------------------


def numpy_softmax(x: Any, axis: int = -1) -> Any:
    e = np.exp(x - x.max(axis, keepdims=True, initial=-np.inf))
    return e / e.sum(axis, keepdims=True)


REFERENCES = {
    "nn._where_positive": lambda x, gate: np.where(gate > 0, x, 0),
    "nn.relu": lambda x: np.maximum(x, 0),
    # in two halves, each exact to the last digits on its side
    "nn.sigmoid": lambda x: np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x))),
    "nn.softmax": numpy_softmax,
    "nn.log_softmax": lambda x, axis=-1: (
        (x - (m := x.max(axis, keepdims=True, initial=-np.inf)) - np.log(np.exp(x - m).sum(axis, keepdims=True)))
        if x.size
        else x
    ),
    "nn.mse_loss": lambda x, t, reduction="mean": (
        (x - t) ** 2 if reduction == "none" else getattr(((x - t) ** 2), reduction)()
    ),
    "nn.linear": lambda x, w, b=None: np.einsum("...i,oi->...o", x, w) + (0 if b is None else b),
    "nn.cross_entropy": None,  # compared with PyTorch below
}
CASES = [
    pytest.param(f, s, id=f"{f.name}-{i}-{s!r}")
    for f in ad.FUNCTIONS.values()
    if f.name.startswith("nn.")
    for i, s in enumerate(f.samples)
]


@pytest.mark.parametrize(("function", "sample"), CASES)
def test_sample(function: Any, sample: Sample, backend: Backend) -> None:
    check_function(
        function, sample, backend=backend.name, reference=REFERENCES[function.name], fast=backend.name != "numpy"
    )


@pytest.mark.parametrize(
    ("name", "shape", "params"),
    [
        ("relu", (3, 4), {}),
        ("sigmoid", (3, 4), {}),
        ("softmax", (3, 4), {"dim": 0}),
        ("softmax", (2, 3, 4), {"dim": -2}),
        ("log_softmax", (3, 4), {"dim": 1}),
        ("log_softmax", (5,), {"dim": 0}),
    ],
)
def test_activation_is_as_in_pytorch(
    name: str, shape: Any, params: Any, torch: Any, rng: Any, backend: Backend
) -> None:
    ours, theirs = getattr(F, name), getattr(torch.nn.functional, name)
    agree(torch, lambda x: ours(x, **params), lambda x: theirs(x, **params), rng.normal(size=shape) * 3)


def test_relu_of_integers_zeros_and_nan(backend: Backend) -> None:
    assert F.relu(ad.tensor([-2, 3])).tolist() == [0, 3]
    assert F.relu(ad.tensor([-2, 3])).dtype is ad.int64
    x = ad.tensor([0.0, -0.0, nan, inf, -inf], requires_grad=True)
    y = F.relu(x)
    close(y, np.array([0, 0, nan, inf, 0], "f"))
    y.backward(ad.tensor([1.0, 1.0, 1.0, 1.0, inf]))  # what does not pass is no factor: 0 * inf would be NaN
    close(x.grad, np.array([0, 0, 0, 1, 0], "f"))


def test_sigmoid_is_accurate_at_both_ends(backend: Backend) -> None:
    x = ad.tensor([-inf, -1e4, -50.0, -20.0, 0.0, 20.0, 1e4, inf], requires_grad=True)
    y = F.sigmoid(x)
    close(y, np.array([0, 0, math.exp(-50), 2.0611537e-9, 0.5, 1, 1, 1], "f"), rtol=1e-5, atol=0)
    y.sum().backward()
    close(x.grad, np.array([0, 0, math.exp(-50), 2.0611537e-9, 0.25, 0, 0, 0], "f"), rtol=1e-5, atol=1e-8)


def test_softmax_of_extremes(backend: Backend) -> None:
    x = ad.tensor([[1e4, 0.0, -1e4], [-inf, 0.0, 0.0], [-1e4, -1e4, -inf]], requires_grad=True)
    y = F.softmax(x, dim=1)
    close(y, np.array([[1, 0, 0], [0, 0.5, 0.5], [0.5, 0.5, 0]], "f"))
    (y * y).sum().backward()
    close(x.grad, np.zeros((3, 3), "f"))
    x.grad = None
    z = F.log_softmax(x, dim=1)
    half = math.log(0.5)
    close(z, np.array([[0, -1e4, -2e4], [-inf, half, half], [half, half, -inf]], "f"))
    z[:, 1].sum().backward()
    close(x.grad, np.array([[-1, 1, 0], [0, 0.5, -0.5], [-0.5, 0.5, 0]], "f"))


def test_softmax_parameters() -> None:
    x = ad.ones(2, 3)
    close(F.softmax(x), F.softmax(x, 1).numpy())
    close(F.softmax(x, axis=0), F.softmax(x, dim=0).numpy())
    with pytest.raises(OperandError, match="no parameter dtype"):
        F.softmax(x, dtype=ad.float64)
    with pytest.raises(IndexOutOfRangeError, match="valid: none, since the tensor is 0-d"):
        F.softmax(ad.tensor(1.0))
    assert F.softmax(ad.tensor([1, 1])).dtype is ad.float32


TARGETS: dict[str, Any] = {
    "indices": ((6, 4), np.array([0, 3, 1, 1, 2, 0]), {}),
    "one ignored": ((6, 4), np.array([0, -100, 1, 1, 2, 0]), {}),
    "a class ignored": ((6, 4), np.array([0, 3, 1, 1, 2, 0]), {"ignore_index": 1}),
    "an index outside ignored": ((6, 4), np.array([0, 9, 1, 1, 2, 0]), {"ignore_index": 9}),
    "one sample": ((4,), np.array(2), {}),
    "positions": ((2, 4, 3), np.array([[0, 3, 1], [1, -100, 0]]), {}),
    "images": ((2, 4, 2, 2), np.array([[[0, 3], [1, 2]], [[1, 0], [2, 2]]]), {}),
    "probabilities": ((6, 4), numpy_softmax(np.random.default_rng(1).normal(size=(6, 4))), {}),
    "probabilities of one": ((4,), numpy_softmax(np.random.default_rng(1).normal(size=4)), {}),
    "probabilities at positions": ((2, 4, 3), numpy_softmax(np.random.default_rng(1).normal(size=(2, 4, 3)), 1), {}),
}


@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", TARGETS)
def test_cross_entropy_is_as_in_pytorch(
    case: str, reduction: str, weighted: bool, smoothing: float, torch: Any, rng: Any
) -> None:
    shape, target, params = TARGETS[case]
    weight = np.array([0.5, 1.0, 2.0, 0.25]) if weighted else None
    params = {**params, "reduction": reduction, "label_smoothing": smoothing}
    agree(
        torch,
        lambda x, t: F.cross_entropy(x, t, None if weight is None else ad.tensor(weight), **params),
        lambda x, t: torch.nn.functional.cross_entropy(
            x, t, None if weight is None else torch.tensor(weight), **params
        ),
        rng.normal(size=shape),
        target,
    )


@pytest.mark.parametrize("case", TARGETS)
def test_cross_entropy_on_every_backend(case: str, torch: Any, rng: Any, backend: Backend) -> None:
    shape, target, params = TARGETS[case]
    agree(
        torch,
        lambda x, t: F.cross_entropy(x, t, **params),
        lambda x, t: torch.nn.functional.cross_entropy(x, t, **params),
        rng.normal(size=shape),
        target,
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", ["indices", "one ignored", "probabilities", "positions"])
def test_cross_entropy_has_a_gradient_for_weights(case: str, reduction: str, rng: Any) -> None:
    shape, target, params = TARGETS[case]
    x, w = ad.tensor(rng.normal(size=shape)), ad.tensor([0.5, 1.0, 2.0, 0.25], dtype=ad.float64, requires_grad=True)
    t = ad.tensor(target)
    assert gradcheck(lambda w: F.cross_entropy(x, t, w, reduction=reduction, label_smoothing=0.1, **params), w)


def test_cross_entropy_of_extremes(backend: Backend) -> None:
    x = ad.tensor([[1e4, 0.0, -1e4], [0.0, 0.0, -inf], [-1e4, 1e4, 0.0]], requires_grad=True)
    loss = F.cross_entropy(x, ad.tensor([1, 0, 1]), reduction="none")
    close(loss, np.array([1e4, math.log(2), 0], "f"))
    loss.sum().backward()
    close(x.grad, np.array([[1, -1, 0], [-0.5, 0.5, 0], [0, 0, 0]], "f"))
    probabilities = ad.tensor([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])  # 0 * -inf would be NaN
    close(F.cross_entropy(x, probabilities, reduction="none"), np.array([1e4, math.log(2), 0], "f"))
    close(F.cross_entropy(x, ad.tensor([0, 2, 1]), reduction="none"), np.array([0, inf, 0], "f"))


def test_cross_entropy_of_nothing_is_nan(backend: Backend) -> None:
    assert math.isnan(F.cross_entropy(ad.zeros(0, 3), ad.zeros(0, dtype=ad.int64)).item())
    assert math.isnan(F.cross_entropy(ad.zeros(2, 3), ad.tensor([-100, -100])).item())
    assert F.cross_entropy(ad.zeros(2, 3), ad.tensor([-100, -100]), reduction="sum").item() == 0


def test_cross_entropy_takes_small_integer_types(backend: Backend) -> None:
    x = ad.zeros(2, 300)  # more classes than a uint8 can count
    for dtype in (ad.uint8, ad.int32):
        assert F.cross_entropy(x, ad.tensor([0, 255], dtype=dtype)).item() == pytest.approx(math.log(300))
    assert F.cross_entropy(ad.tensor([[0, 1]]), ad.tensor([0])).dtype is ad.float32
    assert F.cross_entropy(ad.zeros(1, 2), ad.tensor([[0.5, 0.5]], dtype=ad.float64)).dtype is ad.float32


def test_cross_entropy_where_the_target_cannot_be_asked() -> None:
    """As on a GPU: what the loss is, of an index that is out of range, is decided by the kernel."""
    record = ad.FUNCTIONS["nn.cross_entropy"]
    xp = ad.ones(1).device.xp
    logits = np.zeros((3, 2))
    params: Any = {"ignore_index": -100, "label_smoothing": 0.0}
    assert record.body is not None
    for reduction, expected in (("none", [math.log(2), nan, 0]), ("mean", nan)):
        loss = record.body(xp, logits, np.array([1, 2, -100]), None, reduction=reduction, **params)
        np.testing.assert_allclose(loss, expected)
    loss = record.body(xp, logits, np.array([1, 0, -100]), None, reduction="mean", **params)
    np.testing.assert_allclose(loss, math.log(2))


@pytest.mark.parametrize(
    ("target", "params", "error", "match"),
    [
        (
            [0, 1],
            {},
            ShapeError,
            r"target has shape \(2,\), input \(3, 4\); expected \(3,\) for class indices, or \(3, 4\)",
        ),
        ([[0, 1, 2]], {}, ShapeError, r"target has shape \(1, 3\)"),
        ([0, 1, 4], {}, IndexOutOfRangeError, "class 4 among 4 classes; valid are 0 to 3, and ignore_index, -100"),
        ([0, 1, -1], {}, IndexOutOfRangeError, "class -1 among 4 classes"),
        ([0, -100, 7], {}, IndexOutOfRangeError, "class 7 among"),
        ([0, -100, 2], {"ignore_index": 0}, IndexOutOfRangeError, "class -100 among"),
        ([0.0, 1.0, 2.0], {}, DTypeError, r"class indices must be integers; got float32.*target\.long\(\)"),
        ([True, False, True], {}, DTypeError, "class indices must be integers; got bool"),
        ([[0] * 4] * 3, {}, DTypeError, r"holds class probabilities.*got int64; class indices have shape \(3,\)"),
        ([0, 1, 2], {"reduction": "avg"}, ArgumentError, "'mean', 'sum' or 'none'; got 'avg'"),
        ([0, 1, 2], {"label_smoothing": 1.5}, ArgumentError, "label_smoothing must be between 0 and 1; got 1.5"),
        ([0, 1, 2], {"weight": [1.0, 2.0]}, ShapeError, r"weight has shape \(2,\); expected \(4,\)"),
    ],
)
def test_cross_entropy_misused(target: Any, params: Any, error: Any, match: str, backend: Backend) -> None:
    if "weight" in params:
        params = {"weight": ad.tensor(params["weight"])}
    with pytest.raises(error, match=match):
        F.cross_entropy(ad.zeros(3, 4), ad.tensor(target), **params)


def test_cross_entropy_misused_otherwise() -> None:
    with pytest.raises(OperandError, match=r"target must be a tensor; got list; write polyad\.tensor"):
        F.cross_entropy(ad.zeros(2, 3), [0, 1])
    with pytest.raises(OperandError, match="input must be a tensor; got ndarray"):
        F.cross_entropy(np.zeros((2, 3)), ad.tensor([0, 1]))
    with pytest.raises(ShapeError, match=r"input has shape \(\); expected logits"):
        F.cross_entropy(ad.tensor(1.0), ad.tensor(0))
    with pytest.raises(ShapeError, match=r"input of shape \(2, 0\) has no classes"):
        F.cross_entropy(ad.zeros(2, 0), ad.tensor([0, 0]))
    with pytest.raises(DTypeError, match="takes real floating arrays; got complex64"):
        F.cross_entropy(ad.zeros(2, 3, dtype=ad.complex64), ad.tensor([0, 0]))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse_loss_is_as_in_pytorch(reduction: str, torch: Any, rng: Any, backend: Backend) -> None:
    agree(
        torch,
        lambda x, t: F.mse_loss(x, t, reduction=reduction),
        lambda x, t: torch.nn.functional.mse_loss(x, t, reduction=reduction),
        rng.normal(size=(3, 4)),
        rng.normal(size=(3, 4)),
    )


@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 5, 3), (0, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_linear_is_as_in_pytorch(shape: Any, bias: bool, torch: Any, rng: Any, backend: Backend) -> None:
    arrays = [rng.normal(size=shape), rng.normal(size=(4, 3))] + ([rng.normal(size=4)] if bias else [])
    agree(torch, F.linear, torch.nn.functional.linear, *arrays)


def test_linear_takes_its_arrays_by_name() -> None:
    x, w, b = ad.ones(2, 3), ad.ones(4, 3), ad.ones(4)
    close(F.linear(input=x, weight=w, bias=b), np.full((2, 4), 4.0, "f"))


def test_dropout(backend: Backend) -> None:
    x = ad.ones(10_000, requires_grad=True)
    y = F.dropout(x, 0.2, generator=ad.Generator().manual_seed(1))
    assert sorted(set(y.tolist())) == [0.0, 1.25]
    assert y.mean().item() == pytest.approx(1, abs=0.03)
    y.sum().backward()
    close(x.grad, y)  # the same choice, forward and backward
    close(F.dropout(x, 0.2, generator=ad.Generator().manual_seed(1)), y)
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 0.7, training=False) is x
    assert F.dropout(ad.ones(3, dtype=ad.float64), 0.5).dtype is ad.float64


def test_dropout_of_everything_gives_zeros(backend: Backend) -> None:
    x = ad.tensor([1.0, inf, nan], requires_grad=True)
    y = F.dropout(x, 1.0)
    y.sum().backward()
    assert y.tolist() == [0, 0, 0]
    assert x.grad.tolist() == [0, 0, 0]


@pytest.mark.parametrize("p", [-0.1, 1.1, nan])
def test_dropout_takes_probabilities(p: float) -> None:
    with pytest.raises(ArgumentError, match="dropout: p is a probability, from 0 to 1; got"):
        F.dropout(ad.ones(2), p)
    with pytest.raises(ArgumentError, match="Dropout: p is a probability"):
        nn.Dropout(p)


# Parameters -------------------------------------------------------------------------------------------------


def test_parameter(backend: Backend) -> None:
    p = nn.Parameter(ad.tensor([1.0, 2.0]))
    assert isinstance(p, ad.Tensor)
    assert (p.is_leaf, p.requires_grad, p.grad) == (True, True, None)
    assert p.backend is backend
    assert repr(p) == f"Parameter containing:\n{ad.tensor([1.0, 2.0], requires_grad=True)!r}"
    for plain in (p * 2, p.detach(), p[0], p.clone(), p.reshape(2, 1)):
        assert type(plain) is ad.Tensor
    (p * p).sum().backward()
    assert type(p.grad) is ad.Tensor
    assert p.grad.tolist() == [2, 4]
    assert not nn.Parameter(ad.zeros(2), requires_grad=False).requires_grad


def test_parameter_shares_memory_but_no_history(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    p = nn.Parameter(x)
    with ad.no_grad():
        p.mul_(3)
    assert x.tolist() == [3, 6]
    with ad.no_grad():
        x[0] = 7
    assert p.tolist() == [7, 6]
    (p.sum() * 2).backward()
    assert p.grad.tolist() == [2, 2]
    assert x.grad is None
    assert nn.Parameter(x * 2).is_leaf
    with pytest.raises(AutogradError, match="a leaf tensor that requires a gradient cannot be written in place"):
        p.add_(1)


def test_parameter_is_copied_and_pickled(backend: Backend) -> None:
    p = nn.Parameter(ad.tensor([1.0, 2.0]))
    for q in (copy.copy(p), copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert type(q) is nn.Parameter
        assert (q.requires_grad, q.is_leaf, q.tolist()) == (True, True, [1, 2])
        with ad.no_grad():
            q.add_(1)
    assert p.tolist() == [1, 2]


def test_parameter_misused() -> None:
    with pytest.raises(OperandError, match=r"Parameter: expected a tensor; got list \[1\.0\]"):
        nn.Parameter([1.0])
    with pytest.raises(DTypeError, match="only tensors of real or complex floating-point types"):
        nn.Parameter(ad.tensor([1]))


def test_set_lets_a_leaf_name_other_elements(backend: Backend) -> None:
    x, source = ad.zeros(2, requires_grad=True), ad.ones(3, dtype=ad.float64)
    seen: list[Any] = []
    x.register_hook(seen.append)
    assert x.set_(source) is x
    assert (x.shape, x.dtype, x.requires_grad, x.is_leaf) == ((3,), ad.float64, True, True)
    source.add_(1)
    assert x.tolist() == [2, 2, 2]
    (x * x).sum().backward()
    assert x.grad.tolist() == [4, 4, 4]
    assert len(seen) == 1
    assert source.grad is None
    with pytest.raises(AutogradError, match="set_: only leaf tensors can be set; this one is the result of Multiply"):
        (x * 2).set_(source)
    with pytest.raises(DTypeError, match="set_: the tensor requires a gradient, which int64 cannot have"):
        x.set_(ad.tensor([1]))
    with pytest.raises(OperandError, match="set_: source is list"):
        x.set_([1.0])
    with pytest.raises(OperandError, match=r"as_subclass: expected a subclass of polyad\.Tensor; got <class 'int'>"):
        x.as_subclass(int)


# Modules ----------------------------------------------------------------------------------------------------


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.act = nn.ReLU()
        self.scale = nn.Parameter(ad.ones(3))
        self.register_buffer("mean", ad.zeros(3))
        self.register_buffer("scratch", ad.zeros(1), persistent=False)
        self.note = "not a tensor"

    def forward(self, x: Any) -> Any:
        return self.act(self.first(x)) * self.scale + self.mean


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = Block()
        self.head = nn.Linear(3, 1, bias=False)

    def forward(self, x: Any) -> Any:
        return self.head(self.block(x))


def test_module_finds_what_is_assigned() -> None:
    model = Model()
    names = ["block.scale", "block.first.weight", "block.first.bias", "head.weight"]
    assert [name for name, _ in model.named_parameters()] == names
    assert [id(p) for p in model.parameters()] == [id(p) for _, p in model.named_parameters()]
    assert [name for name, _ in model.named_parameters("m", recurse=True)] == [f"m.{n}" for n in names]
    assert list(model.parameters(recurse=False)) == []
    assert [name for name, _ in model.named_children()] == ["block", "head"]
    assert list(model.children()) == [model.block, model.head]
    assert [name for name, _ in model.named_modules()] == ["", "block", "block.first", "block.act", "head"]
    assert next(model.modules()) is model
    assert [name for name, _ in model.named_buffers()] == ["block.mean", "block.scratch"]
    assert len(list(model.buffers())) == 2
    assert model(ad.ones(5, 2)).shape == (5, 1)


def test_module_gives_what_is_shared_once() -> None:
    model = Model()
    model.again = model.block
    model.tied = model.head.weight
    assert len(list(model.parameters())) == 4
    assert len(list(model.named_parameters(remove_duplicate=False))) == 8
    assert len(list(model.modules())) == 5
    assert len(list(model.named_modules(remove_duplicate=False))) == 8
    assert list(model.children()) == [model.block, model.head]
    assert {"again.scale", "tied"} <= set(model.state_dict())


def test_module_without_super_init_works() -> None:
    class Careless(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter(ad.ones(2))

    module = Careless()
    assert module.training
    assert [name for name, _ in module.named_parameters()] == ["weight"]


def test_module_attributes_are_replaced_deleted_and_guarded() -> None:
    block = Block()
    block.scale = nn.Parameter(ad.zeros(3))
    block.first = nn.Linear(2, 3, bias=False)
    assert len(list(block.parameters())) == 2
    with pytest.raises(OperandError, match=r"Block.scale is a Parameter; it cannot become Tensor tensor\(\[1"):
        block.scale = ad.ones(3)
    with pytest.raises(OperandError, match=r"Block.act is a module; it cannot become function <function"):
        block.act = F.relu.__call__.__func__ if hasattr(F.relu.__call__, "__func__") else lambda x: x
    with pytest.raises(OperandError, match=r"Block.mean is a buffer; it cannot become float 1\.0"):
        block.mean = 1.0
    block.mean = ad.ones(3)
    assert block.state_dict()["mean"].tolist() == [1, 1, 1]
    block.scale = None
    assert len(list(block.parameters())) == 1
    del block.mean, block.first
    assert list(block.state_dict()) == []
    assert not hasattr(block, "first")
    with pytest.raises(AttributeError, match="first"):
        block(ad.ones(1, 2))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m: m.register_parameter("a.b", None), ArgumentError, r"register_parameter: a name is.*got 'a\.b'"),
        (lambda m: m.register_parameter("", None), ArgumentError, "a name is a text without dots"),
        (lambda m: m.register_parameter("scale", None), ArgumentError, "Block has an attribute 'scale' already"),
        (lambda m: m.register_parameter("forward", None), ArgumentError, "has an attribute 'forward' already"),
        (lambda m: m.register_parameter("x", ad.ones(1)), OperandError, "'x' must be a Parameter or None; got Tensor"),
        (lambda m: m.register_module("x", 1), OperandError, "register_module: 'x' must be a Module or None; got int 1"),
        (lambda m: m.register_buffer("x", [1]), OperandError, r"'x' must be a tensor or None; got list \[1\]"),
        (lambda m: nn.Module()(1), NotImplementedError, r"Module defines no forward\(self, \.\.\.\)"),
        (lambda m: nn.Linear(2.0, 3), ArgumentError, "Linear: in_features must be an integer, 0 or more; got 2.0"),
        (lambda m: nn.Linear(2, -3), ArgumentError, "Linear: out_features must be an integer, 0 or more; got -3"),
        (lambda m: nn.Sequential(F.relu), OperandError, r"Sequential: expected modules; got function.*write ReLU\(\)"),
        (lambda m: nn.Sequential(m)[3], IndexOutOfRangeError, "index 3 is out of range for 1 modules"),
        (lambda m: m.to(ad.int64), DTypeError, "Module.to: parameters are of floating-point types; got int64"),
    ],
)
def test_module_misused(call: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        call(Block())


def test_registering_by_name() -> None:
    module = nn.Module()
    module.register_parameter("w", None)
    assert module.w is None
    module.w = nn.Parameter(ad.ones(2))
    module.add_module("0", nn.ReLU())
    module.register_buffer("later", None)
    assert list(module.state_dict()) == ["w"]
    module.later = ad.ones(1)
    assert list(module.state_dict()) == ["w", "later"]
    assert list(dict(module.named_modules())) == ["", "0"]


def test_state_dict_goes_round(backend: Backend) -> None:
    a, b = Model(), Model()
    with ad.no_grad():
        a.block.mean.add_(2)
    state = a.state_dict()
    assert list(state) == ["block.scale", "block.mean", "block.first.weight", "block.first.bias", "head.weight"]
    assert all(type(t) is ad.Tensor and not t.requires_grad for t in state.values())
    held = b.head.weight
    assert b.load_state_dict(state) == ([], [])
    assert b.head.weight is held
    x = ad.ones(4, 2)
    close(b(x), a(x).detach().numpy())
    arrays = {name: t.numpy() for name, t in pickle.loads(pickle.dumps(state)).items()}
    Model().load_state_dict(arrays)
    with ad.no_grad():
        a.head.weight.fill_(5)
    assert state["head.weight"].tolist() == [[5, 5, 5]]
    assert b.head.weight.tolist() != [[5, 5, 5]]


def test_load_state_dict_says_all_that_is_wrong_and_changes_nothing() -> None:
    model = Model()
    state = {name: t.clone() + 1 for name, t in model.state_dict().items()}
    before = {name: t.tolist() for name, t in model.state_dict().items()}
    bad: Any = {**state, "block.first.weight": ad.ones(2, 3), "extra": ad.ones(1)}
    del bad["head.weight"]
    match = (
        r"does not fit Model: missing: head\.weight; unexpected: extra; block\.first\.weight has shape \(2, 3\), and "
        r"\(3, 2\) is expected; write strict=False"
    )
    with pytest.raises(ArgumentError, match=match):
        model.load_state_dict(bad)
    with pytest.raises(
        ArgumentError, match=r"fit Model: block\.first\.weight has shape \(2, 3\), and \(3, 2\) is expected$"
    ):
        model.load_state_dict(bad, strict=False)
    assert {name: t.tolist() for name, t in model.state_dict().items()} == before
    del bad["block.first.weight"]
    result = model.load_state_dict(bad, strict=False)
    assert result.missing_keys == ["block.first.weight", "head.weight"]
    assert result.unexpected_keys == ["extra"]
    assert model.block.scale.tolist() == [2, 2, 2]


def test_train_eval_apply_requires_grad_and_zero_grad() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(1.0)))
    x = ad.ones(3, 2)
    assert model(x).tolist() == [[0, 0]] * 3
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    close(model(x), model[0](x).detach().numpy())
    assert all(m.training for m in model.train().modules())
    seen: list[Any] = []
    assert model.apply(seen.append) is model
    assert seen == [model[0], model[1][0], model[1], model]
    weight = model[0].weight
    weight.grad = ad.ones(2, 2)
    model.zero_grad(set_to_none=False)
    assert weight.grad.tolist() == [[0, 0], [0, 0]]
    model.zero_grad()
    assert weight.grad is None
    assert not any(p.requires_grad for p in model.requires_grad_(False).parameters())


def test_to_moves_in_place_and_keeps_identity(backend: Backend) -> None:
    with ad.use_backend("numpy"):
        model = Model()
        model.block.register_buffer("count", ad.tensor(3))
        with ad.no_grad():
            model.block.first.bias.fill_(5)  # no unit is off, so that every parameter has a gradient
        x = ad.ones(4, 2)
        expected = model(x).detach().numpy()
        model(x).sum().backward()
    parameters = list(model.parameters())
    optimizer = optim.SGD(parameters, lr=0.1)
    assert model.to(backend=backend.name) is model
    assert [id(p) for p in model.parameters()] == [id(p) for p in parameters]
    assert all(t.backend is backend for t in [*model.parameters(), *model.buffers()])
    assert all(p.grad.backend is backend and type(p) is nn.Parameter and p.is_leaf for p in parameters)
    close(model(ad.ones(4, 2)), expected)
    model.to(ad.float64)
    assert all(p.dtype is ad.float64 and p.grad.dtype is ad.float64 for p in parameters)
    assert model.block.count.dtype is ad.int64
    assert model.block.count.backend is backend
    model.zero_grad()
    model(ad.ones(4, 2, dtype=ad.float64)).sum().backward()
    before = model.head.weight.tolist()
    optimizer.step()
    assert model.head.weight.tolist() != before


def test_to_changes_nothing_where_it_fails() -> None:
    model = Model()
    with pytest.raises(DeviceError, match="has no device"):
        model.to(device="cuda:7")
    with pytest.raises(DTypeError, match="got bool"):
        model.to(ad.bool)
    assert all(p.dtype is ad.float32 for p in model.parameters())


def test_module_is_copied_and_pickled() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    x = ad.ones(4, 2)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        close(other(x), model(x).detach().numpy())
        with ad.no_grad():
            other[0].weight.zero_()
        assert model[0].weight.any()
        assert all(type(p) is nn.Parameter and p.requires_grad for p in other.parameters())


def test_repr_is_nested_as_in_pytorch(torch: Any) -> None:
    def build(nn: Any) -> Any:
        inner = nn.Sequential(nn.Softmax(dim=1), nn.Sigmoid())
        return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), inner, nn.Linear(3, 1, bias=False), nn.Tanh(), nn.Sequential())

    assert repr(build(nn)) == repr(build(torch.nn))
    assert repr(nn.Dropout(0.2)) == "Dropout(p=0.2)"


def test_sequential() -> None:
    layers = [nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)]
    model = nn.Sequential(*layers)
    assert len(model) == 3
    assert list(model) == layers
    assert (model[0], model[-1]) == (layers[0], layers[2])
    assert list(model[:2]) == layers[:2]
    assert model.append(nn.Tanh()) is model
    assert list(dict(model.named_children())) == ["0", "1", "2", "3"]
    named = nn.Sequential({"a": layers[0], "b": layers[1]})
    assert list(named.state_dict()) == ["a.weight", "a.bias"]
    x = ad.ones(1, 2)
    assert nn.Sequential()(x) is x


def test_functions_as_modules(torch: Any, rng: Any, backend: Backend) -> None:
    x = rng.normal(size=(4, 3))
    for name in ("ReLU", "Sigmoid", "Tanh"):
        agree(torch, getattr(nn, name)(), getattr(torch.nn, name)(), x)
    agree(torch, nn.Softmax(dim=0), torch.nn.Softmax(dim=0), x)
    agree(torch, nn.MSELoss("sum"), torch.nn.MSELoss(reduction="sum"), x, x + 1)
    w, target = np.array([1.0, 2.0, 3.0]), np.array([0, 2, 1, 1])
    agree(
        torch,
        nn.CrossEntropyLoss(ad.tensor(w), ignore_index=2, label_smoothing=0.1),
        torch.nn.CrossEntropyLoss(torch.tensor(w), ignore_index=2, label_smoothing=0.1),
        x,
        target,
    )


def test_linear_starts_as_in_pytorch(backend: Backend) -> None:
    ad.manual_seed(0)
    layer = nn.Linear(16, 500)
    for p in (layer.weight, layer.bias):
        values = np.asarray(p.tolist())
        assert abs(values).max() <= 0.25
        assert abs(values).max() > 0.24
        assert values.mean() == pytest.approx(0, abs=0.02)
        assert values.std() == pytest.approx(0.25 / math.sqrt(3), rel=0.05)
    ad.manual_seed(0)
    assert nn.Linear(16, 500).weight.tolist() == layer.weight.tolist()
    assert nn.Linear(2, 2, dtype=ad.float64).weight.dtype is ad.float64
    assert nn.Linear(2, 2, backend=backend.name).bias.backend is backend
    assert nn.Linear(0, 2)(ad.zeros(3, 0)).tolist() == [[0, 0]] * 3


# Optimizers -------------------------------------------------------------------------------------------------

OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "dampened": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    "nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "adam": ("Adam", {"lr": 0.1}),
    "adam with decay": ("Adam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
}


def trajectory(lib: Any, optimizer: Any, p: Any, q: Any, target: Any, steps: int) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((p * q - target) ** 2).sum() + (q * q).sum()
        loss.backward()
        optimizer.step()


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_optimizer_steps_are_those_of_pytorch(case: str, torch: Any, rng: Any, backend: Backend) -> None:
    name, options = OPTIMIZERS[case]
    a, b, t = rng.normal(size=(2, 3)), rng.normal(size=3), rng.normal(size=(2, 3))
    ours = [ad.tensor(x, requires_grad=True) for x in (a, b)]
    theirs = [torch.tensor(x, requires_grad=True) for x in (a, b)]
    trajectory(ad, getattr(optim, name)(ours, **options), *ours, ad.tensor(t), 6)
    trajectory(torch, getattr(torch.optim, name)(theirs, **options), *theirs, torch.tensor(t), 6)
    for x, other in zip(ours, theirs, strict=True):
        close(x, other, rtol=1e-10, atol=1e-12)
        assert (x.requires_grad, x.is_leaf) == (True, True)


def test_optimizer_leaves_gradients_and_parameters_without_one(backend: Backend) -> None:
    p, q = ad.ones(2, requires_grad=True), ad.ones(2, requires_grad=True)
    view = p.detach()
    for optimizer in (
        optim.SGD([p, q], 0.1, 0.9),
        optim.SGD([p, q], 0.1, 0.9, weight_decay=0.1),
        optim.Adam([p, q], weight_decay=0.1),
    ):
        p.grad = ad.ones(2)
        optimizer.step()
        optimizer.step()
        assert p.grad.tolist() == [1, 1]
        assert q.tolist() == [1, 1]
        assert q not in optimizer.state
        assert view.tolist() == p.tolist()
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None


def test_a_value_kept_before_a_step_is_not_used_after_it(backend: Backend) -> None:
    p = ad.ones(2, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)
    loss = (p * p).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(AutogradError, match="overwritten by an in-place operation"):
        loss.backward()


def test_groups_have_their_own_options(torch: Any, backend: Backend) -> None:
    def run(lib: Any, optim: Any) -> list[Any]:
        p, q = lib.tensor([1.0, 2.0], requires_grad=True), lib.tensor([1.0, 2.0], requires_grad=True)
        optimizer = optim.SGD([{"params": p, "lr": 1.0}, {"params": [q]}], lr=0.1, momentum=0.5)
        for step in range(3):
            optimizer.zero_grad()
            (p * p + q * q).sum().backward()
            optimizer.step()
            optimizer.param_groups[1]["lr"] = 0.2 * (step + 1)
        return [p, q]

    for x, other in zip(run(ad, optim), run(torch, torch.optim), strict=True):
        close(x, other)


def test_closure() -> None:
    p = ad.tensor(3.0, requires_grad=True)
    optimizer = optim.SGD([p], lr=0.1)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = p * p
        loss.backward()
        return loss

    with ad.no_grad():
        assert optimizer.step(closure).item() == 9
    assert p.item() == pytest.approx(2.4)
    assert optimizer.step() is None


@pytest.mark.parametrize("case", OPTIMIZERS)
def test_optimizer_goes_on_from_its_state(case: str, backend: Backend) -> None:
    name, options = OPTIMIZERS[case]
    target = ad.tensor([[1.0, 2.0, 3.0]])

    def start() -> tuple[Any, list[Any]]:
        ps = [ad.ones(1, 3, requires_grad=True), ad.full((3,), 0.5, requires_grad=True)]
        return getattr(optim, name)(ps, **options), ps

    whole, ps = start()
    trajectory(ad, whole, *ps, target, 3)
    state = pickle.loads(pickle.dumps(whole.state_dict()))
    middle = [p.detach().clone() for p in ps]
    trajectory(ad, whole, *ps, target, 3)
    resumed, qs = start()
    with ad.no_grad():
        for q, m in zip(qs, middle, strict=True):
            q.copy_(m)
    resumed.param_groups[0]["lr"] = 7.0
    resumed.load_state_dict(state)
    kept = {
        i: {k: v.tolist() if isinstance(v, ad.Tensor) else v for k, v in s.items()} for i, s in state["state"].items()
    }
    trajectory(ad, resumed, *qs, target, 3)
    assert all(v.tolist() == kept[i][k] for i, s in state["state"].items() for k, v in s.items() if k != "step")
    for p, q in zip(ps, qs, strict=True):
        close(q, p.detach().numpy())


@pytest.mark.parametrize(
    ("make", "key", "value"),
    [(optim.Adam, "exp_avg", 0.1), (lambda ps: optim.SGD(ps, momentum=0.9), "momentum_buffer", 1.0)],
)
def test_state_stays_as_it_was_taken(backend: Backend, make: Any, key: str, value: float) -> None:
    p = ad.ones(2, requires_grad=True)
    optimizer = make([p])
    p.grad = ad.ones(2)
    optimizer.step()
    state = optimizer.state_dict()["state"][0]
    optimizer.step()
    assert state.get("step", 1) == 1
    assert state[key].tolist() == pytest.approx([value, value])


def test_adam_in_half_precision(backend: Backend) -> None:
    for dtype in ("float16", "bfloat16"):
        p = ad.ones(2, dtype=dtype, requires_grad=True)
        optimizer = optim.Adam([p], lr=0.125)
        p.grad = ad.ones(2, dtype=dtype)
        optimizer.step()
        assert p.dtype.name == dtype
        assert p.tolist() == pytest.approx([0.875, 0.875], rel=1e-2)


def test_loading_another_optimizers_state_changes_nothing() -> None:
    p = ad.ones(2, requires_grad=True)
    sgd, adam = optim.SGD([p], lr=0.1, momentum=0.9), optim.Adam([p])
    p.grad = ad.ones(2)
    sgd.step()
    state = sgd.state_dict()
    with pytest.raises(ArgumentError, match="Adam.load_state_dict: the options differ in betas, .*another optimizer's"):
        adam.load_state_dict(state)
    with pytest.raises(ArgumentError, match="SGD.load_state_dict: expected what state_dict"):
        sgd.load_state_dict({})
    other = optim.SGD([p, ad.ones(1)], lr=0.1)
    with pytest.raises(ArgumentError, match=r"is for groups of \[1\] parameters; this optimizer has \[2\]"):
        other.load_state_dict(state)
    wide = optim.SGD([ad.ones(3)], lr=0.5)
    with pytest.raises(ArgumentError, match=r"momentum_buffer has shape \(2,\); the parameter has \(3,\)"):
        wide.load_state_dict(state)
    with pytest.raises(ArgumentError, match="lr must not be negative"):
        wide.load_state_dict({"state": {}, "param_groups": [{**state["param_groups"][0], "lr": -1}]})
    assert (wide.param_groups[0]["lr"], wide.state) == (0.5, {})


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda p: optim.SGD([p], lr=-0.1), ArgumentError, "SGD: lr must not be negative; got -0.1"),
        (lambda p: optim.SGD([p], lr=nan), ArgumentError, "lr must not be negative; got nan"),
        (lambda p: optim.SGD([p], momentum=-1), ArgumentError, "momentum must not be negative"),
        (lambda p: optim.SGD([p], weight_decay=-1), ArgumentError, "weight_decay must not be negative"),
        (lambda p: optim.SGD([p], nesterov=True), ArgumentError, "nesterov needs momentum above 0 and dampening 0"),
        (lambda p: optim.SGD([p], 0.1, 0.9, 0.1, 0, True), ArgumentError, r"got momentum=0\.9, dampening=0\.1"),
        (lambda p: optim.Adam([p], lr=-1), ArgumentError, "Adam: lr must not be negative"),
        (lambda p: optim.Adam([p], eps=-1), ArgumentError, "eps must not be negative"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), ArgumentError, r"betas must be two numbers.*got \(0\.9, 1\.0\)"),
        (lambda p: optim.Adam([p], betas=(0.9,)), ArgumentError, "betas must be two numbers"),
        (
            lambda p: optim.Adam([p.astype(ad.complex64).detach()]),
            DTypeError,
            r"shape \(2,\) is complex64; expected real",
        ),
        (lambda p: optim.SGD([]), ArgumentError, r"SGD: got no parameters; model\.parameters\(\) can be gone through"),
        (lambda p: optim.SGD(p), OperandError, r"expected an iterable of parameters; got Parameter; write \[tensor\]"),
        (lambda p: optim.SGD(nn.ReLU()), OperandError, r"got ReLU; write model\.parameters\(\)"),
        (lambda p: optim.SGD([1.0]), OperandError, "SGD: parameters are tensors; got float 1.0"),
        (lambda p: optim.SGD([p * 2]), AutogradError, r"shape \(2,\) is the result of MultiplyBackward, not a leaf"),
        (lambda p: optim.SGD([p, p]), ArgumentError, r"SGD: a parameter of shape \(2,\) is given twice"),
        (lambda p: optim.SGD([{"params": [p]}, {"params": p}]), ArgumentError, "is given twice"),
        (lambda p: optim.SGD([{"lr": 1}]), OperandError, "a group is a dict with the key 'params'; got {'lr': 1}"),
        (
            lambda p: optim.SGD([{"params": p, "rate": 1}]),
            ArgumentError,
            "there is no option rate; the options are lr, mom",
        ),
        (lambda p: optim.Optimizer([{"params": [p]}], {}).step(), NotImplementedError, "Optimizer defines no _update"),
    ],
)
def test_optimizer_misused(make: Any, error: Any, match: str) -> None:
    p = nn.Parameter(ad.ones(2))
    p.grad = ad.ones(2)
    with pytest.raises(error, match=match):
        make(p)


def test_optimizer_is_shown_with_its_options() -> None:
    shown = repr(optim.SGD([ad.ones(1), ad.ones(2)], lr=0.1))
    assert shown.startswith("SGD(\n  group 0: 2 parameters, lr=0.1, momentum=0.0")


# Training ---------------------------------------------------------------------------------------------------


def spirals(rng: Any) -> tuple[Any, Any]:
    """Two classes that no line parts."""
    t = np.linspace(0.5, 3, 60)
    points = [np.stack([t * np.cos(2 * t + s), t * np.sin(2 * t + s)], 1) for s in (0, np.pi)]
    x = np.concatenate(points) + rng.normal(size=(120, 2)) * 0.05
    return ad.tensor(x.astype(np.float32)), ad.tensor(np.repeat([0, 1], 60))


@pytest.mark.parametrize(
    "make", [lambda ps: optim.SGD(ps, 0.3, 0.9), lambda ps: optim.Adam(ps, 0.03)], ids=["sgd", "adam"]
)
def test_training_converges(make: Any, rng: Any, backend: Backend) -> None:
    ad.manual_seed(0)
    x, y = spirals(rng)
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 2))
    optimizer, criterion = make(model.parameters()), nn.CrossEntropyLoss()
    first = criterion(model(x), y).item()
    for _ in range(150):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * first
    assert (model(x).argmax(axis=1) == y).all()


def test_training_is_that_of_pytorch(torch: Any, rng: Any, backend: Backend) -> None:
    x, y = rng.normal(size=(16, 5)), rng.integers(0, 3, 16)

    def build(nn: Any) -> Any:
        return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))

    model, other = build(nn).to(ad.float64), build(torch.nn).double()
    model.load_state_dict({name: t.detach().numpy() for name, t in other.state_dict().items()})
    runs = [
        (model, optim.Adam(model.parameters(), 0.01), nn.CrossEntropyLoss(), ad.tensor(x), ad.tensor(y)),
        (
            other,
            torch.optim.Adam(other.parameters(), 0.01),
            torch.nn.CrossEntropyLoss(),
            torch.tensor(x),
            torch.tensor(y),
        ),
    ]
    losses = []
    for net, optimizer, criterion, inputs, labels in runs:
        losses.append([])
        for _ in range(20):
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)
    for name, t in other.state_dict().items():
        close(model.state_dict()[name], t, rtol=1e-8, atol=1e-10)


def count_live() -> int:
    return sum(issubclass(type(o), (ad.Tensor, Node)) for o in gc.get_objects())


def steps(n: int) -> Iterator[None]:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))
    optimizer, criterion = optim.Adam(model.parameters()), nn.CrossEntropyLoss()
    x, y = ad.randn(5, 4), ad.tensor([0, 1, 2, 1, 0])
    for _ in range(n):
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
        yield


def test_training_leaves_nothing_to_the_garbage_collector(backend: Backend) -> None:
    training = steps(320)
    for _ in itertools.islice(training, 10):
        pass  # gradients and running means exist now
    gc.collect()
    gc.disable()
    try:
        before = count_live()
        for _ in itertools.islice(training, 300):
            pass
        assert count_live() == before
    finally:
        gc.enable()


def test_samples_of_failures_are_checked() -> None:
    failing = [s for f in ad.FUNCTIONS.values() if f.name.startswith("nn.") for s in f.samples if isinstance(s, Fails)]
    assert len(failing) >= 10


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(("shape", "axis"), [((700, 300), 1), ((700, 300), 0), ((2, 400, 200), -1), ((3, 80_000), 1)])
def test_softmax_of_more_than_a_block(backend: Backend, name: str, shape: tuple[int, ...], axis: int) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    z = np.exp(x.astype(np.float64))
    expected = z / z.sum(axis, keepdims=True)
    found = getattr(ad.nn.functional, name)(ad.tensor(x), axis)
    assert_close(found, np.log(expected) if name == "log_softmax" else expected, check_dtype=False, rtol=1e-5)
