"""A sweep's own report: one HTML page beside its file."""

from __future__ import annotations

from pathlib import Path

from edgeprune import __version__
from edgeprune.evaluation.sweet_spots import CHOSEN_ON, RULE
from edgeprune.evidence import SweepEvidence
from edgeprune.files import sha256_file, write_text
from edgeprune.pipeline.sweep import Sweep
from edgeprune.report import SweepPage, render_sweep


def write_sweep_report(found: Sweep) -> Path:
    """Write the page of a sweep, finished or not, and return where: `sweep-report.html`.

    Raises:
        DiskError: It cannot be written.
    """
    page = SweepPage(
        dataset=found.about.get("dataset", ""),
        target=found.about.get("target", ""),
        model=found.config.model,
        synthetic=found.about.get("synthetic") == "yes",
        edgeprune=__version__,
        unfinished=sum(not point.finished for point in found.points),
        left_out=tuple(filter(None, found.about.get("left_out", "").splitlines())),
        sweep=SweepEvidence(
            file_sha256=sha256_file(found.path),
            point=0,
            network_sha256=None,
            recommended=found.recommended,
            chosen_on=CHOSEN_ON,
            rule=RULE,
            objectives=tuple(each.text for each in found.spots.objectives),
            settings=found.spots.settings,
        ),
    )
    path = found.path.with_name(f"{found.path.stem}-report.html")
    write_text(path, render_sweep(page))
    return path
