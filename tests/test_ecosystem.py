"""Other libraries' functions on tensors: they take tensors and return tensors; gradients flow where every step has one.

`docs/ecosystem.md` lists what is tested here; a test compares the two. The libraries' own results on NumPy arrays are
the reference for values, finite differences for gradients.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import polyad as ad
from polyad.backend import Backend
from polyad.testing import assert_close, gradcheck

# the oldest versions whose functions go through the array's own namespace as is tested here
pytest.importorskip("scipy", minversion="1.17")
pytest.importorskip("sklearn", minversion="1.7")
einops = pytest.importorskip("einops")
xpx = pytest.importorskip("array_api_extra")

import scipy.cluster.vq  # noqa: E402
import scipy.differentiate  # noqa: E402
import scipy.fft  # noqa: E402
import scipy.integrate  # noqa: E402
import scipy.optimize  # noqa: E402
import scipy.signal  # noqa: E402
import scipy.spatial.transform  # noqa: E402
import scipy.special  # noqa: E402
import scipy.stats  # noqa: E402
import sklearn  # noqa: E402
from sklearn import (  # noqa: E402
    decomposition,
    discriminant_analysis,
    kernel_approximation,
    linear_model,
    metrics,
    mixture,
    model_selection,
    naive_bayes,
    preprocessing,
)

import polyad_einops  # noqa: E402, F401 - makes einops know tensors

DOCUMENT = Path(__file__).parent.parent / "docs" / "ecosystem.md"

rng = np.random.default_rng(0)
DATA = {
    "x": rng.standard_normal((6, 3)),
    "y": rng.standard_normal((6, 3)),
    "p": rng.uniform(0.5, 2.0, (6, 3)),  # positive
    "q": rng.uniform(0.5, 2.0, (6, 3)),
    "v": rng.standard_normal(24),
    "w": rng.standard_normal(5),
    "labels": np.array([0, 1, 0, 1, 1, 0]),
    "other": np.array([0, 1, 1, 1, 1, 0]),
}


class Case(NamedTuple):
    """A call of a library: what it is called with, and whether its result is differentiated."""

    call: Callable[..., Any]
    arrays: str
    gradient: bool = True


def on(call: Callable[..., Any], arrays: str = "x", gradient: bool = True, **params: Any) -> Case:
    """A function called with arrays of `DATA` and parameters."""
    return Case(lambda *args: call(*args, **params), arrays, gradient)


special, stats, signal, integrate = scipy.special, scipy.stats, scipy.signal, scipy.integrate
pairwise = metrics.pairwise

CASES: dict[str, dict[str, Case]] = {
    "einops": {
        "rearrange": on(lambda x: einops.rearrange(x, "(a b) c -> a (c b)", a=2)),
        "reduce": on(lambda x: einops.reduce(x, "(a b) c -> a c", "mean", a=2)),
        "repeat": on(lambda x: einops.repeat(x, "a b -> a r b", r=3)),
        "einsum": on(lambda x, y: einops.einsum(x, y, "a b, a c -> b c"), "x y"),
        "pack": on(lambda x, y: einops.pack([x, y], "a *")[0], "x y"),
        "unpack": on(lambda x: einops.unpack(x, [(1,), (2,)], "a *")),
    },
    "array_api_extra": {
        "apply_where": on(lambda v: xpx.apply_where(v > 0, v, lambda a: a**2, fill_value=0.0), "v"),
        "at": on(lambda x: xpx.at(x * 1.0)[1:3].add(2.0)),
        "atleast_nd": on(xpx.atleast_nd, "v", ndim=3),
        "cov": on(xpx.cov),
        "create_diagonal": on(xpx.create_diagonal, "w"),
        "isclose": on(xpx.isclose, "x y", gradient=False),
        "kron": on(xpx.kron, "x y"),
        "nunique": on(xpx.nunique, "labels", gradient=False),
        "one_hot": on(xpx.one_hot, "labels", gradient=False, num_classes=2),
        "pad": on(xpx.pad, "v", pad_width=2),
        "setdiff1d": on(xpx.setdiff1d, "labels other", gradient=False),
        "sinc": on(xpx.sinc, "v"),
    },
    "scipy.special": {
        **{name: on(getattr(special, name), axis=1) for name in ("logsumexp", "softmax")},
        "log_softmax": on(special.log_softmax, gradient=False, axis=1),
        **{
            name: on(lambda p, f=name: getattr(special, f)(p / 4), "p")
            for name in ("erf", "erfc", "expit", "logit", "ndtr", "log_ndtr", "ndtri", "entr", "gammaln", "digamma")
        },
        **{name: on(getattr(special, name), "p") for name in ("i0", "i0e", "i1", "i1e")},
        **{name: on(getattr(special, name), "p q") for name in ("xlogy", "rel_entr", "betaln")},
    },
    "scipy.stats": {
        **{
            name: on(getattr(stats, name), "p", axis=0)
            for name in (
                *("skew", "kurtosis", "sem", "variation", "gmean", "hmean", "tmean", "tvar", "tstd", "entropy"),
                *("differential_entropy", "kstat", "iqr", "moment", "circmean"),
            )
        },
        "pmean": on(lambda p: stats.pmean(p, 2, axis=0), "p"),
        "zmap": on(lambda x, y: stats.zmap(x, y), "x y"),
        "ttest_ind": on(lambda x, y: stats.ttest_ind(x, y).statistic, "x y"),
        "pearsonr": on(lambda x, y: stats.pearsonr(x, y, axis=0).statistic, "x y"),
        "quantile": on(lambda v: stats.quantile(v, 0.3), "v"),
        "rankdata": on(stats.rankdata, "v", gradient=False),
        "directional_stats": on(lambda x: stats.directional_stats(x).mean_direction),
    },
    "scipy.signal": {
        "convolve": on(lambda v, w: signal.convolve(v, w, method="fft"), "v w"),
        "correlate": on(lambda v, w: signal.correlate(v, w, method="fft"), "v w"),
        "fftconvolve": on(signal.fftconvolve, "v w"),
        "oaconvolve": on(signal.oaconvolve, "v w"),
        "hilbert": on(lambda v: abs(signal.hilbert(v)), "v"),
        "resample": on(lambda v: signal.resample(v, 12), "v"),
        "detrend": on(lambda v: signal.detrend(v, type="constant"), "v", gradient=False),
    },
    "scipy.fft": {
        "fft": on(lambda x: abs(scipy.fft.fft(x))),
        "ifft": on(lambda x: abs(scipy.fft.ifft(x))),
        "rfft": on(lambda x: abs(scipy.fft.rfft(x))),
        "fftn": on(lambda x: abs(scipy.fft.fftn(x))),
        "fftshift": on(scipy.fft.fftshift, "v"),
    },
    "scipy.integrate": {
        "trapezoid": on(integrate.trapezoid),
        "cumulative_trapezoid": on(integrate.cumulative_trapezoid),
    },
    "scipy.optimize": {
        "rosen": on(scipy.optimize.rosen, "v"),
        "rosen_der": on(scipy.optimize.rosen_der, "v"),
    },
    "scipy.spatial.transform": {
        "Rotation": on(lambda x: scipy.spatial.transform.Rotation.from_rotvec(x).as_matrix(), gradient=False),
    },
    "scipy.cluster": {
        "vq.whiten": on(scipy.cluster.vq.whiten, "p", gradient=False),
    },
    "sklearn.preprocessing": {
        **{
            name: on(lambda x, f=name: getattr(preprocessing, f)().fit_transform(x), gradient=False)
            for name in ("MaxAbsScaler", "MinMaxScaler", "StandardScaler", "Normalizer", "Binarizer")
        },
        "PolynomialFeatures": on(lambda x: preprocessing.PolynomialFeatures().fit_transform(x), gradient=False),
        "KernelCenterer": on(lambda x: preprocessing.KernelCenterer().fit_transform(x @ x.T), gradient=False),
        "LabelEncoder": on(lambda a: preprocessing.LabelEncoder().fit_transform(a), "labels", gradient=False),
    },
    "sklearn.decomposition": {
        "PCA": on(lambda x: decomposition.PCA(2, svd_solver="full").fit_transform(x), gradient=False),
    },
    "sklearn.linear_model": {
        "Ridge": on(lambda x, y: linear_model.Ridge(solver="svd").fit(x, y[:, 0]).predict(x), "x y", gradient=False),
    },
    "sklearn.discriminant_analysis": {
        "LinearDiscriminantAnalysis": on(
            lambda x, a: discriminant_analysis.LinearDiscriminantAnalysis().fit(x, a).predict(x),
            "x labels",
            gradient=False,
        ),
    },
    "sklearn.naive_bayes": {
        "GaussianNB": on(lambda x, a: naive_bayes.GaussianNB().fit(x, a).predict(x), "x labels", gradient=False),
    },
    "sklearn.mixture": {
        "GaussianMixture": on(
            lambda x: mixture.GaussianMixture(1, init_params="random", random_state=0).fit(x).means_, gradient=False
        ),
    },
    "sklearn.kernel_approximation": {
        "Nystroem": on(
            lambda x: kernel_approximation.Nystroem(n_components=3, random_state=0).fit_transform(x), gradient=False
        ),
    },
    "sklearn.model_selection": {
        "train_test_split": on(lambda x: model_selection.train_test_split(x, random_state=0), gradient=False),
    },
    "sklearn.metrics": {
        **{
            name: on(lambda p, q, f=name: getattr(metrics, f)(p[:, 0], q[:, 0]), "p q", gradient=False)
            for name in (
                *("mean_squared_error", "mean_absolute_error", "r2_score", "max_error", "explained_variance_score"),
                *("mean_squared_log_error", "median_absolute_error", "root_mean_squared_error"),
            )
        },
        **{
            name: on(getattr(metrics, name), "labels other", gradient=False)
            for name in ("accuracy_score", "f1_score", "precision_score", "zero_one_loss", "confusion_matrix")
        },
    },
    "sklearn.metrics.pairwise": {
        **{
            name: on(getattr(pairwise, name), "p q")
            for name in (
                *("euclidean_distances", "linear_kernel", "rbf_kernel", "polynomial_kernel", "sigmoid_kernel"),
                *("laplacian_kernel", "manhattan_distances", "additive_chi2_kernel", "chi2_kernel"),
            )
        },
        **{name: on(getattr(pairwise, name), "p q", gradient=False) for name in ("cosine_similarity",)},
    },
}
NAMES = [(library, name) for library, cases in CASES.items() for name in cases]


@pytest.fixture(autouse=True)
def dispatch() -> Iterator[None]:
    """scikit-learn's switch; SciPy's is an environment variable, set in conftest.py before it is imported."""
    with sklearn.config_context(array_api_dispatch=True):
        yield


def arrays_of(result: Any) -> list[Any]:
    """The arrays, or numbers, in what a library returned."""
    if isinstance(result, (tuple, list)):
        return [a for part in result for a in arrays_of(part)]
    return [result]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # SciPy's own, at edges of its algorithms
@pytest.mark.parametrize(("library", "name"), NAMES, ids=[f"{library}.{name}" for library, name in NAMES])
def test_value_and_gradient(backend: Backend, library: str, name: str) -> None:
    case = CASES[library][name]
    arrays = [DATA[a] for a in case.arrays.split()]
    tensors = [ad.tensor(a) for a in arrays]
    found, expected = arrays_of(case.call(*tensors)), arrays_of(case.call(*arrays))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        if isinstance(b, np.ndarray) or (isinstance(b, np.generic) and isinstance(a, ad.Tensor)):
            assert isinstance(a, ad.Tensor)
            assert a.backend is backend
        assert_close(ad.asarray(a, backend="numpy") if not isinstance(a, ad.Tensor) else a, np.asarray(b), **LOOSE)
    if case.gradient:
        gradcheck(case.call, [t.requires_grad_() if t.is_floating_point() else t for t in tensors], fast_mode=True)


LOOSE: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-9, "check_dtype": False, "equal_nan": True}


def test_the_document_lists_what_is_tested() -> None:
    """The table of docs/ecosystem.md has a line for each library: functions with gradients, and values alone."""
    listed: dict[str, tuple[set[str], set[str]]] = {}
    for line in DOCUMENT.read_text().splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].strip("`") in CASES:
            with_gradient, values = (set(re.findall(r"`([^`]+)`", c)) for c in cells[1:])
            listed[cells[0].strip("`")] = with_gradient, values
    tested = {
        library: (
            {name for name, case in cases.items() if case.gradient},
            {name for name, case in cases.items() if not case.gradient},
        )
        for library, cases in CASES.items()
    }
    assert listed == tested
