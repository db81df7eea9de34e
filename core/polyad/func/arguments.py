"""What the transforms share: which arguments they vary, and tensors that are varied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..containers import Structure, flatten, unflatten
from ..errors import ArgumentError, DeviceError, DTypeError, OperandError, ShapeError
from ..function import FUNCTIONS
from ..graph import guard
from ..levels import chain, lifted
from ..tensor import Tensor, wrap
from ..views import node_of, raw

__all__ = [
    "Chosen",
    "check_callable",
    "check_like",
    "check_tensors",
    "primals_of",
    "split_aux",
    "variable",
    "without_history",
]


def check_callable(name: str, func: Any) -> None:
    """Raise if what is to be transformed is no function."""
    if not callable(func):
        raise OperandError(f"{name}: func is a {type(func).__name__}, {func!r:.60}; expected a function")


def check_tensors(name: str, of: str, leaves: Sequence[Any], *, differentiable: bool = True) -> None:
    """Raise if something that derivatives are taken of, or by, is no tensor of a floating-point type."""
    for x in leaves:
        if not isinstance(x, Tensor):
            raise OperandError(
                f"{name}: {of} has {x!r:.60}, a {type(x).__name__}; expected tensors. Write polyad.tensor(...) around "
                f"it"
            )
        if differentiable and not x.dtype.is_differentiable:
            raise DTypeError(f"{name}: {of} has a tensor of {x.dtype.name}, which has no derivatives; write x.float()")


def variable(x: Tensor) -> Tensor:
    """Give the same elements as a tensor that derivatives can be taken by, with its history behind it."""
    x = lifted(x)
    if node_of(x) is not None:
        return FUNCTIONS["reshape"].call(x, x.shape)  # type: ignore[no-any-return]
    if x._device.depth:  # nobody writes to these; and detaching would stop what an outer transform varies
        out = wrap(raw(x), x._device)
        out._writes = guard(x)[0]
    else:
        out = x.detach()
    return out.requires_grad_()


def without_history(x: Any) -> Any:
    """Give a tensor as one that no operation led to; anything else as it is."""
    return wrap(raw(x), x._device) if isinstance(x, Tensor) and node_of(x) is not None else x


class Chosen:
    """The arguments that a transform varies, taken apart.

    Attributes
    ----------
    leaves : list of Tensor
        All that are varied.
    """

    def __init__(self, name: str, argnums: Any, args: Sequence[Any]) -> None:
        single = not isinstance(argnums, (tuple, list))
        numbers = [argnums] if single else list(argnums)
        self._numbers: list[int] = []
        for n in numbers:
            if type(n) is not int or not -len(args) <= n < len(args):
                raise ArgumentError(
                    f"{name}: argnums is {argnums!r}; expected an int or a tuple of ints, each the position of one of "
                    f"the {len(args)} arguments"
                )
            self._numbers.append(n % len(args))
        if len(set(self._numbers)) < len(self._numbers):
            raise ArgumentError(f"{name}: argnums names an argument twice: {argnums!r}")
        self._single, self._args = single, list(args)
        self.leaves: list[Any] = []
        self.structures: list[Structure] = []
        for n in self._numbers:
            found, structure = flatten(args[n])
            self.leaves += found
            self.structures.append(structure)
        check_tensors(name, "an argument", self.leaves)

    @property
    def flat(self) -> Structure:
        """The leaves as so many arguments."""
        return Structure(tuple, (), (Structure(),) * len(self.leaves))

    def replaced(self, leaves: Sequence[Any]) -> list[Any]:
        """All arguments, with others in place of those that are varied."""
        args, rest = list(self._args), list(leaves)
        for n, structure in zip(self._numbers, self.structures, strict=True):
            args[n] = unflatten(structure, rest[: structure.leaves])
            del rest[: structure.leaves]
        return args

    def nested(self, leaves: Sequence[Any]) -> Any:
        """Something for each leaf, nested as the arguments: of one, or a tuple of several."""
        found, rest = [], list(leaves)
        for structure in self.structures:
            found.append(unflatten(structure, rest[: structure.leaves]))
            del rest[: structure.leaves]
        return found[0] if self._single else tuple(found)


def primals_of(name: str, of: str, primals: Any) -> Sequence[Any]:
    """Check that what is for a function's arguments comes as a tuple."""
    if not isinstance(primals, (tuple, list)):
        raise OperandError(
            f"{name}: {of} is a {type(primals).__name__}; expected a tuple of one for each argument, as (x,)"
        )
    return primals


def split_aux(name: str, result: Any, has_aux: bool) -> tuple[Any, Any]:
    """Part what is differentiated from what a function returned beside it."""
    aux = None
    if has_aux:
        result, aux = _pair(name, result)
    if result is None:
        raise OperandError(f"{name}: the function returned None; expected tensors. Is a return missing?")
    return result, aux


def _pair(name: str, result: Any) -> tuple[Any, Any]:
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise OperandError(
            f"{name}: with has_aux=True the function returns a pair, (result, anything else); it returned "
            f"{result!r:.60}"
        )
    return result[0], result[1]


def check_like(name: str, of: str, given: Any, structure: Structure, leaves: Sequence[Tensor], to: str) -> list[Any]:
    """Take tangents or cotangents apart, and check that each is like the tensor that it belongs to.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        If containers, shapes, types or devices differ.
    """
    found, nested = flatten(given)
    if len(found) != len(leaves) or not _alike(nested, structure):
        raise ArgumentError(f"{name}: {of} is nested as {nested}; expected {structure}, as {to}")
    check_tensors(name, of, found)
    for t, x in zip(found, leaves, strict=True):
        if t.shape != x.shape:
            raise ShapeError(f"{name}: {of} has a tensor of shape {t.shape}; expected {x.shape}, as {to}")
        if t.dtype is not x.dtype:
            raise DTypeError(
                f"{name}: {of} has a tensor of {t.dtype.name}; expected {x.dtype.name}, as {to}; "
                f"write t.astype(polyad.{x.dtype.name})"
            )
        here, there = chain(t._device)[1], chain(x._device)[1]
        if here is not there:
            raise DeviceError(
                f"{name}: {of} has a tensor on {here.where}; expected {there.where}, as {to}; write "
                f"t.to(device=x.device)"
            )
    return found


def _alike(a: Structure, b: Structure) -> bool:
    """Whether two structures are the same but for lists and tuples."""
    if (a.kind is None) != (b.kind is None) or set(a.keys) != set(b.keys) or len(a.parts) != len(b.parts):
        return False
    return all(map(_alike, a.parts, b.parts))
