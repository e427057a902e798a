"""What a card says of the columns, arrays and files of a user's own data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ReaderCard:
    """How a user's own files are laid out.

    Attributes:
        unit: Unit of the signal where the files do not say it: "uV", "mV", "V", "nV", or "count"
            where the numbers are counts of `signal.microvolt_per_count`.
        label: Column or array of the labels: one a sample, or one a window.
        patient: Column or array that says whose a sample, window or file is.
        record: Column that says which record a row belongs to; empty where each file is one.
        time: Column of the seconds of each row; empty where `signal.rate_hz` tells.
        signal: Array of an NPZ file that holds the samples or windows.
        events: End of the name of a file beside each record's that lists its events, as
            "_events.csv": columns begin_s with end_s or duration_s, or sample, and label.
        remove_offset: Take the median of each channel of a record away: a constant offset of the
            electrodes that the converter's bits do not hold.
        found_as: Record to its file below the folder, or to its name in the column `record`,
            where that is not the record's name.
    """

    unit: str = ""
    label: str = ""
    patient: str = ""
    record: str = ""
    time: str = ""
    signal: str = ""
    events: str = ""
    remove_offset: bool = False
    found_as: Mapping[str, str] = field(default_factory=dict)
