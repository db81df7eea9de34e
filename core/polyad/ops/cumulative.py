"""Functions along one axis that give an element for each: running sums, products and extremes, differences."""

from __future__ import annotations

from typing import Any

from ..dispatch import facade, function
from ..errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError
from ..function import XP, Fails, Sample
from ..keys import cut
from ..tensor import Tensor
from .arguments import Shape, normalize_axis
from .joining import concat

__all__ = [
    "cummax",
    "cummin",
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "ediff1d",
    "logcumsumexp",
]


def scanned(xp: Any, combine: Any, parts: tuple[Any, ...], axis: int, n: int) -> tuple[Any, ...]:
    """Prefixes of an associative operation along an axis, by doubling (Hillis and Steele, 1986).

    ``combine(earlier, later)`` takes and gives tuples of arrays. It takes ``log2(n)`` steps of whole arrays, and is
    differentiable to any order, since nothing is divided and no value is looked at.
    """
    step = 1
    while step < n:
        later = combine(tuple(cut(p, axis, 0, n - step) for p in parts), tuple(cut(p, axis, step) for p in parts))
        parts = tuple(xp.concat([cut(p, axis, 0, step), q], axis=axis) for p, q in zip(parts, later, strict=True))
        step *= 2
    return parts


def _running(name: str, initial: bool = True) -> Any:
    def check(shape: Shape, *, axis: Any = None, include_initial: Any = False) -> dict[str, Any]:
        if axis is None:
            if len(shape) != 1:
                raise ShapeError(
                    f"{name}: axis may be left out for a tensor of one dimension only; got shape {shape}; "
                    f"write axis=..., or x.reshape(-1) first"
                )
            axis = 0
        params = {"axis": normalize_axis(name, axis, len(shape))}
        return {**params, "include_initial": bool(include_initial)} if initial else params

    return check


def _samples(name: str, **kwargs: Any) -> list[Sample]:
    return [
        Sample((4,), **kwargs),
        Sample((3, 4), axis=0, **kwargs),
        Sample((2, 3, 2), axis=-2, **kwargs),
        Sample((2, 0), axis=1, **kwargs),
        Fails((2, 3), error=ShapeError, match=rf"{name}: axis may be left out for .* got shape \(2, 3\)"),
        Fails((2, 3), axis=2, error=IndexOutOfRangeError, match="axis 2 is out of range"),
    ]


def _sum_rule(g: Any, xp: Any, axis: int, include_initial: bool) -> Any:
    if include_initial:
        g = cut(g, axis, 1)
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=(axis,)), axis=axis, include_initial=False), axis=(axis,))


@function(
    takes="numeric",
    accumulates=True,
    wide=True,
    check=_running("cumulative_sum"),
    standard=True,
    x=_sum_rule,
    samples=[*_samples("cumulative_sum"), Sample((3, 2), axis=0, include_initial=True)],
)
def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running sum along an axis: each element is the sum of those up to it.

    With ``include_initial`` a 0 comes first, and the axis is longer by one. Integers are summed in 64 bits.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.cumulative_sum(ad.tensor([1.0, 2.0, 3.0]))
    tensor([1., 3., 6.])
    """


def exclusive_prod(xp: Any, x: Any, axis: int) -> Any:
    """Product of the elements before each along an axis; 1 for the first."""
    n = x.shape[axis]
    return cut(xp.cumulative_prod(x, axis=axis, include_initial=True), axis, 0, n)


def _prod_rule(g: Any, xp: Any, x: Any, axis: int, include_initial: bool) -> Any:
    # The gradient of x[i] is left[i] * s[i], with left[i] the product before i and s[i] = g[i] + x[i + 1] * s[i + 1]:
    # without a division, so right where elements are 0, and so are its own derivatives.
    n = x.shape[axis]
    if include_initial:
        g = cut(g, axis, 1)
    if not n:
        return g
    back, rate = xp.flip(g, axis=(axis,)), xp.flip(x, axis=(axis,))
    rate = xp.concat([xp.zeros_like(cut(rate, axis, 0, 1)), cut(rate, axis, 0, n - 1)], axis=axis)

    def combine(earlier: Any, later: Any) -> Any:
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    sums = scanned(xp, combine, (rate, back), axis, n)[1]
    return exclusive_prod(xp, x, axis) * xp.flip(sums, axis=(axis,))


@function(
    takes="numeric",
    accumulates=True,
    wide=True,
    check=_running("cumulative_prod"),
    standard=True,
    x=_prod_rule,
    samples=[
        *_samples("cumulative_prod"),
        Sample((3, 2), axis=0, include_initial=True),
        Sample([2.0, 0.0, 3.0, 4.0], name="a zero"),
        Sample([[2.0, 0.0, 3.0, 0.0, 1.5]], axis=1, name="two zeros"),
    ],
)
def cumulative_prod(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running product along an axis: each element is the product of those up to it.

    With ``include_initial`` a 1 comes first. The derivative divides by nothing, so it is right where elements are 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.cumulative_prod(ad.tensor([1.0, 2.0, 3.0]))
    tensor([1., 2., 6.])
    """


@function(
    takes="real floating",
    wide=True,
    check=_running("logcumsumexp", initial=False),
    samples=_samples("logcumsumexp"),
)
def logcumsumexp(xp: XP, x: Tensor, /, *, axis: int | None = None) -> Tensor:
    """Logarithm of the running sum of exponentials along an axis, without overflow.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.logcumsumexp(ad.tensor([0.0, 0.0, 1000.0]))
    tensor([   0.0000,    0.6931, 1000.0000])
    """
    assert axis is not None

    def combine(earlier: Any, later: Any) -> Any:
        return (xp.logaddexp(earlier[0], later[0]),)

    return scanned(xp, combine, (x,), axis, x.shape[axis])[0]  # type: ignore[no-any-return]


# Extremes -------------------------------------------------------------------------------------------------------


def _extreme(name: str, words: str, better: str, result: str) -> Any:
    """Make a running extreme: where it stands is found without a derivative, its value is taken from there."""

    def places(xp: XP, x: Any, /, *, axis: int) -> Any:
        n = x.shape[axis]
        shape = tuple(n if i == axis else 1 for i in range(len(x.shape)))
        here = xp.broadcast_to(xp.reshape(xp.arange(n, dtype=xp.int64), shape), x.shape)

        def combine(earlier: Any, later: Any) -> Any:
            (a, i), (b, j) = earlier, later
            better_later = (b >= a) if better == ">" else (b <= a)
            keep = xp.isnan(a) | ~(better_later | xp.isnan(b)) if _floats(a) else ~better_later
            return xp.where(keep, a, b), xp.where(keep, i, j)

        return scanned(xp, combine, (x, here), axis, n)[1]

    found = function(
        name=f"_{name}_places",
        takes="real",
        gives="int64",
        differentiable=False,
        check=_running(name, initial=False),
        samples=[Sample((4,)), Sample((2, 3), axis=1), Sample([1.0, 1.0, 0.0], name="equal")],
    )(places)

    def definition(xp: XP, x: Tensor, /, *, axis: int | None = None) -> tuple[Tensor, Tensor]:
        at = getattr(xp, f"_{name}_places")(x, axis=axis)
        return xp.take_along_axis(x, at, axis=axis), at

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words} element up to each along an axis, and where it stands: ``values`` and ``indices``.

    Of equal ones the last, as in PyTorch. NaN stays once it is met.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([1.0, 3.0, 2.0])).values
    {result}
    """
    made = function(
        takes="real",
        outputs=("values", "indices"),
        gives=("same", "int64"),
        check=_running(name, initial=False),
        samples=[s for s in _samples(name) if s.arrays != ((2, 0),)],
    )(definition)
    return found, made


def _floats(x: Any) -> bool:
    return "float" in x.dtype.name


_cummax_places, cummax = _extreme("cummax", "Largest", ">", "tensor([1., 3., 3.])")
_cummin_places, cummin = _extreme("cummin", "Smallest", "<", "tensor([1., 1., 1.])")


# Differences ----------------------------------------------------------------------------------------------------


def _differing(shape: Shape, *, axis: Any = -1, n: Any = 1) -> dict[str, Any]:
    if not isinstance(n, int) or n < 0:
        raise ArgumentError(f"diff: n is how often differences are taken, an integer from 0 on; got {n!r}")
    return {"axis": normalize_axis("diff", axis, len(shape)), "n": n}


@function(
    name="diff",
    takes="numeric",
    check=_differing,
    samples=[
        Sample((4,)),
        Sample((3, 4), axis=0),
        Sample((2, 5), n=2),
        Sample((3,), n=0),
        Sample((2,), n=3, name="more often than there are elements"),
        Fails((3,), n=-1, error=ArgumentError, match="diff: n is how often differences are taken.* got -1"),
        Fails((3,), axis=1, error=IndexOutOfRangeError, match="axis 1 is out of range"),
        Fails([True, False], error=DTypeError, match="diff takes numeric arrays; got bool"),
    ],
)
def _diff(xp: XP, x: Tensor, /, *, axis: int = -1, n: int = 1) -> Tensor:
    """Differences of neighbours; see `diff`."""
    for _ in range(min(n, x.shape[axis])):
        x = cut(x, axis, 1) - cut(x, axis, 0, max(x.shape[axis] - 1, 0))
    return xp.positive(x) if not n else x  # type: ignore[no-any-return]


@facade(_diff)
def diff(
    x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours along an axis, ``x[i + 1] - x[i]``, taken ``n`` times.

    Parameters
    ----------
    x : Tensor
        Of any shape and any type but bool.
    axis : int
        Which dimension.
    n : int
        How often.
    prepend, append : Tensor, optional
        What is put before and after ``x`` along the axis first; of its shape in the other dimensions.

    Returns
    -------
    Tensor
        Shorter by ``n`` along the axis.

    Raises
    ------
    ArgumentError
        If ``n`` is negative.
    IndexOutOfRangeError
        If there is no such dimension.
    DTypeError
        For bools.
    ShapeError
        If ``prepend`` or ``append`` does not fit.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.diff(ad.tensor([1.0, 4.0, 9.0]))
    tensor([3., 5.])
    """
    parts = [p for p in (prepend, x, append) if p is not None]
    if len(parts) > 1:
        x = concat(parts, axis=axis)
    return _diff(x, axis=axis, n=n)  # type: ignore[no-any-return]


@function(takes="numeric", samples=[Sample((5,)), Sample((2, 3)), Sample((1,))])
def ediff1d(xp: XP, x: Tensor, /) -> Tensor:
    """Differences of neighbours of the flattened array.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.ediff1d(ad.tensor([[1.0, 4.0], [9.0, 16.0]]))
    tensor([3., 5., 7.])
    """
    flat = xp.reshape(x, (-1,))
    return flat[1:] - flat[:-1]  # type: ignore[no-any-return]
