"""Functions that take elements along axes together: sums, means, extremes, tests."""

from __future__ import annotations

import math
from typing import Any

from ..dispatch import function
from ..errors import DTypeError, IndexOutOfRangeError, OperandError, ShapeError
from ..function import Fails, Sample
from ..rules import count, unreduce
from ..tensor import Tensor
from .arguments import Axis, Shape, normalize_axes, normalize_axis

__all__ = [
    "argmax",
    "argmin",
    "mean",
    "std",
    "var",
]


def reducing(name: str, *, empty: bool = True, **others: Any) -> Any:
    """Make the check of a reduction: its axes as a sorted tuple."""

    def check(shape: Shape, *, axis: Any = None, keepdims: Any = False, **more: Any) -> dict[str, Any]:
        if type(axis) is int and -len(shape) <= axis < len(shape):
            axes: tuple[int, ...] = (axis % len(shape),)
        else:
            axes = normalize_axes(name, axis, len(shape))
        if not empty and not count(shape, axes):
            raise ShapeError(f"{name}: no elements to choose from: the shape is {shape}, reduced over axis {axes}")
        params = {"axis": axes, "keepdims": bool(keepdims)}
        for key, default in others.items():
            params[key] = more.pop(key, default)
        if more:
            raise OperandError(f"{name}: there is no parameter {', '.join(sorted(more))}")
        return params

    return check


def along_axes(**kwargs: Any) -> list[Sample]:
    """Samples of a reduction."""
    return [
        Sample((3, 4), **kwargs),
        Sample((3, 4), axis=0, **kwargs),
        Sample((3, 4), axis=-1, keepdims=True, **kwargs),
        Sample((2, 3, 4), axis=(0, 2), **kwargs),
        Sample((), **kwargs),
        Fails((2, 3), axis=2, error=IndexOutOfRangeError, match=r"axis 2 is out of range for 2 dim.*-2 to 1"),
        Fails((2, 3), axis=(0, -2), error=ShapeError, match="names a dimension twice"),
    ]


@function(
    name="sum",
    takes="any",
    accumulates=True,
    check=reducing("sum"),
    standard=True,
    x=lambda g, xp, x_shape, axis, keepdims: unreduce(xp, g, x_shape, axis, keepdims),
    samples=[*along_axes(), Sample((0, 3), axis=0, name="of nothing")],
)
def sum_(x: Tensor, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Sum of elements along axes.

    Integers and bools are summed as 64-bit integers, or as ``dtype``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.sum(ad.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """


@function(
    takes="floating",
    check=reducing("mean"),
    standard=True,
    x=lambda g, xp, x_shape, axis, keepdims: unreduce(xp, g / (count(x_shape, axis) or 1), x_shape, axis, keepdims),
    samples=along_axes(),
)
def mean(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean along axes; of integers in float32.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.mean(ad.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([1.5000, 3.5000])
    """


def _var_rule(g: Any, xp: Any, x: Any, axis: Any, correction: Any, keepdims: Any) -> Any:
    n = math.prod(x.shape[i] for i in axis) - correction
    spread = unreduce(xp, g * (2 / n), x.shape, axis, keepdims)
    return spread * (x - xp.mean(x, axis=axis, keepdims=True))


def _std_rule(g: Any, xp: Any, x: Any, out: Any, axis: Any, correction: Any, keepdims: Any) -> Any:
    # where all elements are equal the derivative is taken as 0, not 0 / 0
    g = xp.where(out == 0, 0, g / xp.where(out == 0, 1, 2 * out))
    return _var_rule(g, xp, x, axis, correction, keepdims)


@function(
    takes="real floating",
    check=reducing("var", correction=0.0),
    standard=True,
    x=_var_rule,
    samples=[*along_axes(), Sample((3, 4), axis=0, correction=1)],
)
def var(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Variance along axes: the mean of squared distances from the mean, with ``n - correction`` for ``n``.

    ``correction`` is 0 as in the standard and NumPy; PyTorch's default is 1.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.var(ad.tensor([1.0, 2.0, 3.0]), correction=1)
    tensor(1.)
    """


@function(
    takes="real floating",
    check=reducing("std", correction=0.0),
    standard=True,
    x=_std_rule,
    samples=[
        *[s for s in along_axes() if s.arrays != ((),)],
        Sample((3, 4), axis=0, correction=1),
        Sample([[1.0, 1.0], [1.0, 2.0]], axis=1, name="without spread", grad=False),
    ],
)
def std(x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Standard deviation along axes: the root of the variance (see `var`). Its derivative at 0 is taken as 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.std(ad.tensor([1.0, 2.0, 3.0]), correction=1)
    tensor(1.)
    """


def _extreme_rule(g: Any, xp: Any, x: Any, out: Any, axis: Any, keepdims: Any) -> Any:
    here = x == unreduce(xp, out, x.shape, axis, keepdims)
    ties = xp.sum(xp.astype(here, g.dtype), axis=axis, keepdims=keepdims)
    return xp.where(here, unreduce(xp, g / ties, x.shape, axis, keepdims), 0)


def _extreme(name: str, words: str, result: str) -> Any:
    def definition(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        pass

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words} element along axes. Equal ones share the gradient, as in PyTorch's ``amax``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    {result}
    """
    samples = [
        *along_axes(),
        Sample([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], axis=1, name="ties", grad=False),
        Fails((0, 3), axis=0, error=ShapeError, match=f"{name}: no elements to choose from"),
        Fails([1 + 2j], error=DTypeError, match=f"{name} takes real or bool arrays; got complex"),
    ]
    return function(
        takes="real or bool", check=reducing(name, empty=False), standard=True, x=_extreme_rule, samples=samples
    )(definition)


max_ = _extreme("max", "Largest", "tensor([2., 4.])")
min_ = _extreme("min", "Smallest", "tensor([1., 3.])")


def _choosing(name: str) -> Any:
    def check(shape: Shape, *, axis: Any = None, keepdims: Any = False) -> dict[str, Any]:
        if axis is not None:
            axis = normalize_axis(name, axis, len(shape))
        if not count(shape, tuple(range(len(shape))) if axis is None else (axis,)):
            raise ShapeError(f"{name}: no elements to choose from: the shape is {shape}, along axis {axis}")
        return {"axis": axis, "keepdims": bool(keepdims)}

    return check


def _arg_extreme(name: str, words: str, result: str) -> Any:
    def definition(x: Tensor, /, *, axis: int | None = None, keepdims: bool = False) -> Tensor:
        pass

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""Index of the {words} element along an axis, or of the flattened array; the first of equals.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    {result}
    """
    samples = [
        Sample((3, 4)),
        Sample((3, 4), axis=0),
        Sample((3, 4), axis=-1, keepdims=True),
        Sample([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], axis=1, name="ties"),
        Fails((2, 3), axis=2, error=IndexOutOfRangeError, match="axis 2 is out of range"),
        Fails((0,), error=ShapeError, match=f"{name}: no elements to choose from"),
    ]
    return function(
        takes="real",
        gives="int64",
        check=_choosing(name),
        standard=True,
        differentiable=False,
        samples=samples,
    )(definition)


argmax = _arg_extreme("argmax", "largest", "tensor([1, 0])")
argmin = _arg_extreme("argmin", "smallest", "tensor([0, 1])")


def _testing(name: str, words: str, result: str) -> Any:
    def definition(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        pass

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""Whether {words} along axes is true; numbers other than 0 count as true.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([[True, False], [True, True]]), axis=1)
    {result}
    """
    return function(
        takes="any",
        gives="bool",
        check=reducing(name),
        standard=True,
        differentiable=False,
        samples=[*along_axes(), Sample((2, 3), axis=0, domain="bools"), Sample((0,), name="of nothing")],
    )(definition)


all_ = _testing("all", "every element", "tensor([False,  True])")
any_ = _testing("any", "some element", "tensor([True, True])")
