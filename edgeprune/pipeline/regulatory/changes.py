"""The annex of a predetermined change control plan: what the team plans, and what gates it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from edgeprune.config.regulatory import ModificationSettings, PccpSettings
from edgeprune.evidence import (
    EvidenceLink,
    PccpEvidence,
    PccpGate,
    PccpItem,
    PccpModification,
)
from edgeprune.evidence.figures import find
from edgeprune.evidence.policy import Gate, Policy, read_policy
from edgeprune.files import sha256_file
from edgeprune.pipeline.regulatory.findings import Findings
from edgeprune.pipeline.regulatory.hazards import TO_BE_WRITTEN

NOT_SUPPLIED = "no predetermined change control plan was supplied"
_SUPPLIED = (
    "Planned by the team; edgeprune judges the gates of the policy between the old build and the "
    "new one, and says nothing about whether the plan is adequate."
)
_POLICY_ALONE = "A policy was supplied, and no modification is described."


def change_plan(findings: Findings, settings: PccpSettings) -> PccpEvidence:
    """Return the plan of the configuration with the gates of its policy.

    Args:
        findings: Of the evidence whose figures the gates look at.
        settings: The configuration's table.

    Raises:
        ConfigurationError: The policy cannot be read.
    """
    if not settings.policy and not settings.modifications:
        return PccpEvidence(supplied=False, summary=NOT_SUPPLIED)
    path = Path(settings.policy) if settings.policy else None
    policy = read_policy(path) if path else None
    return PccpEvidence(
        supplied=True,
        summary=_SUPPLIED if settings.modifications else _POLICY_ALONE,
        modifications=tuple(_modification(each) for each in settings.modifications),
        protocol=_protocol(findings, policy),
        impact=_impact(findings),
        policy_sha256=sha256_file(path) if path else None,
        gates=(*_conditions(findings, policy), *(_gate(findings, gate) for gate in policy.gates))
        if policy
        else (),
    )


def _modification(settings: ModificationSettings) -> PccpModification:
    return PccpModification(
        settings.title,
        _item("Description", settings.description),
        _item("Rationale", settings.rationale),
        (
            _item("Data management", settings.data),
            _item("Re-training", settings.retraining),
            _item("Performance evaluation", settings.evaluation),
            _item("Update", settings.update),
        ),
        (
            _item("Benefits", settings.benefits),
            _item("Risks", settings.risks),
            _item("Mitigation", settings.mitigation),
        ),
    )


def _protocol(findings: Findings, policy: Policy | None) -> tuple[PccpItem, ...]:
    own = tuple(_item("By the policy", text) for text in (policy.protocol if policy else ()))
    return (
        *own,
        PccpItem(
            "Verification",
            "Every build is tested against the same requirements and compared with the integer "
            "specification.",
            findings.links(("requirements", "requirement:parity.mismatches")),
        ),
        PccpItem(
            "Acceptance",
            "The gates of the policy in the old bundle, judged by edgeprune diff."
            if policy
            else TO_BE_WRITTEN,
            missing=policy is None,
        ),
    )


def _impact(findings: Findings) -> tuple[PccpItem, ...]:
    return (
        PccpItem(
            "Comparison with the version before",
            "edgeprune diff names the decisions that changed on the test windows; this bundle is "
            "what a later one is held against.",
            findings.links(("scores", "sensitivities")),
        ),
        _item("How one modification affects another", ""),
        _item("All modifications together", ""),
    )


def _conditions(findings: Findings, policy: Policy) -> Iterator[PccpGate]:
    """Yield the outcomes that the policy asks for; each is named after what it is about."""
    for key, demand in policy.conditions.demands.items():
        # The verdict follows from the requirements, and stands nowhere by itself.
        place = "requirements" if key == "verdict" else key
        links = (EvidenceLink(place, place),) if findings.is_there(place) else ()
        yield PccpGate(f"condition: {key}", place, demand, links)


def _gate(findings: Findings, gate: Gate) -> PccpGate:
    figures = () if gate.is_of_update else find(findings.evidence, gate.path)
    return PccpGate(
        gate.name,
        gate.figure,
        gate.demand,
        tuple(
            EvidenceLink(figure.source, _in_words(figure.name))
            for figure in figures
            if findings.is_there(figure.source)
        ),
    )


def _in_words(name: str) -> str:
    """Return the last step of a figure's name, and the items that it is of."""
    items = re.findall(r"\{([^{}]+)\}", name)
    last = name.rpartition(".")[2].replace("_", " ")
    return ", ".join((last, *reversed(items)))


def _item(topic: str, text: str) -> PccpItem:
    return PccpItem(topic, text or TO_BE_WRITTEN, missing=not text)
