"""From a set of changes of the raw samples to the set of the network's inputs.

Conditioning is linear, so the support function of the raw changes gives the exact range of every
conditioned sample before its rounding; all that follows (rounding, clips, the template's
difference, the gain) is monotone in a sample, so that boxes pass exactly. The form features rise
with energies, which are bounded twice: sample by sample, and by the support along the beat itself
(||c + h|| >= <c + h, c> / ||c||, ||c + h||^2 <= ||c||^2 + 2 max <c, h> + sum of max h^2).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeprune.data.held_front_end import HeldBeats, centred, conditioning_matrix
from edgeprune.data.integer_arithmetic import clip16
from edgeprune.verification.held_inputs import HeldInputs
from edgeprune.verification.input_sets import (
    RELATIVE_ERROR,
    CorrelatedInput,
    FloatArray,
    InputSets,
    Int8Array,
    Int64Array,
    Shape,
)
from edgeprune.verification.perturbations.shapes import extents

# Values of an input beyond which only the box of its set is kept: a layer would need a row of so
# many for each of its outputs.
MOST_TOGETHER = 2048


def front_end_sets(
    held: HeldBeats, shape: Shape, intervals: tuple[Int8Array, Int8Array] | None = None
) -> InputSets:
    """Return the sets of the network's inputs for changes of the raw samples.

    Args:
        held: The beats [n].
        shape: Changes in counts of the blocks of `factor` raw samples; changed samples are whole
            counts.
        intervals: Least and greatest features of the RR intervals, int8 [n, interval_features];
            None where they are held.
    """
    front_end = held.front_end
    square = front_end.boxcar**2
    blocks = conditioning_matrix(front_end)[:: front_end.factor].astype(np.float64)
    middle = centred(front_end, held.raw[:, : held.samples].astype(np.int64))
    low, high = _ranges(shape, blocks, middle)
    usable = (np.minimum(low, 0) >= -32768 * square) & (high < 32767 * square)
    low, high = front_end.round_conditioned(low), front_end.round_conditioned(high)
    low_channels = np.stack([low, clip16(low - held.template)], axis=2)
    high_channels = np.stack([high, clip16(high - held.template)], axis=2)
    low_signal = front_end.scale(low_channels, held.gain)
    high_signal = front_end.scale(high_channels, held.gain)

    scale = held.gain / (1 << 14)
    wanted = np.stack([middle / square, middle / square - held.template], axis=2)
    centre = wanted * scale[:, None, None]
    rounding = 0.5 * scale + 0.5 + RELATIVE_ERROR * 1e4
    matrix = blocks / square
    limits = (abs(low_channels) < 32767) & (abs(high_channels) < 32767)
    within = usable[:, :, None] & limits & (low_signal > -127) & (high_signal < 127)
    correlated = CorrelatedInput(
        centre, np.zeros_like(centre), within, shape, matrix, scale.astype(np.float64)
    )
    loose = 128 + np.abs(centre) + correlated.reach()[:, :, None]
    slack = np.where(within, rounding[:, None, None], loose)
    correlated = CorrelatedInput(centre, slack, within, shape, matrix, correlated.scale)

    form_low, form_high = _form(held, shape, matrix, wanted, low_channels, high_channels)
    rhythm_low, rhythm_high = (held.intervals, held.intervals) if intervals is None else intervals
    if held.signal_alone:
        return InputSets((low_signal,), (high_signal,), correlated)
    return InputSets(
        (low_signal, np.concatenate([rhythm_low, form_low], axis=1)),
        (high_signal, np.concatenate([rhythm_high, form_high], axis=1)),
        correlated,
    )


def plain_sets(
    held: HeldInputs, shape: Shape, rest: tuple[FloatArray, FloatArray] | None = None
) -> InputSets:
    """Return the sets of inputs that move themselves: the first by `shape`, others by a box.

    Args:
        held: The inputs [n].
        shape: Changes in LSB of the flattened first input; a change past the int8 range stops
            there.
        rest: Least and greatest change of the other inputs' values, whole LSB side by side; None
            where these are held.
    """
    signal = held.values[0].reshape(len(held), -1)
    middle = signal.astype(np.int64)
    low, high = (np.clip(each, -128, 127) for each in single_ranges(shape, middle))
    moved = (each.astype(np.int8).reshape(held.values[0].shape) for each in (low, high))
    low_signal, high_signal = moved
    below, above = held.values[1:], held.values[1:]
    if rest is not None:
        moves = (np.concatenate([np.zeros(signal.shape), each], axis=1) for each in rest)
        below, above = (held.inputs((held.raw + each).astype(np.int16))[1:] for each in moves)
    if signal.shape[1] > MOST_TOGETHER:
        return InputSets((low_signal, *below), (high_signal, *above))
    zeros = np.zeros((*signal.shape, 1))
    # A change that would pass the range is cut; the cut change is smaller, and is in the set.
    correlated = CorrelatedInput(
        signal[:, :, None].astype(np.float64),
        zeros,
        np.ones(zeros.shape, np.bool_),
        shape,
        None,
        np.ones(len(held)),
    )
    return InputSets((low_signal, *below), (high_signal, *above), correlated)


def single_ranges(shape: Shape, middle: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return the least and greatest integers that middle + change can be, value by value."""
    least, greatest = extents(shape)
    error = RELATIVE_ERROR * shape.magnitude()
    high = middle + np.floor(greatest + error).astype(np.int64)
    low = middle - np.floor(error - least).astype(np.int64)
    return low, high


def _ranges(shape: Shape, blocks: FloatArray, middle: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return the least and greatest integers that middle + <block column, change> can be."""
    error = RELATIVE_ERROR * (shape.magnitude() @ np.abs(blocks))
    up, down = shape.support(blocks.T.copy()), shape.support(-blocks.T)
    high = middle + np.floor(up + error).astype(np.int64)
    low = middle - np.floor(down + error).astype(np.int64)
    return low, high


def _form(
    held: HeldBeats,
    shape: Shape,
    matrix: FloatArray,
    wanted: FloatArray,
    low: Int64Array,
    high: Int64Array,
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """Return the least and greatest form features.

    Args:
        held: The beats.
        shape: Changes of the raw blocks.
        matrix: Conditioned change for a change of the blocks [blocks, length].
        wanted: Conditioned channels before rounding [n, length, 2].
        low: Least conditioned channels, int64 [n, length, 2].
        high: Greatest.
    """
    front_end = held.front_end
    greatest = shape.magnitude() @ np.abs(matrix)
    ends_low, ends_high = [], []
    for zone, channel in ((front_end.qrs, 1), (front_end.p_wave, 1), (front_end.qrs, 0)):
        cut = slice(*zone)
        a, b = low[:, cut, channel], high[:, cut, channel]
        nearest = np.where((a <= 0) & (b >= 0), 0, np.minimum(np.abs(a), np.abs(b)))
        farthest = np.maximum(np.abs(a), np.abs(b))
        least, most = (nearest * nearest).sum(axis=1), (farthest * farthest).sum(axis=1)

        centre = wanted[:, cut, channel]
        norm = np.sqrt((centre * centre).sum(axis=1))
        weights = np.matmul(centre[:, None, :], matrix[:, cut].T)
        error = RELATIVE_ERROR * (np.abs(centre) * greatest[:, cut]).sum(axis=1)
        outward = shape.support(weights)[:, 0] + error
        inward = shape.support(-weights)[:, 0] + error
        moved = np.maximum(np.abs(a - centre), np.abs(b - centre)) + 0.5
        rounding = 0.5 * np.sqrt(zone[1] - zone[0])
        square = norm * norm + 2 * outward + (moved * moved).sum(axis=1)
        upper = (np.sqrt(np.maximum(square, 0)) + rounding) ** 2 * (1 + 1e-9) + 1e-6
        lower = (norm - inward / np.maximum(norm, 1e-9) - rounding) * (1 - 1e-9) - 1e-6
        # A clip to int16 shortens: the linear bounds hold for what is not cut.
        whole = (np.abs(a) < 32767).all(axis=1) & (np.abs(b) < 32767).all(axis=1)
        bounded = np.where(whole, np.minimum(most, np.floor(upper)), most)
        floor = np.where(whole, np.ceil(np.maximum(lower, 0) ** 2), 0)
        ends_low.append(np.maximum(least, floor).astype(np.int64))
        ends_high.append(bounded.astype(np.int64))
    return (
        front_end.form(np.stack(ends_low, axis=1), held.template),
        front_end.form(np.stack(ends_high, axis=1), held.template),
    )
