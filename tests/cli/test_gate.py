"""`edgeprune build --gate` as a pipeline calls it."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edgeprune.evidence import read_evidence
from edgeprune.evidence.sbom import SBOM_ROLES
from tests.cli.conftest import Edgeprune, Small

CONFIG = "seed = 1\n\n[requirements]\naccuracy = 0.01\ninstructions = 10\n"


def test_a_gate_tells_what_is_not_met_at_its_line(
    edgeprune: Edgeprune, built: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = built.copy(tmp_path)
    (tmp_path / "edgeprune.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    files = ("--junit", "told/junit.xml", "--sarif", "told/edgeprune.sarif")
    plain = edgeprune("build", *built.flags, "--out", out)
    assert plain.code == 1
    assert "1 of 8 requirements not met (instructions)" in plain.verdict
    result = edgeprune("build", *built.flags, "--out", out, "--gate", *files, "--json")
    assert (result.code, result.json["verdict"]) == (1, "FAIL")
    assert result.json["summary"].startswith("gate: 1 of 8 requirements not met (instructions)")
    assert result.json["gate"]["fail"] == 1
    evidence = read_evidence(out / "evidence.json")
    cases = list(ElementTree.parse("told/junit.xml").iter("testcase"))
    assert len(cases) == len(evidence.requirements) + len(evidence.parity)
    failed = [case for case in cases if case.find("failure") is not None]
    assert [(case.get("name"), case.get("file"), case.get("line")) for case in failed] == [
        ("instructions", "edgeprune.toml", "5")
    ]
    log = json.loads(Path("told/edgeprune.sarif").read_text(encoding="utf-8"))
    (found,) = log["runs"][0]["results"]
    place = found["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "edgeprune.toml"
    assert place["region"]["startLine"] == 5
    listed = {file["path"] for file in json.loads((out / "manifest.json").read_text())["files"]}
    assert set(SBOM_ROLES) <= listed


def test_a_build_that_is_broken_off_leaves_files_that_say_so(
    edgeprune: Edgeprune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = ("--junit", "junit.xml", "--sarif", "edgeprune.sarif")
    result = edgeprune("build", "--dataset", "mit-hib", "--gate", *files, "--out", "result")
    result.failed(2, "EP102", "did you mean")
    error = ElementTree.parse("junit.xml").find(".//error")
    assert error is not None
    assert error.get("type") == "EP102"
    log = json.loads(Path("edgeprune.sarif").read_text(encoding="utf-8"))
    assert log["runs"][0]["invocations"][0]["executionSuccessful"] is False


def test_a_crash_leaves_no_file_of_an_earlier_run(
    edgeprune: Edgeprune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("edgeprune.pipeline.build.build", crash)
    junit = tmp_path / "junit.xml"
    junit.write_text("<testsuites/>", encoding="utf-8")
    assert edgeprune("build", "--out", tmp_path / "result", "--junit", junit).code == 4
    assert not junit.exists()


def test_what_cannot_be_gated_is_refused_before_anything_is_built(
    edgeprune: Edgeprune, tmp_path: Path
) -> None:
    out = tmp_path / "result"
    inside = edgeprune("build", "--out", out, "--junit", out / "junit.xml")
    inside.failed(2, "EP101", "--junit", "manifest")
    edgeprune("build", "--out", out, "--sarif", tmp_path).failed(2, "EP101", "--sarif", "folder")
    edgeprune("train", "--out", out, "--gate").failed(2, "EP101", "--gate", "edgeprune build")
    bench = edgeprune("bench", "--device", "/dev/null", "--out", out, "--junit", "x.xml")
    bench.failed(2, "EP101", "--junit")
    assert not out.exists()
