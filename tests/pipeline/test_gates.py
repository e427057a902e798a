"""Gates: limits held as they are written, and nothing that is missing ever passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprune.evidence import Evidence, Outcome, Quantity, Where
from edgeprune.evidence.comparison import FigureChange, GateResult
from edgeprune.evidence.policy import UPDATE_FIGURES, Conditions, Gate, Policy
from edgeprune.pipeline.compare import changes_of
from edgeprune.pipeline.gates import judge_policy
from tests import certified_beats
from tests.pipeline.bundles import INT8, beats, evidence_of, updated, windows

SCORES = f"performance.{{{INT8}}}.scores"
FIGURES = (
    f"{SCORES}.accuracy",
    f"{SCORES}.macro_f1",
    f"{SCORES}.classes.{{N}}.sensitivity",
    f"{SCORES}.classes.*.sensitivity",
    f"{SCORES}.classes.*.precision",
    "device.firmware.flash_bytes",
    "device.instructions.maximum",
)
NO_CONDITIONS = Conditions(parity=False, verdict=False, requirements=False)


@cache
def pair() -> tuple[Evidence, Evidence]:
    held = beats()
    network = certified_beats.network(held)
    test = windows(held, network)
    return evidence_of(network, test), evidence_of(updated(network, 9), test)


def judged(old: Evidence, new: Evidence, *gates: Gate) -> tuple[GateResult, ...]:
    policy = Policy("edgeprune-policy", 1, conditions=NO_CONDITIONS, gates=gates)
    return judge_policy(policy, old, new, changes_of(old, new, policy, 0))


def flash(new: float | None, **limits: Any) -> Outcome:
    old, other = pair()
    device = other.device
    assert device is not None
    assert device.firmware is not None
    firmware = replace(device.firmware, flash_bytes=new) if new is not None else None
    other = replace(other, device=replace(device, firmware=firmware))
    (result,) = judged(old, other, Gate("g", "device.firmware.flash_bytes", **limits))
    return result.outcome


@pytest.mark.parametrize(
    ("new", "limits", "outcome"),
    [
        (20_000, {"at_most": 20_000}, Outcome.PASS),
        (20_001, {"at_most": 20_000}, Outcome.FAIL),
        (20_000, {"at_least": 20_001}, Outcome.FAIL),
        (22_000, {"at_most_worse_by_percent": 10.0, "direction": "lower"}, Outcome.PASS),
        (22_001, {"at_most_worse_by_percent": 10.0, "direction": "lower"}, Outcome.FAIL),
        (10_000, {"at_most_worse_by": 0.0, "direction": "lower"}, Outcome.PASS),
        (10_000, {"at_most_worse_by": 9_999.0, "direction": "higher"}, Outcome.FAIL),
        (20_000, {"at_most": 20_000, "interval": "high"}, Outcome.NOT_TESTED),
        (
            20_000,
            {"at_most_worse_by": 5.0, "direction": "lower", "interval": "high"},
            Outcome.NOT_TESTED,
        ),
        (None, {"at_most": 20_000}, Outcome.NOT_TESTED),
        (None, {"at_most_worse_by": 1e9, "direction": "lower"}, Outcome.NOT_TESTED),
    ],
)
def test_a_limit_holds_as_it_is_written(
    new: int | None, limits: dict[str, Any], outcome: Outcome
) -> None:
    assert flash(new, **limits) is outcome


def test_the_end_of_the_interval_is_stricter_than_the_figure() -> None:
    old, new = pair()
    name = f"{SCORES}.accuracy"
    change = changes_of(old, new, None, 0)[name]
    assert change.change is not None
    assert change.interval is not None
    assert change.interval.low < change.change < 0
    middle = -(change.interval.low + change.change) / 2
    gate = Gate("g", name, "higher", at_most_worse_by=middle)
    point, low = judged(old, new, gate, replace(gate, interval="low"))
    assert (point.outcome, low.outcome) == (Outcome.PASS, Outcome.FAIL)
    assert low.figures[0].judged == change.interval.low


def without_classes(new: Evidence) -> Evidence:
    performance = new.performance[0]
    scores = replace(performance.scores, classes=())
    return replace(new, performance=(replace(performance, scores=scores, records=()),))


def undefined(new: Evidence) -> Evidence:
    performance = new.performance[0]

    def nothing(quantity: Quantity) -> Quantity:
        return replace(quantity, value=None, interval=None, note="undefined: 0/0")

    scores = performance.scores
    classes = tuple(
        replace(
            each,
            sensitivity=nothing(each.sensitivity),
            precision=nothing(each.precision),
        )
        for each in scores.classes
    )
    scores = replace(
        scores,
        accuracy=nothing(scores.accuracy),
        macro_f1=nothing(scores.macro_f1),
        classes=classes,
    )
    return replace(new, performance=(replace(performance, scores=scores),))


REMOVED: dict[str, Callable[[Evidence], Evidence]] = {
    "section": lambda new: replace(new, performance=(), device=None),
    "values": lambda new: replace(undefined(new), device=None),
    "names": lambda new: replace(
        new,
        device=None,
        performance=(replace(new.performance[0], stage="another"),),
    ),
}
LIMITS = st.floats(-1e12, 1e12)
GATES = st.one_of(
    st.builds(lambda x: {"at_least": x}, LIMITS),
    st.builds(lambda x: {"at_most": x}, LIMITS),
    st.builds(
        lambda key, x, way: {key: abs(x), "direction": way},
        st.sampled_from(["at_most_worse_by", "at_most_worse_by_percent"]),
        LIMITS,
        st.sampled_from(["higher", "lower"]),
    ),
)


@settings(max_examples=60)
@given(
    st.sampled_from(FIGURES),
    GATES,
    st.sampled_from(["point", "low", "high"]),
    st.sampled_from(sorted(REMOVED)),
    st.booleans(),
)
def test_a_gate_on_a_missing_figure_never_passes(
    figure: str, limits: dict[str, Any], interval: str, removed: str, both: bool
) -> None:
    old, new = pair()
    gone = REMOVED[removed](new)
    gate = Gate("g", figure, interval=interval, **limits)
    before = REMOVED[removed](old) if both else old
    policy = Policy("edgeprune-policy", 1, conditions=NO_CONDITIONS, gates=(gate,))
    (result,) = judge_policy(policy, before, gone, unpaired(before, gone))
    assert result.outcome is not Outcome.PASS
    assert result.why or any(each.why for each in result.figures)


def unpaired(old: Evidence, new: Evidence) -> dict[str, FigureChange]:
    """Return the changes without their intervals, which take long."""
    bare = [
        replace(each, performance=tuple(replace(row, records=()) for row in each.performance))
        for each in (old, new)
    ]
    return changes_of(bare[0], bare[1], None, 0)


def test_figures_of_the_change_are_not_tested_until_somebody_looked() -> None:
    old, new = pair()
    gates = tuple(Gate(name, name, at_most=1.0) for name in UPDATE_FIGURES)
    policy = Policy("edgeprune-policy", 1, conditions=NO_CONDITIONS, gates=gates)
    changes = unpaired(old, new)
    for update in (None, {}):
        results = judge_policy(policy, old, new, changes, update)
        assert {each.outcome for each in results} == {Outcome.NOT_TESTED}
    found = {name: Quantity(0.5, "1", Where.HOST) for name in UPDATE_FIGURES}
    results = judge_policy(policy, old, new, changes, found)
    assert {each.outcome for each in results} == {Outcome.PASS}


def test_conditions() -> None:
    old, new = pair()
    policy = Policy("edgeprune-policy", 1, conditions=Conditions(verdict=True))

    def outcomes(of: Evidence) -> list[str]:
        return [each.outcome.value for each in judge_policy(policy, old, of, {})]

    assert outcomes(new) == ["pass", "pass", "pass"]
    (row,) = new.parity
    assert outcomes(replace(new, parity=(replace(row, mismatches=1),))) == ["fail", "fail", "pass"]
    assert outcomes(replace(new, parity=()))[0] == "not tested"
    (requirement,) = new.requirements
    assert outcomes(replace(new, requirements=())) == ["pass", "not tested", "fail"]
    for changed in (
        {"outcome": Outcome.NOT_TESTED, "value": None},
        {"outcome": Outcome.FAIL},
        {"limit": 40_000.0},
        {"unit": "bit"},
    ):
        later = replace(new, requirements=(replace(requirement, **changed),))
        assert outcomes(later)[2] == "fail"
    stricter = replace(new, requirements=(replace(requirement, limit=25_000.0),))
    assert outcomes(stricter)[2] == "pass"


def test_a_pattern_leaves_out_what_neither_has_and_misses_what_is_gone() -> None:
    old, new = pair()
    gate = Gate("g", f"{SCORES}.classes.*.sensitivity", "higher", at_most_worse_by=1.0)
    (result,) = judged(old, new, gate)
    assert result.outcome is Outcome.PASS
    assert len(result.figures) == 3
    (lost,) = judged(old, without_classes(new), gate)
    assert lost.outcome is Outcome.NOT_TESTED
    (nothing,) = judged(without_classes(old), without_classes(new), gate)
    assert (nothing.outcome, nothing.why) == (Outcome.NOT_TESTED, "no bundle has such a figure")
    (empty,) = judged(undefined(old), undefined(new), gate)
    assert empty.outcome is Outcome.NOT_TESTED
    assert len(empty.left_out) == 3
