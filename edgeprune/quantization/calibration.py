"""Which range of real numbers the 256 integers of each activation cover."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from edgeprune.quantization.inputs import Feeds, Floats

BINS = 4096
_BATCH = 256


@dataclass(frozen=True)
class ActivationRange:
    """How an int8 activation stands for real numbers: `scale * (q - zero_point)`.

    Attributes:
        scale: Real step of one LSB, exactly a float32.
        zero_point: The integer that stands for 0.
    """

    scale: float
    zero_point: int

    @classmethod
    def covering(cls, low: float, high: float) -> ActivationRange:
        """Return the range that covers `low` to `high`, widened to hold 0, with 0 exact."""
        low, high = min(low, 0.0), max(high, 0.0)
        if high - low < 1e-12:  # a value that is always 0: any step will do
            return cls(1.0 / 128, -128)
        scale = float(np.float32((high - low) / 255))
        return cls(scale, int(np.clip(round(-128 - low / scale), -128, 127)))


@dataclass(frozen=True)
class Histogram:
    """How the values of one activation are distributed over the calibration windows.

    Attributes:
        low: Smallest value.
        high: Largest value.
        counts: Values in each of `BINS` equal bins from low to high.
    """

    low: float
    high: float
    counts: NDArray[np.int64]

    @property
    def centers(self) -> NDArray[np.float64]:
        """Middle of each bin."""
        width = (self.high - self.low) / BINS
        return self.low + width * (np.arange(BINS) + 0.5)


def open_session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Open a graph for exact runs: one thread, nothing fused, quiet."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def expose(model: onnx.ModelProto, names: tuple[str, ...]) -> onnx.ModelProto:
    """Return a copy of the graph whose outputs are the float values `names`."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    for name in names:
        copy.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    return copy


def run_batches(
    model: onnx.ModelProto, names: tuple[str, ...], fed: Feeds
) -> Iterator[tuple[Floats, ...]]:
    """Yield the values `names` of a graph for one batch of windows after the other."""
    session = open_session(expose(model, names))
    total = len(next(iter(fed.values())))
    for start in range(0, total, _BATCH):
        yield tuple(session.run(None, {name: v[start : start + _BATCH] for name, v in fed.items()}))


def activations(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of all values that nodes of a float graph compute."""
    return tuple(name for node in model.graph.node for name in node.output if name)


def measure(model: onnx.ModelProto, fed: Feeds) -> Mapping[str, Histogram]:
    """Return the histogram of every activation over the given windows."""
    names = activations(model)
    bounds = np.tile([np.inf, -np.inf], (len(names), 1))
    for values in run_batches(model, names, fed):
        for bound, value in zip(bounds, values, strict=True):
            bound[:] = min(bound[0], float(value.min())), max(bound[1], float(value.max()))
    counts = np.zeros((len(names), BINS), np.int64)
    for values in run_batches(model, names, fed):
        for index, ((low, high), value) in enumerate(zip(bounds, values, strict=True)):
            if high > low:
                counts[index] += np.histogram(value, BINS, (low, high))[0]
    return {
        name: Histogram(float(low), float(high), count)
        for name, (low, high), count in zip(names, bounds, counts, strict=True)
    }


def percentile_range(histogram: Histogram, percentile: float) -> ActivationRange:
    """Return the range that covers the middle `percentile` of the values; 100 covers them all."""
    total = int(histogram.counts.sum())
    if percentile >= 100 or total == 0:
        return ActivationRange.covering(histogram.low, histogram.high)
    tail = (100 - percentile) / 200
    share = np.cumsum(histogram.counts) / total
    width = (histogram.high - histogram.low) / BINS
    first = int(np.searchsorted(share, tail, side="right"))
    last = int(np.searchsorted(share, 1 - tail, side="left"))
    return ActivationRange.covering(
        histogram.low + width * first, histogram.low + width * (last + 1)
    )


def least_error_range(histogram: Histogram) -> ActivationRange:
    """Return the range with the least squared error: clipping outside, rounding inside."""
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    if histogram.counts.sum() == 0:
        return ActivationRange.covering(low, high)
    shrink = np.linspace(0.2, 1.0, 81)
    lows = low * (shrink if low < 0 else np.ones(1))
    highs = high * (shrink if high > 0 else np.ones(1))
    centers, counts = histogram.centers, histogram.counts.astype(np.float64)
    below = (np.maximum(lows[:, None] - centers, 0) ** 2) @ counts
    above = (np.maximum(centers - highs[:, None], 0) ** 2) @ counts
    inside_low = (centers < lows[:, None]) @ counts
    inside_high = (centers > highs[:, None]) @ counts
    inside = counts.sum() - inside_low[:, None] - inside_high
    rounding = ((highs - lows[:, None]) / 255) ** 2 / 12
    error = below[:, None] + above + inside * rounding
    best_low, best_high = np.unravel_index(int(np.argmin(error)), error.shape)
    return ActivationRange.covering(float(lows[best_low]), float(highs[best_high]))
