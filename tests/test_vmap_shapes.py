"""`vmap` of what is made of several functions, and so has no record of its own: values, gradients and forward mode.

Against the loop over the examples; a Jacobian times a vector against the same one by reverse mode.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.errors import OperandError
from polyad.func import jvp, vjp, vmap
from polyad.testing import assert_close

FUNCTIONS: dict[str, Callable[[Any], Any]] = {  # of a matrix of shape (4, 6)
    "split": lambda x: ad.split(x, 2),
    "split method": lambda x: x.split(4, 1),
    "unstack": lambda x: ad.unstack(x, 1),
    "tensor_split": lambda x: ad.tensor_split(x, [1, 3], 1),
    "hstack": lambda x: ad.hstack([x, x * 2]),
    "vstack": lambda x: ad.vstack([x, x[0]]),
    "dstack": lambda x: ad.dstack([x, x]),
    "column_stack": lambda x: ad.column_stack([x[0], x[1]]),
    "append": lambda x: ad.append(x, x[0]),
    "delete": lambda x: ad.delete(x, ad.tensor([0, 2]), 1),
    "insert": lambda x: ad.insert(x, 1, x[:, 0], 1),
    "narrow": lambda x: ad.narrow(x, 1, 2, 3),
    "meshgrid": lambda x: ad.meshgrid(x[0], x[1]),
    "broadcast_arrays": lambda x: ad.broadcast_arrays(x, x[:, :1]),
    "atleast_3d": lambda x: ad.atleast_3d(x),
    "unflatten": lambda x: x.unflatten(1, (2, 3)),
    "moveaxis": lambda x: ad.moveaxis(x, 0, 1),
    "T": lambda x: x.T,
    "contiguous": lambda x: x.T.contiguous(),
    "expand": lambda x: x[:1].expand(5, -1),
    "iteration": lambda x: tuple(row * 2 for row in x),
    "gather": lambda x: ad.gather(x, 1, ad.argsort(x, axis=1)[:2, :3]),
    "scatter_add": lambda x: ad.scatter_add(x, 0, (x * 0).long(), x),
    "scatter_reduce amax": lambda x: ad.scatter_reduce(x, 1, ad.tensor([[0, 0], [1, 1]]), x[:2, :2], "amax"),
    "scatter_reduce prod": lambda x: ad.scatter_reduce(x, 1, ad.tensor([[0, 0], [1, 1]]), 2.0, "prod"),
    "put": lambda x: ad.put(x, ad.tensor([1, 2]), x[0, :2]),
    "put_along_axis": lambda x: ad.put_along_axis(x, ad.argsort(x, axis=1)[:, :2], 1.0, axis=1),
    "index_copy": lambda x: ad.index_copy(x, 0, ad.tensor([0, 1]), x[2:]),
    "index_add": lambda x: ad.index_add(x, 0, ad.tensor([0, 1]), x[2:], alpha=2.0),
    "index_fill": lambda x: ad.index_fill(x, 1, ad.tensor([0]), x[0, 0]),
    "masked_scatter": lambda x: ad.masked_scatter(x, x > 0, x.flatten()),
    "linalg.diagonal": lambda x: ad.linalg.diagonal(x),
    "fill_diagonal_": lambda x: (x * 1.0).fill_diagonal_(x[0, 0]),
    "repeat": lambda x: ad.repeat(x, ad.tensor([1, 0, 2, 1]), axis=0),
    "repeat flat": lambda x: ad.repeat(x, 2),
    "pad": lambda x: ad.pad(x, ((1, 2), (0, 1)), mode="reflect"),
    "lexsort": lambda x: ad.lexsort([x[0], x[1]]),
    "digitize": lambda x: ad.digitize(x, ad.sort(x[0])),
    "searchsorted": lambda x: ad.searchsorted(x[0], x[1], sorter=ad.argsort(x[0])),
    "histogram": lambda x: ad.histogram(x, 5, range=(-1.0, 2.0)),
    "weighted histogram": lambda x: ad.histogram(x[0], 5, range=(-1.0, 2.0), weights=x[1], density=True)[0],
    "histc": lambda x: ad.histc(x, 5, -3, 3).detach(),
    "kthvalue": lambda x: tuple(x.kthvalue(2)),
    "detach": lambda x: x.detach() * x,
    "copy_": lambda x: ad.zeros_like(x).copy_(x[0]),
    "fill_": lambda x: ad.zeros_like(x).fill_(x[0, 0]),
    "clip_": lambda x: x.clone().clip_(0.0, 1.0),
    "new_full": lambda x: x.new_full((2,), 3.0) + x[0, :2],
    "asarray": lambda x: ad.asarray([1.0, 2.0], device=x.device, dtype="float64") + x[0, :2],
    "tensor": lambda x: ad.tensor(x),
}


def as_tuple(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def examples() -> Any:
    return ad.tensor(np.random.default_rng(0).normal(size=(3, 4, 6)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(backend: Backend, name: str) -> None:
    expected = [as_tuple(FUNCTIONS[name](x)) for x in examples()]
    for i, y in enumerate(as_tuple(vmap(FUNCTIONS[name])(examples()))):
        assert_close(y, ad.stack([e[i] for e in expected]))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives(backend: Backend, name: str) -> None:
    def outs(x: Any) -> tuple[Any, ...]:
        return tuple(y for y in as_tuple(FUNCTIONS[name](x)) if y.dtype.is_differentiable)

    def pulled(x: Any, *cotangents: Any) -> Any:
        return vjp(outs, x)[1](cotangents)[0]

    x = examples()
    rng = np.random.default_rng(1)
    cs = [ad.tensor(rng.normal(size=y.shape)) for y in vmap(outs)(x)]
    if not cs:
        pytest.skip("it gives integers")
    gradients = vmap(pulled)(x, *cs)
    assert_close(gradients, ad.stack([pulled(x[n], *(c[n] for c in cs)) for n in range(3)]))
    _, moved = jvp(outs, (x[0],), (x[1],))
    forward = [(c[0] * t).sum() for c, t in zip(cs, moved, strict=True)]
    assert_close(ad.stack(forward).sum(), (gradients[0] * x[1]).sum())


def test_counting_needs_the_largest_number(backend: Backend) -> None:
    with pytest.raises(
        OperandError, match=r"bincount: .* not known, because vmap .* write polyad.zeros\(n\).scatter_add"
    ):
        vmap(ad.bincount)(ad.tensor([[0, 1], [2, 2]]))
    found = vmap(lambda x: ad.zeros(3).scatter_add(0, x, ad.ones(len(x))))(ad.tensor([[0, 1], [2, 2]]))
    assert found.tolist() == [[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]]
