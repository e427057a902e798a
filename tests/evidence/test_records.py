"""Requirements and their verdict, the fixed date, flattened settings, shared patients."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from edgeprune.errors import ConfigurationError
from edgeprune.evidence import (
    Comparison,
    ConfigEntry,
    Outcome,
    Quantity,
    SharedPatients,
    Split,
    Where,
    config_entries,
    judge,
    shared_patients,
    source_date,
)
from tests.evidence.example import example_evidence, minimal_evidence


def quantity(value: float | None, unit: str = "1") -> Quantity:
    return Quantity(value, unit, Where.HOST)


@pytest.mark.parametrize(
    ("comparison", "limit", "value", "outcome"),
    [
        (Comparison.AT_LEAST, 0.9, quantity(0.9), Outcome.PASS),
        (Comparison.AT_LEAST, 0.9, quantity(0.8999), Outcome.FAIL),
        (Comparison.AT_MOST, 0.9, quantity(0.9), Outcome.PASS),
        (Comparison.AT_MOST, 0.9, quantity(0.9001), Outcome.FAIL),
        (Comparison.AT_MOST, 0.9, quantity(None), Outcome.NOT_TESTED),
        (Comparison.AT_LEAST, 0.0, quantity(None), Outcome.NOT_TESTED),
        (Comparison.AT_LEAST, 0.9, None, Outcome.NOT_TESTED),
    ],
)
def test_a_requirement_is_judged(
    comparison: Comparison, limit: float, value: Quantity | None, outcome: Outcome
) -> None:
    assert judge("name", "title", comparison, limit, "1", value).outcome is outcome


def test_units_must_agree() -> None:
    with pytest.raises(ValueError, match="'flash' is in 'B', its value in 'KB'"):
        judge("flash", "Flash", Comparison.AT_MOST, 1.0, "B", quantity(1.0, "KB"))


def test_verdict_never_passes_what_was_not_tested() -> None:
    full = example_evidence()
    passed = tuple(row for row in full.requirements if row.outcome is Outcome.PASS)
    failed = tuple(row for row in full.requirements if row.outcome is Outcome.FAIL)
    open_ = tuple(row for row in full.requirements if row.outcome is Outcome.NOT_TESTED)
    assert passed
    assert failed
    assert open_
    assert minimal_evidence().verdict is Outcome.NOT_TESTED
    assert replace(full, requirements=passed).verdict is Outcome.PASS
    assert replace(full, requirements=passed + open_).verdict is Outcome.NOT_TESTED
    assert replace(full, requirements=passed + open_ + failed).verdict is Outcome.FAIL


def test_a_mismatch_fails_whatever_the_requirements_say() -> None:
    full = example_evidence()
    passed = tuple(row for row in full.requirements if row.outcome is Outcome.PASS)
    parity = (replace(full.parity[0], mismatches=1), *full.parity[1:])
    assert replace(full, requirements=passed, parity=parity).verdict is Outcome.FAIL


def test_the_date_comes_from_the_environment_only() -> None:
    assert source_date({}) is None
    assert source_date({"SOURCE_DATE_EPOCH": ""}) is None
    assert source_date({"SOURCE_DATE_EPOCH": "0"}) == "1970-01-01T00:00:00Z"
    assert source_date({"SOURCE_DATE_EPOCH": "1795251677"}) == "2026-11-21T09:01:17Z"


@pytest.mark.parametrize("value", ["yesterday", "1e9", "9" * 30])
def test_a_date_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="SOURCE_DATE_EPOCH"):
        source_date({"SOURCE_DATE_EPOCH": value})


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    where: Where = Where.HOST


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    radii: tuple[int, ...] = (1, 2)
    folder: Path = Path("a/b")
    limits: dict[str, float] = field(default_factory=lambda: {"V": 0.9})
    nothing: None = None


def test_settings_are_flattened() -> None:
    assert config_entries(Outer()) == (
        ConfigEntry("inner.rate", 0.5),
        ConfigEntry("inner.where", "host"),
        ConfigEntry("radii.0", 1),
        ConfigEntry("radii.1", 2),
        ConfigEntry("folder", "a/b"),
        ConfigEntry("limits.V", 0.9),
        ConfigEntry("nothing", None),
    )


def test_settings_without_a_written_form_are_refused() -> None:
    with pytest.raises(TypeError, match="'radii' is a object"):
        config_entries(replace(Outer(), radii=object()))  # type: ignore[arg-type]


def test_shared_patients_are_found() -> None:
    splits = tuple(
        Split(name, "", (), patients, 0, ())
        for name, patients in (
            ("train", ("a", "b", "c")),
            ("validation", ("d",)),
            ("test", ("c", "b", "e")),
        )
    )
    assert shared_patients(splits) == (SharedPatients("train", "test", ("b", "c")),)
    assert shared_patients(splits[:2]) == ()
