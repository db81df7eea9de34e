"""`autograd.forward_ad`: tensors that carry tangents, beside `func.jvp`, reverse mode and PyTorch."""

import gc
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

import polyad as ad
import polyad.autograd.forward_ad as fwAD
from polyad.backend import Backend
from polyad.errors import AutogradError, DeviceError, DTypeError, OperandError, ShapeError, TransformError
from polyad.func import grad, jvp, vmap
from polyad.testing import assert_close

pytestmark = pytest.mark.usefixtures("backend")


def tensor(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, dtype=ad.float64, **kwargs)


X, T = [0.3, -1.2, 2.0], [1.0, 0.5, -2.0]


def f(x: Any) -> Any:
    return (x**3).sum() * x.sin()


def moved(f: Callable[[Any], Any], x: Any, t: Any) -> tuple[Any, Any]:
    with fwAD.dual_level():
        return fwAD.unpack_dual(f(fwAD.make_dual(x, t)))


def test_as_jvp() -> None:
    x, t = tensor(X), tensor(T)
    for mine, other in zip(moved(f, x, t), jvp(f, (x,), (t,)), strict=True):
        assert_close(mine, other)
    z = ad.tensor([1 + 2j, -0.5j], dtype=ad.complex128)
    assert_close(moved(lambda z: z * z, z, z)[1], 2 * z * z)


def test_what_does_not_change_has_no_tangent() -> None:
    x = tensor(X)
    with fwAD.dual_level():
        dual = fwAD.make_dual(x, tensor(T))
        primal, tangent = fwAD.unpack_dual(x)
        assert primal is x
        assert tangent is None
        assert fwAD.unpack_dual(dual.detach()).tangent is None
        assert fwAD.unpack_dual(dual > 0).tangent is None
        assert fwAD.unpack_dual(ad.zeros_like(dual)).tangent is None
        assert fwAD.unpack_dual(dual).primal is x
    assert fwAD.unpack_dual(x) == (x, None)


def test_enter_and_exit() -> None:
    level = fwAD.enter_dual_level()
    y = fwAD.make_dual(tensor(X), tensor(T), level=level) ** 2
    tangent = fwAD.unpack_dual(y, level=level).tangent
    fwAD.exit_dual_level(level=level)
    assert tangent is not None
    assert_close(tangent, 2 * tensor(X) * tensor(T))
    with pytest.raises(TransformError, match="exit_dual_level: there is no level; write 'with forward_ad.dual_level"):
        fwAD.exit_dual_level()
    with pytest.raises(TransformError, match="exit_dual_level: the level has ended"):
        fwAD.exit_dual_level(level=level)
    outer = fwAD.enter_dual_level()
    inner = fwAD.enter_dual_level()
    with pytest.raises(TransformError, match="is not the innermost: end those first that began later"):
        fwAD.exit_dual_level(level=outer)
    fwAD.exit_dual_level()
    assert (inner.ended, outer.ended) == (True, False)
    fwAD.exit_dual_level()


def test_a_level_ends_with_its_block_whatever_happens() -> None:
    block = fwAD.dual_level()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), block:
            raise ZeroDivisionError
    with pytest.raises(TransformError, match="make_dual: there is no level"):
        fwAD.make_dual(tensor(X), tensor(T))


# With reverse mode ---------------------------------------------------------------------------------------------------


def test_reverse_over_forward() -> None:
    x, t = tensor(X, requires_grad=True), tensor(T, requires_grad=True)
    y, dy = moved(lambda x: f(x).sum(), x, t)
    (by_x,) = ad.autograd.grad(y, x, retain_graph=True)
    assert_close(by_x, grad(lambda x: f(x).sum())(x.detach()))
    dy.backward()
    plain = x.detach()
    assert_close(t.grad, by_x)
    assert_close(x.grad, jvp(grad(lambda x: f(x).sum()), (plain,), (t.detach(),))[1])


@pytest.mark.parametrize("by", ["leaf", "dual", "result"])
@pytest.mark.parametrize("create_graph", [False, True])
def test_forward_over_reverse(by: str, create_graph: bool) -> None:
    plain, t = tensor(X), tensor(T)
    expected = jvp(grad(lambda x: f(x).sum()), (plain,), (t,))
    x = tensor(X, requires_grad=True)
    with fwAD.dual_level():
        if by == "leaf":
            dual = fwAD.make_dual(plain, t).requires_grad_()
            (g,) = ad.autograd.grad(f(dual).sum(), dual, create_graph=create_graph)
        elif by == "dual":
            dual = fwAD.make_dual(x, t)
            (g,) = ad.autograd.grad(f(dual).sum(), dual, create_graph=create_graph)
        else:
            y = f(fwAD.make_dual(x * 1, t)).sum()
            (g,) = ad.autograd.grad(y, x, create_graph=create_graph)
        primal, tangent = fwAD.unpack_dual(g)
    assert tangent is not None
    assert_close(primal, expected[0])
    assert_close(tangent, expected[1])
    if create_graph and by != "leaf":
        (third,) = ad.autograd.grad(tangent.sum(), x)
        assert_close(third, grad(lambda x: jvp(grad(lambda x: f(x).sum()), (x,), (t,))[1].sum())(plain))


def test_backward_at_a_level() -> None:
    with fwAD.dual_level():
        dual = fwAD.make_dual(tensor(X), tensor(T)).requires_grad_()
        for _ in range(2):
            f(dual).sum().backward()
        assert dual.grad is not None
        tangent = fwAD.unpack_dual(dual.grad).tangent
        assert tangent is not None
        assert_close(tangent, 2 * jvp(grad(lambda x: f(x).sum()), (tensor(X),), (tensor(T),))[1])
        x = tensor(X, requires_grad=True)
        with pytest.raises(
            TransformError,
            match="backward: a leaf on .* would be left with a gradient of forward mode of .*autograd.grad",
        ):
            f(fwAD.make_dual(x, tensor(T))).sum().backward()
        assert x.grad is None
        with pytest.raises(AutogradError, match="nothing to go back through.*It is of forward mode of .*gives back"):
            fwAD.make_dual(tensor(X), tensor(T)).sum().backward()


# With vmap and functions ---------------------------------------------------------------------------------------------


def test_inside_vmap() -> None:
    xs, ts = ad.stack([tensor(X), tensor(T)]), ad.stack([tensor(T), tensor(X)])
    found = vmap(lambda x, t: moved(lambda x: x.sin() * x, x, t)[1])(xs, ts)
    assert_close(found, jvp(lambda x: x.sin() * x, (xs,), (ts,))[1])


def test_vmap_inside() -> None:
    xs, ts = ad.stack([tensor(X), tensor(T)]), ad.stack([tensor(T), tensor(X)])
    _, found = moved(vmap(lambda x: x.sin() * x), xs, ts)
    assert_close(found, jvp(lambda x: x.sin() * x, (xs,), (ts,))[1])
    _, gradients = moved(vmap(grad(lambda x: f(x).sum())), xs, ts)
    assert_close(gradients, jvp(vmap(grad(lambda x: f(x).sum())), (xs,), (ts,))[1])


def test_with_jvp() -> None:
    x, t = tensor(X), tensor(T)
    second = jvp(lambda x: jvp(f, (x,), (t,))[1], (x,), (t,))[1]
    assert_close(moved(lambda x: jvp(f, (x,), (t,))[1], x, t)[1], second)
    assert_close(jvp(lambda x: moved(f, x, t)[1], (x,), (t,))[1], second)
    assert_close(moved(lambda x: moved(f, x, t)[1], x, t)[1], second)


def test_nested_levels() -> None:
    x, t, s = tensor(X), tensor(T), tensor([0.1, 0.2, 0.3])
    with fwAD.dual_level() as outer:
        dual = fwAD.make_dual(x, t)
        with fwAD.dual_level():
            y = fwAD.make_dual(dual, s) ** 3
            value, along = fwAD.unpack_dual(y)
            assert fwAD.unpack_dual(value, level=outer).tangent is not None
            with pytest.raises(TransformError, match="unpack_dual: the tensor is of forward mode of forward mode of"):
                fwAD.unpack_dual(y, level=outer)
            only = fwAD.make_dual(x, s, level=outer)
            assert fwAD.unpack_dual(only).tangent is None
        assert along is not None
        first, second = fwAD.unpack_dual(along)
    assert second is not None
    assert_close(first, 3 * x**2 * s)
    assert_close(second, 6 * x * s * t)


# Bad input -----------------------------------------------------------------------------------------------------------


def test_bad_input(backend: Backend) -> None:
    x, t = tensor(X), tensor(T)
    with fwAD.dual_level():
        for arguments, error, match in [
            ((3.0, t), OperandError, "make_dual: tensor is float 3.0; expected a tensor"),
            ((x, None), OperandError, "make_dual: tangent is NoneType None; expected a tensor"),
            ((ad.tensor([1, 2, 3]), t), DTypeError, r"make_dual: tensor is int64.*write tensor.float\(\)"),
            ((x, ad.tensor([1, 2, 3])), DTypeError, r"make_dual: tangent is int64.*write tangent.float\(\)"),
            ((x, t[:2]), ShapeError, r"make_dual: tangent has shape \(2,\); expected \(3,\)"),
            ((x, t.float()), DTypeError, r"make_dual: tangent is float32; expected float64.*tangent.astype"),
            ((fwAD.make_dual(x, t), t), TransformError, "make_dual: tensor has a tangent of this level already"),
            ((x, fwAD.make_dual(x, t)), TransformError, "make_dual: tangent has a tangent of this level already"),
        ]:
            with pytest.raises(error, match=match):
                fwAD.make_dual(*arguments)
        with pytest.raises(OperandError, match="make_dual: level is 3; expected what enter_dual_level"):
            fwAD.make_dual(x, t, level=3)  # type: ignore[arg-type]
        with pytest.raises(OperandError, match="unpack_dual: tensor is int 3; expected a tensor"):
            fwAD.unpack_dual(3)  # type: ignore[arg-type]
        for name, call in [("make_dual", lambda x: fwAD.make_dual(x, x)), ("unpack_dual", fwAD.unpack_dual)]:
            with pytest.raises(TransformError, match=f"{name}: .* is of vmap of .*, which began inside the dual_level"):
                vmap(lambda x, call=call: call(x))(fwAD.make_dual(x, t))
        with pytest.raises(TransformError, match="levels in progress|not the innermost"):
            vmap(lambda x: fwAD.exit_dual_level() or x)(x)
    other = "jax" if backend.name == "numpy" else "numpy"
    if other == "numpy" or find_spec("jax") is not None:
        with fwAD.dual_level(), pytest.raises(DeviceError, match="make_dual: tangent is on backend .*expected backend"):
            fwAD.make_dual(x, ad.tensor(T, dtype=ad.float64, backend=other))


def test_after_the_end() -> None:
    x = tensor(X)
    with fwAD.dual_level():
        dual = fwAD.make_dual(x, tensor(T))
        leaf = fwAD.make_dual(x, tensor(T)).requires_grad_()
    uses: list[Callable[[], Any]] = [
        lambda: dual * 2,
        lambda: dual + x,
        lambda: x + dual,
        lambda: dual.sum(),
        lambda: dual.exp(),
        lambda: dual.reshape(3, 1),
        lambda: ad.stack([dual, dual]),
        lambda: ad.concat([x, dual]),
        lambda: leaf * leaf,
        lambda: fwAD.unpack_dual(dual),
        lambda: vmap(lambda a: a * 2)(dual),
        lambda: vmap(lambda a: a * dual[0])(x),
        lambda: grad(lambda a: a.sum())(dual),
        lambda: jvp(lambda a: a * dual, (x,), (x,)),
    ]
    for use in uses:
        with pytest.raises(
            TransformError, match="a tensor of forward mode of .* is used after its dual_level has ended"
        ):
            use()
    assert repr(dual).startswith("tensor([ 0.3000, -1.2000,  2.0000], dtype=polyad.float64")


def test_leaving_a_level_leaves_nothing_behind() -> None:
    with fwAD.dual_level() as level:
        f(fwAD.make_dual(tensor(X), tensor(T)))
    import weakref

    gone = weakref.ref(level)
    del level
    gc.collect()
    assert gone() is None


# How it is shown -----------------------------------------------------------------------------------------------------


def test_shown() -> None:
    x = ad.tensor([1.0, 2.0])
    with fwAD.dual_level():
        dual = fwAD.make_dual(x, ad.tensor([3.0, 4.0]))
        assert repr(dual) == "tensor([1., 2.], tangent=tensor([3., 4.]))"
        assert repr(dual * dual) == "tensor([1., 4.], tangent=tensor([ 6., 16.]))"
        assert repr(dual.detach()) == "tensor([1., 2.])"
        assert repr(dual.double()) == (
            "tensor([1., 2.], dtype=polyad.float64,\n       tangent=tensor([3., 4.], dtype=polyad.float64))"
        )
        leaf = dual.detach().requires_grad_()
        assert repr(leaf) == "tensor([1., 2.], requires_grad=True)"
    shown = []
    vmap(lambda a, b: shown.append((repr(a), repr(b))) or a, (0, None))(x, x)
    assert shown == [("tensor([1., 2.], examples=2)", "tensor([1., 2.])")]
    vmap(lambda a: shown.append(repr(jvp(lambda b: shown.append(repr(b)) or b, (a,), (a,)))) or a)(x)
    assert shown[1] == "tensor([1., 2.], examples=2, tangent=tensor([1., 2.], examples=2))"


loads_scripts = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")


@loads_scripts
def test_shown_as_pytorch_does() -> None:
    torch = pytest.importorskip("torch")
    import torch.autograd.forward_ad as theirs

    for values, tangent in [([1.0, 2.0], [3.0, 4.0]), ([[1.5, 2.0]], [[0.1, 1e6]])]:
        with fwAD.dual_level(), theirs.dual_level():
            mine = fwAD.make_dual(ad.tensor(values), ad.tensor(tangent))
            other = theirs.make_dual(torch.tensor(values), torch.tensor(tangent))
            assert repr(mine) == repr(other)
            assert repr(fwAD.unpack_dual(mine)) == repr(theirs.unpack_dual(other))


@loads_scripts
def test_beside_pytorch() -> None:
    torch = pytest.importorskip("torch")
    import torch.autograd.forward_ad as theirs

    def program(lib: Any, fw: Any) -> list[Any]:
        x = lib.tensor(X, dtype=lib.float64, requires_grad=True)
        t = lib.tensor(T, dtype=lib.float64, requires_grad=True)
        with fw.dual_level():
            dual = fw.make_dual(x, t)
            y = (dual.sin() * dual * dual).sum()
            (g,) = lib.autograd.grad(y, x, create_graph=True)
            value, tangent = fw.unpack_dual(y)
            gradient, hvp = fw.unpack_dual(g)
            outside = fw.unpack_dual(x.detach())[1]
        found = [value, tangent, gradient, hvp, *lib.autograd.grad(tangent, (x, t), retain_graph=True)]
        found += lib.autograd.grad(hvp.sum(), (x, t))
        assert outside is None
        return [v.tolist() for v in found]

    for mine, other in zip(program(ad, fwAD), program(torch, theirs), strict=True):
        assert mine == pytest.approx(other)


def test_loaded_when_asked_for() -> None:
    assert ad.autograd.forward_ad is fwAD
