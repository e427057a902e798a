"""Float ONNX graph -> torch module."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import fx, nn

from edgeprune.classifiers.onnx_import.builder import Builder, OnnxNode
from edgeprune.classifiers.onnx_import.operators import HANDLERS
from edgeprune.classifiers.onnx_import.values import Array, Index, Value
from edgeprune.errors import ModelError, UnsupportedOperatorError

SIGNAL, RHYTHM = "signal", "rhythm"
OLDEST_OPSET, NEWEST_OPSET = 11, 23
_DOMAINS = ("", "ai.onnx")
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)


@dataclass(frozen=True)
class OnnxClassifier:
    """A graph as a module, and what is to be known of it.

    Attributes:
        module: Takes the signal [n, channels, length] and, where the graph has that input, the
            rhythm [n, features]; returns the logits [n, classes].
        classes: Number of logits.
        notes: What was left to the host; in words.
    """

    module: nn.Module
    classes: int
    notes: tuple[str, ...]


def module_of_onnx(
    model: onnx.ModelProto,
    signal_shape: tuple[int, int],
    rhythm_features: int = 0,
    *,
    where: str = "",
) -> OnnxClassifier:
    """Return a float graph as a torch module whose weights can be trained and pruned.

    Feature maps may have their channels first (torch) or last (Keras): the module's are first.
    Layers are called as the graph's nodes, up to what a module's name can be.

    Args:
        model: The graph.
        signal_shape: Length and channels of the signal.
        rhythm_features: Features of the rhythm.
        where: The file, for messages.

    Raises:
        ModelError: The graph contradicts itself, or its inputs are not the front end's windows.
        UnsupportedOperatorError: It holds operators that cannot be trained here; all are listed.
    """
    with torch.random.fork_rng(devices=[]):
        # Layers draw weights when they are made, which the file's then replace.
        return _Reader(model, where).classifier(signal_shape, rhythm_features)


class _Reader:
    """Walks the nodes in order.

    Args:
        model: The graph.
        where: The file, for messages.
    """

    def __init__(self, model: onnx.ModelProto, where: str) -> None:
        self._where = where
        self._graph = model.graph
        self._opset = self._checked(model)
        self._builder = Builder()
        self._values: dict[str, Value | Array | None] = {}
        self._refused: list[str] = []
        self._builder.readers.update(
            Counter(name for node in model.graph.node for name in node.input)
        )
        for node in model.graph.node:
            for name in node.output:
                self._builder.readers.setdefault(name, 0)

    def classifier(self, signal_shape: tuple[int, int], rhythm_features: int) -> OnnxClassifier:
        """Return the module."""
        for tensor in self._graph.initializer:
            self._values[tensor.name] = self._array(tensor)
        self._inputs(signal_shape, rhythm_features)
        for place, proto in enumerate(self._graph.node):
            node = _node(proto, place)
            try:
                result = self._visit(proto, node)
            except UnsupportedOperatorError as error:
                self._refused.append(f"{node.label}: {error.what}")
                result = [None] * len(node.outputs)
            except (ArithmeticError, LookupError, TypeError, ValueError, RuntimeError) as error:
                raise ModelError(
                    f"{node.label} contradicts its operands ({error})", where=self._where
                ) from error
            self._values.update(zip(node.outputs, result, strict=False))
        if self._refused:
            raise UnsupportedOperatorError(
                f"{len(self._refused)} node(s) cannot be trained here: " + "; ".join(self._refused),
                where=self._where,
                hint="the graph can still be quantized as it is, if `edgeprune ops` lists them",
            )
        return self._finished()

    def _finished(self) -> OnnxClassifier:
        outputs = [entry.name for entry in self._graph.output]
        value = self._values.get(outputs[0]) if len(outputs) == 1 else None
        if not isinstance(value, Value):
            raise ModelError(
                f"the graph has the outputs {', '.join(outputs) or 'none'}",
                where=self._where,
                hint="a classifier has one, its logits, computed from its inputs",
            )
        flat = self._builder.as_vector(value)
        if not flat.is_plain:
            raise ModelError("the logits are not one vector a window", where=self._where)
        self._builder.graph.output(flat.node)
        self._builder.graph.lint()
        module = fx.GraphModule(self._builder.root, self._builder.graph, "OnnxClassifier")
        return OnnxClassifier(module.eval(), flat.shape[0], tuple(self._builder.notes))

    def _visit(self, proto: onnx.NodeProto, node: OnnxNode) -> list[Value | Array | None]:
        if proto.domain not in _DOMAINS:
            raise UnsupportedOperatorError(f"there is no such operator of {proto.domain}")
        missing = [name for name in node.inputs if name and name not in self._values]
        if missing:
            raise ModelError(f"'{missing[0]}' is read before anything writes it", where=self._where)
        inputs = [self._values[name] if name else None for name in node.inputs]
        if any(name and self._values[name] is None for name in node.inputs):
            # What follows from a refused node is not said again.
            return [None] * len(node.outputs)
        if node.operator == "Shape" and isinstance(inputs[0], Value):
            part = slice(node.attributes.get("start", 0), node.attributes.get("end"))
            return [np.array(inputs[0].index.shape[part], np.int64)]
        if not any(isinstance(each, Value) for each in inputs):
            return list(self._evaluated(proto, node, inputs))
        if node.operator not in HANDLERS:
            raise UnsupportedOperatorError("no layer of torch is made of it")
        return [HANDLERS[node.operator](self._builder, node, inputs)]

    def _evaluated(
        self, proto: onnx.NodeProto, node: OnnxNode, inputs: list[Value | Array | None]
    ) -> list[Array]:
        """Compute a node of constants (shape arithmetic of an exporter, for the most part)."""
        try:
            evaluator = ReferenceEvaluator(proto, opsets={"": self._opset})
            fed = {
                name: each
                for name, each in zip(node.inputs, inputs, strict=True)
                if isinstance(each, np.ndarray)
            }
            return [np.asarray(each) for each in evaluator.run(None, fed)]
        except Exception as error:
            raise UnsupportedOperatorError(f"its constants cannot be computed ({error})") from error

    def _inputs(self, signal_shape: tuple[int, int], rhythm_features: int) -> None:
        length, channels = signal_shape
        names = [entry for entry in self._graph.input if entry.name not in self._values]
        found: dict[str, tuple[str, Index]] = {}
        for entry in names:
            described = entry.type.tensor_type
            sizes = [dim.dim_value for dim in described.shape.dim][1:]
            if described.elem_type not in _FLOATS or not sizes or min(sizes) < 1:
                raise ModelError(
                    f"input '{entry.name}' has the shape {sizes} after the batch",
                    where=self._where,
                    hint="a float input of which only the first axis, the batch, is open",
                )
            index = signal_index(sizes, length, channels)
            if index is not None and SIGNAL not in found:
                found[SIGNAL] = entry.name, index
            elif sizes == [rhythm_features] and RHYTHM not in found:
                found[RHYTHM] = entry.name, np.arange(rhythm_features).reshape(1, -1)
            else:
                raise ModelError(
                    f"input '{entry.name}' is {'x'.join(map(str, sizes))}; the front end "
                    f"makes {channels}x{length}"
                    + (f" and {rhythm_features}" if rhythm_features else ""),
                    where=self._where,
                    hint="take the front end's signal (channels x length, or length x channels) "
                    "and, if you like, its rhythm features",
                )
        if SIGNAL not in found:
            raise ModelError(
                f"no input takes the front end's signal of {channels}x{length}",
                where=self._where,
                hint="take the front end's signal (channels x length, or length x channels)",
            )
        shapes = {SIGNAL: (channels, length), RHYTHM: (rhythm_features,)}
        for role in (SIGNAL, RHYTHM):
            if role in found:
                name, index = found[role]
                node = self._builder.graph.placeholder(role)
                self._values[name] = Value(node, shapes[role], index)

    def _array(self, tensor: onnx.TensorProto) -> Array:
        try:
            values = np.asarray(numpy_helper.to_array(tensor))
        except (OSError, TypeError, ValueError, KeyError) as error:
            raise ModelError(
                f"initializer '{tensor.name}' cannot be read ({error})",
                where=self._where,
                hint="export the model with its weights inside the file",
            ) from error
        bound = values.size == 1  # a Clip may be open at one end
        if values.dtype.kind == "f" and not bound and not np.isfinite(values).all():
            raise ModelError(
                f"the weights of '{tensor.name}' are NaN or infinite",
                where=self._where,
                hint="train again, or give other weights",
            )
        return values.astype(np.float32) if values.dtype.kind == "f" else values

    def _checked(self, model: onnx.ModelProto) -> int:
        for entry in model.opset_import:
            if entry.domain in _DOMAINS and OLDEST_OPSET <= entry.version <= NEWEST_OPSET:
                return int(entry.version)
        found = ", ".join(
            f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import
        )
        raise ModelError(
            f"the file uses opset {found or 'none'}",
            where=self._where,
            hint=f"export it with an opset of ai.onnx from {OLDEST_OPSET} to {NEWEST_OPSET}",
        )


def load_onnx_classifier(
    path: Path, signal_shape: tuple[int, int], rhythm_features: int
) -> nn.Module:
    """Return the module of a float ONNX file; see `module_of_onnx`."""
    try:
        model = onnx.load(str(path))
    except (OSError, DecodeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"this is no readable ONNX file ({(str(error) or 'empty').splitlines()[0]})",
            where=str(path),
            hint="check the path, and that the file was copied whole",
        ) from error
    return module_of_onnx(model, signal_shape, rhythm_features, where=str(path)).module


def signal_index(sizes: list[int], length: int, channels: int) -> Index | None:
    """Return how the signal [channels, length] lies in an input of these sizes after the batch.

    Axes of one cell may stand anywhere; [length, channels] is Keras' order. A flat input is taken
    for a signal of one channel alone, since nothing else says what comes first.
    """
    plain = np.arange(length * channels, dtype=np.int64).reshape(channels, length)
    long = [size for size in sizes if size > 1]
    wanted = [size for size in (channels, length) if size > 1]
    if long == wanted:
        return plain.reshape(1, *sizes)
    if long == wanted[::-1]:
        return np.ascontiguousarray(plain.T).reshape(1, *sizes)
    return None


def _node(proto: onnx.NodeProto, place: int) -> OnnxNode:
    attributes: dict[str, Any] = {
        each.name: helper.get_attribute_value(each) for each in proto.attribute
    }
    name = proto.name or (proto.output[0] if proto.output else proto.op_type)
    return OnnxNode(proto.op_type, name, tuple(proto.input), tuple(proto.output), attributes, place)
