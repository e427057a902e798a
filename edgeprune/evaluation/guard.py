"""Holds a pruned network against the one it was made from, class by class and group by group.

Compression takes its toll where a network was weak already (Recall Distortion, arXiv:2206.02976),
and not from all patients alike (arXiv:2201.08542), which no average shows. The decision is the
point estimate's: with few windows a point is noise, so that the interval and the number of windows
stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from edgeprune.errors import ConfigurationError, DataError
from edgeprune.evaluation import metrics
from edgeprune.evaluation.bootstrap import Bootstrap, caution
from edgeprune.evaluation.decisions import Decisions, decisions_of
from edgeprune.evaluation.probabilities import calibration_change
from edgeprune.evaluation.scores import compare, share
from edgeprune.evidence import (
    GuardEvidence,
    GuardLimit,
    GuardStep,
    Quantity,
    RecallChange,
    SubgroupChange,
    SubgroupRecall,
    Where,
)

if TYPE_CHECKING:
    from edgeprune.data.windows import Windows

Logits = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]


class Guard:
    """Judges networks by what they lose against their parent on the same windows.

    Args:
        windows: Windows of the validation patients, one or more.
        logits: The parent's, in natural units [n, classes].
        limits: Largest loss of recall by class name; classes that are not named are watched only.
        bootstrap: How intervals are made; patients are drawn.

    Raises:
        DataError: There are no windows.
        ConfigurationError: A limit is not between 0 and 1.
    """

    def __init__(
        self,
        windows: Windows,
        logits: Logits,
        limits: Mapping[str, float],
        bootstrap: Bootstrap | None = None,
    ) -> None:
        if not len(windows.label):
            raise DataError(
                "there are no windows to see what pruning costs the patients",
                where="validation",
                hint="name validation records in the data card that have beats",
            )
        for name, limit in limits.items():
            if not 0 <= limit <= 1:
                raise ConfigurationError(
                    f"a loss of recall of {limit:g} is not a share",
                    where=f"pruning.guard.limits.{name}",
                    hint="0.01 is a point; leave the class out to watch it only",
                )
        self._windows = windows
        self._limits = dict(limits)
        self._bootstrap = bootstrap or Bootstrap()
        self._logits = logits
        self._before = decisions_of(windows, logits.argmax(axis=1))
        self._groups = tuple(_groups(windows))

    def judge(self, step: int, logits: Logits) -> GuardStep:
        """Hold one network against the parent.

        Args:
            step: Number of the pruning step, from 1.
            logits: The network's on the windows, in natural units [n, classes].
        """
        after = decisions_of(self._windows, logits.argmax(axis=1))
        recalls = tuple(self._recalls(after))
        exceeded = [change for change in recalls if change.exceeded]
        whole = compare("parent", self._before, "pruned", after, self._bootstrap)
        changes = [self._subgroup(after, *group) for group in self._groups]
        return GuardStep(
            step=step,
            held=not exceeded,
            reason="; ".join(map(_loss, exceeded)),
            recalls=recalls,
            unseen=tuple(
                name for name in self._limits if name not in {each.name for each in recalls}
            ),
            accuracy_change=whole.accuracy_change,
            macro_f1_change=whole.macro_f1_change,
            calibration_error_change=calibration_change(
                self._before, self._logits, after, logits, self._bootstrap
            ),
            records=tuple(change for change in changes if change.kind == "record"),
            groups=tuple(change for change in changes if change.kind != "record"),
        )

    def _recalls(self, after: Decisions) -> Iterator[RecallChange]:
        right_before, right_after = _right(self._before), _right(after)
        for index, name in enumerate(after.class_names):
            mask = after.labels == index
            if not mask.any():
                continue
            patients = [after.patients[record] for record in after.records[mask]]
            yield RecallChange(
                name=name,
                n=int(mask.sum()),
                before=share(right_before[mask], patients, Where.HOST, self._bootstrap),
                after=share(right_after[mask], patients, Where.HOST, self._bootstrap),
                change=self._change(after, mask),
                lost=int((right_before & ~right_after & mask).sum()),
                gained=int((right_after & ~right_before & mask).sum()),
                limit=self._limits.get(name),
            )

    def _change(self, after: Decisions, mask: BoolArray) -> Quantity:
        """Return the change of the share of right decisions in the windows of a mask [n]."""
        difference = _right(after)[mask].astype(np.int64) - _right(self._before)[mask]
        owners, patient = np.unique(
            np.array(after.patients)[after.records[mask]], return_inverse=True
        )
        counts = np.zeros((len(owners), 2), np.int64)
        np.add.at(counts, patient, np.stack([difference, np.ones_like(difference)], axis=1))
        drawn = self._bootstrap.resample(counts)
        values = metrics.divide(drawn[:, 0], drawn[:, 1]).astype(np.float64)
        interval = self._bootstrap.interval(values, len(owners))
        return Quantity(
            value=float(difference.mean()),
            unit="1",
            where=Where.HOST,
            n=len(difference),
            n_of="windows",
            interval=interval,
            note=caution(interval, len(owners)),
        )

    def _subgroup(self, after: Decisions, kind: str, name: str, mask: BoolArray) -> SubgroupChange:
        right_before, right_after = _right(self._before), _right(after)
        of_class = {
            index: mask & (after.labels == index)
            for index in np.unique(after.labels[mask]).tolist()
        }
        return SubgroupChange(
            kind=kind,
            name=name,
            n=int(mask.sum()),
            patients=len({after.patients[record] for record in after.records[mask]}),
            recalls=tuple(
                SubgroupRecall(
                    name=after.class_names[index],
                    before=float(right_before[windows].mean()),
                    after=float(right_after[windows].mean()),
                    change=self._change(after, windows),
                )
                for index, windows in of_class.items()
            ),
        )


def guard_evidence(
    part: str, limits: Mapping[str, float], steps: Sequence[GuardStep]
) -> GuardEvidence:
    """Say what a guard saw.

    Args:
        part: The part of the data.
        limits: The limits that it was given.
        steps: All that it judged, in their order; the one that did not hold is the last.
    """
    stopped = next((step for step in steps if not step.held), None)
    return GuardEvidence(
        part=part,
        limits=tuple(GuardLimit(name, float(loss)) for name, loss in limits.items()),
        steps=tuple(steps),
        stopped_at=None if stopped is None else stopped.step,
        verdict=_verdict(limits, steps, stopped),
    )


def _verdict(
    limits: Mapping[str, float], steps: Sequence[GuardStep], stopped: GuardStep | None
) -> str:
    if not steps:
        return "nothing was pruned"
    sentences = []
    if stopped is not None:
        kept = f"network of step {stopped.step - 1}" if stopped.step > 1 else "unpruned network"
        sentences.append(f"stopped at step {stopped.step}: {stopped.reason}; the {kept} is kept")
    elif not limits:
        sentences.append("no class has a limit: nothing could stop the pruning")
    else:
        watched = [change for change in steps[-1].recalls if change.limit is not None]
        sentences += [f"held: {_standing(change)}" for change in watched]
    sentences += [
        f"the guard cannot see {name}: the validation patients have no window of it"
        for name in steps[-1].unseen
    ]
    return "; ".join(sentences)


def _loss(change: RecallChange) -> str:
    return f"recall of {change.name} fell {_course(change)}"


def _standing(change: RecallChange) -> str:
    return f"recall of {change.name} went {_course(change)}"


def _course(change: RecallChange) -> str:
    before, after, limit = change.before.value, change.after.value, change.limit
    assert before is not None
    assert after is not None
    assert limit is not None
    interval = change.change.interval
    likely = "no interval: one patient"
    if interval is not None:
        likely = f"{interval.level:.0%} interval of the change {interval.low:+.3f} to "
        likely += f"{interval.high:+.3f}, {interval.patients} patients"
    return (
        f"from {before:.3f} to {after:.3f} (limit {limit:g}; {change.n} windows, "
        f"{change.lost} lost, {change.gained} gained; {likely})"
    )


def _right(decisions: Decisions) -> BoolArray:
    return np.asarray(decisions.predictions == decisions.labels)


def _groups(windows: Windows) -> Iterator[tuple[str, str, BoolArray]]:
    """Yield every record, sex and age group that has windows; no sex or age where none is known."""
    for record in np.unique(windows.record).tolist():
        yield "record", windows.record_names[record], windows.record == record
    if not windows.subjects:
        return
    for kind, names in (
        ("sex", [subject.sex for subject in windows.subjects]),
        ("age", [subject.age_group for subject in windows.subjects]),
    ):
        of_window = np.array(names)[windows.record]
        for name in np.unique(of_window).tolist():
            yield kind, name, of_window == name
