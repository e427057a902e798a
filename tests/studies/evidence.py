"""make study-evidence: a bundle as its reader, its auditor and its forger meet it."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edgeprune.config import load_config
from edgeprune.evidence import Evidence, Outcome, read_evidence
from edgeprune.pipeline.regulatory import with_regulatory
from tests.studies import evidence_page, evidence_tampering
from tests.studies.study import CHECKOUT, KEPT, Figure, Section, run_command, run_study

SEED = 1
SOURCES = (".c", ".h", ".s", ".S")
# Every kind of requirement that a configuration can hold; some are there to be missed.
CONFIG = """\
profile = "fda"

[requirements]
accuracy = 0.93
macro_f1 = 0.4
macro_f1_loss = 0.02
flash_bytes = 65536
ram_bytes = 20480
instructions = 2000000

[requirements.sensitivity]
N = 0.94
V = 0.92
S = 0.5

[requirements.precision]
V = 0.82

[requirements.f1]
S = 0.25

[requirements.attack_success]
"linf:20uV" = 0.5

[requirements.certified_share]
perturbation = "linf:5uV"
share = 0.5

[requirements.sensitivity_under."electrode-motion:12dB"]
V = 0.8

[product]
name = "example"
intended_use = "Classifying annotated beats of an ambulatory ECG, for research."

[[risks]]
hazard = "beats of a paced rhythm"
harm = "delayed treatment"
control = "paced records are left out, and the labelling says so"

[verification]
windows = 50
"""
ASKED_FOR = (
    *("accuracy", "macro_f1", "macro_f1_loss", "flash_bytes", "ram_bytes", "instructions"),
    *("sensitivity.N", "sensitivity.V", "sensitivity.S", "precision.V", "f1.S"),
    *("attack_success.linf:20uV", "certified_share", "sensitivity_under.electrode-motion:12dB.V"),
)
# What a requirement is judged by, by the section of the evidence that it is in.
SECTIONS = (
    *("performance", "comparisons", "device", "disturbances"),
    *("certificates", "attacks", "monitor", "parity"),
)


class EvidenceStudy:
    """The sections of the study.

    Args:
        data: Folder that holds the real recordings (`mitdb` in it).
    """

    def __init__(self, data: Path) -> None:
        self._recordings = (data / "mitdb").resolve()
        if not self._recordings.is_dir():
            raise SystemExit(f"the recordings are not in {self._recordings}: pass --data")
        self._work = KEPT / "evidence" / "work"
        self._work.mkdir(parents=True, exist_ok=True)

    @cached_property
    def real(self) -> Path:
        """The bundle of the MIT-BIH build."""
        (self._work / "edgeprune.toml").write_text(CONFIG, encoding="utf-8")
        options = ["--config", str(self._work / "edgeprune.toml"), "--dataset", "mit-bih"]
        return self._built("mit-bih", [*options, "--data-dir", str(self._recordings)])

    @cached_property
    def demo(self) -> Path:
        """The bundle that `make demo` leaves."""
        return self._built("demo", ["--robust", "linf:20uV"])

    def _built(self, name: str, options: list[str]) -> Path:
        out = self._work / name
        # Stages whose code and inputs are as they were are kept; the bundle is written anew.
        shutil.rmtree(out, ignore_errors=True)
        command = [sys.executable, "-m", "edgeprune", "build", "--target", "cortex-m7"]
        _, output = run_command([*command, *options, "--out", str(out)], CHECKOUT, check=False)
        if not (out / "evidence.json").is_file():
            raise SystemExit(f"no bundle in {out}:\n{output[-3000:]}")
        return out

    def page(self) -> Iterator[Figure]:
        """Open the MIT-BIH report in a browser, and have its PDF written twice."""
        report = self.real / "report.html"
        yield from evidence_page.figures(report)
        shown = evidence_page.pictures(report, self._work / "pages")
        yield Figure("page", "screens, kept as pictures", len(shown))
        paper = self.real / "report.pdf"
        content = paper.read_bytes()
        pages = len(re.findall(rb"/Type\s*/Page\b", content))
        yield Figure("PDF", "pages", pages, 1, note=f"{len(content):,} bytes")
        with tempfile.TemporaryDirectory() as name:
            again = Path(name) / "report.pdf"
            command = [sys.executable, "-m", "edgeprune", "report", str(self.real)]
            run_command([*command, "--format", "pdf", "--out", str(again)], CHECKOUT)
            differs = again.read_bytes() != content
        yield Figure(
            "PDF", "differs when written again from the bundle", int(differs), 0, None, True
        )

    def tampering(self) -> Iterator[Figure]:
        yield from evidence_tampering.figures(self.demo)

    def reproduce(self) -> Iterator[Figure]:
        """Clone to another path, and let the clone build the demo's bundle again."""
        with tempfile.TemporaryDirectory(prefix="study-") as name:
            clone = Path(name) / "elsewhere"
            run_command(["git", "clone", "--quiet", str(CHECKOUT), str(clone)], Path(name))
            bundle = Path(name) / "bundle"
            shutil.copytree(self.demo, bundle)
            environment = {**os.environ, "PYTHONPATH": str(clone)}
            command = [sys.executable, "-m", "edgeprune", "reproduce", str(bundle), "--json"]
            done = subprocess.run(
                command, cwd=clone, env=environment, capture_output=True, text=True, check=False
            )
            answer = json.loads(done.stdout)
            written = sum(path.is_file() for path in bundle.rglob("*"))
        yield Figure(
            "reproduce",
            "exit code of reproduce in a clone elsewhere",
            done.returncode,
            0,
            at_most=True,
            note=f"{written} files; {answer.get('verdict', '')}",
        )

    def bills(self) -> Iterator[Figure]:
        """Hold the bills of materials against the schemas, the files and what is installed."""
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator
        from spdx_tools.spdx.parser.parse_anything import parse_file
        from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

        folder = self.real / "sbom"
        validator = JsonStrictValidator(SchemaVersion.V1_6)
        for name in ("firmware", "python", "model"):
            error = validator.validate_str((folder / f"{name}.cdx.json").read_text("utf-8"))
            yield Figure(
                "SBOM",
                f"{name}: errors of the CycloneDX 1.6 schema",
                int(error is not None),
                0,
                at_most=True,
                note="" if error is None else str(error)[:200],
            )
        messages = validate_full_spdx_document(parse_file(str(folder / "firmware.spdx.json")))
        yield Figure("SBOM", "firmware: SPDX validator's messages", len(messages), 0, at_most=True)
        yield _absent_sources(self.real)
        yield _absent_distributions(folder / "python.cdx.json")

    def matrix(self) -> Iterator[Figure]:
        """Take results away, section by section: what they decided must become not tested."""
        config = load_config(self.real / "edgeprune.toml", {})
        whole = read_evidence(self.real / "evidence.json")
        rows = {row.requirement: row for row in whole.traceability}
        missing = sorted(set(ASKED_FOR) - set(rows))
        note = f"of {len(ASKED_FOR)}; {', '.join(missing)}"
        yield Figure(
            "matrix", "requirements that are missing", len(missing), 0, None, True, "", note
        )
        told = sum(bool(row.evidence) or row.result is Outcome.NOT_TESTED for row in rows.values())
        yield Figure("matrix", "rows with evidence or 'not tested'", told, len(rows))
        passed = 0
        for section in SECTIONS:
            emptied = _without(whole, section)
            for row in with_regulatory(emptied, config, segments=False).traceability:
                before = rows.get(row.requirement)
                rests = before and any(link.id.startswith(section) for link in before.evidence)
                passed += bool(rests) and row.result is not Outcome.NOT_TESTED
        title = "results that outlive their evidence"
        yield Figure("matrix", title, passed, 0, None, True, "", f"{len(SECTIONS)} taken away")
        outcomes = sorted({row.result.value for row in rows.values()})
        yield Figure("matrix", "rows", len(rows), note=", ".join(outcomes))


def _without(evidence: Evidence, section: str) -> Evidence:
    empty: Mapping[bool, Any] = {True: (), False: None}
    return replace(evidence, **{section: empty[isinstance(getattr(evidence, section), tuple)]})


def _absent_sources(bundle: Path) -> Figure:
    """Count generated sources that the bill lacks, or has with another hash."""
    document = json.loads((bundle / "sbom" / "firmware.cdx.json").read_text("utf-8"))
    listed = {
        entry["content"] for each in _components(document) for entry in each.get("hashes", ())
    }
    sources = [path for path in bundle.rglob("*") if path.suffix in SOURCES]
    absent = [
        path.relative_to(bundle).as_posix()
        for path in sources
        if sha256(path.read_bytes()).hexdigest() not in listed
    ]
    note = f"of {len(sources)}; {', '.join(absent[:3])}"
    found = len(absent) if sources else None
    return Figure("SBOM", "generated sources that are absent", found, 0, None, True, "", note)


def _components(document: Any) -> Iterator[Any]:
    """Yield the components of a CycloneDX document, those in others too."""
    for component in document.get("components", ()):
        yield component
        yield from _components(component)


def _absent_distributions(bill: Path) -> Figure:
    """Count distributions that pip's own view of this environment needs and the bill lacks."""
    command = [sys.executable, "-m", "pip", "inspect", "--local"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    installed: dict[str, Any] = {
        canonicalize_name(entry["metadata"]["name"]): entry["metadata"]
        for entry in json.loads(done.stdout)["installed"]
    }
    needed: dict[str, str] = {}
    waiting = [("edgeprune", "")]
    while waiting:
        name, extra = waiting.pop()
        if name not in installed or needed.get(f"{name}[{extra}]"):
            continue
        needed[f"{name}[{extra}]"] = installed[name]["version"]
        for line in installed[name].get("requires_dist", ()):
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                other = canonicalize_name(requirement.name)
                waiting += [(other, each) for each in ("", *requirement.extras)]
    versions = {key.partition("[")[0]: version for key, version in needed.items()}
    document = json.loads(bill.read_text("utf-8"))
    components = [*document["components"], document["metadata"]["component"]]
    listed = {(canonicalize_name(each["name"]), each["version"]) for each in components}
    absent = sorted(set(versions.items()) - listed)
    note = f"of {len(versions)}; {', '.join(name for name, _ in absent[:3])}"
    title = "Python distributions that are absent"
    return Figure("SBOM", title, len(absent), 0, None, True, "", note)


def main() -> None:
    """Run the study, or some of its sections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=CHECKOUT.parent / "shared" / "data")
    parser.add_argument("--only", nargs="*", metavar="SECTION")
    arguments = parser.parse_args()
    study = EvidenceStudy(arguments.data)
    sections: dict[str, Section] = {
        "tampering": study.tampering,
        "reproduce": study.reproduce,
        "page": study.page,
        "bills": study.bills,
        "matrix": study.matrix,
    }
    raise SystemExit(run_study("evidence", SEED, sections, arguments.only))


if __name__ == "__main__":
    main()
