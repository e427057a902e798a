"""The report: one HTML page, every figure of which comes from evidence.json."""

from edgeprune.report.render import render_report, write_report

__all__ = ["render_report", "write_report"]
