"""The functions, one file a chapter. Each function is defined in one place: record, rules, documentation, samples.

A chapter's ``__all__`` lists what polyad has of it under its own name. Names that would hide Python's own inside the
file end in an underscore there and are imported by name in ``polyad/__init__.py``.
"""

from __future__ import annotations

from ..function import FUNCTIONS, Function
from . import (
    arithmetic,
    bits,
    calculus,
    comparison,
    complex_parts,
    conversion,
    creation,
    cumulative,
    data_types,
    decompositions,
    diagonals,
    exponential,
    fft,
    gamma_paths,
    indexing,
    interchange,
    joining,
    manipulation,
    norms,
    products,
    quantiles,
    reduction,
    repetition,
    rounding,
    scatter,
    selection,
    sets,
    solvers,
    sorting,
    statistics,
    transfer,
    trigonometry,
    windows,
)

__all__ = ["CHAPTERS"]

CHAPTERS = (
    *(conversion, creation),
    *(arithmetic, rounding, complex_parts, exponential, trigonometry, comparison, bits, selection),
    *(manipulation, repetition, joining, diagonals, windows, indexing, scatter),
    *(reduction, statistics, cumulative, sorting, quantiles, sets, calculus),
    *(products, decompositions, solvers, norms, fft, transfer, gamma_paths),
    *(data_types, interchange),
)


def _records(chapter: object) -> list[Function]:
    """The records of the functions that a chapter defines."""
    found = {id(f): f for v in vars(chapter).values() if isinstance(f := getattr(v, "function", v), Function)}
    return [f for f in found.values() if f.name not in FUNCTIONS]


for _chapter in CHAPTERS:
    FUNCTIONS.add(_records(_chapter), "polyad")
