"""Complete verification of windows: cheap bounds first, then attacks, then branch and bound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgeprune.data.windows import Windows
from edgeprune.errors import ConfigurationError
from edgeprune.network import IntegerNetwork
from edgeprune.progress import Progress
from edgeprune.verification.outcomes import Runtime, VerificationRun


@dataclass(frozen=True)
class AttackSettings:
    """How hard counterexamples are searched for.

    Args:
        restarts: Random starts for each class that could win.
        steps: Steps of each start.
        searches: Rounds of the search over single samples that follows.
    """

    restarts: int = 3
    steps: int = 20
    searches: int = 8


@dataclass(frozen=True)
class VerifySettings:
    """How verification is done.

    Args:
        runtime: Whose arithmetic the proofs are about.
        seconds: Processor time that a window may take; it is `timeout` beyond.
        attack: How hard counterexamples are searched for.
        keeps_proofs: Whether results keep their proofs, which certificates need and counts do not.
        seed: Decides random starts.
        group: Windows in one task.
    """

    runtime: Runtime = Runtime.FIRMWARE
    seconds: float = 30.0
    attack: AttackSettings = field(default_factory=AttackSettings)
    keeps_proofs: bool = True
    seed: int = 0
    group: int = 32

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.group < 1:
            raise ConfigurationError(
                f"{self.seconds} seconds a window, {self.group} windows a task: both must be "
                "positive",
                where="verification",
            )


def verify_windows(
    network: IntegerNetwork,
    held: Any,
    windows: Windows,
    perturbation: Any,
    settings: VerifySettings | None = None,
    *,
    progress: Progress | None = None,
    executor: Any = None,
) -> VerificationRun:
    """Prove or falsify that the network's decisions hold over a perturbation set.

    Args:
        network: The network.
        held: `HeldBeats` of the windows, in the same order.
        windows: Labels, recordings and class names.
        perturbation: What may happen to the raw counts, see `parse_perturbation`.
        settings: How it is done.
        progress: Told of the windows done.
        executor: Runs groups of windows as tasks; None does them here, one after the other.
    """
    raise NotImplementedError
