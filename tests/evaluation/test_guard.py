"""The guard for the patient, against counts made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeprune.data import Subject, Windows
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.evaluation import Bootstrap, Guard, guard_evidence
from edgeprune.evaluation.privacy import withhold
from edgeprune.evidence import Evidence, GuardEvidence, GuardStep, PruningEvidence
from edgeprune.evidence.codec import decode, encode
from edgeprune.pipeline.products import load_windows, save_windows
from tests.evaluation.test_privacy import evidence as some_evidence

CLASSES = ("N", "S", "V")
BOOTSTRAP = Bootstrap(resamples=200)
PEOPLE = (Subject("female", 54), Subject("male", 59), Subject("female", 87), Subject())


def windows(labels: np.ndarray, records: np.ndarray | None = None) -> Windows:
    """Windows of four recordings of three patients, without signals."""
    n = len(labels)
    records = np.arange(n) % 4 if records is None else records
    return Windows(
        signal=np.zeros((n, 4, 1), np.int8),
        rhythm=np.zeros((n, 2), np.int8),
        gain=np.zeros(n, np.int64),
        label=labels.astype(np.int64),
        record=records.astype(np.int64),
        beat=np.arange(n),
        record_names=("r0", "r1", "r2", "r3"),
        patients=("p0", "p1", "p2", "p2"),
        class_names=CLASSES,
        synthetic=False,
        subjects=PEOPLE,
    )


def logits(decisions: np.ndarray, height: float = 4.0) -> np.ndarray:
    """Logits that decide so, all with the same confidence."""
    return height * (decisions[:, None] == np.arange(3)).astype(np.float64)


def judged(lost: int, gained: int, wrong: int = 10, limit: float = 0.01) -> GuardStep:
    """200 windows of V and 100 of N; the parent has `wrong` of V wrong."""
    labels = np.array([2] * 200 + [0] * 100)
    before, after = labels.copy(), labels.copy()
    before[:wrong] = 0
    after[gained:wrong] = 0
    after[wrong : wrong + lost] = 0
    guard = Guard(windows(labels), logits(before), {"V": limit}, BOOTSTRAP)
    return guard.judge(2, logits(after))


@pytest.mark.parametrize(
    ("lost", "gained", "held"),
    [(0, 0, True), (2, 0, True), (3, 0, False), (9, 7, True), (9, 6, False), (0, 5, True)],
)
def test_it_stops_where_more_than_a_point_is_lost(lost: int, gained: int, held: bool) -> None:
    step = judged(lost, gained)
    assert step.held is held
    v = next(change for change in step.recalls if change.name == "V")
    assert (v.n, v.lost, v.gained) == (200, lost, gained)
    assert v.before.value == pytest.approx(0.95)
    assert v.change.value == pytest.approx((gained - lost) / 200)
    assert bool(step.reason) is not held


@pytest.mark.parametrize(
    ("limit", "lost", "held"), [(0.001, 1, True), (0.001, 2, False), (0, 0, True), (0, 1, False)]
)
def test_one_window_stops_nothing_unless_none_may_go(limit: float, lost: int, held: bool) -> None:
    assert judged(lost, 0, limit=limit).held is held


def test_it_says_so() -> None:
    step = judged(6, 0)
    found = guard_evidence("validation", {"V": 0.01}, (replace(step, step=1, held=True), step))
    assert found.stopped_at == 2
    assert "stopped at step 2: recall of V fell from 0.950 to 0.920 (limit 0.01" in found.verdict
    assert "200 windows, 6 lost, 0 gained" in found.verdict
    assert "the network of step 1 is kept" in found.verdict
    first = guard_evidence("validation", {"V": 0.01}, (replace(step, step=1),))
    assert "the unpruned network is kept" in first.verdict
    held = guard_evidence("validation", {"V": 0.01}, (judged(1, 0),))
    assert held.stopped_at is None
    assert held.verdict.startswith("held: recall of V went from 0.950 to 0.945")
    watched = guard_evidence("validation", {}, (replace(step, held=True),))
    assert "nothing could stop" in watched.verdict
    assert decode(GuardEvidence, json.loads(json.dumps(encode(found)))) == found


def test_a_class_without_windows_is_named_and_one_without_a_limit_is_watched() -> None:
    labels = np.array([0] * 50 + [2] * 50)
    guard = Guard(windows(labels), logits(labels), {"S": 0.0, "N": 1.0}, BOOTSTRAP)
    step = guard.judge(1, logits(np.zeros(100, np.int64)))
    assert step.held
    assert step.unseen == ("S",)
    assert [(change.name, change.limit) for change in step.recalls] == [("N", 1.0), ("V", None)]
    assert step.recalls[1].lost == 50
    verdict = guard_evidence("validation", {"S": 0.0, "N": 1.0}, (step,)).verdict
    assert "cannot see S" in verdict


def test_changes_are_those_that_counting_finds() -> None:
    random = np.random.default_rng(3)
    labels = random.choice(3, 600, p=[0.7, 0.1, 0.2])
    before = np.where(random.random(600) < 0.9, labels, random.integers(0, 3, 600))
    after = np.where(random.random(600) < 0.8, labels, random.integers(0, 3, 600))
    own = windows(labels, random.integers(0, 4, 600))
    step = Guard(own, logits(before), {}, BOOTSTRAP).judge(1, logits(after))
    for index, name in enumerate(CLASSES):
        (change,) = (each for each in step.recalls if each.name == name)
        of_class = [i for i in range(600) if labels[i] == index]
        right = [sum(decided[i] == index for i in of_class) for decided in (before, after)]
        assert change.change.value == pytest.approx((right[1] - right[0]) / len(of_class))
        assert change.change.interval is not None
        assert change.change.interval.low <= change.change.value <= change.change.interval.high
        assert change.change.interval.patients == 3
    groups = {(each.kind, each.name): each for each in (*step.records, *step.groups)}
    assert {key for key in groups if key[0] != "record"} == {
        ("sex", "female"),
        ("sex", "male"),
        ("sex", "unknown"),
        ("age", "40 to 64"),
        ("age", "65 and over"),
        ("age", "unknown"),
    }
    expected = {
        ("record", "r1"): [1],
        ("sex", "female"): [0, 2],
        ("age", "40 to 64"): [0, 1],
        ("age", "unknown"): [3],
    }
    for key, records in expected.items():
        mask = np.isin(own.record, records)
        assert groups[key].n == mask.sum()
        assert groups[key].patients == len({own.patients[record] for record in records})
        for recall in groups[key].recalls:
            of_class = mask & (labels == CLASSES.index(recall.name))
            assert recall.before == pytest.approx((before == labels)[of_class].mean())
            assert recall.after == pytest.approx((after == labels)[of_class].mean())
            assert recall.change.n == of_class.sum()


def test_the_interval_is_of_the_paired_change() -> None:
    """Patients of very different recall that all lose a tenth: the loss itself is certain."""
    labels = np.full(400, 2)
    records = np.repeat(np.arange(4), 100)
    before, after = labels.copy(), labels.copy()
    for record, wrong in enumerate((0, 30, 60, 60)):
        begin = 100 * record
        before[begin : begin + wrong] = 0
        after[begin : begin + wrong + 10] = 0
    (change,) = (
        Guard(windows(labels, records), logits(before), {}, BOOTSTRAP)
        .judge(1, logits(after))
        .recalls
    )
    assert change.change.interval is not None
    assert change.change.interval.low == pytest.approx(-0.1)
    assert change.change.interval.high == pytest.approx(-0.1)
    assert "cannot show its true width" in change.change.note
    assert change.before.interval is not None
    assert change.before.interval.high - change.before.interval.low > 0.4


def test_calibration_error_changes_by_what_the_confidence_does() -> None:
    """All right: the error is one less the confidence, e^h / (e^h + 2)."""
    labels = np.array([0, 1, 2, 0] * 20)
    guard = Guard(windows(labels), logits(labels, 4.0), {}, BOOTSTRAP)
    step = guard.judge(1, logits(labels, 2.0))
    confidence = [np.exp(h) / (np.exp(h) + 2) for h in (4.0, 2.0)]
    assert step.calibration_error_change.value == pytest.approx(confidence[0] - confidence[1])
    assert step.macro_f1_change.value == 0


def test_unusable_limits_and_no_windows_are_refused() -> None:
    labels = np.array([0, 2])
    with pytest.raises(ConfigurationError, match="not a share"):
        Guard(windows(labels), logits(labels), {"V": 1.5})
    with pytest.raises(DataError, match="no windows"):
        Guard(windows(labels[:0]), logits(labels[:0]), {"V": 0.01})


def test_a_group_of_one_patient_is_withheld_with_its_whole_kind() -> None:
    labels = np.array([0, 1, 2, 0] * 20)
    own = windows(labels)
    two = replace(own, subjects=(PEOPLE[0], PEOPLE[0], PEOPLE[2], PEOPLE[2]))
    for given, kinds in ((own, set()), (two, {"sex"})):
        step = Guard(given, logits(labels), {}, BOOTSTRAP).judge(1, logits(labels))
        pruning = PruningEvidence("channel", "half", (), guard=guard_evidence("v", {}, (step,)))
        kept = withhold(replace(some_evidence(), pruning=pruning))
        assert kept.pruning is not None
        assert kept.pruning.guard is not None
        (left,) = kept.pruning.guard.steps
        assert left.records == ()
        assert {group.kind for group in left.groups} == kinds
        assert left.recalls == step.recalls
        assert isinstance(kept, Evidence)


def test_subjects_outlive_the_file(tmp_path: Path) -> None:
    own = windows(np.array([0, 1, 2, 0]))
    save_windows(tmp_path / "w.npz", own)
    assert load_windows(tmp_path / "w.npz").subjects == PEOPLE
    save_windows(tmp_path / "w.npz", replace(own, subjects=()))
    assert load_windows(tmp_path / "w.npz").subjects == ()
