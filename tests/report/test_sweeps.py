"""A sweep's page: curves are the means of the seeds, the front and the choice can be seen."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from edgeprune.evidence import SweepEvidence
from edgeprune.evidence.codec import encode
from edgeprune.report import SweepPage, render_sweep
from tests.evidence.example_sweep import example_sweep
from tests.report.page import Node, read_page
from tests.report.test_numbers import DERIVED, resolve, shown_as, uncited


def page_of(sweep: SweepEvidence) -> SweepPage:
    return SweepPage("Recordings", "A chip", "residual-ecg", True, "1", 0, (), sweep)


SWEEP, SMALL = example_sweep(), example_sweep(1, (0.5,))
ROOT = read_page(render_sweep(page_of(SWEEP)))


def chart(name: str) -> Node:
    return next(node for node in ROOT.all("svg") if f"chart-sweep-{name}" in node.classes)


def points(node: Node) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in node.attributes["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


def test_a_curve_is_the_means_of_its_settings_over_the_logarithm_of_the_compression() -> None:
    drawn = chart("scores-validation")
    # One way has a recommended setting, so that it comes first and is drawn last.
    chosen = next(each for each in SWEEP.settings if not each.refused).setting.method
    means = [
        sum(figure.values) / 3
        for each in SWEEP.settings
        if each.setting.importance == "l1" or each.setting.is_parent
        for figure in each.figures
        if each.setting.method in ("none", chosen)
        and (figure.name, figure.part) == ("accuracy", "validation")
    ]
    curve = points(next(n for n in drawn.all("polyline") if {"curve", "first"} <= set(n.classes)))
    grid = sorted({float(n.attributes["y1"]) for n in drawn.all("line") if "grid" in n.classes})
    top, bottom = grid[0], grid[-1]
    shares = [(bottom - y) / (bottom - top) for _, y in curve]
    assert shares == pytest.approx(means, abs=1e-3)
    left, right = curve[0][0], curve[-1][0]
    across = [(x - left) / (right - left) for x, _ in curve]
    assert across == pytest.approx([math.log2(c) / 3 for c in (1, 2, 4, 8)], abs=1e-3)


def test_ways_beyond_the_styles_are_drawn_thin_and_named_so() -> None:
    styles = {name for node in chart("scores-test").all("polyline") for name in node.classes}
    assert {"first", "second", "third", "fourth", "fifth", "sixth", "other"} <= styles
    assert "others, see the table" in ROOT.whole_text


def test_the_recommended_setting_is_ringed_and_named_once() -> None:
    for part in ("validation", "test"):
        assert len([n for n in chart(f"front-{part}").all("circle") if "ring" in n.classes]) == 1
    assert [node.text for node in ROOT.all("strong")] == ["recommended"]


def test_marks_on_the_front_are_filled() -> None:
    drawn = [node for node in chart("front-validation").walk() if "dot" in node.classes]
    full = {tuple(node.attributes.items()) for node in drawn if "full" in node.classes}
    on_front = [each for each in SWEEP.settings if each.on_front and each.figures]
    assert len(full) == len(on_front)
    assert len({tuple(node.attributes.items()) for node in drawn}) == len(SWEEP.settings) - 1


def test_every_figure_is_the_one_it_cites_and_none_is_typed() -> None:
    document = {"sweep": encode(SWEEP), "synthetic": True, "unfinished": 0, "left_out": []}
    document = json.loads(json.dumps(document)) | {
        "dataset": "Recordings",
        "target": "A chip",
        "model": "residual-ecg",
        "edgeprune": "1",
    }
    cited = [node for node in ROOT.walk() if "data-evidence" in node.attributes]
    for node in cited:
        found = resolve(document, node.attributes["data-evidence"])
        assert shown_as(DERIVED[node.attributes.get("data-derived", "")](found), node.text)
    assert len(cited) > 2000
    assert uncited(ROOT) == []


def test_refused_settings_say_why_and_unfinished_points_are_told() -> None:
    assert "cannot be reached" in ROOT.whole_text
    assert "points without a result" not in ROOT.whole_text
    unfinished = replace(page_of(SMALL), unfinished=4)
    text = read_page(render_sweep(unfinished)).whole_text
    assert "points without a result" in text


def test_without_a_setting_that_meets_the_requirements_none_is_recommended() -> None:
    settings = tuple(replace(each, refused=("accuracy",)) for each in SMALL.settings)
    sweep = replace(SMALL, recommended=None, settings=settings)
    text = read_page(render_sweep(page_of(sweep))).whole_text
    assert "none is recommended" in text
    nothing = replace(sweep, settings=(sweep.settings[-1],))
    assert "None" not in read_page(render_sweep(page_of(nothing))).whole_text


def test_synthetic_is_said() -> None:
    assert "Synthetic" in ROOT.whole_text
    real = replace(page_of(SMALL), synthetic=False)
    assert "Synthetic" not in read_page(render_sweep(real)).whole_text
