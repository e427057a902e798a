"""The worst of an ensemble, after AutoAttack (Croce and Hein 2020).

APGD on the cross-entropy, targeted APGD on the ratio of logits, the minimum-norm attack FMN in the
place of FAB, and the black-box Square: attacks that fail for different reasons. Each sees only the
windows that those before it left. In l0, which APGD does not know, PGD takes its place.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.registry import ATTACKS, Attack
from edgeprune.attacks.result import AttackResult, Int64Array, judged
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.victims import Guided, SomeWindows, Victim
from edgeprune.progress import Progress, Silent

MEMBERS = ("apgd-ce", "apgd-t", "fmn", "square")
_WITHOUT_APGD = ("pgd", "fmn")


def members(ball: Ball) -> tuple[Attack, ...]:
    """Return the attacks that the ensemble runs for a ball, in their order."""
    found = [ATTACKS.get(name) for name in MEMBERS]
    found = [attack for attack in found if ball.norm in attack.norms]
    if not any(attack.name.startswith("apgd") for attack in found):
        found = [ATTACKS.get(name) for name in _WITHOUT_APGD]
    return tuple(attack for attack in found if ball.norm in attack.norms)


def ensemble(
    victim: Victim,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
) -> AttackResult:
    """Run one attack after the other on what is left; see `registry.Attack`.

    A victim that is led by another's gradients (`Guided`) is attacked by its own as well.
    """
    nobody = np.zeros(len(labels), np.int64)
    found = judged("ensemble", victim, labels, ball, victim.held.raw, nobody)
    runs = [(attack, victim) for attack in members(ball)]
    if isinstance(victim, Guided):
        runs[1:1] = [(attack, victim.victim) for attack, _ in runs if attack.name != "square"]
    with progress.task(f"ensemble {ball.text}", len(runs), "attacks") as advance:
        for attack, attacked in runs:
            rows = np.flatnonzero(found.attacked & ~found.success)
            if len(rows):
                some = SomeWindows(attacked, rows)
                part = attack(some, labels[rows], ball, settings, Silent())
                found = _with(found, rows, part)
            advance(1)
    return found


def _with(found: AttackResult, rows: Int64Array, part: AttackResult) -> AttackResult:
    """Return a result with what an attack found for some of its windows."""
    better = part.success
    won = rows[better]
    after, raw = found.decided_after.copy(), found.raw.copy()
    success, size, queries = found.success.copy(), found.size.copy(), found.queries.copy()
    after[won], raw[won] = part.decided_after[better], part.raw[better]
    success[won], size[won] = True, part.size[better]
    queries[rows] += part.queries
    return replace(found, decided_after=after, raw=raw, success=success, size=size, queries=queries)
