"""Bits of integers; for bools, logic."""

from __future__ import annotations

from typing import Any

from ..dispatch import function
from ..errors import DTypeError
from ..function import Fails, Sample
from ..tensor import Tensor
from .elementwise import Operand

__all__ = [
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
]


def _bits(name: str, words: str, takes: str = "integer or bool", result: str = "") -> Any:
    def definition(x1: Operand, x2: Operand, /) -> Tensor:
        pass

    definition.__name__ = name
    definition.__module__ = __name__
    definition.__doc__ = f"""{words}

    Examples
    --------
    >>> import polyad as ad
    >>> ad.{name}(ad.tensor([6, 3]), 2)
    {result}
    """
    samples = [
        Sample((3, 1), (4,), domain="integers"),
        Sample((2, 3), 2, domain="integers"),
        Fails((2,), (2,), error=DTypeError, match=f"{name} takes {takes} arrays; got float"),
    ]
    return function(takes=takes, elementwise=True, standard=True, differentiable=False, samples=samples)(definition)


bitwise_and = _bits("bitwise_and", "Bits set in both, ``x1 & x2``; for bools, and.", result="tensor([2, 2])")
bitwise_or = _bits("bitwise_or", "Bits set in either, ``x1 | x2``; for bools, or.", result="tensor([6, 3])")
bitwise_xor = _bits("bitwise_xor", "Bits set in one only, ``x1 ^ x2``.", result="tensor([4, 1])")
bitwise_left_shift = _bits(
    "bitwise_left_shift",
    "Bits moved up by ``x2`` places, ``x1 << x2``; by as many as there are, or a negative number, none is left.",
    "integer",
    "tensor([24, 12])",
)
bitwise_right_shift = _bits(
    "bitwise_right_shift",
    "Bits moved down by ``x2`` places, ``x1 >> x2``; by as many as there are, or a negative number, the sign is left.",
    "integer",
    "tensor([1, 0])",
)


@function(
    elementwise=True,
    takes="integer or bool",
    standard=True,
    differentiable=False,
    samples=[
        Sample((3, 4), domain="integers"),
        Sample((3, 4), domain="bools"),
        Fails((2,), error=DTypeError, match="bitwise_invert takes integer or bool arrays; got float"),
    ],
)
def bitwise_invert(x: Tensor, /) -> Tensor:
    """Every bit inverted, ``~x``; for bools, not.

    Examples
    --------
    >>> import polyad as ad
    >>> ~ad.tensor([True, False])
    tensor([False,  True])
    """
