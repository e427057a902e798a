"""Fits a monitor's integers on training windows, its limits on training and validation windows.

Three validation patients say too little about how sure a network is of the next patient's beats:
on MIT-BIH, limits that left 98 % of theirs left 90 % of the test patients'. So the limits are
quantiles over the windows of all patients that training knew of, each patient weighing the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from edgeprune.data import BeatFrontEnd, FrontEnd, Windows
from edgeprune.data.integer_arithmetic import Int8Array, Int64Array
from edgeprune.errors import NetworkError
from edgeprune.monitor.input_monitor import (
    FLOOR,
    MOST_SUM,
    WEIGHT_BITS,
    InputMonitor,
    SampleLimits,
    distances,
    margins,
)
from edgeprune.monitor.settings import MonitorSettings
from edgeprune.network import IntegerNetwork
from edgeprune.targets import Adc

# A class that is decided more rarely in training borrows the features of all windows.
_LEAST_WINDOWS = 50
_ZONES = 4
# What "unusual" alone may refuse of what may be refused; the rest is left to "low margin", which
# finds more errors in undisturbed windows. With a quarter, mild muscle noise was refused in which
# a network erred no more than without.
_UNUSUAL_SHARE = 0.1
# Undisturbed int8 windows that may look saturated or flat: what clean signals do is no lead-off.
_ODD_SHARE = 0.001
_FLAT_BLOCKS_OF_SIGNAL = 6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """A fitted monitor.

    Attributes:
        monitor: The monitor.
        coverage: Share of the windows that it was fitted on that it leaves, each patient weighing
            the same.
    """

    monitor: InputMonitor
    coverage: float


def fit_monitor(
    settings: MonitorSettings,
    network: IntegerNetwork,
    training: Windows,
    validation: Windows,
    front_end: FrontEnd | None = None,
    adc: Adc | None = None,
) -> InputMonitor:
    """Return the monitor alone; see `fitted_monitor`."""
    return fitted_monitor(settings, network, training, validation, front_end, adc).monitor


def fitted_monitor(
    settings: MonitorSettings,
    network: IntegerNetwork,
    training: Windows,
    validation: Windows,
    front_end: FrontEnd | None = None,
    adc: Adc | None = None,
) -> Fitted:
    """Fit the monitor of a network.

    Args:
        settings: What is asked for.
        network: Whose windows are watched.
        training: Undisturbed windows that the network learnt from.
        validation: Undisturbed windows of other patients.
        front_end: Where raw samples are; None, and segments, watch the int8 signal instead.
        adc: The converter behind the front end; needed with it.

    Raises:
        NetworkError: The network has one class only, or the window is too long for 32-bit sums.
    """
    parts = (training, validation)
    signal = np.concatenate([part.signal for part in parts])
    logits = np.concatenate([_logits(network, part) for part in parts])
    if logits.shape[1] < 2:
        raise NetworkError(
            "a monitor needs two classes or more", hint="set monitor.enabled = false"
        )
    monitor = _blank(settings, network, signal, front_end, adc)
    features, decided = monitor.features(signal), np.argmax(logits, axis=1)
    learnt = np.arange(len(signal)) < len(training)
    tables = [
        _centre_and_weight(features[_enough(learnt & (decided == label), learnt)])
        for label in range(logits.shape[1])
    ]
    centres = np.array([centre for centre, _ in tables])
    weights = np.array([weight for _, weight in tables])
    share = patient_shares(parts)
    score = distances(features, centres[decided], weights[decided])
    refused = 1 - settings.coverage
    unusual = _least_limit(score, share, 1 - refused * _UNUSUAL_SHARE)
    monitor = replace(
        monitor,
        centres=tuple(tuple(int(value) for value in row) for row in centres),
        weights=tuple(tuple(int(value) for value in row) for row in weights),
        unusual=unusual,
        margin=_greatest_margin(margins(logits), score <= unusual, share, settings.coverage),
    )
    left = monitor.verdicts(signal, logits) == 0
    return Fitted(monitor, float(share[left].sum()))


def patient_shares(parts: Sequence[Windows]) -> Floats:
    """Return each window's weight: every patient weighs the same, all windows together 1."""
    names = [
        np.array(part.patients)[part.record] if len(part) else np.array([], np.str_)
        for part in parts
    ]
    _, patient = np.unique(np.concatenate(names), return_inverse=True)
    counts = np.bincount(patient)
    return np.asarray(1 / (counts[patient] * len(counts)))


def _logits(network: IntegerNetwork, windows: Windows) -> Int8Array:
    return network.run(*(windows.signal, windows.rhythm)[: len(network.inputs)])


def _enough(chosen: npt.NDArray[np.bool_], all_of_them: npt.NDArray[np.bool_]) -> Int64Array:
    rows = np.flatnonzero(chosen)
    return rows if len(rows) >= _LEAST_WINDOWS else np.flatnonzero(all_of_them)


def _centre_and_weight(features: Int64Array) -> tuple[Int64Array, Int64Array]:
    """Return the rounded mean and 2^14 over the variance of features [n, f]."""
    centre = np.rint(features.mean(axis=0)).astype(np.int64)
    # One step of rounding is within what is usual.
    deviation = features.std(axis=0) + 1
    weight = np.rint((1 << WEIGHT_BITS) / deviation**2).astype(np.int64)
    return centre, np.maximum(weight, 1)


def _least_limit(values: Int64Array, share: Floats, wanted: float) -> int:
    """Return the least limit that at least the wanted share of the windows does not exceed."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(share[order])
    place = min(int(np.searchsorted(total, wanted * total[-1] - 1e-12)), len(values) - 1)
    return int(values[order[place]])


def _greatest_margin(
    margin: Int64Array, usual: npt.NDArray[np.bool_], share: Floats, coverage: float
) -> int:
    """Return the greatest margin that, asked of usual windows, leaves the wanted share of all."""
    by_margin = np.bincount(margin[usual], weights=share[usual], minlength=256)
    left = np.cumsum(by_margin[::-1])[::-1]
    enough = np.flatnonzero(left >= coverage * share.sum() - 1e-12)
    return int(enough[-1]) if len(enough) else 0


def _blank(
    settings: MonitorSettings,
    network: IntegerNetwork,
    signal: Int8Array,
    front_end: FrontEnd | None,
    adc: Adc | None,
) -> InputMonitor:
    """Return a monitor with everything but the tables and limits of scores and logits."""
    tensor = network.input_tensors[0]
    length, channels = (tensor.shape[0], tensor.row_size) if tensor.is_map else (tensor.size, 1)
    # Of segments the int8 signal itself is watched.
    if isinstance(front_end, BeatFrontEnd) and adc is not None:
        # The second channel is the first one minus the template: it brings no news of noise.
        read, samples = 1, raw_limits(settings, front_end, adc)
        zones = tuple(sorted({0, front_end.p_wave[0], *front_end.qrs, length}))
        before: int | None = front_end.before * front_end.factor
    else:
        read = channels
        zones = tuple(sorted({round(length * zone / _ZONES) for zone in range(_ZONES + 1)}))
        samples = _signal_limits(settings, signal.reshape(len(signal), length, channels))
        before = None
    if 4 * 255 * length * read + FLOOR >= MOST_SUM:
        raise NetworkError(
            f"windows of {length} x {channels} are too long for the monitor",
            hint="set monitor.enabled = false",
        )
    return InputMonitor(length, channels, read, zones, (), (), 0, 0, samples, before)


def raw_limits(settings: MonitorSettings, front_end: BeatFrontEnd, adc: Adc) -> SampleLimits:
    """Return what the raw samples of a window proper must not do, in the converter's counts."""
    count = front_end.length * front_end.factor
    half = 1 << (adc.bits - 1)
    wanted = max(1, round(settings.flat_milliseconds / 1000 * adc.rate_hz))
    # Counts are whole: 1/3 uV a count must not turn 10 uV into 29.
    flat = int(Fraction(str(settings.flat_microvolt)) / Fraction(str(adc.microvolt_per_count)))
    return SampleLimits(
        count=count,
        low=-half,
        high=half - 1,
        rail_samples=_rail_samples(settings, count),
        block=count // max(1, count // wanted),
        flat_range=flat,
        flat_blocks=1,
    )


def _rail_samples(settings: MonitorSettings, count: int) -> int:
    return max(1, int(np.ceil(settings.rail_share * count)))


def _signal_limits(settings: MonitorSettings, signal: Int8Array) -> SampleLimits:
    """Return limits of the int8 signal that hardly any of these windows [n, length, c] reaches."""
    _, length, channels = signal.shape
    blank = SampleLimits(
        count=length,
        low=-128,
        high=127,
        rail_samples=_rail_samples(settings, length * channels),
        block=max(1, length // _FLAT_BLOCKS_OF_SIGNAL),
        flat_range=0,
        flat_blocks=1,
    )
    rails = int(np.quantile(blank.rails(signal), 1 - _ODD_SHARE, method="higher")) + 1
    flats = int(np.quantile(blank.flats(signal), 1 - _ODD_SHARE, method="higher")) + 1
    return SampleLimits(
        length,
        blank.low,
        blank.high,
        max(blank.rail_samples, rails),
        blank.block,
        blank.flat_range,
        flats,
    )
