"""Hazards with what is held against them, and requirements traced to their tests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from edgeprune.evidence.links import EvidenceLink
from edgeprune.evidence.requirements import Outcome


class RiskOrigin(StrEnum):
    """Who put a row into the table of risks."""

    PREFILLED = "prefilled"
    TEAM = "team"


@dataclass(frozen=True)
class RiskControl:
    """One measure against a risk.

    Attributes:
        id: E.g. "H03.1": the first control of hazard 3.
        text: What it is.
        evidence: Where its effect can be seen in this build.
        note: "no evidence in this build" where there is none; else empty.
    """

    id: str
    text: str
    evidence: tuple[EvidenceLink, ...]
    note: str = ""


@dataclass(frozen=True)
class Risk:
    """A row of the table of risks, in the columns of ISO 14971 and AAMI TIR34971.

    What only the manufacturer can judge is left to it, in words.

    Attributes:
        id: "H01" and so on for prefilled rows, "T01" and so on for the team's.
        origin: Who put it there.
        hazard: The hazard.
        sequence_of_events: How it can come about, as far as can be foreseen.
        hazardous_situation: What the patient is exposed to.
        harm: What can follow.
        severity: Initial severity.
        probability: Initial probability.
        controls: What is held against it.
        residual: What is left.
        unknown_evidence: Ids that the team named and that are not in this evidence.
    """

    id: str
    origin: RiskOrigin
    hazard: str
    sequence_of_events: str
    hazardous_situation: str
    harm: str
    severity: str
    probability: str
    controls: tuple[RiskControl, ...]
    residual: str
    unknown_evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class TraceRow:
    """A requirement traced to its test, the result, and the risks that it controls.

    Attributes:
        requirement: Name of the requirement, e.g. "sensitivity.V".
        title: What it demands, in words.
        origin: "configuration" or "any build".
        stage: Stage of the build that tests it.
        test: What is done there, in words.
        command: Command that does it alone, or `edgeprune build`.
        result: Pass, fail or not tested.
        evidence: The requirement and the figure that decided it.
        risks: Ids of the risks that it controls.
    """

    requirement: str
    title: str
    origin: str
    stage: str
    test: str
    command: str
    result: Outcome
    evidence: tuple[EvidenceLink, ...]
    risks: tuple[str, ...]
