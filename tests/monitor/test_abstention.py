"""Coverage against error by counting single windows."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.evaluation import Bootstrap, Decisions
from edgeprune.evaluation.abstention import monitored_windows
from edgeprune.evidence import Quantity
from edgeprune.monitor import Reason


def value(quantity: Quantity) -> float:
    assert quantity.value is not None
    return float(quantity.value)


@pytest.fixture(scope="module")
def decisions() -> Decisions:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 400)
    wrong = random.random(400) < 0.2
    return Decisions(
        labels,
        np.where(wrong, (labels + 1) % 3, labels),
        np.arange(400) // 40,
        tuple(f"r{number}" for number in range(10)),
        tuple(f"p{number // 2}" for number in range(10)),
        ("N", "S", "V"),
    )


def test_shares_are_those_of_single_windows(decisions: Decisions) -> None:
    random = np.random.default_rng(1)
    reasons = random.choice([0, 0, 0, 1, 4, 8, 12], 400).astype(np.uint8)
    found = monitored_windows("all", decisions, reasons, Bootstrap(resamples=200))
    rows = list(
        zip(
            decisions.labels.tolist(),
            decisions.predictions.tolist(),
            reasons.tolist(),
            strict=True,
        )
    )
    kept = [(label, decided) for label, decided, reason in rows if reason == 0]
    wrong = [reason for label, decided, reason in rows if label != decided]
    assert value(found.coverage) == pytest.approx(len(kept) / 400)
    assert value(found.error) == pytest.approx(
        sum(label != decided for label, decided in kept) / len(kept)
    )
    assert value(found.error_of_all) == pytest.approx(len(wrong) / 400)
    assert value(found.refused_of_wrong) == pytest.approx(
        sum(reason != 0 for reason in wrong) / len(wrong)
    )
    by_reason = {each.reason: each for each in found.reasons}
    assert list(by_reason) == [reason.words for reason in Reason]
    margin = by_reason["low margin"]
    assert margin.windows == sum(reason in (8, 12) for *_, reason in rows)
    assert margin.alone == sum(reason == 8 for *_, reason in rows)
    assert margin.wrong == sum(reason in (8, 12) for reason in wrong)
    for number, each in enumerate(found.classes):
        own = [(decided, reason) for label, decided, reason in rows if label == number]
        assert each.n == len(own)
        assert each.refused == sum(reason != 0 for _, reason in own)
        right = sum(decided == number and reason == 0 for decided, reason in own)
        assert value(each.right_share) == pytest.approx(right / len(own))
        assert value(each.sensitivity) == pytest.approx(right / (len(own) - each.refused))
    interval = found.coverage.interval
    assert interval is not None
    assert interval.patients == 5
    assert interval.low < value(found.coverage) < interval.high
    assert found.curve == ()


def test_the_curve_drops_dead_leads_first_and_keeps_equal_margins_together(
    decisions: Decisions,
) -> None:
    margin = np.repeat(np.arange(40), 10)
    reasons = np.zeros(400, np.uint8)
    reasons[-20:] = Reason.FLAT | Reason.UNUSUAL
    reasons[:100] = Reason.LOW_MARGIN
    reasons[100:150] = Reason.UNUSUAL
    found = monitored_windows(
        *("all", decisions, reasons, Bootstrap(resamples=50)),
        margin=margin,
        asked=(1.0, 0.95, 0.94, 0.5),
    )
    assert [point.coverage for point in found.curve] == [1.0, 0.95, 0.95, 0.5]
    wrong = decisions.labels != decisions.predictions
    for point, chosen in zip(
        found.curve, (slice(0, 400), slice(0, 380), slice(0, 380), slice(180, 380)), strict=True
    ):
        assert value(point.error) == pytest.approx(wrong[chosen].mean())


def test_a_monitor_that_refuses_everything_leaves_no_error_to_state(decisions: Decisions) -> None:
    reasons = np.full(400, Reason.FLAT, np.uint8)
    found = monitored_windows("all", decisions, reasons, Bootstrap(resamples=50))
    assert value(found.coverage) == 0
    assert found.error.value is None
    assert value(found.refused_of_wrong) == 1
