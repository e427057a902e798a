"""Synthetic patients: the dynamical ECG model with ectopic beats, noise and a converter.

No patient was measured. The purpose is an embedded default and tests without any download; the
figures that a classifier reaches here say nothing about patients.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from edgeprune.data.cards import DatasetCard, SyntheticCard
from edgeprune.data.mcsharry import (
    FloatArray,
    Morphology,
    integrate,
    paper_morphology,
    rr_process,
)
from edgeprune.data.recordings import Recording
from edgeprune.errors import ConfigurationError

# One letter a kind of beat, as the card's labels name them.
NORMAL, NARROW, WIDE, FUSION = "N", "S", "V", "F"
_LEAD_IN_SECONDS = 8.0
_SHORTEST_SECONDS = 0.25


@dataclass(frozen=True)
class _Patient:
    """One synthetic patient: waves of each kind of beat, rhythm and noise (seconds, mV, Hz)."""

    normal: Morphology
    narrow: Morphology
    wide: tuple[Morphology, ...]
    mean_rr: float
    deviation: float
    respiration_hz: float
    shares: tuple[float, float, float]
    narrow_coupling: float
    wide_coupling: float
    wander: float
    mains: float
    mains_hz: float
    muscle: float


def generate_record(card: DatasetCard, record: str, seed: int) -> Recording:
    """Return one synthetic record; the same card, name and seed give the same record.

    Args:
        card: A card whose source is "synthetic-ecg", with the table of that name.
        record: Name of the record, which is also its patient.
        seed: Seed of the whole data set.

    Raises:
        ConfigurationError: The card lacks the table, or a class of beat.
    """
    parameters = card.synthetic_ecg
    if parameters is None:
        raise ConfigurationError(
            "the table 'synthetic_ecg' is missing", where=card.path, hint="state its seconds"
        )
    generator = np.random.default_rng([seed, zlib.crc32(record.encode())])
    patient = _draw_patient(generator, parameters)
    rate = float(card.signal.rate_hz)
    seconds = parameters.seconds
    r_times, kinds = _draw_beats(generator, patient, seconds + _LEAD_IN_SECONDS + 2.0)
    waves = _draw_waves(generator, patient, kinds, r_times)

    lead_in = round(_LEAD_IN_SECONDS * rate)
    count = round(seconds * rate)
    half_steps = np.arange(2 * (lead_in + count) - 1) / (2 * rate)
    breathing = 0.15 * patient.wander * np.sin(2 * np.pi * patient.respiration_hz * half_steps)
    clean = integrate(r_times, waves, breathing, rate)[lead_in:]
    millivolts = clean + _draw_noise(generator, patient, count, rate)

    half_range = 1 << (card.signal.bits - 1)
    counts = np.rint(millivolts * (1000.0 / card.signal.microvolt_per_count))
    samples = np.clip(counts, -half_range, half_range - 1).astype(np.int16)
    # Annotators place a beat near its R wave, not on it.
    marks = np.rint((r_times - _LEAD_IN_SECONDS) * rate + generator.normal(0, 1, len(r_times)))
    inside = (marks >= 0) & (marks < count)
    labels = [card.label_of(kind) for kind in kinds]
    if None in labels:
        raise ConfigurationError(
            "the labels lack a kind of beat that is generated",
            where=card.path,
            hint="give N, S, V and F a class in [labels]",
        )
    return Recording(
        name=record,
        patient=card.patient(record),
        lead=card.signal.leads[0],
        adc=card.adc,
        samples=samples,
        beats=marks[inside].astype(np.int64),
        labels=np.array(labels, np.int64)[inside],
    )


def _draw_patient(generator: np.random.Generator, parameters: SyntheticCard) -> _Patient:
    """Draw a patient; the ranges are of the order that adults at rest show in lead II."""
    uniform = generator.uniform
    paper = paper_morphology()
    delays = np.array([uniform(-0.20, -0.13), -0.030, 0.0, 0.030, uniform(0.24, 0.34)])
    widths = np.array([0.022, 0.008, 0.011, 0.010, 0.055]) * uniform(0.8, 1.25, 5)
    peaks = np.array([0.12, -0.10, 1.1, -0.25, 0.28]) * uniform(0.6, 1.5, 5)
    if generator.random() < 0.2:
        # A bundle branch block: every normal beat is wide, and its T wave is turned.
        delays[1:4] = [-0.045, 0.0, uniform(0.045, 0.06)]
        widths[1:4] *= uniform(1.6, 2.0)
        peaks[4] *= -0.7
    normal = Morphology(delays, widths, peaks)

    narrow = Morphology(
        delays * np.array([uniform(0.6, 1.1), 1, 1, 1, 1]),
        widths * np.array([uniform(0.7, 1.2), 1, 1, 1, 1]),
        peaks * np.array([uniform(-1.0, 0.4), 1, uniform(0.9, 1.1), 1, 1]),
    )

    def wide() -> Morphology:
        sign = 1.0 if generator.random() < 0.65 else -1.0
        height = sign * uniform(0.9, 2.0)
        width = uniform(0.030, 0.048)
        return Morphology(
            np.array([delays[0], -1.9 * width, 0.0, 1.9 * width, uniform(0.30, 0.38)]),
            np.array([paper.widths[0], 0.8 * width, width, width, uniform(0.06, 0.09)]),
            height * np.array([0.0, -uniform(0.05, 0.3), 1.0, -uniform(0.1, 0.5), -0.35]),
        )

    scale = generator.uniform(0.2, 1.0, 3)
    return _Patient(
        normal=normal,
        narrow=narrow,
        wide=tuple(wide() for _ in range(1 + int(generator.random() < 0.3))),
        mean_rr=uniform(0.62, 1.05),
        deviation=uniform(0.015, 0.06),
        respiration_hz=uniform(0.18, 0.32),
        shares=(
            parameters.premature_narrow * scale[0],
            parameters.premature_wide * scale[1],
            parameters.fusion * scale[2],
        ),
        narrow_coupling=uniform(0.60, 0.78),
        wide_coupling=uniform(0.52, 0.75),
        wander=uniform(0.2, 1.2),
        mains=uniform(0.0, 0.02),
        mains_hz=50.0 if generator.random() < 0.5 else 60.0,
        muscle=uniform(0.004, 0.020),
    )


def _draw_beats(
    generator: np.random.Generator, patient: _Patient, seconds: float
) -> tuple[FloatArray, list[str]]:
    """Return R times in seconds and kinds of beats.

    A premature narrow beat resets the sinus node: the pause after it is about one normal interval.
    A wide one does not: the pause completes two normal intervals, as it does after a fusion beat,
    which is hardly early at all. Some ectopic beats come in pairs.
    """
    tachogram = rr_process(
        generator,
        seconds + 4.0,
        patient.mean_rr,
        patient.deviation,
        respiration_hz=patient.respiration_hz,
    )
    drift = 0.06 * np.sin(2 * np.pi * (np.arange(len(tachogram)) / 4.0 / 180 + generator.random()))
    tachogram = tachogram * (1 + drift)
    edges = np.cumsum(patient.shares)
    times, kinds = [0.3], [NORMAL]
    while times[-1] < seconds:
        now = times[-1]
        interval = float(tachogram[min(int(now * 4), len(tachogram) - 1)])
        draw = generator.random()
        if draw < edges[0]:
            for _ in range(1 + int(generator.random() < 0.2)):
                coupling = patient.narrow_coupling * generator.uniform(0.93, 1.07)
                times.append(times[-1] + max(coupling * interval, _SHORTEST_SECONDS))
                kinds.append(NARROW)
            pause = interval * generator.uniform(1.0, 1.12)
        elif draw < edges[1]:
            for _ in range(1 + int(generator.random() < 0.1)):
                coupling = patient.wide_coupling * generator.uniform(0.95, 1.05)
                times.append(times[-1] + max(coupling * interval, _SHORTEST_SECONDS))
                kinds.append(WIDE)
            pause = (2 - coupling) * interval
        elif draw < edges[2]:
            coupling = generator.uniform(0.90, 1.0)
            times.append(now + coupling * interval)
            kinds.append(FUSION)
            pause = (2 - coupling) * interval
        else:
            pause = interval
        times.append(times[-1] + pause)
        kinds.append(NORMAL)
    return np.array(times), kinds


def _draw_waves(
    generator: np.random.Generator, patient: _Patient, kinds: list[str], r_times: FloatArray
) -> Morphology:
    """Return the waves of every beat: its kind's, varied a little, the T wave by the heart rate."""
    forms = []
    for kind in kinds:
        wide = patient.wide[int(generator.integers(len(patient.wide)))]
        mixture = generator.uniform(0.35, 0.65)
        forms.append(
            {
                NORMAL: patient.normal,
                NARROW: patient.narrow,
                WIDE: wide,
                FUSION: Morphology(
                    _mix(patient.normal.delays, wide.delays, mixture),
                    _mix(patient.normal.widths, wide.widths, mixture),
                    _mix(patient.normal.peaks, wide.peaks, mixture),
                ),
            }[kind]
        )
    count = len(kinds)
    delays = np.stack([form.delays for form in forms])
    # Bazett: the time to the T wave goes with the root of the interval before it.
    before = np.diff(r_times, prepend=r_times[0] - patient.mean_rr)
    delays[:, 4] *= np.sqrt(np.clip(before, 0.4, 1.4) / 0.85)
    widths = np.stack([form.widths for form in forms]) * generator.normal(1, 0.03, (count, 5))
    peaks = np.stack([form.peaks for form in forms]) * generator.normal(1, 0.05, (count, 5))
    return Morphology(delays, widths, peaks)


def _mix(first: FloatArray, second: FloatArray, share: float) -> FloatArray:
    return (1 - share) * first + share * second


def _draw_noise(
    generator: np.random.Generator, patient: _Patient, count: int, rate: float
) -> FloatArray:
    """Return millivolts of baseline wander, mains hum and muscle noise in bursts."""
    time = np.arange(count) / rate
    noise = np.zeros(count)
    for frequency in generator.uniform(0.03, 0.5, 4):
        phase = generator.uniform(0, 2 * np.pi)
        noise += 0.06 * patient.wander * np.sin(2 * np.pi * frequency * time + phase)
    noise += patient.mains * np.sin(2 * np.pi * patient.mains_hz * time)
    white = generator.normal(0, 1, count + 1)
    bursts = np.interp(time, np.arange(0, time[-1] + 10, 5.0), _burst_levels(generator, time[-1]))
    noise += patient.muscle * bursts * (white[1:] - 0.5 * white[:-1])
    return noise


def _burst_levels(generator: np.random.Generator, seconds: float) -> FloatArray:
    """Return the level of the muscle noise every 5 s: mostly rest, at times movement."""
    count = len(np.arange(0, seconds + 10, 5.0))
    moving = generator.random(count) < 0.12
    return np.where(moving, generator.uniform(2.0, 4.0, count), generator.uniform(0.5, 1.0, count))
