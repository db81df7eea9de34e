"""Factors of matrices: eigenvalues and eigenvectors, and the decompositions of ``polyad.linalg``."""

from __future__ import annotations

from typing import Any

from ..dispatch import function
from ..errors import DTypeError, ShapeError
from ..function import XP, Fails, Sample
from ..tensor import Tensor

Shape = tuple[int, ...]


def _square(name: str) -> Any:
    def check(shape: Shape) -> dict[str, Any]:
        if len(shape) < 2 or shape[-1] != shape[-2]:
            raise ShapeError(f"{name}: expected a square matrix or a stack of them; got shape {shape}")
        return {}

    return check


_SYMMETRIC = [
    Sample([[2.0, 1.0], [1.0, 3.0]], domain="symmetric"),
    Sample([[[2.0, 1.0], [1.0, 3.0]], [[5.0, 0.5], [0.5, 1.0]]], domain="symmetric", name="a stack"),
    Sample([[3.0]], domain="symmetric", name="1 by 1"),
    Fails((2, 3), error=ShapeError, match=r"expected a square matrix.*got shape \(2, 3\)"),
    Fails([[1j]], error=DTypeError, match="takes real floating arrays; got complex"),
]


def _eigh_rule(g: Any, xp: Any, out: Any) -> Any:
    values, vectors = out
    g_values, g_vectors = g
    result = 0
    if g_values is not None:
        result = (vectors * g_values[..., None, :]) @ vectors.mT
    if g_vectors is not None:
        gap = values[..., None, :] - values[..., :, None]
        coupling = xp.where(gap == 0, 0, 1 / xp.where(gap == 0, 1, gap))  # a degenerate pair has none
        result = result + vectors @ (coupling * (vectors.mT @ g_vectors)) @ vectors.mT
    return result


@function(
    name="linalg.eigh",
    takes="real floating",
    outputs=("eigenvalues", "eigenvectors"),
    standard=True,
    check=_square("linalg.eigh"),
    x=_eigh_rule,
    samples=_SYMMETRIC,
)
def eigh(x: Tensor, /) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors, as columns, of symmetric matrices. Reads the lower triangle.

    The derivative is that of Giles (2008), "Collected matrix derivative results", section 3.1. The gradient with
    respect to eigenvectors of equal eigenvalues does not exist; their coupling is taken as 0.

    Examples
    --------
    >>> import polyad as ad
    >>> values, vectors = ad.linalg.eigh(ad.tensor([[2.0, 0.0], [0.0, 1.0]]))
    >>> values
    tensor([1., 2.])
    """


@function(
    name="linalg.eigvalsh",
    takes="real floating",
    standard=True,
    check=_square("linalg.eigvalsh"),
    samples=_SYMMETRIC,
)
def eigvalsh(xp: XP, x: Tensor, /) -> Tensor:
    """Eigenvalues of symmetric matrices, ascending. Reads the lower triangle.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.linalg.eigvalsh(ad.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([1., 2.])
    """
    return xp.linalg.eigh(x)[0]  # type: ignore[no-any-return]
