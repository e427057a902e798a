"""The README shows the figures of the last study and no others."""

from __future__ import annotations

from tests.studies.readme import CHECKOUT, filled


def test_the_readme_has_the_figures_of_the_last_study() -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    assert filled(readme) == readme, "run: python -m tests.studies.readme"
