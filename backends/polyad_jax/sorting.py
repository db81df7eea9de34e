"""Sorting and sets on JAX: places of 64 bits, and errors where the number of results is not known while traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from polyad.errors import OperandError


def _sort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    found = jnp.sort(x, axis=axis, stable=False)
    return jnp.flip(found, axis) if descending else found


def _argsort(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    if not descending:
        return jnp.argsort(x, axis=axis, stable=True).astype(jnp.int64)
    # ascending from the end, then turned round: NaN comes first, and equal elements keep their order
    order = jnp.argsort(jnp.flip(x, axis), axis=axis, stable=True).astype(jnp.int64)
    return x.shape[axis] - 1 - jnp.flip(order, axis)


def _topk(x: Any, k: int, axis: int, largest: bool, sorted: bool = True) -> tuple[Any, Any]:
    if largest and x.dtype != bool:
        last = jnp.moveaxis(x, axis, -1)
        if jnp.issubdtype(x.dtype, jnp.floating):  # by the library's order -0.0 is less than 0.0, and some NaN than all
            last = jnp.where(last == 0, 0, jnp.where(jnp.isnan(last), jnp.nan, last))
        order = jnp.moveaxis(jax.lax.top_k(last, k)[1].astype(jnp.int64), -1, axis)
    else:
        order = jax.lax.slice_in_dim(_argsort(x, axis, largest), 0, k, axis=axis)
    return jnp.take_along_axis(x, order, axis), order


def concrete(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse traced arrays, where how many elements there will be depends on values."""

    def checked(x: Any, *others: Any, **params: Any) -> Any:
        if isinstance(x, jax.core.Tracer):
            raise OperandError(
                f"{name}: how many elements it gives is not known while the function is traced; call it outside of "
                f"the traced function, or use where(mask, x, y), which keeps the shape"
            )
        return kernel(x, *others, **params)

    checked.is_prepared = True  # type: ignore[attr-defined]
    return checked


def _unique(x: Any) -> tuple[Any, Any, Any, Any]:
    values, first, inverse, counts = jnp.unique(x, True, True, True, equal_nan=False)
    return values, first.astype(jnp.int64), inverse.reshape(x.shape).astype(jnp.int64), counts.astype(jnp.int64)


def _nonzero(x: Any) -> tuple[Any, ...]:
    if next(iter(x.devices())).platform != "cpu":
        return tuple(a.astype(jnp.int64) for a in jnp.nonzero(x))
    # the host knows how many there are, and JAX's own function asks it for each step: a hundredth of the time
    return tuple(jax.device_put(a, x.sharding) for a in np.nonzero(np.asarray(x)))


KERNELS = {
    "topk": _topk,
    "sort": _sort,
    "argsort": _argsort,
    "searchsorted": lambda x1, x2, side="left": jnp.searchsorted(x1, x2, side=side).astype(jnp.int64),
    "nonzero": concrete("nonzero", _nonzero),
    "unique_all": concrete("unique_all", _unique),
    "unique_values": concrete("unique_values", lambda x: jnp.unique(x, equal_nan=False)),
    "unique_counts": concrete("unique_counts", lambda x: _unique(x)[::3]),
    "unique_inverse": concrete("unique_inverse", lambda x: _unique(x)[::2]),
}
