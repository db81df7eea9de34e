"""Norms of vectors and matrices, and what follows from singular values."""

from __future__ import annotations

__all__: list[str] = []
