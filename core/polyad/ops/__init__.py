"""The functions, one file a chapter of the array API standard. Each is defined in one place: record, rules, docs."""

from __future__ import annotations

from ..function import FUNCTIONS, Function
from . import conversion, creation, elementwise, indexing, linalg, manipulation, random, reduction, transfer

__all__ = ["CHAPTERS"]

CHAPTERS = (conversion, creation, elementwise, manipulation, indexing, reduction, linalg, transfer, random)


def _records(chapter: object) -> list[Function]:
    """The records of the functions that a chapter defines."""
    found = {id(f): f for v in vars(chapter).values() if isinstance(f := getattr(v, "function", v), Function)}
    return [f for f in found.values() if f.name not in FUNCTIONS]


for _chapter in CHAPTERS:
    FUNCTIONS.add(_records(_chapter), "polyad")
