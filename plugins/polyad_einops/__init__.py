"""einops on tensors.

After ``import polyad_einops``, ``einops.rearrange``, ``reduce``, ``repeat``, ``pack`` and ``einsum``
take polyad's tensors, record what they do and return tensors.

einops finds the libraries it serves among the subclasses of its ``AbstractBackend``; this is polyad's. Nothing else of
einops is touched. The plugin gives einops itself the name ``polyad.einops``.

Examples
--------
>>> import polyad as ad
>>> x = ad.ones((2, 3, 4), requires_grad=True)
>>> y = ad.einops.rearrange(x, "b h w -> b (h w)")
>>> y.shape, y.requires_grad
((2, 12), True)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polyad as ad
from polyad.errors import PluginNotInstalledError
from polyad.hookspecs import hookimpl

try:
    import einops
    from einops._backends import AbstractBackend
except ImportError as error:
    raise PluginNotInstalledError(f"einops is not installed ({error}); write: pip install 'polyad[einops]'") from error


class TensorBackend(AbstractBackend):
    """What einops asks of an array library, for tensors of any of polyad's backends."""

    framework_name = "polyad"

    def is_appropriate_type(self, tensor: Any) -> bool:
        """Whether this backend serves an object."""
        return isinstance(tensor, ad.Tensor)

    def from_numpy(self, x: Any) -> ad.Tensor:
        """Make a tensor of a NumPy array."""
        return ad.from_numpy(x)

    def to_numpy(self, x: ad.Tensor) -> Any:
        """Give the values as a NumPy array."""
        return x.detach().numpy()

    def arange(self, start: int, stop: int) -> ad.Tensor:
        """Count from ``start`` up to, not including, ``stop``."""
        return ad.arange(start, stop)

    def transpose(self, x: ad.Tensor, axes: Sequence[int]) -> ad.Tensor:
        """Reorder dimensions."""
        return ad.permute_dims(x, axes)

    def stack_on_zeroth_dimension(self, tensors: Sequence[ad.Tensor]) -> ad.Tensor:
        """Stack along a new first dimension."""
        return ad.stack(tensors)

    def add_axis(self, x: ad.Tensor, new_position: int) -> ad.Tensor:
        """Insert a dimension of length 1."""
        return ad.expand_dims(x, axis=new_position)

    def add_axes(self, x: ad.Tensor, n_axes: int, pos2len: Mapping[int, int]) -> ad.Tensor:
        """Repeat along new dimensions, without copying: broadcast views."""
        shape = [-1] * n_axes
        for position, length in pos2len.items():
            x = ad.expand_dims(x, axis=position)
            shape[position] = length
        return x.expand(shape)

    def tile(self, x: ad.Tensor, repeats: Sequence[int]) -> ad.Tensor:
        """Repeat along dimensions."""
        return ad.tile(x, tuple(repeats))

    def concat(self, tensors: Sequence[ad.Tensor], axis: int) -> ad.Tensor:
        """Join along a dimension."""
        return ad.concat(tensors, axis=axis)

    def is_float_type(self, x: ad.Tensor) -> bool:
        """Whether a mean can be taken without changing the type."""
        return x.is_floating_point() or x.is_complex()

    def einsum(self, pattern: str, *x: ad.Tensor) -> ad.Tensor:
        """Sum over products."""
        return ad.einsum(pattern, *x)


@hookimpl
def polyad_namespaces() -> Mapping[str, Any]:
    """Give einops as ``polyad.einops``."""
    return {"einops": einops}
