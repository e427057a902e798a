"""An example of what the guard for the patient saw."""

from __future__ import annotations

import numpy as np

from edgeprune.data import Subject, Windows
from edgeprune.evaluation import Bootstrap, Guard, guard_evidence
from edgeprune.evidence import GuardEvidence


def example_guard() -> GuardEvidence:
    """Two steps: the second costs V more than a point."""
    random = np.random.default_rng(5)
    labels = random.choice(5, 4_000, p=[0.8, 0.05, 0.1, 0.03, 0.02])
    windows = Windows(
        signal=np.zeros((4_000, 4, 1), np.int8),
        rhythm=np.zeros((4_000, 2), np.int8),
        gain=np.zeros(4_000, np.int64),
        label=labels,
        record=random.integers(0, 4, 4_000),
        beat=np.arange(4_000),
        record_names=("114", "205", "220", "223"),
        patients=("114", "205", "220", "223"),
        class_names=("N", "S", "V", "F", "Q"),
        synthetic=True,
        subjects=(Subject("female", 54), Subject("male", 59), Subject("female", 87), Subject()),
    )
    parent = np.eye(5)[labels] * 3 + random.normal(size=(4_000, 5))
    limits = {"S": 0.01, "V": 0.01}
    guard = Guard(windows, parent, limits, Bootstrap(resamples=100))
    weaker = parent - 2 * np.eye(5)[2]
    steps = (guard.judge(1, parent), guard.judge(2, weaker))
    return guard_evidence("validation", limits, steps)
