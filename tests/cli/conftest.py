"""The command line, called in this process, and one small result that the tests share."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgeprune.cli.app import create_app
from tests.pipeline.small import small_card, small_flags


@dataclass(frozen=True)
class Outcome:
    """What a command line left."""

    code: int
    out: str
    err: str

    @property
    def verdict(self) -> str:
        return self.out.rstrip("\n").splitlines()[-1]

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def failed(self, exit_code: int, error_code: str, *words: str) -> None:
        """Assert that it ended in an error as a person should see it."""
        everything = self.out + self.err
        assert self.code == exit_code, everything
        assert f"error {error_code}: " in self.err, everything
        assert "\n  where: " in self.err, everything
        assert "\n  what to do: " in self.err, everything
        assert "Traceback" not in everything
        for word in words:
            assert word in self.err, (word, self.err)
        assert error_code in self.verdict
        assert self.verdict.startswith("FAIL" if exit_code == 1 else "ERROR")


Edgeprune = Callable[..., Outcome]


@pytest.fixture
def edgeprune(capfd: pytest.CaptureFixture[str]) -> Edgeprune:
    """Return a function that runs a command line."""

    def run(*arguments: object) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            create_app()([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        assert isinstance(left.value.code, int)
        return Outcome(left.value.code, captured.out, captured.err)

    return run


@dataclass(frozen=True)
class Small:
    """A build small enough for tests.

    Attributes:
        flags: What every verb of the chain is given.
        out: Its result directory, filled by the first test that builds.
    """

    flags: tuple[str, ...]
    out: Path

    def copy(self, folder: Path) -> Path:
        """Return a result directory elsewhere that has the finished stages of this one."""
        work = self.out.with_name(f"{self.out.name}.work")
        shutil.copytree(work, folder / "result.work")
        return folder / "result"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    folder = tmp_path_factory.mktemp("cli")
    watched = ("--set", "monitor.enabled=true")
    flags = ("--dataset", str(small_card(folder)), *small_flags(), *watched)
    return Small(flags, folder / "result")


@pytest.fixture
def built(small: Small, edgeprune: Edgeprune) -> Small:
    """Return the small build, made."""
    if not small.out.exists():
        assert edgeprune("build", *small.flags, "--out", small.out).code == 0
    return small
