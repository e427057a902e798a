"""`edgeprune cross-validate`: its exit code is the verdict on the requirements."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeprune.config import BuildConfig
from edgeprune.data import load_card
from edgeprune.data.protocols import LEAVE_ONE_OUT, with_protocol
from edgeprune.evidence.cross_validation import CrossValidation
from edgeprune.pipeline.cross_validation import pool
from tests.cli.conftest import Edgeprune
from tests.pipeline.test_cross_validation import fold


@pytest.mark.parametrize(
    ("limit", "code", "words"),
    [
        ("", 0, "no requirement that folds can decide is set"),
        ("0.5", 0, "the one requirement met"),
        ("0.6", 1, "1 of 1 requirements not met (sensitivity.seizure)"),
    ],
)
def test_a_limit_that_is_missed_fails(
    edgeprune: Edgeprune,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    code: int,
    words: str,
) -> None:
    def of_two_folds(config: BuildConfig, *_: object, **__: object) -> CrossValidation:
        card = with_protocol(load_card("synthetic-eeg"), LEAVE_ONE_OUT, "p01")
        folds = [fold("p01", [0, 0, 1], [0, 0, 1]), fold("p02", [0, 0, 1], [0, 1, 0])]
        return pool(card, config, ("p01", "p02"), folds)

    monkeypatch.setattr("edgeprune.pipeline.cross_validation.cross_validate", of_two_folds)
    flags = ["--dataset", "synthetic-eeg", "--out", str(tmp_path)]
    if limit:
        flags += ["--set", f"requirements.sensitivity={{ seizure = {limit} }}"]
    result = edgeprune("cross-validate", *flags)
    assert result.code == code, result.out
    assert words in result.verdict
    assert result.verdict.startswith("FAIL" if code else "PASS")
    assert ("0.500 (0.000 to 1.000)" in result.out) == bool(limit)
    if limit:
        found = edgeprune("cross-validate", *flags, "--json").json
        assert found["verdict"] == ("FAIL" if code else "PASS"), json.dumps(found)
        assert found["requirements"][0]["limit"] == float(limit)
