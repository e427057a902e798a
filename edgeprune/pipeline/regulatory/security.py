"""Behaviour upon faults and threats, from catalogues; only what this build's code has is stated."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from edgeprune.evidence import FailSafeBehaviour, FailSafeEvidence, Threat
from edgeprune.pipeline.regulatory.findings import NO_EVIDENCE, Findings
from edgeprune.typed_toml import parse_table, read_toml

FAULTS = Path(__file__).with_name("faults.toml")
THREATS = Path(__file__).with_name("threats.toml")
_SUMMARY = (
    "The generated code computes and tells; it stops, resets and alarms nothing. Whatever is not "
    "EDGEPRUNE_OK is to be taken as no decision by the device's own program, which is not part of "
    "this evidence. Damage to memory and flash is brought about by edgeprune's own tests, not by a "
    "build."
)


@dataclass(frozen=True)
class FaultEntry:
    """A fault of the catalogue.

    Attributes:
        event: The fault.
        detection: How the code notices it.
        behaviour: What it does.
        left_to_the_application: What the device's program must do.
        needs: Traits that the code must have for this to hold.
        evidence: Names of `Findings`, or paths.
    """

    event: str
    detection: str
    behaviour: str
    left_to_the_application: str
    needs: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class FaultCatalogue:
    """All faults.

    Attributes:
        faults: The faults.
    """

    faults: tuple[FaultEntry, ...]


@dataclass(frozen=True)
class ThreatEntry:
    """A threat of the catalogue.

    Attributes:
        id: "S01" and so on.
        category: After STRIDE.
        threat: What somebody might do.
        asset: To what.
        control: What is held against it.
        left_to_the_manufacturer: What must be done besides.
        evidence: Names of `Findings`, or paths.
    """

    id: str
    category: str
    threat: str
    asset: str
    control: str
    left_to_the_manufacturer: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class ThreatCatalogue:
    """All threats.

    Attributes:
        threats: The threats.
    """

    threats: tuple[ThreatEntry, ...]


def fail_safe(findings: Findings, traits: Collection[str]) -> FailSafeEvidence:
    """Return what the generated code does upon each fault that it can meet.

    Args:
        findings: Of the evidence that is pointed at.
        traits: What the code has: "monitor", "beats" and so on; see faults.toml.
    """
    catalogue = parse_table(FaultCatalogue, read_toml(FAULTS), path=FAULTS)
    behaviours = tuple(
        FailSafeBehaviour(
            entry.event,
            entry.detection,
            entry.behaviour,
            entry.left_to_the_application,
            findings.links(entry.evidence),
        )
        for entry in catalogue.faults
        if set(entry.needs) <= set(traits)
    )
    return FailSafeEvidence(_SUMMARY, behaviours)


def threat_table(findings: Findings) -> tuple[Threat, ...]:
    """Return the table of threats with what this build holds against each."""
    catalogue = parse_table(ThreatCatalogue, read_toml(THREATS), path=THREATS)
    rows = []
    for entry in catalogue.threats:
        links = findings.links(entry.evidence)
        rows.append(
            Threat(
                entry.id,
                entry.category,
                entry.threat,
                entry.asset,
                entry.control,
                entry.left_to_the_manufacturer,
                links,
                "" if links else NO_EVIDENCE,
            )
        )
    return tuple(rows)
