"""A strict reading of EDF, EDF+ and BDF headers: what is not plainly stated is refused.

EDF: Kemp B et al., Electroencephalogr Clin Neurophysiol 82:391-393 (1992). EDF+: Kemp B, Olivan J,
Clin Neurophysiol 114:1755-1761 (2003). BDF: the same with 24-bit samples (BioSemi).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from edgeprune.data.subjects import Subject
from edgeprune.errors import DataError

FIXED_BYTES = 256
_MOST_SIGNALS = 4096
_WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,10}", re.ASCII)
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_BIRTH = re.compile(r"(\d{2})-([A-Z]{3})-(\d{4})", re.ASCII)
_START = re.compile(r"(\d{2})\.(\d{2})\.(\d{2})", re.ASCII)
_OLDEST = 120
# What stands in place of a patient whose name is withheld.
_FILLERS = frozenset("X,._-0? ")
_NOBODY = ("anonymous", "anonymized", "anonymised", "anon", "patient", "unknown", "none")
# Two-digit years from 85 on are of the last century (EDF+ specification, 2.1.3.2).
_CENTURY_ENDS = 85


@dataclass(frozen=True)
class EdfSignal:
    """One signal of a header; its limits stay texts until the signal is asked for.

    Attributes:
        label: Name.
        unit: Unit of the physical limits.
        physical: Physical minimum and maximum.
        digital: Digital minimum and maximum.
        samples: Samples in one data record.
    """

    label: str
    unit: str
    physical: tuple[str, str]
    digital: tuple[str, str]
    samples: int

    @property
    def is_annotations(self) -> bool:
        """Whether it holds annotations, not samples."""
        return self.label in ("EDF Annotations", "BDF Annotations")

    def scale(self, where: str) -> tuple[Fraction, Fraction]:
        """Return the units of one digital step, and those at the digital 0.

        Raises:
            DataError: A limit is no number, or two are alike.
        """
        place = f"{where}, signal {self.label}"
        low, high = (_number(text, "a physical limit", place) for text in self.physical)
        first, last = (_whole(text, "a digital limit", place) for text in self.digital)
        if first >= last or low == high:
            raise DataError(
                f"the limits {float(low):g} to {float(high):g} {self.unit} at {first} to {last} "
                "give no scale",
                where=place,
                hint="choose another channel, or export the record again",
            )
        step = (high - low) / (last - first)
        return step, low - first * step


@dataclass(frozen=True)
class EdfHeader:
    """A file's header.

    Attributes:
        patient: The field "local patient identification".
        start_date: "dd.mm.yy".
        plus: "EDF+C", "EDF+D", "BDF+C", "BDF+D", or "" for plain EDF and BDF.
        records: Data records.
        duration_s: Seconds of a data record; 0 in files of annotations alone.
        signals: The signals, in the order of the file.
        sample_bytes: 2, or 3 in BDF.
    """

    patient: str
    start_date: str
    plus: str
    records: int
    duration_s: Fraction
    signals: tuple[EdfSignal, ...]
    sample_bytes: int

    @property
    def record_samples(self) -> int:
        """Samples of all signals in one data record."""
        return sum(signal.samples for signal in self.signals)

    @property
    def header_bytes(self) -> int:
        """Bytes before the first data record."""
        return FIXED_BYTES * (len(self.signals) + 1)

    @property
    def may_pause(self) -> bool:
        """Whether records need not follow one another at once."""
        return self.plus.endswith("D")

    def rate_hz(self, signal: EdfSignal) -> Fraction:
        """Return the samples a second of one signal; 0 where the file has no duration."""
        return signal.samples / self.duration_s if self.duration_s else Fraction(0)

    @property
    def patient_code(self) -> str:
        """Whom the header names: EDF+'s code or name, or plain EDF's text; empty if withheld."""
        fields = self.patient.split()
        if not self.plus:
            return " ".join(fields) if _names_somebody("".join(fields)) else ""
        named = [fields[place] for place in (0, 3) if place < len(fields)]
        return next(filter(_names_somebody, named), "")

    @property
    def subject(self) -> Subject:
        """Sex and age, as far as EDF+'s patient field states them."""
        fields = self.patient.split()
        if not self.plus or len(fields) < 3:
            return Subject()
        sex = {"F": "female", "M": "male"}.get(fields[1].upper(), Subject().sex)
        birth, start = _BIRTH.fullmatch(fields[2].upper()), _START.fullmatch(self.start_date)
        if birth is None or start is None or birth[2] not in _MONTHS:
            return Subject(sex)
        day, month, short = (int(text) for text in start.groups())
        year = short + (1900 if short >= _CENTURY_ENDS else 2000)
        had_birthday = (month, day) >= (_MONTHS.index(birth[2]) + 1, int(birth[1]))
        age = year - int(birth[3]) - (0 if had_birthday else 1)
        return Subject(sex, age if 0 <= age <= _OLDEST else None)


def read_edf_header(path: Path, where: str) -> EdfHeader:
    """Read the header of a file and compare the file's length with it.

    Args:
        path: An EDF, EDF+ or BDF file.
        where: Record and file, for messages.

    Raises:
        DataError: The file is absent, no EDF, cut short, or contradicts itself.
    """

    def refuse(what: str, hint: str = "") -> DataError:
        return DataError(what, where=where, hint=hint or "export or fetch the file again")

    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            fixed = file.read(FIXED_BYTES)
            count_text = _text(fixed[252:256])
            sample_bytes = 3 if fixed[:8] == b"\xffBIOSEMI" else 2
            if len(fixed) < FIXED_BYTES or (sample_bytes == 2 and _text(fixed[:8]) != "0"):
                raise refuse("this is no EDF or BDF file: its first bytes are others")
            count = _whole(count_text, "the number of signals", where)
            if not 1 <= count <= _MOST_SIGNALS:
                raise refuse(f"the header states {count} signals")
            rest = file.read(FIXED_BYTES * count)
    except OSError as error:
        raise DataError(
            f"the file cannot be read: {error.strerror or error}",
            where=where,
            hint="check the folder and the file's permissions",
        ) from error
    if len(rest) < FIXED_BYTES * count:
        raise refuse(f"the header of {count} signals is cut short")
    stated = _whole(_text(fixed[184:192]), "the number of header bytes", where)
    if stated != FIXED_BYTES * (count + 1):
        raise refuse(f"the header states {stated} bytes for itself, {count} signals take others")
    columns, place = [], 0
    for width in _WIDTHS:
        columns.append(
            [_text(rest[place + width * k : place + width * (k + 1)]) for k in range(count)]
        )
        place += width * count
    duration = _number(_text(fixed[244:252]), "the duration of a data record", where)
    signals = tuple(
        EdfSignal(
            columns[0][k],
            columns[2][k],
            (columns[3][k], columns[4][k]),
            (columns[5][k], columns[6][k]),
            _whole(columns[8][k], f"the samples of signal {k + 1} ({columns[0][k]})", where),
        )
        for k in range(count)
    )
    reserved = _text(fixed[192:236])
    plus = next((kind for kind in ("EDF+C", "EDF+D", "BDF+C", "BDF+D") if kind in reserved), "")
    header = EdfHeader(
        _text(fixed[8:88]),
        _text(fixed[168:176]),
        plus,
        _whole(_text(fixed[236:244]), "the number of data records", where),
        duration,
        signals,
        sample_bytes,
    )
    if min(signal.samples for signal in signals) < 1 or duration < 0:
        raise refuse("a signal without samples, or a negative duration, is stated")
    if duration == 0 and not all(signal.is_annotations for signal in signals):
        raise refuse("the data records have no duration, so the signals have no rate")
    _check_length(header, size, refuse)
    return header


def _check_length(header: EdfHeader, size: int, refuse: Callable[..., DataError]) -> None:
    one = header.record_samples * header.sample_bytes
    held = (size - header.header_bytes) / one
    if header.records == -1:
        raise refuse(
            "the recorder never closed the file: its number of data records is -1",
            f"if it is whole, write {int(held)} into bytes 236 to 243 of the header",
        )
    if header.records < 1:
        raise refuse(f"the header states {header.records} data records")
    if size != header.header_bytes + header.records * one:
        state = "cut short" if held < header.records else "longer than its header says"
        raise refuse(
            f"the file is {state}: {held:g} of {header.records} data records of {one} bytes",
            "fetch or export the file again",
        )


def _names_somebody(text: str) -> bool:
    return bool(set(text.upper()) - _FILLERS) and text.lower() not in _NOBODY


def _text(field: bytes) -> str:
    """Return a field; ASCII by the book, in practice also UTF-8 and Latin-1."""
    try:
        text = field.decode("utf-8")
    except UnicodeDecodeError:
        text = field.decode("latin-1")
    return text.replace("\0", " ").strip()


def _number(text: str, what: str, where: str) -> Fraction:
    if _NUMBER.fullmatch(text) is None:
        raise DataError(
            f"{what} is '{text}', which is not a number",
            where=where,
            hint="EDF wants digits and a point; mend the header or export the file again",
        )
    return Fraction(text)


def _whole(text: str, what: str, where: str) -> int:
    if _WHOLE.fullmatch(text) is None:
        raise DataError(
            f"{what} is '{text}', which is not a whole number",
            where=where,
            hint="mend the header or export the file again",
        )
    return int(text)
