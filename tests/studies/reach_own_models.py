"""Models of other people's tools, from their files to firmware by the command alone."""

from __future__ import annotations

import html
import re
import shutil
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from torch import Tensor, nn

from edgeprune.config import load_config
from edgeprune.evidence import Evidence, read_evidence
from edgeprune.pipeline.build import BuildResult, build
from edgeprune.pipeline.learn import classifier_of, windows_of
from edgeprune.pipeline.products import stratified
from tests.studies.reach_models import keras_mlp, quantized_by_onnxruntime
from tests.studies.study import CHECKOUT, Figure, run_command

SECTION = "own models"
MODULE = "tests.studies.reach_own_models"
RESNET = "tests.studies.reach_models:resnet1d"
COMMON = ["--target", "cortex-m7", "--windows", "12", "--time-limit", "2"]
CALIBRATION = 256


class MultilayerPerceptron(nn.Module):
    """What the Keras model is trained as: its layers by torch, the signal flattened as Keras does.

    Args:
        signal_shape: Length and channels.
        classes: Number of logits.
    """

    def __init__(self, signal_shape: tuple[int, int], classes: int) -> None:
        super().__init__()
        sizes = (signal_shape[0] * signal_shape[1], 24, 16, classes)
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))

    def forward(self, signal: Tensor) -> Tensor:
        """Return logits [n, classes] of signal [n, channels, length]."""
        value = signal.transpose(1, 2).flatten(1)
        for layer in self.layers[:-1]:
            value = layer(value).relu()
        logits: Tensor = self.layers[-1](value)
        return logits


def own_models(folder: Path, seed: int) -> Iterator[Figure]:
    """Bring in each model by `edgeprune build --model` and count what differs anywhere.

    Args:
        folder: Where models and results are kept.
        seed: Of everything that is drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trained = _trained(RESNET, folder, seed)
    models = {
        "ResNet1d module": RESNET,
        "Keras MLP, float ONNX": str(_keras(folder, seed)),
        "quantized by onnxruntime": str(_quantized(trained, folder)),
    }
    for name, model in models.items():
        out = folder / re.sub(r"\W+", "-", name)
        yield from _brought_in(name, _built(["--model", model], out, seed))
    # What left the first of them comes back as any TFLite file would.
    flashed = folder / "ResNet1d-module" / "model.tflite"
    again = _built(["--model", str(flashed)], folder / "tflite", seed)
    yield from _brought_in("int8 TFLite of the first", again)


def first_lines(folder: Path, windows: Path, seed: int) -> Iterator[Figure]:
    """Say whether a report opens with what figures of cut-out windows are not.

    Args:
        folder: Where results are kept.
        windows: CHB-MIT's windows.
        seed: Of everything that is drawn.
    """
    for core in ("cortex-m7", "cortex-m55"):
        out = folder / f"chb-mit-windows-{core}"
        emulator = ["--emulator", "qemu"] if core == "cortex-m55" else []
        options = ["--dataset", "chb-mit-windows", "--data-dir", str(windows), *emulator]
        evidence = _built([*options, "--target", core], out, seed)
        words = _words(out / "report.html")
        found = words.find(" ".join(evidence.foreword.split()))
        opening = words[:found] if evidence.foreword and found >= 0 else words
        yield Figure(
            "report",
            f"chb-mit-windows, {core}: words before what its figures are not",
            len(opening.split()),
            100,
            at_most=True,
            note=evidence.foreword,
        )
        yield _mismatches("report", f"chb-mit-windows, {core}", evidence)


def _built(options: list[str], out: Path, seed: int) -> Evidence:
    for left in (out, out.with_name(f"{out.name}.work")):
        shutil.rmtree(left, ignore_errors=True)
    command = [sys.executable, "-m", "edgeprune", "build", *COMMON, *options]
    # A requirement that such a model does not meet is no part of the question.
    _, output = run_command(
        [*command, "--seed", str(seed), "--out", str(out)], CHECKOUT, check=False
    )
    if not (out / "evidence.json").is_file():
        raise SystemExit(f"{' '.join(command)} failed:\n{output[-3000:]}")
    return read_evidence(out / "evidence.json")


def _brought_in(name: str, evidence: Evidence) -> Iterator[Figure]:
    yield _mismatches(SECTION, name, evidence)
    device, flashed = evidence.device, evidence.performance[-1]
    assert device is not None
    assert device.instructions is not None
    assert device.firmware is not None
    yield Figure(SECTION, f"{name}: instructions", device.instructions.maximum)
    yield Figure(SECTION, f"{name}: flash", device.firmware.flash_bytes, unit="byte")
    yield Figure(SECTION, f"{name}: RAM", device.firmware.ram_bytes, unit="byte")
    yield Figure(
        SECTION,
        f"{name}: accuracy",
        flashed.scores.accuracy.value,
        note=f"{flashed.stage}, SYNTHETIC data; verdict {evidence.verdict.value}",
    )


def _mismatches(section: str, name: str, evidence: Evidence) -> Figure:
    """Return how many values differ over every implementation that must agree."""
    rows = [row for row in evidence.parity if row.gate]
    note = "; ".join(f"{row.implementation} ({row.place}) {row.windows:,}" for row in rows)
    found = sum(row.mismatches for row in rows) if rows else None
    return Figure(section, f"{name}: mismatches", found, 0, at_most=True, note=f"windows: {note}")


def _trained(model: str, folder: Path, seed: int) -> BuildResult:
    config = load_config(None, {"model": model, "target": "cortex-m7", "seed": seed})
    return build(config, folder / f"{model.rpartition(':')[2]}-float", until="train")


def _keras(folder: Path, seed: int) -> Path:
    result = _trained(f"{MODULE}:MultilayerPerceptron", folder, seed)
    module, _ = classifier_of(result.context, result.stages["train"])
    weights = [
        (layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy())
        for layer in module.modules()
        if isinstance(layer, nn.Linear)
    ]
    shape, classes = result.context.front_end.signal_shape, len(result.context.card.class_names)
    path = folder / "keras.onnx"
    onnx.save(keras_mlp(shape, classes, weights), path)
    return path


def _quantized(result: BuildResult, folder: Path) -> Path:
    module, _ = classifier_of(result.context, result.stages["train"])
    train = windows_of(result.stages["data"], "train")
    drawn = train.select(stratified(train, CALIBRATION, result.context.seed))
    front_end = result.context.front_end
    scale, zero_point = front_end.signal_scale, front_end.signal_zero_point
    signal = (drawn.signal.astype(np.float32) - zero_point) * np.float32(scale)
    return quantized_by_onnxruntime(module, signal.transpose(0, 2, 1).copy(), folder)


def _words(report: Path) -> str:
    """Return what a reader of a page sees, in its order, words separated by single spaces."""
    page = report.read_text(encoding="utf-8")
    body = page[page.index("<body") :]
    visible = re.sub(r"(?s)<(script|style|svg)\b.*?</\1>", " ", body)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", visible)).split())
