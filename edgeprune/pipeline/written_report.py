"""The report of a result that is there already: its page, its PDF, or its figures as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgeprune.errors import ConfigurationError, DataError, UnknownNameError
from edgeprune.evidence import MANIFEST_NAME, Evidence, evidence_bytes, read_evidence
from edgeprune.evidence.manifest import read_manifest, verify_manifest
from edgeprune.files import write_bytes
from edgeprune.pipeline.bundle_files import EVIDENCE
from edgeprune.report import render_pdf, render_report
from edgeprune.report.sections import chosen_profile

_NAMED = 5


def _page(evidence: Evidence, profile: str) -> bytes:
    return render_report(evidence, profile).encode()


def _paper(evidence: Evidence, profile: str) -> bytes:
    return render_pdf(render_report(evidence, profile))


def _figures(evidence: Evidence, profile: str) -> bytes:
    return evidence_bytes(replace(evidence, profile=profile or evidence.profile))


FORMATS: Mapping[str, Callable[[Evidence, str], bytes]] = {
    "html": _page,
    "pdf": _paper,
    "json": _figures,
}


@dataclass(frozen=True)
class WrittenReport:
    """A report that was written.

    Attributes:
        path: Where it is.
        format: "html", "pdf" or "json".
        profile: Name of the profile that it follows; empty where it shows everything.
        evidence: What it tells of.
    """

    path: Path
    format: str
    profile: str
    evidence: Evidence


def write_report_of(
    source: Path, out: Path | None = None, form: str = "", profile: str = ""
) -> WrittenReport:
    """Write the report of a finished result.

    Args:
        source: A result directory, or an evidence.json alone.
        out: The file to write; where absent, one in the current folder that is named after the
            source.
        form: One of `FORMATS`; where absent, what the name of `out` ends in, or "html".
        profile: A profile of the evidence; empty for the one that it names itself.

    Raises:
        ConfigurationError: `out` lies in a result directory, whose manifest it would break.
        DataError: The result is damaged, or of another version.
        UnknownNameError: There is no such format or profile.
        DiskError: The file cannot be written.
    """
    form = form or _form_of(out)
    if form not in FORMATS:
        raise UnknownNameError("format", form, FORMATS, where="format")
    evidence = read_evidence(_evidence_file(source))
    chosen = chosen_profile(evidence, profile)
    name = chosen.name if chosen else ""
    path = out if out is not None else Path(f"{source.resolve().stem or 'result'}-report.{form}")
    _check_place(path)
    write_bytes(path, FORMATS[form](evidence, name))
    return WrittenReport(path, form, name, evidence)


def _form_of(out: Path | None) -> str:
    suffix = out.suffix.removeprefix(".").lower() if out is not None else ""
    return suffix if suffix in FORMATS else "html"


def _evidence_file(source: Path) -> Path:
    """Return the evidence of a source; that of a directory is held against its manifest first."""
    if source.is_file():
        return source
    if not (source / MANIFEST_NAME).is_file():
        raise ConfigurationError(
            "this is neither a result directory nor an evidence.json",
            where=str(source),
            hint="name the folder that `edgeprune build --out` wrote, or the evidence.json in it",
        )
    differences = verify_manifest(source, read_manifest(source))
    damaged = (*differences.altered, *differences.missing)
    if damaged:
        words = str(replace(differences, added=())).splitlines()
        more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
        raise DataError(
            f"the result is not as it was built: {'; '.join(words[:_NAMED])}{more}",
            where=str(source),
            hint="`edgeprune verify-bundle` names every altered file; build again",
        )
    return source / EVIDENCE


def _check_place(path: Path) -> None:
    for folder in path.resolve().parents:
        if (folder / MANIFEST_NAME).is_file() and (folder / EVIDENCE).is_file():
            raise ConfigurationError(
                "a report is not written into a result directory: its manifest would not fit",
                where=str(path),
                hint="choose another --out",
            )
