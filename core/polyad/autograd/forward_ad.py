"""Forward mode beside the program: tensors that carry a tangent, as in ``torch.autograd.forward_ad``.

`polyad.func.jvp` does the same for a function. Here the program marks where a direction enters, and reads off how
results change along it.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, ClassVar, Final, NamedTuple

from ..backend import Device
from ..errors import DeviceError, DTypeError, OperandError, ShapeError, TransformError
from ..grad_mode import recording
from ..graph import Node, new, next_sequence
from ..levels import active, below, check_current, enter, leave, lifted
from ..tensor import Tensor, not_a_tensor, wrap
from ..transforms.dual import DualLevel, parts
from ..views import node_of
from .joint import joint_record

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """Value and tangent of a tensor, as `unpack_dual` gives them."""

    primal: Tensor
    tangent: Tensor | None


class Level(DualLevel):
    """One `dual_level` in progress."""

    outside: ClassVar[str] = (
        "after its dual_level has ended; write unpack_dual(tensor) inside the block, and use its primal and tangent"
    )


def enter_dual_level() -> Level:
    """Begin a level of forward mode, inside those in progress.

    Returns
    -------
    Level
        What `make_dual`, `unpack_dual` and `exit_dual_level` take as ``level``.

    Examples
    --------
    >>> import polyad as ad
    >>> import polyad.autograd.forward_ad as fwAD
    >>> level = fwAD.enter_dual_level()
    >>> fwAD.make_dual(ad.tensor(2.0), ad.tensor(1.0)) ** 2
    tensor(4., tangent=tensor(4.))
    >>> fwAD.exit_dual_level()
    """
    level = Level()
    enter(level)
    return level


def exit_dual_level(*, level: Level | None = None) -> None:
    """End the innermost level of forward mode: its tensors can be used no more.

    Parameters
    ----------
    level : Level, optional
        The one that is meant, to be sure of it.

    Raises
    ------
    TransformError
        If there is none, or something else that began later is still in progress.
    """
    leave(_level("exit_dual_level", level))


class dual_level:  # noqa: N801 - the name is PyTorch's
    """A block in which tensors may carry tangents.

    In PyTorch there can be one at a time. Here they nest, for tangents of tangents: `make_dual` and `unpack_dual` mean
    the innermost, unless told otherwise. When the block ends, tensors that were made in it can be used no more;
    unpack them inside.

    Examples
    --------
    >>> import polyad as ad
    >>> import polyad.autograd.forward_ad as fwAD
    >>> x, direction = ad.tensor([1.0, 2.0]), ad.tensor([1.0, 0.0])
    >>> with fwAD.dual_level():
    ...     y = fwAD.make_dual(x, direction) ** 3
    ...     value, tangent = fwAD.unpack_dual(y)
    >>> value, tangent
    (tensor([1., 8.]), tensor([3., 0.]))
    """

    __slots__ = ("_levels",)

    def __init__(self) -> None:
        self._levels: list[Level] = []

    def __enter__(self) -> Level:
        self._levels.append(enter_dual_level())
        return self._levels[-1]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        leave(self._levels.pop())


def make_dual(tensor: Tensor, tangent: Tensor, *, level: Level | None = None) -> Tensor:
    """Give a tensor with a tangent: a direction in which it changes.

    What is computed from it has tangents, which `unpack_dual` gives. Where the tensor or the tangent has a history, so
    have those: they can be gone back through. And gradients by the tensor that are computed with a tangent are dual
    tensors in turn.

    Parameters
    ----------
    tensor : Tensor
        Of a floating-point type. In-place operations on the result do not write to it, unlike in PyTorch.
    tangent : Tensor
        Of its shape, type and device.
    level : Level, optional
        The one that the tangent belongs to: by default the innermost.

    Returns
    -------
    Tensor

    Raises
    ------
    OperandError, DTypeError, ShapeError, DeviceError
        If the two are no tensors of floating-point numbers, or not alike.
    TransformError
        If there is no `dual_level`, the tensor has a tangent of this level already, or it is of a transform that began
        inside the level.

    Examples
    --------
    >>> import polyad as ad
    >>> import polyad.autograd.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     fwAD.make_dual(ad.tensor([1.0, 2.0]), ad.ones(2)).exp()
    tensor([2.7183, 7.3891], tangent=tensor([2.7183, 7.3891]))
    """
    level = _level("make_dual", level)
    for name, t in (("tensor", tensor), ("tangent", tangent)):
        if not isinstance(t, Tensor):
            not_a_tensor("make_dual", name, t)
        if not t.dtype.is_differentiable:
            raise DTypeError(f"make_dual: {name} is {t.dtype.name}, which has no derivatives; write {name}.float()")
        if _has_tangent(t, level):
            raise TransformError(
                f"make_dual: {name} has a tangent of this level already; unpack_dual it first, or open another "
                f"dual_level() inside for a tangent of the tangent"
            )
    if tangent.shape != tensor.shape:
        raise ShapeError(f"make_dual: tangent has shape {tangent.shape}; expected {tensor.shape}, the tensor's own")
    if tangent.dtype is not tensor.dtype:
        raise DTypeError(
            f"make_dual: tangent is {tangent.dtype.name}; expected {tensor.dtype.name}, the tensor's own; write "
            f"tangent.astype(polyad.{tensor.dtype.name})"
        )
    began = active().index(level)
    for name, t in (("tensor", tensor), ("tangent", tangent)):
        if t._device.depth > began:
            raise TransformError(
                f"make_dual: {name} is of {t._device.where}, which began inside the dual_level; open the dual_level "
                f"inside that function"
            )
    with below(level):
        primal, moved = lifted(tensor), lifted(tangent)
    if primal._device is not moved._device:
        raise DeviceError(
            f"make_dual: tangent is on {moved._device.where}; expected {primal._device.where}, where the tensor is; "
            f"write tangent.to(device=x.device)"
        )
    array = level.dual(primal, moved)
    edge = node_of(tensor) if recording() is not False else None
    return wrap(array, array.device, None if edge is None else _passing(array.device, edge))


def unpack_dual(tensor: Tensor, *, level: Level | None = None) -> UnpackedDualTensor:
    """Give value and tangent of a tensor.

    Parameters
    ----------
    tensor : Tensor
    level : Level, optional
        The one whose tangent is meant: by default the innermost.

    Returns
    -------
    UnpackedDualTensor
        A named tuple ``(primal, tangent)``. Of a tensor that does not change, the tensor and None.

    Raises
    ------
    OperandError
        If it is no tensor.
    TransformError
        If it is of a transform that began inside the level, or of a level that has ended.

    Examples
    --------
    >>> import polyad as ad
    >>> import polyad.autograd.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     fwAD.unpack_dual(ad.ones(2))
    UnpackedDualTensor(primal=tensor([1., 1.]), tangent=None)
    """
    if not isinstance(tensor, Tensor):
        not_a_tensor("unpack_dual", "tensor", tensor)
    if level is None and _innermost() is None:  # as in PyTorch: outside, nothing has a tangent
        check_current("unpack_dual", tensor._device)
        return UnpackedDualTensor(tensor, None)
    level = _level("unpack_dual", level)
    check_current("unpack_dual", tensor._device)
    if tensor._device.depth > active().index(level) + 1:
        raise TransformError(
            f"unpack_dual: the tensor is of {tensor._device.where}, which began inside the dual_level; open the "
            f"dual_level inside that function, or return the tensor from it and unpack the result"
        )
    return UnpackedDualTensor(*parts(tensor, level))


def _has_tangent(tensor: Tensor, level: Level) -> bool:
    return parts(tensor, level)[1] is not None


def _innermost() -> Level | None:
    """The innermost level that a program entered."""
    return next((level for level in reversed(active()) if isinstance(level, Level)), None)


def _level(name: str, given: Level | None) -> Level:
    """The level that is meant, which has to be in progress."""
    if given is None:
        found = _innermost()
        if found is None:
            raise TransformError(f"{name}: there is no level; write 'with forward_ad.dual_level():' around it")
        return found
    if not isinstance(given, Level):
        raise OperandError(f"{name}: level is {given!r:.60}; expected what enter_dual_level() gave, or None")
    if given not in active():
        raise TransformError(f"{name}: the level has ended, or is another thread's; enter a new one")
    return given


def _pass_on(node: Node, g: Any, args: Any, tensors: bool, history: bool) -> list[Any]:
    return [g]


_MAKE_DUAL: Final = joint_record("make_dual", _pass_on)
"""Leads from a tensor with a tangent to the tensor that it was made of: the gradient there is dual, too."""


def _passing(device: Device, edge: Any) -> Node:
    node: Node = new(Node)
    node.function, node.device, node.seq = _MAKE_DUAL, device, next_sequence()
    node.edges, node.args, node.guards = (edge,), ((),), ()
    node.hooks = node.shapes = None
    return node
