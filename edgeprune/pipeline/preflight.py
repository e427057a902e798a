"""What can be refused before any work: paths that cannot be used, tools that are not there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeprune.errors import ConfigurationError, DiskError, ModelError
from edgeprune.evidence import MANIFEST_NAME
from edgeprune.pipeline.context import Context
from edgeprune.pipeline.given_model import is_file


def work_folder(out: Path) -> Path:
    """Return where the stages of a result directory are kept."""
    return out.with_name(f"{out.name}.work")


def check_out(out: Path) -> None:
    """Refuse a result directory that cannot be one.

    Raises:
        ConfigurationError: It has no name of its own, a file is in its place or above it, or it is
            a folder that edgeprune did not write.
        DiskError: It cannot be looked into.
    """
    if out.name in ("", ".."):
        raise _unusable("the result directory needs a name of its own", out)
    try:
        for path in (out, work_folder(out), *out.parents):
            if path.exists() and not path.is_dir():
                raise _unusable("a file is where a folder is needed", path)
        if out.exists() and any(out.iterdir()) and not (out / MANIFEST_NAME).is_file():
            raise _unusable("the folder holds files that are no result of edgeprune", out)
    except OSError as error:
        raise DiskError(
            f"the folder cannot be used: {error.strerror}",
            where=str(out),
            hint="choose another --out",
        ) from error


def _unusable(what: str, path: Path) -> ConfigurationError:
    return ConfigurationError(what, where=str(path), hint="choose another --out")


def check_files(context: Context) -> None:
    """Refuse a model or weights that are not there.

    Raises:
        ModelError: A file is absent.
    """
    config = context.config
    files = {"--weights": config.weights}
    if is_file(config.model):
        files["--model"] = config.model
    for flag, name in files.items():
        if name and not Path(name).is_file():
            raise ModelError(
                "the file does not exist", where=f"{flag} {name}", hint="check the path"
            )


def check_tools(context: Context, stages: Sequence[str]) -> None:
    """Refuse to begin what would end for want of a compiler or an emulator.

    Raises:
        MissingToolError: It is not on this machine.
    """
    from edgeprune.devices.qemu_device import find_qemu
    from edgeprune.firmware import TOOLCHAINS
    from edgeprune.firmware.linux import check_toolchain
    from edgeprune.firmware.toolchains import host_compiler

    if "bench" in stages:
        host_compiler()
    if context.target.is_host:
        return
    pruning = context.config.pruning
    budget = max(pruning.max_flash, pruning.max_ram, pruning.max_instructions) > 0
    if "firmware" in stages or ("prune" in stages and budget):
        if context.target.is_linux:
            check_toolchain(context.target, context.config.firmware.toolchain)
        TOOLCHAINS.get(context.config.firmware.toolchain)(context.target)
    if "bench" in stages and context.config.firmware.emulator == "qemu":
        find_qemu()
