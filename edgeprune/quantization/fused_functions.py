"""Functions that an exporter wrote in pieces, made one operator again: GELU by its error function.

Before opset 20 ONNX had no GELU; exporters wrote `x * 0.5 * (1 + erf(x / sqrt 2))`, in any order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

_GELU_OPSET = 20
# How far a constant may lie from sqrt(1/2), 1 and 1/2: a float16's rounding.
_CLOSE = 1e-3


def fuse_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with a Gelu in the place of every GELU in pieces.

    A graph that has one comes out at opset 20 or later; others are returned as they are.
    """
    if not _find(model.graph):
        return model
    if _opset(model) < _GELU_OPSET:
        try:
            model = onnx.version_converter.convert_version(model, _GELU_OPSET)
        except Exception:  # onnx raises its own C++ exceptions; the pieces are refused by name
            return model
    nodes = model.graph.node
    for found in _find(model.graph):
        made = {name for piece in found.pieces for name in piece.output}
        last = next(i for i, node in enumerate(nodes) if found.output in node.output)
        nodes[last].CopyFrom(
            helper.make_node("Gelu", [found.source], [found.output], name=found.name)
        )
        for node in [n for n in nodes if n.op_type != "Gelu" and made & set(n.output)]:
            nodes.remove(node)
    return model


@dataclass(frozen=True)
class _Gelu:
    source: str
    output: str
    name: str
    pieces: tuple[onnx.NodeProto, ...]


def _opset(model: onnx.ModelProto) -> int:
    return max(int(each.version) for each in model.opset_import if each.domain in ("", "ai.onnx"))


def _find(graph: onnx.GraphProto) -> list[_Gelu]:
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    view = _View(graph, values)
    found = (view.gelu(node) for node in graph.node if node.op_type == "Erf")
    return [each for each in found if each is not None]


class _View:
    """Who makes and who reads each value of a graph."""

    def __init__(self, graph: onnx.GraphProto, values: Mapping[str, NDArray[np.generic]]) -> None:
        self._values = values
        self._makers = {name: node for node in graph.node for name in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._outputs = {each.name for each in graph.output}

    def gelu(self, erf: onnx.NodeProto) -> _Gelu | None:
        """Return the GELU around an Erf, if it is one."""
        scaled = self._makers.get(erf.input[0])
        if scaled is None:
            return None
        source = self._times(scaled, math.sqrt(0.5))
        shifted = self._reader(erf.output[0], "Add")
        if source is None or shifted is None:
            return None
        if self._other(shifted, erf.output[0], 1.0) is None:
            return None
        # What is left is the product of `shifted`, the source and 1/2.
        pieces, value, missing = [scaled, erf, shifted], shifted.output[0], {"source", "half"}
        while missing:
            reader = self._reader(value, "Mul", "Div")
            if reader is None:
                return None
            other = next((name for name in reader.input if name != value), value)
            maker = self._makers.get(other)
            if "half" in missing and self._times(reader, 0.5) == value:
                missing.discard("half")
            elif "source" in missing and reader.op_type == "Mul" and other == source:
                missing.discard("source")
            elif missing == {"source", "half"} and self._is_half(maker, source, reader):
                assert maker is not None
                pieces.append(maker)
                missing.clear()
            else:
                return None
            pieces.append(reader)
            value = reader.output[0]
        return _Gelu(source, value, erf.name or value, tuple(pieces))

    def _is_half(self, maker: onnx.NodeProto | None, source: str, reader: onnx.NodeProto) -> bool:
        if maker is None or reader.op_type != "Mul" or self._times(maker, 0.5) != source:
            return False
        return self._reader(maker.output[0], "Mul") is reader

    def _reader(self, name: str, *operators: str) -> onnx.NodeProto | None:
        """Return the only reader of a value, if it is one of these operators."""
        readers = self._readers.get(name, [])
        if len(readers) != 1 or name in self._outputs or readers[0].op_type not in operators:
            return None
        return readers[0]

    def _times(self, node: onnx.NodeProto, factor: float) -> str | None:
        """Return what a node multiplies by that factor, if it does."""
        if node.op_type == "Div":
            by = self._number(node.input[1])
            return node.input[0] if by is not None and abs(by * factor - 1) < _CLOSE else None
        if node.op_type != "Mul":
            return None
        for value, constant in (node.input, reversed(node.input)):
            by = self._number(constant)
            if by is not None and abs(by / factor - 1) < _CLOSE:
                return str(value)
        return None

    def _other(self, node: onnx.NodeProto, name: str, wanted: float) -> str | None:
        other = next((each for each in node.input if each != name), name)
        number = self._number(other)
        return other if number is not None and abs(number - wanted) < _CLOSE else None

    def _number(self, name: str) -> float | None:
        value = self._values.get(name)
        return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None
