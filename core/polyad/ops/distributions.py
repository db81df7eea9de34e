"""Continuous distributions. What is drawn is a differentiable function of the parameters and of noise.

That is the pathwise or reparameterised gradient: with the noise held fixed, a number moves with its distribution's
parameters. Derivatives of every order are those of that function.
"""

from __future__ import annotations

import math
from typing import Any

from ..backend import Backend
from ..dtypes import DTypeLike
from ..errors import ShapeError
from ..tensor import Tensor
from ..views import raw
from .draws import Draw, Parameter, Size, begin, refuse
from .exponential import logaddexp
from .gamma_paths import log_gamma
from .generators import Generator
from .placement import DeviceLike, finished
from .trigonometry import tan

__all__ = [
    "beta",
    "cauchy",
    "dirichlet",
    "exponential",
    "gamma",
    "gumbel",
    "laplace",
    "logistic",
    "lognormal",
    "normal",
    "uniform",
]


def _scale(name: str, scale: Any, parameter: str = "scale") -> None:
    advice = f"not be negative (of one that is learned keep the logarithm: write {parameter}=log_{parameter}.exp())"
    refuse(name, parameter, scale, lambda v: v < 0, advice)


def _positive(name: str, parameter: str, value: Any) -> None:
    advice = f"be positive (of one that is learned keep the logarithm: write {parameter}=log_{parameter}.exp())"
    refuse(name, parameter, value, lambda v: v <= 0, advice)


def normal(
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw from the normal distribution. Differentiable in both parameters.

    Parameters
    ----------
    loc : Tensor or number
        The mean.
    scale : Tensor or number
        The standard deviation; not negative.
    size : int or tuple of int, optional
        The shape of the result, to which the parameters broadcast. Without it, what they broadcast to.
    generator : Generator, optional
        The device's default one without it.
    dtype : DType, optional
        A real floating-point type; by default the parameters', or float32 of numbers.
    device, backend
        Where, if no parameter is a tensor: as for `polyad.tensor`.

    Returns
    -------
    Tensor
        On the parameters' device.

    Raises
    ------
    ArgumentError
        If ``scale`` is negative. Values on a GPU are not looked at, since that would wait for them.
    ShapeError
        If the parameters do not broadcast to ``size``.
    DTypeError
        If ``dtype`` is no real floating-point type.
    DeviceError
        If parameters are on different devices.

    Examples
    --------
    >>> import polyad as ad
    >>> scale = ad.tensor([0.1, 10.0], requires_grad=True)
    >>> x = ad.random.normal(5.0, scale, size=(3, 2))
    >>> x.shape
    (3, 2)
    >>> x.sum().backward()
    >>> bool(((x - 5.0).sum(axis=0) / scale - scale.grad < 1e-3).all())
    True
    """
    draw = begin("normal", {"loc": loc, "scale": scale}, size, generator, dtype, device, backend)
    _scale("normal", draw.params[1])
    return draw.result(_moved(draw.noise("normal"), *draw.params))


def _moved(noise: Tensor, loc: Parameter, scale: Parameter) -> Tensor:
    """Noise times a scale plus a location; without what changes nothing."""
    if isinstance(scale, Tensor) or scale != 1:
        noise = noise * scale
    return noise + loc if isinstance(loc, Tensor) or loc != 0 else noise


def lognormal(
    mean: Parameter = 0.0,
    sigma: Parameter = 1.0,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw numbers whose logarithm is normally distributed. Differentiable in both parameters.

    Parameters
    ----------
    mean, sigma : Tensor or number
        Mean and standard deviation of the logarithm.
    size, generator, dtype, device, backend
        As for `polyad.random.normal`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If ``sigma`` is negative.

    Examples
    --------
    >>> import polyad as ad
    >>> bool((ad.random.lognormal(size=3) > 0).all())
    True
    """
    draw = begin("lognormal", {"mean": mean, "sigma": sigma}, size, generator, dtype, device, backend)
    _scale("lognormal", draw.params[1], "sigma")
    return draw.result(_moved(draw.noise("normal"), *draw.params).exp())


def uniform(
    low: Parameter = 0.0,
    high: Parameter = 1.0,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw numbers evenly distributed in [low, high). Differentiable in both parameters.

    Rounding may give ``high`` itself.

    Parameters
    ----------
    low, high : Tensor or number
    size, generator, dtype, device, backend
        As for `polyad.random.normal`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If ``high`` is less than ``low``.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.random.uniform(-1.0, 1.0, size=100)
    >>> bool((x >= -1).all() & (x <= 1).all())
    True
    """
    draw = begin("uniform", {"low": low, "high": high}, size, generator, dtype, device, backend)
    low, high = draw.params
    refuse("uniform", "high - low", high - low, lambda v: v < 0, "not be negative (write low first)")
    return draw.result(_moved(draw.noise("uniform"), low, high - low))


def exponential(
    scale: Parameter = 1.0,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw from the exponential distribution. Differentiable in the scale.

    Parameters
    ----------
    scale : Tensor or number
        The mean, which is one over the rate; not negative.
    size, generator, dtype, device, backend
        As for `polyad.random.normal`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If ``scale`` is negative.

    Examples
    --------
    >>> import polyad as ad
    >>> rate = ad.tensor([1.0, 5.0], requires_grad=True)
    >>> ad.random.exponential(1 / rate, size=(4, 2)).shape
    (4, 2)
    """
    draw = begin("exponential", {"scale": scale}, size, generator, dtype, device, backend)
    _scale("exponential", draw.params[0])
    return draw.result(_moved(draw.exponential(), 0.0, draw.params[0]))


def laplace(
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw from the Laplace distribution. Differentiable in both parameters.

    Parameters
    ----------
    loc : Tensor or number
        The mean.
    scale : Tensor or number
        The mean distance from it; not negative.
    size, generator, dtype, device, backend
        As for `polyad.random.normal`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If ``scale`` is negative.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.random.laplace(0.0, 2.0, size=(2, 3)).shape
    (2, 3)
    """
    draw = begin("laplace", {"loc": loc, "scale": scale}, size, generator, dtype, device, backend)
    _scale("laplace", draw.params[1])
    return draw.result(_moved(draw.exponential() - draw.exponential(), *draw.params))


def gumbel(
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw from the Gumbel distribution, that of the largest of many. Differentiable in both parameters.

    Parameters
    ----------
    loc : Tensor or number
        The mode.
    scale : Tensor or number
        Not negative.
    size, generator, dtype, device, backend
        As for `polyad.random.normal`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If ``scale`` is negative.

    Examples
    --------
    >>> import polyad as ad
    >>> logits = ad.tensor([0.1, 2.0, -1.0], requires_grad=True)
    >>> relaxed = ad.nn.functional.softmax(ad.random.gumbel(logits) / 0.5)  # Gumbel-softmax
    >>> relaxed.shape
    (3,)
    """
    draw = begin("gumbel", {"loc": loc, "scale": scale}, size, generator, dtype, device, backend)
    _scale("gumbel", draw.params[1])
    return draw.result(_moved(draw.gumbel(), *draw.params))


def logistic(
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw from the logistic distribution. Differentiable in both parameters.

    Parameters
    ----------
    loc : Tensor or number
        The mean.
    scale : Tensor or number
        Not negative.
    size, generator, dtype, device, backend
        As for `polyad.random.normal`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If ``scale`` is negative.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.random.logistic(size=2).shape
    (2,)
    """
    draw = begin("logistic", {"loc": loc, "scale": scale}, size, generator, dtype, device, backend)
    _scale("logistic", draw.params[1])
    return draw.result(_moved(draw.gumbel() - draw.gumbel(), *draw.params))


def cauchy(
    loc: Parameter = 0.0,
    scale: Parameter = 1.0,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw from the Cauchy distribution. Differentiable in both parameters.

    Parameters
    ----------
    loc : Tensor or number
        The median.
    scale : Tensor or number
        The median distance from it; not negative.
    size, generator, dtype, device, backend
        As for `polyad.random.normal`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If ``scale`` is negative.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.random.cauchy(size=2).shape
    (2,)
    """
    draw = begin("cauchy", {"loc": loc, "scale": scale}, size, generator, dtype, device, backend)
    _scale("cauchy", draw.params[1])
    angle = (draw.noise("uniform") - 0.5) * math.pi
    return draw.result(_moved(tan(angle), *draw.params))


# Made of gamma variables ------------------------------------------------------------------------------------


def _log_gamma(draw: Draw, alpha: Parameter, *event: int) -> Tensor:
    """Logarithms of gamma variables: those of shape ``alpha + 1`` times ``u ** (1 / alpha)``, for small shapes too.

    Marsaglia and Tsang (2000), section 6.
    """
    shapes = draw.tensor(alpha, *event)
    constant = shapes.detach()
    raised = draw.source.gamma(raw(constant + 1), draw.where.dtype(draw.work))
    drawn = finished(raised, draw.where, False).log() + (-draw.noise("uniform", *event)).log1p() / constant
    return log_gamma(shapes, drawn)


def gamma(
    shape: Parameter,
    scale: Parameter = 1.0,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw from the gamma distribution. Differentiable in both parameters.

    Parameters
    ----------
    shape : Tensor or number
        The shape parameter, often called k or alpha; positive.
    scale : Tensor or number
        One over the rate; not negative.
    size, generator, dtype, device, backend
        As for `polyad.random.normal`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If ``shape`` is not positive or ``scale`` negative.

    Notes
    -----
    The gradient in the shape is that of the quantile: it is found by implicit differentiation of the distribution
    function (Figurnov, Mohamed and Mnih, 2018), accurate to 12 digits in float64 for shapes up to 1e6.

    Examples
    --------
    >>> import polyad as ad
    >>> shape = ad.tensor([0.5, 20.0], requires_grad=True)
    >>> ad.random.gamma(shape, size=(1000, 2)).mean(axis=0).sum().backward()
    >>> bool((abs(shape.grad - 1) < 0.5).all())  # the mean is the shape
    True
    """
    draw = begin("gamma", {"shape": shape, "scale": scale}, size, generator, dtype, device, backend)
    _positive("gamma", "shape", draw.params[0])
    _scale("gamma", draw.params[1])
    return draw.result(_moved(_log_gamma(draw, draw.params[0]).exp(), 0.0, draw.params[1]))


def beta(
    a: Parameter,
    b: Parameter,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw from the beta distribution, as the share of one gamma variable in two. Differentiable in both parameters.

    Parameters
    ----------
    a, b : Tensor or number
        Positive.
    size, generator, dtype, device, backend
        As for `polyad.random.normal`.

    Returns
    -------
    Tensor

    Raises
    ------
    ArgumentError
        If ``a`` or ``b`` is not positive.

    Notes
    -----
    The gradients are those of the two gamma variables. Their means are those of the quantile's derivative, which
    PyTorch takes; single values differ.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.random.beta(2.0, 3.0, size=100)
    >>> bool((x > 0).all() & (x < 1).all())
    True
    """
    draw = begin("beta", {"a": a, "b": b}, size, generator, dtype, device, backend)
    for key, value in zip("ab", draw.params, strict=True):
        _positive("beta", key, value)
    first, second = (_log_gamma(draw, value) for value in draw.params)
    return draw.result((first - logaddexp(first, second)).exp())


def dirichlet(
    alpha: Parameter,
    size: Size = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike = None,
    backend: str | Backend | None = None,
) -> Tensor:
    """Draw probabilities that sum to 1, as the shares of gamma variables. Differentiable in the parameter.

    Parameters
    ----------
    alpha : Tensor or list
        Positive; the last dimension is that of the probabilities.
    size : int or tuple of int, optional
        The shape of the result without its last dimension.
    generator, dtype, device, backend
        As for `polyad.random.normal`.

    Returns
    -------
    Tensor
        Of ``alpha``'s shape, or of ``size`` and ``alpha``'s last dimension.

    Raises
    ------
    ArgumentError
        If ``alpha`` is not positive.
    ShapeError
        If it is 0-d.

    Examples
    --------
    >>> import polyad as ad
    >>> p = ad.random.dirichlet([1.0, 2.0, 3.0], size=4)
    >>> p.shape, bool((abs(p.sum(axis=1) - 1) < 1e-5).all())
    ((4, 3), True)
    """
    draw = begin("dirichlet", {"alpha": alpha}, size, generator, dtype, device, backend, event=1)
    (concentration,) = draw.params
    if not isinstance(concentration, Tensor) or not concentration.ndim:
        raise ShapeError(
            f"dirichlet: alpha has one number for each probability; got the number {alpha!r:.60}; "
            f"write dirichlet([{alpha!r:.20}, {alpha!r:.20}]) for two"
        )
    _positive("dirichlet", "alpha", concentration)
    logs = _log_gamma(draw, concentration, concentration.shape[-1])
    shares = (logs - logs.detach().max(axis=-1, keepdims=True)).exp()
    return draw.result(shares / shares.sum(axis=-1, keepdims=True))
