"""Numbers have one source: every figure of the page is the one that it cites."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprune.evidence import Evidence, evidence_bytes, parse_evidence
from edgeprune.report import render_report
from edgeprune.report.numbers import float_of, format_number
from tests.evidence.example import example_evidence, minimal_evidence
from tests.evidence.example_regulatory import example_regulatory
from tests.report.page import Node, read_page


def shortest(value: float) -> str:
    return format_number(value, None if isinstance(value, int) else 1).replace("\u202f", "")


def written(document: Any) -> bytes:
    return f"{json.dumps(document, indent=1, ensure_ascii=False)}\n".encode()


DERIVED: dict[str, Callable[[Any], Any]] = {
    "": lambda value: value,
    "count": len,
    "mean": lambda values: sum(values) / len(values),
    "least": min,
    "greatest": max,
    "list": lambda values: " ".join(shortest(value) for value in values),
    "sha256": lambda document: sha256(written(document)).hexdigest(),
}
# Names that hold a digit and are no figures.
NAMES = re.compile(r"macro-F1|Macro-F1|F1|EC57|SHA-256|0/0|ISO 14971|TIR34971|IEC 62304")


def perturbed(evidence: Evidence) -> Evidence:
    """Return evidence in which every figure is another one."""

    def change(node: Any, key: str = "") -> Any:
        if isinstance(node, dict):
            return {name: change(child, name) for name, child in node.items()}
        if isinstance(node, list):
            return [change(child, key) for child in node]
        if isinstance(node, bool) or key in ("version", "peak_layer", "first_layer", "last_layer"):
            return node
        if isinstance(node, int):
            return node * 3 + 17
        if isinstance(node, float):
            return node * 0.61 + 0.0371
        return node

    return parse_evidence(json.dumps(change(json.loads(evidence_bytes(evidence)))).encode())


EXAMPLES = {
    "full": example_regulatory(),
    "synthetic": example_evidence(synthetic=True),
    "minimal": minimal_evidence(),
    "perturbed": perturbed(example_regulatory()),
}


@cache
def page_of(name: str) -> Node:
    return read_page(render_report(EXAMPLES[name]))


def resolve(document: Any, path: str) -> Any:
    if not path:
        return document
    for step in path.split("."):
        document = document[int(step) if isinstance(document, list) else step]
    return document


def shown_as(value: Any, text: str) -> bool:
    """Say whether a text shows a value, within half of its last shown digit."""
    if value is None or isinstance(value, bool | str):
        written = {None: "none", True: "true", False: "false"}
        return text == (value if isinstance(value, str) else written[value])
    shown = float_of(text)
    if isinstance(value, int):
        return shown == value
    decimals = len(text.partition(".")[2].partition("e")[0])
    tolerance = 0.5 * 10**-decimals if "e" not in text else abs(value) * 1e-5
    return abs(shown - value) <= max(tolerance, abs(value) * 1e-5) + 1e-12


def uncited(root: Node) -> list[str]:
    """Return every text outside of a citation that holds a digit."""
    return [
        node.text
        for node in root.walk()
        if "data-evidence" not in node.attributes
        and "tick" not in node.classes
        and node.tag not in ("style", "title", "script")
        and re.search(r"\d", NAMES.sub("", node.text))
    ]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_figure_is_the_one_it_cites(name: str) -> None:
    document = json.loads(evidence_bytes(EXAMPLES[name]))
    root = page_of(name)
    cited = [node for node in root.walk() if "data-evidence" in node.attributes]
    for node in cited:
        path = node.attributes["data-evidence"]
        value = resolve(document, path)
        value = DERIVED[node.attributes.get("data-derived", "")](value)
        assert shown_as(value, node.text), f"{path} is {value!r}, shown as '{node.text}'"
        if node.tag == "data":
            assert node.attributes["value"] == repr(value)
    assert len(cited) > (25 if name == "minimal" else 900)


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_figure_is_typed_by_hand(name: str) -> None:
    assert uncited(page_of(name)) == []


def test_a_figure_typed_by_hand_would_be_found() -> None:
    page = render_report(minimal_evidence())
    assert uncited(read_page(page.replace("</footer>", "<p>0.97</p></footer>"))) == ["0.97"]


def test_axis_marks_are_the_only_free_numbers() -> None:
    charts = page_of("full").all("svg")
    own_scale = ("chart-window-", "chart-coverage", "chart-sweep-")
    for chart in charts:
        marks = [float_of(node.text) for node in chart.walk() if "tick" in node.classes]
        if not any(name.startswith(own_scale) for name in chart.classes):
            assert set(marks) <= {0, 0.25, 0.5, 0.75, 1}
        else:
            assert len(marks) > 5


def test_every_scored_figure_of_the_evidence_is_shown() -> None:
    """The figures that decide are all on the page, not only in the file."""
    root = page_of("full")
    shown = {node.attributes.get("data-evidence") for node in root.walk()}
    expected = [
        "identity.network_sha256",
        "identity.firmware_sha256",
        "identity.seed",
        "requirements.0.value.interval.low",
        "data.adc.clipped.value",
        "performance.2.scores.macro_f1.interval.high",
        "performance.2.records.21.classes.2.sensitivity.value",
        "performance.2.without.0.scores.classes.1.f1.value",
        "performance.0.scores.accuracy.value",
        "comparisons.1.macro_f1_change.interval.low",
        "parity.3.largest_difference_lsb",
        "device.firmware.flash_bytes",
        "device.firmware.sections.4.size",
        "device.layers.12.instructions.maximum",
        "device.memory.stack_measured.value",
        "device.memory.tensors.3.offset",
        "certificates.networks.2.network_sha256",
        "certificates.networks.2.perturbations.5.proved_and_right_share.interval.high",
        "certificates.networks.2.perturbations.5.attack_limit.value",
        "certificates.networks.2.perturbations.5.outcomes.timeout",
        "certificates.networks.2.perturbations.6.classes.1.unknown",
        "certificates.networks.2.perturbations.6.records.21.proved_and_right",
        "certificates.networks.2.perturbations.0.methods.1.milliseconds.median",
        "certificates.networks.0.perturbations.3.proved_and_right_share.value",
        "certificates.networks.1.right_share.value",
        "certificates.files.0.accepted",
        "attacks.networks.0.balls.2.attacks.1.success.interval.low",
        "attacks.networks.1.balls.3.worst.right_under_attack.value",
        "attacks.networks.2.balls.5.worst.classes.2.turned",
        "attacks.networks.2.balls.1.worst.classes.0.right_under_attack.interval.high",
        "attacks.networks.2.balls.4.worst.records.3.right",
        "attacks.networks.0.minimum.0.median.value",
        "attacks.networks.1.checks.1.found",
        "attacks.transfers.1.success.value",
        "attacks.proofs.contradictions",
        "attacks.replays.0.mismatches",
        "attacks.worst.1.sample",
        "disturbances.curves.0.points.2.scores.classes.2.sensitivity.interval.low",
        "disturbances.curves.1.points.0.scores.classes.1.precision.value",
        "disturbances.curves.1.points.2.agreement",
        "disturbances.undisturbed.macro_f1.value",
        "monitor.limits.unusual",
        "monitor.sets.1.refused_of_wrong.interval.high",
        "monitor.sets.0.classes.2.refused",
        "monitor.sets.0.curve.3.error.value",
        "monitor.sets.1.reasons.3.alone",
        "monitor.mismatches",
        "beats.0.gross.sveb_sensitivity.interval.low",
        "beats.0.average.veb_predictivity.value",
        "beats.0.pairs.counts.2.0",
        "beats.0.records.21.statistics.qrs_sensitivity.value",
        "probabilities.2.classes.2.auroc.value",
        "probabilities.0.calibration_error_equal_mass.interval.high",
        "versions.packages.0.version",
        "product.fields.3.value",
        "product.labelling.0.text",
        "product.model_card.0.text",
        "risks.0.controls.0.text",
        "risks.0.harm",
        "traceability.0.test",
        "traceability.0.command",
        "soup.0.licence",
        "fail_safe.behaviours.0.behaviour",
        "pccp.gates.0.criterion",
        "pccp.policy_sha256",
        "monitoring.triggers.0.action",
        "threats.0.left_to_the_manufacturer",
        "clauses.0.clause",
        "config.7.value",
    ]
    assert [path for path in expected if path not in shown] == []


@given(st.floats(-1e9, 1e9, allow_nan=False), st.one_of(st.none(), st.integers(0, 5)))
def test_numbers_are_shown_within_their_last_digit(value: float, decimals: int | None) -> None:
    assert shown_as(value, format_number(value, decimals))


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.99996, 3, "0.99996"),
        (0.00021, 3, "0.0002"),
        (1.0, 3, "1.000"),
        (0.0, 3, "0.000"),
        (-0.0114, 3, "−0.011"),
        (1234567, None, "1\u202f234\u202f567"),
        (360.0, None, "360"),
        (0.002, None, "0.002"),
    ],
)
def test_rounding_never_claims_more_than_there_is(
    value: float, decimals: int | None, text: str
) -> None:
    assert format_number(value, decimals) == text
