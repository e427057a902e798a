"""Each requirement traced to its test, the result, and the risks that it controls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from edgeprune.config import Requirements, RobustnessSettings
from edgeprune.config.regulatory import RiskSettings
from edgeprune.evidence import (
    Evidence,
    EvidenceLink,
    Outcome,
    Quantity,
    Requirement,
    TraceRow,
    judge,
    value_at,
)
from edgeprune.pipeline.regulatory.findings import Findings
from edgeprune.pipeline.regulatory.hazards import HazardEntry, risks_of
from edgeprune.pipeline.requirements import judge_all

ASKED_FOR = "configuration"
OF_ANY_BUILD = "any build"


@dataclass(frozen=True)
class _Test:
    pattern: str
    stage: str
    test: str
    command: str


_TESTS = (
    _Test(
        "parity.device",
        "bench",
        "what was built for the target is compared with the specification, number by number",
        "edgeprune bench",
    ),
    _Test(
        "parity.*",
        "export, bench, replay",
        "every implementation is compared with the specification, number by number",
        "edgeprune bench",
    ),
    _Test(
        "certificates.rejected",
        "verify",
        "an independent checker recomputes the certificates",
        "edgeprune verify check",
    ),
    _Test(
        "attacks.contradictions",
        "replay",
        "attacks are made within the sets that were proved",
        "edgeprune build",
    ),
    _Test(
        "monitor.mismatches",
        "bench, replay",
        "the device's reasons for no decision are compared with the specification's",
        "edgeprune bench",
    ),
    _Test("target.*", "firmware", "sections of the linked image are added up", "edgeprune bench"),
    _Test("*_bytes", "firmware", "sections of the linked image are added up", "edgeprune bench"),
    _Test(
        "instructions", "bench", "an emulator counts the instructions of windows", "edgeprune bench"
    ),
    _Test(
        "certified_share",
        "verify",
        "decisions of test windows are proved or turned",
        "edgeprune verify",
    ),
    _Test(
        "robustness.share",
        "verify",
        "decisions of test windows are proved or turned",
        "edgeprune verify",
    ),
    _Test("attack_success.*", "attack", "test windows are attacked", "edgeprune attack"),
    _Test(
        "sensitivity_under.*",
        "disturb",
        "recordings of test patients are disturbed and decided",
        "edgeprune disturb",
    ),
    _Test(
        "macro_f1_loss",
        "bench",
        "test windows are decided by the float and by the flashed network",
        "edgeprune build",
    ),
    _Test(
        "*",
        "bench",
        "test windows are decided by the network as it is flashed",
        "edgeprune build",
    ),
)


def trace(
    evidence: Evidence,
    requirements: Requirements,
    robustness: RobustnessSettings,
    hazards: Sequence[HazardEntry],
    own: Sequence[RiskSettings],
) -> tuple[TraceRow, ...]:
    """Return a row for every requirement: those of any build and those that were asked for.

    The result is judged from the figures that the evidence holds now: where a figure is gone, the
    requirement was not tested, whatever was said of it before.

    Args:
        evidence: With its requirements judged.
        requirements: What the configuration asks for.
        robustness: A share that is asked for there is a requirement too.
        hazards: Rows of the catalogue.
        own: The team's own risks.
    """
    findings = Findings(evidence)
    judged = {requirement.name: requirement for requirement in evidence.requirements}
    fresh = {each.name: each for each in judge_all(Requirements(), evidence, None)}
    asked = tuple(names_asked_for(requirements, robustness))
    rows = []
    for name in dict.fromkeys((*judged, *fresh, *asked)):
        requirement = judged.get(name)
        if name in asked or name not in fresh:
            result = _result(evidence, requirement)
        else:
            result = _again(fresh[name])
        of_risks = risks_of(name, hazards, own)
        rows.append(_row(findings, name, requirement, result, of_risks, asked=name in asked))
    return tuple(rows)


def names_asked_for(requirements: Requirements, robustness: RobustnessSettings) -> Iterator[str]:
    """Yield the names of the requirements that a configuration asks for, as they are judged."""
    for name in (
        "accuracy",
        "macro_f1",
        "macro_f1_loss",
        "flash_bytes",
        "ram_bytes",
        "instructions",
        "certified_share",
    ):
        if getattr(requirements, name) is not None:
            yield name
    for table in ("sensitivity", "precision", "f1", "attack_success"):
        yield from (f"{table}.{name}" for name in getattr(requirements, table))
    for disturbance, limits in requirements.sensitivity_under.items():
        yield from (f"sensitivity_under.{disturbance}.{name}" for name in limits)
    if robustness.perturbation and robustness.share > 0:
        yield "robustness.share"


def _result(evidence: Evidence, requirement: Requirement | None) -> Outcome:
    """Judge a requirement by the figure that the evidence has at its source."""
    if requirement is None or requirement.value is None or not requirement.source:
        return Outcome.NOT_TESTED
    found = value_at(evidence, requirement.source)
    if isinstance(found, int | float) and not isinstance(found, bool):
        found = replace(requirement.value, value=found)
    if not isinstance(found, Quantity) or found.unit != requirement.unit:
        return Outcome.NOT_TESTED
    return judge(
        requirement.name,
        requirement.title,
        requirement.comparison,
        requirement.limit,
        requirement.unit,
        found,
    ).outcome


def _again(requirement: Requirement) -> Outcome:
    """Return the outcome of a count, which nothing counted leaves at not tested."""
    if requirement.value is None or requirement.value.n == 0:
        return Outcome.NOT_TESTED
    return requirement.outcome


def _row(
    findings: Findings,
    name: str,
    requirement: Requirement | None,
    result: Outcome,
    risks: tuple[str, ...],
    *,
    asked: bool,
) -> TraceRow:
    test = next(each for each in _TESTS if fnmatchcase(name, each.pattern))
    links = findings.links((f"requirement:{name}",))
    source = requirement.source if requirement else ""
    words = test.test
    if result is Outcome.NOT_TESTED and requirement and requirement.value and not asked:
        words = f"{words}; in this build there was nothing to count"
    if source and result is not Outcome.NOT_TESTED and findings.is_there(source):
        links = (*links, EvidenceLink(source, "the figure that decides"))
    return TraceRow(
        requirement=name,
        title=requirement.title if requirement else "not judged in this evidence",
        origin=ASKED_FOR if asked else OF_ANY_BUILD,
        stage=test.stage,
        test=words,
        command=test.command,
        result=result,
        evidence=links,
        risks=risks,
    )
