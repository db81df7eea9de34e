"""The context of an `autograd.Function`: what its forward leaves for its backward, and the node that has it."""

from __future__ import annotations

from typing import Any

from ..errors import AutogradError, OperandError
from ..graph import Node, Output, ShownNode, check_kept, opened_value
from ..tensor import Tensor, wrap
from .refusals import INTERMEDIATE

__all__ = ["FunctionCtx", "FunctionNode", "context_of", "edge_of_result"]


class FunctionCtx:
    """What `Function.forward` leaves for `Function.backward`: ``ctx``. Attributes may be set on it.

    Attributes
    ----------
    needs_input_grad : tuple of bool
        For each argument whether a gradient is wanted of it.
    """

    needs_input_grad: tuple[bool, ...] = ()
    _to_save: tuple[Any, ...] | None = None
    _for_forward: tuple[Any, ...] | None = None
    _varied = False  # whether a direction comes in, so that what was computed in forward is not constant
    _saved: tuple[Any, ...] = ()  # of each tensor (array, edge of an input, index of an output, device, known, version)
    _dirty: tuple[Any, ...] = ()
    _constant: tuple[Any, ...] = ()
    _materialize = True
    _name = "Function"
    _arguments: tuple[Any, ...] = ()  # (shape, native type, device) of each tensor, None for other arguments
    _results: tuple[Any, ...] = ()  # the same of each output that is a tensor
    _outputs: tuple[int | None, ...] = ()  # of each output which of these it is, None for what is no tensor
    _node: Any = None  # a weak reference to the node, for a strong one would be a cycle
    _pass: tuple[Node, bool] | None = None
    _opened: list[Any] | None = None  # what was kept, while a pass is at the node

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `backward`, which finds them in ``saved_tensors``.

        Inputs and outputs are to be kept this way, and not as attributes: it notices when they are overwritten, and
        keeps no cycle alive.

        Parameters
        ----------
        *tensors : Tensor or None

        Raises
        ------
        OperandError
            If one is something else.
        """
        self._to_save = self._checked("save_for_backward", tensors)

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `jvp`, which finds them in ``saved_tensors``; without it those of `save_for_backward`.

        Parameters
        ----------
        *tensors : Tensor or None

        Raises
        ------
        OperandError
            If one is something else.
        """
        self._for_forward = self._checked("save_for_forward", tensors)

    def _checked(self, method: str, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
        for i, t in enumerate(tensors):
            if t is not None and not isinstance(t, Tensor):
                raise OperandError(
                    f"{self._name}: {method} takes tensors; argument {i} is a {type(t).__name__}. "
                    f"Write ctx.name = value for anything else"
                )
        return tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was kept for `backward`, or for `jvp`. Where gradients are recorded, inputs and outputs have a history.

        Raises
        ------
        AutogradError
            If gradients are to be recorded, and something is neither input nor output: how it depends on the inputs
            is not known, so a second derivative would be wrong. If a backward() went through the graph and freed it. If
            something was overwritten.
        """
        if self._node is None:  # nothing is recorded as yet
            return self._to_save or ()
        node, create_graph = self._pass or (self._alive(), False)
        values = self._opened
        if values is None:
            values = [opened_value(kept and kept[0]) for kept in self._saved]
            if self._pass is not None:
                self._opened = values
        return tuple(
            None if kept is None else self._restored(i, value, kept[1:], node, create_graph)
            for i, (value, kept) in enumerate(zip(values, self._saved, strict=True))
        )

    def _alive(self) -> Node:
        """The node, for whoever looks at what it keeps while no pass is at it."""
        node: Node | None = self._node()
        if node is None or node.args is None:
            raise AutogradError(
                f"{self._name}: what was saved is gone, since the graph was freed: by a backward() that went through "
                f"it, or with the results; write backward(retain_graph=True) to keep it"
            )
        check_kept(node)
        return node

    def _restored(self, i: int, array: Any, kept: Any, node: Node, create_graph: bool) -> Tensor:
        edge, index, device, known, version = kept
        if (create_graph or self._varied) and not known:
            what = INTERMEDIATE.format(what=f"saved_tensors[{i}]", shape=tuple(array.shape))
            raise AutogradError(f"{self._name}: {what}")
        if device.depth and not create_graph:
            edge = None
        elif index is not None:
            edge = edge_of_result(node, index)
        tensor = wrap(array, device, edge)
        tensor._writes = version  # a write to it is one to what was saved
        return tensor

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs forward wrote to in place. They have to be among its results.

        Parameters
        ----------
        *tensors : Tensor
        """
        for t in tensors:
            if not isinstance(t, Tensor):
                raise OperandError(f"{self._name}: mark_dirty takes tensors; got a {type(t).__name__}")
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which results have no gradient. Those of integer and bool types have none anyway.

        As in PyTorch, what is no result is passed over.

        Parameters
        ----------
        *tensors : Tensor
        """
        for t in tensors:
            if not isinstance(t, Tensor):
                raise OperandError(f"{self._name}: mark_non_differentiable takes tensors; got a {type(t).__name__}")
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Say whether backward gets zeros for results that nothing was computed from, or None.

        Parameters
        ----------
        value : bool
            True, as it is by default, for zeros.
        """
        self._materialize = bool(value)


class FunctionNode(ShownNode):
    """The node of a call of an `autograd.Function`: what was set on the context can be read from it, as in PyTorch."""

    __slots__ = ("__weakref__",)

    def __getattr__(self, name: str) -> Any:
        if name[0] == "_":
            return super().__getattr__(name)  # type: ignore[misc]
        if self.args is None:
            if name == "saved_tensors":
                raise AutogradError(
                    f"{self.name()}: what was saved is gone, since a backward() went through it; write "
                    f"backward(retain_graph=True) to keep it"
                )
            raise AttributeError(
                f"{self.name()} has no attribute {name!r}; if its context had one, it is gone, since a backward() went "
                f"through it"
            )
        ctx = context_of(self)
        if name in self._shown():
            return getattr(ctx, name)
        raise AttributeError(f"{self.name()} has no attribute {name!r}, and its context neither")

    def _shown(self) -> list[str]:
        """The names that are looked up in the context."""
        found = () if self.args is None else vars(context_of(self))
        return ["saved_tensors", "needs_input_grad", *(name for name in found if name[0] != "_")]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._shown()]


def context_of(node: Node) -> Any:
    """The context of a node that was not freed."""
    return next(a for a in node.args or () if a is not None)[0]


def edge_of_result(node: Node, index: int) -> Any:
    """Where the gradient of one result of a node goes."""
    return Output(node, index) if node.function.outputs > 1 else node
