"""Schedules: how much is left after each step."""

from __future__ import annotations

from collections.abc import Callable

from edgeprune.config import PruningSettings
from edgeprune.registry import Registry

Schedule = Callable[[int, int, int], tuple[int, ...]]


def _one_shot(dense: int, target: int, steps: int) -> tuple[int, ...]:
    return (target,)


def _iterative(dense: int, target: int, steps: int) -> tuple[int, ...]:
    shares = ((number + 1) / steps for number in range(steps))
    return tuple(round(dense - share * (dense - target)) for share in shares)


def _progressive(dense: int, target: int, steps: int) -> tuple[int, ...]:
    """Halve until the target: 2, 4, 8 times (Merkle et al. 2021)."""
    left = []
    while dense // 2 > target:
        dense //= 2
        left.append(dense)
    return (*left, target)


SCHEDULES: Registry[Schedule] = Registry(
    "pruning schedule",
    **{"one-shot": _one_shot, "iterative": _iterative, "progressive": _progressive},
)


def targets(settings: PruningSettings, dense: int, target: int) -> tuple[int, ...]:
    """Return how many non-zero weights and biases are left after each step, `target` at last.

    Args:
        settings: Schedule and steps.
        dense: What the classifier has.
        target: What is to be left.

    Raises:
        UnknownNameError: No schedule has that name.
    """
    schedule = SCHEDULES.get(settings.schedule, where="pruning.schedule")
    return schedule(dense, target, settings.steps)
