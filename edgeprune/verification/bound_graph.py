"""From an IntegerNetwork to the graph that linear bounds work on; the nodes are in bound_nodes."""

from __future__ import annotations

import numpy as np

from edgeprune.network import (
    Concat,
    Dense,
    IntegerNetwork,
    Mul,
    Operation,
    Requantize,
    Reshape,
    Table,
)
from edgeprune.network.arithmetic import Multiplier
from edgeprune.network.convolution import (
    Convolution,
    DepthwiseConvolution,
    GroupedConvolution,
)
from edgeprune.network.operation import ClampedOperation
from edgeprune.network.pool import AveragePool, MaxPool
from edgeprune.network.summing import LEFT_SHIFT, Summing
from edgeprune.network.tensor import Int64Array
from edgeprune.network.weighted import WeightedOperation
from edgeprune.verification.bound_nodes import (
    Affine,
    Averaged,
    BoundGraph,
    Curve,
    Join,
    Maximum,
    Node,
    Product,
    Requantized,
    Source,
    Step,
    pair,
)
from edgeprune.verification.curves import TableRule
from edgeprune.verification.linear_maps import (
    FloatArray,
    LinearMap,
    Matrix,
    Scaling,
    sliding_map,
)

__all__ = ["BoundGraph", "bound_graph", "factors", "pair", "rounding_error"]


def bound_graph(network: IntegerNetwork, rounding_lsb: int = 0) -> BoundGraph:
    """Lower a network: every layer becomes an Affine and a Step.

    Args:
        network: The network.
        rounding_lsb: By how many LSB a runtime may round differently in each layer that
            requantizes, averages or adds. 0 is the device's own arithmetic; 1 covers every runtime
            of TFLite and ONNX that was compared.
    """
    lowering = _Lowering(network, rounding_lsb)
    for operation in network.operations:
        lowering.lower(operation)
    values = lowering.values
    sources = tuple(values[name] for name in network.inputs)
    return BoundGraph(tuple(lowering.nodes), sources, values[network.output], values)


def rounding_error(multiplier: Multiplier) -> FloatArray:
    """Return the largest error of gemmlowp's double rounding, in LSB.

    The high multiplication rounds to within 1/2, which the shift right by r bits divides by 2^r;
    the shift itself rounds to within 1/2, and is exact where r = 0.
    """
    right = np.maximum(-multiplier.exponent.astype(np.float64), 0)
    return np.asarray(np.where(right > 0, 0.5 + 0.5 * np.exp2(-right), 0.5), np.float64)


def factors(multiplier: Multiplier) -> FloatArray:
    """Return the real factors `mantissa * 2^(exponent - 31)`; exact, the mantissa has 31 bits."""
    return np.asarray(
        np.ldexp(multiplier.mantissa.astype(np.float64), multiplier.exponent - 31), np.float64
    )


class _Lowering:
    def __init__(self, network: IntegerNetwork, rounding_lsb: int) -> None:
        self._network = network
        self._rounding = rounding_lsb
        self.nodes: list[Node] = []
        self.values: dict[str, int] = {}
        for position, tensor in enumerate(network.input_tensors):
            self.values[tensor.name] = self._append(Source(tensor.name, tensor.size, position))

    def lower(self, operation: Operation) -> None:
        match operation:
            case WeightedOperation():
                number = self._weighted(operation)
            case AveragePool():
                number = self._average(operation)
            case Summing():
                number = self._add(operation)
            case Mul():
                number = self._multiply(operation)
            case Table():
                operand = self.values[operation.inputs[0]]
                rule = TableRule(operation.entries, self._rounding)
                size = self.nodes[operand].size
                number = self._append(Curve(operation.name, operand, rule, size))
            case Requantize():
                number = self._requantize(operation)
            case MaxPool():
                number = self._maximum(operation)
            case Concat():
                number = self._concat(operation)
            case Reshape():
                number = self.values[operation.inputs[0]]
            case _:
                operation.require(False, "linear bounds do not know this operator")
        self.values[operation.output] = number

    def _append(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def _shape(self, name: str) -> tuple[int, ...]:
        return self._network.tensors[name].shape

    def _zero_point(self, name: str) -> int:
        return self._network.tensors[name].zero_point

    def _weighted(self, operation: WeightedOperation) -> int:
        source = operation.inputs[0]
        linear = self._linear(operation)
        positions = linear.outputs // operation.outputs
        zeros = np.full((1, linear.inputs), float(self._zero_point(source)))
        constant = np.tile(operation.bias.astype(np.float64), positions)
        constant = constant - linear.forward(zeros)[0]
        sums = Affine(operation.name, (self.values[source],), (linear,), constant, integral=True)
        multiplier = operation.multiplier(self._network.tensors)
        return self._requantized(operation, self._append(sums), _tiled(multiplier, positions))

    def _linear(self, operation: WeightedOperation) -> LinearMap:
        weights = operation.weights.astype(np.float64)
        if isinstance(operation, Dense):
            return Matrix(weights)
        assert isinstance(operation, Convolution)
        *sizes, channels = self._shape(operation.inputs[0])
        taps = np.zeros((*operation.kernel, operation.outputs, channels))
        if isinstance(operation, GroupedConvolution):
            outs, ins = operation.outputs // operation.groups, channels // operation.groups
            for group in range(operation.groups):
                own = slice(group * outs, (group + 1) * outs)
                filters = np.moveaxis(weights[own], 0, -2)
                taps[..., own, group * ins : (group + 1) * ins] = filters
        else:
            assert isinstance(operation, DepthwiseConvolution)
            every = np.arange(operation.outputs)
            taps[..., every, every // operation.channel_multiplier] = weights
        return sliding_map(taps, operation.windows, sizes)

    def _requantized(
        self,
        operation: ClampedOperation,
        sums: int,
        multiplier: Multiplier,
        slack: FloatArray | None = None,
    ) -> int:
        size = self.nodes[sums].size
        factor = factors(multiplier)
        step = Step(
            operation.name,
            sums,
            factor,
            rounding_error(multiplier) + self._rounding,
            np.full(size, float(self._zero_point(operation.output))),
            np.full(size, float(operation.clamp_low)),
            np.full(size, float(operation.clamp_high)),
            np.zeros(size) if slack is None else slack,
            Requantized(multiplier),
            self._rounding,
        )
        return self._append(step)

    def _requantize(self, operation: Requantize) -> int:
        source, output = (
            self._network.tensors[name] for name in (operation.inputs[0], operation.output)
        )
        identity = Scaling(np.ones(source.size))
        constant = np.full(source.size, -float(source.zero_point))
        operand = self.values[source.name]
        sums = self._append(Affine(operation.name, (operand,), (identity,), constant, True))
        multiplier = Multiplier.of(source.scale / output.scale)
        return self._requantized(operation, sums, _tiled(multiplier, source.size))

    def _add(self, operation: Summing) -> int:
        """TFLite's sum or difference: inputs shifted left, scaled, rounded; then it is scaled.

        The tables of the inputs are linear but for their rounding, which becomes the slack.
        """
        scaling = operation.scaling(self._network.tensors)
        size = self._network.tensors[operation.output].size
        maps, constant, slack = [], np.zeros(size), np.zeros(size)
        scaled = (scaling.first, scaling.second)
        signs = (1, operation.sign)
        for name, multiplier, sign in zip(operation.inputs, scaled, signs, strict=True):
            step = sign * float(np.ldexp(float(factors(multiplier)), LEFT_SHIFT))
            maps.append(Scaling(np.full(size, step)))
            constant = constant - step * self._zero_point(name)
            slack = slack + float(rounding_error(multiplier))
        # The sum of two constants of 40 bits each may round.
        slack = slack + 2.0**-50 * np.abs(constant)
        operands = tuple(self.values[name] for name in operation.inputs)
        sums = self._append(Affine(operation.name, operands, tuple(maps), constant, False))
        return self._requantized(operation, sums, _tiled(scaling.output, size), slack)

    def _multiply(self, operation: Mul) -> int:
        first, second = operation.inputs
        every: Int64Array = np.arange(self.nodes[self.values[first]].size, dtype=np.int64)
        # A second operand that is shorter repeats: one number a channel.
        cells = every, every % self.nodes[self.values[second]].size
        operands = self.values[first], self.values[second]
        centres = float(self._zero_point(first)), float(self._zero_point(second))
        product = Product(operation.name, operands, cells, centres, integral=True)
        multiplier = _tiled(operation.multiplier(self._network.tensors), len(every))
        return self._requantized(operation, self._append(product), multiplier)

    def _average(self, operation: AveragePool) -> int:
        source = operation.inputs[0]
        *sizes, channels = self._shape(source)
        windows = operation.windows
        taps = np.broadcast_to(np.eye(channels), (*windows.kernel, channels, channels))
        linear = sliding_map(taps, windows, sizes)
        size = linear.outputs
        operand = self.values[source]
        sums = self._append(Affine(operation.name, (operand,), (linear,), np.zeros(size), True))
        cells = np.repeat(windows.valid_cells(sizes).reshape(-1), channels)
        # A mean of int8 is at most 128, so that the rounded 1 / cells is off by less than 2^-45.
        error = np.full(size, 0.5 + self._rounding + 2.0**-45)
        step = Step(
            operation.name,
            sums,
            1.0 / cells,
            error,
            np.zeros(size),
            np.full(size, float(operation.clamp_low)),
            np.full(size, float(operation.clamp_high)),
            np.zeros(size),
            Averaged(cells),
            self._rounding,
        )
        return self._append(step)

    def _maximum(self, operation: MaxPool) -> int:
        source = operation.inputs[0]
        *sizes, channels = self._shape(source)
        cells = operation.windows.elements(sizes, channels)
        number = self._append(Maximum(operation.name, self.values[source], cells))
        if not operation.clamps:
            return number
        return self._clamped(operation, number)

    def _clamped(self, operation: ClampedOperation, number: int) -> int:
        size = self.nodes[number].size
        ones, zeros = np.ones(size), np.zeros(size)
        low, high = float(operation.clamp_low), float(operation.clamp_high)
        return self._append(
            Step(
                operation.name,
                number,
                ones,
                zeros,
                zeros,
                np.full(size, low),
                np.full(size, high),
                zeros,
                Averaged(np.ones(size, np.int64)),
            )
        )

    def _concat(self, operation: Concat) -> int:
        shape = self._shape(operation.output)
        numbers: Int64Array = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
        places, start = [], 0
        for name in operation.inputs:
            stop = start + self._shape(name)[operation.axis]
            own = [slice(None)] * len(shape)
            own[operation.axis] = slice(start, stop)
            places.append(numbers[tuple(own)].reshape(-1))
            start = stop
        operands = tuple(self.values[name] for name in operation.inputs)
        return self._append(Join(operation.name, operands, tuple(places), numbers.size))


def _tiled(multiplier: Multiplier, positions: int) -> Multiplier:
    """Return the multiplier of every element: that of its channel."""
    mantissa, exponent = np.atleast_1d(multiplier.mantissa), np.atleast_1d(multiplier.exponent)
    return Multiplier(np.tile(mantissa, positions), np.tile(exponent, positions))
