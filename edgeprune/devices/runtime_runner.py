"""Runs on a board, where there is neither edgeprune nor anything but numpy and a runtime.

    python3 runtime_runner.py                          what is installed, as a line of JSON
    python3 runtime_runner.py FOLDER IMPLEMENTATION    runs model.tflite or model.onnx of the folder

It reads inputs.npz there and writes outputs.npy. Python 3.8 and later run it.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

_MODULES = {
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "tflite-runtime": "tflite_runtime",
    "ai-edge-litert": "ai_edge_litert",
}
# A board's memory is small, and onnxruntime keeps what every layer made of a batch.
_BATCH = 16
_RESOLVERS = {"default": "AUTO", "BUILTIN_REF": "BUILTIN_REF"}


def installed() -> dict[str, str | None]:
    """Return the version of each package, None where it is not installed.

    Nothing is imported: a wheel for another processor would end the process.
    """
    found: dict[str, str | None] = {}
    for package, module in _MODULES.items():
        if importlib.util.find_spec(module) is None:
            found[package] = None
            continue
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            # A package of another name, such as onnxruntime-gpu, brings the module.
            found[package] = ""
    return found


def run(folder: Path, implementation: str) -> None:
    """Write outputs.npy: int8 [n, classes] of TFLite, float32 [n, classes] of onnxruntime.

    Args:
        folder: With inputs.npz, which holds int8 [n, ...] "0" (and "1"), and of each of them its
            name, scale and zero point in "names", "scales" and "zero_points".
        implementation: "onnxruntime", or a package of TFLite's and its kernels.
    """
    import numpy as np

    package, _, kernels = implementation.partition(" ")
    with np.load(folder / "inputs.npz") as content:
        arrays = {name: content[name] for name in content}
    if package == "onnxruntime":
        outputs = _onnx(folder, arrays)
    else:
        outputs = _tflite(folder, arrays, package, _RESOLVERS[kernels])
    np.save(folder / "outputs.npy", outputs)


def _onnx(folder: Path, arrays: dict[str, Any]) -> Any:
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    feeds = {}
    for index, name in enumerate(arrays["names"].tolist()):
        centred = arrays[str(index)].astype(np.int32) - arrays["zero_points"][index]
        exact = centred.astype(np.float32) * arrays["scales"][index]
        feeds[name] = np.moveaxis(exact, -1, 1) if exact.ndim > 2 else exact
    rows = []
    for start in range(0, len(arrays["0"]), _BATCH):
        part = {name: values[start : start + _BATCH] for name, values in feeds.items()}
        rows.append(session.run(None, part)[0])
    return np.concatenate(rows)


def _tflite(folder: Path, arrays: dict[str, Any], package: str, resolver: str) -> Any:
    import numpy as np

    if package == "tflite-runtime":
        from tflite_runtime import interpreter as module
    else:
        from ai_edge_litert import interpreter as module
    interpreter = module.Interpreter(
        model_path=str(folder / "model.tflite"),
        num_threads=1,
        experimental_op_resolver_type=getattr(module.OpResolverType, resolver),
    )
    interpreter.allocate_tensors()
    takes = interpreter.get_input_details()
    gives = interpreter.get_output_details()[0]["index"]
    rows = []
    for row in range(len(arrays["0"])):
        for index, entry in enumerate(takes):
            interpreter.set_tensor(entry["index"], arrays[str(index)][row].reshape(entry["shape"]))
        interpreter.invoke()
        rows.append(np.array(interpreter.get_tensor(gives)).reshape(-1))
    return np.stack(rows)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        run(Path(sys.argv[1]), sys.argv[2])
    else:
        sys.stdout.write(json.dumps(installed()) + "\n")
