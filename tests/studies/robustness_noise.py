"""Record 118 with electrode motion: as its publisher mixed it, and as we mix it at the same ratio.

Both are the stress test's protocol: five clean minutes, then two minutes with noise and two without
by turns. The publisher's counts leave the 11 bits of the ECG's converter; so both are compared on
16 bits, and ours once more within the converter's own range, as a device would see it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.data import BeatFrontEnd, Recording, Windows, load_card
from edgeprune.data.noise import load_noise_card, read_mixed
from edgeprune.data.wfdb_reader import read_wfdb_record
from edgeprune.disturbances.disturbance import Disturbance, Disturbed
from edgeprune.disturbances.noise import PROTOCOL, ElectrodeMotion
from edgeprune.disturbances.sweep import DisturbedDecisions, RecordingTask, decide_recording
from edgeprune.evaluation import Bootstrap
from edgeprune.evaluation.disturbances import score_disturbed
from edgeprune.network import IntegerNetwork
from tests.studies.study import Figure

RECORD = "118"
SEED = 1
CLEAN_SECONDS, STRETCH_SECONDS = 300, 120
WIDE_BITS = 16
LARGEST_ERROR_DB = 0.5


@dataclass(frozen=True)
class ClassRow:
    """One class: its beats in the stretches with noise, and how they are decided.

    Attributes:
        name: The class.
        n: Beats of it.
        sensitivity: Share found; None where there are none.
        precision: Share of the decisions that are right; None where nothing was decided so.
    """

    name: str
    n: int
    sensitivity: float | None
    precision: float | None


@dataclass(frozen=True)
class NoiseRow:
    """One signal-to-noise ratio.

    Attributes:
        record: The publisher's record.
        snr: In dB.
        power_error: Largest difference of the added noise's power in a stretch, ours to the
            publisher's, in dB.
        correlation: Least correlation of the added noise in a stretch.
        agreement: Share of the beats with noise that are decided alike.
        published: Per class, the publisher's mixture.
        ours: Per class, our mixture on 16 bits.
        device: Per class, our mixture within the converter's range.
    """

    record: str
    snr: float
    power_error: float
    correlation: float
    agreement: float
    published: tuple[ClassRow, ...]
    ours: tuple[ClassRow, ...]
    device: tuple[ClassRow, ...]


@dataclass(frozen=True, eq=False)
class Published(Disturbance):
    """The publisher's own mixture in the place of the clean record."""

    samples: npt.NDArray[np.int16]

    name = "published"
    title = "the publisher's mixture"
    unit = "dB"
    severity_is = "signal-to-noise ratio"
    severities = (24.0,)

    def describe(self) -> str:
        return "the publisher's mixture"

    def apply(self, recording: Recording, seed: int) -> Disturbed:
        changed = replace(recording, samples=self.samples)
        return Disturbed(changed, np.arange(len(recording.beats)))


def compare(network: IntegerNetwork, data: Path) -> tuple[NoiseRow, ...]:
    """Return one row for each of the publisher's mixtures of record 118.

    Args:
        network: Decides the beats; made for the front end of MIT-BIH's converter.
        data: Folder with the folders `mitdb` and `nstdb`.
    """
    card = load_card("mit-bih")
    clean = read_wfdb_record(card, data / "mitdb", RECORD)
    wide = replace(clean, adc=replace(clean.adc, bits=WIDE_BITS))
    front_end = BeatFrontEnd.for_adc(clean.adc)
    windows = noisy_windows(clean, front_end, card.class_names)
    rows = []
    for record, snr in load_noise_card().mixed.items():
        published = Published(snr, read_mixed(record, data / "nstdb"))
        ours = ElectrodeMotion(snr, data / "nstdb", PROTOCOL)
        errors, correlations = zip(
            *_stretches(clean, published.samples, ours.apply(wide, SEED).recording.samples),
            strict=True,
        )
        tried = [
            decide_recording(network, front_end, SEED, RecordingTask(recording, windows, each))
            for recording, each in ((wide, published), (wide, ours), (clean, ours))
        ]
        rows.append(
            NoiseRow(
                record,
                snr,
                max(errors, key=abs),
                min(correlations),
                float(np.mean(tried[0].predictions == tried[1].predictions)),
                *(class_rows(windows, found) for found in tried),
            )
        )
    return tuple(rows)


def figures(network: IntegerNetwork, data: Path, name: str) -> Iterator[Figure]:
    """Yield how near our mixtures come to the publisher's, and both curves as notes."""
    for row in compare(network, data):
        title = f"record 118 at {row.snr:g} dB, {name}"
        yield Figure(
            "noise",
            f"{title}: power of our noise to the publisher's",
            abs(row.power_error),
            LARGEST_ERROR_DB,
            None,
            True,
            "dB",
            f"least correlation in a stretch {row.correlation:.6f}",
        )
        yield Figure(
            "noise",
            f"{title}: beats with noise decided as in the publisher's mixture",
            row.agreement,
            unit="1",
            note="; ".join(
                f"{label}: {in_words(rows)}"
                for label, rows in (
                    ("published", row.published),
                    ("ours", row.ours),
                    ("ours within the converter's range", row.device),
                )
            ),
        )


def in_words(rows: tuple[ClassRow, ...]) -> str:
    """Return sensitivity and precision of every class that occurs."""

    def percent(share: float | None) -> str:
        return "-" if share is None else f"{100 * share:.1f} %"

    return ", ".join(
        f"{row.name} (n = {row.n}) Se {percent(row.sensitivity)} +P {percent(row.precision)}"
        for row in rows
        if row.n
    )


def noisy_windows(
    recording: Recording, front_end: BeatFrontEnd, class_names: tuple[str, ...]
) -> Windows:
    """Return the undisturbed windows of the beats in the stretches with noise."""
    rate = recording.adc.rate_hz
    since = recording.beats - CLEAN_SECONDS * rate
    noisy = (since >= 0) & (since // (STRETCH_SECONDS * rate) % 2 == 0)
    output = front_end.run(recording.samples, recording.beats)
    kept = np.flatnonzero(noisy & output.valid)
    return Windows(
        signal=output.signal[kept],
        rhythm=output.rhythm[kept],
        gain=output.gain[kept],
        label=recording.labels[kept],
        record=np.zeros(len(kept), np.int64),
        beat=recording.beats[kept],
        record_names=(recording.name,),
        patients=(recording.patient,),
        class_names=class_names,
        synthetic=False,
    )


def class_rows(windows: Windows, found: DisturbedDecisions) -> tuple[ClassRow, ...]:
    """Return sensitivity and precision per class; one patient has no intervals."""
    scores = score_disturbed(windows, found, Bootstrap(resamples=1))
    return tuple(
        ClassRow(row.name, row.n, row.sensitivity.value, row.precision.value)
        for row in scores.classes
    )


def _stretches(
    clean: Recording, published: npt.NDArray[np.int16], ours: npt.NDArray[np.int16]
) -> Iterator[tuple[float, float]]:
    """Yield power error in dB and correlation of the added noise, of each stretch with noise."""
    rate = round(clean.adc.rate_hz)
    base = clean.samples.astype(np.int64)
    length = STRETCH_SECONDS * rate
    for start in range(CLEAN_SECONDS * rate, len(base) - length + 1, 2 * length):
        stretch = slice(start, start + length)
        theirs, own = published[stretch] - base[stretch], ours[stretch] - base[stretch]
        error = 10 * np.log10(own.var() / theirs.var())
        yield float(error), float(np.corrcoef(theirs, own)[0, 1])
