"""What all gradient attacks do: walk uphill from every start, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.integer_search import refine
from edgeprune.attacks.result import AttackResult, Int64Array
from edgeprune.attacks.search import Search, batches, starts
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.victims import Victim
from edgeprune.progress import Progress
from edgeprune.verification.outcomes import Int16Array

# Takes some windows [m] from where they begin, int16 counts [m, reach], and notes what it judges.
Walk = Callable[[Search, np.random.Generator, Int64Array, Int16Array], None]


def ascend(
    name: str,
    walks: Sequence[Walk],
    victim: Victim,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
    *,
    refined: bool = True,
) -> AttackResult:
    """Take all walks from every start, then search over whole counts; see `registry.Attack`.

    Args:
        name: Of the attack.
        walks: One after the other, each from all starts.
        victim: What is attacked.
        labels: The right decisions [n].
        ball: How much may change.
        settings: Starts, rounds of the search, seed.
        progress: Receives the course.
        refined: Whether the search over whole counts follows.
    """
    search = Search(victim, labels, ball)
    generator = np.random.default_rng(settings.seed)
    todo = search.open()
    with progress.task(f"{name} {ball.text}", len(todo), "windows") as advance:
        for batch in batches(todo):
            for walk in walks:
                for rows, raw in starts(search, batch, settings, generator):
                    walk(search, generator, rows, raw)
            if refined:
                refine(search, victim, batch, settings.rounds, generator)
            advance(len(batch))
    return search.result(name)
