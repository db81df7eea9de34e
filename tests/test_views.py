"""Views share memory with their base on every backend, and writes carry gradients and refuse what cannot be."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.errors import AutogradError, BackendError, DTypeError, OperandError, ShapeError
from polyad.function import FUNCTIONS
from polyad.testing import assert_close

View = Callable[[Any], Any]

# Every way to a view: of a (2, 3, 4) tensor, or of the shape given. The text runs on polyad, NumPy and PyTorch alike.
VIEWS: dict[str, tuple[View, tuple[int, ...]]] = {
    "index": (lambda x: x[1], (2, 3, 4)),
    "index of an element": (lambda x: x[1, 2, 3], (2, 3, 4)),
    "slice": (lambda x: x[:, 1:3], (2, 3, 4)),
    "slice with a step": (lambda x: x[..., ::2], (2, 3, 4)),
    "new dimension": (lambda x: x[:, None, 1], (2, 3, 4)),
    "ellipsis": (lambda x: x[...], (2, 3, 4)),
    "reshape": (lambda x: x.reshape(4, 6), (2, 3, 4)),
    "reshape to one": (lambda x: x.reshape(-1), (2, 3, 4)),
    "reshape of a part": (lambda x: x[1].reshape(2, 6), (2, 3, 4)),
    "squeeze": (lambda x: x.squeeze(1), (2, 1, 4)),
    "squeeze all": (lambda x: x.squeeze(), (1, 3, 1)),
    "view": (lambda x: x.view(6, 4), (2, 3, 4)),
    "view of a transpose": (lambda x: x.permute((1, 2, 0)).view(12, 2), (2, 3, 4)),
    "view_as": (lambda x: x.view_as(x[:, None]), (6,)),
    "reshape_as": (lambda x: x.reshape_as(x[:, None]), (6,)),
    "flatten": (lambda x: x.flatten(1), (2, 3, 4)),
    "ravel": (lambda x: x.ravel(), (2, 3, 4)),
    "unflatten": (lambda x: x.unflatten(1, (3, -1)), (2, 12)),
    "unsqueeze": (lambda x: x.unsqueeze(1), (2, 3, 4)),
    "transpose": (lambda x: x.transpose(0, 2), (2, 3, 4)),
    "swapaxes": (lambda x: x.swapaxes(0, 1), (2, 3, 4)),
    "swapdims": (lambda x: x.swapdims(0, 1), (2, 3, 4)),
    "movedim": (lambda x: x.movedim(0, 2), (2, 3, 4)),
    "moveaxis": (lambda x: x.moveaxis(0, 2), (2, 3, 4)),
    "permute": (lambda x: x.permute(2, 0, 1), (2, 3, 4)),
    "t": (lambda x: x.t(), (2, 3)),
    "T": (lambda x: x.T, (2, 3)),
    "H": (lambda x: x.H, (2, 3)),
    "mT": (lambda x: x.mT, (2, 3, 4)),
    "mH": (lambda x: x.mH, (2, 3, 4)),
    "adjoint": (lambda x: x.adjoint(), (2, 3, 4)),
    "diagonal": (lambda x: x.diagonal(), (2, 3, 4)),
    "diagonal of others": (lambda x: x.diagonal(-1, 2, 0), (2, 3, 4)),
    "unbind": (lambda x: x.unbind(1)[2], (2, 3, 4)),
    "select": (lambda x: x.select(1, 2), (2, 3, 4)),
    "narrow": (lambda x: x.narrow(1, 1, 2), (2, 3, 4)),
    "chunk": (lambda x: x.chunk(2, 1)[1], (2, 3, 4)),
    "split": (lambda x: x.split(2, 1)[1], (2, 3, 4)),
    "tensor_split": (lambda x: x.tensor_split(2, 2)[1], (2, 3, 4)),
    "hsplit": (lambda x: x.hsplit(3)[1], (2, 3, 4)),
    "vsplit": (lambda x: x.vsplit(2)[1], (2, 3, 4)),
    "dsplit": (lambda x: x.dsplit(2)[1], (2, 3, 4)),
    "expand to the same": (lambda x: x.expand(2, -1), (2, 3)),
    "expand_as a part": (lambda x: x.expand_as(x[None])[0], (2, 3)),
    "windows side by side": (lambda x: x.unfold(1, 2, 3), (2, 6, 4)),
    "detach": (lambda x: x.detach(), (2, 3, 4)),
    "data": (lambda x: x.data, (2, 3, 4)),
}
POLYAD_VIEWS: dict[str, tuple[View, tuple[int, ...]]] = {
    **VIEWS,
    "slice backwards": (lambda x: x[:, ::-1], (2, 3, 4)),
    "expand_dims": (lambda x: ad.expand_dims(x, axis=(0, 2)), (2, 3, 4)),
    "permute_dims": (lambda x: x.permute_dims((2, 0, 1)), (2, 3, 4)),
    "matrix_transpose": (lambda x: ad.matrix_transpose(x), (2, 3, 4)),
    "linalg.diagonal": (lambda x: ad.linalg.diagonal(x, offset=1), (2, 3, 4)),
    "unstack": (lambda x: ad.unstack(x, axis=1)[2], (2, 3, 4)),
    "atleast_3d": (lambda x: ad.atleast_3d(x), (2, 3)),
    "set_": (lambda x: ad.zeros(1).set_(x), (2, 3)),
    "as_subclass": (lambda x: x.as_subclass(ad.Tensor), (2, 3)),
    "a view of a view of a view": (lambda x: x.mT[1:].reshape(4, 3)[::2, None], (2, 3, 4)),
}
READ_ONLY: dict[str, tuple[View, tuple[int, ...]]] = {
    "broadcast_to": (lambda x: ad.broadcast_to(x, (5, 2, 3)), (2, 3)),
    "expand": (lambda x: x.expand(-1, 3), (2, 1)),
    "windows": (lambda x: x.unfold(1, 3, 2), (2, 7)),
    "a part of an expanded one": (lambda x: x.expand(-1, 3)[0], (2, 1)),
}

every_view = pytest.mark.parametrize("name", POLYAD_VIEWS)


def counted(shape: tuple[int, ...]) -> ad.Tensor:
    """0.0, 1.0, 2.0, ..."""
    return ad.tensor(np.arange(np.prod(shape, dtype=int), dtype=np.float64).reshape(shape).tolist(), dtype=ad.float64)


def test_all_view_functions_are_here() -> None:
    names = {f.name for f in FUNCTIONS.values() if f.view is not None}
    shown = {"slice_view", "reshape", "expand_dims", "squeeze", "permute_dims", "broadcast_to", "detach", "diagonal"}
    shown |= {"unfold"} | {"real", "imag", "view_as_real", "view_as_complex"}  # the last ones in test_complex_parts
    assert names == shown


# Memory -------------------------------------------------------------------------------------------------------


@every_view
def test_write_to_base_shows_in_view(backend: Backend, name: str) -> None:
    make, shape = POLYAD_VIEWS[name]
    base = counted(shape)
    view = make(base)
    base.add_(100)
    assert_close(view, make(base.clone()))
    base[...] = 7.0
    assert_close(view, np.full(view.shape, 7.0))


@every_view
def test_write_to_view_shows_in_base(backend: Backend, name: str) -> None:
    make, shape = POLYAD_VIEWS[name]
    base = counted(shape)
    sibling = base.reshape(-1)
    view = make(base)
    wanted = base.clone()
    where = np.isin(wanted.numpy(), view.numpy())  # values are distinct: which of them the view shows
    view.multiply_(-2).subtract_(1)
    wanted = np.where(where, -2 * wanted.numpy() - 1, wanted.numpy())
    assert where.any()
    assert_close(base, wanted)
    assert_close(sibling, wanted.reshape(-1))
    view.zero_()
    assert_close(base, np.where(where, 0, wanted))


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_those_of_torch(backend: Backend, name: str) -> None:
    torch = pytest.importorskip("torch")
    make, shape = VIEWS[name]
    ours, theirs = counted(shape), torch.arange(float(np.prod(shape)), dtype=torch.float64).reshape(shape)
    for base in (ours, theirs):
        make(base).add_(0.5)
    assert_close(ours, theirs.numpy())


@pytest.mark.parametrize("name", READ_ONLY)
def test_repeated_elements_are_seen_but_not_written(backend: Backend, name: str) -> None:
    make, shape = READ_ONLY[name]
    base = counted(shape)
    view = make(base)
    before = view.clone()
    for write in (view.add_, view.copy_, lambda v: view.__setitem__(slice(None), v), lambda v: view.zero_()):
        with pytest.raises(ShapeError, match=r"is an expanded view, in which .* write to x.clone\(\) instead"):
            write(1.0)
    assert_close(view, before)
    base.add_(10)
    assert_close(view, before + 10)


# Parts of expanded tensors that show nothing twice, and which elements of a (2, 3) tensor they show
PARTS: dict[str, tuple[View, Any]] = {
    "one of new rows": (lambda x: x.expand(4, 2, 3)[1], (slice(None), slice(None))),
    "nothing expanded": (lambda x: x.expand(2, 3), (slice(None), slice(None))),
    "new dimensions of length 1": (lambda x: x.expand(1, 2, 3), (slice(None), slice(None))),
    "one repetition of a column": (lambda x: x[:, 1:2].expand(2, 5)[:, 3], (slice(None), 1)),
    "the diagonal of a repeated row": (lambda x: x[1].expand(3, 3).diagonal(), (1, slice(None))),
    "one of a row turned": (lambda x: x[:1].expand(4, 3).mT[:, 2].reshape(3, 1)[::2], (0, slice(None, None, 2))),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_an_expanded_tensor_that_repeat_nothing_are_written(backend: Backend, name: str) -> None:
    make, shown = PARTS[name]
    base = counted((2, 3))
    sibling, part = base.reshape(-1), make(base)
    wanted = np.arange(6.0).reshape(2, 3)
    wanted[shown] = wanted[shown] * 10 + 1
    part.multiply_(10).add_(1)
    assert_close(base, wanted)
    assert_close(sibling, wanted.reshape(-1))
    assert_close(part, wanted[shown].reshape(part.shape))


@pytest.mark.parametrize("name", PARTS)
def test_gradients_through_a_write_to_a_part_of_an_expanded_tensor(backend: Backend, name: str) -> None:
    make, shown = PARTS[name]
    x, factor = counted((2, 3)).requires_grad_(), counted((1,)).add_(3).requires_grad_()
    y = x * 1
    make(y).multiply_(factor).multiply_(factor)
    (weighted,) = ad.autograd.grad((y * y * y).sum(), (x,), create_graph=True)
    f = np.ones((2, 3))
    f[shown] = 9  # factor * factor
    start = np.arange(6.0).reshape(2, 3)
    assert_close(weighted, 3 * start**2 * f**3)
    weighted.sum().backward()
    assert x.grad is not None
    assert factor.grad is not None
    assert_close(x.grad, 6 * start * f**3)
    assert factor.grad.item() == (18 * start**2 * 3**5)[shown].sum()


def test_a_part_of_an_expanded_tensor_is_written_by_brackets(backend: Backend) -> None:
    x = counted((2,))
    wide = x.expand(3, 2)
    wide[1] = ad.tensor([5.0, 6.0])
    wide[2, 0] = 7.0
    assert x.tolist() == [7, 6]
    with pytest.raises(ShapeError, match=r"x\[...\] = y: the tensor of shape \(2, 2\) is an expanded view"):
        wide[:2] = 0.0
    with pytest.raises(ShapeError, match=r"x\[...\] = y: the tensor of shape \(3, 2\) is an expanded view"):
        wide[wide > 6] = ad.tensor([0.0, 0.0, 0.0])
    assert x.tolist() == [7, 6]


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x[[0, 1]],
        lambda x: x[x > 3],
        lambda x: x.clone(),
        lambda x: x.mT.reshape(-1),
        lambda x: +x,
        lambda x: x.to(ad.float64, copy=True),
        lambda x: ad.tensor(x),
        lambda x: x.astype(ad.float64),
    ],
    ids=["array", "mask", "clone", "reshape of a transpose", "positive", "to with copy", "tensor", "astype"],
)
def test_copies_are_apart(backend: Backend, make: View) -> None:
    base = counted((2, 3))
    made = make(base)
    before = made.tolist()
    base.add_(100)
    assert made.tolist() == before
    made.zero_()
    assert base.sum().item() == 615


def test_overlapping_writes(backend: Backend) -> None:
    x = counted((3, 3))
    x.add_(x.mT)
    assert_close(x, np.arange(9.0).reshape(3, 3) + np.arange(9.0).reshape(3, 3).T)
    x = counted((5,))
    x[1:] = x[:-1]
    assert x.tolist() == [0, 0, 1, 2, 3]
    x.multiply_(x)
    assert x.tolist() == [0, 0, 1, 4, 9]


@pytest.mark.parametrize("alias", [lambda y: y, lambda y: y.view(2), lambda y: y.view(1, 2)[0]])
def test_gradient_of_a_product_with_the_memory_that_is_written(backend: Backend, alias: View) -> None:
    x = ad.tensor([2.0, 3.0], requires_grad=True)
    y = x * 1
    y.multiply_(alias(y))
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [4, 6]


def test_views_of_nothing(backend: Backend) -> None:
    x = ad.zeros(2, 0)
    x.reshape(0, 2).add_(1)
    x[:, 0:].zero_()
    assert x.shape == (2, 0)


def test_writes_reach_only_living_aliases(backend: Backend) -> None:
    base = counted((4,))
    for _ in range(1000):
        base[1:]  # dead at once
    assert len(base._storage.aliases) < 100
    gc.collect()
    base.add_(1)
    assert base.tolist() == [1, 2, 3, 4]


# Is reshape a view? --------------------------------------------------------------------------------------------

SHAPES = [(12,), (3, 4), (4, 3), (2, 6), (2, 3, 2), (1, 12), (12, 1, 1), (2, 2, 3), (3, 2, 2), (1, 3, 4)]
ORDERS: dict[str, View] = {
    "as it is": lambda x: x,
    "transposed": lambda x: x.permute((1, 0, 2)),
    "turned": lambda x: x.permute((2, 0, 1)),
    "a part": lambda x: x[:, 1:],
    "every other": lambda x: x[:, :, ::2],
    "one": lambda x: x[1],
    "one transposed": lambda x: x[1].permute((1, 0)),
    "with a new dimension": lambda x: x[:, None].permute((1, 0, 2, 3)),
    "expanded": lambda x: x[:1, :, :1].expand((4, 3, 2)),
}


def aliases(x: Any, y: Any) -> bool:
    """Whether a write to ``x`` shows in ``y``."""
    before = y.reshape(-1).tolist()
    x.add_(1)
    changed = y.reshape(-1).tolist() != before
    x.sub_(1)
    return changed


@pytest.mark.parametrize("order", ORDERS)
def test_reshape_is_a_view_where_torchs_is(backend: Backend, order: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = counted((2, 3, 4)), torch.arange(24.0).reshape(2, 3, 4)
    x, y = ORDERS[order](ours), ORDERS[order](theirs)
    for shape in [s for s in SHAPES if np.prod(s) == x.numel()] + [(*x.shape, 1), (-1,), (1, *x.shape)]:
        mine, its = x.reshape(shape), y.reshape(shape)
        assert_close(mine, its.double().numpy())
        assert aliases(ours, mine) == aliases(theirs, its), shape
        assert x.is_contiguous() == y.is_contiguous()
        if aliases(theirs, its):
            assert_close(x.view(*shape), mine)
        else:
            with pytest.raises(ShapeError, match=r"view: .* cannot be seen as .* without copying; write x.reshape\("):
                x.view(*shape)


def test_contiguous(backend: Backend) -> None:
    x = counted((2, 3))
    assert x.contiguous() is x
    assert not x.mT.is_contiguous()
    made = x.mT.contiguous()
    assert made.is_contiguous()
    assert_close(made, x.mT)
    made.zero_()
    assert x.sum().item() == 15


# Where the memory is --------------------------------------------------------------------------------------------


def test_base_is_the_tensor_that_was_viewed(backend: Backend) -> None:
    x = counted((2, 3))
    assert x._base is None
    assert x.mT[:2, 1].reshape(2, 1)._base is x
    assert x.detach()._base is None
    detached = x.detach()
    assert detached[0]._base is detached
    with ad.no_grad():
        assert x[0]._base is x
    assert x.mT.reshape(6)._base is None  # a copy
    assert x.clone()._base is None


def test_base_that_nobody_holds_any_more(backend: Backend) -> None:
    x = counted((3,)).requires_grad_()
    view = (x * 2)[1:]
    gc.collect()
    base = view._base
    assert base is not None
    assert view._base is base
    assert base._base is None
    assert base.tolist() == [0, 2, 4]
    view.multiply_(5)
    assert base.tolist() == [0, 10, 20]
    base.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 10, 10]


def test_version_has_pytorchs_name(backend: Backend) -> None:
    x = ad.zeros(3)
    assert x._version == x.version == 0
    x[1:].add_(1)
    assert x._version == x.version == 1


def test_data_ptr(backend: Backend) -> None:
    x = counted((2, 3))
    if backend.name == "strict":
        with pytest.raises(BackendError, match=r"data_ptr: backend 'strict' does not say .* export the tensor with"):
            x.data_ptr()
        return
    assert x.data_ptr() == x.data_ptr() != 0
    if backend.writable:
        assert x[1, 1:].data_ptr() - x.data_ptr() == 8 * x[1, 1:].storage_offset() == 32
        assert x[:, ::-1].data_ptr() - x.data_ptr() == 16
        turned = x.mT + 0  # whatever order the library gave it
        assert turned.data_ptr() == turned.view(6).data_ptr()


def test_data_ptr_of_what_is_traced() -> None:
    jax = pytest.importorskip("jax")
    with pytest.raises(OperandError, match=r"data_ptr: the tensor has no memory yet, because .* call it outside"):
        jax.jit(lambda x: x.data_ptr())(ad.zeros(2, backend="jax"))


# Gradients through writes --------------------------------------------------------------------------------------


def test_gradient_through_a_write_to_a_view(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 2
    y[1:] *= x[:2]
    (y * y).sum().backward()
    # y = (2 x0, 2 x1 x0, 2 x2 x1)
    a, b, c = 1.0, 2.0, 3.0
    assert x.grad is not None
    assert x.grad.tolist() == [8 * a + 8 * a * b * b, 8 * b * a * a + 8 * b * c * c, 8 * c * b * b]


def test_gradient_of_what_was_overwritten_is_zero(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0, 3.0], requires_grad=True)
    v = ad.tensor([5.0], requires_grad=True)
    y = x * 1
    y[1] = v[0]
    y[[2]] = 4.0
    y.sum().backward()
    assert x.grad is not None
    assert v.grad is not None
    assert (x.grad.tolist(), v.grad.tolist()) == ([1, 0, 0], [1])


def test_view_made_before_the_write_has_its_gradient(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
    y = x * 1
    view = y.reshape(2, 2)[1]
    y.multiply_(3)
    assert view.grad_fn is not None
    assert view.tolist() == [9, 12]
    view.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0, 3, 3]


def test_constant_base_gains_history(backend: Backend) -> None:
    x = ad.tensor(2.0, requires_grad=True)
    y = ad.zeros(3)
    first, second = y[0], y[1:]
    second[0] = x * x
    assert y.requires_grad
    assert first.requires_grad  # as in PyTorch: its base has history now
    (y.sum() + first).backward()
    assert x.grad is not None
    assert x.grad.item() == 4


def test_in_place_keeps_what_its_own_rule_needs(backend: Backend) -> None:
    x = ad.tensor([0.5, 1.0], dtype=ad.float64, requires_grad=True)
    w = ad.tensor([2.0, 3.0], dtype=ad.float64, requires_grad=True)
    y = x * 1
    y.multiply_(w).sin_().multiply_(y).exp_()
    y.sum().backward()
    s, c = np.sin([1.0, 3.0]), np.cos([1.0, 3.0])
    common = np.exp(s * s) * 2 * s * c
    assert x.grad is not None
    assert w.grad is not None
    assert_close(x.grad, common * [2.0, 3.0])
    assert_close(w.grad, common * [0.5, 1.0])


def test_detached_view_writes_without_history(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    y.detach()[0] = 50.0
    assert y.tolist() == [50, 6]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3, 3]


def test_leaf_is_written_under_no_grad(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    with ad.no_grad():
        x.subtract_(0.5)
        x[1:].zero_()
    assert x.tolist() == [0.5, 0]
    assert x.is_leaf
    assert x.requires_grad
    x.data = ad.tensor([3.0, 4.0])
    (x * x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [6, 8]


# Errors, after which nothing has changed -------------------------------------------------------------------------


def test_leaf_that_requires_grad(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    brackets = r"x\[...\] = y"
    for name, write in (
        ("add_", lambda: x.add_(1)),
        (brackets, lambda: x.__setitem__(0, 5.0)),
        (brackets, lambda: x.__setitem__(..., ad.zeros(2))),
        (brackets, lambda: x.__setitem__(x > 1, 5.0)),
        (brackets, lambda: x.__setitem__([1], ad.zeros(1))),
        ("zero_", lambda: x.zero_()),
        ("copy_", lambda: x.copy_(ad.zeros(2))),
    ):
        with pytest.raises(AutogradError, match=name + r": a leaf tensor that requires a gradient cannot be written"):
            write()
    with pytest.raises(AutogradError, match=r"exp_: a view of a leaf tensor .* or to a clone\(\) of the leaf"):
        x[:1].exp_()
    assert x.tolist() == [1, 2]
    assert x.version == 0


def test_view_made_under_no_grad(backend: Backend) -> None:
    x = ad.tensor([1.0, 2.0], requires_grad=True)
    y = x * 1
    with ad.no_grad():
        view = y[:1]
    assert not view.requires_grad
    with pytest.raises(AutogradError, match="add_: this view was made under no_grad .* or write under no_grad"):
        view.add_(x[:1])
    with pytest.raises(AutogradError, match=r"x\[...\] = y: this view was made under no_grad .* write under no_grad"):
        view[0] = x[0]
    assert y.tolist() == [1, 2]
    assert y.version == 0


@pytest.mark.parametrize(
    ("compute", "write", "kept", "by"),
    [
        (lambda y: y.exp(), lambda y, out: out.add_(1), "ExpBackward", "add_"),
        (lambda y: y * y, lambda y, out: y.zero_(), "MultiplyBackward", "zero_"),
        (lambda y: y.sin(), lambda y, out: y[0].fill_(3), "SinBackward", "fill_|copy_"),
        (lambda y: y.sin(), lambda y, out: y.detach().add_(3), "SinBackward", "add_"),
        (lambda y: y[1:].log(), lambda y, out: y.__setitem__(1, 3.0), "LogBackward", r"x\[...\] = y"),
        (lambda y: y.max(), lambda y, out: y.multiply_(2), "MaxBackward", "multiply_"),
    ],
)
def test_stale_value(backend: Backend, compute: View, write: Any, kept: str, by: str) -> None:
    x = ad.tensor([0.5, 2.0], requires_grad=True)
    y = x * 1
    out = compute(y)
    with ad.no_grad():
        write(y, out)
    with pytest.raises(
        AutogradError, match=rf"{kept} kept for its gradient was overwritten .*\(({by})\): .* version 1, and version 0"
    ):
        out.sum().backward()
    assert x.grad is None


@pytest.mark.parametrize("compute", [lambda y: y + 1, lambda y: y.sum(), lambda y: y.reshape(2, 1) * 2, lambda y: -y])
def test_what_keeps_nothing_is_never_stale(backend: Backend, compute: View) -> None:
    x = ad.tensor([0.5, 2.0], requires_grad=True)
    y = x * 1
    out = compute(y)
    with ad.no_grad():
        y.zero_()
    out.sum().backward()
    assert x.grad is not None


def test_in_place_without_history_allocates_no_array() -> None:
    with ad.use_backend("numpy"):
        x, y = ad.zeros(100_000), ad.ones(100_000)
        part, other = x[:50_000], y[50_000:]
        tracemalloc.start()
        try:
            for write in (
                *(lambda: x.add_(y), lambda: x.mul_(2.0), lambda: x.__isub__(y), lambda: x.div_(y)),
                *(lambda: part.add_(other), lambda: x.zero_(), lambda: x.fill_(2.5), lambda: x.copy_(y)),
                lambda: x.__setitem__(slice(1, None), 3.0),
            ):
                write()
                before, _ = tracemalloc.get_traced_memory()
                tracemalloc.reset_peak()
                write()
                _, peak = tracemalloc.get_traced_memory()
                assert peak - before < 10_000  # an array has 400,000 bytes
        finally:
            tracemalloc.stop()


def test_handles_pay_for_views_with_the_first(backend: Backend) -> None:
    x = ad.ones(3) + 1
    assert x._storage is None
    assert x._writes is None
    assert not hasattr(x, "_path")
    assert not hasattr(x, "_root")


@pytest.mark.parametrize("other", [ad.float32, ad.int64])
def test_in_place_of_types_that_a_function_does_not_take(backend: Backend, other: ad.DType) -> None:
    n, mask = ad.tensor([1, 2]), ad.tensor([True, False])
    with pytest.raises(DTypeError, match="divide_: the result is float32, which a tensor of int64 cannot hold"):
        n.divide_(ad.tensor([1, 2], dtype=other))
    with pytest.raises(DTypeError, match="subtract takes numeric arrays; got bool"):
        mask.subtract_(mask.clone())
    assert n.tolist() == [1, 2]
    assert mask.tolist() == [True, False]


def test_result_that_does_not_fit(backend: Backend) -> None:
    x = ad.ones(3)
    with pytest.raises(ShapeError, match=r"add_: the result has shape \(2, 3\), which does not fit into .* \(3,\)"):
        x.add_(ad.ones(2, 3))
    with pytest.raises(DTypeError, match=r"add_: the result is float64, which a tensor of float32 cannot hold; write"):
        x.add_(ad.ones(3, dtype=ad.float64))
    n = ad.tensor([1, 2])
    with pytest.raises(DTypeError, match="divide_: the result is float32, which a tensor of int64 cannot hold"):
        n /= 2
    with pytest.raises(ShapeError, match=r"copy_: a source of shape \(2,\) does not broadcast to the tensor's \(3,\)"):
        x.copy_(ad.ones(2))
    with pytest.raises(ShapeError, match=r"fill_: expected one number; got a tensor of shape \(3,\); write copy_"):
        x.fill_(ad.ones(3))
    with pytest.raises(ShapeError, match=r"x\[...\] = y: a value of shape \(2,\) does not fit .* shape \(3,\)"):
        x[:] = ad.ones(2)
    assert x.tolist() == [1, 1, 1]
    assert n.tolist() == [1, 2]


def test_version_counts_writes_of_all_aliases(backend: Backend) -> None:
    x = ad.zeros(4)
    view = x[1:]
    x.add_(1)
    view.add_(1)
    view[0] = 5.0
    assert (x.version, view.version, x.clone().version) == (3, 3, 0)


def test_a_view_made_under_no_grad_cannot_change_a_recorded_base(backend: Backend) -> None:
    y = ad.ones(3, requires_grad=True) * 2
    with ad.no_grad():
        v = y[0]
    for write in (lambda: v.fill_(0), lambda: v.add_(1), lambda: v.view(1).mul_(2)):
        with pytest.raises(AutogradError, match="view was made under no_grad and its base has a history"):
            write()
    assert y.tolist() == [2, 2, 2]
    with ad.no_grad():
        v.fill_(7)
    assert y.tolist() == [7, 2, 2]


@pytest.mark.parametrize("make", [lambda y: y.unbind(0), lambda y: y.split(1), lambda y: y.chunk(3)])
def test_one_of_several_views_is_written_with_history(backend: Backend, make: View) -> None:
    x = ad.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1
    parts = make(y)
    parts[1].multiply_(x[1] * 5)
    assert y.tolist() == [1, 20, 3]
    (y.sum() + parts[1].sum()).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1, 40, 1]
