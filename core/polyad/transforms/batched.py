"""Arrays of many examples: the backend that `vmap` wraps round others.

A `Batched` array holds a tensor of the device below, with the examples along its first axis, or one that is the same
for all. Its shape is that of one example. How a kernel computes for all examples at once follows from the record of
its function (`rule_of`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..batching import BatchingRule, elementwise, looped
from ..errors import TransformError
from ..function import Function
from ..kernels import Kernel, numbers_as_arrays
from ..levels import Level, WrappedArray, WrappedBackend, WrappedDevice
from ..tensor import Tensor

__all__ = ["BatchLevel", "Batched", "rule_of"]


class Batched(WrappedArray):
    """An array of one example's shape for many examples.

    Attributes
    ----------
    tensor : Tensor
        Of the device below; with the examples in front if `batched`.
    batched : bool
        Whether examples may differ.
    """

    __slots__ = ("batched", "tensor")

    def __init__(self, device: WrappedDevice, tensor: Tensor, batched: bool) -> None:
        self.device, self.tensor, self.batched = device, tensor, batched
        shape = tensor.shape
        self.shape, self.dtype = shape[1:] if batched else shape, tensor.dtype

    def beside(self) -> list[str]:
        """Say the number of examples."""
        return [f"examples={self.tensor.shape[0]}"] if self.batched else []

    def holding(self, value: Tensor) -> Batched:
        """Give an array with another tensor of all examples."""
        return Batched(self.device, value, self.batched)


class BatchedBackend(WrappedBackend):
    """Arrays of many examples, round another backend."""

    transform: ClassVar[str] = "vmap"
    array = Batched
    traced_by = "vmap runs the function on all examples at once"

    def is_traced(self, array: Any) -> bool:
        """Whether examples may differ, so that there is not one value; or there is none below."""
        tensor = array.tensor
        return bool(array.batched or tensor.backend.is_traced(tensor._data))

    def to_host(self, array: Any) -> Any:
        """Give the values, where they are the same for all examples."""
        if array.batched:
            raise TransformError(
                "vmap: a value that differs from example to example cannot leave the function; return it"
            )
        return array.tensor.backend.to_host(array.tensor._data)

    def example(self, array: Any) -> Tensor:
        """Give the tensor of the first example."""
        return array.tensor[0] if array.batched else array.tensor  # type: ignore[no-any-return]

    def values(self, array: Any) -> Tensor:
        """Give the values of all examples."""
        return array.tensor  # type: ignore[no-any-return]

    def inside(self, array: Any) -> tuple[Tensor, ...]:
        """Give the values of all examples."""
        return (array.tensor,)

    def converted(self, array: Any, convert: Callable[[Tensor], Tensor], device: WrappedDevice) -> Batched:
        """Convert all examples at once."""
        return Batched(device, convert(array.tensor), array.batched)

    def kernel(self, function: Function, device: WrappedDevice) -> Kernel:
        """Make the kernel that computes a function for all examples at once."""
        level = device.level
        assert isinstance(level, BatchLevel)
        size, rule = level.size, rule_of(function)

        def run(*arrays: Any, **params: Any) -> Any:
            found: Sequence[Any] = arrays[0] if function.sequence else arrays
            batched = [type(a) is Batched and a.batched for a in found]
            tensors = [a.tensor if type(a) is Batched else a for a in found]
            if True not in batched:
                result = function.call(*((tensors,) if function.sequence else tensors), **params)
                varies = False
            else:
                result, varies = rule and rule(function, size, tensors, batched, params), True
                if rule is None or result is NotImplemented:
                    assert function.body is not None
                    if not function.sequence and None not in arrays:
                        arrays = numbers_as_arrays(device.xp, function, arrays)
                    return function.body(device.xp, *arrays, **params)
                if rule is looped:
                    level.count(function)
            if function.outputs != 1:
                return tuple(Batched(device, r, varies) for r in result)
            return Batched(device, result, varies)

        return run


def rule_of(function: Function) -> BatchingRule | None:
    """Give the batching rule of a function; None where its body, on arrays of examples, is the rule."""
    if function.batching is not None:
        return function.batching
    if function.elementwise:
        return elementwise
    return None if function.body is not None else looped


class BatchLevel(Level):
    """One `vmap` in progress.

    Attributes
    ----------
    size : int
        The number of examples.
    randomness : str
        What random functions do: ``"error"``, ``"different"`` or ``"same"``.
    """

    backend = BatchedBackend

    def __init__(self, size: int, randomness: str = "error") -> None:
        super().__init__()
        self.size, self.randomness = size, randomness
        self._looped: set[Function] = set()

    def constant(self, tensor: Tensor, device: WrappedDevice) -> Batched:
        """Give an array that is the same for all examples."""
        return Batched(device, tensor, False)

    def custom(self, cls: Any, args: Sequence[Any], needed: Sequence[bool], device: WrappedDevice) -> Any:
        """Call a function with a derivative of the user's own."""
        from .custom_batched import batched_call  # which begins where this ends

        return batched_call(cls, args, needed, device)

    def examples(self, tensor: Tensor, device: WrappedDevice) -> Batched:
        """Give an array of what has the examples along its first axis."""
        return Batched(device, tensor, True)

    def count(self, function: Function) -> None:
        """Say, once for each function, that it runs once for each example."""
        if function not in self._looped:
            self._looped.add(function)
            warnings.warn(
                f"vmap: {function.name} of {function.origin} has neither a body nor a batching rule, so its kernel "
                f"runs {self.size} times, once for each example; give it batching=, see polyad.batching",
                stacklevel=2,
            )
