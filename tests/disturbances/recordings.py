"""Small recordings for tests of disturbances."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from edgeprune.data import BeatFrontEnd, Recording, Windows
from edgeprune.targets import Adc
from tests.data.records import small_recording

CLASSES = ("N", "S", "V")
ADC = Adc(360, 5.0, 11)
FRONT_END = BeatFrontEnd.for_adc(ADC)


@lru_cache
def minute(name: str = "r1") -> Recording:
    """Return a minute of a synthetic patient with three classes."""
    recording = small_recording(name)
    return replace(recording, labels=np.minimum(recording.labels, 2))


def windows_of(*recordings: Recording) -> Windows:
    """Return every window of recordings."""
    outputs = [FRONT_END.run(each.samples, each.beats) for each in recordings]
    kept = [output.valid for output in outputs]
    return Windows(
        signal=np.concatenate([out.signal[v] for out, v in zip(outputs, kept, strict=True)]),
        rhythm=np.concatenate([out.rhythm[v] for out, v in zip(outputs, kept, strict=True)]),
        gain=np.concatenate([out.gain[v] for out, v in zip(outputs, kept, strict=True)]),
        label=np.concatenate([rec.labels[v] for rec, v in zip(recordings, kept, strict=True)]),
        record=np.repeat(np.arange(len(recordings)), [int(v.sum()) for v in kept]),
        beat=np.concatenate([rec.beats[v] for rec, v in zip(recordings, kept, strict=True)]),
        record_names=tuple(each.name for each in recordings),
        patients=tuple(each.patient for each in recordings),
        class_names=CLASSES,
        synthetic=True,
    )
