"""What every stage of one build knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeprune.config import BuildConfig
from edgeprune.data import DatasetCard, FrontEnd
from edgeprune.executor import Executor
from edgeprune.pipeline.store import StageStore
from edgeprune.progress import Progress
from edgeprune.targets import Adc, Target


@dataclass(frozen=True)
class Context:
    """One build.

    Attributes:
        config: The configuration as resolved.
        card: The data set.
        target: The device.
        adc: The device's converter, or the data set's own where the device leaves it open.
        front_end: What the device does to raw samples.
        store: Where finished stages are kept.
        progress: Receives the course of the work.
        executor: Where the work that can be divided is done.
    """

    config: BuildConfig
    card: DatasetCard
    target: Target
    adc: Adc
    front_end: FrontEnd
    store: StageStore
    progress: Progress
    executor: Executor

    @property
    def data_dir(self) -> Path | None:
        """Folder of the recordings; None where they are generated."""
        return Path(self.config.data_dir) if self.config.data_dir else None

    @property
    def seed(self) -> int:
        """Seed of everything that is drawn."""
        return self.config.seed
