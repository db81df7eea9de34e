"""`vmap`: a function of one example as a function of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from ..containers import Structure, flatten, flatten_up_to, unflatten
from ..errors import ArgumentError, OperandError, ShapeError
from ..function import FUNCTIONS
from ..levels import entered, lifted
from ..ops.arguments import normalize_axis
from ..tensor import Tensor, wrap
from ..transforms.batched import Batched, BatchLevel
from ..views import raw

__all__ = ["vmap"]

Dims = Any
"""An int, None, or a container of them nested as what it is for."""


def vmap(
    func: Callable[..., Any],
    in_dims: Dims = 0,
    out_dims: Dims = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """Make a function of one example a function of many, computed together.

    Inside, each tensor has the shape of one example. What a loop over the examples and a stack of the results would
    give is computed by one call of each kernel.

    Parameters
    ----------
    func : callable
        Of tensors, or nested containers of them; returns such.
    in_dims : int, None, or container
        Along which dimension the examples are in each argument; None for an argument that is the same for all. One
        value for all arguments, or a tuple of one for each, which may be containers like the arguments.
    out_dims : int or container
        Along which dimension they are to be in each result.
    randomness : str
        What random functions inside do: ``"error"``, ``"different"`` numbers for each example, or the ``"same"``.
    chunk_size : int, optional
        Compute at most so many examples at once, for less memory.

    Returns
    -------
    callable
        Takes the arguments of ``func``; keyword arguments are the same for all examples.

    Raises
    ------
    ArgumentError
        If ``in_dims`` or ``out_dims`` do not match the containers, or no argument has examples.
    ShapeError
        If the numbers of examples differ.
    OperandError
        If ``func`` returns something that is no tensor, or an argument with examples is none.
    TransformError
        If ``func`` branches on a value, or draws random numbers with ``randomness="error"``.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.arange(6.0).reshape(3, 2)
    >>> ad.func.vmap(lambda row: row @ row)(x)
    tensor([ 1., 13., 41.])
    """
    if not callable(func):
        raise OperandError(f"vmap: func is a {type(func).__name__}, {func!r:.60}; expected a function")
    if randomness not in ("error", "different", "same"):
        raise ArgumentError(f"vmap: randomness is {randomness!r}; expected 'error', 'different' or 'same'")
    if chunk_size is not None and (type(chunk_size) is not int or chunk_size < 1):
        raise ArgumentError(f"vmap: chunk_size is {chunk_size!r}; expected a positive integer or None")

    @wraps(func)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = flatten(args)
        if isinstance(in_dims, list):
            prefix: Any = tuple(in_dims)
        else:
            prefix = in_dims
        if type(prefix) is tuple and len(prefix) != len(args):
            raise ArgumentError(
                f"vmap: in_dims has {len(prefix)} entries, {prefix!r:.60}, for {len(args)} arguments; give one for "
                f"each, or one int for all"
            )
        dims = _checked(flatten_up_to(structure, prefix, "vmap: in_dims", "the arguments"), leaves)
        size = _size(dims, leaves)
        if chunk_size is None or chunk_size >= size:
            return _mapped(func, leaves, structure, dims, kwargs, size, out_dims, randomness)
        parts = []
        for start in range(0, size, chunk_size):
            stop = min(start + chunk_size, size)
            chunk = [
                x if d is None else x[(slice(None),) * d + (slice(start, stop),)]
                for x, d in zip(leaves, dims, strict=True)
            ]
            parts.append(flatten(_mapped(func, chunk, structure, dims, kwargs, stop - start, out_dims, randomness)))
        return _joined(parts, out_dims)

    return mapped


def _checked(dims: Sequence[Any], leaves: Sequence[Any]) -> list[int | None]:
    found: list[int | None] = []
    for dim, x in zip(dims, leaves, strict=True):
        if dim is None:
            found.append(None)
            continue
        if type(dim) is not int:
            raise ArgumentError(f"vmap: in_dims has {dim!r:.60}; expected an int, or None for what is the same for all")
        if not isinstance(x, Tensor):
            raise OperandError(
                f"vmap: in_dims has {dim} for {x!r:.60}, a {type(x).__name__}; expected a tensor. Write None in "
                f"in_dims for what is the same for all examples, or polyad.tensor(...) around it"
            )
        if not x.ndim:
            raise ShapeError(
                f"vmap: in_dims has {dim} for a tensor of no dimensions; write None for what is the same for all"
            )
        found.append(normalize_axis("vmap: in_dims", dim, x.ndim))
    return found


def _size(dims: Sequence[int | None], leaves: Sequence[Any]) -> int:
    """The number of examples."""
    sizes = {(i, x.shape[d]) for i, (x, d) in enumerate(zip(leaves, dims, strict=True)) if d is not None}
    if not sizes:
        raise ArgumentError("vmap: no argument has examples: in_dims is None for all of them; give one a dimension")
    lengths: set[int] = {n for _, n in sizes}
    if len(lengths) > 1:
        listed = "; ".join(
            f"tensor {i} of shape {x.shape} has {x.shape[d]} along dimension {d}"
            for i, (x, d) in enumerate(zip(leaves, dims, strict=True))
            if d is not None
        )
        raise ShapeError(f"vmap: arguments have different numbers of examples: {listed}")
    return lengths.pop()


def _mapped(
    func: Callable[..., Any],
    leaves: Sequence[Any],
    structure: Structure,
    dims: Sequence[int | None],
    kwargs: dict[str, Any],
    size: int,
    out_dims: Dims,
    randomness: str,
) -> Any:
    level = BatchLevel(size, randomness)
    leaves = [lifted(x) if isinstance(x, Tensor) else x for x in leaves]
    with entered(level):
        inside = []
        for x, d in zip(leaves, dims, strict=True):
            inside.append(_in(x, d, level) if isinstance(x, Tensor) else x)
        result = func(*unflatten(structure, inside), **kwargs)
        if result is None:
            raise OperandError("vmap: the function returned None; expected tensors. Is a return missing?")
        outs, made = flatten(result)
        wanted = flatten_up_to(
            made, tuple(out_dims) if isinstance(out_dims, list) else out_dims, "vmap: out_dims", "the result"
        )
        return unflatten(made, [_out(x, d, level) for x, d in zip(outs, wanted, strict=True)])


def _in(x: Tensor, dim: int | None, level: BatchLevel) -> Tensor:
    """Bring an argument into the level, with its examples in front."""
    if dim:
        x = FUNCTIONS["permute_dims"].call(x, (dim, *(i for i in range(x.ndim) if i != dim)))
    device = level.device(x._device)
    return wrap(Batched(device, x, dim is not None), device)


def _out(x: Any, dim: Any, level: BatchLevel) -> Any:
    """Bring one result of the function out of the level, with its examples along ``dim``."""
    if not isinstance(x, Tensor):
        raise OperandError(
            f"vmap: the function returned {x!r:.60}, a {type(x).__name__}; expected tensors. Return polyad.tensor(...) "
            f"of it, or leave it out"
        )
    if dim is None:
        dim_ = None
    elif type(dim) is not int:
        raise ArgumentError(f"vmap: out_dims has {dim!r:.60}; expected an int")
    else:
        dim_ = normalize_axis("vmap: out_dims", dim, x.ndim + 1)
    x = lifted(x)
    array: Any = raw(x)
    tensor: Tensor = array.tensor
    if dim_ is None:
        if array.batched:
            raise ArgumentError(
                "vmap: out_dims is None for a result that differs from example to example; give it a dimension"
            )
        return tensor
    if not array.batched:
        tensor = FUNCTIONS["broadcast_to"].call(tensor, (level.size, *tensor.shape))
        tensor = tensor.clone()
    if dim_:
        tensor = FUNCTIONS["permute_dims"].call(tensor, (*range(1, dim_ + 1), 0, *range(dim_ + 1, tensor.ndim)))
    return tensor


def _joined(parts: Sequence[tuple[list[Any], Structure]], out_dims: Dims) -> Any:
    """Put the results of chunks together."""
    made = parts[0][1]
    dims = flatten_up_to(
        made, tuple(out_dims) if isinstance(out_dims, list) else out_dims, "vmap: out_dims", "the result"
    )
    concat = FUNCTIONS["concat"].call
    columns = zip(*(leaves for leaves, _ in parts), strict=True)
    joined = [found[0] if d is None else concat(list(found), axis=d) for d, found in zip(dims, columns, strict=True)]
    return unflatten(made, joined)
