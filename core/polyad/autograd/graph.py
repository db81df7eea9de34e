"""The recorded graph, as users may look into it and change what it keeps: as ``torch.autograd.graph``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import views
from ..backward_hooks import PassHook, Roots
from ..engine import reachable
from ..errors import ArgumentError, AutogradError, OperandError
from ..function import ARRAY, ARRAYS, NAMESPACE, ONE_OF, OUT, PARAMETER
from ..grad_mode import watched
from ..graph import (
    AccumulateGrad,
    Handle,
    Node as Recorded,
    Output,
    Sealed,
    ShownNode,
    Version,
    _Edge as Node,
    check_kept,
    guard,
    opened_value,
    shown,
    specs_of,
)
from ..tensor import Tensor, wrap
from .joint import form_of
from .watches import PackHooks, refuse_if_disabled, switched

if TYPE_CHECKING:
    from .drawing import Drawing as Drawing, draw as draw

__all__ = [
    "AccumulateGrad",
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "draw",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


def __getattr__(name: str) -> Any:
    """Give what draws graphs, loaded when first asked for."""
    if name in ("Drawing", "draw"):
        from . import drawing

        return getattr(drawing, name)
    raise AttributeError(f"module 'polyad.autograd.graph' has no attribute {name!r}")


# What nodes keep ------------------------------------------------------------------------------------------------


class saved_tensors_hooks:  # noqa: N801 - the name is PyTorch's
    """A block in which what operations keep for their gradients is packed, and unpacked when backward needs it.

    Parameters
    ----------
    pack_hook : callable
        Gets each tensor that is to be kept, and returns anything. It cannot write to the tensor. If what it returns
        shares memory with that, such as the tensor itself, backward raises where that was overwritten.
    unpack_hook : callable
        Gets what ``pack_hook`` returned, and returns a tensor of the same elements, shape, type and device.

    Raises
    ------
    OperandError
        If a hook is not callable; during backward, if ``unpack_hook`` returns something else.
    AutogradError
        Inside `disable_saved_tensors_hooks`; if ``pack_hook`` writes to its tensor.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor([1.0, 2.0], requires_grad=True)
    >>> with ad.autograd.graph.saved_tensors_hooks(lambda t: t.tolist(), ad.tensor):
    ...     y = x.exp().sum()
    >>> ad.autograd.grad(y, x)
    (tensor([2.7183, 7.3891]),)
    """

    __slots__ = ("_blocks", "_hooks")

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        for name, hook in (("pack_hook", pack_hook), ("unpack_hook", unpack_hook)):
            if not callable(hook):
                raise OperandError(f"saved_tensors_hooks: {name} must be callable; got {hook!r:.60}")
        self._hooks = PackHooks(pack_hook, unpack_hook)
        self._blocks: list[Any] = []

    def __enter__(self) -> None:
        refuse_if_disabled()
        block = switched(pack=self._hooks)
        block.__enter__()
        self._blocks.append(block)

    def __exit__(self, *error: Any) -> None:
        self._blocks.pop().__exit__(*error)


class save_on_cpu(saved_tensors_hooks):  # noqa: N801 - the name is PyTorch's
    """A block in which what operations keep for their gradients waits in the host's memory.

    From CuPy's and JAX's devices it is copied there and, when backward needs it, back. NumPy's arrays are there: they
    are kept as they are, and backward raises where one was overwritten.

    Parameters
    ----------
    pin_memory : bool
        Taken for PyTorch's sake; without effect.
    device_type : str
        Likewise.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(3, requires_grad=True)
    >>> with ad.autograd.graph.save_on_cpu():
    ...     y = (x * x).sum()
    >>> ad.autograd.grad(y, x)
    (tensor([2., 2., 2.]),)
    """

    __slots__ = ()

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(_to_host, _from_host)


def _to_host(tensor: Tensor) -> Any:
    device = tensor._device
    if device.backend.writable and device.type == "cpu":
        return tensor, None
    return device.backend.to_host(views.raw(tensor)), device


def _from_host(kept: Any) -> Tensor:
    value, device = kept
    return value if device is None else wrap(device.backend.from_host(value, device, copy=False), device)


@contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Have `saved_tensors_hooks` raise inside this block: for code that would be wrong with them.

    Parameters
    ----------
    error_message : str

    Raises
    ------
    AutogradError
        With the message, where hooks are entered, or are on already.

    Examples
    --------
    >>> import polyad as ad
    >>> with ad.autograd.graph.disable_saved_tensors_hooks("not here"):
    ...     with ad.autograd.graph.save_on_cpu():
    ...         pass
    Traceback (most recent call last):
    polyad.errors.AutogradError: not here
    """
    current: Any = watched()
    if current is not None and current.pack is not None:
        raise AutogradError(error_message)
    with switched(refusal=str(error_message)):
        yield


@contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[None]:
    """A block whose operations allow what they keep to be overwritten: they keep copies, where arrays can be written.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(2, requires_grad=True)
    >>> with ad.autograd.graph.allow_mutation_on_saved_tensors():
    ...     a = x * 3
    ...     y = a * a
    ...     _ = a.zero_()
    >>> ad.autograd.grad(y.sum(), x)
    (tensor([18., 18.]),)
    """
    with switched(preserves=True):
        yield


# What is saved, by name -----------------------------------------------------------------------------------------


def kept(node: Recorded) -> dict[str, Any]:
    """What a node keeps for its rules: ``name -> (value, whether it is an array)``."""
    function = node.function
    found: dict[str, Any] = {}
    if function.joint is not None:  # no rules: what it keeps is its own business
        return found
    for position, spec, _ in specs_of(function, node.args or ()):
        values = node.args[position]  # type: ignore[index]
        for (kind, key), value in zip(spec.items, values, strict=True):
            if kind == OUT:
                found["out"] = value, True
            elif kind == ONE_OF:
                found[function.fields[key]] = value, True
            elif kind == PARAMETER:
                found[key] = value, False
            elif kind in (ARRAY, ARRAYS):
                found[function.inputs[key]] = value, True
            elif kind != NAMESPACE and isinstance(key, int):
                found.setdefault(f"{function.inputs[key]}_shape", (value, False))
    return found


def _saved(node: Recorded, name: str) -> Any:
    """What a node saved under a name, as ``grad_fn._saved_x`` gives it: tensors without history, and parameters."""
    if not name.startswith("_saved_"):
        raise AttributeError(f"{node.name()} has no attribute {name!r}")
    if node.args is None:
        raise AutogradError(
            f"{node.name()}: what it saved is gone, since a backward() went through it; write "
            f"backward(retain_graph=True) to keep it"
        )
    found = kept(node)
    if name[7:] not in found:
        listed = ", ".join(f"_saved_{n}" for n in found) or "nothing"
        raise AttributeError(f"{node.name()} saved no {name[7:]!r}; it saved {listed}")
    value, is_array = found[name[7:]]
    if not is_array:
        return value
    check_kept(node)
    tensors = tuple(_sealed(v, node) for v in (value if type(value) is tuple else (value,)))
    return tensors if type(value) is tuple else tensors[0]


def _sealed(value: Any, node: Recorded) -> Any:
    """What a node keeps as a tensor that is not to be written; a number as it is."""
    array = opened_value(value)
    if not hasattr(array, "shape"):
        return array
    tensor = wrap(array, node.device)
    tensor._writes = Sealed(
        Version(),
        f"the tensor is what {node.name()} keeps for its gradient, which a write would spoil; write to a clone()",
    )
    return tensor


def _listed(node: Recorded) -> list[str]:
    return [*object.__dir__(node), *(f"_saved_{name}" for name in kept(node))]


ShownNode.__getattr__ = _saved  # type: ignore[attr-defined]
ShownNode.__dir__ = _listed  # type: ignore[method-assign, assignment]


# Edges ----------------------------------------------------------------------------------------------------------


class GradientEdge(NamedTuple):
    """Where a tensor's gradient goes: a node, and which of its outputs the tensor is.

    `get_gradient_edge` notes the tensor's ``form``, too: its shape, native type and device, which a gradient that
    enters there has to have.
    """

    node: Any
    output_nr: int
    form: Any = None

    def __repr__(self) -> str:
        return f"GradientEdge(node={self.node!r}, output_nr={self.output_nr!r})"


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Give the place in the graph that a tensor's gradient goes to, to be passed to `grad` and `backward` in its stead.

    Parameters
    ----------
    tensor : Tensor

    Raises
    ------
    AutogradError
        If it requires no gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(2, requires_grad=True)
    >>> ad.autograd.graph.get_gradient_edge(x * 2)
    GradientEdge(node=<MultiplyBackward>, output_nr=0)
    """
    edge = views.node_of(tensor)
    if edge is None:
        raise AutogradError("get_gradient_edge: the tensor does not require a gradient, so it has no place in a graph")
    return GradientEdge(shown(edge), edge.index if type(edge) is Output else 0, form_of(tensor))


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Say that a tensor's memory was written to behind polyad's back, so that stale gradients are noticed.

    Parameters
    ----------
    tensor : Tensor or sequence of Tensor

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(2)
    >>> ad.autograd.graph.increment_version(x)
    >>> x._version
    1
    """
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        if not isinstance(t, Tensor):
            raise OperandError(f"increment_version: expected tensors; got a {type(t).__name__}")
        version = guard(t)[0]
        version.count += 1
        version.by = "increment_version"


# Hooks of several tensors ---------------------------------------------------------------------------------------


def register_multi_grad_hook(tensors: Sequence[Tensor], fn: Callable[[Any], None], *, mode: str = "all") -> Handle:
    """Have a function called by backward when it has the gradients of several tensors.

    Parameters
    ----------
    tensors : sequence of Tensor
        All require gradients.
    fn : callable
        For ``mode="all"`` it gets a list of the tensors' gradients, with None for those that this backward does not
        reach, once for each backward that reaches any; for ``"any"`` the first gradient that is known.
    mode : str
        ``"all"`` or ``"any"``.

    Returns
    -------
    Handle
        ``handle.remove()`` takes the hook away.

    Raises
    ------
    ArgumentError
        If the mode is another.
    AutogradError
        If a tensor requires no gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> x, y = ad.tensor(2.0, requires_grad=True), ad.tensor(3.0, requires_grad=True)
    >>> handle = ad.autograd.graph.register_multi_grad_hook([x, y], print)
    >>> (x * y).backward()
    [tensor(3.), tensor(2.)]
    """
    if mode not in ("all", "any"):
        raise ArgumentError(f"register_multi_grad_hook: mode must be 'all' or 'any'; got {mode!r}")
    edges = [views.node_of(t) for t in tensors]
    for i, edge in enumerate(edges):
        if edge is None:
            raise AutogradError(
                f"register_multi_grad_hook: tensors[{i}] does not require a gradient, so the hook would never be called"
            )
    collecting = _Collecting(edges, fn, mode == "any")
    handle = Handle()
    registered = []
    for edge in dict.fromkeys(edges):
        single = edge.add_hook(PassHook(functools.partial(collecting.add, edge)))
        registered += single.registered
        for hooks in single.registered:
            hooks[handle] = hooks.pop(single)
    handle.registered = tuple(registered)
    return handle


class _Collecting:
    """Waits for the gradients of some edges. What it knows of a pass is noted with the pass, and ends with it."""

    def __init__(self, edges: Sequence[Any], call: Callable[[Any], None], first: bool) -> None:
        self.edges, self.call, self.first = edges, call, first

    def add(self, edge: Any, g: Any, roots: Roots, needed: Any) -> None:
        """Note one gradient, and call the function if it is the last, or the first, that was waited for."""
        expected, found = note = roots.note_of(self, lambda: (self._expected(roots, needed), {}))
        found[edge] = g
        if self.first:
            if len(found) == 1:
                self.call(g)
        elif len(found) == expected:
            self._report(note)

    def _expected(self, roots: Roots, needed: Any) -> int:
        """How many of the edges a pass comes to, unless a gradient on the way there is None."""
        nodes = reachable([edge for edge, _ in roots]) if needed is None else needed
        return sum((e.node if type(e) is Output else e) in nodes for e in set(self.edges))

    def end(self, note: tuple[int, dict[Any, Any]]) -> None:
        """Call the function after all, where gradients were None and so did not arrive."""
        if not self.first and len(note[1]) < note[0]:
            self._report(note)

    def _report(self, note: tuple[int, dict[Any, Any]]) -> None:
        self.call([note[1].get(edge) for edge in self.edges])
