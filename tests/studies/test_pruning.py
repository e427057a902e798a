"""The claims of the pruning study are judged by the figures, whatever they are."""

from __future__ import annotations

import json
import math

import pytest
from scipy import stats

from edgeprune.evidence import SweepSetting
from tests.studies.pruning_claims import claims
from tests.studies.pruning_table import COLUMNS, Row, summary_of, table_document

SEEDS = (1, 2, 3)
RATIOS = (0.5, 0.75, 0.875, 0.9375)


def row(
    method: str, ratio: float, fine_tune: str = "natural", importance: str = "l1", **values: float
) -> Row:
    """Return a setting whose seeds differ by a hundredth of each value."""
    plain = method == "none"
    setting = SweepSetting(
        method,
        "" if plain or method == "vnn" else importance,
        "" if plain or method in ("vnn", "layer") else "global",
        "" if plain else "one-shot",
        ratio,
        "" if plain else fine_tune,
    )
    names = {
        "accuracy": ("accuracy", ""),
        "macro_f1": ("macro_f1", ""),
        "success": ("attack_success", "linf:50uV"),
        "l2": ("least_change", "l2"),
        "proved": ("certified_share", "linf:5uV"),
    }
    found = {
        names[name]: tuple(value * (1 + 0.01 * step) for step in (-1, 0, 1))
        for name, value in values.items()
    }
    return Row(setting, SEEDS, 1 / (1 - ratio), found)


def verdicts(rows: list[Row]) -> dict[str, str]:
    found = {figure.name: figure.note.split(":")[0] for figure in claims(rows)}
    return {name: note for name, note in found.items() if note != "no points to tell"}


def test_intervals_are_those_of_students_t() -> None:
    values = [0.2, 0.5, 0.3]
    found = summary_of(values)
    low, high = stats.t.interval(0.95, 2, loc=found.mean, scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert math.isinf(summary_of([0.3]).high)


def test_vnn_is_held_against_magnitude_at_its_own_compression() -> None:
    magnitude = [
        row("weight", ratio, "none", proved=share, accuracy=right)
        for ratio, share, right in ((0.5, 0.1, 0.9), (0.875, 0.5, 0.5))
    ]
    # A quarter left lies in the middle of a half and an eighth: .3 and .7.
    found = verdicts([*magnitude, row("vnn", 0.75, "none", proved=0.6, accuracy=0.4)])
    assert found["VNN at 4.0x: more certified share linf:5uV than magnitude"] == "holds"
    assert found["VNN at 4.0x: more accuracy than magnitude"] == "does not hold"
    other = row("vnn", 0.75, "none")
    other.values["certified_share", "linf:5uV"] = (0.33, 0.3, 0.27)
    equal = verdicts([*magnitude, other])
    assert equal["VNN at 4.0x: more certified share linf:5uV than magnitude"] == "not decided"


@pytest.mark.parametrize(
    ("sizes", "verdict"),
    [((500, 700, 650, 400, 300), "holds"), ((700, 500, 450, 400, 300), "does not hold")],
)
def test_a_sweet_spot_is_where_the_least_change_is_greatest(
    sizes: tuple[int, ...], verdict: str
) -> None:
    curve = [row("none", 0.0, l2=sizes[0])]
    curve += [row("weight", r, l2=size) for r, size in zip(RATIOS, sizes[1:], strict=True)]
    assert verdicts(curve)["weight: best least change l2 at 2 to 4 times"] == verdict


@pytest.mark.parametrize(
    ("success", "accuracy", "verdict"),
    [
        ((0.2, 0.3, 0.4, 0.5, 0.6), (0.9, 0.9, 0.9, 0.8, 0.7), "holds"),
        ((0.2, 0.2, 0.2, 0.5, 0.6), (0.9, 0.8, 0.7, 0.6, 0.5), "does not hold"),
    ],
)
def test_which_of_two_falls_first(
    success: tuple[float, ...], accuracy: tuple[float, ...], verdict: str
) -> None:
    curve = [row("none", 0.0, success=success[0], accuracy=accuracy[0])]
    curve += [
        row("weight", ratio, success=s, accuracy=a)
        for ratio, s, a in zip(RATIOS, success[1:], accuracy[1:], strict=True)
    ]
    assert verdicts(curve)["weight: L-infinity robustness falls before accuracy"] == verdict


def test_the_range_over_fine_tunings_is_held_against_the_one_over_criteria() -> None:
    tunings = ("none", "natural", "pgd", "trades", "distilled")
    criteria = ("random", "expected-absolute-value", "hrank", "kl", "pls")
    rows = [
        row("channel", 0.5, name, macro_f1=0.3 + 0.1 * i, success=0.5)
        for i, name in enumerate(tunings)
    ]
    rows += [row("channel", 0.5, importance=n, macro_f1=0.41, success=0.1) for n in criteria]
    found = verdicts(rows)
    title = "channel, 50.00%: fine-tuning moves {} more than the criterion"
    assert found[title.format("macro f1")] == "holds"
    assert found[title.format("attack success linf:50uV")] == "does not hold"


def test_the_table_has_a_line_a_setting_and_a_cell_a_column() -> None:
    refused = Row(SweepSetting("layer", "l1", "", "one-shot", 0.9), SEEDS, 1.0, {}, "too few")
    document = json.loads(table_document([row("weight", 0.5, accuracy=0.9), refused]))
    whole, without = document["rows"]
    assert len(whole["figures"]) == len(COLUMNS) == len(document["columns"])
    cell = whole["figures"][document["columns"].index("accuracy")]
    assert cell[0] == 0.9
    assert cell[1] < 0.9 < cell[2]
    assert without["reason"] == "too few"
