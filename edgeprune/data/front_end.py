"""What the device does to raw samples, in integers: the specification of the front end.

For each beat, from the int16 counts of the converter and the sample numbers of the beats:

1. Conditioning (linear, one rounding): sums of `2 * factor` samples every `factor` samples bring
   the rate to about 120 Hz with a zero at 60 Hz; a triangular mean over about one second (two
   boxcars of 64) is subtracted as the baseline.
2. Two channels of 96 samples: the beat, and the beat minus the patient's running template. Both
   are divided by the template's peak, so that the classifier sees shapes and not millivolts.
3. Rhythm features: logarithms of the RR intervals around the beat against running quantiles of
   the patient's own, measures of their irregularity, and the beat's form against the template.

The template and all running values come from earlier beats only; what lies after the beat is its
window and one RR interval, so a beat is classified one beat later (`delay_beats`). The C of the
device (firmware_export/runtime/edgeprune_front_end.c) computes the same to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.data.front_ends import BEATS, FrontEndOutput
from edgeprune.data.integer_arithmetic import (
    Int8Array,
    Int16Array,
    Int64Array,
    boxcar_sums,
    clip8,
    clip16,
    energy,
    integer_log,
    log_energy,
    running_quantile,
    running_sum,
)
from edgeprune.errors import ConfigurationError
from edgeprune.targets import Adc

_RATE_HZ = 120.0
# Beyond these the device's 32-bit sums would overflow.
_MOST_FACTOR = 7
_LEAST_AMPLITUDE = 16
_RHYTHM_NAMES = (
    *(f"log RR[{lag:+d}] / upper quantile" for lag in range(-4, 2)),
    *(f"log RR[{lag:+d}] / median" for lag in range(2)),
    *("log RR change: quartile of 32", "log RR change: median of 32"),
    *("log RR change: 3/8 quantile of 16", "log RR change: quartile of 64"),
    *("log RR change: mean of 32", "log RR change: mean of 64"),
    "log upper quantile of RR",
    *("log QRS difference to template", "log P difference to template", "log QRS energy"),
)
# Windows (changes back from the beat) and eighths of the quantiles of |RR change|.
CHANGE_QUANTILES = ((32, 2), (32, 4), (16, 3), (64, 2))
CHANGE_MEANS = (32, 64)


@dataclass(frozen=True)
class BeatMemory:
    """What the device remembers at each of n beats and what the RR intervals say there.

    Attributes:
        template: The running mean of earlier steady beats, int64 [n, length].
        gain: What a conditioned count is multiplied by, times 2^14, int64 [n].
        intervals: The rhythm features of the RR intervals alone, int64 [n, interval_features].
    """

    template: Int64Array
    gain: Int64Array
    intervals: Int64Array


@dataclass(frozen=True)
class BeatFrontEnd:
    """The front end's integer constants; `run` is the specification.

    Attributes:
        factor: Raw samples a conditioned sample.
        rr_least: Shorter RR intervals count as this (raw samples).
        rr_most: Longer RR intervals count as this; the device then waits no longer.
        rr_reference: The RR interval whose logarithm is the feature's zero.
        amplitude_least: Smaller template peaks count as this (conditioned counts).
        before: Conditioned samples of the window before the beat.
        length: Conditioned samples of the window.
        boxcar: Length of each of the two boxcars of the baseline, a power of two.
        qrs: First and last + 1 sample of the window's QRS zone.
        p_wave: First and last + 1 sample of the window's P zone.
        history: RR intervals remembered.
        peak: What the template's peak becomes in the int8 window.
        settling: The template's update halves its weight this many times before it is steady.
    """

    factor: int
    rr_least: int
    rr_most: int
    rr_reference: int
    amplitude_least: int
    before: int = 48
    length: int = 96
    boxcar: int = 64
    qrs: tuple[int, int] = (36, 62)
    p_wave: tuple[int, int] = (14, 38)
    history: int = 64
    peak: int = 64
    settling: int = 4

    @staticmethod
    def for_adc(adc: Adc) -> BeatFrontEnd:
        """Return the front end for a converter.

        Raises:
            ConfigurationError: The rate is below 96 Hz, between 150 and 192 Hz or above 1050 Hz.
        """
        factor = min(max(1, round(adc.rate_hz / _RATE_HZ)), _MOST_FACTOR)
        if not 0.8 <= adc.rate_hz / (factor * _RATE_HZ) <= 1.25:
            raise ConfigurationError(
                f"the front end cannot take {adc.rate_hz:g} samples a second",
                where="adc.rate_hz",
                hint="it takes 96 to 150 Hz and 192 to 1050 Hz; resample to one of these",
            )
        sixth_of_a_millivolt = 1000 / 6 / adc.microvolt_per_count * 2 * factor
        return BeatFrontEnd(
            factor=factor,
            rr_least=round(0.1 * adc.rate_hz),
            rr_most=round(5.687 * adc.rate_hz),
            rr_reference=round(0.8 * adc.rate_hz),
            amplitude_least=max(_LEAST_AMPLITUDE, round(sixth_of_a_millivolt)),
        )

    @property
    def kind(self) -> str:
        """Beats."""
        return BEATS

    @property
    def signal_shape(self) -> tuple[int, int]:
        """Length and channels of the signal input."""
        return self.length, 2

    @property
    def rhythm_names(self) -> tuple[str, ...]:
        """What each rhythm feature is."""
        return _RHYTHM_NAMES

    @property
    def rhythm_features(self) -> int:
        """Features of the rhythm input."""
        return len(_RHYTHM_NAMES)

    @property
    def interval_features(self) -> int:
        """Leading rhythm features that depend on the RR intervals alone."""
        return len(_RHYTHM_NAMES) - 3

    @property
    def signal_scale(self) -> float:
        """Real step of one LSB of the signal input: the template's peak is 2."""
        return 1 / 32

    @property
    def signal_zero_point(self) -> int:
        """The integer that stands for 0."""
        return 0

    @property
    def rhythm_scale(self) -> float:
        """Real step of one LSB of the rhythm input: one octave is 1."""
        return 1 / 32

    @property
    def rhythm_zero_point(self) -> int:
        """The integer that stands for 0."""
        return 0

    @property
    def delay_beats(self) -> int:
        """Beats that must follow a beat before it is classified."""
        return 1

    @property
    def reach(self) -> tuple[int, int]:
        """Raw samples before and after a beat's sample that its window needs."""
        first = self.before + self.boxcar - 1
        last = self.length - self.before + self.boxcar - 2
        return self.factor * (first + 1), self.factor * (last + 1) - 1

    def constants(self) -> Mapping[str, int]:
        """Return the fields of the C struct `edgeprune_front_end_config`, in its order."""
        return {
            "factor": self.factor,
            "rr_least": self.rr_least,
            "rr_most": self.rr_most,
            "rr_reference": self.rr_reference,
            "amplitude_least": self.amplitude_least,
        }

    def run(self, samples: Int16Array, beats: Int64Array) -> FrontEndOutput:
        """Return the network's inputs for every beat of one recording.

        Args:
            samples: int16 [n], counts of the converter.
            beats: int64 [k], ascending sample numbers.
        """
        count = len(beats)
        if count == 0 or len(samples) == 0:
            return FrontEndOutput(
                np.zeros((count, *self.signal_shape), np.int8),
                np.zeros((count, self.rhythm_features), np.int8),
                np.ones(count, np.int64),
                np.zeros(count, np.bool_),
            )
        conditioned, memory = self.memory(samples, beats)
        signal, rhythm = self.present(conditioned, memory)
        return FrontEndOutput(signal, rhythm, memory.gain, self._valid(len(samples), beats))

    def memory(self, samples: Int16Array, beats: Int64Array) -> tuple[Int64Array, BeatMemory]:
        """Return every beat's conditioned window [k, length], and what it is presented against."""
        conditioned = self.condition(samples, beats)
        before, after = self.intervals(beats)
        intervals, median = self.interval_rows(before, after)
        steady = (8 * before >= 7 * median) & (8 * after >= 7 * median) & (4 * before <= 5 * median)
        template = self._templates(conditioned, steady)
        return conditioned, BeatMemory(template, self._gain(template), intervals)

    def present(self, conditioned: Int64Array, memory: BeatMemory) -> tuple[Int8Array, Int8Array]:
        """Return the network's inputs for conditioned windows.

        Args:
            conditioned: int16 values [n, length].
            memory: What the device remembers at each of these beats.

        Returns:
            Signal int8 [n, length, channels], rhythm int8 [n, features].
        """
        difference = clip16(conditioned - memory.template)
        signal = self.scale(np.stack([conditioned, difference], axis=2), memory.gain)
        qrs, p_wave = slice(*self.qrs), slice(*self.p_wave)
        energies = (
            energy(difference[:, qrs]),
            energy(difference[:, p_wave]),
            energy(conditioned[:, qrs]),
        )
        form = self.form(np.stack(energies, axis=1), memory.template)
        return signal, np.concatenate([clip8(memory.intervals), form], axis=1)

    def scale(self, channels: Int64Array, gain: Int64Array) -> Int8Array:
        """Return conditioned channels [n, length, channels] times each beat's gain [n]."""
        return clip8((channels * gain[:, None, None] + (1 << 13)) >> 14)

    def form(self, energies: Int64Array, template: Int64Array) -> Int8Array:
        """Return the last three rhythm features; each rises with its energy.

        Args:
            energies: Sums of squares of the QRS difference, P difference and QRS, int64 [n, 3].
            template: What the beats meet, int64 [n, length].
        """
        expected = log_energy(energy(template[:, slice(*self.qrs)]))
        over = log_energy(energies) - expected[:, None]
        return clip8(np.stack([over[:, 0] >> 1, (over[:, 1] >> 1) + 64, over[:, 2]], axis=1))

    def microvolt_per_lsb(self, gain: Int64Array, adc: Adc) -> npt.NDArray[np.float64]:
        """Return what one step of the signal input is at the electrodes, for each beat's gain."""
        return adc.microvolt_per_count * (1 << 14) / (gain * 2.0 * self.factor)

    def condition(self, samples: Int16Array, beats: Int64Array) -> Int64Array:
        """Return the conditioned window of every beat, int16 values [k, length].

        Outside the recording its first and its last sample are held.
        """
        counts = samples.astype(np.int64)
        total = np.concatenate([[0], np.cumsum(counts)])

        def up_to(index: Int64Array) -> Int64Array:
            inside = total[np.clip(index, 0, len(counts))]
            early = np.where(index < 0, index * counts[0], 0)
            late = np.where(index > len(counts), (index - len(counts)) * counts[-1], 0)
            return np.asarray(inside + early + late)

        edge = self.boxcar
        steps = np.arange(-self.before - edge, self.length - self.before + edge)
        totals = up_to(beats[:, None] + self.factor * steps)
        return self.round_conditioned(self.centre(totals[:, 2:] - totals[:, :-2]))

    def centre(self, sums: Int64Array) -> Int64Array:
        """Return sums minus their baseline, times `boxcar`^2: linear and without a rounding.

        Args:
            sums: Sums of 2 * factor samples [n, length + 2 * (boxcar - 1)].

        Returns:
            int64 [n, length].
        """
        edge = self.boxcar - 1
        baseline = boxcar_sums(boxcar_sums(sums, self.boxcar), self.boxcar)
        return self.boxcar * self.boxcar * sums[:, edge : edge + self.length] - baseline

    def round_conditioned(self, centred: Int64Array) -> Int64Array:
        """Return what `centre` gave as conditioned counts: its one rounding, within int16."""
        square = self.boxcar * self.boxcar
        return clip16((centred + square // 2) >> (square.bit_length() - 1))

    def intervals(self, beats: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return the RR intervals before and after each beat.

        The first beat's interval before it is the one after it. After the last beat a device waits
        for `rr_most` samples in vain.
        """
        gaps = np.clip(np.diff(beats), self.rr_least, self.rr_most)
        after = np.append(gaps, self.rr_most)
        return np.concatenate([after[:1], gaps]), after

    def interval_rows(self, before: Int64Array, after: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return the features that depend on the intervals alone, and the running median RR.

        Args:
            before: RR interval before each beat [k], in raw samples.
            after: RR interval after each beat [k].

        Returns:
            Features int8 values [k, interval_features], medians [k].
        """
        upper = running_quantile(before, self.history, 7)
        median = running_quantile(before, 32, 4)
        beat = np.arange(len(before))
        lagged = [before[np.maximum(beat - lag, 0)] for lag in (4, 3, 2, 1, 0)]
        changes = np.abs(np.diff(before, prepend=before[:1]))
        measures = [running_quantile(changes, *each) for each in CHANGE_QUANTILES]
        sums = [running_sum(changes, window) for window in CHANGE_MEANS]
        measures = [16 * each + 16 for each in measures]
        measures += [16 * total // number + 16 for total, number in sums]
        return self.interval_columns(lagged, after, upper, median, measures), median

    def interval_columns(
        self,
        lagged: Sequence[Int64Array],
        after: Int64Array,
        upper: Int64Array,
        median: Int64Array,
        measures: Sequence[Int64Array],
    ) -> Int64Array:
        """Return the features [k, interval_features] from what the intervals come to; all [k].

        Args:
            lagged: The last five intervals before the beat, oldest first.
            after: The interval after it.
            upper: The upper quantile of all remembered.
            median: The median of the last 32.
            measures: Sixteen times each measure of change, plus 16.
        """
        logs, log_after = [integer_log(each) for each in lagged], integer_log(after)
        log_upper, log_median = integer_log(upper), integer_log(median)
        columns = [each - log_upper for each in (*logs, log_after)]
        columns += [logs[-1] - log_median, log_after - log_median]
        columns += [integer_log(each) - log_upper for each in measures]
        columns.append(log_upper - integer_log(np.array([self.rr_reference])))
        return clip8(np.stack(columns, axis=1)).astype(np.int64)

    def _templates(self, conditioned: Int64Array, steady: npt.NDArray[np.bool_]) -> Int64Array:
        """Return the template that each beat meets: a running mean of earlier steady beats."""
        templates = np.empty_like(conditioned)
        template = conditioned[0].copy()
        weight = 0
        for index, beat in enumerate(conditioned):
            templates[index] = template
            if steady[index]:
                weight = min(weight + 1, self.settling)
                difference = clip16(beat - template)
                template = template + ((difference + (1 << (weight - 1))) >> weight)
        return templates

    def _gain(self, template: Int64Array) -> Int64Array:
        amplitude = np.abs(template[:, slice(*self.qrs)]).max(axis=1)
        return np.asarray((self.peak << 14) // np.maximum(amplitude, self.amplitude_least))

    def _valid(self, samples: int, beats: Int64Array) -> npt.NDArray[np.bool_]:
        _, reach = self.reach
        complete = beats + reach < samples
        # The device allows its beat detector as much delay as a window takes to complete.
        complete[-1] &= beats[-1] + self.rr_most + reach + 1 < samples
        return np.asarray(complete)
