"""Runs what README.md and docs/ show, and checks what a function's record says in its docstring.

Each page runs in a process of its own, as a reader would run it: its Python fences in order, one after the other. A
fence that begins with ``# name.py`` is a file, and a TOML fence with entry points is an installed distribution. Files
named ``test_*`` are then run by pytest. Fences marked ``python jax`` need JAX, and wait for the second test.
"""

import importlib.util
import inspect
import itertools
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import function_list
import pytest

import polyad as ad
from polyad.function import FUNCTIONS, Function

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]

pytestmark = pytest.mark.skipif(not README.exists(), reason="needs a checkout")


class Fence(NamedTuple):
    """A block of code of a page: what stands after the opening marks, the lines, and where they begin."""

    words: tuple[str, ...]
    lines: list[str]
    start: int

    @property
    def text(self) -> str:
        return "\n".join(self.lines) + "\n"

    @property
    def file(self) -> str | None:
        found = re.fullmatch(r"# (\w+\.py)", self.lines[0])
        return found[1] if found and self.words == ("python",) else None


def fences(page: Path) -> Iterator[Fence]:
    opened: Fence | None = None
    for number, line in enumerate(page.read_text().splitlines()):
        if opened is None and line.startswith("```"):
            opened = Fence(tuple(line[3:].split()), [], number + 1)
        elif line == "```":
            assert opened is not None, f"{page.name}:{number + 1} closes nothing"
            yield opened
            opened = None
        elif opened is not None:
            opened.lines.append(line)
    assert opened is None, f"{page.name}: the fence of line {opened.start} is open" if opened else ""


def examples(page: Path, *, jax: bool) -> str:
    """The page's examples, all else blank: lines keep their numbers."""
    lines = [""] * len(page.read_text().splitlines())
    for fence in fences(page):
        if fence.file or fence.words not in [("python",), ("python", "jax")][: 1 + jax]:
            continue
        lines[fence.start : fence.start + len(fence.lines)] = fence.lines
    return "\n".join(lines) + "\n"


def install(page: Path, folder: Path) -> list[str]:
    """Write a page's files, and what makes its TOML fences distributions. Returns the names of its tests."""
    tests = []
    for fence in fences(page):
        if fence.file:
            (folder / fence.file).write_text(fence.text)
            tests += [fence.file] if fence.file.startswith("test_") else []
        elif fence.words == ("toml",):
            project = tomllib.loads(fence.text)["project"]
            info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(
                f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
            )
            groups = project["entry-points"].items()
            (info / "entry_points.txt").write_text(
                "".join(f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in found.items()) for group, found in groups)
            )
    return tests


def run(page: Path, folder: Path, *, jax: bool) -> None:
    tests = install(page, folder)
    (folder / page.name).write_text(examples(page, jax=jax))
    options = ["-o", "NORMALIZE_WHITESPACE", "-o", "ELLIPSIS"]
    _python(folder, "-m", "doctest", *options, page.name)
    if tests and not jax:
        _python(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)


def _python(folder: Path, *args: str) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("POLYAD_", "PYTEST_"))}
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-W", "error", *args],
        cwd=folder,
        env={**kept, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stdout + done.stderr


def needs_jax(page: Path) -> bool:
    return any(fence.words == ("python", "jax") for fence in fences(page))


def runs_jax() -> bool:
    named = os.environ.get("POLYAD_TEST_BACKENDS")
    return importlib.util.find_spec("jax") is not None and (named is None or "jax" in named.split(","))


# Pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page(page: Path, tmp_path: Path) -> None:
    run(page, tmp_path, jax=False)


@pytest.mark.parametrize("page", [p for p in PAGES if needs_jax(p)], ids=lambda p: p.name)
@pytest.mark.skipif(not runs_jax(), reason="needs JAX")
def test_page_on_jax(page: Path, tmp_path: Path) -> None:
    run(page, tmp_path, jax=True)


def test_a_wrong_page_fails(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\n>>> 1 + 1\n3\n```\n")
    (tmp_path / "run").mkdir()
    with pytest.raises(AssertionError, match=r'File ".*page\.md", line 2'):
        run(page, tmp_path / "run", jax=False)


def test_pages_have_examples() -> None:
    count = {page.name: examples(page, jax=True).count(">>>") for page in PAGES}
    assert set(count) >= {"README.md", "architecture.md", "adding-an-op.md", "adding-a-backend.md"}
    assert all(n >= 4 for name, n in count.items() if name not in ("index.md", "functions.md")), count


def test_every_fence_is_checked() -> None:
    known = {("python",), ("python", "jax"), ("toml",), ("sh",), ("mermaid",)}
    for page in PAGES:
        for fence in fences(page):
            assert fence.words in known, f"{page.name}:{fence.start}"
            if fence.words[:1] == ("python",):
                assert fence.file or ">>>" in fence.text, f"{page.name}:{fence.start} is neither file nor example"


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_shell_lines_of_the_readme() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    shell = [line for fence in fences(README) if fence.words == ("sh",) for line in fence.lines]
    assert len(shell) == 3
    text = README.read_text()
    extras = {e for found in re.findall(r"'\.\[([\w,]+)\]'", text) for e in found.split(",")}
    assert {"demo", "jax", "cuda12", "cuda13"} <= extras <= set(project["optional-dependencies"])
    assert "polyad" in project["scripts"]
    for line in shell[:2]:
        assert line.startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_list_of_functions_is_of_the_registry() -> None:
    assert function_list.FILE.read_text() == function_list.page(), "run: python tests/function_list.py"


def test_every_file_of_the_core_is_on_the_map() -> None:
    core = ROOT / "core" / "polyad"
    text = (ROOT / "docs" / "architecture.md").read_text()
    names = {p.stem for p in (*core.glob("*.py"), *(core / "ops").glob("*.py")) if not p.stem.startswith("_")}
    assert [name for name in sorted(names) if not re.search(rf"`{name}(\.py)?`", text)] == []


def test_what_is_said_to_be_missing_is_missing() -> None:
    page = (ROOT / "docs" / "coming-from-pytorch.md").read_text()
    section = page.partition("## Not there")[2].partition("| | |")[2]
    names = re.findall(r"`([\w.]+)(?:\(\))?`", section.replace("`unique` along", ""))
    methods = {n for n in names if n.startswith("x.")}
    assert methods
    assert [n for n in names if attribute(ad.Tensor if n in methods else ad, n.removeprefix("x."))] == []


def attribute(owner: Any, path: str) -> Any:
    for name in path.split("."):
        owner = getattr(owner, name, None)
    return owner


def test_what_the_names_table_lists_exists() -> None:
    page = (ROOT / "docs" / "coming-from-pytorch.md").read_text()
    section = page.partition("## Names")[2].partition("## ")[0]
    cells = [re.findall(r"`(\w+)`", cell) for line in section.splitlines() if "|" in line for cell in line.split("|")]
    pairs = {
        (old, new)
        for theirs, ours in itertools.pairwise(cells)
        if theirs and ours
        for old, new in zip(theirs, ours * len(theirs) if len(ours) == 1 else ours, strict=True)
    }
    assert pairs == set(ad.methods.ALIASES.items())


# Sections written from the record ---------------------------------------------------------------------------


def section(text: str, title: str) -> str:
    found = re.search(rf"^{title}\n-+\n(.*?)(?=\n\n\w+\n--|\Z)", text, re.DOTALL | re.MULTILINE)
    return found[1] if found else ""


def documented(**record: Any) -> str:
    """The docstring of a function of ``x`` and ``y``, defined with a record."""

    @ad.function(**record)
    def made(xp: Any, x: Any, y: Any, /) -> Any:
        """What it does."""

    return str(made.__doc__)


def test_sections_stand_before_the_examples() -> None:
    titles = re.findall(r"^(\w+)\n-+$", ad.add.__doc__ or "", re.MULTILINE)
    assert titles == ["Parameters", "Returns", "Raises", "Notes", "Examples"]


def test_parameters() -> None:
    assert section(ad.exp.__doc__ or "", "Parameters") == (
        "x : Tensor\n    Of any shape and a floating type; integers and bools become float32."
    )
    found = section(ad.sum.__doc__ or "", "Parameters")
    assert "axis : int or tuple of int, optional\n" in found
    assert "keepdims : bool, default False\n" in found
    assert section(ad.where.__doc__ or "", "Parameters") == (
        "condition : Tensor\n    Of a shape that broadcasts with the others.\n"
        "x1, x2 : Tensor or number\n    Of shapes that broadcast and any type. At least one operand is a tensor."
    )
    assert section(ad.stack.__doc__ or "", "Parameters").startswith("arrays : sequence of Tensor\n")
    assert "*indices : Tensor\n" in section(FUNCTIONS["getitem"].call.__doc__ or "", "Parameters")


def test_returns() -> None:
    assert section(ad.exp.__doc__ or "", "Returns") == "Tensor\n    Of the shape and type of ``x``."
    assert section(ad.less.__doc__ or "", "Returns").endswith("broadcast to and type bool.")
    assert section(ad.argmax.__doc__ or "", "Returns").endswith("and type int64.")
    assert "or of its parts if it is complex" in section(ad.abs.__doc__ or "", "Returns")
    assert "Shares the memory of ``x``" in section(ad.permute_dims.__doc__ or "", "Returns")
    assert section(ad.linalg.eigh.__doc__ or "", "Returns").endswith("``eigenvalues`` and ``eigenvectors``.")


def test_raises() -> None:
    found = section(documented(broadcasts=True, takes="real"), "Raises")
    assert re.findall(r"^\w+", found, re.MULTILINE) == ["OperandError", "ShapeError", "DTypeError", "DeviceError"]
    assert "For bools and complex numbers." in found
    assert re.findall(r"^\w+", section(ad.exp.__doc__ or "", "Raises"), re.MULTILINE) == ["OperandError"]
    assert "IndexOutOfRangeError" in section(ad.sum.__doc__ or "", "Raises")


def test_gradient() -> None:
    rules: dict[str, Any] = {"x": lambda g, y, out: g, "y": lambda g, x_shape: g}
    found = section(documented(**rules), "Notes")
    assert found == "Differentiable in ``x`` (keeps ``y`` and the result) and ``y`` (keeps no array)."
    assert section(documented(), "Notes") == "Differentiable through the functions that it is made of."
    assert section(documented(differentiable=False), "Notes") == "Not differentiable: nothing is recorded."


def test_own_parameters_stay() -> None:
    @ad.function()
    def made(xp: Any, x: Any, /) -> Any:
        """What it does.

        Parameters
        ----------
        x : Tensor
            As I say.
        """

    assert made.__doc__ == "What it does.\n\nParameters\n----------\nx : Tensor\n    As I say."


PUBLIC = [f for f in FUNCTIONS.values() if f.provider == "polyad" and not f.name.startswith("_")]


@pytest.mark.parametrize("record", PUBLIC, ids=lambda f: f.name)
def test_every_function_is_documented(record: Function) -> None:
    call = getattr(ad, record.name, record.call) if "." not in record.name else record.call
    text = inspect.getdoc(call) or ""
    assert section(text, "Parameters")
    assert section(text, "Returns")
    assert ">>> " in section(text, "Examples")


@pytest.mark.parametrize("name", [n for n in dir(ad) if not n.startswith("_")])
def test_every_public_name_has_an_example(name: str) -> None:
    value = getattr(ad, name)
    if callable(value) and getattr(value, "__module__", "").startswith("polyad") and not isinstance(value, ad.DType):
        assert ">>> " in (value.__doc__ or "")
