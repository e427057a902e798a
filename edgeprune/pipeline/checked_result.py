"""What `check` reads of a result directory: the network, the image, windows with known logits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from edgeprune.config import BuildConfig
from edgeprune.data import Windows, front_end_for, load_card
from edgeprune.data.held import HeldWindows, load_held
from edgeprune.errors import ConfigurationError, DataError
from edgeprune.evidence.manifest import read_manifest
from edgeprune.files import sha256_file
from edgeprune.firmware import Labels, compile_image, generate
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.kinds import converter_of
from edgeprune.pipeline.preflight import work_folder
from edgeprune.pipeline.products import inputs_of, load_windows, stratified
from edgeprune.pipeline.recipe import CONFIG, bundle_config, model_name
from edgeprune.targets import Target, load_target

Int8Array = npt.NDArray[np.int8]

# Names that the stages give these files; their modules would bring torch in.
NETWORK = "network.safetensors"
IMAGE = "firmware.elf"
# Windows to replay: arrays "0" and "1" are the network's inputs; "logits" are those expected of
# them, or absent where the specification says them.
REPLAYS = "replays"
_STAGES_WITH_REPLAYS = ("verify", "attack", "disturb", "replay")
_CERTIFICATES = "certificates"


@dataclass(frozen=True, eq=False)
class ReplayedWindows:
    """Windows that are shown to a device, and what the specification makes of them.

    Attributes:
        name: What they are, in words.
        inputs: Signal int8 [n, length, channels], rhythm int8 [n, features] where it is an input.
        logits: int8 [n, classes].
    """

    name: str
    inputs: tuple[Int8Array, ...]
    logits: Int8Array


class CheckedResult:
    """A result directory whose network and image are those that were built.

    Args:
        folder: The directory.

    Raises:
        ConfigurationError: It is no result directory.
        DataError: The network or the image was altered after the build.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / NETWORK).is_file() or not (folder / CONFIG).is_file():
            raise ConfigurationError(
                "this is no result directory",
                where=str(folder),
                hint="name the folder that `edgeprune build --out` wrote",
            )
        self._listed = {each.path: each.sha256 for each in read_manifest(folder).files}
        self.require_built(name for name in (NETWORK, IMAGE) if (folder / name).is_file())
        self.config: BuildConfig = bundle_config(folder)
        self.network = IntegerNetwork.load(folder / NETWORK)

    def require_built(self, names: Iterable[str]) -> None:
        """Refuse files of the result that are not those that were built.

        Raises:
            DataError: One was altered after the build, or is gone.
        """
        for name in names:
            path = self.folder / name
            if not path.is_file() or self._listed.get(name) != sha256_file(path):
                raise DataError(
                    "the file is not the one that was built",
                    where=str(path),
                    hint="build again; what is flashed must be what was certified",
                )

    @cached_property
    def target(self) -> Target:
        """What the result was built for.

        Raises:
            ConfigurationError: It was built for the host.
        """
        target = load_target(self.config.target)
        if target.is_host:
            raise ConfigurationError(
                "the result was built for the host: there is no device",
                where=str(self.folder),
                hint="build with --target cortex-m7, or another",
            )
        return target

    @property
    def classes(self) -> int:
        """Number of logits."""
        return self.network.output_tensor.size

    @property
    def work(self) -> Path:
        """Where the stages of the build are, if they are still there."""
        return work_folder(self.folder)

    def image(self) -> Path:
        """Return the test image.

        Raises:
            ConfigurationError: The result has none.
        """
        path = self.folder / IMAGE
        if not path.is_file():
            raise ConfigurationError(
                "the result holds no image",
                where=str(path),
                hint="build with --target cortex-m7, or another",
            )
        return path

    def serial_image(self, elf: Path, scratch: Path) -> None:
        """Compile the image that answers over the UART.

        Args:
            elf: Where to write it.
            scratch: A folder for the sources.

        Raises:
            ConfigurationError: The target names no UART.
            CompilerError: The compiler refuses the sources.
            MissingToolError: The compiler is not installed.
        """
        card, settings = load_card(self.config.dataset), self.config.firmware
        title = f"{model_name(self.config.model)} for {card.name}"
        names = self._windows().class_names
        labels = Labels(title, names, card.title, card.synthetic)
        sources = generate(
            self.network,
            front_end_for(card, converter_of(self.target, card)),
            self.target,
            labels,
            scratch,
            optimize=settings.optimize,
            hop=settings.hop or None,
            guards=settings.guards,
            small_steps=settings.small_steps,
        )
        compile_image(sources, self.target, elf, toolchain=settings.toolchain, program="serial")

    def test_windows(self, count: int, seed: int) -> ReplayedWindows:
        """Return test windows, drawn from every record in proportion.

        Raises:
            DataError: Neither the result nor the stages of its build hold any.
        """
        windows = self._windows()
        inputs = inputs_of(self.network, windows.select(stratified(windows, count, seed)))
        return ReplayedWindows("test windows", inputs, self.network.run(*inputs))

    def _windows(self) -> Windows:
        for path in (self.work / "data" / "test.npz", self.folder / _CERTIFICATES / "windows.npz"):
            if path.is_file():
                return load_windows(path)
        raise DataError(
            "there are no test windows",
            where=f"{self.folder}, {self.work}",
            hint="run the build again: what is finished is kept",
        )

    def replays(self) -> Iterator[ReplayedWindows]:
        """Return what attacks and disturbances left: every `.npz` of windows, file by file.

        Raises:
            DataError: A file is damaged, or of another network.
        """
        seen = set()
        folders = [self.folder / REPLAYS, *(self.work / name for name in _STAGES_WITH_REPLAYS)]
        for folder in folders:
            for path in sorted(folder.glob("*.npz")):
                if path.name in seen:
                    continue
                found = self._replayed(path)
                if found is not None:
                    seen.add(path.name)
                    yield found

    def _replayed(self, path: Path) -> ReplayedWindows | None:
        try:
            with np.load(path, allow_pickle=False) as content:
                arrays = {name: content[name] for name in ("0", "1", "logits") if name in content}
        except (OSError, ValueError, BadZipFile) as error:
            raise DataError(
                f"the windows cannot be read: {error}", where=str(path), hint="build again"
            ) from error
        inputs = tuple(arrays[name] for name in ("0", "1") if name in arrays)
        if not inputs or not len(inputs[0]):
            return None
        shapes = [self.network.tensors[name].shape for name in self.network.inputs]
        if [each.shape[1:] for each in inputs] != shapes or any(
            each.dtype != np.int8 for each in inputs
        ):
            raise DataError(
                "the windows are of another network", where=str(path), hint="build again"
            )
        logits = self.network.run(*inputs)
        if "logits" in arrays and not np.array_equal(arrays["logits"], logits):
            raise DataError(
                "the logits in the file are not those of the network",
                where=str(path),
                hint="build again; if it stays so, this is a bug of edgeprune",
            )
        return ReplayedWindows(path.stem.replace("-", " ").replace("_", " "), inputs, logits)

    def held(self) -> HeldWindows | None:
        """Return the test windows as raw samples; None where the result holds none."""
        path = self.folder / _CERTIFICATES / "held.npz"
        if not path.is_file():
            return None
        return replace(load_held(path), signal_alone=len(self.network.inputs) == 1)
