"""The picture of ``polyad demo --plot``: how loss and accuracy went, and a sheet of digits as they were read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from .console import import_extra, mistake
from .digits import Digits, Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["check", "draw", "save"]

FORMATS: Final = (".png", ".svg", ".pdf")
COLUMNS, ROWS = 12, 8
STEP: Final = 1.2  # from one row to the next, in cells
SIDE: Final = 8  # pixels
INK, FAINT, PAPER, TRAIN, TEST, WRONG = "#22272e", "#8b949e", "#f0f2f4", "#9aa5b1", "#0b6bcb", "#d1242f"


def check(file: Path) -> None:
    """See, before any work is done, that a picture can be drawn into a file.

    Raises
    ------
    click.ClickException
        If not; the message says why.
    """
    if file.suffix.lower() not in FORMATS:
        raise mistake("file", f"{str(file)!r} must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")
    if not file.parent.is_dir():
        raise mistake("file", f"there is no folder {str(file.parent)!r}.")
    is_new = not file.exists()
    try:
        with file.open("ab"):
            pass
        if is_new:
            file.unlink()
    except OSError as error:
        raise mistake("file", f"{str(file)!r} cannot be written: {error.strerror}.") from error
    import_extra("matplotlib", package="matplotlib", extra="demo")


def save(file: Path, figure: Figure) -> None:
    """Write a picture.

    Raises
    ------
    click.ClickException
        If the file cannot be written.
    """
    try:
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise click.ClickException(f"{str(file)!r} cannot be written: {error.strerror or error}") from error


def draw(history: Sequence[Epoch], held_out: Digits, predictions: Sequence[int], place: str) -> Figure:
    """Draw everything on one slide of 16 to 9. ``place`` names backend and device."""
    from matplotlib.figure import Figure

    figure = Figure((12.8, 7.2))  # not through pyplot: no window, and no setting of the process changes
    grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.9), left=0.055, right=0.985, top=0.8, bottom=0.085)
    grid.update(wspace=0.13, hspace=0.42)
    epochs = [e.number for e in history]
    draw_curves(
        figure.add_subplot(grid[0, 0]),
        "loss",
        epochs,
        [e.train_loss for e in history],
        [e.test_loss for e in history],
    )
    draw_curves(
        figure.add_subplot(grid[1, 0]),
        "accuracy, %",
        epochs,
        [100 * e.train_accuracy for e in history],
        [100 * e.test_accuracy for e in history],
    )
    draw_sheet(figure.add_subplot(grid[:, 1]), held_out, predictions)
    figure.text(
        0.03,
        0.93,
        f"{history[-1].test_accuracy:.1%} of the held-out digits read right",
        size=21,
        weight="bold",
        color=INK,
    )
    figure.text(0.03, 0.885, f"polyad, {place}", size=12, color=FAINT)
    return figure


def draw_curves(axes: Axes, title: str, epochs: Sequence[int], train: Sequence[float], test: Sequence[float]) -> None:
    """Draw how a quantity went on both parts of the digits."""
    from matplotlib.ticker import FixedLocator, MaxNLocator

    marker = "o" if len(epochs) == 1 else None
    axes.plot(epochs, train, color=TRAIN, lw=2, marker=marker, label="learned from")
    axes.plot(epochs, test, color=TEST, lw=2, marker=marker, label="held out")
    axes.set_title(title, loc="left", size=12, color=INK)
    axes.set_xlabel("epoch", color=FAINT)
    axes.xaxis.set_major_locator(
        MaxNLocator(integer=True, steps=[1, 2, 5, 10]) if len(epochs) > 10 else FixedLocator(epochs)
    )
    axes.grid(axis="y", color="#e5e8eb", lw=0.8)
    axes.tick_params(colors=FAINT, length=0)
    axes.spines[:].set_visible(False)
    axes.legend(frameon=False, labelcolor="linecolor", fontsize=11)


def draw_sheet(axes: Axes, digits: Digits, predictions: Sequence[int]) -> None:
    """Draw digits with what they were read as below: those read wrong first, framed."""
    from matplotlib.colors import LinearSegmentedColormap

    images, labels = digits.images.reshape((-1, SIDE, SIDE)).tolist(), digits.labels.tolist()
    wrong = [i for i, label in enumerate(labels) if predictions[i] != label]
    right = [i for i, label in enumerate(labels) if predictions[i] == label]
    shown = [*wrong, *right][: COLUMNS * ROWS]
    paper_to_ink = LinearSegmentedColormap.from_list("ink", [PAPER, INK])
    for cell, i in enumerate(shown):
        row, column = divmod(cell, COLUMNS)
        draw_digit(axes, (column, STEP * row), images[i], labels[i], predictions[i], paper_to_ink)
    axes.set(xlim=(0, COLUMNS), ylim=(STEP * ROWS, -0.05), aspect="equal")
    axes.axis("off")
    framed = min(len(wrong), len(shown))
    some = "framed" if framed == len(wrong) else f"{framed} of them here"
    title = (
        f"{len(wrong)} of {len(labels)} read wrong, {some}"
        if wrong
        else f"{len(shown)} of {len(labels)}, all read right"
    )
    axes.set_title(title, loc="left", size=12, color=INK)


def draw_digit(axes: Axes, corner: tuple[float, float], image: Any, label: int, prediction: int, colors: Any) -> None:
    """Draw one digit in its cell of the sheet, whose upper left corner is given."""
    left, top = corner[0] + 0.06, corner[1]
    right, bottom = left + 0.88, top + 0.88
    axes.imshow(image, cmap=colors, extent=(left, right, bottom, top), interpolation="nearest")
    is_wrong = prediction != label
    text = f"{prediction}, is {label}" if is_wrong else str(prediction)
    style: dict[str, Any] = {"color": WRONG, "weight": "bold"} if is_wrong else {"color": FAINT}
    axes.text((left + right) / 2, bottom + 0.15, text, ha="center", va="center", size=9, **style)
    if is_wrong:
        corners = [left, right, right, left, left], [top, top, bottom, bottom, top]
        axes.plot(*corners, color=WRONG, lw=1.8)
