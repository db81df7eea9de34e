"""Backends wrapped round backends: tensors whose arrays hold tensors of the device below.

A transform in progress, such as `vmap`, is a `Level`. Around each device whose tensors it meets it puts a
`WrappedDevice`: a device like any other to everything above, whose arrays are `WrappedArray` objects. Their kernels
compute with the tensors inside, which are recorded, or wrapped again, by the level below. So autograd knows nothing of
levels, and levels nothing of autograd; they compose by nesting.

Levels in progress are a stack. What a transform is given is lifted through all of them first, so a tensor's levels are
always the lowest ones of the stack, and two tensors meet at the deeper one's (`meet`, `lift`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, ClassVar, Final, NoReturn

from .backend import Backend, Device
from .dtypes import BY_NAME, DType
from .errors import TransformError
from .function import FUNCTIONS, XP, Function
from .grad_mode import no_grad
from .graph import guard
from .kernels import Kernel, KernelTable, Namespace, as_it_is
from .tensor import Tensor, wrap
from .views import raw

__all__ = [
    "Level",
    "WrappedArray",
    "WrappedBackend",
    "WrappedDevice",
    "active",
    "below",
    "chain",
    "check_current",
    "enter",
    "entered",
    "inside",
    "leave",
    "lift",
    "lifted",
    "meet",
    "placed",
    "refuse_write",
    "stray",
    "together",
    "unrecorded",
    "values_of",
]


class WrappedArray:
    """An array of a wrapped device: what it holds are tensors of the device below.

    Rules compute on it as on any array: its operators are the device's kernels.

    Attributes
    ----------
    device : WrappedDevice
    shape : tuple of int
        As users of the level see it.
    dtype : DType
    """

    __slots__ = ("device", "shape", "dtype")
    device: WrappedDevice
    shape: tuple[int, ...]
    dtype: DType

    @property
    def ndim(self) -> int:
        """The number of its dimensions."""
        return len(self.shape)

    @property
    def mT(self) -> Any:
        """Its matrices transposed."""
        return raw(wrap(self, self.device).mT)

    @property
    def moves(self) -> bool:
        """Whether it has more than a value: a tangent."""
        return False

    def beside(self) -> list[str]:
        """Say what is to be shown beside its elements."""
        raise NotImplementedError

    def holding(self, value: Tensor) -> WrappedArray:
        """Give an array of the same kind, with another value and no more."""
        raise NotImplementedError


def _operator(name: str) -> Any:
    def operate(self: WrappedArray, *operands: Any) -> Any:
        result = getattr(Tensor, name)(wrap(self, self.device), *map(_as_tensor, operands))
        return raw(result) if isinstance(result, Tensor) else result

    operate.__name__ = operate.__qualname__ = name
    return operate


def _as_tensor(x: Any) -> Any:
    if isinstance(x, (tuple, list)):  # a key, or arrays
        return type(x)(map(_as_tensor, x)) if type(x) in (tuple, list) else x
    return wrap(x, x.device) if isinstance(x, WrappedArray) else x


for _name in (
    *("neg", "pos", "abs", "invert", "getitem"),
    *("bool", "int", "float", "complex", "index"),  # for bodies that look at values: as with tensors
    *("eq", "ne", "lt", "le", "gt", "ge"),
    *(f"{r}{name}" for r in ("", "r") for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul")),
    *(f"{r}{name}" for r in ("", "r") for name in ("and", "or", "xor", "lshift", "rshift")),
):
    setattr(WrappedArray, f"__{_name}__", _operator(f"__{_name}__"))
WrappedArray.__hash__ = object.__hash__  # type: ignore[method-assign]


class Level:
    """One transform in progress.

    Attributes
    ----------
    ended : bool
        Whether the transform is over.
    randomness : str
        What functions that draw random numbers do: ``"same"`` numbers for all that the transform varies,
        ``"different"`` ones, or ``"error"``.
    """

    backend: ClassVar[type[WrappedBackend]]
    """The class of the backends that it wraps round others."""
    randomness: str = "same"

    outside: ClassVar[str] = (
        "outside the function that was transformed, where it has no meaning; return it from the function, and use what "
        "the transform gives back"
    )
    """Where its tensors are when they are used too late, and what to write."""

    def __init__(self) -> None:
        self.ended = False
        self._devices: dict[Device, WrappedDevice] = {}

    @property
    def is_over(self) -> bool:
        """Whether its tensors can be used no more: here it is in progress again where the context is one of then."""
        return self.ended and self not in active()

    def device(self, inner: Device) -> WrappedDevice:
        """Give the device of this level round another."""
        found = self._devices.get(inner)
        if found is None:
            found = self._devices[inner] = WrappedDevice(self.backend.round(inner.backend), inner, self)
        return found

    def constant(self, tensor: Tensor, device: WrappedDevice) -> WrappedArray:
        """Give the array of this level that stands for a tensor which the transform does not vary."""
        raise NotImplementedError

    def custom(self, cls: Any, args: Sequence[Any], needed: Sequence[bool], device: WrappedDevice) -> Any:
        """Call a function with a derivative of the user's own, on arguments of a device of this level.

        Gives a `polyad.transforms.custom.Call`; ``cls`` is a `polyad.autograd.Function`, and ``needed`` says of which
        arguments a level inside wants a derivative.
        """
        raise NotImplementedError

    def end(self) -> None:
        """Have every function raise that meets a tensor of this level from here on."""
        self.ended = True
        for device in self._devices.values():
            device.kernels = _Ended(device)


class _Ended(KernelTable):
    """The kernels of a level that is over: none, unless a context of then runs again, as `checkpoint` has it do.

    So a fast call does not ask whether a level is over.
    """

    __slots__ = ()

    def __missing__(self, function: Function) -> Kernel:
        device: Any = self.device
        if not device.level.is_over:
            return device.backend.resolve(function, device)  # type: ignore[no-any-return]
        raise TransformError(f"{function.name}: {stray(self.device)}")


class WrappedDevice(Device):
    """A device of one level, round a device of the level below or of a library.

    Attributes
    ----------
    inner : Device
    level : Level
    depth : int
        How many levels there are down to a library's device.
    """

    __slots__ = ("inner", "level", "depth")
    inner: Device
    level: Level
    depth: int

    def __init__(self, backend: WrappedBackend, inner: Device, level: Level) -> None:
        self.backend, self.type, self.index, self.handle = backend, inner.type, inner.index, None
        self.inner, self.level, self.depth = inner, level, inner.depth + 1
        self.kernels = KernelTable(self)
        self.xp = self.plain = Namespace(self, self._function)
        self.array, self.asarray = backend.array, backend.normalize
        self.pull = self.add_into = None
        self.inplace, self.watched_source = backend.inplace, as_it_is
        self.native, self.dtypes, self.accepted, self.weak = backend.types
        self._ones, self.views = {}, {}

    def _function(self, function: Function) -> Any:
        """Give a function as bodies and rules call it: as a user would, since they leave out what has a default."""
        if not function.inputs:
            return self.kernels[function]

        def call(*args: Any, **params: Any) -> Any:
            result = function.call(*map(_as_tensor, args), **params)
            return tuple(map(raw, result)) if isinstance(result, tuple) else raw(result)

        return call

    @property
    def where(self) -> str:
        """Transform, backend and place in words, for messages."""
        return f"{self.backend.name}, device '{self}'"


class _Types(XP):
    """The library of a wrapped backend: types by their names, and no functions that are not polyad's."""

    def __getattr__(self, name: str) -> Any:
        try:
            return BY_NAME[name]
        except KeyError:
            raise AttributeError(name) from None


class WrappedBackend(Backend):
    """A backend whose arrays hold tensors of another. Arrays are never written: a write makes a new one.

    Attributes
    ----------
    inner : Backend
    transform : str
        The name of what wraps, for messages.
    """

    transform: ClassVar[str]
    xp = _Types()
    _made: ClassVar[dict[tuple[type, Backend], Any]] = {}

    @classmethod
    def round(cls, inner: Backend) -> WrappedBackend:
        """Give the backend of this class round another; there is one."""
        key = cls, inner
        if key not in cls._made:
            cls._made[key] = cls(inner)
        return cls._made[key]  # type: ignore[no-any-return]

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.name = f"{self.transform} of {inner.name}"  # type: ignore[misc]
        native = {d: d for d in inner.dtypes}
        self.__dict__.update(dtypes=native, devices=())
        like = Device(self, "cpu")
        self.types = native, native, like.accepted, like.weak
        self.refuses_indices = inner.refuses_indices  # type: ignore[misc]

    def resolve(self, function: Function, device: Device) -> Kernel:
        """Make a kernel of a function: it computes with the tensors inside."""
        assert isinstance(device, WrappedDevice)
        if not function.inputs:
            return self.creation(function, device)
        if function is FUNCTIONS["to_device"]:  # its parameters are devices of this level
            return lambda array, *, source, device: self.move(array, source, device)
        return self.kernel(function, device)

    def creation(self, function: Function, device: WrappedDevice) -> Kernel:
        """Make the kernel of a function of no arrays: its result is the same for all that the transform varies."""
        inner = device.inner

        def create(*like: Any, **params: Any) -> Any:
            if params.get("dtype") is not None:
                params["dtype"] = inner.dtype(params["dtype"])
            given = [raw(self.example(x)) if isinstance(x, WrappedArray) else x for x in like]
            made = inner.kernels[function](*given, **params)
            return device.level.constant(wrap(inner.asarray(made), inner), device)

        return create

    def kernel(self, function: Function, device: WrappedDevice) -> Kernel:
        """Make the kernel of a function of arrays."""
        raise NotImplementedError

    def example(self, array: Any) -> Tensor:
        """Give a tensor of the device below of an array's own shape and type."""
        raise NotImplementedError

    def values(self, array: Any) -> Tensor:
        """Give the tensor of the device below that holds an array's values."""
        raise NotImplementedError

    def inside(self, array: Any) -> tuple[Tensor, ...]:
        """Give all tensors of the device below that an array holds."""
        raise NotImplementedError

    def converted(self, array: Any, convert: Callable[[Tensor], Tensor], device: WrappedDevice) -> Any:
        """Make an array of a device of the same level from what is inside, converted."""
        raise NotImplementedError

    # Arrays ---------------------------------------------------------------------------------------------

    def from_flat(self, values: Sequence[Any], shape: tuple[int, ...], dtype: Any, device: Device) -> Any:
        """Make an array of numbers."""
        assert isinstance(device, WrappedDevice)
        inner = device.inner
        data = inner.backend.from_flat(values, shape, inner.dtype(dtype), inner)
        return device.level.constant(wrap(inner.asarray(data), inner), device)

    def from_host(self, array: Any, device: Device, *, copy: bool) -> Any:
        """Bring a NumPy array below."""
        assert isinstance(device, WrappedDevice)
        inner = device.inner
        data = inner.backend.from_host(array, inner, copy=copy)
        return device.level.constant(wrap(inner.asarray(data), inner), device)

    def copy(self, array: Any) -> Any:
        """Give the array: nobody can write to it."""
        return array

    def move(self, array: Any, source: Device, target: Device) -> Any:
        """Bring what is inside to the device below another device of the same level."""
        assert isinstance(target, WrappedDevice)
        inner = target.inner
        return self.converted(array, lambda x: FUNCTIONS["to_device"].call(x, inner), target)

    def generator(self, device: Device) -> Any:
        """Refuse: random numbers are drawn below (see `polyad.ops.generators.drawing`)."""
        raise TransformError(
            f"Generator: there is none on {self.name}; make it outside the function that is transformed, for the "
            f"device of {self.inner.name}, and pass it as generator="
        )

    def device_for(self, spec: str) -> Device:
        """Give the inner backend's device of a name."""
        return self.inner.device_for(spec)

    def describe(self) -> dict[str, str]:
        """What is wrapped, for messages."""
        return {"transform": self.transform, "of": self.inner.name}


# The levels in progress -------------------------------------------------------------------------------------

_active: ContextVar[tuple[Level, ...]] = ContextVar("polyad_levels", default=())
active: Final = _active.get
"""``active()``: the levels in progress, the outermost first."""


@contextmanager
def entered(level: Level) -> Iterator[None]:
    """A block in which a level is the innermost in progress; it is ended afterwards."""
    token = _active.set((*_active.get(), level))
    try:
        yield
    finally:
        level.end()
        _active.reset(token)


def enter(level: Level) -> None:
    """Make a level the innermost in progress, until `leave`."""
    _active.set((*_active.get(), level))


def leave(level: Level) -> None:
    """End the innermost level in progress.

    Raises
    ------
    TransformError
        If the level is another.
    """
    levels = _active.get()
    if not levels or levels[-1] is not level:
        state = "has ended already" if level.ended else "is not the innermost: end those first that began later"
        raise TransformError(f"the level of {level.backend.transform} {state}")
    level.end()
    _active.set(levels[:-1])


@contextmanager
def below(level: Level, device: Device | None = None) -> Iterator[None]:
    """A block that is outside a level in progress, and outside those that are inside it.

    Raises
    ------
    TransformError
        If the level is not in progress; it names ``device``.
    """
    levels = _active.get()
    if level not in levels:
        raise TransformError(stray(device) if device is not None else f"a tensor is used {level.outside}")
    token = _active.set(levels[: levels.index(level)])
    try:
        yield
    finally:
        _active.reset(token)


def unrecorded(*devices: Device) -> AbstractContextManager[Any]:
    """A block in which gradients are computed that nobody differentiates at their own level.

    That is `no_grad`, but for tensors of a level the mode around: the level below may record what they hold.
    """
    return nullcontext() if any(d.depth for d in devices) else no_grad()


def chain(device: Device) -> tuple[tuple[Level, ...], Device]:
    """Take a device apart: the levels that it is wrapped in, the outermost first, and the library's device."""
    found: Any = device
    levels: list[Level] = []
    while found.depth:
        levels.insert(0, found.level)
        found = found.inner
    return tuple(levels), found


def placed(device: Device, beside: Device) -> Device:
    """Give the device of a place that tensors of another meet at: in the levels of the one that has more."""
    (own, found), (others, _) = chain(device), chain(beside)
    for level in max(own, others, key=len):
        found = level.device(found)
    return found


def meet(a: Device, b: Device) -> Device | None:
    """Give the device at which tensors of two devices meet: the deeper, if it is wrapped round the other.

    Raises
    ------
    TransformError
        If they do not, because a transform is over.
    """
    deep, shallow = (a, b) if a.depth >= b.depth else (b, a)
    found: Any = deep
    while found.depth > shallow.depth:
        found = found.inner
    if found is shallow:
        return deep
    for device in (a, b):
        if isinstance(device, WrappedDevice) and device.level.is_over:
            raise TransformError(stray(device))
    return None


def lift(tensor: Tensor, device: Device) -> Tensor:
    """Give a tensor of a level below as one of ``device`` that the levels between do not vary.

    Writes to it are noticed there: it has the tensor's version.

    Raises
    ------
    TransformError
        If the transform of ``device`` is over.
    """
    if tensor._device is device:
        return tensor
    assert isinstance(device, WrappedDevice)
    if device.level.is_over:
        raise TransformError(stray(device))
    below = lift(tensor, device.inner)
    out = wrap(device.level.constant(below, device), device)
    out._writes = guard(below)[0]
    return out


def together(x: Tensor, *others: Any) -> Tensor:
    """Give a tensor where it meets the tensors among ``others``: itself, or lifted.

    As it is where they do not meet, which is left to those who compute with them to say.
    """
    device = x._device
    for other in others:
        if isinstance(other, Tensor) and other._device is not device:
            device = meet(device, other._device) or device
    return lift(x, device)


def values_of(tensor: Tensor) -> Tensor:
    """Give the tensor of a library's device that holds a tensor's values: of `vmap`'s, those of all examples."""
    while tensor._device.depth:
        backend: Any = tensor._device.backend
        tensor = backend.values(raw(tensor))
    return tensor


def inside(tensor: Tensor) -> Iterator[Tensor]:
    """Give the tensors that a tensor's array holds, of all levels down to a library's device."""
    backend = tensor._device.backend
    if isinstance(backend, WrappedBackend):
        for part in backend.inside(raw(tensor)):
            yield part
            yield from inside(part)


def refuse_write(name: str, x: Tensor, device: Device) -> NoReturn:
    """Raise for a write of what a transform varies into a tensor that it does not know."""
    raise TransformError(
        f"{name}: the tensor of shape {x.shape} is on {x._device.where}, and what is written on {device.where}, which "
        f"it cannot hold: it is from outside the function that is transformed, or was made without regard to its "
        f"arguments. Make it by polyad.zeros_like(x) or x.new_zeros(shape), where x is an argument, or return the value"
    )


def lifted(tensor: Tensor) -> Tensor:
    """Lift a tensor through all levels in progress.

    Raises
    ------
    TransformError
        If it is of a level that is not among them.
    """
    device = tensor._device
    levels = active()
    if chain(device)[0] != levels[: device.depth]:
        raise TransformError(stray(device))
    for level in levels[device.depth :]:
        wrapped = level.device(tensor._device)
        tensor = wrap(level.constant(tensor, wrapped), wrapped)
    return tensor


def check_current(name: str, *devices: Device) -> None:
    """Raise if one of the devices is of a transform that is over, or of another thread's; ``name`` says who asks."""
    for device in devices:
        found: Any = device
        while found.depth:
            if found.level not in _active.get():
                raise TransformError(f"{name}: {stray(found)}")
            found = found.inner


def stray(device: Device) -> str:
    """Say that a tensor is of a transform that is over, or of another thread's."""
    assert isinstance(device, WrappedDevice)
    return f"a tensor of {device.where} is used {device.level.outside}"
