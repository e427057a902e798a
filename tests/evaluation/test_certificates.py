"""Outcomes of verification against counts by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeprune.evaluation import (
    Bootstrap,
    Decisions,
    Found,
    perturbation_certificates,
    radius_of,
    spread,
)
from edgeprune.evidence import MethodCounts, OutcomeCounts, Spread

DECISIONS = Decisions(
    labels=np.array([0, 0, 1, 1, 0, 0]),
    predictions=np.array([0, 1, 1, 1, 0, 0]),
    records=np.array([0, 0, 1, 1, 2, 2]),
    record_names=("a", "b", "c"),
    patients=("p", "q", "q"),
    class_names=("N", "V", "F"),
)
FOUND = Found(
    "linf:20uV",
    "each raw sample moves by up to 20 uV",
    ("proved", "proved", "falsified", "proved", "unknown", "timeout"),
    ("interval", "linear", "attack", "interval", "branching", "branching"),
    DECISIONS,
)


def test_outcomes_are_counted_and_never_merged() -> None:
    found = perturbation_certificates(FOUND, Bootstrap())
    assert found.outcomes == OutcomeCounts(
        "all",
        n=6,
        proved=3,
        falsified=1,
        unknown=1,
        timeout=1,
        proved_and_right=2,
        right_unless_attacked=4,
    )
    assert found.classes == (
        OutcomeCounts("N", 4, 2, 0, 1, 1, proved_and_right=1, right_unless_attacked=3),
        OutcomeCounts("V", 2, 1, 1, 0, 0, proved_and_right=1, right_unless_attacked=1),
        OutcomeCounts("F", 0, 0, 0, 0, 0, proved_and_right=0, right_unless_attacked=0),
    )
    assert [(row.name, row.n, row.proved_and_right) for row in found.records] == [
        ("a", 2, 1),
        ("b", 2, 1),
        ("c", 2, 0),
    ]
    assert found.proved_share.value == 3 / 6
    assert found.proved_and_right_share.value == 2 / 6
    assert found.attack_limit.value == 4 / 6
    assert found.proved_share.interval is not None
    assert found.proved_share.interval.patients == 2


def test_no_certified_share_lies_above_the_limit_of_the_attack() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        outcomes = random.choice(["proved", "falsified", "unknown", "timeout"], 6)
        found = perturbation_certificates(replace(FOUND, outcomes=list(outcomes)), Bootstrap())
        assert found.proved_and_right_share.value is not None
        assert found.attack_limit.value is not None
        assert found.proved_and_right_share.value <= found.attack_limit.value
        row = found.outcomes
        assert row.proved + row.falsified + row.unknown + row.timeout == row.n


def test_methods_are_told_with_their_times() -> None:
    seconds = np.array([0.001, 0.01, 0.1, 0.003, 1.0, 2.0])
    methods = perturbation_certificates(replace(FOUND, seconds=seconds), Bootstrap()).methods
    assert [(row.method, row.windows) for row in methods] == [
        ("interval", 2),
        ("linear", 1),
        ("attack", 1),
        ("branching", 2),
    ]
    assert methods[0].milliseconds == Spread(
        pytest.approx(2), pytest.approx(1.1), pytest.approx(2.9), 0.9, 2
    )
    untimed = perturbation_certificates(FOUND, Bootstrap()).methods
    assert untimed[0] == MethodCounts("interval", 2, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linf:20uV", ("linf", 20.0, "uV")),
        ("linf:0.5mV", ("linf", 500.0, "uV")),
        ("linf:2lsb", ("linf", 2.0, "lsb")),
        ("gain:10%", ("gain", 10.0, "%")),
        ("l0:3", ("l0", 3.0, "1")),
        ("wander:500uV@0.5Hz", ("wander", None, "")),
        ("gain:10%+linf:5uV", ("gain", None, "")),
    ],
)
def test_a_radius_is_one_number_with_a_unit(
    text: str, expected: tuple[str, float | None, str]
) -> None:
    assert radius_of(text) == expected


def test_an_outcome_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="outcomes are"):
        perturbation_certificates(replace(FOUND, outcomes=["maybe"] * 6), Bootstrap())


def test_no_window_has_no_spread() -> None:
    assert spread(np.array([])) is None
