"""The IntegerNetwork: what is certified, exported and flashed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from edgeprune.errors import NetworkError
from edgeprune.network import storage
from edgeprune.network.operation import Operation
from edgeprune.network.tensor import Int8Array, Int64Array, Tensor

# Windows computed at a time: their largest intermediate stays in a processor's cache.
_CHUNK = 64


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """A checked int8 network. Running it is the specification of what a device computes.

    Two networks are equal when all of their content is, names included (see `sha256`).

    Args:
        tensors: Every tensor by its name.
        inputs: Names of the inputs, in the order in which `run` takes them.
        outputs: The name of the one output, the logits.
        operations: In an order in which each reads only what is already written.

    Raises:
        NetworkError: The parts do not fit, or int32 arithmetic could overflow on a device.
    """

    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operations: tuple[Operation, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))
        self._check()

    def __reduce__(self) -> tuple[type[IntegerNetwork], tuple[object, ...]]:
        """Go to another process as its parts: the fixed mapping itself cannot."""
        parts = (dict(self.tensors), self.inputs, self.outputs, self.operations)
        return IntegerNetwork, parts

    def run(self, *inputs: Int8Array) -> Int8Array:
        """Compute the logits.

        Args:
            *inputs: int8 [n, length, channels] or [n, features], one for each of `self.inputs`.

        Returns:
            int8 [n, classes].

        Raises:
            NetworkError: The inputs do not fit the network.
        """
        self._check_inputs(inputs)
        if len(inputs[0]) == 0:
            return np.zeros((0, *self.tensors[self.output].shape), np.int8)
        return np.concatenate([self._evaluate(part)[self.output] for part in _chunks(inputs)])

    def run_layers(self, *inputs: Int8Array) -> Mapping[str, Int8Array]:
        """Compute every tensor of the network, inputs included; see `run`."""
        self._check_inputs(inputs)
        parts = [self._evaluate(part) for part in _chunks(inputs)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def predict(self, *inputs: Int8Array) -> Int64Array:
        """Return the class [n] with the largest logit; the first of them where some are equal."""
        return np.asarray(self.run(*inputs).argmax(axis=1), np.int64)

    @property
    def output(self) -> str:
        """Name of the output."""
        return self.outputs[0]

    @property
    def input_tensors(self) -> tuple[Tensor, ...]:
        """The inputs, in order."""
        return tuple(self.tensors[name] for name in self.inputs)

    @property
    def output_tensor(self) -> Tensor:
        """The output."""
        return self.tensors[self.output]

    def multiply_accumulates(self, *, nonzero_only: bool = False) -> int:
        """Return the multiply-accumulates of one window; see `Operation.multiply_accumulates`."""
        return sum(
            operation.multiply_accumulates(self.tensors, nonzero_only=nonzero_only)
            for operation in self.operations
        )

    def parameters(self) -> int:
        """Return the number of weights and biases."""
        return sum(operation.parameters() for operation in self.operations)

    def weight_bytes(self) -> int:
        """Return the bytes of weights (int8) and biases (int32)."""
        return sum(operation.weight_bytes() for operation in self.operations)

    def single_layer(self, name: str) -> IntegerNetwork:
        """Return the operation of that name as a network of its own."""
        operation = next(each for each in self.operations if each.name == name)
        inputs = tuple(dict.fromkeys(operation.inputs))
        names = (*inputs, operation.output)
        return replace(
            self,
            tensors={each: self.tensors[each] for each in names},
            inputs=inputs,
            outputs=(operation.output,),
            operations=(operation,),
        )

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over everything that the network is made of, in a canonical form."""
        return storage.digest(storage.describe(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntegerNetwork) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    def save(self, path: Path | str) -> None:
        """Write the network to one safetensors file with JSON metadata.

        Raises:
            DiskError: The file cannot be written.
        """
        storage.write(self, Path(path))

    @staticmethod
    def load(path: Path | str) -> IntegerNetwork:
        """Read a network that `save` wrote.

        Raises:
            ModelError: The file is absent, damaged, or of another kind or version.
            NetworkError: Its parts do not fit.
        """
        return IntegerNetwork(*storage.read(Path(path)))

    def _evaluate(self, inputs: tuple[Int8Array, ...]) -> dict[str, Int8Array]:
        values = dict(zip(self.inputs, inputs, strict=True))
        for operation in self.operations:
            operands = (values[name] for name in operation.inputs)
            values[operation.output] = operation.run(self.tensors, *operands)
        return values

    def _check(self) -> None:
        if len(self.outputs) != 1 or not self.inputs:
            raise NetworkError(f"{len(self.inputs)} inputs and {len(self.outputs)} outputs")
        for key, tensor in self.tensors.items():
            if key != tensor.name:
                raise NetworkError(f"tensor '{tensor.name}' is filed as '{key}'")
        names = [operation.name for operation in self.operations]
        _require_unique(names, "operation")
        written = [*self.inputs, *(operation.output for operation in self.operations)]
        _require_unique(written, "tensor")
        if set(written) != set(self.tensors):
            odd = sorted(set(written) ^ set(self.tensors))
            raise NetworkError(f"tensors that are not both written and described: {odd}")
        available = set(self.inputs)
        for operation in self.operations:
            missing = [name for name in operation.inputs if name not in available]
            operation.require(not missing, f"it reads {missing} before they are written")
            operation.check(self.tensors)
            available.add(operation.output)
        if self.output not in available:
            raise NetworkError(f"nothing writes the output '{self.output}'")
        read = {name for operation in self.operations for name in operation.inputs}
        unread = sorted(available - read - set(self.outputs))
        if unread:
            raise NetworkError(f"nothing reads {', '.join(unread)}")

    def _check_inputs(self, inputs: tuple[Int8Array, ...]) -> None:
        if len(inputs) != len(self.inputs):
            raise NetworkError(
                f"{len(inputs)} inputs were given",
                hint=f"the network takes {len(self.inputs)}: {', '.join(self.inputs)}",
            )
        for tensor, values in zip(self.input_tensors, inputs, strict=True):
            if values.dtype != np.int8 or values.shape != (len(inputs[0]), *tensor.shape):
                raise NetworkError(
                    f"input '{tensor.name}' is {values.dtype} {list(values.shape)}",
                    hint=f"it takes int8 [{len(inputs[0])}, {', '.join(map(str, tensor.shape))}]",
                )


def _chunks(inputs: tuple[Int8Array, ...]) -> Iterator[tuple[Int8Array, ...]]:
    for start in range(0, max(len(inputs[0]), 1), _CHUNK):
        yield tuple(values[start : start + _CHUNK] for values in inputs)


def _require_unique(names: list[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise NetworkError(f"more than one {what} is called {', '.join(twice)}")
