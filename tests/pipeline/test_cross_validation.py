"""Folds pooled: by hand, through bytes, and one real fold of a small data set."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeprune.config import config_of
from edgeprune.data import load_card
from edgeprune.data.protocols import LEAVE_ONE_OUT, with_protocol
from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.evaluation import Decisions, SeizureAnnotations
from edgeprune.evidence import Outcome
from edgeprune.evidence.cross_validation import CrossValidation
from edgeprune.pipeline.cross_validation import (
    FILE,
    FoldResult,
    cross_validate,
    decode_fold,
    encode_fold,
    pool,
)
from edgeprune.resources import resource_folder
from tests.pipeline.small import SETTINGS

CARD = with_protocol(load_card("synthetic-eeg"), LEAVE_ONE_OUT, "p01")


def decisions(patient: str, labels: list[int], predictions: list[int]) -> Decisions:
    return Decisions(
        np.array(labels),
        np.array(predictions),
        np.zeros(len(labels), np.int64),
        (f"{patient}-a",),
        (patient,),
        CARD.class_names,
    )


def fold(patient: str, labels: list[int], predictions: list[int]) -> FoldResult:
    found = ((100.0, 104.0),) if 1 in predictions else ()
    events = SeizureAnnotations(f"{patient}-a", patient, 1800.0, ((100.0, 130.0),), found)
    decided = decisions(patient, labels, predictions)
    return FoldResult((("int8", decided),), (("int8", (events,)),))


def test_patients_weigh_alike_and_windows_do_too() -> None:
    """One patient of 10 windows, 8 of background all right, 1 of 2 seizures found; one of 4."""
    first = fold("p01", [0] * 8 + [1, 1], [0] * 8 + [1, 0])
    second = fold("p02", [0, 0, 1, 1], [1, 0, 0, 0])
    third = fold("p03", [0, 0], [0, 0])
    config = config_of({"dataset": "synthetic-eeg", "protocol": LEAVE_ONE_OUT}, {})
    found = pool(CARD, config, ("p01", "p02", "p03"), [first, second, third])
    (stage,) = found.stages
    assert [row.recalls for row in stage.patients] == [(1.0, 0.5), (0.5, 0.0), (1.0, None)]
    assert [row.counts for row in stage.patients] == [(8, 2), (2, 2), (2, 0)]
    background, seizure = stage.recalls
    assert background.value == pytest.approx((1 + 0.5 + 1) / 3)
    assert (seizure.value, seizure.n) == (0.25, 2)
    assert background.interval is not None
    assert (background.interval.low, background.interval.high) == (0.5, 1.0)
    # All windows alike: 11 of 12, 1 of 4.
    assert [each.sensitivity.value for each in stage.pooled.classes] == [11 / 12, 1 / 4]
    assert stage.seizures is not None
    assert stage.seizures.events.found == 2
    assert stage.seizures.patients == 3
    assert found.synthetic
    assert "no patient was measured" in found.foreword


def test_results_survive_the_way_from_a_worker() -> None:
    result = fold("chb01/chb21", [0, 1], [1, 1])
    again = decode_fold(encode_fold(result))
    assert again.events == result.events
    ((stage, made),) = again.decided
    assert stage == "int8"
    np.testing.assert_array_equal(made.predictions, [1, 1])
    assert made.patients == ("chb01/chb21",)


def test_a_fold_that_is_no_patient(tmp_path: Path) -> None:
    config = config_of({"dataset": "synthetic-eeg"}, {})
    with pytest.raises(UnknownNameError, match="p99"):
        cross_validate(config, tmp_path, chosen=("p99",))


def test_one_fold_from_recordings_to_the_table(tmp_path: Path) -> None:
    text = (resource_folder("datasets") / "synthetic-eeg.toml").read_text(encoding="utf-8")
    split = (
        '[split]\ndevelopment = ["p01-a", "p02-a"]\nvalidation = ["p02-a"]\ntest = ["p03-a"]\n\n'
    )
    text = re.sub(r"\[split\].*?(?=\[patients\])", lambda _: split, text, flags=re.DOTALL)
    card = tmp_path / "small-eeg.toml"
    card.write_text(re.sub(r"seconds = 300", "seconds = 80", text), encoding="utf-8")
    settings = {
        **SETTINGS,
        "dataset": str(card),
        "target": "host",
        "training.epoch_steps": 1,
        "pruning.method": "none",
        "model": "chb-mit-cnn",
        "disturbances.cases": [],
    }
    config = config_of({}, settings)
    found = cross_validate(config, tmp_path / "out", chosen=("p02",))
    assert found.protocol == LEAVE_ONE_OUT
    int8 = found.stages[-1]
    assert [row.patient for row in int8.patients] == ["p02"]
    assert int8.patients[0].windows == 20
    assert int8.seizures is not None
    assert int8.seizures.events.reference == 1
    written = json.loads((tmp_path / "out" / FILE).read_text(encoding="utf-8"))
    assert written["foreword"] == found.foreword
    assert written["stages"][-1]["patients"][0]["patient"] == "p02"
    assert replace(found, stages=()).folds == ("p02",)


def pooled(**requirements: object) -> CrossValidation:
    """Return two folds: 9 of 10 backgrounds right, 2 of 4 seizures found, 2 of 3 alarms true."""
    config = config_of(
        {"dataset": "synthetic-eeg", "protocol": LEAVE_ONE_OUT, "requirements": requirements}, {}
    )
    folds = [
        fold("p01", [0] * 6 + [1, 1], [0] * 6 + [1, 1]),
        fold("p02", [0] * 4 + [1, 1], [0] * 3 + [1, 0, 0]),
    ]
    return pool(CARD, config, ("p01", "p02"), folds)


def test_limits_are_judged_on_the_windows_of_all_folds() -> None:
    met = pooled(sensitivity={"seizure": 0.5}, precision={"seizure": 0.66}, accuracy=0.78)
    assert [row.name for row in met.requirements] == [
        *("accuracy", "sensitivity.seizure", "precision.seizure")
    ]
    values = [row.value.value for row in met.requirements if row.value is not None]
    assert values == pytest.approx([11 / 14, 2 / 4, 2 / 3])
    sensitivity = met.requirements[1].value
    assert sensitivity is not None
    assert sensitivity.interval is not None
    assert met.requirements[1].source == "stages.0.pooled.classes.1.sensitivity"
    assert met.passed
    missed = pooled(sensitivity={"seizure": 0.51, "background": 0.9})
    assert [row.outcome for row in missed.requirements] == [Outcome.FAIL, Outcome.PASS]
    assert not missed.passed


def test_what_folds_cannot_decide_is_left_to_a_build() -> None:
    none = pooled()
    assert none.requirements == ()
    assert none.passed
    found = pooled(flash_bytes=1000, attack_success={"linf:1uV": 0.3}, macro_f1_loss=0.01)
    (line,) = [line for line in found.not_tested if "build" in line]
    assert line.startswith("flash_bytes, attack_success.linf:1uV: ")
    # No float stage in these folds: the loss is not tested, and what is not tested never passes.
    assert [row.outcome for row in found.requirements] == [Outcome.NOT_TESTED]
    assert not found.passed


def test_the_loss_of_macro_f1_is_that_of_the_same_windows() -> None:
    config = config_of({"dataset": "synthetic-eeg", "requirements": {"macro_f1_loss": 0.1}}, {})
    labels = [0, 0, 1, 1]
    whole = FoldResult(
        (
            ("float", decisions("p01", labels, labels)),
            ("int8", decisions("p01", labels, [0, 0, 1, 0])),
        ),
        (),
    )
    found = pool(CARD, config, ("p01",), [whole])
    (row,) = found.requirements
    assert row.value is not None
    assert row.value.value == pytest.approx((0.8 + 2 / 3) / 2 - 1)
    assert row.outcome is Outcome.FAIL


def test_a_limit_on_an_unknown_class_ends_it_before_any_fold(tmp_path: Path) -> None:
    table = {"dataset": "synthetic-eeg", "requirements": {"sensitivity": {"V": 0.9}}}
    with pytest.raises(ConfigurationError, match="no class 'V'"):
        cross_validate(config_of(table, {}), tmp_path)
