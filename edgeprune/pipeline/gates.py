"""Gates and conditions of a policy, judged on two bundles; what is missing never passes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from edgeprune.evidence import Evidence, Outcome, Quantity, Requirement
from edgeprune.evidence.comparison import FigureChange, GateFigure, GateResult, outcome_of
from edgeprune.evidence.figures import EVERY, find
from edgeprune.evidence.policy import Better, End, Gate, Policy
from edgeprune.evidence.requirements import Comparison

Changes = Mapping[str, FigureChange]

_NO_DIFF = "a figure of the change itself: `edgeprune diff OLD NEW` judges it"


def judge_policy(
    policy: Policy,
    old: Evidence,
    new: Evidence,
    changes: Changes,
    update: Mapping[str, Quantity] | None = None,
    incomparable: str = "",
) -> tuple[GateResult, ...]:
    """Judge every condition and gate.

    Args:
        policy: What is asked for.
        old: The earlier evidence.
        new: The later evidence.
        changes: Every figure of both, by name.
        update: Figures of the change itself, by name; None where nobody looked for them.
        incomparable: Why nothing of the two can be compared; empty where it can.
    """
    results = list(_conditions(policy, old, new))
    for gate in policy.gates:
        if gate.is_of_update:
            results.append(_of_update(gate, update))
        else:
            results.append(_of_figures(gate, old, new, changes, incomparable))
    return tuple(results)


def value_of(quantity: Quantity | None) -> float | None:
    """Return a figure's number; None where it is absent, undefined, or too large for a float."""
    if quantity is None or quantity.value is None:
        return None
    try:
        return float(quantity.value)
    except OverflowError:
        return None


def _conditions(policy: Policy, old: Evidence, new: Evidence) -> Iterator[GateResult]:
    judges = {"parity": _parity, "verdict": _verdict, "requirements": _requirements}
    for key, demand in policy.conditions.demands.items():
        outcome, why = judges[key](old, new)
        yield GateResult(f"condition: {key}", "", demand, outcome, why=why)


def _parity(_: Evidence, new: Evidence) -> tuple[Outcome, str]:
    gates = [row for row in new.parity if row.gate and row.values > 0]
    different = sum(row.mismatches for row in gates)
    if different:
        return Outcome.FAIL, f"{different:,} values differ"
    return (Outcome.PASS, "") if gates else (Outcome.NOT_TESTED, "nothing compared")


def _verdict(_: Evidence, new: Evidence) -> tuple[Outcome, str]:
    return new.verdict, "" if new.verdict is Outcome.PASS else f"it is '{new.verdict.value}'"


def _requirements(old: Evidence, new: Evidence) -> tuple[Outcome, str]:
    lost = list(_lost_requirements(old, new))
    return Outcome.FAIL if lost else Outcome.PASS, "; ".join(lost)


def _lost_requirements(old: Evidence, new: Evidence) -> Iterator[str]:
    later = {each.name: each for each in new.requirements}
    for before in old.requirements:
        if before.outcome is not Outcome.PASS:
            continue
        after = later.get(before.name)
        if after is None:
            yield f"{before.name} is gone"
        elif after.outcome is not Outcome.PASS:
            yield f"{before.name}: {after.outcome.value}"
        elif _is_loosened(before, after):
            yield f"{before.name} is loosened from {before.limit:g} to {after.limit:g}"


def _is_loosened(before: Requirement, after: Requirement) -> bool:
    if (before.comparison, before.unit) != (after.comparison, after.unit):
        return True
    if before.comparison is Comparison.AT_LEAST:
        return after.limit < before.limit
    return after.limit > before.limit


def _of_update(gate: Gate, update: Mapping[str, Quantity] | None) -> GateResult:
    found = (update or {}).get(gate.figure)
    why = _NO_DIFF if update is None else ""
    row = _absolute(gate, gate.figure, None, found, why)
    return GateResult(gate.name, gate.figure, gate.demand, row.outcome, (row,), why=row.why)


def _of_figures(
    gate: Gate, old: Evidence, new: Evidence, changes: Changes, incomparable: str
) -> GateResult:
    path = gate.path
    earlier = {each.name: each.quantity for each in find(old, path)}
    later = {each.name: each.quantity for each in find(new, path)}
    names = list(dict.fromkeys((*earlier, *later)))
    left_out: list[str] = []
    if EVERY in path.steps:
        left_out = [
            name
            for name in names
            if _is_silent(earlier.get(name), later.get(name), gate.limits_change)
        ]
    figures = []
    for name in names:
        if name in left_out:
            continue
        before, after = earlier.get(name), later.get(name)
        if gate.limits_change:
            figures.append(_change(gate, name, changes.get(name), before, after, incomparable))
        else:
            figures.append(_absolute(gate, name, before, after))
    why = ""
    if not figures:
        why = "no bundle has such a figure" if not names else "undefined wherever it is matched"
    outcome = outcome_of(tuple(figure.outcome for figure in figures))
    return GateResult(
        gate.name, gate.figure, gate.demand, outcome, tuple(figures), tuple(left_out), why
    )


def _is_silent(before: Quantity | None, after: Quantity | None, limits_change: bool) -> bool:
    """Say whether a pattern's figure says nothing: undefined in both, or only now looked at."""
    values = [each.value for each in (before, after) if each is not None]
    undefined = all(value is None for value in values)
    return undefined or (limits_change and before is None)


def _absolute(
    gate: Gate, name: str, before: Quantity | None, after: Quantity | None, why: str = ""
) -> GateFigure:
    """Hold the new bundle's figure against a limit."""
    old, new = value_of(before), value_of(after)
    judged = _end(gate, after)
    if judged is None:
        if not why:
            why = _why_missing(after) if new is None else "the figure has no interval"
        return GateFigure(name, old, new, None, Outcome.NOT_TESTED, why)
    if gate.at_least is not None:
        holds = judged >= gate.at_least or _alike(judged, gate.at_least)
    elif gate.at_most is not None:
        holds = judged <= gate.at_most or _alike(judged, gate.at_most)
    else:
        raise ValueError(f"gate '{gate.name}' limits a change")
    return GateFigure(name, old, new, judged, Outcome.PASS if holds else Outcome.FAIL)


def _change(
    gate: Gate,
    name: str,
    change: FigureChange | None,
    before: Quantity | None,
    after: Quantity | None,
    incomparable: str,
) -> GateFigure:
    """Hold the change of a figure against a limit."""
    old, new = value_of(before), value_of(after)
    why = incomparable or (change.refused if change is not None else "")
    if not why and (old is None or new is None):
        absent = before if old is None else after
        which = "old" if old is None else "new"
        why = f"in the {which} bundle: {_why_missing(absent)}"
    if why or change is None or change.change is None or old is None:
        return GateFigure(name, old, new, None, Outcome.NOT_TESTED, why or "no change is known")
    moved = change.change
    if gate.interval != End.POINT:
        if change.interval is None:
            why = "the change has no interval: the bundles hold no counts per patient for it"
            return GateFigure(name, old, new, None, Outcome.NOT_TESTED, why)
        moved = change.interval.low if gate.interval == End.LOW else change.interval.high
    worse = -moved if gate.direction == Better.HIGHER else moved
    limit = gate.at_most_worse_by
    if gate.at_most_worse_by_percent is not None:
        if old == 0:
            why = "the old figure is 0, of which there is no percent"
            return GateFigure(name, old, new, moved, Outcome.NOT_TESTED, why)
        limit = abs(old) * gate.at_most_worse_by_percent / 100
    if limit is None:
        raise ValueError(f"gate '{gate.name}' limits no change")
    holds = worse <= limit or _alike(worse, limit)
    return GateFigure(name, old, new, moved, Outcome.PASS if holds else Outcome.FAIL)


def _end(gate: Gate, quantity: Quantity | None) -> float | None:
    if quantity is None or gate.interval == End.POINT:
        return value_of(quantity)
    if quantity.value is None or quantity.interval is None:
        return None
    interval = quantity.interval
    return interval.low if gate.interval == End.LOW else interval.high


def _why_missing(quantity: Quantity | None) -> str:
    if quantity is None:
        return "not tested"
    return quantity.note or "undefined"


def _alike(value: float, limit: float) -> bool:
    """Say whether two numbers differ by no more than the rounding of a difference."""
    return math.isclose(value, limit, rel_tol=1e-9, abs_tol=1e-12)
