"""Tests of what is shipped: metadata, packages, types, and that the files which repeat one another agree."""

import ast
import os
import re
import tomllib
from importlib.metadata import entry_points, metadata, requires
from pathlib import Path
from typing import Any

import pytest
from method_stubs import FILE, stubs

import polyad as ad

ROOT = Path(__file__).parent.parent
SOURCES = ("core", "backends", "plugins")

pytestmark = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs a checkout")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_in_the_wheel(project: dict[str, Any]) -> None:
    found = {str(p.parent.relative_to(ROOT)) for source in SOURCES for p in (ROOT / source).glob("*/__init__.py")}
    assert set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == found


def test_every_backend_and_plugin_is_an_entry_point() -> None:
    for group, folder in (("polyad.backends", "backends"), ("polyad.plugins", "plugins")):
        found = {e.name: e.value for e in entry_points(group=group) if e.dist is not None and e.dist.name == "polyad"}
        packages = [p.parent.name for p in (ROOT / folder).glob("*/__init__.py")]
        assert found == {name.removeprefix("polyad_"): name for name in packages}


def test_a_plain_install_brings_only_what_it_needs() -> None:
    plain = [r for r in requires("polyad") or () if "extra ==" not in r]
    names = sorted(re.split(r"[<>=]", r)[0].replace("-", "_") for r in plain)
    assert names == ["click", "ml_dtypes", "numpy", "opt_einsum", "pluggy", "rich"]


def test_metadata(project: dict[str, Any]) -> None:
    found = metadata("polyad")
    assert found["Version"] == ad.__version__
    assert found["License-Expression"] == "BSD-3-Clause"
    assert {"jax", "cuda12", "cuda13", "demo", "einops", "special", "test", "docs", "bench"} == set(
        found.get_all("Provides-Extra") or ()
    )
    assert (ROOT / "LICENSE").read_text().startswith("BSD 3-Clause License")
    lowest = project["project"]["requires-python"].removeprefix(">=")
    pythons = [c.rpartition(" ")[2] for c in project["project"]["classifiers"] if re.search(r":: 3\.\d+$", c)]
    assert pythons == ["3.11", "3.12", "3.13"]
    assert (lowest, project["tool"]["mypy"]["python_version"]) == (pythons[0], pythons[0])


def test_types_are_shipped() -> None:
    package = Path(ad.__file__).parent
    assert (package / "py.typed").exists()
    assert (package / "_methods.pyi").exists()


def test_method_stubs_are_of_the_table() -> None:
    assert FILE.read_text() == stubs(), "run: python tests/method_stubs.py"


def test_what_is_public_is_reexported() -> None:
    """A type checker takes a name for public if it is written "x as x"; a plain import would hide it from users."""
    tree = ast.parse((ROOT / "core" / "polyad" / "__init__.py").read_text())
    names = [a for n in tree.body if isinstance(n, ast.ImportFrom) and n.level for a in n.names]
    hidden = {a.name for a in names if a.asname != a.name and a.name != "*"}
    assert {name for name in hidden if not name.endswith("_")} <= {"methods"}


def test_lowest_environment_has_the_lower_bounds(project: dict[str, Any]) -> None:
    tox = (ROOT / "tox.ini").read_text()
    section = tox.partition("[testenv:lowest]")[2].partition("[testenv:")[0]
    pinned = dict(re.findall(r"^ +([\w-]+)==([\d.]+)$", section, re.MULTILINE))
    extras = project["project"]["optional-dependencies"]
    for requirement in [
        *project["project"]["dependencies"],
        *extras["jax"],
        *extras["demo"],
        *extras["special"],
        *extras["test"],
    ]:
        if ">=" not in requirement:
            continue
        name, _, bound = requirement.partition(">=")
        wanted, got = ([int(n) for n in v.split(".")] for v in (bound, pinned[name]))
        assert got[: len(wanted)] == wanted, f"{requirement} is tested with {pinned[name]}"


def test_ci_runs_the_line_of_the_readme() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    command = "python3 -m venv .venv && .venv/bin/pip install tox && .venv/bin/tox"
    assert lines.count(command) == 1
    script = (ROOT / ".ci" / "run").read_text()
    pattern = re.search(r"grep -m 1 -E '([^']+)' README.md", script)
    assert pattern is not None
    assert [line for line in lines if re.search(pattern[1], line)] == [command]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
