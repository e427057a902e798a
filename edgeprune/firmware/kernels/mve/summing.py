"""The numbers of a sum of two tensors."""

from __future__ import annotations

import numpy as np

from edgeprune.network import Add
from edgeprune.network.arithmetic import Multiplier, every_int8
from edgeprune.network.operation import Tensors
from edgeprune.network.tensor import Int64Array, Tensor

_LEFT_SHIFT = 20


def sum_factors(tensors: Tensors, operation: Add) -> tuple[Multiplier, Multiplier, Multiplier]:
    """Return the factors of both operands and of their sum."""
    numbers = operation.c_calls(tensors)[0].parameters
    first, second, output = (
        Multiplier(
            np.asarray(numbers[f"{which}_multiplier"], np.int32),
            np.asarray(numbers[f"{which}_shift"], np.int32),
        )
        for which in ("first", "second", "output")
    )
    return first, second, output


def is_half(multiplier: Multiplier) -> bool:
    """Whether a factor is a half, as the coarser operand's is: nothing to round then."""
    return int(multiplier.mantissa) == 1 << 30 and int(multiplier.exponent) == 0


def centred(tensor: Tensor) -> Int64Array:
    """Return what is multiplied, for every int8 that the tensor can hold."""
    return (every_int8() - tensor.zero_point) << _LEFT_SHIFT


def scaled(tensor: Tensor, multiplier: Multiplier) -> Int64Array:
    """Return the term of every int8 that the tensor can hold."""
    return multiplier.apply(centred(tensor))


def halves_matter(multiplier: Multiplier, domain: Int64Array) -> bool:
    """Whether any number of the domain is rounded otherwise if negative halves go up."""
    right = -int(multiplier.exponent)
    if not right:
        return False
    high = (domain * int(multiplier.mantissa) + (1 << 30)) >> 31
    halves = high & ((1 << right) - 1) == 1 << (right - 1)
    return bool(np.any((high < 0) & halves))
