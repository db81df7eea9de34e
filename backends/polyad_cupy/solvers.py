"""Products and linear systems on CuPy. Singular matrices are not looked for, since that would wait for the device."""

from __future__ import annotations

from typing import Any

import numpy as np

from polyad.backend import Kernel

__all__ = ["kernels"]


def kernels(xp: Any, triangular: Any = None) -> dict[str, Kernel]:
    """Make the kernels over a namespace: ``cupy``, or in the tests NumPy.

    ``triangular`` stands for `cupyx.scipy.linalg.solve_triangular`.
    """

    def matmul(a: Any, b: Any) -> Any:
        return xp.matmul(a, b)

    matmul.is_wide = True  # type: ignore[attr-defined]  # cuBLAS adds up float16 in float32

    def spread(a: Any, b: Any) -> tuple[Any, Any]:
        """Give both one stack: CuPy's solvers do not broadcast."""
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        return xp.broadcast_to(a, (*stack, *a.shape[-2:])), xp.broadcast_to(b, (*stack, *b.shape[-2:]))

    def solve(a: Any, b: Any) -> Any:
        if b.ndim > 1:
            a, b = spread(a, b)
        return xp.linalg.solve(a, b)

    def solve_triangular(a: Any, b: Any, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
        if not left:
            return solve_triangular(a.mT, b.mT, not upper, True, unitriangular).mT
        a, b = spread(a, b)
        if not b.size:
            return b.copy()
        solver = triangular or _triangular()
        return solver(a, b, lower=not upper, unit_diagonal=unitriangular)

    return {"matmul": matmul, "linalg.solve": solve, "linalg.solve_triangular": solve_triangular}


def _triangular() -> Any:
    from cupyx.scipy.linalg import solve_triangular  # loads cuBLAS

    return solve_triangular
