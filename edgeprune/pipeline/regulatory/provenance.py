"""Software of others: the Python distributions, the interpreter and the C toolchain of a build."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from edgeprune.evidence import Evidence, SoupItem, SoupKind
from edgeprune.evidence.sbom.distributions import Closure, Distribution, installed_closure
from edgeprune.typed_toml import read_toml

PURPOSES = Path(__file__).with_name("purposes.toml")
UNKNOWN = "unknown"
_MUSL = SoupItem(
    "musl",
    UNKNOWN,
    UNKNOWN,
    UNKNOWN,
    SoupKind.DEVICE,
    "C library, as it comes with the compiler; linked into the command for Linux, not into the "
    "library",
    in_device=True,
)
_QEMU = SoupItem(
    "QEMU",
    UNKNOWN,
    UNKNOWN,
    UNKNOWN,
    SoupKind.EMULATOR,
    "runs the device's software for tests",
    in_device=False,
)


def soup_list(evidence: Evidence, *, linked_runtime: bool, linux: bool) -> tuple[SoupItem, ...]:
    """Return others' software, by kind and then by title.

    Args:
        evidence: Its firmware names the toolchain.
        linked_runtime: Whether support routines of the compiler may be in the image.
        linux: Whether the target runs Linux: its command is linked with a C library.
    """
    closure = _closure()
    firmware = evidence.device.firmware if evidence.device else None
    toolchain = (_toolchain(firmware.toolchain, closure, linked_runtime),) if firmware else ()
    distributions = _distributions(closure) if closure else ()
    emulated = any(row.place.startswith("qemu") for row in evidence.parity)
    toolchain = (*toolchain, *(_MUSL,) * linux)
    return (*toolchain, *(_QEMU,) * emulated, _interpreter(evidence), *distributions)


@cache
def _closure() -> Closure | None:
    """Return what is installed, which does not change while a process runs."""
    try:
        return installed_closure()
    except PackageNotFoundError:
        return None


def _distributions(closure: Closure) -> tuple[SoupItem, ...]:
    purposes: dict[str, str] = read_toml(PURPOSES)["purposes"]
    return tuple(
        SoupItem(
            each.name,
            each.version or UNKNOWN,
            each.publisher or UNKNOWN,
            each.licence or UNKNOWN,
            SoupKind.DISTRIBUTION,
            purposes.get(each.name) or _needed_by(closure, each),
            in_device=False,
        )
        for each in closure.others
        if not each.optional
    )


def _needed_by(closure: Closure, item: Distribution) -> str:
    users = sorted(
        each.name
        for each in (closure.root, *closure.others)
        if item.name in each.requires and not each.optional
    )
    return f"needed by {', '.join(users)}" if users else UNKNOWN


def _interpreter(evidence: Evidence) -> SoupItem:
    return SoupItem(
        platform.python_implementation(),
        evidence.versions.python,
        UNKNOWN,
        UNKNOWN,
        SoupKind.INTERPRETER,
        "runs edgeprune",
        in_device=False,
    )


def _toolchain(words: str, closure: Closure | None, linked: bool) -> SoupItem:
    title, _, version = words.rpartition(" ")
    wheels = {each.name: each for each in closure.others} if closure else {}
    wheel = wheels.get("ziglang") if title == "zig" else None
    purpose = "compiles and links the device's software"
    if linked:
        purpose = f"{purpose}; its support routines may be linked into it"
    return SoupItem(
        title or words,
        version if title else UNKNOWN,
        (wheel.publisher if wheel else "") or UNKNOWN,
        (wheel.licence if wheel else "") or UNKNOWN,
        SoupKind.TOOLCHAIN,
        purpose,
        in_device=linked,
    )
