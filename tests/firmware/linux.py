"""A target of Arm Linux that this machine itself can run, and programs that stand for tools."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from edgeprune.resources import resource_folder
from edgeprune.targets import QemuUserSettings, Target, load_target


def native() -> Target:
    """Return an Arm Linux target whose compiler makes programs of this machine."""
    target = load_target("cortex-a53")
    assert target.toolchain is not None
    return dataclasses.replace(
        target,
        name="native",
        toolchain=dataclasses.replace(target.toolchain, zig=()),
        qemu_user=QemuUserSettings("fake-qemu", "this-one"),
    )


def native_toml(folder: Path) -> Path:
    """Write a target of Arm Linux whose compiler makes programs of this machine."""
    lines = (resource_folder("targets") / "cortex-a53.toml").read_text().splitlines()
    changed = {"zig": "zig = []", "program": 'program = "fake-qemu"'}
    path = folder / "native.toml"
    path.write_text("\n".join(changed.get(line.partition(" ")[0], line) for line in lines) + "\n")
    return path


def fake_qemu(folder: Path) -> Path:
    """Write a program that starts another: as `fake-qemu -cpu X PROGRAM ...`."""
    return _script(folder / "fake-qemu", 'test "$1" = -cpu || exit 9\nshift 2\nexec "$@"\n')


def fake_ssh(folder: Path) -> Path:
    """Write an ssh whose boards are this machine; "nowhere" is not there.

    As the real one it drops its options and hands the rest, joined by spaces, to a shell.
    """
    return _script(
        folder / "ssh",
        """while test "$1" != --; do shift; done
shift
case "$1" in *nowhere) echo "ssh: connect to host nowhere: No route" >&2; exit 255;; esac
echo "$1" >> "$(dirname "$0")/asked"
shift
exec sh -c "$*"
""",
    )


def _script(path: Path, text: str) -> Path:
    assert sys.platform != "win32"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
    return path
