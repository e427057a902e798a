"""The pipelines that users copy: they parse, and use nothing that the command line lacks."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from edgeprune import __version__
from edgeprune.cli.app import create_app

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "ci"
EXAMPLES = ("github-actions.yml", "gitlab-ci.yml")


def _texts(value: Any) -> Iterator[str]:
    """Yield every text of a YAML document."""
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else ():
        yield from _texts(each)
    for each in value if isinstance(value, list) else ():
        yield from _texts(each)


def _commands(text: str) -> Iterator[list[str]]:
    """Yield the words of every command line that starts with edgeprune."""
    for line in text.splitlines():
        if line.strip().startswith("edgeprune "):
            yield shlex.split(line.strip())[1:]


def _check(words: list[str]) -> str:
    """Assert that a verb and its flags exist, and that each flag has the value it takes."""
    verb, *rest = words
    command = typer.main.get_command(create_app()).commands[verb]
    options = {name: each for each in command.params for name in each.opts if name[0] == "-"}
    waiting = iter(rest)
    for word in waiting:
        if word.startswith("-"):
            assert word in options, f"edgeprune {verb} has no {word}"
            if not options[word].is_flag:
                assert not next(waiting, "-").startswith("-"), f"{word} takes a value"
    return verb


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_uses_what_there_is(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    texts = list(_texts(yaml.safe_load(text)))
    lines = [words for each in texts for words in _commands(each)]
    verbs = [_check(words) for words in lines]
    assert {"build", "sign", "verify-bundle"} == set(verbs)
    (build,) = [words for words in lines if words[0] == "build"]
    assert {"--gate", "--junit", "--sarif"} <= set(build)
    assert any(words[0] == "verify-bundle" and "--key" in words for words in lines)
    assert re.findall(r"edgeprune==(\S+)", text) == [__version__]
    told = build[build.index("--sarif") + 1], build[build.index("--junit") + 1]
    assert not any(path.startswith(build[build.index("--out") + 1]) for path in told)


def test_github_keeps_the_bundle_and_shows_the_findings() -> None:
    document = yaml.safe_load((FOLDER / "github-actions.yml").read_text(encoding="utf-8"))
    (job,) = document["jobs"].values()
    uses = {step["uses"].partition("@")[0]: step for step in job["steps"] if "uses" in step}
    assert "result/" in uses["actions/upload-artifact"]["with"]["path"]
    assert uses["github/codeql-action/upload-sarif"]["with"]["sarif_file"].endswith(".sarif")
    assert document["permissions"]["security-events"] == "write"
    # What is told of a failed build must be shown all the same.
    for name in ("actions/upload-artifact", "github/codeql-action/upload-sarif"):
        assert "cancelled" in uses[name]["if"]


def test_gitlab_keeps_the_bundle_and_shows_the_tests() -> None:
    document = yaml.safe_load((FOLDER / "gitlab-ci.yml").read_text(encoding="utf-8"))
    artifacts = document["gate"]["artifacts"]
    assert artifacts["when"] == "always"
    assert "result/" in artifacts["paths"]
    assert artifacts["reports"]["junit"].endswith(".xml")
    assert {document[name]["stage"] for name in ("gate", "sign")} == set(document["stages"])


def test_the_page_uses_what_there_is() -> None:
    text = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert [_check(words) for words in _commands(text)] == ["build", "sign"]
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (FOLDER / link).is_file()
