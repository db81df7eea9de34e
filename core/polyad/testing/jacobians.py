"""One comparison of derivatives with finite differences, for `gradcheck` and `gradgradcheck`.

A complex number counts as two real ones. So functions that are not holomorphic are checked too, and what is compared
is one real Jacobian: an output's part ``p`` (real or imaginary) by an input's part ``q``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from .. import autograd, views
from ..autograd import forward_ad
from ..dtypes import DType, bfloat16, complex64, complex128, float16, float32, float64
from ..errors import ArgumentError, AutogradError, DTypeError, OperandError, PolyadError, ShapeError
from ..func.vmap import vmap
from ..function import FUNCTIONS
from ..grad_mode import enable_grad
from ..tensor import Tensor
from .comparison import flat, is_close, unravel
from .samples import from_numbers

__all__ = ["Check", "GradcheckError", "Settings", "is_checked", "outputs_of", "random_like", "sequence"]

_SMALLEST_STEP: Final[dict[DType, float]] = {
    float64: 0.0,
    complex128: 0.0,
    float32: 1e-3,
    complex64: 1e-3,
    float16: 1e-1,
    bfloat16: 1e-1,
}
"""Below this step a difference is mostly rounding."""


class GradcheckError(AutogradError):
    """A derivative differs from finite differences."""


class Settings(NamedTuple):
    """What is checked, and how closely.

    Attributes
    ----------
    name : str
        The function that checks, for messages.
    eps, atol, rtol, nondet_tol : float
    check_grad_dtypes : bool
    backward, forward : str or None
        What derivatives by backward and in forward mode are called, if they are to be checked.
    batched_backward, batched_forward : bool
        Whether several gradients, or several tangents, must give together what they give one by one.
    undefined : bool
        Whether what is left out must count as zeros.
    fast : bool
        Whether one random direction is compared in place of every entry.
    """

    name: str
    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    check_grad_dtypes: bool
    backward: str | None
    forward: str | None
    batched_backward: bool
    batched_forward: bool
    undefined: bool
    fast: bool


def sequence(inputs: Any) -> tuple[Any, ...]:
    """Give inputs as a tuple: one may be given by itself."""
    return tuple(inputs) if isinstance(inputs, (list, tuple)) else (inputs,)


def is_checked(x: Any) -> bool:
    """Whether derivatives by an input are checked."""
    return isinstance(x, Tensor) and x.requires_grad


def outputs_of(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    """Give what a function returns, as a list of floating-point tensors."""
    with enable_grad():
        result = func(*inputs)
    found = list(result) if isinstance(result, (list, tuple)) else [result]
    for y in found:
        if not isinstance(y, Tensor):
            raise OperandError(f"gradcheck: the function must return tensors; it returned {type(y).__name__} {y!r:.60}")
    return [y for y in found if y.dtype.is_differentiable]


def random_like(x: Tensor, draw: random.Random) -> Tensor:
    """Make normal random numbers, in both parts of complex ones."""
    values = [_with_parts(x.dtype, lambda: draw.gauss(0.0, 1.0)) for _ in range(x.numel())]
    return _like(x, values)


def _with_parts(dtype: DType, number: Callable[[], float]) -> Any:
    return complex(number(), number()) if dtype.is_complex else number()


def _like(x: Tensor, values: list[Any]) -> Tensor:
    return from_numbers(values, x.dtype, x.shape, x.device)


def _zeros(x: Tensor) -> Tensor:
    return _like(x, [0.0] * x.numel())


def _parts(dtype: DType) -> tuple[Any, ...]:
    """The directions in which one element can be moved."""
    return (1.0, 1j) if dtype.is_complex else (1.0,)


def _along(a: complex, b: complex) -> float:
    """The real inner product of two real or complex numbers."""
    return a.real * b.real + a.imag * b.imag


def _product(xs: Sequence[Any], ys: Sequence[Any]) -> float:
    return math.fsum(_along(x, y) for x, y in zip(xs, ys, strict=True))


def _part_name(x: Tensor, part: Any) -> str:
    if not x.dtype.is_complex:
        return ""
    return " (imaginary part)" if part == 1j else " (real part)"


Columns = Callable[[int, int, Any], list[list[Any]]]
"""``columns(i, entry, q)``: how each output changes along part ``q`` of one entry of input ``i``."""


class Check:
    """One comparison: the function, where it is checked, and how.

    Parameters
    ----------
    func : callable
    inputs : sequence
    settings : Settings
    strict : bool
        Whether outputs without history are errors; otherwise they are left out, unless there is no other.
    """

    def __init__(self, func: Callable[..., Any], inputs: Any, settings: Settings, *, strict: bool) -> None:
        self.func, self.inputs, self.settings, self.strict = func, sequence(inputs), settings, strict
        self.checked = [i for i, x in enumerate(self.inputs) if is_checked(x)]
        if not self.checked:
            raise ArgumentError("gradcheck: no input requires a gradient; write x.requires_grad_() for one of them")
        for i in self.checked:
            if views.repeats(self.inputs[i]):
                raise ShapeError(
                    f"gradcheck: input {i}, of shape {self.inputs[i].shape}, is an expanded view, in which several "
                    f"elements are one place in memory and cannot change one by one; pass x.clone()"
                )
            dtype = self.inputs[i].dtype
            if settings.eps < _SMALLEST_STEP[dtype]:
                raise DTypeError(
                    f"gradcheck: input {i} is {dtype.name}, in which a step of {settings.eps:g} is lost to rounding; "
                    f"write x.double(), or pass eps={_SMALLEST_STEP[dtype]:g} or more and larger tolerances"
                )
        found = outputs_of(func, self.inputs)
        # as in PyTorch, outputs without history are left out, unless there is no other
        self.kept = [strict or y.requires_grad or not any(o.requires_grad for o in found) for y in found]
        self.outputs = self._kept(found)

    def run(self) -> None:
        """Compare all that is asked for.

        Raises
        ------
        GradcheckError
            At the first difference.
        """
        settings = self.settings
        self.directional() if settings.fast else self.exact()
        if settings.undefined and settings.backward:
            self.alone()
        if settings.undefined and settings.forward and not self.strict:
            self.alone_in_forward_mode()
        if settings.batched_backward:
            self.batched_backward()
        if settings.batched_forward:
            self.batched_forward()

    def _kept(self, outputs: list[Tensor]) -> list[Tensor]:
        return [y for y, kept in zip(outputs, self.kept, strict=True) if kept]

    def _close(self, a: Any, b: Any) -> bool:
        return is_close(a, b, self.settings.rtol, self.settings.atol)

    # Every entry --------------------------------------------------------------------------------------------

    def exact(self) -> None:
        """Compare the Jacobian entry by entry."""
        ways: list[tuple[str, Columns]] = []
        if self.settings.backward:
            ways.append((self.settings.backward, self._backward_columns()))
        if self.settings.forward:
            ways.append((self.settings.forward, self._forward_column))
        for i in self.checked:
            x = self.inputs[i]
            for entry in range(x.numel()):
                for q in _parts(x.dtype):
                    numerical = self._difference(i, _unit(x, entry, q))
                    for mode, columns in ways:
                        self._compare_column(mode, columns(i, entry, q), numerical, i, entry, q)

    def _backward_columns(self) -> Columns:
        """Columns of the Jacobian, of rows that backward gives."""

        def row(y: Tensor, entry: int) -> list[list[list[Any]]]:
            return [self._gradients([y], [_like(y, _unit(y, entry, p))]) for p in _parts(y.dtype)]

        rows = [[row(y, entry) for entry in range(y.numel())] for y in self.outputs]

        def column(i: int, entry: int, q: Any) -> list[list[Any]]:
            place = self.checked.index(i)
            return [
                [
                    sum(p * _along(q, g[place][entry]) for p, g in zip(_parts(y.dtype), found, strict=True))
                    for found in rows[o]
                ]
                for o, y in enumerate(self.outputs)
            ]

        return column

    def _forward_column(self, i: int, entry: int, q: Any) -> list[list[Any]]:
        return self._pushed({i: _like(self.inputs[i], _unit(self.inputs[i], entry, q))})

    def _compare_column(
        self, mode: str, analytical: list[list[Any]], numerical: list[list[Any]], i: int, entry: int, q: Any
    ) -> None:
        for o, y in enumerate(self.outputs):
            for out_entry in range(y.numel()):
                for p in _parts(y.dtype):
                    a, n = _along(p, analytical[o][out_entry]), _along(p, numerical[o][out_entry])
                    if not self._close(a, n):
                        x = self.inputs[i]
                        raise GradcheckError(
                            f"{self.settings.name}: {mode}, the derivative of output {o}, entry "
                            f"{unravel(out_entry, y.shape)}{_part_name(y, p)}, by input {i}, entry "
                            f"{unravel(entry, x.shape)}{_part_name(x, q)}, is {a!r} analytically and {n!r} numerically"
                        )

    # One direction ------------------------------------------------------------------------------------------

    def directional(self) -> None:
        """Compare the derivative in one random direction for each input, weighted over all outputs."""
        draw, settings = random.Random(0), self.settings
        seeds = [random_like(y, draw) for y in self.outputs]
        weights = [w for g in seeds for w in flat(g)]
        gradients = self._gradients(self.outputs, seeds) if settings.backward else []
        for place, i in enumerate(self.checked):
            direction = random_like(self.inputs[i], draw)
            numerical = _product(weights, [m for moved in self._difference(i, flat(direction)) for m in moved])
            found: list[tuple[str, float]] = []
            if settings.backward:
                found.append((settings.backward, _product(gradients[place], flat(direction))))
            if settings.forward:
                moved = self._pushed({i: direction})
                found.append((settings.forward, _product(weights, [m for t in moved for m in t])))
            for mode, analytical in found:
                if not self._close(analytical, numerical):
                    raise GradcheckError(
                        f"{settings.name}: {mode}, the derivative by input {i} in a random direction is {analytical!r} "
                        f"analytically and {numerical!r} numerically; fast_mode=False names the entry"
                    )

    # What is left out ---------------------------------------------------------------------------------------

    def alone(self) -> None:
        """Compare the gradients of each of several outputs alone with those beside zeros for the others."""
        outputs = [y for y in self.outputs if y.requires_grad]
        if len(outputs) < 2:
            return
        draw = random.Random(0)
        for o, y in enumerate(outputs):
            seed, zeros = random_like(y, draw), list(map(_zeros, outputs))
            beside = self._gradients(outputs, [*zeros[:o], seed, *zeros[o + 1 :]])
            for i, a, b in zip(self.checked, self._gradients([y], [seed]), beside, strict=True):
                if not all(map(self._close, a, b)):
                    raise GradcheckError(
                        f"{self.settings.name}: output {o} alone has another gradient by input {i} than beside zeros "
                        f"for the other outputs: {a!r:.80} and {b!r:.80}; a rule must take None for a gradient of zeros"
                    )

    def alone_in_forward_mode(self) -> None:
        """Compare the tangents that each of several inputs gives alone with those beside zeros for the others."""
        if len(self.checked) < 2:
            return
        draw = random.Random(0)
        for i in self.checked:
            direction = {i: random_like(self.inputs[i], draw)}
            for o, (a, b) in enumerate(zip(self._pushed(direction, alone=True), self._pushed(direction), strict=True)):
                if not all(map(self._close, a, b)):
                    raise GradcheckError(
                        f"{self.settings.name}: input {i} alone gives output {o} another tangent than beside zeros for "
                        f"the other inputs: {a!r:.80} and {b!r:.80}; a jvp must take None for a tangent of zeros"
                    )

    # Several at once ----------------------------------------------------------------------------------------

    def batched_backward(self) -> None:
        """Compare the gradients that two gradients of each output give at once with those that they give one by one."""
        draw = random.Random(0)
        xs = [self.inputs[i] for i in self.checked]
        options: dict[str, Any] = {"retain_graph": True, "materialize_grads": True}
        for o, y in enumerate(self.outputs):
            if not y.requires_grad:
                continue
            seeds = [random_like(y, draw) for _ in range(2)]
            with self._at_once(f"the gradients of output {o}", "check_batched_grad"):
                together = autograd.grad(y, xs, _stacked(seeds), is_grads_batched=True, **options)
            singly = [autograd.grad(y, xs, g, **options) for g in seeds]
            for place, i in enumerate(self.checked):
                self._compare_batched(f"the gradients of output {o} by input {i}", together[place], singly, place)

    def batched_forward(self) -> None:
        """Compare the tangents that two directions of each input give at once with those that they give one by one."""
        draw = random.Random(0)
        for i in self.checked:
            directions = [random_like(self.inputs[i], draw) for _ in range(2)]
            along = vmap(lambda t, i=i: self._tangents({i: t}), (0, None))
            with self._at_once(f"the tangents by input {i}", "check_batched_forward_grad"):
                together = along(_stacked(directions), i)
            singly = [self._tangents({i: t}) for t in directions]
            for o in range(len(self.outputs)):
                self._compare_batched(f"the tangents of output {o} by input {i}", together[o], singly, o)

    @contextmanager
    def _at_once(self, what: str, option: str) -> Iterator[None]:
        """A block in which something is computed twice at once, which may fail."""
        try:
            yield
        except PolyadError as error:
            raise GradcheckError(
                f"{self.settings.name}: {what} cannot be computed two at once, by vmap ({option}): {error}"
            ) from error

    def _compare_batched(self, what: str, together: Tensor, singly: Sequence[Sequence[Tensor]], place: int) -> None:
        for k, found in enumerate(singly):
            a, b = flat(together[k]), flat(found[place])
            if not all(map(self._close, a, b)):
                raise GradcheckError(
                    f"{self.settings.name}: {what} computed two at once, by vmap, differ from those computed one by "
                    f"one: {a!r:.80} and {b!r:.80}"
                )

    # Both ways ----------------------------------------------------------------------------------------------

    def _gradients(self, outputs: list[Tensor], seeds: list[Tensor]) -> list[list[Any]]:
        """Gradients with respect to the checked inputs, by a backward pass."""
        xs = [self.inputs[i] for i in self.checked]
        roots = [(y, g) for y, g in zip(outputs, seeds, strict=True) if y.requires_grad]
        if not roots:
            return [[0.0] * x.numel() for x in xs]
        ys, gs = zip(*roots, strict=True)
        first, second = (autograd.grad(ys, xs, gs, retain_graph=True, allow_unused=True) for _ in range(2))
        for i, x, g, again in zip(self.checked, xs, first, second, strict=True):
            self._check_gradient(i, x, g, again)
        return [[0.0] * x.numel() if g is None else flat(g) for x, g in zip(xs, first, strict=True)]

    def _check_gradient(self, i: int, x: Tensor, g: Tensor | None, again: Tensor | None) -> None:
        if g is None or again is None:
            return
        name, tolerance = self.settings.name, self.settings.nondet_tol
        if g.shape != x.shape:
            raise GradcheckError(f"{name}: the gradient of input {i} has shape {g.shape}; expected {x.shape}")
        if self.settings.check_grad_dtypes and g.dtype is not x.dtype:
            raise GradcheckError(f"{name}: the gradient of input {i} is {g.dtype.name}; expected {x.dtype.name}")
        for a, b in zip(flat(g), flat(again), strict=True):
            if not is_close(a, b, 0.0, tolerance):
                raise GradcheckError(
                    f"{name}: two backward passes gave input {i} the gradients {a!r} and {b!r}, further apart than "
                    f"nondet_tol={tolerance:g}"
                )

    def _pushed(self, directions: dict[int, Tensor], *, alone: bool = False) -> list[list[Any]]:
        """How every output changes along a direction, in forward mode."""
        return [flat(t) for t in self._tangents(directions, alone=alone)]

    def _tangents(self, directions: dict[int, Tensor], *, alone: bool = False) -> tuple[Tensor, ...]:
        """The tangents of the outputs; inputs without a direction have zeros for one, or ``alone`` none."""
        given = directions if alone else {i: directions.get(i, _zeros(self.inputs[i])) for i in self.checked}
        with forward_ad.dual_level():
            inputs = list(self.inputs)
            for i, t in given.items():
                inputs[i] = forward_ad.make_dual(inputs[i], t)
            found = [forward_ad.unpack_dual(y) for y in self._kept(outputs_of(self.func, inputs))]
        return tuple(FUNCTIONS["zeros_like"].call(y) if t is None else t for y, t in found)

    def _difference(self, i: int, direction: list[Any]) -> list[list[Any]]:
        """The derivative of every output along a direction of one input, by a central difference."""
        eps = self.settings.eps
        ahead, behind = (self._moved(i, direction, step) for step in (eps, -eps))
        return [
            [(a - b) / (2 * eps) for a, b in zip(up, down, strict=True)] for up, down in zip(ahead, behind, strict=True)
        ]

    def _moved(self, i: int, direction: list[Any], step: float) -> list[list[Any]]:
        x = self.inputs[i]
        values = [v + step * d for v, d in zip(flat(x), direction, strict=True)]
        inputs = list(self.inputs)
        inputs[i] = _like(x, values).requires_grad_()
        return [flat(y) for y in self._kept(outputs_of(self.func, inputs))]


def _unit(x: Tensor, entry: int, part: Any) -> list[Any]:
    """A direction that moves one part of one entry."""
    direction: list[Any] = [0.0] * x.numel()
    direction[entry] = part
    return direction


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    return FUNCTIONS["stack"].call(tensors)  # type: ignore[no-any-return]
