"""Simulated heart rhythms: what the training recordings have too few of.

No recording is imitated: the series are drawn from what is known of sinus rhythm, atrial
fibrillation, premature beats (single, in groups, every second to fourth beat), runs, a sick sinus
node with escape beats, and dropped beats. They teach a classifier rhythms, not shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NORMAL, SUPRAVENTRICULAR = 0, 1
_SINUS_SECONDS = 0.8
_SHORTEST, _LONGEST = 0.25, 4.17
_WARM_UP, _TAIL = 20, 4  # beats at the ends of a series, where running features are not yet settled

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class RhythmSeries:
    """Beats of one simulated patient.

    Attributes:
        interval: Seconds from the beat before, float [beats].
        label: `NORMAL` or `SUPRAVENTRICULAR`, int64 [beats].
    """

    interval: Floats
    label: Labels


@dataclass(frozen=True)
class _Sinus:
    """A sinus rhythm to build upon.

    Attributes:
        base: Mean interval, seconds.
        interval: Intervals with breathing, slow drift and jitter.
        jitter: Relative standard deviation from beat to beat.
        drift: Relative slow drift.
    """

    base: float
    interval: Floats
    jitter: float
    drift: Floats


def simulate_rhythm(generator: np.random.Generator, beats: int = 160) -> RhythmSeries:
    """Draw one patient's rhythm.

    Args:
        generator: Where the draws come from.
        beats: Length of the series.
    """
    sinus = _sinus(generator, beats)
    kind = int(generator.choice(len(_KINDS), p=[share for share, _ in _KINDS]))
    series = _KINDS[kind][1](generator, sinus)
    return RhythmSeries(np.clip(series.interval, _SHORTEST, _LONGEST), series.label)


def settled(series: RhythmSeries) -> slice:
    """Return the beats of a series whose running features are settled."""
    return slice(_WARM_UP, len(series.interval) - 1 - _TAIL)


def _sinus(generator: np.random.Generator, beats: int) -> _Sinus:
    base = float(np.clip(_SINUS_SECONDS * np.exp(generator.normal(0, 0.22)), 0.42, 1.33))
    breathing = generator.uniform(0, 0.06)
    period = generator.uniform(3, 8)
    jitter = generator.uniform(0.005, 0.03)
    drift = np.cumsum(generator.normal(0, 0.008, beats))
    drift -= np.linspace(0, drift[-1], beats)
    phase = 2 * np.pi * np.arange(beats) / period
    noise = jitter * generator.normal(size=beats)
    return _Sinus(base, base * np.exp(breathing * np.sin(phase) + noise + drift), jitter, drift)


def _all_normal(interval: Floats) -> RhythmSeries:
    return RhythmSeries(interval, np.zeros(len(interval), np.int64))


def _fibrillating(generator: np.random.Generator, sinus: _Sinus) -> Floats:
    beats = len(sinus.interval)
    spread = generator.uniform(0.1, 0.3)
    interval = sinus.base * np.exp(spread * generator.normal(size=beats))
    refractory = sinus.base * generator.uniform(0.45, 0.65)
    shortest = refractory * np.exp(0.06 * generator.normal(size=beats))
    return np.asarray(np.maximum(interval, shortest))


def _fibrillation(generator: np.random.Generator, sinus: _Sinus) -> RhythmSeries:
    return _all_normal(_fibrillating(generator, sinus))


def _paroxysm(generator: np.random.Generator, sinus: _Sinus) -> RhythmSeries:
    """Atrial fibrillation in the first or the second half."""
    interval = sinus.interval.copy()
    half = len(interval) // 2
    part = slice(0, half) if generator.random() < 0.5 else slice(half, None)
    interval[part] = _fibrillating(generator, sinus)[part] * generator.uniform(0.7, 1)
    return _all_normal(interval)


def _premature(generator: np.random.Generator, sinus: _Sinus, *, periodic: bool) -> RhythmSeries:
    """Premature beats, alone or, now and then, every second to fourth beat."""
    interval, label = sinus.interval.copy(), np.zeros(len(sinus.interval), np.int64)
    rate = np.exp(generator.uniform(np.log(0.01), np.log(0.15)))
    early = generator.uniform(0.5, 0.85)
    every = int(generator.integers(2, 5))
    in_period = False
    beat = 0
    while beat < len(interval):
        if periodic and generator.random() < 0.05:
            in_period = not in_period
        due = beat % every == 0 if in_period else generator.random() < rate
        if due and beat and not label[beat - 1]:
            label[beat] = SUPRAVENTRICULAR
            share = np.clip(early * np.exp(0.06 * generator.normal()), 0.4, 0.9)
            interval[beat] = sinus.interval[beat] * share
            if beat + 1 < len(interval):
                interval[beat + 1] = sinus.interval[beat + 1] * generator.uniform(0.92, 1.3)
            beat += 1
        beat += 1
    return RhythmSeries(interval, label)


def _runs(generator: np.random.Generator, sinus: _Sinus) -> RhythmSeries:
    """Runs of fast supraventricular beats, each followed by a pause."""
    interval, label = sinus.interval.copy(), np.zeros(len(sinus.interval), np.int64)
    rate = generator.uniform(0.01, 0.06)
    beat = 1
    while beat < len(interval):
        if generator.random() < rate:
            length = int(generator.geometric(1 / generator.uniform(2, 12))) + 1
            length = min(length, len(interval) - beat - 1)
            share = generator.uniform(0.45, 0.82)
            if length > 0:
                run = slice(beat, beat + length)
                label[run] = SUPRAVENTRICULAR
                spread = generator.uniform(0.01, 0.06)
                interval[run] = sinus.base * share * np.exp(spread * generator.normal(size=length))
                beat += length
                interval[beat] = sinus.base * generator.uniform(0.9, 1.7)
        beat += 1
    return RhythmSeries(interval, label)


def _sick_sinus(generator: np.random.Generator, sinus: _Sinus) -> RhythmSeries:
    """Pauses, each followed by a group of faster ectopic beats: most beats are ectopic."""
    interval, label = sinus.interval.copy(), np.zeros(len(sinus.interval), np.int64)
    ectopic = generator.uniform(0.53, 0.92)
    pause = ectopic * generator.uniform(1.6, 2.8)
    mean_group = generator.uniform(1.2, 7)
    beat = 0
    while beat < len(interval):
        interval[beat] = pause * np.exp(generator.uniform(0.05, 0.25) * generator.normal())
        beat += 1
        if generator.random() < 0.15 and beat < len(interval):
            interval[beat] = pause * np.exp(0.2 * generator.normal())
            beat += 1
        length = min(int(generator.geometric(1 / mean_group)), len(interval) - beat)
        if length > 0:
            group = slice(beat, beat + length)
            interval[group] = ectopic * np.exp(0.03 * generator.normal(size=length))
            label[group] = SUPRAVENTRICULAR
            beat += length
    return RhythmSeries(interval, label)


def _blocks(generator: np.random.Generator, sinus: _Sinus) -> RhythmSeries:
    """Dropped beats, two-to-one block, pauses: all beats are normal."""
    interval = sinus.interval.copy()
    rate = generator.uniform(0.02, 0.5)
    blocked = False
    for beat in range(len(interval)):
        if generator.random() < 0.04:
            blocked = not blocked
        if (blocked and generator.random() < 2 * rate) or generator.random() < 0.1 * rate:
            interval[beat] = sinus.interval[beat] * generator.choice([2, 2, 2, 1.5, 1.7])
    return _all_normal(interval)


def _arrhythmic_sinus(generator: np.random.Generator, sinus: _Sinus) -> RhythmSeries:
    """Sinus rhythm that breathes strongly and drifts."""
    beats = len(sinus.interval)
    depth = generator.uniform(0.05, 0.15)
    breathing = np.sin(2 * np.pi * np.arange(beats) / generator.uniform(3, 20))
    noise = 2 * sinus.jitter * generator.normal(size=beats)
    return _all_normal(sinus.base * np.exp(depth * breathing + noise + 3 * sinus.drift))


_Kind = Callable[[np.random.Generator, _Sinus], RhythmSeries]
_KINDS: tuple[tuple[float, _Kind], ...] = (
    (0.26, _fibrillation),
    (0.22, lambda generator, sinus: _premature(generator, sinus, periodic=False)),
    (0.14, _runs),
    (0.08, lambda generator, sinus: _premature(generator, sinus, periodic=True)),
    (0.12, _sick_sinus),
    (0.08, _blocks),
    (0.05, _arrhythmic_sinus),
    (0.05, _paroxysm),
)
