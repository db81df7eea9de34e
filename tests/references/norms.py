"""Norms, and what follows from singular values."""

from typing import Any

import numpy as np


def norm(x: np.ndarray, p: Any = "fro", axis: Any = None, keepdims: bool = False) -> Any:
    if p == "nuc":
        return np.linalg.norm(x, "nuc", axis, keepdims)
    return np.linalg.vector_norm(x, axis=axis, ord=2 if p == "fro" else p, keepdims=keepdims)


def each(f: Any, x: np.ndarray, rtol: Any = None) -> Any:
    return f(x, rtol=rtol)


def lstsq(a: np.ndarray, b: np.ndarray) -> tuple[Any, ...]:
    s = np.linalg.svd(a, compute_uv=False)
    solution = np.linalg.pinv(a) @ b
    rows, columns = a.shape[-2:]
    squares = np.abs(b - a @ solution) ** 2
    residuals = squares.sum(0 if b.ndim == 1 else -2) if rows > columns else s[..., :0]
    return solution, residuals, np.linalg.matrix_rank(a), s


def vector_norm(x: np.ndarray, **params: Any) -> Any:
    if not x.size:  # NumPy before 2.2 has no largest entry of nothing
        return np.sum(np.abs(x), axis=params.get("axis"), keepdims=params.get("keepdims", False))
    with np.errstate(divide="ignore"):
        return np.linalg.vector_norm(x, **params)


def matrix_norm(x: np.ndarray, **params: Any) -> Any:
    if not x.size:
        return np.sum(np.abs(x), axis=(-2, -1), keepdims=params.get("keepdims", False))
    return np.linalg.matrix_norm(x, **params)


def matrix_rank(x: np.ndarray, rtol: Any = None) -> Any:
    return np.linalg.matrix_rank(x, rtol=rtol) if x.size else np.zeros(x.shape[:-2], np.int64)


REFERENCES = {
    "linalg.lstsq": lstsq,
    "linalg.matrix_norm": matrix_norm,
    "linalg.matrix_rank": matrix_rank,
    "linalg.pinv": lambda x, rtol=None: np.linalg.pinv(x, rtol=rtol),
    "linalg.vector_norm": vector_norm,
    "norm": norm,
}
