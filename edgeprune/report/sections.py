"""The report's sections in a regulator's order, and which of them a profile shows."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.errors import UnknownNameError
from edgeprune.evidence import Evidence, ProfileEvidence


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes:
        name: Name of its template in `templates/sections` and of its anchor.
        title: Its heading.
    """

    name: str
    title: str


SECTIONS = (
    Section("about", "What this report is, and what it is not"),
    Section("product", "Intended use and users"),
    Section("labelling", "Labelling extract and model card"),
    Section("risks", "Risks and what is held against them"),
    Section("data", "Data and split"),
    Section("history", "Classifier, pruning and quantization"),
    Section("pruning", "What pruning cost, and how it was chosen"),
    Section("performance", "Performance"),
    Section("beats", "Beat by beat or event by event, and what the confidence is worth"),
    Section("goal", "The robustness goal in physical units"),
    Section("disturbances", "Robustness: what really happens to a lead"),
    Section("attacks", "Robustness: attacks"),
    Section("certificates", "Robustness: formal proofs"),
    Section("monitor", "What the device refuses to decide"),
    Section("parity", "Parity with the integer specification"),
    Section("device", "Flash, memory and instructions"),
    Section("traceability", "Traceability: requirement, test, result, risk"),
    Section("soup", "Software of unknown provenance (SOUP)"),
    Section("fail-safe", "What the device does when something is wrong"),
    Section("pccp", "Annex: changes planned in advance (PCCP)"),
    Section("monitoring", "Monitoring after the market"),
    Section("cybersecurity", "Cybersecurity"),
    Section("clauses", "Clauses, and where their evidence is"),
    Section("limits", "Limits, and what was not tested"),
    Section("reproduce", "Versions and reproduction"),
)
# No profile can leave these out: they say what the others do not.
_ALWAYS = ("about", "clauses", "limits", "reproduce")
_NAMED = {section.name: section for section in SECTIONS}

# Where a part of the evidence is shown, by the beginning of its path; the longest that fits counts.
_PLACES = {
    "identity": "title",
    "foreword": "title",
    "requirements": "requirements",
    "schema": "reproduce",
    "versions": "reproduce",
    "reproduction": "reproduce",
    "config": "reproduce",
    "data": "data",
    "classifier": "history",
    "training": "history",
    "quantization": "history",
    "pruning": "history",
    "pruning.guard": "pruning",
    "sweep": "pruning",
    "performance": "performance",
    "comparisons": "performance",
    "beats": "beats",
    "seizures": "beats",
    "probabilities": "beats",
    "parity": "parity",
    "device": "device",
    "certificates": "certificates",
    "attacks": "attacks",
    "disturbances": "disturbances",
    "monitor": "monitor",
    "limits": "limits",
    "not_tested": "limits",
    "product": "product",
    "product.model_card": "labelling",
    "product.labelling": "labelling",
    "risks": "risks",
    "traceability": "traceability",
    "soup": "soup",
    "fail_safe": "fail-safe",
    "pccp": "pccp",
    "monitoring": "monitoring",
    "threats": "cybersecurity",
    "clauses": "clauses",
    "profiles": "clauses",
    "profile": "clauses",
}


def chosen_profile(evidence: Evidence, name: str = "") -> ProfileEvidence | None:
    """Return the profile that a report follows; None where it shows everything.

    Args:
        evidence: It names its profiles and the one that its configuration asks for.
        name: Another of them; empty for that of the configuration.

    Raises:
        UnknownNameError: The evidence has no such profile.
    """
    wanted = name or evidence.profile
    profile = next((each for each in evidence.profiles if each.name == wanted), None)
    if profile is None and name:
        known = [each.name for each in evidence.profiles]
        raise UnknownNameError("profile", name, known, where="profile")
    return profile


def shown_sections(profile: ProfileEvidence | None) -> tuple[Section, ...]:
    """Return the sections that a profile shows, in its order.

    Sections that no profile can leave out and that it does not name follow at the end.

    Args:
        profile: The profile; None for every section.
    """
    if profile is None:
        return SECTIONS
    names = dict.fromkeys(name for name in profile.sections if name in _NAMED)
    return tuple(_NAMED[name] for name in (*names, *(n for n in _ALWAYS if n not in names)))


def left_out(shown: tuple[Section, ...]) -> tuple[Section, ...]:
    """Return the sections that are not shown."""
    return tuple(section for section in SECTIONS if section not in shown)


def anchor_of(path: str) -> str:
    """Return the anchor of the place that shows a part of the evidence; empty where none does.

    Args:
        path: Its path, e.g. "pruning.guard.steps.0".
    """
    steps = path.split(".")
    for count in range(min(len(steps), 2), 0, -1):
        place = _PLACES.get(".".join(steps[:count]))
        if place:
            return place
    return ""
