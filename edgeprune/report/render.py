"""evidence.json to one HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from edgeprune.evidence import (
    Evidence,
    SweepEvidence,
    evidence_bytes,
    parse_evidence,
    read_evidence,
)
from edgeprune.files import write_text
from edgeprune.report.citation import Citation
from edgeprune.report.environment import environment
from edgeprune.report.page_parts import page_parts
from edgeprune.report.sections import SECTIONS, chosen_profile, left_out, shown_sections

__all__ = ["SECTIONS", "SweepPage", "render_report", "render_sweep", "write_report"]
# Anchors of the cover, that every report has.
_COVER = ("title", "requirements")


def render_report(evidence: Evidence, profile: str = "") -> str:
    """Return the report as one HTML page; equal evidence gives an equal page.

    The evidence is rendered as evidence.json would hold it, so that page and file cannot differ.

    Args:
        evidence: The only source of every figure that is shown.
        profile: Name of the profile whose sections and clauses are shown; empty for the one that
            the evidence names, or for everything where it names none.

    Raises:
        UnknownNameError: The evidence has no such profile.
    """
    content = evidence_bytes(evidence)
    written = parse_evidence(content)
    cited = Citation(written)
    chosen = chosen_profile(written, profile)
    shown = shown_sections(chosen)
    parts = page_parts("network", written.identity.network_sha256)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            evidence=cited,
            verdict=written.verdict.value,
            evidence_sha256=sha256(content).hexdigest(),
            profile=next((each for each in cited.profiles if each.name == _name(chosen)), None),
            profile_name=_name(chosen),
            sections=shown,
            hidden=left_out(shown),
            anchors={*_COVER, *(section.name for section in shown)},
            style=parts.style,
            script=parts.script,
            policy=parts.policy,
        )
    )


def _name(profile: object) -> str:
    return str(getattr(profile, "name", ""))


@dataclass(frozen=True)
class SweepPage:
    """What a sweep's own report is made of.

    Attributes:
        dataset: The data set in words.
        target: The target in words.
        model: The classifier's name.
        synthetic: Whether the recordings were generated and not recorded from people.
        edgeprune: Version that made it.
        unfinished: Points without a result.
        left_out: Combinations that are no points, and why.
        sweep: What was found; its `point` is not read.
    """

    dataset: str
    target: str
    model: str
    synthetic: bool
    edgeprune: str
    unfinished: int
    left_out: tuple[str, ...]
    sweep: SweepEvidence


def render_sweep(page: SweepPage) -> str:
    """Return a sweep's report as one HTML page; equal pages give equal bytes.

    Args:
        page: The only source of every figure that is shown.
    """
    parts = page_parts("sweep", page.sweep.file_sha256)
    return (
        environment()
        .get_template("sweep.html.j2")
        .render(page=Citation(page), style=parts.style, script=parts.script, policy=parts.policy)
    )


def write_report(evidence_file: Path, report_file: Path, profile: str = "") -> None:
    """Read evidence.json and write the report beside it or elsewhere.

    Args:
        evidence_file: The evidence.
        report_file: The page to write.
        profile: As in `render_report`.

    Raises:
        DataError: The evidence is absent, damaged or of another version.
        UnknownNameError: The evidence has no such profile.
        DiskError: The report cannot be written.
    """
    write_text(report_file, render_report(read_evidence(evidence_file), profile))
