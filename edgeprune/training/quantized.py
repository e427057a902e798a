"""The last training: through the roundings of the integer network, so that it is what is proved.

Weights are rounded as the quantizer will round them (int8, symmetric, per output channel of a
convolution and per tensor of a dense layer), activations to the ranges that it has chosen, which
stay as they are and are handed back to it. Gradients pass the roundings straight through (Jacob et
al., CVPR 2018). Interval bounds are rounded at both ends, which is exact, since rounding never
falls; lines take half a step more on either side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import helper
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edgeprune.config import TrainingSettings
from edgeprune.errors import UnsupportedOperatorError
from edgeprune.progress import Progress
from edgeprune.quantization.calibration import ActivationRange
from edgeprune.quantization.graph import set_initializer
from edgeprune.quantization.lifted import LiftedGraph
from edgeprune.training.certified import CertifiedTraining
from edgeprune.training.fake_quantization import FakeQuantize, RoundedWeights
from edgeprune.training.loop import EpochRecord, train

if TYPE_CHECKING:
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.data.windows import Windows

_ACTIVATIONS = ("Relu", "Clip")
_KEEP_RANGE = ("Flatten", "Reshape", "MaxPool")


@dataclass(frozen=True)
class QuantizedTraining:
    """What the last training came to.

    Attributes:
        model: The float graph, its weights exactly what int8 can say.
        history: One record an epoch.
    """

    model: onnx.ModelProto
    history: tuple[EpochRecord, ...]


class QuantizedClassifier(nn.Module):
    """A clean float graph as a classifier that rounds as the integer network of it does.

    The logits are not rounded: their differences decide.

    Args:
        model: A clean float graph.
        ranges: Range of every activation.

    Raises:
        UnsupportedOperatorError: The graph holds an operator that cannot be trained.
    """

    def __init__(self, model: onnx.ModelProto, ranges: Mapping[str, ActivationRange]) -> None:
        super().__init__()
        try:
            self.graph = LiftedGraph(model)
        except UnsupportedOperatorError as error:
            raise UnsupportedOperatorError(
                error.what.replace("neural-compressor", "training through roundings"),
                where="robustness.quantized_epochs",
                hint="set it to 0",
            ) from error
        self.roundings = nn.ModuleDict()
        readers: dict[str, list[str]] = {}
        for node in model.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node.op_type)
        for number, node in enumerate(model.graph.node):
            name = node.output[0]
            # A layer and the activation behind it are one step of the integer network.
            joined = readers.get(name) and set(readers[name]) <= set(_ACTIVATIONS)
            if name != self.graph.output_name and not joined and node.op_type not in _KEEP_RANGE:
                self.roundings[f"node_{number}"] = FakeQuantize(ranges[name])
        for layer in self.graph.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                rounded = RoundedWeights(per_channel=isinstance(layer, nn.Conv2d))
                parametrize.register_parametrization(layer, "weight", rounded)

    def run(self, signal: Tensor, *rhythm: Tensor) -> Tensor:
        """Return the logits [n, classes]; feature maps are lifted to [n, channels, 1, length]."""
        given = (signal.unsqueeze(2), *rhythm)
        values = dict(zip(self.graph.input_names, given, strict=True))
        for layer, sources, result in self.graph.wiring:
            value = getattr(self.graph, layer)(*(values[source] for source in sources))
            if layer in self.roundings:
                value = self.roundings[layer](value)
            values[result] = value
        logits: Tensor = values[self.graph.output_name]
        return logits

    def forward(self, signal: Tensor, rhythm: Tensor) -> Tensor:
        """Return the logits [n, classes] of signal [n, channels, length] and rhythm."""
        return self.run(signal, rhythm)


class QuantizedSignalClassifier(QuantizedClassifier):
    """The same for a graph without a rhythm."""

    def forward(self, signal: Tensor) -> Tensor:  # type: ignore[override]
        """Return the logits [n, classes] of signal [n, channels, length]."""
        return self.run(signal)


def train_quantized(
    model: onnx.ModelProto,
    ranges: Mapping[str, ActivationRange],
    windows: Windows,
    validation: Windows,
    front_end: FrontEnd,
    training: TrainingSettings,
    certified: CertifiedTraining,
    seed: int,
    progress: Progress,
    checkpoints: Path | None = None,
    teachers: Sequence[nn.Module] = (),
    *,
    keeps_zeros: bool = False,
) -> QuantizedTraining:
    """Train a float graph through the roundings of its integer network.

    Args:
        model: A clean float graph; it is not changed.
        ranges: Range of every activation, as the quantizer chose them.
        windows: Training windows.
        validation: Windows of other patients, watched after each epoch; may be empty.
        front_end: What made the windows.
        training: How to train; epochs and rate come from `[robustness]`.
        certified: How decisions are made provable.
        seed: Seed of all draws.
        progress: Receives the steps.
        checkpoints: Folder to continue from and to leave a checkpoint in after each epoch.
        teachers: Classifiers to learn from besides the labels.
        keeps_zeros: Whether weights that are zero stay so: what pruning has taken out.

    Raises:
        UnsupportedOperatorError: The graph holds an operator that cannot be trained.
    """
    robust = certified.settings
    settings = replace(
        training,
        epochs=robust.quantized_epochs,
        learning_rate=training.learning_rate * robust.quantized_rate,
        l1=0.0,
        group_lasso=0.0,
    )
    has_rhythm = len(model.graph.input) > 1
    kind = QuantizedClassifier if has_rhythm else QuantizedSignalClassifier
    classifier = kind(model, ranges)
    result = train(
        classifier,
        windows,
        validation,
        front_end,
        settings,
        seed,
        progress,
        checkpoints,
        teachers,
        replace(certified, warm=True),
        zeros=_zeros(classifier) if keeps_zeros else None,
    )
    assert isinstance(result.model, QuantizedClassifier)
    return QuantizedTraining(_with_weights(model, result.model.graph), result.history)


def _zeros(classifier: QuantizedClassifier) -> dict[str, Tensor]:
    """Return which weights are zero before they are rounded."""
    return {
        name: parameter.detach() == 0
        for name, parameter in classifier.named_parameters()
        if name.endswith("parametrizations.weight.original") and bool((parameter == 0).any())
    }


@torch.no_grad()
def _with_weights(model: onnx.ModelProto, trained: LiftedGraph) -> onnx.ModelProto:
    """Return the graph with the rounded weights and the biases of the trained layers."""
    written = onnx.ModelProto()
    written.CopyFrom(model)
    for node, (name, _, _) in zip(model.graph.node, trained.wiring, strict=True):
        found = [
            m for m in getattr(trained, name).modules() if isinstance(m, nn.Conv2d | nn.Linear)
        ]
        if not found:
            continue
        (layer,) = found
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        weight = layer.weight.numpy()
        if isinstance(layer, nn.Linear):
            weight = weight if attributes.get("transB", 0) else weight.T
            weight = weight / np.float32(attributes.get("alpha", 1.0))
        elif len(_shape(model, node.input[1])) == 3:
            weight = weight[:, :, 0]
        set_initializer(written.graph, node.input[1], np.ascontiguousarray(weight))
        if layer.bias is not None:
            bias = layer.bias.numpy() / np.float32(attributes.get("beta", 1.0))
            set_initializer(written.graph, node.input[2], bias)
    return written


def _shape(model: onnx.ModelProto, name: str) -> tuple[int, ...]:
    return next(tuple(tensor.dims) for tensor in model.graph.initializer if tensor.name == name)
