"""`edgeprune report`: the report of a result that is there already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgeprune.evidence import read_evidence, write_evidence
from edgeprune.report import render_report
from tests.cli.conftest import Edgeprune
from tests.devices.results import seal
from tests.evidence.example import minimal_evidence


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "beats"
    folder.mkdir()
    write_evidence(folder / "evidence.json", minimal_evidence())
    seal(folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_result_is_written_as_page_pdf_and_json(edgeprune: Edgeprune, result: Path) -> None:
    assert edgeprune("report", result).code == 0
    page = Path("beats-report.html")
    assert page.read_text() == render_report(minimal_evidence())
    assert edgeprune("report", result, "--out", "x.pdf").code == 0
    assert Path("x.pdf").read_bytes().startswith(b"%PDF")
    assert edgeprune("report", result / "evidence.json", "--format", "json").code == 0
    assert read_evidence(Path("evidence-report.json")) == minimal_evidence()
    answer = edgeprune("report", result, "--json").json
    assert answer["result_verdict"] == minimal_evidence().verdict.value
    assert answer["evidence"]["identity"]["seed"] == minimal_evidence().identity.seed


def test_a_damaged_result_gives_no_report(edgeprune: Edgeprune, result: Path) -> None:
    changed = replace(minimal_evidence(), limits=("none",))
    write_evidence(result / "evidence.json", changed)
    edgeprune("report", result).failed(2, "EP201", "altered: evidence.json", "verify-bundle")
    (result / "evidence.json").write_text("{}")
    edgeprune("report", result / "evidence.json").failed(2, "EP201")
    (result / "evidence.json").unlink()
    edgeprune("report", result).failed(2, "EP201", "missing: evidence.json")
    assert not Path("beats-report.html").exists()


def test_what_cannot_be_written_is_told(edgeprune: Edgeprune, result: Path) -> None:
    edgeprune("report", result, "--out", result / "again.pdf").failed(2, "EP101", "--out")
    edgeprune("report", result, "--format", "doc").failed(2, "EP102", "html, json, pdf")
    edgeprune("report", result, "--profile", "moon").failed(2, "EP102", "moon")
    edgeprune("report", "absent").failed(2, "EP101", "absent")
