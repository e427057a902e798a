"""What a card says of the columns, arrays and files of a user's own data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ReaderCard:
    """How a user's own files are laid out.

    Attributes:
        unit: Unit of the signal where the files do not say it: "uV", "mV", "V", "nV", "count"
            where the numbers are counts of `signal.microvolt_per_count`, or "rms" where the
            publisher normalised them and their volts are not known.
        rms: With the unit "rms": the root mean square of the files' numbers.
        label: Column or array of the labels: one a sample, or one a window.
        patient: Column or array that says whose a sample, window or file is.
        record: Column that says which record a row belongs to; empty where each file is one.
        time: Column of the seconds of each row; empty where `signal.rate_hz` tells.
        signal: Array of an NPZ file that holds the samples or windows. Of tables with a window a
            row (`window.cut_out`) the columns of its samples, "FIRST..LAST"; empty for all that
            are nothing else.
        parts: Records that the rows of each file are dealt to, where a row is a window and no
            column tells records: FILE-01, FILE-02 and so on, by the rows' order within each label.
        events: End of the name of a file beside each record's that lists its events, as
            "_events.csv": columns begin_s with end_s or duration_s, or sample, and label.
        remove_offset: Take the median of each channel of a record away: a constant offset of the
            electrodes that the converter's bits do not hold.
        found_as: Record to its file below the folder, or to its name in the column `record`,
            where that is not the record's name.
    """

    unit: str = ""
    rms: float = 1.0
    label: str = ""
    patient: str = ""
    record: str = ""
    time: str = ""
    signal: str = ""
    parts: int = 0
    events: str = ""
    remove_offset: bool = False
    found_as: Mapping[str, str] = field(default_factory=dict)
