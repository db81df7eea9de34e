"""Products of vectors, matrices and tensors."""

from __future__ import annotations

from typing import Any

from ..careful import broadcast_shapes
from ..dispatch import function
from ..errors import ShapeError
from ..function import Fails, Sample
from ..tensor import Tensor

__all__ = [
    "matmul",
]

Shape = tuple[int, ...]


def _fit(a: Shape, b: Shape) -> dict[str, Any]:
    if not a or not b:
        raise ShapeError(f"matmul: operands have at least 1 dimension; got shapes {a} and {b}; write x * y")
    n, m = a[-1], b[-2] if len(b) > 1 else b[0]
    if n != m:
        raise ShapeError(
            f"matmul: shapes {a} and {b} do not fit: the last dimension of the first has {n} elements, the "
            f"{'last but one' if len(b) > 1 else 'only'} of the second {m}"
        )
    broadcast_shapes("matmul: stacks", [a[:-2], b[:-2]])
    return {}


# Operands of one dimension are told by the rank of g: a product with a vector has one dimension less.


def _matmul_left(g: Any, xp: Any, x2: Any) -> Any:
    rank = len(x2.shape)
    if rank == 1:
        return g[..., None] * x2
    if len(g.shape) < rank:
        return (g[..., None, :] @ x2.mT)[..., 0, :]
    return xp.matmul(g, x2.mT)


def _matmul_right(g: Any, xp: Any, x1: Any) -> Any:
    rank = len(x1.shape)
    if rank == 1:
        return g * x1 if not g.shape else x1[:, None] * g[..., None, :]
    if len(g.shape) < rank:
        return (x1.mT @ g[..., None])[..., 0]
    return xp.matmul(x1.mT, g)


@function(
    takes="numeric",
    broadcasts=True,
    standard=True,
    check=_fit,
    x1=_matmul_left,
    x2=_matmul_right,
    samples=[
        Sample((2, 3), (3, 4)),
        Sample((3,), (3,)),
        Sample((3,), (3, 4)),
        Sample((2, 3), (3,)),
        Sample((5, 2, 3), (3, 4)),
        Sample((2, 3), (5, 3, 4)),
        Sample((5, 1, 2, 3), (4, 3, 2)),
        Sample((3,), (5, 3, 4)),
        Sample((5, 2, 3), (3,)),
        Sample((2, 0), (0, 3)),
        Fails((2, 3), (2, 3), error=ShapeError, match=r"matmul: shapes \(2, 3\) and \(2, 3\) do not fit.* 3 .* 2"),
        Fails((), (3,), error=ShapeError, match="matmul: operands have at least 1 dimension"),
        Fails((2, 2, 3), (3, 3, 4), error=ShapeError, match="do not broadcast"),
    ],
)
def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """Matrix product ``x1 @ x2``: of matrices, stacks of matrices that broadcast, and vectors.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.eye(2) @ ad.tensor([3.0, 4.0])
    tensor([3., 4.])
    """
