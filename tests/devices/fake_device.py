"""A device in a thread behind a pseudo-terminal, which fails when it is told to."""

from __future__ import annotations

import os
import pty
import select
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from edgeprune.devices import frames
from edgeprune.network import IntegerNetwork

FAULTS = ("", "hang", "garbage", "reset", "unplug", "wrong")


class FakeDevice:
    """Speaks the protocol in Python, after frames.h.

    Args:
        network: What it computes.
        fault: How it fails: one of `FAULTS`.
        after: Windows that it answers before.
        ticks: What its counter tells of the first window, one more of each next; 0: it has none.

    Attributes:
        address: The port.
        windows: Windows that it was asked for.
    """

    def __init__(self, network: IntegerNetwork, fault: str, after: int, ticks: int = 0) -> None:
        assert fault in FAULTS
        self.windows = 0
        self._network, self._fault, self._after = network, fault, after
        self._ticks = ticks
        self._line, self._port = pty.openpty()
        tty.setraw(self._port)
        self.address = os.ttyname(self._port)
        self._asked = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._port)

    def _serve(self) -> None:
        decoder = frames.Decoder(start=frames.REQUEST)
        while not self._ended.is_set():
            if not select.select([self._line], [], [], 0.02)[0]:
                continue
            for frame in decoder.feed(os.read(self._line, 4096)):
                content = self._answer(frame)
                if content is None:
                    os.close(self._line)
                    return
                os.write(self._line, content)
        os.close(self._line)

    def _answer(self, frame: frames.Frame) -> bytes | None:
        """Return what to write; None to be unplugged."""
        failing = self._fault if self.windows >= self._after and self._asked else ""
        if failing == "unplug":
            return None
        if failing == "hang":
            return b""
        if failing == "garbage":
            return bytes(range(40)) + b"\x5a"
        if failing == "reset":
            self._asked = False
        if frame.command == frames.INFO:
            self._asked = True
            payload = self._info()
        elif not self._asked:
            return self._frame(frame, bytes((frames.NOT_ASKED,)), error=True)
        elif frame.command == frames.CLASSIFY:
            payload = self._classify(frame.payload, failing == "wrong")
        elif frame.command == frames.STACK:
            payload = bytes((1, 0, 0, 0, 2, 0, 0, 0))
        elif frame.command == frames.TICKS and self._ticks:
            payload = (self._ticks + self.windows - 1).to_bytes(4, "little")
        elif frame.command == frames.CHECK:
            payload = bytes(1)
        else:
            return self._frame(frame, bytes((frames.BAD_COMMAND,)), error=True)
        return self._frame(frame, payload)

    @staticmethod
    def _frame(request: frames.Frame, payload: bytes, *, error: bool = False) -> bytes:
        command = request.command | (frames.ERROR if error else 0)
        return frames.encode(request.sequence, command, payload, start=frames.ANSWER)

    def _info(self) -> bytes:
        sizes = [self._network.tensors[name].size for name in self._network.inputs]
        rhythm = sizes[1] if len(sizes) > 1 else 0
        flags = frames.FLAG_SYNTHETIC | (frames.FLAG_TICKS if self._ticks else 0)
        content = bytes((frames.PROTOCOL, flags))
        for value, length in (
            (self._network.output_tensor.size, 2),
            (sizes[0], 4),
            (rhythm, 2),
            (sum(sizes), 2),
        ):
            content += value.to_bytes(length, "little")
        return content + self._network.sha256.encode() + b"0.0"

    def _classify(self, payload: bytes, wrong: bool) -> bytes:
        self.windows += 1
        values = np.frombuffer(payload, np.int8)
        inputs, first = [], 0
        for name in self._network.inputs:
            tensor = self._network.tensors[name]
            inputs.append(values[first : first + tensor.size].reshape(1, *tensor.shape))
            first += tensor.size
        logits = self._network.run(*inputs)[0]
        return (logits ^ np.int8(wrong)).tobytes()


@contextmanager
def fake_device(
    network: IntegerNetwork, fault: str = "", after: int = 0, ticks: int = 0
) -> Iterator[FakeDevice]:
    """Plug a device in; pull it out afterwards."""
    device = FakeDevice(network, fault, after, ticks)
    try:
        yield device
    finally:
        device.end()
