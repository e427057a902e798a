"""Emulated devices: run firmware images, count their instructions, model their cycles."""

from edgeprune.devices.backends import BACKENDS, Backend, Device
from edgeprune.devices.cycles import CycleEstimate, Range, estimate_cycles, has_cycle_model
from edgeprune.devices.profile import (
    InstructionProfile,
    LayerInstructions,
    count_front_end,
    count_instructions,
)
from edgeprune.devices.run import (
    DeviceRun,
    FrontEndRun,
    TimedInstructions,
    run_front_end,
    run_image,
)

__all__ = [
    "BACKENDS",
    "Backend",
    "CycleEstimate",
    "Device",
    "DeviceRun",
    "FrontEndRun",
    "InstructionProfile",
    "LayerInstructions",
    "Range",
    "TimedInstructions",
    "count_front_end",
    "count_instructions",
    "estimate_cycles",
    "has_cycle_model",
    "run_front_end",
    "run_image",
]
