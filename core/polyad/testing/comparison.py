"""Comparing tensors. In Python's own numbers, so that no array library judges itself."""

from __future__ import annotations

import cmath
from typing import Any, Final

from ..dtypes import DType, as_dtype, bfloat16, complex64, complex128, float16, float32, float64
from ..tensor import Tensor

__all__ = ["assert_close", "flat"]

_TOLERANCES: Final[dict[DType, tuple[float, float]]] = {
    float16: (1e-3, 1e-5),
    bfloat16: (1.6e-2, 1e-5),
    float32: (1.3e-6, 1e-5),
    complex64: (1.3e-6, 1e-5),
    float64: (1e-7, 1e-7),
    complex128: (1e-7, 1e-7),
}
"""``dtype -> (rtol, atol)``, as in ``torch.testing``; other types are compared exactly."""


def flat(x: Any) -> list[Any]:
    """Elements of a tensor or array in row-major order, as Python numbers."""
    host = x.detach().numpy() if isinstance(x, Tensor) else x
    return host.reshape(-1).tolist()  # type: ignore[no-any-return]


def unravel(position: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Index of the element at a position in row-major order."""
    index: list[int] = []
    for n in reversed(shape):
        index.append(position % n)
        position //= n
    return tuple(reversed(index))


def is_close(a: Any, b: Any, rtol: float, atol: float, equal_nan: bool = True) -> bool:
    """Whether ``a`` is within ``atol + rtol * abs(b)`` of ``b``."""
    if a == b:
        return True  # infinities too
    if cmath.isnan(a) or cmath.isnan(b):
        return equal_nan and cmath.isnan(a) and cmath.isnan(b)
    if cmath.isinf(a) or cmath.isinf(b):
        return False
    return bool(abs(a - b) <= atol + rtol * abs(b))


def assert_close(
    actual: Any,
    expected: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_dtype: bool = True,
    msg: str | None = None,
) -> None:
    """Raise unless two tensors have one shape, one type and elements that are close.

    Parameters
    ----------
    actual, expected : Tensor or array
        Of any backend: the elements are compared as Python numbers.
    rtol, atol : float, optional
        Elements may differ by ``atol + rtol * abs(expected)``. By default as the coarser of the two types allows;
        integers and bools must be equal.
    equal_nan : bool
        Whether NaN is close to NaN.
    check_dtype : bool
        Whether the types must be equal.
    msg : str, optional
        What the message starts with.

    Raises
    ------
    AssertionError
        Saying how many elements differ, and which differs most.

    Examples
    --------
    >>> import polyad as ad
    >>> from polyad.testing import assert_close
    >>> assert_close(ad.tensor([0.1]) + 0.2, ad.tensor([0.3]))
    """
    start = f"{msg}: " if msg else ""
    shapes = tuple(actual.shape), tuple(expected.shape)
    if shapes[0] != shapes[1]:
        raise AssertionError(f"{start}the shape is {shapes[0]}; expected {shapes[1]}")
    dtypes = as_dtype(actual.dtype), as_dtype(expected.dtype)
    if check_dtype and dtypes[0] is not dtypes[1]:
        raise AssertionError(f"{start}the type is {dtypes[0].name}; expected {dtypes[1].name}")
    loosest = [max(pair) for pair in zip(*(_TOLERANCES.get(d, (0.0, 0.0)) for d in dtypes), strict=True)]
    rtol, atol = loosest[0] if rtol is None else rtol, loosest[1] if atol is None else atol
    a, b = flat(actual), flat(expected)
    wrong = [i for i in range(len(a)) if not is_close(a[i], b[i], rtol, atol, equal_nan)]
    if not wrong:
        return
    worst = max(wrong, key=lambda i: _distance(a[i], b[i]))
    raise AssertionError(
        f"{start}{len(wrong)} of {len(a)} elements differ by more than {atol:g} + {rtol:g} * abs(expected); most at "
        f"{unravel(worst, shapes[0])}: {a[worst]!r}; expected {b[worst]!r}"
    )


def _distance(a: Any, b: Any) -> float:
    """How far apart two numbers are; infinitely if one of them is not finite."""
    return abs(a - b) if cmath.isfinite(a) and cmath.isfinite(b) else float("inf")
