"""A publisher on 127.0.0.1 whose server can misbehave in every way that servers do."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from edgeprune.data.cards import DatasetCard, FilesCard, SignalCard, SplitCard

SUMS = "SHA256SUMS.txt"


@dataclass
class Faults:
    """What the server does wrong, by file name; a count is used up request by request.

    Attributes:
        cut: Connections to cut after half of what was asked for.
        stall: Connections to fall silent after half of what was asked for.
        corrupt: Responses with one byte changed.
        status: Answers with another status, in order.
        ignores_range: The server knows no ranges.
        without_length: Bodies come without a length: a cut looks like the end.
    """

    cut: dict[str, int] = field(default_factory=dict)
    stall: dict[str, int] = field(default_factory=dict)
    corrupt: dict[str, int] = field(default_factory=dict)
    status: dict[str, list[int]] = field(default_factory=dict)
    ignores_range: bool = False
    without_length: bool = False


@dataclass
class Publisher:
    """The running server: its files, its faults, and what it was asked."""

    url: str
    files: dict[str, bytes]
    faults: Faults = field(default_factory=Faults)
    asked: list[tuple[str, str]] = field(default_factory=list)

    @property
    def names_asked(self) -> list[str]:
        return [name for name, _ in self.asked]

    def card(self) -> DatasetCard:
        """Return a card of three records whose files this server has."""
        return DatasetCard(
            name="small",
            title="A small data set",
            source="wfdb",
            synthetic=False,
            epochs=1,
            origin="nowhere",
            licence="none",
            citation="none",
            text="",
            signal=SignalCard(360, 5.0, 11, ("MLII",)),
            labels={"N": ("N",)},
            split=SplitCard(("1", "2"), ("2",), ("3",)),
            files=FilesCard(
                base_url=self.url,
                checksums=SUMS,
                checksums_sha256=hashlib.sha256(self.files[SUMS]).hexdigest(),
                extensions=("hea", "dat"),
            ),
            path="small.toml",
        )

    def card_with(self, **files: object) -> DatasetCard:
        card = self.card()
        return replace(card, files=replace(card.files, **files))  # type: ignore[arg-type]


def content() -> dict[str, bytes]:
    """Return files that differ, some of them larger than one block."""
    files = {
        f"{record}.{extension}": hashlib.sha256(f"{record}{extension}".encode()).digest() * size
        for record in "123"
        for extension, size in (("hea", 5), ("dat", 6000))
    }
    sums = "".join(f"{hashlib.sha256(data).hexdigest()} {name}\n" for name, data in files.items())
    return {**files, SUMS: sums.encode()}


@contextmanager
def publisher() -> Iterator[Publisher]:
    """Serve `content()` until the end of the block."""
    state = Publisher("", content())
    released = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.removeprefix("/set/")
            faults = state.faults
            state.asked.append((name, self.headers.get("Range", "")))
            if faults.status.get(name):
                self.send_error(faults.status[name].pop(0))
                return
            if name not in state.files:
                self.send_error(404)
                return
            body, status, start = state.files[name], 200, 0
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if wanted and not faults.ignores_range:
                status, start = 206, int(wanted[1])
                if start >= len(body):
                    self.send_error(416)
                    return
            rest = body[start:]
            if _use(faults.corrupt, name):
                rest = bytes([rest[0] ^ 1]) + rest[1:]
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            if not faults.without_length:
                self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            if _use(faults.cut, name):
                self.wfile.write(rest[: len(rest) // 2])
                self.close_connection = True
            elif _use(faults.stall, name):
                self.wfile.write(rest[: len(rest) // 2])
                self.wfile.flush()
                released.wait(20)
            else:
                self.wfile.write(rest)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}/set/"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _use(counts: dict[str, int], name: str) -> bool:
    left = counts.get(name, 0)
    counts[name] = left - 1
    return left > 0
