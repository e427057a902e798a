"""Which operators run as assembly on a target, in words for people."""

from __future__ import annotations

from edgeprune.firmware.kernels import InstructionSet, instruction_set
from edgeprune.targets import Target

_NAMES = {
    InstructionSet.THUMB_1: "Thumb-1",
    InstructionSet.THUMB_2: "Thumb-2",
    InstructionSet.DSP: "SMLAD",
    InstructionSet.MVE: "Helium",
}
# Over one axis there is a kernel for every window; what exceeds an instruction's reach is left
# to portable C, as the build says layer by layer.
_ALWAYS = frozenset(
    {"add", "average_pool1d", "conv1d", "dense", "depthwise_conv1d", "max_pool1d", "requantize"}
)
_LINE_BY_LINE = frozenset({"average_pool2d", "conv2d", "depthwise_conv2d", "max_pool2d"})


OR_C = (
    "or C: over two axes, where a window sees neither one line of the height alone nor, in a "
    "convolution, the whole height; of sums, where scales allow no sum of 32 bits"
)


def how_computed(operator: str, target: Target) -> str:
    """Return how the firmware of a target computes an operator."""
    if target.is_linux:
        return "C, NEON by the compiler"
    if operator == "reshape":
        return "nothing to compute"
    instructions = instruction_set(target)
    if instructions is None:
        return "C"
    assembly = f"assembly, {_NAMES[instructions]}"
    thumb = instructions in (InstructionSet.THUMB_1, InstructionSet.THUMB_2)
    if operator in _LINE_BY_LINE or (operator == "add" and thumb):
        return f"{assembly}, or C"
    if operator in _ALWAYS or (operator == "table" and instructions is not InstructionSet.THUMB_1):
        return assembly
    return "C"
