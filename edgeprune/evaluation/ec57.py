"""Beat-by-beat scores of ANSI/AAMI EC57: pairs, statistics, per record, gross and average.

Statistics are those of WFDB's `bxb -S` (https://physionet.org/physiotools/wag/bxb-1.htm), gross
and average those of EC57:1998, 3.5.2 and 3.5.3. A reference F called s is a false SVEB, as in bxb;
WFDB's `sumstats` leaves it out of the gross predictivity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeprune.evaluation import metrics
from edgeprune.evaluation.beat_pairs import (
    CLASSES,
    COLUMNS,
    LEARNING_SECONDS,
    MATCH_SECONDS,
    NOTHING,
    ROWS,
    SHUT_DOWN,
    AnnotatedBeats,
    DetectedBeats,
    Spans,
    count_pairs,
    learning_samples,
    standard_labels,
    within,
)
from edgeprune.evaluation.bootstrap import Bootstrap, caution
from edgeprune.evaluation.decisions import Decisions, sum_by_patient
from edgeprune.evidence import (
    BeatPairs,
    BeatScores,
    BeatStatistics,
    Quantity,
    RecordBeats,
    ShutdownCounts,
    Where,
)

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Statistic:
    """A quotient of sums of cells: (row, columns) pairs of the numerator and the denominator."""

    numerator: BoolArray
    denominator: BoolArray


def ec57_scores(
    stage: str,
    part: str,
    references: Sequence[AnnotatedBeats],
    detected: Sequence[DetectedBeats],
    bootstrap: Bootstrap,
    *,
    detector: str = "positions of the annotations; a beat without a window is missed",
    where: Where = Where.HOST,
    notes: Sequence[str] = (),
) -> BeatScores:
    """Score recordings beat by beat.

    Args:
        stage: The stage of the network, e.g. "int8 as flashed".
        part: The part of the data.
        references: The reference of each recording, one or more.
        detected: What was found in each.
        bootstrap: How intervals are made.
        detector: Where the positions of the found beats come from.
        where: Where the decisions were made.
        notes: What a reader must know beside it.

    Raises:
        ValueError: No recording, or not one answer to each.
    """
    if not references:
        raise ValueError("no recording to score")
    both = list(zip(references, detected, strict=True))
    counted = [count_pairs(reference, answer) for reference, answer in both]
    cells = np.stack([pairs for pairs, _ in counted])
    records = tuple(
        _record(reference, answer, pairs, undecided, where)
        for (reference, answer), (pairs, undecided) in zip(both, counted, strict=True)
    )
    patients = [reference.patient for reference in references]
    total = cells.sum(axis=0)
    return BeatScores(
        stage=stage,
        part=part,
        detector=detector,
        class_names=CLASSES,
        match_milliseconds=1000 * MATCH_SECONDS,
        learning_seconds=LEARNING_SECONDS,
        annotated=_summed(record.annotated for record in records),
        pairs=_table(total),
        gross=_gross(cells, patients, bootstrap, where),
        average=_average(cells, patients, bootstrap, where),
        shutdown=ShutdownCounts(
            sum(record.shutdown.seconds for record in records),
            sum(record.shutdown.beats for record in records),
            _summed(record.shutdown.classes for record in records),
        ),
        patients=len(set(patients)),
        record_count=len(records),
        records=records,
        notes=tuple(notes),
    )


def classified_windows(decisions: Decisions, beats: Int64Array) -> tuple[DetectedBeats, ...]:
    """Return what a classifier of annotated beats said, one answer a recording.

    A beat that has no window gets no answer: it is missed.

    Args:
        decisions: Of windows; a decision may not be absent.
        beats: Sample number of each window's beat [n].

    Raises:
        ConfigurationError: A class is none of EC57's.
    """
    labels = standard_labels(decisions.predictions, decisions.class_names)
    answers = []
    for record in range(len(decisions.record_names)):
        rows = np.flatnonzero(decisions.records == record)
        rows = rows[np.argsort(beats[rows], kind="stable")]
        answers.append(DetectedBeats(beats[rows], labels[rows]))
    return tuple(answers)


def statistics_of(pairs: Int64Array) -> dict[str, metrics.Values]:
    """Return every statistic of pairs [..., 7, 7] by its name in `BeatStatistics`; 0/0 is NaN."""
    return {
        name: metrics.divide(_sum(pairs, each.numerator), _sum(pairs, each.denominator))
        for name, each in STATISTICS.items()
    }


def _record(
    reference: AnnotatedBeats,
    detected: DetectedBeats,
    pairs: Int64Array,
    undecided: int,
    where: Where,
) -> RecordBeats:
    rate = reference.rate_hz
    length = reference.samples / rate
    in_flutter = within(reference.beats, reference.episodes.flutter, rate)
    learning = reference.beats < learning_samples(rate)
    return RecordBeats(
        record=reference.record,
        patient=reference.patient,
        part=reference.part,
        annotated=_counts(reference.labels),
        in_learning=int((learning & ~in_flutter).sum()),
        in_flutter=int(in_flutter.sum()),
        flutter_seconds=_scored_seconds(reference.episodes.flutter, length),
        without_decision=undecided,
        pairs=_table(pairs),
        statistics=BeatStatistics(
            **{
                name: _quantity(value, _sum(pairs, STATISTICS[name].denominator), where)
                for name, value in statistics_of(pairs).items()
            }
        ),
        shutdown=ShutdownCounts(
            _scored_seconds(detected.shutdown, length),
            int(pairs[:NOTHING, SHUT_DOWN].sum()),
            tuple(pairs[:NOTHING, SHUT_DOWN].tolist()),
        ),
    )


def _gross(
    cells: Int64Array, patients: Sequence[str], bootstrap: Bootstrap, where: Where
) -> BeatStatistics:
    total = cells.sum(axis=0)
    values = statistics_of(total)
    by_patient = sum_by_patient(cells, patients)
    resampled = statistics_of(bootstrap.resample(by_patient))
    quantities = {}
    for name, statistic in STATISTICS.items():
        carriers = int((_sum(by_patient, statistic.denominator) > 0).sum())
        n = _sum(total, statistic.denominator)
        quantities[name] = _quantity(values[name], n, where, resampled[name], carriers, bootstrap)
    return BeatStatistics(**quantities)


def _average(
    cells: Int64Array, patients: Sequence[str], bootstrap: Bootstrap, where: Where
) -> BeatStatistics:
    """Average over the recordings that define a statistic; 0/0 is no recording's 0."""
    names = sorted(set(patients))
    owner = np.array([names.index(patient) for patient in patients])
    draws = bootstrap.draws(len(names))[:, owner]
    quantities = {}
    for name, values in statistics_of(cells).items():
        defined = ~np.isnan(values)
        known = np.where(defined, values, 0.0)
        mean = metrics.divide(np.asarray(known.sum()), np.asarray(defined.sum()))
        resampled = metrics.divide(draws @ known, draws @ defined)
        carriers = len({owner[index] for index in np.flatnonzero(defined)})
        quantities[name] = _quantity(
            mean, int(defined.sum()), where, resampled, carriers, bootstrap, "recordings"
        )
    return BeatStatistics(**quantities)


def _quantity(
    value: metrics.Values,
    n: metrics.Counts | int,
    where: Where,
    resampled: metrics.Values | None = None,
    patients: int = 0,
    bootstrap: Bootstrap | None = None,
    n_of: str = "beats",
) -> Quantity:
    if np.isnan(value):
        return Quantity(None, "1", where, n=int(n), n_of=n_of, note="undefined: 0/0")
    if resampled is None or bootstrap is None:
        return Quantity(float(value), "1", where, n=int(n), n_of=n_of)
    interval = bootstrap.interval(np.asarray(resampled, np.float64), patients)
    note = caution(interval, patients)
    return Quantity(float(value), "1", where, n=int(n), n_of=n_of, interval=interval, note=note)


def _table(pairs: Int64Array) -> BeatPairs:
    return BeatPairs(ROWS, COLUMNS, tuple(tuple(row) for row in pairs.tolist()))


def _counts(labels: Int64Array) -> tuple[int, ...]:
    return tuple(np.bincount(labels, minlength=len(CLASSES)).tolist())


def _summed(rows: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sum(column) for column in zip(*rows, strict=True))


def _sum(pairs: Int64Array, cells: BoolArray) -> Int64Array:
    return np.asarray(pairs[..., cells].sum(axis=-1))


def _scored_seconds(spans: Spans, length: float) -> float:
    clipped = ((max(begin, LEARNING_SECONDS), min(end, length)) for begin, end in spans)
    return float(sum(max(end - begin, 0.0) for begin, end in clipped))


def _cells(rows: str, columns: str) -> BoolArray:
    mask = np.zeros((len(ROWS), len(COLUMNS)), dtype=np.bool_)
    mask[np.ix_([ROWS.index(row) for row in rows], [COLUMNS.index(name) for name in columns])] = (
        True
    )
    return mask


# Neither right nor wrong: F and Q called v, Q called s.
STATISTICS = {
    "qrs_sensitivity": _Statistic(_cells("NSVFQ", "nsvfq"), _cells("NSVFQ", "nsvfqox")),
    "qrs_predictivity": _Statistic(_cells("NSVFQ", "nsvfq"), _cells("NSVFQOX", "nsvfq")),
    "veb_sensitivity": _Statistic(_cells("V", "v"), _cells("V", "nsvfqox")),
    "veb_predictivity": _Statistic(_cells("V", "v"), _cells("NSVOX", "v")),
    "veb_false_positive_rate": _Statistic(
        _cells("NSOX", "v"), _cells("NSOX", "v") | _cells("NSFQOX", "nsfq")
    ),
    "sveb_sensitivity": _Statistic(_cells("S", "s"), _cells("S", "nsvfqox")),
    "sveb_predictivity": _Statistic(_cells("S", "s"), _cells("NSVFOX", "s")),
    "sveb_false_positive_rate": _Statistic(
        _cells("NVFOX", "s"), _cells("NVFOX", "s") | _cells("NVFQOX", "nvfq")
    ),
}
