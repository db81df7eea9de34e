"""What every distribution begins with: its parameters, the shape, type and device of the result, and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ..backend import Backend, Device
from ..careful import broadcast_shapes
from ..dtypes import DType, DTypeLike, as_dtype, float32, promote_types
from ..errors import ArgumentError, DeviceError, DTypeError, OperandError, ShapeError
from ..grad_mode import no_grad
from ..levels import lift, meet, values_of
from ..plugins import plugins
from ..tensor import Tensor, wrap
from ..views import raw
from .arguments import Shape
from .conversion import asarray
from .generators import Generator, Source, drawing
from .placement import DeviceLike, place

__all__ = ["Draw", "Parameter", "Size", "begin", "is_seen", "refuse"]

Parameter: TypeAlias = "Tensor | float"
"""A parameter of a distribution: a tensor, or a number."""

Size: TypeAlias = "int | Sequence[int] | None"


def is_seen(x: Tensor) -> bool:
    """Whether a tensor's values may be looked at: not on a GPU, which that would wait for, nor while it is traced."""
    return x._device.type == "cpu" and not x.backend.is_traced(raw(x))


def refuse(name: str, parameter: str, value: Any, is_bad: Callable[[Any], Any], wanted: str) -> None:
    """Raise for a parameter with bad values, as far as they can be seen.

    Raises
    ------
    ArgumentError
        With the first of them.
    """
    if isinstance(value, Tensor):
        value = values_of(value)
        if not is_seen(value):
            return
        with no_grad():
            bad = is_bad(value.detach())
            found = [v for v, b in zip(_flat(value), _flat(bad), strict=True) if b] if bool(bad.any()) else []
        if not found:
            return
        value = found[0]
    elif not is_bad(value):
        return
    raise ArgumentError(f"{name}: {parameter} must {wanted}; got {value!r}")


def _flat(x: Tensor) -> list[Any]:
    return x.detach().reshape(-1).tolist()  # type: ignore[no-any-return]


class Draw:
    """One draw of a distribution: where, in which type, of which shape; it makes noise.

    Attributes
    ----------
    params : list of (Tensor or float)
        The distribution's parameters, tensors in the type to compute in.
    shape : tuple of int
        Of the result, but for what belongs to one event.
    dtype : DType
        Of the result.
    work : DType
        To compute in: float32 for those of half precision, float64 with its own.
    """

    __slots__ = ("params", "shape", "where", "source", "dtype", "work")

    def __init__(
        self, params: list[Any], shape: Shape, where: Device, source: Source, dtype: DType, work: DType
    ) -> None:
        self.params, self.shape, self.where, self.source = params, shape, where, source
        self.dtype, self.work = dtype, work

    def noise(self, kind: str, *event: int) -> Tensor:
        """Independent numbers, ``"normal"`` or ``"uniform"`` in [0, 1), for each element and place in an event."""
        draw = getattr(self.source, kind)
        return wrap(self.where.asarray(draw((*self.shape, *event), self.where.dtype(self.work))), self.where)

    def exponential(self, *event: int) -> Tensor:
        """Independent numbers of the standard exponential distribution."""
        return -(-self.noise("uniform", *event)).log1p()

    def gumbel(self, *event: int) -> Tensor:
        """Independent numbers of the standard Gumbel distribution."""
        # a uniform number of 0 would give infinity
        return -self.exponential(*event).maximum(2.0**-54 if self.work.itemsize == 8 else 2.0**-25).log()

    def result(self, x: Tensor) -> Tensor:
        """Give what was computed in the type that was asked for."""
        return x if x.dtype is self.dtype else x.astype(self.dtype)

    def tensor(self, value: Parameter, *event: int) -> Tensor:
        """Give a parameter as a tensor of the draw's shape."""
        shape = (*self.shape, *event)
        if not isinstance(value, Tensor):
            number = self.where.backend.from_flat([value], (), self.where.dtype(self.work), self.where)
            return wrap(number, self.where).expand(shape)
        return value if value.shape == shape else value.expand(shape)


def begin(
    name: str,
    params: Mapping[str, Any],
    size: Size,
    generator: Generator | None,
    dtype: DTypeLike | None,
    device: DeviceLike,
    backend: str | Backend | None,
    event: int = 0,
) -> Draw:
    """Bring a distribution's arguments to one form.

    Parameters
    ----------
    name : str
        Of the distribution, for messages.
    params : mapping
        Its parameters by name.
    size, generator, dtype, device, backend
        As users gave them.
    event : int
        How many dimensions of the first parameter, counted from the last, belong to one event.

    Raises
    ------
    OperandError
        If a parameter is neither tensor nor number.
    DeviceError
        If parameters are on different devices, or another one was asked for.
    ShapeError
        If they do not broadcast to ``size``.
    """
    given = {key: _parameter(name, key, value) for key, value in params.items()}
    tensors = {key: value for key, value in given.items() if isinstance(value, Tensor)}
    where = _device(name, tensors, generator, device, backend)
    lengths, where, source = drawing(name, () if size is None else size, generator, where, None)
    given = {k: asarray(v, device=where) if isinstance(v, list) else v for k, v in given.items()}
    tensors = {key: value for key, value in given.items() if isinstance(value, Tensor)}
    wanted = _dtype(name, tensors.values(), dtype)
    work = wanted if wanted.itemsize >= 4 else float32
    shape = _shape(name, tensors, None if size is None else lengths, event)
    given = {k: lift(v, where) if isinstance(v, Tensor) else v for k, v in given.items()}
    found = [v.astype(work) if isinstance(v, Tensor) and v.dtype is not work else v for v in given.values()]
    return Draw(found, shape, where, source, wanted, work)


def _parameter(name: str, parameter: str, value: Any) -> Any:
    if isinstance(value, (Tensor, list)):
        return value
    if isinstance(value, (bool, int, float)):
        return float(value)
    if isinstance(value, tuple):
        return list(value)
    owner = plugins.owner(value)
    if owner is not None:
        return wrap(value, owner)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return float(value.item())
    raise OperandError(
        f"{name}: {parameter} is a {type(value).__name__}, {value!r:.60}; expected a tensor or a number: "
        f"write polyad.tensor(...) around it"
    )


def _device(
    name: str, tensors: Mapping[str, Tensor], generator: Any, device: DeviceLike, backend: Any
) -> Device | None:
    """Where the parameters are; else where the generator or the arguments say, or None for the default."""
    if not tensors:
        if generator is not None and device is None and backend is None and isinstance(generator, Generator):
            return generator.device
        return place(device, backend)
    (first, x), *others = tensors.items()
    where = x._device
    for other, y in others:
        found = meet(where, y._device)
        if found is None:
            raise DeviceError(
                f"{name}: {first} is on {x._device.where}, {other} on {y._device.where}; "
                f"write {other}.to(device={first}.device) to bring them together"
            )
        where = found
    if device is not None or backend is not None:
        asked = place(device, backend)
        found = meet(where, asked)
        if found is None:
            raise DeviceError(
                f"{name}: {first} is on {x._device.where}, and a result on {asked.where} was asked for; "
                f"write {first}.to(...) to draw there"
            )
        where = found
    return where


def _dtype(name: str, tensors: Any, dtype: DTypeLike | None) -> DType:
    if dtype is not None:
        wanted = as_dtype(dtype)
        if not wanted.is_floating_point:
            raise DTypeError(f"{name} draws real floating-point numbers; got dtype {wanted.name}")
        return wanted
    common: DType | None = None
    for x in tensors:
        found = x.dtype if x.dtype.is_floating_point else float32
        if x.dtype.is_complex:
            raise DTypeError(f"{name}: parameters must be real; got {x.dtype.name}")
        common = found if common is None else promote_types(common, found)
    return common or float32


def _shape(name: str, tensors: Mapping[str, Tensor], size: Shape | None, event: int) -> Shape:
    """The shape of the result: what the parameters broadcast to, or ``size`` if they broadcast to that."""
    shapes = [x.shape[: x.ndim - event] for x in tensors.values()]
    together = broadcast_shapes(name, shapes)
    if size is None:
        return together
    ends = zip(reversed(together), reversed(size), strict=False)
    if len(together) > len(size) or any(n not in (1, m) for n, m in ends):
        listed = ", ".join(f"{key} has shape {x.shape}" for key, x in tensors.items())
        raise ShapeError(
            f"{name}: {listed}, which does not broadcast to size {size}; size is the shape of the whole result, "
            f"of which the parameters' shape is the end: write size=({', '.join(map(str, (*size, *together)))})"
        )
    return size
