"""The README and the pages show the figures of the last studies and no others."""

from __future__ import annotations

import pytest

from tests.studies.readme import CHECKOUT, PAGES, TABLES, filled


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_the_figures_of_the_last_study(page: str) -> None:
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    assert filled(text) == text, "run: python -m tests.studies.readme"


def test_every_table_of_figures_is_in_one_page() -> None:
    texts = [(CHECKOUT / page).read_text(encoding="utf-8") for page in PAGES]
    for name, _, _ in TABLES:
        assert sum(text.count(f"<!-- figures:{name} -->") for text in texts) == 1
