"""TFLite file -> IntegerNetwork."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeprune.errors import ModelError, UnsupportedOperatorError
from edgeprune.network.integer_network import IntegerNetwork
from edgeprune.network.operation import needed_operations
from edgeprune.network.tensor import Tensor
from edgeprune.network.tflite_file import FileOperator, TfliteFile, open_tflite
from edgeprune.network.tflite_handlers import HANDLERS
from edgeprune.network.tflite_sketch import TfliteSketch, View


@dataclass(frozen=True)
class TfliteReading:
    """A network that was read, and what is to be known of the reading.

    Attributes:
        network: The network.
        notes: What was left to the host, and where a runtime may round otherwise; in words.
    """

    network: IntegerNetwork
    notes: tuple[str, ...]


def read_tflite(source: Path | str | bytes) -> TfliteReading:
    """Read a network of int8 operators in TFLite's format.

    It computes what TFLite's reference kernels compute of the file, up to what the notes say.
    QUANTIZE of a float input, DEQUANTIZE and SOFTMAX of the logits are left out: the front end
    makes integers, and the largest logit decides.

    Args:
        source: A path, or a file's bytes.

    Raises:
        ModelError: It is no TFLite file, is damaged, or contradicts itself.
        UnsupportedOperatorError: It holds operators outside the supported set; all are listed.
        NetworkError: Its integers could overflow on a device.
    """
    reader = _Reader(open_tflite(source))
    return TfliteReading(reader.network(), reader.notes())


class _Reader:
    """Visits the operators in order.

    Args:
        file: What the file holds.
    """

    def __init__(self, file: TfliteFile) -> None:
        self._file = file
        self._refused: list[str] = []
        if not file.inputs or len(file.outputs) != 1:
            raise ModelError(
                f"the graph has {len(file.inputs)} inputs and {len(file.outputs)} outputs",
                where=file.where,
                hint="a classifier has one output, its logits",
            )
        self._sketch = TfliteSketch(file)

    def network(self) -> IntegerNetwork:
        """Return the network of everything that the logits depend on."""
        sketch, file = self._sketch, self._file
        for number in file.inputs:
            self._try("the input", self._input, number)
        known = set(sketch.values)
        for operator in _needed_operators(file):
            if all(number in known or self._is_constant(number) for number in operator.inputs):
                self._visit(operator)
            # What follows from a refused operator is not said again.
            known |= set(operator.outputs) & (set(sketch.values) | self._shapes(operator))
        self._refuse()
        final = file.outputs[0]
        try:
            output = sketch.settled(final, (math.prod(sketch.sizes(final)),))
        except UnsupportedOperatorError as error:
            raise ModelError(error.what, where=file.where) from error
        operations = needed_operations(sketch.operations, output)
        read = {output, *(name for each in operations for name in each.inputs)}
        return IntegerNetwork(
            {name: tensor for name, tensor in sketch.tensors.items() if name in read},
            tuple(name for name in sketch.inputs if name in read),
            (output,),
            operations,
        )

    def notes(self) -> tuple[str, ...]:
        """Return what is to be known, once each."""
        return tuple(dict.fromkeys(self._sketch.notes))

    def _visit(self, operator: FileOperator) -> None:
        handler = HANDLERS.get(operator.code)
        if handler is None:
            self._refused.append(f"{operator.label}: there is no such integer operator")
            return
        if not operator.inputs or operator.inputs[0] < 0:
            raise ModelError(f"{operator.label} has no input", where=self._file.where)
        self._try(operator.label, handler, self._sketch, operator)

    def _try(self, label: str, step: Callable[..., None], *arguments: object) -> None:
        try:
            step(*arguments)
        except UnsupportedOperatorError as error:
            self._refused.append(f"{label}: {error.what}")
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # Files from elsewhere can contradict themselves in ways that nobody foresaw.
            raise ModelError(
                f"{label} contradicts its operands ({error})", where=self._file.where
            ) from error

    def _input(self, number: int) -> None:
        sketch, tensor = self._sketch, self._file.tensors[number]
        quantized = number
        if tensor.type == "FLOAT32":
            readers = [each for each in self._file.operators if number in each.inputs]
            sketch.require(
                len(readers) == 1 and readers[0].code == "QUANTIZE" and readers[0].outputs,
                f"'{tensor.name}' is FLOAT32: this is a float model, or quantized in part",
            )
            quantized = readers[0].outputs[0]
        scale, zero_point = sketch.range_of(quantized)
        name = sketch.header(tensor.name, ())["output"]
        sketch.tensors[name] = Tensor(name, sketch.shape(number), scale, zero_point)
        sketch.inputs.append(name)
        sketch.values[number] = View(name, (number,))

    def _is_constant(self, number: int) -> bool:
        return number < 0 or self._file.tensors[number].values is not None

    def _shapes(self, operator: FileOperator) -> set[int]:
        return {
            number
            for number in operator.outputs
            if self._file.tensors[number].type in ("INT32", "INT64")
        }

    def _refuse(self) -> None:
        if self._refused:
            raise UnsupportedOperatorError(
                f"{len(self._refused)} operator(s) are not supported: " + "; ".join(self._refused),
                where=self._file.where,
                hint="`edgeprune ops` lists what is; give the float model, or leave pre- and "
                "post-processing to the host",
            )


def _needed_operators(file: TfliteFile) -> list[FileOperator]:
    """Return the operators on which the output depends, in order."""
    needed = set(file.outputs)
    found = []
    for operator in reversed(file.operators):
        if needed & set(operator.outputs):
            needed |= set(operator.inputs)
            found.append(operator)
    return found[::-1]
