"""What a beat detector does wrong: beats misplaced, missed, or found where there are none."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgeprune.data.recordings import Int64Array, Recording
from edgeprune.disturbances.disturbance import BEATS_ONLY, Disturbance, Disturbed


@dataclass(frozen=True)
class QrsJitter(Disturbance):
    """Beats are found too early or too late: the window is misplaced and the RR intervals err."""

    name = "qrs-jitter"
    channels = BEATS_ONLY
    title = "QRS detection jitter"
    unit = "ms"
    severity_is = "largest error of a beat's time"
    severities = (5.0, 10.0, 20.0, 40.0, 60.0, 80.0)
    highest = 1000.0

    def describe(self) -> str:
        """Say what happens."""
        return f"each beat is found up to {self.severity:g} ms too early or too late"

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Move every beat by a drawn time, uniform between the ends."""
        errors = self.generator(recording, seed).uniform(-1, 1, len(recording.beats))
        shift = np.rint(errors * self.severity / 1000 * recording.adc.rate_hz).astype(np.int64)
        moved = np.clip(recording.beats + shift, 0, len(recording.samples) - 1)
        return _with_beats(recording, moved, np.arange(len(recording.beats)))


@dataclass(frozen=True)
class MissedBeats(Disturbance):
    """The detector misses beats: they get no window, and others get wrong RR intervals."""

    name = "missed-beats"
    channels = BEATS_ONLY
    title = "missed beats"
    unit = "%"
    severity_is = "share of the beats"
    severities = (1.0, 2.0, 5.0, 10.0, 20.0)
    highest = 100.0

    def describe(self) -> str:
        """Say what happens."""
        return f"the detector misses {self.severity:g} % of the beats, as drawn"

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Leave drawn beats out."""
        drawn = self.generator(recording, seed).random(len(recording.beats))
        kept = np.flatnonzero(drawn >= self.severity / 100)
        return _with_beats(recording, recording.beats[kept], kept)


@dataclass(frozen=True)
class ExtraBeats(Disturbance):
    """The detector finds beats where there are none, e.g. on T waves."""

    name = "extra-beats"
    channels = BEATS_ONLY
    title = "extra beats"
    unit = "%"
    severity_is = "extra beats for each beat"
    severities = (1.0, 2.0, 5.0, 10.0, 20.0)
    highest = 100.0

    def describe(self) -> str:
        """Say what happens."""
        return (
            f"the detector finds a beat too many after {self.severity:g} % of the beats, anywhere "
            "between this one and the next"
        )

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Put beats between drawn neighbours."""
        generator = self.generator(recording, seed)
        gaps = np.diff(recording.beats)
        drawn, place = generator.random(len(gaps)), generator.uniform(0.1, 0.9, len(gaps))
        after = np.flatnonzero((drawn < self.severity / 100) & (gaps > 1))
        extra = recording.beats[after] + np.maximum(1, (place * gaps)[after].astype(np.int64))
        beats = np.concatenate([recording.beats, extra])
        origin = np.concatenate([np.arange(len(recording.beats)), np.full(len(extra), -1)])
        return _with_beats(recording, beats, origin)


def _with_beats(recording: Recording, beats: Int64Array, origin: Int64Array) -> Disturbed:
    """Return the recording with other beats, ascending; of beats at one sample the first stays."""
    order = np.argsort(beats, kind="stable")
    beats, origin = beats[order], origin[order]
    first = np.diff(beats, prepend=-1) > 0
    beats, origin = beats[first], origin[first]
    labels = np.where(origin >= 0, recording.labels[origin], -1)
    return Disturbed(replace(recording, beats=beats, labels=labels), origin)
