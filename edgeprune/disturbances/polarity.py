"""Polarity swap: the two electrodes of the lead change places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeprune.data.recordings import Recording
from edgeprune.disturbances.disturbance import Disturbance, Disturbed, with_samples

_STRETCH_SECONDS = 10.0


@dataclass(frozen=True)
class PolaritySwap(Disturbance):
    """The lead is upside down for a share of the time."""

    name = "polarity-swap"
    title = "polarity swap"
    unit = "%"
    severity_is = "share of the time"
    severities = (10.0, 25.0, 50.0, 100.0)
    highest = 100.0

    def describe(self) -> str:
        """Say what happens."""
        if self.severity == 100:
            return "the electrodes are swapped: the whole recording is upside down"
        return (
            f"the electrodes are swapped {self.severity:g} % of the time, in drawn stretches of "
            f"{_STRETCH_SECONDS:g} s"
        )

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        """Turn drawn stretches upside down."""
        length = round(_STRETCH_SECONDS * recording.adc.rate_hz)
        stretches = -(-len(recording.samples) // length)
        # One order of the stretches serves all severities.
        order = self.generator(recording, seed).permutation(stretches)
        swapped = order < round(self.severity / 100 * stretches)
        signs = np.where(np.repeat(swapped, length)[: len(recording.samples)], -1, 1)
        return with_samples(recording, recording.samples.astype(np.int64) * signs)
