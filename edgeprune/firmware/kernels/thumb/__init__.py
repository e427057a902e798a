"""Kernels for the cores without DSP instructions: Cortex-M3 and Cortex-M0+.

What is written for Cortex-M0+ runs on Cortex-M3 too; it is there for what the packed products
refuse.
"""

from edgeprune.firmware.kernels.code import Generator
from edgeprune.firmware.kernels.thumb.direct import direct_after_packed, direct_convolution
from edgeprune.firmware.kernels.thumb.elementwise import add_narrow, add_wide, requantize
from edgeprune.firmware.kernels.thumb.packed import packed_convolution
from edgeprune.firmware.kernels.thumb.pools import pool_narrow, pool_wide
from edgeprune.firmware.kernels.thumb.toom import toom_convolution

THUMB_2_GENERATORS: tuple[Generator, ...] = (
    packed_convolution,
    direct_after_packed,
    pool_wide,
    add_wide,
    requantize,
)
THUMB_1_GENERATORS: tuple[Generator, ...] = (
    toom_convolution,
    direct_convolution,
    pool_narrow,
    add_narrow,
    requantize,
)

__all__ = ["THUMB_1_GENERATORS", "THUMB_2_GENERATORS"]
