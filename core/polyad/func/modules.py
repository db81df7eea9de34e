"""Modules as functions of their parameters: `functional_call`, `stack_module_state`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from ..errors import ArgumentError, OperandError
from ..function import FUNCTIONS
from ..tensor import Tensor

__all__ = ["functional_call", "stack_module_state"]


def _state(module: Any, name: str) -> dict[str, Tensor]:
    """A module's parameters and buffers by their dotted names, each under all of its names."""
    try:
        return {
            **dict(module.named_parameters(remove_duplicate=False)),
            **dict(module.named_buffers(remove_duplicate=False)),
        }
    except AttributeError:
        raise OperandError(
            f"{name}: expected a module, with named_parameters() and named_buffers(); got a {type(module).__name__}"
        ) from None


def _owner(module: Any, name: str) -> tuple[dict[str, Any], str]:
    """Where a module keeps what has a dotted name: the attributes of the module it is of."""
    *path, last = name.split(".")
    for part in path:
        module = getattr(module, part)
    return vars(module), last


@contextmanager
def _replaced(module: Any, tensors: Mapping[str, Any], tie_weights: bool, strict: bool) -> Iterator[None]:
    """A block in which a module has other tensors."""
    state = _state(module, "functional_call")
    unknown = sorted(set(tensors) - set(state))
    if unknown:
        raise ArgumentError(
            f"functional_call: the module has no parameter or buffer {', '.join(map(repr, unknown[:5]))}; it has "
            f"{', '.join(map(repr, list(state)[:10]))}"
        )
    wanted = dict(tensors)
    if tie_weights:
        for name, held in state.items():
            if name not in wanted:
                given = {id(t): t for other, t in tensors.items() if state[other] is held}
                if len(given) > 1:
                    raise ArgumentError(f"functional_call: the tensors given for {name!r}, which is tied, differ")
                wanted.update((name, t) for t in given.values())
    missing = sorted(set(state) - set(wanted))
    if strict and missing:
        raise ArgumentError(
            f"functional_call: strict=True, and there is nothing for {', '.join(map(repr, missing[:5]))}"
        )
    for name, t in wanted.items():
        if not isinstance(t, Tensor):
            raise OperandError(f"functional_call: {name!r} is a {type(t).__name__}; expected a tensor")
    before = []
    try:
        for name, t in wanted.items():
            attributes, last = _owner(module, name)
            before.append((attributes, last, attributes[last]))
            attributes[last] = t
        yield
    finally:
        for attributes, last, held in before:
            attributes[last] = held


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with other tensors in place of its parameters and buffers, which are as before afterwards.

    With it a module is a function of its parameters, for `grad`, `vmap` and the others.

    Parameters
    ----------
    module : Module
    parameter_and_buffer_dicts : dict, or sequence of dict
        Tensors by dotted names, as ``module.named_parameters()`` has them. What is not there stays the module's own.
    args : tuple, or anything else for one argument
        Of the call.
    kwargs : dict, optional
    tie_weights : bool
        Whether a tensor that the module has under several names is replaced under all of them.
    strict : bool
        Raise if something is missing.

    Returns
    -------
    What the module returns.

    Raises
    ------
    ArgumentError
        If the module has no tensor of a name; with ``strict``, if something is missing.
    OperandError
        If something given is no tensor, or ``module`` is no module.

    Examples
    --------
    >>> import polyad as ad
    >>> layer = ad.nn.Linear(2, 1)
    >>> parameters = {"weight": ad.tensor([[1.0, 2.0]]), "bias": ad.tensor([0.5])}
    >>> x = ad.tensor([3.0, 4.0])
    >>> ad.func.functional_call(layer, parameters, (x,))
    tensor([11.5000])
    >>> ad.func.grad(lambda p: ad.func.functional_call(layer, p, x).sum())(parameters)["weight"]
    tensor([[3., 4.]])
    """
    if isinstance(parameter_and_buffer_dicts, Mapping):
        tensors: dict[str, Any] = dict(parameter_and_buffer_dicts)
    else:
        tensors = {}
        for part in parameter_and_buffer_dicts:
            repeated = sorted(set(part) & set(tensors))
            if repeated:
                raise ArgumentError(f"functional_call: {repeated[0]!r} is in two of the dictionaries")
            tensors |= part
    given = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, tensors, tie_weights, strict):
        return module(*given, **(kwargs or {}))


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Stack the parameters and buffers of modules of one form, for `vmap` over them: an ensemble.

    Parameters
    ----------
    models : sequence of Module

    Returns
    -------
    parameters, buffers : dict of Tensor
        By name, each with the models along a first dimension. Parameters are new leaves that require gradients where
        the models' do.

    Raises
    ------
    ArgumentError
        If there are no models, or they are not all of one class with tensors of the same names and shapes.

    Examples
    --------
    >>> import polyad as ad
    >>> models = [ad.nn.Linear(3, 2) for _ in range(4)]
    >>> parameters, buffers = ad.func.stack_module_state(models)
    >>> x = ad.ones(3)
    >>> call = lambda p: ad.func.functional_call(models[0], p, x)
    >>> ad.func.vmap(call)(parameters).shape
    (4, 2)
    """
    if not models:
        raise ArgumentError("stack_module_state: got no models; expected at least one")
    if len({type(m) for m in models}) > 1:
        raise ArgumentError(
            f"stack_module_state: the models are of classes {sorted({type(m).__name__ for m in models})}; expected one"
        )
    stack = FUNCTIONS["stack"].call
    found: list[dict[str, Tensor]] = []
    for listed in ([dict(m.named_parameters()) for m in models], [dict(m.named_buffers()) for m in models]):
        made = {}
        for name in listed[0]:
            if any(name not in held or held[name].shape != listed[0][name].shape for held in listed):
                raise ArgumentError(f"stack_module_state: {name!r} is not in all models, or has different shapes")
            held = [m[name] for m in listed]
            made[name] = stack([t.detach() for t in held])
            if all(t.requires_grad for t in held):
                made[name].requires_grad_()
        found.append(made)
    return found[0], found[1]
