"""Fetching a data set from its publisher: resumes, checks every file, needs no account."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from edgeprune import __version__
from edgeprune.data.cards import Published
from edgeprune.data.checksums import parse_sums
from edgeprune.errors import FetchError
from edgeprune.files import disk_errors, sha256_file
from edgeprune.progress import Progress

_BLOCK_BYTES = 1 << 16
_COPIES = 2
# Timeout, too early, too many requests, and a server's own troubles: they pass.
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True)
class Patience:
    """How long to try.

    Attributes:
        timeout_s: Silence after which a connection counts as lost.
        attempts: Attempts in a row that may bring nothing.
        pause_s: Pause after the first failure; it doubles after each further one.
    """

    timeout_s: float = 30.0
    attempts: int = 5
    pause_s: float = 1.0


@dataclass(frozen=True)
class FetchReport:
    """What a fetch did; the folder then holds the data set as it was published.

    Attributes:
        card: Name of the data set.
        directory: The folder.
        files: Every file that the data set needs, the list of sums first.
        bytes: Bytes that came over the network.
        resumed: Files of which a part was already there.
        reused: Files that were already there and right.
    """

    card: str
    directory: str
    files: tuple[str, ...]
    bytes: int
    resumed: tuple[str, ...]
    reused: tuple[str, ...]


def fetch(
    card: Published, directory: Path, progress: Progress, patience: Patience | None = None
) -> FetchReport:
    """Bring the files of a data set into a folder; generated data sets need none.

    Each file is written under another name, compared with the publisher's SHA-256 and then renamed,
    so that a file under its own name is whole and right. Run again after an interruption, the
    fetch goes on where it stopped.

    Args:
        card: The data set.
        directory: The folder, made where it is absent.
        progress: Told about each file.
        patience: Time-outs and attempts.

    Raises:
        FetchError: The server does not answer, lacks a file, or serves another one than published.
        DiskError: No space or no permission.
    """
    if not card.record_files:
        return FetchReport(card.name, str(directory), (), 0, (), ())
    if not card.files.base_url:
        raise FetchError(
            f"the card of {card.name} does not say where its files come from",
            where=card.path,
            hint="state files.base_url, or put the files into the folder yourself",
        )
    try:
        with disk_errors(directory):
            directory.mkdir(parents=True, exist_ok=True)
            return _fetch(card, directory, progress, patience or Patience())
    except OSError as error:
        raise FetchError(
            f"the folder cannot be used: {error}",
            where=str(directory),
            hint="name a folder of your own to fetch into",
        ) from error


def _fetch(card: Published, directory: Path, progress: Progress, patience: Patience) -> FetchReport:
    publisher = _Publisher(card, directory, progress, patience)
    listed = card.files.checksums
    transfers = [publisher.bring(listed, card.files.checksums_sha256)]
    sums = parse_sums(card, (directory / listed).read_bytes())
    _require_all(card, sums)
    with progress.task(f"fetching {card.name}", len(card.record_files), "files") as advance:
        for name in card.record_files:
            transfers.append(publisher.bring(name, sums[name]))
            advance(1)
    return FetchReport(
        card.name,
        str(directory),
        tuple(transfer.name for transfer in transfers),
        sum(transfer.bytes for transfer in transfers),
        tuple(transfer.name for transfer in transfers if transfer.resumed),
        tuple(transfer.name for transfer in transfers if transfer.bytes == 0),
    )


def _require_all(card: Published, sums: Mapping[str, str]) -> None:
    unlisted = [name for name in card.record_files if name not in sums]
    if unlisted:
        raise FetchError(
            f"the publisher's list of checksums lacks {', '.join(unlisted[:5])}",
            where=f"{card.path or card.name}, {card.files.checksums}",
            hint="correct the records or files.extensions of the card",
        )


@dataclass(frozen=True)
class _Transfer:
    name: str
    bytes: int
    resumed: bool


class _Publisher:
    """One data set's server and the folder that its files go to."""

    def __init__(
        self, card: Published, directory: Path, progress: Progress, patience: Patience
    ) -> None:
        self._card = card
        self._directory = directory
        self._progress = progress
        self._patience = patience
        self._received = 0

    def bring(self, name: str, sha256: str) -> _Transfer:
        """Make the file of that name be there; an empty `sha256` accepts what the server has."""
        path = self._directory / name
        if path.is_file() and sha256 in ("", sha256_file(path)):
            return _Transfer(name, 0, False)
        partial = path.with_name(f".{path.name}.partial")
        self._received = 0
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if not sha256:
                partial.unlink(missing_ok=True)
            resumed = _size(partial) > 0
            for _ in range(_COPIES):
                self._complete(name, partial)
                if sha256 in ("", sha256_file(partial)):
                    partial.replace(path)
                    return _Transfer(name, self._received, resumed)
                partial.unlink()
                resumed = False
                self._progress.note(f"{name}: what arrived is not what was published")
        renew = ", or bring checksums_sha256 of the card up to date"
        raise FetchError(
            f"the server has another {name} than the one that was published (SHA-256)",
            where=self._url(name),
            hint="try again later or from another network; if it stays so, tell the publisher"
            + (renew if name == self._card.files.checksums else ""),
        )

    def _complete(self, name: str, partial: Path) -> None:
        """Fetch what `partial` still lacks, in as many connections as it takes."""
        longest, failures = _size(partial), 0
        while True:
            try:
                self._connect(name, partial)
                return
            except HTTPError as error:
                error.close()
                if error.code == _RANGE_NOT_SATISFIABLE and _size(partial) > 0:
                    return  # Nothing is left to fetch, or the part is wrong: the sum will tell.
                problem = f"the server answers HTTP {error.code} ({error.reason})"
                if error.code not in _PASSING:
                    raise FetchError(
                        problem,
                        where=self._url(name),
                        hint="the publisher may have moved or closed the data set: compare "
                        f"files.base_url of the card with {self._card.origin}",
                    ) from error
            except (OSError, HTTPException) as error:
                problem = f"the connection failed: {getattr(error, 'reason', '') or error}"
            size = _size(partial)
            failures = 1 if size > longest else failures + 1
            longest = max(longest, size)
            self._pause(name, failures, problem)

    def _connect(self, name: str, partial: Path) -> None:
        """Fetch in one connection; an exception means that something is left to fetch."""
        have = _size(partial)
        headers = {"User-Agent": f"edgeprune/{__version__}"}
        if have:
            headers["Range"] = f"bytes={have}-"
        request = Request(self._url(name), headers=headers)
        with urlopen(request, timeout=self._patience.timeout_s) as response:
            continues = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            expected, arrived = response.length, 0
            with disk_errors(partial), partial.open("ab" if have and continues else "wb") as stream:
                while block := response.read(_BLOCK_BYTES):
                    stream.write(block)
                    arrived += len(block)
                    self._received += len(block)
        if expected is not None and arrived < expected:
            raise ConnectionError(f"cut after {arrived:,} of {expected:,} bytes")

    def _pause(self, name: str, failures: int, problem: str) -> None:
        attempts = self._patience.attempts
        if failures >= attempts:
            raise FetchError(
                f"{name} cannot be fetched: {problem}, {attempts} times in a row",
                where=self._url(name),
                hint="check the network and run the same command again: what arrived is kept",
            )
        seconds = self._patience.pause_s * 2 ** (failures - 1)
        self._progress.note(f"{name}: {problem}; trying again in {seconds:g} s")
        time.sleep(seconds)

    def _url(self, name: str) -> str:
        return self._card.files.base_url + quote(name)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
