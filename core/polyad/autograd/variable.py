"""`Variable`, which PyTorch's older programs make of tensors."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor, not_a_tensor

__all__ = ["Variable"]


class _AnyTensor(type):
    """Of a class whose instances are all tensors."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, Tensor)


class Variable(metaclass=_AnyTensor):
    """A tensor, under its older name: ``Variable(x)`` shares the memory of ``x``, and every tensor is an instance.

    Parameters
    ----------
    data : Tensor
    requires_grad : bool

    Returns
    -------
    Tensor
        Without history.

    Raises
    ------
    OperandError
        If ``data`` is no tensor.

    Examples
    --------
    >>> import polyad as ad
    >>> x = ad.autograd.Variable(ad.ones(2), requires_grad=True)
    >>> x, isinstance(x, ad.autograd.Variable)
    (tensor([1., 1.], requires_grad=True), True)
    """

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        """Give a tensor."""
        if not isinstance(data, Tensor):
            not_a_tensor("Variable", "data", data)
        return data.detach().requires_grad_(requires_grad)
