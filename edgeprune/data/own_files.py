"""Where the file of a record lies in a user's own folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeprune.data.cards import DatasetCard
from edgeprune.errors import ConfigurationError, DataError

# Ends of the files of each source, in lower case; events may stand in CSV files beside any.
SUFFIXES = {
    "edf": (".edf", ".bdf"),
    "csv": (".csv", ".tsv", ".txt"),
    "parquet": (".parquet", ".pq", ".csv"),
    "npz": (".npz",),
    "npz-windows": (".npz",),
    "wfdb": (".hea", ".dat", ".atr"),
}


def data_files(card: DatasetCard, folder: Path) -> tuple[Path, ...]:
    """Return the files that a data set is read from, as far as they are there.

    Where the card does not list them they are all files of its kind: a change of any counts as a
    change of the data.
    """
    if card.record_files:
        listed = (folder / name for name in card.record_files)
        return tuple(path for path in listed if path.is_file())
    suffixes = SUFFIXES.get(card.source, ())
    return tuple(
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in suffixes and path.is_file()
    )


def reads_files(card: DatasetCard, directory: Path | None) -> Path:
    """Return the folder of a data set that is read from files.

    Raises:
        ConfigurationError: None is given.
        DataError: It is no folder.
    """
    if directory is None:
        raise ConfigurationError(
            f"data set '{card.name}' is read from files and no folder is given",
            where="--data-dir",
            hint="pass --data-dir DIR, the folder that holds the recordings",
        )
    if not directory.is_dir():
        raise DataError("there is no such folder", where=str(directory), hint="check --data-dir")
    return directory


def find_file(card: DatasetCard, directory: Path, record: str, suffixes: Sequence[str]) -> Path:
    """Return the one file of a record: where the card says, else any RECORD.SUFFIX below.

    Raises:
        DataError: There is none, or more than one.
    """
    stated = card.reader.found_as.get(record)
    if stated is not None and stated.endswith(tuple(suffixes)):
        path = directory / stated
        if Path(stated).is_absolute() or ".." in Path(stated).parts:
            raise DataError(
                f"'{stated}' leaves the folder of the data",
                where=f"{card.path or card.name}, reader.found_as.{record}",
                hint="give a path below the folder",
            )
        found = [path] if path.is_file() else []
    else:
        names = [f"{record}{suffix}" for suffix in suffixes]
        found = [directory / name for name in names if (directory / name).is_file()]
        found = found or [path for name in names for path in sorted(directory.rglob(name))]
    # Where capitals do not tell files apart, one file is found under two names.
    distinct = {path.resolve() for path in found}
    if len(distinct) == 1:
        return found[0]
    raise DataError(
        f"{len(distinct)} files could be the record" if distinct else "the record has no file",
        where=f"record {record}, {directory}",
        hint=(
            "name the right one in reader.found_as of the card: "
            + ", ".join(str(path.relative_to(directory)) for path in found[:3])
        )
        if distinct
        else f"put {stated or record + suffixes[0]} into the folder, or leave the record out in "
        "the card (split.left_out)",
    )
