"""JAX as a backend: ``jax.numpy`` for a namespace, one compiled call a kernel and one a rule.

Arrays cannot be written: polyad's in-place operations make new ones, and `polyad.views` tells every alias.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from polyad import dtypes
from polyad.backend import Backend, Device, Kernel, Stopwatch
from polyad.function import ARRAY, ARRAYS, NAMESPACE, ONE_OF, OUT, Function
from polyad.graph import Node, specs_of

from . import cumulative, decompositions, elementwise, indexing, products, pytree, solvers, sorting
from .random import JAXSource

# The one global that polyad changes: without it JAX gives 32-bit types where 64-bit ones are asked for.
jax.config.update("jax_enable_x64", True)

NATIVE = {d: np.dtype(jnp.bfloat16) if d is dtypes.bfloat16 else np.dtype(d.name) for d in dtypes.ALL}
for _dtype, _native in NATIVE.items():
    _dtype.dtype = _native


def _clip(x: Any, low: Any = None, high: Any = None) -> Any:
    if low is not None:
        x = jnp.maximum(x, low)
    return x if high is None else jnp.minimum(x, high)


def _own(kernel: Kernel) -> Kernel:
    """Mark a kernel that compiles itself, or needs no compiling."""
    kernel.is_prepared = True  # type: ignore[attr-defined]
    return kernel


class JAXBackend(Backend):
    """Arrays of `jax.Array`, on the devices that JAX finds."""

    name: ClassVar[str] = "jax"
    compiles: ClassVar[bool] = True
    xp = jnp
    array_types = (jax.Array,)
    dtypes = NATIVE

    kernels = {  # noqa: RUF012 - never written
        "clip": _clip,
        "clone": _own(lambda x: x),  # nobody can write to it
        "detach": _own(lambda x: x),
        "astype": lambda x, dtype: x.astype(dtype),
        **cumulative.KERNELS,
        **elementwise.KERNELS,
        "empty": jnp.zeros,
        **{name: _own(kernel) for name, kernel in indexing.KERNELS.items()},
        **products.KERNELS,
        **solvers.KERNELS,
        **sorting.KERNELS,
        **decompositions.KERNELS,
    }
    inplace = {}  # noqa: RUF012 - never written

    def __init__(self) -> None:
        self.array = type(jnp.zeros(()))
        self._pulls: dict[Any, Callable[..., Any]] = {}
        found = jax.devices()
        if found[0].platform != "cpu":
            found = [*found, *jax.devices("cpu")]
        count = {d.platform: sum(e.platform == d.platform for e in found) for d in found}
        self.devices = tuple(
            Device(
                self,
                "cuda" if d.platform in ("gpu", "cuda") else d.platform,
                None if d.platform == "cpu" and count["cpu"] == 1 else d.id,
                d,
            )
            for d in found
        )
        self._by_handle = {d.handle: d for d in self.devices}

    # Kernels --------------------------------------------------------------------------------------------

    def prepare(self, kernel: Kernel, function: Function) -> Kernel:
        """Compile a kernel, its parameters fixed."""
        if getattr(kernel, "is_prepared", False):
            return kernel
        return jax.jit(kernel, static_argnames=tuple(function.params))  # type: ignore[no-any-return]

    def place(self, kernel: Kernel, device: Device) -> Kernel:
        """Make what a kernel creates go to a device other than JAX's default."""
        if device is self.devices[0]:
            return kernel

        def placed(*args: Any, **params: Any) -> Any:
            with jax.default_device(device.handle):
                return kernel(*args, **params)

        return placed

    def pull(self, node: Node, g: Any, args: Sequence[Any]) -> Sequence[Any] | None:
        """Run all rules of a node as one compiled function of the arrays; whatever else they keep is fixed in it."""
        function = node.function
        if not function.prepare:
            return None
        arrays: list[Any] = []
        fixed: list[Any] = []
        layout = specs_of(function, args)
        for position, spec, _ in layout:
            for (kind, _), value in zip(spec.items, args[position], strict=True):
                if kind in (ARRAY, ARRAYS, ONE_OF, OUT):
                    arrays.append(value)
                elif kind != NAMESPACE:
                    fixed.append(value)
        needed = tuple(position for position, _, _ in layout)
        key = (function, node.device, needed, len(args), tuple(fixed), node.shapes)
        compiled = self._pulls.get(key)
        if compiled is None:
            compiled = self._pulls[key] = _compile_pull(node, layout, tuple(fixed))
        return compiled(g, arrays)  # type: ignore[no-any-return]

    # Arrays ---------------------------------------------------------------------------------------------

    def from_flat(self, values: Sequence[Any], shape: tuple[int, ...], dtype: Any, device: Device) -> Any:
        """Make an array from numbers."""
        return self._put(np.array(values, dtype).reshape(shape), device)

    def from_host(self, array: Any, device: Device, *, copy: bool) -> Any:
        """Copy: JAX may otherwise share the memory of an array that its owner goes on writing to."""
        native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
        return self._put(np.array(native, order="C"), device)

    def _put(self, host: Any, device: Device) -> Any:
        return jnp.asarray(host) if device is self.devices[0] else jax.device_put(host, device.handle)

    def to_host(self, array: Any) -> Any:
        """Give the values; on the CPU a read-only array on the same memory."""
        return np.asarray(array)

    def move(self, array: Any, source: Device, target: Device) -> Any:
        """Move between JAX's devices without passing through NumPy."""
        if target.backend is self:
            return jax.device_put(array, target.handle)
        return target.backend.from_host(self.to_host(array), target, copy=True)

    def copy(self, array: Any) -> Any:
        """Give the array: nobody can write to it."""
        return array

    def address(self, array: Any) -> int:
        """Where the buffer is, until somebody frees the array."""
        return int(array.unsafe_buffer_pointer())

    def device_of(self, array: Any) -> Device:
        """Where an array lives; a traced one is taken to be on the first device."""
        if isinstance(array, jax.core.Tracer):
            return self.devices[0]
        return self._by_handle.get(next(iter(array.devices())), self.devices[0])

    def is_traced(self, array: Any) -> bool:
        """Whether a transformation of JAX's traces the array."""
        return isinstance(array, jax.core.Tracer)

    def distinct(self, array: Any) -> Any:
        """Give the array behind a barrier of XLA's, where it is traced."""
        return jax.lax.optimization_barrier(array) if self.is_traced(array) else array

    def adopt(self, tensor_class: type) -> None:
        """Make a class of tensors a pytree."""
        pytree.register(tensor_class, self)

    def generator(self, device: Device) -> JAXSource:
        """Give a new generator."""
        return JAXSource(device)

    def synchronize(self, device: Device) -> None:
        """Wait for everything that was started on a device."""
        jax.block_until_ready(jax.device_put(0.0, device.handle) + 0)

    def stopwatch(self, device: Device) -> Stopwatch:
        """Start a clock that stops when results have their values: calls return before."""
        return _Waiting()

    def describe(self) -> dict[str, str]:
        """Versions, for ``polyad info``."""
        import jaxlib

        return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}


class _Waiting(Stopwatch):
    """Waits for results, so that all their time is between start and stop."""

    __slots__ = ()

    def stop(self, results: Any) -> None:
        """Wait, and stop."""
        jax.block_until_ready(results)
        super().stop(results)


def _compile_pull(node: Node, layout: Sequence[Any], fixed: tuple[Any, ...]) -> Callable[..., Any]:
    """Compile the rules of one kind of node. Holds nothing of the node's arrays."""
    from polyad.rules import sum_to

    xp, shapes, count = node.device.plain, node.shapes, len(node.edges)
    rules = [(position, spec.items, rule) for position, spec, rule in layout]

    def run(g: Any, arrays: Sequence[Any]) -> list[Any]:
        next_array, next_fixed = iter(arrays).__next__, iter(fixed).__next__
        gradients: list[Any] = [None] * count
        for position, items, rule in rules:
            args = [
                next_array() if kind in (ARRAY, ARRAYS, ONE_OF, OUT) else xp if kind == NAMESPACE else next_fixed()
                for kind, _ in items
            ]
            gradient = rule(g, *args)
            if shapes is not None and gradient.shape != shapes[position]:
                gradient = sum_to(xp, gradient, shapes[position])
            gradients[position] = gradient
        return gradients

    run.__name__ = f"{node.function.name}_backward"
    return jax.jit(run)  # type: ignore[no-any-return]
