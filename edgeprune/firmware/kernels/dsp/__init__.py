"""Kernels for cores with the DSP extension: Cortex-M4, M7 and M33, and M55 without its vectors."""

from edgeprune.firmware.kernels.code import Generator
from edgeprune.firmware.kernels.dsp import (
    dense,
    depthwise,
    direct,
    elementwise,
    filter_bank,
    pools,
    sparse,
    sparse_dense,
    tables,
    toom_cook,
)

DSP_GENERATORS: tuple[Generator, ...] = (
    direct.generate,
    toom_cook.generate,
    dense.generate,
    depthwise.generate,
    sparse.generate,
    sparse_dense.generate,
    pools.generate_pool,
    elementwise.generate_add,
    elementwise.generate_requantize,
    filter_bank.generate,
    tables.generate,
)
