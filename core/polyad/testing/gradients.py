"""Derivatives against finite differences, as in ``torch.autograd.gradcheck``.

A complex number counts as two real ones. So functions that are not holomorphic are checked too, and what is compared
is one real Jacobian: an output's part ``p`` (real or imaginary) by an input's part ``q``.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from .. import autograd
from ..dtypes import DType, bfloat16, complex64, complex128, float16, float32, float64
from ..errors import ArgumentError, AutogradError, DTypeError, OperandError, ShapeError
from ..function import FUNCTIONS
from ..grad_mode import enable_grad
from ..tensor import Tensor
from .comparison import flat, is_close, unravel
from .samples import from_numbers

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

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


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare the gradients of a function with central finite differences.

    Parameters
    ----------
    func : callable
        Takes the inputs; returns a tensor or a tuple of tensors. Outputs that require no gradient are left out.
    inputs : Tensor or sequence
        Those tensors are checked that require a gradient; they should be float64 or complex128.
    eps : float
        The step of the differences.
    atol, rtol : float
        A derivative may differ by ``atol + rtol * abs(numerical)``.
    raise_exception : bool
        False to return False where the gradients differ.
    nondet_tol : float
        How much two backward passes over the same graph may differ.
    check_undefined_grad : bool
        Of several outputs, whether each alone must have the gradients that it has beside zeros for the others.
    check_grad_dtypes : bool
        Whether gradients must have their inputs' type.
    check_backward_ad : bool
        True: it is what is checked.
    check_batched_grad, check_batched_forward_grad, check_forward_ad, masked : bool
        PyTorch's; False here, where there is no `vmap`, no forward mode and no sparse tensor.
    fast_mode : bool
        Compare derivatives in one random direction for each input, instead of every entry of the Jacobian.

    Returns
    -------
    bool
        True if the gradients agree.

    Raises
    ------
    GradcheckError
        If they differ: it names the input, the entry, and both numbers.
    ArgumentError
        If no input requires a gradient, or something is to be checked that there is not.
    DTypeError
        If an input's type is too coarse for ``eps``.

    Examples
    --------
    >>> import polyad as ad
    >>> from polyad.testing import gradcheck
    >>> x = ad.tensor([1.0, 2.0], dtype=ad.float64, requires_grad=True)
    >>> gradcheck(lambda x: x**3, x)
    True
    """
    _refuse(
        "gradcheck",
        check_batched_grad=check_batched_grad,
        check_batched_forward_grad=check_batched_forward_grad,
        check_forward_ad=check_forward_ad,
        masked=masked,
    )
    if not check_backward_ad:
        raise ArgumentError("gradcheck: check_backward_ad=False leaves nothing to check; leave it out")
    check = _Check(func, inputs, eps, atol, rtol, nondet_tol, check_grad_dtypes, strict=False)
    return _run(check, fast_mode, raise_exception, check_undefined_grad)


def _refuse(function: str, **asked: bool | None) -> None:
    for name, value in asked.items():
        if value:
            missing = "sparse tensors" if name == "masked" else "vmap" if "batched" in name else "forward mode"
            raise ArgumentError(f"{function}: {name}=True asks for {missing}, which polyad does not have; leave it out")


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    gen_non_contig_grad_outputs: bool = False,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """Compare the gradients of a function's gradients with central finite differences.

    Parameters
    ----------
    func, inputs, eps, atol, rtol, raise_exception, nondet_tol, check_grad_dtypes, fast_mode
        As for `gradcheck`.
    grad_outputs : Tensor or sequence of Tensor, optional
        For each output the gradient that goes into the first backward pass; random numbers by default.
    gen_non_contig_grad_outputs : bool
        Whether those random numbers are views whose elements are not beside each other in memory.
    check_undefined_grad, check_batched_grad, masked
        As for `gradcheck`.
    check_rev_over_rev : bool
        True: it is what is checked.
    check_fwd_over_rev : bool
        PyTorch's; False here, where there is no forward mode.

    Returns
    -------
    bool
        True if the gradients agree.

    Raises
    ------
    GradcheckError
        If they differ. ``func``'s inputs are counted first, then ``grad_outputs``.
    ArgumentError, DTypeError
        As for `gradcheck`.

    Examples
    --------
    >>> import polyad as ad
    >>> from polyad.testing import gradgradcheck
    >>> x = ad.tensor([1.0, 2.0], dtype=ad.float64, requires_grad=True)
    >>> gradgradcheck(lambda x: x**3, x)
    True
    """
    _refuse(
        "gradgradcheck", check_batched_grad=check_batched_grad, check_fwd_over_rev=check_fwd_over_rev, masked=masked
    )
    if not check_rev_over_rev:
        raise ArgumentError("gradgradcheck: check_rev_over_rev=False leaves nothing to check; leave it out")
    given = _sequence(inputs)
    outputs = [y for y in _outputs(func, given) if y.requires_grad]
    if grad_outputs is None:
        draw = random.Random(0)
        seeds = [_random_like(y, draw) for y in outputs]
        if gen_non_contig_grad_outputs:
            seeds = [_spread(g) for g in seeds]
        seeds = [g.requires_grad_() for g in seeds]
    else:
        seeds = [g if g.requires_grad else g.detach().requires_grad_() for g in _sequence(grad_outputs)]
    if len(seeds) != len(outputs):
        raise ShapeError(f"gradgradcheck: {len(outputs)} outputs need as many grad_outputs; got {len(seeds)}")

    def gradients(*args: Any) -> tuple[Any, ...]:
        xs, gs = args[: len(given)], args[len(given) :]
        wanted = [x for x in xs if _is_checked(x)]
        ys = [y for y in _outputs(func, xs) if y.requires_grad]
        return autograd.grad(ys, wanted, gs, create_graph=True, materialize_grads=True)

    # a gradient that lost its history is an error here, not an output to leave out
    check = _Check(gradients, (*given, *seeds), eps, atol, rtol, nondet_tol, check_grad_dtypes, strict=bool(outputs))
    return _run(check, fast_mode, raise_exception, check_undefined_grad)


def _spread(g: Tensor) -> Tensor:
    """The same numbers with gaps between them in memory."""
    return FUNCTIONS["stack"].call([g, g], axis=-1)[..., 0]  # type: ignore[no-any-return]


def _run(check: _Check, fast: bool, raise_exception: bool, undefined: bool) -> bool:
    try:
        check.directional() if fast else check.exact()
        if undefined:
            check.alone()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _sequence(inputs: Any) -> tuple[Any, ...]:
    return tuple(inputs) if isinstance(inputs, (list, tuple)) else (inputs,)


def _is_checked(x: Any) -> bool:
    return isinstance(x, Tensor) and x.requires_grad


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    """What a function returns, as a list of floating-point tensors."""
    with enable_grad():
        result = func(*inputs)
    found = list(result) if isinstance(result, (list, tuple)) else [result]
    for y in found:
        if not isinstance(y, Tensor):
            raise OperandError(f"gradcheck: the function must return tensors; it returned {type(y).__name__} {y!r:.60}")
    return [y for y in found if y.dtype.is_differentiable]


def _random_like(x: Tensor, draw: random.Random) -> Tensor:
    """Normal random numbers, in both parts of complex ones."""
    values = [_with_parts(x.dtype, lambda: draw.gauss(0.0, 1.0)) for _ in range(x.numel())]
    return from_numbers(values, x.dtype, x.shape, x.device)


def _with_parts(dtype: DType, number: Callable[[], float]) -> Any:
    return complex(number(), number()) if dtype.is_complex else number()


def _parts(dtype: DType) -> tuple[Any, ...]:
    """The directions in which one element can be moved."""
    return (1.0, 1j) if dtype.is_complex else (1.0,)


def _along(a: complex, b: complex) -> float:
    """The real inner product of two real or complex numbers."""
    return a.real * b.real + a.imag * b.imag


class _Check:
    """One comparison: the function, where it is checked, and how closely."""

    def __init__(
        self,
        func: Callable[..., Any],
        inputs: Any,
        eps: float,
        atol: float,
        rtol: float,
        nondet_tol: float,
        check_grad_dtypes: bool,
        *,
        strict: bool,
    ) -> None:
        self.func, self.inputs = func, _sequence(inputs)
        self.eps, self.atol, self.rtol, self.nondet_tol = eps, atol, rtol, nondet_tol
        self.check_grad_dtypes = check_grad_dtypes
        self.checked = [i for i, x in enumerate(self.inputs) if _is_checked(x)]
        if not self.checked:
            raise ArgumentError("gradcheck: no input requires a gradient; write x.requires_grad_() for one of them")
        for i in self.checked:
            dtype = self.inputs[i].dtype
            if eps < _SMALLEST_STEP[dtype]:
                raise DTypeError(
                    f"gradcheck: input {i} is {dtype.name}, in which a step of {eps:g} is lost to rounding; "
                    f"write x.double(), or pass eps={_SMALLEST_STEP[dtype]:g} or more and larger tolerances"
                )
        found = _outputs(func, self.inputs)
        # as in PyTorch, outputs without history are left out, unless there is no other
        self.kept = [strict or y.requires_grad or not any(o.requires_grad for o in found) for y in found]
        self.outputs = self._kept(found)

    def _kept(self, outputs: list[Tensor]) -> list[Tensor]:
        return [y for y, kept in zip(outputs, self.kept, strict=True) if kept]

    # Every entry --------------------------------------------------------------------------------------------

    def exact(self) -> None:
        """Compare the Jacobian entry by entry."""
        rows = [self._rows(y) for y in self.outputs]
        for place, i in enumerate(self.checked):
            x = self.inputs[i]
            for entry in range(x.numel()):
                for q in _parts(x.dtype):
                    direction = [0.0] * x.numel()
                    direction[entry] = q
                    self._compare_column(rows, self._difference(i, direction), place, i, entry, q)

    def _rows(self, y: Tensor) -> list[tuple[int, Any, list[list[Any]]]]:
        """For each entry and part of an output its gradients with respect to the checked inputs."""
        found = []
        for entry in range(y.numel()):
            for p in _parts(y.dtype):
                seed = [0.0] * y.numel()
                seed[entry] = p
                found.append((entry, p, self._gradients([y], [from_numbers(seed, y.dtype, y.shape, y.device)])))
        return found

    def _compare_column(self, rows: list[Any], column: list[list[Any]], place: int, i: int, entry: int, q: Any) -> None:
        for o, row in enumerate(rows):
            for out_entry, p, gradients in row:
                analytical, numerical = _along(q, gradients[place][entry]), _along(p, column[o][out_entry])
                if not is_close(analytical, numerical, self.rtol, self.atol):
                    x, y = self.inputs[i], self.outputs[o]
                    raise GradcheckError(
                        f"gradcheck: the derivative of output {o}, entry {unravel(out_entry, y.shape)}"
                        f"{_part_name(y, p)}, by input {i}, entry {unravel(entry, x.shape)}{_part_name(x, q)}, is "
                        f"{analytical!r} analytically and {numerical!r} numerically"
                    )

    # One direction ------------------------------------------------------------------------------------------

    def directional(self) -> None:
        """Compare the derivative in one random direction for each input, weighted over all outputs."""
        draw = random.Random(0)
        seeds = [_random_like(y, draw) for y in self.outputs]
        weights = [flat(g) for g in seeds]
        gradients = self._gradients(self.outputs, seeds)
        for place, i in enumerate(self.checked):
            direction = flat(_random_like(self.inputs[i], draw))
            moved = self._difference(i, direction)
            analytical = math.fsum(_along(g, d) for g, d in zip(gradients[place], direction, strict=True))
            numerical = math.fsum(
                _along(w, m) for ws, ms in zip(weights, moved, strict=True) for w, m in zip(ws, ms, strict=True)
            )
            if not is_close(analytical, numerical, self.rtol, self.atol):
                raise GradcheckError(
                    f"gradcheck: the derivative by input {i} in a random direction is {analytical!r} analytically and "
                    f"{numerical!r} numerically; fast_mode=False names the entry"
                )

    # One output at a time -----------------------------------------------------------------------------------

    def alone(self) -> None:
        """Compare the gradients of each of several outputs alone with those beside zeros for the others."""
        outputs = [y for y in self.outputs if y.requires_grad]
        if len(outputs) < 2:
            return
        draw = random.Random(0)
        for o, y in enumerate(outputs):
            seed = _random_like(y, draw)
            zeros = [from_numbers([0.0] * z.numel(), z.dtype, z.shape, z.device) for z in outputs]
            beside = self._gradients(outputs, [*zeros[:o], seed, *zeros[o + 1 :]])
            for i, a, b in zip(self.checked, self._gradients([y], [seed]), beside, strict=True):
                if not all(is_close(p, q, self.rtol, self.atol) for p, q in zip(a, b, strict=True)):
                    raise GradcheckError(
                        f"gradcheck: output {o} alone has another gradient by input {i} than beside zeros for the "
                        f"other outputs: {a!r:.80} and {b!r:.80}; a rule must take None for a gradient of zeros"
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
        if g.shape != x.shape:
            raise GradcheckError(f"gradcheck: the gradient of input {i} has shape {g.shape}; expected {x.shape}")
        if self.check_grad_dtypes and g.dtype is not x.dtype:
            raise GradcheckError(f"gradcheck: the gradient of input {i} is {g.dtype.name}; expected {x.dtype.name}")
        for a, b in zip(flat(g), flat(again), strict=True):
            if not is_close(a, b, 0.0, self.nondet_tol):
                raise GradcheckError(
                    f"gradcheck: two backward passes gave input {i} the gradients {a!r} and {b!r}, further apart than "
                    f"nondet_tol={self.nondet_tol:g}"
                )

    def _difference(self, i: int, direction: list[Any]) -> list[list[Any]]:
        """The derivative of every output along a direction of one input, by a central difference."""
        ahead, behind = (self._moved(i, direction, step) for step in (self.eps, -self.eps))
        return [
            [(a - b) / (2 * self.eps) for a, b in zip(up, down, strict=True)]
            for up, down in zip(ahead, behind, strict=True)
        ]

    def _moved(self, i: int, direction: list[Any], step: float) -> list[list[Any]]:
        x = self.inputs[i]
        values = [v + step * d for v, d in zip(flat(x), direction, strict=True)]
        inputs = list(self.inputs)
        inputs[i] = from_numbers(values, x.dtype, x.shape, x.device).requires_grad_()
        return [flat(y) for y in self._kept(_outputs(self.func, inputs))]


def _part_name(x: Tensor, part: Any) -> str:
    if not x.dtype.is_complex:
        return ""
    return " (imaginary part)" if part == 1j else " (real part)"
