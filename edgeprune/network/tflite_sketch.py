"""The network under construction while a TFLite file is read.

Feature maps and vectors of a TFLite file lie row by row, channels last, as those of an
IntegerNetwork do: RESHAPE, SQUEEZE and EXPAND_DIMS only give the same bytes another name. So every
number of the file's tensors is a view of a tensor of the network, and a reshape is filed where an
operator needs it and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgeprune.errors import ModelError, UnsupportedOperatorError
from edgeprune.network.operation import ClampedOperation, Operation, Shape
from edgeprune.network.ops import Mul, Requantize, Reshape
from edgeprune.network.tensor import INT8_HIGH, INT8_LOW, Tensor
from edgeprune.network.tflite_file import FileOperator, FileTensor, TfliteFile

# 64 steps of a float32; see `renamed_range`.
_SCALE_STEPS = 2.0**-16
# What `UINT8` integers are above the `INT8` ones that mean the same.
_UNSIGNED_OFFSET = 128


@dataclass(frozen=True)
class View:
    """What a tensor of the file is in the network.

    Args:
        tensor: The tensor that holds its bytes.
        aliases: The file's tensors on the way here that name the same bytes, in order.
    """

    tensor: str
    aliases: tuple[int, ...] = ()


@dataclass(frozen=True)
class Padding:
    """A tensor with cells added along the length, which the next operator takes over.

    Args:
        view: What is padded.
        source: The tensor of the file that is padded.
        amounts: Cells before and after, by axis of the file's tensor.
        fill: The integer in them.
    """

    view: View
    source: int
    amounts: tuple[tuple[int, int], ...]
    fill: int


@dataclass(frozen=True)
class Places:
    """Integers that say which entry of a table each element is to become.

    Args:
        source: The tensor of the file whose integers they are.
        offset: What was added to them.
    """

    source: int
    offset: int


class TfliteSketch:
    """Collects tensors and operations.

    Args:
        file: What is read.

    Attributes:
        notes: What is to be known of the reading, in words.
    """

    def __init__(self, file: TfliteFile) -> None:
        self.file = file
        self.tensors: dict[str, Tensor] = {}
        self.operations: list[Operation] = []
        self.inputs: list[str] = []
        self.notes: list[str] = []
        self.values: dict[int, View | Padding | Places] = {}
        self._reshaped: dict[tuple[str, Shape], str] = {}
        self._readers: dict[int, int] = {}
        for operator in file.operators:
            for number in operator.inputs:
                self._readers[number] = self._readers.get(number, 0) + 1
        for number in file.outputs:
            self._readers[number] = self._readers.get(number, 0) + 1
        first = file.tensors[file.inputs[0]].shape if file.inputs else ()
        self.batch = first[0] if first else 1

    def require(self, condition: object, what: str) -> None:
        """Refuse the operator as unsupported unless `condition` holds."""
        if not condition:
            raise UnsupportedOperatorError(what)

    def number(self, operator: FileOperator, place: int) -> int:
        """Return the tensor at an operator's input; -1 where it is left out."""
        return operator.inputs[place] if place < len(operator.inputs) else -1

    def read_once(self, number: int) -> bool:
        """Return whether one operator reads a tensor and nothing asks for it besides."""
        return self._readers.get(number, 0) == 1

    def constant(self, number: int, what: str) -> FileTensor:
        """Return a tensor that must be constant."""
        tensor = self.file.tensors[number] if number >= 0 else None
        self.require(tensor is not None and tensor.values is not None, f"its {what} is no constant")
        assert tensor is not None
        return tensor

    def sizes(self, number: int) -> tuple[int, ...]:
        """Return a tensor's shape in the file without the batch."""
        shape = self.file.tensors[number].shape
        if len(shape) > 1 and shape[0] == self.batch:
            return shape[1:]
        self.require(self.batch == 1, f"it mixes the windows of a batch of {self.batch}")
        return shape

    def shape(self, number: int) -> Shape:
        """Return the shape that a tensor of the file has in a network.

        Raises:
            UnsupportedOperatorError: It is neither a feature map nor a vector.
        """
        sizes = self.sizes(number)
        if len(sizes) <= 2:
            return sizes
        *along, channels = sizes
        long = tuple(size for size in along if size > 1)
        self.require(
            len(long) <= 1 or (len(along) == 2),
            f"'{self.file.tensors[number].name}' of shape {list(sizes)} has {len(long)} lengths",
        )
        return (*(long or (1,)), channels)

    def range_of(self, number: int) -> tuple[float, int]:
        """Return scale and zero point of an activation of the file, as int8."""
        tensor = self.file.tensors[number]
        self.require(
            tensor.type in ("INT8", "UINT8"),
            f"'{tensor.name}' is {tensor.type}; int8 is supported",
        )
        if len(tensor.scales) != 1:
            raise ModelError(
                f"the activation '{tensor.name}' has {len(tensor.scales)} scales",
                where=self.file.where,
                hint="convert with full integer quantization: a representative data set and int8",
            )
        offset = _UNSIGNED_OFFSET if tensor.type == "UINT8" else 0
        return float(tensor.scales[0]), int(tensor.zero_points[0]) - offset

    def same_range(self, *numbers: int) -> bool:
        """Return whether tensors of the file have one range."""
        return len({self.range_of(number) for number in numbers}) == 1

    def view(self, number: int) -> View:
        """Return what a tensor of the file is in the network; padding becomes an operation."""
        tensor = self.file.tensors[number]
        self.require(tensor.values is None, f"its operand '{tensor.name}' is a constant")
        value = self.values.get(number)
        if isinstance(value, Padding):
            value = self.values[number] = self._padded(number, value)
        self.require(not isinstance(value, Places), f"'{tensor.name}' is {tensor.type}")
        if not isinstance(value, View):
            raise ModelError(
                f"'{tensor.name}' is read before anything writes it", where=self.file.where
            )
        return value

    def settled(self, number: int, shape: Shape | None = None) -> str:
        """Return the network's tensor of a file's tensor, in a shape.

        Args:
            number: The file's tensor.
            shape: The shape needed; by default what it has.
        """
        view = self.view(number)
        have = self.tensors[view.tensor].shape
        if shape is None or have == shape:
            return view.tensor
        self.require(
            math.prod(have) == math.prod(shape), f"{list(have)} values are no {list(shape)}"
        )
        if (view.tensor, shape) not in self._reshaped:
            named = [
                each
                for each in view.aliases
                if self.file.tensors[each].type == "INT8" and self._is(each, shape)
            ]
            name = self.file.tensors[(named or [number])[0]].name
            source = self.tensors[view.tensor]
            header = self.header(name, (view.tensor,))
            self._reshaped[view.tensor, shape] = self.append(
                Reshape(**header, shape=shape), (source.scale, source.zero_point)
            )
        return self._reshaped[view.tensor, shape]

    def natural(self, number: int) -> str:
        """Return the network's tensor of a file's tensor, in the shape that the file gives it."""
        return self.settled(number, self.shape(number))

    def header(self, name: str, inputs: tuple[str, ...], *, operation: str = "") -> dict[str, Any]:
        """Return the fields that every operation has, names made unique."""
        taken = {each.name for each in self.operations}
        output = _free(name, set(self.tensors))
        return {"name": _free(operation or output, taken), "inputs": inputs, "output": output}

    def append(self, operation: Operation, to: tuple[float, int]) -> str:
        """File an operation and its output; return the output's name."""
        shapes = (self.tensors[name].shape for name in operation.inputs)
        shape = operation.output_shape(*shapes)
        self.tensors[operation.output] = Tensor(operation.output, shape, *to)
        self.operations.append(operation)
        return operation.output

    def finish(self, operator: FileOperator, operation: Operation) -> None:
        """File the operation that computes an operator's output."""
        number = operator.outputs[0]
        tensor = self.append(operation, self.range_of(number))
        made, said = self.tensors[tensor].shape, self.sizes(number)
        if math.prod(made) != math.prod(said):
            raise ModelError(
                f"{operator.label} makes {list(made)} values; the file says {list(said)}",
                where=self.file.where,
                hint="convert the model again",
            )
        self.values[number] = View(tensor, (number,))

    def alias(self, number: int, source: int) -> None:
        """Let a tensor of the file be the bytes of another."""
        view = self.view(source)
        self.require(
            math.prod(self.sizes(number)) == math.prod(self.sizes(source)),
            "it changes the number of elements",
        )
        if self._unread(view) and self._is(number, self.tensors[view.tensor].shape):
            self._rename_last(number)
            view = View(self.operations[-1].output)
        self.values[number] = replace(view, aliases=(*view.aliases, number))

    def renamed_range(self, number: int, source: int) -> None:
        """Give the last operation's output the range of a tensor of the file that is its bytes.

        A file of edgeprune holds a product in a scale a few float32 steps from the network's,
        with which all runtimes compute the same; a RESHAPE gives it the network's.
        """
        view = self.view(source)
        (before, zero_point), (after, other) = self.range_of(source), self.range_of(number)
        self.require(
            zero_point == other
            and abs(after / before - 1) < _SCALE_STEPS
            and isinstance(self._unread(view), Mul),
            "it changes the range of its operand",
        )
        self.tensors[view.tensor] = replace(self.tensors[view.tensor], scale=after)

    def clamped(self, operator: FileOperator, source: int, low: int, high: int) -> None:
        """Clamp the integers of a tensor: in the operation that made it, if nobody else reads it.

        Args:
            operator: What clamps; its output has the range of `source`.
            source: The tensor of the file.
            low: The least integer.
            high: The greatest integer.
        """
        number = operator.outputs[0]
        view = self.view(source)
        last = self._unread(view)
        if isinstance(last, ClampedOperation):
            self.operations[-1] = replace(
                last,
                clamp_low=int(np.clip(last.clamp_low, low, high)),
                clamp_high=int(np.clip(last.clamp_high, low, high)),
            )
            self._rename_last(number)
            self.values[number] = View(self.operations[-1].output, (number,))
            return
        header = self.header(self.file.tensors[number].name, (view.tensor,))
        self.finish(operator, Requantize(**header, clamp_low=low, clamp_high=high))

    def activation(self, operator: FileOperator) -> dict[str, Any]:
        """Return an operator's fused activation as fields of a ClampedOperation."""
        name = operator.options.get("FusedActivationFunction", "NONE")
        bounds = _CLAMPS.get(name)
        self.require(bounds is not None, f"its activation {name} is not supported")
        assert bounds is not None
        return self.clamp(operator.outputs[0], *bounds)

    def clamp(self, number: int, low: float | None, high: float | None) -> dict[str, Any]:
        """Return real bounds as integers of a tensor (TFLite's CalculateActivationRange)."""
        scale, zero_point = self.range_of(number)

        def step(bound: float) -> int:
            steps = np.float32(bound) / np.float32(scale)
            # TfLiteRound: halves away from zero.
            rounded = math.copysign(math.floor(abs(float(steps)) + 0.5), bound)
            return int(np.clip(zero_point + rounded, INT8_LOW, INT8_HIGH))

        return {
            "clamp_low": INT8_LOW if low is None else step(low),
            "clamp_high": INT8_HIGH if high is None else step(high),
        }

    def _unread(self, view: View) -> Operation | None:
        """Return the last operation if it makes that view and only the operator at hand reads it.

        The operator may then have a say in what the operation does and what its output is called.
        """
        last = self.operations[-1] if self.operations else None
        if last is None or last.output != view.tensor or not view.aliases:
            return None
        return last if all(map(self.read_once, view.aliases)) else None

    def _rename_last(self, number: int) -> None:
        """Give the last operation's output the name of a tensor of the file."""
        last = self.operations[-1]
        old = self.tensors.pop(last.output)
        name = _free(self.file.tensors[number].name, set(self.tensors))
        own = last.name if last.name != last.output else name
        self.operations[-1] = replace(last, name=own, output=name)
        self.tensors[name] = replace(old, name=name)

    def _is(self, number: int, shape: Shape) -> bool:
        try:
            return self.shape(number) == shape
        except UnsupportedOperatorError:
            return False

    def _padded(self, number: int, padding: Padding) -> View:
        """File padding that stands alone: a convolution that multiplies each cell by one."""
        from edgeprune.network.tflite_weighted import cell_by_cell

        tensor = self.file.tensors[number]
        shape = self.shape(padding.source)
        sizes = self.file.tensors[padding.source].shape
        scale, zero_point = self.range_of(padding.source)
        padded = [axis for axis, amount in enumerate(padding.amounts) if amount != (0, 0)]
        along = [axis for axis in range(1, len(sizes) - 1) if sizes[axis] > 1 or axis in padded]
        self.require(
            padding.fill == zero_point
            and (scale, zero_point) == self.range_of(number)
            and set(padded) <= set(along)
            and len(along) <= 2,
            f"'{tensor.name}' is padded other than with zeros along length and height",
        )
        if not padded:
            return replace(self.view(padding.source), aliases=(number,))
        kind, fields = cell_by_cell(shape[-1], (1,) * len(along), 1.0)
        amounts = tuple(padding.amounts[axis] for axis in along)
        source = self.settled(padding.source, (*(sizes[axis] for axis in along), shape[-1]))
        operation = kind(
            **self.header(tensor.name, (source,)),
            **fields,
            padding=amounts[0] if len(along) == 1 else amounts,
        )
        return View(self.append(operation, (scale, zero_point)), (number,))


_CLAMPS: Mapping[str, tuple[float | None, float | None]] = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


def _free(name: str, taken: set[str]) -> str:
    candidates = (name, *(f"{name}_{number}" for number in range(2, len(taken) + 3)))
    return next(candidate for candidate in candidates if candidate not in taken)
