from __future__ import annotations

import dataclasses
import signal as signal_module
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeprune.devices import run_front_end, run_image
from edgeprune.devices.answers import EmulatedAnswers
from edgeprune.errors import DeviceError, UnknownNameError
from edgeprune.targets import Target, load_target
from tests.devices import images
from tests.devices.conftest import UNICORN_TARGETS, Windows

Image = Callable[[str], tuple[Path, Target]]


@pytest.mark.parametrize("name", UNICORN_TARGETS)
def test_every_window_is_classified_on_every_core(
    name: str, image: Image, windows: Windows
) -> None:
    signal, rhythm, logits = windows
    elf, target = image(name)
    run = run_image(elf, target, signal, rhythm, images.CLASSES)
    np.testing.assert_array_equal(run.logits, logits)
    assert run.logits.dtype == np.int8
    assert run.where == "emulator (instructions)"
    assert run.instructions is None
    assert 16 <= run.stack_bytes <= 1024


def test_several_emulators_share_the_windows(image: Image, windows: Windows) -> None:
    signal, rhythm, logits = windows
    elf, target = image("cortex-m7")
    device = EmulatedAnswers(elf, target, images.CLASSES, emulators=3)
    np.testing.assert_array_equal(device.classify(signal, rhythm), logits)
    np.testing.assert_array_equal(device.classify(signal[:70], rhythm[:70]), logits[:70])
    small = np.zeros((200, 3, 1), np.int8)
    with pytest.raises(DeviceError, match="other sizes"):
        device.classify(small, rhythm[:200])


def test_batches_follow_from_the_exchange_memory(image: Image, windows: Windows) -> None:
    signal, rhythm, logits = windows
    elf, target = image("cortex-m3")
    assert target.memories is not None
    exchange = dataclasses.replace(target.memories.exchange, bytes=4096)
    small = dataclasses.replace(
        target, memories=dataclasses.replace(target.memories, exchange=exchange)
    )
    run = run_image(elf, small, signal, rhythm, images.CLASSES)
    np.testing.assert_array_equal(run.logits, logits)
    huge = np.zeros((1, 5000, 1), np.int8)
    with pytest.raises(DeviceError, match="one window does not fit the exchange memory of 4,096"):
        run_image(elf, small, huge, None, images.CLASSES)


def test_no_windows_give_no_logits(image: Image, windows: Windows) -> None:
    signal, rhythm, _ = windows
    elf, target = image("cortex-m3")
    assert run_image(elf, target, signal[:0], rhythm[:0], images.CLASSES).logits.shape == (0, 4)


def test_a_recording_passes_the_front_end(image: Image) -> None:
    elf, target = image("cortex-m4")
    samples = np.arange(-60, 90, dtype=np.int16)
    beats = np.array([20, 50, 90], np.int64)
    run = run_front_end(elf, target, samples, beats, (8, 1), 3, images.CLASSES)
    expected = np.stack([samples[beat - 7 : beat + 1] for beat in beats]).astype(np.int8)
    np.testing.assert_array_equal(run.signal[:, :, 0], expected)
    np.testing.assert_array_equal(run.rhythm, np.stack([beats, beats >> 1, beats >> 2], axis=1))
    total = run.signal.sum(axis=(1, 2), dtype=int) + run.rhythm.sum(axis=1, dtype=int)
    np.testing.assert_array_equal(
        run.logits, (total[:, None] + np.arange(images.CLASSES)).astype(np.int8)
    )


def test_a_network_of_other_sizes_is_refused(image: Image, windows: Windows) -> None:
    elf, target = image("cortex-m3")
    with pytest.raises(DeviceError, match="network of other sizes") as caught:
        run_image(elf, target, windows[0], None, images.CLASSES)
    assert "image.elf on cortex-m3, unicorn" in str(caught.value)


BAD = {
    "*(volatile int *)0x30000004 = 1": ("writes 4 bytes at 0x30000004", "edgeprune_classify"),
    "*(volatile char *)0x40004000": ("reads 1 bytes at 0x40004000", "edgeprune_classify"),
    "*(volatile int *)0x100 = 1": ("writes 4 bytes at 0x00000100, in flash", "edgeprune_classify"),
    # Unicorn caches rights by page: what was read before must stay unwritable, unexecutable.
    "k = *(volatile int *)0x100; *(volatile int *)0x104 = k": (
        "writes 4 bytes at 0x00000104, in flash",
        "edgeprune_classify",
    ),
    "k = *(volatile int *)0x20000400; ((void (*)(void))0x20000401)()": (
        "executes .* at 0x20000400",
        "0x20000400",
    ),
    "((void (*)(void))0x60000001)()": ("executes .* at 0x60000000", "0x60000000"),
    "((void (*)(void))0x20000101)()": ("executes .* at 0x20000100", "0x20000100"),
    '__asm__ volatile("udf #1")': ("the core faulted: Invalid instruction", "edgeprune_classify"),
    '__asm__ volatile("svc #1")': ("the core took exception 2", "edgeprune_classify"),
    '__asm__ volatile("bkpt #1")': ("the core took exception 7", "edgeprune_classify"),
    '__asm__ volatile("wfi")': ("stopped without leaving", "edgeprune_classify"),
    "for (;;) {}": ("did not finish within", "edgeprune_classify"),
}


@pytest.mark.parametrize("statement", BAD)
def test_a_misbehaving_image_is_caught_in_the_act(
    statement: str, tmp_path: Path, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeprune.devices.run._START_SECONDS", 0.5)
    target = load_target("cortex-m3")
    elf = images.build(tmp_path, target, before=statement)
    message, place = BAD[statement]
    begin = time.monotonic()
    with pytest.raises(DeviceError, match=message) as caught:
        run_image(
            elf, target, windows[0][:1], windows[1][:1], images.CLASSES, seconds_per_window=0.1
        )
    assert time.monotonic() - begin < 20
    assert place in caught.value.where
    assert caught.value.hint


def test_a_stack_overflow_leaves_the_ram(tmp_path: Path, windows: Windows) -> None:
    target = load_target("cortex-m3")
    statement = "volatile int big[400]; for (k = 400; k-- > 0;) big[k] = k"
    elf = images.build(tmp_path, target, before=statement)
    with pytest.raises(DeviceError, match="writes 4 bytes at 0x1fff"):
        run_image(elf, target, windows[0][:1], windows[1][:1], images.CLASSES)


def test_a_model_that_refuses_itself_is_named(tmp_path: Path, windows: Windows) -> None:
    target = load_target("cortex-m3")
    elf = images.build(tmp_path, target, before="if (signal[0] != 99) return 1")
    with pytest.raises(DeviceError, match="found its own model damaged"):
        run_image(elf, target, windows[0], windows[1], images.CLASSES)


def test_a_device_can_be_used_again_after_a_run(image: Image, windows: Windows) -> None:
    signal, rhythm, logits = windows
    elf, target = image("cortex-m7")
    for part in (slice(0, 1), slice(1, 500), slice(500, 501)):
        run = run_image(elf, target, signal[part], rhythm[part], images.CLASSES)
        np.testing.assert_array_equal(run.logits, logits[part])


def test_wrong_files_and_names_are_refused(tmp_path: Path, image: Image, windows: Windows) -> None:
    signal, rhythm, _ = windows
    elf, target = image("cortex-m3")
    with pytest.raises(UnknownNameError, match="no device backend 'unicon'"):
        run_image(elf, target, signal, rhythm, images.CLASSES, backend="unicon")
    with pytest.raises(DeviceError, match="cannot be read"):
        run_image(tmp_path / "absent.elf", target, signal, rhythm, images.CLASSES)
    text = tmp_path / "text.elf"
    text.write_text("not an image")
    with pytest.raises(DeviceError, match="not an ELF file"):
        run_image(text, target, signal, rhythm, images.CLASSES)
    with pytest.raises(DeviceError, match="no vector table at 0x10000000"):
        run_image(elf, load_target("cortex-m33"), signal, rhythm, images.CLASSES)
    with pytest.raises(DeviceError, match="unicorn has no model"):
        run_image(elf, load_target("cortex-m55"), signal, rhythm, images.CLASSES)
    with pytest.raises(DeviceError, match="unicorn has no model") as caught:
        run_image(elf, load_target("host"), signal, rhythm, images.CLASSES)
    assert "host library" in caught.value.hint
    with pytest.raises(DeviceError, match="not for a little-endian 32-bit Arm core"):
        run_image(Path("/proc/self/exe"), target, signal, rhythm, images.CLASSES)


def test_the_keyboard_interrupts_a_run(tmp_path: Path, windows: Windows) -> None:
    target = load_target("cortex-m3")
    elf = images.build(tmp_path, target, before="for (;;) {}")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal_module.signal(signal_module.SIGALRM, interrupt)
    signal_module.setitimer(signal_module.ITIMER_REAL, 1.0)
    begin = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_image(elf, target, windows[0][:1], windows[1][:1], images.CLASSES)
    finally:
        signal_module.setitimer(signal_module.ITIMER_REAL, 0)
        signal_module.signal(signal_module.SIGALRM, previous)
    assert time.monotonic() - begin < 15
