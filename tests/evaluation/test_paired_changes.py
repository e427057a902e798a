"""Paired intervals from counts per recording, against those from single decisions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeprune.errors import DataError
from edgeprune.evaluation import Bootstrap, Decisions, compare, evaluate
from edgeprune.evaluation.paired_changes import paired_changes
from edgeprune.evidence import Evidence, Identity, Reproduction, Versions

STAGE = "int8 as flashed"


def decisions(skill: float, seed: int = 3) -> Decisions:
    random = np.random.default_rng(seed)
    records = np.repeat(np.arange(6), 50)
    labels = random.choice(3, 300, p=[0.8, 0.15, 0.05])
    wrong = np.random.default_rng(round(100 * skill)).random(300) > skill
    names = tuple("abcdef")
    patients = ("one", "two", "three", "four", "five", "five")
    guess = np.where(wrong, (labels + 1) % 3, labels)
    return Decisions(labels, guess, records, names, patients, ("N", "S", "V"))


def evidence(of: Decisions) -> Evidence:
    identity = Identity("0", 1, "host", "", "fixture", "", False, "0")
    return Evidence(
        identity=identity,
        versions=Versions("3", ()),
        reproduction=Reproduction(()),
        performance=(evaluate(STAGE, "test", of, Bootstrap(1)),),
    )


def test_counts_per_recording_give_the_interval_of_single_decisions() -> None:
    before, after = decisions(0.9), decisions(0.8)
    found = paired_changes(evidence(before), evidence(after), Bootstrap(5))
    expected = compare("a", before, "b", after, Bootstrap(5))
    for name in ("accuracy", "macro_f1"):
        change = found[f"performance.{{{STAGE}}}.scores.{name}"]
        told = getattr(expected, f"{name}_change")
        assert change.new - change.old == pytest.approx(told.value, abs=1e-12)
        assert change.interval is not None
        assert change.interval.low == pytest.approx(told.interval.low, abs=1e-12)
        assert change.interval.high == pytest.approx(told.interval.high, abs=1e-12)
        assert change.interval.patients == 5
        assert "paired" in change.interval.method


def test_a_pair_knows_more_than_two_alone() -> None:
    before, after = decisions(0.9), decisions(0.8)
    alone = [each.performance[0].scores.accuracy for each in map(evidence, (before, after))]
    assert all(each.interval for each in alone)
    change = paired_changes(evidence(before), evidence(before), Bootstrap(5))
    interval = change[f"performance.{{{STAGE}}}.scores.accuracy"].interval
    assert interval is not None
    assert interval.low == interval.high == 0


def test_other_patients_or_windows_are_no_pair() -> None:
    before = evidence(decisions(0.9))
    for other in (decisions(0.8, seed=4), decisions(0.8).select(np.arange(300) > 10)):
        assert paired_changes(before, evidence(other), Bootstrap(1)) == {}
    performance = before.performance[0]
    withheld = replace(before, performance=(replace(performance, records=()),))
    assert paired_changes(before, withheld, Bootstrap(1)) == {}


def test_impossible_counts_are_an_error_and_no_interval() -> None:
    before = evidence(decisions(0.9))
    performance = before.performance[0]
    row = performance.records[0]
    for wrong in (-1, 2**70):
        classes = (replace(row.classes[0], n=wrong), *row.classes[1:])
        rows = (replace(row, classes=classes), *performance.records[1:])
        altered = replace(before, performance=(replace(performance, records=rows),))
        with pytest.raises(DataError, match="'a' are impossible"):
            paired_changes(before, altered, Bootstrap(1))
