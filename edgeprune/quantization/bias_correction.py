"""Takes the mean error that rounding leaves in each channel out of the bias."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeprune.quantization.calibration import run_batches
from edgeprune.quantization.graph import initializers_of, set_initializer
from edgeprune.quantization.inputs import Feeds

_LIMIT = 2**31 - 1


def correct_biases(
    quantized: onnx.ModelProto, float_model: onnx.ModelProto, fed: Feeds
) -> onnx.ModelProto:
    """Return the QDQ graph with biases such that each channel's mean is the float graph's.

    Layer after layer, so that a layer is corrected for what the corrected ones before it still
    leave. Only the int32 biases change.

    Args:
        quantized: A QDQ graph that `make_qdq` made of `float_model`.
        float_model: The clean float graph.
        fed: Calibration windows by input name.
    """
    corrected = onnx.ModelProto()
    corrected.CopyFrom(quantized)
    layers = [
        node
        for node in float_model.graph.node
        if node.op_type in ("Conv", "Gemm") and len(node.input) > 2
    ]
    wanted = _channel_means(float_model, tuple(node.output[0] for node in layers), fed)
    made = {node.name: node for node in corrected.graph.node}
    producers = {name: node for node in corrected.graph.node for name in node.output}
    for layer, mean in zip(layers, wanted, strict=True):
        node = made[layer.name]
        (found,) = _channel_means(corrected, (node.output[0],), fed)
        bias, scale = list(producers[node.input[2]].input)[:2]
        values = initializers_of(corrected.graph)
        shifted = values[bias].astype(np.float64) + (mean - found) / values[scale].astype(
            np.float64
        )
        rounded = np.asarray(np.clip(np.round(shifted), -_LIMIT, _LIMIT), np.int32)
        set_initializer(corrected.graph, bias, rounded)
    return corrected


def _channel_means(
    model: onnx.ModelProto, names: tuple[str, ...], fed: Feeds
) -> list[NDArray[np.float64]]:
    sums: list[NDArray[np.float64]] = []
    count = 0
    for values in run_batches(model, names, fed):
        parts = [v.mean(axis=tuple(range(2, v.ndim)), dtype=np.float64).sum(0) for v in values]
        sums = [total + part for total, part in zip(sums, parts, strict=True)] if sums else parts
        count += len(values[0])
    return [total / count for total in sums]
