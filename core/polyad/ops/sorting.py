"""Order: sorting, ranking, searching in sorted arrays."""

from __future__ import annotations

__all__: list[str] = []
