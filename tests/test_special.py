"""The plugin `polyad_special`: its functions on every backend, against SciPy."""

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.errors import AutogradError, OperandError
from polyad.function import Function
from polyad.testing import Sample, assert_close, check_function

scipy_special = pytest.importorskip("scipy.special")
S = ad.special

RECORDS = [f for name, f in ad.FUNCTIONS.items() if name.startswith("special.")]
CASES = [pytest.param(f, s, id=f"{f.name}-{i}-{s!r}") for f in RECORDS for i, s in enumerate(f.samples)]


def multigammaln(a: Any, d: int) -> Any:
    return scipy_special.multigammaln(a, d) if a.size else a


REFERENCES: dict[str, Callable[..., Any]] = {
    "polygamma": lambda x, n: scipy_special.polygamma(n, x),
    "multigammaln": multigammaln,
}


def reference(record: Function) -> Callable[..., Any]:
    name = record.name.removeprefix("special.")
    found: Callable[..., Any] = REFERENCES.get(name) or getattr(scipy_special, name)
    return found


@pytest.fixture(autouse=True)
def provided(request: pytest.FixtureRequest) -> None:
    """Keep to the backends that the plugin has kernels for."""
    if "backend" in request.fixturenames and "special.erf" not in (b := request.getfixturevalue("backend")).provided:
        pytest.skip(f"no library of special functions is known for backend {b.name!r}")


@pytest.mark.parametrize(("record", "sample"), CASES)
def test_sample(backend: Backend, record: Function, sample: Sample) -> None:
    check_function(record, sample, reference=reference(record), fast=backend.name != "numpy")


# Values over wide ranges ----------------------------------------------------------------------------------------

WIDE: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("erf", "erfc", "ndtr", "i0", "i1", "i0e", "i1e", "expit", "log_expit"), (-25.0, 25.0)),
    "erfcx": (-20.0, 100.0),
    "log_ndtr": (-100.0, 8.0),
    "erfinv": (-0.999, 0.999),
    "erfcinv": (1e-9, 1.999),
    "ndtri": (1e-9, 0.999),
    "logit": (1e-9, 0.999),
    "gammaln": (2.5, 200.0),
    "gamma": (-5.9, 100.0),
    "digamma": (2.0, 200.0),
    "entr": (0.0, 50.0),
}
POINTS = np.arange(401) / 400.0


@pytest.mark.parametrize("name", WIDE)
def test_values_over_a_wide_range(backend: Backend, name: str) -> None:
    low, high = WIDE[name]
    x = low + (high - low) * POINTS
    assert_close(getattr(S, name)(ad.tensor(x)), getattr(scipy_special, name)(x), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_polygamma_left_of_0(backend: Backend, n: int) -> None:
    x = -10 * POINTS[1:] - 0.01
    expected = scipy_special.polygamma(n, x)
    assert_close(S.polygamma(n, ad.tensor(x)), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
def test_incomplete_gamma_over_a_wide_range(backend: Backend, name: str) -> None:
    a, x = np.meshgrid([0.01, 0.5, 1.0, 7.0, 50.0], 60 * POINTS)
    # JAX's series for small shapes lose some relative accuracy where the result is small
    assert_close(
        getattr(S, name)(ad.tensor(a), ad.tensor(x)), getattr(scipy_special, name)(a, x), rtol=1e-11, atol=1e-14
    )


def test_incomplete_beta_over_a_wide_range(backend: Backend) -> None:
    a, b, x = np.meshgrid([0.1, 1.0, 7.0, 50.0], [0.2, 3.0, 40.0], POINTS)
    got = S.betainc(ad.tensor(a), ad.tensor(b), ad.tensor(x))
    assert_close(got, scipy_special.betainc(a, b, x), rtol=1e-11, atol=1e-14)


# Gradients ------------------------------------------------------------------------------------------------------


def test_slopes_far_out_keep_their_accuracy(backend: Backend) -> None:
    """Of functions whose naive derivative is a difference of nearly equal numbers."""
    x = ad.tensor([19.9, 20.1, 1e3, 1e8], dtype=ad.float64, requires_grad=True)
    S.erfcx(x).sum().backward()
    v = np.array([19.9, 20.1, 1e3, 1e8])
    series = 1 - 3 / (2 * v**2) + 15 / (4 * v**4) - 105 / (8 * v**6) + 945 / (16 * v**8)
    assert_close(x.grad, -series / (math.sqrt(math.pi) * v**2), rtol=1e-10)
    near = np.linspace(-3.0, 20.0, 47)
    x = ad.tensor(near, requires_grad=True)
    S.erfcx(x).sum().backward()
    assert_close(x.grad, 2 * near * scipy_special.erfcx(near) - 2 / math.sqrt(math.pi), rtol=1e-10)
    x = ad.tensor([-1e6, -1e3, 40.0], dtype=ad.float64, requires_grad=True)
    S.log_ndtr(x).sum().backward()
    density = math.exp(-800) / math.sqrt(2 * math.pi)
    assert_close(x.grad, np.array([1e6 + 1e-6, 1e3 + 1e-3 - 2e-9, density]), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("name", "x", "slope"),
    [
        ("entr", 0.0, math.inf),
        ("i1", 0.0, 0.5),
        ("i1e", 0.0, 0.5),
        ("i0e", 0.0, 0.0),
        ("expit", 1000.0, 0.0),
        ("log_expit", -1e4, 1.0),
        ("ndtri", 0.5, math.sqrt(2 * math.pi)),
        ("gammaln", 1.0, -0.5772156649015329),
    ],
)
def test_slope_at_an_edge(backend: Backend, name: str, x: float, slope: float) -> None:
    at = ad.tensor(x, dtype=ad.float64, requires_grad=True)
    getattr(S, name)(at).backward()
    assert_close(at.grad, np.array(slope))


def test_densities_where_they_begin(backend: Backend) -> None:
    x = ad.tensor([0.0, 0.0, 0.0], dtype=ad.float64, requires_grad=True)
    S.gammainc(ad.tensor([1.0, 2.0, 0.5], dtype=ad.float64), x).sum().backward()
    assert_close(x.grad, np.array([1.0, 0.0, math.inf]))
    a = ad.tensor([1.0, 2.0], dtype=ad.float64, requires_grad=True)
    S.gammainc(a, ad.tensor([0.0, math.inf], dtype=ad.float64)).sum().backward()
    assert_close(a.grad, np.zeros(2))
    x = ad.tensor([0.0, 1.0], dtype=ad.float64, requires_grad=True)
    S.betainc(2.0, 1.0, x).sum().backward()
    assert_close(x.grad, np.array([0.0, 2.0]))


@pytest.mark.parametrize("name", ["xlog1py", "rel_entr", "kl_div"])
def test_no_nan_leaks_from_0(backend: Backend, name: str) -> None:
    x = ad.tensor([0.0, 0.5], dtype=ad.float64, requires_grad=True)
    y = ad.tensor([0.5, 0.5], dtype=ad.float64, requires_grad=True)
    getattr(S, name)(x, y).sum().backward()
    assert not ad.isnan(x.grad).any()
    assert not ad.isnan(y.grad).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: S.betainc(x, 1.0, 0.5),
            r"special\.betainc has .* in x only; a requires a gradient: pass a\.detach\(\)",
        ),
        (lambda x: S.betainc(1.0, x, 0.5), r"special\.betainc has a derivative in x only; b requires"),
        (lambda x: S.zeta(x, 1.0), r"special\.zeta has a derivative in q only; x requires"),
    ],
)
def test_derivatives_that_do_not_exist_are_refused(
    backend: Backend, call: Callable[[ad.Tensor], ad.Tensor], message: str
) -> None:
    y = call(ad.tensor([2.0, 3.0], requires_grad=True))
    with pytest.raises(AutogradError, match=message):
        y.sum().backward()


TORCH = {
    **{name: name for name in ("erf", "erfc", "erfcx", "erfinv", "gammaln", "digamma", "i0", "i0e", "i1", "i1e")},
    **{name: name for name in ("entr", "ndtr", "log_ndtr", "ndtri", "expit", "logit", "xlogy", "xlog1py", "zeta")},
    "log_expit": "logsigmoid",
}


@pytest.mark.parametrize("name", TORCH)
def test_gradients_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    where = torch.nn.functional if name == "log_expit" else torch.special
    values = [0.1, 0.35, 0.5, 0.9]
    ours, theirs = ad.tensor(values, dtype=ad.float64, requires_grad=True), torch.tensor(values, dtype=torch.float64)
    theirs.requires_grad_()
    first = [2.5] if name == "zeta" else [0.7] if name.startswith("xlog") else []
    a = getattr(S, name)(*first, ours)
    b = getattr(where, TORCH[name])(*(torch.tensor(f, dtype=torch.float64) for f in first), theirs)
    assert_close(a, b.detach().numpy(), rtol=1e-12)
    for _ in range(2):
        (da,) = ad.autograd.grad(a.sum(), ours, create_graph=True)
        (db,) = torch.autograd.grad(b.sum(), theirs, create_graph=True)
        assert_close(da, db.detach().numpy(), rtol=1e-9)
        a, b = da, db


# Types and arguments --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", RECORDS, ids=lambda f: f.name)
def test_half_precision_is_rounded_once(backend: Backend, record: Function) -> None:
    from polyad.testing import call_sample, sample_arguments

    sample = record.samples[0]
    for dtype in (ad.float16, ad.bfloat16):
        if dtype not in ad.default_device().native:
            continue
        arguments = sample_arguments(sample, dtype)
        result = call_sample(record, sample, arguments)
        wide = [a.astype(ad.float32) if isinstance(a, ad.Tensor) else a for a in arguments]
        assert result.dtype is dtype
        assert_close(result, call_sample(record, sample, wide).astype(dtype), rtol=0, atol=0)


def test_integers_become_float32(backend: Backend) -> None:
    assert S.gammaln(ad.tensor([1, 5])).dtype is ad.float32
    assert S.xlogy(ad.tensor([1, 2]), 2.0).dtype is ad.float32


def test_other_names() -> None:
    assert (S.logsumexp, S.sinc, S.xlogy) == (ad.logsumexp, ad.sinc, ad.xlogy)
    assert (S.psi, S.lgamma, S.sigmoid, S.log_sigmoid) == (S.digamma, S.gammaln, S.expit, S.log_expit)


def test_polygamma_is_called_as_in_scipy(backend: Backend) -> None:
    with pytest.raises(OperandError, match=r"an integer and a tensor, polygamma\(n, x\); got a Tensor and a int"):
        S.polygamma(ad.tensor([1.0]), 1)


# What is loaded when --------------------------------------------------------------------------------------------


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_scipy_is_imported_by_the_first_call() -> None:
    code = (
        "import sys, polyad as ad\n"
        "x = ad.tensor([0.5])\n"
        "loaded = ['scipy' in sys.modules]\n"
        "erf = ad.special.erf\n"
        "loaded.append('scipy' in sys.modules)\n"
        "erf(x)\n"
        "loaded += ['scipy' in sys.modules, 'jax' in sys.modules]\n"
        "print(loaded)"
    )
    assert run_python(code) == "[False, False, True, False]"


def test_without_scipy_the_message_says_what_to_install() -> None:
    code = (
        "import sys, polyad as ad\n"
        "sys.modules['scipy'] = None\n"
        "try:\n"
        "    ad.special.erf(ad.tensor([0.5]))\n"
        "except ad.errors.PluginNotInstalledError as error:\n"
        "    print(error)\n"
        "print(ad.special.softmax(ad.tensor([0.0, 0.0])).tolist())"
    )
    message, softmax = run_python(code).splitlines()
    assert "pip install 'polyad[special]'" in message
    assert softmax == "[0.5, 0.5]"  # what needs no library works without


def test_a_backend_without_special_functions_says_so() -> None:
    class Plain(type(ad.plugins.backend("numpy"))):  # type: ignore[misc]
        name = "plain"

    ad.plugins.add_backend(Plain())
    try:
        x = ad.tensor([0.5], backend="plain")
        with pytest.raises(ad.errors.BackendError, match=r"'plain' has no kernel for 'special\.erf'.*another backend"):
            S.erf(x)
        assert_close(S.expit(x), scipy_special.expit(np.float32([0.5])))
    finally:
        del ad.plugins._backends["plain"]
