"""Running sums and products on JAX: by matrix products where XLA has nothing fast."""

from __future__ import annotations

from typing import Any, Final

import jax.numpy as jnp
from jax import lax

from polyad.backend import Kernel

__all__ = ["KERNELS"]

_BLOCK: Final = 32


def _by_rows(x: Any, axis: int, reverse: bool) -> Any:
    """Sum slices along an axis one after the other, each as a whole."""
    rows = jnp.moveaxis(x, axis, 0)

    def step(total: Any, row: Any) -> Any:
        total = total + row
        return total, total

    return jnp.moveaxis(lax.scan(step, jnp.zeros_like(rows[0]), rows, reverse=reverse)[1], 0, axis)


def _by_blocks(x: Any, axis: int, reverse: bool) -> Any:
    """Sum along an axis: blocks by a product with a triangle of ones, then what goes before each."""
    n, moved = x.shape[axis], jnp.moveaxis(x, axis, -1)
    padded = jnp.pad(moved, [(0, 0)] * (x.ndim - 1) + [(0, -n % _BLOCK)])
    ones = jnp.ones((_BLOCK, _BLOCK), x.dtype)
    blocks = padded.reshape(-1, _BLOCK) @ (jnp.tril(ones) if reverse else jnp.triu(ones))
    blocks = blocks.reshape(*moved.shape[:-1], -1, _BLOCK)
    sums = blocks[..., 0 if reverse else -1]
    before = lax.cumsum(sums, sums.ndim - 1, reverse=reverse) - sums
    found = (blocks + before[..., None]).reshape(padded.shape)[..., :n]
    # a product takes infinities and NaN to all of their block
    return lax.cond(
        jnp.isfinite(found[..., 0 if reverse else -1]).all(),
        lambda: jnp.moveaxis(found, -1, axis),
        lambda: lax.cumsum(x, axis, reverse=reverse),
    )


def _sums(x: Any, axis: int, reverse: bool) -> Any:
    def whole(x: Any) -> Any:
        return lax.cumsum(x, axis, reverse=reverse)

    def on_cpu(x: Any) -> Any:
        by = _by_rows if axis < x.ndim - 1 and x.size >= 256 * x.shape[axis] else _by_blocks
        return by(x, axis, reverse)

    if x.dtype not in (jnp.float32, jnp.float64) or x.size < 1 << 14 or x.shape[axis] < 4 * _BLOCK:
        return whole(x)
    return lax.platform_dependent(x, cpu=on_cpu, default=whole)


def _running(cumulate: Any, initial: int) -> Kernel:
    def kernel(x: Any, axis: int, include_initial: bool = False) -> Any:
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            x = x.astype(jnp.uint64 if jnp.issubdtype(x.dtype, jnp.unsignedinteger) else jnp.int64)
        out = cumulate(x, axis, reverse=False)
        if include_initial:
            widths = [(int(d == axis), 0) for d in range(x.ndim)]
            out = jnp.pad(out, widths, constant_values=initial)
        return out

    return kernel


KERNELS = {
    "cumulative_sum": _running(_sums, 0),
    "cumulative_prod": _running(lax.cumprod, 1),
    "_ranked": lambda x, ranks: jnp.sort(x, axis=-1)[..., jnp.asarray(ranks)],
    "_sum_from_end": lambda x, axis: _sums(x, axis, True),
}
