"""Checks that attacks are as strong as they look, made of what they found.

A network that hides its gradients looks robust to attacks that follow them (Athalye et al. 2018,
arXiv:1802.00420; Carlini et al. 2019, arXiv:1902.06705). Where that is so, more room or no
gradients at all find more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from edgeprune.attacks import ATTACKS, Access, AttackResult, Ball
from edgeprune.evidence import MaskingCheck


def masking_checks(results: Sequence[AttackResult]) -> tuple[MaskingCheck, ...]:
    """Return the checks that attacks within several balls allow.

    Args:
        results: Attacks on one network, on the same windows.
    """
    return (*_larger_balls(results), *_queries(results))


def _larger_balls(results: Sequence[AttackResult]) -> Iterator[MaskingCheck]:
    bounded = [result for result in results if result.ball]
    for attack, norm in dict.fromkeys((result.attack, result.norm) for result in bounded):
        same = [each for each in bounded if (each.attack, each.norm) == (attack, norm)]
        same.sort(key=lambda result: Ball.parse(result.ball).size)
        counts = [int(result.success.sum()) for result in same]
        if len(counts) > 1:
            yield MaskingCheck(
                f"size: {attack}, {norm}",
                f"does {attack} turn no fewer windows in a larger ball of {norm}?",
                all(smaller <= larger for smaller, larger in pairwise(counts)),
                ", ".join(
                    f"{count} within {result.ball}"
                    for count, result in zip(counts, same, strict=True)
                ),
            )


def _queries(results: Sequence[AttackResult]) -> Iterator[MaskingCheck]:
    for ball in dict.fromkeys(result.ball for result in results if result.ball):
        counts = {
            result.attack: int(result.success.sum()) for result in results if result.ball == ball
        }
        led = {name: n for name, n in counts.items() if ATTACKS.get(name).access is Access.GRADIENT}
        blind = {name: n for name, n in counts.items() if name not in led}
        if led and blind:
            yield MaskingCheck(
                f"queries: {ball}",
                f"do attacks that only ask turn no more windows within {ball} than those that "
                "follow gradients?",
                max(blind.values()) <= max(led.values()),
                ", ".join(f"{name} {count}" for name, count in (led | blind).items()),
            )
