"""Discrete Fourier transforms: the functions of ``polyad.fft``.

A transform is linear, and its matrix symmetric: the derivative of one is the same transform of the gradient. Those of
real numbers keep half of a spectrum, in which all but the first frequency, and of an even length the last, count twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from ..batching import along
from ..dispatch import function
from ..dtypes import DTypeLike, as_dtype, float32
from ..errors import ArgumentError, DTypeError, IndexOutOfRangeError, ShapeError
from ..function import FUNCTIONS, XP, Fails, Sample
from ..keys import cut
from ..rules import is_complex
from ..tensor import Tensor
from .arguments import Shape, normalize_axes, normalize_axis
from .placement import DeviceLike

DUAL: Final = {"backward": "forward", "ortho": "ortho", "forward": "backward"}
"""The scaling by which a transform and its inverse exchange their places."""


def _scaling(name: str, norm: Any) -> str:
    if norm is None:
        return "backward"  # as NumPy and PyTorch take it
    if norm not in DUAL:
        raise ArgumentError(f"{name}: norm is 'backward', 'ortho' or 'forward'; got {norm!r}")
    return str(norm)


def _length(name: str, n: Any, default: int) -> int:
    if n is None:
        n = default
        if n < 1:
            raise ShapeError(
                f"{name}: there are no elements to transform; give n, the length to be filled up with zeros"
            )
    try:
        n = n.__index__()
    except (AttributeError, TypeError):
        raise ArgumentError(f"{name}: n is an integer; got {n!r}") from None
    if n < 1:
        raise ArgumentError(f"{name}: n is the length of what is transformed, 1 or more; got {n}")
    return int(n)


def _checked(name: str, halved: bool = False) -> Any:
    """Make the check of a transform along one axis; ``halved`` is one of half a spectrum."""

    def check(shape: Shape, *, n: Any = None, axis: Any = -1, norm: Any = "backward") -> dict[str, Any]:
        axis = normalize_axis(name, axis, len(shape))
        default = 2 * (shape[axis] - 1) if halved else shape[axis]
        return {"n": _length(name, n, default), "axis": axis, "norm": _scaling(name, norm)}

    return check


def fitted(xp: Any, x: Any, axis: int, n: int) -> Any:
    """Cut off, or fill up with zeros, to a length along an axis."""
    have = x.shape[axis]
    if have > n:
        return cut(x, axis, 0, n)
    if have < n:
        shape = tuple(n - have if i == axis else m for i, m in enumerate(x.shape))
        return xp.concat([x, xp.new_full(x, shape=shape, fill_value=0)], axis=axis)
    return x


def _samples(name: str, *shorter: int, **kwargs: Any) -> list[Sample]:
    return [
        Sample((5,), **kwargs),
        Sample((2, 4), **kwargs),
        Sample((4, 2), axis=0, norm="ortho", **kwargs),
        Sample((2, 5), n=3, norm="forward", **kwargs),
        Sample((3,), n=6, **kwargs),
        Fails((3,), n=0, error=ArgumentError, match=f"{name}: n is the length of what is transformed.* got 0"),
        Fails((3,), axis=1, error=IndexOutOfRangeError, match="axis 1 is out of range"),
        Fails(
            (3,), norm="unitary", error=ArgumentError, match="norm is 'backward', 'ortho' or 'forward'; got 'unitary'"
        ),
        Fails((2, 0), error=ShapeError, match=f"{name}: there are no elements to transform"),
    ]


def _complex_rule(name: str) -> Any:
    def rule(g: Any, xp: Any, x_shape: Shape, x_dtype: Any, n: int, axis: int, norm: str) -> Any:
        g = getattr(xp.fft, name)(g, n=n, axis=axis, norm=norm)
        return fitted(xp, g if is_complex(x_dtype) else xp.real(g), axis, x_shape[axis])

    return rule


def _complex(name: str, words: str, result: str) -> Any:
    def definition(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
        pass

    definition.__module__ = __name__
    definition.__doc__ = f"""{words}

    Parameters
    ----------
    x : Tensor
        Of any shape and a floating type; real numbers, and integers as float32, become complex ones.
    n : int, optional
        The length to transform: the axis is cut off, or filled up with zeros. By default its own.
    axis : int
        Which dimension.
    norm : {{"backward", "ortho", "forward"}}
        Which transform is divided by ``n``: the inverse one, both by its root, or the forward one.

    Returns
    -------
    Tensor
        Complex, of length ``n`` along the axis.

    Raises
    ------
    ArgumentError
        If ``n`` is less than 1, or there is no such ``norm``.
    IndexOutOfRangeError
        If there is no such dimension.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.fft.{name}(ad.tensor([1.0, 0.0, 0.0, 0.0]))
    {result}
    """
    return function(
        name=f"fft.{name}",
        takes="floating",
        gives="complex",
        wide=True,
        standard=True,
        check=_checked(f"fft.{name}"),
        batching=along("axis"),
        jvp="linear",
        x=_complex_rule(name),
        samples=_samples(f"fft.{name}"),
    )(definition)


fft = _complex(
    "fft",
    "Discrete Fourier transform along an axis: ``y[k] = sum(x[j] * exp(-2j * pi * j * k / n))``.",
    "tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])",
)
ifft = _complex(
    "ifft",
    "Inverse discrete Fourier transform along an axis: ``y[j] = sum(x[k] * exp(2j * pi * j * k / n)) / n``.",
    "tensor([0.2500+0.j, 0.2500+0.j, 0.2500+0.j, 0.2500+0.j])",
)


# Of real numbers ----------------------------------------------------------------------------------------------


def _twice(xp: Any, spectrum: Any, axis: int, n: int, factor: float) -> Any:
    """Half a spectrum with the frequencies that stand for two multiplied by ``factor``."""
    single = 1 + (n % 2 == 0 and n > 1)  # of an even length the highest frequency is one, too
    counts = [1, n // 2 + 1 - single, single - 1]
    parts = [
        xp.new_full(spectrum, shape=(count,), fill_value=f)
        for count, f in zip(counts, (1, factor, 1), strict=True)
        if count
    ]
    shape = tuple(-1 if i == axis else 1 for i in range(len(spectrum.shape)))
    return spectrum * xp.reshape(xp.concat(parts, axis=0), shape)


def _rfft_rule(g: Any, xp: Any, x_shape: Shape, n: int, axis: int, norm: str) -> Any:
    g = xp.fft.irfft(_twice(xp, xp.conj(g), axis, n, 0.5), n=n, axis=axis, norm=DUAL[norm])
    return fitted(xp, g, axis, x_shape[axis])


def _irfft_rule(g: Any, xp: Any, x_shape: Shape, x_dtype: Any, n: int, axis: int, norm: str) -> Any:
    g = _twice(xp, xp.conj(xp.fft.rfft(g, n=n, axis=axis, norm=DUAL[norm])), axis, n, 2.0)
    return fitted(xp, g if is_complex(x_dtype) else xp.real(g), axis, x_shape[axis])


@function(
    name="fft.rfft",
    takes="real floating",
    gives="complex",
    wide=True,
    standard=True,
    check=_checked("fft.rfft"),
    batching=along("axis"),
    jvp="linear",
    x=_rfft_rule,
    samples=[
        *_samples("fft.rfft"),
        Fails([1j], error=DTypeError, match="fft.rfft takes real floating arrays; got complex"),
    ],
)
def rfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Discrete Fourier transform of real numbers along an axis: the frequencies from 0 to half the length.

    The others are the complex conjugates of these. ``n`` and ``norm`` as for `fft`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.fft.rfft(ad.tensor([1.0, 0.0, 0.0, 0.0]))
    tensor([1.+0.j, 1.+0.j, 1.+0.j])
    """


@function(
    name="fft.irfft",
    takes="floating",
    gives="real",
    wide=True,
    standard=True,
    check=_checked("fft.irfft", halved=True),
    batching=along("axis"),
    jvp="linear",
    x=_irfft_rule,
    samples=[
        *_samples("fft.irfft")[:-1],
        Sample((2, 3), n=5),
        Fails((1,), error=ShapeError, match="give n, the length"),
    ],
)
def irfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Real numbers of which half a spectrum is given: the inverse of `rfft`.

    ``n`` is the length of the result, ``2 * (m - 1)`` by default; for an odd one it has to be given. The imaginary
    part of the first frequency, and for an even length of the last, is taken as 0. ``norm`` as for `fft`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.fft.irfft(ad.tensor([1.0, 1.0, 1.0]) + 0j)
    tensor([1., 0., 0., 0.])
    """


@function(
    name="fft.hfft",
    takes="floating",
    gives="real",
    wide=True,
    check=_checked("fft.hfft", halved=True),
    batching=along("axis"),
    jvp="linear",
    samples=[*_samples("fft.hfft")[:-1], Sample((2, 3), n=5)],
)
def hfft(xp: XP, x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Real spectrum of a signal with Hermitian symmetry, of which half is given. ``n`` and ``norm`` as for `irfft`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.fft.hfft(ad.tensor([1.0, 0.0, 0.0]) + 0j)
    tensor([1., 1., 1., 1.])
    """
    return xp.fft.irfft(xp.conj(x), n=n, axis=axis, norm=DUAL[norm])  # type: ignore[no-any-return]


@function(
    name="fft.ihfft",
    takes="real floating",
    gives="complex",
    wide=True,
    check=_checked("fft.ihfft"),
    batching=along("axis"),
    jvp="linear",
    samples=_samples("fft.ihfft"),
)
def ihfft(xp: XP, x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Half of the signal, with Hermitian symmetry, that has a real spectrum: the inverse of `hfft`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.fft.ihfft(ad.tensor([4.0, 0.0, 0.0, 0.0]))
    tensor([1.-0.j, 1.-0.j, 1.-0.j])
    """
    return xp.conj(xp.fft.rfft(x, n=n, axis=axis, norm=DUAL[norm]))  # type: ignore[no-any-return]


# Along several axes ---------------------------------------------------------------------------------------------


def _several(name: str, halved: bool = False, default: Any = None) -> Any:
    """Make the check of a transform along several axes."""

    def check(shape: Shape, *, s: Any = None, axes: Any = default, norm: Any = "backward") -> dict[str, Any]:
        if axes is None:
            axes = range(len(shape)) if s is None else range(len(shape) - len(s), len(shape))
        axes = tuple(normalize_axis(name, a, len(shape)) for a in axes)
        normalize_axes(name, axes, len(shape))  # refuses one that is named twice
        if s is not None and len(s) != len(axes):
            raise ShapeError(f"{name}: s gives a length for each axis; got {tuple(s)} for axes {axes}")
        lengths = [None] * len(axes) if s is None else list(s)
        own = [shape[a] for a in axes]
        if halved and own:
            own[-1] = 2 * (own[-1] - 1)
        s = tuple(_length(name, None if n == -1 else n, m) for n, m in zip(lengths, own, strict=True))
        return {"s": s, "axes": axes, "norm": _scaling(name, norm)}

    return check


def _several_samples(name: str, two: bool = False) -> list[Sample]:
    samples = [
        Sample((3, 4)),
        Sample((2, 3, 2), axes=(0, 2), norm="ortho"),
        Sample((2, 3, 4), s=(2, 5), axes=(1, 2), norm="forward"),
        Fails((2, 3), s=(2,), axes=(0, 1), error=ShapeError, match=f"{name}: s gives a length for each axis"),
        Fails((2, 3), axes=(0, 2), error=IndexOutOfRangeError, match="axis 2 is out of range"),
    ]
    return samples if two else [*samples, Sample((3,))]


def _along_axes(name: str, words: str, inverse: bool, half: str | None, default: Any, result: str) -> Any:
    """Make a transform along several axes, one after the other."""

    def definition(
        xp: XP,
        x: Tensor,
        /,
        *,
        s: Sequence[int] | None = None,
        axes: Sequence[int] | None = default,
        norm: str = "backward",
    ) -> Tensor:
        assert s is not None
        assert axes is not None
        order = list(zip(s, axes, strict=True))
        last = order.pop() if half else None
        if half == "rfft" and last is not None:
            x = xp.fft.rfft(x, n=last[0], axis=last[1], norm=norm)
        for n, axis in reversed(order):
            x = (xp.fft.ifft if inverse else xp.fft.fft)(x, n=n, axis=axis, norm=norm)
        if half == "irfft" and last is not None:
            x = xp.fft.irfft(x, n=last[0], axis=last[1], norm=norm)
        return x

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words}

    Parameters
    ----------
    x : Tensor
        Of any shape.
    s : sequence of int, optional
        The length of each axis: it is cut off, or filled up with zeros. By default its own; also for -1.
    axes : sequence of int, optional
        Which dimensions; by default {"the last two" if default else "all, or the last ones if ``s`` is given"}.
    norm : {{"backward", "ortho", "forward"}}
        As for `fft`.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If ``s`` and ``axes`` are of different lengths.
    ArgumentError
        If a length is less than 1, or there is no such ``norm``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.fft.{name}(ad.ones((2, 2)){" + 0j" if half == "irfft" else ""})
    {result}
    """
    return function(
        name=f"fft.{name}",
        takes="real floating" if half == "rfft" else "floating",
        gives="real" if half == "irfft" else "complex",
        wide=True,
        check=_several(f"fft.{name}", half == "irfft", default),
        batching=along("axes"),
        jvp="linear",
        samples=_several_samples(f"fft.{name}", default is not None),
    )(definition)


_FLAT: Final = """tensor([[4.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j]])"""
_MEAN: Final = """tensor([[1.+0.j, 0.+0.j],
            [0.+0.j, 0.+0.j]])"""
_REAL: Final = """tensor([[1., 0.],
            [0., 0.]])"""
_ALL: Final = {
    "fftn": ("Discrete Fourier transform along several axes.", False, None, None, _FLAT),
    "ifftn": ("Inverse discrete Fourier transform along several axes.", True, None, None, _MEAN),
    "rfftn": ("Discrete Fourier transform of real numbers; of the last axis half is kept.", False, "rfft", None, _FLAT),
    "irfftn": (
        "Real numbers whose transform along several axes is given: `rfftn`'s inverse.",
        True,
        "irfft",
        None,
        _REAL,
    ),
    "fft2": ("Discrete Fourier transform along two axes.", False, None, (-2, -1), _FLAT),
    "ifft2": ("Inverse discrete Fourier transform along two axes.", True, None, (-2, -1), _MEAN),
    "rfft2": ("Discrete Fourier transform of real numbers along two axes.", False, "rfft", (-2, -1), _FLAT),
    "irfft2": ("Real numbers whose transform along two axes is given.", True, "irfft", (-2, -1), _REAL),
}
fftn, ifftn, rfftn, irfftn, fft2, ifft2, rfft2, irfft2 = (_along_axes(name, *rest) for name, rest in _ALL.items())


# Frequencies ----------------------------------------------------------------------------------------------------


def _shifting(name: str) -> Any:
    def check(shape: Shape, *, axes: Any = None) -> dict[str, Any]:
        return {"axes": normalize_axes(name, axes, len(shape))}

    return check


def _shift(name: str, words: str, inverse: str, result: str) -> Any:
    def definition(xp: Any, x: Tensor, /, *, axes: Any = None) -> Tensor:
        halves = tuple(x.shape[i] // 2 for i in axes)
        shift = halves if name == "fftshift" else tuple(-n for n in halves)
        return xp.roll(x, shift=shift, axis=axes)  # type: ignore[no-any-return]

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words}

    Examples
    --------
    >>> import polyad as ad
    >>> ad.fft.{name}(ad.tensor([0.0, 1.0, 2.0]))
    {result}
    """
    return function(
        name=f"fft.{name}",
        standard=True,
        check=_shifting(f"fft.{name}"),
        batching=along("axes"),
        jvp="linear",
        x=lambda g, xp, axes: getattr(xp.fft, inverse)(g, axes=axes),
        samples=[
            Sample((5,)),
            Sample((4, 3)),
            Sample((2, 3), axes=1),
            Sample((2, 0), axes=(0, 1)),
            Fails((2,), axes=1, error=IndexOutOfRangeError, match="axis 1 is out of range"),
        ],
    )(definition)


fftshift = _shift(
    "fftshift", "Elements turned so that frequency 0 stands in the middle.", "ifftshift", "tensor([2., 0., 1.])"
)
ifftshift = _shift("ifftshift", "The inverse of `fftshift`.", "fftshift", "tensor([1., 2., 0.])")


def _frequencies(name: str, n: Any, d: float, dtype: DTypeLike | None) -> tuple[int, Any]:
    n = _length(name, n, 0)
    if not d or not math.isfinite(d):
        raise ArgumentError(f"{name}: d is the distance of samples, a finite number other than 0; got {d!r}")
    wanted = float32 if dtype is None else as_dtype(dtype)
    if not wanted.is_floating_point:
        raise DTypeError(f"{name}: frequencies are real numbers; got dtype {wanted.name}, expected polyad.float32")
    return n, wanted


def fftfreq(
    n: int, /, *, d: float = 1.0, dtype: DTypeLike | None = None, device: DeviceLike = None, backend: Any = None
) -> Tensor:
    """Frequencies of the elements that `fft` gives, in cycles per unit of ``d``.

    Parameters
    ----------
    n : int
        The length that is transformed.
    d : float
        The distance of samples.
    dtype : DType, optional
        float32 by default.
    device, backend
        As for `polyad.tensor`.

    Returns
    -------
    Tensor
        Of shape ``(n,)``: 0 and the positive ones first, then the negative ones.

    Raises
    ------
    ArgumentError
        If ``n`` is less than 1, or ``d`` is 0.
    DTypeError
        If ``dtype`` is not real floating.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.fft.fftfreq(4, d=0.5)
    tensor([ 0.0000,  0.5000, -1.0000, -0.5000])
    """
    n, wanted = _frequencies("fft.fftfreq", n, d, dtype)
    count = FUNCTIONS["arange"].call(n, dtype="int64", device=device, backend=backend)
    count = FUNCTIONS["where"].call(count < (n + 1) // 2, count, count - n)
    return FUNCTIONS["astype"].call(count, wanted) / (n * d)  # type: ignore[no-any-return]


def rfftfreq(
    n: int, /, *, d: float = 1.0, dtype: DTypeLike | None = None, device: DeviceLike = None, backend: Any = None
) -> Tensor:
    """Frequencies of the elements that `rfft` gives, in cycles per unit of ``d``.

    Parameters
    ----------
    n, d, dtype, device, backend
        As for `fftfreq`.

    Returns
    -------
    Tensor
        Of shape ``(n // 2 + 1,)``.

    Raises
    ------
    ArgumentError
        If ``n`` is less than 1, or ``d`` is 0.
    DTypeError
        If ``dtype`` is not real floating.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.fft.rfftfreq(4, d=0.5)
    tensor([0.0000, 0.5000, 1.0000])
    """
    n, wanted = _frequencies("fft.rfftfreq", n, d, dtype)
    return FUNCTIONS["arange"].call(n // 2 + 1, dtype=wanted, device=device, backend=backend) / (n * d)  # type: ignore[no-any-return]
