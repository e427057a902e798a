"""What executes an image: one small protocol, and the backends by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edgeprune.registry import Registry
from edgeprune.targets import Target


class Device(Protocol):
    """Something that holds an image and runs it from reset."""

    def execute(
        self, exchange: bytes, read_bytes: int, timeout_seconds: float
    ) -> tuple[int, bytes]:
        """Write the exchange block, run the image to its end, read the block back.

        Args:
            exchange: What the block holds before the run.
            read_bytes: How much of it to return after the run.
            timeout_seconds: Wall clock limit.

        Returns:
            The exit code and the block.

        Raises:
            DeviceError: The image faulted, hung or stopped on its own.
        """


Backend = Callable[[Path, Target], Device]


def _unicorn(elf: Path, target: Target) -> Device:
    from edgeprune.devices.unicorn_device import UnicornDevice

    return UnicornDevice(elf, target)


def _qemu(elf: Path, target: Target) -> Device:
    from edgeprune.devices.qemu_device import QemuDevice

    return QemuDevice(elf, target)


def _qemu_user(elf: Path, target: Target) -> Device:
    from edgeprune.devices.qemu_user import QemuUserDevice

    return QemuUserDevice(elf, target)


BACKENDS: Registry[Backend] = Registry(
    "device backend", **{"unicorn": _unicorn, "qemu": _qemu, "qemu-user": _qemu_user}
)
