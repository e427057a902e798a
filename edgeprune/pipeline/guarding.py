"""The guard for the patient in a pruning: it looks at the network after each step."""

from __future__ import annotations

from torch import nn

from edgeprune.config import GuardSettings
from edgeprune.data import FrontEnd, Windows
from edgeprune.evaluation import Guard, guard_evidence
from edgeprune.evidence import GuardEvidence, GuardStep
from edgeprune.training import predict


class PatientGuard:
    """Holds each step's network against the parent, on the validation patients.

    Args:
        parent: The classifier before pruning.
        validation: Windows of the validation patients, one or more.
        front_end: What made them.
        settings: What each class may lose.

    Raises:
        ConfigurationError: A limit is not a share.
    """

    def __init__(
        self, parent: nn.Module, validation: Windows, front_end: FrontEnd, settings: GuardSettings
    ) -> None:
        self._validation = validation
        self._front_end = front_end
        self._limits = settings.limits
        self._guard = Guard(validation, predict(parent, validation, front_end), settings.limits)
        self._steps: list[GuardStep] = []

    def __call__(self, pruned: nn.Module, number: int) -> str:
        """Return why pruning has to stop before this step, "" where it has not.

        Args:
            pruned: The classifier after the step and its fine-tuning.
            number: Number of the step, from 0.
        """
        logits = predict(pruned, self._validation, self._front_end)
        step = self._guard.judge(number + 1, logits)
        self._steps.append(step)
        return step.reason

    def evidence(self) -> GuardEvidence:
        """Return what it saw."""
        return guard_evidence("validation", self._limits, self._steps)
