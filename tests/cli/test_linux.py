"""Targets of Arm Linux from the command line."""

from __future__ import annotations

from tests.cli.conftest import Edgeprune


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
