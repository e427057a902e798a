"""Synthetic patients with seizures: EEG made by rule, with an onset and an end that are known.

No patient was measured. The purpose is an embedded default and tests without any download; the
figures that a classifier reaches here say nothing about patients, and less about seizures: these
are caricatures (3 Hz spike and wave, rhythmic theta that slows and grows) on coloured noise.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeprune.data.cards import DatasetCard, SyntheticEegCard
from edgeprune.data.eeg_artefacts import (
    FloatArray,
    blink_shape,
    blink_spread,
    muscle_noise,
    pop_shape,
)
from edgeprune.data.recordings import Event, Recording
from edgeprune.data.segments import cut_segments
from edgeprune.errors import ConfigurationError
from edgeprune.progress import Progress

SEIZURE = "seizure"
_LEAST_HZ = 0.3
# No seizure begins or ends so near a recording's ends.
_MARGIN_SECONDS = 20.0
_BUILD_UP_SECONDS = 4.0


@dataclass(frozen=True)
class _Patient:
    """One synthetic patient; uV, Hz, shares.

    Attributes:
        background: RMS of the background.
        slope: Exponent of its 1/f^slope power.
        common: Share of the background that the channels have in common.
        alpha: RMS of the alpha rhythm where it is on.
        alpha_hz: Its frequency.
        mains: Amplitude of the hum.
        mains_hz: Its frequency.
        spike_wave: The seizures are of spikes and waves; else of rhythmic theta.
        seizure: Amplitude of the seizures where they are strongest.
        focus: Amplitude of the seizures by channel.
        blinks: A minute.
        blink: Height at the frontal poles.
        bursts: Of muscle, a minute.
        muscle: Their RMS.
        pops: Of electrodes, a minute.
    """

    background: float
    slope: float
    common: float
    alpha: float
    alpha_hz: float
    mains: float
    mains_hz: float
    spike_wave: bool
    seizure: float
    focus: FloatArray
    blinks: float
    blink: float
    bursts: float
    muscle: float
    pops: float


def generate_all(
    card: DatasetCard, directory: Path | None, progress: Progress, seed: int
) -> tuple[Recording, ...]:
    """Return the records of a card with the source "synthetic-eeg".

    Args:
        card: The data set.
        directory: Not used.
        progress: Told about each record.
        seed: Seed of the whole data set.

    Raises:
        ConfigurationError: See `generate_eeg`.
    """
    del directory
    recordings = []
    with progress.task(f"generating {card.name}", len(card.split.records), "records") as advance:
        for name in card.split.records:
            recordings.append(generate_eeg(card, name, seed))
            advance(1)
    return tuple(recordings)


def generate_eeg(card: DatasetCard, record: str, seed: int) -> Recording:
    """Return one synthetic record; the same card, name and seed give the same record.

    Args:
        card: A card whose source is "synthetic-eeg", with the tables `window` and `synthetic_eeg`.
        record: Name of the record; those of one patient share what is the patient's.
        seed: Seed of the whole data set.

    Raises:
        ConfigurationError: The card lacks a table, or a class of seizures.
    """
    parameters = card.synthetic_eeg
    label = card.label_of(SEIZURE)
    if parameters is None:
        raise ConfigurationError(
            "the table 'synthetic_eeg' is missing", where=card.path, hint="state its seconds"
        )
    if label is None or label < 1:
        raise ConfigurationError(
            f"the labels have no class for '{SEIZURE}'",
            where=card.path,
            hint=f'give it a class behind the first in [labels]: seizure = ["{SEIZURE}"]',
        )
    signal = card.signal
    patient = _draw_patient(_generator(seed, card.patient(record)), len(signal.channels))
    generator = _generator(seed, record)
    rate, count = float(signal.rate_hz), round(parameters.seconds * signal.rate_hz)
    microvolts = _background(generator, patient, count, rate, len(signal.channels))
    begin, end = _draw_times(generator, parameters)
    _add_seizure(microvolts, generator, patient, rate, begin, end)
    _add_artefacts(microvolts, generator, patient, rate, signal.channels, parameters.artefacts)
    half = 1 << (signal.bits - 1)
    counts = np.rint(microvolts / signal.microvolt_per_count)
    samples = np.clip(counts, -half, half - 1).astype(np.int16)
    events = (Event(begin, end, label),)
    starts, labels = cut_segments(card, count, events)
    return Recording(
        name=record,
        patient=card.patient(record),
        lead=", ".join(signal.channels),
        adc=card.adc,
        samples=samples,
        beats=starts,
        labels=labels,
        events=events,
    )


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _draw_patient(generator: np.random.Generator, channels: int) -> _Patient:
    uniform = generator.uniform
    focus = uniform(0.25, 1.0, channels)
    focus[generator.integers(channels)] = 1.0
    return _Patient(
        background=uniform(14, 30),
        slope=uniform(0.9, 1.5),
        common=uniform(0.2, 0.5),
        alpha=uniform(3, 14),
        alpha_hz=uniform(8.2, 11.8),
        mains=uniform(0, 2),
        mains_hz=50.0 if generator.random() < 0.5 else 60.0,
        spike_wave=bool(generator.random() < 0.5),
        seizure=uniform(70, 160),
        focus=focus,
        blinks=uniform(4, 16),
        blink=uniform(80, 180),
        bursts=uniform(0.5, 3),
        muscle=uniform(8, 30),
        pops=uniform(0.1, 0.6),
    )


def _draw_times(generator: np.random.Generator, card: SyntheticEegCard) -> tuple[float, float]:
    """Return where the record's seizure begins and ends, in whole seconds as annotators write."""
    length = generator.uniform(card.shortest_seizure, card.longest_seizure)
    latest = card.seconds - _MARGIN_SECONDS - length
    begin = round(generator.uniform(min(_MARGIN_SECONDS, max(latest, 0.0)), max(latest, 0.0)))
    return float(begin), float(min(begin + round(length), card.seconds))


def _coloured(generator: np.random.Generator, count: int, rate: float, slope: float) -> FloatArray:
    """Return noise of RMS 1 whose power falls as 1/f^slope above 0.3 Hz."""
    spectrum = np.fft.rfft(generator.normal(size=count))
    frequency = np.fft.rfftfreq(count, 1 / rate)
    gain = np.where(frequency < _LEAST_HZ, 0.0, np.maximum(frequency, _LEAST_HZ) ** (-slope / 2))
    noise = np.fft.irfft(spectrum * gain, count)
    return np.asarray(noise / noise.std())


def _slow(generator: np.random.Generator, count: int, rate: float, seconds: float) -> FloatArray:
    """Return a level from 0 to 1 that changes over some seconds."""
    knots = np.arange(0, count / rate + seconds, seconds)
    levels = np.interp(np.arange(count) / rate, knots, generator.random(len(knots)))
    return np.asarray(levels)


def _background(
    generator: np.random.Generator, patient: _Patient, count: int, rate: float, channels: int
) -> FloatArray:
    """Return background, alpha and hum in microvolts [count, channels]."""
    time = np.arange(count) / rate
    common = _coloured(generator, count, rate, patient.slope)
    columns = []
    for _ in range(channels):
        own = _coloured(generator, count, rate, patient.slope)
        mixed = np.sqrt(patient.common) * common + np.sqrt(1 - patient.common) * own
        columns.append(patient.background * mixed)
    wander = np.cumsum(generator.normal(0, 0.15 / np.sqrt(rate), count))
    phase = 2 * np.pi * (patient.alpha_hz * time + wander)
    level = np.clip(2 * _slow(generator, count, rate, 5.0) - 0.6, 0, 1)
    alpha = np.sqrt(2) * patient.alpha * level * np.sin(phase)
    hum = patient.mains * np.sin(2 * np.pi * (patient.mains_hz * time + generator.random()))
    shares = generator.uniform(0.5, 1.0, channels)
    return np.asarray(np.stack(columns, axis=1) + alpha[:, None] * shares + hum[:, None])


def _add_seizure(
    microvolts: FloatArray,
    generator: np.random.Generator,
    patient: _Patient,
    rate: float,
    begin: float,
    end: float,
) -> None:
    """Add one seizure in place; some seconds after it the background is slower and lower."""
    first, last = round(begin * rate), round(end * rate)
    time = np.arange(last - first) / rate
    length = end - begin
    shares = time / max(length, 1e-9)
    if patient.spike_wave:
        start, stop, irregular = 3.3, 2.5, 0.02
    else:
        start, stop, irregular = generator.uniform(6, 7.5), generator.uniform(3.5, 4.5), 0.05
    wander = np.cumsum(generator.normal(0, irregular / np.sqrt(rate), len(time)))
    phase = np.cumsum((start + (stop - start) * shares) / rate) + wander
    wave = _spike_wave(phase) if patient.spike_wave else _theta(phase)
    rise = np.clip(time / min(_BUILD_UP_SECONDS, length / 3), 0, 1)
    fall = np.clip((length - time) / min(1.5, length / 6), 0, 1)
    growth = 1.0 if patient.spike_wave else 0.5 + 0.5 * shares
    strength = patient.seizure * generator.uniform(0.8, 1.2)
    envelope = strength * rise * fall * growth
    microvolts[first:last] += (envelope * wave)[:, None] * patient.focus
    after = microvolts[last : last + round(10 * rate)]
    slowed = _coloured(generator, max(len(after), 4), rate, patient.slope + 1.0)[: len(after)]
    back = np.linspace(1, 0, len(after))[:, None]
    after[:] = after * (1 - 0.6 * back) + 0.8 * patient.background * slowed[:, None] * back


def _spike_wave(phase: FloatArray) -> FloatArray:
    """Return a sharp spike and the slow wave behind it, once a turn of `phase`."""
    turn = phase % 1.0
    spike = np.exp(-0.5 * ((turn - 0.15) / 0.035) ** 2)
    slow = np.where(turn > 0.25, np.sin(np.pi * (turn - 0.25) / 0.75), 0.0)
    return np.asarray(0.9 * spike - 0.8 * slow + 0.3)


def _theta(phase: FloatArray) -> FloatArray:
    """Return a rhythm that is a little sharper than a sinusoid."""
    return np.asarray(0.85 * np.sin(2 * np.pi * phase) + 0.25 * np.sin(4 * np.pi * phase + 0.6))


def _add_artefacts(
    microvolts: FloatArray,
    generator: np.random.Generator,
    patient: _Patient,
    rate: float,
    channels: tuple[str, ...],
    often: float,
) -> None:
    """Add blinks, muscle and pops of electrodes in place."""
    count, minutes = len(microvolts), len(microvolts) / rate / 60
    spread = np.array(blink_spread(channels))
    for place in generator.integers(0, count, generator.poisson(often * patient.blinks * minutes)):
        height = patient.blink * generator.uniform(0.6, 1.3)
        _add(microvolts, int(place), height * blink_shape(rate)[:, None] * spread)
    for place in generator.integers(0, count, generator.poisson(often * patient.bursts * minutes)):
        length = round(generator.uniform(0.4, 3.0) * rate)
        levels = patient.muscle * generator.uniform(0.3, 1.2, len(channels))
        burst = [level * muscle_noise(generator, length, rate) for level in levels]
        _add(microvolts, int(place), np.stack(burst, axis=1))
    for place in generator.integers(0, count, generator.poisson(often * patient.pops * minutes)):
        chosen = np.zeros(len(channels))
        chosen[generator.integers(len(channels))] = generator.choice([-1, 1])
        height = generator.uniform(60, 200)
        _add(microvolts, int(place), height * pop_shape(rate)[:, None] * chosen)


def _add(microvolts: FloatArray, place: int, shape: FloatArray) -> None:
    end = min(place + len(shape), len(microvolts))
    microvolts[place:end] += shape[: end - place]
