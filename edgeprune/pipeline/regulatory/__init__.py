"""What regulators and auditors look for, drawn from an evidence and pointing into it."""

from __future__ import annotations

from dataclasses import replace

from edgeprune.config import BuildConfig
from edgeprune.evidence import Evidence
from edgeprune.pipeline.regulatory.changes import change_plan
from edgeprune.pipeline.regulatory.field import monitoring_plan
from edgeprune.pipeline.regulatory.findings import Findings
from edgeprune.pipeline.regulatory.hazards import BEATS, SEGMENTS, read_hazards, risk_table
from edgeprune.pipeline.regulatory.product import product_evidence
from edgeprune.pipeline.regulatory.provenance import soup_list
from edgeprune.pipeline.regulatory.security import fail_safe, threat_table
from edgeprune.pipeline.regulatory.support import supported_clauses
from edgeprune.pipeline.regulatory.traces import trace

__all__ = ["with_regulatory"]


def with_regulatory(
    evidence: Evidence,
    config: BuildConfig,
    *,
    segments: bool,
    linux: bool = False,
    linked_runtime: bool = False,
) -> Evidence:
    """Return the evidence with its regulatory sections, which point at the figures of the others.

    Every id that they name is one of this very evidence: give it as it will be written.

    Args:
        evidence: Complete but for these sections, its requirements judged.
        config: As resolved.
        segments: Whether the data card's windows are segments, not beats.
        linux: Whether the target runs Linux.
        linked_runtime: Whether support routines of the compiler may be in the image.

    Raises:
        ConfigurationError: The policy of `[pccp]` cannot be read.
    """
    findings = Findings(evidence)
    evidence = replace(
        evidence,
        profile=config.profile,
        soup=soup_list(evidence, linked_runtime=linked_runtime, linux=linux),
        fail_safe=fail_safe(findings, _traits(evidence, config, segments, linux)),
        pccp=change_plan(findings, config.pccp),
        monitoring=monitoring_plan(
            findings, monitored=evidence.monitor is not None, beats=not segments
        ),
    )
    kind = SEGMENTS if segments else BEATS
    hazards = read_hazards(kind, synthetic=evidence.identity.synthetic)
    # Hazards and threats point at what was just found out.
    findings = Findings(evidence)
    evidence = replace(
        evidence,
        product=product_evidence(evidence, findings, config.product),
        risks=risk_table(findings, hazards, config.risks),
        threats=threat_table(findings),
        traceability=trace(evidence, config.requirements, config.robustness, hazards, config.risks),
    )
    clauses, profiles = supported_clauses(Findings(evidence))
    return replace(evidence, clauses=clauses, profiles=profiles)


def _traits(evidence: Evidence, config: BuildConfig, segments: bool, linux: bool) -> set[str]:
    """Return what the generated code has; see faults.toml."""
    traits = {SEGMENTS if segments else BEATS, "monitor" if evidence.monitor else "no-monitor"}
    if evidence.monitor:
        # Segments have no raw samples of a window's own: the int8 signal is watched.
        traits.add("signal" if segments else "raw")
    if config.firmware.hop:
        traits.add("hop")
    if not linux:
        traits.add("microcontroller")
    return traits
