"""Tables in assembly, alone and with the mean behind them, against the numpy specification."""

from __future__ import annotations

import numpy as np
import pytest

from edgeprune.firmware.kernels import InstructionSet, KernelRequest
from edgeprune.firmware.kernels.generators import candidates
from edgeprune.network import AveragePool1d, MaxPool1d, Operation, Reshape, Table, Tensor
from edgeprune.network.operation import ClampedOperation
from edgeprune.targets import load_target
from tests.firmware.kernels.dsp_checks import check

CORES = {"cortex-m7": InstructionSet.DSP, "cortex-m3": InstructionSet.THUMB_2}


def request_of(shape: tuple[int, ...], pool: ClampedOperation | None = None) -> KernelRequest:
    entries = np.random.default_rng(2).integers(-128, 128, 256).astype(np.int8)
    table = Table(
        name="t", inputs=("x",), output="t", function="tanh", arguments=(), entries=entries
    )
    tensors = {name: Tensor(name, shape, 0.5, 0) for name in "xt"}
    operations: list[Operation] = [table]
    if pool is not None:
        rows = (shape[0], int(np.prod(shape[1:])))
        tensors["r"] = Tensor("r", rows, 0.5, 0)
        tensors["p"] = Tensor("p", pool.output_shape(rows), 0.5, 0)
        operations += [Reshape(name="r", inputs=("t",), output="r", shape=rows), pool]
    for operation in operations:
        operation.check(tensors)
    return KernelRequest("kernel", tuple(operations), tensors)


def mean(kernel: int, **fields: int) -> AveragePool1d:
    return AveragePool1d(
        name="p", inputs=("r",), output="p", **{"kernel": kernel, "stride": kernel, **fields}
    )


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(
    ("shape", "pool"),
    [
        ((7,), None),
        ((40, 1), None),
        ((9, 5), None),
        ((6, 3, 8), None),
        ((19, 1, 6), mean(2)),
        ((16, 3), mean(8, clamp_low=-30)),
        ((33, 2, 4), mean(16, clamp_high=7)),
    ],
)
def test_a_table_is_exact(core: str, shape: tuple[int, ...], pool: AveragePool1d | None) -> None:
    request = request_of(shape, pool)
    (code,) = candidates(request, CORES[core])
    check(code, request, load_target(core), 1)
    if pool is None and request.output.size >= 64:
        assert code.instructions < 4 * request.output.size


@pytest.mark.parametrize(
    "pool",
    [
        mean(3),
        mean(4, stride=2),
        MaxPool1d(name="p", inputs=("r",), output="p", kernel=2, stride=2),
    ],
)
def test_other_pools_are_left_to_others(pool: ClampedOperation) -> None:
    assert candidates(request_of((12, 4), pool), InstructionSet.DSP) == ()
