"""Linear algebra beyond products: the standard's extension ``linalg``."""

from .ops.linalg import eigh, eigvalsh, matmul
from .ops.manipulation import matrix_transpose

__all__ = ["eigh", "eigvalsh", "matmul", "matrix_transpose"]
