"""Attacks: searches for small changes of a window that change its decision.

Threat model: the raw counts of one beat's own window change, within a norm ball and within the
converter's range; what the device remembers of earlier beats is held. A success is only ever what
the victim itself decides about whole counts.
"""

from __future__ import annotations

from edgeprune.attacks.balls import NORMS, Ball
from edgeprune.attacks.registry import ATTACKS, Access, Attack
from edgeprune.attacks.result import AttackResult, judged
from edgeprune.attacks.settings import AttackSettings
from edgeprune.attacks.victims import (
    BlackBox,
    FloatVictim,
    Guided,
    IntegerVictim,
    Seen,
    SomeWindows,
    Victim,
)

__all__ = [
    "ATTACKS",
    "NORMS",
    "Access",
    "Attack",
    "AttackResult",
    "AttackSettings",
    "Ball",
    "BlackBox",
    "FloatVictim",
    "Guided",
    "IntegerVictim",
    "Seen",
    "SomeWindows",
    "Victim",
    "judged",
]
