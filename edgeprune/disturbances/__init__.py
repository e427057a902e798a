"""What really happens to a lead: recorded noise and faults of electrodes, converter and clock.

A disturbance is written NAME:SEVERITY with its unit, "electrode-motion:6dB". `DISTURBANCES` has the
families; each is a file of its own.
"""

from edgeprune.disturbances.disturbance import (
    DISTURBANCES,
    THREAT_MODEL,
    Disturbance,
    Disturbed,
    Surroundings,
)

__all__ = [
    "DISTURBANCES",
    "THREAT_MODEL",
    "Disturbance",
    "Disturbed",
    "Surroundings",
]
