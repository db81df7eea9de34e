"""What polyad promises of every function, checked at a sample on a device."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from .. import autograd
from ..backend import Device
from ..dtypes import (
    CATEGORIES,
    DEFAULTS,
    DType,
    as_dtype,
    bool as bool_,
    complex64,
    complex128,
    float32,
    float64,
    int64,
    join_scalar,
    promote_types,
    uint64,
)
from ..errors import OperandError
from ..function import Fails, Function, Sample
from ..grad_mode import no_grad
from ..ops.placement import DeviceLike, place
from ..tensor import Tensor
from .comparison import assert_close, flat
from .gradients import gradcheck, gradgradcheck
from .samples import matrices, sample_arguments

__all__ = ["call_sample", "check_function", "expected_dtype"]

Reference = Callable[..., Any]


def check_function(
    function: Any,
    sample: Sample | None = None,
    *,
    device: DeviceLike = None,
    backend: str | None = None,
    reference: Reference | None = None,
    fast: bool = False,
    second: bool = True,
) -> None:
    """Check a function on a device: value, types, unchanged inputs, gradients of first and second order, errors.

    Write it into the tests of a package that brings functions or a backend. Gradients are checked in float64 and,
    where the function takes complex numbers, in complex128.

    Parameters
    ----------
    function : callable or Function
        Made by `polyad.function`, or its record.
    sample : Sample, optional
        One call; by default each of the function's samples.
    device : Device or str, optional
    backend : str, optional
        Where; by default see `polyad.default_device`.
    reference : callable, optional
        What the values are compared with: it gets NumPy arrays in float64, numbers and the parameters.
    fast : bool
        Check gradients in one random direction instead of entry by entry. And in one type, which is complex where the
        function takes that, second ones and those at other samples than the first. For backends that compile.
    second : bool
        Whether second derivatives are checked too.

    Raises
    ------
    AssertionError
        If something is not as promised; it names the function, the sample, the backend and what differs.

    Examples
    --------
    >>> import numpy as np, polyad as ad
    >>> from polyad.testing import check_function
    >>> check_function(ad.tanh, reference=np.tanh)
    """
    record = record_of(function)
    where = place(device, backend)
    for one in [sample] if sample is not None else record.samples:
        try:
            _check(record, one, where, reference, fast, second)
        except Exception as error:
            raise AssertionError(f"{record.name} at {one!r}, {where.where}: {error}") from error


def record_of(function: Any) -> Function:
    """The record of a function given as such or as its call."""
    record = getattr(function, "function", function)
    if not isinstance(record, Function):
        raise OperandError(
            f"check_function: expected a function made by polyad.function, or its record; got {function!r:.60}"
        )
    return record


def call_sample(function: Any, sample: Sample, arguments: Sequence[Any]) -> Any:
    """Call a function as a sample says.

    Where the sample's domain is one of matrices (``"symmetric"``, ``"positive"``, ``"invertible"``), such matrices are
    made of its square arguments first, so that the derivative is one by independent entries.

    Parameters
    ----------
    function : callable or Function
    sample : Sample
    arguments : sequence
        As `sample_arguments` makes them.

    Returns
    -------
    Tensor or tuple of Tensor

    Examples
    --------
    >>> import polyad as ad
    >>> from polyad.testing import Sample, call_sample
    >>> call_sample(ad.sum, Sample((2, 2), axis=0), [ad.ones(2, 2)])
    tensor([2., 2.])
    """
    record = record_of(function)
    args = matrices(sample, arguments)
    return record.call(args, **sample.params) if record.sequence else record.call(*args, **sample.params)


def expected_dtype(function: Any, arguments: Sequence[Any], output: int | None = None, **params: Any) -> DType | None:
    """The type that a function's result must have, by its record; the same on every backend.

    Parameters
    ----------
    function : callable or Function
    arguments : sequence of (Tensor, number or None)
    output : int, optional
        Which of several results.
    **params
        The function's parameters.

    Returns
    -------
    DType or None
        None if the function does not take the types.

    Examples
    --------
    >>> import polyad as ad
    >>> from polyad.testing import expected_dtype
    >>> expected_dtype(ad.mean, [ad.arange(3)])
    polyad.float32
    """
    record = record_of(function)
    common = _common_dtype(record, arguments)
    taken = CATEGORIES[record.takes]
    if record.accumulates and params.get("dtype") is not None:
        common = as_dtype(params["dtype"])
    elif record.accumulates and common in CATEGORIES["integer or bool"]:
        common = uint64 if common.kind == "unsigned integer" else int64
    if common not in taken:
        if "floating" not in record.takes or common not in CATEGORIES["integer or bool"]:
            return None
        common = float32
    gives = record.gives if isinstance(record.gives, str) else record.gives[output or 0]
    if gives == "real":
        return {complex64: float32, complex128: float64}.get(common, common)
    if gives == "complex":
        return common if common.is_complex else promote_types(common, complex64)
    fixed = {"bool": bool_, "int64": int64}
    return as_dtype(params["dtype"]) if gives == "given" else fixed.get(gives, common)


def _common_dtype(record: Function, arguments: Sequence[Any]) -> DType:
    """The type in which the arguments meet: that of the tensors, which numbers join weakly."""
    last = len(record.inputs) - 1
    joined = [a for i, a in enumerate(arguments) if min(i, last) in record.promotes and a is not None]
    tensors = [a.dtype for a in joined if isinstance(a, Tensor)]
    numbers = [a for a in joined if not isinstance(a, Tensor)]
    common = tensors[0] if tensors else DEFAULTS[type(numbers[0])]
    for dtype in tensors[1:]:
        common = promote_types(common, dtype)
    for number in numbers:
        common = join_scalar(common, number)
    return common


# The checks -----------------------------------------------------------------------------------------------


def _check(
    record: Function, sample: Sample, device: Device, reference: Reference | None, fast: bool, second: bool
) -> None:
    if isinstance(sample, Fails):
        _check_fails(record, sample, device)
        return
    _check_value(record, sample, device, reference)
    if not record.differentiable:
        return
    types = [d for d in (float64, complex128) if d in CATEGORIES[record.takes] and d in device.native and sample.grad]
    if fast and sample is not record.samples[0]:
        types = types[-1:]
    for dtype in types:
        _check_gradients(record, sample, device, dtype, fast, second and (not fast or dtype is types[-1]))


def _check_fails(record: Function, sample: Fails, device: Device) -> None:
    arguments = sample_arguments(sample, float32, device=device)
    try:
        result = call_sample(record, sample, arguments)
    except sample.error as error:
        if not re.search(sample.match, str(error)):
            raise AssertionError(f"the error does not match {sample.match!r}: {error}") from error
        return
    raise AssertionError(f"expected {sample.error.__name__} matching {sample.match!r}; got {result!r:.200}")


def _check_value(record: Function, sample: Sample, device: Device, reference: Reference | None) -> None:
    """Compare float64 and complex128 with the reference, float32 with float64, and types with the record."""
    if reference is not None and complex128 in CATEGORIES[record.takes] and complex128 in device.native:
        _check_value_in(complex128, record, sample, device, reference)
    result = _check_value_in(float64, record, sample, device, reference)
    if float32 not in CATEGORIES[record.takes]:
        return
    coarse = sample_arguments(sample, float32, device=device)
    single = call_sample(record, sample, coarse)
    _check_dtype(record, sample, coarse, single, device)
    if record.gives == "same":
        _compare(single, result, "the value in float32, against float64,", rtol=1e-4, atol=1e-5)


def _check_value_in(dtype: DType, record: Function, sample: Sample, device: Device, reference: Reference | None) -> Any:
    """Compare a value with the reference's, and see that the inputs are unchanged. Gives the value."""
    arguments = sample_arguments(sample, dtype, device=device)
    before = _numbers(arguments)
    result = call_sample(record, sample, arguments)
    after = _numbers(arguments)
    if repr(before) != repr(after):  # as text, in which NaN equals NaN
        raise AssertionError(f"the call changed its inputs: they were {before} and are {after}")
    _check_dtype(record, sample, arguments, result, device)
    if reference is not None:
        hosts = [a.numpy() if isinstance(a, Tensor) else a for a in matrices(sample, arguments)]
        expected = reference(hosts, **sample.params) if record.sequence else reference(*hosts, **sample.params)
        _compare(result, expected, f"the value in {dtype.name}")
    return result


def _numbers(arguments: Sequence[Any]) -> list[Any]:
    return [flat(a) if isinstance(a, Tensor) else a for a in arguments]


def _tensors(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def _compare(result: Any, expected: Any, what: str, rtol: float = 1e-7, atol: float = 1e-9) -> None:
    got, wanted = _tensors(result), _tensors(expected)
    if len(got) != len(wanted):
        raise AssertionError(f"{what} is {len(got)} arrays; expected {len(wanted)}")
    for a, b in zip(got, wanted, strict=True):
        assert_close(a, b, rtol=rtol, atol=atol, equal_nan=True, check_dtype=False, msg=what)


def _check_dtype(record: Function, sample: Sample, arguments: Sequence[Any], result: Any, device: Device) -> None:
    for i, y in enumerate(_tensors(result)):
        wanted = expected_dtype(record, arguments, i if record.outputs > 1 else 0, **sample.params)
        if not isinstance(y, Tensor):
            raise AssertionError(f"the result is no tensor but a {type(y).__name__}")
        if y.device is not device:
            raise AssertionError(f"the result is on {y.device.where}")
        if y.dtype is not wanted:
            types = ", ".join(a.dtype.name if isinstance(a, Tensor) else repr(a) for a in arguments)
            raise AssertionError(f"of {types} the result is {y.dtype.name}; expected {wanted}")


def _check_gradients(record: Function, sample: Sample, device: Device, dtype: DType, fast: bool, second: bool) -> None:
    arguments = sample_arguments(sample, dtype, device=device, requires_grad=True)
    if not any(isinstance(a, Tensor) and a.requires_grad for a in arguments):
        return

    def func(*args: Any) -> Any:
        return call_sample(record, sample, args)

    gradcheck(func, arguments, check_grad_dtypes=True, fast_mode=fast)
    if not second:
        return
    _check_recorded_gradients(func, arguments)
    gradgradcheck(func, arguments, check_grad_dtypes=True, fast_mode=fast)


def _check_recorded_gradients(func: Callable[..., Any], arguments: Sequence[Any]) -> None:
    """Rules give the same on Tensors, where they are recorded, as on raw arrays; all outputs at once."""
    xs = [a for a in arguments if isinstance(a, Tensor) and a.requires_grad]
    outputs = [y for y in _tensors(func(*arguments)) if y.requires_grad]
    if not outputs:
        return
    with no_grad():
        seeds = [y.detach() * 0 + 1 for y in outputs]
    plain, recorded = (
        autograd.grad(outputs, xs, seeds, retain_graph=True, create_graph=mode, materialize_grads=True)
        for mode in (False, True)
    )
    _compare(recorded, plain, "a gradient with create_graph=True")
