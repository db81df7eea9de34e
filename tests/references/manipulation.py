"""Diagonals, repetitions and creation: what NumPy has otherwise, or not at all."""

from typing import Any

import numpy as np


def diag_embed(x: np.ndarray, offset: int = 0, dim1: int = -2, dim2: int = -1) -> np.ndarray:
    """Matrices at the end, moved to where they belong."""
    n = x.shape[-1] + abs(offset)
    made = np.zeros((*x.shape[:-1], n, n), x.dtype)
    for i in range(x.shape[-1]):
        made[..., i + max(-offset, 0), i + max(offset, 0)] = x[..., i]
    return np.moveaxis(made, (-2, -1), (dim1, dim2))


def unfold(x: np.ndarray, axis: int, size: int, step: int) -> np.ndarray:
    """One window after the other."""
    count = (x.shape[axis] - size) // step + 1
    windows = [np.moveaxis(x, axis, 0)[i * step : i * step + size] for i in range(count)]
    return np.moveaxis(np.moveaxis(np.array(windows), 1, -1), 0, axis % x.ndim)


def fold(x: np.ndarray, shape: tuple[int, ...], axis: int, size: int, step: int) -> np.ndarray:
    """Each window added where it was."""
    made = np.zeros(shape, x.dtype)
    into = np.moveaxis(made, axis, 0)
    for i in range(x.shape[axis]):
        into[i * step : i * step + size] += np.moveaxis(x.take(i, axis), -1, 0)
    return made


def block_diag(*blocks: np.ndarray) -> np.ndarray:
    """Written into zeros one by one."""
    matrices = [np.atleast_2d(b) for b in blocks]
    made = np.zeros(np.sum([m.shape for m in matrices], axis=0), matrices[0].dtype)
    row = column = 0
    for m in matrices:
        made[row : row + m.shape[0], column : column + m.shape[1]] = m
        row, column = row + m.shape[0], column + m.shape[1]
    return made


def pad(x: np.ndarray, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> np.ndarray:
    given = {} if constant_values is None else {"constant_values": constant_values}
    return np.pad(x, pad_width, mode, **given) if x.ndim else x  # type: ignore[call-overload, no-any-return]


REFERENCES = {
    "_fold": fold,
    "unfold": unfold,
    "block_diag": block_diag,
    "diag_embed": diag_embed,
    "new_full": lambda x, shape, fill_value: np.full(shape, fill_value, x.dtype),
    "pad": pad,
    "tile": lambda x, repetitions: np.tile(x, repetitions),
    "vander": lambda x, N=None, increasing=False: np.vander(x, N, increasing),
}
