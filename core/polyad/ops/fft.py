"""Discrete Fourier transforms: the functions of ``polyad.fft``."""

from __future__ import annotations

__all__: list[str] = []
