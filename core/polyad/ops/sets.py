"""Unique elements, membership, and counting."""

from __future__ import annotations

from typing import Any

from ..batching import along, data_dependent
from ..dispatch import facade, function
from ..errors import ArgumentError, DTypeError, OperandError, ShapeError
from ..function import FUNCTIONS, XP, Sample
from ..keys import ARRAY
from ..tensor import Tensor
from ..views import raw
from .arguments import Axis
from .reduction import along_axes, reducing

__all__ = [
    "bincount",
    "count_nonzero",
    "histc",
    "histogram",
    "isin",
    "unique",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
]

_REPEATED = [
    Sample([[2.0, 1.0], [2.0, 3.0]]),
    Sample([3, 1, 3, 3], name="integers"),
    Sample([True, False, True], name="bools"),
    Sample((0,)),
    Sample((), name="one number"),
    Sample([1.0, float("nan"), float("nan")], name="NaN are distinct"),
    Sample([1j, 2.0, 1j], name="complex"),
]


def _sets(name: str, outputs: Any, words: str, example: str, shown: str) -> Any:
    def definition(x: Tensor, /) -> Any:
        pass

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words}

    Of the flattened array, in ascending order. NaN are distinct from each other, 0.0 and -0.0 are not. How many there
    are depends on the values, so it cannot be traced by ``jax.jit``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([2, 1, 2])){example}
    {shown}
    """
    return function(
        outputs=outputs,
        gives=tuple("same" if o == "values" else "int64" for o in outputs) if outputs != 1 else "same",
        differentiable=False,
        prepare=False,
        batching=data_dependent,
        standard=True,
        samples=_REPEATED,
    )(definition)


unique_values = _sets("unique_values", 1, "Elements without repetitions.", "", "tensor([1, 2])")
unique_counts = _sets(
    "unique_counts",
    ("values", "counts"),
    "Elements without repetitions, and how often each occurs.",
    ".counts",
    "tensor([1, 2])",
)
unique_inverse = _sets(
    "unique_inverse",
    ("values", "inverse_indices"),
    "Elements without repetitions, and where in them each element of ``x`` is.",
    ".inverse_indices",
    "tensor([1, 0, 1])",
)
unique_all = _sets(
    "unique_all",
    ("values", "indices", "inverse_indices", "counts"),
    "Elements without repetitions, where each is first, where in them each element of ``x`` is, and how often.",
    ".indices",
    "tensor([1, 0])",
)


def unique(x: Tensor, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """Elements without repetitions, ascending, as NumPy and PyTorch have it; the standard's names are `unique_all` etc.

    Parameters
    ----------
    x : Tensor
    return_inverse : bool
        Whether to give also where each element of ``x`` is in the result.
    return_counts : bool
        Whether to give also how often each occurs.

    Returns
    -------
    Tensor or tuple of Tensor

    Examples
    --------
    >>> import polyad as ad
    >>> ad.unique(ad.tensor([2, 1, 2]), return_counts=True)
    (tensor([1, 2]), tensor([1, 2]))
    """
    if not (return_inverse or return_counts):
        return unique_values(x)
    found = unique_all(x)
    rest = [found.inverse_indices] if return_inverse else []
    return (found.values, *rest, *([found.counts] if return_counts else []))


@function(
    name="isin",
    gives="bool",
    standard=True,
    differentiable=False,
    samples=[
        Sample([[1.0, 2.0], [3.0, 4.0]], [2.0, 4.0]),
        Sample([1, 2, 3], [3], invert=True),
        Sample((3,), (0,), name="in nothing"),
    ],
)
def _isin(xp: XP, x1: Tensor, x2: Tensor, /, *, invert: bool = False) -> Tensor:
    """Whether elements are among others; see `isin`."""
    found = xp.any(xp.expand_dims(x1, axis=-1) == xp.reshape(x2, (-1,)), axis=-1)
    return xp.logical_not(found) if invert else found  # type: ignore[no-any-return]


@facade(_isin)
def isin(x1: Tensor | float, x2: Tensor | float, /, *, invert: bool = False) -> Tensor:
    """Whether each element of ``x1`` is among those of ``x2``.

    Parameters
    ----------
    x1, x2 : Tensor or number
        At least one is a tensor. NaN is in nothing.
    invert : bool
        Whether to give the opposite.

    Returns
    -------
    Tensor
        Of the shape of ``x1`` and type bool.

    Raises
    ------
    OperandError
        If neither is a tensor.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.isin(ad.tensor([1, 2, 3]), ad.tensor([2, 5]))
    tensor([False,  True, False])
    """
    return _isin(x1, x2, invert=bool(invert))


# Counting -------------------------------------------------------------------------------------------------------


@function(
    gives="int64",
    batching=along("axis"),
    check=reducing("count_nonzero"),
    standard=True,
    differentiable=False,
    samples=[*along_axes(), Sample([[1.0, 0.0], [2.0, 0.0]], axis=1, name="some are 0"), Sample([True, False])],
)
def count_nonzero(xp: XP, x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """How many elements along axes are not 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.count_nonzero(ad.tensor([[1.0, 0.0], [2.0, 3.0]]), axis=1)
    tensor([1, 2])
    """
    return xp.sum(xp.astype(xp.logical_not(xp.logical_not(x)), xp.int64), axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]


def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 on occurs, or the sum of the weights of its places.

    Parameters
    ----------
    x : Tensor
        Of one dimension and integers, none negative.
    weights : Tensor, optional
        Of the shape of ``x``. The result is differentiable in it.
    minlength : int
        The least length of the result.

    Returns
    -------
    Tensor
        Of shape ``(max(max(x) + 1, minlength),)``; of type int64, or that of the weights.

    Raises
    ------
    ShapeError
        If ``x`` has several dimensions, or weights of another shape.
    DTypeError
        If ``x`` is not of integers.
    ArgumentError
        If an element is negative.
    OperandError
        Where values are not known, as inside `vmap`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.bincount(ad.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    if "integer" not in x.dtype.kind:
        raise DTypeError(f"bincount takes integer arrays; got {x.dtype.name}")
    if x.ndim != 1:
        raise ShapeError(f"bincount: expected one dimension; got shape {x.shape}; write x.reshape(-1)")
    if weights is not None and weights.shape != x.shape:
        raise ShapeError(f"bincount: the weights have shape {weights.shape}; expected {x.shape}, that of x")
    if x.backend.is_traced(raw(x)):
        raise OperandError(
            f"bincount: how many numbers it gives depends on the elements, which are not known, because "
            f"{x.backend.traced_by}; write polyad.zeros(n).scatter_add(0, x, polyad.ones(len(x))) for numbers below n"
        )
    low, high = (int(x.min()), int(x.max())) if len(x) else (0, -1)
    if low < 0:
        raise ArgumentError(f"bincount: elements are not negative; got {low}")
    n = max(high + 1, int(minlength))
    values = _ones(x) if weights is None else weights
    return FUNCTIONS["index_scatter"].call(values, x, key=(ARRAY,), shape=(n,))  # type: ignore[no-any-return]


def _ones(x: Tensor) -> Tensor:
    """For each element the number 1, which counts it."""
    return FUNCTIONS["ones_like"].call(x, dtype="int64")  # type: ignore[no-any-return]


def histogram(
    x: Tensor,
    bins: int | Tensor = 10,
    range: tuple[float, float] | None = None,
    weights: Tensor | None = None,
    density: bool = False,
) -> tuple[Tensor, Tensor]:
    """How many elements fall into each of adjoining bins, and the bins' bounds: NumPy's ``histogram``.

    Parameters
    ----------
    x : Tensor
        Of any shape and a real type.
    bins : int or Tensor
        How many bins of equal width, or their ascending bounds.
    range : (float, float), optional
        From where to where the bins reach; by default from the least element to the largest.
    weights : Tensor, optional
        Of the shape of ``x``: what each element counts. The result is differentiable in it.
    density : bool
        Whether counts are divided by their sum and by the bins' widths, so that their integral is 1.

    Returns
    -------
    counts : Tensor
        Of shape ``(bins,)``; of type int64, or that of the weights, or floating. The last bin has its upper bound.
    bounds : Tensor
        Of shape ``(bins + 1,)``.

    Raises
    ------
    ArgumentError
        If there is no bin, or the range is empty.
    DTypeError
        For bools and complex numbers.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.histogram(ad.tensor([0.0, 0.5, 1.0]), bins=2)
    (tensor([1, 2]), tensor([0.0000, 0.5000, 1.0000]))
    """
    call = {
        n: FUNCTIONS[n].call for n in ("reshape", "astype", "searchsorted", "where", "sum", "divide", "index_scatter")
    }
    flat = call["reshape"](x, (-1,))
    bounds = bins if isinstance(bins, Tensor) else _bounds(flat, bins, range)
    n = len(bounds) - 1
    at = call["searchsorted"](bounds, flat, side="right") - 1
    at = call["where"](flat == bounds[-1], n - 1, at)
    # what is in no bin is counted in one more, so that it need not be known how many that are
    at = call["where"]((at >= 0) & (at < n), at, n)
    each = _ones(at) if weights is None else call["reshape"](weights, (-1,))
    counts = call["index_scatter"](each, at, key=(ARRAY,), shape=(n + 1,))[:n]
    if density:
        widths = bounds[1:] - bounds[:-1]
        counts = call["divide"](call["astype"](counts, widths.dtype) if weights is None else counts, widths)
        counts = counts / call["sum"](counts * widths)
    return counts, bounds


def _bounds(flat: Tensor, bins: int, range: tuple[float, float] | None) -> Tensor:
    """The bounds of bins of equal width."""
    if bins < 1:
        raise ArgumentError(f"histogram: bins is how many there are, 1 or more; got {bins!r}")
    low, high = range if range is not None else (float(flat.min()), float(flat.max())) if len(flat) else (0.0, 1.0)
    if not low <= high:
        raise ArgumentError(f"histogram: range goes from the lower bound to the upper; got ({low}, {high})")
    if low == high:
        low, high = low - 0.5, high + 0.5
    dtype = flat.dtype if flat.dtype.is_floating_point else "float64"
    return FUNCTIONS["linspace"].call(low, high, bins + 1, dtype=dtype, device=flat.device)  # type: ignore[no-any-return]


def histc(x: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall into each of adjoining bins of equal width: PyTorch's function.

    Parameters
    ----------
    x : Tensor
        Of any shape and a floating type.
    bins : int
        How many.
    min, max : float
        From where to where the bins reach; where both are 0, from the least element to the largest.

    Returns
    -------
    Tensor
        Of shape ``(bins,)`` and the type of ``x``. It has no derivative.

    Raises
    ------
    ArgumentError
        If there is no bin, or the range is empty.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.histc(ad.tensor([0.0, 0.5, 1.0]), bins=2)
    tensor([1., 2.])
    """
    counts, _ = histogram(x, bins, None if min == max == 0 else (min, max))
    return FUNCTIONS["astype"].call(counts, x.dtype)  # type: ignore[no-any-return]
