"""Reductions beyond the standard: medians, quantiles, sums that leave out NaN, norms of probability."""

from __future__ import annotations

__all__: list[str] = []
