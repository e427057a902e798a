"""A strict reading of WFDB headers: what is not plainly stated is refused, not guessed.

wfdb itself reads leniently: a gain of 0 or an unreadable one becomes 200, absent fields get
defaults. Format: https://physionet.org/physiotools/wag/header-5.htm
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgeprune.errors import DataError

# Samples x numerator / denominator = bytes, of the formats that hold samples of fixed size.
_BYTES_A_SAMPLE = {
    "8": (1, 1),
    "16": (2, 1),
    "61": (2, 1),
    "80": (1, 1),
    "160": (2, 1),
    "212": (3, 2),
}
_MICROVOLT = {"mV": 1000.0, "uV": 1.0, "V": 1e6}
_RECORD = re.compile(
    r"(?P<name>[-\w.]{1,200})\s+(?P<signals>\d{1,3})\s+(?P<rate>\d{1,9}(\.\d{1,9})?)(/\S+)?"
    r"\s+(?P<length>\d{1,12})(\s.*)?",
    re.ASCII,
)
_FRAMES = re.compile(r"[-\w.]{1,200}\s+\d{1,3}x(\d{1,6})\S*(?:\s.*)?\s(?P<lead>\S+)", re.ASCII)
_SIGNAL = re.compile(
    r"(?P<file>[-\w.]{1,200})\s+(?P<format>\d{1,3})\s+(?P<gain>\d{1,9}(\.\d{1,9})?)"
    r"(\((?P<baseline>-?\d{1,6})\))?(/(?P<units>\S+))?\s+(?P<bits>\d{1,2})\s+(?P<zero>-?\d{1,6})"
    r"\s+(?P<first>-?\d{1,6})\s+(?P<checksum>-?\d{1,6})\s+(?P<block>\d{1,6})\s+(?P<lead>\S.*)",
    re.ASCII,
)


@dataclass(frozen=True)
class SignalLine:
    """One signal of a header.

    Attributes:
        file: Name of the file that holds the samples.
        format: WFDB storage format.
        microvolt_per_count: Size of one count.
        baseline: The count that stands for 0 uV.
        zero: The count in the middle of the converter's range.
        bits: Width of the converter.
        first: The first sample, as the header states it.
        checksum: Sum of all samples modulo 2^16, as the header states it.
        lead: Name of the lead.
    """

    file: str
    format: str
    microvolt_per_count: float
    baseline: int
    zero: int
    bits: int
    first: int
    checksum: int
    lead: str


@dataclass(frozen=True)
class Header:
    """A record's header.

    Attributes:
        rate_hz: Samples a second of each signal.
        length: Samples of each signal.
        signals: The signals, in the order of the header.
        comments: The comment lines, without their "#".
    """

    rate_hz: float
    length: int
    signals: tuple[SignalLine, ...]
    comments: tuple[str, ...] = ()

    def file_bytes(self, file: str) -> int:
        """Return the size in bytes that a sample file must have."""
        formats = [signal.format for signal in self.signals if signal.file == file]
        numerator, denominator = _BYTES_A_SAMPLE[formats[0]]
        return -(-self.length * len(formats) * numerator // denominator)


def read_header(path: Path, record: str, *, calibrated: bool = True) -> Header:
    """Return the header of a record.

    Args:
        path: The header.
        record: The record's name.
        calibrated: Refuse a gain of 0; else `microvolt_per_count` is then not a number.

    Raises:
        DataError: The file is absent, or states something impossible or unsupported.
    """

    def refuse(what: str, line: str, hint: str = "") -> DataError:
        return DataError(
            what,
            where=f"record {record}, {path.name}: '{line}'",
            hint=hint or f"fetch {path.name} again from its publisher",
        )

    lines = [line.strip() for line in _read_lines(path, record)]
    comments = tuple(line.removeprefix("#").strip() for line in lines if line.startswith("#"))
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise refuse("the header is empty", "")
    first = _RECORD.fullmatch(lines[0])
    if re.match(r"\S+/\d", lines[0]):
        raise refuse("records of several segments are not supported", lines[0], "join the segments")
    if first is None:
        raise refuse("the header's first line cannot be read", lines[0])
    if first["name"] != record:
        raise refuse(f"the header belongs to record '{first['name']}'", lines[0])
    count, length, rate = int(first["signals"]), int(first["length"]), float(first["rate"])
    if count == 0 or length == 0 or rate == 0:
        raise refuse("the header states no signals, no samples or no rate", lines[0])
    if len(lines) != count + 1:
        raise refuse(f"the header describes {len(lines) - 1} signals, not {count}", lines[0])
    signals = tuple(_signal_line(line, refuse, calibrated) for line in lines[1:])
    for file in {signal.file for signal in signals}:
        if len({signal.format for signal in signals if signal.file == file}) > 1:
            raise refuse(f"{file} has two formats", lines[1])
    return Header(rate, length, signals, comments)


def _signal_line(line: str, refuse: Callable[..., DataError], calibrated: bool) -> SignalLine:
    match = _SIGNAL.fullmatch(line)
    frames = _FRAMES.fullmatch(line)
    if frames is not None:
        raise refuse(
            f"lead {frames['lead']} has {frames[1]} samples a frame: the record's signals are of "
            "unlike rates",
            line,
            "convert the record so that all signals have one rate (WFDB's xform), or leave it out",
        )
    if match is None:
        raise refuse("a signal's line cannot be read", line)
    if match["format"] not in _BYTES_A_SAMPLE:
        known = ", ".join(_BYTES_A_SAMPLE)
        raise refuse(f"format {match['format']} is not supported", line, f"known: {known}")
    gain = float(match["gain"])
    if gain == 0 and calibrated:
        raise refuse(
            "the gain is 0: the signal was never calibrated",
            line,
            "state the gain in counts per mV in the header, or leave the record out",
        )
    if (match["units"] or "mV") not in _MICROVOLT:
        raise refuse(f"the unit '{match['units']}' is not a voltage", line)
    return SignalLine(
        file=match["file"],
        format=match["format"],
        microvolt_per_count=_MICROVOLT[match["units"] or "mV"] / gain if gain else math.nan,
        baseline=int(match["baseline"] or match["zero"]),
        zero=int(match["zero"]),
        bits=int(match["bits"]),
        first=int(match["first"]),
        checksum=int(match["checksum"]) & 0xFFFF,
        lead=match["lead"].strip(),
    )


def _read_lines(path: Path, record: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise DataError(
            "a header is missing",
            where=f"record {record}, {path}",
            hint="check the folder's name, or fetch the data set",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"a header cannot be read: {error}",
            where=f"record {record}, {path}",
            hint=f"fetch {path.name} again from its publisher",
        ) from error
