"""Finding the operation that makes a gradient wrong: `detect_anomaly`."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from .. import views
from ..errors import AutogradError
from ..function import FUNCTIONS
from ..grad_mode import watched, watching
from ..graph import Node, Output
from ..levels import values_of
from ..tensor import Tensor, wrap
from .watches import switched

__all__ = [
    "detect_anomaly",
    "is_anomaly_check_nan_enabled",
    "is_anomaly_enabled",
    "set_anomaly_enabled",
    "set_detect_anomaly",
]


class detect_anomaly:  # noqa: N801 - the name is PyTorch's
    """A block in which backward raises at the first gradient that is NaN, naming the line that recorded the operation.

    Operations that are recorded inside note where the program was; errors of backward show it. For both, forward and
    backward are to run inside. This makes every operation many times slower.

    Parameters
    ----------
    check_nan : bool
        Whether to look at the gradients; otherwise the lines alone are noted.
    check_inf : bool
        Whether infinite gradients are raised for, too.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.tensor([0.0, 1.0], requires_grad=True)
    >>> try:
    ...     with ad.autograd.detect_anomaly():
    ...         (x.sqrt() * 0.0).sum().backward()
    ... except ad.errors.AutogradError as error:
    ...     print(str(error).partition(",")[0])
    backward: SqrtBackward gave NaN in the gradient of x
    """

    __slots__ = ("_blocks", "_on")

    def __init__(self, check_nan: bool = True, check_inf: bool = False) -> None:
        self._on = _on(check_nan, check_inf)
        self._blocks: list[watching] = []

    def __enter__(self) -> None:
        block = switched(**self._on)
        block.__enter__()
        self._blocks.append(block)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._blocks.pop().__exit__(kind, error, trace)


class set_detect_anomaly:  # noqa: N801 - the name is PyTorch's
    """Switch `detect_anomaly` on or off, at once, or for a block.

    Parameters
    ----------
    mode : bool
    check_nan, check_inf : bool
        As for `detect_anomaly`.

    Examples
    --------
    >>> import polyad as ad
    >>> with ad.autograd.set_detect_anomaly(True):
    ...     ad.autograd.is_anomaly_enabled()
    True
    """

    __slots__ = ("_block",)

    def __init__(self, mode: bool, check_nan: bool = True, check_inf: bool = False) -> None:
        self._block = switched(**_on(check_nan, check_inf)) if mode else switched(traces=False, check=None)
        self._block.__enter__()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._block.__exit__(kind, error, trace)


def is_anomaly_enabled() -> bool:
    """Whether `detect_anomaly` is on.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.autograd.is_anomaly_enabled()
    False
    """
    watch: Any = watched()
    return watch is not None and bool(watch.traces)


def is_anomaly_check_nan_enabled() -> bool:
    """Whether `detect_anomaly` is on, and looks for NaN.

    Examples
    --------
    >>> import polyad as ad
    >>> with ad.autograd.detect_anomaly(check_nan=False):
    ...     ad.is_anomaly_enabled(), ad.is_anomaly_check_nan_enabled()
    (True, False)
    """
    watch: Any = watched()
    return watch is not None and isinstance(watch.check, _Check) and "isnan" in watch.check.kinds


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Switch `detect_anomaly` on or off from here on.

    Parameters
    ----------
    mode : bool
    check_nan : bool
        As for `detect_anomaly`.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.set_anomaly_enabled(True)
    >>> ad.is_anomaly_enabled()
    True
    >>> ad.set_anomaly_enabled(False)
    """
    set_detect_anomaly(mode, check_nan)


def _on(check_nan: bool, check_inf: bool) -> dict[str, Any]:
    kinds = [name for name, wanted in (("isnan", check_nan), ("isinf", check_inf)) if wanted]
    return {"traces": True, "check": _Check(kinds) if kinds else None}


class _Check:
    """Raises for gradients with numbers of some kinds."""

    __slots__ = ("kinds",)

    def __init__(self, kinds: Sequence[str]) -> None:
        self.kinds = kinds

    def __call__(self, node: Node, gradients: Sequence[Any]) -> None:
        for position, (g, edge) in enumerate(zip(gradients, node.edges, strict=True)):
            if g is None or edge is None:
                continue
            device = edge.node.device if type(edge) is Output else edge.device
            values = values_of(g if isinstance(g, Tensor) else wrap(g, device))
            device, array = values._device, views.raw(values)
            if device.backend.is_traced(array):
                continue
            for kind in self.kinds:
                found = device.backend.to_host(device.asarray(device.kernels[FUNCTIONS[kind]](array)))
                if found.any():
                    raise AutogradError(_message(node, position, kind, array, found, device))


def _message(node: Node, position: int, kind: str, array: Any, found: Any, device: Any) -> str:
    names = node.function.inputs
    name = names[min(position, len(names) - 1)] if names else f"input {position}"
    first = tuple(int(i[0]) for i in found.nonzero()) if found.ndim else ()
    lines = node.metadata.get("traceback")
    return (
        f"backward: {node.name()} gave {'NaN' if kind == 'isnan' else 'infinity'} in the gradient of {name}, "
        f"{device.dtypes[array.dtype].name} of shape {tuple(array.shape)}, at {int(found.sum())} of {found.size} "
        f"places, first at {first}; "
        + (f"it was recorded at\n{lines}" if lines else "run the forward pass inside detect_anomaly() to see its line")
    )
