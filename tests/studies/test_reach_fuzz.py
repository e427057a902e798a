"""A slice of the fuzzer's cases, and the fuzzer itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.studies import reach_fuzz
from tests.studies.reach_fuzz import FAMILIES, Cases, Valid, fuzz

# The float ONNX, every third of its family, takes torch, which takes longer than all others.
SLICE = [case for case in range(63) if case % 5 != 2 or case // 5 % 3 != 2]


def test_damaged_files_are_read_or_refused() -> None:
    outcomes, failures = fuzz(SLICE)
    assert not failures, "\n".join(map(str, failures))
    assert sum(outcomes.values()) == len(SLICE)
    refused = {outcome.split()[0] for outcome in outcomes if not outcome.endswith("read")}
    assert len(refused) == len(FAMILIES)


def test_a_reader_that_throws_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(folder: Path) -> object:
        return int((folder / "x").read_bytes()[:1], 16)

    valid = Valid("broken", {"x": b"7" * 100}, "x", read, text=True)
    monkeypatch.setattr(reach_fuzz, "FAMILIES", (lambda: [valid],))
    cases = Cases()
    made = [cases.make(case) for case in range(40)]
    assert made == [Cases().make(case) for case in range(40)]
    with pytest.raises(ValueError, match="invalid literal"):
        _run_all(cases)


def _run_all(cases: Cases) -> None:
    for case in range(40):
        cases.run(case)
