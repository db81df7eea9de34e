"""The command line, as users meet it: what it prints, what it says of their mistakes, and how it exits."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import polyad as ad
from polyad.backend import Backend
from polyad.cli import info, main, ops  # importing a command's module does not load what it needs
from polyad.cli.digits import batches, build_model, load_digits, split
from polyad.plugins import plugins

# the lowest Matplotlib uses names that the newest pyparsing warns of
pytestmark = pytest.mark.filterwarnings("ignore:'.*' deprecated - use '.*':DeprecationWarning")

CLEAN = {"POLYAD_BACKEND": None, "POLYAD_DEVICE": None, "POLYAD_PLUGINS": None, "COLUMNS": "80"}


def run(*args: str, **env: str | None) -> Result:
    """Run in this process, without the settings of whoever runs the tests."""
    return CliRunner().invoke(main, args, prog_name="polyad", env={**CLEAN, **env})


def environment(**env: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in CLEAN and k not in ("FORCE_COLOR", "NO_COLOR")}
    return {**kept, "COLUMNS": "80", "PYTHONWARNINGS": "default", **env}


def spawn(*args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run as a user does."""
    command = [sys.executable, "-m", "polyad", *args]
    return subprocess.run(command, capture_output=True, text=True, env=environment(**env), timeout=120, check=False)


def accuracy(output: str) -> float:
    """The accuracy in the panel at the end."""
    found = re.search(r"accuracy +(\d+\.\d\d)% on held-out digits, (\d+) of (\d+)", output)
    assert found, output
    percent, right, count = float(found[1]), int(found[2]), int(found[3])
    assert percent == pytest.approx(100 * right / count, abs=0.006)
    return percent / 100


def error_of(result: Result, code: int) -> str:
    """The message of a run that failed as it should: with no traceback."""
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


# demo -----------------------------------------------------------------------------------------------------


def test_demo_reads_digits_on_every_backend_and_as_well_as_on_numpy(backend: Backend) -> None:
    result = run("demo", "--backend", backend.name)
    assert result.exit_code == 0, result.output
    assert accuracy(result.output) > 0.97
    assert accuracy(result.output) == pytest.approx(accuracy(run("demo").output), abs=0.01)
    assert f"{backend.name} on {backend.devices[0]}" in result.output


def test_demo_prints_a_line_an_epoch_and_a_panel() -> None:
    lines = run("demo", "--epochs", "2", "--device", "cpu").output.split("\n")
    lines = [line for line in lines if line]  # older rich puts an empty one where the bar would be
    assert lines[0] == "1438 handwritten digits to learn from, 359 held out"
    assert re.fullmatch(r"epoch 1/2   loss \d\.\d{4}   accuracy  \d\d\.\d\d%", lines[1])
    assert re.fullmatch(r"epoch 2/2   loss \d\.\d{4}   accuracy  \d\d\.\d\d%", lines[2])
    panel = "\n".join(lines[3:])
    assert "polyad demo" in lines[3]
    assert lines[2].split()[-1] in panel
    assert re.search(r"time +\d+\.\d s for 2 epochs", panel)
    assert re.search(r"backend +numpy on cpu", panel)
    assert re.search(r"parameters +19,210", panel)  # 64 * 256 + 256 + 256 * 10 + 10


def test_demo_repeats_with_a_seed_and_differs_with_another() -> None:
    def epochs(seed: str) -> list[str]:
        return [line for line in run("demo", "--epochs", "1", "--seed", seed).output.splitlines() if "loss" in line]

    assert epochs("3") == epochs("3")
    assert epochs("3") != epochs("4")


def test_demo_takes_backend_and_device_from_the_environment() -> None:
    result = run("demo", "--epochs", "1", POLYAD_BACKEND="numpy", POLYAD_DEVICE="cpu")
    assert "numpy on cpu" in result.output
    assert "POLYAD_BACKEND: unknown backend 'nonesuch'" in error_of(run("demo", POLYAD_BACKEND="nonesuch"), 2)
    assert run("demo", "--epochs", "1", "--backend", "numpy", POLYAD_BACKEND="nonesuch").exit_code == 0


def test_demo_leaves_the_default_backend_as_it_was() -> None:
    before = ad.default_device()
    run("demo", "--epochs", "1", "--backend", "numpy")
    assert ad.default_device() is before


def test_the_split_is_fixed_disjoint_and_a_fifth_of_each_class() -> None:
    labels = [i % 3 for i in range(300)]
    train, test = split(labels)
    assert (train, test) == split(labels)
    assert sorted(train + test) == list(range(300))
    assert [sum(labels[i] == label for i in test) for label in range(3)] == [20, 20, 20]


def test_batches_have_one_size_and_no_digit_twice() -> None:
    import random

    found = list(batches(10, 3, random.Random(0)))
    assert [len(b) for b in found] == [3, 3, 3]
    assert len({i for b in found for i in b}) == 9
    assert found == list(batches(10, 3, random.Random(0)))


def test_weights_and_digits_are_the_same_on_every_backend(backend: Backend) -> None:
    with ad.use_backend("numpy"):
        expected = [p.tolist() for p in build_model(1).parameters()]
        digits = load_digits()[1]
    assert [p.tolist() for p in build_model(1).parameters()] == expected
    here = load_digits()[1]
    assert here.images.device is backend.devices[0]
    assert (here.images.tolist(), here.labels.tolist()) == (digits.images.tolist(), digits.labels.tolist())


def test_held_out_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits as original

    data = original()
    known = {(tuple(image), label) for image, label in zip(data.data.tolist(), data.target.tolist(), strict=True)}
    train, test = load_digits()
    assert len(train) + len(test) == len(data.target) == 1797
    for part in (train, test):
        images = (part.images * 4).tolist()
        assert {(tuple(i), n) for i, n in zip(images, part.labels.tolist(), strict=True)} <= known


# The picture ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", ["1", "12"])
def test_plot_is_a_picture_of_16_to_9(tmp_path: Path, epochs: str) -> None:
    file = tmp_path / "digits.png"
    result = run("demo", "--epochs", epochs, "--plot", str(file))
    assert result.exit_code == 0, result.output
    assert f"drawn in {file}" in result.output
    data = file.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (1920, 1080)
    assert 40_000 < len(data) < 1_000_000


def test_plot_frames_every_digit_that_was_read_wrong() -> None:
    from polyad.cli.digits import Epoch
    from polyad.cli.plot import draw

    _, held_out = load_digits()
    predictions = held_out.labels.tolist()
    for i in (5, 200, 358):
        predictions[i] = (predictions[i] + 1) % 10
    history = [Epoch(1, 0.5, 0.9, 0.6, 0.8), Epoch(2, 0.1, 1.0, 0.2, 356 / 359)]
    figure = draw(history, held_out, predictions, "numpy on cpu")
    loss, correct, sheet = figure.axes
    assert [line.get_ydata().tolist() for line in loss.lines] == [[0.5, 0.1], [0.6, 0.2]]
    assert [line.get_ydata().tolist() for line in correct.lines] == [[90, 100], [80, pytest.approx(99.16, abs=0.01)]]
    assert len(sheet.images) == 96
    assert len(sheet.lines) == 3
    assert sheet.get_title("left") == "3 of 359 read wrong, framed"
    assert sum("is" in text.get_text() for text in sheet.texts) == 3
    figure = draw(history, held_out, held_out.labels.tolist(), "numpy on cpu")
    assert figure.axes[2].get_title("left") == "96 of 359, all read right"


def test_plot_does_not_touch_pyplot(tmp_path: Path) -> None:
    code = (
        "import sys; from polyad.cli import main; "
        f"main(['demo', '--epochs', '1', '--plot', {str(tmp_path / 'x.svg')!r}], standalone_mode=False); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0
    assert b"<svg" in (tmp_path / "x.svg").read_bytes()[:1000]


def test_plot_refuses_what_cannot_be_written_before_it_trains(tmp_path: Path) -> None:
    def message(file: Path) -> str:
        result = run("demo", "--plot", str(file))
        assert "epoch" not in result.output.replace("--epochs", "")
        return error_of(result, 2)

    (tmp_path / "folder.png").mkdir()
    assert "there is no folder" in message(tmp_path / "none" / "x.png")
    assert "must end in .png, .svg or .pdf" in message(tmp_path / "x.jpg")
    assert "cannot be written: Is a directory." in message(tmp_path / "folder.png")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.png"]


def test_a_run_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    new, old = tmp_path / "new.png", tmp_path / "old.png"
    old.write_text("a picture")
    for file in (new, old):
        error_of(run("demo", "--plot", str(file), "--backend", "nonesuch"), 2)
    assert not new.exists()
    assert old.read_text() == "a picture"


def test_plot_tells_of_a_disk_that_fails_after_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    result = run("demo", "--epochs", "1", "--plot", str(tmp_path / "x.png"))
    assert "x.png' cannot be written: No space left on device" in error_of(result, 1)


# Mistakes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["demo", "--backend", "torch"], r"'--backend': unknown backend 'torch'; there are .*jax, numpy"),
        (["demo", "--device", "cuda:7"], r"'--device': backend 'numpy' has no device 'cuda:7'; it has cpu\."),
        (["demo", "--epochs", "0"], "'--epochs': 0 is not in the range x>=1"),
        (["demo", "--epochs", "-2"], "'--epochs': -2 is not in the range x>=1"),
        (["demo", "--epochs", "many"], "'--epochs': 'many' is not a valid int"),
        (["demo", "--batch-size", "1439"], r"'--batch-size': there are 1438 digits to learn from; got 1439\."),
        (["demo", "--lr", "0"], "'--lr': 0.* is not in the range x>0"),
        (["ops", "multipl"], r"NAME: there is no function 'multipl'; did you mean multiply"),
        (["ops", "qqq"], r"there is no function 'qqq'; polyad ops lists them\."),
        (["ops", "--backend", "torch"], "'--backend': unknown backend 'torch'; there are"),
        (["train"], "No such command 'train'"),
    ],
    ids=" ".join,
)
def test_mistakes_are_told_in_a_line(args: list[str], message: str) -> None:
    assert re.search(message, error_of(run(*args), 2))


def test_mistakes_are_told_on_stderr() -> None:
    result = spawn("ops", "multipl")
    assert (result.returncode, result.stdout) == (2, "")
    assert "did you mean multiply" in result.stderr


def test_a_backend_that_is_not_there_or_broken_is_told_with_the_reason(other: dict[str, str]) -> None:
    for command in ("demo", "ops"):
        absent = spawn(command, "--backend", "absent", **other)
        assert (absent.returncode, absent.stdout) == (1, "")
        told = absent.stderr.splitlines()[-1]
        assert told == "Error: backend 'absent' is not installed; write: pip install 'other[absent]'"
        broken = spawn(command, "--backend", "broken", **other)
        assert (broken.returncode, broken.stdout) == (1, "")
        told = broken.stderr.splitlines()[-1]
        assert re.fullmatch(r"Error: backend 'broken' .* failed to load: the driver is too old", told)
        assert "Traceback" not in absent.stderr + broken.stderr


@pytest.mark.parametrize(("module", "package"), [("sklearn", "scikit-learn"), ("matplotlib", "matplotlib")])
def test_a_missing_extra_is_told_with_the_line_that_installs_it(
    module: str, package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in (module, f"{module}.datasets"):
        monkeypatch.setitem(sys.modules, name, None)
    message = error_of(run("demo", "--plot", str(tmp_path / "x.png")), 1)
    assert f"polyad demo needs {package}, which is not installed; write: pip install 'polyad[demo]'" in message


def test_a_plugin_that_is_left_out_is_told() -> None:
    assert "POLYAD_PLUGINS leaves it out" in spawn("demo", POLYAD_PLUGINS="").stderr
    for command in (["demo"], ["ops"]):
        result = spawn(*command, POLYAD_PLUGINS="nonesuch")
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("Error: POLYAD_PLUGINS names 'nonesuch', which is not installed")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_an_interrupted_run_says_so_and_exits_with_130() -> None:
    # a shell starts what it runs in the background with this signal ignored, and children inherit that
    program = (
        "import runpy, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.argv = ['polyad', 'demo', '--epochs', '100000']\n"
        "runpy.run_module('polyad', run_name='__main__')"
    )
    command = [sys.executable, "-u", "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()) as p:
        assert p.stdout
        while not p.stdout.readline().startswith("epoch"):
            assert p.poll() is None
        time.sleep(0.1)
        p.send_signal(signal.SIGINT)
        _, err = p.communicate(timeout=60)
    assert p.returncode == 130
    assert err == "\npolyad: interrupted\n"


def test_a_fault_of_polyad_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fault() -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(info, "gather", fault)
    assert isinstance(run("info").exception, ZeroDivisionError)


# info -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which another distribution brings backends and plugins that do not work."""
    root = tmp_path_factory.mktemp("other")
    dist = root / "other-2.5.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 2.5\n")
    (dist / "entry_points.txt").write_text(
        "[polyad.backends]\nabsent = other_absent\nbroken = other_broken\n"
        "[polyad.plugins]\nfaulty = other_faulty\nfine = other_fine\n"
    )
    head = "import polyad as ad\nfrom polyad.hookspecs import hookimpl\nfrom polyad.errors import *\n@hookimpl\n"
    (root / "other_absent.py").write_text(
        f"{head}def polyad_backend():\n"
        "    raise BackendNotInstalledError(\"backend 'absent' is not installed; write: \"\n"
        "                                   \"pip install 'other[absent]'\")\n"
    )
    (root / "other_broken.py").write_text(
        f"{head}def polyad_backend():\n    raise BackendError('the driver is too old')\n"
    )
    (root / "other_faulty.py").write_text("import no_such_module\n")
    (root / "other_fine.py").write_text(
        f"{head}def polyad_functions():\n    return [cube]\n\n\n"
        "@ad.function(name='fine.cube', takes='floating')\ndef cube(xp, x, /):\n"
        "    '''Cube of ``x``, or x³.'''\n    return x * x * x\n",
        encoding="utf-8",
    )
    return {"PYTHONPATH": os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])}


def test_info_as_json_knows_every_state(other: dict[str, str]) -> None:
    result = spawn("info", "--json", **other)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["polyad"] == ad.__version__
    assert told["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (told["default"], told["why"]) == ("numpy on cpu", "POLYAD_BACKEND is not set")
    if sys.platform == "linux":
        assert 0 < told["memory"]["available"] <= told["memory"]["total"]

    import numpy as np

    backends = {b["name"]: b for b in told["backends"]}
    assert set(backends) == {"absent", "broken", "cupy", "jax", "numpy"}
    assert (backends["numpy"]["state"], backends["numpy"]["devices"]) == ("ready", ["cpu"])
    assert backends["numpy"]["details"]["numpy"] == np.__version__
    assert backends["numpy"]["provider"] == f"polyad {ad.__version__}"
    assert (backends["absent"]["state"], backends["absent"]["provider"]) == ("not installed", "other 2.5")
    assert backends["absent"]["reason"] == "pip install 'other[absent]'"
    assert (backends["broken"]["state"], backends["broken"]["reason"]) == ("broken", "the driver is too old")

    found = {p["name"]: p for p in told["plugins"]}
    assert (found["nn"]["state"], found["nn"]["provider"]) == ("ready", f"polyad {ad.__version__}")
    assert "nn.cross_entropy" in found["nn"]["functions"]
    assert (found["fine"]["state"], found["fine"]["functions"]) == ("ready", ["fine.cube"])
    assert (found["faulty"]["state"], found["faulty"]["provider"]) == ("broken", "other 2.5")
    assert found["faulty"]["reason"] == "ModuleNotFoundError: No module named 'no_such_module'"


def test_info_shows_every_state(other: dict[str, str]) -> None:
    shown = spawn("info", **other).stdout
    assert shown.startswith(f"polyad {ad.__version__}\n")
    assert re.search(r"^  default  numpy on cpu  \(POLYAD_BACKEND is not set\)", shown, re.MULTILINE)
    assert re.search(r"^  numpy +ready +polyad .* cpu; numpy \d", shown, re.MULTILINE)
    assert re.search(r"^  absent +not installed +other 2.5 +pip install 'other\[absent\]'", shown, re.MULTILINE)
    assert re.search(r"^  broken +broken +other 2.5 +the driver is too old", shown, re.MULTILINE)
    assert re.search(r"^  fine +ready +other 2.5 +1 function\b", shown, re.MULTILINE)
    assert re.search(r"^  faulty +broken +other 2.5 +ModuleNotFoundError: No module", shown, re.MULTILINE)
    assert re.search(r"memory +\d+\.\d GiB", shown) or sys.platform != "linux"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"POLYAD_BACKEND": "numpy", "POLYAD_DEVICE": "cpu"}, "numpy on cpu (POLYAD_BACKEND=numpy, POLYAD_DEVICE=cpu)"),
        ({"POLYAD_BACKEND": "nonesuch"}, "none (POLYAD_BACKEND=nonesuch: unknown backend 'nonesuch'"),
        ({"POLYAD_DEVICE": "cuda:7"}, "none (POLYAD_DEVICE=cuda:7: backend 'numpy' has no device 'cuda:7'"),
        ({"POLYAD_PLUGINS": ""}, "nn left out"),
        ({"POLYAD_PLUGINS": "nonesuch"}, "POLYAD_PLUGINS names 'nonesuch'"),
    ],
    ids=str,
)
def test_info_says_what_the_environment_does(env: dict[str, str], expected: str) -> None:
    result = spawn("info", **env)
    assert result.returncode == 0
    assert expected in " ".join(result.stdout.split())


# ops ------------------------------------------------------------------------------------------------------


def test_ops_lists_every_function_once_under_its_chapter() -> None:
    plugins.load_all()
    lines = run("ops", "--backend", "numpy").output.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    for name in ad.FUNCTIONS:
        assert listed.count(name) == 1, name
    order = [line for line in lines if line and not line.startswith(" ")]
    assert order[:2] == ["creation", "arithmetic"]
    assert f"nn (polyad {ad.__version__})" in order
    assert order[-1].startswith(f"{len(ad.FUNCTIONS)} functions")


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("add", ["x1, x2", "rules", "library"]),
        ("sum", ["x", "rules", "own"]),
        ("signbit", ["x", "none", "library"]),
        ("linalg.eigvalsh", ["x", "body", "library"]),
        ("getitem", ["x, *indices", "rules", "own"]),
        ("nn.linear", ["input, weight, bias", "rules", "body"]),
    ],
)
def test_ops_says_where_derivative_and_kernel_come_from(name: str, cells: list[str]) -> None:
    lines = run("ops", "--backend", "numpy").output.splitlines()
    (line,) = [line for line in lines if line.startswith(f"  {name} ")]
    assert re.split(r"  +", line.strip())[1:] == cells


def test_ops_has_a_column_for_each_backend_that_is_ready(backend: Backend) -> None:
    head = run("ops").output.splitlines()[1].split()
    assert head[:3] == ["function", "inputs", "derivative"]
    assert {"numpy", backend.name} <= set(head[3:])
    assert run("ops", "--backend", backend.name).output.splitlines()[1].split()[3:] == [backend.name]


def test_the_kernel_that_is_shown_is_the_one_that_runs(backend: Backend) -> None:
    from polyad.kernels import standard

    def origin(kernel: Any) -> Any:
        return getattr(kernel, "original", kernel)  # what another wraps that brings arguments to the library's form

    for function in ad.FUNCTIONS.values():
        resolved = origin(backend.resolve(function, backend.devices[0]))
        shown = ops.kernel(backend, function)
        if function.wide and shown != "body":
            continue  # it runs inside another, which brings half precision to float32
        if shown == "own":
            assert resolved is backend.kernels[function.name]
        elif shown == "plugin":
            assert resolved is backend.provided[function.name]
        elif shown == "library":
            assert resolved is origin(standard(backend.xp, function.name))
        else:
            assert shown == "body"
            assert resolved.__qualname__ == function.name


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("multiply", "multiply(x1, x2, /)"),
        ("mul", "multiply(x1, x2, /)"),
        ("polyad.mul", "multiply(x1, x2, /)"),
        ("linalg.eigh", "linalg.eigh(x, /)"),
        ("eigh", "linalg.eigh(x, /)"),
        ("sum", "sum(x, /, *, axis=None, dtype=None, keepdims=False)"),
    ],
)
def test_ops_finds_a_function_by_its_names(asked: str, name: str) -> None:
    assert run("ops", asked, "--backend", "numpy").output.splitlines()[0] == name


def test_ops_explains_a_function() -> None:
    page = run("ops", "divide", "--backend", "numpy").output
    words = " ".join(page.split())
    assert "Quotient x1 / x2; integers are divided as float32." in words
    assert ">>> ad.divide(ad.tensor([1, 2]), 2) tensor([0.5000, 1.0000])" in words
    assert "also called div, true_divide" in words
    assert "dtypes floating: float16, bfloat16, float32, float64, complex64, complex128" in words
    assert "Derivative: rules; DivideBackward keeps for x1 x2 for x2 x1, x2" in words
    assert "numpy library the array library's function of that name" in words
    assert "``" not in page


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("add", "for x1 nothing for x2 nothing"),
        ("tanh", "for x the result"),
        ("sum", "for x the shape of x, axis, keepdims"),
        ("concat", "the shapes of arrays"),
        ("getitem", "for indices no derivative"),
        ("linalg.eigvalsh", "Derivative: follows from the body"),
        ("argmax", "Derivative: none, nothing is recorded"),
        ("reshape", "memory a view"),
        ("nn.relu", f"from polyad {ad.__version__}"),
    ],
)
def test_ops_says_what_is_kept(name: str, line: str) -> None:
    assert line in " ".join(run("ops", name, "--backend", "numpy").output.split())


def test_every_function_has_a_page() -> None:
    plugins.load_all()
    for name in ad.FUNCTIONS:
        result = run("ops", name, "--backend", "numpy")
        assert result.exit_code == 0, (name, result.output)
        assert result.output.splitlines()[0].startswith(f"{name}(")


def test_ops_goes_on_without_a_plugin_that_fails(other: dict[str, str]) -> None:
    result = spawn("ops", "--backend", "numpy", **other)
    assert result.returncode == 0
    assert "fine.cube" in result.stdout
    assert result.stderr == "without plugin faulty, which fails to load: polyad info says why\n"


def test_a_docstring_is_filled_to_the_width_with_its_parts_apart() -> None:
    from rich.console import Console

    from polyad.cli.docstring import render_docstring

    text = (
        "A summary that\nruns on, of ``code`` and `name`.\n\nParameters\n----------\na, b : int\n"
        "c : int\n    What it\n    is.\n\nExamples\n--------\n>>> f(\n...     1)\n[1,\n 2]\n"
    )
    console = Console(width=60, color_system=None)
    with console.capture() as capture:
        console.print(render_docstring(text))
    assert [line.rstrip() for line in capture.get().splitlines()] == [
        *("A summary that runs on, of code and name.", "", "Parameters", "a, b : int", "c : int", "    What it is."),
        *("", "Examples", "  >>> f(", "  ...     1)", "  [1,", "   2]"),
    ]


# What all commands have in common ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args", [["info"], ["ops"], ["ops", "nn.cross_entropy"], ["ops", "sum"], ["demo", "--epochs", "1"]], ids=" ".join
)
@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}], ids=["piped", "NO_COLOR"])
def test_output_fits_80_columns_without_colours(args: list[str], env: dict[str, str]) -> None:
    result = run(*args, **env)
    assert result.exit_code == 0, result.output
    assert not re.search(r"\x1b\[(?![12?]?[0-9]*[mlhKA])|\x1b\[3[0-9]m", result.output)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", result.output)
    assert max(len(line) for line in re.split(r"[\r\n]", plain)) <= 80


def test_the_bar_is_there_on_a_terminal_and_goes_at_the_end() -> None:
    shown = run("demo", "--epochs", "1", FORCE_COLOR="1", NO_COLOR=None, TERM="xterm").output
    bar, _, rest = shown.rpartition("training")
    assert "epoch 1/1" in bar
    assert "\x1b[1A\x1b[2K" in rest.partition("polyad demo")[0]  # up a line, and erase it
    assert "training" not in spawn("demo", "--epochs", "1").stdout


def test_colours_are_there_on_a_terminal() -> None:
    assert "\x1b[32m" in run("info", FORCE_COLOR="1", NO_COLOR=None, TERM="xterm").output


def test_a_terminal_that_lacks_signs_gets_others(other: dict[str, str]) -> None:
    result = spawn("demo", "--epochs", "1", PYTHONIOENCODING="ascii")
    assert result.returncode == 0, result.stderr
    assert result.stdout.isascii()
    assert (
        "Cube of x, or x?." in spawn("ops", "fine.cube", "--backend", "numpy", PYTHONIOENCODING="ascii", **other).stdout
    )


def test_version_and_help_load_no_array_library() -> None:
    assert spawn("--version").stdout == f"polyad, version {ad.__version__}\n"
    code = (
        "import sys; from polyad.cli import main; main(sys.argv[1:], standalone_mode=False); "
        "loaded = {m.partition('.')[0] for m in sys.modules}; "
        "sys.exit(bool(loaded & {'numpy', 'jax', 'cupy', 'sklearn', 'matplotlib'}))"
    )
    for args in (["--help"], ["demo", "--help"], ["--version"]):
        result = subprocess.run(
            [sys.executable, "-c", code, *args], capture_output=True, text=True, env=environment(), check=False
        )
        assert result.returncode == 0, result.stderr
    for command in ("demo", "info", "ops"):
        assert re.search(rf"^  {command} +[A-Z].*\.$", spawn("--help").stdout, re.MULTILINE)
