"""Instructions of every layer."""

from __future__ import annotations

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.citation import Citation, number

_LEFT, _RIGHT, _ROW = 190.0, 650.0, 22.0


def layer_chart(device: Citation) -> Markup:
    """Draw the median instructions of each counted layer as bars, fewest to most as whiskers.

    Args:
        device: A DeviceEvidence with at least one counted layer.
    """
    layers = [layer for layer in device.layers if layer.instructions]
    most = max(number(layer.instructions.maximum) for layer in layers) or 1

    def x(instructions: Citation) -> float:
        return _LEFT + (_RIGHT - _LEFT) * number(instructions) / most

    parts = []
    for row, layer in enumerate(layers):
        top, middle = 6 + row * _ROW, 6 + row * _ROW + _ROW / 2
        count = layer.instructions
        width = max(x(count.median) - _LEFT, 0.5)
        parts += [
            svg.cited(layer.name, (_LEFT - 10, middle + 4), "end"),
            svg.rectangle((_LEFT, top + 4), width, _ROW - 8, "bar"),
            svg.line((x(count.minimum), middle), (x(count.maximum), middle), "whisker"),
            svg.cited(count.median, (max(x(count.maximum), _LEFT + width) + 8, middle + 4)),
        ]
    height = 6 + len(layers) * _ROW + 6
    parts.append(svg.line((_LEFT, 4), (_LEFT, height - 4), "axis"))
    return svg.chart(
        "layers",
        "Median instructions of each layer for one window. The table below holds the same figures.",
        (760, height),
        parts,
    )
