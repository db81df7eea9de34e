"""Values and gradients against PyTorch's, at every sample, for every function that PyTorch has too.

Skipped without PyTorch; ``tox -e torch-oracle`` brings it. Compared are values and gradients in single and double
precision, real and complex, and second gradients in double. A function is in `ORACLE`, or in `ABSENT` with the reason.

On NumPy arrays alone: the rules are the same text on every backend, and each backend is checked by differences.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from references.indexing import brackets

import polyad as ad
from polyad.dtypes import CATEGORIES, DType
from polyad.function import FUNCTIONS, Function
from polyad.testing import Fails, Sample, call_sample, sample_arguments

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
F = torch.nn.functional

ad.plugins.load_all()


# What PyTorch calls it ------------------------------------------------------------------------------------------


def named(prefix: str, *names: str, **renamed: str) -> dict[str, Callable[..., Any]]:
    """PyTorch's functions of the same name and parameters, or of the name given."""
    home = torch
    for part in prefix.split(".")[:-1]:
        home = getattr(home, part)
    return {prefix + n: getattr(home, t) for n, t in {**dict(zip(names, names, strict=True)), **renamed}.items()}


def all_axes(x: Any, axis: Any) -> tuple[int, ...]:
    return tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction over axes: where PyTorch would take no axis, over all of them."""

    def call(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        if axis == () or not x.ndim:  # which PyTorch takes for all axes
            return function(x[None], dim=0)
        return function(x, dim=all_axes(x, axis), keepdim=keepdims)

    return call


def one_by_one(function: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction that PyTorch takes over one axis at a time."""

    def call(x: Any, axis: Any = None, keepdims: bool = False, **params: Any) -> Any:
        for i in sorted((a % x.ndim for a in all_axes(x, axis)), reverse=True):
            x = function(x, dim=i, keepdim=keepdims, **params)
        return x

    return call


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
        if axis == ():
            return function(x[None], dim=0, correction=correction)
        return function(x, dim=all_axes(x, axis), correction=correction, keepdim=keepdims)

    return call


def flat_or_along(function: Callable[..., Any], default: int | None = None) -> Callable[..., Any]:
    """A function along one axis, or of all elements in row where there is none."""

    def call(x: Any, axis: int | None = default, **params: Any) -> Any:
        params = {{"keepdims": "keepdim"}.get(k, k): v for k, v in params.items()}
        return function(x.reshape(-1) if axis is None else x, dim=0 if axis is None else axis, **params)

    return call


def choosing(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(x: Any, axis: int | None = None, keepdims: bool = False) -> Any:
        return function(x, axis, keepdims) if axis is not None or not keepdims else function(x).reshape((1,) * x.ndim)

    return call


def cumulative(function: Callable[..., Any], begin: float) -> Callable[..., Any]:
    def call(x: Any, axis: int | None = None, dtype: Any = None, include_initial: bool = False) -> Any:
        axis = 0 if axis is None else axis
        y = function(x, axis)
        if include_initial:
            one = [1 if i == axis % y.ndim else n for i, n in enumerate(y.shape)]
            y = torch.cat([torch.full(one, begin, dtype=y.dtype), y], axis)
        return y

    return call


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    return torch.take(x, indices) if axis is None else torch.index_select(x, axis, indices.reshape(-1))


def write(x: Any, value: Any, *indices: Any, key: Any) -> Any:
    x = x.clone()
    x[flat_key(x, indices, key)] = value.reshape(x[flat_key(x, indices, key)].shape) if value.ndim > x.ndim else value
    return x


def flat_key(x: Any, indices: Any, key: Any) -> Any:
    """A key as PyTorch takes it, which has no negative steps: as positions."""
    positions = np.arange(x.numel()).reshape(x.shape)[brackets(key, tuple(i.numpy() for i in indices))]
    return tuple(torch.from_numpy(np.array(i)) for i in np.unravel_index(positions, x.shape)) if x.ndim else ()


def read(x: Any, *indices: Any, key: Any) -> Any:
    return x[flat_key(x, indices, key)]


def scatter(g: Any, *indices: Any, key: Any, shape: Any) -> Any:
    out = torch.zeros(shape, dtype=g.dtype)
    return out.index_put(flat_key(out, indices, key), g, accumulate=True)


def linalg_lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and a.shape[:-1] == b.shape)
    found = torch.linalg.pinv(a) @ (b[..., None] if vector else b)
    return found[..., 0] if vector else found


def sorted_by(x: Any, axis: int = -1, descending: bool = False, stable: bool = True) -> Any:
    return torch.sort(x, dim=axis, descending=descending, stable=stable)


def fft_of_axes(function: Callable[..., Any], default: Any = None) -> Callable[..., Any]:
    return lambda x, s=None, axes=default, norm="backward": function(x, s=s, dim=axes, norm=norm)


def fft_of_axis(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, n=None, axis=-1, norm="backward": function(x, n=n, dim=axis, norm=norm)


def fixed(x: Any) -> Any:
    """What PyTorch does not differentiate by."""
    return None if x is None else x.detach()


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    return torch.linalg.norm(x, ord=ord, dim=axis, keepdim=keepdims)


def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    return torch.linalg.vector_norm(x, ord=ord, dim=all_axes(x, axis) if x.ndim else None, keepdim=keepdims)


def matrix_norm(x: Any, keepdims: bool = False, ord: Any = "fro") -> Any:
    return torch.linalg.matrix_norm(x, ord=ord, keepdim=keepdims)


def scaled(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function(x, a, b, value=)`` of a number that polyad takes as an operand too."""

    def call(x: Any, a: Any, b: Any, value: Any = None) -> Any:
        if value is None:
            return function(x, a, b)
        return x + value * function(torch.zeros_like(x), a, b)  # by value there is no gradient in PyTorch

    return call


ORACLE: dict[str, Callable[..., Any]] = {
    **named(
        "",
        *("add", "subtract", "multiply", "divide", "remainder", "fmod", "floor_divide", "negative", "positive", "abs"),
        *("signbit", "copysign", "heaviside", "nextafter", "square", "sqrt", "rsqrt", "reciprocal", "hypot", "frac"),
        *("gcd", "lcm", "ceil", "floor", "trunc", "round", "angle", "isreal", "exp", "exp2", "expm1", "log", "log1p"),
        *("log2", "log10", "logaddexp", "logaddexp2", "xlogy", "sin", "cos", "tan", "asin", "acos", "atan", "atan2"),
        *("sinc", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "deg2rad", "rad2deg", "equal", "not_equal"),
        *("less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor", "logical_not"),
        *("isfinite", "isinf", "isnan", "isposinf", "isneginf", "bitwise_and", "bitwise_or", "bitwise_xor", "maximum"),
        *("bitwise_left_shift", "bitwise_right_shift", "minimum", "fmax", "fmin", "matmul", "inner", "outer", "kron"),
        *("logdet", "clone", "detach", "lerp", "where", "isclose", "nan_to_num", "reshape", "block_diag", "msort"),
        *("addmm", "addmv", "baddbmm", "addbmm", "diag_embed", "mv", "dot", "bmm", "ger", "cdist"),
        *("logit", "sgn", "erf", "erfc", "erfinv"),
        *("trapezoid", "cumulative_trapezoid", "bucketize", "polar", "complex", "cosine_similarity"),
        "view_as_real",
        power="pow",
        pow="pow",
        sign="sgn",
        bitwise_invert="bitwise_not",
    ),
    **named("linalg.", "eigvalsh", "det", "inv", "solve", "matrix_exp", "eigh", "slogdet", "multi_dot", "qr", "eig"),
    **named("linalg.", "eigvals", "svdvals", "cond", "tensorinv", "tensorsolve", "lu", "matrix_power", "vander"),
    **named(
        "special.",
        *("erf", "erfc", "erfcx", "erfinv", "ndtr", "log_ndtr", "ndtri", "gammaln", "digamma", "entr"),
        *("zeta", "i0", "i1", "i0e", "i1e", "xlogy", "xlog1py", "expit", "logit"),
    ),
    "equal": torch.eq,
    "not_equal": torch.ne,
    "unfold": lambda x, axis, size, step: x.unfold(axis, size, step),
    "view_as_complex": lambda x: torch.complex(x[..., 0], x[..., 1]),  # its own refuses tensors without elements
    "real": lambda x: torch.real(x) if x.is_complex() else x.clone(),
    "imag": lambda x: torch.imag(x) if x.is_complex() else torch.zeros_like(x),
    "conj": lambda x: torch.conj(x).resolve_conj(),
    "positive": lambda x: x.clone(),
    "angle": torch.angle,
    "clip": lambda x, low=None, high=None: torch.clamp(x, low, high) if not (low is high is None) else x.clone(),
    "addcmul": scaled(torch.addcmul),
    "addcdiv": scaled(torch.addcdiv),
    "masked_fill": lambda x, mask, value: torch.where(mask, value, x),
    "squeeze": lambda x, axis=None: torch.squeeze(x) if axis is None else torch.squeeze(x, axis),
    "expand_dims": lambda x, axis: x[tuple(None if i in inserted(x, axis) else slice(None) for i in final(x, axis))],
    "permute_dims": lambda x, axes: torch.permute(x, axes),
    "flip": lambda x, axis=None: torch.flip(x, all_axes(x, axis)),
    "rot90": lambda x, k=1, axes=(0, 1): torch.rot90(x, k, axes),
    "roll": lambda x, shift, axis=None: torch.roll(
        x, (shift,) * len(axis) if isinstance(axis, tuple) and isinstance(shift, int) else shift, axis
    ),
    "broadcast_to": lambda x, shape: torch.broadcast_to(x, shape),
    "tile": lambda x, repetitions: torch.tile(x, np.atleast_1d(repetitions).tolist()),
    "repeat": lambda x, repeats, axis=None: torch.repeat_interleave(x, repeats, dim=axis),
    "concat": lambda arrays, axis=0: torch.cat(arrays, axis) if axis is not None else None,
    "stack": lambda arrays, axis=0: torch.stack(arrays, axis),
    "diagonal": lambda x, offset=0, axis1=0, axis2=1: torch.diagonal(x, offset, axis1, axis2),
    "diag": lambda x, k=0: torch.diag(x, k),
    "diagflat": lambda x, k=0: torch.diagflat(x, k),
    "tril": lambda x, k=0: torch.tril(x, k),
    "triu": lambda x, k=0: torch.triu(x, k),
    "new_full": lambda x, shape, fill_value: x.new_full(shape, fill_value),
    "take": take,
    "take_along_axis": lambda x, indices, axis=-1: torch.take_along_dim(x, indices, axis),
    "getitem": read,
    "slice_view": read,
    "setitem": write,
    "index_scatter": scatter,
    "copy": lambda x, y: torch.broadcast_to(y, x.shape),
    "sum": reduction(torch.sum),
    "mean": reduction(torch.mean),
    "prod": one_by_one(torch.prod),
    "var": spread(torch.var),
    "std": spread(torch.std),
    "max": reduction(torch.amax),
    "min": reduction(torch.amin),
    "logsumexp": reduction(torch.logsumexp),
    "nansum": reduction(torch.nansum),
    "nanmean": reduction(torch.nanmean),
    "count_nonzero": lambda x, axis=None, keepdims=False: (
        torch.sum(x != 0, all_axes(x, axis), keepdims) if axis != () else (x != 0).long()
    ),
    "all": lambda x, **params: one_by_one(torch.all)(x != 0, **params),
    "any": lambda x, **params: one_by_one(torch.any)(x != 0, **params),
    "argmax": choosing(torch.argmax),
    "argmin": choosing(torch.argmin),
    "cumulative_sum": cumulative(torch.cumsum, 0.0),
    "cumulative_prod": cumulative(torch.cumprod, 1.0),
    "logcumsumexp": flat_or_along(torch.logcumsumexp),
    "cummax": flat_or_along(torch.cummax),
    "cummin": flat_or_along(torch.cummin),
    "diff": lambda x, axis=-1, n=1: torch.diff(x, n=n, dim=axis),
    "sort": lambda x, **params: sorted_by(x, **params)[0],
    "argsort": lambda x, **params: sorted_by(x, **params)[1],
    "topk": lambda x, k, axis=-1, largest=True, sorted=True: torch.topk(x, k, axis, largest, sorted),
    "kthvalue": lambda x, k, axis=-1, keepdims=False: torch.kthvalue(x, k, axis, keepdims),
    "searchsorted": lambda x, values, side="left", sorter=None: torch.searchsorted(x, values, side=side, sorter=sorter),
    "isin": lambda x, y, invert=False: torch.isin(x, y, invert=invert),
    "tensordot": lambda a, b, axes=2: torch.tensordot(a, b, axes),
    "vecdot": lambda a, b, axis=-1: torch.linalg.vecdot(a, b, dim=axis),
    "cross": lambda a, b, axis=-1: torch.linalg.cross(*torch.broadcast_tensors(a, b), dim=axis),
    "einsum": lambda *operands, subscripts, optimize=True: torch.einsum(subscripts, *operands),
    "einsum_pair": lambda a, b, subscripts: torch.einsum(subscripts, a, b),
    "trace": lambda x, offset=0, dtype=None: torch.diagonal(x, offset, -2, -1).sum(-1),
    "astype": lambda x, dtype: x.to(getattr(torch, str(dtype))),
    "norm": lambda x, p="fro", axis=None, keepdims=False: torch.norm(x, p, axis, keepdims),
    "linalg.norm": norm,
    "linalg.vector_norm": vector_norm,
    "linalg.matrix_norm": matrix_norm,
    "linalg.matrix_rank": lambda x, rtol=None: torch.linalg.matrix_rank(x, rtol=fixed(rtol)),
    "linalg.pinv": lambda x, rtol=None: torch.linalg.pinv(x, rtol=fixed(rtol)),
    "linalg.lstsq": linalg_lstsq,
    "linalg.cholesky": lambda x, upper=False: torch.linalg.cholesky(x, upper=upper),
    "linalg.svd": lambda x, full_matrices=True: torch.linalg.svd(x, full_matrices=full_matrices),
    "linalg.qr": lambda x, mode="reduced": torch.linalg.qr(x, mode),
    "linalg.solve_triangular": lambda a, b, upper, left=True, unitriangular=False: torch.linalg.solve_triangular(
        a, b, upper=upper, left=left, unitriangular=unitriangular
    ),
    **{f"fft.{n}": fft_of_axis(getattr(torch.fft, n)) for n in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")},
    **{f"fft.{n}": fft_of_axes(getattr(torch.fft, n)) for n in ("fftn", "ifftn", "rfftn", "irfftn")},
    **{
        f"fft.{n}": fft_of_axes(getattr(torch.fft, n), (-2, -1))
        for n in ("fft2", "ifft2", "rfft2", "irfft2", "hfft2", "ihfft2")
    },
    "fft.fftshift": lambda x, axes=None: torch.fft.fftshift(x, axes),
    "fft.ifftshift": lambda x, axes=None: torch.fft.ifftshift(x, axes),
    "special.polygamma": lambda x, n: torch.special.polygamma(n, x),
    "special.multigammaln": lambda a, d: torch.special.multigammaln(a, d),
    "special.gammainc": lambda a, x: torch.special.gammainc(fixed(a), x),
    "special.gammaincc": lambda a, x: torch.special.gammaincc(fixed(a), x),
    "special.softmax": lambda x, axis=None: softmax(x, axis).exp(),
    "special.log_softmax": lambda x, axis=None: softmax(x, axis),
    "special.log_expit": F.logsigmoid,
    "nn.relu": F.relu,
    "nn.sigmoid": torch.sigmoid,
    "nn.softmax": lambda x, axis=-1: F.softmax(x, axis),
    "nn.log_softmax": lambda x, axis=-1: F.log_softmax(x, axis),
    "nn.mse_loss": F.mse_loss,
    "nn.cross_entropy": lambda x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0: (
        F.cross_entropy(
            x,
            target,
            fixed(weight),
            ignore_index=-100 if ignore_index is None else ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
    ),
    "nn.linear": F.linear,
}


def inserted(x: Any, axis: Any) -> set[int]:
    axes = axis if isinstance(axis, tuple) else (axis,)
    return {a % (x.ndim + len(axes)) for a in axes}


def final(x: Any, axis: Any) -> range:
    return range(x.ndim + len(inserted(x, axis)))


def softmax(x: Any, axis: Any) -> Any:
    return x - torch.logsumexp(x, all_axes(x, axis), keepdim=True)


OWN = "a step of others that has no name there"
ABSENT = {
    "cholesky_solve": "compared with NumPy",
    **dict.fromkeys(("linalg._tall_qr", "linalg._thin_svd"), "steps of qr and svd, which are compared"),
    "_places": "a step of scatter, which is compared",
    "cbrt": "there is only pow, which has no root of a negative number",
    "nonzero": "one array of indices there",
    **dict.fromkeys(("nanprod", "nanvar", "nanstd", "nanmax", "nanmin", "ptp"), "NumPy's alone"),
    "median": "the lower of the two middle ones there",
    "interp": "NumPy's alone",
    "convolve": "NumPy's alone",
    "quantile": "its methods are NumPy's, with which it is compared",
    "aminmax": "of one axis there; min and max are compared",
    "vander": "its gradient fails in PyTorch, over a write in place",
    "pad": "its modes and the order of its widths are others; compared with NumPy",
    "unique_values": "no derivative, another order of results",
    "unique_counts": "no derivative, another order of results",
    "unique_inverse": "no derivative, another order of results",
    "unique_all": "no derivative, another order of results",
    **dict.fromkeys(("_add_along_axis", "_logistic", "_put_along_axis", "_sum_from_end", "_ranked"), OWN),
    "nn._where_positive": OWN,
    **dict.fromkeys(("_extreme_along_axis", "_multiply_along_axis", "_masked_scatter", "_index_add", "_fold"), OWN),
    **dict.fromkeys(("linalg.adjugate", "random.gamma_slope", "random.log_gamma"), OWN),
    **dict.fromkeys(
        (
            "special.erfcinv",
            "special.gamma",
            "special.betaln",
            "special.beta",
            "special.betainc",
            "special.rel_entr",
            "special.kl_div",
        ),
        "SciPy's alone, or of another meaning",
    ),
}


UNTRACKED = {"nn.cross_entropy", "linalg.pinv", "linalg.matrix_rank", "special.gammainc", "special.gammaincc"}
"""Of whose inputs PyTorch differentiates by the leading ones only, or the last."""

DIFFERENT = {
    ("power", "0 ** 0"): "NaN there, of complex numbers",
    ("sinc", "at and near zero"): "the second derivative at 0 is NaN there",
    ("var", "of too few"): "infinite there; in the standard NaN",
    ("linalg.det", "singular"): "the second derivative is that of some limit there; ours is checked by differences",
    ("linalg.qr", "complete, tall"): "no gradient, in both",
    ("std", "of too few"): "infinite there; in the standard NaN",
    ("special.log_ndtr", "both tails"): "the second derivative is less exact there",
    ("special.polygamma", "edges"): "of negative zero finite there",
    ("special.polygamma", "edges of the second"): "of infinity NaN there",
    ("special.zeta", "edges"): "of infinity NaN there",
}
"""Samples at which PyTorch is otherwise, and how."""


# What is compared -----------------------------------------------------------------------------------------------

FREE = {
    "linalg.eigh": lambda w, v: (w, abs(v) * abs(v)),
    "linalg.eig": lambda w, v: (w, abs(v) * abs(v)),
    "linalg.qr": lambda q, r: (abs(q), abs(r)),
    "linalg.svd": lambda u, s, vh: (abs(u)[..., : s.shape[-1]], s, abs(vh)[..., : s.shape[-1], :]),
    "linalg.lstsq": lambda *found: found[:1],
}
"""What of a result does not depend on a choice: of eigenvectors' phases, say."""

MATRICES = {
    "symmetric": lambda x: (x + x.mT.conj()) / 2,
    "positive": lambda x: x @ x.mT.conj() + torch.eye(x.shape[-1], dtype=x.dtype),
    "invertible": lambda x: x + 2 * x.shape[-1] * torch.eye(x.shape[-1], dtype=x.dtype),
}

TYPES = {
    ad.float64: (torch.float64, 1e-9, 1e-10),
    ad.complex128: (torch.complex128, 1e-9, 1e-10),
    ad.float32: (torch.float32, 1e-4, 1e-5),
    ad.complex64: (torch.complex64, 1e-4, 1e-5),
}
UNKNOWN = re.compile(
    "not implemented|not supported|does not support|only supports|unsupported|expected.*real|cannot compute",
    re.IGNORECASE,
)


def compared(function: Function) -> Iterator[tuple[Function, Sample, int]]:
    for i, sample in enumerate(function.samples):
        if not isinstance(sample, Fails) and (function.name, sample.name) not in DIFFERENT:
            yield function, sample, i


CASES = [
    pytest.param(f, s, id=f"{f.name}-{i}-{s!r}")
    for function in FUNCTIONS.values()
    if function.name in ORACLE
    for f, s, i in compared(function)
]


def as_torch(values: Sequence[Any], native: Any) -> list[Any]:
    """Tensors as PyTorch's leaves, numbers as tensors without dimensions."""

    def one(x: Any) -> Any:
        if isinstance(x, ad.Tensor):
            made = torch.from_numpy(np.array(x.detach().numpy()))
            return made.requires_grad_(x.requires_grad)
        if isinstance(x, (int, float, complex)) and not isinstance(x, bool):
            return torch.tensor(x, dtype=native)
        return x

    return [one(x) for x in values]


def several(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def weights(shape: Any, is_complex: bool, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    found = draw.normal(size=shape)
    return found + 1j * draw.normal(size=shape) if is_complex else found


def close(ours: Any, theirs: Any, what: str, rtol: float, atol: float) -> None:
    a = ours.detach().numpy() if isinstance(ours, ad.Tensor) else np.asarray(ours)
    b = theirs.numpy(force=True) if isinstance(theirs, torch.Tensor) else np.asarray(theirs)
    assert a.shape == b.shape, f"{what}: shape {a.shape}; PyTorch's {b.shape}"
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=what)


class Both:
    """One call in both libraries, and its gradients."""

    def __init__(self, record: Function, sample: Sample, dtype: DType) -> None:
        native, self.rtol, self.atol = TYPES[dtype]
        self.ours = sample_arguments(sample, dtype, requires_grad=True)
        self.theirs = as_torch(self.ours, native)
        free = FREE.get(record.name, lambda *outputs: outputs)
        make = MATRICES.get(sample.domain) if isinstance(sample.domain, str) else None
        square = [isinstance(x, ad.Tensor) and x.ndim >= 2 and x.shape[-1] == x.shape[-2] for x in self.ours]
        made = [make(x) if make and s else x for x, s in zip(self.theirs, square, strict=True)]
        function = ORACLE[record.name]
        params = dict(sample.params)
        found = function(made, **params) if record.sequence else function(*made, **params)
        self.their_outputs = list(free(*several(found)))
        self.our_outputs = list(free(*several(call_sample(record, sample, self.ours))))

    def values(self) -> None:
        assert len(self.our_outputs) == len(self.their_outputs)
        for i, (a, b) in enumerate(zip(self.our_outputs, self.their_outputs, strict=True)):
            close(a, b, f"output {i}", self.rtol, self.atol)

    def gradients(self, record: Function, second: bool) -> None:
        self.untracked = record.name in UNTRACKED
        pairs = list(zip(self.our_outputs, self.their_outputs, strict=True))
        kept = [i for i, (a, b) in enumerate(pairs) if a.requires_grad and b.requires_grad]
        leaves = [i for i, x in enumerate(self.ours) if isinstance(x, ad.Tensor) and x.requires_grad]
        if not kept or not leaves:
            return
        ours, theirs = self.our_outputs, self.their_outputs
        for order in ("first", "second") if second else ("first",):
            ours, theirs = self.pulled([ours[i] for i in kept], [theirs[i] for i in kept], leaves, order)
            kept = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a.requires_grad and b.requires_grad]
            if not kept:
                return

    def pulled(self, ours: list[Any], theirs: list[Any], leaves: list[int], order: str) -> tuple[list[Any], list[Any]]:
        """Gradients of both, compared."""
        seeds = [weights(y.shape, y.dtype.is_complex, i) for i, y in enumerate(ours)]
        dtypes = [y.dtype for y in ours]
        a = ad.autograd.grad(
            ours,
            [self.ours[i] for i in leaves],
            [ad.tensor(g, dtype=d) for g, d in zip(seeds, dtypes, strict=True)],
            create_graph=True,
            materialize_grads=True,
        )
        found = torch.autograd.grad(
            theirs,
            [self.theirs[i] for i in leaves],
            [torch.from_numpy(np.asarray(g)).to(y.dtype) for g, y in zip(seeds, theirs, strict=True)],
            create_graph=True,
            allow_unused=True,
        )
        b = [torch.zeros_like(self.theirs[i]) if y is None else y for i, y in zip(leaves, found, strict=True)]
        for i, x, y, given in zip(leaves, a, b, found, strict=True):
            if given is None and self.untracked:
                continue
            close(x, y, f"{order} gradient of input {i}", self.rtol * 100, self.atol * 100)
        return list(a), list(b)


@pytest.fixture(autouse=True)
def on_numpy() -> Iterator[None]:
    with ad.use_backend("numpy"):
        yield


@pytest.mark.filterwarnings("ignore")  # PyTorch's own
@pytest.mark.parametrize(("record", "sample"), CASES)
def test_as_in_pytorch(record: Function, sample: Sample) -> None:
    done = 0
    for dtype in TYPES:
        if dtype not in CATEGORIES[record.takes]:
            continue
        try:
            both = Both(record, sample, dtype)
        except (RuntimeError, NotImplementedError, TypeError) as error:
            if not UNKNOWN.search(str(error)):
                raise
            continue
        both.values()
        done += 1
        if record.differentiable and sample.grad:
            both.gradients(record, second=dtype in (ad.float64, ad.complex128))
    if not done and CATEGORIES[record.takes] & set(TYPES):
        pytest.skip("PyTorch does not take these operands")


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if f.samples])
def test_has_an_oracle_or_a_reason(name: str) -> None:
    assert (name in ORACLE) != (name in ABSENT)
