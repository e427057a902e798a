"""FGSM: one step from the recorded window to the edge of the ball (Goodfellow et al. 2015)."""

from __future__ import annotations

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.losses import cross_entropy
from edgeprune.attacks.result import AttackResult, Int64Array
from edgeprune.attacks.search import Search, batches, look
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.victims import Victim
from edgeprune.progress import Progress


def fgsm(
    victim: Victim,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
) -> AttackResult:
    """Move every window once along the slope of the cross-entropy; see `registry.Attack`."""
    del settings  # nothing is random and nothing repeats
    search = Search(victim, labels, ball)
    todo = search.open()
    with progress.task(f"fgsm {ball.text}", len(todo), "windows") as advance:
        for rows in batches(todo):
            held = victim.held.select(rows)
            seen = look(search, victim, rows, held.raw)
            slope = seen.gradient(cross_entropy(seen.logits, labels[rows])[1])
            look(search, victim, rows, ball.rounded(held, ball.steepest(held, slope)))
            advance(len(rows))
    return search.result("fgsm")
