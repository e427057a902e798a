"""Ranges tuned by Intel Neural Compressor's PT2E path.

It quantizes 2-D layers only, silently leaving others in float, and emits no range before residual
additions nor for the logits. So it is given a graph of 2-D layers, it is checked that every
convolution and dense layer was quantized, and the ranges it does not emit are measured.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from edgeprune.errors import ModelError
from edgeprune.quantization.calibration import ActivationRange
from edgeprune.quantization.inputs import Feeds
from edgeprune.quantization.lifted import LiftedGraph

_BATCH = 256
_WEIGHTED = ("conv2d", "linear")


@dataclass(frozen=True)
class TunedRanges:
    """What neural-compressor found.

    Attributes:
        ranges: Activation ranges by ONNX value name; those it did not emit are absent.
        description: The configuration that its autotune chose.
        layers: Convolutions and dense layers, all of them quantized.
    """

    ranges: Mapping[str, ActivationRange]
    description: str
    layers: int


def tuned_ranges(
    model: onnx.ModelProto,
    fed: Feeds,
    labels: NDArray[np.int64] | None = None,
    accuracy_loss: float = 0.0,
) -> TunedRanges:
    """Let neural-compressor's autotune choose the activation ranges of a clean float graph.

    Args:
        model: A clean float graph.
        fed: Calibration windows by input name.
        labels: Class of each window, where an accuracy loss is stated.
        accuracy_loss: Share of the float graph's accuracy that may be lost: the first configuration
            within it ends the tuning. 0 tries all, and takes the nearest probabilities.

    Raises:
        UnsupportedOperatorError: An operator has no 2-D layer.
        ModelError: A convolution or dense layer stayed in float.
    """
    lifted = LiftedGraph(model).eval()
    batches = [
        tuple(
            torch.from_numpy(np.ascontiguousarray(fed[name][start : start + _BATCH]))
            for name in lifted.input_names
        )
        for start in range(0, len(fed[lifted.input_names[0]]), _BATCH)
    ]
    with torch.no_grad():
        wanted = torch.cat([lifted(*batch) for batch in batches]).log_softmax(1)

    def run(candidate: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([candidate(*batch) for batch in batches])

    truth = None if labels is None or accuracy_loss <= 0 else torch.from_numpy(labels)
    trials: list[float] = []

    def agreement(candidate: torch.nn.Module) -> float:
        found = run(candidate).log_softmax(1)
        if truth is not None:
            score = float((found.argmax(1) == truth).double().mean())
        else:
            score = float(torch.exp(-(wanted.exp() * (wanted - found)).sum(1).mean()))
        trials.append(score)
        return score

    with _quiet(), torch.random.fork_rng(devices=[]):
        from neural_compressor.torch.export import export
        from neural_compressor.torch.quantization import TuningConfig, autotune
        from neural_compressor.torch.quantization.config import INT8StaticQuantConfig

        batch_size = torch.export.Dim("n", min=1, max=4096)
        exported = export(
            lifted,
            example_inputs=tuple(value[:2] for value in batches[0]),
            dynamic_shapes={"inputs": tuple({0: batch_size} for _ in batches[0])},
        )
        algorithms = ("minmax", "kl")
        best = autotune(
            exported,
            tune_config=TuningConfig(
                config_set=[
                    INT8StaticQuantConfig(act_algo=algorithm, act_sym=False, act_dtype="int8")
                    for algorithm in algorithms
                ],
                # Out of reach where none is stated: every configuration is tried.
                tolerable_loss=-1.0 if truth is None else accuracy_loss,
                max_trials=len(algorithms),
            ),
            eval_fn=agreement,
            run_fn=run,
            example_inputs=tuple(value[:2] for value in batches[0]),
        )
    scores = trials[1 : 1 + len(algorithms)]  # the first is of the float graph
    chosen = algorithms[scores.index(max(scores))]
    layers = _check_quantized(best, lifted)
    return TunedRanges(_emitted_ranges(best, lifted), chosen, layers)


def _operator(node: Any) -> str:
    return str(node.target).split(".")[1] if "." in str(node.target) else str(node.target)


def _check_quantized(graph: Any, lifted: LiftedGraph) -> int:
    expected = sum(isinstance(m, torch.nn.Conv2d | torch.nn.Linear) for m in lifted.modules())
    weighted = [
        node
        for node in graph.graph.nodes
        if node.op == "call_function" and _operator(node) in _WEIGHTED
    ]
    quantized = [
        node
        for node in weighted
        if all("dequantize_per" in str(source.target) for source in node.args[:2])
    ]
    if len(quantized) != expected:
        raise ModelError(
            f"neural-compressor quantized {len(quantized)} of {expected} convolutions and dense "
            "layers and left the others in float",
            where="quantization.quantizer",
            hint='set quantizer = "onnxruntime"',
        )
    return expected


def _emitted_ranges(graph: Any, lifted: LiftedGraph) -> Mapping[str, ActivationRange]:
    results = {layer: result for layer, _, result in lifted.wiring}
    ranges = {}
    for node in graph.graph.nodes:
        if node.op != "call_function" or not str(node.target).startswith(
            "quantized_decomposed.quantize_per_tensor"
        ):
            continue
        source, scale, zero_point = node.args[0], node.args[1], node.args[2]
        path = " ".join(str(entry[0]) for entry in source.meta.get("nn_module_stack", {}).values())
        number = re.findall(r"node_(\d+)", path)
        if number:
            given = ActivationRange(float(np.float32(scale)), int(zero_point))
            ranges[results[f"node_{number[-1]}"]] = given
    return ranges


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep neural-compressor's tables, banners and warnings off the terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
