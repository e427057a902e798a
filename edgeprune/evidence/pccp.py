"""Changes that are planned in advance (a predetermined change control plan)."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.evidence.links import EvidenceLink


@dataclass(frozen=True)
class PccpItem:
    """One item of the plan.

    Attributes:
        topic: What it is about, e.g. "re-training".
        text: What the team wrote, or what edgeprune does; "to be written by the manufacturer"
            where neither says anything.
        evidence: What it rests on in this build.
        missing: Whether the manufacturer has still to write it.
    """

    topic: str
    text: str
    evidence: tuple[EvidenceLink, ...] = ()
    missing: bool = False


@dataclass(frozen=True)
class PccpModification:
    """One change that is planned.

    Attributes:
        title: Its name.
        description: What changes, and within what limits.
        rationale: Why.
        protocol: How it is made and tested: data, re-training, evaluation, update.
        impact: Benefits, risks, and what is held against these.
    """

    title: str
    description: PccpItem
    rationale: PccpItem
    protocol: tuple[PccpItem, ...]
    impact: tuple[PccpItem, ...]


@dataclass(frozen=True)
class PccpGate:
    """A gate of the policy file that `edgeprune compare` enforces.

    Attributes:
        name: Its name.
        figure: Id, or pattern of ids, of the figures that it looks at.
        criterion: What it demands, in words.
        evidence: The figures of this build that it looks at.
    """

    name: str
    figure: str
    criterion: str
    evidence: tuple[EvidenceLink, ...] = ()


@dataclass(frozen=True)
class PccpEvidence:
    """The plan: its modifications, its protocol and its impact.

    Attributes:
        supplied: Whether the team supplied a plan at all.
        summary: In words.
        modifications: What is to change.
        protocol: What holds for every modification.
        impact: What holds for all modifications together.
        policy_sha256: Hash of the policy file; absent where there is none.
        gates: The gates of the policy.
    """

    supplied: bool
    summary: str
    modifications: tuple[PccpModification, ...] = ()
    protocol: tuple[PccpItem, ...] = ()
    impact: tuple[PccpItem, ...] = ()
    policy_sha256: str | None = None
    gates: tuple[PccpGate, ...] = ()
