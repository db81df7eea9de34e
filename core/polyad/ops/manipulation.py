"""Functions that change shape and order. Those that show the same elements are views on every backend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ..batching import along
from ..calls import aliasing
from ..dispatch import facade, function
from ..errors import IndexOutOfRangeError, OperandError, ShapeError
from ..function import FUNCTIONS, XP, Fails, Function, Sample
from ..kernels import Step
from ..keys import Slice
from ..layouts import Layout, viewable
from ..tensor import Tensor, not_a_tensor
from ..views import View, fits, raw
from .arguments import Axis, Shape, as_integer, as_shape, normalize_axes, normalize_axis

__all__ = [
    "adjoint",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_to",
    "expand",
    "expand_dims",
    "flatten",
    "flip",
    "fliplr",
    "flipud",
    "matrix_transpose",
    "moveaxis",
    "permute",
    "permute_dims",
    "reshape",
    "roll",
    "rot90",
    "squeeze",
    "t",
    "transpose",
    "unflatten",
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


def _reshaped_layout(x: Layout, *, shape: Shape) -> Layout:
    strides = viewable(x.shape, x.strides, shape)
    assert strides is not None  # the caller has asked: otherwise reshape copies
    return Layout(shape, strides, x.offset)


def _reshaped_examples(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    return made.call(arrays[0], (size, *params["shape"]))


@function(
    name="reshape",
    jvp="linear",
    batching=_reshaped_examples,
    check=lambda x, *, shape: {"shape": resolve("reshape", x, as_shape("reshape", shape))},
    standard=True,
    view=View(_to_base_shape, _reshaped_layout),
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
def _reshape(x: Tensor, /, shape: Shape) -> Tensor:
    """The same elements in another shape; see `reshape`."""


@facade(_reshape)
def reshape(x: Tensor, /, shape: Shape, *, copy: bool | None = None) -> Tensor:
    """The same elements in row-major order in another shape.

    A view where the elements are evenly spaced, otherwise a copy, by the same rule on every backend.

    Parameters
    ----------
    x : Tensor
        Of any shape and type.
    shape : int or tuple of int
        Of as many elements; one length may be -1.
    copy : bool, optional
        True to copy always; False to raise where a copy would be needed.

    Returns
    -------
    Tensor
        Of shape ``shape`` and ``x``'s type.

    Raises
    ------
    ShapeError
        If the number of elements differs, or ``copy`` is False and the elements are not evenly spaced in memory.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.reshape(ad.arange(4), (2, -1))
    tensor([[0, 1],
            [2, 3]])
    """
    if copy is None:
        return _reshape(x, shape)
    if not isinstance(x, Tensor):
        not_a_tensor("reshape", "x", x)
    return _reshape(FUNCTIONS["clone"].call(x), shape) if copy else _seen_as("reshape", x, shape)


def _seen_as(name: str, x: Tensor, shape: Any) -> Tensor:
    """A view of another shape, or an error where that takes a copy."""
    wanted = resolve(name, x.shape, as_shape(name, shape))
    if not fits(x, wanted):
        raise ShapeError(
            f"{name}: a tensor of shape {x.shape} with strides {x.stride()} cannot be seen as {wanted} "
            f"without copying; write x.reshape({wanted})"
        )
    return _reshape(x, wanted)


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
    return _seen_as("view", x, shape)


def reshape_method(x: Tensor, *lengths: Any, shape: Any = None, copy: bool | None = None) -> Tensor:
    """As `polyad.reshape`; lengths may be given as arguments: ``x.reshape(2, -1)``."""
    wanted = as_shape("reshape", lengths if shape is None else shape)
    return _reshape(x, wanted) if copy is None else reshape(x, wanted, copy=copy)


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


def unflatten(x: Tensor, dim: int, sizes: Any) -> Tensor:
    """Split a dimension into several, as in PyTorch. A view where that needs no copy.

    Parameters
    ----------
    x : Tensor
    dim : int
        Which dimension.
    sizes : tuple of int
        What it becomes; one length may be -1.

    Returns
    -------
    Tensor

    Raises
    ------
    ShapeError
        If the lengths do not multiply to that of ``dim``.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.unflatten(ad.zeros((2, 12)), 1, (3, -1)).shape
    (2, 3, 4)
    """
    if not isinstance(x, Tensor):
        not_a_tensor("unflatten", "x", x)
    shape, at = x.shape, normalize_axis("unflatten", dim, x.ndim)
    inner = resolve("unflatten", (shape[at],), as_shape("unflatten", sizes))
    return _reshape(x, (*shape[:at], *inner, *shape[at + 1 :]))


def _at_least(name: str, example: str, grown: Any, result: str) -> Any:
    """Make ``atleast_1d`` and its like; ``grown(shape)`` is the shape that one of fewer dimensions becomes."""
    ndim = int(name[-2])

    def call(*arrays: Tensor) -> Any:
        for x in arrays:
            if not isinstance(x, Tensor):
                not_a_tensor(name, "x", x)
        out = tuple(x if x.ndim >= ndim else _reshape(x, grown(x.shape)) for x in arrays)
        return out[0] if len(out) == 1 else out

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"""See tensors as ones of at least {ndim} dimension{"s" if ndim > 1 else ""}, as NumPy does.

    Parameters
    ----------
    *arrays : Tensor

    Returns
    -------
    Tensor or tuple of Tensor
        For each ``x`` itself, or a view of it with dimensions of length 1{result}.

    Raises
    ------
    OperandError
        If one is no tensor.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}({example}
    """
    return call


atleast_1d = _at_least("atleast_1d", "ad.tensor(2.0))\n    tensor([2.])", lambda s: (1,), "")
atleast_2d = _at_least("atleast_2d", "ad.zeros(3)).shape\n    (1, 3)", lambda s: (1,) * (2 - len(s)) + s, " in front")
atleast_3d = _at_least(
    "atleast_3d",
    "ad.zeros(3)).shape\n    (1, 3, 1)",
    lambda s: (1, *s, 1) if len(s) < 2 and s else (*s, 1) if s else (1, 1, 1),
    ": ``(n,)`` becomes ``(1, n, 1)``, and ``(m, n)`` becomes ``(m, n, 1)``",
)


def _expanded(shape: Shape, *, axis: Any) -> dict[str, Any]:
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    ndim = len(shape) + len(axes)
    return {"axis": normalize_axes("expand_dims", tuple(axes), ndim)}


def _with_new(x: Layout, *, axis: Shape) -> Layout:
    rest = iter(zip(x.shape, x.strides, strict=True))
    pairs = [(1, 1) if i in axis else next(rest) for i in range(len(x.shape) + len(axis))]
    return Layout(tuple(n for n, _ in pairs), tuple(s for _, s in pairs), x.offset)


@function(
    check=_expanded,
    jvp="linear",
    batching=along("axis"),
    standard=True,
    view=View(_to_base_shape, _with_new),
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


def _without(x: Layout, *, axis: Shape) -> Layout:
    return _dimensions(x, axes=[i for i in range(len(x.shape)) if i not in axis])


def _dimensions(x: Layout, *, axes: Sequence[int]) -> Layout:
    """The layout of these dimensions, in this order."""
    return Layout(tuple(x.shape[i] for i in axes), tuple(x.strides[i] for i in axes), x.offset)


@function(
    check=_squeezed,
    jvp="linear",
    batching=along("axis"),
    standard=True,
    view=View(_to_base_shape, _without),
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


def _permuted_examples(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    return made.call(arrays[0], (0, *(a + 1 for a in params["axes"])))


@function(
    check=_permuted,
    jvp="linear",
    batching=_permuted_examples,
    standard=True,
    view=View(lambda xp, base, new, *, axes: xp.permute_dims(new, inverse(axes)), _dimensions),
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


_turn = aliasing(permute_dims.function)


@lru_cache
def _exchanged(shape: Shape, a: int, b: int) -> Step:
    """The step that exchanges two dimensions."""
    axes = list(range(len(shape)))
    axes[a], axes[b] = axes[b], axes[a]
    return Step((permute_dims.function, {"axes": tuple(axes)}))


@lru_cache
def _reversed(shape: Shape) -> Step:
    """The step that reverses dimensions."""
    return Step((permute_dims.function, {"axes": tuple(reversed(range(len(shape))))}))


@lru_cache
def _matrices_turned(shape: Shape) -> Step:
    """The step that exchanges the last two dimensions."""
    ndim = len(shape)
    if ndim < 2:
        raise ShapeError(f"matrix_transpose: a stack of matrices has at least 2 dimensions; got shape {tuple(shape)}")
    return _exchanged(shape, ndim - 2, ndim - 1)


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
    shape = raw(x).shape
    a, b = normalize_axis("transpose", dim0, len(shape)), normalize_axis("transpose", dim1, len(shape))
    return _turn(x, _exchanged(shape, a, b))  # type: ignore[no-any-return]


def moveaxis(x: Tensor, source: int | Sequence[int], destination: int | Sequence[int], /) -> Tensor:
    """Move dimensions to other places; the others keep their order. A view.

    Parameters
    ----------
    x : Tensor
    source : int or tuple of int
        Which dimensions.
    destination : int or tuple of int
        Where each goes.

    Returns
    -------
    Tensor

    Raises
    ------
    IndexOutOfRangeError
        If there is no such dimension.
    ShapeError
        If ``source`` and ``destination`` differ in length, or name a dimension twice.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.moveaxis(ad.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    if not isinstance(x, Tensor):
        not_a_tensor("moveaxis", "x", x)
    origin, target = _places(x.ndim, source), _places(x.ndim, destination)
    if len(origin) != len(target):
        raise ShapeError(f"moveaxis: source {source} and destination {destination} must have the same length")
    rest = iter(i for i in range(x.ndim) if i not in origin)
    given = dict(zip(target, origin, strict=True))
    return permute_dims(x, tuple(given[i] if i in given else next(rest) for i in range(x.ndim)))


def _places(ndim: int, axis: Any) -> Shape:
    """Dimensions in the order given."""
    normalize_axes("moveaxis", axis if isinstance(axis, (tuple, list)) else (axis,), ndim)  # raises for one named twice
    return tuple(normalize_axis("moveaxis", a, ndim) for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))


def t(x: Tensor) -> Tensor:
    """Transpose a matrix, as in PyTorch; a vector or number stays as it is. A view.

    Raises
    ------
    ShapeError
        If there are more than 2 dimensions.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.zeros((2, 3)).t().shape
    (3, 2)
    """
    if not isinstance(x, Tensor):
        not_a_tensor("t", "x", x)
    if x.ndim > 2:
        raise ShapeError(f"t: expected at most 2 dimensions; got shape {x.shape}; write x.mT for stacks of matrices")
    return _turn(x, _reversed(raw(x).shape))  # type: ignore[no-any-return]


def adjoint(x: Tensor) -> Tensor:
    """Conjugate transpose of matrices: ``x.mH``. Of a real tensor a view.

    Raises
    ------
    ShapeError
        If there are fewer than 2 dimensions.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([[1 + 2j, 3.0]]).mH
    tensor([[1.-2.j],
            [3.-0.j]])
    """
    turned = matrix_transpose(x)
    return FUNCTIONS["conj"].call(turned) if x.dtype.is_complex else turned


def hermitian(x: Tensor) -> Tensor:
    """``x.H``: the conjugate transpose of a matrix. Of a real matrix a view.

    Raises
    ------
    ShapeError
        If there are not 2 dimensions.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.tensor([[1j, 2.0]]).H.shape
    (2, 1)
    """
    if x.ndim != 2:
        raise ShapeError(f"H: expected a matrix; got shape {x.shape}; write x.mH for stacks of matrices")
    return adjoint(x)


def reversed_dims(x: Tensor) -> Tensor:
    """``x.T``: dimensions in reverse order. A view.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.zeros((2, 3)).T.shape
    (3, 2)
    """
    return _turn(x, _reversed(raw(x).shape))  # type: ignore[no-any-return]


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
    if not isinstance(x, Tensor):
        not_a_tensor("matrix_transpose", "x", x)
    return _turn(x, _matrices_turned(raw(x).shape))  # type: ignore[no-any-return]


def _flipped(shape: Shape, *, axis: Any = None) -> dict[str, Any]:
    return {"axis": normalize_axes("flip", axis, len(shape))}


@function(
    check=_flipped,
    jvp="linear",
    batching=along("axis"),
    x=lambda g, xp, axis: xp.flip(g, axis=axis),
    samples=[
        Sample((3, 4)),
        Sample((3, 4), axis=0),
        Sample((2, 3, 4), axis=(0, -1)),
        Sample((2, 0), axis=1),
        Sample(()),
        Fails((2, 3), axis=2, error=IndexOutOfRangeError, match="flip: axis 2 is out of range for 2 dimensions"),
        Fails((2, 3), axis=(0, -2), error=ShapeError, match="names a dimension twice"),
    ],
)
def flip(xp: XP, x: Tensor, /, *, axis: Axis = None) -> Tensor:
    """Elements in reverse order along axes. A copy, as in PyTorch; ``x[::-1]`` is a view.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.flip(ad.tensor([[1, 2], [3, 4]]), axis=1)
    tensor([[2, 1],
            [4, 3]])
    """
    key = tuple(
        Slice(n - 1, n, -1) if n and (axis is None or i in axis) else Slice(0, n, 1)  # type: ignore[operator]
        for i, n in enumerate(x.shape)
    )
    return xp.getitem(x, key=key)  # type: ignore[no-any-return]


def flip_method(x: Tensor, *axes: Any, **params: Any) -> Tensor:
    """As `polyad.flip`; axes may be given as arguments: ``x.flip(0, 1)``."""
    return flip(x, *((axes if len(axes) > 1 else axes[0],) if axes else ()), **params)


def _flipping(name: str, axis: int, words: str, example: str) -> Any:
    def call(x: Tensor, /) -> Tensor:
        if not isinstance(x, Tensor):
            not_a_tensor(name, "x", x)
        if x.ndim <= axis:
            raise ShapeError(f"{name}: expected at least {axis + 1} dimension{'s' * axis}; got shape {x.shape}")
        return flip(x, axis=axis)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"""{words} in reverse order: `flip` along axis {axis}. A copy.

    Parameters
    ----------
    x : Tensor
        Of at least {axis + 1} dimension{"s" * axis}.

    Returns
    -------
    Tensor
        Of the shape and type of ``x``.

    Raises
    ------
    ShapeError
        If it has fewer.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([[1, 2], [3, 4]]))
    {example}
    """
    return call


flipud = _flipping("flipud", 0, "Rows", "tensor([[3, 4],\n            [1, 2]])")
fliplr = _flipping("fliplr", 1, "Columns", "tensor([[2, 1],\n            [4, 3]])")


def _rotated(shape: Shape, *, k: Any = 1, axes: Any = (0, 1)) -> dict[str, Any]:
    if not isinstance(axes, (tuple, list)) or len(axes) != 2:
        raise OperandError(f"rot90: axes are two dimensions, such as (0, 1); got {axes!r}")
    first, second = (normalize_axis("rot90", a, len(shape)) for a in axes)
    if first == second:
        raise ShapeError(f"rot90: axes {tuple(axes)} must be two different dimensions of shape {shape}")
    return {"k": as_integer("rot90", "k", k) % 4, "axes": (first, second)}


@function(
    check=_rotated,
    jvp="linear",
    batching=along("axes"),
    x=lambda g, xp, k, axes: xp.rot90(g, k=-k % 4, axes=axes),
    samples=[
        Sample((2, 3)),
        Sample((2, 3), k=2),
        Sample((2, 3, 2), k=3, axes=(2, 0)),
        Sample((2, 3), k=4),
        Fails((2, 3), axes=(0, -2), error=ShapeError, match=r"rot90: axes \(0, -2\) must be two different dimensions"),
        Fails((3,), error=IndexOutOfRangeError, match="rot90: axis 1 is out of range"),
    ],
)
def rot90(xp: XP, x: Tensor, /, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tensor:
    """Turn by ``k`` right angles in the plane of two axes, from the first towards the second. A copy.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.rot90(ad.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    first, second = axes
    if k == 0:
        return xp.clone(x)  # type: ignore[no-any-return]
    if k == 2:
        return xp.flip(x, axis=tuple(sorted(axes)))  # type: ignore[no-any-return]
    order = list(range(len(x.shape)))
    order[first], order[second] = second, first
    return xp.flip(xp.permute_dims(x, axes=tuple(order)), axis=(first if k == 1 else second,))  # type: ignore[no-any-return]


def _rolled(shape: Shape, *, shift: Any, axis: Any = None) -> dict[str, Any]:
    shifts = tuple(shift) if isinstance(shift, (tuple, list)) else (shift,)
    shifts = tuple(as_integer("roll", "shift", s) for s in shifts)
    if axis is None:
        if len(shifts) != 1:
            raise ShapeError(f"roll: shift {shifts} of several axes needs axis=, a tuple of as many")
        return {"shift": shifts[0] % (math.prod(shape) or 1), "axis": None}
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    axes = tuple(normalize_axis("roll", a, len(shape)) for a in axes)
    if len(shifts) == 1 and not isinstance(shift, (tuple, list)):
        shifts *= len(axes)
    if len(shifts) != len(axes):
        raise ShapeError(f"roll: shift {shifts} and axis {axes} must have the same length")
    # one shift for each axis, below its length: so that compilers see few of them
    together = {
        a: sum(s for s, b in zip(shifts, axes, strict=True) if a == b) % (shape[a] or 1) for a in sorted({*axes})
    }
    return {"shift": tuple(together.values()), "axis": tuple(together)}


def _rolled_back(g: Any, xp: Any, shift: Any, axis: Any) -> Any:
    return xp.roll(g, shift=-shift if axis is None else tuple(-s for s in shift), axis=axis)


def _rolled_examples(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    (x,), shift, axis = arrays, params["shift"], params["axis"]
    if axis is not None:
        return made.call(x, shift, axis=tuple(a + 1 for a in axis))
    rows = FUNCTIONS["reshape"].call(x, (size, math.prod(x.shape[1:])))
    return FUNCTIONS["reshape"].call(made.call(rows, shift, axis=1), x.shape)


@function(
    check=_rolled,
    jvp="linear",
    batching=_rolled_examples,
    standard=True,
    x=_rolled_back,
    samples=[
        Sample((3, 4), shift=1),
        Sample((3, 4), shift=-2, axis=1),
        Sample((3, 4), shift=(1, -6), axis=(0, -1)),
        Sample((3, 4), shift=2, axis=(1, 0)),
        Sample((3, 4), shift=(1, 1), axis=(1, 1)),
        Sample((3, 0), shift=1, axis=1),
        Sample((), shift=3),
        Fails((2, 3), shift=(1, 2), axis=0, error=ShapeError, match=r"roll: shift \(1, 2\) and axis \(0,\) must have"),
        Fails((2, 3), shift=(1, 2), error=ShapeError, match=r"roll: shift \(1, 2\) of several axes needs axis="),
        Fails((2, 3), shift=1.5, error=OperandError, match="roll: shift must be an integer; got 1.5"),
        Fails((2, 3), shift=1, axis=2, error=IndexOutOfRangeError, match="roll: axis 2 is out of range"),
    ],
)
def roll(x: Tensor, /, shift: int | Sequence[int], *, axis: Axis = None) -> Tensor:
    """Elements moved along axes by ``shift`` places; those that leave at one end come in at the other.

    Without ``axis`` the tensor is taken as a vector in row-major order, and keeps its shape.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.roll(ad.arange(5), 2)
    tensor([3, 4, 0, 1, 2])
    """


# Repetition -----------------------------------------------------------------------------------------------


def _broadcast_to(x: Shape, *, shape: Any) -> dict[str, Any]:
    wanted = as_shape("broadcast_to", shape)
    if len(wanted) < len(x) or any(n not in (1, m) for n, m in zip(reversed(x), reversed(wanted), strict=False)):
        raise ShapeError(f"broadcast_to: shape {x} does not broadcast to {wanted}")
    return {"shape": wanted}


def _broadcast_layout(x: Layout, *, shape: Shape) -> Layout:
    extra = len(shape) - len(x.shape)
    strides = tuple(0 if i < extra or x.shape[i - extra] != n else x.strides[i - extra] for i, n in enumerate(shape))
    return Layout(shape, strides, x.offset)


def _broadcast_examples(
    made: Function, size: int, arrays: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> Any:
    (x,), shape = arrays, params["shape"]
    if len(x.shape) <= len(shape):
        x = FUNCTIONS["reshape"].call(x, (size, *(1,) * (len(shape) + 1 - len(x.shape)), *x.shape[1:]))
    return made.call(x, (size, *shape))


@function(
    check=_broadcast_to,
    jvp="linear",
    batching=_broadcast_examples,
    standard=True,
    broadcasts=True,
    view=View(None, _broadcast_layout),
    x=lambda g: g,
    samples=[
        Sample((3, 1), shape=(2, 3, 4)),
        Sample((), shape=(2,)),
        Sample((2, 3), shape=(2, 3)),
        Fails((2, 3), shape=(3, 3), error=ShapeError, match=r"shape \(2, 3\) does not broadcast to \(3, 3\)"),
    ],
)
def broadcast_to(x: Tensor, /, shape: Shape) -> Tensor:
    """Elements repeated along dimensions of length 1 and new ones in front, without copying. A view.

    Where elements are repeated it cannot be written, but parts of it that repeat nothing can.

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
        A view; where elements are repeated it cannot be written.

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


# As methods alone ----------------------------------------------------------------------------------------


def _like(name: str, call: Any, words: str) -> Any:
    """Make a method that takes a shape from another tensor."""

    def method(x: Tensor, other: Tensor) -> Tensor:
        if not isinstance(other, Tensor):
            not_a_tensor(name, "other", other)
        return call(x, other.shape)  # type: ignore[no-any-return]

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"""{words} the shape of another tensor, as in PyTorch.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.zeros(1).{name}(ad.ones((1, 1))).shape
    (1, 1)
    """
    return method


METHODS = {
    "expand_as": _like("expand_as", expand, "Expand to"),
    "reshape_as": _like("reshape_as", reshape, "Reshape to"),
    "view_as": _like("view_as", view, "View in"),
}
"""What only methods do."""
