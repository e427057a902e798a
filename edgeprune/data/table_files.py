"""Tables in files: the columns of a CSV or Parquet file, by their names."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy.typing as npt

from edgeprune.errors import DataError, MissingToolError

CSV_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")

Columns = dict[str, npt.NDArray[Any]]
LoadTable = Callable[[Path, str, Sequence[str] | None], Columns]


@dataclass(frozen=True)
class CsvLayout:
    """How a CSV file is written, by its first two lines.

    Attributes:
        separator: What stands between columns: a comma, a semicolon or a tabulator.
        decimal: What stands before decimals: a comma only beside semicolons.
        first: The entries of the first line.
        named: The first line names the columns; else it is a row of numbers. Numbers that count
            the columns from 0 or 1 are names.
    """

    separator: str
    decimal: str
    first: tuple[str, ...]
    named: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; their numbers from 1 where the file does not name them."""
        return self.first if self.named else tuple(map(str, range(1, len(self.first) + 1)))


def load_csv(path: Path, where: str, columns: Sequence[str] | None) -> Columns:
    """Return the columns of a CSV file: numbers where all rows have one, else objects.

    Commas, semicolons (then with decimal commas, if there are any) and tabulators are told apart by
    the first line.

    Args:
        path: The file, in UTF-8, with names in its first line.
        where: Record and file, for messages.
        columns: Only these; None for all.

    Raises:
        DataError: It is no such table.
    """
    layout = csv_layout(path, where)
    _check_names(layout.first, where)
    return _read_csv(path, replace(layout, named=True), where, columns)


def load_any_csv(path: Path, where: str, columns: Sequence[str] | None) -> Columns:
    """Return the columns of a CSV file whose first line may be a row of numbers already.

    Args:
        path: The file, in UTF-8.
        where: Record and file, for messages.
        columns: Only these; None for all.

    Raises:
        DataError: It is no table, or a line has more or fewer columns than the first.
    """
    layout = csv_layout(path, where)
    _check_twice(layout.names, where)
    try:
        return _read_csv(path, layout, where, columns)
    except DataError:
        with suppress(OSError, ValueError, csv.Error):
            for number, fields in _lines(path, layout):
                _check_count(fields, len(layout.first), number, where)
        raise


def column_names(path: Path, where: str) -> tuple[str, ...]:
    """Return the names of a table's columns without reading its rows.

    Raises:
        DataError: It is no such table.
        MissingToolError: pyarrow is not installed.
    """
    if path.suffix.lower() in CSV_SUFFIXES:
        return csv_layout(path, where).names
    pyarrow = _pyarrow(where)
    try:
        return tuple(pyarrow.parquet.read_schema(path).names)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise _not_parquet(error, where) from error


def csv_layout(path: Path, where: str) -> CsvLayout:
    """Return how a CSV file is written.

    Raises:
        DataError: Its first lines cannot be read.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first, second = file.readline(1 << 20), file.readline(1 << 20)
        separator = max(",;\t", key=first.count)
        fields = tuple(name.strip() for name in next(csv.reader([first], delimiter=separator), []))
    except (OSError, ValueError, csv.Error) as error:
        raise _not_csv(error, where) from error
    decimal = "," if separator == ";" and "," in (second or first) else "."
    numbers = [_is_number(field.replace(decimal, ".")) for field in fields]
    counted = [fields == tuple(str(k + at) for k in range(len(fields))) for at in (0, 1)]
    return CsvLayout(separator, decimal, fields, not all(numbers) or any(counted))


def csv_fault(path: Path, row: int, column: str, where: str) -> DataError:
    """Return what is wrong with a row of a CSV file, by its line.

    Args:
        path: The file.
        row: Number of the row, from 0; empty lines are none.
        column: The column that holds no number.
        where: Record and file, for messages.
    """
    layout = csv_layout(path, where)
    rows = (each for each in _lines(path, layout))
    if layout.named:
        next(rows, None)
    number, fields = next(islice(rows, row, None), (0, []))
    try:
        _check_count(fields, len(layout.first), number, where)
    except DataError as error:
        return error
    return no_number(fields[layout.names.index(column)], f"line {number}", column, where)


def csv_line(path: Path, row: int, where: str) -> int:
    """Return the line of a CSV file that a row stands in; rows count from 0, lines from 1."""
    layout = csv_layout(path, where)
    return next(islice(_lines(path, layout), row + layout.named, None), (0, []))[0]


def no_number(text: object, place: str, column: str, where: str) -> DataError:
    """Return the error of an entry that is no number."""
    said = "the entry is empty" if text in ("", None) else f"'{text}' is not a number"
    return DataError(
        f"{place}: {said}",
        where=f"{where}, column '{column}'",
        hint="mend the entry, or take the row out of the file",
    )


def _lines(path: Path, layout: CsvLayout) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not empty, each with its number from 1."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, delimiter=layout.separator, skipinitialspace=True)
        for fields in reader:
            stripped = [field.strip() for field in fields]
            if stripped not in ([], [""]):
                yield reader.line_num, stripped


def _check_count(fields: Sequence[str], columns: int, number: int, where: str) -> None:
    if len(fields) != columns:
        raise DataError(
            f"line {number} has {len(fields)} columns, the first line {columns}",
            where=where,
            hint="every row has the same columns: mend that line, or export the table again",
        )


def _not_csv(error: Exception, where: str) -> DataError:
    return DataError(
        f"the file cannot be read as CSV: {error}",
        where=where,
        hint="it is a table in UTF-8 with the names of its columns in the first line",
    )


def _read_csv(path: Path, layout: CsvLayout, where: str, columns: Sequence[str] | None) -> Columns:
    import pandas

    try:
        with warnings.catch_warnings():
            # Rows longer than the first line would only be warned of, and cut.
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            table = pandas.read_csv(
                path,
                sep=layout.separator,
                decimal=layout.decimal,
                encoding="utf-8-sig",
                header=0 if layout.named else None,
                names=list(layout.names),
                index_col=False,
                usecols=columns,
                keep_default_na=False,
                na_values=[""],
                skipinitialspace=True,
                low_memory=False,
            )
    except (OSError, ValueError, csv.Error, pandas.errors.ParserWarning) as error:
        raise _not_csv(error, where) from error
    return {name: table[name].to_numpy() for name in table.columns}


def load_parquet(path: Path, where: str, columns: Sequence[str] | None) -> Columns:
    """Return the columns of a Parquet file.

    Args:
        path: The file.
        where: Record and file, for messages.
        columns: Only these; None for all.

    Raises:
        DataError: It is no such table.
        MissingToolError: pyarrow is not installed.
    """
    pyarrow = _pyarrow(where)
    try:
        table = pyarrow.parquet.read_table(
            path, columns=None if columns is None else list(columns), use_threads=False
        )
        _check_twice(table.column_names, where)
        return {name: table[name].to_numpy() for name in table.column_names}
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise _not_parquet(error, where) from error


def _pyarrow(where: str) -> Any:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingToolError(
            f"Parquet files need pyarrow, which cannot be imported ({error})",
            where=where,
            hint="pip install 'edgeprune[parquet]'",
        ) from error
    return pyarrow


def _not_parquet(error: Exception, where: str) -> DataError:
    return DataError(
        f"the file cannot be read as Parquet: {error}",
        where=where,
        hint="export it again; columns are plain numbers and texts",
    )


def _check_twice(names: Sequence[str], where: str) -> None:
    twice = [name for name in names if list(names).count(name) > 1]
    if twice:
        raise DataError(
            f"two columns are called '{twice[0]}'", where=where, hint="rename one of them"
        )


def _check_names(names: Sequence[str], where: str) -> None:
    _check_twice(names, where)
    if not names or all(_is_number(name) for name in names):
        raise DataError(
            "the first line does not name the columns",
            where=where,
            hint="write the names of the columns into the first line",
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
