"""Nested containers of tensors: lists, tuples, named tuples and dictionaries, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .errors import ArgumentError

__all__ = ["Structure", "flatten", "flatten_up_to", "map_leaves", "unflatten"]


class Structure(NamedTuple):
    """How a value is nested. Two values that are nested alike have equal structures.

    Attributes
    ----------
    kind : type or None
        The container's class; None for a leaf.
    keys : tuple
        The keys of a dictionary, in its order.
    parts : tuple of Structure
    """

    kind: type | None = None
    keys: tuple[Any, ...] = ()
    parts: tuple[Structure, ...] = ()

    @property
    def leaves(self) -> int:
        """How many leaves there are."""
        return 1 if self.kind is None else sum(p.leaves for p in self.parts)

    def __str__(self) -> str:
        if self.kind is None:
            return "*"
        if self.keys or issubclass(self.kind, dict):
            return "{" + ", ".join(f"{k!r}: {p}" for k, p in zip(self.keys, self.parts, strict=True)) + "}"
        inside = ", ".join(map(str, self.parts))
        if issubclass(self.kind, list):
            return f"[{inside}]"
        return f"({inside}{',' if len(self.parts) == 1 else ''})"


LEAF = Structure()


def _parts(value: Any) -> tuple[Structure, Sequence[Any]] | None:
    """The container's own level, and what is in it; None for a leaf. None, the value, is an empty container."""
    if isinstance(value, dict):
        return Structure(type(value), tuple(value)), list(value.values())
    if isinstance(value, (list, tuple)):
        return Structure(type(value)), value
    if value is None:
        return Structure(type(None)), ()
    return None


def flatten(value: Any) -> tuple[list[Any], Structure]:
    """Take a value apart: its leaves in order, and how they were nested.

    Examples
    --------
    >>> from polyad.containers import flatten
    >>> leaves, structure = flatten({"w": 1, "b": (2, [3])})
    >>> leaves, str(structure)
    ([1, 2, 3], "{'w': *, 'b': (*, [*])}")
    """
    found = _parts(value)
    if found is None:
        return [value], LEAF
    top, inside = found
    leaves: list[Any] = []
    parts = []
    for part in inside:
        more, structure = flatten(part)
        leaves += more
        parts.append(structure)
    return leaves, top._replace(parts=tuple(parts))


def unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """Put leaves together again.

    Examples
    --------
    >>> from polyad.containers import flatten, unflatten
    >>> leaves, structure = flatten((1, {"a": 2}))
    >>> unflatten(structure, [10, 20])
    (10, {'a': 20})
    """
    rest = iter(leaves)
    return _built(structure, rest.__next__)


def _built(structure: Structure, following: Callable[[], Any]) -> Any:
    kind = structure.kind
    if kind is None:
        return following()
    if kind is type(None):
        return None
    inside = [_built(p, following) for p in structure.parts]
    if issubclass(kind, dict):
        pairs = zip(structure.keys, inside, strict=True)
        made: Any = kind() if kind is not dict else {}
        made.update(pairs)
        return made
    return kind(*inside) if hasattr(kind, "_fields") else kind(inside)  # type: ignore[call-arg]


def map_leaves(function: Callable[..., Any], value: Any) -> Any:
    """Apply a function to each leaf.

    Examples
    --------
    >>> from polyad.containers import map_leaves
    >>> map_leaves(str, [1, (2, {"a": 3})])
    ['1', ('2', {'a': '3'})]
    """
    leaves, structure = flatten(value)
    return unflatten(structure, [function(leaf) for leaf in leaves])


def flatten_up_to(structure: Structure, prefix: Any, name: str, of: str) -> list[Any]:
    """Give for each leaf what a prefix says for the part it is in: ``0``, or ``(0, {"w": None, "b": 1})``.

    In a prefix None is a leaf.

    Raises
    ------
    ArgumentError
        If the prefix is nested otherwise than the value; ``name`` says what it is, ``of`` what the value is.
    """
    found: list[Any] = []
    _spread(structure, prefix, found, name, of, "")
    return found


def _spread(structure: Structure, prefix: Any, found: list[Any], name: str, of: str, at: str) -> None:
    top = None if prefix is None else _parts(prefix)
    if top is None:
        found.extend([prefix] * structure.leaves)
        return
    own, inside = top
    kind = structure.kind
    alike = (
        kind is not None
        and len(inside) == len(structure.parts)
        and issubclass(kind, dict) == isinstance(prefix, dict)
        and set(own.keys) == set(structure.keys)
    )
    if not alike:
        where = f"{name}{at}"
        raise ArgumentError(
            f"{where} is {prefix!r:.80}, which does not match {of}{at}, nested as {structure}; give one value for all "
            f"of it, or the same containers"
        )
    for i, part in enumerate(structure.parts):
        key = structure.keys[i] if structure.keys else i
        _spread(part, prefix[key], found, name, of, f"{at}[{key!r}]")
