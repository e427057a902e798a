"""The page as a document: self-contained, accessible, honest about what is absent."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import fields, is_dataclass, replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgeprune.errors import DataError
from edgeprune.evidence import (
    Outcome,
    SharedPatients,
    Where,
    evidence_bytes,
    schema_bytes,
    write_evidence,
)
from edgeprune.report import render_report, write_report
from edgeprune.report.render import SECTIONS
from tests.evidence.example import example_evidence, minimal_evidence
from tests.evidence.example_regulatory import example_regulatory
from tests.report.page import Node, read_page

SCOPES = ("row", "col", "rowgroup", "colgroup")
EVIDENCE = example_regulatory()
PAGE = render_report(EVIDENCE)
ROOT = read_page(PAGE)
STYLE = ROOT.all("style")[0].text


def test_the_same_evidence_gives_the_same_bytes(tmp_path: Path) -> None:
    write_evidence(tmp_path / "evidence.json", EVIDENCE)
    write_report(tmp_path / "evidence.json", tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes() == PAGE.encode()


def test_damaged_evidence_gives_no_report(tmp_path: Path) -> None:
    document = json.loads(evidence_bytes(minimal_evidence()))
    document["performance"] = [{}]
    (tmp_path / "evidence.json").write_text(json.dumps(document))
    with pytest.raises(DataError):
        write_report(tmp_path / "evidence.json", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_nothing_is_loaded_and_nothing_runs() -> None:
    assert not ROOT.all("link")
    assert not ROOT.all("img")
    assert "url(" not in PAGE
    assert "@import" not in PAGE
    for node in ROOT.walk():
        assert not any(name.startswith("on") for name in node.attributes)
        assert "src" not in node.attributes
        assert node.attributes.get("href", "#").startswith("#")


def test_the_policy_lets_only_the_pages_own_script_and_style_act() -> None:
    for page in (PAGE, render_report(minimal_evidence())):
        root = read_page(page)
        (policy,) = [node for node in root.all("meta") if "http-equiv" in node.attributes]
        rules = [rule.split(" ", 1) for rule in policy.attributes["content"].split("; ")]
        expected = {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}
        for tag in ("style", "script"):
            (element,) = root.all(tag)
            digest = b64encode(sha256(element.text.encode()).digest()).decode()
            expected[f"{tag}-src"] = f"'sha256-{digest}'"
            assert element.text in page
        assert dict(rules) == expected
        assert not [node for node in root.walk() if "style" in node.attributes]


def test_landmarks_headings_and_anchors() -> None:
    assert ROOT.all("html")[0].attributes["lang"] == "en"
    for landmark in ("main", "nav", "footer", "h1"):
        assert len(ROOT.all(landmark)) == 1
    levels = [int(node.tag[1]) for node in ROOT.walk() if re.fullmatch(r"h\d", node.tag)]
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    ids = [node.attributes["id"] for node in ROOT.walk() if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    references = [node.attributes["href"][1:] for node in ROOT.all("a")]
    references += [
        node.attributes[name]
        for node in ROOT.walk()
        for name in ("aria-labelledby", "aria-describedby")
        if name in node.attributes
    ]
    assert references.count("contents") == len(SECTIONS)
    assert set(references) <= set(ids)
    assert [section.name for section in SECTIONS] == [
        node.attributes["href"][1:] for node in ROOT.all("nav")[0].all("a")
    ]


def test_every_table_is_captioned_scoped_and_complete() -> None:
    tables = ROOT.all("table")
    assert len(tables) >= 14
    for table in tables:
        caption = table.all("caption")[0].whole_text.strip()
        assert caption
        for cell in table.all("th"):
            assert cell.attributes.get("scope") in SCOPES, caption
        assert all(len(row.all("th")) == 1 for row in table.all("tbody")[0].all("tr")), caption
        assert len({_width(row) for body in table.all("tbody") for row in body.all("tr")}) == 1
        width = _width(table.all("tbody")[0].all("tr")[0])
        for row in [*table.all("thead")[0].all("tr")[:1], *(f for f in table.all("tfoot"))]:
            assert _width(row) == width, caption


def _width(row: Node) -> int:
    return sum(
        int(cell.attributes.get("colspan", "1")) for cell in row.walk() if cell.tag in ("th", "td")
    )


def test_every_chart_has_a_text_alternative() -> None:
    charts = ROOT.all("svg")
    # Six, two a norm, a window each, a disturbance each, the monitor's and the confidence's, and
    # of the sweep six for validation and six for test.
    assert len(charts) == 6 + 4 + 2 + 2 + 1 + 1 + 12
    for chart in charts:
        assert chart.attributes["role"] == "img"
        title = chart.all("title")[0]
        assert title.attributes["id"] == chart.attributes["aria-labelledby"]
        assert len(title.text) > 30
        assert chart.all("desc")[0].attributes["id"] == chart.attributes["aria-describedby"]
        assert chart.inside("figure")


def test_no_chart_leaves_its_frame() -> None:
    for chart in ROOT.all("svg"):
        _, _, width, height = map(float, chart.attributes["viewbox"].split())
        for node in chart.walk():
            for name, limit in (("x", width), ("x1", width), ("x2", width), ("cx", width)):
                assert 0 <= float(node.attributes.get(name, "0")) <= limit
            for name in ("y", "y1", "y2", "cy"):
                assert 0 <= float(node.attributes.get(name, "0")) <= height


def test_unknown_patients_are_said_on_every_page_and_first_among_the_data() -> None:
    evidence = example_evidence()
    assert evidence.data is not None
    page = render_report(replace(evidence, data=replace(evidence.data, patients_known=False)))
    (banner,) = [node for node in read_page(page).walk() if "synthetic" in node.classes]
    assert "Patients unknown" in banner.text
    data = page[page.index('id="data"') :]
    assert data.index("NOBODY KNOWS WHOSE THESE RECORDS ARE") < data.index("Origin")
    assert "disjoint by patient: no patient" not in page
    assert "disjoint by patient: no patient" in PAGE


def test_synthetic_is_said_on_every_page() -> None:
    banners = [
        node
        for node in read_page(render_report(example_evidence(synthetic=True))).walk()
        if "synthetic" in node.classes
    ]
    assert len(banners) == 1
    assert banners[0].text.startswith("Synthetic")
    assert not [node for node in ROOT.walk() if "synthetic" in node.classes]
    printed = STYLE[STYLE.index("@media print") :]
    assert re.search(r"\.synthetic \{ position: fixed; top: 0;", printed)


def test_paper_repeats_table_heads_and_keeps_rows_whole() -> None:
    printed = STYLE[STYLE.index("@media print") :]
    assert "thead { display: table-header-group; }" in printed
    assert re.search(r"tr, .*\{ break-inside: avoid; \}", printed)


@pytest.mark.parametrize("verdict", Outcome)
def test_the_verdict_is_the_first_thing(verdict: Outcome) -> None:
    evidence = example_evidence()
    kept = {
        Outcome.PASS: (Outcome.PASS,),
        Outcome.FAIL: tuple(Outcome),
        Outcome.NOT_TESTED: (Outcome.PASS, Outcome.NOT_TESTED),
    }[verdict]
    rows = tuple(row for row in evidence.requirements if row.outcome in kept)
    root = read_page(render_report(replace(evidence, requirements=rows)))
    box = next(node for node in root.walk() if "verdict" in node.classes)
    assert box.all("strong")[0].text == verdict.value.upper()
    for row in rows:
        assert (row.title in box.whole_text) == (row.outcome is not Outcome.PASS)


def test_a_mismatch_is_named_in_the_verdict() -> None:
    evidence = example_evidence()
    parity = (replace(evidence.parity[0], mismatches=3), *evidence.parity[1:])
    root = read_page(render_report(replace(evidence, parity=parity)))
    box = next(node for node in root.walk() if "verdict" in node.classes)
    assert box.all("strong")[0].text == "FAIL"
    assert "tflite-runtime, reference kernels" in box.whole_text


def test_absent_sections_are_said_to_be_absent() -> None:
    page = read_page(render_report(minimal_evidence())).whole_text
    for sentence in (
        "No requirement was set, so nothing can pass.",
        "Performance was not tested.",
        "Parity was not tested",
        "No firmware was built",
        "Nothing was proved",
        "Beats were not scored one by one",
        "Confidences were not looked at",
        "Nothing was attacked",
        "No disturbance was tried",
        "The firmware has no monitor",
    ):
        assert sentence in page
    assert "NOT TESTED" in page


def _optional_fields() -> list[tuple[str, str]]:
    """Return every record and field of the schema that may be absent or empty."""
    return [
        (record, field)
        for record, description in json.loads(schema_bytes())["$defs"].items()
        for field, content in description["properties"].items()
        if record not in ("Schema", "ConfusionMatrix")
        and (
            field not in description["required"]
            or content.get("type") == "array"
            or {"type": "null"} in content.get("anyOf", [])
        )
    ]


def _emptied(record: object, chosen: set[tuple[str, str]]) -> Any:
    """Return a record with the chosen fields empty and every list cut to two items."""
    if isinstance(record, tuple):
        return tuple(_emptied(item, chosen) for item in record[:2])
    if not is_dataclass(record) or isinstance(record, type):
        return record
    changes: dict[str, Any] = {}
    for field in fields(record):
        value = getattr(record, field.name)
        if (type(record).__name__, field.name) in chosen and field.name != "schema":
            counted = type(value) in (int, float) and field.default == 0
            empty = (
                type(value)(0) if counted else {str: "", tuple: (), bool: False}.get(type(value))
            )
            changes[field.name] = Where.HOST if isinstance(value, Where) else empty
        else:
            changes[field.name] = _emptied(value, chosen)
    return replace(record, **changes)


def _holds(value: object, record: str) -> bool:
    """Say whether a record of that name is somewhere in a value."""
    if isinstance(value, tuple):
        return any(_holds(item, record) for item in value[:2])
    if not is_dataclass(value):
        return False
    return type(value).__name__ == record or any(
        _holds(getattr(value, each.name), record) for each in fields(value)
    )


@pytest.mark.parametrize("chosen", [*_optional_fields(), None], ids=str)
def test_whatever_may_be_absent_may_be_absent(chosen: tuple[str, str] | None) -> None:
    absent = {chosen} if chosen else set(_optional_fields()) - {("Evidence", "device")}
    plain = example_evidence()
    evidence = (
        plain if chosen and _holds(plain, chosen[0]) and chosen[0] != "Evidence" else EVIDENCE
    )
    if chosen and chosen[0] != "Evidence":
        # What does not hold the record is left out, to be quick.
        sections = [each.name for each in fields(evidence) if each.default in (None, ())]
        without = [name for name in sections if not _holds(getattr(evidence, name), chosen[0])]
        empty = {each.name: each.default for each in fields(evidence) if each.name in without}
        evidence = replace(evidence, **empty)
    read_page(render_report(_emptied(evidence, absent)))


def test_shared_patients_are_said() -> None:
    evidence = example_evidence()
    assert evidence.data is not None
    assert "The parts are disjoint by patient" in PAGE
    train, *others = evidence.data.splits
    shared = evidence.data.splits[2].patients[:1]
    data = replace(
        evidence.data, shared_patients=(SharedPatients(train.name, others[1].name, shared),)
    )
    page = read_page(render_report(replace(evidence, data=data))).whole_text
    assert "The parts are not disjoint by patient" in page
    assert "The parts are disjoint by patient" not in page


def test_text_of_the_evidence_cannot_become_markup() -> None:
    evidence = example_evidence()
    identity = replace(evidence.identity, dataset_title="<script>alert('x')</script>")
    page = render_report(replace(evidence, identity=identity))
    assert page.count("<script") == 1
    assert "&lt;script&gt;" in page


def test_nothing_is_called_compliant() -> None:
    text = ROOT.whole_text.lower()
    for word in ("complian", "certified device", "approved", "safe and effective"):
        assert word not in text
    assert "evidence supporting" in text


def _palette(mode: str) -> dict[str, str]:
    pairs = re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", STYLE)
    return {name: light if mode == "light" else dark for name, light, dark in pairs}


def _luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "paper"),
        ("faint", "paper"),
        ("accent", "paper"),
        ("second", "paper"),
        ("third", "paper"),
        ("fourth", "paper"),
        ("fifth", "paper"),
        ("sixth", "paper"),
        ("ink", "heat"),
        ("ink", "tint"),
        ("pass", "pass-tint"),
        ("fail", "fail-tint"),
        ("open", "open-tint"),
        ("ink", "pass-tint"),
        ("ink", "fail-tint"),
        ("ink", "open-tint"),
        ("open", "paper"),
    ],
)
def test_text_has_contrast(mode: str, text: str, ground: str) -> None:
    palette = _palette(mode)
    assert _contrast(palette[text], palette[ground]) >= 4.5
