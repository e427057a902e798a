"""Small records in WFDB format, written here, with the layout of MIT-BIH."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeprune.data import DatasetCard, Recording, load_card
from edgeprune.data.cards import SplitCard
from edgeprune.data.synthetic import generate_record

SECONDS = 60
KINDS = ("N", "A", "V", "F", "Q")


def small_card() -> DatasetCard:
    """Return MIT-BIH's card with three records and without a publisher."""
    card = load_card("mit-bih")
    return replace(
        card,
        patients={},
        split=SplitCard(("r1", "r2"), ("r2",), ("r3",)),
        files=replace(card.files, base_url="", checksums="", checksums_sha256=""),
    )


def small_recording(record: str) -> Recording:
    """Return the synthetic patient whom `write_record` writes under that name."""
    card = load_card("synthetic-ecg")
    assert card.synthetic_ecg is not None
    shorter = replace(card, synthetic_ecg=replace(card.synthetic_ecg, seconds=SECONDS))
    return generate_record(shorter, record, 5)


def write_record(folder: Path, record: str) -> Recording:
    """Write RECORD.hea, .dat and .atr: lead V5 is noise, lead MLII the returned recording."""
    import wfdb

    recording = small_recording(record)
    noise = np.random.default_rng(1).integers(-50, 50, len(recording.samples))
    counts = np.stack([noise, recording.samples], axis=1).astype(np.int64) + 1024
    wfdb.wrsamp(
        record,
        fs=360,
        units=["mV", "mV"],
        sig_name=["V5", "MLII"],
        d_signal=counts,
        fmt=["212", "212"],
        adc_gain=[200.0, 200.0],
        baseline=[1024, 1024],
        write_dir=str(folder),
    )
    lines = [f"{record} 2 360 {len(counts)}"]
    for column, lead in enumerate(("V5", "MLII")):
        values = counts[:, column]
        checksum = int(values.sum()) & 0xFFFF
        checksum -= (checksum >> 15) << 16
        lines.append(f"{record}.dat 212 200 11 1024 {values[0]} {checksum} 0 {lead}")
    (folder / f"{record}.hea").write_text("\n".join([*lines, "# 69 M", ""]))
    symbols = [KINDS[label] for label in recording.labels]
    wfdb.wrann(record, "atr", recording.beats, ["+", *symbols[1:]], fs=360, write_dir=str(folder))
    return replace(recording, lead="MLII", beats=recording.beats[1:], labels=recording.labels[1:])
