"""Arm Linux: library and command, native in the default tests, under qemu-user where it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile

from edgeprune.devices import run_image
from edgeprune.devices.answers import RemoteAnswers
from edgeprune.devices.qemu_user import find_qemu_user
from edgeprune.devices.ssh_device import SshDevice
from edgeprune.errors import ConfigurationError, DeviceError, MissingToolError
from edgeprune.firmware import TOOLCHAINS, Golden, Image, compile_image, generate
from edgeprune.firmware.linux import write_guide
from edgeprune.network import IntegerNetwork
from edgeprune.targets import list_targets, load_target
from tests.firmware.conftest import labels
from tests.firmware.linux import fake_qemu, fake_ssh, native
from tests.firmware.networks import residual
from tests.network.strategies import inputs_for

LINUX = tuple(name for name in list_targets() if load_target(name).is_linux)
MACHINES = {"armv8-a": "EM_AARCH64", "armv7-a": "EM_ARM"}


@pytest.fixture(scope="module")
def network() -> IntegerNetwork:
    return residual()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, network: IntegerNetwork) -> Image:
    folder = tmp_path_factory.mktemp("linux")
    return build("", network, folder)


def build(name: str, network: IntegerNetwork, folder: Path) -> Image:
    target = load_target(name) if name else native()
    sources = generate(network, None, target, labels(network), folder / "c")
    return compile_image(sources, target, folder / "firmware.elf", products=folder / "linux")


def test_what_a_user_gets(image: Image) -> None:
    folder = image.elf.parent / "linux"
    assert sorted(path.name for path in folder.iterdir()) == [
        "edgeprune-classify",
        "edgeprune_code.h",
        "edgeprune_model.h",
        "libedgeprune.a",
    ]
    assert (folder / "edgeprune-classify").read_bytes() == image.elf.read_bytes()
    # The library alone is counted, without libc and the block of the command.
    assert 2_000 < image.flash_bytes < 40_000
    assert 0 < image.ram_bytes < 10_000
    assert image.stack_bytes == 0
    assert "edgeprune_classify" in {symbol.name for symbol in image.symbols}


def test_the_library_and_its_header_are_all_that_a_program_needs(
    image: Image, tmp_path: Path, network: IntegerNetwork
) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler of this machine's own")
    folder = image.elf.parent / "linux"
    (tmp_path / "main.c").write_text(
        '#include "edgeprune_model.h"\n'
        "int main(void) { return edgeprune_self_test() + edgeprune_check_weights(); }\n"
    )
    files = ("main.c", str(folder / "libedgeprune.a"), "-o", "program")
    subprocess.run((compiler, f"-I{folder}", *files), cwd=tmp_path, check=True)
    assert subprocess.run((tmp_path / "program",), check=False).returncode == 0


def test_the_guide_holds_word_by_word(
    image: Image, network: IntegerNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "linux"
    shutil.copytree(image.elf.parent / "linux", folder)
    target = native()
    sources = generate(network, None, target, labels(network), tmp_path / "firmware")
    recorded = Golden(tuple(inputs_for(network, 3, seed=7)))
    write_guide(sources, recorded, folder)
    text = (folder / "README.md").read_text()
    assert network.sha256 in text
    assert "not\ncompared.**" in text
    assert {path.name for path in folder.iterdir()} <= set(re.findall(r"`([\w.-]+)`", text))
    # What it says of QEMU, with a program that stands for it.
    fake_qemu(tmp_path / "bin").rename(tmp_path / "bin" / "fake-qemu-static")
    (folder / "your_program.c").write_text(
        '#include "edgeprune_model.h"\nint main(void) { return edgeprune_self_test(); }\n'
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    compiler = shutil.which("cc") is not None
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert [line.split()[0] for line in lines] == [
        "./edgeprune-classify",
        "fake-qemu-static",
        "cc",
        "edgeprune",
    ]
    for line in lines[: 3 if compiler else 2]:
        done = subprocess.run(
            ("bash", "-c", f"set -o pipefail; {line}"),
            cwd=folder,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, b""), line
    logits = network.run(*recorded.inputs)
    assert len((folder / "windows.txt").read_text().splitlines()) == len(logits)
    (folder / "windows.txt").write_text("N 0 0 0 0\n")
    differs = subprocess.run(("sh", "-c", lines[0]), cwd=folder, capture_output=True, check=False)
    assert differs.stdout
    write_guide(sources, Golden(tuple(each[:0] for each in recorded.inputs)), folder)
    assert len((folder / "windows.txt").read_text().splitlines()) == 4


def test_the_command_tells_classes_and_logits(image: Image, network: IntegerNetwork) -> None:
    windows = inputs_for(network, 5, seed=2)
    content = b"".join(
        signal.tobytes() + rhythm.tobytes() for signal, rhythm in zip(*windows, strict=True)
    )
    done = subprocess.run((image.elf,), input=content, capture_output=True, check=True)
    logits = network.run(*windows)
    lines = done.stdout.decode().splitlines()
    names = labels(network).class_names
    assert lines == [
        f"{names[int(row.argmax())]} {' '.join(map(str, row.tolist()))}" for row in logits
    ]
    path = image.elf.with_name("windows")
    path.write_bytes(content + b"abc")
    broken = subprocess.run((image.elf, path), capture_output=True, check=False)
    assert (broken.returncode, broken.stdout) == (1, done.stdout)
    assert b"after window 5: 3 bytes are no window" in broken.stderr
    usage = subprocess.run((image.elf, "--help"), capture_output=True, check=False)
    assert usage.returncode == 64
    assert network.sha256.encode() in usage.stderr
    absent = subprocess.run((image.elf, "/no/file"), capture_output=True, check=False)
    assert absent.returncode == 1


def test_windows_through_an_emulator_of_another_processor(
    image: Image, network: IntegerNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = inputs_for(network, 70, seed=3)
    with pytest.raises(MissingToolError, match="fake-qemu is not installed") as caught:
        run_image(image.elf, native(), *windows, classes=4, backend="qemu-user")
    assert "apt-get install" in caught.value.hint
    fake_qemu(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    run = run_image(image.elf, native(), *windows, classes=4, backend="qemu-user")
    np.testing.assert_array_equal(run.logits, network.run(*windows))
    assert run.instructions is None
    # As a download of a result leaves it.
    plain = shutil.copyfile(image.elf, tmp_path / "plain.elf")
    plain.chmod(0o444)
    run = run_image(plain, native(), *windows, classes=4, backend="qemu-user")
    np.testing.assert_array_equal(run.logits, network.run(*windows))
    with pytest.raises(DeviceError, match="holds a network of other sizes"):
        run_image(image.elf, native(), *windows, classes=5, backend="qemu-user")
    (tmp_path / "fake-qemu").write_text("#!/bin/sh\necho lost in space >&2\nexit 1\n")
    with pytest.raises(DeviceError, match="ended with code 1 .*lost in space"):
        run_image(image.elf, native(), *windows, classes=4, backend="qemu-user")
    with pytest.raises(DeviceError, match="no QEMU that runs"):
        find_qemu_user(load_target("cortex-m7"))


def test_a_board_over_ssh(
    image: Image, network: IntegerNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = inputs_for(network, 20, seed=4)
    fake_ssh(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = sorted(tmp_path.iterdir())
    with SshDevice(image.elf, native(), "ssh://pi@zero:2222") as board:
        assert re.match(r"\S+ \S+ \S+$", board.machine)
        answers = RemoteAnswers(board, image.elf, native(), 4)
        np.testing.assert_array_equal(answers.classify(*windows), network.run(*windows))
        assert answers.windows == 20
        assert answers.nanoseconds is not None
        least, total, most = answers.nanoseconds
        assert 0 < least <= total / 20 <= most
    assert sorted(tmp_path.iterdir()) == before
    assert set((tmp_path / "bin" / "asked").read_text().split()) == {"pi@zero"}
    with pytest.raises(DeviceError, match="cannot be reached: .*No route") as caught:
        SshDevice(image.elf, native(), "ssh://nowhere")
    assert "BatchMode" in caught.value.hint
    for wrong in ("ssh://", "ssh://-oProxyCommand=x", "ssh://host/folder", "ssh://host:port"):
        with pytest.raises(ConfigurationError, match="no address"):
            SshDevice(image.elf, native(), wrong)
    with pytest.raises(ConfigurationError, match="runs no Linux"):
        SshDevice(image.elf, load_target("cortex-m7"), "ssh://pi@zero")


def test_another_toolchain_is_refused(network: IntegerNetwork, tmp_path: Path) -> None:
    target = load_target("cortex-a53")
    sources = generate(network, None, target, labels(network), tmp_path / "c")
    with pytest.raises(ConfigurationError, match="runs Linux"):
        compile_image(sources, target, tmp_path / "x.elf", toolchain="gnu")
    with pytest.raises(ConfigurationError, match="no twin"):
        compile_image(sources, target, tmp_path / "x.elf", program="twin")
    with pytest.raises(ConfigurationError, match="names no UART"):
        compile_image(sources, target, tmp_path / "x.elf", program="serial")
    with pytest.raises(ConfigurationError, match="for microcontrollers"):
        TOOLCHAINS.get("gnu")(target)


# A compiler's first program for a Linux makes its C library too, which takes minutes once.
@pytest.mark.system
@pytest.mark.parametrize("name", LINUX)
def test_every_processor_computes_the_specification(
    name: str, network: IntegerNetwork, tmp_path: Path
) -> None:
    target = load_target(name)
    made = build(name, network, tmp_path)
    with made.elf.open("rb") as stream:
        elf = ELFFile(stream)
        assert elf["e_machine"] == MACHINES[target.isa]
        assert elf.get_section_by_name(".interp") is None
    again = build(name, network, tmp_path / "again")
    assert again.sha256 == made.sha256
    try:
        find_qemu_user(target)
    except MissingToolError as error:
        pytest.skip(f"not tested: {error.what}")
    windows = inputs_for(network, 200, seed=1)
    run = run_image(made.elf, target, *windows, classes=4, backend="qemu-user")
    np.testing.assert_array_equal(run.logits, network.run(*windows))
