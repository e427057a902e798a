"""From operations to calls of the C kernels: arrays as the kernels want them, places, symbols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprune.firmware.plan import MemoryPlan, Place
from edgeprune.firmware.selection import Implementation
from edgeprune.firmware.steps import Step, scratch_bytes
from edgeprune.firmware.streaming import StreamingPlan
from edgeprune.network import CCall, IntegerNetwork, Operation

Array = npt.NDArray[np.integer[Any]]

# The quick rounding doubles the accumulator and shifts the zero point left, both in an int32.
_QUICK_LIMIT = 2**30
_QUICK_SHIFT = -22


@dataclass(frozen=True, eq=False)
class KernelCall:
    """One call of a portable kernel with everything decided.

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
    """What the firmware does for one step.

    Attributes:
        step: The step.
        calls: Its calls of portable kernels, in order; empty for assembly.
        inputs: Where the inputs of assembly lie.
        output: Where its output lies afterwards.
        scratch: Arena offset of the scratch memory of assembly.
        rows: Output positions that assembly computes.
    """

    step: Step
    calls: tuple[KernelCall, ...]
    inputs: tuple[Place, ...]
    output: Place
    scratch: int | None
    rows: int

    @property
    def index(self) -> int:
        """Position in the network of its last operation."""
        return self.step.index

    @property
    def symbol(self) -> str:
        """The function, empty where no work is left to do."""
        return self.step.symbol if self.calls or self.step.code else ""

    @property
    def kernel(self) -> str:
        """What computes it, empty where no work is left to do."""
        return self.step.kernel if self.symbol else ""

    @property
    def regions(self) -> tuple[str, ...]:
        """The caller's memories that it touches, in the order of the C parameters."""
        places = [place for call in self.calls for place in (*call.inputs, call.output)]
        if self.step.code is not None:
            places = [*self.inputs, self.output]
        return tuple(
            name
            for name in ("signal", "rhythm", "logits")
            if any(place.region == name for place in places)
        )

    @property
    def constant_bytes(self) -> int:
        """Bytes of its weights, biases and scales as they lie in flash."""
        if self.step.code is not None:
            return len(self.step.code.constants)
        return sum(array.nbytes for call in self.calls for array in call.arrays.values())


@dataclass(frozen=True, eq=False)
class Program:
    """A network ready to be written.

    Attributes:
        layers: In the order in which they run, reshapes and copies in place included.
        plan: The arena.
        portable: Whether every layer is portable C.
        stream: What consecutive windows share; None for windows that stand alone.
    """

    layers: tuple[Layer, ...]
    plan: MemoryPlan
    portable: bool
    stream: StreamingPlan | None = None


def lower(network: IntegerNetwork, implementation: Implementation) -> Program:
    """Decide every call of an implementation."""
    plan = implementation.plan
    layers = tuple(_layer(step, network, plan) for step in implementation.steps)
    return Program(layers, plan, implementation.portable, implementation.stream)


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


def _layer(step: Step, network: IntegerNetwork, plan: MemoryPlan) -> Layer:
    operation, scratch = step.operations[0], plan.scratch.get(step.index)
    if step.is_by_row:
        calls = _turns(step, plan, scratch)
    else:
        calls = tuple(
            _call(call, plan.places, operation, scratch)
            for number, call in enumerate(step.calls)
            if (operation.name, number) not in plan.in_place
        )
    output = network.tensors[step.output]
    names = step.operands if step.code is not None else ()
    return Layer(
        step,
        calls,
        tuple(plan.places[name] for name in names),
        plan.places[step.output],
        plan.scratch.get(step.index) if step.code is not None else None,
        output.shape[0] if output.is_map else 1,
    )


def _turns(step: Step, plan: MemoryPlan, scratch: int | None) -> tuple[KernelCall, ...]:
    """Return the calls of two kernels of which the second reads one row of the first."""
    assert scratch is not None
    row = Place("arena", scratch + step.row_at)
    places = {**plan.places, step.operations[0].output: row}
    return tuple(
        _call(call, places, operation, scratch)
        for call, operation in zip(step.calls, step.operations, strict=True)
    )


def _call(
    call: CCall, places: Mapping[str, Place], operation: Operation, scratch: int | None
) -> KernelCall:
    parameters, arrays = dict(call.parameters), dict(call.arrays)
    if "weights" in arrays:
        parameters["quick"] = _is_quick(call)
    if call.kernel in ("conv1d", "conv2d", "dense"):
        weights = arrays["weights"]
        arrays["weights"] = interleave(
            weights.reshape(len(weights), -1), call.parameters.get("groups", 1)
        )
    return KernelCall(
        call.kernel,
        tuple(places[operation.inputs[which]] for which in call.inputs),
        places[operation.output],
        scratch if scratch_bytes(call) else None,
        parameters,
        arrays,
    )


def _is_quick(call: CCall) -> bool:
    weights, bias = np.abs(call.arrays["weights"].astype(np.int64)), call.arrays["bias"]
    by_output = weights.T if call.kernel.startswith("depthwise") else weights
    sums = by_output.reshape(len(bias), -1).sum(axis=1)
    reach = sums * (128 + abs(call.parameters["input_zero_point"])) + np.abs(bias.astype(np.int64))
    shift = call.arrays["shift"]
    return bool(reach.max() < _QUICK_LIMIT and shift.min() >= _QUICK_SHIFT and shift.max() <= 0)
