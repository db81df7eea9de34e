"""`Parameter` and `Module`: tensors to be trained, and the objects that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import polyad as ad
from polyad.errors import ArgumentError, DTypeError, OperandError

__all__ = ["IncompatibleKeys", "Module", "Parameter"]

Self = TypeVar("Self", bound="Module")
Held = TypeVar("Held")


class Parameter(ad.Tensor):
    """A tensor that a `Module` trains: a leaf that requires a gradient, found by `Module.parameters`.

    Operations on it give plain tensors.

    Parameters
    ----------
    data : Tensor
        Its elements; memory is shared, history is not.
    requires_grad : bool
        False for one that stays as it is.

    Raises
    ------
    OperandError
        If ``data`` is no tensor.
    DTypeError
        If ``data`` is of no floating-point type, and a gradient is required.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nn.Parameter(ad.zeros(2))
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """

    __slots__ = ()

    def __new__(cls, data: ad.Tensor, requires_grad: bool = True) -> Parameter:  # noqa: D102 - see the class
        if not isinstance(data, ad.Tensor):
            raise OperandError(
                f"Parameter: expected a tensor; got {type(data).__name__} {data!r:.60}; "
                f"write polyad.tensor(...) around it"
            )
        made = data.as_subclass(cls)
        if requires_grad:
            made.requires_grad_()
        return made

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class IncompatibleKeys(NamedTuple):
    """What `Module.load_state_dict` did not find, and what it did not know."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """Base class of layers and models.

    What is assigned to an attribute is found again: a `Parameter` by `parameters`, a module by `modules`.
    A subclass writes what it computes as ``forward``; the module is called like a function.

    Attributes
    ----------
    training : bool
        Whether layers such as `Dropout` behave as in training; see `train` and `eval`.

    Examples
    --------
    >>> import polyad as ad
    >>> class Scale(ad.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = ad.nn.Parameter(ad.tensor(2.0))
    ...
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> scale = Scale()
    >>> scale(ad.ones(2))
    tensor([2., 2.], grad_fn=<MultiplyBackward>)
    >>> [name for name, _ in scale.named_parameters()]
    ['factor']
    """

    # An attribute is its own registration: parameters and modules are found in vars(self), in order of assignment.
    # Only buffers, which are plain tensors, are listed by name: name -> whether it is part of the state.
    _buffers: dict[str, bool]
    training: bool

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:  # noqa: D102 - see the class
        self = super().__new__(cls)
        # Here and not in __init__, so that a subclass that forgets super().__init__() works all the same
        vars(self).update(training=True, _buffers={})
        return self

    # Computing ----------------------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's output; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward(self, ...), so it cannot be called")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the module's output: what `forward` defines."""
        return self.forward(*args, **kwargs)

    # Attributes ---------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        own = vars(self)
        old = own.get(name)
        if isinstance(old, Parameter) and not isinstance(value, Parameter) and value is not None:
            raise OperandError(
                f"{type(self).__name__}.{name} is a Parameter; it cannot become {_a(value)}: write Parameter(...), or "
                f"'with polyad.no_grad(): module.{name}.copy_(...)' to change its elements, or del module.{name} first"
            )
        if isinstance(old, Module) and not isinstance(value, Module) and value is not None:
            raise OperandError(f"{type(self).__name__}.{name} is a module; it cannot become {_a(value)}")
        if name in self._buffers and not isinstance(value, ad.Tensor) and value is not None:
            raise OperandError(f"{type(self).__name__}.{name} is a buffer; it cannot become {_a(value)}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        self._buffers.pop(name, None)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Set an attribute to a parameter: what ``module.name = param`` does."""
        if param is not None and not isinstance(param, Parameter):
            raise OperandError(f"register_parameter: {name!r} must be a Parameter or None; got {_a(param)}")
        self._register("register_parameter", name, param)

    def register_module(self, name: str, module: Module | None) -> None:
        """Set an attribute to a module, under a name that may be a number: ``"0"``."""
        if module is not None and not isinstance(module, Module):
            raise OperandError(f"register_module: {name!r} must be a Module or None; got {_a(module)}")
        self._register("register_module", name, module)

    add_module = register_module

    def register_buffer(self, name: str, tensor: ad.Tensor | None, persistent: bool = True) -> None:
        """Set an attribute to a tensor that belongs to the module, but is not trained, such as a running mean.

        Parameters
        ----------
        name : str
        tensor : Tensor or None
        persistent : bool
            Whether it is part of `state_dict`.

        Raises
        ------
        ArgumentError
            If the name is taken or cannot be one.
        OperandError
            If ``tensor`` is none.

        Examples
        --------
        >>> import polyad as ad
        >>> module = ad.nn.Module()
        >>> module.register_buffer("count", ad.tensor(0))
        >>> module.state_dict()
        {'count': tensor(0)}
        """
        if tensor is not None and not isinstance(tensor, ad.Tensor):
            raise OperandError(f"register_buffer: {name!r} must be a tensor or None; got {_a(tensor)}")
        self._register("register_buffer", name, tensor)
        self._buffers[name] = persistent

    def _register(self, caller: str, name: str, value: Any) -> None:
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(f"{caller}: a name is a text without dots, since dots part levels; got {name!r}")
        if hasattr(self, name) and getattr(self, name) is not None:
            raise ArgumentError(f"{caller}: {type(self).__name__} has an attribute {name!r} already")
        setattr(self, name, value)

    # What it holds ------------------------------------------------------------------------------------------

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Give the modules directly inside this one, by name, each once."""
        yield from _distinct((name, m) for name, m in vars(self).items() if isinstance(m, Module))

    def children(self) -> Iterator[Module]:
        """Give the modules directly inside this one, each once."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """Give this module and all inside it, by dotted names."""
        found = self._walk(prefix)
        return _distinct(found) if remove_duplicate else found

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, module in vars(self).items():
            if isinstance(module, Module):
                yield from module._walk(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """Give this module and all inside it."""
        return (module for _, module in self.named_modules())

    def _held(self, prefix: str, recurse: bool, held: Callable[[Module], Iterator[tuple[str, Any]]]) -> Iterator[Any]:
        for path, module in self._walk(prefix) if recurse else [(prefix, self)]:
            for name, value in held(module):
                yield (f"{path}.{name}" if path else name), value

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Give the parameters of this module and, with ``recurse``, of all inside it, by dotted names.

        Examples
        --------
        >>> import polyad as ad
        >>> [name for name, _ in ad.nn.Sequential(ad.nn.Linear(2, 3)).named_parameters()]
        ['0.weight', '0.bias']
        """
        found = self._held(prefix, recurse, _parameters)
        return _distinct(found) if remove_duplicate else found

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Give the parameters of this module and, with ``recurse``, of all inside it: what an optimizer takes."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, ad.Tensor]]:
        """Give the buffers, as `named_parameters` does."""
        found = self._held(prefix, recurse, _buffers)
        return _distinct(found) if remove_duplicate else found

    def buffers(self, recurse: bool = True) -> Iterator[ad.Tensor]:
        """Give the buffers, as `parameters` does."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    # Its state ----------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, ad.Tensor]:
        """Give parameters and persistent buffers by dotted names, sharing memory, without history.

        Examples
        --------
        >>> import polyad as ad
        >>> sorted(ad.nn.Linear(2, 3).state_dict())
        ['bias', 'weight']
        """
        return {name: tensor.detach() for name, tensor in self._state()}

    def _state(self) -> Iterator[tuple[str, ad.Tensor]]:
        return self._held("", True, _persistent)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> IncompatibleKeys:
        """Copy the elements of a state into parameters and buffers. Either all are copied, or none.

        Parameters
        ----------
        state_dict : mapping
            As `state_dict` gave it, of any backend; arrays are taken too.
        strict : bool
            Whether the names must be exactly those of this module. Shapes must always be.

        Returns
        -------
        IncompatibleKeys
            ``missing_keys`` and ``unexpected_keys``.

        Raises
        ------
        ArgumentError
            If names or shapes differ; it names all.

        Examples
        --------
        >>> import polyad as ad
        >>> a, b = ad.nn.Linear(2, 3), ad.nn.Linear(2, 3)
        >>> b.load_state_dict(a.state_dict())
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
        """
        own = dict(self._state())
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        problems = []
        if strict and missing:
            problems.append(f"missing: {', '.join(missing)}")
        if strict and unexpected:
            problems.append(f"unexpected: {', '.join(unexpected)}")
        found = {name: ad.asarray(value) for name, value in state_dict.items() if name in own}
        for name, value in found.items():
            if value.shape != own[name].shape:
                problems.append(f"{name} has shape {value.shape}, and {own[name].shape} is expected")
        if problems:
            raise ArgumentError(
                f"load_state_dict: the state does not fit {type(self).__name__}: {'; '.join(problems)}"
                + ("; write strict=False to load what is there" if strict and (missing or unexpected) else "")
            )
        with ad.no_grad():
            for name, value in found.items():
                own[name].copy_(value)
        return IncompatibleKeys(missing, unexpected)

    # All at once --------------------------------------------------------------------------------------------

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` with every module inside this one, and with this one last; returns this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def train(self: Self, mode: bool = True) -> Self:
        """Have this module and all inside it behave as in training; returns it."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self: Self) -> Self:
        """Have this module and all inside it behave as in use; returns it."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Say whether all parameters require gradients; returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters or, with ``set_to_none=False``, set them to 0."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad.zero_()

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Move parameters and buffers to another type, device or backend; returns the module.

        The parameters stay the same objects, so an optimizer that holds them goes on. Integers and bools are moved,
        but keep their type.

        Parameters
        ----------
        *args, **kwargs
            As for `polyad.Tensor.to`: ``dtype``, ``device``, ``backend``.

        Raises
        ------
        DTypeError
            If the type is no floating-point type.

        Examples
        --------
        >>> import polyad as ad
        >>> ad.nn.Linear(2, 1).to(ad.float64).weight.dtype
        polyad.float64
        """
        tensors = [*self.parameters(), *self.buffers()]
        moved = [_moved(t, args, kwargs) for t in tensors]  # all of them before any is changed
        for tensor, new in zip(tensors, moved, strict=True):
            if new is not tensor:
                tensor.set_(new)
            if tensor.grad is not None:
                tensor.grad = _moved(tensor.grad, args, kwargs)
        return self

    # How it is shown ----------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Give what is shown between the parentheses of a module without others inside; subclasses define it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        inside = [f"({name}): {module!r}" for name, module in vars(self).items() if isinstance(module, Module)]
        if not inside:
            return f"{type(self).__name__}({extra})"
        lines = "\n".join(([extra] if extra else []) + inside)
        return f"{type(self).__name__}(\n  " + lines.replace("\n", "\n  ") + "\n)"


def _parameters(module: Module) -> Iterator[tuple[str, Parameter]]:
    return ((name, p) for name, p in vars(module).items() if isinstance(p, Parameter))


def _buffers(module: Module) -> Iterator[tuple[str, ad.Tensor]]:
    return ((name, getattr(module, name)) for name in module._buffers if getattr(module, name) is not None)


def _persistent(module: Module) -> Iterator[tuple[str, ad.Tensor]]:
    yield from _parameters(module)
    yield from ((name, buffer) for name, buffer in _buffers(module) if module._buffers[name])


def _distinct(found: Iterator[tuple[str, Held]]) -> Iterator[tuple[str, Held]]:
    """Leave out what came before under another name."""
    seen: set[int] = set()
    for name, value in found:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def _moved(tensor: ad.Tensor, args: Any, kwargs: Any) -> ad.Tensor:
    """Give a tensor as `Module.to` wants it, itself if it is so already."""
    with ad.no_grad():
        new: ad.Tensor = tensor.to(*args, **kwargs)
    if new.dtype is tensor.dtype:
        return new
    if not new.dtype.is_differentiable:
        raise DTypeError(f"Module.to: parameters are of floating-point types; got {new.dtype.name}")
    return new if tensor.dtype.is_differentiable else tensor.to(device=new.device)


def _a(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.60}"
