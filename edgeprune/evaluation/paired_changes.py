"""Intervals of the change between two builds that decided the same test windows.

A bundle holds no decision of a single window, but counts per recording. A bootstrap that draws
whole patients needs no more: the same patients are drawn for both networks, so that what is hard
about a patient cancels. Where the counts per recording are withheld, or the recordings or their
reference classes differ, there is no paired interval, and none is claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgeprune.errors import DataError
from edgeprune.evaluation import metrics
from edgeprune.evaluation.bootstrap import Bootstrap
from edgeprune.evaluation.decisions import sum_by_patient
from edgeprune.evaluation.ec57 import statistics_of
from edgeprune.evidence import (
    AttackEvidence,
    BeatScores,
    CertificateEvidence,
    ClassPerformance,
    Evidence,
    Interval,
    ModelPerformance,
)
from edgeprune.evidence.figures import item_names

Int64Array = npt.NDArray[np.int64]
Scores = Mapping[str, metrics.Values]

_MOST = 2**40


@dataclass(frozen=True)
class PairedChange:
    """A figure's change by the counts of both builds.

    Attributes:
        old: The figure by the earlier counts; NaN where it is undefined.
        new: The figure by the later counts; NaN where it is undefined.
        interval: Of the change; absent where fewer than two patients carry the figure.
    """

    old: float
    new: float
    interval: Interval | None


@dataclass(frozen=True, eq=False)
class _Counts:
    """Counts behind some figures, one row a recording.

    Attributes:
        prefix: Name that all these figures begin with.
        records: Name of each recording.
        fixed: What both networks must have in common of each recording: reference counts.
        counts: int64 [records, ...].
        scores: From counts [..., ...] to the figures' values by the rest of their names.
    """

    prefix: str
    records: tuple[str, ...]
    fixed: tuple[object, ...]
    counts: Int64Array
    scores: Callable[[Int64Array], Scores]


def paired_changes(old: Evidence, new: Evidence, bootstrap: Bootstrap) -> dict[str, PairedChange]:
    """Return each figure's change with its interval, as far as the bundles allow it.

    Args:
        old: The earlier evidence.
        new: The later evidence.
        bootstrap: How patients are drawn.

    Returns:
        By the figure's name (see `edgeprune.evidence.figures`): new minus old.

    Raises:
        DataError: A count of a recording is impossible.
    """
    patients = _patients(old)
    if not patients or patients != _patients(new):
        return {}
    befores = {each.prefix: each for each in _tables(old)}
    changes: dict[str, PairedChange] = {}
    for after in _tables(new):
        before = befores.get(after.prefix)
        if before is None or (before.records, before.fixed) != (after.records, after.fixed):
            continue
        if before.counts.shape == after.counts.shape and set(after.records) <= set(patients):
            owners = [patients[name] for name in after.records]
            changes |= _of_table(before, after, owners, bootstrap)
    return changes


def _of_table(
    before: _Counts, after: _Counts, owners: Sequence[str], bootstrap: Bootstrap
) -> dict[str, PairedChange]:
    both = sum_by_patient(np.stack([before.counts, after.counts], axis=1), owners)
    resampled = bootstrap.resample(both)
    first, second = before.scores(resampled[:, 0]), after.scores(resampled[:, 1])
    each_first, each_second = before.scores(both[:, 0]), after.scores(both[:, 1])
    totals = [each.scores(both[:, side].sum(axis=0)) for side, each in enumerate((before, after))]
    found: dict[str, PairedChange] = {}
    for name, values in second.items():
        carriers = int((~np.isnan(each_first[name]) | ~np.isnan(each_second[name])).sum())
        change = np.asarray(values - first[name], np.float64)
        interval = bootstrap.interval(change, carriers)
        if interval is not None:
            interval = replace(interval, method=f"paired {interval.method}")
        earlier, later = (float(total[name]) for total in totals)
        found[f"{after.prefix}{name}"] = PairedChange(earlier, later, interval)
    return found


def _patients(evidence: Evidence) -> dict[str, str]:
    """Return the patient of each test recording; empty where they are withheld."""
    return {row.record: row.patient for each in evidence.performance for row in each.records}


def _tables(evidence: Evidence) -> Iterator[_Counts]:
    names = item_names(evidence.performance)
    for name, performance in zip(names, evidence.performance, strict=True):
        if performance.records:
            yield _of_performance(f"performance.{{{name}}}.scores.", performance)
    for name, beats in zip(item_names(evidence.beats), evidence.beats, strict=True):
        if beats.records:
            yield _of_beats(f"beats.{{{name}}}.gross.", beats)
    if evidence.certificates is not None:
        yield from _of_certificates(evidence.certificates)
    if evidence.attacks is not None:
        yield from _of_attacks(evidence.attacks)


def _of_performance(prefix: str, performance: ModelPerformance) -> _Counts:
    rows = performance.records
    classes = [each.name for each in performance.scores.classes]
    counts = np.zeros((len(rows), len(classes), 3), np.int64)
    for row, record in enumerate(rows):
        if [each.name for each in record.classes] != classes:
            raise _impossible(prefix, record.record)
        for column, each in enumerate(record.classes):
            counts[row, column] = _class_counts(each, prefix, record.record)

    def scores(table: Int64Array) -> Scores:
        n, predicted, right = np.moveaxis(table, -1, 0)
        f1 = metrics.divide(2 * right, n + predicted)
        present = n > 0
        mean = metrics.divide(np.where(present, f1, 0.0).sum(axis=-1), present.sum(axis=-1))
        found = {
            "accuracy": metrics.divide(right.sum(axis=-1), n.sum(axis=-1)),
            "macro_f1": mean,
        }
        sensitivity, precision = metrics.divide(right, n), metrics.divide(right, predicted)
        for column, name in enumerate(classes):
            found[f"classes.{{{name}}}.sensitivity"] = sensitivity[..., column]
            found[f"classes.{{{name}}}.precision"] = precision[..., column]
            found[f"classes.{{{name}}}.f1"] = f1[..., column]
        return found

    references = tuple(tuple(row) for row in counts[:, :, 0].tolist())
    return _Counts(prefix, tuple(row.record for row in rows), references, counts, scores)


def _class_counts(each: ClassPerformance, prefix: str, record: str) -> tuple[int, int, int]:
    share = each.sensitivity.value or 0.0
    if not 0 <= share <= 1:
        raise _impossible(prefix, record)
    n, predicted = (_count(value, prefix, record) for value in (each.n, each.predicted))
    return n, predicted, round(share * n)


def _of_beats(prefix: str, beats: BeatScores) -> _Counts:
    size = len(beats.pairs.rows), len(beats.pairs.columns)
    tables = [
        [[_count(cell, prefix, row.record) for cell in line] for line in row.pairs.counts]
        for row in beats.records
    ]
    for row, table in zip(beats.records, tables, strict=True):
        if len(table) != size[0] or any(len(line) != size[1] for line in table):
            raise _impossible(prefix, row.record)
    references = tuple((row.record, row.annotated) for row in beats.records)
    records = tuple(row.record for row in beats.records)
    counts = np.array(tables, np.int64).reshape(len(tables), *size)
    return _Counts(prefix, records, references, counts, statistics_of)


def _of_certificates(certificates: CertificateEvidence) -> Iterator[_Counts]:
    for name, network in zip(item_names(certificates.networks), certificates.networks, strict=True):
        sets = network.perturbations
        for text, each in zip(item_names(sets), sets, strict=True):
            prefix = f"certificates.networks.{{{name}}}.perturbations.{{{text}}}."
            rows = [
                (row.n, row.proved, row.proved_and_right, row.right_unless_attacked)
                for row in each.records
            ]
            if rows:
                names = [row.name for row in each.records]
                yield _shares(
                    prefix,
                    names,
                    rows,
                    {
                        "proved_share": (1, 0),
                        "proved_and_right_share": (2, 0),
                        "attack_limit": (3, 0),
                    },
                )


def _of_attacks(attacks: AttackEvidence) -> Iterator[_Counts]:
    for name, network in zip(item_names(attacks.networks), attacks.networks, strict=True):
        for text, ball in zip(item_names(network.balls), network.balls, strict=True):
            start = f"attacks.networks.{{{name}}}.balls.{{{text}}}."
            outcomes = [
                (f"attacks.{{{own}}}.", each)
                for own, each in zip(item_names(ball.attacks), ball.attacks, strict=True)
            ]
            for rest, outcome in (*outcomes, ("worst.", ball.worst)):
                rows = [
                    (row.n, row.right, row.turned, row.right - row.turned)
                    for row in outcome.records
                ]
                if rows:
                    names = [row.name for row in outcome.records]
                    shares = {"success": (2, 1), "right_under_attack": (3, 0)}
                    yield _shares(f"{start}{rest}", names, rows, shares)


def _shares(
    prefix: str,
    names: Sequence[str],
    rows: Sequence[tuple[int, ...]],
    shares: Mapping[str, tuple[int, int]],
) -> _Counts:
    """Return counts whose figures are quotients of two of their columns; the first is fixed."""
    checked = [
        [_count(value, prefix, name) for value in row]
        for name, row in zip(names, rows, strict=True)
    ]

    def scores(table: Int64Array) -> Scores:
        return {
            name: metrics.divide(table[..., above], table[..., below])
            for name, (above, below) in shares.items()
        }

    fixed = tuple(row[0] for row in checked)
    return _Counts(prefix, tuple(names), fixed, np.array(checked, np.int64), scores)


def _count(value: int, prefix: str, record: str) -> int:
    if not 0 <= value <= _MOST:
        raise _impossible(prefix, record)
    return value


def _impossible(prefix: str, record: str) -> DataError:
    return DataError(
        f"the counts of recording '{record}' are impossible",
        where=f"evidence.json: {prefix}",
        hint="the evidence was altered or not written by edgeprune: build it again",
    )
