"""Whether this machine can run what was built for a device."""

from __future__ import annotations

from edgeprune.config import BuildConfig
from edgeprune.devices.qemu_user import find_qemu_user
from edgeprune.errors import MissingToolError
from edgeprune.targets import Target

QEMU_USER = "qemu-user"


def emulator_of(config: BuildConfig, target: Target) -> str:
    """Return what runs the firmware: Arm Linux has one emulator, whatever is configured."""
    return QEMU_USER if target.is_linux else config.firmware.emulator


def lacking_emulator(target: Target) -> str:
    """Return why nothing here runs the target's program, in words; empty where it is not so.

    A microcontroller's emulator is asked for before any work; a machine without QEMU's user mode
    still builds for Arm Linux, and says that the command was not tested.
    """
    if not target.is_linux:
        return ""
    try:
        find_qemu_user(target)
    except MissingToolError as error:
        return f"{error.what}; {error.hint}"
    return ""
