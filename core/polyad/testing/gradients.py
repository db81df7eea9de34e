"""Derivatives against finite differences, as in ``torch.autograd.gradcheck``."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from .. import autograd
from ..errors import ArgumentError, ShapeError
from ..function import FUNCTIONS
from ..tensor import Tensor
from .jacobians import Check, GradcheckError, Settings, is_checked, outputs_of, random_like, sequence

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


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
        Of several outputs, whether each alone must have the gradients that it has beside zeros for the others; of
        several inputs the same of tangents.
    check_grad_dtypes : bool
        Whether gradients must have their inputs' type.
    check_batched_grad, check_batched_forward_grad : bool
        Whether two gradients of an output, and two tangents of an input, must give together, by `polyad.func.vmap`,
        what they give one by one.
    check_forward_ad, check_backward_ad : bool
        Which derivatives are compared: those of forward mode, those of backward, or both.
    masked : bool
        PyTorch's; False here, where there is no sparse tensor.
    fast_mode : bool
        Compare derivatives in one random direction for each input, instead of every entry of the Jacobian.

    Returns
    -------
    bool
        True if the gradients agree.

    Raises
    ------
    GradcheckError
        If they differ: it names the mode, the input, the entry, and both numbers.
    ArgumentError
        If no input requires a gradient, or nothing is to be checked, or something that there is not.
    DTypeError
        If an input's type is too coarse for ``eps``.

    Examples
    --------
    >>> import polyad as ad
    >>> from polyad.testing import gradcheck
    >>> x = ad.tensor([1.0, 2.0], dtype=ad.float64, requires_grad=True)
    >>> gradcheck(lambda x: x**3, x, check_forward_ad=True, check_batched_grad=True)
    True
    """
    name = "gradcheck"
    _refuse_masked(name, masked)
    _need_one(name, check_forward_ad=check_forward_ad, check_backward_ad=check_backward_ad)
    _need(name, "check_batched_grad", check_batched_grad, "check_backward_ad", check_backward_ad)
    _need(name, "check_batched_forward_grad", check_batched_forward_grad, "check_forward_ad", check_forward_ad)
    settings = Settings(
        name=name,
        eps=eps,
        atol=atol,
        rtol=rtol,
        nondet_tol=nondet_tol,
        check_grad_dtypes=check_grad_dtypes,
        backward="by backward" if check_backward_ad else None,
        forward="in forward mode" if check_forward_ad else None,
        batched_backward=check_batched_grad,
        batched_forward=check_batched_forward_grad,
        undefined=check_undefined_grad,
        fast=fast_mode,
    )
    return _run(Check(func, inputs, settings, strict=False), raise_exception)


def _refuse_masked(name: str, masked: bool | None) -> None:
    if masked:
        raise ArgumentError(f"{name}: masked=True asks for sparse tensors, which polyad does not have; leave it out")


def _need_one(name: str, **options: bool) -> None:
    if not any(options.values()):
        raise ArgumentError(f"{name}: {' and '.join(options)} are False, so nothing is left to check; set one True")


def _need(name: str, option: str, value: bool, other: str, given: bool) -> None:
    if value and not given:
        raise ArgumentError(f"{name}: {option}=True checks what {other} computes; set that True, too")


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
    check_fwd_over_rev, check_rev_over_rev : bool
        How the gradients are differentiated, for comparison: in forward mode, by backward, or both.

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
    >>> gradgradcheck(lambda x: x**3, x, check_fwd_over_rev=True)
    True
    """
    name = "gradgradcheck"
    _refuse_masked(name, masked)
    _need_one(name, check_fwd_over_rev=check_fwd_over_rev, check_rev_over_rev=check_rev_over_rev)
    _need(name, "check_batched_grad", check_batched_grad, "check_rev_over_rev", check_rev_over_rev)
    given = sequence(inputs)
    outputs = [y for y in outputs_of(func, given) if y.requires_grad]
    if grad_outputs is None:
        draw = random.Random(0)
        seeds = [random_like(y, draw) for y in outputs]
        if gen_non_contig_grad_outputs:
            seeds = [_spread(g) for g in seeds]
        seeds = [g.requires_grad_() for g in seeds]
    else:
        seeds = [g if g.requires_grad else g.detach().requires_grad_() for g in sequence(grad_outputs)]
    if len(seeds) != len(outputs):
        raise ShapeError(f"gradgradcheck: {len(outputs)} outputs need as many grad_outputs; got {len(seeds)}")

    def gradients(*args: Any) -> tuple[Any, ...]:
        xs, gs = args[: len(given)], args[len(given) :]
        wanted = [x for x in xs if is_checked(x)]
        ys = [y for y in outputs_of(func, xs) if y.requires_grad]
        return autograd.grad(ys, wanted, gs, create_graph=True, materialize_grads=True)

    settings = Settings(
        name=name,
        eps=eps,
        atol=atol,
        rtol=rtol,
        nondet_tol=nondet_tol,
        check_grad_dtypes=check_grad_dtypes,
        backward="by backward over backward" if check_rev_over_rev else None,
        forward="in forward mode over backward" if check_fwd_over_rev else None,
        batched_backward=check_batched_grad,
        batched_forward=False,
        undefined=check_undefined_grad,
        fast=fast_mode,
    )
    # a gradient that lost its history is an error here, not an output to leave out
    return _run(Check(gradients, (*given, *seeds), settings, strict=bool(outputs)), raise_exception)


def _spread(g: Tensor) -> Tensor:
    """The same numbers with gaps between them in memory."""
    return FUNCTIONS["stack"].call([g, g], axis=-1)[..., 0]  # type: ignore[no-any-return]


def _run(check: Check, raise_exception: bool) -> bool:
    try:
        check.run()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True
