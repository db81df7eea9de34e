"""What an operation costs, estimated from shapes: arithmetic operations, and bytes read and written.

The counts are the usual ones of textbooks, leading terms only. Golub and Van Loan, *Matrix Computations*, 4th edition:
Cholesky n³/3 (4.2), LU 2n³/3 (3.2), QR 2n²(m - n/3) and as much for the thin Q (5.2), symmetric eigenproblem 9n³ with
vectors (8.3), unsymmetric 25n³ (7.5), thin SVD 14mn² + 8n³ (8.6). FFT 5 n log2 n (Cooley and Tukey's, as FFTW counts).
A product of complex numbers counts as 6, a sum as 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .operations import Form, Operation

__all__ = ["bytes_moved", "flops", "terms"]

Count = Callable[[Sequence[Form], Sequence[Form], Mapping[str, Any]], float]
"""``count(inputs, outputs, params)``"""


def flops(operation: Operation) -> int:
    """Estimate the arithmetic operations of an operation."""
    return round(_count(operation) * _weight(operation))


def terms(operation: Operation) -> float:
    """Estimate how many numbers meet in one element of the result, or of a gradient: rounding errors grow with them."""
    sizes = [f.size for f in (*operation.outputs, *operation.forms) if f.size]
    return max(1.0, _count(operation) / min(sizes)) if sizes else 1.0


def bytes_moved(operation: Operation) -> tuple[int, int]:
    """Give the bytes that an operation reads and writes; views move none."""
    if operation.function.view is not None:
        return 0, 0
    return sum(f.nbytes for f in operation.forms), sum(f.nbytes for f in operation.outputs)


def _count(operation: Operation) -> float:
    function, inputs, outputs = operation.function, operation.forms, operation.outputs
    if function.view is not None or not outputs:
        return 0
    count = COUNTS.get(function.name)
    if count is not None and inputs:
        return count(inputs, outputs, operation.params)
    if not inputs:
        return 0  # what fills an array computes nothing
    return max(f.size for f in (*inputs, *outputs))  # elements, or what is reduced to some


def _weight(operation: Operation) -> int:
    name = operation.function.name
    if not any(f.dtype.is_complex for f in operation.forms) or name.startswith("fft."):
        return 1
    if name in PRODUCTS or name in FACTORIZATIONS:
        return 4  # of as many products as sums: (6 + 2) / 2
    return 6 if name in ("multiply", "divide") else 2


# Products -------------------------------------------------------------------------------------------------------


def _matmul(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
    a = inputs[-2] if len(inputs) > 2 else inputs[0]  # addmm(x, x1, x2)
    return 2.0 * outputs[0].size * (a.shape[-1] if a.shape else 1)


def _linear(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
    return (2.0 * inputs[0].shape[-1] + (len(inputs) > 2)) * outputs[0].size


def _addbmm(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
    batch, _, middle = inputs[1].shape
    return 2.0 * batch * middle * outputs[0].size


def _einsum(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
    """Every index once, of two operands as of more."""
    terms = str(params["subscripts"]).replace(" ", "").partition("->")[0].split(",")
    lengths: dict[str, int] = {}
    for term, form in zip(terms, inputs, strict=False):
        left, dots, right = term.partition("...")
        lengths |= zip(left, form.shape, strict=False)
        if dots:
            lengths |= zip(reversed(right), reversed(form.shape), strict=False)
            between = form.shape[len(left) : len(form.shape) - len(right)]
            lengths["..."] = max(lengths.get("...", 1), math.prod(between))
    return 2.0 * math.prod(lengths.values())


def _contraction(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
    """Every index once: those summed are in both operands and not in the result, so a·b/out is their square."""
    a, b, out = inputs[0].size, inputs[1].size, outputs[0].size
    return 2.0 * math.sqrt(float(a) * b * out)


def _outer(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
    return outputs[0].size


def _convolve(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
    return 2.0 * outputs[0].size * min(inputs[0].shape[-1], inputs[1].shape[-1])


# Matrices -------------------------------------------------------------------------------------------------------


def _square(leading: float) -> Count:
    """``leading * n**3`` for each matrix."""

    def count(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
        shape = inputs[0].shape
        return leading * math.prod(shape[:-2]) * shape[-1] ** 3

    return count


def _solve(factor: float, each: float) -> Count:
    """A factorization, and ``each * n**2`` for each right-hand side."""

    def count(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
        shape = inputs[0].shape
        n, stack = shape[-1], math.prod(shape[:-2])
        return stack * factor * n**3 + each * n * outputs[0].size

    return count


def _tall(form: Callable[[int, int], float]) -> Count:
    """A count by the longer and the shorter side, for each matrix."""

    def count(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
        shape = inputs[0].shape
        m, n = max(shape[-2:]), min(shape[-2:])
        return math.prod(shape[:-2]) * form(m, n)

    return count


def _lu(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
    shape = inputs[0].shape
    m, n = max(shape[-2:]), min(shape[-2:])
    return math.prod(shape[:-2]) * n * n * (m - n / 3)


# Along axes -----------------------------------------------------------------------------------------------------


def _fft(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
    """5 n log2 n for each transform; half of it where one side is real."""
    complex_ = max((f for f in (*inputs, *outputs)), key=lambda f: f.size)
    axes = params.get("axes", params.get("axis", -1))
    along = range(len(complex_.shape)) if axes is None else axes if isinstance(axes, tuple) else (axes,)
    lengths = [complex_.shape[a] for a in along]
    total = 5.0 * complex_.size * sum(math.log2(max(n, 1)) for n in lengths)
    real = any(not f.dtype.is_complex for f in (*inputs, *outputs))
    return total / 2 if real else total


def _sort(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
    """So many comparisons: n log2 n."""
    shape = inputs[0].shape
    axis = params.get("axis", -1)
    n = shape[axis] if shape and isinstance(axis, int) else inputs[0].size
    return inputs[0].size * math.log2(max(n, 2))


def _search(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
    return outputs[0].size * math.log2(max(inputs[0].size, 2))


def _times(factor: float) -> Count:
    """So many for each element."""

    def count(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
        return factor * max(f.size for f in (*inputs, *outputs))

    return count


def _nothing(inputs: Sequence[Form], outputs: Sequence[Form], params: Mapping[str, Any]) -> float:
    return 0.0


PRODUCTS: Final[dict[str, Count]] = {
    "matmul": _matmul,
    "addmm": _matmul,
    "addmv": _matmul,
    "baddbmm": _matmul,
    "addbmm": _addbmm,
    "nn.linear": _linear,
    "inner": _contraction,
    "tensordot": _contraction,
    "einsum_pair": _einsum,
    "einsum": _einsum,
    "vecdot": _times(2),
    "outer": _outer,
    "kron": _outer,
    "convolve": _convolve,
}
"""Of as many products as sums."""

FACTORIZATIONS: Final[dict[str, Count]] = {
    "linalg.cholesky": _square(1 / 3),
    "linalg.lu": _lu,
    "linalg.det": _square(2 / 3),
    "linalg.slogdet": _square(2 / 3),
    "linalg.inv": _square(2),
    "linalg.adjugate": _square(2),
    "linalg.solve": _solve(2 / 3, 2),
    "linalg.solve_triangular": _solve(0, 1),
    "linalg._tall_qr": _tall(lambda m, n: 4 * n * n * (m - n / 3)),
    "linalg._thin_svd": _tall(lambda m, n: 14 * m * n * n + 8 * n**3),
    "linalg.eigh": _square(9),
    "linalg.eig": _square(25),
    "linalg.pinv": _tall(lambda m, n: 16 * m * n * n + 8 * n**3),
    "linalg.matrix_exp": _square(20),
    "linalg.qr": _tall(lambda m, n: 4 * n * n * (m - n / 3)),
    "linalg.svd": _tall(lambda m, n: 14 * m * n * n + 8 * n**3),
    "linalg.svdvals": _tall(lambda m, n: 2 * m * n * n + 2 * n**3),
    "linalg.eigvalsh": _square(4 / 3),
    "linalg.eigvals": _square(10),
    "linalg.lstsq": _tall(lambda m, n: 14 * m * n * n + 8 * n**3),  # by the SVD
    "cholesky_solve": lambda inputs, outputs, params: 2.0 * inputs[1].shape[-1] * outputs[0].size,
    "logdet": _square(2 / 3),
}

COUNTS: Final[dict[str, Count]] = {
    **PRODUCTS,
    **FACTORIZATIONS,
    **{f"fft.{n}{end}": _fft for n in ("fft", "ifft", "rfft", "irfft") for end in ("", "2", "n")},
    **{f"fft.{n}": _fft for n in ("hfft", "ihfft")},
    **dict.fromkeys(["sort", "argsort", "topk", "kthvalue", "_ranked", "unique_values", "unique_counts"], _sort),
    **dict.fromkeys(["unique_inverse", "unique_all"], _sort),
    "searchsorted": _search,
    "var": _times(4),
    "std": _times(4),
    "logsumexp": _times(4),
    **dict.fromkeys(["nn.softmax", "nn.log_softmax", "special.softmax", "special.log_softmax"], _times(5)),
    "nn.cross_entropy": _times(5),
    "nn.mse_loss": _times(3),
    "addcmul": _times(3),
    "addcdiv": _times(3),
    "lerp": _times(3),
    **dict.fromkeys(["concat", "stack", "flip", "roll", "rot90", "repeat", "tile", "tril", "triu"], _nothing),
    **dict.fromkeys(["diag", "diag_embed", "diagflat", "block_diag", "fft.fftshift", "fft.ifftshift"], _nothing),
    **dict.fromkeys(["getitem", "setitem", "take", "take_along_axis", "_put_along_axis"], _nothing),
    **dict.fromkeys(
        ["clone", "copy", "astype", "to_device", "real", "imag", "conj", "zeros_like", "ones_like"], _nothing
    ),
    **dict.fromkeys(["new_full", "where", "masked_fill", "detach"], _nothing),
}
"""What is not counted once for each element of the largest array; data that is only moved counts as nothing."""
