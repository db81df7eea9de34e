"""Aliasing and in-place writes, the same on arrays that can be written and on arrays that cannot.

A tensor has no storage until its first view. Then it and its views share a `Storage`, and each has a *path*: the view
functions that lead to it from the base, linked from the last to the first. A write through one of them goes to the
base; the others' slots ``_data`` (where arrays are immutable) and ``_node`` (where there is history) are emptied, and
filled again from the base when next read. So an empty slot means "stale", reading a filled one costs nothing extra,
and a tensor without views pays nothing at all.

Whether a reshape is a view, and whether elements are repeated and so cannot be written, is decided by the logical
layout: that of the path, never that of the library's array.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

from .errors import AutogradError, ShapeError
from .function import Function
from .grad_mode import recording
from .graph import AccumulateGrad, Sealed, Version, guard, new, record
from .kernels import Step
from .keys import ARRAY
from .layouts import Layout, overlaps, row_major, viewable
from .rules import is_complex

__all__ = [
    "Path",
    "Root",
    "Storage",
    "View",
    "adopt",
    "base_of",
    "check_write",
    "cut",
    "exclusive",
    "fits",
    "is_shared",
    "keep_apart",
    "layout_of",
    "node_of",
    "raw",
    "repeats",
    "share",
    "write",
]

exclusive: Final = threading.RLock()
"""Held where a write makes a new base of the old one, and where what is read from the base is kept: arrays that cannot
be written must not lose what two threads write to different places."""

Path = tuple["Path", Step] | None
"""How a view comes from the base: the path of its operand, and the last step. None for the base."""


class View:
    """What makes a function a view: how a write to its result goes to its operand, and its layout.

    Attributes
    ----------
    put : callable or None
        ``put(xp, base, new, **params)``: ``base`` with the viewed region replaced by ``new``. None where the
        result may show elements more than once.
    layout : callable
        ``layout(operand, **params)``: the result's `Layout`, from the operand's.
    """

    __slots__ = ("put", "layout")

    def __init__(self, put: Callable[..., Any] | None, layout: Callable[..., Layout]) -> None:
        self.put, self.layout = put, layout


class Root:
    """Where the history of a group of aliases begins: a node, and the path of the alias that has it.

    Views made by ``detach`` or under ``no_grad`` share memory with their base, but have a root of their own. So have
    the results of an `autograd.Function` that share memory; they refuse writes with history: ``refusal.refuse(by)``
    raises, and ``refusal.node()`` is the history they have once the memory was written elsewhere.
    """

    __slots__ = ("node", "path", "cut", "base", "refusal")

    def __init__(self, node: Any, path: Path = None, cut: str | None = None, base: Root | None = None) -> None:
        self.node, self.path, self.cut, self.base = node, path, cut, base
        self.refusal: Any = None


class Storage:
    """The memory that a tensor shares with its views."""

    __slots__ = ("data", "strides", "aliases", "limit")

    def __init__(self, data: Any, strides: tuple[int, ...] | None) -> None:
        self.data, self.strides = data, strides  # None for row-major order
        self.aliases: list[weakref.ref[Any]] = []
        self.limit = 16

    def prune(self) -> None:
        """Forget aliases that are gone, so that the list stays in proportion to those that live."""
        self.aliases = [r for r in self.aliases if r() is not None]
        self.limit = 2 * len(self.aliases) + 16


def steps(path: Path, origin: Path = None) -> list[Step]:
    """The functions of a path in order, from behind ``origin`` on."""
    found: list[Step] = []
    while path is not origin and path is not None:
        path, step = path
        found.append(step)
    found.reverse()
    return found


# Reading -------------------------------------------------------------------------------------------------


def raw(tensor: Any) -> Any:
    """Give a tensor's array, made anew from the base if a write emptied the slot."""
    try:
        return tensor._data
    except AttributeError:
        with exclusive:  # no write may come between reading the base and filling the slot
            tensor._data = data = tensor._device.asarray(_at(tensor, tensor._path))
        return data


def node_of(tensor: Any) -> Any:
    """Give a tensor's node, recorded anew from the base's if a write emptied the slot."""
    try:
        return tensor._node
    except AttributeError:
        root, device = tensor._root, tensor._device
        node, data = root.node, _at(tensor, root.path)
        for function, params in steps(tensor._path, root.path):
            out = device.kernels[function](data, **params)
            if node is not None:
                node = record(function, device, (data,), (data,), (node,), params, out, None)
            data = out
        tensor._node = node
        return node


def _at(tensor: Any, path: Path) -> Any:
    """The array of the alias that a tensor shares its storage with and that has a path."""
    data, kernels = tensor._storage.data, tensor._device.kernels
    for function, params in steps(path):
        data = kernels[function](data, **params)
    return data


# Views ---------------------------------------------------------------------------------------------------


def share(tensor: Any, strides: tuple[int, ...] | None = None) -> Storage:
    """Give a tensor the storage that it will share with its views.

    ``strides`` are those of memory that came from outside; otherwise the array is brought into row-major order,
    so that every backend agrees on which reshapes are views.
    """
    data = raw(tensor)
    if strides is None:
        data = tensor._data = tensor._device.backend.contiguous(data)
    guard(tensor)  # from here on the version is shared
    fresh, root, reference = Storage(data, strides), Root(tensor._node), weakref.ref(tensor)
    storage: Storage | None = tensor._storage  # another thread may come in the calls, but not before the stores
    if storage is None:
        tensor._path, tensor._root, tensor._storage = None, root, fresh
        storage = fresh
        storage.aliases.append(reference)
    return storage


def adopt(tensor: Any, source: Any) -> None:
    """Make a tensor a second name for another's elements, with a history of its own, none as yet."""
    storage = source._storage if source._storage is not None else share(source)
    tensor._data, tensor._device, tensor._node = raw(source), source._device, None
    tensor._storage, tensor._writes, tensor._path = storage, source._writes, source._path
    tensor._root = Root(None, source._path)
    _join(tensor, storage)


def _join(tensor: Any, storage: Storage) -> None:
    """Have an alias told of writes."""
    if len(storage.aliases) >= storage.limit:
        storage.prune()
    storage.aliases.append(weakref.ref(tensor))


def cut(tensor: Any, node: Any) -> None:
    """Give a tensor another history from here on: after ``requires_grad_`` or ``detach_``."""
    tensor._node = node
    if tensor._storage is not None:
        if tensor._path is not None:  # a view becomes a leaf of its own
            tensor._root = Root(node, tensor._path)
        else:
            tensor._root.node = node


def is_shared(tensor: Any) -> bool:
    """Whether another tensor that lives has the same memory."""
    storage = tensor._storage
    return storage is not None and any(
        (other := reference()) is not None and other is not tensor for reference in storage.aliases
    )


def keep_apart(tensor: Any, node: Any, refusal: Any) -> None:
    """Give an alias a history of its own that no write can be part of (see `Root`)."""
    tensor._node, tensor._root = node, Root(node, tensor._path)
    tensor._root.refusal = refusal


def layout_of(tensor: Any) -> Layout:
    """Shape, strides and offset of a tensor."""
    storage = tensor._storage
    shape = tuple((raw(tensor) if storage is None else storage.data).shape)
    if storage is None:
        return Layout(shape, row_major(shape))
    found = Layout(shape, row_major(shape) if storage.strides is None else storage.strides)
    for function, params in steps(tensor._path):
        found = function.view.layout(found, **params)
    return found


def repeats(tensor: Any) -> bool:
    """Whether several elements of a tensor are one place in memory."""
    if tensor._storage is None or all(function.view.put is not None for function, _ in steps(tensor._path)):
        return False
    return overlaps(layout_of(tensor))


def base_of(tensor: Any) -> Any:
    """The tensor that a view is a view of, in the end; None for tensors that are no views.

    What `detach` gives is a tensor of its own, though it shares memory.
    """
    if tensor._storage is None:
        return None
    storage, root = tensor._storage, tensor._root
    while root.cut == NO_GRAD and root.base is not None:
        root = root.base
    if root.path is tensor._path:
        return None
    for reference in storage.aliases:
        other = reference()
        if other is not None and other._storage is storage and other._path is root.path and other._root is root:
            return other
    base = new(type(tensor))  # nobody holds it any more
    base._device, base._storage, base._writes = tensor._device, storage, tensor._writes
    base._path, base._root, base._grad = root.path, root, None
    _join(base, storage)
    return base


def fits(tensor: Any, shape: Sequence[int]) -> bool:
    """Whether a tensor can be seen in a shape, of as many elements, without a copy."""
    storage = tensor._storage
    if storage is None or (tensor._path is None and storage.strides is None):  # row-major order
        return True
    old, strides, _ = layout_of(tensor)
    return viewable(old, strides, shape) is not None


# Writing -------------------------------------------------------------------------------------------------


def check_write(tensor: Any, by: str) -> None:
    """Raise if a tensor must not be written in place, before anything is computed.

    Raises
    ------
    AutogradError
        For a leaf that requires a gradient, or a view of one, and for what no history could be had of, while operations
        are recorded; for a tensor that is `Sealed`.
    ShapeError
        For an expanded tensor, of which several elements are one place in memory.
    """
    shared = tensor._storage is not None
    if type(tensor._writes) is Sealed:
        tensor._writes.refuse(by)
    if recording():
        if type(node_of(tensor)) is AccumulateGrad:
            raise AutogradError(
                f"{by}: a leaf tensor that requires a gradient cannot be written in place while operations are "
                f"recorded; write inside 'with polyad.no_grad():', or make a new tensor"
            )
        if shared and tensor._root.refusal is not None:
            tensor._root.refusal.refuse(by)
        if shared and type(tensor._root.node) is AccumulateGrad:
            raise AutogradError(
                f"{by}: a view of a leaf tensor that requires a gradient cannot be written in place while operations "
                f"are recorded; write inside 'with polyad.no_grad():', or to a clone() of the leaf"
            )
        if shared and _misses_history(tensor._root):
            raise AutogradError(
                f"{by}: this view was made under no_grad and its base has a history that would miss the write; "
                f"make the view while operations are recorded, or write under no_grad"
            )
    if shared and repeats(tensor):
        raise ShapeError(
            f"{by}: the tensor of shape {tuple(raw(tensor).shape)} is an expanded view, in which several elements are "
            f"one place in memory; write to x.clone() instead"
        )


def _misses_history(root: Root) -> bool:
    """Whether a group of aliases was made under no_grad from one that has history."""
    while root.cut == NO_GRAD and root.base is not None:
        root = root.base
        if root.node is not None:
            return True
    return False


def write(tensor: Any, value: Any, node: Any, by: str, *, written: bool = False) -> None:
    """Replace all of a tensor's elements, and tell every alias.

    Parameters
    ----------
    tensor : Tensor
        Checked by `check_write`.
    value : array
        The new elements, of the tensor's shape, type and device.
    node : Node or None
        The history of the new elements.
    by : str
        The operation's name, for the message of a stale gradient.
    written : bool
        Whether the values are in the tensor's memory already.
    """
    storage, device = tensor._storage, tensor._device
    backend = device.backend
    record_it = recording()
    if record_it and node is not None and storage is not None and tensor._root.cut == NO_GRAD:
        raise AutogradError(
            f"{by}: this view was made under no_grad, so its base could not learn of a write with history; "
            f"make the view while operations are recorded, or write under no_grad"
        )
    version = tensor._writes
    if version is None:
        version = tensor._writes = Version()
    version.count += 1
    version.by = by
    if storage is None:
        if backend.writable:
            if not written:
                backend.write(tensor._data, value)
        else:
            tensor._data = value
        if record_it:
            kept = _released(tensor)
            tensor._node = node
            if kept and node is not None:
                tensor.retain_grad()
        return
    if backend.writable:
        if not written:
            backend.write(raw(tensor), value)
    else:
        with exclusive:
            storage.data = put(device.xp, steps(tensor._path), storage.data, value)
            for reference in storage.aliases:
                other = reference()
                if other is not None:
                    _empty(other, "_data")
            tensor._data = value
    root = tensor._root
    if not record_it or (node is None and root.node is None):
        return
    path = steps(tensor._path, root.path)
    if path:
        base = _at(tensor, root.path)
        edges, values = (root.node, node), (base, value)
        root.node = record(_copy_slices, device, values, values, edges, {"path": path}, base, None)
    else:
        root.node = node
    keeping = []
    for reference in storage.aliases:
        other = reference()
        if other is None:
            continue
        if other._root is root:
            if _released(other):
                keeping.append(other)
            _empty(other, "_node")
        elif other._root.refusal is not None and other._root.node is not None:
            other._root.node = other._root.refusal.node()
            _empty(other, "_node")
    for other in keeping:
        if node_of(other) is not None:
            other.retain_grad()


def _released(tensor: Any) -> bool:
    """Take a tensor's `retain_grad` from the node that it had before a write; whether there was one."""
    node = getattr(tensor, "_node", None)
    if node is None or node.hooks is None or type(node) is AccumulateGrad:
        return False
    handles = [handle for handle, hook in node.hooks.keep.items() if hook.tensor() is tensor]
    for handle in handles:
        handle.remove()
    return bool(handles)


NO_GRAD: Final = "no_grad"
DETACH: Final = "detach"


def _empty(tensor: Any, slot: str) -> None:
    try:
        delattr(tensor, slot)
    except AttributeError:
        pass  # empty already


def forward(xp: Any, path: Sequence[Step], base: Any) -> Any:
    """Follow a path from the base."""
    for function, params in path:
        base = getattr(xp, function.name)(base, **params)
    return base


def put(xp: Any, path: Sequence[Step], base: Any, value: Any) -> Any:
    """``base`` with the region that a path shows replaced by ``value``."""
    if any(function.view.put is None for function, _ in path):
        return _put_at(xp, path, base, value)
    between = [base]
    for function, params in path[:-1]:
        between.append(getattr(xp, function.name)(between[-1], **params))
    for (function, params), operand in zip(reversed(path), reversed(between), strict=bool(path)):
        value = function.view.put(xp, operand, value, **params)
    return value


def _put_at(xp: Any, path: Sequence[Step], base: Any, value: Any) -> Any:
    """The same where the path repeats elements, and then shows some of them once: by their places in ``base``.

    Places are those of real numbers, of which a complex number has two; its own is the complex number of both.
    """
    flat = _real_numbers(xp, base)
    places = _shaped(xp, xp.cumulative_sum(xp.ones_like(flat, dtype=xp.float64), axis=0) - 1, base)
    written = xp.astype(_real_numbers(xp, forward(xp, path, places)), xp.int64)
    return _shaped(xp, xp.setitem(flat, _real_numbers(xp, value), written, key=(ARRAY,)), base)


def _real_numbers(xp: Any, x: Any) -> Any:
    """The elements in a row; of complex ones, the parts."""
    return xp.reshape(xp.view_as_real(x) if is_complex(x.dtype) else x, (-1,))


def _shaped(xp: Any, numbers: Any, like: Any) -> Any:
    """The array that has these elements, or parts of elements, in the shape of ``like``."""
    shape = tuple(like.shape)
    if is_complex(like.dtype):
        return xp.view_as_complex(xp.reshape(numbers, (*shape, 2)))
    return xp.reshape(numbers, shape)


def _define_copy_slices(xp: Any, base: Any, value: Any, /, *, path: Sequence[Step]) -> Any:
    """``base`` with the region that ``path`` shows replaced by ``value``: a write through a view."""
    return put(xp, path, base, value)


def _base_rule(g: Any, xp: Any, path: Sequence[Step]) -> Any:
    g = _as_shown(xp, path, g)
    return _as_shown(xp, path, put(xp, path, g, xp.zeros_like(forward(xp, path, g))))


def _value_rule(g: Any, xp: Any, path: Sequence[Step]) -> Any:
    return _as_shown(xp, path, forward(xp, path, _as_shown(xp, path, g)))


def _as_shown(xp: Any, path: Sequence[Step], g: Any) -> Any:
    """A gradient to or from the form that users see, of which the parts are the gradients of the parts."""
    return xp.conj(g) if any(function.gives != "same" for function, _ in path) else g


_copy_slices: Final = Function(
    _define_copy_slices,
    name="copy_slices",
    rules={"base": _base_rule, "value": _value_rule},
    prepare=False,
)
