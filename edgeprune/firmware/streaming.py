"""What consecutive windows share: which output positions a window that moved must compute again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm

import numpy as np
import numpy.typing as npt

from edgeprune.errors import NetworkError
from edgeprune.network import IntegerNetwork, Operation, Tensor
from edgeprune.network.convolution import Convolution
from edgeprune.network.ops import Concat, Mul, Requantize, Reshape, Table
from edgeprune.network.pool import Pool
from edgeprune.network.summing import Summing

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Overlap:
    """What a tensor of the next window has in common with the same tensor of this one.

    Row i of the next window is row i + shift of this one for i in `left .. length - right - 1`;
    the others are computed again.

    Attributes:
        length: Rows of the tensor; 1 for a vector.
        shift: Rows by which the kept ones move; 0 where none is kept.
        left: Rows at the beginning that are computed again.
        right: Rows at the end that are computed again.
        reason: Why the whole is computed; empty where some rows are kept.
    """

    length: int
    shift: int
    left: int
    right: int
    reason: str = ""

    @property
    def kept(self) -> int:
        """Rows that are kept."""
        return self.length - self.left - self.right

    @property
    def computed(self) -> int:
        """Rows that are computed again."""
        return self.left + self.right

    def ranges(self, unit: int = 1) -> tuple[tuple[int, int], ...]:
        """Return what to compute as (first, count).

        Args:
            unit: Firsts are multiples of it, and counts that do not reach the end are too; 0 for
                code that computes the whole or nothing.
        """
        if not self.kept or not unit:
            return ((0, self.length),)
        head = -(-self.left // unit) * unit
        tail = (self.length - self.right) // unit * unit
        if head >= tail:
            return ((0, self.length),)
        both = ((0, head), (tail, self.length - tail))
        return tuple((first, count) for first, count in both if count)


@dataclass(frozen=True, eq=False)
class StreamingPlan:
    """How to move a network's window by some samples.

    Attributes:
        signal: Name of the input that moves.
        hop: New samples of each window.
        overlaps: What each tensor has in common with its predecessor, by name, inputs included.
        multiply_accumulates: Of one window that follows another.
        window_multiply_accumulates: Of one window alone.
    """

    signal: str
    hop: int
    overlaps: Mapping[str, Overlap]
    multiply_accumulates: int
    window_multiply_accumulates: int

    @property
    def saved(self) -> float:
        """Share of the multiply-accumulates that a window need not do."""
        whole = self.window_multiply_accumulates
        return 1.0 - self.multiply_accumulates / whole if whole else 0.0


def streaming_plan(network: IntegerNetwork, hop: int) -> StreamingPlan:
    """Plan what is computed again when the window moves by `hop` samples.

    A row is kept where everything it depends on moved along: no new sample, and no padding that
    was a sample before or is one now. Vectors and what is computed from them are computed whole.

    Raises:
        NetworkError: The first input is no feature map, the hop is not one of its lengths or no
            multiple of the strides, or no operation keeps a row.
    """
    signal = network.input_tensors[0]
    if not signal.is_map or not 0 < hop < signal.shape[0]:
        raise NetworkError(
            f"a window of shape {list(signal.shape)} cannot move by {hop} samples",
            hint="streaming needs a signal [length, channels] and a hop shorter than it",
        )
    overlaps = {
        tensor.name: _whole(tensor, "another value in each window")
        for tensor in network.input_tensors
    }
    overlaps[signal.name] = Overlap(signal.shape[0], hop, 0, hop)
    work = 0
    for operation in network.operations:
        overlap = _overlap(operation, network, overlaps)
        overlaps[operation.output] = overlap
        macs = operation.multiply_accumulates(network.tensors)
        work += macs * overlap.computed // overlap.length
    if not any(overlaps[operation.output].kept for operation in network.operations):
        reasons = [overlaps[operation.output].reason for operation in network.operations]
        raise NetworkError(
            f"windows that move by {hop} samples share no result: {reasons[0]}",
            where=network.operations[0].name,
            hint="a shorter hop, or classify each window alone",
        )
    return StreamingPlan(signal.name, hop, overlaps, work, network.multiply_accumulates())


def least_hop(network: IntegerNetwork) -> int:
    """Return the number of samples of which every hop must be a multiple.

    The product of the strides from the signal on, along the deepest path; where the rows end (a
    global average, a dense layer) strides no longer count.
    """
    steps = {network.inputs[0]: 1}
    for operation in network.operations:
        sources = [steps[name] for name in operation.inputs if name in steps]
        tensor = network.tensors[operation.output]
        if sources and tensor.is_map and tensor.shape[0] > 1:
            stride = operation.sliding.stride if isinstance(operation, Convolution | Pool) else 1
            steps[operation.output] = lcm(*sources) * stride
    return lcm(*steps.values())


def _whole(tensor: Tensor, reason: str) -> Overlap:
    length = tensor.shape[0] if tensor.is_map else 1
    return Overlap(length, 0, length, 0, reason)


def _overlap(
    operation: Operation, network: IntegerNetwork, overlaps: Mapping[str, Overlap]
) -> Overlap:
    output = network.tensors[operation.output]
    sources = [overlaps[name] for name in operation.inputs]
    lost = next((source.reason for source in sources if not source.kept), "")
    if lost:
        return _whole(output, lost)
    if not output.is_map:
        return _whole(output, f"{operation.kind} '{operation.name}' makes a vector")
    if isinstance(operation, Convolution | Pool):
        return _slide(operation, output, sources[0])
    if isinstance(operation, Reshape):
        return _reshape(operation, network, sources[0])
    return _row_by_row(operation, output, sources)


def _row_by_row(operation: Operation, output: Tensor, sources: list[Overlap]) -> Overlap:
    """Return what an operation keeps whose row i reads nothing but row i."""
    if not isinstance(operation, Summing | Mul | Table | Requantize | Concat) or (
        isinstance(operation, Concat) and operation.axis == 0
    ):
        return _whole(output, f"{operation.kind} '{operation.name}' does not go row by row")
    if len({source.shift for source in sources}) != 1:
        return _whole(output, f"the inputs of '{operation.name}' move at different speeds")
    kept = np.logical_and.reduce([_flags(source) for source in sources])
    return _longest_run(kept, sources[0].shift, output, operation)


def _slide(operation: Convolution | Pool, output: Tensor, source: Overlap) -> Overlap:
    """Return what a window that slides over the rows keeps."""
    sliding, rows = operation.sliding, output.shape[0]
    if -(-source.shift // sliding.stride) >= rows:
        return _whole(output, f"{operation.kind} '{operation.name}' keeps no row")
    operation.require(
        source.shift % sliding.stride == 0,
        f"its input moves by {source.shift} rows, no multiple of its stride {sliding.stride}",
        hint="streaming needs a hop that is a multiple of the product of all strides",
    )
    cells = (
        np.arange(rows)[:, np.newaxis] * sliding.stride
        - sliding.padding[0]
        + np.arange(sliding.kernel) * sliding.dilation
    )
    inside = (cells >= 0) & (cells < source.length)
    moved = _flags(source)[np.clip(cells, 0, source.length - 1)]
    padding_twice = (cells < -source.shift) | (cells >= source.length)
    kept = np.where(inside, moved, padding_twice).all(axis=1)
    return _longest_run(kept, source.shift // sliding.stride, output, operation)


def _reshape(operation: Reshape, network: IntegerNetwork, source: Overlap) -> Overlap:
    """Return what other rows over the same bytes keep."""
    before = network.tensors[operation.inputs[0]].row_size
    output = network.tensors[operation.output]
    after = output.row_size
    if source.shift * before % after:
        return _whole(output, f"the rows of '{operation.name}' do not move as a whole")
    kept = np.repeat(_flags(source), before).reshape(-1, after).all(axis=1)
    return _longest_run(kept, source.shift * before // after, output, operation)


def _flags(overlap: Overlap) -> Flags:
    """Return for each row whether it is kept."""
    kept = np.zeros(overlap.length, np.bool_)
    kept[overlap.left : overlap.length - overlap.right] = True
    return kept


def _longest_run(kept: Flags, shift: int, output: Tensor, operation: Operation) -> Overlap:
    """Return the overlap of the longest run of rows that can be kept."""
    kept = kept & (np.arange(len(kept)) + shift < len(kept))
    edges = np.flatnonzero(np.diff(np.concatenate(([False], kept, [False])).astype(np.int8)))
    runs = [(int(stop - start), int(start)) for start, stop in edges.reshape(-1, 2)]
    if not runs:
        return _whole(output, f"{operation.kind} '{operation.name}' keeps no row")
    count, first = max(runs)
    return Overlap(len(kept), shift, first, len(kept) - first - count)
