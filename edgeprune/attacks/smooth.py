"""Smooth adversarial perturbations: changes that look like a signal, not like noise.

Han et al. 2020 (Nature Medicine 26, 360-363): the change is the mean of one noise smoothed by
Gaussian kernels of several lengths, and the noise is found by projected gradient steps. Kernels
hold `SIZES` samples at 360 samples a second, of the standard deviations `DEVIATIONS`, and last as
many milliseconds at any other rate.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.ascent import ascend
from edgeprune.attacks.balls import Ball
from edgeprune.attacks.losses import cross_entropy
from edgeprune.attacks.result import AttackResult
from edgeprune.attacks.search import Search, look
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.steps import led, step
from edgeprune.attacks.victims import Victim
from edgeprune.data.held import HeldWindows
from edgeprune.data.held_segments import HeldSegments
from edgeprune.progress import Progress
from edgeprune.verification.falsify import Windows
from edgeprune.verification.outcomes import Int16Array
from edgeprune.verification.perturbations.part import movable

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

SIZES = (5, 7, 11, 15, 19)
DEVIATIONS = (1.0, 3.0, 5.0, 7.0, 10.0)
_RATE_HZ = 360.0
# All steps together reach across the ball and back a little.
_REACH = 2.5


def smoothing_kernel(rate_hz: float) -> Float64Array:
    """Return the mean of the Gaussian kernels, an odd number of weights whose sum is 1.

    Args:
        rate_hz: Samples a second.
    """
    scale = rate_hz / _RATE_HZ
    halves = [max(1, round(scale * (size - 1) / 2)) for size in SIZES]
    result = np.zeros(2 * max(halves) + 1)
    for half, deviation in zip(halves, DEVIATIONS, strict=True):
        place = np.arange(-half, half + 1)
        weights = np.exp(-0.5 * (place / (scale * deviation)) ** 2)
        middle = max(halves)
        result[middle - half : middle + half + 1] += weights / weights.sum() / len(SIZES)
    return result


class Smoother:
    """Smooths noises of windows; the ends are padded with 0, as the paper's convolution does.

    Args:
        held: The windows; without a converter their rate counts as 360 samples a second.
    """

    def __init__(self, held: Windows) -> None:
        rate = held.adc.rate_hz if isinstance(held, HeldWindows) else _RATE_HZ
        size, count = held.raw.shape[1], movable(held)
        self._kernel = kernel = smoothing_kernel(rate)
        self._segments = held if isinstance(held, HeldSegments) else None
        if self._segments is not None:
            return
        half = len(kernel) // 2
        self._matrix = np.zeros((size, size))
        for place in range(count):
            first, last = max(0, place - half), min(count, place + half + 1)
            self._matrix[place, first:last] = kernel[first - place + half : last - place + half]

    def smooth(self, noise: Float64Array) -> Float64Array:
        """Return noises [n, reach] smoothed."""
        return noise @ self._matrix if self._segments is None else self._by_channel(noise)

    def pull(self, slope: Float64Array) -> Float64Array:
        """Return slopes by the noise, given those by the samples [n, reach]."""
        # The kernel is symmetric.
        return slope @ self._matrix.T if self._segments is None else self._by_channel(slope)

    def _by_channel(self, values: Float64Array) -> Float64Array:
        """Return raw values of segments [n, reach] smoothed in time, each channel by itself."""
        assert self._segments is not None
        front_end = self._segments.front_end
        shape = (len(values), front_end.length, front_end.channels, front_end.factor)
        series = values.reshape(shape).transpose(0, 2, 1, 3)
        flat = series.reshape(len(values) * front_end.channels, -1)
        smoothed = [np.convolve(each, self._kernel)[len(self._kernel) // 2 :] for each in flat]
        cut = np.array([each[: flat.shape[1]] for each in smoothed]).reshape(series.shape)
        return np.ascontiguousarray(cut.transpose(0, 2, 1, 3)).reshape(values.shape)


def smooth(
    victim: Victim,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
) -> AttackResult:
    """Raise the cross-entropy by a smoothed noise; see `registry.Attack`.

    The ball bounds the noise, and so the smoothed change, whose weights add up to 1.
    """
    walk = partial(_walk, victim, Smoother(victim.held), settings.steps)
    # Counts that are searched one by one would not be smooth.
    return ascend("smooth", [walk], victim, labels, ball, settings, progress, refined=False)


def _walk(
    victim: Victim,
    smoother: Smoother,
    steps: int,
    search: Search,
    generator: np.random.Generator,
    rows: Int64Array,
    raw: Int16Array,
) -> None:
    ball, recorded = search.ball, victim.held.raw
    length = _REACH * ball.radius(victim.held) / steps
    noise = raw.astype(np.float64) - recorded[rows]
    for number in range(steps + 1):
        held = victim.held.select(rows)
        moved = ball.rounded(held, recorded[rows] + smoother.smooth(noise))
        seen = look(search, victim, rows, moved)
        if number == steps:
            return
        slope = seen.gradient(cross_entropy(seen.logits, search.labels[rows])[1])
        going = ~search.broken[rows]
        rows, noise, slope = rows[going], noise[going], slope[going]
        if not len(rows):
            return
        held, start = victim.held.select(rows), recorded[rows].astype(np.float64)
        heading = step(ball, held, start + noise, led(smoother.pull(slope), generator))
        noise = ball.project(held, start + noise + length * heading) - start
