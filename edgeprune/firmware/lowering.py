"""From operations to calls of the C kernels: arrays as the kernels want them, places, symbols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.firmware.plan import MemoryPlan, Place, scratch_bytes
from edgeprune.network import CCall, IntegerNetwork, Operation

Array = npt.NDArray[np.integer[Any]]

# The quick rounding doubles the accumulator and shifts the zero point left, both in an int32.
_QUICK_LIMIT = 2**30
_QUICK_SHIFT = -22


@dataclass(frozen=True, eq=False)
class KernelCall:
    """One call of a kernel with everything decided.

    Attributes:
        kernel: The kernel's name without prefix.
        inputs: Where the inputs lie.
        output: Where the output lies.
        scratch: Arena offset of the scratch memory, None if the kernel takes none.
        parameters: Scalar fields of the kernel's struct.
        arrays: Pointer fields of the kernel's struct.
    """

    kernel: str
    inputs: tuple[Place, ...]
    output: Place
    scratch: int | None
    parameters: Mapping[str, int]
    arrays: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Layer:
    """What the firmware does for one operation.

    Attributes:
        index: Position of the operation in the network.
        symbol: The C function, empty where no work is left to do.
        kernel: The kernel that it calls, empty where no work is left to do.
        operation: The operation.
        calls: Its calls, in order.
        output: Where its output lies afterwards.
    """

    index: int
    symbol: str
    kernel: str
    operation: Operation
    calls: tuple[KernelCall, ...]
    output: Place

    @property
    def regions(self) -> tuple[str, ...]:
        """The caller's memories that the calls touch, in the order of the C parameters."""
        places = [place for call in self.calls for place in (*call.inputs, call.output)]
        return tuple(
            name
            for name in ("signal", "rhythm", "logits")
            if any(place.region == name for place in places)
        )


def lower(network: IntegerNetwork, plan: MemoryPlan) -> tuple[Layer, ...]:
    """Return the layers of a network, in order, reshapes and copies in place included."""
    return tuple(
        _layer(index, operation, network, plan)
        for index, operation in enumerate(network.operations)
    )


def interleave(weights: Array, groups: int) -> Array:
    """Bring weights [out, depth] to the kernels' order; see edgeprune_kernels.h.

    Returns:
        int8 [groups, pairs of outputs, depth rounded up to even, 2].
    """
    outputs, depth = weights.shape
    by_group = weights.reshape(groups, outputs // groups, depth)
    padded = np.pad(by_group, ((0, 0), (0, (outputs // groups) % 2), (0, depth % 2)))
    pairs = padded.reshape(groups, -1, 2, padded.shape[-1])
    return np.ascontiguousarray(pairs.transpose(0, 1, 3, 2))


def _layer(index: int, operation: Operation, network: IntegerNetwork, plan: MemoryPlan) -> Layer:
    calls = tuple(
        _call(call, operation, plan)
        for number, call in enumerate(operation.c_calls(network.tensors))
        if (operation.name, number) not in plan.in_place
    )
    kernel = calls[0].kernel if calls else ""
    symbol = f"edgeprune_layer_{index:02d}_{kernel}" if calls else ""
    return Layer(index, symbol, kernel, operation, calls, plan.places[operation.output])


def _call(call: CCall, operation: Operation, plan: MemoryPlan) -> KernelCall:
    parameters, arrays = dict(call.parameters), dict(call.arrays)
    if "weights" in arrays:
        parameters["quick"] = _is_quick(call)
    if call.kernel in ("conv1d", "dense"):
        weights = arrays["weights"]
        arrays["weights"] = interleave(
            weights.reshape(len(weights), -1), call.parameters.get("groups", 1)
        )
    return KernelCall(
        call.kernel,
        tuple(plan.places[operation.inputs[which]] for which in call.inputs),
        plan.places[operation.output],
        plan.scratch[operation.name] if scratch_bytes(call) else None,
        parameters,
        arrays,
    )


def _is_quick(call: CCall) -> bool:
    weights, bias = np.abs(call.arrays["weights"].astype(np.int64)), call.arrays["bias"]
    by_output = weights.T if call.kernel == "depthwise_conv1d" else weights
    sums = by_output.reshape(len(bias), -1).sum(axis=1)
    reach = sums * (128 + abs(call.parameters["input_zero_point"])) + np.abs(bias.astype(np.int64))
    shift = call.arrays["shift"]
    return bool(reach.max() < _QUICK_LIMIT and shift.min() >= _QUICK_SHIFT and shift.max() <= 0)
