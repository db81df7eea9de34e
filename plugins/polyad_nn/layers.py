"""Layers: modules with parameters of their own, and functions as modules."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import polyad as ad
from polyad.errors import ArgumentError, IndexOutOfRangeError, OperandError

from . import functional
from .module import Module, Parameter

__all__ = [
    "CrossEntropyLoss",
    "Dropout",
    "Linear",
    "MSELoss",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
]


class Linear(Module):
    """Affine map of the last dimension: ``x @ weight.T + bias``.

    Both parameters start evenly distributed between ``-1 / sqrt(in_features)`` and ``1 / sqrt(in_features)``.

    Parameters
    ----------
    in_features, out_features : int
        Lengths of the last dimension of input and output.
    bias : bool
        False to add none.
    device, dtype, backend
        Where and of which type the parameters are: as for `polyad.rand`.

    Attributes
    ----------
    weight : Parameter
        Of shape ``(out_features, in_features)``.
    bias : Parameter or None
        Of shape ``(out_features,)``.

    Raises
    ------
    ArgumentError
        If a number of features is negative or no integer.

    Examples
    --------
    >>> import polyad as ad
    >>> layer = ad.nn.Linear(3, 2)
    >>> layer
    Linear(in_features=3, out_features=2, bias=True)
    >>> layer(ad.ones(5, 3)).shape
    (5, 2)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        backend: Any = None,
    ) -> None:
        super().__init__()
        for name, n in (("in_features", in_features), ("out_features", out_features)):
            if type(n) is not int or n < 0:
                raise ArgumentError(f"Linear: {name} must be an integer, 0 or more; got {n!r}")
        bound = 1 / math.sqrt(in_features) if in_features else 0.0

        def uniform(*shape: int) -> Parameter:
            drawn = ad.rand(shape, device=device, dtype=dtype, backend=backend)
            return Parameter(drawn.mul_(2 * bound).sub_(bound))

        self.in_features, self.out_features = in_features, out_features
        self.weight = uniform(out_features, in_features)
        self.bias = uniform(out_features) if bias else None

    def forward(self, input: ad.Tensor) -> ad.Tensor:
        """Map the last dimension."""
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Give the numbers of features."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Sequential(Module):
    """Modules one after the other: each gets what the one before gave.

    Parameters
    ----------
    *modules : Module, or one dict of them
        Named by their positions, or by the dict's keys.

    Raises
    ------
    OperandError
        If one is no module.

    Examples
    --------
    >>> import polyad as ad
    >>> ad.nn.Sequential(ad.nn.Linear(4, 3), ad.nn.ReLU())
    Sequential(
      (0): Linear(in_features=4, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *modules: Any) -> None:
        super().__init__()
        named = modules[0].items() if len(modules) == 1 and isinstance(modules[0], dict) else enumerate(modules)
        for name, module in named:
            if not isinstance(module, Module):
                raise OperandError(
                    f"Sequential: expected modules; got {type(module).__name__} {module!r:.60} at {name!r}; "
                    f"write ReLU() for relu"
                )
            self.register_module(str(name), module)

    def _list(self) -> list[Module]:
        return [module for module in vars(self).values() if isinstance(module, Module)]

    def forward(self, input: Any) -> Any:
        """Call the modules in order."""
        for module in vars(self).values():
            if isinstance(module, Module):
                input = module(input)
        return input

    def append(self, module: Module) -> Sequential:
        """Add a module at the end; returns this one."""
        self.register_module(str(len(self)), module)
        return self

    def __len__(self) -> int:
        return len(self._list())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._list())

    def __getitem__(self, index: int | slice) -> Module:
        """``model[0]`` is a module, ``model[:2]`` a `Sequential` of the same modules."""
        found = self._list()
        if isinstance(index, slice):
            return Sequential(*found[index])
        try:
            return found[index]
        except IndexError:
            raise IndexOutOfRangeError(f"Sequential: index {index} is out of range for {len(found)} modules") from None


class ReLU(Module):
    """Rectified linear unit: see `polyad.nn.functional.relu`."""

    def forward(self, input: ad.Tensor) -> ad.Tensor:
        """Replace negative elements by 0."""
        return functional.relu(input)


class Sigmoid(Module):
    """Logistic function: see `polyad.nn.functional.sigmoid`."""

    def forward(self, input: ad.Tensor) -> ad.Tensor:
        """Map each element into 0 to 1."""
        return functional.sigmoid(input)


class Tanh(Module):
    """Hyperbolic tangent: see `polyad.tanh`."""

    def forward(self, input: ad.Tensor) -> ad.Tensor:
        """Map each element into -1 to 1."""
        return ad.tanh(input)


class Softmax(Module):
    """Probabilities from logits along a dimension: see `polyad.nn.functional.softmax`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: ad.Tensor) -> ad.Tensor:
        """Give probabilities."""
        return functional.softmax(input, axis=self.dim)

    def extra_repr(self) -> str:
        """Give the dimension."""
        return f"dim={self.dim}"


class Dropout(Module):
    """While training, each element with probability ``p`` set to 0: see `polyad.nn.functional.dropout`.

    Parameters
    ----------
    p : float
        From 0 to 1.

    Raises
    ------
    ArgumentError
        If it is not.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = functional.probability("Dropout", p)

    def forward(self, input: ad.Tensor) -> ad.Tensor:
        """Drop elements while training; give the input in use."""
        return functional.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        """Give the probability."""
        return f"p={self.p}"


class CrossEntropyLoss(Module):
    """Negative log-probability of the right class: see `polyad.nn.functional.cross_entropy`."""

    weight: ad.Tensor | None

    def __init__(
        self,
        weight: ad.Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index, self.reduction, self.label_smoothing = ignore_index, reduction, label_smoothing

    def forward(self, input: ad.Tensor, target: ad.Tensor) -> ad.Tensor:
        """Compare logits with class indices or probabilities."""
        return functional.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class MSELoss(Module):
    """Squared differences: see `polyad.nn.functional.mse_loss`."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, input: ad.Tensor, target: ad.Tensor) -> ad.Tensor:
        """Compare two tensors of one shape."""
        return functional.mse_loss(input, target, self.reduction)
