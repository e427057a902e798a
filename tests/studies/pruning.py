"""make study-pruning: every method of the seeds on MIT-BIH, what they claim, and VNN.

The parents are the usual residual classifier with a short training and no teachers, and every
point is fine-tuned shortly, so that some three hundred points end within hours: how methods differ
can be read here, and not how well a network can be trained. Nothing is stopped by the guard for the
patient, so that every point has its figures.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path

from edgeprune.config import load_config
from edgeprune.pipeline.sweep import read_sweep, sweep
from edgeprune.progress import Silent
from tests.studies import pruning_chb, pruning_curve
from tests.studies.pruning_claims import claims
from tests.studies.pruning_table import Row, rows_of, table_document
from tests.studies.study import CHECKOUT, KEPT, Figure, code_hash, run_study

SEED = 1
SEEDS = (1, 2, 3)
WORKERS = 2
SECTION = "MIT-BIH"
TABLE = CHECKOUT / "tests" / "studies" / "pruning_table.json"
COMMON: dict[str, object] = {
    "dataset": "mit-bih",
    "target": "cortex-m7",
    "model": "residual-ecg",
    "seed": SEED,
    "training.epochs": 8,
    "training.teachers": 0,
    "pruning.schedule": "one-shot",
    "pruning.fine_tune_epochs": 1,
    "pruning.channel_multiple": 1,
    "pruning.perturbation": "linf:20uV",
    "pruning.guard.limits": {},
    "quantization.calibration_windows": 512,
    "quantization.search": False,
    "monitor.enabled": False,
    "verification.workers": WORKERS,
    "sweep.ratios": (0.5, 0.75, 0.875, 0.9375),
    "sweep.scopes": ("global",),
    "sweep.fine_tunes": ("natural",),
    "sweep.seeds": SEEDS,
    "sweep.windows": 24,
    "sweep.steps": 10,
    "sweep.attacks": ("pgd",),
    "sweep.balls": ("linf:20uV", "linf:50uV", "linf:100uV"),
    "sweep.least": ("l2", "l0"),
    "sweep.perturbations": ("linf:5uV", "linf:10uV"),
}
_STRUCTURES = ("weight", "kernel", "channel")
_CRITERIA = ("expected-absolute-value", "hrank", "kl", "pls")
# Each is one sweep of the same parents; what tells the most comes first.
GRIDS: dict[str, dict[str, object]] = {
    "magnitude": {
        "sweep.methods": _STRUCTURES,
        "sweep.importances": ("l1",),
        "sweep.scopes": ("global", "local"),
    },
    "vnn": {
        "sweep.methods": ("vnn", "weight"),
        "sweep.importances": ("l1",),
        "sweep.fine_tunes": ("none",),
        # As the paper's code: with few rows, or nothing of a convolution can go.
        "pruning.vnn_variant": "released",
        "pruning.vnn_rows": 64,
        # The whole curve of the claim.
        "sweep.perturbations": ("linf:5uV", "linf:10uV", "linf:20uV"),
    },
    "fine-tuning": {
        "sweep.methods": ("channel",),
        "sweep.importances": ("l1",),
        "sweep.fine_tunes": ("none", "pgd", "trades", "distilled"),
    },
    "criteria": {"sweep.methods": ("channel",), "sweep.importances": ("random", *_CRITERIA)},
    # The three blocks hold a little more than half of the parameters.
    "layers": {
        "sweep.methods": ("layer",),
        "sweep.importances": ("l1", *_CRITERIA, "consensus"),
        "sweep.ratios": (0.3, 0.5),
    },
    "others": {
        "sweep.methods": ("low-rank", "graft", "top-k"),
        "sweep.importances": ("l1",),
    },
    "undecayed": {"sweep.methods": ("weight",), "sweep.importances": ("undecayed",)},
    "sensitivity": {
        "sweep.methods": ("channel",),
        "sweep.importances": ("l1",),
        "sweep.scopes": ("sensitivity",),
        "sweep.fine_tunes": ("natural", "trades"),
    },
    "random": {
        "sweep.methods": _STRUCTURES,
        "sweep.importances": ("random",),
        "sweep.scopes": ("global", "local"),
    },
}


class PruningStudy:
    """The sections of the study.

    Args:
        data: Folder that holds the real recordings (`mitdb` and `chbmit_windows` in it).
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._work = KEPT / "pruning" / "work"

    def grid(self, name: str) -> Iterator[Figure]:
        """Run one sweep; points of an earlier run on this code are kept."""
        recordings = (self._data / "mitdb").resolve()
        if not recordings.is_dir():
            raise SystemExit(f"the recordings are not in {recordings}: pass --data")
        config = load_config(None, {**COMMON, **GRIDS[name], "data_dir": str(recordings)})
        out = self._work / f"{name}.sqlite"
        self._lend(out.with_suffix(".work"))
        found = sweep(config, out, progress=_Lines())
        states = [point.result.state.value for point in found.points]
        told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        seconds = sum(point.result.seconds for point in found.points)
        note = f"{told}; {seconds / len(states):.0f} s a point"
        left_out = found.about.get("left_out", "").replace("\n", "; ")
        note += f"; left out {left_out}" if left_out else ""
        yield Figure("sweeps", f"{name}: points", len(states), note=note)

    @cached_property
    def rows(self) -> list[Row]:
        """All settings of all sweeps so far, each once."""
        paths = [self._work / f"{name}.sqlite" for name in GRIDS]
        return rows_of(read_sweep(path) for path in paths if path.exists())

    def table(self) -> Iterator[Figure]:
        """Write the table of all methods, and yield its macro-F1."""
        TABLE.write_text(table_document(self.rows), encoding="utf-8")
        for row in self.rows:
            found = row.summary("macro_f1")
            if found is None:
                yield Figure(SECTION, f"{row.text}: macro-F1", None, note=row.reason)
                continue
            note = f"over seeds [{found.low:.3f}, {found.high:.3f}]; real compression "
            note += f"{row.compression:.2f}; {row.told}"
            yield Figure(SECTION, f"{row.text}: macro-F1", round(found.mean, 4), note=note)

    def claims(self) -> Iterator[Figure]:
        """What the seeds claim, tried on these points."""
        yield from claims(self.rows)

    def curve(self) -> Iterator[Figure]:
        """VNN and magnitude over the whole curve of radii."""
        found = read_sweep(self._work / "vnn.sqlite")
        yield from pruning_curve.figures(found, KEPT / "pruning" / code_hash() / "curves", WORKERS)

    def chb(self) -> Iterator[Figure]:
        """VNN on CHB-MIT windows."""
        yield from pruning_chb.figures(
            self._data, KEPT / "pruning" / code_hash() / "chb", SEED, WORKERS
        )

    def _lend(self, folder: Path) -> None:
        """Copy parents and results of other sweeps; their keys say whether they fit."""
        for other in sorted(self._work.glob("*.work")):
            if other == folder:
                continue
            for parent in other.glob("seed-*.work"):
                if not (folder / parent.name).exists():
                    shutil.copytree(parent, folder / parent.name)
            for result in other.glob("points/*/result.json"):
                own = folder / result.relative_to(other)
                if not own.exists():
                    own.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(result, own)


class _Lines(Silent):
    """Notes of a sweep as lines."""

    def note(self, text: str) -> None:
        print(f"  {text}", flush=True)


def sections_of(study: PruningStudy) -> Mapping[str, Callable[[], Iterator[Figure]]]:
    """Return the sections in the order in which they can be measured."""
    # Imported here: the first needs HiGHS, the second Dask.
    from tests.studies.pruning_cluster import cluster_sweep
    from tests.studies.pruning_vnn_speed import speed

    return {
        **{f"sweep-{name}": partial(study.grid, name) for name in GRIDS},
        "table": study.table,
        "claims": study.claims,
        "vnn-curve": study.curve,
        "chb": study.chb,
        "vnn-speed": speed,
        "cluster": cluster_sweep,
    }


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=CHECKOUT.parent / "shared" / "data")
    parser.add_argument("--only", action="append", help="measure and keep this section alone")
    parser.add_argument("--without", action="append", default=[], help="leave this section out")
    arguments = parser.parse_args()
    sections = dict(sections_of(PruningStudy(arguments.data)))
    for name in arguments.without:
        del sections[name]
    raise SystemExit(run_study("pruning", SEED, sections, arguments.only))


if __name__ == "__main__":
    main()
