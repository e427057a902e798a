"""Clauses that this evidence supports, and the profiles that say which of them a reader wants.

The registry is clauses.toml beside this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeprune.evidence.links import EvidenceLink
from edgeprune.typed_toml import parse_table, read_toml

CLAUSES_FILE = Path(__file__).with_name("clauses.toml")


@dataclass(frozen=True)
class ClauseEvidence:
    """A clause of a standard, guidance or law that a part of the report supports.

    Support is no compliance, and no text of a clause is quoted.

    Attributes:
        id: Short name, e.g. "eu-ai-act-15-4".
        document: The document.
        clause: Number of the clause, article or section.
        topic: What it is about, in words of our own.
        sections: Names of the report's sections that support it.
        profiles: Names of the profiles that it belongs to.
        checked: Whether number and topic were held against a public source.
        source: The source, and the date on which it was read; empty where not checked.
        reason: Why it was not checked; empty where it was.
        evidence: What of this build supports it; empty where this build has nothing of it.
    """

    id: str
    document: str
    clause: str
    topic: str
    sections: tuple[str, ...]
    profiles: tuple[str, ...]
    checked: bool
    source: str
    reason: str
    evidence: tuple[EvidenceLink, ...] = ()


@dataclass(frozen=True)
class ProfileEvidence:
    """What one kind of reader is shown.

    Attributes:
        name: "fda", "eu" or "research".
        title: In words.
        sections: Names of the report's sections, in order.
    """

    name: str
    title: str
    sections: tuple[str, ...]


@dataclass(frozen=True)
class ClauseEntry:
    """A clause of the registry.

    Attributes:
        id: As `ClauseEvidence` has it, as do the next ones.
        document: The document.
        clause: Number or name of the clause.
        topic: What it is about, in words of our own.
        sections: Sections of the report.
        profiles: Profiles.
        evidence: Paths into the evidence, present in a build or not.
        source: What it was held against, and when; empty where it was not.
        reason: Why it was not; empty where it was.
    """

    id: str
    document: str
    clause: str
    topic: str
    sections: tuple[str, ...]
    profiles: tuple[str, ...]
    evidence: tuple[str, ...] = ()
    source: str = ""
    reason: str = ""


@dataclass(frozen=True)
class ClauseRegistry:
    """Every clause and every profile that there is.

    Attributes:
        profiles: The profiles.
        clauses: The clauses.
    """

    profiles: tuple[ProfileEvidence, ...]
    clauses: tuple[ClauseEntry, ...]


def read_clauses() -> ClauseRegistry:
    """Return the registry of clauses that comes with edgeprune."""
    return parse_table(ClauseRegistry, read_toml(CLAUSES_FILE), path=CLAUSES_FILE)
