"""Factors of matrices."""

REFERENCES = {
    "linalg.eigh": None,  # the signs of eigenvectors are free: see test_functions.test_eigenvectors
}
