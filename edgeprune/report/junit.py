"""Findings as JUnit XML, which GitHub, GitLab, Jenkins and others show as tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from xml.etree import ElementTree

from edgeprune.errors import EdgepruneError
from edgeprune.evidence import Outcome
from edgeprune.report.findings import Finding

# What XML 1.0 has no way to write, not even as a reference (clause 2.2).
_IMPOSSIBLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_bytes(findings: Sequence[Finding], *, file: str = "", strict: bool = True) -> bytes:
    """Return JUnit XML with one test case a finding.

    Args:
        findings: Requirements and comparisons, each group together.
        file: The configuration file as its readers know it; empty where there is none.
        strict: Whether what was not tested is a failure; it is skipped otherwise.
    """
    root = ElementTree.Element("testsuites", {"name": "edgeprune"})
    for group, members in groupby(findings, key=lambda each: each.group):
        suite = ElementTree.SubElement(root, "testsuite", {"name": group})
        for finding in members:
            _add(suite, finding, file, strict)
        _count(suite)
    _count(root)
    return _written(root)


def junit_of_error(error: EdgepruneError) -> bytes:
    """Return JUnit XML for a build that ended before anything could be judged."""
    root = ElementTree.Element("testsuites", {"name": "edgeprune"})
    suite = ElementTree.SubElement(root, "testsuite", {"name": "edgeprune.build"})
    case = ElementTree.SubElement(
        suite, "testcase", {"classname": "edgeprune.build", "name": "build"}
    )
    attributes = {"type": error.code, "message": _clean(error.what)}
    ElementTree.SubElement(case, "error", attributes).text = _clean(str(error))
    _count(suite)
    _count(root)
    return _written(root)


def _add(suite: ElementTree.Element, finding: Finding, file: str, strict: bool) -> None:
    attributes = {"classname": finding.group, "name": _clean(finding.name)}
    if file and finding.line is not None:
        attributes |= {"file": _clean(file), "line": str(finding.line)}
    case = ElementTree.SubElement(suite, "testcase", attributes)
    detail = _clean(finding.detail)
    kind = _kind(finding, strict)
    if kind is None:
        ElementTree.SubElement(case, "system-out").text = detail
        return
    named = {"message": detail}
    if kind == "failure":
        named["type"] = finding.outcome.value
    ElementTree.SubElement(case, kind, named).text = detail


def _kind(finding: Finding, strict: bool) -> str | None:
    """Return the element that says what became of a finding; None where it passed."""
    if finding.outcome is Outcome.PASS:
        return None
    if not finding.gates or (finding.outcome is Outcome.NOT_TESTED and not strict):
        return "skipped"
    return "failure"


def _count(element: ElementTree.Element) -> None:
    found = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
    for attribute, tag in found.items():
        element.set(attribute, str(sum(1 for _ in element.iter(tag))))


def _written(root: ElementTree.Element) -> bytes:
    ElementTree.indent(root, " ")
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _clean(text: str) -> str:
    return _IMPOSSIBLE.sub("\N{REPLACEMENT CHARACTER}", text)
