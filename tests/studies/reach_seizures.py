"""Seizures in CHB-MIT's windows: personalised and for new patients, and the same on two cores."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgeprune.config import BuildConfig, load_config
from edgeprune.data.protocols import LEAVE_ONE_OUT, PERSONALISED
from edgeprune.devices import run_image
from edgeprune.evidence import Quantity
from edgeprune.evidence.cross_validation import CrossValidation, FoldStage
from edgeprune.firmware import compile_image
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.build import build
from edgeprune.pipeline.cross_validation import INT8, cross_validate
from edgeprune.pipeline.learn import network_of, windows_of
from edgeprune.targets import load_target
from tests.studies.firmware import generated
from tests.studies.study import Figure

WINDOWS = "chb-mit-windows"
SYNTHETIC = "synthetic-eeg"
MODELS = ("eeg-tcn", "eegnet", "chb-mit-cnn")
PROTOCOLS = (PERSONALISED, LEAVE_ONE_OUT)
EMULATORS = {"cortex-m7": "unicorn", "cortex-m55": "qemu"}
EVENT = 1


@dataclass(frozen=True)
class Seizures:
    """Cross-validations of one classifier on one data set.

    Attributes:
        dataset: Name of the card.
        model: The classifier.
        folder: Where folds are kept.
        data: Folder of the recordings; empty for synthetic data.
        seed: Of everything that is drawn.
    """

    dataset: str
    model: str
    folder: Path
    data: str
    seed: int

    @property
    def section(self) -> str:
        synthetic = " (SYNTHETIC)" if self.dataset == SYNTHETIC else ""
        return f"{self.dataset}{synthetic}, {self.model}"

    def figures(self, protocols: tuple[str, ...] = PROTOCOLS) -> Iterator[Figure]:
        """Yield the tables of the protocols, and how many decisions the devices decide alike."""
        for protocol in protocols:
            config = self._config(protocol)
            out = self.folder / f"{self.dataset}-{self.model}-{protocol}"
            found = cross_validate(config, out)
            for stage in found.stages:
                yield from self._scores(found, stage)
            yield self._events(found)
            yield from self._devices(config, out, found)

    def _config(self, protocol: str) -> BuildConfig:
        data = {"data_dir": self.data} if self.data else {}
        return load_config(
            None,
            {
                "dataset": self.dataset,
                "model": self.model,
                "target": "cortex-m7",
                "protocol": protocol,
                "seed": self.seed,
                **data,
            },
        )

    def _scores(self, found: CrossValidation, stage: FoldStage) -> Iterator[Figure]:
        patients = "" if stage.stage != INT8 else f"; {_by_patient(stage)}"
        pooled = {each.name: each for each in stage.pooled.classes}
        words = (("specificity", 1 - EVENT), ("sensitivity", EVENT))
        for word, index in words:
            whole = pooled[found.class_names[index]].sensitivity
            yield Figure(
                self.section,
                f"{found.protocol}, {stage.stage}: {word}",
                stage.recalls[index].value,
                note=f"mean over {len(found.folds)} patients {_interval(stage.recalls[index])}; "
                f"all windows {_text(whole)}{patients if index == EVENT else ''}",
            )
        yield Figure(
            self.section,
            f"{found.protocol}, {stage.stage}: accuracy",
            stage.accuracy.value,
            note=f"mean over patients {_interval(stage.accuracy)}; "
            f"all windows {_text(stage.pooled.accuracy)}",
        )

    def _events(self, found: CrossValidation) -> Figure:
        name = f"{found.protocol}, int8: events found"
        seizures = found.stages[-1].seizures
        average = None if seizures is None else seizures.average
        if average is None:
            return Figure(self.section, name, None, note="; ".join(found.not_tested))
        return Figure(
            self.section,
            name,
            average.sensitivity.value,
            note=f"mean over patients {_interval(average.sensitivity)}; precision "
            f"{_text(average.precision)}, F1 {_text(average.f1)}, false alarms an hour "
            f"{_text(average.false_alarms_per_hour)}",
        )

    def _devices(self, config: BuildConfig, out: Path, found: CrossValidation) -> Iterator[Figure]:
        mismatches = dict.fromkeys(EMULATORS, 0)
        windows = 0
        for fold in found.folds:
            folder = out / "folds" / fold
            result = build(replace(config, fold=fold), folder, until="quantize")
            network = network_of(result.stages["quantize"])
            signal = windows_of(result.stages["data"], "test").signal
            windows += len(signal)
            for core in EMULATORS:
                mismatches[core] += _other_logits(network, signal, core)
        for core, count in mismatches.items():
            yield Figure(
                self.section,
                f"{found.protocol}, {core}: logits that differ",
                count,
                0,
                at_most=True,
                note=f"{len(found.folds)} networks, {windows} windows, {EMULATORS[core]}",
            )


def _other_logits(network: IntegerNetwork, signal: np.ndarray, core: str) -> int:
    target = load_target(core)
    classes = network.output_tensor.size
    with generated(network, core, "balanced") as sources, tempfile.TemporaryDirectory() as name:
        elf = Path(name) / "image.elf"
        compile_image(sources, target, elf)
        run = run_image(elf, target, signal, None, classes, backend=EMULATORS[core])
    return int(np.count_nonzero(run.logits != network.run(signal)))


def _by_patient(stage: FoldStage) -> str:
    rows = (
        f"{row.patient} {_number(row.recalls[EVENT])}/{_number(row.recalls[1 - EVENT])}"
        for row in stage.patients
    )
    return "sensitivity/specificity by patient: " + ", ".join(rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _interval(quantity: Quantity) -> str:
    interval = quantity.interval
    return "" if interval is None else f"[{interval.low:.3f}, {interval.high:.3f}]"


def _text(quantity: Quantity) -> str:
    return f"{_number(quantity.value)} {_interval(quantity)}".strip()
