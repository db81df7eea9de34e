#!/usr/bin/env bash
# Run the tests on a machine with a GPU, from a bare checkout: nothing is installed, and no registry is needed.
#
#   tests/on_gpu.sh                          everything, on CuPy and NumPy
#   tests/on_gpu.sh tests/test_cupy.py -x    arguments go to pytest
#   PYTHON=python3.12 tests/on_gpu.sh        another interpreter
#
# It needs Python 3.11 or later with numpy, cupy, pluggy, pytest and hypothesis. Tests that need another package are
# skipped with its name; without a usable GPU, so are those on CuPy. POLYAD_TEST_BACKENDS names other backends.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT

# Backends and plugins are found by their entry points, so polyad has to look installed: the metadata of a
# distribution beside the sources on the path.
"$python" - "$root" "$site" <<'PYTHON'
import pathlib
import sys
import tomllib

root, site = map(pathlib.Path, sys.argv[1:])
project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
info = site / f"{project['name']}-{project['version']}.dist-info"
info.mkdir()
(info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
groups = {"console_scripts": project.get("scripts", {}), **project.get("entry-points", {})}
lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for group, entries in groups.items()]
(info / "entry_points.txt").write_text("\n".join(lines))
PYTHON

# A test that fails because a package is not on this machine is skipped, with the package's name.
cat >"$site/polyad_skip_missing.py" <<'PYTHON'
import importlib.util

import pytest

OPTIONAL = ("click", "rich", "torch", "sklearn", "matplotlib", "jax", "cupy", "hypothesis")
MISSING = [name for name in OPTIONAL if importlib.util.find_spec(name) is None]


def missing(error):
    """The missing package that an error, or what caused it, is about."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in MISSING:
            return error.name
        error = error.__cause__ or error.__context__
    return None


def skip(report, name, path, line):
    report.outcome = "skipped"
    report.longrepr = (str(path), line, f"Skipped: {name} is not on this machine")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    name = missing(call.excinfo.value) if call.excinfo is not None else None
    if report.failed and name:
        skip(report, name, item.path, item.location[1] or 0)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    name = missing(report.call.excinfo.value) if report.failed else None
    if name:
        skip(report, name, collector.path, 0)
        report.result = []
    return report


def pytest_report_header():
    return f"not on this machine: {', '.join(MISSING) or 'nothing'}"
PYTHON

export PYTHONPATH="$site:$root/core:$root/backends:$root/plugins${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONDONTWRITEBYTECODE=1
export POLYAD_TEST_BACKENDS=${POLYAD_TEST_BACKENDS:-cupy,numpy}

cd "$root"
"$python" - <<'PYTHON'
import importlib.metadata
import sys

from polyad.errors import BackendError
from polyad.plugins import plugins

packages = {d.name: d.version for d in importlib.metadata.distributions() if d.name}
wanted = sorted(n for n in packages if n in ("numpy", "pluggy", "pytest", "hypothesis") or n.startswith("cupy"))
print("Python", sys.version.split()[0], *(f"{name} {packages[name]}" for name in wanted))
try:
    for key, value in plugins.backend("cupy").describe().items():
        print(f"{key}: {value}")
except BackendError as error:
    print(f"WITHOUT A GPU, so tests on CuPy are skipped: {error}")
PYTHON

"$python" -m pytest -q -p polyad_skip_missing -p no:cacheprovider "$@"
