"""The generated tables of README.md say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeprune.cli.reference import README, TABLES, main, rewrite
from edgeprune.errors import ConfigurationError
from tests.conftest import CHECKOUT


def test_readme_is_up_to_date() -> None:
    text = (CHECKOUT / README).read_text(encoding="utf-8")
    assert rewrite(text) == text, "run `make reference`"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_in_readme(name: str) -> None:
    text = (CHECKOUT / README).read_text(encoding="utf-8")
    assert text.count(f"<!-- generated:{name} -->") == 1
    rows = TABLES[name]().splitlines()
    assert len(rows) > 3
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
