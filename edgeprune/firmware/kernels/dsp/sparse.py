"""Convolutions that multiply by no weight that is zero.

A weight meets eight positions in four SMLAL, each of which computes two (see `planes`). What
depends on the weights is written when the code is generated: either as instructions, seven for a
weight and eight positions, or as a stream of words, four bytes a weight, that an unrolled loop
reads in nine.
"""

from __future__ import annotations

import numpy as np

from edgeprune.firmware.kernels.code import KernelCode, KernelRequest
from edgeprune.firmware.kernels.dsp.epilogue import Epilogue
from edgeprune.firmware.kernels.dsp.planes import BLOCK, Planes
from edgeprune.firmware.kernels.dsp.sparse_kernel import SparseKernel
from edgeprune.firmware.kernels.dsp.sparse_weights import MOST_OFFSET
from edgeprune.network import Conv1d, DepthwiseConv1d

_MOST_CODE_WEIGHTS = 4000
_DENSEST = 0.6
_TILES = (16, 8)
_CHUNKS = (1, 2, 4, 8)
_MOST_SCRATCH = 96_000


def generate(request: KernelRequest) -> tuple[KernelCode, ...]:
    """Return the kernels of a convolution with many zero weights, depthwise or not."""
    epilogue = Epilogue.of(request)
    operation = epilogue.chain.weighted if epilogue else None
    if epilogue is None or not isinstance(operation, Conv1d | DepthwiseConv1d):
        return ()
    count = int(np.count_nonzero(operation.weights))
    if count > _DENSEST * operation.weights.size:
        return ()
    rows, channels = request.tensors[operation.inputs[0]].shape
    positions = request.tensors[operation.output].shape[0]
    outputs = positions // epilogue.pool
    step = BLOCK // epilogue.pool
    blocks = -(-outputs // step)
    kernels = []
    for chunk in sorted({-(-blocks // parts) for parts in _CHUNKS}, reverse=True):
        tile = next((t for t in _TILES if t <= BLOCK * chunk), _TILES[-1])
        planes = Planes(operation, rows, channels, request.source.zero_point, tile, chunk)
        if planes.plane_bytes > min(_MOST_SCRATCH, MOST_OFFSET):
            continue
        whole = outputs % step == 0
        for tails in (False, True):
            if tails == whole and (not tails or step == 1 or epilogue.averages):
                continue
            for streams in (False, True):
                if not streams and count > _MOST_CODE_WEIGHTS:
                    continue
                kernel = SparseKernel(request, epilogue, operation, planes, outputs, tails, streams)
                if kernel.fits:
                    kernels.append(kernel.code())
    return tuple(kernels)
