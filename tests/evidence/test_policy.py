"""policy.toml: what is read, what is refused and how, and which figures a path names."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeprune.errors import ConfigurationError
from edgeprune.evidence.figures import FigurePath, find, item_names
from edgeprune.evidence.policy import DEFAULT_POLICY, read_policy, write_default_policy
from edgeprune.pipeline.requirements import figure_at
from tests.evidence.example import example_evidence

HEAD = 'schema = "edgeprune-policy"\nversion = 1\n'
GATE = '[[gates]]\nname = "a"\nfigure = "device.firmware.flash_bytes"\n'


def policy(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text)
    return path


def test_the_default_policy_is_one_and_names_figures_that_builds_have(tmp_path: Path) -> None:
    write_default_policy(tmp_path / "mine.toml")
    assert read_policy(tmp_path / "mine.toml") == read_policy(DEFAULT_POLICY)
    with pytest.raises(ConfigurationError, match="there is a file already"):
        write_default_policy(tmp_path / "mine.toml")
    evidence = example_evidence()
    for gate in read_policy(DEFAULT_POLICY).gates:
        assert find(evidence, gate.path), gate.figure


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GATE, "this edgeprune reads edgeprune-policy version 1 only"),
        (HEAD.replace("1", "2") + GATE, "version 1 only"),
        (HEAD + "gate = 1", "did you mean 'gates'?"),
        (HEAD + GATE + "at_least = 1\nintervall = 'low'", "did you mean 'interval'?"),
        (HEAD + GATE, "a gate has one limit, not 0"),
        (HEAD + GATE + "at_least = 1\nat_most = 2", "a gate has one limit, not 2"),
        (HEAD + GATE + "at_least = nan", "no finite number"),
        (HEAD + GATE + "at_most_worse_by = inf\ndirection = 'lower'", "no finite number"),
        (HEAD + GATE + "at_most_worse_by = -1\ndirection = 'lower'", "less than nothing"),
        (HEAD + GATE + "at_most_worse_by = 1", "which way is worse"),
        (HEAD + GATE + "at_most = 1\ndirection = 'down'", "known: higher, lower"),
        (HEAD + GATE + "at_most = 1\ninterval = 'both'", "known: point, low, high"),
        (HEAD + GATE + "at_most = '1'", "a number"),
        (HEAD + GATE + "at_most = 1\n" + GATE + "at_most = 2", "two gates have one name"),
        (HEAD + GATE.replace('"a"', '""') + "at_most = 1", "a gate has no name"),
        (
            HEAD + GATE.replace("flash_bytes", "flash") + "at_most = 1",
            "leads nowhere: device.firmware has no 'flash'",
        ),
        (HEAD + GATE.replace(".flash_bytes", "") + "at_most = 1", "ends at no figure"),
        (HEAD + GATE.replace("device.", "device..") + "at_most = 1", "no path of a figure"),
        (
            HEAD
            + GATE.replace("device.firmware.flash_bytes", "performance.scores.accuracy")
            + "at_least = 1",
            "name an item as {scores}",
        ),
        (
            HEAD + GATE.replace("device.firmware.flash_bytes", "update.decisions") + "at_most = 1",
            "update.decisions.changed_share",
        ),
        (
            HEAD
            + GATE.replace("device.firmware.flash_bytes", "update.twins.different")
            + "at_most_worse_by = 1\ndirection = 'lower'",
            "it has no value before it",
        ),
        (
            HEAD + "[conditions]\nparity = false\nrequirements = false",
            "the policy asks for nothing",
        ),
        (HEAD + "gates = 3", "an array"),
        ("schema = [", "cannot be read as TOML"),
    ],
)
def test_what_no_policy_says(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read_policy(policy(tmp_path, text))
    error = refused.value
    assert words in f"{error.what} | {error.hint}"
    assert "policy.toml" in error.where
    assert error.hint


def test_a_figure_is_found_by_name_and_cited_by_position() -> None:
    evidence = example_evidence()
    path = FigurePath.parse("performance.{int8 as flashed}.scores.classes.*.sensitivity")
    found = find(evidence, path)
    assert len(found) == 5
    for number, figure in enumerate(found):
        assert figure.source == f"performance.2.scores.classes.{number}.sensitivity"
        assert figure.quantity == figure_at(evidence, figure.source)
        # The name leads back to the same figure, and so does the position.
        for text in (figure.name, figure.source):
            assert find(evidence, FigurePath.parse(text)) == (figure,)
    (size,) = find(evidence, FigurePath.parse("device.firmware.flash_bytes"))
    assert size.quantity == figure_at(evidence, "device.firmware.flash_bytes")


def test_items_of_one_name_are_told_apart() -> None:
    rows = example_evidence().parity
    assert len(set(item_names((*rows, *rows)))) == 2 * len(rows)
