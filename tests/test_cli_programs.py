"""``polyad crosscheck`` and ``polyad explain``: how programs and their arguments are named, and what is printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from test_cli import CLEAN, error_of

import polyad as ad
from polyad.cli import main
from polyad.plugins import plugins

PROGRAM = """
import polyad as ad

def loss(x, w):
    return ad.tanh(x @ w).square().mean()

def loss_args():
    return ad.ones(3, 4), ad.ones(4, 2)

def norm(x, y=1.0):
    return x.abs().sum() * y

pair = (ad.ones(5), 2.0)
number = 3

def nothing():
    return ad.ones(2).sum()

def fails(x):
    return x @ ad.ones(7)
"""


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module in the working directory, of a name that no other test imports."""
    path = tmp_path / f"program_{tmp_path.name.replace('-', '_')}.py"
    path.write_text(PROGRAM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return path


@pytest.fixture(scope="module")
def twin() -> str:
    """A second NumPy, in which tanh is wrong."""
    base: Any = plugins.backend("numpy")

    class Twin(type(base)):  # type: ignore[misc]
        name = "twin"
        array_types = ()
        kernels = {**base.kernels, "tanh": lambda x: base.xp.tanh(x) * 1.5}

    plugins.add_backend(Twin())
    return "twin"


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args, prog_name="polyad", env=CLEAN)


def test_a_program_that_agrees(program: Path, twin: str) -> None:
    for name in (f"{program.stem}:norm", f"{program}:norm", f"{program.name}:norm"):
        result = run("crosscheck", name, "--backends", f"numpy,{twin}", "--shapes", "3,4")
        assert result.exit_code == 0, result.output
        assert "no difference 3 operations" in " ".join(result.output.split())


@pytest.mark.parametrize(
    "how", [["--args", "pair"], ["--args", "{stem}:pair"], ["--shapes", "() 2,2"], ["--shapes", "5"]]
)
def test_how_arguments_are_given(program: Path, twin: str, how: list[str]) -> None:
    how = [h.format(stem=program.stem) for h in how]
    result = run("crosscheck", f"{program.stem}:norm", "--backends", f"numpy,{twin}", *how)
    assert result.exit_code == 0, result.output
    result = run("explain", f"{program.stem}:norm", *how)
    assert result.exit_code == 0, result.output
    assert "abs" in result.output


def test_a_program_without_arguments(program: Path, twin: str) -> None:
    assert run("crosscheck", f"{program.stem}:nothing", "--backends", f"numpy,{twin}").exit_code == 0
    assert "ones" in run("explain", f"{program.stem}:nothing").output


def test_a_difference_is_named_shown_and_ends_with_1(program: Path, twin: str) -> None:
    result = run("crosscheck", f"{program.stem}:loss", "--backends", f"numpy, {twin}")
    assert result.exit_code == 1
    assert "tanh: value differs on backend 'twin'" in result.output
    assert f"{program.name}:5inloss" in re.sub(r"\s", "", result.output)
    code = result.output.partition("To see it again:")[2]
    assert "ad.testing.replay('tanh', ad.tensor([[4.0, 4.0], [4.0, 4.0], [4.0, 4.0]]" in code
    exec(code)


def test_options_reach_the_comparison(program: Path, twin: str) -> None:
    name = f"{program.stem}:loss"
    assert run("crosscheck", name, "--backends", f"numpy,{twin}", "--rtol", "2", "--order", "0").exit_code == 0
    drawn = [run("crosscheck", name, "--backends", f"numpy,{twin}", "--shapes", "2,2 2,2", "--seed", s) for s in "001"]
    assert drawn[0].output == drawn[1].output != drawn[2].output
    result = run("crosscheck", name, "--backends", f"numpy,{twin}", "--shapes", "2,2 2,2", "--dtype", "complex128")
    assert "complex128" in result.output
    assert run("crosscheck", name, "--backends", f"numpy,{twin}", "--float64").exit_code == 1


def test_explain_says_what_a_backend_lacks(program: Path) -> None:
    result = run("explain", f"{program.stem}:loss", "--backend", "numpy")
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert "4 operations on backend 'numpy'" in text
    assert "cannot run: none" in text
    assert max(map(len, result.output.splitlines())) <= 80


def test_explain_takes_cupy_where_it_is_installed(program: Path) -> None:
    pytest.importorskip("cupy", reason="CuPy is not installed")
    result = run("explain", f"{program.stem}:loss", "--backend", "cupy")
    assert result.exit_code == 0, result.output
    assert "4 operations on backend 'cupy'" in result.output


@pytest.mark.parametrize(("args", "code", "message"), [
    (["norm"], 2, "'norm' is not module:function or path/to/file.py:function."),
    (["{stem}:"], 2, "is not module:function"),
    (["nonesuch.py:f"], 2, "there is no file 'nonesuch.py'."),
    (["nonesuch:f"], 2, "there is no module 'nonesuch' here"),
    (["{stem}:nonesuch"], 2, "has no 'nonesuch'."),
    (["{stem}:number"], 2, "'number' of module '{stem}' is no function, but a int."),
    (["{stem}:norm", "--args", "nonesuch"], 2, "Invalid value for '--args': module '{stem}' has no 'nonesuch'."),
    (["{stem}:norm", "--shapes", "3;4"], 2, "'3;4' is no shape; write lengths with commas"),
    (["{stem}:norm"], 2, 'norm(x, y=1.0) needs arguments: write --shapes "3,4 5"'),
    (["{stem}:norm", "--args", "number"], 1, "args has no tensor; got (3,)"),
])  # fmt: skip
@pytest.mark.parametrize("command", ["crosscheck", "explain"])
def test_mistakes(program: Path, command: str, args: list[str], code: int, message: str) -> None:
    if command == "crosscheck" and code == 1:
        pytest.importorskip("jax", reason="it compares with JAX by default")
    result = run(command, *[a.format(stem=program.stem) for a in args])
    assert message.format(stem=program.stem) in error_of(result, code)


def test_mistakes_about_backends(program: Path) -> None:
    name = f"{program.stem}:loss"
    assert "expected two backends or more" in error_of(run("crosscheck", name, "--backends", "numpy"), 1)
    assert "unknown backend 'nonesuch'" in error_of(run("crosscheck", name, "--backends", "numpy,nonesuch"), 1)
    assert "unknown backend 'nonesuch'" in error_of(run("explain", name, "--backend", "nonesuch"), 1)
    wrong = ["--shapes", "2", "--dtype", "int64"]
    assert "int64 is no floating-point type" in error_of(run("crosscheck", f"{program.stem}:norm", *wrong), 2)


def test_what_the_program_raises_is_left_as_it_is(program: Path, twin: str) -> None:
    result = run("crosscheck", f"{program.stem}:fails", "--backends", f"numpy,{twin}", "--shapes", "3")
    assert isinstance(result.exception, ad.errors.ShapeError)
