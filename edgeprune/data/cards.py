"""Dataset cards: one TOML file says all that edgeprune knows of a data set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgeprune.data.reader_card import ReaderCard
from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.resources import resource_folder
from edgeprune.targets import Adc
from edgeprune.typed_toml import parse_table, read_toml


@dataclass(frozen=True)
class FilesCard:
    """Where the files of a data set come from.

    Attributes:
        base_url: The publisher's folder, ending in a slash; empty where nothing is fetched.
        checksums: Name of the publisher's list of SHA-256 sums, in that folder.
        checksums_sha256: SHA-256 of that list: the anchor that all other sums hang on.
        extensions: Extensions of the files of one record.
        annotator: Extension of the annotation file among them; of EDF files "" for what they say
            themselves, or "chb-summary" for the seizure lists of CHB-MIT.
        folder: Where a record's files lie in a folder named by the first letters of its name: that
            start, as a regular expression; empty where all files lie in one folder.
        beside: Files that each such folder has once; "{folder}" stands for its name.
    """

    base_url: str = ""
    checksums: str = ""
    checksums_sha256: str = ""
    extensions: tuple[str, ...] = ()
    annotator: str = ""
    folder: str = ""
    beside: tuple[str, ...] = ()

    def folder_of(self, record: str) -> str:
        """Return the folder of a record's files, with a slash; empty for the data set's own."""
        found = re.match(self.folder, record) if self.folder else None
        return f"{found[0]}/" if found else ""

    def path_of(self, record: str, extension: str) -> str:
        """Return a file of a record, as seen from the data set's folder."""
        return f"{self.folder_of(record)}{record}.{extension}"

    def beside_of(self, record: str) -> tuple[str, ...]:
        """Return the files that a record shares with others of its folder."""
        folder = self.folder_of(record)
        return tuple(folder + name.replace("{folder}", folder.rstrip("/")) for name in self.beside)


class Published(Protocol):
    """What can be fetched from its publisher and compared with the publisher's sums."""

    @property
    def name(self) -> str:
        """The card's name."""

    @property
    def path(self) -> str:
        """The file the card was read from."""

    @property
    def origin(self) -> str:
        """Where the data are described."""

    @property
    def files(self) -> FilesCard:
        """Where the files come from."""

    @property
    def record_files(self) -> tuple[str, ...]:
        """Names of the files that the records in use consist of."""


@dataclass(frozen=True)
class SignalCard:
    """How the signal was sampled.

    Attributes:
        rate_hz: Samples a second.
        microvolt_per_count: Size of one count of the converter; with the unit "rms", in thousandths
            of the data's own RMS.
        bits: Width of the converter; its counts are signed, around 0.
        leads: For beats: acceptable leads by name, the first that a record has is read.
        channels: For segments: the channels, all of them and in this order; "A|B" takes either
            name.
        unit: "uV", or "rms" where the publisher normalised the signal and its volts are not known.
    """

    rate_hz: int
    microvolt_per_count: float
    bits: int
    leads: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    unit: str = "uV"

    @property
    def lead_words(self) -> str:
        """The leads or channels, in words."""
        return ", ".join(self.channels) or " or ".join(self.leads)


@dataclass(frozen=True)
class WindowCard:
    """How recordings without beats are cut into segments.

    Attributes:
        seconds: Length of a window.
        full_scale: What becomes 127 in the network's input, in the signal's unit.
        step_seconds: From one window's first sample to the next one's; 0 for `seconds`.
        overlap: Least share of a window that an event must cover to give it its label.
        cut_out: The publisher gives windows and no recordings: they have no times, so that nothing
            can be said of events.
    """

    seconds: float
    full_scale: float
    step_seconds: float = 0.0
    overlap: float = 0.5
    factor: int = 1
    cut_out: bool = False


@dataclass(frozen=True)
class Piece:
    """A stretch of a record, which a protocol made a record of.

    Attributes:
        record: The whole record.
        begin: Where the stretch begins, as a share of the whole.
        end: Where it ends.
    """

    record: str
    begin: float
    end: float


@dataclass(frozen=True)
class SplitCard:
    """Which records train, validate and test.

    Attributes:
        development: Records to learn from; the validation records are among them.
        validation: The part of `development` that chooses epochs and settings.
        test: Records that are only ever evaluated.
        left_out: Records that are not used, each with the reason.
        shown_apart: Test records that the scores are also given without, each with the reason.
        shared_patients: Patients known to be on both sides of the split, which the statement of
            disjointness must name; any other overlap is an error.
        protocol: Empty for the parts as listed; "personalised" or "leave-one-patient-out" where
            the parts follow from the records by rule.
        pieces: Records of the parts that are pieces of others; protocols make them.
    """

    development: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    shown_apart: Mapping[str, str] = field(default_factory=dict)
    shared_patients: tuple[str, ...] = ()
    protocol: str = ""
    pieces: Mapping[str, Piece] = field(default_factory=dict)

    @property
    def train(self) -> tuple[str, ...]:
        """The development records that are not kept for validation."""
        return tuple(name for name in self.development if name not in self.validation)

    @property
    def records(self) -> tuple[str, ...]:
        """All records in use, in the order train, validation, test."""
        return self.train + self.validation + self.test


@dataclass(frozen=True)
class SyntheticCard:
    """Parameters of a generated data set.

    Attributes:
        seconds: Length of every record.
        premature_narrow: Largest share of premature narrow beats that a patient may have.
        premature_wide: The same of premature wide beats.
        fusion: The same of fusion beats.
    """

    seconds: int
    premature_narrow: float = 0.08
    premature_wide: float = 0.10
    fusion: float = 0.03


@dataclass(frozen=True)
class SyntheticEegCard:
    """Parameters of a generated EEG.

    Attributes:
        seconds: Length of every record; each has one seizure.
        shortest_seizure: In seconds.
        longest_seizure: In seconds.
        artefacts: Factor on how often blinks, muscle and electrodes disturb; 0 for never.
    """

    seconds: int
    shortest_seizure: float = 20.0
    longest_seizure: float = 60.0
    artefacts: float = 1.0


@dataclass(frozen=True)
class DatasetCard:
    """One data set.

    Attributes:
        name: The name that `--dataset` takes.
        title: One line.
        source: Name of the reader, one of `edgeprune.data.recordings.SOURCES`.
        synthetic: True where no patient was ever measured; everything made from it says so.
        origin: Where the data set is described.
        licence: The owner's licence.
        citation: What to cite.
        text: What a reader should know.
        signal: Sampling.
        labels: Class name to annotation symbols or texts; the order of the classes is the card's.
            For segments the first class may have none: a window without an event.
        not_beats: Annotation symbols that mark no beat and no event.
        split: Records by use.
        epochs: Epochs of training that suit its size and difficulty.
        model: The classifier where the configuration names none; empty for edgeprune's default.
        patients: Record to patient, where that is not one to one.
        patients_known: False where nobody knows whose the records are; the split is then no split
            by patient, and everything made from it says so.
        files: What to fetch.
        window: How recordings are cut into segments; None where beats are classified.
        reader: How a user's own files are laid out.
        synthetic_ecg: Parameters of the generated data set.
        synthetic_eeg: Parameters of the generated EEG.
        path: The file the card was read from.
    """

    name: str
    title: str
    source: str
    synthetic: bool
    origin: str
    licence: str
    citation: str
    text: str
    signal: SignalCard
    labels: Mapping[str, tuple[str, ...]]
    split: SplitCard
    epochs: int
    model: str = ""
    not_beats: tuple[str, ...] = ()
    patients: Mapping[str, str] = field(default_factory=dict)
    patients_known: bool = True
    files: FilesCard = field(default_factory=FilesCard)
    window: WindowCard | None = None
    reader: ReaderCard = field(default_factory=ReaderCard)
    synthetic_ecg: SyntheticCard | None = None
    synthetic_eeg: SyntheticEegCard | None = None
    path: str = ""

    @property
    def adc(self) -> Adc:
        """The converter that the recordings were made with."""
        signal = self.signal
        return Adc(signal.rate_hz, signal.microvolt_per_count, signal.bits, signal.unit)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the labels' numbers."""
        return tuple(self.labels)

    def patient(self, record: str) -> str:
        """Return the patient of a record."""
        return self.patients.get(record, record)

    def label_of(self, symbol: str) -> int | None:
        """Return the class number of an annotation symbol; -1 for no beat, None if unknown."""
        for number, symbols in enumerate(self.labels.values()):
            if symbol in symbols:
                return number
        return -1 if symbol in self.not_beats else None

    def path_of(self, record: str, extension: str) -> str:
        """Return a file of a record, as seen from the folder: as found, else as published."""
        found = self.reader.found_as.get(record) if self.source == "wfdb" else None
        if found is None:
            return self.files.path_of(record, extension)
        return f"{found.removesuffix('.hea')}.{extension}"

    @property
    def record_files(self) -> tuple[str, ...]:
        """Names of the files that the records in use consist of."""
        files = self.files
        pieces = self.split.pieces
        records = sorted(
            {pieces[each].record if each in pieces else each for each in self.split.records}
        )
        own = [self.path_of(record, each) for record in records for each in files.extensions]
        return tuple(dict.fromkeys([*own, *(s for each in records for s in files.beside_of(each))]))


def list_cards() -> tuple[str, ...]:
    """Return the names of the cards that edgeprune carries."""
    return tuple(sorted(path.stem for path in resource_folder("datasets").glob("*.toml")))


def load_card(name_or_path: str | Path) -> DatasetCard:
    """Return a card by name, or a user's own by the path of its TOML file.

    Raises:
        UnknownNameError: No card has that name.
        ConfigurationError: The file has unknown, missing or contradictory keys.
    """
    text = str(name_or_path)
    if text.endswith(".toml"):
        path = Path(text)
    elif text in list_cards():
        path = resource_folder("datasets") / f"{text}.toml"
    else:
        raise UnknownNameError("data set", text, list_cards(), where="a path ends in .toml")
    from edgeprune.data.card_checks import check_card

    table = {**read_toml(path), "path": str(path)}
    card = parse_table(DatasetCard, table, path=path)
    check_card(card)
    return card


def split_statement(card: DatasetCard) -> str:
    """Return one sentence on whether any patient is on two sides of the split.

    Raises:
        ConfigurationError: A patient is on two sides and the card does not declare it.
    """
    if not card.patients_known:
        return (
            "Split by record: NOBODY KNOWS whose the records are; one person may be on both sides."
        )
    if card.split.protocol == "personalised":
        return "Personalised: every patient is on all sides, so nothing here is about new patients."
    sides = {
        "training": {card.patient(record) for record in card.split.train},
        "validation": {card.patient(record) for record in card.split.validation},
        "test": {card.patient(record) for record in card.split.test},
    }
    names = list(sides)
    overlaps = {
        patient: (first, second)
        for position, first in enumerate(names)
        for second in names[position + 1 :]
        for patient in sides[first] & sides[second]
    }
    undeclared = sorted(set(overlaps) - set(card.split.shared_patients))
    if undeclared:
        patient = undeclared[0]
        raise ConfigurationError(
            f"patient '{patient}' is in the {' and the '.join(overlaps[patient])} records",
            where=card.path,
            hint="move the records to one side, or declare it in split.shared_patients",
        )
    counts = ", ".join(f"{len(patients)} {side}" for side, patients in sides.items())
    statement = f"Split by patient ({counts})"
    if not overlaps:
        return f"{statement}: no patient is on two sides."
    exceptions = []
    for patient, (first, second) in sorted(overlaps.items()):
        records = " and ".join(name for name in card.split.records if card.patient(name) == patient)
        exceptions.append(
            f"records {records} are of the same person, one in {first}, one in {second}"
        )
    return f"{statement}: no patient is on two sides, except that {'; '.join(exceptions)}."
