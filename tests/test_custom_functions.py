"""`autograd.Function`: operations with a derivative of the user's own, on every backend and beside PyTorch."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import polyad as ad
from polyad import errors
from polyad.autograd.function import once_differentiable
from polyad.backend import Backend
from polyad.testing import assert_close, gradcheck, gradgradcheck

pytestmark = pytest.mark.usefixtures("backend")


def leaf(values: Any, **kwargs: Any) -> ad.Tensor:
    return ad.tensor(values, requires_grad=True, **kwargs)


def beside_torch(program: Callable[[Any], Any]) -> None:
    """Run a program with polyad, and with PyTorch, and compare the lists of numbers that it gives."""
    torch = pytest.importorskip("torch")
    mine, theirs = program(ad), program(torch)
    assert mine == theirs


class Cube(ad.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


class Exp(ad.autograd.Function):
    """With a context of its own, and the result kept."""

    @staticmethod
    def forward(x: Any) -> Any:
        return x.exp()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.saved_tensors[0]


class Product(ad.autograd.Function):
    """Two results of two inputs and a number."""

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any, factor: float) -> Any:
        ctx.save_for_backward(x, y)
        ctx.factor = factor
        return x * y * factor, x + y

    @staticmethod
    def backward(ctx: Any, g: Any, h: Any) -> Any:
        x, y = ctx.saved_tensors
        return g * y * ctx.factor + h, g * x * ctx.factor + h, None


@pytest.mark.parametrize("dtype", [ad.float64, ad.complex128])
def test_derivatives_to_second_order(dtype: Any) -> None:
    x, y = leaf([1.5, -0.5], dtype=dtype), leaf([0.5, 2.0], dtype=dtype)
    if not dtype.is_complex:
        assert gradcheck(Cube.apply, x)
        assert gradgradcheck(Cube.apply, x)
        assert gradcheck(Exp.apply, x)
        assert gradgradcheck(Exp.apply, x)
        assert gradcheck(lambda a, b: Product.apply(a, b, 3.0), (x, y))
        assert gradgradcheck(lambda a, b: Product.apply(a, b, 3.0), (x, y))
    else:

        class Conj(ad.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Any, y: Any) -> Any:
                ctx.save_for_backward(x, y)
                return x * y

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:  # as in PyTorch, with the conjugates of what the result is linear in
                x, y = ctx.saved_tensors
                return g * y.conj(), g * x.conj()

        assert gradcheck(Conj.apply, (x, y))
        assert gradgradcheck(Conj.apply, (x, y))


def test_third_derivative_goes_through_the_result() -> None:
    x = leaf(0.5)
    y = Exp.apply(x)
    for _ in range(3):
        (y,) = ad.autograd.grad(y, x, create_graph=True)
    assert_close(y.detach(), x.detach().exp())


def test_beside_pytorch() -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []

        class Mixed(lib.autograd.Function):  # type: ignore[name-defined, misc]
            @staticmethod
            def forward(ctx: Any, x: Any, n: int, y: Any) -> Any:
                ctx.save_for_backward(x, None, y)
                ctx.n = n
                seen.append((x.requires_grad, ctx.needs_input_grad))
                counts = (x > 1).sum()
                ctx.mark_non_differentiable(counts)
                return x * n + y, counts, "text"

            @staticmethod
            def backward(ctx: Any, g: Any, *rest: Any) -> Any:
                _, nothing, _ = ctx.saved_tensors
                seen.append((ctx.needs_input_grad, nothing, g.tolist()))
                return g * ctx.n, None, g.sum()

        x, y = lib.tensor([1.0, 2.0], requires_grad=True), lib.tensor([3.0])
        out, counts, text = Mixed.apply(x, 3, y)
        seen.append((out.requires_grad, counts.requires_grad, counts.tolist(), text, out.is_leaf))
        out.sum().backward()
        return [*seen, x.grad.tolist(), y.grad]

    beside_torch(program)


@pytest.mark.parametrize("materialize", [True, False])
def test_results_without_gradient(materialize: bool) -> None:
    def program(lib: Any) -> Any:
        seen: list[Any] = []

        class Two(lib.autograd.Function):  # type: ignore[name-defined, misc]
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                ctx.set_materialize_grads(materialize)
                return x * 2, x * 3

            @staticmethod
            def backward(ctx: Any, g: Any, h: Any) -> Any:
                seen.append([None if t is None else t.tolist() for t in (g, h)])
                return h * 3 if g is None else g * 2 if h is None else g * 2 + h * 3

        x = lib.tensor([1.0, 2.0], requires_grad=True)
        Two.apply(x)[1].sum().backward()
        return [*seen, x.grad.tolist()]

    beside_torch(program)


def test_in_place() -> None:
    def program(lib: Any) -> Any:
        class Double(lib.autograd.Function):  # type: ignore[name-defined, misc]
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                x.mul_(2)
                ctx.mark_dirty(x)
                return x

            @staticmethod
            def backward(ctx: Any, g: Any) -> Any:
                return g * 2

        leaf = lib.tensor([1.0, 2.0, 3.0], requires_grad=True)
        x = leaf * 1
        part = x[1:]
        out = Double.apply(part)
        same = out is part
        (x * x).sum().backward()
        return [same, x.tolist(), leaf.grad.tolist()]

    beside_torch(program)


def test_a_result_that_is_an_argument_or_a_view_of_one() -> None:
    class Same(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 5

    class Row(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x[0]

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return ad.stack([g * 7, ad.zeros_like(g)])

    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    y = Same.apply(x)
    assert y is not x
    assert x.is_leaf
    Row.apply(y).sum().backward()
    assert x.grad.tolist() == [[35, 35], [0, 0]]


def test_without_recording() -> None:
    x = leaf([1.0])
    with ad.no_grad():
        assert not Cube.apply(x).requires_grad
    assert not Cube.apply(ad.ones(1)).requires_grad


def test_graph_frees_what_it_kept() -> None:
    x = leaf([1.0, 2.0])
    for function in (Cube, Exp):
        y = function.apply(x)
        node = y.grad_fn
        y.sum().backward()
        assert node.args is None
        with pytest.raises(errors.AutogradError, match="the graph was freed"):
            y.sum().backward()
    gc.collect()
    gc.disable()
    try:
        y = Exp.apply(x)
        gone = weakref.ref(y)
        del y
        assert gone() is None
    finally:
        gc.enable()


def test_overwritten_saved_tensors() -> None:
    x = leaf([1.0, 2.0])
    for function, match in ((Cube, "CubeBackward kept"), (Exp, "ExpBackward kept")):
        a = x * 1
        y = function.apply(a)
        (a if function is Cube else y).add_(1) if function is Cube else y.detach().add_(1)
        with pytest.raises(errors.AutogradError, match=match):
            y.sum().backward()


def test_nodes_have_no_rules_to_save_for() -> None:
    node = Cube.apply(leaf([1.0, 2.0])).grad_fn
    assert "next_functions" in dir(node)
    assert not [name for name in dir(node) if name.startswith("_saved_")]
    with pytest.raises(AttributeError, match="CubeBackward saved no 'x'; it saved nothing"):
        _ = node._saved_x


def test_saved_intermediates() -> None:
    """Whose second derivative PyTorch gets wrong without a word: pytorch/pytorch#76185."""

    class Wrong(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            inner = x * x
            ctx.save_for_backward(x, inner)
            return inner * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            _, inner = ctx.saved_tensors
            return g * 3 * inner

    class Stashed(Wrong):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.inner = x * x
            return ctx.inner * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3 * ctx.inner

    x = leaf(2.0)
    assert ad.autograd.grad(Wrong.apply(x), x)[0].item() == 12
    assert ad.autograd.grad(Stashed.apply(x), x)[0].item() == 12
    with pytest.raises(
        errors.AutogradError, match=r"Wrong: saved_tensors\[1\], of shape \(\), was computed in forward"
    ):
        ad.autograd.grad(Wrong.apply(x), x, create_graph=True)
    with pytest.raises(errors.AutogradError, match=r"Stashed: ctx.inner is a tensor, .*Keep inputs and outputs by"):
        ad.autograd.grad(Stashed.apply(x), x, create_graph=True)


def test_once_differentiable() -> None:
    class Once(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x, x * x)
            return x**3

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3 * ctx.saved_tensors[1]

    x = leaf(2.0)
    (g,) = ad.autograd.grad(Once.apply(x), x, create_graph=True)
    assert g.item() == 12
    with pytest.raises(errors.AutogradError, match="Once: its backward is marked once_differentiable, so there is no"):
        ad.autograd.grad(g, x)


def test_pack_hooks_apply() -> None:
    packed = []

    def pack(t: ad.Tensor) -> Any:
        packed.append(t.tolist())
        return t.tolist()

    x = leaf([1.0, 2.0])
    with ad.autograd.graph.saved_tensors_hooks(pack, ad.tensor):
        y = Cube.apply(x)
    y.sum().backward()
    assert packed == [[1, 2]]
    assert x.grad.tolist() == [3, 12]
    with ad.autograd.graph.allow_mutation_on_saved_tensors():
        a = x * 1
        y = Cube.apply(a)
        a.zero_()
        assert ad.autograd.grad(y.sum(), x)[0].tolist() == [3, 12]


def test_gradients_are_summed_and_converted() -> None:
    class Loose(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * ad.ones((3, 2))

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g.double()

    x = leaf([1.0, 2.0])
    (g,) = ad.autograd.grad(Loose.apply(x).sum(), x)
    assert g.dtype is ad.float32
    assert g.tolist() == [3, 3]


def function(forward: Any, backward: Any) -> Any:
    return type("Mine", (ad.autograd.Function,), {"forward": staticmethod(forward), "backward": staticmethod(backward)})


def dirty(write: bool, give: bool) -> Any:
    def forward(ctx: Any, x: Any) -> Any:
        if write:
            x.add_(1)
        ctx.mark_dirty(x)
        return x if give else x * 2

    return forward


@pytest.mark.parametrize(
    ("forward", "backward", "error", "match"),
    [
        (
            lambda ctx, x: ctx.save_for_backward(3),
            None,
            errors.OperandError,
            "save_for_backward takes tensors; .* a int",
        ),
        (lambda ctx, x: ctx.mark_dirty(3), None, errors.OperandError, "mark_dirty takes tensors; got a int"),
        (lambda ctx, x: ctx.mark_non_differentiable(3), None, errors.OperandError, "mark_non_differentiable takes"),
        (lambda ctx, x: 3, None, errors.OperandError, "Mine: forward must return a tensor or a tuple of them; got 3"),
        (dirty(False, True), None, errors.AutogradError, "argument 0, which forward did not write to in place"),
        (dirty(True, False), None, errors.AutogradError, "argument 0 is marked dirty, so forward has to return it"),
        (
            lambda ctx, x: ctx.mark_dirty(x * 2) or x,
            None,
            errors.AutogradError,
            "mark_dirty got a tensor that is no argument",
        ),
        (
            lambda ctx, x: x * 2,
            lambda ctx, g: (),
            errors.AutogradError,
            "returned 0 gradients; expected 1, one for each",
        ),
        (lambda ctx, x: x * 2, lambda ctx, g: (g, g), errors.AutogradError, "returned 2 gradients; expected 1"),
        (
            lambda ctx, x: x * 2,
            lambda ctx, g: 3,
            errors.OperandError,
            "returned a int as gradient 0; expected a tensor",
        ),
        (
            lambda ctx, x: x * 2,
            lambda ctx, g: ad.ones(5),
            errors.ShapeError,
            r"returned gradient 0 of shape \(5,\); expected \(2,\)",
        ),
    ],
)
def test_mistakes(forward: Any, backward: Any, error: Any, match: str) -> None:
    x = leaf([1.0, 2.0])
    with pytest.raises(error, match=match):
        function(forward, backward).apply(x * 1).sum().backward()
    assert x.grad is None


def test_a_leaf_that_is_written_to() -> None:
    x = leaf([1.0])
    with pytest.raises(errors.AutogradError, match="Mine: a leaf tensor that requires a gradient cannot be written"):
        function(dirty(True, True), None).apply(x)


def test_functions_are_not_made() -> None:
    with pytest.raises(errors.AutogradError, match=r"Cube: a Function is not made.*write Cube.apply\(...\)"):
        Cube()
    with pytest.raises(NotImplementedError, match="needs a static method forward"):
        type("Empty", (ad.autograd.Function,), {}).apply(ad.ones(1))


def test_gradient_on_another_backend(backend: Backend) -> None:
    other = "jax" if backend.name == "numpy" else "numpy"
    try:
        ad.plugins.backend(other)
    except errors.BackendError as error:
        pytest.skip(str(error))
    x = leaf([1.0])
    with pytest.raises(errors.DeviceError, match="Mine: backward returned gradient 0 on backend"):
        function(lambda ctx, x: x * 2, lambda ctx, g: ad.ones(1, backend=other)).apply(x).backward()


def test_gradients_computed_out_of_sight() -> None:
    class Unseen(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (x,) = ctx.saved_tensors
            return ad.tensor((g.detach() * 2 * x.detach()).tolist())

    x = leaf(3.0)
    (g,) = ad.autograd.grad(Unseen.apply(x), x, create_graph=True)
    assert g.item() == 6
    with pytest.raises(
        errors.AutogradError, match="Unseen: backward returned a gradient that was not computed from its"
    ):
        ad.autograd.grad(g, x)


def test_second_derivative_of_a_linear_function_is_zero() -> None:
    mine = function(lambda ctx, x: x * 2, lambda ctx, g: g * 2)
    x = leaf(3.0)
    (g,) = ad.autograd.grad(mine.apply(x), x, create_graph=True)
    assert ad.autograd.grad(g, x)[0].item() == 0
