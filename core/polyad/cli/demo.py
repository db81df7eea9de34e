"""``polyad demo``: train a classifier of handwritten digits, and show how it does. The learning is in `digits`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from ..backend import Device
from ..errors import PluginError
from ..plugins import plugins
from . import plot
from .console import choose_backend, console, grid, mistake
from .digits import Epoch, build_model, count_parameters, load_digits, predict, train

__all__ = ["command"]


@click.command("demo")
@click.option("--backend", metavar="NAME", envvar="POLYAD_BACKEND", show_envvar=True, help="Backend to train on.")
@click.option("--device", metavar="NAME", envvar="POLYAD_DEVICE", show_envvar=True, help="Device, such as cuda:1.")
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True, help="Passes over the digits.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Digits a step.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), default=0.003, show_default=True, help="Learning rate.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the weights, and the order of batches.")
@click.option("--plot", "file", metavar="FILE.png", type=click.Path(path_type=Path), help="Draw curves and digits.")
def command(
    backend: str | None, device: str | None, epochs: int, batch_size: int, lr: float, seed: int, file: Path | None
) -> None:
    """Train a classifier of handwritten digits.

    It learns from four fifths of the 1,797 scans that scikit-learn brings along, and is tested on the fifth held
    out. The same seed gives the same weights and the same batches on every backend.
    """
    if file is not None:
        plot.check(file)
    require_networks()
    with choose_backend(backend, device) as place:
        digits, held_out = load_digits()
        if batch_size > len(digits):
            raise mistake("batch_size", f"there are {len(digits)} digits to learn from; got {batch_size}.")
        out = console()
        out.print(f"{len(digits)} handwritten digits to learn from, {len(held_out)} held out", style="dim")

        start = time.perf_counter()
        model = build_model(seed)
        with progress(out) as bar:
            task = bar.add_task("training", total=epochs * (len(digits) // batch_size))
            epochs_done = train(
                model,
                digits,
                held_out,
                epochs=epochs,
                batch_size=batch_size,
                lr=lr,
                seed=seed,
                on_batch=lambda: bar.advance(task),
            )
            history = list(report(epochs_done, epochs, bar.console))
        seconds = time.perf_counter() - start

        out.print(summary(history, len(held_out), seconds, place, count_parameters(model)))
        if file is not None:
            plot.save(file, plot.draw(history, held_out, predict(model, held_out), describe(place)))
            out.print(f"drawn in {file}", soft_wrap=True)


def require_networks() -> None:
    """Load the plugin that brings layers and optimizers.

    Raises
    ------
    click.ClickException
        If it does not load, or the environment leaves it out.
    """
    try:
        plugins.load("nn")
    except PluginError as error:
        raise click.ClickException(str(error)) from error


def progress(out: Console) -> Progress:
    """Make a bar that stands below the lines printed meanwhile, and goes when all is done. Terminals only."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Progress(*columns, console=out, transient=True, disable=not out.is_terminal)


def report(history: Iterator[Epoch], epochs: int, out: Console) -> Iterator[Epoch]:
    """Pass epochs on, printing a line for each."""
    width = len(str(epochs))
    for epoch in history:
        line = Text(f"epoch {epoch.number:{width}}/{epochs}   loss {epoch.train_loss:.4f}   accuracy ")
        out.print(line.append(f"{epoch.test_accuracy:7.2%}", style="bold"))
        yield epoch


def summary(history: list[Epoch], held_out: int, seconds: float, place: Device, parameters: int) -> Panel:
    """Make the panel at the end."""
    accuracy = history[-1].test_accuracy
    right = round(accuracy * held_out)
    table = grid("dim", "")
    table.add_row(
        "",
        "accuracy",
        Text(f"{accuracy:.2%}", style="bold green").append(
            f" on held-out digits, {right} of {held_out}", style="not bold default"
        ),
    )
    table.add_row("", "time", f"{seconds:.1f} s for {len(history)} epoch{'s' * (len(history) > 1)}")
    table.add_row("", "backend", describe(place))
    table.add_row("", "parameters", f"{parameters:,}")
    return Panel(table, title="polyad demo", title_align="left", expand=False)


def describe(place: Device) -> str:
    """Name backend and device."""
    return f"{place.backend.name} on {place}"
