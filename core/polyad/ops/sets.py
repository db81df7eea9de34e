"""Unique elements, membership, and counting."""

from __future__ import annotations

__all__: list[str] = []
