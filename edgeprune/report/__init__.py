"""The report: one HTML page, every figure of which comes from evidence.json."""

from edgeprune.report.render import SweepPage, render_report, render_sweep, write_report

__all__ = ["SweepPage", "render_report", "render_sweep", "write_report"]
