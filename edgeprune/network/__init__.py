"""The ground floor: the IntegerNetwork, its operators, its readers and writers.

The names below are the room's interface. The readers and writers load onnx and the TFLite schema,
so that they are imported only when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeprune.late import late_names
from edgeprune.network.integer_network import IntegerNetwork
from edgeprune.network.operation import CCall, Operation
from edgeprune.network.ops import (
    OPERATORS,
    Add,
    AveragePool1d,
    AveragePool2d,
    Concat,
    Conv1d,
    Conv2d,
    Dense,
    DepthwiseConv1d,
    DepthwiseConv2d,
    MaxPool1d,
    MaxPool2d,
    Mul,
    Requantize,
    Reshape,
    Sub,
    Table,
)
from edgeprune.network.tensor import Tensor

if TYPE_CHECKING:
    from edgeprune.network.qdq_reader import load_onnx, read_qdq
    from edgeprune.network.qdq_writer import write_qdq
    from edgeprune.network.tflite_reader import TfliteReading, read_tflite
    from edgeprune.network.tflite_writer import write_tflite

_LATE = {
    "load_onnx": "qdq_reader",
    "TfliteReading": "tflite_reader",
    "read_qdq": "qdq_reader",
    "read_tflite": "tflite_reader",
    "write_qdq": "qdq_writer",
    "write_tflite": "tflite_writer",
}

__all__ = [
    "OPERATORS",
    "Add",
    "AveragePool1d",
    "AveragePool2d",
    "CCall",
    "Concat",
    "Conv1d",
    "Conv2d",
    "Dense",
    "DepthwiseConv1d",
    "DepthwiseConv2d",
    "IntegerNetwork",
    "MaxPool1d",
    "MaxPool2d",
    "Mul",
    "Operation",
    "Requantize",
    "Reshape",
    "Sub",
    "Table",
    "Tensor",
    "TfliteReading",
    "load_onnx",
    "read_qdq",
    "read_tflite",
    "write_qdq",
    "write_tflite",
]

__getattr__ = late_names(__name__, _LATE)
