"""Products on JAX: those of half precision add up in float32."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

NARROW = frozenset([jnp.dtype(jnp.float16), jnp.dtype(jnp.bfloat16)])


def _matmul(a: Any, b: Any) -> Any:
    if a.dtype in NARROW:
        return jnp.matmul(a, b, preferred_element_type=jnp.float32).astype(a.dtype)
    return jnp.matmul(a, b)


_matmul.is_wide = True  # type: ignore[attr-defined]

KERNELS = {"matmul": _matmul}
