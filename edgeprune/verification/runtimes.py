"""Other implementations of the same network, compared with the specification at every layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import numpy as np

from edgeprune.errors import MissingToolError
from edgeprune.network import IntegerNetwork, write_tflite
from edgeprune.network.tensor import Int8Array
from edgeprune.registry import Registry

# Windows that one invocation of a runtime computes.
_BATCH = 32


@dataclass(frozen=True)
class LayerParity:
    """How one layer of one implementation compares with the specification.

    Args:
        implementation: Name in `RUNTIMES`.
        layer: Name of the operation.
        kind: The operation's operator.
        windows: Windows compared.
        values: int8 values compared.
        mismatches: Values that differ.
        largest_difference: In LSB.
    """

    implementation: str
    layer: str
    kind: str
    windows: int
    values: int
    mismatches: int
    largest_difference: int


class Runtime(ABC):
    """An implementation that can run a network and show what every layer wrote."""

    @abstractmethod
    def run_layers(self, network: IntegerNetwork, *inputs: Int8Array) -> Mapping[str, Int8Array]:
        """Return the output of every operation by tensor name.

        Raises:
            MissingToolError: The runtime is not installed.
        """


class _TfliteRuntime(Runtime):
    """Runs the network's TFLite file in batches."""

    def run_layers(self, network: IntegerNetwork, *inputs: Int8Array) -> Mapping[str, Int8Array]:
        """See `Runtime.run_layers`."""
        count = len(inputs[0])
        model = write_tflite(network, expose_layers=True, batch=min(count, _BATCH))
        invoke = self.prepare(model, len(network.operations))
        parts = []
        for start in range(0, count, _BATCH):
            batch = tuple(
                _filled(each[start : start + _BATCH], min(count, _BATCH)) for each in inputs
            )
            parts.append(invoke(batch))
        return {
            operation.output: np.concatenate([part[index] for part in parts])[:count].reshape(
                count, *network.tensors[operation.output].shape
            )
            for index, operation in enumerate(network.operations)
        }

    @abstractmethod
    def prepare(
        self, model: bytes, outputs: int
    ) -> Callable[[tuple[Int8Array, ...]], list[Int8Array]]:
        """Return a function from one batch of inputs to all outputs of the file."""


class LiteInterpreter(_TfliteRuntime):
    """The TFLite interpreter of tflite-runtime or ai-edge-litert.

    Args:
        module: The interpreter's module.
        package: The package to install.
        resolver: Its set of kernels: "BUILTIN_REF" or "AUTO" (its default).
    """

    def __init__(self, module: str, package: str, resolver: str) -> None:
        self._module = module
        self._package = package
        self._resolver = resolver

    def prepare(
        self, model: bytes, outputs: int
    ) -> Callable[[tuple[Int8Array, ...]], list[Int8Array]]:
        """See `_TfliteRuntime.prepare`."""
        module = _optional(self._module, self._package)
        interpreter = module.Interpreter(
            model_content=model,
            num_threads=1,
            experimental_op_resolver_type=getattr(module.OpResolverType, self._resolver),
        )
        interpreter.allocate_tensors()
        takes = [entry["index"] for entry in interpreter.get_input_details()]
        gives = [entry["index"] for entry in interpreter.get_output_details()]

        def invoke(batch: tuple[Int8Array, ...]) -> list[Int8Array]:
            for index, values in zip(takes, batch, strict=True):
                shape = interpreter.get_tensor(index).shape
                interpreter.set_tensor(index, values.reshape(shape))
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in gives]

        return invoke


class MicroInterpreter(_TfliteRuntime):
    """TensorFlow Lite for Microcontrollers, from its Python package (reference kernels)."""

    def prepare(
        self, model: bytes, outputs: int
    ) -> Callable[[tuple[Int8Array, ...]], list[Int8Array]]:
        """See `_TfliteRuntime.prepare`."""
        module = _optional("tflite_micro", "tflite-micro").runtime
        interpreter = module.Interpreter.from_bytes(model, arena_size=1 << 27)

        def invoke(batch: tuple[Int8Array, ...]) -> list[Int8Array]:
            for index, values in enumerate(batch):
                shape = interpreter.get_input_details(index)["shape"]
                interpreter.set_input(values.reshape(shape), index)
            interpreter.invoke()
            return [interpreter.get_output(index) for index in range(outputs)]

        return invoke


RUNTIMES: Registry[Runtime] = Registry(
    "runtime",
    **{
        "tflite-runtime BUILTIN_REF": LiteInterpreter(
            "tflite_runtime.interpreter", "tflite-runtime", "BUILTIN_REF"
        ),
        "tflite-runtime default": LiteInterpreter(
            "tflite_runtime.interpreter", "tflite-runtime", "AUTO"
        ),
        "ai-edge-litert BUILTIN_REF": LiteInterpreter(
            "ai_edge_litert.interpreter", "ai-edge-litert", "BUILTIN_REF"
        ),
        "ai-edge-litert default": LiteInterpreter(
            "ai_edge_litert.interpreter", "ai-edge-litert", "AUTO"
        ),
        "tflite-micro": MicroInterpreter(),
    },
)


def _filled(values: Int8Array, count: int) -> Int8Array:
    """Repeat the last window until there are `count`: a file's batch is fixed."""
    return np.pad(values, ((0, count - len(values)), *((0, 0),) * (values.ndim - 1)), mode="edge")


def _optional(module: str, package: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingToolError(
            f"{package} is not installed", hint=f"pip install {package}"
        ) from error
