"""Functions of neural networks, as in ``torch.nn.functional``.

Each is a record with rules, written once in the array API: on raw arrays it is the kernel of every backend, on
tensors it is its own higher derivative.
"""

from __future__ import annotations

import inspect
import math
from typing import Any, Final

import polyad as ad
from polyad.batching import along, in_front
from polyad.errors import ArgumentError, DTypeError, IndexOutOfRangeError, OperandError, ShapeError
from polyad.levels import values_of

__all__ = [
    "relu",
    "sigmoid",
    "softmax",
    "log_softmax",
    "cross_entropy",
    "mse_loss",
    "linear",
    "dropout",
    "pad",
]

Shape = tuple[int, ...]

# Activations ------------------------------------------------------------------------------------------------


@ad.function(
    name="nn._where_positive",
    elementwise=True,
    takes="real floating",
    x=lambda g, xp, gate: xp.nn._where_positive(g, gate),
    gate=lambda g, xp: xp.zeros_like(g),
    samples=[
        ad.Sample((3, 4), (3, 4)),
        ad.Sample([math.inf, 2.0, math.nan, 3.0], [0.0, 1.0, -1.0, math.nan], name="0 of infinity", grad=False),
        ad.Sample((100, 50), (100, 50), name="larger", grad=False),
        ad.Sample((2, 0), (2, 0)),
        ad.Sample((), ()),
        ad.Fails([1j], [1.0], error=DTypeError, match=r"nn\._where_positive takes real floating arrays; got complex"),
    ],
)
def _where_positive(xp: ad.XP, x: ad.Tensor, gate: ad.Tensor, /) -> ad.Tensor:
    """``x`` where ``gate`` is positive, else 0: the gradient of `relu`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.FUNCTIONS["nn._where_positive"].call(ad.tensor([5.0, 6.0]), ad.tensor([1.0, 0.0]))
    tensor([5., 0.])
    """
    return xp.where(gate > 0, x, 0)  # type: ignore[no-any-return, operator]


@ad.function(
    name="nn.relu",
    elementwise=True,
    takes="real",
    x=lambda g, xp, out: xp.nn._where_positive(g, out),
    samples=[
        ad.Sample((3, 4), domain=(0.5, 2.0)),
        ad.Sample([[-1.5, 2.0], [0.5, -0.5]], name="both signs"),
        ad.Sample([0.0, -0.0], name="at 0", grad=False),
        ad.Sample((2, 0)),
        ad.Fails([1j], error=DTypeError, match=r"nn\.relu takes real arrays; got complex"),
    ],
)
def relu(xp: ad.XP, x: ad.Tensor, /) -> ad.Tensor:
    """Rectified linear unit: each element, or 0 if it is negative. Its derivative at 0 is taken as 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nn.functional.relu(ad.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return xp.maximum(x, 0)  # type: ignore[no-any-return]


@ad.function(
    name="nn.sigmoid",
    elementwise=True,
    takes="real floating",
    x=lambda g, out: (1 - out) * out * g,  # one array of memory: NumPy goes on in what nobody else holds
    samples=[
        ad.Sample((3, 4)),
        ad.Sample((), domain=(-5.0, 5.0)),
        ad.Sample((2, 0)),
        ad.Sample([-1e4, -20.0, 0.0, 20.0, 1e4], name="far out", grad=False),
        ad.Fails([1j], error=DTypeError, match=r"nn\.sigmoid takes real floating arrays; got complex"),
    ],
)
def sigmoid(xp: ad.XP, x: ad.Tensor, /) -> ad.Tensor:
    """Logistic function ``1 / (1 + exp(-x))``, accurate at both ends.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nn.functional.sigmoid(ad.tensor([-1e4, 0.0, 1e4]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    z = xp.exp(-xp.abs(x))  # at most 1, so neither side overflows
    return xp.where(x >= 0, 1, z) / (1 + z)  # type: ignore[no-any-return]


def _along(name: str) -> Any:
    """Make the check of a function along one axis."""

    def check(shape: Shape, *, axis: Any = -1) -> dict[str, Any]:
        if type(axis) is not int:
            raise OperandError(f"{name}: axis must be one integer; got {axis!r}")
        ndim = len(shape)
        if not -ndim <= axis < ndim:
            valid = f"-{ndim} to {ndim - 1}" if ndim else "none, since the tensor is 0-d"
            raise IndexOutOfRangeError(f"{name}: axis {axis} is out of range for shape {shape}; valid: {valid}")
        return {"axis": axis % ndim}

    return check


def _softmax_samples(name: str) -> list[ad.Sample]:
    return [
        ad.Sample((3, 4)),
        ad.Sample((3, 4), axis=0),
        ad.Sample((2, 3, 4), axis=1),
        ad.Sample((4,)),
        ad.Sample((2, 0), name="of nothing"),
        ad.Sample((0, 3)),
        ad.Sample([[1e4, 0.0], [-1e4, -1e4]], name="far apart", grad=False),
        ad.Sample([[-math.inf, 0.0]], name="masked", grad=False),
        ad.Fails((2, 3), axis=2, error=IndexOutOfRangeError, match=r"axis 2 is out of range.*-2 to 1"),
        ad.Fails((2, 3), axis=(0, 1), error=OperandError, match="axis must be one integer"),
        ad.Fails([1j], error=DTypeError, match=rf"{name} takes real floating arrays; got complex"),
    ]


def _softmax_rule(g: Any, xp: Any, out: Any, axis: int) -> Any:
    if axis == len(out.shape) - 1:  # a product of rows, without an array of the terms
        return (g - xp.vecdot(g, out, axis=-1)[..., None]) * out
    return (g - xp.sum(g * out, axis=axis, keepdims=True)) * out


def _softmax_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: int) -> Any:
    return _softmax_rule(tangents[0], xp, out, axis)  # its Jacobian is symmetric


@ad.function(
    name="nn.softmax",
    takes="real floating",
    check=_along("nn.softmax"),
    batching=along("axis"),
    jvp=_softmax_jvp,
    x=_softmax_rule,
    samples=_softmax_samples(r"nn\.softmax"),
)
def softmax(xp: ad.XP, x: ad.Tensor, /, *, axis: int = -1) -> ad.Tensor:
    """Exponentials divided by their sum along an axis: probabilities from logits.

    ``dim`` is accepted for ``axis``. Logits of any size are taken; ``-inf`` has probability 0.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nn.functional.softmax(ad.tensor([[1.0, 1.0], [0.0, 1e4]]), dim=1)
    tensor([[0.5000, 0.5000],
            [0.0000, 1.0000]])
    """
    if not x.shape[axis]:
        return xp.zeros_like(x)  # type: ignore[no-any-return]
    z = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return z / xp.sum(z, axis=axis, keepdims=True)  # type: ignore[no-any-return]


def _log_softmax_jvp(xp: Any, tangents: Any, out: Any, x: Any, *, axis: int) -> Any:
    (t,) = tangents
    return t - xp.sum(xp.exp(out) * t, axis=axis, keepdims=True)


@ad.function(
    name="nn.log_softmax",
    takes="real floating",
    check=_along("nn.log_softmax"),
    batching=along("axis"),
    jvp=_log_softmax_jvp,
    x=lambda g, xp, out, axis: xp.exp(out) * -xp.sum(g, axis=axis, keepdims=True) + g,
    samples=_softmax_samples(r"nn\.log_softmax"),
)
def log_softmax(xp: ad.XP, x: ad.Tensor, /, *, axis: int = -1) -> ad.Tensor:
    """Logarithm of `softmax`, computed without leaving the range of the type.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nn.functional.log_softmax(ad.tensor([0.0, 1e4]))
    tensor([-10000.,      0.])
    """
    if not x.shape[axis]:
        return xp.zeros_like(x)  # type: ignore[no-any-return]
    z = x - xp.max(x, axis=axis, keepdims=True)
    return z - xp.log(xp.sum(xp.exp(z), axis=axis, keepdims=True))  # type: ignore[no-any-return]


# Losses -----------------------------------------------------------------------------------------------------

_REDUCTIONS: Final = ("mean", "sum", "none")


def _reduction(name: str, reduction: Any) -> str:
    if reduction not in _REDUCTIONS:
        raise ArgumentError(f"{name}: reduction must be 'mean', 'sum' or 'none'; got {reduction!r}")
    return reduction  # type: ignore[no-any-return]


def _mse_check(x: Shape, target: Shape, *, reduction: Any = "mean") -> dict[str, Any]:
    if x != target:
        raise ShapeError(
            f"mse_loss: input and target must have one shape; got {x} and {target}. "
            f"Write target.reshape(input.shape), or target.expand(input.shape) if it is to be repeated"
        )
    return {"reduction": _reduction("mse_loss", reduction)}


def _mse_rule(g: Any, input: Any, target: Any, reduction: str) -> Any:
    n = math.prod(input.shape) if reduction == "mean" else 1
    return (g * (2 / n if n else math.nan)) * (input - target)


def _mse_jvp(xp: Any, tangents: Any, out: Any, input: Any, target: Any, *, reduction: str) -> Any:
    t, other = tangents
    moved = (-other if t is None else t if other is None else t - other) * (input - target)
    return 2 * (moved if reduction == "none" else xp.mean(moved) if reduction == "mean" else xp.sum(moved))


def _mse_batched(made: Any, size: int, arrays: Any, batched: Any, params: dict[str, Any]) -> Any:
    x, target = (in_front(a, size, b) for a, b in zip(arrays, batched, strict=True))
    return _per_example(made.call(x, target, reduction="none"), params["reduction"])


def _per_example(losses: ad.Tensor, reduction: str) -> ad.Tensor:
    """Reduce the losses of many examples, each for itself."""
    axes = tuple(range(1, losses.ndim))
    if reduction == "none" or not axes:
        return losses
    return ad.mean(losses, axis=axes) if reduction == "mean" else ad.sum(losses, axis=axes)


@ad.function(
    name="nn.mse_loss",
    takes="real floating",
    check=_mse_check,
    batching=_mse_batched,
    jvp=_mse_jvp,
    input=_mse_rule,
    target=lambda g, input, target, reduction: _mse_rule(g, target, input, reduction),
    samples=[
        ad.Sample((3, 4), (3, 4)),
        ad.Sample((3, 4), (3, 4), reduction="sum"),
        ad.Sample((3,), (3,), reduction="none"),
        ad.Sample((), ()),
        ad.Fails((3, 1), (3,), error=ShapeError, match=r"one shape; got \(3, 1\) and \(3,\).*reshape"),
        ad.Fails((3,), (3,), reduction="max", error=ArgumentError, match="'mean', 'sum' or 'none'; got 'max'"),
    ],
)
def _mse_loss(xp: ad.XP, input: ad.Tensor, target: ad.Tensor, /, *, reduction: str = "mean") -> ad.Tensor:
    """Squared differences of two tensors of one shape, averaged, summed or each for itself."""
    difference = input - target
    squares = difference * difference
    return squares if reduction == "none" else xp.mean(squares) if reduction == "mean" else xp.sum(squares)


def mse_loss(input: ad.Tensor, target: ad.Tensor, reduction: str = "mean") -> ad.Tensor:
    """Squared differences of two tensors of one shape, averaged, summed or each for itself.

    Parameters
    ----------
    input, target : Tensor
        Of one shape: broadcasting a loss is nearly always a mistake, so it has to be written out.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        0-d, or of the inputs' shape for ``"none"``.

    Raises
    ------
    ShapeError
        If the shapes differ.
    ArgumentError
        If there is no such reduction.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nn.functional.mse_loss(ad.tensor([1.0, 2.0]), ad.tensor([1.0, 4.0]))
    tensor(2.)
    """
    return _mse_loss(input, target, reduction=reduction)


def _cross_entropy_check(
    input: Shape,
    target: Shape,
    weight: Shape | None,
    *,
    ignore_index: int | None = -100,
    reduction: Any = "mean",
    label_smoothing: Any = 0.0,
) -> dict[str, Any]:
    if not input:
        raise ShapeError("cross_entropy: input has shape (); expected logits of shape (N, C), (C,) or (N, C, ...)")
    indices = _without_classes(input)
    classes = input[_class_axis(input)]
    if not classes:
        raise ShapeError(f"cross_entropy: input of shape {input} has no classes")
    if target not in (indices, input):
        raise ShapeError(
            f"cross_entropy: target has shape {target}, input {input}; expected {indices} for class indices, or "
            f"{input} for class probabilities"
        )
    if weight is not None and weight != (classes,):
        raise ShapeError(f"cross_entropy: weight has shape {weight}; expected ({classes},), one for each class")
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"cross_entropy: label_smoothing must be between 0 and 1; got {label_smoothing!r}")
    return {
        "ignore_index": ignore_index,
        "reduction": _reduction("cross_entropy", reduction),
        "label_smoothing": float(label_smoothing),
    }


def _class_axis(shape: Shape) -> int:
    return 1 if len(shape) > 1 else 0


def _without_classes(shape: Shape) -> Shape:
    axis = _class_axis(shape)
    return shape[:axis] + shape[axis + 1 :]


def _along_classes(xp: Any, values: Any, shape: Shape) -> Any:
    """One value a class, shaped to broadcast against logits of ``shape``."""
    return values if values is None or len(shape) <= 2 else xp.reshape(values, (shape[1],) + (1,) * (len(shape) - 2))


def _beside_classes(xp: Any, values: Any, shape: Shape) -> Any:
    """One value a sample, shaped to broadcast against logits of ``shape``."""
    axis = _class_axis(shape)
    return xp.reshape(values, (*shape[:axis], 1, *shape[axis + 1 :]))


def _is_class(xp: Any, input: Any, target: Any) -> Any:
    """Where in the logits each sample's class stands."""
    n = input.shape[_class_axis(input.shape)]
    if isinstance(input, ad.Tensor):
        classes: Any = ad.arange(n, dtype=target.dtype, device=input.device)
    else:
        classes = xp.arange(start=0, stop=n, step=1, dtype=target.dtype)
    return _along_classes(xp, classes, input.shape) == _beside_classes(xp, target, input.shape)


def _one_hot(xp: Any, input: Any, target: Any, ignore_index: int | None) -> Any:
    """1 at each sample's class, else 0; all 0 where the target is to be ignored."""
    hot = xp.astype(_is_class(xp, input, target), input.dtype)
    if ignore_index is None:  # every target is known to be one of the classes
        return hot
    index = _beside_classes(xp, target, input.shape)
    # A wrong index on a device that cannot be asked must not pass for a loss of 0
    known = ((index >= 0) & (index < input.shape[_class_axis(input.shape)])) | (index == ignore_index)
    return xp.where(known, xp.where(index != ignore_index, hot, 0), math.nan)


def _targets(xp: Any, input: Any, target: Any, ignore_index: int | None, label_smoothing: float) -> tuple[Any, Any]:
    """What each log-probability counts in the loss, and what it adds to the divisor of the mean, before weights.

    The second is None where each sample counts one.
    """
    shape = input.shape
    uniform = label_smoothing / shape[_class_axis(shape)]
    if target.shape == shape:
        return (target * (1 - label_smoothing) + uniform if label_smoothing else target), None
    hot = _one_hot(xp, input, target, ignore_index)
    if not label_smoothing:
        return hot, hot
    share = hot * (1 - label_smoothing) + uniform
    if ignore_index is not None:
        share = xp.where(_beside_classes(xp, target, shape) != ignore_index, share, 0)
    return share, hot


def _total(xp: Any, shape: Shape, counts: Any, weights: Any, ignore_index: int | None) -> Any:
    """What the mean divides by; NaN for nothing, since the mean of nothing is none."""
    if counts is None or (weights is None and ignore_index is None):
        return math.prod(_without_classes(shape)) or math.nan
    total = xp.sum(counts if weights is None else counts * weights)
    return xp.where(total == 0, math.nan, total)


def _cross_entropy_input(
    g: Any,
    xp: Any,
    input: Any,
    target: Any,
    weight: Any,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """Softmax minus one-hot, in the usual case."""
    shape, weights = input.shape, _along_classes(xp, weight, input.shape)
    axis = _class_axis(shape)
    share, counts = _targets(xp, input, target, ignore_index, label_smoothing)
    if weights is not None:
        share = share * weights
    if reduction == "none":
        g = _beside_classes(xp, g, shape)
    elif reduction == "mean":
        g = g / _total(xp, shape, counts, weights, ignore_index)
    # each in one expression, so that NumPy computes it in the memory of the softmax
    if counts is None or weights is not None or ignore_index is not None:
        return (xp.nn.softmax(input, axis=axis) * xp.sum(share, axis=axis, keepdims=True) - share) * g
    return (xp.nn.softmax(input, axis=axis) - share) * g  # each sample's shares sum to 1


def _cross_entropy_target(g: Any, xp: Any, input: Any, weight: Any, reduction: str, label_smoothing: float) -> Any:
    """With respect to class probabilities; class indices have no gradient."""
    shape, weights = input.shape, _along_classes(xp, weight, input.shape)
    loss = xp.nn.log_softmax(input, axis=_class_axis(shape)) * (label_smoothing - 1)
    if weights is not None:
        loss = loss * weights
    if reduction == "none":
        g = _beside_classes(xp, g, shape)
    elif reduction == "mean":
        g = g / _total(xp, shape, None, None, None)
    return g * loss


def _cross_entropy_weight(
    g: Any,
    xp: Any,
    input: Any,
    target: Any,
    weight: Any,
    out: Any,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """What each class's weight counts, over all samples."""
    axis = _class_axis(input.shape)
    losses = _weight_losses(g, xp, input, target, weight, out, ignore_index, reduction, label_smoothing)
    return xp.sum(losses, axis=tuple(i for i in range(len(input.shape)) if i != axis))


def _weight_losses(
    g: Any,
    xp: Any,
    input: Any,
    target: Any,
    weight: Any,
    out: Any,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """Each class's part of the loss; less, in a mean of indices, what its weight adds to the divisor."""
    shape, axis = input.shape, _class_axis(input.shape)
    share, counts = _targets(xp, input, target, ignore_index, label_smoothing)
    losses = -_terms(xp, share, xp.nn.log_softmax(input, axis=axis))
    if reduction == "none":
        g = _beside_classes(xp, g, shape)
    elif reduction == "mean":
        g = g / _total(xp, shape, counts, _along_classes(xp, weight, shape), ignore_index)
        losses = losses if counts is None else losses - out * counts
    return g * losses


def _terms(xp: Any, share: Any, logs: Any) -> Any:
    """Product in which a class of probability 0 that is not wanted costs nothing."""
    return share * xp.where(share != 0, logs, 0)


def _cross_entropy_jvp(
    xp: Any,
    tangents: Any,
    out: Any,
    input: Any,
    target: Any,
    weight: Any,
    *,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """The sum of the products of gradients, of each sample's loss or of the one, with tangents."""
    one = xp.ones_like(out)
    options = {"ignore_index": ignore_index, "reduction": reduction, "label_smoothing": label_smoothing}
    axis = _class_axis(input.shape)
    over = axis if reduction == "none" else tuple(range(len(input.shape)))
    moved: Any = 0
    if tangents[0] is not None:
        moved = xp.sum(tangents[0] * _cross_entropy_input(one, xp, input, target, weight, **options), axis=over)
    if tangents[1] is not None:
        rate = _cross_entropy_target(one, xp, input, weight, reduction, label_smoothing)
        moved = moved + xp.sum(tangents[1] * rate, axis=over)
    if tangents[2] is not None:
        rate = _weight_losses(one, xp, input, target, weight, out, **options)
        moved = moved + xp.sum(_along_classes(xp, tangents[2], input.shape) * rate, axis=over)
    return moved


def _cross_entropy_batched(made: Any, size: int, arrays: Any, batched: Any, params: dict[str, Any]) -> Any:
    """All examples' samples as those of one call."""
    if batched[2]:
        return NotImplemented  # each example weighs classes in its own way
    input, target, weight = (
        in_front(a, size, b) if i < 2 else a for i, (a, b) in enumerate(zip(arrays, batched, strict=True))
    )
    shape = input.shape[1:]
    indices, ignored = input.ndim != target.ndim, params["ignore_index"]
    if len(shape) > 1:
        input, target = (ad.reshape(x, (size * shape[0], *x.shape[2:])) for x in (input, target))
    options = {"ignore_index": ignored, "label_smoothing": params["label_smoothing"]}
    losses = made.call(input, target, weight, reduction="none", **options)
    counts = None
    if params["reduction"] == "mean" and indices and (weight is not None or ignored is not None):
        valid = target != ignored
        counts = (
            valid.astype(losses.dtype) if weight is None else ad.where(valid, weight[ad.where(valid, target, 0)], 0)
        )
    if len(shape) > 1:
        losses, counts = (x if x is None else ad.reshape(x, (size, shape[0], *x.shape[1:])) for x in (losses, counts))
    if counts is None:
        return _per_example(losses, params["reduction"])
    total = _per_example(counts, "sum")
    return _per_example(losses, "sum") / ad.where(total == 0, math.nan, total)


@ad.function(
    name="nn.cross_entropy",
    takes="real floating",
    promotes=(0, 2),
    check=_cross_entropy_check,
    batching=_cross_entropy_batched,
    jvp=_cross_entropy_jvp,
    input=_cross_entropy_input,
    target=_cross_entropy_target,
    weight=_cross_entropy_weight,
    samples=[
        ad.Sample((4, 3), [0, 2, 1, 1]),
        ad.Sample((4, 3), [0, 2, 1, 1], reduction="none"),
        ad.Sample((4, 3), [0, 2, 1, 1], reduction="sum", label_smoothing=0.2),
        ad.Sample((4, 3), [0, -100, 1, 1], [0.5, 1.0, 2.0], name="weighted, one ignored"),
        ad.Sample((4, 3), [0, 0, 1, 1], ignore_index=0, label_smoothing=0.1, name="a class ignored"),
        ad.Sample(
            (4, 3), [0, -100, 1, 1], [0.5, 1.0, 2.0], reduction="none", label_smoothing=0.1, name="none, weighted"
        ),
        ad.Sample((4, 3), (4, 3), [0.5, 1.0, 2.0], domain=(0.1, 1.0), name="class probabilities"),
        ad.Sample((4, 3), (4, 3), reduction="none", label_smoothing=0.1, name="smoothed probabilities"),
        ad.Sample((3,), [0.2, 0.3, 0.5], name="one sample"),
        ad.Sample((2, 3, 2), [[0, 2], [1, 1]], name="positions"),
        ad.Fails((4, 3), [0, 1], error=ShapeError, match=r"target has shape \(2,\), input \(4, 3\); expected \(4,\)"),
        ad.Fails((2, 3), [0, 3], error=IndexOutOfRangeError, match="class 3 .* 0 to 2"),
    ],
)
def _cross_entropy(
    xp: ad.XP,
    input: ad.Tensor,
    target: ad.Tensor,
    weight: ad.Tensor | None = None,
    /,
    *,
    ignore_index: int | None = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> ad.Tensor:
    """Negative log-probability that logits give to the right class; see `cross_entropy`."""
    shape, weights = input.shape, _along_classes(xp, weight, input.shape)
    axis = _class_axis(shape)
    logs, counts = xp.nn.log_softmax(input, axis=axis), None
    if target.shape != shape and weights is None and ignore_index is None and not label_smoothing:
        # the usual case: one class each, to be taken whole
        terms = xp.take_along_axis(logs, _beside_classes(xp, target, shape), axis=axis)
    else:
        share, counts = _targets(xp, input, target, ignore_index, label_smoothing)
        terms = _terms(xp, share if weights is None else share * weights, logs)
    if reduction == "none":
        return -xp.sum(terms, axis=axis)  # type: ignore[no-any-return]
    loss = -xp.sum(terms)
    return loss / _total(xp, shape, counts, weights, ignore_index) if reduction == "mean" else loss  # type: ignore[no-any-return]


def cross_entropy(
    input: ad.Tensor,
    target: ad.Tensor,
    weight: ad.Tensor | None = None,
    *,
    ignore_index: int | None = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> ad.Tensor:
    """Negative log-probability that logits give to the right class.

    Parameters
    ----------
    input : Tensor
        Logits of shape ``(N, C)``, ``(C,)`` or ``(N, C, d1, ...)``, of any size; ``-inf`` has probability 0.
    target : Tensor
        Class indices, integers of ``input``'s shape without ``C``; or class probabilities, of ``input``'s shape.
    weight : Tensor, optional
        Of shape ``(C,)``: what each class counts.
    ignore_index : int, optional
        Targets of this value count nothing; None if all are known to be classes. Not for probabilities.
    reduction : {"mean", "sum", "none"}
        The mean of class indices divides by the sum of the weights of the targets.
    label_smoothing : float
        The part of the target, from 0 to 1, that is spread evenly over the classes.

    Returns
    -------
    Tensor
        0-d, or of ``input``'s shape without ``C`` for ``"none"``.

    Raises
    ------
    ShapeError
        If ``target`` or ``weight`` does not fit ``input``.
    DTypeError
        If class indices are not integers.
    IndexOutOfRangeError
        If a class index is out of range. On GPUs, where asking would mean waiting, the loss is NaN instead.
    ArgumentError
        If there is no such reduction, or ``label_smoothing`` is outside 0 to 1.

    Examples
    --------
    >>> import polyad as ad
    >>> logits = ad.tensor([[0.0, 0.0], [1e4, 0.0]], requires_grad=True)
    >>> loss = ad.nn.functional.cross_entropy(logits, ad.tensor([0, 0]))
    >>> loss
    tensor(0.3466, grad_fn=<CrossEntropyBackward>)
    """
    if not isinstance(input, ad.Tensor) or not isinstance(target, ad.Tensor):
        name, wrong = ("target", target) if isinstance(input, ad.Tensor) else ("input", input)
        raise OperandError(
            f"cross_entropy: {name} must be a tensor; got {type(wrong).__name__}; write polyad.tensor(...) around it"
        )
    shape = input.shape
    unseen = ignore_index
    if shape and target.shape == shape:
        if not target.is_floating_point():
            raise DTypeError(
                f"cross_entropy: a target of input's shape {shape} holds class probabilities, of a real floating-point "
                f"type; got {target.dtype.name}; class indices have shape {_without_classes(shape)}"
            )
        if target.dtype is not input.dtype and input.is_floating_point():
            target = target.astype(input.dtype)
    elif "integer" not in target.dtype.kind:
        raise DTypeError(
            f"cross_entropy: class indices must be integers; got {target.dtype.name} of shape {target.shape}; "
            f"write target.long(). Class probabilities have input's shape {shape}"
        )
    else:
        if target.dtype is not ad.int64:
            target = target.long()  # a smaller type need not hold the number of classes
        if (
            ignore_index is not None
            and shape
            and math.prod(shape)
            and _in_range(target, shape[_class_axis(shape)], ignore_index)
        ):
            unseen = None
    return _cross_entropy(
        input,
        target,
        weight,
        ignore_index=unseen,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def _in_range(target: ad.Tensor, classes: int, ignore_index: int) -> bool:
    """Whether all targets are known to be classes, with none ignored.

    Raises
    ------
    IndexOutOfRangeError
        If one is known to be neither.
    """
    target = values_of(target)
    backend, array = target.backend, target.array
    if target.device.type != "cpu" or backend.is_traced(array) or not target.numel():
        return False
    host = backend.to_host(array)
    high = host.view("uint64").max()  # where negative numbers are the largest, so that one pass tells
    if high >= classes:
        counted = host[host != ignore_index]
        wrong = counted[(counted < 0) | (counted >= classes)]
        if wrong.size:
            raise IndexOutOfRangeError(
                f"cross_entropy: target has class {wrong[0]} among {classes} classes; valid are 0 to {classes - 1}, "
                f"and ignore_index, {ignore_index}"
            )
        return False
    return not 0 <= ignore_index < classes


# Layers -----------------------------------------------------------------------------------------------------


def _linear_check(x: Shape, weight: Shape, bias: Shape | None) -> dict[str, Any]:
    if len(weight) != 2:
        raise ShapeError(f"linear: weight has shape {weight}; expected 2 dimensions, (out_features, in_features)")
    if not x or x[-1] != weight[1]:
        raise ShapeError(
            f"linear: input of shape {x} does not fit weight of shape {weight}: its last dimension must have "
            f"in_features = {weight[1]} elements" + ("; is the weight transposed?" if x and x[-1] == weight[0] else "")
        )
    if bias is not None and bias != weight[:1]:
        raise ShapeError(f"linear: bias has shape {bias}; expected {weight[:1]}, one for each row of weight {weight}")
    return {}


def _flat(xp: Any, x: Any) -> Any:
    """All dimensions but the last as one."""
    return x if len(x.shape) == 2 else xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _linear_jvp(xp: Any, tangents: Any, out: Any, input: Any, weight: Any, bias: Any) -> Any:
    moved_input, moved_weight, moved = tangents
    if moved_weight is not None:
        moved = xp.nn.linear(input, moved_weight, moved)
    if moved_input is None:
        return moved
    return (
        xp.nn.linear(moved_input, weight, moved) if moved_weight is None else moved + xp.nn.linear(moved_input, weight)
    )


def _linear_batched(made: Any, size: int, arrays: Any, batched: Any, params: dict[str, Any]) -> Any:
    """One product for all examples, unless each has weights of its own: then a stack of them."""
    x, weight, bias = arrays
    if not batched[1] and not batched[2]:
        return made.call(x, weight, bias)
    if not batched[1]:
        product = made.call(x, weight)
    else:
        matmul = ad.matmul.function
        product = matmul.batching(matmul, size, (x, weight.mT), batched[:2], {})
    if bias is None:
        return product
    rank = product.ndim - (batched[0] or batched[1])
    return product + (ad.reshape(bias, (size, *(1,) * (rank - 1), bias.shape[1])) if batched[2] else bias)


@ad.function(
    name="nn.linear",
    takes="numeric",
    check=_linear_check,
    batching=_linear_batched,
    jvp=_linear_jvp,
    input=lambda g, weight: g @ weight,
    weight=lambda g, xp, input: _flat(xp, g).mT @ _flat(xp, input),
    bias=lambda g, xp: xp.sum(_flat(xp, g), axis=0),
    samples=[
        ad.Sample((5, 3), (4, 3), (4,)),
        ad.Sample((5, 3), (4, 3)),
        ad.Sample((3,), (4, 3), (4,)),
        ad.Sample((2, 5, 3), (4, 3), (4,)),
        ad.Sample((0, 3), (4, 3), (4,)),
        ad.Fails((5, 4), (4, 3), error=ShapeError, match=r"\(5, 4\) does not fit weight of shape \(4, 3\).*transposed"),
        ad.Fails((5, 3), (3,), error=ShapeError, match=r"weight has shape \(3,\); expected 2 dimensions"),
        ad.Fails((5, 3), (4, 3), (3,), error=ShapeError, match=r"bias has shape \(3,\); expected \(4,\)"),
    ],
)
def _linear(xp: ad.XP, input: ad.Tensor, weight: ad.Tensor, bias: ad.Tensor | None = None, /) -> ad.Tensor:
    """Product of the last dimension with each row of ``weight``, plus ``bias``; see `linear`."""
    product = input @ weight.mT
    if bias is not None:
        product += bias  # never a tensor: where gradients are recorded, the rules are the derivative
    return product


def linear(input: ad.Tensor, weight: ad.Tensor, bias: ad.Tensor | None = None) -> ad.Tensor:
    """Affine map of the last dimension: ``input @ weight.T + bias``.

    Parameters
    ----------
    input : Tensor
        Of shape ``(..., in_features)``.
    weight : Tensor
        Of shape ``(out_features, in_features)``.
    bias : Tensor, optional
        Of shape ``(out_features,)``.

    Returns
    -------
    Tensor
        Of shape ``(..., out_features)``.

    Raises
    ------
    ShapeError
        If they do not fit each other.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nn.functional.linear(ad.tensor([1.0, 2.0]), ad.tensor([[1.0, 1.0], [0.0, 1.0]]), ad.ones(2))
    tensor([4., 3.])
    """
    return _linear(input, weight, bias)


def dropout(
    input: ad.Tensor, p: float = 0.5, training: bool = True, *, generator: ad.Generator | None = None
) -> ad.Tensor:
    """While training, each element with probability ``p`` set to 0, and the others divided by ``1 - p``.

    Parameters
    ----------
    input : Tensor
    p : float
        From 0 to 1.
    training : bool
        False to give ``input`` as it is.
    generator : Generator, optional
        Where the choice is drawn from; the device's default one without it.

    Returns
    -------
    Tensor
        Of ``input``'s shape.

    Raises
    ------
    ArgumentError
        If ``p`` is outside 0 to 1.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.ones(1000)
    >>> y = ad.nn.functional.dropout(x, 0.2)
    >>> sorted(set(y.tolist()))
    [0.0, 1.25]
    """
    probability("dropout", p)
    if not training or p == 0:
        return input
    kept = ad.rand(input.shape, generator=generator, device=input.device) >= p
    scale = 1 / (1 - p) if p < 1 else 0.0
    return ad.where(kept, input, 0.0) * scale


_PAD_MODES: Final = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(
    input: ad.Tensor, pad: tuple[int, ...] | list[int], mode: str = "constant", value: complex | None = None
) -> ad.Tensor:
    """Add elements before and after along the last dimensions, or cut them off: `polyad.pad` in PyTorch's spelling.

    Parameters
    ----------
    input : Tensor
    pad : tuple of int
        How many before and after along the last dimension, then along the one before it, and so on. Negative numbers
        cut off.
    mode : {"constant", "reflect", "replicate", "circular"}
        What is added: ``value``; the elements mirrored at the outermost; the outermost again; those from the other end.
    value : number, optional
        0 by default.

    Returns
    -------
    Tensor
        Of ``input``'s type.

    Raises
    ------
    ShapeError
        If there is not a pair for each of the last dimensions, or less than nothing would remain.
    ArgumentError
        If there is no such mode, or a ``value`` in another mode than "constant".

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nn.functional.pad(ad.tensor([[1, 2], [3, 4]]), (1, 0, 0, -1))
    tensor([[0, 1, 2]])
    """
    if mode not in _PAD_MODES:
        raise ArgumentError(f"nn.pad: mode is one of {', '.join(map(repr, _PAD_MODES))}; got {mode!r}")
    if value is not None and mode != "constant":
        raise ArgumentError(f"nn.pad: value {value} is for mode 'constant'; got mode {mode!r}")
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ShapeError(f"nn.pad: pad is a pair for each of the last of {input.ndim} dimensions; got {tuple(pad)}")
    widths = [(0, 0)] * (input.ndim - len(pad) // 2) + [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    for axis, (before, after) in enumerate(widths):
        if before < 0 or after < 0:
            left = input.shape[axis] + min(before, 0) + min(after, 0)
            if left < 0:
                raise ShapeError(f"nn.pad: {(before, after)} cuts off more than dimension {axis} of {input.shape} has")
            input = ad.narrow(input, axis, max(-before, 0), left)
    kept = tuple((max(before, 0), max(after, 0)) for before, after in widths)
    return ad.pad(input, kept, _PAD_MODES[mode], constant_values=0 if value is None else value)


def probability(name: str, p: float) -> float:
    """Check a probability."""
    if not 0 <= p <= 1:
        raise ArgumentError(f"{name}: p is a probability, from 0 to 1; got {p!r}")
    return p


# What users call, which takes keywords, is also what the records give
for _call, _of in ((mse_loss, _mse_loss), (cross_entropy, _cross_entropy), (linear, _linear)):
    _of.function.call, _of.function.doc = _call, inspect.cleandoc(_call.__doc__ or "")

FUNCTIONS: Final = (_where_positive, relu, sigmoid, softmax, log_softmax, _mse_loss, _cross_entropy, _linear)
"""What the plugin adds to polyad's registry."""
