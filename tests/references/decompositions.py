"""Factors of matrices. Those whose signs or phases are free are compared in tests/test_decompositions.py."""

import numpy as np

FREE = None  # see tests/test_decompositions.py
REFERENCES = {
    **dict.fromkeys(
        ("linalg.eigh", "linalg.eig", "linalg.qr", "linalg._tall_qr", "linalg.svd", "linalg._thin_svd", "linalg.lu"),
        FREE,
    ),
    "cholesky_solve": lambda b, factor, upper=False: np.linalg.solve(
        np.triu(factor).conj().mT @ np.triu(factor) if upper else np.tril(factor) @ np.tril(factor).conj().mT, b
    ),
    "linalg.cholesky": lambda x, upper=False: np.linalg.cholesky(x, upper=upper),
    "linalg.eigvals": lambda x: np.linalg.eigvals(x) + 0j,
    "linalg.svdvals": lambda x: np.linalg.svd(x, compute_uv=False),
}
