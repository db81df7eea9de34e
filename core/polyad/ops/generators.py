"""Sources of random numbers. Each device has one of its library; the same seed gives the same numbers there again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

from ..backend import Backend, Device
from ..batching import in_front
from ..dtypes import float64
from ..errors import ArgumentError, ShapeError, TransformError
from ..function import FUNCTIONS
from ..levels import active, chain
from ..tensor import wrap
from ..views import raw
from .arguments import as_shape
from .placement import DeviceLike, place

__all__ = [
    "Generator",
    "Source",
    "States",
    "drawing",
    "generator_of",
    "initial_seed",
    "manual_seed",
    "seed",
    "watching_draws",
]


class Source(Protocol):
    """What a backend gives as its generator: draws raw arrays. ``dtype`` is the library's own."""

    def seed(self, seed: int) -> None:
        """Start the sequence that belongs to a seed."""

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers evenly distributed in [0, 1)."""

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers of the standard normal distribution."""

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Integers evenly distributed in [low, high)."""

    def permutation(self, n: int) -> Any:
        """The integers 0 to n - 1 in random order, int64."""

    def gamma(self, alpha: Any, dtype: Any) -> Any:
        """Numbers of the gamma distributions of the shapes in the array ``alpha``, which are 1 and more."""

    def poisson(self, rate: Any) -> Any:
        """Numbers of the Poisson distributions of the means in the array ``rate``, int64."""

    def binomial(self, n: Any, p: Any) -> Any:
        """Numbers of successes in ``n`` trials of probability ``p``, arrays of one shape; int64."""

    def get_state(self) -> Any:
        """Everything that determines the numbers to come, as something that can be pickled."""

    def set_state(self, state: Any) -> None:
        """Continue from a state."""


class Generator:
    """A source of random numbers with a state of its own, passed as ``generator=``.

    Parameters
    ----------
    device : Device or str, optional
        Where it makes tensors; by default see `polyad.default_device`.
    backend : str, optional
        A backend other than the default.

    Examples
    --------
    >>> import polyad as ad
    >>> g = ad.Generator().manual_seed(0)
    >>> a = ad.rand(3, generator=g)
    >>> b = ad.rand(3, generator=g.manual_seed(0))
    >>> bool((a == b).all())
    True
    """

    def __init__(self, device: DeviceLike = None, *, backend: str | Backend | None = None) -> None:
        self.device = place(device, backend)
        self._source: Source = self.device.backend.generator(self.device)
        self._seed = _fresh()
        self._source.seed(self._seed)

    @property
    def source(self) -> Source:
        """What draws, or is about to be set: who watches draws is told before."""
        for note in _watching.get():
            note(self)
        return self._source

    def manual_seed(self, seed: int) -> Generator:
        """Start the sequence that belongs to ``seed``; returns the generator."""
        value, source = _checked(seed), self.source
        self._seed = value
        source.seed(value)
        return self

    def seed(self) -> int:
        """Start a sequence of an unpredictable seed, and give it."""
        self.manual_seed(_fresh())
        return self._seed

    def initial_seed(self) -> int:
        """Give the seed of the sequence."""
        return self._seed

    def get_state(self) -> Any:
        """Give what determines the numbers to come."""
        return self._source.get_state()

    def set_state(self, state: Any) -> None:
        """Continue from a state that `get_state` gave."""
        self.source.set_state(state)

    def __repr__(self) -> str:
        return f"<polyad.Generator on {self.device.where}, seed {self._seed}>"


# Watching draws ---------------------------------------------------------------------------------------------------

_watching: Final[ContextVar[tuple[Callable[[Generator], None], ...]]] = ContextVar("polyad_draws", default=())


@contextmanager
def watching_draws(note: Callable[[Generator], None]) -> Iterator[None]:
    """A block that tells ``note(generator)`` of every generator that is about to draw or to be seeded."""
    token = _watching.set((*_watching.get(), note))
    try:
        yield
    finally:
        _watching.reset(token)


class States:
    """Generators as they were before a block first used them: entries are made by `note`.

    A generator that nobody else holds is forgotten.
    """

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: WeakKeyDictionary[Generator, tuple[int, Any]] = WeakKeyDictionary()

    def note(self, generator: Generator) -> None:
        """Note a generator's state, unless it is noted."""
        if generator not in self._found:
            self._found[generator] = generator._seed, generator._source.get_state()

    def restore(self) -> None:
        """Have all generators go on from here."""
        for generator, (seed, state) in self._found.items():
            generator._seed = seed
            generator._source.set_state(state)

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """A block that draws what was drawn from these states, and leaves all generators as it found them."""
        before = States()
        for generator in self._found:
            before.note(generator)
        self.restore()
        token = _watching.set((before.note,))
        try:
            yield
        finally:
            _watching.reset(token)
            before.restore()


def _fresh() -> int:
    import secrets

    return secrets.randbits(63)


def _checked(seed: Any) -> int:
    try:
        value = int(seed.__index__())
    except (AttributeError, TypeError):
        raise ArgumentError(f"manual_seed: a seed is an integer; got {seed!r}") from None
    if not -(2**63) <= value < 2**64:
        raise ArgumentError(f"manual_seed: a seed has at most 64 bits; got {value}")
    return value % 2**64


_generators: Final[dict[Device, Generator]] = {}
_lock: Final = threading.Lock()
_process_seed: int | None = None


def generator_of(device: Device) -> Generator:
    """Give the default generator of a device."""
    found = _generators.get(device)
    if found is None:
        with _lock:
            found = _generators.get(device)
            if found is None:
                found = Generator(device)
                if _process_seed is not None:
                    found.manual_seed(_process_seed)
                _generators[device] = found
    return found


def manual_seed(seed: int) -> Generator:
    """Seed the default generators of all devices, those in use and those to come.

    The numbers that belong to a seed differ between backends: each has its library's generator.

    Parameters
    ----------
    seed : int
        Of at most 64 bits.

    Returns
    -------
    Generator
        That of the default device.

    Raises
    ------
    ArgumentError
        If it is no such integer.

    Examples
    --------
    >>> import polyad as ad
    >>> _ = ad.manual_seed(0)
    >>> a = ad.rand(2)
    >>> _ = ad.manual_seed(0)
    >>> bool((a == ad.rand(2)).all())
    True
    """
    global _process_seed
    _process_seed = _checked(seed)
    for found in list(_generators.values()):
        found.manual_seed(_process_seed)
    return generator_of(place())


def seed() -> int:
    """Seed all default generators unpredictably, and give the seed.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.seed() == ad.initial_seed()
    True
    """
    value = _fresh()
    manual_seed(value)
    return value


def initial_seed() -> int:
    """Give the seed of the default device's generator.

    Examples
    --------
    >>> import polyad as ad
    >>> _ = ad.manual_seed(7)
    >>> ad.initial_seed()
    7
    """
    return generator_of(place()).initial_seed()


def drawing(
    name: str, shape: Any, generator: Generator | None, device: DeviceLike, backend: Any
) -> tuple[tuple[int, ...], Device, Source]:
    """The shape of what is to be drawn, its place, and the source to draw from.

    Raises
    ------
    ShapeError
        If a length is negative.
    ArgumentError
        If the generator is none, or on another device than was asked for.
    TransformError
        Inside a `vmap` that was not told what to do.
    """
    lengths = as_shape(name, shape)
    if any(n < 0 for n in lengths):
        raise ShapeError(f"{name}: lengths cannot be negative; got {lengths}")
    if generator is None:
        where = place(device, backend)
        base = chain(where)[1]
        return lengths, *_in_levels(name, where, base.watched_source(generator_of(base).source, base))
    if not isinstance(generator, Generator):
        raise ArgumentError(f"{name}: generator must be a polyad.Generator; got {generator!r:.60}")
    where = generator.device if device is None and backend is None else place(device, backend)
    if chain(where)[1] is not generator.device:
        raise ArgumentError(
            f"{name}: the generator is on {generator.device.where}, and a tensor on {where.where} was asked for; "
            f"make one with polyad.Generator(device)"
        )
    base = chain(where)[1]
    return lengths, *_in_levels(name, where, base.watched_source(generator.source, base))


# Under transforms -------------------------------------------------------------------------------------------


def _in_levels(name: str, where: Device, source: Source) -> tuple[Device, Source]:
    """Where to draw, and from what, under the transforms in progress.

    A device of a level has a source that draws below. Where `vmap` asks for different numbers for each example, what
    is drawn is of its level, even if the device that was asked for is not.

    Raises
    ------
    TransformError
        Inside a `vmap` that was not told what to do.
    """
    levels = active()
    if not levels:
        return where, source
    depth, where = where.depth, chain(where)[1]
    for i, level in enumerate(levels, start=1):
        if level.randomness == "error":
            raise TransformError(
                f"vmap: {name} draws random numbers; write vmap(..., randomness='different') for other numbers for "
                f"each example, or randomness='same' for the same for all"
            )
        if level.randomness == "different":
            depth = max(depth, i)
    for level in levels[:depth]:
        made = _Different if level.randomness == "different" else _Same
        where = level.device(where)
        source = made(name, where, source)
    return where, source


class _Same:
    """The source of a level's device: draws below, the same for all that the level varies."""

    def __init__(self, name: str, device: Any, below: Source) -> None:
        self.name, self.device, self.below = name, device, below
        self.get_state, self.set_state, self.seed = below.get_state, below.set_state, below.seed

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """What is to be drawn below for a shape."""
        return shape

    def parameter(self, array: Any) -> Any:
        """Give the array below of an array that says what is to be drawn."""
        values = self.device.backend.values(array)
        if values.ndim > len(array.shape):
            raise TransformError(
                f"vmap: {self.name} cannot draw the same numbers for all examples, since a parameter differs from "
                f"example to example; write vmap(..., randomness='different')"
            )
        return raw(values)

    def drawn(self, array: Any) -> Any:
        """Give the array of what was drawn below."""
        return self.device.level.constant(wrap(self.device.inner.asarray(array), self.device.inner), self.device)

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers in [0, 1)."""
        return self.drawn(self.below.uniform(self.shape(shape), self.device.inner.dtype(dtype)))

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers of the standard normal distribution."""
        return self.drawn(self.below.normal(self.shape(shape), self.device.inner.dtype(dtype)))

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Integers in [low, high)."""
        return self.drawn(self.below.integers(low, high, self.shape(shape), self.device.inner.dtype(dtype)))

    def permutation(self, n: int) -> Any:
        """A random order."""
        return self.drawn(self.below.permutation(n))

    def gamma(self, alpha: Any, dtype: Any) -> Any:
        """Numbers of gamma distributions."""
        return self.drawn(self.below.gamma(self.parameter(alpha), self.device.inner.dtype(dtype)))

    def poisson(self, rate: Any) -> Any:
        """Numbers of Poisson distributions."""
        return self.drawn(self.below.poisson(self.parameter(rate)))

    def binomial(self, n: Any, p: Any) -> Any:
        """Numbers of successes."""
        return self.drawn(self.below.binomial(self.parameter(n), self.parameter(p)))


class _Different(_Same):
    """The same for `vmap`, with other numbers for each example."""

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """One dimension more, of the examples."""
        return (self.device.level.size, *shape)

    def parameter(self, array: Any) -> Any:
        """Give the array below, with the examples in front."""
        values = self.device.backend.values(array)
        return raw(in_front(values, self.device.level.size, values.ndim > len(array.shape)))

    def drawn(self, array: Any) -> Any:
        """Give the array of what was drawn below for all examples."""
        return self.device.level.examples(wrap(self.device.inner.asarray(array), self.device.inner), self.device)

    def permutation(self, n: int) -> Any:
        """A random order for each: the one that sorts random numbers."""
        keys = self.below.uniform(self.shape((n,)), self.device.inner.dtype(float64))
        order = FUNCTIONS["argsort"].call(wrap(self.device.inner.asarray(keys), self.device.inner), axis=-1)
        return self.device.level.examples(order, self.device)
