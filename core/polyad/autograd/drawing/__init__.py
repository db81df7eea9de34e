"""Pictures of recorded graphs: `draw`, which is reached as ``polyad.autograd.graph.draw``."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ... import views
from ...errors import ArgumentError, AutogradError, OperandError
from ...tensor import Tensor
from . import texts
from .folding import fold
from .reading import Content, read
from .running import Run, run
from .svg import svg
from .vertices import Vertex, byte_count, total

__all__ = ["Drawing", "draw"]

_LAYOUTS = ("auto", "dot", "plain")
_SECONDS = 30  # that Graphviz may take for one picture


class Drawing:
    """A picture of a recorded graph, made by `draw`. Notebooks show it; ``print`` gives its Mermaid text.

    Attributes
    ----------
    vertices : list of Vertex
        What is drawn, each vertex behind its operands.
    saved_bytes : int
        Bytes of all arrays that the graph keeps for its gradients, each array once.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(3, requires_grad=True)
    >>> drawing = ad.autograd.graph.draw(x.exp().sum(), names={"x": x})
    >>> drawing
    <drawing of 4 vertices, 12 B saved>
    >>> drawing.svg.startswith("<svg")
    True
    """

    def __init__(self, content: Content, limit: int | None, layout: str) -> None:
        self.vertices: list[Vertex] = fold(content.vertices, limit)
        self.saved_bytes = content.saved_bytes
        self._layout = layout

    @cached_property
    def mermaid(self) -> str:
        """The picture as a Mermaid flowchart, which Markdown pages show, on GitHub for one."""
        return texts.mermaid(self.vertices)

    @cached_property
    def dot(self) -> str:
        """The picture in the language of Graphviz."""
        return texts.dot(self.vertices)

    @cached_property
    def svg(self) -> str:
        """The picture as SVG: laid out by Graphviz, if its program ``dot`` is there, and plainly otherwise."""
        if self._layout != "plain":
            found = _by_graphviz(self.dot)
            if found is not None:
                return found
            if self._layout == "dot":
                raise ArgumentError("draw: the program 'dot' made no picture of this graph; write layout='plain'")
        return svg(self.vertices)

    def save(self, path: str | Path) -> None:
        r"""Write the picture to a file, in the form that its suffix names.

        Parameters
        ----------
        path : str or path
            Ends in ``.svg``, ``.mmd`` (Mermaid), ``.md`` (Mermaid in a Markdown fence), ``.dot`` or ``.gv``.

        Raises
        ------
        ArgumentError
            If it ends in anything else.

        Examples
        --------
        >>> import polyad as ad, tempfile, pathlib
        >>> x = ad.ones(3, requires_grad=True)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = pathlib.Path(folder, "graph.mmd")
        ...     ad.autograd.graph.draw(x.sum()).save(file)
        ...     file.read_text().partition("\n")[0]
        'flowchart TD'
        """
        target = Path(path)
        suffix = target.suffix.lower()
        if suffix == ".svg":
            text = self.svg
        elif suffix == ".mmd":
            text = self.mermaid
        elif suffix == ".md":
            text = f"```mermaid\n{self.mermaid}```\n"
        elif suffix in (".dot", ".gv"):
            text = self.dot
        else:
            raise ArgumentError(
                f"save: the suffix of {str(path)!r} says no form that a drawing can have; end the name in .svg, .mmd, "
                f".md, .dot or .gv"
            )
        target.write_text(text, encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg, "text/plain": repr(self)}

    def __str__(self) -> str:
        return self.mermaid

    def __repr__(self) -> str:
        return f"<drawing of {total(self.vertices)} vertices, {byte_count(self.saved_bytes)} saved>"


def _by_graphviz(text: str) -> str | None:
    """Have Graphviz make the picture, by its program alone: a Python package would do no more than call it."""
    program = shutil.which("dot")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "-Tsvg"], input=text, capture_output=True, encoding="utf-8", timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    start = done.stdout.find("<svg")  # without the declarations before it, which a page cannot have in its middle
    return done.stdout[start:] if start >= 0 else None


def draw(
    *outputs: Any,
    params: Mapping[str, Tensor] | None = None,
    names: Mapping[str, Tensor] | None = None,
    limit: int | None = 200,
    layout: str = "auto",
) -> Drawing:
    """Draw the recorded graph behind tensors: its leaves and operations, with shapes, types and bytes saved.

    A graph over several backends or devices is drawn with a border around each. A graph of more than ``limit``
    vertices is folded: parts that repeat are drawn once, with how often they are there; then modules become boxes.

    Parameters
    ----------
    *outputs : Tensor, or nested lists, tuples and dicts of them
        What was computed. Or a module or function and what to call it with: it is run once, and the drawing then knows
        the modules, the names of inputs and parameters, and all shapes.
    params : mapping of str to Tensor, optional
        Names of leaves, as ``dict(model.named_parameters())``. What follows a module's parameters is taken to be the
        module's, where modules become boxes.
    names : mapping of str to Tensor, optional
        Names of other tensors. Inputs that need no gradient are drawn if they have a name and an operation keeps them.
    limit : int or None
        How many vertices are drawn at most; None for all.
    layout : {"auto", "dot", "plain"}
        Who lays the SVG out: Graphviz, polyad, or the first that is there.

    Returns
    -------
    Drawing
        ``print`` shows its Mermaid text, notebooks its SVG, and `Drawing.save` writes either.

    Raises
    ------
    AutogradError
        If a tensor has no recorded graph.
    OperandError
        If something else than tensors is passed.
    ArgumentError
        If ``limit`` or ``layout`` is none of those above.

    Notes
    -----
    A node does not know the shape of its result. It is found out from what nodes keep and from each other, and left out
    where nothing shows it. What an array keeps is counted at every operation that keeps it.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(3, requires_grad=True)
    >>> for line in str(ad.autograd.graph.draw(x.exp().sum(), names={"x": x})).splitlines()[1:8]:
    ...     print(line.strip())
    n0(["x<br>float32[3]"]):::leaf
    n1["exp<br>float32[3]<br>saves 12 B"]:::operation
    n2["sum<br>float32[]"]:::operation
    n3(["result<br>float32[]"]):::result
    n0 --> n1
    n1 --> n2
    n2 --> n3
    """
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ArgumentError(f"draw: limit must be a positive number of vertices, or None for all; got {limit!r}")
    if layout not in _LAYOUTS:
        raise ArgumentError(f"draw: layout must be one of {', '.join(map(repr, _LAYOUTS))}; got {layout!r}")
    if layout == "dot" and shutil.which("dot") is None:
        raise ArgumentError("draw: layout='dot' needs the program 'dot'; install Graphviz, or write layout='plain'")
    listed, named = _checked("params", params), _checked("names", names)
    seen: Run | None = None
    if outputs and callable(outputs[0]) and not isinstance(outputs[0], Tensor):
        seen = run(outputs[0], outputs[1:])
        found, listed = seen.outputs, {**seen.parameters, **listed}
    else:
        found = list(_outputs(outputs))
    for i, tensor in enumerate(found):
        if views.node_of(tensor) is None:
            raise AutogradError(
                f"draw: output {i}, of shape {tensor.shape}, has no recorded graph; set requires_grad=True on an "
                f"input, and compute outside no_grad()"
            )
    return Drawing(read(found, listed, named, seen), limit, layout)


def _outputs(outputs: Sequence[Any]) -> Iterator[Tensor]:
    """The tensors to be drawn; whatever else there is among them is an error."""
    waiting = list(reversed(outputs))
    if not waiting:
        raise OperandError("draw: expected tensors, or a function and what to call it with; got nothing")
    count = 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            count += 1
            yield value
        elif isinstance(value, (list, tuple, Mapping)):
            waiting.extend(reversed(list(value.values()) if isinstance(value, Mapping) else value))
        else:
            raise OperandError(
                f"draw: expected tensors, or a function and what to call it with; got {type(value).__name__} "
                f"{value!r:.60}"
            )
    if not count:
        raise OperandError(f"draw: expected tensors, or a function and what to call it with; got {outputs!r:.60}")


def _checked(argument: str, named: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    """Check names of tensors."""
    if named is None:
        return {}
    if not isinstance(named, Mapping):
        raise OperandError(f"draw: {argument} must be a dict of names and tensors; got {type(named).__name__}")
    for name, tensor in named.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise OperandError(
                f"draw: {argument} must have a tensor for each name; got {name!r}: {tensor!r:.60}, "
                f"a {type(tensor).__name__}"
            )
    return dict(named)
