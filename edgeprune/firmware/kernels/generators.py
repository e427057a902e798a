"""Which generators write for which instruction set."""

from __future__ import annotations

from collections.abc import Mapping

from edgeprune.firmware.kernels.code import Generator, InstructionSet, KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp import DSP_GENERATORS, filter_bank, tables
from edgeprune.firmware.kernels.flattening import flattened
from edgeprune.firmware.kernels.mve import MVE_GENERATORS
from edgeprune.firmware.kernels.thumb import THUMB_1_GENERATORS, THUMB_2_GENERATORS
from edgeprune.network import Conv2d
from edgeprune.network.weighted import WeightedOperation


def _on_helium(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Helium; DSP instructions where Helium has no kernel, and for operations without weights.

    Weighted sums in DSP instructions take several times what they take in Helium, but a pool of
    few channels fills no vector.
    """
    found = tuple(code for generator in MVE_GENERATORS for code in generator(request))
    first = request.operations[0]
    if isinstance(first, Conv2d):
        return filter_bank.generate(request)
    if len(request.operations) > 1 or (found and isinstance(first, WeightedOperation)):
        return found
    return (*found, *(code for generator in DSP_GENERATORS for code in generator(request)))


_GENERATORS: Mapping[InstructionSet, tuple[Generator, ...]] = {
    InstructionSet.THUMB_1: THUMB_1_GENERATORS,
    InstructionSet.THUMB_2: (*THUMB_2_GENERATORS, tables.generate),
    InstructionSet.DSP: (*DSP_GENERATORS, *THUMB_2_GENERATORS),
    InstructionSet.MVE: (_on_helium,),
}


def candidates(request: KernelRequest, instructions: InstructionSet) -> tuple[KernelCode, ...]:
    """Return every way in which the generators of an instruction set compute a request.

    Empty where none can: the caller then takes the portable C and says so.
    """
    generators = _GENERATORS[instructions]
    found = tuple(code for generator in generators for code in generator(request))
    flat = None if found else flattened(request)
    if flat is None:
        return found
    return tuple(code for generator in generators for code in generator(flat))
