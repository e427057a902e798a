"""The table of risks: hazards of the catalogue with what this build holds against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from edgeprune.config.regulatory import RiskSettings
from edgeprune.evidence import EvidenceLink, Risk, RiskControl, RiskOrigin
from edgeprune.pipeline.regulatory.findings import NO_EVIDENCE, Findings
from edgeprune.typed_toml import parse_table, read_toml

CATALOGUE = Path(__file__).with_name("hazards.toml")
BEATS, SEGMENTS = "beats", "segments"
TO_BE_ESTIMATED = "to be estimated by the manufacturer"
TO_BE_JUDGED = "to be judged by the manufacturer"
TO_BE_WRITTEN = "to be written by the manufacturer"


@dataclass(frozen=True)
class ControlEntry:
    """A control of the catalogue.

    Attributes:
        text: What it is.
        evidence: Names of `Findings`, or paths.
    """

    text: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class HazardEntry:
    """A hazard of the catalogue.

    Attributes:
        id: "H01" and so on.
        kind: "beats", "segments" or "both".
        hazard: The hazard.
        sequence_of_events: How it can come about.
        hazardous_situation: What the patient is exposed to.
        harm: What can follow.
        controls: What is held against it.
        requirements: Patterns of the requirements that control it.
        synthetic: Only where the recordings were generated.
    """

    id: str
    kind: str
    hazard: str
    sequence_of_events: str
    hazardous_situation: str
    harm: str
    controls: tuple[ControlEntry, ...]
    requirements: tuple[str, ...] = ()
    synthetic: bool = False


@dataclass(frozen=True)
class HazardCatalogue:
    """All of them.

    Attributes:
        hazards: The hazards, by id.
    """

    hazards: tuple[HazardEntry, ...]


def read_hazards(kind: str, *, synthetic: bool) -> tuple[HazardEntry, ...]:
    """Return the hazards of the catalogue that concern a build.

    Args:
        kind: "beats" or "segments": what the data card's windows are.
        synthetic: Whether the recordings were generated.
    """
    entries = parse_table(HazardCatalogue, read_toml(CATALOGUE), path=CATALOGUE).hazards
    return tuple(
        entry
        for entry in entries
        if entry.kind in (kind, "both") and (synthetic or not entry.synthetic)
    )


def risk_table(
    findings: Findings, hazards: Sequence[HazardEntry], own: Sequence[RiskSettings]
) -> tuple[Risk, ...]:
    """Return the rows of the catalogue, then the team's own.

    Args:
        findings: Of the evidence that is pointed at.
        hazards: Rows of the catalogue.
        own: Rows of the configuration.
    """
    prefilled = (_prefilled(findings, entry) for entry in hazards)
    team = (_of_team(findings, number, row) for number, row in enumerate(own, start=1))
    return (*prefilled, *team)


def risks_of(
    requirement: str, hazards: Sequence[HazardEntry], own: Sequence[RiskSettings]
) -> tuple[str, ...]:
    """Return the ids of the risks that a requirement controls.

    Args:
        requirement: Its name, e.g. "sensitivity.V".
        hazards: Rows of the catalogue.
        own: Rows of the configuration.
    """
    found = [
        entry.id
        for entry in hazards
        if any(fnmatchcase(requirement, pattern) for pattern in entry.requirements)
    ]
    found += [
        f"T{number:02}"
        for number, row in enumerate(own, start=1)
        if requirement in row.requirements
    ]
    return tuple(found)


def _prefilled(findings: Findings, entry: HazardEntry) -> Risk:
    controls = []
    for number, control in enumerate(entry.controls, start=1):
        links = findings.links(control.evidence)
        controls.append(_control(f"{entry.id}.{number}", control.text, links))
    return Risk(
        id=entry.id,
        origin=RiskOrigin.PREFILLED,
        hazard=entry.hazard,
        sequence_of_events=entry.sequence_of_events,
        hazardous_situation=entry.hazardous_situation,
        harm=entry.harm,
        severity=TO_BE_ESTIMATED,
        probability=TO_BE_ESTIMATED,
        controls=tuple(controls),
        residual=TO_BE_JUDGED,
    )


def _of_team(findings: Findings, number: int, row: RiskSettings) -> Risk:
    name = f"T{number:02}"
    there = {named: findings.places(named) for named in row.evidence}
    paths = [path for found in there.values() for path in found]
    return Risk(
        id=name,
        origin=RiskOrigin.TEAM,
        hazard=row.hazard,
        sequence_of_events=row.sequence_of_events or TO_BE_WRITTEN,
        hazardous_situation=row.hazardous_situation or TO_BE_WRITTEN,
        harm=row.harm or TO_BE_WRITTEN,
        severity=row.severity or TO_BE_ESTIMATED,
        probability=row.probability or TO_BE_ESTIMATED,
        controls=(_control(f"{name}.1", row.control or TO_BE_WRITTEN, findings.links(paths)),),
        residual=row.residual or TO_BE_JUDGED,
        unknown_evidence=tuple(_unknown(findings, row, there)),
    )


def _unknown(
    findings: Findings, row: RiskSettings, there: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    yield from (named for named, found in there.items() if not found)
    known = {requirement.name for requirement in findings.evidence.requirements}
    yield from (f"requirement {name}" for name in row.requirements if name not in known)


def _control(name: str, text: str, links: tuple[EvidenceLink, ...]) -> RiskControl:
    return RiskControl(name, text, links, "" if links else NO_EVIDENCE)
