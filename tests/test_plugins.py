"""Tests of the plugin manager: discovery, loading, clashes, failures, and the defaults for creation."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import polyad as ad
from polyad import errors
from polyad.backend import Backend
from polyad.function import FUNCTIONS
from polyad.hookspecs import hookimpl
from polyad.plugins import Plugins

manager_module = sys.modules["polyad.plugins"]  # the attribute polyad.plugins is the manager itself


class FakeDistribution(Distribution):
    """A distribution of a name and version, without files."""

    def __init__(self, name: str, version: str = "1.0") -> None:
        self._name, self._version = name, version

    @property
    def metadata(self) -> Any:
        return {"Name": self._name, "Version": self._version}

    @property
    def version(self) -> str:
        return self._version

    def read_text(self, filename: str) -> None:
        return None

    def locate_file(self, path: Any) -> Path:
        return Path(path)


def claim(group: str, name: str, value: str, distribution: str = "acme") -> EntryPoint:
    """An entry point as an installed distribution has it."""
    entry = EntryPoint(name, value, group)
    vars(entry)["dist"] = FakeDistribution(distribution)
    return entry


def manager(*entries: EntryPoint) -> Plugins:
    """A plugin manager that finds these entry points installed."""
    return Plugins(installed=lambda group: [e for e in entries if e.group == group])


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    """Make an importable module of hooks; its name can be an entry point's value."""

    def make(name: str, **hooks: Callable[[], Any]) -> ModuleType:
        made = ModuleType(name)
        for hook, returned in hooks.items():

            def implementation(returned: Any = returned) -> Any:
                return returned()

            implementation.__name__ = hook
            # pluggy passes arguments by name: the implementation takes none
            setattr(made, hook, hookimpl(lambda implementation=implementation: implementation()))
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return make


@pytest.fixture(autouse=True)
def clean_registry() -> Iterator[None]:
    """Take back what tests register."""
    before = dict(FUNCTIONS)
    yield
    for name in set(FUNCTIONS) - set(before):
        del FUNCTIONS[name]


def new_function(name: str) -> Any:
    @ad.function(name=name, x=lambda g: 2 * g)
    def definition(xp: Any, x: Any, /) -> Any:
        """Twice x."""
        return x + x

    return definition


class TinyBackend(Backend):
    """A backend of nothing, to be found."""

    name = "tiny"
    xp = SimpleNamespace()
    array = list
    array_types = (list,)
    dtypes: dict[Any, Any] = {}
    kernels: dict[str, Any] = {}
    inplace: dict[str, Any] = {}
    devices = ()


# Discovery ------------------------------------------------------------------------------------------------


def run_python(code: str, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a new interpreter, with ``path`` importable and no setting of polyad's inherited."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("POLYAD_")}
    if path is not None:
        inherited["PYTHONPATH"] = os.pathsep.join([str(path), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def install(where: Path, distribution: str, group: str, name: str, source: str) -> None:
    """Lay a distribution of one module on disk, as pip would."""
    package = f"{distribution.replace('-', '_')}_{name}"
    (where / f"{package}.py").write_text(source)
    info = where / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {package}\n")


def test_import_loads_no_array_library_and_looks_for_no_plugin() -> None:
    done = run_python(
        "import sys, polyad\n"
        "loaded = {'numpy', 'jax', 'cupy', 'pluggy', 'polyad_numpy', 'importlib.metadata'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    assert done.returncode == 0, done.stderr


def test_discovery_imports_nothing(tmp_path: Path) -> None:
    install(tmp_path, "acme-ops", "polyad.plugins", "extra", "raise RuntimeError('imported')")
    done = run_python(
        "import polyad as ad, sys\n"
        "print(ad.plugins.backend_names(), ad.plugins.plugin_names())\n"
        "assert not {'numpy', 'jax', 'cupy', 'polyad_jax', 'polyad_nn', 'acme_ops_extra'} & set(sys.modules)",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['cupy', 'jax', 'numpy'] ['einops', 'extra', 'nn', 'special']\n"


def test_a_backend_loads_when_first_needed_and_once(module: Callable[..., ModuleType]) -> None:
    made: list[Backend] = []
    module("tiny_package", polyad_backend=lambda: made.append(TinyBackend()) or made[-1])
    plugins = manager(claim("polyad.backends", "tiny", "tiny_package"))
    assert plugins.backend_names() == ["tiny"]
    assert made == []
    assert plugins.backend("tiny") is plugins.backend("tiny")
    assert len(made) == 1


def test_unknown_backend_lists_those_installed() -> None:
    with pytest.raises(
        errors.BackendError, match=r"unknown backend 'nunpy'; installed backends are 'cupy', 'jax', 'numpy'"
    ):
        ad.plugins.backend("nunpy")
    with pytest.raises(errors.BackendError, match=r"unknown backend None"):
        ad.plugins.backend(None)  # type: ignore[arg-type]


def test_a_backend_without_a_device_can_be_looked_into(module: Callable[..., ModuleType]) -> None:
    def refuse() -> Backend:
        raise errors.BackendError("there is no GPU")

    made: list[Backend] = []
    hooks = {"polyad_backend": refuse, "polyad_backend_without_device": lambda: made.append(TinyBackend()) or made[-1]}
    module("tiny_package", **hooks)
    module("kernels_package", polyad_kernels=lambda: {"tiny": {"sin": abs}})
    plugins = manager(
        claim("polyad.backends", "tiny", "tiny_package"), claim("polyad.plugins", "kernels", "kernels_package")
    )
    plugins.load_all()
    assert plugins.inspected("tiny").provided == {"sin": abs}
    assert plugins.inspected("tiny") is made[1]  # nothing of it is kept
    with pytest.raises(errors.BackendError, match="there is no GPU"):
        plugins.backend("tiny")


@pytest.mark.parametrize(
    "error", [errors.BackendError("it is broken"), errors.BackendNotInstalledError("it is not installed")]
)
def test_a_backend_that_cannot_be_looked_into_says_why(module: Callable[..., ModuleType], error: Exception) -> None:
    def refuse() -> Backend:
        raise error

    module("tiny_package", polyad_backend=refuse)
    with pytest.raises(type(error), match=str(error)):
        manager(claim("polyad.backends", "tiny", "tiny_package")).inspected("tiny")
    with pytest.raises(errors.BackendError, match="unknown backend 'other'"):
        manager(claim("polyad.backends", "tiny", "tiny_package")).inspected("other")


@pytest.mark.parametrize(("backend", "library", "line"), [("jax", "jax", r"pip install 'polyad\[jax\]'")])
def test_a_backend_without_its_library_gives_the_line_that_installs_it(backend: str, library: str, line: str) -> None:
    done = run_python(
        "import sys, polyad as ad\n"
        f"sys.modules[{library!r}] = None\n"
        "try:\n"
        f"    ad.use_backend({backend!r})\n"
        "except ad.errors.BackendNotInstalledError as error:\n"
        "    print(error)\n"
        "print(ad.tensor([1.0, 2.0]))"
    )
    assert done.returncode == 0, done.stderr
    message, tensor = done.stdout.splitlines()
    assert f"backend {backend!r} is not installed" in message
    assert line.replace("\\", "") in message
    assert tensor == "tensor([1., 2.])"


# Failures ---------------------------------------------------------------------------------------------------


def test_a_broken_backend_is_named_with_its_distribution(tmp_path: Path) -> None:
    install(tmp_path, "acme-arrays", "polyad.backends", "acme", "import does_not_exist")
    done = run_python(
        "import polyad as ad\n"
        "print(ad.ones(2))\n"
        "try:\n"
        "    ad.use_backend('acme')\n"
        "except ad.errors.BackendError as error:\n"
        "    print(error)\n"
        "    assert ad.plugins.failures['acme'] is error",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    reason = "ModuleNotFoundError: No module named 'does_not_exist'"
    assert done.stdout.splitlines() == [
        "tensor([1., 1.])",
        f"backend 'acme' (acme_arrays_acme of acme-arrays 1.0) failed to load: {reason}",
    ]


def test_a_broken_plugin_is_named_and_leaves_the_rest_alone(tmp_path: Path) -> None:
    install(tmp_path, "acme-ops", "polyad.plugins", "extra", "import does_not_exist")
    done = run_python(
        "import polyad as ad\n"
        "print(ad.nn.__name__)\n"
        "for name in ('extra', 'anything'):\n"
        "    try:\n"
        "        getattr(ad, name)\n"
        "    except (ad.errors.PluginError, AttributeError) as error:\n"
        "        print(type(error).__name__, error)",
        tmp_path,
    )
    assert done.returncode == 0, done.stderr
    reason = (
        "plugin 'extra' (acme_ops_extra of acme-ops 1.0) failed to load: "
        "ModuleNotFoundError: No module named 'does_not_exist'"
    )
    assert done.stdout.splitlines() == [
        "polyad_nn",
        f"PluginError {reason}",
        f"AttributeError module 'polyad' has no attribute 'anything' ({reason})",
    ]


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        ({}, r"tiny_package implements no hook; .* The hooks are polyad_backend, polyad_functions"),
        ({"polyad_bakend": TinyBackend}, r"there is no hook 'polyad_bakend'; the hooks are polyad_backend, polyad_fun"),
        ({"polyad_functions": list}, r"must give one Backend named 'tiny'; it gave \[\]"),
        ({"polyad_backend": lambda: 1}, r"must give one Backend named 'tiny'; it gave \[1\]"),
        (
            {"polyad_backend": lambda: ad.plugins.backend("numpy")},
            r"must give one Backend named 'tiny'; it gave \[<poly",
        ),
    ],
)
def test_a_backend_with_wrong_hooks_is_refused(
    module: Callable[..., ModuleType], hooks: dict[str, Any], message: str
) -> None:
    module("tiny_package", **hooks)
    plugins = manager(claim("polyad.backends", "tiny", "tiny_package"))
    with pytest.raises(
        errors.BackendError, match=r"^backend 'tiny' \(tiny_package of acme 1.0\) failed to load: .*" + message
    ):
        plugins.backend("tiny")


def test_a_plugin_with_a_misspelt_hook_is_refused(module: Callable[..., ModuleType]) -> None:
    module("acme_ops", polyad_function=list)
    plugins = manager(claim("polyad.plugins", "ops", "acme_ops"))
    message = (
        r"^plugin 'ops' \(acme_ops of acme 1.0\) failed to load: there is no hook 'polyad_function'; "
        r"the hooks are polyad_backend, polyad_functions, polyad_kernels, polyad_namespaces, "
        r"polyad_backend_without_device$"
    )
    with pytest.raises(errors.PluginError, match=message):
        plugins.load("ops")


def test_a_repaired_backend_loads(module: Callable[..., ModuleType]) -> None:
    state = {"broken": True}

    def make() -> Backend:
        if state["broken"]:
            raise OSError("driver too old")
        return TinyBackend()

    module("tiny_package", polyad_backend=make)
    plugins = manager(claim("polyad.backends", "tiny", "tiny_package"))
    for _ in range(2):
        with pytest.raises(errors.BackendError, match="OSError: driver too old"):
            plugins.backend("tiny")
    assert list(plugins.failures) == ["tiny"]
    state["broken"] = False
    assert plugins.backend("tiny").name == "tiny"
    assert plugins.failures == {}


@pytest.mark.parametrize("at", ["polyad_functions", "polyad_namespaces", "polyad_kernels"])
def test_a_failed_plugin_leaves_nothing_and_loads_when_repaired(module: Callable[..., ModuleType], at: str) -> None:
    state = {"broken": True}
    twice = new_function("acme_twice")

    def hook(name: str, value: Any) -> Callable[[], Any]:
        def returned() -> Any:
            if name == at and state["broken"]:
                raise ValueError("out of order")
            return value

        return returned

    module(
        "acme_ops",
        polyad_functions=hook("polyad_functions", [twice]),
        polyad_namespaces=hook("polyad_namespaces", {"acme": 1}),
        polyad_kernels=hook("polyad_kernels", {"numpy": {"acme_twice": lambda x: x}}),
    )
    plugins = manager(claim("polyad.plugins", "ops", "acme_ops"))
    with pytest.raises(errors.PluginError, match="ValueError: out of order"):
        plugins.load("ops")
    assert "acme_twice" not in FUNCTIONS
    assert ("numpy", "acme_twice") not in plugins._kernels
    with pytest.raises(AttributeError, match=r"no attribute 'acme' \(plugin 'ops' .*out of order\)"):
        plugins.attribute("acme")
    state["broken"] = False
    plugins.load("ops")
    assert plugins.attribute("acme") == 1
    assert plugins.attribute("acme_twice") is twice
    assert ("numpy", "acme_twice") in plugins._kernels
    assert plugins.failures == {}


# Clashes ----------------------------------------------------------------------------------------------------


def test_two_distributions_with_one_backend_name() -> None:
    plugins = manager(
        claim("polyad.backends", "tiny", "one_package", "one"),
        claim("polyad.backends", "tiny", "two_package", "two"),
    )
    with pytest.raises(
        errors.BackendError, match="'tiny' in polyad.backends is claimed twice, by one 1.0 and two 1.0; unin"
    ):
        plugins.backend("tiny")


def test_two_distributions_with_one_plugin_name() -> None:
    plugins = manager(
        claim("polyad.plugins", "ops", "one_package", "one"),
        claim("polyad.plugins", "ops", "two_package", "two"),
    )
    message = "'ops' in polyad.plugins is claimed twice, by one 1.0 and two 1.0; uninstall one of them"
    with pytest.raises(errors.PluginError, match=message):
        plugins.attribute("ops")
    with pytest.raises(AttributeError, match=message):
        plugins.attribute("other")


def test_a_distribution_listed_twice_is_one_claim(module: Callable[..., ModuleType]) -> None:
    module("tiny_package", polyad_backend=TinyBackend)
    twice = [claim("polyad.backends", "tiny", "tiny_package") for _ in range(2)]
    assert manager(*twice).backend("tiny").name == "tiny"


@pytest.mark.parametrize(
    ("hook", "value", "message"),
    [
        (
            "polyad_functions",
            [new_function("acme_shared")],
            "two providers claim the function 'acme_shared': one 1.0 has it, and two 1.0",
        ),
        ("polyad_namespaces", {"acme": 1}, "two providers claim the namespace 'acme': one 1.0 and two 1.0"),
        (
            "polyad_kernels",
            {"numpy": {"acme_shared": abs}},
            "two providers claim the kernel on backend 'numpy' of 'acme_shared': one 1.0 and two 1.0",
        ),
    ],
)
def test_two_plugins_that_bring_one_name(
    module: Callable[..., ModuleType], hook: str, value: Any, message: str
) -> None:
    module("one_package", **{hook: lambda: value})
    module(
        "two_package",
        **{
            hook: lambda: (
                [new_function("acme_fresh"), new_function("acme_shared")] if hook == "polyad_functions" else value
            )
        },
    )
    plugins = manager(
        claim("polyad.plugins", "first", "one_package", "one"),
        claim("polyad.plugins", "second", "two_package", "two"),
    )
    plugins.load("first")
    with pytest.raises(errors.PluginError, match=r"^plugin 'second' \(two_package of two 1.0\) .*" + message):
        plugins.load("second")
    assert "acme_fresh" not in FUNCTIONS


@pytest.mark.parametrize(
    ("hook", "value", "message"),
    [
        (
            "polyad_functions",
            [new_function("exp")],
            "two providers claim the function 'exp': polyad has it, and acme 1.0 br",
        ),
        (
            "polyad_functions",
            [new_function("tensor")],
            "polyad itself has the name 'tensor', and acme 1.0 brings it again",
        ),
        ("polyad_namespaces", {"errors": 1}, "polyad itself has the name 'errors', and acme 1.0 brings it again"),
        ("polyad_kernels", {"numpy": {"exp": 1}}, "kernel of 'exp' on backend 'numpy' is 1; expected a callable"),
    ],
)
def test_a_plugin_that_brings_what_polyad_has(
    module: Callable[..., ModuleType], hook: str, value: Any, message: str
) -> None:
    module("acme_ops", **{hook: lambda: value})
    with pytest.raises(errors.PluginError, match=message):
        manager(claim("polyad.plugins", "ops", "acme_ops")).load("ops")


def test_a_backend_made_here_cannot_take_a_name(module: Callable[..., ModuleType]) -> None:
    plugins = manager(claim("polyad.backends", "other", "other_package"))
    plugins.add_backend(TinyBackend())
    assert plugins.backend_names() == ["other", "tiny"]
    with pytest.raises(errors.PluginError, match="there is a backend 'tiny' already"):
        plugins.add_backend(TinyBackend())


def test_one_module_may_be_a_backend_and_a_plugin(module: Callable[..., ModuleType]) -> None:
    module("acme", polyad_backend=TinyBackend, polyad_namespaces=lambda: {"acme": 1})
    plugins = manager(claim("polyad.backends", "tiny", "acme"), claim("polyad.plugins", "acme", "acme"))
    assert plugins.backend("tiny").name == "tiny"
    assert plugins.attribute("acme") == 1


# What plugins bring -----------------------------------------------------------------------------------------


def test_functions_and_kernels_of_a_plugin_are_used(
    module: Callable[..., ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = new_function("acme_twice")
    calls: list[str] = []

    def kernel(x: Any) -> Any:
        calls.append(type(x).__name__)
        return x * 2

    module(
        "acme_ops",
        polyad_functions=lambda: [twice.function],
        polyad_kernels=lambda: {"numpy": {"acme_twice": kernel}},
    )
    plugins = manager(claim("polyad.plugins", "ops", "acme_ops"))
    plugins.add_backend(ad.plugins.backend("numpy"))
    monkeypatch.setattr(manager_module, "plugins", plugins)
    plugins.load("ops")
    x = ad.tensor([1.0, -2.0], requires_grad=True)
    y = plugins.attribute("acme_twice")(x)
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist()) == ([2.0, -4.0], [2.0, 2.0])
    assert calls == ["ndarray"]
    assert twice.function.provider == "acme 1.0"


def test_nn_is_reached_without_importing_it() -> None:
    done = run_python("import polyad as ad, sys\nassert 'polyad_nn' not in sys.modules\nprint(ad.nn.__name__)")
    assert (done.stdout, done.stderr) == ("polyad_nn\n", "")


@pytest.mark.parametrize(("allowed", "names"), [(None, ["a", "b"]), ("", []), (" b ", ["b"]), ("b,a", ["b", "a"])])
def test_polyad_plugins_says_which_may_load(
    monkeypatch: pytest.MonkeyPatch, module: Callable[..., ModuleType], allowed: str | None, names: list[str]
) -> None:
    for name in "ab":
        module(f"acme_{name}", polyad_namespaces=lambda name=name: {f"space_{name}": name})
    plugins = manager(*(claim("polyad.plugins", n, f"acme_{n}") for n in "ab"))
    if allowed is None:
        monkeypatch.delenv("POLYAD_PLUGINS", raising=False)
    else:
        monkeypatch.setenv("POLYAD_PLUGINS", allowed)
    assert plugins.plugin_names() == names
    plugins.load_all()
    for name in "ab":
        if name in names:
            assert plugins.attribute(f"space_{name}") == name
        else:
            with pytest.raises(AttributeError, match=f"no attribute 'space_{name}'"):
                plugins.attribute(f"space_{name}")
            with pytest.raises(AttributeError, match=f"POLYAD_PLUGINS leaves the plugin '{name}' out"):
                plugins.attribute(name)
            with pytest.raises(errors.PluginError, match=f"plugin '{name}' cannot load: POLYAD_PLUGINS leaves it out"):
                plugins.load(name)


def test_polyad_plugins_with_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = manager(claim("polyad.plugins", "a", "acme_a"))
    monkeypatch.setenv("POLYAD_PLUGINS", "a,z")
    with pytest.raises(errors.PluginError, match="POLYAD_PLUGINS names 'z', which is not installed; installed are a$"):
        plugins.load_all()


def test_loading_a_plugin_that_is_not_there() -> None:
    with pytest.raises(errors.PluginError, match="plugin 'z' cannot load: none of that name is installed"):
        manager().load("z")


def test_threads_that_need_one_backend_at_once_get_one(module: Callable[..., ModuleType]) -> None:
    made: list[Backend] = []
    started = threading.Barrier(4)

    def make() -> Backend:
        time.sleep(0.05)  # the others come meanwhile
        made.append(TinyBackend())
        return made[-1]

    module("tiny_package", polyad_backend=make)
    plugins = manager(claim("polyad.backends", "tiny", "tiny_package"))
    got: list[Backend] = []

    def work() -> None:
        started.wait()
        got.append(plugins.backend("tiny"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(made) == 1
    assert all(b is made[0] for b in got)


# The default for creation ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "numpy cpu"),
        ({"POLYAD_BACKEND": ""}, "numpy cpu"),
        ({"POLYAD_BACKEND": "numpy", "POLYAD_DEVICE": "cpu"}, "numpy cpu"),
        ({"POLYAD_BACKEND": "nunpy"}, "unknown backend 'nunpy'; installed backends are 'cupy', 'jax', 'numpy'"),
        ({"POLYAD_DEVICE": "cuda:7"}, "backend 'numpy' has no device 'cuda:7'; it has 'cpu'."),
    ],
)
def test_the_environment_is_read_when_the_first_tensor_is_made(environment: dict[str, str], expected: str) -> None:
    done = run_python(
        "import polyad as ad\n"
        "print('imported')\n"
        "try:\n"
        "    x = ad.zeros(2)\n"
        "    print(x.backend.name, x.device)\n"
        "except ad.errors.PolyadError as error:\n"
        "    print(error)",
        **environment,
    )
    assert done.returncode == 0, done.stderr
    imported, said = done.stdout.splitlines()
    assert imported == "imported"
    assert said.startswith(expected)


def test_the_environment_may_be_set_after_the_import() -> None:
    done = run_python(
        "import os, polyad as ad\n"
        "os.environ['POLYAD_BACKEND'] = 'nunpy'\n"
        "try:\n"
        "    ad.zeros(2)\n"
        "except ad.errors.BackendError:\n"
        "    os.environ['POLYAD_BACKEND'] = 'numpy'\n"
        "ad.zeros(2)\n"
        "os.environ['POLYAD_BACKEND'] = 'nunpy'\n"
        "print(ad.zeros(2).backend.name)"
    )
    assert (done.stdout, done.stderr) == ("numpy\n", "")


@pytest.fixture
def second() -> Iterator[str]:
    """The name of a second backend: NumPy's own class under another name."""

    class SecondBackend(type(ad.plugins.backend("numpy"))):  # type: ignore[misc]
        name = "second"

    ad.plugins.add_backend(SecondBackend())
    yield "second"
    del ad.plugins._backends["second"]


def current() -> str:
    return str(ad.zeros(1).backend.name)


def test_use_backend_as_a_context(second: str) -> None:
    outside = current()
    with ad.use_backend(second) as device:
        assert device.backend.name == current() == second
        with ad.use_backend("numpy"):
            assert current() == "numpy"
        assert current() == second
    assert current() == outside
    with pytest.raises(ZeroDivisionError), ad.use_backend(second):
        raise ZeroDivisionError
    assert current() == outside


def test_use_backend_affects_creation_only(second: str) -> None:
    x = ad.ones(2)
    with ad.use_backend(second):
        assert (x + x).backend is x.backend
        assert ad.ones_like(x).backend is x.backend


def test_use_backend_as_a_decorator(second: str) -> None:
    @ad.use_backend(second)
    def made() -> str:
        """Docstring."""
        return current()

    @ad.use_backend(second)
    def several() -> Iterator[str]:
        yield current()
        yield current()

    @ad.use_backend(second)
    async def later() -> str:
        await asyncio.sleep(0)
        return current()

    outside = current()
    assert made() == second
    assert (made.__name__, made.__doc__) == ("made", "Docstring.")
    for inside in several():
        assert (inside, current()) == (second, outside)
    assert asyncio.run(later()) == second
    assert current() == outside


def test_use_backend_is_each_threads_own(second: str) -> None:
    seen: list[str] = []

    def work() -> None:
        seen.append(current())
        with ad.use_backend("numpy"):
            seen.append(current())

    outside = current()
    with ad.use_backend(second):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert current() == second
    assert seen == [outside, "numpy"]


def test_use_backend_is_each_tasks_own(second: str) -> None:
    async def work(name: str) -> str:
        with ad.use_backend(name):
            await asyncio.sleep(0)
            return current()

    async def both() -> Iterable[str]:
        return await asyncio.gather(work(second), work("numpy"))

    assert list(asyncio.run(both())) == [second, "numpy"]


def test_use_backend_says_at_once_what_is_wrong() -> None:
    with pytest.raises(errors.BackendError, match="unknown backend 'nunpy'"):
        ad.use_backend("nunpy")
    with pytest.raises(errors.DeviceError, match="backend 'numpy' has no device 'cuda:0'; it has 'cpu'"):
        ad.use_backend("numpy", device="cuda:0")
