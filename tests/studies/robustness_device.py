"""`check` against a whole board in QEMU, over a TCP UART and over a pty, on a line that is bad.

Between the host and the board's UART each byte gets lost, has a bit changed, or is held up with all
behind it, each with a probability of its own. What is shown: every window is answered, and none
wrong.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeprune.attacks import ATTACKS, AttackSettings, Ball, IntegerVictim
from edgeprune.devices.answers import EmulatedAnswers
from edgeprune.devices.qemu_device import find_qemu
from edgeprune.disturbances import disturbed_windows, parse_disturbance
from edgeprune.errors import DeviceError
from edgeprune.pipeline.check import CheckSettings, DeviceCheck, check_device
from edgeprune.pipeline.checked_result import IMAGE, CheckedResult
from edgeprune.pipeline.products import inputs_of, stratified
from edgeprune.pipeline.recordings import recordings_of
from edgeprune.progress import Progress, Silent
from edgeprune.targets import Target
from tests.devices.faulty_proxy import ONE_PERCENT, Faults, Happened, faulty_pty, faulty_tcp
from tests.devices.results import seal, write_result
from tests.studies.study import Figure
from tests.studies.subjects import Subject

MACHINE = "mps2-an500"
UARTS = ("tcp", "pty")
WINDOWS, REPLAYS = 200, 20
_NUDGE_SECONDS = 0.002
_START_SECONDS = 20.0


@dataclass(frozen=True)
class BadLine:
    """What came of `check` over one line.

    Attributes:
        uart: "tcp" or "pty", between QEMU and the proxy and between the proxy and the host.
        faults: What happened to each byte.
        check: What the verb found.
        windows: Windows that the result holds for it, and those that the attack showed it.
        answered: Windows that the device answered.
        wrong: Windows with a logit other than the specification's.
        resends: Requests that were sent again.
        happened: Bytes carried, lost, changed and held up.
        seconds: Wall clock.
    """

    uart: str
    faults: Faults
    check: DeviceCheck
    windows: int
    answered: int
    wrong: int
    resends: int
    happened: Happened
    seconds: float


@dataclass(frozen=True)
class BulkRun:
    """Windows on the emulator in this process.

    Attributes:
        windows: How many.
        emulators: How many emulators shared them.
        per_second: Windows a second of wall clock.
        per_processor_second: Windows a second of processor time, whatever else runs meanwhile.
        mismatches: Logits that differ from the specification.
    """

    windows: int
    emulators: int
    per_second: float
    per_processor_second: float
    mismatches: int


def check_over_bad_lines(
    result: Path,
    *,
    windows: int = 200,
    queries: int = 5,
    faults: Faults = ONE_PERCENT,
    progress: Progress | None = None,
) -> tuple[BadLine, ...]:
    """Run `check` against QEMU over each UART with faults in between.

    Args:
        result: A result directory for a target whose QEMU board is an mps2-an500.
        windows: Test windows; those that attacks left and the attack's come on top.
        queries: Of the black-box attack, for each of its 8 windows.
        faults: What happens to each byte.
        progress: Receives the course.

    Raises:
        DeviceError: The target's board is another.
        MissingToolError: QEMU is not installed.
    """
    checked = CheckedResult(result)
    target = checked.target
    if target.qemu is None or target.qemu.machine != MACHINE:
        raise DeviceError(f"{target.name} is no {MACHINE}", where=str(result))
    with tempfile.TemporaryDirectory(prefix="edgeprune-") as scratch:
        elf = Path(scratch) / "serial.elf"
        checked.serial_image(elf, Path(scratch) / "sources")
        return tuple(
            _over(uart, result, elf, target, windows, queries, faults, progress) for uart in UARTS
        )


def _over(
    uart: str,
    result: Path,
    elf: Path,
    target: Target,
    windows: int,
    queries: int,
    faults: Faults,
    progress: Progress | None,
) -> BadLine:
    offer = faulty_tcp if uart == "tcp" else faulty_pty
    with ExitStack() as stack:
        device = stack.enter_context(powered_board(elf, target, uart))
        address, line = stack.enter_context(offer(device, faults))
        begin = time.monotonic()
        settings = CheckSettings(address, windows=windows, queries=queries)
        found = check_device(result, settings, progress)
        seconds = time.monotonic() - begin
    assert found.line is not None
    checked = CheckedResult(result)
    lots = (checked.test_windows(windows, settings.seed), *checked.replays())
    attacked = found.attack.queries if found.attack else 0
    return BadLine(
        uart,
        faults,
        found,
        sum(len(lot.logits) for lot in lots) + attacked,
        found.windows,
        found.mismatches,
        found.line.resends,
        line.happened,
        seconds,
    )


@contextmanager
def powered_board(elf: Path, target: Target, uart: str) -> Iterator[int]:
    """Start a board; give the file descriptor of the other end of its UART."""
    assert target.qemu is not None
    command = [str(find_qemu()), "-M", target.qemu.machine, "-kernel", str(elf)]
    command += ["-display", "none", "-monitor", "stdio", "-net", "none", "-serial", "chardev:uart"]
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        if uart == "tcp":
            port = server.getsockname()[1]
            command += ["-chardev", f"socket,id=uart,host=127.0.0.1,port={port},nodelay=on"]
        else:
            command += ["-chardev", "pty,id=uart"]
        said = stack.enter_context(tempfile.TemporaryFile())
        board = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said)
        stack.callback(board.wait)
        stack.callback(board.kill)
        if uart == "tcp":
            server.settimeout(_START_SECONDS)
            connection = stack.enter_context(server.accept()[0])
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            device = connection.fileno()
        else:
            device = os.open(_pty_of(said.fileno()), os.O_RDWR | os.O_NOCTTY)
            stack.callback(os.close, device)
            tty.setraw(device)
        ended = threading.Event()
        nudging = threading.Thread(target=_nudge, args=(board, ended), daemon=True)
        nudging.start()
        stack.callback(nudging.join)
        stack.callback(ended.set)
        yield device


def _pty_of(said: int) -> str:
    """Return the path of the pseudo-terminal that QEMU tells of."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        found = re.search(rb"redirected to (\S+)", os.pread(said, 65_536, 0))
        if found:
            return found[1].decode()
        time.sleep(0.02)
    raise DeviceError("QEMU told of no pseudo-terminal", where=MACHINE)


def _nudge(board: subprocess.Popen[bytes], ended: threading.Event) -> None:
    """Keep QEMU awake: it looks at a UART that was not ready when something else happens."""
    assert board.stdin is not None
    while not ended.wait(_NUDGE_SECONDS):
        try:
            board.stdin.write(b"\n")
            board.stdin.flush()
        except OSError:
            return


def device_figures(subject: Subject, windows: int = WINDOWS) -> Iterator[Figure]:
    """Bulk runs on the emulator, then `check` over both bad lines.

    Args:
        subject: A network built for a target whose QEMU board is an mps2-an500, up to "bench".
        windows: Test windows that go over each line; attacked and disturbed ones come on top.
    """
    section = "device"
    with tempfile.TemporaryDirectory(prefix="edgeprune-") as scratch:
        result = result_of(subject, Path(scratch) / "result")
        for emulators in (1, 0):
            bulk = bulk_on_the_emulator(result, emulators=emulators)
            yield Figure(
                section,
                f"bulk on the emulator, {bulk.emulators} at a time",
                bulk.per_second,
                300,
                unit="windows/s",
                note=f"{bulk.windows:,} windows, {bulk.per_processor_second:,.0f} a second of "
                f"processor time, {bulk.mismatches} logits that differ",
            )
        for line in check_over_bad_lines(result, windows=windows):
            name, found, counts = f"check over {line.uart}", line.check, line.check.line
            assert counts is not None
            yield Figure(
                section,
                f"{name}: windows not answered",
                line.windows - line.answered,
                0,
                at_most=True,
                note=f"{line.answered:,} answered: "
                + ", ".join(f"{part.windows:,} {part.name}" for part in found.parts)
                + (f", {found.attack.queries:,} shown by the attack" if found.attack else ""),
            )
            yield Figure(
                section,
                f"{name}: logits that differ",
                line.wrong,
                0,
                at_most=True,
                note=f"{MACHINE}; {counts.requests:,} requests, {counts.resends:,} sent again, "
                f"{counts.timeouts:,} time-outs",
            )
            happened = line.happened
            yield Figure(
                section,
                f"{name}: bytes lost, changed or held up",
                happened.dropped + happened.flipped + happened.delayed,
                1,
                note=f"of {happened.carried:,}: {happened.dropped:,} lost, {happened.flipped:,} "
                f"changed, {happened.delayed:,} held up; {line.seconds:,.0f} s",
            )


def result_of(subject: Subject, folder: Path) -> Path:
    """Write the result directory of a network that was built up to "bench".

    Its replays are what PGD turned within 200 uV, and the same beats under noise and hum.
    """
    network, held, windows = subject.network, subject.held, subject.windows
    victim = IntegerVictim(network, held)
    attacked = ATTACKS.get("pgd")(
        victim, windows.label, Ball.parse("linf:200uV"), AttackSettings(), Silent()
    )
    rows = np.flatnonzero(attacked.success)[:REPLAYS]
    turned = held.select(rows).inputs(attacked.raw[rows])[: subject.inputs]
    context, stages = subject.result.context, subject.result.stages
    some = windows.select(stratified(windows, REPLAYS, subject.seed))
    recordings = recordings_of(context, stages["data"], some)
    disturbed = []
    for text in ("electrode-motion:6dB", "mains-hum:100uV"):
        case = parse_disturbance(text)
        cut = disturbed_windows(recordings, some, context.front_end, case, subject.seed)
        disturbed.append(inputs_of(network, cut.windows.select(np.flatnonzero(cut.present))))
    noise = [np.concatenate(each) for each in zip(*disturbed, strict=True)]
    write_result(
        folder, context.config, network, held, windows, {"attacked": turned, "disturbed": noise}
    )
    shutil.copyfile(stages["firmware"].file(IMAGE), folder / IMAGE)
    seal(folder)
    return folder


def bulk_on_the_emulator(result: Path, windows: int = 3000, emulators: int = 0) -> BulkRun:
    """Run test windows on the emulator, over and over up to a number, and take the time."""
    checked = CheckedResult(result)
    lot = checked.test_windows(windows, seed=1)
    device = EmulatedAnswers(checked.image(), checked.target, checked.classes, emulators)
    again = np.resize(np.arange(len(lot.logits)), windows)
    signal, *rest = (each[again] for each in lot.inputs)
    rhythm = rest[0] if rest else None
    device.classify(signal[:8], None if rhythm is None else rhythm[:8])
    begin, processor = time.monotonic(), time.process_time()
    logits = device.classify(signal, rhythm)
    return BulkRun(
        len(logits),
        device.emulators,
        len(logits) / (time.monotonic() - begin),
        len(logits) / (time.process_time() - processor),
        int((logits != lot.logits[again]).sum()),
    )
