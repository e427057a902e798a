"""The course of training."""

from __future__ import annotations

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.charts.drawing import Drawing, Ledger, draw, figure
from edgeprune.report.charts.frame import target
from edgeprune.report.citation import Citation, cite, number

_PANEL, _LEFT, _TOP, _BOTTOM = 330.0, 44.0, 30.0, 150.0


def training_chart(training: Citation) -> Drawing:
    """Draw loss and validation score side by side, the kept epoch marked.

    Args:
        training: A TrainingEvidence with epochs.
    """
    ledger = Ledger("Epoch", "Loss, training part", "Macro-F1, validation part", "Validation n")
    for epoch in training.epochs:
        loss, score = cite(epoch.train_loss, 3), cite(epoch.validation_macro_f1, 3)
        ledger.add(epoch.epoch, loss, score, figure(training.validation)[2])
    return draw(
        "training",
        "Training loss and validation macro-F1 by epoch; the kept epoch is marked.",
        (760, 190),
        [
            *_panel(training, "train_loss", "loss, training part", 0),
            *_panel(training, "validation_macro_f1", "macro-F1, validation part", _PANEL + 60),
        ],
        ledger,
        alone=True,
    )


def _panel(training: Citation, name: str, title: str, shift: float) -> list[Markup]:
    epochs = list(training.epochs)
    values = [number(getattr(epoch, name)) for epoch in epochs]
    low, high = min(values), max(values)
    spread = (high - low) or 1
    left, right = shift + _LEFT, shift + _PANEL
    step = (right - left) / max(len(epochs) - 1, 1)
    points = [
        (left + index * step, _BOTTOM - (value - low) / spread * (_BOTTOM - _TOP))
        for index, value in enumerate(values)
    ]
    lowest, highest = epochs[values.index(low)], epochs[values.index(high)]
    parts = [
        svg.text(title, (left, 16), "name"),
        svg.line((left, _BOTTOM), (right, _BOTTOM), "axis"),
        svg.cited(getattr(highest, name), (left - 8, _TOP + 4), "end", decimals=3),
        svg.cited(getattr(lowest, name), (left - 8, _BOTTOM + 4), "end", decimals=3),
        svg.polyline(points, "curve first"),
        svg.cited(epochs[0].epoch, (left, _BOTTOM + 18), "middle"),
        svg.cited(epochs[-1].epoch, (right, _BOTTOM + 18), "middle"),
    ]
    for row, (epoch, point) in enumerate(zip(epochs, points, strict=True)):
        parts.append(svg.circle(point, 2.2, "dot first", **target(row, name)))
        if epoch.epoch == training.best_epoch:
            parts.append(svg.circle(point, 4, "dot first"))
            if epoch not in (epochs[0], epochs[-1]):
                parts.append(svg.cited(training.best_epoch, (point[0], _BOTTOM + 18), "middle"))
            parts.append(svg.text("kept", (point[0], _BOTTOM + 34), "middle name"))
    return parts
