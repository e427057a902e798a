"""The file of certificates: read, looked over, and compared with the data; not yet believed."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeprune.certificate_checker.bounds import CHANGE
from edgeprune.certificate_checker.front_end import Beat, Converter
from edgeprune.certificate_checker.network import Network, Step
from edgeprune.certificate_checker.segments import SegmentConverter, Window
from edgeprune.certificate_checker.sets import Changes
from edgeprune.certificate_checker.stairs import LEAST, MOST, Ints, Linear, Refused, stairs

SCHEMA, VERSION = "edgeprune.certificates", 1
OUTCOMES = ("proved", "falsified", "unknown", "timeout")
METHODS = ("interval", "linear", "branching", "attack")
RUNTIMES = ("firmware", "any")


class Held(Protocol):
    """A window whose raw values may move."""

    @property
    def raw(self) -> Ints:
        """What moves."""

    def inputs(self, raw: Ints) -> tuple[Ints, ...]:
        """Return the network's flat inputs."""

    def step(self, signal: str) -> Step:
        """Return the step from the change to the first input."""

    def rhythm(self, change: Changes) -> tuple[Ints, Ints]:
        """Return the box of the second input."""


@dataclass(frozen=True, eq=False)
class Plain:
    """A window of which the network's own inputs are known; the first moves."""

    values: tuple[Ints, ...]

    @property
    def raw(self) -> Ints:
        """The first input."""
        return self.values[0]

    def inputs(self, raw: Ints) -> tuple[Ints, ...]:
        """Return the inputs with another first one."""
        return (raw, *self.values[1:])

    def step(self, signal: str) -> Step:
        """Return the identity, clipped to int8."""
        count = len(self.raw)
        same = stairs(lambda sums: sums, [Fraction(1)], 0, (LEAST, MOST), 2**20)
        linear = Linear(np.ones((1, 1, 1), np.int64), count, count)
        rows = np.zeros(count, np.int64)
        return Step("input", signal, ((CHANGE, linear),), self.raw, (0, 0), rows, same, same, same)

    def rhythm(self, change: Changes) -> tuple[Ints, Ints]:
        """Return the second input, which is held."""
        return self.values[1], self.values[1]


@dataclass(frozen=True, eq=False)
class File:
    """A file of certificates, its columns not yet believed.

    Attributes:
        header: The JSON.
        columns: The arrays.
    """

    header: Mapping[str, Any]
    columns: Mapping[str, npt.NDArray[Any]]

    @staticmethod
    def read(path: Path) -> File:
        """Read a file; refuse one that is damaged, foreign or of another version."""
        try:
            with zipfile.ZipFile(path) as archive:
                broken = archive.testzip()
            if broken is not None:
                raise Refused(f"'{broken}' in the file is damaged")
            with np.load(path, allow_pickle=False) as content:
                columns = {name: content[name] for name in content.files}
            header = json.loads(columns.pop("header").tobytes())
            if header["schema"] != SCHEMA or header["version"] != VERSION:
                raise Refused(f"the file is {header['schema']} version {header['version']}")
            if header["runtime"] not in RUNTIMES:
                raise Refused(f"the runtime '{header['runtime']}' is none that this program knows")
            return File(header, columns)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error, ValueError) as error:
            raise Refused(f"'{path.name}' is no file of certificates ({error})") from error
        except (KeyError, TypeError) as error:
            raise Refused(f"the file of certificates lacks {error}") from error

    @property
    def runtime(self) -> str:
        """Whose arithmetic the proofs are about."""
        return str(self.header["runtime"])

    @property
    def count(self) -> int:
        """Certificates."""
        return len(self.columns["outcome"])

    def column(self, name: str, rank: int = 1, kind: str = "i") -> npt.NDArray[Any]:
        """Return a column; refuse another type or rank."""
        found = self.columns.get(name)
        if found is None or found.ndim != rank or found.dtype.kind != kind:
            raise Refused(f"the column '{name}' is absent or not what it should be")
        if kind == "f" and not np.isfinite(found).all():
            raise Refused(f"the column '{name}' holds what is not a number")
        return found.astype(np.int64) if kind == "i" else found

    def require_consistent(self, network: Network) -> None:
        """Refuse another network, columns of different lengths, and tallies that do not add up."""
        if self.header.get("network_sha256") != network.sha256:
            raise Refused("the certificates are about another network")
        for name in ("outcome", "method", "decision", "label", "record", "beat"):
            if len(self.column(name)) != self.column("outcome").shape[0]:
                raise Refused(f"the column '{name}' has not one entry for each certificate")
        outcome, method, decision = (self.column(c) for c in ("outcome", "method", "decision"))
        classes = network.sizes[network.output]
        limits = (outcome, len(OUTCOMES)), (method, len(METHODS)), (decision, classes)
        if any(
            values.min(initial=0) < 0 or values.max(initial=0) >= most for values, most in limits
        ):
            raise Refused("an outcome, method or decision is out of range")
        right = decision == self.column("label")
        tally = {name: int((outcome == k).sum()) for k, name in enumerate(OUTCOMES)}
        tally |= {"n": len(outcome), "proved_and_right": int((right & (outcome == 0)).sum())}
        if self.header.get("tally") != tally:
            raise Refused("the header's counts are not those of the certificates")
        for name in ("leaf_window", "counterexample_window"):
            owner = self.column(name)
            wanted = OUTCOMES.index("proved" if name == "leaf_window" else "falsified")
            if len(owner) and (owner.min() < 0 or owner.max() >= len(outcome)):
                raise Refused(f"the column '{name}' names a window that is not there")
            if (outcome[owner] != wanted).any():
                raise Refused(f"the column '{name}' belongs to a window of another outcome")
        if self.header.get("converter") is not None:
            self.converter  # noqa: B018  (refuses what no front end takes)

    def require_from(self, path: Path) -> None:
        """Refuse windows whose inputs or labels are not those of the data set's file."""
        try:
            with np.load(path, allow_pickle=False) as content:
                data = {name: content[name] for name in ("signal", "rhythm", "label", "beat")}
                names = content["record_names"].tolist()
                owners = content["record"]
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise Refused(f"'{path.name}' holds no windows ({error})") from error
        records = self.header["records"]
        places = {
            (names[owner], int(beat)): k
            for k, (owner, beat) in enumerate(zip(owners, data["beat"], strict=True))
        }
        for window in range(self.count):
            name = records[int(self.column("record")[window])]
            place = places.get((name, int(self.column("beat")[window])))
            if place is None:
                raise Refused(f"certificate {window}: the data have no such beat")
            held = self.held(window)
            known = (data["signal"][place].reshape(-1), data["rhythm"][place])
            if (
                not all(map(np.array_equal, held.inputs(held.raw), known))
                or data["label"][place] != self.column("label")[window]
            ):
                raise Refused(f"certificate {window}: the beat is not that of the data")

    @cached_property
    def converter(self) -> Converter | SegmentConverter | None:
        """The converter; None where the network's inputs are all that is known."""
        entry = self.header["converter"]
        try:
            if entry is None:
                return None
            return (SegmentConverter if "segments" in entry else Converter).read(entry)
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise Refused(f"the converter is not described ({error!r})") from error

    def held(self, window: int) -> Held:
        """Return a window as it was held."""
        if self.converter is None:
            names = [name for name in ("input0", "input1") if name in self.columns]
            rows = [self.column(name, self.columns[name].ndim)[window] for name in names]
            return Plain(tuple(row.reshape(-1) for row in rows))
        if isinstance(self.converter, SegmentConverter):
            segment = Window(self.converter, self.column("raw", 2)[window])
            segment.require_consistent()
            return segment
        beat = Beat(
            self.converter,
            self.column("raw", 2)[window],
            self.column("template", 2)[window],
            int(self.column("gain")[window]),
            self.column("intervals", 2)[window],
        )
        beat.require_consistent()
        return beat

    def rows(self, owner: str, number: int) -> Ints:
        """Return which rows of a table belong to a number."""
        return np.flatnonzero(self.column(owner) == number)
