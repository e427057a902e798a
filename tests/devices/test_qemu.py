from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeprune.devices import count_instructions, run_front_end, run_image
from edgeprune.devices.qemu_device import COMMAND
from edgeprune.errors import DeviceError, MissingToolError
from edgeprune.targets import Target, load_target
from tests.devices import images
from tests.devices.conftest import UNICORN_TARGETS, Windows
from tests.devices.test_profile import TANGLED

Image = Callable[[str], tuple[Path, Target]]

needs_qemu = pytest.mark.skipif(shutil.which(COMMAND) is None, reason=f"{COMMAND} is absent")
BOARDS = (*UNICORN_TARGETS, "cortex-m55")
# What the image's main program executes between its two readings of the timer, apart from
# edgeprune_classify: passing the arguments and the call.
_CALL_INSTRUCTIONS = 10


def test_without_qemu_the_install_line_is_given(
    image: Image, windows: Windows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elf, target = image("cortex-m3")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="apt-get install qemu-system-arm"):
        run_image(elf, target, windows[0], windows[1], images.CLASSES, backend="qemu")


@pytest.mark.system
@needs_qemu
@pytest.mark.parametrize("name", BOARDS)
def test_every_board_agrees_with_the_model(name: str, image: Image, windows: Windows) -> None:
    signal, rhythm, logits = windows
    elf, target = image(name)
    run = run_image(elf, target, signal, rhythm, images.CLASSES, backend="qemu")
    np.testing.assert_array_equal(run.logits, logits)
    assert run.backend == "qemu"
    assert run.instructions is not None


@pytest.mark.system
@needs_qemu
@pytest.mark.parametrize("name", UNICORN_TARGETS)
def test_two_emulators_count_the_same_instructions(
    name: str, tmp_path: Path, windows: Windows
) -> None:
    signal, rhythm, _ = windows
    target = load_target(name)
    elf = images.build(tmp_path, target, TANGLED, stack_bytes=16384)
    for index in range(3):
        one = slice(index, index + 1)
        profile = count_instructions(elf, target, signal[one], rhythm[one], images.CLASSES)
        run = run_image(elf, target, signal[one], rhythm[one], images.CLASSES, backend="qemu")
        assert run.instructions is not None
        excess = run.instructions.mean - profile.median
        assert 0 <= excess <= _CALL_INSTRUCTIONS


@pytest.mark.system
@needs_qemu
def test_a_recording_passes_the_front_end_on_both_emulators(image: Image) -> None:
    elf, target = image("cortex-m7")
    samples = np.arange(-60, 90, dtype=np.int16)
    beats = np.array([20, 50, 90], np.int64)
    first, second = (
        run_front_end(elf, target, samples, beats, (8, 1), 3, images.CLASSES, backend=backend)
        for backend in ("unicorn", "qemu")
    )
    assert len(first.logits) == 3
    for name in ("signal", "rhythm", "logits"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.system
@needs_qemu
@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("*(volatile int *)0x30000004 = 1", "took a fault"),
        ('__asm__ volatile("udf #1")', "took a fault"),
        ("for (;;) {}", "did not finish within 1.6 s"),
        ('__asm__ volatile("cpsid f\\n udf #1")', "QEMU stopped: .*Lockup"),
    ],
)
def test_a_misbehaving_image_is_reported(
    statement: str,
    message: str,
    tmp_path: Path,
    windows: Windows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edgeprune.devices.run._START_SECONDS", 1.5)
    target = load_target("cortex-m3")
    elf = images.build(tmp_path, target, before=statement)
    begin = time.monotonic()
    with pytest.raises(DeviceError, match=message):
        run_image(
            elf,
            target,
            windows[0][:1],
            windows[1][:1],
            images.CLASSES,
            backend="qemu",
            seconds_per_window=0.1,
        )
    assert time.monotonic() - begin < 20


@pytest.mark.system
@needs_qemu
def test_a_flood_of_output_does_not_hang(tmp_path: Path, windows: Windows) -> None:
    signal, rhythm, logits = windows
    target = load_target("cortex-m3")
    text = images.CLASSIFY.replace(
        "BEFORE;",
        'for (k = 0; k < 3000; k++) board_semihosting(4, "many words on the console\\n");',
    )
    text = '#include "board.h"\n' + text
    elf = images.build(tmp_path, target, (text, images.FRONT_END))
    run = run_image(elf, target, signal[:9], rhythm[:9], images.CLASSES, backend="qemu")
    np.testing.assert_array_equal(run.logits, logits[:9])


@pytest.mark.system
@needs_qemu
def test_boards_that_cannot_serve_are_named(image: Image, windows: Windows) -> None:
    signal, rhythm, _ = windows
    elf, target = image("cortex-m3")
    assert target.qemu is not None
    for settings, message in (
        ({"machine": "microbit"}, "does not know the memory"),
        ({"exchange_origin": 0x2000_0000}, "outside mps2-an385's external memory"),
    ):
        other = dataclasses.replace(target, qemu=dataclasses.replace(target.qemu, **settings))
        with pytest.raises(DeviceError, match=message):
            run_image(elf, other, signal, rhythm, images.CLASSES, backend="qemu")
    with pytest.raises(DeviceError, match="QEMU has no board"):
        run_image(
            elf,
            dataclasses.replace(target, qemu=None),
            signal,
            rhythm,
            images.CLASSES,
            backend="qemu",
        )


@pytest.mark.system
@needs_qemu
def test_nothing_is_left_behind(
    image: Image, windows: Windows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    elf, target = image("cortex-m55")
    run_image(elf, target, windows[0][:2], windows[1][:2], images.CLASSES, backend="qemu")
    assert list(tmp_path.iterdir()) == []
