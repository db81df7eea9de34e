"""Functions that change shape and order. Those that show the same elements are views on every backend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import views
from ..dispatch import function
from ..errors import ShapeError
from ..function import Fails, Sample
from ..tensor import Tensor, not_a_tensor
from ..views import View, viewable
from .arguments import Axis, Shape, as_shape, normalize_axes, normalize_axis

__all__ = [
    "broadcast_to",
    "expand",
    "expand_dims",
    "flatten",
    "matrix_transpose",
    "permute",
    "permute_dims",
    "reshape",
    "squeeze",
    "transpose",
    "view",
]


def resolve(name: str, shape: Shape, wanted: Shape) -> Shape:
    """Fill in the one length written -1, and check that the number of elements stays the same."""
    size = math.prod(shape)
    unknown = [i for i, n in enumerate(wanted) if n < 0]
    if unknown:
        known = math.prod(n for n in wanted if n >= 0)
        if len(unknown) == 1 and wanted[unknown[0]] == -1 and known and size % known == 0:
            return tuple(size // known if n < 0 else n for n in wanted)
    elif math.prod(wanted) == size:
        return wanted
    raise ShapeError(
        f"{name}: shape {shape}, of {size} elements, does not fit into {wanted}"
        + ("" if len(unknown) <= 1 else "; at most one length may be -1")
    )


# Reshaping ------------------------------------------------------------------------------------------------


def _to_base_shape(xp: Any, base: Any, new: Any, **params: Any) -> Any:
    return xp.reshape(new, base.shape)


def _reshaped_strides(old: Shape, strides: Sequence[int], *, shape: Shape) -> tuple[int, ...]:
    found = viewable(old, strides, shape)
    assert found is not None  # the caller has asked: otherwise reshape copies
    return found


@function(
    check=lambda x, *, shape: {"shape": resolve("reshape", x, as_shape("reshape", shape))},
    standard=True,
    view=View(_to_base_shape, _reshaped_strides),
    x=lambda g, xp, x_shape: xp.reshape(g, x_shape),
    samples=[
        Sample((2, 6), shape=(3, 4)),
        Sample((2, 6), shape=(4, -1)),
        Sample((), shape=(1, 1)),
        Sample((0, 3), shape=(3, 0)),
        Fails((2, 3), shape=(4, 2), error=ShapeError, match=r"reshape: shape \(2, 3\), of 6 elements.*\(4, 2\)"),
        Fails((2, 3), shape=(-1, -1), error=ShapeError, match="at most one length may be -1"),
    ],
)
def reshape(x: Tensor, /, shape: Shape) -> Tensor:
    """The same elements in row-major order in another shape; one length may be -1.

    A view where the elements are evenly spaced, otherwise a copy, by the same rule on every backend.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.reshape(ad.arange(4), (2, -1))
    tensor([[0, 1],
            [2, 3]])
    """


def view(x: Tensor, *shape: Any) -> Tensor:
    """Show the same elements in another shape, never copying: PyTorch's ``x.view(2, -1)``.

    Parameters
    ----------
    x : Tensor
    *shape : int, or one tuple of int
        One length may be -1.

    Returns
    -------
    Tensor
        Of the same type, an alias of ``x``.

    Raises
    ------
    ShapeError
        If the number of elements differs, or the elements are not evenly spaced in memory.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.zeros(4)
    >>> x.view(2, 2).add_(1).shape, x.tolist()
    ((2, 2), [1.0, 1.0, 1.0, 1.0])
    """
    if not isinstance(x, Tensor):
        not_a_tensor("view", "x", x)
    wanted = resolve("view", x.shape, as_shape("view", shape))
    if x._storage is not None and viewable(x.shape, views.strides_of(x), wanted) is None:
        raise ShapeError(
            f"view: a tensor of shape {x.shape} with strides {views.strides_of(x)} cannot be seen as {wanted} without "
            f"copying; write x.reshape({wanted})"
        )
    return reshape(x, wanted)


def reshape_method(x: Tensor, *shape: Any) -> Tensor:
    """As `polyad.reshape`; lengths may be given as arguments: ``x.reshape(2, -1)``."""
    return reshape(x, as_shape("reshape", shape))


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Join dimensions ``start_dim`` to ``end_dim`` into one, as in PyTorch.

    Parameters
    ----------
    x : Tensor
    start_dim, end_dim : int
        The first and last of the dimensions joined; all by default.

    Returns
    -------
    Tensor
        Of the same type; a view where that needs no copy.

    Raises
    ------
    IndexOutOfRangeError
        If there is no such dimension.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.flatten(ad.ones((2, 3, 4)), 1).shape
    (2, 12)
    """
    shape = x.shape
    if not shape:
        return reshape(x, (1,))
    first, last = normalize_axis("flatten", start_dim, x.ndim), normalize_axis("flatten", end_dim, x.ndim)
    if first > last:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    joined = math.prod(shape[first : last + 1])
    return reshape(x, (*shape[:first], joined, *shape[last + 1 :]))


def _expanded(shape: Shape, *, axis: Any) -> dict[str, Any]:
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    ndim = len(shape) + len(axes)
    return {"axis": normalize_axes("expand_dims", tuple(axes), ndim)}


def _expand_strides(shape: Shape, strides: Shape, *, axis: Shape) -> Shape:
    rest = iter(strides)
    return tuple(1 if i in axis else next(rest) for i in range(len(shape) + len(axis)))


@function(
    check=_expanded,
    standard=True,
    view=View(_to_base_shape, _expand_strides),
    x=lambda g, xp, x_shape: xp.reshape(g, x_shape),
    samples=[
        Sample((2, 3), axis=1),
        Sample((2, 3), axis=-1),
        Sample((2, 3), axis=(0, 2)),
        Sample((), axis=0),
        Fails((2, 3), axis=4, error=IndexError, match="expand_dims: axis 4 is out of range for 3 dimensions"),
    ],
)
def expand_dims(x: Tensor, /, axis: Axis) -> Tensor:
    """Insert dimensions of length 1 at the positions ``axis`` of the result; PyTorch's ``unsqueeze``. A view.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.expand_dims(ad.zeros(3), axis=0).shape
    (1, 3)
    """


def _squeezed(shape: Shape, *, axis: Any = None) -> dict[str, Any]:
    if axis is None:  # as in PyTorch and NumPy; the standard wants an axis
        return {"axis": tuple(i for i, n in enumerate(shape) if n == 1)}
    axes = normalize_axes("squeeze", axis, len(shape))
    for i in axes:
        if shape[i] != 1:
            raise ShapeError(f"squeeze: dimension {i} of shape {shape} has length {shape[i]}; only length 1 can go")
    return {"axis": axes}


@function(
    check=_squeezed,
    standard=True,
    view=View(_to_base_shape, lambda shape, strides, *, axis: tuple(s for i, s in enumerate(strides) if i not in axis)),
    x=lambda g, xp, x_shape: xp.reshape(g, x_shape),
    samples=[
        Sample((2, 1, 3), axis=1),
        Sample((1, 2, 1), axis=(0, -1)),
        Sample((1, 2, 1)),
        Fails((2, 3), axis=0, error=ShapeError, match=r"squeeze: dimension 0 of shape \(2, 3\) has length 2"),
    ],
)
def squeeze(x: Tensor, /, axis: Axis = None) -> Tensor:
    """Remove dimensions of length 1: those of ``axis``, or all. A view.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.squeeze(ad.zeros((1, 3, 1)), axis=0).shape
    (3, 1)
    """


# Order ----------------------------------------------------------------------------------------------------


def _permuted(shape: Shape, *, axes: Any) -> dict[str, Any]:
    if isinstance(axes, (tuple, list)) and len(axes) == 1 and isinstance(axes[0], (tuple, list)):
        axes = axes[0]
    found = tuple(normalize_axis("permute_dims", a, len(shape)) for a in axes)
    if sorted(found) != list(range(len(shape))):
        raise ShapeError(
            f"permute_dims: axes {tuple(axes)} must name each of the {len(shape)} dimensions of shape {shape} once"
        )
    return {"axes": found}


def inverse(axes: Shape) -> Shape:
    """The permutation that undoes one."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


@function(
    check=_permuted,
    standard=True,
    view=View(
        lambda xp, base, new, *, axes: xp.permute_dims(new, inverse(axes)),
        lambda shape, strides, *, axes: tuple(strides[i] for i in axes),
    ),
    x=lambda g, xp, axes: xp.permute_dims(g, inverse(axes)),
    samples=[
        Sample((2, 3, 4), axes=(2, 0, 1)),
        Sample((2, 3), axes=(-1, 0)),
        Sample((), axes=()),
        Fails((2, 3), axes=(0, 0), error=ShapeError, match="must name each of the 2 dimensions"),
    ],
)
def permute_dims(x: Tensor, /, axes: Sequence[int]) -> Tensor:
    """Dimensions in another order: dimension ``i`` of the result is ``axes[i]`` of ``x``. A view.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.permute_dims(ad.zeros((2, 3, 4)), (2, 0, 1)).shape
    (4, 2, 3)
    """


def permute(x: Tensor, *dims: Any) -> Tensor:
    """PyTorch's name for `permute_dims`; axes may be given as arguments: ``x.permute(2, 0, 1)``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.zeros((2, 3, 4)).permute(2, 0, 1).shape
    (4, 2, 3)
    """
    return permute_dims(x, dims)


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """Exchange two dimensions, as in PyTorch. A view.

    Parameters
    ----------
    x : Tensor
    dim0, dim1 : int

    Returns
    -------
    Tensor

    Raises
    ------
    IndexOutOfRangeError
        If there is no such dimension.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.transpose(ad.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    if not isinstance(x, Tensor):
        not_a_tensor("transpose", "x", x)
    a, b = normalize_axis("transpose", dim0, x.ndim), normalize_axis("transpose", dim1, x.ndim)
    axes = list(range(x.ndim))
    axes[a], axes[b] = axes[b], axes[a]
    return permute_dims(x, tuple(axes))


def reversed_dims(x: Tensor) -> Tensor:
    """``x.T``: dimensions in reverse order. A view.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.zeros((2, 3)).T.shape
    (3, 2)
    """
    return permute_dims(x, tuple(reversed(range(x.ndim))))


def matrix_transpose(x: Tensor, /) -> Tensor:
    """Exchange the last two dimensions: ``x.mT``. A view.

    Parameters
    ----------
    x : Tensor
        Of at least 2 dimensions.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If it has fewer.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.zeros((5, 2, 3)).mT.shape
    (5, 3, 2)
    """
    if x.ndim < 2:
        raise ShapeError(f"matrix_transpose: a stack of matrices has at least 2 dimensions; got shape {x.shape}")
    return transpose(x, -2, -1)


# Repetition -----------------------------------------------------------------------------------------------


def _broadcast_to(x: Shape, *, shape: Any) -> dict[str, Any]:
    wanted = as_shape("broadcast_to", shape)
    if len(wanted) < len(x) or any(n not in (1, m) for n, m in zip(reversed(x), reversed(wanted), strict=False)):
        raise ShapeError(f"broadcast_to: shape {x} does not broadcast to {wanted}")
    return {"shape": wanted}


def _broadcast_strides(x: Shape, strides: Shape, /, *, shape: Shape) -> Shape:
    extra = len(shape) - len(x)
    return tuple(0 if i < extra or x[i - extra] != n else strides[i - extra] for i, n in enumerate(shape))


@function(
    check=_broadcast_to,
    standard=True,
    broadcasts=True,
    view=View(None, _broadcast_strides),
    x=lambda g: g,
    samples=[
        Sample((3, 1), shape=(2, 3, 4)),
        Sample((), shape=(2,)),
        Sample((2, 3), shape=(2, 3)),
        Fails((2, 3), shape=(3, 3), error=ShapeError, match=r"shape \(2, 3\) does not broadcast to \(3, 3\)"),
    ],
)
def broadcast_to(x: Tensor, /, shape: Shape) -> Tensor:
    """Elements repeated along dimensions of length 1 and new ones in front, without copying. A view, not written.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.broadcast_to(ad.tensor([1.0, 2.0]), (2, 2))
    tensor([[1., 2.],
            [1., 2.]])
    """


def expand(x: Tensor, *sizes: Any) -> Tensor:
    """PyTorch's `broadcast_to`: ``x.expand(3, -1)``, where -1 keeps a length.

    Parameters
    ----------
    x : Tensor
    *sizes : int, or one tuple of int

    Returns
    -------
    Tensor
        A view that cannot be written.

    Raises
    ------
    ShapeError
        If the shape does not broadcast.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([[1.0], [2.0]]).expand(-1, 3).shape
    (2, 3)
    """
    wanted = as_shape("expand", sizes)
    extra = len(wanted) - x.ndim
    if extra < 0 or -1 in wanted[:extra]:
        raise ShapeError(f"expand: {wanted} needs a length for each dimension of shape {x.shape}, -1 to keep it")
    return broadcast_to(x, tuple(x.shape[i - extra] if n == -1 else n for i, n in enumerate(wanted)))
