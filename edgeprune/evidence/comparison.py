"""What a comparison of two bundles found: figures side by side, gates judged."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edgeprune.evidence.codec import json_schema
from edgeprune.evidence.quantity import Interval, Quantity
from edgeprune.evidence.requirements import Outcome

COMPARISON_SCHEMA = "edgeprune-comparison"
COMPARISON_VERSION = 1
COMPARISON_SCHEMA_FILE = Path(__file__).with_name(f"comparison-{COMPARISON_VERSION}.schema.json")


@dataclass(frozen=True)
class ComparedBundle:
    """One of the two.

    Attributes:
        folder: As it was named.
        edgeprune: Version that made it.
        dataset: Name of its data card.
        target: Name of its target.
        network_sha256: Its integer network.
        evidence_sha256: Its evidence.json.
        verdict: What its own requirements came to.
    """

    folder: str
    edgeprune: str
    dataset: str
    target: str
    network_sha256: str
    evidence_sha256: str
    verdict: Outcome


@dataclass(frozen=True)
class FigureChange:
    """One figure of both bundles.

    Attributes:
        name: The same in every evidence; see `edgeprune.evidence.figures`.
        old: In the old bundle; absent where it has none.
        new: In the new bundle; absent where it has none.
        old_source: Path in the old evidence.json; empty where it is absent.
        new_source: Path in the new evidence.json; empty where it is absent.
        change: New minus old; absent where one is missing, undefined or not comparable.
        interval: Of the change, the same patients drawn for both; absent where the bundles do not
            hold counts per patient.
        better: "better", "worse" or "same"; empty where nobody says which way is better.
        refused: Why the two are not comparable; empty where they are.
    """

    name: str
    old: Quantity | None
    new: Quantity | None
    old_source: str
    new_source: str
    change: float | None = None
    interval: Interval | None = None
    better: str = ""
    refused: str = ""


@dataclass(frozen=True)
class GateFigure:
    """One figure as a gate sees it.

    Attributes:
        name: The figure.
        old: Value in the old bundle.
        new: Value in the new bundle.
        judged: The number held against the limit: the value or change, or an end of its interval.
        outcome: Pass, fail, or not tested.
        why: What is missing, where it is not tested; what differs, where that needs words.
    """

    name: str
    old: float | None
    new: float | None
    judged: float | None
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True)
class GateResult:
    """What became of a gate or a condition.

    Attributes:
        name: Its name in the policy.
        figure: Path or pattern of its figures; empty for a condition.
        demand: What it demands, in words.
        outcome: Fail where any figure fails; pass where every one passes; else not tested.
        figures: The figures judged.
        left_out: Figures that the pattern matches and that nothing can be said of: undefined in
            both bundles, or new.
        why: Why nothing was judged; empty otherwise.
    """

    name: str
    figure: str
    demand: str
    outcome: Outcome
    figures: tuple[GateFigure, ...] = ()
    left_out: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class BundleComparison:
    """Two bundles side by side.

    Attributes:
        schema: "edgeprune-comparison".
        version: Version of the form.
        old: The earlier bundle.
        new: The later bundle.
        incomparable: Why no figure of the two can be compared; empty where they can.
        notes: What differs and does not stand in the way.
        figures: Figures of both.
        policy: Title of the policy; absent where none was given.
        policy_sha256: Hash of its file.
        gates: What became of its conditions and gates.
    """

    schema: str
    version: int
    old: ComparedBundle
    new: ComparedBundle
    incomparable: tuple[str, ...]
    notes: tuple[str, ...]
    figures: tuple[FigureChange, ...]
    policy: str | None = None
    policy_sha256: str | None = None
    gates: tuple[GateResult, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """What the gates come to; not tested without any."""
        return outcome_of(tuple(gate.outcome for gate in self.gates))


def outcome_of(outcomes: tuple[Outcome, ...]) -> Outcome:
    """Return fail where anything fails, pass where all pass, else (or of nothing) not tested."""
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    return Outcome.PASS if set(outcomes) == {Outcome.PASS} else Outcome.NOT_TESTED


def comparison_schema_bytes() -> bytes:
    """Return the JSON Schema of a comparison, generated from the records."""
    title = f"{COMPARISON_SCHEMA} {COMPARISON_VERSION}"
    schema = {"title": title, **json_schema(BundleComparison)}
    return f"{json.dumps(schema, indent=1, ensure_ascii=False)}\n".encode()
