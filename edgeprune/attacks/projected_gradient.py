"""PGD: many small steps, each projected back onto the ball (Madry et al. 2018).

Steps in l1 move few samples (SLIDE; Tramèr and Boneh 2019); those in l0 keep the largest changes
(PGD0; Croce and Hein 2019). Positions are real numbers; what is judged are the whole counts next to
them that are members.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from edgeprune.attacks.ascent import ascend
from edgeprune.attacks.balls import Ball
from edgeprune.attacks.losses import cross_entropy
from edgeprune.attacks.result import AttackResult, Int64Array
from edgeprune.attacks.search import Search, look
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.steps import led, step
from edgeprune.attacks.victims import Victim
from edgeprune.progress import Progress
from edgeprune.verification.outcomes import Int16Array

# All steps together reach across the ball and back a little (Madry et al. 2018).
_REACH = 2.5


def pgd(
    victim: Victim,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
) -> AttackResult:
    """Raise the cross-entropy by projected gradient steps; see `registry.Attack`."""
    walk = partial(_walk, victim, settings.steps)
    return ascend("pgd", [walk], victim, labels, ball, settings, progress)


def _walk(
    victim: Victim,
    steps: int,
    search: Search,
    generator: np.random.Generator,
    rows: Int64Array,
    raw: Int16Array,
) -> None:
    ball = search.ball
    length = _REACH * ball.radius(victim.held) / steps
    position = raw.astype(np.float64)
    for _ in range(steps):
        seen = look(search, victim, rows, raw)
        slope = seen.gradient(cross_entropy(seen.logits, search.labels[rows])[1])
        going = ~search.broken[rows]
        rows, position, slope = rows[going], position[going], slope[going]
        if not len(rows):
            return
        held = victim.held.select(rows)
        direction = step(ball, held, position, led(slope, generator))
        position = ball.project(held, position + length * direction)
        raw = ball.rounded(held, position)
    look(search, victim, rows, raw)
