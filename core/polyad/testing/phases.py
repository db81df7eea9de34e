"""Factors that are determined up to a sign or phase: what libraries may choose is brought to one choice.

Each eigenvector times a phase is an eigenvector too, and so are pairs of singular vectors, and columns of Q with rows
of R. Here each gets the phase by which its product with fixed numbers is positive. Subspaces of equal eigenvalues stay
as each library chooses them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from ..backend import Device
from ..tensor import Tensor, wrap
from ..views import raw
from .operations import host_of

__all__ = ["PHASES", "with_one_choice"]

PHASES: Final[dict[str, tuple[int, int | None]]] = {
    "linalg.eigh": (1, None),
    "linalg.eig": (1, None),
    "linalg._tall_qr": (0, 1),
    "linalg._thin_svd": (0, 2),
}
"""Function: which result has columns up to a phase, and which, if any, rows up to the phase's conjugate."""


def with_one_choice(function: str, results: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Give a function's results with phases that do not depend on the library; the graph goes on."""
    made = list(results)
    if function not in PHASES or not made[PHASES[function][0]].numel():
        return tuple(made)
    columns, rows = PHASES[function]
    vectors = made[columns]
    host = host_of(raw(vectors), vectors._device)
    weights = [math.sin(1.0 + 2.0 * i) for i in range(host.shape[-2])]
    product = sum(w * host[..., i, :] for i, w in enumerate(weights))
    size = abs(product)
    size[size == 0] = 1
    phases = (product.conj() / size).astype(host.dtype)
    phases[phases == 0] = 1

    made[columns] = vectors * _brought(phases[..., None, :], vectors._device)
    if rows is not None:
        one = made[rows]
        made[rows] = one * _brought(phases.conj()[..., None], one._device)
    return tuple(made)


def _brought(host: Any, device: Device) -> Tensor:
    return wrap(device.asarray(device.backend.from_host(host, device, copy=True)), device)
