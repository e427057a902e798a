"""Held beats for the tests: of a generated recording, near the rails, and tiny ones."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.data.held_front_end import HeldBeats, hold
from edgeprune.data.synthetic import generate_record
from edgeprune.targets import Adc
from tests.data.patients import three_patients

ADC = Adc(360, 5.0, 11)


@cache
def recorded(count: int = 12) -> HeldBeats:
    """Return beats of a generated recording."""
    recording = generate_record(three_patients(60), "p03", 3)
    front_end = BeatFrontEnd.for_adc(ADC)
    chosen = np.linspace(4, len(recording.beats) - 5, count).astype(np.int64)
    return hold(front_end, ADC, recording.samples, recording.beats, chosen)


@cache
def railed() -> HeldBeats:
    """Return beats whose samples reach both ends of the converter's range."""
    held = recorded()
    loud = (held.raw - held.raw.mean(axis=1, keepdims=True)) * 5
    return replace(held, raw=np.clip(loud, -1024, 1023).astype(np.int16))


def tiny(seed: int, count: int = 3, bits: int = 4) -> HeldBeats:
    """Return windows of seven raw samples of a converter of few bits."""
    generator = np.random.default_rng(seed)
    half = 1 << (bits - 1)
    front_end = BeatFrontEnd(
        factor=1,
        rr_least=1,
        rr_most=100,
        rr_reference=10,
        amplitude_least=1,
        before=2,
        length=4,
        boxcar=2,
        qrs=(1, 3),
        p_wave=(0, 2),
    )
    template = generator.integers(-half, half, (count, 4))
    return HeldBeats(
        front_end,
        Adc(100, 5.0, bits),
        generator.integers(-half, half, (count, 7)).astype(np.int16),
        template,
        generator.integers(1, 90, count) << 13,
        np.zeros((count, front_end.interval_features), np.int8),
        np.full((count, 66), 10),
    )
