"""`gradcheck` and `gradgradcheck` of forward mode, of forward mode over backward, and of many at once."""

from collections.abc import Callable
from typing import Any

import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.testing import GradcheckError, Sample, gradcheck, gradgradcheck


def leaf(values: Any, dtype: Any = ad.float64) -> ad.Tensor:
    return ad.tensor(values, dtype=dtype, requires_grad=True)


def function_with(rule: Callable[..., Any], **kwargs: Any) -> Any:
    """``x * x`` with a derivative of one's own."""
    return ad.function(name="f", x=rule, takes="floating", samples=[Sample((2,))], **kwargs)(lambda xp, x, /: x * x)


right = function_with(lambda g, x: 2 * g * x)

both_modes = pytest.mark.parametrize("fast_mode", [False, True])

# Forward mode, and many at once --------------------------------------------------------------------------------------

EVERY: dict[str, Any] = {"check_forward_ad": True, "check_batched_grad": True, "check_batched_forward_grad": True}
EVERY_SECOND: dict[str, Any] = {"check_fwd_over_rev": True, "check_batched_grad": True}


@both_modes
def test_right_derivatives_pass_every_mode(backend: Backend, fast_mode: bool) -> None:
    x, z = leaf([0.5, -1.0]), leaf([0.5 + 1j, -1.0 - 2j], ad.complex128)
    for func, inputs in [
        (right, x),
        (right, (z,)),
        (lambda x, z: (x * z, ad.abs(z), x.detach()), [x, z]),
        (lambda x, n, y: (x**n).sum() * y, (x, 3, ad.ones(2, dtype=ad.float64))),
        (lambda z: (ad.real(z), ad.conj(z) * z), z),
        (lambda x: x.reshape(2, 1) @ x.reshape(1, 2), x),
    ]:
        assert gradcheck(func, inputs, fast_mode=fast_mode, **EVERY)
        assert gradcheck(func, inputs, fast_mode=fast_mode, check_forward_ad=True, check_backward_ad=False)
        assert gradgradcheck(func, inputs, fast_mode=fast_mode, **EVERY_SECOND)
        assert gradgradcheck(func, inputs, fast_mode=fast_mode, check_fwd_over_rev=True, check_rev_over_rev=False)


class Own(ad.autograd.Function):
    """``x * x * y``, with derivatives that can be made wrong."""

    backward_scale, jvp_scale, second_scale, on_one = 2.0, 2.0, 1.0, 1.0

    @staticmethod
    def forward(ctx: Any, x: Any, y: Any) -> Any:
        ctx.save_for_backward(x, y)
        return x * x * y

    @classmethod
    def with_scales(cls, **scales: float) -> Any:
        def backward(ctx: Any, g: Any) -> Any:
            x, y = ctx.saved_tensors
            inner = x * made.second_scale + x.detach() * (1 - made.second_scale)
            return g * inner * y * made.backward_scale, g * x * x

        def jvp(ctx: Any, t: Any, s: Any) -> Any:
            x, y = ctx.saved_tensors
            found = (
                0.0 if t is None else t * x * y * (made.jvp_scale if s is not None else made.jvp_scale * made.on_one)
            )
            return found if s is None else found + s * x * x

        body = {"backward": staticmethod(backward), "jvp": staticmethod(jvp), **scales}
        made: Any = type("Own", (cls,), body)
        return made.apply


@both_modes
def test_the_mode_that_is_wrong_is_named(backend: Backend, fast_mode: bool) -> None:
    inputs = leaf([0.5, 2.0]), leaf([1.5, -1.0])
    assert gradcheck(Own.with_scales(), inputs, fast_mode=fast_mode, **EVERY)
    with pytest.raises(GradcheckError, match="gradcheck: by backward, the derivative.* by input 0"):
        gradcheck(Own.with_scales(backward_scale=3.0), inputs, fast_mode=fast_mode, **EVERY)
    assert gradcheck(
        Own.with_scales(backward_scale=3.0), inputs, fast_mode=fast_mode, check_backward_ad=False, check_forward_ad=True
    )
    with pytest.raises(GradcheckError, match="gradcheck: in forward mode, the derivative.* by input 0"):
        gradcheck(Own.with_scales(jvp_scale=3.0), inputs, fast_mode=fast_mode, **EVERY)
    assert gradcheck(Own.with_scales(jvp_scale=3.0), inputs, fast_mode=fast_mode)
    assert not gradcheck(
        Own.with_scales(jvp_scale=3.0), inputs, fast_mode=fast_mode, check_forward_ad=True, raise_exception=False
    )
    with pytest.raises(GradcheckError, match="input 0 alone gives output 0 another tangent than beside zeros for the"):
        gradcheck(Own.with_scales(on_one=2.0), inputs, fast_mode=fast_mode, check_forward_ad=True)
    assert gradcheck(
        Own.with_scales(on_one=2.0), inputs, fast_mode=fast_mode, check_forward_ad=True, check_undefined_grad=False
    )


@both_modes
def test_second_derivatives_that_are_lost_in_each_mode(fast_mode: bool) -> None:
    inputs = leaf([0.5, 2.0]), leaf([1.5, -1.0])
    lost = Own.with_scales(second_scale=0.0)
    assert gradcheck(lost, inputs, fast_mode=fast_mode, **EVERY)
    with pytest.raises(GradcheckError, match="gradgradcheck: by backward over backward, the derivative"):
        gradgradcheck(lost, inputs, fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="gradgradcheck: in forward mode over backward, the derivative"):
        gradgradcheck(lost, inputs, fast_mode=fast_mode, check_fwd_over_rev=True, check_rev_over_rev=False)
    assert gradgradcheck(Own.with_scales(), inputs, fast_mode=fast_mode, **EVERY_SECOND)


def test_batching_rules_that_are_wrong() -> None:
    """A rule of many examples at once that gives the first one's result for all."""

    def first(made: Any, size: int, arrays: Any, batched: Any, params: Any) -> Any:
        return ad.stack([made.call(*(x[0] if b else x for x, b in zip(arrays, batched, strict=True)))] * size)

    doubled = ad.function(name="doubled", x=lambda g: 2 * g, batching=first, jvp="linear")(lambda xp, x, /: 2 * x)

    class Doubled(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return doubled(g)

    x = leaf([0.5, 2.0])
    assert gradcheck(Doubled.apply, x, check_forward_ad=True)
    with pytest.raises(
        GradcheckError, match="gradcheck: the gradients of output 0 by input 0 computed two at once, by vmap, differ"
    ):
        gradcheck(Doubled.apply, x, check_batched_grad=True)
    with pytest.raises(
        GradcheckError, match="gradcheck: the tangents of output 0 by input 0 computed two at once, by vmap, differ"
    ):
        gradcheck(doubled, x, check_forward_ad=True, check_batched_forward_grad=True)

    class Twice(Doubled):
        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return Doubled.apply(g)

    assert gradgradcheck(Twice.apply, x)
    with pytest.raises(GradcheckError, match="gradgradcheck: the gradients of output 0 by input 1 computed two at"):
        gradgradcheck(Twice.apply, x, check_batched_grad=True)


def test_what_cannot_be_batched() -> None:
    class Branches(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return 2 * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * (2 if float(g.sum()) > -1e9 else 3)

    x = leaf([0.5, 2.0])
    assert gradcheck(Branches.apply, x, check_forward_ad=True)
    with pytest.raises(
        GradcheckError, match="gradients of output 0 cannot be computed two at once, by vmap .check_batch"
    ):
        gradcheck(Branches.apply, x, check_batched_grad=True)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_every_mode_as_in_torch() -> None:
    """The same wrong programs fail in the same modes."""
    torch = pytest.importorskip("torch")

    def verdicts(lib: Any, check: Any, second: Any) -> list[bool]:
        found = []
        for backward_scale, jvp_scale in [(2.0, 2.0), (3.0, 2.0), (2.0, 3.0)]:

            class Square(lib.autograd.Function):  # type: ignore[name-defined, misc]
                generate_vmap_rule = True

                @staticmethod
                def forward(x: Any) -> Any:
                    return x * x

                @staticmethod
                def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
                    ctx.save_for_backward(*inputs)
                    ctx.save_for_forward(*inputs)

                @staticmethod
                def backward(ctx: Any, g: Any, scale: float = backward_scale) -> Any:
                    return g * ctx.saved_tensors[0] * scale

                @staticmethod
                def jvp(ctx: Any, t: Any, scale: float = jvp_scale) -> Any:
                    return t * ctx.saved_tensors[0] * scale

            x = lib.tensor([0.5, 2.0], dtype=lib.float64, requires_grad=True)
            for forward in (False, True):
                for fast in (False, True):
                    options = {"raise_exception": False, "fast_mode": fast, "check_forward_ad": forward}
                    found.append(check(Square.apply, (x,), check_batched_grad=True, **options))
            options = {"raise_exception": False, "check_fwd_over_rev": True}
            found.append(second(lambda x: x**3, (x,), **options))
        return found

    theirs = verdicts(torch, torch.autograd.gradcheck, torch.autograd.gradgradcheck)
    assert verdicts(ad, gradcheck, gradgradcheck) == theirs
    assert set(theirs) == {True, False}
