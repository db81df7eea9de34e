"""Linear algebra: the standard's extension ``linalg``, and what NumPy and PyTorch have beyond it."""

from .ops.decompositions import eigh, eigvalsh
from .ops.diagonals import linalg_diagonal as diagonal
from .ops.manipulation import matrix_transpose
from .ops.products import matmul

__all__ = ["diagonal", "eigh", "eigvalsh", "matmul", "matrix_transpose"]
