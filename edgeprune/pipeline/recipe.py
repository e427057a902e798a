"""The configuration of a bundle: what it names is in the bundle, and no path is of one machine.

A build's configuration names files by paths of the machine that it runs on. What is small and
decides the result (own data cards, targets, models, weights, the sweep, the policy) is copied into
the bundle and named relative to it. Recordings are too large, and often not to be given away: their
folder is named after the data set, and whoever builds again says where it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from edgeprune.config import BuildConfig, load_config
from edgeprune.data import load_card
from edgeprune.errors import ConfigurationError

CONFIG = "edgeprune.toml"
INPUTS = "inputs"
SWEEP = "sweep.sqlite"
POLICY = "policy.toml"
# What the last stage is called, and the rooms whose code it runs: it judges, and writes what is not
# copied from another stage.
RECORD = "record"
RECORD_ROOMS = ("evaluation", "evidence", "report", "pipeline")
NOISE = "recorded-noise"
MODEL_SUFFIXES = (".onnx", ".tflite")


@dataclass(frozen=True)
class _NamedFile:
    """A file that a configuration may name.

    Attributes:
        read: Returns what the configuration says, empty where that is no file.
        write: Returns the configuration with something else there.
        place: Where it lies in a bundle, by its own name.
    """

    read: Callable[[BuildConfig], str]
    write: Callable[[BuildConfig, str], BuildConfig]
    place: Callable[[str], str]


def _input(kind: str) -> Callable[[str], str]:
    return lambda name: f"{INPUTS}/{kind}/{name}"


_FILES: Mapping[str, _NamedFile] = {
    "target": _NamedFile(
        lambda config: config.target if _is_toml(config.target) else "",
        lambda config, text: replace(config, target=text),
        _input("target"),
    ),
    "dataset": _NamedFile(
        lambda config: config.dataset if _is_toml(config.dataset) else "",
        lambda config, text: replace(config, dataset=text),
        _input("dataset"),
    ),
    "model": _NamedFile(
        lambda config: config.model if config.model.endswith(MODEL_SUFFIXES) else "",
        lambda config, text: replace(config, model=text),
        _input("model"),
    ),
    "weights": _NamedFile(
        lambda config: config.weights,
        lambda config, text: replace(config, weights=text),
        _input("weights"),
    ),
    "chosen.sweep": _NamedFile(
        lambda config: config.chosen.sweep,
        lambda config, text: replace(config, chosen=replace(config.chosen, sweep=text)),
        lambda name: SWEEP,
    ),
    "pccp.policy": _NamedFile(
        lambda config: config.pccp.policy,
        lambda config, text: replace(config, pccp=replace(config.pccp, policy=text)),
        lambda name: POLICY,
    ),
}


def named_files(config: BuildConfig) -> dict[str, Path]:
    """Return the files that a configuration names, by where they lie in a bundle."""
    found = {}
    for entry in _FILES.values():
        text = entry.read(config)
        if text:
            found[entry.place(Path(text).name)] = Path(text)
    return found


def portable(config: BuildConfig) -> BuildConfig:
    """Return the configuration as a bundle holds it: the same on every machine."""
    name = load_card(config.dataset).name
    for entry in _FILES.values():
        text = entry.read(config)
        if text:
            config = entry.write(config, entry.place(Path(text).name))
    return _with_folders(
        config,
        name if config.data_dir else "",
        NOISE if config.disturbances.noise_dir else "",
    )


def copy_inputs(config: BuildConfig, folder: Path) -> None:
    """Copy the files that a configuration names into a bundle.

    Raises:
        ConfigurationError: One is absent.
    """
    for place, path in named_files(config).items():
        if not path.is_file():
            raise ConfigurationError(
                "a file that the configuration names is no longer there",
                where=str(path),
                hint="put it back and run the same command again: finished stages are kept",
            )
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / place)


def bundle_config(
    folder: Path,
    data_dir: Path | None = None,
    noise_dir: Path | None = None,
    model: str | None = None,
) -> BuildConfig:
    """Return the configuration of a bundle with paths that hold on this machine.

    Args:
        folder: The bundle.
        data_dir: Where the recordings are; None leaves their folder open.
        noise_dir: Where recorded noise is; None leaves it open.
        model: The user's `package.module:factory`, to agree to import it.

    Raises:
        ConfigurationError: The configuration is damaged, or names files outside the bundle.
    """
    config = load_config(folder / CONFIG, {"model": model})
    for key, entry in _FILES.items():
        text = entry.read(config)
        if not text:
            continue
        parts = PurePosixPath(text).parts
        if text.startswith("/") or "\\" in text or ".." in parts or ":" in text:
            raise ConfigurationError(
                f"'{key}' leaves the bundle",
                where=str(folder / CONFIG),
                hint="edgeprune writes none such: take the bundle from where it was made",
            )
        config = entry.write(config, str(folder / text))
    return _with_folders(config, str(data_dir or ""), str(noise_dir or ""))


def model_name(model: str) -> str:
    """Return how a model is called wherever it is told: a file by its name, without its folder."""
    return Path(model).name if model.endswith(MODEL_SUFFIXES) else model


def _with_folders(config: BuildConfig, data_dir: str, noise_dir: str) -> BuildConfig:
    disturbances = replace(config.disturbances, noise_dir=noise_dir)
    return replace(config, data_dir=data_dir, disturbances=disturbances)


def _is_toml(text: str) -> bool:
    return text.endswith(".toml") or "/" in text
