"""The arena over the run of the network."""

from __future__ import annotations

from math import ceil

from edgeprune.report.charts import svg
from edgeprune.report.charts.drawing import Drawing, Ledger, draw
from edgeprune.report.charts.frame import target
from edgeprune.report.citation import Citation, cite, number

_LEFT, _RIGHT, _TOP, _BOTTOM = 72.0, 750.0, 24.0, 304.0
_LETTER, _LABEL = 6.1, 22.0


def memory_chart(device: Citation) -> Drawing:
    """Draw every tensor as a box: layers from left to right, bytes of the arena upwards.

    Args:
        device: A DeviceEvidence whose plan holds tensors.
    """
    memory = device.memory
    layers = list(device.layers)
    step = (_RIGHT - _LEFT) / len(layers)
    scale = (_BOTTOM - _TOP) / (number(memory.arena_bytes) or 1)

    def x(layer: float) -> float:
        return _LEFT + layer * step

    def y(offset: float) -> float:
        return _BOTTOM - offset * scale

    ledger = Ledger("Tensor", "Size", "Offset", "First layer", "Last layer")
    parts = []
    for tensor in memory.tensors:
        first, last = number(tensor.first_layer), number(tensor.last_layer)
        offset, size = number(tensor.offset), number(tensor.size)
        width, height = (last - first + 1) * step, size * scale
        corner = (x(first), y(offset + size))
        row = ledger.add(
            tensor.name,
            cite(tensor.size) + " B",
            cite(tensor.offset) + " B",
            tensor.first_layer,
            tensor.last_layer,
        )
        parts.append(svg.rectangle(corner, width, height, "tensor", **target(row, "tensors")))
        if height > 12 and width > _LETTER * len(str(tensor.name)) + 6:
            middle = (corner[0] + width / 2, corner[1] + height / 2 + 4)
            parts.append(svg.cited(tensor.name, middle, "middle small"))
    peak = x(number(memory.peak_layer))
    parts += [
        svg.rectangle((peak, _TOP), step, _BOTTOM - _TOP, "peak"),
        svg.text("peak", (peak + step / 2, _TOP - 8), "middle peak-name"),
        svg.line((_LEFT, _BOTTOM), (_RIGHT, _BOTTOM), "axis"),
        svg.line((_LEFT, _TOP), (_RIGHT, _TOP), "axis limit"),
        svg.cited(memory.arena_bytes, (_LEFT - 22, _TOP + 4), "end"),
        svg.text("B", (_LEFT - 8, _TOP + 4), "end unit"),
        svg.tick(0, (_LEFT - 22, _BOTTOM + 4), "end"),
        svg.text("layer", (_LEFT - 8, _BOTTOM + 20), "end name"),
    ]
    every = ceil(_LABEL / step)
    parts += [
        svg.cited(layer.index, (x(index + 0.5), _BOTTOM + 20), "middle")
        for index, layer in enumerate(layers)
        if index % every == 0
    ]
    return draw(
        "memory",
        "Place and lifetime of every tensor in the arena.",
        (760, 334),
        parts,
        ledger,
    )
