"""Functions along one axis that give an element for each: running sums, products and extremes, differences."""

from __future__ import annotations

__all__: list[str] = []
