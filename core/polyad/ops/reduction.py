"""Functions that take elements along axes together: sums, products, means, extremes, tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from ..batching import along
from ..dispatch import function
from ..errors import DTypeError, IndexOutOfRangeError, OperandError, ShapeError
from ..function import TENSORS, XP, Fails, Function, Sample
from ..keys import cut
from ..rules import count, is_complex, unreduce
from ..tensor import Tensor
from .arguments import Axis, Shape, normalize_axes, normalize_axis
from .cumulative import exclusive_prod, turned

__all__ = [
    "argmax",
    "argmin",
    "mean",
    "prod",
    "std",
    "var",
]


def reducing(name: str, *, empty: bool = True, **others: Any) -> Any:
    """Make the check of a reduction: its axes as a sorted tuple."""

    def check(shape: Shape, *, axis: Any = None, keepdims: Any = False, **more: Any) -> dict[str, Any]:
        if type(axis) is int and -len(shape) <= axis < len(shape):
            axes: tuple[int, ...] = (axis % len(shape),)
        else:
            if isinstance(axis, Tensor):
                advice = f"; the {name} of two arrays is {name}imum(x1, x2)" if name in ("max", "min") else ""
                raise OperandError(f"{name}: axis is a tensor; expected an integer or a tuple of them{advice}")
            axes = normalize_axes(name, axis, len(shape))
        if not empty and not count(shape, axes):
            raise ShapeError(f"{name}: no elements to choose from: the shape is {shape}, reduced over axis {axes}")
        params = {"axis": axes, "keepdims": bool(keepdims)}
        for key, default in others.items():
            params[key] = more.pop(key, default)
        if more:
            raise TypeError(more)  # explained by who called, where the function does not have them
        return params

    return check


def along_axes(**kwargs: Any) -> list[Sample]:
    """Samples of a reduction."""
    return [
        Sample((3, 4), **kwargs),
        Sample((3, 4), axis=0, **kwargs),
        Sample((3, 4), axis=-1, keepdims=True, **kwargs),
        Sample((2, 3, 4), axis=(0, 2), **kwargs),
        Sample((2, 3), axis=(), **kwargs),
        Sample((0, 3), axis=1, **kwargs),
        Sample((), **kwargs),
        Fails((2, 3), axis=2, error=IndexOutOfRangeError, match=r"axis 2 is out of range for 2 dim.*-2 to 1"),
        Fails((2, 3), axis=(0, -2), error=ShapeError, match="names a dimension twice"),
    ]


@function(
    name="sum",
    takes="any",
    accumulates=True,
    wide=True,
    check=reducing("sum"),
    batching=along("axis"),
    jvp="linear",
    standard=True,
    x=lambda g, xp, x_shape, axis, keepdims: unreduce(xp, g, x_shape, axis, keepdims),
    samples=[*along_axes(), Sample((0, 3), axis=0, name="of nothing")],
)
def sum_(x: Tensor, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Sum of elements along axes; 0 of none.

    Integers and bools are summed as 64-bit integers, unsigned ones as unsigned, or all as ``dtype``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.sum(ad.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0)
    tensor([4., 6.])
    """


def _others(xp: Any, x: Any, axis: int) -> Any:
    """For each element the product of the others along an axis: of those before it, and of those after it."""
    after = turned(exclusive_prod(xp, turned(x, axis), axis), axis)
    return exclusive_prod(xp, x, axis) * after


def prod_rule(g: Any, xp: Any, x: Any, axis: Shape, keepdims: bool) -> Any:
    return unreduce(xp, g, x.shape, axis, keepdims) * others_of(xp, x, axis)


def prod_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: Shape, keepdims: bool) -> Any:
    """Multiply in pairs, the two halves with each other, until one is left."""
    (t,) = tangents
    if not axis or not math.prod(x.shape):
        return t if not axis else xp.zeros_like(out)
    if len(axis) == 1:
        along = axis[0]
    else:
        order, shape = _at_end(x.shape, axis)
        x, t = (xp.reshape(xp.permute_dims(a, axes=order), shape=shape) for a in (x, t))
        along = len(shape) - 1
    while (n := x.shape[along]) > 1:
        half = n // 2
        (a, b), (s, u) = ([cut(y, along, 0, half), cut(y, along, half, 2 * half)] for y in (x, t))
        pairs = a * b, s * b + a * u
        rest = (cut(y, along, 2 * half) for y in (x, t))
        x, t = (xp.concat([p, r], axis=along) for p, r in zip(pairs, rest, strict=True)) if n % 2 else pairs
    return xp.reshape(t, shape=out.shape)


def _at_end(shape: Shape, axis: Shape) -> tuple[Shape, Shape]:
    """The order of dimensions in which axes are at the end, and the shape where they are one."""
    kept = tuple(i for i in range(len(shape)) if i not in axis)
    return (*kept, *axis), (*(shape[i] for i in kept), count(shape, axis))


def others_of(xp: Any, x: Any, axis: Shape) -> Any:
    """For each element the product of those that a product along axes takes together with it."""
    if not axis or not math.prod(x.shape):
        return xp.ones_like(x)
    if len(axis) == 1:
        return _others(xp, x, axis[0])
    order, shape = _at_end(x.shape, axis)
    turned_x = xp.permute_dims(x, axes=order)
    others = _others(xp, xp.reshape(turned_x, shape=shape), len(shape) - 1)
    return xp.permute_dims(xp.reshape(others, shape=turned_x.shape), axes=tuple(map(order.index, range(len(order)))))


@function(
    takes="any",
    accumulates=True,
    wide=True,
    check=reducing("prod"),
    batching=along("axis"),
    jvp=prod_jvp,
    standard=True,
    x=prod_rule,
    samples=[
        *along_axes(),
        Sample((0, 3), axis=0, name="of nothing"),
        Sample((2, 3, 2), name="of all"),
        Sample([[2.0, 0.0, 3.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]], axis=1, name="with zeros"),
        Sample([[2.0, 0.0, 3.0], [0.5, 1.0, 0.0]], name="of all, with zeros"),
    ],
)
def prod(x: Tensor, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Tensor:
    """Product of elements along axes; 1 of none.

    Integers and bools are multiplied as 64-bit integers, unsigned ones as unsigned, or all as ``dtype``. The gradient
    divides by nothing, so it is right where elements are 0.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor([2.0, 0.0, 4.0], requires_grad=True)
    >>> y = ad.prod(x)
    >>> y.backward()
    >>> y, x.grad
    (tensor(0., grad_fn=<ProdBackward>), tensor([0., 8., 0.]))
    """


@function(
    takes="floating",
    wide=True,
    check=reducing("mean"),
    batching=along("axis"),
    jvp="linear",
    standard=True,
    x=lambda g, xp, x_shape, axis, keepdims: unreduce(xp, g / (count(x_shape, axis) or 1), x_shape, axis, keepdims),
    samples=[*along_axes(), Sample((0, 3), axis=0, name="of nothing", grad=False)],
)
def mean(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean along axes; of integers in float32. NaN of no elements.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.mean(ad.tensor([[1.0, 2.0], [3.0, 4.0]]), axis=1)
    tensor([1.5000, 3.5000])
    """


def divided(total: Any, n: float) -> Any:
    """A sum over what is left of the number of elements: NaN where that is nothing."""
    return total / n if n > 0 else total * math.nan


def _var_rule(g: Any, xp: Any, x: Any, axis: Any, correction: Any, keepdims: Any) -> Any:
    n = count(x.shape, axis) - correction
    spread = unreduce(xp, divided(2 * g, n), x.shape, axis, keepdims)
    off = x - xp.mean(x, axis=axis, keepdims=True)
    return spread * (xp.conj(off) if is_complex(x.dtype) else off)


def _var_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: Any, correction: Any, keepdims: Any) -> Any:
    off = x - xp.mean(x, axis=axis, keepdims=True)
    (t,) = tangents
    moved = xp.real(xp.conj(off) * t) if is_complex(x.dtype) else off * t
    return divided(2 * xp.sum(moved, axis=axis, keepdims=keepdims), count(x.shape, axis) - correction)


def _std_rule(g: Any, xp: Any, x: Any, out: Any, axis: Any, correction: Any, keepdims: Any) -> Any:
    # where all elements are equal the derivative is taken as 0, not 0 / 0
    g = xp.where(out == 0, 0, g / xp.where(out == 0, 1, 2 * out))
    return _var_rule(g, xp, x, axis, correction, keepdims)


def _std_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: Any, correction: Any, keepdims: Any) -> Any:
    moved = _var_jvp(xp, tangents, out, x, axis=axis, correction=correction, keepdims=keepdims)
    return xp.where(out == 0, 0, moved / xp.where(out == 0, 1, 2 * out))


_FEW: Final = [
    Sample((0, 3), axis=0, name="of nothing", grad=False),
    Sample((3, 4), axis=1, correction=4, name="of too few", grad=False),
    Sample((), correction=1, name="of one", grad=False),
]


@function(
    takes="floating",
    gives="real",
    wide=True,
    check=reducing("var", correction=0.0),
    batching=along("axis"),
    jvp=_var_jvp,
    x=_var_rule,
    samples=[*along_axes(), Sample((3, 4), axis=0, correction=1), Sample((3, 4), correction=2.5), *_FEW],
)
def var(xp: XP, x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Variance along axes: the sum of squared distances from the mean, divided by ``n - correction``.

    ``correction`` is 0 as in the standard and NumPy; PyTorch's default is 1. NumPy's name for it, ``ddof``, and
    PyTorch's ``unbiased`` are taken too. NaN where ``n - correction`` is not positive.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.var(ad.tensor([1.0, 2.0, 3.0]), correction=1)
    tensor(1.)
    """
    off = x - xp.mean(x, axis=axis, keepdims=True)
    squares = off * off if not is_complex(x.dtype) else xp.real(off) ** 2 + xp.imag(off) ** 2
    return divided(xp.sum(squares, axis=axis, keepdims=keepdims), count(x.shape, axis) - correction)  # type: ignore[no-any-return, arg-type]


@function(
    takes="floating",
    gives="real",
    wide=True,
    check=reducing("std", correction=0.0),
    batching=along("axis"),
    jvp=_std_jvp,
    x=_std_rule,
    samples=[
        *[s for s in along_axes() if isinstance(s, Fails) or (s.arrays != ((),) and s.params.get("axis") != ())],
        Sample((3, 4), axis=0, correction=1),
        Sample([[1.0, 1.0], [1.0, 2.0]], axis=1, name="without spread", grad=False),
        *_FEW,
    ],
)
def std(xp: XP, x: Tensor, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False) -> Tensor:
    """Standard deviation along axes: the root of the variance (see `var`). Its derivative at 0 is taken as 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.std(ad.tensor([1.0, 2.0, 3.0]), correction=1)
    tensor(1.)
    """
    return xp.sqrt(xp.var(x, axis=axis, correction=correction, keepdims=keepdims))  # type: ignore[no-any-return]


def _extreme_rule(g: Any, xp: Any, x: Any, out: Any, axis: Any, keepdims: Any) -> Any:
    here = (x == unreduce(xp, out, x.shape, axis, keepdims)) | (x != x)  # where there is a NaN, it is what was chosen
    ties = xp.sum(xp.astype(here, g.dtype), axis=axis, keepdims=keepdims)
    return xp.where(here, unreduce(xp, g / ties, x.shape, axis, keepdims), 0)


def _extreme_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: Any, keepdims: Any) -> Any:
    """The mean over the extremes; NaN where one is."""
    here = x == unreduce(xp, out, x.shape, axis, keepdims)
    moved = xp.sum(xp.where(here, tangents[0], 0), axis=axis, keepdims=keepdims)
    ties = xp.astype(xp.count_nonzero(here, axis=axis, keepdims=keepdims), x.dtype)
    return xp.where(ties == 0, math.nan, moved / xp.where(ties == 0, 1, ties))


def _extreme(name: str, words: str, result: str) -> Any:
    def definition(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
        pass

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words} element along axes; NaN if there is one. Equal ones share the gradient.

    The gradient is that of PyTorch's ``amax`` and ``amin``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([[1.0, 2.0], [4.0, 3.0]]), axis=1)
    {result}
    """
    samples = [
        *along_axes(),
        Sample([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], axis=1, name="ties", grad=False),
        Sample([[1.0, math.nan, 3.0], [2.0, 1.0, 0.0]], axis=1, name="NaN", grad=False),
        Fails((0, 3), axis=0, error=ShapeError, match=f"{name}: no elements to choose from"),
        Fails([1 + 2j], error=DTypeError, match=f"{name} takes real or bool arrays; got complex"),
    ]
    return function(
        takes="real or bool",
        check=reducing(name, empty=False),
        standard=True,
        batching=along("axis"),
        jvp=_extreme_jvp,
        x=_extreme_rule,
        samples=samples,
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


def _choosing_batched(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    """Along an axis as others; of all elements, along those of each example in a row."""
    if params["axis"] is not None:
        return along("axis")(made, size, arrays, batched, params)
    (x,) = arrays
    shape = x.shape[1:]
    found = made.call(TENSORS.reshape(x, (size, math.prod(shape))), axis=1)
    return TENSORS.reshape(found, (size, *(1 for _ in shape))) if params["keepdims"] else found


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
        Sample((0, 3), axis=1, name="for each of nothing"),
        Fails((2, 3), axis=2, error=IndexOutOfRangeError, match="axis 2 is out of range"),
        Fails((0,), error=ShapeError, match=f"{name}: no elements to choose from"),
    ]
    return function(
        takes="real",
        gives="int64",
        check=_choosing(name),
        batching=_choosing_batched,
        standard=True,
        differentiable=False,
        samples=samples,
    )(definition)


argmax = _arg_extreme("argmax", "largest", "tensor([1, 0])")
argmin = _arg_extreme("argmin", "smallest", "tensor([0, 1])")


_IMAGINARY: Final = Sample([[1j, 2j], [0j, -2j]], axis=1, name="imaginary")


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
        batching=along("axis"),
        standard=True,
        differentiable=False,
        samples=[*along_axes(), Sample((2, 3), axis=0, domain="bools"), Sample((0,), name="of nothing"), _IMAGINARY],
    )(definition)


all_ = _testing("all", "every element", "tensor([False,  True])")
any_ = _testing("any", "some element", "tensor([True, True])")
