"""The sum of two int8 tensors as two multiply-adds and a shift, proven for all pairs of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from edgeprune.firmware.kernels.dsp.chain import Chain
from edgeprune.network import Add
from edgeprune.network.operation import Tensors

_MOST = 2**31 - 1
_NUDGES = (0, 1, -1, 2, -2)
_TRIED_SHIFTS = 4


@dataclass(frozen=True)
class LinearSum:
    """`(first * a + second * b + offset) >> shift`, saturated to the clamp's range.

    Equal to the operation for every pair of int8 that can occur, for which it was tried.

    Attributes:
        first: Factor of the first operand.
        second: Factor of the second operand.
        offset: Added before the shift.
        shift: Right shift.
    """

    first: int
    second: int
    offset: int
    shift: int

    @staticmethod
    def of(
        addition: Add, tensors: Tensors, first_bounds: tuple[int, int] = (-128, 127)
    ) -> LinearSum | None:
        """Return numbers that are exact for an addition, or None where none were found.

        Args:
            addition: The operation.
            tensors: The network's tensors.
            first_bounds: Least and greatest value that the first operand takes.
        """
        firsts = np.arange(first_bounds[0], first_bounds[1] + 1).astype(np.int8)
        seconds = np.arange(-128, 128).astype(np.int8)
        ones, others = (grid.reshape(1, -1) for grid in np.meshgrid(firsts, seconds, indexing="ij"))
        wanted = addition.run(tensors, ones, others).astype(np.int64)
        values = (ones.astype(np.int64), others.astype(np.int64))
        scale = tensors[addition.output].scale
        factors = [tensors[name].scale / scale for name in addition.inputs]
        most = 24 - int(np.ceil(np.log2(max(*factors, 2.0**-8))))
        for shift in range(min(most, 30), max(most - _TRIED_SHIFTS, 0), -1):
            exact = [factor * 2.0**shift for factor in factors]
            for nudges in product(_NUDGES, repeat=2):
                a, b = (round(value) + nudge for value, nudge in zip(exact, nudges, strict=True))
                offset = _offset(values, wanted, addition, (a, b), shift)
                if offset is not None:
                    return LinearSum(a, b, offset, shift)
        return None


def of_chain(chain: Chain) -> LinearSum | None:
    """Return the numbers of a chain's addition; the weighted operation's output comes first."""
    addition = chain.addition
    assert addition is not None
    tensors = chain.request.tensors
    bounds = chain.weighted_bounds
    if chain.adds_first:
        return LinearSum.of(addition, tensors, bounds)
    swapped = LinearSum.of(addition, tensors)
    if swapped is None:
        return None
    return LinearSum(swapped.second, swapped.first, swapped.offset, swapped.shift)


def _offset(
    values: tuple[np.ndarray[tuple[int, ...], np.dtype[np.int64]], ...],
    wanted: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    addition: Add,
    factors: tuple[int, int],
    shift: int,
) -> int | None:
    """Return an offset with which two factors are exact, if there is one."""
    products = values[0] * factors[0] + values[1] * factors[1]
    lows = (wanted << shift) - products
    # A clamped sum may lie anywhere beyond the clamp.
    lowest = np.where(wanted > addition.clamp_low, lows, -(2**40)).max()
    highest = np.where(wanted < addition.clamp_high, lows + (1 << shift) - 1, 2**40).min()
    if lowest > highest or lowest == -(2**40) or highest == 2**40:
        return None
    offset = int(lowest + highest) >> 1
    reach = max(abs(int(products.min())), abs(int(products.max()))) + abs(offset)
    # What overflows before the last term comes back, modulo 2^32.
    return offset if reach <= _MOST else None
