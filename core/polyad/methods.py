"""What a Tensor can do: one table from operators and method names to functions.

A method is the function's call itself, so ``x.exp()`` costs what ``polyad.exp(x)`` costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from . import autograd
from .array_protocols import array_function, array_ufunc
from .dtypes import (
    bfloat16,
    bool as bool_,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from .errors import AutogradError
from .function import FUNCTIONS
from .graph import AccumulateGrad, Handle
from .namespace import array_namespace
from .operators import in_place, operator, power, reflected
from .ops import (
    arithmetic as a,
    bits,
    calculus,
    comparison,
    complex_parts,
    creation as c,
    diagonals,
    indexing as i,
    interchange,
    joining as j,
    manipulation as m,
    products as p,
    quantiles,
    random_writes,
    repetition,
    scatter,
    sets,
    sorting,
    statistics,
    transfer as t,
)
from .tensor import Tensor
from .views import node_of

__all__ = ["ALIASES", "IN_PLACE", "METHODS"]

NOT_METHODS: Final = frozenset(
    [
        *("getitem", "slice_view", "setitem", "index_scatter", "copy"),  # what brackets and copy_ do
        *("einsum", "einsum_pair"),  # which take subscripts first
        "where",  # PyTorch's method takes the condition second
        *("complex", "polar", "view_as_real", "view_as_complex"),  # functions in PyTorch, too
    ]
)
"""Functions of polyad that are no methods under their names."""

METHODS: Final[dict[str, Any]] = {
    **{
        name: made.call
        for name, made in FUNCTIONS.items()
        if made.inputs and not made.sequence and "." not in name and name[0] != "_" and name not in NOT_METHODS
    },
    **{name: getattr(m, name) for name in ("view", "flatten", "permute", "transpose", "expand")},
    **m.METHODS,
    **{name: getattr(m, name) for name in ("adjoint", "fliplr", "flipud", "moveaxis", "t", "unflatten")},
    **{
        name: getattr(j, name)
        for name in ("chunk", "dsplit", "hsplit", "narrow", "select", "tensor_split", "unstack", "vsplit")
    },
    **{name: getattr(c, name) for name in ("new_empty", "new_ones", "new_tensor", "new_zeros")},
    "fill_diagonal_": diagonals.fill_diagonal_,
    **{name: getattr(a, name) for name in ("add", "subtract", "power", "float_power")},
    **scatter.METHODS,
    **{name: getattr(sets, name) for name in ("bincount", "histc", "histogram", "unique")},
    **{name: getattr(sorting, name) for name in ("bucketize", "digitize")},
    "correlate": calculus.correlate,
    "mode": quantiles.mode,
    **{name: getattr(quantiles, name) for name in ("nanmedian", "nanpercentile", "nanquantile", "percentile")},
    **{name: getattr(statistics, name) for name in ("average", "corrcoef", "cov")},
    "allclose": comparison.allclose,
    "flip": m.flip_method,
    "reshape": m.reshape_method,
    "split": j.split_method,
    "tile": repetition.tile_method,
    **{name: getattr(t, name) for name in ("astype", "to", "to_device", "detach_", "cpu")},
    **{name: getattr(random_writes, name) for name in random_writes.__all__},
    **{name: getattr(t, name) for name in ("copy_", "fill_", "zero_", "contiguous", "is_contiguous")},
}
"""Every function of one array and more is a method too; and what only methods do."""

ALIASES: Final = {
    "mul": "multiply",
    "sub": "subtract",
    "div": "divide",
    "true_divide": "divide",
    "neg": "negative",
    "sgn": "sign",
    "mod": "remainder",
    "fix": "trunc",
    "around": "round",
    "rint": "round",
    "conjugate": "conj",
    "cumsum": "cumulative_sum",
    "cumprod": "cumulative_prod",
    "trapz": "trapezoid",
    "take_along_dim": "take_along_axis",
    "arccos": "acos",
    "arccosh": "acosh",
    "arcsin": "asin",
    "arcsinh": "asinh",
    "arctan": "atan",
    "arctan2": "atan2",
    "arctanh": "atanh",
    "radians": "deg2rad",
    "degrees": "rad2deg",
    "bitwise_not": "bitwise_invert",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "absolute": "abs",
    "pow": "power",
    "clamp": "clip",
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "mm": "matmul",
    "bmm": "matmul",
    "mv": "matmul",
    "dot": "matmul",
    "unsqueeze": "expand_dims",
    "amax": "max",
    "amin": "min",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "movedim": "moveaxis",
    "ravel": "flatten",
    "unbind": "unstack",
    "repeat_interleave": "repeat",
    "broadcast_tensors": "broadcast_arrays",
    "array_split": "tensor_split",
    "row_stack": "vstack",
    "cat": "concat",
    "concatenate": "concat",
    "as_tensor": "asarray",
}
"""PyTorch's and NumPy's spellings that clash with nothing in the standard: ``alias -> name``."""

IN_PLACE: Final = (
    *("add", "subtract", "multiply", "divide", "floor_divide", "remainder", "fmod", "power"),
    *("addcmul", "addcdiv", "lerp", "hypot", "copysign", "heaviside", "nextafter", "gcd", "lcm"),
    *("negative", "abs", "sign", "square", "sqrt", "rsqrt", "reciprocal"),
    *("ceil", "floor", "round", "trunc", "frac"),
    *("exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "xlogy"),
    *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinc", "deg2rad", "rad2deg"),
    *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
    *("clip", "fmax", "fmin", "masked_fill", "maximum", "minimum", "nan_to_num"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert", "bitwise_left_shift", "bitwise_right_shift"),
    *("logical_and", "logical_or", "logical_xor", "logical_not"),
)
"""Functions that also exist as methods which write into the tensor: ``add_``."""

_OPERATORS: Final = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "divide",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "power",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "bitwise_left_shift",
    "rshift": "bitwise_right_shift",
}
_COMPARISONS: Final = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Iterable[Any] | None = None,
) -> None:
    """Compute the gradient of this tensor with respect to the leaves it came from; add it to their ``grad``.

    Parameters
    ----------
    gradient : Tensor, optional
        The gradient of some scalar with respect to this tensor, of its shape. Implied 1 for a real tensor of one
        element.
    retain_graph, create_graph, inputs
        As for `polyad.autograd.backward`.

    Raises
    ------
    AutogradError
        If the tensor has no graph, it was freed, or a kept value was overwritten.
    ShapeError
        If ``gradient`` is missing or has another shape.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor(3.0, requires_grad=True)
    >>> (x * x).backward()
    >>> x.grad
    tensor(6.)
    """
    autograd.backward(self, None if gradient is None else (gradient,), retain_graph, create_graph, inputs=inputs)


def _converter(name: str, dtype: Any) -> Any:
    def convert(self: Tensor) -> Tensor:
        return t.astype(self, dtype, copy=False)

    convert.__name__ = convert.__qualname__ = name
    convert.__doc__ = f"Give the tensor as {dtype.name}: itself if it is. Keeps the graph."
    return convert


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """Give the tensor in another's type. Keeps the graph."""
    return t.astype(self, other.dtype, copy=False)


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> Handle:
    """Have ``hook(gradient)`` called by `backward` when this tensor's whole gradient is known.

    Parameters
    ----------
    hook : callable
        Gets the gradient. What it returns, if not None, takes its place.

    Returns
    -------
    Handle
        ``handle.remove()`` takes the hook away.

    Raises
    ------
    AutogradError
        If the tensor requires no gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor(3.0, requires_grad=True)
    >>> handle = x.register_hook(lambda g: g * 10)
    >>> (x * x).backward()
    >>> x.grad
    tensor(60.)
    """
    node = node_of(self)
    if node is None:
        raise AutogradError("register_hook: the tensor does not require a gradient, so the hook would never be called")
    return node.add_hook(hook)  # type: ignore[no-any-return]


def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> Handle:
    """Have ``hook(tensor)`` called by `backward` once this leaf's ``grad`` has what was added to it.

    That is as soon as nothing more of the gradient can come, while `backward` has yet to go through what was recorded
    before. So a hook that takes the optimizer's step and drops the gradient keeps the gradients of all parameters from
    being in memory at once (see the example). Leaves without such hooks get their gradients at the end.

    If `backward` fails later, what hooks did stays done. It fails where a hook overwrote what is still needed, such as
    values that share the leaf's memory by `detach`. A function under `polyad.utils.checkpoint` that runs again after a
    hook wrote to the leaf reads what was written.

    Parameters
    ----------
    hook : callable
        Gets the leaf, and returns None. It may change or drop the leaf's ``grad``, and write to the leaf. It is called
        with recording off, once in each pass that brings the leaf a gradient; not by `autograd.grad`.

    Returns
    -------
    Handle
        ``handle.remove()`` takes the hook away.

    Raises
    ------
    AutogradError
        If the tensor is no leaf, or requires no gradient.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor(3.0, requires_grad=True)
    >>> handle = x.register_post_accumulate_grad_hook(lambda leaf: print(leaf.grad))
    >>> (x * x).backward()
    tensor(6.)

    The optimizer's step in the backward pass, with an optimizer for each parameter:

    >>> weights = [ad.full((2, 2), float(i), requires_grad=True) for i in (1, 2)]
    >>> optimizers = {w: ad.optim.SGD([w], lr=0.1) for w in weights}
    >>> def step(w):
    ...     optimizers[w].step()
    ...     w.grad = None
    >>> for w in weights:
    ...     handle = w.register_post_accumulate_grad_hook(step)
    >>> (ad.ones(2) @ weights[0] @ weights[1]).sum().backward()
    >>> weights[1]
    tensor([[1.8000, 1.8000],
            [1.8000, 1.8000]], requires_grad=True)
    """
    node = node_of(self)
    if type(node) is not AccumulateGrad:
        raise AutogradError(
            "register_post_accumulate_grad_hook: only leaf tensors that require gradients accumulate them; "
            + ("call requires_grad_() first" if node is None else f"this one is the result of {node.name()}")
        )
    return node.add_hook(hook, "post")


def _bind(name: str, call: Any) -> None:
    setattr(Tensor, name, call)


for _name, _call in METHODS.items():
    _bind(_name, _call)
for _alias, _name in ALIASES.items():
    if _name in METHODS:
        _bind(_alias, METHODS[_name])
for _name in IN_PLACE:
    _record = METHODS[_name].function
    _bind(f"{_name}_", in_place(_record, f"{_name}_", METHODS[_name]))
    for _alias, _target in ALIASES.items():
        if _target == _name:
            _bind(f"{_alias}_", getattr(Tensor, f"{_name}_"))
for _symbol, _name in _OPERATORS.items():
    _record = METHODS[_name].function
    _bind(f"__{_symbol}__", operator(_record))
    _bind(f"__r{_symbol}__", reflected(_record))
    _bind(f"__i{_symbol}__", getattr(Tensor, f"{_name}_"))
for _symbol, _name in _COMPARISONS.items():
    _bind(f"__{_symbol}__", operator(METHODS[_name].function))
_bind("__pow__", power(a.power.function))
_bind("__matmul__", operator(p.matmul.function))
_bind("__rmatmul__", reflected(p.matmul.function))
_bind("__imatmul__", in_place(p.matmul.function, "__imatmul__"))
_bind("__neg__", a.negative)
_bind("__pos__", a.positive)
_bind("__abs__", a.abs_)
_bind("__invert__", bits.bitwise_invert)
_bind("__getitem__", i.getitem)
_bind("__setitem__", i.setitem)
_bind("T", property(m.reversed_dims, doc=m.reversed_dims.__doc__))
_bind("mT", property(m.matrix_transpose, doc=m.matrix_transpose.__doc__))
_bind("mH", property(m.adjoint, doc=m.adjoint.__doc__))
_bind("H", property(m.hermitian, doc=m.hermitian.__doc__))
_bind("real", property(complex_parts.real, complex_parts.set_real, doc=complex_parts.real.__doc__))
_bind("imag", property(complex_parts.imag, complex_parts.set_imag, doc=complex_parts.imag.__doc__))
for _name, _dtype in {
    "float": float32,
    "double": float64,
    "half": float16,
    "bfloat16": bfloat16,
    "byte": uint8,
    "char": int8,
    "short": int16,
    "long": int64,
    "int": int32,
    "bool": bool_,
    "cfloat": complex64,
    "cdouble": complex128,
}.items():
    _bind(_name, _converter(_name, _dtype))
_bind("__array_namespace__", array_namespace)
_bind("__array_ufunc__", array_ufunc)
_bind("__array_function__", array_function)
_bind("__dlpack__", interchange.dlpack)
_bind("__dlpack_device__", interchange.dlpack_device)
_bind("type_as", type_as)
_bind("backward", backward)
_bind("register_hook", register_hook)
_bind("register_post_accumulate_grad_hook", register_post_accumulate_grad_hook)
