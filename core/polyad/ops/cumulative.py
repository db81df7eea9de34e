"""Functions along one axis that give an element for each: running sums, products and extremes, differences."""

from __future__ import annotations

import math
from typing import Any

from ..batching import along
from ..careful import SCALARS
from ..dispatch import facade, function
from ..errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError
from ..function import XP, Fails, Sample
from ..keys import cut
from ..tensor import Tensor
from .arguments import Shape, as_integer, normalize_axis
from .conversion import value_for
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


def turned(x: Any, axis: int) -> Any:
    """``x`` in reverse order along one axis."""
    return cut(x, axis, step=-1)


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
    return xp._sum_from_end(cut(g, axis, 1) if include_initial else g, axis=axis)


@function(
    name="_sum_from_end",
    takes="numeric",
    wide=True,
    batching=along("axis"),
    jvp="linear",
    x=lambda g, xp, axis: xp.cumulative_sum(g, axis=axis, include_initial=False),
    samples=[Sample((4,), axis=0), Sample((2, 3), axis=1)],
)
def _sum_from_end(xp: XP, x: Tensor, /, *, axis: int) -> Tensor:
    """The sum of each element and those after it along an axis: the transpose of `cumulative_sum`."""
    return turned(xp.cumulative_sum(turned(x, axis), axis=axis, include_initial=False), axis)  # type: ignore[no-any-return]


@function(
    takes="any",
    accumulates=True,
    wide=True,
    check=_running("cumulative_sum"),
    batching=along("axis"),
    jvp="linear",
    standard=True,
    x=_sum_rule,
    samples=[
        *_samples("cumulative_sum"),
        Sample((3, 2), axis=0, include_initial=True),
        Sample((0,), include_initial=True),
    ],
)
def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Running sum along an axis: each element is the sum of those up to it.

    With ``include_initial`` a 0 comes first, and the axis is longer by one. Integers and bools are summed as 64-bit
    integers, unsigned ones as unsigned, or all as ``dtype``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.cumulative_sum(ad.tensor([1.0, 2.0, 3.0]))
    tensor([1., 3., 6.])
    """


def exclusive_prod(xp: Any, x: Any, axis: int) -> Any:
    """Product of the elements before each along an axis; 1 for the first. The axis is not empty."""
    return xp.cumulative_prod(cut(x, axis, 0, x.shape[axis] - 1), axis=axis, include_initial=True)


def _recurrence(xp: Any, a: Any, b: Any, axis: int) -> Any:
    """Solve ``s[i + 1] = b[i + 1] + a[i] * s[i]`` along an axis, where ``a`` is shorter than ``b`` by one."""
    rate = xp.concat([xp.zeros_like(cut(b, axis, 0, 1)), a], axis=axis)

    def combine(earlier: Any, later: Any) -> Any:
        return earlier[0] * later[0], later[0] * earlier[1] + later[1]

    return scanned(xp, combine, (rate, b), axis, b.shape[axis])[1]


def _from_end(xp: Any, a: Any, b: Any, axis: int) -> Any:
    """Solve ``s[i] = b[i] + a[i] * s[i + 1]`` from the end of an axis."""
    return turned(_recurrence(xp, turned(a, axis), turned(b, axis), axis), axis)


def _prod_rule(g: Any, xp: Any, x: Any, axis: int, include_initial: bool) -> Any:
    # The gradient of x[i] is p[i] * s[i], where p[i] is the product of those before it and s[i] = g[i] + x[i + 1] *
    # s[i + 1]: without a division, so right where elements are 0, and so are its own derivatives.
    if include_initial:
        g = cut(g, axis, 1)
    if not x.shape[axis]:
        return g
    return exclusive_prod(xp, x, axis) * _from_end(xp, cut(x, axis, 1), g, axis)


def _prod_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: int, include_initial: bool) -> Any:
    (t,) = tangents
    if x.shape[axis]:
        t = _recurrence(xp, cut(x, axis, 1), exclusive_prod(xp, x, axis) * t, axis)
    return xp.concat([xp.zeros_like(cut(out, axis, 0, 1)), t], axis=axis) if include_initial else t


@function(
    takes="any",
    accumulates=True,
    wide=True,
    check=_running("cumulative_prod"),
    batching=along("axis"),
    jvp=_prod_jvp,
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

    With ``include_initial`` a 1 comes first, and the axis is longer by one. Integers and bools are multiplied as 64-bit
    integers, unsigned ones as unsigned, or all as ``dtype``. The gradient divides by nothing, so it is right where
    elements are 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.cumulative_prod(ad.tensor([1.0, 2.0, 3.0]))
    tensor([1., 2., 6.])
    """


def _logarithm_rule(g: Any, xp: Any, x: Any, out: Any, axis: int) -> Any:
    # sum over k >= i of g[k] * exp(x[i] - out[k]), in steps of exp(out[i] - out[i + 1]), which are at most 1
    if not x.shape[axis]:
        return g
    shares, steps = _shares(xp, x, out, axis)
    return shares * _from_end(xp, steps, g, axis)


def _logarithm_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: int) -> Any:
    (t,) = tangents
    if not x.shape[axis]:
        return t
    shares, steps = _shares(xp, x, out, axis)
    return _recurrence(xp, steps, shares * t, axis)


def _shares(xp: Any, x: Any, out: Any, axis: int) -> tuple[Any, Any]:
    """Which part of the sum up to it each exponential is, and which the sum before it."""
    finite = xp.where(out == -math.inf, 0, out)  # before the first finite element nothing has a gradient
    return xp.exp(x - finite), xp.exp(cut(out, axis, 0, out.shape[axis] - 1) - cut(finite, axis, 1))


@function(
    takes="real floating",
    wide=True,
    check=_running("logcumsumexp", initial=False),
    batching=along("axis"),
    jvp=_logarithm_jvp,
    x=_logarithm_rule,
    samples=[
        *_samples("logcumsumexp"),
        Sample([-math.inf, 1000.0, -1000.0, 1001.0, -math.inf], name="far apart", grad=False),
    ],
)
def logcumsumexp(xp: XP, x: Tensor, /, *, axis: int | None = None) -> Tensor:
    """Logarithm of the running sum of exponentials along an axis, without overflow.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.logcumsumexp(ad.zeros(3))
    tensor([0.0000, 0.6931, 1.0986])
    """
    assert axis is not None

    def combine(earlier: Any, later: Any) -> Any:
        return (xp.logaddexp(earlier[0], later[0]),)

    return scanned(xp, combine, (x,), axis, x.shape[axis])[0]  # type: ignore[no-any-return]


# Extremes -------------------------------------------------------------------------------------------------------


def _route(g: Any, xp: Any, indices: Any, axis: int, x_shape: Shape) -> Any:
    return xp._add_along_axis(g[0], indices, axis=axis, shape=x_shape) if math.prod(x_shape) else g[0]


def _extreme_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: int) -> Any:
    return (xp.take_along_axis(tangents[0], out[1], axis=axis) if math.prod(x.shape) else tangents[0]), None


def _extreme(name: str, words: str, larger: bool, result: str) -> Any:
    def definition(xp: XP, x: Tensor, /, *, axis: int | None = None) -> tuple[Tensor, Tensor]:
        assert axis is not None
        n = x.shape[axis]
        shape = tuple(n if i == axis else 1 for i in range(len(x.shape)))
        places = xp.broadcast_to(xp.reshape(xp.arange(n, dtype=xp.int64), shape), x.shape)

        def combine(earlier: Any, later: Any) -> Any:
            (a, i), (b, j) = earlier, later
            replaced = (b >= a if larger else b <= a) & (a == a) | (b != b)
            return xp.where(replaced, b, a), xp.where(replaced, j, i)

        return scanned(xp, combine, (x, places), axis, n)

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words} element up to each along an axis, and where it stands: ``values`` and ``indices``.

    Of equal ones the last, and NaN from the first on, as in PyTorch.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([1.0, 3.0, 2.0])).values
    {result}
    """
    return function(
        takes="real",
        outputs=("values", "indices"),
        gives=("same", "int64"),
        check=_running(name, initial=False),
        batching=along("axis"),
        jvp=_extreme_jvp,
        x=_route,
        samples=[
            *_samples(name),
            Sample([2.0, 1.0, 2.0, 3.0, 1.0, 3.0, 1.0], name="equal ones", grad=False),
            Sample([1.0, math.nan, 0.0, 2.0, math.nan, 3.0], name="NaN", grad=False),
        ],
    )(definition)


cummax = _extreme("cummax", "Largest", True, "tensor([1., 3., 3.])")
cummin = _extreme("cummin", "Smallest", False, "tensor([1., 1., 1.])")


# Differences ----------------------------------------------------------------------------------------------------


def _differing(shape: Shape, *, axis: Any = -1, n: Any = 1) -> dict[str, Any]:
    n = as_integer("diff", "n", n)
    if n < 0:
        raise ArgumentError(f"diff: n is how often differences are taken, an integer from 0 on; got {n}")
    return {"axis": normalize_axis("diff", axis, len(shape)), "n": n}


@function(
    name="diff",
    takes="numeric",
    check=_differing,
    batching=along("axis"),
    jvp="linear",
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
    length = x.shape[axis]
    if not n or not length:
        return xp.positive(x)  # type: ignore[no-any-return]
    for _ in range(min(n, length)):
        x = cut(x, axis, 1) - cut(x, axis, 0, x.shape[axis] - 1)
    return x


def _beside(x: Tensor, value: Tensor | float | None, axis: int) -> list[Tensor]:
    """What is joined to ``x`` along an axis, as a list; a number stands for one slice of it."""
    if value is None:
        return []
    if type(value) not in SCALARS and (not isinstance(value, Tensor) or value.ndim):
        return [value]  # type: ignore[list-item]
    one = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    return [value_for(x, value, "diff").expand(one)]


@facade(_diff)
def diff(
    x: Tensor,
    /,
    *,
    axis: int = -1,
    n: int = 1,
    prepend: Tensor | float | None = None,
    append: Tensor | float | None = None,
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
    prepend, append : Tensor or number, optional
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
    if prepend is None and append is None:
        return _diff(x, axis=axis, n=n)
    axis = normalize_axis("diff", axis, x.ndim)
    joined = concat([*_beside(x, prepend, axis), x, *_beside(x, append, axis)], axis=axis)
    return _diff(joined, axis=axis, n=n)


def ediff1d(x: Tensor, to_end: Tensor | None = None, to_begin: Tensor | None = None) -> Tensor:
    """Differences of neighbours of the flattened tensor.

    Parameters
    ----------
    x : Tensor
        Of any shape and any type but bool.
    to_end, to_begin : Tensor, optional
        What is put after the differences, and before them; flattened.

    Returns
    -------
    Tensor
        Of one dimension.

    Raises
    ------
    DTypeError
        For bools.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.ediff1d(ad.tensor([[1.0, 4.0], [9.0, 16.0]]))
    tensor([3., 5., 7.])
    """
    differences = _diff(x.flatten(), axis=0, n=1)
    parts = [p.flatten() for p in (to_begin, differences, to_end) if p is not None]
    return concat(parts, axis=0) if len(parts) > 1 else differences
