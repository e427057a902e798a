"""What lowering a float ONNX graph works with: values, constants, the pieces of a layer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from edgeprune.errors import ModelError
from edgeprune.network.tensor import Int64Array, Tensor
from edgeprune.network.windows import Sliding, Windows
from edgeprune.verification.float_sketch import UNLIMITED, Box, FloatSketch, Limits
from edgeprune.verification.linear_maps import FloatArray, LinearMap


@dataclass(frozen=True, eq=False)
class Value:
    """A node of the graph; `order` lists its elements in the order of ONNX's flat array."""

    node: int
    shape: tuple[int, ...]
    order: Int64Array

    @property
    def in_order(self) -> bool:
        """Whether the elements are where those of a map or vector are."""
        return bool(np.array_equal(self.order, map_order(self.shape)))


def map_order(shape: tuple[int, ...]) -> Int64Array:
    """Return where ONNX's elements [channels, (height,) length] are in ours, channels last."""
    ours = np.arange(math.prod(shape), dtype=np.int64).reshape(tuple(reversed(shape)))
    return np.asarray(ours.T.reshape(-1))


class FloatLowering:
    """The graph under construction; see `float_graph`."""

    def __init__(
        self,
        model: onnx.ModelProto,
        inputs: Sequence[Tensor],
        boxes: Sequence[Box] | None,
        single_precision: bool,
    ) -> None:
        self._graph = model.graph
        self._constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self._readers = Counter(name for node in model.graph.node for name in node.input)
        self._sketch = FloatSketch(single_precision=single_precision)
        self._values: dict[str, Value] = {}
        self._fused: set[str] = set()
        named = [each for each in model.graph.input if each.name not in self._constants]
        if len(named) != len(inputs) or len(model.graph.output) != 1:
            raise ModelError(
                f"{len(named)} inputs and {len(model.graph.output)} outputs",
                where="float graph",
                hint=f"{len(inputs)} inputs and one output are expected",
            )
        for position, (info, tensor) in enumerate(zip(named, inputs, strict=True)):
            self._input(info.name, position, tensor, None if boxes is None else boxes[position])

    def _input(self, name: str, position: int, tensor: Tensor, box: Box | None) -> None:
        shape = tensor.shape[::-1]
        number = self._sketch.source(tensor, position, box)
        self._values[name] = Value(number, shape, map_order(shape))

    # The pieces of a layer.

    def _weighted(
        self,
        node: onnx.NodeProto,
        operands: tuple[int, ...],
        maps: tuple[LinearMap, ...],
        constant: FloatArray,
        shape: tuple[int, ...],
        factor: FloatArray | None = None,
    ) -> None:
        """File an Affine and its Step, with the Relu or Clip that alone reads it."""
        output, limits = node.output[0], UNLIMITED
        follower = self._follower(output)
        if follower is not None:
            output, limits = follower.output[0], self._limits(follower)
            self._fused.add(output)
        number = self._sketch.layer(node.name, operands, maps, constant, factor, limits)
        self._file(output, number, shape)

    def _follower(self, name: str) -> onnx.NodeProto | None:
        """Return the Relu or Clip that is the only reader of a value."""
        if self._readers[name] != 1 or name in {each.name for each in self._graph.output}:
            return None
        (reader,) = (node for node in self._graph.node if name in node.input)
        return reader if reader.op_type in ("Relu", "Clip") else None

    def _limits(self, node: onnx.NodeProto) -> Limits:
        if node.op_type == "Relu":
            return 0.0, math.inf
        ends = [-math.inf, math.inf]
        for i in range(2):
            if len(node.input) > i + 1 and node.input[i + 1]:
                ends[i] = float(self._constant(node, i + 1))
        return ends[0], ends[1]

    def _canonical(self, value: Value) -> Value:
        """Return the value with its elements where those of a map or vector are."""
        if value.in_order:
            return value
        order = np.empty_like(value.order)
        order[map_order(value.shape)] = value.order
        return replace(
            value, node=self._sketch.reorder(value.node, order), order=map_order(value.shape)
        )

    def _operand(self, node: onnx.NodeProto, which: int) -> Value:
        name = node.input[which]
        if name not in self._values:
            self._refuse(node, f"its operand '{name}' is a constant or unknown")
        return self._values[name]

    def _constant(self, node: onnx.NodeProto, which: int) -> npt.NDArray[Any]:
        name = node.input[which]
        if name not in self._constants:
            self._refuse(node, f"its operand '{name}' is not constant")
        values: npt.NDArray[Any] = self._constants[name]
        return values

    def _windows(self, node: onnx.NodeProto, kernel: Sequence[int], value: Value) -> Windows:
        """Return the geometry of a Conv or pool, the length first."""
        fields, spatial = attributes_of(node), len(kernel)
        if fields.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or fields.get(
            "ceil_mode"
        ):
            self._refuse(node, "auto_pad and ceil_mode are not known")
        if spatial not in (1, 2) or len(value.shape) != 1 + spatial:
            self._refuse(node, "only windows of one axis or two over maps of as many are known")
        strides, dilations = (fields.get(key, [1] * spatial) for key in ("strides", "dilations"))
        pads = fields.get("pads", [0] * 2 * spatial)
        axes = tuple(
            Sliding(int(size), int(strides[i]), int(dilations[i]), (pads[i], pads[i + spatial]))
            for i, size in enumerate(kernel)
        )
        return Windows(tuple(reversed(axes)))

    def _file(self, name: str, number: int, shape: tuple[int, ...]) -> None:
        self._values[name] = Value(number, shape, map_order(shape))

    def _refuse(self, node: onnx.NodeProto, what: str) -> NoReturn:
        raise ModelError(
            what,
            where=f"{node.op_type} '{node.name}'",
            hint="bounds of float networks know what `edgeprune.quantization.to_float_onnx` writes "
            "of the reference classifiers",
        )


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Return a node's attributes by name."""
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
