"""What a backend is: an array namespace plus its differences; and a device, where arrays live and kernels run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from functools import cached_property
from itertools import repeat
from time import perf_counter_ns
from typing import Any, ClassVar

from .dtypes import BY_NAME, CATEGORIES, DType, as_dtype
from .errors import BackendError, DeviceError, DTypeError
from .function import FUNCTIONS, Function
from .kernels import Kernel, KernelTable, Namespace, Step, as_it_is, numbers_as_arrays, standard, widened

__all__ = ["Backend", "Device", "HostSource", "Kernel", "Stopwatch"]

Array = Any
"""An array of the backend's library."""


class Device:
    """A place where arrays of one backend live: ``x.device``. Two tensors meet only on the same one.

    A device belongs to its backend, so creating something on ``x.device`` puts it beside ``x``. There is one
    object for each place: compare with ``==`` or ``is``.

    Attributes
    ----------
    backend : Backend
    type : str
        ``"cpu"`` or ``"cuda"``.
    index : int or None
        Which one, where there are several.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.ones(2).device
    device(type='cpu')
    """

    __slots__ = (
        *("backend", "type", "index", "handle", "kernels", "xp", "plain", "array", "asarray", "add_into"),
        *("inplace", "watched_source", "pull", "views", "native", "dtypes", "accepted", "weak", "_ones", "__weakref__"),
    )
    depth = 0
    """How many transforms in progress are wrapped round it (see `polyad.levels`)."""

    def __init__(self, backend: Backend, type: str, index: int | None = None, handle: Any = None) -> None:
        self.backend, self.type, self.index, self.handle = backend, type, index, handle
        # Read on every operation, so held here, one step away from a tensor:
        self.kernels = KernelTable(self)
        self.xp = Namespace(self, self.kernels.__getitem__)
        self.plain = Namespace(self, self.kernels.as_written)
        self.array = backend.array
        self.asarray = backend.normalize
        self.pull, self.add_into, self.inplace = backend.pull, backend.add_into, backend.inplace
        self.watched_source: Callable[[Any, Device], Any] = as_it_is
        self.views: dict[Step, tuple[Kernel, Any]] = {}  # see `kernels.bind`
        self.native: Mapping[DType, Any] = backend.dtypes
        self.dtypes: dict[Any, DType] = {native: d for d, native in backend.dtypes.items()}
        # The native types of each category of `Function.takes`
        self.accepted = {
            name: frozenset(native for d, native in backend.dtypes.items() if d in types)
            for name, types in CATEGORIES.items()
        }
        weak = [(d, n) for d, n in backend.dtypes.items() if d not in backend.strong]
        floating = [n for d, n in weak if d.is_differentiable]
        complex_ = [n for d, n in weak if d.is_complex]
        # The native types that a Python number joins without any change; others take the careful path.
        self.weak: dict[Any, frozenset[Any]] = {
            float: frozenset(floating),
            int: frozenset(floating),
            bool: frozenset(n for _, n in weak),
            complex: frozenset(complex_),
        }

        self._ones: dict[Any, Array] = {}

    def one(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Give an array of ones, made once and never written: the gradient of a scalar with respect to itself."""
        try:
            return self._ones[shape, dtype]
        except KeyError:
            found = self.backend.sealed(self.asarray(self.kernels[FUNCTIONS["ones"]](shape=shape, dtype=dtype)))
            if not self.backend.is_traced(found):
                self._ones[shape, dtype] = found
            return found

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type={self.type!r}{index})"

    @property
    def where(self) -> str:
        """Backend and place in words, for messages."""
        return f"backend {self.backend.name!r}, device '{self}'"

    def dtype(self, wanted: DType) -> Any:
        """The library's own dtype for ``wanted``.

        Raises
        ------
        DTypeError
            If the backend lacks it.
        """
        try:
            return self.native[wanted]
        except KeyError:
            have = ", ".join(d.name for d in self.native)
            raise DTypeError(f"backend {self.backend.name!r} has no {wanted.name}; it has {have}") from None


class Stopwatch:
    """A clock that was started, by `Backend.stopwatch`. This one is the host's: for calls that end with their work.

    Attributes
    ----------
    started, ended : int
        When, in nanoseconds of the host's clock, `time.perf_counter_ns`.
    queues : bool
        Whether calls return before the work is done, so that the device's time is another than the host's.

    Examples
    --------
    >>> import polyad as ad
    >>> device = ad.ones(2).device
    >>> clock = device.backend.stopwatch(device)
    >>> clock.stop(None)
    >>> clock.elapsed() == clock.ended - clock.started
    True
    """

    __slots__ = ("started", "ended")
    queues: ClassVar[bool] = False

    def __init__(self) -> None:
        self.started = self.ended = perf_counter_ns()

    def stop(self, results: Any) -> None:
        """Stop, once ``results``, arrays in tuples and lists, have their values or are to have them."""
        self.ended = perf_counter_ns()

    def elapsed(self) -> int:
        """Nanoseconds of the device's time between start and stop. Waits for the work, if need be."""
        return self.ended - self.started

    def since(self, earlier: Any) -> int:
        """Nanoseconds of the device's time from the start of another stopwatch of the device to that of this one."""
        found: int = self.started - earlier.started
        return found


class HostSource:
    """A source of random numbers for libraries without one: NumPy's numbers, brought to a device.

    Parameters
    ----------
    device : Device
    host : Backend
        The backend whose generator draws.
    """

    def __init__(self, device: Device, host: Backend) -> None:
        self._device, self._host = device, host.devices[0]
        source = host.generator(self._host)
        self.seed, self.get_state, self.set_state = source.seed, source.get_state, source.set_state
        self._source = source

    def _bring(self, array: Any) -> Array:
        return self._device.backend.from_host(self._host.asarray(array), self._device, copy=False)

    def _fetch(self, array: Array) -> Any:
        return self._device.backend.to_host(array)

    def _dtype(self, dtype: Any) -> Any:
        return self._host.dtype(self._device.dtypes[dtype])

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Numbers in [0, 1)."""
        return self._bring(self._source.uniform(shape, self._dtype(dtype)))

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Numbers of the standard normal distribution."""
        return self._bring(self._source.normal(shape, self._dtype(dtype)))

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: Any) -> Array:
        """Integers in [low, high)."""
        return self._bring(self._source.integers(low, high, shape, self._dtype(dtype)))

    def permutation(self, n: int) -> Array:
        """A random order."""
        return self._bring(self._source.permutation(n))

    def gamma(self, alpha: Array, dtype: Any) -> Array:
        """Numbers of gamma distributions."""
        return self._bring(self._source.gamma(self._fetch(alpha), self._dtype(dtype)))

    def poisson(self, rate: Array) -> Array:
        """Numbers of Poisson distributions."""
        return self._bring(self._source.poisson(self._fetch(rate)))

    def binomial(self, n: Array, p: Array) -> Array:
        """Numbers of successes."""
        return self._bring(self._source.binomial(self._fetch(n), self._fetch(p)))


class Backend:
    """Base class of backends. A subclass says what its library does differently from the array API standard.

    A library that has the standard, and nothing to add, needs ``name`` and ``xp`` alone. Its arrays then count as not
    writable, since the standard leaves open what a write to a view does.

    Attributes
    ----------
    name : str
        The name users select it by; also that of its entry point.
    xp : namespace
        The library's array functions under the standard's names.
    array : type
        The type of its arrays.
    array_types : tuple of type
        Further types that are its arrays (JAX's tracers).
    dtypes : dict
        ``DType -> the library's dtype``.
    kernels : dict
        ``function name -> kernel``, for functions that the namespace lacks, or has slower or otherwise.
    inplace : dict
        ``function name -> kernel(*arrays, **params)`` that writes its result into the first array.
    bound : dict
        ``name of a view function -> bind(shape, **params)``, which gives its kernel for arrays of a shape, with the
        parameters in it. For libraries in which that is quicker than passing them.
    provided : dict
        ``function name -> kernel`` that op plugins bring for this backend; filled when they load.
    writable : bool
        Whether arrays can be written in place. Where not, a write makes a new array.
    strong : set of DType
        The types that the library does not keep when one of Python's numbers joins an array of them.
    is_host : bool
        Whether its arrays are what others exchange through host memory: NumPy's.
    calm : (ContextVar, value) or None
        For libraries that warn of infinities and NaN: a context variable, and its value under which they do not. The
        rules of a backward pass run under it.
    compiles : bool
        Whether `prepare` compiles kernels, bodies and all, so that what is inside runs once and then no more.
    refuses_indices : bool
        Whether it raises an IndexError for index arrays out of range, so that polyad need not look at them first.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.ones(2).backend.devices
    (device(type='cpu'),)
    """

    name: ClassVar[str]
    writable: ClassVar[bool] = False
    is_host: ClassVar[bool] = False
    calm: ClassVar[tuple[ContextVar[Any], Any] | None] = None
    compiles: ClassVar[bool] = False
    refuses_indices: ClassVar[bool] = False
    strong: ClassVar[frozenset[DType]] = frozenset()
    xp: Any
    kernels: Mapping[str, Kernel] = {}
    inplace: Mapping[str, Kernel] = {}
    bound: Mapping[str, Callable[..., Kernel]] = {}
    provided: dict[str, Kernel] = {}  # noqa: RUF012 - replaced when the backend is introduced

    @cached_property
    def array(self) -> type:
        """The type of its arrays."""
        return type(self.xp.empty(0))

    @cached_property
    def array_types(self) -> tuple[type, ...]:
        """Further types that are its arrays."""
        return (self.array,)

    @cached_property
    def dtypes(self) -> Mapping[DType, Any]:
        """The library's own type for each of polyad's that it has."""
        found = self.xp.__array_namespace_info__().dtypes()
        return {BY_NAME[name]: native for name, native in found.items() if name in BY_NAME}

    @cached_property
    def devices(self) -> tuple[Device, ...]:
        """Its devices, the default first."""
        return (Device(self, "cpu"),)

    # Kernels --------------------------------------------------------------------------------------------

    def resolve(self, function: Function, device: Device) -> Kernel:
        """Find the kernel of a function: this backend's own, a plugin's, the library's, or the body.

        Raises
        ------
        BackendError
            If there is none.
        """
        own = self.kernels.get(function.name) or self.provided.get(function.name)
        if own is None and function.standard and function.name not in self.kernels:
            own = standard(self.xp, function.name)
        if own is not None:
            return widened(own, function, self) if function.wide else own
        body = function.body
        if body is None:
            raise BackendError(
                f"backend {self.name!r} has no kernel for {function.name!r} of {function.provider}, and the function "
                f"has no body to fall back on; move its operands to another backend with x.to(backend=...)"
            )

        # a body that will be compiled as a whole calls kernels as they are; otherwise each is prepared itself
        xp = device.plain if function.prepare else device.xp

        def run(*arrays: Array, **params: Any) -> Any:
            if not function.sequence and not all(map(hasattr, arrays, repeat("shape"))):
                arrays = numbers_as_arrays(xp, function, arrays)
            return body(xp, *arrays, **params)

        run.__name__ = run.__qualname__ = function.name
        return widened(run, function, self) if function.wide else run

    def prepare(self, kernel: Kernel, function: Function) -> Kernel:
        """Make a kernel ready for repeated calls: a compiler's chance. As it stands, unchanged."""
        return kernel

    def place(self, kernel: Kernel, device: Device) -> Kernel:
        """Make a kernel run on ``device``, for libraries with a current device. As it stands, unchanged."""
        return kernel

    add_into: Callable[[Any, Any], Any] | None = None
    """``add_into(there, gradient)``: their sum, in the memory of ``there``, an array that nobody else has, where it is
    its own and of the right type. None where arrays cannot be written."""

    pull: Callable[[Any, Any, Sequence[Any]], Sequence[Any] | None] | None = None
    """``pull(node, g, args)``: the gradients of a node's inputs, all rules run as one compiled call; None to decline.

    For libraries that compile. Without it the engine runs the rules one by one."""

    # Arrays ---------------------------------------------------------------------------------------------

    def normalize(self, array: Any) -> Array:
        """Make an array of what a kernel returned, such as a library's scalar."""
        return array

    def from_flat(self, values: Sequence[Any], shape: tuple[int, ...], dtype: Any, device: Device) -> Array:
        """Make an array of ``shape`` from numbers in row-major order."""
        return self.xp.reshape(self.xp.asarray(values, dtype=dtype), shape)

    def from_host(self, array: Any, device: Device, *, copy: bool) -> Array:
        """Bring a NumPy array to ``device``; with ``copy``, never sharing its memory.

        Raises
        ------
        DTypeError
            If the library lacks its type.
        """
        device.dtype(as_dtype(array.dtype))
        native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
        return self.xp.asarray(native, copy=copy or not self.writable or None)

    def to_host(self, array: Array) -> Any:
        """Give the values as a NumPy array, sharing memory where the library can."""
        return self._host().from_dlpack(array, None if self.writable else True)

    @staticmethod
    def _host() -> Backend:
        from .plugins import DEFAULT_BACKEND, plugins

        return plugins.backend(DEFAULT_BACKEND)

    def from_dlpack(self, array: Any, copy: bool | None) -> Array:
        """Take another library's array through DLPack; by default sharing its memory where both allow.

        Raises
        ------
        BufferError, RuntimeError, TypeError, ValueError
            As the library does, if it cannot.
        """
        return self.xp.from_dlpack(array, copy=copy)

    def move(self, array: Array, source: Device, target: Device) -> Array:
        """Bring an array from one device of this backend to another, or to another backend's."""
        return target.backend.from_host(self.to_host(array), target, copy=not self.writable or source is target)

    def copy(self, array: Array) -> Array:
        """Give a new array of the same values, in row-major order where the library has an order."""
        return self.xp.asarray(array, copy=True)

    def owned(self, array: Array, shared: bool) -> Array:
        """Give an array that may be written: itself if nobody else has its memory, otherwise a copy."""
        return array

    def sealed(self, array: Array) -> Array:
        """Give a new array such that writing to it raises, where the library can; otherwise as it is."""
        return array

    def contiguous(self, array: Array) -> Array:
        """Give the array in row-major order, itself if it is, so that reshaping it never copies."""
        return array

    def strides(self, array: Array) -> tuple[int, ...] | None:
        """Strides in elements, where the library's arrays have them and may not be in row-major order."""
        return None

    def address(self, array: Array) -> int:
        """The address of an array's first element in its device's memory.

        Raises
        ------
        BackendError
            If the library does not say.
        """
        raise BackendError(
            f"data_ptr: backend {self.name!r} does not say where its arrays are; export the tensor with DLPack"
        )

    def write(self, target: Array, value: Array) -> None:
        """Write ``value`` into ``target`` in place. Called only where `writable`."""
        target[...] = value

    def device_of(self, array: Array) -> Device:
        """Where an array of this backend's library lives."""
        return self.devices[0]

    traced_by: ClassVar[str] = "a transformation such as jax.jit traces the function"
    """What makes arrays `is_traced`, for messages."""

    def is_traced(self, array: Array) -> bool:
        """Whether the array has no values that could be looked at, because a transformation traces it."""
        return False

    def distinct(self, array: Array) -> Array:
        """Give an array of the same elements that a compiler takes for another: it computes again what is computed of
        it again, and does not keep it from the first time.
        """
        return array

    def adopt(self, tensor_class: type) -> None:
        """Make a class of tensors known to the library's transformations. Called for each class there is."""

    def generator(self, device: Device) -> Any:
        """Give a new source of random numbers: see `polyad.ops.generators.Source`. By default NumPy's."""
        return HostSource(device, self._host())

    def memory_of(self, array: Array) -> Any:
        """Give what has the memory of an array, freed when nobody holds it: the array, or what it is a view of."""
        return array

    def synchronize(self, device: Device) -> None:
        """Wait until all work on ``device`` is done."""

    def stopwatch(self, device: Device) -> Stopwatch:
        """Start a clock for the work on ``device`` that is begun from now on. By default the host's."""
        return Stopwatch()

    def device_for(self, spec: str) -> Device:
        """The device that a text such as ``"cpu"`` or ``"cuda:1"`` names.

        Raises
        ------
        DeviceError
            If this backend has none of that name.
        """
        wanted = spec.strip()
        for device in self.devices:
            if wanted in (str(device), device.type):
                return device
        have = ", ".join(repr(str(d)) for d in self.devices)
        raise DeviceError(
            f"backend {self.name!r} has no device {spec!r}; it has {have}. "
            f"Write x.to(backend=...) or POLYAD_BACKEND=... for a device of another backend"
        )

    def describe(self) -> dict[str, str]:
        """Versions, devices and memory in words, for ``polyad info``."""
        return {}

    def __repr__(self) -> str:
        return f"<polyad backend {self.name!r}>"
