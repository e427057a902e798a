"""Exact integer interval bounds: what every logit can be while the inputs move within a radius.

This is the abstract interpretation with intervals of ISO/IEC 24029-2, 6.2.1.5, done in the very
integers of the device. Each operation's bounds are the least that hold for it: the accumulator's
extremes are exact, and requantizing, clamping and pooling are monotone. No rounding is left out
and none is assumed, so that a bound needs no margin for floating point.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgeprune.network import IntegerNetwork
from edgeprune.network.operation import Bounds
from edgeprune.network.tensor import INT8_HIGH, INT8_LOW, Int8Array, Int64Array

# Windows bounded at a time: their intermediates stay in a processor's cache.
_CHUNK = 64


def box(
    values: Int8Array, radius_lsb: int, clip: tuple[int, int] = (INT8_LOW, INT8_HIGH)
) -> Bounds:
    """Return the least and greatest values within `radius_lsb` of `values`, and within `clip`.

    A value that already lies outside `clip` stays in its own box.
    """
    wide = values.astype(np.int16)
    low = np.minimum(np.maximum(wide - radius_lsb, clip[0]), wide)
    high = np.maximum(np.minimum(wide + radius_lsb, clip[1]), wide)
    return low.astype(np.int8), high.astype(np.int8)


def interval_bounds(
    network: IntegerNetwork,
    signal: Int8Array,
    rhythm: Int8Array | None,
    radius_lsb: int,
    *,
    rhythm_radius_lsb: int = 0,
    clip: tuple[int, int] = (INT8_LOW, INT8_HIGH),
) -> tuple[Int64Array, Int64Array]:
    """Bound the logits for every change of each sample by at most `radius_lsb`.

    Args:
        network: The network.
        signal: int8 [n, length, channels], the network's first input.
        rhythm: int8 [n, features], its second; ignored by a network with one input.
        radius_lsb: Largest change of a signal value.
        rhythm_radius_lsb: Largest change of a rhythm value.
        clip: What a signal value can be at all.

    Returns:
        Least and greatest logits, both int64 [n, classes] and included.
    """
    boxes = [box(signal, radius_lsb, clip)]
    if len(network.inputs) > 1 and rhythm is not None:
        boxes.append(box(rhythm, rhythm_radius_lsb))
    return output_bounds(network, boxes)


def output_bounds(
    network: IntegerNetwork, boxes: Sequence[Bounds]
) -> tuple[Int64Array, Int64Array]:
    """Bound the output for inputs anywhere in their boxes.

    Args:
        network: The network.
        boxes: Least and greatest values, both int8 and included, for each input of the network.

    Returns:
        Least and greatest outputs, both int64 and included.
    """
    count = len(boxes[0][0])
    shape = (count, *network.output_tensor.shape)
    lowest, highest = np.empty(shape, np.int64), np.empty(shape, np.int64)
    for start in range(0, count, _CHUNK):
        part = slice(start, start + _CHUNK)
        cut = ((low[part], high[part]) for low, high in boxes)
        bounds: dict[str, Bounds] = dict(zip(network.inputs, cut, strict=True))
        for operation in network.operations:
            operands = (bounds[name] for name in operation.inputs)
            bounds[operation.output] = operation.interval(network.tensors, *operands)
        lowest[part], highest[part] = bounds[network.output]
    return lowest, highest


def decides(low: Int64Array, high: Int64Array, decisions: Int64Array) -> npt.NDArray[np.bool_]:
    """Return which decisions hold for all logits within the bounds: bool [n].

    A network decides for the largest logit, the first of them where some are equal; so a class
    must stay above the classes before it and at least equal to those after it.
    """
    rows = np.arange(len(decisions))
    own = low[rows, decisions][:, np.newaxis]
    classes = np.arange(low.shape[1])
    before = classes < decisions[:, np.newaxis]
    beaten = np.where(before, high < own, high <= own)
    beaten[rows, decisions] = True
    return np.asarray(beaten.all(axis=1))
