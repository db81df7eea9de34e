"""CuPy as a backend: arrays on NVIDIA GPUs, one polyad device for each."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, ClassVar

import cupy
import numpy as np

from polyad import dtypes
from polyad.backend import Backend, Device, Kernel, Stopwatch
from polyad.errors import BackendError, DTypeError
from polyad.graph import Node, specs_of
from polyad.rules import sum_to

from . import decompositions, solvers, sorting
from .kernels import inplace, kernels
from .random import KERNEL, CounterSource

for _name in dtypes.BY_NAME:
    if _name != "bfloat16":
        dtypes.BY_NAME[_name].dtype = np.dtype(_name)

_splitmix64 = cupy.ElementwiseKernel("uint64 start", "uint64 z", KERNEL, "polyad_splitmix64")


def visible_devices() -> tuple[Any, ...]:
    """Give CuPy's devices.

    Raises
    ------
    BackendError
        If there is none that can be used.
    """
    runtime = cupy.cuda.runtime
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        reason = str(error) if runtime.driverGetVersion() else f"there is no NVIDIA driver ({error})"
        raise BackendError(
            f"CuPy {cupy.__version__} finds no GPU that it can use: {reason}. Run on a machine with an NVIDIA GPU and "
            f"its driver, or choose another backend"
        ) from error
    return tuple(cupy.cuda.Device(i) for i in range(count))


def version(number: int) -> str:
    """CUDA's version in words, of the number that it gives: ``13020`` is ``"13.2"``."""
    return f"{number // 1000}.{number % 1000 // 10}"


class CuPyBackend(Backend):
    """Arrays of `cupy.ndarray`, on GPUs. Work is queued on CuPy's current stream.

    bfloat16 is left out: CuPy has it for some functions only.

    Parameters
    ----------
    handles : sequence of cupy.cuda.Device, optional
        The GPUs; by default all that are visible.

    Raises
    ------
    BackendError
        If there is none.
    """

    name: ClassVar[str] = "cupy"
    writable: ClassVar[bool] = True
    xp: Any = cupy
    array: type = cupy.ndarray
    array_types: tuple[type, ...] = (cupy.ndarray,)
    dtypes = {d: np.dtype(d.name) for d in dtypes.ALL if d is not dtypes.bfloat16}  # noqa: RUF012 - never written
    kernels = {**kernels(cupy), **solvers.kernels(cupy), **sorting.kernels(cupy), **decompositions.kernels(cupy)}  # noqa: RUF012 - never written
    inplace = inplace(cupy)
    cuda: Any = cupy.cuda

    def __init__(self, handles: Sequence[Any] | None = None) -> None:
        found = visible_devices() if handles is None else handles
        if len(found) > 1:
            self.pull = self._pull
        self.devices = tuple(Device(self, "cuda", i, handle) for i, handle in enumerate(found))

    # CUDA works on a current device. With one GPU that is always the right one.

    def _on(self, device: Device) -> Any:
        """Make ``device`` the current one for a block."""
        return device.handle if len(self.devices) > 1 else contextlib.nullcontext()

    def place(self, kernel: Kernel, device: Device) -> Kernel:
        """Make a kernel run on ``device``; where there is no other, it does so as it is."""
        if len(self.devices) == 1:
            return kernel
        current, index, handle = self.xp.cuda.get_device_id, device.index, device.handle

        def placed(*args: Any, **params: Any) -> Any:
            if current() == index:
                return kernel(*args, **params)
            with handle:
                return kernel(*args, **params)

        return placed

    def _pull(self, node: Node, g: Any, args: Sequence[Any]) -> Sequence[Any]:
        """Run a node's rules on its device: they apply operators to arrays, which no table of kernels places."""
        xp, shapes = node.device.xp, node.shapes
        gradients: list[Any] = [None] * len(args)
        with self._on(node.device):
            for position, _, rule in specs_of(node.function, args):
                gradient = rule(g, *args[position])
                if shapes is not None and gradient.shape != shapes[position]:
                    gradient = sum_to(xp, gradient, shapes[position])
                gradients[position] = gradient
        return gradients

    def device_of(self, array: Any) -> Device:
        """Where an array lives."""
        index: int = array.device.id
        return self.devices[index]

    def synchronize(self, device: Device) -> None:
        """Wait until all work on ``device`` is done."""
        device.handle.synchronize()

    def stopwatch(self, device: Device) -> Stopwatch:
        """Start a clock of events in the device's current stream: nothing waits until the time is asked for."""
        return _EventStopwatch(self.cuda, self._on(device))

    # Arrays

    def normalize(self, array: Any) -> Any:
        """Give the array itself; CuPy has no scalars of its own."""
        return array if isinstance(array, self.array) else self.xp.asarray(array)

    def from_flat(self, values: Sequence[Any], shape: tuple[int, ...], dtype: Any, device: Device) -> Any:
        """Make an array of numbers; a single one needs no transfer."""
        with self._on(device):
            if len(values) == 1:
                return self.xp.full(shape, values[0], dtype)
            return self.xp.array(np.array(values, dtype).reshape(shape))

    def from_host(self, array: Any, device: Device, *, copy: bool) -> Any:
        """Copy to the GPU, in row-major order.

        Raises
        ------
        DTypeError
            If it is of a type that polyad has not.
        """
        native = np.asarray(array, array.dtype.newbyteorder("="))
        if native.dtype not in device.dtypes:
            raise DTypeError(
                f"an array of type {array.dtype} has no polyad type on {device.where}; convert it to one of "
                f"{', '.join(d.name for d in self.dtypes)}"
            )
        with self._on(device):
            return self.xp.array(native, order="C")

    def to_host(self, array: Any) -> Any:
        """Copy from the GPU, waiting for what is queued there."""
        return self.xp.asnumpy(array)

    def move(self, array: Any, source: Device, target: Device) -> Any:
        """Copy from GPU to GPU directly; to other backends through host memory."""
        if target.backend is not self or target is source:
            return super().move(array, source, target)
        source.handle.synchronize()  # streams of two devices do not wait for each other
        with self._on(target):
            moved = array.copy("C")
        target.handle.synchronize()  # from here on the source may be written again
        return moved

    def copy(self, array: Any) -> Any:
        """Copy, into row-major order, on the array's own device."""
        with self._on(self.device_of(array)):
            return array.copy("C")

    def owned(self, array: Any, shared: bool) -> Any:
        """Copy views and shared arrays."""
        if shared or array.base is not None or not array.flags.c_contiguous:
            return self.copy(array)
        return array

    def contiguous(self, array: Any) -> Any:
        """Copy what is not in row-major order."""
        return array if array.flags.c_contiguous else self.copy(array)

    def strides(self, array: Any) -> tuple[int, ...] | None:
        """Strides in elements."""
        return tuple(s // array.itemsize for s in array.strides)

    def address(self, array: Any) -> int:
        """Where the first element is in the GPU's memory."""
        return int(array.data.ptr)

    def memory_of(self, array: Any) -> Any:
        """What the array is a view of, in the end."""
        while isinstance(array.base, self.array):
            array = array.base
        return array

    def write(self, target: Any, value: Any) -> None:
        """Write in place. CuPy copies memory as it is, so what overlaps the target is copied first."""
        with self._on(self.device_of(target)):
            target[...] = value.copy() if self.xp.may_share_memory(target, value) else value

    def generator(self, device: Device) -> CounterSource:
        """Give a new generator."""
        return CounterSource(self.xp, self.random_bits, self.random_generator, self._on(device))

    def random_bits(self, start: int, n: int) -> Any:
        """Give numbers of 64 random bits: `polyad_cupy.random.splitmix64` on the current device."""
        return _splitmix64(np.uint64(start), cupy.empty(n, np.uint64))

    def random_generator(self, seed: int) -> Any:
        """Give CuPy's generator of a seed; of its bit generators the one whose state is made in no time."""
        return cupy.random.Generator(cupy.random.Philox4x3210(seed))

    def describe(self) -> dict[str, str]:
        """Versions, devices and memory in words, for ``polyad info``."""
        runtime = cupy.cuda.runtime
        words = {
            "cupy": cupy.__version__,
            "CUDA runtime": version(runtime.runtimeGetVersion()),
            "CUDA of the driver": version(runtime.driverGetVersion()),
        }
        for device in self.devices:
            free, total = device.handle.mem_info
            name = runtime.getDeviceProperties(device.index)["name"].decode()
            words[str(device)] = f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        return words


class _EventStopwatch(Stopwatch):
    """Two events in a device's current stream, which the device passes when its work comes to them."""

    __slots__ = ("_cuda", "_first", "_last", "_on")
    queues: ClassVar[bool] = True

    def __init__(self, cuda: Any, on: Any) -> None:
        self._cuda, self._on = cuda, on
        with on:
            self._first, self._last = cuda.Event(), cuda.Event()
            super().__init__()
            self._first.record()

    def stop(self, results: Any) -> None:
        """Queue the second event behind the work."""
        with self._on:
            self._last.record()
        super().stop(results)

    def elapsed(self) -> int:
        """What the device says of the time between the events."""
        self._last.synchronize()
        return round(1e6 * self._cuda.get_elapsed_time(self._first, self._last))

    def since(self, earlier: Any) -> int:
        """What the device says of the time between the first events."""
        self._first.synchronize()
        return round(1e6 * self._cuda.get_elapsed_time(earlier._first, self._first))
