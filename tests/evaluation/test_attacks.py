"""Attacks counted: shares by hand, medians by brute force, checks that know a weak attack."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.attacks import AttackResult, Ball
from edgeprune.evaluation import Bootstrap, Decisions
from edgeprune.evaluation.attack_checks import masking_checks
from edgeprune.evaluation.attacks import attack_outcome, minimum_norm

BOOTSTRAP = Bootstrap(1, resamples=200)


def _decisions(labels: list[int], predictions: list[int]) -> Decisions:
    n = len(labels)
    return Decisions(
        np.array(labels),
        np.array(predictions),
        np.arange(n) % 3,
        ("a", "b", "c"),
        ("one", "two", "three"),
        ("N", "V"),
    )


def _result(
    success: list[bool], attack: str = "pgd", ball: str = "linf:20uV", size: float = 20.0
) -> AttackResult:
    hits = np.array(success)
    zeros = np.zeros(len(hits), np.int64)
    return AttackResult(
        *(attack, ball, Ball.parse(ball).norm, "uV", "int8", zeros, zeros, hits.astype(np.int64)),
        np.zeros((len(hits), 2), np.int16),
        hits,
        np.where(hits, size, np.inf),
        zeros + 7,
    )


def test_only_right_decisions_can_be_turned() -> None:
    decisions = _decisions([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0])
    turned = np.array([True, False, True, True, False, False])
    outcome = attack_outcome("pgd", decisions, turned, BOOTSTRAP, np.array([3, 5, 0, 3, 5, 0]))
    assert (outcome.counts.n, outcome.counts.right, outcome.counts.turned) == (6, 4, 2)
    assert outcome.success.value == 0.5
    assert outcome.success.n == 4
    assert outcome.right_under_attack.value == pytest.approx(2 / 6)
    assert [(row.name, row.n, row.right, row.turned) for row in outcome.classes] == [
        ("N", 3, 2, 1),
        ("V", 3, 2, 1),
    ]
    assert {(row.name, row.right, row.turned) for row in outcome.records} == {
        *(("a", 2, 2), ("b", 2, 0), ("c", 0, 0))
    }
    assert outcome.queries is not None
    assert outcome.queries.median == 4


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0.1, 1e3)), min_size=1, max_size=12))
def test_the_median_counts_failures_as_beyond_all_sizes(sizes: list[float | None]) -> None:
    n = len(sizes)
    success = [size is not None for size in sizes]
    values = np.array([np.inf if size is None else size for size in sizes])
    result = _result(success, "fmn", "l2")
    result.size[:] = values
    told = minimum_norm(result, Ball.parse("l2"), _decisions([0] * n, [0] * n), BOOTSTRAP)
    expected = np.sort(values)[(n - 1) // 2]
    if np.isinf(expected):
        assert told.median.value is None
        assert "fewer than half" in told.median.note
    else:
        assert told.median.value == expected
        interval = told.median.interval
        assert interval is None or interval.low <= expected <= interval.high
    assert told.counts.turned == sum(success)


def test_checks_know_attacks_that_cannot_be_trusted() -> None:
    strong = [True, True, False, True]
    weak = [True, False, False, False]
    good = masking_checks([_result(weak), _result(strong, ball="linf:50uV")])
    assert [check.holds for check in good] == [True]
    bad = masking_checks([_result(strong), _result(weak, ball="linf:50uV")])
    assert [check.holds for check in bad] == [False]
    assert bad[0].found == "3 within linf:20uV, 1 within linf:50uV"
    blind = masking_checks([_result(weak), _result(strong, attack="square")])
    assert [check.holds for check in blind] == [False]
