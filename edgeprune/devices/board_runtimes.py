"""The runtimes that a board's own Python has: onnxruntime, tflite-runtime and ai-edge-litert."""

from __future__ import annotations

import io
import json
import math
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.devices.ssh_device import SshDevice
from edgeprune.errors import DeviceError
from edgeprune.network import IntegerNetwork
from edgeprune.network.tensor import Int8Array

IMPLEMENTATIONS = (
    "onnxruntime",
    "tflite-runtime default",
    "tflite-runtime BUILTIN_REF",
    "ai-edge-litert default",
    "ai-edge-litert BUILTIN_REF",
)
MODELS = ("model.tflite", "model.onnx")
# Stands alone: it runs where nothing of edgeprune is.
RUNNER = Path(__file__).with_name("runtime_runner.py")
_INPUTS, _OUTPUTS = "inputs.npz", "outputs.npy"
# A board of the small kind imports numpy and a runtime from a card in half a minute.
_START_SECONDS = 120.0
_SECONDS_PER_WINDOW = 1.0


@dataclass(frozen=True, eq=False)
class RuntimeAnswers:
    """What a runtime on the board made of the windows.

    Attributes:
        implementation: One of `IMPLEMENTATIONS`, and its version where it is known.
        logits: int8 [n, classes]; None where it was not run.
        absent: Why it was not run; empty where it was.
    """

    implementation: str
    logits: Int8Array | None
    absent: str = ""


def runtime_inputs(network: IntegerNetwork, inputs: Sequence[Int8Array]) -> bytes:
    """Return inputs.npz, as the runner reads it.

    Args:
        network: What the windows are for.
        inputs: int8 [n, ...] for each of its inputs.
    """
    tensors = network.input_tensors
    content = io.BytesIO()
    np.savez(
        content,
        names=np.array([tensor.name for tensor in tensors]),
        scales=np.array([tensor.scale for tensor in tensors], np.float32),
        zero_points=np.array([tensor.zero_point for tensor in tensors], np.int32),
        **{str(index): values for index, values in enumerate(inputs)},
    )
    return content.getvalue()


def runtime_logits(network: IntegerNetwork, found: npt.NDArray[np.generic]) -> Int8Array:
    """Return what a runtime gave as int8; a float is rounded to the logits' scale."""
    if found.dtype == np.int8:
        return found.astype(np.int8)
    logits = network.output_tensor
    steps = np.rint(found.astype(np.float32) / np.float32(logits.scale)) + logits.zero_point
    clipped: Int8Array = np.clip(steps, -128, 127).astype(np.int8)
    return clipped


def board_runtimes(
    device: SshDevice,
    python: str,
    network: IntegerNetwork,
    models: Path,
    inputs: Sequence[Int8Array],
) -> Iterator[RuntimeAnswers]:
    """Run the network's files through each runtime that the board has.

    Nothing is installed there, and no runtime that is absent or fails is an error.

    Args:
        device: The board.
        python: Its Python, as its shell finds it: "python3", or a path from the login folder.
        network: The network of the files.
        models: A folder with model.tflite and model.onnx.
        inputs: int8 [n, ...] for each of its inputs.
    """
    try:
        versions = _installed(device, python)
        there = [
            name for name in IMPLEMENTATIONS if versions.get(name.partition(" ")[0]) is not None
        ]
        if there and versions.get("numpy") is not None:
            for model in MODELS:
                device.put(model, (models / model).read_bytes())
            device.put(_INPUTS, runtime_inputs(network, inputs))
    except DeviceError as error:
        for name in IMPLEMENTATIONS:
            yield RuntimeAnswers(name, None, f"{python} cannot be used there: {error.what}")
        return
    for name in IMPLEMENTATIONS:
        package, _, kernels = name.partition(" ")
        lacking = "numpy" if name in there else package
        if versions.get(lacking) is None:
            yield RuntimeAnswers(name, None, f"{python} there has no {lacking}")
            continue
        title = " ".join(word for word in (package, versions[package], kernels) if word)
        try:
            found = _run(device, python, name, (len(inputs[0]), network.output_tensor.size))
        except DeviceError as error:
            yield RuntimeAnswers(title, None, error.what)
        else:
            yield RuntimeAnswers(title, runtime_logits(network, found))


def _installed(device: SshDevice, python: str) -> dict[str, str | None]:
    """Send the runner and return the version of each package, None where it is absent."""
    device.put(RUNNER.name, RUNNER.read_bytes())
    said = device.ask(_words(device, python), _START_SECONDS)
    try:
        versions: dict[str, str | None] = json.loads(said)
    except ValueError as error:
        text = said.decode("utf-8", "replace").strip()
        raise DeviceError(f"it answers '{text[:100]}'", where=python) from error
    return versions


def _run(
    device: SshDevice, python: str, implementation: str, shape: tuple[int, int]
) -> npt.NDArray[np.generic]:
    outputs = shlex.quote(f"{device.folder}/{_OUTPUTS}")
    line = (
        f"rm -f {outputs}; {_words(device, python, device.folder, implementation)} >&2 && "
        f"cat {outputs}"
    )
    content = device.ask(line, _START_SECONDS + _SECONDS_PER_WINDOW * shape[0])
    try:
        found: npt.NDArray[np.generic] = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise DeviceError(f"its answer is no array: {error}", where=implementation) from error
    if found.size != math.prod(shape):
        raise DeviceError(
            f"its answer holds {found.size:,} values, not {shape[0]:,} x {shape[1]}",
            where=implementation,
        )
    return found.reshape(shape)


def _words(device: SshDevice, python: str, *arguments: str) -> str:
    """Return a line for the board's shell; a leading ~/ is the login folder there."""
    home, rest = ('"$HOME"/', python[2:]) if python.startswith("~/") else ("", python)
    words = (f"{device.folder}/{RUNNER.name}", *arguments)
    return f"{home}{shlex.quote(rest)} {shlex.join(words)}"
