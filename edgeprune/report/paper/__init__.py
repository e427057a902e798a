"""The report on paper: the page as PDF."""

from edgeprune.report.paper.document import markup_of, render_pdf, write_pdf

__all__ = ["markup_of", "render_pdf", "write_pdf"]
