"""The site builds strictly, loads nothing, and what it tells to type can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer
import typer.main

from edgeprune.cli.app import create_app
from edgeprune.cli.reference import pages
from edgeprune.config import load_config
from tests.conftest import CHECKOUT

CONFIG = CHECKOUT / "docs" / "site" / "mkdocs.yml"
SOURCES = [path.relative_to(CHECKOUT) for path in pages(CHECKOUT)]
# What a browser fetches by itself; a link is fetched by a reader.
_LOADING = {"src", "srcset", "poster", "data", "action"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name == "class":
                self.classes.update(value.split())
            elif name == "href" and tag == "a":
                self.links.append(value)
            elif name in _LOADING or (name == "href" and tag != "base"):
                self.loaded.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mkdocs.commands.build import build
    from mkdocs.config import load_config as load_site

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        build(load_site(str(CONFIG), site_dir=str(folder), strict=True))
    return folder


@pytest.fixture(scope="module")
def built(site: Path) -> dict[Path, _Page]:
    found = {}
    for path in site.rglob("*.html"):
        page = _Page()
        page.feed(path.read_text(encoding="utf-8"))
        found[path.resolve()] = page
    return found


def test_every_page_is_built(site: Path, built: dict[Path, _Page]) -> None:
    below_docs = [path for path in SOURCES if path.parts[0] == "docs"]
    assert len(below_docs) > 20
    for path in below_docs:
        assert (site / path.relative_to("docs").with_suffix(".html")).resolve() in built
    assert not (site / "site").exists()


def test_internal_links_and_anchors_resolve(site: Path, built: dict[Path, _Page]) -> None:
    seen = 0
    for path, page in built.items():
        if path.name == "404.html":
            continue
        for link in (*page.links, *page.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.relative_to(site)}: {link}"
            if parts.fragment and target in built:
                anchors = built[target].anchors
                assert unquote(parts.fragment) in anchors, f"{path.relative_to(site)}: {link}"
                seen += 1
    assert seen > 100


def test_no_page_loads_anything_from_the_network(site: Path, built: dict[Path, _Page]) -> None:
    for path, page in built.items():
        for address in page.loaded:
            outside = urlsplit(address)
            assert not outside.netloc or outside.scheme == "data", f"{path.name}: {address}"
        # The theme's script fetches these from elsewhere where a page has them.
        assert not page.classes & {"mermaid", "md-source"}
    for path in (*site.rglob("*.css"), *site.rglob("*.svg")):
        for address in re.findall(r"(?:url\(|@import\s+)['\"]?([^'\")]+)", path.read_text()):
            assert not urlsplit(address).netloc, f"{path.name}: {address}"


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the command lines of edgeprune, and whether each stands in a block: as it is typed."""
    blocks = re.findall(r"^```(\w*)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for language, block in blocks:
        if language in ("", "bash", "sh", "console"):
            joined = block.replace("\\\n", " ")
            for line in re.findall(r"^(?:\$ )?(edgeprune [a-z-].*)$", joined, re.MULTILINE):
                yield line, True
    outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for line in re.findall(r"`(edgeprune [^`]+)`", outside):
        yield line, False


@cache
def _command() -> Any:
    return typer.main.get_command(create_app())


def _parse(line: str, *, whole: bool = True) -> None:
    """Raise if a line names a verb or flag that is not there or, if whole, lacks something."""
    words = shlex.split(line, comments=True)[1:]
    command = _command()
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] not in command.commands and command.invoke_without_command:
            break
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    spelled = {"--version", "--help"}
    for parameter in command.params:
        spelled |= {*parameter.opts, *parameter.secondary_opts}
    assert {word.partition("=")[0] for word in words if word.startswith("-")} <= spelled, line
    if whole:
        assert not hasattr(command, "commands") or command.invoke_without_command, line
        command.make_context(command.name, words)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_what_a_page_tells_to_type_can_be_typed(source: Path) -> None:
    for line, whole in _lines((CHECKOUT / source).read_text(encoding="utf-8")):
        try:
            _parse(line, whole=whole)
        except typer.TyperException as error:
            pytest.fail(f"{source}: {line}: {error.format_message()}")


@pytest.mark.parametrize(
    "line",
    [
        "edgeprune bilud",
        "edgeprune build --tagret host",
        "edgeprune build --seed many",
        "edgeprune diff result",
        "edgeprune targets",
    ],
)
def test_what_cannot_be_typed_is_found(line: str) -> None:
    with pytest.raises((AssertionError, typer.TyperException)):
        _parse(line)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_configurations_and_programs_of_a_page_can_be_read(source: Path, tmp_path: Path) -> None:
    text = (CHECKOUT / source).read_text(encoding="utf-8")
    for block in re.findall(r"^```toml title=\"edgeprune.toml\"\n(.*?)^```$", text, re.M | re.S):
        path = tmp_path / "edgeprune.toml"
        path.write_text(block, encoding="utf-8")
        (tmp_path / "policy.toml").touch()
        load_config(path, {})
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if "--8<--" not in block:
            compile(block, str(source), "exec")
