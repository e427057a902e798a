"""EEGNet, small and quantized, for tests of several rooms."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import torch

from edgeprune.classifiers.eegnet import EegNet
from edgeprune.network import IntegerNetwork, read_qdq
from edgeprune.quantization import to_float_onnx
from edgeprune.quantization.calibration import ActivationRange, measure, percentile_range
from edgeprune.quantization.qdq import make_qdq

LENGTH, ELECTRODES = 64, 6


def signals(count: int) -> np.ndarray:
    """Return float32 [count, electrodes, length]."""
    return np.random.default_rng(5).normal(0, 1, (count, ELECTRODES, LENGTH)).astype(np.float32)


@cache
def quantized_eegnet() -> tuple[onnx.ModelProto, IntegerNetwork]:
    """Return the QDQ graph of a small EEGNet with trained-like statistics, and its network."""
    return quantized((LENGTH, ELECTRODES), 3, signals(16), temporal_filters=3, kernel=9)


def quantized(
    signal_shape: tuple[int, int], classes: int, windows: np.ndarray, **sizes: int
) -> tuple[onnx.ModelProto, IntegerNetwork]:
    """Return the same of an EEGNet of any size.

    Args:
        signal_shape: Length and electrodes.
        classes: Number of logits.
        windows: float32 [n, electrodes, length] that tell the ranges.
        **sizes: Further arguments of EegNet.
    """
    length, electrodes = signal_shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = EegNet(signal_shape, classes, dropout=0.0, **sizes)
        model(torch.randn(8, electrodes, length))  # fills the normalizations
    graph = to_float_onnx(model, signal_shape, 0)
    histograms = measure(graph, {"signal": windows})
    ranges = {name: percentile_range(found, 100.0) for name, found in histograms.items()}
    ranges["signal"] = ActivationRange(float(np.float32(4 / 127)), 0)
    qdq = make_qdq(graph, ranges)
    return qdq, read_qdq(qdq)
