"""The networks that studies try: built once, with the test windows that they are tried on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeprune.config import load_config
from edgeprune.data import Windows
from edgeprune.data.held_front_end import HeldBeats
from edgeprune.evaluation import Bootstrap, decisions_of, score
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.build import BuildResult, build
from edgeprune.pipeline.learn import network_of, windows_of
from edgeprune.pipeline.products import stratified
from edgeprune.pipeline.recordings import held_of

# Fusion beats of the synthetic patients lie nearer to ventricular ones than 50 uV.
ROBUST: dict[str, dict[str, object]] = {
    "mit-bih": {"model": "certifiable-ecg", "robustness.perturbation": "linf:50uV"},
    "synthetic-ecg": {
        "model": "certifiable-ecg",
        "robustness.perturbation": "linf:20uV",
        "training.epochs": 30,
    },
}
NAIVE: dict[str, object] = {"model": "residual-ecg", "robustness.perturbation": ""}


@dataclass(frozen=True)
class Subject:
    """A network and the windows that it is tried on.

    Attributes:
        name: What tables call it.
        network: As it is flashed.
        test: All test windows.
        windows: Those drawn from them, every record in proportion.
        held: The same at the converter.
        result: The build, up to `until`.
        seed: Of everything that was drawn.
    """

    name: str
    network: IntegerNetwork
    test: Windows
    windows: Windows
    held: HeldBeats
    result: BuildResult
    seed: int

    @property
    def parameters(self) -> int:
        return sum(operation.parameters() for operation in self.network.operations)

    @property
    def inputs(self) -> int:
        return len(self.network.inputs)

    def scores(self, windows: Windows) -> Any:
        decisions = self.network.predict(*(windows.signal, windows.rhythm)[: self.inputs])
        return score(decisions_of(windows, decisions), Bootstrap(self.seed))

    def drawn(self, count: int) -> Subject:
        """Return the same network on other numbers of windows."""
        windows = self.test.select(stratified(self.test, count, self.seed))
        held = held_of(self.result.context, self.result.stages["data"], windows)
        return replace(self, windows=windows, held=held)


@dataclass(frozen=True)
class Workshop:
    """Where the networks of a study are built and kept.

    Attributes:
        folder: Keeps what was built; stages whose inputs and code are the same are not run again.
        recordings: Folder of the real recordings.
        seed: Of everything that is drawn.
    """

    folder: Path
    recordings: Path
    seed: int

    def subject(
        self,
        dataset: str,
        name: str,
        flags: Mapping[str, object],
        count: int,
        until: str = "quantize",
    ) -> Subject:
        """Build a network; one that was built before on this code is kept."""
        data = {} if dataset == "synthetic-ecg" else {"data_dir": str(self.recordings)}
        config = load_config(None, {"dataset": dataset, "seed": self.seed, **data, **flags})
        out = self.folder / f"{dataset}-{name}"
        trained = self.folder / f"{dataset}-naive.work"
        kept = out.with_name(f"{out.name}.work")
        if trained.is_dir() and not kept.exists() and config.model == NAIVE["model"]:
            # All networks of one natural training.
            for stage in ("data", "train"):
                shutil.copytree(trained / stage, kept / stage)
        result = build(config, out, until=until)
        stage, network = result.stages["data"], network_of(result.stages["quantize"])
        test = windows_of(stage, "test")
        windows = test.select(stratified(test, count, self.seed))
        held = held_of(result.context, stage, windows)
        return Subject(name, network, test, windows, held, result, self.seed)
