"""Single beats at the converter: what the device remembers is held, the raw samples may move.

A perturbation is a change of the raw counts that one beat's window reads. What earlier beats left
behind (template, gain, RR history) is held as it was: that is the threat model of every statement
made with these. `HeldBeats.inputs` is the front end's own arithmetic from the raw window on; for
unchanged samples it gives what `BeatFrontEnd.run` gives, to the bit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.data.front_end import (
    CHANGE_MEANS,
    CHANGE_QUANTILES,
    BeatFrontEnd,
    BeatMemory,
)
from edgeprune.data.integer_arithmetic import Int8Array, Int16Array, Int64Array
from edgeprune.files import write_bytes
from edgeprune.targets import Adc

_ARRAYS = ("raw", "template", "gain", "intervals", "rr")


@dataclass(frozen=True, eq=False)
class HeldBeats:
    """Beats whose raw samples may move while the device's memory is held.

    Attributes:
        front_end: What conditions the samples.
        adc: The converter; its bits bound what a raw sample can be.
        raw: What each beat's window reads, int16 counts [n, reach]; the beat is at `beat_at`.
            Before a recording's start its first sample is repeated. Where RR intervals may move
            too, those before and after the beat are two columns more (`with_intervals`).
        template: What each beat is compared with, int64 conditioned counts [n, length].
        gain: The front end's gain times 2^14, int64 [n].
        intervals: The rhythm features of the RR intervals alone, int8 [n, interval features].
        rr: The RR intervals before the last `history` + 1 beats, this one's last, and the one
            after it: int64 raw samples [n, history + 2]; 0 where there was none yet.
        signal_alone: Whether the network takes the signal and no rhythm features.
    """

    front_end: BeatFrontEnd
    adc: Adc
    raw: Int16Array
    template: Int64Array
    gain: Int64Array
    intervals: Int8Array
    rr: Int64Array
    signal_alone: bool = False

    def __len__(self) -> int:
        return len(self.raw)

    @property
    def samples(self) -> int:
        """Raw samples of a window."""
        return sum(self.front_end.reach) + 1

    @property
    def beat_at(self) -> int:
        """Index of the beat's own sample in `raw`."""
        return self.front_end.reach[0]

    @property
    def count_range(self) -> tuple[int, int]:
        """Least and greatest count that the converter delivers."""
        half = 1 << (self.adc.bits - 1)
        return -half, half - 1

    def inputs(self, raw: Int16Array | None = None) -> tuple[Int8Array, ...]:
        """Return the network's inputs, for other raw samples where these are given.

        Args:
            raw: int16 [n, reach], or [n, reach + 2] with the intervals before and after the beat.

        Returns:
            Signal int8 [n, length, channels], rhythm int8 [n, features] unless `signal_alone`.
        """
        values = (self.raw if raw is None else raw).astype(np.int64)
        counts, around = values[:, : self.samples], values[:, self.samples :]
        conditioned = self.front_end.round_conditioned(centred(self.front_end, counts))
        intervals = self.interval_features(around) if around.size else self.intervals
        memory = BeatMemory(self.template, self.gain, intervals.astype(np.int64))
        made = self.front_end.present(conditioned, memory)
        return made[:1] if self.signal_alone else made

    def with_intervals(self) -> HeldBeats:
        """Return the beats with the intervals before and after each as the last columns of raw."""
        if self.raw.shape[1] > self.samples:
            return self
        around = self.rr[:, -2:].astype(np.int16)
        return replace(self, raw=np.concatenate([self.raw, around], axis=1))

    def interval_features(self, around: Int64Array) -> Int8Array:
        """Return the rhythm features of the intervals, the ones around the beat being others.

        Args:
            around: The intervals before and after each beat, int64 raw samples [n, 2].

        Returns:
            int8 [n, interval_features].
        """
        front_end = self.front_end
        before = np.concatenate([self.rr[:, :-2], around[:, :1]], axis=1)
        known = before > 0
        lagged = [before[:, -1]]
        for lag in (1, 2, 3, 4):
            # Before the first beat's interval that one is repeated.
            lagged.insert(0, np.where(known[:, -1 - lag], before[:, -1 - lag], lagged[0]))
        changes = np.abs(np.diff(before, axis=1))
        changes[~known[:, :-1]] = 0
        upper = _last_quantile(before[:, 1:], known[:, 1:], front_end.history, 7)
        median = _last_quantile(before, known, 32, 4)
        measures = [
            16 * _last_quantile(changes, known[:, 1:], window, eighths) + 16
            for window, eighths in CHANGE_QUANTILES
        ]
        for window in CHANGE_MEANS:
            number = known[:, 1:][:, -window:].sum(axis=1)
            measures.append(16 * changes[:, -window:].sum(axis=1) // number + 16)
        columns = front_end.interval_columns(lagged, around[:, 1], upper, median, measures)
        return columns.astype(np.int8)

    def places(self) -> Int64Array:
        """Return the place of each raw value [size]."""
        return np.arange(self.raw.shape[1])

    def at_place(self, places: Int64Array) -> Int64Array:
        """Return which raw value lies at each place."""
        return places

    def microvolt_per_lsb(self) -> npt.NDArray[np.float64]:
        """Return what one step of the signal input is at the electrodes [n]."""
        return self.front_end.microvolt_per_lsb(self.gain, self.adc)

    def select(self, mask: npt.NDArray[np.bool_] | Int64Array | slice) -> HeldBeats:
        """Return the beats of a mask [n], of indices or of a slice."""
        return replace(self, **{name: getattr(self, name)[mask] for name in _ARRAYS})

    def save(self, path: Path) -> None:
        """Write to one `.npz` without pickled objects."""
        constants = json.dumps({"front_end": asdict(self.front_end), "adc": asdict(self.adc)})
        buffer = BytesIO()
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        np.savez(buffer, constants=np.array(constants, dtype=np.str_), **arrays)
        write_bytes(path, buffer.getvalue())

    @staticmethod
    def load(path: Path) -> HeldBeats:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as content:
            constants = json.loads(str(content["constants"]))
            front_end: dict[str, Any] = constants["front_end"]
            for zone in ("qrs", "p_wave"):
                front_end[zone] = tuple(front_end[zone])
            arrays = {name: content[name] for name in _ARRAYS}
            return HeldBeats(BeatFrontEnd(**front_end), Adc(**constants["adc"]), **arrays)


def centred(front_end: BeatFrontEnd, counts: Int64Array) -> Int64Array:
    """Return raw windows [n, reach] conditioned, times `boxcar`^2 and not yet rounded.

    Linear in the counts: `counts @ conditioning_matrix(front_end)`.
    """
    total = np.cumsum(np.pad(counts, ((0, 0), (1, 0))), axis=1)[:, :: front_end.factor]
    return front_end.centre(total[:, 2:] - total[:, :-2])


def conditioning_matrix(front_end: BeatFrontEnd) -> Int64Array:
    """Return the conditioning as integers A [reach, length]; its `factor` rows a block are equal.

    conditioned = (raw @ A + boxcar^2 / 2) >> log2(boxcar^2). The columns sum to 0.
    """
    before, after = front_end.reach
    return centred(front_end, np.eye(before + after + 1, dtype=np.int64))


def hold(
    front_end: BeatFrontEnd,
    adc: Adc,
    samples: Int16Array,
    beats: Int64Array,
    chosen: Int64Array | npt.NDArray[np.bool_],
) -> HeldBeats:
    """Return some beats of a recording with what the device remembered at each.

    Args:
        front_end: What conditions the samples.
        adc: The converter that the samples came from.
        samples: The whole recording, int16 [m].
        beats: All its beats, int64 [k], ascending sample numbers.
        chosen: Indices or a mask of the beats to return; their windows lie within the recording
            but for its start (`FrontEndOutput.valid`).
    """
    _, memory = front_end.memory(samples, beats)
    before, after = front_end.intervals(beats)
    earlier = np.concatenate([np.zeros(front_end.history, np.int64), before])
    history = np.lib.stride_tricks.sliding_window_view(earlier, front_end.history + 1)
    first, last = front_end.reach
    places = beats[chosen][:, None] + np.arange(-first, last + 1)
    return HeldBeats(
        front_end,
        adc,
        samples[np.clip(places, 0, len(samples) - 1)],
        memory.template[chosen],
        memory.gain[chosen],
        memory.intervals[chosen].astype(np.int8),
        np.concatenate([history, after[:, None]], axis=1)[chosen],
    )


def join(parts: Sequence[HeldBeats]) -> HeldBeats:
    """Return the beats of all parts, which share converter and front end, one after another."""
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    return replace(parts[0], **arrays)


def _last_quantile(
    values: Int64Array, known: npt.NDArray[np.bool_], window: int, eighths: int
) -> Int64Array:
    """Return the lower `eighths`/8 quantile of the last `window` known values of each row."""
    last, there = values[:, -window:], known[:, -window:]
    ordered = np.sort(np.where(there, last, np.iinfo(np.int64).max), axis=1)
    rank = ((there.sum(axis=1) - 1) * eighths) >> 3
    return np.asarray(np.take_along_axis(ordered, rank[:, None], axis=1)[:, 0])
