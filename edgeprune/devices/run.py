"""Run a firmware image on a device and read what it computed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from edgeprune.devices import exchange
from edgeprune.devices.backends import BACKENDS, Device
from edgeprune.errors import DeviceError
from edgeprune.progress import Progress, Silent
from edgeprune.targets import Target

WHERE = "emulator (instructions)"
# Small enough that progress is seen and an interrupt from the keyboard is soon heard.
_BATCH_WINDOWS = 64
_START_SECONDS = 30.0


@dataclass(frozen=True)
class TimedInstructions:
    """Instructions of one window by the board's own timer, which QEMU drives by instructions.

    Exact to one tick (1.6 instructions at 25 MHz); it includes the call of `edgeprune_classify`
    and, in windows of many millions of instructions, the timer's own interrupts.

    Attributes:
        minimum: Of the cheapest window.
        mean: Of all windows.
        maximum: Of the dearest window.
    """

    minimum: int
    mean: float
    maximum: int


@dataclass(frozen=True)
class DeviceRun:
    """What an image computed.

    Attributes:
        logits: int8 [n, classes].
        backend: Name of the backend.
        where: Where figures of this run come from, as every table must say.
        instructions: By the board's timer; None where the backend has none.
        stack_bytes: Bytes of stack that were ever written, as the image itself saw it.
        seconds: Wall clock of the whole run; says nothing about the device.
        ticks: Of the board's own timer, raw: the cheapest window, all together, and the dearest;
            None where it has none. What a tick is the board knows: nanoseconds on Linux.
    """

    logits: NDArray[np.int8]
    backend: str
    where: str
    instructions: TimedInstructions | None
    stack_bytes: int
    seconds: float
    ticks: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class FrontEndRun:
    """What an image made of a raw recording.

    Attributes:
        signal: int8 [windows, length, channels].
        rhythm: int8 [windows, features].
        logits: int8 [windows, classes].
        backend: Name of the backend.
        where: Where figures of this run come from.
        stack_bytes: Bytes of stack that were ever written, as the image itself saw it.
        seconds: Wall clock of the whole run; says nothing about the device.
    """

    signal: NDArray[np.int8]
    rhythm: NDArray[np.int8]
    logits: NDArray[np.int8]
    backend: str
    where: str
    stack_bytes: int
    seconds: float


def run_image(
    elf: Path,
    target: Target,
    signal: NDArray[np.int8],
    rhythm: NDArray[np.int8] | None,
    classes: int,
    *,
    backend: str = "unicorn",
    seconds_per_window: float = 1.0,
    progress: Progress | None = None,
    devices: Sequence[Device] = (),
) -> DeviceRun:
    """Classify ready windows on a device.

    Args:
        elf: The linked image for this target.
        target: What it runs on.
        signal: int8 [n, length, channels].
        rhythm: int8 [n, features], or None for a network without that input.
        classes: Number of logits.
        backend: "unicorn" or "qemu".
        seconds_per_window: Wall clock that a window may take, beyond 30 s for the start.
        progress: Told of every batch.
        devices: Devices of this backend that hold the image already, which share the windows; by
            default one is made.

    Raises:
        DeviceError: The image faulted, hung, refused the windows or answered garbage.
        MissingToolError: The backend is not installed.
        UnknownNameError: There is no such backend.
        ValueError: The windows or samples are integers of another width.
    """
    begin = time.monotonic()
    devices = devices or (BACKENDS.get(backend)(elf, target),)
    window_bytes = signal[:1].size + (0 if rhythm is None else rhythm[:1].size)
    fitting = exchange.windows_that_fit(_exchange_bytes(target), window_bytes, classes)
    batch = min(_BATCH_WINDOWS, fitting)
    if batch < 1:
        raise _too_large("one window", target)
    responses: list[exchange.Response] = []
    where = f"{elf.name} on {target.name}, {backend}"
    idle = SimpleQueue[Device]()
    for device in devices:
        idle.put(device)

    def run_batch(start: int) -> exchange.Response:
        part = slice(start, start + batch)
        request = exchange.pack_windows(
            signal[part], None if rhythm is None else rhythm[part], classes
        )
        device = idle.get()
        try:
            return _execute(device, request, where, seconds_per_window)
        finally:
            idle.put(device)

    with (
        (progress or Silent()).task(f"{target.name} ({backend})", len(signal), "windows") as done,
        _shared(len(devices), run_batch, range(0, len(signal), batch)) as found,
    ):
        for response in found:
            responses.append(response)
            done(len(response.outputs))
    outputs = [np.empty((0, classes), np.int8), *(response.outputs for response in responses)]
    return DeviceRun(
        np.concatenate(outputs),
        backend,
        WHERE,
        _timed_instructions(responses, target, backend),
        max((response.stack_used for response in responses), default=0),
        time.monotonic() - begin,
        _ticks(responses),
    )


def _ticks(responses: Sequence[exchange.Response]) -> tuple[int, int, int] | None:
    total = sum(response.ticks_total for response in responses)
    if not total:
        return None
    return (
        min(response.ticks_minimum for response in responses),
        total,
        max(response.ticks_maximum for response in responses),
    )


@contextmanager
def _shared(
    devices: int, run_batch: Callable[[int], exchange.Response], starts: range
) -> Iterator[Iterable[exchange.Response]]:
    """Return the responses in order, from one device or from several at a time."""
    if devices == 1:
        # In this thread, where the keyboard interrupts it at once.
        yield map(run_batch, starts)
        return
    pool = ThreadPoolExecutor(max_workers=devices)
    try:
        yield pool.map(run_batch, starts)
    finally:
        pool.shutdown(cancel_futures=True)


def run_front_end(
    elf: Path,
    target: Target,
    samples: NDArray[np.int16],
    beats: NDArray[np.int64],
    signal_shape: tuple[int, int],
    rhythm_features: int,
    classes: int,
    *,
    backend: str = "unicorn",
    seconds_per_window: float = 1.0,
) -> FrontEndRun:
    """Run the front end and the classifier over a raw recording, on a device.

    Args:
        elf: The linked image for this target, with a front end.
        target: What it runs on.
        samples: int16 [n], counts of the device's converter.
        beats: int64 [k], ascending sample positions.
        signal_shape: (length, channels) of the network's signal input.
        rhythm_features: Features of the network's rhythm input, 0 for none.
        classes: Number of logits.
        backend: "unicorn" or "qemu".
        seconds_per_window: Wall clock that a beat may take, beyond 30 s for the start.

    Raises:
        DeviceError: The image faulted, hung, has no front end, answered garbage, or the
            recording does not fit the exchange memory.
        MissingToolError: The backend is not installed.
        UnknownNameError: There is no such backend.
        ValueError: The windows or samples are integers of another width.
    """
    begin = time.monotonic()
    device = BACKENDS.get(backend)(elf, target)
    signal_bytes = signal_shape[0] * signal_shape[1]
    request = exchange.pack_recording(samples, beats, signal_bytes, rhythm_features, classes)
    if request.total_bytes > _exchange_bytes(target):
        raise _too_large("the recording", target)
    response = _execute(
        device, request, f"{elf.name} on {target.name}, {backend}", seconds_per_window
    )
    rhythm_end = signal_bytes + rhythm_features
    return FrontEndRun(
        response.outputs[:, :signal_bytes].reshape(-1, *signal_shape),
        response.outputs[:, signal_bytes:rhythm_end],
        response.outputs[:, rhythm_end:],
        backend,
        WHERE,
        response.stack_used,
        time.monotonic() - begin,
    )


def _execute(
    device: Device, request: exchange.Request, where: str, seconds_per_window: float
) -> exchange.Response:
    limit = _START_SECONDS + seconds_per_window * request.windows
    exit_code, memory = device.execute(request.content, request.total_bytes, limit)
    return exchange.unpack(request, memory, exit_code, where)


def _exchange_bytes(target: Target) -> int:
    return target.memories.exchange.bytes if target.memories else 0


def _too_large(what: str, target: Target) -> DeviceError:
    return DeviceError(
        f"{what} does not fit the exchange memory of {_exchange_bytes(target):,} bytes",
        where=f"target {target.name}",
        hint="cut the recording into shorter pieces, or enlarge memories.exchange in the target",
    )


def _timed_instructions(
    responses: list[exchange.Response], target: Target, backend: str
) -> TimedInstructions | None:
    windows = sum(len(response.outputs) for response in responses)
    ticks = sum(response.ticks_total for response in responses)
    if backend != "qemu" or target.qemu is None or ticks == 0:
        return None
    count = target.qemu.instructions
    return TimedInstructions(
        count(min(response.ticks_minimum for response in responses)),
        count(ticks) / windows,
        count(max(response.ticks_maximum for response in responses)),
    )
