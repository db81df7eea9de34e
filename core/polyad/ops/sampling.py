"""Discrete distributions, choices and orders. What they draw has no derivative: nothing is recorded."""

from __future__ import annotations

import math
from typing import Any

from ..backend import Backend
from ..dtypes import DTypeLike, as_dtype, float64, int64
from ..errors import ArgumentError, OperandError, ShapeError
from ..grad_mode import no_grad
from ..tensor import Tensor, not_a_tensor
from ..views import raw
from .arguments import as_shape, normalize_axis
from .draws import Draw, Parameter, Size, begin, is_seen, refuse
from .generators import Generator
from .joining import stack
from .placement import DeviceLike, finished
from .random import randint, randperm
from .sorting import argsort

__all__ = [
    "bernoulli",
    "binomial",
    "categorical",
    "choice",
    "multinomial",
    "permutation",
    "poisson",
    "shuffle",
]

_PROBABILITY = "lie between 0 and 1 (of logits write p=polyad.nn.functional.sigmoid(logits))"


def _outside(p: Any) -> Any:
    return (p < 0) | (p > 1)


def bernoulli(
    p: Parameter = 0.5,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw 1 with probability ``p``, and 0 otherwise. Not differentiable.

    Parameters
    ----------
    p : Tensor or number
        Between 0 and 1.
    size : int or tuple of int, optional
        The shape of the result, to which ``p`` broadcasts. Without it, that of ``p``.
    generator : Generator, optional
        The device's default one without it.
    dtype : DType, optional
        Any type; by default that of ``p``, or float32 of a number.
    device, backend
        Where, if ``p`` is a number: as for `polyad.tensor`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If ``p`` is no probability. Values on a GPU are not looked at.
    ShapeError
        If ``p`` does not broadcast to ``size``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.random.bernoulli(ad.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    with no_grad():
        draw = begin("bernoulli", {"p": p}, size, generator, None, device, backend)
        refuse("bernoulli", "p", draw.params[0], _outside, _PROBABILITY)
        found = draw.noise("uniform") < draw.params[0]
        return found.astype(draw.dtype if dtype is None else as_dtype(dtype))  # type: ignore[no-any-return]


def poisson(
    lam: Parameter = 1.0,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike = int64,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw from the Poisson distribution. Not differentiable.

    Parameters
    ----------
    lam : Tensor or number
        The mean; not negative.
    size, generator, device, backend
        As for `polyad.random.bernoulli`.
    dtype : DType
        An integer type, or a floating one to hold the integers.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If ``lam`` is negative.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.random.poisson(3.0, size=(2, 3)).dtype
    polyad.int64
    """
    with no_grad():
        draw = begin("poisson", {"lam": lam}, size, generator, None, device, backend)
        refuse("poisson", "lam", draw.params[0], lambda v: v < 0, "not be negative")
        return _integers(draw, draw.source.poisson(raw(draw.tensor(draw.params[0]))), dtype)


def binomial(
    n: Any,
    p: Parameter,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike = int64,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw how many of ``n`` trials succeed, each with probability ``p``. Not differentiable.

    Parameters
    ----------
    n : int or Tensor of integers
        Not negative.
    p : Tensor or number
        Between 0 and 1.
    size, generator, device, backend
        As for `polyad.random.bernoulli`.
    dtype : DType
        An integer type, or a floating one to hold the integers.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If ``n`` is negative, or ``p`` no probability.

    Examples
    --------
    >>> import polyad as ad
    >>> bool((ad.random.binomial(10, 0.3, size=100) <= 10).all())
    True
    """
    with no_grad():
        # in float64, which holds the numbers of trials that there may be
        draw = begin("binomial", {"n": n, "p": p}, size, generator, float64, device, backend)
        trials, chance = draw.params
        refuse("binomial", "n", trials, lambda v: v < 0, "not be negative")
        refuse("binomial", "p", chance, _outside, _PROBABILITY)
        return _integers(draw, _binomial(draw, draw.tensor(trials), draw.tensor(chance)), dtype)


def _binomial(draw: Draw, n: Tensor, p: Tensor) -> Any:
    return draw.source.binomial(raw(n.astype(int64)), raw(p))


def _integers(draw: Draw, drawn: Any, dtype: DTypeLike) -> Tensor:
    return finished(drawn, draw.where, False).astype(as_dtype(dtype), copy=False)


def multinomial(
    n: Any,
    pvals: Any,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike = int64,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw how often each of several outcomes comes in ``n`` trials, as in NumPy. Not differentiable.

    What PyTorch has under this name, the outcomes themselves, is `polyad.random.choice` and `categorical`.

    Parameters
    ----------
    n : int
        How many trials; not negative.
    pvals : Tensor or list
        Probabilities, which sum to 1 along the last dimension.
    size : int or tuple of int, optional
        The shape of the result without its last dimension.
    generator, device, backend
        As for `polyad.random.bernoulli`.
    dtype : DType
        An integer type, or a floating one to hold the integers.

    Returns
    -------
    Tensor
        Counts that sum to ``n`` along the last dimension.

    Raises
    ------
    ArgumentError
        If ``n`` is negative, or ``pvals`` are no probabilities or do not sum to 1.
    ShapeError
        If ``pvals`` is 0-d.

    Examples
    --------
    >>> import polyad as ad
    >>> counts = ad.random.multinomial(100, [0.2, 0.3, 0.5], size=4)
    >>> counts.shape, counts.sum(axis=1)
    ((4, 3), tensor([100, 100, 100, 100]))
    """
    if not hasattr(n, "__index__") or isinstance(n, Tensor) or n < 0:
        raise ArgumentError(f"multinomial: n must be an integer that is not negative; got {n!r:.60}")
    with no_grad():
        draw = begin("multinomial", {"pvals": pvals}, size, generator, float64, device, backend, event=1)
        p = _probabilities("multinomial", "pvals", draw.params[0])
        k = p.shape[-1]
        # one outcome after another: of the trials that are left, with the probability among what is left
        p = draw.tensor(p, k)
        left, rest = draw.tensor(float(n)), draw.tensor(1.0)
        counts = []
        for i in range(k - 1):
            chance = (p[..., i] / rest.clip(1e-300)).clip(0.0, 1.0)
            found = finished(_binomial(draw, left, chance), draw.where, False)
            counts.append(found)
            left, rest = left - found, rest - p[..., i]
        return stack([*counts, left.astype(int64)], axis=-1).astype(as_dtype(dtype), copy=False)


def _probabilities(name: str, parameter: str, p: Any) -> Tensor:
    """Check that a last dimension holds probabilities that sum to 1."""
    if not isinstance(p, Tensor) or not p.ndim or not p.shape[-1]:
        raise ShapeError(f"{name}: {parameter} has one number for each outcome; got {p!r:.60}")
    refuse(name, parameter, p, _outside, "lie between 0 and 1")
    total = p.sum(axis=-1)
    wanted = f"sum to 1 along the last dimension (write {parameter} / {parameter}.sum(axis=-1, keepdims=True))"
    refuse(name, parameter, total, lambda v: abs(v - 1) > 1e-5, wanted)
    return p


def categorical(
    logits: Tensor,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike = int64,
) -> Tensor:
    """Draw positions along the last dimension, by the logarithms of their probabilities. Not differentiable.

    By the largest of the logits plus Gumbel noise (Gumbel, 1954; Maddison, Tarlow and Minka, 2014). For a relaxation
    that has a gradient see `polyad.random.gumbel`.

    Parameters
    ----------
    logits : Tensor
        Logarithms of probabilities, up to a constant: they need not be normalised. ``-inf`` is never drawn.
    size : int or tuple of int, optional
        The shape of the result, to which the other dimensions of ``logits`` broadcast.
    generator : Generator, optional
    dtype : DType

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If ``logits`` is 0-d or has no outcomes.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.random.categorical(ad.tensor([[0.0, 50.0], [50.0, 0.0]]), size=(3, 2))
    tensor([[1, 0],
            [1, 0],
            [1, 0]])
    """
    if not isinstance(logits, Tensor):
        not_a_tensor("categorical", "logits", logits)
    if not logits.ndim or not logits.shape[-1]:
        raise ShapeError(f"categorical: logits has one number for each outcome; got shape {logits.shape}")
    with no_grad():
        draw = begin("categorical", {"logits": logits}, size, generator, None, None, None, event=1)
        noise = draw.gumbel(logits.shape[-1])
        return (noise + draw.params[0]).argmax(axis=-1).astype(as_dtype(dtype), copy=False)  # type: ignore[no-any-return]


def choice(
    a: Any,
    size: Size = None,
    replace: bool = True,
    p: Any = None,
    axis: int = 0,
    *,
    generator: Generator | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw some of a tensor's elements or rows. Differentiable in them.

    Parameters
    ----------
    a : Tensor or int
        What to choose from; an integer stands for the integers from 0.
    size : int or tuple of int, optional
        How many, and in which shape; one without it.
    replace : bool
        Whether the same may be drawn again.
    p : Tensor or list, optional
        Probabilities, which sum to 1; all are equal without it.
    axis : int
        The dimension of ``a`` along which it is chosen.
    generator : Generator, optional
    device, backend
        Where, if ``a`` is an integer and ``p`` no tensor.

    Returns
    -------
    Tensor
        Of ``a``'s shape, with ``size`` in the place of ``axis``.

    Raises
    ------
    ArgumentError
        If there is nothing to choose from, more is wanted than there is without replacement, or ``p`` are no
        probabilities.
    ShapeError
        If ``p`` has another length than there are choices.

    Examples
    --------
    >>> import polyad as ad
    >>> rows = ad.arange(6).reshape(3, 2)
    >>> ad.random.choice(rows, 5).shape
    (5, 2)
    >>> sorted(ad.random.choice(4, 4, replace=False).tolist())
    [0, 1, 2, 3]
    """
    shape = () if size is None else as_shape("choice", size)
    wanted = math.prod(shape)
    if isinstance(a, Tensor):
        if not a.ndim:
            raise ShapeError("choice: a is 0-d; write choice(int(a), ...) for the integers from 0")
        axis = normalize_axis("choice", axis, a.ndim)
        count, device, backend = a.shape[axis], a.device, None
    elif hasattr(a, "__index__"):
        count = a.__index__()
    else:
        raise OperandError(
            f"choice: a is a {type(a).__name__}; expected a tensor or an integer: write polyad.tensor(a)"
        )
    if isinstance(p, Tensor) and device is None:
        device = p.device
    if count < 1 and wanted:
        raise ArgumentError(f"choice: there is nothing to choose from; a has {count} elements along the axis")
    if not replace and wanted > count:
        raise ArgumentError(f"choice: {wanted} of {count} cannot be drawn without replacement; write replace=True")
    places = _places(count, wanted, replace, p, generator, device, backend).reshape(shape)
    if not isinstance(a, Tensor):
        return places
    return a[(*[slice(None)] * axis, places)]


def _places(count: int, wanted: int, replace: bool, p: Any, generator: Any, device: Any, backend: Any) -> Tensor:
    """Draw ``wanted`` positions among ``count``, in one dimension."""
    where: Any = {"generator": generator, "device": device, "backend": backend}
    if p is None:
        if replace:
            return randint(0, max(count, 1), (wanted,), **where)
        return randperm(count, **where)[:wanted]
    with no_grad():
        draw = begin("choice", {"p": p}, (wanted,) if replace else (), generator, float64, device, backend, event=1)
        chances = _probabilities("choice", "p", draw.params[0])
        if chances.shape != (count,):
            raise ShapeError(f"choice: p has shape {chances.shape}; expected ({count},), one for each choice")
        if not replace and is_seen(chances) and wanted > (possible := int((chances > 0).sum().item())):
            raise ArgumentError(
                f"choice: {wanted} cannot be drawn without replacement, since only {possible} can be drawn at all"
            )
        logits = chances.clip(1e-300).log()  # of 0, so far below that no noise lifts it
        if replace:
            return (draw.gumbel(count) + logits).argmax(axis=-1)
        # the largest, the second and so on: what drawing one after another would give (Vieira, 2014)
        order = argsort(-(draw.gumbel(count) + logits))
        return order[:wanted]


def permutation(
    x: Any,
    axis: int = 0,
    *,
    generator: Generator | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Bring the rows of a tensor into a random order. Differentiable in them.

    Parameters
    ----------
    x : Tensor or int
        An integer stands for the integers from 0.
    axis : int
        The dimension along which the order is random.
    generator : Generator, optional
    device, backend
        Where, if ``x`` is an integer.

    Returns
    -------
    Tensor
        A new one.

    Raises
    ------
    IndexOutOfRangeError
        If there is no such dimension.

    Examples
    --------
    >>> import polyad as ad
    >>> sorted(ad.random.permutation(ad.tensor([3.0, 1.0, 2.0])).tolist())
    [1.0, 2.0, 3.0]
    """
    if not isinstance(x, Tensor):
        if not hasattr(x, "__index__"):
            raise OperandError(
                f"permutation: x is a {type(x).__name__}; expected a tensor or an integer: write polyad.tensor(x)"
            )
        return randperm(x.__index__(), generator=generator, device=device, backend=backend)
    axis = normalize_axis("permutation", axis, x.ndim)
    order = randperm(x.shape[axis], generator=generator, device=x.device)
    return x[(*[slice(None)] * axis, order)]


def shuffle(x: Tensor, axis: int = 0, *, generator: Generator | None = None) -> None:
    """Bring the rows of a tensor into a random order, in place, as NumPy does. Every alias sees it.

    Parameters
    ----------
    x : Tensor
    axis : int
        The dimension along which the order is random.
    generator : Generator, optional

    Raises
    ------
    AutogradError
        If ``x`` is a leaf that requires a gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.arange(4)
    >>> ad.random.shuffle(x)
    >>> sorted(x.tolist())
    [0, 1, 2, 3]
    """
    if not isinstance(x, Tensor):
        not_a_tensor("shuffle", "x", x)
    x.copy_(permutation(x, axis, generator=generator))
