"""The direction of imports, and what ``import polyad`` may cost. Reads the source; `docs/architecture.md` explains."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE, BACKENDS, PLUGINS = ROOT / "core" / "polyad", ROOT / "backends", ROOT / "plugins"
LIBRARIES = {"numpy", "jax", "jaxlib", "cupy", "cupyx", "torch", "scipy", "ml_dtypes"}

# Each layer imports only from those above it. Imports inside functions are held to it as well, but for CYCLES.
LAYERS = [
    ["errors", "printing", "scoped", "keys"],
    ["containers"],
    ["dtypes", "grad_mode"],
    ["function"],
    ["docstrings", "kernels", "rules", "batching"],
    ["backend"],
    ["hookspecs"],
    ["plugins"],
    ["graph"],
    ["layouts"],
    ["views"],
    ["leaves"],
    ["tensor"],
    ["levels"],
    ["backward_hooks"],
    ["accumulation"],
    ["engine"],
    ["careful"],
    ["calls"],
    ["dispatch", "operators"],
    ["ops"],
    ["linalg", "fft", "random", "namespace", "array_protocols", "autograd"],
    ["transforms"],
    ["func"],
    ["late"],
    ["methods"],
    ["__init__"],
    ["testing", "utils"],
    ["cli"],
    ["__main__"],
]
CYCLES = {
    ("backend", "plugins"): "values go through the default backend's arrays where a backend says no other way",
    ("autograd", "transforms"): "functions with a derivative of the user's own, on tensors of a transform",
    ("autograd", "func"): "many gradients at once go back by vmap",
    ("autograd", "testing"): "gradcheck, under the name PyTorch has it by; loaded when asked for",
}


def modules(root: Path) -> list[Path]:
    return sorted(p for p in root.rglob("*.py"))


LATE = {"autograd/functional.py", "autograd/forward_ad.py"}
"""Files in PyTorch's places that are loaded when asked for, and build on what stands below their package."""


def part_of(path: Path) -> str:
    """The part of the core that a file belongs to: its name, or its package's."""
    inside = path.relative_to(CORE)
    return "late" if inside.as_posix() in LATE else inside.with_suffix("").parts[0]


def imports(path: Path, package: str) -> Iterator[tuple[str, bool, int]]:
    """Absolute names of the modules that a file imports, whether inside a function, and the line.

    ``from . import a`` names ``a`` as a module of the package. What only type checkers see is left out.
    """
    tree = ast.parse(path.read_text())
    for block in [n for n in ast.walk(tree) if isinstance(n, ast.If)]:
        if ast.unparse(block.test) == "TYPE_CHECKING":
            block.body = [ast.Pass()]
    inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
    here = [package, *path.parent.relative_to(CORE).parts] if CORE in path.parents else [package]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, id(node) in inside, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            if node.module or not node.level:
                yield module, id(node) in inside, node.lineno
            else:
                for name in node.names:
                    yield f"{module}.{name.name}", id(node) in inside, node.lineno


RANKS = {part: i for i, layer in enumerate(LAYERS) for part in layer}


def test_every_part_of_the_core_has_its_layer() -> None:
    listed = [p for layer in LAYERS for p in layer]
    assert len(listed) == len(set(listed))
    assert {part_of(p) for p in modules(CORE)} <= set(listed)


@pytest.mark.parametrize("path", modules(CORE), ids=lambda p: str(p.relative_to(CORE)))
def test_core_imports_only_from_above(path: Path) -> None:
    part = part_of(path)
    for name, inside, line in imports(path, "polyad"):
        if name.split(".")[0] != "polyad":
            continue
        other = [*name.split("."), "__init__"][1]
        other = other if other in RANKS else "__init__"  # a name that the package itself defines
        if other == part or (inside and (part, other) in CYCLES):
            continue
        assert RANKS[other] < RANKS[part], f"{path}:{line}: {part} imports {other}, which stands below it"


def test_exceptions_are_needed() -> None:
    used = {
        (part_of(p), name.split(".")[1])
        for p in modules(CORE)
        for name, inside, _ in imports(p, "polyad")
        if inside and name.startswith("polyad.")
    }
    assert set(CYCLES) <= used


@pytest.mark.parametrize("path", modules(CORE), ids=lambda p: str(p.relative_to(CORE)))
def test_core_imports_no_array_library(path: Path) -> None:
    allowed = {"numpy", "sklearn", "matplotlib"} if part_of(path) == "cli" else set()
    for name, inside, line in imports(path, "polyad"):
        top = name.split(".")[0]
        if top in allowed and inside:
            continue  # the command line draws and reads data, inside its functions
        assert top not in LIBRARIES, f"{path}:{line} imports {name}"
        assert not top.startswith("polyad_"), f"{path}:{line}: the core knows no backend or plugin by name"


@pytest.mark.parametrize(
    "path", [p for p in modules(CORE) if part_of(p) not in ("cli", "testing")], ids=lambda p: str(p.relative_to(CORE))
)
def test_core_names_no_backend_in_code(path: Path) -> None:
    """A backend's name stands in documentation and error texts, never where something is decided."""
    names = {"numpy", "jax", "cupy"}
    found = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Constant) and n.value in names]
    assert [n.value for n in found] == NAMED.get(path.name, []), f"{path}: lines {[n.lineno for n in found]}"


NAMED = {
    "plugins.py": ["numpy"],  # the default, which a plain install brings
    "tensor.py": ["numpy"],  # the method of that name, in its error
}


INTERFACE = {
    *("backend", "dtypes", "errors", "function", "graph", "hookspecs", "kernels", "keys", "rules", "views"),
    *("engine", "ops", "plugins", "tensor"),
}
"""What backends may know: their interface, keys, and what kernels and compiled rules are made of."""


@pytest.mark.parametrize("path", modules(BACKENDS), ids=lambda p: str(p.relative_to(BACKENDS)))
def test_backends_import_the_backend_interface(path: Path) -> None:
    package = path.relative_to(BACKENDS).parts[0]
    own = {
        "polyad_numpy": {"numpy", "ml_dtypes", "scipy"},  # SciPy, where it is installed, for LAPACK
        "polyad_jax": {"numpy", "jax", "jaxlib"},
        "polyad_cupy": {"numpy", "cupy", "cupyx"},
    }
    for name, _, line in imports(path, package):
        top, *rest = name.split(".")
        if top == "polyad":
            parts = rest[:1] or re.findall(r"^from polyad import (\w+)", path.read_text(), re.MULTILINE)
            assert set(parts) <= INTERFACE, f"{path}:{line} imports {name}"
        elif top.startswith("polyad_"):
            assert top == package, f"{path}:{line}: backends know nothing of each other"
        elif top in LIBRARIES:
            assert top in own[package], f"{path}:{line} imports {name}"


PUBLIC = {
    *("polyad", "polyad.errors", "polyad.hookspecs", "polyad.testing", "polyad.autograd", "polyad.linalg"),
    *("polyad.batching", "polyad.func", "polyad.levels", "polyad.utils"),
}


@pytest.mark.parametrize("path", modules(PLUGINS), ids=lambda p: str(p.relative_to(PLUGINS)))
def test_plugins_import_public_polyad_only(path: Path) -> None:
    package = path.relative_to(PLUGINS).parts[0]
    for name, _, line in imports(path, package):
        top = name.split(".")[0]
        if top == "polyad":
            assert name in PUBLIC, f"{path}:{line} imports {name}"
        assert top not in LIBRARIES, f"{path}:{line} imports {name}"
    assert not re.search(r"\bad\._|\._(data|node|device|storage)\b", path.read_text()), f"{path} reaches for internals"


# In a fresh interpreter -------------------------------------------------------------------------------------------


def fresh(code: str, *flags: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("POLYAD", "COV_", "PYTHONW"))}
    return subprocess.run(
        [sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True, env=environment
    )


def test_import_loads_no_array_library() -> None:
    loaded = fresh("import sys, polyad; print(*{m.partition('.')[0] for m in sys.modules})").stdout.split()
    assert not set(loaded) & LIBRARIES
    assert not [m for m in loaded if m.startswith("polyad_")]
    assert "pluggy" not in loaded  # some 10 ms, and needed only when a plugin is loaded


def test_unneeded_backends_are_not_loaded() -> None:
    code = "import sys, polyad as ad; ad.use_backend('numpy'); ad.ones(2) + 1; print(*sys.modules)"
    loaded = set(fresh(code).stdout.split())
    assert "polyad_numpy" in loaded
    assert not loaded & {"jax", "cupy", "polyad_jax", "polyad_cupy"}


MEASURE = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


def test_import_is_quick() -> None:
    """60 ms more than a bare interpreter is what is promised; most of it is the standard library's.

    The least of several runs, taken in turn with bare ones, is free of what else the machine does. It fails at three
    times the promise only, since a loaded or slow machine says nothing about the code.
    """
    bare, ours = [], []
    for _ in range(7):
        bare.append(float(fresh(MEASURE.format("pass")).stdout))
        ours.append(float(fresh(MEASURE.format("import polyad")).stdout))
    extra = min(ours) - min(bare)
    assert extra < 0.180, f"import polyad took {1000 * extra:.0f} ms"


def test_import_loads_few_modules() -> None:
    """What grows unnoticed is the number of modules: it does not depend on the machine."""
    bare = set(fresh("import sys; print(*sys.modules)").stdout.split())
    ours = set(fresh("import sys, polyad; print(*sys.modules)").stdout.split()) - bare
    foreign = {m for m in ours if not m.startswith("polyad")}
    heavy = {
        "asyncio",
        "email",
        "http",
        "importlib.metadata",
        "multiprocessing",
        "rich",
        "click",
        "unittest",
        "tempfile",
    }
    assert not foreign & heavy
    assert len(foreign) < 60, sorted(foreign)
