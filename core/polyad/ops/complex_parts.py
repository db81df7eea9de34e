"""Complex numbers and their parts: made of parts, and the parts as views of the same memory."""

from __future__ import annotations

from typing import Any

from ..calls import aliasing
from ..careful import careful
from ..dispatch import facade, function
from ..dtypes import CATEGORIES
from ..errors import DTypeError, ShapeError
from ..function import XP, Fails, Sample
from ..kernels import Step
from ..keys import Slice
from ..layouts import Layout
from ..rules import is_complex
from ..tensor import Tensor
from ..views import View, layout_of
from .arguments import Shape
from .elementwise import Operand, one, two
from .matrices import is_double
from .transfer import write

__all__ = [
    "angle",
    "conj",
    "imag",
    "isreal",
    "polar",
    "real",
    "view_as_complex",
    "view_as_real",
]


@function(elementwise=True, jvp="linear", takes="any", standard=True, x=lambda g, xp: xp.conj(g), samples=one())
def conj(x: Tensor, /) -> Tensor:
    """Complex conjugate; real numbers as they are.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.conj(ad.tensor([1 + 2j]))
    tensor([1.-2.j])
    """


# Made of parts ----------------------------------------------------------------------------------------------


@function(
    name="complex",
    elementwise=True,
    jvp="linear",
    takes="real floating",
    gives="complex",
    real=lambda g, xp, real_dtype: xp.astype(xp.real(g), real_dtype),
    imag=lambda g, xp, imag_dtype: xp.astype(-xp.imag(g), imag_dtype),
    samples=[
        *two(),
        Sample([0.0, -0.0, 1.0], [-0.0, 0.0, -1.0], name="zeros of both signs"),
        Sample(
            [1.0, float("inf"), -float("inf"), float("nan")],
            [float("inf"), -float("inf"), float("nan"), 0.0],
            name="infinite and NaN parts",
            grad=False,
        ),
        Fails((2,), [1j, 1j], error=DTypeError, match="complex takes real floating arrays; got complex64"),
    ],
)
def complex_(xp: XP, real: Operand, imag: Operand, /) -> Tensor:
    """Complex numbers of a real and an imaginary part, each part exactly as it is.

    ``real + 1j * imag`` is not that: it gives NaN where the imaginary part is infinite, and loses signs of zeros.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.complex(ad.tensor([1.0, 0.0]), ad.tensor([2.0, -1.0]))
    tensor([1.+2.j, 0.-1.j])
    """
    # Of what the standard has: -0 is what changes no number that it is added to, so each part is made beside a -0.
    wide = xp.complex128 if is_double(real.dtype) else xp.complex64  # type: ignore[union-attr]  # an array here
    finite = xp.isfinite(imag)
    across = -xp.conj(xp.conj(xp.astype(xp.where(finite, imag, 1), wide)) * 1j)  # -0, and what is finite
    for value in (float("inf"), -float("inf")):
        across = xp.where(imag == value, complex(-0.0, value), across)
    across = xp.where(imag != imag, complex(-0.0, float("nan")), across)
    return xp.conj(xp.astype(real, wide)) + across  # type: ignore[no-any-return]


def _polar_abs_rule(g: Any, xp: Any, angle: Any, abs_dtype: Any) -> Any:
    real, imag = xp.real(g), xp.imag(g)
    unit = xp.polar(xp.ones_like(real), angle)
    return xp.astype(real * xp.real(unit) - imag * xp.imag(unit), abs_dtype)


def _polar_angle_rule(g: Any, xp: Any, out: Any, angle_dtype: Any) -> Any:
    return xp.astype(-(xp.real(g) * xp.imag(out) + xp.imag(g) * xp.real(out)), angle_dtype)


@function(
    elementwise=True,
    jvp="body",
    takes="real floating",
    gives="complex",
    abs=_polar_abs_rule,
    angle=_polar_angle_rule,
    samples=[
        *two(0.5, 2.0),
        Fails((2,), [1j, 1j], error=DTypeError, match="polar takes real floating arrays; got complex64"),
    ],
)
def polar(xp: XP, abs: Operand, angle: Operand, /) -> Tensor:
    """Complex numbers of an absolute value and an angle in radians, from the positive real axis.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.polar(ad.tensor([1.0, 2.0]), ad.tensor([0.0, ad.pi]))
    tensor([ 1.+0.0000e+00j, -2.-1.7485e-07j])
    """
    return xp.complex(abs * xp.cos(angle), abs * xp.sin(angle))  # type: ignore[no-any-return]


# Parts as views ---------------------------------------------------------------------------------------------
#
# Layouts count elements, and a complex number is two real ones: strides and offsets double on the way to the parts.


def _parts_layout(x: Layout, first: int = 0) -> Layout:
    """The layout of one of the parts of complex numbers."""
    return Layout(x.shape, tuple(2 * s for s in x.strides), 2 * x.offset + first)


def _pairs_layout(x: Layout) -> Layout:
    parts = _parts_layout(x)
    return Layout((*x.shape, 2), (*parts.strides, 1), parts.offset)


def _joined_layout(x: Layout) -> Layout:
    return Layout(x.shape[:-1], tuple(s // 2 for s in x.strides[:-1]), x.offset // 2)


@function(
    name="real",
    elementwise=True,
    jvp="linear",
    takes="numeric",
    gives="real",
    standard=True,
    view=View(lambda xp, base, new: xp.complex(new, xp.imag(base)), _parts_layout),
    x=lambda g, xp, x_dtype: xp.astype(g, x_dtype),
    samples=one(),
)
def _real(x: Tensor, /) -> Tensor:
    """Real part: what `real` gives of a complex tensor."""


def _imag_rule(g: Any, xp: Any, x_dtype: Any) -> Any:
    return xp.complex(xp.zeros_like(g), -g) if is_complex(x_dtype) else xp.zeros_like(g)


@function(
    name="imag",
    elementwise=True,
    jvp="linear",
    takes="numeric",
    gives="real",
    standard=True,
    view=View(lambda xp, base, new: xp.complex(xp.real(base), new), lambda x: _parts_layout(x, first=1)),
    x=_imag_rule,
    samples=one(),
)
def _imag(x: Tensor, /) -> Tensor:
    """Imaginary part: what `imag` gives of a complex tensor, and zeros of a real one."""


_real_view, _imag_view = aliasing(_real.function), aliasing(_imag.function)
_TO_REAL, _TO_IMAG = Step((_real.function, {})), Step((_imag.function, {}))


def _is_complex(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype.is_complex


@facade(_real)
def real(x: Tensor, /) -> Tensor:
    """Real part: a view of a complex tensor's memory; any other tensor itself.

    Parameters
    ----------
    x : Tensor
        Of any shape, and any type but bool.

    Returns
    -------
    Tensor
        Of ``x``'s shape and the real type of its precision. A write to it goes to ``x``.

    Raises
    ------
    DTypeError
        For bools.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor([1 + 2j])
    >>> ad.real(x).add_(5)
    tensor([6.])
    >>> x
    tensor([6.+2.j])
    """
    if _is_complex(x):
        return _real_view(x, _TO_REAL)  # type: ignore[no-any-return]
    if isinstance(x, Tensor) and x.dtype in CATEGORIES["numeric"]:
        return x
    return careful(_real.function, (x,), {})  # type: ignore[no-any-return]  # which says what is wrong


@facade(_imag)
def imag(x: Tensor, /) -> Tensor:
    """Imaginary part: a view of a complex tensor's memory; of any other tensor zeros, in memory of their own.

    Parameters
    ----------
    x : Tensor
        Of any shape, and any type but bool.

    Returns
    -------
    Tensor
        Of ``x``'s shape and the real type of its precision. If ``x`` is complex, a write to it goes to ``x``.

    Raises
    ------
    DTypeError
        For bools.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor([1 + 2j])
    >>> ad.imag(x).zero_()
    tensor([0.])
    >>> x
    tensor([1.+0.j])
    """
    if _is_complex(x):
        return _imag_view(x, _TO_IMAG)  # type: ignore[no-any-return]
    return careful(_imag.function, (x,), {})  # type: ignore[no-any-return]


def set_real(x: Tensor, value: Any) -> None:
    """Write the real part: ``x.real = value``."""
    write(real(x), value, "x.real = y")


def set_imag(x: Tensor, value: Any) -> None:
    """Write the imaginary part: ``x.imag = value``.

    Raises
    ------
    DTypeError
        If the tensor is not complex, so that it has no such part.
    """
    if not _is_complex(x):
        raise DTypeError(
            f"x.imag = y: a tensor of {x.dtype.name} has no imaginary part to write; write complex(x, y) for a new "
            f"tensor that has one"
        )
    write(imag(x), value, "x.imag = y")


def _of_pairs(xp: Any, x: Any) -> tuple[Any, Any]:
    """Real and imaginary parts of pairs, which may stand anywhere in memory, as gradients do."""
    every = tuple(Slice(0, n, 1) for n in x.shape[:-1])
    return xp.slice_view(x, key=(*every, 0)), xp.slice_view(x, key=(*every, 1))


def _pairs_rule(g: Any, xp: Any) -> Any:
    real, imag = _of_pairs(xp, g)
    return xp.complex(real, -imag)


@function(
    takes="complex",
    gives="real",
    jvp="linear",
    batching=lambda made, size, arrays, batched, params: made.call(*arrays),
    view=View(lambda xp, base, new: xp.complex(*_of_pairs(xp, new)), _pairs_layout),
    x=_pairs_rule,
    samples=[
        Sample([[1 + 2j, -0.5j, 3 + 0j], [-1 + 1j, 0.25 - 2j, 1j]]),
        Sample([1 + 2j]),
        Fails((2,), error=DTypeError, match="view_as_real takes complex arrays; got float32"),
    ],
)
def view_as_real(xp: XP, x: Tensor, /) -> Tensor:
    """Complex numbers as pairs of real ones, along a new last dimension of length 2. A view.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.view_as_real(ad.tensor([1 + 2j, 3j]))
    tensor([[1., 2.],
            [0., 3.]])
    """
    return xp.stack((xp.real(x), xp.imag(x)), axis=-1)  # type: ignore[no-any-return]


def _pairs(shape: Shape) -> dict[str, Any]:
    if not shape or shape[-1] != 2:
        raise ShapeError(
            f"view_as_complex: the last dimension must have length 2, for real and imaginary parts; got shape {shape}"
        )
    return {}


@function(
    name="view_as_complex",
    check=_pairs,
    takes="float32 or float64",
    gives="complex",
    jvp="linear",
    batching=lambda made, size, arrays, batched, params: made.call(*arrays),
    view=View(lambda xp, base, new: xp.view_as_real(new), _joined_layout),
    x=lambda g, xp: xp.view_as_real(xp.conj(g)),
    samples=[
        Sample((3, 2)),
        Sample((2,)),
        Sample((2, 0, 2)),
        Fails((2, 3), error=ShapeError, match=r"view_as_complex: the last .* length 2.*; got shape \(2, 3\)"),
        Fails((), error=ShapeError, match=r"the last dimension must have length 2.*; got shape \(\)"),
        Fails([[1, 2]], error=DTypeError, match="view_as_complex takes float32 or float64 arrays; got int64"),
    ],
)
def _view_as_complex(xp: XP, x: Tensor, /) -> Tensor:
    """Pairs of real numbers as complex ones, where the pairs stand beside each other."""
    return xp.complex(*_of_pairs(xp, x))  # type: ignore[no-any-return]


@facade(_view_as_complex)
def view_as_complex(x: Tensor, /) -> Tensor:
    """Pairs of real numbers along the last dimension as complex numbers. A view.

    Parameters
    ----------
    x : Tensor
        Of shape ``(..., 2)``, and float32 or float64.

    Returns
    -------
    Tensor
        Of shape ``x.shape[:-1]`` and the complex type of ``x``'s precision.

    Raises
    ------
    DTypeError
        For any other type.
    ShapeError
        If the last dimension has another length than 2, or the parts of a number are not beside each other in memory,
        as after a transpose.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.view_as_complex(ad.tensor([[1.0, 2.0], [0.0, 3.0]]))
    tensor([1.+2.j, 0.+3.j])
    """
    if isinstance(x, Tensor) and x._storage is not None and x.shape[-1:] == (2,) and x.numel():
        shape, strides, offset = layout_of(x)
        if strides[-1] != 1 or offset % 2 or any(n > 1 and s % 2 for n, s in zip(shape[:-1], strides, strict=False)):
            raise ShapeError(
                f"view_as_complex: real and imaginary parts must be pairs in memory, so the last stride must be 1, the "
                f"others and the offset even; got strides {strides} and offset {offset}. Write "
                f"view_as_complex(x.contiguous())"
            )
    return _view_as_complex(x)


# What is computed from parts --------------------------------------------------------------------------------


def _angle_rule(g: Any, xp: Any, x: Any) -> Any:
    if not is_complex(x.dtype):
        return xp.zeros_like(g)
    # the imaginary part of dx / x
    return xp.where(x == 0, 0, g * -1j / xp.where(x == 0, 1, x))


@function(elementwise=True, jvp="transposed", takes="floating", gives="real", x=_angle_rule, samples=one(0.5, 2.0))
def angle(xp: XP, x: Tensor, /) -> Tensor:
    """Angle of a complex number in radians, from the positive real axis; its derivative at 0 is taken as 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.angle(ad.tensor([1j, -1 + 0j]))
    tensor([1.5708, 3.1416])
    """
    return xp.atan2(xp.imag(x), xp.real(x))  # type: ignore[no-any-return]


@function(elementwise=True, takes="any", gives="bool", standard=True, differentiable=False, samples=one())
def isreal(xp: XP, x: Tensor, /) -> Tensor:
    """Whether the imaginary part is 0, as that of a real number is.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.isreal(ad.tensor([1 + 0j, 1j]))
    tensor([ True, False])
    """
    if is_complex(x.dtype):
        return xp.imag(x) == 0  # type: ignore[no-any-return]
    return (x == x) | (x != x)  # every one, NaN too
