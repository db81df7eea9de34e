"""Reading and adding at index arrays along one axis: take, gather, scatter."""

from __future__ import annotations

__all__: list[str] = []
