"""Devices that are asked what they make of windows, and the answers that outlive a broken run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeprune.devices.backends import BACKENDS
from edgeprune.devices.run import run_image
from edgeprune.devices.serial_link import SerialLink
from edgeprune.devices.ssh_device import SshDevice
from edgeprune.files import disk_errors
from edgeprune.targets import Target

Int8Array = NDArray[np.int8]
Advance = Callable[[int], None]

_DIGEST_BYTES = 16
_MOST_EMULATORS = 4


class AnsweringDevice(Protocol):
    """A device that classifies ready windows."""

    @property
    def batch(self) -> int:
        """Windows that it is best asked for at a time."""
        ...

    def classify(self, signal: Int8Array, rhythm: Int8Array | None) -> Int8Array:
        """Return logits, int8 [n, classes].

        Args:
            signal: int8 [n, length, channels].
            rhythm: int8 [n, features], or None for a network without that input.

        Raises:
            DeviceError: It hangs, answers garbage, was reset or refuses the windows.
            PortError: It was unplugged.
        """
        ...


class EmulatedAnswers:
    """The test image on emulators in this process, which share the windows.

    Args:
        elf: The linked image, program "exchange".
        target: What it runs on.
        classes: Number of logits.
        emulators: How many; 0 takes one for each processor, up to four.
        backend: What runs it: "unicorn", or "qemu-user" for the command of Arm Linux.

    Raises:
        DeviceError: The emulator cannot run this target, or the image is not for it.
        MissingToolError: The emulator is not installed.

    Attributes:
        emulators: How many share the windows.
    """

    batch = 512

    def __init__(
        self,
        elf: Path,
        target: Target,
        classes: int,
        emulators: int = 0,
        backend: str = "unicorn",
    ) -> None:
        self.emulators = emulators or min(os.cpu_count() or 1, _MOST_EMULATORS)
        make = BACKENDS.get(backend)
        self._devices = tuple(make(elf, target) for _ in range(self.emulators))
        self._elf = elf
        self._target = target
        self._classes = classes

    def classify(self, signal: Int8Array, rhythm: Int8Array | None) -> Int8Array:
        """See `AnsweringDevice.classify`."""
        return run_image(
            self._elf, self._target, signal, rhythm, self._classes, devices=self._devices
        ).logits


class RemoteAnswers:
    """The command of Arm Linux on a board, reached over SSH.

    Args:
        device: The board, with the command on it.
        elf: The command.
        target: What it was built for.
        classes: Number of logits.

    Attributes:
        nanoseconds: By the board's clock: of its quickest window, of all, and of its slowest.
        windows: Windows that it was asked for.
    """

    batch = 512

    def __init__(self, device: SshDevice, elf: Path, target: Target, classes: int) -> None:
        self._device = device
        self._elf = elf
        self._target = target
        self._classes = classes
        self.nanoseconds: tuple[int, int, int] | None = None
        self.windows = 0

    def classify(self, signal: Int8Array, rhythm: Int8Array | None) -> Int8Array:
        """See `AnsweringDevice.classify`."""
        run = run_image(
            self._elf, self._target, signal, rhythm, self._classes, devices=[self._device]
        )
        self.windows += len(signal)
        if run.ticks is not None:
            least, total, most = self.nanoseconds or (run.ticks[0], 0, 0)
            self.nanoseconds = (
                min(least, run.ticks[0]),
                total + run.ticks[1],
                max(most, run.ticks[2]),
            )
        return run.logits


class WiredAnswers:
    """A device at the other end of a line, window by window.

    Args:
        link: The line.

    Attributes:
        ticks: What the board's counter told of each window; empty where it has none.
    """

    batch = 1

    def __init__(self, link: SerialLink) -> None:
        self._link = link
        self.ticks: list[int] = []

    def classify(self, signal: Int8Array, rhythm: Int8Array | None) -> Int8Array:
        """See `AnsweringDevice.classify`."""
        return np.stack(
            [
                self._one(each, None if rhythm is None else rhythm[row])
                for row, each in enumerate(signal)
            ]
        )

    def _one(self, signal: Int8Array, rhythm: Int8Array | None) -> Int8Array:
        logits = self._link.classify(signal, rhythm)
        ticks = self._link.ticks()
        if ticks is not None:
            self.ticks.append(ticks)
        return logits


class RememberedAnswers:
    """A device whose answers are kept in a file, so that a broken run goes on where it stopped.

    The file holds one record an answer, its digest first: BLAKE2b of the window's bytes.

    Args:
        device: The device.
        path: The file; another network or another device must have another.
        classes: Number of logits.

    Attributes:
        asked: Windows that the device itself was asked in this run.
        kept: Answers of earlier runs.
    """

    def __init__(self, device: AnsweringDevice, path: Path, classes: int) -> None:
        self._device = device
        self._path = path
        self._record = _DIGEST_BYTES + classes
        self._known = self._read()
        self.kept = len(self._known)
        self.asked = 0

    def classify(self, signal: Int8Array, rhythm: Int8Array | None, advance: Advance) -> Int8Array:
        """Return logits, int8 [n, classes]: those that are known, and the device's to the rest.

        Args:
            signal: int8 [n, length, channels], n > 0.
            rhythm: int8 [n, features], or None for a network without that input.
            advance: Told of windows that are answered.

        Raises:
            DeviceError: The device hangs, answers garbage, was reset or refuses the windows.
            PortError: It was unplugged.
        """
        digests = [
            _digest(each, None if rhythm is None else rhythm[row])
            for row, each in enumerate(signal)
        ]
        open_rows = {digest: row for row, digest in enumerate(digests) if digest not in self._known}
        rows = sorted(open_rows.values())
        advance(len(signal) - len(rows))
        batch = self._device.batch
        for start in range(0, len(rows), batch):
            part = rows[start : start + batch]
            found = self._device.classify(signal[part], None if rhythm is None else rhythm[part])
            self._keep([digests[row] for row in part], found)
            advance(len(part))
        return np.stack([np.frombuffer(self._known[digest], np.int8) for digest in digests])

    def forget(self) -> None:
        """Remove the file: the next run asks the device itself about everything."""
        self._path.unlink(missing_ok=True)

    def _keep(self, digests: list[bytes], logits: Int8Array) -> None:
        self.asked += len(digests)
        answers = [row.tobytes() for row in logits]
        self._known.update(zip(digests, answers, strict=True))
        with disk_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as stream:
                stream.write(b"".join(map(bytes.__add__, digests, answers)))

    def _read(self) -> dict[bytes, bytes]:
        """Return the answers of earlier runs; the record that a killed run left half is cut off."""
        if not self._path.is_file():
            return {}
        content = self._path.read_bytes()
        whole = len(content) // self._record * self._record
        if whole < len(content):
            with disk_errors(self._path), self._path.open("r+b") as stream:
                stream.truncate(whole)
        records = (content[at : at + self._record] for at in range(0, whole, self._record))
        return {each[:_DIGEST_BYTES]: each[_DIGEST_BYTES:] for each in records}


def _digest(signal: Int8Array, rhythm: Int8Array | None) -> bytes:
    window = signal.tobytes() + (b"" if rhythm is None else rhythm.tobytes())
    return hashlib.blake2b(window, digest_size=_DIGEST_BYTES).digest()
