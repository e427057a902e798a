"""`edgeprune flash` with a probe that is not there, and with one that is recorded."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from edgeprune.config import BuildConfig
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.checked_result import CheckedResult
from edgeprune.targets import load_target
from tests import certified_beats
from tests.cli.conftest import Edgeprune
from tests.devices import images
from tests.devices.results import write_result

BOARD = ("--board", "nucleo-h743zi")
FLASH = 0x0800_0000


class ProbeError(Exception):
    """What pyocd raises."""


class Recorded:
    """pyocd as far as `flash` uses it: probes that are connected, and what is asked of them."""

    def __init__(self, probes: tuple[str, ...], fault: str = "") -> None:
        self.probes = probes
        self.fault = fault
        self.asked: list[str] = []
        self.options: dict[str, object] = {}
        self.memory: dict[int, int] = {}
        self.target = self
        self.unique_id, self.description = (probes or ("",))[0], "STM32 STLink"

    def get_all_connected_probes(self, *, blocking: bool, unique_id: str | None) -> list[Any]:
        assert blocking is False
        return [
            type("Probe", (), {"unique_id": name, "description": "STM32 STLink"})
            for name in self.probes
            if (unique_id or "") in name
        ]

    def session_with_chosen_probe(self, **given: Any) -> Recorded:
        assert given["unique_id"] in self.probes
        self.options = given["options"]
        assert list(Path(given["options"]["project_dir"]).iterdir()) == []
        return self

    def __enter__(self) -> Recorded:
        if self.fault == "locked":
            raise ProbeError("the chip is locked")
        self.asked.append("open")
        return self

    def __exit__(self, *_: object) -> None:
        self.asked.append("close")

    def programmer(self, session: Recorded, progress: Any) -> Recorded:
        assert session is self
        for share in (0.0, 0.5, 1.0):
            progress(share)
        return self

    def program(self, path: str, *, file_format: str) -> None:
        assert file_format == "elf"
        self.asked.append("program")
        with Path(path).open("rb") as stream:
            for segment in ELFFile(stream).iter_segments():
                for offset, value in enumerate(segment.data()):
                    self.memory[segment["p_paddr"] + offset] = value

    def read_memory_block8(self, address: int, size: int) -> list[int]:
        self.asked.append("read")
        held = [self.memory[address + offset] for offset in range(size)]
        if self.fault == "worn":
            held[7] ^= 1
        return held

    def reset_and_halt(self) -> None:
        self.asked.append("halt")

    def reset(self) -> None:
        self.asked.append("reset")


@pytest.fixture(scope="module")
def network() -> IntegerNetwork:
    return certified_beats.network(certified_beats.beats(4))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, network: IntegerNetwork) -> Path:
    held = certified_beats.beats(4)
    windows = certified_beats.windows(held, network.run(*held.inputs()).argmax(axis=1))
    folder = tmp_path_factory.mktemp("flash") / "result"
    return write_result(folder, BuildConfig(target="stm32h743"), network, held, windows, {})


def plug(monkeypatch: pytest.MonkeyPatch, probe: Recorded) -> Recorded:
    names = ("core", "core.exceptions", "core.helpers", "flash", "flash.file_programmer")
    modules = {f"pyocd.{name}": ModuleType(f"pyocd.{name}") for name in names}
    modules["pyocd"] = ModuleType("pyocd")
    modules["pyocd.core.exceptions"].Error = ProbeError  # type: ignore[attr-defined]
    modules["pyocd.core.helpers"].ConnectHelper = probe  # type: ignore[attr-defined]
    modules["pyocd.flash.file_programmer"].FileProgrammer = (  # type: ignore[attr-defined]
        probe.programmer
    )
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return probe


def test_the_network_is_written_read_back_and_started(
    edgeprune: Edgeprune,
    result: Path,
    network: IntegerNetwork,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    # Compiling the network itself is what test_stm32h7.py does.
    small = images.build(tmp_path, load_target("stm32h743"))
    monkeypatch.setattr(
        CheckedResult, "serial_image", lambda _, elf, __: shutil.copyfile(small, elf)
    )
    probe = plug(monkeypatch, Recorded(("0669FF", "0670AA")))
    edgeprune("flash", result, *BOARD).failed(3, "EP605", "2 debug probes", "0669FF", "--probe")
    assert probe.asked == []
    done = edgeprune("flash", result, *BOARD, "--probe", "0670", "--json").json
    assert done["verdict"] == "PASS"
    found = done["flash"]
    assert (found["board"], found["target"]) == ("nucleo-h743zi", "stm32h743")
    assert found["network_sha256"] == network.sha256
    assert found["flashed"]["probe"] == "0670AA"
    assert found["flashed"]["bytes"] == len(probe.memory)
    assert probe.asked[:3] == ["open", "program", "halt"]
    assert probe.asked[-2:] == ["reset", "close"]
    assert probe.options["target_override"] == "stm32h743xx"
    assert probe.options["no_config"] is True
    # The image is one for this chip: a vector table at the start of its flash, code behind it.
    entry = int.from_bytes(bytes(probe.memory[FLASH + 4 + index] for index in range(4)), "little")
    assert min(probe.memory) == FLASH < entry <= max(probe.memory)
    probe.fault = "worn"
    edgeprune("flash", result, *BOARD, "--probe", "0670").failed(1, "EP702", "0x08000007")


@pytest.mark.parametrize(
    ("probe", "flags", "code", "words"),
    [
        (Recorded(()), BOARD, "EP605", ("no debug probe is connected", "CN1", "udev")),
        (Recorded(("1",)), (*BOARD, "--probe", "9"), "EP605", ("no debug probe '9'",)),
        (Recorded(("1",), "locked"), BOARD, "EP605", ("the chip is locked",)),
        (Recorded(("1",)), (), "EP101", ("no board was named", "--board nucleo-h743zi")),
        (
            Recorded(("1",)),
            ("--board", "nucleo-h734zi"),
            "EP102",
            ("did you mean 'nucleo-h743zi'",),
        ),
    ],
)
def test_what_to_do_without_a_good_probe(
    edgeprune: Edgeprune,
    result: Path,
    monkeypatch: pytest.MonkeyPatch,
    probe: Recorded,
    flags: tuple[str, ...],
    code: str,
    words: tuple[str, ...],
) -> None:
    plug(monkeypatch, probe)
    monkeypatch.setattr(CheckedResult, "serial_image", _no_image)
    edgeprune("flash", result, *flags).failed(2 if code in ("EP101", "EP102") else 3, code, *words)


def test_without_pyocd_and_with_another_target(
    edgeprune: Edgeprune, result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CheckedResult, "serial_image", _no_image)
    monkeypatch.setitem(sys.modules, "pyocd.core.helpers", None)
    edgeprune("flash", result, *BOARD).failed(3, "EP602", "edgeprune[probe]")
    other = tmp_path / "other"
    held = certified_beats.beats(4)
    network = certified_beats.network(held)
    windows = certified_beats.windows(held, network.run(*held.inputs()).argmax(axis=1))
    write_result(other, BuildConfig(target="cortex-m7"), network, held, windows, {})
    edgeprune("flash", other, *BOARD).failed(2, "EP101", "--target stm32h743")


def _no_image(_: object, elf: Path, __: Path) -> None:
    """Leave out what takes a compiler: nothing of it is read before a probe is there."""
    elf.touch()
