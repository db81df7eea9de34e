"""Functions of functions: against mathematics, against each other, and against ``torch.func`` where it is installed."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad import func
from polyad.backend import Backend
from polyad.errors import ArgumentError, AutogradError, DTypeError, OperandError, ShapeError, TransformError
from polyad.testing import assert_close as tensors_close


def tensor(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, dtype=ad.float64, **kwargs)


def assert_close(actual: Any, expected: Any, **kwargs: Any) -> None:
    tensors_close(actual, np.asarray(expected) if isinstance(expected, float) else expected, **kwargs)


X = [0.5, -1.0, 2.0]


def f(x: Any) -> Any:
    """A number of a vector, with a Hessian that is not diagonal."""
    return (ad.sin(x) * x * x[0]).sum() + ad.exp(x[1] * x[2])


def numerical(call: Callable[[np.ndarray], Any], x: Any, step: float = 1e-5) -> np.ndarray:
    """The Jacobian by central differences."""
    x = np.array(x, float)
    rows = []
    for i in np.ndindex(x.shape):
        d = np.zeros_like(x)
        d[i] = step
        rows.append((np.asarray(call(x + d)) - np.asarray(call(x - d))) / (2 * step))
    return np.moveaxis(np.array(rows), 0, -1).reshape(*np.asarray(call(x)).shape, *x.shape)


def value(x: np.ndarray) -> Any:
    return f(tensor(x)).numpy()


def gradient(x: np.ndarray) -> Any:
    return func.grad(f)(tensor(x)).numpy()


# grad ---------------------------------------------------------------------------------------------------------


def test_grad_is_the_slope(backend: Backend) -> None:
    assert_close(func.grad(f)(tensor(X)), numerical(value, X), rtol=1e-6, atol=1e-8)
    assert not func.grad(f)(tensor(X)).requires_grad


def test_grad_of_several_arguments_and_containers(backend: Backend) -> None:
    def loss(params: dict[str, Any], x: Any, *, scale: float) -> Any:
        a, (b, c) = params["a"], params["rest"]
        return scale * (a * x + b).sum() * c

    params = {"a": tensor([1.0, 2.0]), "rest": [tensor(3.0), tensor(0.5)]}
    x = tensor([4.0, 5.0])
    found = func.grad(loss)(params, x, scale=2.0)
    assert_close(found["a"], np.array([4.0, 5.0]))
    assert isinstance(found["rest"], list)
    assert_close(found["rest"][0], 2.0)
    assert_close(found["rest"][1], 2 * (4 + 10 + 6.0))
    by_both = func.grad(loss, (1, 0))(params, x, scale=2.0)
    assert_close(by_both[0], np.array([1.0, 2.0]))
    assert_close(by_both[1]["a"], found["a"])
    assert_close(func.grad(loss, argnums=-1)(params, x, scale=2.0), by_both[0])


def test_values_and_what_is_returned_beside(backend: Backend) -> None:
    x = tensor(3.0)

    def cube(x: Any) -> Any:
        return x**3, {"square": x**2, "name": "cube"}

    gradient, aux = func.grad(cube, has_aux=True)(x)
    assert_close(gradient, 27.0)
    assert aux["name"] == "cube"
    assert_close(aux["square"], 9.0)
    assert not aux["square"].requires_grad
    (y, aux), gradient = func.value_and_grad(cube, has_aux=True)(x)
    assert_close(y, 27.0)
    assert not y.requires_grad
    gradient, (y, aux) = func.grad_and_value(cube, has_aux=True)(x)
    assert_close(gradient, 27.0)


def test_grad_of_grad(backend: Backend) -> None:
    derivative: Callable[..., Any] = ad.sin
    for order in range(1, 5):
        derivative = func.grad(derivative)
        assert_close(derivative(tensor(0.7)), math.sin(0.7 + order * math.pi / 2))


def test_what_does_not_matter_has_zeros(backend: Backend) -> None:
    assert_close(func.grad(lambda x, y: y * 2, 0)(tensor([1.0, 2.0]), tensor(1.0)), np.zeros(2))
    assert_close(func.grad(lambda x: tensor(1.0))(tensor([1.0, 2.0])), np.zeros(2))


def test_a_gradient_has_history_where_something_outside_has(backend: Backend) -> None:
    w = tensor([2.0, 3.0], requires_grad=True)
    found = func.grad(lambda x: (w * x * x).sum())(tensor([1.0, 4.0]))
    assert found.requires_grad
    (second,) = ad.autograd.grad(found.sum(), w)
    assert_close(second, np.array([2.0, 8.0]))
    x = tensor([1.0, 4.0], requires_grad=True)
    found = func.grad(lambda x: (x**3).sum())(x)
    (second,) = ad.autograd.grad(found.sum(), x)
    assert_close(second, 6 * np.array([1.0, 4.0]))
    assert x.grad is None
    with ad.no_grad():
        assert not func.grad(lambda x: (w * x).sum())(x).requires_grad
    assert w.grad is None


def test_no_grad_inside_counts_as_constant(backend: Backend) -> None:
    def half(x: Any) -> Any:
        with ad.no_grad():
            c = x * 2
        return (x * c).sum()

    assert_close(func.grad(half)(tensor([1.0, 2.0])), np.array([2.0, 4.0]))


# vjp, jvp, linearize ------------------------------------------------------------------------------------------


def two(x: Any, p: dict[str, Any]) -> Any:
    return {"y": ad.sin(x) * p["w"], "n": (x * x).sum()}


def test_vjp_and_jvp_are_transposes(backend: Backend) -> None:
    x, p = tensor(X), {"w": tensor(2.0)}
    t, q = tensor([1.0, 0.5, -1.0]), {"w": tensor(0.3)}
    out, back = func.vjp(two, x, p)
    cotangent = {"y": tensor([0.2, 0.4, -0.6]), "n": tensor(1.5)}
    gx, gp = back(cotangent)
    same, moved = func.jvp(two, (x, p), (t, q))
    assert_close(out["y"], same["y"])
    left = (cotangent["y"] * moved["y"]).sum() + cotangent["n"] * moved["n"]
    assert_close(left, (gx * t).sum() + gp["w"] * q["w"])
    assert_close(back(cotangent)[0], gx)  # again, from the same graph
    y, push = func.linearize(two, x, p)
    assert_close(y["y"], out["y"])
    for _ in range(2):
        assert_close(push(t, q)["y"], moved["y"])
        assert_close(push(t, q)["n"], moved["n"])


def test_linearize_runs_the_function_once(backend: Backend) -> None:
    calls = []

    def counted(x: Any) -> Any:
        calls.append(1)
        return ad.sin(x) * x

    _, push = func.linearize(counted, tensor(X))
    for _ in range(3):
        push(tensor(X))
    assert len(calls) == 1


def test_perturbations_are_not_confused(backend: Backend) -> None:
    """Each derivative is by its own variable, though both are moved at once (Siskind and Pearlmutter, 2005)."""

    def d(g: Callable[..., Any], x: Any) -> Any:
        return func.jvp(g, (x,), (ad.ones_like(x),))[1]

    def r(g: Callable[..., Any], x: Any) -> Any:
        return func.grad(g)(x)

    for outer in (d, r):
        for inner in (d, r):
            found = outer(lambda x, d=inner: x * d(lambda y, x=x: x + y, tensor(1.0)), tensor(1.0))
            assert_close(found, 1.0)
            found = outer(lambda x, d=inner: x * d(lambda y, x=x: x * y * y, tensor(3.0)), tensor(2.0))
            assert_close(found, 24.0)  # of x * 6 x


# Jacobians ----------------------------------------------------------------------------------------------------


def test_jacobians_agree(backend: Backend) -> None:
    def g(x: Any) -> Any:
        return ad.stack([x[0] * x[1], ad.sin(x[2]), (x * x).sum(), x[1]])

    expected = numerical(lambda x: g(tensor(x)).numpy(), X)
    assert_close(func.jacrev(g)(tensor(X)), expected, rtol=1e-6, atol=1e-8)
    assert_close(func.jacfwd(g)(tensor(X)), func.jacrev(g)(tensor(X)))
    assert_close(func.jacrev(g, chunk_size=3)(tensor(X)), func.jacrev(g)(tensor(X)))


def test_jacobians_of_containers(backend: Backend) -> None:
    def g(p: dict[str, Any], x: Any) -> Any:
        return {"y": p["w"] * x, "z": [x.sum() * p["b"]]}

    p, x = {"w": tensor([[1.0, 2.0], [3.0, 4.0]]), "b": tensor(5.0)}, tensor([6.0, 7.0])
    for jacobian in (func.jacrev, func.jacfwd):
        by_p, by_x = jacobian(g, (0, 1))(p, x)["y"]
        assert by_p["w"].shape == (2, 2, 2, 2)
        assert by_p["b"].shape == (2, 2)
        assert_close(by_p["b"], np.zeros((2, 2)))
        assert_close(by_x, np.array([[[1.0, 0], [0, 2]], [[3, 0], [0, 4]]]))
        assert_close(jacobian(g)(p, x)["z"][0]["b"], 13.0)
        found, aux = jacobian(lambda x: (x * 2, {"a": x + 1, "n": 3}), has_aux=True)(x)
        assert_close(found, 2 * np.eye(2))
        assert_close(aux["a"], np.array([7.0, 8.0]))
        assert aux["n"] == 3


def test_hessians_agree(backend: Backend) -> None:
    x = tensor(X)
    expected = numerical(gradient, X)
    full = func.hessian(f)(x)
    assert_close(full, expected, rtol=1e-6, atol=1e-8)
    for other in (
        func.jacrev(func.jacrev(f)),
        func.jacrev(func.jacfwd(f)),
        func.jacfwd(func.jacfwd(f)),
        func.jacrev(func.grad(f)),
    ):
        assert_close(other(x), full)
    v = tensor([1.0, -2.0, 0.5])
    assert_close(func.hvp(f, x, v), full @ v)
    assert_close(func.vhp(f, x, v), v @ full)
    assert_close(func.hvp(f, (x,), (v,))[0], full @ v)


def test_second_derivatives_of_linear_functions_are_zeros(backend: Backend) -> None:
    x = tensor(X)
    assert_close(func.hessian(lambda x: (3 * x).sum())(x), np.zeros((3, 3)))
    assert_close(func.hvp(lambda x: (3 * x).sum(), x, x), np.zeros(3))
    assert_close(func.vhp(lambda x: (3 * x).sum(), x, x), np.zeros(3))


def test_jacobians_of_nothing(backend: Backend) -> None:
    x = ad.zeros((0, 2), dtype=ad.float64)
    for jacobian in (func.jacrev, func.jacfwd):
        assert jacobian(lambda x: x * 2)(x).shape == (0, 2, 0, 2)
        assert jacobian(lambda x: x.sum())(x).shape == (0, 2)


# vmap ---------------------------------------------------------------------------------------------------------


def test_examples_along_any_dimension(backend: Backend) -> None:
    x, y = tensor(np.arange(6.0).reshape(2, 3)), tensor(np.arange(12.0).reshape(3, 2, 2))
    expected = np.stack([x.numpy()[:, i] @ y.numpy()[i] for i in range(3)])
    assert_close(func.vmap(lambda a, b: a @ b, (1, 0))(x, y), expected)
    assert_close(func.vmap(lambda a, b: a @ b, [-1, 0], -1)(x, y), expected.T)
    together = func.vmap(lambda p: {"n": p["a"] @ p["b"], "same": tensor(1.0)}, ({"a": 1, "b": 0},))({"a": x, "b": y})
    assert_close(together["n"], expected)
    assert_close(together["same"], np.ones(3))
    assert_close(func.vmap(lambda a: a * 2, out_dims=1, chunk_size=2)(y), 2 * np.moveaxis(y.numpy(), 0, 1))
    assert_close(func.vmap(lambda a: tensor(2.0), out_dims=None)(y), 2.0)


def test_pairs_by_nesting(backend: Backend) -> None:
    xs, ys = tensor(np.arange(6.0).reshape(2, 3)), tensor(np.arange(12.0).reshape(4, 3))

    def kernel(x: Any, y: Any) -> Any:
        return ad.exp(-((x - y) ** 2).sum() / 50)

    def all_pairs(g: Callable[..., Any]) -> Any:
        return func.vmap(lambda x: func.vmap(lambda y: g(x, y))(ys))(xs)

    difference = xs.numpy()[:, None] - ys.numpy()
    expected = np.exp(-(difference**2).sum(-1) / 50)
    assert_close(all_pairs(kernel), expected)
    assert_close(all_pairs(func.grad(kernel)), -difference / 25 * expected[..., None])


def test_gradients_flow_through_vmap(backend: Backend) -> None:
    x = tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    w = tensor([1.0, 2.0], requires_grad=True)
    out = func.vmap(lambda row: ad.sin(row * w).sum())(x)
    out.sum().backward()
    expected = np.cos(x.detach().numpy() * w.detach().numpy())
    assert x.grad is not None
    assert w.grad is not None
    assert_close(x.grad, expected * w.detach().numpy())
    assert_close(w.grad, (expected * x.detach().numpy()).sum(0))
    per_example = func.vmap(func.grad(lambda w, row: (ad.sin(row * w)).sum()), (None, 0))(w, x)
    assert_close(per_example, expected * x.detach().numpy())
    (second,) = ad.autograd.grad(per_example.sum(), w)
    assert_close(second, (-np.sin(x.detach().numpy() * w.detach().numpy()) * x.detach().numpy() ** 2).sum(0))


def test_ensembles(backend: Backend) -> None:
    models = [ad.nn.Linear(3, 2) for _ in range(4)]
    parameters, buffers = func.stack_module_state(models)
    x = ad.tensor(np.linspace(-1, 1, 15).reshape(5, 3), dtype=ad.float32)
    found = func.vmap(lambda p, b: func.functional_call(models[0], (p, b), x))(parameters, buffers)
    assert_close(found, ad.stack([m(x) for m in models]))
    found.sum().backward()
    grads = parameters["weight"].grad
    assert grads is not None
    assert_close(grads[0], np.broadcast_to(x.numpy().sum(0), (2, 3)))
    assert models[0].weight.grad is None


# Bad input ----------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "grad of a vector": (
        lambda: func.grad(lambda x: x * 2)(tensor(X)),
        ShapeError,
        r"grad: the function returned a tensor of shape \(3,\); expected one of no dim.*y.sum\(\), or .*jacrev",
    ),
    "grad of a container": (
        lambda: func.grad(lambda x: (x.sum(), x))(tensor(X)),
        OperandError,
        r"grad: the function returned \(\*, \*\); expected one tensor.*has_aux=True",
    ),
    "grad of a number": (
        lambda: func.grad(lambda x: 3.0)(tensor(X)),
        OperandError,
        "grad: what the function returned has 3.0, a float; expected tensors. Write polyad.tensor",
    ),
    "grad of a complex number": (
        lambda: func.grad(lambda x: (x * 1j).sum())(tensor(X)),
        OperandError,
        r"grad: the function returned a tensor of complex128; expected a real .* Write y.real, abs\(y\)",
    ),
    "by integers": (
        lambda: func.grad(lambda x: x.sum())(ad.arange(3)),
        DTypeError,
        r"grad: an argument has a tensor of int64, which has no derivatives; write x.float\(\)",
    ),
    "by a number": (
        lambda: func.grad(lambda x: x)(3.0),
        OperandError,
        r"grad: an argument has 3.0, a float; expected tensors. Write polyad.tensor\(...\)",
    ),
    "no such argument": (
        lambda: func.grad(lambda x: x.sum(), 1)(tensor(X)),
        ArgumentError,
        "grad: argnums is 1; expected an int or a tuple of ints, each the position of one of the 1 arguments",
    ),
    "an argument twice": (
        lambda: func.grad(lambda x: x.sum(), (0, -1))(tensor(X)),
        ArgumentError,
        r"grad: argnums names an argument twice: \(0, -1\)",
    ),
    "no pair": (
        lambda: func.grad(lambda x: x.sum(), has_aux=True)(tensor(X)),
        OperandError,
        r"grad: with has_aux=True the function returns a pair, \(result, anything else\); it returned tensor",
    ),
    "no function": (lambda: func.vmap(3), OperandError, "vmap: func is a int, 3; expected a function"),  # type: ignore[arg-type]
    "cotangent of another shape": (
        lambda: func.vjp(ad.sin, tensor(X))[1](tensor([1.0])),
        ShapeError,
        r"vjp_fn: the cotangent has a tensor of shape \(1,\); expected \(3,\), as what the function returned",
    ),
    "tangent of another shape": (
        lambda: func.jvp(ad.sin, (tensor(X),), (tensor([1.0]),)),
        ShapeError,
        r"jvp: tangents has a tensor of shape \(1,\); expected \(3,\), as primals",
    ),
    "tangent of another type": (
        lambda: func.jvp(ad.sin, (tensor(X),), (ad.ones(3),)),
        DTypeError,
        r"jvp: tangents has a tensor of float32; expected float64, as primals; write t.astype\(polyad.float64\)",
    ),
    "tangents nested otherwise": (
        lambda: func.jvp(ad.sin, (tensor(X),), ({"x": tensor(X)},)),
        ArgumentError,
        r"jvp: tangents is nested as \(\{'x': \*\},\); expected \(\*,\), as primals",
    ),
    "primals without a tuple": (
        lambda: func.jvp(ad.sin, tensor(X), tensor(X)),  # type: ignore[arg-type]
        OperandError,
        r"jvp: primals is a Tensor; expected a tuple of one for each argument, as \(x,\)",
    ),
    "strict jvp": (
        lambda: func.jvp(lambda x: tensor(1.0), (tensor(X),), (tensor(X),), strict=True),
        OperandError,
        r"jvp: result 0, of shape \(\), does not depend on the arguments; strict=False gives zeros",
    ),
    "different numbers of examples": (
        lambda: func.vmap(lambda a, b: a * b)(tensor(X), tensor([1.0, 2.0])),
        ShapeError,
        r"vmap: arguments have different numbers of examples: tensor 0 of shape \(3,\) has 3 along .*has 2",
    ),
    "in_dims of another length": (
        lambda: func.vmap(lambda a: a, (0, 0))(tensor(X)),
        ArgumentError,
        r"vmap: in_dims has 2 entries, \(0, 0\), for 1 arguments",
    ),
    "in_dims nested otherwise": (
        lambda: func.vmap(lambda a: a["x"], ({"y": 0},))({"x": tensor(X)}),
        ArgumentError,
        r"vmap: in_dims\[0\] is \{'y': 0\}, which does not match the arguments\[0\], nested as \{'x': \*\}",
    ),
    "no examples": (
        lambda: func.vmap(lambda a: a, None)(tensor(X)),
        ArgumentError,
        "vmap: no argument has examples: in_dims is None for all",
    ),
    "examples along a dimension that is not there": (
        lambda: func.vmap(lambda a: a, 1)(tensor(X)),
        IndexError,
        "vmap: in_dims: axis 1 is out of range for 1 dim",
    ),
    "examples of a number": (
        lambda: func.vmap(lambda a, b: a * b)(tensor(X), 2.0),
        OperandError,
        "vmap: in_dims has 0 for 2.0, a float; expected a tensor. Write None in in_dims for what is the same",
    ),
    "examples of a tensor without dimensions": (
        lambda: func.vmap(lambda a: a)(tensor(1.0)),
        ShapeError,
        "vmap: in_dims has 0 for a tensor of no dimensions; write None",
    ),
    "results that are no tensors": (
        lambda: func.vmap(lambda a: (a, 3))(tensor(X)),
        OperandError,
        "vmap: the function returned 3, a int; expected tensors",
    ),
    "a result that differs, said to be one": (
        lambda: func.vmap(lambda a: a, out_dims=None)(tensor(X)),
        ArgumentError,
        "vmap: out_dims is None for a result that differs from example to example",
    ),
    "a branch on an example's value": (
        lambda: func.vmap(lambda a: a if a > 0 else -a)(tensor(X)),
        OperandError,
        r"item: the tensor has no values yet, because vmap runs the function on all examples at once; .* where\(",
    ),
    "unknown randomness": (
        lambda: func.vmap(ad.sin, randomness="some"),
        ArgumentError,
        "vmap: randomness is 'some'; expected 'error', 'different' or 'same'",
    ),
    "unknown parameters": (
        lambda: func.functional_call(ad.nn.Linear(2, 1), {"wieght": ad.ones(1, 2)}, ad.ones(2)),
        ArgumentError,
        "functional_call: the module has no parameter or buffer 'wieght'; it has 'weight', 'bias'",
    ),
    "missing parameters": (
        lambda: func.functional_call(ad.nn.Linear(2, 1), {"weight": ad.ones(1, 2)}, ad.ones(2), strict=True),
        ArgumentError,
        "functional_call: strict=True, and there is nothing for 'bias'",
    ),
    "no module": (
        lambda: func.functional_call(ad.sin, {}, ad.ones(2)),
        OperandError,
        r"functional_call: expected a module, with named_parameters\(\)",
    ),
    "models of different shapes": (
        lambda: func.stack_module_state([ad.nn.Linear(2, 1), ad.nn.Linear(3, 1)]),
        ArgumentError,
        "stack_module_state: 'weight' is not in all models, or has different shapes",
    ),
    "a complex Hessian": (
        lambda: func.hvp(lambda x: abs(x).sum(), ad.ones(2, dtype=ad.complex128), ad.ones(2, dtype=ad.complex128)),
        DTypeError,
        "hvp: a Hessian is one by real numbers",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(backend: Backend, name: str) -> None:
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()


def test_a_tensor_that_leaves_its_transform(backend: Backend) -> None:
    kept: list[Any] = []
    func.vmap(lambda x: kept.append(x) or x * 2)(tensor(X))
    for use in (
        lambda: kept[0] + tensor(X),
        lambda: func.grad(f)(kept[0]),
        lambda: func.vmap(lambda y: y * kept[0])(tensor(X)),
    ):
        with pytest.raises((TransformError, ad.errors.DeviceError), match="vmap of .*function that was transformed"):
            use()


def test_a_module_keeps_its_parameters_when_a_call_fails(backend: Backend) -> None:
    layer = ad.nn.Linear(2, 1)
    before = layer.weight
    with pytest.raises(ShapeError):
        func.functional_call(layer, {"weight": ad.ones(1, 3)}, ad.ones(2))
    assert layer.weight is before
    with pytest.raises(AutogradError):
        func.functional_call(layer, {"weight": ad.ones(1, 2)}, ad.ones(2)).backward(inputs=[ad.ones(1)])


# Functions of others ------------------------------------------------------------------------------------------


def test_a_kernel_without_a_body_runs_once_for_each_example_and_says_so() -> None:
    calls: list[int] = []

    def kernel(x: Any) -> Any:
        calls.append(1)
        return np.sort(x)[::-1].copy()

    @ad.function(name="test_backwards", x=lambda g: g)
    def backwards(x: ad.Tensor, /) -> ad.Tensor:
        """A function whose kernel nobody can look into."""

    x = tensor(np.arange(12.0).reshape(4, 3), backend="numpy")
    x.device.kernels[backwards.function] = kernel
    with pytest.warns(UserWarning, match=r"vmap: test_backwards of polyad .* its kernel runs 4 times, once for each"):
        found = func.vmap(backwards)(x)
    assert len(calls) == 4
    assert_close(found, np.sort(x.numpy())[:, ::-1])


def test_a_body_is_enough_for_many_examples_and_forward_mode(backend: Backend) -> None:
    @ad.function(name="test_geometric_mean")
    def geometric_mean(xp: ad.XP, x: ad.Tensor, /) -> ad.Tensor:
        """A function of a plugin, on every backend."""
        return xp.exp(xp.mean(xp.log(x)))  # type: ignore[no-any-return]

    x = tensor(np.arange(1.0, 13.0).reshape(4, 3))
    expected = np.exp(np.log(x.numpy()).mean(1))
    assert_close(func.vmap(geometric_mean)(x), expected)
    assert_close(func.vmap(func.grad(geometric_mean))(x), expected[:, None] / x.numpy() / 3)
    assert_close(func.jacfwd(geometric_mean)(x[0]), expected[0] / x.numpy()[0] / 3)


def test_a_rule_without_a_body_has_forward_mode(backend: Backend) -> None:
    @ad.function(name="test_mirrored", x=lambda g, xp: xp.flip(g))
    def mirrored(xp: ad.XP, x: ad.Tensor, /) -> ad.Tensor:
        """Elements in reverse order; forward mode is its rule transposed."""
        return xp.flip(x)  # type: ignore[no-any-return]

    x, t = tensor(X), tensor([1.0, 2.0, 3.0])
    assert_close(func.jvp(mirrored, (x,), (t,))[1], np.array([3.0, 2.0, 1.0]))
