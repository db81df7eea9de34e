"""Finding and loading backends and op plugins: discovered without importing, loaded by name when first needed.

Hooks fill dictionaries here; operations read dictionaries.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from .backend import Backend, Device, Kernel
from .errors import BackendError, BackendNotInstalledError, PluginError
from .function import FUNCTIONS

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Plugins", "default_device", "plugins", "use_backend"]

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
        ``name -> error`` of the plugins that failed to load.
    """

    def __init__(self, installed: Callable[[str], Iterable[EntryPoint]] = _installed) -> None:
        self._installed = installed
        self._index: dict[str, dict[str, list[EntryPoint]]] = {}
        self._backends: dict[str, Backend] = {}
        self._kernels: dict[str, dict[str, Kernel]] = {}
        self._namespaces: dict[str, tuple[Any, str]] = {}
        self._loaded: set[str] = set()
        self._tensor_classes: list[type] = []
        self._lock = threading.RLock()
        self._manager: Any = None
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

    def plugin_names(self) -> list[str]:
        """Names of the op plugins that may load: all discovered, or those that ``POLYAD_PLUGINS`` lists."""
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

    def _register(self, plugin: Any, name: str) -> Any:
        """Register with pluggy; returns a caller of this plugin's hooks alone."""
        import pluggy

        from .hookspecs import Hooks

        if self._manager is None:
            self._manager = pluggy.PluginManager("polyad")
            self._manager.add_hookspecs(Hooks)
        manager = self._manager
        if manager.has_plugin(name):
            manager.unregister(name=name)
        manager.register(plugin, name=name)
        try:
            for hook in manager.get_hookcallers(plugin) or ():
                if not hook.has_spec():
                    known = ", ".join(h for h in vars(Hooks) if h.startswith("polyad_"))
                    raise PluginError(f"there is no hook {hook.name!r}; the hooks are {known}")
        except PluginError:
            manager.unregister(name=name)
            raise
        others = [p for p in manager.get_plugins() if p is not plugin]

        def call(hook: str) -> list[Any]:
            return manager.subset_hook_caller(hook, others)()  # type: ignore[no-any-return]

        return call

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
            if not isinstance(name, str) or name not in self.entries(BACKENDS):
                known = ", ".join(repr(n) for n in self.backend_names()) or "none"
                raise BackendError(f"unknown backend {name!r}; installed backends are {known}")
            entry = self._entry(BACKENDS, name)
            try:
                made = self._register(entry.load(), f"{BACKENDS}:{name}")("polyad_backend")
                if len(made) != 1 or not isinstance(made[0], Backend) or made[0].name != name:
                    raise PluginError(f"its hook polyad_backend must give one Backend named {name!r}; it gave {made}")
            except Exception as error:
                self.failures[name] = error
                if isinstance(error, BackendNotInstalledError):
                    raise
                raise BackendError(
                    f"backend {name!r} ({entry.value} of {_origin(entry)}) failed to load: {error}"
                ) from error
            self.failures.pop(name, None)
            self._backends[name] = made[0]
            for cls in self._tensor_classes:
                made[0].adopt(cls)
            return made[0]

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
            If it fails to load, naming its distribution, or claims a name that is taken, naming both.
        """
        with self._lock:
            if name in self._loaded:
                return
            entry = self._entry(PLUGINS, name)
            origin = _origin(entry)
            try:
                call = self._register(entry.load(), f"{PLUGINS}:{name}")
                functions = [f for found in call("polyad_functions") for f in found]
                namespaces = {k: v for found in call("polyad_namespaces") for k, v in found.items()}
                for key in namespaces:
                    if key in self._namespaces:
                        raise PluginError(
                            f"two providers claim the namespace {key!r}: {self._namespaces[key][1]} and {origin}"
                        )
                FUNCTIONS.add([getattr(f, "function", f) for f in functions], origin)
                for kernels in call("polyad_kernels"):
                    for backend, table in kernels.items():
                        self._kernels.setdefault(backend, {}).update(table)
            except Exception as error:
                self.failures[name] = error
                raise PluginError(f"plugin {name!r} ({entry.value} of {origin}) failed to load: {error}") from error
            self.failures.pop(name, None)
            self._namespaces.update({k: (v, origin) for k, v in namespaces.items()})
            self._loaded.add(name)

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
        if name in self.plugin_names():
            self.load(name)
        else:
            self.load_all()
        if name in self._namespaces:
            return self._namespaces[name][0]
        if name in FUNCTIONS:
            return FUNCTIONS[name].call
        broken = "; ".join(str(e) for e in self.failures.values() if isinstance(e, PluginError))
        raise AttributeError(f"module 'polyad' has no attribute {name!r}" + (f" ({broken})" if broken else ""))

    def kernel(self, backend: str, function: str) -> Kernel | None:
        """Find the kernel that a plugin brings for a function on a backend."""
        return self._kernels.get(backend, {}).get(function)

    def device(self, backend: str, spec: str) -> Device:
        """Give the device of a backend that a text names."""
        return self.backend(backend).device_for(spec)

    def owner(self, array: Any) -> Device | None:
        """Find where an array of one of the loaded libraries lives; None if it is none of theirs."""
        for backend in list(self._backends.values()):
            if isinstance(array, backend.array_types):
                return backend.device_of(array)
        return None


plugins: Final = Plugins()

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
    backend : str
        A backend's name.
    device : str, optional
        One of its devices; its first without it.

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

    def __init__(self, backend: str, device: str | None = None) -> None:
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

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Have ``function`` run with this default."""
        import functools

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            token = _chosen.set(self._device)
            try:
                return function(*args, **kwargs)
            finally:
                _chosen.reset(token)

        return wrapper
