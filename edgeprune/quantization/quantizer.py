"""From a float graph to the QDQ graph whose int8 decisions stay nearest to the float ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx
from numpy.typing import NDArray

from edgeprune.config import QuantizationSettings
from edgeprune.errors import DataError, ModelError
from edgeprune.progress import Progress
from edgeprune.quantization.bias_correction import correct_biases
from edgeprune.quantization.calibration import (
    ActivationRange,
    Histogram,
    least_error_range,
    measure,
    percentile_range,
    run_batches,
)
from edgeprune.quantization.graph import clean_float_onnx
from edgeprune.quantization.inputs import Feeds, draw_calibration, feeds, graph_inputs
from edgeprune.quantization.qdq import make_qdq
from edgeprune.registry import Registry

if TYPE_CHECKING:
    from edgeprune.data.front_ends import FrontEnd
    from edgeprune.data.windows import Windows

Ranges = Mapping[str, ActivationRange]
AS_TRAINED = "ranges it was trained for"


@dataclass(frozen=True)
class Trial:
    """One way to set the ranges and how far its decisions are from the float graph's.

    Attributes:
        calibration: What set the ranges, in words.
        divergence: Mean Kullback-Leibler divergence (nats) of the class probabilities, over the
            calibration windows.
    """

    calibration: str
    divergence: float


@dataclass(frozen=True)
class QuantizationResult:
    """A QDQ graph and how it was found.

    Attributes:
        model: The QDQ graph.
        chosen: The trial it is of, the one with the least divergence.
        trials: All that was tried.
        windows: Calibration windows.
        ranges: Range of every input and activation, by value name.
    """

    model: onnx.ModelProto
    chosen: Trial
    trials: tuple[Trial, ...]
    windows: int
    ranges: Ranges


Labels = NDArray[np.int64]
Calibrator = Callable[
    [onnx.ModelProto, Feeds, Mapping[str, Histogram], QuantizationSettings, Labels],
    Mapping[str, Ranges],
]


def _by_onnxruntime(
    model: onnx.ModelProto,
    fed: Feeds,
    histograms: Mapping[str, Histogram],
    settings: QuantizationSettings,
    _: Labels,
) -> Mapping[str, Ranges]:
    def percentiles(percentile: float) -> Ranges:
        return {name: percentile_range(h, percentile) for name, h in histograms.items()}

    ways = {f"percentile {settings.percentile:g}": percentiles(settings.percentile)}
    if settings.search:
        for percentile in (100.0, 99.99, 99.9):
            ways.setdefault(f"percentile {percentile:g}", percentiles(percentile))
        ways["least squared error"] = {n: least_error_range(h) for n, h in histograms.items()}
    return ways


def _by_neural_compressor(
    model: onnx.ModelProto,
    fed: Feeds,
    histograms: Mapping[str, Histogram],
    settings: QuantizationSettings,
    labels: Labels,
) -> Mapping[str, Ranges]:
    from edgeprune.quantization.neural_compressor import tuned_ranges

    tuned = tuned_ranges(model, fed, labels, settings.accuracy_loss)
    full = {name: percentile_range(histogram, 100.0) for name, histogram in histograms.items()}
    return {f"neural-compressor {tuned.description}": {**full, **tuned.ranges}}


QUANTIZERS: Registry[Calibrator] = Registry(
    "quantizer",
    onnxruntime=_by_onnxruntime,
)
QUANTIZERS.add("neural-compressor", _by_neural_compressor)


def quantize(
    float_model: onnx.ModelProto,
    calibration: Windows,
    front_end: FrontEnd,
    settings: QuantizationSettings,
    progress: Progress,
    seed: int,
    *,
    where: str = "",
    ranges: Ranges | None = None,
) -> QuantizationResult:
    """Quantize a float graph; the same arguments give the same bytes.

    The inputs get the front end's own scales and zero points, so that quantizing them loses
    nothing. Each way to set the other ranges is tried as it stands and with corrected biases; the
    one whose class probabilities stay nearest to the float graph's is kept.

    Args:
        float_model: A float graph, from `to_float_onnx` or a user's own.
        calibration: Windows to draw the calibration windows from; not the test windows.
        front_end: What made the windows.
        settings: Quantizer and calibration.
        progress: Receives the trials.
        seed: Seed of the draw.
        where: File or class that the graph is of, for errors.
        ranges: Ranges that the graph was trained for: they are taken as they are, and no bias is
            corrected.

    Raises:
        UnknownNameError: No quantizer has that name.
        ModelError: The graph cannot be quantized, or not within the stated loss of accuracy.
        DataError: There are no calibration windows.
    """
    calibrate = QUANTIZERS.get(settings.quantizer, where="quantization.quantizer")
    if len(calibration.label) == 0:
        raise DataError(
            "there are no windows to calibrate with",
            where="quantization",
            hint="give windows of the training set",
        )
    clean = clean_float_onnx(float_model, where=where or float_model.graph.name or "float graph")
    drawn = draw_calibration(calibration, settings.calibration_windows, seed)
    fed = feeds(clean, drawn, front_end)
    forced = input_ranges(clean, front_end)
    ways: Mapping[str, Ranges]
    if ranges is not None:
        ways = {AS_TRAINED: ranges}
    else:
        ways = calibrate(clean, fed, measure(clean, fed), settings, drawn.label)
    output = clean.graph.output[0].name
    wanted = _log_probabilities(clean, output, fed)
    trials: list[Trial] = []
    limit = _least_accuracy(wanted, drawn.label, settings)
    accuracies: list[float] = []
    best = None
    with progress.task("calibration", len(ways), "trial") as advance:
        for way, tried in ways.items():
            complete = {**tried, **forced}
            plain = make_qdq(clean, complete)
            candidates = {way: plain}
            if settings.correct_biases and ranges is None:
                candidates[f"{way}, biases corrected"] = correct_biases(plain, clean, fed)
            for name, candidate in candidates.items():
                found = _log_probabilities(candidate, output, fed)
                trial = Trial(name, _divergence(wanted, found))
                trials.append(trial)
                accuracies.append(_accuracy(found, drawn.label))
                if accuracies[-1] < limit:
                    continue
                if best is None or trial.divergence < best[0].divergence:
                    best = trial, candidate, complete
            advance(1)
    if best is None:
        raise ModelError(
            f"int8 decides at best {max(accuracies):.4f} of the calibration windows rightly, the "
            f"float network {_accuracy(wanted, drawn.label):.4f}: more is lost than allowed",
            where=f"quantization.accuracy_loss = {settings.accuracy_loss:g}",
            hint="allow more, prune less, or calibrate with more windows "
            "(quantization.calibration_windows)",
        )
    progress.note(f"quantized by {best[0].calibration}: divergence {best[0].divergence:.2e} nats")
    return QuantizationResult(best[1], best[0], tuple(trials), len(drawn.label), best[2])


def input_ranges(model: onnx.ModelProto, front_end: FrontEnd) -> Ranges:
    """Return the ranges of the graph's inputs: what the front end's integers stand for."""
    signal, rhythm = graph_inputs(model)
    scale = float(np.float32(front_end.signal_scale))
    forced = {signal: ActivationRange(scale, front_end.signal_zero_point)}
    if rhythm is not None:
        scale = float(np.float32(front_end.rhythm_scale))
        forced[rhythm] = ActivationRange(scale, front_end.rhythm_zero_point)
    return forced


def _least_accuracy(
    wanted: NDArray[np.float64], labels: Labels, settings: QuantizationSettings
) -> float:
    """Return the accuracy that int8 must keep; 0 where no loss is stated."""
    if settings.accuracy_loss <= 0:
        return 0.0
    return _accuracy(wanted, labels) * (1 - settings.accuracy_loss)


def _accuracy(log_probabilities: NDArray[np.float64], labels: Labels) -> float:
    return float((log_probabilities.argmax(axis=1) == labels).mean())


def _log_probabilities(model: onnx.ModelProto, output: str, fed: Feeds) -> NDArray[np.float64]:
    logits = np.concatenate([batch for (batch,) in run_batches(model, (output,), fed)])
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _divergence(wanted: NDArray[np.float64], found: NDArray[np.float64]) -> float:
    return float((np.exp(wanted) * (wanted - found)).sum(axis=1).mean())
