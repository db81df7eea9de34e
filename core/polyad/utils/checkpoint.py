"""Less memory for more time: calls whose intermediate values are not kept, but computed again by backward.

Without `checkpoint`, each operation keeps until backward what its gradient needs. Inside it nothing is kept but the
arguments, and the first step of backward that needs more runs the function again. A chain of ``n`` equal layers that
keep ``a`` bytes each needs ``n * a`` bytes; in ``s`` segments, by `checkpoint_sequential`, about ``(s + n / s) * a``,
least for ``s`` near the square root of ``n``: 16 instead of 64 layers' bytes for 64 layers. Every layer but those of
the last segment then runs twice.

Examples
--------
>>> import polyad as torch
>>> from polyad.utils.checkpoint import checkpoint
>>> w = torch.ones(3, 3, requires_grad=True)
>>> x = torch.ones(2, 3)
>>> y = checkpoint(lambda h: (h @ w).tanh().exp(), x, use_reentrant=False)
>>> y.sum().backward()
>>> w.grad.shape
(3, 3)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ..autograd.recomputing import Options, run
from ..errors import ArgumentError, OperandError
from ..grad_mode import is_grad_enabled

__all__ = ["checkpoint", "checkpoint_sequential", "noop_context_fn"]

Contexts = tuple[AbstractContextManager[Any], AbstractContextManager[Any]]


def noop_context_fn() -> Contexts:
    """Give two context managers that do nothing: what ``context_fn`` of `checkpoint` is by default.

    Examples
    --------
    >>> from polyad.utils.checkpoint import noop_context_fn
    >>> first, again = noop_context_fn()
    """
    return nullcontext(), nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Call a function without keeping what its operations compute; backward runs it again where it needs that.

    Results and gradients are those of ``function(*args, **kwargs)``, of every order. So are errors: what was kept must
    not be overwritten. Arguments and results may be nested containers, and anything besides tensors; gradients reach
    all tensors that the function uses, the parameters of modules too. Calls of `checkpoint` may be nested.

    The function is run again by each backward pass that comes to it, until all is computed that the pass may need.
    Values of parameters and arguments are kept as they are: where nothing else is needed, it is not run again.

    Parameters
    ----------
    function : callable
        It must do the same both times. What else it does, such as to lists, files and tensors from outside that it
        writes to, is done twice, but for hooks that it registers on such tensors. It must not write to its arguments.
    *args
        Its arguments. Tensors among them, also inside lists, tuples and dicts, are kept.
    use_reentrant : bool, optional
        Taken for PyTorch's sake, where it chooses between two ways of doing the same. There is one way here, that of
        ``use_reentrant=False``, with its results also where the other has none.
    preserve_rng_state : bool
        Whether the second run draws the same random numbers as the first. All of polyad's generators that the function
        uses are set back for it, those passed as ``generator=`` too, and go on afterwards as if it had not been.
        With False, a function that draws is an error.
    context_fn : callable
        Gives two context managers: one to run the function in, and one to run it again in, entered for each such run.
    determinism_check : str
        ``"default"`` to compare what operations keep in both runs: how many tensors, of which operations, shapes,
        data types and devices. ``"none"`` not to, and to let the function draw other random numbers with
        ``preserve_rng_state=False``.
    debug : bool
        Whether errors show the lines of the program that differ. It makes both runs slower.
    early_stop : bool
        Whether the second run ends as soon as all that is needed is computed. With False, the check also notices
        what the second run keeps beyond the first.
    **kwargs
        Its arguments by name.

    Returns
    -------
    Any
        What the function returns.

    Raises
    ------
    AutogradError
        If the function writes to an argument in place, or draws with ``preserve_rng_state=False``. During backward, if
        an argument was overwritten, or the function did not do the same again.
    OperandError
        If ``function`` or ``context_fn`` is not callable, or the latter does not give two context managers.
    ArgumentError
        If ``use_reentrant`` or ``determinism_check`` is another value.

    Notes
    -----
    To have every call of a function go through it, write ``block = functools.partial(checkpoint, block)``.

    Under ``no_grad`` the function is just called. Under ``jax.jit`` both runs are compiled together: gradients are the
    same, and XLA, which is kept from merging the runs as by ``jax.checkpoint``, decides when it computes the second.
    On CPUs it does so early, and memory does not fall.

    Examples
    --------
    >>> import polyad as ad
    >>> from polyad.utils.checkpoint import checkpoint
    >>> x = ad.tensor([0.0, 1.0], requires_grad=True)
    >>> def block(x, scale=1.0):
    ...     print("running")
    ...     return ((x * scale).exp() + 1).log().sum()
    >>> y = checkpoint(block, x, scale=2.0)
    running
    >>> y.backward()
    running
    >>> x.grad
    tensor([1.0000, 1.7616])
    """
    _check_callable("checkpoint: function", function)
    _check_callable("checkpoint: context_fn", context_fn)
    if use_reentrant not in (None, True, False):
        raise ArgumentError(f"checkpoint: use_reentrant must be True or False; got {use_reentrant!r:.60}")
    if determinism_check not in ("default", "none"):
        raise ArgumentError(f"checkpoint: determinism_check must be 'default' or 'none'; got {determinism_check!r:.60}")
    if not is_grad_enabled():
        return function(*args, **kwargs)
    contexts = context_fn()
    if not _are_contexts(contexts):
        raise OperandError(
            f"checkpoint: context_fn must return two context managers, to run in and to run again in; it returned "
            f"{contexts!r:.80}"
        )
    checks = determinism_check != "none"
    return run(function, args, kwargs, Options(*contexts, preserve_rng_state, checks, debug, early_stop))


def checkpoint_sequential(
    functions: Iterable[Callable[[Any], Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    *,
    preserve_rng_state: bool = True,
) -> Any:
    """Call functions one after the other, each with what the one before gave, in segments under `checkpoint`.

    Only the segments' inputs are kept, and what the operations of the last segment keep: backward comes to it first.

    Parameters
    ----------
    functions : nn.Sequential, or sequence of callable
    segments : int
        Their number, from 1, which keeps everything, to the number of functions. Lengths differ by at most 1.
    input : Any
        For the first function.
    use_reentrant, preserve_rng_state
        As for `checkpoint`.

    Returns
    -------
    Any
        What the last function returns.

    Raises
    ------
    OperandError
        If a function is not callable.
    ArgumentError
        If there is no function, or the number of segments does not fit.

    Examples
    --------
    >>> import polyad as ad
    >>> from polyad.utils.checkpoint import checkpoint_sequential
    >>> x = ad.ones(2, requires_grad=True)
    >>> y = checkpoint_sequential([ad.exp, ad.tanh, ad.sin, ad.cos], 2, x)
    >>> y.sum().backward()
    >>> x.grad
    tensor([-0.0191, -0.0191])
    """
    steps = list(functions)
    for i, step in enumerate(steps):
        _check_callable(f"checkpoint_sequential: functions[{i}]", step)
    if not isinstance(segments, int) or not 1 <= segments <= len(steps):
        raise ArgumentError(
            f"checkpoint_sequential: segments must be an integer from 1 to {len(steps)}, the number of functions; got "
            f"{segments!r:.60}"
            if steps
            else "checkpoint_sequential: functions is empty; expected at least one"
        )
    *parts, last = _split(steps, segments)
    for part in parts:
        input = checkpoint(_Chain(part), input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state)
    return _Chain(last)(input)


def _split(steps: Sequence[Any], segments: int) -> list[Sequence[Any]]:
    """Cut a sequence into parts whose lengths differ by at most 1, the longer ones first."""
    length, longer = divmod(len(steps), segments)
    ends = [length * (i + 1) + min(i + 1, longer) for i in range(segments)]
    return [steps[start:end] for start, end in zip([0, *ends], ends, strict=False)]


class _Chain:
    """Functions one after the other."""

    def __init__(self, steps: Sequence[Callable[[Any], Any]]) -> None:
        self.steps = steps
        names = [getattr(step, "__qualname__", type(step).__qualname__) for step in (steps[0], steps[-1])]
        self.__qualname__ = f"the segment from {names[0]} to {names[1]}"

    def __call__(self, value: Any) -> Any:
        for step in self.steps:
            value = step(value)
        return value


def _check_callable(name: str, value: Any) -> None:
    if not callable(value):
        raise OperandError(f"{name} must be callable; got {value!r:.60}")


def _are_contexts(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, AbstractContextManager) for v in value)
