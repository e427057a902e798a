"""The front end's arithmetic: what a device does in a few integer instructions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int8Array = npt.NDArray[np.int8]
Int16Array = npt.NDArray[np.int16]
Int64Array = npt.NDArray[np.int64]


def integer_log(values: Int64Array) -> Int64Array:
    """Return log2 of integers >= 1 in 1/32 octave, linear within the octave, floored.

    On a device: count leading zeros, one shift, two additions.
    """
    exponent = np.frexp(values.astype(np.float64))[1].astype(np.int64) - 1
    return np.asarray(32 * exponent + ((values << 5) >> exponent) - 32)


def clip8(values: Int64Array) -> Int8Array:
    """Return values within the range of the network's inputs."""
    return np.clip(values, -127, 127).astype(np.int8)


def clip16(values: Int64Array) -> Int64Array:
    """Return values within the range of a conditioned count."""
    return np.clip(values, -32768, 32767)


def boxcar_sums(rows: Int64Array, length: int) -> Int64Array:
    """Return the sums of every `length` neighbours of each row."""
    total = np.cumsum(np.pad(rows, ((0, 0), (1, 0))), axis=1)
    return np.asarray(total[:, length:] - total[:, :-length])


def energy(rows: Int64Array) -> Int64Array:
    """Return the sum of squares of each row."""
    return np.asarray((rows * rows).sum(axis=1))


def log_energy(energies: Int64Array) -> Int64Array:
    """Return the logarithm of energies of conditioned counts."""
    return integer_log((energies >> 8) + 1)


def running_sum(values: Int64Array, window: int) -> tuple[Int64Array, Int64Array]:
    """Return the sum over the last `window` values up to each, and how many those are."""
    total = np.concatenate([[0], np.cumsum(values)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(last - window, 0)
    return np.asarray(total[last] - total[first]), last - first


def running_quantile(values: Int64Array, window: int, eighths: int) -> Int64Array:
    """Return the lower `eighths`/8 quantile of the last `window` values up to each."""
    result = np.empty_like(values)
    for index in range(min(window - 1, len(values))):
        ordered = np.sort(values[: index + 1])
        result[index] = ordered[(index * eighths) >> 3]
    if len(values) >= window:
        rows = np.lib.stride_tricks.sliding_window_view(values, window)
        rank = ((window - 1) * eighths) >> 3
        result[window - 1 :] = np.partition(rows, rank, axis=1)[:, rank]
    return result
