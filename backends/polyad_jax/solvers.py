"""Linear systems on JAX: singular matrices are refused where there are values to look at."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from polyad.errors import LinAlgError

SINGULAR = "is singular; linalg.pinv and linalg.lstsq take such matrices"


def _refuse(name: str, singular: Any) -> None:
    """Raise for the first singular matrix of a stack.

    Not while a transformation traces, when there are no values, and not on an accelerator, where reading one would wait
    for all that is queued: there the result has infinities or NaN.
    """
    if isinstance(singular, jax.core.Tracer) or next(iter(singular.devices())).platform != "cpu":
        return
    found = np.asarray(singular)
    if found.any():
        raise LinAlgError.of(name, int(found.argmax()), found.shape, SINGULAR)


def _own(kernel: Any) -> Any:
    kernel.is_prepared = True
    return kernel


def _zero_on_diagonal(x: Any) -> Any:
    return (jnp.diagonal(x, axis1=-2, axis2=-1) == 0).any(-1)


@jax.jit
def _solved(a: Any, b: Any) -> Any:
    # the compiler sees that the solver makes the same factorization, and makes one
    return jnp.linalg.solve(a, b), _zero_on_diagonal(jax.lax.linalg.lu(a)[0])


@jax.jit
def _inverted(a: Any) -> Any:
    return _solved(a, jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape))


def _solve(a: Any, b: Any) -> Any:
    x, singular = _solved(a, b)
    _refuse("linalg.solve", singular)
    return x


def _inv(a: Any) -> Any:
    x, singular = _inverted(a)
    _refuse("linalg.inv", singular)
    return x


@partial(jax.jit, static_argnums=(2, 3, 4))
def _triangular(a: Any, b: Any, upper: bool, left: bool, unitriangular: bool) -> Any:
    stack = jnp.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = jax.lax.linalg.triangular_solve(
        jnp.broadcast_to(a, (*stack, *a.shape[-2:])),
        jnp.broadcast_to(b, (*stack, *b.shape[-2:])),
        left_side=left,
        lower=not upper,
        unit_diagonal=unitriangular,
    )
    return x, _zero_on_diagonal(a)


def _solve_triangular(a: Any, b: Any, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    x, singular = _triangular(a, b, upper, left, unitriangular)
    if not unitriangular:
        _refuse("linalg.solve_triangular", singular)
    return x


def _matrix_exp(x: Any) -> Any:
    """Scale each matrix of a stack by itself, and square as often as the largest one needs."""
    limit = 5.371920351148152 if x.dtype in (jnp.float64, jnp.complex128) else 3.925724783138660
    norms = jnp.abs(x).sum(-2).max(-1, initial=0)
    times = jnp.ceil(jnp.log2(jnp.where(norms > limit, norms, limit) / limit))
    times = jnp.where(jnp.isfinite(times), times, 0)[..., None, None]
    result = jax.scipy.linalg.expm(x * jnp.exp2(-times), max_squarings=0)

    def square(i: Any, r: Any) -> Any:
        return jnp.where(times > i, jnp.matmul(r, r, precision="highest"), r)

    return jax.lax.fori_loop(0, times.max(initial=0).astype(int), square, result)


KERNELS = {
    "linalg.inv": _own(_inv),
    "linalg.solve": _own(_solve),
    "linalg.solve_triangular": _own(_solve_triangular),
    "linalg.matrix_exp": _matrix_exp,
}
