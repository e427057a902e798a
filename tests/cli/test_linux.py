"""Arm Linux from the command line: what is tested, and what is said where nothing can test it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from edgeprune.resources import resource_folder
from tests.cli.conftest import Edgeprune, Small
from tests.firmware.linux import fake_qemu


def native_toml(folder: Path) -> Path:
    """Write a target of Arm Linux whose compiler makes programs of this machine."""
    lines = (resource_folder("targets") / "cortex-a53.toml").read_text().splitlines()
    changed = {"zig": "zig = []", "program": 'program = "fake-qemu"'}
    path = folder / "native.toml"
    path.write_text("\n".join(changed.get(line.partition(" ")[0], line) for line in lines) + "\n")
    return path


def test_a_command_that_nothing_runs_is_not_tested(
    edgeprune: Edgeprune, built: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = built.copy(tmp_path)
    flags = (*built.flags, "--set", "monitor.enabled=false", "--target", native_toml(tmp_path))
    refused = edgeprune("bench", *flags, "--out", out)
    refused.failed(3, "EP602", "not tested", "fake-qemu is not installed", "apt-get install")
    assert "not tested: the command for native" in refused.out
    fake_qemu(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    found = edgeprune("bench", *flags, "--out", out, "--json").json
    assert found["verdict"] == "PASS"
    rows = {(row["implementation"], row["compared"]): row for row in found["parity"]}
    for compared in ("logits", "front end and logits"):
        row = rows["command", compared]
        assert (row["mismatches"], row["place"]) == (0, "qemu-user, cortex-a53")
        assert row["values"] > 0
    assert found["device"]["instructions"] is None
    assert found["device"]["cycles"] is None
    assert found["device"]["memory"]["stack_measured"] is None
    made = sorted(path.name for path in (tmp_path / "result.work/firmware/linux").iterdir())
    assert "libedgeprune.a" in made
    edgeprune("bench", *flags, "--toolchain", "gnu", "--out", out).failed(2, "EP101", "runs Linux")
    shutil.rmtree(tmp_path / "result.work")


def test_targets_and_operators_of_linux(edgeprune: Edgeprune) -> None:
    listed = edgeprune("targets", "list", "--json").json["targets"]
    kinds = {target["name"]: target["kind"] for target in listed}
    assert kinds["rpi-zero2w"] == kinds["cortex-a7"] == "arm-linux"
    assert (kinds["cortex-m7"], kinds["host"]) == ("microcontroller", "host")
    assert "qemu-arm -cpu cortex-a7" in edgeprune("targets", "list").out
    rows = edgeprune("ops", "--target", "cortex-a72", "--json").json["operators"]
    assert {row["cortex-a72"] for row in rows} == {"C, NEON by the compiler"}
    names = {finding["name"] for finding in edgeprune("doctor", "--json").json["findings"]}
    assert {"qemu-aarch64", "qemu-arm", "ssh"} <= names
    edgeprune("build", "--target", "cortex-m7", "--emulator", "qemu-user").failed(
        2, "EP101", "has none"
    )
