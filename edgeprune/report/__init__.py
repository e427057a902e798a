"""The report: a page and its PDF, every figure of which comes from evidence.json."""

from edgeprune.report.paper import render_pdf, write_pdf
from edgeprune.report.render import SweepPage, render_report, render_sweep, write_report

__all__ = ["SweepPage", "render_pdf", "render_report", "render_sweep", "write_pdf", "write_report"]
