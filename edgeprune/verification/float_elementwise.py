"""Lowers what a float ONNX graph does element by element: sums, products, clamps, functions."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx

from edgeprune.network.functions import FUNCTIONS, function_of
from edgeprune.network.tensor import Int64Array
from edgeprune.verification.float_lowering import FloatLowering, attributes_of
from edgeprune.verification.linear_maps import FloatArray, Scaling


class ElementwiseLowering(FloatLowering):
    """The operators that work element by element."""

    def _batchnormalization(self, node: onnx.NodeProto) -> None:
        value = self._canonical(self._operand(node, 0))
        scale, shift, mean, variance = (
            self._constant(node, i).astype(np.float64) for i in range(1, 5)
        )
        factor = scale / np.sqrt(variance + float(attributes_of(node).get("epsilon", 1e-5)))
        positions = math.prod(value.shape[1:])
        constant = np.tile(shift - mean * factor, positions)
        linear = Scaling(np.tile(factor, positions))
        self._weighted(node, (value.node,), (linear,), constant, value.shape)

    def _add(self, node: onnx.NodeProto) -> None:
        constants = [i for i, name in enumerate(node.input) if name in self._constants]
        if constants:
            value = self._canonical(self._operand(node, 1 - constants[0]))
            added = self._constant(node, constants[0]).astype(np.float64)
            added = np.broadcast_to(added, (1, *value.shape))[0].reshape(-1)
            constant = np.empty(added.size)
            constant[value.order] = added
            self._weighted(
                node, (value.node,), (Scaling(np.ones(added.size)),), constant, value.shape
            )
            return
        first, second = (self._canonical(self._operand(node, i)) for i in (0, 1))
        if first.shape != second.shape:
            self._refuse(node, f"shapes {first.shape} and {second.shape} differ")
        ones = Scaling(np.ones(len(first.order)))
        zeros = np.zeros(len(first.order))
        self._weighted(node, (first.node, second.node), (ones, ones), zeros, first.shape)

    def _sub(self, node: onnx.NodeProto) -> None:
        constants = [i for i, name in enumerate(node.input) if name in self._constants]
        if constants:
            sign = 1.0 if constants[0] else -1.0
            shift = self._constant(node, constants[0]).astype(np.float64) * -sign
            self._scaled(node, 1 - constants[0], np.array(sign), shift)
            return
        first, second = (self._canonical(self._operand(node, i)) for i in (0, 1))
        if first.shape != second.shape:
            self._refuse(node, f"shapes {first.shape} and {second.shape} differ")
        size = len(first.order)
        maps = Scaling(np.ones(size)), Scaling(-np.ones(size))
        self._weighted(node, (first.node, second.node), maps, np.zeros(size), first.shape)

    def _mul(self, node: onnx.NodeProto) -> None:
        constants = [i for i, name in enumerate(node.input) if name in self._constants]
        if constants:
            factor = self._constant(node, constants[0]).astype(np.float64)
            self._scaled(node, 1 - constants[0], factor, np.array(0.0))
            return
        operands = [self._canonical(self._operand(node, i)) for i in (0, 1)]
        first, second = sorted(operands, key=lambda value: -len(value.order))
        if second.shape not in (first.shape, (first.shape[0], *([1] * (len(first.shape) - 1)))):
            self._refuse(node, f"shapes {first.shape} and {second.shape} differ")
        every: Int64Array = np.arange(len(first.order), dtype=np.int64)
        cells = every, every % len(second.order)
        number = self._sketch.product(node.name, (first.node, second.node), cells)
        self._file(node.output[0], number, first.shape)

    def _div(self, node: onnx.NodeProto) -> None:
        divisor = self._constant(node, 1).astype(np.float64)
        if (divisor == 0).any():
            self._refuse(node, "it divides by 0")
        self._scaled(node, 0, 1.0 / divisor, np.array(0.0))

    def _scaled(
        self, node: onnx.NodeProto, which: int, factor: FloatArray, shift: FloatArray
    ) -> None:
        value = self._canonical(self._operand(node, which))
        spread = []
        for constant in (factor, shift):
            placed = np.empty(len(value.order))
            placed[value.order] = np.broadcast_to(constant, (1, *value.shape))[0].reshape(-1)
            spread.append(placed)
        self._weighted(node, (value.node,), (Scaling(spread[0]),), spread[1], value.shape)

    def _function(self, node: onnx.NodeProto) -> None:
        value = self._operand(node, 0)
        name, parameters = function_of(node.op_type, attributes_of(node))
        number = self._sketch.curve(node.name, value.node, FUNCTIONS.get(name), parameters)
        self._values[node.output[0]] = replace(value, node=number)

    _elu = _gelu = _hardsigmoid = _hardswish = _leakyrelu = _sigmoid = _tanh = _function

    # Element-wise clamps that no layer before them takes along.

    def _relu(self, node: onnx.NodeProto) -> None:
        value = self._operand(node, 0)
        number = self._sketch.clamp(node.name, value.node, self._limits(node))
        self._values[node.output[0]] = replace(value, node=number)

    _clip = _relu
