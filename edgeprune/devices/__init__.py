"""Emulated devices: run firmware images, count their instructions exactly."""

from edgeprune.devices.backends import BACKENDS, Backend, Device
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
    "Device",
    "DeviceRun",
    "FrontEndRun",
    "InstructionProfile",
    "LayerInstructions",
    "TimedInstructions",
    "count_front_end",
    "count_instructions",
    "run_front_end",
    "run_image",
]
