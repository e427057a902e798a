"""What a TFLite file holds, as plain values: the flatbuffer is checked before it is believed."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from edgeprune.errors import ModelError

_IDENTIFIER = b"TFL3"
# Far above what a microcontroller can run; they keep a damaged file from taking the memory.
_MOST_BYTES = 1 << 28
_MOST_ENTRIES = 1 << 14
_MOST_AXES = 8
_MOST_ELEMENTS = 1 << 24
_LONGEST_NAME = 80
# What flatbuffers and numpy raise where an offset or a length leads out of the file.
_DAMAGE = (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError)

_NAMES: Mapping[int, str] = {
    number: name for name, number in vars(schema.BuiltinOperator).items() if name[0] != "_"
}
_TYPES: Mapping[int, str] = {
    number: name for name, number in vars(schema.TensorType).items() if name[0] != "_"
}
_ARRAYS: Mapping[str, npt.DTypeLike] = {
    "FLOAT32": "<f4",
    "INT8": "i1",
    "UINT8": "u1",
    "INT32": "<i4",
    "INT64": "<i8",
}
_PADDINGS = {schema.Padding.SAME: "SAME", schema.Padding.VALID: "VALID"}
_ACTIVATIONS: Mapping[int, str] = {
    number: name for name, number in vars(schema.ActivationFunctionType).items() if name[0] != "_"
}
_OPTIONS: Mapping[int, str] = {
    number: name for name, number in vars(schema.BuiltinOptions).items() if name[0] != "_"
}
# The fields that are read of each table of options.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "AddOptions": ("FusedActivationFunction",),
    "SubOptions": ("FusedActivationFunction",),
    "MulOptions": ("FusedActivationFunction",),
    "ConcatenationOptions": ("Axis", "FusedActivationFunction"),
    "Conv2DOptions": (
        *("Padding", "StrideW", "StrideH", "DilationWFactor", "DilationHFactor"),
        "FusedActivationFunction",
    ),
    "DepthwiseConv2DOptions": (
        *("Padding", "StrideW", "StrideH", "DilationWFactor", "DilationHFactor"),
        "FusedActivationFunction",
    ),
    "FullyConnectedOptions": ("FusedActivationFunction", "WeightsFormat"),
    "LeakyReluOptions": ("Alpha",),
    "Pool2DOptions": (
        *("Padding", "StrideW", "StrideH", "FilterWidth", "FilterHeight"),
        "FusedActivationFunction",
    ),
    "ReducerOptions": ("KeepDims",),
}


@dataclass(frozen=True, eq=False)
class FileTensor:
    """A tensor of the file.

    Attributes:
        index: Its number in the file.
        name: Its name, made short and plain.
        shape: With the batch.
        type: Name of the schema's TensorType.
        scales: float32, one, or one along `axis`; empty where it is not quantized.
        zero_points: int64, as many as scales.
        axis: Which axis the scales count.
        values: The content of a constant of that shape; None where the graph computes it.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    scales: npt.NDArray[np.float32]
    zero_points: npt.NDArray[np.int64]
    axis: int
    values: npt.NDArray[Any] | None

    @property
    def size(self) -> int:
        """Elements, the batch included."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class FileOperator:
    """An operator of the file.

    Attributes:
        code: Name of the schema's BuiltinOperator, or "custom operator NAME".
        inputs: Tensors by number; -1 where an optional one is left out.
        outputs: Tensors by number.
        options: The fields of its options that are read; enumerations by their names.
        label: Code and output, for messages.
    """

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]
    label: str


@dataclass(frozen=True, eq=False)
class TfliteFile:
    """The one graph of a TFLite file.

    Attributes:
        where: The file, for messages.
        tensors: All tensors.
        operators: In the order in which they run.
        inputs: Tensors that are given, in order.
        outputs: Tensors that are asked for.
        description: What its writer says of it.
    """

    where: str
    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    description: str


def is_tflite(content: bytes) -> bool:
    """Return whether bytes begin as a TFLite file does."""
    return content[4:8] == _IDENTIFIER


def open_tflite(source: Path | str | bytes) -> TfliteFile:
    """Return what a TFLite file holds.

    Args:
        source: A path, or a file's bytes.

    Raises:
        ModelError: It is absent, no TFLite file, damaged, or larger than any device runs.
    """
    where = "" if isinstance(source, bytes) else str(source)
    content = source if isinstance(source, bytes) else _content(Path(source))
    if not is_tflite(content):
        raise ModelError(
            "this is no TFLite file", where=where, hint="check that the file was copied whole"
        )
    try:
        return _Parser(content, where).file()
    except _DAMAGE as error:
        raise _damaged(where, f"{type(error).__name__}: {error}") from error


def _content(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ModelError(
                f"the file is larger than {_MOST_BYTES >> 20} MiB",
                where=str(path),
                hint="no device of edgeprune runs such a network",
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"the file cannot be read: {error.strerror}", where=str(path), hint="check the path"
        ) from error


def _damaged(where: str, what: str) -> ModelError:
    return ModelError(
        f"the TFLite file is damaged ({what})",
        where=where,
        hint="convert or copy it again",
    )


class _Parser:
    """Reads the flatbuffer.

    Args:
        content: The file.
        where: Its name, for messages.
    """

    def __init__(self, content: bytes, where: str) -> None:
        self._content = content
        self._where = where
        self._model = schema.Model.GetRootAs(content, 0)
        # Vectors of a damaged file may overlap: all names together are no longer than it is.
        self._name_bytes = len(content)

    def file(self) -> TfliteFile:
        """Return everything."""
        model = self._model
        if model.SubgraphsLength() != 1:
            raise ModelError(
                f"the file holds {model.SubgraphsLength()} graphs",
                where=self._where,
                hint="export a model without control flow, resources and training signatures",
            )
        graph = model.Subgraphs(0)
        buffers = self._entries(model.BuffersLength(), "buffers")
        count = self._entries(graph.TensorsLength(), "tensors")
        tensors = tuple(self._tensor(i, graph.Tensors(i), buffers) for i in range(count))
        codes = [
            self._code(model.OperatorCodes(i))
            for i in range(self._entries(model.OperatorCodesLength(), "operator codes"))
        ]
        operators = tuple(
            self._operator(graph.Operators(i), codes, tensors)
            for i in range(self._entries(graph.OperatorsLength(), "operators"))
        )
        return TfliteFile(
            self._where,
            tensors,
            operators,
            self._indices(graph.InputsAsNumpy(), count),
            self._indices(graph.OutputsAsNumpy(), count),
            self._text(model.Description()),
        )

    def _entries(self, count: int, what: str) -> int:
        if not 0 <= count <= min(_MOST_ENTRIES, len(self._content)):
            raise _damaged(self._where, f"it says that it has {count} {what}")
        return int(count)

    def _indices(self, values: Any, count: int, *, optional: bool = False) -> tuple[int, ...]:
        numbers = np.atleast_1d(values)
        if not isinstance(values, np.ndarray):
            return ()
        self._entries(len(numbers), "operands")
        if ((numbers < (-1 if optional else 0)) | (numbers >= count)).any():
            raise _damaged(self._where, "it refers to a tensor that it does not have")
        return tuple(int(each) for each in numbers)

    def _text(self, raw: bytes | None) -> str:
        self._name_bytes -= len(raw or b"")
        if self._name_bytes < 0:
            raise _damaged(self._where, "its names are longer than the file")
        # The converter joins the names of fused layers by semicolons.
        first = (raw or b"")[: 4 * _LONGEST_NAME].decode(errors="replace").split(";")[0]
        return re.sub(r"[^A-Za-z0-9_./:@(),+ -]", "_", first)[:_LONGEST_NAME]

    def _code(self, entry: Any) -> str:
        number = max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())
        if number == schema.BuiltinOperator.CUSTOM:
            return f"custom operator {self._text(entry.CustomCode())}"
        return _NAMES.get(number, f"operator {number}")

    def _tensor(self, index: int, entry: Any, buffers: int) -> FileTensor:
        name = self._text(entry.Name()) or f"tensor_{index}"
        kind = _TYPES.get(entry.Type(), f"type {entry.Type()}")
        shape = tuple(self._numbers(entry.ShapeAsNumpy(), np.int64, most=_MOST_AXES).tolist())
        if any(size < 0 for size in shape) or math.prod(shape) > _MOST_ELEMENTS:
            raise _damaged(self._where, f"tensor '{name}' has the shape {list(shape)}")
        if entry.Sparsity() is not None:
            raise ModelError(
                f"tensor '{name}' is stored sparsely",
                where=self._where,
                hint="convert without sparsity",
            )
        scales, zero_points, axis = self._quantization(name, entry.Quantization())
        values = self._values(name, entry.Buffer(), buffers, kind, shape)
        return FileTensor(index, name, shape, kind, scales, zero_points, axis, values)

    def _quantization(
        self, name: str, entry: Any
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], int]:
        if entry is None or entry.ScaleLength() == 0:
            return np.zeros(0, np.float32), np.zeros(0, np.int64), 0
        scales = self._numbers(entry.ScaleAsNumpy(), np.float32)
        zero_points = self._numbers(entry.ZeroPointAsNumpy(), np.int64)
        if len(zero_points) == 0:
            zero_points = np.zeros(len(scales), np.int64)
        if len(zero_points) == 1:
            zero_points = np.broadcast_to(zero_points, len(scales))
        if len(zero_points) != len(scales) or not (np.isfinite(scales) & (scales > 0)).all():
            raise _damaged(self._where, f"the scales or zero points of '{name}' are impossible")
        return scales, zero_points, int(entry.QuantizedDimension())

    def _numbers(self, values: Any, dtype: npt.DTypeLike, most: int = 1 << 20) -> Any:
        if not isinstance(values, np.ndarray):
            return np.zeros(0, dtype)
        if len(values) > most:
            raise _damaged(self._where, f"a list has {len(values)} entries")
        return values.astype(dtype)

    def _values(
        self, name: str, number: int, buffers: int, kind: str, shape: tuple[int, ...]
    ) -> npt.NDArray[Any] | None:
        if not 0 <= number < max(buffers, 1):
            raise _damaged(self._where, f"tensor '{name}' has no buffer {number}")
        if buffers == 0:
            return None
        buffer = self._model.Buffers(number)
        if buffer.Offset() > 1 or buffer.Size() > 1:
            raise ModelError(
                f"the content of '{name}' lies outside the file's flatbuffer",
                where=self._where,
                hint="convert to a file below 2 GB",
            )
        if buffer.DataLength() == 0:
            return None
        raw = buffer.DataAsNumpy()
        if kind not in _ARRAYS:
            return np.asarray(raw)
        dtype = np.dtype(_ARRAYS[kind])
        if raw.nbytes != math.prod(shape) * dtype.itemsize:
            raise _damaged(self._where, f"the content of '{name}' does not fit its shape")
        return np.frombuffer(raw.tobytes(), dtype).reshape(shape)

    def _operator(
        self, entry: Any, codes: list[str], tensors: tuple[FileTensor, ...]
    ) -> FileOperator:
        if not 0 <= entry.OpcodeIndex() < len(codes):
            raise _damaged(self._where, "an operator has no code")
        code = codes[entry.OpcodeIndex()]
        outputs = self._indices(entry.OutputsAsNumpy(), len(tensors))
        named = f" '{tensors[outputs[0]].name}'" if outputs else ""
        return FileOperator(
            code,
            self._indices(entry.InputsAsNumpy(), len(tensors), optional=True),
            outputs,
            dict(self._options(entry)),
            f"{code}{named}",
        )

    def _options(self, entry: Any) -> Iterator[tuple[str, Any]]:
        table = entry.BuiltinOptions()
        kind = _OPTIONS.get(entry.BuiltinOptionsType(), "")
        if table is None or kind not in _FIELDS:
            return
        options = getattr(schema, kind)()
        options.Init(table.Bytes, table.Pos)
        for field in _FIELDS[kind]:
            value = getattr(options, field)()
            if field == "Padding":
                value = _PADDINGS.get(value, f"padding {value}")
            elif field == "FusedActivationFunction":
                value = _ACTIVATIONS.get(value, f"activation {value}")
            yield field, value
