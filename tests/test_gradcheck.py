"""The testing kit finds what it is there to find: wrong derivatives, values, types, and errors that do not come."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.errors import ArgumentError, DTypeError, OperandError, ShapeError
from polyad.testing import (
    Fails,
    GradcheckError,
    Sample,
    assert_close,
    call_sample,
    check_function,
    expected_dtype,
    gradcheck,
    gradgradcheck,
    sample_arguments,
)


def leaf(values: Any, dtype: Any = ad.float64) -> ad.Tensor:
    return ad.tensor(values, dtype=dtype, requires_grad=True)


def function_with(rule: Callable[..., Any], **kwargs: Any) -> Any:
    """``x * x`` with a derivative of one's own."""
    return ad.function(name="f", x=rule, takes="floating", samples=[Sample((2,))], **kwargs)(lambda xp, x, /: x * x)


right = function_with(lambda g, x: 2 * g * x)
wrong = function_with(lambda g, x: 3 * g * x)

both_modes = pytest.mark.parametrize("fast_mode", [False, True])

# gradcheck --------------------------------------------------------------------------------------------------------


@both_modes
def test_right_rules_pass(backend: Backend, fast_mode: bool) -> None:
    x, z = leaf([0.5, -1.0]), leaf([0.5 + 1j, -1.0 - 2j], ad.complex128)
    for func, inputs in [
        (right, x),
        (right, (z,)),
        (lambda x, z: (x * z, ad.abs(z)), [x, z]),
        (lambda x, n, y: (x**n).sum() * y, (x, 3, ad.ones(2, dtype=ad.float64))),
        (lambda x: ad.tensor([1, 2]) * x, x),
        (lambda z: (ad.real(z), ad.conj(z) * z), z),
    ]:
        assert gradcheck(func, inputs, fast_mode=fast_mode)
        assert gradgradcheck(func, inputs, fast_mode=fast_mode)


def test_wrong_rule_names_input_entry_and_both_numbers(backend: Backend) -> None:
    x, c = leaf([[0.5, 2.0]]), leaf([[1.0, 1.0]])
    with pytest.raises(
        GradcheckError,
        match=r"the derivative of output 0, entry \(0, 0\), by input 1, entry \(0, 0\), is 1\.5 analytically and "
        r"(1\.0|0\.99)\d* numerically",
    ):
        gradcheck(lambda c, x: c.detach() * 0 + wrong(x), (c.detach(), x))
    assert gradcheck(wrong, x, raise_exception=False) is False


def test_wrong_rule_in_a_random_direction(backend: Backend) -> None:
    with pytest.raises(GradcheckError, match=r"by input 0 in a random direction is .* fast_mode=False names the entry"):
        gradcheck(wrong, leaf([0.5, 2.0]), fast_mode=True)
    assert gradcheck(wrong, leaf([0.5, 2.0]), fast_mode=True, raise_exception=False) is False


@both_modes
def test_missing_conjugate(fast_mode: bool) -> None:
    """A rule that is right for real numbers alone."""
    modulus = ad.function(name="f", z=lambda g, xp, z: g * xp.sign(z), gives="real")(lambda xp, z, /: xp.abs(z))
    assert gradcheck(modulus, leaf([0.5, -2.0]), fast_mode=fast_mode)
    with pytest.raises(
        GradcheckError, match="random direction" if fast_mode else r"entry \(0,\) \(imaginary part\), is"
    ):
        gradcheck(modulus, leaf([0.5 + 1j], ad.complex128), fast_mode=fast_mode)


@both_modes
def test_second_derivative_that_is_lost(fast_mode: bool) -> None:
    """The first derivative is right; the rule forgets that it depends on x."""

    def rule(g: Any, x: Any) -> Any:
        return 2 * g * (x.detach() if isinstance(x, ad.Tensor) else x)

    cut = function_with(rule)
    x = leaf([0.5, 2.0])
    assert gradcheck(cut, x, fast_mode=fast_mode)
    with pytest.raises(GradcheckError, match="by input 0"):
        gradgradcheck(cut, x, fast_mode=fast_mode)
    assert gradgradcheck(cut, x, fast_mode=fast_mode, raise_exception=False) is False


def test_gradient_of_another_shape_or_type() -> None:
    grown = function_with(lambda g, xp, x: xp.stack([g, g]))
    with pytest.raises(GradcheckError, match=r"the gradient of input 0 has shape \(2, 2\); expected \(2,\)"):
        gradcheck(grown, leaf([1.0, 2.0]))
    narrowed = function_with(lambda g, xp, x: xp.astype(2 * g * x, np.float32))
    assert gradcheck(narrowed, leaf([1.0, 2.0]))
    with pytest.raises(GradcheckError, match="the gradient of input 0 is float32; expected float64"):
        gradcheck(narrowed, leaf([1.0, 2.0]), check_grad_dtypes=True)


def test_backward_passes_that_differ() -> None:
    calls = iter(range(100))
    drifting = function_with(lambda g, x: 2 * g * x + 1e-7 * next(calls))
    with pytest.raises(GradcheckError, match="two backward passes gave input 0 the gradients .* nondet_tol=0"):
        gradcheck(drifting, leaf([1.0]))
    assert gradcheck(drifting, leaf([1.0]), nondet_tol=1e-5)


def test_outputs_without_history_are_left_out_but_not_alone() -> None:
    x = leaf([1.0, 2.0])
    assert gradcheck(lambda x: (x * 2, x.detach() * 3, ad.tensor([1, 2])), x)
    with pytest.raises(GradcheckError, match="is 0.0 analytically"):
        gradcheck(lambda x: x.detach() * 3, x)
    assert gradcheck(lambda x: ad.zeros(2, dtype=ad.float64), x)


def test_unused_input_has_derivative_zero() -> None:
    assert gradcheck(lambda x, y: y * 2, (leaf([1.0]), leaf([2.0])))


def test_inputs_are_left_as_they_were() -> None:
    x = leaf([0.5, 2.0])
    gradcheck(right, x)
    gradgradcheck(right, x)
    assert (x.tolist(), x.grad, x.version) == ([0.5, 2.0], None, 0)


def test_coarse_types_need_a_larger_step() -> None:
    x = leaf([0.5, 2.0], ad.float32)
    with pytest.raises(
        DTypeError, match=r"input 0 is float32, in which a step of 1e-06 is lost .* x.double\(\), or pass"
    ):
        gradcheck(right, x)
    assert gradcheck(right, x, eps=1e-2, atol=1e-2, rtol=1e-2)


def test_what_cannot_be_checked() -> None:
    with pytest.raises(ArgumentError, match="no input requires a gradient; write x.requires_grad_"):
        gradcheck(right, ad.ones(2, dtype=ad.float64))
    with pytest.raises(OperandError, match="the function must return tensors; it returned float 1.0"):
        gradcheck(lambda x: 1.0, leaf([1.0]))
    with pytest.raises(ShapeError, match="1 outputs need as many grad_outputs; got 2"):
        gradgradcheck(right, leaf([1.0]), [ad.ones(1), ad.ones(1)])


def test_grad_outputs_may_be_given() -> None:
    assert gradgradcheck(right, leaf([1.0, 2.0]), ad.tensor([0.3, -1.0], dtype=ad.float64))


def test_it_agrees_with_torch() -> None:
    """The same programs, right and wrong, get the same answer."""
    torch = pytest.importorskip("torch")

    class Scaled(torch.autograd.Function):
        """``x * x`` with ``scale * g * x`` for a derivative."""

        @staticmethod
        def forward(ctx: Any, x: Any, scale: float) -> Any:
            ctx.save_for_backward(x)
            ctx.scale = scale
            return x * x

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return ctx.scale * g * ctx.saved_tensors[0], None

    for scale in (2.0, 2.001, 2.01, 3.0):
        ours = gradcheck(function_with(scaled_rule(scale)), leaf([0.5, -1.0]), raise_exception=False)
        theirs = torch.autograd.gradcheck(
            lambda x, scale=scale: Scaled.apply(x, scale),
            torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True),
            raise_exception=False,
        )
        assert ours == theirs, scale


def scaled_rule(scale: float) -> Callable[..., Any]:
    def rule(g: Any, x: Any) -> Any:
        return scale * g * x

    return rule


# Samples ----------------------------------------------------------------------------------------------------------


def test_arguments_are_the_same_everywhere(backend: Backend) -> None:
    sample = Sample((2, 3), (), [1, 2], [1.0], 2.5, None, domain=(1.0, 2.0))
    here, there = sample_arguments(sample), sample_arguments(sample, backend="numpy")
    for a, b in zip(here[:4], there[:4], strict=True):
        assert a.backend is backend
        assert_close(a, b, rtol=0, atol=0)
    assert here[4:] == [2.5, None]
    assert all(1 <= v <= 2 for v in here[0].reshape(-1).tolist())
    assert [a.dtype for a in here[:4]] == [ad.float64, ad.float64, ad.int64, ad.float64]


def test_domains_and_types() -> None:
    for domain, dtype, wanted in [
        ("integers", ad.float64, ad.int64),
        ("integers", ad.int8, ad.int8),
        ("bools", ad.float64, ad.bool),
        (None, ad.uint8, ad.uint8),
        (None, ad.bool, ad.bool),
        ((-1.0, 1.0), ad.complex64, ad.complex64),
    ]:
        (x,) = sample_arguments(Sample((50,), domain=domain), dtype)
        assert x.dtype is wanted
        assert len(set(x.tolist())) > 1
    (x,) = sample_arguments(Sample((20,), domain="integers"))
    assert all(1 <= v <= 5 for v in x.tolist())
    assert sample_arguments(Sample((2,)), seed=1)[0].tolist() != sample_arguments(Sample((2,)))[0].tolist()
    a, b = sample_arguments(Sample((2,), (2,)), requires_grad=True)
    assert a.requires_grad
    assert b.is_leaf
    assert a.tolist() != b.tolist()


def test_calls() -> None:
    x = ad.tensor([[1.0, 2.0], [4.0, 3.0]])
    assert call_sample(ad.concat, Sample((), (), axis=1), [x, x]).shape == (2, 4)
    for domain, matrix in {
        "symmetric": [[1, 3], [3, 3]],
        "positive": [[6, 10], [10, 26]],
        "invertible": [[5, 2], [4, 7]],
    }.items():
        assert call_sample(ad.clone, Sample((), domain=domain), [x]).tolist() == matrix


def test_expected_types() -> None:
    x, n = ad.ones(2), ad.ones(2, dtype=ad.int8)
    assert expected_dtype(ad.add, [n, 1.5]) is ad.float32
    assert expected_dtype(ad.where, [n, 1, 2]) is ad.int64
    assert expected_dtype(ad.sum, [n]) is ad.int64
    assert expected_dtype(ad.sum, [n], dtype="float64") is ad.float64
    assert expected_dtype(ad.abs, [x.cfloat()]) is ad.float32
    assert expected_dtype(ad.less, [x, n]) is ad.bool
    assert expected_dtype(ad.argmax, [x]) is ad.int64
    assert expected_dtype(ad.maximum, [x.cfloat(), x]) is None


# check_function -----------------------------------------------------------------------------------------------------


def failing(function: Any, match: str, **kwargs: Any) -> None:
    with pytest.raises(AssertionError, match=rf"f at .*, backend 'numpy', device 'cpu': .*{match}"):
        check_function(function, backend="numpy", **kwargs)


def test_check_function_names_function_sample_and_backend(backend: Backend) -> None:
    check_function(right, reference=np.square)
    with pytest.raises(
        AssertionError, match=rf"^f at Sample\(\(2,\)\), backend '{backend.name}', device '.*': gradcheck"
    ):
        check_function(wrong)


def test_check_function_finds_wrong_values_and_types() -> None:
    failing(right, r"the value in \w+: 2 of 2 elements differ .*most at \(\d,\)", reference=lambda x: x * x + 1)
    failing(right, r"the value in \w+: the shape is \(2,\); expected \(1, 2\)", reference=lambda x: (x * x)[None])
    failing(right, r"the value in \w+ is 1 arrays; expected 2", reference=lambda x: (x, x))

    # values in single precision that only double precision gets right
    def coarse(xp: Any, x: Any, /) -> Any:
        return (x + 1e6) - 1e6

    failing(ad.function(name="f", samples=[Sample((2,))], x=lambda g: g)(coarse), "the value in float32")

    @ad.function(name="f", gives="bool", differentiable=False, samples=[Sample((2,))])
    def wrong_type(xp: Any, x: Any, /) -> Any:
        return x

    failing(wrong_type, "of float64 the result is float64; expected polyad.bool")


def test_check_function_finds_changed_inputs() -> None:
    @ad.function(name="f", x=lambda g: g, samples=[Sample((2,))])
    def writes(xp: Any, x: Any, /) -> Any:
        x += 1
        return x * 1

    failing(writes, "the call changed its inputs: they were .* and are")


def test_check_function_finds_errors_that_do_not_come() -> None:
    def with_sample(sample: Sample) -> Any:
        return ad.function(name="f", takes="real", x=lambda g: g, samples=[sample])(lambda xp, x, /: x)

    failing(with_sample(Fails((2,), error=DTypeError, match="complex")), "expected DTypeError matching 'complex'; got")
    failing(with_sample(Fails([1j], error=DTypeError, match="real arrays; got integer")), "the error does not match")
    failing(with_sample(Fails([1j], error=ShapeError, match="")), "f takes real arrays; got complex")
    check_function(with_sample(Fails([1j], error=DTypeError, match="f takes real arrays; got complex64")))


def test_check_function_finds_rules_that_differ_on_tensors() -> None:
    forked = function_with(lambda g, x: (2 if isinstance(x, np.ndarray) else 4) * g * x)
    failing(forked, "a gradient with create_graph=True: ")


def test_check_function_finds_a_lost_second_derivative() -> None:
    cut = function_with(lambda g, x: 2 * g * (x.detach() if isinstance(x, ad.Tensor) else x))
    failing(cut, "gradgradcheck: by backward over backward, the derivative of output 0")
    check_function(cut, second=False)


def test_check_function_takes_functions_alone() -> None:
    check_function(right.function, Sample((3,)))
    with pytest.raises(OperandError, match="expected a function made by polyad.function, or its record; got <"):
        check_function(np.sin)


# assert_close -------------------------------------------------------------------------------------------------------


def test_assert_close(backend: Backend) -> None:
    x = ad.tensor([1.0, float("inf"), 3.0])
    assert_close(x, x + 1e-7)
    assert_close(x, x.numpy())
    assert_close(ad.ones(2), np.ones(2), check_dtype=False)
    assert_close(x * float("nan"), x * float("nan"), equal_nan=True)
    for a, b, match in [
        (x, x[:2], r"the shape is \(3,\); expected \(2,\)"),
        (x, x.double(), "the type is float32; expected float64"),
        (x, x + 1e-3, r"2 of 3 elements differ by more than 1e-05 \+ 1.3e-06 \* abs\(expected\); most at \(\d,\): "),
        (x, -x, r"3 of 3 .* most at \(1,\): inf; expected -inf"),
        (x * float("nan"), x * float("nan"), r"3 of 3"),
        (ad.tensor([1, 2]), ad.tensor([1, 3]), r"1 of 2 .* most at \(1,\): 2; expected 3"),
        (ad.tensor([[1 + 1j]]), ad.tensor([[1 - 1j]]), r"1 of 1 .* at \(0, 0\)"),
    ]:
        with pytest.raises(AssertionError, match="^here: " + match):
            assert_close(a, b, msg="here")
    assert_close(x, x + 0.5, atol=1.0)
    assert_close(x, x * 1.5, rtol=1.0, atol=0.0)


def test_outputs_alone() -> None:
    class Careless(ad.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            return g * 2 + h * 3 if g is not None and h is not None else (g if h is None else h) * 5

    x = ad.tensor([1.0, 2.0], dtype=ad.float64, requires_grad=True)
    with pytest.raises(
        GradcheckError, match="is 5.0 analytically and 2.0|output 0 alone has another gradient by input 0"
    ):
        gradcheck(Careless.apply, x, fast_mode=True)
    assert gradcheck(Careless.apply, x, fast_mode=True, check_undefined_grad=False)


def test_what_there_is_nothing_of() -> None:
    x = leaf([1.0])
    for check, options, match in [
        (gradcheck, {"masked": True}, "gradcheck: masked=True asks for sparse tensors, which polyad does not have"),
        (gradgradcheck, {"masked": True}, "gradgradcheck: masked=True asks for sparse tensors"),
        (
            gradcheck,
            {"check_backward_ad": False},
            "gradcheck: check_forward_ad and check_backward_ad are False, so nothing is left to check; set one True",
        ),
        (
            gradgradcheck,
            {"check_rev_over_rev": False},
            "gradgradcheck: check_fwd_over_rev and check_rev_over_rev are False, so nothing is left to check",
        ),
        (
            gradcheck,
            {"check_batched_forward_grad": True},
            "check_batched_forward_grad=True checks what check_forward_ad computes; set that True, too",
        ),
        (
            gradcheck,
            {"check_forward_ad": True, "check_backward_ad": False, "check_batched_grad": True},
            "check_batched_grad=True checks what check_backward_ad computes; set that True, too",
        ),
        (
            gradgradcheck,
            {"check_fwd_over_rev": True, "check_rev_over_rev": False, "check_batched_grad": True},
            "check_batched_grad=True checks what check_rev_over_rev computes; set that True, too",
        ),
    ]:
        with pytest.raises(ArgumentError, match=match):
            check(lambda x: x * x, x, **options)  # type: ignore[operator]


def test_second_derivatives_at_spread_gradients() -> None:
    x = ad.tensor([[1.0, 2.0]], dtype=ad.float64, requires_grad=True)
    assert gradgradcheck(lambda x: x**3, x, gen_non_contig_grad_outputs=True)
