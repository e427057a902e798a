"""Kernels for the cores without DSP instructions: Cortex-M3 and Cortex-M0+."""

from edgeprune.firmware.kernels.code import Generator
from edgeprune.firmware.kernels.thumb.direct import direct_convolution
from edgeprune.firmware.kernels.thumb.packed import packed_convolution
from edgeprune.firmware.kernels.thumb.toom import toom_convolution

THUMB_2_GENERATORS: tuple[Generator, ...] = (packed_convolution,)
THUMB_1_GENERATORS: tuple[Generator, ...] = (toom_convolution, direct_convolution)

__all__ = ["THUMB_1_GENERATORS", "THUMB_2_GENERATORS"]
