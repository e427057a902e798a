"""EC57 of an integer network over all non-paced records of MIT-BIH, for `make study-robustness`.

Alone, with a network and the windows of a build's data stage:

    python -m tests.studies.robustness_scores NETWORK.safetensors WORK/data ../shared/data/mitdb
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeprune.data import DatasetCard, Windows, load_card
from edgeprune.data.episodes import read_episodes
from edgeprune.data.recordings import read_recordings, to_adc
from edgeprune.evaluation import (
    INTEGER_SOURCE,
    AnnotatedBeats,
    Bootstrap,
    Decisions,
    DetectedBeats,
    classified_windows,
    decisions_of,
    ec57_scores,
    probability_scores,
    reference_of,
)
from edgeprune.evidence import (
    BeatPairs,
    BeatScores,
    BeatStatistics,
    ProbabilityScores,
    Quantity,
)
from edgeprune.network import IntegerNetwork
from edgeprune.pipeline.products import load_windows
from edgeprune.progress import Silent
from edgeprune.targets import Adc
from tests.studies.study import Figure

# De Chazal's split, and the beats that their publisher's annotations have, N S V F Q.
DS1, DS2 = "DS1 (training data)", "DS2 (test)"
PUBLISHED = {DS1: (45866, 944, 3788, 415, 8), DS2: (44259, 1837, 3221, 388, 7)}
_PARTS_OF = {DS1: ("train", "validation"), DS2: ("test",)}
# Gross figures on DS2 that de Chazal 2004 (doi:10.1109/TBME.2004.827359) states.
DE_CHAZAL = {
    "veb_sensitivity": 0.777,
    "veb_predictivity": 0.819,
    "sveb_sensitivity": 0.759,
    "sveb_predictivity": 0.385,
}
_TITLES = {
    "qrs_sensitivity": "QRS sensitivity",
    "qrs_predictivity": "QRS positive predictivity",
    "veb_sensitivity": "VEB sensitivity",
    "veb_predictivity": "VEB positive predictivity",
    "veb_false_positive_rate": "VEB false positive rate",
    "sveb_sensitivity": "SVEB sensitivity",
    "sveb_predictivity": "SVEB positive predictivity",
    "sveb_false_positive_rate": "SVEB false positive rate",
}


@dataclass(frozen=True)
class StandardTables:
    """One network by the standards, DS1 and DS2.

    Attributes:
        beats: Beat-by-beat scores, DS1 then DS2, each with its records.
        confidence: AUROC, calibration and the like on DS2.
    """

    beats: tuple[BeatScores, ...]
    confidence: ProbabilityScores


def standard_tables(
    network: IntegerNetwork,
    windows: Mapping[str, Windows],
    card: DatasetCard,
    folder: Path,
    adc: Adc | None = None,
    stage: str = "int8 as flashed",
    seed: int = 1,
) -> StandardTables:
    """Score a network on every record of a card's split.

    Args:
        network: The integer network.
        windows: The windows of "train", "validation" and "test".
        card: The data set.
        folder: Where its files lie.
        adc: The converter that the windows were cut at; the card's own where absent.
        stage: The stage of the network.
        seed: Seed of the intervals.
    """
    recordings = {
        each.name: to_adc(each, adc or card.adc).recording
        for each in read_recordings(card, folder, Silent(), seed)
    }
    bootstrap = Bootstrap(seed)
    scores = []
    for part, sources in _PARTS_OF.items():
        pairs: list[tuple[AnnotatedBeats, DetectedBeats]] = []
        for source in sources:
            some = windows[source]
            decisions, _ = _decided(network, some)
            references = [
                reference_of(
                    recordings[name], source, some.class_names, read_episodes(card, folder, name)
                )
                for name in some.record_names
            ]
            answers = classified_windows(decisions, some.beat)
            pairs += zip(references, answers, strict=True)
        pairs.sort(key=lambda pair: pair[0].record)
        references, answers = zip(*pairs, strict=True)
        scores.append(ec57_scores(stage, part, references, answers, bootstrap))
    decisions, logits = _decided(network, windows["test"])
    confidence = probability_scores(stage, DS2, decisions, logits, bootstrap, INTEGER_SOURCE)
    return StandardTables(tuple(scores), confidence)


def figures(section: str, name: str, tables: StandardTables) -> Iterator[Figure]:
    """Yield what the study tells of one network; `name` tells it from others."""
    found = np.sum([scores.annotated for scores in tables.beats], axis=0)
    expected = np.sum(list(PUBLISHED.values()), axis=0)
    records = sum(scores.record_count for scores in tables.beats)
    yield Figure(section, f"{name}: records scored", records, 44)
    yield Figure(
        section,
        f"{name}: beats of 44 records",
        int(found.sum()),
        int(expected.sum()),
        note=f"N S V F Q {found.tolist()}, published {expected.tolist()}",
    )
    yield Figure(
        section, f"{name}: classes whose beats differ from those published",
        int((found != expected).sum()), 0, at_most=True,
    )  # fmt: skip
    for scores in tables.beats:
        published = PUBLISHED[scores.part] == scores.annotated
        yield Figure(section, f"{name}: {scores.part}, as published", float(published), 1)
        lost = sum(record.without_decision for record in scores.records)
        yield Figure(
            section,
            f"{name}: {scores.part}, beats scored",
            sum(map(sum, scores.pairs.counts)),
            note=f"{lost} of them have no window and are missed; the first 5 minutes are left out",
        )
        for record in scores.records:
            note = _line("", record.pairs, record.statistics).split()
            cells = zip((*_CELLS, *_COLUMNS), note, strict=True)
            yield Figure(
                section,
                f"{name}: record {record.record}, beats scored",
                sum(map(sum, record.pairs.counts)),
                note=", ".join(
                    f"{cell} {value}" for cell, value in cells if value not in ("0", "-")
                ),
            )
        for field, title in _TITLES.items():
            gross, average = getattr(scores.gross, field), getattr(scores.average, field)
            note = f"{_interval(gross)}; average of {average.n} records {_text(average)}"
            if scores.part == DS2 and field in DE_CHAZAL:
                note += f"; de Chazal 2004: {DE_CHAZAL[field]:.3f}"
            yield Figure(section, f"{name}: {scores.part}, {title}", gross.value, note=note)
    confidence = tables.confidence
    for row in confidence.classes:
        yield Figure(
            section, f"{name}: {DS2}, AUROC {row.name}", row.auroc.value, note=_interval(row.auroc)
        )
        note = f"{_interval(row.auprc)}; by chance {row.prevalence:.4f}"
        yield Figure(section, f"{name}: {DS2}, AUPRC {row.name}", row.auprc.value, note=note)
    for title, quantity in (
        ("macro AUROC", confidence.macro_auroc),
        ("macro AUPRC", confidence.macro_auprc),
        ("calibration error, 15 bins of equal width", confidence.calibration_error),
        ("calibration error, equal mass", confidence.calibration_error_equal_mass),
        ("Brier score", confidence.brier),
        ("negative log-likelihood", confidence.negative_log_likelihood),
    ):
        yield Figure(section, f"{name}: {DS2}, {title}", quantity.value, note=_interval(quantity))


def table(scores: BeatScores) -> str:
    """Return one line a record, their sum, gross and average, as `bxb -L` and `sumstats` write it.

    Nn' and its like have the columns n, f and q together, Fs' has the rows F and Q, Os' the rows
    O and X, No' the columns o and x.
    """
    lines = [" ".join(f"{name:>6}" for name in ("record", *_CELLS, *_COLUMNS))]
    for record in scores.records:
        lines.append(_line(record.record, record.pairs, record.statistics))
    lines.append(_line("sum", scores.pairs, None))
    for name, statistics in (("gross", scores.gross), ("averag", scores.average)):
        blank = " ".join(" " * 6 for _ in _CELLS)
        lines.append(f"{name:>6} {blank} {_percentages(statistics)}")
    total = np.array(scores.pairs.counts)
    beats, ventricular, supraventricular = total[:5].sum(), total[2].sum(), total[1].sum()
    lines.append(f"QRS {beats}, VEB {ventricular}, SVEB {supraventricular}")
    return "\n".join(lines)


_CELLS = tuple(
    f"{row}{column}"
    for column in ("n'", "s", "v", "o'")
    for row in ("N", "S", "V", "F'", "O'")
    if not (row == "O'" and column == "o'")
)
_COLUMNS = {
    "Q Se": "qrs_sensitivity",
    "Q +P": "qrs_predictivity",
    "V Se": "veb_sensitivity",
    "V +P": "veb_predictivity",
    "V FPR": "veb_false_positive_rate",
    "S Se": "sveb_sensitivity",
    "S +P": "sveb_predictivity",
    "S FPR": "sveb_false_positive_rate",
}


def _line(name: str, pairs: BeatPairs, statistics: BeatStatistics | None) -> str:
    counts = np.array(pairs.counts)
    rows = ([0], [1], [2], [3, 4], [5, 6])
    columns = ([0, 3, 4], [1], [2], [5, 6])
    cells = [int(counts[np.ix_(row, column)].sum()) for column in columns for row in rows][
        : len(_CELLS)
    ]
    text = " ".join(f"{cell:>6}" for cell in cells)
    return f"{name:>6} {text}" + (f" {_percentages(statistics)}" if statistics else "")


def _percentages(statistics: BeatStatistics) -> str:
    values = (getattr(statistics, field).value for field in _COLUMNS.values())
    return " ".join("     -" if value is None else f"{100 * value:6.2f}" for value in values)


def _decided(network: IntegerNetwork, windows: Windows) -> tuple[Decisions, np.ndarray]:
    logits = network.run(*(windows.signal, windows.rhythm)[: len(network.inputs)])
    decisions = decisions_of(windows, logits.argmax(axis=1))
    return decisions, network.output_tensor.dequantize(logits)


def _text(quantity: Quantity) -> str:
    return "undefined" if quantity.value is None else f"{quantity.value:.4f}"


def _interval(quantity: Quantity) -> str:
    if quantity.interval is None:
        return quantity.note or "no interval"
    interval = quantity.interval
    return f"95 % interval {interval.low:.4f} to {interval.high:.4f}, {interval.patients} patients"


def main() -> None:
    """Print the tables and figures of one network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", type=Path)
    parser.add_argument("windows", type=Path, help="folder with train.npz and the like")
    parser.add_argument("recordings", type=Path)
    given = parser.parse_args()
    windows = {
        part: load_windows(given.windows / f"{part}.npz")
        for part in ("train", "validation", "test")
    }
    network = IntegerNetwork.load(given.network)
    tables = standard_tables(network, windows, load_card("mit-bih"), given.recordings)
    for scores in tables.beats:
        print(f"\n{scores.part}\n{table(scores)}")
    for figure in figures("scores", "network", tables):
        print(f"{figure.name:<70} {figure.found!s:>22}  {figure.note}")


if __name__ == "__main__":
    main()
