"""The report on paper: the same figures as the page, in columns that fit, the same bytes again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import typst

from edgeprune.errors import DataError
from edgeprune.report import render_pdf, render_report
from edgeprune.report.paper import markup_of
from edgeprune.report.paper.tables import ACROSS, UPRIGHT
from edgeprune.report.paper.widths import Need, pieces, shared, text_width
from tests.evidence.example import example_evidence, minimal_evidence
from tests.report.page import read_page

PAGE = render_report(example_evidence(synthetic=True))
MARKUP = markup_of(PAGE)
SMALL = render_report(minimal_evidence())


def _queried(markup: str, field: str) -> list[list[str]]:
    found = typst.query(markup.encode(), "<figure>", field=field, ignore_system_fonts=True)
    pairs: list[list[str]] = json.loads(found)
    return pairs


def test_every_figure_of_the_page_is_on_paper_and_no_other() -> None:
    expected = set()
    for node in read_page(PAGE).walk():
        if "data-evidence" in node.attributes:
            kind = node.attributes.get("data-derived")
            path = node.attributes["data-evidence"] + (f":{kind}" if kind else "")
            expected.add((path, node.whole_text))
    assert len(expected) > 5000
    assert {(path, text) for path, text in _queried(MARKUP, "value")} == expected


def test_no_table_leaves_the_sheet() -> None:
    before, *parts = MARKUP.split("#matrix((")
    tables = []
    for part in parts:
        tables.append(("#wide[" in before, part.partition(",)")[0]))
        before = part
    assert len(tables) == len(read_page(PAGE).all("table"))
    for across, columns in tables:
        widths = [float(width.removesuffix("pt")) for width in columns.split(", ")]
        assert sum(widths) <= (ACROSS if across else UPRIGHT) + 0.1


def test_words_are_no_wider_than_they_are_taken_for() -> None:
    words = ["0.912", "1 048 576", "Sensitivity", "macro-F1", "illi", "WMwm@", "µV ≤ 5×", "“no”"]
    start = '#set text(font: "Libertinus Serif", size: 100pt, number-width: "tabular")\n'
    listed = ", ".join(f'"{word}"' for word in words)
    measured = (
        f"{start}#context [#metadata(({listed}).map(it => (400, 600).map(w =>"
        " measure(text(weight: w, it)).width.pt())))<width>]"
    )
    found = json.loads(
        typst.query(measured.encode(), "<width>", field="value", one=True, ignore_system_fonts=True)
    )
    for word, widths in zip(words, found, strict=True):
        assert max(widths) / 100 <= 1.03 * text_width(word) + 0.02, word


def test_columns_get_what_they_need_before_any_gets_more() -> None:
    needs = [Need(10, 10), Need(20, 200), Need(30, 30)]
    columns = shared(needs, 100)
    assert columns is not None
    assert sum(columns) == pytest.approx(100)
    assert all(width >= need.least for width, need in zip(columns, needs, strict=True))
    assert shared(needs, 59) is None
    assert "".join(pieces("performance.0.scores.classes")) == "performance.0.scores.classes"


def test_the_same_page_gives_the_same_tagged_bytes_without_a_date() -> None:
    pdf = render_pdf(SMALL)
    assert pdf == render_pdf(SMALL)
    assert pdf.startswith(b"%PDF-1.7")
    assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf
    assert b"/Lang" in pdf
    assert b"/Outlines" in pdf
    for date in (b"CreationDate", b"ModDate", b"xmp:CreateDate"):
        assert date not in pdf


def test_synthetic_is_said_at_the_head_of_every_page() -> None:
    assert '("SYNTHETIC:"' in MARKUP
    real = replace(minimal_evidence().identity, synthetic=False)
    page = render_report(replace(minimal_evidence(), identity=real))
    assert '("SYNTHETIC:"' not in markup_of(page)


def test_nothing_to_press_is_on_paper() -> None:
    for word in ("Skip to the report", "Back to contents"):
        assert word in PAGE
        assert f'#"{word}";' not in MARKUP


def test_any_text_is_shown_and_none_becomes_markup() -> None:
    evidence = minimal_evidence()
    text = 'a"b\\c #let x = 1; $x$ *b* _c_ `d` <e> @f ]) // 中文 \U0001f600 Ωé'
    identity = replace(evidence.identity, dataset_title=text)
    page = render_report(replace(evidence, identity=identity))
    shown = text.replace("中", "[U+4E2D]").replace("文", "[U+6587]")
    shown = shown.replace("\U0001f600", "[U+1F600]")
    assert ["identity.dataset_title", shown] in _queried(markup_of(page), "value")
    assert render_pdf(page).startswith(b"%PDF")


@pytest.mark.parametrize("page", ["<main><p></main>", "<main>"])
def test_what_is_no_page_gives_no_pdf(page: str) -> None:
    with pytest.raises(DataError):
        render_pdf(page)
