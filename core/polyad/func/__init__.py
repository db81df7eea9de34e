"""Functions of functions, as in ``torch.func`` and JAX: `grad`, `vmap`, `jvp`, `jacrev`, `hessian` and the others."""

from __future__ import annotations

from .forward import jvp
from .reverse import grad, grad_and_value, value_and_grad, vjp
from .vmap import vmap

__all__ = ["grad", "grad_and_value", "jvp", "value_and_grad", "vjp", "vmap"]
