"""Kernels in Helium, the vector instructions of Cortex-M55."""

from edgeprune.firmware.kernels.code import Generator
from edgeprune.firmware.kernels.mve.convolution import convolution
from edgeprune.firmware.kernels.mve.dense import dense
from edgeprune.firmware.kernels.mve.elementwise import add, requantize
from edgeprune.firmware.kernels.mve.pools import average_pool, max_pool

MVE_GENERATORS: tuple[Generator, ...] = (
    convolution,
    dense,
    max_pool,
    average_pool,
    add,
    requantize,
)

__all__ = ["MVE_GENERATORS"]
