"""`edgeprune doctor`: what this machine has, what it lacks, and the line that installs it."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

import typer

from edgeprune.cli import options
from edgeprune.cli.console import Answer, Console, run_verb
from edgeprune.errors import MissingToolError

_REQUIRED = "needed"
_OPTIONAL = "optional"
_TOOLS = (
    ("arm-none-eabi-gcc", "the GNU Arm toolchain (--toolchain gnu)", "gcc-arm-none-eabi"),
    ("qemu-system-arm", "QEMU boards (--emulator qemu; the only one for M55)", "qemu-system-arm"),
    ("qemu-aarch64", "running what was built for 64-bit Arm Linux", "qemu-user-static"),
    ("qemu-arm", "running what was built for 32-bit Arm Linux", "qemu-user-static"),
    ("ssh", "boards with Linux (--device ssh://user@host)", "openssh-client"),
)


@dataclass(frozen=True)
class Finding:
    """One thing that the machine has or lacks.

    Attributes:
        name: What it is.
        need: "needed" or "optional".
        found: Its version; empty where it is absent.
        purpose: What needs it.
        install: The line that installs it.
    """

    name: str
    need: str
    found: str
    purpose: str
    install: str

    @property
    def missing(self) -> bool:
        """Whether a verb will fail without it."""
        return not self.found and self.need == _REQUIRED


def add_to(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("doctor", help="Say what is missing on this machine and how to install it.")
    def command(
        seed: options.Seed = None, as_json: options.AsJson = False, quiet: options.Quiet = False
    ) -> None:
        console = Console(quiet=quiet, as_json=as_json)
        run_verb("doctor", console, lambda: _doctor(console))


def examine() -> tuple[Finding, ...]:
    """Return everything that edgeprune needs or can use."""
    return (*_python(), *_packages(), *_tools())


def _doctor(console: Console) -> Answer:
    findings = examine()
    console.table(
        ("what", "need", "found", "for"),
        [
            (finding.name, finding.need, finding.found or "-", finding.purpose)
            for finding in findings
        ],
    )
    absent = [finding for finding in findings if not finding.found]
    for finding in absent:
        console.line(f"to get {finding.name}: {finding.install}")
    missing = [finding.name for finding in absent if finding.missing]
    error = None
    if missing:
        error = MissingToolError(
            f"missing: {', '.join(missing)}",
            where=sys.prefix,
            hint="; ".join(finding.install for finding in absent if finding.missing),
        )
    optional = f"; optional and absent: {', '.join(each.name for each in absent)}" if absent else ""
    return Answer(
        {"findings": [dataclasses.asdict(finding) for finding in findings]},
        verdict=f"everything needed is here{optional}",
        error=error,
    )


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", _REQUIRED, version, "everything", "install Python 3.11")


def _packages() -> Iterator[Finding]:
    from packaging.requirements import Requirement

    for line in metadata.requires("edgeprune") or ():
        requirement = Requirement(line)
        marker = requirement.marker
        needed = marker is None or marker.evaluate({"extra": ""})
        if not needed and not (marker and marker.evaluate({"extra": "test"})):
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            found = ""
        if found and found not in requirement.specifier:
            found = ""
        yield Finding(
            requirement.name,
            _REQUIRED if needed else _OPTIONAL,
            found,
            "the library" if needed else "the tests",
            f"python -m pip install '{requirement.name}{requirement.specifier}'",
        )


def _tools() -> Iterator[Finding]:
    for name, purpose, package in _TOOLS:
        path = shutil.which(name) or shutil.which(f"{name}-static") or ""
        yield Finding(name, _OPTIONAL, path, purpose, f"apt-get install {package}")
