"""Targets: the ones that come with edgeprune, and a user's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeprune.errors import ConfigurationError
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


def test_the_targets_that_come_along() -> None:
    assert set(list_targets()) == {*EXPECTED, "host"}
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
