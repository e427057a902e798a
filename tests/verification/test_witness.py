"""The parameters behind members of low-dimensional sets: found, and true by the checker's sums."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.verification.perturbations import parse_perturbation
from edgeprune.verification.witness import explain
from tests.verification.perturbations.beats import recorded


@pytest.mark.parametrize(
    "text", ["wander:500uV@0.5Hz", "wander:1mV@0.5Hz", "hum:100uV@50Hz", "gain:10%", "offset:200uV"]
)
def test_every_vertex_has_parameters(text: str) -> None:
    """Attacks end at vertices: at full amplitude, on the rim of the disc and at its frequency."""
    perturbation = parse_perturbation(text)
    held = recorded(6)
    directions = np.random.default_rng(3).normal(size=(len(held), held.front_end.length))
    directions[1] = np.cos(np.linspace(0, np.pi, held.front_end.length))
    members = perturbation.vertex(held, directions)
    for window, raw in enumerate(members):
        one = held.select(np.array([window]))
        parameters = explain(perturbation, one, raw)
        assert parameters is not None, window
        if text.startswith(("wander", "hum")):
            frequency, cosine, sine = parameters
            seconds = (np.arange(held.samples) - held.beat_at) / held.adc.rate_hz
            change = cosine * np.cos(frequency * seconds) + sine * np.sin(frequency * seconds)
            low, high = held.count_range
            made = np.clip(held.raw[window] + change, low, high)
            assert np.abs(made - raw).max() <= 0.5 + 1e-5
