"""Where the templates find what belongs together in different lists of the evidence."""

from __future__ import annotations

from collections.abc import Iterable

from edgeprune.report.citation import Citation


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
