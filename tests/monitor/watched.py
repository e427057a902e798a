"""Synthetic windows, a network and its fitted monitor: what the tests of monitors share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.data.front_end import BeatFrontEnd
from edgeprune.data.held_front_end import HeldBeats, hold
from edgeprune.data.synthetic import generate_record
from edgeprune.data.windows import Windows
from edgeprune.monitor import InputMonitor, MonitorSettings, SampleLimits, fitted_monitor
from edgeprune.network import IntegerNetwork
from edgeprune.targets import Adc
from tests.data.patients import three_patients
from tests.firmware.networks import behind_front_end

ADC = Adc(360.0, 5.0, 11)
FRONT_END = BeatFrontEnd.for_adc(ADC)


@dataclass(frozen=True, eq=False)
class Watched:
    """A network, its monitor, and the windows that both were made with."""

    network: IntegerNetwork
    monitor: InputMonitor
    coverage: float
    training: Windows
    validation: Windows
    samples: npt.NDArray[np.int16]
    beats: npt.NDArray[np.int64]
    held: HeldBeats


def windows(
    name: str, seconds: int
) -> tuple[Windows, npt.NDArray[np.int16], npt.NDArray[np.int64]]:
    """Return the windows of one synthetic record, its samples and its beats."""
    record = generate_record(three_patients(seconds), name, 7)
    samples, beats = record.samples, record.beats
    output = FRONT_END.run(samples, beats)
    kept, count = output.valid, int(output.valid.sum())
    made = Windows(
        output.signal[kept],
        output.rhythm[kept],
        output.gain[kept],
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        beats[kept],
        (name,),
        (name,),
        ("a", "b"),
        synthetic=True,
    )
    return made, samples, beats


def watched(coverage: float = 0.9, seconds: int = 120) -> Watched:
    network = behind_front_end()
    training, validation = windows("p01", seconds)[0], windows("p02", seconds)[0]
    own, samples, beats = windows("p03", seconds)
    settings = MonitorSettings(coverage=coverage)
    fitted = fitted_monitor(settings, network, training, validation, FRONT_END, ADC)
    return Watched(
        network,
        fitted.monitor,
        fitted.coverage,
        training,
        validation,
        samples,
        beats,
        hold(FRONT_END, ADC, samples, beats, np.searchsorted(beats, own.beat)),
    )


def random_monitor(seed: int) -> InputMonitor:
    """Return a monitor of int8 signals with drawn shape, zones, tables and limits."""
    random = np.random.default_rng(seed)
    length, channels = int(random.integers(1, 40)), int(random.integers(1, 4))
    classes = int(random.integers(2, 6))
    inner = random.integers(1, max(length, 2), 3)
    zones = tuple(sorted({0, length, *(int(each) for each in inner if each < length)}))
    shape = (classes, len(zones) - 1)
    return InputMonitor(
        length,
        channels,
        int(random.integers(1, channels + 1)),
        zones,
        tuple(map(tuple, random.integers(60, 400, shape).tolist())),
        tuple(map(tuple, random.integers(1, 1 << random.integers(1, 15), shape).tolist())),
        int(random.integers(0, 1 << random.integers(1, 25))),
        int(random.integers(0, 200)),
        SampleLimits(
            length,
            int(random.integers(-128, 0)),
            int(random.integers(1, 128)),
            int(random.integers(1, 10)),
            int(random.integers(1, length + 1)),
            int(random.integers(0, 60)),
            int(random.integers(1, 4)),
        ),
        None,
    )


def random_windows(
    monitor: InputMonitor, count: int, seed: int
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """Return signals of all kinds, from still ones to full-scale noise, and logits with ties."""
    random = np.random.default_rng(seed)
    shape = (count, monitor.length, monitor.channels)
    scale = random.choice([0, 1, 4, 30, 128, 1000], (count, 1, 1))
    signal = np.clip(random.normal(0, 1, shape) * scale, -128, 127).astype(np.int8)
    spread = random.choice([1, 2, 20, 128], (count, 1))
    logits = random.integers(-spread, spread, (count, monitor.classes)).astype(np.int8)
    return signal, logits
