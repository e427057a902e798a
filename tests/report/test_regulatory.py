"""The sections that a regulator asks for, the profiles, and charts whose marks tell figures."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from edgeprune.errors import UnknownNameError
from edgeprune.evidence import ProfileEvidence
from edgeprune.report import render_report
from edgeprune.report.sections import SECTIONS, anchor_of
from tests.evidence.example import minimal_evidence
from tests.evidence.example_regulatory import example_regulatory
from tests.report.page import Node, read_page

EVIDENCE = example_regulatory()
PAGE = render_report(EVIDENCE)
ROOT = read_page(PAGE)


def sections(root: Node) -> dict[str, Node]:
    shown = [node for node in root.all("section") if "cover" not in node.classes]
    return {node.attributes["id"]: node for node in shown}


def flat(node: Node) -> str:
    """Return a node's text in the order of the page."""
    start = PAGE.index(f'<section id="{node.attributes["id"]}"')
    text = re.sub(r"<[^>]+>", "", PAGE[start : PAGE.index("</section>", start)])
    return " ".join(text.split())


def test_a_profile_says_which_sections_come_and_in_which_order() -> None:
    research = next(each for each in EVIDENCE.profiles if each.name == "research")
    root = read_page(render_report(EVIDENCE, "research"))
    assert tuple(sections(root)) == research.sections
    assert research.title in root.whole_text
    assert tuple(sections(ROOT)) == EVIDENCE.profiles[0].sections == tuple(s.name for s in SECTIONS)


def test_no_profile_leaves_out_what_this_evidence_does_not_reach() -> None:
    given = replace(EVIDENCE, profiles=(ProfileEvidence("fda", "Few", ("data", "unheard-of")),))
    root = read_page(render_report(given))
    assert tuple(sections(root)) == ("data", "about", "clauses", "limits", "reproduce")
    assert "left out" in root.all("section")[0].whole_text
    anchors = {node.attributes["id"] for node in root.walk() if "id" in node.attributes}
    assert {node.attributes["href"][1:] for node in root.all("a")} <= anchors


def test_an_unknown_profile_is_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match="fdaa"):
        render_report(EVIDENCE, "fdaa")


def test_each_section_names_the_clauses_that_it_is_evidence_for() -> None:
    for name, section in sections(ROOT).items():
        (line,) = [node for node in section.walk() if "support" in node.classes]
        cited = {node.attributes.get("data-evidence") for node in line.walk()} - {None}
        expected = set()
        for index, clause in enumerate(EVIDENCE.clauses):
            if "fda" in clause.profiles and name in clause.sections:
                expected.add(f"clauses.{index}.clause")
        assert {path for path in cited if path and path.endswith(".clause")} == expected
        unchecked = [
            clause
            for clause in EVIDENCE.clauses
            if "fda" in clause.profiles and name in clause.sections and not clause.checked
        ]
        assert line.whole_text.count("not checked against the text") == len(unchecked)


def test_what_the_team_left_empty_is_shown_as_missing() -> None:
    assert EVIDENCE.product is not None
    section = sections(ROOT)["product"]
    missing = [node for node in section.walk() if "missing" in node.classes]
    assert len(missing) == len(EVIDENCE.product.missing) > 0
    labelling = [node for node in sections(ROOT)["labelling"].walk() if "missing" in node.classes]
    stated = (*EVIDENCE.product.labelling, *EVIDENCE.product.model_card)
    assert len(labelling) == sum(item.missing for item in stated) > 0


def test_every_row_of_the_evidence_is_a_row_of_its_table() -> None:
    shown = sections(ROOT)
    assert EVIDENCE.fail_safe is not None
    assert EVIDENCE.pccp is not None
    assert EVIDENCE.monitoring is not None
    for name, rows in (
        ("risks", EVIDENCE.risks),
        ("traceability", EVIDENCE.traceability),
        ("soup", EVIDENCE.soup),
        ("fail-safe", EVIDENCE.fail_safe.behaviours),
        ("pccp", EVIDENCE.pccp.gates),
        ("monitoring", (*EVIDENCE.monitoring.logged, *EVIDENCE.monitoring.triggers)),
        ("cybersecurity", EVIDENCE.threats),
    ):
        bodies = [row for body in shown[name].all("tbody") for row in body.all("tr")]
        assert len(bodies) == len(rows) > 0, name


def test_what_a_team_named_in_vain_is_said() -> None:
    assert "Named, but not in this evidence: monitor.nothing" in flat(sections(ROOT)["risks"])


def test_links_carry_the_figure_that_they_point_at() -> None:
    shown = {node.attributes.get("data-evidence") for node in sections(ROOT)["risks"].walk()}
    linked = [
        link.id for risk in EVIDENCE.risks for each in risk.controls for link in each.evidence
    ]
    assert set(linked) & {path.removesuffix(".value") for path in shown if path}
    assert all(anchor_of(link) for link in linked)


def test_a_section_without_content_says_that_nothing_was_supplied_or_tested() -> None:
    root = read_page(render_report(minimal_evidence()))
    for name in ("product", "labelling", "risks", "goal", "traceability", "soup", "fail-safe"):
        assert [n for n in sections(root)[name].walk() if "absent" in n.classes], name
    for name in ("pccp", "monitoring", "cybersecurity", "clauses"):
        assert [n for n in sections(root)[name].walk() if "absent" in n.classes], name


def test_the_cover_has_hashes_fields_for_signatures_and_how_to_check() -> None:
    cover = ROOT.all("section")[0]
    cited = {node.attributes.get("data-evidence") for node in cover.walk()}
    assert {"identity.network_sha256", "identity.firmware_sha256", "pccp.policy_sha256"} <= cited
    (signatures,) = [node for node in cover.all("table") if "signatures" in node.classes]
    assert [row.all("th")[0].text for row in signatures.all("tbody")[0].all("tr")] == [
        "Author",
        "Reviewer",
        "Approver",
    ]
    assert not any(cell.whole_text.strip() for cell in signatures.all("td"))
    assert "edgeprune verify-bundle" in cover.all("pre")[0].text


def test_a_certificate_of_another_network_is_said_on_the_cover() -> None:
    assert EVIDENCE.certificates is not None
    other = replace(EVIDENCE.certificates.networks[-1], network_sha256="0" * 64)
    networks = (*EVIDENCE.certificates.networks[:-1], other)
    changed = replace(EVIDENCE, certificates=replace(EVIDENCE.certificates, networks=networks))
    assert "another network than the one above" in render_report(changed)
    assert "another network than the one above" not in PAGE


def test_every_mark_points_at_a_row_or_cell_that_holds_its_figure() -> None:
    paths = {node.attributes.get("data-evidence") for node in ROOT.walk() if node.inside("td")}
    plots = [node for node in ROOT.walk() if "plot" in node.classes]
    assert len(plots) == len(ROOT.all("svg")) > 20
    for plot in plots:
        rows = [row for table in plot.all("table") for row in table.all("tbody")[0].all("tr")]
        marks = [node for node in plot.walk() if "data-line" in node.attributes]
        assert marks or "data-step" in plot.all("svg")[0].attributes
        for mark in marks:
            if "data-path" in mark.attributes:
                assert mark.attributes["data-path"].split()[0] in paths
            else:
                assert int(mark.attributes["data-row"]) < len(rows)
                assert rows[int(mark.attributes["data-row"])].whole_text.strip()


def test_a_mark_lies_where_its_row_says() -> None:
    table = next(node for node in ROOT.all("table") if node.attributes.get("id") == "data-scores")
    rows = table.all("tbody")[0].all("tr")
    chart = next(node for node in ROOT.all("svg") if "chart-scores" in node.classes)
    found: dict[str, list[tuple[float, float]]] = {}
    for mark in (node for node in chart.all("circle") if "data-row" in node.attributes):
        value = rows[int(mark.attributes["data-row"])].all("data")[0].attributes["value"]
        place = (float(value), float(mark.attributes["cx"]))
        found.setdefault(mark.attributes["data-line"], []).append(place)
    assert len(found) == 3
    for places in found.values():
        (low, left), (high, right) = min(places), max(places)
        for value, x in places:
            expected = left + (right - left) * (value - low) / ((high - low) or 1)
            assert x == pytest.approx(expected, abs=0.02)


def test_the_script_asks_nothing_of_the_network_and_writes_no_markup() -> None:
    script = ROOT.all("script")[0].text
    for word in ("fetch(", "XMLHttp", "import(", "eval(", "innerHTML", "http:", "https:", "Beacon"):
        assert word not in script.replace("http://www.w3.org/2000/svg", "")


def test_paper_shows_what_is_folded_on_the_screen() -> None:
    style = ROOT.all("style")[0].text
    printed = style[style.index("@media print") :]
    assert ".more::details-content" in printed
    assert ".alone::details-content" in printed
