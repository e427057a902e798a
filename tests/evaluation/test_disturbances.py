"""Curves against severity, in numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeprune.data import Windows
from edgeprune.disturbances import DisturbedDecisions, parse_disturbance
from edgeprune.evaluation import Bootstrap
from edgeprune.evaluation.disturbances import (
    NO_WINDOW,
    disturbance_evidence,
    score_disturbed,
)
from edgeprune.evidence.codec import decode, encode
from edgeprune.evidence.disturbances import DisturbanceEvidence

BOOTSTRAP = Bootstrap(resamples=200)
LABELS = np.array([0, 0, 0, 1, 0, 0, 1, 1])
WINDOWS = Windows(
    signal=np.zeros((8, 4, 1), np.int8),
    rhythm=np.zeros((8, 2), np.int8),
    gain=np.ones(8, np.int64),
    label=LABELS,
    record=np.array([0, 0, 0, 0, 1, 1, 1, 1]),
    beat=np.arange(8),
    record_names=("a", "b"),
    patients=("one", "two"),
    class_names=("N", "V"),
    synthetic=True,
)


def decided(classes: str) -> DisturbedDecisions:
    """Return decisions written "N", "V" or "-" for a beat without a window."""
    logits = np.zeros((len(classes), 2), np.int8)
    for row, letter in enumerate(classes):
        if letter != "-":
            logits[row, "NV".index(letter)] = 50
    return DisturbedDecisions(logits, np.array([letter != "-" for letter in classes]))


def test_a_lost_beat_costs_sensitivity_and_no_precision() -> None:
    # N: 5 beats, 3 found, 1 called V, 1 lost. V: 3 beats, 2 found, 1 lost.
    scores = score_disturbed(WINDOWS, decided("NN-VVNV-"), BOOTSTRAP)
    normal, ventricular = scores.classes
    assert (normal.n, ventricular.n) == (5, 3)
    assert normal.sensitivity.value == pytest.approx(3 / 5)
    assert normal.precision.value == 1
    assert ventricular.sensitivity.value == pytest.approx(2 / 3)
    assert ventricular.precision.value == pytest.approx(2 / 3)
    assert scores.accuracy.value == pytest.approx(5 / 8)
    assert scores.macro_f1.value == pytest.approx((6 / 8 + 4 / 6) / 2)
    assert scores.confusion.class_names == ("N", "V", NO_WINDOW)
    assert scores.confusion.counts == ((3, 1, 1), (0, 2, 1), (0, 0, 0))
    interval = normal.sensitivity.interval
    assert interval is not None
    # Two patients: 2 of 3 and 1 of 2.
    assert (interval.low, interval.high) == (pytest.approx(1 / 2), pytest.approx(2 / 3))


def test_without_a_loss_there_is_no_column_for_it() -> None:
    scores = score_disturbed(WINDOWS, decided("NNNVNNVV"), BOOTSTRAP)
    assert scores.confusion.class_names == ("N", "V")
    assert scores.accuracy.value == 1


def test_curves_run_from_mild_to_severe_and_survive_writing() -> None:
    texts = ("gain-error:40%", "muscle-noise:0dB", "gain-error:10%", "muscle-noise:12dB")
    found = [decided(each) for each in ("NNNVVVVV", "VVVVVV-V", "NNNVNNVV", "NNNVNVVV")]
    evidence = disturbance_evidence(
        "int8 as flashed",
        "all",
        WINDOWS,
        [parse_disturbance(text) for text in texts],
        found,
        decided("NNNVNNVN"),
        BOOTSTRAP,
    )
    gain, muscle = evidence.curves
    assert [point.text for point in gain.points] == ["gain-error:10%", "gain-error:40%"]
    assert [point.severity for point in muscle.points] == [12, 0]
    assert (gain.synthetic, muscle.synthetic) == (False, True)
    assert muscle.severity_is == "signal-to-noise ratio"
    assert [point.agreement for point in muscle.points] == [6 / 8, 1 / 8]
    assert [point.lost for point in muscle.points] == [0, 1]
    assert evidence.undisturbed.accuracy.value == 7 / 8
    assert decode(DisturbanceEvidence, encode(evidence)) == evidence


def test_an_option_is_a_curve_of_its_own() -> None:
    tried = [parse_disturbance(text) for text in ("mains-hum:50uV", "mains-hum:50uV@60Hz")]
    evidence = disturbance_evidence(
        "int8 as flashed", "all", replace(WINDOWS), tried, [decided("NNNVNNVV")] * 2,
        decided("NNNVNNVV"), BOOTSTRAP,
    )  # fmt: skip
    assert [curve.name for curve in evidence.curves] == ["mains-hum", "mains-hum@60Hz"]
