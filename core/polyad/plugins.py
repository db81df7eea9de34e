"""Finding and loading backends and op plugins: discovered without importing, loaded by name when first needed.

Hooks fill dictionaries here; operations read dictionaries.
"""

from __future__ import annotations

import copyreg
import os
import sys
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .backend import Backend, Device, Kernel
from .errors import BackendError, BackendNotInstalledError, PluginError, PluginNotInstalledError, PolyadError
from .function import FUNCTIONS
from .scoped import scoped

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Plugins", "default_device", "plugins", "use_backend"]

F = TypeVar("F", bound=Callable[..., Any])

BACKENDS: Final = "polyad.backends"
PLUGINS: Final = "polyad.plugins"


def _installed(group: str) -> Iterable[EntryPoint]:
    from importlib.metadata import entry_points  # some 10 ms: only when something is looked for

    return entry_points(group=group)


def _origin(entry: EntryPoint) -> str:
    """Name an entry point's distribution and version, for messages."""
    dist = entry.dist
    return f"{dist.name} {dist.version}" if dist is not None else "an unknown distribution"


class Plugins:
    """The plugins of a process.

    Parameters
    ----------
    installed : callable
        ``installed(group)`` lists entry points; another one serves the tests.

    Attributes
    ----------
    failures : dict
        ``name -> error`` of the backends and plugins that failed to load.
    """

    def __init__(self, installed: Callable[[str], Iterable[EntryPoint]] = _installed) -> None:
        self._installed = installed
        self._index: dict[str, dict[str, list[EntryPoint]]] = {}
        self._backends: dict[str, Backend] = {}
        self._kernels: dict[tuple[str, str], tuple[Kernel, str]] = {}
        self._namespaces: dict[str, tuple[Any, str]] = {}
        self._loaded: set[str] = set()
        self._tensor_classes: list[type] = []
        self.calm: list[tuple[ContextVar[Any], Any]] = []  # of the backends that there are: see Backend.calm
        self._lock = threading.RLock()
        self.failures: dict[str, Exception] = {}

    # Discovery --------------------------------------------------------------------------------------------

    def entries(self, group: str) -> dict[str, list[EntryPoint]]:
        """List the entry points of a group by name, without importing any. More than one of a name is a clash."""
        if group not in self._index:
            found: dict[str, list[EntryPoint]] = {}
            for entry in self._installed(group):
                same = found.setdefault(entry.name, [])
                # an editable install can be listed twice: the same distribution is one claim
                if all(_origin(e) != _origin(entry) or e.value != entry.value for e in same):
                    same.append(entry)
            self._index[group] = dict(sorted(found.items()))
        return self._index[group]

    def _entry(self, group: str, name: str) -> EntryPoint:
        claims = self.entries(group)[name]
        if len(claims) > 1:
            who = " and ".join(_origin(e) for e in claims)
            raise PluginError(f"the name {name!r} in {group} is claimed twice, by {who}; uninstall one of them")
        return claims[0]

    def backend_names(self) -> list[str]:
        """Names of all discovered backends, loaded or not."""
        return sorted({*self.entries(BACKENDS), *self._backends})

    def loaded_devices(self) -> list[Device]:
        """List the devices of the backends that are loaded."""
        return [d for b in self._backends.values() for d in b.devices]

    def plugin_names(self) -> list[str]:
        """Names of the op plugins that may load: all discovered, or those that ``POLYAD_PLUGINS`` lists.

        Raises
        ------
        PluginError
            If ``POLYAD_PLUGINS`` lists one that is not installed.
        """
        names = list(self.entries(PLUGINS))
        allowed = os.environ.get("POLYAD_PLUGINS")
        if allowed is None:
            return names
        wanted = [n.strip() for n in allowed.split(",") if n.strip()]
        for name in wanted:
            if name not in names:
                raise PluginError(
                    f"POLYAD_PLUGINS names {name!r}, which is not installed; installed are {', '.join(names) or 'none'}"
                )
        return wanted

    # Loading ----------------------------------------------------------------------------------------------

    def backend(self, name: str) -> Backend:
        """Give the backend of a name, loading it if this is the first time.

        Raises
        ------
        BackendError
            If there is none of that name, it is not installed, or it fails to load.
        """
        found = self._backends.get(name)
        if found is not None:
            return found
        with self._lock:
            if name in self._backends:
                return self._backends[name]
            if name not in self.entries(BACKENDS):
                known = ", ".join(repr(n) for n in self.backend_names()) or "none"
                raise BackendError(f"unknown backend {name!r}; installed backends are {known}")
            try:
                made = self._make_backend(name)
            except BackendError as error:
                self.failures[name] = error
                raise
            self.failures.pop(name, None)
            self._backends[name] = made
            return made

    def _make_backend(self, name: str) -> Backend:
        try:
            entry = self._entry(BACKENDS, name)
        except PluginError as error:
            raise BackendError(str(error)) from error
        try:
            made = _hooks(entry.load()).polyad_backend()
            if len(made) != 1 or not isinstance(made[0], Backend) or made[0].name != name:
                raise PluginError(f"its hook polyad_backend must give one Backend named {name!r}; it gave {made}")
            self._introduce(made[0])
        except BackendNotInstalledError:
            raise  # its message is for the user as it stands
        except Exception as error:
            raise BackendError(
                f"backend {name!r} ({entry.value} of {_origin(entry)}) failed to load: {_described(error)}"
            ) from error
        return made[0]

    def inspected(self, name: str) -> Backend:
        """Give a backend to look into: where it cannot compute here, without a device, its kernels all the same.

        Raises
        ------
        BackendError
            If there is none of that name, or it cannot be looked into without its device either.
        """
        try:
            return self.backend(name)
        except BackendError as error:
            made = None if isinstance(error, BackendNotInstalledError) else self._without_device(name)
            if made is None:
                raise
            return made

    def _without_device(self, name: str) -> Backend | None:
        """Make a backend that is there and finds no device; None if that is not what is wrong with it."""
        try:
            made: list[Backend] = _hooks(self._entry(BACKENDS, name).load()).polyad_backend_without_device()
        except Exception:  # it is broken otherwise, which is known already
            return None
        for backend in made:
            self._provide(backend)
        return made[0] if made else None

    def add_backend(self, backend: Backend) -> None:
        """Add a backend made in this process, without an entry point.

        Raises
        ------
        PluginError
            If the name is taken.
        """
        with self._lock:
            if backend.name in self.backend_names():
                raise PluginError(f"there is a backend {backend.name!r} already; give this one another name")
            self._introduce(backend)
            self._backends[backend.name] = backend

    def add_tensor_class(self, cls: type) -> None:
        """Tell the loaded backends, and those to come, of a class of tensors."""
        self._tensor_classes.append(cls)
        for backend in self._backends.values():
            backend.adopt(cls)

    def load(self, name: str) -> None:
        """Load the op plugin of a name, if it has not been.

        Raises
        ------
        PluginError
            If there is none or ``POLYAD_PLUGINS`` leaves it out; if it fails to load, naming its distribution; if it
            claims a name that is taken, naming both. Nothing of it is registered then.
        """
        with self._lock:
            if name in self._loaded:
                return
            if name not in self.plugin_names():
                why = (
                    "POLYAD_PLUGINS leaves it out"
                    if name in self.entries(PLUGINS)
                    else "none of that name is installed"
                )
                raise PluginError(f"plugin {name!r} cannot load: {why}; those that may are {self.plugin_names()}")
            try:
                self._register(name)
            except PluginError as error:
                self.failures[name] = error
                raise
            self.failures.pop(name, None)
            self._loaded.add(name)

    def _register(self, name: str) -> None:
        """Enter what a plugin brings into the tables, all of it or nothing."""
        entry = self._entry(PLUGINS, name)
        origin = _origin(entry)
        try:
            hooks = _hooks(entry.load())
            functions = [getattr(f, "function", f) for found in hooks.polyad_functions() for f in found]
            namespaces = {key: value for found in hooks.polyad_namespaces() for key, value in found.items()}
            kernels = {
                (backend, function): kernel
                for found in hooks.polyad_kernels()
                for backend, table in found.items()
                for function, kernel in table.items()
            }
            for key in namespaces:
                _unclaimed("namespace", key, self._namespaces.get(key), origin)
            for (backend, function), kernel in kernels.items():
                held = self._kernels.get((backend, function))
                _unclaimed(f"kernel on backend {backend!r} of", function, held, origin)
                if not callable(kernel):
                    raise PluginError(
                        f"its kernel of {function!r} on backend {backend!r} is {kernel!r}; expected a callable"
                    )
            own = vars(sys.modules[__package__])
            for key in [*namespaces, *(f.name for f in functions)]:
                if key in own and key not in FUNCTIONS:  # those in FUNCTIONS it checks itself
                    raise PluginError(f"polyad itself has the name {key!r}, and {origin} brings it again")
            FUNCTIONS.add(functions, origin)
        except PluginNotInstalledError:
            raise  # its message is for the user as it stands
        except Exception as error:
            raise PluginError(
                f"plugin {name!r} ({entry.value} of {origin}) failed to load: {_described(error)}"
            ) from error
        self._namespaces.update({key: (value, origin) for key, value in namespaces.items()})
        for (backend, function), kernel in kernels.items():
            self._kernels[backend, function] = kernel, origin
            if backend in self._backends:
                self._backends[backend].provided[function] = kernel

    def load_all(self) -> None:
        """Load every op plugin that may load. Failures are kept in `failures`, so that one does not stop others."""
        for name in self.plugin_names():
            try:
                self.load(name)
            except PluginError:
                pass  # kept in failures; raised when somebody asks for what it would have brought

    def attribute(self, name: str) -> Any:
        """Find what plugins add to polyad under a name: a namespace, or a function's call.

        Raises
        ------
        AttributeError
            If no plugin brings it.
        PluginError
            If the plugin of that name fails to load.
        """
        if name not in self._namespaces:
            if name in self.plugin_names():
                self.load(name)
            else:
                self.load_all()
        if name in self._namespaces:
            return self._namespaces[name][0]
        if name in FUNCTIONS:
            return FUNCTIONS[name].call
        reasons = [
            str(e)
            for failed, e in self.failures.items()
            if isinstance(e, PluginError) and (failed == name or not isinstance(e, PluginNotInstalledError))
        ]
        if name in self.entries(PLUGINS) and name not in self.plugin_names():
            reasons.append(f"POLYAD_PLUGINS leaves the plugin {name!r} out")
        raise AttributeError(
            f"module 'polyad' has no attribute {name!r}" + (f" ({'; '.join(reasons)})" if reasons else "")
        )

    def _introduce(self, backend: Backend) -> None:
        """Give a new backend what was brought for it before it was there."""
        self._provide(backend)
        if backend.calm is not None and backend.calm not in self.calm:  # backends may share a library
            self.calm.append(backend.calm)
        for cls in self._tensor_classes:
            backend.adopt(cls)

    def _provide(self, backend: Backend) -> None:
        backend.provided = {f: kernel for (name, f), (kernel, _) in self._kernels.items() if name == backend.name}

    def device(self, backend: str, spec: str) -> Device:
        """Give the device of a backend that a text names."""
        return self.backend(backend).device_for(spec)

    def owner(self, array: Any) -> Device | None:
        """Find where an array lives: on a backend whose array it is; None if it is no backend's.

        A backend that was not loaded is, if it has the name of the array's library: that is imported already.
        """
        for backend in list(self._backends.values()):
            if isinstance(array, backend.array_types):
                return backend.device_of(array)
        library = type(array).__module__.partition(".")[0]
        if hasattr(array, "dtype") and hasattr(array, "shape"):
            for name in self.entries(BACKENDS):
                if name not in self._backends and library.startswith(name):  # jaxlib's arrays are jax's
                    backend = self.backend(name)
                    if isinstance(array, backend.array_types):
                        return backend.device_of(array)
        return None


def _hooks(plugin: Any) -> Any:
    """Give a caller of one plugin's hooks: each returns the list of what the plugin's implementations returned.

    Raises
    ------
    PluginError
        If it implements no hook, or one that does not exist.
    """
    import pluggy

    from .hookspecs import Hooks

    manager = pluggy.PluginManager("polyad")
    manager.add_hookspecs(Hooks)
    manager.register(plugin)  # a manager each: a module may be both a backend and a plugin, and failures leave nothing
    known = ", ".join(h for h in vars(Hooks) if h.startswith("polyad_"))
    implemented = manager.get_hookcallers(plugin)
    if not implemented:
        raise PluginError(
            f"{getattr(plugin, '__name__', plugin)} implements no hook; "
            f"mark functions with polyad.hookspecs.hookimpl. The hooks are {known}"
        )
    for hook in implemented:
        if not hook.has_spec():
            raise PluginError(f"there is no hook {hook.name!r}; the hooks are {known}")
    return manager.hook


def _unclaimed(kind: str, name: str, held: tuple[Any, str] | None, origin: str) -> None:
    """Raise if another provider has brought a name already."""
    if held is not None:
        raise PluginError(f"two providers claim the {kind} {name!r}: {held[1]} and {origin}; uninstall one of them")


def _described(error: Exception) -> str:
    """An error in words; the class too, where it is not polyad's own and the message may be only a name."""
    return str(error) if isinstance(error, PolyadError) else f"{type(error).__name__}: {error}"


plugins: Final = Plugins()


def _named_device(backend: str, spec: str) -> Device:
    return plugins.device(backend, spec)


# a device is pickled by name, and found again by loading its backend
copyreg.pickle(Device, lambda device: (_named_device, (device.backend.name, str(device))))

# The default for creation ---------------------------------------------------------------------------------

_chosen: ContextVar[Device | None] = ContextVar("polyad_backend", default=None)
_process_default: Device | None = None


def default_device() -> Device:
    """Where new tensors are made: that of `use_backend`, or else of ``POLYAD_BACKEND`` and ``POLYAD_DEVICE``.

    The environment is read when the first tensor is made. Without it: NumPy.

    Examples
    --------
    >>> import polyad as ad
    >>> with ad.use_backend("numpy"):
    ...     ad.default_device().backend.name
    'numpy'
    """
    global _process_default
    device = _chosen.get()
    if device is not None:
        return device
    if _process_default is None:
        backend = plugins.backend(os.environ.get("POLYAD_BACKEND") or DEFAULT_BACKEND)
        spec = os.environ.get("POLYAD_DEVICE")
        _process_default = backend.device_for(spec) if spec else backend.devices[0]
    return _process_default


DEFAULT_BACKEND: Final = "numpy"  # the one that a plain install brings


class use_backend:  # noqa: N801 - reads as a statement
    """Make new tensors on another backend: for a block, or inside a function as its decorator.

    Only creation is affected: operations follow their operands. Threads and tasks each have their own.

    Parameters
    ----------
    backend : str or Device
        A backend's name; or a device, such as ``x.device``.
    device : str, optional
        One of the backend's devices; its first without it.

    Raises
    ------
    BackendError
        If the backend is unknown or cannot be loaded.
    DeviceError
        If it has no such device.

    Examples
    --------
    >>> import polyad as ad
    >>> with ad.use_backend("numpy", device="cpu"):
    ...     x = ad.ones(3)
    >>> x.backend.name
    'numpy'
    """

    def __init__(self, backend: str | Device, device: str | None = None) -> None:
        if isinstance(backend, Device):
            self._device = backend
        else:
            made = plugins.backend(backend)
            self._device = made.device_for(device) if device is not None else made.devices[0]
        self._tokens: list[Token[Device | None]] = []

    def __enter__(self) -> Device:
        self._tokens.append(_chosen.set(self._device))
        return self._device

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _chosen.reset(self._tokens.pop())

    def __call__(self, function: F) -> F:
        """Have ``function`` run with this default."""
        return scoped(function, _chosen, lambda: self._device)
