"""Linear algebra: the standard's extension ``linalg``, and what NumPy and PyTorch have beyond it."""

from .errors import LinAlgError
from .ops.decompositions import cholesky, eig, eigh, eigvals, eigvalsh, lu, qr, svd, svdvals
from .ops.diagonals import linalg_diagonal as diagonal
from .ops.manipulation import matrix_transpose
from .ops.norms import (
    cond,
    linalg_norm as norm,
    lstsq,
    matrix_norm,
    matrix_rank,
    multi_dot,
    pinv,
    vector_norm,
)
from .ops.products import cross, matmul, outer, tensordot, vecdot
from .ops.solvers import (
    adjugate,
    det,
    inv,
    matrix_exp,
    matrix_power,
    slogdet,
    solve,
    solve_triangular,
    tensorinv,
    tensorsolve,
    trace,
)

__all__ = [
    "LinAlgError",
    "adjugate",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lstsq",
    "lu",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]
