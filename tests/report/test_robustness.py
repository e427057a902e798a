"""The charts of robustness draw what the evidence says, and can be told apart without colours."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from edgeprune.evidence import AttackEvidence, Evidence, MaskingCheck, evidence_bytes
from edgeprune.report import render_report
from edgeprune.report.charts.frame import even_step
from tests.evidence.example import example_evidence
from tests.report.page import Node, read_page

EVIDENCE = example_evidence()
PAGE = render_report(EVIDENCE)
ROOT = read_page(PAGE)


def chart(name: str, root: Node = ROOT) -> Node:
    return next(node for node in root.all("svg") if f"chart-{name}" in node.classes)


def points(node: Node) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in node.attributes["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


def curves(node: Node, style: str) -> list[list[tuple[float, float]]]:
    found = [each for each in node.all("polyline") if {"curve", style} <= set(each.classes)]
    return [points(each) for each in found]


def section(name: str, evidence: Evidence) -> Node:
    root = read_page(render_report(evidence))
    return next(node for node in root.all("section") if node.attributes.get("id") == name)


def attacks() -> AttackEvidence:
    assert EVIDENCE.attacks is not None
    return EVIDENCE.attacks


@pytest.mark.parametrize(("norm", "first"), [("linf", 0), ("l2", 3)])
def test_the_curve_of_every_network_is_the_share_right_under_attack(norm: str, first: int) -> None:
    drawn = chart(f"attacks-{norm}-uV")
    heights = {
        float_text: float(node.attributes["y"]) - 4
        for node in drawn.all("text")
        if "tick" in node.classes and "end" in node.classes and (float_text := float(node.text)) + 1
    }
    bottom, top = heights[0.0], heights[1.0]
    for network, style in zip(attacks().networks[::-1], ("first", "second", "third"), strict=True):
        (places,) = curves(drawn, style)
        shares = [network.right_share.value]
        balls = network.balls[first : first + 3]
        shares += [ball.worst.right_under_attack.value for ball in balls]
        assert [(bottom - y) / (bottom - top) for _, y in places] == pytest.approx(shares, abs=1e-3)
        sizes = [0.0, *(ball.size for ball in balls)]
        left, right = places[0][0], places[-1][0]
        assert [(x - left) / (right - left) * sizes[-1] for x, _ in places] == pytest.approx(
            sizes, abs=sizes[-1] / 500
        )


def test_curves_differ_in_dash_and_mark() -> None:
    drawn = chart("attacks-linf-uV")
    marks = {
        style: {
            (node.tag, len(points(node)) if node.tag == "polygon" else 0)
            for node in drawn.walk()
            if {"dot", style} <= set(node.classes)
        }
        for style in ("first", "second", "third")
    }
    assert marks == {
        "first": {("circle", 0)},
        "second": {("polygon", 4)},
        "third": {("polygon", 3)},
    }
    style = ROOT.all("style")[0].text
    dashes = re.findall(r"\.chart \.curve\.(second|third) \{ stroke-dasharray: ([\d ]+);", style)
    assert len({dash for _, dash in dashes}) == 2


def test_a_class_without_windows_has_no_panel() -> None:
    kinds = attacks().networks[-1].balls[0].worst.classes
    present = [kind.name for kind in kinds if kind.n]
    assert len(present) < len(kinds)
    drawn = chart("attack-classes-linf-uV")
    assert [node.text for node in drawn.walk() if "strong" in node.classes] == present
    # Their counts, as shares of the class, where the last point is.
    for places, kind in zip(
        curves(drawn, "first"), [each for each in kinds if each.n], strict=True
    ):
        last = next(
            each for each in attacks().networks[-1].balls[2].worst.classes if each.name == kind.name
        )
        assert (168 - places[-1][1]) / (168 - 34) == pytest.approx(
            (last.right - last.turned) / last.n, abs=1e-3
        )


def test_a_window_is_drawn_to_scale() -> None:
    window = attacks().worst[0]
    drawn = chart("window-0")
    traces = {
        name: points(next(node for node in drawn.all("polyline") if name in node.classes))
        for name in ("before", "after", "change")
    }
    marks = [node for node in drawn.all("text") if "tick" in node.classes]
    (zero, *_, far) = [
        (float(node.attributes["x"]), float(node.text))
        for node in marks
        if "middle" in node.classes and not node.text.startswith("−")
    ]
    per_unit = (far[0] - zero[0]) / far[1]
    peak = max(range(len(window.raw_before)), key=window.raw_before.__getitem__)
    expected = (peak - window.beat_at) / window.rate_hz * 1000
    assert (traces["before"][peak][0] - zero[0]) / per_unit == pytest.approx(expected, abs=1.0)
    upper = [
        (float(node.attributes["y"]) - 4, float(node.text.replace("−", "-")))
        for node in marks
        if "end" in node.classes and float(node.attributes["y"]) < 160
    ]
    (low_y, low), (high_y, high) = upper[0], upper[-1]
    per_microvolt = (low_y - high_y) / (high - low)
    for name, values in (("before", window.raw_before), ("after", window.raw_after)):
        drawn_values = [low + (low_y - y) / per_microvolt for _, y in traces[name]]
        assert drawn_values == pytest.approx(list(values), abs=2.0)
    assert "µV" in drawn.whole_text
    assert "ms" in drawn.whole_text
    caption = PAGE[PAGE.index('data-evidence="attacks.worst.0.reference"') :]
    told = re.sub(r"<[^>]*>", "", caption[caption.index(">") + 1 : caption.index("<svg")])
    assert told.startswith(f"{window.reference}, decided {window.before}, then {window.after}")
    assert f"{window.record}, beat at sample 12\u202f345" in told


def test_precision_and_sensitivity_follow_the_severity() -> None:
    assert EVIDENCE.disturbances is not None
    course = EVIDENCE.disturbances.curves[0]
    drawn = chart("disturbance-0")
    for index, style in enumerate(("first", "second")):
        measure = ("sensitivity", "precision")[index]
        panel = curves(drawn, style)[1]  # the class S
        values = [getattr(EVIDENCE.disturbances.undisturbed.classes[1], measure).value]
        values += [getattr(point.scores.classes[1], measure).value for point in course.points]
        assert [(150 - y) / (150 - 34) for _, y in panel] == pytest.approx(values, abs=1e-3)
        steps = {round(b[0] - a[0], 1) for a, b in pairwise(panel)}
        assert max(steps) - min(steps) < 0.2
    labels = [node.attributes.get("data-evidence", "") for node in drawn.all("text")]
    assert "disturbances.curves.0.points.2.severity" in labels


def test_synthetic_noise_is_labelled_where_it_stands_in() -> None:
    assert EVIDENCE.disturbances is not None
    page = section("disturbances", EVIDENCE)
    badges = [node for node in page.walk() if "made" in node.classes]
    assert len(badges) == sum(curve.synthetic for curve in EVIDENCE.disturbances.curves) == 1
    assert "replaced by a synthetic one" in page.whole_text


def test_a_contradicted_proof_and_a_masked_gradient_fail_in_plain_sight() -> None:
    given = attacks()
    assert given.proofs is not None
    checks = (MaskingCheck("a", "b?", False, "c"), MaskingCheck("d", "e?", None, "f"))
    networks = tuple(replace(network, checks=()) for network in given.networks[:-1])
    changed = replace(
        given,
        proofs=replace(given.proofs, contradictions=2),
        replays=(),
        networks=(*networks, replace(given.networks[-1], checks=checks)),
    )
    page = section("attacks", replace(EVIDENCE, attacks=changed))
    badges = [node.text for node in page.walk() if "badge" in node.classes]
    assert badges == ["fail", "fail", "not tested"]


def test_an_attack_that_was_not_tried_on_a_network_leaves_a_dash() -> None:
    given = attacks()
    first = given.networks[0]
    balls = (replace(first.balls[0], attacks=first.balls[0].attacks[:1]), *first.balls[2:])
    changed = replace(given, networks=(replace(first, balls=balls), *given.networks[1:]))
    evidence = replace(EVIDENCE, attacks=changed)
    assert b"apgd" in evidence_bytes(evidence)
    page = section("attacks", evidence)
    dashes = [node for node in page.all("span") if node.attributes.get("aria-label") == "not tried"]
    # Two attacks within the first ball; three attacks and the worst within the second.
    assert len(dashes) == 2 * 2 + 2 * 4


@pytest.mark.parametrize(
    ("span", "about", "step"), [(40.0, 4, 10.0), (1000.0, 6, 200.0), (0.2, 5, 0.05), (0.0, 3, 1.0)]
)
def test_axis_steps_are_ones_twos_and_fives(span: float, about: int, step: float) -> None:
    assert even_step(span, about) == pytest.approx(step)
