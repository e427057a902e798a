"""How far the real aarch64 runtimes agree with the certified network, window by window.

    python -m tests.studies.agreement RESULT [--windows 1000] [--root FOLDER] [--json FILE]

RESULT is a result directory; its model.tflite and model.onnx run in the arm64 root (make arm-root),
the C as a command for Cortex-A53, all of them under QEMU's user mode. Good for numbers, not times.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.cli.console import Console
from edgeprune.devices import run_image
from edgeprune.devices.board_runtimes import IMPLEMENTATIONS
from edgeprune.errors import EdgepruneError
from edgeprune.firmware import Labels, compile_image, generate
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.agreement import Agreement, compare
from edgeprune.pipeline.checked_result import CheckedResult
from edgeprune.targets import load_target
from tests.studies.arm_root import default_root, run_runtime

OUR_C = "edgeprune's C"
TARGET = "cortex-a53"
Int8Array = npt.NDArray[np.int8]


def agreement(
    network: IntegerNetwork, inputs: Sequence[Int8Array], models: Path, root: Path
) -> Iterator[Agreement]:
    """Yield a row an implementation; one that cannot run here says why.

    Args:
        network: The network.
        inputs: int8 [n, ...] for each of its inputs.
        models: A folder with its model.tflite and model.onnx.
        root: The arm64 root.
    """
    expected = network.run(*inputs)
    with tempfile.TemporaryDirectory(prefix="edgeprune-") as name:
        folder = Path(name)
        for file in ("model.tflite", "model.onnx"):
            shutil.copyfile(models / file, folder / file)

        def our_c() -> Int8Array:
            return _command(network, inputs, folder)

        def runtime(which: str) -> Callable[[], Int8Array]:
            return lambda: run_runtime(root, which, network, inputs, folder)

        for implementation, run in [
            (OUR_C, our_c),
            *((which, runtime(which)) for which in IMPLEMENTATIONS),
        ]:
            try:
                yield compare(implementation, run(), expected)
            except EdgepruneError as error:
                yield Agreement(implementation, absent=f"{error.what} ({error.hint})")


def _command(network: IntegerNetwork, inputs: Sequence[Int8Array], folder: Path) -> Int8Array:
    target = load_target(TARGET)
    names = tuple(f"class {index}" for index in range(network.output_tensor.size))
    sources = generate(
        network, None, target, Labels("agreement", names, "", False), folder / "sources"
    )
    image = compile_image(sources, target, folder / "command.elf")
    rhythm = inputs[1] if len(inputs) == 2 else None
    run = run_image(image.elf, target, inputs[0], rhythm, len(names), backend="qemu-user")
    return run.logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    parser.add_argument("--windows", type=int, default=1000)
    parser.add_argument("--root", type=Path, default=default_root())
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = CheckedResult(arguments.result)
    inputs = result.test_windows(arguments.windows, 0).inputs
    rows = tuple(agreement(result.network, inputs, arguments.result, arguments.root))
    Console().table(
        ("implementation", "windows", "equal", "largest LSB", "other decisions", "not run"),
        [tuple(asdict(row).values()) for row in rows],
    )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
