"""make study-reach: one's own models, EEG, Arm Linux, and files as they come."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from edgeprune.config import load_config
from edgeprune.data.protocols import LEAVE_ONE_OUT
from edgeprune.pipeline.build import build
from edgeprune.pipeline.learn import network_of, windows_of
from edgeprune.pipeline.products import inputs_of, stratified
from tests.studies import reach_fuzz
from tests.studies.agreement import OUR_C, agreement
from tests.studies.arm_root import default_root, is_prepared
from tests.studies.reach_eegnet import eegnet_figures
from tests.studies.reach_own_models import first_lines, own_models
from tests.studies.reach_seizures import MODELS, SYNTHETIC, WINDOWS, Seizures
from tests.studies.study import CHECKOUT, KEPT, Figure, Section, run_study

SEED = 1
AGREEMENT_WINDOWS = 1000
# The network is one as a team would flash; how well it was trained changes no agreement.
AGREEMENT: dict[str, object] = {
    "dataset": "mit-bih",
    "target": "cortex-a53",
    "model": "residual-ecg",
    "training.epochs": 8,
    "training.teachers": 0,
    "pruning.method": "none",
    "monitor.enabled": False,
    "seed": SEED,
}


class ReachStudy:
    """The sections of the study.

    Args:
        data: Folder that holds the real recordings.
    """

    def __init__(self, data: Path) -> None:
        self._data = data.resolve()
        self._windows = self._data / "chbmit_windows"
        self._work = KEPT / "reach" / "work"
        for folder in (self._windows, self._data / "mitdb"):
            if not folder.is_dir():
                raise SystemExit(f"the recordings are not in {folder}: pass --data")

    def own_models(self) -> Iterator[Figure]:
        yield from own_models(self._work / "own-models", SEED)

    def report(self) -> Iterator[Figure]:
        yield from first_lines(self._work / "report", self._windows, SEED)

    def seizures(self, model: str) -> Iterator[Figure]:
        folder = self._work / "seizures"
        yield from Seizures(WINDOWS, model, folder, str(self._windows), SEED).figures()

    def synthetic_seizures(self) -> Iterator[Figure]:
        """Yield what times make possible: events and false alarms, on data that have both."""
        study = Seizures(SYNTHETIC, "eeg-tcn", self._work / "seizures", "", SEED)
        yield from study.figures((LEAVE_ONE_OUT,))

    def agreement(self) -> Iterator[Figure]:
        """Yield how many DS2 windows each implementation on aarch64 computes to the bit."""
        section = "aarch64 under qemu-user"
        root = default_root()
        if not is_prepared(root):
            raise SystemExit(f"no arm64 root in {root}: make arm-root")
        config = load_config(None, {**AGREEMENT, "data_dir": str(self._data / "mitdb")})
        result = build(config, self._work / "agreement", until="export")
        network = network_of(result.stages["quantize"])
        test = windows_of(result.stages["data"], "test")
        some = test.select(stratified(test, AGREEMENT_WINDOWS + 100, SEED)[:AGREEMENT_WINDOWS])
        models = result.stages["export"].folder
        for row in agreement(network, inputs_of(network, some), models, root):
            note = row.absent or (
                f"of {row.windows:,} windows of DS2, every logit; largest difference "
                f"{row.largest_difference_lsb} LSB, other decisions {row.other_decisions}"
            )
            exact = row.implementation == OUR_C or row.implementation.endswith("BUILTIN_REF")
            yield Figure(
                section,
                f"{row.implementation}: equal windows",
                None if row.absent else row.equal,
                AGREEMENT_WINDOWS if exact else 0,
                note=note,
            )


def main() -> None:
    """Run the study, or some of its sections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=CHECKOUT.parent / "shared" / "data")
    parser.add_argument("--only", nargs="*", metavar="SECTION")
    arguments = parser.parse_args()
    # Folds run in processes of their own: threads of each would only wait for each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    study = ReachStudy(arguments.data)
    sections: dict[str, Section] = {
        "own-models": study.own_models,
        "eegnet": eegnet_figures,
        "agreement": study.agreement,
        "damaged-files": reach_fuzz.figures,
        "edf-fixtures": reach_fuzz.fixtures,
        **{f"seizures-{model}": partial(study.seizures, model) for model in MODELS},
        "seizures-synthetic": study.synthetic_seizures,
        "report": study.report,
    }
    raise SystemExit(run_study("reach", SEED, sections, arguments.only))


if __name__ == "__main__":
    main()
