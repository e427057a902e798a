"""Targets: all that are carried can be read, and a user's own file is checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeprune.errors import ConfigurationError, UnknownNameError
from edgeprune.resources import resource_folder
from edgeprune.targets import list_targets, load_target


@pytest.mark.parametrize("name", list_targets())
def test_every_carried_target_reads(name: str) -> None:
    target = load_target(name)
    assert target.name == name
    assert target.is_host or (target.flash_bytes > 0 and target.ram_bytes > 0)
    assert target.is_host or target.emulator or target.qemu or target.qemu_user
    assert target.is_linux is (target.qemu_user is not None)


def test_the_issue_names_are_there() -> None:
    cores = ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"]
    assert set(cores) | {"host"} <= set(list_targets())


def test_boards_of_arm_linux_are_there() -> None:
    linux = {name for name in list_targets() if load_target(name).is_linux}
    assert linux == {"cortex-a53", "cortex-a72", "cortex-a7", "rpi-zero2w"}
    zero = load_target("rpi-zero2w")
    assert (zero.core, zero.board_of, zero.clock_hz) == ("cortex-a53", "cortex-a53", 10**9)
    assert zero.toolchain == load_target("cortex-a53").toolchain


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (('kind = "arm-linux"', 'kind = "arm-linus"'), "no kind of target 'arm-linus'"),
        (("[toolchain]", "[adc]"), "adc"),
        (('program = "qemu-aarch64"', "programme = 1"), "programme"),
    ],
)
def test_a_bad_file_of_arm_linux(tmp_path: Path, change: tuple[str, str], what: str) -> None:
    text = (resource_folder("targets") / "cortex-a53.toml").read_text()
    assert change[0] in text
    path = tmp_path / "board.toml"
    path.write_text(text.replace(*change, 1))
    with pytest.raises(ConfigurationError, match=what) as caught:
        load_target(str(path))
    assert str(path) in str(caught.value)


def test_an_unknown_target_lists_the_known_and_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cortex-m7'"):
        load_target("cortex-m77")


def test_a_users_own_file_and_its_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    text = (resource_folder("targets") / "cortex-m4.toml").read_text()
    path.write_text(text)
    assert load_target(str(path)).name == "board"
    path.write_text(text.replace("clock_hz", "clok_hz"))
    with pytest.raises(ConfigurationError, match="did you mean 'clock_hz'"):
        load_target(str(path))
    path.write_text(text.replace("[unicorn]", "[unicorn]\nspeed = 3"))
    with pytest.raises(ConfigurationError) as caught:
        load_target(str(path))
    line = path.read_text().splitlines().index("speed = 3") + 1
    assert caught.value.where == f"{path}:{line}"
