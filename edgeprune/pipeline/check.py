"""Holds a device against the specification: what it is, what it answers, whether it can be fooled.

The order is that of the damage: a device with another network is asked nothing more. Then come test
windows whose logits are known, then the windows that attacks and disturbances left, then a
black-box attack that the device itself leads. Every answer is compared with the integer network,
with tolerance 0.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgeprune.attacks import Ball
from edgeprune.devices.answers import (
    EmulatedAnswers,
    RememberedAnswers,
    RemoteAnswers,
    WiredAnswers,
)
from edgeprune.devices.board_runtimes import MODELS
from edgeprune.devices.serial_link import DeviceInfo, LineCounts, SerialLink, Stream
from edgeprune.devices.ssh_device import SCHEME, SshDevice
from edgeprune.devices.timing import DeviceTiming, line_timing, linux_timing
from edgeprune.errors import ConfigurationError, EdgepruneError, ParityError
from edgeprune.files import sha256_file
from edgeprune.pipeline.agreement import Agreement, agreement_on_board
from edgeprune.pipeline.checked_result import CheckedResult, Int8Array, ReplayedWindows
from edgeprune.pipeline.device_attack import DeviceAttack, DeviceVictim, attack_device
from edgeprune.pipeline.emulation import QEMU_USER
from edgeprune.progress import Progress, Silent

EMULATOR = "emulator"
QEMU = "qemu"
SERIAL_IMAGE = "serial.elf"


@dataclass(frozen=True)
class CheckSettings:
    """What is asked of a device.

    Attributes:
        device: "emulator", "qemu", a serial port, the path of a pseudo-terminal,
            "socket://host:port", or "ssh://user@host" for Arm Linux.
        baud: Bits a second of a serial port; 0 takes the target's.
        windows: Test windows, drawn from every record.
        attacked: Windows that the black-box attack tries to change.
        queries: Windows that it may show the device for each; 0 for no attack.
        ball: How far it may change a window: "linf:100uV" or "l2:1mV".
        seed: Of all draws.
        timeout_seconds: How long an answer over a line may take.
        python: Python of a board over SSH, whose runtimes are compared too; empty for none.
    """

    device: str = EMULATOR
    baud: int = 0
    windows: int = 1000
    attacked: int = 8
    queries: int = 100
    ball: str = "linf:100uV"
    seed: int = 0
    timeout_seconds: float = 5.0
    python: str = ""

    def __post_init__(self) -> None:
        if self.windows < 1 or self.attacked < 1 or self.queries < 0:
            raise ConfigurationError(
                f"{self.windows} windows, {self.attacked} attacked with {self.queries} queries "
                "cannot be",
                where="check",
                hint="give 1 or more windows; --queries 0 leaves the attack out",
            )


@dataclass(frozen=True)
class CheckedWindows:
    """One lot of windows.

    Attributes:
        name: What they are, in words.
        windows: How many.
        mismatches: Logits in which device and specification differ.
        largest_difference_lsb: The largest such difference.
        wrong_decisions: Windows that the device decides otherwise than the specification.
    """

    name: str
    windows: int
    mismatches: int
    largest_difference_lsb: int
    wrong_decisions: int


@dataclass(frozen=True)
class DeviceCheck:
    """What a check found.

    Attributes:
        device: What was asked, as the user named it.
        target: What the result was built for.
        network_sha256: Of the network, of the result and of the device.
        info: What the device said of itself; None for the emulator, which runs the result's image.
        stack_bytes: Stack that the device ever used, and that it has; None for the emulator.
        constants_intact: Whether the device found its constants and guards whole; None for the
            emulator, whose answers tell.
        parts: Lots of windows, in order.
        attack: The black-box attack; None where it was left out.
        absent: What was left out and why, in words.
        kept: Answers taken over from a run that was broken off.
        asked: Windows that the device was asked in this run.
        line: What the line did to the frames; None for the emulator.
        seconds: Wall clock of this run.
        timing: What the board's own counter told; None where none did.
        runtimes: How far the runtimes of the board's Python agree; they gate nothing.
    """

    device: str
    target: str
    network_sha256: str
    info: DeviceInfo | None
    stack_bytes: tuple[int, int] | None
    constants_intact: bool | None
    parts: tuple[CheckedWindows, ...]
    attack: DeviceAttack | None
    absent: tuple[str, ...]
    kept: int
    asked: int
    line: LineCounts | None
    seconds: float
    timing: DeviceTiming | None = None
    runtimes: tuple[Agreement, ...] = ()

    @property
    def mismatches(self) -> int:
        """Logits in which device and specification differ."""
        attacked = self.attack.mismatches if self.attack else 0
        return attacked + sum(part.mismatches for part in self.parts)

    @property
    def windows(self) -> int:
        """Windows that the device answered, those of the attack among them."""
        attacked = self.attack.queries if self.attack else 0
        return attacked + sum(part.windows for part in self.parts)

    @property
    def passed(self) -> bool:
        """Whether the device is the specification, as far as it was asked."""
        return self.mismatches == 0 and self.constants_intact is not False


@dataclass
class _Course:
    """How far one lot of windows has come, for an error's sentence."""

    total: int
    unit: str
    at_most: bool = False
    done: int = 0
    advance: Callable[[int], None] = field(default=lambda _: None)

    def step(self, count: int) -> None:
        self.done += count
        self.advance(count)

    @property
    def text(self) -> str:
        limit = "at most " if self.at_most else ""
        return f" after {self.done:,} of {limit}{self.total:,} {self.unit}"


def check_device(
    folder: Path, settings: CheckSettings, progress: Progress | None = None
) -> DeviceCheck:
    """Hold a device against the result it was flashed from; a broken run resumes.

    Answers are kept in `RESULT.work/check` until a run comes to its end.

    Args:
        folder: The result directory.
        settings: Which device, and what is asked of it.
        progress: Receives the course of the work.

    Raises:
        ConfigurationError: The folder is no result, or a setting cannot be used.
        DataError: The result was altered, or holds no windows.
        DeviceError: The device hangs, answers garbage, was reset, or refuses its inputs.
        MissingToolError: QEMU, the emulator or a compiler is not installed.
        ParityError: The device holds another network.
        PortError: The port cannot be opened, or the device was unplugged.
    """
    progress = progress or Silent()
    begin = time.monotonic()
    ball = Ball.parse(settings.ball)
    result = CheckedResult(folder)
    if settings.device.startswith(SCHEME):
        if settings.python and result.target.is_linux:
            result.require_built(MODELS)
        with SshDevice(result.image(), result.target, settings.device) as board:
            remote = RemoteAnswers(board, result.image(), result.target, result.classes)
            log = _log(result, settings, f"{board.machine} {sha256_file(result.image())}")
            device = RememberedAnswers(remote, log, result.classes)
            found = _asked(result, settings, ball, device, None, progress, begin)
            found = replace(found, timing=linux_timing(remote))
            if settings.python:
                lot = result.test_windows(settings.windows, settings.seed)
                rows = agreement_on_board(board, settings.python, result, lot, progress)
                found = replace(found, runtimes=tuple(rows))
        return found
    if settings.device == EMULATOR:
        emulated = EmulatedAnswers(
            result.image(), result.target, result.classes, backend=_backend(result)
        )
        log = _log(result, settings, sha256_file(result.image()))
        device = RememberedAnswers(emulated, log, result.classes)
        return _asked(result, settings, ball, device, None, progress, begin)
    _require_line(result, settings.device)
    with _stream(result, settings, progress) as stream:
        link = SerialLink(stream, settings.device, timeout_seconds=settings.timeout_seconds)
        info = link.info()
        _check_identity(result, info, settings.device)
        log = _log(result, settings, str(info))
        wired = WiredAnswers(link)
        device = RememberedAnswers(wired, log, result.classes)
        found = _asked(result, settings, ball, device, link, progress, begin)
    return replace(found, timing=line_timing(wired, settings.device))


def _backend(result: CheckedResult) -> str:
    return QEMU_USER if result.target.is_linux else "unicorn"


def _require_line(result: CheckedResult, device: str) -> None:
    if result.target.is_linux:
        raise ConfigurationError(
            f"the result's target {result.target.name} runs Linux: it answers over no line",
            where=f"--device {device}",
            hint="use ssh://user@host, or emulator for QEMU's user mode",
        )


def _log(result: CheckedResult, settings: CheckSettings, identity: str) -> Path:
    """Return where the answers of one device with one image are kept."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", settings.device).strip("-")[-40:]
    key = hashlib.sha256(f"{settings.device} {identity}".encode()).hexdigest()[:12]
    return result.work / "check" / f"{plain}-{key}.answers"


@contextmanager
def _stream(result: CheckedResult, settings: CheckSettings, progress: Progress) -> Iterator[Stream]:
    if settings.device == QEMU:
        from edgeprune.devices.qemu_device import find_qemu
        from edgeprune.devices.qemu_serial import qemu_stream

        find_qemu()
        elf = result.work / "check" / SERIAL_IMAGE
        progress.note("compiling the image that answers over the UART")
        result.serial_image(elf, elf.with_name("sources"))
        with qemu_stream(elf, result.target) as board:
            yield board
    else:
        from edgeprune.devices.connections import DEFAULT_BAUD, PortStream

        uart = result.target.uart
        baud = settings.baud or (uart.baud if uart else DEFAULT_BAUD)
        with PortStream(settings.device, baud) as port:
            yield port


def _check_identity(result: CheckedResult, info: DeviceInfo, where: str) -> None:
    if info.network_sha256 != result.network.sha256:
        raise ParityError(
            f"the device holds the network {info.network_sha256[:12]}..., the result "
            f"{result.network.sha256[:12]}...: nothing was run",
            where=where,
            hint="flash the image of this result (edgeprune check --image FILE), or name the "
            "result that was flashed",
        )


def _asked(
    result: CheckedResult,
    settings: CheckSettings,
    ball: Ball,
    device: RememberedAnswers,
    link: SerialLink | None,
    progress: Progress,
    begin: float,
) -> DeviceCheck:
    """Ask everything that is to be asked."""
    if device.kept:
        progress.note(f"{device.kept:,} answers are kept from a run that was broken off")
    lots = [result.test_windows(settings.windows, settings.seed), *result.replays()]
    parts = tuple(_compare(device, lot, progress) for lot in lots)
    absent = [] if len(lots) > 1 else ["replays: the result holds no windows of attacks"]
    attack, why = _attacked(result, settings, ball, device, progress)
    absent += [why] if why else []
    stack = link.stack() if link else None
    intact = link.check() == 0 if link else None
    device.forget()
    return DeviceCheck(
        settings.device,
        result.target.name,
        result.network.sha256,
        link.info() if link else None,
        stack,
        intact,
        parts,
        attack,
        tuple(absent),
        device.kept,
        device.asked,
        link.counts if link else None,
        time.monotonic() - begin,
    )


@contextmanager
def _course(progress: Progress, course: _Course) -> Iterator[_Course]:
    """Tell the course of a lot, and how far it came where it breaks."""
    with progress.task(course.unit, course.total, "windows") as advance:
        course.advance = advance
        try:
            yield course
        except EdgepruneError as error:
            error.what += course.text
            raise


def _compare(device: RememberedAnswers, lot: ReplayedWindows, progress: Progress) -> CheckedWindows:
    with _course(progress, _Course(len(lot.logits), lot.name)) as course:
        found = device.classify(*_two(lot.inputs), course.step)
    difference = np.abs(found.astype(np.int16) - lot.logits)
    return CheckedWindows(
        lot.name,
        len(found),
        int(np.count_nonzero(difference)),
        int(difference.max(initial=0)),
        int(np.count_nonzero(found.argmax(axis=1) != lot.logits.argmax(axis=1))),
    )


def _two(inputs: tuple[Int8Array, ...]) -> tuple[Int8Array, Int8Array | None]:
    return inputs[0], inputs[1] if len(inputs) == 2 else None


def _attacked(
    result: CheckedResult,
    settings: CheckSettings,
    ball: Ball,
    device: RememberedAnswers,
    progress: Progress,
) -> tuple[DeviceAttack | None, str]:
    """Attack some windows; else return why not, in words."""
    if settings.queries == 0:
        return None, "black-box attack: no queries were allowed"
    held = result.held()
    if held is None:
        return None, "black-box attack: the result holds no raw windows (certificates/held.npz)"
    generator = np.random.default_rng(settings.seed)
    count = min(settings.attacked, len(held))
    held = held.select(np.sort(generator.choice(len(held), count, replace=False)))
    most = count * (settings.queries + 1)
    with _course(progress, _Course(most, "queries of the black-box attack", True)) as course:

        def answer(inputs: tuple[Int8Array, ...]) -> Int8Array:
            return device.classify(*_two(inputs), course.step)

        victim = DeviceVictim(answer, result.network, held)
        attack = attack_device(victim, ball, settings.queries, settings.seed)
    return attack, ""
