"""The generated tables of README.md and of the pages below docs/ say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgeprune.cli.reference import TABLES, main, pages, rewrite
from edgeprune.errors import ConfigurationError
from tests.conftest import CHECKOUT

PAGES = {path.relative_to(CHECKOUT): path.read_text(encoding="utf-8") for path in pages(CHECKOUT)}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_page_is_up_to_date(page: Path) -> None:
    assert rewrite(PAGES[page]) == PAGES[page], "run `make reference`"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_in_one_page(name: str) -> None:
    assert sum(text.count(f"<!-- generated:{name} -->") for text in PAGES.values()) == 1
    tables = re.findall(r"(?:^\|.*\n?)+", TABLES[name](), re.MULTILINE)
    assert tables
    for table in tables:
        rows = table.splitlines()
        assert len(rows) > 2
        assert len({row.replace("\\|", "").count("|") for row in rows}) == 1


def test_a_table_that_drifted_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("a\n<!-- generated:targets -->\nold\n<!-- /generated:targets -->\nb\n")
    assert main([str(path)]) == 0
    assert path.read_text() == (
        f"a\n<!-- generated:targets -->\n{TABLES['targets']()}\n<!-- /generated:targets -->\nb\n"
    )
    path.write_text("<!-- generated:boards -->\n<!-- /generated:boards -->\n")
    with pytest.raises(ConfigurationError, match="no table 'boards'"):
        main([str(path)])
