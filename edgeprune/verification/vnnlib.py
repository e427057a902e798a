"""Properties for other verifiers: VNN-LIB 1.0 text and the float network that it is about.

This is what the benchmarks of VNN-COMP are made of. What it says is weaker than a certificate of
ours, in three ways that no float verifier can see:

- the network is the dequantized one, in real numbers: the roundings of each layer, and the
  saturation of int8 where it is no Relu or Clip, are left out;
- the set is the box of the network's inputs: that the samples of the window, its two channels and
  the form features move together is lost, and a box around a small set can be large;
- how the front end rounds is in the box already, but its integers become a continuum.

So a property proved elsewhere proves nothing about the device, and one falsified there need not be
false here; the files are for comparing verifiers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeprune.errors import NetworkError
from edgeprune.files import write_bytes, write_text
from edgeprune.network import (
    Concat,
    IntegerNetwork,
    Mul,
    Operation,
    Requantize,
    Reshape,
    Table,
)
from edgeprune.network.convolution import Convolution
from edgeprune.network.functions import FUNCTIONS
from edgeprune.network.operation import ClampedOperation
from edgeprune.network.pool import Pool
from edgeprune.network.summing import Summing
from edgeprune.network.tensor import INT8_HIGH, INT8_LOW, Int64Array
from edgeprune.network.weighted import WeightedOperation
from edgeprune.verification.input_sets import InputSets

if TYPE_CHECKING:
    import onnx

FloatArray = npt.NDArray[np.float64]

INPUT, OUTPUT = "X", "Y"
_OPSET = 13


def export(
    network: IntegerNetwork,
    sets: InputSets,
    decisions: Int64Array,
    folder: Path,
    *,
    seconds: float = 60.0,
) -> tuple[Path, ...]:
    """Write one network, one property a window, and the list of instances that VNN-COMP uses.

    Args:
        network: The network.
        sets: What its inputs can be, for each window.
        decisions: What it decides of each window without any change [n].
        folder: Where the files go: network.onnx, window_<number>.vnnlib, instances.csv.
        seconds: Time limit that the list gives each instance.

    Returns:
        The paths of the properties.
    """
    write_bytes(folder / "network.onnx", float_onnx(network).SerializeToString())
    low, high = real_box(network, sets)
    classes = network.output_tensor.size
    paths, rows = [], []
    for number, decision in enumerate(decisions.tolist()):
        path = folder / f"window_{number}.vnnlib"
        write_text(path, vnnlib(low[number], high[number], decision, classes))
        rows.append(f"network.onnx,{path.name},{seconds:g}\n")
        paths.append(path)
    write_text(folder / "instances.csv", "".join(rows))
    return tuple(paths)


def real_box(network: IntegerNetwork, sets: InputSets) -> tuple[FloatArray, FloatArray]:
    """Return the box of all inputs side by side as real numbers, two float64 [n, inputs]."""
    ends = []
    for side in (sets.low, sets.high):
        parts = [
            tensor.scale * (values.reshape(len(values), -1).astype(np.float64) - tensor.zero_point)
            for tensor, values in zip(network.input_tensors, side, strict=True)
        ]
        ends.append(np.concatenate(parts, axis=1))
    return ends[0], ends[1]


def vnnlib(low: FloatArray, high: FloatArray, decision: int, classes: int) -> str:
    """Return a property's text: its bounds on X, and that another class wins (the negation).

    Args:
        low: Least inputs [inputs].
        high: Greatest inputs.
        decision: The class that is to win.
        classes: Outputs.
    """
    names = [*(f"{INPUT}_{k}" for k in range(len(low))), *(f"{OUTPUT}_{k}" for k in range(classes))]
    lines = [f"; class {decision} of {classes} wins over the whole box: unsat", ""]
    lines += [f"(declare-const {name} Real)" for name in names]
    lines.append("")
    for number, (least, most) in enumerate(zip(low.tolist(), high.tolist(), strict=True)):
        lines.append(f"(assert (>= {INPUT}_{number} {_decimal(least)}))")
        lines.append(f"(assert (<= {INPUT}_{number} {_decimal(most)}))")
    rivals = [each for each in range(classes) if each != decision]
    cases = " ".join(f"(and (>= {OUTPUT}_{each} {OUTPUT}_{decision}))" for each in rivals)
    lines += ["", f"(assert (or {cases}))", ""]
    return "\n".join(lines)


def float_onnx(network: IntegerNetwork) -> onnx.ModelProto:
    """Return the dequantized network with one input `X` [1, all inputs] and one output `Y`.

    Inputs lie side by side, each with its samples in order and the channels of a sample together.
    """
    import onnx

    writer = _Writer(network)
    for operation in network.operations:
        writer.append(operation)
    size = sum(tensor.size for tensor in network.input_tensors)
    classes = network.output_tensor.size
    writer.node("Identity", (network.output,), OUTPUT)
    graph = onnx.helper.make_graph(
        writer.nodes,
        "dequantized",
        [onnx.helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, [1, size])],
        [onnx.helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, [1, classes])],
        writer.constants,
    )
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", writer.opset)], ir_version=8
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _decimal(value: float) -> str:
    """Return a number without an exponent, which not every parser reads."""
    return np.format_float_positional(value, trim="0")


class _Writer:
    """Nodes and constants; feature maps are [1, channels, length] in between."""

    def __init__(self, network: IntegerNetwork) -> None:
        self._tensors = network.tensors
        self.opset = _OPSET
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        start = 0
        for tensor in network.input_tensors:
            ends = (start, start + tensor.size)
            start = ends[1]
            bounds = [
                self.constant(f"{tensor.name}/{what}", np.array([value], np.int64))
                for what, value in (("from", ends[0]), ("to", ends[1]), ("axis", 1))
            ]
            self.node("Slice", (INPUT, *bounds), f"{tensor.name}/flat")
            self._shaped(f"{tensor.name}/flat", tensor.shape, tensor.name)

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node; return its output's name."""
        import onnx

        self.nodes.append(onnx.helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """Append a constant; return its name."""
        import onnx

        self.constants.append(onnx.numpy_helper.from_array(values, name))
        return name

    def append(self, operation: Operation) -> None:
        """Append the nodes of an operation."""
        match operation:
            case WeightedOperation():
                name = self._weighted(operation)
            case Pool():
                name = self._pool(operation)
            case Summing():
                kind = operation.onnx_operator
                name = self.node(kind, operation.inputs, f"{operation.output}/sum")
            case Mul():
                name = self.node("Mul", operation.inputs, f"{operation.output}/product")
            case Table():
                known = FUNCTIONS.get(operation.function)
                self.opset = max(self.opset, known.opset)
                fields: dict[str, Any] = dict(known.texts)
                fields |= zip(known.parameters, operation.arguments, strict=True)
                name = self.node(
                    known.onnx, operation.inputs, f"{operation.output}/value", **fields
                )
            case Concat():
                axis = len(self._tensors[operation.output].shape) - operation.axis
                name = self.node("Concat", operation.inputs, f"{operation.output}/all", axis=axis)
            case Requantize():
                name = self.node("Identity", operation.inputs, f"{operation.output}/same")
            case Reshape():
                self._reshape(operation)
                return
            case _:
                raise NetworkError(
                    "it has no float form", where=f"{operation.kind} '{operation.name}'"
                )
        self._clamp(operation, name)

    def _shaped(self, flat: str, shape: tuple[int, ...], output: str) -> None:
        """Turn [1, elements] into a tensor of that shape, without the batch."""
        sizes = self.constant(f"{output}/shape", np.array([1, *shape], np.int64))
        if len(shape) == 1:
            self.node("Reshape", (flat, sizes), output)
            return
        rows = self.node("Reshape", (flat, sizes), f"{output}/rows")
        self.node("Transpose", (rows,), output, perm=_reversed(shape))

    def _reshape(self, operation: Reshape) -> None:
        source, output = self._tensors[operation.inputs[0]], operation.output
        flat = source.name
        if source.is_map:
            order = _reversed(source.shape)
            flat = self.node("Transpose", (flat,), f"{output}/lengthwise", perm=order)
            sizes = self.constant(f"{output}/size", np.array([1, source.size], np.int64))
            flat = self.node("Reshape", (flat, sizes), f"{output}/flat")
        self._shaped(flat, operation.shape, output)

    def _weighted(self, operation: WeightedOperation) -> str:
        source = self._tensors[operation.inputs[0]]
        scales = np.broadcast_to(operation.weight_scales.astype(np.float64), operation.bias.shape)
        bias = self.constant(
            f"{operation.name}/bias",
            (operation.bias * scales * source.scale).astype(np.float32),
        )
        filters = operation.weights
        if isinstance(operation, Convolution):
            filters = operation.onnx_weights()
        weights = filters * scales.reshape(-1, *([1] * (filters.ndim - 1)))
        names = (
            operation.inputs[0],
            self.constant(f"{operation.name}/weights", weights.astype(np.float32)),
            bias,
        )
        output = f"{operation.output}/sum"
        if not isinstance(operation, Convolution):
            return self.node("Gemm", names, output, transB=1)
        return self.node(
            "Conv",
            names,
            output,
            **operation.windows.onnx_attributes(),
            group=operation.onnx_groups,
        )

    def _pool(self, operation: Pool) -> str:
        return self.node(
            operation.onnx_operator,
            operation.inputs,
            f"{operation.output}/pool",
            **operation.windows.onnx_attributes(dilates=False),
        )

    def _clamp(self, operation: Operation, name: str) -> None:
        """Append a Relu or Clip where the integers have one; the ends of int8 are none."""
        output = self._tensors[operation.output]
        if not isinstance(operation, ClampedOperation):
            self.node("Identity", (name,), output.name)
            return
        low, high = operation.clamp_low, operation.clamp_high
        zero = output.zero_point
        if low == zero and high == INT8_HIGH:
            self.node("Relu", (name,), output.name)
        elif (low, high) == (INT8_LOW, INT8_HIGH):
            self.node("Identity", (name,), output.name)
        else:
            ends = [
                self.constant(
                    f"{output.name}/{what}", np.float32(output.scale * (end - zero)).reshape(())
                )
                for what, end in (("least", low), ("most", high))
            ]
            self.node("Clip", (name, *ends), output.name)


def _reversed(shape: tuple[int, ...]) -> list[int]:
    """Return the order of axes that turns our layout of a map into ONNX's, and back."""
    return [0, *range(len(shape), 0, -1)]
