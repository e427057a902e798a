"""A line that loses, changes and holds up bytes, between a host and a device."""

from __future__ import annotations

import os
import pty
import random
import select
import socket
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# A held-up byte holds up all behind it, mostly for less than a host waits, sometimes for more.
_SHORT_SECONDS, _LONG_SECONDS, _LONG_SHARE = 0.01, 0.4, 0.02


@dataclass(frozen=True)
class Faults:
    """What happens to each byte, independently of the others.

    Attributes:
        drop: Share of the bytes that get lost.
        flip: Share that comes with one bit changed.
        delay: Share that is held up, with everything behind it.
        seed: Of all draws.
    """

    drop: float = 0.0
    flip: float = 0.0
    delay: float = 0.0
    seed: int = 0


ONE_PERCENT = Faults(0.01, 0.01, 0.01, seed=5)


@dataclass
class Happened:
    """What was done to bytes so far, both ways together."""

    carried: int = 0
    dropped: int = 0
    flipped: int = 0
    delayed: int = 0


@dataclass
class FaultyLine:
    """Carries bytes between two file descriptors until it is cut.

    Attributes:
        faults: What happens to each byte.
        happened: What happened so far.
    """

    faults: Faults
    happened: Happened = field(default_factory=Happened)
    _cut: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def connect(self, host: int, device: int) -> None:
        """Carry both ways, in threads of their own."""
        for number, (source, sink) in enumerate(((host, device), (device, host))):
            generator = random.Random(self.faults.seed * 2 + number)
            thread = threading.Thread(
                target=self._carry, args=(source, sink, generator), daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def cut(self) -> None:
        """Carry nothing more."""
        self._cut.set()
        for thread in self._threads:
            thread.join()

    def _carry(self, source: int, sink: int, generator: random.Random) -> None:
        while not self._cut.is_set():
            try:
                if not select.select([source], [], [], 0.05)[0]:
                    continue
                content = os.read(source, 4096)
            except OSError:
                return
            if not content:
                return
            try:
                for part in self._parts(content, generator):
                    os.write(sink, part)
            except OSError:
                return

    def _parts(self, content: bytes, generator: random.Random) -> Iterator[bytes]:
        """Return what becomes of some bytes, in pieces that arrive one after another."""
        faults, happened = self.faults, self.happened
        kept = bytearray()
        for byte in content:
            happened.carried += 1
            if generator.random() < faults.drop:
                happened.dropped += 1
                continue
            value = byte
            if generator.random() < faults.flip:
                happened.flipped += 1
                value ^= 1 << generator.randrange(8)
            if generator.random() < faults.delay:
                happened.delayed += 1
                yield bytes(kept)
                kept.clear()
                long = generator.random() < _LONG_SHARE
                time.sleep(_LONG_SECONDS if long else _SHORT_SECONDS * generator.random())
            kept.append(value)
        yield bytes(kept)


@contextmanager
def faulty_tcp(device: int, faults: Faults) -> Iterator[tuple[str, FaultyLine]]:
    """Offer a device as `socket://...` for one connection after another."""
    line = FaultyLine(faults)
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.05)
    connections: list[socket.socket] = []
    ended = threading.Event()

    def accept() -> None:
        while not ended.is_set():
            try:
                connection, _ = server.accept()
            except OSError:
                continue
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.append(connection)
            line.connect(connection.fileno(), device)
            return

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"socket://127.0.0.1:{server.getsockname()[1]}", line
    finally:
        ended.set()
        thread.join()
        line.cut()
        server.close()
        for connection in connections:
            connection.close()


@contextmanager
def faulty_pty(device: int, faults: Faults) -> Iterator[tuple[str, FaultyLine]]:
    """Offer a device as a serial port: the path of a pseudo-terminal."""
    line = FaultyLine(faults)
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    line.connect(ours, device)
    try:
        yield os.ttyname(theirs), line
    finally:
        line.cut()
        os.close(ours)
        os.close(theirs)
