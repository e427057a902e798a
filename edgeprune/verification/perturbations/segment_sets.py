"""From a set of changes of the raw samples of segments to the set of the network's input.

Each value of the input rises with one sum of raw samples and depends on nothing else, so that the
least and greatest sums give the box exactly. Where values move together (a gain, hum) the unrounded
product is the linear description besides; where each moves by itself the box is all there is.
"""

from __future__ import annotations

import numpy as np

from edgeprune.data.held_segments import HeldSegments
from edgeprune.verification.input_sets import (
    RELATIVE_ERROR,
    CorrelatedInput,
    FloatArray,
    InputSets,
    Shape,
)
from edgeprune.verification.perturbations.front_end_sets import MOST_TOGETHER, single_ranges
from edgeprune.verification.perturbations.shapes import BoxShape, CommonShape


def segment_sets(held: HeldSegments, shape: Shape) -> InputSets:
    """Return the sets of the network's input for changes of the raw samples.

    Args:
        held: The segments [n].
        shape: Changes in counts of the sums of `factor` raw samples [n, length * channels];
            changed samples are whole counts.
    """
    front_end = held.front_end
    count = len(held)
    middle = held.raw.reshape(count, -1, front_end.factor).sum(axis=2, dtype=np.int64)
    if middle.shape[1] > MOST_TOGETHER and isinstance(shape, CommonShape):
        # The last of them is a box of all raw samples by themselves, as the checker has it.
        shape = shape.parts[-1]
    low, high = single_ranges(shape, middle)
    low_signal, high_signal = front_end.scale(low), front_end.scale(high)

    boxes = (each.reshape(count, *front_end.signal_shape) for each in (low_signal, high_signal))
    least_signal, greatest_signal = boxes
    if isinstance(shape, BoxShape) or middle.shape[1] > MOST_TOGETHER:
        return InputSets((least_signal,), (greatest_signal,))
    scale = front_end.gain / (1 << front_end.shift)
    # The change is the same for no two values: each is a "sample" of its own.
    centre: FloatArray = (middle * scale)[:, :, None]
    within = ((low_signal > -127) & (high_signal < 127))[:, :, None]
    correlated = CorrelatedInput(
        centre, np.zeros_like(centre), within, shape, None, np.full(count, scale)
    )
    rounding = 0.5 + RELATIVE_ERROR * 1e4
    loose = 128 + np.abs(centre) + correlated.reach()[:, :, None]
    slack = np.where(within, rounding, loose)
    return InputSets(
        (least_signal,),
        (greatest_signal,),
        CorrelatedInput(centre, slack, within, shape, None, correlated.scale),
    )
