"""The libraries' own special functions as kernels: SciPy's, CuPy's and JAX's, imported when one is first called.

What a library lacks, or has less well, is left to the body of the function.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from polyad.errors import PluginNotInstalledError

__all__ = ["cupy_kernels", "jax_kernels", "numpy_kernels"]

Kernel = Callable[..., Any]

_EVERYWHERE: Final = (
    *("erf", "erfc", "erfinv", "ndtr", "ndtri"),
    *("gammaln", "gamma", "digamma", "betaln", "beta", "gammainc", "gammaincc", "betainc", "zeta"),
    *("i0", "i0e", "i1", "i1e"),
    *("entr", "xlog1py", "expit", "logit"),
)
_LIKE_SCIPY: Final = (*_EVERYWHERE, "erfcx", "erfcinv", "log_ndtr", "rel_entr", "kl_div", "log_expit")


def _late(load: Callable[[], Any], name: str) -> Kernel:
    """A library's function, looked up at the first call."""
    found: Kernel | None = None

    def kernel(*arrays: Any) -> Any:
        nonlocal found
        if found is None:
            found = getattr(load(), name)
        return found(*arrays)

    kernel.__name__ = kernel.__qualname__ = name
    return kernel


def _table(load: Callable[[], Any], names: Iterable[str]) -> dict[str, Kernel]:
    return {f"special.{name}": _late(load, name) for name in names}


def _scipy() -> Any:
    try:
        return importlib.import_module("scipy.special")
    except ModuleNotFoundError as error:
        raise PluginNotInstalledError(
            f"special functions of NumPy arrays are SciPy's, which is not installed ({error}); "
            f"write: pip install 'polyad[special]'"
        ) from error


def numpy_kernels(load: Callable[[], Any] = _scipy) -> dict[str, Kernel]:
    """Kernels on NumPy arrays."""
    return _table(load, _LIKE_SCIPY)


def cupy_kernels(load: Callable[[], Any] | None = None) -> dict[str, Kernel]:
    """Kernels on CuPy arrays. ``load`` gives the module, for tests without a GPU."""
    return _table(load or (lambda: importlib.import_module("cupyx.scipy.special")), _LIKE_SCIPY)


def jax_kernels() -> dict[str, Kernel]:
    """Kernels on JAX arrays: its own, with SciPy's values where they are others at the edges."""

    def load() -> Any:
        return importlib.import_module("jax.scipy.special")

    def numbers() -> Any:
        return importlib.import_module("jax.numpy")

    def digamma(x: Any) -> Any:
        # NaN at 0 in JAX: a pole with the sign of -x
        jnp = numbers()
        return jnp.where(x == 0, jnp.copysign(math.inf, -x), load().digamma(x))

    def polygamma(x: Any, *, n: int) -> Any:
        if n == 0:
            return digamma(x)
        jnp = numbers()
        sign = -1.0 if n % 2 else 1.0
        # JAX's is wrong for negative x. Abramowitz and Stegun, 6.4.7: the derivatives of pi * cot(pi * x)
        negative = x <= 0
        positive = jnp.where(negative, 1 - x, x)
        found = jnp.where(positive == math.inf, -sign * 0.0, load().polygamma(n, positive))
        part = x - jnp.round(x)
        cotangent = 1 / jnp.tan(math.pi * jnp.where(part == 0, 0.5, part))
        reflected = sign * found - math.pi ** (n + 1) * _polynomial(_cotangent(n), cotangent)
        pole = -sign * math.inf
        return jnp.where(negative, jnp.where(part == 0, pole, reflected), found)

    def gammainc(a: Any, x: Any) -> Any:
        return _at_shape_edges(numbers(), a, x, load().gammainc(a, x), 1.0, 0.0)

    def gammaincc(a: Any, x: Any) -> Any:
        return _at_shape_edges(numbers(), a, x, load().gammaincc(a, x), 0.0, 1.0)

    def zeta(x: Any, q: Any) -> Any:
        # JAX's series is for positive, finite q
        jnp = numbers()
        usual = (q > 0) & (q < math.inf)
        found = jnp.where(usual, load().zeta(x, jnp.where(usual, q, 1.0)), jnp.where(q == math.inf, 0.0, math.nan))
        return jnp.where((q <= 0) & (q == jnp.round(q)), math.inf, found) + jnp.where(x < 1, math.nan, 0.0)

    own: dict[str, Kernel] = {
        "digamma": digamma,
        "polygamma": polygamma,
        "gammainc": gammainc,
        "gammaincc": gammaincc,
        "zeta": zeta,
    }
    # xlog1py is left to its body: JAX before 0.10 loses a NaN beside 0
    names = [name for name in _EVERYWHERE if name != "xlog1py"]
    return _table(load, names) | {f"special.{name}": kernel for name, kernel in own.items()}


def _at_shape_edges(jnp: Any, a: Any, x: Any, found: Any, at_0: float, at_inf: float) -> Any:
    """An incomplete gamma function of ``x`` where JAX gives NaN for shapes of 0 and infinity."""
    found = jnp.where((a == 0) & (x > 0), at_0, found)
    return jnp.where((a == math.inf) & (x >= 0), jnp.where(x == math.inf, math.nan, at_inf), found)


def _cotangent(n: int) -> list[int]:
    """The n-th derivative of the cotangent as a polynomial in it, lowest power first."""
    powers = [0, 1]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(powers)][1:]
        powers = [-(a + b) for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return powers


def _polynomial(coefficients: list[int], x: Any) -> Any:
    value: Any = 0.0
    for c in reversed(coefficients):
        value = value * x + float(c)
    return value
