"""Result directories with what `check` reads, made without a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprune.config import BuildConfig
from edgeprune.config_text import render_config
from edgeprune.data import Windows
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.evidence.manifest import StageRecord, describe_files, write_manifest
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.products import save_inputs, save_windows

Int8Array = npt.NDArray[np.int8]


def write_result(
    folder: Path,
    config: BuildConfig,
    network: IntegerNetwork,
    held: HeldBeats,
    windows: Windows,
    replays: Mapping[str, Sequence[Int8Array]],
) -> Path:
    """Write a result directory without images.

    Args:
        folder: Where to.
        config: What it was built from.
        network: The network.
        held: The test beats.
        windows: The same as windows.
        replays: Inputs of the windows to replay, by file.
    """
    (folder / "certificates").mkdir(parents=True)
    if replays:
        (folder / "replays").mkdir()
    network.save(folder / "network.safetensors")
    (folder / "edgeprune.toml").write_text(render_config(config))
    held.save(folder / "certificates" / "held.npz")
    save_windows(folder / "certificates" / "windows.npz", windows)
    for name, inputs in replays.items():
        save_inputs(folder / "replays" / f"{name}.npz", network, [tuple(inputs)])
    seal(folder)
    return folder


def turned_over(windows: Windows, count: int) -> tuple[Int8Array, Int8Array]:
    """Return the inputs of the first windows with the sign of the signal changed."""
    return -np.maximum(windows.signal[:count], -127), windows.rhythm[:count]


def seal(folder: Path) -> None:
    """Write the manifest of what the folder holds."""
    (folder / "manifest.json").unlink(missing_ok=True)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    files = describe_files(folder, dict.fromkeys(names, "a test's"), dict.fromkeys(names, "test"))
    write_manifest(folder, files, [StageRecord("test", ())], "edgeprune build")
