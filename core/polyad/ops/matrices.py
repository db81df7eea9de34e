"""What functions of matrices have in common: their rules' small steps, and stacks of them for many examples at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ..batching import aligned, to_front
from ..function import TENSORS, Function
from ..rules import is_complex

__all__ = [
    "adjoint",
    "conj_of",
    "couplings",
    "defective",
    "diagonal_of",
    "hermitian",
    "is_double",
    "on_diagonal",
    "real_of",
    "reciprocal",
    "singular_couplings",
    "skew",
    "solve_batched",
    "substitution_batched",
    "trace_of_product",
]


def is_double(dtype: Any) -> bool:
    """Whether a library's floating type has 64 bits for a real number."""
    return str(dtype).endswith(("float64", "complex128"))


def conj_of(xp: Any, x: Any) -> Any:
    """The complex conjugate; real numbers as they are."""
    return xp.conj(x) if is_complex(x.dtype) else x


def real_of(xp: Any, x: Any) -> Any:
    """The real part; real numbers as they are."""
    return xp.real(x) if is_complex(x.dtype) else x


def adjoint(xp: Any, x: Any) -> Any:
    """The conjugate transpose."""
    return conj_of(xp, x.mT)


def hermitian(xp: Any, x: Any) -> Any:
    """The Hermitian part."""
    return (x + adjoint(xp, x)) / 2


def skew(xp: Any, x: Any) -> Any:
    """The skew-Hermitian part."""
    return (x - adjoint(xp, x)) / 2


def diagonal_of(xp: Any, x: Any) -> Any:
    """The diagonals of matrices."""
    n = len(x.shape)
    return xp.diagonal(x, offset=0, axis1=n - 2, axis2=n - 1)


def on_diagonal(xp: Any, x: Any) -> Any:
    """Diagonal matrices."""
    n = len(x.shape)
    return xp.diag_embed(x, offset=0, dim1=n - 1, dim2=n)


def reciprocal(xp: Any, x: Any) -> Any:
    """``1 / x``, and NaN for 0: neither infinite, nor a warning, nor what makes derivatives of the others NaN."""
    none = x == 0
    return xp.where(none, math.nan, 1 / xp.where(none, xp.ones_like(x), x))


def couplings(xp: Any, gap: Any) -> Any:
    """``1 / gap`` between different values, 0 on the diagonal, where a value meets itself.

    NaN between values that are equal. Their vectors are not determined, and what is divided by that gap tells nothing:
    it is 0 too for functions whose derivative is not, such as the logarithm of a matrix at the identity.
    """
    ones = on_diagonal(xp, xp.ones_like(diagonal_of(xp, gap)))
    return reciprocal(xp, gap + ones) - ones


def singular_couplings(xp: Any, s: Any) -> Any:
    """``s[j] / (s[j]**2 - s[i]**2)``, as `couplings` are; without the squares, which leave a type's range sooner."""
    row, column = s[..., None, :], s[..., :, None]
    total = row + column
    share = row / xp.where(total == 0, xp.ones_like(total), total)
    return couplings(xp, row - column) * share


def defective(xp: Any, values: Any, vectors: Any) -> Any:
    """Whether equal eigenvalues share an eigenvector, to rounding: there are too few, and eigenvalues have no slope."""
    gap = values[..., None, :] - values[..., :, None] + on_diagonal(xp, xp.ones_like(values))
    parallel = 1 - xp.abs(adjoint(xp, vectors) @ vectors) < (2.0**-49 if is_double(vectors.dtype) else 2.0**-20)
    n = len(vectors.shape)
    return xp.any((gap == 0) & parallel, axis=(n - 2, n - 1))[..., None]


def trace_of_product(xp: Any, a: Any, b: Any) -> Any:
    """Traces of ``a @ b``, without the products."""
    n = len(a.shape)
    return xp.sum(a.mT * b, axis=(n - 2, n - 1))


# Systems for many examples ------------------------------------------------------------------------------------


def _of_columns(solve: Callable[[Any], Any], b: Any) -> Any:
    """Solve for a stack of right sides of one matrix: all their columns are those of one system."""
    last = b.ndim - 2
    order = (last, *range(last), last + 1)
    columns = TENSORS.permute_dims(b, order)
    shape = columns.shape
    found = solve(TENSORS.reshape(columns, (shape[0], math.prod(shape[1:]))))
    return TENSORS.permute_dims(TENSORS.reshape(found, shape), (*range(1, last + 1), 0, last + 1))


def solve_batched(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    """Systems of many examples; where they share the matrix, it is factored once."""
    a, b = arrays
    if b.ndim - batched[1] > 1:
        if not batched[0] and a.ndim == 2:
            return _of_columns(lambda columns: made.call(a, columns), b)
        return made.call(*aligned(arrays, batched, (2, 2)))
    if not batched[1]:
        return made.call(a, b)
    if not batched[0]:  # vectors as columns
        found = made.call(a, b.mT)
        return to_front(found, found.ndim - 1)
    found = made.call(a, TENSORS.reshape(b, (size, *(1,) * (a.ndim - 3), b.shape[1], 1)))
    return TENSORS.reshape(found, found.shape[:-1])


def substitution_batched(matrix: int) -> Any:
    """Make the rule of a function that solves by factors it is given, as its argument of number ``matrix``."""

    def rule(made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]) -> Any:
        if batched[matrix] or arrays[matrix].ndim > 2:
            return made.call(*aligned(arrays, batched, (2, 2)), **params)

        def solve(b: Any) -> Any:
            return made.call(*(b if i != matrix else x for i, x in enumerate(arrays)), **params)

        b = arrays[1 - matrix]
        if params.get("left", True):
            return _of_columns(solve, b)
        rows = TENSORS.reshape(b, (math.prod(b.shape[:-1]), b.shape[-1]))
        return TENSORS.reshape(solve(rows), b.shape)

    return rule
