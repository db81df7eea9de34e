"""From a function to its kernel: the tables of kernels, namespaces over them, and what libraries' functions lack.

All kernels are reached through a device's `KernelTable`. So what looks at operations replaces the tables' entries while
it is on (`watching_kernels`), and costs nothing when it is off.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .dtypes import bfloat16, float16, float32
from .function import FUNCTIONS, XP, Function

if TYPE_CHECKING:
    from .backend import Backend, Device

__all__ = [
    "Kernel",
    "KernelTable",
    "KernelWatch",
    "Namespace",
    "devices_in_use",
    "lookup",
    "numbers_as_arrays",
    "standard",
    "watching_kernels",
    "widened",
]

Array = Any
"""An array of the backend's library."""

Kernel = Callable[..., Any]
"""A function of raw arrays and keyword parameters, without side effects."""


class KernelTable(dict[Function, Kernel]):
    """``function -> kernel`` of one device, filled as functions are first used."""

    __slots__ = ("device", "unwatched", "__weakref__")

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device = device
        self.unwatched: dict[Function, Kernel] = {}  # the kernels as they are, while a watch makes them over
        if not device.depth:  # kernels of transforms call these
            _tables[id(self)] = self

    def __missing__(self, function: Function) -> Kernel:
        kernel = self.unwatched.get(function)
        if kernel is None:
            backend = self.device.backend
            kernel = backend.resolve(function, self.device)
            if function.prepare:
                kernel = backend.prepare(kernel, function)
            kernel = backend.place(kernel, self.device)
        if _watches and not self.device.depth:
            self.unwatched[function] = kernel
            for watch in _watches:
                kernel = watch.kernel(function, self.device, kernel)
        self[function] = kernel
        return kernel

    def as_written(self, function: Function) -> Kernel:
        """Give the kernel for use inside another: not prepared."""
        backend = self.device.backend
        kernel = backend.resolve(function, self.device)
        if not backend.compiles:
            for watch in _watches:
                if watch.sees_bodies:
                    kernel = watch.kernel(function, self.device, kernel)
        return kernel


class KernelWatch:
    """What makes over all that computes on arrays of a device, while it is on; see `watching_kernels`.

    Attributes
    ----------
    sees_bodies : bool
        Whether it makes over the kernels inside other functions' bodies, too, where bodies are not compiled.
    """

    sees_bodies: ClassVar[bool] = False

    def kernel(self, function: Function, device: Device, kernel: Kernel) -> Kernel:
        """Give what is to be called in place of a function's kernel."""
        return kernel

    def inplace(self, name: str, device: Device, kernel: Kernel) -> Kernel:
        """Give what is to be called in place of one of `Backend.inplace`."""
        return self.call(f"{name}_", device, kernel)

    def pull(self, device: Device, pull: Callable[..., Any]) -> Callable[..., Any] | None:
        """Give what is to be called in place of `Backend.pull`; None to have rules run one by one."""
        return pull

    def call(self, name: str, device: Device, call: Kernel) -> Kernel:
        """Give what is to be called in place of what computes and is no function's kernel.

        That is, unless `inplace` sees to them, each of `Backend.inplace` (``"multiply_"``); `Backend.add_into`
        (``"add"``); and what a source of random numbers draws (``"normal"``).
        """
        return call


class WatchedSource:
    """A source of random numbers whose draws are made over."""

    def __init__(self, source: Any, device: Device) -> None:
        self._source, self._device = source, device

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._source, name)
        for watch in _watches:
            call = watch.call(name, self._device, call)
        return call


def as_it_is(source: Any, device: Device) -> Any:
    """Give a source of random numbers itself: what `Device.watched_source` is while no watch is on."""
    return source


_watches: list[KernelWatch] = []
_tables: weakref.WeakValueDictionary[int, KernelTable] = weakref.WeakValueDictionary()
_switching = threading.RLock()


def devices_in_use() -> list[Device]:
    """The devices on which a function has been called."""
    return [table.device for table in list(_tables.values()) if table or table.unwatched]


@contextmanager
def watching_kernels(watch: KernelWatch) -> Iterator[None]:
    """Have a watch make over the kernels of every device, in every thread, for a block.

    Blocks nest: what an inner one makes over is what the outer ones gave. Nothing is compiled anew, and tables are as
    they were afterwards.
    """
    _switch([*_watches, watch])
    try:
        yield
    finally:
        _switch([w for w in _watches if w is not watch])


def _switch(watches: list[KernelWatch]) -> None:
    with _switching:
        _watches[:] = watches
        for table in list(_tables.values()):
            table.unwatched = {**table, **table.unwatched}
            table.clear()
            if not watches:
                table.update(table.unwatched)
                table.unwatched = {}
            device, backend = table.device, table.device.backend
            device.xp.forget()
            device.plain.forget()
            pull: Any = backend.pull
            inplace, add_into = backend.inplace, backend.add_into
            for watch in watches:
                pull = None if pull is None else watch.pull(device, pull)
                inplace = {name: watch.inplace(name, device, kernel) for name, kernel in inplace.items()}
                add_into = None if add_into is None else watch.call("add", device, add_into)
            device.pull, device.inplace, device.add_into = pull, inplace, add_into
            device.watched_source = WatchedSource if watches else as_it_is


class Namespace(XP):
    """The array functions of one device as bodies and rules see them: ``xp``.

    A registered function's kernel where there is one of that name, otherwise the library's own function.
    ``device.xp`` has prepared kernels; ``device.plain`` has them as written, for use inside a prepared one.
    """

    def __init__(self, device: Device, find: Callable[[Function], Kernel], prefix: str = "") -> None:
        self.__device, self.__find, self.__prefix = device, find, prefix

    def __getattr__(self, name: str) -> Any:
        full = self.__prefix + name
        function = FUNCTIONS.get(full)
        found: Any
        if function is not None:
            found = self.__find(function)
        elif full in FUNCTIONS.namespaces:
            found = Namespace(self.__device, self.__find, full + ".")
        else:
            found = lookup(self.__device.backend.xp, full)
            if found is None:
                raise AttributeError(f"{full!r} is no polyad function, nor one of {self.__device.where}")
        setattr(self, name, found)
        return found

    def forget(self) -> None:
        """Look names up again: kernels are made over now, or no more."""
        for name, found in list(vars(self).items()):
            if name.startswith("_Namespace__"):
                continue
            if isinstance(found, Namespace):
                found.forget()
            else:
                delattr(self, name)


def lookup(namespace: Any, name: str) -> Any:
    """``namespace.a.b`` for the dotted ``name``, or None."""
    for part in name.split("."):
        namespace = getattr(namespace, part, None)
    return namespace


def widened(kernel: Kernel, function: Function, backend: Backend) -> Kernel:
    """Make a kernel compute float16 and bfloat16 in float32, and round its results once.

    A kernel with a true attribute ``is_wide`` does so itself.
    """
    native = backend.dtypes
    narrow = frozenset(native[d] for d in (float16, bfloat16) if d in native)
    if getattr(kernel, "is_wide", False) or not narrow:
        return kernel
    wide, lead, cast = native[float32], function.promotes[0], backend.xp.astype

    def rounded(result: Any, dtype: Any) -> Any:
        return cast(result, dtype) if result.dtype == wide else result

    def run(*arrays: Array, **params: Any) -> Any:
        first = arrays[lead][0] if function.sequence else arrays[lead]
        dtype = getattr(first, "dtype", None)
        if dtype not in narrow:
            return kernel(*arrays, **params)
        if function.sequence:
            result = kernel([cast(a, wide) for a in arrays[lead]], **params)
        else:
            result = kernel(*[cast(a, wide) if getattr(a, "dtype", None) == dtype else a for a in arrays], **params)
        return tuple(rounded(r, dtype) for r in result) if function.outputs != 1 else rounded(result, dtype)

    run.__name__ = run.__qualname__ = function.name
    run.__dict__.update(getattr(kernel, "__dict__", {}))  # what its backend marked it with
    return run


_STANDARD_NAMES: Final = {"power": "pow"}
"""The standard's names of functions that polyad has under NumPy's."""

BY_POSITION: Final = {
    "arange": ("start", "stop", "step"),
    "astype": ("dtype",),
    "eye": ("n_rows", "n_cols"),
    "linalg.matrix_power": ("n",),
    "linspace": ("start", "stop"),
    "repeat": ("repeats",),
    "tile": ("repetitions",),
}
"""Parameters that the standard's functions take by position only."""


def standard(namespace: Any, name: str) -> Kernel | None:
    """Find a function of the standard in a library's namespace, as a kernel: with parameters by name."""
    found: Kernel | None = lookup(namespace, _STANDARD_NAMES.get(name, name)) or lookup(namespace, name)
    if found is None:
        return None
    if name.startswith("logical_"):
        return _of_truth(found, namespace.bool)
    names = BY_POSITION.get(name)
    return found if names is None else _by_name(found, names)


def _of_truth(call: Kernel, bool_: Any) -> Kernel:
    """Make a function of bools take numbers too, which are true if they are not 0."""

    def truth(x: Any) -> Any:
        return x if hasattr(x, "dtype") and x.dtype == bool_ else x != 0

    def kernel(*arrays: Array) -> Any:
        return call(*[truth(x) for x in arrays])

    kernel.original = call  # type: ignore[attr-defined]
    return kernel


def _by_name(call: Kernel, names: Sequence[str]) -> Kernel:
    """Make a function take parameters by name that it takes by position."""

    def kernel(*arrays: Array, **params: Any) -> Any:
        return call(*arrays, *[params.pop(n) for n in names if n in params], **params)

    kernel.original = call  # type: ignore[attr-defined]
    return kernel


def numbers_as_arrays(xp: Any, function: Function, values: Sequence[Any]) -> tuple[Any, ...]:
    """Make 0-d arrays of the Python numbers among a body's operands, of the type that the others share."""
    last = len(function.inputs) - 1
    joined = [i for i in range(len(values)) if min(i, last) in function.promotes]
    dtype = next((values[i].dtype for i in joined if hasattr(values[i], "dtype")), None)
    return tuple(
        xp.full((), v, dtype=dtype) if i in joined and isinstance(v, (int, float, complex)) else v
        for i, v in enumerate(values)
    )
