"""array-api-strict as a backend: the array API standard, and nothing beyond it. Says where polyad takes more types."""

import warnings
from typing import Any

import array_api_strict as xp

from polyad.backend import Backend, Device, Kernel
from polyad.kernels import lookup

NUMBERS = {xp.bool: xp.uint8}
COMPLEX = {xp.float32: xp.complex64, xp.float64: xp.complex128}
FFT = [f"fft.{n}" for n in ("fft", "ifft", "fftn", "ifftn", "irfft", "irfftn", "hfft")]


def taking(name: str, types: dict[Any, Any]) -> Kernel:
    def kernel(*arrays: Any, **params: Any) -> Any:
        others = [getattr(a, "dtype", None) in types for a in arrays]
        changed = [xp.astype(a, types[a.dtype]) if o else a for a, o in zip(arrays, others, strict=True)]
        result = lookup(xp, name)(*changed, **params)
        return xp.astype(result, xp.bool) if any(others) and result.dtype == xp.uint8 else result

    return kernel


class StrictBackend(Backend):
    name, xp = "strict", xp
    kernels = {
        **dict.fromkeys(["isin", "fft.fftshift", "fft.ifftshift"]),  # None: as polyad writes them
        **{n: taking(n, NUMBERS) for n in ["add", "multiply", "less", "less_equal", "greater", "greater_equal"]},
        **{n: taking(n, NUMBERS) for n in ["max", "min", "sort", "argsort", "conj"]},
        **{n: taking(n, COMPLEX) for n in FFT},
        "imag": lambda x: xp.imag(x) if xp.isdtype(x.dtype, "complex floating") else xp.zeros_like(x),
    }

    def place(self, kernel: Kernel, device: Device) -> Kernel:
        def quiet(*arrays: Any, **params: Any) -> Any:
            with warnings.catch_warnings(action="ignore"):  # NumPy's, which computes here
                return kernel(*arrays, **params)

        return quiet
