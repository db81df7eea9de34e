"""The printed form of tensors, character for character that of PyTorch.

The module works on plain Python values only. It asks for the part of the array that will be shown, so
printing costs the same for a tensor of a billion elements as for one of a thousand.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

__all__ = ["PrintOptions", "format_tensor", "get_printoptions", "set_printoptions"]

Fetch = Callable[[tuple[slice | int, ...]], Any]


@dataclass(frozen=True, kw_only=True)
class PrintOptions:
    """How tensors are printed.

    Attributes
    ----------
    precision : int
        Digits after the decimal point.
    threshold : float
        A tensor with more elements than this is summarised.
    edgeitems : int
        Items shown at each end of every dimension of a summarised tensor.
    linewidth : int
        Characters in a line before it is wrapped.
    sci_mode : bool or None
        Whether scientific notation is used; None decides from the values.
    """

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES: Final = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=math.inf),
}

_options = PrintOptions()


def get_printoptions() -> PrintOptions:
    """Return the options that tensors are printed with now.

    Returns
    -------
    PrintOptions
        The options; they cannot be changed in place.
    """
    return _options


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed.

    Parameters
    ----------
    precision, threshold, edgeitems, linewidth : optional
        New values of these options (see `PrintOptions`); None leaves the value as it is.
    profile : {"default", "short", "full"}, optional
        A set of values to start from, which the other arguments override. As in PyTorch, an unknown
        name changes nothing.
    sci_mode : bool, optional
        Whether scientific notation is used. As in PyTorch this one is set by every call, so that
        leaving it out goes back to deciding from the values.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.set_printoptions(precision=2)
    >>> ad.tensor([1 / 3])
    tensor([0.33])
    >>> ad.set_printoptions(profile="default")
    """
    global _options
    base = _options if profile is None else _PROFILES.get(profile, _options)
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    _options = replace(base, **changes, sci_mode=sci_mode)


def format_tensor(
    shape: tuple[int, ...],
    kind: str,
    fetch: Fetch,
    *,
    prefix: str = "tensor(",
    suffixes: Sequence[str] = (),
) -> str:
    """Format a tensor the way PyTorch prints it.

    Parameters
    ----------
    shape : tuple of int
        The shape of the tensor.
    kind : {"bool", "integer", "real floating", "complex floating"}
        What the elements are.
    fetch : callable
        ``fetch(index)`` gives the elements at a basic index with one slice for each dimension, as
        nested lists (a scalar for a tensor of no dimensions). Only what is printed is fetched.
    prefix : str
        What comes before the data. Later lines are indented by its length.
    suffixes : sequence of str
        Pieces to follow the data, such as ``"requires_grad=True"``. When the data cannot tell the
        shape (an empty tensor, no ``edgeitems``), a ``size=`` piece is added where PyTorch has it:
        after ``device=``, before the rest.

    Returns
    -------
    str
        The printed form, with the closing parenthesis.
    """
    options = _options
    if kind not in _CELLS:
        raise ValueError(f"unknown kind of elements: {kind!r}")
    pieces = list(suffixes)
    if 0 in shape:
        data = "[]"
        shows_size = len(shape) != 1
    else:
        shows_size = options.edgeitems == 0
        cut = _cut_axes(shape, options)
        kept = _fetch_kept(shape, cut, fetch, options.edgeitems)
        cells = _CELLS[kind](list(_leaves(kept, len(shape))), options)
        data = _layout(kept, cut, cells, len(prefix), options)
    if shows_size:
        has_device = bool(pieces) and pieces[0].startswith("device=")
        pieces.insert(int(has_device), f"size={tuple(shape)}")
    return _with_suffixes(prefix + data, pieces, len(prefix), options.linewidth)


# -- What is shown ---------------------------------------------------------------------------------------


def _cut_axes(shape: tuple[int, ...], options: PrintOptions) -> tuple[bool, ...]:
    """Say for each axis whether its middle is left out."""
    summarised = math.prod(shape) > options.threshold
    return tuple(summarised and size > 2 * options.edgeitems for size in shape)


def _fetch_kept(
    shape: tuple[int, ...], cut: tuple[bool, ...], fetch: Fetch, edge: int, index: tuple[slice, ...] = ()
) -> Any:
    """Fetch the elements that are shown, as nested lists without the parts left out."""
    if any(cut) and edge == 0:
        return []
    axis = len(index)
    if axis == len(shape):
        return fetch(index)
    if not cut[axis]:
        return _fetch_kept(shape, cut, fetch, edge, (*index, slice(None)))
    size = shape[axis]
    head = _fetch_kept(shape, cut, fetch, edge, (*index, slice(0, edge)))
    tail = _fetch_kept(shape, cut, fetch, edge, (*index, slice(size - edge, size)))
    return _concatenate(head, tail, axis)


def _concatenate(left: list[Any], right: list[Any], axis: int) -> list[Any]:
    """Join two nested lists along an axis."""
    if axis == 0:
        return left + right
    return [_concatenate(a, b, axis - 1) for a, b in zip(left, right, strict=True)]


def _leaves(nested: Any, depth: int) -> Iterator[Any]:
    """Go through the elements of nested lists in order."""
    if depth == 0:
        yield nested
    else:
        for item in nested:
            yield from _leaves(item, depth - 1)


# -- How one element is written --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cells:
    """How to write an element, and the columns it is reckoned to take when lines are wrapped."""

    width: int
    write: Callable[[Any], str]


def _aligned(width: int, write: Callable[[Any], str]) -> _Cells:
    return _Cells(width, lambda value: write(value).rjust(width))


def _widest(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=1)


def _plain_cells(values: Sequence[Any], options: PrintOptions) -> _Cells:
    """Cells for bools and integers."""
    return _aligned(_widest(map(str, values)), str)


def _float_cells(values: Sequence[float], options: PrintOptions) -> _Cells:
    """Cells for real numbers: whole (``2.``), fixed point or scientific.

    Zeros, infinities and NaNs have no say in the choice nor, however long they turn out, in the width.
    """
    telling = [float(value) for value in values if value != 0 and math.isfinite(value)]
    whole = all(value.is_integer() for value in telling)
    if telling and _is_scientific(telling, options):
        write = _number_writer(f".{options.precision}e")
    elif whole:
        write = _write_whole
    else:
        write = _number_writer(f".{options.precision}f")
    return _aligned(_widest(map(write, telling)), write)


def _is_scientific(telling: Sequence[float], options: PrintOptions) -> bool:
    """Decide on scientific notation from the nonzero finite values."""
    if options.sci_mode is not None:
        return options.sci_mode
    sizes = [abs(value) for value in telling]
    low, high = min(sizes), max(sizes)
    return high / low > 1000 or high > 1e8 or low < 1e-4


def _number_writer(spec: str) -> Callable[[Any], str]:
    return lambda value: format(float(value), spec)


def _write_whole(value: Any) -> str:
    text = format(float(value), ".0f")
    return text + "." if math.isfinite(value) else text


def _complex_cells(values: Sequence[complex], options: PrintOptions) -> _Cells:
    """Cells for complex numbers, whose two parts each have their own format."""
    real = _float_cells([value.real for value in values], options)
    imag = _float_cells([value.imag for value in values], options)

    def write(value: complex) -> str:
        second = imag.write(value.imag).lstrip()
        sign = "" if second.startswith("-") else "+"
        return f"{real.write(value.real)}{sign}{second}j"

    return _Cells(real.width + imag.width + 1, write)


_CELLS: Final[dict[str, Callable[[Sequence[Any], PrintOptions], _Cells]]] = {
    "bool": _plain_cells,
    "integer": _plain_cells,
    "real floating": _float_cells,
    "complex floating": _complex_cells,
}


# -- How they are put together ---------------------------------------------------------------------------


def _layout(kept: Any, cut: tuple[bool, ...], cells: _Cells, indent: int, options: PrintOptions) -> str:
    """Write nested lists in brackets, with dots where an axis is cut."""
    rank = len(cut)
    if rank == 0:
        return cells.write(kept)
    if rank == 1:
        items = [cells.write(value) for value in kept]
        dots = " ..." if items else "..."
    else:
        items = [_layout(part, cut[1:], cells, indent + 1, options) for part in kept]
        dots = "..."
    if cut[0]:
        items.insert(options.edgeitems, dots)
    if rank == 1:
        per_line = max(1, (options.linewidth - indent) // (cells.width + len(", ")))
        items = [", ".join(items[start : start + per_line]) for start in range(0, len(items), per_line)]
    line_break = "," + "\n" * max(1, rank - 1) + " " * (indent + 1)
    return "[" + line_break.join(items) + "]"


def _with_suffixes(text: str, pieces: Sequence[str], indent: int, linewidth: int) -> str:
    """Add the pieces after the data, each on the last line if it fits, and the closing parenthesis."""
    # PyTorch reckons the last line of the data two columns longer than it is, and breaks lines by that.
    column = len(text) - text.rfind("\n") + 1
    for piece in pieces:
        if column + len(piece) + 2 > linewidth:
            text += ",\n" + " " * indent + piece
            column = indent + len(piece)
        else:
            text += ", " + piece
            column += len(piece) + 2
    return text + ")"
