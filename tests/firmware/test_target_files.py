"""Targets: the ones that come with edgeprune, and a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.resources import resource_folder
from edgeprune.targets import list_targets, load_target

EXPECTED = {
    "cortex-m0plus": ("armv6-m", False, True),
    "cortex-m3": ("armv7-m", False, True),
    "cortex-m4": ("armv7e-m", True, True),
    "cortex-m7": ("armv7e-m", True, True),
    "cortex-m33": ("armv8-m.main", True, True),
    "cortex-m55": ("armv8.1-m.main", True, False),
}
LINUX = {"cortex-a53", "cortex-a72", "cortex-a7", "rpi-zero2w"}
BOARDS = {
    "apollo4": ("cortex-m4", 96, 0x00018000, 0x10000000),
    "nrf5340": ("cortex-m33", 128, 0x00000000, 0x20000000),
    "nrf52840": ("cortex-m4", 64, 0x00000000, 0x20000000),
    "rp2040": ("cortex-m0plus", 125, 0x10000100, 0x20000000),
    "rp2350": ("cortex-m33", 150, 0x10000000, 0x20000000),
    "stm32f746": ("cortex-m7", 216, 0x08000000, 0x20000000),
    "stm32h743": ("cortex-m7", 400, 0x08000000, 0x20000000),
    "stm32l4r5": ("cortex-m4", 120, 0x08000000, 0x20000000),
}


def test_the_targets_that_come_along() -> None:
    assert set(list_targets()) == {*EXPECTED, *BOARDS, *LINUX, "host"}
    for name, (isa, dsp, unicorn) in EXPECTED.items():
        target = load_target(name)
        assert (target.name, target.isa, target.has_dsp) == (name, isa, dsp)
        assert (target.emulator is not None) is unicorn
        assert target.qemu is not None
        assert target.memories is not None
        assert target.qemu.exchange_origin == target.memories.exchange.origin
        assert target.flash_bytes >= 2**18
        assert target.ram_bytes >= 2**15
    host = load_target("host")
    assert host.is_host
    assert (host.flash_bytes, host.ram_bytes, host.qemu) == (0, 0, None)


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_has_its_own_memories_and_its_cores_instructions(name: str) -> None:
    core_name, megahertz, flash, ram = BOARDS[name]
    board, core = load_target(name), load_target(core_name)
    assert board.memories is not None
    assert (board.board_of, board.clock_hz) == (core_name, megahertz * 1_000_000)
    assert (board.memories.flash.origin, board.memories.ram.origin) == (flash, ram)
    for attribute in ("core", "isa", "has_dsp", "has_mve"):
        assert getattr(board, attribute) == getattr(core, attribute)
    assert board.emulator is not None
    assert core.emulator is not None
    assert board.emulator.cpu == core.emulator.cpu
    assert board.qemu is None
    assert board.toolchain is not None
    assert f"-mcpu={core_name}" in board.toolchain.gnu
    assert board.fpu == "" or f"-mfpu={board.fpu}" in board.toolchain.gnu


def test_what_the_maker_publishes_and_what_not() -> None:
    timing = load_target("stm32h743").timing
    assert timing is not None
    # RM0433: 2 wait states of the 200 MHz bus, 256 bits a read.
    assert (timing.wait_states, timing.clock_divider, timing.read_bytes) == (2, 2, 32)
    assert [cache.kind for cache in timing.caches] == ["instruction", "data"]
    unpublished = load_target("nrf5340").timing
    assert unpublished is not None
    assert unpublished.wait_states is None
    energy = load_target("nrf52840").energy
    assert energy is not None
    assert (energy.microampere_per_mhz, energy.supply_volts) == (52, 3)
    assert energy.source
    assert load_target("rp2040").energy is None
    assert load_target("cortex-m4").timing is None


def test_a_board_of_an_unknown_core(tmp_path: Path) -> None:
    text = (resource_folder("targets") / "rp2040.toml").read_text()
    own = tmp_path / "board.toml"
    own.write_text(text.replace("cortex-m0plus", "cortex-m0pluss"))
    with pytest.raises(UnknownNameError, match="did you mean 'cortex-m0plus'") as caught:
        load_target(str(own))
    line = own.read_text().splitlines().index('board_of = "cortex-m0pluss"') + 1
    assert caught.value.where.startswith(f"{own}:{line}")
    own.write_text(text.replace("clock_divider", "clock_divisor"))
    with pytest.raises(ConfigurationError, match="did you mean 'clock_divider'"):
        load_target(str(own))


def test_ticks_become_instructions() -> None:
    qemu = load_target("cortex-m7").qemu
    assert qemu is not None
    # 25 MHz and 64 ns an instruction: 1.6 ticks each.
    assert qemu.instructions(1_600_000) == 1_000_000


def test_a_target_of_ones_own(tmp_path: Path) -> None:
    text = (resource_folder("targets") / "cortex-m4.toml").read_text()
    own = tmp_path / "board.toml"
    own.write_text(text + "\n[adc]\nrate_hz = 250\nmicrovolt_per_count = 2.5\nbits = 12\n")
    target = load_target(str(own))
    assert target.name == "board"
    assert target.adc is not None
    assert (target.adc.rate_hz, target.adc.bits) == (250.0, 12)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("clock_hz", "clok_hz"), "clok_hz"),
        (("bytes = 0x100000", 'bytes = "1 MB"'), "bytes"),
        (("[toolchain]", "[toolchains]"), "toolchains"),
        (("dsp = true", "dsp = "), "board.toml"),
        (('core = "cortex-m4"\n', ""), "core"),
    ],
)
def test_a_bad_file_names_the_key(tmp_path: Path, change: tuple[str, str], what: str) -> None:
    text = (resource_folder("targets") / "cortex-m4.toml").read_text()
    assert change[0] in text
    own = tmp_path / "board.toml"
    own.write_text(text.replace(*change, 1))
    with pytest.raises(ConfigurationError) as caught:
        load_target(str(own))
    assert what in str(caught.value)
    assert "board.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("line_bytes = 8", "line_bytes = 0"), "timing.caches"),
        (('kind = "unified"', 'kind = "unifed"'), "unifed"),
        (("clock_divider = 2", "clock_divider = 0"), "timing.clock_divider"),
        (("wait_states = 27", "wait_states = -1"), "timing.wait_states"),
        (
            (
                "[timing]",
                '[energy]\nmicroampere_per_mhz = -1\nsupply_volts = 3\nsource = ""\n[timing]',
            ),
            "energy.microampere_per_mhz",
        ),
    ],
)
def test_impossible_flash_and_current(tmp_path: Path, change: tuple[str, str], what: str) -> None:
    text = (resource_folder("targets") / "rp2040.toml").read_text()
    assert change[0] in text
    own = tmp_path / "board.toml"
    own.write_text(text.replace(*change, 1))
    with pytest.raises(ConfigurationError, match=what) as caught:
        load_target(str(own))
    assert caught.value.where.startswith(f"{own}:")
