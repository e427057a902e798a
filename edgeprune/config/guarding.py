"""How much a class may lose to pruning: the section `[pruning.guard]` of `edgeprune.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class GuardSettings:
    """What pruning must not cost the patient, held against the network it began with.

    Attributes:
        limits: Largest loss of recall on the validation patients, by class name (0.01 is a point):
            a step that costs more is taken back and ends the pruning. One window alone stops
            nothing, unless the limit is 0. Classes that are not named are watched only; an empty
            table stops nothing.
    """

    limits: Mapping[str, float] = field(default_factory=lambda: {"S": 0.01, "V": 0.01})
