"""Factors of matrices on JAX: matrices that are not positive definite are refused where there are values to look at."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from polyad.errors import LinAlgError


@partial(jax.jit, static_argnames="upper")
def _factored(x: Any, upper: bool) -> Any:
    found = jnp.linalg.cholesky(x, upper=upper, symmetrize_input=False)
    return found, jnp.isnan(found).any((-2, -1)) & ~jnp.isnan(x).any((-2, -1))


def _cholesky(x: Any, upper: bool = False) -> Any:
    found, failed = _factored(x, upper)
    # not on an accelerator, where reading a value would wait for all that is queued
    if not isinstance(failed, jax.core.Tracer) and next(iter(failed.devices())).platform == "cpu":
        which = np.asarray(failed)
        if which.any():
            raise LinAlgError.of("linalg.cholesky", int(which.argmax()), which.shape, "is not positive definite")
    return found


_cholesky.is_prepared = True  # type: ignore[attr-defined]


def _lu(x: Any) -> Any:
    both, _, order = jax.lax.linalg.lu(x)
    rows = jnp.arange(x.shape[-1])
    exchanged = (rows[:, None] == order[..., None, :]).astype(x.dtype)
    return exchanged, jnp.tril(both, -1) + jnp.eye(x.shape[-1], dtype=x.dtype), jnp.triu(both)


def _slogdet(x: Any) -> Any:
    sign, logarithm = jnp.linalg.slogdet(x)
    return jnp.where(jnp.isnan(logarithm), jnp.nan, sign), logarithm  # which JAX before 0.9 gives a sign


KERNELS = {
    "linalg.cholesky": _cholesky,
    "linalg.eigh": lambda x: tuple(jnp.linalg.eigh(x, symmetrize_input=False)),
    "linalg.eig": lambda x: tuple(jnp.linalg.eig(x)),
    "linalg.lu": _lu,
    "linalg.slogdet": _slogdet,
}
