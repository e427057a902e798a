"""Transfer: what was found on one network is tried on another.

The float network that an integer network was made from, or the parent that was not pruned, lends
its gradients; the victim is asked once for each candidate (Papernot et al. 2016, arXiv:1605.07277).
Candidates of attacks that stop once the source gives in lie at its boundary and transfer badly:
`lent` goes on for all steps and returns what the source is most wrong about.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.attacks.balls import Ball
from edgeprune.attacks.losses import margin
from edgeprune.attacks.result import AttackResult, judged
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.steps import led, step
from edgeprune.attacks.victims import BlackBox, Victim
from edgeprune.errors import ConfigurationError
from edgeprune.progress import Progress

Int64Array = npt.NDArray[np.int64]

# All steps together reach across the ball and back a little.
_REACH = 2.5


@dataclass(frozen=True)
class TransferCount:
    """How many candidates that turned one network turn another.

    Attributes:
        source: The network that they were found on.
        victim: The network that they were tried on.
        attack: What found them.
        ball: As it is written; "" for attacks that look for the least change.
        n: Windows that both networks decide right as recorded.
        source_turned: Of these, those whose candidate turns the source.
        both_turned: Of these again, those whose candidate turns the victim as well.
        victim_turned: Of the n, those whose candidate turns the victim.
    """

    source: str
    victim: str
    attack: str
    ball: str
    n: int
    source_turned: int
    both_turned: int
    victim_turned: int

    @property
    def rate(self) -> float:
        """Share of what turned the source that turns the victim; 0 without any."""
        return self.both_turned / max(1, self.source_turned)


def lent(
    source: Victim,
    labels: Int64Array,
    ball: Ball,
    settings: AttackSettings,
    progress: Progress,
) -> AttackResult:
    """Return for each window the member that the source is most wrong about, by gradient steps.

    Args:
        source: The network that lends its gradients, with the windows of the victim.
        labels: The right decisions [n].
        ball: How much may change; of a size.
        settings: `steps`, `restarts`, `seed`.
        progress: Receives the course.
    """
    held, every = source.held, np.arange(len(labels))
    generator = np.random.default_rng(settings.seed)
    length = _REACH * ball.radius(held) / settings.steps
    best, most = np.array(held.raw), np.full(len(labels), -np.inf)
    queries = np.zeros(len(labels), np.int64)
    with progress.task("transfer", settings.restarts * settings.steps, "steps") as advance:
        for start in range(settings.restarts):
            position = (ball.random(held, generator) if start else held.raw).astype(np.float64)
            for number in range(settings.steps + 1):
                raw = ball.rounded(held, position)
                seen = source.look(raw, every)
                wrong, weights = margin(seen.logits, labels)
                queries += 1
                better = wrong > most
                best[better], most[better] = raw[better], wrong[better]
                if number == settings.steps:
                    break
                heading = step(ball, held, position, led(seen.gradient(weights), generator))
                position = ball.project(held, position + length * heading)
                advance(1)
    return judged("transfer", source, labels, ball, best, queries)


def transferred(
    victim: BlackBox, labels: Int64Array, ball: Ball, found: AttackResult
) -> AttackResult:
    """Return what the candidates of another network's attack do to a victim.

    Args:
        victim: Asked once for each window; its windows are those of the attack.
        labels: The right decisions [n].
        ball: What candidates must be members of; that of the attack, or one of no size.
        found: The attack on the other network.

    Raises:
        ConfigurationError: The attack was on other windows.
    """
    if found.raw.shape != victim.held.raw.shape:
        raise ConfigurationError(
            f"an attack on {len(found)} windows, a victim with {len(victim.held)}",
            where="transfer",
            hint="attack the source with the victim's own windows",
        )
    name = f"{found.attack} from {found.victim}"
    return judged(name, victim, labels, ball, found.raw, np.ones(len(labels), np.int64))


def transfer_count(found: AttackResult, tried: AttackResult) -> TransferCount:
    """Return the counts of an attack and of its candidates' transfer.

    Args:
        found: The attack on the source.
        tried: What `transferred` made of it.
    """
    both = found.attacked & tried.attacked
    return TransferCount(
        found.victim,
        tried.victim,
        found.attack,
        found.ball,
        int(both.sum()),
        int((both & found.success).sum()),
        int((both & found.success & tried.success).sum()),
        int((both & tried.success).sum()),
    )
