"""Runs in the arm64 root, where there is neither edgeprune nor anything but numpy and a runtime.

    python3.11 arm_runner.py FOLDER RUNTIME

Reads model.tflite or model.onnx and inputs.npz of the folder, writes outputs.npy.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np


def run_onnx(folder: Path, arrays: dict[str, Any]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options)
    feeds = {each.name: arrays[f"float_{each.name}"] for each in session.get_inputs()}
    return session.run(None, feeds)[0]


def run_tflite(folder: Path, arrays: dict[str, Any], module: Any, resolver: str) -> Any:
    interpreter = module.Interpreter(
        model_path=str(folder / "model.tflite"),
        num_threads=1,
        experimental_op_resolver_type=getattr(module.OpResolverType, resolver),
    )
    interpreter.allocate_tensors()
    takes = interpreter.get_input_details()
    gives = interpreter.get_output_details()[0]["index"]
    rows = []
    for row in range(len(arrays["int8_0"])):
        for index, entry in enumerate(takes):
            interpreter.set_tensor(
                entry["index"], arrays[f"int8_{index}"][row].reshape(entry["shape"])
            )
        interpreter.invoke()
        rows.append(np.array(interpreter.get_tensor(gives)).reshape(-1))
    return np.stack(rows)


def main() -> None:
    folder, (package, _, kernels) = Path(sys.argv[1]), sys.argv[2].partition(" ")
    with np.load(folder / "inputs.npz") as content:
        arrays = {name: content[name] for name in content}
    resolver = "BUILTIN_REF" if kernels == "BUILTIN_REF" else "AUTO"
    if package == "onnxruntime":
        outputs = run_onnx(folder, arrays)
    elif package == "tflite-runtime":
        from tflite_runtime import interpreter

        outputs = run_tflite(folder, arrays, interpreter, resolver)
    else:
        from ai_edge_litert import interpreter

        outputs = run_tflite(folder, arrays, interpreter, resolver)
    np.save(folder / "outputs.npy", outputs)


if __name__ == "__main__":
    main()
