"""What evidence tells of one patient is withheld, and totals stay."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from edgeprune.evaluation import (
    Bootstrap,
    Decisions,
    DetectedBeats,
    LeftOut,
    ec57_scores,
    evaluate,
    withhold,
)
from edgeprune.evidence import (
    AdcEvidence,
    DataEvidence,
    Evidence,
    Exclusion,
    Identity,
    Reproduction,
    Split,
    Versions,
    WindowEvidence,
)
from edgeprune.evidence.codec import encode
from tests.evaluation.beat_cases import made_up

NAMES = ("record-one", "record-two", "record-three")
PATIENTS = ("anna", "ben", "cleo")


def evidence() -> Evidence:
    random = np.random.default_rng(1)
    labels, predictions = random.integers(0, 2, (2, 90))
    decisions = Decisions(labels, predictions, np.arange(90) % 3, NAMES, PATIENTS, ("N", "V"))
    bootstrap = Bootstrap(resamples=20)
    cases = [made_up(seed, 300, 20, beats=300) for seed in range(3)]
    references = [
        replace(reference, record=name, patient=patient)
        for (reference, _), name, patient in zip(cases, NAMES, PATIENTS, strict=True)
    ]
    answers: list[DetectedBeats] = [answer for _, answer in cases]
    return Evidence(
        identity=Identity(
            edgeprune="1",
            seed=0,
            target="host",
            target_title="host",
            dataset="own",
            dataset_title="Own recordings",
            synthetic=False,
            network_sha256="0" * 64,
            firmware_sha256=None,
            date="2026-01-01",
        ),
        versions=Versions("3.11", ()),
        reproduction=Reproduction((), ()),
        data=DataEvidence(
            "o",
            "l",
            "c",
            "II",
            AdcEvidence(360, 5.0, 11),
            WindowEvidence(128, 1, 4, 0.7),
            (),
            (
                Split("train", "to learn from", NAMES[:1], PATIENTS[:1], 30, ()),
                Split("test", "to evaluate", NAMES[1:], PATIENTS[1:], 60, ()),
            ),
            excluded=(Exclusion("too short", 2, NAMES[:1]),),
            notes=("Split by patient.", "Both of anna's recordings are the same, see record-one."),
        ),
        performance=(evaluate("int8", "test", decisions, bootstrap, (LeftOut(NAMES[:1], "odd"),)),),
        beats=(ec57_scores("int8", "test", references, answers, bootstrap),),
        limits=("A limit.",),
    )


def test_no_name_is_left() -> None:
    before = evidence()
    assert all(name in json.dumps(encode(before)) for name in (*NAMES, *PATIENTS))
    text = json.dumps(encode(withhold(before)))
    assert not [name for name in (*NAMES, *PATIENTS) if name in text]


def test_totals_stay_and_the_reason_is_said() -> None:
    before = evidence()
    after = withhold(before)
    assert after.performance[0].scores == before.performance[0].scores
    assert after.performance[0].without == after.performance[0].records == ()
    assert after.beats[0].gross == before.beats[0].gross
    assert after.beats[0].records == ()
    assert after.data is not None
    assert [split.windows for split in after.data.splits] == [30, 60]
    assert after.data.notes == ("Split by patient.",)
    assert after.limits[0] == "A limit."
    for field in ("performance.records", "performance.without", "beats.records", "data.notes"):
        assert field in after.limits[1]
    assert "--privacy" in after.limits[1]


def test_rows_about_an_owner_go_wherever_they_are() -> None:
    """Attacks draw windows of a recording: a record of this room that the rules never name."""
    from edgeprune.evidence.attacks import AttackEvidence, WorstWindow

    window = WorstWindow(
        "int8", "pgd", "linf:20uV", "record-one", 5, "N", "N", "V", 20.0, "uV", 360.0, 1, (0.0,),
        (1.0,),
    )  # fmt: skip
    before = replace(
        evidence(), attacks=AttackEvidence("model", "48 windows", "20 steps", (), worst=(window,))
    )
    after = withhold(before)
    assert after.attacks is not None
    assert after.attacks.worst == ()
    assert "attacks.worst" in after.limits[1]


def test_nothing_to_withhold_changes_nothing() -> None:
    before = replace(evidence(), performance=(), beats=(), data=None)
    assert withhold(before) == before
