"""Instructions of every layer."""

from __future__ import annotations

from markupsafe import Markup

from edgeprune.report.charts import svg
from edgeprune.report.charts.drawing import Drawing, Ledger, draw
from edgeprune.report.charts.frame import target
from edgeprune.report.citation import Citation, cite, number

_RIGHT, _ROW = 650.0, 22.0
_LETTER, _LONGEST = 6.6, 56


def layer_chart(device: Citation) -> Drawing:
    """Draw the median instructions of each counted layer as bars, fewest to most as whiskers.

    Args:
        device: A DeviceEvidence with at least one counted layer.
    """
    layers = [layer for layer in device.layers if layer.instructions]
    names = min(max(len(str(layer.name)) for layer in layers), _LONGEST)
    left = 20 + names * _LETTER
    most = max(number(layer.instructions.maximum) for layer in layers) or 1

    def x(instructions: Citation) -> float:
        return left + (_RIGHT - left) * number(instructions) / most

    ledger = Ledger("Layer", "Median", "Fewest to most", "n")
    parts = []
    for row, layer in enumerate(layers):
        top, middle = 6 + row * _ROW, 6 + row * _ROW + _ROW / 2
        count = layer.instructions
        fewest, highest = cite(count.minimum), cite(count.maximum)
        data = target(
            ledger.add(
                layer.name,
                cite(count.median) + " instructions",
                Markup(f"{fewest} to {highest}"),
                cite(count.windows) + " windows",
            ),
            "layers",
        )
        width = max(x(count.median) - left, 0.5)
        parts += [
            svg.cited(layer.name, (left - 10, middle + 4), "end"),
            svg.rectangle((left, top + 4), width, _ROW - 8, "bar", **data),
            svg.line((x(count.minimum), middle), (x(count.maximum), middle), "whisker"),
            svg.cited(count.median, (max(x(count.maximum), left + width) + 8, middle + 4)),
        ]
    height = 6 + len(layers) * _ROW + 6
    parts.append(svg.line((left, 4), (left, height - 4), "axis"))
    return draw(
        "layers",
        "Median instructions of each layer for one window.",
        (760, height),
        parts,
        ledger,
    )
