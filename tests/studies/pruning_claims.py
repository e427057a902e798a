"""What the seeds claim of pruning, tried on the points of the sweeps.

Each claim is a difference whose sign it gives: "holds" where the 95 % interval over the seeds lies
on its side of 0, "does not hold" where it lies on the other, and "not decided" between.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from edgeprune.evidence import SweepSetting
from tests.studies.pruning_table import Row, Summary, summary_of
from tests.studies.study import Figure

SECTION = "claims"
BALL = "linf:50uV"
_RATIOS = (0.5, 0.75, 0.875, 0.9375)
_CRITERIA = ("l1", "random", "expected-absolute-value", "hrank", "kl", "pls")
_TUNINGS = ("none", "natural", "pgd", "trades", "distilled")
# What counts as fallen: a point of accuracy, five of attack success.
_ACCURACY_FALLEN, _SUCCESS_RISEN = 0.01, 0.05


def claims(rows: Sequence[Row]) -> Iterator[Figure]:
    """Try every claim.

    Args:
        rows: All settings; what a claim needs and is not there is said.
    """
    book = _Book(rows)
    yield from _vnn(book)
    yield from _sweet_spot(book)
    yield from _order_of_loss(book)
    yield from _tuning_or_criterion(book)
    yield from _layers(book)
    yield from _local_filters(book)
    yield from _calibration(book)


class _Book:
    """The rows by what they are."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = [row for row in rows if row.values]
        self._by_setting = {row.setting: row for row in self.rows}

    @property
    def parent(self) -> Row | None:
        return next((row for row in self.rows if row.setting.is_parent), None)

    def row(
        self,
        method: str,
        importance: str,
        ratio: float,
        fine_tune: str = "natural",
        scope: str = "global",
    ) -> Row | None:
        setting = SweepSetting(method, importance, scope, "one-shot", ratio, fine_tune)
        return self._by_setting.get(setting)

    def all_of(self, method: str, fine_tune: str | None = None) -> list[Row]:
        return [
            row
            for row in self.rows
            if row.setting.method == method and fine_tune in (None, row.setting.fine_tune)
        ]


def _vnn(book: _Book) -> Iterator[Figure]:
    """VNN proves more than magnitude pruning at equal sparsity, and is more often right."""
    magnitude = [*filter(None, [book.parent]), *book.all_of("weight", "none")]
    seen: set[int] = set()
    for row in book.all_of("vnn"):
        # A ratio that VNN exceeds by itself gives the same network again.
        if round(100 * row.compression) in seen:
            continue
        seen.add(round(100 * row.compression))
        for name, subject in (
            *(("certified_share", f"linf:{size}uV") for size in (5, 10, 20)),
            ("accuracy", ""),
            ("macro_f1", ""),
        ):
            own, other = row.of(name, subject), _at_compression(magnitude, row, name, subject)
            title = f"VNN at {row.compression:.1f}x: more {_said(name, subject)} than magnitude"
            if own is None or other is None:
                yield _untold(title)
                continue
            note = f"{_mean(own):.3f} and {_mean(other):.3f}"
            note += f" (times {_mean(own) / _mean(other):.2f})" if _mean(other) else ""
            yield _judged(title, _minus(own, other), note)


def _sweet_spot(book: _Book) -> Iterator[Figure]:
    """Robustness is greatest at a compression of 2 to 4."""
    for method in ("weight", "kernel", "channel"):
        steps = [book.row(method, "l1", ratio) for ratio in _RATIOS]
        if book.parent is None or None in steps:
            yield _untold(f"{method}: sweet spot at 2 to 4 times")
            continue
        curve = [book.parent, *(row for row in steps if row is not None)]
        for name, subject, sign in (("least_change", "l2", 1), ("attack_success", BALL, -1)):
            title = f"{method}: best {_said(name, subject)} at 2 to 4 times"
            values = [row.of(name, subject) for row in curve]
            if any(value is None for value in values):
                yield _untold(title)
                continue
            known = [[sign * v for v in value] for value in values if value is not None]
            inside = [max(pair) for pair in zip(*known[1:3], strict=True)]
            outside = [max(rest) for rest in zip(known[0], *known[3:], strict=True)]
            shown = ", ".join(
                f"{row.compression:.1f}x {sign * _mean(value):.3f}"
                for row, value in zip(curve, known, strict=True)
            )
            yield _judged(title, _minus(inside, outside), shown)


def _order_of_loss(book: _Book) -> Iterator[Figure]:
    """L-infinity robustness falls before accuracy does."""
    for method in ("weight", "kernel", "channel"):
        title = f"{method}: L-infinity robustness falls before accuracy"
        steps = [book.row(method, "l1", ratio) for ratio in _RATIOS]
        parent = book.parent
        if parent is None or None in steps:
            yield _untold(title)
            continue
        firsts, shown = [], []
        for name, subject, sign, limit in (
            ("attack_success", BALL, 1, _SUCCESS_RISEN),
            ("accuracy", "", -1, _ACCURACY_FALLEN),
        ):
            changes = [
                sign * (_mean(row.of(name, subject) or ()) - _mean(parent.of(name, subject) or ()))
                for row in steps
                if row is not None
            ]
            first = next((i for i, change in enumerate(changes) if change > limit), len(changes))
            firsts.append(first)
            shown.append(f"{_said(name, subject)} " + " ".join(f"{sign * c:+.3f}" for c in changes))
        earlier = firsts[1] - firsts[0]
        holds = "holds" if earlier > 0 else "does not hold"
        note = f"{holds}: steps of the ratio between the first fall beyond {_SUCCESS_RISEN} and the"
        note += f" first of accuracy beyond {_ACCURACY_FALLEN}; change of means at 2, 4, 8, 16"
        yield Figure(SECTION, title, earlier, note=f"{note} times: {'; '.join(shown)}")


def _tuning_or_criterion(book: _Book) -> Iterator[Figure]:
    """How a pruned network is trained makes more of a difference than what was pruned."""
    for ratio in _RATIOS:
        criteria = [book.row("channel", name, ratio) for name in _CRITERIA]
        for tunings, told in ((_TUNINGS, ""), (_TUNINGS[1:], ", not counting none at all")):
            tuned = [book.row("channel", "l1", ratio, name) for name in tunings]
            for name, subject in (("macro_f1", ""), ("attack_success", BALL)):
                title = f"channel, {ratio:.2%}: fine-tuning moves {_said(name, subject)} more than"
                title += f" the criterion{told}"
                spreads = [_spread(group, name, subject) for group in (tuned, criteria)]
                if spreads[0] is None or spreads[1] is None:
                    yield _untold(title)
                    continue
                note = f"range over fine-tunings {_mean(spreads[0]):.3f}, over criteria"
                note += f" {_mean(spreads[1]):.3f}"
                yield _judged(title, _minus(spreads[0], spreads[1]), note)


def _layers(book: _Book) -> Iterator[Figure]:
    """Taking layers, and channels, out makes a naturally trained network harder to attack."""
    parent = book.parent
    halved = [book.row("channel", name, 0.5) for name in _CRITERIA]
    for row in [*book.all_of("layer"), *filter(None, halved)]:
        for name, subject, sign in (("attack_success", BALL, -1), ("least_change", "l2", 1)):
            title = f"{row.text}: {'less' if sign < 0 else 'greater'} {_said(name, subject)}"
            title += " than the parent"
            own = row.of(name, subject)
            before = None if parent is None else parent.of(name, subject)
            if own is None or before is None:
                yield _untold(title)
                continue
            note = f"{_mean(own):.3f} and {_mean(before):.3f}; real compression"
            note += f" {row.compression:.2f}"
            yield _judged(title, [sign * v for v in _minus(own, before)], note)


def _local_filters(book: _Book) -> Iterator[Figure]:
    """Filters taken from all layers alike collapse early."""
    for ratio in _RATIOS:
        pair = [book.row("channel", "l1", ratio, scope=scope) for scope in ("global", "local")]
        yield from _compared(
            f"channel, {ratio:.2%}: global more accurate than local", pair, "accuracy"
        )


def _calibration(book: _Book) -> Iterator[Figure]:
    """Single weights cost less calibration than filters do (arXiv 2405.20876)."""
    for ratio in _RATIOS:
        pair = [book.row(method, "l1", ratio) for method in ("channel", "weight")]
        title = f"{ratio:.2%}: calibration error greater of channels than of weights"
        yield from _compared(title, pair, "calibration_error")


def _compared(title: str, pair: Sequence[Row | None], name: str) -> Iterator[Figure]:
    values = [None if row is None else row.of(name) for row in pair]
    if values[0] is None or values[1] is None:
        yield _untold(title)
        return
    note = f"{_mean(values[0]):.3f} and {_mean(values[1]):.3f}"
    yield _judged(title, _minus(values[0], values[1]), note)


def _at_compression(rows: Sequence[Row], of: Row, name: str, subject: str) -> list[float] | None:
    """Return a figure of each seed where rows are as small as another, between two of them.

    Along the logarithm of the compression; beyond the ends, the end.
    """
    points = sorted(
        (math.log2(row.compression), row.of(name, subject))
        for row in rows
        if row.of(name, subject) is not None
    )
    if not points:
        return None
    place = math.log2(of.compression)
    below = max((p for p in points if p[0] <= place), default=points[0])
    above = min((p for p in points if p[0] >= place), default=points[-1])
    width = above[0] - below[0]
    share = (place - below[0]) / width if width else 0.0
    assert below[1] is not None
    assert above[1] is not None
    return [a + share * (b - a) for a, b in zip(below[1], above[1], strict=True)]


def _spread(rows: Iterable[Row | None], name: str, subject: str) -> list[float] | None:
    """Return the range of a figure over settings, of each seed."""
    values = [None if row is None else row.of(name, subject) for row in rows]
    known = [value for value in values if value is not None]
    if len(known) < 2 or len(known) < len(values):
        return None
    return [max(seed) - min(seed) for seed in zip(*known, strict=True)]


def _judged(title: str, differences: Sequence[float], note: str) -> Figure:
    found = summary_of(differences)
    return Figure(SECTION, title, round(found.mean, 4), note=f"{_verdict(found)}; {note}")


def _verdict(found: Summary) -> str:
    word = "holds" if found.low > 0 else "does not hold" if found.high < 0 else "not decided"
    return f"{word}: [{found.low:.3f}, {found.high:.3f}] over {found.count} seeds"


def _untold(title: str) -> Figure:
    return Figure(SECTION, title, None, note="no points to tell")


def _minus(first: Sequence[float], second: Sequence[float]) -> list[float]:
    return [a - b for a, b in zip(first, second, strict=True)]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _said(name: str, subject: str) -> str:
    return f"{name.replace('_', ' ')} {subject}".strip()
