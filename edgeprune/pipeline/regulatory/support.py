"""Clauses with what of this build supports them."""

from __future__ import annotations

from edgeprune.evidence import ClauseEvidence, ProfileEvidence, read_clauses
from edgeprune.pipeline.regulatory.findings import Findings


def supported_clauses(
    findings: Findings,
) -> tuple[tuple[ClauseEvidence, ...], tuple[ProfileEvidence, ...]]:
    """Return every clause of the registry with its links, and the profiles.

    Args:
        findings: Of the evidence, with its regulatory sections filled.
    """
    registry = read_clauses()
    clauses = tuple(
        ClauseEvidence(
            id=entry.id,
            document=entry.document,
            clause=entry.clause,
            topic=entry.topic,
            sections=entry.sections,
            profiles=entry.profiles,
            checked=bool(entry.source),
            source=entry.source,
            reason=entry.reason,
            evidence=findings.links(entry.evidence),
        )
        for entry in registry.clauses
    )
    return clauses, registry.profiles
