"""Made-up beats, confidences and refusals for the example evidence: every figure is invented."""

from __future__ import annotations

import numpy as np

from edgeprune.evaluation import Bootstrap, Decisions, SeizureAnnotations, seizure_scores
from edgeprune.evaluation.abstention import monitored_windows
from edgeprune.evaluation.beat_pairs import AnnotatedBeats, DetectedBeats
from edgeprune.evaluation.ec57 import ec57_scores
from edgeprune.evaluation.probabilities import probability_scores
from edgeprune.evidence import (
    BeatScores,
    ProbabilityScores,
    Quantity,
    SeizureScores,
    Where,
)
from edgeprune.evidence.monitor import MonitorEvidence, MonitorLimits


def example_beats(stage: str, decisions: Decisions, bootstrap: Bootstrap) -> BeatScores:
    """Return scores of the decisions, as if their windows were three seconds apart."""
    references, found = [], []
    for index, name in enumerate(decisions.record_names):
        mask = decisions.records == index
        beats = 360 * 3 * np.arange(1, int(mask.sum()) + 1)
        seconds = 3 * len(beats) + 2
        references.append(
            AnnotatedBeats(
                name,
                decisions.patients[index],
                "test",
                360.0,
                360 * seconds,
                beats,
                decisions.labels[mask],
            )
        )
        found.append(DetectedBeats(beats[3:] + 9, decisions.predictions[mask][3:]))
    return ec57_scores(stage, "test", references, found, bootstrap, notes=("Invented.",))


def example_seizures(stage: str, bootstrap: Bootstrap) -> SeizureScores:
    """Return scores of three recordings of two people, one without any detection."""
    recordings = (
        SeizureAnnotations("e1", "p1", 3600.0, ((1000.0, 1060.0),), ((1010.0, 1050.0),)),
        SeizureAnnotations("e2", "p1", 1800.0, ((200.0, 230.0),), ((900.0, 904.0),)),
        SeizureAnnotations("e3", "p2", 7200.0, ((10.0, 90.0),), ()),
    )
    return seizure_scores(stage, "test", recordings, bootstrap, notes=("Invented.",))


def example_probabilities(
    stages: tuple[str, ...], decisions: tuple[Decisions, ...], bootstrap: Bootstrap
) -> tuple[ProbabilityScores, ...]:
    """Return scores of logits that point to the decisions, more or less."""
    random = np.random.default_rng(5)
    scores = []
    for stage, made in zip(stages, decisions, strict=True):
        logits = random.normal(0, 0.8, (len(made.labels), len(made.class_names)))
        rows = np.arange(len(logits))
        logits[rows, made.predictions] = logits.max(1) + random.gamma(2, 1.0, len(logits))
        scores.append(
            probability_scores(stage, "test", made, logits, bootstrap, "softmax of the logits")
        )
    return tuple(scores)


def example_monitor(decisions: Decisions, bootstrap: Bootstrap) -> MonitorEvidence:
    """Return a monitor that refuses wrong decisions more often than right ones."""
    random = np.random.default_rng(6)
    sets = []
    for name, harm in (("undisturbed", 0.0), ("muscle noise at 6 dB", 0.2)):
        worse = random.random(len(decisions.labels)) < harm
        changed = Decisions(
            decisions.labels,
            np.where(worse, 0, decisions.predictions),
            decisions.records,
            decisions.record_names,
            decisions.patients,
            decisions.class_names,
        )
        wrong = changed.labels != changed.predictions
        margin = np.maximum(random.integers(0, 90, len(wrong)) - 40 * wrong, 0)
        reasons = (8 * (margin < 4)).astype(np.uint8)
        reasons |= (random.random(len(wrong)) < 0.01).astype(np.uint8)
        sets.append(monitored_windows(name, changed, reasons, bootstrap, margin=margin))
    return MonitorEvidence(
        MonitorLimits(("means of the signal", "energy"), 1_234, 4, 3, 40, 2, 0.98, 0.979),
        tuple(sets),
        Quantity(1_240, "byte", Where.IMAGE),
        Quantity(16, "byte", Where.IMAGE),
        Quantity(21_345, "instruction", Where.EMULATOR, 64, "windows"),
        640,
        0,
    )
