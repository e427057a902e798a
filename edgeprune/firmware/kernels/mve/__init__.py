"""Kernels in Helium, the vector instructions of Cortex-M55."""

from edgeprune.firmware.kernels.code import Generator
from edgeprune.firmware.kernels.mve.convolution import convolution

MVE_GENERATORS: tuple[Generator, ...] = (convolution,)

__all__ = ["MVE_GENERATORS"]
