"""Functions of shape and order that are made of others: values as NumPy's, aliases as PyTorch's, gradients, errors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.errors import (
    ArgumentError,
    DTypeError,
    IndexOutOfRangeError,
    OperandError,
    ShapeError,
)
from polyad.testing import assert_close, gradcheck, gradgradcheck

Tensor = ad.Tensor


def counted(*shape: int) -> Tensor:
    return ad.arange(1.0, 1 + np.prod(shape), dtype=ad.float64).reshape(shape)


def parts(y: Any) -> tuple[Any, ...]:
    return tuple(y) if isinstance(y, (tuple, list)) else (y,)


# Views ----------------------------------------------------------------------------------------------------------

VIEWS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    # of a tensor of shape (2, 3, 4): here, and on a NumPy array
    "atleast_1d": (ad.atleast_1d, np.atleast_1d),
    "moveaxis": (lambda x: ad.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1)),
    "moveaxis of several": (lambda x: x.movedim((2, 0), (0, 1)), lambda x: np.moveaxis(x, (2, 0), (0, 1))),
    "unflatten": (lambda x: x.unflatten(2, (2, -1)), lambda x: x.reshape(2, 3, 2, 2)),
    "ravel": (ad.ravel, np.ravel),
    "swapaxes": (lambda x: ad.swapaxes(x, 0, 2), lambda x: np.swapaxes(x, 0, 2)),
    "mH of real": (lambda x: x.mH, lambda x: x.mT),
    "diagonal": (lambda x: x.diagonal(), lambda x: np.diagonal(x)),
    "diagonal below": (lambda x: ad.diagonal(x, -1, dim1=2, dim2=0), lambda x: np.diagonal(x, -1, 2, 0)),
    "linalg.diagonal": (lambda x: ad.linalg.diagonal(x, offset=2), lambda x: np.linalg.diagonal(x, offset=2)),
    "unstack": (lambda x: ad.unstack(x, axis=1), lambda x: np.unstack(x, axis=1)),
    "unbind": (lambda x: x.unbind(-1), lambda x: np.unstack(x, axis=-1)),
    "split": (lambda x: ad.split(x, 2, axis=2), lambda x: np.split(x, 2, axis=2)),
    "split at": (lambda x: ad.split(x, [1, 3], axis=2), lambda x: np.split(x, [1, 3], axis=2)),
    "split at the end": (lambda x: ad.split(x, [2, -1, 9], axis=2), lambda x: np.split(x, [2, -1, 9], axis=2)),
    "split backwards": (lambda x: ad.split(x, [3, 1], axis=2), lambda x: np.split(x, [3, 1], axis=2)),
    "split by length": (lambda x: x.split(3, dim=2), lambda x: np.split(x, [3], axis=2)),
    "split by lengths": (lambda x: x.split([1, 0, 3], 2), lambda x: np.split(x, [1, 1], axis=2)),
    "tensor_split": (lambda x: x.tensor_split(3, dim=2), lambda x: np.array_split(x, 3, axis=2)),
    "array_split": (lambda x: ad.array_split(x, 3, axis=2), lambda x: np.array_split(x, 3, axis=2)),
    "chunk": (lambda x: x.chunk(3, dim=2), lambda x: np.split(x, 2, axis=2)),
    "hsplit": (lambda x: ad.hsplit(x, 3), lambda x: np.hsplit(x, 3)),
    "vsplit": (lambda x: x.vsplit(2), lambda x: np.vsplit(x, 2)),
    "dsplit": (lambda x: x.dsplit([1, 2]), lambda x: np.dsplit(x, [1, 2])),
    "narrow": (lambda x: x.narrow(1, -2, 2), lambda x: x[:, -2:]),
    "select": (lambda x: ad.select(x, 1, -1), lambda x: x[:, -1]),
    "reshape": (lambda x: ad.reshape(x, (6, 4), copy=False), lambda x: x.reshape(6, 4)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_view(backend: Backend, name: str) -> None:
    ours, theirs = VIEWS[name]
    x, a = counted(2, 3, 4), counted(2, 3, 4).numpy().copy()
    mine, its = parts(ours(x)), parts(theirs(a))
    assert len(mine) == len(its)
    for y, b in zip(mine, its, strict=True):
        assert y.shape == b.shape
        assert_close(y, b)
    for y, b in zip(mine, its, strict=True):
        if y.numel():
            b.flags.writeable = True  # NumPy's diagonals are not
            y.mul_(-2)
            b *= -2
            assert_close(x, a)  # the write shows in the base ...
    for y, b in zip(mine, its, strict=True):
        assert_close(y, b)  # ... and in the other views


@pytest.mark.parametrize("name", VIEWS)
def test_gradient_of_view(backend: Backend, name: str) -> None:
    ours, _ = VIEWS[name]
    x = counted(2, 3, 4).requires_grad_()
    fast = backend.name != "numpy"
    assert gradcheck(lambda x: [y * y for y in parts(ours(x))], x, fast_mode=fast)
    assert gradgradcheck(lambda x: parts(ours(x))[-1] ** 3, x, fast_mode=True)


def test_gradient_through_a_write_to_a_diagonal(backend: Backend) -> None:
    x = ad.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=ad.float64, requires_grad=True)
    v = ad.tensor([5.0, 6.0], dtype=ad.float64, requires_grad=True)

    def write(x: Tensor, v: Tensor) -> Tensor:
        y = x * 1
        y.diagonal().mul_(v)
        return y

    assert write(x, v).tolist() == [[5, 2], [3, 24]]
    assert gradcheck(write, (x, v))
    assert gradgradcheck(write, (x, v))


# A split has one node -----------------------------------------------------------------------------------------------


def test_parts_share_a_node(backend: Backend) -> None:
    x = ad.ones(4, requires_grad=True)
    first, second = (x * 2).split(2)
    assert first.grad_fn is second.grad_fn
    assert first.grad_fn.name() == "SplitBackward"
    assert (first.output_nr, second.output_nr) == (0, 1)
    (x.unbind()[2] * 3).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 0, 3, 0]
    with ad.no_grad():
        assert not x.split(2)[0].requires_grad
    assert not ad.ones(4).split(2)[0].requires_grad


@pytest.mark.parametrize("used", [(0,), (1,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("take", [lambda x: x.split([1, 0, 3]), lambda x: x[:3].unbind()])
def test_gradient_of_some_parts(backend: Backend, used: tuple[int, ...], take: Callable[[Tensor], Any]) -> None:
    x = counted(4, 2).requires_grad_()

    def some(x: Tensor) -> Any:
        found = take(x)
        return [found[i] ** 2 for i in used]

    assert gradcheck(some, x, fast_mode=backend.name != "numpy")
    assert gradgradcheck(some, x, fast_mode=True)


def test_part_after_a_write_to_the_whole(backend: Backend) -> None:
    x = ad.ones(4, requires_grad=True)
    y = x * 1
    first, second = y.split(2)
    y.mul_(3)
    assert first.tolist() == [3, 3]
    first.add_(second)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3, 3, 6, 6]


# Broadcast views ----------------------------------------------------------------------------------------------------


def test_broadcast_shapes() -> None:
    assert ad.broadcast_shapes() == ()
    assert ad.broadcast_shapes((3, 1), 4, (2, 1, 1)) == (2, 3, 4)
    with pytest.raises(ShapeError, match=r"broadcast_shapes: shapes \(2,\) and \(3,\) do not broadcast"):
        ad.broadcast_shapes((2,), (3,))


def test_broadcast_arrays(backend: Backend) -> None:
    x, y = counted(3, 1).requires_grad_(), ad.arange(4)
    a, b = ad.broadcast_arrays(x, y)
    assert (a.shape, b.shape, b.dtype) == ((3, 4), (3, 4), ad.int64)
    (a * b).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[6], [6], [6]]
    assert ad.broadcast_tensors() == ()
    with pytest.raises(ShapeError, match="write to x.clone"):
        b.add_(1)
    with pytest.raises(ShapeError, match=r"broadcast_arrays: shapes \(2,\) and \(3,\)"):
        ad.broadcast_arrays(ad.ones(2), ad.ones(3))
    with pytest.raises(OperandError, match=r"broadcast_arrays: x is list \[1.0\]; expected a tensor"):
        ad.broadcast_arrays(ad.ones(2), [1.0])  # type: ignore[arg-type]


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("lengths", [(), (3,), (3, 2), (3, 0), (2, 3, 4)])
def test_meshgrid(backend: Backend, indexing: Any, lengths: tuple[int, ...]) -> None:
    xs = [ad.arange(n, dtype=ad.float64) for n in lengths]
    made = ad.meshgrid(*xs, indexing=indexing)
    expected = np.meshgrid(*[x.numpy() for x in xs], indexing=indexing)
    assert len(made) == len(expected)
    for y, b in zip(made, expected, strict=True):
        assert_close(y, b)
    if len(xs) == 2:
        assert gradcheck(lambda *xs: ad.meshgrid(*xs, indexing=indexing), [x.requires_grad_() for x in xs])


def test_meshgrid_arguments(backend: Backend) -> None:
    a, b = ad.meshgrid([ad.tensor(5), ad.arange(2)], indexing="ij")  # type: ignore[arg-type]
    assert (a.tolist(), b.tolist()) == ([[5, 5]], [[0, 1]])
    with pytest.raises(ArgumentError, match="meshgrid: indexing is 'xy' or 'ij'; got 'yx'"):
        ad.meshgrid(ad.ones(2), indexing="yx")
    with pytest.raises(ShapeError, match=r"meshgrid: expected vectors; got shape \(2, 2\); write x.reshape\(-1\)"):
        ad.meshgrid(ad.ones(2, 2))


# Joining ------------------------------------------------------------------------------------------------------------

JOINED: dict[str, tuple[Any, Any, list[tuple[int, ...]]]] = {
    "concat flattened": (lambda xs: ad.concat(xs, axis=None), lambda xs: np.concat(xs, axis=None), [(2, 2), (3,), ()]),
    "hstack": (ad.hstack, np.hstack, [(2, 2), (2, 1)]),
    "hstack of vectors": (ad.hstack, np.hstack, [(2,), (3,), ()]),
    "vstack": (ad.vstack, np.vstack, [(2, 2), (2,)]),
    "row_stack": (ad.row_stack, np.vstack, [(2, 2), (2,)]),
    "dstack": (ad.dstack, np.dstack, [(2, 2), (2, 2, 3)]),
    "dstack of vectors": (ad.dstack, np.dstack, [(2,), (2,)]),
    "column_stack": (ad.column_stack, np.column_stack, [(2,), (2, 3)]),
    "append": (lambda xs: ad.append(*xs), lambda xs: np.append(*xs), [(2, 2), (3,)]),
    "append along": (lambda xs: ad.append(*xs, axis=1), lambda xs: np.append(*xs, axis=1), [(2, 2), (2, 1)]),
    "insert": (lambda xs: ad.insert(xs[0], 1, xs[1]), lambda xs: np.insert(xs[0], 1, xs[1]), [(2, 2), (3,)]),
    "insert at the end": (lambda xs: ad.insert(xs[0], 3, xs[1]), lambda xs: np.insert(xs[0], 3, xs[1]), [(3,), ()]),
    "insert a column": (
        lambda xs: ad.insert(xs[0], -1, xs[1], axis=1),
        lambda xs: np.insert(xs[0], -1, xs[1], axis=1),
        [(2, 3), (2,)],
    ),
    "insert columns": (
        lambda xs: ad.insert(xs[0], [1], xs[1], axis=1),
        lambda xs: np.insert(xs[0], [1], xs[1], axis=1),
        [(2, 3), (2, 2)],
    ),
    "insert at several": (
        lambda xs: ad.insert(xs[0], [2, 0, 2], xs[1], axis=0),
        lambda xs: np.insert(xs[0], [2, 0, 2], xs[1], axis=0),
        [(3, 2), (3, 2)],
    ),
    "delete": (lambda xs: ad.delete(xs[0], 1), lambda xs: np.delete(xs[0], 1), [(2, 2)]),
    "delete columns": (
        lambda xs: ad.delete(xs[0], [0, -1], axis=1),
        lambda xs: np.delete(xs[0], [0, -1], axis=1),
        [(2, 4)],
    ),
    "delete a slice": (
        lambda xs: ad.delete(xs[0], slice(None, None, 2), axis=0),
        lambda xs: np.delete(xs[0], slice(None, None, 2), axis=0),
        [(3, 2)],
    ),
    "repeat each": (
        lambda xs: ad.repeat(xs[0], ad.tensor([2, 0, 3]), axis=1),
        lambda xs: np.repeat(xs[0], [2, 0, 3], axis=1),
        [(2, 3)],
    ),
    "repeat each, flattened": (
        lambda xs: xs[0].repeat_interleave([1, 2, 0, 1]),
        lambda xs: np.repeat(xs[0], [1, 2, 0, 1]),
        [(2, 2)],
    ),
    "repeat flattened": (lambda xs: ad.repeat(xs[0], 2), lambda xs: np.repeat(xs[0], 2), [(2, 2)]),
    "repeat, by a tensor of one": (lambda xs: xs[0].repeat(ad.tensor([2])), lambda xs: np.repeat(xs[0], [2]), [(3,)]),
    "repeat of nothing": (
        lambda xs: ad.repeat(xs[0], ad.zeros(0, dtype=ad.int64), axis=0),
        lambda xs: xs[0],
        [(0, 2)],
    ),
    "flipud": (lambda xs: ad.flipud(xs[0]), lambda xs: np.flipud(xs[0]), [(3,)]),
    "fliplr": (lambda xs: xs[0].fliplr(), lambda xs: np.fliplr(xs[0]), [(2, 3)]),
    "flip": (lambda xs: xs[0].flip(0, 1), lambda xs: np.flip(xs[0], (0, 1)), [(2, 3)]),
    "flip of an axis": (lambda xs: xs[0].flip(dim=1), lambda xs: np.flip(xs[0], 1), [(2, 3)]),
    "flip of all": (lambda xs: xs[0].flip(), lambda xs: np.flip(xs[0]), [(2, 3)]),
    "roll": (lambda xs: xs[0].roll(1, 0), lambda xs: np.roll(xs[0], 1, 0), [(2, 3)]),
    "tile": (lambda xs: xs[0].tile(2, 3), lambda xs: np.tile(xs[0], (2, 3)), [(3,)]),
    "reshape to a copy": (lambda xs: ad.reshape(xs[0], (6,), copy=True), lambda xs: xs[0].reshape(6), [(2, 3)]),
}


@pytest.mark.parametrize("name", JOINED)
def test_joined(backend: Backend, name: str) -> None:
    ours, theirs, shapes = JOINED[name]
    xs = [counted(*shape) * (i + 1) for i, shape in enumerate(shapes)]
    made = ours(xs)
    assert_close(made, theirs([x.numpy() for x in xs]))
    before = [x.tolist() for x in xs]
    if made.numel():
        made.mul_(2)
    assert [x.tolist() for x in xs] == before  # a copy
    leaves = [x.detach().requires_grad_() for x in xs]
    assert gradcheck(lambda *xs: ours(list(xs)) ** 2, leaves, fast_mode=backend.name != "numpy")
    assert gradgradcheck(lambda *xs: ours(list(xs)) ** 2, leaves, fast_mode=True)


def test_atleast(backend: Backend) -> None:
    for ours, theirs in (
        (ad.atleast_1d, np.atleast_1d),
        (ad.atleast_2d, np.atleast_2d),
        (ad.atleast_3d, np.atleast_3d),
    ):
        for shape in ((), (2,), (2, 3), (2, 3, 4), (0,)):
            assert_close(ours(ad.ones(shape)), theirs(np.ones(shape, np.float32)))
    a, b = ad.atleast_1d(ad.tensor(1.0), ad.ones(2))
    assert (a.shape, b.shape) == ((1,), (2,))
    x = ad.tensor(3.0)
    ad.atleast_2d(x).zero_()
    assert x.item() == 0


def test_transposes(backend: Backend) -> None:
    c = ad.tensor([[1 + 2j, 3j]])
    assert c.mH.tolist() == c.H.tolist() == c.adjoint().tolist() == [[1 - 2j], [-3j]]
    assert ad.ones(2, 3).t().shape == (3, 2)
    assert ad.ones(3).t().shape == (3,)
    with pytest.raises(ShapeError, match=r"t: expected at most 2 dimensions; got shape \(1, 1, 1\); write x.mT"):
        ad.ones(1, 1, 1).t()
    with pytest.raises(ShapeError, match=r"H: expected a matrix; got shape \(2,\); write x.mH"):
        _ = ad.ones(2).H


def test_triangle_indices(backend: Backend) -> None:
    for name in ("tril_indices", "triu_indices"):
        for n, k, m in ((3, 0, None), (3, 1, 4), (2, -1, 3), (0, 0, None)):
            for y, b in zip(getattr(ad, name)(n, k=k, m=m), getattr(np, name)(n, k, m), strict=True):
                assert_close(y, b)
    x = counted(3, 3)
    assert x[ad.triu_indices(3, k=1)].tolist() == [2, 3, 6]
    with pytest.raises(OperandError, match=r"tril_indices: only the number of rows .* write tril_indices\(3, m=2\)"):
        ad.tril_indices(3, 2)


def test_fill_diagonal(backend: Backend) -> None:
    for shape, wrap in (((2, 3), False), ((5, 2), True), ((5, 2), False), ((7, 2), True), ((2, 2, 2), False)):
        ours, theirs = ad.zeros(shape), np.zeros(shape, np.float32)
        ours.fill_diagonal_(7, wrap)
        np.fill_diagonal(theirs, 7, wrap)
        assert_close(ours, theirs)
    with pytest.raises(ShapeError, match=r"fill_diagonal_: of more than 2 dimensions all must have one length"):
        ad.ones(2, 3, 2).fill_diagonal_(1)


def test_new_tensors_beside_another(backend: Backend) -> None:
    x = ad.ones(2, dtype=ad.int8)
    for made, expected in (
        (x.new_zeros(2, 1), [[0], [0]]),
        (x.new_ones((1, 2)), [[1, 1]]),
        (x.new_full((2,), 5), [5, 5]),
        (x.new_tensor([3, 4]), [3, 4]),
    ):
        assert made.dtype is ad.int8
        assert made.device is x.device
        assert made.tolist() == expected
    assert x.new_empty(3).shape == (3,)
    assert x.new_full((1,), 2.5, dtype=ad.float64, requires_grad=True).requires_grad


def test_result_of_one_type(backend: Backend) -> None:
    assert ad.hstack([ad.ones(2, dtype=ad.int8), ad.ones(2, dtype=ad.float64)]).dtype is ad.float64
    assert ad.insert(ad.tensor([1, 2]), 0, 3).dtype is ad.int64
    assert ad.pad(ad.tensor([1, 2]), 1, constant_values=3).tolist() == [3, 1, 2, 3]


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: ad.moveaxis(x, 0, (0, 1)), ShapeError, r"moveaxis: source 0 and destination \(0, 1\) must have"),
        (lambda x: ad.moveaxis(x, (0, 0), (0, 1)), ShapeError, "moveaxis: .*names a dimension twice"),
        (lambda x: ad.moveaxis(x, 5, 0), IndexOutOfRangeError, "moveaxis: axis 5 is out of range for 2 dimensions"),
        (lambda x: x.unflatten(1, (2, 2)), ShapeError, r"unflatten: shape \(3,\), of 3 elements, .*\(2, 2\)"),
        (lambda x: ad.reshape(x.mT, (6,), copy=False), ShapeError, r"reshape: .* strides .* cannot be seen as \(6,\)"),
        (lambda x: ad.unstack(x, axis=2), IndexOutOfRangeError, "unstack: axis 2 is out of range"),
        (
            lambda x: ad.unstack(x.sum()),
            IndexOutOfRangeError,
            "unstack: axis 0 .* valid: none, since the tensor is 0-d",
        ),
        (
            lambda x: ad.split(x, 2, 1),
            ShapeError,
            r"split: axis 1 of shape \(2, 3\) does not divide into 2 equal .*tenso",
        ),
        (lambda x: ad.split(x, 0), ArgumentError, "split: the number of parts must be positive; got 0"),
        (lambda x: ad.split(x, 1.5), OperandError, "split: indices_or_sections must be an integer; got 1.5"),
        (lambda x: x.split([1, 3], 1), ShapeError, r"split: lengths \[1, 3\] do not add up to 3, that of dimension 1"),
        (lambda x: x.split(0), ArgumentError, "split: the length of the parts must be positive; got 0"),
        (lambda x: x.chunk(0), ArgumentError, "chunk: the number of parts must be positive; got 0"),
        (lambda x: x.dsplit(1), ShapeError, r"dsplit: expected at least 3 dimensions; got shape \(2, 3\)"),
        (lambda x: x.vsplit("a"), OperandError, "vsplit: indices_or_sections must be an integer; got 'a'"),
        (
            lambda x: x.narrow(0, 1, 2),
            IndexOutOfRangeError,
            "narrow: 2 elements from 1 on are out of range for dim.* 0",
        ),
        (lambda x: x.select(0, 2), IndexOutOfRangeError, "select: index 2 is out of range for dimension 0 of length 2"),
        (lambda x: ad.fliplr(x[0]), ShapeError, r"fliplr: expected at least 2 dimensions; got shape \(3,\)"),
        (lambda x: ad.hstack([x, x[:1]]), ShapeError, r"hstack: concat: shapes must agree .*\(2, 3\) and \(1, 3\)"),
        (lambda x: ad.hstack([]), OperandError, r"hstack: expected a list or tuple of tensors; got \[\]"),
        (lambda x: ad.vstack([x, 1]), OperandError, "vstack: an element is int 1; expected a tensor"),
        (
            lambda x: ad.repeat(x, ad.tensor([1, 2, 3]), axis=0),
            ShapeError,
            r"repeat: repeats of shape \(3,\) do not fit 2",
        ),
        (lambda x: ad.repeat(x, [1, -2], axis=0), ArgumentError, "repeat: repeats must not be negative; got -2"),
        (lambda x: ad.repeat(x, [1.0, 2.0], axis=0), DTypeError, "repeat: repeats must be integers; got float32"),
        (
            lambda x: ad.delete(x, 2, axis=0),
            IndexOutOfRangeError,
            r"delete: along axis 0 of shape \(2, 3\): .*index 2 is",
        ),
        (
            lambda x: ad.insert(x, 3, 0, axis=0),
            IndexOutOfRangeError,
            "insert: index 3 is out of range .*valid: -2 to 2",
        ),
        (
            lambda x: ad.pad(ad.tensor([1]), 1, constant_values=0.5),
            DTypeError,
            "pad: constant_values: 0.5 does not fit",
        ),
        (lambda x: x.diagonal(dim1=1), ShapeError, "diagonal: axis1 and axis2 must be two different dimensions"),
        (lambda x: ad.concat([x, x], axis=2), IndexOutOfRangeError, "concat: axis 2 is out of range"),
    ],
)
def test_errors(backend: Backend, call: Callable[[Tensor], Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(ad.ones(2, 3))


@pytest.mark.parametrize(
    "name",
    ["adjoint", "flipud", "matrix_transpose", "moveaxis", "repeat", "t", "unflatten", "unstack", "split", "delete"],
)
def test_something_that_is_no_tensor(name: str) -> None:
    arguments = {"moveaxis": (0, 1), "repeat": (2,), "unflatten": (0, (1, 1)), "split": (1,), "delete": (0,)}
    with pytest.raises(OperandError, match=rf"{'matrix_transpose' if name == 'adjoint' else name}: x is list"):
        getattr(ad, name)([1.0], *arguments.get(name, ()))


# PyTorch's spellings ------------------------------------------------------------------------------------------------


def test_pytorchs_names_of_parameters(backend: Backend) -> None:
    x = counted(2, 3)
    assert_close(ad.flip(x, dims=(0, 1)), ad.flip(x))
    assert_close(x.flip(dims=(1,)), ad.flip(x, axis=1))
    assert_close(ad.roll(x, shifts=1, dims=0), ad.roll(x, 1, axis=0))
    assert_close(ad.tile(x, dims=(2, 1)), ad.tile(x, (2, 1)))
    assert_close(ad.triu(x, diagonal=1), ad.triu(x, k=1))
    assert_close(ad.diag(x, diagonal=1), ad.diag(x, 1))
    assert_close(ad.rot90(x, 1, dims=(1, 0)), ad.rot90(x, axes=(1, 0)))
    assert_close(ad.permute_dims(x, dims=(1, 0)), x.mT)
    assert_close(ad.repeat_interleave(x, 2, dim=1), ad.repeat(x, 2, axis=1))
    assert [y.shape for y in ad.unbind(x, dim=1)] == [(2,)] * 3
    assert_close(ad.diagonal(x, dim1=1, dim2=0), x.diagonal())
    with pytest.raises(OperandError, match="roll: give shift or shifts, not both"):
        ad.roll(x, 1, shift=1, shifts=1)
    with pytest.raises(OperandError, match="flip: axis was given twice, by position and by name"):
        x.flip(0, dims=1)


def test_methods_of_pytorch(backend: Backend) -> None:
    x = ad.zeros(2, 3, dtype=ad.float64)
    assert (x.element_size(), x.nelement(), x.ndimension(), x.nbytes) == (8, 6, 2, 48)
    assert (x.stride(), x.mT.stride(), x[:, ::2].stride(1), x.expand(4, 2, 3).stride(0)) == ((3, 1), (1, 3), 2, 0)
    other = ad.ones(3, 2)
    assert x.view_as(other).shape == x.reshape_as(other).shape == (3, 2)
    assert ad.ones(1, 2).expand_as(other).shape == (3, 2)
    with pytest.raises(OperandError, match=r"view_as: other is tuple \(3, 2\); expected a tensor"):
        x.view_as((3, 2))


PADS: list[tuple[tuple[int, ...], str, Any]] = [
    ((1, 2), "constant", None),
    ((1, 2, 0, 1), "constant", 2.5),
    ((-1, 2, 1, -1), "constant", None),
    ((2, 1), "reflect", None),
    ((1, -2), "replicate", None),
    ((2, 3), "circular", None),
]


@pytest.mark.parametrize(("pad", "mode", "value"), PADS)
def test_pad_as_pytorch(backend: Backend, pad: Any, mode: str, value: Any) -> None:
    torch = pytest.importorskip("torch")
    x = counted(2, 3, 4).requires_grad_()
    t = torch.arange(1.0, 25.0, dtype=torch.float64).reshape(2, 3, 4).requires_grad_()
    mine, its = ad.nn.functional.pad(x, pad, mode, value), torch.nn.functional.pad(t, pad, mode, value)
    assert_close(mine, its.detach().numpy())
    (mine**2).sum().backward()
    (its**2).sum().backward()
    assert_close(x.grad, t.grad.numpy())


@pytest.mark.parametrize(
    ("args", "error", "match"),
    [
        (((1, 2, 3),), ShapeError, r"nn.pad: pad is a pair for each of the last of 1 dimensions; got \(1, 2, 3\)"),
        (((1, 2), "edge"), ArgumentError, "nn.pad: mode is one of .*'circular'; got 'edge'"),
        (((1, 2), "reflect", 1.0), ArgumentError, "nn.pad: value 1.0 is for mode 'constant'; got mode 'reflect'"),
        (((-2, -2),), ShapeError, r"nn.pad: \(-2, -2\) cuts off more than dimension 0 of \(3,\) has"),
    ],
)
def test_errors_of_pad(backend: Backend, args: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        ad.nn.functional.pad(ad.ones(3), *args)


def test_astype_brings_to_a_device(backend: Backend) -> None:
    x = ad.ones(2)
    assert ad.astype(x, ad.float32, device=x.device, copy=False) is x
    moved = ad.astype(x, ad.float64, device=ad.zeros(1, backend="numpy").device)
    assert (moved.backend.name, moved.dtype) == ("numpy", ad.float64)


def test_windows_by_the_name_that_pytorch_has_for_the_axis(backend: Backend) -> None:
    assert ad.arange(6).unfold(dimension=0, size=2, step=2).tolist() == [[0, 1], [2, 3], [4, 5]]
