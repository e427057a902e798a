"""Other implementations of the same network, compared with the specification at every layer."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgeprune.errors import MissingToolError, ParityError
from edgeprune.network import IntegerNetwork, write_qdq, write_tflite
from edgeprune.network.tensor import Int8Array
from edgeprune.progress import Progress, Silent
from edgeprune.registry import Registry
from edgeprune.verification.native_output import without_native_information

# Windows that one invocation of a runtime computes, and windows compared at a time.
_BATCH = 32
_CHUNK = 16 * _BATCH
_MICRO_ARENA_BYTES = 1 << 26

Scalar = TypeVar("Scalar", bound=np.generic)
Layers = Mapping[str, Int8Array]
RunLayers = Callable[[Sequence[Int8Array]], Layers]


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
    def open(self, network: IntegerNetwork) -> RunLayers:
        """Return a function from int8 inputs to the output of every operation, by tensor.

        Raises:
            MissingToolError: The runtime is not installed.
        """


class _TfliteRuntime(Runtime):
    """Runs the network's TFLite file, a batch at a time."""

    def open(self, network: IntegerNetwork) -> RunLayers:
        """See `Runtime.open`."""
        model = write_tflite(network, expose_layers=True, batch=_BATCH)
        invoke = self._prepare(model, len(network.operations))
        layers = [network.tensors[operation.output] for operation in network.operations]

        def run(inputs: Sequence[Int8Array]) -> Layers:
            count = len(inputs[0])
            batches = [
                invoke([_filled(values[start : start + _BATCH]) for values in inputs])
                for start in range(0, count, _BATCH)
            ]
            joined = (np.concatenate(parts)[:count] for parts in zip(*batches, strict=True))
            return {
                tensor.name: values.reshape(count, *tensor.shape)
                for tensor, values in zip(layers, joined, strict=True)
            }

        return run

    @abstractmethod
    def _prepare(
        self, model: bytes, outputs: int
    ) -> Callable[[Sequence[Int8Array]], list[Int8Array]]:
        """Return a function from one batch of inputs to all outputs of the file."""


class LiteInterpreter(_TfliteRuntime):
    """The TFLite interpreter of tflite-runtime or ai-edge-litert.

    Args:
        module: The interpreter's module.
        package: The package to install.
        resolver: Its set of kernels: "BUILTIN_REF", or "AUTO" for its default.
    """

    def __init__(self, module: str, package: str, resolver: str) -> None:
        self._module = module
        self._package = package
        self._resolver = resolver

    def _prepare(
        self, model: bytes, outputs: int
    ) -> Callable[[Sequence[Int8Array]], list[Int8Array]]:
        module = _optional(self._module, self._package)
        with without_native_information():
            interpreter = module.Interpreter(
                model_content=model,
                num_threads=1,
                experimental_op_resolver_type=getattr(module.OpResolverType, self._resolver),
            )
            interpreter.allocate_tensors()
        takes = interpreter.get_input_details()
        gives = [entry["index"] for entry in interpreter.get_output_details()]

        def invoke(batch: Sequence[Int8Array]) -> list[Int8Array]:
            for entry, values in zip(takes, batch, strict=True):
                interpreter.set_tensor(entry["index"], values.reshape(entry["shape"]))
            interpreter.invoke()
            return [interpreter.get_tensor(index) for index in gives]

        return invoke


class MicroInterpreter(_TfliteRuntime):
    """TensorFlow Lite for Microcontrollers with its reference kernels, from its Python package."""

    def _prepare(
        self, model: bytes, outputs: int
    ) -> Callable[[Sequence[Int8Array]], list[Int8Array]]:
        module = _optional("tflite_micro", "tflite-micro").runtime
        interpreter = module.Interpreter.from_bytes(model, arena_size=_MICRO_ARENA_BYTES)

        def invoke(batch: Sequence[Int8Array]) -> list[Int8Array]:
            for index, values in enumerate(batch):
                shape = interpreter.get_input_details(index)["shape"]
                interpreter.set_input(values.reshape(shape), index)
            interpreter.invoke()
            return [interpreter.get_output(index) for index in range(outputs)]

        return invoke


class OnnxRuntime(Runtime):
    """onnxruntime on the network's QDQ file; it multiplies in float, so it may differ by an LSB."""

    def open(self, network: IntegerNetwork) -> RunLayers:
        """See `Runtime.open`."""
        module = _optional("onnxruntime", "onnxruntime")
        options = module.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        # Without this, kernels for AVX2 saturate the sums of two products.
        options.add_session_config_entry("session.x64quantprecision", "1")
        session = module.InferenceSession(write_qdq(network, expose_layers=True), options)
        layers = [network.tensors[operation.output] for operation in network.operations]

        def run(inputs: Sequence[Int8Array]) -> Layers:
            feeds = {
                tensor.name: _length_last(tensor.dequantize(values))
                for tensor, values in zip(network.input_tensors, inputs, strict=True)
            }
            outputs = session.run([f"{tensor.name}_quantized" for tensor in layers], feeds)
            return {t.name: _length_last(v) for t, v in zip(layers, outputs, strict=True)}

        return run


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
        "onnxruntime": OnnxRuntime(),
    },
)

EXACT_RUNTIMES = ("tflite-runtime BUILTIN_REF", "tflite-micro")
"""Runtimes with the arithmetic of the specification: they must agree in every bit."""


def compare_layers(
    network: IntegerNetwork,
    inputs: Sequence[Int8Array],
    implementation: str,
    *,
    each_alone: bool = False,
    progress: Progress | None = None,
) -> tuple[LayerParity, ...]:
    """Compare an implementation with the specification at every layer.

    Args:
        network: The network.
        inputs: int8 values for each input of the network.
        implementation: Name in `RUNTIMES`.
        each_alone: Give every layer the exact inputs, as a network of its own, instead of what
            the implementation's layers before it wrote.
        progress: Told of the windows done.

    Returns:
        One row an operation, in the network's order.

    Raises:
        MissingToolError: The runtime is not installed.
        UnknownNameError: No runtime has that name.
    """
    runtime = RUNTIMES.get(implementation)
    parts = (
        [network.single_layer(operation.name) for operation in network.operations]
        if each_alone
        else [network]
    )
    opened = [(part, runtime.open(part)) for part in parts]
    mismatches: dict[str, int] = dict.fromkeys((o.output for o in network.operations), 0)
    largest = dict(mismatches)
    count = len(inputs[0])
    with (progress or Silent()).task(
        f"comparing with {implementation}", count, "window"
    ) as advance:
        for start in range(0, count, _CHUNK):
            chunk = [values[start : start + _CHUNK] for values in inputs]
            exact = network.run_layers(*chunk)
            for part, run_layers in opened:
                for name, values in run_layers([exact[each] for each in part.inputs]).items():
                    difference = np.abs(values.astype(np.int16) - exact[name])
                    mismatches[name] += int(np.count_nonzero(difference))
                    largest[name] = max(largest[name], int(difference.max(initial=0)))
            advance(len(chunk[0]))
    return tuple(
        LayerParity(
            implementation,
            operation.name,
            operation.kind,
            count,
            count * network.tensors[operation.output].size,
            mismatches[operation.output],
            largest[operation.output],
        )
        for operation in network.operations
    )


def require_parity(rows: Sequence[LayerParity]) -> None:
    """Refuse any difference.

    Raises:
        ParityError: Some row has mismatches; the first is named.
    """
    differing = [row for row in rows if row.mismatches]
    if differing:
        first = differing[0]
        raise ParityError(
            f"{first.implementation} differs from the specification in {first.mismatches} of "
            f"{first.values} values, by up to {first.largest_difference} LSB",
            where=f"{first.kind} '{first.layer}' (and {len(differing) - 1} later layers)",
            hint="nothing may be flashed until it is explained: report it with the network's file",
        )


def _filled(values: Int8Array) -> Int8Array:
    """Repeat the last window until the batch is full: a file's batch is fixed."""
    lacking = _BATCH - len(values)
    return np.pad(values, ((0, lacking), *((0, 0),) * (values.ndim - 1)), mode="edge")


def _length_last(values: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """Reverse the axes of feature maps, of which ONNX has the channels first; leave vectors."""
    return values.transpose(0, *range(values.ndim - 1, 0, -1))


def _optional(module: str, package: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingToolError(
            f"{package} is not installed", where=sys.prefix, hint=f"pip install {package}"
        ) from error
