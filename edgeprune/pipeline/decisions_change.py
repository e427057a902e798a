"""Both networks of an update on the same test windows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from edgeprune.data import FrontEnd, Windows, front_end_for, load_card
from edgeprune.data.protocols import with_protocol
from edgeprune.data.windows import prepare
from edgeprune.errors import DataError, EdgepruneError
from edgeprune.evaluation import Bootstrap, Decisions, decisions_of, share
from edgeprune.evidence import ConfusionMatrix, Evidence
from edgeprune.evidence.update import DecisionCounts, DecisionsChange
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.kinds import converter_of
from edgeprune.pipeline.preflight import work_folder
from edgeprune.pipeline.products import inputs_of, load_windows
from edgeprune.pipeline.recipe import bundle_config
from edgeprune.pipeline.requirements import INT8
from edgeprune.progress import Progress
from edgeprune.targets import Adc, load_target

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Subject:
    """One of the two bundles, with what makes its windows.

    Attributes:
        folder: The bundle.
        evidence: Its evidence.
        network: Its integer network.
        adc: The converter of its target.
        front_end: What makes windows of the converter's counts.
    """

    folder: Path
    evidence: Evidence
    network: IntegerNetwork
    adc: Adc
    front_end: FrontEnd


def open_subject(
    folder: Path, evidence: Evidence, network: IntegerNetwork, data_dir: Path | None
) -> Subject:
    """Look up what makes the windows of a bundle.

    Raises:
        ConfigurationError: Its configuration names something that is not known here.
    """
    config = bundle_config(folder, data_dir)
    card = with_protocol(load_card(config.dataset), config.protocol, config.fold)
    adc = converter_of(load_target(config.target), card)
    return Subject(folder, evidence, network, adc, front_end_for(card, adc))


def decisions_change(
    old: Subject, new: Subject, data_dir: Path | None, progress: Progress, seed: int = 0
) -> DecisionsChange:
    """Run both networks on the test windows and count what they decide otherwise.

    Whatever the windows come from, each network must score on them as its bundle says.

    Args:
        old: The earlier bundle.
        new: The later bundle, of the same test part.
        data_dir: Where the recordings are; generated ones need none.
        progress: Told of the work.
        seed: Of the draws behind the intervals.

    Raises:
        DataError: The recordings are not at hand, damaged, or not those of the bundles.
    """
    windows, source = _test_windows(old, data_dir, progress)
    before = _decided(old, windows)
    if (old.adc, old.front_end) != (new.adc, new.front_end):
        windows, _ = _test_windows(new, data_dir, progress)
    after = _decided(new, windows)
    if not (
        before.record_names == after.record_names
        and np.array_equal(before.records, after.records)
        and np.array_equal(before.labels, after.labels)
    ):
        raise DataError(
            "the windows of the two front ends cannot be paired",
            where=str(new.folder),
            hint="build both for one converter",
        )
    withheld = not all(row.records for each in (old, new) for row in each.evidence.performance)
    return _counted(before, after, source, Bootstrap(seed), withheld)


def _decided(subject: Subject, windows: Windows) -> Decisions:
    logits = subject.network.run(*inputs_of(subject.network, windows))
    decisions = decisions_of(windows, logits.argmax(axis=1).astype(np.int64))
    if not _is_as_told(decisions, subject.evidence):
        raise DataError(
            "the network does not score on these test windows as its bundle says: they are others",
            where=str(subject.folder),
            hint="name the recordings that it was built from: --data-dir DIR",
        )
    return decisions


def _is_as_told(decisions: Decisions, evidence: Evidence) -> bool:
    told = next((each for each in evidence.performance if each.stage == INT8), None)
    if told is None or told.scores.confusion.class_names != decisions.class_names:
        return False
    by_record = decisions.confusion_by_record()
    if told.scores.confusion.counts != _rows(by_record.sum(axis=0)):
        return False
    found = {
        name: [(int(table[k].sum()), int(table[:, k].sum())) for k in range(len(table))]
        for name, table in zip(decisions.record_names, by_record, strict=True)
        if table.any()
    }
    rows = {row.record: [(each.n, each.predicted) for each in row.classes] for row in told.records}
    return not rows or rows == found


def _test_windows(
    subject: Subject, data_dir: Path | None, progress: Progress
) -> tuple[Windows, str]:
    kept = work_folder(subject.folder) / "data" / "test.npz"
    if kept.is_file():
        try:
            windows = load_windows(kept)
            _decided(subject, windows)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, EdgepruneError):
            progress.note(f"{kept}: not the windows of this bundle; they are made again")
        else:
            return windows, "kept from the build"
    config = bundle_config(subject.folder, data_dir)
    card = with_protocol(load_card(config.dataset), config.protocol, config.fold)
    if not card.synthetic and data_dir is None:
        raise DataError(
            f"the recordings of {card.name} are not at hand",
            where=str(subject.folder),
            hint="name their folder: --data-dir DIR",
        )
    data = prepare(card, data_dir, subject.adc, subject.front_end, progress, config.seed)
    return data.test, "generated again" if card.synthetic else f"cut anew from {card.name}"


def _counted(
    before: Decisions, after: Decisions, source: str, bootstrap: Bootstrap, withheld: bool
) -> DecisionsChange:
    changed = before.predictions != after.predictions
    better = changed & (after.predictions == after.labels)
    worse = changed & (before.predictions == before.labels)
    owners = [after.patients[record] for record in after.records]

    def counts(name: str, mask: Bools) -> DecisionCounts:
        figures = (int((mask & each).sum()) for each in (changed, better, worse))
        return DecisionCounts(name, int(mask.sum()), *figures)

    names = after.class_names
    turned = np.zeros((len(names), len(names)), np.int64)
    np.add.at(turned, (before.predictions, after.predictions), 1)
    return DecisionsChange(
        windows_from=source,
        counts=counts("all", np.ones(len(changed), np.bool_)),
        changed_share=share(changed, owners, after.where, bootstrap),
        worse_share=share(worse, owners, after.where, bootstrap),
        better_share=share(better, owners, after.where, bootstrap),
        classes=tuple(counts(name, after.labels == index) for index, name in enumerate(names)),
        records=()
        if withheld
        else tuple(
            counts(after.record_names[index], after.records == index)
            for index in np.unique(after.records).tolist()
        ),
        turned=ConfusionMatrix(names, _rows(turned)),
    )


def _rows(table: npt.NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in table.tolist())
