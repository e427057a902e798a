"""Kernels written for one shape, one core and one set of weights, in assembly."""

from edgeprune.firmware.kernels.assembler import Assembler
from edgeprune.firmware.kernels.code import (
    Generator,
    InstructionSet,
    KernelCode,
    KernelRequest,
    instruction_set,
    single_request,
)

__all__ = [
    "Assembler",
    "Generator",
    "InstructionSet",
    "KernelCode",
    "KernelRequest",
    "instruction_set",
    "single_request",
]
