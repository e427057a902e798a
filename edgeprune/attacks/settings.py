"""How hard an attack tries."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprune.errors import ConfigurationError


@dataclass(frozen=True)
class AttackSettings:
    """How hard an attack tries; each takes of it what it knows.

    Args:
        steps: Gradient steps of each start (iterations of minimum-norm attacks).
        restarts: Starts; the first is the recorded window, others are random members.
        queries: Windows that a black-box attack may show the victim, for each window.
        seed: Decides all that is random; equal seeds, equal results.
        rounds: Rounds of the integer search that follows gradients; 0 for none.
        random_start: Whether the first start is a random member, too.

    Raises:
        ConfigurationError: There is no step or start.
    """

    steps: int = 20
    restarts: int = 1
    queries: int = 1000
    seed: int = 0
    rounds: int = 10
    random_start: bool = False

    def __post_init__(self) -> None:
        if min(self.steps, self.restarts, self.queries) < 1 or self.rounds < 0:
            raise ConfigurationError(
                "an attack needs at least one step, one start and one query", where="attacks"
            )
