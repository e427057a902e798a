"""QDQ ONNX file -> IntegerNetwork."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgeprune.errors import MissingRangeError, ModelError, UnsupportedOperatorError
from edgeprune.network.integer_network import IntegerNetwork
from edgeprune.network.operation import needed_operations
from edgeprune.network.qdq_handlers import HANDLERS
from edgeprune.network.qdq_sketch import QUANTIZERS, Node, Sketch
from edgeprune.network.qdq_values import Array, Constant, GraphInput, Unknown, Value

OLDEST_OPSET, NEWEST_OPSET = 11, 23

_ONNX_DOMAINS = ("", "ai.onnx")
_MICROSOFT_DOMAIN = "com.microsoft"
_UNREADABLE = (
    OSError,
    DecodeError,
    KeyError,
    TypeError,
    ValueError,
    onnx.checker.ValidationError,
)
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
_BYTES = (TensorProto.INT8, TensorProto.UINT8)
_RANGE_HINT = (
    "quantize the model to QDQ format with a range for every activation, for example "
    "`edgeprune quantize`, or onnxruntime.quantization.quantize_static(..., "
    "quant_format=QuantFormat.QDQ)"
)

_QOPERATOR_HINT = (
    "quantize again, statically and to QDQ format: onnxruntime.quantization.quantize_static(..., "
    "quant_format=QuantFormat.QDQ)"
)


def read_qdq(source: Path | str | bytes | onnx.ModelProto) -> IntegerNetwork:
    """Read a quantized network in ONNX's QDQ format.

    Feature maps are [batch, channels, length] or [batch, channels, 1, length]. What the file's
    layout operators move is folded into the weights of the next dense layer.

    Args:
        source: A path, a file's bytes, or a loaded model.

    Raises:
        ModelError: It is no ONNX file, or holds weights or scales that cannot be used.
        UnsupportedOperatorError: It holds operators outside the supported set; all are listed.
        MissingRangeError: It is a float model, or lacks the range of some tensors; all are listed.
        NetworkError: Its integers could overflow on a device.
    """
    model = source if isinstance(source, onnx.ModelProto) else load_onnx(source)
    where = str(source) if isinstance(source, Path | str) else model.graph.name
    reader = _Reader(model, where)
    reader.walk()
    return reader.network()


def load_onnx(source: Path | str | bytes) -> onnx.ModelProto:
    """Return the graph of an ONNX file.

    Raises:
        ModelError: It is absent or no ONNX file.
    """
    where = "" if isinstance(source, bytes) else str(source)
    try:
        return onnx.load_from_string(source) if isinstance(source, bytes) else onnx.load(source)
    except _UNREADABLE as error:
        raise ModelError(
            f"this is no readable ONNX file ({str(error).splitlines()[0]})",
            where=where,
            hint="check the path, and that the file was copied whole",
        ) from error


class _Reader:
    """Walks the nodes of a graph in order and keeps what every value stands for."""

    def __init__(self, model: onnx.ModelProto, where: str) -> None:
        self._where = where
        self._graph = model.graph
        self._check(model)
        self._opset = _opset(model, where)
        self._values: dict[str, Value] = {}
        self._refused: list[str] = []
        self._sketch = Sketch(where)
        for initializer in model.graph.initializer:
            self._values[initializer.name] = Constant(initializer.name, self._array(initializer))
        self._require_finite()
        for entry in model.graph.input:
            if entry.name not in self._values:
                self._values[entry.name] = self._input(entry)

    def walk(self) -> None:
        """Visit every node."""
        for proto in self._graph.node:
            node = Node.of(proto)
            try:
                outputs = self._visit(node)
            except UnsupportedOperatorError as error:
                self._refused.append(f"{node.label}: {error.what}")
                outputs = [Unknown()] * len(node.outputs)
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                # Graphs from elsewhere can contradict themselves in ways that nobody foresaw.
                raise ModelError(
                    f"{node.label} contradicts its operands ({error})", where=self._where
                ) from error
            self._values.update(zip(node.outputs, outputs, strict=False))

    def network(self) -> IntegerNetwork:
        """Return the network of everything that the graph's output depends on."""
        outputs = [entry.name for entry in self._graph.output]
        final = [self._sketch.settled(self._value(name), name) for name in outputs]
        if self._refused:
            raise UnsupportedOperatorError(
                f"{len(self._refused)} node(s) are not supported: " + "; ".join(self._refused),
                where=self._where,
                hint=_QOPERATOR_HINT
                if any(_is_qoperator(node) for node in self._graph.node)
                else "`edgeprune ops` lists what is; leave softmax and the like to the host and "
                "end the graph at the logits",
            )
        missing = self._sketch.missing_ranges
        if missing:
            what = (
                f"no quantization range is given for {', '.join(missing)}"
                if self._is_quantized()
                else "this is a float model: it holds no QuantizeLinear, so no tensor has a range"
            )
            raise MissingRangeError(what, where=self._where, hint=_RANGE_HINT)
        if len(outputs) != 1:
            raise ModelError(
                f"the graph has {len(outputs)} outputs: {', '.join(outputs)}",
                where=self._where,
                hint="a classifier has one, its logits",
            )
        operations = needed_operations(self._sketch.operations, final[0])
        read = {final[0], *(name for operation in operations for name in operation.inputs)}
        return IntegerNetwork(
            {name: tensor for name, tensor in self._sketch.tensors.items() if name in read},
            tuple(e.name for e in self._graph.input if e.name in read),
            (final[0],),
            operations,
        )

    def _visit(self, node: Node) -> list[Value]:
        inputs = [self._value(name) if name else None for name in node.inputs]
        known = node.domain in _ONNX_DOMAINS
        if known and node.operator == "Constant":
            return [Constant(node.outputs[0], self._evaluate(node)[0])]
        if node.operator in QUANTIZERS and (known or node.domain == _MICROSOFT_DOMAIN):
            return [HANDLERS[node.operator](self._sketch, node, inputs)]
        constants = [v.values if isinstance(v, Constant) else None for v in inputs]
        if inputs and all(v is None or isinstance(v, Constant) for v in inputs):
            results = self._evaluate(node, *constants)
            return [Constant(*pair) for pair in zip(node.outputs, results, strict=False)]
        if not known or node.operator not in HANDLERS:
            raise UnsupportedOperatorError(f"there is no integer operator {node.operator}")
        if any(isinstance(value, Unknown) for value in inputs):
            return [Unknown()] * len(node.outputs)
        return [HANDLERS[node.operator](self._sketch, node, inputs)]

    def _value(self, name: str) -> Value:
        if name not in self._values:
            raise ModelError(f"'{name}' is read before anything writes it", where=self._where)
        return self._values[name]

    def _evaluate(self, node: Node, *inputs: Array | None) -> list[Array]:
        """Compute a node of constants (shape arithmetic of an exporter, for the most part)."""
        try:
            evaluator = ReferenceEvaluator(node.proto, opsets={"": self._opset})
            feeds = zip(node.inputs, inputs, strict=True)
            return list(evaluator.run(None, {name: v for name, v in feeds if v is not None}))
        except Exception as error:
            raise UnsupportedOperatorError(f"its constants cannot be computed ({error})") from error

    def _check(self, model: onnx.ModelProto) -> None:
        if not model.graph.node:
            raise ModelError("the file holds no graph", where=self._where)
        context = onnx.checker.C.CheckerContext()
        context.ir_version = model.ir_version
        context.opset_imports = {entry.domain: entry.version for entry in model.opset_import}
        for node in model.graph.node:
            try:
                onnx.checker.check_node(node, context)
            except (onnx.checker.ValidationError, ValueError) as error:
                raise ModelError(
                    f"node '{node.name}' is not valid: {str(error).splitlines()[0]}",
                    where=self._where,
                ) from error

    def _array(self, initializer: onnx.TensorProto) -> Array:
        try:
            return np.asarray(numpy_helper.to_array(initializer))
        except _UNREADABLE as error:
            raise ModelError(
                f"initializer '{initializer.name}' cannot be read ({error})",
                where=self._where,
                hint="export the model with its weights inside the file",
            ) from error

    def _require_finite(self) -> None:
        """Refuse NaN and infinity, which no initializer but a Clip's bound may hold."""
        bounds = {
            name
            for proto in self._graph.node
            if proto.op_type == "Clip"
            for name in proto.input[1:]
        }
        for name, value in self._values.items():
            if not isinstance(value, Constant) or name in bounds:
                continue
            if value.values.dtype.kind == "f" and not np.isfinite(value.values).all():
                raise ModelError(
                    f"initializer '{name}' holds NaN or infinite numbers",
                    where=self._where,
                    hint="train or quantize again: these weights or scales are broken",
                )

    def _input(self, entry: onnx.ValueInfoProto) -> Value:
        described = entry.type.tensor_type
        dims = [d.dim_value if d.HasField("dim_value") else None for d in described.shape.dim]
        if len(dims) < 2 or any(not size for size in dims[1:]):
            raise ModelError(
                f"input '{entry.name}' has the shape {dims}",
                where=self._where,
                hint="only the first axis, the batch, may be left open",
            )
        if described.elem_type not in (*_FLOATS, *_BYTES):
            raise ModelError(f"input '{entry.name}' is neither float nor int8", where=self._where)
        if dims[0] and dims[0] > 1:
            self._sketch.batch = dims[0]
        shape = (1, *(size for size in dims[1:] if size))
        positions = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
        return GraphInput(entry.name, positions, shape)

    def _is_quantized(self) -> bool:
        return any(node.op_type in QUANTIZERS for node in self._graph.node)


def _is_qoperator(node: onnx.NodeProto) -> bool:
    """Return whether a node is of onnxruntime's QOperator format or quantizes as it runs."""
    return node.op_type.startswith(("QLinear", "QGemm", "DynamicQuantize")) or (
        node.op_type in ("ConvInteger", "MatMulInteger")
    )


def _opset(model: onnx.ModelProto, where: str) -> int:
    for entry in model.opset_import:
        if entry.domain in _ONNX_DOMAINS:
            if OLDEST_OPSET <= entry.version <= NEWEST_OPSET:
                return int(entry.version)
            raise ModelError(
                f"the file uses opset {entry.version}",
                where=where,
                hint=f"export it with an opset from {OLDEST_OPSET} to {NEWEST_OPSET}",
            )
    raise ModelError("the file names no opset of ai.onnx", where=where)
