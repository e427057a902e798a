"""Requirements and comparisons as a pipeline of somebody else's reads them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from edgeprune.errors import DataError
from edgeprune.evidence import (
    Comparison,
    Evidence,
    Identity,
    Interval,
    Outcome,
    ParityRow,
    Quantity,
    Reproduction,
    Versions,
    Where,
    judge,
)
from edgeprune.report.findings import findings_of, holds, line_of
from edgeprune.report.junit import junit_bytes, junit_of_error
from edgeprune.report.sarif import sarif_bytes, sarif_of_error

CONFIG = """\
target = "cortex-m7"

[requirements]
# sensitivity = { V = 0.1 } is what we had in spring
precision = { V = 0.5, "a.b" = 0.1 }
sensitivity.V = 0.92
attack_success = { "linf:20uV" = 0.3 }
certified_share = { perturbation = "linf:20uV", share = 0.5 }

[requirements.sensitivity_under."qrs-jitter:0.5ms"]
V = 0.8

[robustness]
share = 0.4
"""


FIGURE = Quantity(
    0.9876, "1", Where.HOST, 181, "windows", Interval(0.91234, 1.0, 0.95, "bootstrap", 8)
)
SOURCE = "performance.2.scores.classes.2.sensitivity"


def _evidence() -> Evidence:
    """Requirements of each outcome, comparisons that decide or not, and words no format likes."""
    at_least = Comparison.AT_LEAST
    row = ParityRow("generated C", "zig", Where.HOST, "x86_64", 9, "logits", 45, 0, 0)
    other = replace(row, implementation="XNNPACK", mismatches=3, largest_difference_lsb=1)
    return Evidence(
        identity=Identity("0", 1, "host", "", "synthetic-ecg", "", True, "0" * 64),
        versions=Versions("3.11", ()),
        reproduction=Reproduction(()),
        requirements=(
            judge("precision.V", "precision", at_least, 0.0, "1", FIGURE, SOURCE),
            judge("sensitivity.V", 'a <b> & "c" \x01 \ud800', at_least, 0.99, "1", FIGURE, SOURCE),
            judge("accuracy", "accuracy", at_least, 0.5, "1", None),
        ),
        parity=(row, replace(other, gate=False), row),
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edgeprune.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("requirements", "precision", "V"), 5),
        (("requirements", "precision", "a.b"), 5),
        (("requirements", "sensitivity", "V"), 6),
        (("requirements", "attack_success", "linf:20uV"), 7),
        (("requirements", "certified_share"), 8),
        (("requirements", "sensitivity_under", "qrs-jitter:0.5ms", "V"), 11),
        (("robustness", "share"), 14),
        (("requirements", "accuracy"), None),
        (("requirements", "sensitivity", "S"), None),
    ],
)
def test_the_line_is_where_the_key_gets_its_value(path: tuple[str, ...], line: int | None) -> None:
    assert line_of(CONFIG, path) == line


def test_a_failure_says_limit_figure_interval_and_where_they_are(config: Path) -> None:
    evidence = _evidence()
    passed, failed, untested, *_ = findings_of(evidence, config)
    assert (passed.outcome, passed.line) == (Outcome.PASS, 5)
    assert (failed.outcome, failed.line) == (Outcome.FAIL, 6)
    for words in (
        "limit >= 0.99",
        "found 0.9876 [0.91234, 1]",
        "n = 181 windows",
        f"requirements.1, {SOURCE}",
        "SYNTHETIC",
    ):
        assert words in failed.detail
    assert "not tested; limit >= 0.5" in untested.detail


def test_what_was_not_tested_does_not_hold() -> None:
    passed, _, untested, *parity = findings_of(_evidence())
    gates = [each for each in parity if each.gates]
    assert holds((passed, *parity))
    assert not holds((passed, untested, *parity))
    assert not holds(())
    assert not holds((passed, replace(gates[0], outcome=Outcome.FAIL)))
    told = next(each for each in parity if not each.gates)
    assert holds((passed, replace(told, outcome=Outcome.FAIL)))


def test_junit_has_a_case_for_each_requirement_and_comparison(config: Path) -> None:
    evidence = _evidence()
    root = ElementTree.fromstring(junit_bytes(findings_of(evidence, config), file="a b.toml"))
    cases = list(root.iter("testcase"))
    assert len(cases) == len(evidence.requirements) + len(evidence.parity)
    assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)
    passed, failed, untested, *_ = cases
    assert passed.find("failure") is None
    assert (failed.get("file"), failed.get("line")) == ("a b.toml", "6")
    failure = failed.find("failure")
    assert failure is not None
    assert failure.text is not None
    assert 'a <b> & "c" \N{REPLACEMENT CHARACTER}' in failure.text
    found = untested.find("failure")
    assert found is not None
    assert found.get("type") == "not tested"
    for suite in (root, *root.iter("testsuite")):
        assert suite.get("tests") == str(len(list(suite.iter("testcase"))))
        assert suite.get("failures") == str(len(list(suite.iter("failure"))))
    lenient = ElementTree.fromstring(junit_bytes(findings_of(evidence), strict=False))
    assert list(lenient.iter("testcase"))[2].find("skipped") is not None


def _run(content: bytes) -> Any:
    """Return the one run of a log, its required properties looked up in SARIF 2.1.0."""
    log = json.loads(content)
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert run["tool"]["driver"]["name"] == "edgeprune"
    assert all(isinstance(each["executionSuccessful"], bool) for each in run["invocations"])
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in run["results"]:
        assert result["message"]["text"]
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in ("none", "note", "warning", "error")
        for location in result.get("locations", ()):
            place = location["physicalLocation"]
            assert " " not in place["artifactLocation"]["uri"]
            assert place["region"]["startLine"] >= 1
    return run


def test_sarif_has_a_result_for_what_is_not_met_at_its_line(config: Path) -> None:
    findings = findings_of(_evidence(), config)
    failed, untested = _run(sarif_bytes(findings, file="my project/edgeprune.toml"))["results"]
    place = failed["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "my%20project/edgeprune.toml"
    assert place["region"] == {"startLine": 6}
    assert (failed["ruleId"], failed["level"]) == ("sensitivity.V", "error")
    assert (untested["ruleId"], untested["level"]) == ("accuracy", "error")
    assert untested["properties"]["outcome"] == "not tested"
    results = _run(sarif_bytes(findings_of(_evidence()), strict=False))["results"]
    assert [each["level"] for each in results] == ["error", "warning"]
    assert not any("locations" in each for each in results)


def test_a_build_that_is_broken_off_is_no_success() -> None:
    error = DataError("the record ends <early> \x02", where="100.dat", hint="fetch it again")
    case = ElementTree.fromstring(junit_of_error(error)).find(".//testcase/error")
    assert case is not None
    assert case.get("type") == "EP201"
    assert "100.dat" in (case.text or "")
    (invocation,) = _run(sarif_of_error(error))["invocations"]
    assert not invocation["executionSuccessful"]
    assert "fetch it again" in invocation["toolExecutionNotifications"][0]["message"]["text"]
