"""`polyad.utils.checkpoint` inside transforms and round them: what is run again is of a transform that is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_checkpoint import leaf, plain

import polyad as ad
from polyad.backend import Backend
from polyad.errors import AutogradError, TransformError
from polyad.func import grad, hessian, hvp, jacfwd, jacrev, jvp, linearize, vjp, vmap
from polyad.utils.checkpoint import checkpoint

Call = Callable[..., Any]


def row(v: ad.Tensor) -> ad.Tensor:
    return ((v * 2).sin().exp() * v).sum()


PROGRAMS: dict[str, Callable[[Call, ad.Tensor], ad.Tensor]] = {
    "inside vmap": lambda call, w: vmap(lambda v: call(row, v))(w).sum(),
    "inside vmap and grad": lambda call, w: vmap(grad(lambda v: call(row, v)))(w).sum(),
    "inside jvp": lambda call, w: jvp(lambda w: call(row, w), (w,), (w.sin(),))[1],
    "inside hvp": lambda call, w: hvp(lambda w: call(row, w), (w,), (w.sin(),))[0].sum(),
    "round vmap and grad": lambda call, w: call(lambda w: vmap(grad(row))(w).sum(), w),
    "round vmap and vjp": lambda call, w: call(lambda w: vmap(lambda v: vjp(row, v)[1](row(v))[0])(w).sum(), w),
    "round jvp and grad": lambda call, w: call(lambda w: jvp(grad(row), (w,), (w.sin(),))[1].sum(), w),
    "round hessian": lambda call, w: call(lambda w: hessian(row)(w[0]).sum(), w),
    "round linearize": lambda call, w: call(lambda w: linearize(ad.tanh, w)[1](w.sin()).sum(), w),
    "both, vmap": lambda call, w: call(lambda w: vmap(lambda v: call(row, v))(w).sum(), w),
    "both, jacfwd": lambda call, w: call(lambda w: jacfwd(lambda w: call(row, w))(w).sum(), w),
    "both, jacrev": lambda call, w: call(lambda w: jacrev(lambda w: call(row, w))(w).sum(), w),
    "between two": lambda call, w: vmap(lambda v: call(lambda v: vmap(grad(ad.sin))(v).sum(), v))(w).sum(),
}


def examples(f: Any) -> Any:
    """The gradient at two points at once."""
    return lambda w: vmap(grad(f))(ad.stack([w, w.sin()]))


@pytest.mark.parametrize("transform", [grad, jacfwd, hessian, examples])
@pytest.mark.parametrize("name", PROGRAMS)
def test_with_transforms(backend: Backend, name: str, transform: Any) -> None:
    w = leaf(2, 3).detach()
    expected, found = (transform(lambda w, c=call: PROGRAMS[name](c, w))(w) for call in (plain, checkpoint))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("transform", ["vmap", "jvp", "its tangent"])
def test_writes_to_what_a_transform_was_given(backend: Backend, transform: str) -> None:
    w, v = leaf(2, 3) * 1, ad.ones(2, 3, dtype=ad.float64)
    if transform == "vmap":
        y = vmap(lambda w: checkpoint(row, w))(w).sum()
    else:
        y = jvp(lambda w: checkpoint(row, w), (w,), (v,))[1]
    with ad.no_grad():
        (v if transform == "its tangent" else w).mul_(2)
    # which backward comes to first: what a node of the transform kept of it, or the call that is to run again
    what = r"argument args\[0\] of row" if transform == "jvp" else "a tensor that MultiplyBackward kept .*"
    with pytest.raises(AutogradError, match=rf"{what} was overwritten .*version 1, and version 0"):
        y.backward()


def test_transforms_are_over_all_the_same(backend: Backend) -> None:
    kept: list[ad.Tensor] = []

    def block(v: ad.Tensor) -> ad.Tensor:
        kept.append(v.sin())
        return kept[-1].exp().sum()

    w = leaf(2, 3)
    vmap(lambda v: checkpoint(block, v))(w).sum().backward()
    assert len(kept) == 2
    for v in kept:
        with pytest.raises(TransformError, match="outside the function that was transformed"):
            v + w
