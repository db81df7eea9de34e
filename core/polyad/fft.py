"""Discrete Fourier transforms: the standard's extension ``fft``."""

__all__: list[str] = []
