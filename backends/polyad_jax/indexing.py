"""Indexing kernels that are compiled once for each structure of a key, not for each number in it.

JAX compiles anew for every distinct constant, some 30 ms each, so ``x[i]`` in a loop must pass ``i`` as an operand.
A key is split into its *form*, which is compiled in, and its numbers, which are not.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from polyad.keys import ARRAY, Key, Slice
from polyad.ops.scatter import places

Form = tuple[Any, ...]
INT = "int"


@lru_cache(maxsize=4096)
def split(key: Key) -> tuple[Form, Any]:
    """A key's form, and the numbers that vary: positions, and starts of slices."""
    form: list[Any] = []
    numbers: list[int] = []
    for e in key:
        if type(e) is int:
            form.append(INT)
            numbers.append(e)
        elif type(e) is Slice:
            form.append((e.length, e.step))
            numbers.append(e.start)
        else:
            form.append(e)
    return tuple(form), np.array(numbers, np.int64)


def _window(form: Form, numbers: Any, shape: tuple[int, ...]) -> tuple[list[Any], list[int], list[Any]]:
    """Start and size of the block that a key without arrays touches, and the static slices inside it."""
    starts: list[Any] = []
    sizes: list[int] = []
    inside: list[Any] = []
    dim = 0
    for e in form:
        if e is None:
            continue
        number = numbers[dim]
        if e is INT:
            starts.append(number)
            sizes.append(1)
            inside.append(slice(None))
        else:
            length, step = e
            span = (length - 1) * abs(step) + 1 if length else 0
            starts.append(number if step > 0 else number - (span - 1 if span else 0))
            sizes.append(span)
            inside.append(slice(None, None, step) if length else slice(0, 0))
        dim += 1
    for n in shape[dim:]:
        starts.append(0)
        sizes.append(n)
        inside.append(slice(None))
    return starts, sizes, inside


def _shape(form: Form, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of what a key without arrays gives."""
    result: list[int] = []
    dim = 0
    for e in form:
        if e is None:
            result.append(1)
            continue
        if e is not INT:
            result.append(e[0])
        dim += 1
    return (*result, *shape[dim:])


@partial(jax.jit, static_argnames="form")
def _read(x: Any, numbers: Any, *, form: Form) -> Any:
    starts, sizes, inside = _window(form, numbers, x.shape)
    block = lax.dynamic_slice(x, starts, sizes) if x.ndim else x
    return block[tuple(inside)].reshape(_shape(form, x.shape))


@partial(jax.jit, static_argnames="form")
def _overwrite(x: Any, value: Any, numbers: Any, *, form: Form) -> Any:
    value = jnp.broadcast_to(jnp.asarray(value, x.dtype), _shape(form, x.shape))
    starts, sizes, inside = _window(form, numbers, x.shape)
    if not x.ndim or 0 in sizes:
        return value.reshape(x.shape) if not x.ndim else x
    block = lax.dynamic_slice(x, starts, sizes)
    new = block.at[tuple(inside)].set(value.reshape(block[tuple(inside)].shape))
    return lax.dynamic_update_slice(x, new, starts)


@partial(jax.jit, static_argnames="key")
def _gather(x: Any, arrays: tuple[Any, ...], numbers: Any, *, key: Key) -> Any:
    return x[_full(key, arrays, numbers)]


@partial(jax.jit, static_argnames="key")
def _scatter_set(x: Any, value: Any, arrays: tuple[Any, ...], numbers: Any, *, key: Key) -> Any:
    return x.at[_full(key, arrays, numbers)].set(value)


@partial(jax.jit, static_argnames=("key", "shape"))
def _scatter_add(g: Any, arrays: tuple[Any, ...], numbers: Any, *, key: Key, shape: tuple[int, ...]) -> Any:
    return jnp.zeros(shape, g.dtype).at[_full(key, arrays, numbers)].add(g)


@partial(jax.jit, static_argnames="key")
def _add(x: Any, source: Any, arrays: tuple[Any, ...], numbers: Any, *, key: Key) -> Any:
    return x.at[_full(key, arrays, numbers)].add(source)


def _full(key: Key, arrays: tuple[Any, ...], numbers: Any) -> tuple[Any, ...]:
    """A key with arrays as JAX takes it. Beside arrays slices stay constants; positions are operands."""
    rest, ints = iter(arrays), iter(numbers)
    return tuple(
        e.python() if type(e) is Slice else next(rest) if e is ARRAY else next(ints) if e is INT else e for e in key
    )


@lru_cache(maxsize=4096)
def _with_arrays(key: Key) -> tuple[Key, Any]:
    """Split the positions out of a key with arrays."""
    numbers = [e for e in key if type(e) is int]
    return tuple(INT if type(e) is int else e for e in key), np.array(numbers, np.int64)


def getitem(x: Any, *indices: Any, key: Key) -> Any:
    """Read at a key."""
    if indices:
        form, numbers = _with_arrays(key)
        return _gather(x, indices, numbers, key=form)
    form, numbers = split(key)
    return _read(x, numbers, form=form)


def setitem(x: Any, value: Any, *indices: Any, key: Key) -> Any:
    """A new array with the elements at a key replaced."""
    if indices:
        form, numbers = _with_arrays(key)
        return _scatter_set(x, value, indices, numbers, key=form)
    form, numbers = split(key)
    return _overwrite(x, value, numbers, form=form)


def index_scatter(g: Any, *indices: Any, key: Key, shape: tuple[int, ...]) -> Any:
    """Zeros with ``g`` added at a key."""
    if indices:
        form, numbers = _with_arrays(key)
        return _scatter_add(g, indices, numbers, key=form, shape=shape)
    form, numbers = split(key)
    return _overwrite(_zeros(shape, g.dtype), g, numbers, form=form)


def index_add(x: Any, source: Any, *indices: Any, key: Key) -> Any:
    """A new array with a source added at a key."""
    form, numbers = _with_arrays(key)
    return _add(x, source, indices, numbers, key=form)


@partial(jax.jit, static_argnums=(0, 1))
def _zeros(shape: tuple[int, ...], dtype: Any) -> Any:
    return jnp.zeros(shape, dtype)


_places = partial(places.function.body, jnp)


@partial(jax.jit, static_argnames=("axis", "largest", "include_self"))
def _extreme_along_axis(x: Any, source: Any, indices: Any, *, axis: int, largest: bool, include_self: bool) -> Any:
    at, source = _places(indices, axis=axis, shape=x.shape), source.reshape(-1)
    flat = x.reshape(-1) if include_self else x.reshape(-1).at[at].set(source)
    found = flat.at[at].max(source) if largest else flat.at[at].min(source)
    return found.reshape(x.shape)


@partial(jax.jit, static_argnames=("axis", "include_self"))
def _multiply_along_axis(x: Any, source: Any, indices: Any, *, axis: int, include_self: bool) -> Any:
    at = _places(indices, axis=axis, shape=x.shape)
    flat = x.reshape(-1) if include_self else x.reshape(-1).at[at].set(1)
    return flat.at[at].multiply(source.reshape(-1)).reshape(x.shape)


KERNELS = {
    "_extreme_along_axis": _extreme_along_axis,
    "_multiply_along_axis": _multiply_along_axis,
    "getitem": getitem,
    "slice_view": lambda x, *, key: getitem(x, key=key),
    "setitem": setitem,
    "_index_add": index_add,
    "index_scatter": index_scatter,
}
