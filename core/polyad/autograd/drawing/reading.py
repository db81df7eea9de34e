"""From a recorded graph to the vertices of a drawing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ... import views
from ...backend import Device
from ...engine import reachable
from ...function import Function
from ...graph import AccumulateGrad, Node, Output, Packed
from ...tensor import Tensor
from .forms import Forms, Value, dtype_name, value_of
from .keeping import array_bytes, kept_arrays, saved_bytes
from .running import Run
from .vertices import Call, Vertex, byte_count

__all__ = ["Content", "read"]

_NEAR: Final = 48
"""A leaf whose uses are further apart than so many operations stands above them all, as shared by them."""


class Content(NamedTuple):
    """What a graph holds.

    Attributes
    ----------
    vertices : list of Vertex
        Each behind those that it is computed from.
    saved_bytes : int
        Bytes of all arrays that nodes keep, each array once.
    """

    vertices: list[Vertex]
    saved_bytes: int


def read(
    outputs: Sequence[Tensor], params: Mapping[str, Tensor], names: Mapping[str, Tensor], seen: Run | None
) -> Content:
    """Read the graph behind some tensors, which all have a history."""
    edges = [views.node_of(y) for y in outputs]
    found = sorted(reachable(edges), key=lambda node: node.seq)
    leaves = [n for n in found if type(n) is AccumulateGrad]
    nodes = [n for n in found if type(n) is not AccumulateGrad]
    reader = _Reader({**params, **(seen.inputs if seen else {}), **names}, seen)
    reader.learn(nodes, leaves, outputs)
    reader.note_routes(nodes, edges)
    before = _placed(nodes, leaves)
    reader.add_leaves(before.get(None, ()), ())
    for node in nodes:
        calls = seen.calls.get(node.seq, ()) if seen else ()
        reader.add_constants(node)
        reader.add_leaves(before.get(node.seq, ()), calls)
        reader.add_operation(node, calls)
    reader.add_results(edges, outputs)
    if params and not any(v.calls for v in reader.vertices):
        _call_by_names(reader.vertices, params)
    kept = {id(array): array_bytes(node, array) for node in nodes for _, array in kept_arrays(node)}
    return Content(reader.vertices, sum(kept.values()))


def _placed(nodes: Sequence[Node], leaves: Sequence[AccumulateGrad]) -> dict[int | None, list[AccumulateGrad]]:
    """Before which node each leaf is drawn: the first that uses it. Under None those that stand above all."""
    first: dict[AccumulateGrad, int] = {}
    last: dict[AccumulateGrad, int] = {}
    for i, node in enumerate(nodes):
        for edge in node.edges:
            if type(edge) is AccumulateGrad:
                first.setdefault(edge, i)
                last[edge] = i
    before: dict[int | None, list[AccumulateGrad]] = {}
    for leaf in leaves:
        if leaf not in first or last[leaf] - first[leaf] > _NEAR:
            before.setdefault(None, []).append(leaf)
    for leaf, i in first.items():
        if last[leaf] - i <= _NEAR:
            before.setdefault(nodes[i].seq, []).append(leaf)
    return before


class _Reader:
    """Makes the vertices, each behind those that it points to."""

    def __init__(self, named: Mapping[str, Tensor], seen: Run | None) -> None:
        self.seen = seen
        self.names: dict[Value, str] = {}
        self.constants: dict[int, str] = {}  # by the identity of the tensor, and of its array
        self.tensors = named
        for name, tensor in named.items():
            edge = views.node_of(tensor)
            if edge is not None:
                self.names[value_of(edge)] = name
            else:
                self.constants[id(tensor)] = self.constants[id(views.raw(tensor))] = name
        self.forms = Forms()
        self.vertices: list[Vertex] = []
        self.values: dict[Value, Vertex] = {}
        self.drawn: dict[str, Vertex] = {}  # constants, by name
        self.routes: dict[int, dict[int, Any]] = {}

    def learn(self, nodes: Sequence[Node], leaves: Sequence[AccumulateGrad], outputs: Sequence[Tensor]) -> None:
        """Find out the forms of all values, those first that are known for certain."""
        for leaf in leaves:
            if (tensor := leaf.variable) is not None:
                self.forms.learn((leaf.seq, 0), tensor.shape, tensor.dtype.name)
        for tensor in outputs:
            self.forms.learn(value_of(views.node_of(tensor)), tensor.shape, tensor.dtype.name)
        if self.seen is not None:
            for node in nodes:
                for position, _, shape, dtype in self.seen.operands.get(node.seq, ()):
                    edge = node.edges[position] if position < len(node.edges) else None
                    if edge is not None:
                        self.forms.learn(value_of(edge), shape, dtype_name(node, dtype))
        self.forms.read(nodes)

    def note_routes(self, nodes: Sequence[Node], edges: Sequence[Any]) -> None:
        """Note which results are used of operations that have several."""
        for edge in (*edges, *(e for node in nodes for e in node.edges)):
            if type(edge) is Output:
                self.routes.setdefault(edge.node.seq, {}).setdefault(edge.index, edge)

    def _put(self, vertex: Vertex, *values: Value) -> Vertex:
        self.vertices.append(vertex)
        self.values.update(dict.fromkeys(values, vertex))
        return vertex

    def add_leaves(self, leaves: Iterable[AccumulateGrad], calls: tuple[Call, ...]) -> None:
        """Add leaves that come into the program in some modules' calls."""
        for leaf in leaves:
            value, tensor = (leaf.seq, 0), leaf.variable
            vertex = Vertex("leaf", "leaf", name=self.names.get(value, ""), form=self.forms.text(value), calls=calls)
            vertex.place, vertex.lines = place_of(leaf.device), _hooks(leaf)
            vertex.note = "a leaf that nobody holds any more"
            if tensor is not None:
                vertex.size, vertex.note = tensor.numel(), f"a leaf of {byte_count(tensor.nbytes)}"
            self._put(vertex, value)

    def add_constants(self, node: Node) -> None:
        """Add operands of a node that need no gradient and have names, unless they are there."""
        for name in self._constants_of(node):
            if name not in self.drawn:
                tensor = self.tensors[name]
                vertex = Vertex("constant", "constant", name=name, form=_form(tensor), place=place_of(tensor.device))
                vertex.size, vertex.note = tensor.numel(), f"{byte_count(tensor.nbytes)}, needs no gradient"
                self.drawn[name] = self._put(vertex)

    def add_operation(self, node: Node, calls: tuple[Call, ...]) -> None:
        """Add a node, and a vertex for each of its results if it has several."""
        function, value = node.function, (node.seq, 0)
        operands = [self.values[value_of(e)] for e in node.edges if e is not None]
        operands += [self.drawn[name] for name in self._constants_of(node)]
        vertex = Vertex("operation", _title(function), operands, place=place_of(node.device), calls=calls)
        if function.joint is not None and function.provider != "polyad":
            vertex.kind = "custom"
        vertex.saved, vertex.lines, vertex.note = saved_bytes(node), _lines(node), _note(node, calls)
        if function.outputs == 1:
            vertex.name, vertex.form = self.names.get(value, ""), self.forms.text(value)
            self._put(vertex, value)
            return
        self._put(vertex)
        for i, edge in sorted(self.routes.get(node.seq, {}).items()):
            value = node.seq, i
            title = function.fields[i] if i < len(function.fields) else f"output {i}"
            part = Vertex("part", title, [vertex], self.names.get(value, ""), self.forms.text(value), _hooks(edge))
            part.place, part.calls, part.note = vertex.place, calls, f"result {i} of {node.name()}"
            self._put(part, value)

    def _constants_of(self, node: Node) -> list[str]:
        """Names of operands that need no gradient: known from the run, or from the arrays that the node keeps."""
        if not self.constants:
            return []
        if self.seen is not None and node.seq in self.seen.operands:
            found = [identity for _, identity, _, _ in self.seen.operands[node.seq]]
        else:
            found = [id(array) for _, array in kept_arrays(node)]
        return list(dict.fromkeys(self.constants[i] for i in found if i in self.constants))

    def add_results(self, edges: Sequence[Any], outputs: Sequence[Tensor]) -> None:
        """Add the tensors that are drawn. Their names stand there, and not at the operations as well."""
        named = {value_of(edge): self.names.get(value_of(edge), "") for edge in edges}
        for i, (edge, tensor) in enumerate(zip(edges, outputs, strict=True)):
            value = value_of(edge)
            source = self.values[value]
            if not source.is_source:
                source.name = ""
            vertex = Vertex("result", "result" if len(edges) == 1 else f"result {i}", [source], form=_form(tensor))
            vertex.place, vertex.note = place_of(tensor.device), "what was drawn"
            vertex.name = named[value] if not source.is_source else ""
            self._put(vertex)


# Texts ----------------------------------------------------------------------------------------------------------


def place_of(device: Device) -> str:
    """Backend and place of a device, in words."""
    return f"{device.backend.name}, {device}"


def _title(function: Function) -> str:
    """A function's name, of internal ones without the mark of that."""
    space, dot, name = function.name.rpartition(".")
    return f"{space}{dot}{name.strip('_')}"


def _form(tensor: Tensor) -> str:
    return f"{tensor.dtype.name}{list(tensor.shape)}"


def _hooks(edge: Any) -> tuple[str, ...]:
    """Say what hooks an edge of the graph has."""
    hooks = edge.hooks
    if not hooks:
        return ()
    count = len(hooks.grad) + len(hooks.pre) + len(hooks.post) + len(hooks.last)
    said = [f"{count} hook{'s' if count > 1 else ''}"] if count else []
    return (*said, *(["retains its gradient"] if hooks.keep else []))


def _lines(node: Node) -> tuple[str, ...]:
    packed = any(type(array) is Packed for _, array in kept_arrays(node))
    return (*_hooks(node), *(["what it saves is packed"] if packed else []))


def _note(node: Node, calls: Sequence[Call]) -> str:
    """What is worth knowing, and would make a label too long."""
    lines = [f"{node.name()} of {node.function.provider}"]
    if calls:
        lines.append(f"in {calls[-1][0]}")
    if node.args is None:
        lines.append("what it saved was freed by a backward()")
    for name, array in kept_arrays(node):
        form = "packed" if type(array) is Packed else f"{dtype_name(node, array.dtype)}{list(array.shape)}"
        lines.append(f"saves {name}: {form}, {byte_count(array_bytes(node, array))}")
    traceback = getattr(node, "_metadata", {}).get("traceback")
    return "\n".join([*lines, *([] if traceback is None else [f"recorded at\n{traceback.rstrip()}"])])


# Modules --------------------------------------------------------------------------------------------------------


def _call_by_names(vertices: Sequence[Vertex], params: Mapping[str, Tensor]) -> None:
    """Guess from parameters' dotted names which module an operation belongs to.

    What follows the parameters of a module is taken to be its, until those of the next come in.
    """
    newest: dict[Vertex, int] = {}
    paths: list[str] = []
    for vertex in vertices:
        path = vertex.name.rpartition(".")[0] if vertex.kind == "leaf" and vertex.name in params else ""
        if path and path not in paths[-1:]:
            paths.append(path)
        rank = max((newest[v] for v in vertex.operands), default=-1)
        newest[vertex] = len(paths) - 1 if path else rank
        if newest[vertex] >= 0 and vertex.kind != "result":
            parts = paths[newest[vertex]].split(".")
            vertex.calls = tuple((".".join(parts[: i + 1]), 0) for i in range(len(parts)))
