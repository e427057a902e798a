"""What `edgeprune build --gate` adds for pipelines: a stricter verdict, JUnit XML and SARIF."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgeprune.cli.console import Answer, Console
from edgeprune.errors import ConfigurationError, EdgepruneError
from edgeprune.files import disk_errors, write_bytes

if TYPE_CHECKING:
    from edgeprune.evidence import Evidence
    from edgeprune.report.findings import Finding


@dataclass(frozen=True)
class Gate:
    """What a pipeline wants of a build.

    Attributes:
        wanted: Whether whatever was not tested fails.
        junit: JUnit XML file to write.
        sarif: SARIF file to write.
        config: The configuration file, for the lines at which requirements stand.
    """

    wanted: bool
    junit: Path | None
    sarif: Path | None
    config: Path | None

    def check(self, verb: str, out: Path) -> None:
        """Refuse, before anything is built, what cannot be done afterwards.

        Raises:
            ConfigurationError: Another verb, or a file that the result directory would swallow.
        """
        files = {"--junit": self.junit, "--sarif": self.sarif}
        given = [flag for flag, path in files.items() if path is not None]
        if verb != "build" and (self.wanted or given):
            raise ConfigurationError(
                f"'{verb}' judges no requirements",
                where="--gate" if self.wanted else given[0],
                hint="take edgeprune build",
            )
        for flag, path in files.items():
            if path is None:
                continue
            place = path.resolve()
            if place.is_relative_to(out.resolve()):
                raise ConfigurationError(
                    "the file would be in the result directory, which its manifest seals",
                    where=f"{flag} {path}",
                    hint="name a file elsewhere",
                )
            if place.is_dir():
                raise ConfigurationError(
                    "this is a folder", where=f"{flag} {path}", hint="name a file in it"
                )

    def judged(self, evidence: Evidence | None, answer: Answer, console: Console) -> Answer:
        """Write the files and return the answer with the gate's verdict.

        Raises:
            DiskError: A file cannot be written.
        """
        if evidence is None or not (self.wanted or self.junit or self.sarif):
            return answer
        from edgeprune.report.findings import findings_of, holds
        from edgeprune.report.junit import junit_bytes
        from edgeprune.report.sarif import sarif_bytes

        findings = findings_of(evidence, self.config)
        named = _as_readers_know(self.config)
        if self.junit is not None:
            write_bytes(self.junit, junit_bytes(findings, file=named, strict=self.wanted))
            console.note(f"JUnit XML: {self.junit}")
        if self.sarif is not None:
            write_bytes(self.sarif, sarif_bytes(findings, file=named, strict=self.wanted))
            console.note(f"SARIF: {self.sarif}")
        if not self.wanted:
            return answer
        if not any(each.line for each in findings):
            console.note(
                "no requirement stands in a configuration file: only what holds for any build, "
                "and flags, are gated"
            )
        return replace(
            answer,
            result={**answer.result, "gate": _counted(findings)},
            passed=answer.passed and holds(findings),
            verdict=f"gate: {answer.verdict}",
        )

    @contextmanager
    def told(self) -> Iterator[None]:
        """Write files that say so where a build is broken off: none would look like success.

        Those of an earlier run go first: a crash must not leave them to be taken for its own.

        Raises:
            DiskError: A file cannot be written or removed.
        """
        for path in filter(None, (self.junit, self.sarif)):
            with disk_errors(path):
                path.unlink(missing_ok=True)
        try:
            yield
        except EdgepruneError as error:
            from edgeprune.report.junit import junit_of_error
            from edgeprune.report.sarif import sarif_of_error

            if self.junit is not None:
                write_bytes(self.junit, junit_of_error(error))
            if self.sarif is not None:
                write_bytes(self.sarif, sarif_of_error(error))
            raise


def _counted(findings: tuple[Finding, ...]) -> dict[str, int]:
    counts = Counter(each.outcome.value for each in findings if each.gates)
    return {name: counts[name] for name in ("pass", "fail", "not tested")}


def _as_readers_know(config: Path | None) -> str:
    """Return the path of the configuration below the folder of work, which is the repository's."""
    if config is None:
        return ""
    place = config.resolve()
    here = Path.cwd().resolve()
    return place.relative_to(here).as_posix() if place.is_relative_to(here) else config.name
