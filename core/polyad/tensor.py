"""The Tensor: a handle on an array of some backend, with its place in the recorded graph.

What a tensor can do, its operators and methods, is bound in `polyad.methods` from one table.
"""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from . import leaves, views
from .backend import Backend, Device
from .dtypes import DType
from .errors import ArgumentError, AutogradError, DeviceError, DTypeError, OperandError, ShapeError, TransformError
from .graph import AccumulateGrad, Output, guard, new, shown
from .plugins import plugins
from .printing import format_tensor

if TYPE_CHECKING:
    from ._methods import Methods
else:

    class Methods:
        """Functions as methods and operators; bound by `polyad.methods`."""

        __slots__ = ()


__all__ = ["Size", "Tensor", "wrap"]

Kind = TypeVar("Kind", bound="Tensor")


class Size(int):
    """How many elements a tensor has (``x.size``, as in the standard); called, its shape (as in PyTorch)."""

    shape: tuple[int, ...]

    def __call__(self, dim: int | None = None) -> Any:
        """Give the shape, or the length of one dimension."""
        return self.shape if dim is None else self.shape[dim]


class Tensor(Methods):
    """An array of any backend, with gradients.

    Made by `polyad.tensor`, `polyad.asarray` and the other creation functions, and by operations on tensors.
    A tensor lives on a device of one backend, and operations with it run there.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    # _data, _node: may be empty on an alias after a write; views.raw and views.node_of fill them
    # _writes: counts in-place writes, once somebody keeps the value
    # _storage, _path, _root: shared memory, from the first view on (see views.py)
    __slots__ = (
        *("_data", "_device", "_node", "_writes", "_storage", "_grad", "_path", "_root"),
        "__weakref__",
    )

    _data: Any
    _device: Device
    _node: Any
    _writes: Any
    _storage: Any
    _path: Any
    _root: Any
    _grad: Tensor | None

    # An array of another library on the left of an operator leaves it to the tensor on the right
    __array_priority__ = 1000

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Refuse ``Tensor(...)``, which means different things in different libraries."""
        if cls is Tensor:
            raise OperandError(
                "Tensor(...) is not called: write polyad.tensor(data) for a new tensor, polyad.zeros(shape) or "
                "polyad.empty(shape) for one of a shape"
            )
        return super().__new__(cls)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        plugins.add_tensor_class(cls)

    # What it is ------------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its dimensions."""
        return tuple(views.raw(self).shape)

    @property
    def ndim(self) -> int:
        """Number of its dimensions."""
        return len(views.raw(self).shape)

    def dim(self) -> int:
        """Give the number of its dimensions."""
        return self.ndim

    ndimension = dim

    @property
    def size(self) -> Size:
        """Number of its elements; ``x.size()`` and ``x.size(0)`` give its shape, as in PyTorch."""
        shape = self.shape
        size = Size(math.prod(shape))
        size.shape = shape
        return size

    def numel(self) -> int:
        """Give the number of its elements."""
        return math.prod(self.shape)

    nelement = numel

    @property
    def dtype(self) -> DType:
        """Type of its elements."""
        return self._device.dtypes[views.raw(self).dtype]

    @property
    def device(self) -> Device:
        """Where it lives."""
        return self._device

    @property
    def backend(self) -> Backend:
        """The backend whose array it holds."""
        return self._device.backend

    @property
    def array(self) -> Any:
        """The backend's own array, sharing memory; for reading.

        Examples
        --------
        >>> import polyad as ad
        >>> type(ad.ones(2).array).__name__
        'ndarray'
        """
        return views.raw(self)

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.numel() * self.dtype.itemsize

    def element_size(self) -> int:
        """Give the bytes an element."""
        return self.dtype.itemsize

    def stride(self, dim: int | None = None) -> Any:
        """Give the strides in elements, or that of one dimension: how far apart in memory neighbours are.

        They are polyad's own, the same on every backend: those by which `view` decides.

        Examples
        --------
        >>> import polyad as ad
        >>> ad.zeros((2, 3)).mT.stride(), ad.zeros((2, 3)).stride(0)
        ((1, 3), 3)
        """
        strides = views.layout_of(self).strides
        return strides if dim is None else strides[dim]

    def storage_offset(self) -> int:
        """Give how many elements its first is behind the first of the memory that it shares.

        As `stride`, it is polyad's own, the same on every backend.

        Examples
        --------
        >>> import polyad as ad
        >>> ad.zeros((2, 3))[1, 1:].storage_offset()
        4
        """
        return views.layout_of(self).offset

    def data_ptr(self) -> int:
        """Give the address of its first element in its device's memory.

        Where a backend's arrays cannot be written (JAX), a view has memory of its own, and a write moves a tensor.

        Raises
        ------
        OperandError
            If the tensor has no memory yet, because a transformation such as `jax.jit` traces the function.
        BackendError
            If the backend's library does not say where its arrays are.

        Examples
        --------
        >>> import polyad as ad
        >>> x = ad.zeros(4)
        >>> x[1:].data_ptr() - x.data_ptr()
        4
        """
        data, backend = views.raw(self), self._device.backend
        if backend.is_traced(data):
            raise OperandError(f"data_ptr: the tensor has no memory yet, because {backend.traced_by}; call it outside")
        if self._storage is None:  # the order in which views will find the elements
            data = self._data = backend.contiguous(data)
        return backend.address(data)

    def is_floating_point(self) -> bool:
        """Whether its elements are real floating-point numbers."""
        return bool(self.dtype.is_floating_point)

    def is_complex(self) -> bool:
        """Whether its elements are complex numbers."""
        return bool(self.dtype.is_complex)

    # Its place in the graph ------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether operations on it are recorded, so that `backward` gives it or its origins gradients."""
        return views.node_of(self) is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)  # which takes nothing but a bool

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Say whether a leaf requires a gradient.

        One that required a gradient before keeps its hooks, and graphs that were recorded then lead to it again.

        Parameters
        ----------
        requires_grad : bool

        Returns
        -------
        Tensor
            Itself.

        Raises
        ------
        OperandError
            If ``requires_grad`` is neither True nor False.
        DTypeError
            If its type is no floating-point type.
        AutogradError
            If it is the result of a recorded operation and ``requires_grad`` is False.

        Examples
        --------
        >>> import polyad as ad
        >>> ad.ones(2).requires_grad_()
        tensor([1., 1.], requires_grad=True)
        """
        node = views.node_of(self)
        if _flag("requires_grad", requires_grad):
            if not self.dtype.is_differentiable:
                raise DTypeError(
                    f"requires_grad: only tensors of real or complex floating-point types can require gradients; "
                    f"got {self.dtype.name}. Write x.float() or x.astype(polyad.float64) first"
                )
            if node is None:
                leaves.thaw(self)
        elif type(node) is AccumulateGrad:
            leaves.freeze(self)
        elif node is not None:
            raise AutogradError(
                f"requires_grad: the result of a recorded operation ({node.name()}) always requires a gradient; "
                f"write x.detach() for a tensor without history"
            )
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it is no result of a recorded operation."""
        node = views.node_of(self)
        return node is None or type(node) is AccumulateGrad

    @property
    def grad_fn(self) -> Any:
        """The recorded operation that made it; None for leaves."""
        node = views.node_of(self)
        return None if type(node) is AccumulateGrad else shown(node)

    @property
    def output_nr(self) -> int:
        """Which output of ``grad_fn`` it is."""
        node = views.node_of(self)
        return node.index if type(node) is Output else 0

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` accumulated; None before, and after ``x.grad = None``."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise OperandError(f"grad: expected a tensor or None; got a {type(value).__name__}")
            if value is self:
                raise AutogradError("grad: a tensor cannot be its own gradient; write x.grad = x.detach().clone()")
            require_gradient("grad", value, self.shape, self.dtype, self._device)
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    def retain_grad(self) -> None:
        """Have `backward` keep this tensor's gradient in ``grad``, though it is no leaf.

        Raises
        ------
        AutogradError
            If it requires no gradient.

        Examples
        --------
        >>> import polyad as ad
        >>> x = ad.tensor(3.0, requires_grad=True)
        >>> y = x * 2
        >>> y.retain_grad()
        >>> (y * y).backward()
        >>> y.grad
        tensor(12.)
        """
        node = views.node_of(self)
        if node is None:
            raise AutogradError("retain_grad: the tensor does not require a gradient; nothing would be kept")
        if type(node) is AccumulateGrad:
            return
        if not self.retains_grad:
            node.add_hook(_Keep(weakref.ref(self)), "keep")

    @property
    def retains_grad(self) -> bool:
        """Whether `retain_grad` was called; False for leaves, which keep their gradients without it."""
        hooks = getattr(views.node_of(self), "hooks", None)
        return hooks is not None and any(hook.tensor() is self for hook in hooks.keep.values())

    def is_inference(self) -> bool:
        """Give False: what is made inside `inference_mode` is an ordinary tensor, unlike PyTorch's."""
        return False

    @property
    def data(self) -> Tensor:
        """The same elements without history, sharing memory.

        ``x.data = y`` makes the tensor a second name for ``y``'s elements, as `set_` does. It keeps its place in the
        graph and its ``grad``; its views keep the elements that it had.

        Examples
        --------
        >>> import polyad as ad
        >>> flat, x = ad.zeros(4), ad.ones(2, requires_grad=True)
        >>> x.data = flat[:2]
        >>> _ = flat.add_(3)
        >>> x
        tensor([3., 3.], requires_grad=True)
        """
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            not_a_tensor("data", "the value", value)
        leaves.replace(self, value, "data")

    def set_(self, source: Tensor) -> Tensor:
        """Make this leaf a second name for another tensor's elements, of whatever shape, type and device they are.

        The tensor stays the same object, so whoever holds it, such as an optimizer, sees the new elements. It
        requires a gradient if it did before; ``grad`` is left as it is.

        Parameters
        ----------
        source : Tensor
            Shares its memory from here on.

        Returns
        -------
        Tensor
            Itself.

        Raises
        ------
        AutogradError
            If this tensor is the result of a recorded operation.
        DTypeError
            If this tensor requires a gradient and ``source`` is of no floating-point type.

        Examples
        --------
        >>> import polyad as ad
        >>> x = ad.zeros(2, requires_grad=True)
        >>> x.set_(ad.ones(2, dtype=ad.float64))
        tensor([1., 1.], dtype=polyad.float64, requires_grad=True)
        """
        if not isinstance(source, Tensor):
            not_a_tensor("set_", "source", source)
        node = views.node_of(self)
        if node is not None and type(node) is not AccumulateGrad:
            raise AutogradError(f"set_: only leaf tensors can be set; this one is the result of {node.name()}")
        leaves.replace(self, source, "set_")
        return self

    def as_subclass(self, cls: type[Kind]) -> Kind:
        """Give the same elements as a tensor of a subclass of `Tensor`, sharing memory, without history.

        Parameters
        ----------
        cls : type

        Raises
        ------
        OperandError
            If ``cls`` is no subclass of `Tensor`.

        Examples
        --------
        >>> import polyad as ad
        >>> class Weight(ad.Tensor):
        ...     __slots__ = ()
        >>> type(ad.ones(2).as_subclass(Weight)).__name__
        'Weight'
        """
        if not (isinstance(cls, type) and issubclass(cls, Tensor)):
            raise OperandError(f"as_subclass: expected a subclass of polyad.Tensor; got {cls!r:.60}")
        out: Kind = new(cls)
        out._grad = None
        views.adopt(out, self)
        return out

    @property
    def version(self) -> int:
        """How often its memory was written in place."""
        return self._writes.count if self._writes is not None else 0

    _version = version  # PyTorch's name

    @property
    def _base(self) -> Tensor | None:
        """The tensor that it is a view of, in the end; None if it is no view, or the result of `detach`.

        Examples
        --------
        >>> import polyad as ad
        >>> x = ad.zeros((2, 3))
        >>> x[0].reshape(3, 1)._base is x, x._base
        (True, None)
        """
        return views.base_of(self)  # type: ignore[no-any-return]

    # Values out ------------------------------------------------------------------------------------------

    def numpy(self) -> Any:
        """Give the elements as a NumPy array, sharing memory where the backend can.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        AutogradError
            If the tensor requires a gradient, which a NumPy array could not carry.

        Examples
        --------
        >>> import polyad as ad
        >>> ad.arange(3).numpy()
        array([0, 1, 2])
        """
        if self.requires_grad:
            raise AutogradError(
                "numpy: the tensor requires a gradient, which a NumPy array cannot carry; write x.detach().numpy()"
            )
        host = self._host("numpy")
        guard(self)
        return host

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """NumPy's protocol: what ``numpy.asarray(x)`` calls. As `numpy`, and it raises where that does."""
        host = self.numpy()
        if dtype is not None and host.dtype != dtype:
            if copy is False:
                raise ArgumentError(f"__array__: {host.dtype} to {dtype} needs a copy, and copy=False forbids it")
            return host.astype(dtype)
        return host.copy() if copy else host

    def item(self) -> Any:
        """Give the one element as a Python number.

        Returns
        -------
        bool, int, float or complex

        Raises
        ------
        ShapeError
            If there is not exactly one element.

        Examples
        --------
        >>> import polyad as ad
        >>> ad.tensor([2.5]).item()
        2.5
        """
        data = views.raw(self)
        if math.prod(data.shape) != 1:
            raise ShapeError(
                f"item: the tensor of shape {tuple(data.shape)} has {math.prod(data.shape)} elements, not one; "
                f"write x.tolist(), or index one element first"
            )
        return self._host("item").item()

    def tolist(self) -> Any:
        """Give the elements as a nested list of Python numbers; a 0-d tensor gives a number.

        Examples
        --------
        >>> import polyad as ad
        >>> ad.eye(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
        """
        return self._host("tolist").tolist()

    def _host(self, of: str) -> Any:
        """Give the elements as a NumPy array, for the method ``of``."""
        data, backend = views.raw(self), self._device.backend
        if backend.is_traced(data):
            raise OperandError(
                f"{of}: the tensor has no values yet, because {backend.traced_by}; "
                f"return it from the function, and write where(condition, x, y) for a branch on it"
            )
        return backend.to_host(data)

    def _number(self, of: str) -> Any:
        if self.numel() != 1:
            raise ShapeError(
                f"{of}: a tensor of shape {self.shape} is not one number"
                + ("; write x.any() or x.all()" if of == "bool" else "; index one element first")
            )
        return self.item()

    def __bool__(self) -> bool:
        return bool(self._number("bool"))

    def __int__(self) -> int:
        return int(self._number("int"))

    def __float__(self) -> float:
        return float(self._number("float"))

    def __complex__(self) -> complex:
        return complex(self._number("complex"))

    def __index__(self) -> int:
        value = self._number("index")
        if type(value) is not int:
            raise OperandError(f"only integer tensors can be an index or a length; got {self.dtype.name}")
        return value

    def __len__(self) -> int:
        shape = views.raw(self).shape
        if not shape:
            raise OperandError("len: a 0-d tensor has no length")
        return int(shape[0])

    def __iter__(self) -> Any:
        if not self.ndim:
            raise OperandError("a 0-d tensor cannot be iterated over; write x.item()")
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    __hash__ = object.__hash__  # by identity: == compares elements

    # Itself in other forms -------------------------------------------------------------------------------

    def __repr__(self) -> str:
        shown, node, besides = self._shown()
        dtype, device = shown.dtype, shown._device
        suffixes = []
        if device.type != "cpu":
            suffixes.append(f"device='{device}'")
        default = dtype.name in ("bool", "int64", "float32", "complex64")
        if not default or (not shown.numel() and dtype.name != "float32"):
            suffixes.append(f"dtype={dtype!r}")
        if type(node) is AccumulateGrad:
            suffixes.append("requires_grad=True")
        elif node is not None:
            suffixes.append(f"grad_fn=<{node.name()}>")
        suffixes += besides
        data = views.raw(shown)
        if device.backend.is_traced(data):
            return f"tensor({', '.join([str(data), *suffixes])})"
        kind = "integer" if "integer" in dtype.kind else dtype.kind

        def fetch(index: tuple[Any, ...]) -> Any:
            return shown[index].tolist() if index else shown.tolist()

        return format_tensor(shown.shape, kind, fetch, prefix="tensor(", suffixes=suffixes)

    def _shown(self) -> tuple[Tensor, Any, list[str]]:
        """The tensor whose elements are shown, where it is in the graph, and what is said beside them.

        Of a tensor of a level (see `polyad.levels`), that is the one of the library's that it holds.
        """
        node = views.node_of(self)
        shown: Tensor = self
        besides: list[str] = []
        while shown._device.depth:
            backend: Any = shown._device.backend
            array = views.raw(shown)
            shown = backend.values(array)
            node = views.node_of(shown) if node is None else node
            besides = [*array.beside(), *besides]
        return shown.detach(), node, besides

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if not self.ndim else format(repr(self), spec)

    def __copy__(self) -> Tensor:
        return self.clone() if not self.is_leaf else _rebuilt(self, self._device.backend.copy(views.raw(self)))

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise AutogradError(
                "deepcopy: only leaf tensors can be copied deeply, since the history would be copied with them; "
                "write x.detach().clone()"
            )
        made = _rebuilt(self, self._device.backend.copy(views.raw(self)))
        memo[id(self)] = made
        if self.grad is not None:
            made.grad = self.grad.__deepcopy__(memo)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.is_leaf:
            raise AutogradError("pickle: only leaf tensors can be pickled; write x.detach()")
        if self._device.depth:
            raise TransformError(
                f"pickle: the tensor is of {self._device.where}, and has no meaning outside the function that is "
                f"transformed; return it from the function, and pickle what the transform gives back"
            )
        host = self._device.backend.to_host(views.raw(self))
        return _unpickle, (type(self), host, self._device, self.requires_grad)


plugins.add_tensor_class(Tensor)


class _Keep:
    """The hook of `Tensor.retain_grad`. It knows its tensor weakly, so that a graph has no cycles."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: weakref.ref[Tensor]) -> None:
        self.tensor = tensor

    def __call__(self, gradient: Tensor) -> None:
        tensor = self.tensor()
        if tensor is not None:
            tensor.grad = gradient if tensor.grad is None else tensor.grad + gradient


def require_gradient(name: str, g: Tensor, shape: tuple[int, ...], dtype: DType, device: Device) -> None:
    """Raise if ``g`` cannot be the gradient of a tensor of this shape, type and place."""
    if g.shape != shape:
        raise ShapeError(f"{name}: the gradient has shape {g.shape}; expected {shape}, the tensor's own")
    if g.dtype is not dtype:
        raise DTypeError(
            f"{name}: the gradient is {g.dtype.name}; expected {dtype.name}, the tensor's own; "
            f"write g.astype(polyad.{dtype.name})"
        )
    if g._device is not device:
        raise DeviceError(
            f"{name}: the gradient is on {g._device.where}; expected {device.where}; write g.to(device=x.device)"
        )


def wrap(data: Any, device: Device, node: Any = None) -> Tensor:
    """Make a tensor of a raw array."""
    out: Tensor = new(Tensor)
    out._data, out._device, out._node = data, device, node
    out._writes = out._storage = out._grad = None
    return out


def _rebuilt(like: Tensor, data: Any) -> Tensor:
    """Make a leaf of ``like``'s class and demand for a gradient from a raw array."""
    out: Tensor = new(type(like))
    out._data, out._device, out._node = data, like._device, None
    out._writes = out._storage = out._grad = None
    if like.requires_grad:
        out._node = AccumulateGrad(out)
    return out


def _unpickle(cls: type[Tensor], host: Any, device: Device, requires_grad: bool) -> Tensor:
    out: Tensor = new(cls)
    out._data, out._device, out._node = device.backend.from_host(host, device, copy=True), device, None
    out._writes = out._storage = out._grad = None
    return out.requires_grad_() if requires_grad else out


def _flag(name: str, value: Any) -> bool:
    """Give a bool that was passed, also as another library has them; anything else is an error."""
    found = value.item() if getattr(value, "shape", None) == () and not isinstance(value, Tensor) else value
    if type(found) is not bool:
        raise OperandError(f"{name}: expected True or False; got {value!r:.60}")
    return found


def not_a_tensor(function: str, argument: str, value: Any) -> NoReturn:
    """Raise for an argument that should have been a tensor."""
    raise OperandError(
        f"{function}: {argument} is {type(value).__name__} {value!r:.60}; expected a tensor. "
        f"Write polyad.tensor(...) around it"
    )
