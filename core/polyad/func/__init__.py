"""Functions of functions, as in ``torch.func`` and JAX: `grad`, `vmap`, `jvp`, `jacrev`, `hessian` and the others."""

from __future__ import annotations

from .forward import jvp, linearize
from .jacobians import hessian, hvp, jacfwd, jacrev, vhp
from .modules import functional_call, stack_module_state
from .reverse import grad, grad_and_value, value_and_grad, vjp
from .vmap import vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "hvp",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "value_and_grad",
    "vhp",
    "vjp",
    "vmap",
]
