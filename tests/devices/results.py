"""Result directories with what `check` reads, made without a build."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgeprune.config import BuildConfig
from edgeprune.config_text import render_config
from edgeprune.data import Windows
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.evidence.manifest import write_manifest
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.products import save_windows


def write_result(
    folder: Path,
    config: BuildConfig,
    network: IntegerNetwork,
    held: HeldBeats,
    windows: Windows,
    replays: int = 5,
) -> Path:
    """Write a result directory; its replays are the first windows with another sign."""
    (folder / "certificates").mkdir(parents=True)
    (folder / "replays").mkdir()
    network.save(folder / "network.safetensors")
    (folder / "edgeprune.toml").write_text(render_config(config))
    held.save(folder / "certificates" / "held.npz")
    save_windows(folder / "certificates" / "windows.npz", windows)
    inputs = (-np.maximum(windows.signal[:replays], -127), windows.rhythm[:replays])
    arrays = {str(number): each for number, each in enumerate(inputs[: len(network.inputs)])}
    np.savez(folder / "replays" / "counterexamples.npz", **arrays)
    seal(folder)
    return folder


def seal(folder: Path) -> None:
    """Write the manifest of what the folder holds."""
    (folder / "manifest.json").unlink(missing_ok=True)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    write_manifest(folder, dict.fromkeys(names, "a test's"))
