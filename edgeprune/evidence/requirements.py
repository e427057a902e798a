"""Requirements, and the verdict that follows from them."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from enum import StrEnum

from edgeprune.evidence.quantity import Quantity


class Comparison(StrEnum):
    """How a value must stand to its limit."""

    AT_LEAST = ">="
    AT_MOST = "<="


class Outcome(StrEnum):
    """What became of a requirement; what was not tested never passes."""

    PASS = "pass"
    FAIL = "fail"
    NOT_TESTED = "not tested"


@dataclass(frozen=True)
class Requirement:
    """One requirement and what was found.

    Attributes:
        name: Its key in the configuration, e.g. "sensitivity.V".
        title: What it demands, in words.
        comparison: How the value must stand to the limit.
        limit: The limit.
        unit: Unit of limit and value.
        value: What was found; absent where it was not tested.
        source: Path of the figure in this evidence, e.g. "device.firmware.flash_bytes".
        outcome: Pass, fail or not tested.
    """

    name: str
    title: str
    comparison: Comparison
    limit: float
    unit: str
    value: Quantity | None
    source: str
    outcome: Outcome


def judge(
    name: str,
    title: str,
    comparison: Comparison,
    limit: float,
    unit: str,
    value: Quantity | None,
    source: str = "",
) -> Requirement:
    """Compare a figure with its limit; an absent or undefined figure is not tested.

    Raises:
        ValueError: The figure has another unit than the limit.
    """
    outcome = Outcome.NOT_TESTED
    if value is not None:
        if value.unit != unit:
            raise ValueError(f"requirement '{name}' is in '{unit}', its value in '{value.unit}'")
        if value.value is not None:
            holds = operator.ge if comparison is Comparison.AT_LEAST else operator.le
            outcome = Outcome.PASS if holds(value.value, limit) else Outcome.FAIL
    return Requirement(name, title, comparison, limit, unit, value, source, outcome)
