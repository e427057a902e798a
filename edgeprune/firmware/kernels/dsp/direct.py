"""Convolutions as sliding blocks of two output channels x four positions, two products a cycle.

See `direct_kernel` for how a kernel computes; here is chosen which ones are written.
"""

from __future__ import annotations

from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp import expansion, rolled
from edgeprune.firmware.kernels.dsp.direct_kernel import DirectKernel
from edgeprune.firmware.kernels.dsp.epilogue import Epilogue
from edgeprune.firmware.kernels.dsp.geometry import LANES, Geometry
from edgeprune.firmware.kernels.dsp.rescaling import Form

# Unrolled code beyond this reads its weights with single loads, and is no longer sensible.
_MOST_UNROLLED_WORDS = 800
_PARTS = (1, 2, 3, 4, 8)
_SMALLEST_CHUNK = 4


def generate(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernels of a convolution, alone or with what the epilogue fuses.

    They differ in the memory that the expanded rows of a chunk take, in their code (unrolled over
    the input channels or a loop over them) and in where a range of positions may begin and end.
    """
    epilogue = Epilogue.of(request)
    geometry = Geometry.of(epilogue.chain) if epilogue else None
    if epilogue is None or geometry is None or not expansion.fits(geometry):
        return ()
    words = len(geometry.visits) * min(geometry.outputs, 2)
    styles = [
        *([False] if words <= _MOST_UNROLLED_WORDS else []),
        *([True] if geometry.depth > 2 or words > _MOST_UNROLLED_WORDS else []),
    ]
    step = LANES // epilogue.pool
    outputs = geometry.positions // epilogue.pool
    blocks = -(-outputs // step)
    chunks = {-(-blocks // parts) for parts in _PARTS} | {min(blocks, _SMALLEST_CHUNK)}
    if outputs % step:
        ends = [True]
    else:
        ends = [False] if step == 1 or epilogue.averages else [False, True]
    lasts = [False, True] if geometry.outputs > 2 and geometry.outputs % 2 else [False]
    return tuple(
        DirectKernel(
            request, epilogue, geometry, chunk, tails, rolls, alone, _slower(epilogue, geometry)
        ).code()
        for rolls in styles
        if not rolls or rolled.fits(geometry)
        for chunk in sorted(chunks, reverse=True)
        for tails in ends
        for alone in lasts
        if not (alone and epilogue.averages and chunk < blocks)
    )


def _slower(epilogue: Epilogue, geometry: Geometry) -> str:
    """Return what keeps a convolution from the fewest instructions."""
    reasons = []
    if geometry.outputs % 2:
        reasons.append("an odd number of output channels: half a block for one of them")
    if geometry.last is not None and not geometry.pairs_taps:
        reasons.append("an odd number of input channels: half of a word is empty")
    if epilogue.rescaling.form is not Form.DOUBLED:
        reasons.append("scales or biases so far off that sums cannot be doubled")
    return "; ".join(reasons)
