"""Kernels in Helium, the vector instructions of Cortex-M55."""

from edgeprune.firmware.kernels.code import Generator
from edgeprune.firmware.kernels.mve.convolution import convolution
from edgeprune.firmware.kernels.mve.dense import dense
from edgeprune.firmware.kernels.mve.elementwise import add, requantize

MVE_GENERATORS: tuple[Generator, ...] = (convolution, dense, add, requantize)

__all__ = ["MVE_GENERATORS"]
