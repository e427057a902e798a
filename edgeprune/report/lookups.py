"""Where the templates find what belongs together in different lists of the evidence."""

from __future__ import annotations

import re
from collections.abc import Iterable

from edgeprune.evidence import Quantity
from edgeprune.evidence.links import is_present
from edgeprune.report.citation import Citation, raw


def distinct(citations: Iterable[Citation]) -> list[Citation]:
    """Return the first citation of each different value that is something, in order."""
    return list(dict.fromkeys(citation for citation in citations if citation))


def timed(rows: Iterable[Citation]) -> Citation | None:
    """Return the first time that a method of any set tells, or None."""
    times = (method.milliseconds for row in rows for method in row.methods)
    return next((time for time in times if time), None)


def attack_on(network: Citation, ball: Citation, attack: Citation | None = None) -> list[Citation]:
    """Return the outcome of an attack within a ball on a network, or none.

    Args:
        network: A NetworkAttacks.
        ball: The ball, of any network.
        attack: The attack's outcome on any network; None for the worst of all.
    """
    same = [each for each in network.balls if each.text == ball.text][:1]
    if attack is None:
        return [each.worst for each in same]
    return [each for of in same for each in of.attacks if each.attack == attack.attack][:1]


def minimum_of(network: Citation, row: Citation) -> list[Citation]:
    """Return what the same attack, seeking the same norm, came to on a network, or none."""
    return [
        each
        for each in network.minimum
        if each.attack == row.attack and each.norm == row.norm and each.unit == row.unit
    ][:1]


def follow(root: Citation, path: str) -> Citation | None:
    """Return what stands at a dotted path of the evidence, or None where nothing does.

    Args:
        root: The evidence.
        path: Names of fields and positions in lists, e.g. "performance.2.scores.accuracy".
    """
    if not is_present(raw(root), path):
        return None
    found = root
    for name in path.split("."):
        found = found[int(name)] if name.isdigit() else getattr(found, name)
    return found


def is_quantity(citation: Citation) -> bool:
    """Say whether a citation is a figure with a unit."""
    return isinstance(raw(citation), Quantity)


def is_number(citation: Citation) -> bool:
    """Say whether a citation is a bare number."""
    value = raw(citation)
    return isinstance(value, int | float) and not isinstance(value, bool)


_UNITS = {"bytes": "byte", "seconds": "s", "milliseconds": "ms", "hz": "Hz", "lsb": "LSB"}


def unit_of(path: str) -> str:
    """Return the unit that the name of a bare number says, "1" where it says none.

    Args:
        path: Its path, e.g. "device.firmware.flash_bytes".
    """
    return _UNITS.get(re.split(r"[._]", path)[-1], "1")


def clauses_of(evidence: Citation, section: str, profile: str) -> list[Citation]:
    """Return the clauses that a section supports, of one profile, or of all where it is empty.

    Args:
        evidence: An Evidence.
        section: Name of the section.
        profile: Name of the profile.
    """
    return [
        clause
        for clause in in_profile(evidence, profile)
        if any(str(each) == section for each in clause.sections)
    ]


def in_profile(evidence: Citation, profile: str) -> list[Citation]:
    """Return the clauses of one profile, or all where it is empty."""
    return [
        clause
        for clause in evidence.clauses
        if not profile or any(str(each) == profile for each in clause.profiles)
    ]


def by_document(clauses: Iterable[Citation]) -> list[list[Citation]]:
    """Return clauses grouped by their document, in the order in which these first occur."""
    groups: dict[str, list[Citation]] = {}
    for clause in clauses:
        groups.setdefault(str(clause.document), []).append(clause)
    return list(groups.values())
