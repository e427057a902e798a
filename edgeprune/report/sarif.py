"""Findings as SARIF 2.1.0 (OASIS), which code hosts show at the line that demands them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from edgeprune import __version__
from edgeprune.errors import EdgepruneError
from edgeprune.evidence import Outcome
from edgeprune.report.findings import REQUIREMENT, Finding

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
Json = dict[str, Any]


def sarif_bytes(findings: Sequence[Finding], *, file: str = "", strict: bool = True) -> bytes:
    """Return a SARIF log with a result for each requirement that is not met.

    Args:
        findings: Requirements; comparisons among them are passed over, as the requirement
            `parity.mismatches` sums them up.
        file: The configuration file as its readers know it; empty where there is none.
        strict: Whether what was not tested is an error; it is a warning otherwise.
    """
    requirements = [each for each in findings if each.group == REQUIREMENT]
    results = [
        _result(each, number, file, strict)
        for number, each in enumerate(requirements)
        if each.outcome is not Outcome.PASS
    ]
    return _written([_rule(each) for each in requirements], results, {"executionSuccessful": True})


def sarif_of_error(error: EdgepruneError) -> bytes:
    """Return a SARIF log of a build that ended before anything could be judged."""
    notification = {
        "descriptor": {"id": error.code},
        "level": "error",
        "message": {"text": str(error)},
    }
    invocation = {
        "executionSuccessful": False,
        "exitCode": error.exit_code,
        "toolExecutionNotifications": [notification],
    }
    return _written([], [], invocation)


def _rule(finding: Finding) -> Json:
    return {
        "id": finding.name,
        "shortDescription": {"text": finding.title},
        "defaultConfiguration": {"level": "error"},
    }


def _result(finding: Finding, number: int, file: str, strict: bool) -> Json:
    untested = finding.outcome is Outcome.NOT_TESTED
    result: Json = {
        "ruleId": finding.name,
        "ruleIndex": number,
        "kind": "fail",
        "level": "warning" if untested and not strict else "error",
        "message": {"text": finding.detail},
        "partialFingerprints": {"requirement/v1": finding.name},
        "properties": {"outcome": finding.outcome.value},
    }
    if file:
        # A requirement that holds for any build stands on no line: the file as a whole is named.
        region = {"startLine": finding.line or 1}
        place = {"artifactLocation": {"uri": quote(file)}, "region": region}
        result["locations"] = [{"physicalLocation": place}]
    return result


def _written(rules: Sequence[Json], results: Sequence[Json], invocation: Json) -> bytes:
    driver = {"name": "edgeprune", "version": __version__, "rules": list(rules)}
    run = {"tool": {"driver": driver}, "invocations": [invocation], "results": list(results)}
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return f"{json.dumps(log, indent=1)}\n".encode()
