"""The file of a sweep: one SQLite database that any tool reads.

Only the process that asked for the sweep writes it, one transaction a point: after a kill it holds
every point that was finished.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeprune import __version__
from edgeprune.errors import DataError, DiskError
from edgeprune.evidence import PointState, SweepFigure, SweepPoint, SweepResult, SweepSetting

FORM = "edgeprune-sweep 1"
SCHEMA = """\
CREATE TABLE about (
    name TEXT PRIMARY KEY, -- form, edgeprune, config (an edgeprune.toml), and what it names
    value TEXT NOT NULL
);
CREATE TABLE points (
    point INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,  -- SHA-256 of all settings, the parent, the data and the code
    number INTEGER,            -- place in the latest call's points, from 1; NULL: in earlier ones
    method TEXT NOT NULL,      -- what is taken away; none: the parent itself
    importance TEXT NOT NULL,  -- by what it is chosen; '': the method has its own
    scope TEXT NOT NULL,       -- over what it is ranked; '': the method has its own
    schedule TEXT NOT NULL,    -- in how many rounds
    ratio REAL NOT NULL,       -- share of the deployed parameters that go
    fine_tune TEXT NOT NULL,   -- how the rest is trained; '': as the parent was
    seed INTEGER NOT NULL,
    state TEXT NOT NULL,       -- waiting, done, stopped (by the guard for the patient), refused
    reason TEXT NOT NULL,      -- why it was stopped or refused
    network_sha256 TEXT,       -- the integer network that was measured
    seconds REAL NOT NULL,     -- wall time of the whole point
    edgeprune TEXT NOT NULL    -- version that measured it
);
CREATE TABLE figures (
    point INTEGER NOT NULL REFERENCES points (point),
    place INTEGER NOT NULL,    -- among the point's figures
    name TEXT NOT NULL,        -- recall, precision, f1, windows (of a class); accuracy, macro_f1,
                               -- calibration_error; attacked_windows (those decided rightly),
                               -- attack_success (within a ball), least_change (median, in a norm),
                               -- certified_share (proved and right, under a perturbation); flash,
                               -- ram, instructions; parameters (of the parent, not zero),
                               -- remaining (not zero), compression
    subject TEXT NOT NULL,     -- of which class, ball, norm or perturbation
    part TEXT NOT NULL,        -- validation: it chooses; test: it only tells; '': no data are read
    network TEXT NOT NULL,     -- int8 as flashed, or float
    value REAL,                -- NULL: undefined, which is not zero
    unit TEXT NOT NULL,
    PRIMARY KEY (point, place)
) WITHOUT ROWID;
"""
_SETTING = ("method", "importance", "scope", "schedule", "ratio", "fine_tune")


@dataclass(frozen=True)
class KeptPoint:
    """One point as the file has it.

    Attributes:
        number: Its place, from 1.
        key: What defines it, as a hash.
        result: What was found; state "waiting" and no figures where it is not finished.
    """

    number: int
    key: str
    result: SweepResult

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to run."""
        return self.result.state is not PointState.WAITING


class SweepFile:
    """The results of a sweep on disk.

    Args:
        path: The file; `open_for` makes it.
        patience: Seconds to wait for another process that writes it.
    """

    def __init__(self, path: Path, patience: float = 30.0) -> None:
        self.path = path
        self._patience = patience

    def open_for(self, about: Mapping[str, str], points: Sequence[tuple[str, SweepPoint]]) -> None:
        """Make the file, or go on with an earlier one, for these points; results are kept.

        Args:
            about: What is to be told of the sweep.
            points: Key and point, in order.

        Raises:
            DataError: The file is there and is none of a sweep.
            DiskError: It cannot be written.
        """
        is_new = not self.path.exists()
        if not is_new:
            self.about()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._writing() as connection:
            if is_new:
                for statement in SCHEMA.split(";\n"):
                    connection.execute(statement)
            rows = {"form": FORM, "edgeprune": __version__, **about}
            connection.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", rows.items())
            connection.execute("UPDATE points SET number = NULL")
            for number, (key, point) in enumerate(points, start=1):
                setting = [getattr(point.setting, name) for name in _SETTING]
                connection.execute(
                    "INSERT INTO points "
                    "VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', NULL, 0, ?) "
                    "ON CONFLICT (key) DO UPDATE SET number = excluded.number",
                    (key, number, *setting, point.seed, PointState.WAITING.value, __version__),
                )

    def keep(self, key: str, result: SweepResult) -> None:
        """Write what was found of one point, whole or not at all.

        Raises:
            DiskError: It cannot be written.
        """
        with self._writing() as connection:
            connection.execute(
                "UPDATE points SET state = ?, reason = ?, network_sha256 = ?, seconds = ?, "
                "edgeprune = ? WHERE key = ?",
                (
                    result.state.value,
                    result.reason,
                    result.network_sha256,
                    result.seconds,
                    __version__,
                    key,
                ),
            )
            (point,) = connection.execute(
                "SELECT point FROM points WHERE key = ?", (key,)
            ).fetchone()
            connection.execute("DELETE FROM figures WHERE point = ?", (point,))
            connection.executemany(
                "INSERT INTO figures VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (point, place, *each.place, each.value, each.unit)
                    for place, each in enumerate(result.figures, start=1)
                ],
            )

    def about(self) -> dict[str, str]:
        """Return what is told of the sweep.

        Raises:
            DataError: There is no such file, or it is none of a sweep.
        """
        with self._reading() as connection:
            about = dict(connection.execute("SELECT name, value FROM about").fetchall())
        if about.get("form") != FORM:
            raise DataError(
                f"the file's form is '{about.get('form')}', this edgeprune reads '{FORM}'",
                where=str(self.path),
                hint="sweep into another file",
            )
        return about

    def points(self) -> tuple[KeptPoint, ...]:
        """Return the points of the latest call, finished or not, in order.

        Raises:
            DataError: There is no such file, or it is none of a sweep.
        """
        self.about()
        with self._reading() as connection:
            figures: dict[int, list[SweepFigure]] = {}
            query = "SELECT point, name, subject, part, network, value, unit FROM figures"
            for point, *figure in connection.execute(f"{query} ORDER BY point, place"):
                figures.setdefault(point, []).append(SweepFigure(*figure))
            rows = connection.execute(
                f"SELECT point, number, key, {', '.join(_SETTING)}, seed, state, reason, "
                "network_sha256, seconds FROM points WHERE number IS NOT NULL ORDER BY number"
            ).fetchall()
        return tuple(_point(row, tuple(figures.get(row[0], ()))) for row in rows)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(
                sqlite3.connect(self.path, self._patience, isolation_level=None)
            ) as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise DiskError(
                f"the sweep's file cannot be written: {error}",
                where=str(self.path),
                hint="is another sweep writing it, or is the disk full?",
            ) from error

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self.path.is_file():
            raise DataError(
                "there is no such sweep",
                where=str(self.path),
                hint="name the file that `edgeprune sweep --out` wrote",
            )
        try:
            with closing(
                sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=rw", uri=True)
            ) as connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"the file is no sweep of edgeprune: {error}",
                where=str(self.path),
                hint="name the file that `edgeprune sweep --out` wrote",
            ) from error


def _point(row: Sequence[Any], figures: tuple[SweepFigure, ...]) -> KeptPoint:
    _, number, key, *setting, seed, state, reason, network, seconds = row
    point = SweepPoint(SweepSetting(*setting), seed)
    result = SweepResult(point, PointState(state), reason, network, seconds, figures)
    return KeptPoint(number, key, result)
