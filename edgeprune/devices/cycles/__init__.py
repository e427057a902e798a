"""A model of cycles, time and energy over the executed blocks of an image; not a measurement."""

from edgeprune.devices.cycles.estimate import (
    CORES,
    CycleEstimate,
    LayerCycles,
    estimate_cycles,
    has_cycle_model,
)
from edgeprune.devices.cycles.range import Range

__all__ = [
    "CORES",
    "CycleEstimate",
    "LayerCycles",
    "Range",
    "estimate_cycles",
    "has_cycle_model",
]
